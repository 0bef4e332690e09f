/*
 * Local policies: a question in, hops out, best first
 *
 * What is compiled. Each policy is put down under every pair of its
 * source-realms, to-addresses and from-addresses, so that a question meets only
 * policies that match in all three:
 *
 *   realm number, or `any` for *     struct pattern_index over to-address
 *     to-address                     struct pattern_index over from-address
 *       from-address                 struct bundle: the policies, by number
 *
 *   policy number                    struct line: policy, and its options
 *   option                           one policy-attribute: the hop it leads to,
 *                                    or why it leads nowhere; its days, its
 *                                    span and its place in the configuration
 *
 * A question walks `any` and the index of its realm. What it meets is tested
 * for what cannot be compiled (time, method, carrier, codecs) and goes into a
 * sorted list of at most ROUTE_HOPS candidates. A candidate whose (next hop,
 * realm) pair stands there already takes its place or is dropped, so the list
 * always holds the best distinct ones and nothing is lost by its bound.
 *
 * That is one look-up. A route with lookup multi asks for another one with the
 * key it names (2.3); `gather` joins the stages into one list.
 */
#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <strings.h>
#include "store/base.h"
#include "store/hash.h"
#include "store/number.h"
#include "policy/pattern.h"
#include "policy/route.h"

enum {
	ROUTE_KEYS = 32 /* look-ups of one question at most */
};

/* A policy-attribute, ready. What each question asks stands in front, so that
 * testing a candidate is one cache line and not a walk through the
 * configuration */
struct option {
	stamp from, until; /* of the policy; 0: open */
	uint32_t place;    /* in the configuration: policies, then attributes */
	uint32_t pair;     /* equal for equal (next hop, realm) */
	uint32_t cost;
	hhmm start, end;
	uint16_t span; /* start to end [min] */
	weekdays on;
	uint8_t days;  /* how many of them */
	uint8_t fault; /* enum route_fault; ROUTE_FITS: hop is set */
	bool enabled, has_methods, has_carrier, has_profiles;
	bool is_redirect, is_last;
	bool is_multi; /* its key is looked up as long as stages are left */
	const struct local_policy *policy;
	const struct policy_attribute *attribute;
	struct hop hop;
};

/* A policy: a run of options */
struct line {
	const struct local_policy *policy;
	char *_Atomic key; /* its text, once a call asked for it */
	struct option *options;
	uint32_t n;
};

/* Policies with the same realm, to-address and from-address */
struct bundle {
	uint32_t n, room;
	uint32_t *lines;
};

/* Finds the number of a (next hop, realm) pair while compiling */
struct pair {
	struct entry e;
	const struct hop *hop;
	uint32_t number;
};

struct routes {
	const struct realms *realms;
	const struct match *match;
	const struct sip_config *sip;
	const struct session_router *router;
	uint32_t *holidays; /* MMDD, or YYYYMMDD of one year */
	uint32_t holidays_n;
	struct line *lines;
	uint32_t lines_n;
	struct option *options;
	uint32_t options_n;
	struct pattern_index **by_realm; /* by number; NULL: none */
	struct pattern_index *any;
	uint32_t max_routes;
	bool prefer_codecs;
};

struct candidate {
	const struct option *option;
	struct pattern_rank to, from;
	uint8_t media; /* line 2: 0 a codec is listed, 1 no list, 2 none is */
};

static const char *const fault_names[] = {
	[ROUTE_FITS] = "fits",
	[ROUTE_STATE] = "state",
	[ROUTE_SOURCE_REALM] = "source-realm",
	[ROUTE_FROM_ADDRESS] = "from-address",
	[ROUTE_TO_ADDRESS] = "to-address",
	[ROUTE_ACTIVE_TIME] = "activate-time",
	[ROUTE_TIME_OF_DAY] = "time-of-day",
	[ROUTE_METHODS] = "methods",
	[ROUTE_APP_PROTOCOL] = "app-protocol",
	[ROUTE_CARRIER] = "carrier",
	[ROUTE_NEXT_HOP] = "next-hop",
	[ROUTE_EGRESS_REALM] = "egress-realm",
	[ROUTE_LOOKUP] = "lookup",
	[ROUTE_CUT] = "cut",
};

const char *route_fault_name(enum route_fault f)
{
	return fault_names[f];
}

/* --- next hops --- */

static bool has_prefix(const char *text, const char *prefix)
{
	return !strncasecmp(text, prefix, strlen(prefix));
}

