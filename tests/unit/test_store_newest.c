/*
 * Which rows of a log are the newest of their key
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdbool.h>
#include <stdint.h>
#include <errno.h>
#include <string.h>
#include <cmocka.h>
#include "store/newest.h"

enum {
	KEYS = 500,
	ROWS = 200000
};

static uint64_t drawn = 1;

static uint32_t draw(uint32_t below)
{
	drawn = drawn * 6364136223846793005u + 1442695040888963407u;

	return (uint32_t)(drawn >> 33) % below;
}

static void set(struct newest *w, uint64_t key, uint64_t number)
{
	assert_int_equal(newest_room(w, number), 0);
	newest_set(w, key, number);
}

static void an_empty_log_has_no_row_of_any_key(void **s)
{
	struct newest w = { 0 };
	uint64_t from, end;
	uint32_t live;

	assert_int_equal(newest_get(&w, 1), 0);
	assert_int_equal(newest_oldest(&w, &from, &end, &live), 0);
	assert_int_equal(live, 0);
	newest_forget(&w, 1);
	newest_finish(&w);
	(void)s;
}

static void numbers_that_cannot_have_been_counted_to_are_refused(void **s)
{
	struct newest w = { 0 };

	set(&w, 1, 5 * NEWEST_SEGMENT);
	assert_int_equal(newest_room(&w, 5 * NEWEST_SEGMENT - 1), EBADMSG);
	assert_int_equal(newest_room(&w, UINT64_MAX), EBADMSG);
	assert_int_equal(newest_get(&w, 1), 5 * NEWEST_SEGMENT);
	newest_finish(&w);
	(void)s;
}

/* Keys that all want the same slot, and a table that wraps around its end */
static void keys_that_meet_in_a_slot_do_not_hide_each_other(void **s)
{
	struct newest w = { 0 };

	for (uint64_t i = 1; i <= 20; i++)
		set(&w, (i << 32) | 60, i);
	for (uint64_t i = 1; i <= 20; i += 2)
		newest_forget(&w, (i << 32) | 60);
	for (uint64_t i = 1; i <= 20; i++)
		assert_int_equal(newest_get(&w, (i << 32) | 60), i % 2 ? 0 : i);
	assert_int_equal(w.count, 10);
	newest_finish(&w);
	(void)s;
}

/* Rows of keys by chance against an array; what counts in no segment is dropped */
static void it_says_what_an_array_says(void **s)
{
	static uint64_t model[KEYS];
	struct newest w = { 0 };
	uint64_t first = 0, from, end, expected;
	uint32_t live, dropped = 0;

	memset(model, 0, sizeof(model));
	for (uint64_t n = 1; n <= ROWS; n++) {
		uint32_t key = draw(KEYS);

		if (draw(10) == 0) {
			newest_forget(&w, key + 1ull);
			model[key] = 0;
			continue;
		}
		set(&w, key + 1ull, n);
		model[key] = n;
		while (newest_oldest(&w, &from, &end, &live) > 1 && !live) {
			assert_int_equal(from, first);
			newest_drop(&w);
			first = end;
			dropped++;
		}
		if (n % 997)
			continue;
		expected = 0;
		for (uint32_t i = 0; i < KEYS; i++) {
			assert_int_equal(newest_get(&w, i + 1ull), model[i]);
			assert_true(!model[i] || model[i] >= first);
			expected +=
				model[i] >= from && model[i] < end && model[i];
		}
		assert_int_equal(live, expected);
	}
	assert_true(dropped > 100);
	newest_finish(&w);
	(void)s;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_log_has_no_row_of_any_key),
		cmocka_unit_test(
			numbers_that_cannot_have_been_counted_to_are_refused),
		cmocka_unit_test(
			keys_that_meet_in_a_slot_do_not_hide_each_other),
		cmocka_unit_test(it_says_what_an_array_says),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
