/*
 * How often an entry of a realm answered, and when it was refused last
 *
 * For show credentials. Counted in memory by the worker, since the start: a hash
 * of the key stands for it, so that a million entries take little. No disk, no
 * lock.
 */
#pragma once

#include <stdbool.h>
#include "store/credentials.h"

enum {
	USAGE_MOST = 1000000 /* entries; more are not counted */
};

struct usage;

/** Make it; mem_deref frees. 0; ENOMEM */
int usage_alloc(struct usage **up);

/** The entry answered, or was refused, at this wall time [s]. Out of memory it is
 *  not counted; u may be NULL */
void usage_answered(struct usage *u, const struct credential_key *key,
		    uint64_t wall);
void usage_refused(struct usage *u, const struct credential_key *key,
		   uint64_t wall);

struct usage_report {
	uint64_t count;         /* answers */
	uint64_t used, refused; /* last, wall [s]; 0: never */
};

/** Add what is known of it. u may be NULL */
void usage_look(const struct usage *u, const struct credential_key *key,
		struct usage_report *out);