/* Cut `;transport=x` off; other parameters are no known form */
static int cut_transport(struct pl *text, enum transport *transport)
{
	static const char name[] = ";transport=";
	const char *semicolon = memchr(text->p, ';', text->l);
	struct pl word;

	*transport = TRANSPORT_NONE;
	if (!semicolon)
		return 0;

	word.p = semicolon + sizeof(name) - 1;
	word.l = text->l - (size_t)(semicolon - text->p);
	if (word.l < sizeof(name) || !has_prefix(semicolon, name))
		return EINVAL;
	word.l -= sizeof(name) - 1;

	*transport = transport_parse(&word);
	text->l = (size_t)(semicolon - text->p);

	return *transport == TRANSPORT_NONE ? EINVAL : 0;
}

/* host or host:port; IPv6 was read before, so one colon at most */
static int cut_port(struct pl *text, uint16_t *port)
{
	const char *colon = memchr(text->p, ':', text->l);
	uint64_t n = 0;
	struct pl digits;
	int err;

	*port = 0;
	if (!colon)
		return text->l ? 0 : EINVAL;

	digits.p = colon + 1;
	digits.l = text->l - (size_t)(digits.p - text->p);
	err = uint_parse(&n, &digits, 65535);
	if (err || !n || colon == text->p)
		return EINVAL;

	*port = (uint16_t)n;
	text->l = (size_t)(colon - text->p);

	return 0;
}

static bool is_secure(enum transport t)
{
	return t == TRANSPORT_TLS || t == TRANSPORT_WSS;
}

static void lead_to_agent(struct hop *hop, const struct session_agent *agent)
{
	hop->agent = agent;
	pl_set_str(&hop->host, agent->hostname);
	hop->port = (uint16_t)agent->port;
	hop->transport = match_agent_transport(agent);
	if (match_agent_address(agent, &hop->addr))
		sa_init(&hop->addr, AF_UNSPEC);
}

/* "[::1]:5060" is the host "::1" */
static struct pl address_text(const struct pl *text)
{
	struct pl host = *text;
	const char *end = memchr(text->p, ']', text->l);

	if (end && *text->p == '[') {
		host.p = text->p + 1;
		host.l = (size_t)(end - host.p);
	} else if (memchr(text->p, '.', text->l)) {
		end = memchr(text->p, ':', text->l);
		if (end && !memchr(end + 1, ':',
				   text->l - (size_t)(end + 1 - text->p)))
			host.l = (size_t)(end - text->p);
	}

	return host;
}

/* Address without a session-agent: UDP and 5060 unless it says otherwise */
static void lead_to_address(struct hop *hop, const struct pl *text,
			    const struct sa *addr, enum transport transport)
{
	hop->host = address_text(text);
	hop->addr = *addr;
	hop->transport =
		transport == TRANSPORT_NONE ? TRANSPORT_UDP : transport;
	hop->port = sa_port(addr);
	if (!hop->port)
		hop->port = is_secure(hop->transport) ? 5061 : 5060;
	sa_set_port(&hop->addr, hop->port);
}

/* configuration.md 2.9: egress-realm-id, at last home-realm-id */
static const struct realm *last_resort(const struct routes *routes)
{
	const struct realm *realm =
		realm_named(routes->realms, routes->sip->egress_realm_id);

	return realm ? realm
		     : realm_named(routes->realms, routes->sip->home_realm_id);
}

static const struct session_agent *agent_towards(const struct routes *routes,
						 const struct realm *realm,
						 const struct sa *addr)
{
	const struct realm *last = last_resort(routes);
	const struct session_agent *agent = NULL;

	if (realm)
		return match_agent_towards(routes->match, realm, addr);

	/* No realm is named: the last resort's before others */
	if (last)
		agent = match_agent_towards(routes->match, last, addr);

	return agent ? agent : match_agent_towards(routes->match, NULL, addr);
}

/* Egress realm (2.2): the attribute's, the session-agent's realm-id, its
 * egress-realm-id, sip-config's; it must be able to send */
static int find_egress(struct hop *hop, const struct routes *routes,
		       const struct realm *realm)
{
	const struct session_agent *agent = hop->agent;
	const struct realms *realms = routes->realms;

	if (!realm && agent && strcmp(agent->realm_id, "*"))
		realm = realm_named(realms, agent->realm_id);
	if (!realm && agent)
		realm = realm_named(realms, agent->egress_realm_id);
	if (!realm)
		realm = last_resort(routes);
	if (!realm || !realm->endpoints_n)
		return ENOENT;

	hop->realm = realm;

	return 0;
}

