/*
 * Session-agents at work: in service, sessions, rates, latency; take and give
 *
 * Live state outside of the plan, keyed by hostname; it outlives a change of
 * configuration. Counters are atomic words, any thread may use them; the time
 * is an argument [ms, monotonic]. Rules: behaviour.md 1.5, 2.5.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include "realms/capacity.h"

enum agent_service {
	AGENT_IN_SERVICE,     /* I */
	AGENT_OUT_OF_SERVICE, /* O */
	AGENT_COMING_BACK,    /* S */
	AGENT_CONSTRAINED,    /* C */
	AGENT_DISABLED,       /* D */
	AGENT_REFUSED,        /* R */
};

struct agents;
struct agent; /* one session-agent's live state */

/** What show sipd agents needs; filled in one go */
struct agent_report {
	const char *hostname;
	enum agent_service service;
	uint32_t sessions[2], high[2]; /* by direction */
	uint64_t invites[2];
	uint32_t pace[2], burst; /* INVITEs [1/1000 s]; most in a window */
	uint64_t answered, timeouts, violations[2];
	uint32_t latency_avg, latency_max; /* [ms] */
	uint32_t timeouts_in_row;
	uint64_t since;                /* [ms] of the state */
	uint32_t targets, targets_out; /* of the last ping */
	uint64_t pinged;               /* last ping judged [ms]; 0: none */
	bool ping_good;
};

/** Make the table; agents_close when no thread uses it any more */
int agents_open(struct agents **ap);
void agents_close(struct agents *a);

/** Somebody sends the pings of ping-method and tells agent_ping_result. Before
 *  agents_change; without it session-agents live as if they had no ping */
void agents_expect_pings(struct agents *a);

/** Make room for the session-agents of a configuration, so that agents_change
 *  cannot fail with it. Those of the present one serve on as they are, new ones
 *  are there from now on; agents_change with the present one takes that back.
 *  0; ENOMEM */
int agents_prepare(struct agents *a, const struct config *cfg);

/**
 * Take over a configuration: new session-agents appear, those that are gone
 * stay until their last session ended. One thread at a time.
 *
 * @return 0; ENOMEM, never after agents_prepare
 */
int agents_change(struct agents *a, const struct config *cfg);

/** Live state of a session-agent of the configuration; NULL if unknown */
struct agent *agents_find(const struct agents *a,
			  const struct session_agent *config);

/** Its hostname, as it was written first */
const char *agent_name(const struct agent *agent);
/** Sessions and rates of it */
struct capacity *agent_capacity(const struct agent *agent);

/** May a new request go to it (behaviour.md 2.5)? Also moves O to S to I when
 *  the time for it has come */
bool agent_usable(struct agent *agent, uint64_t now);
enum agent_service agent_service(const struct agent *agent, uint64_t now);
char agent_letter(enum agent_service s); /* 'I', 'O', ... */

/**
 * Take one session in a direction (capacity_take)
 *
 * @return 0; EBUSY a limit is reached (behaviour.md 1.5)
 */
int agent_take(struct agent *agent, enum direction d, uint64_t now);
void agent_give(struct agent *agent, enum direction d);

/** Events of requests sent to it. Each returns true when the session-agent went
 *  out of service or came back by it. */
bool agent_answered(struct agent *agent, uint16_t code, uint32_t latency,
		    uint64_t now);
bool agent_timed_out(struct agent *agent, uint64_t now);
bool agent_ping_result(struct agent *agent, bool good, uint64_t now);
/** A code of out-service-response-codes, or a connection that cannot be opened */
bool agent_failed(struct agent *agent, uint64_t now);

/** What the last ping found, for agent_report: targets in all, those out */
void agent_targets(struct agent *agent, uint32_t all, uint32_t out);

/**
 * Registrations over it changed: so many more (or fewer), so many more refused
 *
 * The session-agent is in state R while there are some and the credentials of
 * all of them are refused. True when that is news.
 */
bool agent_registrations(struct agent *agent, int32_t all, int32_t refused);

/** Was the state another one when this was last asked? Each change is news once,
 *  whoever caused it: time, a ping, a call, a limit */
bool agent_news(struct agent *agent, uint64_t now, enum agent_service *was,
		enum agent_service *is);

/** Time from going out of service until it may be tried again [ms from now] */
uint64_t agent_out_for(const struct agent *agent, uint64_t now);

/** Let no timer keep it from service any more: those of its outage and of its
 *  limits. Out of service with ping it waits for a good answer still */
void agent_reset(struct agent *agent, uint64_t now);

/** Something came from it (keep-alive pings look at this) */
void agent_heard(struct agent *agent, uint64_t now);
uint64_t agent_last_heard(const struct agent *agent);

void agent_report(const struct agent *agent, uint64_t now,
		  struct agent_report *out);
typedef void(agent_h)(struct agent *agent, void *arg);
/** Walk all agents in the order of their names; front thread only */
void agents_walk(struct agents *a, agent_h *h, void *arg);
/** The next session-agent in no order, also of those that are gone; from NULL to
 *  NULL. Any thread */
struct agent *agents_next(const struct agents *a, const struct agent *agent);
