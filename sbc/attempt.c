/*
 * One try to register: targets in turn, REGISTERs, their answers
 */
#include <errno.h>
#include <string.h>
#include "sbc/alarm.h"
#include "sbc/attempt.h"
#include "sbc/clock.h"
#include "sbc/counters.h"
#include "sbc/doors.h"
#include "sbc/outage.h"
#include "sbc/pen.h"
#include "sbc/shun.h"

enum {
	CSEQ_BLOCK = 64,       /* numbers reserved at a time (4.7) */
	CSEQ_AHEAD = 8,        /* reserved anew while so many are left */
	CSEQ_MAX = 0x7ffffffe, /* RFC 3261 8.1.1.5 */
	BETTER_AFTER = 60000,  /* a better target is healthy so long [ms] */
	LEAVE_TARGETS = 2,     /* tried by an un-REGISTER */
};

static void attempt_destructor(void *arg)
{
	struct attempt *a = arg;

	transaction_forget(a->transaction);
	if (a->pending)
		resolve_cancel(a->pending);
	plan_give(a->plan);
	tries_reset(&a->tries);
}

static int attempt_new(struct registration *r, enum attempt_kind kind,
		       attempt_h *told)
{
	struct attempt *a = mem_zalloc(sizeof(*a), attempt_destructor);

	if (!a)
		return ENOMEM;

	a->told = told;
	a->kind = (uint8_t)kind;
	a->asked = kind == ATTEMPT_REGISTER ? r->flock->agent->register_expires
					    : 0;
	if (a->asked && a->asked < r->min_expires)
		a->asked = r->min_expires;

	mem_deref(r->attempt);
	r->attempt = a;

	return 0;
}

void attempt_end(struct registration *r)
{
	r->attempt = mem_deref(r->attempt);
}

/** Next CSeq. The row is written while some are left, so that after a crash
 *  the end of the stored block is above any that was sent (4.7) */
static uint32_t next_cseq(struct registration *r)
{
	if (r->cseq >= CSEQ_MAX) {
		/* RFC 3261 10.2 orders by Call-ID: a new one begins anew */
		names_callid(r->callid, r->flock->worker->number);
		r->cseq = r->reserved = 0;
	}
	if (r->cseq + CSEQ_AHEAD >= r->reserved) {
		/* a Call-ID that no row has yet dies with us: no row for it */
		bool known = r->reserved;

		r->reserved = r->cseq + CSEQ_AHEAD + CSEQ_BLOCK;
		if (r->reserved > CSEQ_MAX)
			r->reserved = CSEQ_MAX;
		if (known)
			r->flock->host->store(r);
	}

	return ++r->cseq;
}

static struct proof_setup proof_setup(const struct registration *r,
				      const struct message *challenge)
{
	const struct attempt *a = r->attempt;
	struct proof_setup s = {
		.worker = r->flock->worker,
		.target = &a->to,
		.challenge = challenge,
		.query = {
			.registering = r->flock->agent,
			.owner = { r->flock->agent, registration_number(r) },
			.to_registrar = true,
		},
	};
	const struct hop *hop = &r->flock->registry->hop;

	s.query.egress = hop->agent;
	s.query.egress_realm = hop->realm->config->identifier;
	pl_set_str(&s.method, "REGISTER");
	pl_set_str(&s.uri, a->ruri);
	pl_set_str(&s.callid, r->callid);

	return s;
}

/* Sending ------------------------------------------------------------------ */

static void take_answer(struct transaction *t, enum transaction_event ev,
			const struct message *msg, void *arg);

/** The Contact to send: ours, or the former one that is removed */
static int choose_contact(char buf[CONTACT_SIZE], struct registration *r,
			  const struct endpoint *from)
{
	const struct attempt *a = r->attempt;
	const char *text = a->kind == ATTEMPT_OLD ? r->old_contact : r->contact;

	if (a->kind != ATTEMPT_REGISTER && text) {
		size_t l = strlen(text);

		if (l >= CONTACT_SIZE)
			return EOVERFLOW;
		memcpy(buf, text, l + 1);
		return 0;
	}

	if (registration_contact(buf, CONTACT_SIZE, r->flock->agent,
				 registration_number(r), from) < 0)
		return EOVERFLOW;
	if (!r->contact || strcmp(r->contact, buf) != 0) {
		/* the first one that was bound is still to be removed (4.3) */
		if (r->bound && r->contact && !r->old_contact)
			registration_text(&r->old_contact, r->contact);
		registration_set_contact(r, buf);
	}

	return r->contact ? 0 : ENOMEM;
}

