/*
 * Session-agents at work: in service, sessions, rates, latency; take and give
 *
 * One object for each hostname that was ever configured; it never moves and is
 * freed at the end, so any thread may hold a pointer to it. State and the moment
 * it began are one atomic word: what is decided together changes together. I, O
 * and S follow the table of moves; C, D and R lie over I and are asked for.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "store/base.h"
#include "store/number.h"
#include "realms/agents.h"
#include "realms/roster.h"

enum {
	SECOND = 1000,      /* [ms] */
	TTR_DEFAULT = 32,   /* ttr-no-response 0 [s] (behaviour.md 2.5) */
	TIMEOUTS_PING = 10, /* trans-timeouts with ping, and without */
	TIMEOUTS = 5,
	CODES = 700, /* one bit for each status code below */
};

/* What is used of the configuration, copied: a configuration may go while
 * another thread asks. Each member is a word of its own. */
struct limits {
	_Atomic bool present, enabled, ping;
	_Atomic uint32_t ttr;         /* ttr-no-response [ms] */
	_Atomic uint32_t coming_back; /* in-service-period [ms] */
	_Atomic uint32_t timeouts;    /* trans-timeouts; 0: never */
	_Atomic uint64_t out_codes[CODES / 64 + 1];
};

struct agent {
	struct roster_entry entry; /* hostname */
	struct capacity *capacity;
	struct agent *next; /* of the table, in order of coming */
	bool stays;         /* of the changing thread */
	struct limits limits;
	_Atomic uint64_t service; /* state in 8 bits, since [ms] above */
	_Atomic uint32_t in_row;  /* timeouts */
	_Atomic uint64_t heard;   /* [ms] */
	_Atomic uint8_t told;     /* state at the last news */
	_Atomic int32_t registrations, refused;

	/* Only counted */
	_Atomic uint64_t answered, timeouts, latency_sum, latencies, pinged;
	_Atomic uint32_t latency_max, targets, targets_out;
};

struct agents {
	struct roster *roster;
	struct agent **sorted; /* by name; of the changing thread */
	uint32_t n;
	struct agent *_Atomic first; /* of all, the newest first */
	bool pings;                  /* somebody sends them */
};

#define GET(x)    atomic_load_explicit(&(x), memory_order_relaxed)
#define SET(x, v) atomic_store_explicit(&(x), (v), memory_order_relaxed)
#define ADD(x, v) atomic_fetch_add_explicit(&(x), (v), memory_order_relaxed)

/* --- the table --- */

static void agent_destructor(void *arg)
{
	struct agent *agent = arg;

	mem_deref(agent->entry.name);
	mem_deref(agent->capacity);
}

static void agents_destructor(void *arg)
{
	struct agents *a = arg;

	for (uint32_t i = 0; i < a->n; ++i)
		mem_deref(a->sorted[i]);
	mem_deref(a->sorted);
	mem_deref(a->roster);
}

int agents_open(struct agents **ap)
{
	struct agents *a = mem_zalloc(sizeof(*a), agents_destructor);
	int err;

	if (!a)
		return ENOMEM;

	err = roster_alloc(&a->roster);
	if (err)
		mem_deref(a);
	else
		*ap = a;

	return err;
}

void agents_close(struct agents *a)
{
	mem_deref(a);
}

static struct agent *name_find(const struct agents *a, const char *name)
{
	return (struct agent *)roster_find(a->roster, name);
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
	SET(limits->ping, pings && has_ping(config));
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

	agent->entry.hash = roster_hash(config->hostname);
	err = str_dup(&agent->entry.name, config->hostname);
	if (!err)
		err = capacity_alloc(&agent->capacity);
	if (!err)
		err = capacity_prepare_agent(agent->capacity, config);
	if (!err)
		err = roster_add(a->roster, &agent->entry);
	if (err) {
		mem_deref(agent);
		return err;
	}

