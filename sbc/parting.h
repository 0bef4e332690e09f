/*
 * A 2xx that nobody waits for: its dialog is ACKed and hung up
 *
 * The INVITE was cancelled, or another branch won, or the call is over by now
 * (RFC 3261 9.1, 13.2.2.4; behaviour.md 3.3). What answers a challenge to that
 * BYE is kept, for the call may be gone.
 */
#pragma once

#include "sbc/relay.h"
#include "sbc/sides.h"

struct parting_setup {
	struct list *list; /* of those that part; list_flush frees them */
	const struct plan *plan;
	const struct plan *lent[PLANS_LENT]; /* who is of these, too; or NULL */
	struct sides_who who;
};

/** The call does without this leg, or is over: wait for a 2xx that may come still.
 *  The leg's dialog ends by itself */
void parting_begin(const struct parting_setup *setup, struct leg *leg);

/** The same for the caller's leg: what it asked itself is acknowledged, and no
 *  other branch hung up, for `who` is the called side */
void parting_wait(const struct parting_setup *setup, struct leg *leg);

/** ACK this 2xx to the INVITE of the leg, and send BYE in its dialog */
void parting_hang_up(const struct parting_setup *setup, struct leg *leg,
		     const struct message *answer);
