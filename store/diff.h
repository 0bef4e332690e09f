/*
 * What changed between two configurations, and what each change costs
 */
#pragma once

#include "store/config.h"

enum diff_what {
	DIFF_ADDED,
	DIFF_REMOVED,
	DIFF_CHANGED
};

struct difference {
	enum diff_what what;
	const struct element *type;
	const void *before, *after; /* NULL where there is none */
};
typedef void(difference_h)(const struct difference *d, void *arg);

/** What it takes until a difference is in force */
enum diff_cost {
	COST_LIVE,
	COST_REOPEN, /* a sip-port is closed or opened */
	COST_RESTART /* the next start */
};

/** The dearest parameter of those that differ */
enum diff_cost difference_cost(const struct difference *d);

/** Walk all differences, elements in manual order; versions that share an
 *  object are compared by pointer first */
void diff_walk(const struct config *before, const struct config *after,
	       difference_h *h, void *arg);

/** Print a difference in one line: "surrogate-agent [k] register-retry-time 300 ->
 *  60, password changed"; secrets never */
int difference_line_print(struct re_printf *pf, const struct difference *d);

/** Print "- " and "+ " lines of one difference; secrets as (changed) */
int difference_print(struct re_printf *pf, const struct difference *d);
