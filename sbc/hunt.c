/*
 * Hops and targets tried in order until one takes the request
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include "store/log.h"
#include "store/number.h"
#include "policy/agent_uri.h"
#include "policy/body.h"
#include "policy/cause.h"
#include "sbc/bulletin.h"
#include "sbc/clock.h"
#include "sbc/counters.h"
#include "sbc/doors.h"
#include "sbc/hunt.h"
#include "sbc/refusals.h"
#include "sbc/outage.h"
#include "sbc/shun.h"

/* behaviour.md 2.5: so long a 503 keeps new calls away at most */
enum {
	NEXT_HOP_OUT = 30, /* a silent customer next hop (4.9) [s] */
	AVOID_MOST = 60    /* [s] */
};

/* A call that wakes its agent up waits for the registration (4.8) */
enum {
	PATIENCE = 4000 /* [ms] */
};

/* dialog-transparency: CSeq of a hop begins so far behind the hop before, and none
 * is above 2^31 (RFC 3261 8.1.1.5) */
enum {
	CSEQ_STEP = 16,
	CSEQ_MASK = 0x3fffffff
};

/* Is it a call? Other requests take no session, and have no media */
static bool is_call(const struct hunt *hunt)
{
	return hunt->invite->method_id == INVITE;
}

/* --- What the caller gets ----------------------------------------------- */

void hunt_end(struct hunt *hunt, uint16_t code, const struct message *msg)
{
	mem_deref(hunt->best);
	hunt->best = mem_ref((void *)msg);
	hunt->code = code;
	hunt->lack = LACK_NONE;
	hunt->retry_after = 0;
	hunt->phrase.l = 0;
}

/* Reasons of our own count only while nobody has answered (behaviour.md 2.9) */
static void own_reason(struct hunt *hunt, uint16_t code, enum hunt_lack lack,
		       uint32_t retry_after)
{
	if (hunt->best || hunt->code == 408)
		return;
	/* A transport error says less than a skipped hop, a name less still */
	if (hunt->code && code == 404)
		return;
	hunt->code = code;
	hunt->lack = (uint8_t)lack;
	hunt->retry_after = retry_after;
	hunt->phrase.l = 0;
}

/* The name leads nowhere, or DNS is silent and nothing is cached */
static void name_failed(struct hunt *hunt, int err)
{
	count(COUNT_POLICY_HOP_FAILURES, 1);
	own_reason(hunt, err == ENOENT ? 404 : 503, LACK_ROUTE,
		   err == ETIMEDOUT ? 5 : 0);
}

static void note_failure(struct hunt *hunt, uint16_t code,
			 const struct message *msg)
{
	if (!msg) {
		own_reason(hunt, code, code == 408 ? LACK_ANSWER : LACK_WAY, 0);
		return;
	}
	if (!hunt->best || cause_is_better(hunt->best->code, code))
		hunt_end(hunt, code, msg);
}

/* --- One hop ------------------------------------------------------------ */

static void agent_let_go(struct branch *b)
{
	seat_give(&b->seat);
	b->agent = NULL;
}

/* A call was answered, or ended without: what min-asr counts */
static void call_counts(struct hunt *hunt, uint16_t code)
{
	if (is_call(hunt) && code >= 200 && code != 401 && code != 407)
		seat_called(&hunt->now->seat, code < 300);
}

static void is_out(struct hunt *hunt, bool out)
{
	if (out)
		bulletin_agent_gone(hunt->worker, hunt->now->hop.agent, NULL);
}

/* --- Branches: routes of equal cost are tried together (behaviour.md 2.4) --- */

static void branch_finish(struct branch *b)
{
	resolve_cancel(b->resolving);
	b->resolving = NULL;
	b->out = mem_deref(b->out);
	mbuf_reset(&b->scratch);
	b->contact = mem_deref(b->contact);
	b->ruri = mem_deref(b->ruri);
	b->lines = mem_deref(b->lines);
	b->offer = mem_deref(b->offer);
	tries_reset(&b->tries);
}

static void branch_destructor(void *arg)
{
	struct branch *b = arg;

	list_unlink(&b->le);
	branch_finish(b);
	agent_let_go(b);
	mem_deref(b->leg);
}

/* The first, then those beside it; NULL at the end */
static struct branch *branch_next(const struct hunt *hunt,
				  const struct branch *b)
{
	struct le *le = b == &hunt->first ? hunt->more.head : b->le.next;

	return le ? le->data : NULL;
}

/* One that is free; NULL without memory */
static struct branch *branch_idle(struct hunt *hunt)
{
	struct branch *b;

	for (b = &hunt->first; b; b = branch_next(hunt, b)) {
		if (!b->live)
			return b;
	}

	b = mem_zalloc(sizeof(*b), branch_destructor);
	if (!b)
		return NULL;
	b->hunt = hunt;
	list_append(&hunt->more, &b->le, b);

	return b;
}

static bool is_sent(const struct branch *b)
{
	return b->live && b->leg && b->leg->invite;
}

/* Another one that is under way, one that was sent before others; NULL: none */
static struct branch *branch_other(const struct hunt *hunt)
{
	struct branch *found = NULL, *b = (struct branch *)&hunt->first;

	for (; b; b = branch_next(hunt, b)) {
		if (b != hunt->now && b->live &&
		    (!found || (is_sent(b) && !is_sent(found))))
			found = b;
	}

	return found;
}

/* Is it tried, or about to be, at an address of this family in this realm? */
static bool is_tried_at(const struct branch *b, const struct realm *realm,
			int af)
{
	return b->live && b->hop.realm == realm && b->target < b->targets.n &&
	       sa_af(&b->targets.addr[b->target]) == af;
}

/* Is nobody left where it was tried, but elsewhere? Then its ports go back */
static void media_part(const struct branch *b)
{
	static const int families[] = { AF_INET, AF_INET6 };
	const struct hunt *hunt = b->hunt;

	if (!hunt->media || list_isempty(&hunt->more))
		return;
	for (size_t i = 0; i < 2; i++) {
		const struct branch *o;
		bool others = false, here = false;

		for (o = &hunt->first; o; o = branch_next(hunt, o)) {
			others = others || o->live;
			here = here ||
			       is_tried_at(o, b->hop.realm, families[i]);
		}
		if (others && !here)
			media_leave(hunt->media, b->hop.realm, families[i]);
	}
}

