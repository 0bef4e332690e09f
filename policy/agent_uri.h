/*
 * The Request-URI as one session-agent wants it: carrier, strict routing
 */
#pragma once

#include "store/elements/session_agent.h"
#include "policy/header.h"

/**
 * Write the carrier of the route into a Request-URI, or the address of the
 * session-agent: req-uri-carrier-mode, loose-routing (configuration.md 2.9)
 *
 * @param out      Set to the Request-URI, NULL where it stays as it is
 * @param ruri     As it would leave
 * @param agent    Session-agent that it goes to
 * @param carrier  Of the policy-attribute; empty: none
 * @param target   Address and port it is sent to
 *
 * @return 0; ENOMEM; EINVAL it cannot be read
 *
 * Source: RFC 4694 (cic), RFC 3261 16.6
 */
int agent_uri(char **out, const struct pl *ruri,
	      const struct session_agent *agent, const char *carrier,
	      const struct sa *target);
