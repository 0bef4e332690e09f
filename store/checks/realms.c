/*
 * Rules for realms, interfaces, ports and the system as a whole
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "store/checks/checks.h"
#include "store/log.h"

/* --- Circles ------------------------------------------------------------- */

static const struct realm_facts *next_realm(const struct survey *s,
					    const struct realm_facts *r,
					    bool parents)
{
	return parents ? r->named : survey_realm(s, r->config->dns_realm);
}

/* "a b a"; a long one is cut */
static void circle_found(struct survey *s, const struct realm_facts *first,
			 bool parents)
{
	const char *p = parents ? "parent-realm" : "dns-realm";
	const struct realm_facts *r = next_realm(s, first, parents);
	struct finding_about about = about_item(first->item);
	const char *text = first->config->identifier;
	unsigned shown = 0;

	about.parameter = p;
	about.value = r->config->identifier;
	about.severity = SEVERITY_WARNING;
	about.severity_set = parents && r == first;
	for (; r != first && shown < 8; r = next_realm(s, r, parents), shown++)
		text = survey_text(s, "%s %s", text, r->config->identifier);
	survey_found(s, "VC-0201", &about, "has %s in a circle [%s%s %s]", p,
		     text, r == first ? "" : " ...", first->config->identifier);
}

/* Each realm is walked from once: seen holds the walk that came first */
static void circles(struct survey *s, bool parents)
{
	size_t *seen = calloc(s->realms_n + 1, sizeof(*seen));

	if (!seen) {
		s->err = ENOMEM;
		return;
	}

	for (size_t i = 0; i < s->realms_n; i++) {
		const struct realm_facts *r = &s->realms[i];

		while (r && !seen[r - s->realms]) {
			seen[r - s->realms] = i + 1;
			r = next_realm(s, r, parents);
		}
		if (r && seen[r - s->realms] == i + 1)
			circle_found(s, r, parents);
	}
	free(seen);
}

/* --- Realms -------------------------------------------------------------- */

static bool serves_nat(const struct realm_facts *r)
{
	return r->own && r->own->nat_traversal != NAT_TRAVERSAL_NONE;
}

static void realm_check(struct survey *s, const struct realm_facts *r)
{
	struct finding_about about = about_item(r->item);

	if (!r->interface && !r->below)
		survey_found(s, "VC-0203", &about, "has no sip-interface");
	if (r->interface && !r->pools && s->media->state)
		survey_found(s, "VC-0204", &about, "has no steering-pool");
	about.parameter = "symmetric-latching";
	about.value = "disabled";
	if (serves_nat(r) && !r->config->symmetric_latching)
		survey_found(s, "VC-0613", &about,
			     "serves endpoints behind NAT without "
			     "symmetric-latching");
}

/* --- Prefixes of siblings ------------------------------------------------ */

/* A range of addresses of a realm that has no sip-interface of its own */
struct range {
	const struct realm_facts *realm;
	const struct prefix *prefix;
	uint8_t first[16], last[16];
	int af;
};

static void range_set(struct range *r, const struct realm_facts *realm,
		      const struct prefix *p)
{
	size_t size = sa_af(&p->addr) == AF_INET6 ? 16 : 4;

	memset(r, 0, sizeof(*r));
	r->realm = realm;
	r->prefix = p;
	r->af = p->any ? AF_UNSPEC : sa_af(&p->addr);
	if (p->any)
		return;

	memcpy(r->first,
	       size == 16 ? (const void *)&p->addr.u.in6.sin6_addr
			  : (const void *)&p->addr.u.in.sin_addr,
	       size);
	for (size_t bit = p->bits; bit < size * 8; bit++)
		r->first[bit / 8] &= (uint8_t) ~(0x80 >> bit % 8);
	memcpy(r->last, r->first, size);
	for (size_t bit = p->bits; bit < size * 8; bit++)
		r->last[bit / 8] |= (uint8_t)(0x80 >> bit % 8);
}

