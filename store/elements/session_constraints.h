/*
 * session-constraints: limits of a realm or a sip-interface
 */
#pragma once

#include "store/schema.h"

struct session_constraints {
	char *name;
	bool state;
	uint32_t max_sessions;
	uint32_t max_inbound_sessions;
	uint32_t max_outbound_sessions;
	uint32_t max_burst_rate;            /* per second */
	uint32_t max_inbound_burst_rate;    /* per second */
	uint32_t max_outbound_burst_rate;   /* per second */
	uint32_t max_sustain_rate;          /* per second */
	uint32_t max_inbound_sustain_rate;  /* per second */
	uint32_t max_outbound_sustain_rate; /* per second */
	uint32_t burst_rate_window;         /* [s] */
	uint32_t sustain_rate_window;       /* [s] */
	uint32_t time_to_resume;            /* [s] */
	uint32_t ttr_no_response;           /* [s] */
	uint32_t in_service_period;         /* [s] */
	uint32_t min_seizures;
	uint32_t min_asr; /* [%] */
	struct items rate_constraints;
	char *last_modified_by;
	stamp last_modified_date;
};

extern const struct element element_session_constraints;
