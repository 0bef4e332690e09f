/*
 * Early dialogs: reliable 1xx and PRACK, UPDATE, forks, offers in answers, and
 * the races of CANCEL with them (behaviour.md 3.2 to 3.5), in virtual time
 */
#include <stdlib.h>
#include "policy/body.h"
#include "sbc/clock.h"
#include "tests/unit/core_fixture.h"
#include "tests/unit/fake_clock.h"
#include "tests/unit/fake_credentials.h"
#include "tests/unit/fake_forward.h"
#include "tests/unit/fake_port.h"
#include "tests/unit/fake_resolver.h"

#define CHALLENGE                                                              \
	"Proxy-Authenticate: Digest realm=\"trunk.example\", nonce=\"n1\", "   \
	"qop=\"auth\"\r\n"
#define RELIABLE(n)   "Require: 100rel\r\nRSeq: " n "\r\n"
#define OFFERS_100REL "Supported: 100rel, timer\r\n"
#define URI           "sip:0301234@127.0.0.2"
#define T1            500
#define T1_64         (64 * T1)

static struct message *invite; /* as the trunk has it */
static uint32_t invite_cseq;   /* of the PBX */

/* The PBX calls; with reliable 1xx, and an offer or none */
static void calls_with(const char *headers, const char *sdp)
{
	core_start();
	peer_calls(&pbx, URI, headers, sdp);
	invite = peer_request(&trunk, "INVITE");
	invite_cseq = pbx.cseq;
	trunk.cseq = 100;
	peer_forgets(&pbx);
}

static void calls(void)
{
	calls_with(OFFERS_100REL, SDP_PBX);
}

/* The trunk answers the INVITE in a branch of its own */
static void says(const char *tag, uint16_t code, const char *headers,
		 const char *sdp)
{
	trunk.tag = tag;
	peer_answers(&trunk, invite, code, headers, sdp);
}

/* The PBX goes on in the dialog of this answer */
static struct message *into(struct message *answer)
{
	struct pl to = message_value(answer, HDR_TO);
	struct pl contact = message_value(answer, HDR_CONTACT);

	re_snprintf(pbx.remote, sizeof(pbx.remote), "%r", &to);
	contact.p++;
	contact.l -= 2;
	re_snprintf(pbx.target, sizeof(pbx.target), "%r", &contact);
	return answer;
}

static uint32_t rseq_of(const struct message *answer)
{
	struct pl value = message_value(answer, HDR_RSEQ);

	return value.l ? pl_u32(&value) : 0;
}

static void pracks_with(uint32_t rseq, uint32_t cseq, const char *method,
			const char *sdp)
{
	char rack[64];

	re_snprintf(rack, sizeof(rack), "RAck: %u %u %s\r\n", rseq, cseq,
		    method);
	peer_says(&pbx, "PRACK", rack, sdp);
}

static void pracks(const struct message *answer, const char *sdp)
{
	pracks_with(rseq_of(answer), invite_cseq, "INVITE", sdp);
}

/* RAck that the trunk expects */
static void acknowledges(const struct message *prack, uint32_t rseq)
{
	char want[64];

	re_snprintf(want, sizeof(want), "%u %u INVITE", rseq, invite->cseq);
	assert_true(header_has(prack, HDR_RACK, want));
}

/* A reliable 183 that the PBX has acknowledged */
static struct message *rings_reliably(const char *sdp)
{
	struct message *progress;

	says("u", 183, RELIABLE("5"), sdp);
	progress = into(peer_answer(&pbx, 183));
	pracks(progress, NULL);
	peer_answers(&trunk, peer_request(&trunk, "PRACK"), 200, NULL, NULL);
	peer_answer(&pbx, 200);
	core_run(1);
	return progress;
}

static size_t heard(const struct peer *p, size_t from, uint16_t code)
{
	size_t n = 0;

	for (size_t i = from; i < p->n; i++)
		n += p->in[i]->code == code && p->in[i]->method_id == INVITE;
	return n;
}

static void reads_number(const struct message *msg, const char *name,
			 uint32_t min, uint32_t max)
{
	const struct header *h = message_named(msg, name);
	struct pl value;

	assert_non_null(h);
	value = header_value(msg, h);
	assert_in_range(pl_u32(&value), min, max);
}

/* No session is left, and whoever heard a final answer heard this one */
static void all_is_over(void)
{
	core_run(1);
	assert_int_equal(core_calls(), 0);
}

/* --- Reliable 1xx ---------------------------------------------------------- */

static void the_option_crosses_and_the_called_side_sees_it(void **s)
{
	(void)s;

	calls();
	assert_true(header_has(invite, HDR_SUPPORTED, "100rel"));
	peer_cancels(&pbx);
	says("u", 180, NULL, NULL);
	says("u", 487, NULL, NULL);
	all_is_over();
}

static void require_100rel_is_the_called_sides_to_judge(void **s)
{
	(void)s;

	calls_with("Require: 100rel\r\n", SDP_PBX);
	assert_true(header_has(invite, HDR_REQUIRE, "100rel"));
	says("u", 420, "Unsupported: 100rel\r\n", NULL);
	peer_answer(&pbx, 420);
	all_is_over();
}

static void a_reliable_1xx_has_a_number_of_its_own_and_sdp_of_ours(void **s)
{
	struct message *progress;
	(void)s;

	calls();
	says("u", 183, RELIABLE("5"), SDP_TRUNK);
	progress = peer_answer(&pbx, 183);
	assert_true(header_has(progress, HDR_REQUIRE, "100rel"));
	assert_in_range(rseq_of(progress), 1, INT32_MAX);
	assert_true(body_has(progress, "127.0.0.2"));
	assert_false(body_has(progress, "127.0.0.11"));
}

/* RFC 3262 3: T1, doubled without a bound */
static void a_reliable_1xx_is_repeated_until_its_prack(void **s)
{
	static const struct {
		uint64_t after; /* [ms] */
		size_t n;
	} rows[] = {
		{ 0, 1 },    { 499, 1 },  { 500, 2 },
		{ 1499, 2 }, { 1500, 3 }, { 3500, 4 },
		{ 7499, 4 }, { 7500, 5 }, { 15500, 6 },
	};
	uint64_t now = 0;
	size_t from;
	(void)s;

	calls();
	from = pbx.n;
	says("u", 183, RELIABLE("5"), SDP_TRUNK);
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		core_run(rows[i].after - now);
		now = rows[i].after;
		assert_int_equal(heard(&pbx, from, 183), rows[i].n);
	}
	pracks(into(peer_answer(&pbx, 183)), NULL);
	acknowledges(peer_request(&trunk, "PRACK"), 5);
	core_run(T1_64);
	assert_int_equal(heard(&pbx, from, 183), 6);
}

static void an_answer_to_prack_comes_back(void **s)
{
	struct message *prack, *answer;
	(void)s;

	calls();
	says("u", 183, RELIABLE("5"), SDP_TRUNK);
	pracks(into(peer_answer(&pbx, 183)), NULL);
	prack = peer_request(&trunk, "PRACK");
	assert_int_equal(prack->cseq, invite->cseq + 1);
	assert_false(pl_strcmp(&prack->to_tag, "u"));
	assert_true(peer_hears_no_answer(&pbx, 200));
	peer_answers(&trunk, prack, 200, "X-A: 1\r\n", NULL);
	answer = peer_answer(&pbx, 200);
	assert_int_equal(answer->method_id, PRACK);
	assert_non_null(message_named(answer, "X-A"));
}

static void what_the_called_side_repeats_or_skips_does_not_cross(void **s)
{
	static const struct {
		const char *headers;
		bool passes;
	} rows[] = {
		{ RELIABLE("5"), false }, /* once more */
		{ RELIABLE("7"), false }, /* 6 is missing */
		{ RELIABLE("4"), false }, { RELIABLE("6"), true },
		{ RELIABLE("6"), false }, { RELIABLE("7"), true },
	};
	uint32_t rseq;
	(void)s;

	calls();
	rseq = rseq_of(rings_reliably(SDP_TRUNK));
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct message *progress;

		says("u", 180, rows[i].headers, NULL);
		if (!rows[i].passes) {
			assert_true(peer_hears_nothing(&pbx));
			continue;
		}
		progress = peer_answer(&pbx, 180);
		assert_int_equal(rseq_of(progress), ++rseq);
		pracks(progress, NULL);
		peer_answers(&trunk, peer_request(&trunk, "PRACK"), 200, NULL,
			     NULL);
		peer_answer(&pbx, 200);
		core_run(1);
	}
}

static void one_at_a_time_waits_for_its_prack(void **s)
{
	struct message *first, *second;
	(void)s;

	calls();
	says("u", 183, RELIABLE("5"), NULL);
	first = into(peer_answer(&pbx, 183));
	says("u", 180, RELIABLE("6"), NULL);
	assert_true(peer_hears_nothing(&pbx));
	pracks(first, NULL);
	peer_request(&trunk, "PRACK");
	says("u", 180, RELIABLE("6"), NULL);
	second = peer_answer(&pbx, 180);
	assert_int_equal(rseq_of(second), rseq_of(first) + 1);
}

static void an_unreliable_1xx_crosses_between_reliable_ones(void **s)
{
	struct message *ringing;
	(void)s;

	calls();
	says("u", 183, RELIABLE("5"), NULL);
	peer_answer(&pbx, 183);
	says("u", 180, NULL, NULL);
	ringing = peer_answer(&pbx, 180);
	assert_int_equal(rseq_of(ringing), 0);
	assert_false(header_has(ringing, HDR_REQUIRE, "100rel"));
}

