/*
 * Loss and jitter of one RTP stream as it is received
 */
#include <string.h>
#include "sbc/reception.h"

/* RFC 3550 A.1; there is no probation: the latch has chosen the source */
enum {
	SEQ_MOD = 1 << 16,
	MAX_DROPOUT = 3000,
	MAX_MISORDER = 100
};

/* A timestamp that leaps further is another clock, not jitter [ticks] */
enum {
	MAX_LEAP = 1 << 19
};

static uint16_t get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static uint32_t get32(const uint8_t *p)
{
	return (uint32_t)get16(p) << 16 | get16(p + 2);
}

static void begin(struct reception *r, uint32_t ssrc, uint16_t seq)
{
	r->before = reception_lost(r);
	r->ssrc = ssrc;
	r->base = seq;
	r->max = seq;
	r->bad = SEQ_MOD + 1; /* so that seq == bad is false */
	r->cycles = 0;
	r->received = 0;
	r->transit = 0;
}

/* Does the packet belong to the stream? RFC 3550 A.1 */
static bool take_sequence(struct reception *r, uint16_t seq)
{
	uint16_t delta = (uint16_t)(seq - r->max);

	if (delta < MAX_DROPOUT) {
		if (seq < r->max)
			r->cycles += SEQ_MOD;
		r->max = seq;
	} else if (delta <= SEQ_MOD - MAX_MISORDER) {
		if (seq != r->bad) {
			r->bad = (seq + 1) & (SEQ_MOD - 1);
			return false;
		}
		/* two in a row: the sender restarted without telling us */
		begin(r, r->ssrc, seq);
	}

	r->received++;
	return true;
}

void reception_take(struct reception *r, const uint8_t header[12],
		    uint32_t arrival)
{
	uint32_t ssrc = get32(header + 8);
	uint32_t transit = arrival - get32(header + 4);
	uint32_t before;
	int32_t d;

	if (!r->begun || ssrc != r->ssrc) {
		begin(r, ssrc, get16(header + 2));
		r->begun = true;
		r->jitter = 0;
	}

	if (!take_sequence(r, get16(header + 2)))
		return;

	/* A.8; the difference is modulo 2^32, as the two clocks are. The first
	 * packet has none before it */
	before = r->transit;
	r->transit = transit;
	if (r->received <= 1)
		return;

	d = (int32_t)(transit - before);
	if (d <= -MAX_LEAP || d >= MAX_LEAP)
		return;
	r->jitter += (uint32_t)(d < 0 ? -d : d) - ((r->jitter + 8) >> 4);
}

uint32_t reception_lost(const struct reception *r)
{
	uint32_t expected;

	if (!r->begun)
		return 0;

	expected = r->cycles + r->max - r->base + 1;
	if (expected < r->received) /* more duplicates than losses */
		return r->before;

	return r->before + (expected - r->received);
}

uint32_t reception_jitter(const struct reception *r, uint32_t rate)
{
	if (!rate)
		return 0;

	return (uint32_t)((uint64_t)(r->jitter >> 4) * 1000000 / rate);
}
