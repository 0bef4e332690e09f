/*
 * test-surrogate: the REGISTER that would leave
 *
 * A task: while DNS has no answer yet the job thread asks the worker again.
 */
#include <errno.h>
#include <string.h>
#include "sbc/clock.h"
#include "sbc/crew.h"
#include "sbc/rehearse.h"
#include "cli/control.h"
#include "cli/form.h"
#include "cli/json.h"
#include "cli/rehearsal.h"

enum {
	PATIENCE = 8000, /* for DNS [ms] */
	PAUSE = 50       /* [ms] */
};

struct rehearsal_task {
	struct task task; /* first */
	struct wishes *wishes;
	char command[256];
	const struct plan *plan; /* of the configuration that is asked */
	uint32_t worker;         /* of the agent */
	int err;
	bool missing; /* no credential would answer */
};

static void destructor(void *data)
{
	struct rehearsal_task *t = data;

	item_free(&form_surrogate, t->wishes);
	plan_give(t->plan);
}

static bool owner_find(struct owner *who, const struct rehearsal_task *t,
		       const struct plan *plan)
{
	struct pl key = range_of(t->wishes->surrogate_agent), user;

	memset(who, 0, sizeof(*who));
	who->agent = config_find(plan->config, &element_surrogate_agent, &key);
	if (!who->agent || !*t->wishes->aor)
		return who->agent;
	user = range_of(t->wishes->aor);
	user.l = strcspn(t->wishes->aor, "@");
	return !aor_number(&who->number, who->agent, &user);
}

static const struct column target_columns[] = {
	{ "Target", -28 },
	{ "Transport", -9 },
	{ "Avoided", 0 },
	{ NULL, 0 },
};

static void targets_print(struct reply *r, const struct rehearsal *found)
{
	table_begin(r, "targets", target_columns);
	for (uint32_t i = 0; i < found->targets.n; i++) {
		char addr[64];
		const struct cell cells[] = {
			TEXT_CELL(addr),
			TEXT_CELL(transport_name(
				(enum transport)found->targets.transport[i])),
			FLAG_CELL(found->avoided[i]),
		};

		(void)re_snprintf(addr, sizeof(addr), "%J",
				  &found->targets.addr[i]);
		table_row(r, target_columns, cells);
	}
	table_end(r);
}

static const struct column proof_columns[] = {
	{ "Auth-Realm", -28 }, { "Row", -4 },   { "Source", -24 },
	{ "User", -24 },       { "Result", 0 }, { NULL, 0 },
};

static void proofs_print(struct reply *r, struct rehearsal_task *t,
			 const struct rehearsal *found)
{
	table_begin(r, "credentials", proof_columns);
	for (uint32_t i = 0; i < found->proofs_n; i++) {
		const struct proof_explanation *e = &found->proofs[i].answer;
		char source[256];
		const struct cell cells[] = {
			TEXT_CELL(found->proofs[i].auth_realm),
			TEXT_CELL(e->choice.row),
			TEXT_CELL(source),
			TEXT_CELL(e->found ? e->user : NULL),
			TEXT_CELL(e->found ? "answered" : "fail"),
		};

		if (e->choice.realm && e->choice.lookup)
			(void)re_snprintf(
				source, sizeof(source),
				"realm-config [%s], [%s %s]", e->choice.realm,
				e->any ? "*" : found->proofs[i].auth_realm,
				e->choice.lookup);
		else
			str_ncpy(source, "surrogate-agent", sizeof(source));
		t->missing |= !e->found;
		table_row(r, proof_columns, cells);
	}
	table_end(r);
}

static void json_all(struct rehearsal_task *t, const struct rehearsal *found)
{
	struct reply *r = &t->task.reply;
	struct pl bytes = { NULL, 0 };

	json_begin(r, t->command, JSON_NO_WINDOW);
	json_open(r, NULL, '{');
	json_text(r, "aor", found->aor);
	json_text(r, "registrar", found->registrar);
	json_text(r, "realm", found->realm);
	json_text(r, "why-not", found->why);
	targets_print(r, found);
	proofs_print(r, t, found);
	json_flag(r, "auth-realm-known", !found->guessed);
	if (found->bytes) {
		bytes.p = (const char *)mbuf_buf(found->bytes);
		bytes.l = mbuf_get_left(found->bytes);
		json_pl(r, "request", &bytes);
	} else {
		json_text(r, "request", NULL);
	}
	json_close(r, '}');
	json_end(r);
}

