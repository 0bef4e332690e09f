/*
 * Addresses that DNS gives for session-agents and customer next hops, as sources
 */
#include <errno.h>
#include <string.h>
#include <strings.h>
#include "store/hash.h"
#include "sbc/random.h"
#include "sbc/resolver.h"
#include "sbc/sources.h"
#include "sbc/timer.h"

enum {
	AGAIN = 30000,      /* [ms], with up to a tenth more */
	AGAIN_FAILED = 5000 /* [ms], while no address is known */
};

/* An address of a name, in the table of all */
struct learned {
	struct entry entry;
	struct named *of;
	struct sa addr;
};

/* A name that is asked for: of a session-agent, or of a PBX */
struct named {
	struct le le;
	struct sources *all;
	const struct session_agent *agent; /* of the worker's plan, or NULL */
	const struct surrogate_agent *pbx; /* or NULL */
	const struct realm *realm;
	struct hop hop; /* how the name is asked for */
	struct timer timer;
	struct resolve *resolving;
	struct learned v[RESOLVE_TARGETS];
	uint32_t n;
};

struct sources {
	struct worker *worker;
	struct list named;
	struct table addresses;
};

static uint64_t address_hash(const struct sa *sa)
{
	if (sa_af(sa) == AF_INET)
		return hash_bytes(&sa->u.in.sin_addr, 4);

	return hash_bytes(&sa->u.in6.sin6_addr, 16);
}

static void forget(struct named *name)
{
	while (name->n)
		table_remove(&name->all->addresses, &name->v[--name->n].entry);
}

static void named_destructor(void *arg)
{
	struct named *name = arg;

	list_unlink(&name->le);
	timer_cancel(&name->timer);
	resolve_cancel(name->resolving);
	forget(name);
}

/* --- Asking --------------------------------------------------------------- */

static void ask(void *arg);

static void later(struct named *name)
{
	uint32_t pause = name->n ? AGAIN : AGAIN_FAILED;

	timer_start(&name->timer, random_between(pause, pause + pause / 10),
		    ask, name);
}

/* What was known stays while DNS has no answer */
static void answered(int err, const struct resolved *found, void *arg)
{
	struct named *name = arg;
	struct table *table = &name->all->addresses;

	name->resolving = NULL;
	if (err == ENOENT)
		forget(name);
	if (!err) {
		forget(name);
		for (uint32_t i = 0; i < found->n; i++) {
			struct learned *l = &name->v[name->n];

			l->of = name;
			l->addr = found->addr[i];
			if (table_add(table, &l->entry, address_hash(&l->addr)))
				break;
			name->n++;
		}
	}
	later(name);
}

static void ask(void *arg)
{
	struct named *name = arg;
	struct resolve_query q = {
		.realm = name->realm,
		.host = name->hop.host,
		.port = name->hop.port,
		.transport = name->hop.transport,
	};
	struct resolved found;
	int err = resolve(&name->resolving, name->all->worker->resolver, &q,
			  &found, answered, name);

	if (err != EINPROGRESS)
		answered(err, &found, name);
}

static struct named *name_add(struct sources *s, const struct hop *hop)
{
	struct named *name = mem_zalloc(sizeof(*name), named_destructor);

	if (!name)
		return NULL;
	name->all = s;
	name->hop = *hop;
	name->realm = hop->realm;
	list_append(&s->named, &name->le, name);
	/* not all of them in one turn */
	timer_start(&name->timer, list_count(&s->named) / 100, ask, name);

	return name;
}

/* --- The plan ------------------------------------------------------------- */

static int agents_add(struct sources *s)
{
	const struct plan *plan = s->worker->plan;
	size_t n = config_count(plan->config, &element_session_agent);

	for (size_t i = 0; i < n; i++) {
		const struct session_agent *agent =
			config_at(plan->config, &element_session_agent, i);
		struct named *name;
		struct hop hop;

		if (!agent->state ||
		    hop_read(&hop, plan->routes, agent->hostname, NULL) ||
		    hop.agent != agent || sa_isset(&hop.addr, SA_ADDR))
			continue;
		name = name_add(s, &hop);
		if (!name)
			return ENOMEM;
		name->agent = agent;
	}

	return 0;
}

static int next_hops_add(struct sources *s)
{
	const struct plan *plan = s->worker->plan;

	for (size_t i = 0; i < plan->by_name_n; i++) {
		const struct surrogate_agent *pbx = plan->by_name[i];
		const struct realm *realm =
			realm_named(plan->realms, pbx->realm_id);
		struct named *name;
		struct hop hop;

		if (hop_read(&hop, plan->routes, pbx->customer_next_hop, realm))
			continue;
		name = name_add(s, &hop);
		if (!name)
			return ENOMEM;
		name->pbx = pbx;
	}

	return 0;
}

int sources_change(struct sources *s)
{
	int err;

	/* What is known comes back out of the resolver's cache */
	list_flush(&s->named);
	err = agents_add(s);

	return err ? err : next_hops_add(s);
}

