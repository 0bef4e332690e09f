/*
 * Sessions and rates of a session-agent, a realm or a sip-interface
 *
 * One object for each that has limits: what it may take, and what it has taken.
 * Any thread may use it, and none waits for another: each count is a word that
 * changes by compare and exchange. What is over a limit is never taken; of two
 * that come at once where one fits, both may be refused. Limits change by one
 * thread, and each that asks must have ended what it asked at one change before
 * the next one comes. The time is an argument [ms, monotonic]. Rules: behaviour.md 1.5.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include "store/elements/elements.h"
#include "realms/realms.h"

enum direction {
	INBOUND,
	OUTBOUND
};

struct capacity;

/** Make one without limits; mem_deref frees. 0; ENOMEM */
int capacity_alloc(struct capacity **cp);

/** Make room for the limits of a session-agent, so that taking them over cannot
 *  fail. Each time before they are taken over. 0; ENOMEM */
int capacity_prepare_agent(struct capacity *c,
			   const struct session_agent *config);
/** Take over its limits, for which there is room. What is counted stays */
void capacity_of_agent(struct capacity *c, const struct session_agent *config);

/**
 * Take one session: an INVITE that begins a call
 *
 * A limit that is exceeded stops the directions it counts until the value is
 * below it and time-to-resume is over. What is refused is not counted.
 *
 * @param c       Holder of the limits
 * @param d       From the peer, or to it
 * @param forced  Count, and never refuse: an emergency call
 *
 * @return 0; EBUSY a limit is reached
 */
int capacity_take(struct capacity *c, enum direction d, uint64_t now,
		  bool forced);

/** Give one back. One too many is not noticed by the other direction */
void capacity_give(struct capacity *c, enum direction d);

/** Take back a session that was taken and not used after all: it counts in no
 *  rate. Only before the next question to the same holder is answered exactly */
void capacity_undo(struct capacity *c, enum direction d);

/** A request that begins no call (rate-constraints, register rates). 0; EBUSY
 *  over a rate: nothing was counted */
int capacity_request(struct capacity *c, enum rate_method method,
		     enum direction d, uint64_t now, bool forced);

/** An outbound call was answered, or ended without answer (min-asr) */
void capacity_called(struct capacity *c, bool answered);

/** Media of a call join, or change by so much, or leave (max-bandwidth)
 *  [kbit/s]. 0; ENOSPC a rise is beyond the limit: nothing was counted */
int capacity_media(struct capacity *c, int64_t by, bool forced);

/** Forget what stops it: pauses, and the calls of min-asr. What is counted stays */
void capacity_reset(struct capacity *c);

/** Is a limit of this direction exceeded, so that nothing is taken? */
bool capacity_is_exceeded(struct capacity *c, enum direction d, uint64_t now);

/** Rest of time-to-resume [s], rounded up; 0: none is running */
uint32_t capacity_resume(struct capacity *c, enum direction d, uint64_t now);

/** Did use cross cac-alarm-threshold since this was last asked? is: whether a
 *  session limit is used by that share; it stays so until 90 % of the share */
bool capacity_use_changed(struct capacity *c, bool *is);

struct capacity_report {
	uint32_t sessions[2], high[2]; /* by direction */
	uint64_t invites[2], violations[2];
	uint32_t tried, answered; /* of min-asr, since the last pause */
	uint64_t media;           /* [kbit/s] */
	uint32_t burst; /* most INVITEs of both directions in a burst window */
};
/** INVITEs that were taken [1/1000 s] over the sustain window; 30 s where none
 *  is configured */
uint32_t capacity_pace(struct capacity *c, enum direction d, uint64_t now);

/** Copy what was counted */
void capacity_report(struct capacity *c, struct capacity_report *out);

struct capacities; /* of realms and sip-interfaces, by name */

/** Make the table; mem_deref when no thread uses it any more. 0; ENOMEM */
int capacities_alloc(struct capacities **cp);

/** Make room for a configuration, so that capacities_change cannot fail with it.
 *  0; ENOMEM */
int capacities_prepare(struct capacities *all, const struct config *cfg);

/** Take over a configuration: limits of session-constraints, max-bandwidth. What
 *  is gone stays, without limits. One thread at a time. 0; ENOMEM, never after
 *  capacities_prepare */
int capacities_change(struct capacities *all, const struct config *cfg);

/** That of a realm, or of a sip-interface; NULL: it has no limits */
struct capacity *capacity_of_realm(const struct capacities *all,
				   const struct realm_config *realm);
struct capacity *capacity_of_interface(const struct capacities *all,
				       const struct sip_interface *interface);
