/*
 * Identities of a call on the other side: from a PBX to its trunk and back
 *
 * The tables of behaviour.md 5.2 and 5.3. All of them say the same kind of
 * thing: this user stays or becomes that, this host becomes that one if it was
 * one of those. `view` holds which host is put where, once per request; below
 * it stands one function per row.
 *
 * Text is appended to the caller's scratch, which may move while it grows, so
 * ranges are made of offsets when all is written.
 */
#include <errno.h>
#include <string.h>
#include "store/base.h"
#include "store/number.h"
#include "store/value.h"
#include "policy/header.h"
#include "policy/hide.h"
#include "policy/pattern.h"
#include "policy/rewrite.h"

/* A host with its port as it is written, brackets included */
struct place {
	char text[256 + 8];
	size_t len;
};

struct view {
	const struct rewrite_setup *setup;
	struct mbuf *mb;
	struct uri ruri;
	bool to_pbx;         /* the table of 5.3 */
	bool to_own_trunk;   /* first column of 5.2 */
	struct place target; /* host of Request-URI and To */
	struct place own;    /* host of From and what follows it */
	bool keep_target;    /* hosts of Request-URI and To stay */
	bool redirected;     /* a 3xx named the Request-URI: it stays */
	const char *fqdn;    /* uri-fqdn-domain in force, or "" */
	bool tel;            /* teluri-scheme */
	char aor[AOR_USER_MAX];
	size_t aor_len;
};

static int put(struct mbuf *mb, const char *p, size_t n)
{
	return n ? mbuf_write_mem(mb, (const uint8_t *)p, n) : 0;
}

static int put_pl(struct mbuf *mb, const struct pl *pl)
{
	return put(mb, pl->p, pl->l);
}

static int put_text(struct mbuf *mb, const char *text)
{
	return put(mb, text, strlen(text));
}

static bool is_set(const char *text)
{
	return text && text[0];
}

static bool is_same_host(const struct pl *host, const char *name)
{
	struct pl pl;

	if (!is_set(name))
		return false;
	pl_set_str(&pl, name);

	return host_equal(host, &pl);
}

/* Places ------------------------------------------------------------------- */

static void place_text(struct place *place, const char *p, size_t n)
{
	if (n > sizeof(place->text) - 8)
		n = sizeof(place->text) - 8;
	memcpy(place->text, p, n);
	place->len = n;
}

static void place_port(struct place *place, uint16_t port)
{
	if (!port)
		return;
	place->text[place->len++] = ':';
	place->len += uint_write(place->text + place->len, port);
}

/* A name, or an address, which gets its brackets */
static void place_name(struct place *place, const char *name, size_t len)
{
	const bool bare = len < 64 && memchr(name, ':', len) && name[0] != '[';

	if (!bare) {
		place_text(place, name, len);
		return;
	}
	place->text[0] = '[';
	memcpy(place->text + 1, name, len);
	place->text[len + 1] = ']';
	place->len = len + 2;
}

static void place_address(struct place *place, const struct sa *sa,
			  bool with_port)
{
	char buf[ADDRESS_TEXT];
	size_t len = sa ? address_write(buf, sa, false) : 0;

	if (!len)
		return;
	place_name(place, buf, len);
	if (with_port)
		place_port(place, sa_port(sa));
}

/* Whose host ---------------------------------------------------------------- */

static bool is_address_of(const struct pl *host, const struct sa *sa)
{
	struct sa mine;

	return sa && sa_isset(sa, SA_ADDR) &&
	       !address_parse_text(&mine, host) && sa_cmp(&mine, sa, SA_ADDR);
}

static bool is_host_of(const struct surrogate_agent *agent,
		       const struct pl *host)
{
	return is_same_host(host, agent->customer_host) ||
	       is_same_host(host, agent->register_contact_host);
}

/* A PBX keeps its names in calls that belong to no agent. The owner's are asked
 * for beside them: its realm may be another one by now */
