/*
 * verify-config: rules over a configuration, the findings into an answer
 */
#include <errno.h>
#include <string.h>
#include "store/verify.h"
#include "store/versions.h"
#include "sbc/clock.h"
#include "cli/check.h"
#include "cli/inquiry.h"

/* What is looked at, and what is said of it */
struct check {
	const char *file;
	bool only_total, detail, json, host, dns;
	bool silent;                   /* not even the total */
	const struct rule_text *rule;  /* only this one; or NULL */
	const struct element *element; /* only this one; or NULL */
};

static int check_run(struct task *task, const struct config *cfg,
		     const struct check *check, struct verify_totals *totals)
{
	const struct control_setup *control = &task->control->setup;
	struct list findings = LIST_INIT, none = LIST_INIT;
	struct inquiry_setup ask = {
		.cfg = cfg,
		.db = control->db,
		.seal = control->seal,
		.sbc = control->sbc,
		.host = check->host,
		.dns = check->dns,
	};
	struct inquiry inquiry;
	struct verify_setup setup = {
		.outside = &inquiry.outside,
		.file = check->file,
		.rule = check->rule,
		.element = check->element,
	};
	struct verify_report report = {
		.findings = check->only_total ? &none : &findings,
		.totals = totals,
		.source = check->file ? check->file : "editing",
		.version = cfg->version,
		.detail = check->detail,
	};
	struct local_time now;
	int err;

	clock_local(&now);
	setup.now = now.now;
	inquiry_init(&inquiry, &ask);
	err = verify_run(cfg, &setup, &findings, totals);
	if (!err && !check->silent)
		reply_print(&task->reply,
			    check->json ? (re_printf_h *)verify_json
					: (re_printf_h *)verify_print,
			    &report);
	inquiry_finish(&inquiry);
	list_flush(&findings);
	return err;
}

int verify_tell(struct task *task, const struct config *cfg, const char *file,
		bool only_total, bool detail, struct verify_totals *totals)
{
	struct check check = {
		.file = file,
		.only_total = only_total,
		.detail = detail,
		.host = true,
		.dns = !only_total,
	};

	return check_run(task, cfg, &check, totals);
}

int verify_count(struct task *task, const struct config *cfg,
		 struct verify_totals *totals)
{
	const struct check check = { .only_total = true, .silent = true };

	return check_run(task, cfg, &check, totals);
}

int verify_say(struct task *task, const struct config *cfg, const char *file,
	       bool only_total, bool detail, uint32_t *errorsp)
{
	struct verify_totals totals = { 0 };
	int err = verify_tell(task, cfg, file, only_total, detail, &totals);

	if (!err)
		*errorsp = totals.errors;
	return err;
}

/* --- verify-config ------------------------------------------------------ */

struct verify {
	struct task task;
	struct check check;
	bool strict;
	struct config *cfg;
};

static void verify_destructor(void *arg)
{
	struct verify *verify = arg;

	config_give(verify->cfg);
}

static int editing_load(struct task *task)
{
	struct verify *verify = (struct verify *)task;

	return versions_load(&verify->cfg, task->control->setup.db,
			     VERSION_EDITING);
}

/* What counts makes the command fail, so that a script ends with 1 */
static int editing_verify(struct task *task)
{
	struct verify *verify = (struct verify *)task;
	struct verify_totals totals = { 0 };
	int err;

	verify->check.json = task->reply.json;
	err = check_run(task, verify->cfg, &verify->check, &totals);
	if (err)
		return err;
	if (totals.errors)
		reply_error(&task->reply, REPLY_FAILED,
			    "Configuration has %u error%s", totals.errors,
			    totals.errors == 1 ? "" : "s");
	else if (verify->strict && totals.warnings)
		reply_error(&task->reply, REPLY_FAILED,
			    "Configuration has %u warning%s", totals.warnings,
			    totals.warnings == 1 ? "" : "s");
	return 0;
}

static const struct step verify_steps[] = {
	{ ON_JOB, editing_load },
	{ ON_JOB, editing_verify },
	{ ON_JOB, NULL },
};

/* 0: taken; an errno: said */
static int word_take(struct session *s, struct verify *v, const struct words *w,
		     uint32_t *at)
{
	const char *word = w->v[*at];
	const char *next = *at + 1 < w->n ? w->v[*at + 1] : NULL;
	struct pl name;

	if (!strcmp(word, "detail")) {
		v->check.detail = true;
	} else if (!strcmp(word, "strict")) {
		v->strict = true;
	} else if (!strcmp(word, "static")) {
		v->check.host = v->check.dns = false;
	} else if (!strcmp(word, "rule") && next) {
		v->check.rule = rule_find(next);
		if (!v->check.rule) {
			reply_error(&s->reply, REPLY_ARGUMENT,
				    "There is no rule [%s]", next);
			return ENOENT;
		}
		++*at;
	} else if (!strcmp(word, "element") && next) {
		pl_set_str(&name, next);
		v->check.element = element_find(&name);
		if (!v->check.element) {
			reply_error(&s->reply, REPLY_ARGUMENT,
				    "There is no element [%s]", next);
			return ENOENT;
		}
		++*at;
	} else {
		reply_error(&s->reply, REPLY_UNKNOWN,
			    "Unknown word [%s], possible here: detail, "
			    "element E, rule ID, static, strict",
			    word);
		return EINVAL;
	}
	return 0;
}

void verify_config(struct session *s, const struct words *w, uint32_t at)
{
	struct verify *verify = mem_zalloc(sizeof(*verify), verify_destructor);

	if (verify)
		verify->check.host = verify->check.dns = true;
	for (; verify && at < w->n; at++) {
		if (word_take(s, verify, w, &at)) {
			mem_deref(verify);
			return;
		}
	}
	task_start(s, (struct task *)verify, verify_steps, false);
}
