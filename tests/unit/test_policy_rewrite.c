/*
 * Identities of calls from a PBX to its trunk and back (behaviour.md 5.2, 5.3)
 *
 * The two tenants of behaviour.md 7.1, with the same numbers.
 */
#include <errno.h>
#include "config_fixture.h"
#include "policy/hide.h"
#include "policy/plan.h"
#include "policy/rewrite.h"

struct fixture {
	struct config *cfg;
	const struct plan *plan;
	struct surrogate_agent *a, *b;
	struct session_agent *trunk, *pbx_a;
	struct realm_config *realm_a;
	struct sip_interface *at_trunk;
	struct sa from_a, from_trunk, local_trunk, local_a;
	struct hop to_trunk, to_pbx;
	struct local_policy policy;
	struct policy_attribute attribute;
	/* of the last request */
	struct mbuf *bytes, *scratch;
	struct message *msg, *out_msg;
	struct rewritten out;
};

static struct surrogate_agent *tenant(struct config *cfg, const char *host,
				      const char *realm, const char *customer,
				      const char *contact)
{
	return config_add(cfg, &element_surrogate_agent, "register-host", host,
			  "register-user", "493010^", "realm-id", realm,
			  "aor-count", "10", "count-start", "0",
			  "customer-host", customer, "customer-next-hop",
			  "pbx-a.example", "register-contact-host", "127.0.0.1",
			  "register-contact-user", contact, "proxy-name",
			  "trunk.example", "password", "p", NULL);
}

static int setup(void **state)
{
	static struct fixture f;

	memset(&f, 0, sizeof(f));
	f.cfg = config_new();
	f.realm_a = realm_add(f.cfg, "pbx-a", "127.0.0.2");
	realm_add(f.cfg, "pbx-b", "127.0.0.3");
	realm_add(f.cfg, "trunk", "127.0.0.1");
	f.trunk = config_add(f.cfg, &element_session_agent, "hostname",
			     "trunk.example", "ip-address", "127.0.0.11",
			     "realm-id", "trunk", NULL);
	f.pbx_a = config_add(f.cfg, &element_session_agent, "hostname",
			     "pbx-a.example", "ip-address", "127.0.0.12",
			     "realm-id", "pbx-a", NULL);
	f.a = tenant(f.cfg, "a.trunk.example", "pbx-a", "pbx-a.local",
		     "a-493010^");
	f.b = tenant(f.cfg, "b.trunk.example", "pbx-b", "pbx-b.local",
		     "b-493010^");
	assert_int_equal(plan_alloc(&f.plan, f.cfg), 0);
	f.from_a = sa_of("127.0.0.12:5060");
	f.from_trunk = sa_of("127.0.0.11:5060");
	f.local_trunk = sa_of("127.0.0.1:5060");
	f.local_a = sa_of("127.0.0.2:5060");
	f.to_trunk.policy = f.to_pbx.policy = NULL;
	f.to_trunk.agent = f.trunk;
	f.to_pbx.agent = f.pbx_a;
	f.scratch = mbuf_alloc(1);
	*state = &f;
	return 0;
}

static void forget(struct fixture *f)
{
	f->msg = mem_deref(f->msg);
	f->out_msg = mem_deref(f->out_msg);
	f->bytes = mem_deref(f->bytes);
	f->scratch->pos = f->scratch->end = 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	forget(f);
	mem_deref(f->scratch);
	plan_give(f->plan);
	config_give(f->cfg);
	return 0;
}

static const struct realm *realm_of(struct fixture *f, const char *name)
{
	return realm_named(f->plan->realms, name);
}

/* PBX A calls, the owner is its AoR 0, by local-policy */
static struct rewrite_setup from_pbx(struct fixture *f)
{
	struct rewrite_setup s = {
		.plan = f->plan,
		.ingress = realm_of(f, "pbx-a"),
		.egress = realm_of(f, "trunk"),
		.src = f->from_a,
		.local = &f->local_trunk,
		.received_at = &f->local_a,
		.target = &f->from_trunk,
		.hop = &f->to_trunk,
		.owner = { .agent = f->a },
		.to_trunk = true,
	};

	f->to_trunk.policy = &f->policy;
	f->to_trunk.attribute = &f->attribute;
	s.source.realm = s.ingress;
	s.source.agent = f->pbx_a;
	return s;
}

/* The trunk calls AoR 5 of PBX A at its registered contact */
static struct rewrite_setup from_trunk(struct fixture *f)
{
	struct rewrite_setup s = {
		.plan = f->plan,
		.ingress = realm_of(f, "trunk"),
		.egress = realm_of(f, "pbx-a"),
		.src = f->from_trunk,
		.local = &f->local_a,
		.received_at = &f->local_trunk,
		.target = &f->from_a,
		.hop = &f->to_pbx,
		.called = { .agent = f->a, .number = 5 },
	};

	s.source.realm = s.ingress;
	s.source.agent = f->trunk;
	return s;
}

static int try(struct fixture *f, struct rewrite_setup *s, const char *ruri,
	       const char *from, const char *to, const char *more)
{
	struct scan_result result;

	forget(f);
	f->bytes = mbuf_alloc(2048);
	assert_int_equal(
		mbuf_printf(f->bytes,
			    "INVITE %s SIP/2.0\r\n"
			    "Via: SIP/2.0/UDP 127.0.0.12;branch=z9hG4bKx\r\n"
			    "From: %s\r\nTo: %s\r\nCall-ID: 1@127.0.0.12\r\n"
			    "CSeq: 1 INVITE\r\n%s\r\n",
			    ruri, from, to, more),
		0);
	f->bytes->pos = 0;
	assert_int_equal(message_scan(&f->msg, f->bytes, &result), 0);
	assert_int_equal(message_clone(&f->out_msg, f->msg), 0);
	s->msg = f->msg;
	return rewrite_request(&f->out, f->scratch, f->out_msg, s);
}

