/*
 * The limits of behaviour.md 1.5, row by row, in virtual time
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include "config_fixture.h"
#include "realms/capacity.h"

static const uint64_t T0 = 1000000; /* [ms] */

struct fixture {
	struct config *cfg;
	struct session_agent *agent;
	struct capacity *c;
};

static int setup(void **state)
{
	static struct fixture f;

	memset(&f, 0, sizeof(f));
	f.cfg = config_new();
	f.agent = config_add(f.cfg, &element_session_agent, "hostname",
			     "trunk.example", "constraints", "enabled", NULL);
	assert_int_equal(capacity_alloc(&f.c), 0);
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	mem_deref(f->c);
	config_give(f->cfg);
	return 0;
}

static struct fixture *anew(void **state)
{
	teardown(state);
	setup(state);
	return *state;
}

static void set(struct fixture *f, const char *name, const char *value)
{
	item_set(&element_session_agent, f->agent, name, value);
}

static void start(struct fixture *f)
{
	assert_int_equal(capacity_prepare_agent(f->c, f->agent), 0);
	capacity_of_agent(f->c, f->agent);
}

/* How many of ten calls are taken */
static int taken(struct fixture *f, enum direction d, uint64_t now)
{
	int n = 0;

	for (int i = 0; i < 10; ++i)
		n += !capacity_take(f->c, d, now, false);
	return n;
}

static void each_limit_stops_the_directions_it_counts(void **state)
{
	/* What is taken in the first direction, then in the other one */
	/* clang-format off */
	static const struct {
		const char *limit, *window; enum direction first; int n, other;
	} rows[] = {
		{ "max-sessions",              NULL,                  INBOUND,  4, 0 },
		{ "max-sessions",              NULL,                  OUTBOUND, 4, 0 },
		{ "max-inbound-sessions",      NULL,                  INBOUND,  4, 10 },
		{ "max-outbound-sessions",     NULL,                  OUTBOUND, 4, 10 },
		{ "max-burst-rate",            "burst-rate-window",   INBOUND,  8, 0 },
		{ "max-inbound-burst-rate",    "burst-rate-window",   INBOUND,  8, 10 },
		{ "max-outbound-burst-rate",   "burst-rate-window",   OUTBOUND, 8, 10 },
		{ "max-sustain-rate",          "sustain-rate-window", OUTBOUND, 8, 0 },
		{ "max-inbound-sustain-rate",  "sustain-rate-window", INBOUND,  8, 10 },
		{ "max-outbound-sustain-rate", "sustain-rate-window", OUTBOUND, 8, 10 },
		{ "max-inbound-burst-rate",    NULL,                  INBOUND, 10, 10 },
	};
	/* clang-format on */

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); ++i) {
		struct fixture *f = anew(state);
		enum direction other =
			rows[i].first == INBOUND ? OUTBOUND : INBOUND;

		set(f, rows[i].limit, "4");
		if (rows[i].window)
			set(f, rows[i].window, "2");
		start(f);
		assert_int_equal(taken(f, rows[i].first, T0), rows[i].n);
		assert_int_equal(capacity_is_exceeded(f->c, rows[i].first, T0),
				 rows[i].n < 10);
		assert_int_equal(taken(f, other, T0), rows[i].other);

		/* The same without the master switch */
		f = anew(state);
		set(f, "constraints", "disabled");
		set(f, rows[i].limit, "4");
		if (rows[i].window)
			set(f, rows[i].window, "2");
		start(f);
		assert_int_equal(taken(f, rows[i].first, T0), 10);
	}
}

