/*
 * What the rules ask about a configuration: names, realms, ports, targets
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <arpa/inet.h>
#include "store/checks/survey.h"

static void *array(size_t n, size_t size)
{
	return calloc(n ? n : 1, size);
}

/* --- Realms -------------------------------------------------------------- */

static int realm_order(const void *pa, const void *pb)
{
	const struct realm_facts *a = *(const struct realm_facts *const *)pa;
	const struct realm_facts *b = *(const struct realm_facts *const *)pb;

	return strcmp(a->config->identifier, b->config->identifier);
}

static int nocase_order(const void *pa, const void *pb)
{
	const struct realm_facts *a = *(const struct realm_facts *const *)pa;
	const struct realm_facts *b = *(const struct realm_facts *const *)pb;
	int n = strcasecmp(a->config->identifier, b->config->identifier);

	return n ? n : strcmp(a->config->identifier, b->config->identifier);
}

static int realms_make(struct survey *s)
{
	size_t n = config_count(s->cfg, &element_realm_config);

	s->realms = array(n, sizeof(*s->realms));
	s->realm_names = array(n, sizeof(*s->realm_names));
	s->realm_nocase = array(n, sizeof(*s->realm_nocase));
	if (!s->realms || !s->realm_names || !s->realm_nocase)
		return ENOMEM;

	s->realms_n = n;
	for (size_t i = 0; i < n; i++) {
		s->realms[i].item =
			config_item_at(s->cfg, &element_realm_config, i);
		s->realms[i].config = s->realms[i].item->value;
		s->realm_names[i] = &s->realms[i];
		s->realm_nocase[i] = &s->realms[i];
	}
	qsort(s->realm_names, n, sizeof(*s->realm_names), realm_order);
	qsort(s->realm_nocase, n, sizeof(*s->realm_nocase), nocase_order);
	return 0;
}

static struct realm_facts *realm_of(const struct survey *s, const char *name)
{
	/* The facts are ours until survey_init returns */
	return (struct realm_facts *)survey_realm(s, name);
}

/* Does the chain of parents end? Brent: one pointer waits, one walks */
static bool parents_end(const struct realm_facts *r)
{
	const struct realm_facts *walk = r, *wait = r;
	size_t steps = 0, power = 1;

	while ((walk = walk->named)) {
		if (walk == wait)
			return false;
		if (++steps == power) {
			power *= 2;
			steps = 0;
			wait = walk;
		}
	}

	return true;
}

static bool is_public_address(const struct sa *sa)
{
	const struct sockaddr_in6 *in6 = &sa->u.in6;
	uint32_t a;

	if (sa_af(sa) == AF_INET6) {
		const uint8_t *p = in6->sin6_addr.s6_addr;

		if (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr))
			return true;
		return !sa_is_loopback(sa) && !sa_is_linklocal(sa) &&
		       (p[0] & 0xfe) != 0xfc; /* RFC 4193 */
	}

	a = sa_in(sa);
	return a >> 24 != 10 && a >> 20 != 0xac1 && a >> 16 != 0xc0a8 &&
	       a >> 22 != 0x64400000 >> 22 && a >> 24 != 127 &&
	       a >> 16 != 0xa9fe;
}

static bool is_public(const struct realm_facts *r)
{
	const struct sip_interface *iface =
		r->interface ? r->interface->own : NULL;

	if (!option_get(&r->config->options, "public", NULL))
		return true;
	if (!option_get(&r->config->options, "private", NULL))
		return false;
	for (uint32_t i = 0; iface && i < iface->sip_ports.n; i++) {
		const struct sip_port *port = iface->sip_ports.v[i];

		if (is_public_address(&port->address))
			return true;
	}

	return false;
}

