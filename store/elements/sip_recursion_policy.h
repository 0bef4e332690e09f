/*
 * sip-recursion-policy: which answers end the search for further routes
 */
#pragma once

#include "store/schema.h"

enum recursion_mode {
	RECURSION_CONSECUTIVE,
	RECURSION_ABSOLUTE,
};

struct sip_response_code {
	uint32_t response_code;
	uint32_t attempts;
};

struct sip_recursion_policy {
	char *name;
	char *description;
	uint32_t global_count; /* 0: off */
	uint8_t mode;
	struct items sip_response_codes;
	char *last_modified_by;
	stamp last_modified_date;
};

extern const struct element element_sip_response_code;
extern const struct element element_sip_recursion_policy;
