/*
 * verify-config finds what is wrong, says it in one line, and is fast
 */
#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include "config_fixture.h"
#include "store/verify.h"
#include "store/yaml.h"

#define GOLDEN "tests/golden/verify/"

static char *slurp(const char *path)
{
	FILE *f = fopen(path, "r");
	char *text = calloc(1, 1 << 20);
	size_t n;

	if (!f)
		fail_msg("%s: %s", path, strerror(errno));
	n = fread(text, 1, (1 << 20) - 1, f);
	text[n] = '\0';
	(void)fclose(f);
	return text;
}

struct run {
	struct list findings;
	struct verify_totals totals;
	char *text, *json;
};

static void run_config(struct run *r, const struct config *cfg,
		       const struct verify_setup *setup, const char *source)
{
	struct verify_report report = { &r->findings, &r->totals, source, false,
					0 };

	assert_int_equal(verify_run(cfg, setup, &r->findings, &r->totals), 0);
	assert_int_equal(re_sdprintf(&r->text, "%H", verify_print, &report), 0);
	assert_int_equal(re_sdprintf(&r->json, "%H", verify_json, &report), 0);
}

/* --- The world around a golden file ---------------------------------------- */

/* A golden file with a line "# outside" is asked about on a machine with two
 * addresses, with a DNS whose names say what they are. Its lines "# row REALM
 * AUTH-REALM LOOKUP", "# aor AGENT / USER" and "# seen REALM AUTH-REALM" are
 * what the database has */
struct world {
	const char *bytes;
	char text[8][64]; /* what was said stays until the rules have run */
	unsigned texts;
};

static bool two_addresses(const struct sa *sa, void *arg)
{
	char text[64];

	(void)arg;
	(void)re_snprintf(text, sizeof(text), "%j", sa);
	return !strcmp(text, "10.0.0.1") || !strcmp(text, "192.168.1.1");
}

static const char *world_line(const char *at, const char *word)
{
	at = at ? strstr(at, word) : NULL;
	return at ? at + strlen(word) : NULL;
}

static int world_rows(outside_row_h *h, void *to, void *arg)
{
	const struct world *w = arg;
	char realm[64], auth_realm[64], lookup[64];
	int err = 0;

	for (const char *p = w->bytes; (p = world_line(p, "\n# row ")) && !err;)
		if (sscanf(p, "%63s %63s %63s", realm, auth_realm, lookup) == 3)
			err = h(realm, auth_realm, lookup, to);
	return err;
}

static int world_aors(outside_aor_h *h, void *to, void *arg)
{
	const struct world *w = arg;
	char agent[128], user[64];
	int err = 0;

	for (const char *p = w->bytes; (p = world_line(p, "\n# aor ")) && !err;)
		if (sscanf(p, "%127[^/\n]/ %63s", agent, user) == 2) {
			agent[strlen(agent) - 1] = '\0';
			err = h(agent, user, to);
		}
	return err;
}

static int world_seen(outside_seen_h *h, void *to, void *arg)
{
	struct world *w = arg;
	char realm[64];
	int err = 0;

	for (const char *p = w->bytes;
	     (p = world_line(p, "\n# seen ")) && !err;) {
		char *text = w->text[w->texts++];

		if (sscanf(p, "%63s %63s", realm, text) == 2)
			err = h(realm, text, to);
	}
	return err;
}

static int world_resolve(struct outside_name *v, size_t n, void *arg)
{
	(void)arg;
	for (size_t i = 0; i < n; i++) {
		const char *address = "10.0.0.9";

		if (strstr(v[i].name, "silent"))
			continue;
		v[i].answer = strstr(v[i].name, "nowhere") ? OUTSIDE_NONE
							   : OUTSIDE_FOUND;
		if (strstr(v[i].name, "ours"))
			address = "10.0.0.1";
		if (strstr(v[i].name, "pbx"))
			address = "192.168.1.20";
		sa_set_str(&v[i].targets[v[i].n++], address, 5060);
		if (strstr(v[i].name, "two"))
			sa_set_str(&v[i].targets[v[i].n++], "192.168.1.21",
				   5060);
		if (strstr(v[i].name, "gw"))
			sa_set_str(&v[i].targets[v[i].n++], "192.168.1.9",
				   5060);
	}
	return 0;
}

