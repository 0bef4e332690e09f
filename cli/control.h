/*
 * What all sessions share: configuration lock, and long work in steps
 *
 * A command that takes long is a task: steps on the job thread and on the front
 * thread, one after the other. The session takes no further line until it ends;
 * its answer is gathered in the task, since the session may end before.
 */
#pragma once

#include <stdatomic.h>
#include "store/log.h"
#include "sbc/job.h"
#include "sbc/timer.h"
#include "store/password.h"
#include "cli/login.h"
#include "cli/session.h"

/** A connection, for show users */
struct session_report {
	const struct session *session;
	uint64_t since; /* wall [s] */
	uint64_t idle;  /* [s] */
};
typedef void(session_report_h)(const struct session_report *x, void *arg);

struct control_setup {
	struct sbc *sbc;
	struct database *db;
	const struct seal *seal;
	struct audit *audit;  /* or NULL */
	struct mailbox *home; /* of the front thread */
	/** A plan is in force: logging follows it */
	void (*activated)(const struct plan *plan, void *arg);
	/** The daemon ends when this turn is over, and begins anew */
	void (*restart)(void *arg);
	/** Every connection is told */
	void (*notice)(const char *text, void *arg);
	/** Tell h of every connection; or NULL */
	void (*sessions)(session_report_h *h, void *x, void *arg);
	void *arg;
};

/** A level that an operator ordered for a while (cli/logging) */
struct level_order {
	struct timer timer;
	uint64_t until; /* wall [s]; 0: it holds, or there is none */
	enum log_component component;
	enum log_level before;
};

/** A version that runs on trial (cli/acceptance) */
struct probation {
	struct timer timer;
	uint64_t until; /* wall [s]; 0: none does */
	uint32_t version, former;
};

struct control {
	struct control_setup setup;
	struct probation probation;
	struct level_order levels[LOG_COMPONENTS];
	uint64_t began;        /* [ms, monotonic] */
	struct job *job;       /* NULL: the daemon ends */
	struct session *owner; /* of the configuration lock, or NULL */
	bool exclusive;        /* it is kept until configuration mode is left */
	/** The editing configuration as the sessions in configuration mode see
	 *  it; NULL: to be loaded */
	const struct config *editing;
	const struct task *changing; /* the one task that may change anything */
	char since[32];              /* of the lock */
	char password[PASSWORD_TEXT]; /* hash of the superuser's, or "" */
	struct list mistakes;         /* wrong passwords (cli/login) */
	struct list retired;          /* plans that ran, see control_retire */
	struct timer reaping;
	bool edited, unequal; /* editing and saved, saved and running */
};

/** Where a step runs */
enum step_place {
	ON_JOB,
	ON_FRONT
};

/** How far long work is: written by who does it, read on the front thread. The
 *  numbers may be of two moments, which only an eye would see */
struct progress {
	const char *_Atomic what; /* "reading"; NULL: nobody knows */
	atomic_size_t done, total;
};
void progress_set(struct progress *p, const char *what, size_t done,
		  size_t total);

struct task;
struct step {
	enum step_place place;
	/** 0: go on; else the task ends. Who returns another errno than ECANCELED
	 *  leaves the sentence to the task; ECANCELED: the reply has it */
	int (*act)(struct task *task);
};

/** First member of what a command works with; that is a mem object, which the
 *  task lets go of at its end, on the front thread */
struct task {
	struct control *control;
	struct session *session;  /* NULL: it ended */
	struct reply reply;       /* added to that of the session at the end */
	const struct step *steps; /* ended by act NULL; the first is ON_JOB */
	/** What was begun is taken back, on the front thread; or NULL */
	void (*undo)(struct task *task);
	/** Told when it has succeeded, on the front thread; or NULL. It may run
	 *  another task, or ask: the answer goes on then */
	void (*then)(struct session *s, struct task *task);
	struct progress progress;
	bool keeps;   /* it changed control->editing along with the database */
	bool changes; /* one such task at a time */
	char by[128]; /* whose it is: "anna@local" */
	uint32_t connection, uid; /* his, for the audit log */
};

/** 0; ENOMEM; EAGAIN no thread */
int control_open(struct control **cp, const struct control_setup *setup);

/** Wait for the step under way; what was begun is given up. Sessions are gone
 *  already. NULL is fine */
void control_close(struct control *c);

/** Take the configuration lock for the session, or say whose it is */
bool control_lock(struct session *s);

/** May the session save and activate: is the lock free or its own? Says so */
bool control_is_free(struct session *s);

/** May anything be changed now, or must it be recorded and cannot? Says so */
bool control_may_change(struct session *s);

/** Break the lock, whoever has it, and tell him; false: nobody has it */
bool control_break(struct session *s);

/** The session has saved, discarded or ended. `configure exclusive` keeps the lock
 *  until then */
void control_unlock(struct control *c, const struct session *s);

/** A plan runs no more: a reference is kept until nobody else has one, so that the
 *  job thread frees it, and none that has calls to serve */
void control_retire(struct control *c, const struct plan *plan);

/** Look how editing, saved and running version differ: the mark of the prompt */
void control_look(struct control *c);
const char *control_mark(const struct control *c);

/**
 * Begin a task for a session
 *
 * @param s        Session; its answer ends with the task
 * @param task     First member of a mem object, zeroed; taken over, also on
 *                 error
 * @param steps    Ended by act NULL; the first is ON_JOB
 * @param changes  It changes editing, saved or running
 */
void task_start(struct session *s, struct task *task, const struct step *steps,
		bool changes);

/**
 * Begin a task that no session waits for; it changes editing, saved or running
 *
 * @return 0; EBUSY another change is under way; ENOMEM; ESHUTDOWN. The task is
 *         taken over in any case
 */
int task_start_alone(struct control *c, struct task *task,
		     const struct step *steps, const char *by);

/** For the audit log: how two configurations differ; the first few of many */
void changes_tell(struct reply *r, const struct config *before,
		  const struct config *after);

/** The session ends: its lock is free, its task goes on without it */
void control_leave(struct session *s);
