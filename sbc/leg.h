/*
 * One side of a call: dialog, INVITE, ACK, BYE
 *
 * A leg knows RFC 3261 12-15 for one peer and nothing of the other side: its
 * identifiers, its sequence numbers, where its requests go, the 2xx that waits
 * for an ACK and the ACK that may have to be sent again. What crosses from leg
 * to leg is decided in sbc/call and sbc/relay.
 *
 * A leg has one dialog. Where an INVITE makes several (a fork, 12.1), each
 * further one is a twin of the leg (sbc/early).
 */
#pragma once

#include "store/hash.h"
#include "sbc/names.h"
#include "sbc/repeat.h"
#include "sbc/texts.h"
#include "sbc/transaction.h"
#include "sbc/worker.h"
#include "sbc/wire.h"
#include "sbc/resolver.h"

struct leg;

struct early;
struct prack;

/** What the legs of a worker are found by */
struct leg_tables {
	struct table tags;    /* struct leg by_tag */
	struct table callids; /* ... by_callid; several may have one */
};

enum leg_event {
	LEG_TRYING = 1, /* 100 */
	LEG_PROGRESS,   /* 101-199 */
	/* first 2xx: the user of an INVITE calls leg_choose; of another
	 * request the only one */
	LEG_ANSWER,
	LEG_OTHER,  /* 2xx of another branch than the one that won */
	LEG_REFUSE, /* final failure; msg NULL: none came, see leg->code */
	LEG_CANCEL, /* the caller gave up; msg is the CANCEL */
	LEG_ACK,    /* the ACK of our 2xx; msg is the ACK */
	LEG_LOST,   /* no ACK of our 2xx within 64*T1 */
};

/** The handler may close the leg; it is the last thing the leg does */
typedef void(leg_h)(struct leg *leg, enum leg_event ev,
		    const struct message *msg, void *arg);

/** Texts of a dialog */
enum leg_text {
	LEG_CALLID,
	LEG_KEPT,  /* dialog-transparency: tag on this side's wire, instead of
		     * ours; none: ours */
	LEG_LOCAL, /* header values, tags in them once known */
	LEG_REMOTE,
	LEG_TARGET,      /* remote target: URI of the peer's Contact */
	LEG_RURI,        /* of the INVITE that is unanswered: a loop has it */
	LEG_ROUTES,      /* route set as the value of Route */
	LEG_CONTACT,     /* URI of our Contact */
	LEG_BRANCH,      /* of our ACK, while it may have to be sent again */
	LEG_CREDENTIALS, /* lines of the INVITE that got the 2xx */
	LEG_TEXTS
};

/** The address of a remote target is known, or it is known that it has none */
typedef void(leg_aimed_h)(void *arg);

