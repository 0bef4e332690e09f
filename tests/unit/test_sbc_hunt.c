/*
 * The rows of behaviour.md 2.4, 2.8 and 2.9: which hop comes next, and what the
 * caller gets, in virtual time
 */
#include <errno.h>
#include "sbc/clock.h"
#include "sbc/resolver.h"
#include "tests/unit/core_fixture.h"
#include "tests/unit/fake_credentials.h"
#include "tests/unit/fake_forward.h"
#include "tests/unit/fake_port.h"
#include "tests/unit/fake_resolver.h"

#define CHALLENGE                                                              \
	"Proxy-Authenticate: Digest realm=\"trunk.example\", nonce=\"n1\", "   \
	"qop=\"auth\"\r\n"

enum {
	SILENT = 0,
	TIMER_B = 33000 /* [ms] */
};

static struct local_policy *policy(void)
{
	return (struct local_policy *)config_at(core.cfg, &element_local_policy,
						0);
}

static struct policy_attribute *first_route(void)
{
	return policy()->policy_attributes.v[0];
}

static struct policy_attribute *route(const char *next_hop, const char *cost)
{
	return item_add(&policy()->policy_attributes, &element_policy_attribute,
			"next-hop", next_hop, "realm", "trunk", "cost", cost,
			NULL);
}

static void set(struct policy_attribute *a, const char *name, const char *text)
{
	item_set(&element_policy_attribute, a, name, text);
}

static struct sip_interface *interface_of(const char *realm)
{
	struct pl key;

	pl_set_str(&key, realm);
	return (struct sip_interface *)config_find(
		core.cfg, &element_sip_interface, &key);
}

static void calls(void)
{
	peer_calls(&pbx, "sip:0301234@127.0.0.2", NULL, SDP_PBX);
}

static bool is_silent_about(struct peer *p)
{
	return peer_hears_no(p, "INVITE");
}

/* --- 2.4: the next hop, or the end ----------------------------------------- */

static void each_event_leads_to_the_next_hop_or_to_the_end(void **s)
{
	/* What the first hop does, whether the second is tried (which answers
	 * 404), and what the caller hears */
	static const struct {
		uint16_t code;
		const char *stop; /* stop-recurse of the session-agent */
		bool next;
		uint16_t heard;
	} rows[] = {
		{ SILENT, "", true, 404 },  { 400, "", true, 404 },
		{ 403, "", true, 404 },     { 404, "", true, 404 },
		{ 408, "", true, 404 },     { 480, "", true, 404 },
		{ 486, "", true, 404 },     { 486, "486", false, 486 },
		{ 500, "", true, 404 },     { 503, "", true, 404 },
		{ 503, "503", false, 503 }, { 504, "500-599", false, 504 },
		{ 401, "", false, 401 },    { 407, "", false, 407 },
		{ 600, "", false, 600 },    { 603, "", false, 603 },
	};

	core_teardown(s);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct message *invite;

		core_setup(s);
		route("127.0.0.14", "1");
		item_set(&element_session_agent, core.agent_trunk,
			 "stop-recurse", rows[i].stop);
		core_start();
		calls();
		invite = peer_request(&trunk, "INVITE");
		if (rows[i].code)
			peer_answers(&trunk, invite, rows[i].code, NULL, NULL);
		else
			core_run(TIMER_B);
		if (rows[i].next) {
			struct message *again = peer_request(&third, "INVITE");

			/* a new route is a new Call-ID and From tag */
			assert_int_not_equal(
				pl_cmp(&again->callid, &invite->callid), 0);
			assert_int_not_equal(
				pl_cmp(&again->from_tag, &invite->from_tag), 0);
			peer_answers(&third, again, 404, NULL, NULL);
		} else if (!is_silent_about(&third)) {
			fail_msg("%u led to another hop", rows[i].code);
		}
		peer_answer(&pbx, rows[i].heard);
		peer_acks(&pbx, NULL);
		core_teardown(s);
	}
	core_setup(s);
}

static void a_code_of_the_sip_interface_stops_and_goes_to_the_caller(void **s)
{
	struct message *invite;
	(void)s;

	route("127.0.0.14", "1");
	route("127.0.0.11:5070", "2");
	item_set(&element_sip_interface, interface_of("trunk"), "stop-recurse",
		 "401 407 488");
	core_start();
	calls();
	peer_answers(&trunk, peer_request(&trunk, "INVITE"), 415, NULL, NULL);
	invite = peer_request(&third, "INVITE");
	peer_answers(&third, invite, 488, NULL, NULL);
	/* although 415 would be better by RFC 3261 16.7 */
	peer_answer(&pbx, 488);
	assert_true(is_silent_about(&trunk));
}

static void without_401_and_407_in_stop_recurse_a_final_one_leads_on(void **s)
{
	(void)s;

	route("127.0.0.14", "1");
	item_set(&element_sip_interface, interface_of("trunk"), "stop-recurse",
		 "");
	set(first_route(), "auth-user-lookup", "");
	core_start();
	calls();
	peer_answers(&trunk, peer_request(&trunk, "INVITE"), 407, CHALLENGE,
		     NULL);
	peer_answers(&third, peer_request(&third, "INVITE"), 404, NULL, NULL);
	/* 16.7: 407 before 404 */
	peer_answer(&pbx, 407);
}

static void terminate_recursion_ends_with_its_route(void **s)
{
	(void)s;

	set(first_route(), "terminate-recursion", "enabled");
	route("127.0.0.14", "1");
	core_start();
	calls();
	peer_answers(&trunk, peer_request(&trunk, "INVITE"), 500, NULL, NULL);
	peer_answer(&pbx, 500);
	assert_true(is_silent_about(&third));
}

static void the_caller_gets_the_best_answer(void **s)
{
	/* What two hops answer, and what the caller hears; 408 and 503 of the
	 * hops are answers, SILENT none */
	static const uint16_t rows[][3] = {
		{ 404, 480, 480 },    { 480, 404, 404 },
		{ 500, 404, 404 },    { 404, 500, 404 },
		{ 415, 404, 415 },    { 404, 484, 484 },
		{ 503, 500, 500 },    { 486, 603, 603 },
		{ 503, 404, 404 },    { SILENT, 404, 404 },
		{ 404, SILENT, 404 }, { 503, SILENT, 503 },
		{ SILENT, 503, 503 }, { SILENT, SILENT, 408 },
	};

	core_teardown(s);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct peer *const hops[] = { &trunk, &third };
		struct message *answer;

		core_setup(s);
		route("127.0.0.14", "1");
		core_start();
		calls();
		for (size_t k = 0; k < 2; k++) {
			struct message *invite =
				peer_request(hops[k], "INVITE");

			if (rows[i][k])
				peer_answers(hops[k], invite, rows[i][k],
					     "Retry-After: 20\r\n", NULL);
			else
				core_run(TIMER_B);
		}
		answer = peer_answer(&pbx, rows[i][2]);
		/* the caller shall not shut out the whole SBC */
		if (rows[i][2] == 503)
			assert_null(message_first(answer, HDR_RETRY_AFTER));
		core_teardown(s);
	}
	core_setup(s);
}