static int bytes_print(struct re_printf *pf, const struct mbuf *mb)
{
	const char *p = (const char *)mbuf_buf(mb);
	size_t n = mbuf_get_left(mb);
	int err = 0;

	/* Lines of an answer end with LF alone */
	for (size_t i = 0; i < n; i++)
		if (p[i] != '\r')
			err |= pf->vph(p + i, 1, pf->arg);
	return err;
}

static void text_all(struct rehearsal_task *t, const struct rehearsal *found)
{
	struct reply *r = &t->task.reply;

	reply_line(r,
		   "aor             %s\n"
		   "registrar       %s\n"
		   "realm           %s",
		   found->aor, found->registrar,
		   found->realm ? found->realm : "-");
	if (found->targets.n)
		targets_print(r, found);
	proofs_print(r, t, found);
	if (found->guessed && found->proofs_n)
		reply_line(r, "No challenge was seen yet: register-host is "
			      "taken for its auth-realm.");
	if (found->bytes) {
		reply_line(r, "");
		reply_print(r, (re_printf_h *)bytes_print, found->bytes);
	}
}

static void worker_find(struct worker *w, void *arg)
{
	struct rehearsal_task *t = arg;
	const struct plan *plan =
		t->wishes->config == FORM_RUNNING ? w->plan : t->plan;
	struct owner who;
	uint32_t worker = CREW_ANY;

	if (owner_find(&who, t, plan))
		worker = crew_of_realm(
			w, plan,
			realm_named(plan->realms, who.agent->realm_id));
	t->worker = worker != CREW_ANY ? worker : 0;
}

static void on_worker(struct worker *w, void *arg)
{
	struct rehearsal_task *t = arg;
	struct reply *r = &t->task.reply;
	struct rehearsal found = { 0 };
	struct owner who;

	if (t->wishes->config == FORM_RUNNING)
		t->err = owner_find(&who, t, w->plan)
				 ? rehearse(w, &who, &found)
				 : ENOENT;
	else
		t->err = owner_find(&who, t, t->plan)
				 ? rehearse_with(w, t->plan, &who, &found)
				 : ENOENT;
	if (t->err == ENOENT)
		reply_error(r, REPLY_ARGUMENT,
			    "There is no surrogate-agent [%s]%s%s",
			    t->wishes->surrogate_agent,
			    *t->wishes->aor ? " with AoR " : "",
			    t->wishes->aor);
	if (!t->err && r->json)
		json_all(t, &found);
	else if (!t->err)
		text_all(t, &found);
	if (!t->err && found.why)
		reply_error(r, REPLY_FAILED, "No REGISTER can leave: %s",
			    found.why);
	else if (!t->err && t->missing)
		reply_error(r, REPLY_FAILED,
			    "fail: no credential would answer a challenge");
	rehearsal_finish(&found);
}

static int act(struct task *task)
{
	struct rehearsal_task *t = (struct rehearsal_task *)task;
	uint64_t end = clock_ms() + PATIENCE;

	sbc_ask_at(task->control->setup.sbc, 0, worker_find, t);
	for (;;) {
		sbc_ask_at(task->control->setup.sbc, t->worker, on_worker, t);
		if (t->err != EINPROGRESS)
			break;
		if (clock_ms() >= end) {
			reply_error(&task->reply, REPLY_FAILED,
				    "DNS does not answer");
			return ECANCELED;
		}
		clock_rest(PAUSE * 1000);
	}
	return t->err == ENOENT ? ECANCELED : t->err;
}

static int prepare(struct task *task)
{
	struct rehearsal_task *t = (struct rehearsal_task *)task;

	return form_plan(&t->plan, task, t->wishes);
}

static void begin(struct session *s, const struct wishes *wishes)
{
	static const struct step steps[] = { { ON_JOB, prepare },
					     { ON_JOB, act },
					     { ON_JOB, NULL } };
	struct rehearsal_task *t = mem_zalloc(sizeof(*t), destructor);
	void *copy = NULL;

	if (t && item_copy(&copy, &form_surrogate, wishes))
		t = mem_deref(t);
	if (t) {
		t->wishes = copy;
		str_ncpy(t->command, s->command, sizeof(t->command));
	}
	task_start(s, (struct task *)t, steps, false);
}

void test_surrogate(struct session *s, const struct words *w, uint32_t at)
{
	form_line(s, &form_surrogate, w, at, begin);
}
