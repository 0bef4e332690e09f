/*
 * A heap of objects that know their place in it
 */
#include <errno.h>
#include "store/base.h"
#include "sbc/heap.h"

static bool item_before(const struct heap *h, const struct heap_item *a,
			const struct heap_item *b)
{
	return a->rank != b->rank ? a->rank < b->rank : h->before(a->x, b->x);
}

bool heap_is_before(const struct heap *h, uint32_t a, uint32_t b)
{
	return item_before(h, &h->v[a], &h->v[b]);
}

static void heap_set(struct heap *h, uint32_t at, const struct heap_item *item)
{
	h->v[at] = *item;
	h->placed(item->x, at);
}

static void heap_up(struct heap *h, uint32_t at)
{
	const struct heap_item item = h->v[at];

	while (at && item_before(h, &item, &h->v[(at - 1) / 2])) {
		heap_set(h, at, &h->v[(at - 1) / 2]);
		at = (at - 1) / 2;
	}
	heap_set(h, at, &item);
}

static void heap_down(struct heap *h, uint32_t at)
{
	const struct heap_item item = h->v[at];

	for (;;) {
		uint32_t child = 2 * at + 1;

		if (child >= h->n)
			break;
		if (child + 1 < h->n && heap_is_before(h, child + 1, child))
			child++;
		if (!item_before(h, &h->v[child], &item))
			break;
		heap_set(h, at, &h->v[child]);
		at = child;
	}
	heap_set(h, at, &item);
}

void heap_moved(struct heap *h, uint32_t at, uint64_t rank)
{
	h->v[at].rank = rank;
	heap_up(h, at);
	heap_down(h, at);
}

int heap_add(struct heap *h, void *x, uint64_t rank)
{
	if (h->n == h->size) {
		uint32_t size = h->size ? 2 * h->size : 16;
		struct heap_item *v =
			mem_reallocarray(h->v, size, sizeof(*v), NULL);

		if (!v)
			return ENOMEM;
		h->v = v;
		h->size = size;
	}
	h->v[h->n] = (struct heap_item){ rank, x };
	heap_up(h, h->n++);

	return 0;
}

void heap_remove(struct heap *h, uint32_t at)
{
	const struct heap_item last = h->v[--h->n];

	h->placed(h->v[at].x, UINT32_MAX);
	if (at < h->n) {
		h->v[at] = last;
		heap_up(h, at);
		heap_down(h, at);
	}
	if (!h->n) {
		h->v = mem_deref(h->v);
		h->size = 0;
	}
}

void heap_clear(struct heap *h)
{
	for (uint32_t i = 0; i < h->n; i++)
		h->placed(h->v[i].x, UINT32_MAX);
	h->v = mem_deref(h->v);
	h->n = h->size = 0;
}
