/*
 * Connections to session-agents that are kept open
 *
 * Of a session-agent that is known by name, that to the first address which DNS
 * gives.
 */
#include <errno.h>
#include <string.h>
#include "store/hash.h"
#include "store/log.h"
#include "sbc/doors.h"
#include "sbc/outage.h"
#include "sbc/resolver.h"
#include "sbc/standing.h"
#include "sbc/timer.h"

enum {
	PAUSE = 10, /* tcp-reconn-interval 0 [s] */
	SLICE = 200 /* session-agents of another plan in one turn */
};

/* One connection. The table has a reference, and each send under way */
struct stand {
	struct le le;
	struct entry by_name;
	struct standing *all; /* NULL: given up */
	uint32_t seen; /* in this change of the plan: what follows is of it */
	const struct session_agent *agent;
	const struct realm *realm;
	char *hostname;
	struct timer timer;
	struct resolve *resolving;
	struct port *port; /* a reference, while there is a connection */
	struct sa dst;
	uint64_t conn; /* 0: none */
	bool opening;
};

/* A plan taken over a little in each turn of the loop; a connection that its turn
 * has not come to is kept as before */
struct standing {
	struct worker *worker;
	const struct plan *plan, *before; /* before: until all is taken over */
	uint32_t changes;
	size_t next;     /* session-agent of the plan */
	struct le *left; /* next connection that may go, behind these */
	struct timer taking;
	bool under_way;
	struct list list;
	struct table names;
};

static void begin(void *arg);

static void wait(struct stand *s)
{
	uint32_t pause = s->agent->tcp_reconn_interval;

	timer_start(&s->timer, (pause ? pause : PAUSE) * 1000ULL, begin, s);
}

static void leave(struct stand *s)
{
	if (s->conn)
		port_keep(s->port, s->conn, false);
	s->conn = 0;
	s->port = mem_deref(s->port);
}

static void failed(struct stand *s)
{
	struct agent *agent = agents_find(s->all->worker->agents, s->agent);

	leave(s);
	if (agent)
		(void)outage_unreachable(agent);
	wait(s);
}

static void opened(int err, uint64_t conn, void *arg)
{
	struct stand *s = arg;

	s->opening = false;
	if (s->all && (err || !conn)) {
		failed(s);
	} else if (s->all) {
		s->conn = conn;
		port_keep(s->port, conn, true);
		log_info(SIPD, "agent-connected", "agent=%s", s->hostname);
	}
	mem_deref(s);
}

/* What is sent opens it: a ping (RFC 5626 3.5.1), which every server skips as
 * blank lines (RFC 3261 7.5) */
static int dial(struct stand *s, const struct sa *dst)
{
	static const char ping[] = "\r\n\r\n";
	const struct target to = { .dst = *dst, .transport = TRANSPORT_TCP };
	const struct endpoint *e = realm_endpoint(s->realm, dst, TRANSPORT_TCP);
	struct port *port = worker_port(s->all->worker, e);
	struct mbuf *mb;
	int err;

	if (!port)
		return ENOTCONN;
	s->dst = *dst;
	mb = mbuf_alloc(sizeof(ping));
	err = mb ? mbuf_write_str(mb, ping) : ENOMEM;
	if (!err) {
		mb->pos = 0;
		s->port = mem_ref(port);
		s->opening = true;
		err = port_send(port, &to, mb, opened, mem_ref(s));
		if (err) {
			s->opening = false;
			mem_deref(s);
		}
	}
	mem_deref(mb);

	return err;
}

static void resolved(int err, const struct resolved *found, void *arg)
{
	struct stand *s = arg;

	s->resolving = NULL;
	if (!err && !found->n)
		err = ENOENT;
	if (!err)
		err = dial(s, &found->addr[0]);
	if (err)
		failed(s);
}

static void begin(void *arg)
{
	struct stand *s = arg;
	struct resolved found = { .n = 1 };
	struct resolve_query q = {
		.realm = s->realm,
		.port = (uint16_t)s->agent->port,
		.transport = TRANSPORT_TCP,
	};
	int err;

	leave(s);
	if (!match_agent_address(s->agent, &found.addr[0])) {
		if (!sa_port(&found.addr[0]))
			sa_set_port(&found.addr[0], 5060);
		resolved(0, &found, s);
		return;
	}
	pl_set_str(&q.host, s->agent->hostname);
	err = resolve(&s->resolving, s->all->worker->resolver, &q, &found,
		      resolved, s);
	if (err != EINPROGRESS)
		resolved(err, &found, s);
}

static void stand_destructor(void *data)
{
	struct stand *s = data;

	mem_deref(s->port);
	mem_deref(s->hostname);
}

static void stand_end(struct stand *s)
{
	timer_cancel(&s->timer);
	s->resolving = (resolve_cancel(s->resolving), NULL);
	leave(s);
	list_unlink(&s->le);
	table_remove(&s->all->names, &s->by_name);
	s->all = NULL;
	mem_deref(s);
}

static uint64_t name_hash(const char *hostname)
{
	return hash_nocase(hostname, strlen(hostname));
}

static bool is_name(const struct entry *e, const void *key)
{
	const struct stand *s =
		(const struct stand *)((const char *)e -
				       offsetof(struct stand, by_name));

	return !str_casecmp(s->hostname, key);
}

