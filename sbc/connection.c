/*
 * TCP connections, each with an id that is never used again
 *
 * The tables hold the reference of a connection; an event handler holds one of
 * its own while it runs, because a message may have the connection, or all of
 * them, closed. `all` is NULL from then on, and nothing else is asked.
 *
 * One timer per connection serves in turn: connecting, the first message of a
 * stranger, the rest of a message that has begun, idleness.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>
#include "store/base.h"
#include <re_main.h>
#include "store/hash.h"
#include "sbc/connection.h"
#include "sbc/counters.h"
#include "sbc/framing.h"
#include "sbc/random.h"
#include "sbc/timer.h"
#include "sbc/turn.h"

enum {
	BACKLOG = 4096,       /* the kernel cuts it to somaxconn */
	ACCEPT_TURN = 64,     /* accepted in one turn of the loop */
	ACCEPT_PAUSE = 100,   /* out of descriptors: look again [ms] */
	CHUNK = 65536,        /* read at once [bytes] */
	READ_TURN = 4,        /* chunks of one connection in one turn */
	WRITE_TURN = 16,      /* messages in one system call */
	QUEUE_MAX = 1 << 20,  /* that wait for one connection [bytes] */
	PART = 1600,          /* for each place, together what strangers have
				 sent of messages that are not whole [bytes] */
	CONNECT_TIME = 4000,  /* [ms] */
	MESSAGE_TIME = 32000, /* from its first byte to its last [ms] */
	DRAIN_TIME = 1000,    /* for the peer to read why it is closed [ms] */
	UNREAD_TIME = 32000   /* our bytes without TCP's ACK [ms] */
};

struct item { /* waits to be written */
	struct item *next;
	struct mbuf *mb;
	sent_h *h;
	void *arg;
};

struct connection {
	struct entry by_id, by_peer, by_served;
	struct sa serves; /* requests to here may go over it; or AF_UNSPEC */
	struct le le;
	struct connections *all; /* NULL: closed */
	struct deferred flush;
	struct timer timer;
	struct framing framing;
	struct mbuf *in; /* the part of a message that came, or NULL */
	size_t part;     /* of it, what counts in all->parts */
	struct item *first, **last;
	size_t queued;  /* [bytes] */
	size_t written; /* of the first item */
	uint64_t id;
	struct sa peer;
	int fd, flags;
	bool ours; /* opened by us */
	bool connecting;
	uint8_t keep; /* who want it never idle */
	bool partial; /* the timer runs for the rest of a message */
	bool talks;   /* a message came */
	bool stranger;
	bool closing; /* closes when everything is written; reads nothing */
	bool apart;   /* not in by_peer */
};

struct connections {
	struct connections_setup setup;
	struct table by_id, by_peer, by_served;
	struct list list;
	struct timer pause;
	uint8_t *chunk;
	uint32_t n, ours, strangers; /* in all; of them */
	size_t parts;                /* of messages of strangers [bytes] */
	int fd;
};

static void connection_event(int flags, void *arg);
static void accept_event(int flags, void *arg);

static uint64_t peer_hash(const struct sa *sa)
{
	uint16_t port = sa_port(sa);
	uint64_t h;

	if (sa_af(sa) == AF_INET6)
		h = hash_bytes(&sa->u.in6.sin6_addr,
			       sizeof(sa->u.in6.sin6_addr));
	else
		h = hash_bytes(&sa->u.in.sin_addr, sizeof(sa->u.in.sin_addr));

	return hash_mix(h, port);
}

static bool has_id(const struct entry *e, const void *key)
{
	const struct connection *c =
		(const struct connection *)((const char *)e -
					    offsetof(struct connection, by_id));

	return c->id == *(const uint64_t *)key;
}

static struct connection *of_peer(const struct entry *e)
{
	return (struct connection *)((char *)(uintptr_t)e -
				     offsetof(struct connection, by_peer));
}

static bool has_peer(const struct entry *e, const void *key)
{
	return sa_cmp(&of_peer(e)->peer, key, SA_ALL);
}

static struct connection *find_id(const struct connections *all, uint64_t id)
{
	struct entry *e = table_find(&all->by_id, id, has_id, &id);

	return e ? (struct connection *)((char *)e -
					 offsetof(struct connection, by_id))
		 : NULL;
}

