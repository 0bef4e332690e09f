/*
 * Call records as files: CSV and JSON lines, closed when full or old
 *
 * Records are gathered in memory and written in one piece by ledger_flush, so a
 * file holds whole lines only. When that fails the file is cut to what it had and
 * its sequence goes back: the owner asks ledger_last and gives the records again.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "store/ledger.h"
#include "store/log.h"
#include "store/number.h"

enum {
	FORMS = 2,
	NAME = 64,
	TAIL = 64 << 10,   /* looked at for the last line [bytes] */
	GATHER = 64 << 10, /* written when there is so much, still in the
			    * processor's cache [bytes] */
	SEQUENCE = 2       /* field behind "record-type" and "record-version" */
};

static const char part[] = ".part";
static const char prefix[] = "cdr-";

/* The files of one form, one of them open */
struct reel {
	const char *suffix;
	bool json, on;
	int fd;              /* -1: none */
	char path[PATH_MAX]; /* of the open one, with .part */
	char stamp[16];      /* in its name, and the number behind */
	unsigned number;
	uint64_t size;    /* in the file [bytes] */
	uint64_t begun;   /* [s] */
	uint64_t written; /* sequence of the last record in a file */
	uint64_t last;    /* ... and of the last one gathered */
	char *text;       /* gathered */
	size_t used, room;
};

struct ledger {
	const char *const *names;
	struct label *labels; /* one for each name */
	size_t n;
	const size_t *time;
	char folder[PATH_MAX - NAME];
	uint64_t size_max, age_max;
	uint32_t files_max;
	struct reel reel[FORMS];
};

int ledger_alloc(struct ledger **lp, const char *const *names, size_t n,
		 const size_t *time, bool (*is_number)(size_t n))
{
	struct ledger *l = calloc(1, sizeof(*l));
	int err = 0;

	if (l)
		l->labels = calloc(n, sizeof(*l->labels));
	if (!l || !l->labels)
		err = ENOMEM;
	for (size_t i = 0; i < n && !err; i++)
		err = label_make(&l->labels[i], names[i],
				 is_number && is_number(i));
	if (err) {
		free(l ? l->labels : NULL);
		free(l);
		return err;
	}
	l->names = names;
	l->n = n;
	l->time = time;
	l->reel[0] = (struct reel){ .suffix = ".csv", .fd = -1 };
	l->reel[1] =
		(struct reel){ .suffix = ".jsonl", .fd = -1, .json = true };
	*lp = l;

	return 0;
}

/* --- lines ---------------------------------------------------------------- */

/* Room for n bytes behind what is there */
static int reserve(struct reel *r, size_t n)
{
	size_t room = r->room ? r->room : 4096;
	char *more;

	if (r->used + n <= r->room)
		return 0;
	while (room < r->used + n)
		room *= 2;
	more = realloc(r->text, room);
	if (!more)
		return ENOMEM;
	r->text = more;
	r->room = room;

	return 0;
}

static int put(struct reel *r, const char *text, size_t n)
{
	int err = reserve(r, n);

	if (err)
		return err;
	if (n)
		memcpy(r->text + r->used, text, n);
	r->used += n;

	return 0;
}

static int line_put(struct reel *r, const struct ledger *l,
		    const struct strip *fields)
{
	int err = reserve(r, r->json ? QUOTE_OBJECT_MOST(l->n, fields->bytes)
				     : QUOTE_CSV_MOST(l->n, fields->bytes));
	char *end;

	if (err)
		return err;
	end = r->json ? quote_object(r->text + r->used, fields, l->labels)
		      : quote_csv(r->text + r->used, fields);
	r->used = (size_t)(end - r->text);

	return 0;
}

static int head_put(struct reel *r, const struct ledger *l)
{
	int err = 0;

	for (size_t i = 0; i < l->n && !err && !r->json; i++) {
		if (i)
			err = put(r, ",", 1);
		if (!err)
			err = put(r, l->names[i], strlen(l->names[i]));
	}
	return err || r->json ? err : put(r, "\n", 1);
}

