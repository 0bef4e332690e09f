/*
 * Addresses that DNS gives for session-agents and customer next hops, as sources
 */
#include <errno.h>
#include <string.h>
#include <strings.h>
#include "store/hash.h"
#include "store/log.h"
#include "sbc/random.h"
#include "sbc/resolver.h"
#include "sbc/sources.h"
#include "sbc/timer.h"

enum {
	AGAIN = 30000,       /* [ms], with up to a tenth more */
	AGAIN_FAILED = 5000, /* [ms], while no address is known */
	SLICE = 200,         /* names taken over in one turn of the loop */
	AT_ONCE = 100,       /* ... because they are met, before their turn */
	QUESTIONS = 10       /* asked in one turn */
};

/* An address, and the names that lead there: a hundred thousand domains may have
 * one and the same server. So what was found is kept until one of them changes */
struct place {
	struct entry entry;
	struct sa addr;
	struct list learned;
	bool ports_differ;
	uint32_t seen; /* in this change of the plan: what follows is of it */
	const struct realm *asked; /* NULL: nothing is kept */
	uint16_t port;
	struct named *best;
	bool next_hop;
	const struct realm *walked; /* NULL: nobody walks through the PBXs */
	uint32_t walked_n;
	struct le *walked_to;
};

/* An address of a name */
struct learned {
	struct le le; /* of place */
	struct place *place;
	struct named *of;
	uint16_t port;
};

/* A name that is asked for: of a session-agent, or of a PBX */
struct named {
	struct entry entry; /* of sources.names */
	struct le le, due;  /* of sources.named, and .due while it waits */
	struct sources *all;
	uint32_t seen; /* in this change of the plan: what follows is of it */
	const struct session_agent *agent; /* or NULL */
	const struct surrogate_agent *pbx; /* or NULL */
	const struct realm *realm;
	struct hop hop; /* how the name is asked for */
	struct timer timer;
	struct resolve *resolving;
	struct learned *v;
	uint32_t n;
};

/* A plan taken over a little in each turn of the loop. A name that its turn has
 * not come to is taken over when it is met, see is_current */
struct sources {
	struct worker *worker;
	const struct plan *plan, *before; /* before: until all is taken over */
	struct list named, due;
	struct table names, places;
	uint32_t changes;
	struct timer taking, asking;
	size_t agent, pbx; /* next ones of the plan */
	struct le *left;   /* next one that may be gone, behind these */
	bool under_way;
};

static uint64_t address_hash(const struct sa *sa)
{
	if (sa_af(sa) == AF_INET)
		return hash_bytes(&sa->u.in.sin_addr, 4);

	return hash_bytes(&sa->u.in6.sin6_addr, 16);
}

static bool is_place(const struct entry *e, const void *src)
{
	return sa_cmp(&((const struct place *)e)->addr, src, SA_ADDR);
}

static struct place *place_find(const struct sources *s, const struct sa *src)
{
	return (struct place *)table_find(&s->places, address_hash(src),
					  is_place, src);
}

/* A name of it comes, goes or changes */
static void place_touch(struct place *p)
{
	p->asked = p->walked = NULL;
}

static int place_get(struct place **pp, struct sources *s,
		     const struct sa *addr)
{
	struct place *p = place_find(s, addr);
	int err = 0;

	if (!p) {
		p = mem_zalloc(sizeof(*p), NULL);
		if (!p)
			return ENOMEM;
		p->addr = *addr;
		err = table_add(&s->places, &p->entry, address_hash(addr));
	}
	if (err)
		mem_deref(p);
	else
		*pp = p;

	return err;
}

static void forget(struct named *name)
{
	while (name->n) {
		struct learned *l = &name->v[--name->n];

		list_unlink(&l->le);
		place_touch(l->place);
		if (l->place->learned.head)
			continue;
		table_remove(&name->all->places, &l->place->entry);
		mem_deref(l->place);
	}
	name->v = mem_deref(name->v);
}

static void named_destructor(void *arg)
{
	struct named *name = arg;

	list_unlink(&name->le);
	list_unlink(&name->due);
	timer_cancel(&name->timer);
	resolve_cancel(name->resolving);
	table_remove(&name->all->names, &name->entry);
	forget(name);
}

/* --- Asking --------------------------------------------------------------- */

static void due(void *arg);

static void later(struct named *name)
{
	uint32_t pause = name->n ? AGAIN : AGAIN_FAILED;

	timer_start(&name->timer, random_between(pause, pause + pause / 10),
		    due, name);
}

