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

/** The worker has another plan: ping whom it says to ping. Who stays keeps his
 *  turn. 0; ENOMEM: some are not pinged */
int pings_change(struct pings *p);

/** Ping all anew, as after a start: for tests and `reset`. */
void pings_now(struct pings *p);
