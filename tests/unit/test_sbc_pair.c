/*
 * Requests outside INVITE dialogs: the rows of behaviour.md 3.8 and 3.9, in
 * virtual time
 */
#include <errno.h>
#include <stdio.h>
#include "sbc/clock.h"
#include "sbc/pair.h"
#include "sbc/timer.h"
#include "tests/unit/core_fixture.h"
#include "tests/unit/fake_clock.h"
#include "tests/unit/fake_credentials.h"
#include "tests/unit/fake_port.h"
#include "tests/unit/fake_resolver.h"

#define NUMBER "sip:0301234@127.0.0.2"
#define CHALLENGE                                                              \
	"Proxy-Authenticate: Digest realm=\"trunk.example\", nonce=\"n1\", "   \
	"qop=\"auth\"\r\n"
#define ACTIVE "Event: presence\r\nSubscription-State: active;expires=600\r\n"
#define TERMINATED                                                             \
	"Event: presence\r\nSubscription-State: "                              \
	"terminated;reason=noresource\r\n"

/* A request outside of any dialog */
static void asks(struct peer *p, const char *method, const char *uri,
		 const char *headers)
{
	p->cseq++;
	snprintf(p->callid, sizeof(p->callid), "c%u@%s", p->branch, p->ip);
	snprintf(p->local, sizeof(p->local), "<sip:x@%s>;tag=l%u", p->ip,
		 p->branch);
	snprintf(p->remote, sizeof(p->remote), "<%s>", uri);
	snprintf(p->target, sizeof(p->target), "%s", uri);
	peer_says_same(p, method, headers, NULL);
}

static size_t pairs(void)
{
	return pairs_count(core.worker.pairs);
}

static char *text_of(char *buf, size_t size, struct pl pl)
{
	assert_int_equal(pl_strcpy(&pl, buf, size), 0);
	return buf;
}

/* Who got a SUBSCRIBE or REFER notifies in a dialog with this tag of his own */
static void notifies_as(struct peer *p, const struct message *subscribe,
			const char *tag)
{
	struct pl contact = message_value(subscribe, HDR_CONTACT);
	struct address addr;
	char to[200];

	text_of(p->callid, sizeof(p->callid), subscribe->callid);
	text_of(p->remote, sizeof(p->remote),
		message_value(subscribe, HDR_FROM));
	text_of(to, sizeof(to), message_value(subscribe, HDR_TO));
	snprintf(p->local, sizeof(p->local), "%s;tag=%s", to, tag);
	assert_int_equal(address_read(&addr, &contact), 0);
	text_of(p->target, sizeof(p->target), addr.spec);
}

/* --- Transaction pairs --------------------------------------------------- */

static void each_method_crosses_with_names_of_its_own(void **s)
{
	static const char *const methods[] = { "MESSAGE", "INFO", "PUBLISH",
					       "OPTIONS" };
	(void)s;

	core_start();
	for (size_t i = 0; i < 4; i++) {
		struct message *in;
		char host[64];

		asks(&pbx, methods[i], NUMBER, "X-Mine: 1\r\n");
		in = peer_request(&trunk, methods[i]);
		assert_int_not_equal(pl_strcmp(&in->callid, pbx.callid), 0);
		assert_false(header_has(in, HDR_FROM, "tag=l"));
		assert_false(header_has(in, HDR_VIA, "127.0.0.12"));
		assert_false(header_has(in, HDR_FROM, "127.0.0.12"));
		assert_non_null(message_named(in, "X-Mine"));
		assert_int_equal(in->to_tag.l, 0);
		text_of(host, sizeof(host),
			message_value(in, HDR_MAX_FORWARDS));
		assert_string_equal(host, "69");
		peer_answers(&trunk, in, 202, "X-Yours: 1\r\n", NULL);
		in = peer_answer(&pbx, 202);
		assert_non_null(message_named(in, "X-Yours"));
		assert_false(header_has(in, HDR_TO, "tag=u"));
		assert_int_not_equal(in->to_tag.l, 0);
		assert_int_equal(pairs(), 0);
	}
}

static void only_what_makes_a_dialog_has_a_contact(void **s)
{
	(void)s;

	core_start();
	asks(&pbx, "MESSAGE", NUMBER, NULL);
	assert_null(
		message_first(peer_request(&trunk, "MESSAGE"), HDR_CONTACT));
	asks(&pbx, "PUBLISH", NUMBER, NULL);
	assert_null(
		message_first(peer_request(&trunk, "PUBLISH"), HDR_CONTACT));
	asks(&pbx, "SUBSCRIBE", NUMBER, "Event: presence\r\n");
	assert_true(header_has(peer_request(&trunk, "SUBSCRIBE"), HDR_CONTACT,
			       "127.0.0.1"));
}

static void etags_of_publish_cross_both_ways(void **s)
{
	struct message *in;
	char text[32];
	(void)s;

	core_start();
	asks(&pbx, "PUBLISH", NUMBER,
	     "Event: presence\r\nSIP-If-Match: dx200xyz\r\n");
	in = peer_request(&trunk, "PUBLISH");
	text_of(text, sizeof(text),
		header_value(in, message_named(in, "SIP-If-Match")));
	assert_string_equal(text, "dx200xyz");
	peer_answers(&trunk, in, 200, "SIP-ETag: kwj449x\r\nExpires: 1800\r\n",
		     NULL);
	in = peer_answer(&pbx, 200);
	text_of(text, sizeof(text),
		header_value(in, message_named(in, "SIP-ETag")));
	assert_string_equal(text, "kwj449x");
	assert_true(header_has(in, HDR_EXPIRES, "1800"));
}

