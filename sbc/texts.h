/*
 * Texts of one owner, packed in one block
 *
 * What lives as long as a call has a dozen short texts. Each is known by its
 * place in the block, 0: there is none. A text that is set again stands where it
 * stood, if it fits, else behind the others; texts_pack closes the gaps.
 */
#pragma once

#include "store/base.h"

struct texts {
	char *room;
	uint16_t used, size;
};

/** Have room for n bytes in all. 0; ENOMEM; EMSGSIZE beyond 64 KiB */
int texts_reserve(struct texts *t, size_t n);

/**
 * Set one text: these parts, one behind the other
 *
 * @param t     Texts; parts may be of them
 * @param at    Place of the text, kept by the owner; 0 when nothing is in it
 * @param part  Parts
 * @param n     How many
 *
 * @return 0; ENOMEM; EMSGSIZE more than 64 KiB in all: nothing changed
 */
int texts_join(struct texts *t, uint16_t *at, const struct pl *part, size_t n);
int texts_set(struct texts *t, uint16_t *at, const struct pl *text);

/** One text, zero-ended, good until the next is set; NULL: there is none */
static inline const char *texts_get(const struct texts *t, uint16_t at)
{
	return at ? t->room + at : NULL;
}

/** Give back what these n texts, all there are, do not need. Two of them may
 *  share their place; they do not afterwards */
void texts_pack(struct texts *t, uint16_t *at, size_t n);

/** A copy of the block: places are the same. 0; ENOMEM */
int texts_copy(struct texts *to, const struct texts *from);
/** Free the block; places mean nothing any more */
void texts_clear(struct texts *t);
