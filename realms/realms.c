/*
 * Realms compiled from a configuration: by name, by sip-port, parents
 *
 * Three passes, each on what the one before left: realms by name, then their
 * parents (a circle ends it here), then sip-interfaces and steering-pools, of
 * which a realm without any takes those of its nearest parent.
 */
#include <errno.h>
#include <string.h>
#include <strings.h>
#include "store/base.h"
#include "store/hash.h"
#include "realms/realms.h"

struct named {
	struct entry e;
	const struct realm *realm;
};

struct bound {
	struct entry e;
	const struct endpoint *endpoint;
};

struct realms_index {
	struct table names, addresses;
	struct named *named;                /* one each realm */
	struct bound *bound;                /* one each endpoint */
	const struct endpoint **endpoints;  /* by interface, in order */
	const struct steering_pool **pools; /* by realm, in order */
};

static const char *const transport_names[] = {
	[TRANSPORT_UDP] = "UDP", [TRANSPORT_TCP] = "TCP",
	[TRANSPORT_TLS] = "TLS", [TRANSPORT_WS] = "WS",
	[TRANSPORT_WSS] = "WSS", [TRANSPORT_NONE] = "",
};

const char *transport_name(enum transport t)
{
	return transport_names[t];
}

enum transport transport_parse(const struct pl *name)
{
	for (int t = TRANSPORT_UDP; t < TRANSPORT_NONE; ++t) {
		if (!pl_strcasecmp(name, transport_names[t]))
			return t;
	}

	return TRANSPORT_NONE;
}

static uint64_t address_hash(const struct sa *sa)
{
	if (sa_af(sa) == AF_INET)
		return hash_bytes(&sa->u.in.sin_addr, 4);

	return hash_bytes(&sa->u.in6.sin6_addr, 16);
}

static void index_destructor(void *arg)
{
	struct realms_index *x = arg;

	table_finish(&x->names);
	table_finish(&x->addresses);
	mem_deref(x->named);
	mem_deref(x->bound);
	mem_deref(x->endpoints);
	mem_deref(x->pools);
}

static void realms_destructor(void *arg)
{
	struct realms *r = arg;

	mem_deref(r->index);
	mem_deref(r->endpoints);
	mem_deref(r->all);
	config_give(r->config);
}

/* An array of at least one member, so that empty is not out of memory */
static void *array(size_t n, size_t size)
{
	return mem_zalloc((n ? n : 1) * size, NULL);
}

static int name_all(struct realms *r)
{
	int err;

	for (uint32_t i = 0; i < r->n; ++i) {
		struct realm *realm = &r->all[i];
		const char *name;

		realm->config = config_at(r->config, &element_realm_config, i);
		realm->number = i;
		name = realm->config->identifier;
		r->index->named[i].realm = realm;
		err = table_add(&r->index->names, &r->index->named[i].e,
				hash_bytes(name, strlen(name)));
		if (err)
			return err;
	}

	return 0;
}

/* A way up that is longer than there are realms is a circle */
static int find_parents(struct realms *r)
{
	for (uint32_t i = 0; i < r->n; ++i)
		r->all[i].parent =
			realm_named(r, r->all[i].config->parent_realm);

	for (uint32_t i = 0; i < r->n; ++i) {
		const struct realm *up = r->all[i].parent;

		for (uint32_t steps = 0; up; up = up->parent) {
			if (++steps >= r->n)
				return ELOOP;
		}
	}

	return 0;
}

static uint32_t count_endpoints(const struct config *cfg)
{
	uint32_t n = 0;

	for (size_t i = 0; i < config_count(cfg, &element_sip_interface); ++i) {
		const struct sip_interface *iface =
			config_at(cfg, &element_sip_interface, i);

		n += iface->sip_ports.n;
	}

	return n;
}

static int add_endpoint(struct realms *r, const struct sip_interface *iface,
			const struct sip_port *port, const struct realm *realm)
{
	uint32_t n = r->endpoints_n++;
	struct endpoint *ep = &r->endpoints[n];

	ep->interface = iface;
	ep->config = port;
	ep->realm = realm;
	ep->local = port->address;
	sa_set_port(&ep->local, port->port);
	ep->transport = (enum transport)port->transport_protocol;
	ep->number = n;

	r->index->endpoints[n] = ep;
	r->index->bound[n].endpoint = ep;

	return table_add(&r->index->addresses, &r->index->bound[n].e,
			 address_hash(&ep->local));
}

/* A disabled interface is still the realm's own: it has no ports then. With
 * sip-config disabled none has */
static int open_interfaces(struct realms *r)
{
	const struct sip_config *sip =
		config_single(r->config, &element_sip_config);
	size_t n = config_count(r->config, &element_sip_interface);
	int err;

	for (size_t i = 0; i < n; ++i) {
		const struct sip_interface *iface =
			config_at(r->config, &element_sip_interface, i);
		struct realm *realm =
			(struct realm *)realm_named(r, iface->realm_id);
		uint32_t from = r->endpoints_n;

		if (!realm || realm->interface)
			continue;

		realm->interface = iface;
		realm->interface_realm = realm;
		realm->endpoints = r->index->endpoints + from;
		for (uint32_t p = 0;
		     sip->state && iface->state && p < iface->sip_ports.n;
		     ++p) {
			err = add_endpoint(r, iface, iface->sip_ports.v[p],
					   realm);
			if (err)
				return err;
		}
		realm->endpoints_n = r->endpoints_n - from;
	}

	return 0;
}

