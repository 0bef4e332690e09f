/*
 * What is possible at a place of the configuration tree: words, keys, values
 */
#include <string.h>
#include "store/elements/elements.h"
#include "cli/places.h"

enum {
	KEYS = 1000 /* choices that are made of keys or references */
};

/* clang-format off */
static const struct {
	const char *name, *help;
} folders[] = {
	{ "system",         "The machine as a whole" },
	{ "media-manager",  "Realms and media" },
	{ "session-router", "Interfaces, agents, policies" },
	{ "security",       "Certificates, keys, who may log in" },
};
static const struct {
	const char *name, *help;
	enum { OF_ALL, OF_MANY, OF_ARGUMENTS } of; /* elements with several
						      objects */
} verbs[] = {
	{ "copy",    "The loaded values as a new object: KEY", OF_MANY },
	{ "default", "A parameter back to its default: PARAMETER", OF_ALL },
	{ "default", "A parameter back to its default: PARAMETER", OF_ARGUMENTS },
	{ "done",    "Check and store: [all]", OF_ALL },
	{ "exit",    "One level up", OF_ALL },
	{ "new",     "A fresh object", OF_MANY },
	{ "no",      "Delete: [KEY] [force|cascade]", OF_ALL },
	{ "quit",    "Back to superuser mode", OF_ALL },
	{ "select",  "Load a stored object: [KEY]", OF_MANY },
	{ "show",    "The object at hand: [short]", OF_ALL },
	{ "show",    "Run it with these arguments", OF_ARGUMENTS },
};
/* clang-format on */
enum {
	FOLDERS = sizeof(folders) / sizeof(folders[0]),
	VERBS = sizeof(verbs) / sizeof(verbs[0])
};

bool is_folder(const char *name)
{
	for (size_t i = 0; i < FOLDERS; i++)
		if (!strcmp(folders[i].name, name))
			return true;
	return false;
}

static void folders_add(struct choices *c)
{
	for (size_t i = 0; i < FOLDERS; i++)
		choices_word(c, CHOICE_FOLDER, folders[i].name, folders[i].help,
			     folders[i].name);
}

static void elements_add(struct choices *c, const char *folder)
{
	for (const struct element *const *e = elements; *e; e++) {
		if (folder && strcmp((*e)->folder, folder))
			continue;
		choices_word(c, CHOICE_ELEMENT, (*e)->name, (*e)->help, *e);
		if ((*e)->alias)
			choices_word(c, CHOICE_ELEMENT, (*e)->alias, (*e)->help,
				     *e);
	}
}

void place_parameters(struct choices *c, const struct element *type)
{
	for (const struct field *f = type->fields; f->name; f++)
		if (!f->child && !(f->flags & READONLY))
			choices_word(c, CHOICE_PARAMETER, f->name, f->help, f);
}

static void verbs_add(struct choices *c, const struct place *place)
{
	bool single = place->type->flags & SINGLE;

	for (size_t i = 0; i < VERBS; i++)
		if ((verbs[i].of == OF_ARGUMENTS) == place->asks &&
		    (verbs[i].of != OF_MANY || !single))
			choices_word(c, CHOICE_VERB, verbs[i].name,
				     verbs[i].help, NULL);
}

static void element_words(struct choices *c, const struct element *type)
{
	place_parameters(c, type);
	for (const struct field *f = type->fields; f->name; f++) {
		if (!f->child)
			continue;
		choices_word(c, CHOICE_CHILD, f->child->name, f->help, f);
		if (f->child->alias)
			choices_word(c, CHOICE_CHILD, f->child->alias, f->help,
				     f);
	}
}

void place_words(struct choices *c, const struct place *place)
{
	if (place->type) {
		element_words(c, place->type);
		verbs_add(c, place);
	} else if (place->folder) {
		elements_add(c, place->folder);
	} else {
		folders_add(c);
	}
}

void place_elements(struct choices *c)
{
	elements_add(c, NULL);
}

void place_top(struct choices *c)
{
	folders_add(c);
	elements_add(c, NULL);
}

/* --- Keys --------------------------------------------------------------- */

