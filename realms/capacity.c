/*
 * Sessions and rates of a session-agent, a realm or a sip-interface
 */
#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include "store/base.h"
#include "realms/capacity.h"
#include "realms/rate.h"
#include "realms/roster.h"

enum {
	SECOND = 1000, /* [ms] */
	IN = 1u << INBOUND,
	OUT = 1u << OUTBOUND,
	BOTH = IN | OUT,
	METERS = 64,
	NEARLY_DOWN = 90, /* [%] of the threshold (acli.md 5.1) */
	/* Windows of what is shown, where none is configured [ms] */
	SUSTAIN = 30 * SECOND,
	BURST = SECOND
};

/* One rate of one method */
struct meter {
	uint8_t method; /* enum rate_method; INVITE is RATE_METHOD_INVITE */
	uint8_t ways;   /* directions that it counts */
	struct rate_limit limit;
	struct rate rate;
};

struct limits {
	uint32_t sessions;  /* 0: no limit */
	uint32_t by_way[2]; /* by direction */
	uint32_t resume;    /* time-to-resume [ms] */
	uint32_t seizures;  /* calls from which asr counts */
	uint32_t asr;       /* [%]; 0: off */
	uint32_t nearly;    /* cac-alarm-threshold [%]; 0: off */
	uint32_t bandwidth; /* [kbit/s]; 0: no limit */
};

struct capacity {
	atomic_flag busy;
	bool limited;
	struct limits limits;
	struct meter *meters; /* only those that have a rate */
	uint32_t meters_n, room;
	uint64_t violated[2]; /* [ms], 0: no violation; by direction */
	bool nearly_full;
	/* Pace of INVITEs, for people; rates and windows of no limit */
	struct rate_limit sustain, burst;
	struct rate pace[2], bursts; /* by direction; both */
	struct capacity_report seen;
};

static void lock(struct capacity *c)
{
	while (atomic_flag_test_and_set_explicit(&c->busy,
						 memory_order_acquire))
		;
}

static void unlock(struct capacity *c)
{
	atomic_flag_clear_explicit(&c->busy, memory_order_release);
}

static void destructor(void *arg)
{
	struct capacity *c = arg;

	mem_deref(c->meters);
}

static uint32_t milliseconds(uint32_t seconds)
{
	return seconds > UINT32_MAX / SECOND ? UINT32_MAX : seconds * SECOND;
}

static void pace_windows(struct capacity *c, uint32_t sustain_s,
			 uint32_t burst_s)
{
	c->sustain.sustained = true;
	c->sustain.window = sustain_s ? milliseconds(sustain_s) : SUSTAIN;
	c->burst.window = burst_s ? milliseconds(burst_s) : BURST;
}

int capacity_alloc(struct capacity **cp)
{
	struct capacity *c = mem_zalloc(sizeof(*c), destructor);

	if (!c)
		return ENOMEM;
	atomic_flag_clear(&c->busy);
	pace_windows(c, 0, 0);
	*cp = c;

	return 0;
}

/* --- Limits ------------------------------------------------------------- */

static void meter_add(struct meter *v, uint32_t *n, uint8_t method,
		      uint8_t ways, uint32_t rate, uint32_t window_s,
		      bool sustained)
{
	struct meter *m = &v[*n];

	if (!rate || !window_s || *n >= METERS)
		return;
	memset(m, 0, sizeof(*m));
	m->method = method;
	m->ways = ways;
	m->limit.rate = rate;
	m->limit.window = milliseconds(window_s);
	m->limit.sustained = sustained;
	++*n;
}

static void methods_add(struct meter *v, uint32_t *n, const struct items *items,
			uint32_t burst, uint32_t sustain)
{
	for (size_t i = 0; i < items->n; ++i) {
		const struct rate_constraint *r = items->v[i];

		meter_add(v, n, r->method, IN, r->max_inbound_burst_rate, burst,
			  false);
		meter_add(v, n, r->method, OUT, r->max_outbound_burst_rate,
			  burst, false);
		meter_add(v, n, r->method, IN, r->max_inbound_sustain_rate,
			  sustain, true);
		meter_add(v, n, r->method, OUT, r->max_outbound_sustain_rate,
			  sustain, true);
	}
}

