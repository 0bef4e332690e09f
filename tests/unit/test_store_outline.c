/*
 * What is printed as ACLI text is read back as the same configuration
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
#include "store/outline.h"
#include "store/rules.h"
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

static struct config *read_text(const char *text)
{
	struct list findings = LIST_INIT;
	struct config *cfg = NULL;
	struct pl pl;
	int err;

	pl_set_str(&pl, text);
	err = yaml_read(&cfg, "test.text", &pl, &findings);
	if (err && list_head(&findings))
		print_error("%s\n",
			    ((struct finding *)list_head(&findings)->data)
				    ->message);
	assert_int_equal(err, 0);
	list_flush(&findings);
	return cfg;
}

static char *printed(const struct config *cfg, bool brief)
{
	struct text_setup setup = { .cfg = cfg, .brief = brief };
	char *text = NULL;

	assert_int_equal(re_sdprintf(&text, "%H", text_print, &setup), 0);
	return text;
}

static void the_examples_come_back_as_they_were(void **s)
{
	static const char *const paths[] = { "configs/quickstart.yaml",
					     "configs/multi-tenant.yaml",
					     "configs/full.yaml" };
	(void)s;

	for (size_t i = 0; i < 3; i++) {
		struct list findings = LIST_INIT;
		struct config *cfg = NULL;

		assert_int_equal(yaml_read_file(&cfg, paths[i], &findings), 0);
		list_flush(&findings);
		for (int brief = 0; brief < 2; brief++) {
			char *text = printed(cfg, brief), *again;
			struct config *back = read_text(text);

			again = printed(back, brief);
			assert_string_equal(again, text);
			mem_deref(text);
			mem_deref(again);
			config_give(back);
		}
		config_give(cfg);
	}
}

static void the_full_example_prints_as_the_golden_text(void **s)
{
	struct list findings = LIST_INIT;
	char *wanted = slurp("tests/golden/005-full.text"), *text;
	struct config *cfg = NULL;
	(void)s;

	assert_int_equal(yaml_read_file(&cfg, "configs/full.yaml", &findings),
			 0);
	text = printed(cfg, false);
	assert_string_equal(text, wanted);
	mem_deref(text);
	free(wanted);
	list_flush(&findings);
	config_give(cfg);
}

/* --- Property: values at random ----------------------------------------- */

/* Texts that are hard to write, and texts that many kinds take */
static const char *const pool[] = {
	"",
	"a",
	"two words",
	"(in parentheses)",
	"\"q\"",
	"back\\slash",
	"a\"b",
	"#no comment",
	"pipe|",
	"?",
	"~",
	"name=\"a,b\"",
	"+4930",
	"-1",
	"**",
	"*",
	"enabled",
	"disabled",
	"0",
	"1",
	"5060",
	"100",
	"127.0.0.1",
	"::1",
	"10.0.0.0/8",
	"[::1]:5060",
	"example.net",
	"INVITE",
	"401",
	"500-599",
	"2027-01-01 00:00:00",
	"0930",
	"U-S",
	"NOTICE",
	"sipd=DEBUG",
	"option=1",
	"UDP",
	"TCP",
	"minor",
	"cpu",
};

enum {
	POOL = sizeof(pool) / sizeof(pool[0]),
	ROUNDS = 300
};

/* The same numbers each time: a failure comes again */
static uint32_t chance(uint32_t *state, uint32_t n)
{
	*state = *state * 1664525u + 1013904223u;
	return (*state >> 8) % n;
}

static void fill(const struct element *type, void *item, uint32_t *state)
{
	for (const struct field *f = type->fields; f->name; f++) {
		struct items *items = field_slot(f, item);
		uint32_t n = f->child        ? chance(state, 3)
			     : f->type->list ? chance(state, 4)
					     : 1;

		if ((f->flags & READONLY) || f->type == &type_secret)
			continue;
		if (f->flags & FILE_NAME)
			continue; /* relative ones are made absolute */
		for (uint32_t i = 0; i < n; i++) {
			const char *text = pool[chance(state, POOL)];
			struct pl pl = { text, strlen(text) };
			void *child = NULL;

			if (!f->child) {
				/* What is refused leaves the value as it is */
				(void)field_parse(f, item, &pl, NULL);
				continue;
			}
			assert_int_equal(item_alloc(&child, f->child), 0);
			fill(f->child, child, state);
			assert_int_equal(items_append(items, child), 0);
		}
	}
}

/* Required values and keys that tell sub-elements apart are not left to chance:
 * such an object is not printed at all */
