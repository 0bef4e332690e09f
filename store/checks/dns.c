/*
 * Rules that ask DNS: names that lead nowhere, or to somebody else
 *
 * All names are gathered first, each once, and asked side by side (acli.md
 * 3.1); then each rule looks at what came of its name.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "store/checks/checks.h"
#include "store/number.h"

enum {
	HOST = 256 /* [bytes] */
};

/* A rule that waits for a name */
struct ask {
	const char *rule;
	struct finding_about about;
	const char *p;    /* the parameter */
	const char *text; /* its value */
	char host[HOST];  /* without port and parameters */
	const char *realm;
	uint32_t port;
	size_t name; /* place of the answer */
};

struct asks {
	struct survey *s;
	struct ask *v;
	size_t n, room;
};

/* --- Gathering ----------------------------------------------------------- */

/* Host and port of "host:port;transport=tcp". False: nothing to ask */
static bool host_take(struct ask *a, const char *text)
{
	size_t n = strcspn(text, ":;");
	struct pl pl = { text, strcspn(text, ";") };
	struct sa sa;
	uint64_t port = 0;

	if (!n || n >= HOST || target_is_table(text) ||
	    !address_parse_text(&sa, &pl))
		return false;
	memcpy(a->host, text, n);
	a->host[n] = '\0';
	if (text[n] == ':') {
		pl.p = text + n + 1;
		pl.l = strcspn(pl.p, ";");
		if (uint_parse(&port, &pl, 65535))
			return false;
		a->port = (uint32_t)port;
	}

	return true;
}

static void ask(struct asks *asks, const char *rule, struct finding_about about,
		const char *p, const char *text, const char *realm,
		uint32_t port)
{
	struct ask a = { .rule = rule, .about = about, .p = p, .text = text };

	a.realm = realm ? realm : "";
	a.port = port;
	if (asks->s->err || !host_take(&a, text))
		return;
	if (asks->n == asks->room) {
		size_t room = asks->room ? asks->room * 2 : 64;
		struct ask *v = realloc(asks->v, room * sizeof(*v));

		if (!v) {
			asks->s->err = ENOMEM;
			return;
		}
		asks->v = v;
		asks->room = room;
	}
	asks->v[asks->n++] = a;
}

static void agents(struct asks *asks)
{
	const struct survey *s = asks->s;

	for (size_t i = 0; i < s->agents_n; i++) {
		const struct item *item =
			config_item_at(s->cfg, &element_session_agent, i);
		const struct session_agent *a = item->value;

		if (a->state && !sa_isset(&a->ip_address, SA_ADDR))
			ask(asks, "VC-0302", about_item(item), "hostname",
			    a->hostname, survey_egress(s, NULL, a), a->port);
	}
}

static void routes(struct asks *asks)
{
	const struct survey *s = asks->s;
	size_t n = config_count(s->cfg, &element_local_policy);

	for (size_t i = 0; i < n; i++) {
		const struct item *item =
			config_item_at(s->cfg, &element_local_policy, i);
		const struct local_policy *p = item->value;

		for (uint32_t j = 0; j < p->policy_attributes.n; j++) {
			const struct policy_attribute *a =
				p->policy_attributes.v[j];

			if (p->state && a->state &&
			    !survey_agent(s, a->next_hop, a->realm))
				ask(asks, "VC-0316",
				    about_child(item, &element_policy_attribute,
						a),
				    "next-hop", a->next_hop,
				    survey_egress(s, a->realm, NULL), 0);
		}
	}
}

/* Does a session-agent or a policy say where REGISTER goes? */
static bool has_target(const struct survey *s, const struct surrogate_agent *a)
{
	const char *realm;

	if (*a->proxy_name || survey_agent_named(s, a->register_host))
		return true;
	realm = survey_policy_realm(s, a);
	return !realm || *realm;
}

static void surrogates(struct asks *asks)
{
	const struct survey *s = asks->s;
	size_t n = config_count(s->cfg, &element_surrogate_agent);

	for (size_t i = 0; i < n; i++) {
		const struct item *item =
			config_item_at(s->cfg, &element_surrogate_agent, i);
		const struct surrogate_agent *a = item->value;
		struct finding_about about = about_item(item);
		const char *realm = survey_registrar_realm(s, a);

		if (!a->state)
			continue;
		ask(asks, "VC-0410", about, "register-contact-host",
		    a->register_contact_host, realm, 0);
		if (!survey_agent(s, a->customer_next_hop, a->realm_id))
			ask(asks, "VC-0412", about, "customer-next-hop",
			    a->customer_next_hop, a->realm_id, 0);
		if (!has_target(s, a))
			ask(asks, "VC-0415", about, "register-host",
			    a->register_host, realm, 0);
	}
}

