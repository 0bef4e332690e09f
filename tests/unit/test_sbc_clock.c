/*
 * The clock that is held for a message
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include "sbc/clock.h"

enum {
	PAUSE = 20000 /* more than a tick of the kernel [us] */
};

static void a_held_clock_stands_still_until_it_is_released(void **s)
{
	uint64_t ms, coarse, wall;
	(void)s;

	clock_hold();
	ms = clock_ms();
	coarse = clock_coarse_ms();
	wall = clock_wall_ms();
	clock_rest(PAUSE);
	assert_int_equal(clock_ms(), ms);
	assert_int_equal(clock_coarse_ms(), coarse);
	assert_int_equal(clock_wall_ms(), wall);
	assert_int_equal(clock_wall(), wall / 1000);

	clock_release();
	assert_true(clock_ms() >= ms + PAUSE / 1000);
	assert_true(clock_coarse_ms() > coarse);
}

static void holding_again_reads_the_clock_again(void **s)
{
	uint64_t ms;
	(void)s;

	clock_hold();
	ms = clock_ms();
	clock_rest(PAUSE);
	clock_hold();
	assert_true(clock_ms() >= ms + PAUSE / 1000);
	clock_release();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			a_held_clock_stands_still_until_it_is_released),
		cmocka_unit_test(holding_again_reads_the_clock_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