/** To the target of the attempt, with these credentials. 0; errno */
static int transmit_with(struct registration *r, const struct mbuf *auth)
{
	struct attempt *a = r->attempt;
	struct worker *w = r->flock->worker;
	const struct realm *realm = r->flock->registry->hop.realm;
	const struct endpoint *from =
		realm_endpoint(realm, &a->to.dst, a->to.transport);
	const struct session_agent *agent = r->flock->registry->hop.agent;
	struct request_setup setup = { .to = a->to, .method = REGISTER };
	struct register_setup what;
	char branch[BRANCH_SIZE], contact[CONTACT_SIZE];
	struct mbuf *mb = NULL;
	int err;

	setup.port = from ? worker_port(w, from) : NULL;
	if (!setup.port)
		return EADDRNOTAVAIL;
	setup.parties = methods_parties(w->methods, agent, realm);
	setup.to.tls_name = agent ? agent->hostname : NULL;

	err = choose_contact(contact, r, from);
	if (err)
		return err;

	names_branch(branch, w->number);
	what = (struct register_setup){
		.port = setup.port,
		.branch = branch,
		.ruri = a->ruri,
		.contact = contact,
		.auth = auth,
		.expires = a->asked,
		.cseq = next_cseq(r),
		.transport = a->to.transport,
	};
	err = register_write(&mb, r, &what);
	if (err)
		return err;

	setup.mb = mb;
	setup.branch = branch;
	a->sent = clock_ms();
	a->sending = true;
	a->broken = false;
	err = transaction_send(&a->transaction, w->transactions, &setup,
			       take_answer, r);
	a->sending = false;
	mem_deref(mb);
	if (!err && a->broken) {
		a->transaction = transaction_forget(a->transaction);
		err = EPIPE;
	}
	if (!err)
		count(COUNT_SURROGATE_SENT, 1);

	return err;
}

/** A request that was not challenged yet, with credentials ahead */
static int transmit(struct registration *r)
{
	struct proof_setup setup = proof_setup(r, NULL);
	struct mbuf *auth = mbuf_alloc(512);
	int err;

	if (!auth)
		return ENOMEM;

	tries_reset(&r->attempt->tries);
	err = prove_ahead(&setup, &r->attempt->tries, auth);
	if (!err)
		err = transmit_with(r, auth);
	mem_deref(auth);

	return err;
}

/* Targets (4.6) ------------------------------------------------------------ */

static void set_target(struct attempt *a, uint32_t n)
{
	memset(&a->to, 0, sizeof(a->to));
	sa_cpy(&a->to.dst, &a->targets.addr[n]);
	a->to.transport = a->targets.transport[n];
}

static uint32_t place_of(const struct resolved *found, const struct target *t)
{
	uint32_t i;

	for (i = 0; i < found->n; i++)
		if (found->transport[i] == t->transport &&
		    sa_cmp(&found->addr[i], &t->dst, SA_ALL))
			break;

	return i;
}

/** In service, as far as REGISTERs, calls and pings have told? */
static bool is_well(const struct registry *reg, const struct sa *addr,
		    uint8_t transport)
{
	const struct worker *w = reg->worker;

	return !target_is_avoided(w->resolver, addr, transport) &&
	       !shun_has(w->shun, reg->hop.realm, addr, transport, clock_ms());
}

void attempt_learn(struct registry *reg, const struct resolved *found)
{
	uint64_t healthy[RESOLVE_TARGETS] = { 0 }, now = clock_ms();

	for (uint32_t i = 0; i < found->n; i++) {
		struct target t = { .transport = found->transport[i] };
		uint32_t before;

		if (!is_well(reg, &found->addr[i], found->transport[i]))
			continue;
		sa_cpy(&t.dst, &found->addr[i]);
		before = place_of(&reg->known, &t);
		healthy[i] = before < reg->known.n && reg->healthy[before]
				     ? reg->healthy[before]
				     : now;
	}
	reg->known = *found;
	memcpy(reg->healthy, healthy, sizeof(healthy));
}

/** First target of a try: that of the binding while DNS names it and no better
 *  one has been healthy for long; else the first that is not avoided (4.6) */
static uint32_t first_target(const struct registration *r,
			     const struct resolved *found)
{
	const struct registry *reg = r->flock->registry;
	uint32_t last = place_of(found, &r->target), i;
	bool bound_there = r->contact && sa_isset(&r->target.dst, SA_ALL) &&
			   last < found->n && reg->healthy[last];

	for (i = 0; i < found->n; i++) {
		uint64_t since = reg->healthy[i];

		if (bound_there && i == last)
			return i;
		if (!since)
			continue;
		if (!bound_there || clock_ms() - since >= BETTER_AFTER)
			return i;
	}

	/* nobody is well: the first of all (an answer ends the outage) */
	return 0;
}

