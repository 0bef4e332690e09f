/*
 * One AoR that registers for a PBX, a machine
 *
 * Parts: what a REGISTER looks like (4.1), where it goes (4.6), what its answer
 * is (4.4), when to try again, the actions, the table (4.3). An attempt lives
 * from the first REGISTER of a try to the answer that ends it; between tries
 * nothing but the registration is kept.
 *
 * What must wait for an answer is one event in `later`, fed when it has come.
 */
#include <errno.h>
#include <string.h>
#include "store/log.h"
#include "store/number.h"
#include "sbc/alarm.h"
#include "sbc/clock.h"
#include "sbc/counters.h"
#include "sbc/outage.h"
#include "sbc/random.h"
#include "sbc/surrogate.h"
#include "sbc/wire.h"

enum {
	CSEQ_BLOCK = 64,       /* numbers reserved at a time (4.7) */
	CSEQ_AHEAD = 8,        /* reserved anew while so many are left */
	CSEQ_MAX = 0x7ffffffe, /* RFC 3261 8.1.1.5 */
	PAUSE_MAX = 3600,      /* [s] */
	REFUSED_MIN = 300,     /* [s] */
	RETRY_MIN = 5,         /* while a binding is valid [s] */
	BETTER_AFTER = 60000,  /* a better target is healthy so long [ms] */
	FAILED_ALARM = 3,      /* failures in a row */
	ROUTE_MAX = 1024,      /* Service-Route, P-Associated-URI [bytes] */
	LEAVE_TARGETS = 2,     /* tried by an un-REGISTER */
	AOR_SIZE = AOR_USER_MAX + 260,
	URI_SIZE = 768,
};

enum attempt_kind {
	ATTEMPT_REGISTER,
	ATTEMPT_LEAVE,
	ATTEMPT_OLD
};

struct attempt {
	struct transaction *transaction;
	struct resolve *pending;
	struct tries tries;
	struct resolved targets;
	struct target to;
	uint32_t start, tried; /* first target used; how many were tried */
	uint32_t asked;        /* Expires of the request [s] */
	uint32_t granted;      /* of the answer [s] */
	uint32_t retry_after;  /* [s]; 0: none */
	uint64_t sent;         /* [ms] */
	uint8_t kind;
	bool answered; /* some target did */
	bool waits;    /* the last one said 503 with Retry-After */
	bool briefed, optioned, redirected;
	bool sending, broken; /* the news came before the sending returned */
	char ruri[URI_SIZE];
};

static const char *const states[] = {
	[SUR_DISABLED] = "disabled",       [SUR_WAITING] = "waiting",
	[SUR_REGISTERING] = "registering", [SUR_REGISTERED] = "registered",
	[SUR_REFRESHING] = "refreshing",   [SUR_BACKOFF] = "backoff",
	[SUR_REFUSED] = "refused",         [SUR_IDLE] = "idle",
	[SUR_SILENT] = "silent",           [SUR_LEAVING] = "leaving",
	[SUR_GIVEN_UP] = "given-up",
};

static const char *const events[] = {
	[SUR_ENABLED] = "ENABLED",
	[SUR_DUE] = "DUE",
	[SUR_OK] = "OK",
	[SUR_CHALLENGED] = "CHALLENGED",
	[SUR_REFUSE] = "REFUSE",
	[SUR_BRIEF] = "BRIEF",
	[SUR_OPTION] = "OPTION",
	[SUR_ELSEWHERE] = "ELSEWHERE",
	[SUR_LOST] = "LOST",
	[SUR_NO_TARGET] = "NO_TARGET",
	[SUR_FAIL] = "FAIL",
	[SUR_EXPIRED] = "EXPIRED",
	[SUR_PENDING] = "PENDING",
	[SUR_EXHAUSTED] = "EXHAUSTED",
	[SUR_CHANGED] = "CHANGED",
	[SUR_ANEW] = "ANEW",
	[SUR_CONTACT] = "CONTACT",
	[SUR_REMOVE_OLD] = "REMOVE_OLD",
	[SUR_OLD_GONE] = "OLD_GONE",
	[SUR_ACTIVE] = "ACTIVE",
	[SUR_QUIET] = "QUIET",
	[SUR_GONE] = "GONE",
	[SUR_SHUTDOWN] = "SHUTDOWN",
	[SUR_ORDER_IN] = "ORDER_IN",
	[SUR_ORDER_OUT] = "ORDER_OUT",
	[SUR_TARGET_GONE] = "TARGET_GONE",
	[SUR_LEAVE] = "LEAVE",
	[SUR_STAY_OUT] = "STAY_OUT",
	[SUR_STAY_IDLE] = "STAY_IDLE",
	[SUR_STAY_SILENT] = "STAY_SILENT",
};

/* Life -------------------------------------------------------------------- */

static void attempt_destructor(void *arg)
{
	struct attempt *a = arg;

	transaction_forget(a->transaction);
	if (a->pending)
		resolve_cancel(a->pending);
	tries_reset(&a->tries);
}

static void registration_destructor(void *arg)
{
	struct registration *r = arg;

	timer_cancel(&r->timer);
	mem_deref(r->attempt);
	mem_deref(r->contact);
	mem_deref(r->old_contact);
	mem_deref(r->route);
	mem_deref(r->associated);
	mem_deref(r->moved);
}

static void attempt_end(struct registration *r)
{
	r->attempt = mem_deref(r->attempt);
}

static const struct surrogate_agent *agent_of(const struct registration *r)
{
	return r->flock->agent;
}

static const struct surrogate_host *host_of(const struct registration *r)
{
	return r->flock->host;
}

static int attempt_begin(struct registration *r, enum attempt_kind kind)
{
	struct attempt *a = mem_zalloc(sizeof(*a), attempt_destructor);

	if (!a)
		return ENOMEM;

	a->kind = (uint8_t)kind;
	a->asked = kind == ATTEMPT_REGISTER ? agent_of(r)->register_expires : 0;
	if (a->asked && a->asked < r->min_expires)
		a->asked = r->min_expires;

	mem_deref(r->attempt);
	r->attempt = a;

	return 0;
}

static void replace(char **dst, const char *src)
{
	char *s = NULL;

	/* without memory the former text stays: it was right once */
	if (src && str_dup(&s, src))
		return;
	mem_deref(*dst);
	*dst = s;
}

/* What a REGISTER looks like (4.1) ----------------------------------------- */

struct text {
	char *p;
	size_t size, l;
	bool full;
};

static void put_mem(struct text *t, const char *p, size_t l)
{
	if (t->full || l >= t->size - t->l) {
		t->full = true;
		return;
	}
	memcpy(t->p + t->l, p, l);
	t->l += l;
	t->p[t->l] = '\0';
}

static void put(struct text *t, const char *s)
{
	put_mem(t, s, strlen(s));
}

static void put_uint(struct text *t, uint64_t n)
{
	char digits[20];

	put_mem(t, digits, uint_write(digits, n));
}

/** A bare IPv6 address gets its brackets */
static void put_host(struct text *t, const char *host)
{
	const char *c = strchr(host, ':');
	bool bare = host[0] != '[' && c && strchr(c + 1, ':');

	put(t, bare ? "[" : "");
	put(t, host);
	put(t, bare ? "]" : "");
}

static void put_address(struct text *t, const struct sa *sa)
{
	char ip[64];

	(void)re_snprintf(ip, sizeof(ip), "%j", sa);
	put_host(t, ip);
}

static bool names_port(const char *host)
{
	const char *end = host[0] == '[' ? strchr(host, ']') : host;
	const char *c = end ? strchr(end, ':') : NULL;

	return c && !strchr(c + 1, ':');
}

