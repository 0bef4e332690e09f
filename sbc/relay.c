/*
 * One in-dialog request carried across
 */
#include <errno.h>
#include <string.h>
#include "store/number.h"
#include "policy/body.h"
#include "policy/cause.h"
#include "policy/hide.h"
#include "sbc/counters.h"
#include "sbc/relay.h"
#include "sbc/respond.h"

struct relay {
	struct le le;
	/* Timer C of a re-INVITE; 64*T1 behind its 2xx */
	struct timer timer;
	const struct plan *plan;
	struct leg *from, *to;
	struct transaction *server, *client;
	struct message *request; /* clone with edits; NULL for ours */
	struct header_set without;
	struct mbuf extra, *body;
	struct pl ctype;
	struct tries tries;
	struct sa origin; /* of the request, where it is told */
	enum method_id method;
	uint8_t max_forwards;
	bool settled;
	bool answered; /* a 2xx to re-INVITE: only repetitions come still */
	bool reliable; /* the 1xx that is passed on */
	const struct relay_user *user;
	void *arg;
};

/* RFC 5057 5.4 */
static bool refreshes_target(enum method_id method)
{
	return method == INVITE || method == UPDATE || method == SUBSCRIBE ||
	       method == NOTIFY || method == REFER;
}

static void destructor(void *data)
{
	struct relay *r = data;

	list_unlink(&r->le);
	timer_cancel(&r->timer);
	if (r->method == INVITE && r->from)
		prack_stop(r->from);
	transaction_forget(r->server);
	transaction_forget(r->client);
	tries_reset(&r->tries);
	mem_deref(r->request);
	mbuf_reset(&r->extra);
	mem_deref(r->body);
}

static void client(struct transaction *t, enum transaction_event ev,
		   const struct message *msg, void *arg);

/* SDP that nobody has rewritten names the other side: it stays there */
static struct pl body_of(const struct relay *r)
{
	if (r->body || !r->request || body_is_sdp(r->request))
		return bytes_of(r->body);

	return r->request->body;
}

/* Send, for the first time or again with credentials */
static int relay_send(struct relay *r, struct mbuf *credentials)
{
	struct leg_request q = {
		.method = r->method,
		.src = r->request,
		.without = r->without,
		.max_forwards = r->max_forwards,
		.ctype = r->ctype,
	};

	if (r->request) {
		q.method_name = r->request->method;
		prove_replace(&r->tries, r->request);
	}
	q.extra = bytes_of(&r->extra);
	q.credentials = bytes_of(credentials);
	q.body = body_of(r);
	if (sa_isset(&r->origin, SA_ADDR))
		q.origin = &r->origin;
	r->client = transaction_forget(r->client);

	return leg_request(&r->client, r->to, &q, client, r);
}

/* From here on no retry with a higher CSeq can come */
static void settle(struct relay *r)
{
	if (r->settled)
		return;
	r->settled = true;
	if (r->user->settled)
		r->user->settled(r, r->arg);
}

static void finish(struct relay *r, uint16_t code, const struct message *msg)
{
	const struct relay_user *user = r->user;
	void *arg = r->arg;

	settle(r);
	/* The call may go with this word, and all relays in its list */
	list_unlink(&r->le);
	user->done(r, code, msg, arg);
	mem_deref(r);
}

static void unacknowledged(void *arg);

/* The answer to a re-INVITE is the leg's own matter */
static void reply_invite(struct relay *r, struct leg_reply *lr,
			 struct message *copy)
{
	const struct prack_user user = { unacknowledged, r };

	if (lr->code < 200 && r->reliable && copy) {
		(void)prack_reply(r->from, r->from, lr, copy, &user);
		return;
	}
	if (lr->code >= 200)
		prack_stop(r->from);
	(void)leg_reply(r->from, lr);
	if (lr->code >= 200)
		r->server = transaction_forget(r->server);
}

