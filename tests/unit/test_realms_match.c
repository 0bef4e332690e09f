/*
 * Who a source is: realm, session-agent, customer next hop (behaviour.md 1.3)
 */
#include <errno.h>
#include "config_fixture.h"
#include "realms/match.h"

struct fixture {
	struct config *cfg;
	struct realms *realms;
	struct match *match;
	struct sip_interface *interface; /* of realm a */
};

static int setup(void **state)
{
	static struct fixture f;

	memset(&f, 0, sizeof(f));
	f.cfg = config_new();
	realm_add(f.cfg, "a", "127.0.0.1");
	realm_add(f.cfg, "b", "127.0.0.2");
	f.interface = (struct sip_interface *)config_at(
		f.cfg, &element_sip_interface, 0);
	*state = &f;

	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	mem_deref(f->match);
	mem_deref(f->realms);
	config_give(f->cfg);

	return 0;
}

static struct session_agent *agent(struct fixture *f, const char *hostname,
				   const char *address, const char *realm,
				   const char *port)
{
	return config_add(f->cfg, &element_session_agent, "hostname", hostname,
			  "ip-address", address, "realm-id", realm, "port",
			  port, NULL);
}

static void compile(struct fixture *f)
{
	if (f->match)
		return;
	assert_int_equal(realms_alloc(&f->realms, f->cfg), 0);
	assert_int_equal(match_alloc(&f->match, f->realms), 0);
}

static struct source from(struct fixture *f, const char *realm, const char *src)
{
	struct sa sa = sa_of(src);
	struct source out;

	compile(f);
	match_source(f->match, realm_named(f->realms, realm)->endpoints[0], &sa,
		     &out);

	return out;
}

static void assert_agent(const struct session_agent *a, const char *name)
{
	if (name)
		assert_string_equal(a ? a->hostname : "none", name);
	else
		assert_null(a);
}

static void an_agent_belongs_to_its_realm_or_to_any(void **state)
{
	struct fixture *f = *state;

	agent(f, "here.example", "10.0.0.1", "a", "5060");
	agent(f, "star.example", "10.0.0.2", "*", "5060");
	agent(f, "empty.example", "10.0.0.3", "", "5060");
	agent(f, "there.example", "10.0.0.4", "b", "5060");
	item_set(&element_session_agent,
		 agent(f, "off.example", "10.0.0.5", "a", "5060"), "state",
		 "disabled");
	agent(f, "10.0.0.6", "", "a", "5060");
	agent(f, "name.example", "", "a", "5060");
	assert_agent(from(f, "a", "10.0.0.1:999").agent, "here.example");
	assert_agent(from(f, "a", "10.0.0.2").agent, "star.example");
	assert_agent(from(f, "a", "10.0.0.3").agent, "empty.example");
	assert_agent(from(f, "a", "10.0.0.4").agent, NULL);
	assert_agent(from(f, "a", "10.0.0.5").agent, NULL);
	assert_agent(from(f, "a", "10.0.0.6").agent, "10.0.0.6");
	assert_agent(from(f, "a", "10.0.0.7").agent, NULL);
	assert_agent(from(f, "b", "10.0.0.4").agent, "there.example");
}

static void several_at_one_address_are_told_apart(void **state)
{
	struct fixture *f = *state;

	agent(f, "a-star.example", "10.0.0.1", "*", "5070");
	agent(f, "z-here.example", "10.0.0.1", "a", "5060");
	agent(f, "m-here.example", "10.0.0.1", "a", "5080");
	/* its realm first, then the source port, then the name */
	assert_agent(from(f, "a", "10.0.0.1:5070").agent, "m-here.example");
	assert_agent(from(f, "a", "10.0.0.1:5060").agent, "z-here.example");
	assert_agent(from(f, "a", "10.0.0.1:5080").agent, "m-here.example");
	assert_agent(from(f, "b", "10.0.0.1:5060").agent, "a-star.example");
}

static void a_child_is_named_by_agent_then_longest_prefix(void **state)
{
	struct fixture *f = *state;

	config_add(f->cfg, &element_realm_config, "identifier", "wide",
		   "parent-realm", "a", "addr-prefix", "10.0.0.0/8", NULL);
	config_add(f->cfg, &element_realm_config, "identifier", "narrow",
		   "parent-realm", "a", "addr-prefix", "172.16.0.0/12",
		   "additional-prefixes", "10.1.0.0/16 2001:db8::/32", NULL);
	agent(f, "pbx.example", "10.1.0.9", "wide", "5060");
	assert_string_equal(from(f, "a", "10.2.0.1").realm->config->identifier,
			    "wide");
	assert_string_equal(from(f, "a", "10.1.0.1").realm->config->identifier,
			    "narrow");
	assert_string_equal(
		from(f, "a", "2001:db8::7").realm->config->identifier,
		"narrow");
	assert_string_equal(from(f, "a", "10.1.0.9").realm->config->identifier,
			    "wide");
	assert_agent(from(f, "a", "10.1.0.9").agent, "pbx.example");
	assert_string_equal(from(f, "a", "11.0.0.1").realm->config->identifier,
			    "a");
	assert_string_equal(from(f, "b", "10.1.0.1").realm->config->identifier,
			    "b");
}

