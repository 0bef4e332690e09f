/*
 * Statistics: tables of gauges and events, and reset
 */
#include <string.h>
#include "store/number.h"
#include "policy/cause.h"
#include "sbc/clock.h"
#include "sbc/counters.h"
#include "sbc/methods.h"
#include "sbc/refusals.h"
#include "sbc/shed.h"
#include "cli/json.h"
#include "cli/statistics.h"

/* A table is the counters of one name, in their order; a heading row of another
 * table may stand in front, and then its own are indented */
struct sheet {
	const char *word, *title, *name;
	bool gauges;
	struct {
		enum counter row, first, last; /* heading, those below it */
	} groups[2];
};

/* clang-format off */
static const struct sheet tables[] = {
	{ "status",         "SIP Status",         "sipd",           true,  { { 0 } } },
	{ "sessions",       "SIP Sessions",       "sessions",       true,
	  { { COUNT_SESSIONS, COUNT_SESSIONS_INITIAL, COUNT_SESSIONS_TERMINATED },
	    { COUNT_DIALOGS, COUNTS, COUNTS } } },
	{ "transactions",   "SIP Transactions",   "transactions",   true,  { { 0 } } },
	{ "errors",         "SIP Errors/Events",  "errors",         false, { { 0 } } },
	{ "policy",         "SIP Policy/Routing", "policy",         false, { { 0 } } },
	{ "authentication", "SIP Authentication", "authentication", false, { { 0 } } },
};
static const struct sheet registration =
	{ "registration",   "SIP Registrations",  "registration",   true,  { { 0 } } };
static const struct sheet media =
	{ "media",          "Media",              "media",          true,  { { 0 } } };
static const struct sheet media_errors =
	{ "errors",         "Media Errors/Events", "media-errors",  false, { { 0 } } };
static const struct sheet refusals =
	{ "refusals",       "SIP Refusals",       "refusals",       false, { { 0 } } };
/* clang-format on */

void statistics_head(struct session *s, const char *table)
{
	struct local_time now;

	clock_local(&now);
	reply_line(&s->reply, "%02u:%02u:%02u-%u",
		   (unsigned)(now.now / 10000 % 100),
		   (unsigned)(now.now / 100 % 100), (unsigned)(now.now % 100),
		   counters_window_of(table, clock_ms()));
}

static void row_json(struct reply *r, const struct counter_report *c)
{
	json_open(r, c->name, '{');
	if (c->is_gauge) {
		json_number(r, "active", c->active);
		json_number(r, "period-high", (int64_t)c->period_high);
	}
	json_number(r, "recent", (int64_t)c->recent);
	json_number(r, "total", (int64_t)c->total);
	json_number(r, "permax", (int64_t)c->permax);
	if (c->is_gauge)
		json_number(r, "high", (int64_t)c->high);
	json_close(r, '}');
}

static void row_text(struct session *s, const struct sheet *t,
		     const struct counter_report *c, const char *indent)
{
	char name[64];

	(void)re_snprintf(name, sizeof(name), "%s%s", indent, c->name);
	if (!t->gauges)
		reply_line(&s->reply, "%-24s%10llu%10llu%10llu", name,
			   c->recent, c->total, c->permax);
	else if (c->is_gauge)
		reply_line(&s->reply, "%-24s%8lld%8llu%8llu%11llu%8llu%8llu",
			   name, c->active, c->period_high, c->recent, c->total,
			   c->permax, c->high);
	else
		reply_line(&s->reply, "%-24s%8s%8s%8llu%11llu%8llu%8s", name,
			   "-", "-", c->recent, c->total, c->permax, "-");
}

static void row_say(struct session *s, const struct sheet *t, enum counter c,
		    const char *indent)
{
	struct counter_report report;

	counter_read(c, clock_ms(), &report);
	if (s->reply.json)
		row_json(&s->reply, &report);
	else
		row_text(s, t, &report, indent);
}

