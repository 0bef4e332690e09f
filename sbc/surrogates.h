/*
 * All AoRs that register: table, expansion, changes, persistence
 *
 * One entry per AoR, at most 1 KiB with its text. Found by contact, by owner
 * and by associated URI.
 */
#pragma once

#include "policy/identity.h"
#include "sbc/surrogate.h"

struct surrogates;
struct registration;

/** Open with what the database knows; nothing is sent before
 *  surrogates_change. 0; ENOMEM; EIO */
int surrogates_open(struct surrogates **sp, struct worker *w);
/** Orderly end: un-register where it is configured (behaviour.md 4.7), store,
 *  free. `done` is called when nothing is under way any more */
void surrogates_stop(struct surrogates *s, uint32_t timeout_ms,
		     void (*done)(void *arg), void *arg);
/** Free all; nothing is sent */
void surrogates_close(struct surrogates *s);

/**
 * Take over a plan: new AoRs become due, changed ones follow the table, others
 * are not touched
 *
 * @param before  What ran last, also before this start: agents that differ
 *                from it are tried at once; NULL: not known
 *
 * @return 0; ENOMEM
 */
int surrogates_change(struct surrogates *s, const struct plan *now,
		      const struct plan *before);

/** The same while calls go on: a slice in each turn of the loop, beginning now. A
 *  change that is under way is done to its end first. 0; ENOMEM */
int surrogates_change_later(struct surrogates *s, const struct plan *now,
			    const struct plan *before);

/** Is no change under way? */
bool surrogates_is_settled(const struct surrogates *s);

/** What a call needs to know of an AoR */
struct registration_view {
	struct owner owner;
	enum surrogate_state state;
	bool bound;    /* the binding is valid, or in its grace time */
	bool refused;  /* credentials refused: skip routes to the registrar */
	uint32_t left; /* of the binding [s]; 0: it is over */
	const struct target *target; /* of the binding; NULL: none */
	const char *contact;         /* own Contact URI */
	const char *service_route;   /* value of Route; "" none */
	const struct realm *egress;  /* realm of the registrar */
};

/** State of an AoR. 0; ENOENT */
int surrogates_by_owner(const struct surrogates *s, const struct owner *who,
			struct registration_view *out);

/** The AoR itself; NULL: there is none */
struct registration *surrogates_find(const struct surrogates *s,
				     const struct owner *who);

/** Tell h of each change; list_unlink of le ends it. 0; ENOENT */
int surrogates_wait(const struct surrogates *s, const struct owner *who,
		    struct surrogate_wait *wait);

/** For identity_owner */
void surrogates_identity(struct surrogates *s, struct identity_live *out);

/** Has the agent's registrar, in this egress realm, challenged its REGISTER with
 *  this auth-realm; is the target one of its registrar's (row 3a of behaviour.md
 *  6.1)? */
bool surrogates_knows_realm(const struct surrogates *s,
			    const struct surrogate_agent *agent,
			    const char *egress, const struct pl *auth_realm);
bool surrogates_is_registrar(const struct surrogates *s,
			     const struct surrogate_agent *agent,
			     const struct realm *egress,
			     const struct sa *target);

/** Is this the address that the Service-Route of the AoR names first, and egress
 *  the realm of its registration? Calls may come from there (behaviour.md 2.1).
 *  A host name is known as the session-agent of that name, or not at all */
bool surrogates_is_edge(const struct surrogates *s, const struct owner *who,
			const struct realm *egress, const struct sa *src);

/** The PBX of this agent did something (triggered mode) */
void surrogates_active(struct surrogates *s,
		       const struct surrogate_agent *agent);
/** Is an agent of the plan in triggered mode at all? */
bool surrogates_any_triggered(const struct surrogates *s);
/** A call from or to the PBX begins, +1, or is over, -1: while there is one the
 *  PBX is not silent. s may be NULL, the agent one of an older plan */
void surrogates_call(struct surrogates *s, const struct surrogate_agent *agent,
		     int change);
/** Is the PBX silent (triggered mode): code to answer with; 0: not silent;
 *  UINT16_MAX: dropresponse */
uint16_t surrogates_silent(const struct surrogates *s,
			   const struct surrogate_agent *agent);

/** notify sipd register, unregister; number UINT32_MAX: all of the agent */
int surrogates_notify(struct surrogates *s, const struct surrogate_agent *agent,
		      uint32_t number, bool leave);

/** Credentials of single AoRs of the agent were imported: who was refused, gave
 *  up or backs off is due at once; bindings are not touched. 0; ENOENT */
int surrogates_credentials(struct surrogates *s,
			   const struct surrogate_agent *agent);

/** The session-agent went out of service, or only this address of it (addr not
 *  NULL): with invalidate-registrations the bindings there are due at once
 *  (behaviour.md 4.6). s and agent may be NULL */
void surrogates_target_gone(struct surrogates *s,
			    const struct session_agent *agent,
			    const struct sa *addr);

/** A connection was lost: those that registered over it are due when it is
 *  open again (behaviour.md 4.4) */
void surrogates_lost(struct surrogates *s, uint64_t conn);

/** One line of show surrogate-agents */
struct registration_report {
	struct owner owner;
	char aor[320];
	const char *realm;
	char registrar[64]; /* target in use */
	enum surrogate_state state;
	uint32_t expires; /* left of the binding [s]; 0: none */
	uint16_t last;    /* last answer; 0: none */
	uint32_t next;    /* until the next try [s]; UINT32_MAX: none */
	uint32_t tries;   /* failures in a row */
	uint32_t failing; /* for so long [s]; UINT32_MAX: it does not */
	const char *contact, *callid, *reason;
	uint32_t cseq, granted;
	uint8_t transport;  /* of the target */
	const char *route;  /* Service-Route; "" none */
	const char *egress; /* realm of the registrar */
	char remote[64];    /* the same as registrar, without its port */
};
typedef void(registration_h)(const struct registration_report *r, void *arg);

/** Walk a slice in the order of configuration; from 0, returns where to go on,
 *  0 at the end */
size_t surrogates_walk(const struct surrogates *s, size_t from, size_t limit,
		       registration_h *h, void *arg);
/** Walk their registrars */
struct office_report;
void surrogates_registrars(const struct surrogates *s,
			   void (*h)(const struct office_report *r, void *arg),
			   void *arg);
/** How many AoRs are in each state */
void surrogates_count(const struct surrogates *s, uint32_t counts[SUR_STATES]);