static void a_prack_without_a_matching_1xx_gets_481(void **s)
{
	struct message *progress;
	uint32_t rseq;
	(void)s;

	calls();
	says("u", 183, RELIABLE("5"), NULL);
	progress = into(peer_answer(&pbx, 183));
	rseq = rseq_of(progress);
	pracks_with(rseq + 1, invite_cseq, "INVITE", NULL);
	peer_answer(&pbx, 481);
	pracks_with(rseq, invite_cseq + 1, "INVITE", NULL);
	peer_answer(&pbx, 481);
	pracks_with(rseq, invite_cseq, "UPDATE", NULL);
	peer_answer(&pbx, 481);
	peer_says(&pbx, "PRACK", "RAck: soon\r\n", NULL);
	peer_answer(&pbx, 400);
	peer_says(&pbx, "PRACK", NULL, NULL);
	peer_answer(&pbx, 400);
	assert_true(peer_hears_nothing(&trunk));
	pracks(progress, NULL);
	peer_request(&trunk, "PRACK");
	pracks(progress, NULL); /* a second time, and no repetition */
	peer_answer(&pbx, 481);
}

static void without_prack_for_64_t1_the_call_ends_with_504(void **s)
{
	(void)s;

	calls();
	says("u", 183, RELIABLE("5"), SDP_TRUNK);
	core_run(T1_64 - 1);
	assert_true(peer_hears_no_answer(&pbx, 504));
	assert_true(peer_hears_no(&trunk, "CANCEL"));
	core_run(1);
	peer_answer(&pbx, 504);
	peer_answers(&trunk, peer_request(&trunk, "CANCEL"), 200, NULL, NULL);
	says("u", 487, NULL, NULL);
	all_is_over();
}

static void a_challenged_prack_is_answered(void **s)
{
	struct message *first, *again;
	(void)s;

	fake_credential("trunk", "trunk.example", "tenA", "a1", "secret");
	calls();
	says("u", 183, RELIABLE("5"), NULL);
	pracks(into(peer_answer(&pbx, 183)), NULL);
	first = peer_request(&trunk, "PRACK");
	peer_answers(&trunk, first, 407, CHALLENGE, NULL);
	core_run(1);
	again = peer_request(&trunk, "PRACK");
	acknowledges(again, 5);
	assert_true(header_has(again, HDR_PROXY_AUTHORIZATION, "a1"));
	assert_int_equal(again->cseq, first->cseq + 1);
	assert_true(peer_hears_nothing(&pbx));
	peer_answers(&trunk, again, 200, NULL, NULL);
	peer_answer(&pbx, 200);
}

/* The called side should not have done it; it would end the call for want of an
 * acknowledgement */
static void who_did_not_offer_100rel_sees_a_plain_1xx(void **s)
{
	struct message *progress;
	(void)s;

	calls_with(NULL, SDP_PBX);
	says("u", 183, RELIABLE("5"), SDP_TRUNK);
	progress = peer_answer(&pbx, 183);
	assert_int_equal(rseq_of(progress), 0);
	assert_false(header_has(progress, HDR_REQUIRE, "100rel"));
	assert_true(body_has(progress, "127.0.0.2"));
	acknowledges(peer_request(&trunk, "PRACK"), 5);
	says("u", 183, RELIABLE("5"), SDP_TRUNK);
	assert_true(peer_hears_nothing(&pbx));
	core_run(T1_64 + 1);
	assert_true(peer_hears_no_answer(&pbx, 504));
}

static void without_early_media_no_1xx_is_made_reliable(void **s)
{
	(void)s;

	item_set(&element_realm_config, core.pbx, "early-media-allow", "none");
	calls();
	assert_false(header_has(invite, HDR_SUPPORTED, "100rel"));
	assert_true(header_has(invite, HDR_SUPPORTED, "timer"));
}

/* --- The 2xx and the PRACK ------------------------------------------------- */

static void a_2xx_waits_for_the_prack_of_a_1xx_with_sdp(void **s)
{
	struct message *progress, *prack, *final;
	(void)s;

	calls();
	says("u", 183, RELIABLE("5"), SDP_TRUNK);
	progress = into(peer_answer(&pbx, 183));
	says("u", 200, NULL, SDP_TRUNK);
	peer_request(&trunk, "ACK"); /* its offer was in the INVITE */
	core_run(3000);
	assert_true(peer_hears_no_answer(&pbx, 200));
	pracks(progress, NULL);
	prack = peer_request(&trunk, "PRACK");
	core_run(1);
	final = peer_answer(&pbx, 200);
	assert_int_equal(final->method_id, INVITE);
	peer_answers(&trunk, prack, 200, NULL, NULL);
	assert_true(body_has(final, "127.0.0.2"));
	assert_true(peer_hears_no(&trunk, "ACK"));
	peer_acks(&pbx, NULL);
	core_run(T1_64);
	assert_int_equal(core_the_call()->state, CALL_TALKING);
}

static void a_2xx_does_not_wait_for_a_1xx_without_sdp(void **s)
{
	struct message *progress;
	size_t from;
	(void)s;

	calls();
	says("u", 180, RELIABLE("5"), NULL);
	progress = peer_answer(&pbx, 180);
	says("u", 200, NULL, SDP_TRUNK);
	peer_answer(&pbx, 200);
	peer_acks(&pbx, NULL);
	from = pbx.n;
	core_run(T1_64);
	/* RFC 3262 3: after the final answer none is repeated */
	assert_int_equal(heard(&pbx, from, 180), 0);
	assert_int_equal(core_the_call()->state, CALL_TALKING);
	(void)progress;
}

static void a_prack_behind_the_2xx_is_served_still(void **s)
{
	struct message *progress;
	(void)s;

	calls();
	says("u", 180, RELIABLE("5"), NULL);
	progress = peer_answer(&pbx, 180);
	says("u", 200, NULL, SDP_TRUNK);
	peer_answer(&pbx, 200);
	peer_acks(&pbx, NULL);
	pracks(progress, NULL);
	acknowledges(peer_request(&trunk, "PRACK"), 5);
}

static void holds(void)
{
	calls();
	says("u", 183, RELIABLE("5"), SDP_TRUNK);
	into(peer_answer(&pbx, 183));
	says("u", 200, NULL, SDP_TRUNK);
	peer_request(&trunk, "ACK");
}

static void hangs_up_the_called_side(void)
{
	peer_answers(&trunk, peer_request(&trunk, "BYE"), 200, NULL, NULL);
	all_is_over();
	assert_true(peer_hears_no_answer(&pbx, 200));
}

static void a_cancel_while_the_2xx_waits_hangs_it_up(void **s)
{
	(void)s;

	holds();
	peer_cancels(&pbx);
	peer_answer(&pbx, 200); /* to the CANCEL */
	peer_answer(&pbx, 487);
	hangs_up_the_called_side();
}

static void a_bye_while_the_2xx_waits_counts_as_cancel(void **s)
{
	(void)s;

	holds();
	peer_says(&pbx, "BYE", NULL, NULL);
	assert_int_equal(peer_answer(&pbx, 200)->method_id, BYE);
	peer_answer(&pbx, 487);
	hangs_up_the_called_side();
}

static void no_prack_while_the_2xx_waits_is_504(void **s)
{
	(void)s;

	holds();
	core_run(2 * T1_64);
	peer_answer(&pbx, 504);
	hangs_up_the_called_side();
}

static void the_called_side_may_hang_up_while_its_2xx_waits(void **s)
{
	(void)s;

	holds();
	peer_says(&trunk, "BYE", NULL, NULL);
	peer_answer(&trunk, 200);
	peer_answer(&pbx, 480);
	assert_true(peer_hears_no(&trunk, "BYE"));
	all_is_over();
}

/* --- SDP in PRACK ---------------------------------------------------------- */

static void an_offer_in_prack_has_its_answer_in_the_200(void **s)
{
	struct message *progress, *prack, *answer;
	(void)s;

	calls();
	says("u", 183, RELIABLE("5"), SDP_TRUNK);
	progress = into(peer_answer(&pbx, 183));
	pracks(progress, SDP_PBX "a=x-second:1\r\n");
	prack = peer_request(&trunk, "PRACK");
	assert_true(body_has(prack, "127.0.0.1\r"));
	assert_true(body_has(prack, "x-second"));
	assert_false(body_has(prack, "127.0.0.12"));
	peer_answers(&trunk, prack, 200, NULL, SDP_TRUNK);
	answer = peer_answer(&pbx, 200);
	assert_true(body_has(answer, "127.0.0.2\r"));
	assert_false(body_has(answer, "127.0.0.11"));

	/* and the 2xx bears only a copy */
	says("u", 200, NULL, SDP_TRUNK);
	answer = peer_answer(&pbx, 200);
	assert_true(body_has(answer, "127.0.0.2\r"));
	peer_acks(&pbx, NULL);
	assert_int_equal(core_the_call()->state, CALL_TALKING);
}

/* --- UPDATE ---------------------------------------------------------------- */

static void an_update_of_the_caller_changes_an_early_session(void **s)
{
	struct message *update, *answer;
	(void)s;

	calls();
	rings_reliably(SDP_TRUNK);
	peer_says(&pbx, "UPDATE", NULL, SDP_PBX "a=x-second:1\r\n");
	update = peer_request(&trunk, "UPDATE");
	assert_true(body_has(update, "x-second"));
	assert_false(body_has(update, "127.0.0.12"));
	assert_true(header_has(update, HDR_CONTACT, "127.0.0.1"));
	peer_answers(&trunk, update, 200, NULL, SDP_TRUNK);
	answer = peer_answer(&pbx, 200);
	assert_int_equal(answer->method_id, UPDATE);
	assert_true(body_has(answer, "127.0.0.2\r"));
	assert_int_equal(core_the_call()->state, CALL_EARLY);
}

