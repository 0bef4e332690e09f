/*
 * Targets that get no new calls until a moment
 *
 * For one worker: what a 503 with Retry-After, a ping of one address, or a call
 * to a customer next hop said about a single target (behaviour.md 2.5, 4.9).
 * The same address in two realms is two targets. Beyond TARGETS_SHUNNED nothing
 * is noted any more: a target is then tried and fails again.
 */
#pragma once

#include "realms/realms.h"

enum {
	TARGETS_SHUNNED = 65536
};

struct shun;

/** Make it; mem_deref frees. 0; ENOMEM */
int shun_alloc(struct shun **sp);

/** New calls leave the target alone until this moment [ms, monotonic];
 *  UINT64_MAX: until it is pardoned. The last word counts */
void shun_target(struct shun *s, const struct realm *realm,
		 const struct sa *addr, uint8_t transport, uint64_t until);

/** It may be used again */
void shun_pardon(struct shun *s, const struct realm *realm,
		 const struct sa *addr, uint8_t transport);

/** May it not be used now? */
bool shun_has(struct shun *s, const struct realm *realm, const struct sa *addr,
	      uint8_t transport, uint64_t now);

/** Targets noted, also those whose time is over */
size_t shun_count(const struct shun *s);
