/*
 * A call record as it is put together: its texts, one behind the other
 */
#pragma once

#include <assert.h>
#include <stdlib.h>
#include "store/base.h"
#include "store/quote.h"

enum {
	SLIP_FIELDS = 65,      /* of a record */
	SLIP_MOST = 252 << 10, /* texts of a record [bytes] */
	SLIP_ROOM = 2048,      /* for those of a usual one [bytes] */
	SLIP_NUMBER = 20,      /* digits of a number */
};

/** Filled in the order of the fields; what is not put is empty */
struct slip {
	uint16_t length[SLIP_FIELDS];
	size_t next; /* field */
	char *text;
	size_t used, room;
	char *more; /* texts that outgrew what was given; or NULL */
	int err;    /* EMSGSIZE, ENOMEM: there is no record */
};

/**
 * Begin
 *
 * @param s     Slip
 * @param room  SLIP_ROOM bytes that live as long
 */
void slip_init(struct slip *s, char *room);
/** Begin again */
void slip_clear(struct slip *s);
/** Free what the slip took for itself */
static inline void slip_finish(struct slip *s)
{
	if (s->more)
		free(s->more);
	s->more = NULL;
}

/** Have room for n bytes more. False: too long, or no memory */
bool slip_grow(struct slip *s, size_t n);

/** Where n bytes of text can be written; NULL: nowhere, and the slip is no good */
static inline char *slip_room(struct slip *s, size_t n)
{
	bool fits = n <= UINT16_MAX && s->used + n <= s->room;

	return fits || slip_grow(s, n) ? s->text + s->used : NULL;
}

/** So many were, for this field */
static inline void slip_took(struct slip *s, size_t field, size_t n)
{
	assert(field >= s->next);
	s->next = field + 1;
	s->length[field] = (uint16_t)n;
	s->used += n;
}

/** Put a text, copied */
static inline void slip_put(struct slip *s, size_t field, const char *text,
			    size_t n)
{
	char *room = slip_room(s, n);

	if (!room || !n)
		return;
	memcpy(room, text, n);
	slip_took(s, field, n);
}

/** Put a zero-ended text; NULL: an empty one */
static inline void slip_put_str(struct slip *s, size_t field, const char *text)
{
	if (text)
		slip_put(s, field, text, strlen(text));
}

/** All of its texts */
static inline struct strip slip_strip(const struct slip *s)
{
	return (struct strip){ s->length, s->text, SLIP_FIELDS, s->used };
}