static bool is_name_of_pbx(const struct rewrite_setup *setup,
			   const struct pl *host)
{
	const struct surrogate_agent *agent = setup->owner.agent;

	return (agent && is_host_of(agent, host)) ||
	       (setup->ingress && setup->plan->identities &&
		identity_is_host(setup->plan->identities, setup->ingress,
				 host));
}

bool rewrite_is_local_host(const struct rewrite_setup *setup,
			   const struct pl *host)
{
	const struct surrogate_agent *agent = setup->owner.agent;
	struct sa sa;

	if (!host->l)
		return false;
	if (is_address_of(host, setup->local) ||
	    is_address_of(host, setup->received_at) ||
	    is_address_of(host, &setup->src))
		return true;
	if (!address_parse_text(&sa, host)) {
		sa_set_port(&sa, 0);
		return realms_is_local(setup->plan->realms, &sa) ||
		       (agent &&
			prefixes_hold(&agent->source_ip_prefix, &sa)) ||
		       (setup->ingress && match_is_side(setup->plan->match,
							setup->ingress, &sa)) ||
		       is_name_of_pbx(setup, host);
	}
	if (setup->plan->system &&
	    is_same_host(host, setup->plan->system->hostname))
		return true;

	return is_name_of_pbx(setup, host);
}

/* Is this host replaced in the headers that follow From? */
static bool is_replaced(const struct view *v, const struct pl *host)
{
	const struct surrogate_agent *agent = v->setup->called.agent;

	if (rewrite_is_local_host(v->setup, host))
		return true;

	/* 5.3: register-host; addresses of the trunk are the source's */
	return v->to_pbx && is_same_host(host, agent->register_host);
}

/* Next hop as a host: the session-agent's name, else host and port as given */
static void place_hop(struct place *place, const struct rewrite_setup *setup)
{
	const struct hop *hop = setup->hop;

	if (hop && hop->agent) {
		place_name(place, hop->agent->hostname,
			   strlen(hop->agent->hostname));
	} else if (hop && hop->host.l) {
		place_name(place, hop->host.p, hop->host.l);
		place_port(place, hop->port);
	} else {
		place_address(place, setup->target, true);
	}
}

/* 5.2, row "Request-URI host" */
static void target_of_trunk(struct view *v)
{
	const struct rewrite_setup *setup = v->setup;
	const struct hop *hop = setup->hop;
	const bool replace =
		hop && hop->attribute &&
		hop->attribute->action == POLICY_ACTION_REPLACE_URI;
	const char *host;

	v->keep_target = !replace && !v->redirected &&
			 !rewrite_is_local_host(setup, &v->ruri.host);
	if (v->keep_target)
		return;
	if (v->to_own_trunk && !replace) {
		host = setup->owner.agent->register_host;
		place_name(&v->target, host, strlen(host));
		return;
	}
	place_hop(&v->target, setup);
}

/* 5.3, row "Request-URI host" */
static void target_of_pbx(struct view *v)
{
	const struct rewrite_setup *setup = v->setup;
	const char *host = setup->called.agent->customer_host;

	if (is_set(host))
		place_name(&v->target, host, strlen(host));
	else if (setup->hop && setup->hop->agent)
		place_hop(&v->target, setup);
	else
		place_address(&v->target, setup->target, true);
}

/* Host of From */
static void own_place(struct view *v)
{
	const struct rewrite_setup *setup = v->setup;
	const char *host = NULL;

	if (v->to_pbx)
		host = setup->called.agent->customer_host;
	else if (v->to_own_trunk)
		host = setup->owner.agent->register_host;

	if (is_set(host))
		place_name(&v->own, host, strlen(host));
	else
		place_address(&v->own, setup->local, false);
}

static int view_init(struct view *v, const struct rewrite_setup *setup,
		     struct mbuf *mb)
{
	const struct sip_interface *interface = setup->egress->interface;
	struct pl ruri;
	const struct owner *who;
	int n;

