/*
 * Time moved by hand: the clock of unit tests
 */
#pragma once

#include <stdint.h>

/** Let time pass: monotonic, wall and CPU time alike [ms] */
void fake_clock_advance(uint64_t ms);
/** The thread did nothing for so long of the time that passed [ms] */
void fake_clock_idle(uint64_t ms);
/** Let the wall clock jump, and only it [s] */
void fake_clock_step(int64_t seconds);
