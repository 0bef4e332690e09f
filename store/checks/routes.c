/*
 * Rules for policies and their attributes: what is never tried, what loops
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "store/checks/checks.h"

enum {
	ENDS_MAX = 64 /* routes that end the search, remembered per policy */
};

/* --- One attribute ------------------------------------------------------- */

static void times_check(struct survey *s, const struct policy_attribute *a,
			const struct finding_about *about)
{
	if (a->start_time >= a->end_time || !a->days_of_week)
		survey_found(s, "VC-0324", about, "is valid at no time");
}

static void realm_check(struct survey *s, const struct policy_attribute *a,
			struct finding_about about)
{
	const struct session_agent *agent =
		survey_agent(s, a->next_hop, a->realm);
	const char *egress = survey_egress(s, a->realm, agent);
	const struct realm_facts *realm = survey_realm(s, egress);

	about.parameter = "realm";
	about.value = a->realm;
	if (!*egress && !target_is_table(a->next_hop))
		survey_found(s, "VC-0317", &about,
			     "has no egress realm for next-hop [%s]",
			     a->next_hop);
	if (realm && !realm->interface)
		survey_found(s, "VC-0318", &about,
			     "leads to realm-config [%s] which has no "
			     "sip-interface",
			     egress);
	if (*a->realm && agent && agent_has_realm(agent) &&
	    strcmp(a->realm, agent->realm_id))
		survey_found(s, "VC-0319", &about,
			     "has realm [%s] but session-agent [%s] is in "
			     "realm [%s]",
			     a->realm, agent->hostname, agent->realm_id);
	about.parameter = "next-hop";
	about.value = a->next_hop;
	about.hint = survey_text(s,
				 "Enable session-agent [%s] or change "
				 "next-hop",
				 a->next_hop);
	if (agent && !agent->state)
		survey_found(s, "VC-0110", &about,
			     "uses session-agent [%s] which is disabled",
			     agent->hostname);
}

static bool is_source(const struct local_policy *policy,
		      const struct port_facts *port)
{
	struct pl realm;

	pl_set_str(&realm, port->interface->realm_id);
	return names_have(&policy->source_realm, &realm) ||
	       names_have(&policy->source_realm, &(struct pl)PL("*"));
}

static void loop_check(struct survey *s, const struct local_policy *policy,
		       const struct policy_attribute *a,
		       struct finding_about about)
{
	const struct port_facts *port;
	struct sa sa;

	if (!survey_target_address(s, a->next_hop, a->realm, &sa))
		return;
	port = survey_port(s, &sa, true, false);
	if (!port)
		return;

	about.parameter = "next-hop";
	about.value = a->next_hop;
	about.severity = SEVERITY_WARNING;
	about.severity_set = !is_source(policy, port);
	survey_found(s, "VC-0325", &about,
		     "sends calls to [%s], which is this SBC", a->next_hop);
}

static void lookup_check(struct survey *s, const struct policy_attribute *a,
			 struct finding_about about)
{
	const struct session_router *router =
		config_single(s->cfg, &element_session_router);

	about.parameter = "lookup";
	about.value = "multi";
	if (a->lookup == POLICY_LOOKUP_MULTI && !router->additional_lp_lookups)
		survey_found(s, "VC-0329", &about,
			     "has lookup [multi] but additional-lp-lookups "
			     "is 0");
}

/* --- The attributes of a policy in the order of routing ------------------ */

struct rank {
	const struct policy_attribute *a;
	uint32_t number; /* order of the configuration */
	unsigned days, minutes;
};

/* configuration.md 2.11, step 3: what two attributes of one policy can differ
 * in. Patterns are those of the policy, the same for all of them. */
static int rank_order(const void *pa, const void *pb)
{
	const struct rank *a = pa, *b = pb;

	if (a->a->cost != b->a->cost)
		return a->a->cost < b->a->cost ? -1 : 1;
	if (a->days != b->days)
		return a->days < b->days ? -1 : 1;
	if (a->minutes != b->minutes)
		return a->minutes < b->minutes ? -1 : 1;
	return a->number < b->number ? -1 : a->number > b->number;
}

static bool is_equal_rank(const struct rank *a, const struct rank *b)
{
	return a->a->cost == b->a->cost && a->days == b->days &&
	       a->minutes == b->minutes;
}

static bool methods_hold(const struct names *a, const struct names *b)
{
	if (!a->n)
		return true;
	for (uint32_t i = 0; i < b->n; i++) {
		struct pl method;

		pl_set_str(&method, b->v[i]);
		if (!names_have(a, &method))
			return false;
	}

	return b->n > 0;
}

