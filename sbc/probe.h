/*
 * One request of the SBC's own to one target, judged by its final answer
 *
 * Outside of any dialog and without recursion: a ping (behaviour.md 2.5). A
 * challenge is answered by row 4a of 6.1, with the same Call-ID and the next
 * CSeq (RFC 3261 22.2).
 */
#pragma once

#include "sbc/names.h"
#include "sbc/prove.h"
#include "sbc/transaction.h"

struct probe;

/** The final answer, NULL: none in time, or a transport error. The probe is the
 *  user's to free, also in here */
typedef void(probe_h)(struct probe *p, const struct message *answer, void *arg);

struct probe_setup {
	struct worker *worker;
	const struct session_agent *agent; /* lives as long as the probe */
	const struct realm *realm;         /* egress; too */
	struct sa addr;
	uint8_t transport;
	uint32_t wait;      /* for the answer [ms] */
	const char *method; /* NULL: the first of ping-method */
};

/**
 * Send it
 *
 * @param pp     Set to the probe; mem_deref ends it without a word
 * @param setup  What and whereto
 * @param h      Told once, never from in here
 *
 * @return 0; EAFNOSUPPORT no sip-port of the realm fits; ENOTCONN and the like
 *         of transaction_send; ENOMEM
 */
int probe_send(struct probe **pp, const struct probe_setup *setup, probe_h *h,
	       void *arg);

/** Did the session-agent give a good answer (behaviour.md 2.5)? code 0: none */
bool probe_is_good(const struct session_agent *agent, uint16_t code);
