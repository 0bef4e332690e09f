/*
 * import-config and export-config
 *
 * An import is all or nothing: every problem of the file is said with its place,
 * and then editing stays as it was (acli.md 1.8).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "store/log.h"
#include "store/rules.h"
#include "store/text.h"
#include "store/versions.h"
#include "store/yaml.h"
#include "cli/activate.h"
#include "cli/draft.h"
#include "cli/masks.h"
#include "cli/transfer.h"

/* --- import-config ------------------------------------------------------ */

struct import {
	struct task task;
	char *file;
	bool merge;
	bool secrets;       /* there were some in the file, not masked */
	struct mbuf *bytes; /* wiped at the end: there are passwords in it */
	struct config *read, *cfg;
};

static void import_destructor(void *arg)
{
	struct import *import = arg;

	if (import->bytes)
		explicit_bzero(import->bytes->buf, import->bytes->size);
	mem_deref(import->bytes);
	mem_deref(import->file);
	config_give(import->read);
	config_give(import->cfg);
}

/* Who brought it, and when; equal objects keep what they have */
static int all_stamp(const struct config *cfg, const char *by)
{
	int err = 0;

	for (size_t e = 0; elements[e]; e++) {
		size_t n = config_count(cfg, elements[e]);

		for (size_t i = 0; i < n && !err; i++) {
			const struct item *item =
				config_item_at(cfg, elements[e], i);

			if (item->line)
				err = object_stamp(elements[e], item->value,
						   by);
		}
	}
	return err;
}

/* A file of nothing is more likely a pipe that broke than a wish to have nothing:
 * delete-config is for that */
static bool is_void(const struct config *cfg)
{
	for (size_t e = 0; elements[e]; e++)
		for (size_t i = 0; i < config_count(cfg, elements[e]); i++)
			if (config_item_at(cfg, elements[e], i)->line)
				return false;
	return true;
}

static int import_read(struct task *task)
{
	struct import *import = (struct import *)task;
	struct pl bytes = { (const char *)import->bytes->buf,
			    import->bytes->end };
	struct list findings = LIST_INIT;
	int err = yaml_read(&import->read, import->file, &bytes, &findings);

	for (struct le *le = list_head(&findings); le; le = le->next) {
		struct yaml_problem problem = { import->file, le->data };

		reply_print(&task->reply, (re_printf_h *)yaml_problem_print,
			    &problem);
	}
	list_flush(&findings);
	if (!err && is_void(import->read)) {
		reply_line(&task->reply, "%s holds no element", import->file);
		err = EINVAL;
	}
	if (!err)
		err = all_stamp(import->read, task->by);
	if (!err)
		import->secrets = masks_miss(import->read);
	if (!err || err == ENOMEM)
		return err;
	reply_error(&task->reply, REPLY_FAILED,
		    "%s was not taken; nothing was changed", import->file);
	return ECANCELED;
}

/* What the file has replaces what has the same key; what it has not, stays */
static int changes_of(struct change *changes, size_t *np,
		      const struct config *read)
{
	int err = 0;

	for (size_t e = 0; elements[e]; e++) {
		size_t n = config_count(read, elements[e]);

		for (size_t i = 0; i < n && !err; i++) {
			const struct item *item =
				config_item_at(read, elements[e], i);

			if (!item->line) /* a single element left out */
				continue;
			changes[*np].type = elements[e];
			err = item_copy(&changes[*np].item, elements[e],
					item->value);
			*np += !err;
		}
	}
	return err;
}

static int merge(struct import *import, const struct config *editing)
{
	struct change *changes;
	size_t room = 0, n = 0;
	int err;

	for (size_t e = 0; elements[e]; e++)
		room += config_count(import->read, elements[e]);
	changes = calloc(room + 1, sizeof(*changes));
	if (!changes)
		return ENOMEM;
	err = changes_of(changes, &n, import->read);
	if (!err)
		err = config_change(&import->cfg, editing, changes, n);
	while (err && n--)
		item_free(changes[n].type, changes[n].item);
	free(changes);
	return err;
}

