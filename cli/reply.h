/*
 * Answer lines with a code, filters
 *
 * The shell answers with lines of four digits, then `-` (more follow) or a blank
 * (last line), then text (acli.md 1.1). Text is gathered here and sent by whoever
 * owns the connection.
 */
#pragma once

#include "store/base.h"
#include "cli/choices.h"

enum reply_code {
	REPLY_DONE = 0,
	REPLY_OUTPUT = 1000,
	REPLY_QUESTION = 2001,
	REPLY_QUESTION_QUIET = 2002, /* the answer is not to be seen */
	REPLY_CHOICE = 3001,         /* of completion, or a line of help */
	REPLY_FILES = 3002,          /* names of files are possible too */
	REPLY_SEND_FILE = 4001, /* the client sends: a length, then the bytes */
	REPLY_TAKE_FILE = 4002, /* LENGTH NAME; the bytes follow */
	REPLY_NOTICE = 5001,    /* from elsewhere */
	REPLY_SECRET = 5002, /* the line held a secret: not into the history */
	REPLY_PAGE =
		5003, /* lines of a page; 0: no paging; -1: the terminal's */
	REPLY_NO_MORE = 5004, /* this answer is not paged */
	REPLY_FOLLOW = 5005,  /* this answer goes on until ETX comes */
	REPLY_FAILED = 8001,
	REPLY_DENIED = 8003,
	REPLY_LOCKED = 8004,
	REPLY_BUSY = 8005,
	REPLY_UNKNOWN = 9001,
	REPLY_AMBIGUOUS = 9002,
	REPLY_ARGUMENT = 9003
};

struct reply {
	struct mbuf *mb;         /* whole lines, with their codes */
	struct filters *filters; /* behind a vertical bar; NULL: none */
	struct mbuf *change;     /* for the audit log; NULL: nothing */
	struct mbuf *doc;        /* its document (cli/json), or NULL */
	enum reply_code last;    /* of the line that ends the answer */
	enum reply_code asked;   /* the question that waits for an answer */
	bool json;               /* `| json` is asked for */
	bool nested;             /* documents that begin are parts of `doc` */
	bool failed;
	bool wiped; /* there are secrets in it: its bytes are wiped */
};

/** Begin an answer. 0; ENOMEM */
int reply_init(struct reply *r);

/**
 * Read the filters behind a vertical bar (acli.md 1.5); they hold for all output
 * of this answer, in their order
 *
 * @return 0; EINVAL said so
 */
int reply_filter(struct reply *r, char *text);

/** Add the names of the filters that may stand next; first: behind the first bar */
void reply_filters_add(struct choices *c, bool first);

/** Let go of its bytes */
void reply_finish(struct reply *r);

/** One line of output; a format of libre: text from outside only by %s, %r, %H.
 *  A text with newlines becomes several lines */
void reply_line(struct reply *r, const char *fmt, ...);

/** What a printer gives, line by line */
void reply_print(struct reply *r, re_printf_h *h, const void *arg);

/** For the audit log: what is different now; several are joined by "; " */
void reply_change(struct reply *r, const char *fmt, ...);

/** Lines that are there already */
void reply_text(struct reply *r, const char *text, size_t n);

/** The document goes out; reply_end and reply_error do so */
void reply_flush(struct reply *r);

/** The answer ends as failed: the sentence without `% ` */
void reply_error(struct reply *r, enum reply_code code, const char *fmt, ...);

/** The client is asked: a question, or for a file whose name he knows. The
 *  answer goes on with what he sends */
void reply_ask(struct reply *r, enum reply_code code, const char *fmt, ...);

/** The client takes a file; its bytes stand in the answer. 0; ENOMEM */
int reply_file(struct reply *r, const char *name, const struct pl *bytes);

/** A line for the client rather than for the operator: REPLY_CHOICE, REPLY_SECRET
 *  and the like */
void reply_note(struct reply *r, enum reply_code code, const char *fmt, ...);

/**
 * What is said from now on is gathered apart, in little room
 *
 * A long answer grows by moving all of it; whoever speaks on a thread that must
 * not be held up speaks between these two, and the rest is done by reply_join.
 *
 * @param r     Answer
 * @param part  Holds what was said before, until reply_join
 */
struct reply_part {
	struct mbuf *mb, *doc;
	struct filters *filters;
	size_t begun; /* of doc: byte that only tells where it goes on */
};
void reply_part(struct reply *r, struct reply_part *part);

/** Join it to the answer, through its filters */
void reply_join(struct reply *r, struct reply_part *part);

/** Go on with the lines of another one */
void reply_add(struct reply *r, const struct reply *more);

/** End the answer: on success the prompt is its last line */
void reply_end(struct reply *r, const char *prompt);

/** A duration as people read it: "3d 4h", "12m 3s", "45s" */
struct duration {
	uint64_t s;
};
int duration_print(struct re_printf *pf, const struct duration *d);
