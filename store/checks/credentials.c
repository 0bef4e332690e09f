/*
 * Rules for auth-attributes, and for what chooses or shadows them
 *
 * Which credentials answer a challenge: configuration.md 2.3, steps 1 to 5.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "store/checks/checks.h"

enum {
	LOOKED_AT = 256 /* routes of one realm; with more a rule stays open */
};

/* --- Look-ups: who has them, who uses them ------------------------------- */

struct pair {
	const char *realm, *lookup;
};

struct pairs {
	struct pair *v;
	size_t n, room;
};

static int pair_order(const void *pa, const void *pb)
{
	const struct pair *a = pa, *b = pb;
	int n = strcmp(a->realm, b->realm);

	return n ? n : strcmp(a->lookup, b->lookup);
}

static void pair_add(struct survey *s, struct pairs *list, const char *realm,
		     const char *lookup)
{
	if (!realm || !*realm || !*lookup)
		return;
	if (list->n == list->room) {
		size_t room = list->room ? list->room * 2 : 256;
		struct pair *v = realloc(list->v, room * sizeof(*v));

		if (!v) {
			s->err = ENOMEM;
			return;
		}
		list->v = v;
		list->room = room;
	}
	list->v[list->n].realm = realm;
	list->v[list->n++].lookup = lookup;
}

static bool pairs_have(const struct pairs *list, const char *realm,
		       const char *lookup)
{
	const struct pair pair = { realm, lookup };

	return list->n &&
	       bsearch(&pair, list->v, list->n, sizeof(*list->v), pair_order);
}

static void entries_of(struct survey *s, struct pairs *entries)
{
	for (size_t i = 0; i < s->realms_n; i++) {
		const struct realm_config *r = s->realms[i].config;

		for (uint32_t j = 0; j < r->auth_attributes.n; j++) {
			const struct auth_attribute *a =
				r->auth_attributes.v[j];

			pair_add(s, entries, r->identifier,
				 a->auth_user_lookup);
		}
	}
	if (entries->n)
		qsort(entries->v, entries->n, sizeof(*entries->v), pair_order);
}

static void missing(struct survey *s, const struct pairs *entries,
		    struct finding_about about, const char *realm,
		    const char *lookup)
{
	struct want want = { .realm = realm, .lookup = lookup };

	about.parameter = "auth-user-lookup";
	about.value = lookup;
	if (!realm || !survey_realm(s, realm) ||
	    pairs_have(entries, realm, lookup))
		return;
	/* The table of imported rows may have it: store/checks/rows */
	want.about = about;
	survey_want(s, &want);
}

static void attribute_uses(struct survey *s, const struct item *item,
			   const struct pairs *entries, struct pairs *used)
{
	const struct local_policy *p = item->value;

	for (uint32_t i = 0; i < p->policy_attributes.n; i++) {
		const struct policy_attribute *a = p->policy_attributes.v[i];
		struct finding_about about =
			about_child(item, &element_policy_attribute, a);
		const char *realm;

		if (!*a->auth_user_lookup)
			continue;
		realm = survey_egress(s, a->realm,
				      survey_agent(s, a->next_hop, a->realm));
		pair_add(s, used, realm, a->auth_user_lookup);
		if (p->state && a->state)
			missing(s, entries, about, realm, a->auth_user_lookup);
		about.parameter = "auth-user-lookup";
		about.value = a->auth_user_lookup;
		if (!*a->realm)
			survey_found(s, "VC-0502", &about,
				     "has auth-user-lookup [%s] but no realm",
				     a->auth_user_lookup);
	}
}

static void surrogate_uses(struct survey *s, const struct item *item,
			   const struct pairs *entries, struct pairs *used)
{
	const struct surrogate_agent *a = item->value;
	const char *realm;

	if (!*a->auth_user_lookup)
		return;
	realm = survey_registrar_realm(s, a);
	pair_add(s, used, realm, a->auth_user_lookup);
	if (a->state)
		missing(s, entries, about_item(item), realm,
			a->auth_user_lookup);
}

