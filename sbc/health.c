/*
 * For show: targets with their health, and what else is known of an AoR
 */
#include <errno.h>
#include <string.h>
#include "policy/cause.h"
#include "sbc/clock.h"
#include "sbc/health.h"
#include "sbc/herd.h"
#include "sbc/shun.h"

const char *health_name(enum health h)
{
	switch (h) {

	case HEALTH_GOOD:
		return "good";
	case HEALTH_AVOIDED:
		return "avoided";
	case HEALTH_OUT:
		return "out";
	}
	return "";
}

int health_target_print(struct re_printf *pf, const struct health_target *t)
{
	return re_hprintf(pf, "%J %s", &t->addr,
			  transport_name((enum transport)t->transport));
}

/* What the cache says: who looks asks nobody (acli.md 2.5) */
static void look_up(struct worker *w, const struct hop *hop,
		    struct resolved *out)
{
	const struct resolve_query q = {
		.realm = hop->realm,
		.host = hop->host,
		.port = hop->port,
		.transport = hop->transport,
	};

	if (sa_isset(&hop->addr, SA_ADDR)) {
		out->addr[0] = hop->addr;
		out->transport[0] = hop->transport == TRANSPORT_NONE
					    ? TRANSPORT_UDP
					    : (uint8_t)hop->transport;
		out->n = 1;
	} else if (resolve_look(w->resolver, &q, out)) {
		out->n = 0;
	}
}

void health_of_hop(struct worker *w, const struct hop *hop,
		   struct health_targets *out)
{
	struct resolved found = { .n = 0 };

	look_up(w, hop, &found);
	out->n = found.n;
	for (uint32_t i = 0; i < found.n; i++) {
		const struct sa *addr = &found.addr[i];
		uint8_t transport = found.transport[i];

		out->of[i].addr = *addr;
		out->of[i].transport = transport;
		out->of[i].health =
			shun_has(w->shun, hop->realm, addr, transport,
				 clock_ms())
				? HEALTH_OUT
			: target_is_avoided(w->resolver, addr, transport)
				? HEALTH_AVOIDED
				: HEALTH_GOOD;
	}
}

void health_of_agent(struct worker *w, const struct session_agent *agent,
		     struct health_targets *out)
{
	struct hop hop;

	out->n = 0;
	if (!hop_read(&hop, w->plan->routes, agent->hostname, NULL))
		health_of_hop(w, &hop, out);
}

static void pbx_look(struct worker *w, const struct surrogate_agent *agent,
		     struct health_of_aor *out)
{
	const struct realm *realm =
		realm_named(w->plan->realms, agent->realm_id);
	struct hop hop;

	out->next_hop = agent->customer_next_hop;
	if (!realm || !*out->next_hop ||
	    hop_read(&hop, w->plan->routes, out->next_hop, realm))
		return;
	if (hop.agent)
		out->agent = agents_find(w->agents, hop.agent);
	health_of_hop(w, &hop, &out->pbx);
}

int health_of_aor(struct worker *w, const struct owner *who,
		  struct health_of_aor *out)
{
	const struct registration *r = surrogates_find(w->surrogates, who);
	const struct surrogate_agent *agent;

	memset(out, 0, sizeof(*out));
	if (!r)
		return ENOENT;
	agent = r->flock->agent;
	out->asked = agent->register_expires > r->min_expires
			     ? agent->register_expires
			     : r->min_expires;
	out->nc = r->nc;
	out->phrase = r->code ? cause_phrase(r->code) : NULL;
	if (r->bound)
		out->used = r->target;
	if (r->flock->registry)
		health_of_hop(w, &r->flock->registry->hop, &out->registrar);
	pbx_look(w, agent, out);
	if (herd_is_triggered(herd_of(r)))
		out->active = herd_of(r)->last_active;

	return 0;
}