static bool knows(const struct named *name, const struct resolved *found)
{
	bool same = name->n == found->n;

	for (uint32_t i = 0; same && i < found->n; i++)
		same = sa_cmp(&name->v[i].place->addr, &found->addr[i],
			      SA_ADDR) &&
		       name->v[i].port == sa_port(&found->addr[i]);

	return same;
}

static int learn(struct named *name, const struct resolved *found)
{
	int err;

	if (knows(name, found))
		return 0;
	forget(name);
	name->v = mem_zalloc(found->n * sizeof(*name->v), NULL);
	if (!name->v)
		return ENOMEM;
	for (uint32_t i = 0; i < found->n; i++) {
		struct learned *l = &name->v[i], *first;

		err = place_get(&l->place, name->all, &found->addr[i]);
		if (err)
			return err;
		l->of = name;
		l->port = sa_port(&found->addr[i]);
		first = list_ledata(l->place->learned.head);
		l->place->ports_differ = first && (l->place->ports_differ ||
						   l->port != first->port);
		list_append(&l->place->learned, &l->le, l);
		place_touch(l->place);
		name->n++;
	}

	return 0;
}

/* What was known stays while DNS has no answer */
static void answered(int err, const struct resolved *found, void *arg)
{
	struct named *name = arg;

	name->resolving = NULL;
	if (err == ENOENT)
		forget(name);
	if (!err)
		(void)learn(name, found); /* without memory: fewer, for now */
	later(name);
}