static void an_update_of_the_called_side_changes_an_early_session(void **s)
{
	struct message *update;
	(void)s;

	calls();
	rings_reliably(SDP_TRUNK);
	peer_says(&trunk, "UPDATE", NULL, SDP_TRUNK "a=x-second:1\r\n");
	update = peer_request(&pbx, "UPDATE");
	assert_true(body_has(update, "x-second"));
	assert_false(body_has(update, "127.0.0.11"));
	peer_answers(&pbx, update, 200, NULL, SDP_PBX);
	assert_false(body_has(peer_answer(&trunk, 200), "127.0.0.12"));
}

static void a_challenged_update_in_an_early_dialog_is_answered(void **s)
{
	struct message *first, *again;
	(void)s;

	fake_credential("trunk", "trunk.example", "tenA", "a1", "secret");
	calls();
	rings_reliably(SDP_TRUNK);
	peer_says(&pbx, "UPDATE", NULL, SDP_PBX);
	first = peer_request(&trunk, "UPDATE");
	peer_answers(&trunk, first, 407, CHALLENGE, NULL);
	core_run(1);
	again = peer_request(&trunk, "UPDATE");
	assert_true(header_has(again, HDR_PROXY_AUTHORIZATION, "a1"));
	assert_int_equal(again->body.l, first->body.l);
	peer_answers(&trunk, again, 200, NULL, SDP_TRUNK);
	peer_answer(&pbx, 200);
}

static void a_second_update_while_the_first_is_unanswered_gets_500(void **s)
{
	struct message *first;
	(void)s;

	for (int early = 0; early < 2; early++) {
		if (early) {
			calls();
			rings_reliably(SDP_TRUNK);
		} else {
			core_start();
			core_call();
		}
		peer_says(&pbx, "UPDATE", NULL, NULL);
		first = peer_request(&trunk, "UPDATE");
		peer_says(&pbx, "UPDATE", NULL, NULL);
		reads_number(peer_answer(&pbx, 500), "Retry-After", 0, 10);
		assert_true(peer_hears_nothing(&trunk));
		peer_answers(&trunk, first, 200, NULL, NULL);
		peer_answer(&pbx, 200);
		core_run(1);
		peer_says(&pbx, "UPDATE", NULL, NULL);
		peer_request(&trunk, "UPDATE");
		if (early)
			break;
		core_teardown(NULL);
		core_setup(NULL);
	}
}

static void an_offer_while_an_offer_is_open_gets_491(void **s)
{
	(void)s;

	calls();
	rings_reliably(SDP_TRUNK);
	peer_says(&pbx, "UPDATE", NULL, SDP_PBX);
	peer_request(&trunk, "UPDATE");
	peer_says(&trunk, "UPDATE", NULL, SDP_TRUNK);
	peer_answer(&trunk, 491);
	assert_true(peer_hears_nothing(&pbx));
}

static void an_offer_before_the_first_answer_gets_491(void **s)
{
	(void)s;

	calls();
	says("u", 180, NULL, NULL);
	into(peer_answer(&pbx, 180));
	peer_says(&pbx, "UPDATE", NULL, SDP_PBX);
	peer_answer(&pbx, 491);
	peer_says(&trunk, "UPDATE", NULL, SDP_TRUNK);
	peer_answer(&trunk, 491);
}

static void a_refused_update_leaves_the_session_as_it_was(void **s)
{
	(void)s;

	calls();
	rings_reliably(SDP_TRUNK);
	peer_says(&pbx, "UPDATE", NULL, SDP_PBX);
	peer_answers(&trunk, peer_request(&trunk, "UPDATE"), 488, NULL, NULL);
	peer_answer(&pbx, 488);
	core_run(1);
	/* so that another offer is none too many */
	peer_says(&trunk, "UPDATE", NULL, SDP_TRUNK);
	peer_request(&pbx, "UPDATE");
}

/* --- Other requests in early dialogs --------------------------------------- */

static void any_method_is_relayed_in_an_early_dialog(void **s)
{
	static const char *const methods[] = { "INFO", "OPTIONS", "MESSAGE",
					       "NOTIFY", "BANANA" };
	(void)s;

	calls();
	says("u", 180, NULL, NULL);
	into(peer_answer(&pbx, 180));
	for (size_t i = 0; i < 5; i++) {
		struct message *request;

		peer_says(&pbx, methods[i], "X-N: 1\r\n", NULL);
		request = peer_request(&trunk, methods[i]);
		assert_false(pl_strcmp(&request->to_tag, "u"));
		peer_answers(&trunk, request, 200, NULL, NULL);
		peer_answer(&pbx, 200);
		core_run(1);
		peer_says(&trunk, methods[i], NULL, NULL);
		request = peer_request(&pbx, methods[i]);
		peer_answers(&pbx, request, 200, NULL, NULL);
		peer_answer(&trunk, 200);
		core_run(1);
	}
}

static void a_reinvite_before_the_answer_is_too_early(void **s)
{
	(void)s;

	calls();
	says("u", 180, NULL, NULL);
	into(peer_answer(&pbx, 180));
	peer_says(&pbx, "INVITE", NULL, SDP_PBX);
	reads_number(peer_answer(&pbx, 500), "Retry-After", 0, 10);
	peer_says(&trunk, "INVITE", NULL, SDP_TRUNK);
	peer_answer(&trunk, 491);
}

static void a_request_before_there_is_a_dialog_gets_481(void **s)
{
	(void)s;

	calls();
	trunk.tag = "u";
	peer_says(&trunk, "INFO", NULL, NULL);
	assert_true(peer_hears_nothing(&pbx));
}

static void a_bye_of_the_caller_counts_as_cancel(void **s)
{
	struct message *cancel;
	(void)s;

	calls();
	says("u", 180, NULL, NULL);
	into(peer_answer(&pbx, 180));
	peer_says(&pbx, "BYE", "Reason: SIP;cause=600\r\n", NULL);
	assert_int_equal(peer_answer(&pbx, 200)->method_id, BYE);
	peer_answer(&pbx, 487);
	cancel = peer_request(&trunk, "CANCEL");
	assert_true(header_has(cancel, HDR_REASON, "600"));
	peer_answers(&trunk, cancel, 200, NULL, NULL);
	says("u", 487, NULL, NULL);
	all_is_over();
}

/* --- Forks ----------------------------------------------------------------- */

static struct message *one, *two; /* what the PBX heard of each branch */

static void forks(void)
{
	calls();
	says("one", 183, NULL, SDP_TRUNK);
	one = peer_answer(&pbx, 183);
	says("two", 183, NULL, SDP_TRUNK);
	two = peer_answer(&pbx, 183);
	assert_true(one->to_tag.l && two->to_tag.l);
	assert_true(pl_cmp(&one->to_tag, &two->to_tag));
}

static void each_branch_is_a_dialog_of_its_own(void **s)
{
	struct message *info;
	(void)s;

	forks();
	/* the same tag again for the same branch */
	says("one", 180, NULL, NULL);
	assert_int_equal(pl_cmp(&peer_answer(&pbx, 180)->to_tag, &one->to_tag),
			 0);

	into(two);
	peer_says(&pbx, "INFO", NULL, NULL);
	info = peer_request(&trunk, "INFO");
	assert_false(pl_strcmp(&info->to_tag, "two"));
	peer_answers(&trunk, info, 200, NULL, NULL);
	core_run(1);
	/* CSeq counts in each dialog alone */
	into(one);
	peer_says_same(&pbx, "INFO", NULL, NULL);
	assert_false(pl_strcmp(&peer_request(&trunk, "INFO")->to_tag, "one"));
}

static void a_request_of_a_branch_comes_in_its_dialog(void **s)
{
	struct message *info;
	(void)s;

	forks();
	says("two", 180, NULL, NULL);
	peer_says(&trunk, "INFO", NULL, NULL);
	info = peer_request(&pbx, "INFO");
	assert_int_equal(pl_cmp(&info->from_tag, &two->to_tag), 0);
	peer_answers(&pbx, info, 200, NULL, NULL);
	core_run(1);
	says("one", 180, NULL, NULL);
	peer_says_same(&trunk, "INFO", NULL, NULL);
	info = peer_request(&pbx, "INFO");
	assert_int_equal(pl_cmp(&info->from_tag, &one->to_tag), 0);
}

static void each_branch_has_reliable_1xx_of_its_own(void **s)
{
	struct message *first, *second, *prack;
	(void)s;

	calls();
	says("one", 183, RELIABLE("5"), SDP_TRUNK);
	first = peer_answer(&pbx, 183);
	says("two", 183, RELIABLE("900"), SDP_TRUNK);
	second = peer_answer(&pbx, 183);
	into(second);
	pracks(second, NULL);
	prack = peer_request(&trunk, "PRACK");
	acknowledges(prack, 900);
	peer_answers(&trunk, prack, 200, NULL, NULL);
	core_run(1);
	into(first);
	pracks(first, NULL);
	acknowledges(peer_request(&trunk, "PRACK"), 5);
	/* one branch does not hold up the 2xx of the other */
	says("three", 183, RELIABLE("7"), SDP_TRUNK);
	says("two", 200, NULL, SDP_TRUNK);
	assert_int_equal(
		pl_cmp(&peer_answer(&pbx, 200)->to_tag, &second->to_tag), 0);
}

