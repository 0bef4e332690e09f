/*
 * Connections to session-agents that are kept open
 *
 * Of a session-agent that is known by name, that to the first address which DNS
 * gives.
 */
#include <errno.h>
#include <string.h>
#include "store/log.h"
#include "sbc/doors.h"
#include "sbc/outage.h"
#include "sbc/resolver.h"
#include "sbc/standing.h"
#include "sbc/timer.h"

enum {
	PAUSE = 10 /* tcp-reconn-interval 0 [s] */
};

/* One connection. The table has a reference, and each send under way */
struct stand {
	struct le le;
	struct standing *all; /* NULL: given up */
	/* Of the worker's plan, renewed with it */
	const struct session_agent *agent;
	const struct realm *realm;
	char *hostname;
	struct timer timer;
	struct resolve *resolving;
	struct port *port; /* a reference, while there is a connection */
	struct sa dst;
	uint64_t conn; /* 0: none */
	bool opening, stays;
};

struct standing {
	struct worker *worker;
	struct list list;
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
	s->all = NULL;
	mem_deref(s);
}

static struct stand *find(const struct standing *all, const char *hostname)
{
	for (struct le *le = list_head(&all->list); le; le = le->next) {
		struct stand *s = le->data;

		if (!str_casecmp(s->hostname, hostname))
			return s;
	}

	return NULL;
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

	if (err) {
		mem_deref(s);
		return err;
	}
	s->all = all;
	s->agent = agent;
	s->realm = realm;
	s->stays = true;
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
	s->stays = true;
	/* a question about its name read the plan before */
	if (s->resolving) {
		s->resolving = (resolve_cancel(s->resolving), NULL);
		timer_start(&s->timer, 0, begin, s);
	}

	return 0;
}

int standing_change(struct standing *all)
{
	const struct plan *plan = all->worker->plan;
	size_t n = config_count(plan->config, &element_session_agent);
	int err = 0;

	for (size_t i = 0; i < n; i++) {
		const struct session_agent *agent =
			config_at(plan->config, &element_session_agent, i);
		const struct realm *realm;
		int failed_one;

		if (!agent->state ||
		    agent->transport_method != TRANSPORT_METHOD_STATIC_TCP)
			continue;
		realm = realm_of(plan, agent);
		failed_one = realm ? stand_renew(all, agent, realm) : 0;
		if (failed_one)
			err = failed_one;
	}
	for (struct le *le = list_head(&all->list); le;) {
		struct stand *s = le->data;

		le = le->next;
		if (!s->stays)
			stand_end(s);
		else
			s->stays = false;
	}

	return err;
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

	while (all->list.head)
		stand_end(all->list.head->data);
}

int standing_open(struct standing **sp, struct worker *w)
{
	struct standing *all = mem_zalloc(sizeof(*all), standing_destructor);

	if (!all)
		return ENOMEM;
	all->worker = w;
	*sp = all;
	return 0;
}

void standing_close(struct standing *all)
{
	mem_deref(all);
}
