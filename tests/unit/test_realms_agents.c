/*
 * States, sessions and limits of session-agents (behaviour.md 1.5, 2.5)
 */
#include <errno.h>
#include "config_fixture.h"
#include "realms/agents.h"

static const uint64_t T0 = 1000000; /* some time after start [ms] */

struct fixture {
	struct config *cfg;
	struct agents *agents;
	struct session_agent *config;
	struct agent *agent;
};

static int setup(void **state)
{
	static struct fixture f;

	memset(&f, 0, sizeof(f));
	f.cfg = config_new();
	f.config = config_add(f.cfg, &element_session_agent, "hostname",
			      "trunk.example", NULL);
	assert_int_equal(agents_open(&f.agents), 0);
	agents_expect_pings(f.agents);
	*state = &f;

	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	agents_close(f->agents);
	config_give(f->cfg);

	return 0;
}

/* The next row begins with a fixture of its own */
static void anew(void **state)
{
	teardown(state);
	setup(state);
}

static void set(struct fixture *f, const char *name, const char *value)
{
	item_set(&element_session_agent, f->config, name, value);
}

static void start(struct fixture *f)
{
	assert_int_equal(agents_change(f->agents, f->cfg), 0);
	f->agent = agents_find(f->agents, f->config);
	assert_non_null(f->agent);
}

static void assert_letter(const struct fixture *f, uint64_t now, char letter)
{
	assert_int_equal(agent_letter(agent_service(f->agent, now)), letter);
}

/* How many time-outs in a row take it out of service; 0: more than 20 */
static int timeouts_until_out(struct fixture *f)
{
	for (int i = 1; i <= 20; ++i) {
		if (agent_timed_out(f->agent, T0)) {
			assert_letter(f, T0, 'O');
			return i;
		}
		assert_letter(f, T0, 'I');
	}

	return 0;
}

static void timeouts_in_a_row_take_it_out(void **state)
{
	/* clang-format off */
	static const struct { bool ping; const char *option; int n; } rows[] = {
		{ false, "", 5 }, { true, "", 10 },
		{ false, "trans-timeouts=2", 2 }, { true, "trans-timeouts=3", 3 },
		{ false, "trans-timeouts=0", 0 }, { false, "trans-timeouts=x", 5 },
	};
	/* clang-format on */

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); ++i) {
		struct fixture *f;

		anew(state);
		f = *state;
		if (rows[i].ping) {
			set(f, "ping-method", "OPTIONS");
			set(f, "ping-interval", "30");
		}
		set(f, "options", rows[i].option);
		start(f);
		assert_int_equal(timeouts_until_out(f), rows[i].n);
	}
}

static void an_answer_begins_the_row_anew(void **state)
{
	struct fixture *f = *state;

	start(f);
	for (int i = 0; i < 4; ++i)
		assert_false(agent_timed_out(f->agent, T0));
	assert_false(agent_answered(f->agent, 486, 20, T0));
	assert_int_equal(timeouts_until_out(f), 5);
}

static void an_outage_that_time_ended_is_told_once_with_the_next_answer(
	void **state)
{
	struct fixture *f = *state;

	start(f);
	assert_int_equal(timeouts_until_out(f), 5);
	assert_true(agent_usable(f->agent, T0 + 32000));
	assert_true(agent_answered(f->agent, 200, 1, T0 + 32001));
	assert_false(agent_answered(f->agent, 200, 1, T0 + 32002));
}

static void without_ping_time_alone_brings_it_back(void **state)
{
	struct fixture *f = *state;

	set(f, "in-service-period", "10");
	start(f);
	assert_true(agent_failed(f->agent, T0));
	assert_false(agent_usable(f->agent, T0 + 31999));
	assert_letter(f, T0 + 31999, 'O');
	assert_false(agent_usable(f->agent, T0 + 32000));
	assert_letter(f, T0 + 32000, 'S');
	assert_false(agent_usable(f->agent, T0 + 41999));
	assert_true(agent_usable(f->agent, T0 + 42000));
	assert_letter(f, T0 + 42000, 'I');
}

static void with_ping_it_takes_a_good_answer_too(void **state)
{
	struct fixture *f = *state;

	set(f, "ping-method", "OPTIONS");
	set(f, "ping-interval", "30");
	set(f, "ttr-no-response", "5");
	start(f);
	assert_false(agent_ping_result(f->agent, true, T0));
	assert_true(agent_ping_result(f->agent, false, T0));
	assert_false(agent_ping_result(f->agent, false, T0 + 1));
	assert_false(agent_usable(f->agent, T0 + 60000));
	assert_false(agent_ping_result(f->agent, true, T0 + 4999));
	assert_letter(f, T0 + 4999, 'O');
	assert_true(agent_ping_result(f->agent, true, T0 + 5000));
	assert_letter(f, T0 + 5000, 'I');
}

