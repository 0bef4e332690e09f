/*
 * Who owns a request, and whose AoR is called
 */
#include <errno.h>
#include "config_fixture.h"
#include "policy/plan.h"

/* The two tenants of behaviour.md 7.1: the same numbers, realms apart */
struct fixture {
	struct config *cfg;
	const struct plan *plan;
	struct surrogate_agent *a, *b;
	struct session_agent *pbx_a;
};

static struct surrogate_agent *tenant(struct config *cfg, const char *host,
				      const char *realm, const char *customer,
				      const char *next_hop, const char *contact)
{
	return config_add(cfg, &element_surrogate_agent, "register-host", host,
			  "register-user", "493010^", "realm-id", realm,
			  "aor-count", "10", "count-start", "0",
			  "customer-host", customer, "customer-next-hop",
			  next_hop, "register-contact-host", "127.0.0.1",
			  "register-contact-user", contact, "proxy-name",
			  "trunk.example", "password", "p", NULL);
}

static int setup(void **state)
{
	static struct fixture f;

	memset(&f, 0, sizeof(f));
	f.cfg = config_new();
	realm_add(f.cfg, "pbx-a", "127.0.0.2");
	realm_add(f.cfg, "pbx-b", "127.0.0.3");
	realm_add(f.cfg, "trunk", "127.0.0.1");
	config_add(f.cfg, &element_realm_config, "identifier", "child-a",
		   "parent-realm", "pbx-a", "addr-prefix", "127.1.0.0/16",
		   NULL);
	config_add(f.cfg, &element_session_agent, "hostname", "trunk.example",
		   "ip-address", "127.0.0.11", "realm-id", "trunk", NULL);
	f.pbx_a = config_add(f.cfg, &element_session_agent, "hostname",
			     "pbx-a.example", "ip-address", "127.0.0.12",
			     "realm-id", "pbx-a", NULL);
	f.a = tenant(f.cfg, "a.trunk.example", "pbx-a", "pbx-a.local",
		     "pbx-a.example", "a-493010^");
	f.b = tenant(f.cfg, "b.trunk.example", "pbx-b", "pbx-b.local",
		     "127.0.0.13", "b-493010^");
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

static const struct plan *plan(struct fixture *f)
{
	if (!f->plan)
		assert_int_equal(plan_alloc(&f->plan, f->cfg), 0);

	return f->plan;
}

static void owner_live(struct fixture *f, const char *realm, const char *src,
		       const char *from, const char *more,
		       const struct identity_live *live, struct owner *out)
{
	struct mbuf *mb = mbuf_alloc(2048);
	struct source source;
	struct scan_result result;
	struct message *msg = NULL;
	struct sa sa = sa_of(src);
	const struct realm *in = realm_named(plan(f)->realms, realm);

	assert_non_null(mb);
	assert_int_equal(
		mbuf_printf(mb,
			    "INVITE sip:0301234@127.0.0.2 SIP/2.0\r\n"
			    "Via: SIP/2.0/UDP x;branch=z9hG4bKx\r\n"
			    "From: <%s>;tag=1\r\nTo: <sip:0301234@x>\r\n"
			    "Call-ID: 1\r\nCSeq: 1 INVITE\r\n%s"
			    "Content-Length: 0\r\n\r\n",
			    from, more ? more : ""),
		0);
	mb->pos = 0;
	assert_int_equal(message_scan(&msg, mb, &result), 0);
	match_source(f->plan->match, in->endpoints[0], &sa, &source);
	identity_owner(f->plan->identities, &source, &sa, msg, live, out);
	mem_deref(msg);
	mem_deref(mb);
}

static struct owner owner(struct fixture *f, const char *realm, const char *src,
			  const char *from, const char *more)
{
	struct owner out;

	owner_live(f, realm, src, from, more, NULL, &out);

	return out;
}

static void templates_count_as_the_table_says(void **state)
{
	/* clang-format off */
	static const struct {
		const char *template, *start, *count; uint32_t n; const char *user;
	} rows[] = {
		{ "user^^^^", "5", "20", 0,  "user0005" },
		{ "user^^^^", "5", "20", 19, "user0024" },
		{ "bob^^^",   "1", "2",  1,  "bob002"   },
		{ "bob^",     "8", "5",  2,  "bob10"    },
		{ "a^^z",     "1", "9",  0,  "a01z"     },
		{ "^^^",      "7", "9",  0,  "007"      },
		{ "user",     "5", "3",  0,  "user"     },
		{ "user",     "5", "3",  1,  "user1"    },
		{ "user",     "5", "3",  2,  "user2"    },
	};
	/* clang-format on */
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); ++i) {
		struct owner who = { .agent = f->a, .number = rows[i].n };
		uint32_t number = UINT32_MAX;
		struct pl user;
		char buf[64];

		item_set(&element_surrogate_agent, f->a, "register-user",
			 rows[i].template);
		item_set(&element_surrogate_agent, f->a, "count-start",
			 rows[i].start);
		item_set(&element_surrogate_agent, f->a, "aor-count",
			 rows[i].count);
		assert_int_equal(aor_register_user(buf, sizeof(buf), &who),
				 strlen(rows[i].user));
		assert_string_equal(buf, rows[i].user);
		user = pl_text(rows[i].user);
		assert_int_equal(aor_number(&number, f->a, &user), 0);
		assert_int_equal(number, rows[i].n);
		assert_int_equal(
			aor_register_user(buf, strlen(rows[i].user), &who), -1);
	}
}