/* The same of a message inside a call: a request of its dialogs, or an answer */
static void run_within(struct fixture *f, struct rewrite_setup *s,
		       const char *start, const char *more)
{
	struct scan_result result;

	forget(f);
	f->bytes = mbuf_alloc(2048);
	assert_int_equal(
		mbuf_printf(f->bytes,
			    "%s\r\n"
			    "Via: SIP/2.0/UDP 127.0.0.12;branch=z9hG4bKx\r\n"
			    "From: <sip:1@x.example>;tag=1\r\n"
			    "To: <sip:2@y.example>;tag=2\r\n"
			    "Call-ID: 1@127.0.0.12\r\n"
			    "CSeq: 2 INVITE\r\n%s\r\n",
			    start, more),
		0);
	f->bytes->pos = 0;
	assert_int_equal(message_scan(&f->msg, f->bytes, &result), 0);
	assert_int_equal(message_clone(&f->out_msg, f->msg), 0);
	s->msg = f->msg;
	assert_int_equal(rewrite_within(f->scratch, f->out_msg, s), 0);
}

static void run(struct fixture *f, struct rewrite_setup *s, const char *ruri,
		const char *from, const char *to, const char *more)
{
	assert_int_equal(try(f, s, ruri, from, to, more), 0);
}

static void is(const struct pl *pl, const char *expected)
{
	if (pl->l != strlen(expected) || memcmp(pl->p, expected, pl->l))
		fail_msg("'%.*s' is not '%s'", (int)pl->l, pl->p, expected);
}

static void header_is(const struct fixture *f, enum header_id id,
		      const char *expected)
{
	struct pl value = message_value(f->out_msg, id);

	is(&value, expected);
}

/* Does anything that goes out name this? */
static bool names(struct fixture *f, const char *what)
{
	const struct hide_setup hide = { .trusted = true };
	struct mbuf *mb = mbuf_alloc(64);
	bool found;

	assert_int_equal(mbuf_write_pl(mb, &f->out.ruri), 0);
	assert_int_equal(mbuf_write_pl(mb, &f->out.from), 0);
	assert_int_equal(mbuf_write_pl(mb, &f->out.to), 0);
	assert_int_equal(mbuf_write_pl(mb, &f->out.contact), 0);
	assert_int_equal(mbuf_write_pl(mb, &f->out.routes), 0);
	assert_int_equal(message_write_headers(mb, f->out_msg,
					       hide_set(f->out_msg, &hide)),
			 0);
	found = memmem(mb->buf, mb->end, what, strlen(what)) != NULL;
	mem_deref(mb);
	return found;
}

#define FROM_A    "\"Al\" <sip:4930100@pbx-a.local>;tag=1"
#define TO_A      "<sip:0301234@127.0.0.2>"
#define CALLED    "sip:0301234@127.0.0.2"
#define CONTACT_A "Contact: <sip:4930100@127.0.0.12:5060>\r\n"

/* 7.2, 15 */
static void the_trunk_sees_its_own_domain_and_nothing_of_the_pbx(void **state)
{
	struct fixture *f = *state;
	struct rewrite_setup s = from_pbx(f);

	s.trusted = true;
	run(f, &s, CALLED, FROM_A, TO_A,
	    CONTACT_A
	    "P-Asserted-Identity: <sip:4930101@pbx-a.local>\r\n"
	    "Diversion: <sip:4930102@127.0.0.12>;reason=unconditional\r\n"
	    "History-Info: <sip:1@127.0.0.2?Reason=x>;index=1, "
	    "<sip:2@far.example>;index=2\r\n"
	    "Referred-By: <sip:3@pbx-a.local>\r\n"
	    "Refer-To: <sip:4@127.0.0.2?From=x%40pbx-a.local&Replaces="
	    "a%3bto-tag%3db&Call-ID=x&Subject=s&Referred-By=127.0.0.12&i=y>"
	    "\r\n"
	    "P-Preferred-Identity: <sip:4930100@pbx-a.local>\r\n");
	is(&f->out.ruri, "sip:0301234@a.trunk.example");
	is(&f->out.from, "\"Al\" <sip:4930100@a.trunk.example>");
	is(&f->out.to, "<sip:0301234@a.trunk.example>");
	is(&f->out.contact, "sip:4930100@127.0.0.1:5060");
	is(&f->out.routes, "");
	header_is(f, HDR_P_ASSERTED_IDENTITY, "<sip:4930101@a.trunk.example>");
	header_is(f, HDR_DIVERSION,
		  "<sip:4930102@a.trunk.example>;reason=unconditional");
	header_is(f, HDR_HISTORY_INFO,
		  "<sip:1@a.trunk.example?Reason=x>;index=1, "
		  "<sip:2@far.example>;index=2");
	header_is(f, HDR_REFERRED_BY, "<sip:3@a.trunk.example>");
	header_is(f, HDR_REFER_TO,
		  "<sip:4@a.trunk.example?Replaces=a%3bto-tag%3db&Subject=s>");
	assert_null(message_first(f->out_msg, HDR_P_PREFERRED_IDENTITY));
	assert_false(names(f, "127.0.0.12"));
	assert_false(names(f, "127.0.0.2"));
	assert_false(names(f, "pbx-a.local"));
}

#define OF_THE_PBX                                                             \
	"P-Asserted-Identity: <sip:4930101@pbx-a.local>\r\n"                   \
	"Diversion: <sip:4930102@127.0.0.12>;reason=unconditional\r\n"         \
	"Refer-To: <sip:4@127.0.0.2>\r\n"                                      \
	"P-Preferred-Identity: <sip:4930100@pbx-a.local>\r\n"