int hop_read(struct hop *hop, const struct routes *routes, const char *next_hop,
	     const struct realm *realm)
{
	const struct session_agent *agent;
	struct hop to = { .next_hop = next_hop };
	enum transport transport;
	struct pl text;
	struct sa addr;
	int err;

	if (has_prefix(next_hop, "SAG:") || has_prefix(next_hop, "enum:") ||
	    has_prefix(next_hop, "lrt:"))
		return EINVAL;

	pl_set_str(&text, next_hop);
	err = cut_transport(&text, &transport);
	if (err)
		return err;

	sa_init(&to.addr, AF_UNSPEC);
	agent = match_agent(routes->match, &text);
	if (agent) {
		lead_to_agent(&to, agent);
	} else if (!address_parse_text(&addr, &text)) {
		agent = agent_towards(routes, realm, &addr);
		if (agent)
			lead_to_agent(&to, agent);
		else
			lead_to_address(&to, &text, &addr, transport);
	} else {
		err = cut_port(&text, &to.port);
		if (err)
			return err;
		to.host = text;
		to.transport = transport;
	}
	if (agent && transport != TRANSPORT_NONE)
		to.transport = transport;

	err = find_egress(&to, routes, realm);
	if (!err)
		*hop = to;

	return err;
}

/* --- compiling --- */

static void bundle_destructor(void *arg)
{
	struct bundle *bundle = arg;

	mem_deref(bundle->lines);
}

static void routes_destructor(void *arg)
{
	struct routes *routes = arg;

	for (uint32_t i = 0; routes->by_realm && i < routes->realms->n; ++i)
		mem_deref(routes->by_realm[i]);
	mem_deref(routes->by_realm);
	mem_deref(routes->any);
	for (uint32_t i = 0; routes->lines && i < routes->lines_n; ++i)
		mem_deref(routes->lines[i].key);
	mem_deref(routes->lines);
	mem_deref(routes->options);
	mem_deref(routes->holidays);
}

static void *array(size_t n, size_t size)
{
	return mem_zalloc((n ? n : 1) * size, NULL);
}

static uint16_t minutes(hhmm t)
{
	return (uint16_t)(t / 100 * 60 + t % 100);
}

static enum route_fault lead(struct option *option, const struct routes *routes)
{
	const struct policy_attribute *attribute = option->attribute;
	const struct realm *realm;
	int err;

	realm = realm_named(routes->realms, attribute->realm);
	if (!realm && attribute->realm[0])
		return ROUTE_EGRESS_REALM;

	err = hop_read(&option->hop, routes, attribute->next_hop, realm);
	if (err == ENOENT)
		return ROUTE_EGRESS_REALM;
	if (err)
		return ROUTE_NEXT_HOP;
	if (option->hop.agent && !option->hop.agent->allow_next_hop_lp)
		return ROUTE_NEXT_HOP;

	option->hop.policy = option->policy;
	option->hop.attribute = attribute;
	option->hop.cost = attribute->cost;

	return ROUTE_FITS;
}

static void compile_option(struct option *option, const struct routes *routes)
{
	const struct policy_attribute *a = option->attribute;

	option->from = option->policy->activate_time;
	option->until = option->policy->deactivate_time;
	option->cost = a->cost;
	option->start = a->start_time;
	option->end = a->end_time;
	option->span =
		(uint16_t)(minutes(a->end_time) - minutes(a->start_time));
	option->on = a->days_of_week;
	option->days = (uint8_t)__builtin_popcount(a->days_of_week);
	option->enabled = a->state;
	option->has_methods = a->methods.n > 0;
	option->has_carrier = a->carrier[0] != '\0';
	option->has_profiles = a->media_profiles.n > 0;
	option->is_redirect = a->action == POLICY_ACTION_REDIRECT;
	option->is_last = a->terminate_recursion;
	option->is_multi = a->lookup == POLICY_LOOKUP_MULTI &&
			   routes->router->additional_lp_lookups;
	option->fault = (uint8_t)lead(option, routes);
}

static bool same_pair(const struct entry *e, const void *key)
{
	const struct hop *a = ((const struct pair *)e)->hop, *b = key;

	if (a->realm != b->realm || a->agent != b->agent)
		return false;

	return a->agent || !strcasecmp(a->next_hop, b->next_hop);
}

static uint64_t pair_hash(const struct hop *hop)
{
	const char *name = hop->agent ? hop->agent->hostname : hop->next_hop;

	return hash_mix(hash_nocase(name, strlen(name)), hop->realm->number);
}

/* Give equal (next hop, realm) pairs equal numbers; two names of one
 * session-agent are one next hop */
static int number_pairs(struct routes *routes)
{
	struct pair *pairs = array(routes->options_n, sizeof(*pairs));
	struct table table;
	int err = pairs ? 0 : ENOMEM;

	table_init(&table);
	for (uint32_t i = 0; !err && i < routes->options_n; ++i) {
		struct option *option = &routes->options[i];
		struct pair *pair = &pairs[i], *known;
		uint64_t hash;

		option->pair = i;
		if (option->fault != ROUTE_FITS || option->is_multi)
			continue;
		hash = pair_hash(&option->hop);
		known = (struct pair *)table_find(&table, hash, same_pair,
						  &option->hop);
		pair->hop = &option->hop;
		pair->number = option->pair = known ? known->number : i;
		if (!known)
			err = table_add(&table, &pair->e, hash);
	}

	table_finish(&table);
	mem_deref(pairs);

	return err;
}