/* What sbcd --verify says of a file that has problems of form */
static void form_say(struct run *r, const char *source)
{
	struct verify_report report = { &r->findings, &r->totals, source, false,
					0 };
	struct mbuf *mb = mbuf_alloc(256);

	for (struct le *le = list_head(&r->findings); le; le = le->next) {
		struct yaml_problem problem = { source, le->data };

		(void)mbuf_printf(mb, "%H\n", yaml_problem_print, &problem);
	}
	mb->pos = 0;
	assert_int_equal(mbuf_strdup(mb, &r->text, mb->end), 0);
	mem_deref(mb);
	assert_int_equal(verify_total(&r->findings, &r->totals), 0);
	assert_int_equal(re_sdprintf(&r->json, "%H", verify_json, &report), 0);
}

static void run_bytes(struct run *r, const char *bytes, const char *source)
{
	struct world world = { .bytes = bytes };
	struct outside_host host = { .has_address = two_addresses,
				     .first_port = 32768,
				     .last_port = 60999 };
	struct outside outside = {
		.host = &host,
		.rows = world_rows,
		.aors = world_aors,
		.seen = world_seen,
		.resolve = world_resolve,
		.arg = &world,
	};
	struct verify_setup setup = {
		.outside = strstr(bytes, "# outside") ? &outside : NULL,
	};
	struct config *cfg = NULL;
	struct pl pl;

	memset(r, 0, sizeof(*r));
	pl_set_str(&pl, bytes);
	if (yaml_read(&cfg, source, &pl, &r->findings))
		form_say(r, source);
	else
		run_config(r, cfg, &setup, source);
	config_give(cfg);
}

static void run_file(struct run *r, const char *path, const char *source)
{
	char *bytes = slurp(path);

	run_bytes(r, bytes, source);
	free(bytes);
}

static void run_end(struct run *r)
{
	list_flush(&r->findings);
	mem_deref(r->text);
	mem_deref(r->json);
	memset(r, 0, sizeof(*r));
}

static size_t count_of(const struct run *r, const char *id)
{
	size_t n = 0;

	for (struct le *le = list_head(&r->findings); le; le = le->next) {
		const struct finding *f = le->data;

		n += !strcmp(f->rule->id, id);
	}

	return n;
}

/* --- Golden files -------------------------------------------------------- */

static void compare(const char *name, const char *ending, const char *text)
{
	char path[512], *wanted;

	(void)snprintf(path, sizeof(path), GOLDEN "%.*s%s",
		       (int)(strlen(name) - strlen(".yaml")), name, ending);
	if (getenv("GOLDEN_WRITE")) {
		FILE *f = fopen(path, "w");

		assert_non_null(f);
		(void)fputs(text, f);
		(void)fclose(f);
		return;
	}
	wanted = slurp(path);
	if (strcmp(wanted, text))
		fail_msg("%s says\n%s", path, text);
	free(wanted);
}

/* What a file may break besides its own rule: VC-0119 where the parameter has no
 * effect yet, VC-0101 where the element that it names does not exist yet */
static bool is_companion(const char *id, const char *found)
{
	static const char *const names_nothing[] = { "VC-0903", "VC-0905",
						     "VC-0917" };

	for (size_t i = 0; i < ARRAY_SIZE(names_nothing); i++)
		if (!strcmp(id, names_nothing[i]) && !strcmp(found, "VC-0101"))
			return true;
	return !strcmp(found, "VC-0119");
}

static void breaks_nothing_else(const struct run *r, const char *name,
				const char *id)
{
	for (struct le *le = list_head(&r->findings); le; le = le->next) {
		const struct finding *f = le->data;

		if (strcmp(f->rule->id, id) && !is_companion(id, f->rule->id))
			fail_msg("%s also breaks %s: %s", name, f->rule->id,
				 r->text);
	}
}

static void golden_file(const char *name)
{
	char path[512], id[8];
	struct run r;

	(void)snprintf(path, sizeof(path), GOLDEN "%s", name);
	(void)snprintf(id, sizeof(id), "%.7s", name);
	run_file(&r, path, name);
	if (strstr(name, ".good.yaml")) {
		if (count_of(&r, id))
			fail_msg("%s breaks its rule: %s", name, r.text);
	} else {
		if (!count_of(&r, id))
			fail_msg("%s does not break its rule: %s", name,
				 r.text);
		breaks_nothing_else(&r, name, id);
		compare(name, ".text", r.text);
		compare(name, ".json", r.json);
	}
	run_end(&r);
}

