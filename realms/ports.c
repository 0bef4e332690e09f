/*
 * Media ports of the steering-pools: take the pair free for longest, give it back
 *
 * A pool is a queue of its free pairs: what is given back comes last, what was
 * never used stands in front and has the time 0. So among the pools of a realm
 * the head that is free for longest is the right pair: the fresh ones first,
 * through all pools in order, then the oldest (behaviour.md 3.10).
 *
 * All workers take and give, and none waits for another: the queue is a ring of
 * places with a number each, which tells whose turn it is there. It is `turn`
 * while the place is empty and waits for the pair that comes as number `turn`,
 * and `turn` + 1 while it holds that pair. A place that was emptied waits for
 * the pair that comes one round later.
 */
#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include "store/base.h"
#include "store/hash.h"
#include "realms/ports.h"

enum {
	QUIET = 2000, /* after its release a pair is silent [ms] (3.11) */
	LINE = 64,    /* of a cache [bytes] */
	SPARE = 64    /* places of a ring beyond those that its pairs need */
};

/* One of the ring */
struct place {
	_Atomic uint64_t turn;
	_Atomic uint32_t pair;
};

struct pair {
	_Atomic uint64_t free_at; /* [ms]; 0: never used */
	atomic_bool in_use;
};

struct pool {
	struct entry e; /* in ports->pools, unless gone */
	struct le le;   /* in ports->all */
	struct sa address;
	uint32_t start;     /* first even port */
	uint32_t n;         /* pairs */
	uint32_t room;      /* pairs that there may be; 0: there is no ring */
	struct place *ring; /* room + SPARE places */
	struct pair *pairs;
	char *realm;
	uint32_t start_port; /* as configured: part of the key */
	bool gone, kept;
	/* Far from what all read, and from each other */
	uint8_t apart_all[LINE];
	_Atomic uint64_t taken; /* turn of the next to be taken */
	uint8_t apart_taken[LINE];
	_Atomic uint64_t given; /* ... to be given back */
	uint8_t apart_given[LINE];
	_Atomic uint32_t used; /* pairs */
};

struct waiting {
	uint64_t free_at;
	uint32_t i;
};

/* A name whose alarm is up */
struct alert {
	struct le le;
	char *name;
};

struct ports {
	struct list alerts;        /* while alerting is set */
	_Atomic uint32_t alerts_n; /* of them; each call looks at this */
	atomic_flag alerting;
	struct table pools;
	struct list all;
	struct waiting *desk; /* room to sort the pairs of a pool */
	uint32_t desk_n;
};

static void pool_destructor(void *arg)
{
	struct pool *pool = arg;

	list_unlink(&pool->le);
	mem_deref(pool->ring);
	mem_deref(pool->pairs);
	mem_deref(pool->realm);
}

static void alert_destructor(void *arg)
{
	struct alert *a = arg;

	list_unlink(&a->le);
	mem_deref(a->name);
}

static void ports_destructor(void *arg)
{
	struct ports *p = arg;

	list_flush(&p->alerts);
	list_flush(&p->all);
	mem_deref(p->desk);
	table_finish(&p->pools);
}

int ports_open(struct ports **pp)
{
	struct ports *p = mem_zalloc(sizeof(*p), ports_destructor);

	if (!p)
		return ENOMEM;

	table_init(&p->pools);
	list_init(&p->all);
	list_init(&p->alerts);
	atomic_flag_clear(&p->alerting);
	*pp = p;

	return 0;
}

void ports_close(struct ports *p)
{
	mem_deref(p);
}

/* --- the queue of a pool --- */

static uint64_t places(const struct pool *pool)
{
	return (uint64_t)pool->room + SPARE;
}

/* There is room: a pair is never in the ring twice */
static void push_last(struct pool *pool, uint32_t i)
{
	uint64_t turn = atomic_fetch_add_explicit(&pool->given, 1,
						  memory_order_relaxed);
	struct place *place = &pool->ring[turn % places(pool)];

	/* Only if who took from here a round ago was stopped in pop_first while
	 * the others gave back SPARE times: he is about to say so */
	while (atomic_load_explicit(&place->turn, memory_order_acquire) != turn)
		;
	atomic_store_explicit(&place->pair, i, memory_order_relaxed);
	atomic_store_explicit(&place->turn, turn + 1, memory_order_release);
}

