/*
 * Realms compiled from a configuration: by name, by sip-port, parents
 *
 * Part of a plan: immutable once built, read by any thread. All pointers lead
 * into the configuration or into this object.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include "store/base.h"
#include "store/config.h"
#include "store/elements/elements.h"

/** Transports of SIP; the number in tables and in struct target */
enum transport {
	TRANSPORT_UDP,
	TRANSPORT_TCP,
	TRANSPORT_TLS,
	TRANSPORT_WS,
	TRANSPORT_WSS,
	TRANSPORT_NONE
};

/** "UDP", "TCP", ...; parse without case, TRANSPORT_NONE if unknown */
const char *transport_name(enum transport t);
enum transport transport_parse(const struct pl *name);

struct realm;

/** One sip-port of an enabled sip-interface */
struct endpoint {
	const struct sip_interface *interface;
	const struct sip_port *config;
	const struct realm *realm; /* realm-id of the interface */
	struct sa local;           /* with port */
	enum transport transport;
	uint32_t number; /* place in realms->endpoints */
};

struct realm {
	const struct realm_config *config;
	const struct realm *parent;
	const struct sip_interface *interface;   /* own or nearest parent's */
	const struct realm *interface_realm;     /* whose it is; NULL: none */
	const struct endpoint *const *endpoints; /* of interface, in order */
	uint32_t endpoints_n;
	const struct steering_pool *const *pools; /* own or nearest parent's */
	uint32_t pools_n;
	const struct realm *pools_realm;
	uint32_t number; /* place in realms->all */
	bool has_children_without_interface;
};

struct realms {
	const struct config *config;
	struct realm *all;
	uint32_t n;
	struct endpoint *endpoints;
	uint32_t endpoints_n;
	struct realms_index *index;
};

/** Compile; mem_deref frees. 0; ENOMEM; ELOOP parents in a circle */
int realms_alloc(struct realms **rp, const struct config *cfg);

/** Realm by name; NULL if there is none */
const struct realm *realm_find(const struct realms *r, const struct pl *name);

/** Realm by a name of the configuration, zero-ended; "" and NULL give NULL */
const struct realm *realm_named(const struct realms *r, const char *name);

/** Are both the realm of one name? Where one of them may be of another
 *  configuration */
bool realm_same(const struct realm *a, const struct realm *b);

/** Is `up` the realm itself or one of its parents? */
bool realm_is_within(const struct realm *realm, const struct realm *up);

/** First endpoint of the realm that can send to this address over this
 *  transport; NULL if there is none (configuration.md 2.8) */
const struct endpoint *realm_endpoint(const struct realm *realm,
				      const struct sa *dst,
				      enum transport transport);

/** Is this address (port 0: any port) that of a sip-port of ours? */
bool realms_is_local(const struct realms *r, const struct sa *sa);