static void after_a_violation_time_to_resume_must_pass(void **state)
{
	/* clang-format off */
	static const struct {
		const char *limit, *window, *resume; uint64_t back;
	} rows[] = {
		{ "max-outbound-burst-rate",   "burst-rate-window",   "0",  2000 },
		{ "max-outbound-burst-rate",   "burst-rate-window",   "1",  2000 },
		{ "max-outbound-burst-rate",   "burst-rate-window",   "30", 30000 },
		{ "max-outbound-sustain-rate", "sustain-rate-window", "0",  2000 },
		{ "max-outbound-sustain-rate", "sustain-rate-window", "30", 30000 },
	};
	/* clang-format on */

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); ++i) {
		struct fixture *f = anew(state);
		uint64_t at;

		set(f, rows[i].limit, "4");
		set(f, rows[i].window, "2");
		set(f, "time-to-resume", rows[i].resume);
		start(f);
		assert_int_equal(taken(f, OUTBOUND, T0), 8);
		for (at = 0; at < 40000; ++at) {
			if (!capacity_is_exceeded(f->c, OUTBOUND, T0 + at))
				break;
		}
		assert_int_equal(at, rows[i].back);
		assert_int_equal(capacity_take(f->c, OUTBOUND, T0 + at, false),
				 0);
	}
}

static void retry_after_is_the_rest_of_time_to_resume(void **state)
{
	/* clang-format off */
	static const struct { uint64_t at; uint32_t s; } rows[] = {
		{ 0, 30 }, { 1, 30 }, { 1000, 29 }, { 29999, 1 }, { 30000, 1 },
		{ 90000, 1 },
	};
	/* clang-format on */
	struct fixture *f = *state;

	set(f, "max-inbound-sessions", "1");
	set(f, "time-to-resume", "30");
	start(f);
	assert_int_equal(capacity_resume(f->c, INBOUND, T0), 0);
	assert_int_equal(taken(f, INBOUND, T0), 1);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); ++i)
		assert_int_equal(
			capacity_resume(f->c, INBOUND, T0 + rows[i].at),
			rows[i].s);
	assert_int_equal(capacity_resume(f->c, OUTBOUND, T0), 0);
	set(f, "time-to-resume", "0");
	start(f);
	assert_int_equal(capacity_resume(f->c, INBOUND, T0), 0);
}

static void what_is_refused_is_not_counted(void **state)
{
	struct fixture *f = *state;
	struct capacity_report r;

	set(f, "max-sustain-rate", "1");
	set(f, "sustain-rate-window", "5");
	start(f);
	for (uint64_t at = 0; at < 20000; at += 10)
		(void)capacity_take(f->c, INBOUND, T0 + at, false);
	capacity_report(f->c, &r);
	assert_in_range(r.invites[INBOUND], 19, 25);
	assert_int_equal(r.violations[INBOUND], 2000 - r.invites[INBOUND]);
	assert_int_equal(r.sessions[INBOUND], r.invites[INBOUND]);
}

static void an_emergency_passes_every_limit_and_counts(void **state)
{
	struct fixture *f = *state;
	struct capacity_report r;

	set(f, "max-sessions", "1");
	set(f, "max-burst-rate", "1");
	set(f, "burst-rate-window", "1");
	set(f, "time-to-resume", "60");
	start(f);
	assert_int_equal(taken(f, INBOUND, T0), 1);
	assert_int_equal(capacity_take(f->c, INBOUND, T0, true), 0);
	assert_int_equal(capacity_take(f->c, OUTBOUND, T0, true), 0);
	capacity_report(f->c, &r);
	assert_int_equal(r.sessions[INBOUND] + r.sessions[OUTBOUND], 3);
	assert_int_equal(capacity_take(f->c, OUTBOUND, T0, false), EBUSY);
}

