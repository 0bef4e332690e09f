/*
 * One try to register: targets in turn, REGISTERs, their answers
 *
 * It lives from the first REGISTER of a try to the answer that ends it. What
 * it meets becomes an event of the machine (sbc/surrogate).
 */
#pragma once

#include "sbc/prove.h"
#include "sbc/register.h"

enum attempt_kind {
	ATTEMPT_REGISTER,
	ATTEMPT_LEAVE,
	ATTEMPT_OLD /* removes the former Contact */
};

/** Told what an answer is. May end the attempt */
typedef void(attempt_h)(struct registration *r, enum surrogate_event ev,
			const struct message *msg);

struct attempt {
	attempt_h *told;
	struct transaction *transaction;
	struct resolve *pending;
	const struct plan *plan; /* a reference: pending asks in its realm */
	struct tries tries;
	struct resolved targets;
	struct target to;
	uint32_t start, tried; /* first target used; those tried, as bits */
	uint32_t tries_n;      /* how many that are */
	uint32_t asked;        /* Expires of the request [s] */
	uint32_t granted;      /* of the answer [s] */
	uint32_t retry_after;  /* [s]; 0: none */
	uint64_t sent;         /* [ms] */
	uint8_t kind;
	bool answered; /* some target did */
	bool waits;    /* the last one said 503 with Retry-After */
	bool briefed, optioned, redirected;
	bool sending, broken; /* the news came before the sending returned */
	char ruri[CONTACT_SIZE];
};

/* These return the event that follows, or 0 */

/** Begin a try */
int attempt_begin(struct registration *r, enum attempt_kind kind,
		  attempt_h *told);
/** Once more to the same target, with credentials that are known already */
int attempt_repeat(struct registration *r);
/** Once more with the answer to this 401 or 407 (behaviour.md section 6) */
int attempt_prove(struct registration *r, const struct message *challenge);
/** To the next target; msg: what the last one said, NULL: nothing */
int attempt_next(struct registration *r, const struct message *msg);
/** To the URI of a 3xx, once */
int attempt_follow(struct registration *r, const struct message *msg);

/** It is over */
void attempt_end(struct registration *r);

/** Remember the targets of a registry, and since when each is healthy */
void attempt_learn(struct registry *reg, const struct resolved *found);

/** Targets of a registry: 0 at once; EINPROGRESS; errno, as resolve */
int attempt_resolve(struct resolve **pendingp, struct registry *registry,
		    struct resolved *found, resolve_h *h, void *arg);
