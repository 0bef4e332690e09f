/*
 * show sipd, sip interface, realm: the signalling side
 *
 * What is counted for each realm is taken from the calls themselves: a realm
 * without limits counts nothing while calls go on.
 */
#include <string.h>
#include "store/base.h"
#include "realms/agents.h"
#include "realms/ports.h"
#include "sbc/calls.h"
#include "sbc/clock.h"
#include "sbc/health.h"
#include "sbc/counters.h"
#include "sbc/doors.h"
#include "sbc/methods.h"
#include "sbc/port.h"
#include "cli/choices.h"
#include "cli/cut.h"
#include "cli/json.h"
#include "cli/registered.h"
#include "cli/sipd.h"
#include "cli/statistics.h"

enum {
	SLICE = 200
};

/* --- Calls of each realm --------------------------------------------------- */

struct use {
	uint32_t calls[2]; /* by direction */
	uint32_t flows;
};

struct uses {
	struct session *s;
	const struct plan *plan; /* a reference */
	struct use *of;          /* by number of the realm */
	size_t next;
};

static void use_count(const struct call_media *m, void *arg)
{
	struct uses *u = arg;

	for (int side = SIDE_A; side <= SIDE_B; side++) {
		const struct realm *realm =
			realm_named(u->plan->realms, m->realm[side]);
		struct use *use;

		if (!realm)
			continue;
		use = &u->of[realm->number];
		use->calls[side == SIDE_A ? INBOUND : OUTBOUND]++;
		use->flows += sa_isset(&m->media.local[side], SA_PORT);
	}
}

static void uses_slice(struct worker *w, void *arg)
{
	struct uses *u = arg;

	u->next = calls_media(w->calls, u->next, SLICE, use_count, u);
}

/* false: no memory, said so */
static bool uses_open(struct uses *u, struct session *s)
{
	memset(u, 0, sizeof(*u));
	u->s = s;
	u->plan = sbc_plan(s->sbc);
	u->of = mem_zalloc((u->plan->realms->n + 1) * sizeof(*u->of), NULL);
	if (!u->of) {
		plan_give(u->plan);
		reply_error(&s->reply, REPLY_FAILED, "no memory");
		return false;
	}
	session_walk(s, uses_slice, u, &u->next);
	return true;
}

static void uses_close(struct uses *u)
{
	plan_give(u->plan);
	mem_deref(u->of);
}

/* --- Agents, realms, sip-interfaces: one table ------------------------------ */

/* What a line says; UINT32_MAX: not known */
struct party {
	const char *name;
	char letter;
	uint32_t active[2], high[2], pace[2], burst;
	uint64_t violations[2];
	bool counted; /* pace, violations, burst, high are known */
	bool has_latency;
	uint32_t latency_avg, latency_max;
};

static void party_json(struct reply *r, const char *kind, const struct party *p)
{
	static const char *const sides[] = { "inbound", "outbound" };
	char letter[2] = { p->letter, '\0' };

	json_open(r, NULL, '{');
	json_text(r, kind, p->name);
	json_text(r, "state", letter);
	for (int side = INBOUND; side <= OUTBOUND; side++) {
		json_open(r, sides[side], '{');
		json_number(r, "active", p->active[side]);
		if (p->counted) {
			json_thousandths(r, "rate", p->pace[side]);
			json_number(r, "conex", (int64_t)p->violations[side]);
			json_number(r, "max", p->high[side]);
		} else {
			json_text(r, "rate", NULL);
			json_text(r, "conex", NULL);
			json_text(r, "max", NULL);
		}
		json_close(r, '}');
	}
	json_open(r, "latency", '{');
	if (p->has_latency) {
		json_thousandths(r, "avg", p->latency_avg);
		json_thousandths(r, "max", p->latency_max);
	} else {
		json_text(r, "avg", NULL);
		json_text(r, "max", NULL);
	}
	json_close(r, '}');
	if (p->counted)
		json_number(r, "burst", p->burst);
	else
		json_text(r, "burst", NULL);
}

/* The row is left open for what its own command adds; party_end */
static void party_end(struct reply *r)
{
	if (r->json)
		json_close(r, '}');
}

struct number {
	char text[24];
};

/* A number, or "-" where it is not known */
static const char *number(struct number *n, bool known, uint64_t value)
{
	if (known)
		(void)re_snprintf(n->text, sizeof(n->text), "%llu", value);
	else
		str_ncpy(n->text, "-", sizeof(n->text));
	return n->text;
}

/* Tenths */
static const char *pace(struct number *n, bool known, uint32_t thousandths)
{
	if (known)
		(void)re_snprintf(n->text, sizeof(n->text), "%u.%u",
				  thousandths / 1000, thousandths / 100 % 10);
	else
		str_ncpy(n->text, "-", sizeof(n->text));
	return n->text;
}

