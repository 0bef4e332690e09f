/*
 * One AoR that registers for a PBX, a machine
 *
 * The table of behaviour.md 4.3, one row per filled cell. A registration sends,
 * is challenged, and judges the answer by itself.
 */
#pragma once

#include "sbc/machine.h"
#include "sbc/registration.h"

/** Word of acli.md 2.3 */
const char *surrogate_state_name(enum surrogate_state s);
extern const struct machine surrogate_machine;

/** Something happened to it */
void surrogate_feed(struct registration *r, enum surrogate_event ev,
		    const struct message *msg);

/** Set when to try next and watch the end of the binding: after loading */
void surrogate_arm(struct registration *r);

/** Is anything of it under way? */
bool surrogate_is_out(const struct registration *r);
