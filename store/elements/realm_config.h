/*
 * realm-config: a realm and what holds for its peers
 */
#pragma once

#include "store/elements/auth_attribute.h"
#include "store/schema.h"

enum restricted_latching {
	RESTRICTED_LATCHING_NONE,
	RESTRICTED_LATCHING_SDP,
	RESTRICTED_LATCHING_PEER_IP,
};

enum early_media_allow {
	EARLY_MEDIA_ALLOW_NONE,
	EARLY_MEDIA_ALLOW_REVERSE,
	EARLY_MEDIA_ALLOW_BOTH,
};

enum trust_level {
	TRUST_LEVEL_NONE,
	TRUST_LEVEL_LOW,
	TRUST_LEVEL_MEDIUM,
	TRUST_LEVEL_HIGH,
};

struct realm_config {
	char *identifier;
	char *description;
	struct prefix addr_prefix;
	struct prefixes additional_prefixes;
	char *parent_realm;
	struct addresses dns_servers;
	char *dns_realm;
	bool mm_in_realm;
	bool mm_in_network;
	bool mm_same_ip;
	bool symmetric_latching;
	uint8_t restricted_latching;
	uint32_t restriction_mask; /* [bits] */
	uint32_t max_bandwidth;    /* [kbit/s] */
	bool bw_cac_non_mm;
	bool qos_enable;
	bool block_rtcp;
	uint8_t early_media_allow;
	char *media_policy;
	char *media_sec_policy;
	char *codec_policy;
	struct names in_session_translations;
	struct names out_session_translations;
	char *in_manipulationid;
	char *out_manipulationid;
	char *manipulation_string;
	char *trunk_context;
	char *constraint_name;
	uint8_t access_control_trust_level;
	uint32_t invalid_signal_threshold;
	uint32_t maximum_signal_threshold;
	uint32_t untrusted_signal_threshold;
	uint32_t average_rate_limit; /* [bytes/s] */
	uint32_t deny_period;        /* [s] */
	bool pai_strip;
	bool refer_call_transfer;
	bool accounting_enable;
	char *sip_authentication_profile;
	struct names options;
	struct items auth_attributes;
	char *last_modified_by;
	stamp last_modified_date;
};

extern const struct element element_realm_config;
