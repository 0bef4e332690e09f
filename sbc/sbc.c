/*
 * The whole: build from a plan, change to another, stop
 *
 * Runs on the front thread and asks the worker. A change has two halves
 * (architecture.md 4): preparing may fail and undoes itself, committing cannot.
 */
#include <assert.h>
#include <errno.h>
#include <semaphore.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "store/log.h"
#include "sbc/amends.h"
#include "sbc/calls.h"
#include "sbc/challengers.h"
#include "sbc/clock.h"
#include "sbc/doors.h"
#include "sbc/forward.h"
#include "sbc/ingress.h"
#include "sbc/lobby.h"
#include "sbc/methods.h"
#include "sbc/nonces.h"
#include "sbc/pair.h"
#include "sbc/ping.h"
#include "sbc/refusals.h"
#include "sbc/resolver.h"
#include "sbc/respond.h"
#include "sbc/sources.h"
#include "sbc/sbc.h"
#include "sbc/shed.h"
#include "sbc/shun.h"
#include "sbc/standing.h"
#include "sbc/surrogates.h"
#include "sbc/terms.h"
#include "sbc/transaction.h"
#include "sbc/transfer.h"
#include "sbc/usage.h"

enum {
	SIGNALLING = 1,         /* threads */
	MEDIA_THREADS_MOST = 4, /* unless media-workers says more */
	FLOWS_MAX = 65536       /* of all media threads */
};

struct sbc {
	struct worker worker;
	const struct plan *plan;
	const struct plan *prepared; /* between sbc_prepare and its end */
	struct order *order;         /* of sbc_open, while it runs */
	sem_t ended; /* calls, pairs, registrations: one post each */
};

/* Arguments of what runs on the worker, and how it went */
struct order {
	struct sbc *sbc;
	const struct plan *plan, *before;
	char *why; /* DOORS_WHY bytes */
	int err;
};

/* --- On the worker ------------------------------------------------------ */

static void transactions_setup_of(struct transactions_setup *setup,
				  const struct worker *w,
				  const struct plan *plan)
{
	setup->t1 = plan->sip->init_timer;
	setup->t2 = plan->sip->max_timer;
	setup->expire = plan->sip->trans_expire * 1000;
	setup->worker = w->number;
	setup->methods = w->methods;
}

static void connection_lost(uint64_t conn, const struct sa *peer, void *arg)
{
	struct worker *w = arg;

	(void)peer;
	if (w->surrogates)
		surrogates_lost(w->surrogates, conn);
	standing_lost(w->standing, conn);
}

/* media-workers; 0: one per processor that signalling leaves free, 1 to 4 */
static uint32_t media_threads(const struct plan *plan)
{
	uint32_t n = plan->media->media_workers;
	long processors = sysconf(_SC_NPROCESSORS_ONLN);

	if (n)
		return n < MEDIA_THREADS ? n : MEDIA_THREADS;
	if (processors <= SIGNALLING + 1)
		return 1;
	n = (uint32_t)processors - SIGNALLING;

	return n < MEDIA_THREADS_MOST ? n : MEDIA_THREADS_MOST;
}

/* What was opened is closed by finish, also after an error */
static int forwards_open(struct worker *w)
{
	uint32_t n = media_threads(w->plan);
	const struct forward_setup setup = {
		.flows_max = FLOWS_MAX / n,
		.news = w->mailbox,
	};
	int err = 0;

	while (!err && w->forwards_n < n) {
		err = forward_open(&w->forward[w->forwards_n], &setup);
		if (!err)
			w->forwards_n++;
	}

	return err;
}

