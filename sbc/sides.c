/*
 * Who is who on the two sides, and what may cross between them
 */
#include <errno.h>
#include <string.h>
#include "policy/hide.h"
#include "sbc/clock.h"
#include "sbc/sides.h"

struct sides sides_hunted(const struct hunt *hunt, const struct leg *a,
			  const struct leg *b)
{
	const struct branch *branch = hunt_branch(hunt, b);
	struct sides s = {
		.worker = hunt->worker,
		.plan = hunt->plan,
		.source = &hunt->source,
		.owner = &hunt->owner,
		.called = &hunt->called,
		.from = &hunt->from,
		.hop = &branch->hop,
		.to_trunk = branch->to_trunk,
		.a = a,
		.b = b,
	};

	return s;
}

void sides_heard(const struct sides *s, bool side_b)
{
	const struct session_agent *config =
		side_b ? s->hop->agent : s->source->agent;
	struct agent *agent =
		config ? agents_find(s->worker->agents, config) : NULL;

	if (agent)
		agent_heard(agent, clock_ms());
}

/* --- Identities --------------------------------------------------------- */

static const struct realm *realm_a(const struct sides *s)
{
	return s->a ? s->a->realm : s->source->realm;
}

static const struct realm *realm_b(const struct sides *s)
{
	return s->b ? s->b->realm : s->hop->realm;
}

/* Is the peer of this side trusted with identities, and in them (RFC 3325)? */
static bool is_trusted(const struct sides *s, bool side_b)
{
	struct source called = { .realm = s->hop->realm,
				 .agent = s->hop->agent,
				 .in_prefix = true };

	if (side_b)
		return match_trusts(called.realm, &called);

	return match_trusts(realm_a(s), s->source);
}

/* Does the peer of this side get identities of the other's? */
static bool is_told(const struct sides *s, bool side_b)
{
	struct source called = { .realm = s->hop->realm,
				 .agent = s->hop->agent,
				 .in_prefix = true };

	if (side_b)
		return match_tells(called.realm, &called);

	return match_tells(realm_a(s), s->source);
}

/* For the tables of behaviour.md 5.2 and 5.3, a message to side B */
static void towards_b(const struct sides *s, struct rewrite_setup *r)
{
	r->ingress = realm_a(s);
	r->egress = realm_b(s);
	r->src = s->a ? s->a->to.dst : s->from->src;
	r->received_at = port_local(s->a ? s->a->port : s->from->port);
	r->local = port_local(s->b->port);
	r->target = &s->b->to.dst;
	r->hop = s->hop;
	r->owner = *s->owner;
	r->called = *s->called;
	r->to_trunk = s->to_trunk;
}

/* Back to where it came from: the PBX and the trunk change their places */
static void towards_a(const struct sides *s, struct rewrite_setup *r)
{
	struct hop registrar;

	r->ingress = realm_b(s);
	r->egress = realm_a(s);
	if (s->b) {
		r->src = s->b->to.dst;
		r->received_at = port_local(s->b->port);
	}
	r->local = port_local(s->a ? s->a->port : s->from->port);
	r->target = s->a ? &s->a->to.dst : &s->from->src;
	r->called = *s->owner;
	r->owner = *s->called;
	r->to_trunk = r->owner.agent &&
		      !plan_registrar(s->plan, r->owner.agent, &registrar) &&
		      registrar.realm == r->egress;
}

int sides_edit(const struct sides *s, bool to_b, struct message *out,
	       const struct message *msg)
{
	struct rewrite_setup setup;
	struct mbuf scratch;
	int err;

	mbuf_init(&scratch);
	memset(&setup, 0, sizeof(setup));
	setup.plan = s->plan;
	setup.msg = msg;
	if (to_b)
		towards_b(s, &setup);
	else
		towards_a(s, &setup);
	setup.trusted = is_told(s, to_b) && is_trusted(s, !to_b);
	err = rewrite_within(&scratch, out, &setup);
	/* RFC 3323 4.2: obeyed, so it ends here */
	if (!err && !is_trusted(s, to_b))
		err = message_drop(out, HDR_PRIVACY);
	mbuf_reset(&scratch);
	return err;
}

