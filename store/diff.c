/*
 * What changed between two configurations, and what each change costs
 */
#include <string.h>
#include "store/base.h"
#include "store/diff.h"

enum {
	NEAR = 4 /* objects that are looked at before a key is looked up */
};

struct shown {
	const struct field *f;
	const void *item;
};

static int shown_print(struct re_printf *pf, const struct shown *s)
{
	return field_show(pf, s->f, s->item);
}

static bool keys_same(const struct element *type, const void *a, const void *b)
{
	for (const struct field *f = type->fields; f->name; f++) {
		if ((f->flags & KEY) && !f->type->same(field_slot_const(f, a),
						       field_slot_const(f, b)))
			return false;
	}

	return true;
}

static bool twins(const struct element *type, const void *a, const void *b)
{
	return (type->flags & SINGLE) || keys_same(type, a, b);
}

/* The object with the same key in the other configuration */
static const void *twin(const struct config *cfg, const struct element *type,
			const void *item)
{
	struct item_ref ref = { type, item };
	const void *found;
	char *text = NULL;
	struct pl key;

	if (type->flags & SINGLE)
		return config_single(cfg, type);
	if (re_sdprintf(&text, "%H", item_key_spell, &ref))
		return NULL;

	key.p = text;
	key.l = strlen(text);
	found = config_find(cfg, type, &key);
	mem_deref(text);

	/* config_find also knows the first part of a key */
	return found && keys_same(type, item, found) ? found : NULL;
}

static void element_walk(const struct config *before,
			 const struct config *after, const struct element *type,
			 difference_h *h, void *arg)
{
	size_t n = config_count(before, type);
	size_t m = config_count(after, type), k = 0;

	/* Most objects are the same one, a place further at most: keys are looked
	 * up only where that is not so */
	for (size_t i = 0; i < n; i++) {
		const void *was = config_at(before, type, i);
		const void *near = k < m ? config_at(after, type, k) : NULL;
		const void *now =
			was == near || (near && twins(type, was, near))
				? near
				: twin(after, type, was);
		struct difference d = { DIFF_CHANGED, type, was, now };

		k += now && now == near;
		if (was == now || (now && item_same(type, was, now)))
			continue;
		if (!now)
			d.what = DIFF_REMOVED;
		h(&d, arg);
	}

	k = 0;
	for (size_t i = 0; i < m; i++) {
		const void *now = config_at(after, type, i);
		const void *near;
		struct difference d = { DIFF_ADDED, type, NULL, now };

		/* What was removed is passed over as long as it is few */
		for (size_t j = k; j < n && j < k + NEAR; j++) {
			near = config_at(before, type, j);
			if (near != now && !twins(type, near, now))
				continue;
			k = j + 1;
			d.before = near;
			break;
		}
		if (d.before)
			continue;
		if (!twin(before, type, now))
			h(&d, arg);
	}
}

void diff_walk(const struct config *before, const struct config *after,
	       difference_h *h, void *arg)
{
	for (size_t i = 0; elements[i]; i++) {
		if (before->sections[i] != after->sections[i])
			element_walk(before, after, elements[i], h, arg);
	}
}

struct lines {
	struct re_printf *pf;
	unsigned indent; /* 0: elements; 1: their parameters */
};

static int line_begin(const struct lines *l, char sign)
{
	int err = 0;

	for (unsigned i = 0; i < l->indent; i++)
		err |= re_hprintf(l->pf, "  ");

	return err | re_hprintf(l->pf, "%c ", sign);
}

/* "session-router surrogate-agent [example.net alice pbx-a]", and below it
 * "  + policy-attributes [sw.example.net trunk 0]" */
static int name_print(const struct lines *l, char sign,
		      const struct element *type, const void *item)
{
	struct item_ref ref = { type, item };
	int err = 0;

	if (l->indent)
		err |= line_begin(l, sign);
	else
		err |= re_hprintf(l->pf, "%s ", type->folder);
	err |= re_hprintf(l->pf, "%s", type->name);
	if (!(type->flags & SINGLE))
		err |= re_hprintf(l->pf, " [%H]", item_key_print, &ref);

	return err | re_hprintf(l->pf, "\n");
}