static void unused(struct survey *s, const struct pairs *used)
{
	for (size_t i = 0; i < s->realms_n; i++) {
		const struct realm_facts *r = &s->realms[i];
		const struct items *list = &r->config->auth_attributes;

		for (uint32_t j = 0; j < list->n; j++) {
			const struct auth_attribute *a = list->v[j];
			struct finding_about about = about_child(
				r->item, &element_realm_auth_attribute, a);

			about.parameter = "auth-user-lookup";
			about.value = a->auth_user_lookup;
			if (!pairs_have(used, r->config->identifier,
					a->auth_user_lookup))
				survey_found(s, "VC-0508", &about,
					     "has auth-user-lookup [%s] which "
					     "nothing uses",
					     a->auth_user_lookup);
		}
	}
}

/* --- Challenges that came ------------------------------------------------ */

struct seen {
	struct survey *s;
	const struct pairs *used;
};

static bool entry_answers(const struct realm_facts *r, const char *auth_realm,
			  const char *lookup)
{
	const struct items *list = &r->config->auth_attributes;

	for (uint32_t i = 0; i < list->n; i++) {
		const struct auth_attribute *a = list->v[i];

		if (!strcmp(a->auth_user_lookup, lookup) &&
		    (!strcmp(a->auth_realm, auth_realm) ||
		     !strcmp(a->auth_realm, "*")))
			return true;
	}

	return false;
}

/* The look-ups in use for the realm: sorted, so they stand together. With many
 * of them the first tell enough: one missing entry is one finding */
static int seen_take(const char *realm, const char *auth_realm, void *arg)
{
	struct seen *seen = arg;
	const struct realm_facts *r = survey_realm(seen->s, realm);
	struct want want = { .realm = realm, .auth_realm = auth_realm };
	unsigned looked = 0;

	if (!r)
		return 0;
	want.realm = r->config->identifier;
	want.about = about_item(r->item);
	want.about.parameter = "auth-attribute";
	want.about.value = auth_realm;
	for (size_t i = 0; i < seen->used->n && looked < LOOKED_AT; i++) {
		const struct pair *p = &seen->used->v[i];

		if (strcmp(p->realm, realm) ||
		    (i && !pair_order(&seen->used->v[i - 1], p)))
			continue;
		looked++;
		want.lookup = p->lookup;
		if (!entry_answers(r, auth_realm, p->lookup))
			survey_want(seen->s, &want);
	}

	return seen->s->err;
}

static void challenged(struct survey *s, const struct pairs *used)
{
	struct seen seen = { .s = s, .used = used };
	int err = s->outside->seen(seen_take, &seen, s->outside->arg);

	if (err && !s->err)
		s->err = err;
}

static void lookups(struct survey *s)
{
	struct pairs entries = { NULL, 0, 0 }, used = { NULL, 0, 0 };
	size_t n = config_count(s->cfg, &element_local_policy);

	entries_of(s, &entries);
	for (size_t i = 0; i < n && !s->err; i++)
		attribute_uses(s,
			       config_item_at(s->cfg, &element_local_policy, i),
			       &entries, &used);
	n = config_count(s->cfg, &element_surrogate_agent);
	for (size_t i = 0; i < n && !s->err; i++)
		surrogate_uses(
			s, config_item_at(s->cfg, &element_surrogate_agent, i),
			&entries, &used);
	if (used.n)
		qsort(used.v, used.n, sizeof(*used.v), pair_order);
	if (!s->err)
		unused(s, &used);
	if (!s->err && s->outside->seen)
		challenged(s, &used);
	free(entries.v);
	free(used.v);
}

/* --- Entries by themselves ----------------------------------------------- */

/* An entry with the realm that its owner is in, or NULL */
struct entry_facts {
	const struct auth_attribute *a;
	const struct element *type;
	const struct item *owner;
	const struct realm_facts *realm;
	size_t number;
};