static void branch_drop(struct hunt *hunt, struct branch *b,
			const struct pl *reason)
{
	b->live = false;
	resolve_cancel(b->resolving);
	b->resolving = NULL;
	agent_let_go(b);
	if (b->leg && hunt->drop)
		hunt->drop(b->leg, reason, hunt->arg);
	b->leg = mem_deref(b->leg);
	media_part(b);
}

static void others_drop(struct hunt *hunt, const struct pl *reason)
{
	struct branch *other;

	while ((other = branch_other(hunt)))
		branch_drop(hunt, other, reason);
}

bool hunt_turn(struct hunt *hunt, const struct leg *leg)
{
	for (struct branch *b = &hunt->first; b; b = branch_next(hunt, b)) {
		if (b->leg != leg)
			continue;
		hunt->now = b;
		return true;
	}

	return false;
}

const struct branch *hunt_branch(const struct hunt *hunt, const struct leg *leg)
{
	const struct branch *b = leg ? &hunt->first : NULL;

	while (b && !(b->leg && leg_is_twin(b->leg, leg)))
		b = branch_next(hunt, b);

	return b ? b : hunt->now;
}

bool hunt_is_forked(const struct hunt *hunt)
{
	return branch_other(hunt) != NULL;
}

void hunt_keep_one(struct hunt *hunt, const struct pl *reason)
{
	struct branch *other = branch_other(hunt);

	if (other && is_sent(other) && !is_sent(hunt->now)) {
		struct branch *unsent = hunt->now;

		hunt->now = other;
		branch_drop(hunt, unsent, reason);
	}
	others_drop(hunt, reason);
}

void hunt_agent_answered(struct hunt *hunt, uint16_t code)
{
	struct branch *b = hunt->now;

	call_counts(hunt, code);
	if (!b->agent)
		return;
	is_out(hunt, outage_answered(b->agent, code,
				     (uint32_t)(clock_ms() - b->sent)));
}

/* No answer, or no connection where that was its last address */
void hunt_agent_silent(struct hunt *hunt)
{
	struct branch *b = hunt->now;
	bool unreachable = b->leg && b->leg->code == 503 &&
			   b->leg->to.transport != TRANSPORT_UDP &&
			   b->target + 1 >= b->targets.n;

	call_counts(hunt, 408);
	if (!b->agent)
		return;
	is_out(hunt, unreachable ? outage_unreachable(b->agent)
				 : outage_silent(b->agent));
}

/* Is this hop the registrar of the call's owner (behaviour.md 2.1, 5.2)? */
static void compare_registrar(struct hunt *hunt,
			      const struct registration_view *view)
{
	struct hop registrar;

	hunt->now->to_trunk = hunt->now->to_registrar = false;
	if (!hunt->owner.agent ||
	    plan_registrar(hunt->plan, hunt->owner.agent, &registrar))
		return;
	hunt->now->to_trunk = registrar.realm == hunt->now->hop.realm;
	if (!hunt->now->to_trunk)
		return;
	hunt->now->to_registrar =
		(!hunt->now->hop.policy && !hunt->now->hop.redirected) ||
		(hunt->now->hop.agent &&
		 hunt->now->hop.agent == registrar.agent) ||
		host_equal(&hunt->now->hop.host, &registrar.host);
	(void)view;
}

/* A call to the PBX of the called AoR, and not by a local-policy? */
static bool is_to_pbx(const struct hunt *hunt)
{
	const struct hop *hop = &hunt->now->hop;

	return hunt->called.agent && !hop->policy && !hop->redirected;
}

/* behaviour.md 4.9 */
static uint16_t unreachable_code(const struct surrogate_agent *agent)
{
	struct pl text;
	uint64_t code;

	if (agent->register_mode != REGISTER_MODE_TRIGGERED)
		return 480;
	pl_set_str(&text, agent->triggered_oos_response);
	if (is_word(&text, "dropresponse"))
		return HUNT_SILENCE;

	return uint_parse(&code, &text, 699) ? 480 : (uint16_t)code;
}

/* Skipped as out of service: what the caller gets if nothing else works
 * (behaviour.md 2.9; 4.9 for a customer next hop) */
static void offline(struct hunt *hunt)
{
	uint16_t code = 503;

	if (is_to_pbx(hunt))
		code = unreachable_code(hunt->called.agent);
	own_reason(hunt, code, LACK_ROUTE,
		   code == 503 ? hunt->plan->sip->retry_after_upon_offline : 0);
}

bool hop_is_emergency(const struct hop *hop)
{
	return hop->policy &&
	       hop->policy->policy_priority == PRIORITY_EMERGENCY;
}

/* Sessions and rates of those on the way out (behaviour.md 1.5) */
static bool hop_has_room(struct hunt *hunt)
{
	struct branch *b = hunt->now;
	const struct limits_query q = {
		.worker = hunt->worker,
		.interface = b->hop.realm->interface,
		.realm = b->hop.realm,
		.agent = b->agent,
		.d = OUTBOUND,
		.method = hunt->invite->method_id,
		.forced = hop_is_emergency(&b->hop),
	};
	struct parties parties;
	uint32_t ignored;

	if (!limits_take(&b->seat, &q, &ignored))
		return true;
	b->agent = NULL;
	count(COUNT_POLICY_SKIPPED_CONSTRAINT, 1);
	parties = methods_parties(hunt->worker->methods, b->hop.agent,
				  b->hop.realm);
	transactions_throttled(hunt->worker->transactions, NULL, &parties,
			       q.method, AS_CLIENT);
	own_reason(hunt, 503, LACK_ROOM,
		   hunt->plan->sip->retry_after_upon_offline);

	return false;
}

/* May the present hop be tried? Takes a session of its session-agent */
static bool hop_admits(struct hunt *hunt)
{
	struct registration_view view;
	uint64_t now = clock_ms();

	memset(&view, 0, sizeof(view));
	if (hunt->owner.agent)
		(void)surrogates_by_owner(hunt->worker->surrogates,
					  &hunt->owner, &view);
	compare_registrar(hunt, &view);

	/* behaviour.md 4.4: routes of an AoR whose credentials the registrar
	 * refused count as out of service, of nobody else */
	if (hunt->now->to_registrar && view.refused) {
		count(COUNT_POLICY_SKIPPED_OOS, 1);
		own_reason(hunt, 503, LACK_LEAVE,
			   hunt->plan->sip->retry_after_upon_offline);
		if (!hunt->best && hunt->code == 503)
			pl_set_str(&hunt->phrase, "Registration Refused");
		return false;
	}

	hunt->now->agent =
		agents_find(hunt->worker->agents, hunt->now->hop.agent);
	if (hunt->now->agent && !agent_usable(hunt->now->agent, now)) {
		hunt->now->agent = NULL;
		count(COUNT_POLICY_SKIPPED_OOS, 1);
		offline(hunt);
		return false;
	}

	return hop_has_room(hunt);
}

