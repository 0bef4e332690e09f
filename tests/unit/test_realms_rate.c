/*
 * Burst and sustained rates in virtual time (behaviour.md 1.5)
 */
#include "config_fixture.h"
#include <pthread.h>
#include "realms/rate.h"

static const uint64_t T0 = 1000000; /* [ms] */

static bool take(struct rate *r, const struct rate_limit *limit, uint64_t now)
{
	if (rate_is_full(r, limit, now))
		return false;
	rate_count(r, limit, now);
	return true;
}

static uint32_t taken(struct rate *r, const struct rate_limit *limit,
		      uint64_t now, uint32_t tries)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < tries; ++i)
		n += take(r, limit, now);
	return n;
}

static void a_burst_window_holds_rate_times_window(void **state)
{
	/* clang-format off */
	static const struct { uint32_t rate, window, fits; } rows[] = {
		{ 1, 1000, 1 }, { 2, 1000, 2 }, { 3, 10000, 30 },
		{ 0, 1000, 100 }, { 5, 0, 100 }, /* no limit, no effect */
		{ 999999999, 4294967295u, 100 },
	};
	/* clang-format on */
	(void)state;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); ++i) {
		struct rate_limit limit = { rows[i].rate, rows[i].window,
					    false };
		struct rate r = { 0 };

		assert_int_equal(taken(&r, &limit, T0, 100), rows[i].fits);
	}
}

static void a_burst_window_begins_with_the_first_after_the_last_one(
	void **state)
{
	const struct rate_limit limit = { 2, 1000, false };
	struct rate r = { 0 };
	(void)state;

	assert_int_equal(taken(&r, &limit, T0 + 700, 1), 1);
	assert_int_equal(taken(&r, &limit, T0 + 1600, 5), 1);
	assert_int_equal(taken(&r, &limit, T0 + 1699, 5), 0);
	assert_int_equal(rate_next(&r, &limit, T0 + 1699), T0 + 1700);
	assert_int_equal(taken(&r, &limit, T0 + 1700, 5), 2);
	assert_int_equal(taken(&r, &limit, T0 + 2699, 5), 0);
	assert_int_equal(taken(&r, &limit, T0 + 2700, 5), 2);
}

static void a_sustained_rate_remembers_the_last_window(void **state)
{
	const struct rate_limit limit = { 1, 10000, true };
	struct rate r = { 0 };
	(void)state;

	assert_int_equal(taken(&r, &limit, T0, 100), 10);
	assert_int_equal(taken(&r, &limit, T0 + 9999, 100), 0);
	/* What came in the last window fades as it slides out of the ten
	 * seconds */
	assert_int_equal(taken(&r, &limit, T0 + 10000, 100), 1);
	assert_int_equal(taken(&r, &limit, T0 + 10001, 100), 0);
	assert_int_equal(taken(&r, &limit, T0 + 15000, 100), 5);
	assert_int_equal(rate_next(&r, &limit, T0 + 15000), T0 + 16000);
	/* Two quiet windows wipe all out */
	assert_int_equal(taken(&r, &limit, T0 + 40000, 100), 10);
}

static void a_steady_rate_at_the_limit_is_never_refused(void **state)
{
	const struct rate_limit limit = { 2, 5000, true };
	struct rate r = { 0 };
	(void)state;

	for (uint64_t at = 0; at < 100000; at += 500)
		assert_true(take(&r, &limit, T0 + at));
}

static void twice_the_limit_gets_half_through(void **state)
{
	const struct rate_limit limits[] = { { 2, 5000, true },
					     { 2, 5000, false } };
	(void)state;

	for (int i = 0; i < 2; ++i) {
		struct rate r = { 0 };
		uint32_t n = 0;

		for (uint64_t at = 0; at < 100000; at += 250)
			n += take(&r, &limits[i], T0 + at);
		assert_in_range(n, 195, 210);
	}
}

/* ---- several threads ---- */

enum {
	TAKERS = 4,
	PHASES = 2000,
	TRIES = 12,
};

struct takers {
	struct rate_limit limit;
	struct rate rate;
	pthread_barrier_t begin, end;
	atomic_uint taken;
	uint64_t now;
	bool stop;
};