static int tables_open(struct worker *w)
{
	const struct plan *plan = w->plan;
	struct resolver_setup resolver = {
		.system = plan->system,
		.realms = plan->realms,
	};
	struct transactions_setup transactions;
	struct doors_handlers doors = {
		.arrival = ingress_arrival,
		.keepalive = ingress_keepalive,
		.lost = connection_lost,
		.terms = terms_of,
		.refused = transactions_refused,
	};
	int err;

	err = methods_open(&w->methods);
	if (!err)
		err = refusals_open(&w->refusals);
	if (err)
		return err;
	transactions_setup_of(&transactions, w, plan);
	err = transactions_open(&w->transactions, &transactions);
	doors.refused_arg = w->transactions;
	if (!err)
		err = doors_open(&w->doors, w, &doors);
	if (!err)
		err = resolver_open(&w->resolver, &resolver);
	if (!err)
		err = nonces_open(&w->nonces, plan->sip->nonce_cache_size);
	if (!err)
		err = credentials_open(&w->credentials, w->db, w->seal,
				       plan->sip->credential_cache_size);
	if (!err)
		err = forwards_open(w);
	if (!err)
		err = calls_open(&w->calls, w);
	if (!err)
		calls_home(w->calls)->transfer = &transfer_user;
	if (!err)
		err = pairs_open(&w->pairs, w);
	if (!err)
		err = surrogates_open(&w->surrogates, w);
	if (!err)
		err = shun_alloc(&w->shun);
	if (!err)
		err = challengers_alloc(&w->challengers);
	if (!err)
		err = usage_alloc(&w->usage);
	if (!err)
		err = pings_open(&w->pings, w);
	if (!err)
		err = sources_open(&w->sources, w);
	if (!err)
		err = shed_alloc(&w->shed, plan->sip->load_limit);
	if (!err)
		err = lobby_alloc(&w->lobby, ingress_waited, w);
	if (!err)
		err = standing_open(&w->standing, w);
	return err;
}

static void begin(struct worker *w, void *arg)
{
	struct order *o = ((struct sbc *)arg)->order;

	w->plan = plan_take(o->plan);
	respond_begin(w);
	o->err = tables_open(w);
	if (o->err) {
		snprintf(o->why, 256, "cannot start: %s", strerror(o->err));
		return;
	}
	o->err = doors_prepare(w->doors, o->plan, o->why);
	if (o->err)
		return;
	doors_commit(w->doors);
	o->err = surrogates_change(w->surrogates, o->plan, o->before);
	pings_change(w->pings);
	sources_change(w->sources);
	standing_change(w->standing);
	if (o->err)
		snprintf(o->why, 256, "cannot take up registrations: %s",
			 strerror(o->err));
}

static void finish(struct worker *w, void *arg)
{
	(void)arg;

	standing_close(w->standing);
	w->standing = NULL;
	w->lobby = mem_deref(w->lobby);
	w->shed = mem_deref(w->shed);
	calls_close(w->calls);
	pairs_close(w->pairs);
	pings_close(w->pings);
	sources_close(w->sources);
	w->sources = NULL;
	surrogates_close(w->surrogates);
	mem_deref(w->shun);
	mem_deref(w->challengers);
	mem_deref(w->usage);
	w->surrogates = NULL;
	transactions_close(w->transactions);
	doors_close(w->doors);
	methods_close(w->methods);
	refusals_close(w->refusals);
	for (uint32_t i = 0; i < w->forwards_n; i++)
		forward_close(w->forward[i]);
	credentials_close(w->credentials);
	nonces_close(w->nonces);
	resolver_close(w->resolver);
	respond_begin(NULL);
	plan_give(w->plan);
}

/* Sockets belong to the loop of the worker, media ports to whoever takes them */
static void prepare(void *arg, void *x)
{
	struct worker *w = arg;
	struct order *o = x;

	snprintf(o->why, DOORS_WHY, "no memory");
	o->err = ports_prepare(w->media_ports, o->plan->config);
	if (!o->err)
		o->err = doors_prepare(w->doors, o->plan, o->why);
	if (o->err)
		(void)ports_change(w->media_ports, w->plan->config);
}

static void abandon(void *arg, void *x)
{
	struct worker *w = arg;
	(void)x;

	doors_abandon(w->doors);
	(void)ports_change(w->media_ports, w->plan->config);
}