static void realms_fill(struct survey *s)
{
	size_t n = config_count(s->cfg, &element_sip_interface);

	for (size_t i = 0; i < n; i++) {
		const struct sip_interface *iface =
			config_at(s->cfg, &element_sip_interface, i);
		struct realm_facts *r = realm_of(s, iface->realm_id);

		if (r)
			r->own = iface;
	}
	n = config_count(s->cfg, &element_steering_pool);
	for (size_t i = 0; i < n; i++) {
		const struct steering_pool *pool =
			config_at(s->cfg, &element_steering_pool, i);
		struct realm_facts *r = realm_of(s, pool->realm_id);

		if (r)
			r->has_pool = true;
	}

	for (size_t i = 0; i < s->realms_n; i++) {
		struct realm_facts *r = &s->realms[i];

		r->named = survey_realm(s, r->config->parent_realm);
	}
	for (size_t i = 0; i < s->realms_n; i++) {
		struct realm_facts *r = &s->realms[i];

		if (parents_end(r))
			r->parent = r->named;
	}
	for (size_t i = 0; i < s->realms_n; i++) {
		struct realm_facts *r = &s->realms[i], *up = r;

		for (; up; up = (struct realm_facts *)up->parent) {
			if (up->own && !r->interface)
				r->interface = up;
			if (up->has_pool && !r->pools)
				r->pools = up;
			if (r->own && up != r)
				up->below = true;
		}
		r->is_public = is_public(r);
	}
}

/* --- Session-agents ------------------------------------------------------ */

static int agent_name_order(const void *pa, const void *pb)
{
	const struct agent_facts *a = pa, *b = pb;

	return strcasecmp(a->agent->hostname, b->agent->hostname);
}

static int address_order(const struct sa *a, const struct sa *b)
{
	if (sa_af(a) != sa_af(b))
		return sa_af(a) < sa_af(b) ? -1 : 1;
	if (sa_af(a) == AF_INET6)
		return memcmp(&a->u.in6.sin6_addr, &b->u.in6.sin6_addr, 16);
	if (sa_af(a) == AF_INET)
		return memcmp(&a->u.in.sin_addr, &b->u.in.sin_addr, 4);
	return 0;
}

static int agent_address_order(const void *pa, const void *pb)
{
	const struct session_agent *a =
		*(const struct session_agent *const *)pa;
	const struct session_agent *b =
		*(const struct session_agent *const *)pb;
	int n = address_order(&a->ip_address, &b->ip_address);

	return n ? n : strcasecmp(a->hostname, b->hostname);
}

static int agents_make(struct survey *s)
{
	size_t n = config_count(s->cfg, &element_session_agent);

	s->agent_names = array(n, sizeof(*s->agent_names));
	s->agent_addresses = array(n, sizeof(*s->agent_addresses));
	if (!s->agent_names || !s->agent_addresses)
		return ENOMEM;

	for (size_t i = 0; i < n; i++) {
		const struct session_agent *a =
			config_at(s->cfg, &element_session_agent, i);

		s->agent_names[s->agents_n].agent = a;
		s->agent_names[s->agents_n++].place = i;
		if (sa_isset(&a->ip_address, SA_ADDR))
			s->agent_addresses[s->agent_addresses_n++] = a;
	}
	qsort(s->agent_names, s->agents_n, sizeof(*s->agent_names),
	      agent_name_order);
	qsort(s->agent_addresses, s->agent_addresses_n,
	      sizeof(*s->agent_addresses), agent_address_order);
	return 0;
}

/* --- Ports --------------------------------------------------------------- */

static int port_order(const void *pa, const void *pb)
{
	const struct port_facts *a = *(const struct port_facts *const *)pa;
	const struct port_facts *b = *(const struct port_facts *const *)pb;
	int n = address_order(&a->local, &b->local);

	if (!n)
		n = (int)sa_port(&a->local) - (int)sa_port(&b->local);
	if (!n)
		n = a < b ? -1 : a > b; /* order of the configuration */
	return n;
}

