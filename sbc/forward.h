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
#include "sbc/mailbox.h"

struct forward;

enum flow_latch { LATCH_NONE, LATCH_SDP, LATCH_PEER_IP, LATCH_ANY };

struct flow_setup {
	int fd[2];            /* RTP and RTCP, bound; handed over */
	struct sa remote[2];  /* RTP and RTCP from SDP; unset: not known yet */
	struct sa peer;       /* signalling peer, for LATCH_PEER_IP */
	uint8_t mask;         /* restriction-mask [bits] */
	uint8_t latch;        /* enum flow_latch */
	uint8_t direction;    /* enum sdp_direction of the peer */
	uint32_t first_wait, later_wait; /* guard timers [ms]; 0: none */
	bool rtcp_counts;     /* hnt-rtcp */
	bool rtcp_blocked;    /* block-rtcp */
	bool raw;             /* not RTP (UDPTL): no header is checked */
	uint32_t partner;     /* flow that gets what arrives here; 0: none yet */
};

/** Counters of a flow: what came from its peer */
struct flow_report {
	uint32_t flow;
	uint64_t packets, octets, strangers;
	uint32_t lost;
	uint32_t jitter;    /* [us] */
	struct sa remote;   /* where it sends to now */
	bool latched;
};

enum flow_news { FLOW_LATCHED, FLOW_SILENT, FLOW_CLOSED };

/** News of a flow, on the worker's thread */
typedef void(flow_h)(uint32_t flow, enum flow_news news,
		     const struct flow_report *report, void *arg);

struct forward_setup {
	uint32_t flows_max;
	struct mailbox *news; /* of the worker */
};

/** Start a media thread. 0; errno */
int forward_open(struct forward **fp, const struct forward_setup *setup);
/** Stop it and wait; all sockets are closed */
void forward_close(struct forward *f);

/**
 * Open a flow; its number is known at once, the thread takes it up soon
 *
 * @return 0; ENOSPC no slot; the descriptors are closed on error
 */
int flow_open(uint32_t *flowp, struct forward *f,
	      const struct flow_setup *setup, flow_h *h, void *arg);
/** Change remote, direction, guard timers, partner (fd is ignored). A remote
 *  that differs from the one before opens the latch once more, only for it or
 *  for another port of the latched address (behaviour.md 3.11) */
void flow_change(struct forward *f, uint32_t flow,
		 const struct flow_setup *setup);
/** Close; FLOW_CLOSED with the final counters is the last news. h NULL: none */
void flow_close(struct forward *f, uint32_t flow);
/** The owner goes: no more news */
void flow_forget(struct forward *f, uint32_t flow);
/** Ask for the counters now: they come as FLOW_LATCHED-less news to h once */
void flow_ask(struct forward *f, uint32_t flow, flow_h *h, void *arg);
