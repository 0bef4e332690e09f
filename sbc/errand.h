/*
 * Messages for connections of another worker, and what became of them
 *
 * The first worker holds all connections. What another one sends by a sip-port
 * for TCP goes there as a letter, and the outcome comes back as one.
 */
#pragma once

#include "sbc/port.h"
#include "sbc/worker.h"

/** A port_elsewhere_h; arg is the worker. 0; ENOMEM */
int errand_send(const struct port *port, const struct target *to,
		struct mbuf *mb, sent_h *h, void *sent_arg, void *arg);
