/*
 * Requests inside confirmed dialogs: the rows of behaviour.md 3.6, in virtual
 * time
 */
#include "sbc/clock.h"
#include "tests/unit/core_fixture.h"
#include "tests/unit/fake_credentials.h"
#include "tests/unit/fake_resolver.h"

#define CHALLENGE                                                              \
	"Proxy-Authenticate: Digest realm=\"trunk.example\", nonce=\"n1\", "   \
	"qop=\"auth\"\r\n"
#define HOLD                                                                   \
	"v=0\r\no=- 1 2 IN IP4 127.0.0.12\r\ns=-\r\n"                          \
	"c=IN IP4 127.0.0.12\r\nt=0 0\r\nm=audio 40000 RTP/AVP 8\r\n"          \
	"a=sendonly\r\n"

static void call(void)
{
	core_start();
	core_call();
}

/* --- Order ---------------------------------------------------------------- */

static void the_next_request_waits_until_the_one_before_has_an_answer(void **s)
{
	struct message *first, *second;
	(void)s;

	call();
	peer_says(&pbx, "INFO", "X-N: 1\r\n", NULL);
	peer_says(&pbx, "INFO", "X-N: 2\r\n", NULL);
	first = peer_request(&trunk, "INFO");
	assert_non_null(message_named(first, "X-N"));
	assert_true(peer_hears_nothing(&trunk));
	peer_answers(&trunk, first, 200, NULL, NULL);
	core_run(1);
	second = peer_request(&trunk, "INFO");
	assert_int_equal(second->cseq, first->cseq + 1);
	assert_int_equal(peer_answer(&pbx, 200)->cseq, pbx.cseq - 1);
}

/* A call whose trunk is at a name that DNS takes its time for */
static void call_to_a_name(void)
{
	core_start();
	core_call_to_a_name();
	peer_says(&pbx, "INFO", NULL, NULL);
	core_run(1);
	assert_int_equal(fake_resolver_waiting(), 1);
	assert_true(peer_hears_no(&trunk, "INFO"));
}

static void a_request_waits_until_the_name_of_a_target_is_looked_up(void **s)
{
	static const int ends[] = { 0,
				    ENOENT }; /* nowhere: where INVITE went */
	(void)s;

	for (size_t i = 0; i < 2; i++) {
		if (i) {
			core_teardown(NULL);
			core_setup(NULL);
		}
		call_to_a_name();
		fake_resolver_answer(ends[i]);
		core_run(1);
		peer_answers(&trunk, peer_request(&trunk, "INFO"), 200, NULL,
			     NULL);
		assert_int_equal(peer_answer(&pbx, 200)->method_id, INFO);
	}
}

static void a_target_with_an_address_ends_the_wait_for_a_name(void **s)
{
	(void)s;

	call_to_a_name();
	snprintf(trunk.contact, sizeof(trunk.contact), "sip:x@127.0.0.11");
	fake_resolver_fail(0); /* an address needs no DNS */
	peer_says(&trunk, "INVITE", NULL, SDP_TRUNK);
	peer_answers(&pbx, peer_request(&pbx, "INVITE"), 200, NULL, SDP_PBX);
	core_run(1);
	assert_int_equal(fake_resolver_waiting(), 0);
	peer_answers(&trunk, peer_request(&trunk, "INFO"), 200, NULL, NULL);
	assert_int_equal(peer_answer(&pbx, 200)->method_id, INFO);
}

static void a_call_that_ends_forgets_who_waits_for_a_name(void **s)
{
	(void)s;

	call_to_a_name();
	peer_says(&trunk, "BYE", NULL, NULL);
	peer_answer(&pbx, 487);
	peer_answers(&pbx, peer_request(&pbx, "BYE"), 200, NULL, NULL);
	fake_resolver_answer(0);
	core_run(64000);
	assert_true(peer_hears_no(&trunk, "INFO"));
	assert_int_equal(core_calls(), 0);
}