static enum hunt_verdict target_try(struct hunt *hunt);
static enum hunt_verdict hop_next(struct hunt *hunt);

/* The present branch is over, or waits: what becomes of the search */
static enum hunt_verdict go_on(struct hunt *hunt)
{
	struct branch *other;

	if (!hunt->now->live) {
		other = branch_other(hunt);
		if (!other)
			return hop_next(hunt);
		hunt->now = other;
	}

	return is_sent(hunt->now) ? HUNT_SENT : HUNT_WAITS;
}

static void branch_over(struct branch *b)
{
	b->live = false;
	agent_let_go(b);
	media_part(b);
}

/* The target of the registration failed and shall not be met again by DNS */
static void met_remove(struct branch *b)
{
	struct resolved *t = &b->targets;
	uint32_t n = 0;

	for (uint32_t i = 0; i < t->n; i++) {
		if (b->unbound && t->transport[i] == b->met.transport &&
		    sa_cmp(&t->addr[i], &b->met.dst, SA_ALL))
			continue;
		t->addr[n] = t->addr[i];
		t->transport[n++] = t->transport[i];
	}
	t->n = n;
}

/* transport-method UDP+TCP: where UDP failed everywhere, TCP is tried */
static void also_by_tcp(struct branch *b)
{
	const struct session_agent *agent = b->hop.agent;
	struct resolved *t = &b->targets;
	uint32_t n = t->n;

	if (!agent || agent->transport_method != TRANSPORT_METHOD_UDP_TCP)
		return;
	for (uint32_t i = 0; i < n && t->n < RESOLVE_TARGETS; i++) {
		if (t->transport[i] != TRANSPORT_UDP ||
		    !realm_endpoint(b->hop.realm, &t->addr[i], TRANSPORT_TCP))
			continue;
		t->addr[t->n] = t->addr[i];
		t->transport[t->n++] = TRANSPORT_TCP;
	}
}

static void resolved_later(int err, const struct resolved *found, void *arg)
{
	struct branch *b = arg;
	struct hunt *hunt = b->hunt;
	enum hunt_verdict v = HUNT_EMPTY;

	hunt->now = b;
	b->resolving = NULL;
	if (err) {
		name_failed(hunt, err);
		branch_over(b);
	} else {
		b->targets = *found;
		also_by_tcp(b);
		met_remove(b);
		v = target_try(hunt);
	}
	if (v == HUNT_EMPTY)
		v = go_on(hunt);
	hunt->h(v, hunt->arg);
}

static void one_target(struct hunt *hunt, const struct sa *dst,
		       uint8_t transport)
{
	hunt->now->targets.addr[0] = *dst;
	hunt->now->targets.transport[0] = transport;
	hunt->now->targets.n = 1;
}

/* Addresses of the hop. The owner's registrar is met at the very target of the
 * registration while that is healthy (behaviour.md 2.1, 4.6) */
static int hop_resolve(struct hunt *hunt)
{
	struct resolve_query q = {
		.realm = hunt->now->hop.realm,
		.host = hunt->now->hop.host,
		.port = hunt->now->hop.port,
		.transport = hunt->now->hop.transport,
	};
	struct registration_view view;

	if (hunt->now->to_registrar &&
	    !surrogates_by_owner(hunt->worker->surrogates, &hunt->owner,
				 &view) &&
	    view.bound && view.target &&
	    !target_is_avoided(hunt->worker->resolver, &view.target->dst,
			       view.target->transport)) {
		one_target(hunt, &view.target->dst, view.target->transport);
		hunt->now->bound = true;
		return 0;
	}

	if (sa_isset(&hunt->now->hop.addr, SA_ADDR)) {
		one_target(hunt, &hunt->now->hop.addr,
			   hunt->now->hop.transport == TRANSPORT_NONE
				   ? TRANSPORT_UDP
				   : (uint8_t)hunt->now->hop.transport);
		return 0;
	}
	return resolve(&hunt->now->resolving, hunt->worker->resolver, &q,
		       &hunt->now->targets, resolved_later, hunt->now);
}

/* Try the next hop in the present branch; HUNT_EMPTY: it cannot be used */
static enum hunt_verdict hop_try(struct hunt *hunt)
{
	struct branch *b = hunt->now;
	int err;

	b->hop = hunt->route->hops[hunt->next++];
	b->target = 0;
	b->targets.n = 0;
	b->bound = b->unbound = false;
	b->out = mem_deref(b->out);
	b->leg = mem_deref(b->leg);
	if (!hop_admits(hunt))
		return HUNT_EMPTY;

	err = hop_resolve(hunt);
	if (err && err != EINPROGRESS) {
		name_failed(hunt, err);
		agent_let_go(b);
		return HUNT_EMPTY;
	}
	if (!err)
		also_by_tcp(b);
	hunt->tried++;
	b->live = true;

	return err ? HUNT_WAITS : target_try(hunt);
}

/* Is this hop tried together with the other one (behaviour.md 2.4)? */
static bool is_beside(const struct hop *next, const struct hop *hop)
{
	return hop->policy && hop->policy->parallel_forking &&
	       next->policy == hop->policy && next->cost == hop->cost &&
	       !hop->redirected && !next->redirected;
}

/* Those that are tried together with the next hop follow it at once, though routes
 * of another policy may stand between them. How many there are, with it */
static uint32_t hops_gather(struct hunt *hunt)
{
	struct hop *hops = &hunt->route->hops[hunt->next], hop;
	uint32_t n = 1, left = hunt->route->n - hunt->next;

	if (!hunt->drop)
		return n;
	for (uint32_t i = 1; i < left; i++) {
		if (!is_beside(&hops[i], &hops[0]))
			continue;
		hop = hops[i];
		memmove(&hops[n + 1], &hops[n], (i - n) * sizeof(hop));
		hops[n++] = hop;
	}

	return n;
}

