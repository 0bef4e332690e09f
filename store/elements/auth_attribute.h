/*
 * auth-attribute: credentials of a realm or a session-agent
 *
 * One struct, two tables: the entries of a realm-config have a look-up key,
 * those of a session-agent have none (configuration.md 2.3).
 */
#pragma once

#include "store/schema.h"

struct auth_attribute {
	char *auth_realm;       /* "*": any */
	char *auth_user_lookup; /* "" in a session-agent */
	char *username;
	struct secret password;
	struct names in_dialog_methods; /* empty: all */
	bool security_handling;
	char *auth_plugin;
	struct names auth_plugin_methods;
	bool challenge_passthrough;
};

/** Entries of a realm-config: key auth-realm, auth-user-lookup */
extern const struct element element_realm_auth_attribute;

/** Entries of a session-agent: key auth-realm */
extern const struct element element_agent_auth_attribute;
