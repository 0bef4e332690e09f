/*
 * Which surrogate-agent and which AoR a request belongs to
 *
 * What is compiled, for each realm apart, so that two tenants with the same
 * numbers never meet:
 *
 *   users     realm-id of the agent   -> trie over the fixed beginning of
 *                                        register-user (`bob` of `bob^^^`)
 *   contacts  realm of its registrar  -> the same of register-contact-user
 *   sources   realm-id of the agent   -> prefixes and addresses of its PBX
 *   hosts     realm-id of the agent   -> customer-host, register-contact-host,
 *             realm of its registrar     the latter alone; of disabled ones too
 *
 * AoRs are never written down: a user part is walked through the trie, and what
 * follows the beginning must be a number of the agent's range. So an agent with
 * 100,000 AoRs is one entry, and a question costs the length of the user part.
 */
#include <errno.h>
#include <string.h>
#include "store/base.h"
#include "store/hash.h"
#include "store/number.h"
#include "store/value.h"
#include "realms/radix.h"
#include "policy/pattern.h"
#include "policy/identity.h"

/* A user template cut at its `^` */
struct shape {
	char head[AOR_USER_MAX], tail[AOR_USER_MAX];
	size_t head_len, tail_len;
	size_t width; /* count of `^`; 0: none, numbers are appended */
};

/* Agents with something in common, in the order of the configuration */
struct group {
	struct group *next; /* of identities->groups, for those of sources */
	uint32_t n, room;
	uint32_t *agents;
};

/* A name that stands for a PBX or for the SBC in a realm */
struct host_key {
	const struct realm *realm;
	struct pl name;
	struct sa addr; /* set when it is one */
};

struct host {
	struct entry e;
	struct host_key key;
};

struct identities {
	const struct realms *realms;
	const struct match *match;
	uint32_t n;                      /* agents */
	struct trie **users, **contacts; /* by number of realm; NULL: none */
	struct radix **sources;
	bool *lived_in;
	struct group *groups; /* those in sources */
	struct table hosts;   /* of struct host */
};

/* --- templates --- */

static struct pl text_of(const char *p)
{
	struct pl pl;

	pl_set_str(&pl, p);

	return pl;
}

/* Users of a number are compared without visual separators, so the fixed parts
 * lose them when the template with a digit for each `^` is a number */
static bool is_number_template(const char *template)
{
	char user[AOR_USER_MAX], buf[AOR_USER_MAX];
	struct pl pl = { user, strlen(template) };
	size_t carets = 0, separators = 0;

	if (pl.l > sizeof(user))
		return false;
	for (size_t i = 0; i < pl.l; ++i) {
		carets += template[i] == '^';
		separators += strchr("-.()", template[i]) != NULL;
		user[i] = template[i] == '^' ? '0' : template[i];
	}

	return separators &&
	       digits_copy(buf, sizeof(buf), &pl) == pl.l - separators;
}

static size_t copy_part(char *to, const char *from, size_t n, bool number)
{
	size_t len = 0;

	for (size_t i = 0; i < n && len < AOR_USER_MAX; ++i) {
		if (!number || !strchr("-.()", from[i]))
			to[len++] = from[i];
	}

	return len;
}

static void shape_read(struct shape *shape, const char *template)
{
	bool number = is_number_template(template);
	size_t head = strcspn(template, "^");
	const char *tail;

	shape->width = strspn(template + head, "^");
	tail = template + head + shape->width;
	shape->head_len = copy_part(shape->head, template, head, number);
	shape->tail_len = copy_part(shape->tail, tail, strlen(tail), number);
}

/* The digits between head and tail as the step number of an AoR */
static int step_of(uint32_t *number, const struct shape *shape,
		   const struct surrogate_agent *agent, const struct pl *digits)
{
	uint64_t first = shape->width ? agent->count_start : 0, n = 0;
	int err;

	if (!shape->width && !digits->l) {
		*number = 0;
		return 0;
	}

	/* Leading zeros up to the number of `^`, and no others */
	if (digits->l < shape->width ||
	    (digits->l > shape->width && digits->p[0] == '0'))
		return ENOENT;

	err = uint_parse(&n, digits, UINT32_MAX);
	if (err || n < first || n - first >= agent->aor_count)
		return ENOENT;

	*number = (uint32_t)(n - first);

	return 0;
}

