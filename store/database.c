/*
 * SQLite: open, migrate, read-only connections, and the one writer thread
 *
 * Durability. The file is in WAL mode. A commit is in the WAL when it returns,
 * so the end of the process loses nothing that was committed. Against a power
 * cut there are two ways to write. Rows of the queue are committed with
 * synchronous=NORMAL: the WAL is synced before each checkpoint only, so a cut
 * may take the last rows, whole transactions from the end, and never damages
 * the file. Work that somebody waits for (database_call: a saved version, an
 * import, an epoch) and call records moved out of their journal are committed
 * with synchronous=FULL: the WAL is synced before the commit returns.
 *
 * Parts. `rows` wait for the next transaction, `beside` for the next write to
 * a file of their owner, `calls` for their answer, `waiters` for the end of
 * what was queued before them. One mutex guards these four and is not held
 * while anything of theirs runs. A turn of the writer takes all of them once;
 * without a thread (offline, and before database_start) the caller does.
 *
 * A turn begins LINGER after the first row, so that rows share a transaction;
 * who waits for an answer is served at once. While something fails it is tried
 * again after a pause that doubles up to PAUSE_MAX.
 *
 * store calls no clock: the pauses are those of two timer descriptors, and
 * times in the database are SQLite's.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <unistd.h>
#include <sqlite3.h>
#include "store/database.h"
#include "store/log.h"

enum {
	LINGER = 50,     /* rows gather [ms] */
	TICK = 1000,     /* of the tick after something was written [ms] */
	PAUSE_MIN = 100, /* between tries while it fails [ms] */
	PAUSE_MAX = 5000,
	BATCH = 4096,     /* rows of one transaction */
	BUSY_WAIT = 1000, /* for a lock of SQLite's, held by a reader [ms] */
	KEPT_MAX = 64,    /* kept statements of one connection */
	CHECK_MAX =
		16 << 20, /* up to this size all pages are checked [bytes] */
	BREATH = 50000,   /* steps of SQLite's machine between two breaths */
	APPLICATION = 0x53424344, /* "SBCD", in the header of the file */
};

/* Each entry makes the next version of the form out of the one before; what
 * was released is never edited. Tables of elements and of records follow their
 * own tables (versions, records). */
static const char *const migrations[] = {
	"CREATE TABLE fact(name TEXT PRIMARY KEY, value INTEGER NOT NULL)"
	" WITHOUT ROWID;"
	"CREATE TABLE version(number INTEGER PRIMARY KEY, saved TEXT NOT NULL,"
	" by TEXT NOT NULL, elements INTEGER NOT NULL);"
	/* origin 0: entry of the running configuration, 1: imported */
	"CREATE TABLE credential(realm TEXT NOT NULL, auth_realm TEXT NOT NULL,"
	" lookup TEXT NOT NULL, origin INTEGER NOT NULL,"
	" username TEXT NOT NULL, password TEXT NOT NULL,"
	" PRIMARY KEY(realm, auth_realm, lookup, origin)) WITHOUT ROWID;"
	"CREATE INDEX credential_entry ON credential(origin) WHERE origin = 0;"
	"CREATE TABLE aor_credential(agent TEXT NOT NULL, user TEXT NOT NULL,"
	" username TEXT NOT NULL, password TEXT NOT NULL,"
	" PRIMARY KEY(agent, user)) WITHOUT ROWID;"
	"CREATE TABLE registration(agent TEXT NOT NULL, aor TEXT NOT NULL,"
	" callid TEXT, from_tag TEXT, contact TEXT, registrar TEXT,"
	" target TEXT, service_route TEXT, associated TEXT,"
	" cseq_reserved INTEGER, granted INTEGER, min_expires INTEGER,"
	" failures INTEGER, expires INTEGER, refresh INTEGER, shard INTEGER,"
	" epoch INTEGER, state INTEGER, PRIMARY KEY(agent, aor))"
	" WITHOUT ROWID;",
	/* NULL: nobody counted */
	"ALTER TABLE version ADD COLUMN errors INTEGER;"
	"ALTER TABLE version ADD COLUMN warnings INTEGER;",
	/* A log, in the order in which rows were written: AoRs come due in any
	 * order, so that each of many rows in the order of AoRs would be a page
	 * of its own. Of the rows of an AoR the last one counts, unless it is
	 * gone; the others are dropped in time (registrations) */
	"CREATE TABLE registration_log(n INTEGER PRIMARY KEY,"
	" agent TEXT NOT NULL, aor TEXT NOT NULL,"
	" callid TEXT, from_tag TEXT, contact TEXT, registrar TEXT,"
	" target TEXT, service_route TEXT, associated TEXT,"
	" cseq_reserved INTEGER, granted INTEGER, min_expires INTEGER,"
	" failures INTEGER, expires INTEGER, refresh INTEGER, shard INTEGER,"
	" epoch INTEGER, state INTEGER, gone INTEGER NOT NULL,"
	" written INTEGER NOT NULL);"
	"INSERT INTO registration_log(agent, aor, callid, from_tag, contact,"
	" registrar, target, service_route, associated, cseq_reserved, granted,"
	" min_expires, failures, expires, refresh, shard, epoch, state, gone,"
	" written) SELECT *, 0, coalesce((SELECT value FROM fact WHERE"
	" name = 'registrations-written'), 0) FROM registration;"
	"DELETE FROM fact WHERE name = 'registrations-written';"
	"DROP TABLE registration;"
	"CREATE VIEW registration AS SELECT agent, aor, callid, from_tag,"
	" contact, registrar, target, service_route, associated,"
	" cseq_reserved, granted, min_expires, failures, expires, refresh,"
	" shard, epoch, state FROM (SELECT *, max(n) FROM registration_log"
	" GROUP BY agent, aor) WHERE NOT gone;",
	/* Call records, their fields in one JSON array: nobody looks for a
	 * record by a field, and a column for each made most of the work of
	 * writing one. By name they are in the view `record` (records) */
	"CREATE TABLE call_record(sequence INTEGER PRIMARY KEY,"
	" fields TEXT NOT NULL);",
};