static void users_outside_of_the_template_are_no_aors(void **state)
{
	static const char *const users[] = {
		"user0004",
		"user0025",
		"user005",
		"user00005",
		"user",
		"xuser0005",
		"user0005x",
		"user+005",
		"User0005",
		"",
		"user99999999999999999999",
	};
	struct fixture *f = *state;
	uint32_t number;

	item_set(&element_surrogate_agent, f->a, "register-user", "user^^^^");
	item_set(&element_surrogate_agent, f->a, "count-start", "5");
	item_set(&element_surrogate_agent, f->a, "aor-count", "20");
	for (size_t i = 0; i < sizeof(users) / sizeof(users[0]); ++i) {
		struct pl user = pl_text(users[i]);

		assert_int_equal(aor_number(&number, f->a, &user), ENOENT);
	}
}

static void contact_and_digest_users_fall_back_to_the_aor(void **state)
{
	struct fixture *f = *state;
	struct owner who = { .agent = f->a, .number = 7 };
	char buf[64];

	aor_contact_user(buf, sizeof(buf), &who);
	assert_string_equal(buf, "a-4930107");
	aor_auth_user(buf, sizeof(buf), &who);
	assert_string_equal(buf, "4930107");
	item_set(&element_surrogate_agent, f->a, "auth-user", "reg^^");
	aor_auth_user(buf, sizeof(buf), &who);
	assert_string_equal(buf, "reg07");
	item_set(&element_surrogate_agent, f->a, "register-contact-user", "");
	aor_contact_user(buf, sizeof(buf), &who);
	assert_string_equal(buf, "4930107");
}

