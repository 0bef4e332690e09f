/*
 * Rules for any element: references, required values, names, options
 *
 * These walk the tables of the schema, so a new parameter is checked without a
 * word here (acli.md 3.4).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "store/checks/checks.h"

/* An object with all that a finding about it needs */
struct subject {
	const struct element *type;
	const void *value;
	struct finding_about about;
};

static struct finding_about about_field(const struct subject *o,
					const struct field *f,
					const char *value)
{
	struct finding_about about = o->about;

	about.field = f;
	about.value = value;
	return about;
}

/* --- References ---------------------------------------------------------- */

static bool is_target(const struct survey *s, const char *to, const char *name)
{
	const struct element *type;
	struct pl pl, key;

	if (!strcmp(to, element_realm_config.name))
		return survey_realm(s, name) != NULL;
	if (!strcmp(to, element_session_agent.name))
		return survey_agent(s, name, NULL) != NULL;

	pl_set_str(&pl, to);
	pl_set_str(&key, name);
	type = element_find(&pl);
	/* else this version has no such element */
	return type && config_find(s->cfg, type, &key);
}

static void reference(struct survey *s, const struct subject *o,
		      const struct field *f, const char *to, const char *name)
{
	struct finding_about about = about_field(o, f, name);
	const struct realm_facts *realm = NULL;
	const char *near;

	if (!*name || ((f->flags & ANY_TOO) && !strcmp(name, "*")) ||
	    is_target(s, to, name))
		return;

	if (!strcmp(to, element_realm_config.name))
		realm = survey_realm_nocase(s, name);
	if (realm) {
		near = realm->config->identifier;
		about.hint = survey_text(s,
					 "Did you mean [%s]? Names are "
					 "case-sensitive",
					 near);
		survey_found(s, "VC-0103", &about,
			     "has reference to %s [%s] which does not exist, "
			     "but %s [%s] does",
			     to, name, to, near);
		return;
	}

	about.hint = f->flags & SOFT
			     ? survey_text(s,
					   "Create %s [%s] or empty %s, it has "
					   "no effect",
					   to, name, f->name)
			     : survey_text(s, "Create %s [%s] or correct %s",
					   to, name, f->name);
	survey_found(s, f->flags & SOFT ? "VC-0102" : "VC-0101", &about,
		     "has reference to %s [%s] which does not exist", to, name);
}

