/*
 * Two legs and the table that joins them
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include "store/log.h"
#include "store/number.h"
#include "policy/body.h"
#include "policy/cause.h"
#include "sbc/account.h"
#include "sbc/alarm.h"
#include "sbc/call.h"
#include "sbc/clock.h"
#include "sbc/counters.h"
#include "sbc/parting.h"
#include "sbc/random.h"
#include "sbc/refusals.h"
#include "sbc/replaces.h"
#include "sbc/sides.h"

/* Q.850 causes of what the SBC ends by itself */
enum {
	CLEARED = 16,     /* normal call clearing */
	UNSPECIFIED = 31, /* normal, unspecified */
	BROKEN_UP = 41,   /* temporary failure */
	TIMED_OUT = 102   /* recovery on timer expiry */
};

static const char place_call[] = "place-call"; /* step of ingress */

/* architecture.md 12: with libre's 16 bytes and what malloc rounds up to */
_Static_assert(sizeof(struct call) <= 1280 - 16, "a call takes 1280 bytes");

static void told(void *obj, uint8_t from, uint8_t on, uint8_t to)
{
	const struct call *c = obj;

	log_debug(SIPD, "call-state", "call=%" PRIu64 " from=%s to=%s on=%s",
		  c->id, call_machine.states[from], call_machine.states[to],
		  call_machine.events[on]);
}

void call_feed(struct call *c, enum call_event ev, const struct message *msg)
{
	(void)machine_feed(&call_machine, &c->state, c, ev, msg, told);
}

/* --- What an answer carries across -------------------------------------- */

static const struct hop *hop_of(const struct call *c)
{
	return c->hunt ? &c->hunt->now->hop : &c->found.hop;
}

struct sides call_sides(const struct call *c, const struct leg *b)
{
	struct sides s = {
		.worker = c->worker,
		.plan = c->plan,
		.source = &c->source,
		.owner = &c->owner,
		.called = &c->called,
		.hop = &c->found.hop,
		.to_trunk = c->found.to_trunk,
		.a = c->a,
		.b = b,
	};

	return c->hunt ? sides_hunted(c->hunt, c->a, b) : s;
}

/* Identities in a message inside the call, edited in a clone of it */
int call_edit(const struct call *c, const struct leg *b, bool to_b,
	      struct message *out, const struct message *msg)
{
	struct sides s = call_sides(c, b);

	return sides_edit(&s, to_b, out, msg);
}

/* An answer of the called side on its way to the caller. copyp holds the copy
 * that is edited: the caller lets it go */
static void answer_copy(const struct call *c, struct leg_reply *r,
			struct message **copyp, const struct message *msg,
			bool challenge)
{
	/* none is left when the best answer so far goes back */
	struct sides s = call_sides(c, c->hunt->now->leg);

	sides_answer(&s, r, copyp, msg, challenge);
}

/* --- Session timers ------------------------------------------------------ */

static bool timers_pass(const struct call *c)
{
	return !c->timers[SIDE_A].profile && !c->timers[SIDE_B].profile;
}

int call_timers(struct call *c, bool to_b, struct message *out,
		const struct message *msg)
{
	struct refresh *to = &c->timers[to_b ? SIDE_B : SIDE_A];
	bool passes = timers_pass(c);

	if (msg->method_id != INVITE && msg->method_id != UPDATE)
		return 0;
	if (!msg->code)
		return refresh_ask(to, passes, out);
	if (msg->code < 200 || msg->code >= 300)
		return 0;
	refresh_answered(&c->timers[to_b ? SIDE_A : SIDE_B], passes, msg);
	return refresh_answer(to, passes, out);
}

static void timer_news(struct refresh *r, enum refresh_news news, void *arg)
{
	struct call *c = arg;

	switch (news) {

	case REFRESH_DUE:
		c->home->refresh(c, r == &c->timers[SIDE_A] ? SIDE_A : SIDE_B);
		break;

	case REFRESH_LOST:
		call_feed(c, LIFE_OVER, NULL);
		break;
	}
}

/* The session-agent's word, else that of its realm */
static bool has_transfer(const struct realm *realm,
			 const struct session_agent *agent)
{
	switch (agent ? (enum agent_refer_call_transfer)
				agent->refer_call_transfer
		      : AGENT_REFER_CALL_TRANSFER_EMPTY) {

	case AGENT_REFER_CALL_TRANSFER_ENABLED:
		return true;
	case AGENT_REFER_CALL_TRANSFER_DISABLED:
		return false;
	case AGENT_REFER_CALL_TRANSFER_EMPTY:
		break;
	}
	return realm->config->refer_call_transfer;
}

bool call_transfers(const struct call *c, enum side side)
{
	return side == SIDE_A ? has_transfer(c->a->realm, c->source.agent)
			      : has_transfer(c->b->realm, hop_of(c)->agent);
}

static int hop_edit(struct message *out, const struct realm *egress, void *arg)
{
	struct call *c = arg;

	refresh_use(&c->timers[SIDE_B], refresh_profile(c->plan, egress));
	if (!timers_pass(c) || has_transfer(c->a->realm, c->source.agent) ||
	    has_transfer(egress, c->hunt->now->hop.agent))
		media_keep(c->media);
	return call_timers(c, true, out, out);
}

/* RFC 4028 7.3: a 422 is answered once with what it asks for */
static bool is_raised(struct call *c, const struct message *msg)
{
	if (msg->code != 422 || c->state > CALL_EARLY)
		return false;
	/* hops that are tried together may have a profile each */
	refresh_use(&c->timers[SIDE_B],
		    refresh_profile(c->plan, c->hunt->now->hop.realm));
	if (!refresh_raise(&c->timers[SIDE_B], msg))
		return false;
	return !call_timers(c, true, c->hunt->now->out, c->hunt->now->out) &&
	       !hunt_repeat(c->hunt);
}

/* --- The caller is answered --------------------------------------------- */

static uint64_t expires_of(const struct message *invite)
{
	struct pl value = message_value(invite, HDR_EXPIRES);
	uint64_t s = 0;

	if (value.l && uint_parse(&s, &value, UINT32_MAX))
		s = 0;
	return s * 1000;
}

static void retry_after(struct mbuf *mb, uint32_t s)
{
	(void)mbuf_printf(mb, "Retry-After: %u\r\n", s);
}

/* After the final answer no 1xx is repeated (RFC 3262 3) */
static void final_a(struct call *c, const struct leg_reply *r)
{
	early_stop(&c->early);
	(void)leg_reply(c->a, r);
	if (c->watch)
		c->watch(c, r->code, c->watch_arg);
}

static enum cdr_reason reason_of(const struct hunt *hunt, uint16_t code)
{
	switch (hunt->best ? LACK_NONE : (enum hunt_lack)hunt->lack) {

	case LACK_NONE:
		break;
	case LACK_ROUTE:
		return CDR_NO_ROUTE;
	case LACK_ROOM:
		return CDR_NO_CAPACITY;
	case LACK_WAY:
		return CDR_TRANSPORT;
	case LACK_ANSWER:
		return CDR_NO_ANSWER;
	case LACK_LEAVE:
		return CDR_UNAUTHORIZED;
	}
	return cdr_reason_of(code, !hunt->best);
}

/* A refusal is counted and recorded under its step (behaviour.md 1.1) */
static void refused(struct call *c, uint16_t code)
{
	const struct message *best = c->hunt->best;

	c->cdr.status = code;
	cdr_end(&c->cdr, best ? CDR_EGRESS : CDR_SBC, reason_of(c->hunt, code),
		cdr_cause(best));
	hunt_refused(c->hunt, code);
	if (code == 401 || code == 407)
		c->cdr.refused_step = refusal_step_name(REFUSAL_AUTHENTICATE);
	else if (!best)
		c->cdr.refused_step = place_call;
}

