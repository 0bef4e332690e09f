/*
 * Media ports of the steering-pools: take the pair free for longest, give it back
 *
 * A pool is a queue of its free pairs: what is given back comes last, what was
 * never used stands in front and has the time 0. So among the pools of a realm
 * the head that is free for longest is the right pair: the fresh ones first,
 * through all pools in order, then the oldest (behaviour.md 3.10).
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "store/base.h"
#include "store/hash.h"
#include "realms/ports.h"

enum {
	QUIET = 2000, /* after its release a pair is silent [ms] (3.11) */
};
#define NONE UINT32_MAX

struct pool {
	struct entry e; /* in ports->pools, unless gone */
	struct le le;   /* in ports->all */
	struct sa address;
	uint32_t start;         /* first even port */
	uint32_t n, used, room; /* pairs; of them in use; size of the arrays */
	uint32_t head, tail;    /* queue of free pairs, by number */
	uint32_t *next;         /* behind it in the queue */
	uint64_t *free_at;      /* [ms]; 0: never used */
	uint8_t *in_use;
	char *realm;
	uint32_t start_port; /* as configured: part of the key */
	bool gone, kept;
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
	struct list alerts;
	struct table pools;
	struct list all;
	struct waiting *desk; /* room to sort the pairs of a pool */
	uint32_t desk_n;
};

static void pool_destructor(void *arg)
{
	struct pool *pool = arg;

	list_unlink(&pool->le);
	mem_deref(pool->next);
	mem_deref(pool->free_at);
	mem_deref(pool->in_use);
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
	*pp = p;

	return 0;
}

void ports_close(struct ports *p)
{
	mem_deref(p);
}

/* --- the queue of a pool --- */

static void push_last(struct pool *pool, uint32_t i)
{
	pool->next[i] = NONE;
	if (pool->tail == NONE)
		pool->head = i;
	else
		pool->next[pool->tail] = i;
	pool->tail = i;
}

static uint32_t pop_first(struct pool *pool)
{
	uint32_t i = pool->head;

	pool->head = pool->next[i];
	if (pool->head == NONE)
		pool->tail = NONE;

	return i;
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
		if (!pool->in_use[i])
			v[count++] = (struct waiting){ pool->free_at[i], i };
	}
	if (count)
		qsort(v, count, sizeof(*v), free_order);

	pool->head = pool->tail = NONE;
	for (uint32_t i = 0; i < count; ++i)
		push_last(pool, v[i].i);
}

static int make_room(struct pool *pool, uint32_t room)
{
	uint32_t *next = mem_zalloc(room * sizeof(*next), NULL);
	uint64_t *free_at = mem_zalloc(room * sizeof(*free_at), NULL);
	uint8_t *in_use = mem_zalloc(room, NULL);

	if (!next || !free_at || !in_use) {
		mem_deref(next);
		mem_deref(free_at);
		mem_deref(in_use);
		return ENOMEM;
	}

	if (pool->room) {
		memcpy(next, pool->next, pool->room * sizeof(*next));
		memcpy(free_at, pool->free_at, pool->room * sizeof(*free_at));
		memcpy(in_use, pool->in_use, pool->room);
	}
	mem_deref(pool->next);
	mem_deref(pool->free_at);
	mem_deref(pool->in_use);
	pool->next = next;
	pool->free_at = free_at;
	pool->in_use = in_use;
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

	if (!err && n > pool->room)
		err = make_room(pool, n);

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

/* A pool that is no more cannot be found; it goes with its last pair */
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
		if (!pool->used)
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

static bool is_ready(const struct pool *pool, uint64_t now)
{
	uint64_t since;

	if (pool->head == NONE)
		return false;

	since = pool->free_at[pool->head];

	return !since || now >= since + QUIET;
}

static void pair_set(struct port_pair *out, struct pool *pool, uint32_t i)
{
	out->pool = pool;
	out->rtp = out->rtcp = pool->address;
	sa_set_port(&out->rtp, pool->start + 2 * i);
	sa_set_port(&out->rtcp, pool->start + 2 * i + 1);
}

int ports_take(struct ports *p, const struct realm *realm, int af, uint64_t now,
	       struct port_pair *out)
{
	struct pool *best = NULL;
	bool any = false;
	uint32_t i;

	for (i = 0; i < realm->pools_n; ++i) {
		struct pool *pool = pool_find(p, realm->pools[i]);

		if (!pool || sa_af(&pool->address) != af)
			continue;
		any = true;
		if (!is_ready(pool, now))
			continue;
		if (!best ||
		    pool->free_at[pool->head] < best->free_at[best->head])
			best = pool;
	}

	if (!best)
		return any ? ENOSPC : ENOENT;

	i = pop_first(best);
	best->in_use[i] = true;
	++best->used;
	pair_set(out, best, i);

	return 0;
}

void ports_give(struct ports *p, const struct port_pair *pair, uint64_t now)
{
	struct pool *pool = pair->pool;
	uint32_t i;

	(void)p;
	if (!pool)
		return;

	i = (sa_port(&pair->rtp) - pool->start) / 2;
	assert(i < pool->room && pool->in_use[i]);
	if (i >= pool->room || !pool->in_use[i])
		return;

	pool->in_use[i] = false;
	pool->free_at[i] = now ? now : 1;
	--pool->used;
	if (pool->gone && !pool->used)
		mem_deref(pool);
	else if (i < pool->n)
		push_last(pool, i);
}

void ports_count(const struct ports *p, const struct realm *realm,
		 uint32_t *used, uint32_t *free)
{
	*used = *free = 0;

	for (uint32_t i = 0; i < realm->pools_n; ++i) {
		const struct pool *pool = pool_find(p, realm->pools[i]);

		if (!pool)
			continue;
		*used += pool->used;
		*free += pool->n > pool->used ? pool->n - pool->used : 0;
	}
}

/* --- alarms --- */

static struct alert *alert_find(const struct ports *p, const char *name)
{
	for (struct le *le = p->alerts.head; le; le = le->next) {
		struct alert *a = le->data;

		if (!strcmp(a->name, name))
			return a;
	}

	return NULL;
}

int ports_alert(struct ports *p, const char *name)
{
	struct alert *a;

	if (alert_find(p, name))
		return 0;
	a = mem_zalloc(sizeof(*a), alert_destructor);
	if (!a || str_dup(&a->name, name)) {
		mem_deref(a);
		return ENOMEM;
	}
	list_append(&p->alerts, &a->le, a);

	return 0;
}

bool ports_relieve(struct ports *p, const char *name)
{
	struct alert *a = alert_find(p, name);

	mem_deref(a);

	return a;
}