static void any_failure_while_coming_back_takes_it_out_again(void **state)
{
	struct fixture *f = *state;

	set(f, "ttr-no-response", "5");
	set(f, "in-service-period", "10");
	start(f);
	agent_failed(f->agent, T0);
	agent_usable(f->agent, T0 + 5000);
	assert_letter(f, T0 + 5000, 'S');
	assert_true(agent_timed_out(f->agent, T0 + 6000));
	assert_letter(f, T0 + 6000, 'O');
	assert_false(agent_usable(f->agent, T0 + 10999));
	assert_letter(f, T0 + 10999, 'O');
}

static void a_listed_code_takes_it_out(void **state)
{
	struct fixture *f = *state;

	set(f, "out-service-response-codes", "500-599 480");
	start(f);
	assert_false(agent_answered(f->agent, 404, 1, T0));
	assert_false(agent_answered(f->agent, 499, 1, T0));
	assert_false(agent_answered(f->agent, 600, 1, T0));
	assert_true(agent_answered(f->agent, 503, 1, T0));
	assert_letter(f, T0, 'O');
	assert_false(agent_answered(f->agent, 480, 1, T0));
}

static void an_answer_ends_an_outage_where_nothing_pings(void **state)
{
	struct fixture *f = *state;

	start(f);
	agent_failed(f->agent, T0);
	assert_false(agent_answered(f->agent, 503, 1, T0 + 1));
	assert_true(agent_answered(f->agent, 200, 1, T0 + 2));
	assert_letter(f, T0 + 2, 'I');
}

static void limits_count_only_with_constraints(void **state)
{
	struct fixture *f = *state;

	set(f, "max-sessions", "1");
	start(f);
	for (int i = 0; i < 5; ++i)
		assert_int_equal(agent_take(f->agent, AGENT_INBOUND, T0), 0);
	assert_letter(f, T0, 'I');
}

static void each_limit_stops_the_direction_it_counts(void **state)
{
	/* clang-format off */
	static const struct {
		const char *name; enum agent_direction first; int in, out;
	} rows[] = {
		{ "max-sessions",          AGENT_INBOUND,  2, 0 },
		{ "max-sessions",          AGENT_OUTBOUND, 0, 2 },
		{ "max-inbound-sessions",  AGENT_INBOUND,  2, 5 },
		{ "max-outbound-sessions", AGENT_OUTBOUND, 5, 2 },
	};
	/* clang-format on */

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); ++i) {
		int taken[2] = { 0, 0 };
		struct fixture *f;

		anew(state);
		f = *state;
		set(f, "constraints", "enabled");
		set(f, rows[i].name, "2");
		start(f);
		for (int n = 0; n < 5; ++n)
			taken[rows[i].first] +=
				!agent_take(f->agent, rows[i].first, T0);
		for (int n = 0; n < 5; ++n)
			taken[!rows[i].first] +=
				!agent_take(f->agent, !rows[i].first, T0);
		assert_int_equal(taken[AGENT_INBOUND], rows[i].in);
		assert_int_equal(taken[AGENT_OUTBOUND], rows[i].out);
		assert_letter(f, T0, 'C');
	}
}

static void it_is_back_below_the_limit_and_after_time_to_resume(void **state)
{
	struct fixture *f = *state;

	set(f, "constraints", "enabled");
	set(f, "max-outbound-sessions", "1");
	set(f, "time-to-resume", "10");
	start(f);
	assert_int_equal(agent_take(f->agent, AGENT_OUTBOUND, T0), 0);
	assert_true(agent_usable(f->agent, T0));
	assert_int_equal(agent_take(f->agent, AGENT_OUTBOUND, T0), EBUSY);
	assert_false(agent_usable(f->agent, T0));
	assert_false(agent_usable(f->agent, T0 + 20000)); /* still full */
	agent_give(f->agent, AGENT_OUTBOUND);
	assert_false(agent_usable(f->agent, T0 + 9999));
	assert_int_equal(agent_take(f->agent, AGENT_OUTBOUND, T0 + 9999),
			 EBUSY);
	assert_true(agent_usable(f->agent, T0 + 10000));
	assert_int_equal(agent_take(f->agent, AGENT_OUTBOUND, T0 + 10000), 0);
	assert_letter(f, T0 + 10000, 'I');
}

static void giving_too_often_does_not_reach_the_other_way(void **state)
{
	struct fixture *f = *state;
	struct agent_report report;

	start(f);
	agent_take(f->agent, AGENT_OUTBOUND, T0);
	agent_give(f->agent, AGENT_INBOUND);
	agent_give(f->agent, AGENT_INBOUND);
	agent_report(f->agent, T0, &report);
	assert_int_equal(report.sessions[AGENT_INBOUND], 0);
	assert_int_equal(report.sessions[AGENT_OUTBOUND], 1);
}

static void a_disabled_one_takes_nothing_new(void **state)
{
	struct fixture *f = *state;

	set(f, "state", "disabled");
	start(f);
	assert_letter(f, T0, 'D');
	assert_false(agent_usable(f->agent, T0));
	set(f, "state", "enabled");
	start(f);
	assert_true(agent_usable(f->agent, T0));
}

