/*
 * Who names an object: find, rename, and what goes with it when it goes
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "store/elements/elements.h"
#include "cli/users.h"

static bool refers(const struct field *f, const struct element *type)
{
	if (f->child)
		return false;
	return (f->to && !strcmp(f->to, type->name)) ||
	       (f->type == &type_target && type == &element_session_agent);
}

/* Host names are compared without case, names with it (configuration.md 1.2) */
static bool is_name(const struct element *type, const char *a, const char *b)
{
	return type == &element_session_agent ? !strcasecmp(a, b)
					      : !strcmp(a, b);
}

struct value {
	const struct field *f;
	const void *item;
	uint32_t i;
};

static int value_print(struct re_printf *pf, const struct value *v)
{
	return v->f->type->list
		       ? v->f->type->print_at(
				 pf, field_slot_const(v->f, v->item), v->i)
		       : field_print(pf, v->f, v->item);
}

static uint32_t values(const struct field *f, const void *item)
{
	return f->type->list ? *(const uint32_t *)field_slot_const(f, item) : 1;
}

/* Is the i-th value of the parameter the name? */
static bool names(const struct field *f, const void *item, uint32_t i,
		  const struct element *type, const char *name)
{
	struct value v = { f, item, i };
	char *text = NULL;
	bool same;

	if (re_sdprintf(&text, "%H", value_print, &v))
		return false;
	same = is_name(type, text, name);
	mem_deref(text);
	return same;
}

static bool is_user(const struct field *f, const void *item,
		    const struct element *type, const char *name)
{
	if (!refers(f, type))
		return false;
	for (uint32_t i = 0; i < values(f, item); i++)
		if (names(f, item, i, type, name))
			return true;
	return false;
}

/* --- Find --------------------------------------------------------------- */

struct walk {
	const struct element *type;
	const char *name;
	user_h *h;
	void *arg;
	uint32_t n;
};

static void object_walk(struct walk *w, struct user *user,
			const struct element *type, const void *item)
{
	for (const struct field *f = type->fields; f->name; f++) {
		const struct items *items = field_slot_const(f, item);

		if (!f->child) {
			if (!is_user(f, item, w->type, w->name))
				continue;
			user->field = f;
			w->n++;
			if (w->h)
				w->h(user, w->arg);
			continue;
		}
		for (uint32_t i = 0; i < items->n; i++) {
			struct user inner = *user;

			inner.child = f->child;
			inner.child_item = items->v[i];
			object_walk(w, &inner, f->child, items->v[i]);
		}
	}
}

uint32_t users_walk(const struct config *cfg, const struct element *type,
		    const char *name, user_h *h, void *arg)
{
	struct walk w = { type, name, h, arg, 0 };

	for (const struct element *const *e = elements; *e; e++) {
		size_t n = config_count(cfg, *e);

		for (size_t i = 0; i < n; i++) {
			struct user user = { .type = *e,
					     .item = config_at(cfg, *e, i) };

			object_walk(&w, &user, *e, user.item);
		}
	}
	return w.n;
}

int user_name(char **namep, const struct element *type, const void *item)
{
	for (const struct field *f = type->fields; f->name; f++) {
		struct value v = { f, item, 0 };

		if (!(f->flags & KEY))
			continue;
		if (!values(f, item))
			break;
		return re_sdprintf(namep, "%H", value_print, &v) ? ENOMEM : 0;
	}
	return str_dup(namep, "");
}

int user_print(struct re_printf *pf, const struct user *u)
{
	struct item_ref ref = { u->type, u->item };
	struct item_ref inner = { u->child, u->child_item };
	int err = re_hprintf(pf, "%s %s", u->type->folder, u->type->name);

	if (!(u->type->flags & SINGLE))
		err |= re_hprintf(pf, " [%H]", item_key_print, &ref);
	if (u->child)
		err |= re_hprintf(pf, " %s [%H]", u->child->name,
				  item_key_print, &inner);
	return err | re_hprintf(pf, " %s", u->field->name);
}

/* --- Change ------------------------------------------------------------- */

enum fate {
	SAME,
	CHANGED,
	GONE
};

struct renaming {
	const struct element *type;
	const char *name, *to;
	struct change *changes;
	size_t n, room;
};

static int value_parse(const struct field *f, void *item, const char *text)
{
	struct pl pl = { text, strlen(text) };

	return field_parse(f, item, &pl, NULL);
}

static int list_rename(const struct renaming *r, const struct field *f,
		       const struct element *type, void *item)
{
	void *fresh = calloc(1, type->size);
	int err = fresh ? 0 : ENOMEM;

	for (uint32_t i = 0; !err && i < values(f, item); i++) {
		struct value v = { f, item, i };
		char *text = NULL;

		if (re_sdprintf(&text, "%H", value_print, &v)) {
			err = ENOMEM;
			break;
		}
		if (!is_name(r->type, text, r->name))
			err = value_parse(f, fresh, text);
		else if (r->to)
			err = value_parse(f, fresh, r->to);
		mem_deref(text);
	}
	if (!err) {
		field_clear(f, item);
		memcpy(field_slot(f, item), field_slot(f, fresh),
		       f->type->size);
	} else if (fresh) {
		field_clear(f, fresh);
	}
	free(fresh);
	return err;
}