static int shape_number(uint32_t *number, const struct shape *shape,
			const struct surrogate_agent *agent,
			const struct pl *user)
{
	struct pl digits;

	if (user->l < shape->head_len + shape->tail_len ||
	    memcmp(user->p, shape->head, shape->head_len) ||
	    memcmp(user->p + user->l - shape->tail_len, shape->tail,
		   shape->tail_len))
		return ENOENT;

	digits.p = user->p + shape->head_len;
	digits.l = user->l - shape->head_len - shape->tail_len;

	return step_of(number, shape, agent, &digits);
}

int aor_user(char *buf, size_t size, const struct surrogate_agent *agent,
	     const char *template, uint32_t number)
{
	size_t head = strcspn(template, "^");
	size_t width = strspn(template + head, "^");
	size_t tail = strlen(template + head + width);
	char digits[20];
	size_t n = 0, zeros;

	if (width)
		n = uint_write(digits, (uint64_t)agent->count_start + number);
	else if (number)
		n = uint_write(digits, number);
	zeros = n < width ? width - n : 0;
	if (head + zeros + n + tail >= size)
		return -1;

	memcpy(buf, template, head);
	memset(buf + head, '0', zeros);
	memcpy(buf + head + zeros, digits, n);
	memcpy(buf + head + zeros + n, template + head + width, tail);
	n += head + zeros + tail;
	buf[n] = '\0';

	return (int)n;
}

int aor_register_user(char *buf, size_t size, const struct owner *who)
{
	return aor_user(buf, size, who->agent, who->agent->register_user,
			who->number);
}

static const char *contact_template(const struct surrogate_agent *agent)
{
	return agent->register_contact_user[0] ? agent->register_contact_user
					       : agent->register_user;
}

int aor_contact_user(char *buf, size_t size, const struct owner *who)
{
	return aor_user(buf, size, who->agent, contact_template(who->agent),
			who->number);
}

int aor_auth_user(char *buf, size_t size, const struct owner *who)
{
	const char *user = who->agent->auth_user;
	int n;

	if (!*user)
		return aor_register_user(buf, size, who);
	if (strchr(user, '^'))
		return aor_user(buf, size, who->agent, user, who->number);

	/* One account for all AoRs: behaviour.md 7.2 statement 2 reads so, and
	 * nobody means the numbering of 4.2 for a name without carets here */
	n = re_snprintf(buf, size, "%s", user);
	return n < 0 || (size_t)n >= size ? -1 : n;
}

int aor_number(uint32_t *number, const struct surrogate_agent *agent,
	       const struct pl *user)
{
	char buf[PATTERN_TEXT];
	struct pl key = { buf, digits_copy(buf, sizeof(buf), user) };
	struct shape shape;

	shape_read(&shape, agent->register_user);

	return shape_number(number, &shape, agent, &key);
}

/* --- compiling --- */

static void group_destructor(void *arg)
{
	struct group *group = arg;

	mem_deref(group->agents);
}

static void drop_host(struct entry *e, void *arg)
{
	table_remove(arg, e);
	mem_deref(e);
}

static void identities_destructor(void *arg)
{
	struct identities *ids = arg;

	(void)table_walk(&ids->hosts, 0, SIZE_MAX, drop_host, &ids->hosts);
	table_finish(&ids->hosts);
	for (uint32_t i = 0; i < ids->realms->n; ++i) {
		if (ids->users)
			mem_deref(ids->users[i]);
		if (ids->contacts)
			mem_deref(ids->contacts[i]);
		if (ids->sources)
			mem_deref(ids->sources[i]);
	}
	while (ids->groups) {
		struct group *group = ids->groups;

		ids->groups = group->next;
		mem_deref(group);
	}
	mem_deref(ids->users);
	mem_deref(ids->contacts);
	mem_deref(ids->sources);
	mem_deref(ids->lived_in);
}

