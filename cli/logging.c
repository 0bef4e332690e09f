/*
 * Levels of the log, sipmsg.log, log files
 */
#include <errno.h>
#include <string.h>
#include "store/log.h"
#include "store/number.h"
#include "store/records.h"
#include "store/versions.h"
#include "sbc/clock.h"
#include "sbc/trace.h"
#include "cli/arguments.h"
#include "cli/json.h"
#include "cli/logging.h"

enum {
	MINUTES_MAX = 10080 /* a week */
};

/* The components of a call: DEBUG of "the SIP part" (acli.md 2.6) */
static const enum log_component sip_part[] = { SIPD, SURROGATE, AUTH, POLICY,
					       REALMS };

void logging_folder(char *buf, size_t size, const struct system_config *system,
		    const struct database *db)
{
	if (*system->log_path)
		str_ncpy(buf, system->log_path, size);
	else if (database_beside(db, "log", buf, size))
		*buf = '\0';
}

/* --- As configured ---------------------------------------------------------- */

static enum log_level configured(const struct system_config *system,
				 enum log_component c)
{
	enum log_level level = (enum log_level)system->process_log_level;
	const char *name = log_component_name(c);
	size_t n = strlen(name);

	for (uint32_t i = 0; i < system->log_levels.n; i++) {
		const char *entry = system->log_levels.v[i];

		if (!strncmp(entry, name, n) && entry[n] == '=')
			level = (enum log_level)log_level_parse(entry + n + 1);
	}
	return level;
}

static void order_end(struct level_order *o)
{
	timer_cancel(&o->timer);
	o->until = 0;
}

void logging_close(struct control *c)
{
	for (int i = 0; i < LOG_COMPONENTS; i++)
		order_end(&c->levels[i]);
}

void logging_follow(struct control *c, const struct plan *plan,
		    const char *level)
{
	static bool traced; /* as the last plan had it */
	const struct system_config *system = plan->system;
	int err = 0;

	if (c)
		logging_close(c);
	for (int i = 0; i < LOG_COMPONENTS; i++)
		log_level_set(
			(enum log_component)i,
			level ? (enum log_level)log_level_parse(level)
			      : configured(system, (enum log_component)i));
	/* What an operator switched stays until call-trace says otherwise */
	if (system->call_trace != traced)
		err = trace_set(system->call_trace ? TRACE_MASKED : TRACE_OFF);
	traced = system->call_trace;
	if (err)
		log_error(SIPD, "siplog", "text=\"sipmsg.log: %s\"",
			  strerror(err));
}

/* --- show log-level ----------------------------------------------------------- */

void show_log_level(struct session *s, const struct words *w, uint32_t at)
{
	static const struct column columns[] = {
		{ "Component", -12 }, { "Level", -10 }, { "Until", -19 },
		{ "Configured", 0 },  { NULL, 0 },
	};
	const struct plan *plan = sbc_plan(s->sbc);
	(void)w;
	(void)at;

	if (s->reply.json)
		json_begin(&s->reply, s->command, JSON_NO_WINDOW);
	table_begin(&s->reply, NULL, columns);
	for (int c = 0; c < LOG_COMPONENTS; c++) {
		const enum log_component component = (enum log_component)c;
		const struct cell cells[] = {
			TEXT_CELL(log_component_name(component)),
			TEXT_CELL(log_level_name(log_level_get(component))),
			TIME_CELL(s->control->levels[c].until),
			TEXT_CELL(log_level_name(
				configured(plan->system, component))),
		};

		table_row(&s->reply, columns, cells);
	}
	table_end(&s->reply);
	if (s->reply.json)
		json_end(&s->reply);
	plan_give(plan);
}

/* --- log-level ------------------------------------------------------------------ */

static void over(void *arg)
{
	struct level_order *o = arg;

	o->until = 0;
	log_level_set(o->component, o->before);
	log_notice(CLI, "log-level", "component=%s level=%s by=timer",
		   log_component_name(o->component), log_level_name(o->before));
}

