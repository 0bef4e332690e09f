/*
 * Watch the program: loops that are held up, a log that is not written
 *
 * Alarms loop-lag, log-write-failed and daemon-restarted of acli.md 5.1. A letter
 * goes from the front to the signalling thread: what it is late by is the time
 * that loop was held up.
 */
#pragma once

#include <stdatomic.h>
#include "store/database.h"
#include "sbc/mailbox.h"
#include "sbc/sbc.h"
#include "sbc/timer.h"

struct vitals { /* zeroed before its first use */
	struct timer timer;
	struct letter letter; /* to the signalling thread */
	struct sbc *sbc;
	uint32_t ticks;
	uint64_t due;            /* of the tick [ms] */
	_Atomic uint64_t posted; /* [ms]; 0: nothing is on its way */
	atomic_uint lag;         /* longest since the last look [ms] */
	uint64_t held[2];        /* last time a loop was late [ms] */
	uint8_t severity[2];     /* 1 + that of its alarm; 0: none */
};

/** Begin, on the front thread; stays where it is until sbc_close has come back */
void vitals_begin(struct vitals *v, struct sbc *sbc);
void vitals_end(struct vitals *v);

/** A start: raise daemon-restarted where the last end was not orderly, and note
 *  that somebody runs; the orderly end. 0; errno of the database */
int vitals_started(struct database *db);
int vitals_ended(struct database *db);
