/*
 * What the numbers of show mean (acli.md 2.2), in virtual time
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <string.h>
#include "sbc/clock.h"
#include "sbc/counters.h"
#include "tests/unit/fake_clock.h"

static struct counter_report r;

static void look(enum counter c)
{
	counter_read(c, clock_ms(), &r);
}

/* The first count began the periods at 1,000,000 ms */
static void to_next_period(void)
{
	fake_clock_advance(100000 - clock_ms() % 100000);
}

static int fresh(void **s)
{
	to_next_period();
	counters_reset(NULL, clock_ms());
	(void)s;
	return 0;
}

static void recent_is_the_last_period_and_the_present_one(void **s)
{
	count(COUNT_REJECTIONS, 5);
	fake_clock_advance(99999);
	count(COUNT_REJECTIONS, 2);
	look(COUNT_REJECTIONS);
	assert_int_equal(r.recent, 7);
	fake_clock_advance(1); /* the second period */
	count(COUNT_REJECTIONS, 1);
	look(COUNT_REJECTIONS);
	assert_int_equal(r.recent, 8);
	assert_int_equal(r.permax, 7);
	to_next_period(); /* the third: the first is forgotten */
	look(COUNT_REJECTIONS);
	assert_int_equal(r.recent, 1);
	assert_int_equal(r.total, 8);
	assert_int_equal(r.permax, 7);
	to_next_period();
	look(COUNT_REJECTIONS);
	assert_int_equal(r.recent, 0);
	assert_int_equal(r.total, 8);
	assert_false(r.is_gauge);
	assert_string_equal(r.table, "sipd");
	assert_string_equal(r.name, "Rejections");
	(void)s;
}

static void silent_periods_leave_nothing_in_recent(void **s)
{
	count(COUNT_REINVITES, 9);
	fake_clock_advance(1000000); /* nobody counts or reads for long */
	count(COUNT_REINVITES, 4);
	look(COUNT_REINVITES);
	assert_int_equal(r.recent, 4);
	assert_int_equal(r.permax, 9);
	assert_int_equal(r.total, 13);
	(void)s;
}

static void permax_counts_the_present_period_too(void **s)
{
	count(COUNT_TIMEOUTS, 3);
	to_next_period();
	count(COUNT_TIMEOUTS, 4);
	look(COUNT_TIMEOUTS);
	assert_int_equal(r.permax, 4);
	(void)s;
}

static void a_gauge_has_a_value_and_highs(void **s)
{
	gauge(COUNT_SESSIONS, 3);
	gauge(COUNT_SESSIONS, -2);
	gauge(COUNT_SESSIONS, 1);
	look(COUNT_SESSIONS);
	assert_true(r.is_gauge);
	assert_int_equal(r.active, 2);
	assert_int_equal(r.period_high, 3);
	assert_int_equal(r.high, 3);
	assert_int_equal(r.total, 4); /* each rise is an event */
	to_next_period();
	gauge(COUNT_SESSIONS, -1);
	look(COUNT_SESSIONS);
	assert_int_equal(r.period_high, 3); /* of the last period */
	to_next_period();
	look(COUNT_SESSIONS);
	/* the second period began with 2 */
	assert_int_equal(r.period_high, 2);
	fake_clock_advance(5000000);
	look(COUNT_SESSIONS);
	assert_int_equal(r.period_high, 1);
	assert_int_equal(r.high, 3);
	gauge(COUNT_SESSIONS, -1);
	(void)s;
}

static void reset_clears_events_and_lowers_highs_to_the_value_now(void **s)
{
	gauge(COUNT_SOCKETS, 8);
	gauge(COUNT_SOCKETS, -3);
	count(COUNT_CHALLENGES, 7);
	counters_reset("sipd", clock_ms());
	look(COUNT_SOCKETS);
	assert_int_equal(r.active, 5);
	assert_int_equal(r.high, 5);
	assert_int_equal(r.period_high, 5);
	assert_int_equal(r.total, 0);
	assert_int_equal(r.recent, 0);
	assert_int_equal(r.permax, 0);
	look(COUNT_CHALLENGES); /* another table */
	assert_int_equal(r.total, 7);
	gauge(COUNT_SOCKETS, -5);
	look(COUNT_SOCKETS);
	assert_int_equal(r.active, 0);
	(void)s;
}

static void the_window_is_100_to_199_s_and_less_after_a_reset(void **s)
{
	assert_int_equal(counters_window(clock_ms()), 0);
	fake_clock_advance(42000);
	assert_int_equal(counters_window(clock_ms()), 42);
	counters_reset("errors", clock_ms());
	assert_int_equal(counters_window_of("errors", clock_ms()), 0);
	assert_int_equal(counters_window_of("sipd", clock_ms()), 42);
	fake_clock_advance(99000);
	assert_int_equal(counters_window(clock_ms()), 141);
	assert_int_equal(counters_window_of("errors", clock_ms()), 99);
	fake_clock_advance(58999);
	assert_int_equal(counters_window(clock_ms()), 199);
	fake_clock_advance(1);
	assert_int_equal(counters_window(clock_ms()), 100);
	assert_int_equal(counters_window_of("errors", clock_ms()), 100);
	fake_clock_advance(777000);
	assert_int_equal(counters_window(clock_ms()), 177);
	(void)s;
}

enum {
	THREADS = 4,
	EVENTS = 100000
};

static void *count_main(void *arg)
{
	for (unsigned i = 0; i < EVENTS; i++) {
		count(COUNT_RETRANS_SENT, 1);
		gauge(COUNT_DIALOGS, 1);
		gauge(COUNT_DIALOGS, -1);
	}
	return arg;
}

static void threads_count_into_one_sum(void **s)
{
	pthread_t t[THREADS];

	for (unsigned i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&t[i], NULL, count_main, NULL),
				 0);
	for (unsigned i = 0; i < 50; i++) {
		look(COUNT_RETRANS_SENT);
		assert_in_range(r.total, 0, THREADS * EVENTS);
		fake_clock_advance(50000);
	}
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);

	look(COUNT_RETRANS_SENT);
	assert_int_equal(r.total, THREADS * EVENTS);
	look(COUNT_DIALOGS);
	assert_int_equal(r.active, 0);
	assert_int_equal(r.total, THREADS * EVENTS);
	assert_in_range(r.high, 1, THREADS);
	(void)s;
}

static void no_two_rows_have_one_name(void **s)
{
	struct counter_report a, b;

	for (unsigned i = 0; i < COUNTS; i++) {
		for (unsigned k = 0; k < i; k++) {
			counter_read((enum counter)i, clock_ms(), &a);
			counter_read((enum counter)k, clock_ms(), &b);
			assert_false(!strcmp(a.table, b.table) &&
				     !strcmp(a.name, b.name));
		}
	}
	(void)s;
}

#define TEST(t) cmocka_unit_test_setup(t, fresh)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(recent_is_the_last_period_and_the_present_one),
		TEST(silent_periods_leave_nothing_in_recent),
		TEST(permax_counts_the_present_period_too),
		TEST(a_gauge_has_a_value_and_highs),
		TEST(reset_clears_events_and_lowers_highs_to_the_value_now),
		TEST(the_window_is_100_to_199_s_and_less_after_a_reset),
		TEST(threads_count_into_one_sum),
		TEST(no_two_rows_have_one_name),
	};

	/* periods begin with the first count, here at a round moment */
	count(COUNT_SESSIONS, 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
