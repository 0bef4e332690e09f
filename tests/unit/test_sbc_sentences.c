/*
 * Sentences of behaviour.md 3 that are no row of a table, in virtual time
 */
#include "sbc/clock.h"
#include "tests/unit/core_fixture.h"
#include "tests/unit/fake_credentials.h"
#include "tests/unit/fake_forward.h"
#include "tests/unit/fake_port.h"

#define HOLD                                                                   \
	"v=0\r\no=- 1 2 IN IP4 127.0.0.12\r\ns=-\r\n"                          \
	"c=IN IP4 127.0.0.12\r\nt=0 0\r\nm=audio 40000 RTP/AVP 8\r\n"          \
	"a=sendonly\r\n"

enum {
	TIMER_C_MS = 180000
};

static void calls(void)
{
	core_start();
	peer_calls(&pbx, "sip:0301234@127.0.0.2", NULL, SDP_PBX);
}

/* The re-INVITE of the PBX as the trunk heard it */
static struct message *holds(void)
{
	core_start();
	core_call();
	peer_says(&pbx, "INVITE", NULL, HOLD);
	return peer_request(&trunk, "INVITE");
}

/* CANCEL of the last INVITE of the PBX, with header lines */
static void peer_cancels_with(const char *lines)
{
	uint32_t branch = pbx.branch--;

	peer_says_same(&pbx, "CANCEL", lines, NULL);
	assert_int_equal(pbx.branch, branch);
}

/* --- 3.1: headers ----------------------------------------------------------- */

static void replaces_is_for_an_invite_that_begins_a_dialog_alone(void **s)
{
	static const char *const methods[] = { "INVITE", "INFO", "UPDATE",
					       "NOTIFY" };
	char line[256];
	(void)s;

	core_start();
	core_call();
	snprintf(line, sizeof(line),
		 "Replaces: %s;to-tag=x;from-tag=y\r\n"
		 "Event: x\r\nSubscription-State: active\r\n",
		 pbx.callid);
	for (size_t i = 0; i < 4; i++) {
		struct message *got;

		peer_says(&pbx, methods[i], line, i ? NULL : HOLD);
		got = peer_request(&trunk, methods[i]);
		assert_null(message_first(got, HDR_REPLACES));
		peer_answers(&trunk, got, i ? 200 : 488, NULL, NULL);
		core_run(10);
	}
}

static void without_max_forwards_69_leaves_inside_a_dialog_too(void **s)
{
	struct message *info;
	char *text = NULL;
	struct pl value;
	(void)s;

	core_start();
	core_call();
	assert_int_equal(
		re_sdprintf(&text,
			    "INFO %s SIP/2.0\r\nVia: SIP/2.0/UDP "
			    "127.0.0.12:5060;branch=z9hG4bKnone\r\n"
			    "From: %s\r\nTo: %s\r\nCall-ID: %s\r\n"
			    "CSeq: 99 INFO\r\nContent-Length: 0\r\n\r\n",
			    pbx.target, pbx.local, pbx.remote, pbx.callid),
		0);
	fake_port_give(pbx.port, pbx.ip, 5060, 0, text);
	mem_deref(text);
	core_deliver();
	info = peer_request(&trunk, "INFO");
	value = message_value(info, HDR_MAX_FORWARDS);
	assert_int_equal(pl_u32(&value), 69);
}

/* --- 3.2: forks ------------------------------------------------------------- */

/* The early dialog of an answer is that of the next requests of the PBX */
static void dialog_is(const struct message *answer)
{
	struct pl to = message_value(answer, HDR_TO);

	snprintf(pbx.remote, sizeof(pbx.remote), "%.*s", (int)to.l, to.p);
	snprintf(pbx.target, sizeof(pbx.target), "sip:x@127.0.0.2");
}

/* Hops of two realms and two tenants' accounts ring together; the second one has
 * spoken last */
static void two_realms_ring(struct message *invite[2])
{
	struct local_policy *p = (struct local_policy *)config_at(
		core.cfg, &element_local_policy, 0);

	p->parallel_forking = true;
	item_add(&p->policy_attributes, &element_policy_attribute, "next-hop",
		 "pbx-b.example", "realm", "pbx-b", "auth-user-lookup", "tenB",
		 NULL);
	fake_credential("trunk", "trunk.example", "tenA", "a1", "secret");
	fake_credential("pbx-b", "trunk.example", "tenB", "b1", "secret");
	calls();
	invite[0] = peer_request(&trunk, "INVITE");
	invite[1] = peer_request(&pbx_b, "INVITE");
	peer_answers(&trunk, invite[0], 180, NULL, NULL);
	dialog_is(peer_answer(&pbx, 180));
	peer_answers(&pbx_b, invite[1], 180, NULL, NULL);
}

