/*
 * Audit log: what operators type, and what came of it
 *
 * acli.md 4. A line is written before it runs and its result after it; secrets are
 * masked. The file is opened for appending only; it may be moved away at any time,
 * the next line begins another one. Front thread.
 */
#pragma once

#include <sys/types.h>
#include "store/elements/admin_security.h"

struct audit;

/** Whom a line is about */
struct audit_who {
	uint32_t connection, uid;
	const char *user; /* "anna@local" */
	const char *role; /* "user", "superuser" */
	const char *path; /* last word of the path; NULL: not in the tree */
};

/** Make an audit log; nothing is written before it follows a configuration. 0;
 *  ENOMEM. A file that cannot be opened is no error: see audit_works */
int audit_open(struct audit **ap);
void audit_close(struct audit *a);

/** Follow a configuration: state, sizes, and the group that may read the file. It
 *  lies in the folder, which is made when it is missing */
void audit_follow(struct audit *a, const struct config *cfg,
		  const char *folder);

/** Files and folder that are made belong to this user: who writes them is not the
 *  daemon. (uid_t)-1: to who writes them */
void audit_owner(struct audit *a, uid_t owner);

/** Was the last line written, or is none asked for? */
bool audit_works(const struct audit *a);

/** Are changes refused now, since they could not be recorded? */
bool audit_refuses(const struct audit *a);

/** A line that is about to run; NULL as text: the answer was not to be seen. Both
 *  are masked already */
void audit_line(struct audit *a, const struct audit_who *who, const char *line);
void audit_answer(struct audit *a, const struct audit_who *who,
		  const char *answer);

/** What came of a line; change: what is different now, or "" */
void audit_result(struct audit *a, const struct audit_who *who,
		  const char *line, bool ok, const char *change);

/** Something happened without a line: "login", "enable-ok"; text: more about it,
 *  or "" */
void audit_event(struct audit *a, const struct audit_who *who,
		 const char *event, const char *text);

/**
 * Mask the secrets of a line
 *
 * The words after one that begins with `pass`, `secret` or `key`, or that may be
 * short for the name of a secret parameter, and all of them when the first word
 * is known to name one.
 *
 * @param out    Set to the line, cut where it is longer
 * @param size   Of out
 * @param line   As typed
 * @param first  Does its first word name a secret parameter?
 */
void audit_mask(char *out, size_t size, const char *line, bool first);
