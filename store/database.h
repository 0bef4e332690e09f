/*
 * SQLite: open, migrate, read-only connections, and the one writer thread
 *
 * Nothing outside of store knows SQL, and no other file knows SQLite. WAL
 * mode; the writer takes what waits in batches, one transaction each. While
 * the disk fails, the newest row of each key is kept up to a bound, and
 * written when it works again.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "store/base.h"
#include "store/hash.h"

struct database;

/** The database failed or works again; called on the writer thread */
typedef void(database_h)(bool works, const char *why, void *arg);

enum {
	DATABASE_WHY = 256,       /* of the line that says why [bytes] */
	DATABASE_QUEUE = 1 << 18, /* rows that may wait */
};

/**
 * Open the database, make it when missing, migrate it when older
 *
 * Takes the lock file beside it, so that one process writes.
 *
 * @param dbp       Set to the database
 * @param path      File
 * @param readonly  Only read, no lock (acli --offline on a locked database)
 * @param why       Set to one clear line on error, DATABASE_WHY bytes
 *
 * @return 0; EBUSY another process has it; EPROTO newer version; EBADMSG
 *         damaged, or not a database of ours; EROFS; ENOSPC; errno of the file
 */
int database_open(struct database **dbp, const char *path, bool readonly,
		  char *why);

/** Empty the queue, end the writer, close; NULL is fine. Readers are closed
 *  before by their owners */
void database_close(struct database *db);

/**
 * Start the writer thread
 *
 * @param db   Database, opened for writing
 * @param h    Told when the database fails and when it works again, never
 *             under a lock; it must not wait for the database
 * @param arg  Its argument
 *
 * @return 0; EALREADY; EROFS opened read-only; errno of the thread
 */
int database_start(struct database *db, database_h *h, void *arg);

/** The writer begins to write rows that waited, and has ended: a transaction with
 *  its way to the disk; err: of its end. Called on its thread */
typedef void(database_flush_h)(bool begins, int err, void *arg);

/** Who measures how long that takes; before database_start */
void database_watch(struct database *db, database_flush_h *h, void *arg);

/** Wait until everything queued so far is written, at most ms milliseconds;
 *  0, ETIMEDOUT; without the thread it is written here, with its errno */
int database_flush(struct database *db, uint32_t ms);

/** How many rows wait; is the database failing now? */
uint32_t database_backlog(const struct database *db);
bool database_failing(const struct database *db);

/** Path of a file beside the database: "sbc.key". 0; ENAMETOOLONG */
int database_beside(const struct database *db, const char *name, char *buf,
		    size_t size);

/** Version of SQLite; of the tables that this program makes */
const char *database_library(void);
uint32_t database_schema(void);

/** Path of the database itself */
const char *database_path(const struct database *db);

/*
 * The rest is for the files of store alone.
 */

/** A connection; belongs to one thread */
struct connection;

/** A prepared statement of a connection */
struct statement;

/** Work inside a transaction; an errno undoes it */
typedef int(database_work_h)(struct connection *c, void *arg);

/**
 * A row to be written by the writer thread
 *
 * `run` may be called again after it failed, and once more after it succeeded
 * where the transaction around it did not. EINVAL, EEXIST and ERANGE mean that
 * the row itself is bad: it is dropped with a log line. Anything else means
 * that the database fails: the row waits and is tried again.
 */
struct database_job {
	struct le le;       /* of the queue */
	struct entry entry; /* of the rows by key */
	uint64_t number;    /* place in the order of queueing */
	uint64_t key; /* a newer job of this key replaces one that waits; 0 */
	int (*run)(struct connection *c, struct database_job *job);
	void (*free)(struct database_job *job);
	bool beside; /* no transaction: `run` writes a file, c is NULL */
};

/**
 * Queue a job; it is taken over on success only
 *
 * @return 0; ENOBUFS the queue is full; EROFS opened read-only; ENOMEM
 */
int database_queue(struct database *db, struct database_job *job);

/**
 * Do work in a durable transaction of its own and wait for it
 *
 * On the writer thread while it runs, else here. What was committed survives
 * a power cut. Never from a handler of the writer thread.
 *
 * @return 0; errno of the work or of the database, then nothing was changed
 */
int database_call(struct database *db, database_work_h *work, void *arg);

/** Read with a connection that lives for this call; any thread */
int database_read(struct database *db, database_work_h *work, void *arg);

/**
 * Work once a second after something was written, and at the end
 *
 * On the writer thread, outside of a transaction. One caller: records.
 *
 * @param db    Database, not started
 * @param tick  The work
 * @param end   With the database
 * @param arg   Of both
 */
void database_tick(struct database *db, database_work_h *tick,
		   void (*end)(void *arg), void *arg);
void *database_tick_arg(const struct database *db);

/** What credentials read has changed; how often it did */
void database_announce(struct database *db);
uint64_t database_announced(const struct database *db);

/** Open a read-only connection for the calling thread; 0; ENOMEM; EIO */
int database_reader(struct connection **cp, struct database *db);

/** Close a reader with its statements; NULL is fine */
void connection_close(struct connection *c);

/** Run statements without result; 0 or errno */
int connection_run(struct connection *c, const char *sql);

/** A transaction around work; durable: on the disk when it returns */
int connection_transaction(struct connection *c, bool durable,
			   database_work_h *work, void *arg);

/** How many of its transactions were undone: what was kept in memory of what they
 *  wrote is wrong since */
uint64_t connection_undone(const struct connection *c);

/** Something that goes with the connection, and how it is freed; one owner alone:
 *  registrations, on the connection that writes. NULL: nothing yet */
void connection_keep(struct connection *c, void *kept, void (*free)(void *));
void *connection_kept(const struct connection *c);

/** Rows that the connection has changed up to now */
uint64_t connection_changed(const struct connection *c);

/** Key of the row inserted last */
uint64_t connection_last(const struct connection *c);

/** The last error of the connection, for a log line */
const char *connection_error(const struct connection *c);

/**
 * Prepare a statement
 *
 * @return 0; ENOENT no such table or column; errno of the database
 */
int statement_prepare(struct statement **sp, struct connection *c,
		      const char *sql);

/** The same, kept by the connection: sql is a literal and tells it apart; it
 *  comes back reset, and statement_free is not called */
int statement_kept(struct statement **sp, struct connection *c,
		   const char *sql);

/** Free a statement of statement_prepare; NULL is fine */
void statement_free(struct statement *s);

/** Bind parameter n, from 1; texts must live until the statement is reset */
void statement_text(struct statement *s, int n, const char *text);
void statement_pl(struct statement *s, int n, const struct pl *text);
void statement_number(struct statement *s, int n, uint64_t number);
/** All parameters NULL again */
void statement_clear(struct statement *s);

/** To the next row: 0; ENOENT there is none; errno of the database */
int statement_step(struct statement *s);

/** Run to the end and reset: 0 or errno of the database */
int statement_run(struct statement *s);
void statement_reset(struct statement *s);

/** Column n of the row, from 0; valid until the next step or reset; NULL in
 *  the database is "" or 0 */
struct pl statement_column(struct statement *s, int n);
const char *statement_column_text(struct statement *s, int n);
uint64_t statement_column_number(struct statement *s, int n);
