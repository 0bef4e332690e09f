/*
 * Session-agents by hand: one ping, one fresh start
 *
 * A ping is a task: the job thread waits for the answer, or for as long as
 * nobody would wait for a prompt.
 */
#include <errno.h>
#include <semaphore.h>
#include "sbc/clock.h"
#include "sbc/outage.h"
#include "sbc/ping.h"
#include "cli/agents.h"
#include "cli/control.h"

enum {
	PATIENCE = 4000 /* [ms] */
};

/* --- ping sip ----------------------------------------------------------- */

struct sip_ping {
	struct task task; /* first */
	char *hostname;
	struct ping_result result;
	sem_t answered;
	int err; /* of asking */
};

static void destructor(void *data)
{
	struct sip_ping *p = data;

	sem_destroy(&p->answered);
	mem_deref(p->hostname);
}

static void answered(const struct ping_result *r, void *arg)
{
	struct sip_ping *p = arg;

	p->result = *r;
	sem_post(&p->answered);
}

static void ask(struct worker *w, void *arg)
{
	struct sip_ping *p = arg;

	p->err = pings_try(w->pings, p->hostname, PATIENCE, answered, p);
}

static int ping_target(struct re_printf *pf, const struct ping_result *r)
{
	struct sa addr = r->addr;

	return re_hprintf(pf, "%J %s", &addr,
			  transport_name((enum transport)r->transport));
}

static int refused(struct sip_ping *p)
{
	struct reply *reply = &p->task.reply;

	if (p->err == ENOENT)
		reply_error(reply, REPLY_ARGUMENT,
			    "There is no session-agent [%s]", p->hostname);
	else if (p->err == ENOTCONN)
		reply_error(reply, REPLY_FAILED,
			    "The session-agent [%s] has no egress realm",
			    p->hostname);
	else
		return p->err;
	return ECANCELED;
}

static int ping_act(struct task *task)
{
	struct sip_ping *p = (struct sip_ping *)task;
	const struct ping_result *r = &p->result;

	sbc_ask_at(task->control->setup.sbc, 0, ask, p);
	if (p->err)
		return refused(p);
	while (sem_wait(&p->answered) && errno == EINTR)
		;

	switch (r->err) {

	case 0:
		reply_line(&task->reply, "SIP/2.0 %u %s", r->code, r->reason);
		reply_line(&task->reply, "from %H in %u ms", ping_target, r,
			   r->took);
		return 0;

	case ETIMEDOUT:
		reply_error(&task->reply, REPLY_FAILED,
			    "No answer from %H in %u ms", ping_target, r,
			    r->took);
		return ECANCELED;

	default:
		reply_error(&task->reply, REPLY_FAILED,
			    "The session-agent [%s] cannot be asked: %m",
			    p->hostname, r->err);
		return ECANCELED;
	}
}

void ping_sip(struct session *s, const struct words *w, uint32_t at)
{
	static const struct step steps[] = { { ON_JOB, ping_act }, { 0 } };
	struct sip_ping *p;

	if (at >= w->n) {
		reply_error(&s->reply, REPLY_ARGUMENT,
			    "ping sip needs the name of a session-agent");
		return;
	}
	p = mem_zalloc(sizeof(*p), destructor);
	if (p) {
		sem_init(&p->answered, 0, 0);
		if (str_dup(&p->hostname, w->v[at]))
			p = mem_deref(p);
	}
	task_start(s, (struct task *)p, steps, false);
}

/* --- reset session-agent ------------------------------------------------ */

struct fresh {
	const char *hostname;
	bool found;
};

static void reset_on_worker(struct worker *w, void *arg)
{
	const struct session_agent *config;
	struct fresh *f = arg;
	struct agent *agent;
	struct pl key;

	pl_set_str(&key, f->hostname);
	config = config_find(w->plan->config, &element_session_agent, &key);
	agent = config ? agents_find(w->agents, config) : NULL;
	if (!agent)
		return;
	f->found = true;
	agent_reset(agent, clock_ms());
	(void)outage_look(agent);
	pings_ask(w->pings, f->hostname);
}

void reset_agent(struct session *s, const struct words *w, uint32_t at)
{
	struct fresh f = { .hostname = at < w->n ? w->v[at] : "" };

	sbc_ask(s->sbc, reset_on_worker, &f);
	if (f.found)
		reply_line(&s->reply, "Session-agent %s begins anew.",
			   f.hostname);
	else
		reply_error(&s->reply, REPLY_ARGUMENT,
			    "There is no session-agent [%s]", f.hostname);
}
