/*
 * Call records as files: CSV and JSON lines, closed when full or old
 *
 * acli.md 5.3: `cdr-YYYYMMDD-HHMMSS-NNNN.csv` and `.jsonl`, named by the time of
 * their first record, end in `.part` while they are open. A file that the end of
 * the program left open is mended and closed by the next start; what it lacks is
 * told by ledger_last. One thread; no clock of its own.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "store/base.h"
#include "store/quote.h"

struct ledger;

struct ledger_setup {
	const char *folder; /* "": no files; made when it is missing */
	bool csv, json;
	uint64_t size_max;  /* of a file [bytes] */
	uint32_t files_max; /* closed ones of each form; the oldest go */
	uint64_t age_max;   /* of an open one [s]; 0: none */
};

/**
 * Make a ledger without files
 *
 * @param lp     Set to the ledger
 * @param names  Of the fields; must outlive it
 * @param n      How many
 * @param time   Fields with RFC 3339 times, the first that is not empty names a
 *               file; ended by a number that is no field's
 * @param is_number  Is the n-th one a number, which JSON writes without quotes
 *                   when its text is one? NULL: none is
 *
 * @return 0; ENOMEM; ENAMETOOLONG
 */
int ledger_alloc(struct ledger **lp, const char *const *names, size_t n,
		 const size_t *time, bool (*is_number)(size_t n));

/** Close the files: none is `.part` any more. NULL is fine */
void ledger_close(struct ledger *l);

/**
 * Write as this says from now on
 *
 * @param l       Ledger
 * @param setup   Copied
 * @param newest  Sequence of the newest record: a form that begins now has those
 *                up to here behind it, unless a file was left open
 *
 * @return 0; errno of the folder or of a file left open: nothing can be written
 */
int ledger_follow(struct ledger *l, const struct ledger_setup *setup,
		  uint64_t newest);

/** Is there anything to write? Then the sequence after which records lack */
bool ledger_last(const struct ledger *l, uint64_t *sequence);

/**
 * Write one record, to each form that lacks it
 *
 * @param l         Ledger
 * @param fields    As many as names
 * @param sequence  Rises with each record
 * @param now       [s, monotonic]
 *
 * @return 0; errno of a file: nothing of it is left there, try again later
 */
int ledger_write(struct ledger *l, const struct strip *fields,
		 uint64_t sequence, uint64_t now);

/** What was written goes to the files. 0; errno: it is written again by the
 *  records that ledger_last asks for */
int ledger_flush(struct ledger *l);

/** Close files that are old, or all. 0; errno */
int ledger_turn(struct ledger *l, uint64_t now, bool all);

/** Path of the open file, the first of the forms; "" there is none. Good until the
 *  next call */
const char *ledger_path(const struct ledger *l);