static struct finding_about about_entry(const struct entry_facts *e)
{
	return about_child(e->owner, e->type, e->a);
}

static void entry_check(struct survey *s, const struct entry_facts *e)
{
	struct finding_about about = about_entry(e);

	about.parameter = "password";
	if (!secret_is_set(&e->a->password) && !*e->a->auth_plugin)
		survey_found(s, "VC-0509", &about, "has no password");
	about.parameter = "auth-realm";
	about.value = e->a->auth_realm;
	if (e->realm && e->realm->is_public && !strcmp(e->a->auth_realm, "*"))
		survey_found(s, "VC-0511", &about,
			     "answers challenges of any auth-realm");
}

static size_t entries_count(const struct survey *s)
{
	size_t n = 0;

	for (size_t i = 0; i < s->realms_n; i++)
		n += s->realms[i].config->auth_attributes.n;
	for (size_t i = 0; i < s->agents_n; i++)
		n += s->agent_names[i].agent->auth_attributes.n;

	return n;
}

static void entries_fill(struct survey *s, struct entry_facts *v, size_t *n)
{
	for (size_t i = 0; i < s->realms_n; i++) {
		const struct realm_facts *r = &s->realms[i];
		const struct items *list = &r->config->auth_attributes;

		for (uint32_t j = 0; j < list->n; j++, (*n)++)
			v[*n] = (struct entry_facts){
				list->v[j], &element_realm_auth_attribute,
				r->item, r, *n
			};
	}
	for (size_t i = 0; i < s->agents_n; i++) {
		const struct item *item =
			config_item_at(s->cfg, &element_session_agent, i);
		const struct session_agent *agent = item->value;
		const struct items *list = &agent->auth_attributes;

		for (uint32_t j = 0; j < list->n; j++, (*n)++)
			v[*n] = (struct entry_facts){
				list->v[j], &element_agent_auth_attribute, item,
				survey_realm(s, agent->realm_id), *n
			};
	}
}

static int number_order(size_t a, size_t b)
{
	return a < b ? -1 : a > b;
}

/* Entries of a session-agent have no look-up */
static const char *lookup_of(const struct entry_facts *e)
{
	return e->a->auth_user_lookup ? e->a->auth_user_lookup : "";
}

/* By owner, auth-realm and look-up */
static int twin_order(const void *pa, const void *pb)
{
	const struct entry_facts *a = pa, *b = pb;
	int n = 0;

	if (a->owner != b->owner)
		return a->owner < b->owner ? -1 : 1;
	n = strcmp(a->a->auth_realm, b->a->auth_realm);
	if (!n)
		n = strcmp(lookup_of(a), lookup_of(b));
	return n ? n : number_order(a->number, b->number);
}

/* By realm, auth-realm and user */
static int user_order(const void *pa, const void *pb)
{
	const struct entry_facts *a = pa, *b = pb;
	int n;

	if (a->realm != b->realm)
		return a->realm < b->realm ? -1 : 1;
	n = strcmp(a->a->auth_realm, b->a->auth_realm);
	if (!n)
		n = strcmp(a->a->username, b->a->username);
	return n ? n : number_order(a->number, b->number);
}

static bool is_comparable(const struct secret *a)
{
	return secret_is_set(a) && !a->sealed && !secret_is_mask(a);
}

static void twins(struct survey *s, struct entry_facts *v, size_t n)
{
	qsort(v, n, sizeof(*v), twin_order);
	for (size_t i = 1; i < n; i++) {
		const struct entry_facts *a = &v[i - 1], *b = &v[i];
		struct finding_about about = about_entry(b);

		if (a->owner != b->owner ||
		    strcmp(a->a->auth_realm, b->a->auth_realm) ||
		    strcmp(lookup_of(a), lookup_of(b)))
			continue;
		about.parameter = "auth-realm";
		about.value = b->a->auth_realm;
		if (b->type == &element_realm_auth_attribute)
			survey_found(s, "VC-0503", &about,
				     "has the auth-realm and auth-user-lookup "
				     "of another entry");
		else
			survey_found(s, "VC-0504", &about,
				     "has the auth-realm of another entry");
	}
}