static uint16_t default_port(uint8_t transport)
{
	return transport == TRANSPORT_TLS || transport == TRANSPORT_WSS ? 5061
									: 5060;
}

static void put_transport(struct text *t, uint8_t transport)
{
	/* clang-format off */
	static const char *const params[] = {
		[TRANSPORT_UDP] = "",               [TRANSPORT_TCP] = ";transport=tcp",
		[TRANSPORT_TLS] = ";transport=tls", [TRANSPORT_WS] = ";transport=ws",
		[TRANSPORT_WSS] = ";transport=wss", [TRANSPORT_NONE] = "",
	};
	/* clang-format on */

	put(t,
	    params[transport <= TRANSPORT_NONE ? transport : TRANSPORT_NONE]);
}

int surrogate_contact(char *buf, size_t size,
		      const struct surrogate_agent *agent, uint32_t number,
		      const struct endpoint *from)
{
	const struct owner who = { agent, number };
	struct text t = { buf, size, 0, false };
	const char *host = agent->register_contact_host;
	char user[AOR_USER_MAX + 1];
	uint16_t port = sa_port(&from->local);
	int n = aor_contact_user(user, sizeof(user), &who);

	if (n < 0)
		return -1;

	put(&t, "sip:");
	put_mem(&t, user, (size_t)n);
	put(&t, "@");
	if (*host)
		put_host(&t, host);
	else
		put_address(&t, &from->local);
	if (port != default_port(from->transport) &&
	    !(*host && names_port(host))) {
		put(&t, ":");
		put_uint(&t, port);
	}
	put_transport(&t, from->transport);

	return t.full ? -1 : (int)t.l;
}

int surrogate_aor(char *buf, size_t size, const struct registration *r)
{
	const struct owner who = { agent_of(r), r->number };
	struct text t = { buf, size, 0, false };
	char user[AOR_USER_MAX + 1];
	int n = aor_register_user(user, sizeof(user), &who);

	if (n < 0)
		return -1;
	put_mem(&t, user, (size_t)n);
	put(&t, "@");
	put_host(&t, who.agent->register_host);

	return t.full ? -1 : (int)t.l;
}

static const char *aor_text(char buf[AOR_SIZE], const struct registration *r)
{
	return surrogate_aor(buf, AOR_SIZE, r) < 0 ? "?" : buf;
}