/* A meter that was there goes on with what it counted */
static void meter_inherit(struct meter *m, const struct capacity *c)
{
	for (uint32_t i = 0; i < c->meters_n; ++i) {
		const struct meter *old = &c->meters[i];

		if (old->method == m->method && old->ways == m->ways &&
		    old->limit.sustained == m->limit.sustained &&
		    old->limit.window == m->limit.window)
			m->rate = old->rate;
	}
}

static int room_for(struct capacity *c, uint32_t n)
{
	struct meter *meters, *old;

	if (n <= c->room)
		return 0;

	meters = mem_zalloc(n * sizeof(*meters), NULL);
	if (!meters)
		return ENOMEM;

	lock(c);
	old = c->meters;
	if (c->meters_n)
		memcpy(meters, old, c->meters_n * sizeof(*meters));
	c->meters = meters;
	c->room = n;
	unlock(c);
	mem_deref(old);

	return 0;
}

/* There is room for n */
static void change(struct capacity *c, bool limited,
		   const struct limits *limits, struct meter *v, uint32_t n)
{
	lock(c);
	for (uint32_t i = 0; i < n; ++i)
		meter_inherit(&v[i], c);
	if (n)
		memcpy(c->meters, v, n * sizeof(*v));
	c->meters_n = n;
	c->limited = limited;
	c->limits = *limits;
	unlock(c);
}

/* Rates of INVITE: both ways, inbound, outbound */
static void invites_add(struct meter *v, uint32_t *n, const uint32_t rates[3],
			uint32_t window_s, bool sustained)
{
	static const uint8_t ways[] = { BOTH, IN, OUT };

	for (int i = 0; i < 3; ++i)
		meter_add(v, n, RATE_METHOD_INVITE, ways[i], rates[i], window_s,
			  sustained);
}

static uint32_t agent_meters(struct meter *v, const struct session_agent *x)
{
	const uint32_t burst[] = { x->max_burst_rate, x->max_inbound_burst_rate,
				   x->max_outbound_burst_rate };
	const uint32_t sustain[] = { x->max_sustain_rate,
				     x->max_inbound_sustain_rate,
				     x->max_outbound_sustain_rate };
	uint32_t n = 0;

	if (!x->constraints)
		return 0;
	invites_add(v, &n, burst, x->burst_rate_window, false);
	invites_add(v, &n, sustain, x->sustain_rate_window, true);
	methods_add(v, &n, &x->rate_constraints, x->burst_rate_window,
		    x->sustain_rate_window);
	meter_add(v, &n, RATE_METHOD_REGISTER, IN, x->max_register_burst_rate,
		  x->register_burst_window, false);
	meter_add(v, &n, RATE_METHOD_REGISTER, IN, x->max_register_sustain_rate,
		  x->sustain_rate_window, true);

	return n;
}

static uint32_t realm_meters(struct meter *v,
			     const struct session_constraints *x)
{
	const uint32_t burst[] = { x->max_burst_rate, x->max_inbound_burst_rate,
				   x->max_outbound_burst_rate };
	const uint32_t sustain[] = { x->max_sustain_rate,
				     x->max_inbound_sustain_rate,
				     x->max_outbound_sustain_rate };
	uint32_t n = 0;

	invites_add(v, &n, burst, x->burst_rate_window, false);
	invites_add(v, &n, sustain, x->sustain_rate_window, true);
	methods_add(v, &n, &x->rate_constraints, x->burst_rate_window,
		    x->sustain_rate_window);

	return n;
}

int capacity_prepare_agent(struct capacity *c,
			   const struct session_agent *config)
{
	struct meter v[METERS];

	return room_for(c, agent_meters(v, config));
}