	memset(v, 0, sizeof(*v));
	v->setup = setup;
	v->mb = mb;
	v->to_pbx = setup->called.agent != NULL;
	v->to_own_trunk = !v->to_pbx && setup->owner.agent && setup->to_trunk;
	v->fqdn = interface ? interface->uri_fqdn_domain : "";
	v->tel = interface && interface->teluri_scheme;

	v->redirected = !setup->msg->code && setup->hop && setup->hop->ruri;
	if (v->redirected)
		pl_set_str(&ruri, setup->hop->ruri);
	/* an answer has none, and nothing of its own is asked then */
	if (v->redirected) {
		if (uri_read(&v->ruri, &ruri))
			return EINVAL;
	} else if (!setup->msg->code) {
		if (!message_uri(setup->msg))
			return EINVAL;
		v->ruri = *message_uri(setup->msg);
	}

	who = v->to_pbx ? &setup->called : &setup->owner;
	if (who->agent) {
		n = aor_register_user(v->aor, sizeof(v->aor), who);
		if (n < 0)
			return EINVAL;
		v->aor_len = (size_t)n;
	}
	if (v->to_pbx)
		target_of_pbx(v);
	else
		target_of_trunk(v);
	own_place(v);
	return 0;
}

/* URIs --------------------------------------------------------------------- */

/* Parameters that say how to reach the host that is replaced */
static bool is_hop_param(const struct pl *name)
{
	return is_word(name, "transport") || is_word(name, "maddr") ||
	       is_word(name, "ttl") || is_word(name, "lr");
}

static int put_params(struct mbuf *mb, const struct pl *params, bool user_only)
{
	struct pl rest = *params, name, value;
	int err = 0;

	while (!err && !param_next(&rest, &name, &value)) {
		if (user_only ? !is_word(&name, "user") : is_hop_param(&name))
			continue;
		err = put(mb, ";", 1);
		err |= put_pl(mb, &name);
		if (!err && value.l) {
			err = put(mb, "=", 1);
			err |= put_pl(mb, &value);
		}
	}

	return err;
}

/* What a URI becomes; NULL keeps a part */
struct shape {
	const struct pl *user;
	const struct place *place;
	bool user_param_only; /* of the parameters only user= stays */
	bool no_headers;
};

static int put_hostport(struct mbuf *mb, const struct uri *uri)
{
	struct place place = { .len = 0 };

	place_name(&place, uri->host.p, uri->host.l);
	place_port(&place, uri->port);
	return put(mb, place.text, place.len);
}

/* teluri-scheme: a number as tel URI; a local one says where it is known
 * (RFC 3966 5.1.5) */
static int put_tel(struct mbuf *mb, const struct pl *user,
		   const struct place *place)
{
	int err;

	err = put_text(mb, "tel:");
	err |= put_pl(mb, user);
	if (!err && user->p[0] != '+' && place->len) {
		err = put_text(mb, ";phone-context=");
		err |= put(mb, place->text, place->len);
	}

	return err;
}

static bool is_number(const struct pl *user)
{
	char buf[AOR_USER_MAX];
	size_t i, digits = 0;

	for (i = 0; i < user->l; ++i) {
		if (user->p[i] >= '0' && user->p[i] <= '9')
			++digits;
		else if (!memchr("+-.()", user->p[i], 5))
			return false;
	}

	return digits && user->l < sizeof(buf);
}

/* Headers in the URI of Refer-To and the like (RFC 3261 19.1.5): those that name
 * somebody, or a dialog that nobody has mapped, stay on the sender's side */
static bool is_kept_field(const struct pl *field)
{
	const char *end = memchr(field->p, '=', field->l);
	struct pl name = { field->p,
			   end ? (size_t)(end - field->p) : field->l };

	switch (header_id_find(&name)) {

	case HDR_P_ASSERTED_IDENTITY:
	case HDR_P_PREFERRED_IDENTITY:
	case HDR_DIVERSION:
	case HDR_HISTORY_INFO:
	case HDR_REFERRED_BY:
	case HDR_REFER_TO:
	case HDR_TARGET_DIALOG:
	case HDR_IN_REPLY_TO:
	case HDR_AUTHORIZATION:
	case HDR_PROXY_AUTHORIZATION:
	case HDR_WARNING:
		return false;
	default:
		return !hide_is_never(header_id_find(&name));
	}
}