static void a_challenge_is_answered_and_its_nonce_used_again(void **s)
{
	struct message *first, *again;
	(void)s;

	fake_credential("trunk", "trunk.example", "tenA", "a1", "secret");
	core_start();
	asks(&pbx, "MESSAGE", NUMBER, NULL);
	first = peer_request(&trunk, "MESSAGE");
	peer_answers(&trunk, first, 407, CHALLENGE, NULL);
	again = peer_request(&trunk, "MESSAGE");
	assert_int_equal(again->cseq, first->cseq + 1);
	assert_int_equal(pl_cmp(&again->callid, &first->callid), 0);
	assert_int_equal(pl_cmp(&again->from_tag, &first->from_tag), 0);
	assert_true(header_has(again, HDR_PROXY_AUTHORIZATION, "a1"));
	assert_true(header_has(again, HDR_PROXY_AUTHORIZATION, "nc=00000001"));
	peer_answers(&trunk, again, 200, NULL, NULL);
	peer_answer(&pbx, 200);
	assert_true(peer_hears_nothing(&pbx));

	asks(&pbx, "PUBLISH", NUMBER, NULL);
	first = peer_request(&trunk, "PUBLISH");
	assert_true(header_has(first, HDR_PROXY_AUTHORIZATION, "nc=00000002"));
}

static void a_second_challenge_goes_to_the_sender(void **s)
{
	(void)s;

	fake_credential("trunk", "trunk.example", "tenA", "a1", "wrong");
	core_start();
	asks(&pbx, "MESSAGE", NUMBER, NULL);
	peer_answers(&trunk, peer_request(&trunk, "MESSAGE"), 407, CHALLENGE,
		     NULL);
	peer_answers(&trunk, peer_request(&trunk, "MESSAGE"), 407,
		     "Proxy-Authenticate: Digest realm=\"trunk.example\", "
		     "nonce=\"n2\", qop=\"auth\"\r\n",
		     NULL);
	assert_true(header_has(peer_answer(&pbx, 407), HDR_PROXY_AUTHENTICATE,
			       "n2"));
	assert_true(peer_hears_nothing(&trunk));
	assert_int_equal(pairs(), 0);
}

static void methods_of_a_call_are_nothing_without_one(void **s)
{
	static const struct {
		const char *method;
		uint16_t code;
	} rows[] = {
		{ "BYE", 481 },    { "PRACK", 481 }, { "UPDATE", 481 },
		{ "NOTIFY", 481 }, { "WATCH", 501 },
	};
	(void)s;

	core_start();
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		asks(&pbx, rows[i].method, NUMBER, NULL);
		peer_answer(&pbx, rows[i].code);
	}
	assert_true(peer_hears_nothing(&trunk));
}

static void an_option_that_nobody_knows_is_420_where_the_sbc_judges(void **s)
{
	static const struct {
		const char *method, *require;
		bool crosses;
	} rows[] = {
		{ "MESSAGE", "frobnicate", true },
		{ "SUBSCRIBE", "frobnicate", true },
		{ "REFER", "frobnicate", true },
		{ "PUBLISH", "frobnicate", false },
		{ "OPTIONS", "path, frobnicate", false },
		{ "INFO", "timer, replaces, from-change", true },
	};
	char line[64];
	(void)s;

	core_start();
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		snprintf(line, sizeof(line), "Require: %s\r\n",
			 rows[i].require);
		asks(&pbx, rows[i].method, NUMBER, line);
		if (rows[i].crosses) {
			peer_request(&trunk, rows[i].method);
			continue;
		}
		assert_true(header_has(peer_answer(&pbx, 420), HDR_UNSUPPORTED,
				       "frobnicate"));
		assert_true(peer_hears_nothing(&trunk));
	}
}

static void nobody_answers_and_nobody_says_so(void **s)
{
	(void)s;

	core_start();
	asks(&pbx, "MESSAGE", NUMBER, NULL);
	assert_int_equal(pairs(), 1);
	core_run(32001);
	assert_int_equal(pairs(), 0);
	assert_true(peer_hears_nothing(&pbx));
	core_run(40000);
	assert_true(peer_hears_nothing(&pbx));
}

static struct local_policy *policy_of_the_pbx(void)
{
	return (struct local_policy *)config_at(core.cfg, &element_local_policy,
						0);
}

static void a_second_route(const char *host)
{
	item_add(&policy_of_the_pbx()->policy_attributes,
		 &element_policy_attribute, "next-hop", host, "realm", "trunk",
		 "cost", "1", NULL);
}

static void a_failure_leads_to_the_next_route(void **s)
{
	struct message *in;
	(void)s;

	a_second_route("127.0.0.14");
	core_start();
	asks(&pbx, "MESSAGE", NUMBER, NULL);
	peer_answers(&trunk, peer_request(&trunk, "MESSAGE"), 500, NULL, NULL);
	in = peer_request(&third, "MESSAGE");
	peer_answers(&third, in, 200, NULL, NULL);
	peer_answer(&pbx, 200);
	assert_true(peer_hears_no_answer(&pbx, 500));
}

static void a_redirection_is_followed(void **s)
{
	struct message *in;
	(void)s;

	core_start();
	strcpy(trunk.contact, "sip:elsewhere@127.0.0.14:5060");
	asks(&pbx, "MESSAGE", NUMBER, NULL);
	peer_answers(&trunk, peer_request(&trunk, "MESSAGE"), 302, NULL, NULL);
	in = peer_request(&third, "MESSAGE");
	peer_answers(&third, in, 200, NULL, NULL);
	peer_answer(&pbx, 200);
	assert_true(peer_hears_no_answer(&pbx, 302));
	assert_int_equal(pairs(), 0);
}

