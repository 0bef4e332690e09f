/*
 * Bytes to message and back: top Via, received, rport, our Via and Contact
 *
 * A message is written into one buffer whose size is estimated beforehand. What
 * the other side sent is copied as ranges; what is ours is put around it.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include "store/base.h"
#include "store/number.h"
#include "store/value.h"
#include "policy/cause.h"
#include "policy/header.h"
#include "sbc/wire.h"

enum {
	FRAME = 320,        /* names, numbers and our Via, estimated [bytes] */
	ANSWER_FRAME = 128, /* status line, received, rport, tag */
	NAME = 12,          /* that a short name grows by [bytes] */
	MAX_FORWARDS = 70,  /* RFC 3261 8.1.1.6 */
	SIP_PORT = 5060,
	SIPS_PORT = 5061
};

#define BIT(id) (1ULL << (id))

/* Headers that wire writes itself or that never cross (behaviour.md 3.1) */
static const uint64_t frame_set =
	BIT(HDR_VIA) | BIT(HDR_FROM) | BIT(HDR_TO) | BIT(HDR_CALL_ID) |
	BIT(HDR_CSEQ) | BIT(HDR_CONTACT) | BIT(HDR_ROUTE) |
	BIT(HDR_RECORD_ROUTE) | BIT(HDR_MAX_FORWARDS) | BIT(HDR_CONTENT_LENGTH);
/* Headers that speak of a body, and go with it */
static const uint64_t body_set = BIT(HDR_CONTENT_TYPE) |
				 BIT(HDR_CONTENT_ENCODING) |
				 BIT(HDR_CONTENT_DISPOSITION);

/* Headers of a request that its answer bears */
static const uint64_t answer_set =
	BIT(HDR_VIA) | BIT(HDR_RECORD_ROUTE) | BIT(HDR_FROM) | BIT(HDR_TO) |
	BIT(HDR_CALL_ID) | BIT(HDR_CSEQ) | BIT(HDR_TIMESTAMP);

/* A message that grows at the end. The first error stays, and leaves no room */
struct pen {
	uint8_t *at; /* where the next byte goes */
	size_t room; /* from there on [bytes] */
	struct mbuf *mb;
	int err;
};

/* What is written so far, for others who write there */
static struct mbuf *pen_lend(struct pen *pen)
{
	pen->mb->pos = pen->mb->end = (size_t)(pen->at - pen->mb->buf);

	return pen->mb;
}

static void pen_take(struct pen *pen, int err)
{
	pen->err = err;
	pen->at = mbuf_buf(pen->mb);
	pen->room = err ? 0 : mbuf_get_space(pen->mb);
}

static __attribute__((noinline)) void put_more(struct pen *pen, const void *p,
					       size_t n)
{
	if (n && !pen->err)
		pen_take(pen, mbuf_write_mem(pen_lend(pen), p, n));
}

/* Inlined, so that the length of a literal is a constant */
static inline __attribute__((always_inline)) void put(struct pen *pen,
						      const void *p, size_t n)
{
	if (n - 1 >= pen->room) { /* nothing is not less than any room */
		put_more(pen, p, n);
		return;
	}

	memcpy(pen->at, p, n);
	pen->at += n;
	pen->room -= n;
}

static void put_pl(struct pen *pen, const struct pl *pl)
{
	put(pen, pl->p, pl->l);
}

static void put_str(struct pen *pen, const char *str)
{
	put(pen, str, strlen(str));
}

static void put_number(struct pen *pen, uint64_t n)
{
	char digits[20];

	put(pen, digits, uint_write(digits, n));
}

/* "Name: value", the line whole */
static inline __attribute__((always_inline)) void put_line(
	struct pen *pen, const char *name, const struct pl *value)
{
	put_str(pen, name);
	put(pen, ": ", 2);
	put_pl(pen, value);
	put(pen, "\r\n", 2);
}

static void put_address(struct pen *pen, const struct sa *sa)
{
	char text[ADDRESS_TEXT];

	put(pen, text, address_write(text, sa, false));
}

static void put_cseq(struct pen *pen, uint32_t cseq, const struct pl *method)
{
	put(pen, "CSeq: ", 6);
	put_number(pen, cseq);
	put(pen, " ", 1);
	put_pl(pen, method);
	put(pen, "\r\n", 2);
}

