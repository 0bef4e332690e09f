/*
 * What is known of one AoR that registers, and of its agent and registrar
 *
 * The machine that moves it is sbc/surrogate; when it may send, and what is
 * written to the database, its host (sbc/surrogates) decides.
 */
#pragma once

#include "policy/plan.h"
#include "sbc/names.h"
#include "sbc/resolver.h"
#include "sbc/timer.h"
#include "sbc/transaction.h"

enum surrogate_state {
	SUR_DISABLED,
	SUR_WAITING,
	SUR_REGISTERING,
	SUR_REGISTERED,
	SUR_REFRESHING, /* shown as registered */
	SUR_BACKOFF,
	SUR_REFUSED,
	SUR_IDLE,
	SUR_SILENT,
	SUR_LEAVING,
	SUR_GIVEN_UP,
	SUR_STATES
};

enum surrogate_event {
	SUR_ENABLED = 1, /* agent enabled, loaded */
	SUR_DUE,         /* its time has come and the pacer lets it go */
	SUR_OK,          /* 200 with own Contact */
	SUR_CHALLENGED,  /* 401, 407 */
	SUR_REFUSE,      /* 403, challenged again, no password */
	SUR_BRIEF,       /* 423 */
	SUR_OPTION,      /* 420 */
	SUR_ELSEWHERE,   /* 3xx */
	SUR_LOST,        /* timeout, transport error, 480, 408, 500, 503, 504 */
	SUR_NO_TARGET,   /* ... and none is left */
	SUR_FAIL,        /* any other final answer */
	SUR_EXPIRED,     /* the binding is over */
	SUR_PENDING,     /* ... while a retry waits */
	SUR_EXHAUSTED,   /* max-register-attempts */
	SUR_CHANGED,     /* credentials or agent */
	SUR_ANEW,        /* ... and the registrar too */
	SUR_CONTACT,     /* Contact changed */
	SUR_REMOVE_OLD,  /* the former Contact is to be removed */
	SUR_OLD_GONE,    /* that was answered */
	SUR_ACTIVE,      /* PBX active (triggered) */
	SUR_QUIET,       /* PBX silent too long (triggered) */
	SUR_GONE,        /* agent disabled or deleted */
	SUR_SHUTDOWN,
	SUR_ORDER_IN,    /* notify sipd register */
	SUR_ORDER_OUT,   /* notify sipd unregister */
	SUR_TARGET_GONE, /* invalidate-registrations */
	SUR_LEAVE,       /* un-register is to be sent */
	SUR_STAY_OUT,    /* -> disabled, */
	SUR_STAY_IDLE,   /* -> idle, */
	SUR_STAY_SILENT, /* -> silent */
	SUR_EVENTS
};

/** Order of the queue of a registrar (behaviour.md 4.5) */
enum surrogate_class {
	DUE_BINDING,
	DUE_LEAVE,
	DUE_NEW
};

struct registration;
struct registry;
struct flock;
struct line;

/** Whoever keeps the registrations; called on the worker's thread */
struct surrogate_host {
	/** It is due: queue it for its registrar, or take it out again */
	void (*due)(struct registration *r, enum surrogate_class c);
	void (*not_due)(struct registration *r);
	/** One more REGISTER leaves without waiting for a token */
	void (*again)(struct registration *r);
	/** Of a REGISTER: the answer; code 0: none came */
	void (*answered)(struct registration *r, uint16_t code);
	/** No target answered: it waits for the registrar to come back */
	void (*unreachable)(struct registration *r);
	/** Its session-agent went out of service just now */
	void (*agent_down)(struct registration *r);
	/** Write its row */
	void (*store)(struct registration *r);
	/** There is a binding, made or refreshed just now; or none any more */
	void (*bound)(struct registration *r);
	/** The state changed; may free the registration */
	void (*moved)(struct registration *r, enum surrogate_state from);
};

/** What the AoRs of one registrar share */
struct registry {
	struct worker *worker;
	const struct plan *plan;       /* a reference: hop points into it */
	const struct plan *realm_plan; /* another: hop.realm does */
	struct hop hop;
	char *name;                        /* "host|egress-realm" */
	struct resolved known;             /* the last resolution */
	uint64_t healthy[RESOLVE_TARGETS]; /* since [ms]; 0: is not */
	bool unreachable;
};

enum {
	FLOCK_REALMS = 8,
	/* [bytes], with the ending zero: for a user of 10, an IPv4 address, port
	 * and transport. More would make an AoR larger than 384 bytes, which
	 * is a size of the allocator */
	CONTACT_ROOM = 48
};

