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