static void each_rule_has_a_file_that_breaks_it_alone_and_says_so(void **s)
{
	DIR *dir = opendir(GOLDEN);
	struct dirent *e;
	unsigned files = 0;
	(void)s;

	assert_non_null(dir);
	while ((e = readdir(dir))) {
		size_t n = strlen(e->d_name);

		if (strncmp(e->d_name, "VC-", 3) || n < 5 ||
		    strcmp(e->d_name + n - 5, ".yaml"))
			continue;
		golden_file(e->d_name);
		files++;
	}
	(void)closedir(dir);
	assert_true(files > 100);
}

static bool has_golden(const char *id, const char *ending)
{
	char path[512];

	(void)snprintf(path, sizeof(path), GOLDEN "%s%s", id, ending);
	return !access(path, R_OK);
}

/* The few that no file can break have a test of their own below, or cannot
 * occur: what they look for does not get past the types */
static void every_rule_has_one_file_that_breaks_it_and_one_that_does_not(
	void **s)
{
	static const char *const without[] = {
		"VC-0112", /* a stored secret */
		"VC-0314", /* yaml refuses an empty list of patterns */
		"VC-0315", /* the type refuses it */
		"VC-0503", "VC-0504", /* VC-0106 comes first */
		"VC-0720",            /* rights of files */
		"VC-0721", "VC-1002",
	};
	(void)s;

	for (const struct rule_text *r = rules; r->id; r++) {
		bool none = false;

		for (size_t i = 0; i < ARRAY_SIZE(without); i++)
			none |= !strcmp(r->id, without[i]);
		if (none)
			continue;
		if (!has_golden(r->id, ".yaml"))
			fail_msg("no file breaks %s", r->id);
		if (!has_golden(r->id, ".good.yaml"))
			fail_msg("no file nearly breaks %s", r->id);
	}
}

static void a_good_configuration_breaks_no_rule(void **s)
{
	struct run r;
	(void)s;

	run_file(&r, GOLDEN "good.yaml", "good.yaml");
	assert_string_equal(r.text,
			    "Verification passed: no errors, no warnings.\n");
	run_end(&r);
}

static void the_configurations_we_ship_have_no_error(void **s)
{
	static const char *const files[] = { "configs/quickstart.yaml",
					     "configs/multi-tenant.yaml",
					     "configs/full.yaml" };
	struct run r;
	(void)s;

	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		run_file(&r, files[i], files[i]);
		if (r.totals.errors)
			fail_msg("%s: %s", files[i], r.text);
		run_end(&r);
	}
}

/* behaviour.md 7.2, statements 1 and 25 */
static void a_missing_lookup_of_the_example_is_the_one_warning(void **s)
{
	char *bytes = slurp("configs/quickstart.yaml");
	char *entry = strstr(bytes, "        - {auth-realm: trunk.example, "
				    "auth-user-lookup: tenB");
	struct run r;
	(void)s;

	run_bytes(&r, bytes, "quickstart.yaml");
	assert_int_equal(r.totals.errors + r.totals.warnings, 0);
	run_end(&r);

	assert_non_null(entry);
	entry[8] = '#';
	run_bytes(&r, bytes, "quickstart.yaml");
	assert_int_equal(r.totals.errors, 0);
	assert_int_equal(r.totals.warnings, 1);
	assert_int_equal(count_of(&r, "VC-0501"), 1);
	run_end(&r);
	free(bytes);
}

/* --- What no file can say ------------------------------------------------ */

static bool nothing_here(const struct sa *sa, void *arg)
{
	(void)sa;
	(void)arg;
	return false;
}

static int imported(outside_row_h *h, void *to, void *arg)
{
	(void)arg;
	return h("core", "example.net", "tenB", to);
}

