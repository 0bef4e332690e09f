/*
 * Contacts of a 3xx: ours for the caller, a peer's as hops or passed on
 */
#pragma once

#include "policy/message.h"
#include "policy/plan.h"

/** What a 3xx named, kept for the hops that lead there */
struct redirects {
	struct list kept;
};

/** Is the caller answered with a 302 instead of a call: the first hop has the
 *  action redirect, or proxy-mode of session-agent, else sip-interface, says so? */
bool redirect_is_due(const struct route *route,
		     const struct session_agent *agent,
		     const struct sip_interface *interface);

/**
 * Append a Contact line for each hop, the first with the highest q
 *
 * Where policy-attributes say redirect it is the next-hop as configured, else
 * the address of the hop, where that is known.
 *
 * @param ruri  Its user part is that of the Contacts
 *
 * @return 0; ENOMEM
 *
 * Source: RFC 3261 21.3.3, 20.10
 */
int redirect_write(struct mbuf *mb, const struct route *route,
		   const struct uri *ruri);

/** Append Contact lines for a 3xx that is passed on: the users that it names, at
 *  `local`, so that a call there comes back to us. 0; ENOMEM */
int redirect_pass(struct mbuf *mb, const struct message *answer,
		  const struct sa *local);

/** Is this 3xx followed: redirect-action of the hop's session-agent, else of the
 *  sip-interface (behaviour.md 2.4)? */
bool redirect_is_followed(const struct hop *hop, uint16_t code);

/**
 * Make the Contacts of a 3xx hops in order of q
 *
 * They stay in the hop's egress realm. What names us, a session-agent of another
 * realm, or was tried before (RFC 3261 8.1.3.4) is left out. Policy and
 * credentials are those of the hop.
 *
 * @param r       Keeps the texts of the hops; redirects_clear
 * @param route   The hops are put in here, as far as there is room
 * @param at      Place of the first of them
 * @param plan    Plan
 * @param hop     That was redirected
 * @param ruri    Request-URI that it was sent
 * @param answer  The 3xx
 *
 * @return How many hops there are now for it
 */
uint32_t redirect_follow(struct redirects *r, struct route *route, uint32_t at,
			 const struct plan *plan, const struct hop *hop,
			 const struct pl *ruri, const struct message *answer);

/** Give them to another list, which has none */
void redirects_move(struct redirects *to, struct redirects *from);
/** Let go of them; no hop of theirs may be used any more */
void redirects_clear(struct redirects *r);
