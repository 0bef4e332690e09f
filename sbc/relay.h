/*
 * One in-dialog request carried across
 *
 * A server transaction on one leg, a client transaction on the other; when it
 * is challenged it proves by the same function as an INVITE. A request of our
 * own (BYE at the end of a call) is a relay without its first half.
 */
#pragma once

#include "sbc/prack.h"
#include "sbc/prove.h"

struct relay;

/** What the call does for its relays */
struct relay_user {
	/** Fill in who asks for credentials on this leg */
	void (*proof)(struct relay *r, struct proof_setup *setup, void *arg);
	/** Edit what crosses, a request or an answer, in `out`, a clone of
	 *  msg. 0; errno: a request is not sent */
	int (*edit)(struct relay *r, struct message *out,
		    const struct message *msg, void *arg);
	/** A 401 or 407 came, and this became of it */
	void (*challenged)(struct relay *r, enum proof result,
			   const struct proof_report *report, void *arg);
	/** It was sent with these and had a final answer, no challenge */
	void (*proved)(struct relay *r, const struct proof_report *report,
		       uint16_t code, void *arg);
	/** A 1xx or final answer of the other side is about to be passed on:
	 *  rewrite its body, or change the code. sdp may be set to the bytes
	 *  that reply->body names: the relay lets go of them */
	void (*answer)(struct relay *r, const struct message *msg,
		       struct leg_reply *reply, struct mbuf **sdp, void *arg);
	/** May be NULL. A failure came that is no challenge: true: request, which
	 *  is carried, was edited, and goes out again */
	bool (*again)(struct relay *r, struct message *request,
		      const struct message *msg, void *arg);
	/** It has an answer that is no challenge, or is over: what was sent
	 *  behind it may follow. May be NULL */
	void (*settled)(struct relay *r, void *arg);
	/** It is over: code of the final answer, 408 none came, 503 transport,
	 *  504 with a 2xx in msg: who asked had been refused before that came */
	void (*done)(struct relay *r, uint16_t code, const struct message *msg,
		     void *arg);
};

struct relay_setup {
	const struct plan *plan;    /* outlives the relay: the call holds it */
	struct list *list;          /* of the call's relays: it is put there */
	struct leg *from, *to;      /* from NULL: a request of our own */
	struct transaction *server; /* handed over; NULL with ours */
	const struct message *request; /* kept; NULL: headers none */
	enum method_id method;
	struct pl extra; /* header lines of ours */
	struct pl body;  /* rewritten SDP; p NULL: that of request */
	struct pl ctype;
	bool trusted; /* peer of `to` gets identities */
	const struct relay_user *user;
	void *arg;
};

/**
 * Send the request on
 *
 * @param rp  Set to the relay, which frees itself after done, and after a 2xx to
 *            re-INVITE when no repetition can come any more; relay_close ends it
 *            earlier. May be NULL
 *
 * @return 0; errno: nothing was sent and done is not called
 */
int relay_start(struct relay **rp, const struct relay_setup *setup);

/** End without a word to user; an unanswered server side gets this code */
void relay_close(struct relay *r, uint16_t code);

/** It belongs to another call now, with the leg that it goes to */
void relay_move(struct relay *r, struct list *list, void *arg);

/** The sender gave his re-INVITE up: CANCEL it on the other side */
void relay_cancel(struct relay *r, const struct pl *reason);

/** Is a request of a peer unanswered still? */
bool relay_is_open(const struct relay *r);
/** Two dialogs have changed their legs: each request stays with its dialog */
void relays_swap(struct list *relays, struct leg *x, struct leg *y);

/** Is a request of this leg's peer with this method unanswered? */
bool relays_wait(const struct list *relays, const struct leg *from,
		 enum method_id method);

struct leg *relay_from(const struct relay *r);
struct leg *relay_to(const struct relay *r);
enum method_id relay_method(const struct relay *r);
/** Is the 1xx reliable that is passed on just now (RFC 3262)? */
bool relay_is_reliable(const struct relay *r);
/** The request that is carried; NULL for one of ours */
const struct message *relay_request(const struct relay *r);