/* --- sip-recursion-policy ---------------------------------------------------- */

static void recursion_ends_when_a_code_came_often_enough(void **s)
{
	/* Answers of four hops; how many of them are tried */
	static const struct {
		const char *mode, *global;
		uint16_t codes[4];
		unsigned tried;
	} rows[] = {
		{ "consecutive", "0", { 500, 500, 500, 500 }, 2 },
		{ "consecutive", "0", { 500, 404, 500, 404 }, 4 },
		{ "consecutive", "0", { 404, 500, 500, 404 }, 3 },
		{ "absolute", "0", { 500, 404, 500, 404 }, 3 },
		{ "absolute", "0", { 404, 404, 404, 500 }, 4 },
		{ "absolute", "3", { 404, 404, 404, 404 }, 3 },
		{ "consecutive", "1", { 404, 404, 404, 404 }, 1 },
	};

	core_teardown(s);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct sip_recursion_policy *p;
		unsigned tried = 0;

		core_setup(s);
		p = config_add(core.cfg, &element_sip_recursion_policy, "name",
			       "careful", "mode", rows[i].mode, "global-count",
			       rows[i].global, NULL);
		item_add(&p->sip_response_codes, &element_sip_response_code,
			 "response-code", "500", "attempts", "2", NULL);
		for (unsigned k = 1; k < 4; k++) {
			char name[] = "n#.example", cost[] = "#";

			name[1] = cost[0] = (char)('0' + k);
			config_add(core.cfg, &element_session_agent, "hostname",
				   name, "ip-address", "127.0.0.11", "realm-id",
				   "trunk", "sip-recursion-policy", "careful",
				   NULL);
			route(name, cost);
		}
		item_set(&element_session_agent, core.agent_trunk,
			 "sip-recursion-policy", "careful");
		core_start();
		calls();
		while (tried < 4 && !is_silent_about(&trunk))
			peer_answers(&trunk, peer_request(&trunk, "INVITE"),
				     rows[i].codes[tried++], NULL, NULL);
		assert_int_equal(tried, rows[i].tried);
		core_teardown(s);
	}
	core_setup(s);
}

/* --- 3xx ------------------------------------------------------------------ */

static void redirect_action_decides_about_3xx(void **s)
{
	static const struct {
		const char *of_agent, *of_interface;
		uint16_t code;
		bool followed;
	} rows[] = {
		{ "", "proxy", 302, true },
		{ "recurse", "proxy", 300, true },
		{ "proxy", "recurse", 302, false },
		{ "recurse-305-only", "recurse", 302, false },
		{ "recurse-305-only", "recurse", 305, true },
		{ NULL, "proxy", 302, false },
		{ NULL, "recurse", 302, true },
		{ NULL, "recurse-305-only", 301, false },
		{ NULL, "recurse-305-only", 305, true },
	};

	core_teardown(s);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct peer *from = &trunk, *to = &third;
		struct message *invite, *again;

		core_setup(s);
		item_set(&element_sip_interface, interface_of("trunk"),
			 "redirect-action", rows[i].of_interface);
		if (rows[i].of_agent) {
			item_set(&element_session_agent, core.agent_trunk,
				 "redirect-action", rows[i].of_agent);
		} else {
			/* the first hop is no session-agent */
			from = &third;
			to = &trunk;
			set(route("127.0.0.14", "0"), "cost", "0");
			set(first_route(), "state", "disabled");
		}
		core_start();
		calls();
		invite = peer_request(from, "INVITE");
		snprintf(from->contact, sizeof(from->contact), "sip:777@%s",
			 to->ip);
		peer_answers(from, invite, rows[i].code, NULL, NULL);
		if (rows[i].followed) {
			again = peer_request(to, "INVITE");
			assert_true(peer_hears_no_answer(&pbx, 302));
			if (rows[i].code == 305)
				assert_int_equal(
					pl_cmp(&again->ruri, &invite->ruri), 0);
			else
				assert_true(memmem(again->ruri.p, again->ruri.l,
						   "sip:777@", 8) != NULL);
		} else {
			struct message *answer =
				peer_answer(&pbx, rows[i].code);

			/* it leads back to us, and names no peer */
			assert_true(header_has(answer, HDR_CONTACT,
					       "<sip:777@127.0.0.2:5060>"));
			assert_true(is_silent_about(to));
		}
		core_teardown(s);
	}
	core_setup(s);
}

static void contacts_are_tried_in_order_of_q(void **s)
{
	/* 1.0 where none is given; equal ones in their order */
	static const char *const expected[] = { "sip:3@127.0.0.14",
						"sip:2@127.0.0.14",
						"sip:4@127.0.0.14",
						"sip:9@127.0.0.14" };
	(void)s;

	core_start();
	calls();
	strcpy(trunk.contact, "sip:3@127.0.0.14");
	peer_answers(&trunk, peer_request(&trunk, "INVITE"), 300,
		     "Contact: <sip:9@127.0.0.14>;q=0.0, "
		     "<sip:4@127.0.0.14>;q=0.25\r\n"
		     "Contact: \"Two, or 2\" <sip:2@127.0.0.14>\r\n"
		     "Contact: <mailto:x@y.example>\r\n",
		     NULL);
	for (size_t i = 0; i < 4; i++) {
		struct message *invite = peer_request(&third, "INVITE");

		assert_int_equal(pl_strcmp(&invite->ruri, expected[i]), 0);
		peer_answers(&third, invite, 480, NULL, NULL);
	}
	peer_answer(&pbx, 480);
}

static void max_redirect_contacts_keeps_the_first(void **s)
{
	(void)s;

	item_set(&element_sip_interface, interface_of("trunk"),
		 "max-redirect-contacts", "1");
	core_start();
	calls();
	strcpy(trunk.contact, "sip:1@127.0.0.14");
	peer_answers(&trunk, peer_request(&trunk, "INVITE"), 302,
		     "Contact: <sip:2@127.0.0.14>\r\n", NULL);
	peer_answers(&third, peer_request(&third, "INVITE"), 480, NULL, NULL);
	peer_answer(&pbx, 480);
	assert_true(is_silent_about(&third));
}

static void who_redirects_to_himself_is_not_asked_for_ever(void **s)
{
	(void)s;

	item_set(&element_sip_interface, interface_of("trunk"),
		 "redirect-action", "recurse");
	core_start();
	calls();
	strcpy(trunk.contact, "sip:5@127.0.0.14");
	peer_answers(&trunk, peer_request(&trunk, "INVITE"), 302, NULL, NULL);
	strcpy(third.contact, "sip:5@127.0.0.14");
	peer_answers(&third, peer_request(&third, "INVITE"), 302,
		     "Contact: <sip:0301234@127.0.0.11>\r\n"
		     "Contact: <sip:5@127.0.0.14>;q=0.1\r\n",
		     NULL);
	/* 127.0.0.11 is asked for another URI than at first; not 127.0.0.14 */
	peer_answers(&trunk, peer_request(&trunk, "INVITE"), 486, NULL, NULL);
	peer_answer(&pbx, 486);
	assert_int_equal(core_calls(), 0);
}

