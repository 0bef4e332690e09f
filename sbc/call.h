/*
 * Two legs and the table that joins them
 *
 * RFC 3261 12-15 as a B2BUA (RFC 7092): leg A with the caller, leg B with the
 * called side. The table in call.c is the call; everything else is in the files
 * above it: hunt finds who takes it, media carries its packets, relay carries
 * requests inside the dialogs.
 */
#pragma once

#include "sbc/account.h"
#include "sbc/early.h"
#include "sbc/sides.h"
#include "sbc/relay.h"
#include "sbc/machine.h"
#include "sbc/refresh.h"
#include "sbc/queue.h"

enum call_state {
	CALL_TRYING,
	CALL_EARLY,
	CALL_HELD, /* answered, and the caller owes a PRACK (RFC 3262 3) */
	CALL_PROVING,
	CALL_CANCELLING,
	CALL_ANSWERED,
	CALL_TALKING,
	CALL_CLOSING,
	CALL_CLOSED,
	CALL_STATES
};

enum call_event {
	CALL_BEGIN = 1,
	HOP_FOUND, /* DNS answered, the INVITE left */
	NO_HOP,
	B_PROGRESS,
	B_ANSWER,
	B_ANSWER_EARLY, /* the caller has a reliable 1xx to acknowledge first */
	B_CHALLENGE,
	B_REFUSE,
	PROOF,
	NO_PROOF,
	MEDIA_BAD, /* the answer cannot be used */
	A_PRACK,
	NO_PRACK, /* for 64*T1 */
	A_CANCEL,
	TIMER_C,
	TIMER_EXPIRES, /* Expires of the INVITE */
	A_ACK,
	A_LOST,
	A_BYE,
	B_BYE,
	B_LOST,
	MEDIA_LOST,
	LIFE_OVER, /* session-max-life-limit */
	OPERATOR,
	BOTH_GONE,
	CALL_EVENTS
};

extern const struct machine call_machine;

struct call;
struct leg;
struct transfer;

/** What calls ask of sbc/transfer, which is made of calls */
struct transfer_user {
	/** A REFER whose turn it is. True: served, t is taken over */
	bool (*refer)(struct call *c, struct leg *leg, struct transaction *t,
		      const struct message *msg);
	/** BYE of a leg. True: the other side waits for the transfer, the call
	 *  does not end yet */
	bool (*bye)(struct call *c, struct leg *leg);
	/** A call that has a part in a transfer ends */
	void (*over)(struct call *c);
	/** One is freed: let go without a word */
	void (*forget)(struct call *c);
};

/** Told of each answer that the caller would get */
typedef void(call_watch_h)(struct call *c, uint16_t code, void *arg);

/** Who goes through all calls a slice at a time (sbc/calls) */
enum call_walker {
	WALK_LOOK, /* who shows or counts them */
	WALK_END,  /* who ends those that are switched off */
	CALL_WALKERS
};

/** What the calls of a worker share (sbc/calls) */
struct call_home {
	struct worker *worker;
	struct leg_tables tables;
	struct table ids;              /* struct call by id */
	struct list calls;             /* in order of their beginning */
	struct le *next[CALL_WALKERS]; /* of calls: go on here; NULL: the end */
	struct list lingering;         /* whom nobody waits for (sbc/parting) */
	const struct relay_user *relay_user; /* sbc/within */
	/* Send a refresh of ours (sbc/own) */
	void (*refresh)(struct call *c, enum side side);
	const struct transfer_user *transfer;
	queue_h *serve[2];                    /* sbc/within, by enum side */
	void (*gone)(struct call_home *home); /* a call was freed */
};

