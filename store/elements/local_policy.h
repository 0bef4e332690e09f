/*
 * local-policy: which calls go where
 */
#pragma once

#include "store/schema.h"

enum policy_action {
	POLICY_ACTION_NONE,
	POLICY_ACTION_REPLACE_URI,
	POLICY_ACTION_REDIRECT,
};

enum policy_lookup {
	POLICY_LOOKUP_SINGLE,
	POLICY_LOOKUP_MULTI,
};

enum policy_next_key {
	POLICY_NEXT_KEY_EMPTY,
	POLICY_NEXT_KEY_TO,
	POLICY_NEXT_KEY_FROM,
	POLICY_NEXT_KEY_PAI,
};

struct policy_attribute {
	char *next_hop; /* configuration.md 3.1 */
	char *realm;
	uint8_t action;
	bool terminate_recursion;
	char *carrier;
	hhmm start_time;
	hhmm end_time;
	weekdays days_of_week;
	uint32_t cost;
	bool state;
	uint8_t app_protocol; /* SIP is the only word */
	struct names methods; /* empty: all */
	struct names media_profiles;
	char *media_policy;
	uint8_t lookup;
	uint8_t next_key;
	char *auth_user_lookup;
};

struct local_policy {
	struct patterns from_address;
	struct patterns to_address;
	struct names source_realm; /* may hold "*" */
	char *description;
	bool state;
	stamp activate_time;     /* 0: unset */
	stamp deactivate_time;   /* 0: unset */
	uint8_t policy_priority; /* enum priority */
	bool parallel_forking;
	struct names options;
	struct items policy_attributes;
	char *last_modified_by;
	stamp last_modified_date;
};

extern const struct element element_policy_attribute;
extern const struct element element_local_policy;
