/*
 * test-policy and test-credentials
 */
#include <errno.h>
#include <string.h>
#include "store/number.h"
#include "policy/pattern.h"
#include "sbc/clock.h"
#include "sbc/crew.h"
#include "sbc/home.h"
#include "sbc/hunt.h"
#include "sbc/ingress.h"
#include "sbc/prove.h"
#include "sbc/sources.h"
#include "cli/control.h"
#include "cli/form.h"
#include "cli/json.h"
#include "cli/trial.h"

enum {
	CHALLENGES = 8 /* realms of a 401 or 407 */
};

struct trial {
	struct task task; /* first */
	struct wishes *wishes;
	const struct element *type; /* of the wishes: which command it is */
	char command[256];          /* for its document */
	struct mbuf *challenge;     /* its file; NULL: none */
	const struct plan *plan;
	struct local_time now;
	struct pl method;
	struct message *msg;
	struct proof_realm realms[CHALLENGES]; /* that challenge */
	uint32_t realms_n;
	struct source source;
	uint32_t worker;    /* that would have the call */
	struct owner owner; /* that is wished */
	struct sa src;
	struct pattern_key from_key, to_key;
	bool answered, failed; /* some realms that challenge */
	uint16_t code;         /* with which it would be refused */
	const char *step;
	int err;
};

static void destructor(void *arg)
{
	struct trial *t = arg;

	item_free(t->type, t->wishes);
	mem_deref(t->challenge);
	plan_give(t->plan);
	mem_deref(t->msg);
}

static bool is_credentials(const struct trial *t)
{
	return t->type == &form_credentials;
}

/* HHMM, as start-time has it; today */
static bool time_read(struct trial *t)
{
	struct pl text = range_of(t->wishes->time_of_day);
	uint64_t n;

	clock_local(&t->now);
	if (!text.l)
		return true;
	if (text.l != 4 || uint_parse(&n, &text, 2359) || n % 100 > 59) {
		reply_error(&t->task.reply, REPLY_ARGUMENT,
			    "[%r] is not a time of day, HHMM", &text);
		return false;
	}
	t->now.of_day = (hhmm)n;
	t->now.now = t->now.now / 1000000 * 1000000 + n * 100;
	return true;
}

/* Scanned by the very scanner; NULL: no message can be made of it */
static struct message *scanned(struct mbuf *mb)
{
	struct message *msg = NULL;
	struct scan_result result;

	mb->pos = 0;
	if (!message_scan(&msg, mb, &result))
		return msg;
	mem_deref(msg);
	return NULL;
}

/* The request as it would come */
static bool request_make(struct trial *t)
{
	const struct wishes *wishes = t->wishes;
	struct mbuf *mb = mbuf_alloc(512);
	char sdp[512] = "";
	int err = ENOMEM;

	if (*wishes->media_profile &&
	    re_snprintf(sdp, sizeof(sdp),
			"v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\n"
			"c=IN IP4 0.0.0.0\r\nt=0 0\r\n"
			"m=audio 9 RTP/AVP 96\r\na=rtpmap:96 %s/8000\r\n",
			wishes->media_profile) < 0)
		sdp[0] = '\0';

	if (mb)
		err = mbuf_printf(
			mb,
			"%r %s SIP/2.0\r\n"
			"Via: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bK0\r\n"
			"From: <%s>;tag=trial\r\nTo: <%s>\r\n"
			"Call-ID: trial\r\nCSeq: 1 %r\r\n"
			"Content-Type: application/sdp\r\n"
			"Content-Length: %zu\r\n\r\n%s",
			&t->method, wishes->to_address, wishes->from_address,
			wishes->to_address, &t->method, strlen(sdp), sdp);
	if (!err)
		t->msg = scanned(mb);
	mem_deref(mb);
	if (!t->msg)
		reply_error(&t->task.reply, REPLY_ARGUMENT,
			    "No request can be made of these addresses");
	return t->msg;
}

/* A line of the file without its end; false: there is none any more */
static bool line_take(struct pl *line, struct pl *rest)
{
	const char *end;

	if (!rest->l)
		return false;
	end = memchr(rest->p, '\n', rest->l);
	line->p = rest->p;
	line->l = end ? (size_t)(end - rest->p) : rest->l;
	pl_advance(rest, (ssize_t)(line->l + (end != NULL)));
	while (line->l && strchr("\r \t", line->p[line->l - 1]))
		line->l--;
	return true;
}

static bool begins_with(const struct pl *line, const char *word)
{
	size_t n = strlen(word);

	return line->l >= n && !strncasecmp(line->p, word, n);
}

