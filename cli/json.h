/*
 * One JSON document as an answer, and tables that are text or JSON
 *
 * The document of a command (acli.md 2.2): members and rows are appended in
 * order, the commas find themselves. A table is written row by row in the form
 * that was asked for.
 */
#pragma once

#include "cli/reply.h"

enum {
	JSON_NO_WINDOW = UINT32_MAX
};

/** Begin the document of a command; window: width of Recent [s]. While
 *  reply.nested it is a member of the one that is open, named by the command */
void json_begin(struct reply *r, const char *command, uint32_t window);

/** End it */
void json_end(struct reply *r);

/** Open an object '{' or an array '['; name NULL: inside an array, or the
 *  document's data. Close it by its last character */
void json_open(struct reply *r, const char *name, char what);
void json_close(struct reply *r, char what);

/** Members; names are printed in lower case, with `-` for blanks. A text that is
 *  NULL is null */
void json_text(struct reply *r, const char *name, const char *text);
void json_pl(struct reply *r, const char *name, const struct pl *text);
void json_number(struct reply *r, const char *name, int64_t n);
void json_flag(struct reply *r, const char *name, bool on);

/** A number of thousandths: 21 is 0.021 */
void json_thousandths(struct reply *r, const char *name, uint64_t n);

/** What a printer gives */
void json_print(struct reply *r, const char *name, re_printf_h *h,
		const void *arg);

/** Wall time [s] as RFC 3339; 0: null */
void json_time(struct reply *r, const char *name, uint64_t wall);

/** Write a text as JSON does, with its quotes; for printers */
int json_quote(struct re_printf *pf, const char *text);

/* --- Tables ------------------------------------------------------------- */

struct column {
	const char *name;
	int width; /* negative: to the left; 0: the last one, as it is */
};

enum cell_kind {
	CELL_NONE, /* "-", null */
	CELL_TEXT,
	CELL_NUMBER,
	CELL_SECONDS,     /* "1402s", 1402 */
	CELL_THOUSANDTHS, /* "0.021", 0.021 */
	CELL_TIME,        /* wall [s]: local time, RFC 3339 */
	CELL_FLAG         /* "yes", true */
};

struct cell {
	enum cell_kind kind;
	const char *text;
	int64_t n;
};

/* clang-format off */
#define TEXT_CELL(t)        { CELL_TEXT, (t), 0 }
#define NUMBER_CELL(v)      { CELL_NUMBER, NULL, (int64_t)(v) }
#define SECONDS_CELL(v)     { CELL_SECONDS, NULL, (int64_t)(v) }
#define THOUSANDTHS_CELL(v) { CELL_THOUSANDTHS, NULL, (int64_t)(v) }
#define TIME_CELL(v)        { CELL_TIME, NULL, (int64_t)(v) }
#define FLAG_CELL(v)        { CELL_FLAG, NULL, (v) }
#define NO_CELL             { CELL_NONE, NULL, 0 }
/* clang-format on */

/** Heading, or the array opened; columns end with a NULL name */
void table_begin(struct reply *r, const char *name,
		 const struct column *columns);
/** A row; as many cells as columns */
void table_row(struct reply *r, const struct column *columns,
	       const struct cell *cells);
void table_end(struct reply *r);