static struct connection *find_peer(const struct connections *all,
				    const struct sa *peer)
{
	struct entry *e =
		table_find(&all->by_peer, peer_hash(peer), has_peer, peer);

	return e ? of_peer(e) : NULL;
}

static void descriptor_close(int *fd)
{
	if (*fd < 0)
		return;

	fd_close(*fd);
	(void)close(*fd); /* nothing can be done about an error */
	*fd = -1;
	gauge(COUNT_SOCKETS, -1);
}

static int descriptor_listen(struct connection *c, int flags)
{
	if (c->flags == flags)
		return 0;

	c->flags = flags;

	return fd_listen(c->fd, flags, connection_event, c);
}

static struct item *item_take(struct connection *c)
{
	struct item *item = c->first;

	c->first = item->next;
	if (!c->first)
		c->last = &c->first;
	c->queued -= mbuf_get_left(item->mb);
	c->written = 0;

	return item;
}

static void item_free(struct item *item)
{
	mem_deref(item->mb);
	mem_deref(item);
}

static bool is_served(const struct entry *e, const void *key)
{
	const struct connection *c =
		(const struct connection *)((const char *)e -
					    offsetof(struct connection,
						     by_served));

	return sa_cmp(&c->serves, key, SA_ALL);
}

/* One that a peer opened whose requests of ours it takes */
static struct connection *find_served(const struct connections *all,
				      const struct sa *dst)
{
	struct entry *e =
		table_find(&all->by_served, peer_hash(dst), is_served, dst);

	return e ? (struct connection *)((char *)e -
					 offsetof(struct connection, by_served))
		 : NULL;
}

/* Requests of ours do not go over it any more */
static void connection_hide(struct connection *c)
{
	if (!c->apart)
		table_remove(&c->all->by_peer, &c->by_peer);
	if (sa_isset(&c->serves, SA_ADDR))
		table_remove(&c->all->by_served, &c->by_served);
	c->apart = true;
	sa_init(&c->serves, AF_UNSPEC);
}

/* Out of the tables, so that nobody finds it any more */
static void connection_unlink(struct connection *c)
{
	if (!c->all)
		return;

	table_remove(&c->all->by_id, &c->by_id);
	connection_hide(c);
	list_unlink(&c->le);
	--c->all->n;
	c->all->ours -= c->ours;
	c->all->strangers -= c->stranger;
	c->all->parts -= c->part;
	c->part = 0;
	c->all = NULL;
}

static void connection_destructor(void *data)
{
	struct connection *c = data;

	connection_unlink(c);
	timer_cancel(&c->timer);
	turn_forget(&c->flush);
	descriptor_close(&c->fd);
	while (c->first)
		item_free(item_take(c));
	mem_deref(c->in);
}

/* Close, tell who waits, tell that it is lost, and give the tables' reference
 * back. Whoever called this uses c under a reference of his own or no more. */
static void connection_close(struct connection *c, int err)
{
	struct connections *all;

	if (!c->all)
		return;

	all = mem_ref(c->all);
	connection_unlink(c);
	timer_cancel(&c->timer);
	turn_forget(&c->flush);
	descriptor_close(&c->fd);

	while (c->first) {
		struct item *item = item_take(c);

		if (item->h)
			item->h(err, 0, item->arg);
		item_free(item);
	}

	if (all->setup.lost)
		all->setup.lost(c->id, &c->peer, all->setup.arg);

	mem_deref(c);
	mem_deref(all);
}

static void connection_timeout(void *arg)
{
	connection_close(arg, ETIMEDOUT);
}

/* The timer, for what the connection waits for now */
static void connection_watch(struct connection *c)
{
	bool partial = c->in != NULL;
	uint64_t idle = (uint64_t)c->all->setup.idle * 1000;

	if (c->connecting || c->closing)
		return;

	/* Slow senders get no further time by sending a little more */
	if (partial && c->partial)
		return;

	c->partial = partial;
	if (partial || (!c->ours && !c->talks))
		timer_start(&c->timer, MESSAGE_TIME, connection_timeout, c);
	else if (c->ours && !c->keep && idle)
		timer_start(&c->timer, idle, connection_timeout, c);
	else
		timer_cancel(&c->timer);
}

