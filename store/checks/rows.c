/*
 * Rules for what the credential table holds, and what it would have to
 *
 * The table is walked once for each kind of row and never held in memory; what
 * the other rules miss in the configuration waits in a sorted list for it
 * (acli.md 3.1).
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "store/checks/checks.h"

/* --- Entries that somebody wants ----------------------------------------- */

static int want_order(const void *pa, const void *pb)
{
	const struct want *a = pa, *b = pb;
	int n = strcmp(a->realm, b->realm);

	return n ? n : strcmp(a->lookup, b->lookup);
}

/* Rows come sorted by realm, so those of one are counted on the way */
struct walk {
	struct survey *s;
	char realm[256];
	uint64_t n;
};

/* The first want of the pair, or the one after it */
static size_t want_place(const struct wants *w, const struct want *key)
{
	size_t from = 0, to = w->n;

	while (from < to) {
		size_t middle = from + (to - from) / 2;

		if (want_order(&w->v[middle], key) < 0)
			from = middle + 1;
		else
			to = middle;
	}

	return from;
}

static void realm_end(struct walk *walk)
{
	const struct finding_about about = { .value = walk->realm };

	if (walk->n && !survey_realm(walk->s, walk->realm))
		survey_found(walk->s, "VC-0515", &about,
			     "credentials has [%" PRIu64 "] rows for "
			     "realm-config [%s] which does not exist",
			     walk->n, walk->realm);
	walk->n = 0;
}

static int row_take(const char *realm, const char *auth_realm,
		    const char *lookup, void *arg)
{
	struct walk *walk = arg;
	struct wants *w = &walk->s->wants;
	const struct want key = { .realm = realm, .lookup = lookup };

	if (strcmp(realm, walk->realm)) {
		realm_end(walk);
		str_ncpy(walk->realm, realm, sizeof(walk->realm));
	}
	walk->n++;
	for (size_t i = want_place(w, &key);
	     i < w->n && !want_order(&w->v[i], &key); i++) {
		const char *wanted = w->v[i].auth_realm;

		if (!wanted || !strcmp(wanted, auth_realm) ||
		    !strcmp("*", auth_realm))
			w->v[i].met = true;
	}

	return walk->s->err;
}

static void lookup_missing(struct survey *s, const struct want *w)
{
	survey_found(s, "VC-0501", &w->about,
		     "has auth-user-lookup [%s] but realm-config [%s] has no "
		     "auth-attribute with it",
		     w->lookup, w->realm);
}

static void seen_missing(struct survey *s, const struct want *w)
{
	survey_found(s, "VC-0510", &w->about,
		     "has no entry for auth-realm [%s], seen in challenges",
		     w->auth_realm);
}

/* One finding for each realm and auth-realm, however many look-ups lack it */
static void wants_end(struct survey *s)
{
	const struct want *told = NULL;

	for (size_t i = 0; i < s->wants.n; i++) {
		const struct want *w = &s->wants.v[i];

		if (w->met)
			continue;
		if (!w->auth_realm) {
			lookup_missing(s, w);
			continue;
		}
		if (told && !strcmp(told->realm, w->realm) &&
		    told->auth_realm == w->auth_realm)
			continue;
		told = w;
		seen_missing(s, w);
	}
}

/* --- Credentials of single AoRs ------------------------------------------ */

struct aors {
	struct survey *s;
	char key[1024];
	const struct item *item; /* NULL: no agent has the key */
	uint64_t of, other;      /* its AoRs; others */
	const struct item **own; /* agents that have any */
	size_t n;
};

static bool is_number(const char *p, size_t n, uint64_t *number)
{
	*number = 0;
	for (size_t i = 0; i < n; i++) {
		if (p[i] < '0' || p[i] > '9' || n > 18)
			return false;
		*number = *number * 10 + (uint64_t)(p[i] - '0');
	}

	return n > 0;
}

