/*
 * Session-agents at work: in service, sessions, rates, latency; take and give
 *
 * One object for each hostname that was ever configured; it never moves and is
 * freed at the end, so any thread may hold a pointer to it. Names are found in
 * levels of slots: a level that is full gets a larger one before it, and none is
 * ever changed but by filling an empty slot. So one thread may add while others
 * look up, without a lock.
 *
 * State and the moment it began are one atomic word, the sessions of both
 * directions another: what is decided together changes together.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "store/base.h"
#include "store/hash.h"
#include "store/number.h"
#include "realms/agents.h"

enum {
	SECOND = 1000,      /* [ms] */
	TTR_DEFAULT = 32,   /* ttr-no-response 0 [s] (behaviour.md 2.5) */
	TIMEOUTS_PING = 10, /* trans-timeouts with ping, and without */
	TIMEOUTS = 5,
	CODES = 700, /* one bit for each status code below */
	FIRST_LEVEL = 64,
};

/* What is used of the configuration, copied: a configuration may go while
 * another thread asks. Each member is a word of its own. */
struct limits {
	_Atomic bool present, enabled, constraints, ping;
	_Atomic uint32_t sessions;    /* 0: no limit */
	_Atomic uint32_t by_way[2];   /* by direction */
	_Atomic uint32_t resume;      /* time-to-resume [ms] */
	_Atomic uint32_t ttr;         /* ttr-no-response [ms] */
	_Atomic uint32_t coming_back; /* in-service-period [ms] */
	_Atomic uint32_t timeouts;    /* trans-timeouts; 0: never */
	_Atomic uint64_t out_codes[CODES / 64 + 1];
};

struct agent {
	char *hostname;
	uint64_t hash;
	bool stays; /* of the changing thread */
	struct limits limits;
	_Atomic uint64_t service;     /* state in 8 bits, since [ms] above */
	_Atomic uint64_t sessions;    /* inbound in the low half */
	_Atomic uint64_t violated[2]; /* [ms], 0: no violation; by direction */
	_Atomic bool refused;         /* state R */
	_Atomic bool outage;          /* it went out and nobody was told that it
				       * is back: time alone brings it back */
	_Atomic uint32_t in_row;      /* timeouts */
	_Atomic uint64_t heard;       /* [ms] */

	/* Only counted */
	_Atomic uint32_t high[2];
	_Atomic uint64_t invites[2], violations[2];
	_Atomic uint64_t answered, timeouts, latency_sum, latencies;
	_Atomic uint32_t latency_max;
};

struct level {
	struct level *smaller; /* filled before; read-only now */
	size_t size, used;     /* a power of two; at most three quarters */
	struct agent *_Atomic slots[];
};

struct agents {
	struct level *_Atomic levels; /* the largest first */
	struct agent **sorted;        /* by name; of the changing thread */
	uint32_t n;
	bool pings; /* somebody sends them */
};

#define GET(x)    atomic_load_explicit(&(x), memory_order_relaxed)
#define SET(x, v) atomic_store_explicit(&(x), (v), memory_order_relaxed)
#define ADD(x, v) atomic_fetch_add_explicit(&(x), (v), memory_order_relaxed)

/* --- the table --- */

static void agent_destructor(void *arg)
{
	struct agent *agent = arg;

	mem_deref(agent->hostname);
}

static void agents_destructor(void *arg)
{
	struct agents *a = arg;
	struct level *level = GET(a->levels);

	for (uint32_t i = 0; i < a->n; ++i)
		mem_deref(a->sorted[i]);
	mem_deref(a->sorted);
	while (level) {
		struct level *smaller = level->smaller;

		mem_deref(level);
		level = smaller;
	}
}

int agents_open(struct agents **ap)
{
	struct agents *a = mem_zalloc(sizeof(*a), agents_destructor);

	if (!a)
		return ENOMEM;

	*ap = a;

	return 0;
}

void agents_close(struct agents *a)
{
	mem_deref(a);
}

static struct agent *level_find(const struct level *level, const char *name,
				uint64_t hash)
{
	for (size_t i = hash & (level->size - 1);;
	     i = (i + 1) & (level->size - 1)) {
		struct agent *agent = atomic_load_explicit(
			&level->slots[i], memory_order_acquire);

		if (!agent)
			return NULL;
		if (agent->hash == hash && !strcasecmp(agent->hostname, name))
			return agent;
	}
}