struct leg {
	struct leg *next; /* of losers */
	struct worker *worker;
	struct leg_tables *tables;      /* of all calls; hold these two */
	struct entry by_tag, by_callid; /* a hash of 0: not in the table */
	char tag[TAG_SIZE];             /* ours */
	bool uac, confirmed, closed;
	bool standin;   /* it has no peer: sbc/transfer puts another one here */
	bool heard;     /* remote_cseq is set */
	bool acked;     /* the 2xx of ack_cseq; when it comes again, again */
	bool ack_waits; /* 2xx with an offer: ACK comes with answer */
	struct parties parties; /* for whom its requests are counted */
	uint16_t code;          /* of LEG_REFUSE without message: 408, 503 */
	uint8_t method;         /* UAC: of the request that was placed */
	bool orphan_open; /* it has no final answer: no other INVITE may go */
	struct early *early;     /* whose leg it is (sbc/early), or NULL */
	struct prack *prack;     /* reliable 1xx that it sends (sbc/prack) */
	const struct plan *plan; /* a reference: the leg may outlive its call */
	const struct realm *realm; /* of plan */
	struct port *port;
	struct target to;    /* where requests of the dialog go */
	struct target first; /* where the INVITE came from or went to */
	struct leg_aim *aim; /* while a remote target is only a name */
	struct texts texts;
	uint16_t text[LEG_TEXTS]; /* places in them */
	uint16_t tag_at, tag_l;   /* remote tag within LEG_REMOTE; l 0: none */
	uint32_t cseq;            /* last one we used */
	uint32_t *most; /* ... in any dialog of the INVITE; NULL: it has one */
	uint32_t remote_cseq;       /* last one the peer used */
	uint32_t invite_cseq;       /* of our last INVITE */
	struct transaction *asked;  /* INVITE of the peer that is unanswered */
	struct transaction *invite; /* INVITE of ours that began the dialog, or
				     * the request that hunt placed instead */
	struct transaction *orphan; /* re-INVITE of ours that nobody relays */
	struct repeat *answer;      /* our 2xx until its ACK */
	struct mbuf *ack;           /* our ACK, while it may be sent again and
				     * has a body */
	uint32_t ack_cseq;          /* ... of this INVITE */
	uint32_t answer_cseq;       /* of the INVITE that our 2xx answers */
	struct timer settle; /* 64*T1 behind the ACK: nothing is repeated */
	struct leg *losers;  /* twins: other 2xx of the INVITE, hung up */
	uint32_t expire;     /* [ms] */
	leg_h *h;
	void *arg;
};

struct leg_setup {
	struct worker *worker;
	struct leg_tables *tables;
	const struct plan *plan;
	const struct realm *realm; /* of plan */
	struct parties parties;    /* for whom its requests are counted */
	struct port *port;
	uint32_t expire; /* [ms] */
	/* leg_open: Call-ID, From tag and CSeq before the first request of ours;
	 * empty: names of our own, from 1 */
	struct pl callid, tag;
	uint32_t cseq;
	leg_h *h;
	void *arg;
};

/** One text, good until one is set; NULL: there is none */
static inline const char *leg_text(const struct leg *leg, enum leg_text which)
{
	return texts_get(&leg->texts, leg->text[which]);
}
static inline struct pl leg_range(const struct leg *leg, enum leg_text which)
{
	return range_of(leg_text(leg, which));
}

/** Our tag as this side knows it */
static inline const char *leg_tag(const struct leg *leg)
{
	const char *kept = leg_text(leg, LEG_KEPT);

	return kept ? kept : leg->tag;
}
/** The peer's; empty: there is no dialog */
static inline struct pl leg_remote_tag(const struct leg *leg)
{
	struct pl tag = { "", leg->tag_l };

	if (leg->tag_l)
		tag.p = leg_text(leg, LEG_REMOTE) + leg->tag_at;
	return tag;
}

/** Are they dialogs of one INVITE, or the same? */
bool leg_is_twin(const struct leg *leg, const struct leg *other);

/** The call is answered: its legs live long. No more room than the texts take */
void leg_pack(struct leg *leg);

/** dialog-transparency: on the caller's side the dialog has the tag that the called
 *  side gave it. 0; ENOMEM */
int leg_keep(struct leg *leg, const struct pl *tag);

/**
 * Is the remote target a name that is being looked up? Then requests of the
 * dialog wait
 *
 * @param h    Told once when it is over, unless the leg ends before; instead of
 *             who was told before. NULL: nobody
 * @param arg  Its argument
 */
bool leg_waits(struct leg *leg, leg_aimed_h *h, void *arg);

/** Leg whose own tag this is; NULL: there is none */
struct leg *leg_by_tag(const struct leg_tables *tables, const struct pl *tag);

/** The names of a dialog in a request */
struct leg_names {
	const struct arrival *from;             /* or NULL */
	const struct realm *realm;              /* or NULL */
	const struct pl *callid, *ours, *peers; /* Call-ID, tags */
};

/** Leg of a dialog that kept its names (dialog-transparency), one of them if it has
 *  several; NULL: there is none */
