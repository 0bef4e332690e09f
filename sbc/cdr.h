/*
 * The record of a call
 *
 * Fields and meanings: acli.md 5.3. The texts are packed when the call is placed
 * and when it is answered; the rest is written at its end.
 */
#pragma once

#include "sbc/media.h"
#include "sbc/prove.h"
#include "sbc/texts.h"

enum cdr_party {
	CDR_NOBODY,
	CDR_INGRESS,
	CDR_EGRESS,
	CDR_SBC,
	CDR_OPERATOR
};

enum cdr_reason {
	CDR_NORMAL,
	CDR_BUSY,
	CDR_NO_ANSWER,
	CDR_CANCELLED,
	CDR_REFUSED,
	CDR_UNAUTHORIZED,
	CDR_NO_ROUTE,
	CDR_NO_CAPACITY,
	CDR_MEDIA_TIMEOUT,
	CDR_SESSION_EXPIRED,
	CDR_TRANSPORT,
	CDR_SHUTDOWN,
	CDR_BY_OPERATOR
};

/** Texts of a record. Those of a side: CDR_CALLID + side, and so on */
enum cdr_text {
	CDR_CALLID,
	CDR_CALLING = CDR_CALLID + 2, /* URI of From */
	CDR_CALLED = CDR_CALLING + 2, /* Request-URI */
	CDR_REMOTE = CDR_CALLED + 2,  /* addresses with ports */
	CDR_LOCAL = CDR_REMOTE + 2,
	CDR_ASSERTED = CDR_LOCAL + 2,
	CDR_DIVERSION,
	CDR_CALLING_NUMBER,
	CDR_CALLED_NUMBER,
	CDR_AUTH_REALM, /* of the credentials that answered, or should have */
	CDR_AUTH_LOOKUP,
	CDR_AUTH_USER,
	CDR_AOR,
	CDR_TEXTS
};

/** One side, as it was met */
struct cdr_side {
	const char *realm, *agent; /* of the plan; agent "" none */
	uint8_t transport;
	bool unrecorded; /* its realm has accounting-enable disabled */
};

/** What a record is; the first two come before the last one of a call */
enum cdr_type {
	CDR_START,
	CDR_INTERIM,
	CDR_LAST /* stop, attempt, event */
};

struct cdr {
	uint64_t id;
	const char *node;  /* of the plan; "": of the machine */
	const char *event; /* method of a request outside calls; NULL: a call */
	uint64_t wall;     /* of setup [ms]; the rest follows from the others */
	uint64_t setup, ring, connect,
		disconnect;      /* monotonic [ms]; 0: never */
	struct cdr_side side[2]; /* by enum side */
	const char *policy,
		*next_hop; /* of the plan; key of the local-policy */
	uint32_t routes_tried, challenges;
	uint8_t by; /* enum credential_by */
	bool authenticated, auth_failed;
	uint16_t status, q850;
	uint8_t ended_by, reason;
	const char *refused_step;
	uint32_t config_version;

	/* the texts, packed: a call lives long, and has a dozen of them */
	struct texts texts;
	uint16_t text[CDR_TEXTS]; /* places in them */
};

/** The call is answered: hold no more room than the texts take, for long */
void cdr_settle(struct cdr *cdr);
/** Free the texts */
void cdr_clear(struct cdr *cdr);

/** Set one text, copied; an empty range clears it. No memory, or more than
 *  64 KiB in all: it stays empty */
void cdr_set(struct cdr *cdr, unsigned which, const struct pl *text);
void cdr_set_str(struct cdr *cdr, unsigned which, const char *text);
void cdr_set_address(struct cdr *cdr, unsigned which, const struct sa *sa);
/** One text, "" if there is none; good until the next is set */
const char *cdr_get(const struct cdr *cdr, unsigned which);

/** Reason of a call that was refused with this code, by the SBC itself or not */
enum cdr_reason cdr_reason_of(uint16_t code, bool ours);

/** Who ended it, and why; the first to say so is right. Q.850 cause 0: that of the
 *  status, or of a normal end */
void cdr_end(struct cdr *cdr, enum cdr_party by, enum cdr_reason reason,
	     uint16_t q850);

/** Q.850 cause that the Reason of a message names (RFC 3326); 0: none. NULL is
 *  fine */
uint16_t cdr_cause(const struct message *msg);

/** A 401 or 407 came. What answered the INVITE stays, whatever becomes of later
 *  requests: in_dialog */
void cdr_challenged(struct cdr *cdr, enum proof result,
		    const struct proof_report *report, bool in_dialog);
/** A request with these credentials had a final answer that is no challenge; a
 *  403 refuses them. The first ones of a call that were accepted count */
void cdr_proved(struct cdr *cdr, const struct proof_report *report,
		uint16_t code);
/** Field auth-source: "none", "policy", ..., "passed", "failed" */
const char *cdr_auth_source(const struct cdr *cdr);

/** Write the record behind, media NULL: it had none; its loss is logged */
void cdr_write(const struct cdr *cdr, const struct media_report *media,
	       struct database *db);

/** What one before the last says beyond the others */
struct cdr_early {
	enum cdr_type type;
	uint16_t status;
	const struct media_report *media;
};
/** Write it. It is kept for cdr_release where `later` is a list */
void cdr_write_early(const struct cdr *cdr, const struct cdr_early *early,
		     struct list *later, struct database *db);

/** Write those that were kept */
void cdr_release(struct list *later, struct database *db);

/** "normal", "ingress", ... */
const char *cdr_reason_name(enum cdr_reason r);
const char *cdr_party_name(enum cdr_party p);
