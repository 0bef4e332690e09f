/*
 * Send again until stopped
 *
 * A 2xx to INVITE (RFC 3261 13.3.1.4) is repeated by its leg, not by the
 * transaction: from T1, doubling up to T2, for 64*T1.
 */
#pragma once

#include "sbc/port.h"
#include "sbc/timer.h"

struct repeat;

/** Nobody stopped it within 64*T1 */
typedef void(repeat_h)(void *arg);

struct repeat_setup {
	struct port *port;
	struct target to;
	struct mbuf *mb; /* sent already once; a reference is taken */
	uint32_t t1, t2; /* [ms] */
	uint32_t limit;  /* 64*T1 [ms] */
};

/**
 * Begin; mem_deref stops it
 *
 * @return 0; ENOMEM
 */
int repeat_start(struct repeat **rp, const struct repeat_setup *setup,
		 repeat_h *h, void *arg);

/** Send once more now: the request came again */
void repeat_now(struct repeat *r);