/* --- Questions ------------------------------------------------------------ */

struct match_key {
	const struct sa *src;
	const struct endpoint *at;
	const struct realm *realm;
	const struct named *best;
	unsigned rank;
	bool next_hop;
};

/* May the agent be met in this realm, or in a child that shares its sip-
 * interface? */
static bool is_here(const struct session_agent *agent, const struct realm *in,
		    const struct realm *realm)
{
	bool anywhere = !agent->realm_id[0] || !strcmp(agent->realm_id, "*");

	return anywhere || in == realm ||
	       (in && in->interface_realm == realm->interface_realm &&
		in != in->interface_realm && realm == realm->interface_realm);
}

/* behaviour.md 1.3: the one whose realm-id is the realm, then the one whose port
 * is the source port, then the first by hostname */
static bool weigh(const struct entry *e, const void *arg)
{
	const struct learned *l = (const struct learned *)e;
	struct match_key *key = (struct match_key *)(uintptr_t)arg;
	const struct named *name = l->of;
	unsigned rank;

	if (!sa_cmp(&l->addr, key->src, SA_ADDR))
		return false;
	if (name->pbx) {
		key->next_hop = key->next_hop ||
				realm_is_within(key->realm, name->realm);
		return false;
	}
	if (!is_here(name->agent, name->realm, key->realm))
		return false;
	rank = 1 + 2 * (name->realm == key->realm) +
	       (sa_port(&l->addr) == sa_port(key->src));
	if (rank > key->rank ||
	    (rank == key->rank && strcasecmp(name->agent->hostname,
					     key->best->agent->hostname) < 0)) {
		key->rank = rank;
		key->best = name;
	}

	return false; /* look at all */
}

static bool realm_holds(const struct realm *realm, const struct sa *src)
{
	return prefix_holds(&realm->config->addr_prefix, src) ||
	       prefixes_hold(&realm->config->additional_prefixes, src);
}

bool sources_is_stranger(const struct source *source)
{
	return !source->agent && !source->next_hop &&
	       source->realm->config->access_control_trust_level !=
		       TRUST_LEVEL_HIGH;
}

void sources_match(const struct sources *s, const struct plan *plan,
		   const struct endpoint *at, const struct sa *src,
		   struct source *out)
{
	struct match_key key = { .src = src, .at = at };
	const struct session_agent *agent;

	match_source(plan->match, at, src, out);
	/* of the plan before, while another comes into force: not any more */
	if (out->agent || !s || s->worker->plan != plan || !s->addresses.count)
		return;

	key.realm = out->realm;
	(void)table_find(&s->addresses, address_hash(src), weigh, &key);
	out->next_hop = out->next_hop || key.next_hop;
	if (!key.best)
		return;

	agent = out->agent = key.best->agent;
	if (agent->realm_id[0] && strcmp(agent->realm_id, "*") &&
	    key.best->realm != out->realm) {
		out->realm = key.best->realm;
		out->in_prefix = realm_holds(out->realm, src);
	}
}

struct pbx_key {
	const struct surrogate_agent *agent;
	const struct sa *src;
};

static bool is_pbx(const struct entry *e, const void *arg)
{
	const struct learned *l = (const struct learned *)e;
	const struct pbx_key *key = arg;

	return l->of->pbx == key->agent && sa_cmp(&l->addr, key->src, SA_ADDR);
}

bool sources_has(const struct sources *s, const struct surrogate_agent *agent,
		 const struct sa *src)
{
	const struct pbx_key key = { agent, src };

	return s && table_find(&s->addresses, address_hash(src), is_pbx, &key);
}

struct pbx_walk {
	const struct sa *src;
	const struct realm *realm;
	uint32_t left;
};

static bool is_nth_pbx(const struct entry *e, const void *arg)
{
	const struct learned *l = (const struct learned *)e;
	struct pbx_walk *walk = (struct pbx_walk *)(uintptr_t)arg;

	return l->of->pbx && sa_cmp(&l->addr, walk->src, SA_ADDR) &&
	       realm_is_within(walk->realm, l->of->realm) && !walk->left--;
}

const struct surrogate_agent *sources_pbx(const struct sources *s,
					  const struct realm *realm,
					  const struct sa *src, uint32_t n)
{
	const struct pbx_walk walk = { src, realm, n };
	const struct entry *e;

	if (!s)
		return NULL;
	e = table_find(&s->addresses, address_hash(src), is_nth_pbx, &walk);

	return e ? ((const struct learned *)e)->of->pbx : NULL;
}

/* --- Life ----------------------------------------------------------------- */

int sources_open(struct sources **sp, struct worker *w)
{
	struct sources *s = mem_zalloc(sizeof(*s), NULL);

	if (!s)
		return ENOMEM;
	s->worker = w;
	table_init(&s->addresses);
	*sp = s;

	return 0;
}

void sources_close(struct sources *s)
{
	if (!s)
		return;
	list_flush(&s->named);
	table_finish(&s->addresses);
	mem_deref(s);
}
