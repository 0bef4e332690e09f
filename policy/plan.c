/*
 * One configuration ready for use: realms, matches, routes, identities
 *
 * The parts are made from left to right of the folders' tables and freed in the
 * other direction; each knows only those before it. The counts of libre's
 * objects are not atomic, so the plan has a count of its own and lets go of its
 * parts once, in whatever thread gave the last reference back.
 */
#include <errno.h>
#include <string.h>
#include "store/base.h"
#include "policy/plan.h"

static void plan_destructor(void *arg)
{
	struct plan *plan = arg;

	mem_deref((void *)plan->by_name);
	mem_deref(plan->identities);
	mem_deref(plan->routes);
	mem_deref(plan->match);
	mem_deref(plan->realms);
	config_give(plan->config);
}

static const struct realm *registrar_realm(const struct surrogate_agent *agent,
					   void *arg)
{
	struct hop hop;

	return plan_registrar(arg, agent, &hop) ? NULL : hop.realm;
}

bool plan_is_by_name(const struct plan *plan,
		     const struct surrogate_agent *agent)
{
	const struct realm *realm = realm_named(plan->realms, agent->realm_id);
	struct hop hop;

	return agent->state && realm && !agent->source_ip_prefix.n &&
	       !hop_read(&hop, plan->routes, agent->customer_next_hop, realm) &&
	       !sa_isset(&hop.addr, SA_ADDR);
}

static int by_name_find(struct plan *plan)
{
	size_t n = config_count(plan->config, &element_surrogate_agent);
	size_t room = 0;

	for (size_t i = 0; i < n; i++) {
		const struct surrogate_agent *agent =
			config_at(plan->config, &element_surrogate_agent, i);
		void *more;

		if (!plan_is_by_name(plan, agent))
			continue;
		if (plan->by_name_n == room) {
			room = room ? 2 * room : 16;
			more = mem_reallocarray((void *)plan->by_name, room,
						sizeof(*plan->by_name), NULL);
			if (!more)
				return ENOMEM;
			plan->by_name = more;
		}
		plan->by_name[plan->by_name_n++] = agent;
	}

	return 0;
}

static int compile(struct plan *plan)
{
	int err = realms_alloc(&plan->realms, plan->config);

	if (!err)
		err = match_alloc(&plan->match, plan->realms);
	if (!err)
		err = routes_alloc(&plan->routes, plan->realms, plan->match);
	if (!err)
		err = identities_alloc(&plan->identities, plan->realms,
				       plan->match, registrar_realm, plan);
	if (!err)
		err = by_name_find(plan);

	return err == ENOMEM ? ENOMEM : err ? EINVAL : 0;
}

int plan_alloc(const struct plan **planp, const struct config *cfg)
{
	struct plan *plan = mem_zalloc(sizeof(*plan), plan_destructor);
	int err;

	if (!plan)
		return ENOMEM;

	atomic_init(&plan->refs, 1);
	plan->config = config_take(cfg);
	plan->sip = config_single(cfg, &element_sip_config);
	plan->system = config_single(cfg, &element_system_config);
	plan->media = config_single(cfg, &element_media_manager);

	err = compile(plan);
	if (err)
		mem_deref(plan);
	else
		*planp = plan;

	return err;
}

const struct plan *plan_take(const struct plan *plan)
{
	atomic_fetch_add(&((struct plan *)plan)->refs, 1);

	return plan;
}

bool plan_is_last(const struct plan *plan)
{
	return atomic_load(&((struct plan *)plan)->refs) == 1;
}

void plan_give(const struct plan *plan)
{
	struct plan *p = (struct plan *)plan;

	if (p && atomic_fetch_sub(&p->refs, 1) == 1)
		mem_deref(p);
}

/* The local-policy for the AoR, as a REGISTER from realm-id would find it */
static int registrar_by_policy(const struct plan *plan,
			       const struct surrogate_agent *agent,
			       struct hop *out)
{
	struct route_query q = { .method = PL("REGISTER") };
	struct owner first = { .agent = agent };
	struct route route = { .n = 0 };
	struct uri aor = { .scheme = PL("sip"), .has_user = true };
	char user[AOR_USER_MAX];
	int err;

	q.realm = realm_named(plan->realms, agent->realm_id);
	if (!q.realm || aor_register_user(user, sizeof(user), &first) < 0)
		return ENOENT;

	pl_set_str(&aor.user, user);
	pl_set_str(&aor.host, agent->register_host);
	q.from = q.to = q.called = &aor;
	q.now.any = true;
	err = route_find(plan->routes, &q, &route);
	if (!err)
		*out = route.hops[0];

	return err;
}

int plan_registrar(const struct plan *plan, const struct surrogate_agent *agent,
		   struct hop *out)
{
	struct pl host;

	if (agent->proxy_name[0])
		return hop_read(out, plan->routes, agent->proxy_name, NULL);

	pl_set_str(&host, agent->register_host);
	if (!match_agent(plan->match, &host) &&
	    !registrar_by_policy(plan, agent, out))
		return 0;

	return hop_read(out, plan->routes, agent->register_host, NULL);
}
