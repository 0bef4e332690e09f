/*
 * A long list: no more than N rows of it, and how many more there are
 */
#pragma once

#include "cli/reply.h"
#include "cli/words.h"

enum {
	CUT_LIMIT = 1000 /* where none is named (acli.md 2.3) */
};

struct cut {
	uint32_t limit;
	uint32_t rows; /* there are, whether shown or not */
};

/**
 * Take `limit N` out of the words behind a command
 *
 * @param c     Set: no rows yet, and N, or the default
 * @param r     Told that N lacks or is no number
 * @param w     Words of the line
 * @param at    First of them that may be meant
 * @param rest  Set to the words without these two; may be w
 *
 * @return Is what was said of it right?
 */
bool cut_words(struct cut *c, struct reply *r, const struct words *w,
	       uint32_t at, struct words *rest);

/** Count a row; is it one to show? */
bool cut_row(struct cut *c);

/** Is the list as long as it may get? */
bool cut_is_full(const struct cut *c);

/**
 * Say how many rows were left out, if there are any: as a line, or as the member
 * `more` of the document, behind its data
 *
 * @return Were there?
 */
bool cut_end(const struct cut *c, struct reply *r);
