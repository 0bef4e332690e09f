/*
 * Alarms of memory, processor, sessions and disk by the share that is used
 *
 * alarm-threshold of system-config, acli.md 5.1. Looked at each second on the
 * front thread. While memory is critical no new request is taken (behaviour.md
 * 1.5).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include "store/elements/system_config.h"
#include "sbc/alarm.h"
#include "sbc/timer.h"

struct sbc;

enum {
	THRESHOLD_NONE = -1,          /* no alarm; else enum alarm_level */
	THRESHOLD_UNKNOWN = UINT8_MAX /* a share that cannot be measured */
};

/** Share of a file system that is used [%], as df counts it: what is kept for the
 *  superuser is not for us. THRESHOLD_UNKNOWN: it does not say */
uint32_t threshold_disk(const char *path);

/** What is measured, and how bad it was when last looked at */
struct threshold {
	const char *alarm; /* name of acli.md 5.1 */
	uint8_t type;      /* enum alarm_type */
	int level;
};

/**
 * A share was measured: which alarm is up?
 *
 * A level is reached at its value, and left below 90 % of it.
 *
 * @param t       Threshold; its level is renewed
 * @param config  Values; a type that has none has 80, 90 and 95 %
 * @param share   Share that is used [%]
 *
 * @return true if the level is another one than before
 */
bool threshold_judge(struct threshold *t, const struct system_config *config,
		     uint32_t share);

struct thresholds {
	struct sbc *sbc;
	const char *disk; /* a file of the file system that is watched */
	struct timer timer;
	struct threshold all[4];
	uint64_t since, cpu; /* last look [us]; time used by then [us] */
};

/** Look each second, on the wheel of the calling thread */
void thresholds_begin(struct thresholds *t, struct sbc *sbc, const char *disk);
void thresholds_end(struct thresholds *t);
