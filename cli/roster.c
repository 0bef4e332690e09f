/*
 * import-surrogate-agents: rows of a CSV file into the editing configuration
 *
 * All or nothing: every bad row is told with its line, and then editing stays as
 * it was. The rows are read on the job thread; one transaction stores them.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "store/csv.h"
#include "store/log.h"
#include "store/versions.h"
#include "cli/check.h"
#include "cli/draft.h"
#include "cli/roster.h"

enum {
	BAD_SHOWN = 1000,
	TELL_ROWS = 1024, /* between two words about how far it is */
};

struct roster {
	struct task task;
	char *file;
	bool replace;
	struct mbuf *bytes; /* wiped at the end: there are passwords in it */
	struct config *editing, *cfg;
	struct config *read; /* the rows, to find a key that comes twice */
	struct csv *csv;
	const struct field *column[CSV_COLUMNS];
	uint32_t rows, bad;
};

static const struct element *const agents = &element_surrogate_agent;

static void bytes_drop(struct roster *r)
{
	if (r->bytes)
		explicit_bzero(r->bytes->buf, r->bytes->size);
	r->bytes = mem_deref(r->bytes);
	if (r->csv)
		explicit_bzero(r->csv, sizeof(*r->csv));
	free(r->csv);
	r->csv = NULL;
}

static void roster_destructor(void *arg)
{
	struct roster *r = arg;

	bytes_drop(r);
	mem_deref(r->file);
	config_give(r->editing);
	config_give(r->cfg);
	config_give(r->read);
}

/* --- Rows ---------------------------------------------------------------- */

