/*
 * Which policies a request may take, and in which order
 *
 * One row for each line of behaviour.md 2.2 and 2.3.
 */
#include <errno.h>
#include "config_fixture.h"
#include "policy/plan.h"

struct fixture {
	struct config *cfg;
	const struct plan *plan;
};

static void *policy(struct config *cfg, const char *from, const char *to,
		    const char *realm)
{
	return config_add(cfg, &element_local_policy, "from-address", from,
			  "to-address", to, "source-realm", realm, NULL);
}

static struct policy_attribute *leads(struct local_policy *policy,
				      const char *next_hop)
{
	return item_add(&policy->policy_attributes, &element_policy_attribute,
			"next-hop", next_hop, "realm", "trunk", NULL);
}

static void set(struct policy_attribute *a, const char *name, const char *text)
{
	item_set(&element_policy_attribute, a, name, text);
}

static int setup(void **state)
{
	static struct fixture f;

	memset(&f, 0, sizeof(f));
	f.cfg = config_new();
	realm_add(f.cfg, "a", "127.0.0.2");
	realm_add(f.cfg, "b", "127.0.0.3");
	realm_add(f.cfg, "trunk", "127.0.0.1");
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

/* The next row begins with a fixture of its own */
static void anew(void **state)
{
	teardown(state);
	setup(state);
}

struct question {
	const char *realm, *from, *to, *method;
	struct local_time now;
	const struct pl *codecs;
	uint32_t codecs_n;
	const struct session_agent *agent;
	const char *called, *asserted;
};

/* A Wednesday noon */
static const struct local_time noon = { .now = 20270106120000,
					.of_day = 1200,
					.weekday = 3 };

static struct uri uri_of(const char *text)
{
	struct pl pl = pl_text(text);
	struct uri uri;

	assert_int_equal(uri_read(&uri, &pl), 0);

	return uri;
}

static int ask(struct fixture *f, const struct question *question,
	       struct route *out)
{
	struct uri from = uri_of(question->from ? question->from
						: "sip:4930100@pbx.local");
	struct uri to = uri_of(question->to ? question->to
					    : "sip:4930123456@sbc.local");
	struct route_query q = { .from = &from,
				 .to = &to,
				 .now = question->now,
				 .codecs = question->codecs,
				 .codecs_n = question->codecs_n,
				 .agent = question->agent };
	struct uri called, asserted;

	if (question->called) {
		called = uri_of(question->called);
		q.called = &called;
	}
	if (question->asserted) {
		asserted = uri_of(question->asserted);
		q.asserted = &asserted;
	}
	if (!f->plan)
		assert_int_equal(plan_alloc(&f->plan, f->cfg), 0);
	if (!q.now.now)
		q.now = noon;
	q.method = pl_text(question->method ? question->method : "INVITE");
	q.realm = realm_named(f->plan->realms,
			      question->realm ? question->realm : "a");
	if (!question->realm || strcmp(question->realm, "*"))
		assert_non_null(q.realm);

	return route_find(f->plan->routes, &q, out);
}

/* The next hops of a default question, parted by blanks */
static void assert_hops_of(struct fixture *f, const struct question *q,
			   const char *expected)
{
	struct route route = { .n = 0 };
	char text[1024] = "";
	int err = ask(f, q, &route);

	assert_int_equal(err, expected[0] ? 0 : ENOENT);
	for (uint32_t i = 0; i < route.n; ++i) {
		strcat(text, i ? " " : "");
		strcat(text, route.hops[i].next_hop);
	}
	assert_string_equal(text, expected);
}

static void assert_hops(struct fixture *f, const char *expected)
{
	const struct question q = { 0 };

	assert_hops_of(f, &q, expected);
}

/* --- 2.2 --- */

static void addresses_match_as_the_table_says(void **state)
{
	/* clang-format off */
	static const struct { const char *pattern, *to; bool matches; } rows[] = {
		{ "*",             "sip:anonymous@x.example",     true  },
		{ "*",             "sip:x.example",               true  },
		{ "123",           "sip:1234567@x",               true  },
		{ "123",           "sip:21234@x",                 false },
		{ "123",           "sip:1-2.3(4)@x",              true  },
		{ "12-3",          "sip:1234@x",                  true  },
		{ "+4930",         "sip:+49301@x",                true  },
		{ "+4930",         "sip:49301@x",                 false },
		{ "4930",          "sip:+49301@x",                false },
		{ "4930",          "tel:4930-12",                 true  },
		{ "+4930",         "sip:%2B49301@x",              true  },
		{ "123*456",       "sip:123000456@x",             true  },
		{ "123*456",       "sip:123456@x",                true  },
		{ "123*456",       "sip:12345@x",                 false },
		{ "123*345",       "sip:12345@x",                 false },
		{ "123*456",       "sip:1234567@x",               false },
		{ "a.example",     "sip:1@A.Example:5070",        true  },
		{ "a.example",     "sip:1@b.a.example",           false },
		{ ".a.example",    "sip:1@b.a.example",           true  },
		{ ".a.example",    "sip:1@c.b.A.example",         true  },
		{ ".a.example",    "sip:1@a.example",             false },
		{ ".a.example",    "sip:1@xa.example",            false },
		{ "127.0.0.9",     "sip:1@127.0.0.9:5070",        true  },
		{ "127.0.0.9",     "sip:1@127.0.0.8",             false },
		{ "2001:db8::1",   "sip:1@[2001:DB8:0::1]",       true  },
		{ "bob@a.example", "sip:bob@A.example",           true  },
		{ "bob@a.example", "sip:bobby@a.example",         false },
		{ "bob@a.example", "sip:bob@b.example",           false },
		{ "493@127.0.0.9", "sip:4-93@127.0.0.9",          true  },
	};
	/* clang-format on */

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); ++i) {
		const struct question q = { .to = rows[i].to };
		struct route route = { .n = 0 };
		int err;

		anew(state);
		leads(policy(((struct fixture *)*state)->cfg, "*",
			     rows[i].pattern, "a"),
		      "t.example");
		err = ask(*state, &q, &route);
		if ((err == 0) != rows[i].matches)
			print_error("%s %s\n", rows[i].pattern, rows[i].to);
		assert_int_equal(err, rows[i].matches ? 0 : ENOENT);
	}
}

