/*
 * The whole: build from a plan, change to another, stop
 *
 * Runs on the front thread and asks the workers, one after the other. A change
 * has two halves (architecture.md 4): preparing may fail and undoes itself,
 * committing cannot. What all workers share without a count of its own is
 * changed while they rest.
 */
#include <assert.h>
#include <errno.h>
#include <semaphore.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "store/log.h"
#include "sbc/amends.h"
#include "sbc/bulletin.h"
#include "sbc/calls.h"
#include "sbc/challengers.h"
#include "sbc/clock.h"
#include "sbc/crew.h"
#include "sbc/doors.h"
#include "sbc/errand.h"
#include "sbc/forward.h"
#include "sbc/home.h"
#include "sbc/ingress.h"
#include "sbc/lobby.h"
#include "sbc/mailbox.h"
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
	MEDIA_THREADS_MOST = 4, /* unless media-workers says more */
	FLOWS_MAX = 65536       /* of all media threads */
};

struct sbc {
	struct crew crew;
	uint32_t started; /* of the crew */
	const struct plan *plan;
	const struct plan *prepared; /* between sbc_prepare and its end */
	sem_t ended; /* calls, pairs, registrations: one post each */
};

/* Arguments of what runs on a worker, and how it went */
struct order {
	struct sbc *sbc;
	const struct plan *plan, *before;
	struct doors_shared *shared; /* one for each endpoint of plan */
	char *why;                   /* DOORS_WHY bytes */
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
	bulletin_connection_lost(w, conn);
	standing_lost(w->standing, conn);
}

/* media-workers; 0: one per processor that signalling leaves free, 1 to 4. Each
 * worker has some of its own, at least one */
static uint32_t media_threads(const struct worker *w)
{
	uint32_t n = w->plan->media->media_workers, workers = w->crew->n;
	long processors = sysconf(_SC_NPROCESSORS_ONLN);
	uint32_t spare =
		processors > (long)workers ? (uint32_t)processors - workers : 1;

	if (!n)
		n = spare < MEDIA_THREADS_MOST ? spare : MEDIA_THREADS_MOST;
	if (n > MEDIA_THREADS)
		n = MEDIA_THREADS;

	return n > workers ? n / workers + (w->number < n % workers) : 1;
}

/* What was opened is closed by finish, also after an error */
static int forwards_open(struct worker *w)
{
	uint32_t n = media_threads(w);
	const struct forward_setup setup = {
		.flows_max = FLOWS_MAX / n / w->crew->n,
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
		.refused = home_refused,
		.refused_arg = w,
		.elsewhere = errand_send,
	};
	int err;

	err = methods_open(&w->methods);
	if (!err)
		err = refusals_open(&w->refusals);
	if (err)
		return err;
	transactions_setup_of(&transactions, w, plan);
	err = transactions_open(&w->transactions, &transactions);
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
	struct order *o = arg;

	w->plan = plan_take(o->plan);
	respond_begin(w);
	o->err = tables_open(w);
	if (o->err)
		snprintf(o->why, DOORS_WHY, "cannot start: %s",
			 strerror(o->err));
}

/* The first plan: sip-ports are open */
static void take_up(void *arg, void *x)
{
	struct worker *w = arg;
	struct order *o = x;

	doors_commit(w->doors);
	o->err = surrogates_change(w->surrogates, o->plan, o->before);
	sources_change(w->sources);
	if (crew_is_first(w)) {
		pings_change(w->pings);
		standing_change(w->standing);
	}
	if (o->err)
		snprintf(o->why, DOORS_WHY, "cannot take up registrations: %s",
			 strerror(o->err));
}

/* Others may still post letters: what they ask of is gone */
static void finish(void *arg, void *x)
{
	struct worker *w = arg;
	(void)x;

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
	w->transactions = NULL;
	doors_close(w->doors);
	w->doors = NULL;
	methods_close(w->methods);
	refusals_close(w->refusals);
	for (uint32_t i = 0; i < w->forwards_n; i++)
		forward_close(w->forward[i]);
	credentials_close(w->credentials);
	nonces_close(w->nonces);
	resolver_close(w->resolver);
	respond_begin(NULL);
	plan_give(w->plan);
	w->plan = NULL;
}

/* Sockets belong to the loop of the worker */
static void prepare(void *arg, void *x)
{
	struct worker *w = arg;
	struct order *o = x;

	o->err = doors_prepare(w->doors, o->plan, o->shared, o->why);
}

static void join(void *arg, void *x)
{
	struct worker *w = arg;
	struct order *o = x;

	o->err = doors_join(w->doors, o->shared, o->why);
}

static void abandon(void *arg, void *x)
{
	struct worker *w = arg;
	(void)x;

	doors_abandon(w->doors);
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
	if (crew_is_first(w)) {
		standing_change(w->standing);
		pings_change(w->pings);
	}
	calls_switch_off(w->calls);
	plan_give(before);
}

/* --- From the front ----------------------------------------------------- */

typedef void(order_h)(void *arg, void *x);

