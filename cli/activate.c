/*
 * Verify, save, compare, discard and activate configurations
 *
 * activate-config succeeds or changes nothing (architecture.md 4): all that may
 * fail comes first, the database before the SBC, and the last step cannot fail.
 */
#include <errno.h>
#include <string.h>
#include "store/diff.h"
#include "store/log.h"
#include "store/number.h"
#include "store/verify.h"
#include "store/versions.h"
#include "sbc/alarm.h"
#include "sbc/calls.h"
#include "sbc/clock.h"
#include "cli/activate.h"
#include "cli/arguments.h"
#include "cli/choices.h"
#include "cli/configure.h"
#include "cli/draft.h"
#include "cli/places.h"
#include "cli/tree.h"

enum {
	SHOWN = 1000,     /* differences that are listed */
	SLICE = 200,      /* calls that are looked at in one turn */
	SETTLES = 20000,  /* at most [ms] */
	LOOKS = 20 * 1000 /* pause between two looks [us] */
};

/* What is to become as last saved: all, or one object */
struct discarding {
	const struct element *type; /* NULL: all */
	bool held;                  /* the lock, before that was asked for */
	char key[1024];
};

/* What the commands of this file work with */
struct work {
	struct task task;
	struct activation activation;
	struct verify_totals totals; /* of what is saved */
	uint32_t version;            /* asked for; saved */
	struct config *cfg;          /* the one at hand */
	struct config *other;        /* compared with it */
	const struct plan *running;  /* when the task began */
	const struct plan *plan;
	uint32_t edits; /* that are not saved */
	uint32_t differences, added, removed, next_start;
	struct discarding *discarding;
	char command[256]; /* of a document */
	char why[256];
};

static void work_destructor(void *arg)
{
	struct work *work = arg;

	config_give(work->cfg);
	config_give(work->other);
	plan_give(work->running);
	plan_give(work->plan);
	mem_deref(work->discarding);
}

/* NULL: task_start says so */
static struct work *work_alloc(struct session *s)
{
	struct work *work = mem_zalloc(sizeof(*work), work_destructor);

	if (work && s->sbc)
		work->running = sbc_plan(s->sbc);
	return work;
}

static int load(struct config **cfgp, struct task *task, uint32_t version)
{
	int err = versions_load(cfgp, task->control->setup.db, version);

	if (err != ENOENT)
		return err;
	reply_error(&task->reply, REPLY_ARGUMENT, "There is no version %u",
		    version);
	return ECANCELED;
}

static int load_editing(struct task *task)
{
	struct work *work = (struct work *)task;

	return load(&work->cfg, task, VERSION_EDITING);
}

/* The newest saved version; an empty one where none was ever saved */
static int load_saved(struct config **cfgp, struct task *task)
{
	uint32_t saved = 0;
	int err = versions_numbers(task->control->setup.db, &saved, NULL);

	if (err)
		return err;
	return saved ? load(cfgp, task, saved) : config_alloc(cfgp);
}

static int verify_editing(struct task *task)
{
	struct work *work = (struct work *)task;

	return verify_tell(task, work->cfg, NULL, false, false, &work->totals);
}

/* --- save-config -------------------------------------------------------- */

static int save(struct task *task)
{
	struct work *work = (struct work *)task;
	struct database *db = task->control->setup.db;
	const struct system_config *system =
		config_single(work->cfg, &element_system_config);
	uint32_t number = 0, running = 0;
	int err;

	err = versions_save_edits(&number, db, task->by);
	if (err == EALREADY) {
		reply_line(&task->reply, "Nothing to save, version %u.",
			   number);
		return 0;
	}
	if (err)
		return err;

	(void)versions_numbers(db, NULL, &running);
	reply_change(&task->reply, "version %u", number);
	reply_line(&task->reply,
		   "Saved as version %u. Running is version %u; use "
		   "activate-config.",
		   number, running);
	log_notice(CLI, "config-saved", "version=%u by=%s", number, task->by);
	/* Without them the list shows that nobody counted */
	if (versions_judge(db, number, work->totals.errors,
			   work->totals.warnings))
		log_warning(DB, "versions-judge", "text=\"not done\"");
	/* Old versions may stay for once: the next save tries again */
	if (versions_sweep(db, system->config_versions_kept))
		log_warning(DB, "versions-sweep", "text=\"not done\"");
	return 0;
}