static void a_3xx_without_use_is_a_failure_like_others(void **s)
{
	/* our own sip-port, another tenant's session-agent, no SIP */
	static const char *const rows[] = {
		"sip:1@127.0.0.1",     "sip:1@127.0.0.2:5060",
		"sip:1@pbx-b.example", "tel:123",
		"mailto:x@y.example",
	};

	core_teardown(s);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		core_setup(s);
		route("127.0.0.14", "1");
		core_start();
		calls();
		strcpy(trunk.contact, rows[i]);
		peer_answers(&trunk, peer_request(&trunk, "INVITE"), 302, NULL,
			     NULL);
		peer_answers(&third, peer_request(&third, "INVITE"), 404, NULL,
			     NULL);
		/* 16.7: the lowest class */
		peer_answer(&pbx, 302);
		assert_true(peer_hears_nothing(&pbx_b));
		core_teardown(s);
	}
	core_setup(s);
}

static void a_3xx_of_a_pbx_stays_in_its_tenant(void **s)
{
	struct message *invite;
	(void)s;

	core_start();
	peer_calls(&trunk, "sip:4930100@127.0.0.1", NULL, SDP_TRUNK);
	invite = peer_request(&pbx, "INVITE");
	strcpy(pbx.contact, "sip:1@trunk.example");
	peer_answers(&pbx, invite, 302,
		     "Contact: <sip:2@pbx-b.example>;q=0.5\r\n"
		     "Contact: <sip:3@127.0.0.12:5060>;q=0.2\r\n",
		     NULL);
	peer_request(&pbx, "ACK");
	invite = peer_request(&pbx, "INVITE");
	assert_int_equal(pl_strcmp(&invite->ruri, "sip:3@127.0.0.12:5060"), 0);
	peer_forgets(&trunk);
	assert_true(peer_hears_nothing(&pbx_b));
	peer_answers(&pbx, invite, 200, NULL, SDP_PBX);
	peer_answer(&trunk, 200);
}

static void credentials_of_the_route_serve_where_a_3xx_led(void **s)
{
	struct message *invite;
	(void)s;

	fake_credential("trunk", "trunk.example", "tenA", "a1", "secret");
	core_start();
	calls();
	strcpy(trunk.contact, "sip:1@127.0.0.14");
	peer_answers(&trunk, peer_request(&trunk, "INVITE"), 302, NULL, NULL);
	peer_answers(&third, peer_request(&third, "INVITE"), 407, CHALLENGE,
		     NULL);
	invite = peer_request(&third, "INVITE");
	assert_true(header_has(invite, HDR_PROXY_AUTHORIZATION, "a1"));
	peer_answers(&third, invite, 200, NULL, SDP_AT("127.0.0.14", "40100"));
	peer_answer(&pbx, 200);
}

/* --- parallel-forking -------------------------------------------------------- */

#define SDP_THIRD SDP_AT("127.0.0.14", "40300")

/* Two hops of equal cost, at trunk and third, and one behind them */
static void fork_setup(const char *parallel)
{
	item_set(&element_local_policy, policy(), "parallel-forking", parallel);
	route("127.0.0.14", "0");
	config_add(core.cfg, &element_session_agent, "hostname", "last.example",
		   "ip-address", "127.0.0.11", "realm-id", "trunk", NULL);
	route("last.example", "1");
	core_start();
	calls();
}

static void hops_of_equal_cost_ring_together_and_the_first_2xx_wins(void **s)
{
	struct message *one, *two, *ring_one, *ring_two, *answer;
	(void)s;

	fork_setup("enabled");
	one = peer_request(&trunk, "INVITE");
	two = peer_request(&third, "INVITE");
	assert_int_not_equal(pl_cmp(&one->callid, &two->callid), 0);
	assert_int_not_equal(pl_cmp(&one->from_tag, &two->from_tag), 0);
	peer_answers(&trunk, one, 180, NULL, NULL);
	ring_one = peer_answer(&pbx, 180);
	peer_answers(&third, two, 180, NULL, NULL);
	ring_two = peer_answer(&pbx, 180);
	/* one early dialog each (RFC 3261 12.1) */
	assert_int_not_equal(pl_cmp(&ring_one->to_tag, &ring_two->to_tag), 0);

	peer_answers(&third, two, 200, NULL, SDP_THIRD);
	answer = peer_answer(&pbx, 200);
	assert_int_equal(pl_cmp(&answer->to_tag, &ring_two->to_tag), 0);
	peer_request(&third, "ACK");
	peer_request(&trunk, "CANCEL");
	peer_answers(&trunk, one, 487, NULL, NULL);
	peer_request(&trunk, "ACK");
	peer_acks(&pbx, NULL);
	core_run(40000);
	assert_true(peer_hears_no(&pbx, "BYE"));
	assert_true(is_silent_about(&trunk));
	/* the dialog is that of the hop that won */
	peer_says(&pbx, "BYE", NULL, NULL);
	peer_request(&third, "BYE");
	assert_true(peer_hears_no(&trunk, "BYE"));
}

static void without_parallel_forking_one_hop_is_tried_at_a_time(void **s)
{
	(void)s;

	fork_setup("disabled");
	peer_answers(&trunk, peer_request(&trunk, "INVITE"), 480, NULL, NULL);
	peer_answers(&third, peer_request(&third, "INVITE"), 480, NULL, NULL);
	peer_answers(&trunk, peer_request(&trunk, "INVITE"), 480, NULL, NULL);
	peer_answer(&pbx, 480);
}

static void the_next_cost_follows_when_all_of_one_failed(void **s)
{
	struct message *one, *two;
	(void)s;

	fork_setup("enabled");
	one = peer_request(&trunk, "INVITE");
	two = peer_request(&third, "INVITE");
	peer_answers(&third, two, 404, NULL, NULL);
	assert_true(is_silent_about(&trunk));
	peer_answers(&trunk, one, 180, NULL, NULL);
	peer_answer(&pbx, 180);
	peer_answers(&trunk, one, 500, NULL, NULL);
	peer_answers(&trunk, peer_request(&trunk, "INVITE"), 503, NULL, NULL);
	peer_answer(&pbx, 404);
	assert_int_equal(core_calls(), 0);
}

