/*
 * The show commands: each calls a printer and lays out what it gives
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include "store/base.h"
#include <re_sys.h>
#include "store/number.h"
#include "store/records.h"
#include "store/text.h"
#include "store/versions.h"
#include "sbc/alarm.h"
#include "sbc/calls.h"
#include "sbc/clock.h"
#include "sbc/counters.h"
#include "sbc/surrogates.h"
#include "cli/show.h"

enum {
	SLICE = 200,
	LIMIT = 1000
};

/* First line of each table: local time, width of Recent [s] */
static void table_head(struct session *s, const char *table)
{
	struct local_time now;

	clock_local(&now);
	reply_line(&s->reply, "%02u:%02u:%02u-%u",
		   (unsigned)(now.now / 10000 % 100),
		   (unsigned)(now.now / 100 % 100), (unsigned)(now.now % 100),
		   counters_window_of(table, clock_ms()));
}

static bool counter_of(enum counter c, const char *table,
		       struct counter_report *r)
{
	counter_read(c, clock_ms(), r);
	return !strcmp(r->table, table);
}

/* Gauge table: Active High Total, Total PerMax High (acli.md 2.2) */
static void gauge_table(struct session *s, const char *title, const char *table)
{
	struct counter_report r;

	table_head(s, table);
	reply_line(&s->reply, "%-24s-- Period -- -------- Lifetime --------",
		   title);
	reply_line(&s->reply, "%-24s%8s%8s%8s%11s%8s%8s", "", "Active", "High",
		   "Total", "Total", "PerMax", "High");
	for (int c = 0; c < COUNTS; c++) {
		if (!counter_of((enum counter)c, table, &r))
			continue;
		if (r.is_gauge)
			reply_line(&s->reply,
				   "%-24s%8lld%8llu%8llu%11llu%8llu%8llu",
				   r.name, r.active, r.period_high, r.recent,
				   r.total, r.permax, r.high);
		else
			reply_line(&s->reply, "%-24s%8s%8s%8llu%11llu%8llu%8s",
				   r.name, "-", "-", r.recent, r.total,
				   r.permax, "-");
	}
}

/* Event table: Recent, Total, PerMax */
static void event_table(struct session *s, const char *title, const char *table)
{
	struct counter_report r;

	table_head(s, table);
	reply_line(&s->reply, "%-32s---- Lifetime ----", title);
	reply_line(&s->reply, "%-24s%10s%10s%10s", "", "Recent", "Total",
		   "PerMax");
	for (int c = 0; c < COUNTS; c++) {
		if (counter_of((enum counter)c, table, &r))
			reply_line(&s->reply, "%-24s%10llu%10llu%10llu", r.name,
				   r.recent, r.total, r.permax);
	}
}

void show_registration(struct session *s, const struct words *w, uint32_t at)
{
	(void)w;
	(void)at;
	gauge_table(s, "SIP Registrations", "registration");
}

void show_refusals(struct session *s, const struct words *w, uint32_t at)
{
	(void)w;
	(void)at;
	event_table(s, "SIP Refusals", "refusals");
}

void show_media(struct session *s, const struct words *w, uint32_t at)
{
	(void)w;
	(void)at;
	gauge_table(s, "Media", "media");
}

/* --- show sipd ---------------------------------------------------------- */

