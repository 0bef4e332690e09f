/*
 * What a record says of a request, and when there is one more
 */
#pragma once

#include "sbc/cdr.h"
#include "sbc/hunt.h"

/** A request as it came, and whose it is */
struct account_request {
	const struct message *msg;
	const struct plan *plan;
	const struct source *source;
	const struct arrival *from;
	const struct owner *owner, *called;
};

/** What the record says of it. Times and config-version, too */
void account_begin(struct cdr *cdr, const struct account_request *request);

/** The hop that it was sent to last */
void account_placed(struct cdr *cdr, const struct hunt *hunt);

/** Does generate-event name the method? */
bool account_has_event(const struct plan *plan, const struct pl *method);

/** A request that the SBC itself refused in this step: an attempt, or an event */
void account_refused(const struct account_request *request, const char *step,
		     uint16_t code, struct database *db);

/** When a record before the last may be written (configuration.md 2.17) */
enum account_moment {
	ACCOUNT_SENT = 1,      /* the INVITE left: start */
	ACCOUNT_RANG = 2,      /* 1xx: interim */
	ACCOUNT_FAILED = 4,    /* of one route: interim */
	ACCOUNT_ANSWERED = 8,  /* start */
	ACCOUNT_OK = 16,       /* the same: interim */
	ACCOUNT_REINVITED = 32 /* 2xx of a re-INVITE: interim */
};

/** Records of one call before its last */
struct accounting {
	struct cdr *cdr;
	struct media **media; /* of the call */
	struct database *db;
	struct timer timer;
	struct list later; /* trans-at-close: kept until the end */
	uint32_t period;   /* [s]; 0: none */
	uint8_t moments;   /* that have a record */
	bool at_close, started, due;
};

/** Zeroed by the caller; what account-config says of it */
void accounting_open(struct accounting *a, struct cdr *cdr,
		     struct media **media, const struct plan *plan,
		     struct database *db);

/** One of these came, with this status */
void accounting_tell(struct accounting *a, enum account_moment moment,
		     uint16_t status);

static inline void accounting_moment(struct accounting *a,
				     enum account_moment moment,
				     uint16_t status)
{
	if (a->moments & moment)
		accounting_tell(a, moment, status);
}

/** The call is answered: intermediate-period begins */
void accounting_answered(struct accounting *a);

/** No more; write those that were kept. Ahead of the last record */
void accounting_close(struct accounting *a);
