/*
 * A heap of objects that know their place in it
 */
#include <errno.h>
#include "store/base.h"
#include "sbc/heap.h"

static void heap_set(struct heap *h, uint32_t at, void *x)
{
	h->v[at] = x;
	h->placed(x, at);
}

static void heap_up(struct heap *h, uint32_t at)
{
	void *x = h->v[at];

	while (at && h->before(x, h->v[(at - 1) / 2])) {
		heap_set(h, at, h->v[(at - 1) / 2]);
		at = (at - 1) / 2;
	}
	heap_set(h, at, x);
}

static void heap_down(struct heap *h, uint32_t at)
{
	void *x = h->v[at];

	for (;;) {
		uint32_t child = 2 * at + 1;

		if (child >= h->n)
			break;
		if (child + 1 < h->n && h->before(h->v[child + 1], h->v[child]))
			child++;
		if (!h->before(h->v[child], x))
			break;
		heap_set(h, at, h->v[child]);
		at = child;
	}
	heap_set(h, at, x);
}

void heap_moved(struct heap *h, uint32_t at)
{
	heap_up(h, at);
	heap_down(h, at);
}

int heap_add(struct heap *h, void *x)
{
	if (h->n == h->size) {
		uint32_t size = h->size ? 2 * h->size : 16;
		void **v = mem_reallocarray(h->v, size, sizeof(*v), NULL);

		if (!v)
			return ENOMEM;
		h->v = v;
		h->size = size;
	}
	h->v[h->n] = x;
	heap_up(h, h->n++);

	return 0;
}

void heap_remove(struct heap *h, uint32_t at)
{
	void *last = h->v[--h->n];

	h->placed(h->v[at], UINT32_MAX);
	if (at < h->n) {
		h->v[at] = last;
		heap_moved(h, at);
	}
	if (!h->n) {
		h->v = mem_deref(h->v);
		h->size = 0;
	}
}

void heap_clear(struct heap *h)
{
	for (uint32_t i = 0; i < h->n; i++)
		h->placed(h->v[i], UINT32_MAX);
	h->v = mem_deref(h->v);
	h->n = h->size = 0;
}
