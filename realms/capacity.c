/*
 * Sessions and rates of a session-agent, a realm or a sip-interface
 */
#include <assert.h>
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
	struct rate *rate; /* a reference of the changing thread */
};

struct limits {
	uint32_t sessions;  /* 0: no limit */
	uint32_t by_way[2]; /* by direction */
	uint32_t resume;    /* time-to-resume [ms] */
	uint32_t seizures;  /* calls from which asr counts */
	uint32_t asr;       /* [%]; 0: off */
	uint32_t nearly;    /* cac-alarm-threshold [%]; 0: off */
	uint32_t bandwidth; /* [kbit/s]; 0: no limit */
	bool limited;
};

/* What a configuration says of a holder; replaced as a whole */
struct terms {
	struct limits limits;
	/* Pace of INVITEs, for people; rates and windows of no limit */
	struct rate_limit sustain, burst;
	uint32_t n, room;
	struct meter meters[]; /* only those that have a rate */
};

struct capacity {
	struct terms *_Atomic terms;
	/* of the changing thread: the next ones, and those that somebody may
	 * still read, until the next change */
	struct terms *ready, *former;

	atomic_ullong sessions;    /* two halves, by direction */
	atomic_ullong called;      /* two halves: tried, answered (min-asr) */
	atomic_ullong violated[2]; /* [ms], 0: no violation; by direction */
	atomic_ullong invites[2], violations[2], media;
	atomic_uint high[2], most; /* most: INVITEs in a burst window */
	atomic_bool nearly_full;
	struct rate pace[2], bursts; /* by direction; both */
};

/* --- Words of two halves -------------------------------------------------- */

static uint32_t half(uint64_t word, unsigned which)
{
	return (uint32_t)(word >> (32 * which));
}

static uint64_t one(unsigned which)
{
	return 1ull << (32 * which);
}

/* One less in a half, where there is any */
static void half_take_back(atomic_ullong *word, unsigned which)
{
	unsigned long long w = atomic_load(word);

	while (half(w, which) &&
	       !atomic_compare_exchange_weak(word, &w, w - one(which)))
		;
}

static void raise_to(atomic_uint *most, uint32_t n)
{
	unsigned m = atomic_load_explicit(most, memory_order_relaxed);

	while (m < n && !atomic_compare_exchange_weak(most, &m, n))
		;
}

static void one_less(atomic_ullong *n)
{
	unsigned long long was = atomic_load(n);

	while (was && !atomic_compare_exchange_weak(n, &was, was - 1))
		;
}

/* --- Life ----------------------------------------------------------------- */

static const struct terms *terms_of(const struct capacity *c)
{
	return atomic_load_explicit(&c->terms, memory_order_acquire);
}

static void terms_destructor(void *arg)
{
	struct terms *t = arg;

	for (uint32_t i = 0; i < t->room; ++i)
		mem_deref(t->meters[i].rate);
}

/* Without limits, with room for so many meters; each has a rate, unused yet */
static int terms_alloc(struct terms **tp, uint32_t room)
{
	struct terms *t = mem_zalloc(sizeof(*t) + room * sizeof(t->meters[0]),
				     terms_destructor);

	if (!t)
		return ENOMEM;

	for (; t->room < room; ++t->room) {
		t->meters[t->room].rate = mem_zalloc(sizeof(struct rate), NULL);
		if (!t->meters[t->room].rate) {
			mem_deref(t);
			return ENOMEM;
		}
	}
	*tp = t;

	return 0;
}

static void destructor(void *arg)
{
	struct capacity *c = arg;

	mem_deref(atomic_load(&c->terms));
	mem_deref(c->ready);
	mem_deref(c->former);
}

static uint32_t milliseconds(uint32_t seconds)
{
	return seconds > UINT32_MAX / SECOND ? UINT32_MAX : seconds * SECOND;
}

static void pace_windows(struct terms *t, uint32_t sustain_s, uint32_t burst_s)
{
	t->sustain.sustained = true;
	t->sustain.window = sustain_s ? milliseconds(sustain_s) : SUSTAIN;
	t->burst.window = burst_s ? milliseconds(burst_s) : BURST;
}