static void the_first_2xx_wins_and_keeps_its_dialog(void **s)
{
	static const char *const winners[] = { "one", "two", "three" };
	(void)s;

	for (size_t i = 0; i < 3; i++) {
		struct message *final, *bye;

		forks();
		says(winners[i], 200, NULL, SDP_TRUNK);
		bye = peer_request(&trunk, "ACK");
		assert_false(pl_strcmp(&bye->to_tag, winners[i]));
		final = peer_answer(&pbx, 200);
		if (i < 2)
			assert_int_equal(
				pl_cmp(&final->to_tag,
				       i ? &two->to_tag : &one->to_tag),
				0);
		else
			assert_true(pl_cmp(&final->to_tag, &one->to_tag) &&
				    pl_cmp(&final->to_tag, &two->to_tag));
		peer_acks(&pbx, NULL);
		core_run(T1_64 + 1000);
		assert_int_equal(core_the_call()->state, CALL_TALKING);
		peer_says(&pbx, "BYE", NULL, NULL);
		peer_answer(&pbx, 200);
		bye = peer_request(&trunk, "BYE");
		assert_false(pl_strcmp(&bye->to_tag, winners[i]));
		peer_answers(&trunk, bye, 200, NULL, NULL);
		all_is_over();
		core_teardown(NULL);
		core_setup(NULL);
	}
}

static void a_2xx_of_another_branch_is_acked_and_hung_up(void **s)
{
	struct message *ack, *bye;
	(void)s;

	forks();
	says("two", 200, NULL, SDP_TRUNK);
	into(peer_answer(&pbx, 200));
	peer_acks(&pbx, NULL);
	peer_request(&trunk, "ACK");
	says("one", 200, NULL, SDP_TRUNK);
	ack = peer_request(&trunk, "ACK");
	assert_false(pl_strcmp(&ack->to_tag, "one"));
	bye = peer_request(&trunk, "BYE");
	assert_false(pl_strcmp(&bye->to_tag, "one"));
	assert_true(bye->cseq > ack->cseq);
	assert_true(peer_hears_nothing(&pbx));
	assert_int_equal(core_the_call()->state, CALL_TALKING);
}

static void a_late_2xx_of_a_branch_is_hung_up_when_the_call_is_over(void **s)
{
	(void)s;

	forks();
	says("two", 200, NULL, SDP_TRUNK);
	into(peer_answer(&pbx, 200));
	peer_acks(&pbx, NULL);
	peer_says(&pbx, "BYE", NULL, NULL);
	peer_answers(&trunk, peer_request(&trunk, "BYE"), 200, NULL, NULL);
	all_is_over();
	core_run(5000);
	peer_forgets(&trunk);
	says("one", 200, NULL, SDP_TRUNK);
	assert_false(pl_strcmp(&peer_request(&trunk, "ACK")->to_tag, "one"));
	assert_false(pl_strcmp(&peer_request(&trunk, "BYE")->to_tag, "one"));
}

static void a_late_2xx_is_hung_up_though_nobody_else_had_rung(void **s)
{
	(void)s;

	for (int late = 0; late < 2; late++) {
		calls();
		says("one", 200, NULL, SDP_TRUNK);
		into(peer_answer(&pbx, 200));
		peer_acks(&pbx, NULL);
		core_run(10000);
		peer_says(&pbx, "BYE", NULL, NULL);
		peer_answers(&trunk, peer_request(&trunk, "BYE"), 200, NULL,
			     NULL);
		all_is_over();
		core_run(late ? T1_64 - 10000 : T1_64 - 10500);
		peer_forgets(&trunk);
		says("two", 200, NULL, SDP_TRUNK);
		if (late) {
			assert_true(peer_hears_nothing(&trunk));
		} else {
			peer_request(&trunk, "ACK");
			assert_false(pl_strcmp(
				&peer_request(&trunk, "BYE")->to_tag, "two"));
		}
		core_teardown(NULL);
		core_setup(NULL);
	}
}

static void refuses_once(const char *tag)
{
	struct message *bye = peer_request(&trunk, "BYE"), *again;

	peer_answers(&trunk, bye, 407, CHALLENGE, NULL);
	again = peer_request(&trunk, "BYE");
	assert_false(pl_strcmp(&again->to_tag, tag));
	assert_int_equal(again->cseq, bye->cseq + 1);
	assert_true(header_has(again, HDR_PROXY_AUTHORIZATION, "a1"));
	/* who refuses it for good hears no more of it */
	peer_answers(&trunk, again, 403, NULL, NULL);
	core_run(T1_64);
	assert_true(peer_hears_no(&trunk, "BYE"));
}

static void the_bye_to_a_2xx_that_nobody_wants_is_proved(void **s)
{
	enum {
		LOST,
		GIVEN_UP,
		OVER,
		WHENS
	};
	(void)s;

	for (int when = LOST; when < WHENS; when++) {
		fake_credential("trunk", "trunk.example", "tenA", "a1",
				"secret");
		forks();
		if (when == GIVEN_UP) {
			peer_cancels(&pbx);
			core_run(T1_64 + 1);
			peer_forgets(&trunk);
		} else {
			says("two", 200, NULL, SDP_TRUNK);
			into(peer_answer(&pbx, 200));
			peer_acks(&pbx, NULL);
		}
		if (when == OVER) {
			peer_says(&pbx, "BYE", NULL, NULL);
			peer_answers(&trunk, peer_request(&trunk, "BYE"), 200,
				     NULL, NULL);
			all_is_over();
		}
		says("one", 200, NULL, SDP_TRUNK);
		refuses_once("one");
		core_teardown(NULL);
		core_setup(NULL);
	}
}

static void requests_under_way_stay_with_their_dialog_when_it_wins(void **s)
{
	struct message *info, *again;
	(void)s;

	fake_credential("trunk", "trunk.example", "tenA", "a1", "secret");
	forks();
	into(two);
	peer_says(&pbx, "INFO", NULL, NULL);
	info = peer_request(&trunk, "INFO");
	says("two", 200, NULL, SDP_TRUNK);
	peer_request(&trunk, "ACK");
	peer_answers(&trunk, info, 407, CHALLENGE, NULL);
	core_run(1);
	again = peer_request(&trunk, "INFO");
	assert_false(pl_strcmp(&again->to_tag, "two"));
	assert_int_equal(again->cseq, info->cseq + 1);
}

static void a_branch_that_lost_dies_64_t1_behind_the_answer(void **s)
{
	struct message *info;
	(void)s;

	forks();
	says("two", 200, NULL, SDP_TRUNK);
	peer_answer(&pbx, 200);
	into(two);
	peer_acks(&pbx, NULL);
	core_run(T1_64 - 2000);
	into(one);
	peer_says(&pbx, "INFO", NULL, NULL);
	info = peer_request(&trunk, "INFO");
	assert_false(pl_strcmp(&info->to_tag, "one"));
	peer_answers(&trunk, info, 200, NULL, NULL);
	core_run(1);
	peer_says(&pbx, "UPDATE", NULL, SDP_PBX);
	peer_answer(&pbx, 488); /* its media are another branch's */
	peer_says(&pbx, "INFO", NULL, NULL);
	peer_says(&pbx, "INFO", NULL, NULL); /* waits behind the first */
	core_run(2001);
	peer_answer(&pbx, 481);
	peer_answer(&pbx, 481);
	peer_says(&pbx, "INFO", NULL, NULL);
	peer_answer(&pbx, 481);
	assert_int_equal(core_the_call()->state, CALL_TALKING);
}

static void a_bye_in_a_branch_that_lost_ends_nothing(void **s)
{
	(void)s;

	forks();
	says("two", 200, NULL, SDP_TRUNK);
	peer_answer(&pbx, 200);
	into(two);
	peer_acks(&pbx, NULL);
	into(one);
	peer_says(&pbx, "BYE", NULL, NULL);
	peer_answer(&pbx, 200);
	assert_int_equal(core_the_call()->state, CALL_TALKING);
}

static void a_fork_has_no_more_branches_than_a_call_may_have(void **s)
{
	char tag[16];
	(void)s;

	calls();
	for (int i = 0; i < 40; i++) {
		re_snprintf(tag, sizeof(tag), "tag-%d", i);
		says(tag, 180, NULL, NULL);
	}
	assert_in_range(heard(&pbx, 0, 180), 2, 39);
	/* and the answer of one that found no room counts all the same */
	says(tag, 200, NULL, SDP_TRUNK);
	peer_answer(&pbx, 200);
	peer_acks(&pbx, NULL);
	assert_int_equal(core_the_call()->state, CALL_TALKING);
}

/* --- Media of forks -------------------------------------------------------- */

#define SDP_ONE SDP_AT("127.0.0.11", "40111")
#define SDP_TWO SDP_AT("127.0.0.11", "40222")

/* Port of the called side that packets of the caller go to */
static uint16_t speaks_to(void)
{
	struct sa trunk_ip = sa_of("127.0.0.11");
	uint16_t port = 0;

	for (uint32_t flow = 1; flow < 64; flow++) {
		const struct flow_setup *f = fake_flow(flow);

		if (!f || !f->partner ||
		    !sa_cmp(&f->remote[0], &trunk_ip, SA_ADDR))
			continue;
		assert_int_equal(port, 0);
		port = sa_port(&f->remote[0]);
	}
	return port;
}