static int group_add(struct group *group, uint32_t agent)
{
	uint32_t room = group->room ? 2 * group->room : 1;
	uint32_t *agents;

	if (group->n && group->agents[group->n - 1] == agent)
		return 0;

	if (group->n == group->room) {
		agents = mem_alloc(room * sizeof(*agents), NULL);
		if (!agents)
			return ENOMEM;
		if (group->n)
			memcpy(agents, group->agents,
			       group->n * sizeof(*agents));
		mem_deref(group->agents);
		group->agents = agents;
		group->room = room;
	}
	group->agents[group->n++] = agent;

	return 0;
}

static int add_user(struct trie **trie, const char *template, uint32_t agent)
{
	struct shape shape;
	struct pl head;
	void **slot = NULL;
	int err = 0;

	shape_read(&shape, template);
	head.p = shape.head;
	head.l = shape.head_len;
	if (!*trie)
		err = trie_alloc(trie);
	if (!err)
		err = trie_slot(&slot, *trie, &head);
	if (err)
		return err;

	if (!*slot)
		*slot = mem_zalloc(sizeof(struct group), group_destructor);

	return *slot ? group_add(*slot, agent) : ENOMEM;
}

static int add_source(struct identities *ids, struct radix *radix,
		      const struct prefix *prefix, uint32_t agent)
{
	struct group *group = radix_at(radix, prefix);
	int err;

	if (!group) {
		group = mem_zalloc(sizeof(*group), group_destructor);
		if (!group)
			return ENOMEM;
		group->next = ids->groups;
		ids->groups = group;

		err = radix_put(radix, prefix, group);
		if (err == EINVAL)
			return 0; /* holds no address, so nobody comes from it */
		if (err && err != EEXIST)
			return err;
	}

	return group_add(group, agent);
}

static int add_sources(struct identities *ids, uint32_t realm,
		       const struct surrogate_agent *agent, uint32_t number)
{
	struct prefix host = { 0 };
	int err = 0;

	if (!ids->sources[realm])
		err = radix_alloc(&ids->sources[realm]);
	for (uint32_t i = 0; !err && i < agent->source_ip_prefix.n; ++i)
		err = add_source(ids, ids->sources[realm],
				 &agent->source_ip_prefix.v[i], number);

	if (err || agent->source_ip_prefix.n ||
	    match_next_hop_address(ids->match, agent->customer_next_hop,
				   &host.addr))
		return err;

	host.bits = sa_af(&host.addr) == AF_INET ? 32 : 128;

	return add_source(ids, ids->sources[realm], &host, number);
}

/* It may name a port: host:port, [IPv6]:port */
static void host_key_read(struct host_key *key, const struct realm *realm,
			  const struct pl *text)
{
	const char *colon = memchr(text->p, ':', text->l);

	key->realm = realm;
	key->name = *text;
	sa_init(&key->addr, AF_UNSPEC);
	if (!address_parse_text(&key->addr, text))
		return;
	if (colon)
		key->name.l = (size_t)(colon - text->p);
	if (key->name.l > 1 && key->name.p[key->name.l - 1] == '.')
		--key->name.l;
}

static bool is_address(const struct host_key *key)
{
	return sa_isset(&key->addr, SA_ADDR);
}

static uint64_t host_hash(const struct host_key *key)
{
	uint64_t h = is_address(key) ? sa_hash(&key->addr, SA_ADDR)
				     : hash_nocase(key->name.p, key->name.l);

	return hash_mix(
		hash_bytes(&key->realm->number, sizeof(key->realm->number)), h);
}

static bool is_host(const struct entry *e, const void *arg)
{
	const struct host_key *a = &((const struct host *)e)->key, *b = arg;

	if (a->realm != b->realm || is_address(a) != is_address(b))
		return false;

	return is_address(a) ? sa_cmp(&a->addr, &b->addr, SA_ADDR)
			     : !pl_casecmp(&a->name, &b->name);
}