static const struct step save_steps[] = {
	{ ON_JOB, load_editing },
	{ ON_JOB, verify_editing },
	{ ON_JOB, save },
	{ ON_JOB, NULL },
};

void save_config(struct session *s, const struct words *w, uint32_t at)
{
	(void)w;
	(void)at;
	if (!control_is_free(s))
		return;
	control_unlock(s->control, s);
	task_start(s, (struct task *)work_alloc(s), save_steps, true);
}

/* --- show configuration ------------------------------------------------- */

static void difference_count(const struct difference *d, void *arg)
{
	struct work *work = arg;

	work->differences++;
	work->added += d->what == DIFF_ADDED;
	work->removed += d->what == DIFF_REMOVED;
}

static void difference_say(const struct difference *d, void *arg)
{
	struct work *work = arg;

	difference_count(d, arg);
	if (work->task.reply.json)
		tree_difference_json(&work->task.reply, d);
	else if (work->differences <= SHOWN)
		reply_print(&work->task.reply, (re_printf_h *)difference_print,
			    d);
}

static int load_other(struct task *task)
{
	struct work *work = (struct work *)task;

	return work->version == VERSION_EDITING
		       ? load_saved(&work->other, task)
		       : load(&work->other, task, work->version);
}

/* All of them, however many */
static void differences_json(struct work *work)
{
	struct reply *r = &work->task.reply;

	json_begin(r, work->command, JSON_NO_WINDOW);
	json_open(r, NULL, '{');
	json_open(r, "differences", '[');
	diff_walk(work->other, work->cfg, difference_say, work);
	json_close(r, ']');
	json_number(r, "changed",
		    work->differences - work->added - work->removed);
	json_number(r, "added", work->added);
	json_number(r, "removed", work->removed);
	json_close(r, '}');
	json_end(r);
}

static int say_differences(struct task *task)
{
	struct work *work = (struct work *)task;

	if (task->reply.json) {
		differences_json(work);
		return 0;
	}
	diff_walk(work->other, work->cfg, difference_say, work);
	if (work->differences > SHOWN)
		reply_line(&task->reply, "... %u more",
			   work->differences - SHOWN);
	if (!work->differences)
		reply_line(&task->reply, "No differences.");
	else
		reply_line(&task->reply,
			   "%u element%s changed, %u added, %u removed",
			   work->differences - work->added - work->removed,
			   work->differences - work->added - work->removed == 1
				   ? ""
				   : "s",
			   work->added, work->removed);
	return 0;
}

static const struct step diff_steps[] = {
	{ ON_JOB, load_editing },
	{ ON_JOB, load_other },
	{ ON_JOB, say_differences },
	{ ON_JOB, NULL },
};

/* The word that was typed, perhaps shortened; NULL: none of them, or several */
static const char *in_full(const char *const *words, const char *typed)
{
	const char *found = NULL;
	size_t n = strlen(typed);

	for (; *words; words++) {
		if (!strcmp(*words, typed))
			return *words;
		if (n && !strncmp(*words, typed, n))
			found = found ? "" : *words;
	}

	return found && *found ? found : NULL;
}

static void show_diff(struct session *s, const struct words *w, uint32_t at)
{
	static const char *const words[] = { "running", "saved", "version",
					     NULL };
	const char *with = at < w->n ? in_full(words, w->v[at]) : "running";
	const bool numbered = with && !strcmp(with, "version");
	struct work *work;
	uint64_t version = 0; /* running */

	if (!with) {
		reply_error(&s->reply, REPLY_UNKNOWN,
			    "Unknown word [%s], possible here: running, saved, "
			    "version",
			    w->v[at]);
		return;
	}
	if (w->n > at + 1 + numbered) {
		reply_error(&s->reply, REPLY_ARGUMENT, "Unexpected word [%s]",
			    w->v[at + 1 + numbered]);
		return;
	}
	if (numbered && !arguments_number(&s->reply, w, at + 1, "version", 1,
					  VERSION_EDITING - 1, &version))
		return;
	if (!strcmp(with, "saved"))
		version = VERSION_EDITING; /* the one before it */

	work = work_alloc(s);
	if (work) {
		work->version = (uint32_t)version;
		str_ncpy(work->command, s->command, sizeof(work->command));
	}
	task_start(s, (struct task *)work, diff_steps, false);
}

