/*
 * SQLite: open, migrate, read-only connections, and the one writer thread
 *
 * Nothing outside of store knows SQL. WAL mode; the writer takes what waits in
 * batches, one transaction each. While the disk fails, the newest row of each
 * key is kept up to a bound, and written when it works again.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct database;
struct sqlite3;

/** The database failed or works again; called on the writer thread */
typedef void(database_h)(bool works, const char *why, void *arg);

/**
 * Open the database, make it when missing, migrate it when older
 *
 * Takes the lock file beside it, so that one process writes.
 *
 * @param dbp       Set to the database
 * @param path      File
 * @param readonly  Only read, no lock (acli --offline on a locked database)
 * @param why       Set to one clear line on error, 256 bytes
 *
 * @return 0; EBUSY another process has it; EPROTO newer version; EBADMSG
 *         damaged; EROFS; errno of the file
 */
int database_open(struct database **dbp, const char *path, bool readonly,
		  char *why);

/** Empty the queue, end the writer, close; NULL is fine */
void database_close(struct database *db);

/** Start the writer thread; news of failure and recovery go to h */
int database_start(struct database *db, database_h *h, void *arg);

/** Wait until everything queued so far is written, at most ms milliseconds;
 *  0 or ETIMEDOUT */
int database_flush(struct database *db, uint32_t ms);

/** How many rows wait; is the database failing now? */
uint32_t database_backlog(const struct database *db);
bool database_failing(const struct database *db);

/** Path of a file beside the database: "sbc.key". 0; ENAMETOOLONG */
int database_beside(const struct database *db, const char *name, char *buf,
		    size_t size);

/* For the files of store alone: a statement to be run by the writer, and a
 * read-only connection for one thread. */
struct database_job {
	struct database_job *next;
	uint64_t key; /* a newer job of this key replaces one that waits; 0 */
	int (*run)(struct sqlite3 *db, struct database_job *job);
	void (*free)(struct database_job *job);
};
int database_queue(struct database *db, struct database_job *job);
int database_reader(struct sqlite3 **readp, struct database *db);
struct sqlite3 *database_handle(struct database *db);
