/*
 * A configuration comes into force while something lives that began with the one
 * before (architecture.md 4)
 *
 * Nothing is shared between the two, and what nobody holds is freed at once: a
 * pointer into a plan that nobody holds is found by AddressSanitizer, and by
 * whoever looks for what it led to.
 */
#include <stdio.h>
#include "tests/unit/core_fixture.h"
#include "tests/unit/fake_resolver.h"

#define NUMBER "sip:0301234@127.0.0.2"

/* --- A call --------------------------------------------------------------- */

/* Every moment of a call is followed by a change */
static void a_call_goes_on_whenever_the_plan_changes(void **s)
{
	struct message *m;
	(void)s;

	core_start();
	peer_calls(&pbx, NUMBER, NULL, SDP_PBX);
	m = peer_request(&trunk, "INVITE");
	core_change();
	peer_answers(&trunk, m, 183, NULL, SDP_TRUNK);
	peer_answer(&pbx, 183);
	core_change();
	peer_answers(&trunk, m, 200, NULL, SDP_TRUNK);
	peer_answer(&pbx, 200);
	core_change();
	peer_acks(&pbx, NULL);
	peer_request(&trunk, "ACK");
	core_change();
	trunk.cseq = 100;
	peer_says(&trunk, "INVITE", NULL, SDP_TRUNK);
	core_change();
	peer_answers(&pbx, peer_request(&pbx, "INVITE"), 200, NULL, SDP_PBX);
	peer_answer(&trunk, 200);
	core_change();
	peer_acks(&trunk, NULL);
	peer_request(&pbx, "ACK");
	peer_says(&pbx, "BYE", NULL, NULL);
	m = peer_request(&trunk, "BYE");
	core_change();
	peer_answers(&trunk, m, 200, NULL, NULL);
	peer_answer(&pbx, 200);
	core_change();
	core_run(64000);
	assert_int_equal(core_calls(), 0);
}

static void a_challenge_is_answered_with_the_plan_of_the_call(void **s)
{
	static const char challenge[] =
		"Proxy-Authenticate: Digest realm=\"example.net\", "
		"nonce=\"n1\", qop=\"auth\"\r\n";
	struct message *m;
	(void)s;

	core_start();
	peer_calls(&pbx, NUMBER, NULL, SDP_PBX);
	m = peer_request(&trunk, "INVITE");
	core_change();
	peer_answers(&trunk, m, 407, challenge, NULL);
	peer_answer(&pbx, 407); /* there are no credentials: passed through */
	core_change();
	core_run(64000);
	assert_int_equal(core_calls(), 0);
}

/* behaviour.md 3.3: who gave up leaves a leg behind that ends a late 2xx */
static void a_2xx_after_cancel_and_a_change_is_acked_and_hung_up(void **s)
{
	struct message *m;
	(void)s;

	core_start();
	peer_calls(&pbx, NUMBER, NULL, SDP_PBX);
	m = peer_request(&trunk, "INVITE");
	peer_answers(&trunk, m, 180, NULL, NULL);
	peer_cancels(&pbx);
	peer_answer(&pbx, 487);
	peer_answers(&trunk, peer_request(&trunk, "CANCEL"), 200, NULL, NULL);
	core_run(33000); /* the call is over, its leg lingers */
	assert_int_equal(core_calls(), 0);
	core_change();
	/* a Contact that has to be looked up: its realm says which sip-port */
	fake_name("late.example", "127.0.0.11:5060", NULL);
	snprintf(trunk.contact, sizeof(trunk.contact), "sip:x@late.example");
	peer_answers(&trunk, m, 200, NULL, SDP_TRUNK);
	core_change();
	peer_request(&trunk, "ACK");
	peer_answers(&trunk, peer_request(&trunk, "BYE"), 200, NULL, NULL);
	core_run(64000);
}

