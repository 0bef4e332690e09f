/*
 * REGISTER of a PBX, answered for the agent that registers instead of it
 *
 * A PBX may believe that it registers: it gets its Contact back and the rest of
 * its agent's expiry. The trunk never sees it (behaviour.md 3.8).
 */
#pragma once

#include "sbc/worker.h"

/**
 * Is it a REGISTER for an AoR that an agent holds, from its customer next hop?
 *
 * The AoR is that of To: user of an AoR; host register-host, customer-host, or an
 * address of the SBC, which a PBX takes for its registrar.
 *
 * @param w       Worker; its plan is asked
 * @param source  Who sent it
 * @param src     From where
 * @param msg     The REGISTER
 * @param out     Set to the AoR
 *
 * @return true; false: it is for somebody else
 */
bool standin_holds(const struct worker *w, const struct source *source,
		   const struct sa *src, const struct message *msg,
		   struct owner *out);

/** Does a 200 to REGISTER have Expires, too (sip-config option add-reg-expires)? */
bool standin_says_expires(const struct sip_config *sip);

/**
 * Append the header lines of the 200: its Contacts with their expiry, and that of
 * the first one as Expires where it is wanted
 *
 * @param mb   Buffer
 * @param w    Worker
 * @param who  AoR
 * @param msg  The REGISTER
 *
 * @return 0; EBADMSG a Contact or Expires cannot be read; ENOMEM
 */
int standin_answer(struct mbuf *mb, const struct worker *w,
		   const struct owner *who, const struct message *msg);
