/*
 * Configuration mode, wholly from the schema
 *
 * Typing changes the object at hand only. Storing it is a task: a new editing
 * configuration that shares all but one object with the old one is written on the
 * job thread, and taken over on the front thread when it is on the disk.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "store/diff.h"
#include "store/log.h"
#include "store/number.h"
#include "store/text.h"
#include "store/versions.h"
#include "cli/configure.h"
#include "cli/form.h"
#include "cli/tree.h"
#include "cli/typed.h"
#include "cli/users.h"

enum {
	LISTED = 200, /* objects that `select` shows */
	USERS = 100,  /* users that are shown */
	KEY_TEXT = 1024
};

/* What follows when what is at hand was stored, or given up */
enum after {
	AFTER_STAY,
	AFTER_POP,  /* `exit` */
	AFTER_QUIT, /* `quit` */
	AFTER_VERB, /* a line that puts another object of the element at hand */
	AFTER_LINE  /* a line that goes elsewhere */
};

struct configure {
	struct draft draft;
	enum after after;
	char *line; /* of AFTER_LINE */
	bool exclusive;

	/* of `select` and `no`: what was listed */
	bool deletes;
	char **listed;
	size_t listed_n;

	/* of a question about references, of a secret */
	char *name;
	const struct field *secret;
	char *first; /* answer to the first of both questions */
};

static void listed_clear(struct configure *e)
{
	for (size_t i = 0; i < e->listed_n; i++)
		mem_deref(e->listed[i]);
	free(e->listed);
	e->listed = NULL;
	e->listed_n = 0;
}

static void first_clear(struct configure *e)
{
	if (e->first)
		secret_wipe_bytes(e->first, strlen(e->first));
	e->first = mem_deref(e->first);
}

static void line_clear(struct configure *e)
{
	if (e->line)
		secret_wipe_bytes(e->line, strlen(e->line));
	e->line = mem_deref(e->line);
}

static void configure_destructor(void *arg)
{
	struct configure *e = arg;

	draft_clear(&e->draft);
	listed_clear(e);
	first_clear(e);
	line_clear(e);
	mem_deref(e->name);
}

static void no_memory(struct session *s)
{
	reply_error(&s->reply, REPLY_FAILED, "no memory");
}

/* --- Where the session is ----------------------------------------------- */

const struct config *configure_editing(const struct session *s)
{
	return s->control->editing;
}

const char *configure_word(const struct session *s)
{
	struct place place = configure_place(s);

	if (!s->configure && !s->form)
		return NULL;
	return place.type     ? place.type->name
	       : place.folder ? place.folder
			      : "configure";
}

struct place configure_place(const struct session *s)
{
	struct place place = { .type = form_here(s), .asks = s->form };

	if (s->configure && !s->form) {
		struct level *level = draft_level(&s->configure->draft);

		place.folder = s->configure->draft.folder;
		place.type = level ? level->type : NULL;
	}
	return place;
}

const void *configure_item(const struct session *s)
{
	struct level *level =
		s->configure ? draft_level(&s->configure->draft) : NULL;

	if (s->form)
		return form_item(s);
	return level ? level->item : NULL;
}

const struct items *configure_items(const struct session *s,
				    const struct field *f)
{
	const void *item = configure_item(s);

	return item ? field_slot_const(f, item) : NULL;
}

struct keys configure_keys(const struct session *s)
{
	struct draft *d = &s->configure->draft;
	struct level *level = draft_level(d);
	struct keys keys = { level->type, configure_editing(s), NULL };

	if (level->in)
		keys.items = field_slot(level->in, (level - 1)->item);
	return keys;
}

static void leave_one(struct session *s)
{
	struct configure *e = s->configure;

	if (e->draft.n)
		draft_leave(&e->draft);
	else if (e->draft.folder)
		e->draft.folder = NULL;
	else
		configure_close(s);
}

void configure_close(struct session *s)
{
	if (!s->configure)
		return;
	if (s->configure->exclusive) {
		s->control->exclusive = false;
		control_unlock(s->control, s);
	}
	s->configure = mem_deref(s->configure);
}

/* --- Loading ------------------------------------------------------------ */

struct loading {
	struct task task;
	char *line;
	struct config *cfg, *saved;
	bool note; /* say what others left unsaved */
	uint32_t edits;
	char by[64];
	uint64_t since;
};

static void loading_destructor(void *arg)
{
	struct loading *l = arg;

	if (l->line)
		secret_wipe_bytes(l->line, strlen(l->line));
	mem_deref(l->line);
	config_give(l->cfg);
	config_give(l->saved);
}

static int load_editing(struct task *task)
{
	struct loading *l = (struct loading *)task;
	struct database *db = task->control->setup.db;
	uint32_t saved = 0;
	int err = versions_load(&l->cfg, db, VERSION_EDITING);

	/* A database in which nothing was ever edited */
	if (err == ENOENT)
		err = config_alloc(&l->cfg);
	if (err || !l->note || versions_numbers(db, &saved, NULL))
		return err;
	return saved ? versions_load(&l->saved, db, saved)
		     : config_alloc(&l->saved);
}

static int modified_print(struct re_printf *pf, const struct difference *d)
{
	struct pl name = PL("last-modified-by");
	const struct field *f = field_find(d->type, &name);

	return f && d->after ? field_show(pf, f, d->after) : 0;
}

static void edit_count(const struct difference *d, void *arg)
{
	struct pl name = PL("last-modified-date");
	const struct field *f = field_find(d->type, &name);
	struct loading *l = arg;
	stamp when;

	l->edits++;
	if (!f || !d->after)
		return;
	when = *(const stamp *)field_slot_const(f, d->after);
	if (!when || (l->since && when >= l->since))
		return;
	l->since = when;
	(void)re_snprintf(l->by, sizeof(l->by), "%H", modified_print, d);
}

