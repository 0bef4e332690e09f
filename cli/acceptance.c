/*
 * A version that runs on trial: accept it, or the one before returns
 *
 * All of it belongs to the front thread but for the steps ON_JOB. A return is an
 * activation like any other, of a version that ran before: it is tried again
 * until it succeeds.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "store/log.h"
#include "store/number.h"
#include "store/versions.h"
#include "sbc/alarm.h"
#include "sbc/clock.h"
#include "cli/acceptance.h"
#include "cli/activate.h"

enum {
	MINUTES_MOST = 60,
	SOON = 1000,  /* [ms]: another change is under way */
	AGAIN = 10000 /* [ms]: it did not succeed */
};

void acceptance_tell(uint32_t version, uint32_t former, const char *why)
{
	log_warning(CLI, "config-rolled-back",
		    "version=%u running=%u text=\"%s\"", version, former, why);
	alarm_raise("config-rolled-back", ALARM_WARNING, "configuration",
		    "version %u %s, running is version %u", version, why,
		    former);
}

static void over(struct control *c)
{
	timer_cancel(&c->probation.timer);
	c->probation.until = 0;
}

/* --- It returns ----------------------------------------------------------- */

static void returned_with(const struct activation *a, const char *why)
{
	const struct audit_who nobody = { 0, 0, "sbcd@local", "superuser",
					  NULL };
	const struct control *c = a->control;
	char text[128];

	over(a->control);
	audit_event(c->setup.audit, &nobody, "rollback", why);
	acceptance_tell(c->probation.version, a->version, why);
	snprintf(text, sizeof(text), "Version %u %s. Running is version %u.",
		 c->probation.version, why, a->version);
	c->setup.notice(text, c->setup.arg);
}

static void returned(const struct activation *a, uint32_t before)
{
	(void)before;
	returned_with(a, "was not accepted in time");
}

static void returned_by_hand(const struct activation *a, uint32_t before)
{
	(void)before;
	returned_with(a, "was taken back");
}

static void deadline(void *arg);

static void not_returned(const struct activation *a)
{
	struct probation *p = &a->control->probation;

	if (p->until && a->control->job)
		timer_start(&p->timer, AGAIN, deadline, a->control);
}

static void deadline(void *arg)
{
	struct control *c = arg;
	const struct activation former = {
		.control = c,
		.version = c->probation.former,
		.returns = true,
		.ran = returned,
		.failed = not_returned,
	};
	int err = activation_begin(&former);

	if (err)
		timer_start(&c->probation.timer, err == EBUSY ? SOON : AGAIN,
			    deadline, c);
}

/* By hand, and it failed: the deadline stays */
static void stays(const struct activation *a)
{
	(void)a;
}

static void roll_back(struct session *s)
{
	const struct activation former = {
		.control = s->control,
		.session = s,
		.version = s->control->probation.former,
		.returns = true,
		.ran = returned_by_hand,
		.failed = stays,
	};

	(void)activation_begin(&former);
}

/* --- It stays -------------------------------------------------------------- */

static int accept_write(struct task *task)
{
	return versions_accept(task->control->setup.db);
}

static int accepted(struct task *task)
{
	struct control *c = task->control;

	over(c);
	log_notice(CLI, "config-accepted", "version=%u by=%s",
		   c->probation.version, task->by);
	reply_line(&task->reply, "Running is version %u.",
		   c->probation.version);
	return 0;
}

static const struct step accept_steps[] = {
	{ ON_JOB, accept_write },
	{ ON_FRONT, accepted },
	{ ON_JOB, NULL },
};

/* --- It begins ------------------------------------------------------------- */

static void begun(const struct activation *a, uint32_t before)
{
	struct probation *p = &a->control->probation;
	uint64_t now = clock_wall();
	char at[9];

	if (!a->until)
		return;
	p->until = a->until;
	p->former = before;
	p->version = a->version;
	timer_start(&p->timer, a->until > now ? (a->until - now) * 1000 : 0,
		    deadline, a->control);
	clock_time_of_day(at, a->until);
	reply_line(a->said, "Accept until %s, or version %u returns.", at,
		   before);
}

static void not_begun(const struct activation *a)
{
	(void)a;
}

static void begin(struct session *s, uint64_t minutes)
{
	const struct activation newest = {
		.control = s->control,
		.session = s,
		.until = minutes ? clock_wall() + minutes * 60 : 0,
		.ran = begun,
		.failed = not_begun,
	};

	(void)activation_begin(&newest);
}

static bool minutes_read(uint64_t *minutes, struct session *s,
			 const struct words *w, uint32_t at)
{
	struct pl pl;

	if (at == w->n) {
		reply_error(&s->reply, REPLY_ARGUMENT, "Missing MINUTES");
		return false;
	}
	pl = range_of(w->v[at]);
	if (uint_parse(minutes, &pl, UINT32_MAX)) {
		reply_error(&s->reply, REPLY_ARGUMENT,
			    "MINUTES [%s] is not a number", w->v[at]);
		return false;
	}
	if (!*minutes || *minutes > MINUTES_MOST) {
		reply_error(&s->reply, REPLY_ARGUMENT,
			    "MINUTES [%s] is out of range 1-%u", w->v[at],
			    MINUTES_MOST);
		return false;
	}
	return true;
}

/* accept and rollback end a trial, anything else begins an activation */
static bool trial_fits(struct session *s, bool ends)
{
	const struct probation *p = &s->control->probation;
	char at[9];

	clock_time_of_day(at, p->until);
	if (ends == (p->until != 0))
		return true;
	if (ends)
		reply_error(&s->reply, REPLY_FAILED,
			    "No activation waits to be accepted");
	else
		reply_error(&s->reply, REPLY_BUSY,
			    "Version %u waits to be accepted until %s",
			    p->version, at);
	return false;
}

void activate_config(struct session *s, const struct words *w, uint32_t at)
{
	const char *word = at < w->n ? w->v[at] : "";
	bool confirm = !strcmp(word, "confirm");
	bool accept = !strcmp(word, "accept");
	bool rollback = !strcmp(word, "rollback");
	uint64_t minutes = 0;

	if (*word && !confirm && !accept && !rollback) {
		reply_error(
			&s->reply, REPLY_UNKNOWN,
			"Unknown word [%s], possible here: accept, confirm, "
			"rollback",
			word);
		return;
	}
	if (w->n > at + (*word != 0) + confirm) {
		reply_error(&s->reply, REPLY_UNKNOWN, "Unexpected word [%s]",
			    w->v[at + (*word != 0) + confirm]);
		return;
	}
	if (confirm && !minutes_read(&minutes, s, w, at + 1))
		return;
	/* How a trial ends is no edit: whoever keeps the lock meanwhile cannot
	 * let another's run out */
	if (!trial_fits(s, accept || rollback) ||
	    !(accept || rollback ? control_may_change(s) : control_is_free(s)))
		return;
	if (rollback)
		roll_back(s);
	else if (accept)
		task_start(s, mem_zalloc(sizeof(struct task), NULL),
			   accept_steps, true);
	else
		begin(s, minutes);
}

/* --- A start --------------------------------------------------------------- */

int acceptance_settle(struct database *db, uint32_t *versionp)
{
	struct version_trial trial = { 0 };
	uint32_t running = 0;
	int err = versions_trial(db, &trial);

	*versionp = 0;
	if (err || !trial.until)
		return err;
	err = versions_numbers(db, NULL, &running);
	if (!err)
		err = versions_activate(db, trial.former);
	if (!err)
		*versionp = running;

	return err;
}
