/*
 * show users, memory, processes, support-info; clear-cache: what is inside
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "store/base.h"
#include "store/text.h"
#include "sbc/calls.h"
#include "sbc/clock.h"
#include "sbc/counters.h"
#include "sbc/nonces.h"
#include "sbc/pair.h"
#include "sbc/resolver.h"
#include "sbc/shed.h"
#include "sbc/surrogates.h"
#include "sbc/transaction.h"
#include "sbc/forward.h"
#include "cli/control.h"
#include "cli/inside.h"
#include "cli/json.h"
#include "cli/logfiles.h"
#include "cli/logging.h"
#include "cli/show.h"
#include "cli/sipd.h"
#include "cli/statistics.h"
#include "cli/system.h"
#include "cli/tree.h"

/* --- show users ---------------------------------------------------------------- */

static const struct column user_columns[] = {
	{ "Connection", 10 }, { "User", -24 }, { "From", -16 }, { "Mode", -9 },
	{ "Since", -19 },     { "Idle", 8 },   { "Lock", 0 },   { NULL, 0 },
};

static void user_row(const struct session_report *x, void *arg)
{
	struct session *s = arg;
	const struct session *of = x->session;
	const char *host = strchr(of->user, '@');
	char user[64];
	const struct cell cells[] = {
		NUMBER_CELL(of->number),
		TEXT_CELL(user),
		TEXT_CELL(host ? host + 1 : ""),
		TEXT_CELL(of->configure                ? "configure"
			  : of->mode == MODE_SUPERUSER ? "superuser"
						       : "user"),
		TIME_CELL(x->since),
		SECONDS_CELL(x->idle),
		FLAG_CELL(s->control->owner == of),
	};

	str_ncpy(user, of->user, sizeof(user));
	user[strcspn(user, "@")] = '\0';
	table_row(&s->reply, user_columns, cells);
}

void show_users(struct session *s, const struct words *w, uint32_t at)
{
	const struct control_setup *setup = &s->control->setup;
	(void)w;
	(void)at;

	if (s->reply.json)
		json_begin(&s->reply, s->command, JSON_NO_WINDOW);
	table_begin(&s->reply, NULL, user_columns);
	if (setup->sessions)
		setup->sessions(user_row, s, setup->arg);
	table_end(&s->reply);
	if (s->reply.json)
		json_end(&s->reply);
}

/* --- show memory ----------------------------------------------------------------- */

static const struct column memory_columns[] = {
	{ "Pool", -18 }, { "Objects", 10 }, { "Bytes", 14 },
	{ "High", 14 },  { "Limit", 12 },   { NULL, 0 },
};

struct pools {
	uint64_t calls, pairs, transactions, registrations;
	uint64_t nonces, answers, flows;
	uint64_t objects; /* of the configuration */
	size_t next;
	uint32_t nonces_limit;
};

static void answer_count(const struct resolver_row *row, void *arg)
{
	(void)row;
	++((struct pools *)arg)->answers;
}

static void pools_look(struct worker *w, void *arg)
{
	struct pools *p = arg;
	uint32_t alive, remainders, counts[SUR_STATES];

	p->calls += calls_count(w->calls);
	p->pairs += pairs_count(w->pairs);
	transactions_count(w->transactions, &alive, &remainders);
	p->transactions += (uint64_t)alive + remainders;
	surrogates_count(w->surrogates, counts);
	for (int i = 0; i < SUR_STATES; i++)
		p->registrations += counts[i];
	p->nonces += nonces_count(w->nonces);
	p->nonces_limit += w->plan->sip->nonce_cache_size;
	for (uint32_t i = 0; i < w->forwards_n; i++)
		p->flows += forward_flows(w->forward[i]);
	for (const struct element *const *e = elements; *e && !w->number; e++)
		p->objects += (*e)->flags & SINGLE
				      ? 1
				      : config_count(w->plan->config, *e);
}

static void answers_slice(struct worker *w, void *arg)
{
	struct pools *p = arg;

	p->next = resolver_walk(w->resolver, p->next, 200, answer_count, p);
}

/* "VmRSS:     1234 kB" of /proc/self/status [bytes] */
static uint64_t status_of(const char *name)
{
	FILE *f = fopen("/proc/self/status", "re");
	unsigned long long kb = 0;
	char line[256];
	size_t n = strlen(name);

	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, name, n) && line[n] == ':')
			kb = strtoull(line + n + 1, NULL, 10);
	if (f)
		fclose(f);
	return kb * 1024;
}

