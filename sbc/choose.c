/*
 * Step choose-route: whose request it is, and the hops it may take
 */
#include <errno.h>
#include <string.h>
#include "policy/body.h"
#include "policy/sdp.h"
#include "sbc/call.h"
#include "sbc/calls.h"
#include "sbc/choose.h"
#include "sbc/clock.h"
#include "sbc/redirect.h"
#include "sbc/replaces.h"
#include "sbc/standin.h"

enum {
	CODECS = 32 /* of an offer that are looked at */
};

/* Its hops are many, most calls have one: they are not cleared */
static struct route *route_empty(void)
{
	struct route *route = mem_alloc(sizeof(*route), NULL);

	if (route) {
		route->n = 0;
		route->loops = 0;
	}

	return route;
}

/* May this source reach a PBX by the contact that we registered (2.1)? */
static bool is_registrar(const struct ingress *in, const struct owner *who)
{
	const struct surrogates *all = in->worker->surrogates;

	return in->source.agent ||
	       surrogates_is_registrar(all, who->agent, in->source.realm,
				       &in->from.src) ||
	       surrogates_is_edge(all, who, in->source.realm, &in->from.src);
}

/* While a PBX in triggered mode is silent its contacts stay known, bound or not:
 * the caller gets triggered-oos-response (behaviour.md 4.8) and no 404 */
static bool is_known(const struct ingress *in, const struct owner *who)
{
	struct registration_view view;

	return !surrogates_by_owner(in->worker->surrogates, who, &view) &&
	       (view.bound ||
		surrogates_silent(in->worker->surrogates, who->agent));
}

static bool to_contact(struct ingress *in)
{
	struct owner who;

	if (identity_by_contact(in->plan->identities, in->source.realm,
				&in->at->local, &in->ruri, &who) ||
	    !is_registrar(in, &who) || !is_known(in, &who))
		return false;
	in->called = who;
	return true;
}

uint16_t choose_pbx(struct ingress *in)
{
	const struct surrogate_agent *agent = in->called.agent;
	const struct realm *realm =
		realm_named(in->plan->realms, agent->realm_id);
	uint16_t silent = surrogates_silent(in->worker->surrogates, agent);

	if (silent)
		return passage_refuse(
			in, silent == UINT16_MAX ? PASSAGE_SILENCE : silent,
			"the PBX is silent", "surrogate-agent",
			agent->register_host);
	if (!realm || hop_read(&in->route->hops[0], in->plan->routes,
			       agent->customer_next_hop, realm))
		return 480;
	in->route->n = 1;
	return 0;
}

static uint16_t route_default(struct ingress *in)
{
	struct registration_view view;

	if (!in->owner.agent || !in->owner.agent->route_to_registrar ||
	    plan_registrar(in->plan, in->owner.agent, &in->route->hops[0]))
		return passage_refuse(
			in, 404, "no local-policy leads there", "realm-config",
			in->source.realm ? in->source.realm->config->identifier
					 : "*");
	in->route->n = 1;
	if (!surrogates_by_owner(in->worker->surrogates, &in->owner, &view) &&
	    view.refused)
		return passage_refuse(in, 503, "its registration is refused",
				      "surrogate-agent",
				      in->owner.agent->register_host);
	return 0;
}

/* Encoding names of the offer, for routes that prefer some */
static uint32_t offered(const struct ingress *in, struct pl codecs[CODECS])
{
	struct pl sdp;

	if (!routes_prefer_codecs(in->plan->routes) || !body_sdp(in->msg, &sdp))
		return 0;

	return sdp_codecs(&sdp, codecs, CODECS);
}

/* URI of a header. NULL: there is none */
static const struct uri *uri_in(struct address *addr, const struct message *msg,
				enum header_id id)
{
	struct pl rest, value;

	if (id == HDR_FROM || id == HDR_TO)
		return message_address(addr, msg, id) ? NULL : &addr->uri;

	rest = message_value(msg, id);
	return list_next(&rest, &value) || address_read(addr, &value)
		       ? NULL
		       : &addr->uri;
}

static uint16_t route_by_policy(struct ingress *in)
{
	struct address from, called, asserted;
	struct pl codecs[CODECS];
	struct route_query q = {
		.realm = in->source.realm,
		.agent = in->source.agent,
		.method = in->msg->method,
		.from = uri_in(&from, in->msg, HDR_FROM),
		.to = &in->ruri,
		.called = uri_in(&called, in->msg, HDR_TO),
		.codecs = codecs,
		.codecs_n = offered(in, codecs),
	};
	int err;

	if (!q.from)
		return 400;
	/* RFC 3325 5: what a stranger asserts says nothing */
	if (in->source.realm && match_trusts(in->source.realm, &in->source))
		q.asserted =
			uri_in(&asserted, in->msg, HDR_P_ASSERTED_IDENTITY);
	if (in->wishes && in->wishes->now)
		q.now = *in->wishes->now;
	else
		clock_local(&q.now);
	if (in->wishes)
		q.carriers = in->wishes->carriers;

	count(COUNT_POLICY_LOOKUPS, 1);
	err = route_find(in->plan->routes, &q, in->route);
	if (err) {
		count(COUNT_POLICY_MISSES, 1);
		return route_default(in);
	}
	count(COUNT_POLICY_HITS, 1);
	count(COUNT_POLICY_ROUTES, in->route->n);
	if (in->route->loops)
		count(COUNT_POLICY_LOOPS, in->route->loops);
	return 0;
}