static int put_fields(struct mbuf *mb, const struct pl *headers)
{
	const char *p = headers->p, *e = p + headers->l, *next;
	bool first = true;
	int err = 0;

	for (; !err && p < e; p = next) {
		const struct pl field = { p + 1, 0 };
		struct pl text = field;

		next = memchr(p + 1, '&', (size_t)(e - p - 1));
		next = next ? next : e;
		text.l = (size_t)(next - p - 1);
		if (!is_kept_field(&text))
			continue;
		err = put(mb, first ? "?" : "&", 1);
		err |= put_pl(mb, &text);
		first = false;
	}

	return err;
}

static int put_uri(struct view *v, const struct uri *uri,
		   const struct shape *shape)
{
	const struct pl *user = shape->user ? shape->user : &uri->user;
	struct mbuf *mb = v->mb;
	int err;

	if (is_word(&uri->scheme, "tel") && !shape->user) {
		err = put_text(mb, "tel:");
		err |= put_pl(mb, &uri->user);
		err |= put_pl(mb, &uri->params);
		return err ? ENOMEM : 0;
	}

	err = put_text(mb, is_word(&uri->scheme, "sips") ? "sips:" : "sip:");
	if (user->l) {
		err |= put_pl(mb, user);
		err |= put(mb, "@", 1);
	}
	if (shape->place)
		err |= put(mb, shape->place->text, shape->place->len);
	else
		err |= put_hostport(mb, uri);
	if (shape->place || shape->user_param_only)
		err |= put_params(mb, &uri->params, shape->user_param_only);
	else
		err |= put_pl(mb, &uri->params);
	if (!shape->no_headers)
		err |= put_fields(mb, &uri->headers);

	return err ? ENOMEM : 0;
}

/* uri-fqdn-domain stands in for each host but register-host. `place` is what the
 * host becomes, NULL: it stays */
static const struct place *with_fqdn(const struct view *v,
				     const struct place *place,
				     const struct pl *host, struct place *fqdn)
{
	struct pl becomes = *host;

	if (!is_set(v->fqdn))
		return place;
	if (place) {
		becomes.p = place->text;
		becomes.l = place->len;
	}
	if (v->to_own_trunk &&
	    is_same_host(&becomes, v->setup->owner.agent->register_host))
		return place;

	place_name(fqdn, v->fqdn, strlen(v->fqdn));
	return fqdn;
}

/* Rows of the tables -------------------------------------------------------- */

/* Does the PBX itself know who is called? Option sip-connect-pbx-reg */
static bool takes_called_party(const struct rewrite_setup *setup)
{
	struct pl value;

	if (!option_get(&setup->egress->config->options, "sip-connect-pbx-reg",
			&value))
		return true;

	return setup->hop && setup->hop->agent &&
	       !option_get(&setup->hop->agent->options, "sip-connect-pbx-reg",
			   &value);
}

static bool is_by_policy(const struct rewrite_setup *setup)
{
	return setup->hop && setup->hop->policy;
}

/* User of the first address of a header. 0; ENOENT */
static int header_user(struct pl *user, const struct message *msg,
		       enum header_id id)
{
	struct pl rest = message_value(msg, id), value;
	struct address addr;

	if (list_next(&rest, &value) || address_read(&addr, &value) ||
	    !addr.uri.user.l)
		return ENOENT;

	*user = addr.uri.user;
	return 0;
}

