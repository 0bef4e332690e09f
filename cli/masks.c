/*
 * Masked secrets of an import keep what is stored
 */
#include <errno.h>
#include <string.h>
#include "cli/draft.h"
#include "cli/masks.h"

struct filling {
	mask_h *h;
	void *arg;
	bool missing;
};

static int secret_fill(struct filling *w, const struct element *type,
		       void *item, const void *stored, const struct field *f)
{
	struct secret *to = field_slot(f, item);
	const struct secret *from = stored ? field_slot_const(f, stored) : NULL;

	if (!secret_is_mask(to))
		return 0;
	if (from && secret_is_set(from)) {
		field_clear(f, item);
		return f->type->copy(to, from);
	}
	w->missing = true;
	w->h(type, item, f, w->arg);
	return 0;
}

static const void *twin_of(const struct items *items,
			   const struct element *type, const void *item)
{
	const void *twin;
	char *key = NULL;

	if (!items || key_text(&key, type, item))
		return NULL;
	twin = items_find(items, type, key);
	mem_deref(key);
	return twin;
}

static int object_fill(struct filling *w, const struct element *type,
		       void *item, const void *stored)
{
	int err = 0;

	for (const struct field *f = type->fields; f->name && !err; f++) {
		const struct items *items = field_slot(f, item);
		const struct items *old =
			stored ? field_slot_const(f, stored) : NULL;

		if (!f->child && f->type == &type_secret)
			err = secret_fill(w, type, item, stored, f);
		for (uint32_t i = 0; f->child && i < items->n && !err; i++)
			err = object_fill(w, f->child, items->v[i],
					  twin_of(old, f->child, items->v[i]));
	}
	return err;
}

int masks_fill(struct config *cfg, const struct config *stored, mask_h *h,
	       void *arg)
{
	struct filling w = { h, arg, false };
	int err = 0;

	for (const struct element *const *e = elements; *e; e++) {
		size_t n = config_count(cfg, *e);

		for (size_t i = 0; i < n && !err; i++) {
			/* Nobody else has it yet: it may still be written */
			void *item = (void *)config_at(cfg, *e, i);
			const void *twin;
			char *key = NULL;
			struct pl pl;

			err = key_text(&key, *e, item);
			if (err)
				break;
			pl_set_str(&pl, key);
			twin = (*e)->flags & SINGLE
				       ? config_single(stored, *e)
				       : config_find(stored, *e, &pl);
			mem_deref(key);
			err = object_fill(&w, *e, item, twin);
		}
	}
	return err ? err : w.missing ? ENOENT : 0;
}

static bool object_misses(const struct element *type, const void *item)
{
	for (const struct field *f = type->fields; f->name; f++) {
		const void *slot = field_slot_const(f, item);
		const struct items *items = slot;

		if (!f->child && f->type == &type_secret &&
		    secret_is_set(slot) && !secret_is_mask(slot))
			return true;
		for (uint32_t i = 0; f->child && i < items->n; i++)
			if (object_misses(f->child, items->v[i]))
				return true;
	}
	return false;
}

bool masks_miss(const struct config *cfg)
{
	for (const struct element *const *e = elements; *e; e++)
		for (size_t i = 0; i < config_count(cfg, *e); i++)
			if (object_misses(*e, config_at(cfg, *e, i)))
				return true;
	return false;
}

static int secret_unseal(const struct field *f, void *item,
			 const struct seal *seal)
{
	struct secret *secret = field_slot(f, item);
	char clear[SECRET_MAX + 1];
	struct pl pl;
	int err;

	if (!secret_is_set(secret) || !secret->sealed)
		return 0;
	err = secret_open(clear, secret, seal);
	pl_set_str(&pl, clear);
	if (!err)
		err = field_parse(f, item, &pl, NULL);
	secret_wipe_bytes(clear, sizeof(clear));

	return err == EINVAL ? EBADMSG : err;
}

static int object_open(const struct element *type, void *item,
		       const struct seal *seal)
{
	int err = 0;

	for (const struct field *f = type->fields; f->name && !err; f++) {
		const struct items *items = field_slot(f, item);

		if (!f->child && f->type == &type_secret)
			err = secret_unseal(f, item, seal);
		for (uint32_t i = 0; f->child && i < items->n && !err; i++)
			err = object_open(f->child, items->v[i], seal);
	}

	return err;
}

int masks_open(struct config *cfg, const struct seal *seal)
{
	int err = 0;

	for (const struct element *const *e = elements; *e && !err; e++)
		for (size_t i = 0; i < config_count(cfg, *e) && !err; i++)
			err = object_open(*e, (void *)config_at(cfg, *e, i),
					  seal);

	return err;
}
