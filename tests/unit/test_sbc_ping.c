/*
 * Pings in virtual time: when, to whom, and what follows (behaviour.md 2.5)
 */
#include <errno.h>
#include "sbc/clock.h"
#include "sbc/ping.h"
#include "sbc/shun.h"
#include "sbc/timer.h"
#include "tests/unit/core_fixture.h"
#include "tests/unit/fake_port.h"
#include "tests/unit/fake_resolver.h"

static void set(const char *name, const char *value)
{
	item_set(&element_session_agent, core.agent_trunk, name, value);
}

/* The trunk is pinged each ten seconds */
static void start(void)
{
	set("ping-method", "OPTIONS");
	set("ping-interval", "10");
	core_start();
	agents_expect_pings(core.worker.agents);
	assert_int_equal(agents_change(core.worker.agents, core.cfg), 0);
	assert_int_equal(pings_open(&core.worker.pings, &core.worker), 0);
	pings_change(core.worker.pings);
}

/* It has two addresses, out of DNS */
static void start_with_two(const char *all)
{
	set("ip-address", "");
	set("ping-all-addresses", all);
	fake_name("trunk.example", "127.0.0.11:5060", "127.0.0.14:5060", NULL);
	start();
}

static int teardown(void **state)
{
	pings_close(core.worker.pings);

	return core_teardown(state);
}

static struct agent *the_agent(void)
{
	return agents_find(core.worker.agents, core.agent_trunk);
}

static char letter(void)
{
	return agent_letter(agent_service(the_agent(), clock_ms()));
}

/* Next ping within so many ms; NULL: none. took: until it came */
static struct message *ping_within(struct peer *p, uint64_t ms, uint64_t *took)
{
	for (uint64_t at = 0; at <= ms; at += 100) {
		struct message *m;

		core_deliver();
		while ((m = peer_next(p))) {
			if (!m->code && m->method_id == OPTIONS) {
				if (took)
					*took = at;
				return m;
			}
		}
		core_run(100);
	}

	return NULL;
}

static void good(struct peer *p, const struct message *ping)
{
	assert_non_null(ping);
	peer_answers(p, ping, 200, "", "");
}

static void pings_come_in_each_interval_ten_percent_around(void **state)
{
	uint64_t took = 0, least = UINT64_MAX, most = 0;
	(void)state;

	set("ping-send-mode", "continuous");
	start();
	good(&trunk, ping_within(&trunk, 1000, NULL));
	for (int i = 0; i < 100; i++) {
		good(&trunk, ping_within(&trunk, 12000, &took));
		least = took < least ? took : least;
		most = took > most ? took : most;
	}
	assert_in_range(least, 8900, 9600);
	assert_in_range(most, 10400, 11200);
	assert_int_equal(letter(), 'I');
}

static void keep_alive_asks_only_who_was_silent(void **state)
{
	(void)state;

	start();
	good(&trunk, ping_within(&trunk, 1000, NULL));
	for (int i = 0; i < 20; i++) {
		assert_null(ping_within(&trunk, 5000, NULL));
		agent_heard(the_agent(), clock_ms());
	}
	assert_non_null(ping_within(&trunk, 11500, NULL));
}

static void who_speaks_in_a_call_is_not_asked(void **state)
{
	(void)state;

	start();
	good(&trunk, ping_within(&trunk, 1000, NULL));
	core_call();
	for (int i = 0; i < 10; i++) {
		assert_null(ping_within(&trunk, 5000, NULL));
		peer_says(&trunk, "INFO", NULL, NULL);
		peer_answers(&pbx, peer_request(&pbx, "INFO"), 200, NULL, NULL);
	}
	assert_non_null(ping_within(&trunk, 11500, NULL));
}

static void silence_until_the_next_one_is_due_takes_it_out(void **state)
{
	uint64_t took = 0;
	(void)state;

	set("ping-send-mode", "continuous");
	set("ttr-no-response", "15");
	start();
	assert_non_null(ping_within(&trunk, 1000, NULL));
	core_run(9800);
	assert_int_equal(letter(), 'I');
	core_run(400);
	assert_int_equal(letter(), 'O');

	/* A good answer before ttr-no-response is over does not count; the first
	 * one behind it does, and is not slept through */
	peer_forgets(&trunk);
	good(&trunk, ping_within(&trunk, 12000, NULL));
	core_run(10);
	assert_int_equal(letter(), 'O');
	good(&trunk, ping_within(&trunk, 6500, &took));
	core_run(10);
	assert_int_equal(letter(), 'I');
}