/* --- Route headers of the caller (2.1) ------------------------------------- */

static bool is_ours(const struct ingress *in, const struct uri *uri)
{
	struct pl name;
	struct sa sa;

	if (uri_is_numeric(uri, &sa)) {
		sa_set_port(&sa, 0);
		return realms_is_local(in->plan->realms, &sa);
	}

	pl_set_str(&name, in->plan->system->hostname);
	return host_equal(&uri->host, &name);
}

static bool leads_to(const struct hop *hop, const struct uri *uri)
{
	struct pl name;
	struct sa sa;

	if (hop->agent) {
		pl_set_str(&name, hop->agent->hostname);
		if (host_equal(&name, &uri->host))
			return true;
	}
	if (uri_is_numeric(uri, &sa) && sa_isset(&hop->addr, SA_ADDR))
		return sa_cmp(&sa, &hop->addr, SA_ADDR) &&
		       (!uri->port || uri->port == sa_port(&hop->addr));

	return host_equal(&hop->host, &uri->host);
}

/* The first Route that does not name us is followed where it names the next hop
 * of a candidate: that one comes first */
static void prefer_route(struct ingress *in)
{
	const struct header *h;
	struct pl none;

	if (!option_get(&in->at->interface->options, "strip-route-headers",
			&none))
		return;
	for (h = message_first(in->msg, HDR_ROUTE); h;
	     h = message_next(in->msg, h)) {
		struct pl rest = header_value(in->msg, h), value;
		struct address addr;

		while (!list_next(&rest, &value)) {
			if (address_read(&addr, &value))
				return;
			if (is_ours(in, &addr.uri))
				continue;
			for (uint32_t i = 0; i < in->route->n; i++) {
				struct hop hop = in->route->hops[i];

				if (!leads_to(&hop, &addr.uri))
					continue;
				memmove(&in->route->hops[1],
					&in->route->hops[0], i * sizeof(hop));
				in->route->hops[0] = hop;
				return;
			}
			return;
		}
	}
}

/* 302 instead of a call, with the hops as Contacts */
static uint16_t redirect(struct ingress *in)
{
	struct mbuf *mb;
	int err;

	if (in->ours ||
	    !redirect_is_due(in->route, in->source.agent, in->at->interface))
		return 0;

	mb = mbuf_alloc(256);
	err = mb ? redirect_write(mb, in->route, &in->ruri) : ENOMEM;
	if (!err) {
		size_t n = mb->end;

		/* whole lines; the worst of very long ones are left out */
		while (n >= sizeof(in->extra) || (n && mb->buf[n - 1] != '\n'))
			n--;
		memcpy(in->extra, mb->buf, n);
		in->extra[n] = '\0';
	}
	mem_deref(mb);
	return err ? 503 : 302;
}

static void find_owner(struct ingress *in)
{
	struct identity_live live = { 0 };

	if (in->wishes && in->wishes->owner) {
		in->owner = *in->wishes->owner;
		return;
	}
	surrogates_identity(in->worker->surrogates, &live);
	identity_owner(in->plan->identities, &in->source, &in->from.src,
		       in->msg, &live, &in->owner);
}

/* The called user is that of an AoR behind the realm it leads to (5.3) */
static void find_called(struct ingress *in)
{
	if (in->owner.agent || !in->route->n)
		return;
	(void)identity_by_called(in->plan->identities, in->route->hops[0].realm,
				 &in->ruri.user, &in->called);
}

/* The dialog that shall be replaced lies on the side where the call goes, under
 * other names. One that this realm does not have is nobody's (3.1, 5.4) */
static uint16_t map_replaces(struct ingress *in)
{
	struct pl value = message_value(in->msg, HDR_REPLACES), text;
	struct call_home *home = calls_home(in->worker->calls);
	struct leg *leg, *other;
	struct mbuf *mb;
	int err;

	if (in->msg->method_id != INVITE || !value.l)
		return 0;
	leg = replaces_find(&home->tables, in->source.realm, &value);
	other = leg ? call_other(leg) : NULL;
	if (!other || !other->confirmed ||
	    !realm_same(other->realm, in->route->hops[0].realm))
		return 481;

	mb = mbuf_alloc(256);
	err = mb ? replaces_write(mb, other, &value) : ENOMEM;
	if (!err)
		err = message_clone(&in->edited, in->msg);
	if (!err) {
		text.p = (const char *)mb->buf;
		text.l = mb->end;
		err = message_set(in->edited, HDR_REPLACES, &text);
	}
	mem_deref(mb);
	return err ? 503 : 0;
}