/* The best failure of the search, or what the SBC itself says */
static int refuse_a(void *obj, const struct message *msg)
{
	struct call *c = obj;
	struct message *copy = NULL;
	struct leg_reply r = { .code = c->hunt->code };
	const struct pl no_sdp = { "", 0 };
	struct mbuf extra;
	bool silent = hunt_is_silent(c->hunt) && c->a->asked &&
		      transaction_is_silent(c->a->asked);
	(void)msg;

	mbuf_init(&extra);
	if (r.code == HUNT_SILENCE)
		r.code = 480;
	if (c->hunt->best) {
		if (c->plan->sip->dialog_transparency &&
		    c->hunt->best->to_tag.l)
			(void)leg_keep(c->a, &c->hunt->best->to_tag);
		answer_copy(c, &r, &copy, c->hunt->best, true);
		leg_reply_body(&r, copy, &no_sdp);
		if (r.code < 400 && !redirect_pass(&extra, c->hunt->best,
						   port_local(c->a->port)))
			r.extra = bytes_of(&extra);
	} else {
		r.reason = c->hunt->phrase;
		if (c->hunt->retry_after) {
			retry_after(&extra, c->hunt->retry_after);
			r.extra = bytes_of(&extra);
		}
	}
	c->code = r.code;
	refused(c, r.code);
	count(COUNT_CALL_REJECTS, 1);
	if (silent)
		c->a->asked = transaction_forget(c->a->asked);
	else
		final_a(c, &r);
	mbuf_reset(&extra);
	mem_deref(copy);
	return BOTH_GONE;
}

static void reply_a(struct call *c, uint16_t code)
{
	struct leg_reply r = { .code = code };

	c->cdr.status = code;
	final_a(c, &r);
}

/* RFC 3261 17.2.1: leaves with the first INVITE to the called side */
static void reply_trying(struct call *c)
{
	struct leg_reply r = { .code = 100 };

	(void)leg_reply(c->a, &r);
}

/* --- Early dialogs ------------------------------------------------------ */

static struct early_call early_of(struct call *c, struct leg *b)
{
	struct early_call e = {
		.all = &c->early,
		.relays = &c->relays,
		.media = c->media,
		.a = c->a,
		.b = b,
	};

	return e;
}

/* The INVITE failed on this leg: its dialogs are dead */
static void early_dead(struct call *c, struct leg *b)
{
	struct early_call e = early_of(c, b);

	(void)early_fail(&e);
}

/* --- Whom nobody waits for any more ------------------------------------- */

static struct parting_setup parting_of(struct call *c, const struct leg *b)
{
	struct sides s = call_sides(c, b);
	struct parting_setup setup = {
		.list = &c->home->lingering,
		.plan = c->plan,
	};

	memcpy(setup.lent, c->lent, sizeof(setup.lent));
	sides_who(&setup.who, &s);
	return setup;
}

/* Its 2xx may come still */
static void part(struct call *c, struct leg *b)
{
	struct parting_setup setup = parting_of(c, b);

	parting_begin(&setup, b);
}

/* The 2xx of another branch */
static void hang_up(struct call *c, struct leg *b, const struct message *msg)
{
	struct parting_setup setup = parting_of(c, b);

	count(COUNT_MULTIPLE_OK_TERMS, 1);
	parting_hang_up(&setup, b, msg);
}

/* A hop that was tried together with others is given up. Its 2xx may come still
 * (behaviour.md 3.3) */
static void branch_lost(struct leg *leg, const struct pl *reason, void *arg)
{
	struct call *c = arg;
	struct early_call e = early_of(c, leg);

	if (c->b && c->b->confirmed)
		early_keep(&e);
	else
		early_dead(c, leg);
	leg_cancel(leg, reason);
	part(c, leg);
}

static void early_forget(void *arg)
{
	struct call *c = arg;

	early_clear(&c->early, &c->relays);
	c->a->prack = mem_deref(c->a->prack);
}

/* Those that lost live for 64*T1 (behaviour.md 3.2); a PRACK may be on its way */
static void early_end(struct call *c)
{
	if (list_count(&c->early) > 1 || c->a->prack)
		timer_start(&c->ringing, 64ULL * c->plan->sip->init_timer,
			    early_forget, c);
	else
		early_forget(c);
}

/* --- Hops --------------------------------------------------------------- */

static enum call_event event_of(enum hunt_verdict v)
{
	switch (v) {

	case HUNT_SENT:
		return HOP_FOUND;
	case HUNT_EMPTY:
		return NO_HOP;
	case HUNT_WAITS:
		break;
	}
	return 0;
}

/* The hop that was tried before takes its leg along; NULL: none is there yet */
static void leg_b_follow(struct call *c)
{
	c->b = c->hunt->now->leg;
}

static void hunted(enum hunt_verdict v, void *arg)
{
	struct call *c = arg;

	leg_b_follow(c);
	if (event_of(v))
		call_feed(c, event_of(v), NULL);
}

static int first_hop(void *obj, const struct message *msg)
{
	struct call *c = obj;
	(void)msg;

	return event_of(hunt_start(c->hunt));
}

static int next_hop(void *obj, const struct message *msg)
{
	struct call *c = obj;
	uint16_t code = msg ? msg->code : c->hunt->now->leg->code;
	enum hunt_verdict v;

	if (!hunt_is_forked(c->hunt))
		timer_cancel(&c->ringing);
	accounting_moment(&c->accounting, ACCOUNT_FAILED, code);
	v = hunt_failed(c->hunt, code, msg);
	leg_b_follow(c);
	return event_of(v);
}

static int sent(void *obj, const struct message *msg)
{
	struct call *c = obj;
	(void)msg;

	leg_b_follow(c);
	if (!c->trying) {
		c->trying = true;
		reply_trying(c);
	}
	account_placed(&c->cdr, c->hunt);
	accounting_moment(&c->accounting, ACCOUNT_SENT, 0);
	return 0;
}

/* --- The called side answers -------------------------------------------- */

static void timer_c_over(void *arg)
{
	call_feed(arg, TIMER_C, NULL);
}

/* RFC 3261 16.6: begins with the first 1xx, anew with each 101-199 */
static void timer_c_start(struct call *c)
{
	uint32_t s = c->hunt->now->hop.realm->interface->invite_expire;

	if (!s)
		s = c->plan->sip->invite_expire;
	timer_start(&c->ringing, (uint64_t)s * 1000, timer_c_over, c);
}

static void no_prack(void *arg)
{
	call_feed(arg, NO_PRACK, NULL);
}

/* Did the caller say that he acknowledges 1xx (RFC 3262 4), and did we say so? */
static bool offers_100rel(const struct call *c)
{
	const struct message *invite = c->hunt->invite;

	return message_has_token(invite, HDR_REQUIRE, "100rel") ||
	       (message_has_token(invite, HDR_SUPPORTED, "100rel") &&
		!media_hides_early(c->media));
}

/* SDP of this dialog of the caller is next. Without one it is the answer of the
 * only hop that spoke */
static int media_speak(struct call *c, const struct leg *a)
{
	if (a->early)
		return early_speak(&c->early, a, c->media);
	media_face(c->media, c->b->realm, &c->b->first.dst);
	return 0;
}

/* SDP of a 1xx: early media, or in a reliable one also the offer that the INVITE
 * did not have (RFC 3262 5). Early media that cannot be used, or that the
 * caller's realm does not want, are left out; the final answer decides.
 * 0; errno: a reliable 1xx that cannot cross */
static int progress_media(struct call *c, const struct message *msg,
			  const struct early *e, bool reliable,
			  struct mbuf **out)
{
	enum side from;
	struct pl sdp;
	int err;

	if (!body_sdp(msg, &sdp))
		return 0;
	err = media_speak(c, e ? e->a : c->a);
	if (err)
		return err;
	if (media_is_agreed(c->media))
		err = media_copy(c->media, SIDE_B, &sdp, out);
	else if (reliable && !media_offer_open(c->media, &from))
		return media_offer(c->media, SIDE_B, &sdp, out);
	else
		err = media_answer(c->media, SIDE_B, &sdp, MEDIA_EARLY, out);

