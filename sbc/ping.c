/*
 * OPTIONS to session-agents and customer next hops
 *
 * A round asks the targets of one session-agent: all at once with
 * ping-all-addresses, else one after the other until one gives a good answer.
 * Its verdict is that of the best target; single targets that failed get no new
 * calls (sbc/shun).
 */
#include <errno.h>
#include <string.h>
#include "store/hash.h"
#include "store/log.h"
#include "sbc/bulletin.h"
#include "sbc/clock.h"
#include "sbc/outage.h"
#include "sbc/ping.h"
#include "sbc/probe.h"
#include "sbc/random.h"
#include "sbc/resolver.h"
#include "sbc/shun.h"
#include "sbc/surrogates.h"
#include "sbc/timer.h"

enum {
	SECOND = 1000,     /* [ms] */
	TTR_DEFAULT = 32,  /* ttr-no-response 0 [s] */
	FIRST_SPREAD = 10, /* the first pings of n: within n times this [ms] */
	SLICE = 200,       /* session-agents of another plan in one turn */
	LOOK_EVERY = 1000, /* at all session-agents [ms] */
	LOOK_PAUSE = 20,   /* between two slices [ms] */
	LOOK_SLICE = 200   /* session-agents at a time */
};

/* A single target of a session-agent, judged by itself */
struct spot {
	struct sa addr;
	uint8_t transport;
	uint64_t out; /* since then out of service [ms]; 0: it is not */
	struct probe *probe;
	bool asked, good; /* in this round */
};

struct ping {
	struct le le;
	struct entry by_name;
	struct pings *all;
	char *hostname;
	uint32_t seen; /* in this change of the plan: what follows is of it */
	const struct session_agent *config;
	const struct realm *realm;
	struct agent *agent;
	struct timer timer;
	struct resolve *resolving;
	struct spot spots[RESOLVE_TARGETS];
	uint32_t n;
};

/* A plan taken over a little in each turn of the loop; a ping that its turn has not
 * come to asks as before */
struct pings {
	struct worker *worker;
	const struct plan *plan, *before; /* before: until all is taken over */
	uint32_t changes, asked;
	size_t next;     /* session-agent of the plan */
	struct le *left; /* next ping that may be gone, behind these */
	struct timer taking;
	bool under_way;
	struct list list;
	struct table names;
	struct timer look;
	const struct agent *looked; /* last one of the last slice */
	struct list tries;          /* of struct try */
};

/* One ping that somebody asked for */
struct
try {
	struct le le;
	struct pings *all;
	const struct plan *plan; /* a reference: agent and realm are of it */
	const struct session_agent *agent;
	const struct realm *realm;
	struct resolve *resolving;
	struct probe *probe;
	uint64_t sent; /* [ms] */
	uint32_t wait; /* [ms] */
	struct ping_result result;
	ping_h *h;
	void *arg;
};

static void round_begin(void *arg);

/* --- When ----------------------------------------------------------------- */

static uint64_t interval(const struct ping *p)
{
	return (uint64_t)p->config->ping_interval * SECOND;
}

/* 10 % around: many have one interval */
static uint64_t jittered(uint64_t ms)
{
	return ms / 1000 * random_between(900, 1100) + ms % 1000;
}

/* When the next ping is due. Out of service, the moment at which a good answer
 * counts is not slept through */
static uint64_t next_in(const struct ping *p)
{
	uint64_t wait = jittered(interval(p));
	uint64_t out = agent_out_for(p->agent, clock_ms());

	return out && out < wait ? out : wait;
}

static bool is_down(const struct ping *p, uint64_t now)
{
	enum agent_service s = agent_service(p->agent, now);

	return s == AGENT_OUT_OF_SERVICE || s == AGENT_COMING_BACK;
}

