/*
 * REFER: passed on or carried out (behaviour.md 3.6), in virtual time
 */
#include <stdio.h>
#include <stdlib.h>
#include "tests/unit/core_fixture.h"

#define TO_TARGET "Refer-To: <sip:0305678@127.0.0.2>\r\n"
#define MOVED     SDP_AT("127.0.0.11", "40300")

/* The other end of a dialog at the trunk: a peer of its own, same address */
static struct peer target;

static void enable(void)
{
	core.pbx->refer_call_transfer = true;
}

static void call(void)
{
	enable();
	core_start();
	core_call();
	target = trunk;
	target.taken = target.n = 0;
}

static void notified(uint16_t code, bool last)
{
	struct message *m = peer_request(&pbx, "NOTIFY");
	char line[32];

	snprintf(line, sizeof(line), "SIP/2.0 %u ", code);
	assert_true(body_has(m, line));
	assert_true(header_has(m, HDR_CONTENT_TYPE, "message/sipfrag"));
	assert_true(header_has(m, HDR_EVENT, "refer"));
	assert_true(header_has(m, HDR_SUBSCRIPTION_STATE,
			       last ? "terminated" : "active"));
	peer_answers(&pbx, m, 200, NULL, NULL);
}

/* REFER answered 202, the first NOTIFY, and the INVITE to the target */
static struct message *referred(const char *headers)
{
	struct message *m;

	peer_says(&pbx, "REFER", headers, NULL);
	m = peer_answer(&pbx, 202);
	assert_non_null(message_first(m, HDR_CONTACT));
	notified(100, false);
	return peer_request(&trunk, "INVITE");
}

/* --- Passed on --------------------------------------------------------------- */

static void disabled_it_is_relayed_and_so_are_its_notifies(void **s)
{
	struct message *m;
	(void)s;

	core_start();
	core_call();
	peer_says(&pbx, "REFER", TO_TARGET, NULL);
	m = peer_request(&trunk, "REFER");
	assert_true(header_has(m, HDR_REFER_TO, "sip:0305678@trunk.example"));
	peer_answers(&trunk, m, 202, NULL, NULL);
	peer_answer(&pbx, 202);
	peer_says(&trunk, "NOTIFY",
		  "Event: refer\r\nSubscription-State: active\r\n",
		  "SIP/2.0 100 Trying\r\n");
	m = peer_request(&pbx, "NOTIFY");
	assert_true(body_has(m, "SIP/2.0 100"));
	assert_true(peer_hears_no(&trunk, "INVITE"));
}

static void the_target_finds_nobody_before_the_other_side_is_there(void **s)
{
	static const char *const tags[] = { "v", "w" };
	struct message *m;
	(void)s;

	call();
	m = referred(TO_TARGET);
	/* two branches: also a twin of the stand-in is no peer */
	for (size_t i = 0; i < 2; i++) {
		target.tag = tags[i];
		peer_answers(&target, m, 180, NULL, NULL);
		target.cseq = 500;
		peer_says(&target, "INFO", NULL, "a");
		peer_answer(&trunk, 500);
		assert_true(peer_hears_no(&trunk, "INFO"));
		assert_true(peer_hears_no(&pbx, "INFO"));
	}
}

static void what_the_referrer_asked_ends_with_his_bye(void **s)
{
	(void)s;

	call();
	referred(TO_TARGET);
	peer_says(&pbx, "INVITE", NULL, SDP_PBX);
	peer_request(&trunk, "INVITE");
	peer_says(&pbx, "BYE", NULL, NULL);
	peer_answer(&pbx, 487);
}

static void the_session_agent_has_the_last_word(void **s)
{
	(void)s;

	enable();
	core.agent_pbx->refer_call_transfer =
		AGENT_REFER_CALL_TRANSFER_DISABLED;
	core_start();
	core_call();
	peer_says(&pbx, "REFER", TO_TARGET, NULL);
	peer_request(&trunk, "REFER");
}

