/*
 * A sip-port without sockets: what is sent is kept, what comes is given
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "store/base.h"
#include "tests/unit/fake_port.h"

enum {
	SENT_MAX = 65536
};

struct port {
	struct sa local;
	enum transport transport;
	uint32_t number;
	struct methods *methods;
	bool closed;
	struct port *beside;
	uint32_t large;
	char sent_by[64];
	struct pl sent_by_pl, user_agent;
	arrival_h *h;
	void *arg;
	port_lost_h *lost;
	void *lost_arg;
	port_refused_h *refused;
	void *refused_arg;
};

struct waiting {
	sent_h *h;
	void *arg;
};

static struct fake_sent sent[SENT_MAX];
static size_t sent_n;
static struct waiting waiting[SENT_MAX];
static size_t waiting_n;
static bool held;
static int fails;
static size_t tries;
static uint64_t conn_now = 77, kept;

static void say_sent_by(struct port *p)
{
	char addr[48];

	sa_ntop(&p->local, addr, sizeof(addr));
	snprintf(p->sent_by, sizeof(p->sent_by),
		 sa_af(&p->local) == AF_INET6 ? "[%s]:%u" : "%s:%u", addr,
		 sa_port(&p->local));
	pl_set_str(&p->sent_by_pl, p->sent_by);
}

const struct pl *port_user_agent(const struct port *port)
{
	return &port->user_agent;
}

void fake_port_user_agent(struct port *port, const char *text)
{
	pl_set_str(&port->user_agent, text);
}

struct port *fake_port(const char *addr, uint16_t port, enum transport t)
{
	struct port *p = mem_zalloc(sizeof(*p), NULL);

	if (!p || sa_set_str(&p->local, addr, port))
		abort();
	p->transport = t;
	say_sent_by(p);

	return p;
}

int port_open(struct port **portp, const struct port_setup *setup, arrival_h *h,
	      void *arg)
{
	struct port *p = mem_zalloc(sizeof(*p), NULL);

	if (!p)
		return ENOMEM;
	p->local = setup->endpoint->local;
	p->transport = setup->endpoint->transport;
	p->number = setup->endpoint->number;
	p->h = h;
	p->arg = arg;
	say_sent_by(p);
	*portp = p;

	return 0;
}

void port_close(struct port *port)
{
	if (!port)
		return;
	port->closed = true;
	port->h = NULL;
	port->lost = NULL;
	port->refused = NULL;
	mem_deref(port);
}

int port_send(struct port *port, const struct target *to, struct mbuf *mb,
	      sent_h *h, void *arg)
{
	tries++;
	if (fails)
		return fails;
	if (port->closed)
		return ENOTCONN;
	if (to->transport != port->transport)
		return EPROTONOSUPPORT;
	if (sent_n == SENT_MAX || waiting_n == SENT_MAX)
		return ENOBUFS;

	sent[sent_n].port = port;
	sent[sent_n].to = *to;
	sent[sent_n].mb = mem_ref(mb);
	++sent_n;

	if (h && held) {
		waiting[waiting_n].h = h;
		waiting[waiting_n].arg = arg;
		++waiting_n;
	} else if (h) {
		h(0,
		  port->transport == TRANSPORT_UDP ? 0
		  : to->conn                       ? to->conn
						   : conn_now,
		  arg);
	}

	return 0;
}

void port_beside_set(struct port *port, struct port *stream, uint32_t length)
{
	port->beside = length ? stream : NULL;
	port->large = length;
}

struct port *port_beside(const struct port *port, size_t n)
{
	return port->beside && n > port->large ? port->beside : NULL;
}

int port_check(const struct port *port)
{
	(void)port;
	return 0;
}

const struct sa *port_local(const struct port *port)
{
	return &port->local;
}

const struct pl *port_sent_by(const struct port *port)
{
	return &port->sent_by_pl;
}

enum transport port_transport(const struct port *port)
{
	return port->transport;
}

uint32_t port_number(const struct port *port)
{
	return port->number;
}

void port_renumber(struct port *port, uint32_t number)
{
	port->number = number;
}

struct methods *port_methods(const struct port *port)
{
	return port->methods;
}

void port_serve(struct port *port, const char *realm, struct methods *m)
{
	(void)realm;
	port->methods = m;
}

uint32_t port_connections(const struct port *port)
{
	(void)port;

	return 0;
}

void port_keep(struct port *port, uint64_t conn, bool keep)
{
	(void)port;
	if (keep)
		kept = conn;
	else if (kept == conn)
		kept = 0;
}

void port_lost_handler(struct port *port, port_lost_h *h, void *arg)
{
	port->lost = h;
	port->lost_arg = arg;
}

void port_terms_handler(struct port *port, port_terms_h *h, void *arg)
{
	(void)port;
	(void)h;
	(void)arg;
}

void port_keepalive_handler(struct port *port, port_keepalive_h *h, void *arg)
{
	(void)port;
	(void)h;
	(void)arg;
}

void port_change(struct port *port, const struct port_setup *setup)
{
	(void)port;
	(void)setup;
}

void port_refused_handler(struct port *port, port_refused_h *h, void *arg)
{
	port->refused = h;
	port->refused_arg = arg;
}

size_t fake_sent_count(void)
{
	return sent_n;
}

const struct fake_sent *fake_sent(size_t i)
{
	return i < sent_n ? &sent[i] : NULL;
}

const struct fake_sent *fake_sent_last(void)
{
	return sent_n ? &sent[sent_n - 1] : NULL;
}

void fake_sent_clear(void)
{
	while (sent_n)
		mem_deref(sent[--sent_n].mb);
}

bool fake_sent_begins(size_t i, const char *text)
{
	size_t n = strlen(text);

	return i < sent_n && mbuf_get_left(sent[i].mb) >= n &&
	       !memcmp(mbuf_buf(sent[i].mb), text, n);
}

bool fake_sent_has(size_t i, const char *text)
{
	return i < sent_n &&
	       memmem(mbuf_buf(sent[i].mb), mbuf_get_left(sent[i].mb), text,
		      strlen(text)) != NULL;
}

void fake_port_fail(int err)
{
	fails = err;
}

size_t fake_port_tries(void)
{
	return tries;
}

void fake_port_conn(uint64_t conn)
{
	conn_now = conn;
}

bool fake_port_kept(uint64_t conn)
{
	return kept == conn;
}

void fake_port_hold(bool hold)
{
	held = hold;
}

void fake_port_settle(int err, uint64_t conn)
{
	struct waiting *now;
	size_t i, n = waiting_n;

	if (!n)
		return;
	now = malloc(n * sizeof(*now));
	if (!now)
		abort();
	memcpy(now, waiting, n * sizeof(*now));
	waiting_n = 0;
	for (i = 0; i < n; ++i)
		now[i].h(err, err ? 0 : conn, now[i].arg);
	free(now);
}

void fake_port_give(struct port *port, const char *src, uint16_t src_port,
		    uint64_t conn, const char *text)
{
	struct arrival from = { .port = port, .conn = conn };
	struct mbuf *mb = mbuf_alloc(strlen(text) + 1);

	if (!mb || sa_set_str(&from.src, src, src_port))
		abort();
	mbuf_write_mem(mb, (const uint8_t *)text, strlen(text));
	mb->pos = 0;
	if (port->h)
		port->h(&from, mb, port->arg);
	mem_deref(mb);
}

void fake_port_lose(struct port *port, uint64_t conn, const struct sa *peer)
{
	if (port->lost)
		port->lost(conn, peer, port->lost_arg);
}

void fake_port_refuse(struct port *port, const struct sa *dst, const char *text,
		      int err)
{
	struct pl p;

	pl_set_str(&p, text);
	if (port->refused)
		port->refused(dst, &p, err, port->refused_arg);
}

void fake_port_reset(void)
{
	fails = 0;
	held = false;
	tries = 0;
	conn_now = 77;
	kept = 0;
	fake_port_settle(ENOTCONN, 0);
	fake_sent_clear();
}

static arrival_h *arrives;

void fake_port_on_arrival(arrival_h *h)
{
	arrives = h;
}

void port_arrive(struct port *port, const struct arrival *from, struct mbuf *mb)
{
	(arrives ? arrives : port->h)(from, mb, port->arg);
}

void port_elsewhere_handler(struct port *port, port_elsewhere_h *h, void *arg)
{
	(void)port;
	(void)h;
	(void)arg;
}

int port_fd(const struct port *port)
{
	(void)port;

	return -1;
}