/** What the AoRs of one agent share */
struct flock {
	const struct surrogate_host *host;
	struct line *line; /* those of it that wait, by the host */
	struct worker *worker;
	const struct surrogate_agent *agent; /* in plan */
	const struct plan *plan;             /* a reference */
	struct registry *registry;           /* NULL: no egress realm */
	char *key;                           /* as item_key_spell writes it */
	char *realms[FLOCK_REALMS]; /* auth-realms that challenged REGISTER */
	uint32_t realms_n;
	uint32_t bound;  /* AoRs with a binding */
	bool enabled;    /* in the present plan, and its state is */
	bool active;     /* triggered: the PBX is */
	bool no_path;    /* 420: Supported: path is left out */
	bool no_contact; /* its 200s hold none: that was logged */
	uint8_t side;    /* which of the two numbers of each AoR counts */
};

enum surrogate_alarm {
	RAISED_FAILED = 1 << 0,
	RAISED_REFUSED = 1 << 1,
	RAISED_GAVE_UP = 1 << 2,
};

struct attempt; /* while a REGISTER is out */

/** Somebody who waits until the state of an AoR changes; zeroed before */
struct surrogate_wait {
	struct le le;
	uint32_t number;
	void (*h)(void *arg); /* in the middle of the change: starts a timer */
	void *arg;
};

/** One AoR. Moments are monotonic [ms]. Its parts stand in the order in which a
 *  refresh needs them: nobody has looked at it for minutes when its timer runs,
 *  and with a million of them it is in no cache. The first two lines of the cache
 *  are all that is needed until it waits for a token */
struct registration {
	struct timer timer; /* next try, or end of the binding; first */
	struct flock *flock;
	uint64_t next; /* moment of the next try; 0: none */
	uint64_t
		expires; /* end of the binding, also when it is over; 0: none */
	bool bound;
	uint8_t state, goal; /* goal: where leaving ends */
	uint8_t later;       /* event that waits for the answer */
	uint8_t alarms;
	uint8_t refusals; /* in a row */
	/* of the queue of the registrar, by the host */
	uint8_t where, class;
	uint64_t since; /* it waits */
	struct registration *older, *newer;
	uint32_t place; /* in the heap of the queue */
	uint32_t nc;    /* of the last answer to a challenge; 0: none */

	/* to send */
	struct attempt *attempt;
	char *contact;      /* URI: in `room` where it fits */
	char *old_contact;  /* the former one is to be removed */
	char *moved;        /* 301: URI that counts; NULL: none */
	uint32_t number[2]; /* of its agent, and of what it becomes; below */
	uint32_t cseq, reserved, min_expires, granted;
	char callid[CALLID_SIZE], tag[TAG_SIZE];
	bool over_refused; /* counted there as refused */
	uint16_t code;     /* last answer; 0: none */
	uint16_t failures; /* in a row */
	uint32_t failing;  /* since, with failures; monotonic [s] */
	char room[CONTACT_ROOM];

	/* to take the answer */
	const char *reason;      /* of the last failure, constant text */
	struct target target;    /* of the binding; its tls_name is the hop's */
	char *route;             /* value of Service-Route, or NULL */
	char *associated;        /* value of P-Associated-URI, or NULL */
	struct associated *uris; /* of the host */
	struct carrier *carrier; /* of the host; NULL: no connection */
	struct agent *over;      /* session-agent that counts it; NULL: none */
};

/** All of it is needed in a moment: its lines are fetched together, not one after
 *  the other where each is needed */
static inline void registration_fetch(const struct registration *r)
{
	for (size_t at = 0; at < sizeof(*r); at += 64)
		__builtin_prefetch((const char *)r + at);
}

/** Its number of the agent. Other numbers are written beside these, a few in each
 *  turn, and count for all of them once the flock changes its side */
static inline uint32_t registration_number(const struct registration *r)
{
	return r->number[r->flock->side];
}

/** Make one: disabled, with a new Call-ID and tag. 0; ENOMEM */
int registration_alloc(struct registration **rp, struct flock *flock,
		       uint32_t number);

/** "user@host" of its AoR; -1 if it does not fit */
int registration_aor(char *buf, size_t size, const struct registration *r);

enum {
	AOR_SIZE = AOR_USER_MAX + 260,
	CONTACT_SIZE = 768,
};

/** The same for the log: "?" if it does not fit */
const char *registration_name(char buf[AOR_SIZE], const struct registration *r);

/** Own Contact URI, as sent from this sip-port. Length; -1 if it does not fit */
int registration_contact(char *buf, size_t size,
			 const struct surrogate_agent *agent, uint32_t number,
			 const struct endpoint *from);

/** Replace a text; without memory the former one stays. src NULL: none */
void registration_text(char **dst, const char *src);

/** It has this Contact from now on; without memory the former one stays */
void registration_set_contact(struct registration *r, const char *uri);

/** The binding is valid, or no more: its agent counts them */
void registration_bind(struct registration *r, bool bound);

/** Port that a URI of this transport means when it names none */
uint16_t registration_port(uint8_t transport);
