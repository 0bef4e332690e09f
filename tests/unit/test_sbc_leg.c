/*
 * One side of a call, where messages come late, twice, or at the wrong moment,
 * in virtual time. Each was found by a random sequence (test_sbc_sequences)
 */
#include <stdio.h>
#include <stdlib.h>
#include "sbc/clock.h"
#include "tests/unit/core_fixture.h"
#include "tests/unit/fake_port.h"

#define URI "sip:0301234@127.0.0.2"

static struct message *invite; /* as the trunk has it */

static struct message *own(const struct message *msg)
{
	return mem_ref((void *)msg);
}

/* The PBX calls; the trunk has the INVITE */
static void calls(const char *headers, const char *sdp)
{
	core_start();
	peer_calls(&pbx, URI, headers, sdp);
	invite = peer_request(&trunk, "INVITE");
	trunk.cseq = 100;
}

static void says(const char *tag, uint16_t code, const char *headers,
		 const char *sdp)
{
	trunk.tag = tag;
	peer_answers(&trunk, invite, code, headers, sdp);
}

/* ... and is answered by branch "u" */
static void call(void)
{
	calls(NULL, SDP_PBX);
	says("u", 200, NULL, SDP_TRUNK);
	peer_answer(&pbx, 200);
	peer_acks(&pbx, NULL);
	peer_request(&trunk, "ACK");
}

static void hangs_up(void)
{
	peer_says(&pbx, "BYE", NULL, NULL);
	peer_answer(&pbx, 200);
	peer_answers(&trunk, peer_request(&trunk, "BYE"), 200, NULL, NULL);
	core_run(1);
	assert_int_equal(core_calls(), 0);
}

static bool is_in(const struct message *msg, const char *tag)
{
	return !pl_strcmp(&msg->to_tag, tag);
}

static size_t heard(const struct peer *p, const char *method)
{
	size_t n = 0;

	for (size_t i = 0; i < p->n; i++)
		n += !p->in[i]->code && !pl_strcmp(&p->in[i]->method, method);
	return n;
}

static void a_2xx_of_a_branch_that_never_rang_is_hung_up_behind_the_call(
	void **s)
{
	struct message *m;
	(void)s;

	call();
	hangs_up();
	says("v", 200, NULL, SDP_TRUNK);
	m = peer_request(&trunk, "ACK");
	assert_true(is_in(m, "v"));
	m = peer_request(&trunk, "BYE");
	assert_true(is_in(m, "v"));
	/* 64*T1 behind the answer it is nobody's any more */
	core_run(33000);
	assert_int_equal(list_count(&calls_home(core.worker.calls)->lingering),
			 0);
}

static void a_repeated_2xx_is_acknowledged_behind_the_call(void **s)
{
	(void)s;

	call();
	hangs_up();
	says("u", 200, NULL, SDP_TRUNK);
	assert_true(is_in(peer_request(&trunk, "ACK"), "u"));
	assert_true(peer_hears_no(&trunk, "BYE"));
}

static void a_branch_that_lost_is_hung_up_once_however_often_it_answers(
	void **s)
{
	(void)s;

	call();
	for (int i = 0; i < 3; i++)
		says("v", 200, NULL, SDP_TRUNK);
	assert_int_equal(heard(&trunk, "BYE"), 1);
	assert_int_equal(heard(&trunk, "ACK"), 1 + 3);
}

static void the_bye_of_a_branch_that_lost_counts_on_behind_its_prack(void **s)
{
	struct message *m, *ring;
	uint32_t cseq;
	char rack[64];
	struct pl rseq;
	(void)s;

	calls("Supported: 100rel\r\n", SDP_PBX);
	says("v", 183, "Require: 100rel\r\nRSeq: 1\r\n", NULL);
	ring = peer_answer(&pbx, 183);
	re_snprintf(pbx.remote, sizeof(pbx.remote), "<%s>;tag=%r", URI,
		    &ring->to_tag);
	rseq = message_value(ring, HDR_RSEQ);
	re_snprintf(rack, sizeof(rack), "RAck: %r 1 INVITE\r\n", &rseq);
	peer_says(&pbx, "PRACK", rack, NULL);
	m = peer_request(&trunk, "PRACK");
	cseq = m->cseq;
	says("w", 200, NULL, SDP_TRUNK);
	says("v", 200, NULL, SDP_TRUNK);
	m = peer_request(&trunk, "BYE");
	assert_true(is_in(m, "v"));
	assert_true(m->cseq > cseq);
}