/* Answer the side that asked, where one did */
static void reply(struct relay *r, uint16_t code, const struct message *msg)
{
	struct leg_reply lr = { .code = code };
	struct message *copy = NULL;
	struct mbuf *sdp = NULL;
	struct hide_setup hide = {
		.trusted = true,
		.challenge = code == 401 || code == 407,
	};
	struct pl body;

	if (!r->server)
		return;

	hide.local = port_local(r->from->port);
	if (msg && !message_clone(&copy, msg)) {
		(void)hide_edit(copy, &hide);
		(void)r->user->edit(r, copy, msg, r->arg);
		lr.src = copy;
		lr.without = hide_set(copy, &hide);
		lr.reason = msg->reason;
	}
	if (msg)
		r->user->answer(r, msg, &lr, &sdp, r->arg);
	body = lr.body;
	leg_reply_body(&lr, copy, &body);

	if (r->method == INVITE) {
		reply_invite(r, &lr, copy);
	} else {
		struct wire_response wr = {
			.request = transaction_request(r->server),
			.from = transaction_arrival(r->server),
			.code = lr.code,
			.reason = lr.reason,
			.src = lr.src,
			.without = lr.without,
			.extra = lr.extra,
			.body = lr.body,
			.ctype = lr.ctype,
		};
		struct mbuf *mb;

		if (refreshes_target(r->method) && lr.code < 300)
			wr.contact = leg_range(r->from, LEG_CONTACT);
		if (wr.request && !respond_write(&mb, &wr)) {
			(void)transaction_reply(r->server, lr.code, mb);
			mem_deref(mb);
		}
	}
	mem_deref(sdp);
	mem_deref(copy);
}

/* Nobody acknowledged a reliable 1xx to re-INVITE (behaviour.md 3.5) */
static void unacknowledged(void *arg)
{
	struct relay *r = arg;

	relay_cancel(r, NULL);
	reply(r, 504, NULL);
}

static void proof_setup(struct relay *r, struct proof_setup *p,
			const struct message *msg)
{
	memset(p, 0, sizeof(*p));
	p->worker = r->to->worker;
	p->plan = r->plan;
	p->target = r->client ? transaction_target(r->client) : &r->to->to;
	p->challenge = msg;
	if (r->request)
		p->method = r->request->method;
	else
		pl_set_str(&p->method, method_name(r->method));
	p->uri = leg_range(r->to, LEG_TARGET);
	p->body = body_of(r);
	p->callid = leg_range(r->to, LEG_CALLID);
	p->in_dialog = true;
	p->query.method = p->method;
	r->user->proof(r, p, r->arg);
}

/* With credentials for the nonces that are known. from: whence the request came,
 * where it goes for the first time */
static int send_ahead(struct relay *r, const struct arrival *from)
{
	struct mbuf ahead;
	struct proof_setup proof;
	int err;

	mbuf_init(&ahead);
	tries_reset(&r->tries);
	proof_setup(r, &proof, NULL);
	if (from && wire_origin(proof.query.egress, &from->src))
		r->origin = from->src;
	err = prove_ahead(&proof, &r->tries, &ahead);
	if (!err)
		err = relay_send(r, &ahead);
	mbuf_reset(&ahead);
	return err;
}

static bool prove_again(struct relay *r, const struct message *msg)
{
	struct mbuf headers;
	struct proof_report report;
	struct proof_setup setup;
	enum proof result;
	bool sent = false;

	mbuf_init(&headers);
	memset(&report, 0, sizeof(report));
	proof_setup(r, &setup, msg);
	result = prove_challenge(&setup, &r->tries, &headers, &report, NULL,
				 NULL);
	if (result == PROOF_SPENT)
		(void)prove_report(&setup, &r->tries, &report);
	r->user->challenged(r, result, &report, r->arg);
	if (result == PROOF_READY)
		sent = !relay_send(r, &headers);
	mbuf_reset(&headers);
	return sent;
}

static void outlived(void *arg)
{
	mem_deref(arg);
}

/* 2xx to a re-INVITE: ACK at once, unless the offer was in it: then the ACK
 * comes with the answer of the side that asked */