static void a_realm_sees_only_its_own_policies(void **state)
{
	struct fixture *f = *state;
	const struct question b = { .realm = "b" }, c = { .realm = "trunk" };

	leads(policy(f->cfg, "*", "4930", "a"), "a.example");
	leads(policy(f->cfg, "*", "4930", "b"), "b.example");
	leads(policy(f->cfg, "*", "493", "a b"), "both.example");
	leads(policy(f->cfg, "*", "49", "*"), "all.example");
	assert_hops(f, "a.example both.example all.example");
	assert_hops_of(f, &b, "b.example both.example all.example");
	assert_hops_of(f, &c, "all.example");
}

/* As test-policy asks with source-realm `*` */
static void from_any_realm_all_policies_are_seen_once(void **state)
{
	struct fixture *f = *state;
	const struct question any = { .realm = "*" };

	leads(policy(f->cfg, "*", "4930", "a"), "a.example");
	leads(policy(f->cfg, "*", "4930", "b"), "b.example");
	leads(policy(f->cfg, "*", "493", "a b"), "both.example");
	leads(policy(f->cfg, "*", "49", "*"), "all.example");
	leads(policy(f->cfg, "*", "5", "b"), "other.example");
	assert_hops_of(f, &any, "a.example b.example both.example all.example");
}

static void what_is_disabled_is_no_candidate(void **state)
{
	struct fixture *f = *state;
	struct local_policy *off = policy(f->cfg, "*", "4930", "a");

	leads(off, "off.example");
	item_set(&element_local_policy, off, "state", "disabled");
	set(leads(policy(f->cfg, "*", "493", "a"), "off2.example"), "state",
	    "disabled");
	leads(policy(f->cfg, "*", "49", "a"), "on.example");
	assert_hops(f, "on.example");
}

static void a_policy_lives_from_activate_time_to_deactivate_time(void **state)
{
	/* clang-format off */
	static const struct { stamp now; int err; } rows[] = {
		{ 20270105235959, ERANGE }, { 20270106000000, 0 },
		{ 20270106235959, 0 }, { 20270107000000, ERANGE },
	};
	/* clang-format on */
	struct fixture *f = *state;
	struct local_policy *p = policy(f->cfg, "*", "*", "a");
	struct route route;

	leads(p, "t.example");
	item_set(&element_local_policy, p, "activate-time",
		 "2027-01-06 00:00:00");
	item_set(&element_local_policy, p, "deactivate-time",
		 "2027-01-07 00:00:00");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); ++i) {
		struct question q = { .now = noon };

		q.now.now = rows[i].now;
		assert_int_equal(ask(f, &q, &route), rows[i].err);
	}
}

static void a_window_holds_its_start_and_not_its_end(void **state)
{
	/* clang-format off */
	static const struct {
		const char *days, *start, *end;
		hhmm of_day; uint8_t weekday; bool holiday; bool fits;
	} rows[] = {
		{ "U-S", "0000", "2400", 0,    0, false, true  },
		{ "U-S", "0000", "2400", 2359, 6, false, true  },
		{ "U-S", "0800", "1700", 759,  3, false, false },
		{ "U-S", "0800", "1700", 800,  3, false, true  },
		{ "U-S", "0800", "1700", 1659, 3, false, true  },
		{ "U-S", "0800", "1700", 1700, 3, false, false },
		{ "M-F", "0000", "2400", 1200, 0, false, false },
		{ "M-F", "0000", "2400", 1200, 1, false, true  },
		{ "M-F", "0000", "2400", 1200, 6, false, false },
		{ "M-F", "0000", "2400", 1200, 1, true,  true  },
		{ "H",   "0000", "2400", 1200, 1, true,  true  },
		{ "H",   "0000", "2400", 1200, 1, false, false },
		{ "U,H", "0000", "2400", 1200, 1, true,  true  },
	};
	/* clang-format on */

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); ++i) {
		struct question q = { .now = noon };
		struct policy_attribute *a;
		struct route route;

		anew(state);
		a = leads(
			policy(((struct fixture *)*state)->cfg, "*", "*", "a"),
			"t.example");
		set(a, "days-of-week", rows[i].days);
		set(a, "start-time", rows[i].start);
		set(a, "end-time", rows[i].end);
		q.now.of_day = rows[i].of_day;
		q.now.weekday = rows[i].weekday;
		q.now.holiday = rows[i].holiday;
		assert_int_equal(ask(*state, &q, &route),
				 rows[i].fits ? 0 : ERANGE);
	}
}