#define CHALLENGE                                                              \
	"Proxy-Authenticate: Digest realm=\"trunk.example\", nonce=\"n1\", "   \
	"qop=\"auth\"\r\n"

static void a_request_of_a_branch_is_rewritten_and_proved_for_its_hop(void **s)
{
	struct message *invite[2], *refer;
	(void)s;

	two_realms_ring(invite);
	peer_says(&pbx, "REFER", "Refer-To: <sip:1@127.0.0.2>\r\n", NULL);
	refer = peer_request(&trunk, "REFER");
	assert_false(header_has(refer, HDR_REFER_TO, "pbx-b"));
	assert_false(header_has(refer, HDR_REFER_TO, "127.0.0.13"));
	assert_true(header_has(refer, HDR_REFER_TO, "trunk.example"));
	peer_answers(&trunk, refer, 407, CHALLENGE, NULL);
	refer = peer_request(&trunk, "REFER");
	assert_true(header_has(refer, HDR_PROXY_AUTHORIZATION, "\"a1\""));
}

static void behind_the_answer_nothing_goes_to_a_branch_of_another_realm(
	void **s)
{
	struct message *invite[2];
	(void)s;

	two_realms_ring(invite);
	peer_answers(&pbx_b, invite[1], 200, NULL, SDP_B);
	peer_says(&pbx, "REFER", "Refer-To: <sip:1@127.0.0.2>\r\n", NULL);
	assert_true(peer_hears_no(&trunk, "REFER"));
	peer_answer(&pbx, 481);
}

/* --- 3.3, 3.6: Reason -------------------------------------------------------- */

#define SIP_REASON "SIP;cause=200;text=\"elsewhere\""
#define REASONS                                                                \
	"Reason: Q.850;cause=16\r\nReason: " SIP_REASON ", X;cause=1\r\n"

static void every_reason_of_bye_and_cancel_goes_on(void **s)
{
	static const char list[] = "Q.850;cause=16, " SIP_REASON ", X;cause=1";
	struct message *invite, *got;
	(void)s;

	core_start();
	core_call();
	peer_says(&pbx, "INVITE", NULL, HOLD);
	invite = peer_request(&trunk, "INVITE");
	peer_answers(&trunk, invite, 180, NULL, NULL);
	peer_cancels_with(REASONS);
	got = peer_request(&trunk, "CANCEL");
	assert_true(header_has(got, HDR_REASON, list));
	peer_answers(&trunk, invite, 487, NULL, NULL);
	peer_acks(&pbx, NULL);
	peer_says(&pbx, "BYE", REASONS, NULL);
	got = peer_request(&trunk, "BYE");
	assert_true(header_has(got, HDR_REASON, list));
	peer_answers(&trunk, got, 200, NULL, NULL);

	peer_calls(&pbx, "sip:0301234@127.0.0.2", NULL, SDP_PBX);
	peer_answers(&trunk, peer_request(&trunk, "INVITE"), 180, NULL, NULL);
	peer_cancels_with(REASONS);
	got = peer_request(&trunk, "CANCEL");
	assert_true(header_has(got, HDR_REASON, list));
}

/* --- 1.1, 1.2 ---------------------------------------------------------------- */

static void a_merged_invite_that_is_repeated_is_answered_as_before(void **s)
{
	struct message *invite;
	uint32_t first;
	(void)s;

	calls();
	first = pbx.branch;
	invite = peer_request(&trunk, "INVITE");
	peer_says_same(&pbx, "INVITE", NULL, SDP_PBX); /* another branch */
	peer_answer(&pbx, 482);
	peer_answers(&trunk, invite, 486, NULL, NULL);
	peer_answer(&pbx, 486);
	pbx.branch = first - 1;
	peer_says_same(&pbx, "ACK", NULL, NULL);
	core_run(10000); /* the first one is forgotten */
	assert_int_equal(core_calls(), 0);
	peer_forgets(&pbx);
	peer_forgets(&trunk);
	pbx.branch = first;
	peer_says_same(&pbx, "INVITE", NULL, SDP_PBX);
	peer_answer(&pbx, 482);
	assert_true(peer_hears_no(&trunk, "INVITE"));
}

/* --- 3.4: timer C --------------------------------------------------------- */

