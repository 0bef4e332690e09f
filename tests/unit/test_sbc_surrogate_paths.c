/*
 * Where REGISTERs go: connections that are lost, better targets, session-agents
 * that are out of service (behaviour.md 4.4 to 4.6)
 */
#include "tests/unit/surrogates_fixture.h"

static void set(const char *name, const char *value)
{
	item_set(&element_surrogate_agent, f.a, name, value);
}

/* Connections ------------------------------------------------------------------ */

static void over_tcp(const char *count)
{
	struct sip_interface *iface = (void *)config_at(
		f.cfg, &element_sip_interface,
		config_count(f.cfg, &element_sip_interface) - 1);

	assert_string_equal(iface->realm_id, "trunk");
	item_add(&iface->sip_ports, &element_sip_port, "address", "127.0.0.1",
		 "transport-protocol", "TCP", NULL);
	item_set(&element_session_agent, f.trunk, "ip-address", "127.0.0.11");
	item_set(&element_session_agent, f.trunk, "transport-method",
		 "StaticTCP");
	agent_add("a", "493010^", count);
	f.skips_pings = true;
	start();
	run(3 * SECOND);
	assert_state(SUR_REGISTERED);
	assert_non_null(strstr(last()->contact, ";transport=tcp>"));
	f.seen_n = 0;
}

static void lose(uint64_t conn)
{
	surrogates_lost(f.s, conn);
}

static void a_lost_connection_is_opened_again_and_its_aors_are_due(void **s)
{
	over_tcp("10");
	lose(77);
	fake_port_conn(78);
	run(900);
	assert_int_equal(f.pings, 0);
	assert_true(view(3).bound);
	run(200);
	assert_int_equal(f.pings, 1);
	run(3 * SECOND);
	assert_int_equal(f.seen_n, 10);
	assert_state(SUR_REGISTERED);

	/* once each, and not again while it lives */
	run(100 * SECOND);
	assert_int_equal(f.seen_n, 10);
	assert_int_equal(f.pings, 1);
	lose(77);
	run(40 * SECOND);
	assert_int_equal(f.pings, 1);
	(void)s;
}

static void it_is_tried_after_1_2_4_up_to_30_s(void **s)
{
	static const uint32_t pauses[] = { 1, 2, 4, 8, 16, 30, 30 };

	over_tcp("1");
	lose(77);
	fake_port_fail(ECONNREFUSED);
	for (size_t i = 0; i < 7; i++) {
		size_t before = fake_port_tries();
		uint64_t begun = clock_ms();

		while (fake_port_tries() == before &&
		       clock_ms() - begun < 60 * SECOND)
			run(10);
		assert_in_range(clock_ms() - begun, pauses[i] * SECOND - 20,
				pauses[i] * SECOND + 20);
	}
	assert_true(view(0).bound);
	fake_port_conn(78);
	fake_port_fail(0);
	run(31 * SECOND);
	assert_int_equal(f.seen_n, 1);
	(void)s;
}

static void nobody_opens_a_connection_without_bindings(void **s)
{
	over_tcp("2");
	set("un-register", "disabled");
	lose(4711); /* somebody else's */
	run(60 * SECOND);
	assert_int_equal(f.pings, 0);

	f.registrar = NULL;
	fake_port_fail(ECONNREFUSED);
	lose(77);
	run(700 * SECOND); /* the bindings are over */
	assert_false(view(0).bound);
	run(7200 * SECOND);
	fake_port_fail(0);
	f.pings = 0;
	run(60 * SECOND);
	assert_int_equal(f.pings, 0);
	(void)s;
}

static void who_registers_first_over_a_new_connection_wakes_the_others(void **s)
{
	over_tcp("5");
	lose(77);
	fake_port_conn(78);
	assert_int_equal(surrogates_notify(f.s, f.a, 2, false), 0);
	run(900);
	assert_int_equal(f.seen_n, 5);
	run(60 * SECOND);
	assert_int_equal(f.pings, 0);
	assert_int_equal(f.seen_n, 5);
	(void)s;
}

static void a_connection_with_bindings_is_kept_while_it_idles(void **s)
{
	over_tcp("1");
	assert_true(fake_port_kept(77));
	set("un-register", "disabled");
	change_agent("state", "disabled");
	run(700 * SECOND);
	assert_false(fake_port_kept(77));
	(void)s;
}