static void methods_that_are_not_listed_pass_by(void **state)
{
	struct fixture *f = *state;
	const struct question message = { .method = "MESSAGE" };
	struct policy_attribute *a =
		leads(policy(f->cfg, "*", "4930", "a"), "invite.example");

	set(a, "methods", "INVITE BYE");
	leads(policy(f->cfg, "*", "493", "a"), "all.example");
	assert_hops(f, "invite.example all.example");
	assert_hops_of(f, &message, "all.example");
}

static void a_carrier_must_be_in_each_list_that_is_not_empty(void **state)
{
	struct fixture *f = *state;
	const struct session_agent *pbx = config_add(
		f->cfg, &element_session_agent, "hostname", "pbx.example",
		"realm-id", "a", "carriers", "red blue", NULL);
	const struct question from_pbx = { .agent = pbx };

	config_add(f->cfg, &element_session_agent, "hostname", "t.example",
		   "realm-id", "trunk", "carriers", "blue green", NULL);
	set(leads(policy(f->cfg, "*", "493012", "a"), "red.example"), "carrier",
	    "red");
	set(leads(policy(f->cfg, "*", "49301", "a"), "green.example"),
	    "carrier", "green");
	set(leads(policy(f->cfg, "*", "4930", "a"), "t.example"), "carrier",
	    "blue");
	assert_hops(f, "red.example green.example t.example");
	assert_hops_of(f, &from_pbx, "red.example t.example");
}

static void the_egress_realm_is_found_in_four_places(void **state)
{
	/* clang-format off */
	static const struct { const char *next_hop, *realm; } rows[] = {
		{ "named.example", "trunk" }, /* the attribute's */
		{ "in-b.example",  "b" },     /* the session-agent's realm-id */
		{ "any.example",   "b" },     /* its egress-realm-id */
		{ "x.example",     "a" },     /* sip-config's */
	};
	/* clang-format on */
	struct fixture *f = *state;
	struct sip_config *sip =
		(struct sip_config *)config_single(f->cfg, &element_sip_config);
	struct route route;

	item_set(&element_sip_config, sip, "egress-realm-id", "a");
	config_add(f->cfg, &element_session_agent, "hostname", "in-b.example",
		   "realm-id", "b", NULL);
	config_add(f->cfg, &element_session_agent, "hostname", "any.example",
		   "realm-id", "*", "egress-realm-id", "b", NULL);
	for (size_t i = 0; i < 4; ++i) {
		struct local_policy *p;
		struct policy_attribute *a;
		char to[8];

		snprintf(to, sizeof(to), "%zu", i);
		p = policy(f->cfg, "*", to, "a");
		a = leads(p, rows[i].next_hop);
		if (i)
			set(a, "realm", "");
	}
	for (size_t i = 0; i < 4; ++i) {
		char to[32];
		struct question q = { .to = to };

		snprintf(to, sizeof(to), "sip:%zu@x", i);
		assert_int_equal(ask(f, &q, &route), 0);
		assert_string_equal(route.hops[0].realm->config->identifier,
				    rows[i].realm);
	}
}

static void the_home_realm_is_the_last_resort(void **state)
{
	struct fixture *f = *state;
	struct sip_config *sip =
		(struct sip_config *)config_single(f->cfg, &element_sip_config);
	struct question q = { .to = "sip:1@x" };
	struct route route;

	item_set(&element_sip_config, sip, "home-realm-id", "b");
	set(leads(policy(f->cfg, "*", "*", "a"), "x.example"), "realm", "");
	assert_int_equal(ask(f, &q, &route), 0);
	assert_string_equal(route.hops[0].realm->config->identifier, "b");
}

static void a_realm_that_cannot_send_is_no_egress(void **state)
{
	struct fixture *f = *state;
	struct policy_attribute *a;

	config_add(f->cfg, &element_realm_config, "identifier", "mute", NULL);
	a = leads(policy(f->cfg, "*", "4930", "a"), "mute.example");
	set(a, "realm", "mute");
	a = leads(policy(f->cfg, "*", "493", "a"), "none.example");
	set(a, "realm", "");
	assert_hops(f, "");
}

/* --- 2.3 --- */

/* clang-format off */
static const struct order {
	const char *line;
	struct { const char *from, *to, *name, *value; } first, then;
} orders[] = {
	{ "1 cost",      { "*", "*", "cost", "1" }, { "*", "4930", "cost", "2" } },
	{ "2 codec",     { "*", "*", "media-profiles", "PCMA" }, { "*", "4930", NULL, NULL } },
	{ "2 no list",   { "*", "*", NULL, NULL }, { "*", "4930", "media-profiles", "G729" } },
	{ "3 to",        { "*", "4930", NULL, NULL }, { "4930", "493", NULL, NULL } },
	{ "3 address",   { "*", "sbc.local", NULL, NULL }, { "*", "4", NULL, NULL } },
	{ "3 user@host", { "*", "4930123456@sbc.local", NULL, NULL }, { "*", "4930123456", NULL, NULL } },
	{ "4 from",      { "4930", "4930", NULL, NULL }, { "493", "4930", "days-of-week", "W" } },
	{ "5 days",      { "*", "4930", "days-of-week", "M,W" }, { "*", "49-30", "start-time", "1100" } },
	{ "6 span",      { "*", "4930", "start-time", "1100" }, { "*", "49-30", "end-time", "2300" } },
	{ "7 explicit",  { "*", "493", NULL, NULL }, { "*", "4*56", NULL, NULL } },
	{ "7 from",      { "493", "493", NULL, NULL }, { "4*00", "4-93", NULL, NULL } },
	{ "7 star",      { "*", "4", NULL, NULL }, { "*", "*", NULL, NULL } },
};
/* clang-format on */

