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

static void an_answer_after_the_outage_says_once_that_it_is_over(void **state)
{
	struct fixture *f = *state;

	start(f);
	assert_int_equal(timeouts_until_out(f), 5);
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
		assert_int_equal(agent_take(f->agent, INBOUND, T0), 0);
	assert_letter(f, T0, 'I');
}

static void each_limit_stops_the_direction_it_counts(void **state)
{
	/* clang-format off */
	static const struct {
		const char *name; enum direction first; int in, out;
	} rows[] = {
		{ "max-sessions",          INBOUND,  2, 0 },
		{ "max-sessions",          OUTBOUND, 0, 2 },
		{ "max-inbound-sessions",  INBOUND,  2, 5 },
		{ "max-outbound-sessions", OUTBOUND, 5, 2 },
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
		assert_int_equal(taken[INBOUND], rows[i].in);
		assert_int_equal(taken[OUTBOUND], rows[i].out);
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
	assert_int_equal(agent_take(f->agent, OUTBOUND, T0), 0);
	assert_true(agent_usable(f->agent, T0));
	assert_int_equal(agent_take(f->agent, OUTBOUND, T0), EBUSY);
	assert_false(agent_usable(f->agent, T0));
	assert_false(agent_usable(f->agent, T0 + 20000)); /* still full */
	agent_give(f->agent, OUTBOUND);
	assert_false(agent_usable(f->agent, T0 + 9999));
	assert_int_equal(agent_take(f->agent, OUTBOUND, T0 + 9999), EBUSY);
	assert_true(agent_usable(f->agent, T0 + 10000));
	assert_int_equal(agent_take(f->agent, OUTBOUND, T0 + 10000), 0);
	assert_letter(f, T0 + 10000, 'I');
}

static void giving_too_often_does_not_reach_the_other_way(void **state)
{
	struct fixture *f = *state;
	struct agent_report report;

	start(f);
	agent_take(f->agent, OUTBOUND, T0);
	agent_give(f->agent, INBOUND);
	agent_give(f->agent, INBOUND);
	agent_report(f->agent, T0, &report);
	assert_int_equal(report.sessions[INBOUND], 0);
	assert_int_equal(report.sessions[OUTBOUND], 1);
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

static void it_is_refused_while_all_registrations_over_it_are(void **state)
{
	/* clang-format off */
	static const struct { int all, refused; bool news; char letter; } rows[] = {
		{ 0,  0, false, 'I' }, { 2,  0, false, 'I' }, { 0,  1, false, 'I' },
		{ 0,  1, true,  'R' }, { 1,  0, true,  'I' }, { -1, 0, true,  'R' },
		{ 0, -1, true,  'I' }, { -2, -1, false, 'I' },
	};
	/* clang-format on */
	struct fixture *f = *state;

	start(f);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); ++i) {
		assert_int_equal(agent_registrations(f->agent, rows[i].all,
						     rows[i].refused),
				 rows[i].news);
		assert_letter(f, T0, rows[i].letter);
		assert_true(agent_usable(f->agent, T0));
	}
}

/* --- The table of behaviour.md 2.5, cell by cell --- */

enum cell {
	LIMIT_OF_TIMEOUTS,
	ONE_TIMEOUT,
	BAD_PING,
	GOOD_PING,
	NO_CONNECTION,
	LISTED_CODE,
	ANSWERED,
	ANSWERED_503,
	SOME_TIME,
	CELLS
};

static void feed(struct fixture *f, enum cell cell, uint64_t now)
{
	switch (cell) {

	case LIMIT_OF_TIMEOUTS:
		for (int i = 0; i < 10; ++i)
			(void)agent_timed_out(f->agent, now);
		break;
	case ONE_TIMEOUT:
		(void)agent_timed_out(f->agent, now);
		break;
	case BAD_PING:
	case GOOD_PING:
		(void)agent_ping_result(f->agent, cell == GOOD_PING, now);
		break;
	case NO_CONNECTION:
		(void)agent_failed(f->agent, now);
		break;
	case LISTED_CODE:
		(void)agent_answered(f->agent, 599, 1, now);
		break;
	case ANSWERED:
		(void)agent_answered(f->agent, 486, 1, now);
		break;
	case ANSWERED_503:
		(void)agent_answered(f->agent, 503, 1, now);
		break;
	case SOME_TIME:
	case CELLS:
		(void)agent_usable(f->agent, now);
		break;
	}
}

/* Bring a new one into a state at T0: ttr-no-response 5 s, in-service-period
 * 10 s */
static struct fixture *brought_to(void **state, bool ping, char letter)
{
	struct fixture *f;

	anew(state);
	f = *state;
	if (ping) {
		set(f, "ping-method", "OPTIONS");
		set(f, "ping-interval", "30");
	}
	set(f, "ttr-no-response", "5");
	set(f, "in-service-period", "10");
	set(f, "out-service-response-codes", "599");
	start(f);
	if (letter != 'I')
		agent_failed(f->agent, letter == 'O' ? T0 : T0 - 5000);
	if (letter == 'S' && ping)
		agent_ping_result(f->agent, true, T0);
	else if (letter == 'S')
		agent_usable(f->agent, T0);
	assert_letter(f, T0, letter);
	return f;
}