static void a_refer_to_another_method_is_passed_on(void **s)
{
	(void)s;

	call();
	peer_says(&pbx, "REFER",
		  "Refer-To: <sip:0305678@127.0.0.2;method=BYE>\r\n", NULL);
	peer_request(&trunk, "REFER");
}

/* --- Carried out -------------------------------------------------------------- */

static void the_target_is_called_and_the_other_side_moved_to_it(void **s)
{
	struct message *invite, *move, *m;
	struct peer rest;
	(void)s;

	call();
	rest = trunk;
	invite = referred(TO_TARGET "Referred-By: <sip:x@127.0.0.12>\r\n");
	assert_false(pl_strcmp(&invite->ruri, "sip:0305678@trunk.example"));
	assert_true(message_first(invite, HDR_REFERRED_BY) != NULL);
	assert_int_equal(invite->to_tag.l, 0);
	assert_true(body_has(invite, "m=audio"));
	peer_answers(&trunk, invite, 180, NULL, NULL);
	notified(180, false);
	peer_answers(&trunk, invite, 200, NULL, MOVED);
	peer_request(&trunk, "ACK");
	assert_true(peer_hears_no(&pbx, "BYE"));
	target = trunk;

	/* re-INVITE to the other side, in its dialog */
	core_run(1);
	move = peer_request(&trunk, "INVITE");
	assert_true(move->to_tag.l > 0);
	assert_false(pl_strcmp(&move->callid, rest.callid));
	assert_true(body_has(move, "m=audio"));
	assert_int_equal(core_calls(), 2);
	peer_answers(&trunk, move, 200, NULL, SDP_TRUNK);
	peer_request(&trunk, "ACK");

	/* the referrer hears of it, and BYE after that */
	m = peer_request(&pbx, "NOTIFY");
	assert_true(body_has(m, "SIP/2.0 200"));
	assert_true(header_has(m, HDR_SUBSCRIPTION_STATE, "terminated"));
	assert_true(peer_hears_no(&pbx, "BYE"));
	peer_answers(&pbx, m, 200, NULL, NULL);
	m = peer_request(&pbx, "BYE");
	peer_answers(&pbx, m, 200, NULL, NULL);
	core_run(1);
	assert_int_equal(core_calls(), 1);
	assert_int_equal(core_the_call()->state, CALL_TALKING);

	/* the two talk: what one says reaches the other */
	peer_forgets(&trunk);
	peer_says(&rest, "INFO", "X-From: rest\r\n", NULL);
	m = peer_request(&trunk, "INFO");
	assert_false(pl_strcmp(&m->callid, target.callid));
	peer_answers(&trunk, m, 200, NULL, NULL);
	peer_says(&rest, "BYE", NULL, NULL);
	m = peer_request(&trunk, "BYE");
	assert_false(pl_strcmp(&m->callid, target.callid));
	peer_answers(&trunk, m, 200, NULL, NULL);
	core_run(1);
	assert_int_equal(core_calls(), 0);
}

/* Its early dialogs live on for 64*T1, when the leg is in another call: read by
 * AddressSanitizer */
static void a_call_that_was_forked_may_be_moved_at_once(void **s)
{
	struct message *m;
	struct peer rest;
	(void)s;

	enable();
	core_start();
	peer_calls(&pbx, "sip:0301234@127.0.0.2", NULL, SDP_PBX);
	m = peer_request(&trunk, "INVITE");
	trunk.tag = "v";
	peer_answers(&trunk, m, 180, NULL, NULL);
	trunk.tag = "u";
	peer_answers(&trunk, m, 180, NULL, NULL);
	peer_answers(&trunk, m, 200, NULL, SDP_TRUNK);
	peer_answer(&pbx, 200);
	peer_acks(&pbx, NULL);
	rest = trunk;
	rest.cseq = 100;
	m = referred(TO_TARGET);
	peer_answers(&trunk, m, 200, NULL, MOVED);
	core_run(1);
	m = peer_request(&trunk, "INVITE");
	peer_answers(&trunk, m, 200, NULL, SDP_TRUNK);
	peer_answers(&pbx, peer_request(&pbx, "NOTIFY"), 200, NULL, NULL);
	/* his call ends when nobody answers, behind the one that has its leg */
	peer_request(&pbx, "BYE");
	peer_forgets(&trunk);
	peer_says(&rest, "BYE", NULL, NULL);
	peer_answers(&trunk, peer_request(&trunk, "BYE"), 200, NULL, NULL);
	core_run(40000);
	assert_int_equal(core_calls(), 0);
}