/* First of the queue, and its turn; false: it is empty */
static bool first(const struct pool *pool, uint64_t *turn, uint32_t *i)
{
	const struct place *place;
	uint64_t now;

	if (!pool->room)
		return false;
	*turn = atomic_load_explicit(&pool->taken, memory_order_relaxed);
	for (;;) {
		place = &pool->ring[*turn % places(pool)];
		now = atomic_load_explicit(&place->turn, memory_order_acquire);
		if (now == *turn + 1)
			break;
		if (now <= *turn)
			return false;
		/* somebody else took it meanwhile */
		*turn = atomic_load_explicit(&pool->taken,
					     memory_order_relaxed);
	}
	*i = atomic_load_explicit(&place->pair, memory_order_relaxed);

	return true;
}

/* Take the pair that was the first at this turn; false: somebody else has it */
static bool pop_first(struct pool *pool, uint64_t turn)
{
	struct place *place = &pool->ring[turn % places(pool)];

	if (!atomic_compare_exchange_strong_explicit(
		    &pool->taken, &turn, turn + 1, memory_order_relaxed,
		    memory_order_relaxed))
		return false;
	atomic_store_explicit(&place->turn, turn + places(pool),
			      memory_order_release);

	return true;
}

static uint32_t pairs_of(const struct steering_pool *config)
{
	uint32_t first = config->start_port + config->start_port % 2;

	return config->end_port > first ? (config->end_port - first + 1) / 2
					: 0;
}

static int free_order(const void *a, const void *b)
{
	const struct waiting *x = a, *y = b;

	if (x->free_at != y->free_at)
		return x->free_at < y->free_at ? -1 : 1;

	return x->i < y->i ? -1 : x->i > y->i;
}

/* Line up all pairs that may be taken: those free for longest in front. The
 * desk has room for them */
static void line_up(struct ports *p, struct pool *pool)
{
	struct waiting *v = p->desk;
	uint32_t count = 0;

	for (uint32_t i = 0; i < pool->n; ++i) {
		const struct pair *pair = &pool->pairs[i];

		if (!atomic_load(&pair->in_use))
			v[count++] =
				(struct waiting){ atomic_load(&pair->free_at),
						  i };
	}
	if (count)
		qsort(v, count, sizeof(*v), free_order);

	atomic_store(&pool->taken, 0);
	atomic_store(&pool->given, 0);
	for (uint64_t i = 0; pool->room && i < places(pool); ++i)
		atomic_store(&pool->ring[i].turn, i);
	for (uint32_t i = 0; i < count; ++i)
		push_last(pool, v[i].i);
}

/* Its pairs keep what is known of them, but stand in no line yet */
static int make_room(struct pool *pool, uint32_t room)
{
	struct place *ring = mem_zalloc((room + SPARE) * sizeof(*ring), NULL);
	struct pair *pairs = mem_zalloc(room * sizeof(*pairs), NULL);

	if (!ring || !pairs) {
		mem_deref(ring);
		mem_deref(pairs);
		return ENOMEM;
	}

	if (pool->room)
		memcpy(pairs, pool->pairs, pool->room * sizeof(*pairs));
	mem_deref(pool->ring);
	mem_deref(pool->pairs);
	pool->ring = ring;
	pool->pairs = pairs;
	pool->room = room;

	return 0;
}

static int desk_reserve(struct ports *p, uint32_t n)
{
	struct waiting *desk;

	if (n <= p->desk_n)
		return 0;
	desk = mem_alloc(n * sizeof(*desk), NULL);
	if (!desk)
		return ENOMEM;
	mem_deref(p->desk);
	p->desk = desk;
	p->desk_n = n;

	return 0;
}

static int pool_reserve(struct ports *p, struct pool *pool, uint32_t n)
{
	int err = desk_reserve(p, n);

	if (!err && n > pool->room) {
		err = make_room(pool, n);
		/* until the change the pool goes on with what it has */
		if (!err)
			line_up(p, pool);
	}

	return err;
}

/* Another end-port: pairs beyond it leave the queue, those in use stay until
 * they are given back. The arrays never get shorter. */
static void pool_resize(struct ports *p, struct pool *pool, uint32_t n)
{
	pool->n = n;
	line_up(p, pool);
}

/* --- configuration --- */

/* Keys come from the operator, so nobody chooses collisions: a mix will do, and
 * it is asked for several times a call */
