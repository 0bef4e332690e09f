/*
 * test-policy and test-credentials
 */
#include <errno.h>
#include <string.h>
#include "store/number.h"
#include "policy/pattern.h"
#include "sbc/clock.h"
#include "sbc/hunt.h"
#include "sbc/ingress.h"
#include "sbc/prove.h"
#include "sbc/sources.h"
#include "cli/json.h"
#include "cli/trial.h"

enum {
	CARRIERS = 16
};

/* Arguments, all texts of the line */
struct trial {
	struct session *s;
	const char *source_realm, *from, *to, *source_address, *method;
	const char *time_of_day, *auth_realm, *carrier, *codec;
	struct local_time now;
	struct names carriers; /* of the caller, instead of his */
	char *carrier_v[CARRIERS], carrier_text[256];
	struct message *msg;
	struct source source;
	struct sa src;
	struct pattern_key from_key, to_key;
	bool credentials; /* test-credentials: print the choice too */
	const char *why;  /* it fails; NULL: it does not */
};

/* HHMM, as start-time has it; today */
static bool time_read(struct trial *t)
{
	struct pl text = range_of(t->time_of_day);
	uint64_t n;

	clock_local(&t->now);
	if (!t->time_of_day)
		return true;
	if (text.l != 4 || uint_parse(&n, &text, 2359) || n % 100 > 59) {
		reply_error(&t->s->reply, REPLY_ARGUMENT,
			    "[%s] is not a time of day, HHMM", t->time_of_day);
		return false;
	}
	t->now.of_day = (hhmm)n;
	t->now.now = t->now.now / 1000000 * 1000000 + n * 100;
	return true;
}

/* One, or (one another) */
static bool carriers_read(struct trial *t)
{
	char *rest = t->carrier_text, *name;

	if (!t->carrier)
		return true;
	if (strlen(t->carrier) >= sizeof(t->carrier_text)) {
		reply_error(&t->s->reply, REPLY_ARGUMENT, "Too many carriers");
		return false;
	}
	strcpy(t->carrier_text, t->carrier);
	t->carriers.v = t->carrier_v;
	while (t->carriers.n < CARRIERS &&
	       (name = strtok_r(rest, " ()", &rest)))
		t->carrier_v[t->carriers.n++] = name;
	return true;
}

static bool arguments(struct trial *t, const struct words *w, uint32_t at)
{
	const struct {
		const char *name;
		const char **value;
	} known[] = {
		{ "source-realm", &t->source_realm },
		{ "from-address", &t->from },
		{ "to-address", &t->to },
		{ "source-address", &t->source_address },
		{ "method", &t->method },
		{ "auth-realm", &t->auth_realm },
		{ "time-of-day", &t->time_of_day },
		{ "carriers", &t->carrier },
		{ "media-profile", &t->codec },
	};
	size_t i, n = sizeof(known) / sizeof(known[0]);

	for (; at < w->n; at += 2) {
		for (i = 0; i < n && strcmp(known[i].name, w->v[at]); i++)
			;
		if (i == n) {
			reply_error(&t->s->reply, REPLY_UNKNOWN,
				    "Unknown word [%s], possible here: "
				    "source-realm, from-address, to-address, "
				    "source-address, method, auth-realm, "
				    "time-of-day, carriers, media-profile",
				    w->v[at]);
			return false;
		}
		if (at + 1 == w->n) {
			reply_error(&t->s->reply, REPLY_ARGUMENT, "Missing %s",
				    known[i].name);
			return false;
		}
		*known[i].value = w->v[at + 1];
	}
	for (i = 0; i < 3; i++) {
		if (*known[i].value)
			continue;
		reply_error(&t->s->reply, REPLY_ARGUMENT, "Missing %s",
			    known[i].name);
		return false;
	}
	if (t->credentials && !t->auth_realm) {
		reply_error(&t->s->reply, REPLY_ARGUMENT, "Missing auth-realm");
		return false;
	}
	if (!t->method)
		t->method = "INVITE";

	return time_read(t) && carriers_read(t);
}

