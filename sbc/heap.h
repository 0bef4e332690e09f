/*
 * A heap of objects that know their place in it
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/** The first of all is v[0] */
struct heap {
	void **v;
	uint32_t n, size;
	bool (*before)(const void *a, const void *b);
	/** Told where x stands now; UINT32_MAX: not in the heap any more */
	void (*placed)(void *x, uint32_t place);
};

/** Put one in. 0; ENOMEM */
int heap_add(struct heap *h, void *x);
/** Take out the one at this place; the last one frees the array */
void heap_remove(struct heap *h, uint32_t at);
/** Take all out, which takes as long as there are, and free the array */
void heap_clear(struct heap *h);
/** The one at this place compares differently now */
void heap_moved(struct heap *h, uint32_t at);
