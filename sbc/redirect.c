/*
 * Contacts of a 3xx: ours for the caller, a peer's as hops or passed on
 */
#include <errno.h>
#include <string.h>
#include "store/number.h"
#include "sbc/redirect.h"

enum {
	CONTACTS = ROUTE_HOPS, /* of one answer; more are left out */
	Q_MOST = 1000,
	HOST = 300 /* [bytes] of "host:port;transport=x" */
};

/* A Contact that was followed, with the texts that its hop points to */
struct followed {
	struct le le;
	char *uri;  /* of the Contact */
	char *ruri; /* that is asked for there */
	char *next_hop;
};

struct contact {
	struct address addr;
	uint32_t q; /* thousandths */
};

static void followed_destructor(void *arg)
{
	struct followed *f = arg;

	list_unlink(&f->le);
	mem_deref(f->uri);
	mem_deref(f->ruri);
	mem_deref(f->next_hop);
}

void redirects_move(struct redirects *to, struct redirects *from)
{
	struct le *le;

	while ((le = from->kept.head)) {
		list_unlink(le);
		list_append(&to->kept, le, le->data);
	}
}

void redirects_clear(struct redirects *r)
{
	list_flush(&r->kept);
}

/* --- 302 to the caller -------------------------------------------------- */

bool redirect_is_due(const struct route *route,
		     const struct session_agent *agent,
		     const struct sip_interface *interface)
{
	const struct policy_attribute *first =
		route->n ? route->hops[0].attribute : NULL;

	if (first && first->action == POLICY_ACTION_REDIRECT)
		return true;
	if (agent && agent->proxy_mode != AGENT_PROXY_MODE_EMPTY)
		return agent->proxy_mode == AGENT_PROXY_MODE_REDIRECT;

	return interface->proxy_mode == PROXY_MODE_REDIRECT;
}

static int put(struct mbuf *mb, const char *text)
{
	return mbuf_write_str(mb, text);
}

static int put_number(struct mbuf *mb, uint32_t n)
{
	char digits[20];

	return mbuf_write_mem(mb, (const uint8_t *)digits,
			      uint_write(digits, n));
}

static int put_q(struct mbuf *mb, uint32_t q)
{
	static const char *const zeros[] = { "0", "00", "000" };
	uint32_t rest = q % Q_MOST;
	int err = put(mb, ";q=");

	err |= put_number(mb, q / Q_MOST);
	if (!rest)
		return err;
	err |= put(mb, ".");
	if (rest < 100)
		err |= put(mb, zeros[rest < 10]);

	return err | put_number(mb, rest);
}

/* Brackets around IPv6 */
static int put_host(struct mbuf *mb, const struct pl *host)
{
	bool bare =
		host->l && memchr(host->p, ':', host->l) && host->p[0] != '[';
	int err = bare ? put(mb, "[") : 0;

	err |= mbuf_write_pl(mb, host);

	return bare ? err | put(mb, "]") : err;
}

static int put_address(struct mbuf *mb, const struct sa *sa)
{
	char text[64] = "";
	struct pl host;
	int err;

	if (sa_ntop(sa, text, sizeof(text)))
		return EINVAL;
	pl_set_str(&host, text);
	err = put_host(mb, &host);
	err |= put(mb, ":");

	return err | put_number(mb, sa_port(sa));
}

static int put_place(struct mbuf *mb, const struct hop *hop)
{
	int err;

	if (hop->attribute && hop->attribute->action == POLICY_ACTION_REDIRECT)
		return put(mb, hop->next_hop);

	if (sa_isset(&hop->addr, SA_ADDR)) {
		err = put_address(mb, &hop->addr);
	} else {
		err = put_host(mb, &hop->host);
		if (hop->port) {
			err |= put(mb, ":");
			err |= put_number(mb, hop->port);
		}
	}
	if (hop->transport != TRANSPORT_NONE &&
	    hop->transport != TRANSPORT_UDP) {
		err |= put(mb, ";transport=");
		err |= put(mb, transport_name(hop->transport));
	}

	return err;
}