void capacity_of_agent(struct capacity *c, const struct session_agent *config)
{
	const struct limits limits = {
		.sessions = config->max_sessions,
		.by_way = { config->max_inbound_sessions,
			    config->max_outbound_sessions },
		.resume = milliseconds(config->time_to_resume),
		.seizures = config->min_seizures,
		.asr = config->min_asr,
		.nearly = config->cac_alarm_threshold,
	};
	struct meter v[METERS];

	change(c, config->constraints, &limits, v, agent_meters(v, config));
	lock(c);
	pace_windows(c, config->sustain_rate_window, config->burst_rate_window);
	unlock(c);
}

static int prepare_constraints(struct capacity *c,
			       const struct session_constraints *x)
{
	struct meter v[METERS];

	return x ? room_for(c, realm_meters(v, x)) : 0;
}

static void constrain(struct capacity *c, const struct session_constraints *x,
		      uint32_t bandwidth)
{
	struct limits limits = { .bandwidth = bandwidth };
	struct meter v[METERS];
	uint32_t n = 0;

	if (x && x->state) {
		limits.sessions = x->max_sessions;
		limits.by_way[INBOUND] = x->max_inbound_sessions;
		limits.by_way[OUTBOUND] = x->max_outbound_sessions;
		limits.resume = milliseconds(x->time_to_resume);
		limits.seizures = x->min_seizures;
		limits.asr = x->min_asr;
		n = realm_meters(v, x);
	}
	change(c, x && x->state, &limits, v, n);
	lock(c);
	pace_windows(c, x ? x->sustain_rate_window : 0,
		     x ? x->burst_rate_window : 0);
	unlock(c);
}

/* --- Sessions ----------------------------------------------------------- */

static bool is_over(uint64_t since, uint32_t wait, uint64_t now)
{
	return now >= since + wait;
}

static uint8_t way(enum direction d)
{
	return (uint8_t)(1u << d);
}

static bool meter_counts(const struct meter *m, enum rate_method method,
			 enum direction d)
{
	return m->method == method && (m->ways & way(d));
}

/* Directions that the rates of a method stop */
static uint8_t rates_full(const struct capacity *c, enum rate_method method,
			  enum direction d, uint64_t now)
{
	uint8_t ways = 0;

	for (uint32_t i = 0; i < c->meters_n; ++i) {
		const struct meter *m = &c->meters[i];

		if (meter_counts(m, method, d) &&
		    rate_is_full(&m->rate, &m->limit, now))
			ways |= m->ways;
	}

	return ways;
}

/* For people only: nothing is refused by it */
static void pace_count(struct capacity *c, enum direction d, uint64_t now)
{
	rate_count(&c->pace[d], &c->sustain, now);
	rate_count(&c->bursts, &c->burst, now);
	if (c->bursts.present > c->seen.burst)
		c->seen.burst = c->bursts.present;
}

static void rates_count(struct capacity *c, enum rate_method method,
			enum direction d, uint64_t now)
{
	for (uint32_t i = 0; i < c->meters_n; ++i) {
		struct meter *m = &c->meters[i];

		if (meter_counts(m, method, d))
			rate_count(&m->rate, &m->limit, now);
	}
}

/* Directions that the session limits stop */
static uint8_t sessions_full(const struct capacity *c)
{
	const struct limits *l = &c->limits;
	const uint32_t *n = c->seen.sessions;
	uint8_t ways = 0;

	if (l->sessions && (uint64_t)n[INBOUND] + n[OUTBOUND] >= l->sessions)
		ways = BOTH;
	for (unsigned d = INBOUND; d <= OUTBOUND; ++d) {
		if (l->by_way[d] && n[d] >= l->by_way[d])
			ways |= way((enum direction)d);
	}

	return ways;
}

