/*
 * session-agent: a peer with an identity
 */
#pragma once

#include "store/elements/auth_attribute.h"
#include "store/schema.h"

enum transport_method {
	TRANSPORT_METHOD_UDP,
	TRANSPORT_METHOD_UDP_TCP,
	TRANSPORT_METHOD_DYNAMIC_TCP,
	TRANSPORT_METHOD_STATIC_TCP,
	TRANSPORT_METHOD_DYNAMIC_TLS,
	TRANSPORT_METHOD_STATIC_TLS,
	TRANSPORT_METHOD_ANY, /* "*": NAPTR records tell */
};

enum agent_proxy_mode {
	AGENT_PROXY_MODE_EMPTY, /* that of the sip-interface */
	AGENT_PROXY_MODE_PROXY,
	AGENT_PROXY_MODE_REDIRECT,
};

enum agent_redirect_action {
	AGENT_REDIRECT_ACTION_EMPTY, /* recurse */
	AGENT_REDIRECT_ACTION_PROXY,
	AGENT_REDIRECT_ACTION_RECURSE,
	AGENT_REDIRECT_ACTION_RECURSE_305_ONLY,
};

enum req_uri_carrier_mode {
	REQ_URI_CARRIER_MODE_NONE,
	REQ_URI_CARRIER_MODE_URI_PARAM,
	REQ_URI_CARRIER_MODE_PREFIX,
};

enum ping_send_mode {
	PING_SEND_MODE_KEEP_ALIVE,
	PING_SEND_MODE_CONTINUOUS,
};

enum agent_early_media_allow {
	AGENT_EARLY_MEDIA_ALLOW_EMPTY, /* that of the realm */
	AGENT_EARLY_MEDIA_ALLOW_NONE,
	AGENT_EARLY_MEDIA_ALLOW_REVERSE,
	AGENT_EARLY_MEDIA_ALLOW_BOTH,
};

enum agent_refer_call_transfer {
	AGENT_REFER_CALL_TRANSFER_EMPTY, /* that of the realm */
	AGENT_REFER_CALL_TRANSFER_DISABLED,
	AGENT_REFER_CALL_TRANSFER_ENABLED,
};

enum reuse_connections {
	REUSE_CONNECTIONS_NONE,
	REUSE_CONNECTIONS_TCP,
};

enum rate_method {
	RATE_METHOD_UNSET,
	RATE_METHOD_REGISTER,
	RATE_METHOD_OPTIONS,
	RATE_METHOD_MESSAGE,
	RATE_METHOD_PUBLISH,
	RATE_METHOD_NOTIFY,
	RATE_METHOD_SUBSCRIBE,
	/* What has no word here because the other parameters limit it */
	RATE_METHOD_INVITE = RATE_METHOD_UNSET,
};

struct rate_constraint {
	uint8_t method;
	uint32_t max_inbound_burst_rate;    /* per second */
	uint32_t max_outbound_burst_rate;   /* per second */
	uint32_t max_inbound_sustain_rate;  /* per second */
	uint32_t max_outbound_sustain_rate; /* per second */
};

struct session_agent {
	char *hostname;
	struct sa ip_address; /* port 0: it stands in port */
	uint32_t port;        /* 0: SRV records tell */
	bool state;
	char *description;
	uint8_t app_protocol; /* SIP is the only word */
	uint8_t transport_method;
	char *tls_profile;
	char *realm_id; /* "" or "*": any */
	char *egress_realm_id;
	struct names carriers;
	bool allow_next_hop_lp;
	bool constraints;
	uint32_t max_sessions;
	uint32_t max_inbound_sessions;
	uint32_t max_outbound_sessions;
	uint32_t max_burst_rate;            /* per second */
	uint32_t max_inbound_burst_rate;    /* per second */
	uint32_t max_outbound_burst_rate;   /* per second */
	uint32_t burst_rate_window;         /* [s] */
	uint32_t max_sustain_rate;          /* per second */
	uint32_t max_inbound_sustain_rate;  /* per second */
	uint32_t max_outbound_sustain_rate; /* per second */
	uint32_t sustain_rate_window;       /* [s] */
	uint32_t min_seizures;
	uint32_t min_asr;                   /* [%] */
	uint32_t time_to_resume;            /* [s] */
	uint32_t max_register_burst_rate;   /* per second */
	uint32_t max_register_sustain_rate; /* per second */
	uint32_t register_burst_window;     /* [s] */
	uint32_t cac_alarm_threshold;       /* [%] */
	uint32_t ttr_no_response;           /* [s], 0: 32 s */
	uint32_t in_service_period;         /* [s] */
	uint8_t proxy_mode;
	uint8_t redirect_action;
	bool loose_routing;
	uint8_t req_uri_carrier_mode;
	char *response_map;
	char *local_response_map;
	struct names ping_method; /* none or one */
	uint32_t ping_interval;   /* [s] */
	uint8_t ping_send_mode;
	char *ping_from_user_part;
	char *ping_to_user_part;
	bool ping_all_addresses;
	struct codes ping_in_service_response_codes;
	struct codes out_service_response_codes;
	bool trust_me;
	struct names in_session_translations;
	struct names out_session_translations;
	char *in_manipulationid;
	char *out_manipulationid;
	char *manipulation_string;
	char *p_asserted_id;
	struct names trunk_group;
	struct codes stop_recurse;
	char *sip_recursion_policy;
	struct names media_profiles;
	char *codec_policy;
	uint8_t early_media_allow;
	uint8_t refer_call_transfer;
	uint8_t reuse_connections;
	uint8_t tcp_keepalive;
	uint32_t tcp_reconn_interval; /* [s], 0: 10 s */
	bool invalidate_registrations;
	bool security_handling;
	char *auth_plugin;
	struct names auth_plugin_methods;
	bool challenge_passthrough;
	struct names options;
	struct items auth_attributes;
	struct items rate_constraints;
	char *last_modified_by;
	stamp last_modified_date;
};

extern const struct element element_rate_constraint;
extern const struct element element_session_agent;