/* Of the file its status and its challenges, folded or not, as the answer to the
 * request: what else stands there does not matter, or was left out */
static int challenge_write(struct mbuf *mb, struct trial *t)
{
	struct pl rest = { (const char *)t->challenge->buf, t->challenge->end };
	struct pl line;
	bool taken = false;
	int err;

	if (!line_take(&line, &rest) || (!begins_with(&line, "SIP/2.0 401") &&
					 !begins_with(&line, "SIP/2.0 407")))
		return EBADMSG;
	err = mbuf_printf(mb,
			  "%b x\r\n"
			  "Via: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bK0\r\n"
			  "From: <sip:a@b>;tag=trial\r\nTo: <sip:a@b>;tag=c\r\n"
			  "Call-ID: trial\r\nCSeq: 1 %r\r\n",
			  line.p, (size_t)11, &t->method);
	while (!err && line_take(&line, &rest) && line.l) {
		bool folded = strchr(" \t", *line.p) != NULL;

		taken = folded ? taken
			       : begins_with(&line, "WWW-Authenticate") ||
					 begins_with(&line,
						     "Proxy-Authenticate");
		if (taken)
			err = mbuf_printf(mb, "%r\r\n", &line);
	}
	return err ? err : mbuf_write_str(mb, "Content-Length: 0\r\n\r\n");
}

/* The realms that ask, by the file or by the one that was named */
static bool challenge_read_all(struct trial *t)
{
	struct message *msg = NULL;
	struct mbuf *mb;
	int err;

	if (!t->challenge) {
		t->realms_n = 1;
		str_ncpy(t->realms[0].auth_realm, t->wishes->auth_realm,
			 sizeof(t->realms[0].auth_realm));
		return true;
	}
	mb = mbuf_alloc(1024);
	err = mb ? challenge_write(mb, t) : ENOMEM;
	if (!err)
		msg = scanned(mb);
	if (msg)
		t->realms_n = prove_realms(msg, t->realms, CHALLENGES);
	else
		reply_error(&t->task.reply, REPLY_ARGUMENT,
			    "%s holds no 401 or 407", t->wishes->challenge);
	mem_deref(mb);
	mem_deref(msg);
	return err == 0 && t->realms_n + (msg != NULL) > 0;
}

/* Without a source-address: that of the first session-agent of the realm */
static void source_default(struct trial *t, const struct plan *plan)
{
	const struct element *type = &element_session_agent;
	size_t n = config_count(plan->config, type);

	for (size_t i = 0; i < n; i++) {
		const struct session_agent *agent =
			config_at(plan->config, type, i);

		if (!strcmp(agent->realm_id, t->wishes->source_realm) &&
		    !match_agent_address(agent, &t->src))
			return;
	}
}

/* As the sip-port of the realm would see it. The realm that was asked for stays,
 * also where this address would be put into another one */
static void source_name(struct trial *t, const struct worker *w,
			const struct plan *plan)
{
	const struct realm *realm = t->source.realm;

	if (realm->endpoints_n)
		sources_match(w->sources, plan, realm->endpoints[0], &t->src,
			      &t->source);
	if (t->source.realm == realm && realm->endpoints_n)
		return;
	t->source = (struct source){ .realm = realm, .in_prefix = true };
	t->source.agent = match_agent_at(plan->match, realm, &t->src);
}

/* The surrogate-agent that was named, and its AoR that calls */
static bool owner_make(struct trial *t, const struct plan *plan)
{
	struct pl key = range_of(t->wishes->surrogate_agent);
	struct address from;

	if (!key.l)
		return true;
	t->owner.agent =
		config_find(plan->config, &element_surrogate_agent, &key);
	if (!t->owner.agent) {
		reply_error(&t->task.reply, REPLY_ARGUMENT,
			    "There is no surrogate-agent [%r]", &key);
		return false;
	}
	if (message_address(&from, t->msg, HDR_FROM) ||
	    aor_number(&t->owner.number, t->owner.agent, &from.uri.user))
		t->owner.number = 0;
	return true;
}

