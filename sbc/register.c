/*
 * A REGISTER written, and what its answer says
 */
#include <errno.h>
#include <string.h>
#include "store/log.h"
#include "store/number.h"
#include "sbc/pen.h"
#include "sbc/register.h"

enum {
	PAUSE_MAX = 3600, /* [s] */
	VALUE_MAX = 1024, /* Service-Route, P-Associated-URI [bytes] */
};

/* What a REGISTER looks like (4.1) ----------------------------------------- */

/** The outbound proxy of the agent, and nothing else (RFC 3608 6.1) */
static void put_route(struct pen *t, const struct registration *r,
		      uint8_t transport)
{
	const struct session_agent *proxy = r->flock->registry->hop.agent;

	if (!*r->flock->agent->proxy_name || !proxy)
		return;

	pen_put(t, "<sip:");
	pen_put_host(t, proxy->hostname);
	if (proxy->port && proxy->port != 5060) {
		pen_put(t, ":");
		pen_put_uint(t, proxy->port);
	}
	pen_put_transport(t, transport);
	pen_put(t, ";lr>");
}

int register_write(struct mbuf **mbp, const struct registration *r,
		   const struct register_setup *setup)
{
	char to[AOR_SIZE + 16], from[AOR_SIZE + 48], route[512] = "";
	char params[32] = "", aor[AOR_SIZE];
	struct pen tt = { to, sizeof(to), 0, false };
	struct pen ft = { from, sizeof(from), 0, false };
	struct pen rt = { route, sizeof(route), 0, false };
	struct pen pt = { params, sizeof(params), 0, false };
	struct mbuf *extra = NULL;
	struct wire_request req = { 0 };
	int err;

	if (registration_aor(aor, sizeof(aor), r) < 0)
		return EOVERFLOW;
	pen_put(&tt, "<sip:");
	pen_put(&tt, aor);
	pen_put(&tt, ">");
	pen_put(&ft, to);
	pen_put(&ft, ";tag=");
	pen_put(&ft, r->tag);
	put_route(&rt, r, setup->transport);
	pen_put(&pt, ";expires=");
	pen_put_uint(&pt, setup->expires);
	if (tt.full || ft.full || rt.full)
		return EOVERFLOW;

	extra = mbuf_alloc(256 + setup->auth->end);
	if (!extra)
		return ENOMEM;
	err = mbuf_write_str(extra, "Expires: ");
	err |= mbuf_write_str(extra, params + strlen(";expires="));
	err |= mbuf_write_str(extra, "\r\n");
	if (!r->flock->no_path)
		err |= mbuf_write_str(extra, "Supported: path\r\n");
	if (setup->auth->end)
		err |= mbuf_write_mem(extra, setup->auth->buf,
				      setup->auth->end);
	if (err)
		goto out;

	req.method = REGISTER;
	req.port = setup->port;
	req.branch = setup->branch;
	req.cseq = setup->cseq;
	req.max_forwards = 70;
	pl_set_str(&req.ruri, setup->ruri);
	pl_set_str(&req.from, from);
	pl_set_str(&req.to, to);
	pl_set_str(&req.callid, r->callid);
	pl_set_str(&req.contact, setup->contact);
	pl_set_str(&req.contact_params, params);
	pl_set_str(&req.routes, route);
	req.extra.p = (const char *)extra->buf;
	req.extra.l = extra->end;

	err = wire_request(mbp, &req);

out:
	mem_deref(extra);

	return err;
}

/* Answers (4.4) ------------------------------------------------------------ */

/** Percent escapes undone (RFC 3261 19.1.4) */
static int next_octet(const struct pl *pl, size_t *i)
{
	int c = (unsigned char)pl->p[*i], v = 0;

	if (c == '%' && *i + 2 < pl->l) {
		for (size_t k = 1; k <= 2; k++) {
			int d = (unsigned char)pl->p[*i + k];

			d = d >= '0' && d <= '9'   ? d - '0'
			    : d >= 'a' && d <= 'f' ? d - 'a' + 10
			    : d >= 'A' && d <= 'F' ? d - 'A' + 10
						   : -1;
			if (d < 0)
				goto plain;
			v = v * 16 + d;
		}
		*i += 3;
		return v;
	}

plain:
	*i += 1;

	return c;
}

static bool same_user(const struct pl *a, const struct pl *b)
{
	size_t i = 0, k = 0;

	while (i < a->l && k < b->l)
		if (next_octet(a, &i) != next_octet(b, &k))
			return false;

	return i == a->l && k == b->l;
}

static uint16_t port_of(const struct uri *uri)
{
	struct pl transport;

	if (uri->port)
		return uri->port;
	if (!param_get(&uri->params, "transport", &transport) &&
	    is_word(&transport, "tls"))
		return 5061;

	return is_word(&uri->scheme, "sips") ? 5061 : 5060;
}

/* A port left out and the default one are the same place; registrars write
 * either, so both are ours (19.1.4 is stricter) */
bool register_is_own(const struct uri *contact, const struct uri *own)
{
	return same_user(&contact->user, &own->user) &&
	       host_equal(&contact->host, &own->host) &&
	       (port_of(contact) == port_of(own) ||
		(!contact->port && own->port == 5061));
}

static bool read_seconds(uint32_t *out, const struct pl *text)
{
	uint64_t n;
	int err = uint_parse(&n, text, UINT32_MAX);

	if (err && err != ERANGE)
		return false;
	*out = err ? UINT32_MAX : (uint32_t)n;

	return true;
}

