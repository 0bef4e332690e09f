/*
 * realm-specifics: every object that names a realm
 *
 * The realm itself comes first. Of a sub-element that names it, the object it
 * lies in is meant.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "store/elements/elements.h"
#include "store/log.h"
#include "store/text.h"
#include "store/versions.h"
#include "cli/draft.h"
#include "cli/specifics.h"
#include "cli/users.h"

struct specifics {
	struct task task;
	char *realm;
	bool deletes;
	struct config *cfg, *less;
	struct object *v; /* free(3) */
	size_t n, room;
	int err;
};

static void specifics_destructor(void *arg)
{
	struct specifics *sp = arg;

	mem_deref(sp->realm);
	config_give(sp->cfg);
	config_give(sp->less);
	free(sp->v);
}

static void object_add(struct specifics *sp, const struct element *type,
		       const void *item)
{
	struct object *last = sp->n ? &sp->v[sp->n - 1] : NULL;

	/* All names in one object come one after the other */
	if (sp->err || (last && last->item == item))
		return;
	if (sp->n == sp->room) {
		size_t room = sp->room ? 2 * sp->room : 64;
		struct object *v = realloc(sp->v, room * sizeof(*v));

		if (!v) {
			sp->err = ENOMEM;
			return;
		}
		sp->v = v;
		sp->room = room;
	}
	sp->v[sp->n].type = type;
	sp->v[sp->n++].item = item;
}

static void user_add(const struct user *user, void *arg)
{
	object_add(arg, user->type, user->item);
}

static int gather(struct task *task)
{
	struct specifics *sp = (struct specifics *)task;
	struct pl name = range_of(sp->realm);
	const void *realm;
	int err = versions_load(&sp->cfg, task->control->setup.db,
				VERSION_EDITING);

	if (err)
		return err;
	realm = config_find(sp->cfg, &element_realm_config, &name);
	if (realm)
		object_add(sp, &element_realm_config, realm);
	(void)users_walk(sp->cfg, &element_realm_config, sp->realm, user_add,
			 sp);
	if (sp->err || sp->n)
		return sp->err;
	reply_error(&task->reply, REPLY_ARGUMENT,
		    "There is no realm-config [%s]", sp->realm);

	return ECANCELED;
}

static int print(struct task *task)
{
	struct specifics *sp = (struct specifics *)task;

	for (size_t i = 0; i < sp->n; i++) {
		struct text_item text = { sp->v[i].type, sp->v[i].item, 0,
					  false };

		reply_print(&task->reply, (re_printf_h *)text_item_print,
			    &text);
	}

	return 0;
}

static const struct step print_steps[] = {
	{ ON_JOB, gather },
	{ ON_JOB, print },
	{ ON_JOB, NULL },
};

/* --- delete ------------------------------------------------------------------ */

static int list(struct task *task)
{
	struct specifics *sp = (struct specifics *)task;

	for (size_t i = 0; i < sp->n; i++)
		reply_line(&task->reply, "    %s %H", sp->v[i].type->folder,
			   object_print, &sp->v[i]);

	return 0;
}

static int shrink(struct task *task)
{
	struct specifics *sp = (struct specifics *)task;
	struct change *changes = calloc(sp->n, sizeof(*changes));
	const struct control_setup *setup = &task->control->setup;
	size_t n = 0;
	int err;

	if (!changes)
		return ENOMEM;
	for (size_t i = 0; i < sp->n; i++) {
		/* A single element stays, and with it what it names */
		if (sp->v[i].type->flags & SINGLE)
			continue;
		changes[n].type = sp->v[i].type;
		changes[n++].key_of = sp->v[i].item;
	}
	err = config_change(&sp->less, sp->cfg, changes, n);
	free(changes);
	if (!err)
		err = versions_edit_objects(setup->db, sp->cfg, sp->less,
					    setup->seal);
	if (err)
		return err;
	changes_tell(&task->reply, sp->cfg, sp->less);
	reply_line(&task->reply, "%zu element%s deleted.", n,
		   n == 1 ? " is" : "s are");
	log_notice(CLI, "realm-deleted", "realm=%s elements=%zu by=%s",
		   sp->realm, n, task->by);

	return 0;
}

static const struct step delete_steps[] = {
	{ ON_JOB, gather },
	{ ON_JOB, shrink },
	{ ON_JOB, NULL },
};

/* What stood there when it was listed may be more by now: gathered anew, under
 * the lock that was taken before */
static void delete_agreed(struct session *s, const struct pl *answer)
{
	struct specifics *sp = s->arg;

	s->arg = NULL;
	if (pl_strcmp(answer, "yes")) {
		reply_line(&s->reply, "Nothing was deleted.");
		mem_deref(sp);
		return;
	}
	task_start(s, (struct task *)sp, delete_steps, true);
}

static struct specifics *specifics_alloc(const char *realm)
{
	struct specifics *sp = mem_zalloc(sizeof(*sp), specifics_destructor);

	return sp && str_dup(&sp->realm, realm) ? mem_deref(sp) : sp;
}

static void delete_ask(struct session *s, struct task *task)
{
	const struct specifics *sp = (struct specifics *)task;

	s->arg = specifics_alloc(sp->realm);
	if (!s->arg) {
		reply_error(&s->reply, REPLY_FAILED, "no memory");
		return;
	}
	s->asks = delete_agreed;
	reply_ask(&s->reply, REPLY_QUESTION, "Delete them? Type yes: ");
}

static const struct step list_steps[] = {
	{ ON_JOB, gather },
	{ ON_JOB, list },
	{ ON_JOB, NULL },
};

/* The one word; NULL: said so */
static const char *realm_take(struct session *s, const struct words *w,
			      uint32_t at)
{
	if (w->n == at + 1)
		return w->v[at];
	if (at == w->n)
		reply_error(&s->reply, REPLY_ARGUMENT, "Missing REALM");
	else
		reply_error(&s->reply, REPLY_ARGUMENT, "Unexpected word [%s]",
			    w->v[at + 1]);

	return NULL;
}

void realm_specifics(struct session *s, const struct words *w, uint32_t at)
{
	const char *realm = realm_take(s, w, at);

	if (realm)
		task_start(s, (struct task *)specifics_alloc(realm),
			   print_steps, false);
}

void delete_specifics(struct session *s, const struct words *w, uint32_t at)
{
	const char *realm = realm_take(s, w, at);
	struct specifics *sp;

	if (!realm || !control_lock(s))
		return;
	sp = specifics_alloc(realm);
	if (sp)
		sp->task.then = delete_ask;
	task_start(s, (struct task *)sp, list_steps, false);
}
