/*
 * Longest-prefix tree over addresses and over digits
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include "store/base.h"
#include "store/value.h"

/** Path-compressed binary tree over address bits; IPv4 and IPv6 apart */
struct radix;

/** Make an empty tree; mem_deref frees it. 0; ENOMEM */
int radix_alloc(struct radix **rp);

/** Put a value at a prefix; a prefix that is there already keeps its value.
 *  0; EEXIST; EINVAL no such prefix; ENOMEM */
int radix_put(struct radix *r, const struct prefix *at, void *value);

/** Value at the longest prefix that holds the address; NULL if none does */
void *radix_find(const struct radix *r, const struct sa *sa);

/** Walk all values whose prefix holds the address, longest first, until h
 *  returns true; that value, or NULL */
typedef bool(radix_h)(void *value, void *arg);
void *radix_search(const struct radix *r, const struct sa *sa, radix_h *h,
		   void *arg);