static void a_redirection_that_is_passed_on_leads_to_us(void **s)
{
	struct message *in;
	(void)s;

	core.agent_trunk->redirect_action = AGENT_REDIRECT_ACTION_PROXY;
	core_start();
	strcpy(trunk.contact, "sip:elsewhere@127.0.0.14:5060");
	asks(&pbx, "MESSAGE", NUMBER, NULL);
	peer_answers(&trunk, peer_request(&trunk, "MESSAGE"), 302, NULL, NULL);
	in = peer_answer(&pbx, 302);
	assert_true(header_has(in, HDR_CONTACT, "elsewhere@127.0.0.2"));
	assert_true(peer_hears_nothing(&third));
}

static struct sip_interface *interface_of(const char *realm)
{
	size_t n = config_count(core.cfg, &element_sip_interface);

	for (size_t i = 0; i < n; i++) {
		struct sip_interface *f = (struct sip_interface *)config_at(
			core.cfg, &element_sip_interface, i);

		if (!strcmp(f->realm_id, realm))
			return f;
	}
	return NULL;
}

static void a_silent_route_leads_on_while_the_sender_waits(void **s)
{
	(void)s;

	a_second_route("127.0.0.14");
	interface_of("trunk")->trans_expire = 4;
	core_start();
	asks(&pbx, "MESSAGE", NUMBER, NULL);
	core_run(4001);
	peer_answers(&third, peer_request(&third, "MESSAGE"), 200, NULL, NULL);
	peer_answer(&pbx, 200);
}

static void a_silent_route_leads_nowhere_once_the_sender_gave_up(void **s)
{
	(void)s;

	a_second_route("127.0.0.14");
	core_start();
	asks(&pbx, "MESSAGE", NUMBER, NULL);
	core_run(32001);
	assert_true(peer_hears_nothing(&third));
	assert_true(peer_hears_nothing(&pbx));
	assert_int_equal(pairs(), 0);
}

static void no_route_is_404(void **s)
{
	(void)s;

	policy_of_the_pbx()->state = false;
	core_start();
	asks(&pbx, "MESSAGE", NUMBER, NULL);
	peer_answer(&pbx, 404);
	assert_int_equal(pairs(), 0);
}

static void a_transport_error_is_503(void **s)
{
	(void)s;

	core_start();
	fake_port_fail(ENETUNREACH);
	asks(&pbx, "MESSAGE", NUMBER, NULL);
	fake_port_fail(0);
	assert_int_equal(pairs(), 0);
	/* The answer did not leave either: it does when the request comes again */
	pbx.branch--;
	peer_says_same(&pbx, "MESSAGE", NULL, NULL);
	peer_answer(&pbx, 503);
}

static void a_503_of_ours_that_nobody_shall_hear_is_silence(void **s)
{
	(void)s;

	item_set(&element_session_agent, core.agent_pbx, "options",
		 "dropResponse");
	core_start();
	(void)agent_failed(agents_find(core.worker.agents, core.agent_trunk),
			   clock_ms());
	asks(&pbx, "MESSAGE", NUMBER, NULL);
	asks(&pbx_b, "MESSAGE", "sip:0301234@127.0.0.3", NULL);
	peer_answer(&pbx_b, 503);
	assert_true(peer_hears_nothing(&pbx));
	assert_int_equal(pairs(), 0);
	core_run(32000);
	/* what the other side says is passed on */
	asks(&pbx, "MESSAGE", NUMBER, NULL);
	peer_answers(&trunk, peer_request(&trunk, "MESSAGE"), 503, NULL, NULL);
	peer_answer(&pbx, 503);
}

static void max_forwards_0_is_483_but_for_options_to_us(void **s)
{
	(void)s;

	core_start();
	fake_port_give(
		pbx.port, pbx.ip, 5060, 0,
		"MESSAGE " NUMBER " SIP/2.0\r\n"
		"Via: SIP/2.0/UDP 127.0.0.12;branch=z9hG4bKm0\r\n"
		"Max-Forwards: 0\r\nFrom: <sip:a@b>;tag=1\r\n"
		"To: <sip:c@d>\r\nCall-ID: m0\r\nCSeq: 1 MESSAGE\r\n\r\n");
	core_deliver();
	peer_answer(&pbx, 483);
	fake_port_give(
		pbx.port, pbx.ip, 5060, 0,
		"OPTIONS sip:127.0.0.2 SIP/2.0\r\n"
		"Via: SIP/2.0/UDP 127.0.0.12;branch=z9hG4bKm1\r\n"
		"Max-Forwards: 0\r\nFrom: <sip:a@b>;tag=1\r\n"
		"To: <sip:c@d>\r\nCall-ID: m1\r\nCSeq: 1 OPTIONS\r\n\r\n");
	core_deliver();
	assert_true(header_has(peer_answer(&pbx, 200), HDR_ALLOW, "SUBSCRIBE"));
	fake_port_give(
		pbx.port, pbx.ip, 5060, 0,
		"OPTIONS sip:1@127.0.0.2 SIP/2.0\r\n"
		"Via: SIP/2.0/UDP 127.0.0.12;branch=z9hG4bKm2\r\n"
		"Max-Forwards: 0\r\nFrom: <sip:a@b>;tag=1\r\n"
		"To: <sip:c@d>\r\nCall-ID: m2\r\nCSeq: 1 OPTIONS\r\n\r\n");
	core_deliver();
	peer_answer(&pbx, 483);
	assert_true(peer_hears_nothing(&trunk));
}

