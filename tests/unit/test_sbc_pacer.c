/*
 * Tokens of a registrar: an even grid, slow start, halving after trouble
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include "sbc/pacer.h"

#define SECOND 1000000ull

/* Take whatever there is in turns of a millisecond; all are answered */
static uint32_t run(struct pacer *p, uint64_t from, uint64_t to, bool trouble)
{
	uint32_t n = 0;

	for (uint64_t now = from; now < to; now += 1000)
		while (!pacer_take(p, now)) {
			pacer_answered(p, trouble, now);
			n++;
		}

	return n;
}

static void no_second_holds_more_than_the_rate(void **s)
{
	static const uint32_t rates[] = { 1, 3, 10, 100, 999, 5000 };

	for (size_t i = 0; i < sizeof(rates) / sizeof(*rates); i++) {
		struct pacer p;
		uint32_t n;

		pacer_init(&p, rates[i], SECOND);
		(void)run(&p, SECOND, 20 * SECOND, false);
		for (uint64_t t = 20; t < 30; t++) {
			n = run(&p, t * SECOND, (t + 1) * SECOND, false);
			assert_in_range(n, rates[i] - rates[i] / 100 - 1,
					rates[i]);
		}
	}
	(void)s;
}

static void tokens_come_evenly(void **s)
{
	struct pacer p;
	uint64_t now = 0;

	pacer_init(&p, 100, 0);
	(void)run(&p, 0, 10 * SECOND, false);
	now = 10 * SECOND;
	for (int i = 0; i < 50; i++) {
		uint64_t next = pacer_next(&p, now);

		if (i)
			assert_in_range(next - now, 9000, 11000);
		now = next;
		assert_int_equal(pacer_take(&p, now), 0);
		assert_int_equal(pacer_take(&p, now), EAGAIN);
		pacer_answered(&p, false, now);
	}
	(void)s;
}

/* Whoever comes when pacer_next says loses nothing, and comes seldom */
static void at_high_rates_a_turn_takes_several(void **s)
{
	static const uint32_t rates[] = { 100, 200, 1000, 2000 };

	for (size_t i = 0; i < sizeof(rates) / sizeof(*rates); i++) {
		uint32_t tokens = 0, turns = 0;
		uint64_t now = 10 * SECOND;
		struct pacer p;

		pacer_init(&p, rates[i], 0);
		(void)run(&p, 0, now, false);
		while (now < 20 * SECOND) {
			turns++;
			while (!pacer_take(&p, now)) {
				pacer_answered(&p, false, now);
				tokens++;
			}
			/* a timer of whole milliseconds */
			now = (pacer_next(&p, now) + 999) / 1000 * 1000;
		}
		assert_in_range(tokens, rates[i] * 99 / 10, rates[i] * 10);
		assert_in_range(turns, 10, 10 * 220);
	}
	(void)s;
}

static void it_starts_with_a_tenth_and_doubles(void **s)
{
	static const uint32_t expected[] = { 100, 200, 400, 800, 1000, 1000 };
	struct pacer p;

	pacer_init(&p, 1000, 0);
	for (uint64_t t = 0; t < 6; t++) {
		uint32_t n = run(&p, t * SECOND, (t + 1) * SECOND, false);

		assert_in_range(n, expected[t] * 98 / 100, expected[t] + 2);
	}
	(void)s;
}

static void trouble_halves_down_to_one_a_second(void **s)
{
	struct pacer p;
	uint32_t n, before = 1000;

	pacer_init(&p, 1000, 0);
	(void)run(&p, 0, 10 * SECOND, false);
	for (uint64_t t = 10; t < 30; t++) {
		n = run(&p, t * SECOND, (t + 1) * SECOND, true);
		assert_true(n <= before);
		before = n;
	}
	assert_int_equal(before, 1);

	/* and back again, second by second */
	n = run(&p, 30 * SECOND, 31 * SECOND, false);
	assert_true(n <= 2);
	(void)run(&p, 31 * SECOND, 42 * SECOND, false);
	assert_in_range(run(&p, 42 * SECOND, 43 * SECOND, false), 980, 1000);
	(void)s;
}

static void not_more_than_twice_the_rate_is_unanswered(void **s)
{
	struct pacer p;
	uint64_t now;
	uint32_t n = 0;

	pacer_init(&p, 10, 0);
	for (now = 0; now < 100 * SECOND; now += 1000)
		if (!pacer_take(&p, now))
			n++;
	assert_int_equal(n, 20);
	assert_true(pacer_next(&p, now) == UINT64_MAX);

	pacer_answered(&p, false, now);
	assert_int_equal(pacer_take(&p, now), 0);
	assert_int_equal(pacer_take(&p, now), EAGAIN);
	(void)s;
}

static void a_retry_never_waits_but_costs_a_token(void **s)
{
	struct pacer p;
	uint32_t n = 0;

	pacer_init(&p, 100, 0);
	(void)run(&p, 0, 10 * SECOND, false);
	for (uint64_t now = 10 * SECOND; now < 11 * SECOND; now += 1000)
		if (!pacer_take(&p, now)) {
			pacer_answered(&p, false, now);
			pacer_take_anyway(&p, now);
			pacer_answered(&p, false, now);
			n += 2;
		}
	assert_in_range(n, 96, 102);
	(void)s;
}

static void rate_zero_does_not_pace(void **s)
{
	struct pacer p;

	pacer_init(&p, 0, 0);
	for (int i = 0; i < 100000; i++)
		assert_int_equal(pacer_take(&p, 0), 0);
	assert_true(pacer_next(&p, 5) == 5);
	(void)s;
}

static void a_long_silence_brings_no_burst(void **s)
{
	struct pacer p;
	uint64_t now = 1000000 * SECOND;

	pacer_init(&p, 100, 0);
	(void)run(&p, 0, SECOND, false);
	assert_in_range(run(&p, now, now + 10000, false), 1, 2);
	assert_in_range(run(&p, now + SECOND, now + 2 * SECOND, false), 97,
			100);
	(void)s;
}

static void a_change_of_rate_counts_at_once(void **s)
{
	struct pacer p;

	pacer_init(&p, 1000, 0);
	(void)run(&p, 0, 10 * SECOND, false);
	pacer_change(&p, 10);
	assert_in_range(run(&p, 10 * SECOND, 11 * SECOND, false), 9, 11);
	pacer_change(&p, 1000);
	pacer_full(&p);
	assert_in_range(run(&p, 11 * SECOND, 12 * SECOND, false), 980, 1000);
	(void)s;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_second_holds_more_than_the_rate),
		cmocka_unit_test(tokens_come_evenly),
		cmocka_unit_test(at_high_rates_a_turn_takes_several),
		cmocka_unit_test(it_starts_with_a_tenth_and_doubles),
		cmocka_unit_test(trouble_halves_down_to_one_a_second),
		cmocka_unit_test(not_more_than_twice_the_rate_is_unanswered),
		cmocka_unit_test(a_retry_never_waits_but_costs_a_token),
		cmocka_unit_test(rate_zero_does_not_pace),
		cmocka_unit_test(a_long_silence_brings_no_burst),
		cmocka_unit_test(a_change_of_rate_counts_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