static const char *seconds(struct number *n, bool known, uint32_t ms)
{
	if (known)
		(void)re_snprintf(n->text, sizeof(n->text), "%u.%03u",
				  ms / 1000, ms % 1000);
	else
		str_ncpy(n->text, "-", sizeof(n->text));
	return n->text;
}

static void party_text(struct reply *r, const struct party *p)
{
	struct number n[9];
	bool k = p->counted;

	reply_line(r, "%-24s %c%7u%7s%7s%7u%7s%7s%7s%7s%7s%7s%7s", p->name,
		   p->letter, p->active[INBOUND],
		   pace(&n[0], k, p->pace[INBOUND]),
		   number(&n[1], k, p->violations[INBOUND]),
		   p->active[OUTBOUND], pace(&n[2], k, p->pace[OUTBOUND]),
		   number(&n[3], k, p->violations[OUTBOUND]),
		   seconds(&n[4], p->has_latency, p->latency_avg),
		   seconds(&n[5], p->has_latency, p->latency_max),
		   number(&n[6], k, p->burst), number(&n[7], k, p->high[0]),
		   number(&n[8], k, p->high[1]));
}

static void party_say(struct reply *r, const char *kind, const struct party *p)
{
	if (r->json)
		party_json(r, kind, p);
	else
		party_text(r, p);
}

static void parties_begin(struct session *s, const char *title)
{
	struct reply *r = &s->reply;

	if (r->json) {
		json_begin(r, s->command,
			   counters_window_of("sipd", clock_ms()));
		json_open(r, NULL, '[');
		return;
	}
	statistics_head(s, "sipd");
	reply_line(r,
		   "%-27s----- Inbound ------ ----- Outbound ----- "
		   "-- Latency -- ------- Max -------",
		   "");
	reply_line(r, "%-24s S%7s%7s%7s%7s%7s%7s%7s%7s%7s%7s%7s", title,
		   "Active", "Rate", "ConEx", "Active", "Rate", "ConEx", "Avg",
		   "Max", "Burst", "In", "Out");
}

static void parties_end(struct reply *r, const struct cut *cut)
{
	if (r->json)
		json_close(r, ']');
	(void)cut_end(cut, r);
	if (r->json)
		json_end(r);
}

static void capacity_take_over(struct party *p, struct capacity *c)
{
	struct capacity_report seen;
	uint64_t now = clock_ms();

	if (!c)
		return;
	capacity_report(c, &seen);
	p->counted = true;
	p->burst = seen.burst;
	for (int d = INBOUND; d <= OUTBOUND; d++) {
		p->pace[d] = capacity_pace(c, (enum direction)d, now);
		p->violations[d] = seen.violations[d];
		p->high[d] = seen.high[d];
		if (capacity_is_exceeded(c, (enum direction)d, now))
			p->letter = 'C';
	}
}

/* --- Session-agents --------------------------------------------------------- */

struct agent_ask {
	struct session *s;
	const char *only;
	struct cut cut;
};

static const char *service_name(enum agent_service s)
{
	switch (s) {

	case AGENT_IN_SERVICE:
		return "in service";
	case AGENT_OUT_OF_SERVICE:
		return "out of service";
	case AGENT_COMING_BACK:
		return "coming back";
	case AGENT_CONSTRAINED:
		return "constraint exceeded";
	case AGENT_DISABLED:
		return "disabled";
	case AGENT_REFUSED:
		return "credentials refused";
	}
	return "";
}

/* Each limit that is set, and how much of it is used */
struct constraint {
	const char *name;
	uint32_t value, limit;
	bool pace; /* value in thousandths */
};

static uint32_t constraints_of(struct constraint out[8],
			       const struct session_agent *a,
			       const struct agent_report *r)
{
	const struct constraint all[] = {
		{ "max-sessions", r->sessions[INBOUND] + r->sessions[OUTBOUND],
		  a->max_sessions, false },
		{ "max-inbound-sessions", r->sessions[INBOUND],
		  a->max_inbound_sessions, false },
		{ "max-outbound-sessions", r->sessions[OUTBOUND],
		  a->max_outbound_sessions, false },
		{ "max-sustain-rate", r->pace[INBOUND] + r->pace[OUTBOUND],
		  a->max_sustain_rate, true },
		{ "max-inbound-sustain-rate", r->pace[INBOUND],
		  a->max_inbound_sustain_rate, true },
		{ "max-outbound-sustain-rate", r->pace[OUTBOUND],
		  a->max_outbound_sustain_rate, true },
	};
	uint32_t n = 0;

	for (size_t i = 0; a->constraints && i < ARRAY_SIZE(all); i++)
		if (all[i].limit)
			out[n++] = all[i];
	return n;
}

