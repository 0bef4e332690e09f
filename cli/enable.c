/*
 * enable, and the superuser's password
 */
#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>
#include "store/log.h"
#include "cli/enable.h"

struct attempt {
	struct task task;
	char clear[PASSWORD_MAX + 1]; /* wiped at the end */
	char text[PASSWORD_TEXT];     /* stored; new */
	int err;                      /* of the comparison */
	bool renewed;
};

static void attempt_destructor(void *arg)
{
	struct attempt *a = arg;

	secret_wipe_bytes(a->clear, sizeof(a->clear));
	secret_wipe_bytes(a->text, sizeof(a->text));
}

static struct attempt *attempt_alloc(const struct pl *clear)
{
	struct attempt *a = mem_zalloc(sizeof(*a), attempt_destructor);

	/* A longer one is none that was ever set */
	if (a && pl_strcpy(clear, a->clear, sizeof(a->clear)))
		strcpy(a->clear, "");

	return a;
}

static void event(struct session *s, const char *name)
{
	session_event(s, name, "");
	log_info(CLI, name, "user=%s uid=%u", s->user, s->uid);
}

/* --- enable --------------------------------------------------------------- */

/* Never says which: role, password or lock-out (acli.md 1.6) */
static void refuse(struct session *s)
{
	event(s, "enable-refused");
	reply_error(&s->reply, REPLY_DENIED, "Access denied");
}

static void become_superuser(struct session *s)
{
	s->mode = MODE_SUPERUSER;
	event(s, "enable-ok");
}

/* The costs may have grown since it was set: it is clear now, and will not be
 * again soon. A database that cannot be written leaves it as it is */
static int compare(struct task *task)
{
	struct attempt *a = (struct attempt *)task;
	bool weak = false;

	a->err = password_check(a->text, a->clear, &weak);
	if (a->err && a->err != EACCES)
		log_error(CLI, "password-check", "text=\"%s\"",
			  strerror(a->err));
	if (!a->err && weak && !password_hash(a->text, a->clear))
		a->renewed = !password_store(task->control->setup.db, a->text);
	secret_wipe_bytes(a->clear, sizeof(a->clear));

	return 0;
}

static void compared(struct session *s, struct task *task)
{
	struct attempt *a = (struct attempt *)task;
	struct control *c = s->control;
	const struct plan *plan;
	const struct login_config *login;

	if (a->renewed)
		str_ncpy(c->password, a->text, sizeof(c->password));
	if (!a->err) {
		login_succeeded(&c->mistakes, s->uid);
		become_superuser(s);
		return;
	}

	plan = sbc_plan(s->sbc);
	login = login_config_of(plan->config);
	if (login_failed(&c->mistakes, login, s->uid, s->user)) {
		session_event(s, "lockout", "");
		log_warning(CLI, "lockout", "user=%s uid=%u", s->user, s->uid);
	}
	session_pause(s, login->login_attempt_interval * 1000, refuse);
	plan_give(plan);
}

static const struct step compare_steps[] = {
	{ ON_JOB, compare },
	{ ON_JOB, NULL },
};

static void password_typed(struct session *s, const struct pl *clear)
{
	struct attempt *a = attempt_alloc(clear);

	if (a) {
		str_ncpy(a->text, s->control->password, sizeof(a->text));
		a->task.then = compared;
	}
	task_start(s, (struct task *)a, compare_steps, false);
}

void enable(struct session *s, const struct words *w, uint32_t at)
{
	const struct control *c = s->control;

	if (at < w->n) {
		reply_error(&s->reply, REPLY_ARGUMENT, "Unexpected word [%s]",
			    w->v[at]);
		return;
	}
	if (s->mode == MODE_SUPERUSER)
		return;
	if (!s->may_be_superuser || login_is_locked(&c->mistakes, s->uid)) {
		refuse(s);
		return;
	}
	/* Without a daemon the rights are those of the database file */
	if (!*c->password || !s->sbc) {
		become_superuser(s);
		return;
	}
	reply_ask(&s->reply, REPLY_QUESTION_QUIET, "Password: ");
	s->asks = password_typed;
}

/* --- set-password, delete-password ----------------------------------------- */

static uint32_t characters(const char *text)
{
	uint32_t n = 0;

	for (; *text; text++)
		n += ((unsigned char)*text & 0xc0) != 0x80;

	return n;
}