static void put_contact(struct pen *pen, const struct pl *uri,
			const struct pl *params)
{
	put(pen, "Contact: <", 10);
	put_pl(pen, uri);
	put(pen, ">", 1);
	if (params)
		put_pl(pen, params);
	put(pen, "\r\n", 2);
}

/* User-Agent or Server (RFC 3261 20.41, 20.35): what the other side says of
 * itself never crosses */
static struct pl agent_of(const struct port *port)
{
	return port ? *port_user_agent(port) : (struct pl){ NULL, 0 };
}

static void put_agent(struct pen *pen, const char *name, const struct pl *agent)
{
	if (agent->l)
		put_line(pen, name, agent);
}

static int pen_open(struct pen *pen, size_t size)
{
	pen->mb = mbuf_alloc(size);
	if (!pen->mb)
		return ENOMEM;
	pen_take(pen, 0);

	return 0;
}

/* Hand the finished message out, from its beginning */
static int pen_close(struct pen *pen, struct mbuf **mbp)
{
	if (pen->err) {
		mem_deref(pen->mb);
		return pen->err;
	}

	*mbp = pen_lend(pen);
	(*mbp)->pos = 0;

	return 0;
}

/* Room for the lines of these headers, names in their long form */
static size_t headers_size(const struct message *msg, uint64_t set)
{
	size_t i, size = 0;

	for (i = 0; msg && i < msg->n; ++i) {
		if (set & BIT(msg->headers[i].id))
			size += NAME + msg->headers[i].len;
	}

	return size;
}

/* The part from the crossing headers to the end, of requests and responses */
struct rest {
	const struct message *src;
	struct header_set without;
	const struct pl *extra, *body, *ctype;
	bool keep_body;
};

static struct pl rest_body(const struct rest *r)
{
	return r->keep_body && r->src ? r->src->body : *r->body;
}

static void put_rest(struct pen *pen, const struct rest *r)
{
	const struct pl body = rest_body(r);
	struct header_set without = r->without;

	without.bits |= frame_set;
	if (!body.l)
		without.bits |= body_set;
	else if (r->ctype->l)
		without.bits |= BIT(HDR_CONTENT_TYPE);

	if (r->src && !pen->err)
		pen_take(pen,
			 message_write_headers(pen_lend(pen), r->src, without));
	put_pl(pen, r->extra);
	if (body.l && r->ctype->l)
		put_line(pen, "Content-Type", r->ctype);

	put(pen, "Content-Length: ", 16);
	put_number(pen, body.l);
	put(pen, "\r\n\r\n", 4);
	put_pl(pen, &body);
}

static struct pl method_text(const struct wire_request *r)
{
	struct pl text = r->method_name;

	if (r->method != METHOD_OTHER)
		pl_set_str(&text, method_name(r->method));

	return text;
}

/* RFC 3261 18.1.1; RFC 3581 3: rport asks to be answered where it came from */
static void put_our_via(struct pen *pen, const struct port *port,
			const char *branch, const struct sa *origin)
{
	enum transport transport = port_transport(port);

	put(pen, "Via: SIP/2.0/", 13);
	put_str(pen, transport_name(transport));
	put(pen, " ", 1);
	put_pl(pen, port_sent_by(port));
	put(pen, ";branch=", 8);
	put_str(pen, branch);
	if (origin) {
		const bool v6 = sa_af(origin) == AF_INET6;

		/* RFC 3261 25.1: the value of an extension is a host */
		put(pen, v6 ? ";origin=[" : ";origin=", v6 ? 9 : 8);
		put_address(pen, origin);
		put(pen, "]", v6);
	}
	if (transport == TRANSPORT_UDP)
		put(pen, ";rport", 6);
	put(pen, "\r\n", 2);
}

