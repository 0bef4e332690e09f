/*
 * One configuration: counted, immutable, made of sections that versions share
 *
 * The index of a section maps a hash of the key to a place in it. It is made
 * when the first one asks and published by compare and exchange, so readers
 * need no lock; a section that only had objects replaced takes a copy of the
 * one before, because places and keys stayed as they were.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "store/base.h"
#include "store/config.h"

enum {
	SLOTS_FIRST = 16
};

/* A place and whether the hash is that of the whole key or its first part */
struct slot {
	uint32_t place; /* from 1; 0: free */
	uint32_t first;
	uint64_t hash;
};

struct index {
	size_t size, used; /* size is a power of two, at most half used */
	struct slot *slots;
};

static size_t place_of(const struct element *type)
{
	size_t i = 0;

	while (elements[i] && elements[i] != type)
		i++;
	assert(elements[i] && i < ELEMENTS_MAX);

	return i;
}

/* Items */

static void item_give(struct item *item)
{
	if (!item || atomic_fetch_sub(&item->refs, 1) != 1)
		return;

	item_free(item->type, item->value);
	free(item);
}

static struct item *item_take(struct item *item)
{
	atomic_fetch_add(&item->refs, 1);
	return item;
}

static struct item *item_wrap(const struct element *type, void *value,
			      uint32_t line, uint32_t column)
{
	struct item *item = calloc(1, sizeof(*item));

	if (!item)
		return NULL;

	atomic_init(&item->refs, 1);
	item->type = type;
	item->value = value;
	item->line = line;
	item->column = column;
	return item;
}

/* Keys */

static int key_text(char **text, const struct element *type, const void *item)
{
	struct item_ref ref = { type, item };

	return re_sdprintf(text, "%H", item_key_spell, &ref);
}

struct show {
	const struct field *f;
	const void *item;
};

static int show_print(struct re_printf *pf, const struct show *show)
{
	return field_show(pf, show->f, show->item);
}

/* Take the text of one part off the key; names of hosts without case */
static bool part_take(struct pl *key, const struct field *f, const void *item,
		      bool *same)
{
	struct show show = { f, item };
	char *text = NULL;
	size_t n;

	if (re_sdprintf(&text, "%H", show_print, &show))
		return false;

	n = strlen(text);
	if (key->l < n)
		*same = false;
	else if (f->type == &type_host || f->type == &type_target)
		*same = !strncasecmp(key->p, text, n);
	else
		*same = !memcmp(key->p, text, n);
	if (*same)
		pl_advance(key, (ssize_t)n);
	mem_deref(text);
	return true;
}

static bool key_is(const struct element *type, const void *item, struct pl key,
		   bool first)
{
	bool begun = false, same;

	for (const struct field *f = type->fields; f->name; f++) {
		if (!(f->flags & KEY))
			continue;
		if (begun) {
			if (!key.l || *key.p != ' ')
				return false;
			pl_advance(&key, 1);
		}
		if (!part_take(&key, f, item, &same) || !same)
			return false;
		if (first)
			break;
		begun = true;
	}

	return !key.l;
}

static size_t key_parts(const struct element *type)
{
	size_t n = 0;

	for (const struct field *f = type->fields; f->name; f++)
		n += (f->flags & KEY) != 0;

	return n;
}

/* The index */

static void index_free(struct index *index)
{
	if (index)
		free(index->slots);
	free(index);
}

static struct index *index_alloc(size_t size)
{
	struct index *index = calloc(1, sizeof(*index));

	if (!index)
		return NULL;

	index->slots = calloc(size, sizeof(*index->slots));
	index->size = size;
	if (!index->slots) {
		free(index);
		return NULL;
	}

	return index;
}

static struct index *index_copy(const struct index *from)
{
	struct index *index = from ? index_alloc(from->size) : NULL;

	if (!index)
		return NULL;

	index->used = from->used;
	memcpy(index->slots, from->slots, from->size * sizeof(*from->slots));
	return index;
}

static void slot_put(struct index *index, const struct slot *slot)
{
	size_t i = slot->hash & (index->size - 1);

	while (index->slots[i].place)
		i = (i + 1) & (index->size - 1);
	index->slots[i] = *slot;
	index->used++;
}

/* A first part is put twice at most: then it is known not to be unique, and a
 * host that 100,000 objects share costs no more than one that two share */
static void first_put(struct index *index, const struct slot *slot)
{
	unsigned seen = 0;

	for (size_t i = slot->hash & (index->size - 1); index->slots[i].place;
	     i = (i + 1) & (index->size - 1)) {
		if (index->slots[i].hash == slot->hash && index->slots[i].first)
			seen++;
	}
	if (seen < 2)
		slot_put(index, slot);
}