static void hops_of_another_policy_do_not_ring_along(void **s)
{
	struct local_policy *other;
	(void)s;

	item_set(&element_local_policy, policy(), "parallel-forking",
		 "enabled");
	other = config_add(core.cfg, &element_local_policy, "from-address", "*",
			   "to-address", "* 1", "source-realm", "pbx-a",
			   "parallel-forking", "enabled", NULL);
	item_add(&other->policy_attributes, &element_policy_attribute,
		 "next-hop", "127.0.0.14", "realm", "trunk", NULL);
	core_start();
	calls();
	assert_true(is_silent_about(&third));
	peer_answers(&trunk, peer_request(&trunk, "INVITE"), 480, NULL, NULL);
	peer_request(&third, "INVITE");
}

static void routes_of_another_policy_between_them_wait(void **s)
{
	struct local_policy *other;
	struct message *one;
	(void)s;

	/* a shorter time comes first, so the second one of ours comes last */
	item_set(&element_local_policy, policy(), "parallel-forking",
		 "enabled");
	set(first_route(), "start-time", "0000");
	set(first_route(), "end-time", "2358");
	other = config_add(core.cfg, &element_local_policy, "from-address", "*",
			   "to-address", "* 1", "source-realm", "pbx-a", NULL);
	item_add(&other->policy_attributes, &element_policy_attribute,
		 "next-hop", "127.0.0.14", "realm", "trunk", "end-time", "2359",
		 NULL);
	route("127.0.0.13", "0");
	set(policy()->policy_attributes.v[1], "realm", "pbx-b");
	core_start();
	calls();
	one = peer_request(&trunk, "INVITE");
	peer_request(&pbx_b, "INVITE");
	assert_true(is_silent_about(&third));
	peer_answers(&trunk, one, 480, NULL, NULL);
	assert_true(is_silent_about(&third));
}

/* --- parallel-forking in several realms --------------------------------------- */

static uint32_t pairs_used(const char *realm)
{
	uint32_t used, left;

	ports_count(core.worker.media_ports,
		    realm_named(core.plan->realms, realm), &used, &left);
	return used;
}

/* Where packets of the PBX go; NULL: nowhere */
static const struct sa *heard_by(void)
{
	struct sa caller;

	sa_set_str(&caller, "127.0.0.12", 40000);
	for (uint32_t i = 1; i < 64; i++) {
		const struct flow_setup *f = fake_flow(i), *to;

		if (!f || !sa_cmp(&f->remote[0], &caller, SA_ALL))
			continue;
		to = fake_flow(f->partner);
		return to ? &to->remote[0] : NULL;
	}
	return NULL;
}

/* How many flows send to the PBX */
static uint32_t heard_from(void)
{
	struct sa caller;
	uint32_t n = 0;

	sa_set_str(&caller, "127.0.0.12", 40000);
	for (uint32_t i = 1; i < 64; i++) {
		const struct flow_setup *f = fake_flow(i), *to;

		to = f && !f->mute ? fake_flow(f->partner) : NULL;
		n += to && sa_cmp(&to->remote[0], &caller, SA_ALL);
	}
	return n;
}

static bool is_heard_by(const char *ip, uint16_t port)
{
	const struct sa *sa = heard_by();
	struct sa want;

	sa_set_str(&want, ip, port);
	return sa && sa_cmp(sa, &want, SA_ALL);
}

/* Two hops of equal cost, at the trunk and at PBX B */
static void realms_setup(const char *sdp)
{
	item_set(&element_local_policy, policy(), "parallel-forking",
		 "enabled");
	route("127.0.0.13", "0");
	set(policy()->policy_attributes.v[1], "realm", "pbx-b");
	core_start();
	peer_calls(&pbx, "sip:0301234@127.0.0.2", NULL, sdp);
}

static void hops_of_several_realms_ring_together_with_ports_of_their_own(
	void **s)
{
	struct message *one, *two, *answer;
	(void)s;

	realms_setup(SDP_PBX);
	one = peer_request(&trunk, "INVITE");
	two = peer_request(&pbx_b, "INVITE");
	assert_true(body_has(one, "c=IN IP4 127.0.0.1\r\n"));
	assert_true(body_has(two, "c=IN IP4 127.0.0.3\r\n"));
	assert_int_equal(pairs_used("trunk"), 1);
	assert_int_equal(pairs_used("pbx-b"), 1);
	assert_int_equal(pairs_used("pbx-a"), 1);

	peer_answers(&trunk, one, 183, NULL, SDP_TRUNK);
	assert_true(body_has(peer_answer(&pbx, 183), "c=IN IP4 127.0.0.2\r\n"));
	assert_true(is_heard_by("127.0.0.11", 40100));
	peer_answers(&pbx_b, two, 200, NULL, SDP_B);
	answer = peer_answer(&pbx, 200);
	assert_true(body_has(answer, "c=IN IP4 127.0.0.2\r\n"));
	peer_request(&pbx_b, "ACK");
	peer_request(&trunk, "CANCEL");
	peer_answers(&trunk, one, 487, NULL, NULL);
	peer_acks(&pbx, NULL);
	fake_forward_settle();
	assert_true(is_heard_by("127.0.0.13", 40200));
	assert_int_equal(heard_from(), 1);
	assert_int_equal(fake_flows(), 2);
	assert_int_equal(pairs_used("trunk"), 0);
	assert_int_equal(pairs_used("pbx-b"), 1);
	assert_int_equal(pairs_used("pbx-a"), 1);

	peer_says(&pbx, "BYE", NULL, NULL);
	peer_request(&pbx_b, "BYE");
	assert_true(peer_hears_no(&trunk, "BYE"));
}

static void early_media_are_those_of_the_realm_that_spoke_last(void **s)
{
	struct message *one, *two;
	(void)s;

	realms_setup(SDP_PBX);
	one = peer_request(&trunk, "INVITE");
	two = peer_request(&pbx_b, "INVITE");
	peer_answers(&trunk, one, 183, NULL, SDP_TRUNK);
	assert_true(is_heard_by("127.0.0.11", 40100));
	/* a word without SDP takes nothing away */
	peer_answers(&pbx_b, two, 180, NULL, NULL);
	assert_true(is_heard_by("127.0.0.11", 40100));
	peer_answers(&pbx_b, two, 183, NULL, SDP_B);
	assert_true(is_heard_by("127.0.0.13", 40200));
	assert_int_equal(heard_from(), 1);
	peer_answers(&trunk, one, 183, NULL, SDP_TRUNK);
	assert_true(is_heard_by("127.0.0.11", 40100));
	assert_int_equal(heard_from(), 1);

	/* the one that is heard fails: its ports go back, the other one may
	 * speak */
	peer_answers(&trunk, one, 486, NULL, NULL);
	fake_forward_settle();
	assert_int_equal(pairs_used("trunk"), 0);
	assert_int_equal(heard_from(), 0);
	peer_answers(&pbx_b, two, 200, NULL, SDP_B);
	peer_answer(&pbx, 200);
	assert_true(is_heard_by("127.0.0.13", 40200));
	assert_int_equal(heard_from(), 1);
}

