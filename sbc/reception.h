/*
 * Loss and jitter of one RTP stream as it is received
 *
 * RFC 3550 A.1, A.3 and A.8. A stream that begins anew (another SSRC, a jump of
 * sequence numbers) keeps the loss counted before.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct reception {
	uint32_t ssrc;
	uint32_t cycles;   /* wraps of the sequence number, times 65536 */
	uint32_t base;     /* first sequence number */
	uint32_t bad;      /* next one if the sender started anew */
	uint32_t received; /* since base */
	uint32_t before;   /* lost before the stream began anew */
	uint32_t transit;  /* of the last packet [ticks] */
	uint32_t jitter;   /* times 16 [ticks] */
	uint16_t max;      /* highest sequence number */
	bool begun;
};

/**
 * Take a packet into account
 *
 * @param r        Zeroed before the first packet
 * @param header   The 12 bytes of a valid RTP header
 * @param arrival  Moment of arrival in the units of the timestamp [ticks]
 */
void reception_take(struct reception *r, const uint8_t header[12],
		    uint32_t arrival);

/** Packets that should have come and did not; never negative */
uint32_t reception_lost(const struct reception *r);

/** Jitter at this clock rate [us] */
uint32_t reception_jitter(const struct reception *r, uint32_t rate);