static int index_grow(struct index *index)
{
	struct index *more = index_alloc(index->size * 2);

	if (!more)
		return ENOMEM;

	for (size_t i = 0; i < index->size; i++) {
		if (index->slots[i].place)
			slot_put(more, &index->slots[i]);
	}
	free(index->slots);
	*index = *more;
	free(more);
	return 0;
}

static int index_add(struct index *index, const struct element *type,
		     const void *item, size_t place)
{
	struct slot slot = { .place = (uint32_t)place + 1 };
	const struct field *f = type->fields;
	char *key = NULL, *part = NULL;
	struct show show;
	int err;

	while (index->used + 2 > index->size / 2) {
		err = index_grow(index);
		if (err)
			return err;
	}

	while (f->name && !(f->flags & KEY))
		f++;
	assert(f->name); /* a multi element has a key */
	show.f = f;
	show.item = item;
	err = key_text(&key, type, item);
	if (err)
		goto out;
	if (key_parts(type) > 1) {
		err = re_sdprintf(&part, "%H", show_print, &show);
		if (err)
			goto out;
	}

	slot.hash = hash_nocase(key, strlen(key));
	slot_put(index, &slot);
	if (part) {
		slot.first = 1;
		slot.hash = hash_nocase(part, strlen(part));
		first_put(index, &slot);
	}

out:
	mem_deref(key);
	mem_deref(part);
	return err;
}

static struct index *index_make(const struct section *s)
{
	struct index *index = index_alloc(SLOTS_FIRST);

	for (size_t i = 0; index && i < s->n; i++) {
		if (s->items[i] &&
		    index_add(index, s->type, s->items[i]->value, i)) {
			index_free(index);
			index = NULL;
		}
	}

	return index;
}

static struct index *index_of(struct section *s)
{
	struct index *index = atomic_load(&s->index), *none = NULL;

	if (index)
		return index;

	index = index_make(s);
	if (index && !atomic_compare_exchange_strong(&s->index, &none, index)) {
		index_free(index); /* another thread was faster */
		index = none;
	}

	return index;
}

enum {
	NOWHERE = -1,
	AMBIGUOUS = -2
};

/* Place of the object, by the whole key or by its first part */
static ssize_t section_find(struct section *s, const struct pl *key, bool first)
{
	struct index *index = index_of(s);
	uint64_t hash = hash_nocase(key->p, key->l);
	ssize_t found = NOWHERE;

	if (!index) { /* no memory: look at each */
		for (size_t i = 0; i < s->n; i++) {
			if (!s->items[i] ||
			    !key_is(s->type, s->items[i]->value, *key, first))
				continue;
			if (found != NOWHERE)
				return AMBIGUOUS;
			found = (ssize_t)i;
		}
		return found;
	}

	for (size_t i = hash & (index->size - 1); index->slots[i].place;
	     i = (i + 1) & (index->size - 1)) {
		const struct slot *slot = &index->slots[i];
		const struct item *item;

		if (slot->hash != hash || slot->first != first)
			continue;
		item = s->items[slot->place - 1];
		if (!item || !key_is(s->type, item->value, *key, first))
			continue;
		if (found != NOWHERE)
			return AMBIGUOUS;
		found = (ssize_t)slot->place - 1;
	}

	return found;
}

/* Sections */

static void section_give(struct section *s)
{
	if (!s || atomic_fetch_sub(&s->refs, 1) != 1)
		return;

	for (size_t i = 0; i < s->n; i++)
		item_give(s->items[i]);
	free(s->items);
	index_free(atomic_load(&s->index));
	free(s);
}

static struct section *section_alloc(const struct element *type, size_t room)
{
	struct section *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;

	atomic_init(&s->refs, 1);
	s->type = type;
	if (room) {
		s->items = calloc(room, sizeof(struct item *));
		if (!s->items) {
			free(s);
			return NULL;
		}
	}
	s->room = room;
	return s;
}

static struct section *section_copy(struct section *from, size_t more)
{
	struct section *s = section_alloc(from->type, from->n + more);

	if (!s)
		return NULL;

	for (; s->n < from->n; s->n++)
		s->items[s->n] = item_take(from->items[s->n]);
	if (!(s->type->flags & SINGLE))
		atomic_store(&s->index, index_copy(index_of(from)));

	return s;
}

static int section_room(struct section *s)
{
	size_t room = s->room ? s->room * 2 : 1;
	struct item **items;

	if (s->n < s->room)
		return 0;

	items = realloc(s->items, room * sizeof(struct item *));
	if (!items)
		return ENOMEM;

	s->items = items;
	s->room = room;
	return 0;
}