/* 5.3, row "Request-URI user" */
static void called_user(const struct view *v, struct pl *user)
{
	const struct rewrite_setup *setup = v->setup;

	if (is_by_policy(setup)) {
		*user = v->ruri.user;
		return;
	}
	if (takes_called_party(setup) &&
	    (!header_user(user, setup->msg, HDR_P_CALLED_PARTY_ID) ||
	     !header_user(user, setup->msg, HDR_TO)))
		return;

	user->p = v->aor;
	user->l = v->aor_len;
}

static int put_ruri(struct view *v)
{
	struct shape shape = { .place = &v->target, .no_headers = true };
	struct place fqdn = { .len = 0 };
	struct pl user;

	/* RFC 3261 8.1.3.4: the URI of the Contact */
	if (v->redirected) {
		shape.place = NULL;
		return put_uri(v, &v->ruri, &shape);
	}
	if (v->to_pbx) {
		called_user(v, &user);
		shape.user = &user;
		/* The Contact was ours: so are its parameters */
		shape.user_param_only = !is_by_policy(v->setup);
	} else if (v->keep_target) {
		shape.place = NULL;
	}
	shape.place = with_fqdn(v, shape.place, &v->ruri.host, &fqdn);
	if (v->tel && is_number(shape.user ? shape.user : &v->ruri.user))
		return put_tel(v->mb, shape.user ? shape.user : &v->ruri.user,
			       &v->target);

	return put_uri(v, &v->ruri, &shape);
}

/* Parameters of the header but the tag */
static int put_header_params(struct mbuf *mb, const struct pl *params)
{
	struct pl rest = *params, name, value;
	int err = 0;

	while (!err && !param_next(&rest, &name, &value)) {
		if (is_word(&name, "tag"))
			continue;
		err = put(mb, ";", 1);
		err |= put_pl(mb, &name);
		if (!err && value.l) {
			err = put(mb, "=", 1);
			err |= put_pl(mb, &value);
		}
	}

	return err;
}

/* display <uri>;params around a URI that is given by its shape */
static int put_address(struct view *v, const struct address *addr,
		       const struct shape *shape, bool tel)
{
	const struct pl *user = shape->user ? shape->user : &addr->uri.user;
	struct mbuf *mb = v->mb;
	int err = 0;

	if (addr->display.l) {
		err = put_pl(mb, &addr->display);
		err |= put(mb, " ", 1);
	}
	err |= put(mb, "<", 1);
	if (!err && !addr->uri.scheme.l)
		err = put_pl(mb, &addr->spec);
	else if (!err && tel && is_number(user))
		err = put_tel(mb, user, shape->place ? shape->place : &v->own);
	else if (!err)
		err = put_uri(v, &addr->uri, shape);
	err |= put(mb, ">", 1);
	err |= put_header_params(mb, &addr->params);

	return err ? ENOMEM : 0;
}

static bool is_anonymous(const struct uri *uri)
{
	return is_word(&uri->user, "anonymous") ||
	       is_word(&uri->host, "anonymous.invalid");
}

/* Is the user an AoR or an associated URI of the owner's agent? */
static bool is_agents_user(const struct view *v, const struct uri *uri)
{
	const struct rewrite_setup *setup = v->setup;
	const struct identity_live *live = setup->live;
	struct owner who = { .agent = NULL };
	uint32_t number;

	if (!aor_number(&number, setup->owner.agent, &uri->user))
		return true;

	return live && live->associated &&
	       !live->associated(&who, setup->ingress, uri, live->arg) &&
	       who.agent == setup->owner.agent;
}

/* Rows "From user", "From host", and P-Asserted-Identity like them */
static void identity_shape(const struct view *v, const struct uri *uri,
			   struct shape *shape, const struct pl *aor)
{
	memset(shape, 0, sizeof(*shape));

	if (v->to_own_trunk && !is_anonymous(uri) && !is_agents_user(v, uri))
		shape->user = aor;
	if (is_word(&uri->host, "anonymous.invalid"))
		return;
	if (v->to_pbx || v->to_own_trunk ||
	    rewrite_is_local_host(v->setup, &uri->host))
		shape->place = &v->own;
}

