/*
 * One media thread: packets in, packets out
 *
 * Orders come from workers by value, through a ring; news goes back through the
 * worker's mailbox. A flow is a slot of an array; its number carries a
 * generation, so an order for a flow that is gone does nothing. No lock, no
 * allocation, no call into signalling on the path of a packet.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include "store/base.h"
#include "sbc/latch.h"
#include "sbc/mailbox.h"

struct forward;

struct flow_setup {
	int fd[2];           /* RTP and RTCP, bound; handed over */
	struct sa remote[2]; /* RTP and RTCP from SDP; unset: not known yet */
	struct sa peer;      /* signalling peer, for LATCH_PEER_IP */
	uint8_t mask;        /* restriction-mask [bits] */
	uint8_t latch;       /* enum flow_latch */
	uint8_t direction; /* enum sdp_direction of the peer: while it does not
				 send, guard timers rest */
	uint32_t first_wait, later_wait; /* guard timers [ms]; 0: none */
	bool rtcp_counts;                /* hnt-rtcp */
	bool rtcp_blocked;               /* block-rtcp */
	bool raw;            /* not RTP (UDPTL): no header is checked */
	bool mute;           /* what arrives counts, but goes no further */
	uint32_t clock_rate; /* of the timestamps [Hz]; 0: 8000 */
	uint32_t partner;    /* flow that gets what arrives here; 0: none yet */
};

/** Counters of a flow: what came from its peer */
struct flow_report {
	uint32_t flow;
	uint64_t packets, octets, strangers;
	uint32_t lost;
	uint32_t jitter;  /* [us] */
	struct sa remote; /* where it sends to now */
	bool latched;
};

enum flow_news {
	FLOW_LATCHED,
	FLOW_SILENT,   /* a guard timer ended; told once, until a change */
	FLOW_COUNTERS, /* the answer to flow_ask */
	FLOW_CLOSED
};

/** News of a flow, on the worker's thread */
typedef void(flow_h)(uint32_t flow, enum flow_news news,
		     const struct flow_report *report, void *arg);

struct forward_setup {
	uint32_t flows_max;
	struct mailbox *news; /* of the worker */
};

/**
 * Start a media thread
 *
 * One thread gives orders: that of the mailbox. All calls below are its own.
 *
 * @param fp     Set to the thread
 * @param setup  Flows at most (two per stream), and where news goes
 *
 * @return 0; EINVAL flows_max 0 or above 2^20; ENOMEM; errno of epoll, eventfd
 *         or the thread
 */
int forward_open(struct forward **fp, const struct forward_setup *setup);

/** Stop it and wait; all sockets are closed, no news comes any more. NULL is
 *  left alone */
void forward_close(struct forward *f);

/**
 * Open a flow; its number is known at once, the thread takes it up soon
 *
 * @param flowp  Set to its number, never 0
 * @param f      Media thread
 * @param setup  The flow; descriptors are handed over in any case, -1: none
 * @param h      News, or NULL; called on the thread of the mailbox
 * @param arg    Its argument
 *
 * @return 0; ENOSPC no slot; the descriptors are closed on error
 */
int flow_open(uint32_t *flowp, struct forward *f,
	      const struct flow_setup *setup, flow_h *h, void *arg);

/**
 * Change remote, direction, guard timers, partner and flags (fd is ignored)
 *
 * A remote that differs from the one before opens the latch once more, only for
 * it or for another port of the latched address (behaviour.md 3.11). A flow
 * that is gone is left alone.
 */
void flow_change(struct forward *f, uint32_t flow,
		 const struct flow_setup *setup);

/** The peer has got another offer, or made one: until the next flow_change its
 *  packets may come from a new address before we know that (RFC 3264 5.1). What
 *  comes meanwhile waits in the socket and is judged as ever */
void flow_expect(struct forward *f, uint32_t flow);

/** Close; FLOW_CLOSED with the final counters is the last news */
void flow_close(struct forward *f, uint32_t flow);

/** The owner goes: no more news, also not from flow_ask */
void flow_forget(struct forward *f, uint32_t flow);

/** Ask for the counters now: h gets FLOW_COUNTERS once, before FLOW_CLOSED. A
 *  second ask before the first answer takes its place; a flow that is gone or
 *  closing gives none */
void flow_ask(struct forward *f, uint32_t flow, flow_h *h, void *arg);

/** Flows that are open or not yet told to be closed */
uint32_t forward_flows(const struct forward *f);

enum packet_kind {
	PACKET_NONE, /* no RTP, no RTCP */
	PACKET_RTP,
	PACKET_RTCP
};

/**
 * Tell RTP and RTCP by their headers: version 2, length, packet type
 *
 * @param p  Bytes of the datagram
 * @param n  How many
 *
 * @return Kind; RTCP is packet type 200 to 207 (RFC 5761 4)
 *
 * Source: RFC 3550 5.1, 6.4, A.1, A.2
 */
enum packet_kind packet_kind(const uint8_t *p, size_t n);