/** The next one in the order of the resolution that was not tried: those that
 *  are well first (2.8). RESOLVE_TARGETS: none is left */
static uint32_t next_target(const struct registration *r)
{
	const struct attempt *a = r->attempt;
	uint32_t other = RESOLVE_TARGETS;

	for (uint32_t k = 1; k < a->targets.n; k++) {
		uint32_t i = (a->start + k) % a->targets.n;

		if (a->tried & 1u << i)
			continue;
		if (is_well(r->flock->registry, &a->targets.addr[i],
			    a->targets.transport[i]))
			return i;
		if (other == RESOLVE_TARGETS)
			other = i;
	}

	return other;
}

static int failed_to_send(struct registration *r, int err)
{
	r->code = 0;
	r->reason =
		err == EADDRNOTAVAIL ? "no sip-port fits" : "cannot be sent";
	r->flock->host->answered(r, 0);

	return SUR_LOST;
}

int attempt_repeat(struct registration *r)
{
	int err = transmit(r);

	return err ? failed_to_send(r, err) : 0;
}

/** Where the attempt goes is known: send the first REGISTER. Event or 0 */
static int start(struct registration *r, const struct resolved *found)
{
	struct attempt *a = r->attempt;

	a->targets = *found;
	if (!a->redirected && !r->moved)
		attempt_learn(r->flock->registry, found);
	a->start = a->redirected || r->moved ? 0 : first_target(r, found);
	a->tried = 1u << a->start;
	a->tries_n = 1;
	set_target(a, a->start);

	return attempt_repeat(r);
}

static int lost_in_dns(struct registration *r, int err)
{
	r->code = 0;
	r->reason = err == ENOENT         ? "name does not exist"
		    : err == EAFNOSUPPORT ? "no sip-port fits"
					  : "DNS does not answer";
	r->flock->host->answered(r, 0);

	return SUR_NO_TARGET;
}

static void resolved_later(int err, const struct resolved *found, void *arg)
{
	struct registration *r = arg;
	int ev;

	r->attempt->pending = NULL;
	ev = !err && found->n ? start(r, found)
			      : lost_in_dns(r, err ? err : ENOENT);
	if (ev)
		r->attempt->told(r, (enum surrogate_event)ev, NULL);
}

int attempt_resolve(struct resolve **pendingp, struct registry *registry,
		    struct resolved *found, resolve_h *h, void *arg)
{
	const struct hop *hop = &registry->hop;
	struct resolve_query q = {
		.realm = hop->realm,
		.host = hop->host,
		.port = hop->port,
		.transport = hop->transport,
	};

	*pendingp = NULL;
	if (hop->agent && !match_agent_address(hop->agent, &found->addr[0])) {
		uint8_t transport = (uint8_t)match_agent_transport(hop->agent);

		if (transport == TRANSPORT_NONE)
			transport = TRANSPORT_UDP;
		if (!sa_port(&found->addr[0]))
			sa_set_port(&found->addr[0],
				    registration_port(transport));
		found->transport[0] = transport;
		found->n = 1;
		return 0;
	}

	return resolve(pendingp, registry->worker->resolver, &q, found, h, arg);
}

/** The registrar's plan may be replaced before DNS answers */
static void hold_plan(struct attempt *a, const struct registry *reg)
{
	const struct plan *before = a->plan;

	a->plan = plan_take(reg->realm_plan);
	plan_give(before);
}

/** Follow a URI of a 3xx: it becomes the Request-URI without its user (RFC 3261
 *  8.1.3.4, 10.2). 0; EINPROGRESS; errno */
static int resolve_uri(struct registration *r, const char *text,
		       struct resolved *found)
{
	struct attempt *a = r->attempt;
	struct resolve_query q = {
		.realm = r->flock->registry->hop.realm,
		.transport = TRANSPORT_NONE,
	};
	struct pen t = { a->ruri, sizeof(a->ruri), 0, false };
	struct pl pl, param;
	struct uri uri;
	int err;

	pl_set_str(&pl, text);
	err = uri_read(&uri, &pl);
	if (err)
		return err;

	q.host = uri.host;
	q.port = uri.port;
	if (!param_get(&uri.params, "transport", &param))
		q.transport = transport_parse(&param);
	else if (is_word(&uri.scheme, "sips"))
		q.transport = TRANSPORT_TLS;

