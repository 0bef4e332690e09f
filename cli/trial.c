/*
 * test-policy and test-credentials
 */
#include <errno.h>
#include <string.h>
#include "store/number.h"
#include "sbc/clock.h"
#include "sbc/hunt.h"
#include "sbc/ingress.h"
#include "sbc/prove.h"
#include "sbc/sources.h"
#include "cli/trial.h"

/* Arguments, all texts of the line */
struct trial {
	struct session *s;
	const char *source_realm, *from, *to, *source_address, *method;
	const char *time_of_day, *auth_realm;
	struct message *msg;
	struct source source;
	struct sa src;
	bool credentials; /* test-credentials: print the choice too */
};

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
	};
	size_t i, n = sizeof(known) / sizeof(known[0]);

	for (; at < w->n; at += 2) {
		for (i = 0; i < n && strcmp(known[i].name, w->v[at]); i++)
			;
		if (i == n) {
			reply_error(&t->s->reply, REPLY_UNKNOWN,
				    "Unknown word [%s], possible here: "
				    "source-realm, from-address, to-address, "
				    "source-address, method, auth-realm",
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
	return true;
}

/* The request as it would come: parsed by the very scanner */
static bool request_make(struct trial *t)
{
	struct mbuf *mb = mbuf_alloc(512);
	struct scan_result result;
	int err = ENOMEM;

	if (mb)
		err = mbuf_printf(
			mb,
			"%s %s SIP/2.0\r\n"
			"Via: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bK0\r\n"
			"From: <%s>;tag=trial\r\nTo: <%s>\r\n"
			"Call-ID: trial\r\nCSeq: 1 %s\r\n"
			"Content-Length: 0\r\n\r\n",
			t->method, t->to, t->from, t->to, t->method);
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

	if (fault == ROUTE_SOURCE_REALM)
		return; /* another realm's policies would only be noise */
	reply_line(&t->s->reply,
		   "local-policy [%H], policy-attributes [%H]: %s",
		   item_key_print, &p, item_key_print, &a,
		   route_fault_name(fault));
}

static void explain_all(struct trial *t, const struct plan *plan)
{
	struct pl from = range_of(t->from), to = range_of(t->to);
	struct uri from_uri, to_uri;
	struct route_query q = {
		.realm = t->source.realm,
		.method = range_of(t->method),
		.from = &from_uri,
		.to = &to_uri,
		.called = &to_uri,
	};

	if (uri_read(&from_uri, &from) || uri_read(&to_uri, &to))
		return;
	clock_local(&q.now);
	route_explain(plan->routes, &q, explain, t);
}

static void hops_print(struct trial *t, struct worker *w,
		       const struct ingress_trial *found)
{
	reply_line(&t->s->reply, "%-5s%-24s%-12s%-6s%-12s%s", "Rank",
		   "Next Hop", "Realm", "Cost", "Agent State", "Lookup");
	for (uint32_t i = 0; i < found->route.n; i++) {
		const struct hop *hop = &found->route.hops[i];
		struct agent *agent =
			hop->agent ? agents_find(w->agents, hop->agent) : NULL;
		char letter[2] = "-";

		if (agent)
			letter[0] =
				agent_letter(agent_service(agent, clock_ms()));
		reply_line(&t->s->reply, "%-5u%-24s%-12s%-6u%-12s%s", i + 1,
			   hop->next_hop ? hop->next_hop : "registrar",
			   hop->realm->config->identifier, hop->cost, letter,
			   hop->attribute ? hop->attribute->auth_user_lookup
					  : "");
	}
}

static void owner_print(struct trial *t, const char *name,
			const struct owner *who)
{
	char user[AOR_USER_MAX];

	if (who->agent && aor_register_user(user, sizeof(user), who) >= 0)
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
	reply_line(&t->s->reply, "%-16s%-5s%s", step_names[step], "no", why);
}

static void yes_print(struct trial *t, int step,
		      const struct credential_query *q,
		      const struct proof_explanation *e)
{
	const struct credential_choice *choice = &e->choice;
	const struct session_agent *at =
		choice->by == BY_EGRESS ? q->egress : q->ingress;

	if (choice->realm && choice->lookup)
		reply_line(&t->s->reply,
			   "%-16s%-5srealm-config [%s] %s [%s %s]",
			   step_names[step], "yes", choice->realm,
			   e->found ? "has" : "has no entry for",
			   e->any ? "*" : t->auth_realm, choice->lookup);
	else if (choice->of_agent)
		reply_line(&t->s->reply, "%-16s%-5ssurrogate-agent [%s %s]",
			   step_names[step], "yes",
			   q->owner.agent->register_host,
			   q->owner.agent->register_user);
	else if (choice->entry)
		reply_line(&t->s->reply, "%-16s%-5ssession-agent [%s] has [%s]",
			   step_names[step], "yes", at->hostname,
			   choice->entry->auth_realm);
	else
		reply_line(&t->s->reply, "%-16s%-5snobody else answers",
			   step_names[step], "yes");
}

static void result_print(struct trial *t, const struct proof_explanation *e)
{
	reply_line(&t->s->reply, "row             %s", e->choice.row);
	if (e->found)
		reply_line(&t->s->reply,
			   "user            %s\n"
			   "result          answered",
			   e->user);
	else if (e->choice.by == BY_NOBODY)
		reply_line(&t->s->reply,
			   "result          passed through: the challenge goes "
			   "to the caller");
	else
		reply_error(&t->s->reply, REPLY_FAILED,
			    "fail: nothing is answered, the final 401 or 407 "
			    "goes to the caller");
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
	for (int step = 0; step < STEPS; step++) {
		if (step < decided)
			no_print(t, step, q);
		else if (step == decided)
			yes_print(t, step, q, &e);
		else
			reply_line(&t->s->reply, "%-16s-", step_names[step]);
	}
	result_print(t, &e);
}

static void on_worker(struct worker *w, void *arg)
{
	struct trial *t = arg;
	struct ingress_trial found;
	int err;

	if (!source_make(t, w))
		return;
	err = ingress_try(w, &t->source, &t->src, t->msg, &found);
	if (err) {
		reply_error(&t->s->reply, REPLY_ARGUMENT,
			    err == ENOTCONN ? "The realm has no sip-port"
					    : "The addresses cannot be read");
		return;
	}
	if (!t->credentials)
		explain_all(t, w->plan);
	owner_print(t, "owner", &found.owner);
	if (found.called.agent)
		owner_print(t, "called", &found.called);
	if (found.code) {
		reply_error(&t->s->reply, REPLY_FAILED,
			    "The caller would get %u at %s", found.code,
			    found.step);
		return;
	}
	if (found.ours) {
		reply_line(&t->s->reply, "The SBC itself answers");
		return;
	}
	hops_print(t, w, &found);
	if (t->credentials)
		choice_print(t, w, &found);
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