static void a_challenged_request_is_sent_again_before_the_next_one(void **s)
{
	struct message *first, *again, *second;
	(void)s;

	fake_credential("trunk", "trunk.example", "tenA", "a1", "secret");
	call();
	peer_says(&pbx, "INFO", "X-N: 1\r\n", NULL);
	peer_says(&pbx, "INFO", "X-N: 2\r\n", NULL);
	first = peer_request(&trunk, "INFO");
	peer_answers(&trunk, first, 407, CHALLENGE, NULL);
	core_run(1);
	again = peer_request(&trunk, "INFO");
	assert_true(header_has(again, HDR_PROXY_AUTHORIZATION, "a1"));
	assert_true(peer_hears_nothing(&trunk));
	assert_true(peer_hears_nothing(&pbx));
	peer_answers(&trunk, again, 200, NULL, NULL);
	core_run(1);
	second = peer_request(&trunk, "INFO");
	assert_int_equal(second->cseq, first->cseq + 2);
}

static void bye_overtakes_and_those_that_wait_get_487(void **s)
{
	(void)s;

	call();
	peer_says(&pbx, "INFO", NULL, NULL);
	peer_says(&pbx, "INFO", NULL, NULL);
	peer_request(&trunk, "INFO");
	peer_says(&pbx, "BYE", NULL, NULL);
	assert_int_equal(peer_answer(&pbx, 200)->method_id, BYE);
	peer_request(&trunk, "BYE");
	pbx.taken -= pbx.taken > 2 ? 3 : pbx.taken;
	peer_answer(&pbx, 487);
	peer_answer(&pbx, 487);
}

static void cancel_takes_a_reinvite_out_of_the_line(void **s)
{
	struct message *info;
	(void)s;

	call();
	peer_says(&pbx, "INFO", NULL, NULL);
	peer_says(&pbx, "INVITE", NULL, HOLD);
	info = peer_request(&trunk, "INFO");
	peer_cancels(&pbx);
	peer_answer(&pbx, 487);
	peer_answers(&trunk, info, 200, NULL, NULL);
	core_run(10);
	assert_true(peer_hears_no(&trunk, "INVITE"));
}

static void nobody_waits_longer_than_max_timer_for_an_answer(void **s)
{
	(void)s;

	call();
	peer_says(&pbx, "INFO", NULL, NULL);
	peer_says(&pbx, "OPTIONS", NULL, NULL);
	core_run(3999);
	assert_true(peer_hears_no(&trunk, "OPTIONS"));
	core_run(2);
	peer_request(&trunk, "OPTIONS");
}

static void a_provisional_answer_lets_the_next_one_pass(void **s)
{
	struct message *invite;
	(void)s;

	call();
	peer_says(&pbx, "INVITE", NULL, HOLD);
	peer_says(&pbx, "INFO", NULL, NULL);
	invite = peer_request(&trunk, "INVITE");
	assert_true(peer_hears_no(&trunk, "INFO"));
	peer_answers(&trunk, invite, 180, NULL, NULL);
	core_run(1);
	peer_request(&trunk, "INFO");
}

static void each_side_has_a_line_of_its_own(void **s)
{
	(void)s;

	call();
	peer_says(&pbx, "INFO", NULL, NULL);
	peer_says(&trunk, "INFO", NULL, NULL);
	peer_request(&trunk, "INFO");
	peer_request(&pbx, "INFO");
}

static void a_request_waits_for_the_address_of_a_remote_target(void **s)
{
	(void)s;

	core_start();
	fake_name("moved.example", "127.0.0.14:5060", NULL);
	fake_resolver_fail(EINPROGRESS);
	strcpy(trunk.contact, "sip:x@moved.example");
	core_call();
	peer_says(&pbx, "INFO", "X-N: 1\r\n", NULL);
	peer_says(&pbx, "INFO", "X-N: 2\r\n", NULL);
	core_run(100);
	assert_true(peer_hears_nothing(&trunk));
	assert_true(peer_hears_nothing(&third));
	fake_resolver_fail(0);
	fake_resolver_answer(0);
	core_run(1);
	assert_non_null(message_named(peer_request(&third, "INFO"), "X-N"));
	assert_true(peer_hears_nothing(&trunk));
}