/** The outbound proxy of the agent, and nothing else (RFC 3608 6.1) */
static void put_route(struct text *t, const struct registration *r)
{
	const struct session_agent *proxy = r->flock->registry->hop.agent;

	if (!*agent_of(r)->proxy_name || !proxy)
		return;

	put(t, "<sip:");
	put_host(t, proxy->hostname);
	if (proxy->port && proxy->port != 5060) {
		put(t, ":");
		put_uint(t, proxy->port);
	}
	put_transport(t, r->attempt->to.transport);
	put(t, ";lr>");
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
		r->reserved = r->cseq + CSEQ_AHEAD + CSEQ_BLOCK;
		if (r->reserved > CSEQ_MAX)
			r->reserved = CSEQ_MAX;
		host_of(r)->store(r);
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
			.registering = agent_of(r),
			.owner = { agent_of(r), r->number },
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

static int write_register(struct mbuf **mbp, struct registration *r,
			  const struct port *port, const char *branch,
			  const char *contact, const struct mbuf *auth)
{
	struct attempt *a = r->attempt;
	char to[AOR_SIZE + 16], from[AOR_SIZE + 48], route[512] = "";
	char params[32] = "", aor[AOR_SIZE];
	struct text tt = { to, sizeof(to), 0, false };
	struct text ft = { from, sizeof(from), 0, false };
	struct text rt = { route, sizeof(route), 0, false };
	struct text pt = { params, sizeof(params), 0, false };
	struct mbuf *extra = NULL;
	struct wire_request req = { 0 };
	int err;

	if (surrogate_aor(aor, sizeof(aor), r) < 0)
		return EOVERFLOW;
	put(&tt, "<sip:");
	put(&tt, aor);
	put(&tt, ">");
	put(&ft, to);
	put(&ft, ";tag=");
	put(&ft, r->tag);
	put_route(&rt, r);
	put(&pt, ";expires=");
	put_uint(&pt, a->asked);
	if (tt.full || ft.full || rt.full)
		return EOVERFLOW;

	extra = mbuf_alloc(256 + auth->end);
	if (!extra)
		return ENOMEM;
	err = mbuf_write_str(extra, "Expires: ");
	err |= mbuf_write_str(extra, params + strlen(";expires="));
	err |= mbuf_write_str(extra, "\r\n");
	if (!r->flock->no_path)
		err |= mbuf_write_str(extra, "Supported: path\r\n");
	if (auth->end)
		err |= mbuf_write_mem(extra, auth->buf, auth->end);
	if (err)
		goto out;

	req.method = REGISTER;
	req.port = port;
	req.branch = branch;
	req.cseq = next_cseq(r);
	req.max_forwards = 70;
	pl_set_str(&req.ruri, a->ruri);
	pl_set_str(&req.from, from);
	pl_set_str(&req.to, to);
	pl_set_str(&req.callid, r->callid);
	pl_set_str(&req.contact, contact);
	pl_set_str(&req.contact_params, params);
	pl_set_str(&req.routes, route);
	req.extra.p = (const char *)extra->buf;
	req.extra.l = extra->end;

	err = wire_request(mbp, &req);

out:
	mem_deref(extra);

	return err;
}

/* Sending ------------------------------------------------------------------ */

static void take_answer(struct transaction *t, enum transaction_event ev,
			const struct message *msg, void *arg);

/** The Contact to send: ours, or the former one that is removed */
static int choose_contact(char buf[URI_SIZE], struct registration *r,
			  const struct endpoint *from)
{
	const struct attempt *a = r->attempt;
	const char *text = a->kind == ATTEMPT_OLD ? r->old_contact : r->contact;

	if (a->kind != ATTEMPT_REGISTER && text) {
		size_t l = strlen(text);

		if (l >= URI_SIZE)
			return EOVERFLOW;
		memcpy(buf, text, l + 1);
		return 0;
	}

	if (surrogate_contact(buf, URI_SIZE, agent_of(r), r->number, from) < 0)
		return EOVERFLOW;
	if (!r->contact || strcmp(r->contact, buf) != 0)
		replace(&r->contact, buf);

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
	struct request_setup setup = { .to = a->to, .method = REGISTER };
	char branch[BRANCH_SIZE], contact[URI_SIZE];
	struct mbuf *mb = NULL;
	int err;

	setup.port = from ? worker_port(w, from) : NULL;
	if (!setup.port)
		return EADDRNOTAVAIL;

	err = choose_contact(contact, r, from);
	if (err)
		return err;

	names_branch(branch, w->number);
	err = write_register(&mb, r, setup.port, branch, contact, auth);
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

static void set_target(struct attempt *a, const struct registry *reg,
		       uint32_t n)
{
	memset(&a->to, 0, sizeof(a->to));
	sa_cpy(&a->to.dst, &a->targets.addr[n]);
	a->to.transport = a->targets.transport[n];
	a->to.tls_name = reg->hop.agent ? reg->hop.agent->hostname : NULL;
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

/** Remember the resolution, and since when each target is healthy */
static void learn(struct registry *reg, const struct resolved *found)
{
	uint64_t healthy[RESOLVE_TARGETS] = { 0 }, now = clock_ms();

	for (uint32_t i = 0; i < found->n; i++) {
		struct target t = { .transport = found->transport[i] };
		uint32_t before;

		if (target_is_avoided(reg->worker->resolver, &found->addr[i],
				      found->transport[i]))
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

static int failed_to_send(struct registration *r, int err)
{
	r->code = 0;
	r->reason =
		err == EADDRNOTAVAIL ? "no sip-port fits" : "cannot be sent";
	host_of(r)->answered(r, 0);

	return SUR_LOST;
}

static int send_or_lose(struct registration *r)
{
	int err = transmit(r);

	return err ? failed_to_send(r, err) : 0;
}

/** Where the attempt goes is known: send the first REGISTER. Event or 0 */
static int start(struct registration *r, const struct resolved *found)
{
	struct attempt *a = r->attempt;

	a->targets = *found;
	a->tried = 1;
	if (!a->redirected && !r->moved)
		learn(r->flock->registry, found);
	a->start = a->redirected || r->moved ? 0 : first_target(r, found);
	set_target(a, r->flock->registry, a->start);

	return send_or_lose(r);
}

static int lost_in_dns(struct registration *r, int err)
{
	r->code = 0;
	r->reason = err == ENOENT         ? "name does not exist"
		    : err == EAFNOSUPPORT ? "no sip-port fits"
					  : "DNS does not answer";
	host_of(r)->answered(r, 0);

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
		surrogate_feed(r, (enum surrogate_event)ev, NULL);
}

int surrogate_resolve(struct resolve **pendingp, struct registry *registry,
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
			sa_set_port(&found->addr[0], default_port(transport));
		found->transport[0] = transport;
		found->n = 1;
		return 0;
	}

	return resolve(pendingp, registry->worker->resolver, &q, found, h, arg);
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
	struct text t = { a->ruri, sizeof(a->ruri), 0, false };
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
	else if (!pl_strcasecmp(&uri.scheme, "sips"))
		q.transport = TRANSPORT_TLS;

	put_mem(&t, uri.scheme.p, uri.scheme.l);
	put(&t, ":");
	pl = uri.host;
	put(&t, memchr(pl.p, ':', pl.l) ? "[" : "");
	put_mem(&t, pl.p, pl.l);
	put(&t, memchr(pl.p, ':', pl.l) ? "]" : "");
	if (uri.port) {
		put(&t, ":");
		put_uint(&t, uri.port);
	}
	if (t.full)
		return EOVERFLOW;

	return resolve(&a->pending, r->flock->worker->resolver, &q, found,
		       resolved_later, r);
}

/** Begin a try. Event or 0 */
static int begin(struct registration *r, enum attempt_kind kind)
{
	struct text t = { .size = URI_SIZE };
	struct resolved found = { .n = 0 };
	int err = attempt_begin(r, kind);

	if (err || !r->flock->registry) {
		r->reason = err ? "out of memory" : "no egress realm";
		host_of(r)->answered(r, 0);
		return SUR_NO_TARGET;
	}

	t.p = r->attempt->ruri;
	put(&t, "sip:");
	put_host(&t, agent_of(r)->register_host);

	err = r->moved ? resolve_uri(r, r->moved, &found)
		       : surrogate_resolve(&r->attempt->pending,
					   r->flock->registry, &found,
					   resolved_later, r);
	if (err == EINPROGRESS)
		return 0;
	if (err || !found.n)
		return lost_in_dns(r, err ? err : ENOENT);

	return start(r, &found);
}

/* Answers (4.4) ------------------------------------------------------------ */

/** Percent escapes undone (RFC 3261 19.1.4) */
static int next_octet(const struct pl *pl, size_t *i)
{
	int c = (unsigned char)pl->p[*i], v = 0;

	if (c == '%' && *i + 2 < pl->l) {
		for (size_t k = 1; k <= 2; k++) {
			int d = (unsigned char)pl->p[*i + k];

			d = d >= '0' && d <= '9'   ? d - '0'
			    : d >= 'a' && d <= 'f' ? d - 'a' + 10
			    : d >= 'A' && d <= 'F' ? d - 'A' + 10
						   : -1;
			if (d < 0)
				goto plain;
			v = v * 16 + d;
		}
		*i += 3;
		return v;
	}

plain:
	*i += 1;

	return c;
}

static bool same_user(const struct pl *a, const struct pl *b)
{
	size_t i = 0, k = 0;

	while (i < a->l && k < b->l)
		if (next_octet(a, &i) != next_octet(b, &k))
			return false;

	return i == a->l && k == b->l;
}

static uint16_t port_of(const struct uri *uri)
{
	struct pl transport;

	if (uri->port)
		return uri->port;
	if (!param_get(&uri->params, "transport", &transport) &&
	    !pl_strcasecmp(&transport, "tls"))
		return 5061;

	return pl_strcasecmp(&uri->scheme, "sips") ? 5060 : 5061;
}

/* A port left out and the default one are the same place; registrars write
 * either, so both are ours (19.1.4 is stricter) */
bool surrogate_is_own(const struct uri *contact, const struct uri *own)
{
	return same_user(&contact->user, &own->user) &&
	       host_equal(&contact->host, &own->host) &&
	       (port_of(contact) == port_of(own) ||
		(!contact->port && own->port == 5061));
}

static bool read_seconds(uint32_t *out, const struct pl *text)
{
	uint64_t n;
	int err = uint_parse(&n, text, UINT32_MAX);

	if (err && err != ERANGE)
		return false;
	*out = err ? UINT32_MAX : (uint32_t)n;

	return true;
}

static uint32_t header_seconds(const struct message *msg, enum header_id id,
			       uint32_t dflt)
{
	struct pl value = message_value(msg, id);
	uint32_t n;

	return value.l && read_seconds(&n, &value) ? n : dflt;
}

/** Each Contact of a message until h says stop */
typedef bool(contact_h)(const struct address *addr, void *arg);
static bool contacts_walk(const struct message *msg, contact_h *h, void *arg)
{
	const struct header *hdr = message_first(msg, HDR_CONTACT);
	bool any = false;

	for (; hdr; hdr = message_next(msg, hdr)) {
		struct pl rest = header_value(msg, hdr), value;

		while (!list_next(&rest, &value)) {
			struct address addr;

			any = true;
			if (!address_read(&addr, &value) && h(&addr, arg))
				return true;
		}
	}

	return any;
}

struct own {
	struct uri uri;
	struct pl expires;
	bool found;
};

static bool look_for_own(const struct address *addr, void *arg)
{
	struct own *own = arg;

	if (!addr->uri.scheme.l || !surrogate_is_own(&addr->uri, &own->uri))
		return false;

	own->found = true;
	if (param_get(&addr->params, "expires", &own->expires))
		own->expires.l = 0;

	return true;
}

/** Is a 200 ours? Then granted is set */
static bool read_binding(struct registration *r, const struct message *msg)
{
	struct attempt *a = r->attempt;
	uint32_t granted = header_seconds(msg, HDR_EXPIRES, a->asked), line = 0;
	struct own own = { .found = false };
	char aor[AOR_SIZE];
	struct pl pl;
	bool any;

	pl_set_str(&pl, r->contact);
	if (uri_read(&own.uri, &pl))
		return false;

	any = contacts_walk(msg, look_for_own, &own);
	if (any && !own.found) {
		r->reason = "own contact missing";
		return false;
	}
	if (!any && log_admit("reg-no-contact"))
		log_notice(SURROGATE, "reg-no-contact",
			   "aor=%s registrar=%s text=\"200 without Contact\"",
			   aor_text(aor, r), r->flock->registry->name);
	if (own.expires.l && read_seconds(&line, &own.expires))
		granted = line;
	if (!granted) {
		r->reason = "granted 0 s";
		return false;
	}
	a->granted = granted;

	return true;
}

/** Leading digits of Retry-After: "20 (busy);duration=5". 0: none */
static uint32_t read_retry_after(const struct message *msg)
{
	struct pl value = message_value(msg, HDR_RETRY_AFTER);
	uint32_t n = 0;
	size_t l = 0;

	while (l < value.l && value.p[l] >= '0' && value.p[l] <= '9')
		l++;
	value.l = l;
	if (!l || !read_seconds(&n, &value))
		return 0;

	return n < 1 ? 1 : n > PAUSE_MAX ? PAUSE_MAX : n;
}

static bool heeds_retry_after(uint16_t code)
{
	static const uint16_t codes[] = {
		404, 413, 480, 486, 500, 503, 600, 603
	};

	for (size_t i = 0; i < sizeof(codes) / sizeof(*codes); i++)
		if (codes[i] == code)
			return true;

	return false;
}

static enum surrogate_event classify(struct registration *r,
				     const struct message *msg)
{
	struct attempt *a = r->attempt;

	if (a->kind == ATTEMPT_OLD && msg->code != 401 && msg->code != 407)
		return SUR_OLD_GONE;

	if (msg->code < 300)
		return a->kind == ATTEMPT_LEAVE || read_binding(r, msg)
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

/** Its session-agent changed its state by what this REGISTER met */
static void tell_agent(struct registration *r, bool changed)
{
	const struct session_agent *config = r->flock->registry->hop.agent;
	uint64_t now = clock_ms();

	if (!changed)
		return;

	if (agent_service(live_agent(r), now) != AGENT_OUT_OF_SERVICE) {
		alarm_clear("session-agent-down", config->hostname);
		return;
	}
	alarm_raise("session-agent-down", ALARM_MINOR, config->hostname,
		    "REGISTER was not answered, or with a failure");
	host_of(r)->agent_down(r);
}

static void take_final(struct registration *r, const struct message *msg)
{
	struct attempt *a = r->attempt;
	struct proof_setup setup = proof_setup(r, NULL);
	struct agent *agent = live_agent(r);
	uint64_t now = clock_ms();

	r->code = msg->code;
	r->reason = "";
	a->answered = true;
	if (agent)
		tell_agent(r, agent_answered(agent, msg->code,
					     (uint32_t)(now - a->sent), now));
	if (msg->code != 503)
		target_worked(r->flock->worker->resolver, &a->to.dst,
			      a->to.transport);
	if (msg->code != 401 && msg->code != 407)
		prove_accepted(&setup, &a->tries, msg);
	a->retry_after =
		heeds_retry_after(msg->code) ? read_retry_after(msg) : 0;
	a->waits = msg->code == 503 && a->retry_after;

	host_of(r)->answered(r, msg->code);
	surrogate_feed(r, classify(r, msg), msg);
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
	if (agent && timeout)
		tell_agent(r, agent_timed_out(agent, clock_ms()));

	host_of(r)->answered(r, 0);
	surrogate_feed(r, a->kind == ATTEMPT_OLD ? SUR_OLD_GONE : SUR_LOST,
		       NULL);
}

static void take_answer(struct transaction *t, enum transaction_event ev,
			const struct message *msg, void *arg)
{
	struct registration *r = arg;

	if (ev != FINAL && ev != TIMEOUT && ev != BROKEN)
		return;

	(void)t;
	if (r->attempt->sending) {
		r->attempt->broken = true;
		return;
	}
	r->attempt->transaction = transaction_forget(r->attempt->transaction);
	if (ev == FINAL)
		take_final(r, msg);
	else
		take_silence(r, ev == TIMEOUT);
}

/* When to try again -------------------------------------------------------- */

static uint64_t moment(uint64_t seconds)
{
	return clock_ms() + seconds * 1000;
}

static void due_now(struct registration *r)
{
	r->next = clock_ms();
	surrogate_arm(r);
}

static void never(struct registration *r)
{
	r->next = 0;
	surrogate_arm(r);
}

uint32_t surrogate_pause(uint32_t retry_time, uint32_t n)
{
	uint64_t pause = retry_time;

	for (uint32_t i = 1; i < n && pause < PAUSE_MAX; i++)
		pause *= 2;

	return pause > PAUSE_MAX ? PAUSE_MAX : (uint32_t)pause;
}

static bool is_exhausted(const struct registration *r)
{
	uint32_t max = agent_of(r)->max_register_attempts;

	return max && r->failures >= max;
}

static void raise_failed(struct registration *r)
{
	char aor[AOR_SIZE];

	if (r->failures < FAILED_ALARM)
		return;
	if (r->failures != FAILED_ALARM && r->alarms & RAISED_FAILED)
		return;

	r->alarms |= RAISED_FAILED;
	alarm_raise("surrogate-registration-failed",
		    r->flock->bound ? ALARM_MINOR : ALARM_MAJOR,
		    aor_text(aor, r), "code %u, %s", r->code,
		    r->reason ? r->reason : "");
}

void surrogate_remind(struct registration *r)
{
	static const char why[] = "since before the start";
	char aor[AOR_SIZE];

	if (r->state == SUR_REFUSED) {
		r->alarms |= RAISED_REFUSED;
		alarm_raise("surrogate-credentials-refused", ALARM_MAJOR,
			    aor_text(aor, r), "%s", why);
	}
	if (r->state == SUR_GIVEN_UP) {
		r->alarms |= RAISED_GAVE_UP;
		alarm_raise("surrogate-gave-up", ALARM_MAJOR, aor_text(aor, r),
			    "%u failures in a row, %s", r->failures, why);
	}
}

static void clear_alarms(struct registration *r)
{
	char aor[AOR_SIZE];

	if (!r->alarms)
		return;
	(void)aor_text(aor, r);
	if (r->alarms & RAISED_FAILED)
		alarm_clear("surrogate-registration-failed", aor);
	if (r->alarms & RAISED_REFUSED)
		alarm_clear("surrogate-credentials-refused", aor);
	if (r->alarms & RAISED_GAVE_UP)
		alarm_clear("surrogate-gave-up", aor);
	r->alarms = 0;
}

/** 0.75 to 1.25 of the pause, at most 1 h [ms] */
static uint64_t jittered(uint32_t pause)
{
	uint64_t ms = (uint64_t)pause * random_between(750, 1250);

	return ms > PAUSE_MAX * 1000ull ? PAUSE_MAX * 1000ull : ms;
}

/** Plus 0 to 10 %: many were told the same [ms] */
static uint64_t not_before(uint32_t seconds)
{
	return (uint64_t)seconds * random_between(1000, 1100);
}

/** After a failure: when is the next try? */
static void plan_retry(struct registration *r)
{
	const struct attempt *a = r->attempt;
	uint64_t now = clock_ms(), wait, left;
	uint32_t retry_after = a ? a->retry_after : 0;

	r->refusals = 0;
	if (a && a->waits) {
		r->next = now + not_before(retry_after);
		return;
	}

	if (r->failures < UINT16_MAX)
		r->failures++;
	wait = jittered(
		surrogate_pause(agent_of(r)->register_retry_time, r->failures));
	/* a valid binding is not left to run out behind a long pause */
	if (r->bound && r->expires > now) {
		left = (r->expires - now) / 2;
		if (wait > left)
			wait = left;
		if (wait < RETRY_MIN * 1000)
			wait = RETRY_MIN * 1000;
	}
	if (retry_after && wait < retry_after * 1000ull)
		wait = not_before(retry_after);
	r->next = now + wait;
	raise_failed(r);
}

/* Actions ------------------------------------------------------------------ */

/** What waited for the answer */
static int take_later(struct registration *r)
{
	int ev = r->later;

	r->later = 0;

	return ev;
}

static int send_register(void *obj, const struct message *msg)
{
	struct registration *r = obj;

	(void)msg;
	r->next = 0;
	host_of(r)->not_due(r);

	return begin(r, ATTEMPT_REGISTER);
}

static int send_leave(void *obj, const struct message *msg)
{
	struct registration *r = obj;

	(void)msg;
	r->next = 0;
	host_of(r)->not_due(r);
	if (r->attempt)
		return 0;

	return begin(r, ATTEMPT_LEAVE);
}

static int send_old(void *obj, const struct message *msg)
{
	struct registration *r = obj;
	int ev;

	(void)msg;
	host_of(r)->again(r);
	ev = begin(r, ATTEMPT_OLD);

	return ev ? SUR_OLD_GONE : 0;
}

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
static int answer(void *obj, const struct message *msg)
{
	struct registration *r = obj;
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
		host_of(r)->again(r);
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

/** The former Contact is removed, or not: one try, then so be it */
static int after_old(void *obj, const struct message *msg)
{
	struct registration *r = obj;

	(void)msg;
	attempt_end(r);
	r->old_contact = mem_deref(r->old_contact);

	return take_later(r);
}

static void keep_value(char **dst, const struct message *msg, enum header_id id)
{
	const struct header *h = message_first(msg, id);
	char buf[ROUTE_MAX + 1];
	struct text t = { buf, sizeof(buf), 0, false };

	for (; h; h = message_next(msg, h)) {
		struct pl value = header_value(msg, h);

		if (t.l)
			put(&t, ", ");
		put_mem(&t, value.p, value.l);
	}
	if (t.full && log_admit("reg-header-long"))
		log_warning(SURROGATE, "reg-header-long",
			    "header=%s text=\"over %d bytes, left out\"",
			    header_id_name(id), ROUTE_MAX);
	if (!t.l || t.full)
		*dst = mem_deref(*dst);
	else if (!*dst || strcmp(*dst, buf) != 0)
		replace(dst, buf);
}

static void set_bound(struct registration *r, bool bound)
{
	if (bound == r->bound)
		return;
	r->bound = bound;
	r->flock->bound += bound ? 1 : (uint32_t)-1;
}

static uint64_t refresh_after(uint32_t granted)
{
	if (granted < 20)
		return granted * 500ull;

	/* 50 to 90 % in steps of a thousandth, and a random rest, so that AoRs
	 * that were registered together part */
	return granted * (uint64_t)random_between(500, 899) +
	       random_below(granted);
}

static int store_binding(void *obj, const struct message *msg)
{
	struct registration *r = obj;
	struct attempt *a = r->attempt;

	r->granted = a->granted;
	r->expires = moment(r->granted);
	r->next = clock_ms() + refresh_after(r->granted);
	r->failures = 0;
	r->refusals = 0;
	r->target = a->to;
	r->target.conn = 0;
	set_bound(r, true);
	keep_value(&r->route, msg, HDR_SERVICE_ROUTE);
	keep_value(&r->associated, msg, HDR_P_ASSOCIATED_URI);
	host_of(r)->associate(r, msg);
	clear_alarms(r);
	attempt_end(r);
	surrogate_arm(r);
	host_of(r)->store(r);

	if (r->old_contact) {
		if (agent_of(r)->un_register)
			return SUR_REMOVE_OLD;
		r->old_contact = mem_deref(r->old_contact);
	}

	return take_later(r);
}

static int refuse(void *obj, const struct message *msg)
{
	struct registration *r = obj;
	const struct surrogate_agent *agent = agent_of(r);
	uint32_t pause = agent->register_retry_time;
	char aor[AOR_SIZE];

	(void)msg;
	if (r->failures < UINT16_MAX)
		r->failures++;
	if (r->refusals < UINT8_MAX)
		r->refusals++;
	if (pause < REFUSED_MIN)
		pause = REFUSED_MIN;
	r->next = clock_ms() + not_before(surrogate_pause(pause, r->refusals));
	count(COUNT_SURROGATE_REJECT, 1);
	r->alarms |= RAISED_REFUSED;
	alarm_raise("surrogate-credentials-refused", ALARM_MAJOR,
		    aor_text(aor, r), "code %u, %s", r->code,
		    r->reason ? r->reason : "");
	attempt_end(r);
	surrogate_arm(r);
	host_of(r)->store(r);
	if (is_exhausted(r) && !r->bound)
		return SUR_EXHAUSTED;

	return take_later(r);
}

/* 423: RFC 3261 10.2.8 */
static int ask_longer(void *obj, const struct message *msg)
{
	struct registration *r = obj;
	struct attempt *a = r->attempt;
	uint32_t min = header_seconds(msg, HDR_MIN_EXPIRES, 0);

	if (a->briefed || min <= a->asked) {
		r->reason = "interval too brief";
		return SUR_FAIL;
	}

	a->briefed = true;
	a->asked = r->min_expires = min;
	host_of(r)->again(r);

	return send_or_lose(r);
}

/* 420: all that we ever name is path */
static int leave_option(void *obj, const struct message *msg)
{
	struct registration *r = obj;
	struct attempt *a = r->attempt;

	if (a->optioned || r->flock->no_path ||
	    !message_has_token(msg, HDR_UNSUPPORTED, "path")) {
		r->reason = "extension refused";
		return SUR_FAIL;
	}

	a->optioned = true;
	r->flock->no_path = true;
	host_of(r)->again(r);

	return send_or_lose(r);
}

struct best_contact {
	uint32_t q; /* thousandths, plus 1 */
	struct pl uri;
};

static bool look_for_best(const struct address *addr, void *arg)
{
	struct best_contact *best = arg;
	uint32_t q = 1000, digit = 100;
	struct pl text;

	if (pl_strcasecmp(&addr->uri.scheme, "sip") &&
	    pl_strcasecmp(&addr->uri.scheme, "sips"))
		return false;

	if (!param_get(&addr->params, "q", &text) && text.l &&
	    text.p[0] != '1') {
		q = 0;
		for (size_t i = 2; i < text.l && digit; i++, digit /= 10)
			if (text.p[i] >= '0' && text.p[i] <= '9')
				q += (uint32_t)(text.p[i] - '0') * digit;
	}
	if (q + 1 > best->q) {
		best->q = q + 1;
		best->uri = addr->spec;
	}

	return false;
}

static int follow(void *obj, const struct message *msg)
{
	struct registration *r = obj;
	struct attempt *a = r->attempt;
	struct best_contact best = { 0 };
	struct resolved found = { .n = 0 };
	char uri[URI_SIZE];
	int err;

	(void)contacts_walk(msg, look_for_best, &best);
	if (a->redirected || !best.q || best.uri.l >= sizeof(uri)) {
		r->reason =
			a->redirected ? "sent elsewhere twice" : "sent nowhere";
		r->moved = mem_deref(r->moved);
		return SUR_FAIL;
	}
	memcpy(uri, best.uri.p, best.uri.l);
	uri[best.uri.l] = '\0';

	a->redirected = true;
	if (msg->code == 301)
		replace(&r->moved, uri);
	host_of(r)->again(r);
	err = resolve_uri(r, uri, &found);
	if (err == EINPROGRESS)
		return 0;
	if (err || !found.n)
		return lost_in_dns(r, err ? err : ENOENT);

	return start(r, &found);
}

/** Is there another target? Then send there at once */
static int next_target(void *obj, const struct message *msg)
{
	struct registration *r = obj;
	struct attempt *a = r->attempt;
	uint32_t most =
		a->kind == ATTEMPT_REGISTER ? RESOLVE_TARGETS : LEAVE_TARGETS;

	if (!msg || msg->code == 503)
		target_failed(r->flock->worker->resolver, &a->to.dst,
			      a->to.transport, a->retry_after);
	if (a->tried >= a->targets.n || a->tried >= most)
		return SUR_NO_TARGET;

	set_target(a, r->flock->registry, (a->start + a->tried) % a->targets.n);
	a->tried++;
	host_of(r)->again(r);

	return send_or_lose(r);
}

/** A try failed; the state says whether a binding holds on */
static int retry_later(void *obj, const struct message *msg)
{
	struct registration *r = obj;
	bool unreachable = r->attempt && !r->attempt->answered;

	(void)msg;
	/* a Contact of a 301 that leads nowhere is forgotten */
	if (unreachable)
		r->moved = mem_deref(r->moved);
	else
		count(COUNT_SURROGATE_REJECT, 1);
	plan_retry(r);
	attempt_end(r);
	surrogate_arm(r);
	host_of(r)->store(r);
	if (unreachable)
		host_of(r)->unreachable(r);
	if (is_exhausted(r) && !r->bound)
		return SUR_EXHAUSTED;

	return take_later(r);
}

static int give_up(void *obj, const struct message *msg)
{
	struct registration *r = obj;
	char aor[AOR_SIZE];

	(void)msg;
	never(r);
	r->alarms |= RAISED_GAVE_UP;
	alarm_raise("surrogate-gave-up", ALARM_MAJOR, aor_text(aor, r),
		    "%u failures in a row, the last with code %u", r->failures,
		    r->code);
	host_of(r)->store(r);

	return take_later(r);
}

/** The binding is over while registered */
static int bind_anew(void *obj, const struct message *msg)
{
	struct registration *r = obj;

	(void)msg;
	if (is_exhausted(r))
		return SUR_EXHAUSTED;
	if (r->failures || r->refusals)
		return SUR_PENDING;
	due_now(r);

	return 0;
}

static int be_due(void *obj, const struct message *msg)
{
	struct registration *r = obj;

	(void)msg;
	if (!r->flock->enabled)
		return SUR_GONE;
	due_now(r);

	return 0;
}

/** New credentials, new registrar: what was refused counts no more */
static int begin_anew(void *obj, const struct message *msg)
{
	struct registration *r = obj;

	r->failures = 0;
	r->refusals = 0;
	r->moved = mem_deref(r->moved);

	return be_due(obj, msg);
}

static int enable(void *obj, const struct message *msg)
{
	struct registration *r = obj;

	if (agent_of(r)->register_mode == REGISTER_MODE_TRIGGERED &&
	    !r->flock->active)
		return SUR_STAY_IDLE;

	return begin_anew(obj, msg);
}

/** ... while the binding ran out: it begins anew */
static int after_old_anew(void *obj, const struct message *msg)
{
	int ev = after_old(obj, msg);

	return ev ? ev : be_due(obj, msg);
}

static int due_later(void *obj, const struct message *msg)
{
	((struct registration *)obj)->later = SUR_ORDER_IN;
	(void)msg;

	return 0;
}

static int quiet_later(void *obj, const struct message *msg)
{
	struct registration *r = obj;

	(void)msg;
	if (r->later != SUR_GONE && r->later != SUR_SHUTDOWN)
		r->later = SUR_QUIET;

	return 0;
}

static int not_quiet(void *obj, const struct message *msg)
{
	struct registration *r = obj;

	(void)msg;
	if (r->later == SUR_QUIET)
		r->later = 0;

	return 0;
}

static int gone_later(void *obj, const struct message *msg)
{
	((struct registration *)obj)->later = SUR_GONE;
	(void)msg;

	return 0;
}

static int stop_later(void *obj, const struct message *msg)
{
	((struct registration *)obj)->later = SUR_SHUTDOWN;
	(void)msg;

	return 0;
}

static int out_later(void *obj, const struct message *msg)
{
	((struct registration *)obj)->later = SUR_ORDER_OUT;
	(void)msg;

	return 0;
}

/** It rests: nothing is sent until something wakes it */
static int rest(void *obj, const struct message *msg)
{
	struct registration *r = obj;

	(void)msg;
	host_of(r)->not_due(r);
	if (!r->bound)
		clear_alarms(r);
	never(r);
	host_of(r)->store(r);

	return take_later(r);
}

/** Disabled: its alarms end with it */
static int switch_off(void *obj, const struct message *msg)
{
	clear_alarms(obj);

	return rest(obj, msg);
}

static int stop(void *obj, const struct message *msg)
{
	struct registration *r = obj;

	(void)msg;
	host_of(r)->not_due(r);
	timer_cancel(&r->timer);

	return 0;
}

static int leave_or(struct registration *r, uint8_t goal, int otherwise)
{
	if (!agent_of(r)->un_register || !r->bound || !r->flock->registry)
		return otherwise;
	r->goal = goal;

	return SUR_LEAVE;
}

static int leave_if_wanted(void *obj, const struct message *msg)
{
	(void)msg;

	return leave_or(obj, SUR_DISABLED, SUR_STAY_OUT);
}

static int fall_silent(void *obj, const struct message *msg)
{
	(void)msg;

	return leave_or(obj, SUR_SILENT, SUR_STAY_SILENT);
}

/** The operator's order needs no un-register in the configuration */
static int leave_by_order(void *obj, const struct message *msg)
{
	struct registration *r = obj;

	(void)msg;
	r->goal = SUR_DISABLED;

	return r->bound && r->flock->registry ? SUR_LEAVE : SUR_STAY_OUT;
}

static int queue_leave(void *obj, const struct message *msg)
{
	struct registration *r = obj;

	(void)msg;
	r->next = 0;
	surrogate_arm(r);
	host_of(r)->not_due(r);
	host_of(r)->due(r, DUE_LEAVE);

	return 0;
}

static int left(void *obj, const struct message *msg)
{
	struct registration *r = obj;

	(void)msg;
	attempt_end(r);
	set_bound(r, false);
	r->expires = 0;
	r->failures = 0;
	r->route = mem_deref(r->route);
	r->associated = mem_deref(r->associated);
	host_of(r)->associate(r, NULL);

	return r->goal == SUR_SILENT ? SUR_STAY_SILENT
	       : r->goal == SUR_IDLE ? SUR_STAY_IDLE
				     : SUR_STAY_OUT;
}

/** Whatever it waited for, now it ends as disabled */
static int go_out(void *obj, const struct message *msg)
{
	struct registration *r = obj;

	(void)msg;
	r->goal = SUR_DISABLED;
	r->later = 0;

	return 0;
}

/** Orderly end: with un-register it leaves, else all stays as it was stored */
static int leave_or_stop(void *obj, const struct message *msg)
{
	int ev = leave_or(obj, SUR_DISABLED, 0);

	return ev ? ev : stop(obj, msg);
}

/* The table (4.3) ----------------------------------------------------------- */

/* clang-format off */
static const struct rule rules[] = {
	{ SUR_DISABLED,    SUR_ENABLED,     enable,          SUR_WAITING     },
	{ SUR_DISABLED,    SUR_ORDER_IN,    begin_anew,      SUR_WAITING     },
	{ SUR_DISABLED,    SUR_STAY_OUT,    switch_off,      SUR_DISABLED    },
	{ SUR_DISABLED,    SUR_STAY_IDLE,   rest,            SUR_IDLE        },
	{ SUR_DISABLED,    SUR_STAY_SILENT, rest,            SUR_SILENT      },

	{ SUR_GIVEN_UP,    SUR_ENABLED,     enable,          SUR_WAITING     },
	{ SUR_GIVEN_UP,    SUR_CHANGED,     begin_anew,      SUR_WAITING     },
	{ SUR_GIVEN_UP,    SUR_ANEW,        begin_anew,      SUR_WAITING     },
	{ SUR_GIVEN_UP,    SUR_ORDER_IN,    begin_anew,      SUR_WAITING     },
	{ SUR_GIVEN_UP,    SUR_GONE,        switch_off,      SUR_DISABLED    },
	{ SUR_GIVEN_UP,    SUR_SHUTDOWN,    stop,            SUR_GIVEN_UP    },

	{ SUR_WAITING,     SUR_DUE,         send_register,   SUR_REGISTERING },
	{ SUR_WAITING,     SUR_PENDING,     NULL,            SUR_BACKOFF     },
	{ SUR_WAITING,     SUR_EXHAUSTED,   give_up,         SUR_GIVEN_UP    },
	{ SUR_WAITING,     SUR_CHANGED,     begin_anew,      SUR_WAITING     },
	{ SUR_WAITING,     SUR_ANEW,        begin_anew,      SUR_WAITING     },
	{ SUR_WAITING,     SUR_CONTACT,     be_due,          SUR_WAITING     },
	{ SUR_WAITING,     SUR_QUIET,       rest,            SUR_SILENT      },
	{ SUR_WAITING,     SUR_STAY_IDLE,   rest,            SUR_IDLE        },
	{ SUR_WAITING,     SUR_GONE,        switch_off,      SUR_DISABLED    },
	{ SUR_WAITING,     SUR_SHUTDOWN,    stop,            SUR_WAITING     },
	{ SUR_WAITING,     SUR_ORDER_IN,    be_due,          SUR_WAITING     },
	{ SUR_WAITING,     SUR_ORDER_OUT,   switch_off,      SUR_DISABLED    },

	{ SUR_BACKOFF,     SUR_DUE,         send_register,   SUR_REGISTERING },
	{ SUR_BACKOFF,     SUR_EXHAUSTED,   give_up,         SUR_GIVEN_UP    },
	{ SUR_BACKOFF,     SUR_CHANGED,     begin_anew,      SUR_WAITING     },
	{ SUR_BACKOFF,     SUR_ANEW,        begin_anew,      SUR_WAITING     },
	{ SUR_BACKOFF,     SUR_CONTACT,     be_due,          SUR_WAITING     },
	{ SUR_BACKOFF,     SUR_QUIET,       rest,            SUR_SILENT      },
	{ SUR_BACKOFF,     SUR_GONE,        switch_off,      SUR_DISABLED    },
	{ SUR_BACKOFF,     SUR_SHUTDOWN,    stop,            SUR_BACKOFF     },
	{ SUR_BACKOFF,     SUR_ORDER_IN,    be_due,          SUR_WAITING     },
	{ SUR_BACKOFF,     SUR_ORDER_OUT,   switch_off,      SUR_DISABLED    },

	{ SUR_REFUSED,     SUR_DUE,         send_register,   SUR_REGISTERING },
	{ SUR_REFUSED,     SUR_EXHAUSTED,   give_up,         SUR_GIVEN_UP    },
	{ SUR_REFUSED,     SUR_CHANGED,     begin_anew,      SUR_WAITING     },
	{ SUR_REFUSED,     SUR_ANEW,        begin_anew,      SUR_WAITING     },
	{ SUR_REFUSED,     SUR_CONTACT,     be_due,          SUR_WAITING     },
	{ SUR_REFUSED,     SUR_QUIET,       rest,            SUR_SILENT      },
	{ SUR_REFUSED,     SUR_GONE,        switch_off,      SUR_DISABLED    },
	{ SUR_REFUSED,     SUR_SHUTDOWN,    stop,            SUR_REFUSED     },
	{ SUR_REFUSED,     SUR_ORDER_IN,    be_due,          SUR_WAITING     },
	{ SUR_REFUSED,     SUR_ORDER_OUT,   switch_off,      SUR_DISABLED    },

	{ SUR_REGISTERING, SUR_ENABLED,     due_later,       SUR_REGISTERING },
	{ SUR_REGISTERING, SUR_OK,          store_binding,   SUR_REGISTERED  },
	{ SUR_REGISTERING, SUR_CHALLENGED,  answer,          SUR_REGISTERING },
	{ SUR_REGISTERING, SUR_REFUSE,      refuse,          SUR_REFUSED     },
	{ SUR_REGISTERING, SUR_BRIEF,       ask_longer,      SUR_REGISTERING },
	{ SUR_REGISTERING, SUR_OPTION,      leave_option,    SUR_REGISTERING },
	{ SUR_REGISTERING, SUR_ELSEWHERE,   follow,          SUR_REGISTERING },
	{ SUR_REGISTERING, SUR_LOST,        next_target,     SUR_REGISTERING },
	{ SUR_REGISTERING, SUR_NO_TARGET,   retry_later,     SUR_BACKOFF     },
	{ SUR_REGISTERING, SUR_FAIL,        retry_later,     SUR_BACKOFF     },
	{ SUR_REGISTERING, SUR_OLD_GONE,    after_old_anew,  SUR_WAITING     },
	{ SUR_REGISTERING, SUR_CHANGED,     due_later,       SUR_REGISTERING },
	{ SUR_REGISTERING, SUR_ANEW,        due_later,       SUR_REGISTERING },
	{ SUR_REGISTERING, SUR_CONTACT,     due_later,       SUR_REGISTERING },
	{ SUR_REGISTERING, SUR_ACTIVE,      not_quiet,       SUR_REGISTERING },
	{ SUR_REGISTERING, SUR_QUIET,       quiet_later,     SUR_REGISTERING },
	{ SUR_REGISTERING, SUR_GONE,        gone_later,      SUR_REGISTERING },
	{ SUR_REGISTERING, SUR_SHUTDOWN,    stop_later,      SUR_REGISTERING },
	{ SUR_REGISTERING, SUR_ORDER_OUT,   out_later,       SUR_REGISTERING },

	{ SUR_REGISTERED,  SUR_DUE,         send_register,   SUR_REFRESHING  },
	{ SUR_REGISTERED,  SUR_EXPIRED,     bind_anew,       SUR_WAITING     },
	{ SUR_REGISTERED,  SUR_ANEW,        be_due,          SUR_REGISTERED  },
	{ SUR_REGISTERED,  SUR_CONTACT,     be_due,          SUR_REGISTERED  },
	{ SUR_REGISTERED,  SUR_REMOVE_OLD,  send_old,        SUR_REFRESHING  },
	{ SUR_REGISTERED,  SUR_QUIET,       fall_silent,     SUR_REGISTERED  },
	{ SUR_REGISTERED,  SUR_GONE,        leave_if_wanted, SUR_REGISTERED  },
	{ SUR_REGISTERED,  SUR_SHUTDOWN,    leave_or_stop,   SUR_REGISTERED  },
	{ SUR_REGISTERED,  SUR_ORDER_IN,    be_due,          SUR_REGISTERED  },
	{ SUR_REGISTERED,  SUR_ORDER_OUT,   leave_by_order,  SUR_REGISTERED  },
	{ SUR_REGISTERED,  SUR_TARGET_GONE, be_due,          SUR_REGISTERED  },
	{ SUR_REGISTERED,  SUR_LEAVE,       queue_leave,     SUR_LEAVING     },
	{ SUR_REGISTERED,  SUR_STAY_OUT,    switch_off,      SUR_DISABLED    },
	{ SUR_REGISTERED,  SUR_STAY_SILENT, rest,            SUR_SILENT      },

	{ SUR_REFRESHING,  SUR_ENABLED,     due_later,       SUR_REFRESHING  },
	{ SUR_REFRESHING,  SUR_OK,          store_binding,   SUR_REGISTERED  },
	{ SUR_REFRESHING,  SUR_CHALLENGED,  answer,          SUR_REFRESHING  },
	{ SUR_REFRESHING,  SUR_REFUSE,      refuse,          SUR_REFUSED     },
	{ SUR_REFRESHING,  SUR_BRIEF,       ask_longer,      SUR_REFRESHING  },
	{ SUR_REFRESHING,  SUR_OPTION,      leave_option,    SUR_REFRESHING  },
	{ SUR_REFRESHING,  SUR_ELSEWHERE,   follow,          SUR_REFRESHING  },
	{ SUR_REFRESHING,  SUR_LOST,        next_target,     SUR_REFRESHING  },
	{ SUR_REFRESHING,  SUR_NO_TARGET,   retry_later,     SUR_REGISTERED  },
	{ SUR_REFRESHING,  SUR_FAIL,        retry_later,     SUR_REGISTERED  },
	{ SUR_REFRESHING,  SUR_EXPIRED,     NULL,            SUR_REGISTERING },
	{ SUR_REFRESHING,  SUR_ANEW,        due_later,       SUR_REFRESHING  },
	{ SUR_REFRESHING,  SUR_CONTACT,     due_later,       SUR_REFRESHING  },
	{ SUR_REFRESHING,  SUR_OLD_GONE,    after_old,       SUR_REGISTERED  },
	{ SUR_REFRESHING,  SUR_ACTIVE,      not_quiet,       SUR_REFRESHING  },
	{ SUR_REFRESHING,  SUR_QUIET,       quiet_later,     SUR_REFRESHING  },
	{ SUR_REFRESHING,  SUR_GONE,        gone_later,      SUR_REFRESHING  },
	{ SUR_REFRESHING,  SUR_SHUTDOWN,    stop_later,      SUR_REFRESHING  },
	{ SUR_REFRESHING,  SUR_ORDER_OUT,   out_later,       SUR_REFRESHING  },

	{ SUR_IDLE,        SUR_ACTIVE,      begin_anew,      SUR_WAITING     },
	{ SUR_IDLE,        SUR_GONE,        switch_off,      SUR_DISABLED    },
	{ SUR_IDLE,        SUR_SHUTDOWN,    stop,            SUR_IDLE        },
	{ SUR_IDLE,        SUR_ORDER_IN,    begin_anew,      SUR_WAITING     },
	{ SUR_IDLE,        SUR_ORDER_OUT,   switch_off,      SUR_DISABLED    },
	{ SUR_SILENT,      SUR_ACTIVE,      begin_anew,      SUR_WAITING     },
	{ SUR_SILENT,      SUR_GONE,        switch_off,      SUR_DISABLED    },
	{ SUR_SILENT,      SUR_SHUTDOWN,    stop,            SUR_SILENT      },
	{ SUR_SILENT,      SUR_ORDER_IN,    begin_anew,      SUR_WAITING     },
	{ SUR_SILENT,      SUR_ORDER_OUT,   switch_off,      SUR_DISABLED    },

	{ SUR_LEAVING,     SUR_ENABLED,     due_later,       SUR_LEAVING     },
	{ SUR_LEAVING,     SUR_DUE,         send_leave,      SUR_LEAVING     },
	{ SUR_LEAVING,     SUR_OK,          left,            SUR_DISABLED    },
	{ SUR_LEAVING,     SUR_CHALLENGED,  answer,          SUR_LEAVING     },
	{ SUR_LEAVING,     SUR_REFUSE,      left,            SUR_DISABLED    },
	{ SUR_LEAVING,     SUR_BRIEF,       left,            SUR_DISABLED    },
	{ SUR_LEAVING,     SUR_OPTION,      left,            SUR_DISABLED    },
	{ SUR_LEAVING,     SUR_ELSEWHERE,   follow,          SUR_LEAVING     },
	{ SUR_LEAVING,     SUR_LOST,        next_target,     SUR_LEAVING     },
	{ SUR_LEAVING,     SUR_NO_TARGET,   left,            SUR_DISABLED    },
	{ SUR_LEAVING,     SUR_FAIL,        left,            SUR_DISABLED    },
	{ SUR_LEAVING,     SUR_ACTIVE,      due_later,       SUR_LEAVING     },
	{ SUR_LEAVING,     SUR_GONE,        go_out,          SUR_LEAVING     },
	{ SUR_LEAVING,     SUR_SHUTDOWN,    go_out,          SUR_LEAVING     },
	{ SUR_LEAVING,     SUR_ORDER_IN,    due_later,       SUR_LEAVING     },
	{ SUR_LEAVING,     SUR_ORDER_OUT,   go_out,          SUR_LEAVING     },

	{ 0 },
};
/* clang-format on */

const struct machine surrogate_machine = { "registration", rules, states,
					   events };

/** The timer: the binding is over, or the next try is due, or both */
static void take_timer(void *arg)
{
	struct registration *r = arg;
	uint64_t now = clock_ms();

	if (r->bound && now >= r->expires) {
		set_bound(r, false);
		host_of(r)->associate(r, NULL);
		surrogate_feed(r, SUR_EXPIRED, NULL);
		return; /* the feed has armed it anew */
	}
	surrogate_arm(r);
}

void surrogate_arm(struct registration *r)
{
	uint64_t now = clock_ms(), wait = UINT64_MAX;

	if (r->next && r->next <= now) {
		r->next = 0;
		host_of(r)->due(r, r->bound ? DUE_BINDING : DUE_NEW);
	}
	if (r->next)
		wait = r->next - now;
	if (r->bound) {
		uint64_t left = r->expires > now ? r->expires - now : 0;

		wait = left < wait ? left : wait;
	}

	if (wait == UINT64_MAX)
		timer_cancel(&r->timer);
	else
		timer_start(&r->timer, wait, take_timer, r);
}

int surrogate_alloc(struct registration **rp, struct flock *flock,
		    uint32_t number)
{
	struct registration *r =
		mem_zalloc(sizeof(*r), registration_destructor);

	if (!r)
		return ENOMEM;

	r->flock = flock;
	r->number = number;
	r->reason = "";
	names_callid(r->callid, flock->worker->number);
	names_tag(r->tag, flock->worker->number);
	*rp = r;

	return 0;
}

bool surrogate_is_out(const struct registration *r)
{
	return r->attempt != NULL;
}

static void log_move(const struct registration *r, uint8_t from)
{
	char aor[AOR_SIZE];
	uint64_t now = clock_ms();

	if (!log_on(SURROGATE, LEVEL_DEBUG))
		return;
	log_debug(SURROGATE, "reg-state",
		  "aor=%s registrar=%s from=%s to=%s code=%u reason=\"%s\" "
		  "next=%llu",
		  aor_text(aor, r),
		  r->flock->registry ? r->flock->registry->name : "",
		  states[from], states[r->state], r->code,
		  r->reason ? r->reason : "",
		  r->next > now ? (unsigned long long)(r->next - now) / 1000
				: 0ull);
}

void surrogate_feed(struct registration *r, enum surrogate_event ev,
		    const struct message *msg)
{
	uint8_t from = r->state;

	(void)machine_feed(&surrogate_machine, &r->state, r, ev, msg, NULL);
	if (ev == SUR_EXPIRED)
		surrogate_arm(r);
	if (r->state == from)
		return;

	log_move(r, from);
	host_of(r)->moved(r, from);
}

const char *surrogate_state_name(enum surrogate_state s)
{
	return s == SUR_REFRESHING ? states[SUR_REGISTERED]
	       : s < SUR_STATES    ? states[s]
				   : "";
}
