/*
 * REFER carried out by the SBC: call the target, move the other side there
 *
 *   refer     202, NOTIFY 100; Replaces: is it a call of the same tenant?
 *   watched   answers of the target, each one a NOTIFY
 *   meet      only with Replaces: re-INVITE to the target
 *   move      re-INVITE to the other side
 *   complete  the legs change their places, NOTIFY 200, BYE to the referrer
 *
 * Until `complete` the referrer's call stays what it was: whatever fails ends
 * the way to the target and nothing else.
 */
#include <errno.h>
#include <string.h>
#include "store/number.h"
#include "policy/body.h"
#include "policy/cause.h"
#include "policy/header.h"
#include "sbc/calls.h"
#include "sbc/ingress.h"
#include "sbc/names.h"
#include "sbc/own.h"
#include "sbc/random.h"
#include "sbc/replaces.h"
#include "sbc/transfer.h"
#include "sbc/within.h"
#include "sbc/sources.h"

enum {
	BUSY = 500, /* another offer is open: look again then [ms] */
	TRIES = 40  /* so often */
};

struct transfer {
	struct call *old;    /* with the referrer */
	enum side by;        /* his side of it */
	struct call *to;     /* with the target; NULL: it is over */
	enum side at;        /* side of it that the other side takes */
	struct media *media; /* between the two of Replaces; else NULL */
	bool met;            /* the target has the SDP of the other side */
	struct timer timer;
	uint32_t tries;
	uint32_t id;          /* CSeq of the REFER (RFC 3515 2.4.6) */
	struct relay *notify; /* under way */
	uint16_t code, told;  /* of the target; what the referrer heard last */
	bool silent;          /* the referrer wants no NOTIFY */
	bool gone;            /* he hung up */
	bool over;            /* code is the last one */
};

static struct leg *leg_at(const struct call *c, enum side side)
{
	return side == SIDE_A ? c->a : c->b;
}

static struct leg *referrer(const struct transfer *t)
{
	return leg_at(t->old, t->by);
}

static struct leg *rest(const struct transfer *t)
{
	return leg_at(t->old, !t->by);
}

static struct media *media_of(const struct transfer *t)
{
	return t->media ? t->media : t->to->media;
}

/* --- The end -------------------------------------------------------------- */

static void destructor(void *data)
{
	struct transfer *t = data;

	timer_cancel(&t->timer);
	mem_deref(t->media);
}

static void leave(struct transfer *t)
{
	if (!t->to)
		return;
	t->to->transfer = NULL;
	t->to->watch = NULL;
	t->to = NULL;
}

static void finish(struct transfer *t)
{
	struct call *old = t->old;
	bool ends = t->code < 300 || t->gone;

	leave(t);
	old->transfer = NULL;
	mem_deref(t);
	if (ends)
		call_end(old, CDR_SBC, CDR_NORMAL);
}

/* --- NOTIFY ---------------------------------------------------------------- */

static void notify(struct transfer *t);

static void notify_done(struct relay *relay, uint16_t code,
			const struct message *msg, void *arg)
{
	struct call *old = arg;
	struct transfer *t = old->transfer;
	(void)msg;

	if (!t || relay != t->notify)
		return;
	t->notify = NULL;
	/* The subscription is gone, the transfer goes on (RFC 6665 4.2.2) */
	if (code == 481)
		t->silent = true;
	notify(t);
}

static const struct relay_user notify_user = {
	.proof = within_proof,
	.challenged = within_challenged,
	.proved = within_proved,
	.done = notify_done,
};

static int number_write(struct mbuf *mb, uint64_t n)
{
	char digits[24];

	return mbuf_write_mem(mb, (const uint8_t *)digits,
			      uint_write(digits, n));
}

static int notify_lines(const struct transfer *t, struct mbuf *mb)
{
	int err = mbuf_write_str(mb, "Event: refer");

	/* RFC 3515 2.4.6: the first of a dialog needs no id */
	if (t->id) {
		err |= mbuf_write_str(mb, ";id=");
		err |= number_write(mb, t->id);
	}
	err |= mbuf_write_str(mb, "\r\nSubscription-State: ");
	err |= mbuf_write_str(mb, t->over ? "terminated;reason=noresource\r\n"
					  : "active;expires=180\r\n");
	return err;
}

