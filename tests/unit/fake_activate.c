/*
 * Activations that end as a test says
 */
#include "tests/unit/fake_activate.h"

struct fake_activate fake_activate;

int activation_begin(const struct activation *a)
{
	fake_activate.n++;
	fake_activate.last = *a;
	return fake_activate.err;
}