/* keep-alive: what came from it of late says enough. 0: ping now [ms] */
static uint64_t is_heard_for(const struct ping *p)
{
	uint64_t now = clock_ms(), heard = agent_last_heard(p->agent);

	if (p->config->ping_send_mode != PING_SEND_MODE_KEEP_ALIVE ||
	    p->config->ping_all_addresses || !heard || is_down(p, now))
		return 0;

	/* A ping that is 10 % early asks for what it waits for */
	return heard + interval(p) * 9 / 10 > now ? heard + interval(p) - now
						  : 0;
}

/* --- One round ------------------------------------------------------------ */

static void round_stop(struct ping *p)
{
	resolve_cancel(p->resolving);
	p->resolving = NULL;
	for (uint32_t i = 0; i < p->n; i++)
		p->spots[i].probe = mem_deref(p->spots[i].probe);
}

/* One target, judged as a session-agent of its own would be: out at once, back
 * by a good answer after ttr-no-response, used after in-service-period */
static void spot_judge(struct ping *p, struct spot *s)
{
	uint32_t ttr = p->config->ttr_no_response;
	uint64_t now = clock_ms();

	if (!p->config->ping_all_addresses || p->n < 2) {
		s->out = 0;
		return;
	}
	if (!s->good) {
		bool first = !s->out;

		if (first)
			log_warning(SIPD, "agent-target-down",
				    "agent=%s target=%u", p->hostname,
				    (uint32_t)(s - p->spots));
		s->out = s->out ? s->out : now ? now : 1;
		bulletin_shun(p->all->worker, p->realm, &s->addr, s->transport,
			      UINT64_MAX);
		if (first)
			bulletin_agent_gone(p->all->worker, p->config,
					    &s->addr);
		return;
	}
	if (!s->out ||
	    now < s->out + (uint64_t)(ttr ? ttr : TTR_DEFAULT) * SECOND)
		return;
	s->out = 0;
	log_info(SIPD, "agent-target-up", "agent=%s target=%u", p->hostname,
		 (uint32_t)(s - p->spots));
	if (p->config->in_service_period)
		bulletin_shun(p->all->worker, p->realm, &s->addr, s->transport,
			      now + (uint64_t)p->config->in_service_period *
					      SECOND);
	else
		bulletin_pardon(p->all->worker, p->realm, &s->addr,
				s->transport);
}

static void round_end(struct ping *p)
{
	uint32_t out = 0;
	bool good = false;

	for (uint32_t i = 0; i < p->n; i++) {
		struct spot *s = &p->spots[i];

		if (s->asked)
			spot_judge(p, s);
		out += !s->good && s->asked;
		good = good || s->good;
	}
	agent_targets(p->agent, p->n, out);
	if (outage_pinged(p->agent, good))
		bulletin_agent_gone(p->all->worker, p->config, NULL);
	timer_start(&p->timer, next_in(p), round_begin, p);
}

static void spot_ask(struct ping *p, struct spot *s);

/* Ask further, or judge when all is known */
static void round_go_on(struct ping *p)
{
	bool all = p->config->ping_all_addresses;

	for (uint32_t i = 0; i < p->n; i++) {
		struct spot *s = &p->spots[i];

		if (s->probe)
			return;
		if (s->good && !all)
			break;
		if (s->asked)
			continue;
		spot_ask(p, s);
		if (s->probe && !all)
			return;
	}
	for (uint32_t i = 0; i < p->n; i++)
		if (p->spots[i].probe)
			return;
	round_end(p);
}

static void answered(struct probe *probe, const struct message *answer,
		     void *arg)
{
	struct ping *p = arg;

	for (uint32_t i = 0; i < p->n; i++) {
		struct spot *s = &p->spots[i];

		if (s->probe != probe)
			continue;
		s->good = probe_is_good(p->config, answer ? answer->code : 0);
		s->probe = mem_deref(s->probe);
	}
	round_go_on(p);
}

/* A ping that has no answer when the next one is due has none */
static uint32_t patience(const struct ping *p)
{
	uint64_t ms =
		(uint64_t)p->all->worker->plan->sip->trans_expire * SECOND;

	return (uint32_t)(interval(p) < ms ? interval(p) : ms);
}

