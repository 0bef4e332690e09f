/*
 * Source address to realm and session-agent
 *
 * What is compiled:
 *
 *   names    hostname                        -> session-agent
 *   places   address                         -> session-agents there, by name
 *   below    realm with a sip-interface      -> prefixes -> child without one
 *   hops     address                         -> realms of surrogate-agents
 *                                               whose PBX it is
 *
 * A name is a host name in lower case or an address in its bytes, so that any
 * spelling of an IPv6 address finds its session-agent.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "store/base.h"
#include "store/hash.h"
#include "realms/radix.h"
#include "realms/match.h"

/* One session-agent, twice in a table: by name, and in its place */
struct known {
	struct entry e;
	const struct session_agent *config;
	struct sa name; /* of a numeric hostname */
	struct sa addr; /* AF_UNSPEC: only DNS knows */
};

/* All session-agents with one address, in the order of their names */
struct place {
	struct entry e;
	const struct known **v;
	uint32_t n;
};

struct next_hop {
	struct entry e;
	struct sa addr;
	const struct realm *realm;
};

struct match {
	const struct realms *realms;
	struct table names, places, hops;
	struct known *known;
	const struct known **by_place; /* all of known with an address */
	struct place *all_places;
	struct next_hop *all_hops;
	struct radix **below; /* by number of realm; NULL: no such child */
};

static uint64_t address_hash(const struct sa *sa)
{
	if (sa_af(sa) == AF_INET)
		return hash_bytes(&sa->u.in.sin_addr, 4);

	return hash_bytes(&sa->u.in6.sin6_addr, 16);
}

/* An address without port; a host name is none */
static bool host_address(struct sa *sa, const struct pl *host)
{
	return !address_parse_text(sa, host) && !sa_port(sa);
}

static uint64_t name_hash(const struct pl *name, const struct sa *sa)
{
	return sa_isset(sa, SA_ADDR) ? address_hash(sa)
				     : hash_nocase(name->p, name->l);
}

static bool is_somewhere(const struct session_agent *agent)
{
	return !agent->realm_id[0] || !strcmp(agent->realm_id, "*");
}

static bool is_in(const struct session_agent *agent, const struct realm *realm)
{
	return !strcmp(agent->realm_id, realm->config->identifier);
}

static void match_destructor(void *arg)
{
	struct match *m = arg;

	table_finish(&m->names);
	table_finish(&m->places);
	table_finish(&m->hops);
	for (uint32_t i = 0; m->below && i < m->realms->n; ++i)
		mem_deref(m->below[i]);
	mem_deref(m->below);
	mem_deref(m->known);
	mem_deref(m->by_place);
	mem_deref(m->all_places);
	mem_deref(m->all_hops);
}

static void *array(size_t n, size_t size)
{
	return mem_zalloc((n ? n : 1) * size, NULL);
}

/* --- session-agents --- */

static int name_agent(struct match *m, struct known *known,
		      const struct session_agent *agent)
{
	struct pl name;

	pl_set_str(&name, agent->hostname);
	known->config = agent;
	if (!host_address(&known->name, &name))
		sa_init(&known->name, AF_UNSPEC);
	if (match_agent_address(agent, &known->addr))
		sa_init(&known->addr, AF_UNSPEC);

	return table_add(&m->names, &known->e, name_hash(&name, &known->name));
}

static int address_order(const struct sa *a, const struct sa *b)
{
	if (sa_af(a) != sa_af(b))
		return sa_af(a) < sa_af(b) ? -1 : 1;
	if (sa_af(a) == AF_INET)
		return memcmp(&a->u.in.sin_addr, &b->u.in.sin_addr, 4);

	return memcmp(&a->u.in6.sin6_addr, &b->u.in6.sin6_addr, 16);
}

static int place_order(const void *a, const void *b)
{
	const struct known *const *x = a, *const *y = b;
	int order = address_order(&(*x)->addr, &(*y)->addr);

	return order ? order
		     : strcasecmp((*x)->config->hostname,
				  (*y)->config->hostname);
}

