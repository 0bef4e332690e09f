/*
 * Who names an object is found, follows its new name, or goes with it
 */
#include <errno.h>
#include "config_fixture.h"
#include "cli/users.h"

/* Two realms; an interface and a pool of each; an agent; a policy from both */
static struct config *estate(void)
{
	struct config *cfg = config_new();
	struct names_of {
		const char *realm, *address;
	} rows[] = { { "a", "192.0.2.1" }, { "b", "192.0.2.2" } };

	for (int i = 0; i < 2; i++) {
		config_add(cfg, &element_realm_config, "identifier",
			   rows[i].realm, NULL);
		config_add(cfg, &element_sip_interface, "realm-id",
			   rows[i].realm, NULL);
		config_add(cfg, &element_steering_pool, "ip-address",
			   rows[i].address, "start-port", "20000", "end-port",
			   "20999", "realm-id", rows[i].realm, NULL);
	}
	config_add(cfg, &element_session_agent, "hostname", "sw.example",
		   "realm-id", "b", NULL);
	config_add(cfg, &element_local_policy, "source-realm", "a b",
		   "to-address", "49", NULL);
	return cfg;
}

static uint32_t users_of(const struct config *cfg, const struct element *type,
			 const char *name)
{
	return users_walk(cfg, type, name, NULL, NULL);
}

static const void *at_key(const struct config *cfg, const struct element *type,
			  const char *key)
{
	struct pl pl;

	pl_set_str(&pl, key);
	return config_find(cfg, type, &pl);
}

static void users_are_counted_by_parameter(void **s)
{
	struct config *cfg = estate();
	(void)s;

	assert_int_equal(users_of(cfg, &element_realm_config, "a"), 3);
	assert_int_equal(users_of(cfg, &element_realm_config, "b"), 4);
	assert_int_equal(users_of(cfg, &element_realm_config, "c"), 0);
	config_give(cfg);
}

static void a_new_name_reaches_lists_and_keys(void **s)
{
	struct config *cfg = estate(), *after = NULL;
	const struct local_policy *policy;
	(void)s;

	assert_int_equal(
		users_rename(&after, cfg, &element_realm_config, "a", "tenant"),
		0);
	assert_int_equal(users_of(after, &element_realm_config, "a"), 0);
	assert_int_equal(users_of(after, &element_realm_config, "tenant"), 3);
	assert_non_null(at_key(after, &element_sip_interface, "tenant"));
	assert_null(at_key(after, &element_sip_interface, "a"));
	policy = config_at(after, &element_local_policy, 0);
	assert_string_equal(policy->source_realm.v[0], "tenant");
	assert_string_equal(policy->source_realm.v[1], "b");
	/* The one before is as it was */
	assert_int_equal(users_of(cfg, &element_realm_config, "a"), 3);
	config_give(after);
	config_give(cfg);
}

static void who_cannot_be_without_it_goes_and_the_others_let_go(void **s)
{
	struct config *cfg = estate(), *after = NULL;
	const struct local_policy *policy;
	(void)s;

	assert_int_equal(
		users_rename(&after, cfg, &element_realm_config, "b", NULL), 0);
	assert_int_equal(users_of(after, &element_realm_config, "b"), 0);
	assert_int_equal(config_count(after, &element_sip_interface), 1);
	assert_int_equal(config_count(after, &element_steering_pool), 1);
	policy = config_at(after, &element_local_policy, 0);
	assert_int_equal(policy->source_realm.n, 1);
	assert_string_equal(policy->source_realm.v[0], "a");
	config_give(after);
	config_give(cfg);
}

static void a_policy_whose_last_realm_goes_is_not_left_for_all(void **s)
{
	struct config *cfg = estate(), *one = NULL, *none = NULL;
	(void)s;

	assert_int_equal(
		users_rename(&one, cfg, &element_realm_config, "b", NULL), 0);
	assert_int_equal(
		users_rename(&none, one, &element_realm_config, "a", NULL), 0);
	assert_int_equal(config_count(none, &element_local_policy), 0);
	config_give(none);
	config_give(one);
	config_give(cfg);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(users_are_counted_by_parameter),
		cmocka_unit_test(a_new_name_reaches_lists_and_keys),
		cmocka_unit_test(
			who_cannot_be_without_it_goes_and_the_others_let_go),
		cmocka_unit_test(
			a_policy_whose_last_realm_goes_is_not_left_for_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