static void rules_of_the_machine_run_only_when_it_can_be_asked(void **s)
{
	struct config *cfg = config_new();
	struct outside_host host = { .has_address = nothing_here };
	struct outside outside = { .host = &host };
	struct verify_setup setup = { .outside = &outside };
	struct run r = { 0 };
	(void)s;

	(void)realm_add(cfg, "core", "10.0.0.1");
	(void)realm_add(cfg, "wild", "0.0.0.0");
	run_config(&r, cfg, NULL, "x");
	assert_int_equal(count_of(&r, "VC-0209"), 0);
	assert_non_null(strstr(r.json, "\"skipped\":[\"host\",\"dns\"]"));
	run_end(&r);

	run_config(&r, cfg, &setup, "x");
	assert_int_equal(count_of(&r, "VC-0209"), 1);
	assert_non_null(strstr(r.json, "\"skipped\":[\"dns\"]"));
	run_end(&r);
	config_give(cfg);
}

/* --- Files of the machine -------------------------------------------------- */

static void text_write(const char *path, const char *text, mode_t mode)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	(void)fputs(text, f);
	(void)fclose(f);
	assert_int_equal(chmod(path, mode), 0);
}

static size_t host_count(const struct config *cfg, struct outside_host *host,
			 const char *file, const char *id)
{
	struct outside outside = { .host = host };
	struct verify_setup setup = { .outside = &outside, .file = file };
	struct run r = { 0 };
	size_t n;

	host->file = file;
	run_config(&r, cfg, &setup, "x");
	n = count_of(&r, id);
	run_end(&r);
	return n;
}

static void a_secret_that_another_key_sealed_is_found(void **s)
{
	struct config *cfg = config_new();
	struct realm_config *realm = realm_add(cfg, "core", "10.0.0.1");
	struct auth_attribute *a;
	struct seal *mine = NULL, *other = NULL;
	struct outside_host host = { 0 };
	char dir[] = "/tmp/sbc_verify_XXXXXX", key[64], key2[64];
	(void)s;

	assert_non_null(mkdtemp(dir));
	(void)snprintf(key, sizeof(key), "%s/a.key", dir);
	(void)snprintf(key2, sizeof(key2), "%s/b.key", dir);
	assert_int_equal(seal_open(&mine, key, true), 0);
	assert_int_equal(seal_open(&other, key2, true), 0);
	item_add(&realm->auth_attributes, &element_realm_auth_attribute,
		 "auth-realm", "r", "auth-user-lookup", "l", "username", "u",
		 "password", "pw", NULL);
	a = realm->auth_attributes.v[0];
	secret_wipe(a->password.text);
	assert_int_equal(seal_text(&a->password.text, mine, "pw"), 0);
	a->password.sealed = true;

	host.seal = mine;
	assert_int_equal(host_count(cfg, &host, NULL, "VC-0112"), 0);
	host.seal = other;
	assert_int_equal(host_count(cfg, &host, NULL, "VC-0112"), 1);
	seal_close(mine);
	seal_close(other);
	(void)unlink(key);
	(void)unlink(key2);
	(void)rmdir(dir);
	config_give(cfg);
}

static void a_superuser_group_without_a_password_is_noted(void **s)
{
	struct config *cfg = config_new();
	struct outside_host host = { 0 };
	(void)s;

	assert_int_equal(host_count(cfg, &host, NULL, "VC-0721"), 0);
	host.unguarded = true;
	assert_int_equal(host_count(cfg, &host, NULL, "VC-0721"), 1);
	config_give(cfg);
}

static void files_with_secrets_belong_to_their_owner_alone(void **s)
{
	struct config *cfg = config_new();
	struct realm_config *realm = realm_add(cfg, "core", "10.0.0.1");
	char dir[] = "/tmp/sbc_verify_XXXXXX", key[64], file[64];
	struct outside_host host = { .key_file = key };
	(void)s;

	assert_non_null(mkdtemp(dir));
	(void)snprintf(key, sizeof(key), "%s/a.key", dir);
	(void)snprintf(file, sizeof(file), "%s/a.yaml", dir);
	assert_int_equal(host_count(cfg, &host, NULL, "VC-0720"), 1);
	text_write(key, "x", 0640);
	assert_int_equal(host_count(cfg, &host, NULL, "VC-0720"), 1);
	text_write(key, "x", 0600);
	assert_int_equal(host_count(cfg, &host, NULL, "VC-0720"), 0);

	/* A file without passwords may be read by anybody */
	text_write(file, "x", 0644);
	assert_int_equal(host_count(cfg, &host, file, "VC-0720"), 0);
	item_add(&realm->auth_attributes, &element_realm_auth_attribute,
		 "auth-realm", "r", "auth-user-lookup", "l", "username", "u",
		 "password", "pw", NULL);
	assert_int_equal(host_count(cfg, &host, file, "VC-0720"), 1);
	text_write(file, "x", 0600);
	assert_int_equal(host_count(cfg, &host, file, "VC-0720"), 0);
	(void)unlink(key);
	(void)unlink(file);
	(void)rmdir(dir);
	config_give(cfg);
}

