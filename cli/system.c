/*
 * The program itself: versions, uptime, health, DNS cache
 */
#include <errno.h>
#include <string.h>
#include "store/base.h"
#include <re_sys.h>
#include "store/credentials.h"
#include "store/seal.h"
#include "store/number.h"
#include "store/versions.h"
#include "store/yaml.h"
#include "sbc/alarm.h"
#include "sbc/clock.h"
#include "sbc/resolver.h"
#include "sbc/thresholds.h"
#include "cli/build.h"
#include "cli/control.h"
#include "cli/cut.h"
#include "cli/json.h"
#include "cli/seen.h"
#include "cli/system.h"

enum {
	SLICE = 200,
};

/* --- Versions, uptime ---------------------------------------------------- */

void show_version(struct session *s, const struct words *w, uint32_t at)
{
	const struct {
		const char *name, *text;
	} texts[] = {
		{ "sbcd", SBC_VERSION },
		{ "commit", BUILD_COMMIT },
		{ "built", BUILD_DAY },
		{ "libre", sys_libre_version_get() },
		{ "OpenSSL", seal_library() },
		{ "c-ares", resolver_library() },
		{ "SQLite", database_library() },
		{ "libyaml", yaml_library() },
	};
	const uint32_t schema = database_schema();
	uint32_t saved = 0, running = 0;
	struct reply *r = &s->reply;
	(void)w;
	(void)at;

	(void)versions_numbers(s->db, &saved, &running);
	if (r->json) {
		json_begin(r, s->command, JSON_NO_WINDOW);
		json_open(r, NULL, '{');
		for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
			json_text(r, texts[i].name, texts[i].text);
		json_number(r, "database-schema", schema);
		json_number(r, "saved-configuration", saved);
		json_number(r, "running-configuration", running);
		json_close(r, '}');
		json_end(r);
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		reply_line(r, "%-21s  %s", texts[i].name, texts[i].text);
	reply_line(r,
		   "database schema        %u\n"
		   "saved configuration    %u\n"
		   "running configuration  %u",
		   schema, saved, running);
}

/* "FRI NOV 20 13:02:55 2026 - up 0 days, 3 hours, 42 minutes, 30 seconds" */
void show_uptime(struct session *s, const struct words *w, uint32_t at)
{
	static const char days[7][4] = { "SUN", "MON", "TUE", "WED",
					 "THU", "FRI", "SAT" };
	static const char months[12][4] = { "JAN", "FEB", "MAR", "APR",
					    "MAY", "JUN", "JUL", "AUG",
					    "SEP", "OCT", "NOV", "DEC" };
	uint64_t up = (clock_ms() - s->control->began) / 1000;
	struct local_time now;
	uint64_t n;
	(void)w;
	(void)at;

	clock_local(&now);
	n = now.now;
	if (s->reply.json) {
		json_begin(&s->reply, s->command, JSON_NO_WINDOW);
		json_open(&s->reply, NULL, '{');
		json_number(&s->reply, "uptime", (int64_t)up);
		json_close(&s->reply, '}');
		json_end(&s->reply);
		return;
	}
	reply_line(&s->reply,
		   "%s %s %02llu %02llu:%02llu:%02llu %llu - up %llu days, "
		   "%llu hours, %llu minutes, %llu seconds",
		   days[now.weekday % 7],
		   months[(n / 100000000 % 100 + 11) % 12], n / 1000000 % 100,
		   n / 10000 % 100, n / 100 % 100, n % 100, n / 10000000000,
		   up / 86400, up % 86400 / 3600, up % 3600 / 60, up % 60);
}

/* --- Health -------------------------------------------------------------- */

enum health {
	HEALTH_OK,
	HEALTH_WARN,
	HEALTH_FAIL
};
static const char *const health_names[] = { "ok", "warn", "fail" };

/* A check is what its alarms say; the disk and the database are looked at */
static const struct {
	const char *check;
	const char *alarms[5];
} checks[] = {
	{ "loop lag", { "loop-lag" } },
	{ "database", { "database-error", "database-slow" } },
	{ "disk", { "disk-space" } },
	{ "memory", { "memory", "deny-allocation" } },
	{ "dns", { "dns-server-down" } },
	{ "sip-ports", { "sip-port-down" } },
	{ "registrars",
	  { "surrogate-registrar-unreachable",
	    "surrogate-credentials-refused" } },
	{ "agents", { "session-agent-down", "session-group-down" } },
	{ "media", { "steering-pool-empty", "steering-pool-low" } },
	{ "records", { "cdr-write-failed" } },
	{ "files", { "key-file", "audit-write-failed", "log-write-failed" } },
};

struct checked {
	enum health state[ARRAY_SIZE(checks)];
	uint64_t since[ARRAY_SIZE(checks)];
	char detail[ARRAY_SIZE(checks)][160];
};

static enum health health_of(enum alarm_level level)
{
	return level >= ALARM_CRITICAL ? HEALTH_FAIL : HEALTH_WARN;
}

static void alarm_check(const struct alarm_report *a, void *arg)
{
	struct checked *c = arg;

	for (size_t i = 0; i < ARRAY_SIZE(checks); i++) {
		for (const char *const *name = checks[i].alarms; *name;
		     name++) {
			if (strcmp(*name, a->name) ||
			    health_of(a->severity) < c->state[i])
				continue;
			c->state[i] = health_of(a->severity);
			c->since[i] = a->first;
			(void)re_snprintf(c->detail[i], sizeof(c->detail[i]),
					  "%s: %s", a->object, a->text);
		}
	}
}

static void health_note(struct checked *c, const char *check, enum health state,
			const char *detail)
{
	for (size_t i = 0; i < ARRAY_SIZE(checks); i++) {
		if (strcmp(checks[i].check, check) || state < c->state[i])
			continue;
		c->state[i] = state;
		str_ncpy(c->detail[i], detail, sizeof(c->detail[i]));
	}
}

static void disk_check(struct checked *c, const struct database *db)
{
	const uint32_t used = threshold_disk(database_path(db));
	char text[64];

	if (used == THRESHOLD_UNKNOWN)
		return;
	(void)re_snprintf(text, sizeof(text), "%u %% used", used);
	health_note(c, "disk",
		    used >= 95   ? HEALTH_FAIL
		    : used >= 80 ? HEALTH_WARN
				 : HEALTH_OK,
		    text);
}

bool health_say(struct session *s)
{
	static const struct column columns[] = {
		{ "Check", -12 }, { "State", -5 }, { "Since", -19 },
		{ "Detail", 0 },  { NULL, 0 },
	};
	struct checked c = { 0 };
	enum health worst = HEALTH_OK;

	alarms_walk(false, alarm_check, &c);
	if (database_failing(s->db))
		health_note(&c, "database", HEALTH_FAIL, "writes fail");
	disk_check(&c, s->db);

	if (s->reply.json) {
		json_begin(&s->reply, s->command, JSON_NO_WINDOW);
		json_open(&s->reply, NULL, '{');
	}
	table_begin(&s->reply, "checks", columns);
	for (size_t i = 0; i < ARRAY_SIZE(checks); i++) {
		const struct cell cells[] = {
			TEXT_CELL(checks[i].check),
			TEXT_CELL(health_names[c.state[i]]),
			TIME_CELL(c.since[i]),
			TEXT_CELL(c.detail[i]),
		};

		worst = c.state[i] > worst ? c.state[i] : worst;
		table_row(&s->reply, columns, cells);
	}
	table_end(&s->reply);
	if (s->reply.json) {
		json_text(&s->reply, "health", health_names[worst]);
		json_close(&s->reply, '}');
		json_end(&s->reply);
	} else {
		reply_line(&s->reply, "Health: %s", health_names[worst]);
	}
	return worst != HEALTH_FAIL;
}

void show_health(struct session *s, const struct words *w, uint32_t at)
{
	(void)w;
	(void)at;
	if (!health_say(s))
		reply_error(&s->reply, REPLY_FAILED, "A check fails");
}

/* --- DNS ----------------------------------------------------------------- */

struct dns_list {
	struct session *s;
	const char *only;
	size_t next;
	struct cut cut;
};

/* Each worker asks its servers itself */
struct servers_sum {
	struct resolver_servers *v;
	uint32_t n;
};

static const struct column server_columns[] = {
	{ "Servers", -40 }, { "State", -10 }, { "Round Trip", 10 },
	{ "Answered", 9 },  { "Lost", 9 },    { "Silent", 6 },
	{ NULL, 0 },
};

static const struct column dns_columns[] = {
	{ "Name", -40 },    { "Type", -5 },   { "TTL", 7 },
	{ "Servers", -22 }, { "Answers", 0 }, { NULL, 0 },
};

static const char *servers_name(const char *servers)
{
	return *servers ? servers : "resolv.conf";
}

static void servers_sum_destructor(void *arg)
{
	struct servers_sum *sum = arg;

	for (uint32_t i = 0; i < sum->n; i++)
		mem_deref((void *)(uintptr_t)sum->v[i].servers);
	mem_deref(sum->v);
}

static struct resolver_servers *servers_of(struct servers_sum *sum,
					   const char *servers)
{
	struct resolver_servers *v;
	char *name;

	for (uint32_t i = 0; i < sum->n; i++)
		if (!strcmp(sum->v[i].servers, servers))
			return &sum->v[i];
	v = mem_reallocarray(sum->v, sum->n + 1, sizeof(*v), NULL);
	if (!v)
		return NULL;
	sum->v = v;
	if (str_dup(&name, servers))
		return NULL;
	v[sum->n] = (struct resolver_servers){ .servers = name };

	return &v[sum->n++];
}

/* The worst that a worker saw of them, and all that was asked */
static void servers_join(const struct resolver_servers *x, void *arg)
{
	struct resolver_servers *to = servers_of(arg, x->servers);

	if (!to)
		return;
	to->down |= x->down;
	if (x->silent > to->silent)
		to->silent = x->silent;
	if (x->trip > to->trip)
		to->trip = x->trip;
	to->answered += x->answered;
	to->lost += x->lost;
}

static void servers_take(struct worker *w, void *arg)
{
	resolver_servers_walk(w->resolver, servers_join, arg);
}

/* Round trips are in thousandths of a second */
static void server_row(const struct resolver_servers *x, struct session *to)
{
	const struct cell cells[] = {
		TEXT_CELL(servers_name(x->servers)),
		TEXT_CELL(x->down     ? "down"
			  : x->silent ? "silent"
			  : x->trip   ? "in service"
				      : "unused"),
		{ x->trip ? CELL_THOUSANDTHS : CELL_NONE, NULL,
		  (x->trip + 500) / 1000 },
		NUMBER_CELL(x->answered),
		NUMBER_CELL(x->lost),
		NUMBER_CELL(x->silent),
	};

	table_row(&to->reply, server_columns, cells);
}

static void servers_rows(struct session *s)
{
	struct servers_sum *sum =
		mem_zalloc(sizeof(*sum), servers_sum_destructor);

	if (!sum)
		return;
	sbc_ask(s->sbc, servers_take, sum);
	for (uint32_t i = 0; i < sum->n; i++)
		server_row(&sum->v[i], s);
	mem_deref(sum);
}

static void dns_row(const struct resolver_row *row, void *arg)
{
	struct dns_list *list = arg;
	const struct cell cells[] = {
		TEXT_CELL(row->name),    TEXT_CELL(row->type),
		NUMBER_CELL(row->ttl),   TEXT_CELL(servers_name(row->servers)),
		TEXT_CELL(row->answers),
	};

	if (list->only && strcasecmp(list->only, row->name))
		return;
	if (cut_row(&list->cut))
		table_row(&list->s->reply, dns_columns, cells);
}

static void dns_slice(struct worker *w, void *arg)
{
	struct dns_list *list = arg;

	list->next =
		resolver_walk(w->resolver, list->next, SLICE, dns_row, list);
}

void show_dns(struct session *s, const struct words *w, uint32_t at)
{
	struct dns_list list = { .s = s };
	struct words rest;

	if (!cut_words(&list.cut, &s->reply, w, at, &rest))
		return;
	if (at < rest.n)
		list.only = rest.v[at];
	if (at + 1 < rest.n) {
		reply_error(&s->reply, REPLY_ARGUMENT, "Unexpected word [%s]",
			    rest.v[at + 1]);
		return;
	}

	if (s->reply.json) {
		json_begin(&s->reply, s->command, JSON_NO_WINDOW);
		json_open(&s->reply, NULL, '{');
	}
	table_begin(&s->reply, "servers", server_columns);
	servers_rows(s);
	table_end(&s->reply);
	if (!s->reply.json)
		reply_line(&s->reply, "");
	table_begin(&s->reply, "cache", dns_columns);
	session_walk(s, dns_slice, &list, &list.next);
	table_end(&s->reply);
	if (s->reply.json)
		json_close(&s->reply, '}');
	(void)cut_end(&list.cut, &s->reply);
	if (s->reply.json)
		json_end(&s->reply);
}