static void shutdown_refuses_what_is_new_and_options_too(void **s)
{
	static const char *const uris[] = { NUMBER, "sip:127.0.0.2" };
	(void)s;

	core_start();
	core.worker.stopping = true;
	for (size_t i = 0; i < 2; i++) {
		asks(&pbx, "OPTIONS", uris[i], NULL);
		assert_true(header_has(peer_answer(&pbx, 503), HDR_RETRY_AFTER,
				       "3"));
	}
}

static void a_fragment_loses_its_via(void **s)
{
	struct message *in;
	(void)s;

	core_start();
	fake_port_give(pbx.port, pbx.ip, 5060, 0,
		       "MESSAGE " NUMBER " SIP/2.0\r\n"
		       "Via: SIP/2.0/UDP 127.0.0.12;branch=z9hG4bKf0\r\n"
		       "From: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\n"
		       "Call-ID: f0\r\nCSeq: 1 MESSAGE\r\n"
		       "Content-Type: message/sipfrag;version=2.0\r\n"
		       "Content-Length: 52\r\n\r\n"
		       "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 127.0.0.12\r\n"
		       "To: x\r\n");
	core_deliver();
	in = peer_request(&trunk, "MESSAGE");
	assert_false(body_has(in, "127.0.0.12"));
	assert_true(body_has(in, "To: x\r\n"));
}

/* --- Whose request is it ------------------------------------------------- */

static void two_tenants_may_use_the_same_names(void **s)
{
	static const char text[] =
		"MESSAGE sip:0301234@127.0.0.%s SIP/2.0\r\n"
		"Via: SIP/2.0/UDP 127.0.0.1%s;branch=z9hG4bKt%s\r\n"
		"From: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\n"
		"Call-ID: same\r\nCSeq: 1 MESSAGE\r\n\r\n";
	char buf[512];
	(void)s;

	core_start();
	snprintf(buf, sizeof(buf), text, "2", "2", "1");
	fake_port_give(pbx.port, pbx.ip, 5060, 0, buf);
	snprintf(buf, sizeof(buf), text, "3", "3", "2");
	fake_port_give(pbx_b.port, pbx_b.ip, 5060, 0, buf);
	core_deliver();
	peer_request(&trunk, "MESSAGE");
	peer_request(&trunk, "MESSAGE");
	snprintf(buf, sizeof(buf), text, "2", "2", "3");
	fake_port_give(pbx.port, pbx.ip, 5060, 0, buf);
	core_deliver();
	peer_answer(&pbx, 482);
	assert_true(peer_hears_nothing(&pbx_b));
}

/* Send back what came, to the same Request-URI or to another one */
static void comes_back(const struct message *msg, const char *uri)
{
	char buf[1024], from[256], callid[128], ruri[128];

	text_of(from, sizeof(from), message_value(msg, HDR_FROM));
	text_of(callid, sizeof(callid), msg->callid);
	text_of(ruri, sizeof(ruri), msg->ruri);
	snprintf(buf, sizeof(buf),
		 "MESSAGE %s SIP/2.0\r\n"
		 "Via: SIP/2.0/UDP 127.0.0.11;branch=z9hG4bKback%s\r\n"
		 "From: %s\r\nTo: <sip:c@d>\r\nCall-ID: %s\r\n"
		 "CSeq: %u MESSAGE\r\n\r\n",
		 uri ? uri : ruri, uri ? "1" : "2", from, callid, msg->cseq);
	fake_port_give(trunk.port, trunk.ip, 5060, 0, buf);
	core_deliver();
}

static void what_comes_back_is_a_loop_or_a_spiral(void **s)
{
	struct message *in;
	(void)s;

	core_start();
	asks(&pbx, "MESSAGE", NUMBER, NULL);
	in = peer_request(&trunk, "MESSAGE");
	comes_back(in, "sip:777@127.0.0.1");
	peer_request(&pbx, "MESSAGE");
	comes_back(in, NULL);
	peer_answer(&trunk, 482);
}

/* --- REGISTER for others ------------------------------------------------- */

static void a_contact_that_is_registered_elsewhere_leads_to_us(void **s)
{
	struct message *in;
	(void)s;

	strcpy(pbx.contact, "sip:phone@127.0.0.12:5060");
	core_start();
	asks(&pbx, "REGISTER", "sip:registrar.example", "Expires: 300\r\n");
	in = peer_request(&trunk, "REGISTER");
	assert_true(header_has(in, HDR_CONTACT, "<sip:phone@127.0.0.1:5060>"));
	assert_true(header_has(in, HDR_EXPIRES, "300"));
	strcpy(trunk.contact, "sip:phone@127.0.0.1:5060>;expires=290,"
			      " <sip:other@192.0.2.9");
	peer_answers(&trunk, in, 200, NULL, NULL);
	in = peer_answer(&pbx, 200);
	assert_true(header_has(in, HDR_CONTACT,
			       "<sip:phone@127.0.0.12:5060>;expires=290"));
	assert_false(header_has(in, HDR_CONTACT, "192.0.2.9"));
}

/* --- Subscriptions ------------------------------------------------------- */

/* A subscription of the PBX at the trunk; the SUBSCRIBE that the trunk got */
static struct message *subscribed(void)
{
	struct message *in;