/* By parent, then wider before narrower */
static int range_order(const void *pa, const void *pb)
{
	const struct range *a = pa, *b = pb;
	int n;

	if (a->realm->parent != b->realm->parent)
		return a->realm->parent < b->realm->parent ? -1 : 1;
	if (a->af != b->af)
		return a->af < b->af ? -1 : 1;
	n = memcmp(a->first, b->first, sizeof(a->first));
	if (!n)
		n = memcmp(b->last, a->last, sizeof(a->last));
	if (!n)
		n = a->realm < b->realm ? -1 : a->realm > b->realm;
	return n;
}

static void range_found(struct survey *s, const struct range *r,
			const struct range *around)
{
	struct finding_about about = about_item(r->realm->item);
	char *text = NULL;

	if (r->prefix->any)
		(void)str_dup(&text, "0.0.0.0");
	else if (re_sdprintf(&text, "%j/%u", &r->prefix->addr, r->prefix->bits))
		text = NULL;
	about.parameter = "addr-prefix";
	about.value = text;
	survey_found(s, "VC-0205", &about,
		     "and realm-config [%s] overlap in addr-prefix [%s]",
		     around->realm->config->identifier, text ? text : "");
	mem_deref(text);
}

/* Prefixes lie apart or inside each other: a stack holds those around. A realm
 * of every address is told apart by what the others name, unless they too
 * name nothing. */
static int ranges_sweep(struct survey *s, const struct range *v, size_t n)
{
	const struct range **around = calloc(n + 1, sizeof(*around));
	size_t depth = 0;

	if (!around)
		return ENOMEM;

	for (size_t i = 0; i < n; i++) {
		const struct range *r = &v[i], *up = NULL;

		while (depth) {
			up = around[depth - 1];
			if (up->realm->parent == r->realm->parent &&
			    up->af == r->af &&
			    memcmp(up->last, r->last, sizeof(r->last)) >= 0)
				break;
			up = NULL;
			depth--;
		}
		if (up && up->realm != r->realm)
			range_found(s, r, up);
		around[depth++] = r;
	}
	free(around);
	return 0;
}

static void siblings(struct survey *s)
{
	struct range *v;
	size_t room = 0, n = 0;

	for (size_t i = 0; i < s->realms_n; i++)
		room += 1 + s->realms[i].config->additional_prefixes.n;
	v = calloc(room + 1, sizeof(*v));
	if (!v) {
		s->err = ENOMEM;
		return;
	}

	for (size_t i = 0; i < s->realms_n; i++) {
		const struct realm_facts *r = &s->realms[i];
		const struct prefixes *more = &r->config->additional_prefixes;

		if (r->own || !r->interface)
			continue;
		if (r->config->addr_prefix.any ||
		    sa_af(&r->config->addr_prefix.addr) != AF_UNSPEC)
			range_set(&v[n++], r, &r->config->addr_prefix);
		for (uint32_t j = 0; j < more->n; j++)
			range_set(&v[n++], r, &more->v[j]);
	}
	qsort(v, n, sizeof(*v), range_order);
	if (!s->err)
		s->err = ranges_sweep(s, v, n);
	free(v);
}

/* --- Interfaces and ports ------------------------------------------------ */

static void interfaces(struct survey *s)
{
	size_t n = config_count(s->cfg, &element_sip_interface);
	bool enabled = false;

	for (size_t i = 0; i < n; i++) {
		const struct item *item =
			config_item_at(s->cfg, &element_sip_interface, i);
		const struct sip_interface *iface = item->value;
		struct finding_about about = about_item(item);
		bool has401 = codes_have(&iface->stop_recurse, 401);
		bool has407 = codes_have(&iface->stop_recurse, 407);

		enabled |= iface->state;
		if (!iface->sip_ports.n)
			survey_found(s, "VC-0206", &about, "has no sip-port");
		about.parameter = "registration-caching";
		about.value = "enabled";
		if (iface->registration_caching && !*s->sip->registrar_domain)
			survey_found(s, "VC-0211", &about,
				     "caches registrations but sip-config has "
				     "no registrar-domain");
		about.parameter = "stop-recurse";
		about.value = NULL;
		if (!has401 || !has407)
			survey_found(s, "VC-0330", &about,
				     "does not stop recursion on [%s]",
				     has401   ? "407"
				     : has407 ? "401"
					      : "401 407");
	}
	if (!enabled) {
		const struct finding_about about = { 0 };

		survey_found(s, "VC-0116", &about,
			     "The configuration has no enabled sip-interface");
	}
}

