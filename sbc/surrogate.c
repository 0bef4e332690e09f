/*
 * One AoR that registers for a PBX, a machine
 *
 * Parts: when it is due, the actions, the table (4.3). An attempt (sbc/attempt)
 * lives from the first REGISTER of a try to the answer that ends it; between
 * tries nothing but the registration is kept.
 *
 * What must wait for an answer is one event in `later`, fed when it has come.
 */
#include <errno.h>
#include <string.h>
#include "store/log.h"
#include "sbc/attempt.h"
#include "sbc/clock.h"
#include "sbc/counters.h"
#include "sbc/retry.h"
#include "sbc/surrogate.h"

enum {
	LOOK_SOON = 1000 /* [ms] */
};

static const char *const states[] = {
	[SUR_DISABLED] = "disabled",       [SUR_WAITING] = "waiting",
	[SUR_REGISTERING] = "registering", [SUR_REGISTERED] = "registered",
	[SUR_REFRESHING] = "refreshing",   [SUR_BACKOFF] = "backoff",
	[SUR_REFUSED] = "refused",         [SUR_IDLE] = "idle",
	[SUR_SILENT] = "silent",           [SUR_LEAVING] = "leaving",
	[SUR_GIVEN_UP] = "given-up",
};

static const char *const events[] = {
	[SUR_ENABLED] = "ENABLED",
	[SUR_DUE] = "DUE",
	[SUR_OK] = "OK",
	[SUR_CHALLENGED] = "CHALLENGED",
	[SUR_REFUSE] = "REFUSE",
	[SUR_BRIEF] = "BRIEF",
	[SUR_OPTION] = "OPTION",
	[SUR_ELSEWHERE] = "ELSEWHERE",
	[SUR_LOST] = "LOST",
	[SUR_NO_TARGET] = "NO_TARGET",
	[SUR_FAIL] = "FAIL",
	[SUR_EXPIRED] = "EXPIRED",
	[SUR_PENDING] = "PENDING",
	[SUR_EXHAUSTED] = "EXHAUSTED",
	[SUR_CHANGED] = "CHANGED",
	[SUR_ANEW] = "ANEW",
	[SUR_CONTACT] = "CONTACT",
	[SUR_REMOVE_OLD] = "REMOVE_OLD",
	[SUR_OLD_GONE] = "OLD_GONE",
	[SUR_ACTIVE] = "ACTIVE",
	[SUR_QUIET] = "QUIET",
	[SUR_GONE] = "GONE",
	[SUR_SHUTDOWN] = "SHUTDOWN",
	[SUR_ORDER_IN] = "ORDER_IN",
	[SUR_ORDER_OUT] = "ORDER_OUT",
	[SUR_TARGET_GONE] = "TARGET_GONE",
	[SUR_LEAVE] = "LEAVE",
	[SUR_STAY_OUT] = "STAY_OUT",
	[SUR_STAY_IDLE] = "STAY_IDLE",
	[SUR_STAY_SILENT] = "STAY_SILENT",
};

/* When to try again -------------------------------------------------------- */

static uint64_t moment(uint64_t seconds)
{
	return clock_ms() + seconds * 1000;
}

static void due_now(struct registration *r)
{
	r->next = clock_ms();
	surrogate_arm(r);
}

static void never(struct registration *r)
{
	r->next = 0;
	surrogate_arm(r);
}

/* Actions ------------------------------------------------------------------ */

/** What waited for the answer */
static int take_later(struct registration *r)
{
	int ev = r->later;

	r->later = 0;

	return ev;
}

static int send_register(void *obj, const struct message *msg)
{
	struct registration *r = obj;

	(void)msg;
	r->next = 0;
	r->flock->host->not_due(r);

	return attempt_begin(r, ATTEMPT_REGISTER, surrogate_feed);
}

static int send_leave(void *obj, const struct message *msg)
{
	struct registration *r = obj;

	(void)msg;
	r->next = 0;
	r->flock->host->not_due(r);
	if (r->attempt)
		return 0;

	return attempt_begin(r, ATTEMPT_LEAVE, surrogate_feed);
}