static int add_host(struct identities *ids, const struct realm *realm,
		    const char *text)
{
	struct pl pl = text_of(text);
	struct host_key key;
	struct host *host;
	int err;

	if (!pl.l || !realm)
		return 0;

	host_key_read(&key, realm, &pl);
	if (table_find(&ids->hosts, host_hash(&key), is_host, &key))
		return 0;

	host = mem_zalloc(sizeof(*host), NULL);
	if (!host)
		return ENOMEM;
	host->key = key;
	err = table_add(&ids->hosts, &host->e, host_hash(&key));
	if (err)
		mem_deref(host);

	return err;
}

/* A PBX whose agent is disabled keeps its names in its calls */
static int add_hosts(struct identities *ids, const struct realm *realm,
		     const struct realm *registrar,
		     const struct surrogate_agent *agent)
{
	int err = add_host(ids, realm, agent->customer_host);

	if (!err)
		err = add_host(ids, realm, agent->register_contact_host);
	if (!err)
		err = add_host(ids, registrar, agent->register_contact_host);

	return err;
}

bool identity_lives_in(const struct identities *ids, const struct realm *realm)
{
	return ids->lived_in[realm->number];
}

bool identity_is_host(const struct identities *ids, const struct realm *realm,
		      const struct pl *name)
{
	struct host_key key;

	if (!name->l || !ids->hosts.count)
		return false;

	host_key_read(&key, realm, name);
	for (; key.realm; key.realm = key.realm->parent) {
		if (table_find(&ids->hosts, host_hash(&key), is_host, &key))
			return true;
	}

	return false;
}

static int add_agent(struct identities *ids, uint32_t number,
		     const struct realm *registrar)
{
	const struct surrogate_agent *agent = identity_agent(ids, number);
	const struct realm *realm = realm_named(ids->realms, agent->realm_id);
	int err = add_hosts(ids, realm, registrar, agent);

	if (realm)
		ids->lived_in[realm->number] = true;
	if (err || !agent->state || !realm)
		return err;

	err = add_user(&ids->users[realm->number], agent->register_user,
		       number);
	if (!err && registrar)
		err = add_user(&ids->contacts[registrar->number],
			       contact_template(agent), number);
	if (!err)
		err = add_sources(ids, realm->number, agent, number);

	return err;
}

int identities_alloc(struct identities **ip, const struct realms *realms,
		     const struct match *match, registrar_realm_h *h, void *arg)
{
	struct identities *ids =
		mem_zalloc(sizeof(*ids), identities_destructor);
	size_t room = (realms->n + 1) * sizeof(void *);
	int err;

	if (!ids)
		return ENOMEM;

	table_init(&ids->hosts);
	ids->realms = realms;
	ids->match = match;
	ids->n = (uint32_t)config_count(realms->config,
					&element_surrogate_agent);
	ids->users = mem_zalloc(room, NULL);
	ids->contacts = mem_zalloc(room, NULL);
	ids->sources = mem_zalloc(room, NULL);
	ids->lived_in = mem_zalloc(room, NULL);
	err = ids->users && ids->contacts && ids->sources && ids->lived_in
		      ? 0
		      : ENOMEM;

	for (uint32_t i = 0; !err && i < ids->n; ++i) {
		const struct surrogate_agent *agent = identity_agent(ids, i);

		err = add_agent(ids, i, h ? h(agent, arg) : NULL);
	}

	if (err)
		mem_deref(ids);
	else
		*ip = ids;

	return err;
}

const struct surrogate_agent *identity_agent(const struct identities *ids,
					     uint32_t n)
{
	if (n >= ids->n)
		return NULL;

	return config_at(ids->realms->config, &element_surrogate_agent, n);
}

/* --- who: the AoRs with a user part --- */

struct aors {
	const struct identities *ids;
	const char *(*template)(const struct surrogate_agent *agent);
	struct pl user;
	void (*h)(const struct owner *who, uint32_t place, struct aors *aors);
	void *arg;
};

