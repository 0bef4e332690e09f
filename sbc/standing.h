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

/** The worker has another plan: a slice of it in each turn of the loop, beginning
 *  now. Connections of session-agents that stay as they were are kept. A change
 *  that is under way is done to its end first. Without memory some are not opened;
 *  the log says so */
void standing_change(struct standing *s);

/** Is no change under way? Of NULL there is none */
bool standing_is_settled(const struct standing *s);

/** A connection was lost: if it is one of these, it is opened again */
void standing_lost(struct standing *s, uint64_t conn);
