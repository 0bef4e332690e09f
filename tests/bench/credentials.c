/*
 * Look-up of credentials with a million rows, cold and cached; import, start
 *
 * usage: credentials [ROWS [AGENTS]]
 * Targets (quality.md): 10 us cold, 1 us cached; a start with 1,000,000
 * credentials and 100,000 surrogate-agents within 5 s, of which this measures
 * the part of the store. CPU seconds of the process, and wall time of loads.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>
#include "store/credentials.h"
#include "store/elements/elements.h"
#include "store/registrations.h"
#include "store/versions.h"
#include "tests/bench/measure.h"

static double cpu(void)
{
	return seconds(CLOCK_PROCESS_CPUTIME_ID);
}

static double wall(void)
{
	return seconds(CLOCK_MONOTONIC);
}

static void report(const char *what, double value, const char *unit,
		   const char *target)
{
	printf("%-44s %10.2f %-6s %s\n", what, value, unit, target);
}

static long resident(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);

	return usage.ru_maxrss / 1024;
}

/* In no order, as PBXs are numbered by nobody */
static unsigned scattered(unsigned i, unsigned rows)
{
	return (unsigned)((uint64_t)i * 2654435761u % rows);
}

static void import(struct database *db, const struct seal *seal, unsigned rows)
{
	size_t size = (size_t)rows * 64 + 64;
	char *text = malloc(size), *p = text;
	struct pl csv;
	uint32_t n = 0;
	double from, used;

	if (!text)
		must(ENOMEM, "csv");
	p += sprintf(p, "auth-realm,auth-user-lookup,username,password\n");
	for (unsigned i = 0; i < rows; i++) {
		unsigned k = scattered(i, rows);

		p += sprintf(p, "example.net,ten%07u,user%07u,pass%07u\n", k, k,
			     k);
	}
	csv = (struct pl){ text, (size_t)(p - text) };
	printf("csv of %zu bytes, resident before %ld MiB\n", csv.l,
	       resident());
	used = cpu();
	from = wall();
	must(credentials_import(db, seal, "trunk", &csv, true, &n, NULL),
	     "import");
	report("import, CPU", cpu() - used, "s", "seconds");
	report("import, wall", wall() - from, "s", "");
	printf("rows %u, resident at most %ld MiB\n", n, resident());
	free(text);
}

/* Keys are printed before, so that only the look-up is measured */
static double look_up(struct credentials *table, const char (*keys)[12],
		      unsigned n)
{
	struct credential_key key = { { "trunk", 5 }, { "example.net", 11 } };
	struct credential c;
	double begin = cpu();

	for (unsigned i = 0; i < n; i++) {
		key.lookup = (struct pl){ keys[i], 10 };
		must(credential_get(table, &key, &c), "get");
		if (strcmp(c.password + 4, keys[i] + 3))
			must(EBADMSG, "password");
	}

	return (cpu() - begin) / n * 1e6;
}

static double look_up_one(struct credentials *table, unsigned n)
{
	struct credential_key key = { { "trunk", 5 },
				      { "example.net", 11 },
				      { "ten0000007", 10 } };
	struct credential c;
	double begin = cpu();

	for (unsigned i = 0; i < n; i++)
		must(credential_get(table, &key, &c), "get");

	return (cpu() - begin) / n * 1e6;
}

static void look_ups(struct database *db, const struct seal *seal,
		     unsigned rows)
{
	struct credentials *table = NULL;
	double from = wall();
	unsigned n = rows < 100000 ? rows : 100000;
	char(*keys)[12] = malloc(n * sizeof(*keys));

	if (!keys)
		must(ENOMEM, "keys");
	for (unsigned i = 0; i < n; i++)
		sprintf(keys[i], "ten%07u", scattered(i * 7 + 1, rows));

	must(credentials_open(&table, db, seal, 1000000), "open");
	report("open a reader, wall", (wall() - from) * 1e3, "ms", "");
	report("look-up, cold", look_up(table, keys, n), "us", "10");
	report("look-up, cached, 100,000 keys", look_up(table, keys, n), "us",
	       "1");
	report("look-up, cached, one key", look_up_one(table, 1000000), "us",
	       "1");
	report("look-up, cold again after a change",
	       (credentials_changed(table), look_up(table, keys, n)), "us",
	       "10");
	credentials_close(table);
	free(keys);
}

