/*
 * One sip-port: UDP by recvmmsg and sendmmsg, listeners, connections; in and out
 *
 * Datagrams are received into slots that belong to the port, and each is handed
 * on as an exact copy: 0.1 us buys that a kept message holds no 64 KiB, and no
 * slot is written again under a reader. A slot costs the pages it was ever
 * written to.
 *
 * ICMP: a socket that is not connected hears of it only with IP_RECVERR. It is
 * wanted, because a process that is gone on a host that answers would else be
 * noticed 32 s later (RFC 3261 18.4). Anybody can forge ICMP, so the part of
 * the datagram that comes back is handed on, and the transaction looks for its
 * branch in it. The price is that the kernel reports each of them once more as
 * the result of some other send or receive, which is then tried again.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/icmp.h>
#include <linux/icmpv6.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
#include <linux/errqueue.h> /* needs time.h, asks for nothing */
#include "store/base.h"
#include "sbc/clock.h"
#include "sbc/counters.h"
#include "sbc/intake.h"
#include "sbc/port.h"
#include "sbc/trace.h"
#include "sbc/turn.h"

enum {
	BATCH = 64,           /* datagrams in one system call */
	DATAGRAM_MAX = 65535, /* [bytes] */
	/* Slots lie so that their first lines do not share a set of the cache */
	SLOT = 65536 + 832,
	CONTROL = 128,           /* time stamp, drops, ICMP [bytes] */
	QUEUE_FIRST = 64,        /* datagrams */
	QUEUE_MAX = 8192,        /* beyond it ENOBUFS */
	BUFFER = 4 << 20,        /* of the socket, when nothing is configured */
	CONNECTIONS_MAX = 10000, /* when nothing is configured */
	AGE_MAX = 60000,         /* beyond it the clock was stepped [ms] */
	TRIES = 3,               /* of a send that ICMP of another one spoils */
	QUOTE_MAX = 1500         /* looked at of what ICMP sends back [bytes] */
};

struct outgoing {
	struct mbuf *mb;
	struct sa dst;
	sent_h *h;
	void *arg;
};

/* Room for one recvmmsg */
struct inlet {
	struct mmsghdr msgs[BATCH];
	struct iovec iov[BATCH];
	struct sa src[BATCH];
	_Alignas(struct cmsghdr) uint8_t control[BATCH][CONTROL];
	uint8_t *slots; /* mapped */
	size_t dirty; /* headers that the last look has filled, from the first */
};

struct port {
	struct sa local;
	struct pl sent_by;
	char sent_by_text[INET6_ADDRSTRLEN + 10];
	struct pl user_agent;
	uint32_t number;
	char realm[32];          /* it speaks in; cut */
	struct methods *methods; /* of the worker */
	uint32_t message_max;
	uint32_t large;      /* a request longer than this ... [bytes] */
	struct port *beside; /* ... goes by this sip-port; not ours */
	enum transport transport;
	bool closed;

	arrival_h *h;
	void *arg;
	port_lost_h *lost;
	void *lost_arg;
	port_refused_h *refused;
	void *refused_arg;
	port_keepalive_h *keepalive;
	void *keepalive_arg;
	port_terms_h *terms;
	void *terms_arg;
	port_elsewhere_h *elsewhere; /* connections are another worker's */
	void *elsewhere_arg;

	/* UDP */
	int fd;
	int listens; /* FD_READ; 0: another worker does */
	int flags;   /* that the loop watches */
	struct inlet *inlet;
	uint32_t drops; /* of the socket, as the kernel counts them */
	struct deferred flush;
	bool flushing;
	struct outgoing *queue;
	size_t head, n, size; /* n waiting from head on */

	/* the others */
	struct connections *connections;
};

static void udp_event(int flags, void *arg);

static void inlet_destructor(void *data)
{
	struct inlet *in = data;

	if (in->slots)
		(void)munmap(in->slots, (size_t)SLOT * BATCH);
}

