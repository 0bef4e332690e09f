/*
 * What the rules ask about a configuration: names, realms, ports, targets
 *
 * Made once for a run, then only read. Whatever is looked up by many objects
 * is sorted here, so that no rule compares all pairs. The configuration may be
 * wrong in any way: references lead nowhere, parents go round in circles.
 */
#pragma once

#include <stdarg.h>
#include "store/base.h"
#include "store/config.h"
#include "store/elements/elements.h"
#include "store/outside.h"
#include "store/rules.h"

struct realm_facts {
	const struct realm_config *config;
	const struct item *item;
	const struct realm_facts *named;     /* parent-realm, or NULL */
	const struct realm_facts *parent;    /* the same; NULL in a circle */
	const struct sip_interface *own;     /* sip-interface, any state */
	const struct realm_facts *interface; /* who has the one used; NULL */
	const struct realm_facts *pools;     /* who has the ones used; NULL */
	bool has_pool;                       /* of its own */
	bool below; /* a child, or a child of one, has a sip-interface */
	bool is_public;
};

/** A sip-port with the interface that it is in */
struct port_facts {
	const struct sip_port *port;
	const struct sip_interface *interface;
	const struct item *item; /* of the interface */
	struct sa local;         /* with port */
	bool wildcard;           /* 0.0.0.0 or :: */
};

struct agent_facts {
	const struct session_agent *agent;
	size_t place; /* in the configuration */
};

/** A policy seen from one of its source-realms */
struct way {
	const struct realm_facts *from; /* NULL: "*" */
	const struct local_policy *policy;
	const struct item *item;
};

struct ways {
	const struct way *v;
	size_t n;
};

/** An entry that the configuration has not: the credential table may */
struct want {
	struct finding_about about;
	const char *realm, *lookup;
	const char *auth_realm; /* NULL: any will do */
	bool met;
};

struct wants {
	struct want *v;
	size_t n, room;
};

struct survey {
	const struct config *cfg;
	const struct outside *outside; /* whom it may ask; never NULL */
	stamp now;                     /* 0: unknown */
	struct list *findings;
	int err; /* the first; later findings are left out */

	const struct sip_config *sip;
	const struct media_manager *media;
	struct realm_facts *realms; /* in order of the configuration */
	size_t realms_n;
	const struct realm_facts **realm_names;  /* sorted */
	const struct realm_facts **realm_nocase; /* without case, then with */
	struct agent_facts *agent_names;         /* sorted without case */
	const struct session_agent **agent_addresses;
	size_t agents_n, agent_addresses_n;
	struct port_facts *ports; /* in order of the configuration */
	size_t ports_n;
	struct port_facts **port_addresses; /* sorted */
	struct way *ways;                   /* of enabled policies, sorted */
	size_t ways_n;
	struct wants wants;

	char *texts[16];
	unsigned text;
};

/**
 * Look at a configuration
 *
 * @param s    Zeroed but for cfg, findings and what the caller can look up
 *
 * @return 0; ENOMEM, survey_finish is needed all the same
 */
int survey_init(struct survey *s);

/** Free what survey_init made */
void survey_finish(struct survey *s);

/** Append a finding; the first error stays in s->err */
void survey_found(struct survey *s, const char *id,
		  const struct finding_about *about, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/** A text that lives until 16 later ones were made; "" without memory */
const char *survey_text(struct survey *s, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/** Key of an object as text, as long as survey_text */
const char *survey_key(struct survey *s, const struct element *type,
		       const void *item);

/** Value of a field for people, lists in brackets; as long as survey_text */
const char *survey_value(struct survey *s, const struct field *f,
			 const void *item);

/** An address, with its port where it has one; as long as survey_text */
const char *survey_address(struct survey *s, const struct sa *sa);

/** Look for an entry in the credential table once all are known */
void survey_want(struct survey *s, const struct want *want);

/** A finding about an object; about a sub-element of it */
struct finding_about about_item(const struct item *item);
struct finding_about about_child(const struct item *item,
				 const struct element *type, const void *child);

/** Place of an agent in the configuration */
size_t survey_agent_place(const struct survey *s,
			  const struct session_agent *agent);

/** Realm by name; NULL if there is none */
const struct realm_facts *survey_realm(const struct survey *s,
				       const char *name);

/** Realm whose name is the same but for its case; NULL if there is none */
const struct realm_facts *survey_realm_nocase(const struct survey *s,
					      const char *name);

/** Session-agent with this hostname; NULL if there is none */
const struct session_agent *survey_agent_named(const struct survey *s,
					       const char *hostname);

/**
 * Session-agent that a target means (configuration.md 3.1): by hostname, then
 * by ip-address, in the realm before others
 */
const struct session_agent *survey_agent(const struct survey *s,
					 const char *target, const char *realm);

/** Egress realm (configuration.md 2.2) of a realm or NULL and an agent or
 *  NULL; "" if none names one */
const char *survey_egress(const struct survey *s, const char *realm,
			  const struct session_agent *agent);

/** Address that a target has without DNS, with port; false if it has none */
bool survey_target_address(const struct survey *s, const char *target,
			   const char *realm, struct sa *sa);

/** Address of an agent with its port; false if DNS has to tell */
bool agent_address(const struct session_agent *agent, struct sa *sa);

/** Does the agent live in a certain realm, and not in any? */
bool agent_has_realm(const struct session_agent *agent);

/** Is the target "SAG:name", "enum:name" or "lrt:name"? */
bool target_is_table(const char *target);

/** Policies with the realm as a source-realm; NULL: those with "*" */
struct ways survey_ways(const struct survey *s,
			const struct realm_facts *realm);

/** Place in port_addresses of the first that is not before address and port */
size_t survey_port_place(const struct survey *s, const struct sa *sa);

/**
 * A sip-port at an address, or NULL
 *
 * @param with_port  The port has to be the same
 * @param any        One at 0.0.0.0 or :: will do, too
 */
const struct port_facts *survey_port(const struct survey *s,
				     const struct sa *sa, bool with_port,
				     bool any);

/** Realm to which an agent sends REGISTER (configuration.md 2.12): that of
 *  proxy-name, of the session-agent named register-host, of a policy for the
 *  AoR, or sip-config's; "" if nothing gives one, NULL if it cannot be told */
const char *survey_registrar_realm(const struct survey *s,
				   const struct surrogate_agent *agent);

/** Realm of the policy that takes the REGISTER of an agent; "" there is none,
 *  NULL if it cannot be told */
const char *survey_policy_realm(const struct survey *s,
				const struct surrogate_agent *agent);