static void prefixes_of_the_realm_are_told(void **state)
{
	struct fixture *f = *state;
	struct realm_config *a = (struct realm_config *)config_at(
		f->cfg, &element_realm_config, 0);

	item_set(&element_realm_config, a, "addr-prefix", "10.0.0.0/8");
	item_set(&element_realm_config, a, "additional-prefixes",
		 "192.0.2.0/24");
	assert_true(from(f, "a", "10.1.1.1").in_prefix);
	assert_true(from(f, "a", "192.0.2.9").in_prefix);
	assert_false(from(f, "a", "192.0.3.9").in_prefix);
	assert_false(from(f, "a", "2001:db8::1").in_prefix);
	assert_true(from(f, "b", "2001:db8::1").in_prefix);
}

static void surrogate(struct fixture *f, const char *user, const char *next_hop)
{
	config_add(f->cfg, &element_surrogate_agent, "register-host", "x",
		   "register-user", user, "realm-id", "a", "customer-next-hop",
		   next_hop, NULL);
}

static void customer_next_hops_are_known_in_their_realm(void **state)
{
	struct fixture *f = *state;

	agent(f, "pbx.example", "10.0.0.1", "b", "5060");
	surrogate(f, "1", "10.0.0.2:5070");
	surrogate(f, "2", "pbx.example");
	surrogate(f, "3", "unknown.example");
	assert_true(from(f, "a", "10.0.0.2").next_hop);
	assert_true(from(f, "a", "10.0.0.1").next_hop);
	assert_false(from(f, "b", "10.0.0.2").next_hop);
	assert_false(from(f, "a", "10.0.0.3").next_hop);
}

static void agents_are_found_by_name_in_any_spelling(void **state)
{
	struct fixture *f = *state;
	struct pl upper = PL("PBX.Example"), none = PL("pbx");
	struct pl v6 = PL("2001:0DB8:0:0::1");

	agent(f, "pbx.example", "10.0.0.1", "a", "5060");
	agent(f, "2001:db8::1", "", "a", "5060");
	compile(f);
	assert_agent(match_agent(f->match, &upper), "pbx.example");
	assert_agent(match_agent(f->match, &v6), "2001:db8::1");
	assert_agent(match_agent(f->match, &none), NULL);
}

static void agents_are_found_by_address_in_their_realm_first(void **state)
{
	struct fixture *f = *state;
	struct sa any = sa_of("10.0.0.1"), other = sa_of("10.0.0.1:5099");
	struct sa off = sa_of("10.0.0.5");
	const struct realm *a, *b;

	agent(f, "a-star.example", "10.0.0.1", "*", "5060");
	agent(f, "z-here.example", "10.0.0.1", "a", "5060");
	item_set(&element_session_agent,
		 agent(f, "off.example", "10.0.0.5", "a", "5060"), "state",
		 "disabled");
	compile(f);
	a = realm_named(f->realms, "a");
	b = realm_named(f->realms, "b");
	assert_agent(match_agent_at(f->match, a, &any), "z-here.example");
	assert_agent(match_agent_at(f->match, b, &any), "a-star.example");
	assert_agent(match_agent_at(f->match, a, &other), NULL);
	assert_agent(match_agent_at(f->match, a, &off), NULL);
	assert_agent(match_agent_towards(f->match, a, &off), "off.example");
}