/* --- re-INVITE ------------------------------------------------------------ */

static void a_reinvite_during_one_of_the_same_side_gets_500(void **s)
{
	struct message *answer;
	struct pl after;
	(void)s;

	call();
	peer_says(&pbx, "INVITE", NULL, HOLD);
	peer_request(&trunk, "INVITE");
	peer_says(&pbx, "INVITE", NULL, HOLD);
	answer = peer_answer(&pbx, 500);
	after = message_value(answer, HDR_RETRY_AFTER);
	assert_true(after.l > 0 && pl_u32(&after) <= 10);
	assert_true(peer_hears_no(&trunk, "INVITE"));
}

static void reinvites_of_both_sides_at_once_get_491_each(void **s)
{
	struct message *invite;
	(void)s;

	call();
	peer_says(&pbx, "INVITE", NULL, HOLD);
	peer_says(&trunk, "INVITE", NULL, SDP_TRUNK);
	invite = peer_request(&trunk, "INVITE");
	assert_int_equal(peer_answer(&trunk, 491)->cseq, trunk.cseq);
	peer_answers(&trunk, invite, 491, NULL, NULL);
	assert_int_equal(peer_answer(&pbx, 491)->cseq, pbx.cseq);
	assert_true(peer_hears_no(&pbx, "INVITE"));
	/* a relayed one is the peer's to repeat */
	core_run(10000);
	assert_true(peer_hears_no(&trunk, "INVITE"));
	assert_int_equal(core_calls(), 1);
}

static void a_refused_reinvite_leaves_everything_as_it_was(void **s)
{
	static const uint16_t codes[] = { 403, 488, 500, 503, 603 };
	uint32_t used, left, before;
	struct message *invite;
	(void)s;

	call();
	ports_count(core.worker.media_ports, core_the_call()->a->realm, &before,
		    &left);
	for (size_t i = 0; i < sizeof(codes) / sizeof(*codes); i++) {
		strcpy(pbx.contact, "sip:new@127.0.0.14:5060");
		peer_says(&pbx, "INVITE", NULL,
			  HOLD "m=video 40002 RTP/AVP 96\r\n");
		invite = peer_request(&trunk, "INVITE");
		peer_answers(&trunk, invite, codes[i], NULL, NULL);
		peer_answer(&pbx, codes[i]);
		peer_acks(&pbx, NULL);
		ports_count(core.worker.media_ports, core_the_call()->a->realm,
			    &used, &left);
		assert_int_equal(used, before);
		/* requests still go to the Contact of before */
		peer_says(&trunk, "INFO", NULL, NULL);
		peer_answers(&pbx, peer_request(&pbx, "INFO"), 200, NULL, NULL);
		assert_true(peer_hears_nothing(&third));
	}
	/* and the next offer is served */
	strcpy(pbx.contact, "sip:x@127.0.0.12:5060");
	peer_says(&pbx, "INVITE", NULL, HOLD);
	invite = peer_request(&trunk, "INVITE");
	assert_true(body_has(invite, "a=sendonly"));
	peer_answers(&trunk, invite, 200, NULL, SDP_TRUNK);
	peer_answer(&pbx, 200);
}

static void a_2xx_to_a_reinvite_moves_the_remote_target(void **s)
{
	struct message *invite;
	(void)s;

	call();
	strcpy(pbx.contact, "sip:new@127.0.0.14:5060");
	peer_says(&pbx, "INVITE", NULL, HOLD);
	invite = peer_request(&trunk, "INVITE");
	peer_answers(&trunk, invite, 200, NULL, SDP_TRUNK);
	peer_answer(&pbx, 200);
	peer_acks(&pbx, NULL);
	peer_says(&trunk, "INFO", NULL, NULL);
	assert_int_equal(pl_strcmp(&peer_request(&third, "INFO")->ruri,
				   "sip:new@127.0.0.14:5060"),
			 0);
}