/* Everything is written that shall be: end our half, wait for the peer's, so
 * that unread bytes of his do not reset the connection under our answer */
static void connection_drain(struct connection *c)
{
	if (shutdown(c->fd, SHUT_WR) || descriptor_listen(c, FD_READ)) {
		connection_close(c, EPROTO);
		return;
	}

	timer_start(&c->timer, DRAIN_TIME, connection_timeout, c);
}

/* n bytes left: tell those whose message is out */
static void connection_wrote(struct connection *c, size_t n)
{
	while (c->all && c->first) {
		size_t left = mbuf_get_left(c->first->mb) - c->written;
		struct item *item;

		if (n < left) {
			c->written += n;
			return;
		}

		n -= left;
		item = item_take(c);
		if (item->h)
			item->h(0, c->id, item->arg);
		item_free(item);
		if (!n)
			return;
	}
}

static ssize_t connection_write(struct connection *c)
{
	struct iovec iov[WRITE_TURN];
	struct msghdr msg = { .msg_iov = iov };
	struct item *item;
	ssize_t n;

	for (item = c->first; item && msg.msg_iovlen < WRITE_TURN;
	     item = item->next) {
		size_t skip = item == c->first ? c->written : 0;

		iov[msg.msg_iovlen].iov_base = mbuf_buf(item->mb) + skip;
		iov[msg.msg_iovlen].iov_len = mbuf_get_left(item->mb) - skip;
		++msg.msg_iovlen;
	}

	do {
		n = sendmsg(c->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
	} while (n < 0 && errno == EINTR);

	return n;
}

static void connection_flush(struct connection *c)
{
	int err;

	while (c->all && c->first) {
		ssize_t n = connection_write(c);

		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
			err = descriptor_listen(
				c, c->closing ? FD_WRITE : FD_READ | FD_WRITE);
			if (err)
				connection_close(c, err);
			return;
		}
		if (n < 0) {
			connection_close(c, errno);
			return;
		}
		connection_wrote(c, (size_t)n);
	}

	if (!c->all)
		return;
	if (c->closing) {
		connection_drain(c);
		return;
	}

	err = descriptor_listen(c, FD_READ);
	if (err)
		connection_close(c, err);
	else
		connection_watch(c);
}

static void flush_run(struct deferred *d)
{
	struct connection *c =
		(struct connection *)((char *)d -
				      offsetof(struct connection, flush));

	mem_ref(c);
	connection_flush(c);
	mem_deref(c);
}

static int connection_queue(struct connection *c, struct mbuf *mb, sent_h *h,
			    void *arg)
{
	struct item *item;

	if (c->queued + mbuf_get_left(mb) > QUEUE_MAX)
		return ENOBUFS;

	item = mem_zalloc(sizeof(*item), NULL);
	if (!item)
		return ENOMEM;

	item->mb = mem_ref(mb);
	item->h = h;
	item->arg = arg;
	*c->last = item;
	c->last = &item->next;
	c->queued += mbuf_get_left(mb);

	return 0;
}

static struct mbuf *copy(const uint8_t *p, size_t n)
{
	struct mbuf *mb = mbuf_alloc(n);

	if (!mb)
		return NULL;

	memcpy(mb->buf, p, n);
	mb->end = n;

	return mb;
}

static void give(struct connection *c, const uint8_t *p, size_t n,
		 uint16_t refuse)
{
	struct connections_setup *setup = &c->all->setup;
	struct mbuf *mb = copy(p, n);
	int err = mb ? 0 : ENOMEM;

	/* What is missing of the header section ends it */
	if (!err && c->framing.cut) {
		mb->pos = mb->end;
		err = mbuf_write_mem(mb, (const uint8_t *)"\r\n", 2);
		mb->pos = 0;
	}
	if (err) { /* architecture.md 7: fails one connection */
		mem_deref(mb);
		connection_close(c, err);
		return;
	}

	c->talks = true;
	setup->message(c->id, &c->peer, mb, refuse, setup->arg);
	mem_deref(mb);
}

/* RFC 5626 4.4.1 */
static void pong(struct connection *c)
{
	struct mbuf *mb = copy((const uint8_t *)"\r\n", 2);

	/* A peer that pings and never reads gets no pongs beyond the bound */
	if (mb && !connection_queue(c, mb, NULL, NULL))
		turn_defer(&c->flush);
	mem_deref(mb);
}

