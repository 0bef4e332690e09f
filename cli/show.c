/*
 * The show commands: each calls a printer and lays out what it gives
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include "store/base.h"
#include "store/number.h"
#include "store/records.h"
#include "store/text.h"
#include "sbc/alarm.h"
#include "sbc/calls.h"
#include "sbc/clock.h"
#include "sbc/counters.h"
#include "sbc/surrogates.h"
#include "cli/arguments.h"
#include "cli/cut.h"
#include "cli/json.h"
#include "cli/ladder.h"
#include "cli/show.h"
#include "cli/statistics.h"
#include "cli/tree.h"

enum {
	SLICE = 200,
	RECORDS = 1000
};

/* --- show sessions ------------------------------------------------------ */

struct session_list {
	struct session *s;
	size_t next;
	uint64_t only;
	uint32_t rows;
	struct cut cut;
	const char *realm, *agent, *user, *state; /* filters */
	bool ladder;
	uint32_t older; /* rows that are left out in front */
};

static const struct column session_columns[] = {
	{ "Id", -20 },   { "State", -10 }, { "Ingress", -8 }, { "Egress", -8 },
	{ "From", -28 }, { "To", -28 },    { "Duration", 8 }, { "Auth", -13 },
	{ "Codec", 0 },  { NULL, 0 },
};

static bool is_of(const char *wanted, const char *a, const char *b)
{
	return !wanted || !strcasecmp(wanted, a) || !strcasecmp(wanted, b);
}

static bool session_is_wanted(const struct session_list *list,
			      const struct call_report *r)
{
	return (!list->only || r->id == list->only) &&
	       is_of(list->realm, r->ingress, r->egress) &&
	       is_of(list->agent, r->ingress_agent, r->egress_agent) &&
	       is_of(list->state, r->state, r->state) &&
	       (!list->user || strstr(r->from, list->user) ||
		strstr(r->to, list->user));
}

/* The record as far as it is known; the names are those of the text */
static void session_print(struct reply *reply, const struct call_report *r)
{
	const struct {
		const char *name, *value;
	} texts[] = {
		{ "state", r->state },
		{ "ingress", r->ingress },
		{ "ingress agent", r->ingress_agent },
		{ "egress", r->egress },
		{ "egress agent", r->egress_agent },
		{ "from", r->from },
		{ "to", r->to },
		{ "egress from", r->out_from },
		{ "egress to", r->out_to },
		{ "ingress call-id", r->callid[0] },
		{ "egress call-id", r->callid[1] },
		{ "surrogate aor", r->aor },
		{ "auth source", r->auth },
		{ "auth realm", r->auth_realm },
		{ "auth user lookup", r->auth_lookup },
		{ "auth user", r->auth_user },
		{ "local-policy", r->policy },
		{ "next hop", r->next_hop },
		{ "codec", r->codec },
	};
	char id[24];

	(void)re_snprintf(id, sizeof(id), "%llu", r->id);
	json_open(reply, NULL, '{');
	json_text(reply, "session-id", id);
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		json_text(reply, texts[i].name, texts[i].value);
	json_number(reply, "duration", r->duration);
	json_number(reply, "challenges", r->challenges);
	json_number(reply, "routes-tried", r->routes_tried);
	json_close(reply, '}');
}

static void session_row(struct session_list *list, const struct call_report *r)
{
	char id[24];
	const struct cell cells[] = {
		TEXT_CELL(id),
		TEXT_CELL(r->state),
		TEXT_CELL(r->ingress),
		TEXT_CELL(r->egress),
		TEXT_CELL(r->from),
		TEXT_CELL(r->to),
		NUMBER_CELL(r->duration),
		TEXT_CELL(r->auth),
		TEXT_CELL(r->codec),
	};

	/* 64 bits do not fit into the numbers of every JSON reader */
	(void)re_snprintf(id, sizeof(id), "%llu", r->id);
	table_row(&list->s->reply, session_columns, cells);
}

