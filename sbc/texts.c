/*
 * Texts of one owner, packed in one block
 */
#include <assert.h>
#include <errno.h>
#include <string.h>
#include "sbc/texts.h"

enum {
	STEP = 64,   /* blocks grow by [bytes] */
	HEADER = 16, /* of libre's in front of each block */
	MOST = 32    /* texts of one owner */
};

/* Sizes with libre's header are those that a malloc has */
static size_t rounded(size_t n)
{
	return (n + HEADER + STEP - 1) / STEP * STEP - HEADER;
}

/* Another block with what is used. The old one is the caller's to free */
static int move(struct texts *t, size_t size)
{
	char *room;

	if (size > UINT16_MAX)
		return EMSGSIZE;
	room = mem_alloc(size, NULL);
	if (!room)
		return ENOMEM;
	if (t->used)
		memcpy(room, t->room, t->used);
	else
		t->used = 1; /* place 0 says that there is none */
	t->room = room;
	t->size = (uint16_t)size;

	return 0;
}

int texts_reserve(struct texts *t, size_t n)
{
	char *old = t->room;
	int err;

	if (n + 1 <= t->size)
		return 0;
	err = move(t, rounded(n + 1));
	if (!err)
		mem_deref(old);

	return err;
}

int texts_join(struct texts *t, uint16_t *at, const struct pl *part, size_t n)
{
	size_t l = 0, need = t->used ? t->used : 1;
	char *old = NULL, *s;
	int err;

	for (size_t i = 0; i < n; i++)
		l += part[i].l;
	if (!l) {
		*at = 0;
		return 0;
	}
	/* several parts may be pieces of the text that they become */
	if (n == 1 && *at && strlen(t->room + *at) >= l) {
		memmove(t->room + *at, part->p, l);
		t->room[*at + l] = '\0';
		return 0;
	}

	need += l + 1;
	if (need > t->size) {
		old = t->room;
		err = move(t, rounded(need));
		if (err)
			return err;
	}
	*at = t->used;
	s = t->room + t->used;
	for (size_t i = 0; i < n; i++) {
		if (part[i].l)
			memcpy(s, part[i].p, part[i].l);
		s += part[i].l;
	}
	*s = '\0';
	t->used = (uint16_t)(t->used + l + 1);
	mem_deref(old);

	return 0;
}

int texts_set(struct texts *t, uint16_t *at, const struct pl *text)
{
	return texts_join(t, at, text, 1);
}

void texts_pack(struct texts *t, uint16_t *at, size_t n)
{
	struct texts fresh = { 0 };
	uint16_t length[MOST]; /* with the zero */
	size_t need = 1;

	assert(n <= MOST);
	for (size_t i = 0; i < n; i++) {
		if (!at[i])
			continue;
		length[i] = (uint16_t)(strlen(t->room + at[i]) + 1);
		need += length[i];
	}
	/* not worth another block */
	if (need + STEP / 4 > t->size || move(&fresh, need))
		return;

	for (size_t i = 0; i < n; i++) {
		if (!at[i])
			continue;
		memcpy(fresh.room + fresh.used, t->room + at[i], length[i]);
		at[i] = fresh.used;
		fresh.used = (uint16_t)(fresh.used + length[i]);
	}
	mem_deref(t->room);
	*t = fresh;
}

int texts_copy(struct texts *to, const struct texts *from)
{
	struct texts copy = *from;
	int err;

	if (!from->room)
		return 0;
	err = move(&copy, from->used);
	if (!err)
		*to = copy;

	return err;
}

void texts_clear(struct texts *t)
{
	t->room = mem_deref(t->room);
	t->used = t->size = 0;
}