static bool source_make(struct trial *t, const struct worker *w,
			const struct plan *plan)
{
	const struct wishes *wishes = t->wishes;

	t->src = wishes->source_address;
	if (!strcmp(wishes->source_realm, "*"))
		return true;
	t->source.realm = realm_named(plan->realms, wishes->source_realm);
	if (!t->source.realm) {
		reply_error(&t->task.reply, REPLY_ARGUMENT,
			    "There is no realm-config [%s]",
			    wishes->source_realm);
		return false;
	}
	if (!sa_isset(&t->src, SA_ADDR))
		source_default(t, plan);
	source_name(t, w, plan);
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
	if (t->task.reply.json) {
		struct reply *r = &t->task.reply;

		json_open(r, NULL, '{');
		json_print(r, "local-policy", (re_printf_h *)item_key_print,
			   &p);
		json_print(r, "policy-attributes",
			   (re_printf_h *)item_key_print, &a);
		json_text(r, "verdict", route_fault_name(fault));
		json_close(r, '}');
		return;
	}
	reply_line(&t->task.reply,
		   "local-policy [%H], policy-attributes [%H]: %s",
		   item_key_print, &p, item_key_print, &a,
		   route_fault_name(fault));
}

static void explain_all(struct trial *t, const struct plan *plan)
{
	const struct wishes *wishes = t->wishes;
	struct pl from = range_of(wishes->from_address);
	struct pl to = range_of(wishes->to_address);
	struct pl codec = range_of(wishes->media_profile);
	struct uri from_uri, to_uri;
	struct route_query q = {
		.realm = t->source.realm,
		.method = t->method,
		.from = &from_uri,
		.to = &to_uri,
		.called = &to_uri,
		.agent = t->source.agent,
		.now = t->now,
		.carriers = wishes->carriers.n ? &wishes->carriers : NULL,
		.codecs = &codec,
		.codecs_n = codec.l ? 1 : 0,
	};

	if (uri_read(&from_uri, &from) || uri_read(&to_uri, &to))
		return;
	pattern_key_read(&t->from_key, &from_uri);
	pattern_key_read(&t->to_key, &to_uri);
	json_open(&t->task.reply, "stages", '[');
	route_explain(plan->routes, &q, explain, t);
	json_close(&t->task.reply, ']');
}

static const struct column hop_columns[] = {
	{ "Rank", -4 },
	{ "Next Hop", -23 },
	{ "Realm", -11 },
	{ "Cost", -5 },
	{ "Agent State", -11 },
	{ "Lookup", -10 },
	{ "Outgoing Request-URI", 0 },
	{ NULL, 0 },
};

/* With which Request-URI it would leave by the hop; NULL: it is not known. Without
 * a source nothing says whose names are replaced */
static const char *outgoing(char *uri, size_t size, struct trial *t,
			    struct worker *w, const struct plan *plan,
			    const struct ingress_trial *found,
			    const struct hop *hop)
{
	struct hunt *hunt;
	int err;

	if (!t->source.realm)
		return NULL;
	hunt = mem_zalloc(sizeof(*hunt), NULL);
	if (!hunt)
		return NULL;
	hunt->worker = w;
	hunt->plan = plan;
	hunt->invite = t->msg;
	hunt->source = found->source;
	hunt->from.src = t->src;
	hunt->at = t->source.realm->endpoints[0];
	hunt->owner = found->owner;
	hunt->called = found->called;
	err = hunt_preview(uri, size, hunt, hop);
	mem_deref(hunt);
	return err ? NULL : uri;
}

static void hops_print(struct trial *t, struct worker *w,
		       const struct plan *plan,
		       const struct ingress_trial *found)
{
	table_begin(&t->task.reply, "hops", hop_columns);
	for (uint32_t i = 0; i < found->route.n; i++) {
		const struct hop *hop = &found->route.hops[i];
		struct agent *agent =
			hop->agent ? agents_find(w->agents, hop->agent) : NULL;
		char letter[2] = "-", uri[512];
		const struct cell cells[] = {
			NUMBER_CELL(i + 1),
			TEXT_CELL(hop->next_hop ? hop->next_hop : "registrar"),
			TEXT_CELL(hop->realm->config->identifier),
			NUMBER_CELL(hop->cost),
			TEXT_CELL(letter),
			TEXT_CELL(hop->attribute
					  ? hop->attribute->auth_user_lookup
					  : ""),
			TEXT_CELL(outgoing(uri, sizeof(uri), t, w, plan, found,
					   hop)),
		};

		if (agent)
			letter[0] =
				agent_letter(agent_service(agent, clock_ms()));
		table_row(&t->task.reply, hop_columns, cells);
	}
	table_end(&t->task.reply);
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

	if (t->task.reply.json && known)
		json_print(&t->task.reply, name, (re_printf_h *)aor_print,
			   &(struct aor){ user, who->agent->register_host });
	else if (t->task.reply.json)
		json_text(&t->task.reply, name, NULL);
	else if (known)
		reply_line(&t->task.reply, "%-16s%s@%s", name, user,
			   who->agent->register_host);
	else
		reply_line(&t->task.reply, "%-16snone", name);
}

