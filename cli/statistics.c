/*
 * Statistics: tables of gauges and events, and reset
 */
#include <string.h>
#include "sbc/clock.h"
#include "sbc/counters.h"
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

void show_registration(struct session *s, const struct words *w, uint32_t at)
{
	(void)w;
	(void)at;
	table_say(s, &registration);
}

void show_refusals(struct session *s, const struct words *w, uint32_t at)
{
	(void)w;
	(void)at;
	table_say(s, &refusals);
}

void show_media(struct session *s, const struct words *w, uint32_t at)
{
	(void)w;
	(void)at;
	table_say(s, &media);
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
	{ "media",          { "media" } },
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
	reply_line(&s->reply, "Reset: %s.", word);
}