/* Gauges: Active High Total, Total PerMax High; events: Recent Total PerMax */
static void heading(struct session *s, const struct sheet *t)
{
	statistics_head(s, t->name);
	if (t->gauges) {
		reply_line(&s->reply,
			   "%-36s-- Period -- -------- Lifetime --------",
			   t->title);
		reply_line(&s->reply, "%-24s%8s%8s%8s%11s%8s%8s", "", "Active",
			   "High", "Total", "Total", "PerMax", "High");
		return;
	}
	reply_line(&s->reply, "%-35s---- Lifetime ----", t->title);
	reply_line(&s->reply, "%-24s%10s%10s%10s", "", "Recent", "Total",
		   "PerMax");
}

static void rows_grouped(struct session *s, const struct sheet *t)
{
	for (size_t g = 0; g < ARRAY_SIZE(t->groups); g++) {
		row_say(s, t, t->groups[g].row, "");
		for (unsigned c = t->groups[g].first;
		     c <= (unsigned)t->groups[g].last && c < COUNTS; c++)
			row_say(s, t, (enum counter)c, "  ");
	}
}

static void rows_all(struct session *s, const struct sheet *t)
{
	struct counter_report report;

	for (unsigned c = 0; c < COUNTS; c++) {
		counter_read((enum counter)c, clock_ms(), &report);
		if (!strcmp(report.table, t->name))
			row_say(s, t, (enum counter)c, "");
	}
}

/* The highest of all */
static void load_ask(struct worker *w, void *arg)
{
	struct shed_report *most = arg, load = { 0 };

	if (w->shed)
		shed_report(w->shed, &load);
	if (load.load >= most->load)
		*most = load;
}

/* Sessions a second over Recent; load of the busiest signalling
 * thread [%] */
static void rates_say(struct session *s)
{
	const uint64_t now = clock_ms();
	uint64_t window = counters_window_of("sipd", now), rate;
	struct shed_report load = { 0 };
	struct counter_report sessions;

	counter_read(COUNT_SESSIONS, now, &sessions);
	rate = sessions.recent * 1000 / (window ? window : 1);
	sbc_ask(s->sbc, load_ask, &load);
	if (s->reply.json) {
		json_thousandths(&s->reply, "session-rate", rate);
		json_number(&s->reply, "load-rate", load.load);
		return;
	}
	reply_line(&s->reply, "Session Rate = %llu.%llu", rate / 1000,
		   rate / 100 % 10);
	reply_line(&s->reply, "Load Rate = %u.0", load.load);
}

static void table_say(struct session *s, const struct sheet *t)
{
	if (s->reply.json) {
		json_begin(&s->reply, s->command,
			   counters_window_of(t->name, clock_ms()));
		json_open(&s->reply, NULL, '{');
	} else {
		heading(s, t);
	}
	if (t->groups[0].row != t->groups[0].first)
		rows_grouped(s, t);
	else
		rows_all(s, t);
	if (!strcmp(t->word, "status"))
		rates_say(s);
	if (s->reply.json) {
		json_close(&s->reply, '}');
		json_end(&s->reply);
	}
}

bool statistics_sipd(struct session *s, const char *word)
{
	for (size_t i = 0; i < ARRAY_SIZE(tables); i++) {
		if (strncmp(tables[i].word, word, strlen(word)))
			continue;
		table_say(s, &tables[i]);
		return true;
	}
	return false;
}

void statistics_registration(struct session *s)
{
	table_say(s, &registration);
}

/* --- show refusals ------------------------------------------------------- */

struct refusal_ask {
	struct session *s;
	struct refusals *sum;
	uint32_t last; /* 0: the counts */
	enum refusal_step step;
};

