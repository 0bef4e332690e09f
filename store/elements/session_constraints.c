/*
 * session-constraints: limits of a realm or a sip-interface
 */
#include "store/elements/session_constraints.h"
#include "store/elements/session_agent.h"

/* clang-format off */
#define S session_constraints
static const struct field session_constraints_fields[] = {
	NAME(S, name, "name", .flags = KEY | REQUIRED,
		.help = "Name that constraint-name refers to",
		.source = "ACLI"),
	FLAG(S, state, "state", .dflt = "enabled",
		.help = "Disabled means no limit",
		.source = "ACLI"),
	UINT(S, max_sessions, "max-sessions", .dflt = "0", .min = 0, .max = 999999999,
		.help = "Simultaneous sessions; 0 is no limit",
		.source = "ACLI"),
	UINT(S, max_inbound_sessions, "max-inbound-sessions", .dflt = "0", .min = 0, .max = 999999999,
		.help = "Simultaneous sessions that come in; 0 is no limit",
		.source = "ACLI"),
	UINT(S, max_outbound_sessions, "max-outbound-sessions", .dflt = "0", .min = 0, .max = 999999999,
		.help = "Simultaneous sessions that go out; 0 is no limit",
		.source = "ACLI"),
	UINT(S, max_burst_rate, "max-burst-rate", .dflt = "0", .min = 0, .max = 999999999, .unit = "per s",
		.help = "INVITEs both ways, average over burst-rate-window; 0 is no limit",
		.source = "ACLI"),
	UINT(S, max_inbound_burst_rate, "max-inbound-burst-rate", .dflt = "0", .min = 0, .max = 999999999, .unit = "per s",
		.help = "INVITEs that come in, average over burst-rate-window; 0 is no limit",
		.source = "ACLI"),
	UINT(S, max_outbound_burst_rate, "max-outbound-burst-rate", .dflt = "0", .min = 0, .max = 999999999, .unit = "per s",
		.help = "INVITEs that go out, average over burst-rate-window; 0 is no limit",
		.source = "ACLI"),
	UINT(S, max_sustain_rate, "max-sustain-rate", .dflt = "0", .min = 0, .max = 999999999, .unit = "per s",
		.help = "INVITEs both ways, over the present and the last window; 0 is no limit",
		.source = "ACLI"),
	UINT(S, max_inbound_sustain_rate, "max-inbound-sustain-rate", .dflt = "0", .min = 0, .max = 999999999, .unit = "per s",
		.help = "INVITEs that come in, average over sustain-rate-window; 0 is no limit",
		.source = "ACLI"),
	UINT(S, max_outbound_sustain_rate, "max-outbound-sustain-rate", .dflt = "0", .min = 0, .max = 999999999, .unit = "per s",
		.help = "INVITEs that go out, average over sustain-rate-window; 0 is no limit",
		.source = "ACLI"),
	UINT(S, burst_rate_window, "burst-rate-window", .dflt = "0", .min = 0, .max = 999999999, .unit = "s",
		.help = "Window of the burst rates; 0 is no effect",
		.source = "ACLI"),
	UINT(S, sustain_rate_window, "sustain-rate-window", .dflt = "0", .min = 0, .max = 999999999, .unit = "s",
		.help = "Window of the sustained rates; 0 is no effect",
		.source = "ACLI"),
	UINT(S, time_to_resume, "time-to-resume", .dflt = "0", .min = 0, .max = 999999999, .unit = "s",
		.help = "Pause after a limit was exceeded",
		.source = "ACLI"),
	UINT(S, ttr_no_response, "ttr-no-response", .flags = UNSERVED, .dflt = "0", .min = 0, .max = 999999999, .unit = "s",
		.help = "Pause of an agent out of service before it is tried again; 0 is 32 s",
		.source = "ACLI"),
	UINT(S, in_service_period, "in-service-period", .flags = UNSERVED, .dflt = "0", .min = 0, .max = 999999999, .unit = "s",
		.help = "The agent must answer this long before it is in service again",
		.source = "ACLI"),
	UINT(S, min_seizures, "min-seizures", .dflt = "5", .min = 1, .max = 999999999,
		.help = "Calls from which min-asr counts",
		.source = "ACLI"),
	UINT(S, min_asr, "min-asr", .dflt = "0", .min = 0, .max = 100, .unit = "%",
		.help = "Share of answered calls below which a limit counts as exceeded; 0 is off",
		.source = "ACLI"),
	CHILD(S, rate_constraints, "rate-constraints", element_rate_constraint,
		.help = "Rates of single methods",
		.source = "ACLI"),
	MODIFIED(S),
	END_OF_FIELDS,
};
#undef S

const struct element element_session_constraints = {
	.name = "session-constraints",
	.folder = "session-router",
	.size = sizeof(struct session_constraints),
	.fields = session_constraints_fields,
	.help = "Limits; each realm and each sip-interface that names them counts by itself",
};
/* clang-format on */