static struct agent *name_find(const struct agents *a, const char *name)
{
	uint64_t hash = hash_nocase(name, strlen(name));
	const struct level *level =
		atomic_load_explicit(&a->levels, memory_order_acquire);

	for (; level; level = level->smaller) {
		struct agent *agent = level_find(level, name, hash);

		if (agent)
			return agent;
	}

	return NULL;
}

static int level_add(struct agents *a, struct agent *agent)
{
	struct level *level = GET(a->levels);
	size_t i;

	if (!level || level->used >= level->size / 4 * 3) {
		size_t size = level ? 4 * level->size : FIRST_LEVEL;
		struct level *larger = mem_zalloc(
			sizeof(*larger) + size * sizeof(larger->slots[0]),
			NULL);

		if (!larger)
			return ENOMEM;
		larger->size = size;
		larger->smaller = level;
		atomic_store_explicit(&a->levels, larger, memory_order_release);
		level = larger;
	}

	i = agent->hash & (level->size - 1);
	while (GET(level->slots[i]))
		i = (i + 1) & (level->size - 1);
	atomic_store_explicit(&level->slots[i], agent, memory_order_release);
	++level->used;

	return 0;
}

/* --- configuration --- */

static uint32_t milliseconds(uint32_t seconds)
{
	return seconds > UINT32_MAX / SECOND ? UINT32_MAX : seconds * SECOND;
}

static bool has_ping(const struct session_agent *config)
{
	return config->ping_method.n && config->ping_interval;
}

/* Option trans-timeouts=N; what is no number counts as not there */
static uint32_t timeouts_of(const struct session_agent *config)
{
	uint64_t n = 0;
	struct pl value;

	if (!option_get(&config->options, "trans-timeouts", &value) &&
	    !uint_parse(&n, &value, UINT32_MAX))
		return (uint32_t)n;

	return has_ping(config) ? TIMEOUTS_PING : TIMEOUTS;
}

static void codes_set(struct limits *limits, const struct codes *codes)
{
	for (unsigned word = 0; word <= CODES / 64; ++word) {
		uint64_t bits = 0;

		for (unsigned i = 0; i < 64; ++i) {
			if (codes_have(codes, (uint16_t)(64 * word + i)))
				bits |= 1ull << i;
		}
		SET(limits->out_codes[word], bits);
	}
}

static void limits_set(struct limits *limits,
		       const struct session_agent *config, bool pings)
{
	uint32_t ttr = config->ttr_no_response;

	SET(limits->enabled, config->state);
	SET(limits->constraints, config->constraints);
	SET(limits->ping, pings && has_ping(config));
	SET(limits->sessions, config->max_sessions);
	SET(limits->by_way[AGENT_INBOUND], config->max_inbound_sessions);
	SET(limits->by_way[AGENT_OUTBOUND], config->max_outbound_sessions);
	SET(limits->resume, milliseconds(config->time_to_resume));
	SET(limits->ttr, milliseconds(ttr ? ttr : TTR_DEFAULT));
	SET(limits->coming_back, milliseconds(config->in_service_period));
	SET(limits->timeouts, timeouts_of(config));
	codes_set(limits, &config->out_service_response_codes);
	SET(limits->present, true);
}

static int agent_new(struct agent **agentp, struct agents *a,
		     const struct session_agent *config)
{
	struct agent *agent = mem_zalloc(sizeof(*agent), agent_destructor);
	int err;

	if (!agent)
		return ENOMEM;

	agent->hash = hash_nocase(config->hostname, strlen(config->hostname));
	err = str_dup(&agent->hostname, config->hostname);
	if (!err) {
		limits_set(&agent->limits, config, a->pings);
		err = level_add(a, agent);
	}

	if (err)
		mem_deref(agent);
	else
		*agentp = agent;

	return err;
}

static int name_order(const void *a, const void *b)
{
	const struct agent *const *x = a, *const *y = b;

	return strcasecmp((*x)->hostname, (*y)->hostname);
}