static void too_few_answers_stop_the_way_out(void **state)
{
	/* clang-format off */
	static const struct {
		const char *seizures, *asr; int tried, answered; bool stops;
	} rows[] = {
		{ "5", "50", 4,   0,  false }, { "5", "50", 5,   2,  true },
		{ "5", "50", 6,   3,  false }, { "5", "0",  100, 0,  false },
		{ "1", "1",  1,   0,  true  }, { "5", "100", 99, 99, false },
		{ "5", "100", 99, 98, true  },
	};
	/* clang-format on */

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); ++i) {
		struct fixture *f = anew(state);

		set(f, "min-seizures", rows[i].seizures);
		set(f, "min-asr", rows[i].asr);
		set(f, "time-to-resume", "20");
		start(f);
		for (int n = 0; n < rows[i].tried; ++n)
			capacity_called(f->c, n < rows[i].answered);
		assert_int_equal(capacity_take(f->c, INBOUND, T0, false), 0);
		assert_int_equal(capacity_take(f->c, OUTBOUND, T0, false),
				 rows[i].stops ? EBUSY : 0);
		assert_int_equal(
			capacity_take(f->c, OUTBOUND, T0 + 19999, false),
			rows[i].stops ? EBUSY : 0);
		/* After the pause it is judged by new calls */
		assert_int_equal(
			capacity_take(f->c, OUTBOUND, T0 + 20000, false), 0);
	}
}

static void each_method_has_rates_of_its_own(void **state)
{
	static const enum rate_method methods[] = {
		RATE_METHOD_REGISTER, RATE_METHOD_OPTIONS,
		RATE_METHOD_MESSAGE,  RATE_METHOD_PUBLISH,
		RATE_METHOD_NOTIFY,   RATE_METHOD_SUBSCRIBE,
	};
	static const char *const words[] = {
		"REGISTER", "OPTIONS", "MESSAGE",
		"PUBLISH",  "NOTIFY",  "SUBSCRIBE"
	};
	/* clang-format off */
	static const struct { const char *p; enum direction d; int in, out; } rows[] = {
		{ "max-inbound-burst-rate",    INBOUND,  2, 9 },
		{ "max-outbound-burst-rate",   OUTBOUND, 9, 2 },
		{ "max-inbound-sustain-rate",  INBOUND,  2, 9 },
		{ "max-outbound-sustain-rate", OUTBOUND, 9, 2 },
	};
	/* clang-format on */

	for (size_t m = 0; m < 6; ++m) {
		for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); ++i) {
			struct fixture *f = anew(state);
			int n[2] = { 0, 0 };

			set(f, "burst-rate-window", "1");
			set(f, "sustain-rate-window", "1");
			item_add(&f->agent->rate_constraints,
				 &element_rate_constraint, "method", words[m],
				 rows[i].p, "2", NULL);
			start(f);
			for (int k = 0; k < 9; ++k) {
				for (int d = INBOUND; d <= OUTBOUND; ++d)
					n[d] += !capacity_request(
						f->c, methods[m],
						(enum direction)d, T0, false);
			}
			assert_int_equal(n[INBOUND], rows[i].in);
			assert_int_equal(n[OUTBOUND], rows[i].out);
			/* Neither other methods nor calls feel it */
			assert_int_equal(capacity_request(f->c,
							  methods[(m + 1) % 6],
							  rows[i].d, T0, false),
					 0);
			assert_int_equal(
				capacity_take(f->c, rows[i].d, T0, false), 0);
			assert_int_equal(capacity_request(f->c, methods[m],
							  rows[i].d, T0, true),
					 0);
		}
	}
}

static void register_rates_have_their_own_burst_window(void **state)
{
	struct fixture *f = *state;
	int n = 0;

	set(f, "max-register-burst-rate", "2");
	set(f, "register-burst-window", "3");
	start(f);
	for (int i = 0; i < 20; ++i)
		n += !capacity_request(f->c, RATE_METHOD_REGISTER, INBOUND, T0,
				       false);
	assert_int_equal(n, 6);
	assert_int_equal(capacity_request(f->c, RATE_METHOD_REGISTER, INBOUND,
					  T0 + 2999, false),
			 EBUSY);
	assert_int_equal(capacity_request(f->c, RATE_METHOD_REGISTER, INBOUND,
					  T0 + 3000, false),
			 0);

	f = anew(state);
	set(f, "max-register-sustain-rate", "2");
	set(f, "sustain-rate-window", "3");
	start(f);
	for (n = 0;
	     !capacity_request(f->c, RATE_METHOD_REGISTER, INBOUND, T0, false);
	     ++n)
		;
	assert_int_equal(n, 6);
}