static void inside_a_call_identities_are_rewritten_and_none_is_made_up(void **s)
{
	static const char *const starts[] = {
		"INVITE sip:4930100@127.0.0.2 SIP/2.0", "SIP/2.0 200 OK"
	};
	struct fixture *f = *s;
	struct rewrite_setup setup = from_pbx(f);

	for (size_t i = 0; i < 2; i++) {
		setup.trusted = true;
		run_within(f, &setup, starts[i], OF_THE_PBX);
		header_is(f, HDR_P_ASSERTED_IDENTITY,
			  "<sip:4930101@a.trunk.example>");
		header_is(f, HDR_DIVERSION,
			  "<sip:4930102@a.trunk.example>;reason=unconditional");
		header_is(f, HDR_REFER_TO, "<sip:4@a.trunk.example>");
		assert_null(
			message_first(f->out_msg, HDR_P_PREFERRED_IDENTITY));
		setup.trusted = false;
		run_within(f, &setup, starts[i], OF_THE_PBX);
		assert_null(message_first(f->out_msg, HDR_P_ASSERTED_IDENTITY));
		setup.trusted = true;
		run_within(f, &setup, starts[i], "");
		assert_null(message_first(f->out_msg, HDR_P_ASSERTED_IDENTITY));
	}
}

/* behaviour.md 3.6 */
static void inside_a_call_refer_to_becomes_the_request_uri_of_the_transfer(
	void **s)
{
	static const struct {
		bool to_pbx, owned;
		const char *in, *out;
	} rows[] = {
		{ false, true, "<sip:4@127.0.0.2>", "<sip:4@a.trunk.example>" },
		{ false, true, "<sip:4@far.example>", "<sip:4@far.example>" },
		{ false, false, "<sip:4@127.0.0.2>", "<sip:4@trunk.example>" },
		{ true, true, "<sip:a-4930107@127.0.0.1>",
		  "<sip:4930107@pbx-a.local>" },
		{ true, true, "<sip:0309@127.0.0.1>",
		  "<sip:0309@pbx-a.local>" },
		{ true, true, "<sip:b-4930107@127.0.0.1>",
		  "<sip:b-4930107@pbx-a.local>" },
		{ true, true, "<sip:0309@far.example>",
		  "<sip:0309@far.example>" },
	};
	struct fixture *f = *s;

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct rewrite_setup setup =
			rows[i].to_pbx ? from_trunk(f) : from_pbx(f);
		char line[128];

		if (!rows[i].owned) {
			setup.owner.agent = NULL;
			setup.to_trunk = false;
		}
		snprintf(line, sizeof(line), "Refer-To: %s\r\n", rows[i].in);
		run_within(f, &setup,
			   rows[i].to_pbx ? "INVITE sip:x@127.0.0.1 SIP/2.0"
					  : "INVITE sip:x@127.0.0.2 SIP/2.0",
			   line);
		header_is(f, HDR_REFER_TO, rows[i].out);
	}
}

/* 7.2, 23 */
static void replace_contact_gives_the_registered_contact(void **state)
{
	struct fixture *f = *state;
	struct rewrite_setup s = from_pbx(f);

	pl_set_str(&s.contact, "sip:a-4930100@127.0.0.1");
	run(f, &s, CALLED, FROM_A, TO_A, CONTACT_A);
	is(&f->out.contact, "sip:4930100@127.0.0.1:5060");
	f->a->replace_contact = true;
	run(f, &s, CALLED, FROM_A, TO_A, CONTACT_A);
	is(&f->out.contact, "sip:a-4930100@127.0.0.1");
}

/* 7.2, 24 */
static void the_service_route_leads_to_the_registrar_only(void **state)
{
	struct fixture *f = *state;
	struct rewrite_setup s = from_pbx(f);

	pl_set_str(&s.service_route, "<sip:edge.trunk.example;lr>");
	s.to_registrar = true;
	run(f, &s, CALLED, FROM_A, TO_A, CONTACT_A);
	is(&f->out.routes, "<sip:edge.trunk.example;lr>");

	f->to_trunk.policy = NULL;
	run(f, &s, CALLED, FROM_A, TO_A, CONTACT_A);
	is(&f->out.routes,
	   "<sip:trunk.example;lr>, <sip:edge.trunk.example;lr>");

	/* as the REGISTERs name it (4.1): it takes no other for its own */
	item_set(&element_session_agent, f->trunk, "port", "5070");
	item_set(&element_session_agent, f->trunk, "transport-method",
		 "StaticTCP");
	run(f, &s, CALLED, FROM_A, TO_A, CONTACT_A);
	is(&f->out.routes, "<sip:trunk.example:5070;transport=tcp;lr>, "
			   "<sip:edge.trunk.example;lr>");

	s.to_registrar = false;
	run(f, &s, CALLED, FROM_A, TO_A, CONTACT_A);
	is(&f->out.routes, "");
}

/* 7.2, 38 */
static void a_registered_contact_becomes_the_aor_at_the_pbx(void **state)
{
	struct fixture *f = *state;
	struct rewrite_setup s = from_trunk(f);

	run(f, &s, "sip:a-4930105@127.0.0.1;x=y;user=phone",
	    "<sip:0301234@a.trunk.example;user=phone>;tag=1",
	    "<sip:4930105@a.trunk.example>",
	    "Contact: <sip:t@127.0.0.11>\r\n"
	    "Route: <sip:127.0.0.1;lr>\r\n"
	    "P-Asserted-Identity: <sip:0301234@a.trunk.example>\r\n"
	    "Diversion: <sip:9@a.trunk.example>, <sip:8@127.0.0.11>, "
	    "<sip:7@far.example>\r\n"
	    "P-Called-Party-ID: <sip:4930105@a.trunk.example>\r\n");
	is(&f->out.ruri, "sip:4930105@pbx-a.local;user=phone");
	is(&f->out.from, "<sip:0301234@pbx-a.local;user=phone>");
	is(&f->out.to, "<sip:4930105@pbx-a.local>");
	is(&f->out.contact, "sip:t@127.0.0.2:5060");
	is(&f->out.routes, "");
	header_is(f, HDR_DIVERSION,
		  "<sip:9@pbx-a.local>, <sip:8@pbx-a.local>, "
		  "<sip:7@far.example>");
	header_is(f, HDR_P_CALLED_PARTY_ID, "<sip:4930105@pbx-a.local>");
	assert_null(message_first(f->out_msg, HDR_P_ASSERTED_IDENTITY));
	assert_false(names(f, "127.0.0.1;"));
	assert_false(names(f, "127.0.0.11"));
	assert_false(names(f, "a.trunk.example"));
}