static void put(struct fixture *f, const char *from, const char *to,
		const char *name, const char *value, const char *next_hop)
{
	struct policy_attribute *a =
		leads(policy(f->cfg, from, to, "a"), next_hop);

	if (name)
		set(a, name, value);
}

/* The loser stands first in the configuration, so line 8 cannot decide */
static void each_line_of_the_order_decides_alone(void **state)
{
	const struct pl codecs[] = { PL("G722"), PL("pcma") };

	for (size_t i = 0; i < sizeof(orders) / sizeof(orders[0]); ++i) {
		const struct order *o = &orders[i];
		const struct question q = { .codecs = codecs, .codecs_n = 2 };
		struct route route;

		anew(state);
		put(*state, o->then.from, o->then.to, o->then.name,
		    o->then.value, "then.example");
		put(*state, o->first.from, o->first.to, o->first.name,
		    o->first.value, "first.example");
		assert_int_equal(ask(*state, &q, &route), 0);
		assert_int_equal(route.n, 2);
		if (strcmp(route.hops[0].next_hop, "first.example"))
			print_error("line %s\n", o->line);
		assert_string_equal(route.hops[0].next_hop, "first.example");
	}
}

static void the_configuration_orders_what_is_equal(void **state)
{
	struct fixture *f = *state;
	struct local_policy *p = policy(f->cfg, "*", "*", "a");

	leads(p, "z.example");
	leads(p, "y.example");
	leads(policy(f->cfg, "*", "*", "*"), "x.example");
	assert_hops(f, "z.example y.example x.example");
}

static void source_realm_never_orders(void **state)
{
	struct fixture *f = *state;

	leads(policy(f->cfg, "*", "4930", "*"), "any.example");
	leads(policy(f->cfg, "*", "493", "a"), "own.example");
	assert_hops(f, "any.example own.example");
}

static void without_an_offer_media_profiles_do_not_count(void **state)
{
	struct fixture *f = *state;

	put(f, "*", "493", NULL, NULL, "plain.example");
	put(f, "*", "4930", "media-profiles", "G729", "listed.example");
	assert_hops(f, "listed.example plain.example");
}

static void the_longest_value_of_a_list_counts(void **state)
{
	struct fixture *f = *state;

	leads(policy(f->cfg, "*", "49301", "a"), "middle.example");
	leads(policy(f->cfg, "* 4", "* 49 4930123 49301", "a"), "long.example");
	assert_hops(f, "long.example middle.example");
}

static void equal_pairs_stay_once_at_the_better_place(void **state)
{
	struct fixture *f = *state;
	struct policy_attribute *a;
	struct route route;
	const struct question q = { 0 };

	put(f, "*", "49", "auth-user-lookup", "far", "T.example");
	put(f, "*", "493", NULL, NULL, "u.example");
	put(f, "*", "4930", "auth-user-lookup", "near", "t.example");
	a = leads(policy(f->cfg, "*", "4", "a"), "t.example");
	set(a, "realm", "b");
	assert_hops(f, "t.example u.example t.example");
	assert_int_equal(ask(f, &q, &route), 0);
	assert_string_equal(route.hops[0].attribute->auth_user_lookup, "near");
	assert_string_equal(route.hops[2].realm->config->identifier, "b");
}

static void two_names_of_one_session_agent_are_one_next_hop(void **state)
{
	struct fixture *f = *state;

	config_add(f->cfg, &element_session_agent, "hostname", "t.example",
		   "ip-address", "127.0.0.9", "realm-id", "trunk", NULL);
	leads(policy(f->cfg, "*", "4930", "a"), "127.0.0.9");
	leads(policy(f->cfg, "*", "493", "a"), "t.example");
	assert_hops(f, "127.0.0.9");
}

static void terminate_recursion_is_the_end_of_the_list(void **state)
{
	struct fixture *f = *state;

	put(f, "*", "4930", NULL, NULL, "one.example");
	put(f, "*", "493", "terminate-recursion", "enabled", "two.example");
	put(f, "*", "49", NULL, NULL, "three.example");
	assert_hops(f, "one.example two.example");
}

static void max_routes_keeps_the_first(void **state)
{
	struct fixture *f = *state;
	struct sip_config *sip =
		(struct sip_config *)config_single(f->cfg, &element_sip_config);

	item_set(&element_sip_config, sip, "options", "max-routes=2");
	put(f, "*", "49", NULL, NULL, "three.example");
	put(f, "*", "493", NULL, NULL, "two.example");
	put(f, "*", "4930", NULL, NULL, "one.example");
	assert_hops(f, "one.example two.example");
}

