/*
 * Each problem of a file is found, with its place; what is written reads back
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "store/base.h"
#include "store/elements/elements.h"
#include "store/rules.h"
#include "store/yaml.h"

static struct pl pl_of(const char *t)
{
	struct pl pl = { t, strlen(t) };

	return pl;
}

static char *slurp(const char *path)
{
	FILE *f = fopen(path, "r");
	char *text = calloc(1, 1 << 20);
	size_t n;

	if (!f)
		fail_msg("%s", path);
	n = fread(text, 1, (1 << 20) - 1, f);
	text[n] = '\0';
	(void)fclose(f);
	return text;
}

static int problems_print(struct re_printf *pf, const struct list *findings)
{
	int err = 0;

	for (const struct le *le = list_head(findings); le; le = le->next) {
		struct yaml_problem p = { "FILE", le->data };

		err |= re_hprintf(pf, "%s %H\n", p.finding->rule->id,
				  yaml_problem_print, &p);
	}

	return err;
}

/* Read; the problems as text */
static int read_text(struct config **cfgp, const char *text, char **problems)
{
	struct pl bytes = pl_of(text);
	struct list findings = LIST_INIT;
	int err = yaml_read(cfgp, "FILE", &bytes, &findings);

	assert_int_equal(re_sdprintf(problems, "%H", problems_print, &findings),
			 0);
	list_flush(&findings);
	return err;
}

static char *printed(const struct config *cfg, bool clear)
{
	struct yaml_setup setup = { cfg, clear };
	char *text = NULL;

	assert_int_equal(re_sdprintf(&text, "%H", yaml_print, &setup), 0);
	return text;
}

static void every_problem_of_a_file_is_told_with_its_place(void **s)
{
	char *yaml = slurp("tests/golden/001-problems.yaml");
	char *wanted = slurp("tests/golden/001-problems.findings");
	struct config *cfg = NULL;
	char *problems;
	(void)s;

	assert_int_equal(read_text(&cfg, yaml, &problems), EBADMSG);
	assert_null(cfg);
	assert_string_equal(problems, wanted);
	assert_null(strstr(problems, "s3cr3t"));
	mem_deref(problems);
	free(yaml);
	free(wanted);
}

static void text_that_is_not_yaml_has_a_place_too(void **s)
{
	static const struct {
		const char *text, *place;
		int err;
	} rows[] = {
		{ "a: [", "FILE:2:1: ", EINVAL },
		{ "system:\n\tx: 1\n", "FILE:2:1: ", EINVAL },
		{ "system: {}\nx: \"\xff\"\n", "FILE:2:5: ", EINVAL },
		{ "system: &a {}\n", "FILE:1:9: ", EBADMSG },
		{ "system: !!map {}\n", "FILE:1:9: ", EBADMSG },
		{ "system: {}\n---\nsystem: {}\n", "FILE:2:1: ", EBADMSG },
		{ "- system\n", "FILE:1:1: ", EBADMSG },
		{ "system: {}\nsystem: {}\n", "FILE:2:1: ", EBADMSG },
		{ "system: {realm-config: []}\n", "FILE:1:10: ", EBADMSG },
		{ "[a]: b\n", "FILE:1:1: ", EBADMSG },
		{ "? {a: b}\n: c\n", "FILE:1:3: ", EBADMSG },
	};
	(void)s;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct config *cfg = NULL;
		char *problems;

		assert_int_equal(read_text(&cfg, rows[i].text, &problems),
				 rows[i].err);
		if (!strstr(problems, rows[i].place))
			fail_msg("[%s] %s", rows[i].text, problems);
		assert_null(cfg);
		mem_deref(problems);
	}
}

static void nothing_at_all_is_a_configuration_of_defaults(void **s)
{
	static const char *const rows[] = {
		"",
		"# only a comment\n",
		"~\n",
		"---\n",
		"system:\n",
		"media-manager:\n  realm-config:\n  media-manager: ~\n",
	};
	(void)s;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct config *cfg = NULL;
		char *problems, *text;

		assert_int_equal(read_text(&cfg, rows[i], &problems), 0);
		assert_string_equal(problems, "");
		text = printed(cfg, true);
		assert_string_equal(text, "");
		mem_deref(text);
		mem_deref(problems);
		config_give(cfg);
	}
}