static void the_2xx_of_another_branch_is_hung_up_behind_the_call(void **s)
{
	struct message *m;
	(void)s;

	core_start();
	peer_calls(&pbx, NUMBER, NULL, SDP_PBX);
	m = peer_request(&trunk, "INVITE");
	trunk.tag = "one";
	peer_answers(&trunk, m, 180, NULL, NULL);
	trunk.tag = "two";
	peer_answers(&trunk, m, 180, NULL, NULL);
	peer_answers(&trunk, m, 200, NULL, SDP_TRUNK);
	peer_answer(&pbx, 200);
	peer_acks(&pbx, NULL);
	peer_request(&trunk, "ACK");
	peer_says(&pbx, "BYE", NULL, NULL);
	peer_answers(&trunk, peer_request(&trunk, "BYE"), 200, NULL, NULL);
	core_run(1);
	assert_int_equal(core_calls(), 0);
	core_change();
	peer_forgets(&trunk);
	trunk.tag = "one";
	peer_answers(&trunk, m, 200, NULL, SDP_TRUNK);
	peer_request(&trunk, "ACK");
	core_change();
	peer_answers(&trunk, peer_request(&trunk, "BYE"), 200, NULL, NULL);
	core_run(64000);
}

static void a_call_of_before_is_still_named_by_replaces(void **s)
{
	char headers[600];
	const char *tag;
	(void)s;

	core_start();
	core_call();
	core_change();
	tag = strstr(pbx.remote, "tag=");
	snprintf(headers, sizeof(headers), "Replaces: %s;to-%s;from-tag=l1\r\n",
		 pbx.callid, tag);
	peer_calls(&pbx, NUMBER, headers, SDP_PBX);
	assert_true(header_has(peer_request(&trunk, "INVITE"), HDR_REPLACES,
			       trunk.callid));
	core_run(1);
	peer_cancels(&pbx);
	core_run(200000);
}

/* The remote target is a name, and DNS takes its time */
static void a_name_that_is_looked_up_keeps_its_realm(void **s)
{
	(void)s;

	core_start();
	core_call_to_a_name();
	assert_int_equal(fake_resolver_waiting(), 1);
	core_change();
	core_change();
	fake_resolver_answer(0);
	core_run(1);
	peer_request(&trunk, "ACK");
	peer_says(&pbx, "BYE", NULL, NULL);
	core_run(1);
	peer_answers(&trunk, peer_request(&trunk, "BYE"), 200, NULL, NULL);
	core_run(64000);
	assert_int_equal(core_calls(), 0);
}

/* --- Calls that exchange their legs ---------------------------------------- */

/* The names of a dialog, not what was heard in it */
static void dialog_copy(struct peer *to, const struct peer *from)
{
	memcpy(to->callid, from->callid, sizeof(to->callid));
	memcpy(to->local, from->local, sizeof(to->local));
	memcpy(to->remote, from->remote, sizeof(to->remote));
	memcpy(to->target, from->target, sizeof(to->target));
}

/* `by` sends the other side of its call elsewhere: REFER, INVITE to `callee`,
 * re-INVITE to the side that stays, which is at the trunk; each step under
 * another plan. `stays` is set to the dialog of the callee */
static void refer(struct peer *by, const char *to, struct peer *callee,
		  struct peer *joined)
{
	struct peer me = { .ip = NULL };
	struct message *m;

	dialog_copy(&me, by);
	peer_says(by, "REFER", to, NULL);
	peer_answer(by, 202);
	core_change();
	peer_answers(by, peer_request(by, "NOTIFY"), 200, NULL, NULL);
	m = peer_request(callee, "INVITE");
	core_change();
	peer_answers(callee, m, 200, NULL, SDP_AT("127.0.0.11", "40300"));
	peer_request(callee, "ACK");
	dialog_copy(joined, callee);
	core_change();
	core_run(1);
	m = peer_request(&trunk, "INVITE");
	core_change();
	peer_answers(&trunk, m, 200, NULL, SDP_TRUNK);
	core_change();
	peer_request(&trunk, "ACK");
	by->taken = 0;
	m = NULL;
	while (!m || !body_has(m, "200"))
		m = peer_request(by, "NOTIFY");
	peer_answers(by, m, 200, NULL, NULL);
	m = peer_request(by, "BYE");
	core_change();
	peer_answers(by, m, 200, NULL, NULL);
	core_run(1);
	assert_int_equal(core_calls(), 1);
	core_run(64000); /* nothing is left of the call before */
	core_change();
	peer_forgets(&pbx);
	peer_forgets(&trunk);
}