static void realm_source_and_identity_must_all_fit(void **state)
{
	/* clang-format off */
	static const struct {
		const char *realm, *src, *from; char agent; uint32_t number;
	} rows[] = {
		{ "pbx-a", "127.0.0.12", "sip:4930103@pbx-a.local",     'a', 3 },
		{ "pbx-a", "127.0.0.12:5070", "sip:4930103@PBX-A.local:5070", 'a', 3 },
		{ "pbx-a", "127.0.0.12", "sip:4930109@a.trunk.example", 'a', 9 },
		{ "pbx-a", "127.0.0.12", "sip:4930-10.3@pbx-a.local",   'a', 3 },
		{ "pbx-a", "127.0.0.12", "tel:4930103",                 'a', 3 },
		{ "pbx-b", "127.0.0.13", "sip:4930103@pbx-b.local",     'b', 3 },
		/* another tenant's realm, host or source */
		{ "pbx-b", "127.0.0.12", "sip:4930103@pbx-a.local",     0, 0 },
		{ "pbx-b", "127.0.0.13", "sip:4930103@pbx-a.local",     0, 0 },
		{ "pbx-a", "127.0.0.13", "sip:4930103@pbx-a.local",     0, 0 },
		{ "pbx-a", "127.0.0.99", "sip:4930103@pbx-a.local",     0, 0 },
		/* no identity of the agent */
		{ "pbx-a", "127.0.0.12", "sip:493010@pbx-a.local",      0, 0 },
		{ "pbx-a", "127.0.0.12", "sip:49301011@pbx-a.local",    0, 0 },
		{ "pbx-a", "127.0.0.12", "sip:999@evil.example",        0, 0 },
		{ "pbx-a", "127.0.0.12", "sip:4930103@evil.example",    0, 0 },
		{ "pbx-a", "127.0.0.12", "sip:anonymous@anonymous.invalid", 0, 0 },
	};
	/* clang-format on */
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); ++i) {
		struct owner who = owner(f, rows[i].realm, rows[i].src,
					 rows[i].from, NULL);
		const struct surrogate_agent *want = rows[i].agent == 'a' ? f->a
						     : rows[i].agent == 'b'
							     ? f->b
							     : NULL;

		if (who.agent != want)
			print_error("%s %s\n", rows[i].src, rows[i].from);
		assert_ptr_equal(who.agent, want);
		assert_int_equal(who.number, rows[i].number);
	}
}

static void a_prefix_takes_the_place_of_the_next_hop(void **state)
{
	struct fixture *f = *state;
	const char *from = "sip:4930103@pbx-a.local";

	item_set(&element_surrogate_agent, f->a, "source-ip-prefix",
		 "10.1.0.0/16");
	assert_ptr_equal(owner(f, "pbx-a", "10.1.2.3", from, NULL).agent, f->a);
	assert_null(owner(f, "pbx-a", "127.0.0.12", from, NULL).agent);
}

static void a_disabled_agent_owns_nothing(void **state)
{
	struct fixture *f = *state;

	item_set(&element_surrogate_agent, f->a, "state", "disabled");
	assert_null(
		owner(f, "pbx-a", "127.0.0.12", "sip:4930103@pbx-a.local", NULL)
			.agent);
}

static void a_request_from_a_child_belongs_to_its_parents_agent(void **state)
{
	struct fixture *f = *state;

	item_set(&element_surrogate_agent, f->a, "source-ip-prefix",
		 "127.1.0.0/16");
	assert_ptr_equal(
		owner(f, "pbx-a", "127.1.0.5", "sip:4930103@pbx-a.local", NULL)
			.agent,
		f->a);
}

static void preferred_before_asserted_before_from(void **state)
{
	static const char both[] =
		"P-Asserted-Identity: <sip:4930102@pbx-a.local>\r\n"
		"P-Preferred-Identity: <sip:4930101@pbx-a.local>\r\n";
	static const char asserted[] =
		"P-Asserted-Identity: <sip:77@x>, <tel:4930102>\r\n";
	static const char strange[] =
		"P-Preferred-Identity: <sip:999@evil.example>\r\n";
	const char *from = "sip:4930103@pbx-a.local";
	struct fixture *f = *state;
	struct owner who;

	who = owner(f, "pbx-a", "127.0.0.12", from, both);
	assert_int_equal(who.number, 1);
	who = owner(f, "pbx-a", "127.0.0.12", from, asserted);
	assert_int_equal(who.number, 2);
	who = owner(f, "pbx-a", "127.0.0.12", from, strange);
	assert_int_equal(who.number, 3);
}

static struct sip_interface *interface_of(struct fixture *f, size_t n)
{
	return (struct sip_interface *)config_at(f->cfg, &element_sip_interface,
						 n);
}

