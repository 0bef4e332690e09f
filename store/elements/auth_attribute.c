/*
 * auth-attribute: credentials of a realm or a session-agent
 */
#include "store/elements/auth_attribute.h"

/* clang-format off */
#define S auth_attribute
static const struct field realm_auth_attribute_fields[] = {
	TEXT(S, auth_realm, "auth-realm", .flags = KEY | REQUIRED, .max = 255,
		.help = "Realm string of the challenge, compared byte by byte; * is any, when no entry has the exact string",
		.source = "RFC 7616 3.3"),
	TEXT(S, auth_user_lookup, "auth-user-lookup", .flags = KEY | REQUIRED, .max = 255,
		.help = "Key by which policy-attributes and surrogate-agents choose this entry",
		.source = "ACLI"),
	TEXT(S, username, "username", .flags = REQUIRED, .max = 255,
		.help = "Digest username",
		.source = "RFC 7616 3.4"),
	PASSWORD(S, password, "password", .flags = SECRET,
		.help = "Digest password",
		.source = "RFC 7616 3.4"),
	METHODS(S, in_dialog_methods, "in-dialog-methods",
		.help = "Methods that carry credentials unasked inside a dialog; empty is all",
		.source = "ACLI"),
	FLAG(S, security_handling, "security-handling", .flags = UNSERVED, .dflt = "enabled",
		.help = "Disabled means that the SBC answers nothing from configured passwords",
		.source = "own"),
	NAME(S, auth_plugin, "auth-plugin", .flags = UNSERVED, .to = "auth-plugin",
		.help = "Plug-in that answers challenges",
		.source = "own"),
	METHODS(S, auth_plugin_methods, "auth-plugin-methods", .flags = UNSERVED | ANY_TOO, .dflt = "*",
		.help = "Methods handed to the plug-in; * is all",
		.source = "own"),
	FLAG(S, challenge_passthrough, "challenge-passthrough", .flags = UNSERVED, .dflt = "disabled",
		.help = "A challenge that nobody answered goes to the PBX unchanged",
		.source = "own"),
	END_OF_FIELDS,
};
#undef S

const struct element element_realm_auth_attribute = {
	.name = "auth-attribute",
	.alias = "auth-attributes",
	.folder = "media-manager",
	.size = sizeof(struct auth_attribute),
	.fields = realm_auth_attribute_fields,
	.help = "Credentials for challenges of a realm",
};

#define S auth_attribute
static const struct field agent_auth_attribute_fields[] = {
	TEXT(S, auth_realm, "auth-realm", .flags = KEY | REQUIRED, .max = 255,
		.help = "Realm string of the challenge, compared byte by byte; * is any, when no entry has the exact string",
		.source = "RFC 7616 3.3"),
	TEXT(S, username, "username", .flags = REQUIRED, .max = 255,
		.help = "Digest username",
		.source = "RFC 7616 3.4"),
	PASSWORD(S, password, "password", .flags = SECRET,
		.help = "Digest password",
		.source = "RFC 7616 3.4"),
	METHODS(S, in_dialog_methods, "in-dialog-methods",
		.help = "Methods that carry credentials unasked inside a dialog; empty is all",
		.source = "ACLI"),
	FLAG(S, security_handling, "security-handling", .flags = UNSERVED, .dflt = "enabled",
		.help = "Disabled means that the SBC answers nothing from configured passwords",
		.source = "own"),
	NAME(S, auth_plugin, "auth-plugin", .flags = UNSERVED, .to = "auth-plugin",
		.help = "Plug-in that answers challenges",
		.source = "own"),
	METHODS(S, auth_plugin_methods, "auth-plugin-methods", .flags = UNSERVED | ANY_TOO, .dflt = "*",
		.help = "Methods handed to the plug-in; * is all",
		.source = "own"),
	FLAG(S, challenge_passthrough, "challenge-passthrough", .flags = UNSERVED, .dflt = "disabled",
		.help = "A challenge that nobody answered goes to the PBX unchanged",
		.source = "own"),
	END_OF_FIELDS,
};
#undef S

const struct element element_agent_auth_attribute = {
	.name = "auth-attribute",
	.alias = "auth-attributes",
	.folder = "session-router",
	.size = sizeof(struct auth_attribute),
	.fields = agent_auth_attribute_fields,
	.help = "Credentials for challenges of or towards a session-agent",
};
/* clang-format on */
