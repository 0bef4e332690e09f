/*
 * The manual names every parameter, its range and its default
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
#include "store/manual.h"
#include "store/rules.h"

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

static void the_page_of_an_element_is_the_golden_one(void **s)
{
	char *wanted = slurp("tests/golden/004-steering-pool.manual");
	char *text = NULL;
	(void)s;

	assert_int_equal(
		re_sdprintf(&text, "%H", manual_print, &element_steering_pool),
		0);
	assert_string_equal(text, wanted);
	mem_deref(text);
	free(wanted);
}

static void the_whole_manual_has_every_parameter_and_rule(void **s)
{
	char *text = NULL;
	(void)s;

	assert_int_equal(re_sdprintf(&text, "%H", manual_print, NULL), 0);
	for (size_t i = 0; elements[i]; i++) {
		for (const struct field *f = elements[i]->fields; f->name;
		     f++) {
			char line[128];

			(void)snprintf(line, sizeof(line), "\n    %s\n",
				       f->name);
			assert_non_null(strstr(text, line));
			assert_non_null(strstr(text, f->help));
		}
	}
	for (const struct rule_text *r = rules; r->id; r++)
		assert_non_null(strstr(text, r->id));
	/* acli.md 1.9: who may end a trial */
	assert_non_null(strstr(text, "Every superuser may end the trial"));
	mem_deref(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_page_of_an_element_is_the_golden_one),
		cmocka_unit_test(the_whole_manual_has_every_parameter_and_rule),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
