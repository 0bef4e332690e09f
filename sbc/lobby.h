/*
 * New requests of a busy thread, served behind what belongs to calls
 *
 * Behaviour.md 1.5. A thread that is overloaded puts them here. They are taken
 * when nothing is left to be read, or when they have waited LOBBY_WAIT: requests
 * inside dialogs, ACK, CANCEL and responses pass them, also those that the
 * kernel has behind them.
 */
#pragma once

#include "policy/message.h"
#include "sbc/port.h"

enum {
	LOBBY_WAIT = 50, /* longest, until the thread has time for them [ms] */
	LOBBY_TIME = 10, /* spent on them in a row [ms] */
	LOBBY_MAX = 2048 /* that wait */
};

struct lobby;

/** Serve a request that waited */
typedef void(lobby_h)(const struct arrival *from, const struct message *msg,
		      void *arg);

/** mem_deref forgets those that wait. 0; ENOMEM */
int lobby_alloc(struct lobby **lp, lobby_h *h, void *arg);

/** Let a request wait. 0; ENOBUFS there are too many; ENOMEM */
int lobby_put(struct lobby *l, const struct arrival *from,
	      const struct message *msg, bool is_stranger);

/** Serve all that wait at once: the next message is about one of them */
void lobby_clear(struct lobby *l);
