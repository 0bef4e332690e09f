/*
 * A connection that carries bindings: kept, and opened again when it is lost
 *
 * Calls to the PBX come over the connection on which its AoRs registered. It is
 * not closed when it idles; a lost one is opened again after 1, 2, 4 ... 30 s,
 * as long as there are bindings on it (behaviour.md 4.4).
 */
#pragma once

#include "sbc/port.h"
#include "sbc/timer.h"

struct carrier;

/** It is open again: who is bound with another connection is due */
typedef void(carrier_h)(const struct carrier *c, uint64_t conn, void *arg);

/** All of a worker */
struct carriers {
	struct list list;
	carrier_h *back;
	void *arg;
};

/** Begin with none */
void carriers_init(struct carriers *all, carrier_h *back, void *arg);

/** All users are gone or going: forget them, open nothing any more */
void carriers_finish(struct carriers *all);

/**
 * A binding came over a connection
 *
 * @param cp    Carrier of the AoR before, or NULL; set to the present one, NULL
 *              where there is no connection (UDP) or no memory
 * @param all   All carriers
 * @param port  sip-port; a reference is taken
 * @param to    Where the REGISTER went, with the connection that was used
 */
void carrier_use(struct carrier **cp, struct carriers *all, struct port *port,
		 const struct target *to);

/** The binding is over. NULL is fine */
void *carrier_give(struct carrier *c);

/** A connection was lost: if it is a carrier's, it will be opened again */
void carriers_lost(struct carriers *all, uint64_t conn);