static void each_event_in_each_state_leads_where_the_table_says(void **state)
{
	/* after: [ms] from the beginning of the state; then the letters by event
	 * in the order of enum cell */
	/* clang-format off */
	static const struct {
		bool ping; char in; uint64_t after; const char *to;
	} rows[] = {
		/*               T t b g x c a 5 . */
		{ true,  'I',     0, "OIOIOOIII" },
		{ true,  'I', 99999, "OIOIOOIII" },
		{ true,  'O',  4999, "OOOOOOOOO" },
		{ true,  'O',  5000, "OOOSOOOOO" },
		{ true,  'O', 99999, "OOOSOOOOO" },
		{ true,  'S',  9999, "OOOSOOSSS" },
		{ true,  'S', 10000, "OIOIOOIII" },
		{ false, 'I',     0, "OIOIOOIII" },
		{ false, 'O',  4999, "OOOOOOSOO" },
		{ false, 'O',  5000, "OOOSOOSSS" },
		{ false, 'S',  9999, "OOOSOOSSS" },
		{ false, 'S', 10000, "OIOIOOIII" },
	};
	/* clang-format on */

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); ++i) {
		for (int cell = 0; cell < CELLS; ++cell) {
			struct fixture *f =
				brought_to(state, rows[i].ping, rows[i].in);
			uint64_t now = T0 + rows[i].after;
			char is;

			feed(f, (enum cell)cell, now);
			is = agent_letter(agent_service(f->agent, now));
			if (is != rows[i].to[cell])
				fail_msg("row %zu event %d: %c, not %c", i,
					 cell, is, rows[i].to[cell]);
			assert_int_equal(agent_usable(f->agent, now),
					 is == 'I');
		}
	}
}

static void disabled_lies_over_every_state(void **state)
{
	for (const char *in = "IOS"; *in; ++in) {
		struct fixture *f = brought_to(state, true, *in);

		set(f, "state", "disabled");
		start(f);
		assert_letter(f, T0, 'D');
		assert_false(agent_usable(f->agent, T0));
		set(f, "state", "enabled");
		start(f);
		assert_letter(f, T0, *in);
	}
}

static void each_change_of_state_is_news_once(void **state)
{
	struct fixture *f = *state;
	enum agent_service was, is;
	/* clang-format off */
	static const struct { int event; uint64_t at; char was, is; } rows[] = {
		{ SOME_TIME,     0,     0,   0   },
		{ NO_CONNECTION, 1,     'I', 'O' },
		{ BAD_PING,      2,     0,   0   },
		{ SOME_TIME,     31999, 0,   0   },
		{ SOME_TIME,     32001, 'O', 'S' },
		{ SOME_TIME,     33001, 'S', 'I' },
		{ GOOD_PING,     33002, 0,   0   },
	};
	/* clang-format on */

	set(f, "in-service-period", "1");
	start(f);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); ++i) {
		uint64_t now = T0 + rows[i].at;

		if (rows[i].event != SOME_TIME)
			feed(f, (enum cell)rows[i].event, now);
		assert_int_equal(agent_news(f->agent, now, &was, &is),
				 rows[i].was != 0);
		if (rows[i].was) {
			assert_int_equal(agent_letter(was), rows[i].was);
			assert_int_equal(agent_letter(is), rows[i].is);
		}
	}
}

static void state_and_sessions_outlive_a_change(void **state)
{
	struct fixture *f = *state;
	struct config *empty = config_new();
	struct agent *agent;

	start(f);
	agent = f->agent;
	agent_take(agent, INBOUND, T0);
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
	assert_int_equal(agent_take(f->agent, OUTBOUND, T0), 0);
	assert_int_equal(agent_take(f->agent, OUTBOUND, T0), EBUSY);

	assert_int_equal(agents_change(f->agents, f->cfg), 0);
	agent = agents_find(f->agents, more);
	assert_non_null(agent);
	assert_false(agent_usable(agent, T0));
	assert_int_equal(agents_change(f->agents, next), 0);
	assert_true(agent_usable(agent, T0));

	/* gone once, and again to come: usable before the plan is in force */
	assert_int_equal(agents_change(f->agents, f->cfg), 0);
	assert_int_equal(agents_prepare(f->agents, next), 0);
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
	agent_take(f->agent, INBOUND, T0);
	assert_int_equal(agents_change(f->agents, empty), 0);
	agents_walk(f->agents, count_agent, &last);
	assert_string_equal(last.hostname, "trunk.example");
	agent_give(f->agent, INBOUND);
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

/* It had room for none when it came */
static void rates_may_come_with_a_later_change(void **state)
{
	struct fixture *f = *state;
	int taken = 0;

	set(f, "constraints", "enabled");
	start(f);
	set(f, "max-burst-rate", "1");
	set(f, "burst-rate-window", "3");
	start(f);
	for (int i = 0; i < 10; ++i)
		taken += !agent_take(f->agent, INBOUND, T0);
	assert_int_equal(taken, 3);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(timeouts_in_a_row_take_it_out),
		T(an_answer_begins_the_row_anew),
		T(an_answer_after_the_outage_says_once_that_it_is_over),
		T(without_ping_time_alone_brings_it_back),
		T(with_ping_it_takes_a_good_answer_too),
		T(any_failure_while_coming_back_takes_it_out_again),
		T(a_listed_code_takes_it_out),
		T(an_answer_ends_an_outage_where_nothing_pings),
		T(limits_count_only_with_constraints),
		T(rates_may_come_with_a_later_change),
		T(each_limit_stops_the_direction_it_counts),
		T(it_is_back_below_the_limit_and_after_time_to_resume),
		T(giving_too_often_does_not_reach_the_other_way),
		T(a_disabled_one_takes_nothing_new),
		T(it_is_refused_while_all_registrations_over_it_are),
		T(each_event_in_each_state_leads_where_the_table_says),
		T(disabled_lies_over_every_state),
		T(each_change_of_state_is_news_once),
		T(state_and_sessions_outlive_a_change),
		T(what_was_prepared_and_given_up_leaves_the_rest_alone),
		T(one_that_is_gone_is_shown_while_it_has_sessions),
		T(a_thousand_names_are_found_and_walked_in_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
