/*
 * Requests of our own inside the dialogs of a call
 */
#pragma once

#include "sbc/call.h"

/**
 * Send a refresh to the peer of a side (RFC 4028 7.4)
 *
 * With UPDATE when the peer allows it, else, and with force-reinvite always,
 * with the SDP that it has already. One that cannot leave now, meets another
 * (491) or fails is repeated while the session lasts.
 */
void own_refresh(struct call *c, enum side side);