static void timer_c_begins_with_100(void **s)
{
	struct message *invite;
	(void)s;

	calls();
	invite = peer_request(&trunk, "INVITE");
	peer_answers(&trunk, invite, 100, NULL, NULL);
	core_run(TIMER_C_MS - 10);
	assert_true(peer_hears_no(&trunk, "CANCEL"));
	core_run(20);
	peer_request(&trunk, "CANCEL");
	peer_answer(&pbx, 408);
}

static void timer_c_begins_anew_with_each_1xx_but_100(void **s)
{
	static const uint16_t codes[] = { 180, 100, 183, 199 };
	struct message *invite;
	(void)s;

	calls();
	invite = peer_request(&trunk, "INVITE");
	for (size_t i = 0; i < 4; i++) {
		peer_answers(&trunk, invite, codes[i], NULL, NULL);
		core_run(codes[i] == 100 ? 10000 : TIMER_C_MS - 10010);
		assert_true(peer_hears_no(&trunk, "CANCEL"));
	}
	core_run(10000);
	assert_true(peer_hears_no(&trunk, "CANCEL"));
	peer_answers(&trunk, invite, 100, NULL, NULL);
	core_run(20);
	peer_request(&trunk, "CANCEL");
	peer_answer(&pbx, 408);
}

static void a_reinvite_that_is_never_answered_is_given_up(void **s)
{
	static const uint16_t codes[] = { 100, 180 };
	(void)s;

	core_teardown(s);
	for (size_t i = 0; i < 2; i++) {
		struct message *invite;

		core_setup(s);
		invite = holds();
		peer_answers(&trunk, invite, codes[i], NULL, NULL);
		core_run(TIMER_C_MS - 10);
		assert_true(peer_hears_no(&trunk, "CANCEL"));
		core_run(20);
		peer_request(&trunk, "CANCEL");
		peer_answer(&pbx, 408);
		peer_acks(&pbx, NULL);
		peer_answers(&trunk, invite, 487, NULL, NULL);

		/* and the next one is served */
		assert_int_equal(core_the_call()->state, CALL_TALKING);
		peer_says(&pbx, "INVITE", NULL, HOLD);
		invite = peer_request(&trunk, "INVITE");
		peer_answers(&trunk, invite, 200, NULL, SDP_TRUNK);
		peer_answer(&pbx, 200);
		core_teardown(s);
	}
	core_setup(s);
	core_start();
}

static void who_leaves_even_the_cancel_of_a_reinvite_unanswered_is_dead(
	void **s)
{
	struct message *invite;
	(void)s;

	invite = holds();
	peer_answers(&trunk, invite, 180, NULL, NULL);
	core_run(TIMER_C_MS + 10);
	peer_request(&trunk, "CANCEL");
	peer_answer(&pbx, 408);
	core_run(32010);
	peer_request(&pbx, "BYE");
	peer_request(&trunk, "BYE");
}

static void a_2xx_that_crosses_the_cancel_of_a_reinvite_ends_the_call(void **s)
{
	struct message *invite;
	(void)s;

	invite = holds();
	peer_answers(&trunk, invite, 180, NULL, NULL);
	core_run(TIMER_C_MS + 10);
	peer_answer(&pbx, 408);
	peer_answers(&trunk, invite, 200, NULL, SDP_TRUNK);
	peer_request(&trunk, "ACK");
	peer_request(&trunk, "BYE");
	peer_request(&pbx, "BYE");
}

/* --- 3.5 -------------------------------------------------------------------- */

/* A reliable 183 with SDP, its PRACK refused for its own SDP, and a 2xx that waits
 * for a better one. Gives the line of a RAck for it */
static struct message *pracks_badly(char rack[64])
{
	struct message *invite, *ringing;
	struct pl rseq;

	core_start();
	peer_calls(&pbx, "sip:0301234@127.0.0.2", "Supported: 100rel\r\n",
		   SDP_PBX);
	invite = peer_request(&trunk, "INVITE");
	peer_answers(&trunk, invite, 183, "Require: 100rel\r\nRSeq: 7\r\n",
		     SDP_TRUNK);
	ringing = peer_answer(&pbx, 183);
	dialog_is(ringing);
	rseq = message_value(ringing, HDR_RSEQ);
	snprintf(rack, 64, "RAck: %.*s %u INVITE\r\n", (int)rseq.l, rseq.p,
		 ringing->cseq);
	peer_says(&pbx, "PRACK", rack, "v=0\r\no=- 1 1 IN IP4\r\nm=\r\n");
	peer_answer(&pbx, 400);
	assert_true(peer_hears_no(&trunk, "PRACK"));
	peer_answers(&trunk, invite, 200, NULL, NULL);
	assert_true(peer_hears_no_answer(&pbx, 200));
	return invite;
}