static int send_old(void *obj, const struct message *msg)
{
	struct registration *r = obj;
	int ev;

	(void)msg;
	r->flock->host->again(r);
	ev = attempt_begin(r, ATTEMPT_OLD, surrogate_feed);

	return ev ? SUR_OLD_GONE : 0;
}

/* section 6: the verdict of the table there becomes an event of this one */
static int answer(void *obj, const struct message *msg)
{
	return attempt_prove(obj, msg);
}

/** The former Contact is removed, or not: one try, then so be it */
static int after_old(void *obj, const struct message *msg)
{
	struct registration *r = obj;

	(void)msg;
	attempt_end(r);
	r->old_contact = mem_deref(r->old_contact);

	return take_later(r);
}

static int store_binding(void *obj, const struct message *msg)
{
	struct registration *r = obj;
	struct attempt *a = r->attempt;

	r->granted = a->granted;
	r->expires = moment(r->granted);
	r->next = clock_ms() + retry_refresh(r->granted);
	r->failures = 0;
	r->refusals = 0;
	r->target = a->to;
	registration_bind(r, true);
	register_keep(&r->route, msg, HDR_SERVICE_ROUTE);
	register_keep(&r->associated, msg, HDR_P_ASSOCIATED_URI);
	r->flock->host->bound(r);
	retry_clear(r);
	attempt_end(r);
	surrogate_arm(r);
	r->flock->host->store(r);

	if (r->old_contact) {
		if (r->flock->agent->un_register)
			return SUR_REMOVE_OLD;
		r->old_contact = mem_deref(r->old_contact);
	}

	return take_later(r);
}

static int refuse(void *obj, const struct message *msg)
{
	struct registration *r = obj;

	(void)msg;
	retry_refused(r);
	count(COUNT_SURROGATE_REJECT, 1);
	attempt_end(r);
	surrogate_arm(r);
	r->flock->host->store(r);
	if (retry_is_exhausted(r) && !r->bound)
		return SUR_EXHAUSTED;

	return take_later(r);
}

/* 423: RFC 3261 10.2.8 */
static int ask_longer(void *obj, const struct message *msg)
{
	struct registration *r = obj;
	struct attempt *a = r->attempt;
	uint32_t min = register_min_expires(msg);

	if (a->briefed || min <= a->asked) {
		r->reason = "interval too brief";
		return SUR_FAIL;
	}

	a->briefed = true;
	a->asked = r->min_expires = min;
	r->flock->host->again(r);

	return attempt_repeat(r);
}

/* 420: all that we ever name is path */
static int leave_option(void *obj, const struct message *msg)
{
	struct registration *r = obj;
	struct attempt *a = r->attempt;

	if (a->optioned || r->flock->no_path ||
	    !message_has_token(msg, HDR_UNSUPPORTED, "path")) {
		r->reason = "extension refused";
		return SUR_FAIL;
	}

	a->optioned = true;
	r->flock->no_path = true;
	r->flock->host->again(r);

	return attempt_repeat(r);
}

static int follow(void *obj, const struct message *msg)
{
	return attempt_follow(obj, msg);
}

static int next_target(void *obj, const struct message *msg)
{
	return attempt_next(obj, msg);
}

/** A try failed; the state says whether a binding holds on */
static int retry_later(void *obj, const struct message *msg)
{
	struct registration *r = obj;
	const struct attempt *a = r->attempt;
	bool unreachable = a && !a->answered;

	(void)msg;
	/* a Contact of a 301 that leads nowhere is forgotten */
	if (unreachable)
		r->moved = mem_deref(r->moved);
	else
		count(COUNT_SURROGATE_REJECT, 1);
	retry_failed(r, a ? a->retry_after : 0, a && a->waits);
	attempt_end(r);
	surrogate_arm(r);
	r->flock->host->store(r);
	if (unreachable)
		r->flock->host->unreachable(r);
	if (retry_is_exhausted(r) && !r->bound)
		return SUR_EXHAUSTED;

	return take_later(r);
}

