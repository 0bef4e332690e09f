/*
 * The values of libre that everybody uses, included once
 *
 * libre's single headers have no include guards and need each other in this
 * order, so no other file includes them by itself.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>
#include <re_types.h>
#include <re_fmt.h>
#include <re_mem.h>
#include <re_mbuf.h>
#include <re_list.h>
#include <re_sa.h>

/** A zero-ended text as a range; NULL is an empty one */
static inline struct pl range_of(const char *text)
{
	struct pl pl = { "", 0 };

	if (text) {
		pl.p = text;
		pl.l = strlen(text); /* a constant where the text is one */
	}
	return pl;
}

/** All bytes of a buffer as a range; of NULL one without a place (p is NULL) */
static inline struct pl bytes_of(const struct mbuf *mb)
{
	struct pl pl = { NULL, 0 };

	if (mb) {
		pl.p = (const char *)mb->buf;
		pl.l = mb->end;
	}
	return pl;
}

/** A letter of ASCII in its small form, whatever the locale; other bytes stay */
static inline char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

/** Is this the word, whatever its case? Inlined, so that the length of a literal is
 *  a constant, and most words are told apart by it alone */
static inline __attribute__((always_inline)) bool is_word(const struct pl *pl,
							  const char *word)
{
	const size_t len = strlen(word);

	if (pl->l != len)
		return false;
	for (size_t i = 0; i < len; i++)
		if (lower(pl->p[i]) != lower(word[i]))
			return false;
	return true;
}
