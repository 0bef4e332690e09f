/*
 * Requests and answers by method, as server and as client
 *
 * The rows of `show sipd METHOD` (acli.md 2.3). A table for the worker, one for
 * each sip-interface, which counts for the worker's too, and one for each
 * session-agent and each realm that had a request. All of a worker's thread.
 */
#pragma once

#include "realms/realms.h"
#include "policy/message.h"
#include "sbc/tally.h"

struct methods;

enum method_side {
	AS_SERVER,
	AS_CLIENT,
	METHOD_SIDES
};

enum method_event {
	METHOD_REQUEST,
	METHOD_RETRANS,          /* of the request */
	METHOD_RESPONSE_RETRANS, /* of an answer */
	METHOD_TIMEOUT,
	METHOD_THROTTLED, /* refused or skipped by a limit of ours */
	METHOD_EVENTS
};

/** Whose a request is beside its sip-interface's, by number; 0: nobody's */
struct parties {
	uint16_t agent, realm;
};

enum party_kind {
	PARTY_AGENT,
	PARTY_REALM
};

/** The worker's table. 0; ENOMEM */
int methods_open(struct methods **mp);
/** Free it and those of the interfaces; NULL is fine */
void methods_close(struct methods *all);

/** Table of a sip-interface by its realm; made at the first call, and kept when
 *  the interface goes. The worker's own without memory */
struct methods *methods_of(struct methods *all, const char *name);
/** The same, if there is one; NULL */
const struct methods *methods_find(const struct methods *all, const char *name);

/** Numbers of a session-agent and a realm, found by their names; NULL is nobody.
 *  They hold while the worker lives. Without memory, and beyond 65,535 of them, 0 */
struct parties methods_parties(struct methods *all,
			       const struct session_agent *agent,
			       const struct realm *realm);
/** Their table, if something was ever counted there; NULL */
const struct methods *methods_party(const struct methods *all,
				    enum party_kind what, const char *name);

/** Count one event, for the parties too (or NULL); of a method that has no row yet
 *  it is lost without memory */
void methods_count(struct methods *m, const struct parties *parties,
		   uint8_t method, enum method_side side, enum method_event ev);
/** Count it for the parties alone, who were not known when it happened */
void methods_count_parties(struct methods *all, const struct parties *parties,
			   uint8_t method, enum method_side side,
			   enum method_event ev);
/** Count an answer */
void methods_status(struct methods *m, const struct parties *parties,
		    uint8_t method, enum method_side side, uint16_t code);
/** The first answer beyond 100 to a request of ours came so late [ms] */
void methods_latency(struct methods *m, const struct parties *parties,
		     uint8_t method, uint32_t ms);

/** All to 0, those of interfaces, session-agents and realms too */
void methods_reset(struct methods *all);

/** A row: name is the event, or NULL for an answer with its code */
struct method_row {
	const char *event;
	uint16_t code;
	struct counter_report of[METHOD_SIDES];
};
typedef void(method_row_h)(const struct method_row *row, void *arg);

struct method_latency {
	uint64_t n, sum; /* [ms] */
	uint32_t max;
};

/** Add what a table of another worker counted to one that methods_open made: the
 *  rows of that table, not those of its parts. 0; ENOMEM */
int methods_join(struct methods *sum, const struct methods *m);

/** Walk the rows in their order: requests, retransmissions, answers by code,
 *  the rest. Nothing was ever seen of the method: no row */
void methods_walk(const struct methods *m, enum method_id method,
		  method_row_h *h, void *arg);
/** How late answers came */
void methods_latency_read(const struct methods *m, enum method_id method,
			  struct method_latency *out);