static void pool_row(struct reply *r, const char *name, uint64_t objects,
		     uint64_t bytes, uint64_t high, uint64_t limit)
{
	const struct cell cells[] = {
		TEXT_CELL(name),
		{ objects == UINT64_MAX ? CELL_NONE : CELL_NUMBER, NULL,
		  (int64_t)objects },
		{ bytes ? CELL_NUMBER : CELL_NONE, NULL, (int64_t)bytes },
		{ high ? CELL_NUMBER : CELL_NONE, NULL, (int64_t)high },
		{ limit ? CELL_NUMBER : CELL_NONE, NULL, (int64_t)limit },
	};

	table_row(r, memory_columns, cells);
}

void show_memory(struct session *s, const struct words *w, uint32_t at)
{
	const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	const uint64_t all = (uint64_t)sysconf(_SC_PHYS_PAGES) * page;
	struct pools p = { .next = 0 };
	uint64_t resident, high;
	struct reply *r = &s->reply;

	if (at < w->n && strcmp(w->v[at], "usage") != 0) {
		reply_error(r, REPLY_UNKNOWN,
			    "Unknown word [%s], possible here: usage",
			    w->v[at]);
		return;
	}
	sbc_ask(s->sbc, pools_look, &p);
	session_walk(s, answers_slice, &p, &p.next);

	if (r->json) {
		json_begin(r, s->command, JSON_NO_WINDOW);
		json_open(r, NULL, '{');
		json_number(r, "total-memory", (int64_t)all);
	} else {
		reply_line(r, "Total Memory: %llu MB", all >> 20);
	}
	table_begin(r, "pools", memory_columns);
	resident = status_of("VmRSS");
	high = status_of("VmHWM");
	/* the kernel counts both in part for each processor */
	pool_row(r, "process", UINT64_MAX, resident,
		 high > resident ? high : resident, all);
	pool_row(r, "sessions", p.calls + p.pairs, 0, 0, 0);
	pool_row(r, "transactions", p.transactions, 0, 0, 1 << 21);
	pool_row(r, "registrations", p.registrations, 0, 0, 0);
	pool_row(r, "nonce cache", p.nonces, 0, 0, p.nonces_limit);
	pool_row(r, "DNS cache", p.answers, 0, 0, 0);
	pool_row(r, "flows", p.flows, 0, 0, 0);
	pool_row(r, "configuration", p.objects, 0, 0, 0);
	table_end(r);
	if (r->json) {
		json_close(r, '}');
		json_end(r);
	}
}

/* --- show processes cpu -------------------------------------------------------------- */

enum {
	THREADS = 96,
	SAMPLE = 500 /* [ms] */
};

struct thread_use {
	int id;
	char name[24];
	uint64_t before, now; /* [ticks] */
};

struct processes {
	struct task task; /* first */
	char command[256];
	struct thread_use v[THREADS];
	size_t n;
	uint64_t up; /* [s] */
	struct shed_report shed[SIP_WORKERS];
};

/* Name, and the sum of utime and stime (proc(5)); false: the thread ended */
static bool thread_read(int id, char name[24], uint64_t *ticks)
{
	char path[64], line[512], *p;
	unsigned long long user, kernel;
	FILE *f;

	(void)snprintf(path, sizeof(path), "/proc/self/task/%d/stat", id);
	f = fopen(path, "re");
	if (!f)
		return false;
	p = fgets(line, sizeof(line), f);
	fclose(f);
	/* the name stands in parentheses and may hold blanks */
	p = p ? strrchr(line, ')') : NULL;
	if (!p ||
	    sscanf(p + 1,
		   " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu",
		   &user, &kernel) != 2)
		return false;
	*p = '\0';
	p = strchr(line, '(');
	str_ncpy(name, p ? p + 1 : "?", 24);
	*ticks = user + kernel;
	return true;
}

static void threads_list(struct processes *p)
{
	DIR *d = opendir("/proc/self/task");
	struct dirent *e;

	while (d && (e = readdir(d)) && p->n < THREADS) {
		struct thread_use *t = &p->v[p->n];

		t->id = atoi(e->d_name);
		if (t->id && thread_read(t->id, t->name, &t->before))
			p->n++;
	}
	if (d)
		closedir(d);
}

static void shed_ask(struct worker *w, void *arg)
{
	struct processes *p = arg;

	if (w->shed)
		shed_report(w->shed, &p->shed[w->number]);
}

static const struct column thread_columns[] = {
	{ "Thread", -16 }, { "CPU s", 10 },       { "Now %", 7 },
	{ "Avg %", 7 },    { "Loop Lag ms", 11 }, { NULL, 0 },
};

