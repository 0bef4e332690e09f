/*
 * The timer wheel, one per thread
 *
 * Four levels of 256 slots (1 ms, 256 ms, 65 s, 4.6 h), a bitmap each, and one
 * timerfd under fd_listen. Start, cancel and next are O(1). Longer delays wait
 * in the last level again.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct timer;
typedef void(timer_h)(void *arg);

struct timer { /* zeroed before its first use; 40 bytes */
	union {
		struct seat *seat;  /* in the wheel */
		struct timer *next; /* where prev is set: outside of it */
	};
	struct timer **prev;
	uint64_t due; /* [ms, monotonic] */
	timer_h *h;
	void *arg;
};

/**
 * Make the wheel of the calling thread and its timerfd
 *
 * @return 0; EALREADY it has one; EINVAL the thread has no loop of libre;
 *         ENOMEM; errno of timerfd_create
 */
int wheel_open(void);
/** Close it, not from a handler; timers that still run are forgotten */
void wheel_close(void);

/** Run h(arg) after delay [ms]; a running timer starts anew. 0: in the next
 *  turn of the wheel. Timers of one millisecond run in no certain order */
void timer_start(struct timer *t, uint64_t delay, timer_h *h, void *arg);
/** Cancel; a timer that does not run is left alone */
void timer_cancel(struct timer *t);
bool timer_is_running(const struct timer *t);
/** Time left [ms], 0 when it does not run */
uint64_t timer_left(const struct timer *t);

/** Call what is due at clock_ms(): the timerfd does this; a test with a fake
 *  clock does it by hand */
void wheel_turn(void);
/** Moment of the next timer [ms], UINT64_MAX: none. For tests, which jump there:
 *  it looks through whole slots */
uint64_t wheel_next(void);
/** Timers that run, of this thread */
size_t wheel_count(void);
