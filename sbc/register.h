/*
 * A REGISTER written, and what its answer says
 */
#pragma once

#include "sbc/registration.h"
#include "sbc/wire.h"

/** What is in a REGISTER beside the AoR's own */
struct register_setup {
	const struct port *port;
	const char *branch, *ruri, *contact;
	const struct mbuf *auth; /* header lines of credentials */
	uint32_t expires;        /* [s] */
	uint32_t cseq;
	uint8_t transport; /* of the target */
};

/** Write it (behaviour.md 4.1). 0; EOVERFLOW; ENOMEM */
int register_write(struct mbuf **mbp, const struct registration *r,
		   const struct register_setup *setup);

/** Is a Contact of an answer our own: same user, host and port? */
bool register_is_own(const struct uri *contact, const struct uri *own);

/**
 * Read what a 200 grants
 *
 * @param granted  Set to the expiry of the own Contact, or of all [s]
 * @param r        Whose contact is looked for; its reason is set on false
 * @param msg      The 200
 * @param asked    Expires of the request [s]
 *
 * @return Whether there is a binding of ours now
 */
bool register_granted(uint32_t *granted, struct registration *r,
		      const struct message *msg, uint32_t asked);

/** Min-Expires of a 423 [s]; 0: none */
uint32_t register_min_expires(const struct message *msg);

/** Retry-After, where the code heeds it (4.4) [s]; 0: none */
uint32_t register_retry_after(const struct message *msg);

/** The best Contact of a 3xx by q that is sip or sips; empty: none */
struct pl register_best_contact(const struct message *msg);

/** Keep all values of a header as one text; NULL: none */
void register_keep(char **dst, const struct message *msg, enum header_id id);
