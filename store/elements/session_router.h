/*
 * session-router: look-ups in several stages, parent realms, holidays
 */
#pragma once

#include "store/schema.h"

struct holiday {
	char *date; /* "2027-12-25", or "12-25" for every year */
	char *description;
};

struct session_router {
	bool match_lp_src_parent_realms;
	uint32_t additional_lp_lookups;
	uint32_t max_lp_lookups_routes_per_lookup; /* 0: no limit */
	uint32_t total_lp_routes;                  /* 0: no limit */
	bool multi_stage_src_realm_override;
	struct items holidays;
	char *last_modified_by;
	stamp last_modified_date;
};

extern const struct element element_holiday;
extern const struct element element_session_router;
