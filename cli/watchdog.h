/*
 * Tell somebody again and again that the loops turn, and not when one hangs
 *
 * systemd ends and restarts a daemon that falls silent (sd_notify(3), WATCHDOG).
 * A sign of life is given only after a letter was opened by the signalling
 * thread since the one before: neither loop can hang and be said to live.
 */
#pragma once

#include <stdatomic.h>
#include "sbc/mailbox.h"
#include "sbc/sbc.h"
#include "sbc/timer.h"

typedef void(watchdog_h)(void *arg);

struct watchdog { /* zeroed before its first use */
	struct timer timer;
	struct letter letter; /* on its way while turns < asked */
	struct sbc *sbc;
	uint64_t period; /* [ms] */
	watchdog_h *h;
	void *arg;
	unsigned asked;
	atomic_uint turns; /* of the signalling thread */
};

/**
 * Begin, on the front thread
 *
 * @param d       Watchdog; stays where it is until sbc_close has come back
 * @param sbc     Whose signalling thread is asked
 * @param silence What is taken for a hang [us]; three signs fall into it
 * @param h       Gives a sign of life
 */
void watchdog_begin(struct watchdog *d, struct sbc *sbc, uint64_t silence,
		    watchdog_h *h, void *arg);

/** No sign any more; one that never began is fine */
void watchdog_end(struct watchdog *d);