	pen_put_mem(&t, uri.scheme.p, uri.scheme.l);
	pen_put(&t, ":");
	pl = uri.host;
	pen_put(&t, memchr(pl.p, ':', pl.l) ? "[" : "");
	pen_put_mem(&t, pl.p, pl.l);
	pen_put(&t, memchr(pl.p, ':', pl.l) ? "]" : "");
	if (uri.port) {
		pen_put(&t, ":");
		pen_put_uint(&t, uri.port);
	}
	if (t.full)
		return EOVERFLOW;

	hold_plan(a, r->flock->registry);
	return resolve(&a->pending, r->flock->worker->resolver, &q, found,
		       resolved_later, r);
}

int attempt_begin(struct registration *r, enum attempt_kind kind,
		  attempt_h *told)
{
	struct pen t = { .size = CONTACT_SIZE };
	struct resolved found = { .n = 0 };
	int err = attempt_new(r, kind, told);

	if (err || !r->flock->registry) {
		r->reason = err ? "out of memory" : "no egress realm";
		r->flock->host->answered(r, 0);
		return SUR_NO_TARGET;
	}

	t.p = r->attempt->ruri;
	pen_put(&t, "sip:");
	pen_put_host(&t, r->flock->agent->register_host);

	hold_plan(r->attempt, r->flock->registry);
	err = r->moved ? resolve_uri(r, r->moved, &found)
		       : attempt_resolve(&r->attempt->pending,
					 r->flock->registry, &found,
					 resolved_later, r);
	if (err == EINPROGRESS)
		return 0;
	if (err || !found.n)
		return lost_in_dns(r, err ? err : ENOENT);

	return start(r, &found);
}

int attempt_follow(struct registration *r, const struct message *msg)
{
	struct attempt *a = r->attempt;
	struct pl best = register_best_contact(msg);
	struct resolved found = { .n = 0 };
	char uri[CONTACT_SIZE];
	int err;

	if (a->redirected || !best.l || best.l >= sizeof(uri)) {
		r->reason =
			a->redirected ? "sent elsewhere twice" : "sent nowhere";
		r->moved = mem_deref(r->moved);
		return SUR_FAIL;
	}
	memcpy(uri, best.p, best.l);
	uri[best.l] = '\0';

	a->redirected = true;
	if (msg->code == 301)
		registration_text(&r->moved, uri);
	r->flock->host->again(r);
	err = resolve_uri(r, uri, &found);
	if (err == EINPROGRESS)
		return 0;
	if (err || !found.n)
		return lost_in_dns(r, err ? err : ENOENT);

	return start(r, &found);
}

int attempt_next(struct registration *r, const struct message *msg)
{
	struct attempt *a = r->attempt;
	uint32_t most =
		a->kind == ATTEMPT_REGISTER ? RESOLVE_TARGETS : LEAVE_TARGETS;
	uint32_t next;

	if (!msg || msg->code == 503)
		target_failed(r->flock->worker->resolver, &a->to.dst,
			      a->to.transport, a->retry_after);
	next = next_target(r);
	if (next == RESOLVE_TARGETS || a->tries_n >= most)
		return SUR_NO_TARGET;

	set_target(a, next);
	a->tried |= 1u << next;
	a->tries_n++;
	r->flock->host->again(r);

	return attempt_repeat(r);
}

/* Answers (4.4) ------------------------------------------------------------ */

static void learn_realms(struct flock *f, const struct message *msg)
{
	static const enum header_id ids[] = { HDR_WWW_AUTHENTICATE,
					      HDR_PROXY_AUTHENTICATE };

	for (size_t k = 0; k < 2; k++) {
		const struct header *h = message_first(msg, ids[k]);

		for (; h && f->realms_n < FLOCK_REALMS;
		     h = message_next(msg, h)) {
			struct pl value = header_value(msg, h);
			struct challenge c;
			uint32_t i = 0;

			if (challenge_read(&c, &value) || !c.realm.l)
				continue;
			while (i < f->realms_n &&
			       pl_strcmp(&c.realm, f->realms[i]))
				i++;
			if (i == f->realms_n &&
			    !pl_strdup(&f->realms[i], &c.realm))
				f->realms_n++;
		}
	}
}

