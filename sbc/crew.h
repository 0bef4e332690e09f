/*
 * Which worker a tenant lives on
 *
 * All that belongs to one tenant happens on one worker: the registrations of the
 * surrogate-agents in its realm, and the calls from and to that realm. So no
 * call asks another thread for anything. Whoever is not found in a realm is looked
 * for in its parents (behaviour.md 5.1), so a realm goes with the highest one
 * above it that has surrogate-agents.
 */
#pragma once

#include "sbc/worker.h"

/** No tenant's */
#define CREW_ANY UINT32_MAX

/** Worker of a realm of this plan; CREW_ANY: no surrogate-agent lives there or
 *  above it. realm may be NULL */
uint32_t crew_of_realm(const struct worker *w, const struct plan *plan,
		       const struct realm *realm);

/** Is this the worker of an agent of the plan? */
bool crew_has(const struct worker *w, const struct plan *plan,
	      const struct surrogate_agent *agent);

/** Any worker, always the same one for the same bytes */
uint32_t crew_of_bytes(const struct worker *w, const struct pl *bytes);

/** Is there no other one? */
bool crew_is_alone(const struct worker *w);

/** Is it the one that does what is done once: pings, connections? */
bool crew_is_first(const struct worker *w);

/** Call h with a copy of these bytes on each of the others, soon. Without memory
 *  some do not hear of it */
typedef void(crew_h)(struct worker *w, const void *p);
void crew_tell(const struct worker *w, crew_h *h, const void *p, size_t n);
