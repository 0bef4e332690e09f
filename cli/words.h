/*
 * A line to words
 */
#pragma once

#include "store/base.h"

enum {
	WORDS_MAX = 64,
	LINE_MAX_BYTES = 8192 /* a longer line is refused whole (acli.md 1.1) */
};

/** Words of a line; texts lie in the line, quotes undone in place */
struct words {
	char *v[WORDS_MAX];
	uint32_t from[WORDS_MAX]; /* where each begins in the line as typed */
	uint32_t n;
	uint32_t end; /* of the words, in the line as typed */
	char *filter; /* what stands behind the first vertical bar, or NULL */
};

/**
 * Cut a line into words (acli.md 1.4): blanks part them, double quotes hold
 * blanks, inside them `\"` and `\\`; `#` at the beginning is a comment
 *
 * @param words  Set; points into line
 * @param line   Ended by zero; changed
 *
 * @return 0; EINVAL a quote is open; E2BIG too many words
 */
int words_cut(struct words *words, char *line);