/* Sort by address and name; each run of one address is a place */
static int place_agents(struct match *m, size_t n)
{
	size_t places = 0, count = 0;
	int err;

	for (size_t i = 0; i < n; ++i) {
		if (sa_isset(&m->known[i].addr, SA_ADDR))
			m->by_place[count++] = &m->known[i];
	}
	qsort(m->by_place, count, sizeof(*m->by_place), place_order);

	for (size_t i = 0; i < count;) {
		struct place *place = &m->all_places[places++];
		const struct sa *addr = &m->by_place[i]->addr;

		place->v = m->by_place + i;
		while (i < count &&
		       sa_cmp(&m->by_place[i]->addr, addr, SA_ADDR))
			++i, ++place->n;
		err = table_add(&m->places, &place->e, address_hash(addr));
		if (err)
			return err;
	}

	return 0;
}

static int add_agents(struct match *m)
{
	const struct config *cfg = m->realms->config;
	size_t n = config_count(cfg, &element_session_agent);
	int err;

	m->known = array(n, sizeof(*m->known));
	m->by_place = array(n, sizeof(*m->by_place));
	m->all_places = array(n, sizeof(*m->all_places));
	if (!m->known || !m->by_place || !m->all_places)
		return ENOMEM;

	for (size_t i = 0; i < n; ++i) {
		err = name_agent(m, &m->known[i],
				 config_at(cfg, &element_session_agent, i));
		if (err)
			return err;
	}

	return place_agents(m, n);
}

/* --- realms without a sip-interface of their own --- */

static int add_prefix(struct radix *below, const struct prefix *prefix,
		      const struct realm *child)
{
	int err = radix_put(below, prefix, (void *)child);

	/* Unset, or also that of another child: the first keeps it */
	return err == ENOMEM ? err : 0;
}

static int add_child(struct match *m, const struct realm *child)
{
	struct radix **below = &m->below[child->interface_realm->number];
	const struct realm_config *config = child->config;
	int err = 0;

	if (!*below)
		err = radix_alloc(below);
	if (!err)
		err = add_prefix(*below, &config->addr_prefix, child);
	for (uint32_t i = 0; !err && i < config->additional_prefixes.n; ++i)
		err = add_prefix(*below, &config->additional_prefixes.v[i],
				 child);

	return err;
}

static int add_children(struct match *m)
{
	int err = 0;

	m->below = array(m->realms->n, sizeof(*m->below));
	if (!m->below)
		return ENOMEM;

	for (uint32_t i = 0; !err && i < m->realms->n; ++i) {
		const struct realm *realm = &m->realms->all[i];

		if (realm->interface_realm && realm->interface_realm != realm)
			err = add_child(m, realm);
	}

	return err;
}

/* --- customer next hops --- */

static int add_next_hops(struct match *m)
{
	const struct config *cfg = m->realms->config;
	size_t n = config_count(cfg, &element_surrogate_agent);
	int err;

	m->all_hops = array(n, sizeof(*m->all_hops));
	if (!m->all_hops)
		return ENOMEM;

	for (size_t i = 0; i < n; ++i) {
		const struct surrogate_agent *agent =
			config_at(cfg, &element_surrogate_agent, i);
		struct next_hop *hop = &m->all_hops[i];

		hop->realm = realm_named(m->realms, agent->realm_id);
		if (!agent->state || !hop->realm ||
		    match_next_hop_address(m, agent->customer_next_hop,
					   &hop->addr))
			continue;
		err = table_add(&m->hops, &hop->e, address_hash(&hop->addr));
		if (err)
			return err;
	}

	return 0;
}

int match_alloc(struct match **mp, const struct realms *realms)
{
	struct match *m = mem_zalloc(sizeof(*m), match_destructor);
	int err;

	if (!m)
		return ENOMEM;

	m->realms = realms;
	table_init(&m->names);
	table_init(&m->places);
	table_init(&m->hops);

	err = add_agents(m);
	if (err)
		goto out;

	err = add_children(m);
	if (err)
		goto out;

	err = add_next_hops(m);

out:
	if (err)
		mem_deref(m);
	else
		*mp = m;

	return err;
}

/* --- questions --- */

static bool is_place(const struct entry *e, const void *key)
{
	const struct place *place = (const struct place *)e;

	return sa_cmp(&place->v[0]->addr, key, SA_ADDR);
}

static const struct place *place_find(const struct match *m,
				      const struct sa *addr)
{
	if (sa_af(addr) != AF_INET && sa_af(addr) != AF_INET6)
		return NULL;

	return (const struct place *)table_find(&m->places, address_hash(addr),
						is_place, addr);
}

/*
 * behaviour.md 1.3: the one whose realm-id is the realm, then the one whose
 * port is the source port, then the first by hostname
 */