static void the_contact_of_b_becomes_the_aor_at_pbx_b(void **state)
{
	struct fixture *f = *state;
	struct rewrite_setup s = from_trunk(f);

	s.called.agent = f->b;
	s.egress = realm_of(f, "pbx-b");
	run(f, &s, "sip:b-4930105@127.0.0.1", "<sip:1@x.example>;tag=1",
	    "<sip:4930105@b.trunk.example>", "");
	is(&f->out.ruri, "sip:4930105@pbx-b.local");
	assert_false(names(f, "pbx-a"));
}

/* 7.2, 39 */
static void sip_connect_takes_the_called_party(void **state)
{
	struct fixture *f = *state;
	struct rewrite_setup s = from_trunk(f);
	static char option[] = "sip-connect-pbx-reg";
	static char *options[] = { option };
	struct names none = f->realm_a->options;
	struct names *on[2] = { &f->realm_a->options, &f->pbx_a->options };
	int i;

	for (i = 0; i < 2; ++i) {
		on[i]->n = 1;
		on[i]->v = options;
		run(f, &s, "sip:a-4930105@127.0.0.1", "<sip:1@x.example>;tag=1",
		    "<sip:493010517@a.trunk.example>", "");
		is(&f->out.ruri, "sip:493010517@pbx-a.local");
		is(&f->out.to, "<sip:493010517@pbx-a.local>");
		run(f, &s, "sip:a-4930105@127.0.0.1", "<sip:1@x.example>;tag=1",
		    "<sip:493010517@a.trunk.example>",
		    "P-Called-Party-ID: <sip:493010518@a.trunk.example>\r\n");
		is(&f->out.ruri, "sip:493010518@pbx-a.local");
		*on[i] = none;
	}
	run(f, &s, "sip:a-4930105@127.0.0.1", "<sip:1@x.example>;tag=1",
	    "<sip:493010517@a.trunk.example>", "");
	is(&f->out.ruri, "sip:4930105@pbx-a.local");
}

/* 7.2, 42: B's contact is a called number like any other */
static void a_pbx_cannot_call_the_contact_of_another(void **state)
{
	struct fixture *f = *state;
	struct rewrite_setup s = from_pbx(f);

	run(f, &s, "sip:b-4930105@127.0.0.1", FROM_A, TO_A, CONTACT_A);
	is(&f->out.ruri, "sip:b-4930105@a.trunk.example");
	assert_false(names(f, "pbx-b"));
}

static void a_call_by_policy_keeps_the_called_user(void **state)
{
	struct fixture *f = *state;
	struct rewrite_setup s = from_trunk(f);

	f->to_pbx.policy = &f->policy;
	run(f, &s, "sip:4930200@127.0.0.1;transport=udp;x=y",
	    "<sip:1@x.example>;tag=1", "<sip:4930200@127.0.0.1>", "");
	is(&f->out.ruri, "sip:4930200@pbx-a.local;x=y");
}

static void without_customer_host_the_session_agent_or_target_is_named(
	void **state)
{
	struct fixture *f = *state;
	struct rewrite_setup s = from_trunk(f);

	f->a->customer_host[0] = 0;
	run(f, &s, "sip:a-4930105@127.0.0.1", "<sip:1@x.example>;tag=1",
	    "<sip:4930105@a.trunk.example>", "");
	is(&f->out.ruri, "sip:4930105@pbx-a.example");
	is(&f->out.from, "<sip:1@127.0.0.2>");

	f->to_pbx.agent = NULL;
	run(f, &s, "sip:a-4930105@127.0.0.1", "<sip:1@x.example>;tag=1",
	    "<sip:4930105@a.trunk.example>", "");
	is(&f->out.ruri, "sip:4930105@127.0.0.12:5060");
	is(&f->out.to, "<sip:4930105@127.0.0.12:5060>");
}

static void a_number_that_is_no_aor_becomes_the_owner(void **state)
{
	struct fixture *f = *state;
	struct rewrite_setup s = from_pbx(f);

	s.owner.number = 3;
	s.trusted = true;
	run(f, &s, CALLED, "<sip:999@pbx-a.local>;tag=1", TO_A,
	    "P-Asserted-Identity: <sip:998@pbx-a.local>, <tel:+1>\r\n");
	is(&f->out.from, "<sip:4930103@a.trunk.example>");
	header_is(f, HDR_P_ASSERTED_IDENTITY,
		  "<sip:4930103@a.trunk.example>, "
		  "<sip:4930103@a.trunk.example>");
}

static int has_associated(struct owner *who, const struct realm *realm,
			  const struct uri *uri, void *arg)
{
	static const struct pl user = PL("+49309");
	(void)realm;

	if (pl_cmp(&uri->user, &user))
		return ENOENT;
	who->agent = arg;
	who->number = 0;

	return 0;
}

