/*
 * Call records, written behind
 *
 * A record is appended to a journal file beside the database when the call
 * ends, by the writer thread, and moved into SQLite once a second, and from there
 * into files; the journal is replayed at start (acli.md 5.3).
 */
#pragma once

#include <stdint.h>
#include "store/base.h"
#include "store/database.h"
#include "store/ledger.h"
#include "store/slip.h"

enum {
	RECORD_FIELDS = SLIP_FIELDS,
	RECORDS_KEPT = 1000000, /* in the database; the oldest go */
};

/** Names of the fields, in order: "record-type" ... "config-version" */
extern const char *const record_names[RECORD_FIELDS];

/** Is the n-th field a number that fits every reader of JSON? Ids of sessions
 *  have 64 bits, and telephone numbers are texts */
bool record_is_number(size_t n);

/** One record that is read: the text of each field, empty where l is 0 */
struct record {
	struct pl field[RECORD_FIELDS];
};

/**
 * Open the journal and move what is in it, before database_start
 *
 * @return 0; EALREADY; errno of the file or of the database
 */
int records_open(struct database *db);

/** Queue a record; copied. `sequence` must be empty and is filled in, `node` where
 *  it is empty. 0; ENOMEM; ENOBUFS; EMSGSIZE; EINVAL before records_open */
int records_put(struct database *db, const struct slip *slip);

typedef void(record_h)(const struct record *record, void *arg);

/**
 * Write records to files, too (acli.md 5.3)
 *
 * Done by the writer thread, at most a second later. Records that a file lacks,
 * because the disk was full or the program ended, follow out of the database.
 *
 * @param db     Database
 * @param setup  Copied
 * @param now    [s, monotonic]; call again every few seconds, for files get old
 *
 * @return 0; ENOMEM; ENOBUFS; EINVAL before records_open
 */
int records_follow(struct database *db, const struct ledger_setup *setup,
		   uint64_t now);

/** Close the open files: the next record begins new ones. Errors as above */
int records_anew(struct database *db);

/** Files cannot be written, or can again: told once each, on the writer thread.
 *  Before database_start */
void records_news(struct database *db, database_h *h, void *arg);

struct records_state {
	char file[1024];  /* open one, or "" */
	uint64_t records; /* sequence of the newest */
	uint64_t pending; /* not yet in a file */
	uint64_t errors;  /* of writing files */
};

/** What became of the records; any thread. 0; EINVAL before records_open */
int records_state(struct database *db, struct records_state *out);

/** Read the newest records, newest first; 0; EIO */
int records_last(struct database *db, uint32_t limit, record_h *h, void *arg);