	asks(&pbx, "SUBSCRIBE", NUMBER, "Event: presence\r\nExpires: 600\r\n");
	in = peer_request(&trunk, "SUBSCRIBE");
	trunk.cseq = 100;
	peer_answers(&trunk, in, 200, "Expires: 600\r\n", NULL);
	peer_answer(&pbx, 200);
	notifies_as(&trunk, in, "u");
	return in;
}

static void a_subscription_has_dialogs_with_names_of_their_own(void **s)
{
	struct message *in;
	(void)s;

	core_start();
	in = subscribed();
	assert_int_not_equal(pl_strcmp(&in->callid, pbx.callid), 0);
	assert_true(header_has(in, HDR_EVENT, "presence"));
	assert_non_null(strstr(pbx.remote, ";tag="));
	assert_null(strstr(pbx.remote, ";tag=u"));
	assert_non_null(strstr(pbx.target, "127.0.0.2"));

	peer_says(&trunk, "NOTIFY", ACTIVE, NULL);
	in = peer_request(&pbx, "NOTIFY");
	assert_int_equal(pl_strcmp(&in->callid, pbx.callid), 0);
	assert_true(header_has(in, HDR_TO, "tag=l"));
	assert_true(header_has(in, HDR_SUBSCRIPTION_STATE, "expires=600"));
	assert_true(header_has(in, HDR_CONTACT, "127.0.0.2"));
	peer_answers(&pbx, in, 200, NULL, NULL);
	peer_answer(&trunk, 200);
	assert_int_equal(pairs(), 1);
}

static void a_notify_may_come_before_the_answer(void **s)
{
	struct message *in, *notify;
	char tag[64];
	(void)s;

	core_start();
	asks(&pbx, "SUBSCRIBE", NUMBER, "Event: presence\r\n");
	in = peer_request(&trunk, "SUBSCRIBE");
	notifies_as(&trunk, in, "u");
	peer_says(&trunk, "NOTIFY", ACTIVE, NULL);
	notify = peer_request(&pbx, "NOTIFY");
	peer_answers(&pbx, notify, 200, NULL, NULL);
	peer_answer(&trunk, 200);
	peer_answers(&trunk, in, 200, "Expires: 600\r\n", NULL);
	in = peer_answer(&pbx, 200);
	text_of(tag, sizeof(tag), notify->from_tag);
	assert_int_equal(pl_strcmp(&in->to_tag, tag), 0);
}

static void each_branch_of_a_fork_has_its_dialog(void **s)
{
	struct message *in, *first, *second;
	(void)s;

	core_start();
	in = subscribed();
	notifies_as(&third, in, "v");
	peer_says(&trunk, "NOTIFY", ACTIVE, NULL);
	first = peer_request(&pbx, "NOTIFY");
	peer_says(&third, "NOTIFY", ACTIVE, NULL);
	second = peer_request(&pbx, "NOTIFY");
	assert_int_equal(pl_cmp(&first->callid, &second->callid), 0);
	assert_int_not_equal(pl_cmp(&first->from_tag, &second->from_tag), 0);
	peer_answers(&pbx, first, 200, NULL, NULL);
	peer_answers(&pbx, second, 200, NULL, NULL);
	peer_answer(&trunk, 200);
	peer_answer(&third, 200);

	/* One ends, the other does not notice */
	peer_says(&third, "NOTIFY", TERMINATED, NULL);
	peer_answers(&pbx, peer_request(&pbx, "NOTIFY"), 200, NULL, NULL);
	peer_answer(&third, 200);
	peer_says(&third, "NOTIFY", ACTIVE, NULL);
	peer_answer(&third, 481);
	peer_says(&trunk, "NOTIFY", ACTIVE, NULL);
	peer_answers(&pbx, peer_request(&pbx, "NOTIFY"), 200, NULL, NULL);
	peer_answer(&trunk, 200);
}

static void nobody_joins_a_subscription_after_64_t1(void **s)
{
	struct message *in;
	(void)s;

	core_start();
	in = subscribed();
	notifies_as(&third, in, "v");
	core_run(32001);
	peer_says(&third, "NOTIFY", ACTIVE, NULL);
	peer_answer(&third, 481);
	assert_true(peer_hears_nothing(&pbx));
}

static void a_fork_of_more_than_16_is_cut(void **s)
{
	struct message *in;
	char tag[16];
	(void)s;

	core_start();
	in = subscribed();
	for (int i = 0; i < 15; i++) {
		snprintf(tag, sizeof(tag), "v%d", i);
		notifies_as(&third, in, tag);
		peer_says(&third, "NOTIFY", ACTIVE, NULL);
		peer_request(&pbx, "NOTIFY");
	}
	notifies_as(&third, in, "one-too-many");
	peer_says(&third, "NOTIFY", ACTIVE, NULL);
	peer_answer(&third, 481);
}

static void a_refresh_crosses_and_lengthens_it(void **s)
{
	struct message *in;
	(void)s;

	core_start();
	subscribed();
	core_run(500000);
	peer_says(&pbx, "SUBSCRIBE", "Event: presence\r\nExpires: 900\r\n",
		  NULL);
	in = peer_request(&trunk, "SUBSCRIBE");
	assert_true(header_has(in, HDR_TO, "tag=u"));
	assert_true(header_has(in, HDR_EXPIRES, "900"));
	peer_answers(&trunk, in, 200, "Expires: 800\r\n", NULL);
	in = peer_answer(&pbx, 200);
	assert_true(header_has(in, HDR_EXPIRES, "800"));
	assert_true(header_has(in, HDR_CONTACT, "127.0.0.2"));
	core_run(800000);
	assert_int_equal(pairs(), 1);
	core_run(32001);
	assert_int_equal(pairs(), 0);
}