static int bundle_add(struct bundle *bundle, uint32_t line)
{
	uint32_t room = bundle->room ? 2 * bundle->room : 1;
	uint32_t *lines;

	/* Two spellings of one address in one list: `1-2` and `12` */
	if (bundle->n && bundle->lines[bundle->n - 1] == line)
		return 0;

	if (bundle->n == bundle->room) {
		lines = mem_alloc(room * sizeof(*lines), NULL);
		if (!lines)
			return ENOMEM;
		if (bundle->n)
			memcpy(lines, bundle->lines,
			       bundle->n * sizeof(*lines));
		mem_deref(bundle->lines);
		bundle->lines = lines;
		bundle->room = room;
	}
	bundle->lines[bundle->n++] = line;

	return 0;
}

static int put_from(struct pattern_index *index, const struct pattern *from,
		    uint32_t line)
{
	void **slot = NULL;
	int err = pattern_index_slot(&slot, index, from);

	if (err)
		return err;

	if (!*slot)
		*slot = mem_zalloc(sizeof(struct bundle), bundle_destructor);

	return *slot ? bundle_add(*slot, line) : ENOMEM;
}

static int put_to(struct pattern_index *index, const struct pattern *to,
		  const struct patterns *from, uint32_t line)
{
	struct pattern_index *below = NULL;
	void **slot = NULL;
	int err = pattern_index_slot(&slot, index, to);

	if (err)
		return err;

	if (!*slot) {
		err = pattern_index_alloc(&below);
		if (err)
			return err;
		*slot = below;
	}
	for (uint32_t i = 0; !err && i < from->n; ++i)
		err = put_from(*slot, &from->v[i], line);

	return err;
}

static int put_realm(struct pattern_index **index,
		     const struct local_policy *policy, uint32_t line)
{
	int err = 0;

	if (!*index)
		err = pattern_index_alloc(index);
	for (uint32_t i = 0; !err && i < policy->to_address.n; ++i)
		err = put_to(*index, &policy->to_address.v[i],
			     &policy->from_address, line);

	return err;
}

static int put_line(struct routes *routes, uint32_t number)
{
	const struct local_policy *policy = routes->lines[number].policy;
	int err = 0;

	for (uint32_t i = 0; !err && i < policy->source_realm.n; ++i) {
		const char *name = policy->source_realm.v[i];
		const struct realm *realm = realm_named(routes->realms, name);

		if (!strcmp(name, "*"))
			err = put_realm(&routes->any, policy, number);
		else if (realm)
			err = put_realm(&routes->by_realm[realm->number],
					policy, number);
	}

	return err;
}

static int compile_lines(struct routes *routes)
{
	const struct config *cfg = routes->realms->config;
	uint32_t place = 0;
	int err = 0;

	for (uint32_t i = 0; !err && i < routes->lines_n; ++i) {
		struct line *line = &routes->lines[i];

		line->policy = config_at(cfg, &element_local_policy, i);
		line->n = line->policy->policy_attributes.n;
		line->options = routes->options + place;
		for (uint32_t a = 0; a < line->n; ++a) {
			struct option *option = &line->options[a];

			option->policy = line->policy;
			option->attribute =
				line->policy->policy_attributes.v[a];
			option->place = place++;
			compile_option(option, routes);
			option->hop.line = line;
			routes->prefer_codecs =
				routes->prefer_codecs || option->has_profiles;
		}
		if (line->policy->state)
			err = put_line(routes, i);
	}

	return err;
}

const char *hop_policy_key(const struct hop *hop)
{
	struct line *line = hop->line;
	char *key, *theirs = NULL;
	struct item_ref ref;

	if (!line)
		return "";
	key = atomic_load_explicit(&line->key, memory_order_acquire);
	if (key)
		return key;

	ref = (struct item_ref){ &element_local_policy, line->policy };
	if (re_sdprintf(&key, "%H", item_key_print, &ref))
		return "";
	if (!atomic_compare_exchange_strong(&line->key, &theirs, key)) {
		mem_deref(key);
		key = theirs;
	}

	return key;
}

static uint32_t count_options(const struct config *cfg)
{
	uint32_t n = 0;

	for (size_t i = 0; i < config_count(cfg, &element_local_policy); ++i) {
		const struct local_policy *policy =
			config_at(cfg, &element_local_policy, i);

		n += policy->policy_attributes.n;
	}

	return n;
}