static void refusal_count_say(enum refusal_step step, uint16_t code,
			      const struct counter_report *counted, void *arg)
{
	struct refusal_ask *ask = arg;
	struct counter_report row = *counted;
	char name[48];

	if (ask->step != REFUSAL_STEPS && ask->step != step)
		return;
	if (code)
		(void)re_snprintf(name, sizeof(name), "%s %u",
				  refusal_step_name(step), code);
	else /* nothing was answered */
		(void)re_snprintf(name, sizeof(name), "%s -",
				  refusal_step_name(step));
	row.name = name;
	if (ask->s->reply.json)
		row_json(&ask->s->reply, &row);
	else
		row_text(ask->s, &refusals, &row, "");
}

static void refusals_take(struct worker *w, void *arg)
{
	(void)refusals_join(arg, w->refusals);
}

static const struct column refusal_columns[] = {
	{ "Time", -24 },   { "Step", -13 },   { "Status", 6 },
	{ "Realm", -12 },  { "Source", -21 }, { "Method", -9 },
	{ "From", -28 },   { "To", -28 },     { "Call-ID", -32 },
	{ "Object", -28 }, { "Reason", 0 },   { NULL, 0 },
};

static void refusal_say(const struct refusal_report *x, void *arg)
{
	struct refusal_ask *ask = arg;
	char time[25], source[64];
	const struct cell cells[] = {
		TEXT_CELL(time),
		TEXT_CELL(refusal_step_name(x->step)),
		{ x->code ? CELL_NUMBER : CELL_NONE, NULL, x->code },
		TEXT_CELL(x->realm),
		TEXT_CELL(source),
		TEXT_CELL(x->method),
		TEXT_CELL(x->from),
		TEXT_CELL(x->to),
		TEXT_CELL(x->callid),
		TEXT_CELL(x->object),
		TEXT_CELL(x->reason),
	};

	clock_rfc3339(time, x->wall);
	(void)re_snprintf(source, sizeof(source), "%J", x->src);
	table_row(&ask->s->reply, refusal_columns, cells);
}

/* [last N] [step S]; false: said what is wrong */
static bool refusal_words(struct refusal_ask *ask, const struct words *w,
			  uint32_t at)
{
	for (; at < w->n; at += 2) {
		const char *value = at + 1 < w->n ? w->v[at + 1] : "";
		struct pl pl = range_of(value);
		uint64_t n = 0;
		int step = 0;

		if (!strcmp(w->v[at], "last")) {
			if (uint_parse(&n, &pl, UINT32_MAX) || !n) {
				reply_error(&ask->s->reply, REPLY_ARGUMENT,
					    "last [%s] is not a number from 1 "
					    "on",
					    value);
				return false;
			}
			ask->last = (uint32_t)n;
			continue;
		}
		if (strcmp(w->v[at], "step") != 0) {
			reply_error(&ask->s->reply, REPLY_UNKNOWN,
				    "Unknown word [%s], possible here: last N, "
				    "step S",
				    w->v[at]);
			return false;
		}
		while (step < REFUSAL_STEPS &&
		       strcmp(value,
			      refusal_step_name((enum refusal_step)step)) != 0)
			step++;
		if (step == REFUSAL_STEPS) {
			reply_error(&ask->s->reply, REPLY_ARGUMENT,
				    "There is no step [%s]", value);
			return false;
		}
		ask->step = (enum refusal_step)step;
	}
	return true;
}

void show_refusals(struct session *s, const struct words *w, uint32_t at)
{
	struct refusal_ask ask = { .s = s, .step = REFUSAL_STEPS };
	struct reply *r = &s->reply;

	if (!refusal_words(&ask, w, at))
		return;
	if (refusals_open(&ask.sum)) {
		reply_error(r, REPLY_FAILED, "no memory");
		return;
	}
	sbc_ask(s->sbc, refusals_take, ask.sum);
	if (ask.last) {
		if (r->json)
			json_begin(r, s->command, JSON_NO_WINDOW);
		table_begin(r, NULL, refusal_columns);
		refusals_last(ask.sum, ask.last, ask.step, refusal_say, &ask);
		table_end(r);
	} else {
		if (r->json) {
			json_begin(r, s->command,
				   counters_window_of("refusals", clock_ms()));
			json_open(r, NULL, '{');
		} else {
			heading(s, &refusals);
		}
		refusals_counts(ask.sum, refusal_count_say, &ask);
		if (r->json)
			json_close(r, '}');
	}
	refusals_close(ask.sum);
	if (r->json)
		json_end(r);
}

