/*
 * Call records, written behind
 *
 * The journal is the queue: a file "PATH.records" beside the database. The
 * writer thread appends the records of a turn to it in one piece, and forgets
 * them. Once a second it reads the file from the start, puts the records into
 * SQLite in transactions that are on the disk when they return, and empties the
 * file. The start of the program does the same, so there is one way in. While
 * SQLite fails the journal grows up to its bound.
 *
 * The ledger gets each record on its way into SQLite, as long as it has all
 * before it; what it lacks it gets out of SQLite.
 *
 * One record in the file: length and checksum of the payload (4 and 8 bytes,
 * this machine's order), then for each field two bytes of length and its
 * bytes. What follows the first record that is not whole was cut off by the
 * power and is dropped; a failed append is taken back at once. The sequence is
 * the key in SQLite, so a record that was moved before a crash and is read
 * again is not counted twice.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
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
	FIELD_MAX = UINT16_MAX, /* [bytes] */
	RECORD_MAX = 256 << 10, /* payload of one record [bytes] */
	HEAD = 12,              /* length and checksum [bytes] */
	MOVE = 2000,            /* records in one transaction */
	FILED = 500,            /* ... read for the files at one time */
	JOURNAL_MAX = 1 << 30,  /* [bytes] */
	GATHERED_MAX = 1 << 20, /* before it goes into the journal [bytes] */
	SEQUENCE = 2,           /* fields filled in here */
	NODE = 3,
	SETUP_TIME = 9,
	SQL_MAX = 8192,
};

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