static void an_asserted_identity_counts_from_a_trusted_peer_only(void **state)
{
	static const char asserted[] =
		"P-Asserted-Identity: <sip:4930102@pbx-a.local>\r\n";
	const char *from = "sip:4930103@pbx-a.local";
	struct fixture *f = *state;
	struct owner who;

	item_set(&element_sip_interface, interface_of(f, 0), "trust-mode",
		 "agents-only");
	who = owner(f, "pbx-a", "127.0.0.12", from, asserted);
	assert_int_equal(who.number, 3);
	item_set(&element_session_agent, f->pbx_a, "trust-me", "enabled");
	who = owner(f, "pbx-a", "127.0.0.12", from, asserted);
	assert_int_equal(who.number, 2);
}

static void or_when_the_sbc_put_it_in(void **state)
{
	static const char own[] =
		"P-Asserted-Identity: <sip:4930102@pbx-a.local>\r\n";
	static const char other[] =
		"P-Asserted-Identity: <sip:4930101@pbx-a.local>\r\n";
	struct fixture *f = *state;
	const char *from = "sip:0305555@pbx-a.local";

	item_set(&element_sip_interface, interface_of(f, 0), "trust-mode",
		 "none");
	item_set(&element_session_agent, f->pbx_a, "p-asserted-id",
		 "sip:4930102@pbx-a.local");
	assert_int_equal(owner(f, "pbx-a", "127.0.0.12", from, own).number, 2);
	/* what a stranger asserts is removed, and so missing */
	assert_int_equal(owner(f, "pbx-a", "127.0.0.12", from, other).number,
			 2);
	/* the usual case: the PBX asserts nothing */
	assert_int_equal(owner(f, "pbx-a", "127.0.0.12", from, "").number, 2);
	/* of a trusted PBX its own word counts, fitting or not */
	item_set(&element_sip_interface, interface_of(f, 0), "trust-mode",
		 "all");
	assert_int_equal(owner(f, "pbx-a", "127.0.0.12", from, other).number,
			 1);
	/* one that is no AoR of the PBX gives it none */
	item_set(&element_session_agent, f->pbx_a, "p-asserted-id",
		 "sip:0305555@pbx-a.local");
	assert_null(owner(f, "pbx-a", "127.0.0.12", from, "").agent);
}

/* --- several fit --- */

static bool second_is_registered(const struct owner *who, void *arg)
{
	return who->agent == arg;
}

static void ties_go_to_host_then_registration_then_order(void **state)
{
	struct fixture *f = *state;
	const char *from = "sip:4930103@pbx-a.local";
	struct surrogate_agent *second =
		tenant(f->cfg, "z.example", "pbx-a", "pbx-a.local",
		       "127.0.0.12", "c-493010^");
	struct identity_live live = { .registered = second_is_registered,
				      .arg = second };
	struct owner who;

	assert_ptr_equal(owner(f, "pbx-a", "127.0.0.12", from, NULL).agent,
			 f->a);
	owner_live(f, "pbx-a", "127.0.0.12", from, NULL, &live, &who);
	assert_ptr_equal(who.agent, second);
	owner_live(f, "pbx-a", "127.0.0.12", "sip:4930103@a.trunk.example",
		   NULL, &live, &who);
	assert_ptr_equal(who.agent, f->a);
}

static int associate(struct owner *who, const struct realm *realm,
		     const struct uri *uri, void *arg)
{
	const struct fixture *f = arg;

	if (pl_strcmp(&uri->user, "0305555"))
		return ENOENT;
	who->agent = !strcmp(realm->config->identifier, "pbx-a") ? f->a : f->b;
	who->number = 4;

	return 0;
}

static void an_associated_uri_is_one_more_identity(void **state)
{
	struct fixture *f = *state;
	struct identity_live live = { .associated = associate, .arg = f };
	struct owner who;

	owner_live(f, "pbx-a", "127.0.0.12", "sip:0305555@pbx-a.local", NULL,
		   &live, &who);
	assert_ptr_equal(who.agent, f->a);
	assert_int_equal(who.number, 4);
	owner_live(f, "pbx-a", "127.0.0.99", "sip:0305555@pbx-a.local", NULL,
		   &live, &who);
	assert_null(who.agent);
}