static void detail_json(struct reply *r, const struct agent_report *a,
			const struct constraint *limits, uint32_t n,
			const struct health_targets *t)
{
	const uint64_t now = clock_ms();

	json_text(r, "service", service_name(a->service));
	if (a->since)
		json_number(r, "since", (int64_t)((now - a->since) / 1000));
	else
		json_text(r, "since", NULL);
	json_number(r, "timeouts-in-row", a->timeouts_in_row);
	json_number(r, "targets", a->targets);
	json_number(r, "targets-out", a->targets_out);
	json_open(r, "target-health", '[');
	for (uint32_t i = 0; i < t->n; i++) {
		json_open(r, NULL, '{');
		json_print(r, "target", (re_printf_h *)health_target_print,
			   &t->of[i]);
		json_text(r, "health", health_name(t->of[i].health));
		json_close(r, '}');
	}
	json_close(r, ']');
	if (a->pinged) {
		json_open(r, "last-ping", '{');
		json_flag(r, "good", a->ping_good);
		json_number(r, "ago", (int64_t)((now - a->pinged) / 1000));
		json_close(r, '}');
	} else {
		json_text(r, "last-ping", NULL);
	}
	json_open(r, "constraints", '[');
	for (uint32_t i = 0; i < n; i++) {
		json_open(r, NULL, '{');
		json_text(r, "name", limits[i].name);
		if (limits[i].pace)
			json_thousandths(r, "value", limits[i].value);
		else
			json_number(r, "value", limits[i].value);
		json_number(r, "limit", limits[i].limit);
		json_close(r, '}');
	}
	json_close(r, ']');
}

static void detail_text(struct reply *r, const struct agent_report *a,
			const struct constraint *limits, uint32_t n,
			const struct health_targets *t)
{
	uint64_t now = clock_ms();
	struct duration since = { (now - a->since) / 1000 };
	struct duration pinged = { (now - a->pinged) / 1000 };

	if (a->since)
		reply_line(r, "State       %s for %H", service_name(a->service),
			   duration_print, &since);
	else
		reply_line(r, "State       %s", service_name(a->service));
	reply_line(r, "Timeouts    %u in a row", a->timeouts_in_row);
	reply_line(r, "Violations  inbound %llu, outbound %llu",
		   a->violations[INBOUND], a->violations[OUTBOUND]);
	for (uint32_t i = 0; i < n; i++) {
		struct number text;

		reply_line(r, "Constraint  %s %s of %u", limits[i].name,
			   limits[i].pace
				   ? pace(&text, true, limits[i].value)
				   : number(&text, true, limits[i].value),
			   limits[i].limit);
	}
	for (uint32_t i = 0; i < t->n; i++)
		reply_line(r, "Target      %H %s", health_target_print,
			   &t->of[i], health_name(t->of[i].health));
	if (!a->pinged) {
		reply_line(r, "Last ping   never");
		return;
	}
	reply_line(r, "Targets     %u, %u without a good answer", a->targets,
		   a->targets_out);
	reply_line(r, "Last ping   %s, %H ago", a->ping_good ? "good" : "bad",
		   duration_print, &pinged);
}

/* Targets of one, from the first worker that looked its name up */
struct target_ask {
	const struct session_agent *agent;
	const struct plan *plan; /* it is of */
	struct health_targets targets;
};

static void targets_find(struct worker *w, void *arg)
{
	struct target_ask *ask = arg;

	if (w->plan == ask->plan && !ask->targets.n)
		health_of_agent(w, ask->agent, &ask->targets);
}

static void agent_detail(struct session *s, const struct agent_report *a)
{
	const struct plan *plan = sbc_plan(s->sbc);
	struct pl key = range_of(a->hostname);
	struct target_ask ask = { .plan = plan };
	struct constraint limits[8];
	uint32_t n = 0;

	ask.agent = config_find(plan->config, &element_session_agent, &key);
	if (ask.agent) {
		n = constraints_of(limits, ask.agent, a);
		sbc_ask(s->sbc, targets_find, &ask);
	}
	if (s->reply.json)
		detail_json(&s->reply, a, limits, n, &ask.targets);
	else
		detail_text(&s->reply, a, limits, n, &ask.targets);
	plan_give(plan);
}