static void a_refresh_is_proved(void **s)
{
	struct message *in;
	(void)s;

	fake_credential("trunk", "trunk.example", "tenA", "a1", "secret");
	core_start();
	subscribed();
	peer_says(&pbx, "SUBSCRIBE", "Event: presence\r\nExpires: 900\r\n",
		  NULL);
	peer_answers(&trunk, peer_request(&trunk, "SUBSCRIBE"), 407, CHALLENGE,
		     NULL);
	in = peer_request(&trunk, "SUBSCRIBE");
	assert_true(header_has(in, HDR_PROXY_AUTHORIZATION, "a1"));
	peer_answers(&trunk, in, 200, "Expires: 800\r\n", NULL);
	peer_answer(&pbx, 200);
}

static void it_ends_when_it_runs_out(void **s)
{
	(void)s;

	core_start();
	subscribed();
	core_run(600000);
	assert_int_equal(pairs(), 1);
	core_run(32001);
	assert_int_equal(pairs(), 0);
	peer_says(&trunk, "NOTIFY", ACTIVE, NULL);
	peer_answer(&trunk, 481);
	peer_says(&pbx, "SUBSCRIBE", "Event: presence\r\n", NULL);
	peer_answer(&pbx, 481);
}

static void it_ends_with_the_notify_that_says_so(void **s)
{
	(void)s;

	core_start();
	subscribed();
	core_run(40000);
	peer_says(&trunk, "NOTIFY", TERMINATED, NULL);
	assert_int_equal(pairs(), 1);
	peer_answers(&pbx, peer_request(&pbx, "NOTIFY"), 200, NULL, NULL);
	peer_answer(&trunk, 200);
	assert_int_equal(pairs(), 0);
}

static void unsubscribed_it_waits_for_one_notify(void **s)
{
	struct message *in;
	(void)s;

	core_start();
	subscribed();
	core_run(40000);
	peer_says(&pbx, "SUBSCRIBE", "Event: presence\r\nExpires: 0\r\n", NULL);
	in = peer_request(&trunk, "SUBSCRIBE");
	peer_answers(&trunk, in, 200, "Expires: 0\r\n", NULL);
	peer_answer(&pbx, 200);
	assert_int_equal(pairs(), 1);
	peer_says(&trunk, "NOTIFY", TERMINATED, NULL);
	peer_answers(&pbx, peer_request(&pbx, "NOTIFY"), 200, NULL, NULL);
	assert_int_equal(pairs(), 0);
}

static void unsubscribed_it_waits_no_longer_than_64_t1(void **s)
{
	struct message *in;
	(void)s;

	core_start();
	subscribed();
	core_run(40000);
	peer_says(&pbx, "SUBSCRIBE", "Event: presence\r\nExpires: 0\r\n", NULL);
	in = peer_request(&trunk, "SUBSCRIBE");
	peer_answers(&trunk, in, 200, "Expires: 0\r\n", NULL);
	core_run(32001);
	assert_int_equal(pairs(), 0);
}

static void it_ends_when_one_side_knows_nothing_of_it(void **s)
{
	static const struct {
		bool refresh;
		uint16_t code; /* 0: no answer */
		bool ends;
	} rows[] = {
		{ false, 481, true },  { false, 489, true }, { false, 0, true },
		{ false, 500, false }, { true, 481, true },  { true, 0, true },
		{ true, 423, false },  { true, 503, false },
	};
	(void)s;

	core_start();
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct peer *asker = rows[i].refresh ? &pbx : &trunk,
			    *asked = rows[i].refresh ? &trunk : &pbx;
		const char *method = rows[i].refresh ? "SUBSCRIBE" : "NOTIFY";
		struct message *in;

		subscribed();
		core_run(40000);
		peer_says(asker, method,
			  rows[i].refresh ? "Event: presence\r\n" : ACTIVE,
			  NULL);
		in = peer_request(asked, method);
		if (rows[i].code) {
			peer_answers(asked, in, rows[i].code, NULL, NULL);
			peer_answer(asker, rows[i].code);
		} else {
			core_run(32001);
			assert_true(peer_hears_nothing(asker));
		}
		if (pairs() != !rows[i].ends)
			fail_msg("%u to %s", rows[i].code, method);
		core_run(700000);
		assert_int_equal(pairs(), 0);
		peer_forgets(&pbx);
		peer_forgets(&trunk);
	}
}

static void a_refused_subscription_leaves_nothing(void **s)
{
	struct message *in;
	(void)s;

	core_start();
	asks(&pbx, "SUBSCRIBE", NUMBER, "Event: dialog\r\n");
	in = peer_request(&trunk, "SUBSCRIBE");
	notifies_as(&trunk, in, "u");
	peer_says(&trunk, "NOTIFY", ACTIVE, NULL);
	peer_request(&pbx, "NOTIFY");
	peer_answers(&trunk, in, 489, NULL, NULL);
	peer_answer(&pbx, 489);
	assert_int_equal(pairs(), 0);
	peer_answer(&trunk, 481); /* its NOTIFY */
}

static void a_subscribe_without_contact_is_400(void **s)
{
	(void)s;

	core_start();
	fake_port_give(pbx.port, pbx.ip, 5060, 0,
		       "SUBSCRIBE " NUMBER " SIP/2.0\r\n"
		       "Via: SIP/2.0/UDP 127.0.0.12;branch=z9hG4bKc0\r\n"
		       "From: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\n"
		       "Call-ID: c0\r\nCSeq: 1 SUBSCRIBE\r\n\r\n");
	core_deliver();
	peer_answer(&pbx, 400);
	assert_true(peer_hears_nothing(&trunk));
	assert_int_equal(pairs(), 0);
}

