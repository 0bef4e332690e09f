/*
 * Connections to session-agents that are kept open
 *
 * transport-method StaticTCP: opened when the plan is taken up, and again
 * tcp-reconn-interval after it was lost. A session-agent whose connection cannot
 * be opened is out of service (behaviour.md 2.5).
 */
#pragma once

#include "sbc/worker.h"

struct standing;

/** Begin with none. 0; ENOMEM */
int standing_open(struct standing **sp, struct worker *w);
void standing_close(struct standing *s);

/** The worker has another plan: connections of session-agents that stay as they
 *  were are kept. 0; ENOMEM: some are not opened */
int standing_change(struct standing *s);

/** A connection was lost: if it is one of these, it is opened again */
void standing_lost(struct standing *s, uint64_t conn);
