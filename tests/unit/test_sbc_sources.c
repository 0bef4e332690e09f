/*
 * Whom DNS gives an address is known by it
 */
#include <errno.h>
#include "sbc/sources.h"
#include "sbc/surrogates.h"
#include "tests/unit/core_fixture.h"
#include "tests/unit/fake_resolver.h"

static struct source source_of(const char *text)
{
	struct sa src = sa_of(text);
	struct source out;

	sources_match(core.worker.sources, core.plan,
		      &core.plan->realms->endpoints[2], &src, &out);
	assert_string_equal(
		core.plan->realms->endpoints[2].realm->config->identifier,
		"trunk");
	return out;
}

static bool is_agent(const char *src, const char *hostname)
{
	struct source s = source_of(src);

	return hostname ? s.agent && !strcmp(s.agent->hostname, hostname)
			: !s.agent;
}

static void *agent_add(const char *hostname, const char *realm,
		       const char *port)
{
	return config_add(core.cfg, &element_session_agent, "hostname",
			  hostname, "realm-id", realm, "port", port, NULL);
}

static void start(void)
{
	core_start();
	assert_int_equal(sources_open(&core.worker.sources, &core.worker), 0);
	sources_change(core.worker.sources);
	core_run(10);
}

static int teardown(void **s)
{
	sources_close(core.worker.sources);
	return core_teardown(s);
}

static void a_name_has_all_addresses_that_dns_gives(void **s)
{
	(void)s;

	agent_add("n.example", "trunk", "0");
	fake_name("n.example", "127.0.0.21:5060", "127.0.0.22:5070", NULL);
	start();
	assert_true(is_agent("127.0.0.21:5060", "n.example"));
	assert_true(is_agent("127.0.0.22:4000", "n.example"));
	assert_true(is_agent("127.0.0.23:5060", NULL));
	/* what the configuration names comes first */
	assert_true(is_agent("127.0.0.11:5060", "trunk.example"));
}

static void another_realm_or_a_disabled_one_is_nobody(void **s)
{
	(void)s;

	agent_add("b.example", "pbx-b", "5060");
	item_set(&element_session_agent, agent_add("off.example", "trunk", "0"),
		 "state", "disabled");
	fake_name("b.example", "127.0.0.21:5060", NULL);
	fake_name("off.example", "127.0.0.22:5060", NULL);
	start();
	assert_true(is_agent("127.0.0.21:5060", NULL));
	assert_true(is_agent("127.0.0.22:5060", NULL));
}

static void of_several_the_realm_the_port_and_the_name_decide(void **s)
{
	(void)s;

	item_set(&element_sip_config, core.sip, "egress-realm-id", "trunk");
	agent_add("anywhere.example", "*", "5060");
	agent_add("z.example", "trunk", "5060");
	agent_add("a.example", "trunk", "5060");
	agent_add("p.example", "trunk", "5090");
	fake_name("anywhere.example", "127.0.0.21:5060", NULL);
	fake_name("z.example", "127.0.0.21:5060", NULL);
	fake_name("a.example", "127.0.0.21:5060", NULL);
	fake_name("p.example", "127.0.0.21:5060", NULL);
	start();
	assert_true(is_agent("127.0.0.21:5090", "p.example"));
	assert_true(is_agent("127.0.0.21:5060", "a.example"));
	assert_true(is_agent("127.0.0.21:4711", "a.example"));
}

static void addresses_follow_dns_and_stay_while_it_is_silent(void **s)
{
	(void)s;

	agent_add("n.example", "trunk", "5060");
	fake_name("n.example", "127.0.0.21:5060", NULL);
	start();
	fake_name("n.example", "127.0.0.22:5060", NULL);
	core_run(34000);
	assert_true(is_agent("127.0.0.21:5060", NULL));
	assert_true(is_agent("127.0.0.22:5060", "n.example"));
	fake_resolver_fail(ETIMEDOUT);
	core_run(300000);
	assert_true(is_agent("127.0.0.22:5060", "n.example"));
	fake_resolver_fail(ENOENT);
	core_run(34000);
	assert_true(is_agent("127.0.0.22:5060", NULL));
	fake_resolver_fail(0);
	core_run(6000);
	assert_true(is_agent("127.0.0.22:5060", "n.example"));
}

