/*
 * What one call takes of sip-interface, realm and session-agent together
 *
 * Asked in this order; a refusal gives back what those before had given
 * (behaviour.md 1.5).
 */
#pragma once

#include "realms/agents.h"

enum {
	SEAT_HOLDERS = 3
};

struct seat {
	struct capacity *of[SEAT_HOLDERS]; /* sessions taken; not ours */
	uint8_t n;
	uint8_t d; /* enum direction */
};

struct seat_setup {
	const struct capacities *all;
	const struct sip_interface *interface;
	const struct realm_config *realm;
	struct agent *agent; /* or NULL */
	enum direction d;
	uint64_t now; /* [ms] */
	bool forced;  /* an emergency: count and never refuse */
};

/**
 * Take a session of each that has limits, and of the session-agent
 *
 * @param seat    Zeroed; set: seat_give
 * @param setup   Whose
 * @param resume  Set on EBUSY: rest of time-to-resume [s]; 0: none is running
 *
 * @return 0; EBUSY one of them refuses: nothing is taken
 */
int seat_take(struct seat *seat, const struct seat_setup *setup,
	      uint32_t *resume);

/** Give all back; an empty one is fine */
void seat_give(struct seat *seat);

/** The outbound call of the seat was answered, or ended without (min-asr of each) */
void seat_called(const struct seat *seat, bool answered);

/** A request that begins no call (capacity_request of each). 0; EBUSY */
int seat_request(const struct seat_setup *setup, enum rate_method method,
		 uint32_t *resume);