static void invite_answered(struct relay *r, const struct message *msg)
{
	bool refused = r->request && !r->server;

	leg_refresh_target(r->to, msg);
	r->to->ack_waits =
		!refused && r->request && !r->request->body.l && msg->body.l;
	reply(r, msg->code, msg);
	if (!r->to->ack_waits)
		(void)leg_ack(r->to, NULL, NULL);
	r->answered = true;
	timer_start(&r->timer, r->to->expire, outlived, r);
	r->user->done(r, refused ? 504 : msg->code, msg, r->arg);
}

static void accepted(struct relay *r, const struct message *msg)
{
	struct proof_report report;
	struct proof_setup setup;

	proof_setup(r, &setup, NULL);
	if (prove_report(&setup, &r->tries, &report))
		r->user->proved(r, &report, msg->code, r->arg);
	prove_accepted(&setup, &r->tries, msg);
}

static bool send_again(struct relay *r, const struct message *msg)
{
	if (!r->request || !r->user->again ||
	    !r->user->again(r, r->request, msg, r->arg))
		return false;
	return !send_ahead(r, NULL);
}

static void final(struct relay *r, const struct message *msg)
{
	bool challenge = msg->code == 401 || msg->code == 407;

	if (challenge && prove_again(r, msg))
		return;
	if (!challenge)
		accepted(r, msg);
	if (msg->code >= 300 && send_again(r, msg))
		return;
	settle(r);
	/* RFC 3261 12.2.2, RFC 6141: a refused request changes no target */
	if (refreshes_target(r->method) && msg->code < 300 && r->server &&
	    r->request)
		leg_refresh_target(r->from, r->request);
	if (r->method == INVITE && msg->code < 300) {
		invite_answered(r, msg);
		return;
	}
	if (refreshes_target(r->method) && msg->code < 300)
		leg_refresh_target(r->to, msg);
	reply(r, msg->code, msg);
	finish(r, msg->code, msg);
}

/* As for the INVITE that began the call (behaviour.md 3.4): the side that asked
 * does not wait for ever. A 2xx that crosses the CANCEL ends the call */
static void no_final_answer(void *arg)
{
	struct relay *r = arg;

	relay_cancel(r, NULL);
	reply(r, 408, NULL);
}

static void timer_c_start(struct relay *r, uint16_t code)
{
	const struct sip_interface *i = r->to->realm->interface;
	uint32_t s = i ? i->invite_expire : 0;

	if (code == 100 && timer_is_running(&r->timer))
		return;
	if (!s)
		s = r->plan->sip->invite_expire;
	timer_start(&r->timer, (uint64_t)s * 1000, no_final_answer, r);
}

/* 101-199 to a re-INVITE */
static void progress(struct relay *r, const struct message *msg)
{
	enum prack_verdict verdict =
		r->from ? prack_take(r->from, msg) : PRACK_PLAIN;

	r->reliable = verdict == PRACK_NEW;
	if (verdict != PRACK_ABSORBED)
		reply(r, msg->code, msg);
}

static void client(struct transaction *t, enum transaction_event ev,
		   const struct message *msg, void *arg)
{
	struct relay *r = arg;

	switch (ev) {

	case PROVISIONAL:
		settle(r);
		if (r->method != INVITE)
			break;
		timer_c_start(r, msg->code);
		if (msg->code > 100)
			progress(r, msg);
		break;

	case FINAL:
		if (!r->answered)
			final(r, msg);
		else
			leg_ack_again(r->to, msg);
		break;

	case TIMEOUT:
	case BROKEN:
		if (r->answered)
			break;
		/* RFC 4320 4.1: no 408 to a request other than INVITE */
		if (r->method == INVITE || ev == BROKEN)
			reply(r, ev == TIMEOUT ? 408 : 503, NULL);
		finish(r, ev == TIMEOUT ? 408 : 503, NULL);
		break;

	case ACKED:
	case CANCELLED:
		break;
	}
	(void)t;
}