/* The request as it would come: parsed by the very scanner */
static bool request_make(struct trial *t)
{
	struct mbuf *mb = mbuf_alloc(512);
	struct scan_result result;
	char sdp[256] = "";
	int err = ENOMEM;

	if (t->codec &&
	    re_snprintf(sdp, sizeof(sdp),
			"v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\n"
			"c=IN IP4 0.0.0.0\r\nt=0 0\r\n"
			"m=audio 9 RTP/AVP 96\r\na=rtpmap:96 %s/8000\r\n",
			t->codec) < 0)
		sdp[0] = '\0';

	if (mb)
		err = mbuf_printf(
			mb,
			"%s %s SIP/2.0\r\n"
			"Via: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bK0\r\n"
			"From: <%s>;tag=trial\r\nTo: <%s>\r\n"
			"Call-ID: trial\r\nCSeq: 1 %s\r\n"
			"Content-Type: application/sdp\r\n"
			"Content-Length: %zu\r\n\r\n%s",
			t->method, t->to, t->from, t->to, t->method,
			strlen(sdp), sdp);
	if (!err) {
		mb->pos = 0;
		err = message_scan(&t->msg, mb, &result);
	}
	mem_deref(mb);
	if (err)
		reply_error(&t->s->reply, REPLY_ARGUMENT,
			    "No request can be made of these addresses");
	return !err;
}

/* Without a source-address: that of the first session-agent of the realm */
static void source_default(struct trial *t, const struct plan *plan)
{
	const struct element *type = &element_session_agent;
	size_t n = config_count(plan->config, type);

	for (size_t i = 0; i < n; i++) {
		const struct session_agent *agent =
			config_at(plan->config, type, i);

		if (!strcmp(agent->realm_id, t->source_realm) &&
		    !match_agent_address(agent, &t->src))
			return;
	}
}

/* As the sip-port of the realm would see it. The realm that was asked for stays,
 * also where this address would be put into another one */
static void source_name(struct trial *t, const struct worker *w)
{
	const struct plan *plan = w->plan;
	const struct realm *realm = t->source.realm;

	if (realm->endpoints_n)
		sources_match(w->sources, plan, realm->endpoints[0], &t->src,
			      &t->source);
	if (t->source.realm == realm && realm->endpoints_n)
		return;
	t->source = (struct source){ .realm = realm, .in_prefix = true };
	t->source.agent = match_agent_at(plan->match, realm, &t->src);
}

static bool source_make(struct trial *t, const struct worker *w)
{
	const struct plan *plan = w->plan;
	struct pl address = range_of(t->source_address);

	t->source.realm = realm_named(plan->realms, t->source_realm);
	if (!t->source.realm) {
		reply_error(&t->s->reply, REPLY_ARGUMENT,
			    "There is no realm-config [%s]", t->source_realm);
		return false;
	}
	sa_init(&t->src, AF_INET);
	if (address.l && address_parse_text(&t->src, &address)) {
		reply_error(&t->s->reply, REPLY_ARGUMENT,
			    "[%s] is not an address", t->source_address);
		return false;
	}
	if (!address.l)
		source_default(t, plan);
	source_name(t, w);
	return true;
}

/* --- Routes ------------------------------------------------------------- */

static void explain(const struct local_policy *policy,
		    const struct policy_attribute *attribute,
		    enum route_fault fault, void *arg)
{
	struct trial *t = arg;
	struct item_ref p = { &element_local_policy, policy };
	struct item_ref a = { &element_policy_attribute, attribute };

	/* Another realm's policies are noise, unless that is all they lack */
	if (fault == ROUTE_SOURCE_REALM &&
	    (patterns_matches(&policy->from_address, &t->from_key) < 0 ||
	     patterns_matches(&policy->to_address, &t->to_key) < 0))
		return;
	if (t->s->reply.json) {
		struct reply *r = &t->s->reply;

		json_open(r, NULL, '{');
		json_print(r, "local-policy", (re_printf_h *)item_key_print,
			   &p);
		json_print(r, "policy-attributes",
			   (re_printf_h *)item_key_print, &a);
		json_text(r, "verdict", route_fault_name(fault));
		json_close(r, '}');
		return;
	}
	reply_line(&t->s->reply,
		   "local-policy [%H], policy-attributes [%H]: %s",
		   item_key_print, &p, item_key_print, &a,
		   route_fault_name(fault));
}