static bool is_name_of(const struct session *s, const char *clear)
{
	char host[256] = "";
	size_t user = strcspn(s->user, "@");

	(void)gethostname(host, sizeof(host) - 1);

	return (strlen(clear) == user && !strncasecmp(clear, s->user, user)) ||
	       !strcasecmp(clear, host);
}

static uint32_t shortest(const struct session *s)
{
	const struct plan *plan = s->sbc ? sbc_plan(s->sbc) : NULL;
	uint32_t n =
		plan ? login_config_of(plan->config)->min_secure_pwd_len : 12;

	plan_give(plan);

	return n;
}

static int hash(struct task *task)
{
	struct attempt *a = (struct attempt *)task;
	int err = password_hash(a->text, a->clear);

	secret_wipe_bytes(a->clear, sizeof(a->clear));

	return err ? err : password_store(task->control->setup.db, a->text);
}

static int hashed(struct task *task)
{
	struct attempt *a = (struct attempt *)task;

	str_ncpy(task->control->password, a->text,
		 sizeof(task->control->password));
	reply_line(&task->reply, "The superuser password is set.");
	reply_change(&task->reply, "superuser password set");
	log_notice(CLI, "password-set", "by=%s", task->by);

	return 0;
}

static const struct step set_steps[] = {
	{ ON_JOB, hash },
	{ ON_FRONT, hashed },
	{ ON_JOB, NULL },
};

static void typed_again(struct session *s, const struct pl *clear)
{
	struct attempt *a = s->arg;

	s->arg = NULL;
	if (pl_strcmp(clear, a->clear)) {
		reply_error(&s->reply, REPLY_ARGUMENT,
			    "The password was typed differently, it is as "
			    "before");
		mem_deref(a);
		return;
	}
	task_start(s, (struct task *)a, set_steps, false);
}

static void typed_once(struct session *s, const struct pl *clear)
{
	uint32_t least = shortest(s);
	struct attempt *a;

	if (clear->l > PASSWORD_MAX) {
		reply_error(&s->reply, REPLY_ARGUMENT,
			    "The password has more than %u bytes",
			    PASSWORD_MAX);
		return;
	}
	a = attempt_alloc(clear);
	if (!a) {
		reply_error(&s->reply, REPLY_FAILED, "no memory");
		return;
	}
	if (characters(a->clear) < least || is_name_of(s, a->clear)) {
		if (characters(a->clear) < least)
			reply_error(&s->reply, REPLY_ARGUMENT,
				    "The password needs at least %u characters",
				    least);
		else
			reply_error(&s->reply, REPLY_ARGUMENT,
				    "The password is the name of the user or "
				    "of the machine");
		mem_deref(a);
		return;
	}
	s->arg = a;
	s->asks = typed_again;
	reply_ask(&s->reply, REPLY_QUESTION_QUIET, "Password again: ");
}

void set_password(struct session *s, const struct words *w, uint32_t at)
{
	if (at < w->n) {
		reply_error(&s->reply, REPLY_ARGUMENT, "Unexpected word [%s]",
			    w->v[at]);
		return;
	}
	reply_ask(&s->reply, REPLY_QUESTION_QUIET, "Password: ");
	s->asks = typed_once;
}

static int forget(struct task *task)
{
	return password_store(task->control->setup.db, "");
}

static int forgotten(struct task *task)
{
	struct control *c = task->control;
	bool was = *c->password;

	secret_wipe_bytes(c->password, sizeof(c->password));
	if (was) {
		reply_line(&task->reply, "The superuser password is removed.");
		reply_change(&task->reply, "superuser password removed");
		log_notice(CLI, "password-removed", "by=%s", task->by);
	} else {
		reply_line(&task->reply, "There is no superuser password.");
	}

	return 0;
}

static const struct step forget_steps[] = {
	{ ON_JOB, forget },
	{ ON_FRONT, forgotten },
	{ ON_JOB, NULL },
};

void delete_password(struct session *s, const struct words *w, uint32_t at)
{
	if (at < w->n) {
		reply_error(&s->reply, REPLY_ARGUMENT, "Unexpected word [%s]",
			    w->v[at]);
		return;
	}
	task_start(s, mem_zalloc(sizeof(struct task), NULL), forget_steps,
		   false);
}