static int ports_make(struct survey *s)
{
	size_t n = config_count(s->cfg, &element_sip_interface), room = 0;

	for (size_t i = 0; i < n; i++) {
		const struct sip_interface *iface =
			config_at(s->cfg, &element_sip_interface, i);

		room += iface->sip_ports.n;
	}
	s->ports = array(room, sizeof(*s->ports));
	s->port_addresses = array(room, sizeof(*s->port_addresses));
	if (!s->ports || !s->port_addresses)
		return ENOMEM;

	for (size_t i = 0; i < n; i++) {
		const struct item *item =
			config_item_at(s->cfg, &element_sip_interface, i);
		const struct sip_interface *iface = item->value;

		for (uint32_t j = 0; j < iface->sip_ports.n; j++) {
			struct port_facts *p = &s->ports[s->ports_n];

			p->port = iface->sip_ports.v[j];
			p->interface = iface;
			p->item = item;
			p->local = p->port->address;
			p->wildcard = sa_is_any(&p->local);
			sa_set_port(&p->local, (uint16_t)p->port->port);
			s->port_addresses[s->ports_n++] = p;
		}
	}
	qsort(s->port_addresses, s->ports_n, sizeof(*s->port_addresses),
	      port_order);
	return 0;
}

/* --- Policies ------------------------------------------------------------ */

static int way_order(const void *pa, const void *pb)
{
	const struct way *a = pa, *b = pb;

	if (a->from != b->from)
		return a->from < b->from ? -1 : 1;
	return a->item < b->item ? -1 : a->item > b->item;
}

static int ways_make(struct survey *s)
{
	size_t n = config_count(s->cfg, &element_local_policy), room = 0;

	for (size_t i = 0; i < n; i++) {
		const struct local_policy *policy =
			config_at(s->cfg, &element_local_policy, i);

		room += policy->state ? policy->source_realm.n : 0;
	}
	s->ways = array(room, sizeof(*s->ways));
	if (!s->ways)
		return ENOMEM;

	for (size_t i = 0; i < n; i++) {
		const struct item *item =
			config_item_at(s->cfg, &element_local_policy, i);
		const struct local_policy *policy = item->value;

		for (uint32_t j = 0;
		     policy->state && j < policy->source_realm.n; j++) {
			const char *name = policy->source_realm.v[j];
			struct way way = { survey_realm(s, name), policy,
					   item };

			if (way.from || !strcmp(name, "*"))
				s->ways[s->ways_n++] = way;
		}
	}
	qsort(s->ways, s->ways_n, sizeof(*s->ways), way_order);
	return 0;
}

int survey_init(struct survey *s)
{
	int err;

	s->sip = config_single(s->cfg, &element_sip_config);
	s->media = config_single(s->cfg, &element_media_manager);
	err = realms_make(s);
	if (err)
		return err;
	realms_fill(s);
	err = agents_make(s);
	if (err)
		return err;
	err = ports_make(s);
	if (err)
		return err;
	return ways_make(s);
}

void survey_want(struct survey *s, const struct want *want)
{
	struct wants *w = &s->wants;

	if (w->n == w->room) {
		size_t room = w->room ? w->room * 2 : 256;
		struct want *v = realloc(w->v, room * sizeof(*v));

		if (!v) {
			s->err = ENOMEM;
			return;
		}
		w->v = v;
		w->room = room;
	}
	w->v[w->n++] = *want;
}

void survey_finish(struct survey *s)
{
	free(s->wants.v);
	free(s->realms);
	free(s->realm_names);
	free(s->realm_nocase);
	free(s->agent_names);
	free(s->agent_addresses);
	free(s->ports);
	free(s->port_addresses);
	free(s->ways);
	for (size_t i = 0; i < ARRAY_SIZE(s->texts); i++)
		mem_deref(s->texts[i]);
}

/* --- Findings and texts -------------------------------------------------- */

void survey_found(struct survey *s, const char *id,
		  const struct finding_about *about, const char *fmt, ...)
{
	va_list ap;

	if (s->err)
		return;

	va_start(ap, fmt);
	s->err = finding_vadd(s->findings, id, about, fmt, ap);
	va_end(ap);
}

static const char *text_keep(struct survey *s, char *text, int err)
{
	char **slot = &s->texts[s->text++ % ARRAY_SIZE(s->texts)];

	mem_deref(*slot);
	*slot = text;
	if (err && !s->err)
		s->err = err;
	return text ? text : "";
}

