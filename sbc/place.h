/*
 * Step place-call: a call, a pair, or an answer of our own
 *
 * Behaviour.md 3.1, 3.8 and 3.9.
 */
#pragma once

#include "sbc/passage.h"

/** Hand the request to a call or a pair, which own what was taken from here on,
 *  or answer it. A code to refuse it with; 0 */
uint16_t place_request(struct ingress *in);
