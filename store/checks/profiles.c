/*
 * Rules for profiles: who answers a challenge, credentials or a plug-in
 *
 * A profile is a surrogate-agent, a session-agent or an auth-attribute
 * (acli.md 3.5); they share the names of their parameters. A session-agent has
 * no password of its own.
 */
#include "store/checks/checks.h"

static const void *slot_of(const struct element *type, const void *item,
			   const char *name)
{
	const struct field *f;
	struct pl pl;

	pl_set_str(&pl, name);
	f = field_find(type, &pl);

	return f ? field_slot_const(f, item) : NULL;
}

static void profile(struct survey *s, const struct element *type,
		    const void *item, struct finding_about about)
{
	const bool *handles = slot_of(type, item, "security-handling");
	const bool *passes = slot_of(type, item, "challenge-passthrough");
	char *const *plugin = slot_of(type, item, "auth-plugin");
	const struct secret *password = slot_of(type, item, "password");

	if (!handles || !passes || !plugin)
		return;

	about.parameter = "auth-plugin";
	about.value = **plugin ? *plugin : NULL;
	if (*handles && **plugin)
		survey_found(s, "VC-0917", &about,
			     "has auth-plugin [%s] that is never asked",
			     *plugin);
	if (!*handles && !*passes && !**plugin)
		survey_found(s, "VC-0915", &about,
			     "hands challenges out but has no auth-plugin");
	about.parameter = "password";
	about.value = NULL;
	if (!*handles && password && secret_is_set(password))
		survey_found(s, "VC-0916", &about,
			     "has a password that is never used");
}

static void profiles(struct survey *s, const struct element *type)
{
	size_t n = config_count(s->cfg, type);

	for (size_t i = 0; i < n; i++) {
		const struct item *item = config_item_at(s->cfg, type, i);

		profile(s, type, item->value, about_item(item));
		for (const struct field *f = type->fields; f->name; f++) {
			const struct items *items;

			if (!f->child)
				continue;
			items = field_slot_const(f, item->value);
			for (uint32_t j = 0; j < items->n; j++)
				profile(s, f->child, items->v[j],
					about_child(item, f->child,
						    items->v[j]));
		}
	}
}

void check_profiles(struct survey *s)
{
	profiles(s, &element_realm_config);
	profiles(s, &element_session_agent);
	profiles(s, &element_surrogate_agent);
}