/* Room for those that are there and `more` */
static int sorted_room(struct agents *a, size_t more)
{
	struct agent **sorted =
		mem_alloc((a->n + more) * sizeof(*sorted), NULL);

	if (!sorted)
		return ENOMEM;

	if (a->n)
		memcpy(sorted, a->sorted, a->n * sizeof(*sorted));
	mem_deref(a->sorted);
	a->sorted = sorted;

	return 0;
}

static size_t count_missing(const struct agents *a, const struct config *cfg)
{
	size_t n = config_count(cfg, &element_session_agent), missing = 0;

	for (size_t i = 0; i < n; ++i) {
		const struct session_agent *config =
			config_at(cfg, &element_session_agent, i);

		missing += !name_find(a, config->hostname);
	}

	return missing;
}

int agents_prepare(struct agents *a, const struct config *cfg)
{
	size_t n = config_count(cfg, &element_session_agent);
	size_t missing = count_missing(a, cfg);
	int err;

	if (!missing)
		return 0;

	err = sorted_room(a, missing);
	for (size_t i = 0; !err && i < n; ++i) {
		const struct session_agent *config =
			config_at(cfg, &element_session_agent, i);
		struct agent *agent;

		if (name_find(a, config->hostname))
			continue;
		err = agent_new(&agent, a, config);
		if (!err)
			a->sorted[a->n++] = agent;
	}
	if (a->n)
		qsort(a->sorted, a->n, sizeof(*a->sorted), name_order);

	return err;
}

/* Others may ask about an agent meanwhile: one that stays is never gone */
int agents_change(struct agents *a, const struct config *cfg)
{
	size_t n = config_count(cfg, &element_session_agent);
	int err = agents_prepare(a, cfg);

	if (err)
		return err;

	for (uint32_t i = 0; i < a->n; ++i)
		a->sorted[i]->stays = false;
	for (size_t i = 0; i < n; ++i) {
		const struct session_agent *config =
			config_at(cfg, &element_session_agent, i);
		struct agent *agent = name_find(a, config->hostname);

		agent->stays = true;
		limits_set(&agent->limits, config, a->pings);
	}
	for (uint32_t i = 0; i < a->n; ++i) {
		if (!a->sorted[i]->stays)
			SET(a->sorted[i]->limits.present, false);
	}

	return 0;
}

struct agent *agents_find(const struct agents *a,
			  const struct session_agent *config)
{
	return config ? name_find(a, config->hostname) : NULL;
}

/* --- state --- */

static enum agent_service service_of(uint64_t word)
{
	return (enum agent_service)(word & 0xff);
}

static uint64_t since_of(uint64_t word)
{
	return word >> 8;
}

/* Change from the word that was read; false: another thread was faster */
static bool move(struct agent *agent, uint64_t from, enum agent_service to,
		 uint64_t now)
{
	return atomic_compare_exchange_strong(&agent->service, &from,
					      now << 8 | (uint64_t)to);
}

static bool go_out(struct agent *agent, uint64_t now)
{
	uint64_t word = atomic_load(&agent->service);

	if (service_of(word) == AGENT_OUT_OF_SERVICE ||
	    !move(agent, word, AGENT_OUT_OF_SERVICE, now))
		return false;

	SET(agent->outage, true);
	return true;
}

/* O to S, and on to I when in-service-period is 0 */
static bool come_back(struct agent *agent, uint64_t word, uint64_t now)
{
	SET(agent->in_row, 0);

	return move(agent, word,
		    GET(agent->limits.coming_back) ? AGENT_COMING_BACK
						   : AGENT_IN_SERVICE,
		    now);
}

static bool is_over(uint64_t since, uint32_t wait, uint64_t now)
{
	return now >= since + wait;
}

/* What time alone does: O to S without ping, S to I (behaviour.md 2.5) */
static void let_time_pass(struct agent *agent, uint64_t now)
{
	uint64_t word = atomic_load(&agent->service);

	if (service_of(word) == AGENT_OUT_OF_SERVICE &&
	    !GET(agent->limits.ping) &&
	    is_over(since_of(word), GET(agent->limits.ttr), now)) {
		(void)come_back(agent, word, now); /* or another thread did */
		word = atomic_load(&agent->service);
	}

	if (service_of(word) == AGENT_COMING_BACK &&
	    is_over(since_of(word), GET(agent->limits.coming_back), now))
		(void)move(agent, word, AGENT_IN_SERVICE, now);
}

