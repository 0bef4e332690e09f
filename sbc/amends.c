/*
 * Alarms of credentials, ended by a change of these
 */
#include <string.h>
#include "store/config.h"
#include "store/elements/elements.h"
#include "policy/identity.h"
#include "sbc/alarm.h"
#include "sbc/amends.h"

#define MISSING "auth-lookup-missing"
#define REFUSED "auth-credentials-refused"

struct runs {
	const struct config *now, *before;
};

static struct pl text_of(const char *text)
{
	struct pl pl;

	pl_set_str(&pl, text);

	return pl;
}

/** Is the object of the alarm these two words, cut as it was? */
static bool is_object(const char *object, const char *a, const char *b)
{
	const size_t most = sizeof(((struct alarm_report *)0)->object) - 1;
	size_t n = strlen(a);

	if (n >= most)
		return !strncmp(object, a, most);

	return !strncmp(object, a, n) && object[n] == ' ' &&
	       !strncmp(object + n + 1, b, most - n - 1);
}

/** The object of the other configuration with the same key; NULL: none */
static const void *twin(const struct config *cfg, const struct element *type,
			const void *item)
{
	const struct item_ref ref = { type, item };
	char key[1024];
	struct pl pl = { key, 0 };
	int n = re_snprintf(key, sizeof(key), "%H", item_key_print, &ref);

	pl.l = n < 0 ? 0 : (size_t)n;

	return n < 0 ? NULL : config_find(cfg, type, &pl);
}

/* Look-ups without an entry --------------------------------------------------- */

static bool has_lookup(const struct realm_config *realm, const char *object)
{
	for (uint32_t i = 0; i < realm->auth_attributes.n; i++) {
		const struct auth_attribute *entry =
			realm->auth_attributes.v[i];

		if (is_object(object, realm->identifier,
			      entry->auth_user_lookup))
			return true;
	}

	return false;
}

/** "realm lookup": names of realms hold no blanks */
static bool is_there_now(const struct runs *c, const char *object)
{
	struct pl name = { object, strcspn(object, " ") };
	const struct realm_config *now = config_find(
					  c->now, &element_realm_config, &name),
				  *before = config_find(c->before,
							&element_realm_config,
							&name);

	return now && has_lookup(now, object) &&
	       (!before || !item_same(&element_realm_config, now, before));
}

/* Credentials that were refused ------------------------------------------------ */

/** Was the entry of this alarm in `list`, and is it not the same in `other`? */
static bool entry_differs(const struct element *type, const struct items *list,
			  const struct items *other, const char *object)
{
	for (uint32_t i = 0; i < list->n; i++) {
		const struct auth_attribute *entry = list->v[i];
		bool same = false;

		if (!is_object(object, entry->auth_realm, entry->username))
			continue;
		for (uint32_t k = 0; other && k < other->n && !same; k++)
			same = item_same(type, entry, other->v[k]);
		if (!same)
			return true;
	}

	return false;
}

static bool is_realms(const struct runs *c, const char *object)
{
	size_t n = config_count(c->before, &element_realm_config);

	for (size_t i = 0; i < n; i++) {
		const struct realm_config *before = config_at(
						  c->before,
						  &element_realm_config, i),
					  *now = twin(c->now,
						      &element_realm_config,
						      before);

		if (entry_differs(&element_realm_auth_attribute,
				  &before->auth_attributes,
				  now ? &now->auth_attributes : NULL, object))
			return true;
	}

	return false;
}

static bool is_session_agents(const struct runs *c, const char *object)
{
	size_t n = config_count(c->before, &element_session_agent);

	for (size_t i = 0; i < n; i++) {
		const struct session_agent *before = config_at(
						   c->before,
						   &element_session_agent, i),
					   *now = twin(c->now,
						       &element_session_agent,
						       before);

		if (entry_differs(&element_agent_auth_attribute,
				  &before->auth_attributes,
				  now ? &now->auth_attributes : NULL, object))
			return true;
	}

	return false;
}

/** Could the agent have answered with the user that stands behind the last
 *  blank? One of many AoRs is not asked for more exactly */
static bool answers_as(const struct surrogate_agent *agent, const char *object)
{
	const char *blank = strrchr(object, ' ');
	struct pl user = text_of(blank ? blank + 1 : object);
	uint32_t number;

	if (strchr(agent->auth_user, '^'))
		return true;

	return agent->auth_user[0] ? !pl_strcmp(&user, agent->auth_user)
				   : !aor_number(&number, agent, &user);
}

static bool is_surrogates(const struct runs *c, const char *object)
{
	size_t n = config_count(c->before, &element_surrogate_agent);

	for (size_t i = 0; i < n; i++) {
		const struct surrogate_agent
			*before = config_at(c->before, &element_surrogate_agent,
					    i),
			*now = twin(c->now, &element_surrogate_agent, before);

		if (answers_as(before, object) &&
		    (!now || !item_same(&element_surrogate_agent, now, before)))
			return true;
	}

	return false;
}

static void look_at_change(const struct alarm_report *a, void *arg)
{
	const struct runs *c = arg;

	if (!strcmp(a->name, MISSING) && is_there_now(c, a->object))
		alarm_clear(MISSING, a->object);
	if (!strcmp(a->name, REFUSED) &&
	    (is_realms(c, a->object) || is_session_agents(c, a->object) ||
	     is_surrogates(c, a->object)))
		alarm_clear(REFUSED, a->object);
}

void amends_of_change(const struct config *now, const struct config *before)
{
	struct runs runs = { now, before };

	if (now != before)
		alarms_walk(false, look_at_change, &runs);
}

/** An imported row tells neither its user nor what it replaced: the next call
 *  raises what is still refused */
static void look_at_import(const struct alarm_report *a, void *arg)
{
	const char *realm = arg;
	size_t n = realm ? strlen(realm) : 0;

	if (!strcmp(a->name, REFUSED))
		alarm_clear(REFUSED, a->object);
	if (realm && !strcmp(a->name, MISSING) &&
	    !strncmp(a->object, realm, n) && a->object[n] == ' ')
		alarm_clear(MISSING, a->object);
}

void amends_of_import(const char *realm)
{
	alarms_walk(false, look_at_import, (void *)(uintptr_t)realm);
}
