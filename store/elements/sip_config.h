/*
 * sip-config: SIP as a whole
 */
#pragma once

#include "store/schema.h"

enum auth_lookup_miss {
	AUTH_LOOKUP_MISS_FAIL,
	AUTH_LOOKUP_MISS_FALLBACK,
};

struct sip_config {
	bool state;
	uint8_t operation_mode; /* dialog is the only word */
	bool dialog_transparency;
	char *home_realm_id;
	char *egress_realm_id;
	char *registrar_domain;
	char *registrar_host;
	uint32_t registrar_port;
	uint32_t registration_cache_limit;
	uint32_t register_grace_timer;     /* [s] */
	uint32_t init_timer;               /* T1 [ms] */
	uint32_t max_timer;                /* T2 [ms] */
	uint32_t trans_expire;             /* [s] */
	uint32_t initial_inv_trans_expire; /* [s], 0: trans_expire */
	uint32_t invite_expire;            /* [s] */
	uint32_t session_max_life_limit;   /* [s] */
	uint32_t inactive_dynamic_conn;    /* [s] */
	uint32_t sip_message_len;          /* [bytes] */
	bool add_reason_header;
	bool enum_sag_match;
	uint32_t retry_after_upon_offline; /* [s] */
	char *response_map;
	uint32_t max_sessions;
	uint32_t load_limit;        /* [%] */
	uint32_t registration_rate; /* per second */
	uint8_t auth_lookup_miss;
	uint32_t nonce_cache_size;
	uint32_t credential_cache_size;
	uint32_t sip_workers;
	struct names options;
	char *last_modified_by;
	stamp last_modified_date;
};

extern const struct element element_sip_config;