static void version_row(bool relayed)
{
	struct message *first, *invite, *move;
	struct pl a, b;

	core.trunk->mm_in_realm = relayed;
	enable();
	core_start();
	peer_calls(&pbx, "sip:0301234@127.0.0.2", NULL, SDP_PBX);
	first = peer_request(&trunk, "INVITE");
	peer_answers(&trunk, first, 200, NULL, SDP_TRUNK);
	peer_answer(&pbx, 200);
	peer_acks(&pbx, NULL);
	peer_forgets(&trunk);
	invite = referred(TO_TARGET);
	peer_answers(&trunk, invite, 200, NULL, MOVED);
	core_run(1);
	move = peer_request(&trunk, "INVITE");
	/* o=- ID VERSION */
	a.p = strstr(first->body.p, "o=- ") + 4;
	b.p = strstr(move->body.p, "o=- ") + 4;
	a.l = strcspn(a.p, " ");
	b.l = strcspn(b.p, " ");
	assert_false(pl_cmp(&a, &b));
	assert_int_equal(strtoull(b.p + b.l, NULL, 10),
			 strtoull(a.p + a.l, NULL, 10) + 1);
	assert_int_equal(body_has(move, "c=IN IP4 127.0.0.11"), !relayed);
}

static void the_version_of_the_sdp_goes_on_in_the_other_side_s_dialog(void **s)
{
	(void)s;
	version_row(true);
}

/* Both are of one realm now: media goes directly, yet it is one session */
static void it_goes_on_where_media_go_directly_from_then_on(void **s)
{
	(void)s;
	version_row(false);
}

static void on_failure_the_call_goes_on(void **s)
{
	static const uint16_t codes[] = { 404, 486, 503, 603 };
	(void)s;

	call();
	for (size_t i = 0; i < 4; i++) {
		struct message *m;

		peer_answers(&trunk, referred(TO_TARGET), codes[i], NULL, NULL);
		notified(codes[i], true);
		core_run(1);
		assert_int_equal(core_calls(), 1);
		peer_says(&pbx, "INFO", NULL, NULL);
		m = peer_request(&trunk, "INFO");
		peer_answers(&trunk, m, 200, NULL, NULL);
		peer_forgets(&pbx);
		/* an agent with errors is asked again all the same */
		core_run(60000);
	}
}

static void an_other_side_that_refuses_the_move_stays_where_it_is(void **s)
{
	struct message *m;
	(void)s;

	call();
	peer_answers(&trunk, referred(TO_TARGET), 200, NULL, MOVED);
	core_run(1);
	m = peer_request(&trunk, "INVITE");
	peer_answers(&trunk, m, 488, NULL, NULL);
	notified(488, true);
	peer_request(&trunk, "BYE"); /* the target's */
	core_run(40000);
	assert_int_equal(core_calls(), 1);
	assert_int_equal(core_the_call()->state, CALL_TALKING);
	assert_true(peer_hears_no(&pbx, "BYE"));
}

static void a_move_that_meets_another_offer_is_repeated(void **s)
{
	struct message *m;
	(void)s;

	call();
	peer_answers(&trunk, referred(TO_TARGET), 200, NULL, MOVED);
	core_run(1);
	m = peer_request(&trunk, "INVITE");
	peer_answers(&trunk, m, 491, NULL, NULL);
	peer_request(&trunk, "ACK");
	core_run(2090);
	assert_true(peer_hears_no(&trunk, "INVITE"));
	core_run(2000);
	m = peer_request(&trunk, "INVITE");
	peer_answers(&trunk, m, 200, NULL, SDP_TRUNK);
	m = peer_request(&pbx, "NOTIFY");
	assert_true(body_has(m, "SIP/2.0 200"));
}

