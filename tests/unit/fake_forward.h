/*
 * A media thread that forwards nothing: flows are remembered, not opened
 */
#pragma once

#include "sbc/forward.h"

/** The setup that a flow had last; NULL when it is gone */
const struct flow_setup *fake_flow(uint32_t flow);
/** Tell FLOW_CLOSED of all that were closed since */
void fake_forward_settle(void);
/** The n-th flow that is open says that its guard timer ended */
void fake_forward_silent(size_t n);
/** Flows that are open; close what is left */
size_t fake_flows(void);
void fake_forward_reset(void);