static void what_cannot_be_sent_is_a_bad_ping(void **state)
{
	(void)state;

	fake_port_fail(ENETUNREACH);
	set("ping-send-mode", "continuous");
	start();
	core_run(200);
	assert_int_equal(letter(), 'O');
}

static void a_name_that_leads_nowhere_is_a_bad_ping(void **state)
{
	(void)state;

	set("ip-address", "");
	fake_resolver_fail(ENOENT);
	start();
	core_run(200);
	assert_int_equal(letter(), 'O');
}

static void one_good_address_of_several_is_enough(void **state)
{
	(void)state;

	start_with_two("disabled");
	assert_non_null(ping_within(&trunk, 1000, NULL));
	assert_null(peer_next(&third));
	/* The first is silent: the second is asked, and answers */
	good(&third, ping_within(&third, 11000, NULL));
	core_run(10);
	assert_int_equal(letter(), 'I');
}

static bool is_shunned(const char *addr)
{
	struct sa sa = sa_of(addr);

	sa_set_port(&sa, 5060);
	return shun_has(core.worker.shun,
			realm_named(core.plan->realms, "trunk"), &sa,
			TRANSPORT_UDP, clock_ms());
}

static void each_address_is_judged_by_itself(void **state)
{
	struct message *first, *second;
	(void)state;

	set("ping-send-mode", "continuous");
	set("ttr-no-response", "5");
	start_with_two("enabled");
	first = ping_within(&trunk, 1000, NULL);
	second = ping_within(&third, 0, NULL);
	good(&third, second);
	peer_answers(&trunk, first, 503, "", "");
	core_run(10);
	assert_int_equal(letter(), 'I');
	assert_true(is_shunned("127.0.0.11"));
	assert_false(is_shunned("127.0.0.14"));

	/* New calls go to the other one */
	peer_forgets(&third);
	peer_calls(&pbx, "sip:0301234@127.0.0.2", "", SDP_PBX);
	core_deliver();
	assert_non_null(peer_request(&third, "INVITE"));
	peer_answers(&third, third.in[third.taken - 1], 486, "", "");
	core_run(100);

	/* Both out: the session-agent is */
	first = ping_within(&trunk, 12000, NULL);
	second = ping_within(&third, 0, NULL);
	peer_answers(&trunk, first, 503, "", "");
	peer_answers(&third, second, 503, "", "");
	core_run(10);
	assert_int_equal(letter(), 'O');

	/* And each comes back by itself */
	first = ping_within(&trunk, 12000, NULL);
	second = ping_within(&third, 0, NULL);
	good(&trunk, first);
	peer_answers(&third, second, 503, "", "");
	core_run(10);
	assert_int_equal(letter(), 'I');
	assert_false(is_shunned("127.0.0.11"));
	assert_true(is_shunned("127.0.0.14"));
}

static void who_is_not_to_be_pinged_any_more_is_not(void **state)
{
	const struct plan *before;
	struct message *ping;
	(void)state;

	set("ping-send-mode", "continuous");
	start();
	ping = ping_within(&trunk, 1000, NULL); /* under way */
	assert_non_null(ping);
	before = core.plan;
	set("ping-interval", "0");
	assert_int_equal(plan_alloc(&core.plan, core.cfg), 0);
	core.worker.plan = core.plan;
	pings_change(core.worker.pings);
	plan_give(before);
	good(&trunk, ping);
	assert_null(ping_within(&trunk, 60000, NULL));
	assert_int_equal(letter(), 'I');
}

static void a_change_keeps_the_turn_of_those_who_stay(void **state)
{
	const struct plan *before;
	uint64_t took = 0;
	(void)state;

	set("ping-send-mode", "continuous");
	start();
	good(&trunk, ping_within(&trunk, 1000, NULL));
	core_run(6000);
	before = core.plan;
	assert_int_equal(plan_alloc(&core.plan, core.cfg), 0);
	core.worker.plan = core.plan;
	pings_change(core.worker.pings);
	plan_give(before);
	good(&trunk, ping_within(&trunk, 12000, &took));
	assert_in_range(took, 2500, 5200);
}

#define T(f) cmocka_unit_test_setup_teardown(f, core_setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(pings_come_in_each_interval_ten_percent_around),
		T(keep_alive_asks_only_who_was_silent),
		T(who_speaks_in_a_call_is_not_asked),
		T(silence_until_the_next_one_is_due_takes_it_out),
		T(what_cannot_be_sent_is_a_bad_ping),
		T(a_name_that_leads_nowhere_is_a_bad_ping),
		T(one_good_address_of_several_is_enough),
		T(each_address_is_judged_by_itself),
		T(who_is_not_to_be_pinged_any_more_is_not),
		T(a_change_keeps_the_turn_of_those_who_stay),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