static int put_from(struct view *v)
{
	const struct pl aor = { v->aor, v->aor_len };
	struct place fqdn = { .len = 0 };
	struct address addr;
	struct shape shape;

	if (message_address(&addr, v->setup->msg, HDR_FROM))
		return EINVAL;

	identity_shape(v, &addr.uri, &shape, &aor);
	if (!is_word(&addr.uri.host, "anonymous.invalid"))
		shape.place = with_fqdn(v, shape.place, &addr.uri.host, &fqdn);
	return put_address(v, &addr, &shape,
			   v->tel && !is_anonymous(&addr.uri));
}

/* Row "To": the user stays, the host is that of the Request-URI */
static int put_to(struct view *v)
{
	struct place fqdn = { .len = 0 }, ruri = { .len = 0 };
	struct shape shape = { .place = &v->target };
	struct address addr;

	if (message_address(&addr, v->setup->msg, HDR_TO))
		return EINVAL;

	if (!v->to_pbx && v->keep_target) {
		place_name(&ruri, v->ruri.host.p, v->ruri.host.l);
		place_port(&ruri, v->ruri.port);
		/* A tel URI as Request-URI has no host to give */
		shape.place = ruri.len ? &ruri : NULL;
	}
	if (!shape.place && rewrite_is_local_host(v->setup, &addr.uri.host))
		shape.place = &v->own;
	shape.place = with_fqdn(v, shape.place, &addr.uri.host, &fqdn);
	return put_address(v, &addr, &shape, v->tel);
}

static int put_contact(struct view *v)
{
	const struct rewrite_setup *setup = v->setup;
	struct place place = { .len = 0 };
	struct pl user = { "", 0 };
	int err;

	if (v->to_own_trunk && setup->owner.agent->replace_contact &&
	    setup->contact.l)
		return put_pl(v->mb, &setup->contact);

	(void)header_user(&user, setup->msg, HDR_CONTACT);
	place_address(&place, setup->local, true);
	/* RFC 3261 8.1.1.8 */
	err = put_text(v->mb,
		       is_word(&v->ruri.scheme, "sips") ? "sips:" : "sip:");
	if (user.l) {
		err |= put_pl(v->mb, &user);
		err |= put(v->mb, "@", 1);
	}
	err |= put(v->mb, place.text, place.len);
	return err ? ENOMEM : 0;
}

/* The proxy takes the Route for its own by host, port and transport */
static int put_proxy(struct view *v, const char *name)
{
	static const char *const params[TRANSPORT_NONE + 1] = {
		[TRANSPORT_TCP] = ";transport=tcp",
		[TRANSPORT_TLS] = ";transport=tls",
		[TRANSPORT_WS] = ";transport=ws",
		[TRANSPORT_WSS] = ";transport=wss",
	};
	const struct hop *hop = v->setup->hop;
	const struct session_agent *agent = hop ? hop->agent : NULL;
	struct place place = { .len = 0 };
	const char *param = NULL;
	int err;

	place_name(&place, name, strlen(name));
	if (agent && agent->port != 5060)
		place_port(&place, (uint16_t)agent->port);
	if (agent)
		param = params[match_agent_transport(agent)];

	err = put_text(v->mb, "<sip:");
	err |= put(v->mb, place.text, place.len);
	err |= put_text(v->mb, param ? param : "");
	err |= put_text(v->mb, ";lr>");

	return err;
}

/* Row "Route": proxy-name on the default route, then Service-Route */
static int put_routes(struct view *v)
{
	const struct rewrite_setup *setup = v->setup;
	const char *proxy;
	int err = 0;

	if (!v->to_own_trunk || !setup->to_registrar)
		return 0;

	proxy = setup->owner.agent->proxy_name;
	if (is_set(proxy) && !is_by_policy(setup)) {
		err = put_proxy(v, proxy);
		if (!err && setup->service_route.l)
			err = put_text(v->mb, ", ");
	}
	err |= put_pl(v->mb, &setup->service_route);
	return err ? ENOMEM : 0;
}

