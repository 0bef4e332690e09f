/*
 * OPTIONS to session-agents and customer next hops
 *
 * Asks each session-agent with ping-method now and then whether it is there, and
 * tells its state what it found (behaviour.md 2.5). Looks at the states of all
 * in slices too, so that what time or a limit changed is said. One per worker.
 */
#pragma once

#include "sbc/worker.h"

struct pings;

/** Begin; nothing is pinged before pings_change. 0; ENOMEM */
int pings_open(struct pings **pp, struct worker *w);
/** End all, without a word; NULL is fine */
void pings_close(struct pings *p);

/** The worker has another plan: a slice of it in each turn of the loop, beginning
 *  now. Who stays keeps his turn. A change that is under way is done to its end
 *  first. Without memory some are not pinged; the log says so */
void pings_change(struct pings *p);

/** Is no change under way? Of NULL there is none */
bool pings_is_settled(const struct pings *p);

/** What one ping found */
struct ping_result {
	int err; /* 0: it was answered; ETIMEDOUT; else nothing was sent */
	uint16_t code; /* of the final answer */
	char reason[64];
	struct sa addr; /* where it went */
	uint8_t transport;
	uint32_t took; /* [ms] */
};
typedef void(ping_h)(const struct ping_result *r, void *arg);

/**
 * Ask one session-agent once, whether it is pinged or not; changes no state
 *
 * @param p         Pings
 * @param hostname  Of a session-agent of the worker's plan
 * @param wait      For the answer [ms]
 * @param h         Told once, also at the end of the pings; maybe from in here
 * @param arg       Its argument
 *
 * @return 0; ENOENT there is no such session-agent; ENOTCONN it has no realm to
 *         be met in; ENOMEM: h is not called then
 */
int pings_try(struct pings *p, const char *hostname, uint32_t wait, ping_h *h,
	      void *arg);

/** Ping this session-agent now, if it is pinged at all */
void pings_ask(struct pings *p, const char *hostname);