static void mask_say(const struct element *type, const void *item,
		     const struct field *f, void *arg)
{
	struct task *task = arg;
	struct object object = { type, item };

	reply_line(&task->reply, "%H has a masked %s, and none is stored",
		   object_print, &object, f->name);
}

/* A mask keeps the secret that is stored (configuration.md 1.5) */
static int unmask(struct import *import, const struct config *editing)
{
	struct task *task = &import->task;
	int err = masks_fill(import->read, editing, mask_say, task);

	if (err != ENOENT)
		return err;
	reply_error(&task->reply, REPLY_FAILED,
		    "%s was not taken; nothing was changed", import->file);
	return ECANCELED;
}

static int import_merge(struct task *task)
{
	struct import *import = (struct import *)task;
	struct config *editing = NULL;
	int err;

	err = versions_load(&editing, task->control->setup.db, VERSION_EDITING);
	if (err == ENOENT)
		err = config_alloc(&editing);
	if (!err)
		err = unmask(import, editing);
	if (!err && import->merge) {
		err = merge(import, editing);
	} else if (!err) {
		import->cfg = import->read;
		import->read = NULL;
	}
	config_give(editing);
	return err;
}

static int import_store(struct task *task)
{
	struct import *import = (struct import *)task;
	const struct control_setup *setup = &task->control->setup;

	return versions_edit(setup->db, import->cfg, setup->seal);
}

static int import_verify(struct task *task)
{
	struct import *import = (struct import *)task;
	char digest[SEAL_DIGEST];
	uint32_t errors;

	log_notice(CLI, "config-imported", "by=%s", task->by);
	seal_digest(digest, import->bytes->buf, import->bytes->end);
	reply_change(&task->reply, "sha256 %s, secrets %s", digest,
		     import->secrets ? "yes" : "no");
	return verify_say(task, import->cfg, import->file, true, false,
			  &errors);
}

static const struct step import_steps[] = {
	{ ON_JOB, import_read },  { ON_JOB, import_merge },
	{ ON_JOB, import_store }, { ON_JOB, import_verify },
	{ ON_JOB, NULL },
};

static void import_came(struct session *s, const struct pl *bytes)
{
	struct import *import = s->arg;

	s->arg = NULL;
	if (!bytes->p) {
		reply_error(
			&s->reply, REPLY_FAILED,
			"No file came, or one of more than 256 MiB; nothing "
			"was changed");
		mem_deref(import);
		return;
	}
	import->bytes = mem_ref(s->came);
	task_start(s, (struct task *)import, import_steps, true);
}

void import_config(struct session *s, const struct words *w, uint32_t at)
{
	struct import *import;
	bool merges = at + 1 < w->n && !strcmp(w->v[at + 1], "merge");

	if (at == w->n) {
		reply_error(&s->reply, REPLY_ARGUMENT, "Missing FILE");
		return;
	}
	if (at + 1 < w->n && !merges && strcmp(w->v[at + 1], "replace")) {
		reply_error(&s->reply, REPLY_UNKNOWN,
			    "Unknown word [%s], possible here: merge, replace",
			    w->v[at + 1]);
		return;
	}
	if (!control_lock(s))
		return;
	import = mem_zalloc(sizeof(*import), import_destructor);
	if (!import || str_dup(&import->file, w->v[at])) {
		reply_error(&s->reply, REPLY_FAILED, "no memory");
		mem_deref(import);
		return;
	}
	import->merge = merges;
	s->arg = import;
	s->wants = import_came;
	reply_ask(&s->reply, REPLY_SEND_FILE, "%s", import->file);
}

/* --- export-config ------------------------------------------------------ */

struct export
{
	struct task task;
	char *file; /* NULL: standard output */
	uint32_t version;
	bool newest; /* the newest saved version */
	bool text, secrets;
	struct config *cfg;
};

static void export_destructor(void *arg)
{
	struct export *export = arg;

	mem_deref(export->file);
	config_give(export->cfg);
}