static int put_user(struct mbuf *mb, const struct pl *user)
{
	int err = put(mb, "Contact: <sip:");

	if (user->l) {
		err |= mbuf_write_pl(mb, user);
		err |= put(mb, "@");
	}

	return err;
}

int redirect_write(struct mbuf *mb, const struct route *route,
		   const struct uri *ruri)
{
	int err = 0;

	for (uint32_t i = 0; !err && i < route->n; i++) {
		err = put_user(mb, &ruri->user);
		err |= put_place(mb, &route->hops[i]);
		err |= put(mb, ">");
		if (route->n > 1)
			err |= put_q(mb, Q_MOST - i * Q_MOST / route->n);
		err |= put(mb, "\r\n");
	}

	return err ? ENOMEM : 0;
}

/* --- 3xx of the called side --------------------------------------------- */

/* "0.7" in thousandths; RFC 3261 20.10: without one it is 1.0 */
static uint32_t read_q(const struct pl *params)
{
	uint32_t q, unit = Q_MOST;
	struct pl value;

	if (param_get(params, "q", &value) || !value.l)
		return Q_MOST;
	q = value.p[0] == '1' ? Q_MOST : 0;
	for (size_t i = 2; i < value.l && unit > 1; i++) {
		char c = value.p[i];

		if (value.p[1] != '.' || c < '0' || c > '9')
			return Q_MOST;
		unit /= 10;
		q += unit * (uint32_t)(c - '0');
	}

	return q < Q_MOST ? q : Q_MOST;
}

/* Contacts that can be called, by falling q; equal ones as they stand */
static uint32_t contacts_read(struct contact v[CONTACTS],
			      const struct message *answer)
{
	const struct header *h = message_first(answer, HDR_CONTACT);
	uint32_t n = 0;

	for (; h; h = message_next(answer, h)) {
		struct pl rest = header_value(answer, h), value;

		while (n < CONTACTS && !list_next(&rest, &value)) {
			struct contact c;
			uint32_t at = n;

			if (address_read(&c.addr, &value) ||
			    !is_word(&c.addr.uri.scheme, "sip"))
				continue;
			c.q = read_q(&c.addr.params);
			for (; at && v[at - 1].q < c.q; at--)
				v[at] = v[at - 1];
			v[at] = c;
			n++;
		}
	}

	return n;
}

int redirect_pass(struct mbuf *mb, const struct message *answer,
		  const struct sa *local)
{
	struct contact v[CONTACTS];
	uint32_t n = contacts_read(v, answer);
	int err = 0;

	for (uint32_t i = 0; !err && i < n; i++) {
		err = put_user(mb, &v[i].addr.uri.user);
		err |= put_address(mb, local);
		err |= put(mb, ">");
		if (n > 1)
			err |= put_q(mb, v[i].q);
		err |= put(mb, "\r\n");
	}

	return err ? ENOMEM : 0;
}

bool redirect_is_followed(const struct hop *hop, uint16_t code)
{
	uint8_t action = hop->realm->interface->redirect_action;

	if (code < 300 || code > 399)
		return false;
	if (hop->agent) {
		switch ((enum agent_redirect_action)
				hop->agent->redirect_action) {

		case AGENT_REDIRECT_ACTION_EMPTY:
		case AGENT_REDIRECT_ACTION_RECURSE:
			action = REDIRECT_ACTION_RECURSE;
			break;

		case AGENT_REDIRECT_ACTION_PROXY:
			action = REDIRECT_ACTION_PROXY;
			break;

		case AGENT_REDIRECT_ACTION_RECURSE_305_ONLY:
			action = REDIRECT_ACTION_RECURSE_305_ONLY;
			break;
		}
	}

	return action == REDIRECT_ACTION_RECURSE ||
	       (action == REDIRECT_ACTION_RECURSE_305_ONLY && code == 305);
}

