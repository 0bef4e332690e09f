/*
 * Rules for steering-pools: ranges, pairs, and ports that somebody else has
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "store/checks/checks.h"
#include "store/number.h"

struct pool {
	const struct steering_pool *config;
	const struct item *item;
};

static int pool_order(const void *pa, const void *pb)
{
	const struct pool *a = pa, *b = pb;
	const struct sa *sa = &a->config->ip_address;
	const struct sa *sb = &b->config->ip_address;
	int n = (int)sa_af(sa) - (int)sa_af(sb);

	if (!n && sa_af(sa) == AF_INET)
		n = memcmp(&sa->u.in.sin_addr, &sb->u.in.sin_addr, 4);
	else if (!n)
		n = memcmp(&sa->u.in6.sin6_addr, &sb->u.in6.sin6_addr, 16);
	if (!n && a->config->start_port != b->config->start_port)
		n = a->config->start_port < b->config->start_port ? -1 : 1;
	if (!n)
		n = a->item < b->item ? -1 : a->item > b->item;
	return n;
}

static void range_check(struct survey *s, const struct pool *p)
{
	struct finding_about about = about_item(p->item);
	uint32_t start = p->config->start_port, end = p->config->end_port;

	about.parameter = "start-port";
	about.value = survey_text(s, "%u", start);
	if (start < 1024)
		survey_found(s, "VC-0601", &about,
			     "has invalid start-port [%u]", start);
	else if (start > end)
		survey_found(s, "VC-0601", &about,
			     "has start-port [%u] greater than end-port [%u]",
			     start, end);
	else if (start % 2 || !(end % 2))
		survey_found(s, "VC-0607", &about, "has an unpaired port");
}

/* Sorted by start: a pool overlaps what reached farthest before it */
static void overlaps(struct survey *s, const struct pool *v, size_t n)
{
	const struct pool *far = NULL;

	for (size_t i = 0; i < n; i++) {
		const struct pool *p = &v[i];
		struct finding_about about = about_item(p->item);

		if (far && !sa_cmp(&far->config->ip_address,
				   &p->config->ip_address, SA_ADDR))
			far = NULL;
		if (far && p->config->start_port <= far->config->end_port)
			survey_found(s, "VC-0603", &about,
				     "overlaps steering-pool [%s]",
				     survey_key(s, &element_steering_pool,
						far->config));
		if (!far || p->config->end_port > far->config->end_port)
			far = p;
	}
}

/* The first UDP port of the address inside the range */
static void port_inside(struct survey *s, const struct pool *pool,
			const struct sa *address)
{
	struct finding_about about = about_item(pool->item);
	struct sa from = *address;

	sa_set_port(&from, (uint16_t)pool->config->start_port);
	for (size_t i = survey_port_place(s, &from); i < s->ports_n; i++) {
		const struct port_facts *p = s->port_addresses[i];

		if (!sa_cmp(&p->local, address, SA_ADDR) ||
		    p->port->port > pool->config->end_port)
			return;
		if (p->port->transport_protocol != TRANSPORT_PROTOCOL_UDP)
			continue;
		about.value = survey_key(s, &element_sip_port, p->port);
		survey_found(s, "VC-0604", &about, "contains sip-port [%s]",
			     about.value);
		return;
	}
}

/* --- Enough ports -------------------------------------------------------- */

/* RTP and RTCP of one session take two ports */
static void capacity(struct survey *s, const struct pool *v, size_t n)
{
	uint64_t *ports = calloc(s->realms_n + 1, sizeof(*ports));

	if (!ports) {
		s->err = ENOMEM;
		return;
	}

	for (size_t i = 0; i < n; i++) {
		const struct steering_pool *p = v[i].config;
		const struct realm_facts *r = survey_realm(s, p->realm_id);

		if (r && p->start_port <= p->end_port)
			ports[r - s->realms] += p->end_port - p->start_port + 1;
	}
	for (size_t i = 0; i < s->realms_n; i++) {
		const struct realm_facts *r = &s->realms[i];
		struct pl name = range_of(r->config->constraint_name);
		const struct session_constraints *c = config_find(
			s->cfg, &element_session_constraints, &name);
		struct finding_about about = about_item(r->item);
		uint64_t have = r->pools ? ports[r->pools - s->realms] : 0;

		if (!c || !c->state || !c->max_sessions || !have ||
		    have >= 2 * (uint64_t)c->max_sessions)
			continue;
		about.parameter = "constraint-name";
		about.value = r->config->constraint_name;
		survey_found(s, "VC-0608", &about,
			     "has [%" PRIu64 "] ports for [%u] sessions", have,
			     c->max_sessions);
	}
	free(ports);
}

void check_media(struct survey *s)
{
	size_t n = config_count(s->cfg, &element_steering_pool);
	struct pool *v = calloc(n + 1, sizeof(*v));

	if (!v) {
		s->err = ENOMEM;
		return;
	}

	for (size_t i = 0; i < n; i++) {
		struct sa any;

		v[i].item = config_item_at(s->cfg, &element_steering_pool, i);
		v[i].config = v[i].item->value;
		range_check(s, &v[i]);
		port_inside(s, &v[i], &v[i].config->ip_address);
		sa_init(&any, sa_af(&v[i].config->ip_address));
		if (!sa_is_any(&v[i].config->ip_address))
			port_inside(s, &v[i], &any);
	}
	qsort(v, n, sizeof(*v), pool_order);
	overlaps(s, v, n);
	if (!s->err)
		capacity(s, v, n);
	free(v);
}