/* Headers that are edited in the clone -------------------------------------- */

/* What one address of a list becomes. 0; EINVAL it is left out; ENOMEM */
typedef int(address_h)(struct view *v, const struct address *addr);

static int edit_identity(struct view *v, const struct address *addr)
{
	const struct pl aor = { v->aor, v->aor_len };
	struct shape shape;

	identity_shape(v, &addr->uri, &shape, &aor);
	return put_address(v, addr, &shape, false);
}

/* Diversion and the like: the user stays, a local host becomes that of From */
static int edit_trace(struct view *v, const struct address *addr)
{
	struct shape shape = { .place = NULL };

	if (is_replaced(v, &addr->uri.host))
		shape.place = &v->own;

	return put_address(v, addr, &shape, false);
}

/* Inside a call Refer-To is what the Request-URI of the transfer will be
 * (behaviour.md 3.6): a registered contact becomes the user of its AoR */
static int edit_refer_to(struct view *v, const struct address *addr)
{
	const struct rewrite_setup *setup = v->setup;
	struct shape shape = { .place = NULL };
	struct owner who = { .agent = NULL };
	char aor[AOR_USER_MAX];
	struct pl user = { aor, 0 };
	int n;

	if (v->to_pbx && setup->received_at &&
	    !identity_by_contact(setup->plan->identities, setup->ingress,
				 setup->received_at, &addr->uri, &who) &&
	    who.agent == setup->called.agent) {
		n = aor_register_user(aor, sizeof(aor), &who);
		if (n < 0)
			return EINVAL;
		user.l = (size_t)n;
		shape.user = &user;
		shape.place = &v->target;
	} else if (is_replaced(v, &addr->uri.host)) {
		shape.place = v->target.len ? &v->target : &v->own;
	}
	return put_address(v, addr, &shape, false);
}

/* Put each address of a header through h. One that cannot be read could name
 * the other side: it is left out. */
static int edit_header(struct view *v, struct message *msg,
		       const struct header *h, address_h *edit)
{
	struct pl rest = header_value(msg, h), value, text;
	const size_t begin = v->mb->pos;
	struct address addr;
	int err;

	while (!list_next(&rest, &value)) {
		if (address_read(&addr, &value))
			continue;
		if (v->mb->pos > begin && put_text(v->mb, ", "))
			return ENOMEM;
		err = edit(v, &addr);
		if (err)
			return err;
	}

	text.p = (const char *)v->mb->buf + begin;
	text.l = v->mb->pos - begin;
	err = message_change(msg, h, &text);
	v->mb->pos = v->mb->end = begin;
	return err;
}

static int edit_headers(struct view *v, struct message *msg, enum header_id id,
			address_h *edit)
{
	const struct header *h, *next;
	struct pl value;
	int err;

	for (h = message_first(msg, id); h; h = next) {
		next = message_next(msg, h);
		err = edit_header(v, msg, h, edit);
		if (err)
			return err;
	}

	/* Nothing of it could be read */
	value = message_value(msg, id);
	return message_first(msg, id) && !value.l ? message_drop(msg, id) : 0;
}

/* Row P-Asserted-Identity */
static int edit_asserted(struct view *v, struct message *msg)
{
	const struct rewrite_setup *setup = v->setup;
	const struct session_agent *agent = setup->source.agent;
	struct pl value;
	char text[512];
	int err;

	if (!setup->trusted)
		return message_drop(msg, HDR_P_ASSERTED_IDENTITY);

	if (!message_first(msg, HDR_P_ASSERTED_IDENTITY) && agent &&
	    is_set(agent->p_asserted_id) &&
	    strlen(agent->p_asserted_id) < sizeof(text) - 2) {
		value.p = text;
		value.l = strlen(agent->p_asserted_id) + 2;
		text[0] = '<';
		memcpy(text + 1, agent->p_asserted_id, value.l - 2);
		text[value.l - 1] = '>';
		err = message_add(msg, HDR_P_ASSERTED_IDENTITY, &value);
		if (err)
			return err;
	}

	return edit_headers(v, msg, HDR_P_ASSERTED_IDENTITY, edit_identity);
}

