/*
 * A plan taken over: AoRs made, told of changes, renumbered, sent away
 */
#pragma once

#include "sbc/herd.h"

/** See surrogates_change */
int muster(struct surrogates *s, const struct plan *now,
	   const struct plan *before);
