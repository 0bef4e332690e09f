/*
 * Monotonic and wall time, the only caller of clock_gettime
 *
 * A unit test links fake_clock.c in its place and moves time by hand.
 */
#pragma once

#include <pthread.h>
#include <stdint.h>
#include "policy/route.h"

/** Monotonic time [ms]; [us] */
uint64_t clock_ms(void);
uint64_t clock_us(void);

/** Monotonic time [ms] as of the last tick of the kernel, at most 10 ms old:
 *  for what is asked for at each message */
uint64_t clock_coarse_ms(void);

/** From now on clock_ms, clock_coarse_ms, clock_wall and clock_wall_ms say the same
 *  on this thread, until clock_release or the next clock_hold: a message or a round
 *  of timers has one time, and reads the clock once. Only for what never waits */
void clock_hold(void);
void clock_release(void);

/** Wall time, UTC, since 1970 [s]; [ms] */
uint64_t clock_wall(void);
uint64_t clock_wall_ms(void);

/** Local time broken down, for windows of local policies (cached per second) */
void clock_local(struct local_time *out);
/** Local time of day of a moment [s], for people: "12:34:56" */
void clock_time_of_day(char buf[9], uint64_t wall);

/** "Nov 20 14:17:54.526": local time of a wall time [ms]; buf of 32 bytes */
void clock_stamp(char buf[32], uint64_t wall_ms);

/** "2026-11-20T13:02:55.123Z" of a wall time [ms]; buf of 25 bytes */
void clock_rfc3339(char buf[25], uint64_t wall_ms);

/** CPU time used by the calling thread [us]; by another one, 0 if it is gone */
uint64_t clock_cpu_us(void);
uint64_t clock_cpu_of_us(pthread_t thread);

/** Let this thread sleep [us], unless a signal ends it */
void clock_rest(uint64_t us);
