/*
 * Where a name leads: NAPTR, SRV, A, AAAA, cache by TTL, stale answers
 *
 * RFC 3263 on c-ares, one per worker. Rules: behaviour.md 2.8.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include "store/base.h"
#include "realms/realms.h"

enum {
	RESOLVE_TARGETS = 16
};

struct resolver;
struct resolve; /* a question under way */

struct resolve_query {
	const struct realm *realm; /* egress: its DNS servers, its families */
	struct pl host;            /* name or address */
	uint16_t port;             /* 0: none was given */
	enum transport
		transport; /* TRANSPORT_NONE: NAPTR or SRV tell, else UDP */
};

struct resolved {
	struct sa addr[RESOLVE_TARGETS]; /* with port, in order of use */
	uint8_t transport[RESOLVE_TARGETS];
	uint32_t n;
};

/** The question is over and its pointer void. err: 0; otherwise as resolve();
 *  found is NULL then. Called at the end of a turn, never from resolve() */
typedef void(resolve_h)(int err, const struct resolved *found, void *arg);

struct resolver_setup {
	const struct system_config *system; /* servers, timeouts; copied */
	const struct realms
		*realms; /* where dns-realm is looked up; stays until
					the next change; NULL: nowhere */
};
/** For the calling thread, which has a loop and a wheel. 0; ENOMEM */
int resolver_open(struct resolver **rp, const struct resolver_setup *setup);
/** Who still waits is not called, and his question is gone */
void resolver_close(struct resolver *r);
/** Take over a new configuration; cache and questions under way stay. 0; ENOMEM,
 *  then the former servers are asked */
int resolver_change(struct resolver *r, const struct resolver_setup *setup);

/**
 * Ask. Addresses and cached answers come at once.
 *
 * @param pendingp  Set to the question when it is under way: resolve_cancel
 *                  takes it back. NULL when the answer came at once
 * @param r         Resolver
 * @param q         Question; realm stays until the answer, host is copied
 * @param found     Set when the answer came at once: 1 .. RESOLVE_TARGETS
 *                  targets in order of use, those that failed of late last
 * @param h         Called with the answer, within dns-timeout
 * @param arg       Its argument
 *
 * @return 0 answered at once; EINPROGRESS h will be called; ENOENT the name does
 *         not exist; ETIMEDOUT DNS does not answer and nothing is cached;
 *         EAFNOSUPPORT no sip-port of the realm fits; ENOMEM; EINVAL no DNS
 *         server can be used
 *
 * Source: RFC 3263 4, RFC 2782
 */
int resolve(struct resolve **pendingp, struct resolver *r,
	    const struct resolve_query *q, struct resolved *found, resolve_h *h,
	    void *arg);
/** What is known of it now, also when it is out of date; nothing is asked, and the
 *  cache stays as it is. found as resolve(). 0; ENOENT; ETIMEDOUT not known;
 *  EAFNOSUPPORT; ENOMEM */
int resolve_look(struct resolver *r, const struct resolve_query *q,
		 struct resolved *found);

/** Take a question back, before its handler is called; NULL is fine */
void resolve_cancel(struct resolve *pending);

/** A target failed, or answered: failed ones are put last for 30 s, doubling up
 *  to 5 min; or for so many seconds (Retry-After), when not 0. Failures while
 *  it is avoided count as one */
void target_failed(struct resolver *r, const struct sa *addr, uint8_t transport,
		   uint32_t seconds);
void target_worked(struct resolver *r, const struct sa *addr,
		   uint8_t transport);
/** Is it put last at present? */
bool target_is_avoided(const struct resolver *r, const struct sa *addr,
		       uint8_t transport);

/** Version of the library that asks */
const char *resolver_library(void);

/** Forget the answers for a name, and for its services (_sip._udp.NAME), or all
 *  of them with NULL: they are asked for anew. How many were forgotten */
uint32_t resolver_clear(struct resolver *r, const char *name);

/** Servers that are asked together: one of them is, the next when it is silent */
struct resolver_servers {
	const char *servers; /* "192.0.2.53:53"; "" those of resolv.conf */
	bool down;           /* the alarm is up */
	uint32_t silent;     /* questions in a row they left open */
	uint32_t trip;       /* smoothed time of an answer [us]; 0: none yet */
	uint64_t answered, lost;
};
typedef void(resolver_servers_h)(const struct resolver_servers *s, void *arg);

/** Walk them, in the order in which they were first needed */
void resolver_servers_walk(const struct resolver *r, resolver_servers_h *h,
			   void *arg);

/** A row of show dns */
struct resolver_row {
	const char *servers; /* "192.0.2.53:53"; "" those of resolv.conf */
	const char *name, *type;
	uint32_t ttl;      /* [s] left; 0: used while servers are silent */
	char answers[256]; /* "10 5 5060 a.example.net, ..."; "" no such name */
};
typedef void(resolver_h)(const struct resolver_row *row, void *arg);

/** Walk a slice of the cache, as table_walk; the handler changes nothing */
size_t resolver_walk(const struct resolver *r, size_t from, size_t limit,
		     resolver_h *h, void *arg);