enum {
	FORM = sizeof(migrations) / sizeof(migrations[0])
};

struct statement {
	sqlite3_stmt *stmt;
	struct connection *c;
};

struct connection {
	sqlite3 *handle;
	struct {
		const char *sql;
		struct statement s;
	} kept[KEPT_MAX];
	size_t n;
	uint64_t undone;
	void *with; /* of connection_keep, or NULL */
	void (*with_free)(void *);
};

struct call {
	struct le le;
	database_work_h *work;
	void *arg;
	int err;
	bool done;
};

struct waiter {
	struct le le;
	uint64_t number; /* all up to this one */
	int fd;
	bool taken; /* by a turn that began later */
	bool done;
};

/* What may fail by itself, and is tried again by itself */
enum fault {
	FAULT_ROWS,
	FAULT_BESIDE,
	FAULT_TICK,
	FAULTS
};

struct database {
	char *path, *uri;
	bool readonly, immutable;
	int lock; /* descriptor of the lock file, -1: none */
	struct connection *writer;

	pthread_mutex_t mutex;
	struct list rows, beside, calls, waiters;
	struct table keys;
	uint64_t last;                  /* number of the newest job */
	uint64_t flying, flying_beside; /* being written; 0: none */
	bool urgent, stop;
	pthread_cond_t called;
	atomic_uint backlog;

	/* of the writer alone */
	int faults[FAULTS];
	char why[DATABASE_WHY];
	uint32_t pause;
	bool busy_beside, wrote;
	bool swollen; /* the log, by what the disk had no room for */
	bool ticking; /* the timer of `second` runs */
	database_work_h *tick;
	void (*tick_end)(void *arg);
	void *tick_arg;

	bool running;
	pthread_t thread;
	int wake, second, again;
	database_h *h;
	void *arg;
	database_flush_h *flushes; /* or NULL */
	void *flushes_arg;
	atomic_bool failing;
	atomic_ullong announced;
};

static int error_of(int code)
{
	switch (code & 0xff) {
	case SQLITE_OK:
	case SQLITE_DONE:
	case SQLITE_ROW:
		return 0;
	case SQLITE_NOMEM:
		return ENOMEM;
	case SQLITE_FULL:
		return ENOSPC;
	case SQLITE_READONLY:
		return EROFS;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return EBADMSG;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return EBUSY;
	case SQLITE_CONSTRAINT:
		return EEXIST;
	case SQLITE_MISMATCH:
	case SQLITE_RANGE:
	case SQLITE_TOOBIG:
		return ERANGE;
	case SQLITE_INTERRUPT:
		return EINTR;
	case SQLITE_PERM:
	case SQLITE_AUTH:
		return EACCES;
	default:
		return EIO;
	}
}

const char *connection_error(const struct connection *c)
{
	return c ? sqlite3_errmsg(c->handle) : "no database";
}

uint64_t connection_changed(const struct connection *c)
{
	return (uint64_t)sqlite3_total_changes64(c->handle);
}

uint64_t connection_undone(const struct connection *c)
{
	return c->undone;
}

void connection_keep(struct connection *c, void *kept, void (*release)(void *))
{
	assert(!c->with);
	c->with = kept;
	c->with_free = release;
}

void *connection_kept(const struct connection *c)
{
	return c->with;
}

uint64_t connection_last(const struct connection *c)
{
	return (uint64_t)sqlite3_last_insert_rowid(c->handle);
}

int connection_run(struct connection *c, const char *sql)
{
	return error_of(sqlite3_exec(c->handle, sql, NULL, NULL, NULL));
}

void connection_close(struct connection *c)
{
	if (!c)
		return;

	for (size_t i = 0; i < c->n; i++)
		(void)sqlite3_finalize(c->kept[i].s.stmt);
	if (c->with)
		c->with_free(c->with);
	/* _v2 waits for statements somebody forgot instead of failing */
	(void)sqlite3_close_v2(c->handle);
	free(c);
}

static int connection_open(struct connection **cp, const char *uri, int flags)
{
	struct connection *c = calloc(1, sizeof(*c));
	int err;

	if (!c)
		return ENOMEM;

	err = error_of(sqlite3_open_v2(
		uri, &c->handle, flags | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX,
		NULL));
	if (!err)
		err = error_of(sqlite3_busy_timeout(c->handle, BUSY_WAIT));
	if (!err)
		err = error_of(sqlite3_extended_result_codes(c->handle, 1));

	if (err)
		connection_close(c);
	else
		*cp = c;

	return err;
}

int statement_prepare(struct statement **sp, struct connection *c,
		      const char *sql)
{
	struct statement *s = calloc(1, sizeof(*s));
	int code;

	if (!s)
		return ENOMEM;

	s->c = c;
	code = sqlite3_prepare_v2(c->handle, sql, -1, &s->stmt, NULL);
	if (code != SQLITE_OK) {
		free(s);
		return code == SQLITE_ERROR ? ENOENT : error_of(code);
	}
	*sp = s;

	return 0;
}