/* Nothing fails any more: what runs out of memory is logged and stays as it
 * was, or is missing until the next change */
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

	w->plan = plan_take(o->plan);
	doors_commit(w->doors);
	(void)ports_change(w->media_ports, w->plan->config); /* prepared */
	transactions_setup_of(&transactions, w, w->plan);
	transactions_change(w->transactions, &transactions);
	shed_change(w->shed, w->plan->sip->load_limit);
	if (resolver_change(w->resolver, &resolver))
		log_error(DNS, "change", "text=\"no memory\"");
	nonces_resize(w->nonces, w->plan->sip->nonce_cache_size);
	credentials_changed(w->credentials);
	if (surrogates_change_later(w->surrogates, w->plan, before))
		log_error(SURROGATE, "change", "text=\"no memory\"");
	sources_change(w->sources);
	standing_change(w->standing);
	pings_change(w->pings);
	calls_switch_off(w->calls);
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
	if (!err) {
		agents_expect_pings(w->agents);
		err = agents_change(w->agents, setup->plan->config);
	}
	if (!err)
		err = capacities_alloc(&w->capacities);
	if (!err)
		err = capacities_change(w->capacities, setup->plan->config);
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
		mem_deref(w->capacities);
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
	pairs_stop(w->pairs, ms, ended, sbc);
	surrogates_stop(w->surrogates, ms, ended, sbc);
}

void sbc_close(struct sbc *sbc)
{
	struct worker *w;

	if (!sbc)
		return;
	w = &sbc->worker;

	sbc_abandon(sbc);
	mailbox_ask(w->mailbox, stop, sbc);
	/* All keep their time limit themselves */
	for (int i = 0; i < 3; i++)
		while (sem_wait(&sbc->ended) && errno == EINTR)
			;
	worker_join(w);

	agents_close(w->agents);
	mem_deref(w->capacities);
	ports_close(w->media_ports);
	plan_give(sbc->plan);
	sem_destroy(&sbc->ended);
	mem_deref(sbc);
}

int sbc_prepare(struct sbc *sbc, const struct plan *plan, char *why)
{
	struct order order = { .sbc = sbc, .plan = plan, .why = why };
	struct worker *w = &sbc->worker;
	int err;

	assert(!sbc->prepared);
	snprintf(why, DOORS_WHY, "no memory");
	err = agents_prepare(w->agents, plan->config);
	if (!err)
		err = capacities_prepare(w->capacities, plan->config);
	if (!err) {
		mailbox_ask(w->mailbox, prepare, &order);
		err = order.err;
	}
	if (err)
		(void)agents_change(w->agents, sbc->plan->config);
	else
		sbc->prepared = plan_take(plan);
	return err;
}

void sbc_abandon(struct sbc *sbc)
{
	if (!sbc->prepared)
		return;
	mailbox_ask(sbc->worker.mailbox, abandon, NULL);
	(void)agents_change(sbc->worker.agents, sbc->plan->config);
	plan_give(sbc->prepared);
	sbc->prepared = NULL;
}

void sbc_commit(struct sbc *sbc)
{
	struct order order = { .sbc = sbc, .plan = sbc->prepared };

	(void)capacities_change(sbc->worker.capacities, order.plan->config);
	mailbox_ask(sbc->worker.mailbox, commit, &order);
	/* Agents that are gone go last: until then the worker asks for them */
	(void)agents_change(sbc->worker.agents, order.plan->config);
	amends_of_change(order.plan->config, sbc->plan->config);
	plan_give(sbc->plan);
	sbc->plan = sbc->prepared;
	sbc->prepared = NULL;
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

static void look_settled(struct worker *w, void *arg)
{
	bool *settled = arg;

	*settled = *settled && surrogates_is_settled(w->surrogates) &&
		   sources_is_settled(w->sources) &&
		   pings_is_settled(w->pings) &&
		   standing_is_settled(w->standing);
}

bool sbc_is_settled(struct sbc *sbc)
{
	bool settled = true;

	sbc_ask(sbc, look_settled, &settled);

	return settled;
}

void sbc_post(struct sbc *sbc, struct letter *letter)
{
	mailbox_post(sbc->worker.mailbox, letter);
}

uint64_t sbc_cpu_us(const struct sbc *sbc)
{
	return clock_cpu_of_us(sbc->worker.thread);
}

const struct plan *sbc_plan(struct sbc *sbc)
{
	return plan_take(sbc->plan);
}