/* seconds 0: it holds */
static void order(struct control *c, enum log_component component,
		  enum log_level level, uint64_t seconds)
{
	struct level_order *o = &c->levels[component];

	if (!o->until)
		o->before = log_level_get(component);
	order_end(o);
	o->component = component;
	log_level_set(component, level);
	if (!seconds)
		return;
	o->until = clock_wall() + seconds;
	timer_start(&o->timer, seconds * 1000, over, o);
}

static int component_of(const char *word)
{
	if (!strcmp(word, "all"))
		return LOG_COMPONENTS;
	for (int c = 0; c < LOG_COMPONENTS; c++)
		if (!strcmp(word, log_component_name((enum log_component)c)))
			return c;
	return -1;
}

/* persist: one object of the editing configuration */
struct persisting {
	struct task task;
	int component, level;
	struct config *editing;
};

static void persisting_destructor(void *arg)
{
	struct persisting *p = arg;

	config_give(p->editing);
}

static int persist_load(struct task *task)
{
	struct persisting *p = (struct persisting *)task;

	return versions_load(&p->editing, task->control->setup.db,
			     VERSION_EDITING);
}

/* Entry of the component replaced, or all of them taken away by `all` */
static int levels_write(struct system_config *system,
			const struct persisting *p)
{
	const struct pl names = PL("log-levels");
	const struct field *f = field_find(&element_system_config, &names);
	struct value_fault fault;
	char text[1024] = "(";
	size_t at = 1;
	struct pl pl;

	for (uint32_t i = 0;
	     p->component < LOG_COMPONENTS && i < system->log_levels.n; i++) {
		const char *entry = system->log_levels.v[i];
		const char *name =
			log_component_name((enum log_component)p->component);
		size_t n = strlen(name);
		int len;

		if (!strncmp(entry, name, n) && entry[n] == '=')
			continue;
		len = re_snprintf(text + at, sizeof(text) - at, "%s ", entry);
		at += len > 0 ? (size_t)len : 0;
	}
	if (p->component < LOG_COMPONENTS) {
		int len = re_snprintf(
			text + at, sizeof(text) - at, "%s=%s",
			log_component_name((enum log_component)p->component),
			log_level_name((enum log_level)p->level));

		at += len > 0 ? (size_t)len : 0;
	} else {
		system->process_log_level = (uint8_t)p->level;
	}
	(void)re_snprintf(text + at, sizeof(text) - at, ")");
	pl_set_str(&pl, text);
	return field_read(f, system, &pl, &fault);
}

static int persist_store(struct task *task)
{
	struct persisting *p = (struct persisting *)task;
	const struct control_setup *setup = &task->control->setup;
	struct change change = { .type = &element_system_config };
	struct config *cfg = NULL;
	int err;

	err = item_copy(&change.item, change.type,
			config_single(p->editing, change.type));
	if (err)
		return err;
	err = levels_write(change.item, p);
	if (!err)
		err = config_change(&cfg, p->editing, &change, 1);
	if (err) {
		item_free(change.type, change.item);
		return err;
	}
	err = versions_edit_objects(setup->db, p->editing, cfg, setup->seal);
	config_give(cfg);
	if (!err)
		reply_line(&task->reply,
			   "It is in the editing configuration; save-config "
			   "and activate-config keep it.");
	return err;
}

static const struct step persist_steps[] = {
	{ ON_JOB, persist_load },
	{ ON_JOB, persist_store },
	{ ON_JOB, NULL },
};

static void persist(struct session *s, int component, int level)
{
	struct persisting *p;

	if (!control_lock(s))
		return;
	p = mem_zalloc(sizeof(*p), persisting_destructor);
	if (p) {
		p->component = component;
		p->level = level;
	}
	task_start(s, (struct task *)p, persist_steps, true);
}