static void redirects_stand_alone(void **state)
{
	struct fixture *f = *state;
	const struct question short_to = { .to = "sip:49@x" };

	put(f, "*", "4930", "action", "redirect", "r1.example");
	put(f, "*", "493", "action", "redirect", "r2.example");
	put(f, "*", "49", NULL, NULL, "one.example");
	put(f, "*", "4", "action", "redirect", "r3.example");
	assert_hops(f, "r1.example r2.example");
	assert_hops_of(f, &short_to, "one.example");
}

static void more_candidates_than_places_leave_the_best(void **state)
{
	struct fixture *f = *state;
	struct local_policy *p = policy(f->cfg, "*", "*", "a");
	const struct question q = { 0 };
	struct route route;

	for (int i = 0; i < 3 * ROUTE_HOPS; ++i) {
		char name[32], cost[16];

		snprintf(name, sizeof(name), "h%d.example", i);
		snprintf(cost, sizeof(cost), "%d", 1000 - i);
		set(leads(p, name), "cost", cost);
	}
	assert_int_equal(ask(f, &q, &route), 0);
	assert_int_equal(route.n, ROUTE_HOPS);
	for (uint32_t i = 0; i < route.n; ++i)
		assert_int_equal(route.hops[i].cost,
				 1000 - 3 * ROUTE_HOPS + 1 + i);
}

/* --- next hops --- */

static void next_hops_are_read_as_the_configuration_says(void **state)
{
	/* clang-format off */
	static const struct {
		const char *text; int err; const char *host, *addr;
		uint16_t port; enum transport transport; const char *agent;
	} rows[] = {
		{ "t.example", 0, "t.example", "127.0.0.9:5070", 5070, TRANSPORT_TCP, "t.example" },
		{ "T.EXAMPLE", 0, "t.example", "127.0.0.9:5070", 5070, TRANSPORT_TCP, "t.example" },
		{ "127.0.0.9", 0, "t.example", "127.0.0.9:5070", 5070, TRANSPORT_TCP, "t.example" },
		{ "127.0.0.9:5070", 0, "t.example", "127.0.0.9:5070", 5070, TRANSPORT_TCP, "t.example" },
		{ "127.0.0.9:5071", 0, "127.0.0.9", "127.0.0.9:5071", 5071, TRANSPORT_UDP, NULL },
		{ "127.0.0.8", 0, "127.0.0.8", "127.0.0.8:5060", 5060, TRANSPORT_UDP, NULL },
		{ "127.0.0.8;transport=tls", 0, "127.0.0.8", "127.0.0.8:5061", 5061, TRANSPORT_TLS, NULL },
		{ "2001:db8::8", 0, "2001:db8::8", "[2001:db8::8]:5060", 5060, TRANSPORT_UDP, NULL },
		{ "[2001:db8::8]:5080", 0, "2001:db8::8", "[2001:db8::8]:5080", 5080, TRANSPORT_UDP, NULL },
		{ "x.example", 0, "x.example", NULL, 0, TRANSPORT_NONE, NULL },
		{ "x.example:5090", 0, "x.example", NULL, 5090, TRANSPORT_NONE, NULL },
		{ "x.example;transport=TCP", 0, "x.example", NULL, 0, TRANSPORT_TCP, NULL },
		{ "off.example", 0, "off.example", "127.0.0.7:5060", 5060, TRANSPORT_UDP, "off.example" },
		{ "127.0.0.7", 0, "off.example", "127.0.0.7:5060", 5060, TRANSPORT_UDP, "off.example" },
		{ "x.example:0", EINVAL }, { "x.example:66000", EINVAL },
		{ "x.example;transport=sctp", EINVAL }, { "x.example;lr", EINVAL },
		{ "SAG:group", EINVAL }, { "enum:e164", EINVAL },
		{ "lrt:table", EINVAL }, { "", EINVAL }, { ":5060", EINVAL },
	};
	/* clang-format on */
	struct fixture *f = *state;
	const struct realm *trunk;

	config_add(f->cfg, &element_session_agent, "hostname", "t.example",
		   "ip-address", "127.0.0.9", "port", "5070",
		   "transport-method", "DynamicTCP", "realm-id", "trunk", NULL);
	config_add(f->cfg, &element_session_agent, "hostname", "off.example",
		   "ip-address", "127.0.0.7", "realm-id", "*", "state",
		   "disabled", NULL);
	assert_int_equal(plan_alloc(&f->plan, f->cfg), 0);
	trunk = realm_named(f->plan->realms, "trunk");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); ++i) {
		struct hop hop = { .port = 7 };
		int err = hop_read(&hop, f->plan->routes, rows[i].text, trunk);

		if (err != rows[i].err)
			print_error("%s\n", rows[i].text);
		assert_int_equal(err, rows[i].err);
		if (err) {
			assert_int_equal(hop.port, 7);
			continue;
		}
		assert_int_equal(pl_strcmp(&hop.host, rows[i].host), 0);
		assert_int_equal(hop.port, rows[i].port);
		assert_int_equal(hop.transport, rows[i].transport);
		assert_ptr_equal(hop.realm, trunk);
		if (rows[i].agent)
			assert_string_equal(hop.agent->hostname, rows[i].agent);
		else
			assert_null(hop.agent);
		if (rows[i].addr) {
			struct sa sa = sa_of(rows[i].addr);

			assert_true(sa_cmp(&hop.addr, &sa, SA_ALL));
		} else {
			assert_false(sa_isset(&hop.addr, SA_ADDR));
		}
	}
}