int wire_request(struct mbuf **mbp, const struct wire_request *r)
{
	const struct pl method = method_text(r);
	const struct rest rest = { .src = r->src,
				   .without = r->without,
				   .extra = &r->extra,
				   .body = &r->body,
				   .ctype = &r->ctype,
				   .keep_body = r->keep_body };
	const struct pl agent = agent_of(r->port);
	struct pen pen;
	int err;

	err = pen_open(
		&pen,
		FRAME + 2 * method.l + r->ruri.l + r->from.l + r->to.l +
			r->callid.l + r->contact.l + r->contact_params.l +
			r->routes.l +
			headers_size(r->src, ~(r->without.bits | frame_set)) +
			r->extra.l + rest_body(&rest).l + r->ctype.l + agent.l);
	if (err)
		return err;

	put_pl(&pen, &method);
	put(&pen, " ", 1);
	put_pl(&pen, &r->ruri);
	put(&pen, " SIP/2.0\r\n", 10);
	put_our_via(&pen, r->port, r->branch, r->origin);
	put(&pen, "Max-Forwards: ", 14);
	put_number(&pen, r->max_forwards);
	put(&pen, "\r\n", 2);
	if (r->routes.l)
		put_line(&pen, "Route", &r->routes);
	put_line(&pen, "From", &r->from);
	put_line(&pen, "To", &r->to);
	put_line(&pen, "Call-ID", &r->callid);
	put_cseq(&pen, r->cseq, &method);
	if (r->contact.l)
		put_contact(&pen, &r->contact, &r->contact_params);
	put_agent(&pen, "User-Agent", &agent);
	put_rest(&pen, &rest);

	return pen_close(&pen, mbp);
}

const struct sa *wire_origin(const struct session_agent *agent,
			     const struct sa *src)
{
	return agent && agent->options.n &&
			       !option_get(&agent->options, "via-origin", NULL)
		       ? src
		       : NULL;
}

/* Does the host of a Via name the source? RFC 3261 18.2.1 */
static bool is_source(const struct via *via, const struct sa *src)
{
	struct sa sa;

	return !address_parse_text(&sa, &via->host) &&
	       sa_cmp(&sa, src, SA_ADDR);
}

/* Parameters of the top Via less what the source claims of itself */
static void put_via_params(struct pen *pen, struct pl params)
{
	struct pl name, value;

	while (params.l) {
		const char *from = params.p;

		if (param_next(&params, &name, &value))
			return;
		if (is_word(&name, "received") || is_word(&name, "rport"))
			continue;

		put(pen, from, (size_t)(params.p - from));
	}
}

/* The top Via of a request as the answer bears it: received and rport tell the
 * source (RFC 3261 18.2.1, RFC 3581 4). Other values of the line follow */
static void put_top_via(struct pen *pen, const struct message *request,
			const struct pl *line, const struct sa *src)
{
	struct pl top, value, rest;
	const struct via *via = message_via(request, &top);

	if (!via || (!via->has_rport && is_source(via, src) &&
		     param_get(&via->params, "received", &value))) {
		put_line(pen, "Via", line);
		return;
	}

	put(pen, "Via: ", 5);
	put(pen, top.p,
	    via->params.l ? (size_t)(via->params.p - top.p) : top.l);
	put_via_params(pen, via->params);
	put(pen, ";received=", 10);
	put_address(pen, src);
	if (via->has_rport) {
		put(pen, ";rport=", 7);
		put_number(pen, sa_port(src));
	}
	put(pen, "\r\n", 2);

	rest.p = top.p + top.l;
	rest.l = (size_t)(line->p + line->l - rest.p);
	while (rest.l && (*rest.p == ' ' || *rest.p == '\t' || *rest.p == ','))
		++rest.p, --rest.l;
	if (rest.l)
		put_line(pen, "Via", &rest);
}

static void put_vias(struct pen *pen, const struct wire_response *r)
{
	const struct header *h = message_first(r->request, HDR_VIA);
	struct pl value;

	if (!h)
		return;

	value = header_value(r->request, h);
	put_top_via(pen, r->request, &value, &r->from->src);
	while ((h = message_next(r->request, h))) {
		value = header_value(r->request, h);
		put_line(pen, "Via", &value);
	}
}

/* All headers of an id, copied from the request */
static void put_copies(struct pen *pen, const struct message *request,
		       enum header_id id)
{
	const struct header *h;

	for (h = message_first(request, id); h; h = message_next(request, h)) {
		const struct pl value = header_value(request, h);

		put_line(pen, header_id_name(id), &value);
	}
}

