/*
 * TCP connections, each with an id that is never used again
 *
 * The listener of one sip-port and all that it accepted or opened. A connection
 * is named by 64 random bits, so that an answer never leaves on another one
 * that happens to have its descriptor. TLS and WebSocket will stand between
 * the bytes of the socket and those of framing.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include "store/base.h"

struct connections;

/** Sent, or not: errno; called once, maybe before the sending function returns.
 *  conn is the connection that was used, 0 with UDP */
typedef void(sent_h)(int err, uint64_t conn, void *arg);

/** A message came; refuse as in struct arrival */
typedef void(connection_message_h)(uint64_t conn, const struct sa *peer,
				   struct mbuf *mb, uint16_t refuse, void *arg);
/** A connection was lost or closed */
typedef void(connection_lost_h)(uint64_t conn, const struct sa *peer,
				void *arg);

/** On what terms a connection with a peer is held; zeroed: as the system does it,
 *  and for requests of ours to the very address and port of the peer */
struct connection_terms {
	bool probes_set, probes; /* TCP keep-alive: on or off */
	bool stranger;           /* whom the configuration does not know */
	bool apart; /* of those that the peer opened: none of ours use it */
	struct sa serves; /* ... requests of ours to here do; AF_UNSPEC: none */
};
typedef void(connection_terms_h)(const struct sa *peer,
				 struct connection_terms *out, void *arg);

struct connections_setup {
	struct sa local;      /* to listen at, and to speak from; port 0: any */
	uint32_t message_max; /* [bytes] */
	uint32_t idle;        /* of connections that we opened [s], 0: never */
	uint32_t max; /* connections that peers open, of strangers half of it;
			 and that we open */
	connection_message_h *message;
	connection_lost_h *lost;
	connection_lost_h *ping;   /* a ping came; NULL: not told */
	connection_terms_h *terms; /* asked as it is made; NULL: the usual */
	void *arg;
};

/** Listen. 0; EADDRINUSE, EADDRNOTAVAIL, ...; ENOMEM */
int connections_open(struct connections **allp,
		     const struct connections_setup *setup);

/** Close listener and connections: outcomes that somebody waits for are
 *  ENOTCONN, losses are not told. NULL is fine */
void connections_close(struct connections *all);

/** Take over limits for what comes from now on */
void connections_change(struct connections *all, uint32_t message_max,
			uint32_t idle);

/** Address that is listened at */
const struct sa *connections_local(const struct connections *all);

/**
 * Send on a connection
 *
 * @param all   Connections
 * @param dst   Where to
 * @param conn  Connection to use; 0: any to dst, or a new one
 * @param only  This connection or none
 * @param mb    Bytes from pos to end; a reference is taken
 * @param h     Told the outcome, or NULL; called exactly once if 0 is returned
 * @param arg   Its argument
 *
 * @return 0; ENOTCONN the only connection is gone; ENOBUFS too much waits, or
 *         too many connections; ENOMEM; errno of the socket
 */
int connections_send(struct connections *all, const struct sa *dst,
		     uint64_t conn, bool only, struct mbuf *mb, sent_h *h,
		     void *arg);

/** May it be closed when it idles? Not while one of those who said so wants it:
 *  each takes it back */
void connections_keep(struct connections *all, uint64_t conn, bool keep);

/** Number of open connections, those being opened too */
uint32_t connections_count(const struct connections *all);