static int export_load(struct task *task)
{
	struct export *export = (struct export *)task;
	struct database *db = task->control->setup.db;
	int err = 0;

	if (export->newest)
		err = versions_numbers(db, &export->version, NULL);
	if (!err)
		err = versions_load(&export->cfg, db, export->version);
	if (err != ENOENT)
		return err;
	reply_error(&task->reply, REPLY_FAILED, "There is no such version");
	return ECANCELED;
}

static int export_print(struct task *task)
{
	struct export *export = (struct export *)task;
	struct yaml_setup yaml = { .cfg = export->cfg,
				   .clear = export->secrets };
	struct text_setup text = { .cfg = export->cfg,
				   .clear = export->secrets };
	re_printf_h *h = export->text ? (re_printf_h *)text_print
				      : (re_printf_h *)yaml_print;
	const void *arg = export->text ? (const void *)&text : &yaml;
	char digest[SEAL_DIGEST], *bytes = NULL;
	struct pl pl;
	int err = re_sdprintf(&bytes, "%H", h, arg) ? ENOMEM : 0;

	if (err)
		return err;
	pl_set_str(&pl, bytes);
	task->reply.wiped |= export->secrets;
	if (export->file)
		err = reply_file(&task->reply, export->file, &pl);
	else
		reply_text(&task->reply, pl.p, pl.l);
	seal_digest(digest, pl.p, pl.l);
	reply_change(&task->reply, "sha256 %s, secrets %s", digest,
		     export->secrets ? "yes" : "no");
	if (export->secrets)
		secret_wipe_bytes(bytes, pl.l);
	mem_deref(bytes);
	return err;
}

/* Nobody else has what was loaded: its secrets may be opened in place */
static int export_open(struct task *task)
{
	struct export *export = (struct export *)task;
	const struct seal *seal = task->control->setup.seal;
	int err = export->secrets ? masks_open(export->cfg, seal) : 0;

	if (err != EBADMSG)
		return err;
	reply_error(&task->reply, REPLY_FAILED,
		    "The key file does not open every secret");
	return ECANCELED;
}

static const struct step export_steps[] = {
	{ ON_JOB, export_load },
	{ ON_JOB, export_open },
	{ ON_JOB, export_print },
	{ ON_JOB, NULL },
};

static bool export_word(struct export *export, const char *word)
{
	if (!strcmp(word, "yaml") || !strcmp(word, "text"))
		export->text = *word == 't';
	else if (!strcmp(word, "--secrets"))
		export->secrets = true;
	else if (!strcmp(word, "saved"))
		export->newest = true;
	else if (!strcmp(word, "running"))
		export->newest = false;
	else if (!strcmp(word, "editing"))
		export->version = VERSION_EDITING;
	else
		return false;
	if (export->version == VERSION_EDITING)
		export->newest = false;
	return true;
}

static void export_agreed(struct session *s, const struct pl *answer)
{
	struct export *export = s->arg;

	s->arg = NULL;
	if (is_word(answer, "y") || is_word(answer, "yes")) {
		task_start(s, (struct task *)export, export_steps, false);
		return;
	}
	reply_line(&s->reply, "Nothing was exported.");
	mem_deref(export);
}

void export_config(struct session *s, const struct words *w, uint32_t at)
{
	struct export *export = mem_zalloc(sizeof(*export), export_destructor);

	if (export)
		export->newest = true;
	for (; export && at < w->n; at++) {
		if (export_word(export, w->v[at]))
			continue;
		if (export->file) {
			reply_error(&s->reply, REPLY_UNKNOWN,
				    "Unexpected word [%s]", w->v[at]);
			mem_deref(export);
			return;
		}
		if (str_dup(&export->file, w->v[at]))
			export = mem_deref(export);
	}
	if (export && export->secrets) {
		s->arg = export;
		s->asks = export_agreed;
		reply_ask(&s->reply, REPLY_QUESTION,
			  "Write all passwords in clear? [y/n] ");
		return;
	}
	task_start(s, (struct task *)export, export_steps, false);
}