struct leg *leg_kept(const struct leg_tables *tables,
		     const struct leg_names *names);

/**
 * Make the caller's leg of an INVITE
 *
 * @param legp    Set to the leg; leg_close says good-bye, mem_deref lets go
 * @param setup   Surroundings
 * @param from    Where the INVITE came from
 * @param invite  The INVITE
 * @param t       Its server transaction, handed over; its handler is
 *                leg_transaction with the leg
 *
 * @return 0; ENOMEM; EBADMSG no usable Contact
 *
 * Source: RFC 3261 12.1.1
 */
int leg_accept(struct leg **legp, const struct leg_setup *setup,
	       const struct arrival *from, const struct message *invite);

/** Handler to open the server transaction of the caller's INVITE with */
void leg_transaction(struct transaction *t, enum transaction_event ev,
		     const struct message *msg, void *arg);

/** Make the called side's leg: Call-ID and From tag of its own; nothing is sent */
int leg_open(struct leg **legp, const struct leg_setup *setup);

/** What an INVITE of ours says, or another request outside a dialog; all ranges
 *  are the caller's */
struct leg_invite {
	enum method_id method; /* 0: INVITE */
	struct target to;
	struct pl ruri, from, to_value, contact, routes;
	const struct message *src;
	struct header_set without;
	struct pl extra;       /* header lines */
	struct pl credentials; /* more of them */
	struct pl body, ctype;
	const struct sa *origin; /* wire_origin */
	uint8_t max_forwards;
	uint32_t expire; /* timer B or F [ms] */
	bool same_cseq; /* another target for the same request (RFC 3263 4.3) */
};

/**
 * Send the INVITE; again with the same leg and credentials: the next CSeq and a
 * new branch (RFC 3261 22.2)
 *
 * Another request than INVITE makes no dialog by itself: its maker confirms it,
 * where the method says so.
 *
 * @return 0; errno of the transport: no event follows
 */
int leg_invite(struct leg *leg, const struct leg_invite *invite);

/** What an answer on the caller's leg says */
struct leg_reply {
	uint16_t code;
	struct pl reason;
	const char *tag; /* of ours; NULL: that of the leg */
	const struct message *src;
	struct header_set without;
	struct pl extra;
	struct pl body, ctype;
	struct mbuf **keep; /* set to the bytes sent, for who repeats them */
};

/** The body of an answer that crosses, out of `copy`, the edited clone of what
 *  came: its SDP became `sdp`, or is left out when that is empty. Sets body and
 *  ctype */
void leg_reply_body(struct leg_reply *reply, struct message *copy,
		    const struct pl *sdp);

/** Answer the INVITE under way. A 2xx is repeated until its ACK. 0; errno */
int leg_reply(struct leg *leg, const struct leg_reply *reply);

/** Send the ACK of the 2xx (RFC 3261 13.2.2.4), with the INVITE's credentials;
 *  body is the SDP answer to an offer in the 2xx, or empty */
int leg_ack(struct leg *leg, const struct pl *body, const struct pl *ctype);

/** A 2xx was repeated: the same ACK once more (RFC 3261 13.2.2.4) */
void leg_ack_again(struct leg *leg, const struct message *msg);

/** Give an INVITE up: CANCEL as RFC 3261 9.1 allows */
void leg_cancel(struct leg *leg, const struct pl *reason);

/**
 * Take over the early dialog of a 1xx with To tag: remote tag, route set, remote
 * target
 *
 * @return 0; ENOMEM
 *
 * Source: RFC 3261 12.1.2
 */
int leg_learn(struct leg *leg, const struct message *msg);

/** Take over the dialog of the 2xx that wins (RFC 3261 13.2.2.4). 0; ENOMEM */
int leg_choose(struct leg *leg, const struct message *msg);

/** Is there a dialog, so that a request could be sent? */
bool leg_has_dialog(const struct leg *leg);