struct agent_row {
	struct session *s;
	const char *only;
	uint32_t n;
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

static void agent_detail(struct session *s, const struct agent_report *r)
{
	uint64_t now = clock_ms();
	struct duration since = { (now - r->since) / 1000 };
	struct duration pinged = { (now - r->pinged) / 1000 };

	if (r->since)
		reply_line(&s->reply, "State       %s for %H",
			   service_name(r->service), duration_print, &since);
	else
		reply_line(&s->reply, "State       %s",
			   service_name(r->service));
	reply_line(&s->reply, "Timeouts    %u in a row", r->timeouts_in_row);
	reply_line(&s->reply, "Violations  inbound %llu, outbound %llu",
		   r->violations[INBOUND], r->violations[OUTBOUND]);
	if (!r->pinged) {
		reply_line(&s->reply, "Last ping   never");
		return;
	}
	reply_line(&s->reply, "Targets     %u, %u without a good answer",
		   r->targets, r->targets_out);
	reply_line(&s->reply, "Last ping   %s, %H ago",
		   r->ping_good ? "good" : "bad", duration_print, &pinged);
}

static void agent_line(struct agent *agent, void *arg)
{
	struct agent_row *row = arg;
	struct agent_report r;

	agent_report(agent, clock_ms(), &r);
	if (row->only && strcasecmp(row->only, r.hostname))
		return;
	row->n++;
	reply_line(&row->s->reply,
		   "%-24s %c %6u %6u %6u %6u %3u.%03u %3u.%03u %8llu %8llu",
		   r.hostname, agent_letter(r.service), r.sessions[INBOUND],
		   r.high[INBOUND], r.sessions[OUTBOUND], r.high[OUTBOUND],
		   r.latency_avg / 1000, r.latency_avg % 1000,
		   r.latency_max / 1000, r.latency_max % 1000,
		   r.invites[OUTBOUND], r.timeouts);
	if (row->only)
		agent_detail(row->s, &r);
}

static void agents_rows(struct worker *w, void *arg)
{
	agents_walk(w->agents, agent_line, arg);
}

static void show_agents(struct session *s, const char *only)
{
	struct agent_row row = { s, only, 0 };

	table_head(s, "sipd");
	reply_line(&s->reply,
		   "%-26s--- Inbound -- -- Outbound -- ---- Latency ---- "
		   "---- Lifetime ---",
		   "");
	reply_line(&s->reply, "%-24s S %6s %6s %6s %6s %7s %7s %8s %8s",
		   "Session Agent", "Active", "High", "Active", "High", "Avg",
		   "Max", "Invites", "Timeouts");
	sbc_ask(s->sbc, agents_rows, &row);
	if (only && !row.n)
		reply_error(&s->reply, REPLY_ARGUMENT,
			    "There is no session-agent [%s]", only);
}

void show_sipd(struct session *s, const struct words *w, uint32_t at)
{
	static const struct {
		const char *word, *title, *table;
		bool gauges;
	} tables[] = {
		{ "status", "SIP Status", "sipd", true },
		{ "sessions", "SIP Sessions", "sessions", true },
		{ "transactions", "SIP Transactions", "transactions", true },
		{ "errors", "SIP Errors/Events", "errors", false },
		{ "policy", "SIP Policy/Routing", "policy", false },
		{ "authentication", "SIP Authentication", "authentication",
		  false },
	};
	const char *word = at < w->n ? w->v[at] : "status";

	if (!strncmp("agents", word, strlen(word)) && strlen(word) > 1) {
		show_agents(s, at + 1 < w->n ? w->v[at + 1] : NULL);
		return;
	}
	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
		if (strncmp(tables[i].word, word, strlen(word)))
			continue;
		if (tables[i].gauges)
			gauge_table(s, tables[i].title, tables[i].table);
		else
			event_table(s, tables[i].title, tables[i].table);
		return;
	}
	reply_error(&s->reply, REPLY_UNKNOWN,
		    "Unknown word [%s], possible here: agents, "
		    "authentication, errors, policy, sessions, status, "
		    "transactions",
		    word);
}

/* --- show surrogate-agents ---------------------------------------------- */

struct registrations {
	struct session *s;
	size_t next;
	uint32_t rows, counts[SUR_STATES];
	const char *state, *realm; /* filters */
	bool detail;
};

static void registration_line(const struct registration_report *r, void *arg)
{
	struct registrations *list = arg;
	const char *state = surrogate_state_name(r->state);
	char expires[16] = "-", last[8] = "-", next[16] = "-";

	if ((list->state && strcmp(list->state, state)) ||
	    (list->realm && strcmp(list->realm, r->realm)))
		return;
	list->counts[r->state]++;
	if (list->rows++ >= LIMIT)
		return;

	if (r->expires)
		(void)re_snprintf(expires, sizeof(expires), "%u", r->expires);
	if (r->last)
		(void)re_snprintf(last, sizeof(last), "%u", r->last);
	if (r->next != UINT32_MAX)
		(void)re_snprintf(next, sizeof(next), "%us", r->next);
	reply_line(&list->s->reply, "%-26s %-7s %-17s %-12s %7s %5s %6s %6u",
		   r->aor, r->realm, r->registrar[0] ? r->registrar : "-",
		   state, expires, last, next, r->tries);
	if (list->detail) {
		reply_line(&list->s->reply,
			   "    contact %s, Call-ID %s, CSeq %u, granted %u s",
			   r->contact ? r->contact : "-",
			   r->callid ? r->callid : "-", r->cseq, r->granted);
		if (r->reason && *r->reason)
			reply_line(&list->s->reply, "    %s", r->reason);
	}
}

