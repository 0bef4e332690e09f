/*
 * One sip-port: UDP by recvmmsg and sendmmsg, listeners, connections; in and out
 *
 * One recvmmsg takes up to 64 datagrams; what they cause to be sent leaves by
 * one sendmmsg at the end of the turn. The source address is that of the port,
 * so each realm speaks from its own.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include "store/base.h"
#include "realms/realms.h"

struct port;

struct target { /* where a message goes */
	struct sa dst;
	uint64_t conn; /* connection id; 0: any to dst, or a new one */
	uint8_t transport;
	bool only;     /* this connection or none: flows */
	const char *tls_name;
};

struct arrival { /* where it came from */
	struct port *port;
	struct sa src;
	uint64_t conn; /* 0: UDP */
	uint32_t age;  /* [ms] since the kernel took it */
};

/** One message; mb is the handler's only within the call, mem_ref to keep */
typedef void(arrival_h)(const struct arrival *from, struct mbuf *mb,
			void *arg);
/** Sent, or not: errno; called once, maybe before port_send returns */
typedef void(sent_h)(int err, uint64_t conn, void *arg);

struct port_setup {
	const struct endpoint *endpoint; /* address, port, transport are copied */
	uint32_t message_max;   /* sip-message-len */
	uint32_t idle;          /* inactive-dynamic-conn [s] */
	uint32_t receive_buffer; /* SO_RCVBUF wanted [bytes] */
};

/** Open the socket and listen. 0; EADDRINUSE, EADDRNOTAVAIL, ... */
int port_open(struct port **portp, const struct port_setup *setup,
	      arrival_h *h, void *arg);

/** Close the sockets; connections too */
void port_close(struct port *port);

/**
 * Send a message: mb from pos to end. The port takes a reference of mb, which
 * must not be changed afterwards.
 *
 * @param h  Told the outcome where somebody wants to know, or NULL
 *
 * @return 0; ENOTCONN the only connection is gone; errno of the socket
 */
int port_send(struct port *port, const struct target *to, struct mbuf *mb,
	      sent_h *h, void *arg);

const struct sa *port_local(const struct port *port);
enum transport port_transport(const struct port *port);
/** Number of the endpoint in the present plan (set anew at each change) */
uint32_t port_number(const struct port *port);
void port_renumber(struct port *port, uint32_t number);
/** Open connections */
uint32_t port_connections(const struct port *port);
/** Told when a connection is lost */
typedef void(port_lost_h)(uint64_t conn, const struct sa *peer, void *arg);
void port_lost_handler(struct port *port, port_lost_h *h, void *arg);