static void within_a_subscription_dialogs_of_others_are_unnamed(void **s)
{
	static const char *const named = "Refer-To: <sip:4711@127.0.0.2?"
					 "Replaces=c9%40127.0.0.12%3Bto-tag%3Da"
					 "%3Bfrom-tag%3Db>\r\n";
	struct message *in;
	(void)s;

	core_start();
	subscribed();
	peer_says(&pbx, "REFER", named, NULL);
	in = peer_request(&trunk, "REFER");
	assert_true(header_has(in, HDR_REFER_TO, "4711@"));
	assert_false(header_has(in, HDR_REFER_TO, "Replaces"));
}

static void requests_of_a_call_are_refused_in_a_subscription(void **s)
{
	static const char *const methods[] = { "BYE", "UPDATE", "INVITE" };
	(void)s;

	core_start();
	subscribed();
	for (size_t i = 0; i < 3; i++) {
		peer_says(&pbx, methods[i], NULL, NULL);
		peer_answer(&pbx, 481);
	}
	assert_true(peer_hears_nothing(&trunk));
	assert_int_equal(pairs(), 1);
}

static void a_stranger_begins_no_dialog_of_a_subscription(void **s)
{
	struct message *in;
	struct port *port;
	(void)s;

	core_start();
	asks(&pbx, "SUBSCRIBE", NUMBER, "Event: presence\r\n");
	in = peer_request(&trunk, "SUBSCRIBE");
	notifies_as(&trunk, in, "u");
	port = trunk.port;
	trunk.port = pbx_b.port;
	snprintf(trunk.contact, sizeof(trunk.contact), "sip:x@127.0.0.13");
	peer_says(&trunk, "NOTIFY", ACTIVE, NULL);
	peer_answer(&trunk, 481);
	trunk.port = port;
	snprintf(trunk.contact, sizeof(trunk.contact), "sip:x@127.0.0.11");
	core_run(10);

	/* requests of the dialog go where the answer says */
	peer_answers(&trunk, in, 200, "Expires: 600\r\n", NULL);
	peer_answer(&pbx, 200);
	peer_says(&pbx, "MESSAGE", NULL, "x");
	peer_request(&trunk, "MESSAGE");
	assert_true(peer_hears_nothing(&pbx_b));
}

static void a_stranger_reaches_no_subscription_by_its_tag(void **s)
{
	(void)s;

	core_start();
	subscribed();
	/* the tag and Call-ID of the trunk's dialog, from another realm */
	trunk.port = pbx_b.port;
	peer_says(&trunk, "NOTIFY", ACTIVE, NULL);
	assert_true(peer_hears_nothing(&pbx));
	peer_answer(&trunk, 481);
}

static void a_refer_is_followed_by_its_notifies(void **s)
{
	struct message *in;
	(void)s;

	core_start();
	asks(&pbx, "REFER", NUMBER, "Refer-To: <sip:4711@127.0.0.2>\r\n");
	in = peer_request(&trunk, "REFER");
	assert_true(header_has(in, HDR_REFER_TO, "4711@"));
	assert_false(header_has(in, HDR_REFER_TO, "127.0.0.2"));
	peer_answers(&trunk, in, 202, NULL, NULL);
	peer_answer(&pbx, 202);
	notifies_as(&trunk, in, "u");
	trunk.cseq = 100;
	peer_says(&trunk, "NOTIFY",
		  "Event: refer\r\nSubscription-State: active;expires=60\r\n",
		  NULL);
	peer_answers(&pbx, peer_request(&pbx, "NOTIFY"), 200, NULL, NULL);
	assert_int_equal(pairs(), 1);
	core_run(92001);
	assert_int_equal(pairs(), 0);
}

static void a_refer_without_subscription_leaves_nothing(void **s)
{
	struct message *in;
	(void)s;

	core_start();
	asks(&pbx, "REFER", NUMBER,
	     "Refer-To: <sip:4711@127.0.0.2>\r\nRefer-Sub: false\r\n");
	in = peer_request(&trunk, "REFER");
	peer_answers(&trunk, in, 202, "Refer-Sub: false\r\n", NULL);
	peer_answer(&pbx, 202);
	assert_int_equal(pairs(), 0);
}

/* --- Shutdown ------------------------------------------------------------ */

static int stopped;

static void is_stopped(void *arg)
{
	(void)arg;
	stopped++;
}

static void stop(void)
{
	stopped = 0;
	core.worker.stopping = true;
	pairs_stop(core.worker.pairs, 5000, is_stopped, NULL);
	core_deliver();
}

static void shutdown_tells_both_sides_of_a_subscription(void **s)
{
	struct message *notify, *subscribe;
	(void)s;

	core_start();
	(void)subscribed();
	stop();
	notify = peer_request(&pbx, "NOTIFY");
	assert_true(header_has(notify, HDR_SUBSCRIPTION_STATE,
			       "terminated;reason=probation;retry-after="));
	assert_true(header_has(notify, HDR_EVENT, "presence"));
	subscribe = peer_request(&trunk, "SUBSCRIBE");
	assert_true(header_has(subscribe, HDR_EXPIRES, "0"));
	assert_true(header_has(subscribe, HDR_EVENT, "presence"));
	assert_int_equal(pl_strcmp(&subscribe->to_tag, "u"), 0);
	peer_answers(&pbx, notify, 200, NULL, NULL);
	assert_int_equal(stopped, 0);
	/* its last word is for nobody */
	peer_says(&trunk, "NOTIFY", TERMINATED, NULL);
	peer_answer(&trunk, 200);
	assert_true(peer_hears_nothing(&pbx));
	peer_answers(&trunk, subscribe, 200, "Expires: 0\r\n", NULL);
	assert_int_equal(stopped, 1);
	assert_int_equal(pairs(), 0);
}

