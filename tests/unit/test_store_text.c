/*
 * ACLI text has its values in column 37 and never a secret
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
#include "store/text.h"
#include "store/yaml.h"

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

static struct config *config_of(const char *path)
{
	struct list findings = LIST_INIT;
	struct config *cfg = NULL;

	assert_int_equal(yaml_read_file(&cfg, path, &findings), 0);
	list_flush(&findings);
	return cfg;
}

static char *printed(const struct text_setup *setup)
{
	char *text = NULL;

	assert_int_equal(re_sdprintf(&text, "%H", text_print, setup), 0);
	return text;
}

static void the_estate_prints_as_the_golden_text(void **s)
{
	struct config *cfg = config_of("configs/multi-tenant.yaml");
	struct text_setup setup = { .cfg = cfg, .brief = true };
	char *wanted = slurp("tests/golden/002-estate.text");
	char *text = printed(&setup);
	(void)s;

	assert_string_equal(text, wanted);
	assert_null(strstr(text, "change-me"));
	mem_deref(text);
	free(wanted);
	config_give(cfg);
}

static void the_full_form_has_every_parameter_in_its_column(void **s)
{
	struct config *cfg = config_of("configs/full.yaml");
	struct text_setup setup = { .cfg = cfg, .only = &element_local_policy };
	char *wanted = slurp("tests/golden/003-local-policy.text");
	char *text = printed(&setup);
	(void)s;

	assert_string_equal(text, wanted);
	mem_deref(text);
	free(wanted);
	config_give(cfg);
}

static void one_object_is_chosen_by_its_key(void **s)
{
	struct config *cfg = config_of("configs/multi-tenant.yaml");
	struct text_setup setup = { .cfg = cfg,
				    .only = &element_realm_config,
				    .key = { "pbx-c", 5 },
				    .brief = true };
	char *text = printed(&setup);
	(void)s;

	assert_string_equal(
		text,
		"realm-config\n"
		"    identifier                      pbx-c\n"
		"    description                     \"Tenant C, registers "
		"with the carrier through the SBC\"\n"
		"    addr-prefix                     "
		"198.51.100.128/26\n");
	mem_deref(text);

	setup.key.p = "pbx-x";
	text = printed(&setup);
	assert_string_equal(text, "");
	mem_deref(text);
	config_give(cfg);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_estate_prints_as_the_golden_text),
		cmocka_unit_test(
			the_full_form_has_every_parameter_in_its_column),
		cmocka_unit_test(one_object_is_chosen_by_its_key),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