static void explain_all(struct trial *t, const struct plan *plan)
{
	struct pl from = range_of(t->from), to = range_of(t->to);
	struct pl codec = range_of(t->codec);
	struct uri from_uri, to_uri;
	struct route_query q = {
		.realm = t->source.realm,
		.method = range_of(t->method),
		.from = &from_uri,
		.to = &to_uri,
		.called = &to_uri,
		.agent = t->source.agent,
		.now = t->now,
		.carriers = t->carrier ? &t->carriers : NULL,
		.codecs = &codec,
		.codecs_n = codec.l ? 1 : 0,
	};

	if (uri_read(&from_uri, &from) || uri_read(&to_uri, &to))
		return;
	pattern_key_read(&t->from_key, &from_uri);
	pattern_key_read(&t->to_key, &to_uri);
	json_open(&t->s->reply, "stages", '[');
	route_explain(plan->routes, &q, explain, t);
	json_close(&t->s->reply, ']');
}

static const struct column hop_columns[] = {
	{ "Rank", -4 }, { "Next Hop", -23 },    { "Realm", -11 },
	{ "Cost", -5 }, { "Agent State", -11 }, { "Lookup", 0 },
	{ NULL, 0 },
};

static void hop_row(struct trial *t, uint32_t rank, const struct hop *hop,
		    const char *letter)
{
	const struct cell cells[] = {
		NUMBER_CELL(rank),
		TEXT_CELL(hop->next_hop ? hop->next_hop : "registrar"),
		TEXT_CELL(hop->realm->config->identifier),
		NUMBER_CELL(hop->cost),
		TEXT_CELL(letter),
		TEXT_CELL(hop->attribute ? hop->attribute->auth_user_lookup
					 : ""),
	};

	table_row(&t->s->reply, hop_columns, cells);
}

static void hops_print(struct trial *t, struct worker *w,
		       const struct ingress_trial *found)
{
	table_begin(&t->s->reply, "hops", hop_columns);
	for (uint32_t i = 0; i < found->route.n; i++) {
		const struct hop *hop = &found->route.hops[i];
		struct agent *agent =
			hop->agent ? agents_find(w->agents, hop->agent) : NULL;
		char letter[2] = "-";

		if (agent)
			letter[0] =
				agent_letter(agent_service(agent, clock_ms()));
		hop_row(t, i + 1, hop, letter);
	}
	table_end(&t->s->reply);
}

struct aor {
	const char *user, *host;
};

static int aor_print(struct re_printf *pf, const struct aor *aor)
{
	return re_hprintf(pf, "%s@%s", aor->user, aor->host);
}

static void owner_print(struct trial *t, const char *name,
			const struct owner *who)
{
	char user[AOR_USER_MAX];

	bool known =
		who->agent && aor_register_user(user, sizeof(user), who) >= 0;

	if (t->s->reply.json && known)
		json_print(&t->s->reply, name, (re_printf_h *)aor_print,
			   &(struct aor){ user, who->agent->register_host });
	else if (t->s->reply.json)
		json_text(&t->s->reply, name, NULL);
	else if (known)
		reply_line(&t->s->reply, "%-16s%s@%s", name, user,
			   who->agent->register_host);
	else
		reply_line(&t->s->reply, "%-16snone", name);
}

/* --- Credentials -------------------------------------------------------- */

/* Is the challenger the owner's registrar, as far as a trial can know it: by the
 * hop, or by a realm that its REGISTER was challenged with? */
static bool is_registrar(const struct worker *w,
			 const struct ingress_trial *found,
			 const struct pl *auth_realm)
{
	const struct hop *hop = &found->route.hops[0];
	struct hop registrar;

	if (!found->owner.agent ||
	    plan_registrar(w->plan, found->owner.agent, &registrar) ||
	    registrar.realm != hop->realm)
		return false;

	return !hop->policy || (hop->agent && hop->agent == registrar.agent) ||
	       surrogates_knows_realm(w->surrogates, found->owner.agent,
				      hop->realm->config->identifier,
				      auth_realm);
}

/* The steps of behaviour.md 6.1, for the operator */
enum {
	STEP_REGISTER,
	STEP_POLICY,
	STEP_SURROGATE,
	STEP_AGENT,
	STEP_NOBODY,
	STEPS
};
static const char *const step_names[] = { "1 register", "2 policy",
					  "3 surrogate", "4 session-agent",
					  "5 passed" };

static int step_of(enum credential_by by)
{
	switch (by) {

	case BY_REGISTER:
		return STEP_REGISTER;
	case BY_POLICY:
		return STEP_POLICY;
	case BY_SURROGATE:
		return STEP_SURROGATE;
	case BY_EGRESS:
	case BY_INGRESS:
		return STEP_AGENT;
	case BY_NOBODY:
		break;
	}
	return STEP_NOBODY;
}

