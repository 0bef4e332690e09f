/*
 * Requests of our own inside the dialogs of a call
 */
#pragma once

#include "sbc/call.h"

/** RFC 3261 14.1: pause after a 491, longer where we made the Call-ID [ms] */
uint32_t own_glare_pause(const struct leg *leg);

/** Say once more to the peer of a side what the other side said: the session of
 *  before. Best effort: one that is refused or meets another is not repeated */
void own_offer(struct call *c, enum side side);

/**
 * Send a refresh to the peer of a side (RFC 4028 7.4)
 *
 * With UPDATE when the peer allows it, else, and with force-reinvite always,
 * with the SDP that it has already. One that cannot leave now, meets another
 * (491) or fails is repeated while the session lasts.
 */
void own_refresh(struct call *c, enum side side);