static void an_address_is_another_agent_in_another_realm(void **state)
{
	struct fixture *f = *state;
	struct hop hop;

	config_add(f->cfg, &element_session_agent, "hostname", "in-a.example",
		   "ip-address", "10.0.0.1", "realm-id", "a", NULL);
	config_add(f->cfg, &element_session_agent, "hostname", "in-b.example",
		   "ip-address", "10.0.0.1", "realm-id", "b", NULL);
	assert_int_equal(plan_alloc(&f->plan, f->cfg), 0);
	assert_int_equal(hop_read(&hop, f->plan->routes, "10.0.0.1",
				  realm_named(f->plan->realms, "b")),
			 0);
	assert_string_equal(hop.agent->hostname, "in-b.example");
	assert_int_equal(hop_read(&hop, f->plan->routes, "10.0.0.1",
				  realm_named(f->plan->realms, "trunk")),
			 0);
	assert_null(hop.agent);
}

static void an_agent_that_is_not_for_policies_leads_nowhere(void **state)
{
	struct fixture *f = *state;

	config_add(f->cfg, &element_session_agent, "hostname", "t.example",
		   "allow-next-hop-lp", "disabled", NULL);
	leads(policy(f->cfg, "*", "*", "a"), "t.example");
	assert_hops(f, "");
}

/* --- parent realms and holidays --- */

static void *router(struct fixture *f, const char *name, const char *value)
{
	return config_add(f->cfg, &element_session_router, name, value, NULL);
}

static void a_parents_policies_serve_its_children_where_that_is_wanted(
	void **state)
{
	static const char *const rows[][2] = {
		{ "disabled", "own.example" },
		{ "enabled", "own.example parent.example grand.example" },
	};

	for (size_t i = 0; i < 2; ++i) {
		const struct question q = { .realm = "child" };
		struct fixture *f;

		anew(state);
		f = *state;
		router(f, "match-lp-src-parent-realms", rows[i][0]);
		config_add(f->cfg, &element_realm_config, "identifier",
			   "middle", "parent-realm", "a", NULL);
		config_add(f->cfg, &element_realm_config, "identifier", "child",
			   "parent-realm", "middle", NULL);
		leads(policy(f->cfg, "*", "493", "a"), "grand.example");
		leads(policy(f->cfg, "*", "4930", "middle"), "parent.example");
		leads(policy(f->cfg, "*", "49301", "child middle a"),
		      "own.example");
		leads(policy(f->cfg, "*", "*", "b"), "other.example");
		assert_hops_of(f, &q, rows[i][1]);
	}
}

static void a_holiday_is_a_date_of_one_year_or_of_all(void **state)
{
	/* clang-format off */
	static const struct {
		const char *date; stamp now; bool holiday;
	} rows[] = {
		{ "2027-01-06", 20270106120000, true  },
		{ "2027-01-06", 20280106120000, false },
		{ "01-06",      20270106000000, true  },
		{ "01-06",      20280106235959, true  },
		{ "01-06",      20270107000000, false },
	};
	/* clang-format on */

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); ++i) {
		struct question q = { .now = noon };
		struct session_router *r;
		struct fixture *f;

		anew(state);
		f = *state;
		r = router(f, "additional-lp-lookups", "0");
		item_add(&r->holidays, &element_holiday, "date", rows[i].date,
			 NULL);
		set(leads(policy(f->cfg, "*", "*", "a"), "day.example"),
		    "days-of-week", "U-S");
		set(leads(policy(f->cfg, "1 *", "*", "a"), "holiday.example"),
		    "days-of-week", "H");
		q.now.now = rows[i].now;
		/* H alone has the fewest days */
		assert_hops_of(f, &q,
			       rows[i].holiday ? "holiday.example day.example"
					       : "day.example");
	}
}

/* --- stages --- */

static struct policy_attribute *multi(struct policy_attribute *a,
				      const char *next_key)
{
	set(a, "lookup", "multi");
	set(a, "next-key", next_key);

	return a;
}

static void without_further_lookups_multi_is_a_route_like_others(void **state)
{
	struct fixture *f = *state;

	multi(leads(policy(f->cfg, "*", "4930", "a"), "x.example"), "");
	leads(policy(f->cfg, "*", "*", "a"), "y.example");
	assert_hops(f, "x.example y.example");
}

