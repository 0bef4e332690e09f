/*
 * A configuration ready for use, and where agents register (behaviour.md 4.1)
 */
#include <errno.h>
#include "config_fixture.h"
#include "policy/plan.h"

struct fixture {
	struct config *cfg;
	const struct plan *plan;
	struct surrogate_agent *agent;
	struct sip_config *sip;
};

static int setup(void **state)
{
	static struct fixture f;

	memset(&f, 0, sizeof(f));
	f.cfg = config_new();
	realm_add(f.cfg, "pbx-a", "127.0.0.2");
	realm_add(f.cfg, "trunk", "127.0.0.1");
	realm_add(f.cfg, "core", "127.0.0.3");
	f.agent = config_add(f.cfg, &element_surrogate_agent, "register-host",
			     "a.trunk.example", "register-user", "493010^",
			     "aor-count", "10", "count-start", "0", "realm-id",
			     "pbx-a", "customer-next-hop", "127.0.0.12", NULL);
	f.sip = (struct sip_config *)config_single(f.cfg, &element_sip_config);
	item_set(&element_sip_config, f.sip, "egress-realm-id", "core");
	*state = &f;

	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	plan_give(f->plan);
	config_give(f->cfg);

	return 0;
}

static void policy_to(struct fixture *f, const char *to, const char *next_hop)
{
	struct local_policy *policy =
		config_add(f->cfg, &element_local_policy, "to-address", to,
			   "source-realm", "pbx-a", NULL);

	item_add(&policy->policy_attributes, &element_policy_attribute,
		 "next-hop", next_hop, "realm", "trunk", NULL);
}

static void assert_registrar(struct fixture *f, const char *next_hop,
			     const char *realm)
{
	struct hop hop;

	assert_int_equal(plan_alloc(&f->plan, f->cfg), 0);
	assert_int_equal(plan_registrar(f->plan, f->agent, &hop), 0);
	assert_string_equal(hop.next_hop, next_hop);
	assert_string_equal(hop.realm->config->identifier, realm);
}

static void agent_in(struct fixture *f, const char *hostname)
{
	config_add(f->cfg, &element_session_agent, "hostname", hostname,
		   "realm-id", "trunk", "ip-address", "127.0.0.11", NULL);
}

static void proxy_name_comes_first(void **state)
{
	struct fixture *f = *state;

	agent_in(f, "proxy.example");
	agent_in(f, "a.trunk.example");
	policy_to(f, "*", "policy.example");
	item_set(&element_surrogate_agent, f->agent, "proxy-name",
		 "proxy.example");
	assert_registrar(f, "proxy.example", "trunk");
}

static void then_the_session_agent_that_is_the_register_host(void **state)
{
	struct fixture *f = *state;

	agent_in(f, "A.Trunk.Example");
	policy_to(f, "*", "policy.example");
	assert_registrar(f, "a.trunk.example", "trunk");
}

static void then_the_policy_for_the_aor_from_its_realm(void **state)
{
	struct fixture *f = *state;

	policy_to(f, "a.trunk.example", "policy.example");
	policy_to(f, "999", "other.example");
	assert_registrar(f, "policy.example", "trunk");
}

static void a_policy_counts_outside_of_its_time_too(void **state)
{
	struct fixture *f = *state;

	policy_to(f, "4930100", "policy.example");
	item_set(&element_local_policy,
		 (void *)config_at(f->cfg, &element_local_policy, 0),
		 "deactivate-time", "2001-01-01 00:00:00");
	assert_registrar(f, "policy.example", "trunk");
}

static void a_policy_of_another_realm_does_not_count(void **state)
{
	struct fixture *f = *state;

	policy_to(f, "*", "policy.example");
	item_set(&element_local_policy,
		 (void *)config_at(f->cfg, &element_local_policy, 0),
		 "source-realm", "trunk");
	assert_registrar(f, "a.trunk.example", "core");
}

static void at_last_the_register_host_itself(void **state)
{
	assert_registrar(*state, "a.trunk.example", "core");
}

static void without_an_egress_realm_there_is_none(void **state)
{
	struct fixture *f = *state;
	struct hop hop;

	item_set(&element_sip_config, f->sip, "egress-realm-id", "");
	assert_int_equal(plan_alloc(&f->plan, f->cfg), 0);
	assert_int_equal(plan_registrar(f->plan, f->agent, &hop), ENOENT);
}

static void parents_in_a_circle_give_no_plan(void **state)
{
	struct fixture *f = *state;

	config_add(f->cfg, &element_realm_config, "identifier", "x",
		   "parent-realm", "x", NULL);
	assert_int_equal(plan_alloc(&f->plan, f->cfg), EINVAL);
	assert_null(f->plan);
}

static void a_plan_lives_until_the_last_reference(void **state)
{
	struct fixture *f = *state;
	const struct plan *second;

	assert_int_equal(plan_alloc(&f->plan, f->cfg), 0);
	second = plan_take(f->plan);
	plan_give(f->plan);
	assert_ptr_equal(second->sip, f->sip);
	assert_non_null(realm_named(second->realms, "trunk"));
	f->plan = second;
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(proxy_name_comes_first),
		T(then_the_session_agent_that_is_the_register_host),
		T(then_the_policy_for_the_aor_from_its_realm),
		T(a_policy_counts_outside_of_its_time_too),
		T(a_policy_of_another_realm_does_not_count),
		T(at_last_the_register_host_itself),
		T(without_an_egress_realm_there_is_none),
		T(parents_in_a_circle_give_no_plan),
		T(a_plan_lives_until_the_last_reference),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