static void agent_line(struct agent *agent, void *arg)
{
	struct agent_ask *ask = arg;
	struct agent_report a;
	struct party p;

	agent_report(agent, clock_ms(), &a);
	if ((ask->only && strcasecmp(ask->only, a.hostname)) ||
	    !cut_row(&ask->cut))
		return;
	p = (struct party){
		.name = a.hostname,
		.letter = agent_letter(a.service),
		.active = { a.sessions[INBOUND], a.sessions[OUTBOUND] },
		.high = { a.high[INBOUND], a.high[OUTBOUND] },
		.pace = { a.pace[INBOUND], a.pace[OUTBOUND] },
		.burst = a.burst,
		.violations = { a.violations[INBOUND], a.violations[OUTBOUND] },
		.counted = true,
		.has_latency = true,
		.latency_avg = a.latency_avg,
		.latency_max = a.latency_max,
	};
	party_say(&ask->s->reply, "session-agent", &p);
	if (ask->only)
		agent_detail(ask->s, &a);
	party_end(&ask->s->reply);
}

static void agents_get(struct worker *w, void *arg)
{
	*(struct agents **)arg = w->agents;
}

/* Nothing of this name: said before anything else is */
static void say_none(struct session *s, const char *what, const char *name)
{
	reply_error(&s->reply, REPLY_ARGUMENT, "There is no %s [%s]", what,
		    name);
}

static void agent_count(struct agent *agent, void *arg)
{
	struct agent_ask *ask = arg;

	ask->cut.rows += !strcasecmp(ask->only, agent_name(agent));
}

static void show_agents(struct session *s, const char *only,
			const struct cut *cut)
{
	struct agent_ask ask = { .s = s, .only = only, .cut = *cut };
	struct agents *agents = NULL;

	/* Their words are atomic: the worker is not asked for each */
	sbc_ask_at(s->sbc, 0, agents_get, &agents);
	if (only)
		agents_walk(agents, agent_count, &ask);
	if (only && !ask.cut.rows) {
		say_none(s, "session-agent", only);
		return;
	}
	ask.cut.rows = 0;
	parties_begin(s, "Session Agent");
	agents_walk(agents, agent_line, &ask);
	parties_end(&s->reply, &ask.cut);
}

/* --- Realms, sip-interfaces --------------------------------------------------- */

static char realm_letter(const struct realm *realm)
{
	return realm->endpoints_n ? 'I' : 'D';
}

static void realm_party(struct uses *u, const struct realm *realm,
			struct capacities *all)
{
	const struct use *use = &u->of[realm->number];
	struct party p = {
		.name = realm->config->identifier,
		.letter = realm_letter(realm),
		.active = { use->calls[INBOUND], use->calls[OUTBOUND] },
	};

	capacity_take_over(&p, capacity_of_realm(all, realm->config));
	party_say(&u->s->reply, "realm", &p);
	party_end(&u->s->reply);
}

struct latency_ask {
	const char *interface;
	struct method_latency of;
};

static void latency_of(struct worker *w, void *arg)
{
	struct latency_ask *ask = arg;
	const struct methods *m = methods_find(w->methods, ask->interface);
	struct method_latency l = { 0 };

	if (m)
		methods_latency_read(m, INVITE, &l);
	ask->of.n += l.n;
	ask->of.sum += l.sum;
	if (l.max > ask->of.max)
		ask->of.max = l.max;
}

/* Of all realms that speak there */
static void interface_party(struct uses *u, const struct sip_interface *i,
			    struct capacities *all)
{
	const struct realms *realms = u->plan->realms;
	struct latency_ask latency = { .interface = i->realm_id };
	struct party p = { .name = i->realm_id,
			   .letter = i->state ? 'I' : 'D' };

	for (uint32_t n = 0; n < realms->n; n++) {
		const struct realm *realm = &realms->all[n];

		for (int d = INBOUND; realm->interface == i && d <= OUTBOUND;
		     d++)
			p.active[d] += u->of[realm->number].calls[d];
	}
	capacity_take_over(&p, capacity_of_interface(all, i));
	sbc_ask(u->s->sbc, latency_of, &latency);
	p.has_latency = latency.of.n > 0;
	if (p.has_latency) {
		p.latency_avg = (uint32_t)(latency.of.sum / latency.of.n);
		p.latency_max = latency.of.max;
	}
	party_say(&u->s->reply, "sip-interface", &p);
	party_end(&u->s->reply);
}

static void capacities_get(struct worker *w, void *arg)
{
	*(struct capacities **)arg = w->capacities;
}

static void show_realms(struct session *s, const char *only, struct cut *cut)
{
	struct capacities *all = NULL;
	struct uses u;

	if (!uses_open(&u, s))
		return;
	if (only && !realm_named(u.plan->realms, only)) {
		say_none(s, "realm-config", only);
		uses_close(&u);
		return;
	}
	sbc_ask_at(s->sbc, 0, capacities_get, &all);
	parties_begin(s, "Realm");
	for (uint32_t i = 0; i < u.plan->realms->n; i++) {
		const struct realm *realm = &u.plan->realms->all[i];

		if (only && strcmp(only, realm->config->identifier) != 0)
			continue;
		if (cut_row(cut))
			realm_party(&u, realm, all);
	}
	parties_end(&s->reply, cut);
	uses_close(&u);
}