static void a_key_is_what_next_hop_or_next_key_names(void **state)
{
	/* clang-format off */
	static const struct {
		const char *next_hop, *next_key, *pattern, *hops;
	} rows[] = {
		{ "x.example",  "",      "x.example",  "end.example" },
		{ "X.Example:5070;transport=tcp", "", "x.example", "end.example" },
		{ "10.0.0.1:5070", "",   "10.0.0.1",   "end.example" },
		{ "10.0.0.1",   "",      "10.0.0.2",   ""            },
		{ "[2001:db8::1]:5070", "", "2001:db8::1", "end.example" },
		{ "x.example",  "$TO",   "111",        "end.example" },
		{ "x.example",  "$FROM", "4930100",    "end.example" },
		{ "x.example",  "$PAI",  "333",        "end.example" },
		{ "x.example",  "$TO",   "x.example",  ""            },
	};
	/* clang-format on */

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); ++i) {
		const struct question q = { .to = "sip:999@sbc.local",
					    .called = "sip:111@sbc.local",
					    .asserted = "tel:333" };
		struct fixture *f;

		anew(state);
		f = *state;
		router(f, "additional-lp-lookups", "1");
		multi(leads(policy(f->cfg, "*", "999", "a"), rows[i].next_hop),
		      rows[i].next_key);
		leads(policy(f->cfg, "*", rows[i].pattern, "a"), "end.example");
		assert_hops_of(f, &q, rows[i].hops);
	}
}

static void a_key_that_the_message_does_not_have_leads_nowhere(void **state)
{
	struct fixture *f = *state;

	router(f, "additional-lp-lookups", "1");
	multi(leads(policy(f->cfg, "*", "4930", "a"), "x.example"), "$PAI");
	leads(policy(f->cfg, "*", "49", "a"), "y.example");
	assert_hops(f, "y.example");
}

static void later_stages_come_first_and_earlier_ones_stay_behind(void **state)
{
	/* Stages, and what they give */
	static const char *const rows[][2] = {
		{ "1", "b1.example s.three b2.example a1.example a2.example" },
		{ "2", "c1.example b1.example b2.example a1.example "
		       "a2.example" },
	};

	for (size_t i = 0; i < 2; ++i) {
		struct fixture *f;

		anew(state);
		f = *state;
		router(f, "additional-lp-lookups", rows[i][0]);
		leads(policy(f->cfg, "*", "4930123", "a"), "a1.example");
		multi(leads(policy(f->cfg, "*", "493012", "a"), "s.two"), "");
		leads(policy(f->cfg, "*", "49301", "a"), "a2.example");
		leads(policy(f->cfg, "*", "s.two", "b"), "other.example");
		leads(policy(f->cfg, "*", "s.two", "a"), "b1.example");
		multi(leads(policy(f->cfg, "1 *", "s.two", "a"), "s.three"),
		      "");
		leads(policy(f->cfg, "2 *", "s.two", "a"), "b2.example");
		leads(policy(f->cfg, "*", "s.three", "a"), "c1.example");
		assert_hops(f, rows[i][1]);
	}
}

static void a_key_that_was_used_is_a_loop_and_dropped(void **state)
{
	const struct question q = { .realm = "a" };
	struct fixture *f = *state;
	struct route route = { .n = 0 };

	router(f, "additional-lp-lookups", "5");
	multi(leads(policy(f->cfg, "*", "4930", "a"), "s.two"), "");
	multi(leads(policy(f->cfg, "*", "s.two", "a"), "s.three"), "");
	leads(policy(f->cfg, "1 *", "s.two", "a"), "x.example");
	multi(leads(policy(f->cfg, "*", "s.three", "a"), "s.two"), "");
	leads(policy(f->cfg, "1 *", "s.three", "a"), "y.example");
	assert_int_equal(ask(f, &q, &route), 0);
	assert_int_equal(route.loops, 1);
	assert_int_equal(route.n, 2);
	assert_string_equal(route.hops[0].next_hop, "y.example");
	assert_string_equal(route.hops[1].next_hop, "x.example");
}

static void a_further_stage_asks_for_the_same_source_realm_or_the_routes(
	void **state)
{
	static const char *const rows[][2] = {
		{ "disabled", "of-a.example" },
		{ "enabled", "of-trunk.example" },
	};

	for (size_t i = 0; i < 2; ++i) {
		struct session_router *r;
		struct fixture *f;

		anew(state);
		f = *state;
		r = router(f, "additional-lp-lookups", "1");
		item_set(&element_session_router, r,
			 "multi-stage-src-realm-override", rows[i][0]);
		multi(leads(policy(f->cfg, "*", "49", "a"), "s.three"), "");
		leads(policy(f->cfg, "*", "s.three", "a"), "of-a.example");
		leads(policy(f->cfg, "*", "s.three", "trunk"),
		      "of-trunk.example");
		assert_hops(f, rows[i][1]);
	}
}

static void limits_cut_each_lookup_and_the_whole(void **state)
{
	/* clang-format off */
	static const char *const rows[][3] = {
		{ "0", "0", "b1.example b2.example b3.example a1.example a2.example" },
		{ "2", "0", "b1.example b2.example a1.example" },
		{ "0", "4", "b1.example b2.example b3.example a1.example" },
		{ "2", "2", "b1.example b2.example" },
	};
	/* clang-format on */

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); ++i) {
		struct session_router *r;
		struct fixture *f;

		anew(state);
		f = *state;
		r = router(f, "additional-lp-lookups", "1");
		item_set(&element_session_router, r,
			 "max-lp-lookups-routes-per-lookup", rows[i][0]);
		item_set(&element_session_router, r, "total-lp-routes",
			 rows[i][1]);
		multi(leads(policy(f->cfg, "*", "4930123", "a"), "s.three"),
		      "");
		leads(policy(f->cfg, "*", "4930", "a"), "a1.example");
		leads(policy(f->cfg, "*", "493", "a"), "a2.example");
		leads(policy(f->cfg, "*", "s.three", "a"), "b1.example");
		leads(policy(f->cfg, "*", ".three", "a"), "b2.example");
		leads(policy(f->cfg, "*", "*", "a"), "b3.example");
		assert_hops(f, rows[i][2]);
	}
}