	if (reliable)
		return err;
	if (!err && media_hides_early(c->media))
		*out = mem_deref(*out);
	return 0;
}

/* A called side that wants an acknowledgement that nobody offered gets it from
 * here: the caller would not give it */
static void prack_ourselves(struct call *c, const struct early *e)
{
	struct relay_setup setup = {
		.plan = c->plan,
		.list = &c->relays,
		.to = e->b,
		.method = PRACK,
		.user = c->home->relay_user,
		.arg = c,
	};
	struct mbuf extra;

	mbuf_init(&extra);
	if (!prack_write(e->a, &extra)) {
		setup.extra = bytes_of(&extra);
		(void)relay_start(NULL, &setup);
	}
	mbuf_reset(&extra);
}

static void remove_100rel(struct message *copy)
{
	(void)message_drop(copy, HDR_RSEQ);
	(void)hunt_remove_option(copy, HDR_REQUIRE, "100rel");
}

/* Pass a 1xx on in its early dialog. 0; errno: it cannot cross */
static int progress_reply(struct call *c, const struct message *msg,
			  const struct early *e, bool reliable)
{
	const struct prack_user user = { no_prack, c };
	bool offered = reliable && offers_100rel(c);
	struct message *copy = NULL;
	struct mbuf *sdp = NULL;
	struct leg_reply r;
	struct pl body;
	int err;

	memset(&r, 0, sizeof(r));
	answer_copy(c, &r, &copy, msg, false);
	if (!copy)
		return 0; /* as if it had been lost */
	leg_contact(c->a, msg);
	if (e)
		r.tag = leg_tag(e->a);

	err = progress_media(c, msg, e, offered, &sdp);
	if (err)
		goto out;
	body = bytes_of(sdp);
	leg_reply_body(&r, copy, &body);

	if (offered) {
		(void)prack_reply(c->a, e->a, &r, copy, &user);
		goto out;
	}
	if (reliable) {
		remove_100rel(copy);
		prack_ourselves(c, e);
	}
	(void)leg_reply(c->a, &r);
out:
	mem_deref(sdp);
	mem_deref(copy);
	return err;
}

static int pass_progress(void *obj, const struct message *msg)
{
	struct call *c = obj;
	struct early_call all = early_of(c, c->hunt->now->leg);
	enum prack_verdict verdict = PRACK_PLAIN;
	struct early *e = NULL;
	int err;

	if (!c->cdr.ring && msg->code >= 180 && msg->code < 190)
		c->cdr.ring = clock_ms();
	accounting_moment(&c->accounting, ACCOUNT_RANG, msg->code);
	timer_c_start(c);
	hunt_agent_answered(c->hunt, msg->code);

	if (msg->to_tag.l && early_take(&e, &all, msg))
		return 0; /* no room for one more dialog */
	if (e)
		verdict = prack_take(e->a, msg);
	if (verdict == PRACK_ABSORBED)
		return 0;

	err = progress_reply(c, msg, e, verdict == PRACK_NEW);
	if (!err && c->watch)
		c->watch(c, msg->code, c->watch_arg);
	if (!err)
		return 0;
	count(COUNT_SDP_ANSWER_ERRORS, 1);
	c->code = err == ENOSPC || err == ENOMEM ? 503 : 488;
	return MEDIA_BAD;
}

/* SDP of a 2xx: the answer to our offer, or an offer */
static int answer_media(struct call *c, const struct message *msg,
			struct mbuf **out)
{
	struct pl sdp;
	enum side from;
	int err;

	err = media_speak(c, c->a);
	if (err)
		return err;
	if (!body_sdp(msg, &sdp))
		return 0;
	/* RFC 3261 13.2.1: what reliable answers agreed on stands; this is a
	 * copy */
	if (media_is_agreed(c->media))
		return media_copy(c->media, SIDE_B, &sdp, out);
	if (media_offer_open(c->media, &from) && from == SIDE_A)
		return media_answer(c->media, SIDE_B, &sdp, MEDIA_FINAL, out);
	if (c->hunt->has_offer)
		return 0;
	c->b->ack_waits = true;
	return media_offer(c->media, SIDE_B, &sdp, out);
}

static void life_over(void *arg)
{
	call_feed(arg, LIFE_OVER, NULL);
}

/* The search is over, and the call has its leg. What it may have to ask of it is
 * in found */
static void settle(struct call *c)
{
	hunt_yield(c->hunt, &c->found);
	c->hunt = mem_deref(c->hunt);
	leg_pack(c->a);
	leg_pack(c->b);
}

static void call_answered(struct call *c)
{
	c->answered = c->cdr.connect = clock_ms();
	c->cdr.status = 200;
	timer_cancel(&c->ringing);
	timer_cancel(&c->limit);
	media_started(c->media);
	settle(c);
	cdr_settle(&c->cdr);
	early_end(c);
	if (c->plan->sip->session_max_life_limit)
		timer_start(&c->limit,
			    c->plan->sip->session_max_life_limit * 1000ULL,
			    life_over, c);
	accounting_moment(&c->accounting, ACCOUNT_ANSWERED, 200);
	accounting_moment(&c->accounting, ACCOUNT_OK, 200);
	accounting_answered(&c->accounting);
	gauge(COUNT_SESSIONS_ESTABLISHED, 1);
}

/* A final answer that is no challenge: what the INVITE carried was accepted */
static void accepted(struct call *c, const struct message *msg)
{
	struct proof_report report;
	struct proof_setup setup;

	hunt_proof(c->hunt, &setup, NULL);
	if (prove_report(&setup, &c->hunt->now->tries, &report))
		cdr_proved(&c->cdr, &report, msg->code);
	prove_accepted(&setup, &c->hunt->now->tries, msg);
}

static int pass_answer(void *obj, const struct message *msg)
{
	struct call *c = obj;
	struct message *copy = NULL;
	struct leg_reply r;
	struct mbuf *sdp_out = NULL;
	struct pl sdp;
	int err, event = 0;

	memset(&r, 0, sizeof(r));
	hunt_agent_answered(c->hunt, msg->code);
	accepted(c, msg);

	answer_copy(c, &r, &copy, msg, false);
	leg_contact(c->a, msg);
	err = answer_media(c, msg, &sdp_out);
	if (err) {
		count(COUNT_SDP_ANSWER_ERRORS, 1);
		if (!c->b->acked)
			(void)leg_ack(c->b, NULL, NULL);
		reply_a(c, err == ENOSPC ? 503 : 488);
		event = MEDIA_BAD;
		goto out;
	}

	sdp = bytes_of(sdp_out);
	leg_reply_body(&r, copy, &sdp);
	/* Of several hops that rang at once another may have answered */
	refresh_use(&c->timers[SIDE_B], refresh_profile(c->plan, c->b->realm));
	if (copy)
		(void)call_timers(c, false, copy, msg);
	/* RFC 3261 13.2.2.4: with the offer in the INVITE the ACK needs nothing
	 * of the caller */
	if (!c->b->ack_waits && !c->b->acked)
		(void)leg_ack(c->b, NULL, NULL);
	final_a(c, &r);
	call_answered(c);
out:
	mem_deref(sdp_out);
	mem_deref(copy);
	return event;
}

/* RFC 3262 3: a 2xx waits for the PRACK of a reliable 1xx with SDP. The called
 * side needs nothing of the caller any more, unless it made the offer in it */
static int hold_answer(void *obj, const struct message *msg)
{
	struct call *c = obj;

	timer_cancel(&c->ringing);
	timer_cancel(&c->limit);
	mem_deref(c->held);
	c->held = mem_ref((void *)msg);
	if (c->hunt->has_offer)
		(void)leg_ack(c->b, NULL, NULL);
	return 0;
}

