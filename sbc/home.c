/*
 * Which worker a message belongs to, and its way there
 *
 * The bytes go as a copy and are scanned once more there: no object of libre's
 * is ever known to two threads.
 */
#include <stdatomic.h>
#include <string.h>
#include "sbc/admit.h"
#include "sbc/choose.h"
#include "sbc/clock.h"
#include "sbc/counters.h"
#include "sbc/crew.h"
#include "sbc/doors.h"
#include "sbc/home.h"
#include "sbc/mailbox.h"
#include "sbc/names.h"
#include "sbc/sources.h"

enum {
	PARCELS = 16384, /* on their way to one worker; then they are lost */
	QUOTE = 1500,    /* of ICMP [bytes] */
	ROUNDS = 2       /* of a keep-alive, while plans differ */
};

/* A message on its way; a keep-alive has no bytes */
struct parcel {
	struct letter letter;
	struct sa local; /* of the sip-port */
	enum transport transport;
	uint32_t number; /* of its endpoint in the plan of the sender */
	struct arrival from;
	uint64_t posted; /* [ms] */
	struct mbuf *mb;
};

/* --- On the way ------------------------------------------------------------ */

static void parcel_destructor(void *data)
{
	struct parcel *p = data;

	mem_deref(p->mb);
}

/* The sip-port here that stands for the one where it came in */
static struct port *port_here(const struct worker *w, const struct parcel *p)
{
	struct port *port = p->number < w->ports_n ? w->ports[p->number] : NULL;

	if (port && port_transport(port) == p->transport &&
	    sa_cmp(port_local(port), &p->local, SA_ALL))
		return port;

	return w->doors ? doors_port(w->doors, &p->local, p->transport) : NULL;
}

static void arrive(struct letter *letter, void *arg)
{
	struct parcel *p = (struct parcel *)letter;
	struct worker *w = arg;
	uint64_t now = clock_ms();

	atomic_fetch_sub(&w->parcels, 1);
	p->from.port = port_here(w, p);
	if (now > p->posted)
		p->from.age += (uint32_t)(now - p->posted);
	if (p->from.port)
		port_arrive(p->from.port, &p->from, p->mb);
	else
		count(COUNT_REQ_DROPPED, 1);
	mem_deref(p);
}

/* n bytes of p; p NULL: a keep-alive. Lost without memory, like a datagram */
static void post(const struct worker *w, uint32_t to,
		 const struct arrival *from, const void *bytes, size_t n)
{
	struct worker *there = &w->crew->v[to];
	struct parcel *p = NULL;

	/* whoever does not come to read them has a full queue, like a socket */
	if (atomic_fetch_add(&there->parcels, 1) < PARCELS)
		p = mem_zalloc(sizeof(*p), parcel_destructor);
	if (p && bytes)
		p->mb = mbuf_alloc(n ? n : 1);
	if (!p || (bytes && !p->mb)) {
		mem_deref(p);
		atomic_fetch_sub(&there->parcels, 1);
		count(COUNT_REQ_DROPPED, 1);
		return;
	}
	if (bytes) {
		memcpy(p->mb->buf, bytes, n);
		p->mb->end = n;
	}
	p->letter.open = arrive;
	p->local = *port_local(from->port);
	p->transport = port_transport(from->port);
	p->number = port_number(from->port);
	p->from = *from;
	p->from.port = NULL;
	p->from.handed = (uint8_t)(from->handed + 1);
	p->posted = clock_ms();
	mailbox_post(there->mailbox, &p->letter);
}

/* --- Whose is it? ----------------------------------------------------------- */

/* The realm to which its route leads; NULL: nowhere */
static const struct realm *realm_routed(struct worker *w,
					const struct arrival *from,
					const struct message *msg,
					const struct endpoint *at,
					const struct source *source)
{
	const struct realm *realm = NULL;
	/* a CANCEL goes where its INVITE went */
	struct message twin = *msg;
	struct ingress in = {
		.worker = w,
		.plan = w->plan,
		.from = *from,
		.msg = &twin,
		.at = at,
		.source = *source,
		.ruri = *message_uri(msg),
		.forwards = 70,
	};

	if (twin.method_id == CANCEL)
		twin.method_id = INVITE;
	in.route = mem_zalloc(sizeof(*in.route), NULL);
	if (in.route && !choose_find(&in) && in.route->n)
		realm = in.route->hops[0].realm;
	mem_deref(in.route);

	return realm;
}

uint32_t home_of(const struct worker *w, const struct plan *plan,
		 const struct source *source, const struct sa *local,
		 const struct message *msg)
{
	const struct uri *uri = message_uri(msg);
	struct owner called;
	uint32_t worker = crew_of_realm(w, plan, source->realm);

	if (worker != CREW_ANY || !uri || !source->realm ||
	    identity_by_contact(plan->identities, source->realm, local, uri,
				&called))
		return worker;

	return crew_of_realm(w, plan,
			     realm_named(plan->realms, called.agent->realm_id));
}

