/*
 * surrogate-agent: the SBC registers for this PBX
 */
#pragma once

#include "store/schema.h"

enum register_mode {
	REGISTER_MODE_AUTOMATIC,
	REGISTER_MODE_TRIGGERED,
};

struct surrogate_agent {
	char *register_host;
	char *register_user; /* may hold "^" */
	char *realm_id;      /* where the PBX lives */
	bool state;
	char *description;
	char *customer_host;
	char *customer_next_hop; /* configuration.md 3.1 */
	char *register_contact_host;
	char *register_contact_user; /* may hold "^" */
	struct secret password;
	uint32_t register_expires; /* [s] */
	bool replace_contact;
	bool route_to_registrar;
	uint32_t aor_count;
	uint32_t count_start;
	struct prefixes source_ip_prefix;
	char *auth_user;           /* may hold "^" */
	struct names auth_methods; /* empty: all */
	char *auth_user_lookup;
	char *proxy_name;
	uint32_t max_register_attempts;
	uint32_t register_retry_time; /* [s] */
	uint8_t register_mode;
	uint32_t triggered_inactivity_interval; /* [s] */
	char *triggered_oos_response; /* "400" - "699" or "dropresponse" */
	bool un_register;
	bool security_handling;
	char *auth_plugin;
	struct names auth_plugin_methods;
	bool challenge_passthrough;
	struct names options;
	char *last_modified_by;
	stamp last_modified_date;
};

extern const struct element element_surrogate_agent;
