/*
 * Requests inside the dialogs of a call
 *
 * A request of one leg becomes a relay to the other (sbc/relay); BYE is an event
 * of the call. What a relay asks of its call - credentials, SDP, identities, the
 * meaning of its end - stands here too (behaviour.md 3.6, 6.2).
 */
#include <errno.h>
#include <string.h>
#include "policy/body.h"
#include "sbc/clock.h"
#include "sbc/counters.h"
#include "sbc/random.h"
#include "sbc/replaces.h"
#include "sbc/sides.h"
#include "sbc/within.h"

static int relay_edit(struct relay *r, struct message *out,
		      const struct message *msg, void *arg)
{
	struct call *c = arg;
	bool to_b = relay_to(r) == c->b;
	int err;

	/* An answer goes back */
	if (msg->code)
		to_b = !to_b;
	err = call_edit(c, to_b, out, msg);
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
	struct sides s = { .hunt = &c->hunt, .a = c->a, .b = c->b };

	sides_proof(&s, relay_to(r) == c->b, setup);
}

/* RFC 3264 in RFC 3261 14, 3311, 3262: SDP of other methods is none of the
 * session's */
static bool carries_offers(enum method_id method)
{
	return method == INVITE || method == UPDATE || method == PRACK;
}

/* SDP of an answer inside the dialog */
static int relay_media(struct call *c, struct relay *r,
		       const struct message *msg, struct mbuf **out)
{
	enum side side = relay_to(r) == c->b ? SIDE_B : SIDE_A, from;
	struct pl sdp;

	if (!carries_offers(relay_method(r)) || !body_sdp(msg, &sdp))
		return 0;
	if (media_offer_open(c->media, &from) && from != side)
		return media_answer(c->media, side, &sdp, msg->code >= 200,
				    out);
	if (msg->code < 200)
		return 0;
	return media_offer(c->media, side, &sdp, out);
}

static void relay_answer(struct relay *r, const struct message *msg,
			 struct leg_reply *reply, struct mbuf **sdp, void *arg)
{
	struct call *c = arg;

	if (msg->code >= 300) {
		if (carries_offers(relay_method(r)) && relay_request(r) &&
		    relay_request(r)->body.l)
			media_offer_failed(c->media);
		return;
	}
	leg_contact(relay_from(r), msg);
	if (relay_media(c, r, msg, sdp)) {
		count(COUNT_SDP_ANSWER_ERRORS, 1);
		media_offer_failed(c->media);
		reply->code = 488;
		reply->reason = (struct pl){ 0 };
		return;
	}
	if (!*sdp)
		return;
	reply->body = bytes_of(*sdp);
}

bool within_is_deadly(enum method_id method, uint16_t code)
{
	return (code == 408 || code == 481) && method != INFO &&
	       method != MESSAGE && method != OPTIONS;
}

static enum side side_of(const struct call *c, const struct leg *leg)
{
	return leg == c->a ? SIDE_A : SIDE_B;
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
	bool to_a = relay_to(r) == c->a;
	(void)msg;

	if (r == c->reinvite) {
		c->reinvite = NULL;
		if (code >= 300)
			media_offer_failed(c->media);
	}
	if (method == BYE) {
		if (c->byes && !--c->byes)
			call_feed(c, BOTH_GONE, NULL);
		return;
	}
	if (within_is_deadly(method, code))
		call_feed(c, to_a ? A_LOST : B_LOST, NULL);
}

