/*
 * Rules for surrogate-agents: templates of users, contacts, way to the registrar
 *
 * A template with aor-count 1,000,000 is never expanded. Each user is read as
 * text around one run of digits; a template whose numbers vary in that run is
 * an interval under the key (text before, length of the run, text after). Two
 * agents yield the same user where intervals of one key overlap. A user has
 * such a key for each of its runs, so one that is fixed is put under all of
 * them; templates of few numbers, too, where they have other runs.
 */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "store/checks/checks.h"
#include "store/hash.h"

enum {
	RUN_DIGITS = 18, /* of a run that count as its number */
	SINGLY = 256,    /* numbers of a template expanded one by one */
	USER_MAX = 1024 + 16,
	INTERVALS_MAX = 8000000, /* kept in all: 256 MiB would be exceeded */
};

/* --- Templates ----------------------------------------------------------- */

static size_t carets(const char *template)
{
	return strspn(template + strcspn(template, "^"), "^");
}

static bool has_two_groups(const char *template)
{
	size_t first = strcspn(template, "^");

	return strchr(template + first + strspn(template + first, "^"), '^');
}

static unsigned digits_of(uint64_t n)
{
	unsigned digits = 1;

	while (n >= 10) {
		n /= 10;
		digits++;
	}

	return digits;
}

/* The user of a step, as configuration.md 2.12 says; its length */
static size_t user_of(char buf[USER_MAX], const char *template,
		      const struct surrogate_agent *agent, uint32_t step)
{
	size_t head = strcspn(template, "^"), width = carets(template);
	int n;

	if (width)
		n = snprintf(buf, USER_MAX, "%.*s%0*" PRIu64 "%s", (int)head,
			     template, (int)width,
			     (uint64_t)agent->count_start + step,
			     template + head + width);
	else if (step)
		n = snprintf(buf, USER_MAX, "%s%u", template, step);
	else
		n = snprintf(buf, USER_MAX, "%s", template);

	return n > 0 && n < USER_MAX ? (size_t)n : 0;
}

/* --- Intervals ----------------------------------------------------------- */

struct interval {
	uint64_t key, first, last;
	uint32_t agent; /* place in the section */
	uint32_t step;  /* of the first */
};

struct intervals {
	struct interval *v;
	size_t n, room;
};

