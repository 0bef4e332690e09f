/*
 * From whom the packets of a stream may come, and where they go
 *
 * behaviour.md 3.11, as a pure function of SDP, source address and time: no
 * socket and no clock. RTP and RTCP have a latch each.
 *
 * - Without latching (LATCH_NONE) only the address and port of the SDP count.
 * - Else the first valid packet that the restriction admits locks the latch.
 * - An SDP that names another address or port opens it once more, and then only
 *   for the address that it names, or another port of the one that was locked.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include "store/base.h"

enum flow_latch {
	LATCH_NONE,
	LATCH_SDP,
	LATCH_PEER_IP,
	LATCH_ANY
};

enum latch_verdict {
	LATCH_STRANGER, /* drop and count */
	LATCH_FRIEND,   /* relay */
	LATCH_MOVED     /* relay; the latch is locked to this source now */
};

enum latch_state {
	LATCH_OPEN,
	LATCH_LOCKED,
	LATCH_REOPENED
};

struct latch {
	struct sa from;  /* locked source; while re-opened: the one before */
	struct sa to;    /* where to send; unset: nowhere yet */
	struct sa named; /* by the SDP; unset: not known yet */
	struct sa peer;  /* signalling peer, for LATCH_PEER_IP */
	uint64_t since;  /* moment of the re-opening [ms] */
	uint8_t mode;    /* enum flow_latch */
	uint8_t mask;    /* restriction-mask [bits] */
	uint8_t state;   /* enum latch_state */
};

/** Before the first SDP: nobody is admitted but by LATCH_ANY and
 *  LATCH_PEER_IP */
void latch_init(struct latch *l, enum flow_latch mode, uint8_t mask,
		const struct sa *peer);

/**
 * The SDP of the peer names an address
 *
 * One that repeats the last one changes nothing; an unset one neither (a held
 * stream with c=0.0.0.0 comes back with what it had).
 *
 * @param l      Latch
 * @param named  Address and port
 * @param now    [ms, monotonic]
 *
 * @return true if the admitted source or the destination changed
 */
bool latch_name(struct latch *l, const struct sa *named, uint64_t now);

/**
 * A packet came; may it pass?
 *
 * @param l      Latch; locks itself
 * @param src    Source of the packet
 * @param valid  Is it RTP (or RTCP)? What is not never moves a latch
 * @param now    [ms, monotonic]
 *
 * @return Verdict
 */
enum latch_verdict latch_admit(struct latch *l, const struct sa *src,
			       bool valid, uint64_t now);

/** Only one source is admitted, so the kernel may refuse all others */
static inline bool latch_is_locked(const struct latch *l)
{
	return l->state == LATCH_LOCKED;
}

/** Has a packet locked it, not only the SDP? */
static inline bool latch_is_latched(const struct latch *l)
{
	return l->mode != LATCH_NONE && l->state == LATCH_LOCKED;
}

/** Do the leading bits of two addresses agree? The mask 32 means the whole
 *  address, also of IPv6 (configuration.md 2.2) */
bool address_matches(const struct sa *a, const struct sa *b, uint8_t mask);