static enum hunt_verdict hop_next(struct hunt *hunt)
{
	while (hunt->next < hunt->route->n) {
		const uint32_t end = hunt->next + hops_gather(hunt);
		struct branch *b;

		while (hunt->next < end) {
			b = branch_idle(hunt);
			if (!b)
				break;
			hunt->now = b;
			(void)hop_try(hunt);
		}
		if (hunt->now->live || branch_other(hunt))
			return go_on(hunt);
	}
	if (!hunt->code)
		hunt->code = 503;

	return HUNT_EMPTY;
}

/* --- Triggered mode --------------------------------------------------- */

/* Is the owner about to register because this call woke its agent up? */
static bool is_waking(const struct hunt *hunt)
{
	const struct surrogate_agent *agent = hunt->owner.agent;
	struct registration_view view;

	return agent && agent->register_mode == REGISTER_MODE_TRIGGERED &&
	       !surrogates_by_owner(hunt->worker->surrogates, &hunt->owner,
				    &view) &&
	       !view.bound &&
	       (view.state == SUR_WAITING || view.state == SUR_REGISTERING);
}

static void patience_over(void *arg)
{
	struct hunt *hunt = arg;
	uint64_t now = clock_ms();

	if (is_waking(hunt) && now < hunt->patient) {
		timer_start(&hunt->patience, hunt->patient - now, patience_over,
			    hunt);
		return;
	}
	list_unlink(&hunt->wait.le);
	hunt->h(hop_next(hunt), hunt->arg);
}

/* The registration moved: look when that is done */
static void registration_moved(void *arg)
{
	struct hunt *hunt = arg;

	timer_start(&hunt->patience, 0, patience_over, hunt);
}

/* behaviour.md 4.8: a call before the registration is complete waits for it */
static enum hunt_verdict first_hop(struct hunt *hunt)
{
	if (!is_waking(hunt))
		return hop_next(hunt);

	hunt->wait.h = registration_moved;
	hunt->wait.arg = hunt;
	(void)surrogates_wait(hunt->worker->surrogates, &hunt->owner,
			      &hunt->wait); /* it is there: it wakes */
	hunt->patient = clock_ms() + PATIENCE;
	timer_start(&hunt->patience, PATIENCE, patience_over, hunt);
	return HUNT_WAITS;
}

/* --- One target --------------------------------------------------------- */

/* Timer F; the sender waits as long in all (RFC 3261 17.1.2.2) */
static uint32_t timer_f(const struct hunt *hunt)
{
	const struct sip_interface *i = hunt->now->hop.realm->interface;
	uint32_t s = i->trans_expire ? i->trans_expire
				     : hunt->plan->sip->trans_expire;
	uint64_t now = clock_ms();
	uint64_t left = hunt->deadline > now ? hunt->deadline - now : 1;

	return s * 1000ULL < left ? s * 1000 : (uint32_t)left;
}

static uint32_t timer_b(const struct hunt *hunt)
{
	const struct sip_interface *i = hunt->now->hop.realm->interface;
	const struct sip_config *c = hunt->plan->sip;
	/* each is that of the sip-interface, else that of sip-config */
	uint32_t s = i->initial_inv_trans_expire;

	if (!s)
		s = c->initial_inv_trans_expire;
	if (!s)
		s = i->trans_expire;
	if (!s)
		s = c->trans_expire;
	return s * 1000;
}

static uint8_t max_forwards(const struct message *msg)
{
	struct pl value = message_value(msg, HDR_MAX_FORWARDS);
	uint64_t n = 70;

	if (value.l && uint_parse(&n, &value, 255))
		n = 70;
	return (uint8_t)(n ? n - 1 : 0);
}

int hunt_remove_option(struct message *msg, enum header_id id,
		       const char *option)
{
	struct mbuf *mb;
	struct pl value, rest, token, name;
	const struct header *h = message_first(msg, id);
	int err = 0;

	if (!message_has_token(msg, id, option))
		return 0;

	mb = mbuf_alloc(128);
	if (!mb)
		return ENOMEM;
	pl_set_str(&name, option);
	for (; h && !err; h = message_next(msg, h)) {
		rest = header_value(msg, h);
		while (!err && !list_next(&rest, &token)) {
			if (!pl_casecmp(&token, &name))
				continue;
			if (mb->pos)
				err = mbuf_write_str(mb, ", ");
			if (!err)
				err = mbuf_write_pl(mb, &token);
		}
	}
	value = bytes_of(mb);
	if (!err)
		err = value.l ? message_set(msg, id, &value)
			      : message_drop(msg, id);
	mem_deref(mb);
	return err;
}

static int port_of(struct port **portp, const struct hunt *hunt)
{
	const struct endpoint *e = realm_endpoint(
		hunt->now->hop.realm,
		&hunt->now->targets.addr[hunt->now->target],
		(enum transport)
			hunt->now->targets.transport[hunt->now->target]);

	if (!e)
		return EAFNOSUPPORT;
	*portp = worker_port(hunt->worker, e);
	return *portp ? 0 : ENOTCONN;
}

/* dialog-transparency. Dialogs of subscriptions have names of their own: each of
 * them is known by its tag (sbc/subscription) */
static bool keeps_names(const struct hunt *hunt)
{
	const uint8_t method = hunt->invite->method_id;

	return method != SUBSCRIBE && method != REFER;
}

static int leg_make_ready(struct hunt *hunt, struct port *port)
{
	const struct sip_config *c = hunt->plan->sip;
	uint32_t expire = hunt->now->hop.realm->interface->trans_expire;
	struct leg_setup setup = {
		.worker = hunt->worker,
		.tables = hunt->tables,
		.plan = hunt->plan,
		.realm = hunt->now->hop.realm,
		.parties = methods_parties(hunt->worker->methods,
					   hunt->now->hop.agent,
					   hunt->now->hop.realm),
		.port = port,
		.expire = (expire ? expire : c->trans_expire) * 1000,
		.h = hunt->leg_h,
		.arg = hunt->arg,
	};

	/* What comes back to us by another way must not look like the request
	 * that we know (RFC 3261 8.2.2.2), nor the next hop like the last */
	if (c->dialog_transparency && keeps_names(hunt)) {
		setup.callid = hunt->invite->callid;
		setup.tag = hunt->invite->from_tag;
		setup.cseq = (hunt->invite->cseq & CSEQ_MASK) +
			     CSEQ_STEP * (hunt->tried + 1);
	}
	if (hunt->now->leg) {
		mem_deref(hunt->now->leg->port);
		hunt->now->leg->port = mem_ref(port);
		return 0;
	}
	return leg_open(&hunt->now->leg, &setup);
}

