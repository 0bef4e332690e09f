/*
 * How many came in a window: the burst rate and the sustained rate
 */
#include "realms/rate.h"

enum {
	SECOND = 1000 /* [ms] */
};

/* The window that a moment lies in, and what came before it */
static struct rate at(const struct rate *r, const struct rate_limit *limit,
		      uint64_t now)
{
	struct rate seen = *r;
	uint64_t age = now > r->start ? now - r->start : 0;

	if (age < limit->window)
		return seen;

	seen.last = 0;
	if (limit->sustained && r->start && age < 2ull * limit->window) {
		seen.last = r->present;
		seen.start = r->start + limit->window;
	} else {
		seen.start = now;
	}
	seen.present = 0;

	return seen;
}

/* Requests within one window that ends now, which of the last one holds what is
 * younger than the window; a part of a request does not count */
static uint64_t in_window(const struct rate *seen,
			  const struct rate_limit *limit, uint64_t now)
{
	uint64_t w = limit->window;
	uint64_t age = now > seen->start ? now - seen->start : 0;

	return seen->present + seen->last * (w > age ? w - age - 1 : 0) / w;
}

bool rate_is_full(const struct rate *r, const struct rate_limit *limit,
		  uint64_t now)
{
	struct rate seen;

	if (!limit->rate || !limit->window)
		return false;

	seen = at(r, limit, now);

	return (in_window(&seen, limit, now) + 1) * SECOND >
	       (uint64_t)limit->rate * limit->window;
}

void rate_count(struct rate *r, const struct rate_limit *limit, uint64_t now)
{
	if (!limit->window)
		return;

	*r = at(r, limit, now);
	if (!r->start)
		r->start = now ? now : 1;
	if (r->present < UINT32_MAX)
		++r->present;
}

uint64_t rate_seen(const struct rate *r, const struct rate_limit *limit,
		   uint64_t now)
{
	struct rate seen;

	if (!limit->window)
		return 0;
	seen = at(r, limit, now);

	return in_window(&seen, limit, now);
}

uint64_t rate_next(const struct rate *r, const struct rate_limit *limit,
		   uint64_t now)
{
	uint64_t low = now, high;

	if (!rate_is_full(r, limit, now))
		return now;

	/* Two windows on nothing is left; the load falls all the way there */
	high = r->start + 2ull * limit->window;
	while (low + 1 < high) {
		uint64_t middle = low + (high - low) / 2;

		if (rate_is_full(r, limit, middle))
			low = middle;
		else
			high = middle;
	}

	return high;
}