static void early_media_follow_the_sdp_that_came_last(void **s)
{
	(void)s;

	calls();
	says("one", 183, NULL, SDP_ONE);
	assert_int_equal(speaks_to(), 40111);
	says("two", 183, NULL, SDP_TWO);
	assert_int_equal(speaks_to(), 40222);
	says("one", 183, NULL, SDP_ONE);
	assert_int_equal(speaks_to(), 40111);
	says("two", 180, NULL, NULL);
	assert_int_equal(speaks_to(), 40111);
	says("two", 200, NULL, SDP_TWO);
	assert_int_equal(speaks_to(), 40222);
}

/* Branch one agrees for good and changes its session; branch two still has the
 * offer of the INVITE to answer */
static void each_branch_answers_the_offer_of_the_invite(void **s)
{
	struct message *progress, *request;
	(void)s;

	calls();
	says("one", 183, RELIABLE("5"), SDP_ONE);
	progress = into(peer_answer(&pbx, 183));
	pracks(progress, NULL);
	peer_answers(&trunk, peer_request(&trunk, "PRACK"), 200, NULL, NULL);
	core_run(1);
	peer_says(&pbx, "UPDATE", NULL, SDP_PBX "a=x-second:1\r\n");
	request = peer_request(&trunk, "UPDATE");
	peer_answers(&trunk, request, 200, NULL, SDP_ONE);
	core_run(1);
	assert_int_equal(speaks_to(), 40111);
	peer_forgets(&pbx);

	says("two", 183, RELIABLE("9"), SDP_TWO);
	progress = peer_answer(&pbx, 183);
	assert_true(body_has(progress, "127.0.0.2\r"));
	assert_int_equal(speaks_to(), 40222);
	into(progress);
	pracks(progress, NULL);
	peer_answers(&trunk, peer_request(&trunk, "PRACK"), 200, NULL, NULL);
	core_run(1);
	peer_forgets(&pbx);

	/* an offer that is open in one dialog is none in the other */
	says("one", 180, NULL, NULL);
	peer_says(&trunk, "UPDATE", NULL, SDP_ONE);
	peer_request(&pbx, "UPDATE");
	peer_says(&pbx, "UPDATE", NULL, SDP_PBX);
	peer_request(&trunk, "UPDATE");
}

/* The answer of the branch that wins may have been a reliable 1xx long ago */
static void media_go_back_to_the_branch_that_wins_without_sdp(void **s)
{
	struct message *progress;
	(void)s;

	calls();
	says("one", 183, RELIABLE("5"), SDP_ONE);
	progress = into(peer_answer(&pbx, 183));
	pracks(progress, NULL);
	peer_answers(&trunk, peer_request(&trunk, "PRACK"), 200, NULL, NULL);
	core_run(1);
	says("two", 183, NULL, SDP_TWO);
	assert_int_equal(speaks_to(), 40222);
	says("one", 200, NULL, NULL);
	assert_int_equal(speaks_to(), 40111);
	assert_int_equal(peer_answer(&pbx, 200)->method_id, PRACK);
	into(peer_answer(&pbx, 200));
	peer_acks(&pbx, NULL);
	peer_forgets(&trunk);

	/* and what was agreed early is the session that is changed later */
	peer_says(&pbx, "INVITE", NULL, SDP_PBX);
	peer_answers(&trunk, peer_request(&trunk, "INVITE"), 200, NULL,
		     SDP_TWO);
	peer_answer(&pbx, 200);
	peer_acks(&pbx, NULL);
	assert_int_equal(speaks_to(), 40222);
}

/* --- Hops that are tried together ------------------------------------------ */

static struct message *beside; /* the INVITE of the second hop */

static void hops_ring(void)
{
	struct local_policy *policy = (struct local_policy *)config_at(
		core.cfg, &element_local_policy, 0);

	item_set(&element_local_policy, policy, "parallel-forking", "enabled");
	item_add(&policy->policy_attributes, &element_policy_attribute,
		 "next-hop", "127.0.0.14", "realm", "trunk", NULL);
	calls();
	beside = peer_request(&third, "INVITE");
	says("one", 183, RELIABLE("5"), SDP_ONE);
	one = peer_answer(&pbx, 183);
	third.tag = "two";
	peer_answers(&third, beside, 183, RELIABLE("9"), SDP_B);
	two = peer_answer(&pbx, 183);
	third.cseq = 200;
	assert_true(pl_cmp(&one->to_tag, &two->to_tag));
}

static void dialogs_of_hops_tried_together_stay_apart(void **s)
{
	struct message *request;
	(void)s;

	hops_ring();
	into(one);
	pracks(one, NULL);
	request = peer_request(&trunk, "PRACK");
	acknowledges(request, 5);
	peer_answers(&trunk, request, 200, NULL, NULL);
	core_run(1);
	into(two);
	pracks_with(rseq_of(two), invite_cseq, "INVITE", NULL);
	request = peer_request(&third, "PRACK");
	assert_true(header_has(request, HDR_RACK, "9 "));
	peer_answers(&third, request, 200, NULL, NULL);
	core_run(1);

	/* the hop that did not speak last */
	peer_says(&trunk, "INFO", NULL, NULL);
	request = peer_request(&pbx, "INFO");
	assert_int_equal(pl_cmp(&request->from_tag, &one->to_tag), 0);
	peer_answers(&pbx, request, 200, NULL, NULL);
	peer_answer(&trunk, 200);
	core_run(1);
	peer_says(&third, "INFO", NULL, NULL);
	request = peer_request(&pbx, "INFO");
	assert_int_equal(pl_cmp(&request->from_tag, &two->to_tag), 0);
}

/* What the call has then may be of another realm: nothing of it goes there */
static void an_offer_of_a_hop_that_lost_gets_no_media(void **s)
{
	struct message *update, *answer;
	struct pl sdp;
	(void)s;

	hops_ring();
	into(one);
	pracks(one, NULL);
	peer_answers(&trunk, peer_request(&trunk, "PRACK"), 200, NULL, NULL);
	core_run(1);
	into(two);
	pracks_with(rseq_of(two), invite_cseq, "INVITE", NULL);
	peer_answers(&third, peer_request(&third, "PRACK"), 200, NULL, NULL);
	core_run(1);
	peer_says(&third, "UPDATE", NULL, SDP_B);
	update = peer_request(&pbx, "UPDATE");
	says("one", 200, NULL, NULL);
	peer_answer(&pbx, 200);
	peer_answers(&pbx, update, 200, NULL, SDP_PBX);
	answer = peer_answer(&third, 488);
	assert_false(body_sdp(answer, &sdp));
}

static void the_hop_that_answers_first_has_the_call(void **s)
{
	(void)s;

	for (int second = 0; second < 2; second++) {
		struct message *final, *bye, *mine;
		struct peer *winner = second ? &third : &trunk;
		struct peer *loser = second ? &trunk : &third;

		hops_ring();
		mine = second ? two : one;
		into(mine);
		pracks(mine, NULL);
		peer_answers(winner, peer_request(winner, "PRACK"), 200, NULL,
			     NULL);
		core_run(1);
		peer_forgets(&pbx);
		peer_answers(winner, second ? beside : invite, 200, NULL, NULL);
		final = peer_answer(&pbx, 200);
		assert_int_equal(pl_cmp(&final->to_tag, &mine->to_tag), 0);
		peer_acks(&pbx, NULL);
		peer_answers(loser, peer_request(loser, "CANCEL"), 200, NULL,
			     NULL);
		/* it crossed the CANCEL */
		peer_answers(loser, second ? invite : beside, 200, NULL, SDP_B);
		peer_request(loser, "ACK");
		peer_answers(loser, peer_request(loser, "BYE"), 200, NULL,
			     NULL);
		core_run(T1_64 + 1);
		assert_int_equal(core_the_call()->state, CALL_TALKING);
		peer_says(&pbx, "BYE", NULL, NULL);
		bye = peer_request(winner, "BYE");
		peer_answers(winner, bye, 200, NULL, NULL);
		all_is_over();
		core_teardown(NULL);
		core_setup(NULL);
	}
}

static void a_hop_that_fails_takes_its_dialog_alone(void **s)
{
	struct message *final;
	(void)s;

	hops_ring();
	says("one", 486, NULL, NULL);
	into(one);
	peer_says(&pbx, "INFO", NULL, NULL);
	peer_answer(&pbx, 481);
	into(two);
	pbx.cseq++;
	pracks(two, NULL);
	peer_answers(&third, peer_request(&third, "PRACK"), 200, NULL, NULL);
	peer_answer(&pbx, 200);
	core_run(1);
	peer_answers(&third, beside, 200, NULL, SDP_B);
	final = peer_answer(&pbx, 200);
	assert_int_equal(pl_cmp(&final->to_tag, &two->to_tag), 0);
	peer_acks(&pbx, NULL);
	assert_int_equal(core_the_call()->state, CALL_TALKING);
}

static void a_2xx_waits_for_its_prack_when_a_hop_beside_it_failed(void **s)
{
	(void)s;

	hops_ring();
	peer_answers(&third, beside, 486, NULL, NULL);
	says("one", 200, NULL, SDP_ONE);
	assert_true(peer_hears_no_answer(&pbx, 200));
	into(one);
	pracks(one, NULL);
	peer_answers(&trunk, peer_request(&trunk, "PRACK"), 200, NULL, NULL);
	assert_int_equal(peer_answer(&pbx, 200)->method_id, PRACK);
	core_run(1);
	assert_int_equal(peer_answer(&pbx, 200)->method_id, INVITE);
}

