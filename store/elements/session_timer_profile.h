/*
 * session-timer-profile: how the SBC keeps sessions alive
 */
#pragma once

#include "store/schema.h"

enum timer_refresher {
	TIMER_REFRESHER_UAC,
	TIMER_REFRESHER_UAS,
};

struct session_timer_profile {
	char *name;
	uint32_t session_expires; /* [s] */
	uint32_t min_se;          /* [s] */
	bool force_reinvite;
	uint8_t request_refresher,
		response_refresher; /* enum timer_refresher */
	char *last_modified_by;
	stamp last_modified_date;
};

extern const struct element element_session_timer_profile;