/* [for MINUTES] [persist]; false: said what is wrong */
static bool order_words(struct session *s, const struct words *w, uint32_t at,
			uint64_t *minutes, bool *persists)
{
	for (; at < w->n; at++) {
		if (!strcmp(w->v[at], "persist")) {
			*persists = true;
		} else if (strcmp(w->v[at], "for") != 0) {
			reply_error(&s->reply, REPLY_UNKNOWN,
				    "Unexpected word [%s]", w->v[at]);
			return false;
		} else if (!arguments_number(&s->reply, w, at + 1, "for", 1,
					     MINUTES_MAX, minutes)) {
			return false;
		} else {
			at++;
		}
	}
	return true;
}

void log_level(struct session *s, const struct words *w, uint32_t at)
{
	uint64_t minutes = 0;
	bool persists = false;
	int component, level;

	if (w->n < at + 2) {
		reply_error(&s->reply, REPLY_ARGUMENT,
			    "Missing all or COMPONENT, and LEVEL");
		return;
	}
	component = component_of(w->v[at]);
	level = log_level_parse(w->v[at + 1]);
	if (component < 0) {
		reply_error(&s->reply, REPLY_ARGUMENT,
			    "There is no component [%s]", w->v[at]);
		return;
	}
	if (level < 0) {
		reply_error(&s->reply, REPLY_ARGUMENT, "There is no level [%s]",
			    w->v[at + 1]);
		return;
	}
	if (!order_words(s, w, at + 2, &minutes, &persists))
		return;

	for (int c = 0; c < LOG_COMPONENTS; c++)
		if (component == c || component == LOG_COMPONENTS)
			order(s->control, (enum log_component)c,
			      (enum log_level)level, minutes * 60);
	log_notice(CLI, "log-level", "component=%s level=%s minutes=%llu by=%s",
		   w->v[at], log_level_name((enum log_level)level),
		   (unsigned long long)minutes, s->user);
	if (minutes)
		reply_line(&s->reply, "Level of %s is %s for %llu minute%s.",
			   w->v[at], log_level_name((enum log_level)level),
			   minutes, minutes == 1 ? "" : "s");
	else
		reply_line(&s->reply,
			   "Level of %s is %s until the next change "
			   "of the running configuration.",
			   w->v[at], log_level_name((enum log_level)level));
	if (persists)
		persist(s, component, level);
}

/* --- notify sipd debug ------------------------------------------------------------ */

void notify_debug(struct session *s, const struct words *w, uint32_t at)
{
	const struct plan *plan = sbc_plan(s->sbc);
	uint64_t seconds = plan->system->debug_timeout, minutes = 0;
	struct pl pl = { NULL, 0 };

	plan_give(plan);
	if (at < w->n) {
		pl = range_of(w->v[at]);
		if (uint_parse(&minutes, &pl, MINUTES_MAX) || !minutes) {
			reply_error(&s->reply, REPLY_ARGUMENT,
				    "MINUTES [%r] is out of range 1-%u", &pl,
				    MINUTES_MAX);
			return;
		}
		seconds = minutes * 60;
	}
	for (size_t i = 0; i < ARRAY_SIZE(sip_part); i++)
		order(s->control, sip_part[i], LEVEL_DEBUG, seconds);
	log_notice(CLI, "debug", "seconds=%llu by=%s",
		   (unsigned long long)seconds, s->user);
	if (seconds)
		reply_line(&s->reply, "Level of the SIP part is DEBUG for %H.",
			   duration_print, &(struct duration){ seconds });
	else
		reply_line(&s->reply, "Level of the SIP part is DEBUG.");
}