static bool is_udp(const struct port_facts *p)
{
	return p->port->transport_protocol == TRANSPORT_PROTOCOL_UDP;
}

/* By port and UDP or not; then wildcards, then addresses, then order */
static int clash_order(const void *pa, const void *pb)
{
	const struct port_facts *a = *(const struct port_facts *const *)pa;
	const struct port_facts *b = *(const struct port_facts *const *)pb;
	int n = (int)a->port->port - (int)b->port->port;

	if (!n)
		n = (int)is_udp(b) - (int)is_udp(a);
	if (!n)
		n = (int)b->wildcard - (int)a->wildcard;
	if (!n && !a->wildcard && !sa_cmp(&a->local, &b->local, SA_ADDR)) {
		if (sa_af(&a->local) != sa_af(&b->local))
			n = sa_af(&a->local) < sa_af(&b->local) ? -1 : 1;
		else if (sa_af(&a->local) == AF_INET)
			n = sa_in(&a->local) < sa_in(&b->local) ? -1 : 1;
		else
			n = memcmp(&a->local.u.in6.sin6_addr,
				   &b->local.u.in6.sin6_addr, 16);
	}
	if (!n)
		n = a < b ? -1 : a > b;
	return n;
}

static void clash_found(struct survey *s, const struct port_facts *a,
			const struct port_facts *b)
{
	/* The later one is wrong */
	const struct port_facts *p = a < b ? b : a, *other = a < b ? a : b;
	struct finding_about about =
		about_child(p->item, &element_sip_port, p->port);
	const char *key = survey_key(s, &element_sip_port, other->port);
	const char *in =
		survey_key(s, &element_sip_interface, other->interface);

	about.value = key;
	if (p->port->transport_protocol == other->port->transport_protocol)
		survey_found(s, "VC-0207", &about,
			     "clashes with sip-port [%s] from sip-interface "
			     "[%s]",
			     key, in);
	else
		survey_found(s, "VC-0219", &about,
			     "uses [%s], as does sip-port [%s] from "
			     "sip-interface [%s]",
			     survey_address(s, &p->local), key, in);
}

static void clashes(struct survey *s)
{
	const struct port_facts **v = calloc(s->ports_n + 1, sizeof(*v));
	const struct port_facts *first = NULL;

	if (!v) {
		s->err = ENOMEM;
		return;
	}

	for (size_t i = 0; i < s->ports_n; i++)
		v[i] = &s->ports[i];
	qsort(v, s->ports_n, sizeof(*v), clash_order);
	for (size_t i = 0; i < s->ports_n; i++) {
		if (!i || v[i]->port->port != first->port->port ||
		    is_udp(v[i]) != is_udp(first)) {
			first = v[i];
			continue;
		}
		if (first->wildcard)
			clash_found(s, v[i], first);
		else if (sa_cmp(&v[i]->local, &v[i - 1]->local, SA_ADDR))
			clash_found(s, v[i], v[i - 1]);
	}
	free(v);
}

/* --- Single elements ----------------------------------------------------- */

