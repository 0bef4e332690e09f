/*
 * Steps of the wall clock are said, and nothing else is
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "store/base.h"
#include <re_main.h>
#include "sbc/alarm.h"
#include "sbc/leap.h"
#include "tests/unit/fake_clock.h"

static void count_steps(const struct alarm_report *a, void *arg)
{
	if (!strcmp(a->name, "clock-step"))
		++*(unsigned *)arg;
}

static unsigned steps(void)
{
	unsigned n = 0;

	alarms_walk(false, count_steps, &n);
	return n;
}

static void pass(uint64_t seconds)
{
	for (; seconds; seconds--) {
		fake_clock_advance(1000);
		wheel_turn();
	}
}

static void a_step_of_more_than_5_s_is_alarmed_and_ends_by_itself(void **s)
{
	static const struct {
		int64_t step;
		unsigned alarms;
	} rows[] = { { 0, 0 },  { 4, 0 },    { -4, 0 },   { 6, 1 },
		     { -6, 1 }, { 3600, 1 }, { -3600, 1 } };
	(void)s;

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct leap leap = { .offset = 0 };

		leap_begin(&leap);
		pass(3);
		assert_int_equal(steps(), 0);
		fake_clock_step(rows[i].step);
		pass(3);
		assert_int_equal(steps(), rows[i].alarms);
		pass(3601);
		assert_int_equal(steps(), 0);
		leap_end(&leap);
	}
	assert_int_equal(wheel_count(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			a_step_of_more_than_5_s_is_alarmed_and_ends_by_itself),
	};
	int err = libre_init();

	if (!err)
		err = wheel_open();
	if (err)
		return 1;
	err = cmocka_run_group_tests(tests, NULL, NULL);
	wheel_close();
	libre_close();

	return err;
}
