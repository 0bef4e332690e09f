/*
 * A challenge in, headers out
 *
 * Looks at each challenge by itself: choose (policy/credential), fetch the row,
 * take the strongest algorithm per realm, compute. Used alike by calls, relays,
 * pairs, pings and registrations, which differ in the setup only. The verdict
 * may come later (plug-ins); today it always comes at once.
 */
#pragma once

#include "policy/credential.h"
#include "sbc/nonces.h"
#include "sbc/worker.h"

enum proof {
	PROOF_READY,   /* headers are there */
	PROOF_WAIT,    /* the handler will be called */
	PROOF_NOBODY,  /* row 5: the challenge goes on */
	PROOF_MISSING, /* rows 2c, 3c, 1b: fails as unauthorized */
	PROOF_SPENT    /* refused, or too many tries: final */
};

enum {
	PROOF_REALMS = 4,
	PROOF_SENDS = 6
};

struct answered;

/** What was tried for one request so far; zeroed for each new request. Lives
 *  with the leg or registration */
struct tries {
	struct {
		char *realm; /* auth-realm answered; owned */
		char *nonce; /* last one answered */
		char *user;
		char cnonce[33];
		uint32_t nc;
		uint8_t by;  /* enum credential_by */
		bool cached; /* answered out of the nonce cache */
		bool stale_used;
		bool proxy;
		struct answered *challenge; /* NULL: out of the cache */
	} of[PROOF_REALMS];
	uint32_t n;
	uint32_t sends;
};

/** Give back what was tried, for the next request */
void tries_reset(struct tries *t);

struct proof_setup {
	struct worker *worker;
	const struct plan *plan; /* that the query is of; NULL: the worker's */
	/** Whose entries count instead of those that run, and which is that of
	 *  the query too: of a trial only. NULL: those that run */
	const struct plan *trial;
	struct credential_query query;   /* all but auth_realm */
	const struct target *target;     /* that challenged */
	struct pl method, uri, body;     /* exactly as it will be sent */
	const struct message *challenge; /* 401 or 407; NULL with prove_ahead */
	struct pl callid;                /* for the log */
	bool in_dialog; /* prove_ahead heeds in-dialog-methods */
	/** Where query.to_registrar is not set: has the owner's registrar, in
	 *  this egress realm, challenged its REGISTERs with the auth-realm (row
	 *  3a)? NULL: it has not */
	bool (*knows)(const struct worker *w, const struct credential_query *q,
		      const struct pl *auth_realm);
};

/** For the call record and the log; ranges live as long as tries */
struct proof_report {
	enum credential_by by;
	const char *row;
	char auth_realm[128], lookup[128], user[128];
};

typedef void(proof_h)(enum proof result, void *arg);

/**
 * Answer a 401 or 407
 *
 * Counts, raises auth-lookup-missing and auth-credentials-refused.
 *
 * @param setup    Who asks
 * @param tries    What was tried; updated
 * @param headers  Header lines are appended when PROOF_READY: the answers of all
 *                 realms so far
 * @param report   Set when an entry was chosen or missed; or NULL
 * @param h        Called later after PROOF_WAIT
 */
enum proof prove_challenge(const struct proof_setup *setup, struct tries *tries,
			   struct mbuf *headers, struct proof_report *report,
			   proof_h *h, void *arg);

/** Credentials ahead, out of cached nonces; nothing is appended when there are
 *  none. 0; ENOMEM */
int prove_ahead(const struct proof_setup *setup, struct tries *tries,
		struct mbuf *headers);

/** Take the sender's own credentials out of `out`, the clone that is sent, where
 *  ours for the same auth-realm go along (behaviour.md 3.1) */
void prove_replace(const struct tries *tries, struct message *out);

/** What the request carries, or what was refused: the first answer of tries.
 *  false: none, and report is not touched */
bool prove_report(const struct proof_setup *setup, const struct tries *tries,
		  struct proof_report *report);

/** A final answer that is no challenge came: what was answered is accepted and
 *  its nonce remembered; a 403 drops it. Reads Authentication-Info */
void prove_accepted(const struct proof_setup *setup, struct tries *tries,
		    const struct message *answer);

/** What test-credentials tells */
struct proof_explanation {
	struct credential_choice choice; /* row: as in behaviour.md 6.1 */
	bool found;                      /* there are credentials */
	bool any;                        /* of an entry for every auth-realm */
	char user[256];                  /* "": none */
};

/** A realm that a 401 or 407 asks for: its strongest challenge that can be
 *  answered */
struct proof_realm {
	char auth_realm[256];
	const char *algorithm; /* "SHA-256" */
	bool proxy;
};

/** The realms of a challenge in their order, at most n; how many there are. 0: none
 *  can be answered, as when no credentials exist */
uint32_t prove_realms(const struct message *challenge, struct proof_realm *out,
		      uint32_t n);

/** Would this request be answered? The choice and its reason without a
 *  challenge */
void prove_explain(const struct proof_setup *setup, const struct pl *auth_realm,
		   struct proof_explanation *out);