/* Targets ------------------------------------------------------------------------ */

static const char *down; /* target that does not answer */

static const char *one_is_down(const struct seen *r)
{
	return down && !strncmp(r->target, down, strlen(down)) ? NULL
							       : grants(r);
}

static void two_targets(void)
{
	fake_name("trunk.example", "127.0.0.11:5060", "127.0.0.14:5060", NULL);
	f.registrar = one_is_down;
	one_agent();
}

/* 4.6: "taken at the next refresh after it has been healthy for 60 s" */
static void a_better_target_is_taken_when_it_was_healthy_for_a_minute(void **s)
{
	down = "127.0.0.11:";
	two_targets();
	run(40 * SECOND);
	assert_string_equal(report(0).registrar, "127.0.0.14:5060");

	/* it is well again, and stays avoided for 30 s at most */
	down = NULL;
	surrogates_notify(f.s, f.a, 0, false);
	run(SECOND);
	assert_string_equal(report(0).registrar, "127.0.0.14:5060");
	run(35 * SECOND);
	surrogates_notify(f.s, f.a, 0, false);
	run(SECOND);
	assert_string_equal(report(0).registrar, "127.0.0.14:5060");
	run(55 * SECOND);
	surrogates_notify(f.s, f.a, 0, false);
	run(SECOND);
	assert_string_equal(report(0).registrar, "127.0.0.14:5060");
	run(6 * SECOND);
	surrogates_notify(f.s, f.a, 0, false);
	run(SECOND);
	assert_string_equal(report(0).registrar, "127.0.0.11:5060");
	(void)s;
}

static const char *nothing(const struct seen *r)
{
	(void)r;

	return NULL;
}

/* 4.3: "one more target, then -> disabled" */
static void who_leaves_asks_two_targets_at_most(void **s)
{
	fake_name("trunk.example", "127.0.0.11:5060", "127.0.0.14:5060",
		  "127.0.0.15:5060", NULL);
	one_agent();
	run(SECOND);
	assert_state(SUR_REGISTERED);
	f.registrar = nothing;
	f.seen_n = 0;
	surrogates_notify(f.s, f.a, 0, true);
	run(120 * SECOND);
	assert_state(SUR_DISABLED);
	assert_string_equal(f.seen[0].target, "127.0.0.11:5060");
	assert_string_equal(last()->target, "127.0.0.14:5060");
	for (size_t i = 0; i < f.seen_n; i++)
		assert_string_not_equal(f.seen[i].target, "127.0.0.15:5060");
	(void)s;
}

static void a_binding_stays_at_its_target_while_dns_names_it(void **s)
{
	down = "127.0.0.11:";
	two_targets();
	run(40 * SECOND);
	assert_string_equal(report(0).registrar, "127.0.0.14:5060");

	down = NULL;
	fake_name("trunk.example", "127.0.0.11:5060", NULL);
	surrogates_notify(f.s, f.a, 0, false);
	run(SECOND);
	assert_string_equal(report(0).registrar, "127.0.0.11:5060");
	(void)s;
}

static struct sa at(const char *text)
{
	struct sa sa;

	assert_int_equal(sa_decode(&sa, text, strlen(text)), 0);

	return sa;
}

/* As a ping of each address says it (2.5) */
static void shun(const char *text)
{
	struct sa sa = at(text);

	shun_target(f.worker.shun, realm_named(f.plan->realms, "trunk"), &sa,
		    TRANSPORT_UDP, UINT64_MAX);
}

