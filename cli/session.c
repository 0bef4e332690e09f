/*
 * One operator: mode, path, role
 */
#include <ctype.h>
#include <string.h>
#include <unistd.h>
#include "policy/plan.h"
#include "sbc/clock.h"
#include "cli/session.h"

enum {
	SIGN_OF_LIFE = 1000 /* [ms] */
};

/* system-config hostname, else that of the machine up to the first dot */
static void name_of(const struct session *s, char name[33])
{
	const struct plan *plan = s->sbc ? sbc_plan(s->sbc) : NULL;
	char host[256] = "";
	const char *from = plan ? plan->system->hostname : "";
	size_t n = 0;

	if (!*from && !gethostname(host, sizeof(host) - 1)) {
		host[strcspn(host, ".")] = '\0';
		from = host;
	}
	if (!*from)
		from = "sbc";
	for (; from[n] && n < 32; n++)
		name[n] = isalnum((unsigned char)from[n]) ||
					  strchr("-_./", from[n])
				  ? from[n]
				  : '-';
	name[n] = '\0';
	plan_give(plan);
}

void session_prompt(const struct session *s, const char *mark, const char *path,
		    char *buf, size_t size)
{
	char name[33];

	name_of(s, name);
	if (path)
		(void)re_snprintf(buf, size, "%s%s(%s)# ", mark, name, path);
	else
		(void)re_snprintf(buf, size, "%s%s%c ", mark, name,
				  s->mode == MODE_USER ? '>' : '#');
}

bool session_is_done(const struct session *s)
{
	return !session_is_busy(s) && !s->asks && !s->wants;
}

bool session_is_busy(const struct session *s)
{
	return s->task || s->paused;
}

static void pause_over(void *arg)
{
	struct session *s = arg;
	void (*h)(struct session * s) = s->paused;

	s->paused = NULL;
	h(s);
	s->resumes(s);
}

void session_pause(struct session *s, uint32_t ms, void (*h)(struct session *s))
{
	s->paused = h;
	timer_start(&s->pause, ms, pause_over, s);
}

static void ask_at(struct session *s, uint32_t number, sbc_question_h *fn,
		   void *arg)
{
	struct reply_part part;

	reply_part(&s->reply, &part);
	sbc_ask_at(s->sbc, number, fn, arg);
	reply_join(&s->reply, &part);
	if (s->waits && clock_ms() - s->spoke >= SIGN_OF_LIFE) {
		s->spoke = clock_ms();
		s->waits(s);
	}
}

void session_ask_first(struct session *s, sbc_question_h *fn, void *arg)
{
	ask_at(s, 0, fn, arg);
}

void session_walk(struct session *s, sbc_question_h *fn, void *arg,
		  size_t *next)
{
	for (uint32_t i = 0; i < sbc_workers(s->sbc); i++) {
		*next = 0;
		do {
			ask_at(s, i, fn, arg);
		} while (*next);
	}
}

struct audit_who session_who(const struct session *s, const char *path)
{
	struct audit_who who = {
		.connection = s->number,
		.uid = s->uid,
		.user = s->user,
		.role = s->mode == MODE_USER ? "user" : "superuser",
		.path = path,
	};

	return who;
}

void session_event(const struct session *s, const char *event, const char *text)
{
	struct audit_who who = session_who(s, NULL);

	audit_event(s->audit, &who, event, text);
}

void session_answer(struct session *s, const struct pl *pl)
{
	session_h *h = s->asks ? s->asks : s->wants;

	s->asks = s->wants = NULL; /* the handler may ask again */
	if (h)
		h(s, pl);
}