static int request_take(struct relay *r, const struct relay_setup *setup)
{
	struct hide_setup hide = {
		.trusted = setup->trusted,
		.authorization = true,
		.local = port_local(r->to->port),
	};
	struct pl mf;
	uint64_t n = 70;
	int err;

	err = message_clone(&r->request, setup->request);
	if (err)
		return err;
	err = hide_edit(r->request, &hide);
	if (!err)
		err = r->user->edit(r, r->request, setup->request, r->arg);
	if (err)
		return err;
	r->without = hide_set(r->request, &hide);
	/* Missing counts as 70 (behaviour.md 1.2) */
	mf = message_value(setup->request, HDR_MAX_FORWARDS);
	if (mf.l && uint_parse(&n, &mf, 255))
		n = 70;
	r->max_forwards = (uint8_t)(n ? n - 1 : 0);

	return 0;
}

int relay_start(struct relay **rp, const struct relay_setup *setup)
{
	struct relay *r;
	int err;

	r = mem_zalloc(sizeof(*r), destructor);
	if (!r)
		return ENOMEM;

	r->plan = setup->plan;
	r->from = setup->from;
	r->to = setup->to;
	r->method = setup->method;
	r->user = setup->user;
	r->arg = setup->arg;
	r->max_forwards = 70;
	err = setup->extra.l ? mbuf_write_pl(&r->extra, &setup->extra) : 0;
	if (!err && setup->request)
		err = request_take(r, setup);
	if (!err && r->request)
		err = body_cross(r->request, &setup->body);
	if (!err && setup->body.p && (!r->request || body_is_sdp(r->request))) {
		r->body = mbuf_alloc(setup->body.l + 1);
		err = r->body ? mbuf_write_pl(r->body, &setup->body) : ENOMEM;
		r->ctype = setup->ctype;
	}
	if (err)
		goto out;

	err = send_ahead(r, setup->server ? transaction_arrival(setup->server)
					  : NULL);

out:
	if (err) {
		mem_deref(r);
		return err;
	}
	r->server = setup->server;
	if (r->method == INVITE && r->from)
		prack_reset(r->from);
	list_append(setup->list, &r->le, r);
	if (rp)
		*rp = r;
	return 0;
}

void relay_close(struct relay *r, uint16_t code)
{
	if (!r)
		return;
	if (code)
		reply(r, code, NULL);
	settle(r);
	/* One that is answered has its ACK, and gives way */
	if (r->method == INVITE && r->client &&
	    (!r->answered || !r->to->orphan)) {
		leg_adopt(r->to, r->client, !r->answered);
		r->client = NULL;
	}
	if (r->answered && r->to->ack_waits)
		(void)leg_ack(r->to, NULL, NULL);
	mem_deref(r);
}

void relay_move(struct relay *r, struct list *list, void *arg)
{
	list_unlink(&r->le);
	list_append(list, &r->le, r);
	r->arg = arg;
}

void relay_cancel(struct relay *r, const struct pl *reason)
{
	if (r->client && !r->answered)
		(void)transaction_cancel(r->client, reason);
}

bool relay_is_open(const struct relay *r)
{
	return r->server != NULL;
}

static void swap(struct leg **legp, struct leg *x, struct leg *y)
{
	if (*legp == x)
		*legp = y;
	else if (*legp == y)
		*legp = x;
}

void relays_swap(struct list *relays, struct leg *x, struct leg *y)
{
	for (struct le *le = relays->head; le; le = le->next) {
		struct relay *r = le->data;

		swap(&r->from, x, y);
		swap(&r->to, x, y);
	}
}

bool relays_wait(const struct list *relays, const struct leg *from,
		 enum method_id method)
{
	for (struct le *le = relays->head; le; le = le->next) {
		const struct relay *r = le->data;

		if (r->from == from && r->method == method && r->server)
			return true;
	}
	return false;
}

struct leg *relay_from(const struct relay *r)
{
	return r->from;
}

struct leg *relay_to(const struct relay *r)
{
	return r->to;
}

enum method_id relay_method(const struct relay *r)
{
	return r->method;
}

bool relay_is_reliable(const struct relay *r)
{
	return r->reliable;
}

const struct message *relay_request(const struct relay *r)
{
	return r->request;
}