/* who: S a session-agent, H a customer next hop, P inside a prefix, X nobody */
static void allow_anonymous_lets_in_whom_it_names(void **state)
{
	/* clang-format off */
	static const struct {
		const char *word; char who; bool reg, known, allowed;
	} rows[] = {
		{ "all",             'X', false, false, true  },
		{ "agents-only",     'S', false, false, true  },
		{ "agents-only",     'H', false, false, true  },
		{ "agents-only",     'P', false, false, false },
		{ "agents-only",     'X', true,  true,  false },
		{ "realm-prefix",    'S', false, false, true  },
		{ "realm-prefix",    'P', false, false, true  },
		{ "realm-prefix",    'X', false, true,  false },
		{ "registered",      'S', false, false, true  },
		{ "registered",      'X', false, true,  true  },
		{ "registered",      'P', false, false, false },
		{ "registered",      'X', true,  false, true  },
		{ "register-prefix", 'X', true,  false, false },
		{ "register-prefix", 'P', true,  false, true  },
		{ "register-prefix", 'P', false, false, false },
		{ "register-prefix", 'X', false, true,  true  },
		{ "register-prefix", 'S', true,  false, true  },
	};
	/* clang-format on */
	struct fixture *f = *state;
	struct session_agent *pbx = agent(f, "p", "10.0.0.1", "a", "5060");
	const struct endpoint *at;

	compile(f);
	at = realm_named(f->realms, "a")->endpoints[0];
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); ++i) {
		struct source source = { .realm = at->realm };

		item_set(&element_sip_port, f->interface->sip_ports.v[0],
			 "allow-anonymous", rows[i].word);
		source.agent = rows[i].who == 'S' ? pbx : NULL;
		source.next_hop = rows[i].who == 'H';
		source.in_prefix = rows[i].who == 'P';
		if (match_allows(at, &source, rows[i].reg, rows[i].known) !=
		    rows[i].allowed)
			fail_msg("%s %c", rows[i].word, rows[i].who);
	}
}

/* who: T a trusted session-agent, S one that is not, P prefix, R registered */
static void trust_mode_trusts_whom_it_names(void **state)
{
	/* clang-format off */
	static const struct { const char *word, *trusted; } rows[] = {
		{ "all", "TSPRX" }, { "agents-only", "T" },
		{ "realm-prefix", "TP" }, { "registered", "TR" },
		{ "none", "" },
	};
	/* clang-format on */
	struct fixture *f = *state;
	struct session_agent *t = agent(f, "t", "10.0.0.1", "a", "5060");
	struct session_agent *s = agent(f, "s", "10.0.0.2", "a", "5060");
	struct realm_config *config;
	const struct realm *realm;

	item_set(&element_session_agent, t, "trust-me", "enabled");
	compile(f);
	realm = realm_named(f->realms, "a");
	config = (struct realm_config *)(uintptr_t)realm->config;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); ++i) {
		item_set(&element_sip_interface, f->interface, "trust-mode",
			 rows[i].word);
		for (const char *who = "TSPRX"; *who; ++who) {
			struct source source = { .realm = realm };
			bool want = strchr(rows[i].trusted, *who) != NULL;

			source.agent = *who == 'T' ? t : *who == 'S' ? s : NULL;
			source.in_prefix = *who == 'P';
			source.registered = *who == 'R';
			if (match_trusts(realm, &source) != want)
				fail_msg("%s %c", rows[i].word, *who);
			if (match_tells(realm, &source) != want)
				fail_msg("told: %s %c", rows[i].word, *who);
			config->pai_strip = true;
			if (match_tells(realm, &source) !=
			    (want && *who == 'T'))
				fail_msg("strip: %s %c", rows[i].word, *who);
			config->pai_strip = false;
		}
	}
}

static void a_side_is_its_agents_and_its_prefixes_but_not_the_world(
	void **state)
{
	static const struct {
		const char *prefix, *addr;
		bool is;
	} rows[] = {
		{ "0.0.0.0", "10.0.0.1", true },  /* its session-agent */
		{ "0.0.0.0", "10.0.0.2", false }, /* one of any realm */
		{ "0.0.0.0", "10.0.0.3", false }, /* the world names nobody */
		{ "10.7.0.0/16", "10.7.1.1", true },
		{ "10.7.0.0/16", "10.8.1.1", false },
		{ "10.7.0.0/16", "10.0.0.1", true },
	};
	struct fixture *f = *state;
	struct realm_config *config;
	const struct realm *realm;

	agent(f, "own", "10.0.0.1", "a", "5060");
	agent(f, "any", "10.0.0.2", "*", "5060");
	compile(f);
	realm = realm_named(f->realms, "a");
	config = (struct realm_config *)(uintptr_t)realm->config;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); ++i) {
		struct sa sa;

		item_set(&element_realm_config, config, "addr-prefix",
			 rows[i].prefix);
		assert_int_equal(sa_set_str(&sa, rows[i].addr, 0), 0);
		if (match_is_side(f->match, realm, &sa) != rows[i].is)
			fail_msg("row %zu", i);
	}
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(an_agent_belongs_to_its_realm_or_to_any),
		T(several_at_one_address_are_told_apart),
		T(a_child_is_named_by_agent_then_longest_prefix),
		T(prefixes_of_the_realm_are_told),
		T(customer_next_hops_are_known_in_their_realm),
		T(agents_are_found_by_name_in_any_spelling),
		T(agents_are_found_by_address_in_their_realm_first),
		T(allow_anonymous_lets_in_whom_it_names),
		T(trust_mode_trusts_whom_it_names),
		T(a_side_is_its_agents_and_its_prefixes_but_not_the_world),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
