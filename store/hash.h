/*
 * Keyed hash, and a table that grows a little with each insert
 *
 * The key is drawn once per process, so a stranger cannot choose collisions.
 * Growth moves a few chains with each insert: no insert ever costs O(n).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "store/base.h"

/** Member of whatever stands in a table */
struct entry {
	struct entry *next;
	uint64_t hash;
};

struct table {
	struct entry **slots;
	struct entry **old;           /* being emptied, or NULL */
	size_t size, old_size, moved; /* slots; chains already moved */
	size_t count;
};

/** Is this the one? Asked only when the hashes are equal */
typedef bool(entry_match_h)(const struct entry *e, const void *key);
typedef void(entry_h)(struct entry *e, void *arg);

/** Hash of bytes under the process's key (SipHash-1-3): for tables only */
uint64_t hash_bytes(const void *p, size_t n);

/** Hash of bytes under a key of the caller's (SipHash-2-4); the same on every
 *  machine */
uint64_t hash_keyed(const uint64_t k[2], const void *p, size_t n);

/** Hash of bytes, ASCII letters taken in lower case */
uint64_t hash_nocase(const void *p, size_t n);

/** Join two hashes, order matters; at least one must be a keyed hash already */
uint64_t hash_mix(uint64_t a, uint64_t b);

/** Make an empty table; nothing is allocated before the first insert */
void table_init(struct table *t);

/** Free the slots; entries are not touched */
void table_finish(struct table *t);

/**
 * Insert an entry
 *
 * @return 0; ENOMEM, then nothing was inserted
 */
int table_add(struct table *t, struct entry *e, uint64_t hash);

/** Remove an entry that is in the table; an entry that is not is ignored */
void table_remove(struct table *t, struct entry *e);

/** Have the slot of this hash fetched: somebody looks there soon, and would wait */
void table_expect(const struct table *t, uint64_t hash);

/** Find the first entry with this hash that matches; NULL if there is none */
struct entry *table_find(const struct table *t, uint64_t hash,
			 entry_match_h *match, const void *key);

/**
 * Walk a slice of the table
 *
 * @param t      Table; must not change between slices that shall be complete
 * @param from   Chain to begin with, 0 first
 * @param limit  Stop at the end of the chain that reaches this many entries
 * @param h      Called for each; may remove the entry it is given
 * @param arg    Its argument
 *
 * @return Chain to go on with, or 0 at the end
 */
size_t table_walk(const struct table *t, size_t from, size_t limit, entry_h *h,
		  void *arg);