static void a_folder_for_records_has_to_be_there(void **s)
{
	struct config *cfg = config_new();
	struct outside_host host = { 0 };
	(void)s;

	(void)config_add(cfg, &element_account_config, "file-path", "/tmp",
			 NULL);
	assert_int_equal(host_count(cfg, &host, NULL, "VC-1002"), 0);
	config_give(cfg);
	cfg = config_new();
	(void)config_add(cfg, &element_account_config, "file-path",
			 "/nonexistent/records", NULL);
	assert_int_equal(host_count(cfg, &host, NULL, "VC-1002"), 1);
	config_give(cfg);
}

static void an_imported_credential_counts_as_an_entry(void **s)
{
	struct outside outside = { .rows = imported };
	struct verify_setup setup = { .outside = &outside };
	struct config *cfg = config_new();
	struct local_policy *policy;
	struct run r = { 0 };
	(void)s;

	(void)realm_add(cfg, "core", "10.0.0.1");
	policy = config_add(cfg, &element_local_policy, NULL);
	item_add(&policy->policy_attributes, &element_policy_attribute,
		 "next-hop", "a.example.net", "realm", "core",
		 "auth-user-lookup", "tenB", NULL);
	run_config(&r, cfg, NULL, "x");
	assert_int_equal(count_of(&r, "VC-0501"), 1);
	run_end(&r);
	run_config(&r, cfg, &setup, "x");
	assert_int_equal(count_of(&r, "VC-0501"), 0);
	run_end(&r);
	config_give(cfg);
}

static void a_time_that_is_past_needs_a_clock(void **s)
{
	struct verify_setup setup = { .now = 20260101000000 };
	struct config *cfg = config_new();
	struct run r = { 0 };
	(void)s;

	(void)config_add(cfg, &element_local_policy, "deactivate-time",
			 "2025-01-01 00:00:00", NULL);
	run_config(&r, cfg, NULL, "x");
	assert_int_equal(count_of(&r, "VC-0323"), 0);
	run_end(&r);
	run_config(&r, cfg, &setup, "x");
	assert_int_equal(count_of(&r, "VC-0323"), 1);
	run_end(&r);
	config_give(cfg);
}

static void what_no_door_lets_in_is_found_all_the_same(void **s)
{
	struct config *cfg = config_new();
	struct realm_config *realm = realm_add(cfg, "core", "10.0.0.1");
	struct session_agent *agent =
		config_add(cfg, &element_session_agent, "hostname",
			   "a.example.net", "realm-id", "core", NULL);
	struct run r = { 0 };
	(void)s;

	for (unsigned i = 0; i < 2; i++) {
		item_add(&realm->auth_attributes, &element_realm_auth_attribute,
			 "auth-realm", "r", "auth-user-lookup", "l", "username",
			 "u", "password", "secret-word", NULL);
		item_add(&agent->auth_attributes, &element_agent_auth_attribute,
			 "auth-realm", "r", "password", "secret-word", NULL);
	}
	run_config(&r, cfg, NULL, "x");
	assert_int_equal(count_of(&r, "VC-0503"), 1);
	assert_int_equal(count_of(&r, "VC-0504"), 1);
	assert_int_equal(count_of(&r, "VC-0104"), 2); /* username */
	assert_null(strstr(r.json, "secret-word"));
	assert_null(strstr(r.text, "secret-word"));
	run_end(&r);
	config_give(cfg);
}