static void scalars_are_text_as_written(void **s)
{
	static const char yaml[] =
		"session-router:\n"
		"  surrogate-agent:\n"
		"    - {register-host: x.test, register-user: 0123,\n"
		"       realm-id: no, customer-next-hop: 127.0.0.1,\n"
		"       auth-user: ~, auth-user-lookup: '~', password: null}\n";
	const struct surrogate_agent *agent;
	struct config *cfg = NULL;
	char *problems;
	(void)s;

	assert_int_equal(read_text(&cfg, yaml, &problems), 0);
	agent = config_at(cfg, &element_surrogate_agent, 0);
	assert_string_equal(agent->register_user, "0123");
	assert_string_equal(agent->realm_id, "no");
	assert_string_equal(agent->auth_user, "");
	assert_string_equal(agent->auth_user_lookup, "~");
	assert_string_equal(agent->password.text, "null");
	mem_deref(problems);
	config_give(cfg);
}

static void options_that_became_parameters_are_moved(void **s)
{
	static const char yaml[] =
		"session-router:\n"
		"  surrogate-agent:\n"
		"    - register-host: x.test\n"
		"      register-user: a\n"
		"      realm-id: r\n"
		"      customer-next-hop: 127.0.0.1\n"
		"      options: ['auth-methods=\"INVITE,BYE\"', other,\n"
		"                auth-info=refresh]\n";
	const struct surrogate_agent *agent;
	struct config *cfg = NULL;
	char *problems;
	(void)s;

	assert_int_equal(read_text(&cfg, yaml, &problems), 0);
	agent = config_at(cfg, &element_surrogate_agent, 0);
	assert_int_equal(agent->auth_methods.n, 2);
	assert_string_equal(agent->auth_methods.v[1], "BYE");
	assert_int_equal(agent->options.n, 1);
	assert_string_equal(agent->options.v[0], "other");
	mem_deref(problems);
	config_give(cfg);
}

static void what_is_written_reads_back(void **s)
{
	static const char *const files[] = { "configs/full.yaml",
					     "configs/multi-tenant.yaml" };
	(void)s;

	for (size_t i = 0; i < 2; i++) {
		char *yaml = slurp(files[i]), *first, *second, *problems;
		struct config *a = NULL, *b = NULL;

		assert_int_equal(read_text(&a, yaml, &problems), 0);
		assert_string_equal(problems, "");
		mem_deref(problems);
		first = printed(a, true);
		assert_int_equal(read_text(&b, first, &problems), 0);
		second = printed(b, true);
		assert_string_equal(first, second);

		for (size_t e = 0; elements[e]; e++) {
			assert_int_equal(config_count(a, elements[e]),
					 config_count(b, elements[e]));
			for (size_t n = 0; n < config_count(a, elements[e]);
			     n++)
				assert_true(item_same(
					elements[e],
					config_at(a, elements[e], n),
					config_at(b, elements[e], n)));
		}
		mem_deref(problems);
		mem_deref(first);
		mem_deref(second);
		config_give(a);
		config_give(b);
		free(yaml);
	}
}

static void secrets_are_masked_unless_asked_for(void **s)
{
	char *yaml = slurp("configs/multi-tenant.yaml"), *text, *problems;
	struct config *cfg = NULL;
	(void)s;

	assert_int_equal(read_text(&cfg, yaml, &problems), 0);
	text = printed(cfg, false);
	assert_null(strstr(text, "change-me"));
	assert_non_null(strstr(text, "password: \"********\""));
	mem_deref(text);
	mem_deref(problems);
	config_give(cfg);
	free(yaml);
}

static bool names_it(const char *yaml, const char *name)
{
	char line[128];
	const char *p;

	(void)snprintf(line, sizeof(line), " %s:", name);
	for (p = yaml; (p = strstr(p, line)); p++) {
		const char *q = p;

		while (q > yaml && *q == ' ')
			q--;
		if (*q == '\n')
			return true;
	}

	return false;
}

