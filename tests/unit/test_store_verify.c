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

static void run_bytes(struct run *r, const char *bytes, const char *source)
{
	struct verify_setup setup = { .file = source };
	struct config *cfg = NULL;
	struct pl pl;

	memset(r, 0, sizeof(*r));
	pl_set_str(&pl, bytes);
	if (yaml_read(&cfg, source, &pl, &r->findings))
		fail_msg("%s cannot be read", source);
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
	wanted = slurp(path);
	if (strcmp(wanted, text))
		fail_msg("%s says\n%s", path, text);
	free(wanted);
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
		compare(name, ".text", r.text);
		compare(name, ".json", r.json);
	}
	run_end(&r);
}

static void each_rule_has_a_file_that_breaks_it_and_says_so(void **s)
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
			each_rule_has_a_file_that_breaks_it_and_says_so),
		cmocka_unit_test(a_good_configuration_breaks_no_rule),
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
