/*
 * One count of a thread in periods, for rows that come up at run time
 *
 * What counters.h keeps for each row that is known beforehand; here for status
 * codes, methods and steps as they turn up. Its periods are those of the
 * counters (acli.md 2.2). One thread writes and reads.
 */
#pragma once

#include "sbc/counters.h"

/** Zeroed before its first use */
struct tally {
	uint64_t total;
	uint32_t period;                /* that `present` is of */
	uint32_t present, last, permax; /* permax of periods that are over */
};

/** Count n events */
void tally_add(struct tally *t, uint32_t n);

/** Add what another one counted; permax becomes the sum of both, which is at least
 *  the true one */
void tally_join(struct tally *t, const struct tally *other);

/** Recent, total and permax; the rest of the report is 0 */
void tally_read(const struct tally *t, struct counter_report *out);
