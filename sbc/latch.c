/*
 * From whom the packets of a stream may come, and where they go
 *
 * What a re-opened latch must get right: packets that the peer sent from its
 * old port are still on their way when its new SDP is here. They are relayed,
 * but they do not lock, or the new port would be shut out for ever. A peer
 * behind NAT may name a new port and go on sending from the old one: after
 * SETTLE of that, packets go there again, and the latch stays open.
 */
#include <string.h>
#include <netinet/in.h>
#include "sbc/latch.h"

enum {
	SETTLE = 2000 /* [ms] */
};

static bool is_set(const struct sa *sa)
{
	int af = sa->u.sa.sa_family;

	if (af == AF_INET)
		return sa->u.in.sin_addr.s_addr && sa->u.in.sin_port;

	return af == AF_INET6 && sa->u.in6.sin6_port &&
	       !IN6_IS_ADDR_UNSPECIFIED(&sa->u.in6.sin6_addr);
}

static bool same_address(const struct sa *a, const struct sa *b)
{
	if (a->u.sa.sa_family != b->u.sa.sa_family)
		return false;
	if (a->u.sa.sa_family == AF_INET)
		return a->u.in.sin_addr.s_addr == b->u.in.sin_addr.s_addr;
	if (a->u.sa.sa_family != AF_INET6)
		return false;

	return !memcmp(&a->u.in6.sin6_addr, &b->u.in6.sin6_addr, 16);
}

/* sin_port and sin6_port have one place */
static bool same(const struct sa *a, const struct sa *b)
{
	return a->u.in.sin_port == b->u.in.sin_port && same_address(a, b);
}

bool address_matches(const struct sa *a, const struct sa *b, uint8_t mask)
{
	const uint8_t *p, *q;
	uint8_t bits, rest;

	if (a->u.sa.sa_family != b->u.sa.sa_family)
		return false;

	if (a->u.sa.sa_family == AF_INET) {
		p = (const uint8_t *)&a->u.in.sin_addr;
		q = (const uint8_t *)&b->u.in.sin_addr;
		bits = mask < 32 ? mask : 32;
	} else if (a->u.sa.sa_family == AF_INET6) {
		p = (const uint8_t *)&a->u.in6.sin6_addr;
		q = (const uint8_t *)&b->u.in6.sin6_addr;
		bits = mask == 32 || mask > 128 ? 128 : mask;
	} else {
		return false;
	}

	if (memcmp(p, q, bits / 8))
		return false;

	rest = bits % 8;
	return !rest || (p[bits / 8] ^ q[bits / 8]) >> (8 - rest) == 0;
}

/* restricted-latching: none, sdp, peer-ip */
static bool is_allowed(const struct latch *l, const struct sa *src)
{
	switch ((enum flow_latch)l->mode) {
	case LATCH_NONE:
		return false;
	case LATCH_SDP:
		return address_matches(&l->named, src, l->mask);
	case LATCH_PEER_IP:
		return address_matches(&l->peer, src, l->mask);
	case LATCH_ANY:
		return true;
	}

	return false;
}

static enum latch_verdict lock_to(struct latch *l, const struct sa *src)
{
	l->from = *src;
	l->to = *src;
	l->state = LATCH_LOCKED;

	return LATCH_MOVED;
}

static enum latch_verdict admit_reopened(struct latch *l, const struct sa *src,
					 bool valid, uint64_t now)
{
	if (same(src, &l->from) && !same(src, &l->named)) {
		if (valid && now - l->since >= SETTLE)
			l->to = l->from;
		return LATCH_FRIEND;
	}

	if (!valid || !is_allowed(l, src))
		return LATCH_STRANGER;
	if (!same_address(src, &l->named) && !same_address(src, &l->from))
		return LATCH_STRANGER;

	return lock_to(l, src);
}

void latch_init(struct latch *l, enum flow_latch mode, uint8_t mask,
		const struct sa *peer)
{
	memset(l, 0, sizeof(*l));
	l->mode = mode;
	l->mask = mask;
	l->peer = *peer;
}

bool latch_name(struct latch *l, const struct sa *named, uint64_t now)
{
	if (!is_set(named) || same(named, &l->named))
		return false;

	l->named = *named;
	l->to = *named;

	if (l->mode == LATCH_NONE) {
		l->from = *named;
		l->state = LATCH_LOCKED;
	} else if (l->state != LATCH_OPEN) {
		l->state = LATCH_REOPENED;
		l->since = now;
	}

	return true;
}

enum latch_verdict latch_admit(struct latch *l, const struct sa *src,
			       bool valid, uint64_t now)
{
	switch ((enum latch_state)l->state) {
	case LATCH_LOCKED:
		return same(src, &l->from) ? LATCH_FRIEND : LATCH_STRANGER;
	case LATCH_REOPENED:
		return admit_reopened(l, src, valid, now);
	case LATCH_OPEN:
		if (valid && is_allowed(l, src))
			return lock_to(l, src);
		break;
	}

	return LATCH_STRANGER;
}