/* "SAG:name" and its like name elements that this version does not have */
static void table_reference(struct survey *s, const struct subject *o,
			    const struct field *f, const char *target)
{
	static const struct {
		const char *prefix, *to;
	} tables[] = {
		{ "SAG:", "session-group" },
		{ "enum:", "enum-config" },
		{ "lrt:", "local-routing-config" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(tables); i++) {
		size_t n = strlen(tables[i].prefix);

		if (strncasecmp(target, tables[i].prefix, n))
			continue;
		reference(s, o, f, tables[i].to,
			  survey_text(s, "%.*s", (int)strcspn(target + n, ";"),
				      target + n));
	}
}

static void field_references(struct survey *s, const struct subject *o,
			     const struct field *f)
{
	const void *slot = field_slot_const(f, o->value);

	if (f->type == &type_target)
		table_reference(s, o, f, *(char *const *)slot);
	if (!f->to)
		return;
	if (f->type == &type_names) {
		const struct names *names = slot;

		for (uint32_t i = 0; i < names->n; i++)
			reference(s, o, f, f->to, names->v[i]);
	} else {
		reference(s, o, f, f->to, *(char *const *)slot);
	}
}

/* --- Values -------------------------------------------------------------- */

static bool is_secret(const struct field *f)
{
	return f->type == &type_secret || (f->flags & SECRET);
}

static void field_required(struct survey *s, const struct subject *o,
			   const struct field *f)
{
	struct finding_about about = about_field(o, f, NULL);

	if (!(f->flags & REQUIRED) || !field_is_empty(f, o->value))
		return;

	about.hint = survey_text(s, "Set %s", f->name);
	survey_found(s, "VC-0104", &about, "is missing %s entry", f->name);
}

static bool is_known_option(const struct field *f, const char *option)
{
	size_t n = strcspn(option, "=");

	for (const char *const *w = f->words; w && *w; w++) {
		if (strlen(*w) == n && !strncmp(*w, option, n))
			return true;
	}

	return false;
}

static void field_options(struct survey *s, const struct subject *o,
			  const struct field *f)
{
	const struct names *options;

	if (f->type != &type_options)
		return;

	options = field_slot_const(f, o->value);
	for (uint32_t i = 0; i < options->n; i++) {
		struct finding_about about = about_field(o, f, options->v[i]);

		if (!is_known_option(f, options->v[i]))
			survey_found(s, "VC-0114", &about,
				     "has unknown option [%s]", options->v[i]);
	}
}

/* A reference to an element that is not there has its finding already */
static bool is_served(const struct field *f)
{
	struct pl to;

	if (!(f->flags & UNSERVED) || (f->flags & READONLY))
		return true;
	if (!f->to)
		return false;
	pl_set_str(&to, f->to);
	return !element_find(&to);
}

/* One word of many that nothing obeys yet */
static bool is_idle_word(const struct subject *o, const struct field *f)
{
	return o->type == &element_alarm_threshold &&
	       !strcmp(f->name, "type") &&
	       ((const struct alarm_threshold *)o->value)->type ==
		       ALARM_TYPE_DENY_ALLOCATION;
}

static void field_served(struct survey *s, const struct subject *o,
			 const struct field *f)
{
	struct finding_about about = about_field(o, f, NULL);

	if (!is_idle_word(o, f) &&
	    (is_served(f) || field_is_default(o->type, f, o->value)))
		return;

	about.hint = survey_text(s, "Leave %s at its default", f->name);
	if (is_secret(f)) {
		survey_found(s, "VC-0119", &about,
			     "has %s which has no effect in this version",
			     f->name);
		return;
	}
	about.value = survey_value(s, f, o->value);
	survey_found(s, "VC-0119", &about,
		     "has %s [%s] which has no effect in this version", f->name,
		     about.value);
}

/* A port that is configured and stays closed is more than a note */
static void transport_served(struct survey *s, const struct subject *o)
{
	const struct sip_port *port = o->value;
	struct finding_about about = o->about;
	struct pl name = PL("transport-protocol");

	if (o->type != &element_sip_port ||
	    port->transport_protocol <= TRANSPORT_PROTOCOL_TCP)
		return;

	about.field = field_find(o->type, &name);
	about.value = survey_value(s, about.field, o->value);
	about.hint = "Use UDP or TCP";
	about.severity = SEVERITY_WARNING;
	about.severity_set = true;
	survey_found(s, "VC-0119", &about,
		     "has transport-protocol [%s] which has no effect in this "
		     "version",
		     about.value);
}

/* --- Values that another value makes idle -------------------------------- */

/* p has no effect while q has its default */
static const struct idle {
	const struct element *type;
	const char *p, *q;
} idles[] = {
	{ &element_session_agent, "max-sessions", "constraints" },
	{ &element_session_agent, "max-inbound-sessions", "constraints" },
	{ &element_session_agent, "max-outbound-sessions", "constraints" },
	{ &element_session_agent, "max-burst-rate", "constraints" },
	{ &element_session_agent, "max-inbound-burst-rate", "constraints" },
	{ &element_session_agent, "max-outbound-burst-rate", "constraints" },
	{ &element_session_agent, "burst-rate-window", "constraints" },
	{ &element_session_agent, "max-sustain-rate", "constraints" },
	{ &element_session_agent, "max-inbound-sustain-rate", "constraints" },
	{ &element_session_agent, "max-outbound-sustain-rate", "constraints" },
	{ &element_session_agent, "sustain-rate-window", "constraints" },
	{ &element_session_agent, "min-seizures", "constraints" },
	{ &element_session_agent, "min-asr", "constraints" },
	{ &element_session_agent, "time-to-resume", "constraints" },
	{ &element_session_agent, "max-register-burst-rate", "constraints" },
	{ &element_session_agent, "max-register-sustain-rate", "constraints" },
	{ &element_session_agent, "register-burst-window", "constraints" },
	{ &element_session_agent, "cac-alarm-threshold", "constraints" },
	{ &element_session_agent, "ping-interval", "ping-method" },
	{ &element_session_agent, "ping-method", "ping-interval" },
	{ &element_session_agent, "ping-send-mode", "ping-method" },
	{ &element_session_agent, "ping-from-user-part", "ping-method" },
	{ &element_session_agent, "ping-to-user-part", "ping-method" },
	{ &element_session_agent, "ping-all-addresses", "ping-method" },
	{ &element_session_agent, "ping-in-service-response-codes",
	  "ping-method" },
	{ &element_surrogate_agent, "triggered-inactivity-interval",
	  "register-mode" },
	{ &element_surrogate_agent, "triggered-oos-response", "register-mode" },
	{ &element_sip_port, "tls-profile", "transport-protocol" },
};

static void idle_values(struct survey *s, const struct subject *o)
{
	for (size_t i = 0; i < ARRAY_SIZE(idles); i++) {
		const struct field *p, *q;
		struct finding_about about;
		struct pl name;

		if (idles[i].type != o->type)
			continue;
		pl_set_str(&name, idles[i].p);
		p = field_find(o->type, &name);
		pl_set_str(&name, idles[i].q);
		q = field_find(o->type, &name);
		if (!p || !q || (p->flags & UNSERVED) ||
		    field_is_default(o->type, p, o->value) ||
		    !field_is_default(o->type, q, o->value))
			continue;
		about = about_field(o, p, survey_value(s, p, o->value));
		about.hint = survey_text(s, "Change %s or clear %s", q->name,
					 p->name);
		survey_found(s, "VC-0113", &about,
			     "has %s [%s] which has no effect while %s is [%s]",
			     p->name, about.value, q->name,
			     survey_value(s, q, o->value));
	}
}

/* --- Walk ---------------------------------------------------------------- */

static bool key_is_unserved(const struct element *type)
{
	for (const struct field *f = type->fields; f->name; f++) {
		if ((f->flags & KEY) && (f->flags & UNSERVED))
			return true;
	}

	return false;
}

static void subject_check(struct survey *s, const struct subject *o)
{
	/* Where a whole sub-element has no effect, its key says so for all */
	bool whole = key_is_unserved(o->type);

	for (const struct field *f = o->type->fields; f->name; f++) {
		if (!f->type)
			continue;
		field_references(s, o, f);
		field_required(s, o, f);
		field_options(s, o, f);
		if (!whole || (f->flags & KEY))
			field_served(s, o, f);
	}
	transport_served(s, o);
	idle_values(s, o);
}

static void item_check(struct survey *s, const struct item *item)
{
	struct subject o = { item->type, item->value, about_item(item) };

	subject_check(s, &o);
	for (const struct field *f = item->type->fields; f->name; f++) {
		const struct items *items;

		if (!f->child)
			continue;
		items = field_slot_const(f, item->value);
		for (uint32_t i = 0; i < items->n; i++) {
			struct subject child = { f->child, items->v[i],
						 about_child(item, f->child,
							     items->v[i]) };

			subject_check(s, &child);
		}
	}
}

/* --- Names that differ in case only -------------------------------------- */

/* Hosts are compared without case, other keys are no names: realms are left */
static void names_check(struct survey *s)
{
	for (size_t i = 1; i < s->realms_n; i++) {
		const struct realm_facts *a = s->realm_nocase[i - 1];
		const struct realm_facts *b = s->realm_nocase[i];
		struct finding_about about = about_item(b->item);

		about.parameter = "identifier";
		about.value = b->config->identifier;
		if (!strcasecmp(a->config->identifier, b->config->identifier))
			survey_found(s, "VC-0107", &about,
				     "and [%s] differ in case only",
				     a->config->identifier);
	}
}

/* --- What nobody refers to ----------------------------------------------- */

/* Realms, agents and groups are found by what calls bring, too */
static bool is_named_for_use(const struct element *type)
{
	static const char *const others[] = { "realm-config", "session-agent",
					      "session-group" };

	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		if (!strcmp(type->name, others[i]))
			return false;
	}

	return true;
}