static void registrations_slice(struct worker *w, void *arg)
{
	struct registrations *list = arg;

	list->next = surrogates_walk(w->surrogates, list->next, SLICE,
				     registration_line, list);
}

static void registrations_total(struct registrations *list)
{
	char text[256] = "";
	size_t at = 0;

	for (int state = 0; state < SUR_STATES; state++) {
		int n;

		/* A refresh under way is shown as registered */
		if (state == SUR_REFRESHING)
			continue;
		if (state == SUR_REGISTERED)
			list->counts[state] += list->counts[SUR_REFRESHING];
		if (!list->counts[state])
			continue;
		n = re_snprintf(
			text + at, sizeof(text) - at, "%s%u %s", at ? ", " : "",
			list->counts[state],
			surrogate_state_name((enum surrogate_state)state));
		if (n > 0)
			at += (size_t)n;
	}
	if (list->rows > LIMIT)
		reply_line(&list->s->reply, "... %u more", list->rows - LIMIT);
	reply_line(&list->s->reply, "%u AoRs%s%s", list->rows, at ? ": " : "",
		   text);
}

void show_surrogate_agents(struct session *s, const struct words *w,
			   uint32_t at)
{
	struct registrations list = { .s = s };

	for (; at < w->n; at++) {
		if (!strcmp(w->v[at], "detail"))
			list.detail = true;
		else if (!strcmp(w->v[at], "state") && at + 1 < w->n)
			list.state = w->v[++at];
		else if (!strcmp(w->v[at], "realm") && at + 1 < w->n)
			list.realm = w->v[++at];
		else {
			reply_error(&s->reply, REPLY_UNKNOWN,
				    "Unknown word [%s], possible here: "
				    "detail, realm, state",
				    w->v[at]);
			return;
		}
	}

	reply_line(&s->reply, "%-26s %-7s %-17s %-12s %7s %5s %6s %6s", "AoR",
		   "Realm", "Registrar", "State", "Expires", "Last", "Next",
		   "Tries");
	do {
		sbc_ask(s->sbc, registrations_slice, &list);
	} while (list.next);
	registrations_total(&list);
}

/* --- show sessions ------------------------------------------------------ */

struct session_list {
	struct session *s;
	size_t next;
	uint64_t only;
	uint32_t rows;
};

static void session_line(const struct call_report *r, void *arg)
{
	struct session_list *list = arg;

	if (list->only && r->id != list->only)
		return;
	list->rows++;
	if (!list->only) {
		if (list->rows > LIMIT)
			return;
		reply_line(&list->s->reply,
			   "%-20llu %-10s %-8s %-8s %-28s %-28s %8u %-13s %s",
			   r->id, r->state, r->ingress, r->egress, r->from,
			   r->to, r->duration, r->auth, r->codec);
		return;
	}
	reply_line(&list->s->reply,
		   "session-id        %llu\n"
		   "state             %s\n"
		   "ingress           %s %s\n"
		   "egress            %s %s\n"
		   "from              %s\n"
		   "to                %s\n"
		   "egress from       %s\n"
		   "egress to         %s\n"
		   "ingress call-id   %s\n"
		   "egress call-id    %s\n"
		   "duration          %u s\n"
		   "surrogate aor     %s\n"
		   "auth source       %s\n"
		   "auth realm        %s\n"
		   "auth user lookup  %s\n"
		   "auth user         %s\n"
		   "challenges        %u\n"
		   "local-policy      %s\n"
		   "next hop          %s\n"
		   "routes tried      %u\n"
		   "codec             %s",
		   r->id, r->state, r->ingress, r->ingress_agent, r->egress,
		   r->egress_agent, r->from, r->to, r->out_from, r->out_to,
		   r->callid[0], r->callid[1], r->duration, r->aor, r->auth,
		   r->auth_realm, r->auth_lookup, r->auth_user, r->challenges,
		   r->policy, r->next_hop, r->routes_tried, r->codec);
}

static void sessions_slice(struct worker *w, void *arg)
{
	struct session_list *list = arg;

	list->next =
		calls_walk(w->calls, list->next, SLICE, session_line, list);
}