static void hold_is_relayed_and_so_is_its_end(void **s)
{
	static const char *const rows[][2] = {
		{ "a=sendonly", "a=recvonly" },
		{ "a=inactive", "a=inactive" },
		{ "a=sendrecv", "a=sendrecv" },
	};
	(void)s;

	call();
	for (size_t i = 0; i < 3; i++) {
		struct message *invite;
		char offer[512], answer[512];

		snprintf(offer, sizeof(offer),
			 "v=0\r\no=- 1 %zu IN IP4 127.0.0.12\r\ns=-\r\n"
			 "c=IN IP4 127.0.0.12\r\nt=0 0\r\n"
			 "m=audio 40000 RTP/AVP 8\r\n%s\r\n",
			 i + 2, rows[i][0]);
		snprintf(answer, sizeof(answer),
			 "v=0\r\no=- 1 %zu IN IP4 127.0.0.11\r\ns=-\r\n"
			 "c=IN IP4 127.0.0.11\r\nt=0 0\r\n"
			 "m=audio 40100 RTP/AVP 8\r\n%s\r\n",
			 i + 2, rows[i][1]);
		peer_says(&pbx, "INVITE", NULL, offer);
		invite = peer_request(&trunk, "INVITE");
		assert_true(body_has(invite, rows[i][0]));
		assert_true(body_has(invite, "c=IN IP4 127.0.0.1\r\n"));
		peer_answers(&trunk, invite, 200, NULL, answer);
		assert_true(body_has(peer_answer(&pbx, 200), rows[i][1]));
		peer_acks(&pbx, NULL);
		peer_request(&trunk, "ACK");
	}
}

/* --- Dead legs ------------------------------------------------------------ */

struct death {
	const char *method;
	uint16_t code; /* 0: no answer */
	bool dies;
};

static void run_death(const struct death *row)
{
	struct message *request;

	core_start();
	core_call();
	peer_says(&pbx, row->method,
		  strcmp(row->method, "REFER")
			  ? "Event: x\r\nSubscription-State: active\r\n"
			  : "Refer-To: <sip:1@127.0.0.2>\r\n",
		  strcmp(row->method, "INVITE") ? NULL : HOLD);
	request = peer_request(&trunk, row->method);
	if (row->code) {
		peer_answers(&trunk, request, row->code, NULL, NULL);
		peer_answer(&pbx, row->code);
		if (request->method_id == INVITE)
			peer_acks(&pbx, NULL);
		core_run(1);
	} else {
		core_run(33000);
	}
	if (row->dies)
		peer_request(&pbx, "BYE");
	else
		assert_true(peer_hears_no(&pbx, "BYE"));
	assert_int_equal(core_the_call()->state,
			 row->dies ? CALL_CLOSING : CALL_TALKING);
}

static void a_408_or_481_ends_the_call_but_for_three_methods_and_silence_does(
	void **s)
{
	static const char *const methods[] = { "INVITE", "UPDATE", "REFER",
					       "NOTIFY", "INFO",   "MESSAGE",
					       "OPTIONS" };
	static const uint16_t codes[] = { 408, 481, 0, 404, 500 };

	core_teardown(s);
	for (size_t i = 0; i < 7; i++) {
		for (size_t k = 0; k < 5; k++) {
			struct death row = {
				.method = methods[i],
				.code = codes[k],
				.dies = (i < 4 && k < 2) || !codes[k],
			};

			core_setup(s);
			run_death(&row);
			core_teardown(s);
		}
	}
	core_setup(s);
	core_start();
}

/* --- The rest of the table ------------------------------------------------ */

