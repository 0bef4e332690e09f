/*
 * Which credentials answer a challenge
 *
 * One function a row of behaviour.md 6.1, in that order. A row answers true when
 * it decides. It sees nothing but the query: what stands in a message cannot
 * choose a look-up.
 */
#include <string.h>
#include "store/base.h"
#include "policy/credential.h"

static const char *const names[] = {
	[BY_REGISTER] = "register",     [BY_POLICY] = "policy",
	[BY_SURROGATE] = "surrogate",   [BY_EGRESS] = "egress-agent",
	[BY_INGRESS] = "ingress-agent", [BY_NOBODY] = "nobody",
};

const char *credential_by_name(enum credential_by by)
{
	return names[by];
}

static bool is_set(const char *text)
{
	return text && text[0];
}

/* auth-realm is compared byte by byte and never with names of realms */
static const struct auth_attribute *entry_find(
	const struct session_agent *agent, const struct pl *auth_realm)
{
	for (uint32_t i = 0; agent && i < agent->auth_attributes.n; ++i) {
		const struct auth_attribute *entry =
			agent->auth_attributes.v[i];

		if (!pl_strcmp(auth_realm, entry->auth_realm))
			return entry;
	}

	return NULL;
}

/* Name the row to fetch; without one the call fails */
static bool fetch(struct credential_choice *out, enum credential_by by,
		  const char *realm, const char *lookup, const char *row)
{
	out->by = by;
	out->realm = realm;
	out->lookup = lookup;
	out->required = true;
	out->row = row;

	return true;
}

static bool take_entry(struct credential_choice *out, enum credential_by by,
		       const struct auth_attribute *entry, const char *row)
{
	out->by = by;
	out->entry = entry;
	out->row = row;

	return true;
}

static bool take_agent(struct credential_choice *out, enum credential_by by,
		       const char *row)
{
	out->by = by;
	out->of_agent = true;
	out->row = row;

	return true;
}

/* A password, or a plug-in that needs none */
static bool has_credentials(const struct surrogate_agent *agent,
			    const struct credential_query *q)
{
	return is_set(agent->password.text) || is_set(agent->auth_plugin) ||
	       q->aor_credentials;
}

/* 1a: a REGISTER is answered by its agent or AoR; 1b: or not at all */
static bool by_register(const struct credential_query *q,
			struct credential_choice *out)
{
	if (!q->registering)
		return false;
	if (has_credentials(q->registering, q))
		return take_agent(out, BY_REGISTER, "1a");

	return fetch(out, BY_REGISTER, NULL, NULL, "1b");
}

/* 2a to 2c: the route names the row; exact auth-realm, then `*` */
static bool by_policy(const struct credential_query *q,
		      struct credential_choice *out)
{
	if (!is_set(q->lookup))
		return false;

	return fetch(out, BY_POLICY, q->realm, q->lookup, "2");
}

/*
 * 3a to 3d: the owner's own credentials go to its registrar only, and a method
 * outside of auth-methods is none of its business
 */
static bool by_surrogate(const struct credential_query *q,
			 struct credential_choice *out)
{
	const struct surrogate_agent *agent = q->owner.agent;

	if (!agent || !q->to_registrar)
		return false;
	if (agent->auth_methods.n &&
	    !names_have(&agent->auth_methods, &q->method))
		return false;
	if (is_set(agent->auth_user_lookup))
		return fetch(out, BY_SURROGATE, q->egress_realm,
			     agent->auth_user_lookup, "3b");
	if (!has_credentials(agent, q))
		return false;

	return take_agent(out, BY_SURROGATE, "3a");
}

/* 4a: the egress session-agent: exact auth-realm, then `*` */
static bool by_egress(const struct credential_query *q,
		      struct credential_choice *out)
{
	static const struct pl any = PL("*");
	const struct auth_attribute *entry =
		entry_find(q->egress, &q->auth_realm);

	if (!entry)
		entry = entry_find(q->egress, &any);

	return entry && take_entry(out, BY_EGRESS, entry, "4a");
}

/*
 * 4b: the ingress session-agent: exact auth-realm, never `*`. A challenge whose
 * realm is the text `*` is no exact match of a wildcard entry. 3d: with an
 * owner, entries at the PBX's own session-agent are ignored.
 */
static bool by_ingress(const struct credential_query *q,
		       struct credential_choice *out)
{
	const struct auth_attribute *entry;

	if (q->owner.agent || !pl_strcmp(&q->auth_realm, "*"))
		return false;

	entry = entry_find(q->ingress, &q->auth_realm);

	return entry && take_entry(out, BY_INGRESS, entry, "4b");
}

typedef bool(row_h)(const struct credential_query *q,
		    struct credential_choice *out);

static row_h *const rows[] = {
	[BY_REGISTER] = by_register,   [BY_POLICY] = by_policy,
	[BY_SURROGATE] = by_surrogate, [BY_EGRESS] = by_egress,
	[BY_INGRESS] = by_ingress,
};

void credential_choose(const struct credential_query *q,
		       enum credential_by after, struct credential_choice *out)
{
	memset(out, 0, sizeof(*out));
	for (int row = after == BY_REGISTER ? BY_REGISTER : (int)after + 1;
	     row < BY_NOBODY; ++row) {
		if (rows[row](q, out))
			return;
	}

	out->by = BY_NOBODY;
	out->row = "5";
}