struct journal {
	int fd;
	uint64_t size;     /* [bytes] */
	uint64_t sequence; /* of the newest record */
	struct {
		uint8_t *bytes;
		size_t used, room;
	} gathered; /* of this turn of the writer, not in the file yet */
	char node[256];

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

struct put {
	struct database_job job; /* first */
	struct journal *journal;
	uint16_t length[RECORD_FIELDS];
	char bytes[];
};

/* FNV-1a over words: tells a torn write, is no defence and needs to be none */
static uint64_t checksum(const uint8_t *p, size_t n)
{
	const uint64_t prime = 0x100000001b3;
	uint64_t sum = 0xcbf29ce484222325, word;

	for (; n >= sizeof(word); n -= sizeof(word), p += sizeof(word)) {
		memcpy(&word, p, sizeof(word));
		sum = (sum ^ word) * prime;
		sum ^= sum >> 32;
	}
	while (n--)
		sum = (sum ^ *p++) * prime;

	return sum;
}

/* disconnect-time, connect-time, ring-time, setup-time: when it was written */
static const size_t times[] = { SETUP_TIME + 3, SETUP_TIME + 2, SETUP_TIME + 1,
				SETUP_TIME, RECORD_FIELDS };

/* ---- into the journal ---- */

static uint8_t *field_add(uint8_t *p, const void *text, uint16_t n)
{
	memcpy(p, &n, sizeof(n));
	if (n)
		memcpy(p + sizeof(n), text, n);

	return p + sizeof(n) + n;
}

/* Room behind what is gathered */
static uint8_t *gather(struct journal *j, size_t n)
{
	size_t room = j->gathered.room ? j->gathered.room : 4096;
	uint8_t *more;

	if (j->gathered.used + n <= j->gathered.room)
		return j->gathered.bytes + j->gathered.used;
	while (room < j->gathered.used + n)
		room *= 2;
	more = realloc(j->gathered.bytes, room);
	if (!more)
		return NULL;
	j->gathered.bytes = more;
	j->gathered.room = room;

	return more + j->gathered.used;
}

/* What was gathered into the file, or nothing of it */
static int append(void *arg)
{
	struct journal *j = arg;
	size_t done = 0;
	int err = 0;

	while (done < j->gathered.used) {
		ssize_t w = pwrite(j->fd, j->gathered.bytes + done,
				   j->gathered.used - done,
				   (off_t)(j->size + done));

		if (w < 0 && errno == EINTR)
			continue;
		if (w <= 0) {
			err = w ? errno : EIO;
			break;
		}
		done += (size_t)w;
	}

	/* Half a record would hide all that come after it. Should this fail,
	 * the next append writes over it: the size is ours */
	if (err && ftruncate(j->fd, (off_t)j->size))
		log_error(DB, "journal-tail", "text=\"%s\"", strerror(errno));
	if (err)
		return err;

	j->size += j->gathered.used;
	j->gathered.used = 0;
	if (j->gathered.room > RECORD_MAX) { /* there was a rush */
		free(j->gathered.bytes);
		memset(&j->gathered, 0, sizeof(j->gathered));
	}
	return 0;
}

static int put_run(struct connection *c, struct database_job *job)
{
	struct put *put = (void *)job;
	struct journal *j = put->journal;
	const char *text = put->bytes;
	size_t size = HEAD, digits;
	uint8_t *bytes, *p;
	uint32_t length;
	char number[24];
	uint64_t sum;
	int err;

	(void)c;
	for (size_t i = 0; i < RECORD_FIELDS; i++)
		size += sizeof(uint16_t) + put->length[i];
	size += sizeof(number) + sizeof(j->node);
	if (j->size + j->gathered.used + size > JOURNAL_MAX)
		return ENOSPC;
	/* While the file cannot be written the jobs wait, not their bytes here */
	if (j->gathered.used > GATHERED_MAX) {
		err = append(j);
		if (err)
			return err;
	}
	bytes = gather(j, size);
	if (!bytes)
		return ENOMEM;

	digits = uint_write(number, j->sequence + 1);
	p = bytes + HEAD;
	for (size_t i = 0; i < RECORD_FIELDS; i++) {
		if (i == SEQUENCE)
			p = field_add(p, number, (uint16_t)digits);
		else if (i == NODE && !put->length[i])
			p = field_add(p, j->node, (uint16_t)strlen(j->node));
		else
			p = field_add(p, text, put->length[i]);
		text += put->length[i];
	}

	length = (uint32_t)(p - bytes - HEAD);
	sum = checksum(bytes + HEAD, length);
	memcpy(bytes, &length, sizeof(length));
	memcpy(bytes + sizeof(length), &sum, sizeof(sum));
	j->gathered.used += HEAD + length;
	j->sequence++;

	return 0;
}

static void put_free(struct database_job *job)
{
	free(job);
}

int records_put(struct database *db, const struct record *record)
{
	struct journal *j = db ? database_tick_arg(db) : NULL;
	struct put *put;
	size_t size = 0;
	char *p;
	int err;

	if (!j || !record)
		return EINVAL;

	for (size_t i = 0; i < RECORD_FIELDS; i++) {
		if (record->field[i].l > FIELD_MAX)
			return EMSGSIZE;
		size += record->field[i].l;
	}
	if (size > RECORD_MAX - 4096)
		return EMSGSIZE;

	put = calloc(1, sizeof(*put) + size);
	if (!put)
		return ENOMEM;

	p = put->bytes;
	for (size_t i = 0; i < RECORD_FIELDS; i++) {
		const struct pl *field = &record->field[i];

		put->length[i] = (uint16_t)field->l;
		if (field->l)
			memcpy(p, field->p, field->l);
		p += field->l;
	}
	put->journal = j;
	put->job.run = put_run;
	put->job.free = put_free;
	put->job.beside = true;

	err = database_queue(db, &put->job);
	if (err)
		free(put);

	return err;
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

/* The fields of one payload; EBADMSG when they are not all there */
static int fields_of(struct record *record, const uint8_t *p, size_t n)
{
	uint16_t length;

	for (size_t i = 0; i < RECORD_FIELDS; i++) {
		if (n < sizeof(length))
			return EBADMSG;
		memcpy(&length, p, sizeof(length));
		p += sizeof(length);
		n -= sizeof(length);
		if (length > n)
			return EBADMSG;
		record->field[i] = (struct pl){ (const char *)p, length };
		p += length;
		n -= length;
	}

	return n ? EBADMSG : 0;
}

/* A stretch of the journal in memory */
struct window {
	uint8_t *bytes;
	uint64_t from;
	size_t n;
};

enum {
	WINDOW = HEAD + RECORD_MAX
};

static int window_open(struct window *w)
{
	*w = (struct window){ .bytes = malloc(WINDOW) };

	return w->bytes ? 0 : ENOMEM;
}

/* n bytes of the journal from a place on, all of them within it */
static int window_at(struct window *w, const struct journal *j, uint64_t at,
		     size_t n, const uint8_t **p)
{
	uint64_t left = j->size - at;
	int err = 0;

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

/* One record at a place of the journal, its fields in the window; EBADMSG: cut
 * off here */
static int record_read(const struct journal *j, struct window *w,
		       struct record *record, uint64_t at, uint64_t *nextp)
{
	const uint8_t *p;
	uint32_t length;
	uint64_t sum;
	int err;

	if (j->size - at < HEAD)
		return EBADMSG;
	err = window_at(w, j, at, HEAD, &p);
	if (err)
		return err;

	memcpy(&length, p, sizeof(length));
	memcpy(&sum, p + sizeof(length), sizeof(sum));
	if (length > RECORD_MAX || length > j->size - at - HEAD)
		return EBADMSG;
	err = window_at(w, j, at, HEAD + length, &p);
	if (err)
		return err;
	if (checksum(p + HEAD, length) != sum)
		return EBADMSG;

	*nextp = at + HEAD + length;

	return fields_of(record, p + HEAD, length);
}

/* Where the whole records end, and the sequence of the last of them */
static int journal_check(struct journal *j)
{
	struct record record;
	uint64_t at = 0, next = 0, sequence;
	struct window w;
	int err = window_open(&w);

	while (!err && at < j->size) {
		err = record_read(j, &w, &record, at, &next);
		if (!err)
			err = uint_parse(&sequence, &record.field[SEQUENCE],
					 INT64_MAX)
				      ? EBADMSG
				      : 0;
		if (err)
			break;
		if (sequence > j->sequence)
			j->sequence = sequence;
		at = next;
	}
	free(w.bytes);

	if (err == EBADMSG) {
		log_warning(DB, "journal-cut", "bytes=%llu",
			    (unsigned long long)(j->size - at));
		err = ftruncate(j->fd, (off_t)at) ? errno : 0;
		j->size = at;
	}

	return err;
}

struct move {
	struct journal *journal;
	struct window window;
	struct {
		char *bytes;
		size_t room;
	} text; /* of one record, for SQLite */
	uint64_t at;
};

/* The fields as an array of texts, as large as can be at worst */
static int fields_text(struct move *move, const struct record *record,
		       struct pl *text)
{
	size_t most = 2;
	char *p;

	for (size_t i = 0; i < RECORD_FIELDS; i++)
		most += QUOTE_JSON_MOST(record->field[i].l) + 1;
	if (most > move->text.room) {
		p = realloc(move->text.bytes, most);
		if (!p)
			return ENOMEM;
		move->text.bytes = p;
		move->text.room = most;
	}

	p = move->text.bytes;
	for (size_t i = 0; i < RECORD_FIELDS; i++) {
		*p++ = i ? ',' : '[';
		p = quote_json(p, &record->field[i]);
	}
	*p++ = ']';
	*text = (struct pl){ move->text.bytes, (size_t)(p - move->text.bytes) };

	return 0;
}

static int record_insert(struct connection *c, struct move *move,
			 const struct record *record, uint64_t sequence)
{
	struct statement *s;
	struct pl text;
	int err;

	err = fields_text(move, record, &text);
	if (err)
		return err;
	err = statement_kept(&s, c,
			     "INSERT OR IGNORE INTO call_record"
			     " VALUES(?1, ?2)");
	if (err)
		return err;

	statement_number(s, 1, sequence);
	statement_pl(s, 2, &text);

	return statement_run(s);
}

/* A ledger that has all before it need not read it out of SQLite. What goes
 * wrong here is found and told by files_write */
static void record_file(struct journal *j, const struct record *record,
			uint64_t sequence)
{
	uint64_t last;

	if (!j->barred && ledger_last(j->ledger, &last) && last + 1 == sequence)
		(void)ledger_write(j->ledger, record->field, sequence, j->now);
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
	struct record record;
	uint64_t at = move->at, sequence = 0;
	int err = 0;

	for (int n = 0; n < MOVE && at < j->size && !err; n++) {
		err = record_read(j, &move->window, &record, at, &at);
		if (!err)
			err = uint_parse(&sequence, &record.field[SEQUENCE],
					 INT64_MAX)
				      ? EBADMSG
				      : 0;
		if (!err)
			err = record_insert(c, move, &record, sequence);
		if (!err)
			record_file(j, &record, sequence);
	}
	if (!err)
		err = sequence_keep(c, j);
	if (!err)
		err = sweep(c, j);
	if (!err)
		move->at = at;

	return err;
}

static int journal_move(struct connection *c, void *arg)
{
	struct move move = { .journal = arg };
	struct journal *j = arg;
	int err = append(j);

	if (err || !j->size)
		return err;

	err = window_open(&move.window);
	while (!err && move.at < j->size)
		err = connection_transaction(c, true, move_some, &move);
	free(move.window.bytes);
	free(move.text.bytes);
	/* Somebody else has cut the file, or the disk has lost a part: what
	 * cannot be read must not hold up what comes */
	if (err == EBADMSG)
		(void)journal_check(j);
	if (err)
		return err;

	if (ftruncate(j->fd, 0))
		return errno;
	j->size = 0;

	return 0;
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
	struct record record;
	struct statement *s;
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
	while (!(err = statement_step(s))) {
		for (size_t i = 0; i < RECORD_FIELDS; i++)
			record.field[i] = statement_column(s, (int)i);
		sequence = statement_column_number(s, SEQUENCE);
		err = ledger_write(j->ledger, record.field, sequence, j->now);
		if (err)
			break;
		++*n;
	}
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

	if (j->fd >= 0)
		(void)close(j->fd);
	free(j->gathered.bytes);
	ledger_close(j->ledger);
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
	if (gethostname(j->node, sizeof(j->node) - 1))
		(void)snprintf(j->node, sizeof(j->node), "localhost");
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

	database_tick(db, append, tick, journal_end, j);

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