static void dialogs_of_a_hop_that_lost_live_64_t1_behind_the_answer(void **s)
{
	for (int second = 0; second < 2; second++) {
		struct peer *winner = second ? &third : &trunk;
		struct peer *loser = second ? &trunk : &third;
		struct message *info, *cancel;
		(void)s;

		hops_ring();
		into(second ? two : one);
		pracks(second ? two : one, NULL);
		peer_answers(winner, peer_request(winner, "PRACK"), 200, NULL,
			     NULL);
		core_run(1);
		peer_answers(winner, second ? beside : invite, 200, NULL, NULL);
		peer_forgets(&pbx);
		peer_acks(&pbx, NULL);
		cancel = peer_request(loser, "CANCEL");
		into(second ? one : two);
		peer_says(&pbx, "INFO", NULL, NULL);
		info = peer_request(loser, "INFO");
		peer_answers(loser, info, 200, NULL, NULL);
		peer_answer(&pbx, 200);
		peer_answers(loser, cancel, 200, NULL, NULL);
		peer_answers(loser, second ? invite : beside, 487, NULL, NULL);
		core_run(T1_64 - 1000);
		peer_says(&pbx, "INFO", NULL, NULL);
		peer_answers(loser, peer_request(loser, "INFO"), 481, NULL,
			     NULL);
		peer_answer(&pbx, 481);
		core_run(1001);
		peer_forgets(loser);
		peer_says(&pbx, "INFO", NULL, NULL);
		peer_answer(&pbx, 481);
		assert_true(peer_hears_no(loser, "INFO"));
		assert_int_equal(core_the_call()->state, CALL_TALKING);
		core_teardown(NULL);
		core_setup(NULL);
	}
}

/* --- A failed route -------------------------------------------------------- */

static void second_route(void)
{
	struct local_policy *policy = (struct local_policy *)config_at(
		core.cfg, &element_local_policy, 0);

	item_add(&policy->policy_attributes, &element_policy_attribute,
		 "next-hop", "127.0.0.14", "realm", "trunk", "cost", "1", NULL);
}

static void early_dialogs_of_a_failed_route_are_dead(void **s)
{
	struct message *first, *next;
	(void)s;

	second_route();
	calls();
	says("u", 183, RELIABLE("5"), SDP_TRUNK);
	first = into(peer_answer(&pbx, 183));
	peer_says(&pbx, "INFO", NULL, NULL);
	peer_request(&trunk, "INFO");
	says("u", 480, NULL, NULL);
	assert_int_equal(peer_answer(&pbx, 481)->method_id, INFO);

	invite = peer_request(&third, "INVITE");
	core_run(4000);
	assert_true(peer_hears_no_answer(&pbx, 183));
	peer_says(&pbx, "INFO", NULL, NULL);
	peer_answer(&pbx, 481);
	pracks(first, NULL);
	peer_answer(&pbx, 481);

	peer_answers(&third, invite, 183, RELIABLE("1"), SDP_B);
	next = peer_answer(&pbx, 183);
	assert_true(pl_cmp(&next->to_tag, &first->to_tag));
	into(next);
	pracks(next, NULL);
	acknowledges(peer_request(&third, "PRACK"), 1);
	peer_answers(&third, invite, 200, NULL, SDP_B);
	assert_int_equal(pl_cmp(&peer_answer(&pbx, 200)->to_tag, &next->to_tag),
			 0);
}

static void a_challenge_behind_a_1xx_begins_a_new_dialog(void **s)
{
	struct message *first, *next;
	(void)s;

	fake_credential("trunk", "trunk.example", "tenA", "a1", "secret");
	calls();
	says("u", 180, NULL, NULL);
	first = peer_answer(&pbx, 180);
	says("u", 407, CHALLENGE, NULL);
	peer_request(&trunk, "ACK");
	invite = peer_request(&trunk, "INVITE");
	says("v", 180, NULL, NULL);
	next = peer_answer(&pbx, 180);
	assert_true(pl_cmp(&next->to_tag, &first->to_tag));
	says("v", 200, NULL, SDP_TRUNK);
	assert_false(pl_strcmp(&peer_request(&trunk, "ACK")->to_tag, "v"));
}

/* --- The offer of the called side ------------------------------------------ */

static void an_offer_in_the_2xx_has_its_answer_in_the_ack(void **s)
{
	struct message *final, *ack;
	(void)s;

	calls_with(NULL, NULL);
	assert_int_equal(invite->body.l, 0);
	says("u", 200, NULL, SDP_TRUNK);
	final = peer_answer(&pbx, 200);
	assert_true(body_has(final, "127.0.0.2\r"));
	assert_true(peer_hears_no(&trunk, "ACK"));
	peer_acks(&pbx, SDP_PBX);
	ack = peer_request(&trunk, "ACK");
	assert_true(body_has(ack, "127.0.0.1\r"));
	assert_false(body_has(ack, "127.0.0.12"));
	assert_int_equal(core_the_call()->state, CALL_TALKING);
}

static void an_ack_without_the_answer_ends_the_call_with_488(void **s)
{
	struct message *bye;
	(void)s;

	calls_with(NULL, NULL);
	says("u", 200, NULL, SDP_TRUNK);
	peer_answer(&pbx, 200);
	peer_acks(&pbx, NULL);
	peer_request(&trunk, "ACK");
	bye = peer_request(&trunk, "BYE");
	assert_true(header_has(bye, HDR_REASON, "SIP;cause=488"));
	peer_answers(&trunk, bye, 200, NULL, NULL);
	bye = peer_request(&pbx, "BYE");
	assert_true(header_has(bye, HDR_REASON, "SIP;cause=488"));
	peer_answers(&pbx, bye, 200, NULL, NULL);
	all_is_over();
}

static void an_offer_in_a_reliable_1xx_has_its_answer_in_the_prack(void **s)
{
	struct message *progress, *prack, *final;
	(void)s;

	calls_with(OFFERS_100REL, NULL);
	says("u", 183, RELIABLE("5"), SDP_TRUNK);
	progress = into(peer_answer(&pbx, 183));
	assert_true(body_has(progress, "127.0.0.2\r"));
	pracks(progress, SDP_PBX);
	prack = peer_request(&trunk, "PRACK");
	assert_true(body_has(prack, "127.0.0.1\r"));
	assert_false(body_has(prack, "127.0.0.12"));
	peer_answers(&trunk, prack, 200, NULL, NULL);
	peer_answer(&pbx, 200);
	says("u", 200, NULL, NULL);
	final = peer_answer(&pbx, 200);
	assert_int_equal(final->body.l, 0);
	peer_request(&trunk, "ACK"); /* it needs nothing of the caller */
	peer_acks(&pbx, NULL);
	core_run(1);
	assert_int_equal(core_the_call()->state, CALL_TALKING);
	assert_true(peer_hears_no(&trunk, "BYE"));
}

static void a_2xx_waits_for_the_answer_to_the_offer_in_a_1xx(void **s)
{
	struct message *progress;
	(void)s;

	calls_with(OFFERS_100REL, NULL);
	says("u", 183, RELIABLE("5"), SDP_TRUNK);
	progress = into(peer_answer(&pbx, 183));
	says("u", 200, NULL, NULL);
	assert_true(peer_hears_nothing(&pbx));
	assert_true(peer_hears_no(&trunk, "ACK"));
	pracks(progress, SDP_PBX);
	peer_request(&trunk, "PRACK");
	core_run(1);
	peer_answer(&pbx, 200);
	peer_request(&trunk, "ACK");
}

/* RFC 3262 5 in each dialog of a fork: its offer, its answer, media of the winner */
static void each_branch_may_make_the_offer(void **s)
{
	struct message *first, *second, *prack, *final;
	(void)s;

	calls_with(OFFERS_100REL, NULL);
	says("one", 183, RELIABLE("5"), SDP_ONE);
	first = peer_answer(&pbx, 183);
	assert_true(body_has(first, "127.0.0.2\r"));
	says("two", 183, RELIABLE("9"), SDP_TWO);
	second = peer_answer(&pbx, 183);
	assert_true(body_has(second, "127.0.0.2\r"));

	into(second);
	pracks(second, SDP_PBX);
	prack = peer_request(&trunk, "PRACK");
	acknowledges(prack, 9);
	assert_true(body_has(prack, "127.0.0.1\r"));
	peer_answers(&trunk, prack, 200, NULL, NULL);
	core_run(1);
	assert_int_equal(speaks_to(), 40222);
	into(first);
	pracks(first, SDP_PBX);
	prack = peer_request(&trunk, "PRACK");
	acknowledges(prack, 5);
	assert_true(body_has(prack, "127.0.0.1\r"));
	peer_answers(&trunk, prack, 200, NULL, NULL);
	core_run(1);
	assert_int_equal(speaks_to(), 40111);
	peer_forgets(&pbx);

	says("two", 200, NULL, NULL);
	final = peer_answer(&pbx, 200);
	assert_int_equal(final->body.l, 0);
	assert_int_equal(pl_cmp(&final->to_tag, &second->to_tag), 0);
	assert_int_equal(speaks_to(), 40222);
	peer_request(&trunk, "ACK");
	into(second);
	peer_acks(&pbx, NULL);
	core_run(1);
	assert_int_equal(core_the_call()->state, CALL_TALKING);
}

