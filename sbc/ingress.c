/*
 * The steps of a new request, from top to bottom
 *
 * A step returns 0 to go on or the SIP code with which the request ends. One
 * function refuses, counts under the step's name and releases. Members of
 * struct ingress are grouped by the step that fills them. See behaviour.md 1.1.
 */
#include <errno.h>
#include <string.h>
#include "store/log.h"
#include "store/number.h"
#include "policy/body.h"
#include "policy/cause.h"
#include "policy/sdp.h"
#include "sbc/account.h"
#include "sbc/call.h"
#include "sbc/calls.h"
#include "sbc/clock.h"
#include "sbc/counters.h"
#include "sbc/ingress.h"
#include "sbc/lobby.h"
#include "sbc/pair.h"
#include "sbc/random.h"
#include "sbc/redirect.h"
#include "sbc/refusals.h"
#include "sbc/within.h"
#include "sbc/replaces.h"
#include "sbc/respond.h"
#include "sbc/shed.h"
#include "sbc/sources.h"
#include "sbc/shun.h"
#include "sbc/standin.h"
#include "sbc/surrogates.h"

#define ALLOWED                                                                \
	"INVITE, ACK, CANCEL, BYE, OPTIONS, REGISTER, INFO, PRACK, UPDATE, "   \
	"REFER, SUBSCRIBE, NOTIFY, MESSAGE, PUBLISH"

enum {
	CODECS = 32 /* of an offer that are looked at */
};

enum {
	SILENCE = 1
}; /* a code that is no code: nothing is answered */

struct ingress {
	struct worker *worker;
	const struct plan *plan;
	struct arrival from;
	const struct message *msg;
	struct transaction *transaction;
	/* check-message */
	struct uri ruri;
	char extra[4096]; /* header lines of a refusal */
	/* name-source */
	const struct endpoint *at;
	struct source source;
	/* take-capacity */
	struct seat seat; /* session taken */
	/* choose-route */
	struct owner owner, called;
	struct route *route;
	struct message *edited; /* msg with the other side's dialogs, or NULL */
	bool ours;              /* for the SBC itself: answered here */
	uint64_t forwards;      /* Max-Forwards */
	const struct ingress_wishes *wishes; /* of a trial, or NULL */
	const char *why; /* it is refused, constant; NULL: for its code */
	char object[64]; /* of the configuration, behind that */
};

typedef uint16_t(step_h)(struct ingress *in);

struct step {
	step_h *act;
	enum refusal_step refused;
	bool recorded; /* a stranger has no call records */
};

static const struct endpoint *endpoint_of(const struct worker *w,
					  const struct port *port)
{
	uint32_t n = port_number(port);

	return n < w->plan->realms->endpoints_n ? &w->plan->realms->endpoints[n]
						: NULL;
}

/* Why a request ends here, and which object of the configuration says so */
static uint16_t because(struct ingress *in, uint16_t code, const char *why,
			const char *element, const char *key)
{
	in->why = why;
	if (element)
		(void)re_snprintf(in->object, sizeof(in->object), "%s [%s]",
				  element, key);
	in->object[sizeof(in->object) - 1] = '\0';
	return code;
}

/* --- check-message ------------------------------------------------------ */

/* A request of ours that came back with the Request-URI that was sent is a loop;
 * with another one a spiral, and served (RFC 3261 16.3, behaviour.md 3.1) */
static bool is_loop(const struct ingress *in)
{
	const struct message *msg = in->msg;
	struct leg_names names = { NULL, NULL, &msg->callid, &msg->from_tag,
				   &msg->to_tag };
	struct call_home *home = calls_home(in->worker->calls);
	const struct leg *leg = calls_by_tag(in->worker->calls, &msg->from_tag);
	struct pl callid, sent;

	if (!leg && in->plan->sip->dialog_transparency)
		leg = leg_kept(&home->tables, &names);
	if (!leg)
		leg = pairs_by_tag(in->worker->pairs, &msg->from_tag);
	if (!leg || !leg->uac || leg->confirmed)
		return false;
	callid = range_of(leg->callid);
	sent = range_of(leg->ruri);

	return !pl_cmp(&callid, &msg->callid) && !pl_cmp(&sent, &msg->ruri);
}

