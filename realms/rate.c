/*
 * How many came in a window: the burst rate and the sustained rate
 *
 * A start has 34 bits of milliseconds, half a year. A rate that nothing came to
 * for exactly as long would take its last window for the present one, once.
 *
 * With a sustained rate a window ends in two steps: first `before` gets the start
 * of the next one and what came in this one, then `present` begins anew. Whoever
 * finds the first step done does the second, so nobody waits. A request that came
 * in between is found by the second step, which is then tried again.
 */
#include <errno.h>
#include "realms/rate.h"

enum {
	SECOND = 1000, /* [ms] */
	START_BITS = 34,
	COUNT_BITS = 30,
	LATE = 60 * SECOND, /* another thread may have asked the time before */
};

static const uint64_t starts = (1ull << START_BITS) - 1;

static uint64_t word(uint64_t start, uint64_t count)
{
	if (count > RATE_MOST)
		count = RATE_MOST;

	return (start & starts) << COUNT_BITS | count;
}

static uint64_t start_of(uint64_t w)
{
	return w >> COUNT_BITS;
}

static uint64_t count_of(uint64_t w)
{
	return w & RATE_MOST;
}

static uint64_t age_of(uint64_t w, uint64_t now)
{
	uint64_t age = (now - start_of(w)) & starts;

	return age > starts - LATE ? 0 : age;
}

/* The window that a moment lies in, and what came before it */
struct seen {
	uint64_t present, before; /* as they were read */
	uint64_t start;           /* of the window; only its bits count */
	uint64_t count, last;
	bool over; /* the window of `present` is */
};

static struct seen see(const struct rate *r, const struct rate_limit *limit,
		       uint64_t now)
{
	/* In this order: `before` is of this window at least, or a later one */
	struct seen s = { .present = atomic_load(&r->present) };
	uint64_t age = age_of(s.present, now);
	uint64_t next = (start_of(s.present) + limit->window) & starts;
	bool ending;

	s.before = atomic_load(&r->before);
	/* Somebody whose clock was ahead has begun to end it */
	ending = limit->sustained && s.present && s.before &&
		 start_of(s.before) == next;

	if (s.present && age < limit->window && !ending) {
		s.start = start_of(s.present);
		s.count = count_of(s.present);
		if (limit->sustained && start_of(s.before) == s.start)
			s.last = count_of(s.before);
		return s;
	}

	s.over = true;
	s.start = now;
	if (limit->sustained && s.present &&
	    (ending || age < 2ull * limit->window)) {
		s.start = next;
		s.last = count_of(s.present);
	}

	return s;
}

/* Requests within one window that ends now, which of the last one holds what is
 * younger than the window; a part of a request does not count */
static uint64_t in_window(const struct seen *s, const struct rate_limit *limit,
			  uint64_t now)
{
	uint64_t w = limit->window;
	uint64_t age = age_of(word(s->start, 0), now);

	return s->count + s->last * (w > age ? w - age - 1 : 0) / w;
}

static bool is_full(const struct seen *s, const struct rate_limit *limit,
		    uint64_t now)
{
	return (in_window(s, limit, now) + 1) * SECOND >
	       (uint64_t)limit->rate * limit->window;
}

bool rate_is_full(const struct rate *r, const struct rate_limit *limit,
		  uint64_t now)
{
	struct seen s;

	if (!limit->rate || !limit->window)
		return false;

	s = see(r, limit, now);

	return is_full(&s, limit, now);
}

/* One more in the window that was seen; false: somebody was quicker */
static bool count_one(struct rate *r, const struct rate_limit *limit,
		      const struct seen *s)
{
	unsigned long long present = s->present, before = s->before;
	uint64_t last = word(s->start, s->last);

	/* A word that is 0 tells of nothing, and says no start either */
	if (limit->sustained && s->over && before != last &&
	    !atomic_compare_exchange_strong(&r->before, &before, last))
		return false;

	return atomic_compare_exchange_strong(&r->present, &present,
					      word(s->start, s->count + 1));
}

void rate_count(struct rate *r, const struct rate_limit *limit, uint64_t now)
{
	struct seen s;

	if (!limit->window)
		return;

	do
		s = see(r, limit, now);
	while (!count_one(r, limit, &s));
}

int rate_take(struct rate *r, const struct rate_limit *limit, uint64_t now,
	      uint64_t *windowp)
{
	struct seen s;

	if (!limit->window)
		return 0;

	do {
		s = see(r, limit, now);
		if (limit->rate && is_full(&s, limit, now))
			return EBUSY;
	} while (!count_one(r, limit, &s));
	*windowp = s.start & starts;

	return 0;
}

void rate_give(struct rate *r, uint64_t window)
{
	unsigned long long present = atomic_load(&r->present);

	while (start_of(present) == window && count_of(present) &&
	       !atomic_compare_exchange_weak(&r->present, &present,
					     present - 1))
		;
}

void rate_undo(struct rate *r)
{
	rate_give(r, start_of(atomic_load(&r->present)));
}

uint32_t rate_present(const struct rate *r)
{
	return (uint32_t)count_of(atomic_load(&r->present));
}

uint64_t rate_seen(const struct rate *r, const struct rate_limit *limit,
		   uint64_t now)
{
	struct seen s;

	if (!limit->window)
		return 0;
	s = see(r, limit, now);

	return in_window(&s, limit, now);
}

uint64_t rate_next(const struct rate *r, const struct rate_limit *limit,
		   uint64_t now)
{
	uint64_t low = now, high;

	if (!rate_is_full(r, limit, now))
		return now;

	/* Two windows on nothing is left; the load falls all the way there */
	high = now + 2ull * limit->window;
	while (low + 1 < high) {
		uint64_t middle = low + (high - low) / 2;

		if (rate_is_full(r, limit, middle))
			low = middle;
		else
			high = middle;
	}

	return high;
}