/* 4.6: "REGISTER is tried at an out-of-service target when there is no other" */
static void a_target_out_of_service_is_tried_last(void **s)
{
	fake_name("trunk.example", "127.0.0.11:5060", "127.0.0.14:5060",
		  "127.0.0.15:5060", NULL);
	agent_add("a", "493010^", "1");
	start();
	shun("127.0.0.11:5060");
	run(SECOND);
	assert_int_equal(f.seen_n, 1);
	assert_string_equal(f.seen[0].target, "127.0.0.14:5060");

	/* the binding's own goes out too: the third one */
	shun("127.0.0.14:5060");
	surrogates_notify(f.s, f.a, 0, false);
	run(SECOND);
	assert_int_equal(f.seen_n, 2);
	assert_string_equal(f.seen[1].target, "127.0.0.15:5060");

	/* that one is silent: after it those out of service, each once */
	f.registrar = NULL;
	surrogates_notify(f.s, f.a, 0, false);
	run(100 * SECOND);
	assert_string_equal(f.seen[2].target, "127.0.0.15:5060");
	for (size_t i = 3; i < f.seen_n; i++)
		if (f.seen[i].cseq != f.seen[i - 1].cseq)
			assert_string_not_equal(f.seen[i].target,
						f.seen[i - 1].target);
	assert_true(f.seen[f.seen_n - 1].cseq >= f.seen[2].cseq + 2);

	/* all are out: the first of them gives an answer */
	f.registrar = grants;
	shun("127.0.0.15:5060");
	f.seen_n = 0;
	surrogates_notify(f.s, f.a, 0, false);
	run(SECOND);
	assert_int_equal(f.seen_n, 1);
	assert_string_equal(f.seen[0].target, "127.0.0.11:5060");
	assert_state(SUR_REGISTERED);
	(void)s;
}

static void a_target_of_the_middle_that_is_out_is_passed_over(void **s)
{
	fake_name("trunk.example", "127.0.0.11:5060", "127.0.0.14:5060",
		  "127.0.0.15:5060", NULL);
	down = "127.0.0.11:";
	f.registrar = one_is_down;
	agent_add("a", "493010^", "1");
	start();
	shun("127.0.0.14:5060");
	run(40 * SECOND);
	assert_string_equal(last()->target, "127.0.0.15:5060");
	for (size_t i = 0; i < f.seen_n; i++)
		assert_string_not_equal(f.seen[i].target, "127.0.0.14:5060");
	(void)s;
}

/* 4.6: "calls from every target of the registrar's resolution are accepted",
 * whether a REGISTER has left since the start or not */
static void after_a_restart_all_targets_of_the_registrar_are_known(void **s)
{
	const struct sa first = at("127.0.0.11:5060"),
			second = at("127.0.0.14:5060"),
			third = at("127.0.0.15:5060");
	const struct realm *trunk, *pbx;

	fake_name("trunk.example", "127.0.0.11:5060", "127.0.0.14:5060", NULL);
	agent_add("a", "493010^", "3");
	start();
	run(3 * SECOND);
	assert_state(SUR_REGISTERED);
	die();
	f.seen_n = 0;
	start();
	run(SECOND);
	assert_int_equal(f.seen_n, 0);
	trunk = realm_named(f.plan->realms, "trunk");
	pbx = realm_named(f.plan->realms, "pbx-a");
	assert_true(surrogates_is_registrar(f.s, f.a, trunk, &first));
	assert_true(surrogates_is_registrar(f.s, f.a, trunk, &second));
	assert_false(surrogates_is_registrar(f.s, f.a, trunk, &third));
	assert_false(surrogates_is_registrar(f.s, f.a, pbx, &first));
	(void)s;
}

/* 4.5: bindings by expiry, then un-REGISTERs, then AoRs without a binding */
static void the_queue_has_its_order(void **s)
{
	size_t n = 0;

	f.sip->registration_rate = 1;
	agent_add("a", "493010^", "6");
	start();
	run(8 * SECOND);
	assert_state(SUR_REGISTERED);
	/* 5 has none any more, 4 leaves, 3 to 0 are refreshed */
	surrogates_notify(f.s, f.a, 5, true);
	run(3 * SECOND);
	run(100);
	f.seen_n = 0;
	surrogates_notify(f.s, f.a, 5, false);
	surrogates_notify(f.s, f.a, 4, true);
	for (uint32_t i = 4; i--;)
		surrogates_notify(f.s, f.a, i, false);
	run(20 * SECOND);
	assert_int_equal(f.seen_n, 6);
	for (; n < 4; n++) {
		char user[16];

		snprintf(user, sizeof(user), ":493010%zu@", n);
		assert_non_null(strstr(f.seen[n].from, user));
	}
	assert_string_equal(f.seen[4].expires, "0");
	assert_non_null(strstr(f.seen[5].from, ":4930105@"));
	(void)s;
}