static int fragment_write(struct mbuf *mb, uint16_t code)
{
	int err = mbuf_write_str(mb, "SIP/2.0 ");

	err |= number_write(mb, code);
	err |= mbuf_write_str(mb, " ");
	err |= mbuf_write_str(mb, cause_phrase(code));
	return err | mbuf_write_str(mb, "\r\n");
}

/* One at a time, so that they arrive in their order; what comes meanwhile is
 * told by the next one */
static void notify(struct transfer *t)
{
	struct mbuf *lines, *body;
	struct relay_setup setup = {
		.plan = t->old->plan,
		.list = &t->old->relays,
		.to = referrer(t),
		.method = NOTIFY,
		.user = &notify_user,
		.arg = t->old,
	};
	int err;

	if (t->notify)
		return;
	if (t->silent || t->gone || t->told == t->code) {
		if (t->over)
			finish(t);
		return;
	}

	lines = mbuf_alloc(128);
	body = mbuf_alloc(64);
	err = lines && body ? notify_lines(t, lines) : ENOMEM;
	if (!err)
		err = fragment_write(body, t->code);
	t->told = t->code;
	if (!err) {
		setup.extra = bytes_of(lines);
		setup.body = bytes_of(body);
		pl_set_str(&setup.ctype, "message/sipfrag;version=2.0");
		err = relay_start(&t->notify, &setup);
	}
	mem_deref(lines);
	mem_deref(body);
	if (err)
		notify(t);
}

/* The way to the target ends, the referrer's call goes on */
static void fail(struct transfer *t, uint16_t code)
{
	struct call *to = t->to;

	if (t->over)
		return;
	timer_cancel(&t->timer);
	leave(t);
	t->code = code;
	t->over = true;
	if (to && !t->media)
		call_end(to, CDR_SBC, CDR_REFUSED);
	notify(t);
}

/* --- The legs change their places ------------------------------------------ */

/* A side of a call has another peer now: who it is, for identities,
 * credentials and trust. Both calls are answered */
static void describe(struct call *c, enum side side, const struct call *from,
		     enum side from_side)
{
	const struct hop *hop = &from->found.hop;
	struct source source = from->source;
	const struct leg *leg = leg_at(c, side);
	struct hop *mine = &c->found.hop;

	if (from_side == SIDE_B) {
		memset(&source, 0, sizeof(source));
		source.agent = hop->agent;
		source.in_prefix = true;
	}
	source.realm = leg->realm;
	if (side == SIDE_A) {
		c->source = source;
		return;
	}
	if (from_side == SIDE_B) {
		*mine = *hop;
		/* what a 3xx named goes with its call */
		if (mine->redirected) {
			mine->host = (struct pl){ 0 };
			mine->ruri = NULL;
		}
		return;
	}
	memset(mine, 0, sizeof(*mine));
	mine->realm = leg->realm;
	mine->agent = source.agent;
	mine->next_hop = source.agent ? source.agent->hostname : "";
}

static void timers_move(struct call *to, enum side at, struct call *old,
			enum side from, const struct message *msg)
{
	refresh_stop(&old->timers[from]);
	refresh_use(&to->timers[at], old->timers[from].profile);
	refresh_answered(&to->timers[at],
			 !to->timers[SIDE_A].profile &&
				 !to->timers[SIDE_B].profile,
			 msg);
}

static void complete(struct transfer *t, struct relay *relay,
		     const struct message *msg)
{
	struct call *to = t->to, *old = t->old;
	struct media *before = to->media;

	call_swap(to, t->at, old, !t->by);
	describe(to, t->at, old, !t->by);
	relay_move(relay, &to->relays, to);
	timers_move(to, t->at, old, !t->by, msg);
	cdr_set_str(&to->cdr, CDR_CALLID + t->at,
		    leg_text(leg_at(to, t->at), LEG_CALLID));
	if (t->media) {
		to->media = t->media;
		t->media = NULL;
		mem_deref(before);
	}
	if (!rest(t)->confirmed) /* the stand-in hears nothing more */
		leg_close(rest(t));
	leave(t);
	if (to->state == CALL_ANSWERED)
		call_feed(to, A_ACK, NULL);
	t->code = 200;
	t->over = true;
	notify(t);
}