static void a_refused_prack_acknowledges_nothing(void **s)
{
	char rack[64];
	(void)s;

	(void)pracks_badly(rack);
	core_run(510);
	peer_answer(&pbx, 183); /* repeated */
	core_run(32000);
	peer_answer(&pbx, 504);
	peer_request(&trunk, "ACK");
	peer_request(&trunk, "BYE");
}

static void behind_a_refused_prack_a_better_one_lets_the_2xx_pass(void **s)
{
	char rack[64];
	(void)s;

	(void)pracks_badly(rack);
	peer_says(&pbx, "PRACK", rack, NULL);
	peer_answers(&trunk, peer_request(&trunk, "PRACK"), 200, NULL, NULL);
	core_run(1);
	peer_answer(&pbx, 200);
	peer_says(&pbx, "PRACK", rack, NULL);
	peer_answer(&pbx, 481);
}

/* --- 3.6: re-INVITE --------------------------------------------------------- */

#define SDP_MOVED SDP_AT("127.0.0.11", "40300")

/* Does a flow send to this port of the trunk? */
static bool is_sent_to(uint16_t port)
{
	for (uint32_t i = 0; i < 64; i++) {
		const struct flow_setup *f = fake_flow(i);

		if (f && sa_port(&f->remote[0]) == port)
			return true;
	}
	return false;
}

static void an_answer_in_1xx_holds_with_a_2xx_without_sdp(void **s)
{
	struct message *invite = holds();
	(void)s;

	peer_answers(&trunk, invite, 183, NULL, SDP_MOVED);
	assert_true(body_has(peer_answer(&pbx, 183), "127.0.0.2"));
	assert_false(is_sent_to(40300)); /* RFC 6141: not before the 2xx */
	peer_answers(&trunk, invite, 200, NULL, NULL);
	assert_int_equal(peer_answer(&pbx, 200)->body.l, 0);
	peer_acks(&pbx, NULL);
	assert_true(is_sent_to(40300));
	assert_false(is_sent_to(40100));

	/* and the next offer may come */
	peer_says(&trunk, "UPDATE", NULL, SDP_TRUNK);
	peer_request(&pbx, "UPDATE");
}

static void a_2xx_without_any_answer_leaves_no_offer_open(void **s)
{
	struct message *invite = holds();
	(void)s;

	peer_answers(&trunk, invite, 200, NULL, NULL);
	peer_answer(&pbx, 200);
	peer_acks(&pbx, NULL);
	assert_true(is_sent_to(40100));
	peer_says(&trunk, "UPDATE", NULL, SDP_TRUNK);
	peer_request(&pbx, "UPDATE");
}

/* One without SDP; the other side's 2xx has the offer, and the sender has it */
static void asks_for_an_offer(struct peer *by, struct peer *of, const char *sdp)
{
	struct message *invite;

	core_start();
	core_call();
	peer_says(by, "INVITE", NULL, NULL);
	invite = peer_request(of, "INVITE");
	assert_int_equal(invite->body.l, 0);
	peer_answers(of, invite, 200, NULL, sdp);
	assert_true(peer_hears_no(of, "ACK")); /* it has the answer */
	assert_true(body_has(peer_answer(by, 200), "m=audio 31"));
}

static void a_reinvite_without_offer_has_it_in_the_2xx(void **s)
{
	struct message *ack;
	(void)s;

	core_teardown(s);
	for (int side = 0; side < 2; side++) {
		struct peer *by = side ? &trunk : &pbx,
			    *of = side ? &pbx : &trunk;

		core_setup(s);
		asks_for_an_offer(by, of, side ? SDP_PBX : SDP_MOVED);
		peer_acks(by, side ? SDP_MOVED : SDP_PBX);
		ack = peer_request(of, "ACK");
		assert_true(body_has(ack, "m=audio 31"));
		assert_true(is_sent_to(40300));
		assert_true(is_sent_to(40000));
		core_teardown(s);
	}
	core_setup(s);
	core_start();
}

static void its_ack_without_the_answer_ends_the_call_with_488(void **s)
{
	(void)s;

	asks_for_an_offer(&pbx, &trunk, SDP_MOVED);
	peer_acks(&pbx, NULL);
	peer_request(&trunk, "ACK");
	assert_true(header_has(peer_request(&trunk, "BYE"), HDR_REASON, "488"));
	assert_true(header_has(peer_request(&pbx, "BYE"), HDR_REASON, "488"));
}