/* acli.md 1.9: the next holder reads what a lost connection left */
static int say_edits(struct task *task)
{
	struct loading *l = (struct loading *)task;
	unsigned clock;

	if (!l->saved)
		return 0;
	diff_walk(l->saved, l->cfg, edit_count, l);
	clock = (unsigned)(l->since / 100 % 10000);
	if (l->edits && *l->by)
		reply_line(&task->reply,
			   "Note: %u unsaved edit%s by %s since %02u:%02u.",
			   l->edits, l->edits == 1 ? "" : "s", l->by,
			   clock / 100, clock % 100);
	else if (l->edits)
		reply_line(&task->reply, "Note: %u unsaved edit%s.", l->edits,
			   l->edits == 1 ? "" : "s");
	return 0;
}

static int loaded(struct task *task)
{
	struct loading *l = (struct loading *)task;
	struct control *c = task->control;

	/* Somebody changed it meanwhile: that is newer */
	if (c->changing)
		return 0;
	config_give(c->editing);
	c->editing = l->cfg;
	l->cfg = NULL;
	return 0;
}

static void line_again(struct session *s, struct task *task)
{
	struct loading *l = (struct loading *)task;

	if (l->line && configure_editing(s))
		s->line(s, l->line);
	else if (l->line)
		reply_error(&s->reply, REPLY_BUSY,
			    "The configuration is being changed");
}

static const struct step load_steps[] = {
	{ ON_JOB, load_editing },
	{ ON_JOB, say_edits },
	{ ON_FRONT, loaded },
	{ ON_JOB, NULL },
};

static void load_begin(struct session *s, const char *line, bool note)
{
	struct loading *l = mem_zalloc(sizeof(*l), loading_destructor);

	if (l && line && str_dup(&l->line, line))
		l = mem_deref(l);
	if (l) {
		l->note = note;
		l->task.then = line_again;
	}
	task_start(s, (struct task *)l, load_steps, false);
}

void configure_load(struct session *s, const char *line)
{
	load_begin(s, line, false);
}

void configure_open(struct session *s, bool exclusive, const char *line)
{
	form_close(s);
	if (exclusive && !control_lock(s))
		return;
	if (!s->configure)
		s->configure =
			mem_zalloc(sizeof(*s->configure), configure_destructor);
	if (!s->configure) {
		no_memory(s);
		return;
	}
	if (exclusive)
		s->configure->exclusive = s->control->exclusive = true;
	if (!s->control->editing ||
	    (s->control->edited && s->control->owner != s) ||
	    (s->control->edited && exclusive))
		load_begin(s, line, true);
	else if (line)
		s->line(s, line);
}

/* --- Storing ------------------------------------------------------------ */

/* A new editing configuration on its way to the disk */
struct storing {
	struct task task;
	const struct config *before; /* editing, when the task began */
	struct config *cfg;
	bool stores; /* the object at hand; else something is deleted */
	char *say;   /* what is now true; NULL: the object is printed */
};

static void storing_destructor(void *arg)
{
	struct storing *st = arg;

	config_give(st->before);
	config_give(st->cfg);
	mem_deref(st->say);
}

static int edits_write(struct task *task)
{
	struct storing *st = (struct storing *)task;
	const struct control_setup *setup = &task->control->setup;

	int err = versions_edit_objects(setup->db, st->before, st->cfg,
					setup->seal);

	if (!err)
		changes_tell(&task->reply, st->before, st->cfg);
	return err;
}

static void object_say(struct reply *reply, const struct level *level,
		       bool brief)
{
	struct text_item text = { level->type, level->item, 0, brief };

	reply_print(reply, (re_printf_h *)text_item_print, &text);
}

static int edits_taken(struct task *task)
{
	struct storing *st = (struct storing *)task;
	struct session *s = task->session;
	struct control *c = task->control;

	config_give(c->editing);
	c->editing = st->cfg;
	st->cfg = NULL;
	task->keeps = true;
	if (st->say)
		reply_line(&task->reply, "%s", st->say);
	if (s && s->configure && st->stores && s->configure->draft.n) {
		struct draft *d = &s->configure->draft;

		(void)draft_stored(d);
		object_say(&task->reply, &d->level[0], false);
	}
	return 0;
}

static void go_on(struct session *s);

static void stored(struct session *s, struct task *task)
{
	(void)task;
	if (s->configure)
		go_on(s);
}

static const struct step store_steps[] = {
	{ ON_JOB, edits_write },
	{ ON_FRONT, edits_taken },
	{ ON_JOB, NULL },
};

/* Takes over cfg and say */
static void store_begin(struct session *s, struct config *cfg, bool stores,
			char *say)
{
	struct storing *st = mem_zalloc(sizeof(*st), storing_destructor);

	if (st) {
		st->before = config_take(configure_editing(s));
		st->cfg = cfg;
		st->stores = stores;
		st->say = say;
		st->task.then = stored;
	} else {
		config_give(cfg);
		mem_deref(say);
	}
	task_start(s, (struct task *)st, store_steps, true);
}

/* Secrets are clear only until they are stored */
static int secrets_seal(const struct session *s, const struct element *type,
			void *item)
{
	int err = 0;

	for (const struct field *f = type->fields; f->name && !err; f++) {
		struct secret *secret = field_slot(f, item);
		struct items *items = field_slot(f, item);
		char *text = NULL;
		struct pl pl;

		for (uint32_t i = 0; f->child && i < items->n && !err; i++)
			err = secrets_seal(s, f->child, items->v[i]);
		if (f->child || f->type != &type_secret ||
		    !secret_is_set(secret) || secret->sealed)
			continue;
		err = seal_text(&text, s->seal, secret->text);
		if (err)
			return err;
		pl_set_str(&pl, text);
		err = field_parse(f, item, &pl, NULL);
		secret_wipe(text);
	}
	return err;
}

static bool is_same_key(const struct element *type, const void *a,
			const void *b)
{
	char *x = NULL, *y = NULL;
	bool same = !key_text(&x, type, a) && !key_text(&y, type, b) &&
		    !strcmp(x, y);

	mem_deref(x);
	mem_deref(y);
	return same;
}