/* 5.2: "stays when it is an AoR or associated URI of the owner's agent" */
static void an_associated_uri_of_the_owners_agent_stays(void **state)
{
	struct fixture *f = *state;
	struct rewrite_setup s = from_pbx(f);
	struct identity_live live = { .associated = has_associated,
				      .arg = f->a };

	s.owner.number = 3;
	s.live = &live;
	run(f, &s, CALLED, "<sip:+49309@pbx-a.local>;tag=1", TO_A, "");
	is(&f->out.from, "<sip:+49309@a.trunk.example>");
	run(f, &s, CALLED, "<sip:+49308@pbx-a.local>;tag=1", TO_A, "");
	is(&f->out.from, "<sip:4930103@a.trunk.example>");
	live.arg = f->b; /* that of another agent */
	run(f, &s, CALLED, "<sip:+49309@pbx-a.local>;tag=1", TO_A, "");
	is(&f->out.from, "<sip:4930103@a.trunk.example>");
}

static void anonymous_stays_and_is_told_to_whom_it_may_concern(void **state)
{
	struct fixture *f = *state;
	struct rewrite_setup s = from_pbx(f);

	run(f, &s, CALLED,
	    "\"Anonymous\" <sip:anonymous@anonymous.invalid>;tag=1", TO_A,
	    "P-Asserted-Identity: <sip:4930100@pbx-a.local>\r\n");
	is(&f->out.from, "\"Anonymous\" <sip:anonymous@anonymous.invalid>");
	assert_null(message_first(f->out_msg, HDR_P_ASSERTED_IDENTITY));
	header_is(f, HDR_P_PREFERRED_IDENTITY, "<sip:4930100@a.trunk.example>");

	s.trusted = true;
	run(f, &s, CALLED,
	    "\"Anonymous\" <sip:anonymous@anonymous.invalid>;tag=1", TO_A,
	    "P-Asserted-Identity: <sip:4930100@pbx-a.local>\r\n");
	header_is(f, HDR_P_ASSERTED_IDENTITY, "<sip:4930100@a.trunk.example>");
	assert_null(message_first(f->out_msg, HDR_P_PREFERRED_IDENTITY));
}

static void another_host_than_a_local_one_stays(void **state)
{
	struct fixture *f = *state;
	struct rewrite_setup s = from_pbx(f);

	run(f, &s, "sip:bob@far.example:5070;x=y", FROM_A,
	    "<sip:bob@far.example:5070>", CONTACT_A);
	is(&f->out.ruri, "sip:bob@far.example:5070;x=y");
	is(&f->out.to, "<sip:bob@far.example:5070>");
}

static void replace_uri_names_the_next_hop(void **state)
{
	struct fixture *f = *state;
	struct rewrite_setup s = from_pbx(f);

	f->attribute.action = POLICY_ACTION_REPLACE_URI;
	run(f, &s, "sip:bob@far.example", FROM_A, TO_A, CONTACT_A);
	is(&f->out.ruri, "sip:bob@trunk.example");
	is(&f->out.from, "\"Al\" <sip:4930100@a.trunk.example>");
}

static void without_owner_local_hosts_become_the_sbcs(void **state)
{
	struct fixture *f = *state;
	struct rewrite_setup s = from_pbx(f);

	s.owner.agent = NULL;
	s.to_trunk = false;
	run(f, &s, CALLED, "<sip:999@evil.example>;tag=1", TO_A,
	    CONTACT_A "Diversion: <sip:5@127.0.0.12>\r\n");
	is(&f->out.ruri, "sip:0301234@trunk.example");
	is(&f->out.from, "<sip:999@evil.example>");
	is(&f->out.to, "<sip:0301234@trunk.example>");
	header_is(f, HDR_DIVERSION, "<sip:5@127.0.0.1>");

	run(f, &s, CALLED, "<sip:999@127.0.0.12:5062>;tag=1", TO_A, "");
	is(&f->out.from, "<sip:999@127.0.0.1>");
	is(&f->out.contact, "sip:127.0.0.1:5060");
}

/* The tables of 5.2 and 5.3 cell by cell. Parts of a request, by what the leg
 * writes or by header id */
enum part {
	RURI = HDR_IDS,
	FROM,
	TO,
	CONTACT
};

static void part_is(const struct fixture *f, size_t row, int part,
		    const char *expected)
{
	struct pl value;

	switch (part) {
	case RURI:
		value = f->out.ruri;
		break;
	case FROM:
		value = f->out.from;
		break;
	case TO:
		value = f->out.to;
		break;
	case CONTACT:
		value = f->out.contact;
		break;
	default:
		value = message_value(f->out_msg, (enum header_id)part);
		break;
	}
	if (pl_strcmp(&value, expected))
		fail_msg("row %zu: '%.*s' is not '%s'", row, (int)value.l,
			 value.p, expected);
}

struct cell {
	int part;
	const char *in;
	const char *own;   /* first column */
	const char *other; /* second column; NULL: as the first */
};

static void cell_try(struct fixture *f, struct rewrite_setup *s, size_t row,
		     const struct cell *c, const char *ruri, const char *from,
		     const char *to)
{
	char line[512] = "";

	if (c->part == CONTACT)
		snprintf(line, sizeof(line), "Contact: %s\r\n", c->in);
	else if (c->part < HDR_IDS)
		snprintf(line, sizeof(line), "%s: %s\r\n",
			 header_id_name((enum header_id)c->part), c->in);
	if (try(f, s, c->part == RURI ? c->in : ruri,
		c->part == FROM ? c->in : from, c->part == TO ? c->in : to,
		line))
		fail_msg("row %zu is refused", row);
}