/**
 * Make another dialog of the same INVITE: it has the Call-ID of the leg, and a
 * tag of ours where the INVITE came in; where it went out it has that of the leg
 *
 * @param twinp  Set to the twin, which has no handler
 * @param leg    Leg of the INVITE
 *
 * @return 0; ENOMEM
 */
int leg_twin(struct leg **twinp, struct leg *leg);

/** Change dialogs with a twin */
void leg_swap(struct leg *leg, struct leg *twin);

/** The dialog of the caller's leg is dead: it gets a new tag. 0; ENOMEM */
int leg_renew(struct leg *leg);

/** Make the dialog of the answer to a request of ours other than INVITE, which
 *  went to `went` (RFC 6665 4.1.2.1). 0; ENOMEM; EBADMSG no usable Contact */
int leg_confirm(struct leg *leg, const struct message *answer,
		const struct target *went);

/** Make the dialog of a request that came before the answer to ours, or from
 *  another branch of a fork (RFC 6665 4.4.1). 0; ENOMEM; EBADMSG */
int leg_confirm_by(struct leg *leg, const struct arrival *from,
		   const struct message *request);

/** A leg for one more dialog of the request that this leg sent: the same Call-ID,
 *  tag and CSeq on the wire. It is not found by its tag. 0; ENOMEM */
int leg_fork(struct leg **legp, struct leg *leg);

/** A request of ours inside the dialog */
struct leg_request {
	enum method_id method;
	struct pl method_name;
	const struct message *src;
	struct header_set without;
	struct pl extra;       /* header lines */
	struct pl credentials; /* more of them; ACK of an INVITE repeats them */
	struct pl body, ctype;
	bool keep_body;
	const struct sa *origin; /* wire_origin */
	uint8_t max_forwards;
};
/** Send it with the next CSeq. 0; errno */
int leg_request(struct transaction **tp, struct leg *leg,
		const struct leg_request *request, transaction_h *h, void *arg);

/** May this request of the peer be served (RFC 3261 12.2.2)? 0; 500 CSeq too
 *  low; 481 not of this dialog. Takes over its CSeq and, where the method says
 *  so, the new remote target */
uint16_t leg_admit(struct leg *leg, const struct arrival *from,
		   const struct message *request);
/** Take over Contact of a target refresh request or its 2xx (12.2.1.2) */
void leg_refresh_target(struct leg *leg, const struct message *msg);

/** Give the leg its Contact, when it has none: our sip-port, with the user part
 *  of the other side's Contact in msg (behaviour.md 5.2, 5.3) */
void leg_contact(struct leg *leg, const struct message *msg);

/** Did it come in by the realm of the dialog? */
bool leg_is_at(const struct leg *leg, const struct arrival *from);

/** Take over a re-INVITE whose maker is gone: unanswered (open) it is cancelled, and
 *  a 2xx is acknowledged still, while the leg lives */
void leg_adopt(struct leg *leg, struct transaction *t, bool open);

/** Say good-bye to the handler: no more events; timers and 2xx stop */
void leg_close(struct leg *leg);

/**
 * Its call is over, or does without it: nobody finds it any more. It goes on to
 * ACK repetitions of its 2xx
 *
 * @param leg  Leg that sent an INVITE
 * @param h    Told of a 2xx that comes still: LEG_ANSWER, LEG_OTHER
 * @param arg  Its argument
 *
 * @return Time in which one may come [ms]: 64*T1 behind the 2xx, or twice that
 *         when the INVITE has no final answer yet (RFC 3261 9.1, 13.2.2.4)
 */
uint64_t leg_linger(struct leg *leg, leg_h *h, void *arg);

/** Make the dialog of a 2xx that nobody wants (RFC 3261 13.2.2.4), in a leg of its
 *  own. 0; ENOMEM */
int leg_loser(struct leg **legp, struct leg *leg, const struct message *answer);
