/*
 * Rules for public realms: who may call, and with whose credentials
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "store/checks/checks.h"

/* --- Realms -------------------------------------------------------------- */

static void realm_check(struct survey *s, const struct realm_facts *r)
{
	const struct realm_config *c = r->config;
	struct finding_about about = about_item(r->item);

	about.parameter = "access-control-trust-level";
	if (c->access_control_trust_level == TRUST_LEVEL_HIGH &&
	    (r->is_public || c->addr_prefix.any)) {
		about.value = "high";
		survey_found(s, "VC-0715", &about, "trusts every sender");
	}
	about.parameter = "maximum-signal-threshold";
	about.value = "0";
	if (r->is_public && r->interface &&
	    c->access_control_trust_level <= TRUST_LEVEL_LOW &&
	    !c->invalid_signal_threshold && !c->maximum_signal_threshold &&
	    !c->untrusted_signal_threshold)
		survey_found(s, "VC-0714", &about,
			     "is public without signal thresholds");
}

/* --- Open relays --------------------------------------------------------- */

static bool has_credentials(const struct policy_attribute *a,
			    const struct session_agent *agent)
{
	return *a->auth_user_lookup || (agent && agent->auth_attributes.n);
}

/* Does the policy lead out of the realm with credentials of ours? */
static bool lends(const struct survey *s, const struct local_policy *p,
		  const struct realm_facts *from)
{
	for (uint32_t i = 0; i < p->policy_attributes.n; i++) {
		const struct policy_attribute *a = p->policy_attributes.v[i];
		const struct session_agent *agent =
			survey_agent(s, a->next_hop, a->realm);
		const char *egress = survey_egress(s, a->realm, agent);

		if (a->state && *egress &&
		    strcmp(egress, from->config->identifier) &&
		    has_credentials(a, agent))
			return true;
	}

	return false;
}

/* The first policy of each realm that lends; one walk over all policies */
static const struct local_policy **lenders_make(const struct survey *s)
{
	const struct local_policy **v = calloc(s->realms_n + 1, sizeof(*v));
	struct ways all = survey_ways(s, NULL);

	for (size_t i = 0; v && i < s->ways_n; i++) {
		const struct way *w = &s->ways[i];
		const struct local_policy **slot =
			w->from ? &v[w->from - s->realms] : NULL;

		if (slot && !*slot && lends(s, w->policy, w->from))
			*slot = w->policy;
	}
	/* One of "*" that lends to nobody but this realm is rare: few are
	 * looked at for each realm */
	for (size_t i = 0; v && i < s->realms_n; i++) {
		for (size_t j = 0; j < all.n && j < 256 && !v[i]; j++) {
			if (lends(s, all.v[j].policy, &s->realms[i]))
				v[i] = all.v[j].policy;
		}
	}

	return v;
}

static void port_check(struct survey *s, const struct port_facts *p,
		       const struct local_policy *const *lenders)
{
	const struct realm_facts *r = survey_realm(s, p->interface->realm_id);
	struct finding_about about =
		about_child(p->item, &element_sip_port, p->port);
	const struct local_policy *lender;

	if (!r || !r->is_public || !p->interface->state ||
	    p->port->allow_anonymous != ALLOW_ANONYMOUS_ALL)
		return;

	about.parameter = "allow-anonymous";
	about.value = "all";
	lender = lenders[r - s->realms];
	if (!lender ||
	    r->config->access_control_trust_level != TRUST_LEVEL_NONE) {
		survey_found(s, "VC-0713", &about,
			     "accepts requests from anybody in a public realm");
		return;
	}
	about.severity = SEVERITY_WARNING;
	about.severity_set =
		!option_get(&r->config->options, "accept-open-relay", NULL);
	survey_found(s, "VC-0712", &about,
		     "lets anybody call through local-policy [%s] with our "
		     "credentials",
		     survey_key(s, &element_local_policy, lender));
}

void check_access(struct survey *s)
{
	const struct local_policy **lenders = lenders_make(s);

	if (!lenders) {
		s->err = ENOMEM;
		return;
	}

	for (size_t i = 0; i < s->realms_n; i++)
		realm_check(s, &s->realms[i]);
	for (size_t i = 0; i < s->ports_n; i++)
		port_check(s, &s->ports[i], lenders);
	free(lenders);
}