/* ... and where the others gave none, the answer of the caller in the ACK */
static void the_winner_of_a_fork_may_make_the_offer_in_its_2xx(void **s)
{
	struct message *first, *final, *ack;
	(void)s;

	calls_with(OFFERS_100REL, NULL);
	says("one", 183, RELIABLE("5"), SDP_ONE);
	first = into(peer_answer(&pbx, 183));
	pracks(first, SDP_PBX);
	peer_answers(&trunk, peer_request(&trunk, "PRACK"), 200, NULL, NULL);
	core_run(1);
	peer_forgets(&pbx);

	says("two", 200, NULL, SDP_TWO);
	final = peer_answer(&pbx, 200);
	assert_true(body_has(final, "127.0.0.2\r"));
	assert_true(peer_hears_no(&trunk, "ACK"));
	into(final);
	peer_acks(&pbx, SDP_PBX);
	core_run(1);
	ack = peer_request(&trunk, "ACK");
	assert_false(pl_strcmp(&ack->to_tag, "two"));
	assert_true(body_has(ack, "127.0.0.1\r"));
	assert_int_equal(speaks_to(), 40222);
	assert_int_equal(core_the_call()->state, CALL_TALKING);
}

static void sdp_in_an_unreliable_1xx_is_no_offer(void **s)
{
	(void)s;

	calls_with(NULL, NULL);
	says("u", 183, NULL, SDP_TRUNK);
	assert_int_equal(peer_answer(&pbx, 183)->body.l, 0);
	says("u", 200, NULL, SDP_TRUNK);
	assert_true(body_has(peer_answer(&pbx, 200), "127.0.0.2\r"));
}

static void a_reliable_offer_that_nobody_can_use_ends_the_call(void **s)
{
	(void)s;

	calls();
	says("u", 183, RELIABLE("5"), "v=0\r\nnonsense\r\n");
	peer_answer(&pbx, 488);
	peer_answers(&trunk, peer_request(&trunk, "CANCEL"), 200, NULL, NULL);
	says("u", 487, NULL, NULL);
	all_is_over();
}

/* --- CANCEL and its races: the rows of behaviour.md 3.3 --------------------- */

static void cancels(void)
{
	peer_cancels(&pbx);
	assert_int_equal(peer_answer(&pbx, 200)->method_id, CANCEL);
	assert_int_equal(peer_answer(&pbx, 487)->method_id, INVITE);
}

static void cancel_while_dns_is_asked_lets_nothing_leave(void **s)
{
	(void)s;

	item_set(&element_session_agent, core.agent_trunk, "ip-address", "");
	fake_resolver_fail(EINPROGRESS);
	core_start();
	peer_calls(&pbx, URI, NULL, SDP_PBX);
	assert_true(fake_resolver_waiting() > 0);
	peer_forgets(&pbx);
	pbx.remote[strlen("<" URI ">")] = '\0';
	peer_cancels(&pbx);
	assert_int_equal(peer_answer(&pbx, 200)->method_id, CANCEL);
	peer_answer(&pbx, 487);
	assert_true(peer_hears_nothing(&trunk));
	all_is_over();
}

static void cancel_before_any_answer_follows_the_first_1xx(void **s)
{
	(void)s;

	calls();
	cancels();
	assert_true(peer_hears_nothing(&trunk));
	says("u", 180, RELIABLE("5"), NULL);
	peer_answers(&trunk, peer_request(&trunk, "CANCEL"), 200, NULL, NULL);
	assert_true(peer_hears_nothing(&pbx));
	says("u", 487, NULL, NULL);
	peer_request(&trunk, "ACK");
	all_is_over();
}

static void cancel_without_any_answer_ends_by_timer_b(void **s)
{
	(void)s;

	calls();
	cancels();
	core_run(31999);
	assert_int_equal(core_calls(), 1);
	core_run(1);
	all_is_over();
	assert_true(peer_hears_no(&trunk, "CANCEL"));
}

static void cancel_after_1xx_goes_on_at_once_with_its_reason(void **s)
{
	struct message *cancel;
	(void)s;

	forks();
	peer_cancels(&pbx);
	peer_answer(&pbx, 487);
	cancel = peer_request(&trunk, "CANCEL");
	assert_int_equal(cancel->cseq, invite->cseq);
	peer_answers(&trunk, cancel, 200, NULL, NULL);
	says("one", 487, NULL, NULL);
	all_is_over();
}

static void a_reliable_1xx_is_not_repeated_behind_the_487(void **s)
{
	size_t from;
	(void)s;

	calls();
	says("one", 183, RELIABLE("5"), SDP_TRUNK);
	says("two", 183, RELIABLE("5"), SDP_TRUNK);
	peer_cancels(&pbx);
	from = pbx.n;
	core_run(10000);
	assert_int_equal(heard(&pbx, from, 183), 0);
}

static void a_2xx_that_crosses_the_cancel_is_acked_and_hung_up(void **s)
{
	(void)s;

	forks();
	peer_cancels(&pbx);
	peer_answer(&pbx, 487);
	peer_request(&trunk, "CANCEL");
	says("two", 200, NULL, SDP_TRUNK);
	assert_false(pl_strcmp(&peer_request(&trunk, "ACK")->to_tag, "two"));
	peer_answers(&trunk, peer_request(&trunk, "BYE"), 200, NULL, NULL);
	/* and the other branch, which crossed it too */
	says("one", 200, NULL, SDP_TRUNK);
	assert_false(pl_strcmp(&peer_request(&trunk, "ACK")->to_tag, "one"));
	assert_false(pl_strcmp(&peer_request(&trunk, "BYE")->to_tag, "one"));
	assert_true(peer_hears_no_answer(&pbx, 200));
	all_is_over();
}

static void cancel_behind_the_2xx_has_no_effect(void **s)
{
	(void)s;

	calls();
	says("u", 200, NULL, SDP_TRUNK);
	into(peer_answer(&pbx, 200));
	pbx.remote[strlen("<" URI ">")] = '\0';
	snprintf(pbx.target, sizeof(pbx.target), "%s", URI);
	peer_cancels(&pbx);
	assert_int_equal(peer_answer(&pbx, 200)->method_id, CANCEL);
	assert_true(peer_hears_no(&trunk, "CANCEL"));
	assert_true(peer_hears_no(&trunk, "BYE"));
	assert_int_equal(core_the_call()->state, CALL_ANSWERED);
}

static void cancel_between_challenge_and_retry_lets_no_invite_leave(void **s)
{
	(void)s;

	fake_credential("trunk", "trunk.example", "tenA", "a1", "secret");
	calls();
	cancels();
	says("u", 407, CHALLENGE, NULL);
	peer_request(&trunk, "ACK");
	assert_true(peer_hears_nothing(&trunk));
	all_is_over();
}

static void cancel_between_two_routes_lets_no_further_one_be_tried(void **s)
{
	(void)s;

	second_route();
	calls();
	cancels();
	says("u", 480, NULL, NULL);
	assert_true(peer_hears_nothing(&third));
	all_is_over();
}

static void cancel_without_an_invite_gets_481(void **s)
{
	(void)s;

	core_start();
	pbx.cseq = 7;
	snprintf(pbx.local, sizeof(pbx.local), "<sip:x@127.0.0.12>;tag=l");
	snprintf(pbx.remote, sizeof(pbx.remote), "<%s>", URI);
	snprintf(pbx.target, sizeof(pbx.target), "%s", URI);
	snprintf(pbx.callid, sizeof(pbx.callid), "nobody");
	peer_cancels(&pbx);
	peer_answer(&pbx, 481);
}

/* --- Silence and lateness --------------------------------------------------- */

static void a_2xx_long_after_the_cancel_is_acked_and_hung_up(void **s)
{
	(void)s;

	calls();
	says("u", 180, NULL, NULL);
	cancels();
	peer_request(&trunk, "CANCEL");
	core_run(T1_64 + 10);
	assert_int_equal(core_calls(), 0); /* the leg is free */
	peer_forgets(&trunk);
	core_run(T1_64 - 1000);
	says("u", 200, NULL, SDP_TRUNK);
	peer_request(&trunk, "ACK");
	peer_request(&trunk, "BYE");
	core_run(T1_64);
}

static void timer_c_begins_anew_with_each_1xx_and_ends_in_408(void **s)
{
	(void)s;

	second_route();
	calls();
	says("u", 180, NULL, NULL);
	core_run(100000);
	says("u", 180, NULL, NULL);
	core_run(179000);
	assert_true(peer_hears_no(&trunk, "CANCEL"));
	core_run(1001);
	peer_answer(&pbx, 408);
	peer_answers(&trunk, peer_request(&trunk, "CANCEL"), 200, NULL, NULL);
	says("u", 487, NULL, NULL);
	assert_true(peer_hears_nothing(&third));
	all_is_over();
}

static void the_expires_of_the_invite_ends_in_487(void **s)
{
	(void)s;

	second_route();
	calls_with("Expires: 20\r\n" OFFERS_100REL, SDP_PBX);
	rings_reliably(SDP_TRUNK);
	core_run(19000);
	assert_true(peer_hears_no(&trunk, "CANCEL"));
	core_run(1000);
	peer_answer(&pbx, 487);
	peer_answers(&trunk, peer_request(&trunk, "CANCEL"), 200, NULL, NULL);
	says("u", 487, NULL, NULL);
	assert_true(peer_hears_nothing(&third));
	all_is_over();
}

