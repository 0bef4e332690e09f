/*
 * A configuration as a JSON tree
 */
#include <string.h>
#include "cli/tree.h"

static bool is_written(const struct element *type, const struct field *f,
		       const void *item)
{
	if (f->flags & READONLY)
		return false;
	if (f->flags & (KEY | REQUIRED))
		return !field_is_empty(f, item) || f->dflt;

	return !field_is_default(type, f, item);
}

struct part {
	const struct field *f;
	const void *slot;
	uint32_t i;
};

static int part_print(struct re_printf *pf, const struct part *p)
{
	return p->f->type->print_at(pf, p->slot, p->i);
}

struct whole {
	const struct field *f;
	const void *item;
};

static int whole_print(struct re_printf *pf, const struct whole *w)
{
	return field_show(pf, w->f, w->item);
}

static void value_json(struct reply *r, const struct field *f, const void *item)
{
	struct part part = { f, field_slot_const(f, item), 0 };
	struct whole whole = { f, item };
	uint32_t n;

	if (f->type == &type_number) {
		json_number(r, f->name, *(const uint32_t *)part.slot);
		return;
	}
	if (!f->type->list) {
		json_print(r, f->name, (re_printf_h *)whole_print, &whole);
		return;
	}
	n = *(const uint32_t *)part.slot;
	json_open(r, f->name, '[');
	for (; part.i < n; part.i++)
		json_print(r, NULL, (re_printf_h *)part_print, &part);
	json_close(r, ']');
}

static void members_json(struct reply *r, const struct element *type,
			 const void *item);

static void children_json(struct reply *r, const struct field *f,
			  const void *item)
{
	const struct items *items = field_slot_const(f, item);

	json_open(r, f->name, '[');
	for (uint32_t i = 0; i < items->n; i++) {
		json_open(r, NULL, '{');
		members_json(r, f->child, items->v[i]);
		json_close(r, '}');
	}
	json_close(r, ']');
}

static void members_json(struct reply *r, const struct element *type,
			 const void *item)
{
	for (const struct field *f = type->fields; f->name; f++) {
		if (!is_written(type, f, item))
			continue;
		if (f->child)
			children_json(r, f, item);
		else
			value_json(r, f, item);
	}
}

static void objects_json(struct reply *r, const struct tree_setup *setup,
			 const struct element *type)
{
	const void *found = setup->key.l
				    ? config_find(setup->cfg, type, &setup->key)
				    : NULL;
	size_t n = config_count(setup->cfg, type);

	json_open(r, type->name, '[');
	for (size_t i = 0; i < n; i++) {
		const void *item = config_at(setup->cfg, type, i);

		if (found && item != found)
			continue;
		json_open(r, NULL, '{');
		members_json(r, type, item);
		json_close(r, '}');
	}
	json_close(r, ']');
}

static void element_json(struct reply *r, const struct tree_setup *setup,
			 const struct element *type)
{
	if (!(type->flags & SINGLE)) {
		objects_json(r, setup, type);
		return;
	}
	json_open(r, type->name, '{');
	members_json(r, type, config_single(setup->cfg, type));
	json_close(r, '}');
}

/* As in YAML, what has nothing to say is left out, unless it was asked for */
static bool is_shown(const struct tree_setup *setup, const struct element *type)
{
	const void *item;

	if (setup->only)
		return setup->only == type;
	if (!(type->flags & SINGLE))
		return config_count(setup->cfg, type) > 0;

	item = config_single(setup->cfg, type);
	for (const struct field *f = type->fields; f->name; f++) {
		if (is_written(type, f, item))
			return true;
	}
	return false;
}

void tree_json(struct reply *r, const struct tree_setup *setup)
{
	static const char *const folders[] = { "system", "media-manager",
					       "session-router", "security" };

	json_open(r, NULL, '{');
	for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
		bool begun = false;

		for (const struct element *const *e = elements; *e; e++) {
			if (strcmp((*e)->folder, folders[i]) ||
			    !is_shown(setup, *e))
				continue;
			if (!begun)
				json_open(r, folders[i], '{');
			begun = true;
			element_json(r, setup, *e);
		}
		if (begun)
			json_close(r, '}');
	}
	json_close(r, '}');
}

/* --- Differences ---------------------------------------------------------- */

static bool children_same(const struct element *type, const struct items *a,
			  const struct items *b)
{
	bool same = a->n == b->n;

	for (uint32_t i = 0; same && i < a->n; i++)
		same = item_same(type, a->v[i], b->v[i]);
	return same;
}

/* The parameters that are not as in the other one, defaults too */
static void changes_json(struct reply *r, const struct element *type,
			 const void *item, const void *other)
{
	for (const struct field *f = type->fields; f->name; f++) {
		const void *a = field_slot_const(f, item);
		const void *b = field_slot_const(f, other);

		if (f->flags & READONLY)
			continue;
		if (f->child && !children_same(f->child, a, b))
			children_json(r, f, item);
		else if (!f->child && !f->type->same(a, b))
			value_json(r, f, item);
	}
}

static void side_json(struct reply *r, const char *name,
		      const struct element *type, const void *item,
		      const void *other)
{
	if (!item) {
		json_text(r, name, NULL);
		return;
	}
	json_open(r, name, '{');
	if (other)
		changes_json(r, type, item, other);
	else
		members_json(r, type, item);
	json_close(r, '}');
}

static void key_json(struct reply *r, const struct element *type,
		     const void *item)
{
	if (type->flags & SINGLE) {
		json_text(r, "key", NULL);
		return;
	}
	json_open(r, "key", '[');
	for (const struct field *f = type->fields; f->name; f++) {
		const struct whole whole = { f, item };

		if (f->flags & KEY)
			json_print(r, NULL, (re_printf_h *)whole_print, &whole);
	}
	json_close(r, ']');
}

void tree_difference_json(struct reply *r, const struct difference *d)
{
	static const char *const whats[] = {
		[DIFF_ADDED] = "added",
		[DIFF_REMOVED] = "removed",
		[DIFF_CHANGED] = "changed",
	};
	char path[128];

	(void)re_snprintf(path, sizeof(path), "%s/%s", d->type->folder,
			  d->type->name);
	json_open(r, NULL, '{');
	json_text(r, "element", d->type->name);
	json_text(r, "path", path);
	key_json(r, d->type, d->after ? d->after : d->before);
	json_text(r, "what", whats[d->what]);
	side_json(r, "before", d->type, d->before, d->after);
	side_json(r, "after", d->type, d->after, d->before);
	json_close(r, '}');
}