static void put_to(struct pen *pen, const struct wire_response *r)
{
	const struct pl to = message_value(r->request, HDR_TO);

	put(pen, "To: ", 4);
	put_pl(pen, &to);
	if (r->to_tag && !r->request->to_tag.l) {
		put(pen, ";tag=", 5);
		put_str(pen, r->to_tag);
	}
	put(pen, "\r\n", 2);
}

/* RFC 3261 12.1.1, RFC 6665: answers that make a dialog show the caller the
 * proxies in between. A Record-Route of ours there is never */
static bool makes_dialog(const struct wire_response *r)
{
	switch (r->request->method_id) {
	case INVITE:
	case SUBSCRIBE:
	case NOTIFY:
	case REFER:
		return r->code > 100 && r->code < 300;

	default:
		return false;
	}
}

static void put_status(struct pen *pen, const struct wire_response *r)
{
	put(pen, "SIP/2.0 ", 8);
	put_number(pen, r->code);
	put(pen, " ", 1);
	if (r->reason.l)
		put_pl(pen, &r->reason);
	else
		put_str(pen, cause_phrase(r->code));
	put(pen, "\r\n", 2);
}

int wire_response(struct mbuf **mbp, const struct wire_response *r)
{
	const struct rest rest = { .src = r->src,
				   .without = r->without,
				   .extra = &r->extra,
				   .body = &r->body,
				   .ctype = &r->ctype,
				   .keep_body = r->keep_body };
	const struct message *request = r->request;
	const struct pl agent = agent_of(r->from ? r->from->port : NULL);
	struct pl value;
	struct pen pen;
	int err;

	/* An answer may stay for 32 s, so what is not copied takes no room */
	err = pen_open(
		&pen,
		ANSWER_FRAME + headers_size(request, answer_set) +
			headers_size(r->src, ~(r->without.bits | frame_set)) +
			r->contact.l + r->extra.l + rest_body(&rest).l +
			r->ctype.l + agent.l + r->reason.l);
	if (err)
		return err;

	put_status(&pen, r);
	put_vias(&pen, r);
	if (makes_dialog(r))
		put_copies(&pen, request, HDR_RECORD_ROUTE);
	value = message_value(request, HDR_FROM);
	put_line(&pen, "From", &value);
	put_to(&pen, r);
	put_line(&pen, "Call-ID", &request->callid);
	put_copies(&pen, request, HDR_CSEQ);
	if (r->code == 100) /* RFC 3261 8.2.6.1 */
		put_copies(&pen, request, HDR_TIMESTAMP);
	if (r->contact.l)
		put_contact(&pen, &r->contact, NULL);
	put_agent(&pen, "Server", &agent);
	put_rest(&pen, &rest);

	return pen_close(&pen, mbp);
}

void wire_reply_target(struct target *to, const struct arrival *from)
{
	memset(to, 0, sizeof(*to));
	to->dst = from->src;
	to->conn = from->conn;
	to->transport = (uint8_t)port_transport(from->port);
	/* RFC 3261 18.2.2 would open a new connection to the sent-by; a
	 * stranger could so make us connect to anybody */
	to->only = from->conn != 0;
}

/* What an ACK or CANCEL takes over from our own request */
struct own {
	struct pl ruri, via, from, to, callid, cseq;
};

static void own_header(struct own *own, const struct pl *name,
		       const struct pl *value)
{
	switch (header_id_find(name)) {
	case HDR_VIA:
		if (!own->via.l)
			own->via = *value;
		break;
	case HDR_FROM:
		own->from = *value;
		break;
	case HDR_TO:
		own->to = *value;
		break;
	case HDR_CALL_ID:
		own->callid = *value;
		break;
	case HDR_CSEQ:
		own->cseq = *value;
		break;
	default:
		break;
	}
}

/* Cut the first line off, without its CRLF. False: none is left */
static bool line_next(struct pl *rest, struct pl *line)
{
	const char *lf = memchr(rest->p, '\n', rest->l);

	if (!lf || lf - rest->p < 2 || lf[-1] != '\r')
		return false;

	line->p = rest->p;
	line->l = (size_t)(lf - 1 - rest->p);
	rest->p += line->l + 2;
	rest->l -= line->l + 2;

	return true;
}