static void a_lost_ack_ends_the_call_after_64_t1(void **s)
{
	size_t from;
	(void)s;

	calls();
	rings_reliably(SDP_TRUNK);
	from = pbx.n;
	says("u", 200, NULL, SDP_TRUNK);
	peer_request(&trunk, "ACK");
	core_run(T1_64 - 100);
	/* T1, 2 T1, 4 T1, then T2 */
	assert_in_range(heard(&pbx, from, 200), 10, 11);
	assert_true(peer_hears_no(&trunk, "BYE"));
	core_run(4000);
	peer_answers(&trunk, peer_request(&trunk, "BYE"), 200, NULL, NULL);
	peer_answers(&pbx, peer_request(&pbx, "BYE"), 200, NULL, NULL);
	all_is_over();
}

static void a_repeated_2xx_gets_the_same_ack(void **s)
{
	struct message *first, *again;
	(void)s;

	calls();
	rings_reliably(SDP_TRUNK);
	says("u", 200, NULL, SDP_TRUNK);
	first = peer_request(&trunk, "ACK");
	says("u", 200, NULL, SDP_TRUNK);
	again = peer_request(&trunk, "ACK");
	assert_int_equal(pl_cmp(&first->branch, &again->branch), 0);
	assert_int_equal(heard(&pbx, 0, 200), 1);
}

/* --- Reliable 1xx of a re-INVITE -------------------------------------------- */

static void a_reliable_1xx_to_a_reinvite_has_a_number_of_this_leg(void **s)
{
	struct message *reinvite, *progress, *prack;
	(void)s;

	core_start();
	core_call();
	peer_says(&pbx, "INVITE", OFFERS_100REL, SDP_PBX);
	invite_cseq = pbx.cseq;
	invite = reinvite = peer_request(&trunk, "INVITE");
	peer_answers(&trunk, reinvite, 183, RELIABLE("40"), SDP_TRUNK);
	progress = peer_answer(&pbx, 183);
	assert_true(rseq_of(progress) != 0);
	peer_answers(&trunk, reinvite, 183, RELIABLE("40"), SDP_TRUNK);
	assert_true(peer_hears_nothing(&pbx));
	pracks(progress, NULL);
	core_run(4001);
	prack = peer_request(&trunk, "PRACK");
	acknowledges(prack, 40);
	peer_answers(&trunk, prack, 200, NULL, NULL);
	peer_answer(&pbx, 200);
	peer_answers(&trunk, reinvite, 200, NULL, SDP_TRUNK);
	peer_answer(&pbx, 200);
	peer_acks(&pbx, NULL);
	core_run(T1_64);
	assert_int_equal(core_the_call()->state, CALL_TALKING);
}

static void a_reliable_1xx_to_a_reinvite_without_prack_is_504(void **s)
{
	(void)s;

	for (int crossed = 0; crossed < 2; crossed++) {
		struct message *reinvite, *cancel;

		core_start();
		core_call();
		peer_says(&pbx, "INVITE", OFFERS_100REL, SDP_PBX);
		reinvite = peer_request(&trunk, "INVITE");
		peer_answers(&trunk, reinvite, 183, RELIABLE("40"), SDP_TRUNK);
		core_run(T1_64 - 1);
		assert_true(peer_hears_no_answer(&pbx, 504));
		assert_true(peer_hears_no(&trunk, "CANCEL"));
		core_run(2);
		peer_answer(&pbx, 504);
		peer_acks(&pbx, NULL);
		cancel = peer_request(&trunk, "CANCEL");
		peer_answers(&trunk, cancel, 200, NULL, NULL);
		peer_answers(&trunk, reinvite, crossed ? 200 : 487, NULL,
			     crossed ? SDP_TRUNK : NULL);
		peer_request(&trunk, "ACK");
		assert_true(peer_hears_no_answer(&pbx, 200));
		assert_true(peer_hears_no_answer(&pbx, 487));
		if (crossed) {
			/* they agree on nothing any more */
			peer_request(&trunk, "BYE");
			assert_true(header_has(peer_request(&pbx, "BYE"),
					       HDR_REASON, "504"));
		} else {
			assert_int_equal(core_the_call()->state, CALL_TALKING);
			peer_says(&pbx, "INVITE", NULL, SDP_PBX);
			peer_request(&trunk, "INVITE");
		}
		core_teardown(NULL);
		core_setup(NULL);
	}
}

#define T(name) cmocka_unit_test_setup_teardown(name, core_setup, core_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(the_option_crosses_and_the_called_side_sees_it),
		T(require_100rel_is_the_called_sides_to_judge),
		T(a_reliable_1xx_has_a_number_of_its_own_and_sdp_of_ours),
		T(a_reliable_1xx_is_repeated_until_its_prack),
		T(an_answer_to_prack_comes_back),
		T(what_the_called_side_repeats_or_skips_does_not_cross),
		T(one_at_a_time_waits_for_its_prack),
		T(an_unreliable_1xx_crosses_between_reliable_ones),
		T(a_prack_without_a_matching_1xx_gets_481),
		T(without_prack_for_64_t1_the_call_ends_with_504),
		T(a_challenged_prack_is_answered),
		T(who_did_not_offer_100rel_sees_a_plain_1xx),
		T(without_early_media_no_1xx_is_made_reliable),
		T(a_2xx_waits_for_the_prack_of_a_1xx_with_sdp),
		T(a_2xx_does_not_wait_for_a_1xx_without_sdp),
		T(a_prack_behind_the_2xx_is_served_still),
		T(a_cancel_while_the_2xx_waits_hangs_it_up),
		T(a_bye_while_the_2xx_waits_counts_as_cancel),
		T(no_prack_while_the_2xx_waits_is_504),
		T(the_called_side_may_hang_up_while_its_2xx_waits),
		T(an_offer_in_prack_has_its_answer_in_the_200),
		T(an_update_of_the_caller_changes_an_early_session),
		T(an_update_of_the_called_side_changes_an_early_session),
		T(a_challenged_update_in_an_early_dialog_is_answered),
		T(a_second_update_while_the_first_is_unanswered_gets_500),
		T(an_offer_while_an_offer_is_open_gets_491),
		T(an_offer_before_the_first_answer_gets_491),
		T(a_refused_update_leaves_the_session_as_it_was),
		T(any_method_is_relayed_in_an_early_dialog),
		T(a_reinvite_before_the_answer_is_too_early),
		T(a_request_before_there_is_a_dialog_gets_481),
		T(a_bye_of_the_caller_counts_as_cancel),
		T(each_branch_is_a_dialog_of_its_own),
		T(a_request_of_a_branch_comes_in_its_dialog),
		T(each_branch_has_reliable_1xx_of_its_own),
		T(the_first_2xx_wins_and_keeps_its_dialog),
		T(a_2xx_of_another_branch_is_acked_and_hung_up),
		T(a_late_2xx_of_a_branch_is_hung_up_when_the_call_is_over),
		T(a_late_2xx_is_hung_up_though_nobody_else_had_rung),
		T(the_bye_to_a_2xx_that_nobody_wants_is_proved),
		T(requests_under_way_stay_with_their_dialog_when_it_wins),
		T(a_branch_that_lost_dies_64_t1_behind_the_answer),
		T(a_bye_in_a_branch_that_lost_ends_nothing),
		T(a_fork_has_no_more_branches_than_a_call_may_have),
		T(early_media_follow_the_sdp_that_came_last),
		T(each_branch_answers_the_offer_of_the_invite),
		T(media_go_back_to_the_branch_that_wins_without_sdp),
		T(dialogs_of_hops_tried_together_stay_apart),
		T(an_offer_of_a_hop_that_lost_gets_no_media),
		T(the_hop_that_answers_first_has_the_call),
		T(a_hop_that_fails_takes_its_dialog_alone),
		T(a_2xx_waits_for_its_prack_when_a_hop_beside_it_failed),
		T(dialogs_of_a_hop_that_lost_live_64_t1_behind_the_answer),
		T(early_dialogs_of_a_failed_route_are_dead),
		T(a_challenge_behind_a_1xx_begins_a_new_dialog),
		T(an_offer_in_the_2xx_has_its_answer_in_the_ack),
		T(an_ack_without_the_answer_ends_the_call_with_488),
		T(an_offer_in_a_reliable_1xx_has_its_answer_in_the_prack),
		T(a_2xx_waits_for_the_answer_to_the_offer_in_a_1xx),
		T(each_branch_may_make_the_offer),
		T(the_winner_of_a_fork_may_make_the_offer_in_its_2xx),
		T(sdp_in_an_unreliable_1xx_is_no_offer),
		T(a_reliable_offer_that_nobody_can_use_ends_the_call),
		T(cancel_while_dns_is_asked_lets_nothing_leave),
		T(cancel_before_any_answer_follows_the_first_1xx),
		T(cancel_without_any_answer_ends_by_timer_b),
		T(cancel_after_1xx_goes_on_at_once_with_its_reason),
		T(a_reliable_1xx_is_not_repeated_behind_the_487),
		T(a_2xx_that_crosses_the_cancel_is_acked_and_hung_up),
		T(cancel_behind_the_2xx_has_no_effect),
		T(cancel_between_challenge_and_retry_lets_no_invite_leave),
		T(cancel_between_two_routes_lets_no_further_one_be_tried),
		T(cancel_without_an_invite_gets_481),
		T(a_2xx_long_after_the_cancel_is_acked_and_hung_up),
		T(timer_c_begins_anew_with_each_1xx_and_ends_in_408),
		T(the_expires_of_the_invite_ends_in_487),
		T(a_lost_ack_ends_the_call_after_64_t1),
		T(a_repeated_2xx_gets_the_same_ack),
		T(a_reliable_1xx_to_a_reinvite_has_a_number_of_this_leg),
		T(a_reliable_1xx_to_a_reinvite_without_prack_is_504),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