static void a_session_taken_and_not_used_counts_in_no_rate(void **state)
{
	struct fixture *f = *state;
	struct capacity_report r;

	set(f, "max-burst-rate", "1");
	set(f, "burst-rate-window", "1");
	start(f);
	assert_int_equal(capacity_take(f->c, INBOUND, T0, false), 0);
	capacity_undo(f->c, INBOUND);
	assert_int_equal(capacity_take(f->c, OUTBOUND, T0, false), 0);
	capacity_report(f->c, &r);
	assert_int_equal(r.invites[INBOUND], 0);
	assert_int_equal(r.sessions[INBOUND], 0);
	capacity_give(f->c, INBOUND); /* one too many */
	capacity_report(f->c, &r);
	assert_int_equal(r.sessions[INBOUND], 0);
	assert_int_equal(r.sessions[OUTBOUND], 1);
}

static void media_beyond_max_bandwidth_does_not_fit(void **state)
{
	struct fixture *f = *state;
	struct realm_config *realm = realm_add(f->cfg, "a", "127.0.0.1");
	struct capacity_report r;
	struct capacities *all;
	struct capacity *c;

	item_set(&element_realm_config, realm, "max-bandwidth", "200");
	assert_int_equal(capacities_alloc(&all), 0);
	assert_int_equal(capacities_change(all, f->cfg), 0);
	c = capacity_of_realm(all, realm);
	assert_int_equal(capacity_media(c, 80, false), 0);
	assert_int_equal(capacity_media(c, 80, false), 0);
	assert_int_equal(capacity_media(c, 80, false), ENOSPC);
	assert_int_equal(capacity_media(c, 80, true), 0);
	assert_int_equal(capacity_media(c, -80, false), 0);
	assert_int_equal(capacity_media(c, 40, false), 0);
	assert_int_equal(capacity_media(c, -1000, false), 0);
	capacity_report(c, &r);
	assert_int_equal(r.media, 0);

	item_set(&element_realm_config, realm, "max-bandwidth", "0");
	assert_int_equal(capacities_change(all, f->cfg), 0);
	assert_int_equal(capacity_media(c, 1000000, false), 0);
	mem_deref(all);
}

static void the_alarm_of_use_comes_at_the_threshold_and_goes_below_90(
	void **state)
{
	struct fixture *f = *state;
	bool is;

	set(f, "max-sessions", "100");
	set(f, "cac-alarm-threshold", "50");
	start(f);
	for (int i = 0; i < 49; ++i)
		capacity_take(f->c, INBOUND, T0, false);
	assert_false(capacity_use_changed(f->c, &is));
	capacity_take(f->c, OUTBOUND, T0, false);
	assert_true(capacity_use_changed(f->c, &is));
	assert_true(is);
	for (int i = 0; i < 5; ++i)
		capacity_give(f->c, INBOUND);
	assert_false(capacity_use_changed(f->c, &is));
	capacity_give(f->c, INBOUND);
	assert_true(capacity_use_changed(f->c, &is));
	assert_false(is);
}

static void a_change_of_limits_keeps_what_was_counted(void **state)
{
	struct fixture *f = *state;

	set(f, "max-burst-rate", "3");
	set(f, "burst-rate-window", "1");
	start(f);
	assert_int_equal(capacity_take(f->c, INBOUND, T0, false), 0);
	set(f, "max-burst-rate", "2");
	start(f);
	assert_int_equal(taken(f, INBOUND, T0), 1);
}