static void each_cell_of_5_2_from_the_pbx_towards_its_trunk(void **state)
{
	static const struct cell cells[] = {
		/* Request-URI host: local ones become register-host */
		{ RURI, "sip:030@127.0.0.2", "sip:030@a.trunk.example",
		  "sip:030@trunk.example" },
		{ RURI, "sip:030@127.0.0.12:5070;user=phone",
		  "sip:030@a.trunk.example;user=phone",
		  "sip:030@trunk.example;user=phone" },
		{ RURI, "sip:030@127.0.0.1", "sip:030@a.trunk.example",
		  "sip:030@trunk.example" },
		{ RURI, "sip:030@PBX-A.local;transport=udp;x=y",
		  "sip:030@a.trunk.example;x=y", "sip:030@trunk.example;x=y" },
		{ RURI, "sip:030@far.example:5070;x=y",
		  "sip:030@far.example:5070;x=y", NULL },
		{ RURI, "sip:030@9.9.9.9", "sip:030@9.9.9.9", NULL },
		{ RURI, "tel:+49301", "tel:+49301", NULL },
		/* From user: an AoR stays, another becomes the owner's */
		{ FROM, "<sip:4930107@pbx-a.local>;tag=1",
		  "<sip:4930107@a.trunk.example>", "<sip:4930107@127.0.0.1>" },
		{ FROM, "\"N\" <sip:999@pbx-a.local;x=y>;tag=1;p=q",
		  "\"N\" <sip:4930100@a.trunk.example;x=y>;p=q",
		  "\"N\" <sip:999@127.0.0.1;x=y>;p=q" },
		{ FROM, "sip:4930100@127.0.0.12;tag=1",
		  "<sip:4930100@a.trunk.example>", "<sip:4930100@127.0.0.1>" },
		{ FROM, "<sip:999@far.example>;tag=1",
		  "<sip:4930100@a.trunk.example>", "<sip:999@far.example>" },
		{ FROM, "<sip:anonymous@pbx-a.local>;tag=1",
		  "<sip:anonymous@a.trunk.example>",
		  "<sip:anonymous@127.0.0.1>" },
		{ FROM, "<sip:anonymous@anonymous.invalid>;tag=1",
		  "<sip:anonymous@anonymous.invalid>", NULL },
		/* To: the user stays, the host is the Request-URI's; no tag */
		{ TO, "\"T\" <sip:030@127.0.0.2>",
		  "\"T\" <sip:030@a.trunk.example>",
		  "\"T\" <sip:030@trunk.example>" },
		{ TO, "<sip:031@pbx-a.local>", "<sip:031@a.trunk.example>",
		  "<sip:031@trunk.example>" },
		/* Contact: own address and port, user of the PBX's */
		{ CONTACT, "<sip:u1@127.0.0.12:5070;x=y>;p=q",
		  "sip:u1@127.0.0.1:5060", NULL },
		{ CONTACT, "<sip:127.0.0.12>", "sip:127.0.0.1:5060", NULL },
		/* the rest: user stays, local hosts become the From's */
		{ HDR_P_ASSERTED_IDENTITY, "<sip:4930109@pbx-a.local>",
		  "<sip:4930109@a.trunk.example>", "<sip:4930109@127.0.0.1>" },
		{ HDR_P_ASSERTED_IDENTITY, "<sip:1@127.0.0.12>, <tel:+4930>",
		  "<sip:4930100@a.trunk.example>, "
		  "<sip:4930100@a.trunk.example>",
		  "<sip:1@127.0.0.1>, <tel:+4930>" },
		{ HDR_P_PREFERRED_IDENTITY, "<sip:4930100@pbx-a.local>", "",
		  NULL },
		{ HDR_DIVERSION, "<sip:9@127.0.0.12>;reason=x, sip:8@f.example",
		  "<sip:9@a.trunk.example>;reason=x, <sip:8@f.example>",
		  "<sip:9@127.0.0.1>;reason=x, <sip:8@f.example>" },
		{ HDR_HISTORY_INFO, "<sip:9@127.0.0.2?Reason=x>;index=1",
		  "<sip:9@a.trunk.example?Reason=x>;index=1",
		  "<sip:9@127.0.0.1?Reason=x>;index=1" },
		{ HDR_REFERRED_BY, "\"R\" <sip:9@127.0.0.12;x=y>;cid=1",
		  "\"R\" <sip:9@a.trunk.example;x=y>;cid=1",
		  "\"R\" <sip:9@127.0.0.1;x=y>;cid=1" },
		{ HDR_REFERRED_BY, "not an address", "", NULL },
		/* an address of the PBX's side is one of the PBX */
		{ HDR_DIVERSION, "<sip:9@10.1.2.3>", "<sip:9@a.trunk.example>",
		  "<sip:9@127.0.0.1>" },
	};
	struct fixture *f = *state;

	item_set(&element_realm_config, f->realm_a, "addr-prefix",
		 "10.1.0.0/16");
	for (size_t i = 0; i < 2 * (sizeof(cells) / sizeof(*cells)); i++) {
		const struct cell *c = &cells[i / 2];
		struct rewrite_setup s = from_pbx(f);

		s.trusted = true;
		if (i % 2) {
			s.owner.agent = NULL;
			s.to_trunk = false;
		}
		cell_try(f, &s, i / 2, c, CALLED, FROM_A, TO_A);
		part_is(f, i / 2, c->part,
			i % 2 && c->other ? c->other : c->own);
	}
}

/* An owned call that leaves by another realm than its trunk's: second column */
static void towards_another_realm_an_owner_changes_nothing(void **state)
{
	struct fixture *f = *state;
	struct rewrite_setup s = from_pbx(f);

	s.to_trunk = false;
	s.trusted = true;
	run(f, &s, CALLED, FROM_A, TO_A,
	    CONTACT_A "P-Preferred-Identity: <sip:4930100@pbx-a.local>\r\n"
		      "Diversion: <sip:1@pbx-a.local>\r\n");
	is(&f->out.ruri, "sip:0301234@trunk.example");
	is(&f->out.from, "\"Al\" <sip:4930100@127.0.0.1>");
	header_is(f, HDR_DIVERSION, "<sip:1@127.0.0.1>");
	header_is(f, HDR_P_PREFERRED_IDENTITY, "");
}

