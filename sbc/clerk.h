/*
 * Files of call records as the running configuration wants them
 *
 * account-config (configuration.md 2.17): folder, forms, sizes; the files get old
 * though no call ends.
 */
#pragma once

#include "store/database.h"
#include "policy/plan.h"
#include "sbc/timer.h"

struct clerk {
	struct timer timer;
	struct database *db;
	char folder[1024];
	bool csv, json;
	uint64_t size_max, age_max;
	uint32_t files_max;
};

/** Before database_start: alarm cdr-write-failed is the clerk's */
void clerk_open(struct clerk *clerk, struct database *db);

/** This plan runs from now on. On the wheel of the calling thread */
void clerk_follow(struct clerk *clerk, const struct plan *plan);

/** No more; before the wheel is closed */
void clerk_close(struct clerk *clerk);