size_t keys_count(const struct keys *keys)
{
	return keys->items ? keys->items->n
	       : keys->cfg ? config_count(keys->cfg, keys->type)
			   : 0;
}

const void *keys_at(const struct keys *keys, size_t n)
{
	return keys->items ? keys->items->v[n]
			   : config_at(keys->cfg, keys->type, n);
}

const void *keys_find(const struct keys *keys, const char *key)
{
	struct pl pl = { key, strlen(key) };

	if (keys->items)
		return items_find(keys->items, keys->type, key);
	return keys->cfg ? config_find(keys->cfg, keys->type, &pl) : NULL;
}

struct part {
	const struct field *f;
	const void *item;
};

static int part_print(struct re_printf *pf, const struct part *p)
{
	return field_show(pf, p->f, p->item);
}

/* The n-th part of a key, mem_deref; NULL: there is none */
static char *part_text(const struct element *type, const void *item, uint32_t n)
{
	struct part part = { type->fields, item };
	char *text = NULL;

	for (; part.f->name; part.f++) {
		if (!(part.f->flags & KEY) || n--)
			continue;
		(void)re_sdprintf(&text, "%H", part_print, &part);
		break;
	}
	return text;
}

uint32_t key_parts(const struct element *type)
{
	uint32_t n = 0;

	for (const struct field *f = type->fields; f->name; f++)
		n += (f->flags & KEY) != 0;
	return n;
}

static bool begins_with(const struct element *type, const void *item,
			char *const *words, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		char *part = part_text(type, item, i);
		bool same = part && !strcmp(part, words[i]);

		mem_deref(part);
		if (!same)
			return false;
	}
	return true;
}

static void key_add(struct choices *c, const struct object *object,
		    const char *part)
{
	char *help = NULL;

	if (!re_sdprintf(&help, "%H", summary_print, object))
		choices_word(c, CHOICE_VALUE, part, help, object->item);
	mem_deref(help);
}

static size_t same_bytes(const char *a, const char *b)
{
	size_t n = 0;

	while (a[n] && a[n] == b[n])
		n++;
	return n;
}

/* Of those that are too many one is added still: what all have in common must be
 * what all have in common */
struct odd {
	char *part; /* that differs first; NULL: none does */
	size_t same;
	const void *item;
};

static void odd_look(struct odd *odd, const char *first, const char *part,
		     const void *item)
{
	size_t same = same_bytes(first, part);

	if (odd->part && same >= odd->same)
		return;
	mem_deref(odd->part);
	odd->part = NULL;
	if (str_dup(&odd->part, part))
		return;
	odd->same = same;
	odd->item = item;
}

void place_keys(struct choices *c, const struct keys *keys, char *const *words,
		uint32_t n)
{
	size_t count = keys_count(keys);
	size_t begin = c->begin ? strlen(c->begin) : 0;
	struct odd odd = { .part = NULL };

	for (size_t i = 0; i < count; i++) {
		const void *item = keys_at(keys, i);
		struct object object = { keys->type, item };
		char *part;

		if (!begins_with(keys->type, item, words, n))
			continue;
		part = part_text(keys->type, item, n);
		if (part && *part &&
		    !strncmp(part, c->begin ? c->begin : "", begin)) {
			if (c->n < KEYS) {
				key_add(c, &object, part);
			} else {
				odd_look(&odd, c->v[0].word, part, item);
				c->left++;
			}
		}
		mem_deref(part);
	}
	if (odd.part) {
		struct object object = { keys->type, odd.item };

		key_add(c, &object, odd.part);
		c->left--;
		mem_deref(odd.part);
	}
}

/* Back to the last star only: no pattern takes longer than the text allows */
static bool pattern_fits(const char *pattern, const char *text)
{
	const char *star = NULL, *from = NULL;

	while (*text) {
		if (*pattern == '*') {
			star = pattern++;
			from = text;
		} else if (*pattern == *text) {
			pattern++;
			text++;
		} else if (star) {
			pattern = star + 1;
			text = ++from;
		} else {
			return false;
		}
	}
	while (*pattern == '*')
		pattern++;
	return !*pattern;
}