static int give_up(void *obj, const struct message *msg)
{
	struct registration *r = obj;

	(void)msg;
	never(r);
	retry_gave_up(r);
	r->flock->host->store(r);

	return take_later(r);
}

/** The binding is over while registered */
static int bind_anew(void *obj, const struct message *msg)
{
	struct registration *r = obj;

	(void)msg;
	if (retry_is_exhausted(r))
		return SUR_EXHAUSTED;
	if (r->next > clock_ms())
		return SUR_PENDING;
	due_now(r);

	return 0;
}

/** Refused too often while a binding held: this was its end */
static int after_refusals(void *obj, const struct message *msg)
{
	(void)msg;

	return retry_is_exhausted(obj) ? SUR_EXHAUSTED : 0;
}

static int be_due(void *obj, const struct message *msg)
{
	struct registration *r = obj;

	(void)msg;
	if (!r->flock->enabled)
		return SUR_GONE;
	due_now(r);

	return 0;
}

/** Another registrar: where the former one sent us (301) counts no more */
static int be_due_anew(void *obj, const struct message *msg)
{
	struct registration *r = obj;

	r->moved = mem_deref(r->moved);

	return be_due(obj, msg);
}

/** New credentials, new registrar: what was refused counts no more */
static int begin_anew(void *obj, const struct message *msg)
{
	struct registration *r = obj;

	r->failures = 0;
	r->refusals = 0;

	return be_due_anew(obj, msg);
}

static int enable(void *obj, const struct message *msg)
{
	struct registration *r = obj;

	if (r->flock->agent->register_mode == REGISTER_MODE_TRIGGERED &&
	    !r->flock->active)
		return SUR_STAY_IDLE;

	return begin_anew(obj, msg);
}

/** ... while the binding ran out: it begins anew */
static int after_old_anew(void *obj, const struct message *msg)
{
	int ev = after_old(obj, msg);

	return ev ? ev : be_due(obj, msg);
}

static int due_later(void *obj, const struct message *msg)
{
	((struct registration *)obj)->later = SUR_ORDER_IN;
	(void)msg;

	return 0;
}

/** Disabled and enabled again while it waits: what changed between is unknown */
static int back_later(void *obj, const struct message *msg)
{
	struct registration *r = obj;

	(void)msg;
	if (r->later == SUR_GONE)
		r->later = SUR_ORDER_IN;

	return 0;
}

static int not_out(void *obj, const struct message *msg)
{
	struct registration *r = obj;

	(void)msg;
	if (r->later == SUR_ORDER_OUT)
		r->later = 0;

	return 0;
}

static int not_due(void *obj, const struct message *msg)
{
	struct registration *r = obj;

	(void)msg;
	if (r->later == SUR_ORDER_IN)
		r->later = 0;

	return 0;
}

static int anew_later(void *obj, const struct message *msg)
{
	struct registration *r = obj;

	r->moved = mem_deref(r->moved);

	return due_later(obj, msg);
}

static int quiet_later(void *obj, const struct message *msg)
{
	struct registration *r = obj;

	(void)msg;
	if (r->later != SUR_GONE && r->later != SUR_SHUTDOWN)
		r->later = SUR_QUIET;

	return 0;
}

static int not_quiet(void *obj, const struct message *msg)
{
	struct registration *r = obj;

	(void)msg;
	if (r->later == SUR_QUIET)
		r->later = 0;

	return 0;
}

static int gone_later(void *obj, const struct message *msg)
{
	((struct registration *)obj)->later = SUR_GONE;
	(void)msg;

	return 0;
}

static int stop_later(void *obj, const struct message *msg)
{
	((struct registration *)obj)->later = SUR_SHUTDOWN;
	(void)msg;

	return 0;
}

static int out_later(void *obj, const struct message *msg)
{
	((struct registration *)obj)->later = SUR_ORDER_OUT;
	(void)msg;

	return 0;
}