struct version_list {
	struct session *s;
	uint32_t running;
};

static void version_count_json(struct reply *r, const char *name, uint32_t n)
{
	if (n == VERSION_UNCOUNTED)
		json_text(r, name, NULL);
	else
		json_number(r, name, n);
}

static void version_json(const struct version_list *list,
			 const struct version_info *info)
{
	struct reply *r = &list->s->reply;

	json_open(r, NULL, '{');
	json_number(r, "version", info->number);
	json_text(r, "saved", info->saved);
	json_text(r, "by", info->by);
	json_number(r, "elements", info->elements);
	version_count_json(r, "errors", info->errors);
	version_count_json(r, "warnings", info->warnings);
	json_flag(r, "running", info->number == list->running);
	json_close(r, '}');
}

static void version_line(const struct version_info *info, void *arg)
{
	const struct version_list *list = arg;
	char errors[16] = "-", warnings[16] = "-";

	if (list->s->reply.json) {
		version_json(list, info);
		return;
	}
	if (info->errors != VERSION_UNCOUNTED)
		(void)re_snprintf(errors, sizeof(errors), "%u", info->errors);
	if (info->warnings != VERSION_UNCOUNTED)
		(void)re_snprintf(warnings, sizeof(warnings), "%u",
				  info->warnings);
	reply_line(&list->s->reply, "%7u  %-20s  %-24s %8u %6s %8s  %s",
		   info->number, info->saved, info->by, info->elements, errors,
		   warnings, info->number == list->running ? "yes" : "");
}

static void show_versions(struct session *s)
{
	struct version_list list = { s, 0 };

	if (s->reply.json) {
		json_begin(&s->reply, s->command, JSON_NO_WINDOW);
		json_open(&s->reply, NULL, '[');
	} else {
		reply_line(&s->reply, "%7s  %-20s  %-24s %8s %6s %8s  %s",
			   "Version", "Saved", "By", "Elements", "Errors",
			   "Warnings", "Running");
	}
	if (versions_numbers(s->db, NULL, &list.running) ||
	    versions_list(s->db, version_line, &list)) {
		s->reply.doc = mem_deref(s->reply.doc);
		reply_error(&s->reply, REPLY_FAILED,
			    "The database cannot be read");
	} else if (s->reply.json) {
		json_close(&s->reply, ']');
		json_end(&s->reply);
	}
}

/* to-file NAME: as behind `| save` (acli.md 2.4) */
static void show_to_file(struct session *s, const struct words *w, uint32_t at)
{
	struct pl name = { NULL, 0 };
	char *filter = NULL;

	if (at == w->n) {
		reply_error(&s->reply, REPLY_ARGUMENT, "Missing NAME");
		return;
	}
	name = range_of(w->v[at]);
	if (re_sdprintf(&filter, "save %H", value_quote, &name))
		reply_error(&s->reply, REPLY_FAILED, "no memory");
	else if (!reply_filter(&s->reply, filter))
		configure_show(s, w, at + 1);
	mem_deref(filter);
}

/* A view shortened, if no element begins so */
static void view_expand(struct words *w, uint32_t at)
{
	static const char *const views[] = { "diff", "short", "to-file",
					     "versions", NULL };
	const char *view = at < w->n ? in_full(views, w->v[at]) : NULL;
	struct choices c = { 0 };
	const struct choice *picked;

	if (!view)
		return;
	place_elements(&c);
	if (choices_pick(&c, w->v[at], &picked) == ENOENT)
		w->v[at] = (char *)view;
	choices_clear(&c);
}

void show_configuration(struct session *s, const struct words *typed,
			uint32_t at)
{
	struct words words = *typed, *w = &words;

	view_expand(w, at);
	if (at + 1 < w->n && !strcmp(w->v[at], "versions"))
		reply_error(&s->reply, REPLY_ARGUMENT, "Unexpected word [%s]",
			    w->v[at + 1]);
	else if (at < w->n && !strcmp(w->v[at], "versions"))
		show_versions(s);
	else if (at < w->n && !strcmp(w->v[at], "diff"))
		show_diff(s, w, at + 1);
	else if (at < w->n && !strcmp(w->v[at], "to-file"))
		show_to_file(s, w, at + 1);
	else
		configure_show(s, w, at);
}