	limits_set(&agent->limits, config, a->pings);
	capacity_of_agent(agent->capacity, config);
	agent->next = atomic_load(&a->first);
	atomic_store_explicit(&a->first, agent, memory_order_release);
	*agentp = agent;

	return 0;
}

static int name_order(const void *a, const void *b)
{
	const struct agent *const *x = a, *const *y = b;

	return strcasecmp((*x)->entry.name, (*y)->entry.name);
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

static int agent_prepare(struct agents *a, const struct session_agent *config)
{
	struct agent *agent = name_find(a, config->hostname);
	int err;

	if (!agent) {
		err = agent_new(&agent, a, config);
		if (!err)
			a->sorted[a->n++] = agent;
		return err;
	}
	/* It was configured before, and now again */
	if (!GET(agent->limits.present))
		limits_set(&agent->limits, config, a->pings);

	return capacity_prepare_agent(agent->capacity, config);
}

int agents_prepare(struct agents *a, const struct config *cfg)
{
	size_t n = config_count(cfg, &element_session_agent);
	size_t missing = count_missing(a, cfg);
	int err = missing ? sorted_room(a, missing) : 0;

	for (size_t i = 0; !err && i < n; ++i)
		err = agent_prepare(a,
				    config_at(cfg, &element_session_agent, i));
	if (missing && a->n)
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
		capacity_of_agent(agent->capacity, config);
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

enum event {
	FAULT = 1, /* too many timeouts in a row, no connection, a bad ping, a
		    * listed code */
	SILENCE,   /* one timeout */
	ANSWER,    /* to a request of a call or a registration */
	PING_GOOD,
	TIME /* goes by */
};

enum condition {
	ALWAYS,
	UNPINGED,     /* no ping decides about it */
	TTR_OVER,     /* ttr-no-response */
	UNPINGED_TTR, /* both */
	PERIOD_OVER   /* in-service-period */
};

struct move {
	enum agent_service in;
	enum event on;
	enum condition when;
	enum agent_service to;
};

/* behaviour.md 2.5; what is not here changes nothing */
/* clang-format off */
static const struct move moves[] = {
	{ AGENT_IN_SERVICE,     FAULT,     ALWAYS,       AGENT_OUT_OF_SERVICE },
	{ AGENT_OUT_OF_SERVICE, PING_GOOD, TTR_OVER,     AGENT_COMING_BACK    },
	{ AGENT_OUT_OF_SERVICE, TIME,      UNPINGED_TTR, AGENT_COMING_BACK    },
	{ AGENT_OUT_OF_SERVICE, ANSWER,    UNPINGED,     AGENT_COMING_BACK    },  /* 4.6 */
	{ AGENT_COMING_BACK,    FAULT,     ALWAYS,       AGENT_OUT_OF_SERVICE },
	{ AGENT_COMING_BACK,    SILENCE,   ALWAYS,       AGENT_OUT_OF_SERVICE },
	{ AGENT_COMING_BACK,    TIME,      PERIOD_OVER,  AGENT_IN_SERVICE     },
};
/* clang-format on */

static enum agent_service service_of(uint64_t word)
{
	return (enum agent_service)(word & 0xff);
}

static uint64_t since_of(uint64_t word)
{
	return word >> 8;
}

static bool is_over(uint64_t since, uint32_t wait, uint64_t now)
{
	return now >= since + wait;
}

static bool holds(const struct agent *agent, enum condition when,
		  uint64_t since, uint64_t now)
{
	const struct limits *limits = &agent->limits;

	switch (when) {

	case ALWAYS:
		return true;
	case UNPINGED:
		return !GET(limits->ping);
	case TTR_OVER:
		return is_over(since, GET(limits->ttr), now);
	case UNPINGED_TTR:
		return !GET(limits->ping) &&
		       is_over(since, GET(limits->ttr), now);
	case PERIOD_OVER:
		return is_over(since, GET(limits->coming_back), now);
	}

	return false;
}

/* One move by the table. False: none fits, or another thread was faster */
static bool move(struct agent *agent, enum event on, uint64_t now)
{
	uint64_t word = atomic_load(&agent->service);

	for (size_t i = 0; i < sizeof(moves) / sizeof(moves[0]); ++i) {
		const struct move *m = &moves[i];

		if (m->in != service_of(word) || m->on != on ||
		    !holds(agent, m->when, since_of(word), now))
			continue;
		if (m->to == AGENT_COMING_BACK)
			SET(agent->in_row, 0);
		return atomic_compare_exchange_strong(
			&agent->service, &word, now << 8 | (uint64_t)m->to);
	}

	return false;
}

static bool let_time_pass(struct agent *agent, uint64_t now)
{
	bool moved = false;

	while (move(agent, TIME, now))
		moved = true;

	return moved;
}

/* An event, after what time has done, and before what it does at once: S to I
 * without in-service-period */
static bool feed(struct agent *agent, enum event on, uint64_t now)
{
	bool moved = let_time_pass(agent, now);

	if (on != TIME && move(agent, on, now))
		moved = true;

	return let_time_pass(agent, now) || moved;
}

/* --- questions --- */

const char *agent_name(const struct agent *agent)
{
	return agent->entry.name;
}

struct capacity *agent_capacity(const struct agent *agent)
{
	return agent->capacity;
}

int agent_take(struct agent *agent, enum direction d, uint64_t now)
{
	return capacity_take(agent->capacity, d, now, false);
}

void agent_give(struct agent *agent, enum direction d)
{
	capacity_give(agent->capacity, d);
}

static bool is_there(const struct agent *agent)
{
	return GET(agent->limits.enabled) && GET(agent->limits.present);
}

static bool is_refused(const struct agent *agent)
{
	int32_t all = GET(agent->registrations);

	return all > 0 && GET(agent->refused) >= all;
}

enum agent_service agent_service(const struct agent *agent, uint64_t now)
{
	enum agent_service service;

	if (!is_there(agent))
		return AGENT_DISABLED;

	service = service_of(atomic_load(&agent->service));
	if (service != AGENT_IN_SERVICE)
		return service;
	if (capacity_is_exceeded(agent->capacity, INBOUND, now) ||
	    capacity_is_exceeded(agent->capacity, OUTBOUND, now))
		return AGENT_CONSTRAINED;

	return is_refused(agent) ? AGENT_REFUSED : AGENT_IN_SERVICE;
}

bool agent_usable(struct agent *agent, uint64_t now)
{
	if (!is_there(agent))
		return false;

	(void)feed(agent, TIME, now);

	return service_of(atomic_load(&agent->service)) == AGENT_IN_SERVICE &&
	       !capacity_is_exceeded(agent->capacity, OUTBOUND, now);
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

uint64_t agent_out_for(const struct agent *agent, uint64_t now)
{
	uint64_t word = atomic_load(&agent->service);
	uint64_t end = since_of(word) + GET(agent->limits.ttr);

	return service_of(word) == AGENT_OUT_OF_SERVICE && end > now ? end - now
								     : 0;
}

/* --- news --- */

static bool is_out_code(const struct agent *agent, uint16_t code)
{
	return code < CODES &&
	       GET(agent->limits.out_codes[code / 64]) >> code % 64 & 1;
}

static void raise_to(_Atomic uint32_t *high, uint32_t value)
{
	uint32_t old = GET(*high);

	while (old < value && !atomic_compare_exchange_weak(high, &old, value))
		;
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
	SET(agent->in_row, 0);
	SET(agent->heard, now);
	latency_add(agent, latency);
	if (code >= 200 && code < 300)
		ADD(agent->answered, 1);
	if (is_out_code(agent, code))
		return feed(agent, FAULT, now);

	/* These two say that it lives, not that it serves */
	return feed(agent, code == 408 || code == 503 ? TIME : ANSWER, now);
}

bool agent_timed_out(struct agent *agent, uint64_t now)
{
	uint32_t limit = GET(agent->limits.timeouts);
	uint32_t in_row = ADD(agent->in_row, 1) + 1;

	ADD(agent->timeouts, 1);

	return feed(agent, limit && in_row >= limit ? FAULT : SILENCE, now);
}

bool agent_ping_result(struct agent *agent, bool good, uint64_t now)
{
	SET(agent->pinged, now << 1 | good);
	if (!good)
		return feed(agent, FAULT, now);

	SET(agent->in_row, 0);
	SET(agent->heard, now);

	return feed(agent, PING_GOOD, now);
}

bool agent_failed(struct agent *agent, uint64_t now)
{
	return feed(agent, FAULT, now);
}

void agent_targets(struct agent *agent, uint32_t all, uint32_t out)
{
	SET(agent->targets, all);
	SET(agent->targets_out, out);
}

bool agent_registrations(struct agent *agent, int32_t all, int32_t refused)
{
	bool before = is_refused(agent);

	ADD(agent->registrations, all);
	ADD(agent->refused, refused);

	return is_refused(agent) != before;
}

bool agent_news(struct agent *agent, uint64_t now, enum agent_service *was,
		enum agent_service *is)
{
	if (is_there(agent))
		(void)feed(agent, TIME, now);
	*is = agent_service(agent, now);
	if (GET(agent->told) == *is)
		return false;
	*was = (enum agent_service)atomic_exchange(&agent->told, (uint8_t)*is);

	return *was != *is;
}

void agent_reset(struct agent *agent, uint64_t now)
{
	uint64_t word = atomic_load(&agent->service);
	uint64_t past = GET(agent->limits.ttr);

	if (past < GET(agent->limits.coming_back))
		past = GET(agent->limits.coming_back);
	if (service_of(word) != AGENT_IN_SERVICE)
		(void)atomic_compare_exchange_strong(
			&agent->service, &word,
			(now > past ? now - past : 0) << 8 |
				(uint64_t)service_of(word));
	SET(agent->in_row, 0);
	capacity_reset(agent->capacity);
	(void)let_time_pass(agent, now);
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
	struct capacity_report seen;
	uint64_t n = GET(agent->latencies), pinged = GET(agent->pinged);

	memset(out, 0, sizeof(*out));
	capacity_report(agent->capacity, &seen);
	out->hostname = agent->entry.name;
	out->service = agent_service(agent, now);
	for (int d = INBOUND; d <= OUTBOUND; ++d) {
		out->sessions[d] = seen.sessions[d];
		out->high[d] = seen.high[d];
		out->invites[d] = seen.invites[d];
		out->violations[d] = seen.violations[d];
		out->pace[d] =
			capacity_pace(agent->capacity, (enum direction)d, now);
	}
	out->burst = seen.burst;
	out->answered = GET(agent->answered);
	out->timeouts = GET(agent->timeouts);
	out->timeouts_in_row = GET(agent->in_row);
	out->latency_avg = n ? (uint32_t)(GET(agent->latency_sum) / n) : 0;
	out->latency_max = GET(agent->latency_max);
	out->since = since_of(atomic_load(&agent->service));
	out->targets = GET(agent->targets);
	out->targets_out = GET(agent->targets_out);
	out->pinged = pinged >> 1;
	out->ping_good = pinged & 1;
}

static bool has_sessions(const struct agent *agent)
{
	struct capacity_report seen;

	capacity_report(agent->capacity, &seen);

	return seen.sessions[INBOUND] || seen.sessions[OUTBOUND];
}

/* One that is gone is shown until its last session ended */
void agents_walk(struct agents *a, agent_h *h, void *arg)
{
	for (uint32_t i = 0; i < a->n; ++i) {
		struct agent *agent = a->sorted[i];

		if (GET(agent->limits.present) || has_sessions(agent))
			h(agent, arg);
	}
}

struct agent *agents_next(const struct agents *a, const struct agent *agent)
{
	return agent ? agent->next
		     : atomic_load_explicit(&a->first, memory_order_acquire);
}

void agents_expect_pings(struct agents *a)
{
	a->pings = true;
}