/* --- Asking -------------------------------------------------------------- */

static int ask_order(const void *pa, const void *pb)
{
	const struct ask *a = pa, *b = pb;
	int n = strcasecmp(a->host, b->host);

	if (!n)
		n = strcmp(a->realm, b->realm);
	if (!n)
		n = (int)a->port - (int)b->port;
	return n;
}

/* Equal names stand together and share one question */
static struct outside_name *names_make(struct asks *asks, size_t *np)
{
	struct outside_name *v = calloc(asks->n + 1, sizeof(*v));
	size_t n = 0;

	if (!v)
		return NULL;

	if (asks->n)
		qsort(asks->v, asks->n, sizeof(*asks->v), ask_order);
	for (size_t i = 0; i < asks->n; i++) {
		struct ask *a = &asks->v[i];

		if (!i || ask_order(a - 1, a)) {
			v[n].name = a->host;
			v[n].realm = a->realm;
			v[n++].port = a->port;
		}
		a->name = n - 1;
	}
	*np = n;
	return v;
}

/* --- Findings ------------------------------------------------------------ */

static bool is_ours(const struct survey *s, const struct outside_name *name)
{
	for (uint32_t i = 0; i < name->n; i++) {
		if (survey_port(s, &name->targets[i], false, true))
			return true;
	}

	return false;
}

static bool is_pinged(const struct survey *s, const struct sa *sa,
		      const char *realm)
{
	char text[64];
	const struct session_agent *agent;

	if (re_snprintf(text, sizeof(text), "%j", sa) < 0)
		return false;
	agent = survey_agent(s, text, realm);
	return agent && agent->ping_method.n;
}

/* Targets of one host on two ports or transports are one to be pinged */
static void targets_check(struct survey *s, struct ask *a,
			  const struct outside_name *name)
{
	uint32_t hosts = 0;

	for (uint32_t i = 0; i < name->n; i++) {
		bool twice = false;

		if (is_pinged(s, &name->targets[i], a->realm))
			return;
		for (uint32_t j = 0; j < i; j++)
			twice |= sa_cmp(&name->targets[i], &name->targets[j],
					SA_ADDR);
		hosts += !twice;
	}
	if (hosts > 1)
		survey_found(s, "VC-0413", &a->about,
			     "has customer-next-hop [%s] with [%u] targets and "
			     "no health check",
			     a->text, hosts);
}

static void name_check(struct survey *s, struct ask *a,
		       const struct outside_name *name)
{
	a->about.parameter = a->p;
	a->about.value = a->text;
	if (name->answer == OUTSIDE_SILENT)
		survey_found(s, "VC-0118", &a->about,
			     "could not check %s [%s] in DNS", a->p, a->text);
	else if (!strcmp(a->rule, "VC-0410")) {
		if (name->answer == OUTSIDE_NONE || !is_ours(s, name))
			survey_found(s, a->rule, &a->about,
				     "has register-contact-host [%s] which "
				     "does not lead to us",
				     a->text);
	} else if (name->answer == OUTSIDE_FOUND) {
		if (!strcmp(a->rule, "VC-0412"))
			targets_check(s, a, name);
	} else if (!strcmp(a->rule, "VC-0302")) {
		survey_found(s, a->rule, &a->about,
			     "has a hostname that does not resolve");
	} else {
		survey_found(s, a->rule, &a->about,
			     "has %s [%s] which does not resolve", a->p,
			     a->text);
	}
}

void check_dns(struct survey *s)
{
	struct asks asks = { .s = s };
	struct outside_name *names;
	size_t n = 0;

	if (!s->outside->resolve)
		return;

	agents(&asks);
	routes(&asks);
	surrogates(&asks);
	names = s->err ? NULL : names_make(&asks, &n);
	if (!names && !s->err)
		s->err = ENOMEM;
	if (!s->err && n)
		s->err = s->outside->resolve(names, n, s->outside->arg);
	for (size_t i = 0; i < asks.n && !s->err; i++)
		name_check(s, &asks.v[i], &names[asks.v[i].name]);
	free(names);
	free(asks.v);
}