/* Each realm's pools side by side, in the order of the configuration */
static void open_pools(struct realms *r)
{
	size_t n = config_count(r->config, &element_steering_pool);
	uint32_t at = 0;

	for (size_t i = 0; i < n; ++i) {
		const struct steering_pool *pool =
			config_at(r->config, &element_steering_pool, i);
		struct realm *realm =
			(struct realm *)realm_named(r, pool->realm_id);

		if (realm)
			++realm->pools_n;
	}
	for (uint32_t i = 0; i < r->n; ++i) {
		struct realm *realm = &r->all[i];

		if (!realm->pools_n)
			continue;
		realm->pools = r->index->pools + at;
		realm->pools_realm = realm;
		at += realm->pools_n;
		realm->pools_n = 0;
	}
	for (size_t i = 0; i < n; ++i) {
		const struct steering_pool *pool =
			config_at(r->config, &element_steering_pool, i);
		struct realm *realm =
			(struct realm *)realm_named(r, pool->realm_id);

		if (realm)
			r->index->pools[realm->pools - r->index->pools +
					realm->pools_n++] = pool;
	}
}

/* What a realm lacks is that of the nearest parent that has it */
static void inherit(struct realm *realm)
{
	const struct realm *up;

	for (up = realm->parent; up && !realm->interface; up = up->parent) {
		if (up->interface_realm != up)
			continue;
		realm->interface = up->interface;
		realm->interface_realm = up;
		realm->endpoints = up->endpoints;
		realm->endpoints_n = up->endpoints_n;
		((struct realm *)up)->has_children_without_interface = true;
	}
	for (up = realm->parent; up && !realm->pools_realm; up = up->parent) {
		if (up->pools_realm != up)
			continue;
		realm->pools = up->pools;
		realm->pools_n = up->pools_n;
		realm->pools_realm = up;
	}
}

static int make_room(struct realms *r)
{
	const struct config *cfg = r->config;
	uint32_t endpoints = count_endpoints(cfg);
	struct realms_index *x;

	r->n = config_count(cfg, &element_realm_config);
	r->all = array(r->n, sizeof(*r->all));
	r->endpoints = array(endpoints, sizeof(*r->endpoints));
	r->index = x = mem_zalloc(sizeof(*x), index_destructor);
	if (!r->all || !r->endpoints || !x)
		return ENOMEM;

	table_init(&x->names);
	table_init(&x->addresses);
	x->named = array(r->n, sizeof(*x->named));
	x->bound = array(endpoints, sizeof(*x->bound));
	x->endpoints = array(endpoints, sizeof(*x->endpoints));
	x->pools = array(config_count(cfg, &element_steering_pool),
			 sizeof(*x->pools));

	return x->named && x->bound && x->endpoints && x->pools ? 0 : ENOMEM;
}

int realms_alloc(struct realms **rp, const struct config *cfg)
{
	struct realms *r = mem_zalloc(sizeof(*r), realms_destructor);
	int err;

	if (!r)
		return ENOMEM;

	r->config = config_take(cfg);
	err = make_room(r);
	if (err)
		goto out;

	err = name_all(r);
	if (err)
		goto out;

	err = find_parents(r);
	if (err)
		goto out;

	err = open_interfaces(r);
	if (err)
		goto out;

	open_pools(r);
	for (uint32_t i = 0; i < r->n; ++i)
		inherit(&r->all[i]);

out:
	if (err)
		mem_deref(r);
	else
		*rp = r;

	return err;
}

static bool is_named(const struct entry *e, const void *key)
{
	const struct named *named = (const struct named *)e;

	return !pl_strcmp(key, named->realm->config->identifier);
}

const struct realm *realm_find(const struct realms *r, const struct pl *name)
{
	struct entry *e = table_find(
		&r->index->names, hash_bytes(name->p, name->l), is_named, name);

	return e ? ((struct named *)e)->realm : NULL;
}

const struct realm *realm_named(const struct realms *r, const char *name)
{
	struct pl pl;

	if (!name || !name[0])
		return NULL;

	pl_set_str(&pl, name);

	return realm_find(r, &pl);
}

bool realm_same(const struct realm *a, const struct realm *b)
{
	return a == b ||
	       (a && b &&
		!strcmp(a->config->identifier, b->config->identifier));
}

bool realm_is_within(const struct realm *realm, const struct realm *up)
{
	for (; realm; realm = realm->parent) {
		if (realm == up)
			return true;
	}

	return false;
}

const struct endpoint *realm_endpoint(const struct realm *realm,
				      const struct sa *dst,
				      enum transport transport)
{
	for (uint32_t i = 0; i < realm->endpoints_n; ++i) {
		const struct endpoint *ep = realm->endpoints[i];

		if (ep->transport == transport &&
		    sa_af(&ep->local) == sa_af(dst))
			return ep;
	}

	return NULL;
}

static bool is_bound(const struct entry *e, const void *key)
{
	const struct endpoint *ep = ((const struct bound *)e)->endpoint;
	const struct sa *sa = key;

	return sa_cmp(&ep->local, sa, sa_port(sa) ? SA_ALL : SA_ADDR);
}

bool realms_is_local(const struct realms *r, const struct sa *sa)
{
	if (sa_af(sa) != AF_INET && sa_af(sa) != AF_INET6)
		return false;

	return table_find(&r->index->addresses, address_hash(sa), is_bound,
			  sa) != NULL;
}