/* --- Credentials -------------------------------------------------------- */

/* Is the challenger the owner's registrar, as far as a trial can know it: by the
 * hop, or by a realm that its REGISTER was challenged with? */
static bool is_registrar(const struct worker *w, const struct plan *plan,
			 const struct ingress_trial *found,
			 const struct pl *auth_realm)
{
	const struct hop *hop = &found->route.hops[0];
	struct hop registrar;

	if (!found->owner.agent ||
	    plan_registrar(plan, found->owner.agent, &registrar) ||
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
	struct reply *r = &t->task.reply;

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
		      const struct credential_query *q, const char *auth_realm,
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
				  e->any ? "*" : auth_realm, choice->lookup);
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
	struct reply *r = &t->task.reply;
	bool passes = e->choice.by == BY_NOBODY;

	t->answered |= e->found;
	t->failed |= !e->found && !passes;
	if (r->json) {
		json_text(r, "row", e->choice.row);
		json_text(r, "user", e->found ? e->user : NULL);
		json_text(r, "result",
			  e->found ? "answered"
			  : passes ? "passed-through"
				   : "fail");
		return;
	}
	reply_line(r, "row             %s", e->choice.row);
	if (e->found)
		reply_line(r, "user            %s", e->user);
	reply_line(r, "result          %s",
		   e->found ? "answered"
		   : passes ? "passed through: the challenge goes to the caller"
			    : "fail: nothing is answered, the final 401 or 407 "
			      "goes to the caller");
}

static void choice_print(struct trial *t, struct worker *w,
			 const struct ingress_trial *found,
			 const char *auth_realm)
{
	const struct plan *plan = t->plan;
	struct pl realm = range_of(auth_realm);
	struct proof_setup setup = {
		.worker = w,
		.plan = plan,
		.trial = t->wishes->config == FORM_RUNNING ? NULL : plan,
		.method = t->method,
	};
	struct credential_query *q = &setup.query;
	struct proof_explanation e;
	int decided;

	hunt_query(q, &found->route.hops[0], &found->owner, &found->called,
		   t->source.agent);
	q->method = t->method;
	q->to_registrar = is_registrar(w, plan, found, &realm);
	prove_explain(&setup, &realm, &e);

	decided = step_of(e.choice.by);
	json_open(&t->task.reply, "steps", '[');
	for (int step = 0; step < STEPS; step++) {
		if (step < decided)
			no_print(t, step, q);
		else if (step == decided)
			yes_print(t, step, q, auth_realm, &e);
		else
			step_print(t, step, "-", "");
	}
	json_close(&t->task.reply, ']');
	result_print(t, &e);
}

/* One after the other, as the realms of a challenge are answered */
static void choices_print_all(struct trial *t, struct worker *w,
			      const struct ingress_trial *found)
{
	struct reply *r = &t->task.reply;

	if (!t->challenge) {
		choice_print(t, w, found, t->wishes->auth_realm);
		return;
	}
	json_open(r, "challenges", '[');
	for (uint32_t i = 0; i < t->realms_n; i++) {
		const struct proof_realm *realm = &t->realms[i];

		if (r->json) {
			json_open(r, NULL, '{');
			json_text(r, "auth-realm", realm->auth_realm);
			json_text(r, "algorithm", realm->algorithm);
			json_flag(r, "proxy", realm->proxy);
		} else {
			reply_line(r, "challenge       %s [%s] %s",
				   realm->proxy ? "proxy" : "server",
				   realm->auth_realm, realm->algorithm);
		}
		choice_print(t, w, found, realm->auth_realm);
		json_close(r, '}');
	}
	json_close(r, ']');
	if (!t->realms_n && !r->json)
		reply_line(r, "challenge       none that can be answered\n"
			      "result          passed through: the challenge "
			      "goes to the caller");
}

