/*
 * On what terms connections with session-agents are held
 *
 * reuse-connections and tcp-keepalive of session-agent, tcp-keepalive of
 * sip-interface (configuration.md 2.8, 2.9).
 */
#pragma once

#include "sbc/port.h"

/** port_terms_h with the worker as arg */
void terms_of(const struct port *port, const struct sa *peer,
	      struct connection_terms *out, void *arg);
