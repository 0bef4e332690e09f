/*
 * Media ports of the steering-pools: take the pair free for longest, give it back
 *
 * One object for the process, live state keyed by pool (behaviour.md 3.10). Any
 * thread takes, gives, counts and alerts, and none waits for another; the others
 * are for one thread while nobody does.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include "realms/realms.h"

struct ports;

/** A pair: RTP on the even port, RTCP on the next odd one */
struct port_pair {
	struct sa rtp, rtcp;
	struct pool *pool; /* whose it is; NULL: none */
};

/** Make it, without pools yet: ports_change brings them. 0; ENOMEM */
int ports_open(struct ports **pp);
/** Forget all; pairs that were taken must not be given back any more */
void ports_close(struct ports *p);

/** Make room for the pools of a configuration, so that ports_change cannot fail
 *  with it; ports_change with the former one takes that back. 0; ENOMEM */
int ports_prepare(struct ports *p, const struct config *cfg);

/** Take over a configuration; pairs in use stay until they are given back.
 *  0; ENOMEM, never after ports_prepare */
int ports_change(struct ports *p, const struct config *cfg);

/**
 * Take a pair of a realm's pools: first through all pools in order, then the
 * pair that has been free for longest, and not within 2 s of its release
 *
 * @param p      Ports
 * @param realm  Realm; its own pools or the nearest parent's
 * @param af     AF_INET or AF_INET6
 * @param now    [ms, monotonic]
 * @param out    Set to the pair
 *
 * @return 0; ENOSPC none free; ENOENT the realm has no pool of this family
 */
int ports_take(struct ports *p, const struct realm *realm, int af, uint64_t now,
	       struct port_pair *out);

/** Give a pair back; it comes last. A pair that was bound elsewhere (EADDRINUSE)
 *  is given back like any other */
void ports_give(struct ports *p, const struct port_pair *pair, uint64_t now);

/** Used and free pairs of a realm's pools */
void ports_count(const struct ports *p, const struct realm *realm,
		 uint32_t *used, uint32_t *free);

/** An alarm of the pools with this name is up. 0; ENOMEM */
int ports_alert(struct ports *p, const char *name);

/** Was one up? No more: whoever asks clears it */
bool ports_relieve(struct ports *p, const char *name);