static bool methods_meet(const struct names *a, const struct names *b)
{
	for (uint32_t i = 0; a->n && i < b->n; i++) {
		struct pl method;

		pl_set_str(&method, b->v[i]);
		if (names_have(a, &method))
			return true;
	}

	return !a->n || !b->n;
}

/* Is a used whenever b is? */
static bool covers(const struct policy_attribute *a,
		   const struct policy_attribute *b)
{
	return !(b->days_of_week & ~a->days_of_week) &&
	       a->start_time <= b->start_time && a->end_time >= b->end_time &&
	       methods_hold(&a->methods, &b->methods) &&
	       (!*a->carrier || !strcmp(a->carrier, b->carrier));
}

static bool meet(const struct policy_attribute *a,
		 const struct policy_attribute *b)
{
	return (a->days_of_week & b->days_of_week) &&
	       a->start_time < b->end_time && b->start_time < a->end_time &&
	       methods_meet(&a->methods, &b->methods) &&
	       (!*a->carrier || !*b->carrier ||
		!strcmp(a->carrier, b->carrier));
}

static void shadowed(struct survey *s, const struct item *item,
		     const struct policy_attribute *a,
		     const struct policy_attribute *by)
{
	struct finding_about about =
		about_child(item, &element_policy_attribute, a);

	about.value = survey_key(s, &element_policy_attribute, by);
	survey_found(s, "VC-0321", &about,
		     "is never tried, [%s] ends the search before it",
		     about.value);
}

static uint32_t max_routes(const struct survey *s)
{
	struct pl value;
	uint32_t n = 0;

	if (option_get(&s->sip->options, "max-routes", &value))
		return 0;
	for (size_t i = 0; i < value.l && i < 9; i++) {
		if (value.p[i] < '0' || value.p[i] > '9')
			return 0;
		n = n * 10 + (uint32_t)(value.p[i] - '0');
	}

	return n;
}

/* A route ends the search by itself, or as the last that max-routes allows. For
 * the latter those count that are always used. */
static void ranks_check(struct survey *s, const struct item *item,
			const struct rank *v, uint32_t n, uint32_t max)
{
	const struct policy_attribute *ends[ENDS_MAX], *last = NULL;
	uint32_t ends_n = 0, always = 0;
	bool parallel =
		((const struct local_policy *)item->value)->parallel_forking;

	for (uint32_t i = 0; i < n; i++) {
		const struct policy_attribute *a = v[i].a, *by = NULL;

		for (uint32_t j = 0; j < ends_n && !by; j++) {
			if (covers(ends[j], a))
				by = ends[j];
		}
		if (!by && max && always >= max)
			by = last;
		if (by)
			shadowed(s, item, a, by);
		else if (a->terminate_recursion && ends_n < ENDS_MAX)
			ends[ends_n++] = a;
		if (!by && v[i].days >= 7 && v[i].minutes >= 24 * 60 &&
		    !a->methods.n && !*a->carrier) {
			always++;
			last = a;
		}
		/* with parallel-forking that is what the operator wants */
		if (i && !parallel && is_equal_rank(&v[i - 1], &v[i]) &&
		    meet(v[i - 1].a, a)) {
			struct finding_about about = about_item(item);
			const char *first = survey_key(
				s, &element_policy_attribute, v[i - 1].a);

			survey_found(
				s, "VC-0331", &about,
				"has equal routes [%s] and [%s]", first,
				survey_key(s, &element_policy_attribute, a));
		}
	}
}

static unsigned minutes_of(hhmm time)
{
	return time / 100u * 60u + time % 100u;
}

static void ranks(struct survey *s, const struct item *item, uint32_t max)
{
	const struct local_policy *policy = item->value;
	struct rank *v = calloc(policy->policy_attributes.n + 1, sizeof(*v));
	uint32_t n = 0;

	if (!v) {
		s->err = ENOMEM;
		return;
	}

	for (uint32_t i = 0; i < policy->policy_attributes.n; i++) {
		const struct policy_attribute *a =
			policy->policy_attributes.v[i];

		if (!a->state || a->start_time >= a->end_time)
			continue;
		v[n].a = a;
		v[n].number = i;
		v[n].days = (unsigned)__builtin_popcount(a->days_of_week);
		v[n].minutes =
			minutes_of(a->end_time) - minutes_of(a->start_time);
		n++;
	}
	qsort(v, n, sizeof(*v), rank_order);
	ranks_check(s, item, v, n, max);
	free(v);
}

/* --- One policy ---------------------------------------------------------- */

