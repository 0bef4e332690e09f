/*
 * Peers that say anything at any moment, out of a seed
 *
 * They know SIP well enough to get far: they answer what they hear, acknowledge,
 * go on in their dialogs, and now and then do what nobody should. Messages are
 * lost, doubled and late. The core is that of tests/unit/core_fixture.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/** Configure the core for this seed; then core_start, then storm_begin */
void storm_configure(uint64_t seed);
void storm_begin(void);
/** So many things happen */
void storm_rage(unsigned steps);
/** Everybody is silent from now on: the core hears nothing for so long [ms] */
void storm_calm(uint64_t ms);
/** What has not ended in a silence longer than any timer; NULL: nothing waits */
const char *storm_hangs(void);
/** Has a send failed, so that a message may be missing? */
bool storm_is_lossy(void);
void storm_end(void);