static const char *user_template(const struct surrogate_agent *agent)
{
	return agent->register_user;
}

static bool head_found(void *value, size_t length, void *arg)
{
	const struct group *group = value;
	struct aors *aors = arg;

	(void)length;
	for (uint32_t i = 0; i < group->n; ++i) {
		struct owner who = { .agent = identity_agent(
					     aors->ids, group->agents[i]) };
		struct shape shape;

		shape_read(&shape, aors->template(who.agent));
		if (!shape_number(&who.number, &shape, who.agent, &aors->user))
			aors->h(&who, group->agents[i], aors);
	}

	return false;
}

/* Call aors->h for each AoR with this user */
static void aors_walk(struct aors *aors, const struct trie *trie)
{
	if (trie)
		trie_walk(trie, &aors->user, head_found, aors);
}

/* --- source --- */

static bool is_source(const struct identities *ids,
		      const struct surrogate_agent *agent, const struct sa *src,
		      const struct identity_live *live)
{
	struct sa addr;

	if (agent->source_ip_prefix.n)
		return prefixes_hold(&agent->source_ip_prefix, src);
	if (!match_next_hop_address(ids->match, agent->customer_next_hop,
				    &addr))
		return sa_cmp(&addr, src, SA_ADDR);

	return live && live->next_hop && live->next_hop(agent, src, live->arg);
}

struct walk {
	const struct identities *ids;
	identity_agent_h *h;
	void *arg;
	const struct surrogate_agent *agent; /* where h said to stop */
	const struct group *seen[8]; /* longer prefixes that held the source */
	uint32_t seen_n;
};

static bool group_has(const struct group *group, uint32_t agent)
{
	for (uint32_t i = 0; i < group->n; ++i) {
		if (group->agents[i] == agent)
			return true;
	}

	return false;
}

/* An agent whose prefixes lie in one another is named once */
static bool was_seen(const struct walk *walk, uint32_t agent)
{
	for (uint32_t i = 0; i < walk->seen_n; ++i) {
		if (group_has(walk->seen[i], agent))
			return true;
	}

	return false;
}

static bool source_found(void *value, void *arg)
{
	const struct group *group = value;
	struct walk *walk = arg;

	for (uint32_t i = 0; i < group->n; ++i) {
		const struct surrogate_agent *agent =
			identity_agent(walk->ids, group->agents[i]);

		if (was_seen(walk, group->agents[i]) ||
		    !walk->h(agent, walk->arg))
			continue;
		walk->agent = agent;
		return true;
	}
	if (walk->seen_n < 8)
		walk->seen[walk->seen_n++] = group;

	return false;
}

/* Those whose addresses only DNS knows come behind the others */
static void named_walk(struct walk *walk, const struct realm *realm,
		       const struct sa *src, const struct identity_live *live)
{
	const struct surrogate_agent *agent;

	for (uint32_t n = 0; (agent = live->named(realm, src, n, live->arg));
	     ++n) {
		if (walk->h(agent, walk->arg)) {
			walk->agent = agent;
			return;
		}
	}
}

const struct surrogate_agent *identity_agents_walk(
	const struct identities *ids, const struct realm *realm,
	const struct sa *src, const struct identity_live *live,
	identity_agent_h *h, void *arg)
{
	struct walk walk = { .ids = ids, .h = h, .arg = arg };
	const struct realm *r;

	for (r = realm; r && !walk.agent; r = r->parent) {
		const struct radix *radix = ids->sources[r->number];

		walk.seen_n = 0;
		if (radix)
			radix_search(radix, src, source_found, &walk);
	}
	if (!walk.agent && live && live->named)
		named_walk(&walk, realm, src, live);

	return walk.agent;
}

static bool is_nth(const struct surrogate_agent *agent, void *arg)
{
	uint32_t *left = arg;
	(void)agent;

	return !(*left)--;
}