/* Does this peer get identities (RFC 3325)? */
static bool peer_is_trusted(const struct hunt *hunt)
{
	struct source peer = {
		.realm = hunt->now->hop.realm,
		.agent = hunt->now->hop.agent,
		.in_prefix = true,
	};

	return match_tells(hunt->now->hop.realm, &peer);
}

/* RFC 3261 19.1.1: without a transport parameter a Contact means UDP */
static int contact_transport(struct hunt *hunt, enum transport transport)
{
	struct pl *contact = &hunt->now->rw.contact, value;
	struct uri uri;
	char *text = NULL;
	int err;

	if (transport == TRANSPORT_UDP || uri_read(&uri, contact) ||
	    !param_get(&uri.params, "transport", &value))
		return 0;
	err = re_sdprintf(&text, "%r;transport=%s", contact,
			  transport_name(transport));
	if (err)
		return err;
	mem_deref(hunt->now->contact);
	hunt->now->contact = text;
	pl_set_str(contact, text);
	return 0;
}

/* req-uri-carrier-mode and loose-routing of the session-agent */
static int ruri_of_agent(struct branch *b)
{
	const struct policy_attribute *attribute = b->hop.attribute;
	char *text = NULL;
	int err;

	if (!b->hop.agent || b->hop.redirected)
		return 0;
	err = agent_uri(&text, &b->rw.ruri, b->hop.agent,
			attribute ? attribute->carrier : "",
			&b->targets.addr[b->target]);
	if (err || !text)
		return err;
	mem_deref(b->ruri);
	b->ruri = text;
	b->rw.ruri = range_of(text);
	return 0;
}

/* Behaviour.md 5.2 and 5.3: as it leaves from this sip-port, and came to that one */
static int identities_of(struct hunt *hunt, const struct sa *local,
			 const struct sa *received_at)
{
	struct identity_live live = { 0 };
	struct registration_view view;
	int err;
	struct rewrite_setup setup = {
		.plan = hunt->plan,
		.msg = hunt->invite,
		.ingress = hunt->source.realm,
		.egress = hunt->now->hop.realm,
		.source = hunt->source,
		.src = hunt->from.src,
		.local = local,
		.received_at = received_at,
		.target = &hunt->now->targets.addr[hunt->now->target],
		.hop = &hunt->now->hop,
		.owner = hunt->owner,
		.called = hunt->called,
		.to_trunk = hunt->now->to_trunk,
		.to_registrar = hunt->now->to_registrar,
		.trusted = peer_is_trusted(hunt),
	};

	surrogates_identity(hunt->worker->surrogates, &live);
	setup.live = &live;
	memset(&view, 0, sizeof(view));
	if (hunt->owner.agent &&
	    !surrogates_by_owner(hunt->worker->surrogates, &hunt->owner,
				 &view) &&
	    view.bound) {
		if (view.contact)
			pl_set_str(&setup.contact, view.contact);
		if (view.service_route && hunt->now->to_registrar)
			pl_set_str(&setup.service_route, view.service_route);
	}
	err = rewrite_request(&hunt->now->rw, &hunt->now->scratch,
			      hunt->now->out, &setup);
	return err ? err : ruri_of_agent(hunt->now);
}

static int identities(struct hunt *hunt, const struct port *port)
{
	int err = identities_of(hunt, port_local(port),
				port_local(hunt->from.port));

	return err ? err : contact_transport(hunt, port_transport(port));
}

/* Methods that make a dialog say where its requests shall go (RFC 3261 12.1.1,
 * RFC 6665 4.1.2.1); MESSAGE must not (RFC 3428 4) */
static struct pl contact_of(const struct hunt *hunt)
{
	struct pl none = { "", 0 };

	switch (hunt->invite->method_id) {

	case INVITE:
	case SUBSCRIBE:
	case REFER:
		return hunt->now->rw.contact;
	default:
		return none;
	}
}

/* Header lines of the user for this sip-port */
static int lines_write(struct hunt *hunt, const struct port *port)
{
	struct branch *b = hunt->now;

	b->lines = mem_deref(b->lines);
	if (!hunt->lines)
		return 0;
	b->lines = mbuf_alloc(256);
	return b->lines ? hunt->lines(b->lines, port, hunt->arg) : ENOMEM;
}

/* Has another one that is under way an offer of the call's media? */
static bool is_offered(const struct hunt *hunt)
{
	const struct branch *b;

	for (b = &hunt->first; b; b = branch_next(hunt, b))
		if (b != hunt->now && b->live && b->out)
			return true;

	return false;
}

/* What the called side shall see of the caller's media */
static int offer_write(struct hunt *hunt)
{
	const struct realm *realm = hunt->now->hop.realm;
	const struct sa *peer = &hunt->now->targets.addr[hunt->now->target];
	struct pl sdp;
	int err;

	if (!hunt->media)
		return 0;
	hunt->now->offer = mem_deref(hunt->now->offer);
	if (hunt->has_offer && !body_sdp(hunt->invite, &sdp))
		return EBADMSG;
	/* tried together: the offer that the others have, for this realm */
	if (is_offered(hunt))
		return media_beside(hunt->media, realm, peer,
				    hunt->has_offer ? &sdp : NULL,
				    &hunt->now->offer);

	err = media_move(hunt->media, realm, peer);
	if (!hunt->has_offer || err)
		return err;
	return media_offer(hunt->media, SIDE_A, &sdp, &hunt->now->offer);
}

/* The body as it leaves. SDP that nobody has rewritten names the other side: it
 * stays there */
static struct pl body_of(const struct hunt *hunt)
{
	const struct message *out = hunt->now->out;

	return body_is_sdp(out) ? bytes_of(hunt->now->offer) : out->body;
}