/* sip-config option max-routes=N; 0 and what is no number: no limit */
static uint32_t read_max_routes(const struct sip_config *sip)
{
	uint64_t n = 0;
	struct pl value;

	if (option_get(&sip->options, "max-routes", &value) ||
	    uint_parse(&n, &value, UINT32_MAX))
		return 0;

	return (uint32_t)n;
}

static int compile_holidays(struct routes *routes)
{
	const struct items *items = &routes->router->holidays;

	routes->holidays = array(items->n, sizeof(*routes->holidays));
	if (!routes->holidays)
		return ENOMEM;

	for (uint32_t i = 0; i < items->n; ++i) {
		const struct holiday *holiday = items->v[i];
		struct pl date;

		pl_set_str(&date, holiday->date);
		routes->holidays[routes->holidays_n++] = date_read(&date);
	}

	return 0;
}

int routes_alloc(struct routes **rp, const struct realms *realms,
		 const struct match *match)
{
	struct routes *routes = mem_zalloc(sizeof(*routes), routes_destructor);
	const struct config *cfg = realms->config;
	int err;

	if (!routes)
		return ENOMEM;

	routes->realms = realms;
	routes->match = match;
	routes->sip = config_single(cfg, &element_sip_config);
	routes->router = config_single(cfg, &element_session_router);
	routes->max_routes = read_max_routes(routes->sip);
	routes->lines_n = (uint32_t)config_count(cfg, &element_local_policy);
	routes->options_n = count_options(cfg);
	routes->lines = array(routes->lines_n, sizeof(*routes->lines));
	routes->options = array(routes->options_n, sizeof(*routes->options));
	routes->by_realm = array(realms->n, sizeof(*routes->by_realm));
	err = routes->lines && routes->options && routes->by_realm ? 0 : ENOMEM;
	if (err)
		goto out;

	err = compile_holidays(routes);
	if (err)
		goto out;

	err = compile_lines(routes);
	if (err)
		goto out;

	err = number_pairs(routes);

out:
	if (err)
		mem_deref(routes);
	else
		*rp = routes;

	return err;
}

/* --- tests that only the question decides --- */

struct search {
	const struct routes *routes;
	const struct route_query *q;
	struct pattern_key to, from;
	struct pattern_rank to_rank; /* of the to-address at hand */
	struct candidate best[ROUTE_HOPS];
	uint32_t n;
	bool out_of_time; /* one lay outside its time only */
	bool holiday;     /* today is one */
	bool further;     /* another stage may follow */
};

static bool is_active(const struct option *option, stamp now)
{
	return (!option->from || now >= option->from) &&
	       (!option->until || now < option->until);
}

/* 2.7: on a holiday both `H` and the letter of the weekday match */
static bool is_in_window(const struct option *option,
			 const struct local_time *t, bool holiday)
{
	bool today =
		(option->on >> t->weekday & 1) || (holiday && option->on >> 7);

	return today && t->of_day >= option->start && t->of_day < option->end;
}

/* The caller's list and that of the session-agent the route leads to */
static bool has_carrier(const struct option *option,
			const struct route_query *q)
{
	const struct session_agent *to = option->hop.agent;
	const struct names *callers = NULL;
	struct pl carrier;

	if (!option->has_carrier)
		return true;

	pl_set_str(&carrier, option->attribute->carrier);
	if (q->carriers)
		callers = q->carriers;
	else if (q->agent && q->agent->carriers.n)
		callers = &q->agent->carriers;
	else if (q->realm && q->realm->interface)
		callers = &q->realm->interface->carriers;
	if (callers && callers->n && !names_have(callers, &carrier))
		return false;

	return !to || !to->carriers.n || names_have(&to->carriers, &carrier);
}

/* The checks of 2.2 behind the match, in its order */
static enum route_fault option_check(const struct option *option,
				     const struct search *s)
{
	const struct route_query *q = s->q;

	if (!q->now.any && !is_active(option, q->now.now))
		return ROUTE_ACTIVE_TIME;
	if (!q->now.any && !is_in_window(option, &q->now, s->holiday))
		return ROUTE_TIME_OF_DAY;
	if (option->has_methods &&
	    !names_have(&option->attribute->methods, &q->method))
		return ROUTE_METHODS;
	if (!has_carrier(option, q))
		return ROUTE_CARRIER;

	/* what is looked up further need not lead anywhere itself */
	if (option->is_multi && s->further)
		return ROUTE_FITS;

	return (enum route_fault)option->fault;
}