static void any_other_method_is_relayed_with_its_body(void **s)
{
	static const char *const methods[] = { "INFO", "OPTIONS", "MESSAGE",
					       "NOTIFY", "BANANA" };
	(void)s;

	call();
	for (size_t i = 0; i < 5; i++) {
		struct message *request;

		peer_says(&pbx, methods[i],
			  "Info-Package: dtmf\r\nEvent: x\r\n"
			  "Subscription-State: active\r\n",
			  "Signal=5\r\n");
		request = peer_request(&trunk, methods[i]);
		assert_true(body_has(request, "Signal=5"));
		assert_non_null(message_named(request, "Info-Package"));
		peer_answers(&trunk, request, 200, NULL, NULL);
		peer_answer(&pbx, 200);
		core_run(1);
	}
}

static void a_cseq_that_is_not_greater_gets_500(void **s)
{
	(void)s;

	call();
	peer_says_same(&pbx, "INFO", NULL, NULL);
	peer_answer(&pbx, 500);
	pbx.cseq--;
	peer_says_same(&pbx, "INFO", NULL, NULL);
	peer_answer(&pbx, 500);
	assert_true(peer_hears_nothing(&trunk));
}

static void the_first_request_of_the_called_side_may_have_cseq_0(void **s)
{
	(void)s;

	call();
	trunk.cseq = 0;
	peer_says_same(&trunk, "INFO", NULL, NULL);
	peer_request(&pbx, "INFO");
	peer_says_same(&trunk, "INFO", NULL, NULL);
	peer_answer(&trunk, 500);
}

static void max_forwards_0_ends_here_but_a_bye_is_at_its_end(void **s)
{
	static const char *const methods[] = { "INVITE",  "INFO",    "UPDATE",
					       "OPTIONS", "MESSAGE", "X-NEW" };
	(void)s;

	call();
	for (size_t i = 0; i < sizeof(methods) / sizeof(*methods); i++) {
		pbx.forwards = 0;
		peer_says(&pbx, methods[i], NULL, NULL);
		peer_answer(&pbx, 483);
		assert_true(peer_hears_nothing(&trunk));
		/* it was taken all the same */
		peer_says_same(&pbx, methods[i], NULL, NULL);
		peer_answer(&pbx, 500);
	}
	pbx.forwards = 1;
	peer_says(&pbx, "INFO", NULL, NULL);
	assert_true(header_has(peer_request(&trunk, "INFO"), HDR_MAX_FORWARDS,
			       "0"));
	pbx.forwards = 0;
	peer_says(&pbx, "BYE", NULL, NULL);
	assert_int_equal(peer_answer(&pbx, 200)->method_id, BYE);
	assert_true(header_has(peer_request(&trunk, "BYE"), HDR_MAX_FORWARDS,
			       "70"));
}

static void calls_in_reply_to(struct peer *p, const char *callid)
{
	char line[300];

	snprintf(line, sizeof(line), "In-Reply-To: nobody@x, %s\r\n", callid);
	peer_calls(p, "sip:0301235@127.0.0.2", line, SDP_PBX);
}

static void in_reply_to_names_the_live_call_as_its_other_side_knows_it(void **s)
{
	char callid[2][128];
	struct message *invite;
	(void)s;

	call();
	snprintf(callid[SIDE_A], sizeof(callid[0]), "%s", pbx.callid);
	snprintf(callid[SIDE_B], sizeof(callid[0]), "%s", trunk.callid);
	calls_in_reply_to(&pbx, callid[SIDE_A]);
	invite = peer_request(&trunk, "INVITE");
	assert_true(header_has(invite, HDR_IN_REPLY_TO, callid[SIDE_B]));
	assert_false(header_has(invite, HDR_IN_REPLY_TO, "nobody"));
	/* another tenant's call is unnamed */
	calls_in_reply_to(&pbx_b, callid[SIDE_A]);
	invite = peer_request(&trunk, "INVITE");
	assert_null(message_first(invite, HDR_IN_REPLY_TO));
	/* and so is the name that the other side has for it */
	calls_in_reply_to(&pbx, callid[SIDE_B]);
	invite = peer_request(&trunk, "INVITE");
	assert_null(message_first(invite, HDR_IN_REPLY_TO));
}