const struct surrogate_agent *identity_agent_at(
	const struct identities *ids, const struct realm *realm,
	const struct sa *src, uint32_t n, const struct identity_live *live)
{
	return identity_agents_walk(ids, realm, src, live, is_nth, &n);
}

/* --- owner --- */

struct claim {
	const struct identities *ids;
	const struct source *source;
	const struct sa *src;
	const struct identity_live *live;
	const struct uri *uri; /* the identity at hand */
	struct owner best;
	uint32_t place;
	unsigned rank;
};

/* 2: register-host, or a tel URI, which has none; 1: customer-host; 0: neither */
static unsigned host_rank(const struct surrogate_agent *agent,
			  const struct uri *uri)
{
	struct pl host = text_of(agent->register_host);

	if (is_word(&uri->scheme, "tel") || host_equal(&uri->host, &host))
		return 2;

	host = text_of(agent->customer_host);

	return host.l && host_equal(&uri->host, &host);
}

/* behaviour.md 5.1: register-host before customer-host, then registered before
 * not registered, then the order of the configuration */
static void weigh(const struct owner *who, uint32_t place, struct aors *aors)
{
	struct claim *claim = aors->arg;
	const struct identity_live *live = claim->live;
	unsigned rank = 2 * host_rank(who->agent, claim->uri);

	if (!rank || !is_source(claim->ids, who->agent, claim->src, live))
		return;
	if (live && live->registered && live->registered(who, live->arg))
		++rank;
	if (rank < claim->rank || (rank == claim->rank && place > claim->place))
		return;

	claim->rank = rank;
	claim->place = place;
	claim->best = *who;
}

static bool claim_aor(struct claim *claim)
{
	char user[PATTERN_TEXT];
	struct aors aors = { .ids = claim->ids,
			     .template = user_template,
			     .h = weigh,
			     .arg = claim };
	const struct realm *realm = claim->source->realm;

	aors.user.p = user;
	aors.user.l = digits_copy(user, sizeof(user), &claim->uri->user);
	for (; realm; realm = realm->parent)
		aors_walk(&aors, claim->ids->users[realm->number]);

	return claim->best.agent != NULL;
}

static bool claim_associated(struct claim *claim)
{
	const struct identity_live *live = claim->live;
	const struct realm *realm = claim->source->realm;

	if (!live || !live->associated)
		return false;

	for (; realm; realm = realm->parent) {
		struct owner who = { 0 };

		if (live->associated(&who, realm, claim->uri, live->arg) ||
		    !who.agent->state ||
		    strcmp(who.agent->realm_id, realm->config->identifier) ||
		    !is_source(claim->ids, who.agent, claim->src, live))
			continue;
		claim->best = who;
		return true;
	}

	return false;
}

/* One header value: the first identity that fits any AoR decides */
static bool claim_value(struct claim *claim, const struct pl *value)
{
	struct address address;

	if (address_read(&address, value) || !address.uri.scheme.l ||
	    !address.uri.user.l)
		return false;

	claim->uri = &address.uri;

	return claim_aor(claim) || claim_associated(claim);
}

static bool claim_header(struct claim *claim, const struct message *msg,
			 enum header_id id)
{
	const struct header *h;

	for (h = message_first(msg, id); h; h = message_next(msg, h)) {
		struct pl rest = header_value(msg, h), value;

		while (!list_next(&rest, &value)) {
			if (claim_value(claim, &value))
				return true;
		}
	}

	return false;
}

/* 5.1: p-asserted-id of the PBX's session-agent counts as the identity that is
 * asserted, where the PBX asserts none that is believed */
static bool claim_asserted(struct claim *claim, const struct message *msg)
{
	const struct source *source = claim->source;
	struct pl value;

	if (match_trusts(source->realm, source) &&
	    message_first(msg, HDR_P_ASSERTED_IDENTITY))
		return claim_header(claim, msg, HDR_P_ASSERTED_IDENTITY);
	if (!source->agent || !source->agent->p_asserted_id[0])
		return false;

	value = text_of(source->agent->p_asserted_id);

	return claim_value(claim, &value);
}