/* Each worker in turn, until one fails. 0, or what it says */
static int ask_all(struct sbc *sbc, order_h *h, struct order *o)
{
	for (uint32_t i = 0; i < sbc->started; i++) {
		o->err = 0;
		mailbox_ask(sbc->crew.v[i].mailbox, h, o);
		if (o->err)
			return o->err;
	}

	return 0;
}

static void wait_for(sem_t *sem)
{
	while (sem_wait(sem) && errno == EINTR)
		;
}

/* All workers rest between two letters */
struct rest {
	sem_t here, on, gone;
};

struct bed {
	struct letter letter;
	struct rest *rest;
};

static void rest_open(struct letter *letter, void *arg)
{
	struct rest *rest = ((struct bed *)letter)->rest;

	(void)arg;
	sem_post(&rest->here);
	wait_for(&rest->on);
	sem_post(&rest->gone);
}

/* Media ports, whose pools no worker may ask for meanwhile. prepare: only make
 * room. 0; ENOMEM, never of a change that was prepared */
static int ports_follow(struct sbc *sbc, const struct config *cfg, bool prepare)
{
	struct ports *ports = sbc->crew.v[0].media_ports;
	uint32_t n = sbc->started;
	struct bed beds[SIP_WORKERS];
	struct rest rest;
	int err;

	sem_init(&rest.here, 0, 0);
	sem_init(&rest.on, 0, 0);
	sem_init(&rest.gone, 0, 0);
	for (uint32_t i = 0; i < n; i++) {
		beds[i] =
			(struct bed){ .letter.open = rest_open, .rest = &rest };
		mailbox_post(sbc->crew.v[i].mailbox, &beds[i].letter);
	}
	for (uint32_t i = 0; i < n; i++)
		wait_for(&rest.here);
	err = prepare ? ports_prepare(ports, cfg) : ports_change(ports, cfg);
	for (uint32_t i = 0; i < n; i++)
		sem_post(&rest.on);
	for (uint32_t i = 0; i < n; i++)
		wait_for(&rest.gone);
	sem_destroy(&rest.here);
	sem_destroy(&rest.on);
	sem_destroy(&rest.gone);

	return err;
}

/* Sip-ports: first who listens, then who joins. 0; errno, then nothing is open */
static int doors_open_all(struct sbc *sbc, const struct plan *plan, char *why)
{
	uint32_t n = plan->realms->endpoints_n;
	struct order order = { .sbc = sbc, .plan = plan, .why = why };
	int err;

	snprintf(why, DOORS_WHY, "no memory");
	order.shared = mem_zalloc((n + 1) * sizeof(*order.shared), NULL);
	if (!order.shared)
		return ENOMEM;
	err = ask_all(sbc, prepare, &order);
	if (!err)
		err = ask_all(sbc, join, &order);
	if (err)
		(void)ask_all(sbc, abandon, &order);
	mem_deref(order.shared);

	return err;
}

static void sbc_destructor(void *arg)
{
	struct sbc *sbc = arg;
	struct worker *first = sbc->crew.v;

	if (first) {
		agents_close(first->agents);
		mem_deref(first->capacities);
		ports_close(first->media_ports);
	}
	plan_give(sbc->plan);
	sem_destroy(&sbc->ended);
	mem_deref(sbc->crew.v);
}

/* What all workers share, before there are any */
static int shared_open(struct worker *w, const struct config *cfg)
{
	int err = agents_open(&w->agents);

	if (!err) {
		agents_expect_pings(w->agents);
		err = agents_change(w->agents, cfg);
	}
	if (!err)
		err = capacities_alloc(&w->capacities);
	if (!err)
		err = capacities_change(w->capacities, cfg);
	if (!err)
		err = ports_open(&w->media_ports);
	if (!err)
		err = ports_change(w->media_ports, cfg);

	return err;
}

static int crew_make(struct sbc *sbc, const struct sbc_setup *setup)
{
	uint32_t n = setup->plan->sip->sip_workers;
	struct worker *first;
	int err;

	sbc->crew.n = n < 1 ? 1 : n > SIP_WORKERS ? SIP_WORKERS : n;
	sbc->crew.v = mem_zalloc(sbc->crew.n * sizeof(*first), NULL);
	if (!sbc->crew.v)
		return ENOMEM;
	first = sbc->crew.v;
	first->db = setup->db;
	first->seal = setup->seal;
	first->crew = &sbc->crew;
	err = shared_open(first, setup->plan->config);
	for (uint32_t i = 1; i < sbc->crew.n && !err; i++) {
		sbc->crew.v[i] = *first;
		sbc->crew.v[i].number = (uint8_t)i;
	}

	return err;
}

/* First the tables of each go, so that no letter is answered by one that is gone;
 * connections go last */
static void crew_end(struct sbc *sbc)
{
	for (uint32_t i = sbc->started; i--;)
		mailbox_ask(sbc->crew.v[i].mailbox, finish, NULL);
	for (uint32_t i = sbc->started; i--;)
		worker_join(&sbc->crew.v[i]);
	sbc->started = 0;
}

