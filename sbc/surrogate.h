/*
 * One AoR that registers for a PBX, a machine
 *
 * The table of behaviour.md 4.3, one row per filled cell.
 */
#pragma once

#include "policy/plan.h"
#include "sbc/machine.h"
#include "sbc/prove.h"
#include "sbc/timer.h"
#include "sbc/transaction.h"

enum surrogate_state {
	SUR_DISABLED,
	SUR_WAITING,
	SUR_REGISTERING,
	SUR_REGISTERED,
	SUR_REFRESHING, /* shown as registered */
	SUR_BACKOFF,
	SUR_REFUSED,
	SUR_IDLE,
	SUR_SILENT,
	SUR_LEAVING,
	SUR_GIVEN_UP,
	SUR_STATES
};

/** Word of acli.md 2.3 */
const char *surrogate_state_name(enum surrogate_state s);
extern const struct machine surrogate_machine;
