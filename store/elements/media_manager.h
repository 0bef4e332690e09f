/*
 * media-manager: media as a whole
 */
#pragma once

#include "store/schema.h"

struct media_manager {
	bool state;
	bool latching;
	uint32_t flow_time_limit;     /* [s] */
	uint32_t initial_guard_timer; /* [s] */
	uint32_t subsq_guard_timer;   /* [s] */
	bool hnt_rtcp;
	bool anonymous_sdp;
	uint32_t max_untrusted_signaling; /* [%] */
	uint32_t tolerance_window;        /* [s] */
	bool syslog_on_demote_to_deny;
	bool syslog_on_demote_to_untrusted;
	uint32_t max_deny_entries;
	uint32_t media_workers; /* 0: as many as fit */
	char *last_modified_by;
	stamp last_modified_date;
};

extern const struct element element_media_manager;
