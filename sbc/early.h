/*
 * Early dialogs of a call, one for each To tag of the called side
 *
 * The first one is made of the call's own legs, so that a call that is not
 * forked has nothing else. Each further one has twins of both: the caller sees
 * as many early dialogs as there are (RFC 3261 12.1, behaviour.md 3.2). When a
 * twin wins, it changes dialogs with the call's legs, and is the loser then.
 */
#pragma once

#include "sbc/media.h"
#include "sbc/prack.h"
#include "sbc/relay.h"

struct early {
	struct le le;
	struct leg *a, *b;
	bool twin_a, twin_b;      /* ours, not one of the call's legs */
	bool speaks;              /* it has the media of the call */
	struct media_view *media; /* or this; NULL: it never had */
};

/** The call's legs and what is between them; b is the one that the event is
 *  about */
struct early_call {
	struct list *all;    /* of struct early */
	struct list *relays; /* of the call */
	struct media *media; /* of it */
	struct leg *a, *b;
};

/**
 * Early dialog of a 1xx with To tag; it is made when it is new
 *
 * @param ep   Set to it
 * @param c    The call's; a and b get a dialog with the first one
 * @param msg  1xx of the called side
 *
 * @return 0; ENOMEM; ENOSPC there are as many as a call may have
 */
int early_take(struct early **ep, const struct early_call *c,
	       const struct message *msg);

/** Leg of the dialog that a request names, `leg` itself or a twin: of the caller
 *  by our tag, of the called side by its own. NULL: there is none. Between two
 *  hops there is no leg b */
struct leg *early_leg_a(const struct list *all, struct leg *leg,
			const struct message *msg);
struct leg *early_leg_b(const struct list *all, struct leg *leg,
			const struct message *msg);

/** The other leg of the same early dialog; NULL for a leg that has none */
struct leg *early_other(const struct leg *leg);

/**
 * A 2xx came: its dialog becomes that of the call's legs, and leg b is confirmed
 *
 * Requests under way stay with the dialog that they were sent in.
 *
 * @return 0; ENOMEM
 */
int early_choose(const struct early_call *c, const struct message *msg);

/** SDP of this dialog is next: it has the media of the call from now on. `leg` may
 *  be of no dialog, or a loser's behind the answer: nothing happens. 0; ENOMEM */
int early_speak(const struct list *all, const struct leg *leg, struct media *m);

/** The INVITE of the caller has its final answer: no 1xx is repeated */
void early_stop(const struct list *all);

/** The INVITE of leg b failed: its dialogs are dead, their requests are answered
 *  481. When it was the last one, the caller's next dialog has a new tag. 0;
 *  ENOMEM: it has the old one */
int early_fail(const struct early_call *c);

/** Another leg has the 2xx and this one is let go of: its dialogs live on without
 *  it, for what is under way in them. ENOMEM: they are dead (early_fail) */
void early_keep(const struct early_call *c);

/** Let go of those that lost, and of the list */
void early_clear(struct list *all, struct list *relays);