static void the_ack_of_a_branch_that_lost_has_the_number_of_its_invite(void **s)
{
	struct message *m;
	(void)s;

	call();
	peer_says(&pbx, "INVITE", NULL, SDP_PBX);
	assert_int_equal(peer_request(&trunk, "INVITE")->cseq, 2);
	says("v", 200, NULL, SDP_TRUNK);
	m = peer_request(&trunk, "ACK");
	assert_true(is_in(m, "v"));
	assert_int_equal(m->cseq, 1);
}

static void a_repeated_2xx_gets_the_ack_of_its_own_invite(void **s)
{
	struct message *m;
	(void)s;

	call();
	peer_says(&pbx, "INVITE", NULL, SDP_PBX);
	m = peer_request(&trunk, "INVITE");
	peer_answers(&trunk, m, 200, NULL, SDP_TRUNK);
	assert_int_equal(peer_request(&trunk, "ACK")->cseq, 2);
	says("u", 200, NULL, SDP_TRUNK);
	assert_int_equal(peer_request(&trunk, "ACK")->cseq, 1);
	peer_answers(&trunk, m, 200, NULL, SDP_TRUNK);
	assert_int_equal(peer_request(&trunk, "ACK")->cseq, 2);
}

static void a_2xx_with_an_offer_is_acknowledged_though_nobody_answers_it(
	void **s)
{
	(void)s;

	calls(NULL, NULL);
	says("u", 200, NULL, SDP_TRUNK);
	peer_answer(&pbx, 200);
	/* the BYE is there before the caller's ACK */
	peer_says(&trunk, "BYE", NULL, NULL);
	peer_answer(&trunk, 200);
	assert_int_equal(heard(&trunk, "ACK"), 1);
}

static void a_reinvite_that_is_open_at_the_end_is_acknowledged_still(void **s)
{
	struct message *m;
	(void)s;

	call();
	peer_says(&pbx, "INVITE", NULL, SDP_PBX);
	m = own(peer_request(&trunk, "INVITE"));
	peer_says(&pbx, "BYE", NULL, NULL);
	peer_answer(&pbx, 487);
	peer_answers(&trunk, peer_request(&trunk, "BYE"), 200, NULL, NULL);
	core_run(1);
	assert_int_equal(core_calls(), 0);
	peer_answers(&trunk, m, 200, NULL, SDP_TRUNK);
	assert_int_equal(peer_request(&trunk, "ACK")->cseq, m->cseq);
	mem_deref(m);
	core_run(70000);
	assert_int_equal(list_count(&calls_home(core.worker.calls)->lingering),
			 0);
}

static void so_is_one_that_went_to_the_caller(void **s)
{
	struct message *m;
	(void)s;

	call();
	peer_says(&trunk, "INVITE", NULL, SDP_TRUNK);
	m = own(peer_request(&pbx, "INVITE"));
	peer_answers(&pbx, m, 100, NULL, NULL);
	peer_says(&trunk, "BYE", NULL, NULL);
	peer_answer(&trunk, 487);
	peer_answers(&pbx, peer_request(&pbx, "BYE"), 200, NULL, NULL);
	peer_answers(&pbx, m, 200, NULL, SDP_PBX);
	assert_int_equal(peer_request(&pbx, "ACK")->cseq, m->cseq);
	mem_deref(m);
	core_run(70000);
	assert_int_equal(list_count(&calls_home(core.worker.calls)->lingering),
			 0);
}

static void a_reinvite_that_rings_at_the_end_is_cancelled(void **s)
{
	struct message *m;
	(void)s;

	call();
	peer_says(&pbx, "INVITE", NULL, SDP_PBX);
	m = peer_request(&trunk, "INVITE");
	peer_answers(&trunk, m, 180, NULL, NULL);
	peer_says(&pbx, "BYE", NULL, NULL);
	peer_request(&trunk, "CANCEL");
	core_run(140000);
	assert_int_equal(list_count(&calls_home(core.worker.calls)->lingering),
			 0);
}

static void a_branch_that_lost_has_no_reinvites(void **s)
{
	struct message *ring;
	(void)s;

	calls(NULL, SDP_PBX);
	says("v", 180, NULL, NULL);
	ring = peer_answer(&pbx, 180);
	says("u", 200, NULL, SDP_TRUNK);
	peer_answer(&pbx, 200);
	peer_acks(&pbx, NULL);
	re_snprintf(pbx.remote, sizeof(pbx.remote), "<%s>;tag=%r", URI,
		    &ring->to_tag);
	peer_says(&pbx, "INVITE", NULL, NULL);
	peer_answer(&pbx, 481);
	assert_int_equal(heard(&trunk, "INVITE"), 1);
}