static void display(struct session *s, bool running)
{
	uint32_t numbers[2] = { 0 };

	if (versions_numbers(s->db, &numbers[0], &numbers[1]))
		reply_error(&s->reply, REPLY_FAILED,
			    "The database cannot be read");
	else
		reply_line(&s->reply, "%s configuration version is %u",
			   running ? "Running" : "Current", numbers[running]);
}

void display_current(struct session *s, const struct words *w, uint32_t at)
{
	(void)w;
	(void)at;
	display(s, false);
}

void display_running(struct session *s, const struct words *w, uint32_t at)
{
	(void)w;
	(void)at;
	display(s, true);
}

/* --- discard ------------------------------------------------------------ */

static int load_newest(struct task *task)
{
	struct work *work = (struct work *)task;

	return load_saved(&work->other, task);
}

static int discard_all(struct task *task)
{
	struct work *work = (struct work *)task;
	int err;

	diff_walk(work->other, work->cfg, difference_count, work);
	err = versions_discard(task->control->setup.db);
	if (!err)
		changes_tell(&task->reply, work->cfg, work->other);
	if (!err)
		reply_line(&task->reply, "Discarded %u change%s.",
			   work->differences,
			   work->differences == 1 ? "" : "s");
	return err;
}

/* One object becomes as last saved; what was not there goes. 0; ENOENT it is as
 * saved; ECANCELED said so */
static int object_change(struct change *change, struct task *task)
{
	struct work *work = (struct work *)task;
	const struct discarding *d = work->discarding;
	struct pl key = range_of(d->key);
	bool single = d->type->flags & SINGLE;
	const void *saved = NULL, *edited = NULL;

	change->type = d->type;
	if (single && !key.l) {
		saved = config_single(work->other, d->type);
		edited = config_single(work->cfg, d->type);
	} else if (!single && key.l) {
		saved = config_find(work->other, d->type, &key);
		edited = config_find(work->cfg, d->type, &key);
	}
	if (!saved && !edited) {
		reply_error(&task->reply, REPLY_ARGUMENT,
			    key.l ? "There is no %s [%s]" : "%s: missing KEY",
			    d->type->name, d->key);
		return ECANCELED;
	}
	if (saved && edited && item_same(d->type, saved, edited))
		return ENOENT;
	if (saved)
		return item_copy(&change->item, change->type, saved);
	change->key_of = edited;
	return 0;
}

static int discard_one(struct task *task)
{
	struct work *work = (struct work *)task;
	struct change change = { 0 };
	struct config *cfg = NULL;
	int err = object_change(&change, task);

	if (err)
		return err;
	err = config_change(&cfg, work->cfg, &change, 1);
	if (err) {
		item_free(change.type, change.item);
		return err;
	}
	err = versions_edit(task->control->setup.db, cfg,
			    task->control->setup.seal);
	if (!err)
		changes_tell(&task->reply, work->cfg, cfg);
	config_give(cfg);
	if (!err)
		reply_line(&task->reply, "Discarded 1 change.");
	return err;
}

static const struct step discard_steps[] = {
	{ ON_JOB, load_editing },
	{ ON_JOB, load_newest },
	{ ON_JOB, discard_all },
	{ ON_JOB, NULL },
};
static const struct step discard_one_steps[] = {
	{ ON_JOB, load_editing },
	{ ON_JOB, load_newest },
	{ ON_JOB, discard_one },
	{ ON_JOB, NULL },
};

/* Nothing was changed: who had no lock before has none */
static void unlock_again(struct session *s, const struct discarding *d)
{
	if (!d->held)
		control_unlock(s->control, s);
}

static void discard_agreed(struct session *s, const struct pl *answer)
{
	struct discarding *d = s->arg;
	struct work *work;

	s->arg = NULL;
	if (!is_word(answer, "y") && !is_word(answer, "yes")) {
		unlock_again(s, d);
		reply_line(&s->reply, "Nothing was discarded.");
		mem_deref(d);
		return;
	}
	if (!d->type)
		control_unlock(s->control, s);
	work = work_alloc(s);
	if (work)
		work->discarding = mem_ref(d);
	task_start(s, (struct task *)work,
		   d->type ? discard_one_steps : discard_steps, true);
	mem_deref(d);
}