/* A realm whose calls arrive at an open port, its own or a parent's */
static bool is_open(const struct realm_facts *r)
{
	return r->interface && r->interface->own->state;
}

/* Known realms, none of them open; a missing one is VC-0101 */
static bool is_unreachable(const struct survey *s,
			   const struct local_policy *policy)
{
	uint32_t known = 0;

	for (uint32_t i = 0; i < policy->source_realm.n; i++) {
		const char *name = policy->source_realm.v[i];
		const struct realm_facts *r = survey_realm(s, name);

		if (!strcmp(name, "*") || (r && is_open(r)))
			return false;
		known += r != NULL;
	}

	return known > 0;
}

static void validity(struct survey *s, const struct item *item)
{
	const struct local_policy *p = item->value;
	struct finding_about about = about_item(item);
	struct pl name = PL("deactivate-time");

	if (!p->deactivate_time || (p->deactivate_time > p->activate_time &&
				    (!s->now || p->deactivate_time > s->now)))
		return;

	about.field = field_find(item->type, &name);
	about.value = survey_value(s, about.field, p);
	survey_found(s, "VC-0323", &about, "is not active since [%s]",
		     about.value);
}

/* Agents of each realm, to know who is the only one */
struct lonely {
	uint32_t n;
	const struct session_agent *agent;
};

static void back_check(struct survey *s, const struct item *item,
		       const struct lonely *lonely)
{
	const struct local_policy *p = item->value;

	for (uint32_t i = 0; i < p->policy_attributes.n; i++) {
		const struct policy_attribute *a = p->policy_attributes.v[i];
		const struct session_agent *agent =
			survey_agent(s, a->next_hop, a->realm);
		const char *egress = survey_egress(s, a->realm, agent);
		const struct realm_facts *r = survey_realm(s, egress);
		struct finding_about about = about_item(item);
		struct pl name;

		pl_set_str(&name, egress);
		if (!a->state || !agent || !r ||
		    !names_have(&p->source_realm, &name) ||
		    lonely[r - s->realms].n != 1 ||
		    lonely[r - s->realms].agent != agent)
			continue;
		about.value = a->next_hop;
		survey_found(s, "VC-0327", &about,
			     "may send calls back to where they came from");
		return;
	}
}

static void policy_check(struct survey *s, const struct item *item)
{
	const struct local_policy *p = item->value;
	struct finding_about about = about_item(item);

	if (!p->policy_attributes.n)
		survey_found(s, "VC-0313", &about, "has no policy-attributes");
	about.parameter = "from-address";
	if (!p->from_address.n)
		survey_found(s, "VC-0314", &about, "has an empty from-address");
	about.parameter = "to-address";
	if (!p->to_address.n)
		survey_found(s, "VC-0314", &about, "has an empty to-address");
	about.parameter = "source-realm";
	if (p->state && is_unreachable(s, p))
		survey_found(s, "VC-0322", &about, "can match no request");
	if (p->state)
		validity(s, item);

	for (uint32_t i = 0; i < p->policy_attributes.n; i++) {
		const struct policy_attribute *a = p->policy_attributes.v[i];
		struct finding_about of =
			about_child(item, &element_policy_attribute, a);

		times_check(s, a, &of);
		if (!p->state || !a->state)
			continue;
		realm_check(s, a, of);
		lookup_check(s, a, of);
		loop_check(s, p, a, of);
	}
}

/* --- Policies that match the same ---------------------------------------- */

struct twin {
	char *text;
	const struct item *item;
	size_t number;
};

static int text_order(const void *pa, const void *pb)
{
	return strcmp(*(const char *const *)pa, *(const char *const *)pb);
}

static int twin_order(const void *pa, const void *pb)
{
	const struct twin *a = pa, *b = pb;
	int n = strcmp(a->text, b->text);

	return n ? n : a->number < b->number ? -1 : a->number > b->number;
}

/* The values sorted, each on a line; patterns without case */
static int set_print(struct re_printf *pf, const char **v, uint32_t n,
		     bool nocase)
{
	int err = 0;

	qsort(v, n, sizeof(*v), text_order);
	for (uint32_t i = 0; i < n && !err; i++) {
		for (const char *p = v[i]; *p; p++) {
			char c = *p;

			if (nocase && c >= 'A' && c <= 'Z')
				c = (char)(c + 'a' - 'A');
			err |= pf->vph(&c, 1, pf->arg);
		}
		err |= pf->vph("\n", 1, pf->arg);
	}

	return err | pf->vph("\t", 1, pf->arg);
}