int capacity_alloc(struct capacity **cp)
{
	struct capacity *c = mem_zalloc(sizeof(*c), destructor);
	struct terms *t;
	int err;

	if (!c)
		return ENOMEM;

	err = terms_alloc(&t, 0);
	if (err) {
		mem_deref(c);
		return err;
	}
	pace_windows(t, 0, 0);
	atomic_init(&c->terms, t);
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

static bool meter_is_same(const struct meter *a, const struct meter *b)
{
	return a->method == b->method && a->ways == b->ways &&
	       a->limit.sustained == b->limit.sustained &&
	       a->limit.window == b->limit.window;
}

/* A meter that was there goes on with what it counted */
static void meter_put(struct meter *to, const struct meter *m,
		      const struct terms *before)
{
	struct rate *rate = to->rate;

	for (uint32_t i = 0; i < before->n; ++i) {
		if (!meter_is_same(m, &before->meters[i]))
			continue;
		mem_deref(rate);
		rate = mem_ref(before->meters[i].rate);
		break;
	}
	*to = *m;
	to->rate = rate;
}

static int prepare(struct capacity *c, uint32_t n)
{
	struct terms *t;
	int err;

	if (c->ready && c->ready->room >= n)
		return 0;

	err = terms_alloc(&t, n);
	if (err)
		return err;
	mem_deref(c->ready);
	c->ready = t;

	return 0;
}

static bool limits_are_same(const struct limits *a, const struct limits *b)
{
	return a->sessions == b->sessions && a->by_way[0] == b->by_way[0] &&
	       a->by_way[1] == b->by_way[1] && a->resume == b->resume &&
	       a->seizures == b->seizures && a->asr == b->asr &&
	       a->nearly == b->nearly && a->bandwidth == b->bandwidth &&
	       a->limited == b->limited;
}

static bool terms_are_same(const struct terms *t, const struct limits *limits,
			   const struct meter *v, uint32_t n,
			   const struct terms *windows)
{
	bool same = t->n == n && limits_are_same(&t->limits, limits) &&
		    t->sustain.window == windows->sustain.window &&
		    t->burst.window == windows->burst.window;

	for (uint32_t i = 0; i < n && same; ++i)
		same = meter_is_same(&t->meters[i], &v[i]) &&
		       t->meters[i].limit.rate == v[i].limit.rate;

	return same;
}

/* There are terms ready, with room for n. What stays as it is is not replaced, so
 * that nobody reads the former ones of the change before any more */
static void change(struct capacity *c, const struct limits *limits,
		   const struct meter *v, uint32_t n, uint32_t sustain_s,
		   uint32_t burst_s)
{
	struct terms *now = atomic_load(&c->terms), *t = c->ready;
	struct terms windows = { .n = 0 };

	pace_windows(&windows, sustain_s, burst_s);
	if (terms_are_same(now, limits, v, n, &windows))
		return;

	assert(t && t->room >= n);
	t->limits = *limits;
	t->sustain = windows.sustain;
	t->burst = windows.burst;
	t->n = n;
	for (uint32_t i = 0; i < n; ++i)
		meter_put(&t->meters[i], &v[i], now);

	mem_deref(c->former);
	c->former = now;
	c->ready = NULL;
	atomic_store_explicit(&c->terms, t, memory_order_release);
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

	return prepare(c, agent_meters(v, config));
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
		.limited = config->constraints,
	};
	struct meter v[METERS];

	change(c, &limits, v, agent_meters(v, config),
	       config->sustain_rate_window, config->burst_rate_window);
}

static int prepare_constraints(struct capacity *c,
			       const struct session_constraints *x)
{
	struct meter v[METERS];

	return prepare(c, x ? realm_meters(v, x) : 0);
}

