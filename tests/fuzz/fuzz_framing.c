/*
 * Fuzz target: a stream in two pieces is cut like the same stream in one
 */
#include <stdlib.h>
#include <string.h>
#include "store/base.h"
#include "sbc/framing.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Cut what is there; count of bytes taken off. `end` is set when it broke */
static size_t cut(struct framing *f, const uint8_t *p, size_t n, bool *end)
{
	size_t taken = 0;

	while (!*end) {
		size_t length, left = n - taken;
		/* an exact copy, so that a read beyond it is seen */
		uint8_t *copy = malloc(left ? left : 1);
		enum framing_what what;

		if (!copy)
			abort();
		if (left)
			memcpy(copy, p + taken, left);
		what = framing_next(f, copy, left, &length);
		free(copy);
		if (length > left)
			abort();

		if (what == FRAMING_MORE)
			break;
		if (what == FRAMING_BROKEN)
			*end = true;
		else if (!length)
			abort();
		else
			taken += length;
	}

	return taken;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct framing whole, parts;
	bool whole_end = false, parts_end = false;
	size_t split, a, b;

	if (!size)
		return 0;

	split = data[0] * size / 256;
	++data;
	--size;
	if (split > size)
		split = size;

	framing_init(&whole, 4096);
	a = cut(&whole, data, size, &whole_end);

	framing_init(&parts, 4096);
	b = cut(&parts, data, split, &parts_end);
	b += cut(&parts, data + b, size - b, &parts_end);

	/* A ping cut in two is a ping still, so both must agree */
	if (a != b || whole_end != parts_end)
		abort();

	return 0;
}