static void pinged(const struct connection *c)
{
	const struct connections_setup *setup = &c->all->setup;

	if (setup->ping)
		setup->ping(c->id, &c->peer, setup->arg);
}

/* The stream lost its frame: whoever sent the header section is told why */
static void broken(struct connection *c, const uint8_t *p, size_t n)
{
	uint16_t code = c->framing.too_long ? 513 : 400;

	count(COUNT_INVALID_MESSAGES, 1);
	if (!n) {
		connection_close(c, EPROTO);
		return;
	}

	connection_hide(c);
	c->closing = true;
	timer_start(&c->timer, MESSAGE_TIME, connection_timeout, c);
	give(c, p, n, code);
	if (c->all)
		turn_defer(&c->flush);
}

/* What is left is the beginning of a message; `in` may hold it already */
static int rest_keep(struct connection *c, const uint8_t *p, size_t n)
{
	if (!n) {
		c->in = mem_deref(c->in);
		return 0;
	}

	if (c->in) {
		memmove(c->in->buf, p, n);
		c->in->pos = c->in->end = n;
		return 0;
	}

	c->in = copy(p, n);
	if (!c->in)
		return ENOMEM;
	c->in->pos = n;

	return 0;
}

static int consume(struct connection *c, const uint8_t *p, size_t n)
{
	if (c->in) {
		if (mbuf_write_mem(c->in, p, n))
			return ENOMEM;
		p = c->in->buf;
		n = c->in->end;
	}

	while (n) {
		size_t length;
		enum framing_what what;

		what = framing_next(&c->framing, p, n, &length);
		switch (what) {
		case FRAMING_MORE:
			return rest_keep(c, p, n);

		case FRAMING_MESSAGE:
			give(c, p, length, 0);
			c->partial = false;
			break;

		case FRAMING_PING:
			pong(c);
			c->partial = false;
			pinged(c);
			break;

		case FRAMING_PONG:
			break;

		case FRAMING_BROKEN:
			broken(c, p, length);
			return 0;
		}

		if (!c->all || c->closing)
			return 0;

		p += length;
		n -= length;
	}

	return rest_keep(c, p, 0);
}

/* Slow senders whom nobody knows take no memory without bound. 0; ENOBUFS */
static int part_count(struct connection *c)
{
	struct connections *all = c->all;
	size_t part = c->in ? c->in->size : 0;

	if (!c->stranger || !all)
		return 0;
	all->parts += part - c->part;
	c->part = part;

	return part && all->parts > (size_t)all->setup.max * PART ? ENOBUFS : 0;
}

static void connection_read(struct connection *c)
{
	int i;

	for (i = 0; i < READ_TURN && c->all; ++i) {
		ssize_t n = recv(c->fd, c->all->chunk, CHUNK, MSG_DONTWAIT);
		int err = 0;

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n < 0)
			err = errno;
		else if (!n)
			err = ECONNRESET; /* orderly, but there is no answer */
		else if (!c->closing)
			err = consume(c, c->all->chunk, (size_t)n);
		if (!err)
			err = part_count(c);

		if (err) {
			connection_close(c, err);
			return;
		}
		if (c->all)
			connection_watch(c);
		if (n < CHUNK)
			return;
	}
}

/* Is the connection open, or why not? */
static void connection_connected(struct connection *c)
{
	socklen_t len = sizeof(int);
	int err = 0;

	if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &err, &len))
		err = errno;
	if (err) {
		connection_close(c, err);
		return;
	}

	c->connecting = false;
	connection_watch(c);
	connection_flush(c);
}

static void connection_event(int flags, void *arg)
{
	struct connection *c = arg;

	turn_enter();
	mem_ref(c);

	if (c->connecting)
		connection_connected(c);
	else if (flags & FD_WRITE)
		connection_flush(c);

	if (c->all && !c->connecting && (flags & (FD_READ | FD_EXCEPT)))
		connection_read(c);

	mem_deref(c);
	turn_leave();
}

static void set_option(int fd, int level, int name, int value)
{
	/* Each of them makes things better, none is needed */
	(void)setsockopt(fd, level, name, &value, sizeof(value));
}