static void each_cell_of_5_3_from_the_trunk_towards_the_pbx(void **state)
{
	static const struct cell cells[] = {
		/* first column: a registered contact; second: local-policy */
		{ RURI, "sip:a-4930105@127.0.0.1;x=y;user=phone",
		  "sip:4930105@pbx-a.local;user=phone",
		  "sip:a-4930105@pbx-a.local;x=y;user=phone" },
		{ RURI, "sip:a-4930105@127.0.0.1:5060;transport=udp",
		  "sip:4930105@pbx-a.local", "sip:a-4930105@pbx-a.local" },
		{ TO, "\"T\" <sip:0309@a.trunk.example>",
		  "\"T\" <sip:0309@pbx-a.local>", NULL },
		{ TO, "<sip:0309@far.example>", "<sip:0309@pbx-a.local>",
		  NULL },
		{ FROM, "\"C\" <sip:0301@a.trunk.example>;tag=1",
		  "\"C\" <sip:0301@pbx-a.local>", NULL },
		{ FROM, "<sip:0301@far.example;x=y>;tag=1",
		  "<sip:0301@pbx-a.local;x=y>", NULL },
		{ FROM, "<sip:anonymous@anonymous.invalid>;tag=1",
		  "<sip:anonymous@anonymous.invalid>", NULL },
		{ FROM, "<sip:anonymous@a.trunk.example>;tag=1",
		  "<sip:anonymous@pbx-a.local>", NULL },
		{ CONTACT, "<sip:gw7@127.0.0.11:5080;x=y>",
		  "sip:gw7@127.0.0.2:5060", NULL },
		{ HDR_P_ASSERTED_IDENTITY, "<sip:0301@a.trunk.example>",
		  "<sip:0301@pbx-a.local>", NULL },
		{ HDR_DIVERSION,
		  "<sip:1@a.trunk.example>, <sip:2@127.0.0.11>, "
		  "<sip:3@127.0.0.1>, <sip:4@far.example>",
		  "<sip:1@pbx-a.local>, <sip:2@pbx-a.local>, "
		  "<sip:3@pbx-a.local>, <sip:4@far.example>",
		  NULL },
		{ HDR_HISTORY_INFO, "<sip:1@A.Trunk.Example>;index=1",
		  "<sip:1@pbx-a.local>;index=1", NULL },
		{ HDR_P_CALLED_PARTY_ID, "<sip:4930105@127.0.0.11>",
		  "<sip:4930105@pbx-a.local>", NULL },
		{ HDR_P_PREFERRED_IDENTITY, "<sip:1@a.trunk.example>", "",
		  NULL },
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < 2 * (sizeof(cells) / sizeof(*cells)); i++) {
		const struct cell *c = &cells[i / 2];
		struct rewrite_setup s = from_trunk(f);

		f->to_pbx.policy = i % 2 ? &f->policy : NULL;
		s.trusted = true;
		cell_try(f, &s, i / 2, c, "sip:a-4930105@127.0.0.1",
			 "<sip:0301@a.trunk.example>;tag=1",
			 "<sip:4930105@a.trunk.example>");
		part_is(f, i / 2, c->part,
			i % 2 && c->other ? c->other : c->own);
		is(&f->out.routes, "");
	}
}

/* uri-fqdn-domain of the egress sip-interface: in Request-URI, From and To, and
 * never in the place of register-host */
static void uri_fqdn_domain_stands_in_for_all_but_register_host(void **state)
{
	static const struct {
		bool owned;
		const char *uri, *ruri, *from;
	} rows[] = {
		{ true, "sip:030@127.0.0.2", "sip:030@a.trunk.example",
		  "<sip:4930100@a.trunk.example>" },
		{ true, "sip:030@far.example", "sip:030@fqdn.example",
		  "<sip:4930100@a.trunk.example>" },
		{ true, "sip:030@a.trunk.example", "sip:030@a.trunk.example",
		  "<sip:4930100@a.trunk.example>" },
		{ false, "sip:030@127.0.0.2", "sip:030@fqdn.example",
		  "<sip:4930100@fqdn.example>" },
		{ false, "sip:030@far.example", "sip:030@fqdn.example",
		  "<sip:4930100@fqdn.example>" },
	};
	static char fqdn[] = "fqdn.example";
	struct fixture *f = *state;
	struct rewrite_setup s = from_pbx(f);
	struct sip_interface *interface =
		(struct sip_interface *)(uintptr_t)s.egress->interface;
	char *before = interface->uri_fqdn_domain;
	char to[64];

	interface->uri_fqdn_domain = fqdn;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		s = from_pbx(f);
		if (!rows[i].owned) {
			s.owner.agent = NULL;
			s.to_trunk = false;
		}
		snprintf(to, sizeof(to), "<%s>", rows[i].uri);
		run(f, &s, rows[i].uri, "<sip:4930100@pbx-a.local>;tag=1", to,
		    CONTACT_A);
		is(&f->out.ruri, rows[i].ruri);
		is(&f->out.from, rows[i].from);
		snprintf(to, sizeof(to), "<%s>", rows[i].ruri);
		is(&f->out.to, to);
	}
	interface->uri_fqdn_domain = before;
}