void show_sessions(struct session *s, const struct words *w, uint32_t at)
{
	struct session_list list = { .s = s };
	struct pl id;

	if (at < w->n) {
		id = range_of(w->v[at]);
		if (uint_parse(&list.only, &id, UINT64_MAX) || !list.only) {
			reply_error(&s->reply, REPLY_ARGUMENT,
				    "[%s] is no session id", w->v[at]);
			return;
		}
	} else {
		reply_line(&s->reply,
			   "%-20s %-10s %-8s %-8s %-28s %-28s %8s %-13s %s",
			   "Id", "State", "Ingress", "Egress", "From", "To",
			   "Duration", "Auth", "Codec");
	}
	do {
		sbc_ask(s->sbc, sessions_slice, &list);
	} while (list.next);

	if (list.only && !list.rows)
		reply_error(&s->reply, REPLY_FAILED, "There is no session [%s]",
			    w->v[at]);
	else if (!list.only && list.rows > LIMIT)
		reply_line(&s->reply, "... %u more", list.rows - LIMIT);
	else if (!list.only)
		reply_line(&s->reply, "%u sessions", list.rows);
}

/* --- show alarms -------------------------------------------------------- */

static void alarm_line(const struct alarm_report *a, void *arg)
{
	struct session_list *list = arg;
	char first[25], last[25];

	list->rows++;
	clock_rfc3339(first, a->first * 1000);
	clock_rfc3339(last, a->last * 1000);
	first[19] = last[19] = '\0';
	reply_line(&list->s->reply, "%-5u %-32s %-9s %-28s %5u %s %s %s", a->id,
		   a->name, alarm_level_name(a->severity), a->object, a->count,
		   first, last, a->text);
}

void show_alarms(struct session *s, const struct words *w, uint32_t at)
{
	struct session_list list = { .s = s };
	bool history = at < w->n && !strcmp(w->v[at], "history");

	reply_line(&s->reply, "%-5s %-32s %-9s %-28s %5s %-19s %-19s %s", "Id",
		   "Name", "Severity", "Object", "Count", "First", "Last",
		   "Text");
	alarms_walk(history, alarm_line, &list);
	if (!list.rows)
		reply_line(&s->reply, "No alarms.");
}

/* --- show version, running-config, records ------------------------------ */

void show_version(struct session *s, const struct words *w, uint32_t at)
{
	uint32_t saved = 0, running = 0;
	(void)w;
	(void)at;

	(void)versions_numbers(s->db, &saved, &running);
	reply_line(&s->reply,
		   "sbcd                   %s\n"
		   "libre                  %s\n"
		   "saved configuration    %u\n"
		   "running configuration  %u",
		   SBC_VERSION, sys_libre_version_get(), saved, running);
}

void show_running_config(struct session *s, const struct words *w, uint32_t at)
{
	const struct plan *plan;
	struct text_setup setup = { 0 };
	struct pl name;
	char key[1024] = "";

	if (at < w->n) {
		name = range_of(w->v[at]);
		setup.only = element_find(&name);
		if (!setup.only) {
			reply_error(&s->reply, REPLY_UNKNOWN,
				    "Unknown element [%s]", w->v[at]);
			return;
		}
	}
	for (at++; at < w->n; at++)
		(void)re_snprintf(key + strlen(key), sizeof(key) - strlen(key),
				  "%s%s", *key ? " " : "", w->v[at]);

	plan = sbc_plan(s->sbc);
	setup.cfg = plan->config;
	setup.key = range_of(key);
	if (*key && !config_find(plan->config, setup.only, &setup.key))
		reply_error(&s->reply, REPLY_ARGUMENT, "There is no %s [%s]",
			    setup.only->name, key);
	else
		reply_print(&s->reply, (re_printf_h *)text_print, &setup);
	plan_give(plan);
}

static void record_line(const struct record *record, void *arg)
{
	struct session_list *list = arg;

	list->rows++;
	for (size_t i = 0; i < RECORD_FIELDS; i++) {
		if (record->field[i].l)
			reply_line(&list->s->reply, "%-24s %r", record_names[i],
				   &record->field[i]);
	}
	reply_line(&list->s->reply, "");
}

void show_records(struct session *s, const struct words *w, uint32_t at)
{
	struct session_list list = { .s = s };
	uint64_t n = 10;
	struct pl pl;

	if (at < w->n) {
		pl = range_of(w->v[at]);
		if (uint_parse(&n, &pl, LIMIT)) {
			reply_error(&s->reply, REPLY_ARGUMENT,
				    "[%s] is no number up to %u", w->v[at],
				    LIMIT);
			return;
		}
	}
	if (records_last(s->db, (uint32_t)n, record_line, &list))
		reply_error(&s->reply, REPLY_FAILED,
			    "The database cannot be read");
}
