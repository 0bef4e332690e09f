/*
 * A call record as it is put together: its texts, one behind the other
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "store/slip.h"

void slip_init(struct slip *s, char *room)
{
	memset(s, 0, sizeof(*s));
	s->text = room;
	s->room = SLIP_ROOM - QUOTE_SLACK;
}

void slip_clear(struct slip *s)
{
	memset(s->length, 0, sizeof(s->length));
	s->next = 0;
	s->used = 0;
	s->err = 0;
}

bool slip_grow(struct slip *s, size_t n)
{
	size_t room = 2 * s->room;
	char *more;

	if (s->err)
		return false;
	if (n > UINT16_MAX || s->used + n > SLIP_MOST) {
		s->err = EMSGSIZE;
		return false;
	}
	while (room < s->used + n)
		room *= 2;
	if (room > SLIP_MOST)
		room = SLIP_MOST;
	more = realloc(s->more, room + QUOTE_SLACK);
	if (!more) {
		s->err = ENOMEM;
		return false;
	}
	if (!s->more)
		memcpy(more, s->text, s->used);
	s->more = s->text = more;
	s->room = room;

	return true;
}