static void show_interfaces(struct session *s, const char *only,
			    struct cut *cut)
{
	const struct element *type = &element_sip_interface;
	struct capacities *all = NULL;
	struct pl key = range_of(only ? only : "");
	struct uses u;

	if (!uses_open(&u, s))
		return;
	if (only && !config_find(u.plan->config, type, &key)) {
		say_none(s, "sip-interface", only);
		uses_close(&u);
		return;
	}
	sbc_ask_at(s->sbc, 0, capacities_get, &all);
	parties_begin(s, "Sip Interface");
	for (size_t i = 0; i < config_count(u.plan->config, type); i++) {
		const struct sip_interface *interface =
			config_at(u.plan->config, type, i);

		if (only && strcmp(only, interface->realm_id) != 0)
			continue;
		if (cut_row(cut))
			interface_party(&u, interface, all);
	}
	parties_end(&s->reply, cut);
	uses_close(&u);
}

/* --- show sipd rate ----------------------------------------------------------- */

static const struct column rate_columns[] = {
	{ "Method", -12 },
	{ "In/s", 9 },
	{ "Out/s", 9 },
	{ NULL, 0 },
};

struct rate_ask {
	struct session *s;
	enum method_id method;
	uint64_t window; /* [s] */
};

static void rate_line(const struct method_row *row, void *arg)
{
	const struct rate_ask *ask = arg;
	const uint64_t window = ask->window ? ask->window : 1;
	const struct cell cells[] = {
		TEXT_CELL(ask->method == METHOD_OTHER
				  ? "other"
				  : method_name(ask->method)),
		THOUSANDTHS_CELL(row->of[AS_SERVER].recent * 1000 / window),
		THOUSANDTHS_CELL(row->of[AS_CLIENT].recent * 1000 / window),
	};

	if (row->event && !strcmp(row->event, "Requests"))
		table_row(&ask->s->reply, rate_columns, cells);
}

static void rate_take(struct worker *w, void *arg)
{
	(void)methods_join(arg, w->methods);
}

static void rate_rows(struct rate_ask *ask, const struct methods *sum)
{
	for (int m = 0; m < METHODS; m++) {
		ask->method = (enum method_id)m;
		methods_walk(sum, ask->method, rate_line, ask);
	}
}

static void show_rate(struct session *s)
{
	struct rate_ask ask = { .s = s };
	struct methods *sum;

	if (methods_open(&sum)) {
		reply_error(&s->reply, REPLY_FAILED, "no memory");
		return;
	}
	sbc_ask(s->sbc, rate_take, sum);
	ask.window = counters_window_of("sipd", clock_ms());
	if (s->reply.json)
		json_begin(&s->reply, s->command, (uint32_t)ask.window);
	else
		statistics_head(s, "sipd");
	table_begin(&s->reply, NULL, rate_columns);
	rate_rows(&ask, sum);
	methods_close(sum);
	table_end(&s->reply);
	if (s->reply.json)
		json_end(&s->reply);
}

/* --- show sipd: which of them -------------------------------------------------- */

enum sipd_what {
	SIPD_TABLE, /* of counters */
	SIPD_AGENTS,
	SIPD_REALMS,
	SIPD_INTERFACE,
	SIPD_RATE,
	SIPD_QUEUE,
	SIPD_ENDPOINT,
	SIPD_METHOD
};

