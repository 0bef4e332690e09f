/*
 * local-policy: which calls go where
 */
#include "store/elements/local_policy.h"
#include "store/elements/sip_interface.h"

/* clang-format off */
static const char *const action_words[] = { "none", "replace-uri", "redirect", NULL };
static const char *const app_protocol_words[] = { "SIP", NULL };
static const char *const lookup_words[] = { "single", "multi", NULL };
static const char *const next_key_words[] = { "", "$TO", "$FROM", "$PAI", NULL };
static const char *const no_options[] = { NULL };

#define S policy_attribute
static const struct field policy_attribute_fields[] = {
	TARGET(S, next_hop, "next-hop", .flags = KEY | REQUIRED,
		.help = "Target: address, host, session-agent, SAG:, enum: or lrt: name",
		.source = "ACLI"),
	NAME(S, realm, "realm", .flags = KEY, .to = "realm-config",
		.help = "Egress realm, and the realm whose auth-attributes answer; empty is that of the session-agent",
		.source = "ACLI"),
	WORD(S, action, "action", .dflt = "none", .words = action_words,
		.help = "replace-uri puts next-hop into the Request-URI; redirect answers 302 with it",
		.source = "RFC 3261 8.3"),
	FLAG(S, terminate_recursion, "terminate-recursion", .dflt = "disabled",
		.help = "No further route after this one",
		.source = "ACLI"),
	TEXT(S, carrier, "carrier", .max = 24,
		.help = "Used only for calls that may use this carrier",
		.source = "ACLI"),
	HHMM(S, start_time, "start-time", .dflt = "0000",
		.help = "Time of day from which the route is used",
		.source = "ACLI"),
	HHMM(S, end_time, "end-time", .dflt = "2400",
		.help = "Time of day until which the route is used",
		.source = "ACLI"),
	WEEKDAYS(S, days_of_week, "days-of-week", .dflt = "U-S",
		.help = "Days on which the route is used; H is holidays",
		.source = "ACLI"),
	UINT(S, cost, "cost", .flags = KEY, .dflt = "0", .min = 0, .max = 999999999,
		.help = "Lower costs are tried first",
		.source = "ACLI"),
	FLAG(S, state, "state", .dflt = "enabled",
		.help = "Disabled means that the route is not used",
		.source = "ACLI"),
	WORD(S, app_protocol, "app-protocol", .dflt = "SIP", .words = app_protocol_words,
		.help = "Protocol of the route",
		.source = "ACLI"),
	METHODS(S, methods, "methods",
		.help = "Methods that take this route; empty is all",
		.source = "ACLI"),
	NAMES(S, media_profiles, "media-profiles", .flags = SOFT, .to = "media-profile",
		.help = "Preferred when the offer has one of these codecs",
		.source = "ACLI"),
	NAME(S, media_policy, "media-policy", .flags = UNSERVED | SOFT, .to = "media-policy",
		.help = "Marking of media of calls by this route, wins over that of the realm",
		.source = "ACLI"),
	WORD(S, lookup, "lookup", .dflt = "single", .words = lookup_words,
		.help = "multi looks next-hop, or what next-key names, up once more",
		.source = "ACLI"),
	WORD(S, next_key, "next-key", .words = next_key_words,
		.help = "What a further look-up asks for",
		.source = "ACLI"),
	TEXT(S, auth_user_lookup, "auth-user-lookup", .max = 255,
		.help = "Chooses the credentials of the realm in realm",
		.source = "ACLI"),
	END_OF_FIELDS,
};
#undef S

const struct element element_policy_attribute = {
	.name = "policy-attributes",
	.alias = "policy-attribute",
	.folder = "session-router",
	.size = sizeof(struct policy_attribute),
	.fields = policy_attribute_fields,
	.help = "A route of a local-policy: target, realm, cost, times",
};

#define S local_policy
static const struct field local_policy_fields[] = {
	PATTERNS(S, from_address, "from-address", .flags = KEY, .dflt = "*",
		.help = "Address patterns of callers, matched with From",
		.source = "RFC 3966 5.1.1"),
	PATTERNS(S, to_address, "to-address", .flags = KEY, .dflt = "*",
		.help = "Address patterns of called users, matched with the Request-URI",
		.source = "RFC 3966 5.1.1"),
	NAMES(S, source_realm, "source-realm", .flags = KEY | ANY_TOO, .dflt = "*", .to = "realm-config",
		.help = "Ingress realms; * is all",
		.source = "ACLI"),
	TEXT(S, description, "description",
		.help = "Text shown to operators",
		.source = "ACLI"),
	FLAG(S, state, "state", .dflt = "enabled",
		.help = "Disabled means that the policy is not used",
		.source = "ACLI"),
	STAMP(S, activate_time, "activate-time",
		.help = "Local time from which the policy holds; empty is always",
		.source = "ACLI"),
	STAMP(S, deactivate_time, "deactivate-time",
		.help = "Local time until which the policy holds; empty is for ever",
		.source = "ACLI"),
	WORD(S, policy_priority, "policy-priority", .dflt = "none", .words = priority_words,
		.help = "Compared with anonymous-priority of the sip-interface",
		.source = "ACLI"),
	FLAG(S, parallel_forking, "parallel-forking", .dflt = "disabled",
		.help = "Routes of equal cost are tried at the same time",
		.source = "RFC 3261 16.6"),
	OPTIONS(S, options, "options", .words = no_options,
		.help = "No option is known",
		.source = "ACLI"),
	CHILD(S, policy_attributes, "policy-attributes", element_policy_attribute,
		.help = "Routes, at least one",
		.source = "ACLI"),
	MODIFIED(S),
	END_OF_FIELDS,
};
#undef S

const struct element element_local_policy = {
	.name = "local-policy",
	.folder = "session-router",
	.size = sizeof(struct local_policy),
	.fields = local_policy_fields,
	.help = "Which calls go where",
};
/* clang-format on */