static void an_error_cannot_be_ignored(void **s)
{
	struct config *cfg = config_new();
	struct run r = { 0 };
	(void)s;

	(void)config_add(cfg, &element_system_config, "verify-ignore",
			 "VC-0101 VC-0203:a VC-0203:none VC-9999", NULL);
	(void)config_add(cfg, &element_realm_config, "identifier", "a", NULL);
	(void)config_add(cfg, &element_realm_config, "identifier", "b", NULL);
	(void)config_add(cfg, &element_sip_interface, "realm-id", "none", NULL);
	run_config(&r, cfg, NULL, "x");
	assert_int_equal(count_of(&r, "VC-0101"), 1);
	assert_int_equal(count_of(&r, "VC-0203"), 1);
	assert_int_equal(count_of(&r, "VC-0117"), 3);
	assert_int_equal(r.totals.ignored, 1);
	run_end(&r);
	config_give(cfg);
}

static void a_text_shows_a_thousand_and_json_all(void **s)
{
	struct config *cfg = config_new();
	struct run r = { 0 };
	size_t n = 0;
	(void)s;

	for (unsigned i = 0; i < 1500; i++) {
		char name[16];

		(void)snprintf(name, sizeof(name), "r%u", i);
		(void)config_add(cfg, &element_realm_config, "identifier", name,
				 NULL);
	}
	run_config(&r, cfg, NULL, "x");
	for (const char *p = r.text; (p = strstr(p, "WARNING: ")); p++)
		n++;
	assert_int_equal(n, 999); /* and VC-0116 */
	assert_non_null(strstr(r.text, "\n... and 501 more\n"));
	n = 0;
	for (const char *p = r.json; (p = strstr(p, "{\"id\":")); p++)
		n++;
	assert_int_equal(n, 1501);
	run_end(&r);
	config_give(cfg);
}

static void the_same_configuration_gives_the_same_bytes(void **s)
{
	struct run a, b;
	(void)s;

	run_file(&a, GOLDEN "VC-0201.yaml", "x");
	run_file(&b, GOLDEN "VC-0201.yaml", "x");
	assert_string_equal(a.json, b.json);
	run_end(&a);
	run_end(&b);
}

/* --- AoRs ---------------------------------------------------------------- */

static void *surrogate_add(struct config *cfg, const char *user,
			   const char *count, const char *start)
{
	return config_add(cfg, &element_surrogate_agent, "register-host",
			  "example.net", "register-user", user, "realm-id",
			  "pbx", "customer-next-hop", "10.0.0.2", "aor-count",
			  count, "count-start", start, NULL);
}

static void overlapping_templates_are_found_whatever_their_form(void **s)
{
	static const struct {
		const char *a, *a_count, *a_start, *b, *b_count, *b_start;
		unsigned findings;
	} rows[] = {
		{ "bob^^^", "100", "1", "bob050", "1", "1", 1 },
		{ "bob^^^", "100", "1", "bob101", "1", "1", 0 },
		{ "bob^^^", "100", "1", "bob50", "1", "1", 0 },
		{ "4930^^^", "1000", "0", "49301^^", "100", "0", 1 },
		{ "4930^^^", "100", "0", "49301^^", "100", "0", 0 },
		{ "^^^^^^^", "1000000", "0", "099999^", "5", "3", 1 },
		{ "^^^^^^^", "1000000", "0", "1^^^^^^", "10", "0", 0 },
		{ "u", "1000000", "1", "u999999", "1", "1", 1 },
		{ "u", "1000000", "1", "u0999999", "1", "1", 0 },
		{ "u", "20", "1", "u1", "3", "1", 1 }, /* u1, u11, u12 */
		{ "a^b7", "9", "1", "a3b7", "1", "1", 1 },
		{ "a^b7", "9", "1", "a3b^", "5", "4", 1 }, /* a3b7 in both */
		{ "1^5", "5", "1", "125", "1", "1", 1 },
		{ "1^5", "5", "1", "120", "1", "1", 0 },
		{ "alice", "1", "1", "Alice", "1", "1", 0 },
	};
	(void)s;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct config *cfg = config_new();
		struct run r = { 0 };

		surrogate_add(cfg, rows[i].a, rows[i].a_count, rows[i].a_start);
		surrogate_add(cfg, rows[i].b, rows[i].b_count, rows[i].b_start);
		run_config(&r, cfg, NULL, "x");
		if (count_of(&r, "VC-0401") != rows[i].findings ||
		    count_of(&r, "VC-0402") != rows[i].findings)
			fail_msg("%s and %s: %s", rows[i].a, rows[i].b, r.text);
		run_end(&r);
		config_give(cfg);
	}
}

