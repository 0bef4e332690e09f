/*
 * What the small benchmarks measure with
 */
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/** A benchmark whose preparation fails says so and ends */
static inline void must(int err, const char *what)
{
	if (!err)
		return;
	fprintf(stderr, "%s: %s\n", what, strerror(err));
	exit(1);
}

/** A clock of clock_gettime [s] */
static inline double seconds(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);

	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}