static void ask(struct named *name)
{
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

/* Not all of them in one turn: who is due waits in a line, which gets no longer
 * by being served late */
static void ask_some(void *arg)
{
	struct sources *s = arg;

	for (int i = 0; i < QUESTIONS && s->due.head; i++) {
		struct named *name = s->due.head->data;

		list_unlink(&name->due);
		ask(name);
	}
	if (s->due.head)
		timer_start(&s->asking, 1, ask_some, s);
}

static void due(void *arg)
{
	struct named *name = arg;
	struct sources *s = name->all;

	timer_cancel(&name->timer);
	name->resolving = (resolve_cancel(name->resolving), NULL);
	if (!name->due.list)
		list_append(&s->due, &name->due, name);
	if (!timer_is_running(&s->asking))
		timer_start(&s->asking, 0, ask_some, s);
}

/* --- Names ---------------------------------------------------------------- */

/* Whose name: one of both */
struct object {
	const struct session_agent *agent;
	const struct surrogate_agent *pbx;
};

static uint64_t object_hash(const struct object *o)
{
	const struct surrogate_agent *x = o->pbx;
	uint64_t h;

	if (!x)
		return hash_nocase(o->agent->hostname,
				   strlen(o->agent->hostname));
	h = hash_bytes(x->register_host, strlen(x->register_host));
	h = hash_mix(h, hash_bytes(x->register_user, strlen(x->register_user)));

	return hash_mix(h, hash_bytes(x->realm_id, strlen(x->realm_id)));
}

static bool is_of(const struct entry *e, const void *arg)
{
	const struct named *name = (const struct named *)e;
	const struct object *o = arg;
	const struct surrogate_agent *x = o->pbx, *y = name->pbx;

	if (o->agent)
		return name->agent &&
		       !strcasecmp(name->agent->hostname, o->agent->hostname);

	return y && !strcmp(x->register_host, y->register_host) &&
	       !strcmp(x->register_user, y->register_user) &&
	       !strcmp(x->realm_id, y->realm_id);
}

/* Its name is asked for, if it has one; false: the plan knows its address, or it
 * is disabled */
static bool agent_hop(struct hop *hop, const struct plan *plan,
		      const struct session_agent *agent)
{
	return agent->state &&
	       !hop_read(hop, plan->routes, agent->hostname, NULL) &&
	       hop->agent == agent && !sa_isset(&hop->addr, SA_ADDR);
}

static bool asks_alike(const struct hop *a, const struct hop *b)
{
	return !pl_casecmp(&a->host, &b->host) && a->port == b->port &&
	       a->transport == b->transport &&
	       (a->realm == b->realm ||
		(a->realm && b->realm &&
		 !strcmp(a->realm->config->identifier,
			 b->realm->config->identifier)));
}

/* It is one of the present plan now. What is known of its name stays, if it is
 * still the same one */
static void take_over(struct named *name, const struct object *o,
		      const struct hop *hop)
{
	bool alike = asks_alike(&name->hop, hop);
	bool asked = name->resolving != NULL; /* reads the plan before */

	name->seen = name->all->changes;
	name->agent = o->agent;
	name->pbx = o->pbx;
	name->hop = *hop;
	name->realm = hop->realm;
	for (uint32_t i = 0; i < name->n; i++)
		place_touch(name->v[i].place);
	if (!alike)
		forget(name);
	if (!alike || asked)
		due(name);
}

static int name_add(struct sources *s, const struct object *o,
		    const struct hop *hop)
{
	struct named *name = mem_zalloc(sizeof(*name), named_destructor);
	int err;

	if (!name)
		return ENOMEM;
	name->all = s;
	err = table_add(&s->names, &name->entry, object_hash(o));
	if (err) {
		mem_deref(name);
		return err;
	}
	name->seen = s->changes;
	name->agent = o->agent;
	name->pbx = o->pbx;
	name->hop = *hop;
	name->realm = hop->realm;
	list_append(&s->named, &name->le, name);
	due(name);

	return 0;
}

static int name_take(struct sources *s, const struct object *o,
		     const struct hop *hop)
{
	struct named *name =
		(struct named *)table_find(&s->names, object_hash(o), is_of, o);

	if (!name)
		return name_add(s, o, hop);
	if (name->seen != s->changes)
		take_over(name, o, hop);

	return 0;
}

/* --- The plan ------------------------------------------------------------- */

static int agent_next(struct sources *s)
{
	const struct session_agent *agent =
		config_at(s->plan->config, &element_session_agent, s->agent++);
	const struct object o = { .agent = agent };
	struct hop hop;

	return agent_hop(&hop, s->plan, agent) ? name_take(s, &o, &hop) : 0;
}

static bool pbx_hop(struct hop *hop, const struct plan *plan,
		    const struct surrogate_agent *pbx)
{
	const struct realm *realm = realm_named(plan->realms, pbx->realm_id);

	return !hop_read(hop, plan->routes, pbx->customer_next_hop, realm);
}

static int pbx_next(struct sources *s)
{
	const struct object o = { .pbx = s->plan->by_name[s->pbx++] };
	struct hop hop;

	return pbx_hop(&hop, s->plan, o.pbx) ? name_take(s, &o, &hop) : 0;
}

static void leave_next(struct sources *s)
{
	struct named *name = s->left->data;

	s->left = s->left->next;
	if (name->seen != s->changes)
		mem_deref(name);
}

/* A slice; false: that was the last one */
static bool take_some(struct sources *s)
{
	size_t agents = config_count(s->plan->config, &element_session_agent);
	int err = 0;

	for (int i = 0; i < SLICE; i++) {
		if (s->agent < agents)
			err = agent_next(s);
		else if (s->pbx < s->plan->by_name_n)
			err = pbx_next(s);
		else if (s->left)
			leave_next(s);
		else
			return false;
		if (err)
			log_error(DNS, "change", "text=\"no memory\"");
	}

	return true;
}

static void taken(struct sources *s)
{
	timer_cancel(&s->taking);
	s->under_way = false;
	plan_give(s->before);
	s->before = NULL;
}

static void go_on(void *arg)
{
	struct sources *s = arg;

	if (take_some(s))
		timer_start(&s->taking, 1, go_on, s);
	else
		taken(s);
}

void sources_change(struct sources *s)
{
	if (s->under_way) {
		while (take_some(s))
			;
		taken(s);
	}
	s->before = s->plan;
	s->plan = plan_take(s->worker->plan);
	s->changes++;
	s->agent = s->pbx = 0;
	s->left = list_head(&s->named);
	s->under_way = true;
	go_on(s);
}

bool sources_is_settled(const struct sources *s)
{
	return !s || !s->under_way;
}

/* Has it been taken over? If not, that is done now, for so many `more` of them.
 * False: the present plan does not know it, or its turn will come */
static bool is_current(struct named *name, unsigned *more)
{
	const struct plan *plan = name->all->plan;
	struct object o = { NULL, NULL };
	struct item_ref ref = { &element_surrogate_agent, name->pbx };
	struct hop hop;
	struct pl key;
	char text[1024];
	bool known = false;

	if (name->seen == name->all->changes)
		return true;
	if (!*more)
		return false;
	--*more;

	if (name->agent) {
		pl_set_str(&key, name->agent->hostname);
		o.agent =
			config_find(plan->config, &element_session_agent, &key);
		known = o.agent && agent_hop(&hop, plan, o.agent);
	} else if (re_snprintf(text, sizeof(text), "%H", item_key_spell, &ref) >
		   0) {
		pl_set_str(&key, text);
		o.pbx = config_find(plan->config, &element_surrogate_agent,
				    &key);
		known = o.pbx && plan_is_by_name(plan, o.pbx) &&
			pbx_hop(&hop, plan, o.pbx);
	}
	/* Another question waits for its turn: who looks through the addresses
	 * is not to lose them meanwhile */
	if (!known || !asks_alike(&name->hop, &hop))
		return false;
	take_over(name, &o, &hop);

	return true;
}

/* --- Questions ------------------------------------------------------------ */

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
static void weigh(struct place *p, struct named *name, unsigned port,
		  unsigned *rank)
{
	unsigned weight;

	if (name->pbx) {
		p->next_hop =
			p->next_hop || realm_is_within(p->asked, name->realm);
		return;
	}
	if (!is_here(name->agent, name->realm, p->asked))
		return;
	weight = 1 + 2 * (name->realm == p->asked) + port;
	if (weight > *rank ||
	    (weight == *rank &&
	     strcasecmp(name->agent->hostname, p->best->agent->hostname) < 0)) {
		*rank = weight;
		p->best = name;
	}
}

/* Who of those at an address it is that speaks in this realm from this port */
static void place_ask(struct place *p, const struct sources *s,
		      const struct realm *realm, uint16_t port)
{
	unsigned rank = 0, more = AT_ONCE;
	bool known = p->asked == realm && p->seen == s->changes &&
		     (!p->ports_differ || p->port == port);

	if (known)
		return;
	p->next_hop = false;
	p->best = NULL;
	for (struct le *le = p->learned.head; le; le = le->next) {
		struct learned *l = le->data;

		if (!is_current(l->of, &more))
			continue;
		p->asked = realm; /* is_current may have touched it */
		weigh(p, l->of, l->port == port, &rank);
	}
	p->asked = realm;
	p->seen = s->changes;
	p->port = port;
	p->walked = NULL;
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
	const struct session_agent *agent;
	struct place *p;

	match_source(plan->match, at, src, out);
	/* of the plan before, while another comes into force: not any more */
	if (out->agent || !s || s->plan != plan || !s->places.count)
		return;

	p = place_find(s, src);
	if (!p)
		return;
	place_ask(p, s, out->realm, sa_port(src));
	out->next_hop = out->next_hop || p->next_hop;
	if (!p->best)
		return;

	agent = out->agent = p->best->agent;
	if (agent->realm_id[0] && strcmp(agent->realm_id, "*") &&
	    p->best->realm != out->realm) {
		out->realm = p->best->realm;
		out->in_prefix = realm_holds(out->realm, src);
	}
}

bool sources_has(const struct sources *s, const struct surrogate_agent *agent,
		 const struct sa *src)
{
	const struct object o = { .pbx = agent };
	struct named *name;
	unsigned more = 1;

	if (!s || !s->places.count)
		return false;
	name = (struct named *)table_find(&s->names, object_hash(&o), is_of,
					  &o);
	if (!name || !is_current(name, &more) || name->pbx != agent)
		return false;
	for (uint32_t i = 0; i < name->n; i++)
		if (sa_cmp(&name->v[i].place->addr, src, SA_ADDR))
			return true;

	return false;
}

/* Who asks for the next one goes on where he was */
const struct surrogate_agent *sources_pbx(const struct sources *s,
					  const struct realm *realm,
					  const struct sa *src, uint32_t n)
{
	struct place *p = s ? place_find(s, src) : NULL;
	unsigned more = AT_ONCE;
	uint32_t left = n;
	struct le *le;

	if (!p)
		return NULL;
	le = p->learned.head;
	if (p->walked == realm && p->seen == s->changes &&
	    p->walked_n + 1 == n) {
		le = p->walked_to;
		left = 0;
	}
	for (; le; le = le->next) {
		struct learned *l = le->data;
		const struct surrogate_agent *pbx;

		if (!is_current(l->of, &more))
			continue;
		pbx = l->of->pbx;
		if (!pbx || !realm_is_within(realm, l->of->realm) || left--)
			continue;
		p->asked = NULL; /* what follows may be of another change */
		p->seen = s->changes;
		p->walked = realm;
		p->walked_n = n;
		p->walked_to = le->next;
		return pbx;
	}

	return NULL;
}

/* --- Life ----------------------------------------------------------------- */

int sources_open(struct sources **sp, struct worker *w)
{
	struct sources *s = mem_zalloc(sizeof(*s), NULL);

	if (!s)
		return ENOMEM;
	s->worker = w;
	table_init(&s->names);
	table_init(&s->places);
	*sp = s;

	return 0;
}

void sources_close(struct sources *s)
{
	if (!s)
		return;
	timer_cancel(&s->taking);
	timer_cancel(&s->asking);
	list_flush(&s->named);
	table_finish(&s->names);
	table_finish(&s->places);
	plan_give(s->plan);
	plan_give(s->before);
	mem_deref(s);
}
