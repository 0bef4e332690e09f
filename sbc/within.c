/*
 * Requests inside the dialogs of a call
 *
 * A request of one leg becomes a relay to the other (sbc/relay); BYE is an event
 * of the call. What a relay asks of its call - credentials, SDP, identities, the
 * meaning of its end - stands here too (behaviour.md 3.6, 6.2).
 */
#include <errno.h>
#include <string.h>
#include "store/number.h"
#include "policy/body.h"
#include "sbc/clock.h"
#include "sbc/counters.h"
#include "sbc/random.h"
#include "sbc/replaces.h"
#include "sbc/respond.h"
#include "sbc/sides.h"
#include "sbc/within.h"

/* The called side's leg of its dialog */
static const struct leg *leg_b_of(const struct call *c, const struct relay *r)
{
	if (!call_is_a(c, relay_to(r)))
		return relay_to(r);

	return relay_from(r) ? relay_from(r) : c->b;
}

static int relay_edit(struct relay *r, struct message *out,
		      const struct message *msg, void *arg)
{
	struct call *c = arg;
	bool to_b = !call_is_a(c, relay_to(r));
	int err;

	if (!msg->code && msg->method_id == PRACK) {
		err = prack_edit(relay_from(r), out);
		if (err)
			return err;
	}
	/* An answer goes back */
	if (msg->code)
		to_b = !to_b;
	err = call_edit(c, leg_b_of(c, r), to_b, out, msg);
	return err ? err : call_timers(c, to_b, out, msg);
}

void within_challenged(struct relay *r, enum proof result,
		       const struct proof_report *report, void *arg)
{
	struct call *c = arg;
	(void)r;

	cdr_challenged(&c->cdr, result, report, true);
}

void within_proved(struct relay *r, const struct proof_report *report,
		   uint16_t code, void *arg)
{
	struct call *c = arg;
	(void)r;

	cdr_proved(&c->cdr, report, code);
}

void within_proof(struct relay *r, struct proof_setup *setup, void *arg)
{
	const struct call *c = arg;
	struct sides s = call_sides(c, leg_b_of(c, r));

	sides_proof(&s, !call_is_a(c, relay_to(r)), setup);
}

/* Does this request bear SDP, an offer most of the time? */
static bool has_sdp(const struct message *msg)
{
	struct pl sdp;

	return msg && body_sdp(msg, &sdp);
}

/* RFC 3264 in RFC 3261 14, 3311, 3262: SDP of other methods is none of the
 * session's */
static bool carries_offers(enum method_id method)
{
	return method == INVITE || method == UPDATE || method == PRACK;
}

/* A branch that lost, behind the answer: its SDP is no matter of the session */
static bool is_loser(const struct call *c, const struct leg *leg)
{
	return c->answered && leg != c->a && leg != c->b;
}

/* SDP of an answer inside the dialog */
static int relay_media(struct call *c, struct relay *r,
		       const struct message *msg, struct mbuf **out)
{
	enum side side = call_is_a(c, relay_to(r)) ? SIDE_A : SIDE_B, from;
	enum media_answer what = c->answered ? MEDIA_FINAL : MEDIA_AGREED;
	struct pl sdp;
	int err;

	if (!carries_offers(relay_method(r)) || !body_sdp(msg, &sdp))
		return 0;
	if (msg->code < 200)
		what = MEDIA_EARLY;
	if (is_loser(c, relay_to(r)) ||
	    (relay_method(r) != INVITE && !has_sdp(relay_request(r))))
		return media_copy(c->media, side, &sdp, out);
	err = early_speak(&c->early, relay_to(r), c->media);
	if (err)
		return err;
	if (media_offer_open(c->media, &from) && from != side)
		return media_answer(c->media, side, &sdp, what, out);
	if (msg->code < 200 && !relay_is_reliable(r))
		return 0;
	return media_offer(c->media, side, &sdp, out);
}

/* The offer in this request got no answer: nothing changes (RFC 6141) */
static void offer_failed(struct call *c, const struct relay *r)
{
	enum side side = call_is_a(c, relay_to(r)) ? SIDE_B : SIDE_A, from;

	if (carries_offers(relay_method(r)) && has_sdp(relay_request(r)) &&
	    !is_loser(c, relay_to(r)) &&
	    !early_speak(&c->early, relay_to(r), c->media) &&
	    media_offer_open(c->media, &from) && from == side)
		media_offer_failed(c->media);
}