static uint8_t media_rank(const struct option *option,
			  const struct route_query *q)
{
	const struct names *profiles = &option->attribute->media_profiles;

	if (!q->codecs_n || !option->has_profiles)
		return 1;

	for (uint32_t i = 0; i < q->codecs_n; ++i) {
		if (names_have_nocase(profiles, &q->codecs[i]))
			return 0;
	}

	return 2;
}

/* --- order --- */

/* behaviour.md 2.3; -1: a comes first */
static int order(const struct candidate *a, const struct candidate *b)
{
	const struct option *x = a->option, *y = b->option;

	/* 1. lower cost */
	if (x->cost != y->cost)
		return x->cost < y->cost ? -1 : 1;

	/* 2. a listed codec, no list, none of the list */
	if (a->media != b->media)
		return a->media < b->media ? -1 : 1;

	/* 3. longer to-address */
	if (a->to.length != b->to.length)
		return a->to.length > b->to.length ? -1 : 1;

	/* 4. longer from-address */
	if (a->from.length != b->from.length)
		return a->from.length > b->from.length ? -1 : 1;

	/* 5. fewer days */
	if (x->days != y->days)
		return x->days < y->days ? -1 : 1;

	/* 6. shorter time of day */
	if (x->span != y->span)
		return x->span < y->span ? -1 : 1;

	/* 7. explicit before wildcard */
	if (a->to.is_explicit != b->to.is_explicit)
		return a->to.is_explicit ? -1 : 1;
	if (a->from.is_explicit != b->from.is_explicit)
		return a->from.is_explicit ? -1 : 1;

	/* 8. order of the configuration */
	return x->place < y->place ? -1 : x->place > y->place;
}

static void remove_at(struct search *s, uint32_t i)
{
	--s->n;
	memmove(&s->best[i], &s->best[i + 1], (s->n - i) * sizeof(s->best[0]));
}

/* Keep the list sorted, its pairs distinct, and the best ROUTE_HOPS in it */
static void keep(struct search *s, const struct candidate *c)
{
	uint32_t at;

	for (uint32_t i = 0; i < s->n; ++i) {
		if (s->best[i].option->pair != c->option->pair)
			continue;
		if (order(&s->best[i], c) <= 0)
			return;
		remove_at(s, i);
		break;
	}

	for (at = 0; at < s->n && order(&s->best[at], c) < 0; ++at)
		;
	if (at == ROUTE_HOPS)
		return;
	if (s->n == ROUTE_HOPS)
		--s->n;
	memmove(&s->best[at + 1], &s->best[at],
		(s->n - at) * sizeof(s->best[0]));
	s->best[at] = *c;
	++s->n;
}

static void try_option(struct search *s, const struct option *option,
		       struct pattern_rank from)
{
	struct candidate c = { .option = option,
			       .to = s->to_rank,
			       .from = from };

	if (!option->enabled)
		return;

	switch (option_check(option, s)) {

	case ROUTE_FITS:
		c.media = media_rank(option, s->q);
		keep(s, &c);
		break;

	case ROUTE_ACTIVE_TIME:
	case ROUTE_TIME_OF_DAY:
		s->out_of_time = true;
		break;

	case ROUTE_STATE:
	case ROUTE_SOURCE_REALM:
	case ROUTE_FROM_ADDRESS:
	case ROUTE_TO_ADDRESS:
	case ROUTE_METHODS:
	case ROUTE_APP_PROTOCOL:
	case ROUTE_CARRIER:
	case ROUTE_NEXT_HOP:
	case ROUTE_EGRESS_REALM:
	case ROUTE_LOOKUP:
	case ROUTE_CUT:
		break;
	}
}

static void from_found(void *value, struct pattern_rank rank, void *arg)
{
	const struct bundle *bundle = value;
	struct search *s = arg;

	for (uint32_t i = 0; i < bundle->n; ++i) {
		const struct line *line = &s->routes->lines[bundle->lines[i]];

		for (uint32_t a = 0; a < line->n; ++a)
			try_option(s, &line->options[a], rank);
	}
}

static void to_found(void *value, struct pattern_rank rank, void *arg)
{
	struct search *s = arg;

	s->to_rank = rank;
	pattern_index_walk(value, &s->from, from_found, s);
}

/* Local date against the holidays of session-router */
static bool is_holiday(const struct routes *routes, const struct local_time *t)
{
	uint32_t date = (uint32_t)(t->now / 1000000);

	for (uint32_t i = 0; i < routes->holidays_n; ++i) {
		uint32_t day = routes->holidays[i];

		if (day == (day < 10000 ? date % 10000 : date))
			return true;
	}

	return t->holiday;
}