static void a_late_answer_counts_when_it_comes(void **s)
{
	(void)s;

	agent_add("n.example", "trunk", "5060");
	fake_name("n.example", "127.0.0.21:5060", NULL);
	fake_resolver_fail(EINPROGRESS);
	start();
	assert_true(is_agent("127.0.0.21:5060", NULL));
	fake_resolver_answer(0);
	assert_true(is_agent("127.0.0.21:5060", "n.example"));
	fake_resolver_fail(0);
}

static void a_customer_next_hop_that_is_a_name_is_known_by_its_address(void **s)
{
	struct surrogate_agent *agent;
	struct sa src = sa_of("127.0.0.21:5060"), other = sa_of("127.0.0.22");
	(void)s;

	agent = config_add(core.cfg, &element_surrogate_agent, "register-host",
			   "r.example", "register-user", "1", "realm-id",
			   "trunk", "customer-next-hop", "pbx.local.example",
			   "proxy-name", "trunk.example", NULL);
	fake_name("pbx.local.example", "127.0.0.21:5060", NULL);
	start();
	assert_true(source_of("127.0.0.21:5060").next_hop);
	assert_false(source_of("127.0.0.22:5060").next_hop);
	assert_true(sources_has(core.worker.sources, agent, &src));
	assert_false(sources_has(core.worker.sources, agent, &other));
}

static void a_pbx_is_met_by_name_in_its_realm_and_below(void **s)
{
	struct surrogate_agent *two[2];
	const struct realm *realm;
	struct sa src = sa_of("127.0.0.21:5060");
	(void)s;

	for (int i = 0; i < 2; i++)
		two[i] = config_add(core.cfg, &element_surrogate_agent,
				    "register-host",
				    i ? "q.example" : "r.example",
				    "register-user", "1", "realm-id", "trunk",
				    "customer-next-hop", "pbx.local.example",
				    "proxy-name", "trunk.example", NULL);
	fake_name("pbx.local.example", "127.0.0.21:5060", NULL);
	start();
	realm = realm_named(core.plan->realms, "trunk");
	for (uint32_t n = 0; n < 2; n++) {
		const struct surrogate_agent *a =
			sources_pbx(core.worker.sources, realm, &src, n);

		assert_true(a == two[0] || a == two[1]);
		two[a == two[1]] = NULL;
	}
	assert_null(sources_pbx(core.worker.sources, realm, &src, 2));
	realm = realm_named(core.plan->realms, "pbx-a");
	assert_null(sources_pbx(core.worker.sources, realm, &src, 0));
}

/* --- Another plan -------------------------------------------------------- */

/* A copy of the configuration that runs, edited, comes into force */
static void change(void (*edit)(struct config *cfg))
{
	const struct plan *before = core.plan;

	config_give(core.cfg);
	core.cfg = core_twin(before->config);
	if (edit)
		edit(core.cfg);
	assert_int_equal(plan_alloc(&core.plan, core.cfg), 0);
	core.worker.plan = core.plan;
	sources_change(core.worker.sources);
	plan_give(before);
}

static struct session_agent *agent_of(struct config *cfg, const char *hostname)
{
	struct pl key;

	pl_set_str(&key, hostname);
	return (struct session_agent *)(uintptr_t)config_find(
		cfg, &element_session_agent, &key);
}

static void many_agents(uint32_t n)
{
	char name[32];

	for (uint32_t i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "many%04u.example", i);
		agent_add(name, "trunk", "5060");
	}
}

static void who_is_known_stays_so_while_another_plan_is_taken_over(void **s)
{
	struct source source;
	(void)s;

	many_agents(1000);
	agent_add("z.example", "trunk", "5060");
	fake_name("z.example", "127.0.0.21:5060", NULL);
	fake_resolver_fail(ENOENT);
	start();
	fake_resolver_fail(0);
	core_run(7000);
	assert_true(is_agent("127.0.0.21:5060", "z.example"));

	fake_resolver_fail(ETIMEDOUT);
	change(NULL);
	assert_false(sources_is_settled(core.worker.sources));
	source = source_of("127.0.0.21:5060");
	assert_ptr_equal(source.agent, agent_of(core.cfg, "z.example"));
	core_run(100);
	assert_true(sources_is_settled(core.worker.sources));
	source = source_of("127.0.0.21:5060");
	assert_ptr_equal(source.agent, agent_of(core.cfg, "z.example"));
}