/* Too few of the calls are answered: min-asr stops the way out */
static bool is_answered_too_rarely(const struct capacity *c)
{
	return c->limits.asr && c->seen.tried >= c->limits.seizures &&
	       (uint64_t)c->seen.answered * 100 <
		       (uint64_t)c->limits.asr * c->seen.tried;
}

/* The limits that an INVITE of this direction would exceed, as the directions
 * that they stop; 0: it fits */
static uint8_t exceeded(const struct capacity *c, enum direction d,
			uint64_t now)
{
	uint8_t ways = sessions_full(c);

	ways |= rates_full(c, RATE_METHOD_INVITE, d, now);
	if (is_answered_too_rarely(c))
		ways |= OUT;

	return ways & way(d) ? ways : 0;
}

static bool is_violated(const struct capacity *c, enum direction d,
			uint64_t now)
{
	uint64_t since = c->violated[d];

	return c->limited && since &&
	       (exceeded(c, d, now) || !is_over(since, c->limits.resume, now));
}

static void violate(struct capacity *c, uint8_t ways, uint64_t now)
{
	for (unsigned d = INBOUND; d <= OUTBOUND; ++d) {
		if (ways & way((enum direction)d) &&
		    !is_violated(c, (enum direction)d, now))
			c->violated[d] = now ? now : 1;
	}
	/* The pause is for these calls: afterwards others are judged */
	if (is_answered_too_rarely(c) && ways & OUT)
		c->seen.tried = c->seen.answered = 0;
}

static bool refuses(struct capacity *c, enum direction d, uint64_t now)
{
	uint8_t ways;

	if (!c->limited)
		return false;

	ways = exceeded(c, d, now);
	if (!ways && !is_violated(c, d, now)) {
		c->violated[d] = 0;
		return false;
	}

	++c->seen.violations[d];
	violate(c, ways, now);
	return true;
}

int capacity_take(struct capacity *c, enum direction d, uint64_t now,
		  bool forced)
{
	struct capacity_report *seen = &c->seen;
	int err = EBUSY;

	lock(c);
	if (forced || !refuses(c, d, now)) {
		rates_count(c, RATE_METHOD_INVITE, d, now);
		++seen->invites[d];
		pace_count(c, d, now);
		if (++seen->sessions[d] > seen->high[d])
			seen->high[d] = seen->sessions[d];
		err = 0;
	}
	unlock(c);

	return err;
}

void capacity_give(struct capacity *c, enum direction d)
{
	lock(c);
	if (c->seen.sessions[d])
		--c->seen.sessions[d];
	unlock(c);
}

void capacity_undo(struct capacity *c, enum direction d)
{
	lock(c);
	if (c->seen.sessions[d])
		--c->seen.sessions[d];
	if (c->seen.invites[d])
		--c->seen.invites[d];
	for (uint32_t i = 0; i < c->meters_n; ++i) {
		struct meter *m = &c->meters[i];

		if (meter_counts(m, RATE_METHOD_INVITE, d) && m->rate.present)
			--m->rate.present;
	}
	unlock(c);
}

int capacity_request(struct capacity *c, enum rate_method method,
		     enum direction d, uint64_t now, bool forced)
{
	int err = 0;

	lock(c);
	if (!forced && c->limited && rates_full(c, method, d, now)) {
		++c->seen.violations[d];
		err = EBUSY;
	} else {
		rates_count(c, method, d, now);
	}
	unlock(c);

	return err;
}

void capacity_called(struct capacity *c, bool answered)
{
	lock(c);
	if (c->seen.tried < UINT32_MAX) {
		++c->seen.tried;
		c->seen.answered += answered;
	}
	unlock(c);
}

void capacity_reset(struct capacity *c)
{
	lock(c);
	c->violated[INBOUND] = c->violated[OUTBOUND] = 0;
	c->seen.tried = c->seen.answered = 0;
	unlock(c);
}