static void a_referrer_who_hangs_up_does_not_end_the_transfer(void **s)
{
	struct message *invite, *m;
	(void)s;

	call();
	invite = referred(TO_TARGET);
	peer_says(&pbx, "BYE", NULL, NULL);
	peer_answer(&pbx, 200);
	core_run(1);
	assert_true(peer_hears_no(&trunk, "BYE"));
	peer_answers(&trunk, invite, 200, NULL, MOVED);
	core_run(1);
	m = peer_request(&trunk, "INVITE");
	peer_answers(&trunk, m, 200, NULL, SDP_TRUNK);
	core_run(1);
	assert_int_equal(core_calls(), 1);
	assert_true(peer_hears_nothing(&pbx));
	assert_true(peer_hears_no(&trunk, "BYE"));
}

static void when_he_hung_up_and_the_target_refuses_the_other_side_hears_bye(
	void **s)
{
	struct message *invite;
	(void)s;

	call();
	invite = referred(TO_TARGET);
	peer_says(&pbx, "BYE", NULL, NULL);
	peer_answers(&trunk, invite, 486, NULL, NULL);
	core_run(1);
	peer_answers(&trunk, peer_request(&trunk, "BYE"), 200, NULL, NULL);
	core_run(1);
	assert_int_equal(core_calls(), 0);
}

/* RFC 3261 14.1: it is cancelled, and until its answer no other INVITE goes */
static void a_reinvite_that_he_leaves_behind_ends_before_the_move(void **s)
{
	struct message *invite, *hold;
	(void)s;

	call();
	invite = referred(TO_TARGET);
	peer_says(&pbx, "INVITE", NULL, SDP_PBX);
	hold = peer_request(&trunk, "INVITE");
	peer_says(&pbx, "BYE", NULL, NULL);
	peer_answers(&trunk, invite, 200, NULL, MOVED);
	core_run(2000);
	while (!peer_hears_no(&trunk, "INVITE")) /* repeated only */
		assert_int_equal(peer_request(&trunk, "INVITE")->cseq,
				 hold->cseq);
	peer_answers(&trunk, hold, 180, NULL, NULL);
	peer_request(&trunk, "CANCEL");
	peer_answers(&trunk, hold, 487, NULL, NULL);
	core_run(600);
	hold = peer_request(&trunk, "INVITE");
	assert_true(body_has(hold, "m=audio 40300"));
	peer_answers(&trunk, hold, 200, NULL, SDP_TRUNK);
	core_run(1);
	assert_int_equal(core_calls(), 1);
	assert_true(peer_hears_no(&trunk, "BYE"));
}

static void an_other_side_that_hangs_up_ends_everything(void **s)
{
	struct message *invite;
	struct peer rest;
	(void)s;

	call();
	rest = trunk;
	invite = referred(TO_TARGET);
	peer_answers(&trunk, invite, 180, NULL, NULL);
	peer_says(&rest, "BYE", NULL, NULL);
	peer_request(&pbx, "BYE");
	peer_request(&trunk, "CANCEL");
	peer_answers(&trunk, invite, 487, NULL, NULL);
	core_run(33000);
	assert_int_equal(core_calls(), 0);
}

static void a_target_that_hangs_up_before_the_move_is_a_failure(void **s)
{
	struct message *m;
	struct peer rest;
	(void)s;

	call();
	rest = trunk;
	peer_answers(&trunk, referred(TO_TARGET), 200, NULL, MOVED);
	target = trunk;
	core_run(1);
	m = peer_request(&trunk, "INVITE");
	target.cseq = 500;
	target.branch = 9000;
	peer_says(&target, "BYE", NULL, NULL);
	notified(480, true);
	/* the 2xx of the move comes too late: back to the referrer */
	peer_answers(&trunk, m, 200, NULL, SDP_TRUNK);
	m = peer_request(&trunk, "INVITE");
	assert_false(pl_strcmp(&m->callid, rest.callid));
	peer_answers(&trunk, m, 200, NULL, SDP_TRUNK);
	core_run(33000);
	assert_int_equal(core_calls(), 1);
	assert_int_equal(core_the_call()->state, CALL_TALKING);
}

