/*
 * What all sessions share: configuration lock, and long work in steps
 *
 * All of it belongs to the front thread but for the steps ON_JOB: while one
 * runs, the task is the job's.
 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "store/diff.h"
#include "store/log.h"
#include "store/versions.h"
#include "sbc/clock.h"
#include "cli/control.h"

enum {
	CHANGES = 20, /* that the audit log names one by one */
	REAP = 1000   /* between two looks for plans that nobody has [ms] */
};

/* What the job does with one step */
struct errand {
	struct task *task;
	int err;
};

/* --- Plans that ran ------------------------------------------------------- */

struct retired {
	struct le le;
	const struct plan *plan;
};

static void retired_destructor(void *arg)
{
	struct retired *r = arg;

	list_unlink(&r->le);
	plan_give(r->plan);
}

static void retired_free(void *arg)
{
	struct retired *r = arg;

	plan_give(r->plan);
	r->plan = NULL;
}

static void retired_gone(void *arg)
{
	mem_deref(arg);
}

static void reap(void *arg)
{
	struct control *c = arg;
	struct le *le = c->retired.head;

	while (le) {
		struct retired *r = le->data;

		le = le->next;
		if (!c->job || !plan_is_last(r->plan))
			continue;
		list_unlink(&r->le);
		if (job_run(c->job, retired_free, retired_gone, r))
			mem_deref(r);
	}
	if (c->retired.head)
		timer_start(&c->reaping, REAP, reap, c);
}

void control_retire(struct control *c, const struct plan *plan)
{
	struct retired *r = mem_zalloc(sizeof(*r), retired_destructor);

	if (!r)
		return;
	r->plan = plan_take(plan);
	list_append(&c->retired, &r->le, r);
	timer_start(&c->reaping, REAP, reap, c);
}

static void control_destructor(void *arg)
{
	struct control *c = arg;

	timer_cancel(&c->reaping);
	list_flush(&c->retired);
	config_give(c->editing);
	timer_cancel(&c->probation.timer);
	list_flush(&c->mistakes);
	job_close(c->job);
}

int control_open(struct control **cp, const struct control_setup *setup)
{
	struct control *c = mem_zalloc(sizeof(*c), control_destructor);
	int err;

	if (!c)
		return ENOMEM;

	c->setup = *setup;
	c->began = clock_ms();
	err = job_open(&c->job, setup->home);
	if (err) {
		mem_deref(c);
		return err;
	}
	if (password_load(c->password, setup->db))
		log_error(DB, "password-read", "text=\"cannot be read\"");
	control_look(c);
	*cp = c;
	return 0;
}

void control_close(struct control *c)
{
	if (!c)
		return;

	job_close(c->job);
	c->job = NULL;
	/* Steps that are done come home, and find that there is no job */
	mailbox_take(c->setup.home);
	for (int i = 0; i < LOG_COMPONENTS; i++)
		timer_cancel(&c->levels[i].timer);
	mem_deref(c);
}

/* --- The lock ----------------------------------------------------------- */

/* acli.md 4, audit-required */
static bool is_recorded(struct session *s)
{
	if (!audit_refuses(s->audit))
		return true;
	reply_error(&s->reply, REPLY_FAILED,
		    "The audit log cannot be written, nothing is changed");
	return false;
}

bool control_may_change(struct session *s)
{
	return is_recorded(s);
}

bool control_is_free(struct session *s)
{
	const struct session *owner = s->control->owner;

	if (!is_recorded(s))
		return false;

	if (!owner || owner == s)
		return true;
	reply_error(&s->reply, REPLY_LOCKED,
		    "Configuration is locked by %s, connection %u, since %s",
		    owner->user, owner->number, s->control->since);
	return false;
}

bool control_lock(struct session *s)
{
	struct control *c = s->control;
	struct local_time now;
	stamp clock;

	if (!control_is_free(s))
		return false;
	if (c->owner)
		return true;

	clock_local(&now);
	clock = now.now % 1000000;
	(void)re_snprintf(c->since, sizeof(c->since), "%02llu:%02llu:%02llu",
			  clock / 10000, clock / 100 % 100, clock % 100);
	c->owner = s;
	return true;
}

void control_unlock(struct control *c, const struct session *s)
{
	if (c->owner == s && !c->exclusive)
		c->owner = NULL;
}

bool control_break(struct session *s)
{
	struct control *c = s->control;
	struct session *owner = c->owner;
	char text[128];

	if (!owner)
		return false;
	c->exclusive = false;
	c->owner = NULL;
	(void)re_snprintf(text, sizeof(text),
			  "Your lock of the configuration was broken by %s, "
			  "connection %u",
			  s->user, s->number);
	log_notice(CLI, "lock-broken", "owner=%s by=%s", owner->user, s->user);
	session_event(s, "lock-broken", owner->user);
	if (owner != s && owner->notify)
		owner->notify(owner, text);
	return true;
}

void control_look(struct control *c)
{
	uint32_t saved = 0, running = 0;

	if (versions_numbers(c->setup.db, &saved, &running) ||
	    versions_edited(&c->edited, c->setup.db))
		log_error(DB, "versions-read", "text=\"cannot be read\"");
	c->unequal = saved != running;
}

const char *control_mark(const struct control *c)
{
	return c->edited ? "**" : c->unequal ? "*" : "";
}

void progress_set(struct progress *p, const char *what, size_t done,
		  size_t total)
{
	atomic_store(&p->done, done);
	atomic_store(&p->total, total);
	atomic_store(&p->what, what);
}

/* --- Tasks -------------------------------------------------------------- */