/* A 2xx to a re-INVITE, where a 1xx may have held the answer */
static bool is_agreed(const struct call *c, const struct relay *r,
		      const struct message *msg)
{
	return relay_method(r) == INVITE && msg->code >= 200 &&
	       !is_loser(c, relay_to(r));
}

/* The caller has answered an offer of a branch that lost meanwhile: that has no
 * media any more, and what the call has now is of another realm maybe */
static bool is_too_late(const struct call *c, const struct relay *r,
			const struct message *msg)
{
	struct pl sdp;

	return is_loser(c, relay_to(r)) && call_is_a(c, relay_to(r)) &&
	       carries_offers(relay_method(r)) && body_sdp(msg, &sdp);
}

static void relay_answer(struct relay *r, const struct message *msg,
			 struct leg_reply *reply, struct mbuf **sdp, void *arg)
{
	struct call *c = arg;

	if (msg->code >= 300) {
		offer_failed(c, r);
		return;
	}
	if (is_too_late(c, r, msg)) {
		reply->code = 488;
		reply->reason = (struct pl){ 0 };
		return;
	}
	leg_contact(relay_from(r), msg);
	if (relay_media(c, r, msg, sdp) ||
	    (!*sdp && is_agreed(c, r, msg) && media_agree(c->media))) {
		count(COUNT_SDP_ANSWER_ERRORS, 1);
		media_offer_failed(c->media);
		reply->code = 488;
		reply->reason = (struct pl){ 0 };
		return;
	}
	if (!*sdp) {
		if (msg->code >= 200)
			offer_failed(c, r);
		return;
	}
	reply->body = bytes_of(*sdp);
}

bool within_is_deadly(enum method_id method, uint16_t code)
{
	return (code == 408 || code == 481) && method != INFO &&
	       method != MESSAGE && method != OPTIONS;
}

/* Who is silent is dead, whatever he was asked (RFC 3261 12.2.1.2) */
static bool is_silence(uint16_t code, const struct message *msg)
{
	return code == 408 && !msg;
}

static enum side side_of(const struct call *c, const struct leg *leg)
{
	return call_is_a(c, leg) ? SIDE_A : SIDE_B;
}

static void relay_settled(struct relay *r, void *arg)
{
	struct call *c = arg;

	if (relay_from(r))
		queue_pass(&c->queue[side_of(c, relay_from(r))], r);
}

static void relay_done(struct relay *r, uint16_t code,
		       const struct message *msg, void *arg)
{
	struct call *c = arg;
	enum method_id method = relay_method(r);
	bool to_a = call_is_a(c, relay_to(r));

	if (r == c->reinvite) {
		c->reinvite = NULL;
		if (code >= 300)
			media_offer_failed(c->media);
		else if (method == INVITE)
			accounting_moment(&c->accounting, ACCOUNT_REINVITED,
					  code);
	}
	if (method == BYE) {
		if (c->byes && !--c->byes)
			call_feed(c, BOTH_GONE, NULL);
		return;
	}
	if (within_is_deadly(method, code) || is_silence(code, msg))
		call_feed(c, to_a ? A_LOST : B_LOST, NULL);
	if (method == INVITE && code == 504 && msg && msg->code < 300) {
		/* one side has another session now than the other */
		c->reason = code;
		call_feed(c, MEDIA_BAD, NULL);
	}
}

/* RFC 4028 7.3: once with the Min-SE of the 422 */
static bool relay_again(struct relay *r, struct message *request,
			const struct message *msg, void *arg)
{
	struct call *c = arg;

	return msg->code == 422 &&
	       refresh_raise(&c->timers[side_of(c, relay_to(r))], msg) &&
	       !call_timers(c, !call_is_a(c, relay_to(r)), request, request);
}

const struct relay_user within_relay_user = {
	.again = relay_again,
	.edit = relay_edit,
	.proof = within_proof,
	.challenged = within_challenged,
	.proved = within_proved,
	.answer = relay_answer,
	.settled = relay_settled,
	.done = relay_done,
};