struct call {
	struct le le;
	struct entry by_id;
	struct call_home *home;
	struct worker *worker;
	const struct plan *plan; /* the one it began with, to the end */
	/* Those of legs that came by transfer, and of what came with them */
	const struct plan *lent[PLANS_LENT];
	uint32_t lent_n;
	uint8_t state;
	bool by_id_entered, trying; /* in the table; 100 was sent */
	bool referred;              /* a REFER was carried out */
	uint64_t id;
	struct leg *a, *b;
	struct source source;       /* who calls */
	struct owner owner, called; /* whose call it is */
	struct hunt *hunt;          /* until the answer; has leg b until then */
	struct found found;         /* from then on */
	struct media *media;
	struct seat seat;                  /* inbound session taken */
	const struct surrogate_agent *pbx; /* of the plan; knows of the call */
	struct list early; /* its early dialogs; 64*T1 behind the answer none */
	struct message *held; /* the 2xx of HELD */
	struct list relays;
	struct transfer *transfer; /* that it has a part in, or NULL */
	call_watch_h *watch;
	void *watch_arg;
	struct relay *reinvite; /* the one that is unanswered */
	struct queue queue[2];  /* by the side that asks */
	struct timer ringing; /* timer C; after the answer dialogs that lost */
	struct timer limit;   /* Expires; after the answer the longest life */
	struct refresh timers[2]; /* by side */
	uint32_t byes;            /* of ours, unanswered */
	uint16_t code;            /* why leg A is refused */
	uint16_t reason;          /* SIP code, why BYE is sent */
	struct mbuf *credentials; /* between PROVING and the retry */
	struct cdr cdr;
	struct accounting accounting;
	uint64_t answered; /* [ms, monotonic] */
};

struct call_setup {
	struct call_home *home;
	const struct plan *plan;
	struct transaction *transaction; /* server, handed over */
	const struct message *invite;
	struct arrival from;
	const struct endpoint *at;
	struct source source;
	struct owner owner, called;
	struct route *route; /* taken over */
	struct seat seat;    /* inbound session taken, handed over */
	/* A call for a leg that is there already, and takes side A once the
	 * target has answered (sbc/transfer); transaction is NULL then */
	struct call *lender;
	enum side lent;
	call_watch_h *watch;
	void *watch_arg;
	struct call **placed; /* set before anything happens */
};

/**
 * Place a call: from now on it answers its caller itself
 *
 * @return 0; 400 the INVITE has no usable Contact or SDP; 488; 503 no memory.
 *         On an error nothing was answered and nothing was taken over
 */
uint16_t call_place(const struct call_setup *setup);

/** Does the SBC carry out a REFER of the peer of this side itself? */
bool call_transfers(const struct call *c, enum side side);
/** Exchange a leg of one call for a leg of another. Each call keeps the plans of
 *  both: what is known of a peer points into them */
void call_swap(struct call *c, enum side side, struct call *other,
	       enum side other_side);
/** May call_swap give legs of the one call to the other? */
bool call_may_lend(const struct call *c, const struct call *other);
/** Media between a leg of c, on this side, and a leg of another call. 0; ENOMEM */
int call_media(struct media **mp, struct call *c, enum side side,
	       const struct leg *mine, const struct leg *others);

/** Who is on the two sides; b is the called side's leg of the dialog */
struct sides call_sides(const struct call *c, const struct leg *b);

/** Feed an event; the call may be gone afterwards */
void call_feed(struct call *c, enum call_event ev, const struct message *msg);

/** A PRACK went on: a 2xx that waits for it follows, when the work of now is
 *  done */
void call_prack(struct call *c);

/** Edit the identities of a message inside the call in a clone of it, for the
 *  called side (to_b) or the caller's; b is the called side's leg of its dialog.
 *  0; ENOMEM; EBADMSG */
int call_edit(const struct call *c, const struct leg *b, bool to_b,
	      struct message *out, const struct message *msg);

/** Does it belong to an INVITE or UPDATE, which carry the session timer? Then
 *  edit it for the side it goes to, and note what is agreed. 0; ENOMEM */
int call_timers(struct call *c, bool to_b, struct message *out,
		const struct message *msg);

/** Is it the caller's leg, or one of his early dialogs? */
bool call_is_a(const struct call *c, const struct leg *leg);
/** The other leg of its dialog; NULL while there is none */
struct leg *call_other(const struct leg *leg);
/** The ACK of a 2xx */
void call_ack(struct leg *leg, const struct message *msg);

/** Feed an event from outside: OPERATOR, and shutdown */
void call_end(struct call *c, enum cdr_party by, enum cdr_reason reason);