static int inlet_alloc(struct inlet **inp)
{
	struct inlet *in;
	void *slots;
	size_t i;

	in = mem_zalloc(sizeof(*in), inlet_destructor);
	if (!in)
		return ENOMEM;

	slots = mmap(NULL, (size_t)SLOT * BATCH, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (slots == MAP_FAILED) {
		mem_deref(in);
		return ENOMEM;
	}

	in->slots = slots;
	for (i = 0; i < BATCH; ++i) {
		in->iov[i].iov_base = in->slots + i * SLOT;
		in->iov[i].iov_len = DATAGRAM_MAX;
	}
	in->dirty = BATCH;
	*inp = in;

	return 0;
}

/* What the kernel wrote into is made ready again */
static void inlet_prepare(struct inlet *in)
{
	size_t i;

	for (i = 0; i < in->dirty; ++i) {
		struct msghdr *hdr = &in->msgs[i].msg_hdr;

		hdr->msg_name = &in->src[i].u;
		hdr->msg_namelen = sizeof(in->src[i].u);
		hdr->msg_iov = &in->iov[i];
		hdr->msg_iovlen = 1;
		hdr->msg_control = in->control[i];
		hdr->msg_controllen = CONTROL;
		hdr->msg_flags = 0;
	}
}

/* Age by the kernel's stamp; 0 when the wall clock was stepped in between */
static uint32_t age_of(const struct cmsghdr *cmsg, uint64_t wall)
{
	struct timeval tv;
	uint64_t then;

	memcpy(&tv, CMSG_DATA(cmsg), sizeof(tv));
	then = (uint64_t)tv.tv_sec * 1000 + (uint64_t)tv.tv_usec / 1000;

	return then < wall && wall - then < AGE_MAX ? (uint32_t)(wall - then)
						    : 0;
}

static void drops_note(struct port *port, const struct cmsghdr *cmsg)
{
	uint32_t drops;

	memcpy(&drops, CMSG_DATA(cmsg), sizeof(drops));
	if (drops != port->drops)
		count(COUNT_REQ_DROPPED, drops - port->drops);
	port->drops = drops;
}

static void control_read(struct port *port, struct msghdr *hdr, uint64_t wall,
			 struct arrival *from)
{
	struct cmsghdr *c;

	for (c = CMSG_FIRSTHDR(hdr); c; c = CMSG_NXTHDR(hdr, c)) {
		if (c->cmsg_level != SOL_SOCKET)
			continue;
		if (c->cmsg_type == SO_TIMESTAMP)
			from->age = age_of(c, wall);
		else if (c->cmsg_type == SO_RXQ_OVFL)
			drops_note(port, c);
	}
}

/* Datagrams that keep a NAT open: CRLFs, or nothing at all */
static bool is_keepalive(const uint8_t *p, size_t n)
{
	if (n > 4)
		return false;
	while (n--) {
		if (p[n] != '\r' && p[n] != '\n' && p[n])
			return false;
	}

	return true;
}

/* Header section of a message that is too long; 0: it cannot be told */
static size_t headers_length(const uint8_t *p, size_t n)
{
	const uint8_t *end = memmem(p, n, "\r\n\r\n", 4);

	return end ? (size_t)(end + 4 - p) : 0;
}

static void copy_out(const struct port *port, const struct sa *peer,
		     const uint8_t *p, size_t n, bool out)
{
	const struct trace_message m = {
		.realm = port->realm,
		.local = &port->local,
		.peer = peer,
		.transport = (uint8_t)port->transport,
		.out = out,
		.bytes = { .p = (const char *)p, .l = n },
	};

	trace_message(&m);
}

static void datagram(struct port *port, struct arrival *from, const uint8_t *p,
		     size_t n)
{
	struct mbuf *mb;

	if (is_keepalive(p, n)) {
		if (port->keepalive)
			port->keepalive(from, port->keepalive_arg);
		return;
	}

	if (n > port->message_max) {
		count(COUNT_INVALID_MESSAGES, 1);
		from->refuse = 513;
		n = headers_length(p, port->message_max);
		if (!n)
			return;
	}

	mb = mbuf_alloc(n);
	if (!mb) {
		count(COUNT_REQ_DROPPED, 1);
		return;
	}

	memcpy(mb->buf, p, n);
	mb->end = n;
	if (trace_is_on())
		copy_out(port, &from->src, p, n, false);
	port->h(from, mb, port->arg);
	mem_deref(mb);
}

static void udp_receive(struct port *port)
{
	struct inlet *in = mem_ref(port->inlet);
	uint64_t wall;
	int i, n, tries = TRIES;

	inlet_prepare(in);
	do {
		n = recvmmsg(port->fd, in->msgs, BATCH, MSG_DONTWAIT, NULL);
	} while (n < 0 && errno != EAGAIN && --tries);

	in->dirty = n > 0 ? (size_t)n : 0;
	if (n == BATCH)
		intake_again();
	wall = n > 0 ? clock_wall_ms() : 0;
	for (i = 0; i < n && !port->closed; ++i) {
		struct msghdr *hdr = &in->msgs[i].msg_hdr;
		struct arrival from = { .port = port, .src = in->src[i] };

		from.src.len = hdr->msg_namelen;
		control_read(port, hdr, wall, &from);
		clock_hold();
		if (hdr->msg_flags & MSG_TRUNC)
			count(COUNT_INVALID_MESSAGES, 1);
		else
			datagram(port, &from, in->iov[i].iov_base,
				 in->msgs[i].msg_len);
	}
	clock_release();

	mem_deref(in);
}

/* RFC 3261 18.4: unreachable counts; what may pass by itself does not */
static bool is_refusal(const struct sock_extended_err *e)
{
	switch (e->ee_origin) {
	case SO_EE_ORIGIN_ICMP:
		return e->ee_type == ICMP_DEST_UNREACH &&
		       e->ee_code != ICMP_FRAG_NEEDED;

	case SO_EE_ORIGIN_ICMP6:
		return e->ee_type == ICMPV6_DEST_UNREACH;

	default:
		return false;
	}
}

static void refusal(struct port *port, struct msghdr *hdr, const uint8_t *p,
		    size_t n)
{
	struct sock_extended_err e;
	struct cmsghdr *c;
	struct sa dst;
	struct pl quote = { .p = (const char *)p, .l = n };

	memset(&dst, 0, sizeof(dst));
	memcpy(&dst.u, hdr->msg_name, hdr->msg_namelen);
	dst.len = hdr->msg_namelen;

	for (c = CMSG_FIRSTHDR(hdr); c; c = CMSG_NXTHDR(hdr, c)) {
		if (!(c->cmsg_level == IPPROTO_IP &&
		      c->cmsg_type == IP_RECVERR) &&
		    !(c->cmsg_level == IPPROTO_IPV6 &&
		      c->cmsg_type == IPV6_RECVERR))
			continue;

		memcpy(&e, CMSG_DATA(c), sizeof(e));
		if (is_refusal(&e) && port->refused)
			port->refused(&dst, &quote, (int)e.ee_errno,
				      port->refused_arg);
		return;
	}
}

/* What ICMP sent back, a bounded part per turn */
static void udp_refusals(struct port *port)
{
	_Alignas(struct cmsghdr) uint8_t control[512];
	uint8_t quote[QUOTE_MAX];
	int i;

	for (i = 0; i < BATCH && !port->closed; ++i) {
		struct sockaddr_storage dst;
		struct iovec iov = { quote, sizeof(quote) };
		struct msghdr hdr = {
			.msg_name = &dst,
			.msg_namelen = sizeof(struct sockaddr_in6),
			.msg_iov = &iov,
			.msg_iovlen = 1,
			.msg_control = control,
			.msg_controllen = sizeof(control),
		};
		ssize_t n;

		n = recvmsg(port->fd, &hdr, MSG_ERRQUEUE | MSG_DONTWAIT);
		if (n < 0)
			return;

		refusal(port, &hdr, quote, (size_t)n);
	}
}

/* A descriptor that is watched can be changed there: epoll_ctl does not fail for
 * it. One that is not can, and what waits leaves with the next turn */
static void udp_watch(struct port *port, int flags)
{
	if (port->flags == flags)
		return;
	if (!flags)
		intake_close(port->fd);
	else if (intake_listen(port->fd, flags, udp_event, port))
		return;
	port->flags = flags;
}

static bool is_full(int err)
{
	return err == EAGAIN || err == EWOULDBLOCK || err == ENOBUFS;
}

/* Send what waits, up to a batch. Count sent; -errno: of the first one */
static int udp_send(struct port *port)
{
	struct mmsghdr msgs[BATCH];
	struct iovec iov[BATCH];
	size_t i, n = port->n < BATCH ? port->n : BATCH;
	int sent, tries = TRIES;

	memset(msgs, 0, n * sizeof(*msgs));
	for (i = 0; i < n; ++i) {
		struct outgoing *out = &port->queue[port->head + i];

		iov[i].iov_base = mbuf_buf(out->mb);
		iov[i].iov_len = mbuf_get_left(out->mb);
		msgs[i].msg_hdr.msg_name = &out->dst.u;
		msgs[i].msg_hdr.msg_namelen = out->dst.len;
		msgs[i].msg_hdr.msg_iov = &iov[i];
		msgs[i].msg_hdr.msg_iovlen = 1;
	}

	do {
		sent = sendmmsg(port->fd, msgs, (unsigned)n, MSG_DONTWAIT);
	} while (sent < 0 && !is_full(errno) && --tries);

	return sent < 0 ? -errno : sent;
}

/* The first n are done with: tell who wants to know. He may send again, which
 * goes behind the others, and he may close the port */
static void udp_done(struct port *port, size_t n, int err)
{
	struct outgoing done[BATCH];
	size_t i;

	memcpy(done, port->queue + port->head, n * sizeof(*done));
	port->n -= n;
	port->head = port->n ? port->head + n : 0;

	for (i = 0; i < n; ++i) {
		mem_deref(done[i].mb);
		if (done[i].h)
			done[i].h(err, 0, done[i].arg);
	}
}

static void udp_flush(struct port *port)
{
	if (port->flushing || port->closed)
		return;

	port->flushing = true;
	while (port->n && !port->closed) {
		int sent = udp_send(port);

		if (sent < 0 && is_full(-sent))
			break;

		udp_done(port, sent > 0 ? (size_t)sent : 1,
			 sent > 0 ? 0 : -sent);
	}
	port->flushing = false;

	if (!port->closed)
		udp_watch(port, port->listens | (port->n ? FD_WRITE : 0));
}

static void flush_run(struct deferred *d)
{
	struct port *port =
		(struct port *)((char *)d - offsetof(struct port, flush));

	mem_ref(port);
	udp_flush(port);
	mem_deref(port);
}

static void udp_event(int flags, void *arg)
{
	struct port *port = arg;

	turn_enter();
	mem_ref(port);

	if ((flags & FD_EXCEPT) && port->listens)
		udp_refusals(port);
	if ((flags & FD_READ) && !port->closed)
		udp_receive(port);
	if (flags & FD_WRITE)
		udp_flush(port);

	mem_deref(port);
	turn_leave();
}

/* Room for one more at the end */
static int queue_grow(struct port *port)
{
	size_t size = port->size ? 2 * port->size : QUEUE_FIRST;
	struct outgoing *queue;

	if (port->head + port->n < port->size)
		return 0;

	if (port->n < port->size / 2) {
		memmove(port->queue, port->queue + port->head,
			port->n * sizeof(*port->queue));
		port->head = 0;
		return 0;
	}

	queue = mem_alloc(size * sizeof(*queue), NULL);
	if (!queue)
		return ENOMEM;
	if (port->n)
		memcpy(queue, port->queue + port->head,
		       port->n * sizeof(*queue));
	mem_deref(port->queue);
	port->queue = queue;
	port->size = size;
	port->head = 0;

	return 0;
}

static int udp_queue(struct port *port, const struct target *to,
		     struct mbuf *mb, sent_h *h, void *arg)
{
	struct outgoing *out;
	int err;

	if (mbuf_get_left(mb) > DATAGRAM_MAX)
		return EMSGSIZE;
	if (port->n >= QUEUE_MAX)
		return ENOBUFS;

	err = queue_grow(port);
	if (err)
		return err;

	out = &port->queue[port->head + port->n++];
	out->mb = mem_ref(mb);
	out->dst = to->dst;
	out->h = h;
	out->arg = arg;

	/* While it waits for room, the loop tells when to go on */
	if (!(port->flags & FD_WRITE))
		turn_defer(&port->flush);

	return 0;
}

static void set_buffer(int fd, int name, int force, int bytes)
{
	/* With less the socket works, and drops are counted */
	if (setsockopt(fd, SOL_SOCKET, force, &bytes, sizeof(bytes)))
		(void)setsockopt(fd, SOL_SOCKET, name, &bytes, sizeof(bytes));
}

/* Stamps, drops and ICMP: without one of them its row is missing, no more */
static void udp_options(int fd, int af, uint32_t buffer)
{
	int on = 1;

	(void)setsockopt(fd, SOL_SOCKET, SO_TIMESTAMP, &on, sizeof(on));
	(void)setsockopt(fd, SOL_SOCKET, SO_RXQ_OVFL, &on, sizeof(on));
	if (af == AF_INET6) {
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_RECVERR, &on,
				 sizeof(on));
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on,
				 sizeof(on));
	} else {
		(void)setsockopt(fd, IPPROTO_IP, IP_RECVERR, &on, sizeof(on));
	}

	if (!buffer || buffer > INT32_MAX)
		buffer = BUFFER;
	set_buffer(fd, SO_RCVBUF, SO_RCVBUFFORCE, (int)buffer);
	set_buffer(fd, SO_SNDBUF, SO_SNDBUFFORCE, (int)buffer);
}