/* --- limits --- */

static uint32_t count_of(uint64_t sessions, enum agent_direction d)
{
	return (uint32_t)(sessions >> 32 * d);
}

static bool is_full(const struct agent *agent, uint64_t sessions,
		    enum agent_direction d)
{
	uint32_t all = GET(agent->limits.sessions);
	uint32_t way = GET(agent->limits.by_way[d]);
	uint64_t sum = (uint64_t)count_of(sessions, AGENT_INBOUND) +
		       count_of(sessions, AGENT_OUTBOUND);

	return (all && sum >= all) || (way && count_of(sessions, d) >= way);
}

/* In violation until the value is below the limit and time-to-resume over */
static bool is_constrained(const struct agent *agent, enum agent_direction d,
			   uint64_t now)
{
	uint64_t since = GET(agent->violated[d]);

	if (!since || !GET(agent->limits.constraints))
		return false;

	return is_full(agent, GET(agent->sessions), d) ||
	       !is_over(since, GET(agent->limits.resume), now);
}

static int refuse(struct agent *agent, enum agent_direction d, uint64_t now)
{
	ADD(agent->violations[d], 1);
	if (!is_constrained(agent, d, now))
		SET(agent->violated[d], now ? now : 1);

	return EBUSY;
}

static void raise_to(_Atomic uint32_t *high, uint32_t value)
{
	uint32_t old = GET(*high);

	while (old < value && !atomic_compare_exchange_weak(high, &old, value))
		;
}

/*
 * The rates of behaviour.md 1.5 (burst, sustain, min-asr) have their place
 * here, before the session is counted.
 */
int agent_take(struct agent *agent, enum agent_direction d, uint64_t now)
{
	bool limited = GET(agent->limits.constraints);
	uint64_t sessions = atomic_load(&agent->sessions);

	if (limited && is_constrained(agent, d, now))
		return refuse(agent, d, now);

	do {
		if (limited && is_full(agent, sessions, d))
			return refuse(agent, d, now);
	} while (!atomic_compare_exchange_weak(&agent->sessions, &sessions,
					       sessions + (1ull << 32 * d)));

	SET(agent->violated[d], 0);
	ADD(agent->invites[d], 1);
	raise_to(&agent->high[d], count_of(sessions, d) + 1);

	return 0;
}

void agent_give(struct agent *agent, enum agent_direction d)
{
	uint64_t sessions = atomic_load(&agent->sessions);

	/* Giving more than was taken would run into the other direction */
	do {
		if (!count_of(sessions, d))
			return;
	} while (!atomic_compare_exchange_weak(&agent->sessions, &sessions,
					       sessions - (1ull << 32 * d)));
}

/* --- questions --- */

enum agent_service agent_service(const struct agent *agent, uint64_t now)
{
	enum agent_service service;

	if (!GET(agent->limits.enabled) || !GET(agent->limits.present))
		return AGENT_DISABLED;

	service = service_of(atomic_load(&agent->service));
	if (service != AGENT_IN_SERVICE)
		return service;
	if (is_constrained(agent, AGENT_INBOUND, now) ||
	    is_constrained(agent, AGENT_OUTBOUND, now))
		return AGENT_CONSTRAINED;

	return GET(agent->refused) ? AGENT_REFUSED : AGENT_IN_SERVICE;
}

bool agent_usable(struct agent *agent, uint64_t now)
{
	if (!GET(agent->limits.enabled) || !GET(agent->limits.present))
		return false;

	let_time_pass(agent, now);

	return service_of(atomic_load(&agent->service)) == AGENT_IN_SERVICE &&
	       !is_constrained(agent, AGENT_OUTBOUND, now);
}

char agent_letter(enum agent_service s)
{
	static const char letters[] = {
		[AGENT_IN_SERVICE] = 'I',  [AGENT_OUT_OF_SERVICE] = 'O',
		[AGENT_COMING_BACK] = 'S', [AGENT_CONSTRAINED] = 'C',
		[AGENT_DISABLED] = 'D',    [AGENT_REFUSED] = 'R',
	};

	return letters[s];
}

/* --- news --- */

static bool is_out_code(const struct agent *agent, uint16_t code)
{
	return code < CODES &&
	       GET(agent->limits.out_codes[code / 64]) >> code % 64 & 1;
}