static const struct session_agent *agent_from(const struct place *place,
					      const struct realm *realm,
					      const struct sa *src)
{
	const struct session_agent *best = NULL;
	unsigned best_rank = 0;

	for (uint32_t i = 0; place && i < place->n; ++i) {
		const struct session_agent *agent = place->v[i]->config;
		bool here = is_in(agent, realm);
		unsigned rank = 1 + 2 * here + (agent->port == sa_port(src));

		if (!agent->state || (!here && !is_somewhere(agent)))
			continue;
		if (rank > best_rank) {
			best_rank = rank;
			best = agent;
		}
	}

	return best;
}

/* Realm of a session-agent at the place that shares the interface: a child
 * without one of its own before the interface's realm */
static const struct realm *realm_of_agent(const struct match *m,
					  const struct place *place,
					  const struct realm *top,
					  const struct sa *src)
{
	const struct realm *best = NULL;
	unsigned best_rank = 0;

	for (uint32_t i = 0; place && i < place->n; ++i) {
		const struct session_agent *agent = place->v[i]->config;
		const struct realm *realm;
		unsigned rank;

		if (!agent->state)
			continue;
		realm = realm_named(m->realms, agent->realm_id);
		if (!realm || realm->interface_realm != top)
			continue;
		rank = 1 + 2 * (realm != top) + (agent->port == sa_port(src));
		if (rank > best_rank) {
			best_rank = rank;
			best = realm;
		}
	}

	return best;
}

static const struct realm *realm_of(const struct match *m,
				    const struct place *place,
				    const struct realm *top,
				    const struct sa *src)
{
	const struct radix *below = m->below[top->number];
	const struct realm *realm;

	if (!below)
		return top;

	realm = realm_of_agent(m, place, top, src);
	if (!realm)
		realm = radix_find(below, src);

	return realm ? realm : top;
}

const struct realm *match_realm(const struct match *m, const struct realm *top,
				const struct sa *src)
{
	return m->below[top->number] ? realm_of(m, place_find(m, src), top, src)
				     : top;
}

struct hop_key {
	const struct sa *src;
	const struct realm *realm;
};

/* A surrogate-agent serves its realm and the children of it (5.1) */
static bool is_next_hop(const struct entry *e, const void *arg)
{
	const struct next_hop *hop = (const struct next_hop *)e;
	const struct hop_key *key = arg;

	return sa_cmp(&hop->addr, key->src, SA_ADDR) &&
	       realm_is_within(key->realm, hop->realm);
}

static bool realm_holds(const struct realm *realm, const struct sa *src)
{
	return prefix_holds(&realm->config->addr_prefix, src) ||
	       prefixes_hold(&realm->config->additional_prefixes, src);
}

void match_source(const struct match *m, const struct endpoint *at,
		  const struct sa *src, struct source *out)
{
	const struct place *place = place_find(m, src);
	struct hop_key key = { .src = src };

	memset(out, 0, sizeof(*out));
	out->realm = key.realm = realm_of(m, place, at->realm, src);
	out->agent = agent_from(place, out->realm, src);
	out->in_prefix = realm_holds(out->realm, src);
	out->next_hop = table_find(&m->hops, address_hash(src), is_next_hop,
				   &key) != NULL;
}

struct name_key {
	const struct pl *name;
	struct sa addr;
};

static bool is_called(const struct entry *e, const void *arg)
{
	const struct known *known = (const struct known *)e;
	const struct name_key *key = arg;

	if (sa_isset(&key->addr, SA_ADDR))
		return sa_cmp(&known->name, &key->addr, SA_ADDR);

	return !pl_strcasecmp(key->name, known->config->hostname);
}

const struct session_agent *match_agent(const struct match *m,
					const struct pl *hostname)
{
	struct name_key key = { .name = hostname };
	const struct entry *e;

	if (!host_address(&key.addr, hostname))
		sa_init(&key.addr, AF_UNSPEC);
	e = table_find(&m->names, name_hash(hostname, &key.addr), is_called,
		       &key);

	return e ? ((const struct known *)e)->config : NULL;
}

