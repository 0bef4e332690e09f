/*
 * A configuration as ACLI text
 */
#include <string.h>
#include "store/base.h"
#include "store/text.h"

enum {
	INDENT = 4,
	COLUMN = 36, /* blanks and name before the value: column 37 */
};

static int pad(struct re_printf *pf, size_t from, size_t to)
{
	int err = 0;

	while (from++ < to)
		err |= re_hprintf(pf, " ");

	return err;
}

struct shown {
	const struct field *f;
	const void *item;
	bool clear;
};

static int shown_print(struct re_printf *pf, const struct shown *s)
{
	return s->clear ? field_print(pf, s->f, s->item)
			: field_show(pf, s->f, s->item);
}

int text_field_print(struct re_printf *pf, const struct text_field *t)
{
	struct shown shown = { t->field, t->item, t->clear };
	size_t used = t->indent + strlen(t->field->name);
	char *text = NULL;
	struct pl pl;
	int err = re_sdprintf(&text, "%H", shown_print, &shown);

	if (err)
		return err;

	err = pad(pf, 0, t->indent);
	err |= re_hprintf(pf, "%s", t->field->name);
	pl.p = text;
	pl.l = strlen(text);
	if (pl.l) {
		err |= pad(pf, used, used < COLUMN ? COLUMN : used + 1);
		/* A list has its quotes inside */
		err |= t->field->type->list ? re_hprintf(pf, "%s", text)
					    : value_quote(pf, &pl);
	}
	if (t->clear)
		secret_wipe_bytes(text, pl.l);
	mem_deref(text);

	return err | re_hprintf(pf, "\n");
}

static bool is_printed(const struct element *type, const struct field *f,
		       const void *item, bool brief)
{
	if (!brief || (f->flags & KEY))
		return true;

	return !(f->flags & READONLY) && !field_is_default(type, f, item);
}

int text_item_print(struct re_printf *pf, const struct text_item *t)
{
	int err = pad(pf, 0, t->indent);

	err |= re_hprintf(pf, "%s\n", t->type->name);
	for (const struct field *f = t->type->fields; f->name; f++) {
		struct text_field field = { f, t->item, t->indent + INDENT,
					    t->clear };

		if (!f->child && !(f->flags & READONLY) &&
		    is_printed(t->type, f, t->item, t->brief))
			err |= text_field_print(pf, &field);
	}
	for (const struct field *f = t->type->fields; f->name; f++) {
		const struct items *items = field_slot_const(f, t->item);

		if (f->child && t->brief &&
		    field_is_default(t->type, f, t->item))
			continue;
		for (uint32_t i = 0; f->child && i < items->n; i++) {
			struct text_item child = { f->child, items->v[i],
						   t->indent + INDENT, t->brief,
						   t->clear };

			err |= text_item_print(pf, &child);
		}
	}
	/* Who changed it last is printed last (configuration.md 1.5) */
	for (const struct field *f = t->type->fields; f->name; f++) {
		struct text_field field = { f, t->item, t->indent + INDENT,
					    t->clear };

		if ((f->flags & READONLY) && !t->brief)
			err |= text_field_print(pf, &field);
	}

	return err;
}

int text_print(struct re_printf *pf, const struct text_setup *setup)
{
	int err = 0;

	for (const struct element *const *e = elements; *e; e++) {
		size_t n = config_count(setup->cfg, *e);
		const void *wanted = NULL;

		if (setup->only && setup->only != *e)
			continue;
		if (setup->key.l) {
			wanted = config_find(setup->cfg, *e, &setup->key);
			if (!wanted)
				continue;
		}

		for (size_t i = 0; i < n && !err; i++) {
			struct text_item item = { *e,
						  config_at(setup->cfg, *e, i),
						  0, setup->brief,
						  setup->clear };

			if (!wanted || wanted == item.item)
				err |= text_item_print(pf, &item);
		}
	}

	return err;
}