/* The number of changes; the lock sees to it that it stays right */
static int discard_count(struct task *task)
{
	struct work *work = (struct work *)task;
	struct change change = { 0 };
	int err;

	if (!work->discarding->type) {
		diff_walk(work->other, work->cfg, difference_count, work);
		return 0;
	}
	err = object_change(&change, task);
	if (!err)
		work->differences = 1;
	if (change.item)
		item_free(change.type, change.item);
	return err == ENOENT ? 0 : err;
}

static int question(struct task *task)
{
	struct work *work = (struct work *)task;
	struct session *s = task->session;

	if (!s)
		return ECANCELED;
	if (!work->differences) {
		if (!work->discarding->type)
			control_unlock(s->control, s);
		unlock_again(s, work->discarding);
		reply_line(&task->reply, "Discarded 0 changes.");
		return ECANCELED;
	}
	reply_ask(&task->reply, REPLY_QUESTION, "Discard %u change%s? [y/n] ",
		  work->differences, work->differences == 1 ? "" : "s");
	s->asks = discard_agreed;
	s->arg = mem_ref(work->discarding);
	return 0;
}

/* There is no such object */
static void not_asked(struct task *task)
{
	if (task->session)
		unlock_again(task->session, ((struct work *)task)->discarding);
}

static const struct step ask_steps[] = {
	{ ON_JOB, load_editing },  { ON_JOB, load_newest },
	{ ON_JOB, discard_count }, { ON_FRONT, question },
	{ ON_JOB, NULL },
};

/* false: said so */
static bool discarding_read(struct discarding *d, struct session *s,
			    const struct words *w, uint32_t at)
{
	size_t n = 0;

	if (at == w->n)
		return true;
	d->type = configure_element(s, w->v[at]);
	for (uint32_t i = at + 1; i < w->n && n < sizeof(d->key); i++)
		n += (size_t)re_snprintf(d->key + n, sizeof(d->key) - n, "%s%s",
					 n ? " " : "", w->v[i]);

	return d->type != NULL;
}

void discard(struct session *s, const struct words *w, uint32_t at)
{
	struct discarding *d = mem_zalloc(sizeof(*d), NULL);
	struct work *work = d ? work_alloc(s) : NULL;

	if (!work) {
		mem_deref(d);
		reply_error(&s->reply, REPLY_FAILED, "%s", strerror(ENOMEM));
		return;
	}
	work->discarding = d;
	work->task.undo = not_asked;
	d->held = s->control->owner == s;
	if (!discarding_read(d, s, w, at) || !control_lock(s)) {
		mem_deref(work);
		return;
	}
	task_start(s, (struct task *)work, ask_steps, false);
}

/* --- activate-config ---------------------------------------------------- */

static int load_to_run(struct task *task)
{
	struct work *work = (struct work *)task;
	struct database *db = task->control->setup.db;
	int err = 0;

	work->version = work->activation.version;
	if (!work->version)
		err = versions_numbers(db, &work->version, NULL);
	if (err)
		return err;
	err = load(&work->cfg, task, work->version);
	/* What is equal is the same object: the worker sees that at once */
	if (!err)
		err = config_share(work->cfg, work->running->config);
	return err;
}

static int verify_to_run(struct task *task)
{
	struct work *work = (struct work *)task;
	uint32_t errors = 0;
	int err;

	if (work->activation.returns)
		return 0;
	err = verify_say(task, work->cfg, NULL, true, false, &errors);
	if (err || !errors)
		return err;
	reply_error(&task->reply, REPLY_FAILED,
		    "Configuration has %u error%s; nothing was activated",
		    errors, errors == 1 ? "" : "s");
	return ECANCELED;
}

static int compile(struct task *task)
{
	struct work *work = (struct work *)task;
	int err = plan_alloc(&work->plan, work->cfg);

	if (err != EINVAL)
		return err;
	reply_error(&task->reply, REPLY_FAILED,
		    "Version %u cannot be compiled; nothing was activated",
		    work->version);
	return ECANCELED;
}

static void edit_count(const struct difference *d, void *arg)
{
	(void)d;
	++*(uint32_t *)arg;
}

