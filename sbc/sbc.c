/*
 * The whole: build from a plan, change to another, stop
 *
 * Runs on the front thread and asks the worker. A change has two halves
 * (architecture.md 4): preparing may fail and undoes itself, committing cannot.
 */
#include <errno.h>
#include <semaphore.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include "store/log.h"
#include "sbc/alarm.h"
#include "sbc/calls.h"
#include "sbc/clock.h"
#include "sbc/forward.h"
#include "sbc/ingress.h"
#include "sbc/nonces.h"
#include "sbc/resolver.h"
#include "sbc/sbc.h"
#include "sbc/surrogates.h"
#include "sbc/transaction.h"

enum {
	RECEIVE_BUFFER = 4 << 20, /* libre.md: the default loses bursts */
	FLOWS_MAX = 65536
};

struct sbc {
	struct worker worker;
	const struct plan *plan;
	struct port **drained; /* removed sip-ports: dialogs still use them */
	uint32_t drained_n;
	struct order *order; /* of sbc_open, while it runs */
	sem_t ended;         /* calls, registrations: one post each */
};

/* Arguments of what runs on the worker, and how it went */
struct order {
	struct sbc *sbc;
	const struct plan *plan, *before;
	struct port **ports; /* by endpoint of `plan`, while it is prepared */
	char *why;
	int err;
};

static const char *endpoint_text(const struct endpoint *e, char buf[80])
{
	(void)re_snprintf(buf, 80, "%J/%s", &e->local,
			  transport_name(e->transport));
	return buf;
}

/* --- sip-ports ---------------------------------------------------------- */

static bool port_serves(const struct port *port, const struct endpoint *e)
{
	return port_transport(port) == e->transport &&
	       sa_cmp(port_local(port), &e->local, SA_ALL);
}

static struct port *port_find(const struct worker *w, const struct endpoint *e)
{
	for (uint32_t i = 0; i < w->ports_n; i++)
		if (w->ports[i] && port_serves(w->ports[i], e))
			return w->ports[i];
	return NULL;
}

static bool port_is_kept(const struct order *o, const struct port *port)
{
	for (uint32_t i = 0; i < o->plan->realms->endpoints_n; i++)
		if (o->ports[i] == port)
			return true;
	return false;
}

static int port_open_for(struct order *o, uint32_t i)
{
	const struct endpoint *e = &o->plan->realms->endpoints[i];
	struct port_setup setup = {
		.endpoint = e,
		.message_max = o->plan->sip->sip_message_len,
		.idle = o->plan->sip->inactive_dynamic_conn,
		.receive_buffer = RECEIVE_BUFFER,
	};
	struct worker *w = &o->sbc->worker;
	char text[80];
	int err;

	o->ports[i] = port_find(w, e);
	if (o->ports[i])
		return 0;

	err = port_open(&o->ports[i], &setup, ingress_arrival, w);
	if (!err) {
		port_refused_handler(o->ports[i], transactions_refused,
				     w->transactions);
		port_keepalive_handler(o->ports[i], ingress_keepalive, w);
	} else {
		snprintf(o->why, 256,
			 "sip-port %s of sip-interface [%s] cannot be "
			 "opened: %s",
			 endpoint_text(e, text), e->interface->realm_id,
			 strerror(err));
	}
	return err;
}

/* Open what the plan has and the worker has not; all or nothing */
static void ports_prepare(struct order *o)
{
	struct worker *w = &o->sbc->worker;
	uint32_t n = o->plan->realms->endpoints_n;

	o->ports = mem_zalloc((n + 1) * sizeof(*o->ports), NULL);
	if (!o->ports) {
		o->err = ENOMEM;
		return;
	}
	for (uint32_t i = 0; i < n && !o->err; i++)
		o->err = port_open_for(o, i);
	if (!o->err)
		return;

	for (uint32_t i = 0; i < n; i++) {
		if (o->ports[i] &&
		    port_find(w, &o->plan->realms->endpoints[i]) != o->ports[i])
			port_close(o->ports[i]);
	}
	o->ports = mem_deref(o->ports);
}

