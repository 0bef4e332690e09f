/*
 * What the SBC itself refused: by step and status, and the last of them
 *
 * For `show refusals` (acli.md 2.3). Of a worker's thread. A refusal copies some
 * bytes and formats nothing.
 */
#pragma once

#include "policy/message.h"
#include "sbc/tally.h"

struct refusals;

/** In the order in which a request passes them (behaviour.md 1.1) */
enum refusal_step {
	REFUSAL_CHECK_MESSAGE,
	REFUSAL_ADMIT_SOURCE,
	REFUSAL_NAME_SOURCE,
	REFUSAL_TAKE_CAPACITY,
	REFUSAL_EDIT_INBOUND,
	REFUSAL_CHOOSE_ROUTE,
	REFUSAL_PLACE_CALL,
	REFUSAL_AUTHENTICATE,
	REFUSAL_STEPS
};
/** "check-message", ... */
const char *refusal_step_name(enum refusal_step step);

struct refusal {
	enum refusal_step step;
	uint16_t code;
	const char *realm; /* of the source; NULL: not known yet */
	const struct sa *src;
	const struct message *msg; /* NULL: not there any more */
	const char *object;        /* of the configuration; NULL: none */
	const char *reason;        /* constant text; NULL: none */
};

/** 0; ENOMEM */
int refusals_open(struct refusals **rp);
/** NULL is fine */
void refusals_close(struct refusals *r);

/** Count one and keep it among the last 1000. r may be NULL: only counted in the
 *  counters */
void refusals_note(struct refusals *r, const struct refusal *x);

/** Count one and keep nothing: where there are too many of a kind */
void refusals_count(struct refusals *r, enum refusal_step step, uint16_t code);

/** Counts to 0; the last ones stay */
void refusals_reset(struct refusals *r);

/** Add what another worker has to what refusals_open made: counts, and the newest
 *  of both by their time. 0; ENOMEM */
int refusals_join(struct refusals *sum, const struct refusals *r);

typedef void(refusal_count_h)(enum refusal_step step, uint16_t code,
			      const struct counter_report *count, void *arg);
/** Walk the counts: steps in their order, codes from below */
void refusals_counts(const struct refusals *r, refusal_count_h *h, void *arg);

/** One of the last */
struct refusal_report {
	uint64_t wall; /* [ms] */
	enum refusal_step step;
	uint16_t code;
	const char *realm, *method, *from, *to, *callid, *object, *reason;
	const struct sa *src;
};
typedef void(refusal_h)(const struct refusal_report *x, void *arg);
/** Walk the newest n that match, newest first. step REFUSAL_STEPS: all */
void refusals_last(const struct refusals *r, uint32_t n, enum refusal_step step,
		   refusal_h *h, void *arg);
