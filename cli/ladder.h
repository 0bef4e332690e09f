/*
 * The messages of a call, both sides, in order of time
 */
#pragma once

#include "cli/session.h"

/** show sessions ID ladder: of a call that goes on, or of one of the last
 *  records. Only what was copied while sipmsg.log was on is known */
void show_ladder(struct session *s, uint64_t id);