int statement_kept(struct statement **sp, struct connection *c, const char *sql)
{
	int err;

	for (size_t i = 0; i < c->n; i++) {
		if (c->kept[i].sql != sql)
			continue;
		*sp = &c->kept[i].s;
		return 0;
	}

	assert(c->n < KEPT_MAX);
	if (c->n == KEPT_MAX)
		return ENOBUFS;

	err = error_of(sqlite3_prepare_v3(c->handle, sql, -1,
					  SQLITE_PREPARE_PERSISTENT,
					  &c->kept[c->n].s.stmt, NULL));
	if (err)
		return err;

	c->kept[c->n].sql = sql;
	c->kept[c->n].s.c = c;
	*sp = &c->kept[c->n++].s;

	return 0;
}

void statement_free(struct statement *s)
{
	if (!s)
		return;

	(void)sqlite3_finalize(s->stmt);
	free(s);
}

/* Bytes of the caller's are not copied, so that binding cannot fail but by a
 * wrong number, which is a mistake of ours */
static void bind_bytes(struct statement *s, int n, const char *p, size_t l)
{
	int code = sqlite3_bind_text64(s->stmt, n, p ? p : "", p ? l : 0,
				       SQLITE_STATIC, SQLITE_UTF8);

	assert(code == SQLITE_OK);
	(void)code;
}

void statement_text(struct statement *s, int n, const char *text)
{
	bind_bytes(s, n, text, text ? strlen(text) : 0);
}

void statement_pl(struct statement *s, int n, const struct pl *text)
{
	bind_bytes(s, n, text->p, text->l);
}

void statement_number(struct statement *s, int n, uint64_t number)
{
	int code = sqlite3_bind_int64(s->stmt, n, (sqlite3_int64)number);

	assert(code == SQLITE_OK);
	(void)code;
}

void statement_clear(struct statement *s)
{
	(void)sqlite3_clear_bindings(s->stmt); /* always SQLITE_OK */
}

int statement_step(struct statement *s)
{
	int code = sqlite3_step(s->stmt);

	if (code == SQLITE_ROW)
		return 0;
	if (code == SQLITE_DONE)
		return ENOENT;

	return error_of(code);
}

void statement_reset(struct statement *s)
{
	/* The errno of the step before is repeated here */
	(void)sqlite3_reset(s->stmt);
}

int statement_run(struct statement *s)
{
	int err;

	do
		err = statement_step(s);
	while (!err);
	statement_reset(s);

	return err == ENOENT ? 0 : err;
}

struct pl statement_column(struct statement *s, int n)
{
	struct pl pl = { .p = statement_column_text(s, n) };

	pl.l = (size_t)sqlite3_column_bytes(s->stmt, n);

	return pl;
}

const char *statement_column_text(struct statement *s, int n)
{
	const char *text = (const char *)sqlite3_column_text(s->stmt, n);

	return text ? text : "";
}

uint64_t statement_column_number(struct statement *s, int n)
{
	return (uint64_t)sqlite3_column_int64(s->stmt, n);
}

static void rollback(struct connection *c)
{
	/* SQLite itself has ended it where the disk failed */
	if (!sqlite3_get_autocommit(c->handle))
		(void)connection_run(c, "ROLLBACK");
}

int connection_transaction(struct connection *c, bool durable,
			   database_work_h *work, void *arg)
{
	int err;

	/* Changes nothing inside of a transaction, so it comes first */
	err = connection_run(c, durable ? "PRAGMA synchronous=FULL"
					: "PRAGMA synchronous=NORMAL");
	if (!err)
		err = connection_run(c, "BEGIN IMMEDIATE");
	if (err)
		return err;

	err = work(c, arg);
	if (!err)
		err = connection_run(c, "COMMIT");
	if (err) {
		rollback(c);
		c->undone++;
	}

	return err;
}

static int number_of(struct connection *c, const char *sql, uint64_t *numberp)
{
	struct statement *s;
	int err;

	err = statement_prepare(&s, c, sql);
	if (err)
		return err;

	err = statement_step(s);
	if (!err)
		*numberp = statement_column_number(s, 0);
	statement_free(s);

	return err;
}

/* ---- the queue ---- */

static bool key_match(const struct entry *e, const void *key)
{
	const struct database_job *job =
		(const void *)((const char *)e -
			       offsetof(struct database_job, entry));

	return job->key == *(const uint64_t *)key;
}

static struct database_job *job_waiting(const struct database *db, uint64_t key)
{
	struct entry *e = table_find(&db->keys, key, key_match, &key);

	if (!e)
		return NULL;

	return (void *)((char *)e - offsetof(struct database_job, entry));
}

static void wake(struct database *db)
{
	uint64_t one = 1;
	ssize_t n = write(db->wake, &one, sizeof(one));

	(void)n; /* EAGAIN: it is awake 2^64 times over */
}

/* Under the mutex. The newest row takes the place of the one that waits, so
 * that a row that changes all the time is written all the same */
static int row_queue(struct database *db, struct database_job *job,
		     struct database_job **oldp)
{
	struct database_job *old = NULL;
	int err;

	if (job->key) {
		old = job_waiting(db, job->key);
		if (!old && atomic_load(&db->backlog) >= DATABASE_QUEUE)
			return ENOBUFS;
		err = table_add(&db->keys, &job->entry, job->key);
		if (err)
			return err;
	}

	if (!old) {
		job->number = ++db->last;
		list_append(&db->rows, &job->le, job);
		return 0;
	}