static int pass_held(void *obj, const struct message *msg)
{
	struct call *c = obj;
	struct message *held = c->held;
	int event;
	(void)msg;

	c->held = NULL;
	event = pass_answer(c, held);
	mem_deref(held);
	return event;
}

/* --- Challenges --------------------------------------------------------- */

/* RFC 3261 22.2: answered out of the table of behaviour.md 6.1 */
static int prove(void *obj, const struct message *msg)
{
	struct call *c = obj;
	struct proof_setup setup;
	struct proof_report report;
	enum proof result;

	memset(&report, 0, sizeof(report));
	if (!hunt_is_forked(c->hunt))
		timer_cancel(&c->ringing);
	hunt_agent_answered(c->hunt, msg->code);
	c->credentials = mbuf_alloc(512);
	if (!c->credentials)
		return NO_PROOF;

	hunt_proof(c->hunt, &setup, msg);
	result = prove_challenge(&setup, &c->hunt->now->tries, c->credentials,
				 &report, NULL, NULL);
	if (result == PROOF_SPENT)
		(void)prove_report(&setup, &c->hunt->now->tries, &report);
	cdr_challenged(&c->cdr, result, &report, false);
	if (result == PROOF_READY)
		return PROOF;
	/* configuration.md 2.3: without its entry the call fails; any other final
	 * challenge is an answer, and stop-recurse decides */
	if (result != PROOF_MISSING)
		return B_REFUSE;

	hunt_end(c->hunt, msg->code, msg);
	return NO_PROOF;
}

static int send_again(void *obj, const struct message *msg)
{
	struct call *c = obj;
	int err = hunt_again(c->hunt, c->credentials);
	(void)msg;

	c->credentials = mem_deref(c->credentials);
	if (!err)
		return 0;
	c->hunt->now->leg->code = 503;
	return B_REFUSE;
}

/* Cause of a CANCEL that says none: the caller cleared the call */
static uint16_t given_up(const struct message *cancel)
{
	uint16_t q850 = cdr_cause(cancel);

	return q850 ? q850 : CLEARED;
}

static int drop_proof(void *obj, const struct message *msg)
{
	struct call *c = obj;

	c->credentials = mem_deref(c->credentials);
	reply_a(c, 487);
	cdr_end(&c->cdr, CDR_INGRESS, CDR_CANCELLED, given_up(msg));
	return BOTH_GONE;
}

/* Reason of a BYE or CANCEL (RFC 3326): several lines are one list, in a buffer
 * that the caller lets go */
static struct pl reasons_of(const struct message *msg, struct mbuf **listp)
{
	const struct header *h = msg ? message_first(msg, HDR_REASON) : NULL;
	struct pl value = { 0 };
	struct mbuf *mb;
	int err = 0;

	if (!h)
		return value;
	value = header_value(msg, h);
	if (!message_next(msg, h))
		return value;

	mb = mbuf_alloc(128);
	if (!mb)
		return value;
	for (; h && !err; h = message_next(msg, h)) {
		value = header_value(msg, h);
		err = mbuf_write_pl(mb, &value);
		if (!err && message_next(msg, h))
			err = mbuf_write_str(mb, ", ");
	}
	*listp = mb;

	return bytes_of(mb);
}

/* --- CANCEL and its races ----------------------------------------------- */

/* Give the called side up. Without an INVITE under way there is nobody */
static int cancel_b(struct call *c, const struct pl *reason)
{
	timer_cancel(&c->ringing);
	timer_cancel(&c->limit);
	hunt_keep_one(c->hunt, reason);
	leg_b_follow(c);
	if (!c->hunt->now->leg || !c->hunt->now->leg->invite)
		return B_REFUSE;
	leg_cancel(c->hunt->now->leg, reason);
	return 0;
}

static int caller_cancels(void *obj, const struct message *msg)
{
	struct call *c = obj;
	struct mbuf *list = NULL;
	struct pl reason = reasons_of(msg, &list); /* goes on */
	int event;

	reply_a(c, 487);
	cdr_end(&c->cdr, CDR_INGRESS, CDR_CANCELLED, given_up(msg));
	event = cancel_b(c, reason.l ? &reason : NULL);
	mem_deref(list);
	return event;
}

/* The SBC itself gives up: with add-reason-header the called side hears why */
static int give_up_as(struct call *c, uint16_t code, enum cdr_reason why,
		      uint16_t q850)
{
	char text[32] = "Q.850;cause=";
	struct pl reason;

	reply_a(c, code);
	cdr_end(&c->cdr, CDR_SBC, why, q850);
	reason.p = text;
	reason.l = strlen(text);
	reason.l += uint_write(text + reason.l, c->cdr.q850);
	return cancel_b(c, c->plan->sip->add_reason_header && c->cdr.q850
				   ? &reason
				   : NULL);
}

static int unanswered(void *obj, const struct message *msg)
{
	struct call *c = obj;
	(void)msg;

	return give_up_as(c, 487, CDR_NO_ANSWER, TIMED_OUT);
}

static int no_final_answer(void *obj, const struct message *msg)
{
	struct call *c = obj;
	(void)msg;

	return give_up_as(c, 408, CDR_NO_ANSWER, TIMED_OUT);
}

static int give_up(void *obj, const struct message *msg)
{
	struct call *c = obj;
	(void)msg;

	if (c->code)
		c->cdr.refused_step = place_call;
	return give_up_as(c, c->code ? c->code : 503,
			  c->code == 503 ? CDR_NO_CAPACITY : CDR_REFUSED,
			  cause_q850(c->code ? c->code : 503));
}

/* A request to the caller in an early dialog was answered 408 or 481, or not at
 * all: nobody waits for the called side any more */
static int caller_lost(void *obj, const struct message *msg)
{
	struct call *c = obj;
	(void)msg;

	return give_up_as(c, 480, CDR_TRANSPORT, BROKEN_UP);
}

/* A reliable 1xx without PRACK for 64*T1 (RFC 3262 3) */
static int unacknowledged(void *obj, const struct message *msg)
{
	struct call *c = obj;
	(void)msg;

	return give_up_as(c, 504, CDR_NO_ANSWER, TIMED_OUT);
}

/* Between the 487 and the end of leg B nobody waits any more. Without a final
 * answer within 64*T1 one may come still (behaviour.md 3.3) */
static int cancelled(void *obj, const struct message *msg)
{
	struct call *c = obj;

	if (!msg && c->hunt->now->leg && c->hunt->now->leg->invite)
		part(c, c->hunt->now->leg);
	return BOTH_GONE;
}

/* A challenge after CANCEL was acknowledged by its transaction; nothing more
 * leaves */

/* --- BYE ---------------------------------------------------------------- */

static void reason_line(struct call *c, const struct message *bye,
			struct mbuf *mb)
{
	struct mbuf *list = NULL;
	struct pl reason = reasons_of(bye, &list);

	if (reason.l) {
		(void)mbuf_write_str(mb, "Reason: ");
		(void)mbuf_write_pl(mb, &reason);
		(void)mbuf_write_str(mb, "\r\n");
	} else if (c->reason) {
		(void)mbuf_printf(mb, "Reason: SIP;cause=%u;text=\"%s\"\r\n",
				  c->reason, cause_phrase(c->reason));
	} else if (!bye && c->plan->sip->add_reason_header && c->cdr.q850) {
		(void)mbuf_printf(mb, "Reason: Q.850;cause=%u\r\n",
				  c->cdr.q850);
	}
	mem_deref(list);
}

static void bye_leg(struct call *c, struct leg *leg, const struct message *bye)
{
	struct mbuf extra;
	struct relay_setup setup = {
		.plan = c->plan,
		.list = &c->relays,
		.to = leg,
		.method = BYE,
		.user = c->home->relay_user,
		.arg = c,
	};

	if (!leg || !leg->confirmed || leg->closed)
		return;
	mbuf_init(&extra);
	reason_line(c, bye, &extra);
	setup.extra = bytes_of(&extra);
	if (!relay_start(NULL, &setup))
		c->byes++;
	mbuf_reset(&extra);
	leg_close(leg);
}