static uint32_t header_seconds(const struct message *msg, enum header_id id,
			       uint32_t dflt)
{
	struct pl value = message_value(msg, id);
	uint32_t n;

	return value.l && read_seconds(&n, &value) ? n : dflt;
}

/** Each Contact of a message until h says stop */
typedef bool(contact_h)(const struct address *addr, void *arg);
static bool contacts_walk(const struct message *msg, contact_h *h, void *arg)
{
	const struct header *hdr = message_first(msg, HDR_CONTACT);
	bool any = false;

	for (; hdr; hdr = message_next(msg, hdr)) {
		struct pl rest = header_value(msg, hdr), value;

		while (!list_next(&rest, &value)) {
			struct address addr;

			any = true;
			if (!address_read(&addr, &value) && h(&addr, arg))
				return true;
		}
	}

	return any;
}

struct own {
	struct uri uri;
	struct pl expires;
	bool found;
};

static bool look_for_own(const struct address *addr, void *arg)
{
	struct own *own = arg;

	if (!addr->uri.scheme.l || !register_is_own(&addr->uri, &own->uri))
		return false;

	own->found = true;
	if (param_get(&addr->params, "expires", &own->expires))
		own->expires.l = 0;

	return true;
}

bool register_granted(uint32_t *grantedp, struct registration *r,
		      const struct message *msg, uint32_t asked)
{
	uint32_t granted = header_seconds(msg, HDR_EXPIRES, asked), line = 0;
	struct own own = { .found = false };
	char aor[AOR_SIZE];
	struct pl pl;
	bool any;

	pl_set_str(&pl, r->contact);
	if (uri_read(&own.uri, &pl))
		return false;

	any = contacts_walk(msg, look_for_own, &own);
	if (any && !own.found) {
		r->reason = "own contact missing";
		return false;
	}
	if (!any && !r->flock->no_contact) {
		r->flock->no_contact = true;
		log_notice(SURROGATE, "reg-no-contact",
			   "aor=%s registrar=%s text=\"200 without Contact\"",
			   registration_name(aor, r), r->flock->registry->name);
	}
	if (own.expires.l && read_seconds(&line, &own.expires))
		granted = line;
	if (!granted) {
		r->reason = "granted 0 s";
		return false;
	}
	*grantedp = granted;

	return true;
}

uint32_t register_min_expires(const struct message *msg)
{
	return header_seconds(msg, HDR_MIN_EXPIRES, 0);
}

static bool heeds_retry_after(uint16_t code)
{
	static const uint16_t codes[] = {
		404, 413, 480, 486, 500, 503, 600, 603
	};

	for (size_t i = 0; i < sizeof(codes) / sizeof(*codes); i++)
		if (codes[i] == code)
			return true;

	return false;
}

/** Leading digits of Retry-After: "20 (busy);duration=5". 0: none */
uint32_t register_retry_after(const struct message *msg)
{
	struct pl value = message_value(msg, HDR_RETRY_AFTER);
	uint32_t n = 0;
	size_t l = 0;

	if (!heeds_retry_after(msg->code))
		return 0;

	while (l < value.l && value.p[l] >= '0' && value.p[l] <= '9')
		l++;
	value.l = l;
	if (!l || !read_seconds(&n, &value))
		return 0;

	return n < 1 ? 1 : n > PAUSE_MAX ? PAUSE_MAX : n;
}

struct best_contact {
	uint32_t q; /* thousandths, plus 1 */
	struct pl uri;
};

static bool look_for_best(const struct address *addr, void *arg)
{
	struct best_contact *best = arg;
	uint32_t q = 1000, digit = 100;
	struct pl text;

	if (!is_word(&addr->uri.scheme, "sip") &&
	    !is_word(&addr->uri.scheme, "sips"))
		return false;

	if (!param_get(&addr->params, "q", &text) && text.l &&
	    text.p[0] != '1') {
		q = 0;
		for (size_t i = 2; i < text.l && digit; i++, digit /= 10)
			if (text.p[i] >= '0' && text.p[i] <= '9')
				q += (uint32_t)(text.p[i] - '0') * digit;
	}
	if (q + 1 > best->q) {
		best->q = q + 1;
		best->uri = addr->spec;
	}

	return false;
}

struct pl register_best_contact(const struct message *msg)
{
	struct best_contact best = { 0 };

	(void)contacts_walk(msg, look_for_best, &best);

	return best.uri;
}

void register_keep(char **dst, const struct message *msg, enum header_id id)
{
	const struct header *h = message_first(msg, id);
	char buf[VALUE_MAX + 1];
	struct pen t = { buf, sizeof(buf), 0, false };

	for (; h; h = message_next(msg, h)) {
		struct pl value = header_value(msg, h);

		if (t.l)
			pen_put(&t, ", ");
		pen_put_mem(&t, value.p, value.l);
	}
	if (t.full && log_admit("reg-header-long"))
		log_warning(SURROGATE, "reg-header-long",
			    "header=%s text=\"over %d bytes, left out\"",
			    header_id_name(id), VALUE_MAX);
	if (!t.l || t.full)
		*dst = mem_deref(*dst);
	else if (!*dst || strcmp(*dst, buf) != 0)
		registration_text(dst, buf);
}