/* The stored object with exactly this key; NULL */
static const void *twin_of(struct session *s, const struct level *level)
{
	struct keys keys = { level->type, configure_editing(s), NULL };
	const void *twin;
	char *key = NULL;

	if ((level->type->flags & SINGLE) ||
	    key_text(&key, level->type, level->item))
		return NULL;
	twin = keys_find(&keys, key);
	mem_deref(key);
	return twin && is_same_key(level->type, twin, level->item) ? twin
								   : NULL;
}

static bool is_renamed(const struct level *level)
{
	return level->loaded && !(level->type->flags & SINGLE) &&
	       !is_same_key(level->type, level->loaded, level->item);
}

/* "surrogate-agent [k] needs realm-id"; true when nothing is missing */
static bool is_complete(struct session *s, const struct level *level)
{
	const struct field *f = draft_missing(level);
	struct object object = { level->type, level->item };

	if (f)
		reply_error(&s->reply, REPLY_ARGUMENT, "%H needs %s",
			    object_print, &object, f->name);
	return !f;
}

static void say_exists(struct session *s, const struct level *level)
{
	struct object object = { level->type, level->item };

	reply_error(&s->reply, REPLY_ARGUMENT, "%H exists already",
		    object_print, &object);
}

/* The configuration with the object at hand in it. references: those who name
 * its old name are to name the new one */
static int outer_config(struct config **cfgp, struct session *s,
			bool references)
{
	struct level *level = &s->configure->draft.level[0];
	struct change changes[2] = { { .type = level->type },
				     { .type = level->type } };
	const struct config *editing = configure_editing(s);
	struct config *cfg = NULL, *more = NULL;
	char *old = NULL, *new = NULL;
	size_t n = 0;
	int err;

	(void)object_stamp(level->type, level->item, s->user);
	err = secrets_seal(s, level->type, level->item);
	if (!err && is_renamed(level))
		changes[n++].key_of = level->loaded;
	if (!err)
		err = item_copy(&changes[n].item, level->type, level->item);
	if (err)
		return err;
	err = config_change(&cfg, editing, changes, n + 1);
	if (err) {
		item_free(level->type, changes[n].item);
		return err;
	}

	if (references)
		err = user_name(&old, level->type, level->loaded);
	if (references && !err)
		err = user_name(&new, level->type, level->item);
	if (references && !err)
		err = users_rename(&more, cfg, level->type, old, new);
	mem_deref(old);
	mem_deref(new);
	if (references)
		config_give(cfg);
	if (!err)
		*cfgp = references ? more : cfg;
	return err;
}

static void outer_write(struct session *s, bool references)
{
	struct config *cfg = NULL;
	int err;

	if (!control_lock(s))
		return;
	err = outer_config(&cfg, s, references);
	if (err)
		reply_error(&s->reply, REPLY_FAILED, "%s", strerror(err));
	else
		store_begin(s, cfg, true, NULL);
}

struct listing {
	struct reply *reply;
	uint32_t n;
};

static void user_say(const struct user *user, void *arg)
{
	struct listing *l = arg;

	if (l->n++ < USERS)
		reply_line(l->reply, "    %H", user_print, user);
}

static void references_answered(struct session *s, const struct pl *answer)
{
	char c = answer->l ? *answer->p : 'c';

	if (c == 'y' || c == 'Y' || c == 'n' || c == 'N')
		outer_write(s, c == 'y' || c == 'Y');
	else
		reply_line(&s->reply, "Nothing was changed.");
}

/* A changed key renames: ask about those who name the old one */
static bool asks_about_references(struct session *s, const struct level *level)
{
	const struct config *editing = configure_editing(s);
	struct listing l = { &s->reply, 0 };
	char *old = NULL, *new = NULL;
	uint32_t n = 0;

	if (!is_renamed(level) || user_name(&old, level->type, level->loaded) ||
	    user_name(&new, level->type, level->item)) {
		mem_deref(old);
		return false;
	}
	if (strcmp(old, new))
		n = users_walk(editing, level->type, old, user_say, &l);
	mem_deref(old);
	mem_deref(new);
	if (!n)
		return false;
	reply_ask(&s->reply, REPLY_QUESTION,
		  "Change %u reference%s too? [y/n/c] ", n, n == 1 ? "" : "s");
	s->asks = references_answered;
	return true;
}

/* What editing has now in the place of the object that was loaded; NULL: it was
 * deleted */
static const void *stored_now(const struct session *s,
			      const struct level *level)
{
	struct keys keys = { level->type, configure_editing(s), NULL };
	const void *item;
	char *key = NULL;

	if (level->type->flags & SINGLE)
		return config_single(keys.cfg, level->type);
	if (key_text(&key, level->type, level->loaded))
		return level->loaded;
	item = keys_find(&keys, key);
	mem_deref(key);

	return item && is_same_key(level->type, item, level->loaded) ? item
								     : NULL;
}

static void outer_go_on(struct session *s)
{
	if (!asks_about_references(s, &s->configure->draft.level[0]))
		outer_write(s, false);
}

static void overwrite_answered(struct session *s, const struct pl *answer)
{
	if (answer->l && (*answer->p == 'y' || *answer->p == 'Y'))
		outer_go_on(s);
	else
		reply_line(&s->reply, "Nothing was changed.");
}

/* Somebody else stored it since it was loaded: what he changed would be lost
 * without a word */
static bool asks_to_overwrite(struct session *s, const struct level *level)
{
	struct object object = { level->type, level->item };
	struct pl by = PL("last-modified-by");
	const struct field *f = field_find(level->type, &by);
	struct difference d = { .type = level->type };

	if (!level->loaded)
		return false;
	object.item = level->loaded;
	d.after = stored_now(s, level);
	if (d.after && item_same(level->type, level->loaded, d.after))
		return false;
	if (d.after && f && !field_is_empty(f, d.after))
		reply_ask(&s->reply, REPLY_QUESTION,
			  "%H was changed by %H since it was loaded. "
			  "Overwrite? [y/n] ",
			  object_print, &object, modified_print, &d);
	else
		reply_ask(&s->reply, REPLY_QUESTION,
			  "%H was %s since it was loaded. %s? [y/n] ",
			  object_print, &object,
			  d.after ? "changed" : "deleted",
			  d.after ? "Overwrite" : "Store it again");
	s->asks = overwrite_answered;
	return true;
}