static void a_lost_ack_of_a_reinvite_ends_the_call(void **s)
{
	struct message *invite = holds();
	unsigned n = 0;
	(void)s;

	peer_answers(&trunk, invite, 200, NULL, SDP_TRUNK);
	peer_request(&trunk, "ACK");
	core_run(31990);
	while (!peer_hears_no_answer(&pbx, 200)) {
		peer_answer(&pbx, 200);
		n++;
	}
	assert_int_equal(n, 11); /* RFC 3261 13.3.1.4: T1 up to T2 */
	assert_true(peer_hears_no(&pbx, "BYE"));
	core_run(20);
	peer_request(&pbx, "BYE");
	peer_request(&trunk, "BYE");
}

/* --- 3.6: dead legs -------------------------------------------------------- */

static void a_caller_who_is_dead_while_it_rings_is_rung_for_no_more(void **s)
{
	static const uint16_t codes[] = { 481, 408, 0 };
	(void)s;

	core_teardown(s);
	for (size_t i = 0; i < 3; i++) {
		struct message *invite, *update;

		core_setup(s);
		calls();
		invite = peer_request(&trunk, "INVITE");
		peer_answers(&trunk, invite, 180, NULL, NULL);
		peer_answer(&pbx, 180);
		peer_says(&trunk, "UPDATE", NULL, NULL);
		update = peer_request(&pbx, "UPDATE");
		if (codes[i])
			peer_answers(&pbx, update, codes[i], NULL, NULL);
		else
			core_run(33000);
		peer_request(&trunk, "CANCEL");
		peer_answer(&pbx, 480);
		peer_answers(&trunk, invite, 487, NULL, NULL);
		assert_int_equal(core_calls(), 0);
		core_teardown(s);
	}
	core_setup(s);
	core_start();
}

static void a_called_side_that_is_dead_before_the_ack_ends_the_call(void **s)
{
	struct message *invite, *info;
	(void)s;

	calls();
	invite = peer_request(&trunk, "INVITE");
	peer_answers(&trunk, invite, 200, NULL, SDP_TRUNK);
	peer_answer(&pbx, 200);
	peer_says(&pbx, "UPDATE", NULL, NULL);
	info = peer_request(&trunk, "UPDATE");
	peer_answers(&trunk, info, 481, NULL, NULL);
	peer_request(&pbx, "BYE");
	peer_request(&trunk, "BYE");
}

/* --- 3.2: ACK -------------------------------------------------------------- */

static void an_ack_of_before_acknowledges_no_later_answer(void **s)
{
	struct message *invite = holds();
	(void)s;

	peer_answers(&trunk, invite, 200, NULL, SDP_TRUNK);
	peer_answer(&pbx, 200);
	pbx.cseq--;
	peer_acks(&pbx, NULL); /* of the first INVITE, doubled on its way */
	pbx.cseq++;
	core_run(510);
	peer_answer(&pbx, 200); /* repeated */
	peer_acks(&pbx, NULL);
	core_run(5000);
	assert_true(peer_hears_no_answer(&pbx, 200));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, core_setup, core_teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(replaces_is_for_an_invite_that_begins_a_dialog_alone),
		TEST(without_max_forwards_69_leaves_inside_a_dialog_too),
		TEST(a_request_of_a_branch_is_rewritten_and_proved_for_its_hop),
		TEST(behind_the_answer_nothing_goes_to_a_branch_of_another_realm),
		TEST(every_reason_of_bye_and_cancel_goes_on),
		TEST(a_merged_invite_that_is_repeated_is_answered_as_before),
		TEST(timer_c_begins_with_100),
		TEST(timer_c_begins_anew_with_each_1xx_but_100),
		TEST(a_reinvite_that_is_never_answered_is_given_up),
		TEST(who_leaves_even_the_cancel_of_a_reinvite_unanswered_is_dead),
		TEST(a_2xx_that_crosses_the_cancel_of_a_reinvite_ends_the_call),
		TEST(a_refused_prack_acknowledges_nothing),
		TEST(behind_a_refused_prack_a_better_one_lets_the_2xx_pass),
		TEST(an_answer_in_1xx_holds_with_a_2xx_without_sdp),
		TEST(a_2xx_without_any_answer_leaves_no_offer_open),
		TEST(a_reinvite_without_offer_has_it_in_the_2xx),
		TEST(its_ack_without_the_answer_ends_the_call_with_488),
		TEST(a_lost_ack_of_a_reinvite_ends_the_call),
		TEST(a_caller_who_is_dead_while_it_rings_is_rung_for_no_more),
		TEST(a_called_side_that_is_dead_before_the_ack_ends_the_call),
		TEST(an_ack_of_before_acknowledges_no_later_answer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