static uint64_t pool_hash(const struct steering_pool *config)
{
	const struct sa *sa = &config->ip_address;

	if (sa_af(sa) == AF_INET)
		return hash_mix(config->start_port, sa_in(sa));

	return hash_mix(config->start_port,
			hash_bytes(&sa->u.in6.sin6_addr, 16));
}

/* A pool is known by its key: address, start-port, realm-id */
static bool is_pool(const struct entry *e, const void *key)
{
	const struct pool *pool = (const struct pool *)e;
	const struct steering_pool *config = key;

	return pool->start_port == config->start_port &&
	       sa_cmp(&pool->address, &config->ip_address, SA_ADDR) &&
	       !strcmp(pool->realm, config->realm_id);
}

static struct pool *pool_find(const struct ports *p,
			      const struct steering_pool *config)
{
	return (struct pool *)table_find(&p->pools, pool_hash(config), is_pool,
					 config);
}

static int pool_open(struct ports *p, const struct steering_pool *config)
{
	struct pool *pool = mem_zalloc(sizeof(*pool), pool_destructor);
	int err;

	if (!pool)
		return ENOMEM;

	pool->address = config->ip_address;
	pool->start_port = config->start_port;
	pool->start = config->start_port + config->start_port % 2;
	pool->kept = true;
	err = str_dup(&pool->realm, config->realm_id);
	if (err)
		goto out;

	err = pool_reserve(p, pool, pairs_of(config));
	if (err)
		goto out;

	pool_resize(p, pool, pairs_of(config));
	err = table_add(&p->pools, &pool->e, pool_hash(config));
	if (err)
		goto out;

	list_append(&p->all, &pool->le, pool);

out:
	if (err)
		mem_deref(pool);

	return err;
}

/* A pool that is no more cannot be found; it goes with the first change behind
 * its last pair */
static void drop_rest(struct ports *p)
{
	struct le *le = list_head(&p->all);

	while (le) {
		struct pool *pool = le->data;

		le = le->next;
		if (pool->kept)
			continue;
		if (!pool->gone)
			table_remove(&p->pools, &pool->e);
		pool->gone = true;
		if (!atomic_load(&pool->used))
			mem_deref(pool);
	}
}

int ports_prepare(struct ports *p, const struct config *cfg)
{
	size_t n = config_count(cfg, &element_steering_pool);
	int err = 0;

	for (size_t i = 0; i < n && !err; ++i) {
		const struct steering_pool *config =
			config_at(cfg, &element_steering_pool, i);
		struct pool *pool = pool_find(p, config);

		if (!pool)
			err = pool_open(p, config);
		else if (pool->n != pairs_of(config))
			err = pool_reserve(p, pool, pairs_of(config));
	}

	return err;
}

int ports_change(struct ports *p, const struct config *cfg)
{
	size_t n = config_count(cfg, &element_steering_pool);
	struct le *le;
	int err = ports_prepare(p, cfg);

	if (err)
		return err;

	LIST_FOREACH(&p->all, le)
	((struct pool *)le->data)->kept = false;

	for (size_t i = 0; i < n; ++i) {
		const struct steering_pool *config =
			config_at(cfg, &element_steering_pool, i);
		struct pool *pool = pool_find(p, config);

		pool->kept = true;
		if (pool->n != pairs_of(config))
			pool_resize(p, pool, pairs_of(config));
	}

	drop_rest(p);
	p->desk = mem_deref(p->desk);
	p->desk_n = 0;

	return 0;
}

/* --- taking and giving --- */

/* The first of a pool that is not quiet any more */
struct head {
	struct pool *pool;
	uint64_t free_at, turn;
	uint32_t i;
};

static bool head_of(struct head *head, struct pool *pool, uint64_t now)
{
	head->pool = pool;
	if (!first(pool, &head->turn, &head->i))
		return false;
	head->free_at = atomic_load_explicit(&pool->pairs[head->i].free_at,
					     memory_order_relaxed);

	return !head->free_at || now >= head->free_at + QUIET;
}

static void pair_set(struct port_pair *out, struct pool *pool, uint32_t i)
{
	out->pool = pool;
	out->rtp = out->rtcp = pool->address;
	sa_set_port(&out->rtp, pool->start + 2 * i);
	sa_set_port(&out->rtcp, pool->start + 2 * i + 1);
}