/* RFC 3966: a number as tel URI, a local one with its context */
static void teluri_scheme_writes_tel_uris(void **state)
{
	struct fixture *f = *state;
	struct rewrite_setup s = from_pbx(f);
	struct sip_interface *interface =
		(struct sip_interface *)(uintptr_t)s.egress->interface;

	interface->teluri_scheme = true;
	run(f, &s, "sip:+49301234@127.0.0.2", FROM_A,
	    "<sip:+49301234@127.0.0.2>", CONTACT_A);
	is(&f->out.ruri, "tel:+49301234");
	is(&f->out.to, "<tel:+49301234>");
	is(&f->out.from, "\"Al\" <tel:4930100;phone-context=a.trunk.example>");
	is(&f->out.contact, "sip:4930100@127.0.0.1:5060");
	run(f, &s, "sip:bob@127.0.0.2",
	    "<sip:anonymous@anonymous.invalid>;tag=1", "<sip:bob@127.0.0.2>",
	    CONTACT_A);
	is(&f->out.ruri, "sip:bob@a.trunk.example");
	is(&f->out.to, "<sip:bob@a.trunk.example>");
	is(&f->out.from, "<sip:anonymous@anonymous.invalid>");
	interface->teluri_scheme = false;
}

static void p_asserted_id_is_put_in_for_trusted_peers(void **state)
{
	struct fixture *f = *state;
	struct rewrite_setup s = from_pbx(f);
	static char id[] = "sip:4930107@pbx-a.local";
	char *before = f->pbx_a->p_asserted_id;

	f->pbx_a->p_asserted_id = id;
	run(f, &s, CALLED, FROM_A, TO_A, "");
	assert_null(message_first(f->out_msg, HDR_P_ASSERTED_IDENTITY));
	s.trusted = true;
	run(f, &s, CALLED, FROM_A, TO_A, "");
	header_is(f, HDR_P_ASSERTED_IDENTITY, "<sip:4930107@a.trunk.example>");
	f->pbx_a->p_asserted_id = before;
}

/* 5.2: "local host" names customer-host; it is not asked whose, nor whether that
 * agent is enabled */
static void names_of_a_disabled_agents_pbx_stay_on_its_side(void **state)
{
	static const char *const hosts[] = { "pbx-a.local", "PBX-A.local.",
					     "sbc.a.example", "10.9.9.9",
					     "[2001:db8:0::9]" };
	static const char *const others[] = { "pbx-b.local", "10.9.9.8",
					      "a.local" };
	struct fixture *f = *state;
	struct rewrite_setup s;

	item_set(&element_surrogate_agent, f->a, "state", "disabled");
	item_set(&element_surrogate_agent, f->a, "register-contact-host",
		 "sbc.a.example");
	tenant(f->cfg, "c.trunk.example", "pbx-a", "10.9.9.9", "c-493010^");
	tenant(f->cfg, "d.trunk.example", "pbx-a", "2001:db8::9", "d-493010^");
	plan_give(f->plan);
	assert_int_equal(plan_alloc(&f->plan, f->cfg), 0);

	s = from_pbx(f);
	s.owner.agent = NULL;
	s.to_trunk = false;
	for (size_t i = 0; i < sizeof(hosts) / sizeof(*hosts); i++) {
		char from[64];

		snprintf(from, sizeof(from), "<sip:4930100@%s>;tag=1",
			 hosts[i]);
		run(f, &s, CALLED, from, TO_A, "");
		assert_int_equal(
			pl_strcmp(&f->out.from, "<sip:4930100@127.0.0.1>"), 0);
	}
	for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++) {
		char from[64], same[64];

		snprintf(from, sizeof(from), "<sip:4930100@%s>;tag=1",
			 others[i]);
		snprintf(same, sizeof(same), "<sip:4930100@%s>", others[i]);
		run(f, &s, CALLED, from, TO_A, "");
		assert_int_equal(pl_strcmp(&f->out.from, same), 0);
	}
}

static void what_cannot_be_read_does_not_go_on(void **state)
{
	struct fixture *f = *state;
	struct rewrite_setup s = from_pbx(f);

	run(f, &s, CALLED, FROM_A, TO_A,
	    "Diversion: <sip:pbx-a.local\r\nReferred-By: sip:x@y@pbx-a.local"
	    "\r\n");
	assert_null(message_first(f->out_msg, HDR_DIVERSION));
	assert_null(message_first(f->out_msg, HDR_REFERRED_BY));
	assert_false(names(f, "pbx-a.local"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
		TEST(the_trunk_sees_its_own_domain_and_nothing_of_the_pbx),
		TEST(inside_a_call_identities_are_rewritten_and_none_is_made_up),
		TEST(inside_a_call_refer_to_becomes_the_request_uri_of_the_transfer),
		TEST(replace_contact_gives_the_registered_contact),
		TEST(the_service_route_leads_to_the_registrar_only),
		TEST(a_registered_contact_becomes_the_aor_at_the_pbx),
		TEST(the_contact_of_b_becomes_the_aor_at_pbx_b),
		TEST(sip_connect_takes_the_called_party),
		TEST(a_pbx_cannot_call_the_contact_of_another),
		TEST(a_call_by_policy_keeps_the_called_user),
		TEST(without_customer_host_the_session_agent_or_target_is_named),
		TEST(a_number_that_is_no_aor_becomes_the_owner),
		TEST(an_associated_uri_of_the_owners_agent_stays),
		TEST(anonymous_stays_and_is_told_to_whom_it_may_concern),
		TEST(another_host_than_a_local_one_stays),
		TEST(replace_uri_names_the_next_hop),
		TEST(without_owner_local_hosts_become_the_sbcs),
		TEST(each_cell_of_5_2_from_the_pbx_towards_its_trunk),
		TEST(towards_another_realm_an_owner_changes_nothing),
		TEST(each_cell_of_5_3_from_the_trunk_towards_the_pbx),
		TEST(uri_fqdn_domain_stands_in_for_all_but_register_host),
		TEST(teluri_scheme_writes_tel_uris),
		TEST(p_asserted_id_is_put_in_for_trusted_peers),
		TEST(names_of_a_disabled_agents_pbx_stay_on_its_side),
		TEST(what_cannot_be_read_does_not_go_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
