/*
 * A bucket lets the burst through at once, then one token each interval
 */
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include "realms/bucket.h"

static const uint64_t T = 5000000; /* some time after start [us] */

static void a_burst_passes_and_one_more_does_not(void **s)
{
	struct bucket b;

	bucket_init(&b, 10, 3);
	for (int i = 0; i < 3; ++i)
		assert_int_equal(bucket_take(&b, T), 0);
	assert_int_equal(bucket_take(&b, T), EBUSY);
	(void)s;
}

static void one_token_comes_back_each_interval(void **s)
{
	struct bucket b;

	bucket_init(&b, 10, 1);
	assert_int_equal(bucket_take(&b, T), 0);
	assert_int_equal(bucket_take(&b, T + 99999), EBUSY);
	assert_int_equal(bucket_take(&b, T + 100000), 0);
	assert_int_equal(bucket_take(&b, T + 100000), EBUSY);
	(void)s;
}

static void the_next_moment_is_the_first_that_has_a_token(void **s)
{
	struct bucket b;
	uint64_t next;

	bucket_init(&b, 100, 4);
	assert_true(bucket_next(&b, T) <= T);
	for (int i = 0; i < 4; ++i)
		assert_int_equal(bucket_take(&b, T), 0);

	next = bucket_next(&b, T);
	assert_int_equal(next, T + 10000);
	assert_int_equal(bucket_take(&b, next - 1), EBUSY);
	assert_int_equal(bucket_take(&b, next), 0);
	(void)s;
}

static void a_long_silence_gives_no_more_than_the_burst(void **s)
{
	struct bucket b;

	bucket_init(&b, 10, 2);
	assert_int_equal(bucket_take(&b, T), 0);
	assert_int_equal(bucket_take(&b, T + 3600000000), 0);
	assert_int_equal(bucket_take(&b, T + 3600000000), 0);
	assert_int_equal(bucket_take(&b, T + 3600000000), EBUSY);
	(void)s;
}

static void rate_zero_is_no_limit(void **s)
{
	struct bucket b;

	bucket_init(&b, 0, 0);
	for (int i = 0; i < 1000; ++i)
		assert_int_equal(bucket_take(&b, T), 0);
	(void)s;
}

static void a_refused_take_costs_nothing(void **s)
{
	struct bucket b;

	bucket_init(&b, 10, 1);
	assert_int_equal(bucket_take(&b, T), 0);
	for (int i = 0; i < 100; ++i)
		assert_int_equal(bucket_take(&b, T + 1), EBUSY);
	assert_int_equal(bucket_take(&b, T + 100000), 0);
	(void)s;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_burst_passes_and_one_more_does_not),
		cmocka_unit_test(one_token_comes_back_each_interval),
		cmocka_unit_test(the_next_moment_is_the_first_that_has_a_token),
		cmocka_unit_test(a_long_silence_gives_no_more_than_the_burst),
		cmocka_unit_test(rate_zero_is_no_limit),
		cmocka_unit_test(a_refused_take_costs_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