static void without_an_offer_each_realm_makes_its_own(void **s)
{
	struct message *one, *two, *answer;
	(void)s;

	realms_setup(NULL);
	one = peer_request(&trunk, "INVITE");
	two = peer_request(&pbx_b, "INVITE");
	assert_false(one->body.l || two->body.l);
	peer_answers(&trunk, one, 180, NULL, NULL);
	peer_answers(&pbx_b, two, 200, NULL, SDP_B);
	answer = peer_answer(&pbx, 200);
	assert_true(body_has(answer, "c=IN IP4 127.0.0.2\r\n"));
	peer_acks(&pbx, SDP_PBX);
	assert_true(body_has(peer_request(&pbx_b, "ACK"),
			     "c=IN IP4 127.0.0.3\r\n"));
	assert_true(is_heard_by("127.0.0.13", 40200));
	assert_int_equal(pairs_used("trunk"), 0);
}

static void a_realm_without_a_free_port_leaves_the_others_alone(void **s)
{
	struct port_pair pair;
	const struct realm *realm;
	struct message *one;
	(void)s;

	item_set(&element_local_policy, policy(), "parallel-forking",
		 "enabled");
	route("127.0.0.13", "0");
	set(policy()->policy_attributes.v[1], "realm", "pbx-b");
	core_start();
	realm = realm_named(core.plan->realms, "pbx-b");
	while (!ports_take(core.worker.media_ports, realm, AF_INET, clock_ms(),
			   &pair))
		;
	calls();
	one = peer_request(&trunk, "INVITE");
	assert_true(peer_hears_no(&pbx_b, "INVITE"));
	peer_answers(&trunk, one, 200, NULL, SDP_TRUNK);
	peer_answer(&pbx, 200);
	assert_true(is_heard_by("127.0.0.11", 40100));
}

static void when_all_realms_fail_the_next_cost_has_the_caller_s_ports(void **s)
{
	struct message *one, *two, *last;
	(void)s;

	item_set(&element_local_policy, policy(), "parallel-forking",
		 "enabled");
	route("127.0.0.13", "0");
	set(policy()->policy_attributes.v[1], "realm", "pbx-b");
	route("127.0.0.14", "1");
	core_start();
	calls();
	one = peer_request(&trunk, "INVITE");
	two = peer_request(&pbx_b, "INVITE");
	peer_answers(&trunk, one, 183, NULL, SDP_TRUNK);
	peer_answers(&pbx_b, two, 183, NULL, SDP_B);
	peer_answers(&pbx_b, two, 480, NULL, NULL);
	assert_int_equal(pairs_used("pbx-b"), 0);
	peer_answers(&trunk, one, 480, NULL, NULL);
	last = peer_request(&third, "INVITE");
	fake_forward_settle();
	assert_int_equal(pairs_used("pbx-a"), 1);
	assert_int_equal(pairs_used("trunk"), 1);
	peer_answers(&third, last, 200, NULL, SDP_THIRD);
	peer_answer(&pbx, 200);
	assert_true(is_heard_by("127.0.0.14", 40300));
	assert_int_equal(heard_from(), 1);
}

/* The PBX acknowledges a reliable 183 of the trunk */
static void rings_reliably(const struct message *invite)
{
	struct message *progress;
	struct pl to, contact, rseq;
	char rack[64];

	peer_answers(&trunk, invite, 183, "Require: 100rel\r\nRSeq: 5\r\n",
		     SDP_TRUNK);
	progress = peer_answer(&pbx, 183);
	to = message_value(progress, HDR_TO);
	contact = message_value(progress, HDR_CONTACT);
	rseq = message_value(progress, HDR_RSEQ);
	re_snprintf(pbx.remote, sizeof(pbx.remote), "%r", &to);
	contact.p++;
	contact.l -= 2;
	re_snprintf(pbx.target, sizeof(pbx.target), "%r", &contact);
	re_snprintf(rack, sizeof(rack), "RAck: %r %u INVITE\r\n", &rseq,
		    pbx.cseq);
	peer_says(&pbx, "PRACK", rack, NULL);
	peer_answers(&trunk, peer_request(&trunk, "PRACK"), 200, NULL, NULL);
	peer_answer(&pbx, 200);
}

static void what_a_dead_branch_agreed_on_binds_nobody_else(void **s)
{
	struct {
		const char *realm, *hop;
		struct peer *peer;
		const char *sdp, *ip;
		uint16_t port;
	} rows[] = {
		{ "trunk", "127.0.0.14", &third, SDP_THIRD, "127.0.0.14",
		  40300 },
		{ "pbx-b", "127.0.0.13", &pbx_b, SDP_B, "127.0.0.13", 40200 },
	};

	core_teardown(s);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct message *one, *two;

		core_setup(s);
		item_set(&element_local_policy, policy(), "parallel-forking",
			 "enabled");
		route(rows[i].hop, "0");
		set(policy()->policy_attributes.v[1], "realm", rows[i].realm);
		core_start();
		peer_calls(&pbx, "sip:0301234@127.0.0.2",
			   "Supported: 100rel\r\n", SDP_PBX);
		one = peer_request(&trunk, "INVITE");
		two = peer_request(rows[i].peer, "INVITE");
		rings_reliably(one);
		/* an offer and its answer: what came before counts as agreed */
		peer_says(&pbx, "UPDATE", NULL, SDP_PBX);
		peer_answers(&trunk, peer_request(&trunk, "UPDATE"), 200, NULL,
			     SDP_TRUNK);
		peer_answer(&pbx, 200);
		peer_answers(&trunk, one, 486, NULL, NULL);
		peer_answers(rows[i].peer, two, 200, NULL, rows[i].sdp);
		assert_true(peer_answer(&pbx, 200)->body.l > 0);
		assert_true(is_heard_by(rows[i].ip, rows[i].port));
		core_teardown(s);
	}
	core_setup(s);
}

static void a_2xx_that_crosses_the_cancel_is_acked_and_hung_up(void **s)
{
	struct message *one, *two;
	(void)s;

	fork_setup("enabled");
	one = peer_request(&trunk, "INVITE");
	two = peer_request(&third, "INVITE");
	peer_answers(&trunk, one, 180, NULL, NULL);
	peer_answers(&third, two, 200, NULL, SDP_THIRD);
	peer_answer(&pbx, 200);
	peer_acks(&pbx, NULL);
	peer_forgets(&pbx);
	peer_request(&trunk, "CANCEL");
	peer_answers(&trunk, one, 200, NULL, SDP_TRUNK);
	peer_request(&trunk, "ACK");
	peer_request(&trunk, "BYE");
	assert_true(peer_hears_nothing(&pbx));
	assert_int_equal(core_calls(), 1);
}