static int field_line(const struct lines *l, char sign, const struct field *f,
		      const void *item, const char *tail)
{
	struct lines deeper = { l->pf, l->indent + 1 };
	struct shown shown = { f, item };
	int err = line_begin(&deeper, sign);

	return err | re_hprintf(l->pf, "%-31s %H%s\n", f->name, shown_print,
				&shown, tail);
}

static int item_lines(const struct lines *l, char sign,
		      const struct element *type, const void *item)
{
	struct lines deeper = { l->pf, l->indent + 1 };
	int err = name_print(l, sign, type, item);

	for (const struct field *f = type->fields; f->name; f++) {
		const struct items *items = field_slot_const(f, item);

		if (f->flags & READONLY)
			continue;
		for (uint32_t i = 0; f->child && i < items->n; i++)
			err |= item_lines(&deeper, sign, f->child, items->v[i]);
		if (!f->child &&
		    ((f->flags & KEY) || !field_is_default(type, f, item)))
			err |= field_line(l, sign, f, item, "");
	}

	return err;
}

static int change_lines(const struct lines *l, const struct element *type,
			const void *a, const void *b);

static const void *child_twin(const struct element *type, const void *item,
			      const struct items *items)
{
	for (uint32_t i = 0; i < items->n; i++) {
		if (keys_same(type, item, items->v[i]))
			return items->v[i];
	}

	return NULL;
}

static int child_lines(const struct lines *l, const struct element *type,
		       const struct items *a, const struct items *b)
{
	struct lines deeper = { l->pf, l->indent + 1 };
	int err = 0;

	for (uint32_t i = 0; i < a->n; i++) {
		const void *other = child_twin(type, a->v[i], b);

		if (!other)
			err |= item_lines(&deeper, '-', type, a->v[i]);
		else if (!item_same(type, a->v[i], other))
			err |= change_lines(&deeper, type, a->v[i], other);
	}
	for (uint32_t i = 0; i < b->n; i++) {
		if (!child_twin(type, b->v[i], a))
			err |= item_lines(&deeper, '+', type, b->v[i]);
	}

	return err;
}

static int change_lines(const struct lines *l, const struct element *type,
			const void *a, const void *b)
{
	int err = name_print(l, ' ', type, a);

	for (const struct field *f = type->fields; f->name; f++) {
		const void *x = field_slot_const(f, a);
		const void *y = field_slot_const(f, b);
		const char *tail = f->type == &type_secret ? " (changed)" : "";

		if (f->flags & READONLY)
			continue;
		if (f->child) {
			err |= child_lines(l, f->child, x, y);
			continue;
		}
		if (f->type->same(x, y))
			continue;
		err |= field_line(l, '-', f, a, "");
		err |= field_line(l, '+', f, b, tail);
	}

	return err;
}

static enum diff_cost dearest(enum diff_cost a, enum diff_cost b)
{
	return a > b ? a : b;
}

static enum diff_cost field_cost(const struct field *f)
{
	return f->flags & RESTART  ? COST_RESTART
	       : f->flags & REOPEN ? COST_REOPEN
				   : COST_LIVE;
}

/* An object that appears or disappears with its sub-elements */
static enum diff_cost item_cost(const struct element *type, const void *item)
{
	enum diff_cost cost = COST_LIVE;

	for (const struct field *f = type->fields; f->name; f++) {
		const struct items *items = field_slot_const(f, item);

		cost = dearest(cost, field_cost(f));
		for (uint32_t i = 0; f->child && i < items->n; i++)
			cost = dearest(cost, item_cost(f->child, items->v[i]));
	}

	return cost;
}

static enum diff_cost change_cost(const struct element *type, const void *a,
				  const void *b);

static enum diff_cost children_cost(const struct element *type,
				    const struct items *a,
				    const struct items *b)
{
	enum diff_cost cost = COST_LIVE;

	for (uint32_t i = 0; i < a->n; i++) {
		const void *other = child_twin(type, a->v[i], b);

		cost = dearest(cost, other ? change_cost(type, a->v[i], other)
					   : item_cost(type, a->v[i]));
	}
	for (uint32_t i = 0; i < b->n; i++) {
		if (!child_twin(type, b->v[i], a))
			cost = dearest(cost, item_cost(type, b->v[i]));
	}

	return cost;
}

