/*
 * A heap of objects that know their place in it
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/** One object and its rank: the lowest comes first. It stands here and not in the
 *  object, which was perhaps not looked at for hours */
struct heap_item {
	uint64_t rank;
	void *x;
};

/** The first of all is v[0] */
struct heap {
	struct heap_item *v;
	uint32_t n, size;
	/** Of two with one rank */
	bool (*before)(const void *a, const void *b);
	/** Told where x stands now; UINT32_MAX: not in the heap any more */
	void (*placed)(void *x, uint32_t place);
};

/** Put one in. 0; ENOMEM */
int heap_add(struct heap *h, void *x, uint64_t rank);
/** Take out the one at this place; the last one frees the array */
void heap_remove(struct heap *h, uint32_t at);
/** Take all out, which takes as long as there are, and free the array */
void heap_clear(struct heap *h);
/** The one at this place has this rank now */
void heap_moved(struct heap *h, uint32_t at, uint64_t rank);
/** Does the one at a place come before the one at another? */
bool heap_is_before(const struct heap *h, uint32_t a, uint32_t b);