static void who_wants_no_notify_gets_none(void **s)
{
	struct message *m;
	(void)s;

	call();
	peer_says(&pbx, "REFER", TO_TARGET "Refer-Sub: false\r\n", NULL);
	m = peer_answer(&pbx, 202);
	assert_non_null(message_named(m, "Refer-Sub"));
	assert_true(peer_hears_no(&pbx, "NOTIFY"));
	peer_answers(&trunk, peer_request(&trunk, "INVITE"), 200, NULL, MOVED);
	core_run(1);
	peer_answers(&trunk, peer_request(&trunk, "INVITE"), 200, NULL,
		     SDP_TRUNK);
	peer_request(&pbx, "BYE");
}

static void a_second_refer_names_itself_and_must_wait_for_the_first(void **s)
{
	struct message *invite, *m;
	(void)s;

	call();
	invite = referred(TO_TARGET);
	peer_says(&pbx, "REFER", TO_TARGET, NULL);
	peer_answer(&pbx, 491);
	peer_answers(&trunk, invite, 486, NULL, NULL);
	notified(486, true);
	peer_says(&pbx, "REFER", TO_TARGET, NULL);
	m = peer_request(&pbx, "NOTIFY");
	assert_true(header_has(m, HDR_EVENT, "refer;id="));
}

static void a_refer_to_that_cannot_be_read_gets_400(void **s)
{
	static const char *const rows[] = { "Refer-To: <sip:\r\n", "",
					    "Refer-To: <mailto:x@y>\r\n",
					    TO_TARGET TO_TARGET };
	(void)s;

	call();
	for (size_t i = 0; i < 4; i++) {
		peer_says(&pbx, "REFER", rows[i], NULL);
		peer_answer(&pbx, 400);
	}
	assert_true(peer_hears_nothing(&trunk));
	assert_int_equal(core_calls(), 1);
}

/* The called side refers: the caller is the one who is moved */
static void the_called_side_may_refer_too(void **s)
{
	struct message *invite, *m;
	struct peer rest;
	(void)s;

	core.trunk->refer_call_transfer = true;
	core_start();
	core_call();
	rest = pbx;
	peer_says(&trunk, "REFER", "Refer-To: <sip:4930200@127.0.0.1>\r\n",
		  NULL);
	peer_answer(&trunk, 202);
	m = peer_request(&trunk, "NOTIFY");
	peer_answers(&trunk, m, 200, NULL, NULL);
	invite = peer_request(&pbx, "INVITE");
	assert_int_equal(invite->to_tag.l, 0);
	peer_answers(&pbx, invite, 200, NULL, SDP_PBX);
	core_run(1);
	m = peer_request(&pbx, "INVITE");
	assert_false(pl_strcmp(&m->callid, rest.callid));
	peer_answers(&pbx, m, 200, NULL, SDP_PBX);
	m = peer_request(&trunk, "NOTIFY");
	assert_true(body_has(m, "SIP/2.0 200"));
	peer_answers(&trunk, m, 200, NULL, NULL);
	m = peer_request(&trunk, "BYE");
	peer_answers(&trunk, m, 200, NULL, NULL);
	core_run(1);
	assert_int_equal(core_calls(), 1);
	peer_forgets(&pbx);
	rest.branch = 6000;
	rest.cseq = 400;
	peer_says(&rest, "BYE", NULL, NULL);
	m = peer_request(&pbx, "BYE");
	peer_answers(&pbx, m, 200, NULL, NULL);
	core_run(1);
	assert_int_equal(core_calls(), 0);
}

/* --- Replaces ------------------------------------------------------------------ */

static void escape(char *out, const char *callid, const char *to_tag,
		   const char *from_tag)
{
	out += sprintf(out, "Refer-To: <sip:0305678@127.0.0.2?Replaces=");
	for (; *callid; callid++)
		out += sprintf(out, *callid == '@' ? "%%40" : "%c", *callid);
	sprintf(out, "%%3Bto-tag%%3D%s%%3Bfrom-tag%%3D%s>\r\n", to_tag,
		from_tag);
}