/* --- Size ---------------------------------------------------------------- */

static double seconds(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* Ten times the time of a tenth would be linear; a quadratic rule needs
 * minutes for these */
static void a_hundred_thousand_objects_take_seconds(void **s)
{
	struct config *cfg = config_new();
	struct realm_config *core = realm_add(cfg, "core", "10.0.0.1");
	struct run r = { 0 };
	double begin;
	(void)s;

	(void)realm_add(cfg, "pbx", "192.168.1.1");
	for (unsigned i = 0; i < 10000; i++) {
		char name[64], address[32];

		(void)snprintf(name, sizeof(name), "a%u.example.net", i);
		(void)snprintf(address, sizeof(address), "10.1.%u.%u", i / 250,
			       i % 250 + 1);
		(void)config_add(cfg, &element_session_agent, "hostname", name,
				 "ip-address", address, "realm-id", "core",
				 NULL);
		(void)snprintf(name, sizeof(name), "l%u", i);
		item_add(&core->auth_attributes, &element_realm_auth_attribute,
			 "auth-realm", "example.net", "auth-user-lookup", name,
			 "username", name, "password", "x", NULL);
	}
	for (unsigned i = 0; i < 100000; i++) {
		struct local_policy *p;
		char to[32], agent[64], lookup[16];

		(void)snprintf(to, sizeof(to), "49%06u", i);
		(void)snprintf(agent, sizeof(agent), "a%u.example.net",
			       i % 10000);
		(void)snprintf(lookup, sizeof(lookup), "l%u", i % 10000);
		p = config_add(cfg, &element_local_policy, "to-address", to,
			       "source-realm", "pbx", NULL);
		item_add(&p->policy_attributes, &element_policy_attribute,
			 "next-hop", agent, "realm", "core", "auth-user-lookup",
			 lookup, NULL);
		(void)snprintf(to, sizeof(to), "u%06u-^^", i);
		(void)config_add(cfg, &element_surrogate_agent, "register-host",
				 "example.net", "register-user", to, "realm-id",
				 "pbx", "customer-next-hop", "192.168.1.9",
				 "aor-count", "10", "password", "x", NULL);
	}
	begin = seconds();
	run_config(&r, cfg, NULL, "x");
	print_message("%zu findings in %.2f s\n",
		      (size_t)list_count(&r.findings), seconds() - begin);
	assert_true(seconds() - begin < 30.0); /* ASan and a busy machine */
	run_end(&r);
	config_give(cfg);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			every_rule_has_one_file_that_breaks_it_and_one_that_does_not),
		cmocka_unit_test(
			each_rule_has_a_file_that_breaks_it_alone_and_says_so),
		cmocka_unit_test(a_good_configuration_breaks_no_rule),
		cmocka_unit_test(a_secret_that_another_key_sealed_is_found),
		cmocka_unit_test(a_superuser_group_without_a_password_is_noted),
		cmocka_unit_test(
			files_with_secrets_belong_to_their_owner_alone),
		cmocka_unit_test(a_folder_for_records_has_to_be_there),
		cmocka_unit_test(the_configurations_we_ship_have_no_error),
		cmocka_unit_test(
			a_missing_lookup_of_the_example_is_the_one_warning),
		cmocka_unit_test(
			rules_of_the_machine_run_only_when_it_can_be_asked),
		cmocka_unit_test(an_imported_credential_counts_as_an_entry),
		cmocka_unit_test(a_time_that_is_past_needs_a_clock),
		cmocka_unit_test(what_no_door_lets_in_is_found_all_the_same),
		cmocka_unit_test(an_error_cannot_be_ignored),
		cmocka_unit_test(a_text_shows_a_thousand_and_json_all),
		cmocka_unit_test(the_same_configuration_gives_the_same_bytes),
		cmocka_unit_test(
			overlapping_templates_are_found_whatever_their_form),
		cmocka_unit_test(a_hundred_thousand_objects_take_seconds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
