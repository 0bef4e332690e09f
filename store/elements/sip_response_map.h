/*
 * sip-response-map: status codes that become others
 */
#pragma once

#include "store/schema.h"

struct sip_response_entry {
	uint32_t recv_code;
	struct names method; /* at most one; none: all */
	uint32_t xmit_code;
	char *reason;        /* empty: the usual phrase */
	uint32_t q850_cause; /* 0: none */
	char *q850_reason;
};

struct sip_response_map {
	char *name;
	struct items entries;
	char *last_modified_by;
	stamp last_modified_date;
};

extern const struct element element_sip_response_entry;
extern const struct element element_sip_response_map;