static void outer_store(struct session *s)
{
	struct level *level = &s->configure->draft.level[0];
	const void *twin;

	if (!is_complete(s, level))
		return;
	twin = twin_of(s, level);
	if (twin && (!level->loaded || is_renamed(level))) {
		say_exists(s, level);
		return;
	}
	if (!control_is_free(s))
		return;
	if (!asks_to_overwrite(s, level))
		outer_go_on(s);
}

/* Store a sub-element in its parent. False: refused, and said so */
static bool inner_store(struct session *s, uint32_t depth, bool says)
{
	struct draft *d = &s->configure->draft;
	struct level *level = &d->level[depth];
	int err;

	if (!is_complete(s, level))
		return false;
	err = draft_store(d, depth);
	if (err == EEXIST)
		say_exists(s, level);
	else if (err)
		no_memory(s);
	else if (says)
		object_say(&s->reply, level, false);
	return !err;
}

/* From the innermost object up to the one at `to`; what comes after follows */
static void store_up_to(struct session *s, uint32_t to, enum after after)
{
	struct draft *d = &s->configure->draft;

	s->configure->after = after;
	for (uint32_t i = d->n - 1; i > to; i--) {
		/* What nobody touched is not made by going away */
		if (after != AFTER_STAY && !d->level[i].changed)
			continue;
		if (!inner_store(s, i, i == d->n - 1))
			return;
	}
	if (!to) {
		outer_store(s);
		return;
	}
	if (inner_store(s, to, to == d->n - 1))
		go_on(s);
}

/* What was at hand is stored or given up */
static void go_on(struct session *s)
{
	struct configure *e = s->configure;
	enum after after = e->after;
	char *line = e->line;

	e->after = AFTER_STAY;
	e->line = NULL;
	switch (after) {

	case AFTER_STAY:
		break;
	case AFTER_POP:
		leave_one(s);
		break;
	case AFTER_QUIT:
		configure_close(s);
		break;
	case AFTER_VERB:
		/* What was not wanted is given up */
		if (draft_level(&e->draft)->changed &&
		    draft_put(&e->draft, NULL, false))
			no_memory(s);
		else if (line)
			s->line(s, line);
		break;
	case AFTER_LINE:
		draft_clear(&e->draft);
		if (line)
			s->line(s, line);
		break;
	}
	if (line)
		secret_wipe_bytes(line, strlen(line));
	mem_deref(line);
}

static void save_answered(struct session *s, const struct pl *answer);

/* Only the innermost object is about to go */
static bool is_innermost(enum after after)
{
	return after == AFTER_POP || after == AFTER_VERB;
}

static void save_ask(struct session *s)
{
	struct draft *d = &s->configure->draft;
	struct level *level = draft_level(d);
	struct object object;
	const char *stored;

	/* The outermost of those that are not stored; what was put into it is
	 * named too */
	if (!is_innermost(s->configure->after))
		for (level = d->level; !level->changed; level++)
			;
	object.type = level->type;
	object.item = level->item;
	stored = level->stored;
	reply_ask(&s->reply, REPLY_QUESTION, "Save changes to %H%s%s? [y/n/c] ",
		  object_print, &object, stored ? " with " : "",
		  stored ? stored : "");
	s->asks = save_answered;
}

static void save_answered(struct session *s, const struct pl *answer)
{
	struct configure *e = s->configure;
	char c = answer->l == 1 || is_word(answer, "yes") ||
				 is_word(answer, "no")
			 ? *answer->p
			 : 0;

	switch (c) {

	case 'y':
	case 'Y':
		store_up_to(s, is_innermost(e->after) ? e->draft.n - 1 : 0,
			    e->after);
		break;
	case 'n':
	case 'N':
		go_on(s);
		break;
	case 'c':
	case 'C':
		e->after = AFTER_STAY;
		line_clear(e);
		break;
	default:
		save_ask(s);
		break;
	}
}

/* Ask before something at hand is lost; true: asked */
static bool asks_to_save(struct session *s, enum after after, const char *line)
{
	struct configure *e = s->configure;
	struct level *level = draft_level(&e->draft);

	if (is_innermost(after) ? !level->changed
				: !draft_is_changed(&e->draft))
		return false;
	line_clear(e);
	e->after = after;
	if (line && str_dup(&e->line, line)) {
		no_memory(s);
		return true;
	}
	save_ask(s);
	return true;
}

/* --- Parameters --------------------------------------------------------- */

static void loss_say(struct session *s, const struct typed_note *note)
{
	if (note->text[0])
		reply_line(&s->reply, "%s", note->text);
}

static void parameter_set(struct session *s, const struct field *f,
			  const struct pl *text)
{
	struct draft *d = &s->configure->draft;
	struct level *level = draft_level(d);
	struct typed_note note;
	int err = typed_set(f, level->type, level->item, text, &note);

	if (!err) {
		draft_touch(d);
		loss_say(s, &note);
	} else if (err == EINVAL) {
		reply_error(&s->reply, REPLY_ARGUMENT, "%s", note.text);
	} else {
		no_memory(s);
	}
}

/* The answer is taken as it is: no quotes, no signs */
static void secret_answered(struct session *s, const struct pl *answer)
{
	struct configure *e = s->configure;
	struct draft *d = &e->draft;
	struct value_fault fault = { "is not allowed" };

	if (!e->first) {
		if (!answer->l) {
			reply_line(&s->reply, "%s is as before.",
				   e->secret->name);
			return;
		}
		if (pl_strdup(&e->first, answer)) {
			no_memory(s);
			return;
		}
		reply_ask(&s->reply, REPLY_QUESTION_QUIET,
			  "%s again: ", e->secret->name);
		s->asks = secret_answered;
		return;
	}
	if (pl_strcmp(answer, e->first))
		reply_error(&s->reply, REPLY_ARGUMENT,
			    "%s was typed differently, it is as before",
			    e->secret->name);
	else if (field_parse(e->secret, draft_level(d)->item, answer, &fault))
		reply_error(&s->reply, REPLY_ARGUMENT, "%s %s", e->secret->name,
			    fault.why);
	else
		draft_touch(d);
	first_clear(e);
}

