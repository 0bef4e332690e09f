/*
 * The timer wheel, one per thread
 *
 * A timer stands in the lowest level in which its slot is fewer than 256 slots
 * ahead of the present one. So a slot holds one moment (level 0) or one span of
 * time, never two a round apart, and the present slot of the upper levels is
 * always empty: it is emptied downwards when time enters it. What lies beyond
 * the last level waits in its farthest slot and is placed anew there.
 *
 * The bit of a slot is set while the slot holds a timer; the end of a list
 * knows its slot by its address, so a cancelled timer needs no further word.
 *
 * The wheel asks the time from sbc/clock alone, and gives the timerfd spans, not
 * moments: with a fake clock it is a wheel in virtual time.
 */
#include <assert.h>
#include <errno.h>
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
	WORDS = SLOTS / 64
};

static const uint64_t never = UINT64_MAX;

struct wheel {
	struct timer *slots[LEVELS * SLOTS];
	uint64_t bits[LEVELS * WORDS];
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

/* A timer of `w` goes to the head of a list */
static void link_to(struct timer **slot, struct timer *t)
{
	t->next = *slot;
	t->prev = slot;
	if (t->next)
		t->next->prev = &t->next;
	*slot = t;
}

static void place(struct wheel *w, struct timer *t)
{
	uint64_t due = t->due > w->now ? t->due : w->now;
	unsigned level = 0, index;

	while (level < LEVELS - 1 &&
	       (due >> (level * BITS)) - (w->now >> (level * BITS)) >= SLOTS)
		++level;

	index = (unsigned)(due >> (level * BITS)) % SLOTS;
	if (level == LEVELS - 1 &&
	    (due >> (level * BITS)) - (w->now >> (level * BITS)) >= SLOTS)
		index = (unsigned)((w->now >> (level * BITS)) + SLOTS - 1) %
			SLOTS;

	index += level * SLOTS;
	link_to(&w->slots[index], t);
	w->bits[index / 64] |= 1ull << (index % 64);
}

static void unlink_timer(struct wheel *w, struct timer *t)
{
	struct timer **prev = t->prev;

	*prev = t->next;
	if (t->next)
		t->next->prev = prev;
	else if (prev >= w->slots && prev < w->slots + LEVELS * SLOTS) {
		size_t index = (size_t)(prev - w->slots);

		w->bits[index / 64] &= ~(1ull << (index % 64));
	}

	t->next = NULL;
	t->prev = NULL;
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

/* Take a whole slot off; its timers stay linked among themselves and to `list` */
static void take_slot(struct wheel *w, unsigned index, struct timer **list)
{
	*list = w->slots[index];
	if (*list)
		(*list)->prev = list;
	w->slots[index] = NULL;
	w->bits[index / 64] &= ~(1ull << (index % 64));
}

/* Time has entered new slots: empty them downwards, from the top */
static void cascade(struct wheel *w)
{
	struct timer *list, *t;

	for (unsigned level = LEVELS - 1; level > 0; level--) {
		unsigned index = (unsigned)(w->now >> (level * BITS)) % SLOTS;

		take_slot(w, level * SLOTS + index, &list);
		while ((t = list)) {
			list = t->next;
			place(w, t);
		}
	}
}

/* All of one millisecond. A handler may cancel, start and free any timer */
static void run_due(struct wheel *w)
{
	struct timer *list, *t;

	take_slot(w, (unsigned)w->now % SLOTS, &list);
	while ((t = list)) {
		unlink_timer(w, t);
		--w->count;
		t->h(t->arg);
	}
}

static void arm(struct deferred *d)
{
	struct wheel *w = wheel;
	struct itimerspec its = { 0 };
	uint64_t next = next_step(w);
	(void)d;

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
	struct timer *t;

	for (unsigned i = 0; i < LEVELS * SLOTS; i++) {
		while ((t = w->slots[i]))
			unlink_timer(w, t);
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

	if (t->prev)
		unlink_timer(w, t);
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
	place(w, t);

	if (t->due < w->armed && !w->turning)
		turn_defer(&w->arm);
}

void timer_cancel(struct timer *t)
{
	if (!t->prev)
		return;

	assert(wheel);
	unlink_timer(wheel, t);
	--wheel->count;
}

bool timer_is_running(const struct timer *t)
{
	return t->prev != NULL;
}

uint64_t timer_left(const struct timer *t)
{
	uint64_t now;

	if (!t->prev)
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

	while ((next = next_step(w)) <= w->turned) {
		w->now = next;
		cascade(w);
		run_due(w);
	}
	/* nothing is due up to here, so no slot on the way held a timer */
	if (w->turned > w->now)
		w->now = w->turned;

	w->turning = false;
	turn_defer(&w->arm);
	turn_leave();
}

static uint64_t slot_next(const struct timer *t)
{
	uint64_t next = never;

	for (; t; t = t->next) {
		if (t->due < next)
			next = t->due;
	}
	return next;
}

/* A slot of an upper level is looked through, and the last level as a whole: what
 * waits there for another round may stand before what is due sooner */
uint64_t wheel_next(void)
{
	const struct wheel *w = wheel;
	uint64_t next = never, due;

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