/* The socket that another worker reads */
static int udp_join(struct port *port, const struct port_setup *setup)
{
	port->fd = fcntl(setup->fd, F_DUPFD_CLOEXEC, 0);
	if (port->fd < 0)
		return errno;
	gauge(COUNT_SOCKETS, 1);

	return 0;
}

static int udp_open(struct port *port, const struct port_setup *setup)
{
	int err;

	if (setup->elsewhere)
		return udp_join(port, setup);

	err = inlet_alloc(&port->inlet);
	if (err)
		return err;

	port->fd = socket(sa_af(&port->local),
			  SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (port->fd < 0)
		return errno;
	gauge(COUNT_SOCKETS, 1);

	udp_options(port->fd, sa_af(&port->local), setup->receive_buffer);
	if (bind(port->fd, &port->local.u.sa, port->local.len))
		return errno;

	port->local.len = sizeof(port->local.u);
	if (getsockname(port->fd, &port->local.u.sa, &port->local.len))
		return errno;

	port->listens = port->flags = FD_READ;

	return intake_listen(port->fd, FD_READ, udp_event, port);
}

static void stream_message(uint64_t conn, const struct sa *peer,
			   struct mbuf *mb, uint16_t refuse, void *arg)
{
	struct port *port = mem_ref(arg);
	struct arrival from = {
		.port = port, .src = *peer, .conn = conn, .refuse = refuse
	};

	if (trace_is_on())
		copy_out(port, peer, mbuf_buf(mb), mbuf_get_left(mb), false);
	port->h(&from, mb, port->arg);
	mem_deref(port);
}

static void stream_ping(uint64_t conn, const struct sa *peer, void *arg)
{
	struct port *port = arg;
	const struct arrival from = { .port = port,
				      .src = *peer,
				      .conn = conn };

	if (port->keepalive && !port->closed)
		port->keepalive(&from, port->keepalive_arg);
}

static void stream_lost(uint64_t conn, const struct sa *peer, void *arg)
{
	struct port *port = arg;

	if (port->lost)
		port->lost(conn, peer, port->lost_arg);
}

static void stream_terms(const struct sa *peer, struct connection_terms *out,
			 void *arg)
{
	const struct port *port = arg;

	if (port->terms && !port->closed)
		port->terms(port, peer, out, port->terms_arg);
}

static int stream_open(struct port *port, const struct port_setup *setup)
{
	const struct connections_setup all = {
		.local = port->local,
		.message_max = setup->message_max,
		.idle = setup->idle,
		.max = setup->connections_max ? setup->connections_max
					      : CONNECTIONS_MAX,
		.message = stream_message,
		.lost = stream_lost,
		.ping = stream_ping,
		.terms = stream_terms,
		.arg = port,
	};
	int err;

	if (setup->elsewhere)
		return 0;

	err = connections_open(&port->connections, &all);
	if (err)
		return err;

	port->local = *connections_local(port->connections);

	return 0;
}

/* RFC 3261 25.1: sent-by; IPv6 in brackets */
static int sent_by_write(struct port *port)
{
	char addr[INET6_ADDRSTRLEN];
	int err, n;

	err = sa_ntop(&port->local, addr, sizeof(addr));
	if (err)
		return err;

	n = snprintf(port->sent_by_text, sizeof(port->sent_by_text),
		     sa_af(&port->local) == AF_INET6 ? "[%s]:%u" : "%s:%u",
		     addr, sa_port(&port->local));
	port->sent_by.p = port->sent_by_text;
	port->sent_by.l = (size_t)n;

	return 0;
}

/* Sockets and all that waits; the memory may live on */
static void port_shut(struct port *port)
{
	port->closed = true;
	turn_forget(&port->flush);
	if (port->fd >= 0) {
		intake_close(port->fd);
		(void)close(port->fd);
		port->fd = -1;
		gauge(COUNT_SOCKETS, -1);
	}
}

static void port_destructor(void *data)
{
	struct port *port = data;

	port_shut(port);
	mem_deref(port->connections);
	while (port->n)
		mem_deref(port->queue[port->head + --port->n].mb);
	mem_deref(port->queue);
	mem_deref(port->inlet);
	mem_deref((void *)(uintptr_t)port->user_agent.p);
}

static int user_agent_take(struct port *port, const char *text)
{
	char *copy = NULL;
	int err;

	if (text && *text) {
		err = str_dup(&copy, text);
		if (err)
			return err;
	}
	mem_deref((void *)(uintptr_t)port->user_agent.p);
	port->user_agent.p = copy;
	port->user_agent.l = str_len(copy);

	return 0;
}

int port_open(struct port **portp, const struct port_setup *setup, arrival_h *h,
	      void *arg)
{
	struct port *port;
	int err;

	port = mem_zalloc(sizeof(*port), port_destructor);
	if (!port)
		return ENOMEM;

	port->fd = -1;
	port->flush.run = flush_run;
	port->local = setup->endpoint->local;
	port->transport = setup->endpoint->transport;
	port->number = setup->endpoint->number;
	port->message_max = setup->message_max;
	port->h = h;
	port->arg = arg;

	switch (port->transport) {
	case TRANSPORT_UDP:
		err = udp_open(port, setup);
		break;

	case TRANSPORT_TCP:
		err = stream_open(port, setup);
		break;

	case TRANSPORT_TLS:
	case TRANSPORT_WS:
	case TRANSPORT_WSS:
	case TRANSPORT_NONE:
	default:
		err = EPROTONOSUPPORT;
		break;
	}
	if (err)
		goto out;

	err = sent_by_write(port);
	if (!err)
		err = user_agent_take(port, setup->user_agent);

out:
	if (err)
		mem_deref(port);
	else
		*portp = port;

	return err;
}

void port_close(struct port *port)
{
	struct connections *connections;

	if (!port)
		return;

	port_shut(port);
	port->lost = NULL;
	port->refused = NULL;
	connections = port->connections;
	port->connections = NULL;
	connections_close(connections);
	while (port->n)
		udp_done(port, port->n < BATCH ? port->n : BATCH, ENOTCONN);
	mem_deref(port);
}

void port_change(struct port *port, const struct port_setup *setup)
{
	port->message_max = setup->message_max;
	/* without memory the old name stays */
	(void)user_agent_take(port, setup->user_agent);
	if (port->connections)
		connections_change(port->connections, setup->message_max,
				   setup->idle);
}

int port_send(struct port *port, const struct target *to, struct mbuf *mb,
	      sent_h *h, void *arg)
{
	if (port->closed)
		return ENOTCONN;
	if (to->transport != port->transport)
		return EPROTONOSUPPORT;
	if (sa_af(&to->dst) != sa_af(&port->local))
		return EAFNOSUPPORT;

	/* What goes by connections of another worker is copied there */
	if (port->elsewhere && !port->connections &&
	    port->transport != TRANSPORT_UDP)
		return port->elsewhere(port, to, mb, h, arg,
				       port->elsewhere_arg);
	if (trace_is_on())
		copy_out(port, &to->dst, mbuf_buf(mb), mbuf_get_left(mb), true);
	if (port->transport == TRANSPORT_UDP)
		return udp_queue(port, to, mb, h, arg);

	return connections_send(port->connections, &to->dst, to->conn, to->only,
				mb, h, arg);
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

const struct pl *port_user_agent(const struct port *port)
{
	return &port->user_agent;
}

const struct sa *port_local(const struct port *port)
{
	return &port->local;
}

const struct pl *port_sent_by(const struct port *port)
{
	return &port->sent_by;
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
	str_ncpy(port->realm, realm, sizeof(port->realm));
	port->methods = m;
}

uint32_t port_connections(const struct port *port)
{
	return port->connections ? connections_count(port->connections) : 0;
}

void port_keep(struct port *port, uint64_t conn, bool keep)
{
	const struct target to = { .conn = conn, .only = keep };

	if (port->connections)
		connections_keep(port->connections, conn, keep);
	else if (port->elsewhere && !port->closed)
		(void)port->elsewhere(port, &to, NULL, NULL, NULL,
				      port->elsewhere_arg);
}

void port_arrive(struct port *port, const struct arrival *from, struct mbuf *mb)
{
	mem_ref(port);
	if (mb)
		port->h(from, mb, port->arg);
	else if (port->keepalive)
		port->keepalive(from, port->keepalive_arg);
	mem_deref(port);
}

void port_elsewhere_handler(struct port *port, port_elsewhere_h *h, void *arg)
{
	port->elsewhere = h;
	port->elsewhere_arg = arg;
}

int port_fd(const struct port *port)
{
	return port->fd;
}

void port_lost_handler(struct port *port, port_lost_h *h, void *arg)
{
	port->lost = h;
	port->lost_arg = arg;
}

void port_refused_handler(struct port *port, port_refused_h *h, void *arg)
{
	port->refused = h;
	port->refused_arg = arg;
}

void port_terms_handler(struct port *port, port_terms_h *h, void *arg)
{
	port->terms = h;
	port->terms_arg = arg;
}

void port_keepalive_handler(struct port *port, port_keepalive_h *h, void *arg)
{
	port->keepalive = h;
	port->keepalive_arg = arg;
}

/* Bound to any port, to which nobody can send a word: what the kernel says of the
 * address counts */
int port_check(const struct port *port)
{
	struct sa local = port->local;
	int fd, err = 0;

	fd = socket(sa_af(&local), SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return 0;
	sa_set_port(&local, 0);
	if (bind(fd, &local.u.sa, local.len) && errno == EADDRNOTAVAIL)
		err = EADDRNOTAVAIL;
	(void)close(fd);

	return err;
}
