/*
 * reboot: an orderly restart, of the saved configuration if that is wanted
 *
 * The daemon ends as on SIGTERM and begins anew in the same process, with what was
 * activated last. `activate` activates the newest saved version before: where that
 * is refused nothing restarts.
 */
#include <string.h>
#include "store/log.h"
#include "cli/activate.h"
#include "cli/control.h"
#include "cli/restart.h"

struct restart {
	bool activates;
};

static void restart_now(struct control *c, struct reply *r, const char *by)
{
	log_notice(CLI, "reboot", "by=%s", by);
	reply_line(r, "The SBC restarts.");
	c->setup.restart(c->setup.arg);
}

static void activated(const struct activation *a, uint32_t before)
{
	(void)before;
	restart_now(a->control, a->said, a->session ? a->session->user : "-");
}

static void not_activated(const struct activation *a)
{
	(void)a;
}

static void begin(struct session *s, bool activates)
{
	const struct activation newest = {
		.control = s->control,
		.session = s,
		.ran = activated,
		.failed = not_activated,
	};

	if (activates)
		(void)activation_begin(&newest);
	else
		restart_now(s->control, &s->reply, s->user);
}

static void agreed(struct session *s, const struct pl *answer)
{
	struct restart *x = s->arg;
	const bool activates = x->activates;

	s->arg = mem_deref(s->arg);
	if (!is_word(answer, "y") && !is_word(answer, "yes"))
		reply_line(&s->reply, "Nothing restarts.");
	else
		begin(s, activates);
}

/* What runs on trial would return with the restart: that is `rollback` */
static bool may_activate(struct session *s)
{
	if (!control_is_free(s))
		return false;
	if (!s->control->probation.until)
		return true;
	reply_error(&s->reply, REPLY_BUSY, "Version %u waits to be accepted",
		    s->control->probation.version);
	return false;
}

void reboot(struct session *s, const struct words *w, uint32_t at)
{
	struct restart x = { false }, *kept;
	bool force = false;

	for (; at < w->n; at++) {
		if (!strcmp(w->v[at], "activate")) {
			x.activates = true;
		} else if (!strcmp(w->v[at], "force")) {
			force = true;
		} else {
			reply_error(&s->reply, REPLY_UNKNOWN,
				    "Unknown word [%s], possible here: "
				    "activate, force",
				    w->v[at]);
			return;
		}
	}
	if (x.activates && !may_activate(s))
		return;
	if (force) {
		begin(s, x.activates);
		return;
	}
	kept = mem_zalloc(sizeof(*kept), NULL);
	if (!kept) {
		reply_error(&s->reply, REPLY_FAILED, "no memory");
		return;
	}
	*kept = x;
	s->arg = kept;
	s->asks = agreed;
	reply_ask(&s->reply, REPLY_QUESTION,
		  "Restart the SBC%s? Calls in progress end. [y/n] ",
		  x.activates ? " with the saved configuration" : "");
}
