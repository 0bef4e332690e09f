/*
 * Named objects that come and never go: found by any thread without a lock
 *
 * Names are found in levels of slots: a level that is full gets a larger one
 * before it, and none is ever changed but by filling an empty slot. So one
 * thread may add while others look up.
 */
#pragma once

#include <stdint.h>

struct roster;

/** First member of what is entered; filled by its owner */
struct roster_entry {
	char *name;
	uint64_t hash; /* roster_hash of the name */
};

/** Make an empty one; mem_deref frees it, but not what was entered. 0; ENOMEM */
int roster_alloc(struct roster **rp);

/** Hash of a name, without regard to case */
uint64_t roster_hash(const char *name);

/** Entry of this name, without regard to case; NULL if there is none */
struct roster_entry *roster_find(const struct roster *r, const char *name);

/** Enter an object for good, whose name is not there yet. One thread at a time.
 *  0; ENOMEM */
int roster_add(struct roster *r, struct roster_entry *entry);