static void passwords(struct survey *s, struct entry_facts *v, size_t n)
{
	qsort(v, n, sizeof(*v), user_order);
	for (size_t i = 1; i < n; i++) {
		const struct entry_facts *a = &v[i - 1], *b = &v[i];
		struct finding_about about = about_entry(b);

		if (!b->realm || a->realm != b->realm ||
		    strcmp(a->a->auth_realm, b->a->auth_realm) ||
		    strcmp(a->a->username, b->a->username) ||
		    !is_comparable(&a->a->password) ||
		    !is_comparable(&b->a->password) ||
		    secret_opens_same(&a->a->password, &b->a->password, NULL))
			continue;
		about.parameter = "password";
		survey_found(s, "VC-0512", &about,
			     "has another password than [%s] for the same user",
			     survey_key(s, a->type, a->a));
	}
}

static void entries(struct survey *s)
{
	struct entry_facts *v = calloc(entries_count(s) + 1, sizeof(*v));
	size_t n = 0;

	if (!v) {
		s->err = ENOMEM;
		return;
	}

	entries_fill(s, v, &n);
	for (size_t i = 0; i < n; i++)
		entry_check(s, &v[i]);
	twins(s, v, n);
	passwords(s, v, n);
	free(v);
}

/* --- Shadowed by a surrogate-agent --------------------------------------- */

/* A PBX that has a surrogate-agent is served by it (2.3) */
static void overridden(struct survey *s, bool *told,
		       const struct surrogate_agent *surrogate)
{
	const struct session_agent *agent = survey_agent(
		s, surrogate->customer_next_hop, surrogate->realm_id);
	const struct item *item = NULL;
	size_t place;

	if (!surrogate->state || !agent || !agent->auth_attributes.n)
		return;
	place = survey_agent_place(s, agent);
	if (told[place])
		return;
	told[place] = true;
	item = config_item_at(s->cfg, &element_session_agent, place);
	for (uint32_t i = 0; i < agent->auth_attributes.n; i++) {
		struct finding_about about =
			about_child(item, &element_agent_auth_attribute,
				    agent->auth_attributes.v[i]);

		survey_found(
			s, "VC-0505", &about,
			"is overridden by surrogate-agent [%s]",
			survey_key(s, &element_surrogate_agent, surrogate));
	}
}

/* --- Shadowed by routes -------------------------------------------------- */

static const char *answers(const struct session_agent *agent,
			   const char *auth_realm)
{
	for (uint32_t i = 0; agent && i < agent->auth_attributes.n; i++) {
		const struct auth_attribute *a = agent->auth_attributes.v[i];

		if (!strcmp(a->auth_realm, auth_realm) ||
		    !strcmp(a->auth_realm, "*"))
			return agent->hostname;
	}

	return NULL;
}

/* The agent that answers first on every route; NULL where one is open */
static const char *answered_by(const struct survey *s,
			       const struct session_agent *agent,
			       const char *auth_realm)
{
	const struct realm_facts *from = survey_realm(s, agent->realm_id);
	const struct ways both[] = {
		from ? survey_ways(s, from) : (struct ways){ NULL, 0 },
		survey_ways(s, NULL),
	};
	const char *by = NULL, *one;
	size_t looked = 0;

	for (size_t i = 0; from && i < ARRAY_SIZE(both); i++) {
		for (size_t j = 0; j < both[i].n; j++) {
			const struct items *list =
				&both[i].v[j].policy->policy_attributes;

			for (uint32_t k = 0; k < list->n; k++) {
				const struct policy_attribute *a = list->v[k];

				if (!a->state)
					continue;
				one = answers(
					survey_agent(s, a->next_hop, a->realm),
					auth_realm);
				if (!one || ++looked > LOOKED_AT)
					return NULL;
				if (!by)
					by = one;
			}
		}
	}

	return by;
}

