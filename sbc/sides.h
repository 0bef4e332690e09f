/*
 * Who is who on the two sides, and what may cross between them
 *
 * Side A is where a request came from, side B where hunt placed it. What crosses
 * later - answers, requests inside the dialogs - is edited and proved by what
 * was decided then (behaviour.md 5.2, 5.3, 6.2). Calls and pairs use it alike.
 */
#pragma once

#include "sbc/hunt.h"

struct sides {
	struct worker *worker;
	const struct plan *plan;
	const struct source *source;        /* of side A */
	const struct owner *owner, *called; /* of the request */
	const struct arrival *from; /* the request; NULL where there is leg A */
	const struct hop *hop;      /* that led to side B */
	bool to_trunk;              /* it is the owner's registrar's realm */
	const struct leg *a; /* NULL: no dialog there, the request's source */
	const struct leg *b; /* NULL: no hop is left */
};

/** Those of a request that hunt places or has placed; of hops that are tried
 *  together that of leg b */
struct sides sides_hunted(const struct hunt *hunt, const struct leg *a,
			  const struct leg *b);

/** A request came from the peer of this side: pings of it need not ask (2.5) */
void sides_heard(const struct sides *s, bool side_b);

/** Edit the identities of a message in `out`, a clone of it, for side B or for
 *  side A. 0; ENOMEM; EBADMSG */
int sides_edit(const struct sides *s, bool to_b, struct message *out,
	       const struct message *msg);

/**
 * Make an answer of side B ready for side A
 *
 * @param s          The sides
 * @param r          Code, reason, src and without are set
 * @param copyp      Set to the edited copy that r names; mem_deref. NULL when
 *                   there is no memory: the answer goes without its headers
 * @param msg        As it came
 * @param challenge  It is a final 401 or 407: the challenges go along
 */
void sides_answer(const struct sides *s, struct leg_reply *r,
		  struct message **copyp, const struct message *msg,
		  bool challenge);

/** Who answers for requests to side B, to be kept when the call is gone; the plan
 *  outlives it */
struct sides_who {
	struct worker *worker;
	const struct policy_attribute *attribute;
	const struct session_agent *egress, *ingress;
	const struct realm *realm;
	struct owner owner; /* or none */
};
void sides_who(struct sides_who *who, const struct sides *s);
/** sides_proof of side B, for a request to this target */
void sides_who_proof(const struct sides_who *who, const struct sa *target,
		     struct proof_setup *setup);

/** Who asks for credentials of a request inside the dialogs that goes to side B
 *  or to side A: the query of `setup`, whose method, target and challenge are
 *  there already */
void sides_proof(const struct sides *s, bool to_b, struct proof_setup *setup);
