/*
 * A line becomes words as acli.md 1.4 says
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>
#include "cli/words.h"

static struct words cut(char *line)
{
	struct words w;

	assert_int_equal(words_cut(&w, line), 0);
	return w;
}

static void blanks_part_words(void **s)
{
	char line[] = "  show   surrogate-agents\tdetail ";
	struct words w = cut(line);
	(void)s;

	assert_int_equal(w.n, 3);
	assert_string_equal(w.v[0], "show");
	assert_string_equal(w.v[1], "surrogate-agents");
	assert_string_equal(w.v[2], "detail");
	assert_null(w.filter);
}

static void quotes_hold_blanks_and_undo_two_escapes(void **s)
{
	char line[] = "a \"b c\" name=\"x,y\" \"q\\\"\\\\\\n\" \"\"";
	struct words w = cut(line);
	(void)s;

	assert_int_equal(w.n, 5);
	assert_string_equal(w.v[1], "b c");
	assert_string_equal(w.v[2], "name=x,y");
	assert_string_equal(w.v[3], "q\"\\\\n");
	assert_string_equal(w.v[4], "");
}

static void a_bar_begins_the_filter_but_not_inside_quotes(void **s)
{
	char line[] = "show \"a|b\" | include x", glued[] = "show a|count";
	struct words w = cut(line);
	(void)s;

	assert_int_equal(w.n, 2);
	assert_string_equal(w.v[1], "a|b");
	assert_string_equal(w.filter, " include x");
	w = cut(glued);
	assert_string_equal(w.v[1], "a");
	assert_string_equal(w.filter, "count");
}

static void a_comment_and_an_empty_line_have_no_words(void **s)
{
	char comment[] = "  # show", empty[] = "", number[] = "show #1";
	(void)s;

	assert_int_equal(cut(comment).n, 0);
	assert_int_equal(cut(empty).n, 0);
	assert_int_equal(cut(number).n, 2);
}

static void an_open_quote_and_too_many_words_are_refused(void **s)
{
	char open[] = "show \"a b", many[WORDS_MAX * 2 + 3];
	struct words w;
	(void)s;

	assert_int_equal(words_cut(&w, open), EINVAL);
	for (size_t i = 0; i < sizeof(many) - 1; i++)
		many[i] = i % 2 ? ' ' : 'x';
	many[sizeof(many) - 1] = '\0';
	assert_int_equal(words_cut(&w, many), E2BIG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(blanks_part_words),
		cmocka_unit_test(quotes_hold_blanks_and_undo_two_escapes),
		cmocka_unit_test(a_bar_begins_the_filter_but_not_inside_quotes),
		cmocka_unit_test(a_comment_and_an_empty_line_have_no_words),
		cmocka_unit_test(an_open_quote_and_too_many_words_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
