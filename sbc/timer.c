/*
 * The timer wheel, one per thread
 *
 * A timer stands in the lowest level in which its slot is fewer than 256 slots
 * ahead of the present one. So a slot holds one moment (level 0) or one span of
 * time, never two a round apart, and the present slot of the upper levels is
 * always empty: it is emptied downwards when time enters it. What lies beyond
 * the last level waits in its farthest slot and is placed anew there.
 *
 * A slot does not link its timers: it has them in trays, the moment of each beside
 * it. Of a million timers that wait for minutes none is in a cache, nor its page
 * in the address cache: a list through them costs a miss at each step, one after
 * the other, and two more for the neighbours of who leaves it. By its trays a slot
 * is emptied downwards without reading a timer, and who is due is fetched ahead.
 * For the same reason what starts gets a seat in the hall at first. Most of it is
 * cancelled there; the rest goes to its slots together, at the end of a turn,
 * where the misses of one do not wait for those of the other.
 *
 * Only the first tray of a slot has room, and the bit of a slot is set while it
 * has a tray. A timer that finds no memory for a tray stands outside, in a list
 * that is looked through each millisecond.
 *
 * The wheel asks the time from sbc/clock alone, and gives the timerfd spans, not
 * moments: with a fake clock it is a wheel in virtual time.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/timerfd.h>
#include <unistd.h>
#include "store/base.h"
#include <re_main.h>
#include "sbc/clock.h"
#include "sbc/turn.h"
#include "sbc/timer.h"

enum {
	LEVELS = 4,
	BITS = 8, /* of the time, for each level */
	SLOTS = 1 << BITS,
	WORDS = SLOTS / 64,
	HALL = LEVELS * SLOTS, /* a slot behind the last */
	SEATS = 31,            /* of a tray */
	TRAY = 512,            /* [bytes] */
	SPARE = SLOTS,         /* trays kept: a cascade may take so many */
	TURN = 8,              /* fetched at its begin [ms] */
	LINE = 64,             /* of a cache [bytes] */
};

static const uint64_t never = UINT64_MAX;

/** Where a timer stands */
struct seat {
	uint64_t due;
	struct timer *t;
};

/** Aligned to its size: it is found from each of its seats */
struct tray {
	struct tray *next;
	uint32_t slot, n;
	struct seat seats[SEATS];
};

static_assert(sizeof(struct tray) == TRAY, "a tray is found by its alignment");

struct wheel {
	struct tray *slots[LEVELS * SLOTS + 1];
	uint64_t bits[LEVELS * WORDS + 1];
	struct tray *spare;
	uint32_t spares;
	struct timer *outside; /* without a seat */
	struct deferred arm;
	uint64_t now;    /* all before this moment has run [ms] */
	uint64_t turned; /* while a turn runs: the moment it runs up to [ms] */
	uint64_t armed;  /* what the timerfd waits for [ms]; never: nothing */
	size_t count;
	int fd;
	bool turning;
	bool fired; /* the timerfd stays readable until it is set again */
};

static _Thread_local struct wheel *wheel;

static struct tray *tray_of(struct seat *seat)
{
	return (struct tray *)((uintptr_t)seat & ~(uintptr_t)(TRAY - 1));
}

static struct tray *tray_get(struct wheel *w)
{
	struct tray *tray = w->spare;

	if (!tray)
		return aligned_alloc(TRAY, sizeof(*tray));
	w->spare = tray->next;
	--w->spares;

	return tray;
}

static void tray_put(struct wheel *w, struct tray *tray)
{
	if (w->spares >= SPARE) {
		free(tray);
		return;
	}
	tray->next = w->spare;
	w->spare = tray;
	++w->spares;
}

/* 0; ENOMEM */
static int seat_take(struct wheel *w, unsigned slot, struct timer *t,
		     uint64_t due)
{
	struct tray *tray = w->slots[slot];

	if (!tray || tray->n == SEATS) {
		tray = tray_get(w);
		if (!tray)
			return ENOMEM;
		tray->next = w->slots[slot];
		tray->slot = slot;
		tray->n = 0;
		w->slots[slot] = tray;
		w->bits[slot / 64] |= 1ull << (slot % 64);
	}
	t->seat = &tray->seats[tray->n++];
	*t->seat = (struct seat){ due, t };

	return 0;
}

/* The last one of the slot takes the seat that becomes free */
static void seat_leave(struct wheel *w, struct seat *seat)
{
	unsigned slot = tray_of(seat)->slot;
	struct tray *first = w->slots[slot];
	struct seat *last = &first->seats[--first->n];

	if (last != seat) {
		*seat = *last;
		seat->t->seat = seat;
	}
	if (first->n)
		return;

	w->slots[slot] = first->next;
	if (!first->next)
		w->bits[slot / 64] &= ~(1ull << (slot % 64));
	tray_put(w, first);
}

static void stand_outside(struct wheel *w, struct timer *t)
{
	t->seat = NULL;
	t->next = w->outside;
	t->prev = &w->outside;
	if (t->next)
		t->next->prev = &t->next;
	w->outside = t;
}