static bool is_secret(const struct field *f)
{
	return f->type == &type_secret || (f->flags & SECRET);
}

bool configure_names_secret(const struct session *s, const char *line)
{
	struct place place = configure_place(s);
	struct choices c = { 0 };
	const struct choice *picked = NULL;
	char word[128];
	size_t n;
	bool secret;

	line += strspn(line, " \t");
	n = strcspn(line, " \t");
	if (!place.type || !n || n >= sizeof(word))
		return false;
	str_ncpy(word, line, n + 1);
	place_words(&c, &place);
	secret = !choices_pick(&c, word, &picked) &&
		 picked->kind == CHOICE_PARAMETER && is_secret(picked->what);
	choices_clear(&c);

	return secret;
}

static void parameter(struct session *s, const struct field *f,
		      const struct pl *text)
{
	struct configure *e = s->configure;
	struct parameter shown = { f, draft_level(&e->draft)->item };
	struct pl mask = range_of(secret_mask);

	if (text->l) {
		/* The mask keeps what is stored */
		if (is_secret(f)) {
			s->secret = true;
			if (!pl_cmp(text, &mask) &&
			    !field_is_empty(f, shown.item))
				return;
		}
		parameter_set(s, f, text);
	} else if (is_secret(f)) {
		first_clear(e);
		e->secret = f;
		reply_ask(&s->reply, REPLY_QUESTION_QUIET, "%s: ", f->name);
		s->asks = secret_answered;
	} else {
		reply_print(&s->reply, (re_printf_h *)parameter_print, &shown);
	}
}

static void to_default(struct session *s, const struct pl *rest)
{
	struct draft *d = &s->configure->draft;
	struct level *level = draft_level(d);
	struct choices c = { 0 };
	const struct choice *picked;
	char word[KEY_TEXT];

	place_parameters(&c, level->type);
	if (!rest->l) {
		reply_error(&s->reply, REPLY_ARGUMENT, "Missing PARAMETER");
	} else if (pl_strcpy(rest, word, sizeof(word)) ||
		   choices_pick(&c, word, &picked)) {
		reply_error(&s->reply, REPLY_UNKNOWN, "Unknown parameter [%r]",
			    rest);
	} else if (field_default(picked->what, level->item)) {
		no_memory(s);
	} else {
		struct parameter shown = { picked->what, level->item };

		draft_touch(d);
		reply_print(&s->reply, (re_printf_h *)parameter_print, &shown);
	}
	choices_clear(&c);
}

/* --- Keys as they are typed --------------------------------------------- */

struct typed_key {
	char text[KEY_TEXT]; /* parts with one blank between them */
	char *parts[16];
	uint32_t n;
	char last[16]; /* a bare word at the end that may be no key */
};

static void key_clear(struct typed_key *key)
{
	while (key->n)
		mem_deref(key->parts[--key->n]);
}

static void key_join(struct typed_key *key)
{
	size_t at = 0;

	key->text[0] = '\0';
	for (uint32_t i = 0; i < key->n; i++) {
		int n = re_snprintf(key->text + at, sizeof(key->text) - at,
				    "%s%s", i ? " " : "", key->parts[i]);

		at += n > 0 ? (size_t)n : 0;
	}
}

/* 0; EINVAL said so */
static int key_read(struct session *s, struct typed_key *key,
		    const struct pl *text)
{
	struct pl rest = *text;
	int err = 0;

	memset(key, 0, sizeof(*key));
	while (!err) {
		char *word = NULL, kind;

		err = typed_word(&word, &rest, &kind);
		if (err)
			break;
		if (key->n == sizeof(key->parts) / sizeof(key->parts[0])) {
			mem_deref(word);
			err = E2BIG;
			break;
		}
		/* A sign belongs to a key: it is no list that is changed */
		if (kind == '+' || kind == '-') {
			char *whole = NULL;

			err = re_sdprintf(&whole, "%c%s", kind, word);
			mem_deref(word);
			word = whole;
			if (err)
				break;
		}
		key->parts[key->n++] = word;
	}
	key_join(key);
	if (err == ENOENT)
		return 0;
	key_clear(key);
	reply_error(&s->reply, REPLY_ARGUMENT,
		    err == E2BIG ? "Too many words"
				 : "A quote or a parenthesis is open");
	return EINVAL;
}

/* The parts into an object; 0; EINVAL said so */
static int key_set(struct session *s, const struct element *type, void *item,
		   const struct typed_key *key)
{
	uint32_t n = 0;

	for (const struct field *f = type->fields; f->name && n < key->n; f++) {
		struct value_fault fault = { "is not allowed" };
		struct pl pl = range_of(key->parts[n]);

		if (!(f->flags & KEY))
			continue;
		if (field_read(f, item, &pl, &fault)) {
			reply_error(&s->reply, REPLY_ARGUMENT, "%s [%s] %s",
				    f->name, key->parts[n], fault.why);
			return EINVAL;
		}
		n++;
	}
	if (n == key->n)
		return 0;
	reply_error(&s->reply, REPLY_ARGUMENT, "Unexpected word [%s]",
		    key->parts[n]);
	return EINVAL;
}

static void say_none(struct session *s, const struct element *type,
		     const char *key)
{
	reply_error(&s->reply, REPLY_ARGUMENT, "There is no %s [%s]",
		    type->name, key);
}

/* --- Into elements ------------------------------------------------------ */

/* Into an element: the object with the key, a new one with it, or a fresh one */
static void enter(struct session *s, const struct element *type,
		  const struct field *in, const struct pl *rest)
{
	struct draft *d = &s->configure->draft;
	struct keys keys = { type, configure_editing(s), NULL };
	struct typed_key key;
	const void *item = NULL;
	int err;

	if (in)
		keys.items = field_slot(in, draft_level(d)->item);
	if (type->flags & SINGLE) {
		item = in ? keys.items->v[0] : config_single(keys.cfg, type);
		err = draft_enter(d, type, in, item, true);
		if (err)
			no_memory(s);
		return;
	}
	if (key_read(s, &key, rest))
		return;
	if (key.n)
		item = keys_find(&keys, key.text);
	err = draft_enter(d, type, in, item, item != NULL);
	if (err) {
		no_memory(s);
	} else if (key.n && !item) {
		if (key_set(s, type, draft_level(d)->item, &key))
			draft_leave(d);
		else
			draft_touch(d);
	}
	key_clear(&key);
}