static int field_rename(const struct renaming *r, const struct field *f,
			const struct element *type, void *item, enum fate *fate)
{
	int err = 0;

	if (!is_user(f, item, r->type, r->name))
		return 0;
	if (*fate == SAME)
		*fate = CHANGED;
	if (f->type->list)
		err = list_rename(r, f, type, item);
	else if (r->to)
		err = value_parse(f, item, r->to);
	else
		field_clear(f, item);
	/* An empty list of source realms would mean another thing than before */
	if (!err && (f->flags & (REQUIRED | KEY)) && field_is_empty(f, item))
		*fate = GONE;
	return err;
}

static int object_rename(const struct renaming *r, const struct element *type,
			 void *item, enum fate *fate)
{
	int err = 0;

	for (const struct field *f = type->fields; f->name && !err; f++) {
		struct items *items = field_slot(f, item);

		if (!f->child) {
			err = field_rename(r, f, type, item, fate);
			continue;
		}
		for (uint32_t i = 0; i < items->n && !err;) {
			enum fate inner = SAME;

			err = object_rename(r, f->child, items->v[i], &inner);
			if (inner != SAME && *fate == SAME)
				*fate = CHANGED;
			if (inner != GONE) {
				i++;
				continue;
			}
			item_free(f->child, items->v[i]);
			memmove(items->v + i, items->v + i + 1,
				(items->n - i - 1) * sizeof(*items->v));
			items->n--;
		}
	}
	return err;
}

static int change_add(struct renaming *r, const struct change *change)
{
	if (r->n == r->room) {
		size_t room = r->room ? 2 * r->room : 16;
		void *v = realloc(r->changes, room * sizeof(*r->changes));

		if (!v)
			return ENOMEM;
		r->changes = v;
		r->room = room;
	}
	r->changes[r->n++] = *change;
	return 0;
}

static bool is_same_key(const struct element *type, const void *a,
			const void *b)
{
	struct item_ref x = { type, a }, y = { type, b };
	char *p = NULL, *q = NULL;
	bool same = !re_sdprintf(&p, "%H", item_key_spell, &x) &&
		    !re_sdprintf(&q, "%H", item_key_spell, &y) && !strcmp(p, q);

	mem_deref(p);
	mem_deref(q);
	return same;
}

static int object_change(struct renaming *r, const struct element *type,
			 const void *item)
{
	struct change remove = { .type = type, .key_of = item };
	struct change put = { .type = type };
	enum fate fate = SAME;
	void *copy = NULL;
	int err = item_copy(&copy, type, item);

	if (!err)
		err = object_rename(r, type, copy, &fate);
	if (!err && fate != SAME &&
	    (fate == GONE || !is_same_key(type, item, copy)))
		err = change_add(r, &remove);
	if (!err && fate == CHANGED) {
		put.item = copy;
		err = change_add(r, &put);
		if (!err)
			copy = NULL;
	}
	item_free(type, copy);
	return err;
}

static void changes_free(struct renaming *r)
{
	for (size_t i = 0; i < r->n; i++)
		item_free(r->changes[i].type, r->changes[i].item);
	free(r->changes);
}

/* An object whose key changed was taken out and put in again */
static bool is_there(const struct config *cfg, const struct element *type,
		     const char *name)
{
	struct pl pl = { name, strlen(name) };

	return config_find(cfg, type, &pl) != NULL;
}

/* Those who name what was deleted go too, or let go of it */
static int users_follow(struct config **newp, const struct renaming *r)
{
	int err = 0;

	for (size_t i = 0; i < r->n && !err; i++) {
		const struct change *c = &r->changes[i];
		struct config *next = NULL;
		char *name = NULL;

		if (c->item || !c->key_of)
			continue;
		err = user_name(&name, c->type, c->key_of);
		if (!err && !is_there(*newp, c->type, name))
			err = users_rename(&next, *newp, c->type, name, NULL);
		mem_deref(name);
		if (!err && next) {
			config_give(*newp);
			*newp = next;
		}
	}
	return err;
}

int users_rename(struct config **newp, const struct config *cfg,
		 const struct element *type, const char *name, const char *to)
{
	struct renaming r = { .type = type, .name = name, .to = to };
	struct config *next = NULL;
	int err = 0;

	for (const struct element *const *e = elements; *e && !err; e++) {
		size_t n = config_count(cfg, *e);

		for (size_t i = 0; i < n && !err; i++) {
			const void *item = config_at(cfg, *e, i);
			struct walk w = { type, name, NULL, NULL, 0 };
			struct user user = { 0 };

			object_walk(&w, &user, *e, item);
			if (w.n)
				err = object_change(&r, *e, item);
		}
	}
	if (!err)
		err = config_change(&next, cfg, r.changes, r.n);
	if (err) {
		changes_free(&r);
		return err;
	}
	/* What was taken over is the configuration's now */
	if (!to)
		err = users_follow(&next, &r);
	free(r.changes);
	if (err)
		config_give(next);
	else
		*newp = next;
	return err;
}
