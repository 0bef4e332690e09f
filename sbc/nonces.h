/*
 * Nonces to use again, with rising nc
 *
 * Key: target, auth-realm, user; LRU. Each worker has its own, so nc never runs
 * backwards. Rules: behaviour.md 6.4.
 *
 * A target may challenge some methods with 401 and others with 407: a registrar
 * and its proxy. Each header has a nonce of its own then, and the target's habit
 * says which one a method carries. While it is not known, REGISTER and INVITE
 * share what there is.
 */
#pragma once

#include "policy/message.h"
#include "sbc/digest.h"
#include "sbc/port.h"

struct nonces;

struct nonce_key {
	const struct target *target;
	struct pl realm, user;
	bool proxy; /* Proxy-Authorization */
};

/** Headers that a method wants */
enum {
	NONCE_WWW = 1,
	NONCE_PROXY = 2
};

struct nonce_entry {
	struct pl nonce, opaque; /* of the entry, until the next change */
	enum digest_algorithm algorithm;
	enum digest_qop qop;
	bool userhash, has_algorithm, has_opaque;
	char cnonce[33];
	uint32_t nc; /* to be used now: was raised already */
};

/** Make a cache of so many entries; 0: nothing is kept. 0; ENOMEM */
int nonces_open(struct nonces **np, uint32_t size);
/** Forget all */
void nonces_close(struct nonces *n);
/** Another nonce-cache-size: the least recently used go */
void nonces_resize(struct nonces *n, uint32_t size);
/** Forget all; how many there are */
void nonces_clear(struct nonces *n);
size_t nonces_count(const struct nonces *n);

/** Remember a nonce that was accepted; `nc` is the last one used. The same nonce
 *  again only raises nc. 0; ENOMEM; EOVERFLOW too long to be kept */
int nonce_put(struct nonces *n, const struct nonce_key *key,
	      const struct challenge *c, const char cnonce[33], uint32_t nc,
	      uint64_t now);

/** The target takes this header of its auth-realm with this method, or wants the
 *  other one */
void nonce_wanted(struct nonces *n, const struct nonce_key *key,
		  enum method_id method, bool wanted);
/** Headers that the target wants with this method, as bits; 0: not known */
unsigned nonce_wants(struct nonces *n, const struct nonce_key *key,
		     enum method_id method);

/** Nonce to use for this key, nc raised. 0; ENOENT */
int nonce_take(struct nonces *n, const struct nonce_key *key, uint64_t now,
	       struct nonce_entry *out);

/** The entry of this very nonce, also of a target that gets none ahead: a server
 *  that gives one nonce to several requests must never see an nc twice. 0;
 *  ENOENT */
int nonce_take_same(struct nonces *n, const struct nonce_key *key,
		    const struct pl *nonce, uint64_t now,
		    struct nonce_entry *out);

/** The same without a use of it: nc is the last one used. 0; ENOENT */
int nonce_look(struct nonces *n, const struct nonce_key *key,
	       const struct pl *nonce, struct nonce_entry *out);

/** A cached nonce was accepted: the refusals in a row end */
void nonce_worked(struct nonces *n, const struct nonce_key *key);

/** It was challenged again: drop it. After three in a row this target gets none
 *  pre-emptively for 1 h: true when that begins */
bool nonce_refused(struct nonces *n, const struct nonce_key *key, uint64_t now);
/** Forget the nonce of this key */
void nonce_drop(struct nonces *n, const struct nonce_key *key);
/** nextnonce of Authentication-Info (RFC 7616 3.5): nc begins at 1 again */
int nonce_next(struct nonces *n, const struct nonce_key *key,
	       const struct pl *nextnonce);

/** Does the target get none ahead now? */
bool nonces_rest(struct nonces *n, const struct target *target, uint64_t now);

/** auth-realms with which this target is known to challenge; n-th, or ENOENT */
int nonces_realm(struct nonces *n, const struct target *target, uint32_t nth,
		 struct pl *realm);