/* The tenant that calls, or that is called */
static uint32_t of_tenant(struct worker *w, const struct arrival *from,
			  const struct message *msg)
{
	const struct endpoint *at = passage_endpoint(w, from->port);
	struct source source;
	uint32_t worker;

	if (!at)
		return CREW_ANY;
	sources_match(w->sources, w->plan, at, &from->src, &source);
	/* refused wherever it goes */
	if (sources_is_stranger(&source) &&
	    !match_allows(at, &source, msg->method_id == REGISTER, false))
		return w->number;
	worker = home_of(w, w->plan, &source, &at->local, msg);
	if (worker != CREW_ANY || !source.realm || !message_uri(msg))
		return worker;

	return crew_of_realm(w, w->plan,
			     realm_routed(w, from, msg, at, &source));
}

/* The worker whose request has come back: only there can a loop be told from a
 * spiral. With dialog-transparency a Via has to name it */
static bool is_back(const struct worker *w, const struct message *msg,
		    uint8_t *named)
{
	const struct header *h;
	struct via via;

	if (names_is_tag(&msg->from_tag, named))
		return *named < w->crew->n;
	if (!w->plan->sip->dialog_transparency)
		return false;
	for (h = message_first(msg, HDR_VIA); h; h = message_next(msg, h)) {
		struct pl rest = header_value(msg, h), value;

		while (!list_next(&rest, &value))
			if (!via_read(&via, &value) &&
			    names_is_branch(&via.branch, named) &&
			    *named < w->crew->n)
				return true;
	}

	return false;
}

static uint32_t worker_of(struct worker *w, const struct arrival *from,
			  const struct message *msg)
{
	uint32_t n = w->crew->n, worker;
	uint8_t named;

	if (msg->code)
		return names_is_branch(&msg->branch, &named) && named < n
			       ? named
			       : w->number;
	if (names_is_tag(&msg->to_tag, &named) && named < n)
		return named;
	if (is_back(w, msg, &named)) {
		if (named != w->number && !from->handed)
			return named;
		if (admit_is_loop(w, msg))
			return w->number;
	} else if (from->handed) {
		return w->number;
	}
	worker = of_tenant(w, from, msg);

	return worker != CREW_ANY ? worker : crew_of_bytes(w, &msg->callid);
}

/* --- From here to there ------------------------------------------------------ */

bool home_send(struct worker *w, const struct arrival *from,
	       const struct mbuf *mb, const struct message *msg)
{
	uint32_t worker;

	/* one that is refused is refused where its connection is */
	if (crew_is_alone(w) || from->handed >= ROUNDS || from->refuse)
		return false;
	worker = worker_of(w, from, msg);
	if (worker == w->number)
		return false;
	post(w, worker, from, mbuf_buf(mb), mbuf_get_left(mb));

	return true;
}

bool home_pass_on(struct worker *w, const struct arrival *from,
		  const struct message *msg)
{
	uint8_t named;

	/* A tag of ours has named its worker */
	if (crew_is_alone(w) || from->handed >= w->crew->n ||
	    names_is_tag(&msg->to_tag, &named))
		return false;
	post(w, (w->number + 1) % w->crew->n, from, mbuf_buf(msg->mb),
	     mbuf_get_left(msg->mb));

	return true;
}

bool home_send_keepalive(struct worker *w, const struct arrival *from)
{
	const struct endpoint *at;
	struct source source;
	uint32_t worker;

	if (crew_is_alone(w) || from->handed >= ROUNDS)
		return false;
	at = passage_endpoint(w, from->port);
	if (!at)
		return false;
	sources_match(w->sources, w->plan, at, &from->src, &source);
	worker = crew_of_realm(w, w->plan, source.realm);
	if (worker == CREW_ANY || worker == w->number)
		return false;
	post(w, worker, from, NULL, 0);

	return true;
}

/* What ICMP brought back */
struct quote {
	struct sa dst;
	int err;
	size_t n;
	char bytes[QUOTE];
};

static void quote_heard(struct worker *w, const void *p)
{
	const struct quote *q = p;
	const struct pl pl = { q->bytes, q->n };

	if (w->transactions)
		transactions_refused(&q->dst, &pl, q->err, w->transactions);
}

void home_refused(const struct sa *dst, const struct pl *quote, int err,
		  void *arg)
{
	struct worker *w = arg;
	struct quote q = { .dst = *dst, .err = err };

	transactions_refused(dst, quote, err, w->transactions);
	if (crew_is_alone(w))
		return;
	q.n = quote->l < sizeof(q.bytes) ? quote->l : sizeof(q.bytes);
	memcpy(q.bytes, quote->p, q.n);
	crew_tell(w, quote_heard, &q, sizeof(q));
}