static void spot_ask(struct ping *p, struct spot *s)
{
	struct probe_setup setup = {
		.worker = p->all->worker,
		.agent = p->config,
		.realm = p->realm,
		.addr = s->addr,
		.transport = s->transport,
		.wait = patience(p),
	};

	s->asked = true;
	s->good = false;
	(void)probe_send(&s->probe, &setup, answered, p); /* bad, then */
}

/* The targets of this round; what is known of those that stay is kept */
static void spots_take(struct ping *p, const struct resolved *found)
{
	struct spot old[RESOLVE_TARGETS];
	uint32_t n = p->n;

	memcpy(old, p->spots, sizeof(old));
	memset(p->spots, 0, sizeof(p->spots));
	p->n = found->n;
	for (uint32_t i = 0; i < p->n; i++) {
		struct spot *s = &p->spots[i];

		s->addr = found->addr[i];
		s->transport = found->transport[i];
		for (uint32_t k = 0; k < n; k++) {
			if (old[k].transport == s->transport &&
			    sa_cmp(&old[k].addr, &s->addr, SA_ALL)) {
				s->out = old[k].out;
				old[k].out = 0;
			}
		}
	}
	/* One that DNS does not name any more is nobody's */
	for (uint32_t k = 0; k < n; k++)
		if (old[k].out)
			bulletin_pardon(p->all->worker, p->realm, &old[k].addr,
					old[k].transport);
}

static void resolved(int err, const struct resolved *found, void *arg)
{
	struct ping *p = arg;

	p->resolving = NULL;
	if (err) {
		p->n = 0; /* no target, no good answer */
		round_end(p);
		return;
	}
	spots_take(p, found);
	round_go_on(p);
}

static int agent_resolve(struct resolve **rp, struct resolver *resolver,
			 const struct session_agent *agent,
			 const struct realm *realm, struct resolved *found,
			 resolve_h *h, void *arg)
{
	struct resolve_query q = {
		.realm = realm,
		.port = (uint16_t)agent->port,
		.transport = match_agent_transport(agent),
	};

	if (!match_agent_address(agent, &found->addr[0])) {
		found->transport[0] = q.transport == TRANSPORT_NONE
					      ? TRANSPORT_UDP
					      : (uint8_t)q.transport;
		if (!sa_port(&found->addr[0]))
			sa_set_port(&found->addr[0], 5060);
		found->n = 1;
		return 0;
	}
	pl_set_str(&q.host, agent->hostname);

	return resolve(rp, resolver, &q, found, h, arg);
}

static void round_begin(void *arg)
{
	struct ping *p = arg;
	struct resolved found = { .n = 0 };
	uint64_t heard = is_heard_for(p);
	int err;

	if (heard) {
		timer_start(&p->timer, heard, round_begin, p);
		return;
	}
	err = agent_resolve(&p->resolving, p->all->worker->resolver, p->config,
			    p->realm, &found, resolved, p);
	if (err != EINPROGRESS)
		resolved(err, err ? NULL : &found, p);
}

/* --- Whom ----------------------------------------------------------------- */

static void ping_destructor(void *data)
{
	struct ping *p = data;

	timer_cancel(&p->timer);
	round_stop(p);
	list_unlink(&p->le);
	table_remove(&p->all->names, &p->by_name);
	mem_deref(p->hostname);
}

/* configuration.md 2.9: egress-realm-id is for pings; else where it lives */
static const struct realm *egress_of(const struct plan *plan,
				     const struct session_agent *agent)
{
	const char *const names[] = { agent->egress_realm_id, agent->realm_id,
				      plan->sip->egress_realm_id,
				      plan->sip->home_realm_id };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const struct realm *realm = realm_named(plan->realms, names[i]);

		if (realm && realm->interface)
			return realm;
	}

	return NULL;
}

/* An INVITE would ring, and these two belong to one */
static bool can_ask(const struct session_agent *agent)
{
	static const char *const none[] = { "INVITE", "ACK", "CANCEL" };

	if (!agent->state || !agent->ping_method.n || !agent->ping_interval)
		return false;
	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++)
		if (!strcmp(agent->ping_method.v[0], none[i]))
			return false;

	return true;
}

