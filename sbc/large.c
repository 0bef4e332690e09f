/*
 * Requests too long for a datagram: by TCP, and back to UDP where nobody listens
 */
#include <errno.h>
#include <string.h>
#include "sbc/counters.h"
#include "sbc/large.h"

static void detour_destructor(void *data)
{
	struct detour *d = data;

	mem_deref(d->port);
	mem_deref(d->mb);
}

/* Append; the buffer has the room */
static void put(struct mbuf *mb, const void *p, size_t n)
{
	memcpy(mb->buf + mb->end, p, n);
	mb->end += n;
}

/* The request with the Via of another sip-port. wire_request puts ours behind
 * the request line, as "Via: SIP/2.0/UDP SENT-BY;branch=B;rport" */
static int rewrite(struct mbuf **mbp, struct mbuf *request,
		   const struct port *stream)
{
	static const char before[] = "\r\nVia: SIP/2.0/UDP ";
	static const char after[] = "\r\nVia: SIP/2.0/TCP ";
	static const char rport[] = ";rport";
	const struct pl *by = port_sent_by(stream);
	const uint8_t *p = mbuf_buf(request);
	const uint8_t *end = p + mbuf_get_left(request);
	const uint8_t *via, *params, *eol;
	struct mbuf *mb;
	size_t cut = 0;

	via = memmem(p, (size_t)(end - p), before, sizeof(before) - 1);
	params = via ? memchr(via, ';', (size_t)(end - via)) : NULL;
	eol = params ? memmem(params, (size_t)(end - params), "\r\n", 2) : NULL;
	if (!eol)
		return EBADMSG;
	/* RFC 3581 is about datagrams */
	if ((size_t)(eol - params) >= sizeof(rport) - 1 &&
	    !memcmp(eol - (sizeof(rport) - 1), rport, sizeof(rport) - 1))
		cut = sizeof(rport) - 1;

	mb = mbuf_alloc((size_t)(end - p) + by->l);
	if (!mb)
		return ENOMEM;

	put(mb, p, (size_t)(via - p));
	put(mb, after, sizeof(after) - 1);
	put(mb, by->p, by->l);
	put(mb, params, (size_t)(eol - params) - cut);
	put(mb, eol, (size_t)(end - eol));
	*mbp = mb;

	return 0;
}

int large_turn(struct detour **dp, struct port **port, struct target *to,
	       struct mbuf **mb)
{
	struct port *stream = port_beside(*port, mbuf_get_left(*mb));
	struct mbuf *longer;
	struct detour *d;
	int err;

	*dp = NULL;
	if (!stream)
		return 0;

	d = mem_zalloc(sizeof(*d), detour_destructor);
	if (!d)
		return ENOMEM;

	err = rewrite(&longer, *mb, stream);
	if (err) {
		mem_deref(d);
		return err;
	}

	count(COUNT_LARGE_BY_TCP, 1);
	d->port = mem_ref(*port);
	d->to = *to;
	d->mb = mem_ref(*mb);
	*port = stream;
	*mb = longer;
	to->transport = TRANSPORT_TCP;
	to->conn = 0;
	to->only = false;
	*dp = d;

	return 0;
}

static void sent(int err, uint64_t conn, void *arg)
{
	struct detour *d = arg;
	(void)conn;

	if (err) {
		count(COUNT_LARGE_BY_UDP, 1);
		(void)port_send(d->port, &d->to, d->mb, NULL, NULL);
	}
	mem_deref(d);
}

int large_send(struct port *port, const struct target *to, struct mbuf *mb)
{
	struct target by = *to;
	struct mbuf *bytes = mb;
	struct detour *d;
	int err;

	if (large_turn(&d, &port, &by, &bytes) || !d)
		return port_send(port, to, mb, NULL, NULL);

	err = port_send(port, &by, bytes, sent, d);
	mem_deref(bytes);
	if (err)
		sent(err, 0, d);

	return 0;
}
