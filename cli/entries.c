/*
 * show credentials: entries of realms, and how often they answered
 *
 * A task: there may be a million of them. What the worker counted is asked for
 * many rows at once.
 */
#include <errno.h>
#include <string.h>
#include "store/credentials.h"
#include "store/number.h"
#include "sbc/usage.h"
#include "cli/control.h"
#include "cli/entries.h"
#include "cli/cut.h"
#include "cli/json.h"
#include "cli/seen.h"

enum {
	BATCH = 200
};

/* A row that waits for what was counted */
struct row {
	char *realm, *auth_realm, *lookup, *user;
	bool has_password;
	const char *origin;
	struct usage_report usage;
};

struct listing {
	struct task task; /* first */
	char command[256];
	char *realm, *lookup; /* filters; NULL: all */
	const struct plan *plan;
	struct cut cut;
	struct row batch[BATCH];
	uint32_t n;
	int err;
};

static void batch_clear(struct listing *l)
{
	while (l->n) {
		struct row *row = &l->batch[--l->n];

		mem_deref(row->realm);
		mem_deref(row->auth_realm);
		mem_deref(row->lookup);
		mem_deref(row->user);
	}
}

static void destructor(void *arg)
{
	struct listing *l = arg;

	batch_clear(l);
	mem_deref(l->realm);
	mem_deref(l->lookup);
	plan_give(l->plan);
}

static const struct column columns[] = {
	{ "Realm", -16 },     { "Auth-Realm", -28 },   { "Lookup", -20 },
	{ "User", -28 },      { "Password", -8 },      { "Used", 8 },
	{ "Last Used", -19 }, { "Last Refused", -19 }, { "Origin", 0 },
	{ NULL, 0 },
};

static void usage_on_worker(struct worker *w, void *arg)
{
	struct listing *l = arg;

	for (uint32_t i = 0; i < l->n; i++) {
		struct row *row = &l->batch[i];
		const struct credential_key key = {
			.realm = range_of(row->realm),
			.auth_realm = range_of(row->auth_realm),
			.lookup = range_of(row->lookup),
		};

		usage_look(w->usage, &key, &row->usage);
	}
}

static void batch_print(struct listing *l)
{
	for (uint32_t i = 0; i < l->n; i++)
		memset(&l->batch[i].usage, 0, sizeof(l->batch[i].usage));
	sbc_ask(l->task.control->setup.sbc, usage_on_worker, l);
	for (uint32_t i = 0; i < l->n; i++) {
		const struct row *row = &l->batch[i];
		struct cell cells[] = {
			TEXT_CELL(row->realm),
			TEXT_CELL(row->auth_realm),
			TEXT_CELL(row->lookup),
			TEXT_CELL(row->user),
			TEXT_CELL(row->has_password ? "set" : "empty"),
			NUMBER_CELL(row->usage.count),
			NO_CELL,
			NO_CELL,
			TEXT_CELL(row->origin),
		};

		if (row->usage.used)
			cells[6] = (struct cell)TIME_CELL(row->usage.used);
		if (row->usage.refused)
			cells[7] = (struct cell)TIME_CELL(row->usage.refused);
		table_row(&l->task.reply, columns, cells);
	}
	batch_clear(l);
}

static void row_take(struct listing *l, const struct credential_info *info,
		     const char *origin)
{
	struct row *row = &l->batch[l->n];

	if ((l->realm && strcmp(l->realm, info->realm)) ||
	    (l->lookup && strcmp(l->lookup, info->lookup)) ||
	    !cut_row(&l->cut) || l->err)
		return;
	memset(row, 0, sizeof(*row));
	row->has_password = info->has_password;
	row->origin = origin;
	l->n++;
	l->err = str_dup(&row->realm, info->realm);
	l->err |= str_dup(&row->auth_realm, info->auth_realm);
	l->err |= str_dup(&row->lookup, info->lookup);
	l->err |= str_dup(&row->user, info->username);
	if (!l->err && l->n == BATCH)
		batch_print(l);
}

static void imported_row(const struct credential_info *info, void *arg)
{
	row_take(arg, info, "imported");
}

static void configured_rows(struct listing *l)
{
	const struct config *cfg = l->plan->config;
	size_t n = config_count(cfg, &element_realm_config);

	for (size_t i = 0; i < n; i++) {
		const struct realm_config *r =
			config_at(cfg, &element_realm_config, i);

		for (uint32_t j = 0; j < r->auth_attributes.n; j++) {
			const struct auth_attribute *a =
				r->auth_attributes.v[j];
			const struct credential_info info = {
				.realm = r->identifier,
				.auth_realm = a->auth_realm,
				.lookup = a->auth_user_lookup,
				.username = a->username,
				.has_password = secret_is_set(&a->password),
			};

			row_take(l, &info, "config");
		}
	}
}

static int act(struct task *task)
{
	struct listing *l = (struct listing *)task;
	struct reply *r = &task->reply;
	int err;

	if (r->json)
		json_begin(r, l->command, JSON_NO_WINDOW);
	table_begin(r, NULL, columns);
	configured_rows(l);
	err = credentials_list(task->control->setup.db, imported_row, l);
	if (!err)
		err = l->err;
	if (err) {
		r->doc = mem_deref(r->doc);
		return err;
	}
	batch_print(l);
	table_end(r);
	(void)cut_end(&l->cut, r);
	if (r->json)
		json_end(r);
	return 0;
}

/* false: said what is wrong */
static bool words_take(struct session *s, struct listing *l,
		       const struct words *w, uint32_t at)
{
	struct words rest;
	int err = 0;

	if (!cut_words(&l->cut, &s->reply, w, at, &rest))
		return false;
	w = &rest;
	for (; !err && at < w->n; at += 2) {
		const char *word = w->v[at];

		if (strcmp(word, "realm") && strcmp(word, "lookup")) {
			reply_error(
				&s->reply, REPLY_UNKNOWN,
				"Unknown word [%s], possible here: limit N, "
				"lookup L, realm R, seen",
				word);
			return false;
		}
		if (at + 1 == w->n) {
			reply_error(&s->reply, REPLY_ARGUMENT, "Missing %s",
				    *word == 'r' ? "R" : "L");
			return false;
		}
		err = str_dup(*word == 'r' ? &l->realm : &l->lookup,
			      w->v[at + 1]);
	}
	if (err)
		reply_error(&s->reply, REPLY_FAILED, "no memory");
	return !err;
}

void show_credentials(struct session *s, const struct words *w, uint32_t at)
{
	static const struct step steps[] = { { ON_JOB, act },
					     { ON_JOB, NULL } };
	struct listing *l;

	if (at < w->n && !strcmp(w->v[at], "seen")) {
		show_credentials_seen(s, w, at + 1);
		return;
	}
	l = mem_zalloc(sizeof(*l), destructor);
	if (l && !words_take(s, l, w, at)) {
		mem_deref(l);
		return;
	}
	if (l) {
		l->plan = sbc_plan(s->sbc);
		str_ncpy(l->command, s->command, sizeof(l->command));
	}
	task_start(s, (struct task *)l, steps, false);
}