static const struct session_agent *agent_at(const struct match *m,
					    const struct realm *realm,
					    const struct sa *addr,
					    bool disabled_too)
{
	const struct place *place = place_find(m, addr);
	const struct session_agent *somewhere = NULL;

	for (uint32_t i = 0; place && i < place->n; ++i) {
		const struct session_agent *agent = place->v[i]->config;

		if (!agent->state && !disabled_too)
			continue;
		if (sa_port(addr) && agent->port != sa_port(addr))
			continue;
		if (!realm || is_in(agent, realm))
			return agent;
		if (!somewhere && is_somewhere(agent))
			somewhere = agent;
	}

	return somewhere;
}

const struct session_agent *match_agent_at(const struct match *m,
					   const struct realm *realm,
					   const struct sa *addr)
{
	return agent_at(m, realm, addr, false);
}

const struct session_agent *match_agent_towards(const struct match *m,
						const struct realm *realm,
						const struct sa *addr)
{
	return agent_at(m, realm, addr, true);
}

bool match_is_side(const struct match *m, const struct realm *realm,
		   const struct sa *addr)
{
	const struct session_agent *agent = match_agent_at(m, realm, addr);

	if (agent && !strcmp(agent->realm_id, realm->config->identifier))
		return true;
	/* a realm without prefix is the whole world, and names nobody */
	if (realm->config->addr_prefix.bits &&
	    prefix_holds(&realm->config->addr_prefix, addr))
		return true;

	return prefixes_hold(&realm->config->additional_prefixes, addr);
}

bool match_allows(const struct endpoint *at, const struct source *source,
		  bool is_register, bool is_registered)
{
	if (source->agent || source->next_hop)
		return true;

	switch ((enum allow_anonymous)at->config->allow_anonymous) {

	case ALLOW_ANONYMOUS_ALL:
		return true;

	case ALLOW_ANONYMOUS_AGENTS_ONLY:
		return false;

	case ALLOW_ANONYMOUS_REALM_PREFIX:
		return source->in_prefix;

	case ALLOW_ANONYMOUS_REGISTERED:
		return is_registered || is_register;

	case ALLOW_ANONYMOUS_REGISTER_PREFIX:
		return is_register ? source->in_prefix : is_registered;
	}

	return false;
}

bool match_trusts(const struct realm *realm, const struct source *source)
{
	bool trusted_agent = source->agent && source->agent->trust_me;

	if (!realm->interface)
		return false;

	switch ((enum trust_mode)realm->interface->trust_mode) {

	case TRUST_MODE_ALL:
		return true;

	case TRUST_MODE_AGENTS_ONLY:
		return trusted_agent;

	case TRUST_MODE_REALM_PREFIX:
		return trusted_agent || source->in_prefix;

	case TRUST_MODE_REGISTERED:
		return trusted_agent || source->registered;

	case TRUST_MODE_NONE:
		return false;
	}

	return false;
}

bool match_tells(const struct realm *realm, const struct source *source)
{
	if (realm->config->pai_strip &&
	    !(source->agent && source->agent->trust_me))
		return false;

	return match_trusts(realm, source);
}

int match_agent_address(const struct session_agent *agent, struct sa *sa)
{
	struct pl name;

	if (sa_isset(&agent->ip_address, SA_ADDR)) {
		*sa = agent->ip_address;
	} else {
		pl_set_str(&name, agent->hostname);
		if (!host_address(sa, &name))
			return ENOENT;
	}
	sa_set_port(sa, agent->port);

	return 0;
}

int match_next_hop_address(const struct match *m, const char *next_hop,
			   struct sa *sa)
{
	const struct session_agent *agent;
	struct pl name;

	pl_set_str(&name, next_hop);
	agent = match_agent(m, &name);
	if (agent)
		return agent->state ? match_agent_address(agent, sa) : ENOENT;

	return address_parse_text(sa, &name) ? ENOENT : 0;
}

enum transport match_agent_transport(const struct session_agent *agent)
{
	switch ((enum transport_method)agent->transport_method) {

	case TRANSPORT_METHOD_UDP:
	case TRANSPORT_METHOD_UDP_TCP:
		return TRANSPORT_UDP;

	case TRANSPORT_METHOD_DYNAMIC_TCP:
	case TRANSPORT_METHOD_STATIC_TCP:
		return TRANSPORT_TCP;

	case TRANSPORT_METHOD_DYNAMIC_TLS:
	case TRANSPORT_METHOD_STATIC_TLS:
		return TRANSPORT_TLS;

	case TRANSPORT_METHOD_ANY:
		return TRANSPORT_NONE;
	}

	return TRANSPORT_NONE;
}
