/*
 * Source address to realm and session-agent
 *
 * Rules: behaviour.md 1.3; configuration.md 2.2, 2.9. Part of a plan: immutable
 * once built, read by any thread. It knows the addresses that the configuration
 * names; those that DNS gives for a host name are known right of here.
 */
#pragma once

#include "realms/realms.h"

struct match;

/** Who a source is */
struct source {
	const struct realm *realm;         /* never NULL after match_source */
	const struct session_agent *agent; /* NULL: none */
	bool in_prefix;  /* inside the prefixes of the realm */
	bool next_hop;   /* a customer-next-hop of a surrogate-agent of it */
	bool registered; /* a registered endpoint; match_source leaves it to
			     those who know registrations */
};

/** Compile; mem_deref frees. 0; ENOMEM */
int match_alloc(struct match **mp, const struct realms *realms);

/** Realm of a source behind the sip-interface of the realm `top`: a child that
 *  shares it, or top itself (behaviour.md 1.3) */
const struct realm *match_realm(const struct match *m, const struct realm *top,
				const struct sa *src);

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

/** Session-agent by hostname (host names without case, addresses in any
 *  spelling), enabled or not */
const struct session_agent *match_agent(const struct match *m,
					const struct pl *hostname);

/** Session-agent by address in a realm: that realm first, then realm-id `*`
 *  or empty; realm NULL takes any; port 0 matches any. Disabled ones are left
 *  out */
const struct session_agent *match_agent_at(const struct match *m,
					   const struct realm *realm,
					   const struct sa *addr);

/** The same for a next hop: disabled ones are found too, so that the route is
 *  skipped instead of reaching them as a stranger */
const struct session_agent *match_agent_towards(const struct match *m,
						const struct realm *realm,
						const struct sa *addr);

/** Does this address belong to the side of a realm: of one of its session-agents,
 *  or inside its prefixes, where they do not hold every address? */
bool match_is_side(const struct match *m, const struct realm *realm,
		   const struct sa *addr);

/** May this source start a transaction here? allow-anonymous of the sip-port
 *  (behaviour.md 1.3) */
bool match_allows(const struct endpoint *at, const struct source *source,
		  bool is_register, bool is_registered);

/** Is this peer trusted with identities? trust-mode (RFC 3325). With mode
 *  `registered`, source->registered must have been set */
bool match_trusts(const struct realm *realm, const struct source *source);

/** Does this peer get P-Asserted-Identity? It is trusted, and pai-strip of the
 *  realm does not keep it from those without trust-me */
bool match_tells(const struct realm *realm, const struct source *source);

/** Target address of a session-agent with ip-address (or numeric hostname);
 *  the port is that of the agent. 0; ENOENT it is a name for DNS */
int match_agent_address(const struct session_agent *agent, struct sa *sa);

/** Address of a customer-next-hop: that of the session-agent of this name, or
 *  an address itself. 0; ENOENT it is a name for DNS, or disabled */
int match_next_hop_address(const struct match *m, const char *next_hop,
			   struct sa *sa);

/** Transport that the session-agent's transport-method begins with;
 *  TRANSPORT_NONE: NAPTR records tell */
enum transport match_agent_transport(const struct session_agent *agent);