/* --- re-INVITE ------------------------------------------------------------- */

static void step(void *arg);

static void again(struct transfer *t, uint32_t pause)
{
	if (++t->tries > TRIES)
		fail(t, 503);
	else
		timer_start(&t->timer, pause, step, t);
}

/* The target is back with the referrer: it moved before the other side refused */
static void restore(struct transfer *t)
{
	struct call *to = t->to;
	enum side side = !t->at;

	if (!t->met || !t->media)
		return;
	media_continue(to->media, side, t->media, side);
	own_offer(to, side);
}

static void refused(struct transfer *t, uint16_t code, const struct leg *leg)
{
	media_offer_failed(media_of(t));
	if (code == 491) {
		again(t, own_glare_pause(leg));
		return;
	}
	restore(t);
	fail(t, code);
}

static bool answer_take(struct transfer *t, enum side side,
			const struct message *msg)
{
	struct mbuf *out = NULL;
	struct pl sdp;
	bool ok = body_sdp(msg, &sdp) &&
		  !media_answer(media_of(t), side, &sdp, true, &out);

	mem_deref(out);
	return ok;
}

/* arg is the call whose leg was asked: the target's, or the referrer's */
static void offer_done(struct relay *relay, uint16_t code,
		       const struct message *msg, void *arg)
{
	struct call *c = arg;
	struct transfer *t = c->transfer;
	struct leg *leg = relay_to(relay);
	enum side side = leg == c->a ? SIDE_A : SIDE_B;

	if (relay == c->reinvite)
		c->reinvite = NULL;
	if (!t || t->over || !t->to) {
		/* Too late: back to the session of before */
		if (msg && code < 300)
			own_offer(c, side);
		return;
	}
	if (!msg || code >= 300) {
		refused(t, code, leg);
		if (within_is_deadly(INVITE, code))
			call_feed(c, side == SIDE_A ? A_LOST : B_LOST, NULL);
		return;
	}
	if (!answer_take(t, t->met ? t->at : !t->at, msg)) {
		restore(t);
		fail(t, 488);
		return;
	}
	if (t->met) {
		complete(t, relay, msg);
		return;
	}
	t->met = true;
	t->tries = 0;
	timer_start(&t->timer, 0, step, t);
}

static const struct relay_user offer_user = {
	.proof = within_proof,
	.challenged = within_challenged,
	.proved = within_proved,
	.done = offer_done,
};

/* Ask a leg to talk to the other one from now on */
static int offer(struct transfer *t, struct call *c, enum side side,
		 enum side from, const struct pl *said)
{
	struct mbuf *sdp = NULL, *lines = mbuf_alloc(128);
	struct refresh *timer = &c->timers[side];
	struct relay *relay = NULL;
	struct relay_setup setup = {
		.plan = c->plan,
		.list = &c->relays,
		.to = leg_at(c, side),
		.method = INVITE,
		.user = &offer_user,
		.arg = c,
	};
	int err;

	err = lines ? media_offer(media_of(t), from, said, &sdp) : ENOMEM;
	if (!err && timer->profile)
		err = refresh_lines(timer, lines);
	if (!err) {
		/* RFC 3261 14.1: not while one of the peer is open */
		queue_refuse(&c->queue[side], INVITE, 491);
		setup.extra = bytes_of(lines);
		setup.body = bytes_of(sdp);
		pl_set_str(&setup.ctype, "application/sdp");
		err = relay_start(&relay, &setup);
		if (err)
			media_offer_failed(media_of(t));
	}
	if (!err) {
		c->reinvite = relay;
		/* Whatever it hears next, from whom ever, is a later version */
		media_continue(c->media, side, media_of(t), !from);
	}
	mem_deref(lines);
	mem_deref(sdp);
	return err;
}

static bool is_free(const struct call *c, enum side side)
{
	const struct leg *leg = leg_at(c, side);

	return !c->reinvite && !leg->answer && !leg->ack_waits && !leg->asked &&
	       !leg->orphan_open;
}

/* The next re-INVITE: to the target with what the other side said, then to the
 * other side with what the target answered */