/* The message for this target: hidden, rewritten, with our media */
static int compose(struct hunt *hunt, const struct port *port)
{
	struct hide_setup hide = {
		.trusted = peer_is_trusted(hunt),
		.authorization = true,
		.local = port_local(port),
	};
	struct pl offer;
	int err;

	hunt->now->out = mem_deref(hunt->now->out);
	mbuf_reset(&hunt->now->scratch);

	err = message_clone(&hunt->now->out, hunt->invite);
	/* RFC 3325 5: what a stranger asserts is nobody's identity */
	if (!err && !match_trusts(hunt->source.realm, &hunt->source))
		err = message_drop(hunt->now->out, HDR_P_ASSERTED_IDENTITY);
	if (!err)
		err = hide_edit(hunt->now->out, &hide);
	/* Without SDP in 1xx (behaviour.md 3.2) none is made reliable for it:
	 * the answer would be lost with it */
	if (!err && hunt->media && media_hides_early(hunt->media))
		err = hunt_remove_option(hunt->now->out, HDR_SUPPORTED,
					 "100rel");
	if (!err)
		err = identities(hunt, port);
	if (!err && hunt->edit)
		err = hunt->edit(hunt->now->out, hunt->now->hop.realm,
				 hunt->arg);
	if (err)
		return err;

	hunt->now->without = hide_set(hunt->now->out, &hide);
	err = lines_write(hunt, port);
	if (err)
		return err;

	err = offer_write(hunt);
	if (err)
		return err;
	offer = bytes_of(hunt->now->offer);
	return body_cross(hunt->now->out, &offer);
}

/* Out of cached nonces, for the request as it leaves now */
static void credentials_ahead(struct hunt *hunt, struct mbuf *lines)
{
	struct proof_setup proof;

	hunt_proof(hunt, &proof, NULL);
	if (hunt->now->out)
		proof.body = body_of(hunt);
	(void)prove_ahead(&proof, &hunt->now->tries, lines);
}

static int send_invite(struct hunt *hunt, const struct mbuf *credentials,
		       bool again)
{
	struct leg_invite invite = {
		.method = (enum method_id)hunt->invite->method_id,
		.to = {
			.dst = hunt->now->targets.addr[hunt->now->target],
			.transport = hunt->now->targets.transport[hunt->now->target],
		},
		.ruri = hunt->now->rw.ruri,
		.from = hunt->now->rw.from,
		.to_value = hunt->now->rw.to,
		.contact = contact_of(hunt),
		.routes = hunt->now->rw.routes,
		.src = hunt->now->out,
		.without = hunt->now->without,
		.extra = bytes_of(hunt->now->lines),
		.credentials = bytes_of(credentials),
		.body = body_of(hunt),
		.origin = wire_origin(hunt->now->hop.agent, &hunt->from.src),
		.max_forwards = max_forwards(hunt->invite),
		.expire = is_call(hunt) ? timer_b(hunt) : timer_f(hunt),
		.same_cseq = !again && hunt->now->leg->cseq,
	};

	prove_replace(&hunt->now->tries, hunt->now->out);
	/* RFC 3261 22.2: the retry goes to the target that challenged, on the
	 * same connection */
	if (again && hunt->now->leg->invite)
		invite.to = *transaction_target(hunt->now->leg->invite);
	hunt->now->sent = clock_ms();
	return leg_invite(hunt->now->leg, &invite);
}

/* What cannot be composed ends the search; the caller hears why */
static void compose_failed(struct hunt *hunt, int err)
{
	switch (err) {

	case ENOSPC:
		own_reason(hunt, 503, LACK_ROOM, 0);
		break;

	case EPROTO:
		hunt_end(hunt, 488, NULL);
		break;

	case ENOMEM:
		own_reason(hunt, 503, LACK_ROOM, 1);
		break;

	default:
		count(COUNT_SDP_OFFER_ERRORS, 1);
		hunt_end(hunt, 400, NULL);
		break;
	}
	branch_over(hunt->now);
	hunt->next = hunt->route->n;
}

/* A single target that gets no new calls just now */
static bool target_is_shunned(struct hunt *hunt)
{
	const struct branch *b = hunt->now;

	if (!shun_has(hunt->worker->shun, b->hop.realm,
		      &b->targets.addr[b->target],
		      b->targets.transport[b->target], clock_ms()))
		return false;
	count(COUNT_POLICY_SKIPPED_OOS, 1);
	offline(hunt);

	return true;
}

static enum hunt_verdict target_try(struct hunt *hunt)
{
	struct mbuf ahead;
	struct port *port;
	int err;

	for (; hunt->now->target < hunt->now->targets.n; hunt->now->target++) {
		if (target_is_shunned(hunt))
			continue;
		err = port_of(&port, hunt);
		if (err) {
			own_reason(hunt, 503, LACK_WAY, 0);
			continue;
		}
		err = leg_make_ready(hunt, port);
		if (!err)
			err = compose(hunt, port);
		if (err == EDQUOT) { /* max-bandwidth: the next route */
			count(COUNT_POLICY_SKIPPED_CONSTRAINT, 1);
			own_reason(hunt, 503, LACK_ROOM, 0);
			break;
		}
		if (err) {
			compose_failed(hunt, err);
			return HUNT_EMPTY;
		}

		tries_reset(&hunt->now->tries);
		mbuf_init(&ahead);
		credentials_ahead(hunt, &ahead);
		err = send_invite(hunt, &ahead, false);
		mbuf_reset(&ahead);
		if (!err)
			return HUNT_SENT;

		target_failed(hunt->worker->resolver,
			      &hunt->now->targets.addr[hunt->now->target],
			      hunt->now->targets.transport[hunt->now->target],
			      0);
		own_reason(hunt, 503, LACK_WAY, 0);
	}

	branch_over(hunt->now);
	return HUNT_EMPTY;
}

/* --- The search --------------------------------------------------------- */

enum hunt_verdict hunt_start(struct hunt *hunt)
{
	hunt->now = &hunt->first;
	hunt->first.hunt = hunt;
	hunt->deadline = clock_ms() + hunt->plan->sip->trans_expire * 1000ULL;
	return first_hop(hunt);
}

/* sip-recursion-policy of the session-agent: has this code come often enough, or
 * are enough hops tried? */
static bool is_exhausted(const struct hunt *hunt, uint16_t code)
{
	const struct session_agent *agent = hunt->now->hop.agent;
	const struct sip_recursion_policy *policy;
	uint32_t all = 0, row = 0;
	struct pl name;

	if (!agent || !agent->sip_recursion_policy[0])
		return false;
	pl_set_str(&name, agent->sip_recursion_policy);
	policy = config_find(hunt->plan->config, &element_sip_recursion_policy,
			     &name);
	if (!policy)
		return false;
	if (policy->global_count && hunt->codes_n >= policy->global_count)
		return true;

	for (uint32_t i = 0; i < hunt->codes_n; i++) {
		bool same = hunt->codes[i] == code;

		all += same;
		row = same ? row + 1 : 0;
	}
	for (uint32_t i = 0; i < policy->sip_response_codes.n; i++) {
		const struct sip_response_code *rule =
			policy->sip_response_codes.v[i];

		if (rule->response_code == code &&
		    (policy->mode == RECURSION_ABSOLUTE ? all : row) >=
			    rule->attempts)
			return true;
	}

	return false;
}

