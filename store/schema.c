/*
 * What an element is: fields, names, defaults, help
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "store/base.h"
#include "store/schema.h"

static struct pl pl_of(const char *text)
{
	struct pl pl = { text, strlen(text) };

	return pl;
}

static bool pl_same(const struct pl *text, const char *word)
{
	return word && text->l == strlen(word) &&
	       !memcmp(text->p, word, text->l);
}

static bool is_named(const struct element *type, const struct pl *name)
{
	return pl_same(name, type->name) || pl_same(name, type->alias);
}

void *field_slot(const struct field *f, void *item)
{
	return (uint8_t *)item + f->offset;
}

const void *field_slot_const(const struct field *f, const void *item)
{
	return (const uint8_t *)item + f->offset;
}

/* Sub-elements */

static void items_free(const struct element *child, struct items *items)
{
	for (uint32_t i = 0; i < items->n; i++)
		item_free(child, items->v[i]);
	free(items->v);
	items->v = NULL;
	items->n = 0;
}

int items_append(struct items *items, void *item)
{
	/* The array grows at powers of two */
	if ((items->n & (items->n - 1)) == 0) {
		size_t room = items->n ? 2 * (size_t)items->n : 1;
		void **v = realloc(items->v, room * sizeof(*v));

		if (!v)
			return ENOMEM;
		items->v = v;
	}

	items->v[items->n++] = item;
	return 0;
}

static int items_copy(const struct element *child, struct items *to,
		      const struct items *from)
{
	int err = 0;

	for (uint32_t i = 0; !err && i < from->n; i++) {
		void *item;

		err = item_copy(&item, child, from->v[i]);
		if (err)
			break;
		err = items_append(to, item);
		if (err)
			item_free(child, item);
	}

	return err;
}

static bool items_same(const struct element *child, const struct items *a,
		       const struct items *b)
{
	for (uint32_t i = 0; a->n == b->n && i < a->n; i++) {
		if (!item_same(child, a->v[i], b->v[i]))
			return false;
	}

	return a->n == b->n;
}

/* Objects */

int item_alloc(void **itemp, const struct element *type)
{
	void *item = calloc(1, type->size);
	int err = 0;

	if (!item)
		return ENOMEM;

	/* First each slot gets a value that can be freed, "" above all */
	for (const struct field *f = type->fields; f->name; f++)
		field_clear(f, item);
	for (const struct field *f = type->fields; f->name && !err; f++)
		err = field_default(f, item);

	if (err)
		item_free(type, item);
	else
		*itemp = item;

	return err;
}

void item_free(const struct element *type, void *item)
{
	if (!item)
		return;

	for (const struct field *f = type->fields; f->name; f++)
		field_clear(f, item);
	free(item);
}

int item_copy(void **itemp, const struct element *type, const void *item)
{
	void *copy = calloc(1, type->size);
	int err = 0;

	if (!copy)
		return ENOMEM;

	for (const struct field *f = type->fields; f->name; f++)
		field_clear(f, copy);
	for (const struct field *f = type->fields; f->name && !err; f++) {
		void *to = field_slot(f, copy);
		const void *from = field_slot_const(f, item);

		err = f->child ? items_copy(f->child, to, from)
			       : f->type->copy(to, from);
	}

	if (err)
		item_free(type, copy);
	else
		*itemp = copy;

	return err;
}

bool item_same(const struct element *type, const void *a, const void *b)
{
	for (const struct field *f = type->fields; f->name; f++) {
		const void *x = field_slot_const(f, a);
		const void *y = field_slot_const(f, b);

		/* configuration.md 1.5: who changed it last does not count */
		if (f->flags & READONLY)
			continue;
		if (!(f->child ? items_same(f->child, x, y)
			       : f->type->same(x, y)))
			return false;
	}

	return true;
}

/* Fields */

const struct field *field_find(const struct element *type,
			       const struct pl *name)
{
	for (const struct field *f = type->fields; f->name; f++) {
		if (pl_same(name, f->name))
			return f;
	}

	return NULL;
}

const struct field *field_of_child(const struct element *type,
				   const struct pl *name)
{
	for (const struct field *f = type->fields; f->name; f++) {
		if (f->child && is_named(f->child, name))
			return f;
	}

	return NULL;
}

int field_parse(const struct field *f, void *item, const struct pl *text,
		struct value_fault *fault)
{
	return f->type->parse(field_slot(f, item), text, f, fault);
}

static int list_read(const struct field *f, void *item, const struct pl *text,
		     struct value_fault *fault)
{
	struct pl rest = *text;
	int err;

	for (;;) {
		char *value = NULL;
		struct pl pl;

		err = value_next(&rest, &value);
		if (err)
			break;
		pl = pl_of(value);
		err = field_parse(f, item, &pl, fault);
		mem_deref(value);
		if (err)
			break;
	}
	if (err == ENOENT)
		return 0;

	return err;
}

int field_read(const struct field *f, void *item, const struct pl *text,
	       struct value_fault *fault)
{
	if (fault)
		strcpy(fault->why, "is not a list");
	if (!f->type->list)
		return field_parse(f, item, text, fault);

	field_clear(f, item);
	return list_read(f, item, text, fault);
}

void field_clear(const struct field *f, void *item)
{
	void *slot = field_slot(f, item);

	if (f->child)
		items_free(f->child, slot);
	else
		f->type->clear(slot);
}

/* A single sub-element is always there */
static int single_append(const struct field *f, void *item)
{
	void *child;
	int err = item_alloc(&child, f->child);

	if (err)
		return err;

	err = items_append(field_slot(f, item), child);
	if (err)
		item_free(f->child, child);

	return err;
}