static uint64_t name_hash(const char *hostname)
{
	return hash_nocase(hostname, strlen(hostname));
}

static bool is_name(const struct entry *e, const void *key)
{
	const struct ping *p =
		(const struct ping *)((const char *)e -
				      offsetof(struct ping, by_name));

	return !str_casecmp(p->hostname, key);
}

static struct ping *ping_find(const struct pings *all, const char *hostname)
{
	struct entry *e =
		table_find(&all->names, name_hash(hostname), is_name, hostname);

	return e ? (struct ping *)((char *)e - offsetof(struct ping, by_name))
		 : NULL;
}

static int ping_add(struct ping **pp, struct pings *all,
		    const struct session_agent *config)
{
	struct ping *p = mem_zalloc(sizeof(*p), ping_destructor);
	int err;

	if (!p)
		return ENOMEM;

	p->all = all;
	err = str_dup(&p->hostname, config->hostname);
	if (!err)
		err = table_add(&all->names, &p->by_name,
				name_hash(config->hostname));
	if (err) {
		mem_deref(p);
		return err;
	}
	list_append(&all->list, &p->le, p);
	*pp = p;

	return 0;
}

static int ping_renew(struct pings *all, const struct session_agent *config,
		      uint32_t n)
{
	const struct realm *realm = egress_of(all->plan, config);
	struct agent *agent = agents_find(all->worker->agents, config);
	struct ping *p = ping_find(all, config->hostname);
	uint64_t wait;
	int err;

	if (!realm || !agent)
		return 0;
	if (!p) {
		err = ping_add(&p, all, config);
		if (err)
			return err;
	}

	round_stop(p); /* what is under way reads the plan before */
	p->seen = all->changes;
	p->config = config;
	p->realm = realm;
	p->agent = agent;
	/* A round that the change cut short begins anew */
	wait = interval(p) < n * FIRST_SPREAD ? interval(p) : n * FIRST_SPREAD;
	if (!timer_is_running(&p->timer))
		timer_start(&p->timer, random_between(0, (uint32_t)wait),
			    round_begin, p);
	else if (timer_left(&p->timer) > interval(p))
		timer_start(&p->timer, next_in(p), round_begin, p);

	return 0;
}

static int agent_next(struct pings *all)
{
	const struct session_agent *config = config_at(
		all->plan->config, &element_session_agent, all->next++);

	return can_ask(config) ? ping_renew(all, config, ++all->asked) : 0;
}

static void leave_next(struct pings *all)
{
	struct ping *p = all->left->data;

	all->left = all->left->next;
	if (p->seen != all->changes)
		mem_deref(p);
}

/* A slice; false: that was the last one */
static bool take_some(struct pings *all)
{
	size_t n = config_count(all->plan->config, &element_session_agent);

	for (int i = 0; i < SLICE; i++) {
		if (all->next < n) {
			if (agent_next(all))
				log_error(SIPD, "change", "text=\"no memory\"");
		} else if (all->left) {
			leave_next(all);
		} else {
			return false;
		}
	}

	return true;
}

static void taken(struct pings *all)
{
	timer_cancel(&all->taking);
	all->under_way = false;
	plan_give(all->before);
	all->before = NULL;
}

static void go_on(void *arg)
{
	struct pings *all = arg;

	if (take_some(all))
		timer_start(&all->taking, 1, go_on, all);
	else
		taken(all);
}

void pings_change(struct pings *all)
{
	if (all->under_way) {
		while (take_some(all))
			;
		taken(all);
	}
	all->before = all->plan;
	all->plan = plan_take(all->worker->plan);
	all->changes++;
	all->next = 0;
	all->asked = 0;
	all->left = list_head(&all->list);
	all->under_way = true;
	go_on(all);
}

bool pings_is_settled(const struct pings *all)
{
	return !all || !all->under_way;
}

void pings_ask(struct pings *all, const char *hostname)
{
	struct ping *p = ping_find(all, hostname);

	if (!p)
		return;
	round_stop(p);
	timer_start(&p->timer, 0, round_begin, p);
}