/* --- select, no --------------------------------------------------------- */

static void load_key(struct session *s, const char *key)
{
	struct draft *d = &s->configure->draft;
	struct keys keys = configure_keys(s);
	const void *item = keys_find(&keys, key);

	if (!item)
		say_none(s, keys.type, key);
	else if (draft_put(d, item, true))
		no_memory(s);
}

static void delete_key(struct session *s, const char *key, const char *how);

static void chosen(struct session *s, const char *key)
{
	if (s->configure->deletes)
		delete_key(s, key, "");
	else
		load_key(s, key);
}

static void selection_answered(struct session *s, const struct pl *answer)
{
	struct configure *e = s->configure;
	uint64_t n = 0;

	if (answer->l && (uint_parse(&n, answer, e->listed_n) || !n))
		reply_error(&s->reply, REPLY_ARGUMENT,
			    "selection [%r] is out of range 1-%zu", answer,
			    e->listed_n);
	else if (n)
		chosen(s, e->listed[n - 1]);
	listed_clear(e);
}

static int listed_add(struct configure *e, const struct element *type,
		      const void *item)
{
	int err = key_text(&e->listed[e->listed_n], type, item);

	e->listed_n += !err;
	return err;
}

/* Number, colon, blank, key, two blanks, summary */
static void list_say(struct session *s, const struct keys *keys,
		     const char *filter)
{
	struct configure *e = s->configure;
	size_t n = keys_count(keys), fit = 0;

	for (size_t i = 0; i < n; i++) {
		const void *item = keys_at(keys, i);
		struct object object = { keys->type, item };
		struct item_ref ref = { keys->type, item };

		if (!key_matches(keys->type, item, filter) || fit++ >= LISTED ||
		    listed_add(e, keys->type, item))
			continue;
		reply_line(&s->reply, "%zu: %H  %H", e->listed_n,
			   item_key_print, &ref, summary_print, &object);
	}
	if (fit > LISTED)
		reply_line(&s->reply, "... %zu more, use a filter",
			   fit - LISTED);
}

static void filter_answered(struct session *s, const struct pl *answer)
{
	struct configure *e = s->configure;
	struct keys keys = configure_keys(s);
	char filter[KEY_TEXT];
	const void *exact;

	if (pl_strcpy(answer, filter, sizeof(filter))) {
		reply_error(&s->reply, REPLY_ARGUMENT,
			    "The filter is too long");
		return;
	}
	exact = *filter ? keys_find(&keys, filter) : NULL;
	if (exact) {
		chosen(s, filter);
		return;
	}
	listed_clear(e);
	e->listed = calloc(LISTED, sizeof(*e->listed));
	if (!e->listed) {
		no_memory(s);
		return;
	}
	list_say(s, &keys, filter);
	if (!e->listed_n) {
		reply_error(&s->reply, REPLY_ARGUMENT, "No %s matches [%s]",
			    keys.type->name, filter);
		return;
	}
	reply_ask(&s->reply, REPLY_QUESTION, "selection: ");
	s->asks = selection_answered;
}

static void choose(struct session *s, bool deletes)
{
	struct level *level = draft_level(&s->configure->draft);
	const struct field *f = level->type->fields;

	while (f->name && !(f->flags & KEY))
		f++;
	s->configure->deletes = deletes;
	reply_ask(&s->reply, REPLY_QUESTION,
		  "%s: ", f->name ? f->name : level->type->name);
	s->asks = filter_answered;
}

/* Refused while others name it: one line for each of them */
static bool is_in_use(struct session *s, const struct element *type,
		      const void *item, const char *key)
{
	struct listing l = { &s->reply, 0 };
	char *name = NULL;
	uint32_t n;

	if (user_name(&name, type, item)) {
		no_memory(s);
		return true;
	}
	n = users_walk(configure_editing(s), type, name, user_say, &l);
	if (n)
		reply_error(&s->reply, REPLY_FAILED,
			    "%s [%s] is in use by %u element%s", type->name,
			    key, n, n == 1 ? "" : "s");
	mem_deref(name);
	return n > 0;
}

/* The configuration without an object; cascade: and without those who cannot be
 * without it */
static int config_without(struct config **cfgp, const struct config *old,
			  const struct element *type, const void *item,
			  bool cascade)
{
	struct change change = { .type = type, .key_of = item };
	struct config *cfg = NULL, *less = NULL;
	char *name = NULL;
	int err = config_change(&cfg, old, &change, 1);

	if (err || !cascade) {
		*cfgp = cfg;
		return err;
	}
	err = user_name(&name, type, item);
	if (!err)
		err = users_rename(&less, cfg, type, name, NULL);
	mem_deref(name);
	config_give(cfg);
	*cfgp = less;
	return err;
}

static void outer_delete(struct session *s, const struct element *type,
			 const void *item, const char *key, const char *how)
{
	struct object object = { type, (void *)item };
	struct config *cfg = NULL;
	char *say = NULL;
	int err;

	if (!*how && is_in_use(s, type, item, key))
		return;
	if (!control_lock(s))
		return;
	err = config_without(&cfg, configure_editing(s), type, item,
			     !strcmp(how, "cascade"));
	if (!err)
		err = re_sdprintf(&say, "%H is deleted.", object_print, &object)
			      ? ENOMEM
			      : 0;
	if (err) {
		config_give(cfg);
		no_memory(s);
		return;
	}
	s->configure->after = AFTER_STAY;
	store_begin(s, cfg, false, say);
}

/* What was deleted is no longer what is at hand */
static void forget_loaded(struct session *s, const struct element *type,
			  const void *item)
{
	struct draft *d = &s->configure->draft;
	struct level *level = draft_level(d);

	if (level->loaded && is_same_key(type, level->loaded, item))
		(void)draft_put(d, NULL, false);
}

