/*
 * Activations that end as a test says
 */
#pragma once

#include "cli/activate.h"

extern struct fake_activate {
	unsigned n; /* begun up to now */
	struct activation last;
	int err; /* what activation_begin says */
} fake_activate;