/* Row P-Preferred-Identity: who it is when From and asserted do not say it */
static int edit_preferred(struct view *v, struct message *msg)
{
	const size_t begin = v->mb->pos;
	struct pl value;
	struct address addr;
	int err;

	if (!v->to_own_trunk ||
	    message_address(&addr, v->setup->msg, HDR_FROM) ||
	    !is_anonymous(&addr.uri) ||
	    message_first(msg, HDR_P_ASSERTED_IDENTITY))
		return message_drop(msg, HDR_P_PREFERRED_IDENTITY);

	err = put_text(v->mb, "<sip:");
	err |= put(v->mb, v->aor, v->aor_len);
	err |= put(v->mb, "@", 1);
	err |= put(v->mb, v->own.text, v->own.len);
	err |= put(v->mb, ">", 1);
	if (err)
		return ENOMEM;
	value.p = (const char *)v->mb->buf + begin;
	value.l = v->mb->pos - begin;
	err = message_set(msg, HDR_P_PREFERRED_IDENTITY, &value);
	v->mb->pos = v->mb->end = begin;
	return err;
}

static int edit_traces(struct view *v, struct message *msg)
{
	static const uint8_t traces[] = { HDR_DIVERSION, HDR_HISTORY_INFO,
					  HDR_REFERRED_BY,
					  HDR_P_CALLED_PARTY_ID };
	size_t i;
	int err;

	for (i = 0; i < sizeof(traces); ++i) {
		err = edit_headers(v, msg, traces[i], edit_trace);
		if (err)
			return err;
	}

	return 0;
}

static int edit_all(struct view *v, struct message *msg)
{
	int err;

	err = edit_asserted(v, msg);
	if (err)
		return err;
	err = edit_preferred(v, msg);
	if (!err)
		err = edit_headers(v, msg, HDR_REFER_TO, edit_trace);

	return err ? err : edit_traces(v, msg);
}

int rewrite_within(struct mbuf *scratch, struct message *out_msg,
		   const struct rewrite_setup *setup)
{
	struct view v;
	int err;

	err = view_init(&v, setup, scratch);
	if (err)
		return err;
	if (message_first(out_msg, HDR_P_ASSERTED_IDENTITY))
		err = edit_asserted(&v, out_msg);
	if (!err && message_first(out_msg, HDR_P_PREFERRED_IDENTITY))
		err = message_drop(out_msg, HDR_P_PREFERRED_IDENTITY);

	if (!err)
		err = edit_headers(&v, out_msg, HDR_REFER_TO, edit_refer_to);

	return err ? err : edit_traces(&v, out_msg);
}

int rewrite_request(struct rewritten *out, struct mbuf *scratch,
		    struct message *out_msg, const struct rewrite_setup *setup)
{
	int (*const rows[])(struct view *) = { put_ruri, put_from, put_to,
					       put_contact, put_routes };
	struct pl *const parts[] = { &out->ruri, &out->from, &out->to,
				     &out->contact, &out->routes };
	size_t at[sizeof(rows) / sizeof(*rows) + 1];
	struct view v;
	size_t i;
	int err;

	err = view_init(&v, setup, scratch);
	if (err)
		return err;
	err = edit_all(&v, out_msg);
	if (err)
		return err;

	for (i = 0; i < sizeof(rows) / sizeof(*rows); ++i) {
		at[i] = scratch->pos;
		err = rows[i](&v);
		if (err)
			return err;
	}
	at[i] = scratch->pos;

	for (i = 0; i < sizeof(rows) / sizeof(*rows); ++i) {
		parts[i]->p = (const char *)scratch->buf + at[i];
		parts[i]->l = at[i + 1] - at[i];
	}

	return 0;
}
