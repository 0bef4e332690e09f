/*
 * A plan taken over: AoRs made, told of changes, renumbered, sent away
 */
#pragma once

#include "sbc/herd.h"

/** See surrogates_change */
int muster(struct surrogates *s, const struct plan *now,
	   const struct plan *before);

/** See surrogates_change_later */
int muster_begin(struct surrogates *s, const struct plan *now,
		 const struct plan *before);

/** One that is under way is done to its end now */
void muster_end(struct surrogates *s);
