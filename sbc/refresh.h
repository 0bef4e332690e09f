/*
 * Session timer of one leg (RFC 4028)
 *
 * Without a session-timer-profile on either side the headers pass through, and
 * what the peers agree is noted: a session that nobody refreshes is dead. With
 * one the SBC is the peer of that leg: it agrees with it alone, and refreshes
 * when that falls to it (behaviour.md 3.7). Nothing is sent here.
 */
#pragma once

#include "store/elements/session_timer_profile.h"
#include "policy/message.h"
#include "policy/plan.h"
#include "sbc/timer.h"

struct refresh;

enum refresh_news {
	REFRESH_DUE, /* a refresh must leave now */
	REFRESH_LOST /* nobody refreshed in time: the session is over */
};
typedef void(refresh_h)(struct refresh *r, enum refresh_news news, void *arg);

struct refresh {
	const struct session_timer_profile
		*profile;     /* of the plan; NULL: none */
	uint32_t interval;    /* agreed [s]; 0: none */
	uint32_t wanted, min; /* what our requests say [s] */
	bool ours;            /* it falls to us to refresh */
	bool update;          /* the peer allows UPDATE */
	bool raised;          /* a 422 was obeyed since the last agreement */
	/* Of the last INVITE or UPDATE of the peer: */
	uint32_t asked, asked_min; /* [s]; 0: not said */
	bool supported;            /* it knows session timers */
	bool named, peers;         /* refresher was named; it is the peer */
	struct timer timer;
	uint64_t end; /* [ms]: too late then */
	refresh_h *h;
	void *arg;
};

/** Begin: no interval is agreed. The plan stays while the timer lives */
void refresh_init(struct refresh *r, refresh_h *h, void *arg);
/** Which profile holds for the leg in this realm; NULL: none */
const struct session_timer_profile *refresh_profile(const struct plan *plan,
						    const struct realm *realm);
void refresh_use(struct refresh *r,
		 const struct session_timer_profile *profile);
/** No more news; what was agreed is forgotten */
void refresh_stop(struct refresh *r);

/**
 * Is the Session-Expires of this INVITE or UPDATE too small for the profile?
 *
 * @return Min-SE of the 422 [s]; 0: it can be served
 *
 * Source: RFC 4028 9
 */
uint32_t refresh_refuses(const struct session_timer_profile *profile,
			 const struct message *msg);

/** An INVITE or UPDATE of this leg's peer came: note what it asks for. Without
 *  profile nothing depends on it */
void refresh_asked(struct refresh *r, const struct message *msg);

/**
 * Edit an INVITE or UPDATE that goes to this leg
 *
 * @param r       Of this leg
 * @param passes  Neither side has a profile: all stays
 * @param out     Clone that is edited
 *
 * @return 0; ENOMEM
 */
int refresh_ask(const struct refresh *r, bool passes, struct message *out);
/** Header lines of a refresh of our own. 0; ENOMEM */
int refresh_lines(const struct refresh *r, struct mbuf *mb);

/** A 2xx to INVITE or UPDATE came from this leg's peer: agreed from now on */
void refresh_answered(struct refresh *r, bool passes,
		      const struct message *msg);
/** One goes to this leg's peer: agreed from now on, and edited like in
 *  refresh_ask. 0; ENOMEM */
int refresh_answer(struct refresh *r, bool passes, struct message *out);

/** A 422 came: ask for more. False: once is enough, or it says no more than we
 *  asked for */
bool refresh_raise(struct refresh *r, const struct message *msg);

/** A refresh of ours failed, but not the session: try again after a pause [ms],
 *  where that is in time */
void refresh_again(struct refresh *r, uint64_t pause);