static struct stand *find(const struct standing *all, const char *hostname)
{
	struct entry *e =
		table_find(&all->names, name_hash(hostname), is_name, hostname);

	return e ? (struct stand *)((char *)e - offsetof(struct stand, by_name))
		 : NULL;
}

/* configuration.md 2.9, as for pings but that it lives where it lives */
static const struct realm *realm_of(const struct plan *plan,
				    const struct session_agent *agent)
{
	const char *const names[] = { agent->realm_id, agent->egress_realm_id,
				      plan->sip->egress_realm_id };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const struct realm *realm = realm_named(plan->realms, names[i]);

		if (realm && realm->interface)
			return realm;
	}

	return NULL;
}

/* Does it lead elsewhere than before, or by another sip-port? Then what is open is
 * not the one meant */
static bool is_moved(const struct stand *s, const struct session_agent *agent,
		     const struct realm *realm)
{
	return (s->port &&
		s->port != worker_port(s->all->worker,
				       realm_endpoint(realm, &s->dst,
						      TRANSPORT_TCP))) ||
	       s->agent->port != agent->port ||
	       strcmp(s->realm->config->identifier,
		      realm->config->identifier) ||
	       !sa_cmp(&s->agent->ip_address, &agent->ip_address, SA_ALL);
}

static int stand_add(struct standing *all, const struct session_agent *agent,
		     const struct realm *realm)
{
	struct stand *s = mem_zalloc(sizeof(*s), stand_destructor);
	int err = s ? str_dup(&s->hostname, agent->hostname) : ENOMEM;

	if (!err)
		err = table_add(&all->names, &s->by_name,
				name_hash(agent->hostname));
	if (err) {
		mem_deref(s);
		return err;
	}
	s->all = all;
	s->agent = agent;
	s->realm = realm;
	s->seen = all->changes;
	list_append(&all->list, &s->le, s);
	timer_start(&s->timer, 0, begin, s);

	return 0;
}

static int stand_renew(struct standing *all, const struct session_agent *agent,
		       const struct realm *realm)
{
	struct stand *s = find(all, agent->hostname);

	if (s && is_moved(s, agent, realm)) {
		stand_end(s);
		s = NULL;
	}
	if (!s)
		return stand_add(all, agent, realm);

	s->agent = agent;
	s->realm = realm;
	s->seen = all->changes;
	/* a question about its name read the plan before */
	if (s->resolving) {
		s->resolving = (resolve_cancel(s->resolving), NULL);
		timer_start(&s->timer, 0, begin, s);
	}

	return 0;
}

static int agent_next(struct standing *all)
{
	const struct session_agent *agent = config_at(
		all->plan->config, &element_session_agent, all->next++);
	const struct realm *realm;

	if (!agent->state ||
	    agent->transport_method != TRANSPORT_METHOD_STATIC_TCP)
		return 0;
	realm = realm_of(all->plan, agent);

	return realm ? stand_renew(all, agent, realm) : 0;
}

static void leave_next(struct standing *all)
{
	struct stand *s = all->left->data;

	all->left = all->left->next;
	if (s->seen != all->changes)
		stand_end(s);
}

/* A slice; false: that was the last one. Who goes, goes after all others: one that
 * is renewed may end here, but is never `left` then */
static bool take_some(struct standing *all)
{
	size_t n = config_count(all->plan->config, &element_session_agent);

	for (int i = 0; i < SLICE; i++) {
		if (all->next < n) {
			if (agent_next(all))
				log_error(SIPD, "change", "text=\"no memory\"");
			if (all->next == n)
				all->left = list_head(&all->list);
		} else if (all->left) {
			leave_next(all);
		} else {
			return false;
		}
	}

	return true;
}

static void taken(struct standing *all)
{
	timer_cancel(&all->taking);
	all->under_way = false;
	plan_give(all->before);
	all->before = NULL;
}

static void go_on(void *arg)
{
	struct standing *all = arg;

	if (take_some(all))
		timer_start(&all->taking, 1, go_on, all);
	else
		taken(all);
}

void standing_change(struct standing *all)
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
	all->left = config_count(all->plan->config, &element_session_agent)
			    ? NULL
			    : list_head(&all->list);
	all->under_way = true;
	go_on(all);
}

bool standing_is_settled(const struct standing *all)
{
	return !all || !all->under_way;
}

void standing_lost(struct standing *all, uint64_t conn)
{
	for (struct le *le = all ? list_head(&all->list) : NULL; le;
	     le = le->next) {
		struct stand *s = le->data;

		if (!s->conn || s->conn != conn)
			continue;
		log_warning(SIPD, "agent-disconnected", "agent=%s",
			    s->hostname);
		s->conn = 0;
		leave(s);
		wait(s);
		return;
	}
}

static void standing_destructor(void *data)
{
	struct standing *all = data;

	timer_cancel(&all->taking);
	while (all->list.head)
		stand_end(all->list.head->data);
	table_finish(&all->names);
	plan_give(all->plan);
	plan_give(all->before);
}

int standing_open(struct standing **sp, struct worker *w)
{
	struct standing *all = mem_zalloc(sizeof(*all), standing_destructor);

	if (!all)
		return ENOMEM;
	all->worker = w;
	table_init(&all->names);
	*sp = all;
	return 0;
}

void standing_close(struct standing *all)
{
	mem_deref(all);
}