/* Unsaved edits do not stop an activation, but are named (1.7) */
static int count_edits(struct task *task)
{
	struct work *work = (struct work *)task;
	struct database *db = task->control->setup.db;
	struct config *editing = NULL, *saved = NULL;
	bool edited = false;
	int err = versions_edited(&edited, db);

	if (err || !edited || work->activation.returns)
		return err;
	err = versions_load(&editing, db, VERSION_EDITING);
	if (!err)
		err = load_saved(&saved, task);
	if (!err)
		diff_walk(saved, editing, edit_count, &work->edits);
	config_give(editing);
	config_give(saved);

	return err;
}

/* Calls of a sip-interface that is switched off end; NULL: of all */
struct ending {
	struct sbc *sbc;
	const char *interface;
	size_t next;
	uint32_t n;
};

static void ending_slice(struct worker *w, void *arg)
{
	struct ending *e = arg;

	e->next = calls_on(w->calls, e->interface, e->next, SLICE, &e->n);
}

static uint32_t ending_count(struct sbc *sbc, const char *interface)
{
	struct ending e = { .sbc = sbc, .interface = interface };

	sbc_walk(sbc, ending_slice, &e, &e.next);

	return e.n;
}

/* Does the change switch it off, and which? */
static bool switches_off(const struct difference *d, const char **interface)
{
	*interface = NULL;
	if (d->what != DIFF_CHANGED)
		return false;
	if (d->type == &element_sip_config) {
		const struct sip_config *a = d->before, *b = d->after;

		return a->state && !b->state;
	}
	if (d->type == &element_sip_interface) {
		const struct sip_interface *a = d->before, *b = d->after;

		*interface = b->realm_id;
		return a->state && !b->state;
	}
	return false;
}

/* The port with the same address, port and transport of an interface that is on;
 * NULL */
static const void *port_twin(const struct sip_interface *i,
			     const struct sip_port *port)
{
	for (uint32_t k = 0; i && i->state && k < i->sip_ports.n; k++) {
		const struct sip_port *p = i->sip_ports.v[k];

		if (sa_cmp(&p->address, &port->address, SA_ADDR) &&
		    p->port == port->port &&
		    p->transport_protocol == port->transport_protocol)
			return p;
	}
	return NULL;
}

/* sip-ports that one side has and the other has not, and with `changed` those
 * that both have and that are opened anew */
static int ports_print(struct re_printf *pf, const struct sip_interface *of,
		       const struct sip_interface *other, bool changed,
		       bool *any)
{
	int err = 0;

	for (uint32_t k = 0; of && of->state && k < of->sip_ports.n; k++) {
		struct item_ref ref = { &element_sip_port, of->sip_ports.v[k] };
		const struct difference d = {
			.what = DIFF_CHANGED,
			.type = ref.type,
			.before = port_twin(other, ref.item),
			.after = ref.item,
		};

		if (d.before &&
		    (!changed || difference_cost(&d) != COST_REOPEN))
			continue;
		err |= re_hprintf(pf, "%s[%H]", *any ? ", " : " ",
				  item_key_print, &ref);
		*any = true;
	}
	return err;
}

/* What it takes until the change is in force (acli.md 1.7) */
static int cost_print(struct re_printf *pf, const struct difference *d)
{
	bool any = false;
	int err;

	switch (difference_cost(d)) {

	case COST_LIVE:
		return re_hprintf(pf, "live");
	case COST_RESTART:
		return re_hprintf(pf, "at the next start");
	case COST_REOPEN:
		break;
	}
	err = re_hprintf(pf, "restarts sip-port");
	if (d->type == &element_sip_interface) {
		err |= ports_print(pf, d->before, d->after, false, &any);
		err |= ports_print(pf, d->after, d->before, true, &any);
	}
	return err;
}

static void cost_say(const struct difference *d, void *arg)
{
	static const char *const whats[] = {
		[DIFF_ADDED] = "added",
		[DIFF_REMOVED] = "removed",
		[DIFF_CHANGED] = "changed",
	};
	struct object object = { d->type,
				 (void *)(d->after ? d->after : d->before) };
	struct work *work = arg;
	const char *interface;
	char ends[32] = "";

	difference_count(d, arg);
	if (work->differences > SHOWN)
		return;
	if (switches_off(d, &interface)) {
		uint32_t n =
			ending_count(work->task.control->setup.sbc, interface);

		(void)re_snprintf(ends, sizeof(ends), ", ends %u call%s", n,
				  n == 1 ? "" : "s");
	}
	reply_line(&work->task.reply, "%H %s  %H%s", object_print, &object,
		   whats[d->what], cost_print, d, ends);
}

