/*
 * May one more request pass: sessions and rates of all who limit it
 *
 * The questions of behaviour.md 1.5 as ingress and hunt ask them.
 */
#pragma once

#include "policy/message.h"
#include "realms/seat.h"
#include "sbc/worker.h"

struct limits_query {
	struct worker *worker;
	const struct sip_interface *interface;
	const struct realm *realm;
	struct agent *agent; /* or NULL */
	enum direction d;
	uint8_t method; /* enum method_id */
	bool forced;    /* an emergency */
};

/**
 * Take what a request outside a dialog needs
 *
 * @param seat         Set for INVITE: seat_give. Else left as it is
 * @param q            Whose limits
 * @param retry_after  Set on EBUSY [s]: rest of time-to-resume, at least 1; 5 to
 *                     10 where there is none
 *
 * @return 0; EBUSY over a limit: counted
 */
int limits_take(struct seat *seat, const struct limits_query *q,
		uint32_t *retry_after);

/** Does option dropResponse of the session-agent or the sip-interface want silence
 *  instead of this answer of ours? agent may be NULL */
bool limits_drop_response(const struct session_agent *agent,
			  const struct sip_interface *interface, uint16_t code);