/* Names of objects of one element that somebody refers to */
struct used {
	const char *to;
	const char **v;
	size_t n, room;
};

static void used_add(struct survey *s, struct used *used, const char *name)
{
	if (!*name || s->err)
		return;
	if (used->n == used->room) {
		size_t room = used->room ? used->room * 2 : 64;
		const char **v = realloc(used->v, room * sizeof(*v));

		if (!v) {
			s->err = ENOMEM;
			return;
		}
		used->v = v;
		used->room = room;
	}
	used->v[used->n++] = name;
}

static void used_gather(struct survey *s, struct used *used,
			const struct element *type, const void *value)
{
	for (const struct field *f = type->fields; f->name; f++) {
		const void *slot = field_slot_const(f, value);
		const struct names *names = slot;
		const struct items *items = slot;

		if (f->child) {
			for (uint32_t i = 0; i < items->n; i++)
				used_gather(s, used, f->child, items->v[i]);
		} else if (!f->to || strcmp(f->to, used->to)) {
			continue;
		} else if (f->type == &type_names) {
			for (uint32_t i = 0; i < names->n; i++)
				used_add(s, used, names->v[i]);
		} else {
			used_add(s, used, *(char *const *)slot);
		}
	}
}

static int text_order(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Can it be referred to at all: is it some field's element? */
static bool has_references(const struct element *type, const char *to)
{
	for (const struct field *f = type->fields; f->name; f++) {
		if (f->to && !strcmp(f->to, to))
			return true;
		if (f->child && has_references(f->child, to))
			return true;
	}
	return false;
}

static bool is_referable(const struct element *type)
{
	for (const struct element *const *e = elements; *e; e++) {
		if (has_references(*e, type->name))
			return !(type->flags & SINGLE) &&
			       is_named_for_use(type);
	}
	return false;
}

static void unused(struct survey *s, const struct element *type)
{
	struct used used = { .to = type->name };

	if (!config_count(s->cfg, type))
		return;
	for (const struct element *const *e = elements; *e; e++) {
		size_t n = has_references(*e, type->name)
				   ? config_count(s->cfg, *e)
				   : 0;

		for (size_t i = 0; i < n; i++)
			used_gather(s, &used, *e, config_at(s->cfg, *e, i));
	}
	if (used.n)
		qsort(used.v, used.n, sizeof(*used.v), text_order);
	for (size_t i = 0; i < config_count(s->cfg, type) && !s->err; i++) {
		const struct item *item = config_item_at(s->cfg, type, i);
		struct finding_about about = about_item(item);
		const char *key = survey_key(s, type, item->value);

		if (!used.n ||
		    !bsearch(&key, used.v, used.n, sizeof(*used.v), text_order))
			survey_found(s, "VC-0111", &about,
				     "is not used by any element");
	}
	free(used.v);
}

void check_values(struct survey *s)
{
	for (const struct element *const *e = elements; *e; e++) {
		size_t n = config_count(s->cfg, *e);

		for (size_t i = 0; i < n; i++)
			item_check(s, config_item_at(s->cfg, *e, i));
		if (is_referable(*e))
			unused(s, *e);
	}
	names_check(s);
}