static void bye_is_answered_at_once_and_goes_on_with_its_reason(void **s)
{
	struct message *bye;
	(void)s;

	call();
	peer_says(&pbx, "BYE", "Reason: Q.850;cause=16\r\n", NULL);
	peer_answer(&pbx, 200);
	bye = peer_request(&trunk, "BYE");
	assert_true(header_has(bye, HDR_REASON, "cause=16"));
	/* an ended dialog: 481, before and after the other side answered */
	peer_says(&pbx, "INFO", NULL, NULL);
	peer_answer(&pbx, 481);
	peer_answers(&trunk, bye, 200, NULL, NULL);
	core_run(1);
	assert_int_equal(core_calls(), 0);
	peer_says(&pbx, "INFO", NULL, NULL);
	peer_answer(&pbx, 481);
	peer_says(&trunk, "BYE", NULL, NULL);
	peer_answer(&trunk, 481);
}

static void a_bye_before_the_answer_cancels_the_called_side(void **s)
{
	struct message *invite;
	(void)s;

	core_start();
	peer_calls(&pbx, "sip:0301234@127.0.0.2", NULL, SDP_PBX);
	invite = peer_request(&trunk, "INVITE");
	peer_answers(&trunk, invite, 180, NULL, NULL);
	{
		struct message *ringing = peer_answer(&pbx, 180);
		struct pl to = message_value(ringing, HDR_TO);

		snprintf(pbx.remote, sizeof(pbx.remote), "%.*s", (int)to.l,
			 to.p);
	}
	peer_says(&pbx, "BYE", NULL, NULL);
	peer_answer(&pbx, 200);
	peer_request(&trunk, "CANCEL");
}

static void a_leg_that_refuses_the_bye_has_ended_all_the_same(void **s)
{
	static const struct {
		uint16_t code;
		const char *headers;
	} rows[] = { { 407, CHALLENGE },
		     { 401, NULL },
		     { 403, NULL },
		     { 500, NULL },
		     { 481, NULL } };
	(void)s;

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct message *bye;

		call();
		peer_says(&pbx, "BYE", NULL, NULL);
		bye = peer_request(&trunk, "BYE");
		assert_int_equal(core_calls(), 1);
		peer_answers(&trunk, bye, rows[i].code, rows[i].headers, NULL);
		core_run(1);
		assert_int_equal(core_calls(), 0);
		assert_true(peer_hears_no(&trunk, "BYE"));
		peer_says(&trunk, "BYE", NULL, NULL);
		peer_answer(&trunk, 481);
		core_teardown(NULL);
		core_setup(NULL);
	}
}

static void the_end_of_the_longest_call_is_bye_to_both(void **s)
{
	(void)s;

	core.sip->session_max_life_limit = 60;
	call();
	core_run(59999);
	assert_true(peer_hears_nothing(&pbx));
	core_run(2);
	peer_request(&pbx, "BYE");
	peer_request(&trunk, "BYE");
}

#define T(f) cmocka_unit_test_setup_teardown(f, core_setup, core_teardown)

/* architecture.md 7, 12: no message outlives its transaction, and of the search only
 * what it found is needed */
static void a_held_call_keeps_neither_its_search_nor_a_message(void **s)
{
	const struct call *c;
	struct message *m;
	(void)s;

	call();
	c = core_the_call();
	assert_null(c->hunt);
	assert_ptr_equal(c->found.leg, c->b);
	assert_string_equal(c->found.hop.realm->config->identifier, "trunk");
	assert_null(c->b->ack);
	assert_non_null(leg_text(c->b, LEG_BRANCH));
	core_run(64 * 500 + 1000);
	assert_null(c->b->invite);
	assert_null(leg_text(c->b, LEG_BRANCH));
	assert_null(leg_text(c->b, LEG_RURI));
	assert_null(leg_text(c->b, LEG_CREDENTIALS));
	for (int side = SIDE_A; side <= SIDE_B; side++)
		assert_null(c->queue[side].line);

	/* and goes on */
	peer_says(&pbx, "INFO", NULL, NULL);
	m = peer_request(&trunk, "INFO");
	peer_answers(&trunk, m, 200, NULL, NULL);
	peer_answer(&pbx, 200);
	peer_says(&trunk, "BYE", NULL, NULL);
	peer_answer(&trunk, 200);
	peer_answers(&pbx, peer_request(&pbx, "BYE"), 200, NULL, NULL);
	core_run(1);
	assert_int_equal(core_calls(), 0);
}

