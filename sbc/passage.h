/*
 * A request on its way through the steps: what is known of it, and its answer
 *
 * Behaviour.md 1.1. A step returns 0 to go on or the SIP code with which the
 * request ends; what it learns it writes into its own members.
 */
#pragma once

#include "sbc/limits.h"
#include "sbc/surrogates.h"
#include "sbc/transaction.h"
#include "sbc/worker.h"

/** Methods that are served (RFC 3261 20.5) */
#define PASSAGE_ALLOWED                                                        \
	"INVITE, ACK, CANCEL, BYE, OPTIONS, REGISTER, INFO, PRACK, UPDATE, "   \
	"REFER, SUBSCRIBE, NOTIFY, MESSAGE, PUBLISH"

enum {
	PASSAGE_SILENCE = 1 /* a code that is no code: nothing is answered */
};

/** What a trial assumes instead of what is */
struct ingress_wishes {
	const struct plan *plan;      /* NULL: the one that runs */
	const struct owner *owner;    /* NULL: as it is found */
	const struct local_time *now; /* NULL: it is now */
	const struct names *carriers; /* NULL: those of the source */
};

/** Members are grouped by the step that fills them */
struct ingress {
	struct worker *worker;
	const struct plan *plan;
	struct arrival from;
	const struct message *msg;
	struct transaction *transaction;
	/* check-message */
	struct uri ruri;
	char extra[4096]; /* header lines of a refusal */
	/* name-source */
	const struct endpoint *at;
	struct source source;
	struct parties parties; /* for whom it is counted */
	/* take-capacity */
	struct seat seat; /* session taken */
	/* choose-route */
	struct owner owner, called;
	struct route *route;
	struct message *edited; /* msg with the other side's dialogs, or NULL */
	bool ours;              /* for the SBC itself: answered here */
	uint64_t forwards;      /* Max-Forwards */
	const struct ingress_wishes *wishes; /* of a trial, or NULL */
	const char *why; /* it is refused, constant; NULL: for its code */
	char object[64]; /* of the configuration, behind that */
};

/** Where a sip-port stands in the plan; NULL: it is being closed */
const struct endpoint *passage_endpoint(const struct worker *w,
					const struct port *port);

/**
 * Say why a request ends here, and which object of the configuration says so
 *
 * @param in       Request
 * @param code     With which it ends
 * @param why      For people, constant
 * @param element  Its name, or NULL
 * @param key      Its key; not read without element
 *
 * @return code
 */
uint16_t passage_refuse(struct ingress *in, uint16_t code, const char *why,
			const char *element, const char *key);

/** Answer it; extra: header lines with their ends, or "" */
void passage_reply(struct ingress *in, uint16_t code, const char *extra);