static void step_print(struct trial *t, int step, const char *verdict,
		       const char *reason)
{
	struct reply *r = &t->s->reply;

	if (!r->json) {
		reply_line(r, *reason ? "%-16s%-5s%s" : "%-16s%s",
			   step_names[step], verdict, reason);
		return;
	}
	json_open(r, NULL, '{');
	json_text(r, "step", step_names[step] + 2);
	json_text(r, "verdict", *verdict == '-' ? NULL : verdict);
	json_text(r, "reason", *reason ? reason : NULL);
	json_close(r, '}');
}

/* Why a step before the one that decided did not */
static void no_print(struct trial *t, int step,
		     const struct credential_query *q)
{
	const struct surrogate_agent *agent = q->owner.agent;
	const char *why = "";

	switch (step) {

	case STEP_REGISTER:
		why = "not a REGISTER of the SBC";
		break;
	case STEP_POLICY:
		why = q->lookup && *q->lookup
			      ? "no entry, and auth-lookup-miss is fallback"
			      : "the route has no auth-user-lookup";
		break;
	case STEP_SURROGATE:
		if (!agent)
			why = "the request has no owner";
		else if (!q->to_registrar)
			why = "the challenger is not the owner's registrar";
		else if (agent->auth_methods.n &&
			 !names_have(&agent->auth_methods, &q->method))
			why = "auth-methods of the owner leave this one out";
		else if (*agent->auth_user_lookup)
			why = "no entry, and auth-lookup-miss is fallback";
		else
			why = "the owner has no password";
		break;
	default:
		why = "no entry at the session-agents fits";
		break;
	}
	step_print(t, step, "no", why);
}

static void yes_print(struct trial *t, int step,
		      const struct credential_query *q,
		      const struct proof_explanation *e)
{
	const struct credential_choice *choice = &e->choice;
	const struct session_agent *at =
		choice->by == BY_EGRESS ? q->egress : q->ingress;
	char why[512];

	/* What is too long for a line is cut off */
	if (choice->realm && choice->lookup)
		(void)re_snprintf(why, sizeof(why),
				  "realm-config [%s] %s [%s %s]", choice->realm,
				  e->found ? "has" : "has no entry for",
				  e->any ? "*" : t->auth_realm, choice->lookup);
	else if (choice->of_agent)
		(void)re_snprintf(why, sizeof(why), "surrogate-agent [%s %s]",
				  q->owner.agent->register_host,
				  q->owner.agent->register_user);
	else if (choice->entry)
		(void)re_snprintf(why, sizeof(why),
				  "session-agent [%s] has [%s]", at->hostname,
				  choice->entry->auth_realm);
	else
		str_ncpy(why, "nobody else answers", sizeof(why));
	step_print(t, step, "yes", why);
}

static void result_print(struct trial *t, const struct proof_explanation *e)
{
	static const char fails[] =
		"fail: nothing is answered, the final 401 or 407 goes to the "
		"caller";
	struct reply *r = &t->s->reply;
	bool passes = e->choice.by == BY_NOBODY;

	if (r->json) {
		json_text(r, "row", e->choice.row);
		json_text(r, "user", e->found ? e->user : NULL);
		json_text(r, "result",
			  e->found ? "answered"
			  : passes ? "passed-through"
				   : "fail");
		t->why = e->found || passes ? NULL : fails;
		return;
	}
	reply_line(r, "row             %s", e->choice.row);
	if (e->found)
		reply_line(&t->s->reply,
			   "user            %s\n"
			   "result          answered",
			   e->user);
	else if (passes)
		reply_line(&t->s->reply,
			   "result          passed through: the challenge goes "
			   "to the caller");
	else
		t->why = fails;
}

static void choice_print(struct trial *t, struct worker *w,
			 const struct ingress_trial *found)
{
	struct pl auth_realm = range_of(t->auth_realm);
	struct proof_setup setup = { .worker = w };
	struct credential_query *q = &setup.query;
	struct proof_explanation e;
	int decided;

	hunt_query(q, &found->route.hops[0], &found->owner, &found->called,
		   t->source.agent);
	setup.method = q->method = range_of(t->method);
	q->to_registrar = is_registrar(w, found, &auth_realm);
	prove_explain(&setup, &auth_realm, &e);

	decided = step_of(e.choice.by);
	json_open(&t->s->reply, "steps", '[');
	for (int step = 0; step < STEPS; step++) {
		if (step < decided)
			no_print(t, step, q);
		else if (step == decided)
			yes_print(t, step, q, &e);
		else
			step_print(t, step, "-", "");
	}
	json_close(&t->s->reply, ']');
	result_print(t, &e);
}