static void stream_options(int fd)
{
	set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	set_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, UNREAD_TIME);
}

/* As the operator wants it with this peer. Without memory it is as usual */
static void terms_apply(struct connection *c)
{
	struct connections *all = c->all;
	struct connection_terms terms = { 0 };

	if (!all->setup.terms)
		return;
	sa_init(&terms.serves, AF_UNSPEC);
	all->setup.terms(&c->peer, &terms, all->setup.arg);
	if (terms.probes_set)
		set_option(c->fd, SOL_SOCKET, SO_KEEPALIVE, terms.probes);
	if (c->ours)
		return;
	c->stranger = terms.stranger;
	all->strangers += terms.stranger;
	if (terms.apart) {
		connection_hide(c);
	} else if (sa_isset(&terms.serves, SA_ADDR) &&
		   !table_add(&all->by_served, &c->by_served,
			      peer_hash(&terms.serves))) {
		c->serves = terms.serves;
	}
}

/* Takes fd over, also on error */
static int connection_add(struct connection **cp, struct connections *all,
			  int fd, const struct sa *peer, bool ours)
{
	struct connection *c;
	int err;

	gauge(COUNT_SOCKETS, 1);
	c = mem_zalloc(sizeof(*c), connection_destructor);
	if (!c) {
		descriptor_close(&fd);
		return ENOMEM;
	}

	c->fd = fd;
	c->peer = *peer;
	sa_init(&c->serves, AF_UNSPEC);
	c->ours = ours;
	c->connecting = ours;
	c->last = &c->first;
	c->flush.run = flush_run;
	framing_init(&c->framing, all->setup.message_max);
	do {
		c->id = random_u64();
	} while (!c->id || find_id(all, c->id));

	c->flags = ours ? FD_WRITE : FD_READ;
	err = fd_listen(fd, c->flags, connection_event, c);
	if (err)
		goto out;
	err = table_add(&all->by_id, &c->by_id, c->id);
	if (err)
		goto out;
	err = table_add(&all->by_peer, &c->by_peer, peer_hash(peer));
	if (err) {
		table_remove(&all->by_id, &c->by_id);
		goto out;
	}

	c->all = all;
	list_append(&all->list, &c->le, c);
	++all->n;
	all->ours += ours;
	terms_apply(c);
	if (ours)
		timer_start(&c->timer, CONNECT_TIME, connection_timeout, c);
	else
		connection_watch(c);

out:
	if (err)
		mem_deref(c);
	else
		*cp = c;

	return err;
}