const char *survey_text(struct survey *s, const char *fmt, ...)
{
	char *text = NULL, *buf = NULL;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&text, fmt, ap);
	va_end(ap);
	if (n < 0)
		return text_keep(s, NULL, ENOMEM);

	n = str_dup(&buf, text);
	free(text);
	return text_keep(s, buf, n);
}

const char *survey_key(struct survey *s, const struct element *type,
		       const void *item)
{
	struct item_ref ref = { type, item };
	char *text = NULL;
	int err = re_sdprintf(&text, "%H", item_key_print, &ref);

	return text_keep(s, text, err);
}

struct show {
	const struct field *f;
	const void *item;
};

static int show_print(struct re_printf *pf, const struct show *show)
{
	return field_show(pf, show->f, show->item);
}

const char *survey_value(struct survey *s, const struct field *f,
			 const void *item)
{
	struct show show = { f, item };
	char *text = NULL;
	int err = re_sdprintf(&text, "%H", show_print, &show);

	return text_keep(s, text, err);
}

const char *survey_address(struct survey *s, const struct sa *sa)
{
	char *text = NULL;
	int err = sa_port(sa) ? re_sdprintf(&text, "%J", sa)
			      : re_sdprintf(&text, "%j", sa);

	return text_keep(s, text, err);
}

struct finding_about about_item(const struct item *item)
{
	struct finding_about about = {
		.element = item->type,
		.item = item->value,
		.line = item->line,
		.column = item->column,
	};

	return about;
}

struct finding_about about_child(const struct item *item,
				 const struct element *type, const void *child)
{
	struct finding_about about = {
		.element = type,
		.parent = item->type,
		.item = child,
		.parent_item = item->value,
		.line = item->line,
		.column = item->column,
	};

	return about;
}

/* --- Questions ----------------------------------------------------------- */

const struct realm_facts *survey_realm(const struct survey *s, const char *name)
{
	size_t low = 0, high = s->realms_n;

	while (name && low < high) {
		size_t mid = low + (high - low) / 2;
		int n = strcmp(name, s->realm_names[mid]->config->identifier);

		if (!n)
			return s->realm_names[mid];
		if (n < 0)
			high = mid;
		else
			low = mid + 1;
	}

	return NULL;
}

const struct realm_facts *survey_realm_nocase(const struct survey *s,
					      const char *name)
{
	size_t low = 0, high = s->realms_n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (strcasecmp(s->realm_nocase[mid]->config->identifier, name) <
		    0)
			low = mid + 1;
		else
			high = mid;
	}
	if (low == s->realms_n ||
	    strcasecmp(s->realm_nocase[low]->config->identifier, name))
		return NULL;

	return s->realm_nocase[low];
}

static const struct agent_facts *agent_find(const struct survey *s,
					    const char *hostname)
{
	size_t low = 0, high = s->agents_n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		int n = strcasecmp(hostname,
				   s->agent_names[mid].agent->hostname);

		if (!n)
			return &s->agent_names[mid];
		if (n < 0)
			high = mid;
		else
			low = mid + 1;
	}

	return NULL;
}

const struct session_agent *survey_agent_named(const struct survey *s,
					       const char *hostname)
{
	const struct agent_facts *a = agent_find(s, hostname);

	return a ? a->agent : NULL;
}

size_t survey_agent_place(const struct survey *s,
			  const struct session_agent *agent)
{
	return agent_find(s, agent->hostname)->place;
}