/** It rests: nothing is sent until something wakes it */
static int rest(void *obj, const struct message *msg)
{
	struct registration *r = obj;

	(void)msg;
	r->flock->host->not_due(r);
	if (!r->bound)
		retry_clear(r);
	never(r);
	r->flock->host->store(r);

	return take_later(r);
}

/** Disabled: its alarms end with it */
static int switch_off(void *obj, const struct message *msg)
{
	retry_clear(obj);

	return rest(obj, msg);
}

static int stop(void *obj, const struct message *msg)
{
	struct registration *r = obj;

	(void)msg;
	r->flock->host->not_due(r);
	timer_cancel(&r->timer);

	return 0;
}

static int leave_or(struct registration *r, uint8_t goal, int otherwise)
{
	if (!r->flock->agent->un_register || !r->bound || !r->flock->registry)
		return otherwise;
	r->goal = goal;

	return SUR_LEAVE;
}

static int leave_if_wanted(void *obj, const struct message *msg)
{
	(void)msg;

	return leave_or(obj, SUR_DISABLED, SUR_STAY_OUT);
}

static int fall_silent(void *obj, const struct message *msg)
{
	(void)msg;

	return leave_or(obj, SUR_SILENT, SUR_STAY_SILENT);
}

/** The operator's order needs no un-register in the configuration */
static int leave_by_order(void *obj, const struct message *msg)
{
	struct registration *r = obj;

	(void)msg;
	r->goal = SUR_DISABLED;

	return r->bound && r->flock->registry ? SUR_LEAVE : SUR_STAY_OUT;
}

static int queue_leave(void *obj, const struct message *msg)
{
	struct registration *r = obj;

	(void)msg;
	r->next = 0;
	surrogate_arm(r);
	r->flock->host->not_due(r);
	r->flock->host->due(r, DUE_LEAVE);

	return 0;
}

static int left(void *obj, const struct message *msg)
{
	struct registration *r = obj;

	(void)msg;
	attempt_end(r);
	registration_bind(r, false);
	r->expires = 0;
	r->failures = 0;
	r->route = mem_deref(r->route);
	r->associated = mem_deref(r->associated);
	r->flock->host->bound(r);

	if (r->goal != SUR_SILENT)
		return SUR_STAY_OUT;

	/* silence counts no more once its agent has become automatic */
	if (r->flock->agent->register_mode != REGISTER_MODE_TRIGGERED &&
	    !r->later)
		r->later = SUR_ORDER_IN;

	return SUR_STAY_SILENT;
}

/** Whatever it waited for, now it ends as disabled */
static int go_out(void *obj, const struct message *msg)
{
	struct registration *r = obj;

	(void)msg;
	r->goal = SUR_DISABLED;
	r->later = 0;

	return 0;
}

/** Orderly end: with un-register it leaves, else all stays as it was stored */
static int leave_or_stop(void *obj, const struct message *msg)
{
	int ev = leave_or(obj, SUR_DISABLED, 0);

	return ev ? ev : stop(obj, msg);
}

/* The table (4.3) ----------------------------------------------------------- */