/* RFC 3261 15.1.2: pending requests get 487 */
static void unanswered_end(struct call *c)
{
	struct le *le = c->relays.head;

	c->reinvite = NULL;
	while (le) {
		struct relay *r = le->data;

		le = le->next;
		if (relay_is_open(r) || relay_method(r) == INVITE)
			relay_close(r, 487);
	}
	queue_end(&c->queue[SIDE_A], 487);
	queue_end(&c->queue[SIDE_B], 487);
}

/* RFC 3261 13.2.2.4: a 2xx whose answer nobody gives any more has its ACK still */
static void ack_at_last(struct leg *leg)
{
	if (leg && leg->ack_waits && !leg->closed)
		(void)leg_ack(leg, NULL, NULL);
}

/* The side that hung up has its 200; unanswered requests end with it */
static void closing(struct call *c)
{
	/* before that leg B is that of a hop, and may be gone with it */
	if (c->answered) {
		ack_at_last(c->a);
		ack_at_last(c->b);
	}
	timer_cancel(&c->ringing);
	timer_cancel(&c->limit);
	refresh_stop(&c->timers[SIDE_A]);
	refresh_stop(&c->timers[SIDE_B]);
	unanswered_end(c);
	if (c->transfer)
		c->home->transfer->over(c);
	if (!c->cdr.disconnect)
		c->cdr.disconnect = clock_ms();
}

static int byes_sent(const struct call *c)
{
	return c->byes ? 0 : BOTH_GONE;
}

static int bye_b(void *obj, const struct message *msg)
{
	struct call *c = obj;

	closing(c);
	cdr_end(&c->cdr, CDR_INGRESS, CDR_NORMAL, cdr_cause(msg));
	leg_close(c->a);
	bye_leg(c, c->b, msg);
	return byes_sent(c);
}

static int bye_a(void *obj, const struct message *msg)
{
	struct call *c = obj;

	closing(c);
	cdr_end(&c->cdr, CDR_EGRESS, CDR_NORMAL, cdr_cause(msg));
	leg_close(c->b);
	bye_leg(c, c->a, msg);
	return byes_sent(c);
}

static int bye_both(void *obj, const struct message *msg)
{
	struct call *c = obj;
	(void)msg;

	closing(c);
	cdr_end(&c->cdr, CDR_SBC, CDR_REFUSED, BROKEN_UP);
	bye_leg(c, c->a, NULL);
	bye_leg(c, c->b, NULL);
	return byes_sent(c);
}

static int media_silent(void *obj, const struct message *msg)
{
	struct call *c = obj;

	cdr_end(&c->cdr, CDR_SBC, CDR_MEDIA_TIMEOUT, BROKEN_UP);
	count(COUNT_MEDIA_EXP_EVENTS, 1);
	return bye_both(obj, msg);
}

/* 408, 481 or silence inside the dialog */
static int leg_dead(void *obj, const struct message *msg)
{
	struct call *c = obj;

	cdr_end(&c->cdr, CDR_SBC, CDR_TRANSPORT, BROKEN_UP);
	return bye_both(obj, msg);
}

static int life_ended(void *obj, const struct message *msg)
{
	struct call *c = obj;

	cdr_end(&c->cdr, CDR_SBC, CDR_SESSION_EXPIRED, TIMED_OUT);
	count(COUNT_EXPIRED_SESSIONS, 1);
	return bye_both(obj, msg);
}

/* A 2xx crossed the CANCEL: ACK and BYE, the caller keeps his 487 (3.3) */
static int answer_too_late(void *obj, const struct message *msg)
{
	struct call *c = obj;
	(void)msg;

	c->b = c->hunt->now->leg;
	(void)leg_ack(c->b, NULL, NULL);
	closing(c);
	leg_close(c->a);
	bye_leg(c, c->b, NULL);
	return byes_sent(c);
}

/* The same when it came in time and waited for a PRACK: what became of the
 * caller is said in code and reason */
static int held_end(struct call *c, uint16_t code)
{
	reply_a(c, code);
	if (!c->b->acked)
		(void)leg_ack(c->b, NULL, NULL);
	closing(c);
	leg_close(c->a);
	bye_leg(c, c->b, NULL);
	return byes_sent(c);
}

static int held_cancelled(void *obj, const struct message *msg)
{
	struct call *c = obj;

	cdr_end(&c->cdr, CDR_INGRESS, CDR_CANCELLED, given_up(msg));
	return held_end(c, 487);
}

static int held_unacknowledged(void *obj, const struct message *msg)
{
	struct call *c = obj;
	(void)msg;

	cdr_end(&c->cdr, CDR_SBC, CDR_NO_ANSWER, TIMED_OUT);
	return held_end(c, 504);
}

static int held_given_up(void *obj, const struct message *msg)
{
	struct call *c = obj;
	(void)msg;

	cdr_end(&c->cdr, CDR_SBC, CDR_REFUSED, BROKEN_UP);
	return held_end(c, 503);
}

/* One of both is dead before the answer went on; it is hung up all the same */
static int held_lost(void *obj, const struct message *msg)
{
	struct call *c = obj;
	(void)msg;

	cdr_end(&c->cdr, CDR_SBC, CDR_TRANSPORT, BROKEN_UP);
	return held_end(c, 480);
}

/* The called side hung up before its answer went on */
static int held_hung_up(void *obj, const struct message *msg)
{
	struct call *c = obj;

	cdr_end(&c->cdr, CDR_EGRESS, CDR_NO_ANSWER, cdr_cause(msg));
	leg_close(c->b);
	return held_end(c, 480);
}

/* The answer's SDP was useless: the caller has his 488, leg B is hung up */
static int media_bad(void *obj, const struct message *msg)
{
	struct call *c = obj;
	(void)msg;

	cdr_end(&c->cdr, CDR_SBC,
		c->cdr.status == 503 ? CDR_NO_CAPACITY : CDR_REFUSED,
		cause_q850(c->cdr.status));
	c->cdr.refused_step = place_call;
	closing(c);
	leg_close(c->a);
	bye_leg(c, c->b, NULL);
	return byes_sent(c);
}

/* --- ACK ---------------------------------------------------------------- */

/* The answer to an offer that went out in a 2xx; behaviour.md 3.2: without it
 * the call cannot be */
static int ack_media(struct call *c, struct leg *asked, struct leg *other,
		     const struct message *ack)
{
	struct mbuf *out = NULL;
	struct pl sdp, body = { 0 }, ctype;
	int err = EBADMSG;

	pl_set_str(&ctype, "application/sdp");
	if (body_sdp(ack, &sdp))
		err = media_answer(c->media, asked == c->a ? SIDE_A : SIDE_B,
				   &sdp, MEDIA_FINAL, &out);
	if (!err)
		body = bytes_of(out);
	(void)leg_ack(other, body.l ? &body : NULL, &ctype);
	mem_deref(out);
	return err;
}

static int pass_ack(void *obj, const struct message *msg)
{
	struct call *c = obj;

	if (c->b->ack_waits && ack_media(c, c->a, c->b, msg)) {
		cdr_end(&c->cdr, CDR_SBC, CDR_REFUSED, cause_q850(488));
		c->reason = 488;
		return MEDIA_BAD;
	}
	return 0;
}

static int lost_ack(void *obj, const struct message *msg)
{
	struct call *c = obj;

	cdr_end(&c->cdr, CDR_SBC, CDR_TRANSPORT, TIMED_OUT);
	if (c->b->ack_waits)
		(void)leg_ack(c->b, NULL, NULL);
	return bye_both(obj, msg);
}

/* --- The end ------------------------------------------------------------ */

static void record(const struct media_report *report, void *arg)
{
	struct call *c = arg;
	struct call_home *home = c->home;

	if (!c->cdr.disconnect)
		c->cdr.disconnect = clock_ms();
	accounting_close(&c->accounting);
	cdr_write(&c->cdr, report, c->worker->db);
	mem_deref(c);
	if (home->gone)
		home->gone(home);
}