int capacity_media(struct capacity *c, int64_t by, bool forced)
{
	uint64_t *media = &c->seen.media;
	int err = 0;

	lock(c);
	if (by < 0)
		*media = *media > (uint64_t)-by ? *media - (uint64_t)-by : 0;
	else if (!forced && by && c->limits.bandwidth &&
		 *media + (uint64_t)by > c->limits.bandwidth)
		err = ENOSPC;
	else
		*media += (uint64_t)by;
	unlock(c);

	return err;
}

/* --- Questions ---------------------------------------------------------- */

bool capacity_is_exceeded(struct capacity *c, enum direction d, uint64_t now)
{
	bool yes;

	lock(c);
	yes = is_violated(c, d, now);
	unlock(c);

	return yes;
}

uint32_t capacity_resume(struct capacity *c, enum direction d, uint64_t now)
{
	uint64_t end, rest = 0;

	lock(c);
	if (c->violated[d] && c->limits.resume) {
		end = c->violated[d] + c->limits.resume;
		rest = end > now ? end - now : 1;
	}
	unlock(c);

	return (uint32_t)((rest + SECOND - 1) / SECOND);
}

/* The highest share [%] of a session limit that is in use */
static uint64_t share(const struct capacity *c)
{
	const struct limits *l = &c->limits;
	const uint32_t *n = c->seen.sessions;
	uint64_t most = 0;

	if (l->sessions)
		most = 100ull * ((uint64_t)n[INBOUND] + n[OUTBOUND]) /
		       l->sessions;
	for (unsigned d = INBOUND; d <= OUTBOUND; ++d) {
		uint64_t of = l->by_way[d] ? 100ull * n[d] / l->by_way[d] : 0;

		if (of > most)
			most = of;
	}

	return most;
}

bool capacity_use_changed(struct capacity *c, bool *is)
{
	uint64_t threshold;
	bool was;

	lock(c);
	was = c->nearly_full;
	threshold = (uint64_t)c->limits.nearly * (was ? NEARLY_DOWN : 100);
	*is = c->limited && threshold && share(c) * 100 >= threshold;
	c->nearly_full = *is;
	unlock(c);

	return *is != was;
}

uint32_t capacity_pace(struct capacity *c, enum direction d, uint64_t now)
{
	uint64_t n;

	lock(c);
	n = rate_seen(&c->pace[d], &c->sustain, now) * SECOND * SECOND /
	    c->sustain.window;
	unlock(c);

	return n < UINT32_MAX ? (uint32_t)n : UINT32_MAX;
}

void capacity_report(struct capacity *c, struct capacity_report *out)
{
	lock(c);
	*out = c->seen;
	unlock(c);
}

/* --- Those of realms and sip-interfaces --------------------------------- */

struct holder {
	struct roster_entry entry;
	struct capacity *capacity;
	struct holder *next;
	bool stays; /* of the changing thread */
};

struct capacities {
	struct roster *of[2];   /* realms, sip-interfaces */
	struct holder *holders; /* of the changing thread */
};

enum {
	OF_REALMS,
	OF_INTERFACES
};

static void holder_destructor(void *arg)
{
	struct holder *h = arg;

	mem_deref(h->entry.name);
	mem_deref(h->capacity);
}

static void capacities_destructor(void *arg)
{
	struct capacities *all = arg;

	while (all->holders) {
		struct holder *h = all->holders;

		all->holders = h->next;
		mem_deref(h);
	}
	mem_deref(all->of[OF_REALMS]);
	mem_deref(all->of[OF_INTERFACES]);
}

int capacities_alloc(struct capacities **cp)
{
	struct capacities *all =
		mem_zalloc(sizeof(*all), capacities_destructor);
	int err;

	if (!all)
		return ENOMEM;

	err = roster_alloc(&all->of[OF_REALMS]);
	if (!err)
		err = roster_alloc(&all->of[OF_INTERFACES]);
	if (err)
		mem_deref(all);
	else
		*cp = all;

	return err;
}

