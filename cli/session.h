/*
 * One operator: mode, path, role
 */
#pragma once

#include "store/database.h"
#include "store/seal.h"
#include "sbc/timer.h"
#include "sbc/sbc.h"
#include "cli/audit.h"
#include "cli/reply.h"
#include "cli/words.h"

enum mode {
	MODE_USER,
	MODE_SUPERUSER
};

struct configure;
struct control;
struct form;
struct session;
struct task;

/** A line or a file that the client sent because it was asked to. pl: no file
 *  came when its p is NULL. Bytes are valid in the call only */
typedef void(session_h)(struct session *s, const struct pl *pl);

struct session {
	struct control *control;
	struct sbc *sbc;
	struct database *db;
	const struct seal *seal;
	enum mode mode;
	bool may_be_superuser; /* by the kernel's word on who connects */
	bool ends;             /* the connection is closed after the answer */
	char command[256];     /* under way, in full words: for its document */
	bool secret;           /* the line held one: it is kept nowhere */
	bool follows;          /* what is asked for ends with Ctrl-C alone */
	struct configure *configure; /* NULL: not in configuration mode */
	struct form *form;           /* of a test command; NULL: none */
	/** Run a line, as if it had been typed */
	void (*line)(struct session *s, const char *line);
	/** An answer takes long: tell the client that it will come; or NULL */
	void (*waits)(struct session *s);
	uint64_t spoke; /* ... or when the line came [ms] */
	/** Tell the operator something between two answers */
	void (*notify)(struct session *s, const char *text);
	struct reply reply; /* of the line under way */
	uint32_t number;    /* of the connection */
	uint32_t uid;
	char user[128];      /* "anna@local" */
	struct audit *audit; /* or NULL */
	char *audited;       /* line under way, masked; NULL: none */
	struct task *task;   /* long work; the answer ends with it */
	struct timer pause;  /* it waits before the answer goes on */
	void (*paused)(struct session *s);  /* then; NULL: it does not wait */
	void (*resumes)(struct session *s); /* told when it did */
	session_h *asks;   /* gets the next line: the answer to a question */
	session_h *wants;  /* gets the file that the client sends */
	struct mbuf *came; /* that file: who refers to it keeps it, and has to
			      wipe it */
	void *arg; /* of both; a mem object, which the handler takes over */
};

/** Is the answer to a line complete? Else more comes: of a task, or of the
 *  client */
bool session_is_done(const struct session *s);

/** Is there work or a pause, and no line taken? */
bool session_is_busy(const struct session *s);

/** Wait [ms] before h goes on with the answer */
void session_pause(struct session *s, uint32_t ms,
		   void (*h)(struct session *s));

/** Whom the audit log names; path: last word of the path, or NULL */
struct audit_who session_who(const struct session *s, const char *path);

/** Tell the audit log what happened without a line */
void session_event(const struct session *s, const char *event,
		   const char *text);

/** Give a line or a file to whoever asked for it */
void session_answer(struct session *s, const struct pl *pl);

/** sbc_walk, and sbc_ask_at of the first worker, with an answer that may be long:
 *  what fn says on the worker's thread is joined to the answer on this one. In
 *  between the client hears each second that there is life (acli.md 1.10) */
void session_walk(struct session *s, sbc_question_h *fn, void *arg,
		  size_t *next);
void session_ask_first(struct session *s, sbc_question_h *fn, void *arg);

/** Prompt of the present mode (acli.md 1.2), with its mark in front and its blank
 *  at the end; path is the last word of the path, or NULL */
void session_prompt(const struct session *s, const char *mark, const char *path,
		    char *buf, size_t size);