static enum diff_cost change_cost(const struct element *type, const void *a,
				  const void *b)
{
	enum diff_cost cost = COST_LIVE;

	for (const struct field *f = type->fields; f->name; f++) {
		const void *x = field_slot_const(f, a);
		const void *y = field_slot_const(f, b);

		if (f->child)
			cost = dearest(cost, children_cost(f->child, x, y));
		else if (!f->type->same(x, y))
			cost = dearest(cost, field_cost(f));
	}

	return cost;
}

enum diff_cost difference_cost(const struct difference *d)
{
	switch (d->what) {
	case DIFF_ADDED:
		return item_cost(d->type, d->after);
	case DIFF_REMOVED:
		return item_cost(d->type, d->before);
	case DIFF_CHANGED:
		break;
	}

	return change_cost(d->type, d->before, d->after);
}

/* "surrogate-agent [k]" */
static int title_print(struct re_printf *pf, const struct element *type,
		       const void *item)
{
	struct item_ref ref = { type, item };

	if (type->flags & SINGLE)
		return re_hprintf(pf, "%s", type->name);

	return re_hprintf(pf, "%s [%H]", type->name, item_key_print, &ref);
}

static int value_print(struct re_printf *pf, const struct shown *s)
{
	return field_is_empty(s->f, s->item) ? re_hprintf(pf, "empty")
					     : shown_print(pf, s);
}

static int brief_changes(struct re_printf *pf, const struct element *type,
			 const void *a, const void *b, const char **join);

static int brief_children(struct re_printf *pf, const struct element *type,
			  const struct items *a, const struct items *b,
			  const char **join)
{
	int err = 0;

	for (uint32_t i = 0; i < a->n; i++) {
		const void *other = child_twin(type, a->v[i], b);
		const char *inner = " ";

		if (other && item_same(type, a->v[i], other))
			continue;
		err |= re_hprintf(pf, "%s", *join);
		err |= title_print(pf, type, a->v[i]);
		*join = ", ";
		if (other)
			err |= brief_changes(pf, type, a->v[i], other, &inner);
		else
			err |= re_hprintf(pf, " removed");
	}
	for (uint32_t i = 0; i < b->n; i++) {
		if (child_twin(type, b->v[i], a))
			continue;
		err |= re_hprintf(pf, "%s", *join);
		err |= title_print(pf, type, b->v[i]);
		err |= re_hprintf(pf, " added");
		*join = ", ";
	}

	return err;
}

static int brief_changes(struct re_printf *pf, const struct element *type,
			 const void *a, const void *b, const char **join)
{
	int err = 0;

	for (const struct field *f = type->fields; f->name; f++) {
		const void *x = field_slot_const(f, a);
		const void *y = field_slot_const(f, b);
		struct shown was = { f, a }, now = { f, b };

		if (f->flags & READONLY)
			continue;
		if (f->child) {
			err |= brief_children(pf, f->child, x, y, join);
			continue;
		}
		if (f->type->same(x, y))
			continue;
		err |= re_hprintf(pf, "%s%s ", *join, f->name);
		*join = ", ";
		if (f->flags & SECRET)
			err |= re_hprintf(pf, "changed");
		else
			err |= re_hprintf(pf, "%H -> %H", value_print, &was,
					  value_print, &now);
	}

	return err;
}

int difference_line_print(struct re_printf *pf, const struct difference *d)
{
	const char *join = " ";
	int err = title_print(pf, d->type, d->after ? d->after : d->before);

	switch (d->what) {
	case DIFF_ADDED:
		return err | re_hprintf(pf, " added");
	case DIFF_REMOVED:
		return err | re_hprintf(pf, " removed");
	case DIFF_CHANGED:
		break;
	}

	return err | brief_changes(pf, d->type, d->before, d->after, &join);
}

int difference_print(struct re_printf *pf, const struct difference *d)
{
	struct lines l = { pf, 0 };

	switch (d->what) {
	case DIFF_ADDED:
		return item_lines(&l, '+', d->type, d->after);
	case DIFF_REMOVED:
		return item_lines(&l, '-', d->type, d->before);
	case DIFF_CHANGED:
		return change_lines(&l, d->type, d->before, d->after);
	}

	return 0;
}