static const struct session_agent *agent_at(const struct survey *s,
					    const struct sa *sa,
					    const char *realm)
{
	size_t low = 0, high = s->agent_addresses_n;
	const struct session_agent *first = NULL;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (address_order(&s->agent_addresses[mid]->ip_address, sa) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	for (; low < s->agent_addresses_n; low++) {
		const struct session_agent *a = s->agent_addresses[low];

		if (address_order(&a->ip_address, sa))
			break;
		if (realm && !strcmp(a->realm_id, realm))
			return a;
		if (!first)
			first = a;
	}

	return first;
}

/* The part before ";transport=", read as an address */
static int target_address(const char *target, struct sa *sa)
{
	struct pl pl = { target, strcspn(target, ";") };

	return address_parse_text(sa, &pl);
}

const struct session_agent *survey_agent(const struct survey *s,
					 const char *target, const char *realm)
{
	const struct session_agent *agent = survey_agent_named(s, target);
	struct sa sa;

	if (agent || target_is_table(target) || target_address(target, &sa))
		return agent;

	return sa_port(&sa) ? NULL : agent_at(s, &sa, realm);
}

bool target_is_table(const char *target)
{
	return !strncasecmp(target, "SAG:", 4) ||
	       !strncasecmp(target, "enum:", 5) ||
	       !strncasecmp(target, "lrt:", 4);
}

bool agent_has_realm(const struct session_agent *agent)
{
	return *agent->realm_id && strcmp(agent->realm_id, "*");
}

static const char *last_resort(const struct survey *s)
{
	return *s->sip->egress_realm_id ? s->sip->egress_realm_id
					: s->sip->home_realm_id;
}

const char *survey_egress(const struct survey *s, const char *realm,
			  const struct session_agent *agent)
{
	if (realm && *realm)
		return realm;
	if (agent && agent_has_realm(agent))
		return agent->realm_id;
	if (agent && *agent->egress_realm_id)
		return agent->egress_realm_id;
	return last_resort(s);
}

bool agent_address(const struct session_agent *agent, struct sa *sa)
{
	struct pl host;

	*sa = agent->ip_address;
	pl_set_str(&host, agent->hostname);
	if (!sa_isset(sa, SA_ADDR) && address_parse_text(sa, &host))
		return false;

	sa_set_port(sa, (uint16_t)(agent->port ? agent->port : 5060));
	return true;
}

bool survey_target_address(const struct survey *s, const char *target,
			   const char *realm, struct sa *sa)
{
	const struct session_agent *agent = survey_agent(s, target, realm);

	if (agent)
		return agent_address(agent, sa);
	if (target_is_table(target) || target_address(target, sa))
		return false;
	if (!sa_port(sa))
		sa_set_port(sa, 5060);
	return true;
}

/* Place of the first way that is not before the realm, or that is behind it */
static size_t way_place(const struct survey *s, const struct realm_facts *realm,
			bool behind)
{
	size_t low = 0, high = s->ways_n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		const struct realm_facts *from = s->ways[mid].from;

		if (from < realm || (behind && from == realm))
			low = mid + 1;
		else
			high = mid;
	}

	return low;
}

struct ways survey_ways(const struct survey *s, const struct realm_facts *realm)
{
	size_t first = way_place(s, realm, false);
	struct ways ways = { s->ways + first,
			     way_place(s, realm, true) - first };

	return ways;
}

size_t survey_port_place(const struct survey *s, const struct sa *sa)
{
	size_t low = 0, high = s->ports_n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		const struct port_facts *p = s->port_addresses[mid];
		int n = address_order(&p->local, sa);

		if (!n)
			n = (int)sa_port(&p->local) - (int)sa_port(sa);
		if (n < 0)
			low = mid + 1;
		else
			high = mid;
	}

	return low;
}

const struct port_facts *survey_port(const struct survey *s,
				     const struct sa *sa, bool with_port,
				     bool any)
{
	struct sa from = *sa, wild;
	size_t i;

	if (!with_port)
		sa_set_port(&from, 0);
	i = survey_port_place(s, &from);
	if (i < s->ports_n) {
		const struct port_facts *p = s->port_addresses[i];

		if (!address_order(&p->local, sa) &&
		    (!with_port || sa_port(&p->local) == sa_port(sa)))
			return p;
	}
	if (!any || sa_is_any(sa))
		return NULL;

	sa_init(&wild, sa_af(sa));
	sa_set_port(&wild, sa_port(sa));
	return survey_port(s, &wild, with_port, false);
}

/* --- Registrars ---------------------------------------------------------- */

enum {
	LOOKED_AT = 256 /* policies; more of one realm and it stays open */
};