static int section_append(struct section *s, struct item *item)
{
	struct index *index;
	int err = section_room(s);

	if (err)
		return err;

	index = s->type->flags & SINGLE ? NULL : index_of(s);
	if (index) {
		err = index_add(index, s->type, item->value, s->n);
		if (err)
			return err;
	}

	s->items[s->n++] = item;
	return 0;
}

/* Removed objects left holes; close them and forget the places */
static void section_close_holes(struct section *s)
{
	size_t n = 0;

	for (size_t i = 0; i < s->n; i++) {
		if (s->items[i])
			s->items[n++] = s->items[i];
	}
	if (n == s->n)
		return;

	s->n = n;
	index_free(atomic_exchange(&s->index, NULL));
}

/* Configurations */

static struct config *config_new(void)
{
	struct config *cfg = calloc(1, sizeof(*cfg));

	if (cfg)
		atomic_init(&cfg->refs, 1);

	return cfg;
}

static int single_default(struct section *s)
{
	struct item *item;
	void *value;
	int err = item_alloc(&value, s->type);

	if (err)
		return err;

	item = item_wrap(s->type, value, 0, 0);
	if (!item) {
		item_free(s->type, value);
		return ENOMEM;
	}

	err = section_append(s, item);
	if (err)
		item_give(item);

	return err;
}

int config_alloc(struct config **cfgp)
{
	struct config *cfg = config_new();
	int err = 0;

	if (!cfg)
		return ENOMEM;

	for (size_t i = 0; elements[i] && !err; i++) {
		cfg->sections[i] = section_alloc(elements[i], 0);
		if (!cfg->sections[i])
			err = ENOMEM;
		else if (elements[i]->flags & SINGLE)
			err = single_default(cfg->sections[i]);
	}

	if (err)
		config_give(cfg);
	else
		*cfgp = cfg;

	return err;
}

int config_append(struct config *cfg, const struct element *type, void *value,
		  uint32_t line, uint32_t column)
{
	struct section *s = cfg->sections[place_of(type)];
	struct item *item = NULL;
	char *key = NULL;
	struct pl pl;
	int err = 0;

	if (!(type->flags & SINGLE)) {
		err = key_text(&key, type, value);
		if (err)
			return err;
		pl.p = key;
		pl.l = strlen(key);
		if (section_find(s, &pl, false) != NOWHERE) {
			err = EEXIST;
			goto out;
		}
	}

	item = item_wrap(type, value, line, column);
	if (!item) {
		err = ENOMEM;
		goto out;
	}

	if (type->flags & SINGLE) {
		item_give(s->items[0]);
		s->items[0] = item;
	} else {
		err = section_append(s, item);
		if (err)
			free(item);
	}

out:
	mem_deref(key);
	return err;
}

static int change_apply(struct section *s, const struct change *c,
			struct item *item)
{
	ssize_t place = 0;
	char *key = NULL;
	struct pl pl;
	int err;

	if (!(s->type->flags & SINGLE)) {
		err = key_text(&key, s->type, item ? item->value : c->key_of);
		if (err)
			return err;
		pl.p = key;
		pl.l = strlen(key);
		place = section_find(s, &pl, false);
		mem_deref(key);
	}

	if (place < 0)
		return item ? section_append(s, item_take(item)) : 0;

	if (!item && (s->type->flags & SINGLE)) {
		item_give(s->items[0]);
		s->n = 0;
		return single_default(s);
	}

	item_give(s->items[place]);
	s->items[place] = item ? item_take(item) : NULL;
	return 0;
}

static int changes_apply(struct config *cfg, const struct config *old,
			 const struct change *changes, struct item **items,
			 size_t n)
{
	int err = 0;

	for (size_t i = 0; i < n && !err; i++) {
		size_t at = place_of(changes[i].type);
		struct section *s = cfg->sections[at];

		if (s == old->sections[at]) {
			s = section_copy(old->sections[at], n);
			if (!s)
				return ENOMEM;
			section_give(cfg->sections[at]);
			cfg->sections[at] = s;
		}
		err = change_apply(s, &changes[i], items[i]);
	}

	for (size_t i = 0; elements[i]; i++) {
		if (cfg->sections[i] != old->sections[i])
			section_close_holes(cfg->sections[i]);
	}

	return err;
}