/* The first hop: whose registrar or trunk is taken to challenge */
static void route_print(struct trial *t, const struct ingress_trial *found)
{
	const struct hop *hop = &found->route.hops[0];
	struct item_ref p = { &element_local_policy, hop->policy };
	struct item_ref a = { &element_policy_attribute, hop->attribute };
	struct reply *r = &t->s->reply;

	if (r->json) {
		json_open(r, "route", '{');
		if (hop->policy) {
			json_print(r, "local-policy",
				   (re_printf_h *)item_key_print, &p);
			json_print(r, "policy-attributes",
				   (re_printf_h *)item_key_print, &a);
			json_text(r, "auth-user-lookup",
				  hop->attribute->auth_user_lookup);
		} else {
			json_text(r, "local-policy", NULL);
		}
		json_text(r, "next-hop",
			  hop->next_hop ? hop->next_hop : "registrar");
		json_text(r, "realm", hop->realm->config->identifier);
		json_close(r, '}');
	} else if (hop->policy) {
		reply_line(r,
			   "route           local-policy [%H], "
			   "policy-attributes [%H], auth-user-lookup %s",
			   item_key_print, &p, item_key_print, &a,
			   *hop->attribute->auth_user_lookup
				   ? hop->attribute->auth_user_lookup
				   : "-");
	} else {
		reply_line(r,
			   "route           registrar of the owner, realm %s",
			   hop->realm->config->identifier);
	}
}

/* No route is taken: the SBC refuses, or answers itself */
static void answer_print(struct trial *t, const struct ingress_trial *found)
{
	struct reply *r = &t->s->reply;

	if (!r->json) {
		if (!found->code)
			reply_line(r, "The SBC itself answers");
		return;
	}
	json_open(r, "answer", '{');
	json_flag(r, "own", !found->code);
	if (found->code) {
		json_number(r, "code", found->code);
		json_text(r, "step", found->step);
	}
	json_close(r, '}');
}

static void on_worker(struct worker *w, void *arg)
{
	struct trial *t = arg;
	const struct ingress_wishes wishes = {
		.now = &t->now,
		.carriers = t->carrier ? &t->carriers : NULL,
	};
	struct ingress_trial found;
	int err;

	if (!source_make(t, w))
		return;
	err = ingress_try(w, &t->source, &t->src, t->msg, &wishes, &found);
	if (err) {
		reply_error(&t->s->reply, REPLY_ARGUMENT,
			    err == ENOTCONN ? "The realm has no sip-port"
					    : "The addresses cannot be read");
		return;
	}
	if (t->s->reply.json) {
		json_begin(&t->s->reply, t->s->command, JSON_NO_WINDOW);
		json_open(&t->s->reply, NULL, '{');
	}
	if (!t->credentials)
		explain_all(t, w->plan);
	owner_print(t, "owner", &found.owner);
	if (found.called.agent)
		owner_print(t, "called", &found.called);
	if (found.code || found.ours) {
		answer_print(t, &found);
	} else if (t->credentials) {
		route_print(t, &found);
		choice_print(t, w, &found);
	} else {
		hops_print(t, w, &found);
	}
	if (t->s->reply.json) {
		json_close(&t->s->reply, '}');
		json_end(&t->s->reply);
	}
	if (found.code)
		reply_error(&t->s->reply, REPLY_FAILED,
			    "The caller would get %u at %s", found.code,
			    found.step);
	else if (t->why)
		reply_error(&t->s->reply, REPLY_FAILED, "%s", t->why);
}

static void run(struct trial *t, const struct words *w, uint32_t at)
{
	if (arguments(t, w, at) && request_make(t))
		sbc_ask(t->s->sbc, on_worker, t);
	mem_deref(t->msg);
}

void test_policy(struct session *s, const struct words *w, uint32_t at)
{
	struct trial t = { .s = s };

	run(&t, w, at);
}

void test_credentials(struct session *s, const struct words *w, uint32_t at)
{
	struct trial t = { .s = s, .credentials = true };

	run(&t, w, at);
}