static void a_hop_that_said_nothing_is_cancelled_with_its_first_1xx(void **s)
{
	struct message *one, *two;
	(void)s;

	fork_setup("enabled");
	one = peer_request(&trunk, "INVITE");
	two = peer_request(&third, "INVITE");
	peer_answers(&third, two, 200, NULL, SDP_THIRD);
	peer_answer(&pbx, 200);
	peer_acks(&pbx, NULL);
	assert_true(peer_hears_no(&trunk, "CANCEL"));
	peer_answers(&trunk, one, 180, NULL, NULL);
	peer_request(&trunk, "CANCEL");
	peer_forgets(&pbx);
	peer_answers(&trunk, one, 487, NULL, NULL);
	assert_true(peer_hears_nothing(&pbx));
}

static void the_caller_cancels_all_that_rings(void **s)
{
	struct message *one, *two, *cancel;
	(void)s;

	fork_setup("enabled");
	one = peer_request(&trunk, "INVITE");
	two = peer_request(&third, "INVITE");
	peer_answers(&trunk, one, 180, NULL, NULL);
	peer_answers(&third, two, 180, NULL, NULL);
	peer_cancels(&pbx);
	peer_answer(&pbx, 487);
	cancel = peer_request(&trunk, "CANCEL");
	assert_int_equal(pl_cmp(&cancel->callid, &one->callid), 0);
	cancel = peer_request(&third, "CANCEL");
	assert_int_equal(pl_cmp(&cancel->callid, &two->callid), 0);
	peer_answers(&trunk, one, 487, NULL, NULL);
	peer_answers(&third, two, 487, NULL, NULL);
	core_run(1);
	assert_int_equal(core_calls(), 0);
	assert_true(is_silent_about(&trunk));
}

static void a_6xx_or_a_code_that_stops_ends_all(void **s)
{
	static const struct {
		const char *stop;
		uint16_t code;
	} rows[] = { { "", 603 }, { "486", 486 }, { "", 407 } };

	core_teardown(s);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct message *one, *two;

		core_setup(s);
		item_set(&element_session_agent, core.agent_trunk,
			 "stop-recurse", rows[i].stop);
		fork_setup("enabled");
		one = peer_request(&trunk, "INVITE");
		two = peer_request(&third, "INVITE");
		peer_answers(&third, two, 180, NULL, NULL);
		peer_answer(&pbx, 180);
		peer_answers(&trunk, one, rows[i].code, NULL, NULL);
		peer_answer(&pbx, rows[i].code);
		peer_request(&third, "CANCEL");
		peer_answers(&third, two, 487, NULL, NULL);
		peer_acks(&pbx, NULL);
		core_run(1);
		assert_true(is_silent_about(&trunk));
		assert_int_equal(core_calls(), 0);
		core_teardown(s);
	}
	core_setup(s);
}

static void a_challenge_of_one_is_answered_while_the_other_rings(void **s)
{
	struct message *one, *two, *again;
	(void)s;

	fake_credential("trunk", "trunk.example", "tenA", "a1", "secret");
	fork_setup("enabled");
	one = peer_request(&trunk, "INVITE");
	two = peer_request(&third, "INVITE");
	peer_answers(&third, two, 180, NULL, NULL);
	peer_answers(&trunk, one, 407, CHALLENGE, NULL);
	again = peer_request(&trunk, "INVITE");
	assert_int_equal(pl_cmp(&one->callid, &again->callid), 0);
	assert_true(header_has(again, HDR_PROXY_AUTHORIZATION, "a1"));
	peer_forgets(&third);
	peer_answers(&trunk, again, 200, NULL, SDP_TRUNK);
	peer_answer(&pbx, 200);
	peer_request(&third, "CANCEL");
	assert_string_equal(core_the_call()->cdr.next_hop, "trunk.example");
	assert_int_equal(core_the_call()->cdr.routes_tried, 2);
}

static void the_longest_wait_of_those_that_ring_is_timer_c(void **s)
{
	struct message *one, *two;
	(void)s;

	fork_setup("enabled");
	one = peer_request(&trunk, "INVITE");
	two = peer_request(&third, "INVITE");
	peer_answers(&trunk, one, 180, NULL, NULL);
	peer_answers(&third, two, 486, NULL, NULL);
	core_run(179000);
	assert_true(peer_hears_no(&trunk, "CANCEL"));
	core_run(2000);
	peer_request(&trunk, "CANCEL");
	peer_answer(&pbx, 408);
}

static void a_hop_whose_name_takes_long_rings_along_when_it_is_known(void **s)
{
	struct message *one;
	(void)s;

	item_set(&element_local_policy, policy(), "parallel-forking",
		 "enabled");
	route("third.example", "0");
	fake_name("third.example", "127.0.0.14:5060", NULL);
	fake_resolver_fail(EINPROGRESS);
	core_start();
	calls();
	one = peer_request(&trunk, "INVITE");
	peer_answers(&trunk, one, 180, NULL, NULL);
	peer_answer(&pbx, 180);
	fake_resolver_fail(0);
	fake_resolver_answer(0);
	core_run(1);
	peer_answers(&third, peer_request(&third, "INVITE"), 200, NULL,
		     SDP_THIRD);
	peer_answer(&pbx, 200);
	peer_request(&trunk, "CANCEL");
}

static void a_name_that_is_asked_for_is_forgotten_when_another_answers(void **s)
{
	size_t waiting; /* the caller's Contact is asked for, too */
	(void)s;

	item_set(&element_local_policy, policy(), "parallel-forking",
		 "enabled");
	route("third.example", "0");
	fake_name("third.example", "127.0.0.14:5060", NULL);
	fake_resolver_fail(EINPROGRESS);
	core_start();
	calls();
	fake_resolver_fail(0);
	waiting = fake_resolver_waiting();
	peer_answers(&trunk, peer_request(&trunk, "INVITE"), 200, NULL,
		     SDP_TRUNK);
	peer_answer(&pbx, 200);
	assert_int_equal(fake_resolver_waiting(), waiting - 1);
	assert_true(is_silent_about(&third));
}

static void packets_flow_with_the_hop_that_won(void **s)
{
	struct message *one, *two;
	(void)s;

	fork_setup("enabled");
	one = peer_request(&trunk, "INVITE");
	two = peer_request(&third, "INVITE");
	/* one offer, one pair of ports for both */
	assert_int_equal(pl_cmp(&one->body, &two->body), 0);
	peer_answers(&trunk, one, 183, NULL, SDP_TRUNK);
	peer_answer(&pbx, 183);
	peer_answers(&third, two, 200, NULL, SDP_THIRD);
	assert_true(body_has(peer_answer(&pbx, 200), "c=IN IP4 127.0.0.2"));
	peer_acks(&pbx, NULL);
	peer_says(&third, "BYE", NULL, NULL);
	peer_request(&pbx, "BYE");
}

/* --- 2.8: targets ------------------------------------------------------------ */

/* The trunk has two addresses by DNS */
static void two_targets(void)
{
	item_set(&element_session_agent, core.agent_trunk, "ip-address", "");
	fake_name("trunk.example", "127.0.0.11:5060", "127.0.0.14:5060", NULL);
}