static void a_reinvite_that_waits_for_its_turn_keeps_the_other_side_out(
	void **s)
{
	(void)s;

	call();
	peer_says(&pbx, "INFO", NULL, "a");
	peer_request(&trunk, "INFO"); /* unanswered: what follows waits */
	peer_says(&pbx, "INVITE", NULL, SDP_PBX);
	assert_true(peer_hears_no(&trunk, "INVITE"));
	peer_says(&trunk, "INVITE", NULL, SDP_TRUNK);
	peer_answer(&trunk, 491);
	assert_true(peer_hears_no(&pbx, "INVITE"));
}

static void what_waits_for_its_turn_ends_with_the_hop_that_sent_it(void **s)
{
	struct local_policy *p = (struct local_policy *)config_at(
		core.cfg, &element_local_policy, 0);
	(void)s;

	item_add(&p->policy_attributes, &element_policy_attribute, "next-hop",
		 "127.0.0.14", "realm", "trunk", "cost", "1", NULL);
	calls(NULL, SDP_PBX);
	says("u", 180, NULL, NULL);
	peer_answer(&pbx, 180);
	peer_says(&trunk, "INFO", NULL, "a");
	peer_request(&pbx, "INFO"); /* unanswered: what follows waits */
	peer_says(&trunk, "INFO", NULL, "second");
	says("u", 480, NULL, NULL);
	peer_request(&third, "INVITE");
	core_run(5000);
	peer_answer(&trunk, 481);
	peer_answer(&trunk, 481);
	for (size_t i = 0; i < pbx.n; i++)
		assert_false(body_has(pbx.in[i], "second"));
}

static void headers_in_a_contact_are_no_part_of_the_request_uri(void **s)
{
	struct message *m;
	(void)s;

	snprintf(trunk.contact, sizeof(trunk.contact),
		 "sip:x@127.0.0.11?Subject=a");
	call();
	peer_says(&pbx, "BYE", NULL, NULL);
	m = peer_request(&trunk, "BYE");
	assert_int_equal(pl_strcmp(&m->ruri, "sip:x@127.0.0.11"), 0);
}

static void a_refusal_without_state_is_the_same_each_time(void **s)
{
	struct message *one, *two;
	struct mbuf *mb;
	(void)s;

	core_start();
	peer_calls(&pbx, URI, NULL, SDP_PBX);
	/* merged: the same request on another branch */
	peer_says_same(&pbx, "INVITE", NULL, SDP_PBX);
	one = peer_answer(&pbx, 482);
	pbx.branch--;
	peer_says_same(&pbx, "INVITE", NULL, SDP_PBX);
	two = peer_answer(&pbx, 482);
	mb = two->mb;
	assert_int_equal(one->mb->end, mb->end);
	assert_memory_equal(one->mb->buf, mb->buf, mb->end);
}

#define T(f) cmocka_unit_test_setup_teardown(f, core_setup, core_teardown)

int main(void)
{
	/* clang-format off */
	static const struct CMUnitTest tests[] = {
		T(a_2xx_of_a_branch_that_never_rang_is_hung_up_behind_the_call),
		T(a_repeated_2xx_is_acknowledged_behind_the_call),
		T(a_branch_that_lost_is_hung_up_once_however_often_it_answers),
		T(the_bye_of_a_branch_that_lost_counts_on_behind_its_prack),
		T(the_ack_of_a_branch_that_lost_has_the_number_of_its_invite),
		T(a_repeated_2xx_gets_the_ack_of_its_own_invite),
		T(a_2xx_with_an_offer_is_acknowledged_though_nobody_answers_it),
		T(a_reinvite_that_is_open_at_the_end_is_acknowledged_still),
		T(so_is_one_that_went_to_the_caller),
		T(a_reinvite_that_rings_at_the_end_is_cancelled),
		T(a_branch_that_lost_has_no_reinvites),
		T(a_reinvite_that_waits_for_its_turn_keeps_the_other_side_out),
		T(what_waits_for_its_turn_ends_with_the_hop_that_sent_it),
		T(headers_in_a_contact_are_no_part_of_the_request_uri),
		T(a_refusal_without_state_is_the_same_each_time),
	};
	/* clang-format on */

	return cmocka_run_group_tests(tests, NULL, NULL);
}