/* Does this code go to the caller, whatever came before (behaviour.md 2.4)? */
static bool is_final(const struct hop *hop, uint16_t code)
{
	return code >= 600 ||
	       codes_have(&hop->realm->interface->stop_recurse, code) ||
	       (hop->agent && codes_have(&hop->agent->stop_recurse, code));
}

/* How a hop ended: does that end the search (behaviour.md 2.4)? terminate-
 * recursion cut the list when it was made */
static bool ends_search(struct hunt *hunt, uint16_t code,
			const struct message *msg)
{
	const struct hop *hop = &hunt->now->hop;

	if (hunt->codes_n < ROUTE_HOPS)
		hunt->codes[hunt->codes_n++] = code;

	if (is_final(hop, code) ||
	    (msg && code < 400 && !redirect_is_followed(hop, code))) {
		hunt_end(hunt, code, msg);
		return true;
	}
	if (!msg || code >= 400 ||
	    !redirect_follow(&hunt->redirects, hunt->route, hunt->next,
			     hunt->plan, hop, &hunt->now->rw.ruri, msg))
		note_failure(hunt, code, msg);

	/* what rings may ring on */
	if (is_exhausted(hunt, code))
		hunt->next = hunt->route->n;

	return false;
}

/* For how long the target is avoided; 0: as long as such failures usually are */
static uint32_t avoid_time(const struct message *msg)
{
	struct pl value = { 0 };
	uint64_t s = 0;

	if (msg)
		value = message_value(msg, HDR_RETRY_AFTER);
	/* "120 (maintenance);duration=60" */
	for (size_t i = 0; i < value.l; i++) {
		if (value.p[i] < '0' || value.p[i] > '9') {
			value.l = i;
			break;
		}
	}
	if (value.l && uint_parse(&s, &value, UINT32_MAX) == ERANGE)
		s = AVOID_MOST;

	return (uint32_t)(s < AVOID_MOST ? s : AVOID_MOST);
}

bool hunt_is_silent(const struct hunt *hunt)
{
	return !hunt->best &&
	       (hunt->code == HUNT_SILENCE ||
		limits_drop_response(hunt->source.agent, hunt->at->interface,
				     hunt->code));
}

static bool is_over(const struct hunt *hunt)
{
	/* RFC 4320 4.2: nobody waits for the answer any more */
	return !is_call(hunt) && clock_ms() >= hunt->deadline;
}

/* What was offered there is void */
static void offer_withdraw(struct hunt *hunt)
{
	hunt->now->offer = mem_deref(hunt->now->offer);
	if (hunt->has_offer && !branch_other(hunt))
		media_offer_failed(hunt->media);
}

/* New calls leave alone who asked for that time (behaviour.md 2.5), and a
 * customer next hop that no session-agent stands for and that is silent (4.9) */
static void target_shun(struct hunt *hunt, uint32_t retry_after)
{
	const struct branch *b = hunt->now;
	uint32_t s = retry_after;

	if (!s && is_to_pbx(hunt) && !b->hop.agent)
		s = NEXT_HOP_OUT;
	if (s)
		bulletin_shun(hunt->worker, b->hop.realm,
			      &b->targets.addr[b->target],
			      b->targets.transport[b->target],
			      clock_ms() + s * 1000ULL);
}

/* The registration's own target failed: those that DNS names are left */
static enum hunt_verdict targets_beyond(struct hunt *hunt)
{
	struct branch *b = hunt->now;
	int err;

	b->met.dst = b->targets.addr[0];
	b->met.transport = b->targets.transport[0];
	b->bound = false;
	b->unbound = true;
	b->target = b->targets.n = 0;
	err = hop_resolve(hunt);
	if (err == EINPROGRESS)
		return HUNT_WAITS;
	if (err)
		return HUNT_EMPTY;
	met_remove(b);

	return target_try(hunt);
}

enum hunt_verdict hunt_failed(struct hunt *hunt, uint16_t code,
			      const struct message *msg)
{
	const struct sa *dst = &hunt->now->targets.addr[hunt->now->target];
	uint8_t transport = hunt->now->targets.transport[hunt->now->target];
	enum hunt_verdict v = HUNT_EMPTY;
	bool ends;

	if (is_over(hunt))
		hunt->next = hunt->route->n;

	/* RFC 3263 4.3: no answer, a transport error or 503: next target */
	if (!msg || code == 503) {
		target_shun(hunt, avoid_time(msg));
		target_failed(hunt->worker->resolver, dst, transport,
			      avoid_time(msg));
		if (!is_over(hunt) && hunt->now->bound) {
			offer_withdraw(hunt);
			v = targets_beyond(hunt);
		} else if (++hunt->now->target < hunt->now->targets.n &&
			   !is_over(hunt)) {
			offer_withdraw(hunt);
			v = target_try(hunt);
		}
		if (v != HUNT_EMPTY) {
			note_failure(hunt, code, msg);
			return go_on(hunt);
		}
	} else {
		target_worked(hunt->worker->resolver, dst, transport);
	}

	branch_over(hunt->now);
	ends = ends_search(hunt, code, msg);
	offer_withdraw(hunt);
	if (!ends)
		return go_on(hunt);
	others_drop(hunt, NULL);

	return HUNT_EMPTY;
}

int hunt_repeat(struct hunt *hunt)
{
	struct mbuf ahead;
	int err;

	mbuf_init(&ahead);
	tries_reset(&hunt->now->tries);
	credentials_ahead(hunt, &ahead);
	err = send_invite(hunt, &ahead, true);
	mbuf_reset(&ahead);
	return err;
}

int hunt_again(struct hunt *hunt, struct mbuf *credentials)
{
	return send_invite(hunt, credentials, true);
}

/* --- Credentials -------------------------------------------------------- */

static bool knows_realm(const struct worker *w,
			const struct credential_query *q,
			const struct pl *auth_realm)
{
	return surrogates_knows_realm(w->surrogates, q->owner.agent,
				      q->egress_realm, auth_realm);
}