static void session_line(const struct call_report *r, void *arg)
{
	struct session_list *list = arg;

	if (!session_is_wanted(list, r))
		return;
	list->rows++;
	if (!list->only) {
		if (cut_row(&list->cut))
			session_row(list, r);
		return;
	}
	if (list->s->reply.json) {
		session_print(&list->s->reply, r);
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

/* [ID] [realm R] [agent A] [user U] [state S] [limit N]; false: said so */
static bool sessions_words(struct session_list *list, const struct words *w,
			   uint32_t at)
{
	const struct {
		const char *word, **value;
	} known[] = {
		{ "realm", &list->realm },
		{ "agent", &list->agent },
		{ "user", &list->user },
		{ "state", &list->state },
	};
	struct words rest;
	struct pl pl;

	if (!cut_words(&list->cut, &list->s->reply, w, at, &rest))
		return false;
	w = &rest;

	for (; at < w->n; at++) {
		size_t i = 0;

		while (i < ARRAY_SIZE(known) && strcmp(w->v[at], known[i].word))
			i++;
		pl = range_of(w->v[at]);
		if (i < ARRAY_SIZE(known) && at + 1 < w->n)
			*known[i].value = w->v[++at];
		else if (list->only && !strcmp(w->v[at], "ladder"))
			list->ladder = true;
		else if (list->only ||
			 uint_parse(&list->only, &pl, UINT64_MAX) ||
			 !list->only) {
			reply_error(&list->s->reply, REPLY_ARGUMENT,
				    "[%s] is no session id", w->v[at]);
			return false;
		}
	}
	if (!list->state)
		return true;
	list->state = state_pick(&list->s->reply, list->state, call_states);
	return list->state;
}

void show_sessions(struct session *s, const struct words *w, uint32_t at)
{
	struct session_list list = { .s = s };

	if (!sessions_words(&list, w, at))
		return;
	if (list.ladder) {
		show_ladder(s, list.only);
		return;
	}
	if (s->reply.json)
		json_begin(&s->reply, s->command, JSON_NO_WINDOW);
	if (!list.only)
		table_begin(&s->reply, NULL, session_columns);
	session_walk(s, sessions_slice, &list, &list.next);
	if (!list.only)
		table_end(&s->reply);

	if (list.only && !list.rows) {
		s->reply.doc = mem_deref(s->reply.doc);
		reply_error(&s->reply, REPLY_FAILED,
			    "There is no session [%llu]", list.only);
		return;
	}
	if (!cut_end(&list.cut, &s->reply) && !list.only && !s->reply.json)
		reply_line(&s->reply, "%u sessions", list.rows);
	if (s->reply.json)
		json_end(&s->reply);
}

/* --- show alarms -------------------------------------------------------- */

static const struct column alarm_columns[] = {
	{ "Id", -5 },      { "Name", -32 }, { "Severity", -9 },
	{ "Object", -28 }, { "Count", 5 },  { "First", -19 },
	{ "Last", -19 },   { "Text", 0 },   { NULL, 0 },
};

static void alarm_line(const struct alarm_report *a, void *arg)
{
	struct session_list *list = arg;
	const struct cell cells[] = {
		NUMBER_CELL(a->id),
		TEXT_CELL(a->name),
		TEXT_CELL(alarm_level_name(a->severity)),
		TEXT_CELL(a->object),
		NUMBER_CELL(a->count),
		TIME_CELL(a->first),
		TIME_CELL(a->last),
		TEXT_CELL(a->text),
	};

	if (list->rows++ >= list->older && cut_row(&list->cut))
		table_row(&list->s->reply, alarm_columns, cells);
}

static void alarm_count(const struct alarm_report *a, void *arg)
{
	struct session_list *list = arg;

	(void)a;
	list->rows++;
}

void show_alarms(struct session *s, const struct words *w, uint32_t at)
{
	struct session_list list = { .s = s };
	struct words rest;
	bool history;

	if (!cut_words(&list.cut, &s->reply, w, at, &rest))
		return;
	history = at < rest.n && !strcmp(rest.v[at], "history");
	if (rest.n > at + history) {
		reply_error(&s->reply, REPLY_ARGUMENT, "Unexpected word [%s]",
			    rest.v[at + history]);
		return;
	}
	/* The history begins with the oldest, and ends with what is wanted */
	if (history) {
		alarms_walk(true, alarm_count, &list);
		list.older = list.rows > list.cut.limit
				     ? list.rows - list.cut.limit
				     : 0;
		list.rows = 0;
	}
	if (s->reply.json)
		json_begin(&s->reply, s->command, JSON_NO_WINDOW);
	table_begin(&s->reply, NULL, alarm_columns);
	alarms_walk(history, alarm_line, &list);
	table_end(&s->reply);
	list.cut.rows = list.rows;
	(void)cut_end(&list.cut, &s->reply);
	if (s->reply.json)
		json_end(&s->reply);
	else if (!list.rows)
		reply_line(&s->reply, "No alarms.");
}

void clear_alarm(struct session *s, const struct words *w, uint32_t at)
{
	uint64_t id;

	if (!arguments_number(&s->reply, w, at, "ID", 0, UINT32_MAX, &id))
		return;
	if (alarm_clear_id((uint32_t)id))
		reply_error(&s->reply, REPLY_FAILED, "There is no alarm [%s]",
			    w->v[at]);
	else
		reply_line(&s->reply, "Alarm %llu cleared.", id);
}

/* --- Call records ------------------------------------------------------- */

static void record_line(const struct record *record, void *arg)
{
	struct session_list *list = arg;

	struct reply *r = &list->s->reply;
	uint64_t n;

	list->rows++;
	json_open(r, NULL, '{');
	for (size_t i = 0; i < RECORD_FIELDS; i++) {
		const struct pl *text = &record->field[i];

		if (text->l && record_is_number(i) &&
		    !uint_parse(&n, text, INT64_MAX))
			json_number(r, record_names[i], (int64_t)n);
		else if (text->l)
			json_pl(r, record_names[i], text);
	}
	json_close(r, '}');
	for (size_t i = 0; i < RECORD_FIELDS && !list->s->reply.json; i++) {
		if (record->field[i].l)
			reply_line(&list->s->reply, "%-24s %r", record_names[i],
				   &record->field[i]);
	}
	if (!list->s->reply.json)
		reply_line(&list->s->reply, "");
}

void show_records(struct session *s, const struct words *w, uint32_t at)
{
	struct session_list list = { .s = s };
	uint64_t n = 10;
	struct pl pl;

	if (at < w->n) {
		pl = range_of(w->v[at]);
		if (uint_parse(&n, &pl, RECORDS)) {
			reply_error(&s->reply, REPLY_ARGUMENT,
				    "[%s] is no number up to %u", w->v[at],
				    RECORDS);
			return;
		}
	}
	if (s->reply.json) {
		json_begin(&s->reply, s->command, JSON_NO_WINDOW);
		json_open(&s->reply, NULL, '[');
	}
	if (records_last(s->db, (uint32_t)n, record_line, &list)) {
		s->reply.doc = mem_deref(s->reply.doc);
		reply_error(&s->reply, REPLY_FAILED,
			    "The database cannot be read");
	}
	json_close(&s->reply, ']');
	json_end(&s->reply);
}

static const struct column accounting_columns[] = {
	{ "File", -48 },        { "Records", 9 }, { "Pending", 9 },
	{ "Write Errors", 12 }, { NULL, 0 },
};

/* Of the files; the database has them all (acli.md 5.3) */
void show_accounting(struct session *s, const struct words *w, uint32_t at)
{
	struct records_state state;

	(void)w;
	(void)at;
	if (records_state(s->db, &state)) {
		reply_error(&s->reply, REPLY_FAILED, "There are no records");
		return;
	}
	const struct cell cells[] = {
		TEXT_CELL(state.file),
		NUMBER_CELL(state.records),
		NUMBER_CELL(state.pending),
		NUMBER_CELL(state.errors),
	};

	if (s->reply.json)
		json_begin(&s->reply, s->command, JSON_NO_WINDOW);
	table_begin(&s->reply, NULL, accounting_columns);
	table_row(&s->reply, accounting_columns, cells);
	table_end(&s->reply);
	if (s->reply.json)
		json_end(&s->reply);
}
