/*
 * Which credentials answer a challenge: a test for each row of behaviour.md 6.1
 */
#include "config_fixture.h"
#include "policy/credential.h"

/* Agent A, its trunk, its PBX; each with entries of its own */
struct fixture {
	struct config *cfg;
	struct surrogate_agent *agent;
	struct session_agent *trunk, *pbx;
	struct credential_query q;
	struct credential_choice c;
};

static int setup(void **state)
{
	static struct fixture f;

	memset(&f, 0, sizeof(f));
	f.cfg = config_new();
	f.agent = config_add(f.cfg, &element_surrogate_agent, "register-host",
			     "a.trunk.example", "register-user", "4930",
			     "realm-id", "pbx-a", "customer-next-hop",
			     "pbx.example", "auth-user", "reg-a", "password",
			     "p", NULL);
	f.trunk = config_add(f.cfg, &element_session_agent, "hostname",
			     "trunk.example", NULL);
	f.pbx = config_add(f.cfg, &element_session_agent, "hostname",
			   "pbx.example", NULL);
	f.q.method = pl_text("INVITE");
	f.q.auth_realm = pl_text("trunk.example");
	f.q.egress_realm = "trunk";
	f.q.egress = f.trunk;
	f.q.ingress = f.pbx;
	*state = &f;

	return 0;
}

static int teardown(void **state)
{
	config_give(((struct fixture *)*state)->cfg);

	return 0;
}

static struct auth_attribute *entry(struct session_agent *agent,
				    const char *auth_realm, const char *user)
{
	return item_add(&agent->auth_attributes, &element_agent_auth_attribute,
			"auth-realm", auth_realm, "username", user, NULL);
}

static void choose(struct fixture *f, const char *row)
{
	credential_choose(&f->q, BY_REGISTER, &f->c);
	assert_string_equal(f->c.row, row);
}

static void owned(struct fixture *f)
{
	f->q.owner.agent = f->agent;
	f->q.to_registrar = true;
}

static void row_1a_a_register_is_answered_by_its_agent(void **state)
{
	struct fixture *f = *state;

	f->q.registering = f->agent;
	f->q.method = pl_text("REGISTER");
	f->q.realm = "trunk";
	f->q.lookup = "tenA";
	entry(f->trunk, "trunk.example", "t1");
	choose(f, "1a");
	assert_int_equal(f->c.by, BY_REGISTER);
	assert_true(f->c.of_agent);
	assert_null(f->c.realm);
	assert_null(f->c.entry);
}

static void row_1a_or_by_its_aor(void **state)
{
	struct fixture *f = *state;

	item_set(&element_surrogate_agent, f->agent, "password", "");
	f->q.registering = f->agent;
	f->q.aor_credentials = true;
	choose(f, "1a");
	assert_true(f->c.of_agent);
}

static void row_1b_without_a_password_nothing_else_answers(void **state)
{
	struct fixture *f = *state;

	item_set(&element_surrogate_agent, f->agent, "password", "");
	f->q.registering = f->agent;
	f->q.lookup = "tenA";
	entry(f->trunk, "trunk.example", "t1");
	choose(f, "1b");
	assert_true(f->c.required);
	assert_false(f->c.of_agent);
	assert_null(f->c.realm);
	assert_null(f->c.entry);
}

static void row_2_a_lookup_of_the_route_comes_before_all(void **state)
{
	struct fixture *f = *state;

	owned(f);
	f->q.realm = "trunk";
	f->q.lookup = "tenA";
	entry(f->trunk, "trunk.example", "t1");
	choose(f, "2");
	assert_int_equal(f->c.by, BY_POLICY);
	assert_string_equal(f->c.realm, "trunk");
	assert_string_equal(f->c.lookup, "tenA");
	assert_false(f->c.of_agent);
	assert_null(f->c.entry);
}

static void row_2c_without_an_entry_the_call_fails(void **state)
{
	struct fixture *f = *state;

	f->q.realm = "trunk";
	f->q.lookup = "tenB";
	choose(f, "2");
	assert_true(f->c.required);
}

static void row_2c_with_fallback_the_search_goes_on_behind_it(void **state)
{
	struct fixture *f = *state;

	owned(f);
	f->q.realm = "trunk";
	f->q.lookup = "tenB";
	credential_choose(&f->q, BY_POLICY, &f->c);
	assert_string_equal(f->c.row, "3a");
	assert_true(f->c.of_agent);
}

static void row_3a_the_owner_answers_its_registrar(void **state)
{
	struct fixture *f = *state;

	owned(f);
	entry(f->trunk, "trunk.example", "t1");
	choose(f, "3a");
	assert_int_equal(f->c.by, BY_SURROGATE);
	assert_true(f->c.of_agent);
	assert_false(f->c.required);
}

static void row_3a_never_answers_anybody_else(void **state)
{
	struct fixture *f = *state;

	owned(f);
	f->q.to_registrar = false;
	choose(f, "5");
	assert_false(f->c.of_agent);
}

static void row_3b_a_lookup_of_the_agent_is_fetched_in_the_egress_realm(
	void **state)
{
	struct fixture *f = *state;

	owned(f);
	item_set(&element_surrogate_agent, f->agent, "auth-user-lookup", "own");
	choose(f, "3b");
	assert_string_equal(f->c.realm, "trunk");
	assert_string_equal(f->c.lookup, "own");
	assert_false(f->c.of_agent);
}