/* clang-format off */
static const struct sipd_word {
	const char *word;
	enum sipd_what what;
	uint32_t words; /* that may follow, beside limit N */
	enum method_id method;
} sipd_words[] = {
	{ "status",             SIPD_TABLE,     0, METHOD_OTHER },
	{ "sessions",           SIPD_TABLE,     0, METHOD_OTHER },
	{ "transactions",       SIPD_TABLE,     0, METHOD_OTHER },
	{ "errors",             SIPD_TABLE,     0, METHOD_OTHER },
	{ "policy",             SIPD_TABLE,     0, METHOD_OTHER },
	{ "authentication",     SIPD_TABLE,     0, METHOD_OTHER },
	{ "agents",             SIPD_AGENTS,    2, METHOD_OTHER },
	{ "realms",             SIPD_REALMS,    2, METHOD_OTHER },
	{ "interface",          SIPD_INTERFACE, 2, METHOD_OTHER },
	{ "rate",               SIPD_RATE,      0, METHOD_OTHER },
	{ "registration-queue", SIPD_QUEUE,     0, METHOD_OTHER },
	{ "endpoint-ip",        SIPD_ENDPOINT,  1, METHOD_OTHER },
	{ "invite",             SIPD_METHOD,    0, INVITE },
	{ "cancel",             SIPD_METHOD,    0, CANCEL },
	{ "bye",                SIPD_METHOD,    0, BYE },
	{ "options",            SIPD_METHOD,    0, OPTIONS },
	{ "register",           SIPD_METHOD,    0, REGISTER },
	{ "info",               SIPD_METHOD,    0, INFO },
	{ "prack",              SIPD_METHOD,    0, PRACK },
	{ "update",             SIPD_METHOD,    0, UPDATE },
	{ "refer",              SIPD_METHOD,    0, REFER },
	{ "subscribe",          SIPD_METHOD,    0, SUBSCRIBE },
	{ "notify",             SIPD_METHOD,    0, NOTIFY },
	{ "message",            SIPD_METHOD,    0, MESSAGE },
	{ "publish",            SIPD_METHOD,    0, PUBLISH },
};
/* clang-format on */

/* NULL: said why */
static const struct sipd_word *word_pick(struct session *s, const char *typed,
					 bool methods)
{
	const struct sipd_word *found = NULL;
	const struct choice *picked;
	struct choices c = { 0 };
	struct choices_list all = { &c, NULL };
	int err;

	for (size_t i = 0; i < ARRAY_SIZE(sipd_words); i++)
		if (!methods || sipd_words[i].what == SIPD_METHOD)
			choices_word(&c, CHOICE_COMMAND, sipd_words[i].word, "",
				     &sipd_words[i]);
	err = choices_pick(&c, typed, &picked);
	if (err == EEXIST)
		all.typed = typed;
	if (err)
		reply_error(&s->reply,
			    err == EEXIST ? REPLY_AMBIGUOUS : REPLY_UNKNOWN,
			    err == EEXIST ? "Ambiguous word [%s]: %H"
					  : "Unknown word [%s], possible "
					    "here: %H",
			    typed, choices_print, &all);
	else
		found = picked->what;
	choices_clear(&c);
	return found;
}

struct scope_ask {
	enum method_scope scope;
	const char *name;
	bool found;
};

static void scope_find(struct worker *w, void *arg)
{
	struct scope_ask *ask = arg;
	const struct realm *realm = realm_named(w->plan->realms, ask->name);
	struct pl key = range_of(ask->name);

	switch (ask->scope) {

	case METHODS_OF_AGENT:
		ask->found = config_find(w->plan->config,
					 &element_session_agent, &key) != NULL;
		break;
	case METHODS_OF_REALM:
		ask->found = realm != NULL;
		break;
	case METHODS_OF_ALL:
	case METHODS_OF_INTERFACE:
		/* A realm speaks where the nearest parent with one does */
		if (realm && realm->interface)
			ask->name = realm->interface->realm_id;
		ask->found = methods_find(w->methods, ask->name) != NULL;
		break;
	}
}

static void show_method_of(struct session *s, enum method_scope scope,
			   const char *name, const char *typed)
{
	static const char *const named[] = {
		[METHODS_OF_ALL] = "sip-interface",
		[METHODS_OF_INTERFACE] = "sip-interface",
		[METHODS_OF_AGENT] = "session-agent",
		[METHODS_OF_REALM] = "realm-config",
	};
	const struct sipd_word *method = word_pick(s, typed, true);
	struct scope_ask ask = { .scope = scope, .name = name };

	if (!method)
		return;
	sbc_ask_at(s->sbc, 0, scope_find, &ask);
	if (ask.found)
		statistics_method(s, method->method, scope, ask.name);
	else
		reply_error(&s->reply, REPLY_ARGUMENT, "There is no %s [%s]",
			    named[scope], name);
}

/* A method of one agent is no list */
static bool sipd_is_list(const struct sipd_word *word, const struct words *w,
			 uint32_t at)
{
	switch (word->what) {

	case SIPD_TABLE:
	case SIPD_RATE:
	case SIPD_METHOD:
		return false;
	case SIPD_QUEUE:
	case SIPD_ENDPOINT:
		return true;
	case SIPD_AGENTS:
	case SIPD_REALMS:
	case SIPD_INTERFACE:
		break;
	}
	return at + 2 >= w->n || !strcmp(w->v[at + 1], "limit") ||
	       !strcmp(w->v[at + 2], "limit");
}