static void each_realm_and_interface_counts_by_itself(void **state)
{
	struct fixture *f = *state;
	struct realm_config *a = realm_add(f->cfg, "a", "127.0.0.1");
	struct realm_config *b = realm_add(f->cfg, "b", "127.0.0.2");
	struct realm_config *c = realm_add(f->cfg, "c", "127.0.0.3");
	struct sip_interface *i = (struct sip_interface *)config_at(
		f->cfg, &element_sip_interface, 0);
	struct capacities *all;
	struct capacity *of[3];

	config_add(f->cfg, &element_session_constraints, "name", "small",
		   "max-sessions", "1", NULL);
	item_set(&element_realm_config, a, "constraint-name", "small");
	item_set(&element_realm_config, b, "constraint-name", "small");
	item_set(&element_sip_interface, i, "constraint-name", "small");
	assert_int_equal(capacities_alloc(&all), 0);
	assert_int_equal(capacities_change(all, f->cfg), 0);
	of[0] = capacity_of_realm(all, a);
	of[1] = capacity_of_realm(all, b);
	of[2] = capacity_of_interface(all, i);
	assert_null(capacity_of_realm(all, c));
	for (int n = 0; n < 3; ++n) {
		assert_non_null(of[n]);
		assert_int_equal(capacity_take(of[n], INBOUND, T0, false), 0);
		assert_int_equal(capacity_take(of[n], INBOUND, T0, false),
				 EBUSY);
	}

	/* Without its constraints a realm has no limit any more */
	item_set(&element_realm_config, a, "constraint-name", "");
	assert_int_equal(capacities_change(all, f->cfg), 0);
	assert_null(capacity_of_realm(all, a));
	assert_int_equal(capacity_take(of[0], INBOUND, T0, false), 0);
	mem_deref(all);
}

static void the_pace_shown_is_that_of_the_sustain_window(void **state)
{
	struct fixture *f = *state;
	struct capacity_report seen;

	/* Without a window: 30 s, and bursts of 1 s */
	start(f);
	for (int i = 0; i < 6; ++i)
		assert_int_equal(
			capacity_take(f->c, INBOUND, T0 + i * 400, false), 0);
	assert_int_equal(capacity_pace(f->c, INBOUND, T0 + 2000), 200);
	assert_int_equal(capacity_pace(f->c, OUTBOUND, T0 + 2000), 0);
	capacity_report(f->c, &seen);
	assert_int_equal(seen.burst, 3);
	/* After two windows nothing is left of it, but the burst was */
	assert_int_equal(capacity_pace(f->c, INBOUND, T0 + 62000), 0);
	capacity_report(f->c, &seen);
	assert_int_equal(seen.burst, 3);

	f = anew(state);
	set(f, "sustain-rate-window", "10");
	set(f, "burst-rate-window", "5");
	start(f);
	assert_int_equal(taken(f, OUTBOUND, T0), 10);
	assert_int_equal(capacity_pace(f->c, OUTBOUND, T0 + 1000), 1000);
	capacity_report(f->c, &seen);
	assert_int_equal(seen.burst, 10);
}

/* ---- several threads ---- */

enum {
	CALLERS = 4,
	CHANGES = 60,
	MOST = 5,
	MOST_OUT = 3,
};

struct crowd {
	struct capacity *c;
	atomic_uint held[2], taken[2], refused[2], wrong;
	atomic_uint turns[CALLERS];
	atomic_bool stop;
};

struct caller {
	struct crowd *crowd;
	unsigned number;
};

static void call_once(struct crowd *w, enum direction d, uint64_t now)
{
	unsigned of_both;

	if (capacity_take(w->c, d, now, false)) {
		atomic_fetch_add(&w->refused[d], 1);
		return;
	}
	atomic_fetch_add(&w->taken[d], 1);
	/* counted behind the taking, and no more before the giving: never more
	 * than there are */
	atomic_fetch_add(&w->held[d], 1);
	of_both = atomic_load(&w->held[INBOUND]) +
		  atomic_load(&w->held[OUTBOUND]);
	if (of_both > MOST || atomic_load(&w->held[OUTBOUND]) > MOST_OUT)
		atomic_fetch_add(&w->wrong, 1);
	atomic_fetch_sub(&w->held[d], 1);
	if (now % 3)
		capacity_give(w->c, d);
	else
		capacity_undo(w->c, d);
	capacity_called(w->c, now % 2);
}