int config_change(struct config **newp, const struct config *old,
		  const struct change *changes, size_t n)
{
	struct item **items = calloc(n ? n : 1, sizeof(struct item *));
	struct config *cfg = config_new();
	int err = 0;

	if (!items || !cfg) {
		err = ENOMEM;
		goto out;
	}

	for (size_t i = 0; elements[i]; i++) {
		cfg->sections[i] = old->sections[i];
		atomic_fetch_add(&cfg->sections[i]->refs, 1);
	}
	for (size_t i = 0; i < n && !err; i++) {
		if (!changes[i].item)
			continue;
		items[i] = item_wrap(changes[i].type, changes[i].item, 0, 0);
		if (!items[i])
			err = ENOMEM;
	}
	if (!err)
		err = changes_apply(cfg, old, changes, items, n);

out:
	for (size_t i = 0; err && items && i < n; i++) {
		if (!items[i])
			continue;
		/* What the caller gave stays his: only the wrapper goes */
		items[i]->value = NULL;
	}
	for (size_t i = 0; items && i < n; i++)
		item_give(items[i]);
	free(items);
	if (err)
		config_give(cfg);
	else
		*newp = cfg;

	return err;
}

static void item_swap(struct item **slot, struct item *with)
{
	atomic_fetch_add(&with->refs, 1);
	item_give(*slot);
	*slot = with;
}

/* The same place first: most objects did not move */
static int twin_find(struct item **twinp, struct section *s, size_t i,
		     struct section *with)
{
	const void *value = s->items[i]->value;
	char *key = NULL;
	struct pl pl;
	ssize_t place;
	int err;

	*twinp = i < with->n ? with->items[i] : NULL;
	if (*twinp && item_same(s->type, value, (*twinp)->value))
		return 0;
	*twinp = NULL;
	if (s->type->flags & SINGLE)
		return 0;

	err = key_text(&key, s->type, value);
	if (err)
		return err;
	pl_set_str(&pl, key);
	place = section_find(with, &pl, false);
	if (place >= 0 && item_same(s->type, value, with->items[place]->value))
		*twinp = with->items[place];
	mem_deref(key);

	return 0;
}

static int section_share(struct section **sp, struct section *with)
{
	struct section *s = *sp;
	bool all = s->n == with->n;

	if (s == with)
		return 0;
	for (size_t i = 0; i < s->n; i++) {
		struct item *twin;
		int err = twin_find(&twin, s, i, with);

		if (err)
			return err;
		all = all && twin && twin == with->items[i];
		if (twin)
			item_swap(&s->items[i], twin);
	}
	if (all) {
		atomic_fetch_add(&with->refs, 1);
		section_give(s);
		*sp = with;
	}

	return 0;
}

int config_share(struct config *cfg, const struct config *with)
{
	int err = 0;

	for (size_t i = 0; elements[i] && !err; i++)
		err = section_share(&cfg->sections[i], with->sections[i]);

	return err;
}

const struct config *config_take(const struct config *cfg)
{
	/* The count is the one part of a configuration that changes */
	if (cfg)
		atomic_fetch_add(&((struct config *)cfg)->refs, 1);

	return cfg;
}

void config_give(const struct config *cfg)
{
	struct config *own = (struct config *)cfg;

	if (!own || atomic_fetch_sub(&own->refs, 1) != 1)
		return;

	for (size_t i = 0; i < ELEMENTS_MAX; i++)
		section_give(own->sections[i]);
	free(own);
}

size_t config_count(const struct config *cfg, const struct element *type)
{
	return cfg->sections[place_of(type)]->n;
}

const struct item *config_item_at(const struct config *cfg,
				  const struct element *type, size_t n)
{
	const struct section *s = cfg->sections[place_of(type)];

	return n < s->n ? s->items[n] : NULL;
}

const void *config_at(const struct config *cfg, const struct element *type,
		      size_t n)
{
	const struct item *item = config_item_at(cfg, type, n);

	return item ? item->value : NULL;
}

const void *config_single(const struct config *cfg, const struct element *type)
{
	assert(type->flags & SINGLE);

	return config_at(cfg, type, 0);
}

const struct item *config_item_find(const struct config *cfg,
				    const struct element *type,
				    const struct pl *key)
{
	struct section *s = cfg->sections[place_of(type)];
	ssize_t place;

	if (type->flags & SINGLE)
		return key->l ? NULL : s->items[0];

	place = section_find(s, key, false);
	if (place == NOWHERE && key_parts(type) > 1)
		place = section_find(s, key, true);

	return place < 0 ? NULL : s->items[place];
}

const void *config_find(const struct config *cfg, const struct element *type,
			const struct pl *key)
{
	const struct item *item = config_item_find(cfg, type, key);

	return item ? item->value : NULL;
}