static bool has_option(const struct source *source, const char *name)
{
	struct pl value;

	return !option_get(&source->realm->config->options, name, &value) ||
	       (source->agent &&
		!option_get(&source->agent->options, name, &value));
}

/* 5.3: a PBX that registers itself owns its calls by its source alone, when
 * that fits exactly one agent */
static bool claim_by_source(struct claim *claim)
{
	const struct identity_live *live = claim->live;
	const struct realm *realm = claim->source->realm;
	struct owner who = { 0 };

	if (!live || !live->first ||
	    !has_option(claim->source, "sip-connect-pbx-reg"))
		return false;

	who.agent = identity_agent_at(claim->ids, realm, claim->src, 0, live);
	if (!who.agent ||
	    identity_agent_at(claim->ids, realm, claim->src, 1, live) ||
	    live->first(&who, live->arg))
		return false;

	claim->best = who;

	return true;
}

void identity_owner(const struct identities *ids, const struct source *source,
		    const struct sa *src, const struct message *msg,
		    const struct identity_live *live, struct owner *out)
{
	struct claim claim = {
		.ids = ids, .source = source, .src = src, .live = live
	};

	if (!claim_by_source(&claim) &&
	    !claim_header(&claim, msg, HDR_P_PREFERRED_IDENTITY) &&
	    !claim_asserted(&claim, msg))
		(void)claim_header(&claim, msg, HDR_FROM); /* or nobody's */

	*out = claim.best;
}

/* --- towards the PBX --- */

struct callee {
	const struct uri *ruri; /* NULL: the host does not count */
	const struct sa *local;
	struct owner best;
	uint32_t place;
};

static bool is_contact_host(const struct surrogate_agent *agent,
			    const struct callee *callee)
{
	struct pl host = text_of(agent->register_contact_host);
	const char *colon = memchr(host.p, ':', host.l);
	struct sa sa;

	if (!host.l)
		return callee->local && uri_is_numeric(callee->ruri, &sa) &&
		       sa_cmp(&sa, callee->local, SA_ADDR);

	/* It may name a port: [IPv6]:port, host:port */
	if (!address_parse_text(&sa, &host)) {
		struct sa own;

		return uri_is_numeric(callee->ruri, &own) &&
		       sa_cmp(&sa, &own, SA_ADDR);
	}
	if (colon)
		host.l = (size_t)(colon - host.p);

	return host_equal(&callee->ruri->host, &host);
}

static void take_first(const struct owner *who, uint32_t place,
		       struct aors *aors)
{
	struct callee *callee = aors->arg;

	if (callee->ruri && !is_contact_host(who->agent, callee))
		return;
	if (callee->best.agent && callee->place < place)
		return;

	callee->best = *who;
	callee->place = place;
}

int identity_by_contact(const struct identities *ids, const struct realm *realm,
			const struct sa *local, const struct uri *ruri,
			struct owner *out)
{
	struct callee callee = { .ruri = ruri, .local = local };
	char user[PATTERN_TEXT];
	struct aors aors = { .ids = ids,
			     .template = contact_template,
			     .h = take_first,
			     .arg = &callee };

	aors.user.p = user;
	aors.user.l = digits_copy(user, sizeof(user), &ruri->user);
	for (; realm && aors.user.l; realm = realm->parent)
		aors_walk(&aors, ids->contacts[realm->number]);
	if (!callee.best.agent)
		return ENOENT;

	*out = callee.best;

	return 0;
}

int identity_by_called(const struct identities *ids, const struct realm *realm,
		       const struct pl *user, struct owner *out)
{
	struct callee callee = { 0 };
	char buf[PATTERN_TEXT];
	struct aors aors = { .ids = ids,
			     .template = user_template,
			     .h = take_first,
			     .arg = &callee };

	aors.user.p = buf;
	aors.user.l = digits_copy(buf, sizeof(buf), user);
	if (aors.user.l)
		aors_walk(&aors, ids->users[realm->number]);
	if (!callee.best.agent)
		return ENOENT;

	*out = callee.best;

	return 0;
}