void show_sipd(struct session *s, const struct words *w, uint32_t at)
{
	const struct sipd_word *word =
		word_pick(s, at < w->n ? w->v[at] : "status", false);
	const char *name, *method;
	struct words rest;
	struct cut cut = { 0 };

	if (!word)
		return;
	if (sipd_is_list(word, w, at)) {
		if (!cut_words(&cut, &s->reply, w, at + 1, &rest))
			return;
		w = &rest;
	}
	name = at + 1 < w->n ? w->v[at + 1] : NULL;
	method = at + 2 < w->n ? w->v[at + 2] : NULL;
	if (at < w->n && w->n - at - 1 > word->words) {
		reply_error(&s->reply, REPLY_ARGUMENT, "Unexpected word [%s]",
			    w->v[at + 1 + word->words]);
		return;
	}

	switch (word->what) {

	case SIPD_TABLE:
		(void)statistics_sipd(s, word->word);
		break;
	case SIPD_AGENTS:
		if (method)
			show_method_of(s, METHODS_OF_AGENT, name, method);
		else
			show_agents(s, name, &cut);
		break;
	case SIPD_REALMS:
		if (method)
			show_method_of(s, METHODS_OF_REALM, name, method);
		else
			show_realms(s, name, &cut);
		break;
	case SIPD_INTERFACE:
		if (method)
			show_method_of(s, METHODS_OF_INTERFACE, name, method);
		else
			show_interfaces(s, name, &cut);
		break;
	case SIPD_RATE:
		show_rate(s);
		break;
	case SIPD_QUEUE:
		registered_queue(s, &cut);
		break;
	case SIPD_ENDPOINT:
		if (name)
			registered_endpoint(s, name, &cut);
		else
			reply_error(&s->reply, REPLY_ARGUMENT,
				    "Missing USER or IP");
		break;
	case SIPD_METHOD:
		statistics_method(s, word->method, METHODS_OF_ALL, NULL);
		break;
	}
}

/* --- show sip interface -------------------------------------------------------- */

static const struct column port_columns[] = {
	{ "Realm", -16 },     { "Address", -24 }, { "Port", 5 },
	{ "Transport", -9 },  { "State", -10 },   { "Connections", 11 },
	{ "TLS Profile", 0 }, { NULL, 0 },
};

struct port_list {
	struct session *s;
	struct cut cut;
};

static void port_row(struct reply *r, const struct sip_interface *i,
		     const struct sip_port *config, const struct port *port)
{
	char addr[64];
	bool stream = config->transport_protocol != TRANSPORT_PROTOCOL_UDP;
	const struct cell cells[] = {
		TEXT_CELL(i->realm_id),
		TEXT_CELL(addr),
		NUMBER_CELL(config->port),
		TEXT_CELL(transport_name(
			(enum transport)config->transport_protocol)),
		TEXT_CELL(port       ? "open"
			  : i->state ? "closed"
				     : "disabled"),
		{ port && stream ? CELL_NUMBER : CELL_NONE, NULL,
		  port ? port_connections(port) : 0 },
		TEXT_CELL(*config->tls_profile ? config->tls_profile : NULL),
	};

	(void)re_snprintf(addr, sizeof(addr), "%j", &config->address);
	table_row(r, port_columns, cells);
}

static void ports_rows(struct worker *w, void *arg)
{
	struct port_list *list = arg;
	const struct config *cfg = w->plan->config;
	const struct realms *realms = w->plan->realms;
	const struct element *type = &element_sip_interface;

	for (size_t i = 0; i < config_count(cfg, type); i++) {
		const struct sip_interface *interface = config_at(cfg, type, i);

		for (uint32_t p = 0; p < interface->sip_ports.n; p++) {
			const struct sip_port *config =
				interface->sip_ports.v[p];
			const struct port *port = NULL;

			if (!cut_row(&list->cut))
				continue;
			for (uint32_t e = 0; e < realms->endpoints_n; e++)
				if (realms->endpoints[e].config == config)
					port = worker_port(
						w, &realms->endpoints[e]);
			port_row(&list->s->reply, interface, config, port);
		}
	}
}

void show_sip_interface(struct session *s, const struct words *w, uint32_t at)
{
	struct port_list list = { .s = s };
	struct words rest;

	if (!cut_words(&list.cut, &s->reply, w, at, &rest))
		return;
	if (rest.n > at) {
		reply_error(&s->reply, REPLY_ARGUMENT, "Unexpected word [%s]",
			    rest.v[at]);
		return;
	}
	if (s->reply.json)
		json_begin(&s->reply, s->command, JSON_NO_WINDOW);
	table_begin(&s->reply, NULL, port_columns);
	sbc_ask_at(s->sbc, 0, ports_rows, &list);
	table_end(&s->reply);
	(void)cut_end(&list.cut, &s->reply);
	if (s->reply.json)
		json_end(&s->reply);
}

/* --- show realm ------------------------------------------------------------------ */