static void shutdown_waits_no_longer_than_it_may(void **s)
{
	(void)s;

	core_start();
	(void)subscribed();
	stop();
	core_run(4999);
	assert_int_equal(stopped, 0);
	core_run(1);
	assert_int_equal(stopped, 1);
}

static void shutdown_tells_only_the_one_who_referred(void **s)
{
	struct message *in;
	(void)s;

	core_start();
	asks(&pbx, "REFER", NUMBER, "Refer-To: <sip:x@127.0.0.11>\r\n");
	in = peer_request(&trunk, "REFER");
	peer_answers(&trunk, in, 202, NULL, NULL);
	peer_answer(&pbx, 202);
	stop();
	in = peer_request(&pbx, "NOTIFY");
	assert_true(header_has(in, HDR_EVENT, "refer"));
	assert_true(peer_hears_nothing(&trunk));
	peer_answers(&pbx, in, 481, NULL, NULL);
	assert_int_equal(stopped, 1);
}

static void without_subscriptions_nothing_is_waited_for(void **s)
{
	(void)s;

	core_start();
	stop();
	assert_int_equal(stopped, 1);
}

/* --- The table of a joint ------------------------------------------------ */

static void no_state_hears_an_event_twice(void **s)
{
	(void)s;

	for (const struct rule *a = joint_machine.rules; a->on; a++)
		for (const struct rule *b = a + 1; b->on; b++)
			assert_false(a->in == b->in && a->on == b->on);
}

static void every_living_state_hears_every_event(void **s)
{
	(void)s;

	for (uint8_t in = JOINT_ACTIVE; in < JOINT_OVER; in++) {
		for (uint8_t on = JOINT_GRANTED; on < JOINT_EVENTS; on++) {
			bool heard = false;

			for (const struct rule *r = joint_machine.rules; r->on;
			     r++)
				heard |= r->in == in && r->on == on;
			if (!heard)
				fail_msg("%s in %s", joint_machine.events[on],
					 joint_machine.states[in]);
		}
	}
	assert_null(joint_machine.states[JOINT_STATES]);
	assert_null(joint_machine.events[JOINT_EVENTS]);
}

#define T(f) cmocka_unit_test_setup_teardown(f, core_setup, core_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(each_method_crosses_with_names_of_its_own),
		T(only_what_makes_a_dialog_has_a_contact),
		T(etags_of_publish_cross_both_ways),
		T(a_challenge_is_answered_and_its_nonce_used_again),
		T(a_second_challenge_goes_to_the_sender),
		T(methods_of_a_call_are_nothing_without_one),
		T(an_option_that_nobody_knows_is_420_where_the_sbc_judges),
		T(nobody_answers_and_nobody_says_so),
		T(a_failure_leads_to_the_next_route),
		T(a_redirection_is_followed),
		T(a_redirection_that_is_passed_on_leads_to_us),
		T(a_silent_route_leads_on_while_the_sender_waits),
		T(a_silent_route_leads_nowhere_once_the_sender_gave_up),
		T(no_route_is_404),
		T(a_transport_error_is_503),
		T(a_503_of_ours_that_nobody_shall_hear_is_silence),
		T(max_forwards_0_is_483_but_for_options_to_us),
		T(shutdown_refuses_what_is_new_and_options_too),
		T(a_fragment_loses_its_via),
		T(two_tenants_may_use_the_same_names),
		T(what_comes_back_is_a_loop_or_a_spiral),
		T(a_contact_that_is_registered_elsewhere_leads_to_us),
		T(a_subscription_has_dialogs_with_names_of_their_own),
		T(a_notify_may_come_before_the_answer),
		T(each_branch_of_a_fork_has_its_dialog),
		T(nobody_joins_a_subscription_after_64_t1),
		T(a_fork_of_more_than_16_is_cut),
		T(a_refresh_crosses_and_lengthens_it),
		T(a_refresh_is_proved),
		T(it_ends_when_it_runs_out),
		T(it_ends_with_the_notify_that_says_so),
		T(unsubscribed_it_waits_for_one_notify),
		T(unsubscribed_it_waits_no_longer_than_64_t1),
		T(it_ends_when_one_side_knows_nothing_of_it),
		T(a_refused_subscription_leaves_nothing),
		T(a_subscribe_without_contact_is_400),
		T(within_a_subscription_dialogs_of_others_are_unnamed),
		T(requests_of_a_call_are_refused_in_a_subscription),
		T(a_stranger_begins_no_dialog_of_a_subscription),
		T(a_stranger_reaches_no_subscription_by_its_tag),
		T(a_refer_is_followed_by_its_notifies),
		T(a_refer_without_subscription_leaves_nothing),
		T(shutdown_tells_both_sides_of_a_subscription),
		T(shutdown_waits_no_longer_than_it_may),
		T(shutdown_tells_only_the_one_who_referred),
		T(without_subscriptions_nothing_is_waited_for),
		cmocka_unit_test(no_state_hears_an_event_twice),
		cmocka_unit_test(every_living_state_hears_every_event),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
