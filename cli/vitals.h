/*
 * Watch the program: loops that are held up, files that fail, a slow database
 *
 * Alarms loop-lag, log-write-failed, key-file, database-slow and daemon-restarted
 * of acli.md 5.1. A letter goes from the front to the signalling thread: what it
 * is late by is the time that loop was held up.
 */
#pragma once

#include <stdatomic.h>
#include "store/database.h"
#include "store/seal.h"
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
	const struct seal *seal;
	char key[1024];       /* the key file; "": none is looked at */
	uint64_t flush_began; /* [us]; of the writer thread, as is the next */
	unsigned quick;       /* flushes in a row; of a slow database only */
};

/** Begin, on the front thread; stays where it is until sbc_close has come back.
 *  The key file lies beside the database */
void vitals_begin(struct vitals *v, struct sbc *sbc, const struct database *db,
		  const struct seal *seal);
void vitals_end(struct vitals *v);

/** A database_flush_h with the vitals as its argument, which live as long as the
 *  database: slow when one takes over a second, until three in a row did not */
void vitals_flush(bool begins, int err, void *arg);

/** A start: raise daemon-restarted where the last end was not orderly, and note
 *  that somebody runs; the orderly end. 0; errno of the database */
int vitals_started(struct database *db);
int vitals_ended(struct database *db);