/* The head that is free for longest. 0; ENOSPC; ENOENT */
static int head_find(struct head *best, const struct ports *p,
		     const struct realm *realm, int af, uint64_t now)
{
	struct head head;
	bool any = false;

	best->pool = NULL;
	for (uint32_t i = 0; i < realm->pools_n; ++i) {
		struct pool *pool = pool_find(p, realm->pools[i]);

		if (!pool || sa_af(&pool->address) != af)
			continue;
		any = true;
		if (head_of(&head, pool, now) &&
		    (!best->pool || head.free_at < best->free_at))
			*best = head;
	}
	if (best->pool)
		return 0;

	return any ? ENOSPC : ENOENT;
}

int ports_take(struct ports *p, const struct realm *realm, int af, uint64_t now,
	       struct port_pair *out)
{
	struct head best;
	int err;

	/* Each round that ends without a pair is one that somebody else took */
	do {
		err = head_find(&best, p, realm, af, now);
		if (err)
			return err;
	} while (!pop_first(best.pool, best.turn));

	atomic_store_explicit(&best.pool->pairs[best.i].in_use, true,
			      memory_order_relaxed);
	atomic_fetch_add_explicit(&best.pool->used, 1, memory_order_relaxed);
	pair_set(out, best.pool, best.i);

	return 0;
}

void ports_give(struct ports *p, const struct port_pair *taken, uint64_t now)
{
	struct pool *pool = taken->pool;
	struct pair *pair;
	uint32_t i;

	(void)p;
	if (!pool)
		return;

	i = (sa_port(&taken->rtp) - pool->start) / 2;
	assert(i < pool->room && atomic_load(&pool->pairs[i].in_use));
	if (i >= pool->room)
		return;
	pair = &pool->pairs[i];
	if (!atomic_exchange_explicit(&pair->in_use, false,
				      memory_order_relaxed))
		return;

	atomic_store_explicit(&pair->free_at, now ? now : 1,
			      memory_order_relaxed);
	atomic_fetch_sub_explicit(&pool->used, 1, memory_order_relaxed);
	if (!pool->gone && i < pool->n)
		push_last(pool, i);
}

void ports_count(const struct ports *p, const struct realm *realm,
		 uint32_t *used, uint32_t *free)
{
	*used = *free = 0;

	for (uint32_t i = 0; i < realm->pools_n; ++i) {
		const struct pool *pool = pool_find(p, realm->pools[i]);
		uint32_t now;

		if (!pool)
			continue;
		now = atomic_load_explicit(&pool->used, memory_order_relaxed);
		*used += now;
		*free += pool->n > now ? pool->n - now : 0;
	}
}

/* --- alarms --- */

/* Only while an alarm comes or goes */
static void alerts_lock(struct ports *p)
{
	while (atomic_flag_test_and_set_explicit(&p->alerting,
						 memory_order_acquire))
		;
}

static void alerts_unlock(struct ports *p)
{
	atomic_flag_clear_explicit(&p->alerting, memory_order_release);
}

static struct alert *alert_find(const struct ports *p, const char *name)
{
	for (struct le *le = p->alerts.head; le; le = le->next) {
		struct alert *a = le->data;

		if (!strcmp(a->name, name))
			return a;
	}

	return NULL;
}

static int alert_alloc(struct alert **ap, const char *name)
{
	struct alert *a = mem_zalloc(sizeof(*a), alert_destructor);

	if (!a || str_dup(&a->name, name)) {
		mem_deref(a);
		return ENOMEM;
	}
	*ap = a;

	return 0;
}

int ports_alert(struct ports *p, const char *name)
{
	struct alert *a = NULL;
	int err = 0;

	alerts_lock(p);
	if (!alert_find(p, name))
		err = alert_alloc(&a, name);
	if (a) {
		list_append(&p->alerts, &a->le, a);
		atomic_fetch_add(&p->alerts_n, 1);
	}
	alerts_unlock(p);

	return err;
}

bool ports_relieve(struct ports *p, const char *name)
{
	struct alert *a;

	if (!atomic_load_explicit(&p->alerts_n, memory_order_relaxed))
		return false;

	alerts_lock(p);
	a = alert_find(p, name);
	if (a) {
		mem_deref(a);
		atomic_fetch_sub(&p->alerts_n, 1);
	}
	alerts_unlock(p);

	return a;
}