/* Is it a user of the agent (behaviour.md 4.2)? */
static bool is_user_of(const struct surrogate_agent *a, const char *user)
{
	const char *template = a->register_user;
	size_t head = strcspn(template, "^");
	size_t width = strspn(template + head, "^");
	const char *tail = template + head + width;
	size_t n = strlen(user), rest = strlen(tail);
	uint64_t number;

	if (a->aor_count <= 1 && !width)
		return !strcmp(user, template);
	if (n < head || memcmp(user, template, head))
		return false;
	if (!width) /* user, user1, user2, ... */
		return n == head ||
		       (user[head] != '0' &&
			is_number(user + head, n - head, &number) &&
			number < a->aor_count);

	return n == head + width + rest && !strcmp(user + head + width, tail) &&
	       is_number(user + head, width, &number) &&
	       number >= a->count_start &&
	       number - a->count_start < a->aor_count;
}

static void agent_end(struct aors *aors)
{
	const struct surrogate_agent *a;
	struct finding_about about;

	if (!aors->item)
		return;
	aors->own[aors->n++] = aors->item;
	a = aors->item->value;
	about = about_item(aors->item);
	about.parameter = "aor-count";
	about.value = survey_text(aors->s, "%u", a->aor_count);
	if (aors->other || aors->of < a->aor_count)
		survey_found(aors->s, "VC-0418", &about,
			     "has [%u] AoRs but own credentials for "
			     "[%" PRIu64 "]",
			     a->aor_count, aors->of);
}

static int aor_take(const char *agent, const char *user, void *arg)
{
	struct aors *aors = arg;

	if (strcmp(agent, aors->key)) { /* rows of one stand together */
		struct pl key;

		agent_end(aors);
		str_ncpy(aors->key, agent, sizeof(aors->key));
		pl_set_str(&key, aors->key);
		aors->item = config_item_find(aors->s->cfg,
					      &element_surrogate_agent, &key);
		aors->of = aors->other = 0;
	}
	if (aors->item && is_user_of(aors->item->value, user))
		aors->of++;
	else
		aors->other++;

	return aors->s->err;
}

static int item_order(const void *pa, const void *pb)
{
	uintptr_t a = (uintptr_t) * (const struct item *const *)pa;
	uintptr_t b = (uintptr_t) * (const struct item *const *)pb;

	return a < b ? -1 : a > b;
}

static bool has_own(const struct aors *aors, const struct item *item)
{
	return aors->n && bsearch(&item, aors->own, aors->n,
				  sizeof(const struct item *), item_order);
}

static void passwords(struct survey *s, const struct aors *aors)
{
	size_t n = config_count(s->cfg, &element_surrogate_agent);

	for (size_t i = 0; i < n; i++) {
		const struct item *item =
			config_item_at(s->cfg, &element_surrogate_agent, i);
		const struct surrogate_agent *a = item->value;
		struct finding_about about = about_item(item);

		about.parameter = "password";
		if (a->state && a->register_mode == REGISTER_MODE_AUTOMATIC &&
		    !secret_is_set(&a->password) && !*a->auth_plugin &&
		    !has_own(aors, item))
			survey_found(s, "VC-0417", &about, "has no password");
	}
}

static void agents(struct survey *s)
{
	const struct outside *o = s->outside;
	size_t n = config_count(s->cfg, &element_surrogate_agent);
	struct aors aors = {
		.s = s, .own = calloc(n + 1, sizeof(const struct item *))
	};
	int err = aors.own ? 0 : ENOMEM;

	if (!err && o->aors)
		err = o->aors(aor_take, &aors, o->arg);
	if (!err) {
		agent_end(&aors);
		qsort(aors.own, aors.n, sizeof(const struct item *),
		      item_order);
		passwords(s, &aors);
	}
	if (err && !s->err)
		s->err = err;
	free(aors.own);
}

void check_rows(struct survey *s)
{
	const struct outside *o = s->outside;
	struct walk walk = { .s = s };
	int err = 0;

	if (s->wants.n)
		qsort(s->wants.v, s->wants.n, sizeof(*s->wants.v), want_order);
	if (o->rows)
		err = o->rows(row_take, &walk, o->arg);
	realm_end(&walk);
	if (err && !s->err)
		s->err = err;
	wants_end(s);
	agents(s);
}