static void the_next_target_gets_the_same_request_on_a_new_branch(void **s)
{
	static const uint16_t codes[] = { SILENT, 503 };

	core_teardown(s);
	for (size_t i = 0; i < 2; i++) {
		struct message *one, *two;

		core_setup(s);
		two_targets();
		core_start();
		calls();
		one = peer_request(&trunk, "INVITE");
		if (codes[i])
			peer_answers(&trunk, one, codes[i], NULL, NULL);
		else
			core_run(TIMER_B);
		two = peer_request(&third, "INVITE");
		assert_int_equal(pl_cmp(&one->callid, &two->callid), 0);
		assert_int_equal(pl_cmp(&one->from_tag, &two->from_tag), 0);
		assert_int_equal(one->cseq, two->cseq);
		assert_int_not_equal(pl_cmp(&one->branch, &two->branch), 0);
		peer_answers(&third, two, 200, NULL,
			     SDP_AT("127.0.0.14", "40100"));
		peer_answer(&pbx, 200);
		core_teardown(s);
	}
	core_setup(s);
}

static void a_transport_error_leads_to_the_next_target_at_once(void **s)
{
	struct sa one = sa_of("127.0.0.11:5060"),
		  two = sa_of("127.0.0.14:5060");
	(void)s;

	two_targets();
	core_start();
	fake_port_fail(ECONNREFUSED);
	calls();
	fake_port_fail(0);
	assert_true(target_is_avoided(NULL, &one, TRANSPORT_UDP));
	assert_true(target_is_avoided(NULL, &two, TRANSPORT_UDP));
	/* the answer could not leave either; it is repeated */
	core_run(1000);
	peer_answer(&pbx, 503);
}

static void other_answers_stay_with_the_target(void **s)
{
	(void)s;

	two_targets();
	core_start();
	calls();
	peer_answers(&trunk, peer_request(&trunk, "INVITE"), 500, NULL, NULL);
	peer_answer(&pbx, 500);
	assert_true(is_silent_about(&third));
}

static void an_invite_waits_as_its_sip_interface_says(void **s)
{
	/* initial-inv-trans-expire and trans-expire of the sip-interface and of
	 * sip-config; when the next target is tried [s] */
	static const struct {
		const char *i_initial, *i_trans, *c_initial, *c_trans;
		unsigned wait;
	} rows[] = {
		{ "0", "0", "0", "32", 32 },  { "0", "0", "0", "7", 7 },
		{ "0", "0", "5", "32", 5 },   { "0", "9", "0", "32", 9 },
		{ "0", "9", "5", "32", 5 },   { "3", "9", "5", "32", 3 },
		{ "12", "9", "5", "32", 12 },
	};

	core_teardown(s);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct sip_interface *at;

		core_setup(s);
		two_targets();
		at = interface_of("trunk");
		item_set(&element_sip_interface, at, "initial-inv-trans-expire",
			 rows[i].i_initial);
		item_set(&element_sip_interface, at, "trans-expire",
			 rows[i].i_trans);
		item_set(&element_sip_config, core.sip,
			 "initial-inv-trans-expire", rows[i].c_initial);
		item_set(&element_sip_config, core.sip, "trans-expire",
			 rows[i].c_trans);
		core_start();
		calls();
		core_run(rows[i].wait * 1000 - 10);
		assert_true(is_silent_about(&third));
		core_run(20);
		peer_request(&third, "INVITE");
		core_teardown(s);
	}
	core_setup(s);
}

static void a_provisional_answer_ends_the_wait(void **s)
{
	struct message *invite;
	(void)s;

	two_targets();
	item_set(&element_sip_config, core.sip, "initial-inv-trans-expire",
		 "2");
	core_start();
	calls();
	invite = peer_request(&trunk, "INVITE");
	peer_answers(&trunk, invite, 100, NULL, NULL);
	core_run(60000);
	assert_true(is_silent_about(&third));
	peer_answers(&trunk, invite, 200, NULL, SDP_TRUNK);
	peer_answer(&pbx, 200);
}

static void a_503_keeps_calls_away_as_long_as_it_says_at_most_a_minute(void **s)
{
	static const struct {
		const char *header;
		unsigned s;
	} rows[] = {
		{ "", 30 },
		{ "Retry-After: 7\r\n", 7 },
		{ "Retry-After: 20 (busy);duration=5\r\n", 20 },
		{ "Retry-After: 3600\r\n", 60 },
		{ "Retry-After: 99999999999999999999\r\n", 60 },
		{ "Retry-After: soon\r\n", 30 },
	};
	struct sa sa = sa_of("127.0.0.11:5060");

	core_teardown(s);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		core_setup(s);
		two_targets();
		core_start();
		calls();
		peer_answers(&trunk, peer_request(&trunk, "INVITE"), 503,
			     rows[i].header, NULL);
		peer_answers(&third, peer_request(&third, "INVITE"), 404, NULL,
			     NULL);
		core_run(rows[i].s * 1000 - 10);
		assert_true(target_is_avoided(NULL, &sa, TRANSPORT_UDP));
		core_run(20);
		assert_false(target_is_avoided(NULL, &sa, TRANSPORT_UDP));
		core_teardown(s);
	}
	core_setup(s);
}

/* --- 2.9: nothing worked ----------------------------------------------------- */

static void what_cannot_be_reached_has_its_answer(void **s)
{
	static const struct {
		int dns;
		uint16_t code;
		const char *retry_after;
	} rows[] = {
		{ ENOENT, 404, NULL },
		{ ETIMEDOUT, 503, "5" },
		{ EAFNOSUPPORT, 503, NULL },
	};

	core_teardown(s);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		for (int later = 0; later < 2; later++) {
			struct message *answer;

			core_setup(s);
			two_targets();
			fake_resolver_fail(later ? EINPROGRESS : rows[i].dns);
			core_start();
			calls();
			fake_resolver_answer(rows[i].dns);
			core_run(1);
			answer = peer_answer(&pbx, rows[i].code);
			if (rows[i].retry_after)
				assert_true(header_has(answer, HDR_RETRY_AFTER,
						       rows[i].retry_after));
			else
				assert_null(
					message_first(answer, HDR_RETRY_AFTER));
			core_teardown(s);
		}
	}
	core_setup(s);
}

static void routes_out_of_service_are_skipped_and_503_says_when(void **s)
{
	static const char *const rows[] = { "0", "77" };

	core_teardown(s);
	for (size_t i = 0; i < 2; i++) {
		struct message *answer;

		core_setup(s);
		item_set(&element_sip_config, core.sip,
			 "retry-after-upon-offline", rows[i]);
		item_set(&element_session_agent, core.agent_trunk, "state",
			 "disabled");
		core_start();
		calls();
		answer = peer_answer(&pbx, 503);
		if (i)
			assert_true(header_has(answer, HDR_RETRY_AFTER, "77"));
		else
			assert_null(message_first(answer, HDR_RETRY_AFTER));
		assert_true(is_silent_about(&trunk));
		core_teardown(s);
	}
	core_setup(s);
}

