/*
 * Call records, written behind
 *
 * The journal is the queue: a file "PATH.records" beside the database. Who puts a
 * record copies it to the end of a chunk of his thread, so that threads share
 * nothing; the writer thread takes the chunk a few hundredths of a second later,
 * numbers its records, and appends them in one piece. Once a second it puts the
 * records into SQLite in transactions that are on the disk when they return, and
 * begins anew at the start of the file. Those pieces are kept until then, so that
 * what was just written need not be read; behind KEPT_MAX, and at the start of the
 * program, the file is read. While SQLite fails the journal grows up to its bound.
 *
 * The ledger gets each record on its way into SQLite, as long as it has all
 * before it; what it lacks it gets out of SQLite.
 *
 * One record in the file: length and checksum of the payload (4 and 8 bytes,
 * this machine's order), then the lengths of all fields, two bytes each, and then
 * their texts. In files of before, whose length has no LENGTHS_FIRST, each length
 * stands in front of its text. A head of zeros ends them: what is behind it is of
 * before, for pages that a file has already are cheaper to write than new ones.
 * What follows the first record that is not whole was cut off by the power and is
 * dropped; a failed append is taken back at once. The sequence is the key in
 * SQLite, so a record that was moved before a crash and is read again is not
 * counted twice.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "store/log.h"
#include "store/number.h"
#include "store/quote.h"
#include "store/records.h"

enum {
	RECORD_MAX = 256 << 10, /* payload of one record [bytes] */
	HEAD = 12,              /* length and checksum [bytes] */
	LENGTHS = RECORD_FIELDS * sizeof(uint16_t), /* [bytes] */
	MOVE = 6000, /* records in one transaction, 4 MiB as the cache */
	ROWS = 16,   /* ... in one statement */
	FILED = 500, /* ... read for the files at one time */
	JOURNAL_MAX = 1 << 30, /* [bytes] */
	CHUNK_MIN = 4 << 10,
	CHUNK_MAX = 64 << 10, /* [bytes] */
	FILE_KEPT =
		16 << 20,    /* size of the file with no record in it [bytes] */
	KEPT_MAX = 16 << 20, /* in chunks, beside the file [bytes] */
	WAITING_MAX = DATABASE_QUEUE, /* records not in the file yet */
	SEQUENCE = 2,                 /* fields filled in here */
	NODE = 3,
	SETUP_TIME = 9,
	SQL_MAX = 8192,
};

/* In the length of a record in the file */
static const uint32_t LENGTHS_FIRST = 1u << 31;