static void search_init(struct search *s, const struct routes *routes,
			const struct route_query *q, bool further)
{
	s->routes = routes;
	s->q = q;
	s->n = 0;
	s->out_of_time = false;
	s->further = further;
	s->holiday = is_holiday(routes, &q->now);
	pattern_key_read(&s->to, q->to);
	pattern_key_read(&s->from, q->from);
}

/* The realms whose policies serve the question's realm: it, and its parents with
 * match-lp-src-parent-realms */
static const struct realm *realm_above(const struct routes *routes,
				       const struct realm *realm)
{
	return routes->router->match_lp_src_parent_realms ? realm->parent
							  : NULL;
}

/* One stage */
static void look_up(struct search *s)
{
	const struct routes *routes = s->routes;

	for (const struct realm *r = s->q->realm; r;
	     r = realm_above(routes, r)) {
		const struct pattern_index *own = routes->by_realm[r->number];

		if (own)
			pattern_index_walk(own, &s->to, to_found, s);
	}
	for (uint32_t i = 0; !s->q->realm && i < routes->realms->n; ++i) {
		if (routes->by_realm[i])
			pattern_index_walk(routes->by_realm[i], &s->to,
					   to_found, s);
	}
	if (routes->any)
		pattern_index_walk(routes->any, &s->to, to_found, s);
}

/* terminate-recursion and max-lp-lookups-routes-per-lookup end one stage */
static uint32_t cut_stage(const struct search *s)
{
	uint32_t max = s->routes->router->max_lp_lookups_routes_per_lookup;
	uint32_t n = 0;

	while (n < s->n && (!max || n < max)) {
		if (s->best[n++].option->is_last)
			break;
	}

	return n;
}

/* --- stages --- */

/* What was looked up for one question */
struct key {
	const struct realm *realm;
	struct uri uri;
};

struct gather {
	const struct routes *routes;
	struct route *out;
	struct key *keys; /* ROUTE_KEYS, where there are stages */
	uint32_t keys_n;
	uint32_t n, loops;
	bool out_of_time;
};

static bool is_key(const struct pl *a, const struct pl *b)
{
	return a->l == b->l && (!a->l || !strncasecmp(a->p, b->p, a->l));
}

/* Has this been looked up before? Notes it otherwise. More keys than there is
 * room for are a loop, too */
static bool is_loop(struct gather *g, const struct realm *realm,
		    const struct uri *uri)
{
	for (uint32_t i = 0; i < g->keys_n; ++i) {
		if (g->keys[i].realm == realm &&
		    is_key(&g->keys[i].uri.user, &uri->user) &&
		    is_key(&g->keys[i].uri.host, &uri->host))
			return true;
	}
	if (g->keys_n == ROUTE_KEYS)
		return true;

	g->keys[g->keys_n].realm = realm;
	g->keys[g->keys_n++].uri = *uri;

	return false;
}

/* A next-hop as a key: its host */
static void key_read(struct uri *uri, const char *next_hop)
{
	enum transport transport;
	struct pl text;
	uint16_t port;
	struct sa sa;

	memset(uri, 0, sizeof(*uri));
	pl_set_str(&uri->scheme, "sip");
	pl_set_str(&text, next_hop);
	(void)cut_transport(&text, &transport);
	if (!address_parse_text(&sa, &text))
		text = address_text(&text);
	else
		(void)cut_port(&text, &port);
	uri->host = text;
}

/* What a route with lookup multi asks for. False: the message has no such URI */
static bool next_key(struct uri *key, const struct policy_attribute *attribute,
		     const struct route_query *q)
{
	const struct uri *uri = NULL;

	switch ((enum policy_next_key)attribute->next_key) {

	case POLICY_NEXT_KEY_EMPTY:
		key_read(key, attribute->next_hop);
		return true;

	case POLICY_NEXT_KEY_TO:
		uri = q->called;
		break;

	case POLICY_NEXT_KEY_FROM:
		uri = q->from;
		break;

	case POLICY_NEXT_KEY_PAI:
		uri = q->asserted;
		break;
	}
	if (uri)
		*key = *uri;

	return uri != NULL;
}

static bool same_hop(const struct hop *a, const struct hop *b)
{
	return a->realm == b->realm && a->agent == b->agent &&
	       (a->agent || !strcasecmp(a->next_hop, b->next_hop));
}

static void append(struct gather *g, const struct hop *hop)
{
	if (g->n == ROUTE_HOPS)
		return;
	for (uint32_t i = 0; i < g->n; ++i) {
		if (same_hop(&g->out->hops[i], hop))
			return;
	}
	g->out->hops[g->n++] = *hop;
}

static void gather(struct gather *g, const struct route_query *q,
		   uint32_t stages);

