/*
 * On what terms connections with session-agents are held
 */
#include "sbc/sources.h"
#include "sbc/terms.h"

/* Requests to the session-agent go to its own address and port */
static void serve(const struct session_agent *agent, const struct sa *peer,
		  struct sa *serves)
{
	if (match_agent_address(agent, serves)) {
		*serves = *peer; /* it is known by name */
		sa_set_port(serves, (uint16_t)agent->port);
	}
	if (!sa_port(serves))
		sa_set_port(serves, 5060);
}

void terms_of(const struct port *port, const struct sa *peer,
	      struct connection_terms *out, void *arg)
{
	const struct worker *w = arg;
	const struct plan *plan = w->plan;
	uint32_t n = port_number(port);
	const struct endpoint *at;
	struct source source;
	uint8_t probes;

	if (!plan || n >= plan->realms->endpoints_n)
		return;
	at = &plan->realms->endpoints[n];
	sources_match(w->sources, plan, at, peer, &source);

	probes = at->interface->tcp_keepalive;
	if (source.agent && source.agent->tcp_keepalive != TCP_KEEPALIVE_NONE)
		probes = source.agent->tcp_keepalive;
	out->probes_set = probes != TCP_KEEPALIVE_NONE;
	out->probes = probes == TCP_KEEPALIVE_ENABLED;
	out->stranger = sources_is_stranger(&source);
	if (!source.agent)
		return;
	out->apart = source.agent->reuse_connections == REUSE_CONNECTIONS_NONE;
	if (!out->apart)
		serve(source.agent, peer, &out->serves);
}
