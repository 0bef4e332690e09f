/*
 * Which surrogate-agent and which AoR a request belongs to
 *
 * Compiled from a configuration: AoRs are derived from agent and number, so an
 * agent with 100,000 AoRs costs one entry. Rules: behaviour.md 4.2, 5.1, 5.3.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include "store/elements/elements.h"
#include "realms/match.h"
#include "policy/header.h"
#include "policy/message.h"

enum {
	AOR_USER_MAX = 256
}; /* longest user part [bytes] */

/** One AoR: an agent and the step number, 0 .. aor-count - 1 */
struct owner {
	const struct surrogate_agent *agent; /* NULL: no owner */
	uint32_t number;
};

/** What is asked of the registrations, which live right of here. Zero it
 *  first: a member that is NULL is not asked */
struct identity_live {
	bool (*registered)(const struct owner *who, void *arg);
	/** AoR to which the associated URI belongs; 0 or ENOENT */
	int (*associated)(struct owner *who, const struct realm *realm,
			  const struct uri *uri, void *arg);
	void *arg;
	/** Is it an address of the agent's customer-next-hop, which is a name
	 *  that only DNS knows? */
	bool (*next_hop)(const struct surrogate_agent *agent,
			 const struct sa *src, void *arg);
	/** First AoR of who->agent that is registered: number; 0 or ENOENT */
	int (*first)(struct owner *who, void *arg);
	/** The n-th agent whose customer-next-hop DNS gave this address, in this
	 *  realm or a parent of it; NULL at the end */
	const struct surrogate_agent *(*named)(const struct realm *realm,
					       const struct sa *src, uint32_t n,
					       void *arg);
};

struct identities;

/** Realm in which an agent registers, so that its contacts are found there
 *  (plan_registrar); NULL: nowhere */
typedef const struct realm *(
	registrar_realm_h)(const struct surrogate_agent *agent, void *arg);

/** Compile; realms and match must outlive it; h is asked once for each agent.
 *  mem_deref frees. 0; ENOMEM */
int identities_alloc(struct identities **ip, const struct realms *realms,
		     const struct match *match, registrar_realm_h *h,
		     void *arg);

/** Write the n-th user of a template (`bob^^^`, count-start): register-user,
 *  register-contact-user or auth-user. Length; -1 if it does not fit */
int aor_user(char *buf, size_t size, const struct surrogate_agent *agent,
	     const char *template, uint32_t number);
/** User part of the AoR; of Contact (falls back to the AoR's); digest user */
int aor_register_user(char *buf, size_t size, const struct owner *who);
int aor_contact_user(char *buf, size_t size, const struct owner *who);
int aor_auth_user(char *buf, size_t size, const struct owner *who);

/** Find the AoR of an agent with this user part. 0; ENOENT */
int aor_number(uint32_t *number, const struct surrogate_agent *agent,
	       const struct pl *user);

/**
 * Owner of a request outside a dialog (behaviour.md 5.1)
 *
 * @param ids     Compiled identities
 * @param source  Who sent it
 * @param src     Its address
 * @param msg     The request, after edit-inbound
 * @param live    What registrations know; NULL: nothing is registered
 * @param out     Set; agent NULL when there is none
 */
void identity_owner(const struct identities *ids, const struct source *source,
		    const struct sa *src, const struct message *msg,
		    const struct identity_live *live, struct owner *out);

/**
 * AoR whose Contact the Request-URI is: user and host, in the realm of its
 * registration (behaviour.md 5.3). The caller asks whether it is registered.
 *
 * @param realm   Realm the request came in by
 * @param local   Address of the sip-port that got it: Contact hosts left empty
 *
 * @return 0; ENOENT
 */
int identity_by_contact(const struct identities *ids, const struct realm *realm,
			const struct sa *local, const struct uri *ruri,
			struct owner *out);

/** AoR whose user is the called user among agents with this realm-id; several:
 *  the first of the configuration. 0; ENOENT */
int identity_by_called(const struct identities *ids, const struct realm *realm,
		       const struct pl *user, struct owner *out);

/** Told of an agent; true ends the walk */
typedef bool(identity_agent_h)(const struct surrogate_agent *agent, void *arg);

/** Walk the agents whose PBX this source is (behaviour.md 5.1, condition 2: by
 *  source-ip-prefix, else by an address of customer-next-hop), in this realm
 *  or a parent of it. Those that the configuration names come first. live may
 *  be NULL. The agent where h ended the walk; NULL: it did not */
const struct surrogate_agent *identity_agents_walk(
	const struct identities *ids, const struct realm *realm,
	const struct sa *src, const struct identity_live *live,
	identity_agent_h *h, void *arg);

/** The n-th of them; NULL: there are not so many */
const struct surrogate_agent *identity_agent_at(
	const struct identities *ids, const struct realm *realm,
	const struct sa *src, uint32_t n, const struct identity_live *live);

/** Has an agent this realm-id? Of disabled agents, too */
bool identity_lives_in(const struct identities *ids, const struct realm *realm);

/** Does this host stand for a PBX of the realm, or for us there: customer-host or
 *  register-contact-host of an agent that lives in it or in a parent of it, or
 *  register-contact-host of one that registers there? Of disabled agents, too:
 *  their PBXs keep their names */
bool identity_is_host(const struct identities *ids, const struct realm *realm,
		      const struct pl *name);

/** Agents by place in the configuration, disabled ones too; NULL at the end */
const struct surrogate_agent *identity_agent(const struct identities *ids,
					     uint32_t n);