static int patterns_print(struct re_printf *pf, const struct patterns *list)
{
	const char **v = calloc(list->n + 1, sizeof(*v));
	int err;

	if (!v)
		return ENOMEM;
	for (uint32_t i = 0; i < list->n; i++)
		v[i] = list->v[i].text;
	err = set_print(pf, v, list->n, true);
	free(v);
	return err;
}

static int policy_set_print(struct re_printf *pf, const struct local_policy *p)
{
	const char **v = calloc(p->source_realm.n + 1, sizeof(*v));
	int err;

	if (!v)
		return ENOMEM;
	for (uint32_t i = 0; i < p->source_realm.n; i++)
		v[i] = p->source_realm.v[i];
	err = patterns_print(pf, &p->from_address);
	err |= patterns_print(pf, &p->to_address);
	err |= set_print(pf, v, p->source_realm.n, false);
	free(v);
	return err;
}

static void twins(struct survey *s, size_t n)
{
	struct twin *v = calloc(n + 1, sizeof(*v));

	if (!v) {
		s->err = ENOMEM;
		return;
	}

	for (size_t i = 0; i < n && !s->err; i++) {
		v[i].number = i;
		v[i].item = config_item_at(s->cfg, &element_local_policy, i);
		s->err = re_sdprintf(&v[i].text, "%H", policy_set_print,
				     v[i].item->value);
	}
	if (!s->err)
		qsort(v, n, sizeof(*v), twin_order);
	for (size_t i = 1; i < n && !s->err; i++) {
		struct finding_about about = about_item(v[i].item);

		if (!strcmp(v[i - 1].text, v[i].text))
			survey_found(s, "VC-0320", &about,
				     "and local-policy [%s] match the same "
				     "requests",
				     survey_key(s, &element_local_policy,
						v[i - 1].item->value));
	}
	for (size_t i = 0; i < n; i++)
		mem_deref(v[i].text);
	free(v);
}

/* --- Realms without a way out -------------------------------------------- */

/* A realm is served by a policy, by a surrogate-agent whose requests go to the
 * registrar, or as the realm of a registrar whose calls go to the contacts */
static void ways_out(struct survey *s)
{
	bool *served = calloc(s->realms_n + 1, sizeof(*served));
	size_t n = config_count(s->cfg, &element_surrogate_agent);
	bool any = survey_ways(s, NULL).n > 0;

	if (!served) {
		s->err = ENOMEM;
		return;
	}

	for (size_t i = 0; i < s->ways_n; i++) {
		if (s->ways[i].from)
			served[s->ways[i].from - s->realms] = true;
	}
	for (size_t i = 0; i < n; i++) {
		const struct surrogate_agent *a =
			config_at(s->cfg, &element_surrogate_agent, i);
		const struct realm_facts *r = survey_realm(s, a->realm_id);

		if (r && a->state && a->route_to_registrar)
			served[r - s->realms] = true;
		r = a->state ? survey_realm(s, survey_registrar_realm(s, a))
			     : NULL;
		if (r)
			served[r - s->realms] = true;
	}
	/* Requests at an interface may belong to a child */
	for (size_t i = 0; i < s->realms_n; i++) {
		const struct realm_facts *r = &s->realms[i];

		if (served[i] && r->interface)
			served[r->interface - s->realms] = true;
	}
	for (size_t i = 0; i < s->realms_n && !any; i++) {
		const struct realm_facts *r = &s->realms[i];
		struct finding_about about = about_item(r->item);

		if (r->own && r->own->state && !served[i])
			survey_found(s, "VC-0328", &about,
				     "has no local-policy, calls from it get "
				     "404");
	}
	free(served);
}

static struct lonely *lonely_make(struct survey *s)
{
	struct lonely *v = calloc(s->realms_n + 1, sizeof(*v));

	for (size_t i = 0; v && i < s->agents_n; i++) {
		const struct realm_facts *r =
			survey_realm(s, s->agent_names[i].agent->realm_id);

		if (!r)
			continue;
		v[r - s->realms].n++;
		v[r - s->realms].agent = s->agent_names[i].agent;
	}

	return v;
}

void check_routes(struct survey *s)
{
	size_t n = config_count(s->cfg, &element_local_policy);
	struct lonely *lonely = lonely_make(s);
	uint32_t max = max_routes(s);

	if (!lonely) {
		s->err = ENOMEM;
		return;
	}

	for (size_t i = 0; i < n && !s->err; i++) {
		const struct item *item =
			config_item_at(s->cfg, &element_local_policy, i);
		const struct local_policy *policy = item->value;

		policy_check(s, item);
		ranks(s, item, max);
		if (policy->state)
			back_check(s, item, lonely);
	}
	twins(s, n);
	ways_out(s);
	free(lonely);
}
