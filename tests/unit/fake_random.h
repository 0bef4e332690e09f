/*
 * Random bytes that a seed repeats
 */
#pragma once

#include "sbc/random.h"

/** From here on the same bytes follow the same seed */
void fake_random_seed(uint64_t seed);