static const char *tag_of(const char *value)
{
	return strstr(value, ";tag=") + 5;
}

/* Two calls of one PBX; he refers the first to the second */
static void two_calls_are_joined(void **s)
{
	struct peer first_pbx, first_trunk, second_trunk;
	struct message *m;
	char refer_to[512];
	(void)s;

	call();
	first_pbx = pbx;
	first_trunk = trunk;
	core_call();
	second_trunk = trunk;
	escape(refer_to, pbx.callid, tag_of(pbx.remote), tag_of(pbx.local));

	/* REFER in the first call */
	{
		struct peer second_pbx = pbx;

		memcpy(pbx.callid, first_pbx.callid, sizeof(pbx.callid));
		memcpy(pbx.local, first_pbx.local, sizeof(pbx.local));
		memcpy(pbx.remote, first_pbx.remote, sizeof(pbx.remote));
		memcpy(pbx.target, first_pbx.target, sizeof(pbx.target));
		pbx.cseq = second_pbx.cseq + 10;
	}
	peer_says(&pbx, "REFER", refer_to, NULL);
	peer_answer(&pbx, 202);
	notified(100, false);

	/* no new call: the target hears a re-INVITE in its own dialog */
	m = peer_request(&trunk, "INVITE");
	assert_false(pl_strcmp(&m->callid, second_trunk.callid));
	peer_answers(&trunk, m, 200, NULL, MOVED);
	core_run(1);
	m = peer_request(&trunk, "INVITE");
	assert_false(pl_strcmp(&m->callid, first_trunk.callid));
	peer_answers(&trunk, m, 200, NULL, SDP_TRUNK);
	notified(200, true);
	/* both calls of the referrer end */
	peer_answers(&pbx, peer_request(&pbx, "BYE"), 200, NULL, NULL);
	peer_answers(&pbx, peer_request(&pbx, "BYE"), 200, NULL, NULL);
	core_run(1);
	assert_int_equal(core_calls(), 1);
	assert_true(peer_hears_no(&trunk, "BYE"));
	/* and the two talk */
	peer_forgets(&trunk);
	first_trunk.branch = 7000;
	first_trunk.cseq = 300;
	peer_says(&first_trunk, "INFO", NULL, NULL);
	m = peer_request(&trunk, "INFO");
	assert_false(pl_strcmp(&m->callid, second_trunk.callid));
	peer_answers(&trunk, m, 200, NULL, NULL);
	second_trunk.branch = 8000;
	second_trunk.cseq = 300;
	peer_says(&second_trunk, "BYE", NULL, NULL);
	m = peer_request(&trunk, "BYE");
	assert_false(pl_strcmp(&m->callid, first_trunk.callid));
	peer_answers(&trunk, m, 200, NULL, NULL);
	core_run(1);
	assert_int_equal(core_calls(), 0);
}

/* A 3xx led to him, in a call that is gone by then; in the one that he moved into he
 * is the called side */