static void thread_row(struct reply *r, const struct processes *p,
		       const struct thread_use *t, uint64_t took)
{
	const uint64_t hz = (uint64_t)sysconf(_SC_CLK_TCK);
	const uint64_t up = p->up ? p->up : 1;
	/* the wait of messages is that of a signalling thread: sip-N */
	const uint32_t number = !strncmp(t->name, "sip-", 4)
					? (uint32_t)atoi(t->name + 4)
					: SIP_WORKERS;
	const uint32_t wait =
		number < SIP_WORKERS ? p->shed[number].wait : SHED_UNKNOWN;
	const struct cell cells[] = {
		TEXT_CELL(t->name),
		THOUSANDTHS_CELL(t->now * 1000 / hz),
		NUMBER_CELL((t->now - t->before) * 100 * 1000 / hz / took),
		NUMBER_CELL(t->now * 100 / hz / up),
		{ wait != SHED_UNKNOWN ? CELL_NUMBER : CELL_NONE, NULL, wait },
	};

	table_row(r, thread_columns, cells);
}

static int processes_act(struct task *task)
{
	struct processes *p = (struct processes *)task;
	struct reply *r = &task->reply;
	const uint64_t begin = clock_ms();
	uint64_t took;

	threads_list(p);
	clock_rest(SAMPLE * 1000);
	took = clock_ms() - begin;
	sbc_ask(task->control->setup.sbc, shed_ask, p);
	if (r->json)
		json_begin(r, p->command, JSON_NO_WINDOW);
	table_begin(r, NULL, thread_columns);
	for (size_t i = 0; i < p->n; i++)
		if (thread_read(p->v[i].id, p->v[i].name, &p->v[i].now))
			thread_row(r, p, &p->v[i], took ? took : 1);
	table_end(r);
	if (r->json)
		json_end(r);
	return 0;
}

void show_processes(struct session *s, const struct words *w, uint32_t at)
{
	static const struct step steps[] = { { ON_JOB, processes_act }, { 0 } };
	struct processes *p = mem_zalloc(sizeof(*p), NULL);
	(void)w;
	(void)at;

	if (p) {
		str_ncpy(p->command, s->command, sizeof(p->command));
		p->up = (clock_ms() - s->control->began) / 1000;
		for (size_t i = 0; i < SIP_WORKERS; i++)
			p->shed[i].wait = SHED_UNKNOWN;
	}
	task_start(s, (struct task *)p, steps, false);
}

/* --- show support-info ------------------------------------------------------------------- */

enum {
	LOG_LINES = 1000
};

/* Of a document: its member is called so */
static void part_name(struct session *s, const char *name, const char *what)
{
	(void)re_snprintf(s->command, sizeof(s->command), "%s%s%s", name,
			  what ? " " : "", what ? what : "");
}

static void health(struct session *s, const struct words *w, uint32_t at)
{
	(void)w;
	(void)at;
	(void)health_say(s);
}

static void statistics(struct session *s, const struct words *w, uint32_t at)
{
	static const char *const tables[] = {
		"status",
		"sessions",
		"transactions",
		"errors",
		"policy",
		"authentication",
		"agents",
		"realms",
		"interface",
		"rate",
		"registration-queue",
		"invite",
		"cancel",
		"bye",
		"options",
		"register",
		"info",
		"prack",
		"update",
		"refer",
		"subscribe",
		"notify",
		"message",
		"publish",
	};
	(void)w;
	(void)at;

	for (size_t i = 0; i < ARRAY_SIZE(tables); i++) {
		const struct words one = { .v = { (char *)tables[i] }, .n = 1 };

		part_name(s, "sipd", tables[i]);
		show_sipd(s, &one, 0);
	}
	part_name(s, "registration", NULL);
	statistics_registration(s);
	part_name(s, "media", NULL);
	statistics_media(s, false);
	part_name(s, "media", "errors");
	statistics_media(s, true);
}

/* Most of it is the configuration, which the job thread writes: nobody else waits
 * meanwhile, and who asked hears that there is life (acli.md 1.10) */
struct support {
	struct task task;
	const struct plan *plan;
	char command[256];
};

static void support_destructor(void *arg)
{
	plan_give(((struct support *)arg)->plan);
}

/* On either thread */
static void part_title(struct reply *r, const char *title)
{
	if (!r->json)
		reply_line(r, "===== %s", title);
}

static int support_begin(struct task *task)
{
	struct support *x = (struct support *)task;
	struct reply *r = &task->reply;

	if (r->json) {
		json_begin(r, x->command,
			   counters_window_of("sipd", clock_ms()));
		json_open(r, NULL, '{');
	}
	r->nested = r->json;

	return 0;
}

/* Parts that are said in a session say it to the task */
static int support_say(struct task *task,
		       void (*say)(struct session *s, const struct words *w,
				   uint32_t at),
		       const char *title)
{
	static const struct words none = { .n = 0 };
	struct session *s = task->session;
	struct reply own;

	if (!s)
		return ECANCELED; /* nobody listens any more */
	own = s->reply;
	s->reply = task->reply;
	part_title(&s->reply, title);
	part_name(s, title, NULL);
	say(s, &none, 0);
	task->reply = s->reply;
	s->reply = own;

	return 0;
}