void within_refuse(struct transaction *t, uint16_t code, const char *extra)
{
	respond(t, code, extra);
	transaction_forget(t);
}

/* Try again a little later (RFC 3261 14.2, RFC 3311 5.2) */
static void refuse_busy(struct transaction *t, uint16_t code)
{
	char extra[32];

	if (code == 500)
		(void)re_snprintf(extra, sizeof(extra), "Retry-After: %u\r\n",
				  random_between(0, 10));
	within_refuse(t, code, code == 500 ? extra : NULL);
}

/* RFC 4028 9 */
static bool is_too_short(const struct call *c, const struct leg *leg,
			 struct transaction *t, const struct message *msg)
{
	uint32_t min = refresh_refuses(c->timers[side_of(c, leg)].profile, msg);
	char extra[32];

	if (!min)
		return false;
	(void)re_snprintf(extra, sizeof(extra), "Min-SE: %u\r\n", min);
	within_refuse(t, 422, extra);
	return true;
}

/* RFC 3261 15.1.2: its pending requests get 487, though the call goes on */
static void leg_unanswered_end(struct call *c, const struct leg *leg)
{
	struct le *le = c->relays.head;

	while (le) {
		struct relay *r = le->data;

		le = le->next;
		if (relay_from(r) != leg || !relay_is_open(r))
			continue;
		if (r == c->reinvite) {
			c->reinvite = NULL;
			media_offer_failed(c->media);
		}
		relay_close(r, 487);
	}
	queue_end(&c->queue[side_of(c, leg)], 487);
}

static void bye_came(struct call *c, struct leg *leg, struct transaction *t,
		     const struct message *msg)
{
	within_refuse(t, 200, NULL);
	if (!c->a->confirmed && call_is_a(c, leg)) {
		/* behaviour.md 3.3: BYE of the caller in an early dialog */
		call_feed(c, A_CANCEL, msg);
		return;
	}
	/* The call goes on without the branch that says so: behind the answer a
	 * branch that lost says it, before it RFC 3261 15 forbids it */
	if (leg != c->a && leg != c->b)
		return;
	leg_unanswered_end(c, leg);
	if (c->transfer && c->home->transfer->bye(c, leg))
		return;
	call_feed(c, leg == c->a ? A_BYE : B_BYE, msg);
}

/* SIP code of what sbc/media says to the SDP of a request */
static uint16_t media_code(int err)
{
	switch (err) {

	case 0:
		return 0;
	case ENOSPC:
	case ENOMEM:
		return 503;
	case EPROTO:
	case EDQUOT: /* behaviour.md 1.5: the call stays as it was */
		return 488;
	case EALREADY:
		return 491;
	default:
		return 400;
	}
}

/* Rewrite the SDP of a request for the other side. 0, or the SIP code */
static uint16_t request_media(struct call *c, const struct leg *from,
			      const struct message *msg, struct mbuf **out)
{
	enum side side = call_is_a(c, from) ? SIDE_A : SIDE_B, offered;
	struct pl sdp;

	if (!body_sdp(msg, &sdp))
		return 0;
	/* A branch that lost has no media to agree on */
	if (is_loser(c, from))
		return 488;
	if (early_speak(&c->early, from, c->media))
		return 503;
	/* RFC 3262 5: the answer to the offer of a reliable 1xx */
	if (msg->method_id == PRACK && media_offer_open(c->media, &offered) &&
	    offered != side)
		return media_code(media_answer(
			c->media, side, &sdp,
			c->answered ? MEDIA_FINAL : MEDIA_AGREED, out));

	return media_code(media_offer(c->media, side, &sdp, out));
}

/* RFC 3261 14.2, 14.1; behaviour.md 3.6 */
static uint16_t reinvite_collides(const struct call *c, const struct leg *leg)
{
	if (c->reinvite)
		return relay_from(c->reinvite) == leg ? 500 : 491;
	if (queue_has(&c->queue[side_of(c, leg)], INVITE))
		return 500;
	if (queue_has(&c->queue[!side_of(c, leg)], INVITE))
		return 491;
	/* A branch that lost has its BYE already */
	if (is_loser(c, leg))
		return 481;
	/* The caller's first INVITE is unanswered still */
	if (c->state < CALL_ANSWERED && call_is_a(c, leg))
		return 500;
	if (c->state != CALL_TALKING || leg->answer)
		return 491;
	return 0;
}