void notify_nodebug(struct session *s, const struct words *w, uint32_t at)
{
	const struct plan *plan = sbc_plan(s->sbc);
	(void)w;
	(void)at;

	for (size_t i = 0; i < ARRAY_SIZE(sip_part); i++) {
		struct level_order *o = &s->control->levels[sip_part[i]];
		bool timed = o->until != 0;

		order_end(o);
		log_level_set(sip_part[i],
			      timed ? o->before
				    : configured(plan->system, sip_part[i]));
	}
	plan_give(plan);
	log_notice(CLI, "debug", "seconds=0 by=%s", s->user);
	reply_line(&s->reply, "Debugging of the SIP part is off.");
}

/* --- notify sipd siplog ------------------------------------------------------------ */

static void siplog(struct session *s, enum trace_mode mode, const char *now)
{
	int err = trace_set(mode);

	if (err) {
		reply_error(&s->reply, REPLY_FAILED,
			    "sipmsg.log cannot be written: %m", err);
		return;
	}
	log_notice(CLI, "siplog", "mode=%s by=%s",
		   mode == TRACE_OFF    ? "off"
		   : mode == TRACE_FULL ? "full"
					: "masked",
		   s->user);
	reply_line(&s->reply, "%s", now);
}

void notify_siplog(struct session *s, const struct words *w, uint32_t at)
{
	if (at < w->n && strcmp(w->v[at], "full") != 0)
		reply_error(&s->reply, REPLY_UNKNOWN,
			    "Unknown word [%s], possible here: full", w->v[at]);
	else if (at < w->n)
		siplog(s, TRACE_FULL,
		       "SIP messages go to sipmsg.log, digest responses too.");
	else
		siplog(s, TRACE_MASKED,
		       "SIP messages go to sipmsg.log, digest responses "
		       "masked.");
}

void notify_nosiplog(struct session *s, const struct words *w, uint32_t at)
{
	(void)w;
	(void)at;
	siplog(s, TRACE_OFF, "SIP messages go nowhere.");
}

/* --- notify all trace ------------------------------------------------------------- */

void notify_trace(struct session *s, const struct words *w, uint32_t at)
{
	struct sa only;
	bool all = at < w->n && !strcmp(w->v[at], "all");
	struct pl address = { NULL, 0 };
	int err;

	if (at + 2 != w->n) {
		reply_error(&s->reply, REPLY_ARGUMENT,
			    at + 2 > w->n ? "Missing %s"
					  : "Unexpected word [%s]",
			    at + 2 < w->n ? w->v[at + 2]
			    : at < w->n   ? "FILE"
					  : "ADDR or all, and FILE");
		return;
	}
	address = range_of(w->v[at]);
	if (!all && sa_set(&only, &address, 0)) {
		reply_error(&s->reply, REPLY_ARGUMENT, "[%s] is not an address",
			    w->v[at]);
		return;
	}
	err = trace_capture(w->v[at + 1], all ? NULL : &only);
	if (err == EINVAL) {
		reply_error(&s->reply, REPLY_ARGUMENT,
			    "FILE [%s] is no name: it lies in the folder of "
			    "the logs",
			    w->v[at + 1]);
		return;
	}
	if (err) {
		reply_error(&s->reply, REPLY_FAILED, "%s cannot be written: %m",
			    w->v[at + 1], err);
		return;
	}
	log_notice(CLI, "trace", "address=%s file=%s by=%s", w->v[at],
		   w->v[at + 1], s->user);
	reply_line(&s->reply, "SIP messages of %s go to %s.",
		   all ? "all peers" : w->v[at], w->v[at + 1]);
}

void notify_notrace(struct session *s, const struct words *w, uint32_t at)
{
	bool was = trace_is_capturing();
	(void)w;
	(void)at;

	(void)trace_capture(NULL, NULL);
	log_notice(CLI, "trace", "address=- by=%s", s->user);
	reply_line(&s->reply,
		   was ? "The trace has ended." : "There was no trace.");
}

void rotate_logs(struct session *s, const struct words *w, uint32_t at)
{
	(void)w;
	(void)at;
	log_reopen();
	trace_reopen();
	(void)records_anew(s->db);
	reply_line(&s->reply, "Log and record files are opened anew.");
}
