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

static struct pl pl_of(const char *s)
{
	struct pl pl = { s ? s : "", s ? strlen(s) : 0 };

	return pl;
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

static bool source_make(struct trial *t, const struct plan *plan)
{
	struct pl address = pl_of(t->source_address);

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
	t->source.agent = match_agent_at(plan->match, t->source.realm, &t->src);
	t->source.in_prefix = true;
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
	struct pl from = pl_of(t->from), to = pl_of(t->to);
	struct uri from_uri, to_uri;
	struct route_query q = {
		.realm = t->source.realm,
		.method = pl_of(t->method),
		.from = &from_uri,
		.to = &to_uri,
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

static void owner_print(struct trial *t, const struct owner *who)
{
	char user[AOR_USER_MAX];

	if (who->agent && aor_register_user(user, sizeof(user), who) >= 0)
		reply_line(&t->s->reply, "owner         %s@%s", user,
			   who->agent->register_host);
	else
		reply_line(&t->s->reply, "owner         none");
}

/* --- Credentials -------------------------------------------------------- */

static void choice_print(struct trial *t, struct worker *w,
			 const struct ingress_trial *found)
{
	const struct hop *hop = &found->route.hops[0];
	struct pl auth_realm = pl_of(t->auth_realm);
	struct credential_choice choice;
	struct proof_setup setup = { .worker = w };
	struct credential_query *q = &setup.query;
	struct hop registrar;
	bool has = false;

	q->method = pl_of(t->method);
	setup.method = q->method;
	if (hop->attribute) {
		q->realm = hop->attribute->realm;
		q->lookup = hop->attribute->auth_user_lookup;
		if (!q->realm[0] && hop->agent)
			q->realm = hop->agent->realm_id;
	}
	q->egress_realm = hop->realm->config->identifier;
	q->owner = found->owner;
	q->to_registrar =
		found->owner.agent &&
		!plan_registrar(w->plan, found->owner.agent, &registrar) &&
		registrar.realm == hop->realm && registrar.agent == hop->agent;
	q->egress = hop->agent;
	q->ingress = t->source.agent;
	prove_explain(&setup, &auth_realm, &choice, &has);

	reply_line(&t->s->reply, "row           %s, %s",
		   choice.row ? choice.row : "5",
		   credential_by_name(choice.by));
	if (choice.realm)
		reply_line(&t->s->reply,
			   "entry         realm-config [%s] %s [%r %s]",
			   choice.realm, has ? "has" : "has no entry for",
			   &auth_realm, choice.lookup);
	if (choice.by == BY_NOBODY) {
		reply_line(&t->s->reply, "result        passed through: the "
					 "challenge goes to the caller");
		return;
	}
	if (has) {
		reply_line(&t->s->reply, "result        answered");
		return;
	}
	reply_error(&t->s->reply, REPLY_FAILED,
		    "fail: nothing is answered, the final 401 or 407 goes to "
		    "the caller");
}

static void on_worker(struct worker *w, void *arg)
{
	struct trial *t = arg;
	struct ingress_trial found;

	if (!source_make(t, w->plan))
		return;
	if (ingress_try(w, &t->source, &t->src, t->msg, &found)) {
		reply_error(&t->s->reply, REPLY_ARGUMENT,
			    "The addresses cannot be read");
		return;
	}
	if (!t->credentials)
		explain_all(t, w->plan);
	owner_print(t, &found.owner);
	if (found.code) {
		reply_error(&t->s->reply, REPLY_FAILED,
			    "The caller would get %u at %s", found.code,
			    found.step);
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