static const struct column realm_columns[] = {
	{ "Realm", -16 },     { "Parent", -16 },    { "Sip-Ports", 9 },
	{ "Agents", 6 },      { "In", 6 },          { "Out", 6 },
	{ "Ports Used", 10 }, { "Ports Free", 10 }, { "Kbit/s", 8 },
	{ "Trust", -6 },      { "State", 0 },       { NULL, 0 },
};

struct realm_ask {
	struct uses *uses;
	const char *only;
	uint32_t next;
	struct cut cut;
	uint32_t *agents; /* by number of the realm */
};

static int agents_count(struct realm_ask *ask)
{
	const struct plan *plan = ask->uses->plan;
	const struct element *type = &element_session_agent;
	size_t n = config_count(plan->config, type);

	ask->agents =
		mem_zalloc((plan->realms->n + 1) * sizeof(*ask->agents), NULL);
	if (!ask->agents)
		return ENOMEM;
	for (size_t i = 0; i < n; i++) {
		const struct session_agent *a =
			config_at(plan->config, type, i);
		const struct realm *realm =
			realm_named(plan->realms, a->realm_id);

		if (realm)
			ask->agents[realm->number]++;
	}
	return 0;
}

static const char *trust_name(const struct realm_config *config)
{
	static const char *const names[] = { "none", "low", "medium", "high" };

	return names[config->access_control_trust_level % 4];
}

static void realm_row(struct worker *w, struct realm_ask *ask,
		      const struct realm *realm)
{
	const struct realm_config *config = realm->config;
	const struct use *use = &ask->uses->of[realm->number];
	struct capacity *c = capacity_of_realm(w->capacities, config);
	struct capacity_report seen = { 0 };
	uint32_t used = 0, free = 0;

	ports_count(w->media_ports, realm, &used, &free);
	if (c)
		capacity_report(c, &seen);
	{
		const struct cell cells[] = {
			TEXT_CELL(config->identifier),
			TEXT_CELL(realm->parent
					  ? realm->parent->config->identifier
					  : NULL),
			NUMBER_CELL(realm->endpoints_n),
			NUMBER_CELL(ask->agents[realm->number]),
			NUMBER_CELL(use->calls[INBOUND]),
			NUMBER_CELL(use->calls[OUTBOUND]),
			NUMBER_CELL(used),
			NUMBER_CELL(free),
			{ c ? CELL_NUMBER : CELL_NONE, NULL,
			  (int64_t)seen.media },
			TEXT_CELL(trust_name(config)),
			TEXT_CELL(realm->endpoints_n ? "in service"
						     : "no sip-port"),
		};

		table_row(&ask->uses->s->reply, realm_columns, cells);
	}
}

static void realm_slice(struct worker *w, void *arg)
{
	struct realm_ask *ask = arg;
	const struct realms *realms = ask->uses->plan->realms;
	uint32_t end = ask->next + SLICE;

	/* The plan may have changed since the calls were counted */
	if (w->plan != ask->uses->plan)
		end = ask->next = realms->n;
	for (; ask->next < end && ask->next < realms->n; ask->next++) {
		const struct realm *realm = &realms->all[ask->next];

		if (ask->only &&
		    strcmp(ask->only, realm->config->identifier) != 0)
			continue;
		if (cut_row(&ask->cut))
			realm_row(w, ask, realm);
	}
}

void show_realm(struct session *s, const struct words *w, uint32_t at)
{
	struct uses u;
	struct realm_ask ask = { .uses = &u };
	struct words rest;

	if (!cut_words(&ask.cut, &s->reply, w, at, &rest))
		return;
	if (at < rest.n)
		ask.only = rest.v[at];
	if (at + 1 < rest.n) {
		reply_error(&s->reply, REPLY_ARGUMENT, "Unexpected word [%s]",
			    rest.v[at + 1]);
		return;
	}

	if (!uses_open(&u, s))
		return;
	if (ask.only && !realm_named(u.plan->realms, ask.only)) {
		say_none(s, "realm-config", ask.only);
		uses_close(&u);
		return;
	}
	if (agents_count(&ask)) {
		reply_error(&s->reply, REPLY_FAILED, "no memory");
		uses_close(&u);
		return;
	}
	if (s->reply.json)
		json_begin(&s->reply, s->command, JSON_NO_WINDOW);
	table_begin(&s->reply, NULL, realm_columns);
	do {
		session_ask_first(s, realm_slice, &ask);
	} while (ask.next < u.plan->realms->n);
	table_end(&s->reply);
	(void)cut_end(&ask.cut, &s->reply);
	if (s->reply.json)
		json_end(&s->reply);
	mem_deref(ask.agents);
	uses_close(&u);
}
