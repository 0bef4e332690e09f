/*
 * Monotonic and wall time, the only caller of clock_gettime
 *
 * Local time and the text of a second are computed once per second and thread:
 * both ask the time zone or divide a lot, and both are wanted for each call.
 * The time in milliseconds is asked for a dozen times for one message, so it can
 * be held for as long as one message takes.
 */
#include <stdbool.h>
#include <string.h>
#include <time.h>
#include "sbc/clock.h"

enum {
	RFC3339_SIZE = 25
};

/* What this thread knows of the time while it holds it; 0: not asked for yet */
static _Thread_local struct {
	bool on;
	uint64_t ms, coarse_ms, wall_ms;
} held;

/* clock_gettime cannot fail with these clocks. One division by a constant: both
 * are called for each timer and each counted event */
static uint64_t read_ms(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint32_t)ts.tv_nsec / 1000000;
}

static uint64_t read_us(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint32_t)ts.tv_nsec / 1000;
}

static uint64_t read_held(uint64_t *ms, clockid_t id)
{
	if (!held.on)
		return read_ms(id);
	if (!*ms)
		*ms = read_ms(id);

	return *ms;
}

void clock_hold(void)
{
	memset(&held, 0, sizeof(held));
	held.on = true;
}

void clock_release(void)
{
	held.on = false;
}

uint64_t clock_ms(void)
{
	return read_held(&held.ms, CLOCK_MONOTONIC);
}

uint64_t clock_us(void)
{
	return read_us(CLOCK_MONOTONIC);
}

uint64_t clock_coarse_ms(void)
{
	return read_held(&held.coarse_ms, CLOCK_MONOTONIC_COARSE);
}

uint64_t clock_wall(void)
{
	return clock_wall_ms() / 1000;
}

uint64_t clock_wall_ms(void)
{
	return read_held(&held.wall_ms, CLOCK_REALTIME);
}

uint64_t clock_cpu_us(void)
{
	return read_us(CLOCK_THREAD_CPUTIME_ID);
}

uint64_t clock_cpu_of_us(pthread_t thread)
{
	clockid_t id;

	return pthread_getcpuclockid(thread, &id) ? 0 : read_us(id);
}

void clock_rest(uint64_t us)
{
	const struct timespec ts = { .tv_sec = (time_t)(us / 1000000),
				     .tv_nsec = (long)(us % 1000000) * 1000 };

	(void)clock_nanosleep(CLOCK_MONOTONIC, 0, &ts, NULL);
}

void clock_local(struct local_time *out)
{
	static _Thread_local struct local_time cached;
	static _Thread_local time_t second;
	time_t now = (time_t)clock_wall();
	struct tm tm;

	if (now != second && localtime_r(&now, &tm)) {
		uint64_t date = (uint64_t)(tm.tm_year + 1900) * 10000 +
				(uint64_t)(tm.tm_mon + 1) * 100 +
				(uint64_t)tm.tm_mday;

		cached.of_day = (hhmm)(tm.tm_hour * 100 + tm.tm_min);
		/* a leap second would be 60: the windows know no such second */
		cached.now = date * 1000000 + (uint64_t)cached.of_day * 100 +
			     (uint64_t)(tm.tm_sec < 60 ? tm.tm_sec : 59);
		cached.weekday = (uint8_t)tm.tm_wday;
		second = now;
	}

	*out = cached;
}

void clock_time_of_day(char buf[9], uint64_t wall)
{
	time_t t = (time_t)wall;
	struct tm tm = { 0 };

	(void)localtime_r(&t, &tm);
	(void)strftime(buf, 9, "%H:%M:%S", &tm);
}

static void digits(char *p, unsigned value, unsigned width);

void clock_stamp(char buf[32], uint64_t wall_ms)
{
	static const char months[12][4] = { "Jan", "Feb", "Mar", "Apr",
					    "May", "Jun", "Jul", "Aug",
					    "Sep", "Oct", "Nov", "Dec" };
	time_t t = (time_t)(wall_ms / 1000);
	struct tm tm = { 0 };
	size_t n;

	(void)localtime_r(&t, &tm);
	memcpy(buf, months[tm.tm_mon], 3);
	n = 3 + strftime(buf + 3, 20, " %d %H:%M:%S.", &tm);
	digits(buf + n, (unsigned)(wall_ms % 1000), 3);
	buf[n + 3] = '\0';
}

static void digits(char *p, unsigned value, unsigned width)
{
	while (width--) {
		p[width] = (char)('0' + value % 10);
		value /= 10;
	}
}

void clock_rfc3339(char buf[25], uint64_t wall_ms)
{
	static _Thread_local char text[RFC3339_SIZE] =
		"1970-01-01T00:00:00.000Z";
	static _Thread_local time_t second;
	time_t now = (time_t)(wall_ms / 1000);
	struct tm tm;

	if (now != second && gmtime_r(&now, &tm)) {
		digits(text, (unsigned)tm.tm_year + 1900, 4);
		digits(text + 5, (unsigned)tm.tm_mon + 1, 2);
		digits(text + 8, (unsigned)tm.tm_mday, 2);
		digits(text + 11, (unsigned)tm.tm_hour, 2);
		digits(text + 14, (unsigned)tm.tm_min, 2);
		digits(text + 17, (unsigned)tm.tm_sec, 2);
		second = now;
	}

	digits(text + 20, (unsigned)(wall_ms % 1000), 3);
	memcpy(buf, text, RFC3339_SIZE);
}