	job->number = old->number;
	list_insert_before(&db->rows, &old->le, &job->le, job);
	list_unlink(&old->le);
	table_remove(&db->keys, &old->entry);
	*oldp = old;

	return 0;
}

int database_queue(struct database *db, struct database_job *job)
{
	struct database_job *old = NULL;
	bool first = false;
	int err = 0;

	if (!db || !job)
		return EINVAL;
	if (db->readonly)
		return EROFS;

	pthread_mutex_lock(&db->mutex);
	if ((job->beside || !job->key) &&
	    atomic_load(&db->backlog) >= DATABASE_QUEUE) {
		err = ENOBUFS;
	} else if (job->beside) {
		first = list_isempty(&db->beside);
		job->number = ++db->last;
		list_append(&db->beside, &job->le, job);
	} else {
		first = list_isempty(&db->rows);
		err = row_queue(db, job, &old);
	}
	if (!err && !old)
		atomic_fetch_add(&db->backlog, 1);
	pthread_mutex_unlock(&db->mutex);

	if (old)
		old->free(old);
	if (!err && first)
		wake(db);

	return err;
}

/* Under the mutex: back to the front, in the old order. A newer row of the key
 * takes the place of the one that could not be written */
static void rows_back(struct database *db, struct list *batch,
		      struct list *dead)
{
	struct le *le;

	while ((le = list_tail(batch))) {
		struct database_job *job = le->data, *newer = NULL;

		list_unlink(le);
		if (job->key)
			newer = job_waiting(db, job->key);
		if (newer) {
			list_unlink(&newer->le);
			newer->number = job->number;
			list_prepend(&db->rows, &newer->le, newer);
			list_append(dead, &job->le, job);
			continue;
		}
		/* Without memory for the entry a newer row will be written
		 * after this one instead of in its place */
		if (job->key)
			(void)table_add(&db->keys, &job->entry, job->key);
		list_prepend(&db->rows, &job->le, job);
	}
}

static uint32_t jobs_free(struct list *jobs)
{
	struct le *le;
	uint32_t n = 0;

	while ((le = list_head(jobs))) {
		struct database_job *job = le->data;

		list_unlink(le);
		job->free(job);
		n++;
	}

	return n;
}

static void rows_take(struct database *db, struct list *batch, uint64_t limit)
{
	struct le *le;
	size_t n = 0;

	pthread_mutex_lock(&db->mutex);
	while ((le = list_head(&db->rows)) && n++ < BATCH) {
		struct database_job *job = le->data;

		if (job->number > limit)
			break;
		if (!db->flying)
			db->flying = job->number;
		list_unlink(le);
		if (job->key)
			table_remove(&db->keys, &job->entry);
		list_append(batch, &job->le, job);
	}
	pthread_mutex_unlock(&db->mutex);
}

static bool row_is_bad(int err)
{
	return err == EINVAL || err == EEXIST || err == ERANGE;
}

static int rows_run(struct connection *c, void *arg)
{
	struct list *batch = arg;
	struct le *le;

	for (le = list_head(batch); le; le = le->next) {
		struct database_job *job = le->data;
		int err = job->run(c, job);

		if (row_is_bad(err))
			log_error(DB, "row-dropped", "text=\"%s\"",
				  connection_error(c));
		else if (err)
			return err;
	}

	return 0;
}

static void why_set(struct database *db, const char *what, int err,
		    const char *text)
{
	(void)snprintf(db->why, sizeof(db->why), "%s: %s (%s)", what,
		       strerror(err), text);
}

static int rows_write(struct database *db)
{
	struct list batch = LIST_INIT, dead = LIST_INIT;
	uint64_t limit;
	int err = 0;

	pthread_mutex_lock(&db->mutex);
	limit = db->last;
	pthread_mutex_unlock(&db->mutex);

	while (!err) {
		rows_take(db, &batch, limit);
		if (list_isempty(&batch))
			break;

		if (db->flushes)
			db->flushes(true, 0, db->flushes_arg);
		err = connection_transaction(db->writer, false, rows_run,
					     &batch);
		if (db->flushes)
			db->flushes(false, err, db->flushes_arg);
		if (err)
			why_set(db, db->path, err,
				connection_error(db->writer));

		pthread_mutex_lock(&db->mutex);
		if (err)
			rows_back(db, &batch, &dead);
		db->flying = 0;
		pthread_mutex_unlock(&db->mutex);

		db->wrote = true;
		atomic_fetch_sub(&db->backlog,
				 jobs_free(&batch) + jobs_free(&dead));
	}

	return err;
}

static int beside_run(struct database *db)
{
	struct database_job *job;
	struct le *le;
	int err = 0;

	while (!err) {
		pthread_mutex_lock(&db->mutex);
		le = list_head(&db->beside);
		job = le ? le->data : NULL;
		if (job) {
			list_unlink(le);
			db->flying_beside = job->number;
		}
		pthread_mutex_unlock(&db->mutex);
		if (!job)
			break;

		err = job->run(NULL, job);
		if (err)
			why_set(db, "file beside the database", err, "write");

		pthread_mutex_lock(&db->mutex);
		if (err)
			list_prepend(&db->beside, &job->le, job);
		db->flying_beside = 0;
		pthread_mutex_unlock(&db->mutex);

		if (!err) {
			job->free(job);
			atomic_fetch_sub(&db->backlog, 1);
			db->wrote = true;
		}
	}

	return err;
}

static int beside_write(struct database *db)
{
	int err;

	if (db->busy_beside)
		return 0;

	db->busy_beside = true;
	err = beside_run(db);
	db->busy_beside = false;

	return err;
}

