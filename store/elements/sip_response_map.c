/*
 * sip-response-map: status codes that become others
 */
#include "store/elements/sip_response_map.h"

/* clang-format off */
#define S sip_response_entry
static const struct field sip_response_entry_fields[] = {
	UINT(S, recv_code, "recv-code", .flags = KEY | REQUIRED, .min = 100, .max = 699,
		.help = "Status code as it came, or as the SBC would send it",
		.source = "RFC 3261 21"),
	METHODS(S, method, "method", .flags = KEY, .max = 1,
		.help = "Only in answers to this method; empty is all",
		.source = "ACLI"),
	UINT(S, xmit_code, "xmit-code", .flags = REQUIRED, .min = 100, .max = 699,
		.help = "Status code that is sent; provisional, 2xx and failure stay what they are",
		.source = "ACLI"),
	TEXT(S, reason, "reason",
		.help = "Reason phrase; empty is the usual one",
		.source = "RFC 3261 7.2"),
	UINT(S, q850_cause, "q850-cause", .dflt = "0", .min = 0, .max = 127,
		.help = "Cause in a Reason header; 0 is none",
		.source = "RFC 3326 2, RFC 6432"),
	TEXT(S, q850_reason, "q850-reason",
		.help = "Text beside q850-cause",
		.source = "RFC 3326 2"),
	END_OF_FIELDS,
};
#undef S

const struct element element_sip_response_entry = {
	.name = "entries",
	.folder = "session-router",
	.size = sizeof(struct sip_response_entry),
	.fields = sip_response_entry_fields,
	.help = "A status code and what becomes of it",
};

#define S sip_response_map
static const struct field sip_response_map_fields[] = {
	NAME(S, name, "name", .flags = KEY | REQUIRED,
		.help = "Name that response-map and local-response-map refer to",
		.source = "ACLI"),
	CHILD(S, entries, "entries", element_sip_response_entry,
		.help = "Status codes that become others",
		.source = "ACLI"),
	MODIFIED(S),
	END_OF_FIELDS,
};
#undef S

const struct element element_sip_response_map = {
	.name = "sip-response-map",
	.folder = "session-router",
	.size = sizeof(struct sip_response_map),
	.fields = sip_response_map_fields,
	.help = "Status codes that become others",
};
/* clang-format on */