static void step(void *arg)
{
	struct transfer *t = arg;
	struct call *c = t->met ? t->old : t->to;
	enum side side = t->met ? !t->by : !t->at;
	struct pl said;
	int err;

	if (!is_free(c, side)) {
		again(t, BUSY);
		return;
	}
	if (!(t->met ? media_said(media_of(t), !t->at, &said)
		     : media_said(t->old->media, !t->by, &said))) {
		restore(t);
		fail(t, 488);
		return;
	}
	err = offer(t, c, side, t->met ? !t->at : t->at, &said);
	if (err == EALREADY) {
		again(t, BUSY);
	} else if (err) {
		restore(t);
		fail(t, err == EPROTO ? 488 : 503);
	}
}

/* --- The target is called --------------------------------------------------- */

static void watched(struct call *c, uint16_t code, void *arg)
{
	struct transfer *t = arg;
	(void)c;

	if (code < 200) {
		t->code = code;
		notify(t);
	} else if (code < 300) {
		t->met = true;
		timer_start(&t->timer, 0, step, t);
	} else {
		/* It ends by itself */
		leave(t);
		fail(t, code);
	}
}

static int line(struct mbuf *mb, const char *name, const struct pl *value)
{
	int err = mbuf_write_str(mb, name);

	err |= mbuf_write_pl(mb, value);
	return err | mbuf_write_str(mb, "\r\n");
}

static struct pl without_headers(const struct address *addr)
{
	struct pl uri = addr->spec;

	if (addr->uri.headers.l)
		uri.l = (size_t)(addr->uri.headers.p - uri.p);
	return uri;
}

/* The INVITE that the referrer would send (RFC 3515 2.1), with the other side's
 * SDP */
static int invite_write(struct mbuf *mb, const struct transfer *t,
			const struct message *refer, const struct pl *sdp)
{
	struct pl value = message_value(refer, HDR_REFER_TO), uri, pl;
	const struct leg *leg = referrer(t);
	char callid[CALLID_SIZE], branch[BRANCH_SIZE];
	struct address addr;
	int err;

	if (address_read(&addr, &value) || !addr.uri.scheme.l)
		return EBADMSG;
	uri = without_headers(&addr);
	names_callid(callid, leg->worker->number);
	names_branch(branch, leg->worker->number);

	err = mbuf_write_str(mb, "INVITE ");
	err |= mbuf_write_pl(mb, &uri);
	err |= mbuf_write_str(mb, " SIP/2.0\r\n");
	/* No transaction: nothing looks at it */
	err |= mbuf_write_str(mb, "Via: SIP/2.0/UDP transfer.invalid;branch=");
	err |= mbuf_write_str(mb, branch);
	err |= mbuf_write_str(mb, "\r\n");
	pl = leg_range(leg, LEG_REMOTE);
	err |= line(mb, "From: ", &pl);
	err |= mbuf_write_str(mb, "To: <");
	err |= mbuf_write_pl(mb, &uri);
	err |= mbuf_write_str(mb, ">\r\n");
	pl_set_str(&pl, callid);
	err |= line(mb, "Call-ID: ", &pl);
	err |= mbuf_write_str(mb, "CSeq: 1 INVITE\r\n");
	pl = message_value(refer, HDR_MAX_FORWARDS);
	if (pl.l)
		err |= line(mb, "Max-Forwards: ", &pl);
	err |= mbuf_write_str(mb, "Contact: <");
	err |= mbuf_write_str(mb, leg_text(leg, LEG_TARGET));
	err |= mbuf_write_str(mb, ">\r\n");
	pl = message_value(refer, HDR_REFERRED_BY);
	if (pl.l)
		err |= line(mb, "Referred-By: ", &pl);
	err |= mbuf_write_str(mb, "Content-Type: application/sdp\r\n"
				  "Content-Length: ");
	err |= number_write(mb, sdp->l);
	err |= mbuf_write_str(mb, "\r\n\r\n");
	err |= mbuf_write_pl(mb, sdp);
	mb->pos = 0;
	return err ? ENOMEM : 0;
}

