/*
 * Random bytes differ, between threads too, and ranges are even
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdbool.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include "sbc/random.h"

enum {
	DRAWS = 20000
};

static int compare(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static void *draw(void *arg)
{
	uint64_t *v = arg;

	for (unsigned i = 0; i < DRAWS; i++)
		v[i] = random_u64();
	return NULL;
}

static void no_number_comes_twice_in_two_threads(void **s)
{
	uint64_t *v = calloc(2 * DRAWS, sizeof(*v));
	pthread_t t;

	assert_non_null(v);
	assert_int_equal(pthread_create(&t, NULL, draw, v + DRAWS), 0);
	draw(v);
	pthread_join(t, NULL);
	qsort(v, 2 * DRAWS, sizeof(*v), compare);
	for (unsigned i = 1; i < 2 * DRAWS; i++)
		assert_true(v[i - 1] != v[i]);
	free(v);
	(void)s;
}

static void any_size_is_filled_to_its_last_byte_and_not_beyond(void **s)
{
	static const size_t sizes[] = { 0, 1, 7, 1024, 1025, 4096, 9000 };
	uint8_t buf[9001];

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		size_t n = sizes[i];
		unsigned changed = 0;

		memset(buf, 0, sizeof(buf));
		buf[n] = 0xa5;
		/* the last byte stays 0 in 20 draws with 2^-160 */
		for (int round = 0; round < 20; round++) {
			random_fill(buf, n);
			changed |= n && buf[n - 1];
		}
		assert_int_equal(changed, n > 0);
		assert_int_equal(buf[n], 0xa5);
	}
	(void)s;
}

static void below_n_is_even(void **s)
{
	unsigned hits[7] = { 0 };

	for (unsigned i = 0; i < 70000; i++) {
		uint32_t r = random_below(7);

		assert_true(r < 7);
		hits[r]++;
	}
	/* six standard deviations of 92 each */
	for (unsigned i = 0; i < 7; i++)
		assert_in_range(hits[i], 10000 - 560, 10000 + 560);
	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(random_below(1), 0);
	(void)s;
}

static void a_range_has_both_its_ends(void **s)
{
	unsigned seen[3] = { 0 };
	bool high = false;

	for (unsigned i = 0; i < 1000; i++) {
		uint32_t r = random_between(5, 7);

		assert_in_range(r, 5, 7);
		seen[r - 5]++;
		high |= random_between(0, UINT32_MAX) > UINT32_MAX / 2;
	}
	assert_true(seen[0] && seen[1] && seen[2] && high);
	assert_int_equal(random_between(9, 9), 9);
	assert_int_equal(random_between(9, 3), 9);
	(void)s;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_number_comes_twice_in_two_threads),
		cmocka_unit_test(
			any_size_is_filled_to_its_last_byte_and_not_beyond),
		cmocka_unit_test(below_n_is_even),
		cmocka_unit_test(a_range_has_both_its_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
