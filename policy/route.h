/*
 * Local policies: a question in, hops out, best first
 *
 * Compiled: by source realm, then to-address, then from-address; times and
 * methods are tested on candidates only. Rules: behaviour.md 2.2, 2.3, 2.7.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include "realms/match.h"
#include "policy/header.h"

enum {
	ROUTE_HOPS = 32
};

/** Local time, broken down by the caller (sbc/clock) */
struct local_time {
	stamp now; /* YYYYMMDDhhmmss */
	hhmm of_day;
	uint8_t weekday; /* 0 Sunday */
	bool holiday;    /* today counts as one, whatever session-router says */
	bool any;        /* times do not count */
};

struct route_query {
	const struct realm *realm; /* ingress; NULL: any, for a trial */
	struct pl method;
	const struct uri *from, *to; /* From URI; Request-URI */
	const struct uri *called;    /* To URI, for next-key; or NULL */
	const struct uri *asserted;  /* P-Asserted-Identity, for it; or NULL */
	struct local_time now;
	const struct session_agent *agent; /* ingress, or NULL */
	const struct names *carriers;      /* instead of its; or NULL */
	const struct pl *codecs;           /* encoding names of the offer */
	uint32_t codecs_n; /* 0: no offer, media-profiles do not count */
};

/** Where a hop leads */
struct hop {
	const struct local_policy *policy;        /* NULL: default route */
	const struct policy_attribute *attribute; /* why; kept with the call */
	struct line *line;                        /* of the routes, or NULL */
	const struct session_agent *agent;        /* or NULL */
	const struct realm *realm;                /* egress */
	const char *next_hop;                     /* as configured */
	struct pl host; /* to resolve; of an address its text, no brackets */
	struct sa addr; /* with port; AF_UNSPEC: host is for DNS */
	uint16_t port;  /* 0: RFC 3263 */
	enum transport transport; /* TRANSPORT_NONE: any */
	uint32_t cost;
	bool redirected;  /* a 3xx led here */
	const char *ruri; /* and named this Request-URI; NULL: the caller's */
};

struct route {
	struct hop hops[ROUTE_HOPS];
	uint32_t n;
	uint32_t loops; /* further look-ups for a key that was used before */
};

/** Why a candidate was left out: for test-policy */
enum route_fault {
	ROUTE_FITS,
	ROUTE_STATE,
	ROUTE_SOURCE_REALM,
	ROUTE_FROM_ADDRESS,
	ROUTE_TO_ADDRESS,
	ROUTE_ACTIVE_TIME,
	ROUTE_TIME_OF_DAY,
	ROUTE_METHODS,
	ROUTE_APP_PROTOCOL,
	ROUTE_CARRIER,
	ROUTE_NEXT_HOP, /* unreadable, or not for local-policies */
	ROUTE_EGRESS_REALM,
	ROUTE_LOOKUP, /* not sent: what it names was looked up (lookup multi) */
	ROUTE_CUT,    /* terminate-recursion, max-routes, doubled */
};

/** Words for test-policy: "state", "source-realm", ... */
const char *route_fault_name(enum route_fault f);

struct routes;

/** Compile; realms and match must outlive the routes. mem_deref frees. 0;
 *  ENOMEM */
int routes_alloc(struct routes **rp, const struct realms *realms,
		 const struct match *match);

/**
 * Find the hops a request may take, best first
 *
 * Routes with lookup multi are replaced by what a look-up of their key finds, as
 * many stages as session-router allows; results of a later stage come first.
 * Session-agents out of service stay in the list: whoever sends skips them.
 *
 * @param routes  Compiled routes
 * @param q       The question; now in local time
 * @param out     Set to 1 .. ROUTE_HOPS hops; untouched on error
 *
 * @return 0; ENOENT if no policy matches; ERANGE if all lie outside their time
 *
 * Source: RFC 3261 16.5; ACLI local-policy
 */
int route_find(const struct routes *routes, const struct route_query *q,
	       struct route *out);

/** Key of the local-policy that led here, as item_key_print has it; "" none, or no
 *  memory. It is made when it is first asked for, by any thread, and stays with
 *  the routes */
const char *hop_policy_key(const struct hop *hop);

/** Has any route media-profiles, so that a question needs the codecs? */
bool routes_prefer_codecs(const struct routes *routes);

/** The same question to every policy-attribute, with the first check that
 *  failed: test-policy prints what this says */
typedef void(route_explain_h)(const struct local_policy *policy,
			      const struct policy_attribute *attribute,
			      enum route_fault fault, void *arg);
void route_explain(const struct routes *routes, const struct route_query *q,
		   route_explain_h *h, void *arg);

/**
 * Read a next hop: session-agent, address or host name (configuration.md 3.1)
 *
 * SAG:, enum: and lrt: are not followed.
 *
 * @param hop       Set, without policy and attribute; untouched on error
 * @param routes    Compiled routes
 * @param next_hop  As configured; must outlive the hop
 * @param realm     Egress realm; NULL: that of the session-agent, else that of
 *                  sip-config
 *
 * @return 0; EINVAL no known form; ENOENT no egress realm that can send
 */
int hop_read(struct hop *hop, const struct routes *routes, const char *next_hop,
	     const struct realm *realm);