static int third(struct owner *who, void *arg)
{
	(void)arg;
	who->number = 3;

	return 0;
}

static void a_pbx_that_registers_owns_by_its_source(void **state)
{
	struct fixture *f = *state;
	struct identity_live live = { .first = third };
	struct owner who;

	owner_live(f, "pbx-a", "127.0.0.12", "sip:1@x", NULL, &live, &who);
	assert_null(who.agent);
	item_set(&element_session_agent, f->pbx_a, "options",
		 "sip-connect-pbx-reg");
	owner_live(f, "pbx-a", "127.0.0.12", "sip:1@x", NULL, &live, &who);
	assert_ptr_equal(who.agent, f->a);
	assert_int_equal(who.number, 3);
}

static void but_not_when_its_source_fits_two_agents(void **state)
{
	struct fixture *f = *state;
	struct identity_live live = { .first = third };
	struct owner who;

	item_set(&element_session_agent, f->pbx_a, "options",
		 "sip-connect-pbx-reg");
	tenant(f->cfg, "z.example", "pbx-a", "z.local", "127.0.0.12",
	       "c-493010^");
	owner_live(f, "pbx-a", "127.0.0.12", "sip:1@x", NULL, &live, &who);
	assert_null(who.agent);
}

/* --- towards the PBX --- */

static int by_contact(struct fixture *f, const char *realm, const char *ruri,
		      struct owner *out)
{
	struct sa local = sa_of("127.0.0.1:5060");
	struct pl text = pl_text(ruri);
	struct uri uri;

	assert_int_equal(uri_read(&uri, &text), 0);

	return identity_by_contact(plan(f)->identities,
				   realm_named(plan(f)->realms, realm), &local,
				   &uri, out);
}

static void a_contact_is_found_in_the_realm_of_its_registration(void **state)
{
	struct fixture *f = *state;
	struct owner who;

	assert_int_equal(
		by_contact(f, "trunk", "sip:a-4930105@127.0.0.1", &who), 0);
	assert_ptr_equal(who.agent, f->a);
	assert_int_equal(who.number, 5);
	assert_int_equal(
		by_contact(f, "trunk", "sip:b-4930105@127.0.0.1:5060", &who),
		0);
	assert_ptr_equal(who.agent, f->b);
	assert_int_equal(
		by_contact(f, "pbx-a", "sip:b-4930105@127.0.0.1", &who),
		ENOENT);
	assert_int_equal(by_contact(f, "trunk", "sip:4930105@127.0.0.1", &who),
			 ENOENT);
	assert_int_equal(
		by_contact(f, "trunk", "sip:a-4930105@127.0.0.2", &who),
		ENOENT);
	assert_int_equal(by_contact(f, "trunk", "sip:127.0.0.1", &who), ENOENT);
}

static void an_empty_contact_host_is_the_sip_port(void **state)
{
	struct fixture *f = *state;
	struct owner who;

	item_set(&element_surrogate_agent, f->a, "register-contact-host", "");
	assert_int_equal(
		by_contact(f, "trunk", "sip:a-4930105@127.0.0.1", &who), 0);
	assert_int_equal(
		by_contact(f, "trunk", "sip:a-4930105@127.0.0.2", &who),
		ENOENT);
	assert_int_equal(
		by_contact(f, "trunk", "sip:a-4930105@x.example", &who),
		ENOENT);
}

/* 4.1: register-contact-host may name a port itself */
static void the_port_of_a_contact_host_is_none_of_its_name(void **state)
{
	static const char *const hosts[] = { "sbc.example:5070",
					     "127.0.0.1:5070", "[::1]:5070" };
	static const char *const contacts[] = {
		"sip:a-4930105@sbc.example:5070",
		"sip:a-4930105@127.0.0.1:5070", "sip:a-4930105@[::1]:5070"
	};
	struct fixture *f = *state;
	struct owner who;

	for (size_t i = 0; i < 3; ++i) {
		item_set(&element_surrogate_agent, f->a,
			 "register-contact-host", hosts[i]);
		assert_int_equal(by_contact(f, "trunk", contacts[i], &who), 0);
		assert_int_equal(
			by_contact(f, "trunk", contacts[(i + 1) % 3], &who),
			ENOENT);
	}
}

