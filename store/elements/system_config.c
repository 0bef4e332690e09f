/*
 * system-config: the machine as a whole
 */
#include "store/elements/system_config.h"

/* clang-format off */
static const char *const alarm_type_words[] = { "", "cpu", "memory", "sessions", "space", "deny-allocation", NULL };
static const char *const alarm_severity_words[] = { "", "minor", "major", "critical", NULL };
static const char *const log_target_words[] = { "file", "syslog", "journal", "stderr", NULL };
static const char *const log_format_words[] = { "text", "json", NULL };
static const char *const no_options[] = { NULL };
static const char hostname_chars[] = "A-Za-z0-9_./-";

#define S alarm_threshold
static const struct field alarm_threshold_fields[] = {
	WORD(S, type, "type", .flags = KEY | REQUIRED, .words = alarm_type_words,
		.help = "Resource that is measured",
		.source = "ACLI"),
	WORD(S, severity, "severity", .flags = KEY | REQUIRED, .words = alarm_severity_words,
		.help = "Severity of the alarm",
		.source = "ACLI"),
	UINT(S, value, "value", .flags = REQUIRED, .min = 1, .max = 100, .unit = "%",
		.help = "Share from which the alarm is up",
		.source = "ACLI"),
	END_OF_FIELDS,
};
#undef S

const struct element element_alarm_threshold = {
	.name = "alarm-threshold",
	.folder = "system",
	.size = sizeof(struct alarm_threshold),
	.fields = alarm_threshold_fields,
	.help = "Share of a resource at which an alarm is raised",
};

#define S system_config
static const struct field system_config_fields[] = {
	TEXT(S, hostname, "hostname", .max = 32, .chars = hostname_chars,
		.help = "Name in prompt, logs and call records; empty is the host name of the machine up to the first dot",
		.source = "ACLI"),
	TEXT(S, description, "description",
		.help = "Text shown to operators",
		.source = "ACLI"),
	TEXT(S, location, "location",
		.help = "Place of the machine, shown to operators",
		.source = "ACLI"),
	TEXT(S, mib_system_contact, "mib-system-contact", .flags = UNSERVED,
		.help = "Contact person, a label in the metrics too",
		.source = "ACLI"),
	TEXT(S, mib_system_name, "mib-system-name", .flags = UNSERVED,
		.help = "Name of the system, a label in the metrics too",
		.source = "ACLI"),
	TEXT(S, mib_system_location, "mib-system-location", .flags = UNSERVED,
		.help = "Place of the system, a label in the metrics too",
		.source = "ACLI"),
	LEVEL(S, process_log_level, "process-log-level", .dflt = "NOTICE",
		.help = "Level of all components that log-levels does not name",
		.source = "ACLI"),
	LEVELS(S, log_levels, "log-levels",
		.help = "Level of single components, which wins over process-log-level",
		.source = "own"),
	WORD(S, log_target, "log-target", .dflt = "stderr", .words = log_target_words,
		.help = "Where log lines go",
		.source = "own"),
	WORD(S, log_format, "log-format", .dflt = "text", .words = log_format_words,
		.help = "Form of a log line",
		.source = "own"),
	TEXT(S, log_path, "log-path", .flags = FILE_NAME,
		.help = "Folder of the log files; empty is the folder log beside the database",
		.source = "own"),
	FLAG(S, call_trace, "call-trace", .dflt = "disabled",
		.help = "Copy each SIP message to sipmsg.log",
		.source = "ACLI"),
	UINT(S, debug_timeout, "debug-timeout", .dflt = "3600", .min = 0, .max = 86400, .unit = "s",
		.help = "End of a debug trace begun with notify, 0 or 60-86400; 0 is never",
		.source = "ACLI"),
	UINT(S, console_timeout, "console-timeout", .dflt = "900", .min = 0, .max = 65535, .unit = "s",
		.help = "Idle time after which a shell connection ends; 0 is never",
		.source = "ACLI"),
	FLAG(S, cli_more, "cli-more", .dflt = "enabled",
		.help = "Show long output page by page",
		.source = "ACLI"),
	UINT(S, config_versions_kept, "config-versions-kept", .dflt = "50", .min = 1, .max = 1000,
		.help = "Number of saved versions that are kept",
		.source = "own"),
	NAMES(S, verify_ignore, "verify-ignore",
		.help = "Rules of verify-config to leave out, as ID or ID:KEY; an ERROR cannot be left out",
		.source = "own"),
	UINT(S, shutdown_timeout, "shutdown-timeout", .dflt = "5", .min = 0, .max = 3600, .unit = "s",
		.help = "Longest time from SIGTERM to the end; calls that remain get BYE",
		.source = "own"),
	ADDRESSES(S, dns_servers, "dns-servers", .flags = PORT_TOO,
		.help = "DNS servers, asked in this order; empty is those of the machine",
		.source = "own"),
	HOST(S, dns_domain, "dns-domain",
		.help = "Domain appended to names without a dot",
		.source = "ACLI network-interface"),
	UINT(S, dns_timeout, "dns-timeout", .dflt = "5", .min = 1, .max = 30, .unit = "s",
		.help = "Longest time for one question, all servers together",
		.source = "ACLI network-interface"),
	UINT(S, dns_max_ttl, "dns-max-ttl", .dflt = "86400", .min = 30, .max = 2073600, .unit = "s",
		.help = "Upper bound for the life of a cached answer",
		.source = "RFC 1035 3.2.1"),
	ADDRESS(S, metrics_address, "metrics-address", .flags = PORT_TOO | UNSERVED,
		.help = "Address and port of the Prometheus metrics; empty is off",
		.source = "own"),
	ADDRESS(S, hep_server, "hep-server", .flags = PORT_TOO | UNSERVED,
		.help = "Address and port that gets HEPv3 copies of SIP messages; empty is off",
		.source = "own"),
	UINT(S, hep_id, "hep-id", .flags = UNSERVED, .dflt = "1", .min = 1, .max = 4294967295,
		.help = "Capture id in HEPv3 packets",
		.source = "own"),
	PASSWORD(S, hep_password, "hep-password", .flags = SECRET | UNSERVED,
		.help = "Capture key in HEPv3 packets",
		.source = "own"),
	OPTIONS(S, options, "options", .words = no_options,
		.help = "No option is known",
		.source = "ACLI"),
	CHILD(S, alarm_thresholds, "alarm-threshold", element_alarm_threshold,
		.help = "Shares of resources at which alarms are raised",
		.source = "ACLI"),
	MODIFIED(S),
	END_OF_FIELDS,
};
#undef S

const struct element element_system_config = {
	.name = "system-config",
	.folder = "system",
	.flags = SINGLE,
	.size = sizeof(struct system_config),
	.fields = system_config_fields,
	.help = "The machine as a whole: names, logs, DNS, shell",
};
/* clang-format on */