/* From the address of the port, so each realm speaks from its own */
static int connection_open(struct connection **cp, struct connections *all,
			   const struct sa *dst)
{
	struct sa from = all->setup.local;
	int fd, err;

	if (all->ours >= all->setup.max)
		return ENOBUFS;

	fd = socket(sa_af(dst), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return errno;

	stream_options(fd);
	set_option(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
	sa_set_port(&from, 0);
	if (bind(fd, &from.u.sa, from.len) ||
	    (connect(fd, &dst->u.sa, dst->len) && errno != EINPROGRESS)) {
		err = errno;
		(void)close(fd);
		return err;
	}

	return connection_add(cp, all, fd, dst, true);
}

static void accept_again(void *arg)
{
	struct connections *all = arg;

	if (fd_listen(all->fd, FD_READ, accept_event, all))
		timer_start(&all->pause, ACCEPT_PAUSE, accept_again, all);
}

/* Out of descriptors or memory: the listener stays readable, so look away */
static void accept_pause(struct connections *all)
{
	fd_close(all->fd);
	timer_start(&all->pause, ACCEPT_PAUSE, accept_again, all);
}

/* Half of the places are for whom the configuration knows: strangers who fill the
 * others keep nobody out, and none of ours */
static bool has_room(const struct connections *all, const struct sa *peer)
{
	struct connection_terms terms = { 0 };

	if (all->n - all->ours >= all->setup.max)
		return false;
	if (!all->setup.terms || all->strangers < all->setup.max / 2)
		return true;
	all->setup.terms(peer, &terms, all->setup.arg);

	return !terms.stranger;
}

/* One from the backlog. 0; EAGAIN none left; errno */
static int accept_one(struct connections *all)
{
	struct connection *c;
	struct sa peer;
	int fd;

	sa_init(&peer, AF_UNSPEC);
	peer.len = sizeof(peer.u);
	fd = accept4(all->fd, &peer.u.sa, &peer.len,
		     SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd < 0)
		return errno;

	if (!has_room(all, &peer)) {
		count(COUNT_REQ_DROPPED, 1);
		(void)close(fd);
		return 0;
	}

	stream_options(fd);
	(void)connection_add(&c, all, fd, &peer, false); /* it is closed then */

	return 0;
}

static void accept_event(int flags, void *arg)
{
	struct connections *all = arg;
	int i, err = 0;
	(void)flags;

	turn_enter();
	for (i = 0; i < ACCEPT_TURN && !err; ++i) {
		err = accept_one(all);
		if (err == ECONNABORTED || err == EINTR || err == EPROTO)
			err = 0;
	}
	if (err == EMFILE || err == ENFILE || err == ENOBUFS || err == ENOMEM)
		accept_pause(all);
	turn_leave();
}

static int listener_open(struct connections *all)
{
	struct sa *local = &all->setup.local;
	int err;

	all->fd = socket(sa_af(local),
			 SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (all->fd < 0)
		return errno;

	gauge(COUNT_SOCKETS, 1);
	set_option(all->fd, SOL_SOCKET, SO_REUSEADDR, 1);
	if (sa_af(local) == AF_INET6)
		set_option(all->fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
	if (bind(all->fd, &local->u.sa, local->len) || listen(all->fd, BACKLOG))
		return errno;

	local->len = sizeof(local->u);
	if (getsockname(all->fd, &local->u.sa, &local->len))
		return errno;

	err = fd_listen(all->fd, FD_READ, accept_event, all);

	return err;
}

static void connections_destructor(void *data)
{
	struct connections *all = data;

	timer_cancel(&all->pause);
	descriptor_close(&all->fd);
	while (all->list.head)
		mem_deref(all->list.head->data);
	table_finish(&all->by_id);
	table_finish(&all->by_peer);
	table_finish(&all->by_served);
	mem_deref(all->chunk);
}

int connections_open(struct connections **allp,
		     const struct connections_setup *setup)
{
	struct connections *all;
	int err;

	all = mem_zalloc(sizeof(*all), connections_destructor);
	if (!all)
		return ENOMEM;

	all->fd = -1;
	all->setup = *setup;
	list_init(&all->list);
	table_init(&all->by_id);
	table_init(&all->by_peer);
	table_init(&all->by_served);
	all->chunk = mem_alloc(CHUNK, NULL);
	err = all->chunk ? listener_open(all) : ENOMEM;

	if (err)
		mem_deref(all);
	else
		*allp = all;

	return err;
}

void connections_close(struct connections *all)
{
	if (!all)
		return;

	all->setup.lost = NULL;
	timer_cancel(&all->pause);
	descriptor_close(&all->fd);
	while (all->list.head)
		connection_close(all->list.head->data, ENOTCONN);
	mem_deref(all);
}

void connections_change(struct connections *all, uint32_t message_max,
			uint32_t idle)
{
	all->setup.message_max = message_max;
	all->setup.idle = idle;
}

const struct sa *connections_local(const struct connections *all)
{
	return &all->setup.local;
}

int connections_send(struct connections *all, const struct sa *dst,
		     uint64_t conn, bool only, struct mbuf *mb, sent_h *h,
		     void *arg)
{
	struct connection *c = conn ? find_id(all, conn) : NULL;
	int err;

	if (!c && only)
		return ENOTCONN;
	if (!c)
		c = find_peer(all, dst);
	if (!c)
		c = find_served(all, dst);
	if (!c) {
		err = connection_open(&c, all, dst);
		if (err)
			return err;
	}

	err = connection_queue(c, mb, h, arg);
	if (!err && !c->connecting)
		turn_defer(&c->flush);

	return err;
}

void connections_keep(struct connections *all, uint64_t conn, bool keep)
{
	struct connection *c = find_id(all, conn);

	if (!c || (keep ? c->keep == UINT8_MAX : !c->keep))
		return;

	if (keep)
		c->keep++;
	else
		c->keep--;
	connection_watch(c);
}

uint32_t connections_count(const struct connections *all)
{
	return all->n;
}