/* From call to call, each of a plan of its own: the leg of the first, and what
 * is known of its peer, go with it */
static void a_leg_that_was_transferred_outlives_the_calls_it_came_from(void **s)
{
	struct peer stays = { .ip = NULL }, joined = { .ip = NULL };
	(void)s;

	core.pbx->refer_call_transfer = true;
	core.trunk->refer_call_transfer = true;
	core_start();
	core_call();
	dialog_copy(&stays, &trunk);
	core_change();
	refer(&pbx, "Refer-To: <sip:0305678@127.0.0.2>\r\n", &trunk, &joined);

	dialog_copy(&trunk, &joined);
	trunk.cseq = 200;
	refer(&trunk, "Refer-To: <sip:4930@127.0.0.1>\r\n", &pbx, &joined);

	dialog_copy(&trunk, &stays);
	trunk.cseq = 300;
	peer_says(&trunk, "INVITE", NULL, SDP_TRUNK);
	core_change();
	peer_answers(&pbx, peer_request(&pbx, "INVITE"), 200, NULL, SDP_PBX);
	peer_answer(&trunk, 200);
	peer_acks(&trunk, NULL);
	peer_request(&pbx, "ACK");
	core_change();
	peer_says(&trunk, "BYE", NULL, NULL);
	peer_answers(&pbx, peer_request(&pbx, "BYE"), 200, NULL, NULL);
	core_run(64000);
	assert_int_equal(core_calls(), 0);
}

/* --- Outside of calls ------------------------------------------------------ */

static void asks(const char *method, const char *headers)
{
	pbx.callid[0] = '\0';
	snprintf(pbx.callid, sizeof(pbx.callid), "s%u", ++pbx.branch);
	snprintf(pbx.local, sizeof(pbx.local), "<sip:x@127.0.0.12>;tag=s");
	snprintf(pbx.remote, sizeof(pbx.remote), "<" NUMBER ">");
	snprintf(pbx.target, sizeof(pbx.target), NUMBER);
	peer_says(&pbx, method, headers, NULL);
}

static void a_subscription_goes_on_whenever_the_plan_changes(void **s)
{
	struct message *m;
	(void)s;

	core_start();
	asks("SUBSCRIBE", "Event: presence\r\nExpires: 600\r\n");
	m = peer_request(&trunk, "SUBSCRIBE");
	core_change();
	peer_answers(&trunk, m, 200, "Expires: 600\r\n", NULL);
	peer_answer(&pbx, 200);
	core_change();
	core_run(40000);
	core_change();
	peer_says(&pbx, "SUBSCRIBE", "Event: presence\r\nExpires: 0\r\n", NULL);
	m = peer_request(&trunk, "SUBSCRIBE");
	core_change();
	peer_answers(&trunk, m, 200, "Expires: 0\r\n", NULL);
	peer_answer(&pbx, 200);
	core_change();
	core_run(64000);
}

static void a_request_on_its_way_keeps_its_plan(void **s)
{
	struct message *m;
	(void)s;

	core_start();
	asks("MESSAGE", NULL);
	m = peer_request(&trunk, "MESSAGE");
	core_change();
	peer_answers(&trunk, m, 200, NULL, NULL);
	peer_answer(&pbx, 200);
	asks("MESSAGE", NULL);
	peer_request(&trunk, "MESSAGE");
	core_change();
	core_run(64000); /* nobody answers */
}

#define TEST(name)                                                             \
	cmocka_unit_test_setup_teardown(name, core_setup, core_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_call_goes_on_whenever_the_plan_changes),
		TEST(a_challenge_is_answered_with_the_plan_of_the_call),
		TEST(a_2xx_after_cancel_and_a_change_is_acked_and_hung_up),
		TEST(the_2xx_of_another_branch_is_hung_up_behind_the_call),
		TEST(a_call_of_before_is_still_named_by_replaces),
		TEST(a_name_that_is_looked_up_keeps_its_realm),
		TEST(a_leg_that_was_transferred_outlives_the_calls_it_came_from),
		TEST(a_subscription_goes_on_whenever_the_plan_changes),
		TEST(a_request_on_its_way_keeps_its_plan),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