static void who_was_redirected_to_is_joined_to_another_call(void **s)
{
	char refer_to[512], own[sizeof(trunk.contact)];
	struct peer first_pbx;
	struct message *m;
	(void)s;

	strcpy(own, trunk.contact);
	enable();
	item_set(&element_session_agent, core.agent_trunk, "redirect-action",
		 "recurse");
	core_start();
	peer_calls(&pbx, "sip:0301234@127.0.0.2", NULL, SDP_PBX);
	m = peer_request(&trunk, "INVITE");
	snprintf(trunk.contact, sizeof(trunk.contact), "sip:777@%s", third.ip);
	peer_answers(&trunk, m, 302, NULL, NULL);
	peer_request(&trunk, "ACK");
	peer_answers(&third, peer_request(&third, "INVITE"), 200, NULL,
		     SDP_AT("127.0.0.14", "40400"));
	peer_answer(&pbx, 200);
	peer_acks(&pbx, NULL);
	peer_request(&third, "ACK");
	first_pbx = pbx;

	strcpy(trunk.contact, own);
	peer_calls(&trunk, "sip:4930100@127.0.0.1", NULL, SDP_TRUNK);
	peer_answers(&pbx, peer_request(&pbx, "INVITE"), 200, NULL, SDP_PBX);
	peer_answer(&trunk, 200);
	peer_acks(&trunk, NULL);
	peer_request(&pbx, "ACK");
	escape(refer_to, pbx.callid, tag_of(pbx.remote), tag_of(pbx.local));
	memcpy(pbx.callid, first_pbx.callid, sizeof(pbx.callid));
	memcpy(pbx.local, first_pbx.local, sizeof(pbx.local));
	memcpy(pbx.remote, first_pbx.remote, sizeof(pbx.remote));
	memcpy(pbx.target, first_pbx.target, sizeof(pbx.target));
	pbx.cseq += 10;
	peer_says(&pbx, "REFER", refer_to, NULL);
	peer_answer(&pbx, 202);
	notified(100, false);
	peer_answers(&trunk, peer_request(&trunk, "INVITE"), 200, NULL, MOVED);
	core_run(1);
	peer_answers(&third, peer_request(&third, "INVITE"), 200, NULL,
		     SDP_AT("127.0.0.14", "40400"));
	notified(200, true);
	peer_answers(&pbx, peer_request(&pbx, "BYE"), 200, NULL, NULL);
	peer_answers(&pbx, peer_request(&pbx, "BYE"), 200, NULL, NULL);
	core_run(1);
	assert_int_equal(core_calls(), 1);

	trunk.branch = 7000;
	trunk.cseq = 300;
	peer_says(&trunk, "INFO", NULL, NULL);
	m = peer_request(&third, "INFO");
	assert_false(memcmp(m->ruri.p, "sip:", 4));
	peer_answers(&third, m, 200, NULL, NULL);
	peer_answer(&trunk, 200);
}

/* Both are in a call of their own with the referrer; one of them hangs up while
 * the other is asked to move */
static void the_end_of_the_first_call_gives_the_target_back(void **s)
{
	struct peer first_trunk, second_trunk, second_pbx;
	char refer_to[512];
	struct message *m;
	(void)s;

	call();
	{
		struct peer first_pbx = pbx;

		first_trunk = trunk;
		core_call();
		second_pbx = pbx;
		second_trunk = trunk;
		escape(refer_to, pbx.callid, tag_of(pbx.remote),
		       tag_of(pbx.local));
		memcpy(pbx.callid, first_pbx.callid, sizeof(pbx.callid));
		memcpy(pbx.local, first_pbx.local, sizeof(pbx.local));
		memcpy(pbx.remote, first_pbx.remote, sizeof(pbx.remote));
		memcpy(pbx.target, first_pbx.target, sizeof(pbx.target));
		pbx.cseq = second_pbx.cseq + 10;
	}
	peer_says(&pbx, "REFER", refer_to, NULL);
	peer_answer(&pbx, 202);
	m = peer_request(&trunk, "INVITE");
	peer_answers(&trunk, m, 200, NULL, MOVED);
	core_run(1);
	m = peer_request(&trunk, "INVITE");
	assert_false(pl_strcmp(&m->callid, first_trunk.callid));
	first_trunk.branch = 7000;
	first_trunk.cseq = 300;
	peer_says(&first_trunk, "BYE", NULL, NULL);
	m = peer_request(&trunk, "INVITE");
	assert_false(pl_strcmp(&m->callid, second_trunk.callid));
	peer_answers(&trunk, m, 200, NULL, SDP_TRUNK);
	m = peer_request(&pbx, "BYE");
	peer_answers(&pbx, m, 200, NULL, NULL);
	core_run(1);
	assert_int_equal(core_calls(), 1);
	assert_int_equal(core_the_call()->state, CALL_TALKING);
}

