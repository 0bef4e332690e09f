/*
 * Longest-prefix tree over addresses and over digits
 *
 * Two trees of one kind: radix branches on single bits of an address, trie on
 * characters. Both skip what does not branch, so a look-up costs as many steps
 * as there are branches on the way, not as many as there are entries. Both are
 * built once and then only read, by any thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "store/base.h"
#include "store/value.h"

/** Path-compressed binary tree over address bits; IPv4 and IPv6 apart */
struct radix;

/** Make an empty tree; mem_deref frees it, not its values. 0; ENOMEM */
int radix_alloc(struct radix **rp);

/** Put a value at a prefix; a prefix that is there already keeps its value.
 *  0; EEXIST; EINVAL no such prefix; ENOMEM */
int radix_put(struct radix *r, const struct prefix *at, void *value);

/** Value at exactly this prefix; NULL if there is none */
void *radix_at(const struct radix *r, const struct prefix *at);

/** Value at the longest prefix that holds the address; NULL if none does */
void *radix_find(const struct radix *r, const struct sa *sa);

/** Walk all values whose prefix holds the address, longest first, until h
 *  returns true; that value, or NULL */
typedef bool(radix_h)(void *value, void *arg);
void *radix_search(const struct radix *r, const struct sa *sa, radix_h *h,
		   void *arg);

/** Tree over the characters of texts that are prefixes of others */
struct trie;

/** Make an empty tree; mem_deref frees it and lets go of its values. 0; ENOMEM */
int trie_alloc(struct trie **tp);

/**
 * Slot of a text, made when it is not there
 *
 * @param slotp  Set to the slot; it stays where it is as long as the tree. What
 *               is put there must come from mem_zalloc: the tree owns it
 * @param t      Tree
 * @param text   The text; may be empty
 *
 * @return 0; ENOMEM
 */
int trie_slot(void ***slotp, struct trie *t, const struct pl *text);

/** Value at exactly this text; NULL if there is none */
void *trie_at(const struct trie *t, const struct pl *text);

/** Walk the values at all prefixes of the text, shortest first; `length` is
 *  that of the prefix. Ends when h returns true */
typedef bool(trie_h)(void *value, size_t length, void *arg);
void trie_walk(const struct trie *t, const struct pl *text, trie_h *h,
	       void *arg);
