/*
 * Hops and targets tried in order until one takes the request
 *
 * For one call: skips what is out of service, resolves, rewrites, offers media,
 * opens the called side's leg and sends. Each target is a new branch of one
 * leg's INVITE (RFC 3263 4.3), each hop a new leg (behaviour.md 2.4). It decides
 * nothing about the answers but whether the search goes on.
 *
 * A request other than INVITE goes the same way, without session and media, and
 * within the time in which its sender waits for the answer.
 */
#pragma once

#include "policy/hide.h"
#include "policy/rewrite.h"
#include "sbc/leg.h"
#include "sbc/limits.h"
#include "sbc/media.h"
#include "sbc/prove.h"
#include "sbc/redirect.h"
#include "sbc/surrogates.h"

enum hunt_verdict {
	HUNT_SENT,  /* an INVITE is under way */
	HUNT_WAITS, /* for DNS, a registration: the handler will be called */
	HUNT_EMPTY  /* nothing is left: hunt->code says what the caller gets */
};

enum {
	HUNT_SILENCE = 1 /* hunt->code: triggered-oos-response dropresponse */
};

/** Why a search that nobody answered came to nothing */
enum hunt_lack {
	LACK_NONE,  /* hunt->code says it */
	LACK_ROUTE, /* no name, nobody in service */
	LACK_ROOM,  /* a limit, ports, memory */
	LACK_WAY,   /* nothing could be sent there */
	LACK_ANSWER,
	LACK_LEAVE /* the registrar refuses the owner */
};

typedef void(hunt_h)(enum hunt_verdict v, void *arg);

/** Append header lines of the user's own for a request that leaves by this
 *  sip-port. 0; ENOMEM; EBADMSG the request cannot be sent */
typedef int(hunt_lines_h)(struct mbuf *mb, const struct port *port, void *arg);

/** Edit the request for the present hop, in its clone. 0; errno */
typedef int(hunt_edit_h)(struct message *out, const struct realm *egress,
			 void *arg);

/** A hop that was tried together with others is given up: somebody else answered,
 *  or the search ends. The leg may be cancelled; it is let go of afterwards */
typedef void(hunt_drop_h)(struct leg *leg, const struct pl *reason, void *arg);

/** One hop that is tried: its targets, and the leg that calls there */
struct branch {
	struct le le; /* of hunt->more */
	struct hunt *hunt;
	bool live;  /* under way: a name is resolved, or an INVITE unanswered */
	bool bound; /* at the target of the registration, not by DNS */
	bool unbound; /* that failed; it is met */
	struct target met;
	struct hop hop;
	struct resolved targets;
	uint32_t target;
	struct resolve *resolving;
	struct agent *agent; /* session-agent of the hop */
	struct seat seat;    /* outbound session taken */
	bool to_trunk, to_registrar;
	struct message *out; /* what leaves, less dialog headers */
	struct mbuf scratch, *offer, *lines;
	char *contact; /* rw.contact with its transport, where that is not UDP */
	char *ruri;    /* rw.ruri as the session-agent wants it, or NULL */
	struct rewritten rw;
	struct header_set without;
	struct tries tries;
	struct leg *leg; /* the called side's; the call takes it */
	uint64_t sent;   /* [ms] */
};

enum {
	/* Plans of a call beside its own: of one that was transferred again and
	 * again while plans changed. One more than that is refused */
	PLANS_LENT = 3
};

struct hunt {
	struct worker *worker;
	const struct plan *plan;
	struct leg_tables *tables;
	struct message *invite; /* the request as received; a reference */
	struct arrival from;
	struct source source;
	const struct endpoint *at; /* that received it */
	struct owner owner, called;
	struct media *media; /* of the call; not ours; NULL: no call */
	uint64_t deadline;   /* no call: nobody waits beyond it [ms] */
	bool has_offer;
	struct route *route;
	uint32_t next;  /* hop to be tried next */
	uint32_t tried; /* hops sent to */
	struct redirects redirects;
	uint16_t codes
		[ROUTE_HOPS]; /* how hops ended, for sip-recursion-policy */
	uint32_t codes_n;
	struct branch first;
	struct list more;      /* struct branch: tried together with it */
	struct branch *now;    /* the one that the last event is about */
	struct timer patience; /* waiting for the owner's registration */
	uint64_t patient;      /* until then [ms] */
	struct surrogate_wait wait;
	uint16_t code; /* what the caller gets when it ends here */
	uint8_t lack;  /* enum hunt_lack, behind a code made here */
	uint32_t retry_after;
	struct pl phrase;     /* of code, where it is not the usual one */
	struct message *best; /* answer behind code, or NULL: made here */
	uint64_t session_id;
	leg_h *leg_h;
	hunt_drop_h *drop;   /* NULL: one hop at a time */
	hunt_lines_h *lines; /* or NULL */
	hunt_edit_h *edit;   /* or NULL */
	hunt_h *h;
	void *arg;
};

