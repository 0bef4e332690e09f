/*
 * The Request-URI as one session-agent wants it: carrier, strict routing
 */
#include <errno.h>
#include "policy/agent_uri.h"

/* Where the carrier goes; NONE too where there is none, or no number */
static enum req_uri_carrier_mode mode_of(const struct session_agent *agent,
					 const char *carrier,
					 const struct uri *uri)
{
	if (!carrier[0] || !uri->user.l)
		return REQ_URI_CARRIER_MODE_NONE;

	return (enum req_uri_carrier_mode)agent->req_uri_carrier_mode;
}

static int put(struct mbuf *mb, const char *p, size_t n)
{
	return n ? mbuf_write_mem(mb, (const uint8_t *)p, n) : 0;
}

/* RFC 3261 25.1: host, IPv6 in brackets, and the port where it is not the usual */
static int put_target(struct mbuf *mb, const struct sa *target)
{
	return mbuf_printf(mb, sa_port(target) == 5060 ? "%s%j%s" : "%s%j%s:%u",
			   sa_af(target) == AF_INET6 ? "[" : "", target,
			   sa_af(target) == AF_INET6 ? "]" : "",
			   (unsigned)sa_port(target));
}

int agent_uri(char **out, const struct pl *ruri,
	      const struct session_agent *agent, const char *carrier,
	      const struct sa *target)
{
	enum req_uri_carrier_mode mode;
	const char *end = ruri->p + ruri->l, *host;
	struct mbuf *mb;
	struct uri uri;
	bool strict;
	int err;

	*out = NULL;
	if (uri_read(&uri, ruri))
		return EINVAL;
	mode = mode_of(agent, carrier, &uri);
	/* a tel URI has no place for an address */
	strict = !agent->loose_routing && uri.host.l;
	if (mode == REQ_URI_CARRIER_MODE_NONE && !strict)
		return 0;

	mb = mbuf_alloc(ruri->l + 128);
	if (!mb)
		return ENOMEM;

	/* "sip:" [carrier] user [;cic=carrier] [:password@] host[:port] rest */
	host = uri.host.l ? uri.host.p : end;
	if (uri.host.l && host[-1] == '[')
		--host;
	if (uri.user.l) {
		err = put(mb, ruri->p, (size_t)(uri.user.p - ruri->p));
		if (!err && mode == REQ_URI_CARRIER_MODE_PREFIX)
			err = mbuf_write_str(mb, carrier);
		if (!err)
			err = put(mb, uri.user.p, uri.user.l);
		if (!err && mode == REQ_URI_CARRIER_MODE_URI_PARAM)
			err = mbuf_printf(mb, ";cic=%s", carrier);
		if (!err)
			err = put(mb, uri.user.p + uri.user.l,
				  (size_t)(host - uri.user.p - uri.user.l));
	} else {
		err = put(mb, ruri->p, (size_t)(host - ruri->p));
	}
	if (!err && strict) {
		err = put_target(mb, target);
		host = uri.params.l    ? uri.params.p
		       : uri.headers.l ? uri.headers.p
				       : end;
	}
	if (!err)
		err = put(mb, host, (size_t)(end - host));
	mb->pos = 0;
	if (!err)
		err = mbuf_strdup(mb, out, mb->end);
	mem_deref(mb);

	return err;
}