/* Does the user part begin so? A caret stands for any digit */
static bool begins(const char *user, const struct pl *head)
{
	for (size_t i = 0; i < head->l; i++) {
		bool digit = head->p[i] >= '0' && head->p[i] <= '9';

		if (user[i] != head->p[i] && !(user[i] == '^' && digit))
			return false;
	}

	return true;
}

static bool pattern_matches(const struct pattern *p,
			    const struct surrogate_agent *agent)
{
	const char *user = agent->register_user, *host = agent->register_host;
	size_t n = strlen(host);
	struct sa sa;
	struct pl pl;

	switch ((enum pattern_kind)p->kind) {
	case PATTERN_ANY:
		return true;
	case PATTERN_DIGITS:
		return begins(user, &p->head);
	case PATTERN_AROUND:
		return begins(user, &p->head) && strlen(user) >= p->tail.l &&
		       begins(user + strlen(user) - p->tail.l, &p->tail);
	case PATTERN_HOST:
		return !pl_strcasecmp(&p->host, host);
	case PATTERN_BELOW:
		return n > p->host.l + 1 && host[n - p->host.l - 1] == '.' &&
		       !strncasecmp(host + n - p->host.l, p->host.p, p->host.l);
	case PATTERN_ADDRESS:
		pl_set_str(&pl, host);
		return !address_parse_text(&sa, &pl) &&
		       sa_cmp(&sa, &p->addr, SA_ADDR);
	case PATTERN_USER_HOST:
		return !pl_strcmp(&p->head, user) &&
		       !pl_strcasecmp(&p->host, host);
	}
	return false;
}

static bool patterns_match(const struct patterns *list, uint16_t *length,
			   const struct surrogate_agent *agent)
{
	bool found = false;

	for (uint32_t i = 0; i < list->n; i++) {
		if (!pattern_matches(&list->v[i], agent))
			continue;
		if (!found || list->v[i].length > *length)
			*length = list->v[i].length;
		found = true;
	}

	return found;
}

/* The best route: longest to-address, then lowest cost */
struct best {
	const char *realm;
	uint16_t length;
	uint32_t cost;
};

static void best_take(const struct survey *s, struct best *best,
		      const struct local_policy *policy, uint16_t length)
{
	for (uint32_t i = 0; i < policy->policy_attributes.n; i++) {
		const struct policy_attribute *a =
			policy->policy_attributes.v[i];
		const char *realm = survey_egress(
			s, a->realm, survey_agent(s, a->next_hop, a->realm));

		if (!a->state || !*realm ||
		    (*best->realm &&
		     (length < best->length ||
		      (length == best->length && a->cost >= best->cost))))
			continue;
		best->realm = realm;
		best->length = length;
		best->cost = a->cost;
	}
}

const char *survey_policy_realm(const struct survey *s,
				const struct surrogate_agent *agent)
{
	const struct realm_facts *from = survey_realm(s, agent->realm_id);
	const struct ways both[] = {
		from ? survey_ways(s, from) : (struct ways){ NULL, 0 },
		survey_ways(s, NULL),
	};
	struct best best = { "", 0, 0 };
	size_t looked = 0;

	for (size_t i = 0; i < ARRAY_SIZE(both); i++) {
		for (size_t j = 0; j < both[i].n; j++) {
			const struct local_policy *policy = both[i].v[j].policy;
			uint16_t to = 0, unused = 0;

			if (looked++ == LOOKED_AT)
				return *best.realm ? best.realm : NULL;
			if (patterns_match(&policy->to_address, &to, agent) &&
			    patterns_match(&policy->from_address, &unused,
					   agent))
				best_take(s, &best, policy, to);
		}
	}

	return best.realm;
}

const char *survey_registrar_realm(const struct survey *s,
				   const struct surrogate_agent *agent)
{
	const struct session_agent *target = NULL;
	const char *realm;

	if (*agent->proxy_name)
		target = survey_agent(s, agent->proxy_name, NULL);
	else
		target = survey_agent_named(s, agent->register_host);
	if (target)
		return survey_egress(s, NULL, target);
	if (*agent->proxy_name)
		return NULL; /* VC-0101 */

	realm = survey_policy_realm(s, agent);
	return realm && !*realm ? last_resort(s) : realm;
}