static int say_costs(struct task *task)
{
	struct work *work = (struct work *)task;

	if (work->activation.returns)
		return 0;
	diff_walk(work->running->config, work->cfg, cost_say, work);
	if (work->differences > SHOWN)
		reply_line(&task->reply, "... %u more",
			   work->differences - SHOWN);
	return 0;
}

static int failed(struct work *work, const char *why)
{
	reply_error(&work->task.reply, REPLY_FAILED,
		    "%s; nothing was activated", why);
	alarm_raise("config-activation-failed", ALARM_MAJOR, "configuration",
		    "version %u: %s", work->version, why);
	return ECANCELED;
}

/* The activation before is still being taken over, which goes on in slices behind
 * its end: whoever came now would have the rest of it done in one turn of the SIP
 * loop (1.1). Never more than a while */
static int settle(struct task *task)
{
	struct sbc *sbc = task->control->setup.sbc;
	const uint64_t until = clock_ms() + SETTLES;

	while (!sbc_is_settled(sbc) && clock_ms() < until)
		clock_rest(LOOKS);
	return 0;
}

static int prepare(struct task *task)
{
	struct work *work = (struct work *)task;

	return sbc_prepare(task->control->setup.sbc, work->plan, work->why)
		       ? failed(work, work->why)
		       : 0;
}

/* The database first: when it cannot tell the next start what runs, nothing is
 * changed */
static int write_running(struct task *task)
{
	struct work *work = (struct work *)task;
	struct database *db = task->control->setup.db;
	uint64_t until = work->activation.until;
	int err = until ? versions_try(db, work->version, until)
			: versions_activate(db, work->version);

	return err ? failed(work, "The database cannot be written") : 0;
}

static int commit(struct task *task)
{
	struct work *work = (struct work *)task;
	const struct control_setup *setup = &task->control->setup;

	control_retire(task->control, work->running);
	sbc_commit(setup->sbc);
	setup->activated(work->plan, setup->arg);
	alarm_clear("config-activation-failed", "configuration");
	alarm_clear("config-rolled-back", "configuration");
	reply_change(&task->reply, "version %u", work->version);
	log_notice(CLI, "config-activated", "version=%u by=%s changes=%u",
		   work->version, task->by, work->differences);
	control_look(task->control);
	if (work->edits && !work->activation.returns)
		reply_line(&task->reply,
			   "Note: %u unsaved edit%s not part of version %u.",
			   work->edits, work->edits == 1 ? " is" : "s are",
			   work->version);
	if (!work->activation.until)
		reply_line(&task->reply, "Running is version %u.",
			   work->version);
	work->activation.version = work->version;
	work->activation.said = &task->reply;
	work->activation.ran(&work->activation, work->running->config->version);
	return 0;
}

/* After a step that failed; where nothing was prepared there is nothing */
static void abandon(struct task *task)
{
	struct work *work = (struct work *)task;

	sbc_abandon(task->control->setup.sbc);
	work->activation.session = task->session;
	work->activation.failed(&work->activation);
}

static const struct step activate_steps[] = {
	{ ON_JOB, load_to_run }, { ON_JOB, verify_to_run },
	{ ON_JOB, compile },     { ON_JOB, count_edits },
	{ ON_JOB, say_costs },   { ON_JOB, settle },
	{ ON_FRONT, prepare },   { ON_JOB, write_running },
	{ ON_FRONT, commit },    { ON_JOB, NULL },
};

int activation_begin(const struct activation *a)
{
	struct work *work = mem_zalloc(sizeof(*work), work_destructor);

	if (work) {
		work->running = sbc_plan(a->control->setup.sbc);
		work->activation = *a;
		work->task.undo = abandon;
	}
	if (!a->session)
		return task_start_alone(a->control, (struct task *)work,
					activate_steps, "sbcd@local");
	task_start(a->session, (struct task *)work, activate_steps, true);
	return 0;
}