int field_default(const struct field *f, void *item)
{
	struct pl text;
	int err;

	field_clear(f, item);
	if (f->child)
		return f->child->flags & SINGLE ? single_append(f, item) : 0;
	if (!f->dflt)
		return 0;

	text = pl_of(f->dflt);
	err = field_read(f, item, &text, NULL);
	assert(err != EINVAL); /* a default is a legal value */

	return err;
}

static bool children_are_default(const struct field *f,
				 const struct items *items)
{
	const struct field *g = f->child->fields;

	if (!(f->child->flags & SINGLE))
		return !items->n;
	while (items->n && g->name &&
	       field_is_default(f->child, g, items->v[0]))
		g++;

	return !g->name;
}

bool field_is_default(const struct element *type, const struct field *f,
		      const void *item)
{
	bool same = false;
	void *fresh;

	if (f->child)
		return children_are_default(f, field_slot_const(f, item));
	if (!f->dflt)
		return field_is_empty(f, item);

	/* An object of its own: a few hundred bytes, and no cache to guard */
	fresh = calloc(1, type->size);
	if (!fresh)
		return false;
	if (!field_default(f, fresh))
		same = f->type->same(field_slot_const(f, item),
				     field_slot_const(f, fresh));
	field_clear(f, fresh);
	free(fresh);

	return same;
}

static int count_bytes(const char *p, size_t n, void *arg)
{
	(void)p;
	*(size_t *)arg += n;
	return 0;
}

bool field_is_empty(const struct field *f, const void *item)
{
	const void *slot = field_slot_const(f, item);
	size_t n = 0;
	struct re_printf pf = { count_bytes, &n };

	if (f->child)
		return !((const struct items *)slot)->n;
	if (f->type->list)
		return !*(const uint32_t *)slot;

	(void)f->type->print(&pf, slot, f); /* the counter cannot fail */
	return !n;
}

int field_print(struct re_printf *pf, const struct field *f, const void *item)
{
	return f->child ? 0 : f->type->print(pf, field_slot_const(f, item), f);
}

int field_show(struct re_printf *pf, const struct field *f, const void *item)
{
	if (f->type == &type_secret || (f->flags & SECRET))
		return field_is_empty(f, item)
			       ? 0
			       : re_hprintf(pf, "%s", secret_mask);

	return field_print(pf, f, item);
}

static int words_print(struct re_printf *pf, const char *const *words)
{
	const char *comma = "";
	int err = 0;

	for (const char *const *w = words; *w; w++) {
		if (!**w)
			continue;
		err |= re_hprintf(pf, "%s%s", comma, *w);
		comma = ", ";
	}
	if (!*words[0])
		err |= re_hprintf(pf, "%s", " or empty");

	return err;
}

int field_range_print(struct re_printf *pf, const struct field *f)
{
	const struct type *t = f->type;

	if (f->child)
		return re_hprintf(pf, "sub-element %s", f->child->name);
	if (t == &type_word || t == &type_words)
		return words_print(pf, f->words);
	if (t == &type_number)
		return re_hprintf(pf, "%llu-%llu%s%s",
				  (unsigned long long)f->min,
				  f->max ? (unsigned long long)f->max
					 : (unsigned long long)UINT32_MAX,
				  f->unit ? " " : "", f->unit ? f->unit : "");
	if (f->to)
		return re_hprintf(pf, "%s of a %s%s",
				  t->list ? "a list of names" : "the name",
				  f->to, f->flags & ANY_TOO ? ", or *" : "");
	if (t == &type_text)
		return re_hprintf(pf, "text of at most %llu %s%s",
				  f->max ? (unsigned long long)f->max : 1024ull,
				  f->chars ? "of " : "bytes",
				  f->chars ? f->chars : "");
	if (t == &type_address)
		return re_hprintf(pf, "an IPv4 or IPv6 address%s",
				  f->flags & PORT_TOO ? ", also with a port"
						      : " without a port");
	if (t == &type_methods && f->max == 1)
		return re_hprintf(pf, "one SIP method");

	return re_hprintf(pf, "%s%s%s", t->allowed ? t->allowed : t->name,
			  f->flags & PORT_TOO ? ", also with a port" : "",
			  f->flags & ANY_TOO ? ", or *" : "");
}

/* acli.md, words: "4930+2" is the first of three values */
static int part_print(struct re_printf *pf, const struct field *f,
		      const void *item)
{
	const void *slot = field_slot_const(f, item);
	uint32_t n = f->type->list ? *(const uint32_t *)slot : 0;

	if (n < 2)
		return field_show(pf, f, item);

	return f->type->print_at(pf, slot, 0) | re_hprintf(pf, "+%u", n - 1);
}

static int parts_print(struct re_printf *pf, const struct item_ref *ref,
		       int (*print)(struct re_printf *pf, const struct field *f,
				    const void *item))
{
	const char *blank = "";
	int err = 0;

	for (const struct field *f = ref->type->fields; f->name; f++) {
		if (!(f->flags & KEY))
			continue;
		err |= re_hprintf(pf, "%s", blank);
		err |= print(pf, f, ref->item);
		blank = " ";
	}

	return err;
}

int item_key_print(struct re_printf *pf, const struct item_ref *ref)
{
	return parts_print(pf, ref, part_print);
}

int item_key_spell(struct re_printf *pf, const struct item_ref *ref)
{
	return parts_print(pf, ref, field_show);
}

const struct element *element_find(const struct pl *name)
{
	for (const struct element *const *e = elements; *e; e++) {
		if (is_named(*e, name))
			return *e;
	}

	return NULL;
}
