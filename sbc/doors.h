/*
 * The sip-ports of a worker: opened for a plan, kept, drained
 *
 * A plan that comes into force while calls go on takes over the sip-ports that
 * are open already. One that it has not any more is drained: requests inside
 * dialogs and what is under way go on over it, new requests get 503, and it is
 * closed when nobody holds it.
 */
#pragma once

#include "sbc/port.h"
#include "sbc/worker.h"

enum {
	DOORS_WHY = 256 /* of the line that says why [bytes] */
};

/** The open sip-ports of a worker */
struct doors;

/** Who hears what comes in; arg is the worker */
struct doors_handlers {
	arrival_h *arrival;
	port_keepalive_h *keepalive;
	port_lost_h *lost;
	port_terms_h *terms;
	port_refused_h *refused;
	void *refused_arg;
};

/** On the worker's thread. 0; ENOMEM */
int doors_open(struct doors **doorsp, struct worker *w,
	       const struct doors_handlers *handlers);

/** Close all sip-ports, drained ones too; NULL is fine */
void doors_close(struct doors *doors);

/**
 * Open what a plan has and the worker has not
 *
 * What is open serves on; what was opened answers new requests with 503 until
 * doors_commit. Each call is followed by one doors_commit or doors_abandon.
 *
 * @param doors  Doors
 * @param plan   Plan; a reference is taken
 * @param why    Set to one clear line on error, DOORS_WHY bytes
 *
 * @return 0; ENOMEM; errno of a socket: then nothing was opened
 */
int doors_prepare(struct doors *doors, const struct plan *plan, char *why);

/** The plan of doors_prepare is in force: number its sip-ports, drain the
 *  rest. Cannot fail */
void doors_commit(struct doors *doors);

/** Close what doors_prepare opened */
void doors_abandon(struct doors *doors);

/** How many sip-ports are being drained */
uint32_t doors_drained(const struct doors *doors);

/** sip-port of an endpoint of the running plan, or of one that a call began
 *  with; NULL while none is open there */
struct port *worker_port(const struct worker *w, const struct endpoint *e);