/* A request names dialogs of the side that it goes to, and of no other tenant */
static int names_edit(struct message **copyp, const struct leg *leg,
		      const struct leg *other, const struct message *msg)
{
	int err = message_clone(copyp, msg);

	if (!err)
		err = replaces_edit(*copyp, leg->tables, leg->realm,
				    other->realm, call_other);
	return err;
}

static void request_relay(struct call *c, struct leg *leg,
			  struct transaction *t, const struct message *msg)
{
	struct leg *other = call_other(leg);
	struct mbuf *sdp = NULL;
	struct message *edited = NULL;
	struct relay *relay = NULL;
	struct relay_setup setup = {
		.plan = c->plan,
		.list = &c->relays,
		.from = leg,
		.to = other,
		.server = t,
		.request = msg,
		.method = (enum method_id)msg->method_id,
		.trusted = true,
		.user = &within_relay_user,
		.arg = c,
	};
	bool invite = msg->method_id == INVITE;
	uint16_t code = 0;
	int err;

	if (invite || msg->method_id == UPDATE) {
		if (is_too_short(c, leg, t, msg))
			return;
		refresh_asked(&c->timers[side_of(c, leg)], msg);
	}
	if (invite)
		code = reinvite_collides(c, leg);
	if (!code && carries_offers((enum method_id)msg->method_id))
		code = request_media(c, leg, msg, &sdp);
	if (code) {
		refuse_busy(t, code);
		return;
	}

	if (sdp)
		setup.body = bytes_of(sdp);
	if (invite) {
		count(COUNT_REINVITES, 1);
		leg->asked = mem_ref(t);
		transaction_handler(t, leg_transaction, leg);
	}

	err = 0;
	if (replaces_any(msg)) {
		err = names_edit(&edited, leg, other, msg);
		setup.request = edited;
	}
	if (!err)
		err = relay_start(&relay, &setup);
	mem_deref(edited);
	mem_deref(sdp);
	if (!err) {
		queue_hold(&c->queue[side_of(c, leg)], relay);
		if (invite)
			c->reinvite = relay;
		if (msg->method_id == PRACK) {
			prack_done(leg);
			call_prack(c);
		}
		return;
	}
	if (setup.body.p)
		media_offer_failed(c->media);
	if (invite)
		leg->asked = transaction_forget(leg->asked);
	within_refuse(t, err == EBADMSG ? 400 : 503, NULL);
}

static void no_event(struct transaction *t, enum transaction_event ev,
		     const struct message *msg, void *arg)
{
	(void)t;
	(void)ev;
	(void)msg;
	(void)arg;
}

static void aimed(void *arg)
{
	struct queue *q = arg;

	queue_pass(q, q);
}

/* RFC 3261 16.3: it would go on, and may not. A BYE ends here */
static uint16_t check_forwards(const struct message *msg)
{
	struct pl value = message_value(msg, HDR_MAX_FORWARDS);
	uint64_t forwards = 70;

	if (value.l && uint_parse(&forwards, &value, 255))
		return 400;
	return forwards ? 0 : 483;
}

/* Does this dialog lead into another realm than the one that was answered? */
static bool is_abroad(const struct call *c, const struct leg *leg,
		      const struct leg *other)
{
	const struct leg *b = call_is_a(c, leg) ? other : leg;

	return !realm_same(b->realm, c->b->realm);
}

/* What the state of the call says to a request, other than BYE. 0: serve it */
static uint16_t check_state(const struct call *c, const struct leg *leg)
{
	const struct leg *other = call_other(leg);

	switch ((enum call_state)c->state) {

	case CALL_EARLY:
	case CALL_HELD:
	case CALL_ANSWERED:
	case CALL_TALKING:
		break;

	case CALL_TRYING:
		/* One hop failed, and another one rings still */
		if (!leg->early)
			return 481;
		break;

	case CALL_PROVING:
	case CALL_CANCELLING:
	case CALL_CLOSING:
	case CALL_CLOSED:
	case CALL_STATES:
		/* No early dialog, or none any more */
		return 481;
	}
	if (!other || !leg_has_dialog(other) || other->closed)
		return 481;
	/* What was known of the hop that it came by is gone with that */
	if (is_loser(c, leg) && is_abroad(c, leg, other))
		return 481;
	/* The target of a transfer speaks before the other side is there */
	return other->standin ? 500 : 0;
}

