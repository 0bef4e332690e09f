/*
 * New requests of a busy thread, served behind what belongs to calls
 *
 * Behaviour.md 1.5. A thread that is overloaded puts them here. They are taken
 * when nothing is left to be read, or when they have waited LOBBY_WAIT: requests
 * inside dialogs, ACK, CANCEL and responses pass them, also those that the
 * kernel has behind them. While what is read was itself so long behind in the
 * kernel nobody is taken: to read comes first, or the kernel's queue grows until
 * all that is read is a repetition.
 */
#pragma once

#include "policy/message.h"
#include "sbc/port.h"

enum {
	LOBBY_WAIT = 50,  /* longest, until the thread has time for them [ms] */
	LOBBY_LATE = 500, /* who waited so long is repeated already (T1) [ms] */
	LOBBY_TIME = 10,  /* spent on them in a row [ms] */
	LOBBY_MAX = 2048  /* that wait */
};

struct lobby;

/** Serve a request that waited; is_late: turn it away, since its sender would
 *  only be served when he has given up */
typedef void(lobby_h)(const struct arrival *from, const struct message *msg,
		      bool is_late, void *arg);

/** mem_deref forgets those that wait. 0; ENOMEM */
int lobby_alloc(struct lobby **lp, lobby_h *h, void *arg);

/** Is it the repetition of one that waits? */
bool lobby_has(const struct lobby *l, const struct arrival *from,
	       const struct message *msg);

/** Let a request wait that is not here yet. 0; ENOBUFS there are too many; ENOMEM */
int lobby_put(struct lobby *l, const struct arrival *from,
	      const struct message *msg, bool is_stranger);

/** A CANCEL came: serve the request that it is about, if it waits */
void lobby_serve(struct lobby *l, const struct arrival *from,
		 const struct message *cancel);

/** This request was turned away without a transaction. What repeats it must not
 *  be served: its sender may have taken the answer for the last word already */
void lobby_turned_away(struct lobby *l, const struct arrival *from,
		       const struct message *msg);

/** Was this one turned away? Remembered for 32 s after the last one, most of
 *  them; memory is bounded */
bool lobby_remembers(const struct lobby *l, const struct arrival *from,
		     const struct message *msg);