/* Session-agents ------------------------------------------------------------------ */

static void bindings_stay_when_their_session_agent_is_out(void **s)
{
	agent_add("a", "493010^", "5");
	start();
	run(3 * SECOND);
	f.seen_n = 0;
	surrogates_target_gone(f.s, f.trunk, NULL);
	run(100 * SECOND);
	assert_int_equal(f.seen_n, 0);

	item_set(&element_session_agent, f.trunk, "invalidate-registrations",
		 "enabled");
	surrogates_target_gone(f.s, f.trunk, NULL);
	run(3 * SECOND);
	assert_int_equal(f.seen_n, 5);
	assert_state(SUR_REGISTERED);
	(void)s;
}

/* One of its addresses is out: only who is bound there goes elsewhere */
static void of_one_address_that_is_out_the_bindings_are_due(void **s)
{
	struct sa first = at("127.0.0.11:5060"), other = at("127.0.0.14:5060");

	fake_name("trunk.example", "127.0.0.11:5060", "127.0.0.14:5060", NULL);
	item_set(&element_session_agent, f.trunk, "invalidate-registrations",
		 "enabled");
	agent_add("a", "493010^", "5");
	start();
	run(3 * SECOND);
	assert_state(SUR_REGISTERED);
	f.seen_n = 0;
	surrogates_target_gone(f.s, f.trunk, &other);
	run(10 * SECOND);
	assert_int_equal(f.seen_n, 0);

	shun("127.0.0.11:5060");
	surrogates_target_gone(f.s, f.trunk, &first);
	run(10 * SECOND);
	assert_int_equal(f.seen_n, 5);
	for (size_t i = 0; i < 5; i++)
		assert_string_equal(f.seen[i].target, "127.0.0.14:5060");
	assert_state(SUR_REGISTERED);
	(void)s;
}

/* Clocks -------------------------------------------------------------------------- */

static void a_clock_that_steps_an_hour_moves_nothing(void **s)
{
	static const int64_t steps[] = { 3600, -3600, -3600, 3600 };

	agent_add("a", "493010^", "10");
	start();
	run(3 * SECOND);
	assert_int_equal(f.seen_n, 10);
	for (int i = 0; i < 4; i++) {
		fake_clock_step(steps[i]);
		run(60 * SECOND);
		assert_int_equal(f.seen_n, 10);
		assert_state(SUR_REGISTERED);
		assert_true(view(0).bound);
	}
	run(310 * SECOND);
	assert_int_equal(f.seen_n, 20);

	/* while it was down: an hour forward is taken for an hour gone */
	die();
	fake_registrations_written(clock_wall());
	fake_clock_step(3600);
	f.seen_n = 0;
	start();
	assert_false(view(0).bound);
	run(3 * SECOND);
	assert_int_equal(f.seen_n, 10);
	assert_state(SUR_REGISTERED);
	fake_clock_step(-3600);
	(void)s;
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_lost_connection_is_opened_again_and_its_aors_are_due),
		TEST(it_is_tried_after_1_2_4_up_to_30_s),
		TEST(nobody_opens_a_connection_without_bindings),
		TEST(who_registers_first_over_a_new_connection_wakes_the_others),
		TEST(a_connection_with_bindings_is_kept_while_it_idles),
		TEST(a_better_target_is_taken_when_it_was_healthy_for_a_minute),
		TEST(who_leaves_asks_two_targets_at_most),
		TEST(a_binding_stays_at_its_target_while_dns_names_it),
		TEST(a_target_out_of_service_is_tried_last),
		TEST(a_target_of_the_middle_that_is_out_is_passed_over),
		TEST(after_a_restart_all_targets_of_the_registrar_are_known),
		TEST(the_queue_has_its_order),
		TEST(bindings_stay_when_their_session_agent_is_out),
		TEST(of_one_address_that_is_out_the_bindings_are_due),
		TEST(a_clock_that_steps_an_hour_moves_nothing),
	};
	int err = libre_init();

	if (err)
		return 1;
	err = cmocka_run_group_tests(tests, NULL, NULL);
	libre_close();

	return err;
}
