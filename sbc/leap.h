/*
 * Watch the wall clock for steps
 *
 * No timer follows the wall clock, so nothing misfires when it is moved; but
 * records, windows of policies and stored expiry do, and somebody should know
 * (acli.md 5.1, clock-step).
 */
#pragma once

#include "sbc/timer.h"

struct leap {
	struct timer timer;
	int64_t offset; /* of wall from monotonic time, when last looked [ms] */
};

/** Look each second, on the wheel of the calling thread */
void leap_begin(struct leap *leap);
void leap_end(struct leap *leap);