static void delete_key(struct session *s, const char *key, const char *how)
{
	struct draft *d = &s->configure->draft;
	struct level *level = draft_level(d);
	struct keys keys = configure_keys(s);
	const void *item = keys_find(&keys, key);
	const struct element *type = level->type;
	char *whole = NULL;

	if (!item || key_text(&whole, type, item)) {
		say_none(s, type, key);
		return;
	}
	if (!level->in) {
		outer_delete(s, type, item, whole, how);
		if (s->task)
			forget_loaded(s, type, item);
	} else {
		struct level *above = level - 1;

		forget_loaded(s, type, item);
		items_remove(field_slot(level->in, above->item), type, item);
		above->changed = true;
		reply_line(&s->reply, "%s [%s] is deleted from %s.", type->name,
			   whole, above->type->name);
	}
	mem_deref(whole);
}

static void reset_answered(struct session *s, const struct pl *answer)
{
	struct draft *d = &s->configure->draft;

	if (!is_word(answer, "y") && !is_word(answer, "yes")) {
		reply_line(&s->reply, "Nothing was changed.");
		return;
	}
	if (draft_put(d, NULL, false)) {
		no_memory(s);
		return;
	}
	draft_touch(d);
	store_up_to(s, d->n - 1, AFTER_STAY);
}

static void no(struct session *s, const struct pl *rest)
{
	struct level *level = draft_level(&s->configure->draft);
	struct typed_key key;
	char how[16] = "";

	if (level->type->flags & SINGLE) {
		reply_ask(&s->reply, REPLY_QUESTION,
			  "All of %s back to defaults? [y/n] ",
			  level->type->name);
		s->asks = reset_answered;
		return;
	}
	if (key_read(s, &key, rest))
		return;
	if (key.n > 1 && (!strcmp(key.parts[key.n - 1], "force") ||
			  !strcmp(key.parts[key.n - 1], "cascade"))) {
		str_ncpy(how, key.parts[key.n - 1], sizeof(how));
		mem_deref(key.parts[--key.n]);
		key_join(&key);
	}
	if (key.n)
		delete_key(s, key.text, how);
	else
		choose(s, true);
	key_clear(&key);
}

static void select_object(struct session *s, const struct pl *rest)
{
	struct typed_key key;

	if (key_read(s, &key, rest))
		return;
	if (key.n)
		load_key(s, key.text);
	else
		choose(s, false);
	key_clear(&key);
}

static void copy(struct session *s, const struct pl *rest)
{
	struct draft *d = &s->configure->draft;
	struct level *level = draft_level(d);
	struct typed_key key;
	void *item = NULL;

	if (key_read(s, &key, rest))
		return;
	if (!key.n)
		reply_error(&s->reply, REPLY_ARGUMENT, "Missing KEY");
	else if (item_copy(&item, level->type, level->item))
		no_memory(s);
	else if (!key_set(s, level->type, item, &key) &&
		 draft_put(d, item, false))
		no_memory(s);
	item_free(level->type, item);
	key_clear(&key);
}

/* --- Verbs -------------------------------------------------------------- */

static bool takes_no_word(struct session *s, const struct pl *rest)
{
	if (rest->l)
		reply_error(&s->reply, REPLY_ARGUMENT, "Unexpected word [%r]",
			    rest);
	return !rest->l;
}

static void done(struct session *s, const struct pl *rest)
{
	struct draft *d = &s->configure->draft;

	if (!pl_strcmp(rest, "all"))
		store_up_to(s, 0, AFTER_STAY);
	else if (takes_no_word(s, rest))
		store_up_to(s, d->n - 1, AFTER_STAY);
}

static void show(struct session *s, const struct pl *rest)
{
	struct level *level = draft_level(&s->configure->draft);

	object_say(&s->reply, level, rest->l > 0);
}

/* true: the object at hand goes, once its changes are stored or given up */
static bool replaces(const char *verb, const struct pl *rest)
{
	return !strcmp(verb, "new") || !strcmp(verb, "select") ||
	       (!strcmp(verb, "no") && !rest->l);
}

static void leave(struct session *s, const char *verb)
{
	struct configure *e = s->configure;
	bool quits = !strcmp(verb, "quit");
	enum after after = quits ? AFTER_QUIT : AFTER_POP;

	if (e->draft.n && asks_to_save(s, after, NULL))
		return;
	if (quits)
		configure_close(s);
	else
		leave_one(s);
}

void configure_leave(struct session *s, bool quits)
{
	leave(s, quits ? "quit" : "exit");
}

static void verb(struct session *s, const char *word, const char *line,
		 const struct pl *rest)
{
	struct draft *d = &s->configure->draft;

	if (replaces(word, rest) && asks_to_save(s, AFTER_VERB, line))
		return;
	if (!strcmp(word, "copy"))
		copy(s, rest);
	else if (!strcmp(word, "default"))
		to_default(s, rest);
	else if (!strcmp(word, "done"))
		done(s, rest);
	else if (!strcmp(word, "no"))
		no(s, rest);
	else if (!strcmp(word, "select"))
		select_object(s, rest);
	else if (!strcmp(word, "show"))
		show(s, rest);
	else if (!strcmp(word, "new") && takes_no_word(s, rest) &&
		 draft_put(d, NULL, false))
		no_memory(s);
	else if ((!strcmp(word, "exit") || !strcmp(word, "quit")) &&
		 takes_no_word(s, rest))
		leave(s, word);
}

/* --- Lines -------------------------------------------------------------- */

static struct pl trimmed(const char *text)
{
	struct pl pl = range_of(text);

	while (pl.l && strchr(" \t\r\n", *pl.p))
		pl_advance(&pl, 1);
	while (pl.l && strchr(" \t\r\n", pl.p[pl.l - 1]))
		pl.l--;
	return pl;
}