static void place(struct wheel *w, struct timer *t, uint64_t moment)
{
	uint64_t due = moment > w->now ? moment : w->now;
	unsigned level = 0, index;

	while (level < LEVELS - 1 &&
	       (due >> (level * BITS)) - (w->now >> (level * BITS)) >= SLOTS)
		++level;

	index = (unsigned)(due >> (level * BITS)) % SLOTS;
	if (level == LEVELS - 1 &&
	    (due >> (level * BITS)) - (w->now >> (level * BITS)) >= SLOTS)
		index = (unsigned)((w->now >> (level * BITS)) + SLOTS - 1) %
			SLOTS;

	if (seat_take(w, level * SLOTS + index, t, moment))
		stand_outside(w, t);
}

static void take_out(struct wheel *w, struct timer *t)
{
	if (t->prev) {
		*t->prev = t->next;
		if (t->next)
			t->next->prev = t->prev;
		t->prev = NULL;
	} else {
		seat_leave(w, t->seat);
	}
	t->seat = NULL;
}

/* Slots from the present one of a level to its first with a timer; SLOTS: none */
static unsigned distance(const struct wheel *w, unsigned level)
{
	const uint64_t *bits = &w->bits[level * WORDS];
	unsigned at = (unsigned)(w->now >> (level * BITS)) % SLOTS;
	unsigned word = at / 64;
	uint64_t rest = bits[word] >> (at % 64);

	if (rest)
		return (unsigned)__builtin_ctzll(rest);

	/* the last look is at the part of the first word before `at` */
	for (unsigned i = 1; i <= WORDS; i++) {
		uint64_t b = bits[(word + i) % WORDS];

		if (b)
			return i * 64 - at % 64 + (unsigned)__builtin_ctzll(b);
	}

	return SLOTS;
}

/* The next moment at which a timer is due or a slot is emptied downwards */
static uint64_t next_step(const struct wheel *w)
{
	uint64_t next = never;

	if (!w->count)
		return never;
	if (w->outside)
		return w->now + 1;

	for (unsigned level = 0; level < LEVELS; level++) {
		unsigned shift = level * BITS;
		unsigned d = distance(w, level);
		uint64_t at;

		if (d >= SLOTS)
			continue;
		at = ((w->now >> shift) + d) << shift;
		if (at < next)
			next = at;
	}

	return next;
}

/* All of a slot are placed anew */
static void empty(struct wheel *w, unsigned index)
{
	struct tray *tray = w->slots[index], *next;

	w->slots[index] = NULL;
	w->bits[index / 64] &= ~(1ull << (index % 64));
	for (; tray; tray = next) {
		next = tray->next;
		for (uint32_t i = 0; i < tray->n; i++)
			place(w, tray->seats[i].t, tray->seats[i].due);
		tray_put(w, tray);
	}
}

/* Time has entered new slots: empty them downwards, from the top */
static void cascade(struct wheel *w)
{
	for (unsigned level = LEVELS - 1; level > 0; level--)
		empty(w, level * SLOTS +
				 (unsigned)(w->now >> (level * BITS)) % SLOTS);
}

/* A timer stands at the begin of what it belongs to, where misses count */
static void fetch(const struct tray *tray)
{
	for (uint32_t i = 0; tray && i < tray->n; i++) {
		const char *t = (const char *)tray->seats[i].t;

		__builtin_prefetch(t);
		__builtin_prefetch(t + LINE);
	}
}

/* Who is due in this turn, as a rule one of 4 ms, and all at once: their misses
 * overlap */
static void fetch_turn(const struct wheel *w)
{
	uint64_t end = w->turned < w->now + TURN ? w->turned : w->now + TURN;

	for (uint64_t at = w->now; at <= end; at++)
		__builtin_prefetch(w->slots[at % SLOTS]);
	for (uint64_t at = w->now; at <= end; at++)
		fetch(w->slots[at % SLOTS]);
}

static void run(struct wheel *w, struct timer *t)
{
	take_out(w, t);
	--w->count;
	t->h(t->arg);
}

/* Of those outside: who is due, and who finds a seat now */
static void look_outside(struct wheel *w)
{
	struct timer *list = w->outside, *t;

	if (list)
		list->prev = &list;
	w->outside = NULL;
	while ((t = list)) {
		if (t->due <= w->now) {
			run(w, t);
			continue;
		}
		take_out(w, t);
		place(w, t, t->due);
	}
}

/* All of one millisecond. A handler may cancel, start and free any timer; none is
 * started in this slot, see timer_start */
static void run_due(struct wheel *w)
{
	struct tray **slot = &w->slots[w->now % SLOTS];
	const struct tray *fetched = NULL;

	while (*slot) {
		if (*slot != fetched) {
			fetched = *slot;
			fetch(fetched->next);
		}
		run(w, (*slot)->seats[(*slot)->n - 1].t);
	}
}