static int invite_make(struct message **invitep, const struct transfer *t,
		       const struct message *refer)
{
	struct mbuf *mb = mbuf_alloc(1024);
	struct scan_result result;
	struct pl sdp;
	int err;

	if (!mb)
		return ENOMEM;
	err = media_said(t->old->media, !t->by, &sdp) ? 0 : EPROTO;
	if (!err)
		err = invite_write(mb, t, refer, &sdp);
	if (!err && message_scan(invitep, mb, &result)) {
		*invitep = mem_deref(*invitep);
		err = EBADMSG;
	}
	mem_deref(mb);
	return err;
}

/* behaviour.md 1.5: a call like any other */
static uint16_t take_seat(struct call_setup *setup, struct worker *w)
{
	uint32_t max = w->plan->sip->max_sessions, ignored;
	const struct limits_query q = {
		.worker = w,
		.interface = setup->at->interface,
		.realm = setup->source.realm,
		.agent = agents_find(w->agents, setup->source.agent),
		.d = INBOUND,
		.method = INVITE,
		.forced = hop_is_emergency(&setup->route->hops[0]),
	};

	if (w->stopping || (max && calls_count(w->calls) >= max))
		return 503;
	return limits_take(&setup->seat, &q, &ignored) ? 503 : 0;
}

/* As a new request of the referrer: his realm, his owner */
static uint16_t place(struct transfer *t, const struct message *invite)
{
	struct leg *leg = referrer(t);
	struct worker *w = leg->worker;
	struct ingress_trial *trial;
	struct call_setup setup = {
		.home = t->old->home,
		.plan = w->plan,
		.invite = invite,
		.from = { .port = leg->port, .src = leg->to.dst },
		.lender = t->old,
		.lent = !t->by,
		.watch = watched,
		.watch_arg = t,
		.placed = &t->to,
	};
	uint32_t n = port_number(leg->port);
	uint16_t code = 503;

	if (n >= w->plan->realms->endpoints_n)
		return 503;
	setup.at = &w->plan->realms->endpoints[n];
	sources_match(w->sources, w->plan, setup.at, &setup.from.src,
		      &setup.source);

	trial = mem_zalloc(sizeof(*trial), NULL);
	setup.route = mem_zalloc(sizeof(*setup.route), NULL);
	if (!trial || !setup.route)
		goto out;
	if (ingress_try(w, &setup.source, &setup.from.src, invite, NULL, trial))
		goto out;
	code = trial->code;
	if (!code && (trial->ours || !trial->route.n))
		code = 404;
	if (code)
		goto out;
	setup.owner = trial->owner;
	setup.called = trial->called;
	*setup.route = trial->route;
	code = take_seat(&setup, w);
	if (!code)
		code = call_place(&setup);
	if (code) {
		seat_give(&setup.seat);
	} else {
		setup.route = NULL;
		if (t->to)
			t->to->transfer = t;
	}
out:
	mem_deref(trial);
	mem_deref(setup.route);
	return code < 100 && code ? 480 : code;
}

static void call_target(struct transfer *t, const struct message *refer)
{
	struct message *invite = NULL;
	uint16_t code;
	int err;

	t->at = SIDE_A;
	err = invite_make(&invite, t, refer);
	if (err)
		code = err == EBADMSG ? 400 : 503;
	else
		code = place(t, invite);
	mem_deref(invite);
	if (code)
		fail(t, code);
}

/* --- The target is in a call already ---------------------------------------- */

static void join(struct transfer *t, const struct pl *replaces)
{
	struct leg *leg, *target;
	struct call *to;

	leg = replaces_find(referrer(t)->tables, referrer(t)->realm, replaces);
	to = leg ? leg->arg : NULL;
	if (!to || to == t->old || to->state != CALL_TALKING || to->transfer ||
	    !call_may_lend(to, t->old) || !call_may_lend(t->old, to)) {
		fail(t, 481);
		return;
	}
	t->at = leg == to->a ? SIDE_A : SIDE_B;
	target = leg_at(to, !t->at);
	if (call_media(&t->media, to, t->at, rest(t), target)) {
		fail(t, 503);
		return;
	}
	media_keep(t->media);
	media_continue(t->media, !t->at, to->media, !t->at);
	media_continue(t->media, t->at, t->old->media, !t->by);
	t->to = to;
	to->transfer = t;
	step(t);
}

/* --- What calls ask ---------------------------------------------------------- */

