/*
 * One signalling thread: its loop, mailbox, plan, and handles to its tables
 *
 * Whatever needs more than one table takes the worker. All members belong to
 * the worker's thread; what is shared between threads says so in its header.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include "store/credentials.h"
#include "store/database.h"
#include "realms/agents.h"
#include "realms/ports.h"
#include "policy/plan.h"

enum {
	SIP_WORKERS = 64,  /* most (sip-workers) */
	MEDIA_THREADS = 64 /* most (media-workers) */
};

/* All signalling workers; fixed before the first thread starts */
struct crew {
	struct worker *v;
	uint32_t n;
};

struct worker {
	pthread_t thread;
	uint8_t number; /* its place in the crew, and in names of its making */
	const struct crew *crew;
	_Atomic uint32_t parcels; /* messages on their way here (sbc/home) */
	bool stopping;            /* new requests outside dialogs get 503 */
	const struct plan *plan;
	struct mailbox *mailbox;
	struct database *db; /* its queue takes from any thread */
	const struct seal *seal;
	struct agents *agents;     /* atomic words */
	struct ports *media_ports; /* likewise */
	struct doors *doors;
	struct port **ports; /* sip-ports by endpoint number; doors owns it */
	uint32_t ports_n;
	struct methods *methods; /* requests and answers counted */
	struct refusals *refusals;
	struct transactions *transactions;
	struct resolver *resolver;
	struct sources *sources; /* by DNS (sbc/sources) */
	struct nonces *nonces;
	struct credentials *credentials;
	struct surrogates *surrogates;
	struct shun *shun;               /* targets that get no new calls */
	struct challengers *challengers; /* who challenged us */
	struct usage *usage;             /* of credentials */
	struct pings *pings;             /* of session-agents */
	struct capacities *capacities;   /* of realms and sip-interfaces */
	/* media threads; a call stays on one of them */
	struct forward *forward[MEDIA_THREADS];
	uint32_t forwards_n, forward_turn;
	struct calls *calls;
	struct pairs *pairs;
	struct shed *shed;         /* what is refused under overload */
	struct lobby *lobby;       /* new requests that wait then */
	struct standing *standing; /* connections that are kept open */
};

typedef void(worker_main_h)(struct worker *w, void *arg);

/**
 * Start the thread: loop of libre, timer wheel, mailbox
 *
 * Comes back when `begin` has run: from then on w->mailbox takes letters. All
 * signals are blocked on the thread.
 *
 * @param w      Worker; number is set, the mailbox's arg is w
 * @param begin  Runs on the thread before the loop, or NULL
 * @param end    Runs on it after the loop, when all letters that came until then
 *               are opened; or NULL
 * @param arg    Second argument of both
 *
 * @return 0; EAGAIN no thread; errno of loop, wheel or mailbox
 */
int worker_start(struct worker *w, worker_main_h *begin, worker_main_h *end,
		 void *arg);

/** Stop the loop and wait for the end of the thread; w->mailbox is NULL then.
 *  Not from a worker's thread */
void worker_join(struct worker *w);