/* The first hop: whose registrar or trunk is taken to challenge */
static void route_print(struct trial *t, const struct ingress_trial *found)
{
	const struct hop *hop = &found->route.hops[0];
	struct item_ref p = { &element_local_policy, hop->policy };
	struct item_ref a = { &element_policy_attribute, hop->attribute };
	struct reply *r = &t->task.reply;

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
	struct reply *r = &t->task.reply;

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

static int prepare(struct task *task)
{
	struct trial *t = (struct trial *)task;
	int err = form_plan(&t->plan, task, t->wishes);

	if (err)
		return err;
	if (t->wishes->method.n)
		t->method = range_of(t->wishes->method.v[0]);
	if (!time_read(t) || !request_make(t) || !owner_make(t, t->plan) ||
	    (is_credentials(t) && !challenge_read_all(t)))
		return ECANCELED;
	return 0;
}

static void source_on_worker(struct worker *w, void *arg)
{
	struct trial *t = arg;

	const struct realm *realm;

	t->err = source_make(t, w, t->plan) ? 0 : ECANCELED;
	if (t->err)
		return;
	realm = t->source.realm;
	t->worker = home_of(w, t->plan, &t->source,
			    realm && realm->endpoints_n
				    ? &realm->endpoints[0]->local
				    : NULL,
			    t->msg);
	if (t->worker == CREW_ANY)
		t->worker = 0;
}

/* As the worker would decide, on its thread */
static void try_on_worker(struct worker *w, void *arg)
{
	struct trial *t = arg;
	const struct ingress_wishes wishes = {
		.plan = t->plan,
		.owner = t->owner.agent ? &t->owner : NULL,
		.now = &t->now,
		.carriers = t->wishes->carriers.n ? &t->wishes->carriers : NULL,
	};
	struct ingress_trial found;

	t->err = ingress_try(w, &t->source, &t->src, t->msg, &wishes, &found);
	if (t->err)
		return;
	owner_print(t, "owner", &found.owner);
	if (found.called.agent)
		owner_print(t, "called", &found.called);
	if (found.code || found.ours) {
		answer_print(t, &found);
	} else if (is_credentials(t)) {
		route_print(t, &found);
		choices_print_all(t, w, &found);
	} else {
		hops_print(t, w, t->plan, &found);
	}
	t->code = found.code;
	t->step = found.step;
}

/* What many policies have to say is written here and not on the worker */
static int act(struct task *task)
{
	struct trial *t = (struct trial *)task;
	struct sbc *sbc = task->control->setup.sbc;
	struct reply *r = &task->reply;

	sbc_ask_at(sbc, 0, source_on_worker, t);
	if (t->err)
		return t->err;
	if (r->json) {
		json_begin(r, t->command, JSON_NO_WINDOW);
		json_open(r, NULL, '{');
	}
	if (!is_credentials(t))
		explain_all(t, t->plan);
	sbc_ask_at(sbc, t->worker, try_on_worker, t);
	if (r->json) {
		json_close(r, '}');
		json_end(r);
	}
	if (t->err)
		reply_error(r, REPLY_ARGUMENT,
			    t->err == ENOTCONN
				    ? "The realm has no sip-port"
				    : "The addresses cannot be read");
	else if (t->code)
		reply_error(r, REPLY_FAILED, "The caller would get %u at %s",
			    t->code, t->step);
	else if (t->failed && !t->answered)
		reply_error(r, REPLY_FAILED, "The call would fail");
	return 0;
}

static const struct step steps[] = {
	{ ON_JOB, prepare },
	{ ON_JOB, act },
	{ ON_JOB, NULL },
};

static void came(struct session *s, const struct pl *bytes)
{
	struct trial *t = s->arg;

	s->arg = NULL;
	if (!bytes->p) {
		reply_error(&s->reply, REPLY_FAILED,
			    "No file came, or one that is too large");
		mem_deref(t);
		return;
	}
	t->challenge = mem_ref(s->came);
	task_start(s, (struct task *)t, steps, false);
}

static void begin(struct session *s, const struct element *type,
		  const struct wishes *wishes)
{
	struct trial *t = mem_zalloc(sizeof(*t), destructor);
	void *copy = NULL;

	if (t) {
		t->type = type;
		str_ncpy(t->command, s->command, sizeof(t->command));
		if (item_copy(&copy, type, wishes))
			t = mem_deref(t);
	}
	if (t)
		t->wishes = copy;
	if (!t || type == &form_policy || !*wishes->challenge) {
		task_start(s, (struct task *)t, steps, false);
		return;
	}
	s->arg = t;
	s->wants = came;
	reply_ask(&s->reply, REPLY_SEND_FILE, "%s", wishes->challenge);
}

static void policy_begin(struct session *s, const struct wishes *wishes)
{
	begin(s, &form_policy, wishes);
}

static void credentials_begin(struct session *s, const struct wishes *wishes)
{
	begin(s, &form_credentials, wishes);
}

void test_policy(struct session *s, const struct words *w, uint32_t at)
{
	form_line(s, &form_policy, w, at, policy_begin);
}

void test_credentials(struct session *s, const struct words *w, uint32_t at)
{
	form_line(s, &form_credentials, w, at, credentials_begin);
}