/* --- One ping on demand --------------------------------------------------- */

static void try_destructor(void *data)
{
	struct try *t = data;

	list_unlink(&t->le);
	resolve_cancel(t->resolving);
	mem_deref(t->probe);
	plan_give(t->plan);
}

static void try_end(struct try *t, int err)
{
	t->result.err = err;
	t->h(&t->result, t->arg);
	mem_deref(t);
}

static void try_answered(struct probe *probe, const struct message *answer,
			 void *arg)
{
	struct try *t = arg;
	(void)probe;

	t->result.took = (uint32_t)(clock_ms() - t->sent);
	if (answer) {
		t->result.code = answer->code;
		(void)pl_strcpy(&answer->reason, t->result.reason,
				sizeof(t->result.reason));
	}
	try_end(t, answer ? 0 : ETIMEDOUT);
}

static void try_resolved(int err, const struct resolved *found, void *arg)
{
	struct try *t = arg;
	struct probe_setup setup = {
		.worker = t->all->worker,
		.agent = t->agent,
		.realm = t->realm,
		.wait = t->wait,
		.method = "OPTIONS",
	};

	t->resolving = NULL;
	if (!err && !found->n)
		err = ENOENT;
	if (!err) {
		t->result.addr = setup.addr = found->addr[0];
		t->result.transport = setup.transport = found->transport[0];
		t->sent = clock_ms();
		err = probe_send(&t->probe, &setup, try_answered, t);
	}
	if (err)
		try_end(t, err);
}

int pings_try(struct pings *all, const char *hostname, uint32_t wait, ping_h *h,
	      void *arg)
{
	const struct plan *plan = all->worker->plan;
	struct resolved found = { .n = 0 };
	const struct session_agent *agent;
	const struct realm *realm;
	struct pl key;
	struct try *t;
	int err;

	pl_set_str(&key, hostname);
	agent = config_find(plan->config, &element_session_agent, &key);
	realm = agent ? egress_of(plan, agent) : NULL;
	if (!agent || !realm)
		return agent ? ENOTCONN : ENOENT;
	t = mem_zalloc(sizeof(*t), try_destructor);
	if (!t)
		return ENOMEM;

	t->all = all;
	t->plan = plan_take(plan);
	t->agent = agent;
	t->realm = realm;
	t->wait = wait;
	t->h = h;
	t->arg = arg;
	list_append(&all->tries, &t->le, t);
	err = agent_resolve(&t->resolving, all->worker->resolver, agent, realm,
			    &found, try_resolved, t);
	if (err != EINPROGRESS)
		try_resolved(err, &found, t);

	return 0;
}

/* --- States that change by themselves ------------------------------------- */

static void look(void *arg)
{
	struct pings *all = arg;
	const struct agents *agents = all->worker->agents;

	for (int i = 0; i < LOOK_SLICE; i++) {
		struct agent *agent = agents_next(agents, all->looked);

		all->looked = agent;
		if (!agent)
			break;
		(void)outage_look(agent);
	}
	timer_start(&all->look, all->looked ? LOOK_PAUSE : LOOK_EVERY, look,
		    all);
}

/* --- The whole ------------------------------------------------------------ */

static void destructor(void *data)
{
	struct pings *all = data;

	timer_cancel(&all->look);
	timer_cancel(&all->taking);
	while (all->tries.head)
		try_end(all->tries.head->data, ECANCELED);
	list_flush(&all->list);
	table_finish(&all->names);
	plan_give(all->plan);
	plan_give(all->before);
}

int pings_open(struct pings **pp, struct worker *w)
{
	struct pings *all = mem_zalloc(sizeof(*all), destructor);

	if (!all)
		return ENOMEM;

	all->worker = w;
	table_init(&all->names);
	timer_start(&all->look, LOOK_EVERY, look, all);
	*pp = all;

	return 0;
}

void pings_close(struct pings *p)
{
	mem_deref(p);
}
