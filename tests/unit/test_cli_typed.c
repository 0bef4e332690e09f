/*
 * What is typed for a parameter: quotes, lists, signs (acli.md 1.4)
 */
#include <errno.h>
#include "config_fixture.h"
#include "cli/typed.h"

struct row {
	const char *parameter, *before, *typed, *after;
	const char *says; /* beginning of the note; "" none */
	int err;
};

struct value {
	const struct field *f;
	const void *item;
};

static int value_print(struct re_printf *pf, const struct value *v)
{
	return field_show(pf, v->f, v->item);
}

static char *shown(const struct field *f, const void *item)
{
	struct value v = { f, item };
	char *text = NULL;

	assert_int_equal(re_sdprintf(&text, "%H", value_print, &v), 0);
	return text;
}

static void rows_hold(const struct element *type, const struct row *rows,
		      size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct typed_note note;
		struct pl name, text;
		const struct field *f;
		void *item = NULL;
		char *after;
		int err;

		pl_set_str(&name, rows[i].parameter);
		pl_set_str(&text, rows[i].typed);
		f = field_find(type, &name);
		assert_non_null(f);
		assert_int_equal(item_alloc(&item, type), 0);
		field_set(f, item, rows[i].before);
		err = typed_set(f, type, item, &text, &note);
		after = shown(f, item);
		if (err != rows[i].err || strcmp(after, rows[i].after) ||
		    strncmp(note.text, rows[i].says, strlen(rows[i].says)) ||
		    (!*rows[i].says && *note.text))
			fail_msg("row %zu: %s [%s] gives %d [%s] [%s]", i,
				 rows[i].parameter, rows[i].typed, err, after,
				 note.text);
		mem_deref(after);
		item_free(type, item);
	}
}

static void a_single_value_is_taken_or_refused_and_then_stays(void **s)
{
	static const struct row rows[] = {
		{ "register-retry-time", "60", "90", "90", "", 0 },
		{ "register-retry-time", "60", "20", "60",
		  "register-retry-time [20] is out of range 30-3600", EINVAL },
		{ "register-retry-time", "60", "x", "60",
		  "register-retry-time [x] is not a number", EINVAL },
		{ "register-retry-time", "60", "90 91", "60",
		  "Unexpected word [91]", EINVAL },
		{ "description", "a", "\"two words\"", "two words", "", 0 },
		{ "description", "a", "\"q \\\" and \\\\\"", "q \" and \\", "",
		  0 },
		{ "description", "a", "name=\"a b\"", "name=\"a b\"", "", 0 },
		{ "description", "a", "\"\"", "", "", 0 },
		{ "description", "a", "()", "", "", 0 },
		{ "description", "a", "+49", "+49", "", 0 },
		{ "description", "a", "\"open", "a", "A quote", EINVAL },
		{ "description", "a", "(b)", "a",
		  "description [(b)] is not one value", EINVAL },
		{ "state", "enabled", "dis", "disabled", "", 0 },
		{ "state", "enabled", "DISABLED", "disabled", "", 0 },
		{ "state", "enabled", "yes", "enabled",
		  "state [yes] is not one of: ", EINVAL },
		{ "register-mode", "automatic", "Trig", "triggered", "", 0 },
	};
	(void)s;

	rows_hold(&element_surrogate_agent, rows,
		  sizeof(rows) / sizeof(rows[0]));
}

static void a_list_is_replaced_and_says_what_it_lost(void **s)
{
	static const struct row rows[] = {
		{ "source-realm", "a b", "(c d)", "(c d)",
		  "source-realm: (a b) -> (c d)", 0 },
		{ "source-realm", "a b", "a", "a", "source-realm: (a b) -> (a)",
		  0 },
		{ "source-realm", "a", "(a b)", "(a b)", "", 0 },
		{ "source-realm", "a", "()", "", "source-realm: (a) -> ()", 0 },
		{ "source-realm", "a", "b c", "a", "Unexpected word [b]",
		  EINVAL },
		{ "source-realm", "a", "(b", "a", "A quote or a parenthesis",
		  EINVAL },
		{ "source-realm", "a", "(b /)", "a", "source-realm [/]",
		  EINVAL },
	};
	(void)s;

	rows_hold(&element_local_policy, rows, sizeof(rows) / sizeof(rows[0]));
}

static void signs_work_from_left_to_right(void **s)
{
	static const struct row rows[] = {
		{ "source-realm", "a b", "+c", "(a b c)", "", 0 },
		{ "source-realm", "a b", "-a", "b", "", 0 },
		{ "source-realm", "a b", "+c -a +a", "(b c a)", "", 0 },
		{ "source-realm", "a b", "+a", "(a b)", "", 0 },
		{ "source-realm", "a b", "-c", "(a b)",
		  "source-realm [c] is not in the list", EINVAL },
		{ "source-realm", "a b", "+c -d", "(a b)",
		  "source-realm [d] is not in the list", EINVAL },
		/* A telephone number with plus */
		{ "to-address", "1", "(+4930)", "+4930", "to-address: (1) ->",
		  0 },
		{ "to-address", "1", "\"+4930\"", "+4930", "to-address: (1) ->",
		  0 },
		{ "to-address", "1", "++4930", "(1 +4930)", "", 0 },
	};
	(void)s;

	rows_hold(&element_local_policy, rows, sizeof(rows) / sizeof(rows[0]));
}

static void methods_are_removed_in_any_case(void **s)
{
	static const struct row rows[] = {
		{ "auth-methods", "INVITE BYE", "-invite", "BYE", "", 0 },
		{ "auth-methods", "INVITE", "+publish", "(INVITE PUBLISH)", "",
		  0 },
	};
	(void)s;

	rows_hold(&element_surrogate_agent, rows,
		  sizeof(rows) / sizeof(rows[0]));
}

static void an_option_needs_a_sign_and_is_known_by_its_name(void **s)
{
	static const struct row rows[] = {
		{ "options", "a=1 b", "c", "(a=1 b)",
		  "options [c] needs a sign", EINVAL },
		{ "options", "a=1 b", "+c=2", "(a=1 b c=2)", "", 0 },
		{ "options", "a=1 b", "+a=2", "(b a=2)", "", 0 },
		{ "options", "a=1 b", "-a", "b", "", 0 },
		{ "options", "a=1 b", "-a=7", "b", "", 0 },
		{ "options", "a=1 b", "(c)", "c", "options: (a=1 b) -> (c)",
		  0 },
	};
	(void)s;

	rows_hold(&element_sip_interface, rows, sizeof(rows) / sizeof(rows[0]));
}

static void a_refused_secret_is_not_repeated(void **s)
{
	struct pl name = PL("password"), text = PL("s3cr3t more");
	const struct field *f = field_find(&element_surrogate_agent, &name);
	struct typed_note note;
	void *item = NULL;
	(void)s;

	assert_int_equal(item_alloc(&item, &element_surrogate_agent), 0);
	assert_int_equal(
		typed_set(f, &element_surrogate_agent, item, &text, &note),
		EINVAL);
	assert_null(strstr(note.text, "s3cr3t"));
	item_free(&element_surrogate_agent, item);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			a_single_value_is_taken_or_refused_and_then_stays),
		cmocka_unit_test(a_list_is_replaced_and_says_what_it_lost),
		cmocka_unit_test(signs_work_from_left_to_right),
		cmocka_unit_test(methods_are_removed_in_any_case),
		cmocka_unit_test(
			an_option_needs_a_sign_and_is_known_by_its_name),
		cmocka_unit_test(a_refused_secret_is_not_repeated),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