/* Into a folder or an element of the tree, from wherever the session is */
static const char *walk(struct session *s, const struct choice *choice,
			const char *line, const char *rest)
{
	struct configure *e = s->configure;
	const struct element *type = choice->what;
	struct pl key = trimmed(rest);

	if (e->draft.n && asks_to_save(s, AFTER_LINE, line))
		return NULL;
	draft_clear(&e->draft);
	if (choice->kind == CHOICE_FOLDER) {
		e->draft.folder = choice->what;
		return key.l ? rest : NULL;
	}
	e->draft.folder = type->folder;
	enter(s, type, NULL, &key);
	return (type->flags & SINGLE) && key.l ? rest : NULL;
}

const char *configure_run(struct session *s, const struct choice *choice,
			  const char *line, const char *rest)
{
	const struct field *f = choice->what;
	struct pl text = trimmed(rest);

	switch (choice->kind) {

	case CHOICE_FOLDER:
	case CHOICE_ELEMENT:
		return walk(s, choice, line, rest);
	case CHOICE_CHILD:
		enter(s, f->child, f, &text);
		break;
	case CHOICE_PARAMETER:
		parameter(s, f, &text);
		break;
	case CHOICE_VERB:
		verb(s, choice->word, line, &text);
		break;
	case CHOICE_COMMAND:
	case CHOICE_VALUE:
		break;
	}
	return NULL;
}

void configure_cancel(struct session *s)
{
	struct configure *e = s->configure;

	if (!e)
		return;
	e->after = AFTER_STAY;
	line_clear(e);
	first_clear(e);
	listed_clear(e);
}

void configure_end(struct session *s)
{
	struct level *level = NULL;
	struct object object;

	if (!s->configure || !draft_is_changed(&s->configure->draft))
		return;
	for (level = s->configure->draft.level; !level->changed; level++)
		;
	object.type = level->type;
	object.item = level->item;
	reply_error(&s->reply, REPLY_FAILED, "%H was not stored", object_print,
		    &object);
}

/* --- show configuration ------------------------------------------------- */

struct showing {
	struct task task;
	const struct config *cfg;
	struct config *loaded;
	const struct element *only;
	char *key;
	char command[256]; /* for its document */
	bool brief;
};

static void showing_destructor(void *arg)
{
	struct showing *sh = arg;

	config_give(sh->cfg);
	config_give(sh->loaded);
	mem_deref(sh->key);
}

static int show_load(struct task *task)
{
	struct showing *sh = (struct showing *)task;
	int err;

	if (sh->cfg)
		return 0;
	err = versions_load(&sh->loaded, task->control->setup.db,
			    VERSION_EDITING);
	return err == ENOENT ? config_alloc(&sh->loaded) : err;
}

static int show_print(struct task *task)
{
	struct showing *sh = (struct showing *)task;
	struct text_setup text = {
		.cfg = sh->cfg ? sh->cfg : sh->loaded,
		.only = sh->only,
		.key = range_of(sh->key),
		.brief = sh->brief,
	};

	if (text.key.l && !config_find(text.cfg, text.only, &text.key)) {
		reply_error(&task->reply, REPLY_ARGUMENT, "There is no %s [%s]",
			    text.only->name, sh->key);
		return ECANCELED;
	}
	if (task->reply.json) {
		const struct tree_setup tree = { .cfg = text.cfg,
						 .only = text.only,
						 .key = text.key };

		json_begin(&task->reply, sh->command, JSON_NO_WINDOW);
		tree_json(&task->reply, &tree);
		json_end(&task->reply);
		return 0;
	}
	reply_print(&task->reply, (re_printf_h *)text_print, &text);
	return 0;
}

static const struct step show_steps[] = {
	{ ON_JOB, show_load },
	{ ON_JOB, show_print },
	{ ON_JOB, NULL },
};

const struct element *configure_element(struct session *s, const char *typed)
{
	struct choices c = { 0 };
	struct choices_list some = { &c, typed };
	const struct choice *picked = NULL;
	const struct element *type = NULL;
	const char *near;
	int err;

	place_elements(&c);
	err = choices_pick(&c, typed, &picked);
	near = choices_near(&c, typed);
	if (err == EEXIST)
		reply_error(&s->reply, REPLY_AMBIGUOUS,
			    "Ambiguous element [%s]: %H", typed, choices_print,
			    &some);
	else if (err && near)
		reply_error(&s->reply, REPLY_UNKNOWN,
			    "Unknown element [%s], did you mean [%s]?", typed,
			    near);
	else if (err)
		reply_error(&s->reply, REPLY_UNKNOWN, "Unknown element [%s]",
			    typed);
	else
		type = picked->what;
	choices_clear(&c);
	return type;
}

/* [ELEMENT [KEY]]; without a configuration editing is loaded */
static void show_begin(struct session *s, struct showing *sh,
		       const struct words *w, uint32_t at)
{
	struct typed_key key = { .n = 0 };

	if (sh && at < w->n) {
		sh->only = configure_element(s, w->v[at++]);
		if (!sh->only) {
			mem_deref(sh);
			return;
		}
	}
	for (; at < w->n && key.n < 16; at++)
		key.parts[key.n++] = w->v[at];
	key_join(&key);
	if (sh && str_dup(&sh->key, key.text))
		sh = mem_deref(sh);
	if (sh)
		str_ncpy(sh->command, s->command, sizeof(sh->command));
	task_start(s, (struct task *)sh, show_steps, false);
}

void configure_show(struct session *s, const struct words *w, uint32_t at)
{
	struct showing *sh = mem_zalloc(sizeof(*sh), showing_destructor);

	if (sh && at < w->n && !strcmp(w->v[at], "short")) {
		sh->brief = true;
		at++;
	}
	if (sh && configure_editing(s))
		sh->cfg = config_take(configure_editing(s));
	show_begin(s, sh, w, at);
}

void configure_show_running(struct session *s, const struct words *w,
			    uint32_t at)
{
	struct showing *sh = mem_zalloc(sizeof(*sh), showing_destructor);
	const struct plan *plan = sbc_plan(s->sbc);

	if (sh)
		sh->cfg = config_take(plan->config);
	plan_give(plan);
	show_begin(s, sh, w, at);
}