/* full.yaml is an object of each element; reading it sets every row, so the
 * lines of each object must name all of them */
static void full_yaml_has_every_parameter_of_every_element(void **s)
{
	char *yaml = slurp("configs/full.yaml"), *problems;
	struct config *cfg = NULL;
	(void)s;

	assert_int_equal(read_text(&cfg, yaml, &problems), 0);
	for (size_t e = 0; elements[e]; e++) {
		const void *item = config_at(cfg, elements[e], 0);

		assert_non_null(item);
		for (const struct field *f = elements[e]->fields; f->name;
		     f++) {
			if (f->flags & READONLY)
				continue;
			if (!names_it(yaml, f->name))
				fail_msg("%s %s", elements[e]->name, f->name);
			if (f->child) {
				assert_false(field_is_empty(f, item));
			} else if (!(f->flags & (KEY | REQUIRED)) &&
				   f->type != &type_secret &&
				   strcmp(f->name, "ip-address") &&
				   strcmp(f->name, "realm-id")) {
				if (!field_is_default(elements[e], f, item))
					fail_msg("%s %s", elements[e]->name,
						 f->name);
			}
		}
	}
	mem_deref(problems);
	config_give(cfg);
	free(yaml);
}

static void a_file_that_is_not_there_is_an_errno(void **s)
{
	struct list findings = LIST_INIT;
	struct config *cfg = NULL;
	(void)s;

	assert_int_equal(yaml_read_file(&cfg, "/nonexistent.yaml", &findings),
			 ENOENT);
	assert_int_equal(yaml_read_file(&cfg, "/tmp", &findings), EISDIR);
	assert_null(list_head(&findings));
}

static void a_relative_file_name_begins_in_the_folder_of_the_file(void **s)
{
	static const struct {
		const char *file, *yaml, *path;
	} rows[] = {
		{ "/usr/x.yaml", "system: {system-config: {log-path: l}}",
		  "/usr/l" },
		{ "/x.yaml", "system: {system-config: {log-path: l}}", "/l" },
		{ "/usr/x.yaml", "system: {system-config: {log-path: /l}}",
		  "/l" },
		{ "/usr/x.yaml", "system: {system-config: {log-path: }}", "" },
	};
	(void)s;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct pl bytes = pl_of(rows[i].yaml);
		struct list findings = LIST_INIT;
		const struct system_config *system;
		struct config *cfg = NULL;

		assert_int_equal(
			yaml_read(&cfg, rows[i].file, &bytes, &findings), 0);
		system = config_single(cfg, &element_system_config);
		assert_string_equal(system->log_path, rows[i].path);
		config_give(cfg);
	}
}

static void deep_nesting_ends_soon(void **s)
{
	char *text = malloc(100100);
	struct config *cfg = NULL;
	char *problems;
	(void)s;

	strcpy(text, "session-router: {sip-config: {options: ");
	memset(text + strlen(text) + 1, 0, 1);
	memset(text + 39, '[', 500);
	text[539] = '\0';
	assert_int_not_equal(read_text(&cfg, text, &problems), 0);
	assert_null(cfg);
	mem_deref(problems);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			every_problem_of_a_file_is_told_with_its_place),
		cmocka_unit_test(text_that_is_not_yaml_has_a_place_too),
		cmocka_unit_test(nothing_at_all_is_a_configuration_of_defaults),
		cmocka_unit_test(scalars_are_text_as_written),
		cmocka_unit_test(options_that_became_parameters_are_moved),
		cmocka_unit_test(what_is_written_reads_back),
		cmocka_unit_test(secrets_are_masked_unless_asked_for),
		cmocka_unit_test(
			full_yaml_has_every_parameter_of_every_element),
		cmocka_unit_test(a_file_that_is_not_there_is_an_errno),
		cmocka_unit_test(
			a_relative_file_name_begins_in_the_folder_of_the_file),
		cmocka_unit_test(deep_nesting_ends_soon),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
