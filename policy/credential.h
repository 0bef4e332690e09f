/*
 * Which credentials answer a challenge
 *
 * The decision table of behaviour.md 6.1 as a pure function: it reads nothing
 * and waits for nothing. Whoever asks fetches the row that is named.
 */
#pragma once

#include <stdbool.h>
#include "policy/identity.h"
#include "policy/route.h"

enum credential_by {
	BY_REGISTER,  /* rows 1 */
	BY_POLICY,    /* rows 2 */
	BY_SURROGATE, /* rows 3 */
	BY_EGRESS,    /* row 4a */
	BY_INGRESS,   /* row 4b */
	BY_NOBODY     /* row 5 */
};

/** Name in call records: "register", "policy", ... */
const char *credential_by_name(enum credential_by by);

struct credential_query {
	struct pl method, auth_realm;
	const struct surrogate_agent *registering; /* own REGISTER, else NULL */
	const char
		*realm; /* of the route's policy-attribute or its agent; NULL */
	const char
		*lookup; /* auth-user-lookup of the route; "" or NULL: none */
	const char *egress_realm; /* name; for the agent's auth-user-lookup */
	struct owner owner;
	bool to_registrar;    /* the owner's registrar, row 3a's condition */
	bool aor_credentials; /* the owner's or registering AoR has its own */
	const struct session_agent *egress, *ingress;
};

struct credential_choice {
	enum credential_by by;
	/** Rows to fetch, in this order: (realm, auth_realm, lookup), then
	 *  (realm, "*", lookup). NULL: none to fetch */
	const char *realm, *lookup;
	const struct auth_attribute *entry; /* found in the plan already */
	bool of_agent; /* auth-user and password of agent or AoR: owner */
	bool required; /* no row: the call fails as unauthorized (2c, 3c) */
	bool any;      /* set by who fetches: the row of "*" is the one found */
	const char *row; /* "1a", "1b", "2", "3a", "3b", "4a", "4b", "5"; what
			    a fetch finds makes "2" one of 2a to 2c, "3b" 3c */
};

/**
 * Decide
 *
 * When the row that is named has no entry and auth-lookup-miss is `fallback`,
 * ask again behind it.
 *
 * @param q      The question
 * @param after  BY_REGISTER: from the top; else the row that had no entry: the
 *               search goes on behind it
 * @param out    Set. With `required` and nothing found, also when realm is NULL,
 *               the request fails as unauthorized; in row 1b nothing can be
 *               found
 */
void credential_choose(const struct credential_query *q,
		       enum credential_by after, struct credential_choice *out);