static void terminate_recursion_of_a_later_stage_ends_that_stage(void **state)
{
	struct fixture *f = *state;

	router(f, "additional-lp-lookups", "1");
	multi(leads(policy(f->cfg, "*", "493", "a"), "s.three"), "");
	leads(policy(f->cfg, "*", "49", "a"), "a.example");
	set(leads(policy(f->cfg, "*", "s.three", "a"), "b.example"),
	    "terminate-recursion", "enabled");
	leads(policy(f->cfg, "*", ".three", "a"), "c.example");
	assert_hops(f, "b.example a.example");
}

/* --- explaining --- */

struct explained {
	const struct policy_attribute *attribute[16];
	enum route_fault fault[16];
	uint32_t n;
};

static void note(const struct local_policy *p,
		 const struct policy_attribute *attribute,
		 enum route_fault fault, void *arg)
{
	struct explained *e = arg;

	(void)p;
	e->attribute[e->n] = attribute;
	e->fault[e->n++] = fault;
}

static void each_option_names_the_first_check_that_failed(void **state)
{
	static const enum route_fault expected[] = {
		ROUTE_FITS,         ROUTE_STATE,      ROUTE_SOURCE_REALM,
		ROUTE_FROM_ADDRESS, ROUTE_TO_ADDRESS, ROUTE_TIME_OF_DAY,
		ROUTE_METHODS,      ROUTE_NEXT_HOP,   ROUTE_EGRESS_REALM,
		ROUTE_CUT,
	};
	struct fixture *f = *state;
	struct uri from = uri_of("sip:1@x"), to = uri_of("sip:2@y");
	struct route_query q = {
		.method = PL("INVITE"), .from = &from, .to = &to, .now = noon
	};
	struct explained e = { .n = 0 };

	put(f, "*", "2", NULL, NULL, "x.example");
	put(f, "*", "*", "state", "disabled", "x.example");
	leads(policy(f->cfg, "*", "*", "b"), "x.example");
	put(f, "3", "*", NULL, NULL, "x.example");
	put(f, "*", "3", NULL, NULL, "x.example");
	put(f, "* 9", "*", "end-time", "1200", "x.example");
	put(f, "* 8", "*", "methods", "MESSAGE", "x.example");
	put(f, "* 7", "*", NULL, NULL, "SAG:none");
	put(f, "* 6", "*", "realm", "", "x.example");
	put(f, "* 5", "*", NULL, NULL, "x.example");
	assert_int_equal(plan_alloc(&f->plan, f->cfg), 0);
	q.realm = realm_named(f->plan->realms, "a");
	route_explain(f->plan->routes, &q, note, &e);
	assert_int_equal(e.n, sizeof(expected) / sizeof(expected[0]));
	for (uint32_t i = 0; i < e.n; ++i)
		assert_string_equal(route_fault_name(e.fault[i]),
				    route_fault_name(expected[i]));
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(addresses_match_as_the_table_says),
		T(a_realm_sees_only_its_own_policies),
		T(from_any_realm_all_policies_are_seen_once),
		T(what_is_disabled_is_no_candidate),
		T(a_policy_lives_from_activate_time_to_deactivate_time),
		T(a_window_holds_its_start_and_not_its_end),
		T(methods_that_are_not_listed_pass_by),
		T(a_carrier_must_be_in_each_list_that_is_not_empty),
		T(the_egress_realm_is_found_in_four_places),
		T(the_home_realm_is_the_last_resort),
		T(a_realm_that_cannot_send_is_no_egress),
		T(each_line_of_the_order_decides_alone),
		T(the_configuration_orders_what_is_equal),
		T(source_realm_never_orders),
		T(without_an_offer_media_profiles_do_not_count),
		T(the_longest_value_of_a_list_counts),
		T(equal_pairs_stay_once_at_the_better_place),
		T(two_names_of_one_session_agent_are_one_next_hop),
		T(terminate_recursion_is_the_end_of_the_list),
		T(max_routes_keeps_the_first),
		T(redirects_stand_alone),
		T(more_candidates_than_places_leave_the_best),
		T(next_hops_are_read_as_the_configuration_says),
		T(an_address_is_another_agent_in_another_realm),
		T(an_agent_that_is_not_for_policies_leads_nowhere),
		T(a_parents_policies_serve_its_children_where_that_is_wanted),
		T(a_holiday_is_a_date_of_one_year_or_of_all),
		T(without_further_lookups_multi_is_a_route_like_others),
		T(a_key_is_what_next_hop_or_next_key_names),
		T(a_key_that_the_message_does_not_have_leads_nowhere),
		T(later_stages_come_first_and_earlier_ones_stay_behind),
		T(a_key_that_was_used_is_a_loop_and_dropped),
		T(a_further_stage_asks_for_the_same_source_realm_or_the_routes),
		T(limits_cut_each_lookup_and_the_whole),
		T(terminate_recursion_of_a_later_stage_ends_that_stage),
		T(each_option_names_the_first_check_that_failed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
