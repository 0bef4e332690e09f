/*
 * Source address to realm and session-agent
 *
 * Rules: behaviour.md 1.3; configuration.md 2.2, 2.9.
 */
#pragma once

#include "realms/realms.h"

struct match;

/** Who a source is */
struct source {
	const struct realm *realm;         /* never NULL after match_source */
	const struct session_agent *agent; /* NULL: none */
	bool in_prefix;   /* inside the prefixes of the realm */
	bool next_hop;    /* a customer-next-hop of a surrogate-agent of it */
};

/** Compile; mem_deref frees. 0; ENOMEM */
int match_alloc(struct match **mp, const struct realms *realms);

/**
 * Name a source
 *
 * @param m     Compiled matches
 * @param at    Endpoint that received the message
 * @param src   Source address and port
 * @param out   Set
 */
void match_source(const struct match *m, const struct endpoint *at,
		  const struct sa *src, struct source *out);

/** Session-agent by hostname (host names without case), enabled or not */
const struct session_agent *match_agent(const struct match *m,
					const struct pl *hostname);

/** Session-agent by address in a realm: that realm first, then realm-id `*`
 *  or empty; port 0 matches any. Disabled ones are left out */
const struct session_agent *match_agent_at(const struct match *m,
					   const struct realm *realm,
					   const struct sa *addr);

/** May this source start a transaction here? allow-anonymous of the sip-port
 *  (behaviour.md 1.3) */
bool match_allows(const struct endpoint *at, const struct source *source,
		  bool is_register, bool is_registered);

/** Is this peer trusted with identities? trust-mode (RFC 3325) */
bool match_trusts(const struct realm *realm, const struct source *source);

/** Target address of a session-agent with ip-address (or numeric hostname);
 *  the port is that of the agent. 0; ENOENT it is a name for DNS */
int match_agent_address(const struct session_agent *agent, struct sa *sa);

/** Transport that the session-agent's transport-method begins with */
enum transport match_agent_transport(const struct session_agent *agent);
