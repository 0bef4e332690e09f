/*
 * system-config: the machine as a whole
 */
#pragma once

#include "store/schema.h"

enum alarm_type {
	ALARM_TYPE_UNSET,
	ALARM_TYPE_CPU,
	ALARM_TYPE_MEMORY,
	ALARM_TYPE_SESSIONS,
	ALARM_TYPE_SPACE,
	ALARM_TYPE_DENY_ALLOCATION,
};

enum alarm_severity {
	ALARM_SEVERITY_UNSET,
	ALARM_SEVERITY_MINOR,
	ALARM_SEVERITY_MAJOR,
	ALARM_SEVERITY_CRITICAL,
};

enum log_target {
	LOG_TARGET_FILE,
	LOG_TARGET_SYSLOG,
	LOG_TARGET_JOURNAL,
	LOG_TARGET_STDERR,
};

enum log_format {
	LOG_FORMAT_TEXT,
	LOG_FORMAT_JSON,
};

struct alarm_threshold {
	uint8_t type;
	uint8_t severity;
	uint32_t value; /* [%] */
};

struct system_config {
	char *hostname;
	char *description;
	char *location;
	char *mib_system_contact;
	char *mib_system_name;
	char *mib_system_location;
	uint8_t process_log_level; /* enum log_level */
	struct names log_levels;   /* "surrogate=DEBUG" */
	uint8_t log_target;
	uint8_t log_format;
	char *log_path;
	bool call_trace;
	uint32_t debug_timeout;   /* [s] */
	uint32_t console_timeout; /* [s] */
	bool cli_more;
	uint32_t config_versions_kept;
	struct names verify_ignore;
	uint32_t shutdown_timeout; /* [s] */
	struct addresses dns_servers;
	char *dns_domain;
	uint32_t dns_timeout; /* [s] */
	uint32_t dns_max_ttl; /* [s] */
	struct sa metrics_address;
	struct sa hep_server;
	uint32_t hep_id;
	struct secret hep_password;
	struct items alarm_thresholds;
	struct names options;
	char *last_modified_by;
	stamp last_modified_date;
};

extern const struct element element_alarm_threshold;
extern const struct element element_system_config;
