/*
 * Messages for connections of another worker, and what became of them
 *
 * An errand belongs to one thread at a time: to the sender until it is posted,
 * to the first worker until it is posted back. So does its copy of the bytes.
 */
#include <errno.h>
#include <string.h>
#include "sbc/doors.h"
#include "sbc/errand.h"
#include "sbc/mailbox.h"

struct errand {
	struct letter letter;
	struct mailbox *back;
	struct sa local; /* of the sip-port */
	enum transport transport;
	struct target to;
	struct mbuf *mb; /* NULL: the connection is to be kept, or not */
	sent_h *h;
	void *arg;
	int err; /* the outcome */
	uint64_t conn;
};

static void errand_destructor(void *data)
{
	struct errand *e = data;

	mem_deref(e->mb);
	mem_deref((void *)(uintptr_t)e->to.tls_name);
}

static void tell(struct letter *letter, void *arg)
{
	struct errand *e = (struct errand *)letter;

	(void)arg;
	if (e->h)
		e->h(e->err, e->conn, e->arg);
	mem_deref(e);
}

static void sent(int err, uint64_t conn, void *arg)
{
	struct errand *e = arg;

	e->err = err;
	e->conn = conn;
	e->letter.open = tell;
	mailbox_post(e->back, &e->letter);
}

/* On the first worker. The port has a reference of the bytes while it needs them:
 * what goes back holds none */
static void carry(struct letter *letter, void *arg)
{
	struct errand *e = (struct errand *)letter;
	const struct worker *w = arg;
	struct port *port =
		w->doors ? doors_port(w->doors, &e->local, e->transport) : NULL;
	struct mbuf *mb = e->mb;
	int err;

	if (!mb) {
		if (port)
			port_keep(port, e->to.conn, e->to.only);
		mem_deref(e);
		return;
	}

	e->mb = NULL;
	err = port ? port_send(port, &e->to, mb, sent, e) : ENOTCONN;
	mem_deref(mb);
	if (err)
		sent(err, 0, e);
}

/* Nothing that the sender shares with anybody */
static int errand_fill(struct errand *e, const struct target *to,
		       const struct mbuf *mb)
{
	char *name = NULL;
	int err;

	e->to = *to;
	e->to.tls_name = NULL;
	if (to->tls_name) {
		err = str_dup(&name, to->tls_name);
		if (err)
			return err;
		e->to.tls_name = name;
	}
	if (!mb)
		return 0;
	e->mb = mbuf_alloc(mbuf_get_left(mb));
	if (!e->mb)
		return ENOMEM;
	e->mb->end = mbuf_get_left(mb);
	memcpy(e->mb->buf, mbuf_buf(mb), e->mb->end);

	return 0;
}

int errand_send(const struct port *port, const struct target *to,
		struct mbuf *mb, sent_h *h, void *sent_arg, void *arg)
{
	const struct worker *w = arg;
	struct errand *e = mem_zalloc(sizeof(*e), errand_destructor);
	int err = e ? errand_fill(e, to, mb) : ENOMEM;

	if (err) {
		mem_deref(e);
		return err;
	}
	e->letter.open = carry;
	e->back = w->mailbox;
	e->local = *port_local(port);
	e->transport = port_transport(port);
	e->h = h;
	e->arg = sent_arg;
	mailbox_post(w->crew->v[0].mailbox, &e->letter);

	return 0;
}