static bool line_split(const struct pl *line, struct pl *name, struct pl *value)
{
	const char *colon = memchr(line->p, ':', line->l);

	if (!colon)
		return false;

	name->p = line->p;
	name->l = (size_t)(colon - line->p);
	value->p = colon + 1;
	value->l = line->l - name->l - 1;
	while (value->l && *value->p == ' ')
		++value->p, --value->l;

	return true;
}

/* Our requests are not folded and have each of these headers once */
static int own_read(struct own *own, struct pl *headers, struct mbuf *request)
{
	struct pl rest = { .p = (const char *)mbuf_buf(request),
			   .l = mbuf_get_left(request) };
	struct pl line, name, value;
	const char *end;

	memset(own, 0, sizeof(*own));
	if (!line_next(&rest, &line))
		return EBADMSG;

	own->ruri.p = memchr(line.p, ' ', line.l);
	end = memrchr(line.p, ' ', line.l);
	if (!own->ruri.p || end <= own->ruri.p + 1)
		return EBADMSG;
	own->ruri.p += 1;
	own->ruri.l = (size_t)(end - own->ruri.p);

	*headers = rest;
	while (line_next(&rest, &line)) {
		if (line_split(&line, &name, &value))
			own_header(own, &name, &value);
	}

	/* "1 INVITE": the number is what is taken over */
	end = own->cseq.l ? memchr(own->cseq.p, ' ', own->cseq.l) : NULL;
	if (!end || !own->via.l || !own->from.l || !own->to.l || !own->callid.l)
		return EBADMSG;
	own->cseq.l = (size_t)(end - own->cseq.p);

	return 0;
}

static void put_routes(struct pen *pen, struct pl headers)
{
	struct pl line, name, value;

	while (line_next(&headers, &line)) {
		if (line_split(&line, &name, &value) &&
		    header_id_find(&name) == HDR_ROUTE)
			put_line(pen, "Route", &value);
	}
}

/* An ACK or CANCEL of a request of ours: no body, one Via, no credentials */
static int wire_twin(struct mbuf **mbp, struct mbuf *request,
		     const char *method, const struct pl *to,
		     const struct pl *reason)
{
	struct pl headers;
	struct own own;
	struct pen pen;
	int err;

	err = own_read(&own, &headers, request);
	if (err)
		return err;
	if (!to)
		to = &own.to;

	err = pen_open(
		&pen,
		FRAME + (size_t)(headers.p - (const char *)mbuf_buf(request)) +
			own.via.l + own.from.l + own.callid.l + to->l +
			(reason ? reason->l : 0));
	if (err)
		return err;

	put_str(&pen, method);
	put(&pen, " ", 1);
	put_pl(&pen, &own.ruri);
	put(&pen, " SIP/2.0\r\n", 10);
	put_line(&pen, "Via", &own.via);
	put(&pen, "Max-Forwards: ", 14);
	put_number(&pen, MAX_FORWARDS);
	put(&pen, "\r\n", 2);
	put_routes(&pen, headers);
	put_line(&pen, "From", &own.from);
	put_line(&pen, "To", to);
	put_line(&pen, "Call-ID", &own.callid);
	put(&pen, "CSeq: ", 6);
	put_pl(&pen, &own.cseq);
	put(&pen, " ", 1);
	put_str(&pen, method);
	put(&pen, "\r\n", 2);
	if (reason && reason->l)
		put_line(&pen, "Reason", reason);
	put(&pen, "Content-Length: 0\r\n\r\n", 21);

	return pen_close(&pen, mbp);
}

int wire_ack_failure(struct mbuf **mbp, struct mbuf *request,
		     const struct message *response)
{
	const struct pl to = message_value(response, HDR_TO);

	return to.l ? wire_twin(mbp, request, "ACK", &to, NULL) : EBADMSG;
}

int wire_cancel(struct mbuf **mbp, struct mbuf *request,
		const struct pl *reason)
{
	return wire_twin(mbp, request, "CANCEL", NULL, reason);
}

bool wire_is_ours(const struct realms *realms, const struct pl *host,
		  uint16_t port)
{
	struct sa sa;

	if (sa_set(&sa, host, port ? port : SIP_PORT))
		return false;
	if (realms_is_local(realms, &sa))
		return true;
	if (port)
		return false;

	/* No port: that of sips, too (RFC 3261 19.1.2) */
	sa_set_port(&sa, SIPS_PORT);

	return realms_is_local(realms, &sa);
}