static void row_3c_without_an_entry_it_fails_and_falls_back_to_4a(void **state)
{
	struct fixture *f = *state;

	owned(f);
	item_set(&element_surrogate_agent, f->agent, "auth-user-lookup", "own");
	entry(f->trunk, "trunk.example", "t1");
	choose(f, "3b");
	assert_true(f->c.required);
	credential_choose(&f->q, BY_SURROGATE, &f->c);
	assert_string_equal(f->c.row, "4a");
}

static void row_3d_a_method_outside_of_auth_methods_is_not_the_agents(
	void **state)
{
	struct fixture *f = *state;

	owned(f);
	item_set(&element_surrogate_agent, f->agent, "auth-methods", "INVITE");
	choose(f, "3a");
	f->q.method = pl_text("BYE");
	choose(f, "5");
	entry(f->trunk, "trunk.example", "t1");
	choose(f, "4a");
}

static void row_3d_without_a_password_the_pbxs_entries_are_ignored(void **state)
{
	struct fixture *f = *state;

	owned(f);
	item_set(&element_surrogate_agent, f->agent, "password", "");
	entry(f->pbx, "trunk.example", "p1");
	choose(f, "5");
	entry(f->trunk, "trunk.example", "t1");
	choose(f, "4a");
}

static void row_4a_the_exact_realm_comes_before_the_star(void **state)
{
	struct fixture *f = *state;
	struct auth_attribute *star = entry(f->trunk, "*", "any");
	struct auth_attribute *exact;

	entry(f->trunk, "other.example", "x");
	choose(f, "4a");
	assert_ptr_equal(f->c.entry, star);
	exact = entry(f->trunk, "trunk.example", "t1");
	choose(f, "4a");
	assert_ptr_equal(f->c.entry, exact);
	assert_int_equal(f->c.by, BY_EGRESS);
}

static void row_4a_realms_are_compared_byte_by_byte(void **state)
{
	struct fixture *f = *state;

	entry(f->trunk, "Trunk.Example", "t1");
	entry(f->trunk, "trunk.example ", "t2");
	choose(f, "5");
}

static void row_4b_the_ingress_agent_answers_its_exact_realm(void **state)
{
	struct fixture *f = *state;
	struct auth_attribute *p1 = entry(f->pbx, "trunk.example", "p1");

	choose(f, "4b");
	assert_ptr_equal(f->c.entry, p1);
	assert_int_equal(f->c.by, BY_INGRESS);
}

static void row_4b_never_takes_the_star(void **state)
{
	struct fixture *f = *state;

	entry(f->pbx, "*", "p1");
	choose(f, "5");
	f->q.auth_realm = pl_text("*");
	choose(f, "5");
}

static void row_5_nothing_fits(void **state)
{
	struct fixture *f = *state;

	f->q.egress = f->q.ingress = NULL;
	choose(f, "5");
	assert_int_equal(f->c.by, BY_NOBODY);
	assert_false(f->c.required);
	assert_string_equal(credential_by_name(f->c.by), "nobody");
}

/* 5.4: what a message says may be the name of anything, and selects nothing */
static void no_content_of_a_message_selects_a_lookup(void **state)
{
	static const char *const texts[] = {
		"tenA", "tenB", "trunk",           "pbx-a",       "reg-a",
		"4930", "",     "a.trunk.example", "pbx.example",
	};
	struct fixture *f = *state;

	owned(f);
	entry(f->trunk, "*", "any");
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); ++i) {
		f->q.auth_realm = pl_text(texts[i]);
		f->q.method = pl_text(texts[i]);
		f->q.to_registrar = true;
		choose(f, "3a");
		assert_null(f->c.lookup);
		f->q.to_registrar = false;
		choose(f, "4a");
		assert_null(f->c.lookup);
		assert_null(f->c.realm);
	}

	f->q.realm = "trunk";
	f->q.lookup = "tenA";
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); ++i) {
		f->q.auth_realm = pl_text(texts[i]);
		choose(f, "2");
		assert_ptr_equal(f->c.lookup, f->q.lookup);
		assert_ptr_equal(f->c.realm, f->q.realm);
	}
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(row_1a_a_register_is_answered_by_its_agent),
		T(row_1a_or_by_its_aor),
		T(row_1b_without_a_password_nothing_else_answers),
		T(row_2_a_lookup_of_the_route_comes_before_all),
		T(row_2c_without_an_entry_the_call_fails),
		T(row_2c_with_fallback_the_search_goes_on_behind_it),
		T(row_3a_the_owner_answers_its_registrar),
		T(row_3a_never_answers_anybody_else),
		T(row_3b_a_lookup_of_the_agent_is_fetched_in_the_egress_realm),
		T(row_3c_without_an_entry_it_fails_and_falls_back_to_4a),
		T(row_3d_a_method_outside_of_auth_methods_is_not_the_agents),
		T(row_3d_without_a_password_the_pbxs_entries_are_ignored),
		T(row_4a_the_exact_realm_comes_before_the_star),
		T(row_4a_realms_are_compared_byte_by_byte),
		T(row_4b_the_ingress_agent_answers_its_exact_realm),
		T(row_4b_never_takes_the_star),
		T(row_5_nothing_fits),
		T(no_content_of_a_message_selects_a_lookup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