static void set(void *item, const char *name, const char *text)
{
	struct pl pl = { name, strlen(name) }, value = { text, strlen(text) };
	struct value_fault fault = { "" };

	if (field_parse(field_find(&element_surrogate_agent, &pl), item, &value,
			&fault)) {
		fprintf(stderr, "%s %s\n", name, fault.why);
		exit(1);
	}
}

static void agents(struct database *db, const struct seal *seal, unsigned n)
{
	struct config *cfg = NULL;
	uint32_t number = 0;
	double from;
	void *item;

	must(config_alloc(&cfg), "config");
	for (unsigned i = 0; i < n; i++) {
		char user[32];

		sprintf(user, "user%07u", i);
		must(item_alloc(&item, &element_surrogate_agent), "item");
		set(item, "register-host", "example.net");
		set(item, "register-user", user);
		set(item, "realm-id", "pbx-a");
		set(item, "customer-next-hop", "127.0.10.10");
		set(item, "password", user);
		must(config_append(cfg, &element_surrogate_agent, item, 0, 0),
		     "append");
	}
	from = wall();
	must(versions_save(&number, db, cfg, seal, "bench"), "save");
	report("save surrogate-agents, wall", wall() - from, "s", "");
	from = wall();
	must(versions_save(&number, db, cfg, seal, "bench"), "save");
	report("save them unchanged, wall", wall() - from, "s", "");
	must(versions_activate(db, number), "activate");
	config_give(cfg);
}

static void counted_h(const struct registration_row *row, void *arg)
{
	(void)row;
	++*(unsigned *)arg;
}

static void registrations(struct database *db, unsigned n)
{
	struct registration_row row = {
		.agent = "example.net user pbx-a",
		.callid = "0a1b2c3d4e5f60718293a4b5",
		.from_tag = "1a2b3c4d",
		.contact = "<sip:user@127.0.0.1:5060>",
		.registrar = "example.net|trunk",
		.target = "127.0.0.11:5060;transport=UDP",
		.expires = 1800000000,
		.refresh = 1799990000,
		.granted = 3600,
		.cseq_reserved = 64,
	};
	double from = cpu();

	for (unsigned i = 0; i < n; i++) {
		char aor[40];

		sprintf(aor, "user%07u@example.net", i);
		row.aor = aor;
		while (registrations_put(db, &row) == ENOBUFS)
			must(database_flush(db, 60000), "flush");
	}
	must(database_flush(db, 60000), "flush");
	report("state row written, CPU", (cpu() - from) / n * 1e6, "us", "");
}

int main(int argc, char **argv)
{
	unsigned rows = argc > 1 ? (unsigned)atoi(argv[1]) : 1000000;
	unsigned n = argc > 2 ? (unsigned)atoi(argv[2]) : 100000;
	char folder[] = "/tmp/sbc_bench_XXXXXX", path[64], key[64];
	char why[DATABASE_WHY], command[96];
	struct database *db = NULL;
	struct config *cfg = NULL;
	struct seal *seal = NULL;
	unsigned loaded = 0;
	double from;

	if (!rows || !mkdtemp(folder))
		return 1;
	sprintf(path, "%s/sbc.db", folder);
	sprintf(key, "%s/sbc.key", folder);
	must(seal_open(&seal, key, true), "key");
	must(database_open(&db, path, false, why), why);
	must(database_start(db, NULL, NULL), "start");

	import(db, seal, rows);
	look_ups(db, seal, rows);
	agents(db, seal, n);
	registrations(db, rows);
	database_close(db);

	from = wall();
	must(database_open(&db, path, false, why), why);
	report("start: open, wall", wall() - from, "s", "");
	from = wall();
	must(versions_load(&cfg, db, 0), "load");
	report("start: load the configuration, wall", wall() - from, "s", "");
	from = wall();
	must(registrations_load(db, counted_h, &loaded), "registrations");
	report("start: load the state of all, wall", wall() - from, "s",
	       "5 in all");
	printf("agents %u, state rows %u\n", n, loaded);
	config_give(cfg);
	database_close(db);
	seal_close(seal);

	sprintf(command, "rm -rf %s", folder);

	return system(command);
}