static void too_few_answers_stop_the_realm_or_the_interface(void **s)
{
	core_teardown(s);
	for (int interface = 0; interface < 2; interface++) {
		core_setup(s);
		config_add(core.cfg, &element_session_constraints, "name",
			   "asr", "min-seizures", "4", "min-asr", "50",
			   "time-to-resume", "60", NULL);
		if (interface)
			item_set(&element_sip_interface, interface_of("trunk"),
				 "constraint-name", "asr");
		else
			item_set(&element_realm_config, core.trunk,
				 "constraint-name", "asr");
		core_start();
		for (int i = 0; i < 4; i++) {
			struct message *invite;

			calls();
			invite = peer_request(&trunk, "INVITE");
			peer_answers(&trunk, invite, i ? 486 : 200, NULL,
				     i ? NULL : SDP_TRUNK);
			peer_answer(&pbx, i ? 486 : 200);
			peer_acks(&pbx, NULL);
		}
		calls();
		peer_answer(&pbx, 503);
		assert_true(is_silent_about(&trunk));
		core_run(60000);
		peer_forgets(&trunk);
		calls();
		peer_request(&trunk, "INVITE");
		core_teardown(s);
	}
	core_setup(s);
}

/* A PBX in triggered mode that is registered, and out of service */
static void triggered_pbx(const char *response)
{
	struct message *request;

	config_add(core.cfg, &element_surrogate_agent, "register-host",
		   "trunk.example", "register-user", "user", "realm-id",
		   "pbx-a", "customer-next-hop", "pbx-a.example",
		   "register-contact-user", "cuser", "register-contact-host",
		   "127.0.0.1", "register-mode", "triggered",
		   "triggered-oos-response", response, NULL);
	core_start();
	/* it wakes up */
	peer_says(&pbx, "OPTIONS", NULL, NULL);
	core_run(1000);
	request = peer_request(&trunk, "REGISTER");
	snprintf(trunk.contact, sizeof(trunk.contact), "%s",
		 "sip:cuser@127.0.0.1");
	peer_answers(&trunk, request, 200, "Expires: 600\r\n", NULL);
	(void)agent_failed(agents_find(core.worker.agents, core.agent_pbx),
			   clock_ms());
	peer_forgets(&trunk);
	peer_calls(&trunk, "sip:cuser@127.0.0.1", NULL, SDP_TRUNK);
}

static void a_triggered_pbx_that_is_out_has_the_answer_it_wants(void **s)
{
	static const struct {
		const char *response;
		uint16_t code;
	} rows[] = { { "480", 480 }, { "503", 503 }, { "dropresponse", 0 } };

	core_teardown(s);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		core_setup(s);
		snprintf(pbx.target, sizeof(pbx.target), "sip:127.0.0.2");
		snprintf(pbx.local, sizeof(pbx.local), "<sip:x@y>;tag=1");
		snprintf(pbx.remote, sizeof(pbx.remote), "<sip:127.0.0.2>");
		snprintf(pbx.callid, sizeof(pbx.callid), "awake");
		triggered_pbx(rows[i].response);
		if (rows[i].code)
			peer_answer(&trunk, rows[i].code);
		core_run(5000);
		if (!rows[i].code)
			assert_true(peer_hears_nothing(&trunk));
		assert_true(is_silent_about(&pbx));
		assert_int_equal(core_calls(), 0);
		core_teardown(s);
	}
	core_setup(s);
}

static void a_skipped_route_says_less_than_an_answer(void **s)
{
	(void)s;

	item_set(&element_session_agent, core.agent_trunk, "state", "disabled");
	route("127.0.0.14", "1");
	core_start();
	calls();
	peer_answers(&third, peer_request(&third, "INVITE"), 486, NULL, NULL);
	peer_answer(&pbx, 486);
}

#define T(f) cmocka_unit_test_setup_teardown(f, core_setup, core_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(each_event_leads_to_the_next_hop_or_to_the_end),
		T(a_code_of_the_sip_interface_stops_and_goes_to_the_caller),
		T(without_401_and_407_in_stop_recurse_a_final_one_leads_on),
		T(terminate_recursion_ends_with_its_route),
		T(the_caller_gets_the_best_answer),
		T(recursion_ends_when_a_code_came_often_enough),
		T(redirect_action_decides_about_3xx),
		T(contacts_are_tried_in_order_of_q),
		T(max_redirect_contacts_keeps_the_first),
		T(who_redirects_to_himself_is_not_asked_for_ever),
		T(a_3xx_without_use_is_a_failure_like_others),
		T(a_3xx_of_a_pbx_stays_in_its_tenant),
		T(credentials_of_the_route_serve_where_a_3xx_led),
		T(hops_of_equal_cost_ring_together_and_the_first_2xx_wins),
		T(without_parallel_forking_one_hop_is_tried_at_a_time),
		T(the_next_cost_follows_when_all_of_one_failed),
		T(hops_of_another_policy_do_not_ring_along),
		T(routes_of_another_policy_between_them_wait),
		T(hops_of_several_realms_ring_together_with_ports_of_their_own),
		T(early_media_are_those_of_the_realm_that_spoke_last),
		T(without_an_offer_each_realm_makes_its_own),
		T(a_realm_without_a_free_port_leaves_the_others_alone),
		T(what_a_dead_branch_agreed_on_binds_nobody_else),
		T(when_all_realms_fail_the_next_cost_has_the_caller_s_ports),
		T(a_2xx_that_crosses_the_cancel_is_acked_and_hung_up),
		T(a_hop_that_said_nothing_is_cancelled_with_its_first_1xx),
		T(the_caller_cancels_all_that_rings),
		T(a_6xx_or_a_code_that_stops_ends_all),
		T(a_challenge_of_one_is_answered_while_the_other_rings),
		T(the_longest_wait_of_those_that_ring_is_timer_c),
		T(a_hop_whose_name_takes_long_rings_along_when_it_is_known),
		T(a_name_that_is_asked_for_is_forgotten_when_another_answers),
		T(packets_flow_with_the_hop_that_won),
		T(the_next_target_gets_the_same_request_on_a_new_branch),
		T(a_transport_error_leads_to_the_next_target_at_once),
		T(other_answers_stay_with_the_target),
		T(an_invite_waits_as_its_sip_interface_says),
		T(a_provisional_answer_ends_the_wait),
		T(a_503_keeps_calls_away_as_long_as_it_says_at_most_a_minute),
		T(what_cannot_be_reached_has_its_answer),
		T(routes_out_of_service_are_skipped_and_503_says_when),
		T(too_few_answers_stop_the_realm_or_the_interface),
		T(a_triggered_pbx_that_is_out_has_the_answer_it_wants),
		T(a_skipped_route_says_less_than_an_answer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