static bool is_whole(const struct element *type, const void *item)
{
	for (const struct field *f = type->fields; f->name; f++) {
		const struct items *items = field_slot_const(f, item);

		if ((f->flags & (REQUIRED | KEY)) && field_is_empty(f, item))
			return false;
		for (uint32_t i = 0; f->child && i < items->n; i++) {
			struct item_ref a = { f->child, items->v[i] };
			char *x = NULL;

			if (!is_whole(f->child, items->v[i]))
				return false;
			(void)re_sdprintf(&x, "%H", item_key_print, &a);
			for (uint32_t k = 0; k < i; k++) {
				struct item_ref b = { f->child, items->v[k] };
				char *y = NULL;
				bool same;

				(void)re_sdprintf(&y, "%H", item_key_print, &b);
				same = !strcmp(x, y);
				mem_deref(y);
				if (same) {
					mem_deref(x);
					return false;
				}
			}
			mem_deref(x);
		}
	}
	return true;
}

static void any_object_comes_back_as_it_was(void **s)
{
	uint32_t state = 20261121, whole = 0;
	(void)s;

	for (uint32_t round = 0; round < ROUNDS; round++) {
		for (const struct element *const *e = elements; *e; e++) {
			struct text_item shown = { *e, NULL, 0,
						   chance(&state, 2) };
			struct config *back;
			void *item = NULL;
			char *text = NULL;

			assert_int_equal(item_alloc(&item, *e), 0);
			fill(*e, item, &state);
			if (!is_whole(*e, item)) {
				item_free(*e, item);
				continue;
			}
			whole++;
			shown.item = item;
			assert_int_equal(re_sdprintf(&text, "%H",
						     text_item_print, &shown),
					 0);
			back = read_text(text);
			if (!item_same(*e, item, config_at(back, *e, 0)))
				fail_msg("came back otherwise:\n%s", text);
			config_give(back);
			mem_deref(text);
			item_free(*e, item);
		}
	}
	assert_in_range(whole, 500, UINT32_MAX);
}

/* --- Problems ------------------------------------------------------------ */

static void every_problem_is_told_with_its_place(void **s)
{
	static const struct {
		const char *text, *message;
		uint32_t line, column;
		int err;
	} rows[] = {
		{ "realm-config\n    identifier a b\n",
		  "There is more than one value", 2, 16, EBADMSG },
		{ "realm-config\n    identifier \"a\n", "A quote is open", 2,
		  16, EBADMSG },
		{ "realm-config\n    identifier a\n    options (x y\n",
		  "The list has no end", 3, 13, EBADMSG },
		{ "realm-config a\n    identifier a\n",
		  "An element has no value behind its name", 1, 14, EBADMSG },
		{ "realm-config\n    identifier a\n        colour red\n",
		  "A sub-element has no value behind its name", 2, 16,
		  EBADMSG },
		{ "realm-cfg\n    identifier a\n", "Unknown element", 1, 1,
		  EBADMSG },
		{ "realm-config\n    identifier a\n    colour red\n",
		  "unknown parameter", 3, 5, EBADMSG },
		{ "realm-config\n    identifier a\nrealm-config\n"
		  "    identifier a\n",
		  "more than once", 3, 1, EBADMSG },
		{ "system-config\n    hostname a\nsystem-config\n",
		  "a second time", 3, 1, EBADMSG },
		{ "realm-config\n    identifier a\n   description b\n",
		  "indented as no other", 3, 4, EBADMSG },
	};
	(void)s;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct list findings = LIST_INIT;
		struct config *cfg = NULL;
		bool found = false;
		struct pl pl;

		pl_set_str(&pl, rows[i].text);
		assert_int_equal(yaml_read(&cfg, "f", &pl, &findings),
				 rows[i].err);
		for (struct le *le = list_head(&findings); le; le = le->next) {
			const struct finding *f = le->data;

			found |= strstr(f->message, rows[i].message) &&
				 f->line == rows[i].line &&
				 f->column == rows[i].column;
		}
		if (!found) {
			const struct finding *f =
				list_head(&findings)
					? list_head(&findings)->data
					: NULL;

			fail_msg("row %zu: %s (%u:%u)", i,
				 f ? f->message : "nothing", f ? f->line : 0,
				 f ? f->column : 0);
		}
		list_flush(&findings);
	}
}

static void yaml_is_no_acli_text(void **s)
{
	static const struct {
		const char *text;
		bool is;
	} rows[] = {
		{ "realm-config\n    identifier a\n", true },
		{ "# a comment\n\nsystem-config\n", true },
		{ "system:\n  system-config: {}\n", false },
		{ "{system: {}}\n", false },
		{ "---\nsystem:\n", false },
		{ "", false },
		{ "    identifier a\n", false },
	};
	(void)s;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct pl pl;

		pl_set_str(&pl, rows[i].text);
		assert_int_equal(outline_is(&pl), rows[i].is);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_examples_come_back_as_they_were),
		cmocka_unit_test(the_full_example_prints_as_the_golden_text),
		cmocka_unit_test(any_object_comes_back_as_it_was),
		cmocka_unit_test(every_problem_is_told_with_its_place),
		cmocka_unit_test(yaml_is_no_acli_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