/* Agents that are a target somewhere: they may be the challenger */
static bool *targets_make(struct survey *s)
{
	bool *target = calloc(s->agents_n + 1, sizeof(*target));
	size_t n = config_count(s->cfg, &element_local_policy);

	for (size_t i = 0; target && i < n; i++) {
		const struct local_policy *p =
			config_at(s->cfg, &element_local_policy, i);

		for (uint32_t j = 0; j < p->policy_attributes.n; j++) {
			const struct policy_attribute *a =
				p->policy_attributes.v[j];
			const struct session_agent *agent =
				survey_agent(s, a->next_hop, a->realm);

			if (agent && p->state && a->state)
				target[survey_agent_place(s, agent)] = true;
		}
	}

	return target;
}

static void shadowed(struct survey *s, const bool *target, size_t place)
{
	const struct item *item =
		config_item_at(s->cfg, &element_session_agent, place);
	const struct session_agent *agent = item->value;

	for (uint32_t i = 0; !target[place] && i < agent->auth_attributes.n;
	     i++) {
		const struct auth_attribute *a = agent->auth_attributes.v[i];
		struct finding_about about =
			about_child(item, &element_agent_auth_attribute, a);
		const char *by = answered_by(s, agent, a->auth_realm);

		if (by)
			survey_found(s, "VC-0506", &about,
				     "is never used, session-agent [%s] "
				     "answers first",
				     by);
	}
}

/* Routes out of a realm, and how many of them have a look-up */
struct routes {
	size_t n, with_lookup;
};

static void routes_count(struct routes *r, const struct local_policy *p)
{
	for (uint32_t i = 0; i < p->policy_attributes.n; i++) {
		const struct policy_attribute *a = p->policy_attributes.v[i];

		r->n += a->state;
		r->with_lookup += a->state && *a->auth_user_lookup;
	}
}

/* A way to the registrar is a route without a look-up */
static void lends_nothing(struct survey *s, const struct item *item,
			  const struct routes *routes, const struct routes *all)
{
	const struct surrogate_agent *a = item->value;
	const struct realm_facts *r = survey_realm(s, a->realm_id);
	struct finding_about about = about_item(item);
	size_t n, with;

	if (!r || !a->state || a->route_to_registrar ||
	    !secret_is_set(&a->password))
		return;
	n = routes[r - s->realms].n + all->n;
	with = routes[r - s->realms].with_lookup + all->with_lookup;
	if (n && n == with)
		survey_found(s, "VC-0507", &about,
			     "lends credentials that no call uses");
}

static void surrogates(struct survey *s)
{
	size_t n = config_count(s->cfg, &element_surrogate_agent);
	struct routes *routes = calloc(s->realms_n + 1, sizeof(*routes));
	bool *told = calloc(s->agents_n + 1, sizeof(*told));
	struct routes all = { 0, 0 };

	if (!routes || !told) {
		s->err = ENOMEM;
		goto out;
	}

	for (size_t i = 0; i < s->ways_n; i++) {
		const struct way *w = &s->ways[i];

		routes_count(w->from ? &routes[w->from - s->realms] : &all,
			     w->policy);
	}
	for (size_t i = 0; i < n; i++) {
		const struct item *item =
			config_item_at(s->cfg, &element_surrogate_agent, i);

		overridden(s, told, item->value);
		lends_nothing(s, item, routes, &all);
	}

out:
	free(routes);
	free(told);
}

void check_credentials(struct survey *s)
{
	bool *target = targets_make(s);

	if (!target) {
		s->err = ENOMEM;
		return;
	}

	lookups(s);
	entries(s);
	surrogates(s);
	for (size_t i = 0; i < s->agents_n; i++)
		shadowed(s, target, i);
	free(target);
}
