/*
 * Counters and gauges per thread, summed when read
 *
 * A thread counts into a block of its own, which nobody else writes. Periods
 * need no second word there: whoever counts or reads first after a period has
 * ended adds up all blocks and keeps the sum, so what happened in a period is
 * the difference of two sums. That happens once in 100 s and is skipped by whom
 * finds another at it: such an event may fall into the period before.
 *
 * The highest value of a sum cannot be had from parts, so a gauge is one word
 * for all threads; it moves per call or transaction, not per message.
 */
#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include "sbc/clock.h"
#include "sbc/counters.h"

static const uint64_t period = 100 * 1000; /* [ms] */

typedef _Atomic uint64_t word;

struct block {
	struct block *next;
	word total[COUNTS];
};

struct level {
	_Atomic int64_t now;
	_Atomic int64_t high;    /* since start or reset */
	_Atomic int64_t present; /* highest of the present period */
	_Atomic int64_t last;    /* of the one before */
};

/* Sums at moments of the past, under the lock */
struct mark {
	uint64_t zero;   /* at start or reset: 0 of the life time */
	uint64_t begin;  /* when the present period began */
	uint64_t before; /* when the one before began */
	uint64_t permax; /* of the periods that have ended */
	uint64_t reset;  /* moment of the last reset [ms]; 0: none */
};

/* clang-format off */
static const struct {
	const char *table, *name;
	enum { EVENT, GAUGE } kind;
} rows[COUNTS] = {
#define X(id, kind, table, name) { table, name, kind },
	COUNTERS(X)
#undef X
};
/* clang-format on */

/* The one state of the process besides the log's ring: counted from anywhere,
 * also by threads that know no worker */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct block *_Atomic blocks;
static struct level levels[COUNTS];
static struct mark marks[COUNTS];
static word start;                  /* of the first period [ms]; 0: not yet */
static word boundary;               /* end of the present period [ms] */
static _Atomic uint32_t number = 1; /* of the present period */
static struct block lost; /* of threads that got no memory for their own */

static uint64_t sum(enum counter c)
{
	uint64_t total =
		atomic_load_explicit(&lost.total[c], memory_order_relaxed);

	for (struct block *b = atomic_load(&blocks); b; b = b->next)
		total += atomic_load_explicit(&b->total[c],
					      memory_order_relaxed);
	return total;
}

static void raise_to(_Atomic int64_t *high, int64_t value)
{
	int64_t old = atomic_load_explicit(high, memory_order_relaxed);

	while (old < value && !atomic_compare_exchange_weak_explicit(
				      high, &old, value, memory_order_relaxed,
				      memory_order_relaxed))
		;
}

/* `ended` periods are over, the lock is held: the first had all the events */
static void turn_page(enum counter c, uint64_t ended)
{
	struct mark *m = &marks[c];
	struct level *l = &levels[c];
	uint64_t total = sum(c);
	int64_t now = atomic_load(&l->now);

	if (total - m->begin > m->permax)
		m->permax = total - m->begin;
	m->before = ended > 1 ? total : m->begin;
	m->begin = total;

	atomic_store(&l->last, ended > 1 ? now : atomic_load(&l->present));
	atomic_store(&l->present, now);
	/* it may have risen in between */
	raise_to(&l->present, atomic_load(&l->now));
}

/* The lock is held */
static void turn_pages(uint64_t now)
{
	uint64_t end = atomic_load(&boundary), ended;

	if (!atomic_load(&start)) {
		atomic_store(&start, now ? now : 1);
		atomic_store(&boundary, now + period);
		return;
	}
	if (now < end)
		return;

	ended = 1 + (now - end) / period;
	atomic_store(&boundary, end + ended * period);
	atomic_fetch_add(&number, (uint32_t)ended);
	for (unsigned c = 0; c < COUNTS; c++)
		turn_page((enum counter)c, ended);
}

static void tick(void)
{
	uint64_t now = clock_coarse_ms();

	if (now < atomic_load_explicit(&boundary, memory_order_relaxed))
		return;
	if (pthread_mutex_trylock(&lock))
		return;
	turn_pages(now);
	pthread_mutex_unlock(&lock);
}