void statistics_media(struct session *s, bool errors)
{
	table_say(s, errors ? &media_errors : &media);
}

/* --- show sipd METHOD --------------------------------------------------- */

struct method_ask {
	struct session *s;
	enum method_id method;
	enum method_scope scope;
	const char *name; /* of the session-agent, realm or sip-interface */
	bool found;
	struct methods *sum; /* of all workers */
};

/* "407 Proxy Auth Required": the one long word is shortened */
static void status_name(char *name, size_t size, uint16_t code)
{
	const char *phrase = cause_phrase(code);
	const char *word = strstr(phrase, "Authentication");

	if (word)
		(void)re_snprintf(name, size, "%u %b%s", code, phrase,
				  (size_t)(word - phrase) + 4, word + 14);
	else
		(void)re_snprintf(name, size, "%u %s", code, phrase);
}

static void row_name(char *name, size_t size, const struct method_ask *ask,
		     const struct method_row *row)
{
	if (!row->event)
		status_name(name, size, row->code);
	else if (!strcmp(row->event, "Requests"))
		(void)re_snprintf(name, size, "%s %s", method_name(ask->method),
				  row->event);
	else
		str_ncpy(name, row->event, size);
}

static void method_json(const struct method_row *row, struct method_ask *ask)
{
	static const char *const sides[METHOD_SIDES] = { "server", "client" };
	struct reply *r = &ask->s->reply;
	char name[64];

	row_name(name, sizeof(name), ask, row);
	json_open(r, name, '{');
	for (int i = 0; i < METHOD_SIDES; i++) {
		json_open(r, sides[i], '{');
		json_number(r, "recent", (int64_t)row->of[i].recent);
		json_number(r, "total", (int64_t)row->of[i].total);
		json_number(r, "permax", (int64_t)row->of[i].permax);
		json_close(r, '}');
	}
	json_close(r, '}');
}

static void method_line(const struct method_row *row, void *arg)
{
	struct method_ask *ask = arg;
	const struct counter_report *server = &row->of[AS_SERVER];
	const struct counter_report *client = &row->of[AS_CLIENT];
	char name[80];

	ask->found = true;
	if (ask->s->reply.json) {
		method_json(row, ask);
		return;
	}
	row_name(name, sizeof(name), ask, row);
	reply_line(&ask->s->reply, "%-24s%8llu%9llu%9llu%10llu%9llu%9llu", name,
		   server->recent, server->total, server->permax,
		   client->recent, client->total, client->permax);
}

/* Nobody sent or got the method yet: a table of zeros */
static void method_none(struct method_ask *ask)
{
	const struct method_row row = { .event = "Requests" };

	method_line(&row, ask);
	ask->found = true;
}

static void latency_say(struct method_ask *ask, const struct methods *m)
{
	struct reply *r = &ask->s->reply;
	struct method_latency l = { 0 };
	uint64_t avg;

	if (m)
		methods_latency_read(m, ask->method, &l);
	avg = l.n ? l.sum / l.n : 0;
	if (!r->json) {
		reply_line(r, "Avg Latency=%llu.%03llu for %llu", avg / 1000,
			   avg % 1000, l.n);
		reply_line(r, "Max Latency=%u.%03u", l.max / 1000,
			   l.max % 1000);
		return;
	}
	json_open(r, "latency", '{');
	json_thousandths(r, "avg", avg);
	json_thousandths(r, "max", l.max);
	json_number(r, "count", (int64_t)l.n);
	json_close(r, '}');
}