static const char *reason(int err)
{
	switch (err) {

	case EBUSY:
		return "The database is busy, nothing was changed";
	case ENOSPC:
		return "The disk is full, nothing was changed";
	case EROFS:
		return "The database is read-only, nothing was changed";
	case EBADMSG:
		return "The database is damaged, nothing was changed";
	case EIO:
		return "The database cannot be read or written, nothing was "
		       "changed";
	case ESHUTDOWN:
		return "The daemon ends, nothing was changed";
	default:
		return strerror(err);
	}
}

/* The connection was cut; what it began is done all the same */
static void orphan_record(const struct task *task, bool failed)
{
	const struct audit_who who = { task->connection, task->uid, task->by,
				       "superuser", NULL };
	const struct mbuf *change = task->reply.change;
	char text[1024] = "";

	if (change)
		(void)re_snprintf(text, sizeof(text), "%b", change->buf,
				  change->end);
	audit_result(task->control->setup.audit, &who, "(connection cut)",
		     !failed, text);
}

static void task_end(struct task *task, int err)
{
	struct session *s = task->session;
	struct control *c = task->control;
	bool failed;

	if (err && task->undo)
		task->undo(task);
	if (err && err != ECANCELED)
		reply_error(&task->reply, REPLY_FAILED, "%s", reason(err));
	reply_flush(&task->reply);
	if (c->changing == task)
		c->changing = NULL;
	if (task->changes)
		control_look(c);
	if (task->changes && !task->keeps) {
		config_give(c->editing);
		c->editing = NULL;
	}
	failed = err || task->reply.failed;
	if (s) {
		s->task = NULL;
		reply_add(&s->reply, &task->reply);
	} else if (task->changes && task->connection) {
		orphan_record(task, failed);
	}
	reply_finish(&task->reply);
	if (s && !failed && task->then)
		task->then(s, task);
	mem_deref(task);
	if (s)
		s->resumes(s);
}

static void task_go(struct task *task, int err);

static void errand_run(void *arg)
{
	struct errand *e = arg;

	e->err = e->task->steps->act(e->task);
}

static void errand_done(void *arg)
{
	struct errand *e = arg;
	struct task *task = e->task;
	int err = e->err;

	mem_deref(e);
	task->steps++;
	task_go(task, err);
}

static int errand_begin(struct task *task)
{
	struct errand *e;
	int err;

	if (!task->control->job)
		return ESHUTDOWN;
	e = mem_zalloc(sizeof(*e), NULL);
	if (!e)
		return ENOMEM;
	e->task = task;
	err = job_run(task->control->job, errand_run, errand_done, e);
	if (err)
		mem_deref(e);
	return err;
}

/* To the next step on the job, or to the end */
static void task_go(struct task *task, int err)
{
	while (!err && task->steps->act) {
		if (task->steps->place == ON_JOB) {
			err = errand_begin(task);
			if (!err)
				return;
			break;
		}
		err = task->steps->act(task);
		task->steps++;
	}
	task_end(task, err);
}

/* Takes the task over. 0; errno, and then it is gone */
static int task_begin(struct control *c, struct session *s, struct task *task,
		      const struct step *steps, bool changes)
{
	int err = task ? reply_init(&task->reply) : ENOMEM;

	if (err) {
		mem_deref(task);
		return err;
	}

	task->control = c;
	task->session = s;
	task->steps = steps;
	task->changes = changes;
	if (s) {
		task->reply.filters = mem_ref(s->reply.filters);
		task->reply.json = s->reply.json;
	}
	err = errand_begin(task);
	if (err) {
		reply_finish(&task->reply);
		mem_deref(task);
		return err;
	}
	if (changes)
		c->changing = task;

	return 0;
}

void task_start(struct session *s, struct task *task, const struct step *steps,
		bool changes)
{
	struct control *c = s->control;
	int err;

	assert(steps->place == ON_JOB);
	if (changes && c->changing) {
		reply_error(&s->reply, REPLY_BUSY,
			    "Another change is under way, by %s",
			    c->changing->by);
		mem_deref(task);
		return;
	}
	if (task)
		str_ncpy(task->by, s->user, sizeof(task->by));
	if (task) {
		task->connection = s->number;
		task->uid = s->uid;
	}
	err = task_begin(c, s, task, steps, changes);
	if (err)
		reply_error(&s->reply, REPLY_FAILED, "%s", reason(err));
	else
		s->task = task;
}

int task_start_alone(struct control *c, struct task *task,
		     const struct step *steps, const char *by)
{
	assert(steps->place == ON_JOB);
	if (c->changing) {
		mem_deref(task);
		return EBUSY;
	}
	if (task)
		str_ncpy(task->by, by, sizeof(task->by));

	return task_begin(c, NULL, task, steps, true);
}

struct telling {
	struct reply *reply;
	uint32_t n;
};

static void change_tell(const struct difference *d, void *arg)
{
	struct telling *t = arg;

	if (t->n++ < CHANGES)
		reply_change(t->reply, "%H", difference_line_print, d);
}

void changes_tell(struct reply *r, const struct config *before,
		  const struct config *after)
{
	struct telling t = { r, 0 };

	diff_walk(before, after, change_tell, &t);
	if (t.n > CHANGES)
		reply_change(r, "%u more", t.n - CHANGES);
}

void control_leave(struct session *s)
{
	if (s->task)
		s->task->session = NULL;
	s->task = NULL;
	timer_cancel(&s->pause);
	s->paused = NULL;
	s->asks = s->wants = NULL;
	s->arg = mem_deref(s->arg);
	if (s->control->owner == s)
		s->control->exclusive = false;
	control_unlock(s->control, s);
}