/* A URI as a next hop: maddr or host, port, transport */
static int next_hop_of(char **textp, const struct uri *uri)
{
	struct mbuf *mb = mbuf_alloc(HOST);
	struct pl host = uri->host, value;
	int err;

	if (!mb)
		return ENOMEM;
	if (!param_get(&uri->params, "maddr", &value) && value.l)
		host = value;
	err = put_host(mb, &host);
	if (uri->port) {
		err |= put(mb, ":");
		err |= put_number(mb, uri->port);
	}
	if (!param_get(&uri->params, "transport", &value) && value.l) {
		err |= put(mb, ";transport=");
		err |= mbuf_write_pl(mb, &value);
	}
	mb->pos = 0;
	if (!err)
		err = mbuf_strdup(mb, textp, mb->end);
	mem_deref(mb);

	return err;
}

static bool is_known(const struct redirects *r, const struct pl *ruri,
		     const struct address *addr)
{
	struct uri other;

	if (!uri_read(&other, ruri) && uri_equal(&other, &addr->uri))
		return true;
	for (struct le *le = list_head(&r->kept); le; le = le->next) {
		const struct followed *f = le->data;
		struct pl text;

		pl_set_str(&text, f->uri);
		if (!uri_read(&other, &text) && uri_equal(&other, &addr->uri))
			return true;
	}

	return false;
}

/* May a peer of this realm send us there? */
static bool is_admitted(const struct hop *to, const struct plan *plan)
{
	const char *realm = to->realm->config->identifier;
	struct sa sa = to->addr;

	if (to->agent && to->agent->realm_id[0] &&
	    strcmp(to->agent->realm_id, "*") &&
	    strcmp(to->agent->realm_id, realm))
		return false;
	sa_set_port(&sa, 0);

	return !sa_isset(&sa, SA_ADDR) || !realms_is_local(plan->realms, &sa);
}

static int follow(struct hop *to, struct redirects *r, const struct plan *plan,
		  const struct hop *from, const struct address *addr,
		  const struct pl *ruri)
{
	struct followed *f = mem_zalloc(sizeof(*f), followed_destructor);
	int err;

	if (!f)
		return ENOMEM;
	err = pl_strdup(&f->uri, &addr->spec);
	if (!err)
		err = pl_strdup(&f->ruri, ruri);
	if (!err)
		err = next_hop_of(&f->next_hop, &addr->uri);
	if (!err)
		err = hop_read(to, plan->routes, f->next_hop, from->realm);
	if (!err && !is_admitted(to, plan))
		err = EACCES;
	if (err) {
		mem_deref(f);
		return err;
	}

	list_append(&r->kept, &f->le, f);
	to->policy = from->policy;
	to->line = from->line;
	to->attribute = from->attribute;
	to->cost = from->cost;
	to->redirected = true;
	to->ruri = f->ruri;

	return 0;
}

static bool insert(struct route *route, uint32_t at, const struct hop *hop)
{
	if (at >= ROUTE_HOPS)
		return false;
	if (route->n == ROUTE_HOPS)
		route->n--;
	memmove(&route->hops[at + 1], &route->hops[at],
		(route->n - at) * sizeof(*hop));
	route->hops[at] = *hop;
	route->n++;

	return true;
}

uint32_t redirect_follow(struct redirects *r, struct route *route, uint32_t at,
			 const struct plan *plan, const struct hop *hop,
			 const struct pl *ruri, const struct message *answer)
{
	uint32_t max = hop->realm->interface->max_redirect_contacts, n = 0;
	struct contact v[CONTACTS];
	uint32_t found = contacts_read(v, answer);
	struct hop to;

	for (uint32_t i = 0; i < found && (!max || n < max); i++) {
		const struct address *addr = &v[i].addr;

		/* RFC 3261 21.3.4: 305 names who passes the same request on */
		if (is_known(r, ruri, addr) ||
		    follow(&to, r, plan, hop, addr,
			   answer->code == 305 ? ruri : &addr->spec))
			continue;
		if (!insert(route, at + n, &to))
			break;
		n++;
	}

	return n;
}