void hunt_registrar(struct proof_setup *setup, const struct worker *w,
		    const struct realm *egress, const struct sa *target)
{
	struct credential_query *q = &setup->query;

	q->to_registrar = q->owner.agent &&
			  surrogates_is_registrar(w->surrogates, q->owner.agent,
						  egress, target);
	setup->knows = knows_realm;
}

void hunt_query(struct credential_query *q, const struct hop *hop,
		const struct owner *owner, const struct owner *called,
		const struct session_agent *ingress)
{
	if (hop->attribute) {
		q->realm = hop->attribute->realm;
		q->lookup = hop->attribute->auth_user_lookup;
		if (!q->realm[0] && hop->agent)
			q->realm = hop->agent->realm_id;
	}
	q->egress_realm = hop->realm->config->identifier;
	/* 6.2: a challenge of the PBX itself is never answered by row 3 */
	if (!called->agent)
		q->owner = *owner;
	q->egress = hop->agent;
	q->ingress = ingress;
}

void hunt_proof(const struct hunt *hunt, struct proof_setup *setup,
		const struct message *challenge)
{
	const struct hop *hop = &hunt->now->hop;
	struct credential_query *q = &setup->query;

	memset(setup, 0, sizeof(*setup));
	setup->worker = hunt->worker;
	setup->plan = hunt->plan;
	setup->target = hunt->now->leg->invite
				? transaction_target(hunt->now->leg->invite)
				: NULL;
	if (!setup->target) {
		/* Before the first send: the leg has it from the targets */
		hunt->now->leg->to.dst =
			hunt->now->targets.addr[hunt->now->target];
		hunt->now->leg->to.transport =
			hunt->now->targets.transport[hunt->now->target];
		setup->target = &hunt->now->leg->to;
	}
	setup->method = hunt->invite->method;
	setup->uri = hunt->now->rw.ruri;
	/* an answer that is no challenge looks at nothing of the request: it is
	 * long out of the cache */
	if (challenge && hunt->now->out)
		setup->body = body_of(hunt);
	setup->challenge = challenge;
	setup->callid = leg_range(hunt->now->leg, LEG_CALLID);

	hunt_query(q, hop, &hunt->owner, &hunt->called, hunt->source.agent);
	q->method = setup->method;
	hunt_registrar(setup, hunt->worker, hop->realm,
		       &hunt->now->targets.addr[hunt->now->target]);
}

/* --- For a trial -------------------------------------------------------- */

/* Where the hop leads as far as that is known without asking anybody */
static void targets_known(struct hunt *hunt)
{
	struct branch *b = hunt->now;

	if (hop_resolve(hunt) != EINPROGRESS)
		return;
	resolve_cancel(b->resolving);
	b->resolving = NULL;
	b->targets.n = 0;
}

int hunt_preview(char *uri, size_t size, struct hunt *hunt,
		 const struct hop *hop)
{
	struct branch *b = hunt->now = &hunt->first;
	const struct endpoint *from;
	struct registration_view view;
	int err = 0;

	b->hunt = hunt;
	b->hop = *hop;
	compare_registrar(hunt, &view);
	targets_known(hunt);
	b->target = 0;
	from = b->targets.n
		       ? realm_endpoint(hop->realm, &b->targets.addr[0],
					(enum transport)b->targets.transport[0])
		       : hop->realm->endpoints[0];
	/* the address would stand in it */
	if (!from ||
	    (!b->targets.n && hop->agent && !hop->agent->loose_routing))
		err = ENOENT;
	if (!err) {
		mbuf_reset(&b->scratch);
		err = message_clone(&b->out, hunt->invite);
	}
	if (!err)
		err = identities_of(hunt, &from->local, &hunt->at->local);
	if (!err && pl_strcpy(&b->rw.ruri, uri, size))
		err = ENOENT;
	branch_finish(b);
	hunt->now = NULL;
	return err;
}

/* --- The end ------------------------------------------------------------ */

void hunt_finish(struct hunt *hunt)
{
	timer_cancel(&hunt->patience);
	list_unlink(&hunt->wait.le);
	if (hunt->now)
		others_drop(hunt, NULL);
	for (struct branch *b = &hunt->first; b; b = branch_next(hunt, b))
		branch_finish(b);
	hunt->invite = mem_deref(hunt->invite);
	hunt->route = mem_deref(hunt->route);
	hunt->best = mem_deref(hunt->best);
}

void hunt_clear(struct hunt *hunt)
{
	hunt_finish(hunt);
	list_flush(&hunt->more);
	agent_let_go(&hunt->first);
	redirects_clear(&hunt->redirects);
	hunt->first.leg = mem_deref(hunt->first.leg);
}

static void hunt_destructor(void *arg)
{
	hunt_clear(arg);
}

int hunt_alloc(struct hunt **hp)
{
	struct hunt *hunt = mem_zalloc(sizeof(*hunt), hunt_destructor);

	if (!hunt)
		return ENOMEM;
	*hp = hunt;

	return 0;
}

void hunt_yield(struct hunt *hunt, struct found *found)
{
	struct branch *b = hunt->now;

	hunt_finish(hunt);
	found->hop = b->hop;
	found->to_trunk = b->to_trunk;
	found->seat = b->seat;
	memset(&b->seat, 0, sizeof(b->seat));
	found->leg = b->leg;
	b->leg = NULL;
	redirects_move(&found->redirects, &hunt->redirects);
}

void found_clear(struct found *found)
{
	seat_give(&found->seat);
	redirects_clear(&found->redirects);
	found->leg = mem_deref(found->leg);
}

void hunt_refused(const struct hunt *hunt, uint16_t code)
{
	const bool challenged = code == 401 || code == 407;
	const struct hop *hop =
		hunt->route && hunt->route->n ? &hunt->route->hops[0] : NULL;
	const struct refusal refusal = {
		.step = challenged ? REFUSAL_AUTHENTICATE : REFUSAL_PLACE_CALL,
		.code = code == HUNT_SILENCE ? 0 : code,
		.realm = hunt->source.realm
				 ? hunt->source.realm->config->identifier
				 : NULL,
		.src = &hunt->from.src,
		.msg = hunt->invite,
		.object = hop && hop->next_hop ? hop->next_hop : NULL,
		.reason = challenged
				  ? "nobody answers the challenge, or it was "
				    "refused"
				  : "no route could be used",
	};

	if (challenged || !hunt->best)
		refusals_note(hunt->worker->refusals, &refusal);
}
