/*
 * One sip-port: UDP by recvmmsg and sendmmsg, listeners, connections; in and out
 *
 * One recvmmsg takes up to 64 datagrams; what they cause to be sent leaves by
 * one sendmmsg at the end of the turn. The source address is that of the port,
 * so each realm speaks from its own.
 *
 * Where there are several workers, one of them listens at a sip-port. The others
 * have a port of their own for it: they send datagrams from the same socket, and
 * leave connections to him who listens.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include "store/base.h"
#include "realms/realms.h"
#include "sbc/connection.h"

struct port;

struct target { /* where a message goes */
	struct sa dst;
	uint64_t conn; /* connection id; 0: any to dst, or a new one */
	uint8_t transport;
	bool only; /* this connection or none: flows */
	const char *tls_name;
};

struct arrival { /* where it came from */
	struct port *port;
	struct sa src;
	uint64_t conn; /* 0: UDP */
	uint32_t age;  /* [ms] since the kernel took it */
	/* 0; 400 or 513: of a broken or too long message, whose header section
	 * only is there. transactions_take answers with this code; a connection
	 * closes once the answer is out */
	uint16_t refuse;
	uint8_t handed; /* workers that it passed before (sbc/home) */
};

/** One message; mb is the handler's only within the call, mem_ref to keep */
typedef void(arrival_h)(const struct arrival *from, struct mbuf *mb, void *arg);
struct port_setup {
	const struct endpoint *endpoint; /* copied: address, transport */
	uint32_t message_max;            /* sip-message-len */
	uint32_t idle;                   /* inactive-dynamic-conn [s] */
	uint32_t receive_buffer;  /* SO_RCVBUF wanted [bytes]; 0: 4 MiB */
	uint32_t connections_max; /* as in connections_setup; 0: 10,000 */
	/* Another worker listens: his socket, which is duplicated (UDP) */
	bool elsewhere;
	int fd;
	const char *user_agent; /* copied; NULL or "": none */
};

/** Open the socket and listen. The port is a mem object: whoever outlives its
 *  owner takes a reference. 0; EADDRINUSE, EADDRNOTAVAIL, ...; EPROTONOSUPPORT
 *  TLS and WebSocket; ENOMEM */
int port_open(struct port **portp, const struct port_setup *setup, arrival_h *h,
	      void *arg);

/** Close the sockets, connections too, and give the reference of port_open back.
 *  Who waits for an outcome hears ENOTCONN; later sends get that as well. NULL
 *  is fine */
void port_close(struct port *port);

/** Take over limits for what comes from now on; address, transport and buffer
 *  stay: of the endpoint nothing is read */
void port_change(struct port *port, const struct port_setup *setup);

/**
 * Send a message: mb from pos to end. The port takes a reference of mb, which
 * must not be changed afterwards. Within a turn UDP leaves at its end.
 *
 * @param h  Told the outcome where somebody wants to know, or NULL. Called
 *           exactly once when 0 was returned, and never otherwise
 *
 * @return 0; ENOTCONN the only connection is gone, or the port is closed;
 *         ENOBUFS too much waits already; EMSGSIZE more than a datagram holds;
 *         EPROTONOSUPPORT, EAFNOSUPPORT target is not of the transport or the
 *         family of the port; ENOMEM;
 *         errno of the socket
 */
int port_send(struct port *port, const struct target *to, struct mbuf *mb,
	      sent_h *h, void *arg);

/** Requests longer than this go by `stream`, the sip-port for TCP beside this one
 *  (sbc/large). NULL, or length 0: none does. It must be taken back before that
 *  sip-port is closed */
void port_beside_set(struct port *port, struct port *stream, uint32_t length);
/** The sip-port that a request of n bytes goes by instead; NULL: by this one */
struct port *port_beside(const struct port *port, size_t n);

/** A message that another worker read comes in here; mb NULL: a keep-alive */
void port_arrive(struct port *port, const struct arrival *from,
		 struct mbuf *mb);

/** Sends by a port whose connections are elsewhere, and says of one that it is to
 *  be kept (mb NULL, only: keep it); as port_send */
typedef int(port_elsewhere_h)(const struct port *port, const struct target *to,
			      struct mbuf *mb, sent_h *h, void *sent_arg,
			      void *arg);
void port_elsewhere_handler(struct port *port, port_elsewhere_h *h, void *arg);
/** Its socket (UDP); -1: it has none */
int port_fd(const struct port *port);

const struct sa *port_local(const struct port *port);
/** User-Agent and Server of what leaves here; empty: none */
const struct pl *port_user_agent(const struct port *port);
/** Address and port as they stand in Via and Contact: "192.0.2.1:5060",
 *  "[2001:db8::1]:5060" */
const struct pl *port_sent_by(const struct port *port);
enum transport port_transport(const struct port *port);
/** Number of the endpoint in the present plan (set anew at each change) */
uint32_t port_number(const struct port *port);
void port_renumber(struct port *port, uint32_t number);
/** Where the requests and answers that pass here are counted (NULL: nowhere), and
 *  the realm that stands before them in sipmsg.log; set at each change */
struct methods;
struct methods *port_methods(const struct port *port);
void port_serve(struct port *port, const char *realm, struct methods *m);
/** Open connections */
uint32_t port_connections(const struct port *port);
/** May the connection be closed when it idles? One that carries registrations
 *  may not. A connection that is gone is ignored */
void port_keep(struct port *port, uint64_t conn, bool keep);

/** Does its address still belong to this machine? 0; EADDRNOTAVAIL; nothing else
 *  is said of a machine without descriptors to try it with */
int port_check(const struct port *port);

/** Told when a connection is lost */
typedef void(port_lost_h)(uint64_t conn, const struct sa *peer, void *arg);
void port_lost_handler(struct port *port, port_lost_h *h, void *arg);

/** Asked on what terms a connection with a peer is held; NULL: the usual ones */
typedef void(port_terms_h)(const struct port *port, const struct sa *peer,
			   struct connection_terms *out, void *arg);
void port_terms_handler(struct port *port, port_terms_h *h, void *arg);

/** Told that ICMP refused a datagram: p is what came back of it, from its first
 *  byte. Whoever acts on it looks for a secret of ours in p (the branch), since
 *  anybody can forge ICMP */
typedef void(port_refused_h)(const struct sa *dst, const struct pl *p, int err,
			     void *arg);
void port_refused_handler(struct port *port, port_refused_h *h, void *arg);

/** Told of a keep-alive: CRLFs in a datagram, a ping on a connection */
typedef void(port_keepalive_h)(const struct arrival *from, void *arg);
void port_keepalive_handler(struct port *port, port_keepalive_h *h, void *arg);
