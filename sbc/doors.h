/*
 * The sip-ports of a worker: opened for a plan, kept, drained
 *
 * A plan that comes into force while calls go on takes over the sip-ports that
 * are open already. One that it has not any more is drained: requests inside
 * dialogs and what is under way go on over it, new requests get 503, and it is
 * closed when nobody holds it.
 *
 * Of several workers one listens at each sip-port: at those for connections the
 * first one, at the others whom a hash of their address names. All have a port
 * for it and send by that.
 */
#pragma once

#include "sbc/port.h"
#include "sbc/worker.h"

enum {
	DOORS_WHY = 256 /* of the line that says why [bytes] */
};

/** The open sip-ports of a worker */
struct doors;

/** A sip-port as the worker shows it who listens there; zeroed before */
struct doors_shared {
	int fd;                  /* UDP; else not used */
	_Atomic uint32_t *users; /* workers that have a port for it */
};

/** Who hears what comes in; arg is the worker */
struct doors_handlers {
	arrival_h *arrival;
	port_keepalive_h *keepalive;
	port_lost_h *lost;
	port_terms_h *terms;
	port_refused_h *refused;
	void *refused_arg;
	port_elsewhere_h
		*elsewhere; /* for what goes by connections of others */
};

/** On the worker's thread. 0; ENOMEM */
int doors_open(struct doors **doorsp, struct worker *w,
	       const struct doors_handlers *handlers);

/** Close all sip-ports, drained ones too; NULL is fine */
void doors_close(struct doors *doors);

/**
 * Open what a plan has and the worker has not, where it is the one who listens
 *
 * What is open serves on; what was opened answers new requests with 503 until
 * doors_commit. Each call is followed by one doors_commit or doors_abandon.
 *
 * @param doors   Doors
 * @param plan    Plan; a reference is taken
 * @param shared  What others join: one for each endpoint of the plan
 * @param why     Set to one clear line on error, DOORS_WHY bytes
 *
 * @return 0; ENOMEM; errno of a socket: then nothing was opened
 */
int doors_prepare(struct doors *doors, const struct plan *plan,
		  struct doors_shared *shared, char *why);

/** The rest: where others listen. All workers have prepared before. As
 *  doors_prepare; on error doors_abandon must follow */
int doors_join(struct doors *doors, const struct doors_shared *shared,
	       char *why);

/** The plan of doors_prepare is in force: number its sip-ports, drain the
 *  rest. Cannot fail */
void doors_commit(struct doors *doors);

/** Close what doors_prepare opened */
void doors_abandon(struct doors *doors);

/** How many sip-ports are being drained */
uint32_t doors_drained(const struct doors *doors);

/** sip-port with this address and transport, drained ones too; NULL: there is
 *  none */
struct port *doors_port(const struct doors *doors, const struct sa *local,
			enum transport transport);

/** sip-port of an endpoint of the running plan, or of one that a call began
 *  with; NULL while none is open there */
struct port *worker_port(const struct worker *w, const struct endpoint *e);
