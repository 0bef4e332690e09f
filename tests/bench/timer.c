/*
 * What a timer costs with 1,000 to 1,000,000 pending
 *
 * Three figures for each number: start anew of a random timer (unlink, place),
 * start and cancel, and one that comes due with all cascades on its way. Printed
 * as ns of CPU; the clock is read as in the product. Budget: architecture.md 12,
 * "O(1) timers": no figure may grow but for what the caches of the processor do.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include "store/base.h"
#include <re_main.h>
#include "sbc/clock.h"
#include "sbc/timer.h"

enum {
	ROUNDS = 1000000
};

static unsigned ran;

static void note(void *arg)
{
	ran++;
	(void)arg;
}

static uint64_t delay(void)
{
	/* T1 to registrations of an hour */
	return 500 + (uint64_t)rand() % 3600000;
}

static double restarts(struct timer *t, size_t n)
{
	uint64_t begin = clock_cpu_us();

	for (unsigned i = 0; i < ROUNDS; i++)
		timer_start(&t[((size_t)rand() * 31 + i) % n], delay(), note,
			    NULL);
	return (double)(clock_cpu_us() - begin) * 1000 / ROUNDS;
}

static double pairs(void)
{
	struct timer t = { 0 };
	uint64_t begin = clock_cpu_us();

	for (unsigned i = 0; i < ROUNDS; i++) {
		timer_start(&t, 500, note, NULL);
		timer_cancel(&t);
	}
	return (double)(clock_cpu_us() - begin) * 1000 / ROUNDS;
}

/* All due within 2 s, and the loop held up so long: one turn runs through 2,000
 * slots and all that stand in them */
static double runs(struct timer *t, size_t n)
{
	const struct timespec pause = { 2, 10000000 };
	uint64_t begin;

	ran = 0;
	for (size_t i = 0; i < n; i++)
		timer_start(&t[i], 1 + (uint64_t)rand() % 2000, note, NULL);
	nanosleep(&pause, NULL);
	begin = clock_cpu_us();
	wheel_turn();
	return ran == n ? (double)(clock_cpu_us() - begin) * 1000 / (double)n
			: -1;
}

int main(void)
{
	static const size_t numbers[] = { 1000, 10000, 100000, 1000000 };

	if (libre_init() || wheel_open())
		return 1;

	printf("%10s %12s %12s %12s\n", "pending", "restart ns", "pair ns",
	       "due ns");
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		size_t n = numbers[i];
		struct timer *t = calloc(n, sizeof(*t));
		double restart, pair;

		if (!t)
			return 1;
		for (size_t k = 0; k < n; k++)
			timer_start(&t[k], delay(), note, NULL);
		restart = restarts(t, n);
		pair = pairs();
		for (size_t k = 0; k < n; k++)
			timer_cancel(&t[k]);
		printf("%10zu %12.0f %12.0f %12.0f\n", n, restart, pair,
		       runs(t, n));
		free(t);
	}

	wheel_close();
	libre_close();
	return 0;
}
