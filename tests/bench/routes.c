/*
 * How long a choice of route takes with 100,000 policies (target: 2 us)
 *
 * 200 realms with 500 policies each on random numbers, and for each realm a
 * default route. Questions come in random order, so that caches are of no help
 * that a running SBC would not have.
 *
 *	build/tests/bench_routes [policies]
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "store/base.h"
#include "store/config.h"
#include "policy/plan.h"

enum {
	REALMS = 200,
	QUESTIONS = 1000000,
	POOL = 65536
};

/* CPU time: others share the machine */
static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);

	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void check(int err)
{
	if (err) {
		fprintf(stderr, "routes: %s\n", strerror(err));
		exit(1);
	}
}

static void set(const struct element *type, void *item, const char *name,
		const char *text)
{
	struct value_fault fault;
	const struct field *f;
	struct pl pl;

	pl_set_str(&pl, name);
	f = field_find(type, &pl);
	field_clear(f, item);
	pl_set_str(&pl, text);
	check(field_parse(f, item, &pl, &fault));
}

static void *make(const struct element *type, const char *name,
		  const char *text)
{
	void *item = NULL;

	check(item_alloc(&item, type));
	set(type, item, name, text);

	return item;
}

static void add_realm(struct config *cfg, int n)
{
	struct sip_interface *iface;
	char name[32], address[32];

	snprintf(name, sizeof(name), "r%d", n);
	snprintf(address, sizeof(address), "127.0.1.%d", n + 1);
	check(config_append(cfg, &element_realm_config,
			    make(&element_realm_config, "identifier", name), 0,
			    0));
	iface = make(&element_sip_interface, "realm-id", name);
	check(items_append(&iface->sip_ports,
			   make(&element_sip_port, "address", address)));
	check(config_append(cfg, &element_sip_interface, iface, 0, 0));
}

static void add_policy(struct config *cfg, const char *to, int realm)
{
	struct local_policy *p = make(&element_local_policy, "to-address", to);
	char text[32];
	void *a;

	snprintf(text, sizeof(text), "r%d", realm);
	set(&element_local_policy, p, "source-realm", text);
	snprintf(text, sizeof(text), "h%ld.example", random() % 1000);
	a = make(&element_policy_attribute, "next-hop", text);
	set(&element_policy_attribute, a, "realm", "r0");
	check(items_append(&p->policy_attributes, a));
	check(config_append(cfg, &element_local_policy, p, 0, 0));
}

static const struct config *configure(int policies)
{
	struct config *cfg = NULL;
	char to[32];

	check(config_alloc(&cfg));
	for (int i = 0; i < REALMS; ++i) {
		add_realm(cfg, i);
		add_policy(cfg, "*", i);
	}
	for (int i = REALMS; i < policies; ++i) {
		/* Each number is one of its realm's; half are a digit longer */
		snprintf(to, sizeof(to), i % 2 ? "49%03d" : "49%03d5",
			 i / REALMS);
		add_policy(cfg, to, i % REALMS);
	}

	return cfg;
}

struct question {
	char text[32];
	struct uri to;
	const struct realm *realm;
};

static struct question *ask(const struct plan *plan)
{
	struct question *q = calloc(POOL, sizeof(*q));
	char realm[16];

	assert(q);
	for (int i = 0; i < POOL; ++i) {
		struct pl pl = { q[i].text, 0 };

		pl.l = (size_t)snprintf(q[i].text, sizeof(q[i].text),
					"sip:49%03ld%ld@sbc.example",
					random() % 500, random() % 1000000);
		check(uri_read(&q[i].to, &pl));
		snprintf(realm, sizeof(realm), "r%ld", random() % REALMS);
		q[i].realm = realm_named(plan->realms, realm);
	}

	return q;
}

int main(int argc, char **argv)
{
	int policies = argc > 1 ? atoi(argv[1]) : 100000;
	const struct config *cfg = configure(policies);
	const struct plan *plan = NULL;
	struct route route = { .n = 0 };
	struct route_query q = { .method = PL("INVITE") };
	struct pl text = PL("sip:4930100@pbx.example");
	struct question *pool;
	struct uri from;
	uint64_t hops = 0;
	double t = now();

	check(plan_alloc(&plan, cfg));
	printf("%d policies compiled in %.0f ms\n", policies,
	       (now() - t) * 1e3);

	check(uri_read(&from, &text));
	pool = ask(plan);
	q.from = &from;
	q.now.now = 20270106120000;
	q.now.of_day = 1200;
	q.now.weekday = 3;
	t = now();
	for (int i = 0; i < QUESTIONS; ++i) {
		const struct question *one = &pool[random() % POOL];

		q.to = &one->to;
		q.realm = one->realm;
		check(route_find(plan->routes, &q, &route));
		hops += route.n;
	}
	t = now() - t;
	printf("%.2f us a choice, %.2f hops each (target 2.00 us)\n",
	       t * 1e6 / QUESTIONS, (double)hops / QUESTIONS);

	free(pool);
	plan_give(plan);
	config_give(cfg);

	return 0;
}