static struct block *block_make(void)
{
	struct block *b = calloc(1, sizeof(*b));

	if (!b)
		return NULL;

	b->next = atomic_load(&blocks);
	while (!atomic_compare_exchange_weak(&blocks, &b->next, b))
		;
	return b;
}

void count(enum counter c, uint32_t n)
{
	static _Thread_local struct block *mine;
	word *w;

	assert(c < COUNTS);

	tick();

	if (!mine && !(mine = block_make())) {
		atomic_fetch_add(&lost.total[c], n);
		return;
	}

	/* nobody else writes here, so it need not be one operation */
	w = &mine->total[c];
	atomic_store_explicit(w,
			      atomic_load_explicit(w, memory_order_relaxed) + n,
			      memory_order_relaxed);
}

void gauge(enum counter c, int32_t by)
{
	struct level *l;
	int64_t now;

	assert(c < COUNTS);

	if (by > 0)
		count(c, (uint32_t)by);
	else
		tick();

	l = &levels[c];
	now = atomic_fetch_add_explicit(&l->now, by, memory_order_relaxed) + by;
	if (by > 0) {
		raise_to(&l->present, now);
		raise_to(&l->high, now);
	}
}

uint32_t counters_period(void)
{
	return atomic_load_explicit(&number, memory_order_relaxed);
}

static uint64_t not_below_zero(int64_t v)
{
	return v > 0 ? (uint64_t)v : 0;
}

void counter_read(enum counter c, uint64_t now, struct counter_report *out)
{
	const struct level *l;
	const struct mark *m;
	uint64_t total, present;
	int64_t high, last;

	assert(c < COUNTS);

	memset(out, 0, sizeof(*out));
	out->table = rows[c].table;
	out->name = rows[c].name;
	out->is_gauge = rows[c].kind == GAUGE;

	pthread_mutex_lock(&lock);
	turn_pages(now);

	m = &marks[c];
	total = sum(c);
	present = total - m->begin;
	out->total = total - m->zero;
	out->recent = total - m->before;
	out->permax = present > m->permax ? present : m->permax;

	l = &levels[c];
	high = atomic_load(&l->present);
	last = atomic_load(&l->last);
	out->active = atomic_load(&l->now);
	out->period_high = not_below_zero(high > last ? high : last);
	out->high = not_below_zero(atomic_load(&l->high));
	pthread_mutex_unlock(&lock);
}

static bool is_of(const char *table, unsigned c)
{
	return !table || !strcmp(table, rows[c].table);
}

/* The last full period began two periods before the present one ends; what was
 * before the start, or the reset of all rows of the table, is not in Recent */
uint32_t counters_window_of(const char *table, uint64_t now)
{
	uint64_t reset = UINT64_MAX, from, end;

	pthread_mutex_lock(&lock);
	turn_pages(now);

	for (unsigned c = 0; c < COUNTS; c++) {
		if (is_of(table, c) && marks[c].reset < reset)
			reset = marks[c].reset;
	}

	from = atomic_load(&start);
	end = atomic_load(&boundary);
	if (end >= 2 * period && end - 2 * period > from)
		from = end - 2 * period;
	if (reset != UINT64_MAX && reset > from)
		from = reset;
	pthread_mutex_unlock(&lock);

	return now > from ? (uint32_t)((now - from) / 1000) : 0;
}

uint32_t counters_window(uint64_t now)
{
	return counters_window_of(NULL, now);
}

void counters_reset(const char *table, uint64_t now)
{
	pthread_mutex_lock(&lock);
	turn_pages(now);

	for (unsigned c = 0; c < COUNTS; c++) {
		struct mark *m = &marks[c];
		struct level *l = &levels[c];
		int64_t active = atomic_load(&l->now);

		if (!is_of(table, c))
			continue;
		m->zero = m->begin = m->before = sum((enum counter)c);
		m->permax = 0;
		m->reset = now;
		atomic_store(&l->high, active);
		atomic_store(&l->present, active);
		atomic_store(&l->last, active);
	}

	pthread_mutex_unlock(&lock);
}