/* Long work of the writer (a million rows imported) must not keep call records
 * from their journal */
static int breathe(void *arg)
{
	struct database *db = arg;

	if (!db->faults[FAULT_BESIDE])
		db->faults[FAULT_BESIDE] = beside_write(db);

	return 0;
}

/* What is committed goes from the log into the file: then all that work of an
 * operator leaves in the log can be cut off, should the disk be full of it */
static void log_empty(struct database *db)
{
	(void)sqlite3_wal_checkpoint_v2(db->writer->handle, NULL,
					SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
}

/* What filled the disk and was taken back stands in the log still, which is as
 * long as it was. While somebody reads it cannot be cut */
static void log_cut(struct database *db)
{
	sqlite3 *handle = db->writer->handle;

	(void)sqlite3_busy_timeout(handle, 0);
	db->swollen = sqlite3_wal_checkpoint_v2(handle, NULL,
						SQLITE_CHECKPOINT_TRUNCATE,
						NULL, NULL) != SQLITE_OK;
	(void)sqlite3_busy_timeout(handle, BUSY_WAIT);
}

static void calls_run(struct database *db)
{
	for (;;) {
		struct call *call;
		struct le *le;

		pthread_mutex_lock(&db->mutex);
		le = list_head(&db->calls);
		if (le)
			list_unlink(le);
		pthread_mutex_unlock(&db->mutex);
		if (!le)
			return;

		call = le->data;
		log_empty(db);
		call->err = connection_transaction(db->writer, true, call->work,
						   call->arg);
		if (call->err == ENOSPC)
			log_cut(db);

		/* From here on `call` may be gone: it is on his stack */
		pthread_mutex_lock(&db->mutex);
		call->done = true;
		pthread_cond_broadcast(&db->called);
		pthread_mutex_unlock(&db->mutex);
	}
}

static bool waiters_take(struct database *db)
{
	struct le *le;
	bool any = false;

	pthread_mutex_lock(&db->mutex);
	for (le = list_head(&db->waiters); le; le = le->next) {
		struct waiter *w = le->data;

		w->taken = true;
		any = true;
	}
	pthread_mutex_unlock(&db->mutex);

	return any;
}

static uint64_t head_number(const struct list *jobs)
{
	const struct le *le = list_head(jobs);

	return le ? ((const struct database_job *)le->data)->number
		  : UINT64_MAX;
}

static void waiters_tell(struct database *db)
{
	uint64_t oldest, other, one = 1;
	struct le *le, *next;

	pthread_mutex_lock(&db->mutex);
	oldest = head_number(&db->rows);
	other = head_number(&db->beside);
	if (other < oldest)
		oldest = other;

	for (le = list_head(&db->waiters); le; le = next) {
		struct waiter *w = le->data;
		ssize_t n;

		next = le->next;
		if (!w->taken || w->number >= oldest)
			continue;
		list_unlink(le);
		w->done = true;
		n = write(w->fd, &one, sizeof(one));
		(void)n; /* an eventfd of ours takes one */
	}
	pthread_mutex_unlock(&db->mutex);
}

static void timer_set(int fd, uint32_t ms)
{
	struct itimerspec spec = {
		.it_value = { .tv_sec = ms / 1000,
			      .tv_nsec = (long)(ms % 1000) * 1000000 },
	};

	(void)timerfd_settime(fd, 0, &spec, NULL);
}

/* News of failure and recovery: once each */
static void faults_tell(struct database *db)
{
	bool was = atomic_load(&db->failing), is = false;

	for (int i = 0; i < FAULTS; i++)
		is |= db->faults[i] != 0;

	if (is) {
		db->pause = db->pause ? db->pause * 2 : PAUSE_MIN;
		if (db->pause > PAUSE_MAX)
			db->pause = PAUSE_MAX;
		timer_set(db->again, db->pause);
	} else {
		db->pause = 0;
	}

	if (is == was)
		return;

	atomic_store(&db->failing, is);
	if (is)
		log_error(DB, "database-error", "text=\"%s\"", db->why);
	else
		log_notice(DB, "database-works", "file=%s", db->path);
	if (db->h)
		db->h(!is, is ? db->why : "", db->arg);
}

/* Everything once: what does not fail, and with `again` what does, too */
static void turn(struct database *db, bool again, bool tick)
{
	bool waited = waiters_take(db);

	calls_run(db);

	if (again || !db->faults[FAULT_BESIDE])
		db->faults[FAULT_BESIDE] = beside_write(db);
	if (again || !db->faults[FAULT_ROWS])
		db->faults[FAULT_ROWS] = rows_write(db);

	if (db->tick && (tick || waited || (again && db->faults[FAULT_TICK]))) {
		/* It reads the file that `beside` writes */
		db->busy_beside = true;
		db->faults[FAULT_TICK] = db->tick(db->writer, db->tick_arg);
		db->busy_beside = false;
		if (db->faults[FAULT_TICK])
			why_set(db, db->path, db->faults[FAULT_TICK],
				connection_error(db->writer));
	}

	if (db->swollen && (tick || again))
		log_cut(db);

	/* A fault that waits for its pause has its timer already */
	if (again || !atomic_load(&db->failing))
		faults_tell(db);
	if (!db->faults[FAULT_TICK])
		waiters_tell(db);
}

static bool drained(int fd)
{
	uint64_t n;

	return read(fd, &n, sizeof(n)) == sizeof(n);
}

static bool urgent_take(struct database *db, bool *stop)
{
	bool urgent;

	pthread_mutex_lock(&db->mutex);
	urgent = db->urgent;
	db->urgent = false;
	*stop = db->stop;
	pthread_mutex_unlock(&db->mutex);

	return urgent;
}

static void *write_behind(void *arg)
{
	struct database *db = arg;
	bool stop = false;

	while (!stop) {
		struct pollfd fds[] = {
			{ .fd = db->wake, .events = POLLIN },
			{ .fd = db->second, .events = POLLIN },
			{ .fd = db->again, .events = POLLIN },
		};
		bool again, tick, urgent;

		(void)poll(fds, 3, -1);
		(void)drained(db->wake);
		tick = drained(db->second);
		again = drained(db->again);
		urgent = urgent_take(db, &stop);

		/* Rows gather; who waits for an answer ends that */
		if (!urgent && !again && !tick) {
			(void)poll(fds, 1, LINGER);
			urgent = urgent_take(db, &stop);
		}

		turn(db, again || urgent, tick || stop);
		if (tick)
			db->ticking = false;
		/* Writes that go on and on must not put it off */
		if (db->wrote && !db->ticking) {
			db->ticking = true;
			timer_set(db->second, TICK);
		}
		db->wrote = false;
	}

	return NULL;
}

static void ask(struct database *db)
{
	pthread_mutex_lock(&db->mutex);
	db->urgent = true;
	pthread_mutex_unlock(&db->mutex);
	wake(db);
}

int database_call(struct database *db, database_work_h *work, void *arg)
{
	struct call call = { .work = work, .arg = arg };

	if (!db || !work)
		return EINVAL;
	if (db->readonly)
		return EROFS;
	if (!db->running)
		return connection_transaction(db->writer, true, work, arg);

	assert(!pthread_equal(pthread_self(), db->thread));

	pthread_mutex_lock(&db->mutex);
	list_append(&db->calls, &call.le, &call);
	pthread_mutex_unlock(&db->mutex);
	ask(db);

	pthread_mutex_lock(&db->mutex);
	while (!call.done)
		pthread_cond_wait(&db->called, &db->mutex);
	pthread_mutex_unlock(&db->mutex);

	return call.err;
}

static int flush_here(struct database *db)
{
	turn(db, true, true);
	for (int i = 0; i < FAULTS; i++) {
		if (db->faults[i])
			return db->faults[i];
	}

	return 0;
}

int database_flush(struct database *db, uint32_t ms)
{
	struct waiter w = { 0 };
	struct pollfd fd;
	bool done;

	if (!db)
		return EINVAL;
	if (db->readonly)
		return 0;
	if (!db->running)
		return flush_here(db);

	w.fd = eventfd(0, EFD_CLOEXEC);
	if (w.fd < 0)
		return errno;

	pthread_mutex_lock(&db->mutex);
	w.number = db->last;
	list_append(&db->waiters, &w.le, &w);
	pthread_mutex_unlock(&db->mutex);
	ask(db);

	fd = (struct pollfd){ .fd = w.fd, .events = POLLIN };
	while (poll(&fd, 1, ms > INT_MAX ? INT_MAX : (int)ms) < 0 &&
	       errno == EINTR)
		;

	pthread_mutex_lock(&db->mutex);
	done = w.done;
	list_unlink(&w.le);
	pthread_mutex_unlock(&db->mutex);
	(void)close(w.fd);

	return done ? 0 : ETIMEDOUT;
}

uint32_t database_backlog(const struct database *db)
{
	return db ? atomic_load(&db->backlog) : 0;
}

bool database_failing(const struct database *db)
{
	return db && atomic_load(&db->failing);
}

void database_announce(struct database *db)
{
	atomic_fetch_add(&db->announced, 1);
}

uint64_t database_announced(const struct database *db)
{
	return atomic_load(&db->announced);
}

void database_tick(struct database *db, database_work_h *tick,
		   void (*end)(void *arg), void *arg)
{
	assert(!db->running && !db->tick);

	db->tick = tick;
	db->tick_end = end;
	db->tick_arg = arg;
}

void *database_tick_arg(const struct database *db)
{
	return db->tick_arg;
}

void database_watch(struct database *db, database_flush_h *h, void *arg)
{
	db->flushes = h;
	db->flushes_arg = arg;
}

int database_start(struct database *db, database_h *h, void *arg)
{
	sigset_t all, old;
	int err;

	if (!db)
		return EINVAL;
	if (db->readonly)
		return EROFS;
	if (db->running)
		return EALREADY;

	db->h = h;
	db->arg = arg;
	db->running = true; /* before anybody there can ask */

	/* Signals are the front's */
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &old);
	err = pthread_create(&db->thread, NULL, write_behind, db);
	(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (err) {
		db->running = false;
		return err;
	}

	wake(db); /* for what was queued before */

	return 0;
}

/* ---- open and close ---- */

static int said(char *why, int err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static int said(char *why, int err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(why, DATABASE_WHY, fmt, ap);
	va_end(ap);

	return err;
}

/* One line for what SQLite or the system says about the file */
static int said_error(const struct database *db, int err, char *why)
{
	const char *path = db->path;

	switch (err) {
	case ENOSPC:
		return said(why, err, "%s: the disk is full", path);
	case EROFS:
		return said(why, err, "%s: the disk or the file is read-only",
			    path);
	case EBADMSG:
		return said(why, err,
			    "%s: damaged, or not a database; restore a copy",
			    path);
	case EBUSY:
		return said(why, err, "%s: another program locks it", path);
	default:
		return said(why, err, "%s: %s", path, strerror(err));
	}
}

static int lock_take(struct database *db, char *why)
{
	char path[PATH_MAX], pid[32];
	int n;

	if (snprintf(path, sizeof(path), "%s.lock", db->path) >=
	    (int)sizeof(path))
		return said_error(db, ENAMETOOLONG, why);

	db->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (db->lock < 0)
		return said_error(db, errno, why);

	/* Goes with the process, however it ends. The file stays: who removes
	 * it might remove the lock of the next one. */
	if (flock(db->lock, LOCK_EX | LOCK_NB)) {
		if (errno != EWOULDBLOCK)
			return said_error(db, errno, why);
		return said(why, EBUSY,
			    "%s: in use by another process (see %s.lock)",
			    db->path, db->path);
	}

	/* For people only, so a full disk does not matter */
	n = snprintf(pid, sizeof(pid), "%ld\n", (long)getpid());
	if (ftruncate(db->lock, 0) == 0 && write(db->lock, pid, (size_t)n) != n)
		log_debug(DB, "lock-unnamed", "file=%s", path);

	return 0;
}

/* The file is made with mode 0600 before SQLite, which would take 0644, and
 * its pages are asked for, so that a cold row is no disk access later. Closing
 * any descriptor of the file drops SQLite's locks: that is why it is done here
 * and never again. */
static int file_make(struct database *db, char *why)
{
	struct stat st;
	int fd, err = 0;

	fd = open(db->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0600);
	if (fd < 0)
		return said_error(db, errno, why);

	if (fstat(fd, &st))
		err = said_error(db, errno, why);
	else if (!S_ISREG(st.st_mode))
		err = said(why, EINVAL, "%s: not a file", db->path);
	else
		(void)posix_fadvise(fd, 0, 0, POSIX_FADV_WILLNEED);
	(void)close(fd);

	return err;
}

static int uri_make(struct database *db)
{
	const char *rest = db->immutable ? "?immutable=1" : "";
	size_t size = 3 * strlen(db->path) + 32, n = 0;
	char *uri = malloc(size);

	if (!uri)
		return ENOMEM;

	n += (size_t)snprintf(uri, size, "file:");
	for (const char *p = db->path; *p; p++) {
		if (strchr("%?#", *p))
			n += (size_t)snprintf(uri + n, size - n, "%%%02X",
					      (unsigned char)*p);
		else
			uri[n++] = *p;
	}
	(void)snprintf(uri + n, size - n, "%s", rest);
	free(db->uri);
	db->uri = uri;

	return 0;
}

/* Small files are checked as a whole; in large ones damage shows on use */
static int pages_check(struct connection *c)
{
	uint64_t pages = 0, size = 0;
	struct statement *s = NULL;
	int err;

	err = number_of(c, "PRAGMA page_count", &pages);
	if (!err)
		err = number_of(c, "PRAGMA page_size", &size);
	if (err || pages * size > CHECK_MAX)
		return err;

	err = statement_prepare(&s, c, "PRAGMA quick_check(1)");
	if (!err)
		err = statement_step(s);
	if (!err && strcmp(statement_column_text(s, 0), "ok"))
		err = EBADMSG;
	statement_free(s);

	return err == ENOENT ? EBADMSG : err;
}

static int form_read(struct database *db, struct connection *c, uint64_t *formp,
		     char *why)
{
	uint64_t application = 0, tables = 0;
	int err;

	err = number_of(c, "PRAGMA application_id", &application);
	if (!err)
		err = number_of(c, "PRAGMA user_version", formp);
	if (!err)
		err = number_of(c, "SELECT count(*) FROM sqlite_master",
				&tables);
	if (err == ENOENT)
		err = EBADMSG;
	if (err)
		return said_error(db, err, why);

	if (tables && application != APPLICATION)
		return said(why, EBADMSG, "%s: a database of another program",
			    db->path);
	if (*formp > FORM)
		return said(why, EPROTO,
			    "%s: made by a newer version (its form is %llu, "
			    "this program knows %d)",
			    db->path, (unsigned long long)*formp, FORM);

	err = pages_check(c);
	if (err)
		return said_error(db, err, why);

	return 0;
}

static int migrate(struct connection *c, void *arg)
{
	uint64_t form = *(const uint64_t *)arg;
	char sql[96];
	int err = 0;

	for (; form < FORM && !err; form++)
		err = connection_run(c, migrations[form]);
	if (err)
		return err;

	(void)snprintf(sql, sizeof(sql),
		       "PRAGMA application_id=%d; PRAGMA user_version=%d",
		       APPLICATION, FORM);

	return connection_run(c, sql);
}

static int open_writer(struct database *db, char *why)
{
	struct connection *c;
	uint64_t form = 0;
	int err;

	err = connection_open(&db->writer, db->uri, SQLITE_OPEN_READWRITE);
	if (err)
		return said_error(db, err, why);

	c = db->writer;
	err = form_read(db, c, &form, why);
	if (err)
		return err;
	if (sqlite3_db_readonly(c->handle, "main") == 1)
		return said_error(db, EROFS, why);

	/* Of a new file alone. Nearly all is written at the ends of logs and of
	 * tables in the order of their keys: large pages are fewer to handle */
	err = connection_run(c, "PRAGMA page_size=16384;"
				"PRAGMA journal_mode=WAL;"
				"PRAGMA journal_size_limit=67108864;"
				"PRAGMA cache_size=-4096");
	if (!err && form < FORM)
		err = connection_transaction(c, true, migrate, &form);
	if (err)
		return said_error(db, err, why);

	sqlite3_progress_handler(c->handle, BREATH, breathe, db);

	return 0;
}

static bool has_wal(const struct database *db)
{
	char path[PATH_MAX];
	struct stat st;

	return snprintf(path, sizeof(path), "%s-wal", db->path) <
		       (int)sizeof(path) &&
	       !stat(path, &st) && st.st_size > 0;
}

/* In a folder where no -shm can be made the file is read as it is; there is no
 * WAL then, so nothing is missed */
static int open_readonly(struct database *db, char *why)
{
	struct connection *c = NULL;
	uint64_t form = 0;
	int err;

	if (access(db->path, R_OK))
		return said_error(db, errno, why);

	err = database_reader(&c, db);
	if (!err)
		err = form_read(db, c, &form, why);
	else
		err = said_error(db, err, why);

	if (err && err != EPROTO && !db->immutable && !has_wal(db)) {
		connection_close(c);
		db->immutable = true;
		err = uri_make(db);
		return err ? said_error(db, err, why) : open_readonly(db, why);
	}
	if (!err && !form)
		err = said(why, ENOENT, "%s: empty", db->path);
	else if (!err && form < FORM)
		err = said(why, EPROTO,
			   "%s: made by an older version; sbcd brings it up "
			   "to date when it starts",
			   db->path);
	connection_close(c);

	return err;
}

int database_reader(struct connection **cp, struct database *db)
{
	struct connection *c;
	int err;

	if (!cp || !db)
		return EINVAL;

	err = connection_open(&c, db->uri, SQLITE_OPEN_READONLY);
	if (err)
		return err;

	err = connection_run(c, "PRAGMA cache_size=-8192");
	if (err)
		connection_close(c);
	else
		*cp = c;

	return err;
}

int database_read(struct database *db, database_work_h *work, void *arg)
{
	struct connection *c;
	int err;

	if (!work)
		return EINVAL;

	err = database_reader(&c, db);
	if (err)
		return err;

	/* One view for all that is read */
	err = connection_run(c, "BEGIN");
	if (!err)
		err = work(c, arg);
	connection_close(c);

	return err;
}

static int descriptors_open(struct database *db)
{
	int flags = TFD_CLOEXEC | TFD_NONBLOCK;

	db->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	db->second = timerfd_create(CLOCK_MONOTONIC, flags);
	db->again = timerfd_create(CLOCK_MONOTONIC, flags);

	return db->wake < 0 || db->second < 0 || db->again < 0 ? errno : 0;
}

static void descriptor_close(int fd)
{
	if (fd >= 0)
		(void)close(fd);
}

int database_open(struct database **dbp, const char *path, bool readonly,
		  char *why)
{
	struct database *db;
	int err;

	if (!dbp || !path || !why)
		return EINVAL;

	why[0] = '\0';
	db = calloc(1, sizeof(*db));
	if (!db)
		return said(why, ENOMEM, "%s: out of memory", path);

	db->readonly = readonly;
	db->lock = db->wake = db->second = db->again = -1;
	table_init(&db->keys);
	(void)pthread_mutex_init(&db->mutex, NULL);
	(void)pthread_cond_init(&db->called, NULL);

	db->path = strdup(path);
	err = db->path ? uri_make(db) : ENOMEM;
	if (!err)
		err = descriptors_open(db);
	if (err) {
		said(why, err, "%s: %s", path, strerror(err));
		goto out;
	}

	if (readonly) {
		err = open_readonly(db, why);
		goto out;
	}

	err = lock_take(db, why);
	if (!err)
		err = file_make(db, why);
	if (!err)
		err = open_writer(db, why);

out:
	if (err)
		database_close(db);
	else
		*dbp = db;

	return err;
}

static void thread_end(struct database *db)
{
	pthread_mutex_lock(&db->mutex);
	db->stop = true;
	db->urgent = true;
	pthread_mutex_unlock(&db->mutex);
	wake(db);
	(void)pthread_join(db->thread, NULL);
	db->running = false;
}

void database_close(struct database *db)
{
	uint32_t lost;

	if (!db)
		return;

	if (db->running)
		thread_end(db);
	else if (db->writer)
		(void)flush_here(db); /* what is lost is counted below */

	lost = jobs_free(&db->rows) + jobs_free(&db->beside);
	if (lost)
		log_error(DB, "rows-lost", "rows=%u text=\"%s\"", lost,
			  db->why);
	if (db->tick_end)
		db->tick_end(db->tick_arg);

	connection_close(db->writer);
	table_finish(&db->keys);
	(void)pthread_cond_destroy(&db->called);
	(void)pthread_mutex_destroy(&db->mutex);
	descriptor_close(db->wake);
	descriptor_close(db->second);
	descriptor_close(db->again);
	descriptor_close(db->lock);
	free(db->uri);
	free(db->path);
	free(db);
}

const char *database_library(void)
{
	return sqlite3_libversion();
}

uint32_t database_schema(void)
{
	return FORM;
}

const char *database_path(const struct database *db)
{
	return db->path;
}

int database_beside(const struct database *db, const char *name, char *buf,
		    size_t size)
{
	const char *slash;
	int n;

	if (!db || !name || !buf)
		return EINVAL;

	slash = strrchr(db->path, '/');
	n = snprintf(buf, size, "%.*s%s",
		     slash ? (int)(slash - db->path) + 1 : 0, db->path, name);

	return n < 0 || (size_t)n >= size ? ENAMETOOLONG : 0;
}