/* NULL: nothing was counted there yet */
static const struct methods *method_table(const struct methods *all,
					  const struct method_ask *ask)
{
	switch (ask->scope) {

	case METHODS_OF_ALL:
		return all;
	case METHODS_OF_INTERFACE:
		return methods_find(all, ask->name);
	case METHODS_OF_AGENT:
		return methods_party(all, PARTY_AGENT, ask->name);
	case METHODS_OF_REALM:
		return methods_party(all, PARTY_REALM, ask->name);
	}
	return NULL;
}

static void method_take(struct worker *w, void *arg)
{
	struct method_ask *ask = arg;
	const struct methods *m = method_table(w->methods, ask);

	if (m)
		(void)methods_join(ask->sum, m);
}

static void method_rows(struct method_ask *ask)
{
	methods_walk(ask->sum, ask->method, method_line, ask);
	if (!ask->found)
		method_none(ask);
	latency_say(ask, ask->sum);
}

void statistics_method(struct session *s, enum method_id method,
		       enum method_scope scope, const char *name)
{
	struct method_ask ask = { s, method, scope, name, false, NULL };
	struct reply *r = &s->reply;

	if (methods_open(&ask.sum)) {
		reply_error(r, REPLY_FAILED, "no memory");
		return;
	}
	sbc_ask(s->sbc, method_take, &ask);

	if (r->json) {
		json_begin(r, s->command,
			   counters_window_of("sipd", clock_ms()));
		json_open(r, NULL, '{');
	} else {
		statistics_head(s, "sipd");
		reply_line(r,
			   "%-30s------ Server ------        ------ Client "
			   "------",
			   method_name(method));
		reply_line(r, "%-24s%8s%9s%9s%10s%9s%9s", "Message/Event",
			   "Recent", "Total", "PerMax", "Recent", "Total",
			   "PerMax");
	}
	method_rows(&ask);
	methods_close(ask.sum);
	if (r->json) {
		json_close(r, '}');
		json_end(r);
	}
}

static void methods_reset_on(struct worker *w, void *arg)
{
	(void)arg;
	methods_reset(w->methods);
}

static void refusals_reset_on(struct worker *w, void *arg)
{
	(void)arg;
	refusals_reset(w->refusals);
}

/* --- reset -------------------------------------------------------------- */

/* clang-format off */
static const struct {
	const char *word;
	const char *tables[5];
} resets[] = {
	{ "sipd",           { "sipd", "sessions", "transactions", "errors" } },
	{ "registration",   { "registration" } },
	{ "authentication", { "authentication" } },
	{ "policy",         { "policy" } },
	{ "media",          { "media", "media-errors" } },
	{ "refusals",       { "refusals" } },
	{ "dns",            { "dns" } },
};
/* clang-format on */

/* Which one the full words of the command say */
void reset(struct session *s, const struct words *w, uint32_t at)
{
	const char *word = strchr(s->command, ' ') + 1;

	if (at < w->n) {
		reply_error(&s->reply, REPLY_ARGUMENT, "Unexpected word [%s]",
			    w->v[at]);
		return;
	}
	if (!strcmp(word, "all"))
		counters_reset(NULL, clock_ms());
	for (size_t i = 0; i < ARRAY_SIZE(resets); i++) {
		if (strcmp(word, resets[i].word))
			continue;
		for (const char *const *t = resets[i].tables; *t; t++)
			counters_reset(*t, clock_ms());
	}
	if (!strcmp(word, "all") || !strcmp(word, "sipd"))
		sbc_ask(s->sbc, methods_reset_on, NULL);
	if (!strcmp(word, "all") || !strcmp(word, "refusals"))
		sbc_ask(s->sbc, refusals_reset_on, NULL);
	reply_line(&s->reply, "Reset: %s.", word);
}