static void *takers_main(void *arg)
{
	struct takers *t = arg;
	uint64_t window;

	for (;;) {
		pthread_barrier_wait(&t->begin);
		if (t->stop)
			return NULL;
		for (int i = 0; i < TRIES; ++i) {
			if (rate_take(&t->rate, &t->limit, t->now, &window))
				continue;
			/* each third one is given back, and taken again */
			if (i % 3 == 0) {
				rate_give(&t->rate, window);
				if (rate_take(&t->rate, &t->limit, t->now,
					      &window))
					continue;
			}
			atomic_fetch_add(&t->taken, 1);
		}
		pthread_barrier_wait(&t->end);
	}
}

/* What fits goes to somebody: one who gave back and lost his place to another has
 * lost it to one who took it */
static void many_threads_get_what_one_would_and_never_more(void **state)
{
	static const struct rate_limit limits[] = { { 20, 1000, false },
						    { 20, 1000, true } };
	/* [ms] from one phase to the next: all at once, through a window, over
	 * its end, past two of them */
	static const uint64_t steps[] = { 0, 130, 470, 700, 1000, 2500 };
	(void)state;

	for (int l = 0; l < 2; ++l) {
		struct takers t = { .limit = limits[l], .now = T0 };
		struct rate alone = { 0 };
		pthread_t threads[TAKERS];

		pthread_barrier_init(&t.begin, NULL, TAKERS + 1);
		pthread_barrier_init(&t.end, NULL, TAKERS + 1);
		for (int i = 0; i < TAKERS; ++i)
			assert_int_equal(pthread_create(&threads[i], NULL,
							takers_main, &t),
					 0);
		for (int phase = 0; phase < PHASES; ++phase) {
			t.now += steps[phase * 7 % 6];
			atomic_store(&t.taken, 0);
			pthread_barrier_wait(&t.begin);
			pthread_barrier_wait(&t.end);
			assert_int_equal(
				atomic_load(&t.taken),
				taken(&alone, &t.limit, t.now, TAKERS * TRIES));
		}
		t.stop = true;
		pthread_barrier_wait(&t.begin);
		for (int i = 0; i < TAKERS; ++i)
			pthread_join(threads[i], NULL);
		pthread_barrier_destroy(&t.begin);
		pthread_barrier_destroy(&t.end);
	}
}

static void what_came_in_another_window_is_not_given_back(void **state)
{
	const struct rate_limit limit = { 2, 1000, false };
	struct rate r = { 0 };
	uint64_t first, second;
	(void)state;

	assert_int_equal(rate_take(&r, &limit, T0, &first), 0);
	assert_int_equal(rate_take(&r, &limit, T0 + 1500, &second), 0);
	rate_give(&r, first);
	assert_int_equal(rate_present(&r), 1);
	rate_give(&r, second);
	rate_give(&r, second);
	assert_int_equal(rate_present(&r), 0);
}

static void a_long_silence_ends_any_window(void **state)
{
	static const uint64_t days = 24 * 3600 * 1000ull;
	static const uint64_t silences[] = { 1, 49, 99, 100, 150, 199, 1000 };
	(void)state;

	for (int sustained = 0; sustained < 2; ++sustained) {
		const struct rate_limit limit = { 2, 5000, sustained };

		for (unsigned i = 0; i < 7; ++i) {
			uint64_t then = T0 + silences[i] * days;
			struct rate r = { 0 };

			assert_int_equal(taken(&r, &limit, T0, 100), 10);
			assert_int_equal(taken(&r, &limit, then, 100), 10);
			assert_int_equal(taken(&r, &limit, then + 1, 100), 0);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_burst_window_holds_rate_times_window),
		cmocka_unit_test(
			a_burst_window_begins_with_the_first_after_the_last_one),
		cmocka_unit_test(a_sustained_rate_remembers_the_last_window),
		cmocka_unit_test(a_steady_rate_at_the_limit_is_never_refused),
		cmocka_unit_test(twice_the_limit_gets_half_through),
		cmocka_unit_test(what_came_in_another_window_is_not_given_back),
		cmocka_unit_test(a_long_silence_ends_any_window),
		cmocka_unit_test(
			many_threads_get_what_one_would_and_never_more),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