static void row_is_bad(struct roster *r, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

static void row_is_bad(struct roster *r, const char *fmt, ...)
{
	char why[512];
	va_list ap;

	if (r->bad++ >= BAD_SHOWN)
		return;
	va_start(ap, fmt);
	(void)vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	reply_line(&r->task.reply, "%s:%u: the row %s", r->file, r->csv->line,
		   why);
}

static bool has_column(const struct roster *r, const struct field *f, int n)
{
	for (int i = 0; i < n; i++)
		if (r->column[i] == f)
			return true;
	return false;
}

/* The header names the parameters; those of the key have to be among them */
static void header_take(struct roster *r)
{
	const struct csv *csv = r->csv;

	if (!csv_row(r->csv) || csv->why) {
		row_is_bad(r, "is no header: %s",
			   csv->why ? csv->why : "the file is empty");
		return;
	}
	for (int i = 0; i < csv->n; i++) {
		struct pl name = { csv->field[i], csv->length[i] };
		const struct field *f = field_find(agents, &name);

		if (!f || (f->flags & READONLY))
			row_is_bad(r,
				   "is no header: surrogate-agent has no "
				   "parameter [%.64s]",
				   csv->field[i]);
		else if (has_column(r, f, i))
			row_is_bad(r, "is no header: it has %s twice", f->name);
		r->column[i] = f;
	}
	for (const struct field *f = agents->fields; f->name; f++)
		if ((f->flags & KEY) && !has_column(r, f, csv->n))
			row_is_bad(r, "is no header: it lacks %s", f->name);
}

static int value_take(struct roster *r, const struct field *f, void *item,
		      const struct pl *text)
{
	struct value_fault fault = { "" };
	int err;

	/* A mask keeps what is stored */
	if (f->type == &type_secret && !pl_strcmp(text, secret_mask)) {
		if (field_is_empty(f, item))
			row_is_bad(r, "has a masked %s, and none is stored",
				   f->name);
		return 0;
	}
	err = field_read(f, item, text, &fault);
	if (err != EINVAL)
		return err;
	if (f->type == &type_secret || (f->flags & SECRET))
		row_is_bad(r, "has invalid %s, which %s", f->name, fault.why);
	else
		row_is_bad(r, "has invalid %s [%.64s], which %s", f->name,
			   text->p, fault.why);
	return 0;
}

/* The agent that is there, changed where the row says so, or a new one */
static int item_begin(void **itemp, const struct roster *r)
{
	struct pl part[3] = { { NULL, 0 } };
	char key[1024];
	struct pl pl = { key, 0 };
	const void *found;
	int n = 0;

	for (const struct field *f = agents->fields; f->name; f++) {
		for (int i = 0; (f->flags & KEY) && i < r->csv->n; i++) {
			if (r->column[i] != f)
				continue;
			part[n].p = r->csv->field[i];
			part[n++].l = r->csv->length[i];
		}
	}
	n = re_snprintf(key, sizeof(key), "%r %r %r", &part[0], &part[1],
			&part[2]);
	pl.l = n > 0 ? (size_t)n : 0;
	found = config_find(r->editing, agents, &pl);
	return found ? item_copy(itemp, agents, found)
		     : item_alloc(itemp, agents);
}

static int row_take(struct roster *r)
{
	const struct csv *csv = r->csv;
	uint32_t bad = r->bad;
	void *item = NULL;
	int err = item_begin(&item, r);

	for (int i = 0; i < csv->n && !err; i++) {
		struct pl text = { csv->field[i], csv->length[i] };

		err = value_take(r, r->column[i], item, &text);
	}
	for (const struct field *f = agents->fields; f->name && !err; f++)
		if ((f->flags & REQUIRED) && field_is_empty(f, item) &&
		    bad == r->bad)
			row_is_bad(r, "is missing %s", f->name);
	if (!err && bad == r->bad)
		err = object_stamp(agents, item, r->task.by);
	if (!err && bad == r->bad) {
		err = config_append(r->read, agents, item, csv->line, 1);
		if (!err)
			item = NULL; /* taken over */
	}
	if (err == EEXIST) {
		row_is_bad(r, "has the key of a line before");
		err = 0;
	}
	item_free(agents, item);
	return err;
}

static int rows_read(struct roster *r)
{
	struct pl bytes = { (const char *)r->bytes->buf, r->bytes->end };
	int columns, err = 0;

	csv_begin(r->csv, &bytes);
	header_take(r);
	columns = r->csv->n;
	if (r->bad)
		return 0;
	while (!err && csv_row(r->csv)) {
		if (r->csv->line % TELL_ROWS == 0)
			progress_set(&r->task.progress, "reading",
				     csv_done(r->csv), csv_total(r->csv));
		if (r->csv->why)
			row_is_bad(r, "%s", r->csv->why);
		else if (r->csv->n != columns)
			row_is_bad(r, "has %d columns, the header %d",
				   r->csv->n, columns);
		else
			err = row_take(r);
		r->rows++;
	}
	return err;
}

/* --- Steps --------------------------------------------------------------- */

static int agents_read(struct task *task)
{
	struct roster *r = (struct roster *)task;
	int err;

	r->csv = malloc(sizeof(*r->csv));
	err = r->csv ? config_alloc(&r->read) : ENOMEM;
	if (!err)
		err = versions_load(&r->editing, task->control->setup.db,
				    VERSION_EDITING);
	if (err == ENOENT)
		err = config_alloc(&r->editing);
	if (!err)
		err = rows_read(r);
	bytes_drop(r);
	if (err || !r->bad)
		return err;
	if (r->bad > BAD_SHOWN)
		reply_line(&task->reply, "... %u more", r->bad - BAD_SHOWN);
	reply_error(&task->reply, REPLY_FAILED,
		    "%s has %u bad row%s; nothing was changed", r->file, r->bad,
		    r->bad == 1 ? "" : "s");
	return ECANCELED;
}

/* Those of the file, and with `replace` the end of all others */
static int changes_make(struct change *changes, size_t *np, struct roster *r)
{
	size_t n = config_count(r->read, agents), old;
	int err = 0;

	for (size_t i = 0; i < n && !err; i++) {
		changes[*np].type = agents;
		err = item_copy(&changes[*np].item, agents,
				config_at(r->read, agents, i));
		*np += !err;
	}
	old = r->replace ? config_count(r->editing, agents) : 0;
	for (size_t i = 0; i < old && !err; i++) {
		struct item_ref ref = { agents,
					config_at(r->editing, agents, i) };
		char key[1024];
		struct pl pl = { key, 0 };
		int len = re_snprintf(key, sizeof(key), "%H", item_key_spell,
				      &ref);

		pl.l = len > 0 ? (size_t)len : 0;
		if (config_find(r->read, agents, &pl))
			continue;
		changes[*np].type = agents;
		changes[(*np)++].key_of = ref.item;
	}
	return err;
}

static int agents_store(struct task *task)
{
	struct roster *r = (struct roster *)task;
	const struct control_setup *setup = &task->control->setup;
	size_t room = config_count(r->read, agents) +
		      config_count(r->editing, agents) + 1;
	struct change *changes = calloc(room, sizeof(*changes));
	size_t n = 0;
	int err = changes ? changes_make(changes, &n, r) : ENOMEM;

	progress_set(&task->progress, NULL, 0, 0);
	config_give(r->read); /* a million agents are not kept twice */
	r->read = NULL;
	if (!err)
		err = config_change(&r->cfg, r->editing, changes, n);
	while (err && n--)
		item_free(changes[n].type, changes[n].item);
	free(changes);
	if (!err)
		err = versions_edit_objects(setup->db, r->editing, r->cfg,
					    setup->seal);
	if (!err)
		log_notice(CLI, "agents-imported", "rows=%u by=%s", r->rows,
			   task->by);
	return err;
}

static int agents_say(struct task *task)
{
	struct roster *r = (struct roster *)task;
	uint32_t errors;

	reply_line(&task->reply, "%u surrogate-agent%s taken into editing.",
		   r->rows, r->rows == 1 ? "" : "s");
	return verify_say(task, r->cfg, r->file, true, false, &errors);
}

static const struct step roster_steps[] = {
	{ ON_JOB, agents_read },
	{ ON_JOB, agents_store },
	{ ON_JOB, agents_say },
	{ ON_JOB, NULL },
};

/* --- Command ------------------------------------------------------------- */

static void roster_came(struct session *s, const struct pl *bytes)
{
	struct roster *r = s->arg;

	s->arg = NULL;
	if (!bytes->p) {
		reply_error(
			&s->reply, REPLY_FAILED,
			"No file came, or one of more than 256 MiB; nothing "
			"was changed");
		mem_deref(r);
		return;
	}
	r->bytes = mem_ref(s->came);
	task_start(s, (struct task *)r, roster_steps, true);
}

void import_surrogate_agents(struct session *s, const struct words *w,
			     uint32_t at)
{
	const char *how = at + 1 < w->n ? w->v[at + 1] : "merge";
	struct roster *r;

	if (at == w->n) {
		reply_error(&s->reply, REPLY_ARGUMENT, "Missing FILE");
		return;
	}
	if (strcmp(how, "merge") && strcmp(how, "replace")) {
		reply_error(&s->reply, REPLY_UNKNOWN,
			    "Unknown word [%s], possible here: merge, replace",
			    how);
		return;
	}
	if (at + 2 < w->n) {
		reply_error(&s->reply, REPLY_UNKNOWN, "Unexpected word [%s]",
			    w->v[at + 2]);
		return;
	}
	if (!control_lock(s))
		return;
	r = mem_zalloc(sizeof(*r), roster_destructor);
	if (!r || str_dup(&r->file, w->v[at])) {
		reply_error(&s->reply, REPLY_FAILED, "no memory");
		mem_deref(r);
		return;
	}
	r->replace = *how == 'r';
	s->arg = r;
	s->wants = roster_came;
	reply_ask(&s->reply, REPLY_SEND_FILE, "%s", r->file);
}
