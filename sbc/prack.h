/*
 * Reliable 1xx: RSeq and RAck of two legs, repeated until PRACK
 *
 * 100rel is end to end (behaviour.md 3.5): a reliable 1xx of the one leg goes
 * out reliably on the other one, under a number of that leg's own, and its PRACK
 * comes back with the number that the sender of the 1xx gave. One 1xx at a time
 * waits for its PRACK; the next one is taken when it is repeated.
 *
 * What is known of it belongs to the leg that answers the INVITE.
 */
#pragma once

#include "sbc/leg.h"

struct prack;

/** What a 1xx is */
enum prack_verdict {
	PRACK_PLAIN,   /* not reliable */
	PRACK_NEW,     /* reliable, and the next one */
	PRACK_ABSORBED /* repeated, or out of order: nothing happens */
};

/**
 * Look at a 1xx that came for the INVITE of the other leg
 *
 * @param asked  Leg that answers the INVITE
 * @param msg    The 1xx
 *
 * @return Verdict; PRACK_ABSORBED without memory, for it comes again
 *
 * Source: RFC 3262 4
 */
enum prack_verdict prack_take(struct leg *asked, const struct message *msg);

/** Who hears that no PRACK came */
struct prack_user {
	repeat_h *h;
	void *arg;
};

/**
 * Answer the INVITE reliably: with RSeq, and again until PRACK or prack_stop
 *
 * @param leg    Leg with the INVITE; it is `asked`, or its twin of a fork
 * @param asked  Leg whose dialog the 1xx is of; prack_take said PRACK_NEW
 * @param reply  The answer; its headers are those of copy
 * @param copy   The 1xx as it crosses: gets the RSeq
 * @param user   Told when no PRACK came within 64*T1
 *
 * @return 0; ENOMEM; EALREADY the INVITE has its final answer; errno of the port
 *
 * Source: RFC 3262 3
 */
int prack_reply(struct leg *leg, struct leg *asked, struct leg_reply *reply,
		struct message *copy, const struct prack_user *user);

/** Is this PRACK for the 1xx that waits? 0; 400 no RAck that can be read; 481 no */
uint16_t prack_match(const struct leg *asked, const struct message *msg);
/** It went on to the other side: nothing is repeated any more. One that is refused
 *  acknowledges nothing */
void prack_done(struct leg *asked);

/** Put the RAck that the other side expects into a PRACK that crosses. 0; errno */
int prack_edit(const struct leg *asked, struct message *out);

/** Write RAck for the last 1xx: a line with CRLF, for a PRACK of our own. 0;
 *  ENOMEM; ENOENT there was none */
int prack_write(const struct leg *asked, struct mbuf *mb);

/** Does a 2xx have to wait (RFC 3262 3): a 1xx with SDP has no PRACK yet? */
bool prack_blocks(const struct leg *asked);

/** The INVITE has its final answer: nothing is repeated. A PRACK may come still */
void prack_stop(struct leg *asked);

/** Another INVITE: the other side counts anew, this one goes on */
void prack_reset(struct leg *asked);