static bool is_invite(const struct message *refer)
{
	struct pl value = message_value(refer, HDR_REFER_TO), method;
	struct address addr;

	return address_read(&addr, &value) ||
	       param_get(&addr.uri.params, "method", &method) ||
	       is_word(&method, "INVITE");
}

static bool is_readable(const struct message *refer)
{
	const struct header *h = message_first(refer, HDR_REFER_TO);
	struct pl value = message_value(refer, HDR_REFER_TO);
	struct address addr;

	return h && !message_next(refer, h) && !address_read(&addr, &value) &&
	       addr.uri.scheme.l;
}

static bool wants_silence(const struct message *refer)
{
	const struct header *h = message_named(refer, "Refer-Sub");
	struct pl value;

	if (!h)
		return false;
	value = header_value(refer, h);
	return is_word(&value, "false");
}

/* RFC 3515 2.2, RFC 4488 */
static void accept_refer(struct transaction *server, const struct leg *leg,
			 bool silent)
{
	struct mbuf *mb = mbuf_alloc(256);
	int err = mb ? 0 : ENOMEM;

	if (!err && leg->text[LEG_CONTACT]) {
		err = mbuf_write_str(mb, "Contact: <");
		err |= mbuf_write_str(mb, leg_text(leg, LEG_CONTACT));
		err |= mbuf_write_str(mb, ">\r\n");
	}
	if (!err && silent)
		err = mbuf_write_str(mb, "Refer-Sub: false\r\n");
	if (!err)
		err = mbuf_write_u8(mb, 0);
	within_refuse(server, 202, err ? NULL : (const char *)mb->buf);
	mem_deref(mb);
}

static bool refer(struct call *c, struct leg *leg, struct transaction *server,
		  const struct message *msg)
{
	enum side by = leg == c->a ? SIDE_A : SIDE_B;
	struct mbuf *replaces = NULL;
	struct transfer *t;
	struct pl named;

	if (!call_transfers(c, by) || !is_invite(msg))
		return false;
	if (!is_readable(msg)) {
		within_refuse(server, 400, NULL);
		return true;
	}
	if (c->transfer || c->state != CALL_TALKING) {
		within_refuse(server, 491, NULL);
		return true;
	}
	t = mem_zalloc(sizeof(*t), destructor);
	replaces = mbuf_alloc(256);
	if (!t || !replaces) {
		mem_deref(t);
		mem_deref(replaces);
		within_refuse(server, 503, NULL);
		return true;
	}

	t->old = c;
	t->by = by;
	t->id = c->referred ? msg->cseq : 0;
	c->referred = true;
	t->code = 100;
	t->silent = wants_silence(msg);
	c->transfer = t;
	msg = mem_ref((void *)msg); /* lost with the final answer */
	mem_ref(t); /* it may end with the first answer of the target */
	accept_refer(server, leg, t->silent);
	notify(t);
	if (replaces_of_refer(replaces, msg)) {
		call_target(t, msg);
	} else {
		named = bytes_of(replaces);
		join(t, &named);
	}
	mem_deref((void *)msg);
	mem_deref(replaces);
	mem_deref(t);
	return true;
}

/* The referrer may leave: what he began goes on without him */
static bool bye(struct call *c, struct leg *leg)
{
	struct transfer *t = c->transfer;

	if (c != t->old || leg != referrer(t) || (t->over && t->code >= 300))
		return false;
	t->gone = true;
	leg_close(leg);
	if (t->over && !t->notify)
		finish(t);
	return true;
}

static void over(struct call *c)
{
	struct transfer *t = c->transfer;
	struct call *to = t->to;

	if (c == to) {
		leave(t);
		fail(t, 480);
		return;
	}
	if (to)
		restore(t);
	leave(t);
	c->transfer = NULL;
	if (to && !t->media)
		call_end(to, CDR_SBC, CDR_NORMAL);
	mem_deref(t);
}

static void forget(struct call *c)
{
	struct transfer *t = c->transfer;

	leave(t);
	if (c != t->old)
		return;
	c->transfer = NULL;
	mem_deref(t);
}

const struct transfer_user transfer_user = {
	.refer = refer,
	.bye = bye,
	.over = over,
	.forget = forget,
};
