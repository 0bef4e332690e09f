/*
 * How many came in a window: the burst rate and the sustained rate
 *
 * A burst window begins with the first request after the last one ended, and
 * what came in it counts. A sustained rate looks back over exactly one window:
 * what came in the present one, and of the last one the share that the window
 * still covers (behaviour.md 1.5). Not for several threads: the holder locks.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct rate {
	uint64_t start; /* of the present window [ms]; 0: nothing came yet */
	uint32_t present, last;
};

struct rate_limit {
	uint32_t rate;   /* requests per second; 0: no limit */
	uint32_t window; /* [ms]; 0: no effect */
	bool sustained;
};

/** Would one more request be over the limit? */
bool rate_is_full(const struct rate *r, const struct rate_limit *limit,
		  uint64_t now);

/** Count a request */
void rate_count(struct rate *r, const struct rate_limit *limit, uint64_t now);

/** How many came within one window that ends now */
uint64_t rate_seen(const struct rate *r, const struct rate_limit *limit,
		   uint64_t now);

/** Moment [ms] from which one more fits, if nothing else comes; now when it does
 *  already */
uint64_t rate_next(const struct rate *r, const struct rate_limit *limit,
		   uint64_t now);
