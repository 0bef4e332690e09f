/*
 * sip-interface: where a realm speaks SIP
 */
#pragma once

#include "store/schema.h"

enum transport_protocol {
	TRANSPORT_PROTOCOL_UDP,
	TRANSPORT_PROTOCOL_TCP,
	TRANSPORT_PROTOCOL_TLS,
	TRANSPORT_PROTOCOL_WS,
	TRANSPORT_PROTOCOL_WSS,
};

enum allow_anonymous {
	ALLOW_ANONYMOUS_ALL,
	ALLOW_ANONYMOUS_AGENTS_ONLY,
	ALLOW_ANONYMOUS_REALM_PREFIX,
	ALLOW_ANONYMOUS_REGISTERED,
	ALLOW_ANONYMOUS_REGISTER_PREFIX,
};

enum proxy_mode {
	PROXY_MODE_PROXY,
	PROXY_MODE_REDIRECT,
};

enum redirect_action {
	REDIRECT_ACTION_PROXY,
	REDIRECT_ACTION_RECURSE,
	REDIRECT_ACTION_RECURSE_305_ONLY,
};

enum nat_traversal {
	NAT_TRAVERSAL_NONE,
	NAT_TRAVERSAL_ALWAYS,
	NAT_TRAVERSAL_RPORT,
};

enum trust_mode {
	TRUST_MODE_ALL,
	TRUST_MODE_AGENTS_ONLY,
	TRUST_MODE_REALM_PREFIX,
	TRUST_MODE_REGISTERED,
	TRUST_MODE_NONE,
};

enum add_sdp_invite {
	ADD_SDP_INVITE_DISABLED,
	ADD_SDP_INVITE_INVITE,
	ADD_SDP_INVITE_REINVITE,
	ADD_SDP_INVITE_BOTH,
};

/** policy-priority of a local-policy, anonymous-priority of an interface */
enum priority {
	PRIORITY_NONE,
	PRIORITY_NORMAL,
	PRIORITY_NON_URGENT,
	PRIORITY_URGENT,
	PRIORITY_EMERGENCY,
};

enum tcp_keepalive {
	TCP_KEEPALIVE_NONE,
	TCP_KEEPALIVE_ENABLED,
	TCP_KEEPALIVE_DISABLED,
};

enum flow_token_mode {
	FLOW_TOKEN_MODE_PATH,
	FLOW_TOKEN_MODE_CONTACT,
};

struct sip_port {
	struct sa address; /* port 0: it stands in port */
	uint32_t port;
	uint8_t transport_protocol;
	char *tls_profile;
	uint8_t allow_anonymous;
};

struct sip_interface {
	char *realm_id;
	bool state;
	char *description;
	struct names carriers;
	uint32_t trans_expire;             /* [s], 0: sip-config's */
	uint32_t initial_inv_trans_expire; /* [s], 0: sip-config's */
	uint32_t invite_expire;            /* [s], 0: sip-config's */
	uint32_t max_redirect_contacts;
	uint8_t proxy_mode;
	uint8_t redirect_action;
	uint8_t nat_traversal;
	uint32_t nat_interval;          /* [s] */
	uint32_t tcp_nat_interval;      /* [s] */
	uint32_t min_reg_expire;        /* [s] */
	uint32_t registration_interval; /* [s] */
	bool registration_caching;
	bool route_to_registrar;
	bool teluri_scheme;
	char *uri_fqdn_domain;
	uint8_t trust_mode;
	struct codes stop_recurse;
	char *in_manipulationid;
	char *out_manipulationid;
	char *manipulation_string;
	char *constraint_name;
	char *session_timer_profile;
	char *response_map;
	char *local_response_map;
	uint8_t add_sdp_invite;
	uint8_t anonymous_priority;
	uint8_t tcp_keepalive;
	char *user_agent;
	char *sip_authentication_profile;
	bool flow_token;
	char *flow_token_key_set;
	uint8_t flow_token_mode;
	struct names flow_transports;
	uint32_t flow_timer;         /* [s] */
	uint32_t flow_token_max_age; /* [s] */
	bool require_flow;
	struct names options;
	struct items sip_ports;
	char *last_modified_by;
	stamp last_modified_date;
};

/** Words of enum priority and enum tcp_keepalive, for other tables too */
extern const char *const priority_words[];
extern const char *const tcp_keepalive_words[];

extern const struct element element_sip_port;
extern const struct element element_sip_interface;