/* Options of these are the called side's to judge (behaviour.md 1.2) */
static bool is_judged_there(uint8_t method)
{
	return method == INVITE || method == SUBSCRIBE || method == MESSAGE ||
	       method == REFER;
}

static bool is_known_option(const struct pl *token)
{
	static const char *const known[] = {
		"100rel", "timer", "replaces", "path", "outbound", "from-change"
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
		if (!pl_strcasecmp(token, known[i]))
			return true;
	return false;
}

/* RFC 3261 8.2.2.3: all that is not known is named */
static uint16_t check_options(struct ingress *in)
{
	const struct message *msg = in->msg;
	const struct header *h;
	size_t at = 0;

	if (is_judged_there(msg->method_id))
		return 0;
	for (h = message_first(msg, HDR_REQUIRE); h; h = message_next(msg, h)) {
		struct pl rest = header_value(msg, h), token;

		while (!list_next(&rest, &token)) {
			int n;

			if (is_known_option(&token))
				continue;
			n = re_snprintf(in->extra + at, sizeof(in->extra) - at,
					"Unsupported: %r\r\n", &token);
			if (n < 0) /* no room for more of them */
				break;
			at += (size_t)n;
		}
	}
	in->extra[at] = '\0';
	return at ? 420 : 0;
}

static uint16_t check_message(struct ingress *in)
{
	const struct message *msg = in->msg;
	struct pl mf = message_value(msg, HDR_MAX_FORWARDS);

	if (!message_uri(msg))
		return 400; /* the scan has answered 416 */
	in->ruri = *message_uri(msg);
	in->forwards = 70;
	if (mf.l && uint_parse(&in->forwards, &mf, 255))
		return 400;

	switch ((enum method_id)msg->method_id) {

	case METHOD_OTHER:
		return 501;

	case BYE:
	case PRACK:
	case UPDATE:
		return 481;

	case INVITE:
	case OPTIONS:
	case REGISTER:
	case INFO:
	case REFER:
	case SUBSCRIBE:
	case NOTIFY:
	case MESSAGE:
	case PUBLISH:
		break;

	case ACK:
	case CANCEL:
	case METHODS:
		(void)re_snprintf(in->extra, sizeof(in->extra),
				  "Allow: " ALLOWED "\r\n");
		return 405;
	}
	/* RFC 3261 16.3: OPTIONS with 0 is answered by whoever holds it */
	if (!in->forwards && msg->method_id != OPTIONS)
		return because(in, 483, "Max-Forwards is used up", NULL, NULL);
	if (is_loop(in))
		return because(in, 482, "our own request came back", NULL,
			       NULL);

	return check_options(in);
}

/* --- name-source -------------------------------------------------------- */

static uint8_t priority_of(struct ingress *in);

/* A call of a stranger that its policy lets in where registered users only may
 * call (behaviour.md 1.3) */
static bool is_urgent(struct ingress *in)
{
	uint8_t least = in->at->interface->anonymous_priority;

	return in->msg->method_id == INVITE && least != PRIORITY_NONE &&
	       (in->at->config->allow_anonymous == ALLOW_ANONYMOUS_REGISTERED ||
		in->at->config->allow_anonymous ==
			ALLOW_ANONYMOUS_REGISTER_PREFIX) &&
	       priority_of(in) >= least;
}

static uint16_t name_source(struct ingress *in)
{
	in->at = endpoint_of(in->worker, in->from.port);
	if (!in->at)
		return 503; /* the sip-port is being closed */

	sources_match(in->worker->sources, in->plan, in->at, &in->from.src,
		      &in->source);
	if (!match_allows(in->at, &in->source, in->msg->method_id == REGISTER,
			  false) &&
	    !is_urgent(in))
		return because(in, 403,
			       "allow-anonymous does not admit the source",
			       "sip-interface", in->at->interface->realm_id);

	if (in->source.agent) {
		struct agent *agent =
			agents_find(in->worker->agents, in->source.agent);

		if (agent)
			agent_heard(agent, clock_ms());
	}
	return 0;
}

/* --- take-capacity ------------------------------------------------------ */

static uint16_t overloaded(struct ingress *in, uint32_t s)
{
	(void)re_snprintf(in->extra, sizeof(in->extra), "Retry-After: %u\r\n",
			  s);
	return 503;
}

static uint16_t take_capacity(struct ingress *in)
{
	uint32_t max = in->plan->sip->max_sessions, retry_after = 0;
	struct limits_query q = {
		.worker = in->worker,
		.interface = in->at->interface,
		.realm = in->source.realm,
		.agent = agents_find(in->worker->agents, in->source.agent),
		.d = INBOUND,
		.method = in->msg->method_id,
	};

	if (in->worker->stopping) {
		in->why = "the SBC ends";
		return overloaded(in, 30);
	}
	if (shed_memory_is_critical()) {
		in->why = "memory is critical";
		return overloaded(in, random_between(5, 10));
	}
	if (in->msg->method_id == INVITE && max &&
	    calls_count(in->worker->calls) >= max) {
		count(COUNT_CAC_SESSION_DROP, 1);
		in->why = "max-sessions is reached";
		str_ncpy(in->object, "sip-config", sizeof(in->object));
		return overloaded(in, random_between(5, 10));
	}
	if (!limits_take(&in->seat, &q, &retry_after))
		return 0;

	/* behaviour.md 1.5: no limit stops an emergency call */
	q.forced = priority_of(in) == PRIORITY_EMERGENCY;
	if (q.forced && !limits_take(&in->seat, &q, &retry_after))
		return 0;

	(void)because(in, 503, "a session or rate limit is reached",
		      q.agent ? "session-agent" : "realm-config",
		      q.agent ? agent_name(q.agent)
			      : in->source.realm->config->identifier);
	return overloaded(in, retry_after);
}

/* --- choose-route ------------------------------------------------------- */

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

static uint16_t route_to_pbx(struct ingress *in)
{
	const struct surrogate_agent *agent = in->called.agent;
	const struct realm *realm =
		realm_named(in->plan->realms, agent->realm_id);
	uint16_t silent = surrogates_silent(in->worker->surrogates, agent);

	if (silent)
		return because(in, silent == UINT16_MAX ? SILENCE : silent,
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
		return because(in, 404, "no local-policy leads there",
			       "realm-config",
			       in->source.realm->config->identifier);
	in->route->n = 1;
	if (!surrogates_by_owner(in->worker->surrogates, &in->owner, &view) &&
	    view.refused)
		return because(in, 503, "its registration is refused",
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
	if (match_trusts(in->source.realm, &in->source))
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
	return !pl_strcasecmp(&event, "message-summary");
}

/* To the contact that we registered for a PBX */
static uint16_t route_to_contact(struct ingress *in)
{
	uint16_t code;

	if (in->msg->method_id == OPTIONS) {
		in->ours = true;
		return 0;
	}
	code = route_to_pbx(in);
	return code ? code : map_names(in);
}

/* policy-priority of the policy that the call would take */
static uint8_t priority_of(struct ingress *in)
{
	const struct local_policy *policy = NULL;

	if (in->msg->method_id != INVITE)
		return PRIORITY_NONE;
	in->route = mem_zalloc(sizeof(*in->route), NULL);
	if (in->route && !route_by_policy(in) && in->route->n)
		policy = in->route->hops[0].policy;
	in->route = mem_deref(in->route);

	return policy ? policy->policy_priority : PRIORITY_NONE;
}

/* Owner, called AoR and hops; in->route is there already */
static uint16_t find_route(struct ingress *in)
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

static uint16_t choose_route(struct ingress *in)
{
	uint16_t code;

	in->route = mem_zalloc(sizeof(*in->route), NULL);
	if (!in->route)
		return 503;
	code = find_route(in);
	return code ? code : redirect(in);
}

/* --- place-call --------------------------------------------------------- */

static void reply(struct ingress *in, uint16_t code, const char *extra)
{
	struct wire_response r = {
		.request = in->msg,
		.from = &in->from,
		.code = code,
	};
	char tag[TAG_SIZE];
	struct mbuf *mb;

	names_tag(tag, in->worker->number);
	r.to_tag = tag;
	pl_set_str(&r.extra, extra);
	if (respond_write(&mb, &r))
		return;
	(void)transaction_reply(in->transaction, code, mb);
	mem_deref(mb);
}

/* Is the PBX there, as far as we know (4.9)? */
static bool is_reachable(struct ingress *in)
{
	const struct hop *hop = &in->route->hops[0];
	struct agent *agent;

	if (route_to_pbx(in))
		return false;
	agent = hop->agent ? agents_find(in->worker->agents, hop->agent) : NULL;
	if (agent)
		return agent_usable(agent, clock_ms());
	return !sa_isset(&hop->addr, SA_ADDR) ||
	       !shun_has(in->worker->shun, hop->realm, &hop->addr,
			 hop->transport == TRANSPORT_NONE
				 ? TRANSPORT_UDP
				 : (uint8_t)hop->transport,
			 clock_ms());
}

/* OPTIONS for the SBC itself, or for the contact of an agent (3.9) */
static uint16_t answer_options(struct ingress *in)
{
	if (in->called.agent && !is_reachable(in))
		return 480;
	reply(in, 200,
	      "Allow: " ALLOWED "\r\n"
	      "Accept: application/sdp\r\n"
	      "Supported: 100rel, timer, replaces\r\n");
	in->transaction = transaction_forget(in->transaction);
	return 0;
}

static uint16_t answer_register(struct ingress *in)
{
	struct mbuf *mb = mbuf_alloc(256);
	int err = mb ? standin_answer(mb, in->worker, &in->called, in->msg)
		     : ENOMEM;

	if (!err)
		err = mbuf_write_u8(mb, '\0') ? ENOMEM : 0;
	if (!err) {
		reply(in, 200, (const char *)mb->buf);
		in->transaction = transaction_forget(in->transaction);
		surrogates_active(in->worker->surrogates, in->called.agent);
	}
	mem_deref(mb);
	if (err)
		return err == EBADMSG ? 400 : 503;
	return 0;
}

static uint16_t place_pair(struct ingress *in)
{
	struct pair_setup setup = {
		.home = in->worker->pairs,
		.plan = in->plan,
		.transaction = in->transaction,
		.request = in->edited ? in->edited : in->msg,
		.from = in->from,
		.at = in->at,
		.source = in->source,
		.owner = in->owner,
		.called = in->called,
		.route = in->route,
		.names = { &calls_home(in->worker->calls)->tables, call_other },
	};
	uint16_t code;

	/* From here on the pair answers, and owns what was taken */
	in->transaction = NULL;
	in->route = NULL;
	code = pair_place(&setup);
	if (code) {
		in->transaction = setup.transaction;
		in->route = setup.route;
	}
	return code;
}

static uint16_t place_invite(struct ingress *in)
{
	struct call_setup setup = {
		.home = calls_home(in->worker->calls),
		.plan = in->plan,
		.transaction = in->transaction,
		.invite = in->edited ? in->edited : in->msg,
		.from = in->from,
		.at = in->at,
		.source = in->source,
		.owner = in->owner,
		.called = in->called,
		.route = in->route,
		.seat = in->seat,
	};
	uint32_t min_se;
	uint16_t code;

	min_se = refresh_refuses(refresh_profile(in->plan, in->source.realm),
				 in->msg);
	if (min_se) {
		(void)re_snprintf(in->extra, sizeof(in->extra),
				  "Min-SE: %u\r\n", min_se);
		return 422;
	}
	/* From here on the call answers, and owns what was taken */
	in->transaction = NULL;
	in->route = NULL;
	memset(&in->seat, 0, sizeof(in->seat));
	code = call_place(&setup);
	if (code) {
		in->transaction = setup.transaction;
		in->route = setup.route;
		in->seat = setup.seat;
	}
	return code;
}

static uint16_t place_call(struct ingress *in)
{
	if (in->ours)
		return in->msg->method_id == REGISTER ? answer_register(in)
						      : answer_options(in);
	return in->msg->method_id == INVITE ? place_invite(in) : place_pair(in);
}

/* --- The steps ---------------------------------------------------------- */

static const struct step steps[] = {
	{ check_message, REFUSAL_CHECK_MESSAGE, false },
	{ name_source, REFUSAL_NAME_SOURCE, false },
	{ take_capacity, REFUSAL_TAKE_CAPACITY, true },
	{ choose_route, REFUSAL_CHOOSE_ROUTE, true },
	{ place_call, REFUSAL_PLACE_CALL, true },
};
enum {
	STEPS = sizeof(steps) / sizeof(steps[0])
};

static void record_refusal(struct ingress *in, const struct step *step,
			   uint16_t code)
{
	const struct account_request request = {
		.msg = in->msg,
		.plan = in->plan,
		.source = &in->source,
		.from = &in->from,
		.owner = &in->owner,
		.called = &in->called,
	};

	account_refused(&request, refusal_step_name(step->refused),
			code == SILENCE ? 0 : code, in->worker->db);
}

static void refuse(struct ingress *in, const struct step *step, uint16_t code)
{
	const struct refusal refusal = {
		.step = step->refused,
		.code = code == SILENCE ? 0 : code,
		.realm = in->source.realm ? in->source.realm->config->identifier
			 : in->at         ? in->at->interface->realm_id
					  : NULL,
		.src = &in->from.src,
		.msg = in->msg,
		.object = in->object,
		.reason = in->why ? in->why : cause_phrase(code),
	};

	/* a redirection is an answer of the route, and no refusal */
	if (code < 300 || code > 399) {
		refusals_note(in->worker->refusals, &refusal);
		count(COUNT_REJECTIONS, 1);
	}
	if (step->act == take_capacity)
		transactions_throttled(in->worker->transactions, in->from.port,
				       in->msg->method_id, AS_SERVER);
	if (log_admit("refused"))
		log_info(SIPD, "refused",
			 "step=%s code=%u call-id=%.*s method=%.*s realm=%s "
			 "object=\"%s\" text=\"%s\"",
			 refusal_step_name(step->refused), refusal.code,
			 (int)in->msg->callid.l, in->msg->callid.p,
			 (int)in->msg->method.l, in->msg->method.p,
			 refusal.realm ? refusal.realm : "", in->object,
			 refusal.reason);
	if (step->recorded)
		record_refusal(in, step, code);
	if (in->at &&
	    limits_drop_response(in->source.agent, in->at->interface, code))
		code = SILENCE;
	if (code != SILENCE)
		reply(in, code, in->extra);
}

static void release(struct ingress *in)
{
	transaction_forget(in->transaction);
	mem_deref(in->route);
	mem_deref(in->edited);
	seat_give(&in->seat);
}

static void no_event(struct transaction *t, enum transaction_event ev,
		     const struct message *msg, void *arg)
{
	(void)t;
	(void)ev;
	(void)msg;
	(void)arg;
}

/* An answer to what cannot be served, without state (RFC 3261 8.2.7) */
static void reply_stateless(const struct arrival *from,
			    const struct message *msg, uint16_t code,
			    const char *phrase, const char *extra)
{
	struct wire_response r = {
		.request = msg,
		.from = from,
		.code = code,
	};
	char tag[STABLE_TAG];
	struct target to;
	struct mbuf *mb;

	if (msg->code || msg->method_id == ACK)
		return;
	transactions_tag(tag, msg);
	r.to_tag = tag;
	if (phrase)
		pl_set_str(&r.reason, phrase);
	if (extra)
		pl_set_str(&r.extra, extra);
	if (respond_write(&mb, &r))
		return;
	wire_reply_target(&to, from);
	(void)port_send(from->port, &to, mb, NULL, NULL);
	mem_deref(mb);
}

/* A request that begins something */
static void begin(struct worker *w, const struct arrival *from,
		  const struct message *msg)
{
	struct ingress in = {
		.worker = w,
		.plan = w->plan,
		.from = *from,
		.msg = msg,
	};
	uint16_t code = 0;
	int err;

	err = transaction_open(&in.transaction, w->transactions, from, msg,
			       no_event, NULL);
	if (err == EEXIST)
		reply_stateless(from, msg, 482, NULL, NULL);
	if (err)
		return;

	for (size_t i = 0; i < STEPS && !code; i++) {
		code = steps[i].act(&in);
		if (code)
			refuse(&in, &steps[i], code);
	}
	release(&in);
}

/* --- Messages ----------------------------------------------------------- */

static uint16_t fault_code(enum scan_fault fault)
{
	switch (fault) {

	case SCAN_VERSION:
		return 505;
	case SCAN_URI:
		return 416;
	case SCAN_OK:
	case SCAN_NOT_SIP:
	case SCAN_BAD_HEADER:
	case SCAN_MISSING:
	case SCAN_DUPLICATE:
	case SCAN_BAD_VALUE:
	case SCAN_LENGTH:
	case SCAN_TOO_MANY:
	case SCAN_CSEQ_METHOD:
	case SCAN_FAULTS:
		break;
	}
	return 400;
}

/* Of what is refused before the steps */
static void note(struct worker *w, const struct arrival *from,
		 const struct message *msg, uint16_t code, const char *why)
{
	const struct endpoint *at = endpoint_of(w, from->port);
	const struct refusal refusal = {
		.step = REFUSAL_CHECK_MESSAGE,
		.code = code,
		.realm = at ? at->interface->realm_id : NULL,
		.src = &from->src,
		.msg = msg,
		.reason = why,
	};

	refusals_note(w->refusals, &refusal);
}

static void malformed(struct worker *w, const struct arrival *from,
		      const struct message *msg,
		      const struct scan_result *result)
{
	/* Of a message that is too long only the header section came here: that
	 * its length is more than that is no fault of its own */
	bool cut = from->refuse && result->fault == SCAN_LENGTH;
	uint16_t code = cut ? from->refuse : fault_code(result->fault);
	char phrase[64];

	count(COUNT_INVALID_MESSAGES, 1);
	if (!msg || !result->answerable)
		return;
	(void)re_snprintf(phrase, sizeof(phrase), "Bad %s Header",
			  header_id_name(result->header));
	note(w, from, msg, code,
	     result->header != HDR_OTHER ? "a header cannot be read"
					 : "the message cannot be read");
	reply_stateless(from, msg, code,
			code == 400 && result->header != HDR_OTHER ? phrase
								   : NULL,
			NULL);
}

static void in_dialog(struct worker *w, const struct arrival *from,
		      const struct message *msg)
{
	struct leg *leg = calls_find(w->calls, from, msg);

	if (leg) {
		within_request(leg, from, msg);
		return;
	}
	leg = pairs_by_tag(w->pairs, &msg->to_tag);
	if (leg) {
		pair_request(leg, from, msg);
		return;
	}
	/* Nothing of ours, or over: the same word for both */
	note(w, from, msg, 481, "no such dialog");
	reply_stateless(from, msg, 481, NULL, NULL);
}

static bool is_active(const struct surrogate_agent *agent, void *arg)
{
	if (agent->register_mode == REGISTER_MODE_TRIGGERED)
		surrogates_active(arg, agent);

	return false;
}

/* A PBX that speaks is active: behaviour.md 4.8 counts any well-formed message
 * and each keep-alive. Costs nothing while no agent is triggered */
void ingress_keepalive(const struct arrival *from, void *arg)
{
	struct worker *w = arg;
	struct identity_live live = { 0 };
	const struct endpoint *at;
	struct source source;

	if (!surrogates_any_triggered(w->surrogates))
		return;

	at = endpoint_of(w, from->port);
	if (!at)
		return;
	sources_match(w->sources, w->plan, at, &from->src, &source);
	surrogates_identity(w->surrogates, &live);
	(void)identity_agents_walk(w->plan->identities, source.realm,
				   &from->src, &live, is_active, w->surrogates);
}

/* --- Overload (behaviour.md 1.5) ----------------------------------------- */

/* Without a level of their own all are strangers but those who begin as trusted
 * (1.4) */
static bool is_stranger(const struct source *source)
{
	return !source->agent && !source->next_hop &&
	       source->realm->config->access_control_trust_level !=
		       TRUST_LEVEL_HIGH;
}

/* 503 before anything is made for the request */
static void turn_away(struct worker *w, const struct arrival *from,
		      const struct message *msg, const struct endpoint *at,
		      const struct source *source)
{
	char extra[32];

	refusals_count(w->refusals, REFUSAL_TAKE_CAPACITY, 503);
	transactions_answered(w->transactions, from->port, msg->method_id, 503);
	transactions_throttled(w->transactions, from->port, msg->method_id,
			       AS_SERVER);
	count(COUNT_OVERLOAD_REJECTS, 1);
	if (limits_drop_response(source->agent, at->interface, 503))
		return;
	(void)re_snprintf(extra, sizeof(extra), "Retry-After: %u\r\n",
			  random_between(5, 10));
	reply_stateless(from, msg, 503, NULL, extra);
}

/* Has the thread too much to do? Then the request is turned away, or waits until
 * all that belongs to calls is served. False: it is served now */
static bool is_crowded(struct worker *w, const struct arrival *from,
		       const struct message *msg)
{
	const struct endpoint *at;
	struct source source;
	bool stranger;

	if (!w->shed ||
	    !shed_look(w->shed, from->conn ? SHED_UNKNOWN : from->age))
		return false;
	at = endpoint_of(w, from->port);
	if (!at)
		return false;

	sources_match(w->sources, w->plan, at, &from->src, &source);
	stranger = is_stranger(&source);
	if (shed_refuses(w->shed, stranger) ||
	    lobby_put(w->lobby, from, msg, stranger))
		turn_away(w, from, msg, at, &source);

	return true;
}

void ingress_waited(const struct arrival *from, const struct message *msg,
		    void *arg)
{
	struct worker *w = arg;

	/* It may have come twice meanwhile */
	if (transactions_take(w->transactions, from, msg) == NEW_REQUEST)
		begin(w, from, msg);
}

void ingress_arrival(const struct arrival *from, struct mbuf *mb, void *arg)
{
	struct worker *w = arg;
	struct message *msg = NULL;
	struct scan_result result;

	if (transactions_match(w->transactions, from, mb))
		return;

	if (message_scan(&msg, mb, &result)) {
		malformed(w, from, msg, &result);
		mem_deref(msg);
		return;
	}

	ingress_keepalive(from, w);
	/* It may be about a request that waits */
	if (msg->method_id == CANCEL && !msg->code && w->lobby)
		lobby_clear(w->lobby);
	switch (transactions_take(w->transactions, from, msg)) {

	case MATCHED:
	case NEW_CANCEL:
		break;

	case STRAY:
		count(COUNT_INVALID_RESPONSES, 1);
		break;

	case NEW_ACK: {
		struct leg *leg = calls_find(w->calls, from, msg);

		if (leg && !leg_admit(leg, from, msg))
			call_ack(leg, msg);
		break;
	}

	case NEW_REQUEST:
		if (msg->to_tag.l)
			in_dialog(w, from, msg);
		else if (!is_crowded(w, from, msg))
			begin(w, from, msg);
		break;
	}
	mem_deref(msg);
}

/* The steps that a trial can be put through */
static uint16_t try_steps(struct ingress *in, const char **step)
{
	uint16_t code;

	*step = "name-source";
	if (sa_isset(&in->from.src, SA_ADDR) &&
	    !match_allows(in->at, &in->source, in->msg->method_id == REGISTER,
			  false))
		return 403;

	*step = "choose-route";
	code = find_route(in);
	if (!code)
		*step = NULL;

	return code;
}

int ingress_try(struct worker *w, const struct source *source,
		const struct sa *src, const struct message *msg,
		const struct ingress_wishes *wishes, struct ingress_trial *out)
{
	struct ingress in = {
		.worker = w,
		.wishes = wishes,
		.plan = w->plan,
		.msg = msg,
		.source = *source,
		.forwards = 70,
	};

	memset(out, 0, sizeof(*out));
	out->source = *source;
	if (!source->realm->endpoints_n)
		return ENOTCONN;
	if (!message_uri(msg))
		return EINVAL;
	in.ruri = *message_uri(msg);
	in.at = source->realm->endpoints[0];
	in.from.src = *src;
	in.route = mem_zalloc(sizeof(*in.route), NULL);
	if (!in.route)
		return ENOMEM;

	out->code = try_steps(&in, &out->step);
	out->owner = in.owner;
	out->called = in.called;
	out->ours = in.ours;
	out->route = *in.route;
	mem_deref(in.route);
	return 0;
}