/* Sequence that a line of ours has; 0: none */
static uint64_t line_sequence(const struct reel *r, const char *p, size_t n)
{
	static const char key[] = "\"sequence\":";
	const char *end = p + n, *at = p;
	uint64_t number = 0;
	struct pl text;

	if (r->json) {
		at = memmem(p, n, key, sizeof(key) - 1);
		at = at ? at + sizeof(key) - 1 : end;
		at += at < end && *at == '"';
	} else {
		bool quoted = false;

		for (int comma = 0; at < end && comma < SEQUENCE; at++) {
			quoted ^= *at == '"';
			comma += *at == ',' && !quoted;
		}
	}
	text.p = at;
	while (at < end && *at >= '0' && *at <= '9')
		at++;
	text.l = (size_t)(at - text.p);

	return uint_parse(&number, &text, INT64_MAX) ? 0 : number;
}

/* --- names ---------------------------------------------------------------- */

static bool ends_with(const char *name, const char *end)
{
	size_t n = strlen(name), m = strlen(end);

	return n > m && !strcmp(name + n - m, end);
}

static bool is_ours(const struct reel *r, const char *name, bool open)
{
	char end[16];

	(void)snprintf(end, sizeof(end), "%s%s", r->suffix, open ? part : "");
	return !strncmp(name, prefix, sizeof(prefix) - 1) &&
	       strlen(name) < NAME && ends_with(name, end);
}

static int path_make(char path[PATH_MAX], const struct ledger *l,
		     const char *name)
{
	int n = snprintf(path, PATH_MAX, "%s/%s", l->folder, name);

	return n < 0 || n >= PATH_MAX ? ENAMETOOLONG : 0;
}

/* "2026-11-21T17:46:00.123Z" as "20261121-174600" */
static void stamp_make(char stamp[16], const struct ledger *l,
		       const struct strip *fields)
{
	struct pl time = { NULL, 0 };
	size_t at = 0;

	for (const size_t *f = l->time; *f < l->n && !time.l; f++)
		time = strip_get(fields, *f);
	for (size_t i = 0; i < time.l && at < 15; i++) {
		const char c = time.p[i];

		if (c >= '0' && c <= '9')
			stamp[at++] = c;
		else if (c == 'T')
			stamp[at++] = '-';
	}
	stamp[at] = '\0';
	if (at != 15)
		(void)snprintf(stamp, 16, "00000000-000000");
}

/* How many closed files there are, and the oldest and the newest of them */
struct census {
	uint32_t n;
	char oldest[NAME], newest[NAME];
};

static int census_take(struct census *c, const struct ledger *l,
		       const struct reel *r, bool open)
{
	DIR *dir = opendir(l->folder);
	struct dirent *e;

	memset(c, 0, sizeof(*c));
	if (!dir)
		return errno;
	while ((e = readdir(dir))) {
		if (!is_ours(r, e->d_name, open))
			continue;
		if (!c->n || strcmp(e->d_name, c->oldest) < 0)
			(void)snprintf(c->oldest, NAME, "%s", e->d_name);
		if (!c->n || strcmp(e->d_name, c->newest) > 0)
			(void)snprintf(c->newest, NAME, "%s", e->d_name);
		c->n++;
	}
	(void)closedir(dir);

	return 0;
}

static void sweep(const struct ledger *l, const struct reel *r)
{
	char path[PATH_MAX];
	struct census c;

	while (!census_take(&c, l, r, false) && c.n > l->files_max) {
		if (path_make(path, l, c.oldest) || unlink(path))
			return;
	}
}

/* --- one file ------------------------------------------------------------- */

/* Rename "X.part" to "X" */
static int name_settle(const char *path)
{
	char final[PATH_MAX];

	(void)snprintf(final, sizeof(final), "%.*s",
		       (int)(strlen(path) - (sizeof(part) - 1)), path);
	return rename(path, final) ? errno : 0;
}

static int reel_end(struct ledger *l, struct reel *r)
{
	int err = 0;

	if (r->fd < 0)
		return 0;
	if (fdatasync(r->fd)) /* its length with it */
		err = errno;
	(void)close(r->fd);
	r->fd = -1;
	if (!err)
		err = name_settle(r->path);
	sweep(l, r);

	return err;
}