/* clang-format off */
bool record_is_number(size_t n)
{
	static const char *const names[] = {
		"record-version", "sequence",  "duration-ms",  "setup-ms",
		"routes-tried",   "challenges", "status",      "q850",
		"in-packets",     "in-octets", "in-lost",      "in-jitter-ms",
		"out-packets",    "out-octets", "out-lost",    "out-jitter-ms",
		"config-version",
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (!strcmp(record_names[n], names[i]))
			return true;
	return false;
}

const char *const record_names[RECORD_FIELDS] = {
	"record-type", "record-version", "sequence", "node",
	"session-id", "ingress-call-id", "egress-call-id",
	"protocol", "method",
	"setup-time", "ring-time", "connect-time", "disconnect-time",
	"duration-ms", "setup-ms",
	"calling-number", "called-number",
	"calling-uri", "called-uri", "egress-calling-uri", "egress-called-uri",
	"asserted-identity", "diversion",
	"ingress-realm", "ingress-agent", "ingress-remote", "ingress-local",
	"ingress-transport",
	"egress-realm", "egress-agent", "egress-remote", "egress-local",
	"egress-transport",
	"policy", "next-hop", "routes-tried",
	"auth-source", "auth-realm", "auth-user-lookup", "auth-user",
	"challenges",
	"surrogate-aor",
	"status", "q850",
	"ended-by", "reason",
	"refused-step",
	"ingress-codec", "egress-codec", "ingress-security", "egress-security",
	"ingress-media-remote", "ingress-media-local", "egress-media-local",
	"egress-media-remote",
	"in-packets", "in-octets", "in-lost", "in-jitter-ms",
	"out-packets", "out-octets", "out-lost", "out-jitter-ms",
	"latched", "config-version",
};
/* clang-format on */

/* Records of one thread on their way into the journal; a job of the writer */
struct chunk {
	struct database_job job; /* first */
	struct journal *journal;
	struct stall *stall;
	uint32_t n; /* records: lengths of all fields, and their texts */
	size_t used, room;
	uint8_t bytes[];
};

/* The same as they are in the file, kept until they are in SQLite */
struct piece {
	struct piece *next;
	uint64_t at; /* place in the file */
	size_t used;
	uint8_t bytes[]; /* and QUOTE_SLACK, which has room for a head */
};

/* Where one thread puts records, and the writer takes them */
struct stall {
	struct stall *next;
	pthread_mutex_t gate; /* of what follows; no other thread is there */
	struct chunk *open;   /* takes records; queued already; or NULL */
	size_t room;          /* of the next one: as what came lately */
};

struct journal {
	int fd;
	uint64_t size;     /* [bytes] */
	uint64_t sequence; /* of the newest record */
	char node[256];
	struct {
		struct piece *first, *last;
		size_t bytes;
		bool whole; /* they are all that is in the file */
	} kept;

	uint64_t id;              /* no other journal of the process has it */
	_Atomic uint32_t waiting; /* records put that are not in the file */
	pthread_mutex_t gate;     /* of what follows, for any thread */
	struct stall *stalls;

	struct ledger *ledger;
	uint64_t now; /* [s, monotonic] */
	bool ill;     /* files cannot be written */
	bool barred;  /* nor begun */
	database_h *h;
	void *arg;
	pthread_mutex_t mutex; /* of what follows, for any thread */
	struct records_state state;
};

/* What the files shall be; a job of the writer */
struct follow {
	struct database_job job; /* first */
	struct journal *journal;
	struct ledger_setup setup;
	uint64_t now;
	bool anew;
	char folder[];
};

/* FNV-1a over words: tells a torn write, is no defence and needs to be none */
static uint64_t checksum(uint64_t sum, const uint8_t *p, size_t n)
{
	const uint64_t prime = 0x100000001b3;
	uint64_t word;

	for (; n >= sizeof(word); n -= sizeof(word), p += sizeof(word)) {
		memcpy(&word, p, sizeof(word));
		sum = (sum ^ word) * prime;
		sum ^= sum >> 32;
	}
	while (n--)
		sum = (sum ^ *p++) * prime;

	return sum;
}

static const uint64_t basis = 0xcbf29ce484222325;

/* Four of them side by side, none of which waits for another */
static uint64_t checksum_wide(const uint8_t *p, size_t n)
{
	const uint64_t prime = 0x100000001b3;
	uint64_t sum[4] = { basis, basis + 1, basis + 2, basis + 3 };
	uint64_t word[4];

	for (; n >= sizeof(word); n -= sizeof(word), p += sizeof(word)) {
		memcpy(word, p, sizeof(word));
		for (size_t i = 0; i < ARRAY_SIZE(word); i++) {
			sum[i] = (sum[i] ^ word[i]) * prime;
			sum[i] ^= sum[i] >> 32;
		}
	}

	return checksum(checksum(basis, (const uint8_t *)sum, sizeof(sum)), p,
			n);
}

/* disconnect-time, connect-time, ring-time, setup-time: when it was written */
static const size_t times[] = { SETUP_TIME + 3, SETUP_TIME + 2, SETUP_TIME + 1,
				SETUP_TIME, RECORD_FIELDS };

/* ---- into the journal ---- */

static void chunk_free(struct database_job *job)
{
	free((struct chunk *)(void *)job);
}

static void kept_drop(struct journal *j)
{
	struct piece *piece = j->kept.first, *next;

	for (; piece; piece = next) {
		next = piece->next;
		free(piece);
	}
	memset(&j->kept, 0, sizeof(j->kept));
}

/* Handed over */
static void piece_keep(struct journal *j, struct piece *piece)
{
	const bool fits = j->kept.bytes + piece->used <= KEPT_MAX;

	if (!j->kept.whole || !fits) {
		free(piece);
		kept_drop(j);
		return;
	}
	if (j->kept.last)
		j->kept.last->next = piece;
	else
		j->kept.first = piece;
	j->kept.last = piece;
	j->kept.bytes += piece->used;
}

static int write_at(int fd, const uint8_t *p, size_t n, uint64_t at)
{
	size_t done = 0;

	while (done < n) {
		ssize_t w = pwrite(fd, p + done, n - done, (off_t)(at + done));

		if (w < 0 && errno == EINTR)
			continue;
		if (w <= 0)
			return w ? errno : EIO;
		done += (size_t)w;
	}

	return 0;
}

/* A piece into the file and the end of the records behind it, or nothing of it */
static int append(struct journal *j, struct piece *piece)
{
	int err;

	memset(piece->bytes + piece->used, 0, HEAD);
	err = write_at(j->fd, piece->bytes, piece->used + HEAD, j->size);

	/* Half a record would hide all that come after it. Should this fail,
	 * the next append writes over it: the size is ours */
	if (err && ftruncate(j->fd, (off_t)j->size))
		log_error(DB, "journal-tail", "text=\"%s\"", strerror(errno));

	return err;
}

static uint8_t *text_add(uint8_t *p, const void *text, size_t n)
{
	memcpy(p, text, n);

	return p + n;
}

/* One record of a chunk as it is in the file; *pp goes behind it */
static size_t record_write(uint8_t *begin, const uint8_t **pp,
			   const struct journal *j, uint64_t sequence)
{
	const uint8_t *text = *pp + LENGTHS;
	uint16_t length[RECORD_FIELDS];
	uint8_t *p = begin + HEAD + LENGTHS;
	size_t front, rest = 0;
	uint32_t size;
	uint64_t sum;

	memcpy(length, *pp, sizeof(length));
	front = length[0] + length[1];
	for (size_t i = NODE; i < RECORD_FIELDS; i++)
		rest += length[i];
	*pp = text + front + rest;

	p = text_add(p, text, front);
	length[SEQUENCE] = (uint16_t)uint_write((char *)p, sequence);
	p += length[SEQUENCE];
	if (!length[NODE]) {
		length[NODE] = (uint16_t)strlen(j->node);
		p = text_add(p, j->node, length[NODE]);
	}
	p = text_add(p, text + front, rest);

	memcpy(begin + HEAD, length, sizeof(length));
	size = (uint32_t)(p - begin - HEAD);
	sum = checksum_wide(begin + HEAD, size);
	size |= LENGTHS_FIRST;
	memcpy(begin, &size, sizeof(size));
	memcpy(begin + sizeof(size), &sum, sizeof(sum));

	return (size_t)(p - begin);
}

static struct piece *piece_make(const struct journal *j,
				const struct chunk *chunk)
{
	const size_t more = HEAD + SLIP_NUMBER + strlen(j->node);
	const uint8_t *p = chunk->bytes;
	struct piece *piece = malloc(sizeof(*piece) + chunk->used +
				     chunk->n * more + QUOTE_SLACK);

	if (!piece)
		return NULL;
	piece->next = NULL;
	piece->at = j->size;
	piece->used = 0;
	for (uint32_t i = 0; i < chunk->n; i++)
		piece->used += record_write(piece->bytes + piece->used, &p, j,
					    j->sequence + i + 1);

	return piece;
}

/* From here on nobody else writes to it */
static void chunk_take(struct chunk *chunk)
{
	struct stall *stall = chunk->stall;

	pthread_mutex_lock(&stall->gate);
	if (stall->open == chunk) {
		stall->open = NULL;
		if (chunk->used < chunk->room / 4 && stall->room > CHUNK_MIN)
			stall->room /= 2;
	}
	pthread_mutex_unlock(&stall->gate);
}

static int chunk_run(struct connection *c, struct database_job *job)
{
	struct chunk *chunk = (void *)job;
	struct journal *j = chunk->journal;
	struct piece *piece;
	int err = 0;

	(void)c;
	chunk_take(chunk);
	piece = piece_make(j, chunk);
	if (!piece)
		return ENOMEM;

	if (j->size + piece->used > JOURNAL_MAX)
		err = ENOSPC;
	if (!err)
		err = append(j, piece);
	if (err) {
		free(piece);
		return err;
	}

	j->size += piece->used;
	j->sequence += chunk->n;
	piece_keep(j, piece);
	atomic_fetch_sub(&j->waiting, chunk->n);

	return 0;
}

/* ---- from the threads ---- */

/* What this thread found last */
static _Thread_local struct {
	uint64_t journal; /* its id */
	struct stall *stall;
} mine;

/* That of this thread; it lives as long as the journal */
static struct stall *stall_of(struct journal *j)
{
	struct stall *stall = mine.stall;

	if (mine.journal == j->id)
		return stall;

	stall = calloc(1, sizeof(*stall));
	if (!stall)
		return NULL;
	pthread_mutex_init(&stall->gate, NULL);
	stall->room = CHUNK_MIN;

	pthread_mutex_lock(&j->gate);
	stall->next = j->stalls;
	j->stalls = stall;
	pthread_mutex_unlock(&j->gate);
	mine.journal = j->id;
	mine.stall = stall;

	return stall;
}

/* Under the gate: a chunk with room for n bytes that waits for the writer */
static int chunk_for(struct chunk **chunkp, struct journal *j,
		     struct stall *stall, struct database *db, size_t n)
{
	struct chunk *chunk = stall->open;
	size_t room;
	int err;

	if (chunk && chunk->used + n <= chunk->room) {
		*chunkp = chunk;
		return 0;
	}

	if (chunk && stall->room < CHUNK_MAX) /* full before its turn */
		stall->room *= 2;
	room = stall->room - sizeof(struct chunk);
	if (room < n)
		room = n;
	chunk = malloc(sizeof(*chunk) + room);
	if (!chunk)
		return ENOMEM;
	memset(chunk, 0, sizeof(*chunk));
	chunk->room = room;
	chunk->journal = j;
	chunk->stall = stall;
	chunk->job.run = chunk_run;
	chunk->job.free = chunk_free;
	chunk->job.beside = true;
	err = database_queue(db, &chunk->job);
	if (err)
		free(chunk);
	else
		*chunkp = stall->open = chunk;

	return err;
}

int records_put(struct database *db, const struct slip *slip)
{
	struct journal *j = db ? database_tick_arg(db) : NULL;
	struct stall *stall;
	struct chunk *chunk;
	uint8_t *p;
	int err;

	if (!j || !slip || slip->length[SEQUENCE])
		return EINVAL;
	if (slip->err)
		return slip->err;
	if (atomic_load(&j->waiting) >= WAITING_MAX)
		return ENOBUFS;
	stall = stall_of(j);
	if (!stall)
		return ENOMEM;

	pthread_mutex_lock(&stall->gate);
	err = chunk_for(&chunk, j, stall, db, LENGTHS + slip->used);
	if (!err) {
		p = text_add(chunk->bytes + chunk->used, slip->length, LENGTHS);
		(void)text_add(p, slip->text, slip->used);
		chunk->used += LENGTHS + slip->used;
		chunk->n++;
		atomic_fetch_add(&j->waiting, 1);
	}
	pthread_mutex_unlock(&stall->gate);

	return err;
}

/* What is put from now on waits behind what is queued now */
static void stalls_cut(struct journal *j)
{
	pthread_mutex_lock(&j->gate);
	for (struct stall *stall = j->stalls; stall; stall = stall->next) {
		pthread_mutex_lock(&stall->gate);
		stall->open = NULL;
		pthread_mutex_unlock(&stall->gate);
	}
	pthread_mutex_unlock(&j->gate);
}

static void stalls_free(struct journal *j)
{
	while (j->stalls) {
		struct stall *stall = j->stalls;

		j->stalls = stall->next;
		pthread_mutex_destroy(&stall->gate);
		free(stall);
	}
}

/* ---- out of the journal ---- */

static int read_at(int fd, uint8_t *p, size_t n, uint64_t at)
{
	size_t done = 0;

	while (done < n) {
		ssize_t r = pread(fd, p + done, n - done, (off_t)(at + done));

		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return errno;
		if (!r)
			return EBADMSG;
		done += (size_t)r;
	}

	return 0;
}

/* A record out of the journal */
struct found {
	uint16_t length[RECORD_FIELDS];
	struct strip strip; /* of these lengths */
	uint64_t sequence;
};

/* Its fields are in this payload; EBADMSG when they are not all there */
static int fields_first(struct found *f, const uint8_t *p, size_t n)
{
	size_t bytes = 0;

	if (n < LENGTHS)
		return EBADMSG;
	memcpy(f->length, p, LENGTHS);
	for (size_t i = 0; i < RECORD_FIELDS; i++)
		bytes += f->length[i];
	if (bytes != n - LENGTHS)
		return EBADMSG;

	f->strip = (struct strip){ f->length, (const char *)p + LENGTHS,
				   RECORD_FIELDS, bytes };

	return 0;
}

/* ... with the length in front of each, as before; they are moved together */
static int fields_between(struct found *f, uint8_t *p, size_t n)
{
	uint8_t *to = p, *text = p;
	uint16_t length;

	for (size_t i = 0; i < RECORD_FIELDS; i++) {
		if (n < sizeof(length))
			return EBADMSG;
		memcpy(&length, p, sizeof(length));
		p += sizeof(length);
		n -= sizeof(length);
		if (length > n)
			return EBADMSG;
		memmove(to, p, length);
		f->length[i] = length;
		to += length;
		p += length;
		n -= length;
	}

	f->strip = (struct strip){ f->length, (const char *)text, RECORD_FIELDS,
				   (size_t)(to - text) };

	return n ? EBADMSG : 0;
}

/* A stretch of the journal in memory */
struct window {
	uint8_t *bytes; /* NULL until it is needed */
	uint64_t from;
	size_t n;
	const struct piece *piece; /* kept one looked at last, or NULL */
};

enum {
	WINDOW = HEAD + RECORD_MAX
};

static uint8_t *window_kept(struct window *w, const struct journal *j,
			    uint64_t at)
{
	const struct piece *piece = w->piece;

	if (!piece || at < piece->at)
		piece = j->kept.first;
	while (at >= piece->at + piece->used)
		piece = piece->next;
	w->piece = piece;

	return (uint8_t *)piece->bytes + (at - piece->at);
}

/* n bytes of the journal from a place on, all of them within it */
static int window_at(struct window *w, const struct journal *j, uint64_t at,
		     size_t n, uint8_t **p)
{
	uint64_t left = j->size - at;
	int err = 0;

	if (j->kept.whole) {
		*p = window_kept(w, j, at);
		return 0;
	}
	if (!w->bytes)
		w->bytes = malloc(WINDOW + QUOTE_SLACK);
	if (!w->bytes)
		return ENOMEM;
	if (at < w->from || at + n > w->from + w->n) {
		w->from = at;
		w->n = left < WINDOW ? (size_t)left : WINDOW;
		err = read_at(j->fd, w->bytes, w->n, at);
		if (err)
			w->n = 0;
	}
	*p = w->bytes + (at - w->from);

	return err;
}

/* One record at a place of the journal, its fields in the window; ENODATA: they
 * end here; EBADMSG: cut off here */
static int record_read(const struct journal *j, struct window *w,
		       struct found *f, uint64_t at, uint64_t *nextp)
{
	struct pl sequence;
	uint32_t length;
	bool first;
	uint64_t sum;
	uint8_t *p;
	int err;

	if (j->size - at < HEAD)
		return EBADMSG;
	err = window_at(w, j, at, HEAD, &p);
	if (err)
		return err;

	memcpy(&length, p, sizeof(length));
	if (!length)
		return ENODATA;
	memcpy(&sum, p + sizeof(length), sizeof(sum));
	first = length & LENGTHS_FIRST;
	length &= ~LENGTHS_FIRST;
	if (length > RECORD_MAX || length > j->size - at - HEAD)
		return EBADMSG;
	err = window_at(w, j, at, HEAD + length, &p);
	if (err)
		return err;
	p += HEAD;
	/* What is kept was never anywhere else */
	if (!j->kept.whole && sum != (first ? checksum_wide(p, length)
					    : checksum(basis, p, length)))
		return EBADMSG;

	*nextp = at + HEAD + length;
	err = first ? fields_first(f, p, length) : fields_between(f, p, length);
	if (err)
		return err;
	sequence = strip_get(&f->strip, SEQUENCE);

	return uint_parse(&f->sequence, &sequence, INT64_MAX) ? EBADMSG : 0;
}

/* Where the whole records end, and the sequence of the last of them */
static int journal_check(struct journal *j)
{
	struct window w = { 0 };
	uint64_t at = 0;
	struct found f;
	int err = 0;

	kept_drop(j);
	while (!err && at < j->size) {
		err = record_read(j, &w, &f, at, &at);
		if (!err && f.sequence > j->sequence)
			j->sequence = f.sequence;
	}
	free(w.bytes);

	if (err == ENODATA) {
		err = 0;
		j->size = at;
	}
	if (err == EBADMSG) {
		log_warning(DB, "journal-cut", "bytes=%llu",
			    (unsigned long long)(j->size - at));
		err = ftruncate(j->fd, (off_t)at) ? errno : 0;
		j->size = at;
	}
	j->kept.whole = !j->size;

	return err;
}

struct move {
	struct journal *journal;
	struct window window;
	uint64_t at;
	struct {
		uint64_t sequence;
		size_t from, n; /* of its text */
	} row[ROWS];            /* not in SQLite yet */
	size_t rows;
	char *text; /* theirs */
	size_t used, room;
};

/* The fields of a record as an array of texts, behind those of the others */
static int row_add(struct move *move, const struct found *f)
{
	size_t most = QUOTE_JSON_MOST(f->strip.n, f->strip.bytes);
	size_t room = move->room ? move->room : 16 << 10;
	char *more, *end;

	while (room < move->used + most)
		room *= 2;
	if (room > move->room) {
		more = realloc(move->text, room);
		if (!more)
			return ENOMEM;
		move->text = more;
		move->room = room;
	}

	more = move->text + move->used;
	end = quote_json(more, &f->strip);
	move->row[move->rows].sequence = f->sequence;
	move->row[move->rows].from = move->used;
	move->row[move->rows++].n = (size_t)(end - more);
	move->used += (size_t)(end - more);

	return 0;
}

static void row_bind(struct statement *s, int n, const struct move *move,
		     size_t row)
{
	const struct pl text = { move->text + move->row[row].from,
				 move->row[row].n };

	statement_number(s, n, move->row[row].sequence);
	statement_pl(s, n + 1, &text);
}

/* A statement costs more than a row of it */
static int rows_insert(struct connection *c, struct move *move)
{
	struct statement *s;
	size_t n = move->rows;
	int err = 0;

	move->used = move->rows = 0;
	if (n == ROWS) {
		err = statement_kept(&s, c,
				     "INSERT OR IGNORE INTO call_record VALUES"
				     "(?,?),(?,?),(?,?),(?,?),"
				     "(?,?),(?,?),(?,?),(?,?),"
				     "(?,?),(?,?),(?,?),(?,?),"
				     "(?,?),(?,?),(?,?),(?,?)");
		for (size_t i = 0; i < n && !err; i++)
			row_bind(s, 1 + 2 * (int)i, move, i);

		return err ? err : statement_run(s);
	}

	if (n)
		err = statement_kept(&s, c,
				     "INSERT OR IGNORE INTO call_record"
				     " VALUES(?, ?)");
	for (size_t i = 0; i < n && !err; i++) {
		row_bind(s, 1, move, i);
		err = statement_run(s);
	}

	return err;
}

/* A ledger that has all before it need not read it out of SQLite. What goes
 * wrong here is found and told by files_write */
static void record_file(struct journal *j, const struct found *f)
{
	uint64_t last;

	if (!j->barred && ledger_last(j->ledger, &last) &&
	    last + 1 == f->sequence)
		(void)ledger_write(j->ledger, &f->strip, f->sequence, j->now);
}

/* The sequence outlives the records, which may be deleted */
static int sequence_keep(struct connection *c, const struct journal *j)
{
	struct statement *s;
	int err;

	err = statement_kept(&s, c,
			     "INSERT INTO fact VALUES('record-sequence', ?1)"
			     " ON CONFLICT DO UPDATE SET value ="
			     " max(value, excluded.value)");
	if (err)
		return err;

	statement_number(s, 1, j->sequence);

	return statement_run(s);
}

static int sweep(struct connection *c, const struct journal *j)
{
	struct statement *s;
	int err;

	if (j->sequence <= RECORDS_KEPT)
		return 0;
	err = statement_kept(&s, c,
			     "DELETE FROM call_record WHERE sequence <= ?1");
	if (err)
		return err;

	statement_number(s, 1, j->sequence - RECORDS_KEPT);

	return statement_run(s);
}

static int move_some(struct connection *c, void *arg)
{
	struct move *move = arg;
	struct journal *j = move->journal;
	uint64_t at = move->at;
	struct found f;
	int err = 0;

	move->used = move->rows = 0;
	for (int n = 0; n < MOVE && at < j->size && !err; n++) {
		err = record_read(j, &move->window, &f, at, &at);
		if (!err)
			err = row_add(move, &f);
		if (!err)
			record_file(j, &f);
		if (!err && (move->rows == ROWS || move->used > RECORD_MAX))
			err = rows_insert(c, move);
	}
	if (!err)
		err = rows_insert(c, move);
	if (!err)
		err = sequence_keep(c, j);
	if (!err)
		err = sweep(c, j);
	if (!err)
		move->at = at;

	return err;
}

/* It begins with its end. All are in SQLite: were this lost, they would be read
 * again and found there */
static int journal_empty(struct journal *j)
{
	static const uint8_t end[HEAD];
	int err;

	if (j->size > FILE_KEPT)
		err = ftruncate(j->fd, 0) ? errno : 0;
	else
		err = write_at(j->fd, end, sizeof(end), 0);
	if (err)
		return err;

	j->size = 0;
	kept_drop(j);
	j->kept.whole = true;

	return 0;
}

static int journal_move(struct connection *c, void *arg)
{
	struct move move = { .journal = arg };
	struct journal *j = arg;
	int err = 0;

	if (!j->size)
		return 0;

	while (!err && move.at < j->size)
		err = connection_transaction(c, true, move_some, &move);
	free(move.window.bytes);
	free(move.text);
	/* Somebody else has cut the file, or the disk has lost a part: what
	 * cannot be read must not hold up what comes */
	if (err == EBADMSG || err == ENODATA)
		(void)journal_check(j);

	return err ? err : journal_empty(j);
}

/* ---- into files ---- */

static void file_news(struct journal *j, int err, const char *what)
{
	if (err) {
		pthread_mutex_lock(&j->mutex);
		j->state.errors++;
		pthread_mutex_unlock(&j->mutex);
	}
	if (j->ill == (err != 0))
		return;

	j->ill = err != 0;
	if (err)
		log_error(DB, "record-file", "text=\"%s: %s\"", what,
			  strerror(err));
	else
		log_notice(DB, "record-file-works", "file=%s",
			   ledger_path(j->ledger));
	if (j->h)
		j->h(!err, err ? strerror(err) : "", j->arg);
}

static int file_some(struct connection *c, struct journal *j, uint64_t after,
		     int *n)
{
	char room[SLIP_ROOM];
	struct statement *s;
	struct strip fields;
	struct slip slip;
	uint64_t sequence;
	int err;

	err = statement_kept(&s, c,
			     "SELECT * FROM record WHERE \"sequence\" > ?1"
			     " ORDER BY \"sequence\" LIMIT ?2");
	if (err)
		return err;
	statement_number(s, 1, after);
	statement_number(s, 2, FILED);

	*n = 0;
	slip_init(&slip, room);
	while (!(err = statement_step(s))) {
		slip_clear(&slip);
		for (size_t i = 0; i < RECORD_FIELDS; i++) {
			struct pl text = statement_column(s, (int)i);

			slip_put(&slip, i, text.p, text.l);
		}
		fields = slip_strip(&slip);
		sequence = statement_column_number(s, SEQUENCE);
		err = slip.err ? slip.err
			       : ledger_write(j->ledger, &fields, sequence,
					      j->now);
		if (err)
			break;
		++*n;
	}
	slip_finish(&slip);
	statement_reset(s);

	return err == ENOENT ? 0 : err;
}

/* What the files lack, out of the database. A file that cannot be written is no
 * fault of the database: the next second tries again */
static void files_write(struct connection *c, struct journal *j)
{
	uint64_t after = j->sequence;
	int n = FILED, err = 0;

	while (!err && n == FILED && ledger_last(j->ledger, &after) &&
	       after < j->sequence)
		err = file_some(c, j, after, &n);
	if (!err)
		err = ledger_flush(j->ledger);
	else
		(void)ledger_flush(j->ledger);
	if (!err)
		err = ledger_turn(j->ledger, j->now, false);
	if (!j->barred)
		file_news(j, err, "write");

	after = j->sequence;
	(void)ledger_last(j->ledger, &after);
	pthread_mutex_lock(&j->mutex);
	(void)snprintf(j->state.file, sizeof(j->state.file), "%s",
		       ledger_path(j->ledger));
	j->state.records = j->sequence;
	j->state.pending = j->sequence - after;
	pthread_mutex_unlock(&j->mutex);
}

static int follow_run(struct connection *c, struct database_job *job)
{
	const struct follow *follow = (const void *)job;
	struct journal *j = follow->journal;
	const char *what = follow->setup.folder;
	int err;

	(void)c;
	if (follow->anew) {
		what = "close";
		err = ledger_turn(j->ledger, j->now, true);
	} else {
		j->now = follow->now;
		err = ledger_follow(j->ledger, &follow->setup, j->sequence);
	}
	j->barred = !follow->anew && err;
	if (err)
		file_news(j, err, what);

	return 0;
}

static void follow_free(struct database_job *job)
{
	free(job);
}

static int follow_put(struct database *db, const struct follow *what)
{
	struct journal *j = db ? database_tick_arg(db) : NULL;
	size_t n = what->anew ? 0 : strlen(what->setup.folder) + 1;
	struct follow *follow;
	int err;

	if (!j)
		return EINVAL;
	follow = calloc(1, sizeof(*follow) + n);
	if (!follow)
		return ENOMEM;

	*follow = *what;
	if (n)
		memcpy(follow->folder, what->setup.folder, n);
	follow->setup.folder = follow->folder;
	follow->journal = j;
	follow->job.run = follow_run;
	follow->job.free = follow_free;
	follow->job.beside = true;

	err = database_queue(db, &follow->job);
	if (err)
		free(follow);
	else
		stalls_cut(j);

	return err;
}

int records_follow(struct database *db, const struct ledger_setup *setup,
		   uint64_t now)
{
	const struct follow what = { .setup = *setup, .now = now };

	return follow_put(db, &what);
}

int records_anew(struct database *db)
{
	const struct follow what = { .anew = true };

	return follow_put(db, &what);
}

void records_news(struct database *db, database_h *h, void *arg)
{
	struct journal *j = database_tick_arg(db);

	j->h = h;
	j->arg = arg;
}

int records_state(struct database *db, struct records_state *out)
{
	struct journal *j = db ? database_tick_arg(db) : NULL;

	if (!j)
		return EINVAL;
	pthread_mutex_lock(&j->mutex);
	*out = j->state;
	pthread_mutex_unlock(&j->mutex);

	return 0;
}

static int tick(struct connection *c, void *arg)
{
	int err = journal_move(c, arg);

	if (!err)
		files_write(c, arg);

	return err;
}

/* ---- start ---- */

/* Does this question have an answer? 0; ENOENT: no */
static int ask(struct connection *c, const char *sql)
{
	struct statement *s;
	int err = statement_prepare(&s, c, sql);

	if (err)
		return err;
	err = statement_step(s);
	statement_free(s);

	return err;
}

/* A database of before has a column for each field */
static int columns_move(struct connection *c)
{
	char sql[SQL_MAX];
	int n;

	n = snprintf(
		sql, sizeof(sql),
		"INSERT INTO call_record SELECT \"sequence\", json_array(");
	for (size_t i = 0; i < RECORD_FIELDS; i++)
		n += snprintf(sql + n, sizeof(sql) - (size_t)n,
			      "%scoalesce(\"%s\", '')", i ? ", " : "",
			      record_names[i]);
	(void)snprintf(sql + n, sizeof(sql) - (size_t)n,
		       ") FROM record; DROP TABLE record");

	return connection_run(c, sql);
}

/* The fields by their names. New ones come last (acli.md 5.3): a view of before
 * lacks them */
static int view_make(struct connection *c)
{
	char sql[SQL_MAX];
	int n;

	n = snprintf(
		sql, sizeof(sql),
		"DROP VIEW IF EXISTS record; CREATE VIEW record AS SELECT ");
	for (size_t i = 0; i < RECORD_FIELDS; i++) {
		if (i == SEQUENCE)
			n += snprintf(sql + n, sizeof(sql) - (size_t)n,
				      ", sequence");
		else
			n += snprintf(sql + n, sizeof(sql) - (size_t)n,
				      "%sfields ->> %zu AS \"%s\"",
				      i ? ", " : "", i, record_names[i]);
	}
	(void)snprintf(sql + n, sizeof(sql) - (size_t)n, " FROM call_record");

	return connection_run(c, sql);
}

static int table_make(struct connection *c)
{
	char sql[128];
	int err;

	err = ask(c, "SELECT 1 FROM sqlite_schema"
		     " WHERE type = 'table' AND name = 'record'");
	if (!err)
		err = columns_move(c);
	if (err && err != ENOENT)
		return err;

	(void)snprintf(sql, sizeof(sql),
		       "SELECT 1 WHERE %u ="
		       " (SELECT count(*) FROM pragma_table_info('record'))",
		       RECORD_FIELDS);
	err = ask(c, sql);

	return err == ENOENT ? view_make(c) : err;
}

static int sequence_read(struct connection *c, void *arg)
{
	struct journal *j = arg;
	struct statement *s;
	int err = table_make(c);

	if (!err)
		err = statement_kept(&s, c,
				     "SELECT value FROM fact"
				     " WHERE name = 'record-sequence'");
	if (err)
		return err;

	err = statement_step(s);
	if (!err)
		j->sequence = statement_column_number(s, 0);
	statement_reset(s);

	return err == ENOENT ? 0 : err;
}

static void journal_end(void *arg)
{
	struct journal *j = arg;

	/* Who copies or takes away the database needs no file that is empty */
	if (j->fd >= 0 && !j->size && ftruncate(j->fd, 0))
		log_error(DB, "journal-tail", "text=\"%s\"", strerror(errno));
	if (j->fd >= 0)
		(void)close(j->fd);
	kept_drop(j);
	ledger_close(j->ledger);
	stalls_free(j);
	pthread_mutex_destroy(&j->gate);
	pthread_mutex_destroy(&j->mutex);
	free(j);
}

static int journal_open(struct journal *j, struct database *db)
{
	char path[PATH_MAX];
	struct stat st;

	if (snprintf(path, sizeof(path), "%s.records", database_path(db)) >=
	    (int)sizeof(path))
		return ENAMETOOLONG;

	j->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (j->fd < 0 || fstat(j->fd, &st))
		return errno;
	j->size = (uint64_t)st.st_size;

	return 0;
}

int records_open(struct database *db)
{
	static _Atomic uint64_t ids;
	struct journal *j;
	int err;

	if (!db)
		return EINVAL;
	if (database_tick_arg(db))
		return EALREADY;

	j = calloc(1, sizeof(*j));
	if (!j)
		return ENOMEM;

	j->fd = -1;
	j->id = atomic_fetch_add(&ids, 1) + 1;
	if (gethostname(j->node, sizeof(j->node) - 1))
		(void)snprintf(j->node, sizeof(j->node), "localhost");
	pthread_mutex_init(&j->gate, NULL);
	pthread_mutex_init(&j->mutex, NULL);

	err = ledger_alloc(&j->ledger, record_names, RECORD_FIELDS, times,
			   record_is_number);
	if (!err)
		err = database_call(db, sequence_read, j);
	if (!err)
		err = journal_open(j, db);
	if (!err)
		err = journal_check(j);
	if (err) {
		journal_end(j);
		return err;
	}

	database_tick(db, tick, journal_end, j);

	/* A disk that is full now is no reason not to start: they stay where
	 * they are, and the writer tries again */
	if (j->size)
		(void)database_flush(db, 0);

	return 0;
}

/* ---- read ---- */

struct last {
	uint32_t limit;
	record_h *h;
	void *arg;
};

static int read_last(struct connection *c, void *arg)
{
	const struct last *last = arg;
	struct record record;
	struct statement *s;
	int err;

	err = statement_prepare(&s, c,
				"SELECT * FROM record"
				" ORDER BY \"sequence\" DESC LIMIT ?1");
	if (err)
		return err == ENOENT ? 0 : err; /* no record was ever kept */

	statement_number(s, 1, last->limit);
	while (!(err = statement_step(s))) {
		for (size_t i = 0; i < RECORD_FIELDS; i++)
			record.field[i] = statement_column(s, (int)i);
		last->h(&record, last->arg);
	}
	statement_free(s);

	return err == ENOENT ? 0 : err;
}

int records_last(struct database *db, uint32_t limit, record_h *h, void *arg)
{
	struct last last = { .limit = limit, .h = h, .arg = arg };

	if (!db || !h)
		return EINVAL;

	return database_read(db, read_last, &last);
}