bool key_matches(const struct element *type, const void *item,
		 const char *filter)
{
	bool fits = !*filter;

	for (uint32_t i = 0; !fits; i++) {
		char *part = part_text(type, item, i);

		if (!part)
			return false;
		fits = strchr(filter, '*')
			       ? pattern_fits(filter, part)
			       : !strncmp(part, filter, strlen(filter));
		mem_deref(part);
	}
	return fits;
}

/* --- Values ------------------------------------------------------------- */

static const struct element *target_of(const struct field *f)
{
	struct pl name;

	if (f->type == &type_target)
		return &element_session_agent;
	if (!f->to)
		return NULL;
	pl_set_str(&name, f->to);
	return element_find(&name);
}

void place_values(struct choices *c, const struct field *f,
		  const struct config *cfg)
{
	struct keys keys = { target_of(f), cfg, NULL };

	if (f->type == &type_flag) {
		choices_word(c, CHOICE_VALUE, "enabled", "", NULL);
		choices_word(c, CHOICE_VALUE, "disabled", "", NULL);
	}
	for (const char *const *w = f->words; w && *w; w++)
		if (**w)
			choices_word(c, CHOICE_VALUE, *w, "", NULL);
	if (f->flags & ANY_TOO)
		choices_word(c, CHOICE_VALUE, "*", "any", NULL);
	if (keys.type)
		place_keys(c, &keys, NULL, 0);
}

/* --- Printers ----------------------------------------------------------- */

static int text_of(struct re_printf *pf, const char *name,
		   const struct object *o)
{
	struct pl pl;
	const struct field *f;

	pl_set_str(&pl, name);
	f = field_find(o->type, &pl);
	return f ? field_show(pf, f, o->item) : 0;
}

/* acli.md 1.3: what tells objects of an element apart, besides the key */
int summary_print(struct re_printf *pf, const struct object *o)
{
	if (o->type == &element_sip_interface) {
		const struct sip_interface *i = o->item;
		struct object port = { &element_sip_port, NULL };
		struct item_ref ref = { &element_sip_port, NULL };

		if (!i->sip_ports.n)
			return 0;
		ref.item = port.item = i->sip_ports.v[0];
		return re_hprintf(pf, "%H", item_key_print, &ref);
	}
	if (o->type == &element_session_agent) {
		const struct session_agent *a = o->item;

		return text_of(pf, "ip-address", o) |
		       re_hprintf(pf, " %s", a->realm_id);
	}
	if (o->type == &element_surrogate_agent) {
		const struct surrogate_agent *a = o->item;

		return re_hprintf(pf, "%u AoR%s, %s", a->aor_count,
				  a->aor_count == 1 ? "" : "s",
				  a->state ? "enabled" : "disabled");
	}
	if (o->type == &element_local_policy) {
		const struct local_policy *p = o->item;
		const struct policy_attribute *a;

		if (!p->policy_attributes.n)
			return 0;
		a = p->policy_attributes.v[0];
		return re_hprintf(pf, "%s", a->next_hop);
	}
	if (o->type == &element_steering_pool) {
		const struct steering_pool *p = o->item;

		return re_hprintf(pf, "ports %u-%u", p->start_port,
				  p->end_port);
	}
	return text_of(pf, "description", o);
}

int parameter_print(struct re_printf *pf, const struct parameter *p)
{
	const struct field *f = p->f;
	struct part part = { f, p->item };
	char *range = NULL;
	bool same;
	int err = re_sdprintf(&range, "%H", field_range_print, f);

	if (err)
		return err;
	same = !strcmp(range, f->type->name);
	err = re_hprintf(pf, "%s: %s\n", f->name, f->help);
	err |= re_hprintf(pf, "    %s%s%s, default %s", f->type->name,
			  same ? "" : ", ", same ? "" : range,
			  f->dflt && *f->dflt   ? f->dflt
			  : f->flags & REQUIRED ? "none: required"
						: "empty");
	if (p->item)
		err |= re_hprintf(pf, ", now %s%H",
				  field_is_empty(f, p->item) ? "empty" : "",
				  part_print, &part);
	mem_deref(range);
	return err | re_hprintf(pf, "\n");
}
