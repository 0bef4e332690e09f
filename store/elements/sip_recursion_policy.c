/*
 * sip-recursion-policy: which answers end the search for further routes
 */
#include "store/elements/sip_recursion_policy.h"

/* clang-format off */
static const char *const mode_words[] = { "consecutive", "absolute", NULL };

#define S sip_response_code
static const struct field sip_response_code_fields[] = {
	UINT(S, response_code, "response-code", .flags = KEY, .dflt = "503", .min = 300, .max = 599,
		.help = "Answer that is counted",
		.source = "RFC 3261 21"),
	UINT(S, attempts, "attempts", .dflt = "1", .min = 1, .max = 1000,
		.help = "How often it comes until no further route is tried",
		.source = "ACLI"),
	END_OF_FIELDS,
};
#undef S

const struct element element_sip_response_code = {
	.name = "sip-response-code",
	.folder = "session-router",
	.size = sizeof(struct sip_response_code),
	.fields = sip_response_code_fields,
	.help = "An answer and how often it may come",
};

#define S sip_recursion_policy
static const struct field sip_recursion_policy_fields[] = {
	NAME(S, name, "name", .flags = KEY | REQUIRED,
		.help = "Name that session-agents use",
		.source = "ACLI"),
	TEXT(S, description, "description",
		.help = "Text shown to operators",
		.source = "ACLI"),
	UINT(S, global_count, "global-count", .dflt = "0", .min = 0, .max = 1000,
		.help = "Routes that are tried in all; 0 is off",
		.source = "ACLI"),
	WORD(S, mode, "mode", .dflt = "consecutive", .words = mode_words,
		.help = "Whether attempts counts answers in a row or in all",
		.source = "ACLI"),
	CHILD(S, sip_response_codes, "sip-response-code", element_sip_response_code,
		.help = "Answers that end the search, with how often they may come",
		.source = "ACLI"),
	MODIFIED(S),
	END_OF_FIELDS,
};
#undef S

const struct element element_sip_recursion_policy = {
	.name = "sip-recursion-policy",
	.folder = "session-router",
	.size = sizeof(struct sip_recursion_policy),
	.fields = sip_recursion_policy_fields,
	.help = "Which answers end the search for further routes",
};
/* clang-format on */