/* clang-format off */
static const struct rule rules[] = {
	{ SUR_DISABLED,    SUR_ENABLED,     enable,          SUR_WAITING     },
	{ SUR_DISABLED,    SUR_ORDER_IN,    begin_anew,      SUR_WAITING     },
	{ SUR_DISABLED,    SUR_STAY_OUT,    switch_off,      SUR_DISABLED    },
	{ SUR_DISABLED,    SUR_STAY_SILENT, rest,            SUR_SILENT      },

	{ SUR_GIVEN_UP,    SUR_ENABLED,     enable,          SUR_WAITING     },
	{ SUR_GIVEN_UP,    SUR_CHANGED,     begin_anew,      SUR_WAITING     },
	{ SUR_GIVEN_UP,    SUR_ANEW,        begin_anew,      SUR_WAITING     },
	{ SUR_GIVEN_UP,    SUR_ORDER_IN,    begin_anew,      SUR_WAITING     },
	{ SUR_GIVEN_UP,    SUR_GONE,        switch_off,      SUR_DISABLED    },
	{ SUR_GIVEN_UP,    SUR_SHUTDOWN,    stop,            SUR_GIVEN_UP    },

	{ SUR_WAITING,     SUR_DUE,         send_register,   SUR_REGISTERING },
	{ SUR_WAITING,     SUR_PENDING,     NULL,            SUR_BACKOFF     },
	{ SUR_WAITING,     SUR_EXHAUSTED,   give_up,         SUR_GIVEN_UP    },
	{ SUR_WAITING,     SUR_CHANGED,     begin_anew,      SUR_WAITING     },
	{ SUR_WAITING,     SUR_ANEW,        begin_anew,      SUR_WAITING     },
	{ SUR_WAITING,     SUR_CONTACT,     be_due,          SUR_WAITING     },
	{ SUR_WAITING,     SUR_QUIET,       rest,            SUR_SILENT      },
	{ SUR_WAITING,     SUR_STAY_IDLE,   rest,            SUR_IDLE        },
	{ SUR_WAITING,     SUR_GONE,        switch_off,      SUR_DISABLED    },
	{ SUR_WAITING,     SUR_SHUTDOWN,    stop,            SUR_WAITING     },
	{ SUR_WAITING,     SUR_ORDER_IN,    be_due,          SUR_WAITING     },
	{ SUR_WAITING,     SUR_ORDER_OUT,   switch_off,      SUR_DISABLED    },

	{ SUR_BACKOFF,     SUR_DUE,         send_register,   SUR_REGISTERING },
	{ SUR_BACKOFF,     SUR_EXHAUSTED,   give_up,         SUR_GIVEN_UP    },
	{ SUR_BACKOFF,     SUR_CHANGED,     begin_anew,      SUR_WAITING     },
	{ SUR_BACKOFF,     SUR_ANEW,        begin_anew,      SUR_WAITING     },
	{ SUR_BACKOFF,     SUR_CONTACT,     be_due,          SUR_WAITING     },
	{ SUR_BACKOFF,     SUR_QUIET,       rest,            SUR_SILENT      },
	{ SUR_BACKOFF,     SUR_GONE,        switch_off,      SUR_DISABLED    },
	{ SUR_BACKOFF,     SUR_SHUTDOWN,    stop,            SUR_BACKOFF     },
	{ SUR_BACKOFF,     SUR_ORDER_IN,    be_due,          SUR_WAITING     },
	{ SUR_BACKOFF,     SUR_ORDER_OUT,   switch_off,      SUR_DISABLED    },

	{ SUR_REFUSED,     SUR_DUE,         send_register,   SUR_REGISTERING },
	{ SUR_REFUSED,     SUR_EXPIRED,     after_refusals,  SUR_REFUSED     },
	{ SUR_REFUSED,     SUR_EXHAUSTED,   give_up,         SUR_GIVEN_UP    },
	{ SUR_REFUSED,     SUR_CHANGED,     begin_anew,      SUR_WAITING     },
	{ SUR_REFUSED,     SUR_ANEW,        begin_anew,      SUR_WAITING     },
	{ SUR_REFUSED,     SUR_CONTACT,     be_due,          SUR_WAITING     },
	{ SUR_REFUSED,     SUR_QUIET,       rest,            SUR_SILENT      },
	{ SUR_REFUSED,     SUR_GONE,        switch_off,      SUR_DISABLED    },
	{ SUR_REFUSED,     SUR_SHUTDOWN,    stop,            SUR_REFUSED     },
	{ SUR_REFUSED,     SUR_ORDER_IN,    be_due,          SUR_WAITING     },
	{ SUR_REFUSED,     SUR_ORDER_OUT,   switch_off,      SUR_DISABLED    },

	{ SUR_REGISTERING, SUR_ENABLED,     back_later,      SUR_REGISTERING },
	{ SUR_REGISTERING, SUR_OK,          store_binding,   SUR_REGISTERED  },
	{ SUR_REGISTERING, SUR_CHALLENGED,  answer,          SUR_REGISTERING },
	{ SUR_REGISTERING, SUR_REFUSE,      refuse,          SUR_REFUSED     },
	{ SUR_REGISTERING, SUR_BRIEF,       ask_longer,      SUR_REGISTERING },
	{ SUR_REGISTERING, SUR_OPTION,      leave_option,    SUR_REGISTERING },
	{ SUR_REGISTERING, SUR_ELSEWHERE,   follow,          SUR_REGISTERING },
	{ SUR_REGISTERING, SUR_LOST,        next_target,     SUR_REGISTERING },
	{ SUR_REGISTERING, SUR_NO_TARGET,   retry_later,     SUR_BACKOFF     },
	{ SUR_REGISTERING, SUR_FAIL,        retry_later,     SUR_BACKOFF     },
	{ SUR_REGISTERING, SUR_OLD_GONE,    after_old_anew,  SUR_WAITING     },
	{ SUR_REGISTERING, SUR_CHANGED,     due_later,       SUR_REGISTERING },
	{ SUR_REGISTERING, SUR_ANEW,        anew_later,      SUR_REGISTERING },
	{ SUR_REGISTERING, SUR_CONTACT,     due_later,       SUR_REGISTERING },
	{ SUR_REGISTERING, SUR_ACTIVE,      not_quiet,       SUR_REGISTERING },
	{ SUR_REGISTERING, SUR_QUIET,       quiet_later,     SUR_REGISTERING },
	{ SUR_REGISTERING, SUR_GONE,        gone_later,      SUR_REGISTERING },
	{ SUR_REGISTERING, SUR_SHUTDOWN,    stop_later,      SUR_REGISTERING },
	{ SUR_REGISTERING, SUR_ORDER_IN,    not_out,         SUR_REGISTERING },
	{ SUR_REGISTERING, SUR_ORDER_OUT,   out_later,       SUR_REGISTERING },

	{ SUR_REGISTERED,  SUR_DUE,         send_register,   SUR_REFRESHING  },
	{ SUR_REGISTERED,  SUR_EXPIRED,     bind_anew,       SUR_WAITING     },
	{ SUR_REGISTERED,  SUR_ANEW,        be_due_anew,     SUR_REGISTERED  },
	{ SUR_REGISTERED,  SUR_CONTACT,     be_due,          SUR_REGISTERED  },
	{ SUR_REGISTERED,  SUR_REMOVE_OLD,  send_old,        SUR_REFRESHING  },
	{ SUR_REGISTERED,  SUR_QUIET,       fall_silent,     SUR_REGISTERED  },
	{ SUR_REGISTERED,  SUR_GONE,        leave_if_wanted, SUR_REGISTERED  },
	{ SUR_REGISTERED,  SUR_SHUTDOWN,    leave_or_stop,   SUR_REGISTERED  },
	{ SUR_REGISTERED,  SUR_ORDER_IN,    be_due,          SUR_REGISTERED  },
	{ SUR_REGISTERED,  SUR_ORDER_OUT,   leave_by_order,  SUR_REGISTERED  },
	{ SUR_REGISTERED,  SUR_TARGET_GONE, be_due,          SUR_REGISTERED  },
	{ SUR_REGISTERED,  SUR_LEAVE,       queue_leave,     SUR_LEAVING     },
	{ SUR_REGISTERED,  SUR_STAY_OUT,    switch_off,      SUR_DISABLED    },
	{ SUR_REGISTERED,  SUR_STAY_SILENT, rest,            SUR_SILENT      },

	{ SUR_REFRESHING,  SUR_ENABLED,     back_later,      SUR_REFRESHING  },
	{ SUR_REFRESHING,  SUR_OK,          store_binding,   SUR_REGISTERED  },
	{ SUR_REFRESHING,  SUR_CHALLENGED,  answer,          SUR_REFRESHING  },
	{ SUR_REFRESHING,  SUR_REFUSE,      refuse,          SUR_REFUSED     },
	{ SUR_REFRESHING,  SUR_BRIEF,       ask_longer,      SUR_REFRESHING  },
	{ SUR_REFRESHING,  SUR_OPTION,      leave_option,    SUR_REFRESHING  },
	{ SUR_REFRESHING,  SUR_ELSEWHERE,   follow,          SUR_REFRESHING  },
	{ SUR_REFRESHING,  SUR_LOST,        next_target,     SUR_REFRESHING  },
	{ SUR_REFRESHING,  SUR_NO_TARGET,   retry_later,     SUR_REGISTERED  },
	{ SUR_REFRESHING,  SUR_FAIL,        retry_later,     SUR_REGISTERED  },
	{ SUR_REFRESHING,  SUR_EXPIRED,     NULL,            SUR_REGISTERING },
	{ SUR_REFRESHING,  SUR_ANEW,        anew_later,      SUR_REFRESHING  },
	{ SUR_REFRESHING,  SUR_CONTACT,     due_later,       SUR_REFRESHING  },
	{ SUR_REFRESHING,  SUR_OLD_GONE,    after_old,       SUR_REGISTERED  },
	{ SUR_REFRESHING,  SUR_ACTIVE,      not_quiet,       SUR_REFRESHING  },
	{ SUR_REFRESHING,  SUR_QUIET,       quiet_later,     SUR_REFRESHING  },
	{ SUR_REFRESHING,  SUR_GONE,        gone_later,      SUR_REFRESHING  },
	{ SUR_REFRESHING,  SUR_SHUTDOWN,    stop_later,      SUR_REFRESHING  },
	{ SUR_REFRESHING,  SUR_ORDER_IN,    not_out,         SUR_REFRESHING  },
	{ SUR_REFRESHING,  SUR_ORDER_OUT,   out_later,       SUR_REFRESHING  },

	{ SUR_IDLE,        SUR_ACTIVE,      begin_anew,      SUR_WAITING     },
	{ SUR_IDLE,        SUR_GONE,        switch_off,      SUR_DISABLED    },
	{ SUR_IDLE,        SUR_SHUTDOWN,    stop,            SUR_IDLE        },
	{ SUR_IDLE,        SUR_ORDER_IN,    begin_anew,      SUR_WAITING     },
	{ SUR_IDLE,        SUR_ORDER_OUT,   switch_off,      SUR_DISABLED    },
	{ SUR_SILENT,      SUR_ACTIVE,      begin_anew,      SUR_WAITING     },
	{ SUR_SILENT,      SUR_GONE,        switch_off,      SUR_DISABLED    },
	{ SUR_SILENT,      SUR_SHUTDOWN,    stop,            SUR_SILENT      },
	{ SUR_SILENT,      SUR_ORDER_IN,    begin_anew,      SUR_WAITING     },
	{ SUR_SILENT,      SUR_ORDER_OUT,   switch_off,      SUR_DISABLED    },

	{ SUR_LEAVING,     SUR_ENABLED,     due_later,       SUR_LEAVING     },
	{ SUR_LEAVING,     SUR_DUE,         send_leave,      SUR_LEAVING     },
	{ SUR_LEAVING,     SUR_OK,          left,            SUR_DISABLED    },
	{ SUR_LEAVING,     SUR_CHALLENGED,  answer,          SUR_LEAVING     },
	{ SUR_LEAVING,     SUR_REFUSE,      left,            SUR_DISABLED    },
	{ SUR_LEAVING,     SUR_BRIEF,       left,            SUR_DISABLED    },
	{ SUR_LEAVING,     SUR_OPTION,      left,            SUR_DISABLED    },
	{ SUR_LEAVING,     SUR_ELSEWHERE,   follow,          SUR_LEAVING     },
	{ SUR_LEAVING,     SUR_LOST,        next_target,     SUR_LEAVING     },
	{ SUR_LEAVING,     SUR_NO_TARGET,   left,            SUR_DISABLED    },
	{ SUR_LEAVING,     SUR_FAIL,        left,            SUR_DISABLED    },
	{ SUR_LEAVING,     SUR_ACTIVE,      due_later,       SUR_LEAVING     },
	{ SUR_LEAVING,     SUR_QUIET,       not_due,         SUR_LEAVING     },
	{ SUR_LEAVING,     SUR_GONE,        go_out,          SUR_LEAVING     },
	{ SUR_LEAVING,     SUR_SHUTDOWN,    go_out,          SUR_LEAVING     },
	{ SUR_LEAVING,     SUR_ORDER_IN,    due_later,       SUR_LEAVING     },
	{ SUR_LEAVING,     SUR_ORDER_OUT,   go_out,          SUR_LEAVING     },

	{ 0 },
};
/* clang-format on */

