/*
 * Rows of CSV text (RFC 4180), each with its line and what is wrong with it
 *
 * There may be passwords in it: whoever reads wipes the reader at the end.
 */
#pragma once

#include <stdint.h>
#include "store/base.h"

enum {
	CSV_COLUMNS = 64, /* most */
	CSV_FIELD = 4096, /* longest value [bytes] */
	CSV_ROW = 65536,  /* longest row [bytes] */
};

struct csv {
	const char *from, *p, *end;
	uint32_t line;                  /* of the row read last */
	uint32_t next;                  /* of the row to come */
	int n;                          /* columns of the row */
	const char *field[CSV_COLUMNS]; /* ended by zero, in bytes */
	size_t length[CSV_COLUMNS];
	const char *why; /* the row is bad: "has too many columns"; NULL */
	size_t used;
	char bytes[CSV_ROW];
};

/** Begin with a text, which must stay; a byte order mark is left out */
void csv_begin(struct csv *csv, const struct pl *text);

/** The next row that is not empty; false: there is none */
bool csv_row(struct csv *csv);

/** How far it is, of how many bytes */
size_t csv_done(const struct csv *csv);
size_t csv_total(const struct csv *csv);