static int support_state(struct task *task)
{
	static const struct {
		const char *title;
		void (*say)(struct session *s, const struct words *w,
			    uint32_t at);
	} parts[] = {
		{ "version", show_version },
		{ "uptime", show_uptime },
		{ "health", health },
		{ "alarms", show_alarms },
		{ "memory", show_memory },
		{ "users", show_users },
		{ "log-level", show_log_level },
		{ "sip interface", show_sip_interface },
		{ "realm", show_realm },
		{ "statistics", statistics },
		{ "refusals", show_refusals },
	};
	struct support *x = (struct support *)task;
	int err = 0;

	x->plan = sbc_plan(task->control->setup.sbc);
	for (size_t i = 0; !err && i < ARRAY_SIZE(parts); i++)
		err = support_say(task, parts[i].say, parts[i].title);

	return err;
}

static int support_config(struct task *task)
{
	struct support *x = (struct support *)task;
	const struct text_setup text = { .cfg = x->plan->config };
	const struct tree_setup tree = { .cfg = x->plan->config };
	struct reply *r = &task->reply;

	part_title(r, "running-config");
	if (r->json) {
		json_begin(r, "running-config", JSON_NO_WINDOW);
		tree_json(r, &tree);
		json_end(r);
	} else {
		reply_print(r, (re_printf_h *)text_print, &text);
	}

	return 0;
}

/* Nothing where the log is no file */
static void log_last(struct session *s, const struct words *w, uint32_t at)
{
	struct reply *r = &s->reply;
	int err;
	(void)w;
	(void)at;

	if (r->json) {
		json_begin(r, s->command, JSON_NO_WINDOW);
		json_open(r, NULL, '[');
	}
	err = logfile_say(s, "sbc.log", LOG_LINES);
	if (r->json)
		json_close(r, ']');
	else if (err)
		reply_line(r, "sbc.log cannot be read here.");
}

static int support_end(struct task *task)
{
	struct support *x = (struct support *)task;
	struct reply *r = &task->reply;
	int err = support_say(task, log_last, "log");

	if (err)
		return err;
	str_ncpy(task->session->command, x->command,
		 sizeof(task->session->command));
	r->nested = false;
	if (r->json) {
		json_close(r, '}');
		json_end(r);
	}

	return 0;
}

void show_support_info(struct session *s, const struct words *w, uint32_t at)
{
	static const struct step steps[] = {
		{ ON_JOB, support_begin },  { ON_FRONT, support_state },
		{ ON_JOB, support_config }, { ON_FRONT, support_end },
		{ ON_JOB, NULL },
	};
	struct support *x = mem_zalloc(sizeof(*x), support_destructor);
	(void)w;
	(void)at;

	if (x)
		str_ncpy(x->command, s->command, sizeof(x->command));
	task_start(s, (struct task *)x, steps, false);
}

/* --- clear-cache ----------------------------------------------------------------------- */

struct clearing {
	const char *name; /* of DNS; NULL: all */
	uint32_t names;
};

static void clear_dns(struct worker *w, void *arg)
{
	struct clearing *c = arg;

	c->names += resolver_clear(w->resolver, c->name);
}

static void clear_nonces(struct worker *w, void *arg)
{
	(void)arg;
	nonces_clear(w->nonces);
}

static void clear_credentials(struct worker *w, void *arg)
{
	(void)arg;
	credentials_changed(w->credentials);
}

void clear_cache(struct session *s, const struct words *w, uint32_t at)
{
	static const struct {
		const char *word;
		void (*clear)(struct worker *w, void *arg);
	} caches[] = {
		{ "dns", clear_dns },
		{ "nonce", clear_nonces },
		{ "credentials", clear_credentials },
	};
	const char *word = strchr(s->command, ' ') + 1;
	size_t n = strcspn(word, " ");
	struct clearing c = { .name = at < w->n ? w->v[at] : NULL };
	size_t i = 0;

	while (strncmp(word, caches[i].word, n) != 0)
		i++;
	if (at + (i ? 0 : 1) < w->n) {
		reply_error(&s->reply, REPLY_ARGUMENT, "Unexpected word [%s]",
			    w->v[at + (i ? 0 : 1)]);
		return;
	}
	sbc_ask(s->sbc, caches[i].clear, &c);
	if (!c.name)
		reply_line(&s->reply, "The %s cache is empty.", caches[i].word);
	else if (c.names)
		reply_line(&s->reply, "%u answer%s for %s %s forgotten.",
			   c.names, c.names == 1 ? "" : "s", c.name,
			   c.names == 1 ? "is" : "are");
	else
		reply_error(&s->reply, REPLY_FAILED,
			    "There is no answer for [%s]", c.name);
}
