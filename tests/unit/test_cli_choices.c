/*
 * A word may be shortened while it is unique at its place; an exact one wins
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "cli/choices.h"
#include "cli/commands.h"

static void fill(struct choices *c, const char *const *words)
{
	for (; *words; words++)
		choices_word(c, CHOICE_COMMAND, *words, "help", *words);
}

static void an_exact_word_wins_and_a_unique_beginning_is_enough(void **s)
{
	static const char *const words[] = { "select", "save-config", "show",
					     "state",  "start-time",  "sh",
					     NULL };
	static const struct {
		const char *typed, *picked;
		int err;
	} rows[] = {
		{ "select", "select", 0 },   { "sel", "select", 0 },
		{ "sh", "sh", 0 },           { "sho", "show", 0 },
		{ "s", NULL, EEXIST },       { "sta", NULL, EEXIST },
		{ "stat", "state", 0 },      { "x", NULL, ENOENT },
		{ "selects", NULL, ENOENT },
	};
	struct choices c = { 0 };
	(void)s;

	fill(&c, words);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct choice *picked = NULL;

		assert_int_equal(choices_pick(&c, rows[i].typed, &picked),
				 rows[i].err);
		if (!rows[i].err)
			assert_string_equal(picked->word, rows[i].picked);
	}
	choices_clear(&c);
}

static void what_is_typed_in_full_only_is_never_shortened(void **s)
{
	struct choice full = { .word = "delete-config", .full = true };
	const struct choice *picked;
	struct choices c = { 0 };
	(void)s;

	choices_add(&c, &full);
	assert_int_equal(choices_pick(&c, "delete-conf", &picked), ENOENT);
	assert_int_equal(choices_pick(&c, "delete-config", &picked), 0);
	choices_clear(&c);
}

static char *listed(struct choices *c, const char *typed)
{
	struct choices_list list = { c, typed };
	char *text = NULL;

	assert_int_equal(re_sdprintf(&text, "%H", choices_print, &list), 0);
	return text;
}

static void an_error_names_at_most_twelve_words_sorted(void **s)
{
	static const char *const few[] = { "b", "a", "c", NULL };
	static const char *const many[] = {
		"m", "l", "k", "j", "i", "h", "g",
		"f", "e", "d", "c", "b", "a", NULL
	};
	struct choices c = { 0 };
	char *text;
	(void)s;

	fill(&c, few);
	text = listed(&c, NULL);
	assert_string_equal(text, "a, b, c");
	mem_deref(text);
	text = listed(&c, "b");
	assert_string_equal(text, "b");
	mem_deref(text);
	choices_clear(&c);

	fill(&c, many);
	text = listed(&c, NULL);
	assert_string_equal(text, "a, b, c, d, e, f, g, h, i, j, k, l, ...");
	mem_deref(text);
	choices_clear(&c);
}

static void a_word_with_two_wrong_letters_is_suggested_and_no_other(void **s)
{
	static const char *const words[] = { "surrogate-agent", "session-agent",
					     "realm-config", NULL };
	static const struct {
		const char *typed, *near;
	} rows[] = {
		{ "surrogate-agnt", "surrogate-agent" },
		{ "surogate-agemt", "surrogate-agent" },
		{ "sesion-agent", "session-agent" },
		{ "realm-confgi", "realm-config" },
		{ "relm-cnfgi", NULL },
		{ "re", NULL },
		{ "policy", NULL },
	};
	struct choices c = { 0 };
	(void)s;

	fill(&c, words);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *near = choices_near(&c, rows[i].typed);

		if (rows[i].near)
			assert_string_equal(near, rows[i].near);
		else
			assert_null(near);
	}
	choices_clear(&c);
}

static void completion_leaves_what_begins_so(void **s)
{
	static const char *const words[] = { "state", "start", "stop", "show",
					     NULL };
	struct choices c = { 0 };
	(void)s;

	fill(&c, words);
	choices_narrow(&c, "sta");
	assert_int_equal(c.n, 2);
	assert_string_equal(c.v[0].word, "start");
	assert_string_equal(c.v[1].word, "state");
	choices_clear(&c);
}

static void commands_are_found_word_by_word_and_by_mode(void **s)
{
	char *show[] = { "sh", "conf" };
	char *kill[] = { "kil" };
	struct choices c = { 0 };
	const struct choice *picked;
	char name[64];
	uint32_t used;
	(void)s;

	assert_true(commands_next(&c, MODE_SUPERUSER, show, 2, &used));
	assert_int_equal(used, 2);
	commands_name(MODE_SUPERUSER, show, 2, name, sizeof(name));
	assert_string_equal(name, "show configuration");
	/* A user has no such command, and kill is never shortened */
	assert_false(commands_next(&c, MODE_USER, show, 2, &used));
	choices_clear(&c);
	assert_false(commands_next(&c, MODE_SUPERUSER, kill, 1, &used));
	choices_clear(&c);

	assert_false(commands_next(&c, MODE_SUPERUSER, show, 1, &used));
	assert_int_equal(choices_pick(&c, "configuration", &picked), 0);
	assert_int_equal(choices_pick(&c, "sipd", &picked), 0);
	choices_clear(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			an_exact_word_wins_and_a_unique_beginning_is_enough),
		cmocka_unit_test(what_is_typed_in_full_only_is_never_shortened),
		cmocka_unit_test(an_error_names_at_most_twelve_words_sorted),
		cmocka_unit_test(
			a_word_with_two_wrong_letters_is_suggested_and_no_other),
		cmocka_unit_test(completion_leaves_what_begins_so),
		cmocka_unit_test(commands_are_found_word_by_word_and_by_mode),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