/* Hops of other realms know nothing of the dialogs that are named now */
static void stay_in_realm(struct route *route)
{
	uint32_t n = 1;

	for (uint32_t i = 1; i < route->n; i++)
		if (route->hops[i].realm == route->hops[0].realm)
			route->hops[n++] = route->hops[i];
	route->n = n;
}

static bool is_same_value(const struct message *a, const struct message *b,
			  enum header_id id)
{
	struct pl x = message_value(a, id), y = message_value(b, id);

	return !pl_cmp(&x, &y);
}

/* A request names dialogs of the side that it goes to, and of no other tenant */
static uint16_t map_names(struct ingress *in)
{
	struct call_home *home = calls_home(in->worker->calls);
	uint16_t code = map_replaces(in);
	int err = 0;

	if (code)
		return code;
	if (replaces_any(in->msg)) {
		if (!in->edited)
			err = message_clone(&in->edited, in->msg);
		if (!err)
			err = replaces_edit(
				in->edited, &home->tables, in->source.realm,
				in->route->hops[0].realm, call_other);
	}
	if (err)
		return err == EBADMSG ? 400 : 503;

	if (in->edited && (message_first(in->edited, HDR_REPLACES) ||
			   message_first(in->edited, HDR_TARGET_DIALOG) ||
			   message_first(in->edited, HDR_IN_REPLY_TO) ||
			   !is_same_value(in->edited, in->msg, HDR_REFER_TO)))
		stay_in_realm(in->route);
	return 0;
}

/* OPTIONS for the SBC itself (3.9): no user, and a host of ours */
static bool is_for_us(const struct ingress *in)
{
	struct pl name = range_of(in->plan->system->hostname);
	struct sa host;

	if (in->msg->method_id != OPTIONS || in->ruri.has_user)
		return false;
	/* another port of our address may be a peer beside us */
	return uri_is_numeric(&in->ruri, &host)
		       ? realms_is_local(in->plan->realms, &host)
		       : host_equal(&in->ruri.host, &name);
}

/* A NOTIFY that nobody asked for tells a PBX of messages that wait for it
 * (RFC 3842), or nothing (RFC 6665 3.2.1) */
static bool tells_messages(const struct message *msg)
{
	struct pl event = message_value(msg, HDR_EVENT);
	const char *end = memchr(event.p, ';', event.l);

	if (end)
		event.l = (size_t)(end - event.p);
	while (event.l && event.p[event.l - 1] == ' ')
		event.l--;
	return is_word(&event, "message-summary");
}

/* To the contact that we registered for a PBX */
static uint16_t route_to_contact(struct ingress *in)
{
	uint16_t code;

	if (in->msg->method_id == OPTIONS) {
		in->ours = true;
		return 0;
	}
	code = choose_pbx(in);
	return code ? code : map_names(in);
}

/* policy-priority of the policy that the call would take */
uint8_t choose_priority(struct ingress *in)
{
	const struct local_policy *policy = NULL;

	if (in->msg->method_id != INVITE)
		return PRIORITY_NONE;
	in->route = route_empty();
	if (in->route && !route_by_policy(in) && in->route->n)
		policy = in->route->hops[0].policy;
	in->route = mem_deref(in->route);

	return policy ? policy->policy_priority : PRIORITY_NONE;
}

/* Owner, called AoR and hops; in->route is there already */
uint16_t choose_find(struct ingress *in)
{
	uint8_t method = in->msg->method_id;
	uint16_t code;

	if (method == REGISTER) {
		/* 5.1: it has no owner. Its AoR may be one of an agent's */
		in->ours = standin_holds(in->worker, &in->source, &in->from.src,
					 in->msg, &in->called);
		if (in->ours)
			return 0;
		code = route_by_policy(in);
		return code ? code : map_names(in);
	}
	if (method == NOTIFY && !tells_messages(in->msg))
		return 481;
	if (to_contact(in))
		return route_to_contact(in);
	if (method == NOTIFY)
		return 481;
	in->ours = is_for_us(in);
	if (in->ours)
		return 0;
	if (!in->forwards)
		return 483;

	find_owner(in);
	code = route_by_policy(in);
	if (!code) {
		prefer_route(in);
		find_called(in);
	}
	return code ? code : map_names(in);
}

uint16_t choose_anywhere(struct ingress *in)
{
	uint16_t code;

	if (in->wishes && in->wishes->owner)
		in->owner = *in->wishes->owner;
	code = route_by_policy(in);
	if (!code)
		find_called(in);
	return code;
}

uint16_t choose_route(struct ingress *in)
{
	uint16_t code;

	in->route = route_empty();
	if (!in->route)
		return 503;
	code = choose_find(in);
	return code ? code : redirect(in);
}