static int crew_begin(struct sbc *sbc, const struct sbc_setup *setup, char *why)
{
	struct order order = { .sbc = sbc,
			       .plan = setup->plan,
			       .before = setup->before,
			       .why = why };
	int err = 0;

	while (!err && sbc->started < sbc->crew.n) {
		err = worker_start(&sbc->crew.v[sbc->started], begin, NULL,
				   &order);
		if (err)
			break;
		sbc->started++;
		err = order.err;
	}
	if (!err)
		err = doors_open_all(sbc, setup->plan, why);
	if (!err)
		err = ask_all(sbc, take_up, &order);

	return err;
}

int sbc_open(struct sbc **sbcp, const struct sbc_setup *setup, char *why)
{
	struct sbc *sbc;
	int err;

	sbc = mem_zalloc(sizeof(*sbc), sbc_destructor);
	if (!sbc)
		return ENOMEM;

	sem_init(&sbc->ended, 0, 0);
	sbc->plan = plan_take(setup->plan);
	snprintf(why, DOORS_WHY, "cannot start");
	err = crew_make(sbc, setup);
	if (!err)
		err = crew_begin(sbc, setup, why);
	if (err) {
		crew_end(sbc);
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
	struct sbc *sbc = ((struct order *)x)->sbc;
	uint32_t ms = w->plan->system->shutdown_timeout * 1000;

	w->stopping = true;
	calls_stop(w->calls, ms, ended, sbc);
	pairs_stop(w->pairs, ms, ended, sbc);
	surrogates_stop(w->surrogates, ms, ended, sbc);
}

void sbc_close(struct sbc *sbc)
{
	struct order order = { .sbc = sbc };

	if (!sbc)
		return;

	sbc_abandon(sbc);
	(void)ask_all(sbc, stop, &order);
	/* All keep their time limit themselves */
	for (uint32_t i = 0; i < 3 * sbc->started; i++)
		wait_for(&sbc->ended);
	crew_end(sbc);
	mem_deref(sbc);
}

int sbc_prepare(struct sbc *sbc, const struct plan *plan, char *why)
{
	struct worker *first = sbc->crew.v;
	int err;

	assert(!sbc->prepared);
	snprintf(why, DOORS_WHY, "no memory");
	err = agents_prepare(first->agents, plan->config);
	if (!err)
		err = capacities_prepare(first->capacities, plan->config);
	if (!err)
		err = ports_follow(sbc, plan->config, true);
	if (!err)
		err = doors_open_all(sbc, plan, why);
	if (err) {
		(void)ports_follow(sbc, sbc->plan->config, false);
		(void)agents_change(first->agents, sbc->plan->config);
	} else {
		sbc->prepared = plan_take(plan);
	}
	return err;
}

void sbc_abandon(struct sbc *sbc)
{
	struct order order = { .sbc = sbc };

	if (!sbc->prepared)
		return;
	(void)ask_all(sbc, abandon, &order);
	(void)ports_follow(sbc, sbc->plan->config, false);
	(void)agents_change(sbc->crew.v->agents, sbc->plan->config);
	plan_give(sbc->prepared);
	sbc->prepared = NULL;
}

void sbc_commit(struct sbc *sbc)
{
	struct order order = { .sbc = sbc, .plan = sbc->prepared };
	struct worker *first = sbc->crew.v;

	(void)capacities_change(first->capacities, order.plan->config);
	(void)ports_follow(sbc, order.plan->config, false); /* prepared */
	(void)ask_all(sbc, commit, &order);
	/* Agents that are gone go last: until then the workers ask for them */
	(void)agents_change(first->agents, order.plan->config);
	amends_of_change(order.plan->config, sbc->plan->config);
	plan_give(sbc->plan);
	sbc->plan = sbc->prepared;
	sbc->prepared = NULL;
}

struct question {
	sbc_question_h *fn;
	void *arg;
};

static void asked(void *arg, void *x)
{
	struct question *q = x;

	q->fn(arg, q->arg);
}

void sbc_ask_at(struct sbc *sbc, uint32_t number, sbc_question_h *fn, void *arg)
{
	struct question q = { fn, arg };

	mailbox_ask(sbc->crew.v[number].mailbox, asked, &q);
}

void sbc_ask(struct sbc *sbc, sbc_question_h *fn, void *arg)
{
	for (uint32_t i = 0; i < sbc->started; i++)
		sbc_ask_at(sbc, i, fn, arg);
}

void sbc_walk(struct sbc *sbc, sbc_question_h *fn, void *arg, size_t *next)
{
	for (uint32_t i = 0; i < sbc->started; i++) {
		*next = 0;
		do {
			sbc_ask_at(sbc, i, fn, arg);
		} while (*next);
	}
}

uint32_t sbc_workers(const struct sbc *sbc)
{
	return sbc->started;
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
	mailbox_post(sbc->crew.v->mailbox, letter);
}

uint64_t sbc_cpu_us(const struct sbc *sbc)
{
	uint64_t us = 0;

	for (uint32_t i = 0; i < sbc->started; i++)
		us += clock_cpu_of_us(sbc->crew.v[i].thread);

	return us;
}

const struct plan *sbc_plan(struct sbc *sbc)
{
	return plan_take(sbc->plan);
}
