/*
 * A sip-port without sockets: what is sent is kept, what comes is given
 */
#pragma once

#include "sbc/port.h"

struct fake_sent {
	const struct port *port;
	struct target to;
	struct mbuf *mb; /* a reference; pos as it was given */
};

/** Make a port: "192.0.2.1", 5060. Free with port_close */
struct port *fake_port(const char *addr, uint16_t port, enum transport t);

/** User-Agent of a port; the text stays the caller's */
void fake_port_user_agent(struct port *port, const char *text);

/** What was sent since the last clear, in order; NULL beyond the end */
size_t fake_sent_count(void);
const struct fake_sent *fake_sent(size_t i);
const struct fake_sent *fake_sent_last(void);
void fake_sent_clear(void);

/** Does the i-th message sent begin with this text; does it hold it? */
bool fake_sent_begins(size_t i, const char *text);
bool fake_sent_has(size_t i, const char *text);

/** port_send of all ports: 0, or the errno that it returns */
void fake_port_fail(int err);
/** How often port_send was called; connection that the next sends use */
size_t fake_port_tries(void);
void fake_port_conn(uint64_t conn);
/** Is it kept while it idles? */
bool fake_port_kept(uint64_t conn);
/** Outcomes told later: they wait until fake_port_settle tells them this err */
void fake_port_hold(bool hold);
void fake_port_settle(int err, uint64_t conn);

/** Give a text as a message that came from src, if the port has an
 *  arrival handler. The bytes are copied */
void fake_port_give(struct port *port, const char *src, uint16_t src_port,
		    uint64_t conn, const char *text);
/** Lose a connection; let ICMP refuse a datagram */
void fake_port_lose(struct port *port, uint64_t conn, const struct sa *peer);
void fake_port_refuse(struct port *port, const struct sa *dst, const char *text,
		      int err);

/** Forget what was sent and all settings; call at the end of a test */
void fake_port_reset(void);

/** Who hears what another worker read (port_arrive); NULL: the port's own */
void fake_port_on_arrival(arrival_h *h);