static void interval_add(struct survey *s, struct intervals *list,
			 const struct interval *one)
{
	if (list->n == list->room) {
		size_t room = list->room ? list->room * 2 : 1024;
		struct interval *v;

		if (list->n >= INTERVALS_MAX)
			return;
		v = realloc(list->v, room * sizeof(*v));
		if (!v) {
			s->err = ENOMEM;
			return;
		}
		list->v = v;
		list->room = room;
	}
	list->v[list->n++] = *one;
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Put the interval of users that differ in the run at `at` only: the first of
 * them is given, `more` follow. The run is looked at by its last digits. */
static void run_add(struct survey *s, struct intervals *list, uint64_t scope,
		    const char *user, size_t n, size_t at, size_t length,
		    struct interval one, uint64_t more)
{
	size_t skip = length > RUN_DIGITS ? length - RUN_DIGITS : 0;

	one.key = hash_mix(scope, hash_bytes(user, at + skip));
	one.key = hash_mix(one.key, length);
	one.key = hash_mix(one.key,
			   hash_bytes(user + at + length, n - at - length));
	one.first = 0;
	for (size_t i = at + skip; i < at + length; i++)
		one.first = one.first * 10 + (uint64_t)(user[i] - '0');
	one.last = one.first + more;
	interval_add(s, list, &one);
}

/* A fixed user, under each of its runs but the one that is left out */
static void user_add(struct survey *s, struct intervals *list, uint64_t scope,
		     const char *user, size_t n, struct interval one,
		     size_t but)
{
	bool any = false;

	for (size_t i = 0; i < n; i++) {
		size_t length = 0;

		while (i + length < n && is_digit(user[i + length]))
			length++;
		if (!length)
			continue;
		any = true;
		if (i + length != but)
			run_add(s, list, scope, user, n, i, length, one, 0);
		i += length;
	}
	if (!any)
		run_add(s, list, scope, user, n, n, 0, one, 0);
}

static bool has_other_runs(const char *user, size_t n, size_t at, size_t length)
{
	for (size_t i = 0; i < n; i++) {
		if ((i < at || i >= at + length) && is_digit(user[i]))
			return true;
	}

	return false;
}

/* `count` users from a step on, whose numbers have as many digits */
static void steps_add(struct survey *s, struct intervals *list, uint64_t scope,
		      const char *template, const struct surrogate_agent *agent,
		      struct interval one, uint32_t count)
{
	size_t tail =
		strlen(template) - strcspn(template, "^") - carets(template);
	char user[USER_MAX];
	size_t n = user_of(user, template, agent, one.step);
	size_t end = n - (carets(template) ? tail : 0), at = end;
	uint32_t from = one.step;
	bool split;

	while (at && is_digit(user[at - 1]))
		at--;
	/* Digits after the carets are part of the run: it goes in strides */
	split = end < n && is_digit(user[end]);
	if (!split)
		run_add(s, list, scope, user, n, at, end - at, one, count - 1);
	if (!split &&
	    (count > SINGLY || !has_other_runs(user, n, at, end - at)))
		return;

	for (uint32_t i = 0; i < count && !s->err; i++) {
		one.step = from + i;
		n = user_of(user, template, agent, one.step);
		user_add(s, list, scope, user, n, one, split ? SIZE_MAX : end);
	}
}

static void template_add(struct survey *s, struct intervals *list,
			 uint64_t scope, const char *template,
			 const struct surrogate_agent *agent, uint32_t number)
{
	struct interval one = { .agent = number };
	uint64_t end = agent->aor_count, next;
	bool fixed = carets(template) > 0;

	if (agent->aor_count <= 1) {
		char user[USER_MAX];
		size_t n = user_of(user, template, agent, 0);

		user_add(s, list, scope, user, n, one, SIZE_MAX);
		return;
	}
	if (fixed) {
		steps_add(s, list, scope, template, agent, one,
			  agent->aor_count);
		return;
	}

	/* user; user1 to user9; user10 to user99; ... */
	steps_add(s, list, scope, template, agent, one, 1);
	for (uint64_t from = 1; from < end; from = next) {
		next = from * 10 < end ? from * 10 : end;
		one.step = (uint32_t)from;
		steps_add(s, list, scope, template, agent, one,
			  (uint32_t)(next - from));
	}
}

static int interval_order(const void *pa, const void *pb)
{
	const struct interval *a = pa, *b = pb;

	if (a->key != b->key)
		return a->key < b->key ? -1 : 1;
	if (a->first != b->first)
		return a->first < b->first ? -1 : 1;
	return a->agent < b->agent ? -1 : a->agent > b->agent;
}

/* --- Two agents, one user ------------------------------------------------ */

struct clash {
	const char *id, *p, *sentence;
	bool contact;
};

static const char *template_of(const struct surrogate_agent *a, bool contact)
{
	return contact && *a->register_contact_user ? a->register_contact_user
						    : a->register_user;
}

static bool is_expandable(const struct surrogate_agent *a, bool contact)
{
	const char *template = template_of(a, contact);
	size_t width = carets(template);
	uint64_t last = (uint64_t)a->count_start + a->aor_count - 1;

	return !has_two_groups(template) &&
	       (!width || digits_of(last) <= width);
}

static void clash_found(struct survey *s, const struct clash *kind,
			const struct interval *a, const struct interval *b)
{
	const struct item *ia =
		config_item_at(s->cfg, &element_surrogate_agent, a->agent);
	const struct item *ib =
		config_item_at(s->cfg, &element_surrogate_agent, b->agent);
	const struct item *later = a->agent < b->agent ? ib : ia;
	const struct item *earlier = a->agent < b->agent ? ia : ib;
	const struct surrogate_agent *agent = ia->value, *other = ib->value;
	char user[USER_MAX], same[USER_MAX];
	struct finding_about about = about_item(later);

	/* b begins inside a; two keys with one hash end here */
	(void)user_of(user, template_of(agent, kind->contact), agent,
		      a->step + (uint32_t)(b->first - a->first));
	(void)user_of(same, template_of(other, kind->contact), other, b->step);
	if (strcmp(user, same))
		return;

	about.parameter = kind->p;
	about.value = kind->contact ? survey_text(s, "%s", user)
				    : survey_text(s, "%s@%s", user,
						  agent->register_host);
	survey_found(s, kind->id, &about,
		     "and surrogate-agent [%s] both produce %s [%s]",
		     survey_key(s, &element_surrogate_agent, earlier->value),
		     kind->sentence, about.value);
}

/* Sorted by key and first: what reached farthest, and what did so of another
 * agent. One finding for each agent is enough. */
static void sweep(struct survey *s, const struct clash *kind,
		  struct intervals *list, bool *told)
{
	const struct interval *far = NULL, *next = NULL;

	if (!list->n)
		return;
	qsort(list->v, list->n, sizeof(*list->v), interval_order);
	for (size_t i = 0; i < list->n; i++) {
		const struct interval *one = &list->v[i], *by;

		if (far && far->key != one->key)
			far = next = NULL;
		by = far && far->agent == one->agent ? next : far;
		if (by && by->last >= one->first &&
		    !told[by->agent > one->agent ? by->agent : one->agent]) {
			told[by->agent > one->agent ? by->agent : one->agent] =
				true;
			clash_found(s, kind, by, one);
		}
		if (!far || one->last > far->last) {
			if (far && far->agent != one->agent)
				next = far;
			far = one;
		} else if (one->agent != far->agent &&
			   (!next || one->last > next->last)) {
			next = one;
		}
	}
}

/* Length of a host without its port: calls are told apart by the host alone */
static size_t bare_length(const char *host)
{
	const char *colon = strrchr(host, ':');
	struct pl pl;

	pl_set_str(&pl, host);
	if (!colon || host_is_valid(&pl))
		return pl.l;

	return (size_t)(colon - host);
}

/* Where contacts have no host they are told apart by the registrar's realm */
static uint64_t scope_of(const struct survey *s,
			 const struct surrogate_agent *a, bool contact)
{
	const char *realm;

	if (!contact)
		return hash_nocase(a->register_host, strlen(a->register_host));
	if (*a->register_contact_host)
		return hash_nocase(a->register_contact_host,
				   bare_length(a->register_contact_host));
	realm = survey_registrar_realm(s, a);
	return hash_mix(1, realm ? hash_bytes(realm, strlen(realm)) : 0);
}

static void clashes(struct survey *s, size_t n, const struct clash *kind)
{
	struct intervals list = { NULL, 0, 0 };
	bool *told = calloc(n + 1, sizeof(*told));

	if (!told) {
		s->err = ENOMEM;
		return;
	}

	for (size_t i = 0; i < n && !s->err; i++) {
		const struct surrogate_agent *a =
			config_at(s->cfg, &element_surrogate_agent, i);

		if (is_expandable(a, kind->contact))
			template_add(s, &list, scope_of(s, a, kind->contact),
				     template_of(a, kind->contact), a,
				     (uint32_t)i);
	}
	if (!s->err)
		sweep(s, kind, &list, told);
	free(list.v);
	free(told);
}

/* --- Form of the templates ----------------------------------------------- */

static void template_check(struct survey *s, const struct item *item,
			   const char *p, const char *template)
{
	const struct surrogate_agent *a = item->value;
	uint64_t last = (uint64_t)a->count_start + a->aor_count - 1;
	struct finding_about about = about_item(item);
	size_t width = carets(template);

	about.parameter = p;
	about.value = template;
	if (has_two_groups(template))
		survey_found(s, "VC-0405", &about,
			     "has carets in two places in %s", p);
	else if (width && digits_of(last) > width)
		survey_found(s, "VC-0404", &about,
			     "needs [%u] digits but %s has [%zu] carets",
			     digits_of(last), p, width);
}

static void templates(struct survey *s, const struct item *item)
{
	const struct surrogate_agent *a = item->value;
	const char *user = a->register_user,
		   *contact = a->register_contact_user;
	struct finding_about about = about_item(item);
	size_t n = strlen(user);

	template_check(s, item, "register-user", user);
	template_check(s, item, "register-contact-user", contact);
	template_check(s, item, "auth-user", a->auth_user);

	about.parameter = "register-contact-user";
	about.value = contact;
	if (*contact && carets(contact) != carets(user))
		survey_found(s, "VC-0406", &about,
			     "has different carets in register-user and "
			     "register-contact-user");
	about.parameter = "register-user";
	about.value = user;
	if (a->aor_count > 1 && !carets(user) && n && is_digit(user[n - 1]))
		survey_found(s, "VC-0408", &about,
			     "appends numbers to [%s], which ends in a digit",
			     user);
}

/* --- Contact, PBX, registrar --------------------------------------------- */

/* Several realms may share the address: one of the registrar's is enough */
static void contact_host(struct survey *s, const struct item *item,
			 const char *registrar)
{
	const struct surrogate_agent *a = item->value;
	const struct realm_facts *realm = survey_realm(s, registrar);
	struct finding_about about = about_item(item);
	const struct port_facts *port;
	struct pl host;
	struct sa sa;

	pl_set_str(&host, a->register_contact_host);
	if (!host.l || address_parse_text(&sa, &host))
		return;

	about.parameter = "register-contact-host";
	about.value = a->register_contact_host;
	port = survey_port(s, &sa, false, true);
	if (!port) {
		survey_found(s, "VC-0409", &about,
			     "has register-contact-host [%s] which is not ours",
			     about.value);
		return;
	}
	if (!realm || !realm->interface)
		return;
	for (uint32_t i = 0; i < realm->interface->own->sip_ports.n; i++) {
		const struct sip_port *own =
			realm->interface->own->sip_ports.v[i];

		if (sa_is_any(&own->address) ||
		    sa_cmp(&own->address, &sa, SA_ADDR))
			return;
	}
	about.hint = survey_text(s, "Use a sip-port of realm [%s]", registrar);
	survey_found(s, "VC-0411", &about,
		     "has register-contact-host [%s] of realm [%s], the "
		     "registrar is in realm [%s]",
		     about.value, port->interface->realm_id, registrar);
}

static void pbx(struct survey *s, const struct item *item)
{
	const struct surrogate_agent *a = item->value;
	const struct session_agent *agent =
		survey_agent(s, a->customer_next_hop, a->realm_id);
	struct finding_about about = about_item(item);
	struct pl name = PL("source-ip-prefix");
	struct sa sa;

	about.parameter = "customer-next-hop";
	about.value = a->customer_next_hop;
	if (agent && agent_has_realm(agent) &&
	    strcmp(agent->realm_id, a->realm_id))
		survey_found(s, "VC-0414", &about,
			     "has customer-next-hop [%s] in realm [%s], not in "
			     "realm-id [%s]",
			     a->customer_next_hop, agent->realm_id,
			     a->realm_id);
	if (agent && !agent->state && a->state) {
		about.hint = survey_text(s,
					 "Enable session-agent [%s] or change "
					 "customer-next-hop",
					 agent->hostname);
		survey_found(s, "VC-0110", &about,
			     "uses session-agent [%s] which is disabled",
			     agent->hostname);
	}
	if (!a->source_ip_prefix.n ||
	    !survey_target_address(s, a->customer_next_hop, a->realm_id, &sa) ||
	    prefixes_hold(&a->source_ip_prefix, &sa))
		return;
	about.hint = NULL;
	about.field = field_find(item->type, &name);
	about.value = survey_value(s, about.field, a);
	survey_found(s, "VC-0421", &about,
		     "has source-ip-prefix [%s] without its customer-next-hop",
		     about.value);
}

static void registrar(struct survey *s, const struct item *item,
		      const char *realm)
{
	const struct surrogate_agent *a = item->value;
	const struct session_agent *proxy =
		*a->proxy_name ? survey_agent(s, a->proxy_name, NULL) : NULL;
	struct finding_about about = about_item(item);

	about.parameter = "register-host";
	about.value = a->register_host;
	if (a->state && realm && !*realm)
		survey_found(s, "VC-0416", &about,
			     "has no route to registrar [%s]",
			     a->register_host);
	about.parameter = "proxy-name";
	about.value = a->proxy_name;
	about.hint = survey_text(s,
				 "Enable session-agent [%s] or change "
				 "proxy-name",
				 a->proxy_name);
	if (a->state && proxy && !proxy->state)
		survey_found(s, "VC-0110", &about,
			     "uses session-agent [%s] which is disabled",
			     proxy->hostname);
}

static void methods(struct survey *s, const struct item *item)
{
	const struct surrogate_agent *a = item->value;
	struct finding_about about = about_item(item);
	struct pl invite = PL("INVITE");

	about.parameter = "auth-methods";
	if (a->auth_methods.n && !names_have(&a->auth_methods, &invite))
		survey_found(s, "VC-0422", &about,
			     "has auth-methods without INVITE");
}

/* --- Load of the registrars ---------------------------------------------- */

struct load {
	const struct item *item;
	size_t number;
};

static const char *host_of(const struct load *l)
{
	return ((const struct surrogate_agent *)l->item->value)->register_host;
}

static int load_order(const void *pa, const void *pb)
{
	const struct load *a = pa, *b = pb;
	int n = strcasecmp(host_of(a), host_of(b));

	return n ? n : a->number < b->number ? -1 : a->number > b->number;
}

static void load_found(struct survey *s, const struct load *first, double sum)
{
	struct finding_about about = about_item(first->item);
	uint64_t rate = (uint64_t)sum + (sum > (double)(uint64_t)sum);

	about.parameter = "register-expires";
	if (rate > s->sip->registration_rate)
		survey_found(s, "VC-0419", &about,
			     "needs [%" PRIu64 "] registrations a second, "
			     "registration-rate is [%u]",
			     rate, s->sip->registration_rate);
}

static void loads(struct survey *s, size_t n)
{
	struct load *v = calloc(n + 1, sizeof(*v));
	const struct load *first = NULL;
	double sum = 0;
	size_t m = 0;

	if (!v) {
		s->err = ENOMEM;
		return;
	}

	for (size_t i = 0; i < n; i++) {
		const struct item *item =
			config_item_at(s->cfg, &element_surrogate_agent, i);
		const struct surrogate_agent *a = item->value;

		if (a->state && a->register_expires) {
			v[m].item = item;
			v[m++].number = i;
		}
	}
	qsort(v, m, sizeof(*v), load_order);
	for (size_t i = 0; i < m; i++) {
		const struct surrogate_agent *a = v[i].item->value;

		if (first && strcasecmp(host_of(first), host_of(&v[i]))) {
			load_found(s, first, sum);
			first = NULL;
		}
		if (!first) {
			first = &v[i];
			sum = 0;
		}
		sum += 2.0 * a->aor_count / a->register_expires;
	}
	if (first)
		load_found(s, first, sum);
	free(v);
}

void check_surrogates(struct survey *s)
{
	static const struct clash users = { "VC-0401", "register-user", "AoR",
					    false };
	static const struct clash contacts = { "VC-0402",
					       "register-contact-user",
					       "contact user", true };
	size_t n = config_count(s->cfg, &element_surrogate_agent);

	for (size_t i = 0; i < n && !s->err; i++) {
		const struct item *item =
			config_item_at(s->cfg, &element_surrogate_agent, i);
		const char *realm = survey_registrar_realm(s, item->value);

		templates(s, item);
		contact_host(s, item, realm);
		pbx(s, item);
		registrar(s, item, realm);
		methods(s, item);
	}
	clashes(s, n, &users);
	clashes(s, n, &contacts);
	if (s->sip->registration_rate)
		loads(s, n);
}
