/*
 * import-credentials: rows of a CSV file into the credential table
 *
 * All or nothing, live at once, beside the configuration: neither the lock of
 * it is taken nor a version made (behaviour.md 6.1).
 */
#include <errno.h>
#include <string.h>
#include "store/credentials.h"
#include "store/log.h"
#include "policy/plan.h"
#include "sbc/amends.h"
#include "sbc/surrogates.h"
#include "cli/bulk.h"

enum {
	BAD_SHOWN = 1000
};

struct bulk {
	struct task task;
	char *file, *owner; /* realm, or key of the surrogate-agent */
	bool of_agent, merge;
	struct mbuf *bytes; /* wiped at the end: there are passwords in it */
	uint32_t rows, bad;
};

static void bytes_drop(struct bulk *bulk)
{
	if (bulk->bytes)
		explicit_bzero(bulk->bytes->buf, bulk->bytes->size);
	bulk->bytes = mem_deref(bulk->bytes);
}

static void bulk_destructor(void *arg)
{
	struct bulk *bulk = arg;

	bytes_drop(bulk);
	mem_deref(bulk->file);
	mem_deref(bulk->owner);
}

static void progress(const char *what, size_t done, size_t total, void *arg)
{
	struct bulk *bulk = arg;

	progress_set(&bulk->task.progress, what, done, total);
}

static void row_is_bad(uint32_t line, const char *why, void *arg)
{
	struct bulk *bulk = arg;

	if (bulk->bad++ < BAD_SHOWN)
		reply_line(&bulk->task.reply, "%s:%u: the row %s", bulk->file,
			   line, why);
}

static int rows_take(struct task *task)
{
	struct bulk *bulk = (struct bulk *)task;
	const struct control_setup *setup = &task->control->setup;
	struct pl csv = { (const char *)bulk->bytes->buf, bulk->bytes->end };
	struct import_watch watch = { row_is_bad, progress, bulk };
	int err;

	err = bulk->of_agent
		      ? credentials_import_aors(setup->db, setup->seal,
						bulk->owner, &csv, !bulk->merge,
						&bulk->rows, &watch)
		      : credentials_import(setup->db, setup->seal, bulk->owner,
					   &csv, !bulk->merge, &bulk->rows,
					   &watch);
	bytes_drop(bulk);
	if (err != EINVAL)
		return err;
	if (bulk->bad > BAD_SHOWN)
		reply_line(&task->reply, "... %u more", bulk->bad - BAD_SHOWN);
	reply_error(&task->reply, REPLY_FAILED,
		    "%s has %u bad row%s; nothing was changed", bulk->file,
		    bulk->bad, bulk->bad == 1 ? "" : "s");
	return ECANCELED;
}

static void agent_tell(struct worker *w, void *arg)
{
	const struct bulk *bulk = arg;
	struct pl key = range_of(bulk->owner);
	const struct surrogate_agent *agent =
		config_find(w->plan->config, &element_surrogate_agent, &key);

	/* Gone meanwhile: its rows wait until it is back */
	if (agent)
		(void)surrogates_credentials(w->surrogates, agent);
}

static int rows_tell(struct task *task)
{
	struct bulk *bulk = (struct bulk *)task;

	if (bulk->of_agent)
		sbc_ask(task->control->setup.sbc, agent_tell, bulk);
	amends_of_import(bulk->of_agent ? NULL : bulk->owner);
	log_notice(CLI, "credentials-imported", "rows=%u by=%s", bulk->rows,
		   task->by);
	reply_line(&task->reply, "%u credential%s of %s [%s] taken, live now.",
		   bulk->rows, bulk->rows == 1 ? "" : "s",
		   bulk->of_agent ? "surrogate-agent" : "realm-config",
		   bulk->owner);
	return 0;
}

static const struct step bulk_steps[] = {
	{ ON_JOB, rows_take },
	{ ON_FRONT, rows_tell },
	{ ON_JOB, NULL },
};

static void bulk_came(struct session *s, const struct pl *bytes)
{
	struct bulk *bulk = s->arg;

	s->arg = NULL;
	if (!bytes->p) {
		reply_error(&s->reply, REPLY_FAILED,
			    "No file came, or one that is too large; nothing "
			    "was changed");
		mem_deref(bulk);
		return;
	}
	bulk->bytes = mem_ref(s->came);
	task_start(s, (struct task *)bulk, bulk_steps, false);
}

/* Whose rows they are; false: said what is wrong */
static bool owner_take(struct session *s, struct bulk *bulk, char *owner)
{
	const struct element *type = bulk->of_agent ? &element_surrogate_agent
						    : &element_realm_config;
	const struct plan *plan = sbc_plan(s->sbc);
	struct pl key = range_of(owner);
	struct item_ref ref = { type, config_find(plan->config, type, &key) };
	char whole[1024];
	bool found = false;

	/* The key as the table has it, also where only its beginning came */
	if (ref.item &&
	    re_snprintf(whole, sizeof(whole), "%H", item_key_spell, &ref) > 0)
		found = !str_dup(&bulk->owner, whole);
	plan_give(plan);
	if (!found)
		reply_error(&s->reply, REPLY_ARGUMENT, "There is no %s [%s]",
			    type->name, owner);
	return found;
}

/* Words behind FILE; false: said what is wrong */
static bool words_take(struct session *s, struct bulk *bulk,
		       const struct words *w, uint32_t at)
{
	const char *last = w->v[w->n - 1];
	uint32_t end = w->n;
	char owner[1024] = "";

	bulk->of_agent = !strcmp(w->v[at], "surrogate-agent");
	if (!bulk->of_agent && strcmp(w->v[at], "realm")) {
		reply_error(&s->reply, REPLY_UNKNOWN,
			    "Unknown word [%s], possible here: realm, "
			    "surrogate-agent",
			    w->v[at]);
		return false;
	}
	if (!strcmp(last, "merge") || !strcmp(last, "replace")) {
		bulk->merge = *last == 'm';
		end--;
	}
	for (at++; at < end; at++) {
		size_t n = strlen(owner);

		(void)re_snprintf(owner + n, sizeof(owner) - n, "%s%s",
				  n ? " " : "", w->v[at]);
	}
	return owner_take(s, bulk, owner);
}

void import_credentials(struct session *s, const struct words *w, uint32_t at)
{
	struct bulk *bulk;

	if (w->n < at + 3) {
		reply_error(&s->reply, REPLY_ARGUMENT, "Missing %s",
			    at == w->n       ? "FILE"
			    : w->n == at + 1 ? "realm R, or surrogate-agent KEY"
					     : "the name");
		return;
	}
	bulk = mem_zalloc(sizeof(*bulk), bulk_destructor);
	if (!bulk || str_dup(&bulk->file, w->v[at])) {
		reply_error(&s->reply, REPLY_FAILED, "no memory");
		mem_deref(bulk);
		return;
	}
	if (!words_take(s, bulk, w, at + 1)) {
		mem_deref(bulk);
		return;
	}
	s->arg = bulk;
	s->wants = bulk_came;
	reply_ask(&s->reply, REPLY_SEND_FILE, "%s", bulk->file);
}