/* The 2xx of another branch may come still, and must be ACKed and hung up */
static void leave(struct call *c, struct leg *leg)
{
	struct parting_setup setup;

	if (!leg || leg->arg != c)
		return;
	if (!leg->confirmed || (!leg->invite && !leg->orphan)) {
		leg_close(leg);
		return;
	}
	setup = parting_of(c, leg);
	if (leg == c->a)
		parting_wait(&setup, leg);
	else
		parting_begin(&setup, leg);
}

static int end(void *obj, const struct message *msg)
{
	struct call *c = obj;
	struct media *media = c->media;
	(void)msg;

	closing(c);
	list_flush(&c->relays);
	leave(c, c->hunt ? c->hunt->now->leg : c->b);
	early_forget(c);
	leave(c, c->a);
	if (c->hunt)
		hunt_finish(c->hunt);
	if (c->answered)
		gauge(COUNT_SESSIONS_ESTABLISHED, -1);
	log_info(SIPD, "call-end", "call=%" PRIu64 " status=%u reason=%s",
		 c->id, c->cdr.status,
		 cdr_reason_name((enum cdr_reason)c->cdr.reason));
	media_close(media, record, c);
	return 0;
}

/* --- The table ---------------------------------------------------------- */

/* clang-format off */
static const struct rule rules[] = {
	{ CALL_TRYING,     CALL_BEGIN,    first_hop,       CALL_TRYING     },
	{ CALL_TRYING,     HOP_FOUND,     sent,            CALL_TRYING     },
	{ CALL_TRYING,     NO_HOP,        refuse_a,        CALL_CLOSED     },
	{ CALL_TRYING,     B_PROGRESS,    pass_progress,   CALL_EARLY      },
	{ CALL_TRYING,     B_ANSWER,      pass_answer,     CALL_ANSWERED   },
	{ CALL_TRYING,     B_CHALLENGE,   prove,           CALL_PROVING    },  /* 22.2 */
	{ CALL_TRYING,     B_REFUSE,      next_hop,        CALL_TRYING     },
	{ CALL_TRYING,     TIMER_C,       no_final_answer, CALL_CANCELLING },  /* of hops tried together one rings */
	{ CALL_TRYING,     A_CANCEL,      caller_cancels,  CALL_CANCELLING },  /* 9.2 */
	{ CALL_TRYING,     A_LOST,        caller_lost,     CALL_CANCELLING },
	{ CALL_TRYING,     TIMER_EXPIRES, unanswered,     CALL_CANCELLING },
	{ CALL_TRYING,     OPERATOR,      give_up,         CALL_CANCELLING },
	{ CALL_EARLY,      HOP_FOUND,     sent,            CALL_EARLY      },  /* beside one that rings */
	{ CALL_EARLY,      B_PROGRESS,    pass_progress,   CALL_EARLY      },
	{ CALL_EARLY,      B_ANSWER,      pass_answer,     CALL_ANSWERED   },
	{ CALL_TRYING,     B_ANSWER_EARLY, hold_answer,    CALL_HELD       },  /* another hop rang */
	{ CALL_TRYING,     NO_PRACK,      unacknowledged,  CALL_CANCELLING },
	{ CALL_EARLY,      B_ANSWER_EARLY, hold_answer,    CALL_HELD       },  /* RFC 3262 3 */
	{ CALL_EARLY,      NO_PRACK,      unacknowledged,  CALL_CANCELLING },
	{ CALL_EARLY,      MEDIA_BAD,     give_up,         CALL_CANCELLING },
	{ CALL_EARLY,      B_CHALLENGE,   prove,           CALL_PROVING    },
	{ CALL_EARLY,      B_REFUSE,      next_hop,        CALL_TRYING     },
	{ CALL_EARLY,      A_CANCEL,      caller_cancels,  CALL_CANCELLING },
	{ CALL_EARLY,      A_LOST,        caller_lost,     CALL_CANCELLING },
	{ CALL_EARLY,      TIMER_C,       no_final_answer, CALL_CANCELLING },  /* 16.8 */
	{ CALL_EARLY,      TIMER_EXPIRES, unanswered,     CALL_CANCELLING },
	{ CALL_EARLY,      OPERATOR,      give_up,         CALL_CANCELLING },
	{ CALL_HELD,       A_PRACK,       pass_held,       CALL_ANSWERED   },
	{ CALL_HELD,       NO_PRACK,      held_unacknowledged, CALL_CLOSING },
	{ CALL_HELD,       A_CANCEL,      held_cancelled,  CALL_CLOSING    },
	{ CALL_HELD,       B_BYE,         held_hung_up,    CALL_CLOSING    },
	{ CALL_HELD,       A_LOST,        held_lost,       CALL_CLOSING    },
	{ CALL_HELD,       B_LOST,        held_lost,       CALL_CLOSING    },
	{ CALL_HELD,       MEDIA_BAD,     held_given_up,   CALL_CLOSING    },
	{ CALL_HELD,       OPERATOR,      held_given_up,   CALL_CLOSING    },
	{ CALL_PROVING,    PROOF,         send_again,      CALL_TRYING     },
	{ CALL_PROVING,    B_REFUSE,      next_hop,        CALL_TRYING     },  /* ... by stop-recurse */
	{ CALL_PROVING,    NO_PROOF,      refuse_a,        CALL_CLOSED     },  /* the trunk's 401 or 407 */
	{ CALL_PROVING,    A_CANCEL,      drop_proof,      CALL_CLOSED     },
	{ CALL_PROVING,    OPERATOR,      drop_proof,      CALL_CLOSED     },
	{ CALL_CANCELLING, B_REFUSE,      cancelled,       CALL_CLOSED     },  /* any failure, or none in 64*T1 */
	{ CALL_CANCELLING, B_CHALLENGE,   cancelled,       CALL_CLOSED     },
	{ CALL_CANCELLING, NO_HOP,        cancelled,       CALL_CLOSED     },
	{ CALL_CANCELLING, B_ANSWER,      answer_too_late, CALL_CLOSING    },  /* 200 crossed CANCEL */
	{ CALL_ANSWERED,   A_ACK,         pass_ack,        CALL_TALKING    },
	{ CALL_ANSWERED,   MEDIA_BAD,     media_bad,       CALL_CLOSING    },
	{ CALL_ANSWERED,   A_LOST,        lost_ack,        CALL_CLOSING    },  /* 13.3.1.4 */
	{ CALL_ANSWERED,   B_LOST,        leg_dead,        CALL_CLOSING    },
	{ CALL_ANSWERED,   A_BYE,         bye_b,           CALL_CLOSING    },
	{ CALL_ANSWERED,   B_BYE,         bye_a,           CALL_CLOSING    },
	{ CALL_ANSWERED,   MEDIA_LOST,    media_silent,    CALL_CLOSING    },
	{ CALL_ANSWERED,   LIFE_OVER,     life_ended,      CALL_CLOSING    },
	{ CALL_ANSWERED,   OPERATOR,      bye_both,        CALL_CLOSING    },
	{ CALL_TALKING,    MEDIA_BAD,     bye_both,        CALL_CLOSING    },
	{ CALL_TALKING,    A_BYE,         bye_b,           CALL_CLOSING    },
	{ CALL_TALKING,    B_BYE,         bye_a,           CALL_CLOSING    },
	{ CALL_TALKING,    A_LOST,        leg_dead,        CALL_CLOSING    },  /* 12.2.1.2 */
	{ CALL_TALKING,    B_LOST,        leg_dead,        CALL_CLOSING    },
	{ CALL_TALKING,    MEDIA_LOST,    media_silent,    CALL_CLOSING    },
	{ CALL_TALKING,    LIFE_OVER,     life_ended,      CALL_CLOSING    },
	{ CALL_TALKING,    OPERATOR,      bye_both,        CALL_CLOSING    },
	{ CALL_CLOSING,    BOTH_GONE,     end,             CALL_CLOSED     },
	{ CALL_CLOSED,     BOTH_GONE,     end,             CALL_CLOSED     },
	{ 0 }
};

