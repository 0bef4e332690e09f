/*
 * Answer lines with a code, tables, filters, JSON
 *
 * The shell answers with lines of four digits, then `-` (more follow) or a blank
 * (last line), then text (acli.md 1.1). Text is gathered here and sent by whoever
 * owns the connection.
 */
#pragma once

#include "store/base.h"

enum reply_code {
	REPLY_DONE = 0,
	REPLY_OUTPUT = 1000,
	REPLY_QUESTION = 2001,
	REPLY_SEND_FILE = 4001, /* the client sends: a length, then the bytes */
	REPLY_TAKE_FILE = 4002, /* LENGTH NAME; the bytes follow */
	REPLY_FAILED = 8001,
	REPLY_DENIED = 8003,
	REPLY_LOCKED = 8004,
	REPLY_BUSY = 8005,
	REPLY_UNKNOWN = 9001,
	REPLY_AMBIGUOUS = 9002,
	REPLY_ARGUMENT = 9003
};

struct reply {
	struct mbuf *mb;      /* whole lines, with their codes */
	struct pl only;       /* `| include TEXT`: other lines are left out */
	enum reply_code last; /* of the line that ends the answer */
	bool failed;
};

/** Begin an answer. 0; ENOMEM */
int reply_init(struct reply *r);

/** Let go of its bytes */
void reply_finish(struct reply *r);

/** One line of output; a format of libre: text from outside only by %s, %r, %H.
 *  A text with newlines becomes several lines */
void reply_line(struct reply *r, const char *fmt, ...);

/** What a printer gives, line by line */
void reply_print(struct reply *r, re_printf_h *h, const void *arg);

/** The answer ends as failed: the sentence without `% ` */
void reply_error(struct reply *r, enum reply_code code, const char *fmt, ...);

/** The client is asked: a question, or for a file whose name he knows. The
 *  answer goes on with what he sends */
void reply_ask(struct reply *r, enum reply_code code, const char *fmt, ...);

/** The client takes a file; its bytes stand in the answer. 0; ENOMEM */
int reply_file(struct reply *r, const char *name, const struct pl *bytes);

/** Go on with the lines of another one */
void reply_add(struct reply *r, const struct reply *more);

/** End the answer: on success the prompt is its last line */
void reply_end(struct reply *r, const char *prompt);

/** A duration as people read it: "3d 4h", "12m 3s", "45s" */
struct duration {
	uint64_t s;
};
int duration_print(struct re_printf *pf, const struct duration *d);
