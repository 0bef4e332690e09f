/*
 * Addresses that DNS gives for session-agents and customer next hops, as sources
 *
 * A plan knows the addresses that the configuration names (realms/match). Whom
 * it names by host name only is asked for here, anew every half a minute out of
 * the resolver's cache; while DNS is silent the addresses stay (behaviour.md
 * 1.3, 2.8). One per worker.
 */
#pragma once

#include "sbc/worker.h"

struct sources;

/** Begin; nobody is known before sources_change. 0; ENOMEM */
int sources_open(struct sources **sp, struct worker *w);
void sources_close(struct sources *s);

/** The worker has another plan: a slice of its names in each turn of the loop,
 *  beginning now. What is known of those that stay is not forgotten. A change that
 *  is under way is done to its end first. Without memory some are not asked for;
 *  the log says so */
void sources_change(struct sources *s);

/** Is no change under way? Of NULL there is none */
bool sources_is_settled(const struct sources *s);

/** match_source, and where the configuration names no session-agent with this
 *  address, one that DNS gave it. s may be NULL */
void sources_match(const struct sources *s, const struct plan *plan,
		   const struct endpoint *at, const struct sa *src,
		   struct source *out);

/** Whom the configuration does not know. Without a level of their own (behaviour.md
 *  1.4) all are but session-agents, customer next hops, and realms of trust level
 *  high */
bool sources_is_stranger(const struct source *source);

/** The n-th agent whose customer-next-hop, a name, has this address, in this realm
 *  or a parent of it; NULL: there are not so many. s may be NULL */
const struct surrogate_agent *sources_pbx(const struct sources *s,
					  const struct realm *realm,
					  const struct sa *src, uint32_t n);

/** Is this an address of the customer-next-hop of the agent, which is a name? */
bool sources_has(const struct sources *s, const struct surrogate_agent *agent,
		 const struct sa *src);
