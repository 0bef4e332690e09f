/*
 * Rate limit in one atomic word; the time is an argument
 */
#include <errno.h>
#include "realms/bucket.h"

enum {
	SECOND = 1000000
}; /* [us] */

void bucket_init(struct bucket *b, uint32_t rate, uint32_t burst)
{
	atomic_init(&b->full, 0);
	b->interval = rate ? SECOND / rate : 0;
	b->burst = b->interval * (burst ? burst : 1);
}

int bucket_take(struct bucket *b, uint64_t now)
{
	uint64_t full = atomic_load_explicit(&b->full, memory_order_relaxed);
	uint64_t next;

	do {
		next = (full > now ? full : now) + b->interval;
		if (next - now > b->burst)
			return EBUSY;
	} while (!atomic_compare_exchange_weak_explicit(&b->full, &full, next,
							memory_order_relaxed,
							memory_order_relaxed));

	return 0;
}

uint64_t bucket_next(const struct bucket *b, uint64_t now)
{
	uint64_t full = atomic_load_explicit(&b->full, memory_order_relaxed);
	uint64_t next;

	if (full <= now)
		return now;

	/* The first moment at which full + interval lies within the burst */
	next = full + b->interval;

	return next > b->burst ? next - b->burst : 0;
}