const struct machine surrogate_machine = { "registration", rules, states,
					   events };

/** The timer: the binding is over, or the next try is due, or both */
static void take_timer(void *arg)
{
	struct registration *r = arg;

	if (r->bound && clock_ms() >= r->expires) {
		registration_bind(r, false);
		r->flock->host->bound(r);
		surrogate_feed(r, SUR_EXPIRED, NULL);
		return; /* the feed has armed it anew */
	}
	surrogate_arm(r);
}

/** While it waits for a token or an answer its timer looks for the end of the
 *  binding soon, and then less and less often: the answer nearly always comes
 *  first, and to stand among the timers of this moment and leave them costs no
 *  cache miss, as it does in the far slot of the end [ms] */
static uint64_t look(const struct registration *r, uint64_t now, uint64_t left)
{
	uint64_t waits = now > r->since ? now - r->since : 0;

	if (waits < LOOK_SOON)
		waits = LOOK_SOON;

	return left < waits ? left : waits;
}

void surrogate_arm(struct registration *r)
{
	uint64_t now = clock_ms(), wait = UINT64_MAX;

	if (r->next && r->next <= now) {
		r->next = 0;
		r->flock->host->due(r, r->bound ? DUE_BINDING : DUE_NEW);
	}
	if (r->next)
		wait = r->next - now;
	if (r->bound) {
		uint64_t left = r->expires > now ? r->expires - now : 0;

		left = r->next ? left : look(r, now, left);
		wait = left < wait ? left : wait;
	}

	if (wait == UINT64_MAX)
		timer_cancel(&r->timer);
	else
		timer_start(&r->timer, wait, take_timer, r);
}