void sides_answer(const struct sides *s, struct leg_reply *r,
		  struct message **copyp, const struct message *msg,
		  bool challenge)
{
	struct hide_setup hide = {
		.trusted = true,
		.challenge =
			challenge && (msg->code == 401 || msg->code == 407),
		.local = port_local(s->a ? s->a->port : s->from->port),
	};

	r->code = msg->code;
	r->reason = msg->reason;
	if (message_clone(copyp, msg))
		return;
	(void)hide_edit(*copyp, &hide);
	(void)sides_edit(s, false, *copyp, msg);
	r->src = *copyp;
	r->without = hide_set(*copyp, &hide);
	/* The whole SBC is not out of service because one target is */
	if (msg->code == 503)
		(void)message_drop(*copyp, HDR_RETRY_AFTER);
}

/* --- Credentials -------------------------------------------------------- */

/* Route that a new request of the called side towards the caller would take:
 * its credentials answer for challenges of the caller's side (6.2) */
static const struct policy_attribute *route_back(const struct sides *s,
						 const struct pl *method)
{
	struct route_query q = { .realm = s->b->realm, .method = *method };
	struct pl from = leg_range(s->b, LEG_REMOTE);
	struct pl to = leg_range(s->b, LEG_LOCAL);
	struct address from_addr, to_addr;
	struct route *route;
	const struct policy_attribute *found = NULL;

	if (address_read(&from_addr, &from) || address_read(&to_addr, &to))
		return NULL;
	q.from = &from_addr.uri;
	q.to = &to_addr.uri;
	clock_local(&q.now);

	route = mem_zalloc(sizeof(*route), NULL);
	if (!route)
		return NULL;
	if (!route_find(s->plan->routes, &q, route)) {
		for (uint32_t i = 0; i < route->n && !found; i++)
			if (route->hops[i].realm == s->a->realm)
				found = route->hops[i].attribute;
	}
	mem_deref(route);
	return found;
}

/* What answers for a side, but the owner's registrar */
static void query_of(struct credential_query *q,
		     const struct policy_attribute *attribute,
		     const struct realm *realm)
{
	if (attribute) {
		q->realm = attribute->realm;
		q->lookup = attribute->auth_user_lookup;
		if (!q->realm[0] && q->egress)
			q->realm = q->egress->realm_id;
	}
	q->egress_realm = realm->config->identifier;
}

void sides_who(struct sides_who *who, const struct sides *s)
{
	memset(who, 0, sizeof(*who));
	who->worker = s->worker;
	who->realm = s->b->realm;
	who->attribute = s->hop->attribute;
	who->egress = s->hop->agent;
	who->ingress = s->source->agent;
	if (!s->called->agent)
		who->owner = *s->owner;
}

void sides_who_proof(const struct sides_who *who, const struct sa *target,
		     struct proof_setup *setup)
{
	struct credential_query *q = &setup->query;

	q->egress = who->egress;
	q->ingress = who->ingress;
	query_of(q, who->attribute, who->realm);
	q->owner = who->owner;
	hunt_registrar(setup, who->worker, who->realm, target);
}

static void proof_back(const struct sides *s, struct proof_setup *setup)
{
	struct credential_query *q = &setup->query;

	q->egress = s->source->agent;
	q->ingress = s->hop->agent;
	query_of(q, route_back(s, &setup->method), s->a->realm);
	q->owner = *s->called;
	hunt_registrar(setup, s->worker, s->a->realm, &s->a->to.dst);
}

void sides_proof(const struct sides *s, bool to_b, struct proof_setup *setup)
{
	struct sides_who who;

	if (!to_b) {
		proof_back(s, setup);
		return;
	}
	sides_who(&who, s);
	sides_who_proof(&who, &s->b->to.dst, setup);
}