static int holder_add(struct holder **hp, struct capacities *all, int of,
		      const char *name)
{
	struct holder *h = mem_zalloc(sizeof(*h), holder_destructor);
	int err;

	if (!h)
		return ENOMEM;

	h->entry.hash = roster_hash(name);
	err = str_dup(&h->entry.name, name);
	if (!err)
		err = capacity_alloc(&h->capacity);
	if (!err)
		err = roster_add(all->of[of], &h->entry);
	if (err) {
		mem_deref(h);
		return err;
	}
	h->next = all->holders;
	all->holders = h;
	*hp = h;

	return 0;
}

static struct holder *holder_find(const struct capacities *all, int of,
				  const char *name)
{
	return (struct holder *)roster_find(all->of[of], name);
}

static const struct session_constraints *constraints_named(
	const struct config *cfg, const char *name)
{
	struct pl pl;

	pl_set_str(&pl, name);

	return pl.l ? config_find(cfg, &element_session_constraints, &pl)
		    : NULL;
}

/* What a configuration says of one holder */
struct wish {
	int of;
	const char *name;
	const struct session_constraints *constraints;
	uint32_t bandwidth;
};

static int wish_prepare(struct capacities *all, const struct wish *wish)
{
	struct holder *h = holder_find(all, wish->of, wish->name);
	int err = 0;

	if (!h && (wish->constraints || wish->bandwidth))
		err = holder_add(&h, all, wish->of, wish->name);
	if (!err && h)
		err = prepare_constraints(h->capacity, wish->constraints);

	return err;
}

static int wish_grant(struct capacities *all, const struct wish *wish)
{
	struct holder *h = holder_find(all, wish->of, wish->name);

	if (h) {
		h->stays = true;
		constrain(h->capacity, wish->constraints, wish->bandwidth);
	}

	return 0;
}

typedef int(wish_h)(struct capacities *all, const struct wish *wish);

static int wishes_walk(struct capacities *all, const struct config *cfg,
		       wish_h *h)
{
	size_t n = config_count(cfg, &element_realm_config);
	int err = 0;

	for (size_t i = 0; i < n && !err; ++i) {
		const struct realm_config *x =
			config_at(cfg, &element_realm_config, i);
		const struct wish wish = { OF_REALMS, x->identifier,
					   constraints_named(
						   cfg, x->constraint_name),
					   x->max_bandwidth };

		err = h(all, &wish);
	}

	n = config_count(cfg, &element_sip_interface);
	for (size_t i = 0; i < n && !err; ++i) {
		const struct sip_interface *x =
			config_at(cfg, &element_sip_interface, i);
		const struct wish wish = {
			OF_INTERFACES, x->realm_id,
			constraints_named(cfg, x->constraint_name), 0
		};

		err = h(all, &wish);
	}

	return err;
}

int capacities_prepare(struct capacities *all, const struct config *cfg)
{
	return wishes_walk(all, cfg, wish_prepare);
}

int capacities_change(struct capacities *all, const struct config *cfg)
{
	int err = capacities_prepare(all, cfg);

	if (err)
		return err;

	for (struct holder *h = all->holders; h; h = h->next)
		h->stays = false;
	(void)wishes_walk(all, cfg, wish_grant); /* does not fail */
	for (struct holder *h = all->holders; h; h = h->next) {
		if (!h->stays)
			constrain(h->capacity, NULL, 0);
	}

	return 0;
}

struct capacity *capacity_of_realm(const struct capacities *all,
				   const struct realm_config *realm)
{
	const struct holder *h;

	if (!realm->constraint_name[0] && !realm->max_bandwidth)
		return NULL;
	h = holder_find(all, OF_REALMS, realm->identifier);

	return h ? h->capacity : NULL;
}

struct capacity *capacity_of_interface(const struct capacities *all,
				       const struct sip_interface *interface)
{
	const struct holder *h;

	if (!interface->constraint_name[0])
		return NULL;
	h = holder_find(all, OF_INTERFACES, interface->realm_id);

	return h ? h->capacity : NULL;
}
