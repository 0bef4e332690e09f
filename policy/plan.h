/*
 * One configuration ready for use: realms, matches, routes, identities
 *
 * Counted atomically and immutable: a call holds the plan it began with. The
 * plan dies with the last call.
 */
#pragma once

#include <stdatomic.h>
#include "store/config.h"
#include "realms/match.h"
#include "policy/identity.h"
#include "policy/route.h"

struct plan {
	atomic_uint refs;
	const struct config *config;
	const struct sip_config *sip; /* of config */
	const struct system_config *system;
	const struct media_manager *media;
	struct realms *realms;
	struct match *match;
	struct routes *routes;
	struct identities *identities;
	/** surrogate-agents whose customer-next-hop only DNS knows, in order: found
	 *  here, so that nobody has to look at all of them while calls go on */
	const struct surrogate_agent **by_name;
	size_t by_name_n;
};

/**
 * Compile a configuration that verify found without ERROR
 *
 * @param planp  Set to the plan; plan_give
 * @param cfg    Configuration; the plan takes a reference
 *
 * @return 0; ENOMEM; EINVAL the configuration cannot be compiled
 */
int plan_alloc(const struct plan **planp, const struct config *cfg);
const struct plan *plan_take(const struct plan *plan);
void plan_give(const struct plan *plan);

/** Has nobody else a reference? Then plan_give frees it, which takes as long as
 *  there are objects */
bool plan_is_last(const struct plan *plan);

/** Does only DNS know the customer-next-hop of this agent of the plan? */
bool plan_is_by_name(const struct plan *plan,
		     const struct surrogate_agent *agent);

/**
 * Where a surrogate-agent registers (behaviour.md 4.1)
 *
 * proxy-name; else the session-agent whose hostname is register-host; else the
 * local-policy for the AoR with realm-id as source-realm; else register-host by
 * DNS in egress-realm-id of sip-config. Times of a policy do not count: a
 * binding outlives a window.
 *
 * @param plan   Plan
 * @param agent  Agent of its configuration
 * @param out    Set; policy is NULL unless a local-policy led there
 *
 * @return 0; ENOENT no egress realm; EINVAL register-host cannot be read
 */
int plan_registrar(const struct plan *plan, const struct surrogate_agent *agent,
		   struct hop *out);