static void disable(struct config *cfg)
{
	item_set(&element_session_agent, agent_of(cfg, "z.example"), "state",
		 "disabled");
}

static void move(struct config *cfg)
{
	item_set(&element_session_agent, agent_of(cfg, "z.example"), "port",
		 "5090");
}

static void who_is_gone_or_asked_for_otherwise_is_unknown_at_once(void **s)
{
	(void)s;

	many_agents(1000);
	agent_add("z.example", "trunk", "5060");
	fake_name("z.example", "127.0.0.21:5060", NULL);
	start();
	core_run(7000);
	assert_true(is_agent("127.0.0.21:5060", "z.example"));
	fake_resolver_fail(EINPROGRESS);
	change(move);
	assert_true(is_agent("127.0.0.21:5060", NULL));
	core_run(1000);
	fake_resolver_answer(0);
	assert_true(is_agent("127.0.0.21:5060", "z.example"));
	change(disable);
	assert_true(is_agent("127.0.0.21:5060", NULL));
	core_run(1000);
	assert_true(is_agent("127.0.0.21:5060", NULL));
}

/* acli.md 1.1: a plan of many names holds up no turn of the loop */
static void of_many_names_a_few_are_asked_for_in_a_turn(void **s)
{
	size_t most = 0, before, now;
	(void)s;

	many_agents(1000);
	core_start();
	assert_int_equal(sources_open(&core.worker.sources, &core.worker), 0);
	fake_resolver_fail(EINPROGRESS);
	sources_change(core.worker.sources);
	assert_false(sources_is_settled(core.worker.sources));
	for (int ms = 0; ms < 200; ms++) {
		before = fake_resolver_waiting();
		core_run(1);
		now = fake_resolver_waiting();
		most = now - before > most ? now - before : most;
	}
	assert_true(sources_is_settled(core.worker.sources));
	assert_int_equal(fake_resolver_waiting(), 1000);
	assert_in_range(most, 1, 25);
	fake_resolver_answer(ENOENT);
	fake_resolver_fail(0);
}

static void a_change_before_the_last_one_is_taken_over_is_no_harm(void **s)
{
	(void)s;

	many_agents(1000);
	agent_add("z.example", "trunk", "5060");
	fake_name("z.example", "127.0.0.21:5060", NULL);
	start();
	core_run(7000);
	change(NULL);
	change(disable);
	change(disable);
	assert_true(is_agent("127.0.0.21:5060", NULL));
	core_run(7000);
	assert_true(is_agent("127.0.0.21:5060", NULL));
}

/* Triggered mode (behaviour.md 4.8): whoever speaks from there wakes it up */
static void a_pbx_that_only_dns_knows_is_active_when_it_speaks(void **s)
{
	struct surrogate_agent *agent;
	(void)s;

	agent = config_add(core.cfg, &element_surrogate_agent, "register-host",
			   "trunk.example", "register-user", "1", "realm-id",
			   "pbx-a", "customer-next-hop", "pbx.local.example",
			   "register-mode", "triggered", NULL);
	fake_name("pbx.local.example", "127.0.0.13:5060", NULL);
	start();
	pbx_b.port = pbx.port;
	assert_int_equal(surrogates_silent(core.worker.surrogates, agent), 503);
	peer_calls(&pbx, "sip:127.0.0.2", NULL, NULL);
	assert_int_equal(surrogates_silent(core.worker.surrogates, agent), 503);
	peer_calls(&pbx_b, "sip:127.0.0.2", NULL, NULL);
	assert_int_equal(surrogates_silent(core.worker.surrogates, agent), 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, core_setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_name_has_all_addresses_that_dns_gives),
		T(another_realm_or_a_disabled_one_is_nobody),
		T(of_several_the_realm_the_port_and_the_name_decide),
		T(addresses_follow_dns_and_stay_while_it_is_silent),
		T(a_late_answer_counts_when_it_comes),
		T(a_customer_next_hop_that_is_a_name_is_known_by_its_address),
		T(a_pbx_is_met_by_name_in_its_realm_and_below),
		T(who_is_known_stays_so_while_another_plan_is_taken_over),
		T(who_is_gone_or_asked_for_otherwise_is_unknown_at_once),
		T(of_many_names_a_few_are_asked_for_in_a_turn),
		T(a_change_before_the_last_one_is_taken_over_is_no_harm),
		T(a_pbx_that_only_dns_knows_is_active_when_it_speaks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