static void constrain(struct capacity *c, const struct session_constraints *x,
		      uint32_t bandwidth)
{
	struct limits limits = { .bandwidth = bandwidth };
	struct meter v[METERS];
	uint32_t n = 0;

	if (x && x->state) {
		limits.limited = true;
		limits.sessions = x->max_sessions;
		limits.by_way[INBOUND] = x->max_inbound_sessions;
		limits.by_way[OUTBOUND] = x->max_outbound_sessions;
		limits.resume = milliseconds(x->time_to_resume);
		limits.seizures = x->min_seizures;
		limits.asr = x->min_asr;
		n = realm_meters(v, x);
	}
	change(c, &limits, v, n, x ? x->sustain_rate_window : 0,
	       x ? x->burst_rate_window : 0);
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
static uint8_t rates_full(const struct terms *t, enum rate_method method,
			  enum direction d, uint64_t now)
{
	uint8_t ways = 0;

	for (uint32_t i = 0; i < t->n; ++i) {
		const struct meter *m = &t->meters[i];

		if (meter_counts(m, method, d) &&
		    rate_is_full(m->rate, &m->limit, now))
			ways |= m->ways;
	}

	return ways;
}

static void rates_count(const struct terms *t, enum rate_method method,
			enum direction d, uint64_t now)
{
	for (uint32_t i = 0; i < t->n; ++i) {
		const struct meter *m = &t->meters[i];

		if (meter_counts(m, method, d))
			rate_count(m->rate, &m->limit, now);
	}
}

/* All rates of a method, or none. 0, or the directions that are full */
static uint8_t rates_take(const struct terms *t, enum rate_method method,
			  enum direction d, uint64_t now)
{
	uint64_t windows[METERS];

	for (uint32_t i = 0; i < t->n; ++i) {
		const struct meter *m = &t->meters[i];

		if (!meter_counts(m, method, d) ||
		    !rate_take(m->rate, &m->limit, now, &windows[i]))
			continue;
		while (i--) {
			if (meter_counts(&t->meters[i], method, d))
				rate_give(t->meters[i].rate, windows[i]);
		}
		return m->ways;
	}

	return 0;
}

/* For people only: nothing is refused by it */
static void pace_count(struct capacity *c, const struct terms *t,
		       enum direction d, uint64_t now)
{
	rate_count(&c->pace[d], &t->sustain, now);
	rate_count(&c->bursts, &t->burst, now);
	raise_to(&c->most, rate_present(&c->bursts));
}

/* Directions that the session limits stop, with so many sessions */
static uint8_t sessions_full(const struct limits *l, uint64_t sessions)
{
	const uint32_t n[] = { half(sessions, INBOUND),
			       half(sessions, OUTBOUND) };
	uint8_t ways = 0;

	if (l->sessions && (uint64_t)n[INBOUND] + n[OUTBOUND] >= l->sessions)
		ways = BOTH;
	for (unsigned d = INBOUND; d <= OUTBOUND; ++d) {
		if (l->by_way[d] && n[d] >= l->by_way[d])
			ways |= way((enum direction)d);
	}

	return ways;
}

/* One session more if it fits. 0, or the directions that are full */
static uint8_t session_take(struct capacity *c, const struct limits *l,
			    enum direction d)
{
	unsigned long long n = atomic_load(&c->sessions);

	do {
		uint8_t ways = sessions_full(l, n);

		if (ways & way(d))
			return ways;
	} while (!atomic_compare_exchange_weak(&c->sessions, &n, n + one(d)));
	raise_to(&c->high[d], half(n, d) + 1);

	return 0;
}

static void session_count(struct capacity *c, enum direction d)
{
	uint64_t n = atomic_fetch_add(&c->sessions, one(d));

	raise_to(&c->high[d], half(n, d) + 1);
}

enum {
	TRIED,
	ANSWERED
};

/* Too few of the calls are answered: min-asr stops the way out */
static bool is_answered_too_rarely(const struct limits *l, uint64_t called)
{
	return l->asr && half(called, TRIED) >= l->seizures &&
	       (uint64_t)half(called, ANSWERED) * 100 <
		       (uint64_t)l->asr * half(called, TRIED);
}

/* The limits that an INVITE of this direction would exceed, as the directions
 * that they stop; 0: it fits */
static uint8_t exceeded(const struct capacity *c, const struct terms *t,
			enum direction d, uint64_t now)
{
	uint8_t ways = sessions_full(&t->limits, atomic_load(&c->sessions));

	ways |= rates_full(t, RATE_METHOD_INVITE, d, now);
	if (is_answered_too_rarely(&t->limits, atomic_load(&c->called)))
		ways |= OUT;

	return ways & way(d) ? ways : 0;
}

static bool is_violated(const struct capacity *c, const struct terms *t,
			enum direction d, uint64_t now)
{
	uint64_t since = atomic_load(&c->violated[d]);

	return t->limits.limited && since &&
	       (!is_over(since, t->limits.resume, now) ||
		exceeded(c, t, d, now));
}

static void violate(struct capacity *c, const struct terms *t, uint8_t ways,
		    uint64_t now)
{
	unsigned long long called = atomic_load(&c->called);

	for (unsigned d = INBOUND; d <= OUTBOUND; ++d) {
		if (ways & way((enum direction)d) &&
		    !is_violated(c, t, (enum direction)d, now))
			atomic_store(&c->violated[d], now ? now : 1);
	}
	/* The pause is for these calls: afterwards others are judged */
	while (ways & OUT && is_answered_too_rarely(&t->limits, called) &&
	       !atomic_compare_exchange_weak(&c->called, &called, 0))
		;
}

static int refuse(struct capacity *c, const struct terms *t, enum direction d,
		  uint8_t ways, uint64_t now)
{
	atomic_fetch_add(&c->violations[d], 1);
	violate(c, t, ways, now);

	return EBUSY;
}

/* Is it refused before anything is taken: by a pause, or what is plainly full? */
static bool refuses(struct capacity *c, const struct terms *t, enum direction d,
		    uint64_t now)
{
	unsigned long long since = atomic_load(&c->violated[d]);
	uint8_t ways = exceeded(c, t, d, now);

	if (ways || (since && !is_over(since, t->limits.resume, now))) {
		(void)refuse(c, t, d, ways, now);
		return true;
	}
	/* unless somebody else has just begun another pause */
	if (since)
		(void)atomic_compare_exchange_strong(&c->violated[d], &since,
						     0);

	return false;
}

/* Session and rates, all or nothing. 0, or the directions that are full */
static uint8_t seat_take(struct capacity *c, const struct terms *t,
			 enum direction d, uint64_t now)
{
	uint8_t ways = session_take(c, &t->limits, d);

	if (ways)
		return ways;

	ways = rates_take(t, RATE_METHOD_INVITE, d, now);
	if (ways)
		half_take_back(&c->sessions, d);

	return ways;
}

int capacity_take(struct capacity *c, enum direction d, uint64_t now,
		  bool forced)
{
	const struct terms *t = terms_of(c);

	if (forced || !t->limits.limited) {
		session_count(c, d);
		rates_count(t, RATE_METHOD_INVITE, d, now);
	} else {
		uint8_t ways;

		if (refuses(c, t, d, now))
			return EBUSY;
		ways = seat_take(c, t, d, now);
		if (ways)
			return refuse(c, t, d, ways, now);
	}
	atomic_fetch_add(&c->invites[d], 1);
	pace_count(c, t, d, now);

	return 0;
}

void capacity_give(struct capacity *c, enum direction d)
{
	half_take_back(&c->sessions, d);
}

void capacity_undo(struct capacity *c, enum direction d)
{
	const struct terms *t = terms_of(c);

	half_take_back(&c->sessions, d);
	one_less(&c->invites[d]);
	for (uint32_t i = 0; i < t->n; ++i) {
		if (meter_counts(&t->meters[i], RATE_METHOD_INVITE, d))
			rate_undo(t->meters[i].rate);
	}
}

int capacity_request(struct capacity *c, enum rate_method method,
		     enum direction d, uint64_t now, bool forced)
{
	const struct terms *t = terms_of(c);

	if (forced || !t->limits.limited) {
		rates_count(t, method, d, now);
		return 0;
	}
	if (!rates_take(t, method, d, now))
		return 0;
	atomic_fetch_add(&c->violations[d], 1);

	return EBUSY;
}

void capacity_called(struct capacity *c, bool answered)
{
	uint64_t more = one(TRIED) + (answered ? one(ANSWERED) : 0);
	unsigned long long called = atomic_load(&c->called);

	while (half(called, TRIED) < UINT32_MAX &&
	       !atomic_compare_exchange_weak(&c->called, &called,
					     called + more))
		;
}

void capacity_reset(struct capacity *c)
{
	atomic_store(&c->violated[INBOUND], 0);
	atomic_store(&c->violated[OUTBOUND], 0);
	atomic_store(&c->called, 0);
}

int capacity_media(struct capacity *c, int64_t by, bool forced)
{
	uint64_t limit = forced ? 0 : terms_of(c)->limits.bandwidth;
	unsigned long long media = atomic_load(&c->media), next;

	do {
		if (by < 0)
			next = media > (uint64_t)-by ? media - (uint64_t)-by
						     : 0;
		else
			next = media + (uint64_t)by;
		if (by > 0 && limit && next > limit)
			return ENOSPC;
	} while (!atomic_compare_exchange_weak(&c->media, &media, next));

	return 0;
}

/* --- Questions ---------------------------------------------------------- */

bool capacity_is_exceeded(struct capacity *c, enum direction d, uint64_t now)
{
	return is_violated(c, terms_of(c), d, now);
}

uint32_t capacity_resume(struct capacity *c, enum direction d, uint64_t now)
{
	uint64_t resume = terms_of(c)->limits.resume, rest = 0;
	uint64_t since = atomic_load(&c->violated[d]);

	if (since && resume)
		rest = since + resume > now ? since + resume - now : 1;

	return (uint32_t)((rest + SECOND - 1) / SECOND);
}

/* The highest share [%] of a session limit that is in use */
static uint64_t share(const struct limits *l, uint64_t sessions)
{
	uint64_t most = 0;

	if (l->sessions)
		most = 100ull *
		       ((uint64_t)half(sessions, INBOUND) +
			half(sessions, OUTBOUND)) /
		       l->sessions;
	for (unsigned d = INBOUND; d <= OUTBOUND; ++d) {
		uint64_t of =
			l->by_way[d] ? 100ull * half(sessions, d) / l->by_way[d]
				     : 0;

		if (of > most)
			most = of;
	}

	return most;
}

bool capacity_use_changed(struct capacity *c, bool *is)
{
	const struct limits *l = &terms_of(c)->limits;
	bool was = atomic_load_explicit(&c->nearly_full, memory_order_relaxed);
	uint64_t threshold = (uint64_t)l->nearly * (was ? NEARLY_DOWN : 100);

	*is = l->limited && threshold &&
	      share(l, atomic_load(&c->sessions)) * 100 >= threshold;

	/* Of several that see it cross one is told */
	return *is != was && atomic_exchange(&c->nearly_full, *is) == was;
}

uint32_t capacity_pace(struct capacity *c, enum direction d, uint64_t now)
{
	const struct rate_limit *sustain = &terms_of(c)->sustain;
	uint64_t n = rate_seen(&c->pace[d], sustain, now) * SECOND * SECOND /
		     sustain->window;

	return n < UINT32_MAX ? (uint32_t)n : UINT32_MAX;
}

void capacity_report(struct capacity *c, struct capacity_report *out)
{
	uint64_t sessions = atomic_load(&c->sessions);
	uint64_t called = atomic_load(&c->called);

	*out = (struct capacity_report){
		.tried = half(called, TRIED),
		.answered = half(called, ANSWERED),
		.media = atomic_load(&c->media),
		.burst = atomic_load(&c->most),
	};
	for (unsigned d = INBOUND; d <= OUTBOUND; ++d) {
		out->sessions[d] = half(sessions, d);
		out->high[d] = atomic_load(&c->high[d]);
		out->invites[d] = atomic_load(&c->invites[d]);
		out->violations[d] = atomic_load(&c->violations[d]);
	}
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