static void refused_credentials_leave_it_usable(void **state)
{
	struct fixture *f = *state;

	start(f);
	assert_true(agent_credentials_refused(f->agent, true));
	assert_false(agent_credentials_refused(f->agent, true));
	assert_letter(f, T0, 'R');
	assert_true(agent_usable(f->agent, T0));
	assert_true(agent_credentials_refused(f->agent, false));
	assert_letter(f, T0, 'I');
}

static void state_and_sessions_outlive_a_change(void **state)
{
	struct fixture *f = *state;
	struct config *empty = config_new();
	struct agent *agent;

	start(f);
	agent = f->agent;
	agent_take(agent, AGENT_INBOUND, T0);
	agent_failed(agent, T0);
	assert_int_equal(agents_change(f->agents, empty), 0);
	assert_letter(f, T0, 'D');
	set(f, "max-sessions", "7");
	start(f);
	assert_ptr_equal(f->agent, agent);
	assert_letter(f, T0, 'O');
	config_give(empty);
}

static void what_was_prepared_and_given_up_leaves_the_rest_alone(void **state)
{
	struct fixture *f = *state;
	struct config *next = config_new();
	struct session_agent *more, *same;
	struct agent *agent;

	set(f, "constraints", "enabled");
	set(f, "max-sessions", "1");
	start(f);
	same = config_add(next, &element_session_agent, "hostname",
			  "trunk.example", NULL);
	more = config_add(next, &element_session_agent, "hostname",
			  "more.example", NULL);
	assert_int_equal(agents_prepare(f->agents, next), 0);

	/* not in force yet: the limit of before holds */
	assert_ptr_equal(agents_find(f->agents, same), f->agent);
	assert_int_equal(agent_take(f->agent, AGENT_OUTBOUND, T0), 0);
	assert_int_equal(agent_take(f->agent, AGENT_OUTBOUND, T0), EBUSY);

	assert_int_equal(agents_change(f->agents, f->cfg), 0);
	agent = agents_find(f->agents, more);
	assert_non_null(agent);
	assert_false(agent_usable(agent, T0));
	assert_int_equal(agents_change(f->agents, next), 0);
	assert_true(agent_usable(agent, T0));
	config_give(next);
}

static void count_agent(struct agent *agent, void *arg)
{
	struct agent_report report, *last = arg;

	agent_report(agent, T0, &report);
	if (last->hostname)
		assert_true(strcmp(last->hostname, report.hostname) < 0);
	*last = report;
	last->high[0] = 0;
}

static void one_that_is_gone_is_shown_while_it_has_sessions(void **state)
{
	struct fixture *f = *state;
	struct config *empty = config_new();
	struct agent_report last = { .hostname = NULL };

	start(f);
	agent_take(f->agent, AGENT_INBOUND, T0);
	assert_int_equal(agents_change(f->agents, empty), 0);
	agents_walk(f->agents, count_agent, &last);
	assert_string_equal(last.hostname, "trunk.example");
	agent_give(f->agent, AGENT_INBOUND);
	last.hostname = NULL;
	agents_walk(f->agents, count_agent, &last);
	assert_null(last.hostname);
	config_give(empty);
}

static void a_thousand_names_are_found_and_walked_in_order(void **state)
{
	struct fixture *f = *state;
	struct agent_report last = { .hostname = NULL };
	char name[32];

	for (int i = 0; i < 1000; ++i) {
		snprintf(name, sizeof(name), "h%d.example", i * 7 % 1000);
		config_add(f->cfg, &element_session_agent, "hostname", name,
			   NULL);
	}
	start(f);
	for (size_t i = 0; i < 1001; ++i) {
		const struct session_agent *config =
			config_at(f->cfg, &element_session_agent, i);
		struct agent_report report;
		struct agent *agent = agents_find(f->agents, config);

		assert_non_null(agent);
		agent_report(agent, T0, &report);
		assert_string_equal(report.hostname, config->hostname);
	}
	agents_walk(f->agents, count_agent, &last);
	assert_string_equal(last.hostname, "trunk.example");
	assert_null(agents_find(f->agents, NULL));
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(timeouts_in_a_row_take_it_out),
		T(an_answer_begins_the_row_anew),
		T(an_outage_that_time_ended_is_told_once_with_the_next_answer),
		T(without_ping_time_alone_brings_it_back),
		T(with_ping_it_takes_a_good_answer_too),
		T(any_failure_while_coming_back_takes_it_out_again),
		T(a_listed_code_takes_it_out),
		T(an_answer_ends_an_outage_where_nothing_pings),
		T(limits_count_only_with_constraints),
		T(each_limit_stops_the_direction_it_counts),
		T(it_is_back_below_the_limit_and_after_time_to_resume),
		T(giving_too_often_does_not_reach_the_other_way),
		T(a_disabled_one_takes_nothing_new),
		T(refused_credentials_leave_it_usable),
		T(state_and_sessions_outlive_a_change),
		T(what_was_prepared_and_given_up_leaves_the_rest_alone),
		T(one_that_is_gone_is_shown_while_it_has_sessions),
		T(a_thousand_names_are_found_and_walked_in_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