/* 7.2, 49 */
static void a_call_of_another_tenant_is_no_call(void **s)
{
	char refer_to[512];
	struct peer a;
	(void)s;

	core.pbx_b->refer_call_transfer = true;
	call();
	a = pbx;
	peer_calls(&pbx_b, "sip:0301234@127.0.0.3", NULL, SDP_B);
	peer_answers(&trunk, peer_request(&trunk, "INVITE"), 200, NULL,
		     SDP_TRUNK);
	peer_answer(&pbx_b, 200);
	peer_acks(&pbx_b, NULL);
	peer_request(&trunk, "ACK");
	escape(refer_to, a.callid, tag_of(a.remote), tag_of(a.local));
	peer_says(&pbx_b, "REFER", refer_to, NULL);
	peer_answer(&pbx_b, 202);
	{
		struct message *m = peer_request(&pbx_b, "NOTIFY");

		peer_answers(&pbx_b, m, 200, NULL, NULL);
		m = peer_request(&pbx_b, "NOTIFY");
		assert_true(body_has(m, "SIP/2.0 481"));
		peer_answers(&pbx_b, m, 200, NULL, NULL);
	}
	assert_true(peer_hears_nothing(&trunk));
	assert_true(peer_hears_nothing(&pbx));
	assert_int_equal(core_calls(), 2);
}

/* The PBX may have one call, or two: that of a transfer is one of its own */
static void the_call_to_the_target_is_one_of_the_referrers(void **s)
{
	enum {
		AGENT,
		TOTAL,
		ROOM,
		ROWS
	};
	(void)s;

	core_teardown(s);
	for (int row = AGENT; row < ROWS; row++) {
		core_setup(s);
		item_set(&element_session_agent, core.agent_pbx, "constraints",
			 "enabled");
		item_set(&element_session_agent, core.agent_pbx,
			 "max-inbound-sessions", row == AGENT ? "1" : "2");
		core.sip->max_sessions = row == TOTAL ? 1 : 0;
		call();
		if (row == ROOM) {
			(void)referred(TO_TARGET);
			peer_calls(&pbx, "sip:0301234@127.0.0.2", NULL,
				   SDP_PBX);
			peer_answer(&pbx, 503);
		} else {
			peer_says(&pbx, "REFER", TO_TARGET, NULL);
			peer_answer(&pbx, 202);
			notified(100, false);
			notified(503, true);
			assert_true(peer_hears_nothing(&trunk));
		}
		core_teardown(s);
	}
	core_setup(s);
}

#define T(f) cmocka_unit_test_setup_teardown(f, core_setup, core_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(disabled_it_is_relayed_and_so_are_its_notifies),
		T(the_target_finds_nobody_before_the_other_side_is_there),
		T(what_the_referrer_asked_ends_with_his_bye),
		T(the_session_agent_has_the_last_word),
		T(a_refer_to_another_method_is_passed_on),
		T(the_target_is_called_and_the_other_side_moved_to_it),
		T(a_call_that_was_forked_may_be_moved_at_once),
		T(the_version_of_the_sdp_goes_on_in_the_other_side_s_dialog),
		T(it_goes_on_where_media_go_directly_from_then_on),
		T(on_failure_the_call_goes_on),
		T(the_call_to_the_target_is_one_of_the_referrers),
		T(an_other_side_that_refuses_the_move_stays_where_it_is),
		T(a_move_that_meets_another_offer_is_repeated),
		T(a_referrer_who_hangs_up_does_not_end_the_transfer),
		T(when_he_hung_up_and_the_target_refuses_the_other_side_hears_bye),
		T(a_reinvite_that_he_leaves_behind_ends_before_the_move),
		T(an_other_side_that_hangs_up_ends_everything),
		T(a_target_that_hangs_up_before_the_move_is_a_failure),
		T(who_wants_no_notify_gets_none),
		T(a_second_refer_names_itself_and_must_wait_for_the_first),
		T(a_refer_to_that_cannot_be_read_gets_400),
		T(the_called_side_may_refer_too),
		T(two_calls_are_joined),
		T(who_was_redirected_to_is_joined_to_another_call),
		T(the_end_of_the_first_call_gives_the_target_back),
		T(a_call_of_another_tenant_is_no_call),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
