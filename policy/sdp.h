/*
 * Rewrite addresses and ports in SDP, all else byte by byte
 *
 * RFC 8866, 3264; behaviour.md 3.10. The SBC is the SDP peer of each side: own
 * o= and c=, own ports; ICE, BUNDLE and candidates go; every m= line stays at
 * its place. Reading and writing are two passes over the text, no tree.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include "store/base.h"

enum {
	SDP_STREAMS = 8
};

enum sdp_direction {
	SDP_INACTIVE = 0,
	SDP_SENDONLY = 1,
	SDP_RECVONLY = 2,
	SDP_SENDRECV = 3
};

struct sdp_stream {
	struct pl media, proto; /* "audio", "RTP/AVP" */
	struct pl formats;      /* "0 8 101" */
	struct sa rtp, rtcp;    /* where this side wants packets; port 0: off */
	uint8_t direction;      /* of this side: what it says it does */
	bool relayed;           /* over UDP and on: the SBC carries it */
	bool rtcp_mux;
	bool hold_zero;     /* c=0.0.0.0 */
	char codec[24];     /* name of the first format, for records */
	uint32_t bandwidth; /* of b= [kbit/s]; 0: nothing is said */
};

struct sdp {
	struct sdp_stream streams[SDP_STREAMS];
	uint32_t n;
	uint32_t bandwidth; /* of b= of the session [kbit/s]; 0: none */
	uint64_t hash;      /* of the text less o=: has it changed? */
};

/**
 * Read what the relay needs to know
 *
 * A c= with a name leaves the address unset (sa_isset): relayed, but only
 * latching can tell where to send.
 *
 * @return 0; EBADMSG not SDP; E2BIG more than SDP_STREAMS m= lines
 */
int sdp_read(struct sdp *sdp, const struct pl *text);

/**
 * What the relayed streams of an SDP need [kbit/s]
 *
 * b=AS and b=TIAS of each stream (RFC 8866 5.8, RFC 3890), else what its first
 * codec needs with RTP, UDP and IP at 20 ms; a session's own b= where no stream
 * has one. 0 for streams of which nothing is known.
 */
uint32_t sdp_bandwidth(const struct sdp *sdp);

/** Encoding names that an SDP offers, each once, in their order; static payload
 *  types by the names of RFC 3551 6. At most max, which is what it returns then */
uint32_t sdp_codecs(const struct pl *text, struct pl *names, uint32_t max);

struct sdp_rewrite {
	uint64_t session_id; /* o=, random per call and side */
	uint32_t version;    /* o=, raised when the text changes */
	struct sa addr;      /* c= and o= of ours towards the other side */
	uint16_t rtp[SDP_STREAMS]; /* our ports, 0: stream off */
	uint16_t rtcp[SDP_STREAMS];
	bool strip_mux[SDP_STREAMS]; /* leave a=rtcp-mux out */
	bool anonymous; /* no session name; the user in o= is "-" always */
};

/**
 * Append the rewritten SDP to mb
 *
 * A stream that is not relayed, or has no port of ours, is off; of one over
 * another transport than UDP only the m= line goes on. Hold by 0.0.0.0 becomes
 * a direction.
 *
 * @param mb    Where to
 * @param text  SDP
 * @param sdp   What sdp_read made of this very text
 * @param rw    What is ours
 *
 * @return 0; EINVAL rw->addr is not set; ENOMEM
 */
int sdp_write(struct mbuf *mb, const struct pl *text, const struct sdp *sdp,
	      const struct sdp_rewrite *rw);