/** Zeroed by the caller and filled: worker .. has_offer, route, leg_h, h, arg;
 *  deadline is computed here.
 *  invite and route are taken over */
enum hunt_verdict hunt_start(struct hunt *hunt);

/** A final failure came (code; msg NULL: 408 or 503 made here): note it, and go
 *  on with the next target or hop, or end */
enum hunt_verdict hunt_failed(struct hunt *hunt, uint16_t code,
			      const struct message *msg);

/** The event of this leg comes next: its branch becomes the present one. False:
 *  it is none of ours any more */
bool hunt_turn(struct hunt *hunt, const struct leg *leg);
/** The branch whose leg this is, or a twin of it; without one, or NULL: the present
 *  branch */
const struct branch *hunt_branch(const struct hunt *hunt,
				 const struct leg *leg);

/** Are others tried beside the present one? */
bool hunt_is_forked(const struct hunt *hunt);

/** Only one hop goes on, the present one or, where that was not sent to, another:
 *  the others are dropped, with this reason or NULL */
void hunt_keep_one(struct hunt *hunt, const struct pl *reason);

/** End the search: this code is for the caller, whatever came before */
void hunt_end(struct hunt *hunt, uint16_t code, const struct message *msg);

/** The request ends with this code: note it, where the SBC itself refuses. A
 *  challenge that nobody could answer counts as such */
void hunt_refused(const struct hunt *hunt, uint16_t code);

/** Send the request of the present hop once more, edited meanwhile: the next
 *  CSeq. 0; errno */
int hunt_repeat(struct hunt *hunt);
/** Send again with credentials (RFC 3261 22.2). 0; errno */
int hunt_again(struct hunt *hunt, struct mbuf *credentials);

/** Who asks for credentials at the present hop */
void hunt_proof(const struct hunt *hunt, struct proof_setup *setup,
		const struct message *challenge);

/** What decides about credentials at a hop, but method, auth-realm and
 *  to_registrar; `called` is the AoR of a call to a PBX */
void hunt_query(struct credential_query *q, const struct hop *hop,
		const struct owner *owner, const struct owner *called,
		const struct session_agent *ingress);

/** Fill in what row 3a of behaviour.md 6.1 asks, once the query has its owner
 *  and egress realm: the owner's registrar, by target, or by each auth-realm that
 *  its REGISTERs were challenged with */
void hunt_registrar(struct proof_setup *setup, const struct worker *w,
		    const struct realm *egress, const struct sa *target);

/**
 * Request-URI with which a request would leave by a hop, for a trial: nothing is
 * sent, and DNS only asked for what it knows already
 *
 * @param uri   Set to it
 * @param size  Of uri
 * @param hunt  Zeroed but for worker, plan, invite, from.src, source, at, owner
 *              and called; all stay the caller's
 * @param hop   Hop of that plan
 *
 * @return 0; ENOENT it depends on an address that is not known yet; EINVAL a
 *         URI cannot be read; ENOMEM
 */
int hunt_preview(char *uri, size_t size, struct hunt *hunt,
		 const struct hop *hop);

/** Leave an option out of Supported or Require. 0; ENOMEM */
int hunt_remove_option(struct message *msg, enum header_id id,
		       const char *option);

/** Does policy-priority make this an emergency call? No limit stops it */
bool hop_is_emergency(const struct hop *hop);

/** An answer came from the session-agent; it did not answer in time. State,
 *  log and alarm */
void hunt_agent_answered(struct hunt *hunt, uint16_t code);
void hunt_agent_silent(struct hunt *hunt);

/** Shall the caller get no answer, when the search ended with hunt->code? Where one
 *  must be, and the code is HUNT_SILENCE, it is 480 */
bool hunt_is_silent(const struct hunt *hunt);

/** Let go of what only the search needs; the present hop stays */
void hunt_finish(struct hunt *hunt);
/** And of the rest */
void hunt_clear(struct hunt *hunt);

/** One by itself, zeroed; mem_deref clears it. 0; ENOMEM */
int hunt_alloc(struct hunt **hp);

/** Who took the request: what is needed of a search that is over */
struct found {
	struct hop hop;
	struct seat seat;           /* outbound session taken */
	struct redirects redirects; /* hop may point into them */
	bool to_trunk;
	struct leg *leg;
};
/** End the search, and hand over what it has of the present hop */
void hunt_yield(struct hunt *hunt, struct found *found);
/** Let go of it */
void found_clear(struct found *found);