static void latency_add(struct agent *agent, uint32_t latency)
{
	ADD(agent->latency_sum, latency);
	ADD(agent->latencies, 1);
	raise_to(&agent->latency_max, latency);
}

bool agent_answered(struct agent *agent, uint16_t code, uint32_t latency,
		    uint64_t now)
{
	uint64_t word;

	SET(agent->in_row, 0);
	SET(agent->heard, now);
	latency_add(agent, latency);
	if (code >= 200 && code < 300)
		ADD(agent->answered, 1);
	if (is_out_code(agent, code))
		return go_out(agent, now);

	/* An answer ends the outage, where no ping decides about it (4.6) */
	word = atomic_load(&agent->service);
	if (GET(agent->limits.ping) || code == 408 || code == 503)
		return false;
	if (service_of(word) == AGENT_OUT_OF_SERVICE)
		(void)come_back(agent, word, now); /* or another thread did */

	word = atomic_load(&agent->service);
	return service_of(word) == AGENT_IN_SERVICE && GET(agent->outage) &&
	       atomic_exchange(&agent->outage, false);
}

bool agent_timed_out(struct agent *agent, uint64_t now)
{
	uint32_t limit = GET(agent->limits.timeouts);
	uint32_t in_row = ADD(agent->in_row, 1) + 1;
	enum agent_service service = service_of(atomic_load(&agent->service));

	ADD(agent->timeouts, 1);
	if (service == AGENT_COMING_BACK || (limit && in_row >= limit))
		return go_out(agent, now);

	return false;
}

bool agent_ping_result(struct agent *agent, bool good, uint64_t now)
{
	uint64_t word = atomic_load(&agent->service);

	if (!good)
		return go_out(agent, now);

	SET(agent->in_row, 0);
	SET(agent->heard, now);
	switch (service_of(word)) {

	case AGENT_OUT_OF_SERVICE:
		return is_over(since_of(word), GET(agent->limits.ttr), now) &&
		       come_back(agent, word, now);

	case AGENT_COMING_BACK:
		return is_over(since_of(word), GET(agent->limits.coming_back),
			       now) &&
		       move(agent, word, AGENT_IN_SERVICE, now);

	case AGENT_IN_SERVICE:
	case AGENT_CONSTRAINED:
	case AGENT_DISABLED:
	case AGENT_REFUSED:
		return false;
	}

	return false;
}

bool agent_failed(struct agent *agent, uint64_t now)
{
	return go_out(agent, now);
}

bool agent_credentials_refused(struct agent *agent, bool refused)
{
	return atomic_exchange(&agent->refused, refused) != refused;
}

void agent_heard(struct agent *agent, uint64_t now)
{
	SET(agent->heard, now);
}

uint64_t agent_last_heard(const struct agent *agent)
{
	return GET(agent->heard);
}

/* --- for show --- */

void agent_report(const struct agent *agent, uint64_t now,
		  struct agent_report *out)
{
	uint64_t sessions = GET(agent->sessions);
	uint64_t n = GET(agent->latencies);

	memset(out, 0, sizeof(*out));
	out->hostname = agent->hostname;
	out->service = agent_service(agent, now);
	for (int d = AGENT_INBOUND; d <= AGENT_OUTBOUND; ++d) {
		out->sessions[d] = count_of(sessions, (enum agent_direction)d);
		out->high[d] = GET(agent->high[d]);
		out->invites[d] = GET(agent->invites[d]);
		out->violations[d] = GET(agent->violations[d]);
	}
	out->answered = GET(agent->answered);
	out->timeouts = GET(agent->timeouts);
	out->timeouts_in_row = GET(agent->in_row);
	out->latency_avg = n ? (uint32_t)(GET(agent->latency_sum) / n) : 0;
	out->latency_max = GET(agent->latency_max);
	out->since = since_of(GET(agent->service));
}

/* One that is gone is shown until its last session ended */
void agents_walk(struct agents *a, agent_h *h, void *arg)
{
	for (uint32_t i = 0; i < a->n; ++i) {
		struct agent *agent = a->sorted[i];

		if (GET(agent->limits.present) || GET(agent->sessions))
			h(agent, arg);
	}
}

void agents_expect_pings(struct agents *a)
{
	a->pings = true;
}
