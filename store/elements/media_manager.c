/*
 * media-manager: media as a whole
 */
#include "store/elements/media_manager.h"

/* clang-format off */
#define S media_manager
static const struct field media_manager_fields[] = {
	FLAG(S, state, "state", .dflt = "enabled",
		.help = "Disabled means that media always goes directly and SDP keeps its addresses",
		.source = "ACLI"),
	FLAG(S, latching, "latching", .dflt = "enabled",
		.help = "Master switch for symmetric-latching",
		.source = "ACLI"),
	UINT(S, flow_time_limit, "flow-time-limit", .dflt = "86400", .min = 0, .max = 4294967295, .unit = "s",
		.help = "Longest life of a media flow; 0 is no limit",
		.source = "ACLI"),
	UINT(S, initial_guard_timer, "initial-guard-timer", .dflt = "300", .min = 0, .max = 4294967295, .unit = "s",
		.help = "Longest wait for the first packet after the answer, then BYE; 0 is no limit",
		.source = "ACLI"),
	UINT(S, subsq_guard_timer, "subsq-guard-timer", .dflt = "300", .min = 0, .max = 4294967295, .unit = "s",
		.help = "Longest silence of a flow, then BYE; 0 is no limit",
		.source = "ACLI"),
	FLAG(S, hnt_rtcp, "hnt-rtcp", .dflt = "disabled",
		.help = "A flow counts as alive when only RTCP comes",
		.source = "ACLI"),
	FLAG(S, anonymous_sdp, "anonymous-sdp", .dflt = "disabled",
		.help = "Write - as user and session name in SDP",
		.source = "RFC 8866 5.2"),
	UINT(S, max_untrusted_signaling, "max-untrusted-signaling", .flags = UNSERVED, .dflt = "10", .min = 1, .max = 100, .unit = "%",
		.help = "Share of time that untrusted sources get together while other work waits",
		.source = "ACLI"),
	UINT(S, tolerance_window, "tolerance-window", .flags = UNSERVED, .dflt = "30", .min = 0, .max = 4294967295, .unit = "s",
		.help = "Window in which the signal thresholds count",
		.source = "ACLI"),
	FLAG(S, syslog_on_demote_to_deny, "syslog-on-demote-to-deny", .flags = UNSERVED, .dflt = "enabled",
		.help = "Log when a source is denied",
		.source = "ACLI"),
	FLAG(S, syslog_on_demote_to_untrusted, "syslog-on-demote-to-untrusted", .flags = UNSERVED, .dflt = "disabled",
		.help = "Log when a source becomes untrusted",
		.source = "ACLI"),
	UINT(S, max_deny_entries, "max-deny-entries", .flags = UNSERVED, .dflt = "65536", .min = 16, .max = 1000000,
		.help = "Places of the deny list; when full the entry that ends first makes room",
		.source = "own"),
	UINT(S, media_workers, "media-workers", .flags = RESTART, .dflt = "0", .min = 0, .max = 64,
		.help = "Media threads; 0 is one per processor that signalling leaves free, 1 to 4",
		.source = "own"),
	MODIFIED(S),
	END_OF_FIELDS,
};
#undef S

const struct element element_media_manager = {
	.name = "media-manager",
	.folder = "media-manager",
	.flags = SINGLE,
	.size = sizeof(struct media_manager),
	.fields = media_manager_fields,
	.help = "Media as a whole: timers, latching, threads",
};
/* clang-format on */