/* Dialogs go on over a sip-port that was removed; new requests do not */
static void port_drain(struct sbc *sbc, struct port *port)
{
	struct port **more;

	port_renumber(port, UINT32_MAX);
	more = mem_realloc(sbc->drained, (sbc->drained_n + 1) * sizeof(*more));
	if (!more) {
		log_error(SIPD, "port-drain", "text=\"no memory\"");
		return;
	}
	sbc->drained = more;
	sbc->drained[sbc->drained_n++] = port;
}

static void ports_commit(struct order *o)
{
	struct worker *w = &o->sbc->worker;
	uint32_t n = o->plan->realms->endpoints_n;

	for (uint32_t i = 0; i < w->ports_n; i++)
		if (w->ports[i] && !port_is_kept(o, w->ports[i]))
			port_drain(o->sbc, w->ports[i]);
	mem_deref(w->ports);
	w->ports = o->ports;
	w->ports_n = n;
	for (uint32_t i = 0; i < n; i++)
		port_renumber(w->ports[i], i);
}

/* --- On the worker ------------------------------------------------------ */

static void transactions_setup_of(struct transactions_setup *setup,
				  const struct worker *w,
				  const struct plan *plan)
{
	setup->t1 = plan->sip->init_timer;
	setup->t2 = plan->sip->max_timer;
	setup->expire = plan->sip->trans_expire * 1000;
	setup->worker = w->number;
}

static int tables_open(struct worker *w)
{
	const struct plan *plan = w->plan;
	struct resolver_setup resolver = {
		.system = plan->system,
		.realms = plan->realms,
	};
	struct forward_setup forward = {
		.flows_max = FLOWS_MAX,
		.news = w->mailbox,
	};
	struct transactions_setup transactions;
	int err;

	transactions_setup_of(&transactions, w, plan);
	err = transactions_open(&w->transactions, &transactions);
	if (!err)
		err = resolver_open(&w->resolver, &resolver);
	if (!err)
		err = nonces_open(&w->nonces, plan->sip->nonce_cache_size);
	if (!err)
		err = credentials_open(&w->credentials, w->db, w->seal,
				       plan->sip->credential_cache_size);
	if (!err)
		err = forward_open(&w->forward, &forward);
	if (!err)
		err = calls_open(&w->calls, w);
	if (!err)
		err = surrogates_open(&w->surrogates, w);
	return err;
}

static void begin(struct worker *w, void *arg)
{
	struct order *o = ((struct sbc *)arg)->order;

	w->plan = plan_take(o->plan);
	o->err = tables_open(w);
	if (o->err) {
		snprintf(o->why, 256, "cannot start: %s", strerror(o->err));
		return;
	}
	ports_prepare(o);
	if (o->err)
		return;
	ports_commit(o);
	o->err = surrogates_change(w->surrogates, o->plan, o->before);
	if (o->err)
		snprintf(o->why, 256, "cannot take up registrations: %s",
			 strerror(o->err));
}

static void finish(struct worker *w, void *arg)
{
	struct sbc *sbc = arg;

	calls_close(w->calls);
	surrogates_close(w->surrogates);
	transactions_close(w->transactions);
	for (uint32_t i = 0; i < w->ports_n; i++)
		port_close(w->ports[i]);
	for (uint32_t i = 0; i < sbc->drained_n; i++)
		port_close(sbc->drained[i]);
	forward_close(w->forward);
	credentials_close(w->credentials);
	nonces_close(w->nonces);
	resolver_close(w->resolver);
	plan_give(w->plan);
	w->ports = mem_deref(w->ports);
	w->ports_n = 0;
}

static void commit(void *arg, void *x)
{
	struct worker *w = arg;
	struct order *o = x;
	struct resolver_setup resolver = {
		.system = o->plan->system,
		.realms = o->plan->realms,
	};
	struct transactions_setup transactions;
	const struct plan *before = w->plan;

	ports_prepare(o);
	if (o->err)
		return;

	/* From here on nothing fails: what runs out of memory is logged and
	 * stays as it was */
	w->plan = plan_take(o->plan);
	ports_commit(o);
	transactions_setup_of(&transactions, w, w->plan);
	transactions_change(w->transactions, &transactions);
	if (resolver_change(w->resolver, &resolver))
		log_error(DNS, "change", "text=\"no memory\"");
	nonces_resize(w->nonces, w->plan->sip->nonce_cache_size);
	credentials_changed(w->credentials);
	if (surrogates_change(w->surrogates, w->plan, before))
		log_error(SURROGATE, "change", "text=\"no memory\"");
	plan_give(before);
}

