/*
 * Match users, hosts and digits as local policies write them
 *
 * The pattern was compiled by store/value; here it is matched, alone or as one
 * of very many in an index. Rules: behaviour.md 2.2.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include "store/value.h"
#include "policy/header.h"

enum {
	PATTERN_TEXT = 256
}; /* longest user or host that is looked at */

/** A URI made ready for many comparisons */
struct pattern_key {
	char user[PATTERN_TEXT]; /* numbers without visual separators */
	char host[PATTERN_TEXT]; /* lower case, no trailing dot */
	size_t user_len, host_len;
	struct sa addr; /* of a numeric host; AF_UNSPEC: a name */
	bool user_cut;  /* user was longer: only its beginning is known */
};

/** Make a URI ready. A tel URI has no host */
void pattern_key_read(struct pattern_key *key, const struct uri *uri);

/** Does the pattern match? */
bool pattern_matches(const struct pattern *p, const struct pattern_key *key);

/** Does the pattern match the URI? length set to behaviour.md 2.2 */
bool pattern_match(const struct pattern *p, const struct uri *uri,
		   uint16_t *length);

/**
 * How good a match with this pattern is: a longer one first, then one without
 * wildcard before one with it (lines 3, 4 and 7 of behaviour.md 2.3)
 */
struct pattern_rank {
	uint16_t length;
	bool is_explicit;
};
struct pattern_rank pattern_rank(const struct pattern *p);

/** Place of the longest matching value of a list; -1 if none matches */
int patterns_match(const struct patterns *list, const struct uri *uri);
int patterns_matches(const struct patterns *list,
		     const struct pattern_key *key);

/**
 * Copy a user part as it is compared: escapes undone, and, when it is a number,
 * without visual separators ("-", ".", "(", ")") and parameters (RFC 3966 5)
 *
 * @return Length written, at most size
 */
size_t digits_copy(char *buf, size_t size, const struct pl *user);

/** Many patterns, each with a value; a question costs the same for ten and for
 *  a hundred thousand of them */
struct pattern_index;

/** Make an empty index; mem_deref frees it and lets go of its values */
int pattern_index_alloc(struct pattern_index **xp);

/**
 * Slot of a pattern, made when it is not there; what is put there must come
 * from mem_zalloc: the index owns it. The pattern must outlive the index.
 *
 * @return 0; ENOMEM
 */
int pattern_index_slot(void ***slotp, struct pattern_index *x,
		       const struct pattern *p);

/** Call h with the value of each pattern that matches, in no order */
typedef void(pattern_h)(void *value, struct pattern_rank rank, void *arg);
void pattern_index_walk(const struct pattern_index *x,
			const struct pattern_key *key, pattern_h *h, void *arg);