/* RFC 3311 5.2: a second UPDATE while the first one is unanswered; RFC 3262: a
 * PRACK for what was sent. 0: serve it */
static uint16_t check_method(struct call *c, struct leg *leg,
			     const struct message *msg)
{
	switch (msg->method_id) {

	case INVITE:
		return reinvite_collides(c, leg);
	case PRACK:
		return prack_match(leg, msg);
	case UPDATE:
		return relays_wait(&c->relays, leg, UPDATE) ||
				       queue_has(&c->queue[side_of(c, leg)],
						 UPDATE)
			       ? 500
			       : 0;
	default:
		return 0;
	}
}

/* Serve a request whose turn it is: what waited may meet another call than the
 * one it came to */
static void serve(struct call *c, enum side side, struct leg *leg,
		  struct transaction *t)
{
	const struct message *msg = transaction_request(t);
	struct queue *q = &c->queue[side];
	struct leg *other = leg ? call_other(leg) : NULL;
	uint16_t code;

	if (!msg || !leg || leg->closed) {
		within_refuse(t, 481, NULL);
		return;
	}
	code = check_state(c, leg);
	if (code) {
		refuse_busy(t, code);
		return;
	}
	if (leg_waits(other, aimed, q)) {
		if (queue_return(q, t, q))
			within_refuse(t, 503, NULL);
		return;
	}
	/* Another one may have come before it meanwhile */
	if (msg->method_id == PRACK)
		code = prack_match(leg, msg);
	if (code) {
		within_refuse(t, code, NULL);
		return;
	}
	transaction_handler(t, no_event, NULL);
	if (msg->method_id == REFER && c->home->transfer &&
	    c->home->transfer->refer(c, leg, t, msg))
		return;
	/* A leg that a transfer took away has its stand-in here */
	if (other->closed) {
		within_refuse(t, 481, NULL);
		return;
	}
	request_relay(c, leg, t, msg);
}

void within_serve_a(struct transaction *t, void *arg)
{
	struct call *c = arg;
	const struct message *msg = transaction_request(t);

	serve(c, SIDE_A, msg ? early_leg_a(&c->early, c->a, msg) : NULL, t);
}

void within_serve_b(struct transaction *t, void *arg)
{
	struct call *c = arg;
	const struct message *msg = transaction_request(t);

	serve(c, SIDE_B, msg ? early_leg_b(&c->early, c->b, msg) : NULL, t);
}

static void heard(const struct call *c, const struct leg *leg)
{
	bool is_a = call_is_a(c, leg);
	struct sides s = call_sides(c, is_a ? c->b : leg);

	sides_heard(&s, !is_a);
}

void within_request(struct leg *leg, const struct arrival *from,
		    const struct message *msg)
{
	struct call *c = leg->arg;
	struct transaction *t = NULL;
	uint16_t code;

	if (transaction_open(&t, c->worker->transactions, from, msg, no_event,
			     NULL))
		return;
	transaction_parties(t, &leg->parties);

	if (!call_is_a(c, leg))
		leg = early_leg_b(&c->early, leg, msg);
	else if (leg->text[LEG_KEPT])
		leg = early_leg_a(&c->early, leg, msg);
	code = !leg || leg->closed ? 481 : leg_admit(leg, from, msg);
	if (!code)
		heard(c, leg);
	if (!code && msg->method_id == BYE) {
		bye_came(c, leg, t, msg);
		return;
	}
	if (!code)
		code = check_forwards(msg);
	if (!code)
		code = check_state(c, leg);
	if (!code)
		code = check_method(c, leg, msg);
	if (!code && queue_put(&c->queue[side_of(c, leg)], t))
		code = 503;
	if (code)
		refuse_busy(t, code);
}