static const char *const states[] = {
	"TRYING", "EARLY", "HELD", "PROVING", "CANCELLING", "ANSWERED", "TALKING",
	"CLOSING", "CLOSED", NULL
};
static const char *const events[] = {
	"", "BEGIN", "HOP_FOUND", "NO_HOP", "B_PROGRESS", "B_ANSWER",
	"B_ANSWER_EARLY", "B_CHALLENGE", "B_REFUSE", "PROOF", "NO_PROOF",
	"MEDIA_BAD", "A_PRACK", "NO_PRACK", "A_CANCEL", "TIMER_C", "TIMER_EXPIRES", "A_ACK", "A_LOST", "A_BYE",
	"B_BYE", "B_LOST", "MEDIA_LOST", "LIFE_OVER", "OPERATOR", "BOTH_GONE",
	NULL
};
/* clang-format on */

const struct machine call_machine = { "call", rules, states, events };

/* --- What the legs say -------------------------------------------------- */

static void leg_a(struct leg *leg, enum leg_event ev, const struct message *msg,
		  void *arg)
{
	struct call *c = arg;

	switch (ev) {

	case LEG_CANCEL:
		if (c->reinvite) {
			struct mbuf *list = NULL;
			struct pl reason = reasons_of(msg, &list);

			relay_cancel(c->reinvite, reason.l ? &reason : NULL);
			mem_deref(list);
			break;
		}
		call_feed(c, A_CANCEL, msg);
		break;

	case LEG_LOST:
		call_feed(c, leg == c->a ? A_LOST : B_LOST, NULL);
		break;

	case LEG_TRYING:
	case LEG_PROGRESS:
	case LEG_ANSWER:
	case LEG_OTHER:
	case LEG_REFUSE:
	case LEG_ACK:
		break;
	}
}

/* The dialog of the 2xx is that of the legs from now on */
static void answer_came(struct call *c, struct leg *leg,
			const struct message *msg)
{
	struct early_call all = early_of(c, leg);
	struct pl elsewhere;

	c->b = leg;
	if (early_choose(&all, msg)) {
		leg->code = 503;
		call_feed(c, B_REFUSE, NULL);
		return;
	}
	pl_set_str(&elsewhere,
		   "SIP;cause=200;text=\"Call completed elsewhere\"");
	hunt_keep_one(c->hunt,
		      c->plan->sip->add_reason_header ? &elsewhere : NULL);
	if (!list_isempty(&c->hunt->more))
		/* the one that won, not the one that was sent to last */
		account_placed(&c->cdr, c->hunt);
	call_feed(c,
		  c->state <= CALL_EARLY && prack_blocks(c->a) ? B_ANSWER_EARLY
							       : B_ANSWER,
		  msg);
}

static void leg_b(struct leg *leg, enum leg_event ev, const struct message *msg,
		  void *arg)
{
	struct call *c = arg;

	/* of a hop: which one; after that the leg is that of the dialog */
	if (!leg->confirmed && c->hunt && hunt_turn(c->hunt, leg))
		c->b = leg;

	switch (ev) {

	case LEG_TRYING:
		if (c->state <= CALL_EARLY && !timer_is_running(&c->ringing))
			timer_c_start(c);
		break;

	case LEG_PROGRESS:
		call_feed(c, B_PROGRESS, msg);
		break;

	case LEG_ANSWER:
		answer_came(c, leg, msg);
		break;

	case LEG_OTHER:
		hang_up(c, leg, msg);
		break;

	case LEG_REFUSE:
		early_dead(c, leg);
		if (msg && (msg->code == 401 || msg->code == 407)) {
			call_feed(c, B_CHALLENGE, msg);
			break;
		}
		if (msg)
			hunt_agent_answered(c->hunt, msg->code);
		else
			hunt_agent_silent(c->hunt);
		if (msg)
			accepted(c, msg);
		if (msg && is_raised(c, msg))
			break;
		call_feed(c, B_REFUSE, msg);
		break;

	case LEG_CANCEL:
	case LEG_LOST:
	case LEG_ACK:
		leg_a(leg, ev, msg, arg);
		break;
	}
}

static void media_news(enum media_news news, void *arg)
{
	struct call *c = arg;

	switch (news) {

	case MEDIA_SILENT:
		call_feed(c, MEDIA_LOST, NULL);
		break;
	}
}

static struct leg **slot(struct call *c, enum side side)
{
	return side == SIDE_A ? &c->a : &c->b;
}

static void leg_settle(struct call *c, enum side side)
{
	struct leg *leg = *slot(c, side);

	leg->arg = c;
	leg->h = side == SIDE_A ? leg_a : leg_b;
	(void)leg_waits(leg, NULL, NULL);
	if (side == SIDE_A)
		return;
	if (c->hunt)
		c->hunt->now->leg = leg;
	else
		c->found.leg = leg;
}

static bool plan_is_kept(const struct call *c, const struct plan *plan)
{
	for (uint32_t i = 0; i < c->lent_n; i++)
		if (c->lent[i] == plan)
			return true;

	return plan == c->plan;
}

bool call_may_lend(const struct call *c, const struct call *other)
{
	uint32_t n = c->lent_n + !plan_is_kept(c, other->plan);

	for (uint32_t i = 0; i < other->lent_n; i++)
		n += !plan_is_kept(c, other->lent[i]);

	return n <= PLANS_LENT;
}

static void plan_keep(struct call *c, const struct plan *plan)
{
	if (!plan_is_kept(c, plan) && c->lent_n < PLANS_LENT)
		c->lent[c->lent_n++] = plan_take(plan);
}

static void plans_keep(struct call *c, const struct call *other)
{
	plan_keep(c, other->plan);
	for (uint32_t i = 0; i < other->lent_n; i++)
		plan_keep(c, other->lent[i]);
}

void call_swap(struct call *c, enum side side, struct call *other,
	       enum side other_side)
{
	struct leg **x = slot(c, side), **y = slot(other, other_side);
	struct leg *leg = *x;

	/* Branches that lost know the legs of their own call */
	early_forget(c);
	early_forget(other);

	plans_keep(c, other);
	plans_keep(other, c);
	*x = *y;
	*y = leg;
	leg_settle(c, side);
	leg_settle(other, other_side);
}

int call_media(struct media **mp, struct call *c, enum side side,
	       const struct leg *mine, const struct leg *others)
{
	struct media_setup setup = { .worker = c->worker, .plan = c->plan };

	setup.realm[side] = mine->realm;
	setup.peer[side] = mine->to.dst;
	setup.realm[!side] = others->realm;
	setup.peer[!side] = others->to.dst;
	return media_alloc(mp, &setup, media_news, c);
}

bool call_is_a(const struct call *c, const struct leg *leg)
{
	return leg == c->a || (leg->early && leg->early->a == leg);
}

struct leg *call_other(const struct leg *leg)
{
	const struct call *c = leg->arg;

	if (leg->early)
		return early_other(leg);
	return leg == c->a ? c->b : c->a;
}

void call_ack(struct leg *leg, const struct message *msg)
{
	struct call *c = leg->arg;
	struct leg *other = leg == c->a ? c->b : c->a;

	/* One of before, that came late or twice, acknowledges nothing new */
	if (!leg->answer || msg->cseq < leg->answer_cseq)
		return;
	leg->answer = mem_deref(leg->answer);

	if (c->state == CALL_ANSWERED && leg == c->a) {
		call_feed(c, A_ACK, msg);
		return;
	}
	if (other && other->ack_waits && ack_media(c, leg, other, msg)) {
		c->reason = 488;
		call_feed(c, MEDIA_BAD, NULL);
	}
}

static void pracked(void *arg)
{
	call_feed(arg, A_PRACK, NULL);
}

