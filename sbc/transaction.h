/*
 * The four machines of RFC 3261 17 with RFC 6026, and what is left of them
 *
 * Four rule tables, one engine. After the final answer a remainder takes the
 * place of a transaction: hash of the branch, where to, what to do with a
 * repetition, one timer.
 */
#pragma once

#include "policy/message.h"
#include "sbc/methods.h"
#include "sbc/port.h"

struct transactions;
struct transaction;

enum transaction_event {
	PROVISIONAL = 1,
	FINAL,    /* client: also each further 2xx to INVITE */
	TIMEOUT,  /* client: B or F; server: H, no ACK */
	BROKEN,   /* transport error */
	ACKED,    /* server INVITE: the ACK of a failure came */
	CANCELLED /* server INVITE: CANCEL came, its 200 is sent already; msg is
		    * the CANCEL (Reason is copied) */
};
typedef void(transaction_h)(struct transaction *t, enum transaction_event ev,
			    const struct message *msg, void *arg);

struct transactions_setup {
	uint32_t t1, t2; /* init-timer, max-timer [ms] */
	uint32_t expire; /* trans-expire: B, D, F, H, J [ms] */
	uint8_t worker;
	struct methods
		*methods; /* for ports that have none; NULL: not counted */
};
/** 0; ENOMEM */
int transactions_open(struct transactions **allp,
		      const struct transactions_setup *setup);
/** End all, without a word to anybody; not from a handler */
void transactions_close(struct transactions *all);
/** Take over new times: for what begins from now on */
void transactions_change(struct transactions *all,
			 const struct transactions_setup *setup);

struct request_setup {
	struct port *port;  /* a reference is taken */
	struct target to;   /* tls_name only has to live through the call */
	struct mbuf *mb;    /* the request; a reference is taken */
	const char *branch; /* of its top Via */
	enum method_id method;
	uint32_t expire;        /* B or F [ms]; 0: that of the setup */
	struct parties parties; /* who is counted beside the sip-interface */
};

/**
 * Send a request in a client transaction
 *
 * One that is too long for UDP leaves by TCP where its sip-port has one beside it,
 * and by UDP when that fails (sbc/large).
 *
 * @param tp  Set to the transaction; mem_deref or transaction_forget when no
 *            more events are wanted: the machine runs on without its user
 *
 * @return 0; ENOTCONN and the like: nothing was sent, no event follows; ENOMEM
 */
int transaction_send(struct transaction **tp, struct transactions *all,
		     const struct request_setup *setup, transaction_h *h,
		     void *arg);

/** CANCEL the INVITE: at once after a provisional answer, else on the first one
 *  (RFC 3261 9.1). Its own answers are absorbed. FINAL, or TIMEOUT trans-expire
 *  (64*T1) after the CANCEL, comes still; a final answer that comes later than
 *  that, but within once more 64*T1, is FINAL for a user who still listens.
 *  reason: value of Reason or NULL. 0; EALREADY the final answer is there */
int transaction_cancel(struct transaction *t, const struct pl *reason);

/**
 * Open the server transaction of a new request
 *
 * @return 0; EEXIST a merged request (RFC 3261 8.2.2.2): same From tag, Call-ID
 *         and CSeq on another branch of the same sip-port, for requests without
 *         To tag; it has its transaction all the same, to be answered once;
 *         ENOMEM
 */
int transaction_open(struct transaction **tp, struct transactions *all,
		     const struct arrival *from, const struct message *request,
		     transaction_h *h, void *arg);

/** Whose request a server transaction is, once that is known: counted for them
 *  from here on, and that it came */
void transaction_parties(struct transaction *t, const struct parties *parties);

/** Give a server transaction to another user: from the ingress to a leg */
void transaction_handler(struct transaction *t, transaction_h *h, void *arg);

/** Answer: bytes are sent, and kept while they may have to be repeated. A 2xx to
 *  INVITE is repeated by the user himself (sbc/repeat), and not kept. The request
 *  is let go with the final answer. 0; EALREADY a final answer was given; errno
 *  of the port: the machine goes on as after a lost datagram */
int transaction_reply(struct transaction *t, uint16_t code, struct mbuf *bytes);
/** The same with bytes that wire_response makes of the request and the code alone:
 *  they are not kept where the request, when it comes again, can make them again */
int transaction_reply_plain(struct transaction *t, uint16_t code,
			    struct mbuf *bytes);

/** Request of a server transaction, NULL after its final answer; where from */
const struct message *transaction_request(const struct transaction *t);
const struct arrival *transaction_arrival(const struct transaction *t);
/** A server transaction: was nothing answered yet, not even 100? */
bool transaction_is_silent(const struct transaction *t);
/** Where a client transaction sent to, with the connection it used. Of a request
 *  that went by TCP for its length alone: where it would have gone */
const struct target *transaction_target(const struct transaction *t);

/** No more events for its user; the machine runs on. NULL is fine */
void *transaction_forget(struct transaction *t);

/** Tag for an answer without state: the same for each repetition of the request
 *  (RFC 3261 8.2.7) */
enum {
	STABLE_TAG = 17 /* with the ending zero */
};
void transactions_tag(char tag[STABLE_TAG], const struct message *request);

/** What a message was */
enum transactions_verdict {
	MATCHED,     /* a transaction took it */
	NEW_REQUEST, /* begins something: dialog or ingress decide */
	NEW_ACK,     /* ACK of a 2xx: the dialog's */
	NEW_CANCEL,  /* CANCEL without INVITE: answered 481 already */
	STRAY        /* response without transaction: drop and count */
};

/** Has a request come twice within the last 64*T1? Only then the quick look is worth
 *  its price, a twentieth of a call: without it a repetition is found behind the
 *  scan */
bool transactions_repeat(const struct transactions *all);

/** Quick look before the scan: is this a repetition that is answered or absorbed
 *  from start line, top Via and CSeq alone? Anything odd is left to the scan */
bool transactions_match(struct transactions *all, const struct arrival *from,
			struct mbuf *mb);

/** A scanned message. One that the port says to refuse is answered so here */
enum transactions_verdict transactions_take(struct transactions *all,
					    const struct arrival *from,
					    const struct message *msg);

/** A port_refused_h with the transactions as its argument: the client whose
 *  branch came back by ICMP, and that has no answer yet, is BROKEN at once
 *  (RFC 3261 18.4) */
void transactions_refused(const struct sa *dst, const struct pl *quote, int err,
			  void *arg);

/** Count in the rows of its method (sbc/methods): a request that was answered
 *  without a transaction; one that a limit of ours stopped, port NULL: it has
 *  none yet; parties or NULL */
void transactions_answered(struct transactions *all, const struct port *port,
			   const struct parties *parties, uint8_t method,
			   uint16_t code);
void transactions_throttled(struct transactions *all, const struct port *port,
			    const struct parties *parties, uint8_t method,
			    enum method_side side);

/** Transactions that have no final answer yet; remainders of the others */
void transactions_count(const struct transactions *all, uint32_t *alive,
			uint32_t *remainders);