static void arm(struct deferred *d)
{
	struct wheel *w = wheel;
	struct itimerspec its = { 0 };
	uint64_t next;
	(void)d;

	empty(w, HALL);
	next = next_step(w);

	/* a wake-up too early does no harm, and costs less than to take it back */
	if (!w->fired && next >= w->armed)
		return;

	if (next != never) {
		uint64_t now = clock_us();
		uint64_t us = next * 1000 > now ? next * 1000 - now : 0;

		its.it_value.tv_sec = (time_t)(us / 1000000);
		/* zero would disarm it */
		its.it_value.tv_nsec = (long)(us % 1000000) * 1000 + !us;
	}

	if (timerfd_settime(w->fd, 0, &its, NULL))
		return; /* EINVAL and EBADF only: mistakes of ours */
	w->armed = next;
	w->fired = false;
}

static void timerfd_handler(int flags, void *arg)
{
	struct wheel *w = arg;
	(void)flags;

	w->fired = true; /* it is not read: setting it makes it unreadable */
	wheel_turn();
}

static void wheel_destructor(void *arg)
{
	struct wheel *w = arg;
	struct tray *tray;

	for (unsigned i = 0; i <= HALL; i++) {
		while (w->slots[i])
			take_out(w, w->slots[i]->seats[0].t);
	}
	while (w->outside)
		take_out(w, w->outside);
	while ((tray = w->spare)) {
		w->spare = tray->next;
		free(tray);
	}

	turn_forget(&w->arm);

	if (w->fd >= 0) {
		fd_close(w->fd);
		close(w->fd);
	}
}

int wheel_open(void)
{
	struct wheel *w;
	int err;

	if (wheel)
		return EALREADY;

	w = mem_zalloc(sizeof(*w), wheel_destructor);
	if (!w)
		return ENOMEM;

	w->now = clock_ms();
	w->armed = never;
	w->arm.run = arm;

	w->fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	if (w->fd < 0) {
		err = errno;
		goto out;
	}

	err = fd_listen(w->fd, FD_READ, timerfd_handler, w);

out:
	if (err)
		mem_deref(w);
	else
		wheel = w;

	return err;
}

void wheel_close(void)
{
	assert(!wheel || !wheel->turning);
	wheel = mem_deref(wheel);
}

void timer_start(struct timer *t, uint64_t delay, timer_h *h, void *arg)
{
	struct wheel *w = wheel;
	uint64_t now = clock_ms();

	assert(w && h);

	if (timer_is_running(t))
		take_out(w, t);
	else
		++w->count;

	/* an empty wheel has nothing to run in between */
	if (w->count == 1 && !w->turning && now > w->now)
		w->now = now;

	t->due = delay < never - now ? now + delay : never - 1;
	/* what starts itself with 0 must not hold up the turn for ever */
	if (w->turning && t->due <= w->turned)
		t->due = w->turned + 1;
	t->h = h;
	t->arg = arg;
	if (seat_take(w, HALL, t, t->due))
		stand_outside(w, t);

	if (t->due < w->armed && !w->turning)
		turn_defer(&w->arm);
}

void timer_cancel(struct timer *t)
{
	if (!timer_is_running(t))
		return;

	assert(wheel);
	take_out(wheel, t);
	--wheel->count;
}

bool timer_is_running(const struct timer *t)
{
	return t->seat || t->prev;
}

uint64_t timer_left(const struct timer *t)
{
	uint64_t now;

	if (!timer_is_running(t))
		return 0;

	now = clock_ms();
	return t->due > now ? t->due - now : 0;
}

void wheel_turn(void)
{
	struct wheel *w = wheel;
	uint64_t next;

	assert(w && !w->turning);

	turn_enter();
	w->turning = true;
	w->turned = clock_ms();
	empty(w, HALL);
	fetch_turn(w);

	while ((next = next_step(w)) <= w->turned) {
		w->now = next;
		cascade(w);
		look_outside(w);
		run_due(w);
	}
	/* nothing is due up to here, so no slot on the way held a timer */
	if (w->turned > w->now)
		w->now = w->turned;

	w->turning = false;
	turn_defer(&w->arm);
	turn_leave();
}

static uint64_t slot_next(const struct tray *tray)
{
	uint64_t next = never;

	for (; tray; tray = tray->next) {
		for (uint32_t i = 0; i < tray->n; i++)
			if (tray->seats[i].due < next)
				next = tray->seats[i].due;
	}

	return next;
}

/* A slot of an upper level is looked through, and the last level as a whole: what
 * waits there for another round may stand before what is due sooner */
uint64_t wheel_next(void)
{
	struct wheel *w = wheel;
	uint64_t next = w && w->outside ? w->now + 1 : never, due;

	if (w)
		empty(w, HALL);
	for (unsigned level = 0; w && level < LEVELS; level++) {
		unsigned d = distance(w, level);
		unsigned at = (unsigned)(w->now >> (level * BITS));

		for (; d < SLOTS; d++) {
			due = slot_next(
				w->slots[level * SLOTS + (at + d) % SLOTS]);
			if (due < next)
				next = due;
			if (level < LEVELS - 1)
				break;
		}
	}

	return next;
}

size_t wheel_count(void)
{
	return wheel ? wheel->count : 0;
}
