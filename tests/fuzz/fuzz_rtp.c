/*
 * Admission of packets: header, latch, reception
 *
 * The input is a script: each step is an SDP or a packet from one of a few
 * sources. What must hold after each is computed here a second time, in other
 * words than in latch.c.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "sbc/forward.h"
#include "sbc/reception.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(x)                                                                \
	do {                                                                   \
		if (!(x))                                                      \
			abort();                                               \
	} while (0)

/* Sixteen sources: four addresses, four ports */
static struct sa source(uint8_t n)
{
	struct sa sa;

	sa_init(&sa, AF_INET);
	sa_set_in(&sa, 0x0a000001u + (n >> 2 & 3), (uint16_t)(4000 + (n & 3)));
	return sa;
}

static void check_header(const uint8_t *p, size_t n, enum packet_kind kind)
{
	/* RFC 3550 5.1, 6.4: version and least length, whatever else */
	if (kind != PACKET_NONE)
		MUST(n >= 8 && (p[0] & 0xc0) == 0x80);
	if (kind == PACKET_RTP)
		MUST(n >= 12 + 4u * (p[0] & 15));
	if (kind == PACKET_RTCP)
		MUST(p[1] >= 200 && p[1] <= 207 &&
		     n >= 4u * ((p[2] << 8 | p[3]) + 1u));
}

static void check_verdict(const struct latch *before, const struct latch *after,
			  const struct sa *src, bool valid,
			  enum latch_verdict v)
{
	if (!valid || v != LATCH_MOVED)
		MUST(v != LATCH_MOVED && before->state == after->state);
	if (v == LATCH_MOVED)
		MUST(after->state == LATCH_LOCKED &&
		     sa_cmp(&after->from, src, SA_ALL) &&
		     sa_cmp(&after->to, src, SA_ALL));

	/* behaviour.md 3.11: from a locked latch nobody takes it */
	if (before->state == LATCH_LOCKED) {
		MUST((v == LATCH_FRIEND) == sa_cmp(&before->from, src, SA_ALL));
		MUST(sa_cmp(&after->to, &before->to, SA_ALL));
	}
	if (before->state == LATCH_REOPENED && v != LATCH_STRANGER)
		MUST(sa_cmp(&before->named, src, SA_ADDR) ||
		     sa_cmp(&before->from, src, SA_ADDR));
	if (before->mode == LATCH_NONE && v != LATCH_STRANGER)
		MUST(sa_cmp(&before->named, src, SA_ALL));
	if (before->mode == LATCH_PEER_IP && v == LATCH_MOVED &&
	    before->mask >= 32)
		MUST(sa_cmp(&before->peer, src, SA_ADDR));
	if (v == LATCH_STRANGER)
		MUST(!memcmp(before, after, sizeof(*before)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct reception reception = { 0 };
	struct latch latch, before;
	struct sa sa = source(0);
	uint64_t now = 1000;

	if (size < 2)
		return 0;
	latch_init(&latch, data[0] & 3, data[1] & 127, &sa);
	data += 2;
	size -= 2;

	while (size >= 2) {
		uint8_t what = data[0];
		size_t n = data[1];
		enum packet_kind kind;
		enum latch_verdict v;
		uint8_t *packet;

		data += 2;
		size -= 2;
		now += what >> 5 << 8;
		sa = source(what);
		before = latch;
		if (what & 16) {
			(void)latch_name(&latch, &sa, now);
			MUST(sa_cmp(&latch.named, &sa, SA_ALL));
			continue;
		}

		if (n > size)
			n = size;
		/* of its own, so that a byte too far is seen */
		packet = malloc(n ? n : 1);
		MUST(packet);
		memcpy(packet, data, n);
		kind = packet_kind(packet, n);
		check_header(packet, n, kind);
		v = latch_admit(&latch, &sa, kind == PACKET_RTP, now);
		check_verdict(&before, &latch, &sa, kind == PACKET_RTP, v);
		if (kind == PACKET_RTP && v != LATCH_STRANGER) {
			reception_take(&reception, packet, (uint32_t)now * 8);
			(void)reception_lost(&reception);
			(void)reception_jitter(&reception, 8000);
		}
		free(packet);
		data += n;
		size -= n;
	}

	return 0;
}
