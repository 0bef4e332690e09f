/*
 * All calls of a worker by tag and id
 *
 * What the rest of the program sees of calls; the machine is in sbc/call.
 */
#pragma once

#include "sbc/media.h"
#include "sbc/transaction.h"
#include "sbc/worker.h"

struct calls;

int calls_open(struct calls **cp, struct worker *w);
/** BYE and CANCEL to all; done when none is left or the time is over */
void calls_stop(struct calls *c, uint32_t timeout_ms, void (*done)(void *arg),
		void *arg);
void calls_close(struct calls *c);

/** The worker has another plan: calls of sip-interfaces that are switched off in it
 *  end, all where sip-config is (configuration.md 2.7, 2.8) */
void calls_switch_off(struct calls *c);

/** What call_place needs of the table */
struct call_home;
struct call_home *calls_home(struct calls *c);

/** Leg whose tag of ours this is; NULL if there is none */
struct leg;
struct leg *calls_by_tag(struct calls *c, const struct pl *tag);

/** Leg of the dialog that a request names: by our tag, or by all its names where
 *  they were kept (dialog-transparency). NULL if there is none */
struct leg *calls_find(struct calls *c, const struct arrival *from,
		       const struct message *msg);

/** One line of show sessions, and what the call record holds so far */
struct call_report {
	uint64_t id;
	const char *state;
	const char *ingress, *egress;             /* realms */
	const char *ingress_agent, *egress_agent; /* or "" */
	char from[256], to[256];                  /* URIs as received */
	char out_from[256], out_to[256];          /* as sent */
	char callid[2][128];
	uint32_t duration; /* since the answer [s]; 0 before */
	const char *auth;  /* credential_by_name, or "none" */
	char auth_realm[128], auth_lookup[128], auth_user[128];
	uint32_t challenges;
	char aor[320];
	char codec[24];
	char policy[256], next_hop[128];
	uint32_t routes_tried;
};
typedef void(call_h)(const struct call_report *r, void *arg);
/** Walk a slice; from 0, returns where to go on, 0 at the end */
size_t calls_walk(struct calls *c, size_t from, size_t limit, call_h *h,
		  void *arg);
/** Count a slice of those that lie on a sip-interface, by its realm-id (NULL: on
 *  any), and would end with it; *n is raised. Returns as calls_walk */
size_t calls_on(struct calls *c, const char *interface, size_t from,
		size_t limit, uint32_t *n);
/** One of them. 0; ENOENT */
int calls_report(struct calls *c, uint64_t id, call_h *h, void *arg);

/** Media of a call and the realms it lies in; the egress one "" before a hop */
struct call_media {
	uint64_t id;
	const char *realm[2]; /* by enum side */
	struct media_report media;
};
typedef void(call_media_h)(const struct call_media *m, void *arg);
/** Walk a slice as calls_walk. Asks for newer counters for the next time */
size_t calls_media(struct calls *c, size_t from, size_t limit, call_media_h *h,
		   void *arg);
/** End a call with BYE. 0; ENOENT */
int calls_kill(struct calls *c, uint64_t id);
uint32_t calls_count(const struct calls *c);