/* section 6: the verdict of the table there becomes an event of this one */
int attempt_prove(struct registration *r, const struct message *msg)
{
	struct proof_setup setup = proof_setup(r, msg);
	struct mbuf *auth = mbuf_alloc(512);
	enum proof proof;
	int err;

	if (!auth) {
		r->reason = "out of memory";
		return SUR_FAIL;
	}

	learn_realms(r->flock, msg);
	proof = prove_challenge(&setup, &r->attempt->tries, auth, NULL, NULL,
				NULL);
	switch (proof) {
	case PROOF_READY:
		r->flock->host->again(r);
		err = transmit_with(r, auth);
		mem_deref(auth);
		err = err ? failed_to_send(r, err) : 0;
		return err && r->attempt->kind == ATTEMPT_OLD ? SUR_OLD_GONE
							      : err;
	case PROOF_WAIT:
	case PROOF_NOBODY:
		r->reason = "unsupported scheme";
		break;
	case PROOF_MISSING:
		r->reason = "no password";
		break;
	case PROOF_SPENT:
		r->reason = "credentials refused";
		break;
	}
	mem_deref(auth);
	if (r->attempt->kind == ATTEMPT_OLD)
		return SUR_OLD_GONE;

	return proof == PROOF_MISSING || proof == PROOF_SPENT ? SUR_REFUSE
							      : SUR_FAIL;
}

static enum surrogate_event classify(struct registration *r,
				     const struct message *msg)
{
	struct attempt *a = r->attempt;

	if (a->kind == ATTEMPT_OLD && msg->code != 401 && msg->code != 407)
		return SUR_OLD_GONE;

	if (msg->code < 300)
		return a->kind == ATTEMPT_LEAVE ||
				       register_granted(&a->granted, r, msg,
							a->asked)
			       ? SUR_OK
			       : SUR_FAIL;
	if (msg->code < 400)
		return SUR_ELSEWHERE;

	switch (msg->code) {
	case 401:
	case 407:
		return SUR_CHALLENGED;
	case 403:
		r->reason = "forbidden";
		return SUR_REFUSE;
	case 420:
		return SUR_OPTION;
	case 423:
		return SUR_BRIEF;
	case 408:
	case 480:
	case 500:
	case 503:
	case 504:
		r->reason = "registrar not available";
		return SUR_LOST;
	default:
		r->reason = "answered with a failure";
		return SUR_FAIL;
	}
}

static struct agent *live_agent(const struct registration *r)
{
	const struct registry *reg = r->flock->registry;

	return reg && reg->hop.agent && reg->worker->agents
		       ? agents_find(reg->worker->agents, reg->hop.agent)
		       : NULL;
}

static void take_final(struct registration *r, const struct message *msg)
{
	struct attempt *a = r->attempt;
	struct proof_setup setup = proof_setup(r, NULL);
	struct agent *agent = live_agent(r);

	r->code = msg->code;
	r->reason = "";
	a->answered = true;
	if (agent &&
	    outage_answered(agent, msg->code, (uint32_t)(clock_ms() - a->sent)))
		r->flock->host->agent_down(r);
	if (msg->code != 503)
		target_worked(r->flock->worker->resolver, &a->to.dst,
			      a->to.transport);
	if (msg->code != 401 && msg->code != 407)
		prove_accepted(&setup, &a->tries, msg);
	if (a->tries.n)
		r->nc = a->tries.of[0].nc;
	a->retry_after = register_retry_after(msg);
	a->waits = msg->code == 503 && a->retry_after;

	r->flock->host->answered(r, msg->code);
	a->told(r, classify(r, msg), msg);
}

static void take_silence(struct registration *r, bool timeout)
{
	struct attempt *a = r->attempt;
	struct agent *agent = live_agent(r);

	r->code = timeout ? 408 : 0;
	r->reason = timeout ? "no answer" : "transport error";
	a->retry_after = 0;
	a->waits = false;
	if (timeout)
		count(COUNT_SURROGATE_TIMEOUT, 1);
	if (agent && timeout && outage_silent(agent))
		r->flock->host->agent_down(r);

	r->flock->host->answered(r, 0);
	a->told(r, a->kind == ATTEMPT_OLD ? SUR_OLD_GONE : SUR_LOST, NULL);
}

static void take_answer(struct transaction *t, enum transaction_event ev,
			const struct message *msg, void *arg)
{
	struct registration *r = arg;

	if (ev != FINAL && ev != TIMEOUT && ev != BROKEN)
		return;

	registration_fetch(r);
	if (r->attempt->sending) {
		r->attempt->broken = true;
		return;
	}
	/* a retry with credentials follows on the same connection (2.8) */
	r->attempt->to.conn = transaction_target(t)->conn;
	r->attempt->transaction = transaction_forget(r->attempt->transaction);
	if (ev == FINAL)
		take_final(r, msg);
	else
		take_silence(r, ev == TIMEOUT);
}
