/*
 * Requests of our own inside the dialogs of a call
 */
#include <errno.h>
#include "policy/body.h"
#include "sbc/own.h"
#include "sbc/random.h"
#include "sbc/within.h"

enum {
	BUSY = 1000, /* another offer is open: look again then [ms] */
	FAILED = 5000
};

uint32_t own_glare_pause(const struct leg *leg)
{
	return leg->uac ? 10 * random_between(210, 400)
			: 10 * random_between(0, 200);
}

static enum side side_of(const struct call *c, const struct leg *leg)
{
	return leg == c->a ? SIDE_A : SIDE_B;
}

/* The peer may have moved with its answer, the other side hears nothing of it:
 * our flows follow */
static void answer_take(struct call *c, enum side side,
			const struct message *msg)
{
	struct mbuf *out = NULL;
	struct pl sdp;

	if (!body_sdp(msg, &sdp) ||
	    media_answer(c->media, side, &sdp, MEDIA_FINAL, &out))
		media_offer_failed(c->media);
	mem_deref(out);
}

static void refresh_failed(struct refresh *r, const struct leg *leg,
			   enum method_id method, uint16_t code,
			   const struct message *msg)
{
	if (code == 491) {
		refresh_again(r, own_glare_pause(leg));
	} else if (code == 422 && refresh_raise(r, msg)) {
		refresh_again(r, 0);
	} else if (method == UPDATE && (code == 405 || code == 501)) {
		r->update = false;
		refresh_again(r, 0);
	} else {
		refresh_again(r, FAILED);
	}
}

static void done(struct relay *relay, uint16_t code, const struct message *msg,
		 void *arg)
{
	struct call *c = arg;
	struct leg *leg = relay_to(relay);
	enum side side = side_of(c, leg);
	enum method_id method = relay_method(relay);

	if (relay == c->reinvite)
		c->reinvite = NULL;
	if (msg && code < 300) {
		if (method == INVITE)
			answer_take(c, side, msg);
		refresh_answered(&c->timers[side], false, msg);
		return;
	}
	if (method == INVITE)
		media_offer_failed(c->media);
	if (within_is_deadly(method, code))
		call_feed(c, side == SIDE_A ? A_LOST : B_LOST, NULL);
	else
		refresh_failed(&c->timers[side], leg, method, code, msg);
}

static const struct relay_user own_user = {
	.proof = within_proof,
	.challenged = within_challenged,
	.proved = within_proved,
	.done = done,
};

/* The SDP that the peer has, as an offer: text and version unchanged */
static bool offer_make(struct call *c, enum side side, struct mbuf **sdp)
{
	const struct leg *leg = side == SIDE_A ? c->a : c->b;
	struct pl said;

	if (c->reinvite || leg->answer || leg->ack_waits || leg->orphan_open ||
	    !media_said(c->media, !side, &said))
		return false;
	return !media_offer(c->media, !side, &said, sdp);
}

static int own_send(struct call *c, enum side side, enum method_id method,
		    const struct mbuf *lines)
{
	struct mbuf *sdp = NULL;
	struct relay *relay = NULL;
	struct relay_setup setup = {
		.plan = c->plan,
		.list = &c->relays,
		.to = side == SIDE_A ? c->a : c->b,
		.method = method,
		.extra = bytes_of(lines),
		.user = &own_user,
		.arg = c,
	};
	int err;

	/* RFC 3261 14.1: one of the peer waits, and refreshes as well */
	if (c->state != CALL_TALKING || queue_has(&c->queue[side], INVITE) ||
	    (method == INVITE && !offer_make(c, side, &sdp)))
		return EBUSY;
	if (sdp) {
		setup.body = bytes_of(sdp);
		pl_set_str(&setup.ctype, "application/sdp");
	}
	err = relay_start(&relay, &setup);
	if (err && sdp)
		media_offer_failed(c->media);
	else if (sdp)
		c->reinvite = relay;
	mem_deref(sdp);
	return err;
}

void own_offer(struct call *c, enum side side)
{
	/* Nobody to tell: the peer keeps what it has */
	(void)own_send(c, side, INVITE, NULL);
}

void own_refresh(struct call *c, enum side side)
{
	struct refresh *r = &c->timers[side];
	struct mbuf *lines = mbuf_alloc(128);
	bool update = r->update && !r->profile->force_reinvite;

	if (!lines || refresh_lines(r, lines) ||
	    own_send(c, side, update ? UPDATE : INVITE, lines))
		refresh_again(r, BUSY);
	mem_deref(lines);
}