/* RFC 4028 7.3: once with the Min-SE of the 422 */
static bool relay_again(struct relay *r, struct message *request,
			const struct message *msg, void *arg)
{
	struct call *c = arg;

	return msg->code == 422 &&
	       refresh_raise(&c->timers[side_of(c, relay_to(r))], msg) &&
	       !call_timers(c, relay_to(r) == c->b, request, request);
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

/* Answer a request inside the dialog here */
static void refuse(struct transaction *t, uint16_t code, const char *extra)
{
	struct wire_response r = {
		.request = transaction_request(t),
		.from = transaction_arrival(t),
		.code = code,
	};
	struct mbuf *mb;

	if (extra)
		pl_set_str(&r.extra, extra);
	if (!wire_response(&mb, &r)) {
		(void)transaction_reply(t, code, mb);
		mem_deref(mb);
	}
	transaction_forget(t);
}

static void bye_came(struct call *c, struct leg *leg, struct transaction *t,
		     const struct message *msg)
{
	refuse(t, 200, NULL);
	if (!leg->confirmed && leg == c->a) {
		/* behaviour.md 3.3: BYE of the caller in an early dialog */
		call_feed(c, A_CANCEL, NULL);
		return;
	}
	call_feed(c, leg == c->a ? A_BYE : B_BYE, msg);
}

/* Rewrite the SDP of a request for the other side. 0, or the SIP code */
static uint16_t request_media(struct call *c, const struct leg *from,
			      const struct message *msg, struct mbuf **out)
{
	struct pl sdp;

	if (!body_sdp(msg, &sdp))
		return 0;
	switch (media_offer(c->media, from == c->a ? SIDE_A : SIDE_B, &sdp,
			    out)) {

	case 0:
		return 0;
	case ENOSPC:
		return 503;
	case EPROTO:
		return 488;
	case EALREADY:
		return 491;
	case ENOMEM:
		return 503;
	default:
		return 400;
	}
}

/* RFC 3261 14.2, 14.1; behaviour.md 3.6 */
static uint16_t reinvite_collides(const struct call *c, const struct leg *leg)
{
	if (c->reinvite)
		return relay_from(c->reinvite) == leg ? 500 : 491;
	if (queue_has_invite(&c->queue[side_of(c, leg)]))
		return 500;
	if (c->state != CALL_TALKING || leg->answer)
		return 491;
	return 0;
}

static void refuse_collision(struct transaction *t, uint16_t code)
{
	char extra[32];

	if (code == 500)
		(void)re_snprintf(extra, sizeof(extra), "Retry-After: %u\r\n",
				  random_between(0, 10));
	refuse(t, code, code == 500 ? extra : NULL);
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
	refuse(t, 422, extra);
	return true;
}

/* A request names dialogs of the side that it goes to, and of no other tenant */
static int names_edit(struct message **copyp, const struct leg *leg,
		      const struct leg *other, const struct message *msg)
{
	int err = message_clone(copyp, msg);

	if (!err)
		err = replaces_edit(*copyp, leg->tags, leg->realm, other->realm,
				    call_other);
	return err;
}

static void request_relay(struct call *c, struct leg *leg,
			  struct transaction *t, const struct message *msg)
{
	struct leg *other = leg == c->a ? c->b : c->a;
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
	if (!code && (invite || msg->method_id == UPDATE))
		code = request_media(c, leg, msg, &sdp);
	if (code) {
		refuse_collision(t, code);
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
		return;
	}
	if (setup.body.p)
		media_offer_failed(c->media);
	if (invite)
		leg->asked = transaction_forget(leg->asked);
	refuse(t, err == EBADMSG ? 400 : 503, NULL);
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

/* Serve a request whose turn it is: what waited may meet another call than the
 * one it came to */
static void serve(struct call *c, struct leg *leg, struct transaction *t)
{
	const struct message *msg = transaction_request(t);
	struct queue *q = &c->queue[side_of(c, leg)];
	struct leg *other = call_other(leg);

	if (!msg || c->state >= CALL_CLOSING || !other) {
		refuse(t, 481, NULL);
		return;
	}
	if (other->resolving) {
		other->aimed = aimed;
		other->aimed_arg = q;
		if (queue_return(q, t, q))
			refuse(t, 503, NULL);
		return;
	}
	transaction_handler(t, no_event, NULL);
	request_relay(c, leg, t, msg);
}

void within_serve_a(struct transaction *t, void *arg)
{
	struct call *c = arg;

	serve(c, c->a, t);
}

void within_serve_b(struct transaction *t, void *arg)
{
	struct call *c = arg;

	serve(c, c->b, t);
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

	code = leg->closed ? 481 : leg_admit(leg, from, msg);
	if (!code && msg->method_id != BYE &&
	    (!c->b || !c->b->confirmed || c->state >= CALL_CLOSING))
		code = c->state >= CALL_CLOSING ? 481 : 500;
	if (code) {
		refuse(t, code, code == 500 ? "Retry-After: 2\r\n" : NULL);
		return;
	}

	if (msg->method_id == BYE) {
		bye_came(c, leg, t, msg);
		return;
	}
	code = msg->method_id == INVITE ? reinvite_collides(c, leg) : 0;
	if (code)
		refuse_collision(t, code);
	else if (queue_put(&c->queue[side_of(c, leg)], t))
		refuse(t, 503, NULL);
}
