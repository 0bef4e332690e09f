/*
 * verify of 100,000 policies, 10,000 surrogate-agents, 1,000,000 credentials
 *
 * usage: verify [ROWS [POLICIES [AGENTS]]]
 * Target (acli.md 3.1): 10 s and 256 MiB beyond the configuration itself. The
 * policies name look-ups of which all but one are imported rows, so each has
 * to be found in the table.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "store/credentials.h"
#include "store/elements/elements.h"
#include "store/verify.h"
#include "tests/bench/measure.h"

static long resident(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);

	return usage.ru_maxrss / 1024;
}

static void set(const struct element *type, void *item, const char *name,
		const char *text)
{
	struct value_fault fault = { "" };
	const struct field *f;
	struct pl pl;

	pl_set_str(&pl, name);
	f = field_find(type, &pl);
	must(f ? 0 : ENOENT, name);
	pl_set_str(&pl, text);
	field_clear(f, item);
	must(field_parse(f, item, &pl, &fault), name);
}

static void *add(struct config *cfg, const struct element *type)
{
	void *item = NULL;

	must(item_alloc(&item, type), "item");
	(void)cfg;
	return item;
}

static void done(struct config *cfg, const struct element *type, void *item)
{
	must(config_append(cfg, type, item, 0, 0), "append");
}

static void realm_make(struct config *cfg, const char *name,
		       const char *address)
{
	void *realm = add(cfg, &element_realm_config), *port = NULL;
	struct sip_interface *iface = add(cfg, &element_sip_interface);
	void *pool = add(cfg, &element_steering_pool);

	set(&element_realm_config, realm, "identifier", name);
	done(cfg, &element_realm_config, realm);
	set(&element_sip_interface, iface, "realm-id", name);
	must(item_alloc(&port, &element_sip_port), "port");
	set(&element_sip_port, port, "address", address);
	set(&element_sip_port, port, "allow-anonymous", "agents-only");
	must(items_append(&iface->sip_ports, port), "port");
	done(cfg, &element_sip_interface, iface);
	set(&element_steering_pool, pool, "ip-address", address);
	set(&element_steering_pool, pool, "start-port", "20000");
	set(&element_steering_pool, pool, "end-port", "29999");
	set(&element_steering_pool, pool, "realm-id", name);
	done(cfg, &element_steering_pool, pool);
}

static void policies_make(struct config *cfg, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		struct local_policy *p = add(cfg, &element_local_policy);
		void *a = NULL;
		char text[32];

		sprintf(text, "49%08u", i);
		set(&element_local_policy, p, "from-address", text);
		set(&element_local_policy, p, "source-realm", "pbx");
		must(item_alloc(&a, &element_policy_attribute), "attribute");
		set(&element_policy_attribute, a, "next-hop", "10.0.0.9");
		set(&element_policy_attribute, a, "realm", "trunk");
		sprintf(text, "ten%07u", i ? i : 99999999);
		set(&element_policy_attribute, a, "auth-user-lookup", text);
		must(items_append(&p->policy_attributes, a), "attribute");
		done(cfg, &element_local_policy, p);
	}
}

static void agents_make(struct config *cfg, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		void *a = add(cfg, &element_surrogate_agent);
		char text[32];

		sprintf(text, "u%07u", i);
		set(&element_surrogate_agent, a, "register-host",
		    "example.net");
		set(&element_surrogate_agent, a, "register-user", text);
		set(&element_surrogate_agent, a, "realm-id", "pbx");
		set(&element_surrogate_agent, a, "customer-next-hop",
		    "192.168.1.9");
		set(&element_surrogate_agent, a, "password", "x");
		done(cfg, &element_surrogate_agent, a);
	}
}

static void import(struct database *db, const struct seal *seal, unsigned rows)
{
	char *text = malloc((size_t)rows * 64 + 64), *p = text;
	struct pl csv;
	uint32_t n = 0;

	must(text ? 0 : ENOMEM, "csv");
	p += sprintf(p, "auth-realm,auth-user-lookup,username,password\n");
	for (unsigned i = 0; i < rows; i++)
		p += sprintf(p, "example.net,ten%07u,user%07u,pass%07u\n", i, i,
			     i);
	csv = (struct pl){ text, (size_t)(p - text) };
	must(credentials_import(db, seal, "trunk", &csv, true, &n, NULL),
	     "import");
	free(text);
}

/* In a child, so that the memory of the import is not counted */
static void import_apart(const char *path, const char *key, unsigned rows)
{
	char why[DATABASE_WHY];
	struct database *db = NULL;
	struct seal *seal = NULL;
	int status = 0;
	pid_t child = fork();

	must(child < 0 ? errno : 0, "fork");
	if (child) {
		must(waitpid(child, &status, 0) < 0 ? errno : 0, "wait");
		must(status ? EIO : 0, "import");
		return;
	}
	must(database_open(&db, path, false, why), why);
	must(seal_open(&seal, key, true), "key");
	import(db, seal, rows);
	seal_close(seal);
	database_close(db);
	_exit(0);
}

static int rows_walk(outside_row_h *h, void *to, void *arg)
{
	return credentials_walk(arg, h, to);
}

static int aors_walk(outside_aor_h *h, void *to, void *arg)
{
	return credentials_walk_aors(arg, h, to);
}

static int run(const char *folder, unsigned rows, unsigned policies,
	       unsigned agents)
{
	char path[128], key[128], why[DATABASE_WHY];
	struct outside outside = { .rows = rows_walk, .aors = aors_walk };
	struct verify_setup setup = { .outside = &outside };
	struct verify_totals totals;
	struct list findings = LIST_INIT;
	struct database *db = NULL;
	struct seal *seal = NULL;
	struct config *cfg = NULL;
	double from, used;
	long before;

	snprintf(path, sizeof(path), "%s/sbc.db", folder);
	snprintf(key, sizeof(key), "%s/sbc.key", folder);
	import_apart(path, key, rows);
	must(database_open(&db, path, false, why), why);
	must(seal_open(&seal, key, false), "key");
	must(config_alloc(&cfg), "config");
	realm_make(cfg, "trunk", "10.0.0.1");
	realm_make(cfg, "pbx", "192.168.1.1");
	policies_make(cfg, policies);
	agents_make(cfg, agents);

	outside.arg = db;
	before = resident();
	from = seconds(CLOCK_MONOTONIC);
	used = seconds(CLOCK_PROCESS_CPUTIME_ID);
	must(verify_run(cfg, &setup, &findings, &totals), "verify");
	printf("%u rows, %u policies, %u agents: %.2f s, CPU %.2f s, %ld MiB "
	       "more, %u findings\n",
	       rows, policies, agents, seconds(CLOCK_MONOTONIC) - from,
	       seconds(CLOCK_PROCESS_CPUTIME_ID) - used, resident() - before,
	       list_count(&findings));
	list_flush(&findings);
	config_give(cfg);
	seal_close(seal);
	database_close(db);
	return 0;
}

int main(int argc, char *argv[])
{
	unsigned rows = argc > 1 ? (unsigned)atoi(argv[1]) : 1000000;
	unsigned policies = argc > 2 ? (unsigned)atoi(argv[2]) : 100000;
	unsigned agents = argc > 3 ? (unsigned)atoi(argv[3]) : 10000;
	char folder[] = "/tmp/sbc_verify_XXXXXX", command[64];
	int status;

	must(mkdtemp(folder) ? 0 : errno, "folder");
	status = run(folder, rows, policies, agents);
	snprintf(command, sizeof(command), "rm -r %s", folder);
	return system(command) || status;
}
