/*
 * Time moved by hand: the clock of unit tests
 *
 * Monotonic time begins at 1,000,000 ms, wall time on 2026-11-20 at 12:00:00,
 * a Friday, and the machine stands in UTC. All threads see one time.
 */
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include "sbc/clock.h"
#include "tests/unit/fake_clock.h"

static _Atomic uint64_t now = 1000000, idle;
static _Atomic uint64_t offset = 1795176000000 - 1000000;

void fake_clock_advance(uint64_t ms)
{
	now += ms;
}

void fake_clock_idle(uint64_t ms)
{
	idle += ms;
}

void fake_clock_step(int64_t seconds)
{
	offset += (uint64_t)(seconds * 1000);
}

/* Time moves by hand only: it is always held */
void clock_hold(void)
{
}

void clock_release(void)
{
}

uint64_t clock_ms(void)
{
	return now;
}

uint64_t clock_us(void)
{
	return now * 1000;
}

uint64_t clock_coarse_ms(void)
{
	return now;
}

uint64_t clock_wall_ms(void)
{
	return now + offset;
}

uint64_t clock_wall(void)
{
	return clock_wall_ms() / 1000;
}

uint64_t clock_cpu_us(void)
{
	return (now - idle) * 1000;
}

uint64_t clock_cpu_of_us(pthread_t thread)
{
	(void)thread;
	return clock_cpu_us();
}

/* The sleeper finds that time has passed */
void clock_rest(uint64_t us)
{
	fake_clock_advance((us + 999) / 1000);
}

static struct tm broken_down(uint64_t wall_ms)
{
	time_t t = (time_t)(wall_ms / 1000);
	struct tm tm;

	memset(&tm, 0, sizeof(tm));
	gmtime_r(&t, &tm);
	return tm;
}

void clock_local(struct local_time *out)
{
	struct tm tm = broken_down(clock_wall_ms());

	out->of_day = (hhmm)(tm.tm_hour * 100 + tm.tm_min);
	out->weekday = (uint8_t)tm.tm_wday;
	out->now = (uint64_t)(tm.tm_year + 1900) * 10000000000 +
		   (uint64_t)(tm.tm_mon + 1) * 100000000 +
		   (uint64_t)tm.tm_mday * 1000000 +
		   (uint64_t)out->of_day * 100 + (uint64_t)tm.tm_sec;
}

void clock_time_of_day(char buf[9], uint64_t wall)
{
	struct tm tm = broken_down(wall * 1000);

	strftime(buf, 9, "%H:%M:%S", &tm);
}

void clock_stamp(char buf[32], uint64_t wall_ms)
{
	(void)snprintf(buf, 32, "Jan 01 00:00:00.%03u",
		       (unsigned)(wall_ms % 1000));
}

void clock_rfc3339(char buf[25], uint64_t wall_ms)
{
	struct tm tm = broken_down(wall_ms);
	unsigned ms = (unsigned)(wall_ms % 1000);

	strftime(buf, 25, "%Y-%m-%dT%H:%M:%S.000Z", &tm);
	buf[20] = (char)('0' + ms / 100);
	buf[21] = (char)('0' + ms / 10 % 10);
	buf[22] = (char)('0' + ms % 10);
}