/* --- From the front ----------------------------------------------------- */

int sbc_open(struct sbc **sbcp, const struct sbc_setup *setup, char *why)
{
	struct order order = { .plan = setup->plan,
			       .before = setup->before,
			       .why = why };
	struct worker *w;
	struct sbc *sbc;
	int err;

	sbc = mem_zalloc(sizeof(*sbc), NULL);
	if (!sbc)
		return ENOMEM;

	w = &sbc->worker;
	sem_init(&sbc->ended, 0, 0);
	w->db = setup->db;
	w->seal = setup->seal;
	sbc->plan = plan_take(setup->plan);
	order.sbc = sbc;
	sbc->order = &order;
	snprintf(why, 256, "cannot start");

	err = agents_open(&w->agents);
	if (!err)
		err = agents_change(w->agents, setup->plan->config);
	if (!err)
		err = ports_open(&w->media_ports);
	if (!err)
		err = ports_change(w->media_ports, setup->plan->config);
	if (!err)
		err = worker_start(w, begin, finish, sbc);
	if (err)
		goto out;

	err = order.err;
	if (err)
		worker_join(w);
out:
	if (err) {
		agents_close(w->agents);
		ports_close(w->media_ports);
		plan_give(sbc->plan);
		sem_destroy(&sbc->ended);
		mem_deref(sbc);
		return err;
	}
	*sbcp = sbc;
	return 0;
}

static void ended(void *arg)
{
	struct sbc *sbc = arg;

	sem_post(&sbc->ended);
}

static void stop(void *arg, void *x)
{
	struct worker *w = arg;
	struct sbc *sbc = x;
	uint32_t ms = w->plan->system->shutdown_timeout * 1000;

	w->stopping = true;
	calls_stop(w->calls, ms, ended, sbc);
	surrogates_stop(w->surrogates, ms, ended, sbc);
}

void sbc_close(struct sbc *sbc)
{
	struct worker *w;

	if (!sbc)
		return;
	w = &sbc->worker;

	mailbox_ask(w->mailbox, stop, sbc);
	/* Both keep their time limit themselves */
	for (int i = 0; i < 2; i++)
		while (sem_wait(&sbc->ended) && errno == EINTR)
			;
	worker_join(w);

	agents_close(w->agents);
	ports_close(w->media_ports);
	plan_give(sbc->plan);
	mem_deref(sbc->drained);
	sem_destroy(&sbc->ended);
	mem_deref(sbc);
}

int sbc_change(struct sbc *sbc, const struct plan *plan, char *why)
{
	struct order order = { .sbc = sbc, .plan = plan, .why = why };
	struct worker *w = &sbc->worker;
	int err;

	snprintf(why, 256, "no memory");
	err = agents_change(w->agents, plan->config);
	if (!err)
		err = ports_change(w->media_ports, plan->config);
	if (err)
		return err;

	mailbox_ask(w->mailbox, commit, &order);
	if (order.err) {
		/* Back to what runs; it fitted before */
		(void)agents_change(w->agents, sbc->plan->config);
		(void)ports_change(w->media_ports, sbc->plan->config);
		return order.err;
	}
	plan_take(plan);
	plan_give(sbc->plan);
	sbc->plan = plan;
	return 0;
}

struct question {
	void (*fn)(struct worker *w, void *arg);
	void *arg;
};

static void asked(void *arg, void *x)
{
	struct question *q = x;

	q->fn(arg, q->arg);
}

void sbc_ask(struct sbc *sbc, void (*fn)(struct worker *w, void *arg),
	     void *arg)
{
	struct question q = { fn, arg };

	mailbox_ask(sbc->worker.mailbox, asked, &q);
}

const struct plan *sbc_plan(struct sbc *sbc)
{
	return plan_take(sbc->plan);
}
