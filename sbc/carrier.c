/*
 * A connection that carries bindings: kept, and opened again when it is lost
 */
#include <errno.h>
#include "store/log.h"
#include "sbc/carrier.h"

enum {
	PAUSE_FIRST = 1, /* [s] */
	PAUSE_LAST = 30,
};

struct carrier {
	struct le le;
	struct carriers *all; /* NULL: nobody uses it any more */
	struct port *port;
	struct target to;
	uint64_t conn; /* 0: lost */
	uint32_t users;
	uint32_t pause; /* before the next try [s] */
	struct timer timer;
};

static void carrier_destructor(void *arg)
{
	struct carrier *c = arg;

	timer_cancel(&c->timer);
	list_unlink(&c->le);
	mem_deref(c->port);
}

static void carrier_end(struct carrier *c)
{
	if (c->conn)
		port_keep(c->port, c->conn, false);
	timer_cancel(&c->timer);
	list_unlink(&c->le);
	c->all = NULL;
	mem_deref(c);
}

static void take_open(struct carrier *c, uint64_t conn)
{
	bool was_lost = !c->conn;

	if (c->conn == conn)
		return;
	if (c->conn)
		port_keep(c->port, c->conn, false);
	timer_cancel(&c->timer);
	c->conn = conn;
	port_keep(c->port, conn, true);
	if (!was_lost)
		return;
	log_info(SURROGATE, "connection-back", "transport=%s",
		 transport_name(c->to.transport));
	c->all->back(c, conn, c->all->arg);
}

static void reopen(void *arg);

static void wait(struct carrier *c)
{
	timer_start(&c->timer, c->pause * 1000ull, reopen, c);
	c->pause = c->pause * 2 < PAUSE_LAST ? c->pause * 2 : PAUSE_LAST;
}

static void opened(int err, uint64_t conn, void *arg)
{
	struct carrier *c = arg;

	if (c->all && !c->conn) {
		if (!err && conn)
			take_open(c, conn);
		else
			wait(c);
	}
	mem_deref(c);
}

/** A connection is opened by what is sent: a ping (RFC 5626 3.5.1), which every
 *  server skips as blank lines (RFC 3261 7.5) */
static void reopen(void *arg)
{
	static const char ping[] = "\r\n\r\n";
	struct carrier *c = arg;
	struct mbuf *mb = mbuf_alloc(sizeof(ping));
	int err = mb ? mbuf_write_str(mb, ping) : ENOMEM;

	if (!err) {
		mb->pos = 0;
		err = port_send(c->port, &c->to, mb, opened, mem_ref(c));
		if (err)
			mem_deref(c);
	}
	if (err)
		wait(c);
	mem_deref(mb);
}

static bool carries(const struct carrier *c, const struct port *port,
		    const struct target *to)
{
	return c->port == port && c->to.transport == to->transport &&
	       sa_cmp(&c->to.dst, &to->dst, SA_ALL);
}

static struct carrier *find(const struct carriers *all, const struct port *port,
			    const struct target *to)
{
	for (struct le *le = all->list.head; le; le = le->next)
		if (carries(le->data, port, to))
			return le->data;

	return NULL;
}

static struct carrier *create(struct carriers *all, struct port *port,
			      const struct target *to)
{
	struct carrier *c = mem_zalloc(sizeof(*c), carrier_destructor);

	if (!c)
		return NULL;
	c->all = all;
	c->port = mem_ref(port);
	c->to.dst = to->dst;
	c->to.transport = to->transport;
	c->conn = to->conn;
	port_keep(port, to->conn, true);
	list_append(&all->list, &c->le, c);

	return c;
}

void carriers_init(struct carriers *all, carrier_h *back, void *arg)
{
	list_init(&all->list);
	all->back = back;
	all->arg = arg;
}

void carriers_finish(struct carriers *all)
{
	while (all->list.head)
		carrier_end(all->list.head->data);
}

void carrier_use(struct carrier **cp, struct carriers *all, struct port *port,
		 const struct target *to)
{
	struct carrier *c = to->conn ? find(all, port, to) : NULL;

	if (c && c == *cp) {
		take_open(c, to->conn);
		return;
	}

	*cp = carrier_give(*cp);
	if (c)
		take_open(c, to->conn);
	else if (to->conn)
		c = create(all, port, to);
	if (c)
		c->users++;
	*cp = c;
}

void *carrier_give(struct carrier *c)
{
	if (c && !--c->users && c->all)
		carrier_end(c);

	return NULL;
}

void carriers_lost(struct carriers *all, uint64_t conn)
{
	for (struct le *le = all->list.head; le; le = le->next) {
		struct carrier *c = le->data;

		if (c->conn != conn)
			continue;
		log_warning(SURROGATE, "connection-lost",
			    "transport=%s bindings=%u",
			    transport_name(c->to.transport), c->users);
		c->conn = 0;
		c->pause = PAUSE_FIRST;
		wait(c);
		return;
	}
}