static void a_called_user_is_looked_up_in_its_realm_only(void **state)
{
	struct fixture *f = *state;
	struct pl user = PL("4930-104"), none = PL("4930200");
	const struct realms *realms = plan(f)->realms;
	const struct identities *ids = plan(f)->identities;
	struct owner who;

	assert_int_equal(identity_by_called(ids, realm_named(realms, "pbx-a"),
					    &user, &who),
			 0);
	assert_ptr_equal(who.agent, f->a);
	assert_int_equal(who.number, 4);
	assert_int_equal(identity_by_called(ids, realm_named(realms, "pbx-b"),
					    &user, &who),
			 0);
	assert_ptr_equal(who.agent, f->b);
	assert_int_equal(identity_by_called(ids, realm_named(realms, "trunk"),
					    &user, &who),
			 ENOENT);
	assert_int_equal(identity_by_called(ids, realm_named(realms, "pbx-a"),
					    &none, &who),
			 ENOENT);
}

static void agents_at_a_source_are_named_once(void **state)
{
	struct fixture *f = *state;
	const struct realm *realm;
	struct sa src = sa_of("10.1.2.3"), pbx = sa_of("127.0.0.12");

	item_set(&element_surrogate_agent, f->a, "source-ip-prefix",
		 "10.0.0.0/8 10.1.0.0/16 10.1.2.3");
	tenant(f->cfg, "z.example", "pbx-a", "z.local", "10.1.2.3",
	       "c-493010^");
	realm = realm_named(plan(f)->realms, "pbx-a");
	assert_ptr_equal(
		identity_agent_at(f->plan->identities, realm, &src, 0, NULL),
		f->a);
	assert_non_null(
		identity_agent_at(f->plan->identities, realm, &src, 1, NULL));
	assert_null(
		identity_agent_at(f->plan->identities, realm, &src, 2, NULL));
	assert_null(
		identity_agent_at(f->plan->identities, realm, &pbx, 0, NULL));
}

static void a_hundred_thousand_aors_are_one_entry(void **state)
{
	struct fixture *f = *state;
	const struct realm *realm;
	struct owner who;
	char buf[32];

	item_set(&element_surrogate_agent, f->a, "register-user", "4930^^^^^^");
	item_set(&element_surrogate_agent, f->a, "aor-count", "100000");
	realm = realm_named(plan(f)->realms, "pbx-a");
	for (uint32_t i = 0; i < 100000; i += 99) {
		struct pl user = { buf, 0 };

		user.l = (size_t)snprintf(buf, sizeof(buf), "4930%06u", i);
		assert_int_equal(identity_by_called(f->plan->identities, realm,
						    &user, &who),
				 0);
		assert_int_equal(who.number, i);
	}
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(templates_count_as_the_table_says),
		T(users_outside_of_the_template_are_no_aors),
		T(contact_and_digest_users_fall_back_to_the_aor),
		T(realm_source_and_identity_must_all_fit),
		T(a_prefix_takes_the_place_of_the_next_hop),
		T(a_disabled_agent_owns_nothing),
		T(a_request_from_a_child_belongs_to_its_parents_agent),
		T(preferred_before_asserted_before_from),
		T(an_asserted_identity_counts_from_a_trusted_peer_only),
		T(or_when_the_sbc_put_it_in),
		T(ties_go_to_host_then_registration_then_order),
		T(an_associated_uri_is_one_more_identity),
		T(a_pbx_that_registers_owns_by_its_source),
		T(but_not_when_its_source_fits_two_agents),
		T(a_contact_is_found_in_the_realm_of_its_registration),
		T(an_empty_contact_host_is_the_sip_port),
		T(the_port_of_a_contact_host_is_none_of_its_name),
		T(a_called_user_is_looked_up_in_its_realm_only),
		T(agents_at_a_source_are_named_once),
		T(a_hundred_thousand_aors_are_one_entry),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
