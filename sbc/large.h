/*
 * Requests too long for a datagram: by TCP, and back to UDP where nobody listens
 *
 * RFC 3261 18.1.1. Only the top Via changes. Contact and route set stay those
 * of UDP, so what is short goes on by datagrams. A request that TCP did not take
 * leaves by UDP after all.
 */
#pragma once

#include "sbc/port.h"

/** A request that goes by TCP instead: what it would be by UDP. A mem object */
struct detour {
	struct port *port;
	struct target to;
	struct mbuf *mb;
};

/**
 * Is this request too long for its sip-port, and has that a way by TCP?
 *
 * @param dp    Set to a detour, which holds what was asked for; to NULL when the
 *              request leaves as it is
 * @param port  sip-port; replaced by that for TCP, which needs a reference
 * @param to    Where to; changed
 * @param mb    The request; replaced by another with a reference of its own
 *
 * @return 0; ENOMEM: it leaves as it is
 */
int large_turn(struct detour **dp, struct port **port, struct target *to,
	       struct mbuf **mb);

/** port_send of a request that no transaction cares for (ACK of a 2xx): by TCP
 *  where it is too long, by UDP when that fails */
int large_send(struct port *port, const struct target *to, struct mbuf *mb);
