/*
 * Call records, written behind
 *
 * A record is appended to a journal file beside the database when the call
 * ends, by the writer thread, and moved into SQLite once a second; the journal
 * is replayed at start (acli.md 5.3).
 */
#pragma once

#include <stdint.h>
#include "store/base.h"
#include "store/database.h"

enum {
	RECORD_FIELDS = 65,
	RECORDS_KEPT = 1000000, /* in the database; the oldest go */
};

/** Names of the fields, in order: "record-type" ... "config-version" */
extern const char *const record_names[RECORD_FIELDS];

/** One record: the text of each field, empty where l is 0 */
struct record {
	struct pl field[RECORD_FIELDS];
};

/**
 * Open the journal and move what is in it, before database_start
 *
 * @return 0; EALREADY; errno of the file or of the database
 */
int records_open(struct database *db);

/** Queue a record; copied. `sequence` and `node` are filled in by the writer
 *  where empty, `sequence` always. 0; ENOMEM; ENOBUFS; EMSGSIZE; EINVAL
 *  before records_open */
int records_put(struct database *db, const struct record *record);

typedef void(record_h)(const struct record *record, void *arg);

/** Read the newest records, newest first; 0; EIO */
int records_last(struct database *db, uint32_t limit, record_h *h, void *arg);