bool surrogate_is_out(const struct registration *r)
{
	return r->attempt != NULL;
}

static void log_move(const struct registration *r, uint8_t from)
{
	char aor[AOR_SIZE];
	uint64_t now = clock_ms();

	if (!log_on(SURROGATE, LEVEL_DEBUG))
		return;
	log_debug(SURROGATE, "reg-state",
		  "aor=%s registrar=%s from=%s to=%s code=%u reason=\"%s\" "
		  "next=%llu",
		  registration_name(aor, r),
		  r->flock->registry ? r->flock->registry->name : "",
		  states[from], states[r->state], r->code,
		  r->reason ? r->reason : "",
		  r->next > now ? (unsigned long long)(r->next - now) / 1000
				: 0ull);
}

void surrogate_feed(struct registration *r, enum surrogate_event ev,
		    const struct message *msg)
{
	uint8_t from = r->state;

	(void)machine_feed(&surrogate_machine, &r->state, r, ev, msg, NULL);
	if (ev == SUR_EXPIRED)
		surrogate_arm(r);
	if (r->state == from)
		return;

	log_move(r, from);
	r->flock->host->moved(r, from);
}

const char *surrogate_state_name(enum surrogate_state s)
{
	return s == SUR_REFRESHING ? states[SUR_REGISTERED]
	       : s < SUR_STATES    ? states[s]
				   : "";
}