/* RFC 3261 13.2.2.4: it is made once, and sent each time */
static void the_ack_of_a_repeated_2xx_is_the_same_though_the_target_moved(
	void **s)
{
	struct message *invite, *first, *again, *m;
	(void)s;

	core_start();
	peer_calls(&pbx, "sip:0301234@127.0.0.2", NULL, SDP_PBX);
	invite = peer_request(&trunk, "INVITE");
	peer_answers(&trunk, invite, 200, NULL, SDP_TRUNK);
	peer_answer(&pbx, 200);
	peer_acks(&pbx, NULL);
	first = peer_request(&trunk, "ACK");

	strcpy(trunk.contact, "sip:moved@127.0.0.11:5060");
	peer_says(&trunk, "UPDATE", NULL, NULL);
	m = peer_request(&pbx, "UPDATE");
	peer_answers(&pbx, m, 200, NULL, NULL);
	peer_answer(&trunk, 200);

	peer_answers(&trunk, invite, 200, NULL, SDP_TRUNK);
	again = peer_request(&trunk, "ACK");
	assert_int_equal(pl_cmp(&again->branch, &first->branch), 0);
	assert_int_equal(pl_cmp(&again->ruri, &first->ruri), 0);
	peer_says(&pbx, "INFO", NULL, NULL);
	m = peer_request(&trunk, "INFO");
	assert_false(pl_strcmp(&m->ruri, "sip:moved@127.0.0.11:5060"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_held_call_keeps_neither_its_search_nor_a_message),
		T(the_ack_of_a_repeated_2xx_is_the_same_though_the_target_moved),
		T(the_next_request_waits_until_the_one_before_has_an_answer),
		T(a_request_waits_until_the_name_of_a_target_is_looked_up),
		T(a_target_with_an_address_ends_the_wait_for_a_name),
		T(a_call_that_ends_forgets_who_waits_for_a_name),
		T(a_challenged_request_is_sent_again_before_the_next_one),
		T(bye_overtakes_and_those_that_wait_get_487),
		T(cancel_takes_a_reinvite_out_of_the_line),
		T(nobody_waits_longer_than_max_timer_for_an_answer),
		T(a_provisional_answer_lets_the_next_one_pass),
		T(each_side_has_a_line_of_its_own),
		T(a_request_waits_for_the_address_of_a_remote_target),
		T(a_reinvite_during_one_of_the_same_side_gets_500),
		T(reinvites_of_both_sides_at_once_get_491_each),
		T(a_refused_reinvite_leaves_everything_as_it_was),
		T(a_2xx_to_a_reinvite_moves_the_remote_target),
		T(hold_is_relayed_and_so_is_its_end),
		T(a_408_or_481_ends_the_call_but_for_three_methods_and_silence_does),
		T(any_other_method_is_relayed_with_its_body),
		T(a_cseq_that_is_not_greater_gets_500),
		T(the_first_request_of_the_called_side_may_have_cseq_0),
		T(max_forwards_0_ends_here_but_a_bye_is_at_its_end),
		T(in_reply_to_names_the_live_call_as_its_other_side_knows_it),
		T(bye_is_answered_at_once_and_goes_on_with_its_reason),
		T(a_bye_before_the_answer_cancels_the_called_side),
		T(a_leg_that_refuses_the_bye_has_ended_all_the_same),
		T(the_end_of_the_longest_call_is_bye_to_both),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