/* The event may be the end of the call, under the feet of its queue */
void call_prack(struct call *c)
{
	if (c->state == CALL_HELD && !prack_blocks(c->a))
		timer_start(&c->ringing, 0, pracked, c);
}

void call_end(struct call *c, enum cdr_party by, enum cdr_reason reason)
{
	if (c->state >= CALL_CLOSING)
		return;
	cdr_end(&c->cdr, by, reason,
		reason == CDR_NORMAL     ? CLEARED
		: reason == CDR_SHUTDOWN ? BROKEN_UP
					 : UNSPECIFIED);
	call_feed(c, OPERATOR, NULL);
}

/* --- Beginning ---------------------------------------------------------- */

static void destructor(void *data)
{
	struct call *c = data;

	for (int i = 0; i < CALL_WALKERS; i++)
		if (c->home->next[i] == &c->le)
			c->home->next[i] = c->le.next;
	list_unlink(&c->le);
	if (c->transfer)
		c->home->transfer->forget(c);
	if (c->by_id_entered)
		table_remove(&c->home->ids, &c->by_id);
	timer_cancel(&c->ringing);
	timer_cancel(&c->limit);
	refresh_stop(&c->timers[SIDE_A]);
	refresh_stop(&c->timers[SIDE_B]);
	queue_end(&c->queue[SIDE_A], 0);
	queue_end(&c->queue[SIDE_B], 0);
	timer_cancel(&c->accounting.timer);
	list_flush(&c->accounting.later);
	list_flush(&c->relays);
	list_flush(&c->early);
	mem_deref(c->hunt);
	found_clear(&c->found);
	mem_deref(c->a);
	mem_deref(c->held);
	mem_deref(c->media);
	mem_deref(c->credentials);
	seat_give(&c->seat);
	if (c->pbx)
		surrogates_call(c->worker->surrogates, c->pbx, -1);
	cdr_clear(&c->cdr);
	plan_give(c->plan);
	while (c->lent_n)
		plan_give(c->lent[--c->lent_n]);
	gauge(COUNT_SESSIONS, -1);
}

static void expires_over(void *arg)
{
	call_feed(arg, TIMER_EXPIRES, NULL);
}

static const struct leg *lent_leg(const struct call_setup *setup)
{
	if (!setup->lender)
		return NULL;
	return setup->lent == SIDE_A ? setup->lender->a : setup->lender->b;
}

static int media_make(struct call *c, const struct call_setup *setup)
{
	struct media_setup media = {
		.worker = c->worker,
		.plan = c->plan,
		.realm = { setup->source.realm, setup->route->hops[0].realm },
		.peer = { setup->from.src },
		.emergency = hop_is_emergency(&setup->route->hops[0]),
		.early_media_allow =
			setup->source.agent
				? setup->source.agent->early_media_allow
				: AGENT_EARLY_MEDIA_ALLOW_EMPTY,
	};

	const struct leg *lent = lent_leg(setup);
	int err;

	if (lent) {
		media.realm[SIDE_A] = lent->realm;
		media.peer[SIDE_A] = lent->to.dst;
	}
	err = media_alloc(&c->media, &media, media_news, c);
	if (err || !lent)
		return err;
	media_keep(c->media);
	media_continue(c->media, SIDE_A, setup->lender->media, setup->lent);
	return 0;
}

static int leg_a_make(struct call *c, const struct call_setup *setup)
{
	const struct sip_config *sip = c->plan->sip;
	struct leg_setup leg = {
		.worker = c->worker,
		.tables = &c->home->tables,
		.plan = c->plan,
		.realm = setup->source.realm,
		.parties =
			methods_parties(c->worker->methods, setup->source.agent,
					setup->source.realm),
		.port = setup->from.port,
		.expire = sip->trans_expire * 1000,
		.h = leg_a,
		.arg = c,
	};

	struct arrival from = setup->from;
	const struct leg *lent = lent_leg(setup);

	int err;

	/* It stands in until the other one comes; nothing is sent to it */
	if (lent) {
		leg.plan = lent->plan;
		leg.realm = lent->realm;
		leg.parties = lent->parties;
		leg.port = from.port = lent->port;
		from.src = lent->to.dst;
		from.conn = lent->to.conn;
	}
	err = leg_accept(&c->a, &leg, &from, setup->invite);
	if (!err)
		c->a->standin = lent != NULL;
	return err;
}

/* Takes over the route */
static void hunt_fill(struct call *c, const struct call_setup *setup)
{
	struct hunt *hunt = c->hunt;
	struct pl sdp;

	hunt->worker = c->worker;
	hunt->plan = c->plan;
	hunt->tables = &c->home->tables;
	hunt->invite = mem_ref((void *)setup->invite);
	hunt->from = setup->from;
	hunt->source = setup->source;
	hunt->at = setup->at;
	hunt->owner = setup->owner;
	hunt->called = setup->called;
	hunt->media = c->media;
	hunt->has_offer = body_sdp(setup->invite, &sdp);
	hunt->route = setup->route;
	hunt->leg_h = leg_b;
	hunt->drop = branch_lost;
	hunt->edit = hop_edit;
	hunt->h = hunted;
	hunt->arg = c;
}

static void account_call(struct call *c)
{
	const struct account_request request = {
		.msg = c->hunt->invite,
		.plan = c->plan,
		.source = &c->source,
		.from = &c->hunt->from,
		.owner = &c->owner,
		.called = &c->called,
	};

	account_begin(&c->cdr, &request);
	accounting_open(&c->accounting, &c->cdr, &c->media, c->plan,
			c->worker->db);
}

uint16_t call_place(const struct call_setup *setup)
{
	uint64_t expires = expires_of(setup->invite);
	struct call *c;
	int err = 0;

	c = mem_zalloc(sizeof(*c), destructor);
	if (!c)
		return 503;
	gauge(COUNT_SESSIONS, 1);
	c->home = setup->home;
	c->worker = setup->home->worker;
	c->plan = plan_take(setup->plan);
	c->id = random_u64() >> 1;
	c->source = setup->source;
	c->owner = setup->owner;
	c->called = setup->called;
	for (int side = SIDE_A; side <= SIDE_B; side++) {
		queue_init(&c->queue[side], c->plan->sip->max_timer,
			   c->home->serve[side], c);
		refresh_init(&c->timers[side], timer_news, c);
	}

	if (setup->lender && call_may_lend(c, setup->lender))
		plans_keep(c, setup->lender);
	else if (setup->lender)
		err = ENOMEM;
	if (!err)
		err = hunt_alloc(&c->hunt);
	if (!err)
		err = media_make(c, setup);
	if (!err)
		err = leg_a_make(c, setup);
	if (!err)
		err = table_add(&c->home->ids, &c->by_id,
				hash_bytes(&c->id, sizeof(c->id)));
	if (err) {
		mem_deref(c);
		return err == EBADMSG ? 400 : 503;
	}

	c->by_id_entered = true;
	list_append(&c->home->calls, &c->le, c);
	c->seat = setup->seat;
	hunt_fill(c, setup);
	c->cdr.id = c->id;
	account_call(c);
	c->pbx = c->owner.agent ? c->owner.agent : c->called.agent;
	if (c->pbx)
		surrogates_call(c->worker->surrogates, c->pbx, 1);
	refresh_use(&c->timers[SIDE_A], refresh_profile(c->plan, c->a->realm));
	refresh_asked(&c->timers[SIDE_A], setup->invite);
	c->a->asked = setup->transaction;
	if (setup->transaction)
		transaction_handler(setup->transaction, leg_transaction, c->a);
	if (setup->lender) {
		c->trying = true;
		c->watch = setup->watch;
		c->watch_arg = setup->watch_arg;
		*setup->placed = c;
	}
	if (expires)
		timer_start(&c->limit, expires, expires_over, c);

	call_feed(c, CALL_BEGIN, NULL);
	return 0;
}