static void further(struct gather *g, const struct route_query *q,
		    const struct option *option, uint32_t stages)
{
	struct route_query next = *q;
	struct uri key;

	if (!next_key(&key, option->attribute, q))
		return;
	next.to = &key;
	if (g->routes->router->multi_stage_src_realm_override &&
	    option->hop.realm)
		next.realm = option->hop.realm;
	if (is_loop(g, next.realm, &key)) {
		++g->loops;
		return;
	}
	gather(g, &next, stages - 1);
}

/* Results of the later stage come first, those of this one stay behind them */
static void gather(struct gather *g, const struct route_query *q,
		   uint32_t stages)
{
	struct search s;
	uint32_t n;

	search_init(&s, g->routes, q, stages > 0);
	look_up(&s);
	n = cut_stage(&s);
	for (uint32_t i = 0; stages && i < n; ++i) {
		if (s.best[i].option->is_multi)
			further(g, q, s.best[i].option, stages);
	}
	for (uint32_t i = 0; i < n; ++i) {
		if (!stages || !s.best[i].option->is_multi)
			append(g, &s.best[i].option->hop);
	}
	g->out_of_time = g->out_of_time || s.out_of_time;
}

static bool is_redirect(const struct hop *hop)
{
	return hop->attribute->action == POLICY_ACTION_REDIRECT;
}

/*
 * What ends the list (2.3): max-routes keeps the first N, total-lp-routes as
 * many, and redirects stand alone: behind another route a redirect ends the
 * list, behind a redirect another route does
 */
static uint32_t cut(const struct gather *g)
{
	uint32_t max = g->routes->max_routes, n = 0;
	uint32_t total = g->routes->router->total_lp_routes;

	if (total && (!max || total < max))
		max = total;
	while (n < g->n && (!max || n < max) &&
	       is_redirect(&g->out->hops[n]) == is_redirect(&g->out->hops[0]))
		++n;

	return n;
}

bool routes_prefer_codecs(const struct routes *routes)
{
	return routes->prefer_codecs;
}

/* Apart from route_find: most have one stage, and need no room for keys */
static __attribute__((noinline)) void gather_stages(struct gather *g,
						    const struct route_query *q,
						    uint32_t stages)
{
	struct key keys[ROUTE_KEYS];

	g->keys = keys;
	(void)is_loop(g, q->realm, q->to);
	gather(g, q, stages);
	g->keys = NULL;
}

int route_find(const struct routes *routes, const struct route_query *q,
	       struct route *out)
{
	struct gather g = { .routes = routes, .out = out };
	uint32_t stages = routes->router->additional_lp_lookups;

	if (stages)
		gather_stages(&g, q, stages);
	else
		gather(&g, q, 0);
	if (!g.n)
		return g.out_of_time ? ERANGE : ENOENT;

	out->n = cut(&g);
	out->loops = g.loops;

	return 0;
}

/* --- explaining --- */

static bool has_source(const struct routes *routes,
		       const struct local_policy *policy,
		       const struct realm *realm)
{
	struct pl name, any = PL("*");

	if (!realm || names_have(&policy->source_realm, &any))
		return true;
	for (; realm; realm = realm_above(routes, realm)) {
		pl_set_str(&name, realm->config->identifier);
		if (names_have(&policy->source_realm, &name))
			return true;
	}

	return false;
}

static enum route_fault explain(const struct option *option,
				const struct search *s)
{
	const struct local_policy *policy = option->policy;

	if (!policy->state || !option->attribute->state)
		return ROUTE_STATE;
	if (!has_source(s->routes, policy, s->q->realm))
		return ROUTE_SOURCE_REALM;
	if (patterns_matches(&policy->from_address, &s->from) < 0)
		return ROUTE_FROM_ADDRESS;
	if (patterns_matches(&policy->to_address, &s->to) < 0)
		return ROUTE_TO_ADDRESS;

	return option_check(option, s);
}

static bool is_chosen(const struct route *route, const struct option *option)
{
	for (uint32_t i = 0; i < route->n; ++i) {
		if (route->hops[i].attribute == option->attribute)
			return true;
	}

	return false;
}

void route_explain(const struct routes *routes, const struct route_query *q,
		   route_explain_h *h, void *arg)
{
	struct route route = { .n = 0 };
	struct search s;

	search_init(&s, routes, q, routes->router->additional_lp_lookups > 0);
	if (route_find(routes, q, &route))
		route.n = 0;

	for (uint32_t i = 0; i < routes->options_n; ++i) {
		const struct option *option = &routes->options[i];
		enum route_fault fault = explain(option, &s);

		if (fault == ROUTE_FITS && !is_chosen(&route, option))
			fault = option->is_multi ? ROUTE_LOOKUP : ROUTE_CUT;
		h(option->policy, option->attribute, fault, arg);
	}
}
