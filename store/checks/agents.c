/*
 * Rules for session-agents: limits, twins, and whether they can be reached
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "store/checks/checks.h"

/* --- Limits -------------------------------------------------------------- */

/* Number of a session-agent or of session-constraints, which share the names of
 * their limits; 0: it has no such parameter */
static uint32_t number_of(const struct item *item, const char *name)
{
	const struct field *f;
	struct pl pl;

	pl_set_str(&pl, name);
	f = field_find(item->type, &pl);

	return f ? *(const uint32_t *)field_slot_const(f, item->value) : 0;
}

static void sessions(struct survey *s, const struct item *item)
{
	static const char *const rows[] = { "max-inbound-sessions",
					    "max-outbound-sessions" };
	uint32_t all = number_of(item, "max-sessions");

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct finding_about about = about_item(item);
		uint32_t n = number_of(item, rows[i]);

		if (!all || n <= all)
			continue;
		about.parameter = rows[i];
		about.value = survey_text(s, "%u", n);
		about.hint = survey_text(s, "Lower %s", rows[i]);
		survey_found(s, "VC-0306", &about,
			     "has %s [%u] greater than max-sessions [%u]",
			     rows[i], n, all);
	}
}

static void windows(struct survey *s, const struct item *item)
{
	static const struct {
		const char *rate, *window;
	} rows[] = {
		{ "max-burst-rate", "burst-rate-window" },
		{ "max-inbound-burst-rate", "burst-rate-window" },
		{ "max-outbound-burst-rate", "burst-rate-window" },
		{ "max-sustain-rate", "sustain-rate-window" },
		{ "max-inbound-sustain-rate", "sustain-rate-window" },
		{ "max-outbound-sustain-rate", "sustain-rate-window" },
		{ "max-register-burst-rate", "register-burst-window" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct finding_about about = about_item(item);
		uint32_t rate = number_of(item, rows[i].rate);

		if (!rate || number_of(item, rows[i].window))
			continue;
		about.parameter = rows[i].rate;
		about.value = survey_text(s, "%u", rate);
		about.hint = survey_text(s, "Set %s", rows[i].window);
		survey_found(s, "VC-0307", &about, "has %s [%u] but %s is 0",
			     rows[i].rate, rate, rows[i].window);
	}
}

/* --- Ways out ------------------------------------------------------------ */

static bool carries(const struct session_agent *a, const struct sip_port *port)
{
	uint8_t t = port->transport_protocol;

	switch ((enum transport_method)a->transport_method) {
	case TRANSPORT_METHOD_UDP:
		return t == TRANSPORT_PROTOCOL_UDP;
	case TRANSPORT_METHOD_UDP_TCP: /* the second is its fall-back */
		return t == TRANSPORT_PROTOCOL_UDP ||
		       t == TRANSPORT_PROTOCOL_TCP;
	case TRANSPORT_METHOD_DYNAMIC_TCP:
	case TRANSPORT_METHOD_STATIC_TCP:
		return t == TRANSPORT_PROTOCOL_TCP;
	case TRANSPORT_METHOD_DYNAMIC_TLS:
	case TRANSPORT_METHOD_STATIC_TLS:
		return t == TRANSPORT_PROTOCOL_TLS;
	case TRANSPORT_METHOD_ANY:
		return true;
	}
	return false;
}

static void ways_out(struct survey *s, const struct item *item)
{
	const struct session_agent *a = item->value;
	const char *name = survey_egress(s, NULL, a);
	const struct realm_facts *realm = survey_realm(s, name);
	struct finding_about about = about_item(item);
	bool transport = false, family = false, fixed;
	struct field const *f;
	struct pl p = PL("transport-method");
	struct sa sa;

	if (!a->state || !realm || !realm->interface)
		return;

	fixed = agent_address(a, &sa);
	for (uint32_t i = 0; i < realm->interface->own->sip_ports.n; i++) {
		const struct sip_port *port =
			realm->interface->own->sip_ports.v[i];

		if (!carries(a, port))
			continue;
		transport = true;
		family |= !fixed || sa_af(&port->address) == sa_af(&sa);
	}
	if (!transport) {
		f = field_find(item->type, &p);
		about.field = f;
		about.value = survey_value(s, f, a);
		survey_found(s, "VC-0304", &about,
			     "uses [%s] but realm-config [%s] has no such "
			     "sip-port",
			     about.value, name);
	} else if (!family) {
		about.parameter = "ip-address";
		about.value = survey_address(s, &a->ip_address);
		survey_found(s, "VC-0305", &about,
			     "is [%s] but realm-config [%s] has no such "
			     "sip-port",
			     sa_af(&sa) == AF_INET6 ? "IPv6" : "IPv4", name);
	}
}

static void trusted(struct survey *s, const struct item *item)
{
	const struct session_agent *a = item->value;
	const struct realm_facts *realm = survey_realm(s, a->realm_id);
	struct finding_about about = about_item(item);

	about.parameter = "trust-me";
	about.value = "enabled";
	if (a->trust_me && realm && realm->is_public &&
	    a->transport_method != TRANSPORT_METHOD_DYNAMIC_TLS &&
	    a->transport_method != TRANSPORT_METHOD_STATIC_TLS)
		survey_found(s, "VC-0718", &about,
			     "is trusted without TLS in a public realm");
}

/* --- Twins --------------------------------------------------------------- */

struct twin {
	const struct item *item;
	const char *realm;
	struct sa sa;
};

static int twin_order(const void *pa, const void *pb)
{
	const struct twin *a = pa, *b = pb;
	int n = (int)sa_af(&a->sa) - (int)sa_af(&b->sa);

	if (!n && sa_af(&a->sa) == AF_INET)
		n = memcmp(&a->sa.u.in.sin_addr, &b->sa.u.in.sin_addr, 4);
	else if (!n)
		n = memcmp(&a->sa.u.in6.sin6_addr, &b->sa.u.in6.sin6_addr, 16);
	if (!n)
		n = (int)sa_port(&a->sa) - (int)sa_port(&b->sa);
	if (!n)
		n = strcmp(a->realm, b->realm);
	if (!n)
		n = strcasecmp(((const struct session_agent *)a->item->value)
				       ->hostname,
			       ((const struct session_agent *)b->item->value)
				       ->hostname);
	return n;
}

static bool are_twins(const struct twin *a, const struct twin *b)
{
	return sa_cmp(&a->sa, &b->sa, SA_ALL) && !strcmp(a->realm, b->realm);
}

static void twins(struct survey *s)
{
	struct twin *v = calloc(s->agents_n + 1, sizeof(*v));
	size_t n = 0;

	if (!v) {
		s->err = ENOMEM;
		return;
	}

	for (size_t i = 0; i < s->agents_n; i++) {
		const struct session_agent *a;

		v[n].item = config_item_at(s->cfg, &element_session_agent, i);
		a = v[n].item->value;
		v[n].realm = agent_has_realm(a) ? a->realm_id : "";
		if (agent_address(a, &v[n].sa))
			n++;
	}
	qsort(v, n, sizeof(*v), twin_order);
	for (size_t i = 1; i < n; i++) {
		struct finding_about about = about_item(v[i].item);

		if (!are_twins(&v[i - 1], &v[i]))
			continue;
		about.parameter = "ip-address";
		about.value = survey_address(s, &v[i].sa);
		survey_found(s, "VC-0301", &about,
			     "and session-agent [%s] have the same address "
			     "[%s]",
			     survey_key(s, &element_session_agent,
					v[i - 1].item->value),
			     about.value);
	}
	free(v);
}

void check_agents(struct survey *s)
{
	size_t n = config_count(s->cfg, &element_session_constraints);

	for (size_t i = 0; i < s->agents_n; i++) {
		const struct item *item =
			config_item_at(s->cfg, &element_session_agent, i);

		sessions(s, item);
		windows(s, item);
		ways_out(s, item);
		trusted(s, item);
	}
	for (size_t i = 0; i < n; i++) {
		const struct item *item =
			config_item_at(s->cfg, &element_session_constraints, i);

		sessions(s, item);
		windows(s, item);
	}
	twins(s);
}
