/*
 * Which rows of a log are the newest of their key
 */
#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include "store/newest.h"

enum {
	SLOTS_MIN = 64,
	SEGMENTS_MIN = 16,
	SEGMENTS_MAX = 1 << 24, /* more is no log of ours */
};

struct newest_slot {
	uint64_t key, number;
};

void newest_finish(struct newest *w)
{
	free(w->slots);
	free(w->live);
	memset(w, 0, sizeof(*w));
}

/* The slot of a key, or the free one where it would stand */
static size_t slot_of(const struct newest *w, uint64_t key)
{
	size_t mask = w->size - 1, at = (size_t)key & mask;

	while (w->slots[at].key && w->slots[at].key != key)
		at = (at + 1) & mask;

	return at;
}

static int slots_grow(struct newest *w)
{
	size_t size = w->size ? 2 * w->size : SLOTS_MIN;
	struct newest bigger = { .size = size };

	bigger.slots = calloc(size, sizeof(*bigger.slots));
	if (!bigger.slots)
		return ENOMEM;

	for (size_t i = 0; i < w->size; i++) {
		if (w->slots[i].key)
			bigger.slots[slot_of(&bigger, w->slots[i].key)] =
				w->slots[i];
	}
	free(w->slots);
	w->slots = bigger.slots;
	w->size = size;

	return 0;
}

static int segments_grow(struct newest *w, size_t n)
{
	size_t room = w->room ? w->room : SEGMENTS_MIN;
	uint32_t *live;

	/* what was dropped at the front is room again */
	if (w->head > w->room / 2) {
		memmove(w->live, w->live + w->head, w->n * sizeof(*w->live));
		w->head = 0;
	}
	while (room < w->head + n)
		room *= 2;
	if (room > w->room) {
		live = realloc(w->live, room * sizeof(*live));
		if (!live)
			return ENOMEM;
		w->live = live;
		w->room = room;
	}
	memset(w->live + w->head + w->n, 0, (n - w->n) * sizeof(*w->live));
	w->n = n;

	return 0;
}

int newest_room(struct newest *w, uint64_t number)
{
	uint64_t segment = number / NEWEST_SEGMENT;

	if (!w->n)
		w->first = segment;
	if (segment < w->first || segment - w->first >= SEGMENTS_MAX)
		return EBADMSG;
	if (segment - w->first >= w->n) {
		int err = segments_grow(w, (size_t)(segment - w->first) + 1);

		if (err)
			return err;
	}

	return 4 * (w->count + 1) > 3 * w->size ? slots_grow(w) : 0;
}

uint64_t newest_get(const struct newest *w, uint64_t key)
{
	return w->size ? w->slots[slot_of(w, key)].number : 0;
}

static uint32_t *live_of(const struct newest *w, uint64_t number)
{
	size_t at = (size_t)(number / NEWEST_SEGMENT - w->first);

	assert(at < w->n);

	return &w->live[w->head + at];
}

void newest_set(struct newest *w, uint64_t key, uint64_t number)
{
	struct newest_slot *slot = &w->slots[slot_of(w, key)];

	assert(key && number);
	if (slot->key)
		--*live_of(w, slot->number);
	else
		w->count++;
	slot->key = key;
	slot->number = number;
	++*live_of(w, number);
}

/* Those behind a slot that becomes free move up, unless they stand before where
 * they want to be */
static void slot_free(struct newest *w, size_t at)
{
	size_t mask = w->size - 1, next = at;

	for (;;) {
		size_t home;

		next = (next + 1) & mask;
		if (!w->slots[next].key)
			break;
		home = (size_t)w->slots[next].key & mask;
		if (((next - home) & mask) < ((next - at) & mask))
			continue;
		w->slots[at] = w->slots[next];
		at = next;
	}
	w->slots[at] = (struct newest_slot){ 0, 0 };
}

void newest_forget(struct newest *w, uint64_t key)
{
	size_t at;

	if (!newest_get(w, key))
		return;

	at = slot_of(w, key);
	--*live_of(w, w->slots[at].number);
	w->count--;
	slot_free(w, at);
}

size_t newest_oldest(const struct newest *w, uint64_t *fromp, uint64_t *endp,
		     uint32_t *livep)
{
	*fromp = w->first * NEWEST_SEGMENT;
	*endp = *fromp + NEWEST_SEGMENT;
	*livep = w->n ? w->live[w->head] : 0;

	return w->n;
}

void newest_drop(struct newest *w)
{
	assert(w->n && !w->live[w->head]);
	w->head++;
	w->n--;
	w->first++;
}