static void *caller_main(void *arg)
{
	const struct caller *me = arg;
	struct crowd *w = me->crowd;

	for (uint32_t i = 0; !atomic_load(&w->stop); ++i) {
		call_once(w, (i + me->number) % 2 ? INBOUND : OUTBOUND, T0 + i);
		atomic_fetch_add(&w->turns[me->number], 1);
	}

	return NULL;
}

/* As an activation does: each thread has ended what it asked before */
static void all_turn(struct crowd *w)
{
	unsigned before[CALLERS];

	for (unsigned i = 0; i < CALLERS; ++i)
		before[i] = atomic_load(&w->turns[i]);
	for (unsigned i = 0; i < CALLERS; ++i)
		while (atomic_load(&w->turns[i]) == before[i])
			sched_yield();
}

static void of_many_threads_none_takes_what_does_not_fit(void **state)
{
	struct fixture *f = *state;
	struct crowd w = { .c = f->c };
	struct caller callers[CALLERS];
	pthread_t threads[CALLERS];
	struct capacity_report seen;

	set(f, "max-sessions", "5");
	set(f, "max-outbound-sessions", "3");
	set(f, "max-burst-rate", "1000");
	set(f, "burst-rate-window", "1");
	set(f, "time-to-resume", "0");
	start(f);
	for (unsigned i = 0; i < CALLERS; ++i) {
		callers[i] = (struct caller){ &w, i };
		assert_int_equal(pthread_create(&threads[i], NULL, caller_main,
						&callers[i]),
				 0);
	}
	/* Limits change meanwhile, but never upwards of these */
	for (unsigned n = 0; n < CHANGES; ++n) {
		set(f, "max-sessions", n % 2 ? "4" : "5");
		set(f, "max-sustain-rate", n % 3 ? "0" : "100000");
		start(f);
		all_turn(&w);
	}
	atomic_store(&w.stop, true);
	for (unsigned i = 0; i < CALLERS; ++i)
		pthread_join(threads[i], NULL);

	assert_int_equal(atomic_load(&w.wrong), 0);
	capacity_report(f->c, &seen);
	for (unsigned d = 0; d < 2; ++d) {
		assert_int_equal(seen.sessions[d], 0);
		assert_int_equal(seen.violations[d], w.refused[d]);
		assert_in_range(seen.high[d], 1, MOST);
		assert_true(w.taken[d] > 0);
	}
	assert_int_equal(seen.tried, w.taken[0] + w.taken[1]);
}

static void rates_that_come_with_a_change_are_held(void **state)
{
	struct fixture *f = *state;

	start(f);
	assert_int_equal(taken(f, INBOUND, T0), 10);
	set(f, "max-burst-rate", "1");
	set(f, "burst-rate-window", "3");
	set(f, "max-inbound-sustain-rate", "1");
	set(f, "sustain-rate-window", "60");
	start(f);
	assert_int_equal(taken(f, INBOUND, T0), 3);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(each_limit_stops_the_directions_it_counts),
		T(after_a_violation_time_to_resume_must_pass),
		T(retry_after_is_the_rest_of_time_to_resume),
		T(what_is_refused_is_not_counted),
		T(an_emergency_passes_every_limit_and_counts),
		T(too_few_answers_stop_the_way_out),
		T(each_method_has_rates_of_its_own),
		T(register_rates_have_their_own_burst_window),
		T(a_session_taken_and_not_used_counts_in_no_rate),
		T(media_beyond_max_bandwidth_does_not_fit),
		T(the_alarm_of_use_comes_at_the_threshold_and_goes_below_90),
		T(a_change_of_limits_keeps_what_was_counted),
		T(the_pace_shown_is_that_of_the_sustain_window),
		T(each_realm_and_interface_counts_by_itself),
		T(rates_that_come_with_a_change_are_held),
		T(of_many_threads_none_takes_what_does_not_fit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