static int reel_begin(struct ledger *l, struct reel *r,
		      const struct strip *fields, uint64_t now)
{
	char stamp[16], name[NAME], path[PATH_MAX];
	int err = 0;

	/* Names of files that are gone do not come again: the order counts */
	stamp_make(stamp, l, fields);
	if (strcmp(stamp, r->stamp) != 0)
		r->number = 0;
	memcpy(r->stamp, stamp, sizeof(stamp));
	while (r->number < 9999) {
		(void)snprintf(name, sizeof(name), "%s%s-%04u%s", prefix, stamp,
			       ++r->number, r->suffix);
		err = path_make(path, l, name);
		if (err)
			return err;
		if (!access(path, F_OK))
			continue;
		err = path_make(r->path, l, name);
		if (strlen(r->path) + sizeof(part) > sizeof(r->path))
			return ENAMETOOLONG;
		strcat(r->path, part);
		r->fd = open(r->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
			     0640);
		if (r->fd >= 0 || errno != EEXIST)
			break;
	}
	if (r->fd < 0)
		return errno;
	r->size = 0;
	r->begun = now;

	return head_put(r, l);
}

/* All that is gathered, or nothing */
static int reel_flush(struct reel *r)
{
	size_t done = 0;
	int err = 0;

	while (done < r->used && !err) {
		ssize_t n = pwrite(r->fd, r->text + done, r->used - done,
				   (off_t)(r->size + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			err = n ? errno : EIO;
		else
			done += (size_t)n;
	}

	/* Should this fail the next write goes over it: the size is ours */
	if (err && done && ftruncate(r->fd, (off_t)r->size))
		log_error(DB, "record-file-tail", "text=\"%s\"",
			  strerror(errno));
	if (!err) {
		r->size += r->used;
		r->written = r->last;
	}
	r->last = r->written;
	r->used = 0;
	/* A file without its first line is none */
	if (err && !r->size && r->fd >= 0) {
		(void)close(r->fd);
		(void)unlink(r->path);
		r->fd = -1;
	}

	return err;
}

static int reel_write(struct ledger *l, struct reel *r,
		      const struct strip *fields, uint64_t sequence,
		      uint64_t now)
{
	size_t before;
	int err = 0;

	if (r->fd >= 0 && r->size + r->used >= l->size_max) {
		err = reel_flush(r);
		if (!err)
			err = reel_end(l, r);
	}
	if (!err && r->fd < 0)
		err = reel_begin(l, r, fields, now);
	before = r->used;
	if (!err)
		err = line_put(r, l, fields);
	if (err) {
		r->used = before;
		return err;
	}

	r->last = sequence;
	return r->used >= GATHER ? reel_flush(r) : 0;
}

/* --- what was there before ------------------------------------------------ */

/* The last whole line of a file, and where it ends */
static int tail_read(const struct reel *r, int fd, uint64_t *sequence,
		     off_t *end)
{
	char *text = malloc(TAIL);
	struct stat st;
	ssize_t n = -1;
	size_t from;
	off_t at = 0;

	*sequence = 0;
	*end = 0;
	if (text && !fstat(fd, &st)) {
		at = st.st_size > TAIL ? st.st_size - TAIL : 0;
		n = pread(fd, text, TAIL, at);
	}
	if (n < 0) {
		free(text);
		return text ? errno : ENOMEM;
	}

	while (n && text[n - 1] != '\n')
		n--;
	*end = at + n;
	from = n ? (size_t)n - 1 : 0;
	while (from && text[from - 1] != '\n')
		from--;
	*sequence = line_sequence(r, text + from, (size_t)n - from);
	free(text);

	return 0;
}

/* One that the end of the program left open: cut to whole lines, and closed */
static int mend(struct ledger *l, struct reel *r, const char *name,
		uint64_t *sequence)
{
	char path[PATH_MAX];
	off_t end;
	int fd, err = path_make(path, l, name);

	if (err)
		return err;
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return errno;
	err = tail_read(r, fd, sequence, &end);
	if (!err && (ftruncate(fd, end) || fsync(fd)))
		err = errno;
	(void)close(fd);
	if (err)
		return err;

	log_notice(DB, "record-file-mended", "file=%s sequence=%llu", name,
		   (unsigned long long)*sequence);
	return *sequence ? name_settle(path) : unlink(path) ? errno : 0;
}

/* Sequence that the newest closed file ends with */
static int closed_last(const struct ledger *l, const struct reel *r,
		       uint64_t *sequence)
{
	char path[PATH_MAX];
	struct census c;
	off_t end;
	int fd, err = census_take(&c, l, r, false);

	*sequence = 0;
	if (err || !c.n)
		return err;
	err = path_make(path, l, c.newest);
	if (err)
		return err;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno;
	err = tail_read(r, fd, sequence, &end);
	(void)close(fd);

	return err;
}

/* A form begins: behind what it has, where it was left in the middle */
static int reel_start(struct ledger *l, struct reel *r, uint64_t newest)
{
	uint64_t found = 0, sequence;
	struct census c;
	int err;

	r->written = r->last = newest;
	for (;;) {
		err = census_take(&c, l, r, true);
		if (err || !c.n)
			break;
		err = mend(l, r, c.newest, &sequence);
		if (err)
			return err;
		if (sequence > found)
			found = sequence;
	}
	if (err || !found)
		return err;

	/* One that could not be closed may be older than others */
	err = closed_last(l, r, &sequence);
	if (sequence > found)
		found = sequence;
	if (found < newest)
		r->written = r->last = found;
	return err;
}

/* --- the whole ------------------------------------------------------------ */

static int all_end(struct ledger *l)
{
	int err = 0;

	for (size_t i = 0; i < FORMS; i++) {
		struct reel *r = &l->reel[i];
		int failed = r->fd >= 0 && r->used ? reel_flush(r) : 0;

		if (!failed)
			failed = reel_end(l, r);
		err = err ? err : failed;
	}
	return err;
}

void ledger_close(struct ledger *l)
{
	if (!l)
		return;
	(void)all_end(l);
	for (size_t i = 0; i < FORMS; i++) {
		if (l->reel[i].fd >= 0)
			(void)close(l->reel[i].fd);
		free(l->reel[i].text);
	}
	free(l->labels);
	free(l);
}

int ledger_follow(struct ledger *l, const struct ledger_setup *setup,
		  uint64_t newest)
{
	bool want[FORMS] = { *setup->folder && setup->csv,
			     *setup->folder && setup->json };
	bool moved = strcmp(l->folder, setup->folder) != 0;
	int err = 0;

	l->size_max = setup->size_max;
	l->files_max = setup->files_max;
	l->age_max = setup->age_max;
	if (moved) {
		err = all_end(l);
		if (strlen(setup->folder) >= sizeof(l->folder))
			return ENAMETOOLONG;
		strcpy(l->folder, setup->folder);
	}
	if ((want[0] || want[1]) && mkdir(l->folder, 0750) && errno != EEXIST)
		return errno;

	for (size_t i = 0; i < FORMS; i++) {
		struct reel *r = &l->reel[i];
		int failed = 0;

		if (r->on && !want[i] && r->fd >= 0) {
			failed = r->used ? reel_flush(r) : 0;
			if (!failed)
				failed = reel_end(l, r);
		}
		if (want[i] && (!r->on || moved))
			failed = reel_start(l, r, newest);
		r->on = want[i] && !failed;
		err = err ? err : failed;
	}
	return err;
}

bool ledger_last(const struct ledger *l, uint64_t *sequence)
{
	bool any = false;

	for (size_t i = 0; i < FORMS; i++) {
		const struct reel *r = &l->reel[i];

		if (!r->on)
			continue;
		if (!any || r->last < *sequence)
			*sequence = r->last;
		any = true;
	}
	return any;
}

int ledger_write(struct ledger *l, const struct strip *fields,
		 uint64_t sequence, uint64_t now)
{
	int err = 0;

	for (size_t i = 0; i < FORMS; i++) {
		struct reel *r = &l->reel[i];
		int failed;

		if (!r->on || sequence <= r->last)
			continue;
		failed = reel_write(l, r, fields, sequence, now);
		err = err ? err : failed;
	}
	return err;
}

int ledger_flush(struct ledger *l)
{
	int err = 0;

	for (size_t i = 0; i < FORMS; i++) {
		struct reel *r = &l->reel[i];
		int failed = r->fd >= 0 && r->used ? reel_flush(r) : 0;

		err = err ? err : failed;
	}
	return err;
}

int ledger_turn(struct ledger *l, uint64_t now, bool all)
{
	int err = 0;

	for (size_t i = 0; i < FORMS; i++) {
		struct reel *r = &l->reel[i];
		int failed;

		if (r->fd < 0 ||
		    (!all && (!l->age_max || now - r->begun < l->age_max)))
			continue;
		failed = r->used ? reel_flush(r) : 0;
		if (!failed)
			failed = reel_end(l, r);
		err = err ? err : failed;
	}
	return err;
}

const char *ledger_path(const struct ledger *l)
{
	for (size_t i = 0; i < FORMS; i++)
		if (l->reel[i].fd >= 0)
			return l->reel[i].path;
	return "";
}