static void sip_config(struct survey *s)
{
	const struct sip_config *c = s->sip;
	struct finding_about about =
		about_item(config_item_at(s->cfg, &element_sip_config, 0));
	const struct realm_facts *home = survey_realm(s, c->home_realm_id);

	if (!c->state)
		survey_found(s, "VC-0213", &about,
			     "is disabled, no SIP is served");
	about.parameter = "home-realm-id";
	about.value = c->home_realm_id;
	if (home && !home->interface)
		survey_found(s, "VC-0214", &about,
			     "has home-realm-id [%s] without sip-interface",
			     c->home_realm_id);
	about.parameter = "init-timer";
	about.value = survey_text(s, "%u", c->init_timer);
	if (c->init_timer > c->max_timer)
		survey_found(s, "VC-0215", &about,
			     "has init-timer [%u] greater than max-timer [%u]",
			     c->init_timer, c->max_timer);
	about.parameter = "registration-rate";
	about.value = "0";
	if (!c->registration_rate)
		survey_found(s, "VC-0217", &about,
			     "has registration-rate [0], registrations are not "
			     "paced");
}

static void permanent(struct survey *s, struct finding_about *about,
		      const char *p, const char *value)
{
	about->parameter = p;
	about->value = value;
	survey_found(s, "VC-0228", about, "has %s [%s] permanently", p, value);
}

/* metrics-address listens on TCP: the sip-ports there are in its way */
static void metrics(struct survey *s, const struct sa *sa,
		    struct finding_about *about)
{
	for (size_t i = 0; i < s->ports_n; i++) {
		const struct port_facts *p = &s->ports[i];

		if (is_udp(p) || p->port->port != sa_port(sa) ||
		    !(p->wildcard || sa_is_any(sa) ||
		      sa_cmp(&p->local, sa, SA_ADDR)))
			continue;
		about->parameter = "metrics-address";
		about->value = survey_address(s, sa);
		survey_found(s, "VC-0219", about,
			     "uses [%s], as does sip-port [%s] from "
			     "sip-interface [%s]",
			     about->value,
			     survey_key(s, &element_sip_port, p->port),
			     p->interface->realm_id);
		return;
	}
}

static void system_check(struct survey *s)
{
	const struct item *item =
		config_item_at(s->cfg, &element_system_config, 0);
	const struct system_config *c = item->value;
	struct finding_about about = about_item(item);

	if (sa_isset(&c->metrics_address, SA_ADDR))
		metrics(s, &c->metrics_address, &about);
	about.parameter = "console-timeout";
	about.value = "0";
	if (!c->console_timeout)
		survey_found(s, "VC-0225", &about,
			     "lets idle connections live for ever");
	if (c->process_log_level >= LEVEL_DEBUG)
		permanent(s, &about, "process-log-level",
			  log_level_name(c->process_log_level));
	for (uint32_t i = 0; i < c->log_levels.n; i++) {
		const char *level = strchr(c->log_levels.v[i], '=');

		if (level && log_level_parse(level + 1) >= LEVEL_DEBUG)
			permanent(s, &about, "log-levels", c->log_levels.v[i]);
	}
	if (c->call_trace)
		permanent(s, &about, "call-trace", "enabled");
}

static void tls_ports(struct survey *s)
{
	for (size_t i = 0; i < s->ports_n; i++) {
		const struct port_facts *p = &s->ports[i];
		struct finding_about about =
			about_child(p->item, &element_sip_port, p->port);
		uint8_t t = p->port->transport_protocol;

		about.parameter = "tls-profile";
		if ((t == TRANSPORT_PROTOCOL_TLS ||
		     t == TRANSPORT_PROTOCOL_WSS) &&
		    !*p->port->tls_profile)
			survey_found(s, "VC-0210", &about,
				     "is %s but has no tls-profile",
				     t == TRANSPORT_PROTOCOL_TLS ? "TLS"
								 : "WSS");
	}
}

void check_realms(struct survey *s)
{
	circles(s, true);
	circles(s, false);
	for (size_t i = 0; i < s->realms_n; i++)
		realm_check(s, &s->realms[i]);
	siblings(s);
	interfaces(s);
	clashes(s);
	tls_ports(s);
	sip_config(s);
	system_check(s);
}
