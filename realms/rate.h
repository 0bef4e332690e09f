/*
 * How many came in a window: the burst rate and the sustained rate
 *
 * A burst window begins with the first request after the last one ended, and
 * what came in it counts. A sustained rate looks back over exactly one window:
 * what came in the present one, and of the last one the share that the window
 * still covers (behaviour.md 1.5).
 *
 * Any thread may count and ask, and none waits for another. A word holds the
 * start of a window and a number; a request is counted by compare and exchange,
 * so that what fits is exact.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct rate {
	atomic_ullong present; /* the present window; 0: nothing came yet */
	atomic_ullong before;  /* its start, and what came in the last one */
};

struct rate_limit {
	uint32_t rate;   /* requests per second; 0: no limit */
	uint32_t window; /* [ms]; 0: no effect */
	bool sustained;
};

enum {
	RATE_MOST =
		(1 << 30) - 1 /* in one window; beyond it no limit is held */
};

/** Would one more request be over the limit? */
bool rate_is_full(const struct rate *r, const struct rate_limit *limit,
		  uint64_t now);

/** Count a request */
void rate_count(struct rate *r, const struct rate_limit *limit, uint64_t now);

/**
 * Count a request if it fits
 *
 * @param windowp  Set to the window that it counts in, for rate_give
 *
 * @return 0; EBUSY it would be over the limit
 */
int rate_take(struct rate *r, const struct rate_limit *limit, uint64_t now,
	      uint64_t *windowp);

/** Take one back that was counted in this window, unless that is over */
void rate_give(struct rate *r, uint64_t window);

/** Take one back of the present window, whichever that is */
void rate_undo(struct rate *r);

/** How many came in the present window, as of the last request */
uint32_t rate_present(const struct rate *r);

/** How many came within one window that ends now */
uint64_t rate_seen(const struct rate *r, const struct rate_limit *limit,
		   uint64_t now);

/** Moment [ms] from which one more fits, if nothing else comes; now when it does
 *  already */
uint64_t rate_next(const struct rate *r, const struct rate_limit *limit,
		   uint64_t now);
