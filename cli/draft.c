/*
 * The object at hand: an element, sub-elements in it, and how they are stored
 */
#include <assert.h>
#include <errno.h>
#include <string.h>
#include "sbc/clock.h"
#include "cli/draft.h"

struct level *draft_level(struct draft *d)
{
	return d->n ? &d->level[d->n - 1] : NULL;
}

static void level_clear(struct level *level)
{
	if (!level->type)
		return;
	item_free(level->type, level->item);
	item_free(level->type, level->loaded);
	mem_deref(level->stored);
	memset(level, 0, sizeof(*level));
}

void draft_leave(struct draft *d)
{
	assert(d->n);
	level_clear(&d->level[--d->n]);
}

void draft_clear(struct draft *d)
{
	while (d->n)
		draft_leave(d);
}

static int level_fill(struct level *level, const void *item, bool is)
{
	int err = item ? item_copy(&level->item, level->type, item)
		       : item_alloc(&level->item, level->type);

	if (!err && is)
		err = item_copy(&level->loaded, level->type, item);
	level->changed = item && !is;
	return err;
}

int draft_enter(struct draft *d, const struct element *type,
		const struct field *in, const void *item, bool is)
{
	struct level level = { .type = type, .in = in };
	int err;

	if (d->n == DRAFT_DEPTH)
		return E2BIG;
	err = level_fill(&level, item, is);
	if (err) {
		level_clear(&level);
		return err;
	}
	d->level[d->n++] = level;
	return 0;
}

int draft_put(struct draft *d, const void *item, bool is)
{
	struct level *old = draft_level(d);
	struct level level = { .type = old->type, .in = old->in };
	int err = level_fill(&level, item, is);

	if (err) {
		level_clear(&level);
		return err;
	}
	level_clear(old);
	*old = level;
	return 0;
}

void draft_touch(struct draft *d)
{
	draft_level(d)->changed = true;
}

bool draft_is_changed(const struct draft *d)
{
	for (uint32_t i = 0; i < d->n; i++)
		if (d->level[i].changed)
			return true;
	return false;
}

int key_text(char **keyp, const struct element *type, const void *item)
{
	struct item_ref ref = { type, item };

	return re_sdprintf(keyp, "%H", item_key_spell, &ref) ? ENOMEM : 0;
}

int object_print(struct re_printf *pf, const struct object *o)
{
	struct item_ref ref = { o->type, o->item };

	if (o->type->flags & SINGLE)
		return re_hprintf(pf, "%s", o->type->name);
	return re_hprintf(pf, "%s [%H]", o->type->name, item_key_print, &ref);
}

int object_stamp(const struct element *type, void *item, const char *by)
{
	struct pl name = PL("last-modified-by"), who;
	const struct field *f = field_find(type, &name);
	struct local_time now;
	int err = 0;

	pl_set_str(&who, by);
	if (f)
		err = field_parse(f, item, &who, NULL);
	pl_set_str(&name, "last-modified-date");
	f = field_find(type, &name);
	clock_local(&now);
	if (f)
		*(stamp *)field_slot(f, item) = now.now;
	return err;
}

const struct field *draft_missing(const struct level *level)
{
	for (const struct field *f = level->type->fields; f->name; f++)
		if ((f->flags & REQUIRED) && field_is_empty(f, level->item))
			return f;
	return NULL;
}

/* The first part alone is enough where it is unique, as with config_find */
void *items_find(const struct items *items, const struct element *type,
		 const char *key)
{
	size_t n = strlen(key);
	void *found = NULL;
	bool twice = false;

	for (uint32_t i = 0; i < items->n; i++) {
		char *text = NULL;
		bool exact, first;

		if (key_text(&text, type, items->v[i]))
			return NULL;
		exact = !strcmp(text, key);
		first = !strncmp(text, key, n) && (text[n] == ' ' || !text[n]);
		mem_deref(text);
		if (exact)
			return items->v[i];
		twice = twice || (first && found);
		if (first)
			found = items->v[i];
	}
	return n && !twice ? found : NULL;
}

static void *items_same_key(const struct items *items,
			    const struct element *type, const void *item)
{
	char *key = NULL;
	void *found = NULL;

	if (key_text(&key, type, item))
		return NULL;
	for (uint32_t i = 0; i < items->n && !found; i++) {
		char *text = NULL;

		if (!key_text(&text, type, items->v[i]) && !strcmp(text, key))
			found = items->v[i];
		mem_deref(text);
	}
	mem_deref(key);
	return found;
}

void items_remove(struct items *items, const struct element *type,
		  const void *item)
{
	for (uint32_t i = 0; i < items->n; i++) {
		if (items->v[i] != item)
			continue;
		item_free(type, items->v[i]);
		/* The room stays: it is what the old count asked for, and
		 * items_append grows at powers of two only */
		memmove(items->v + i, items->v + i + 1,
			(items->n - i - 1) * sizeof(*items->v));
		items->n--;
		return;
	}
}

/* In the place of the one before, which stays the caller's */
static int items_swap(struct items *items, const void *before, void *item)
{
	for (uint32_t i = 0; before && i < items->n; i++) {
		if (items->v[i] == before) {
			items->v[i] = item;
			return 0;
		}
	}
	return items_append(items, item);
}

int draft_store(struct draft *d, uint32_t depth)
{
	struct level *level = &d->level[depth], *above = level - 1;
	struct object object = { level->type, level->item };
	struct items *items;
	void *before = NULL, *same, *copy = NULL, *loaded = NULL;
	char *name = NULL;
	int err;

	assert(depth > 0 && depth < d->n);
	items = field_slot(level->in, above->item);
	if (level->type->flags & SINGLE)
		before = items->v[0];
	else if (level->loaded)
		before = items_same_key(items, level->type, level->loaded);
	same = items_same_key(items, level->type, level->item);
	if (same && same != before)
		return EEXIST;

	err = item_copy(&copy, level->type, level->item);
	if (!err)
		err = item_copy(&loaded, level->type, level->item);
	if (!err)
		err = re_sdprintf(&name, "%H", object_print, &object) ? ENOMEM
								      : 0;
	if (!err)
		err = items_swap(items, before, copy);
	if (err) {
		item_free(level->type, copy);
		item_free(level->type, loaded);
		mem_deref(name);
		return err;
	}
	item_free(level->type, before);
	item_free(level->type, level->loaded);
	level->loaded = loaded;
	level->changed = false;
	mem_deref(level->stored);
	level->stored = NULL;
	above->changed = true;
	mem_deref(above->stored);
	above->stored = name;
	return 0;
}

int draft_stored(struct draft *d)
{
	struct level *level = &d->level[0];
	void *loaded = NULL;
	int err = item_copy(&loaded, level->type, level->item);

	if (err)
		return err;
	item_free(level->type, level->loaded);
	level->loaded = loaded;
	level->changed = false;
	level->stored = mem_deref(level->stored);
	return 0;
}
