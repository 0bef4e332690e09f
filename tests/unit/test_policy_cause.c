/*
 * Status codes: phrase, Q.850, and which of two answers the caller gets
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "policy/cause.h"

static void each_code_has_a_phrase(void **state)
{
	unsigned code;

	for (code = 0; code < 1000; ++code) {
		assert_non_null(cause_phrase((uint16_t)code));
		assert_true(strlen(cause_phrase((uint16_t)code)) > 1);
	}
	assert_string_equal(cause_phrase(486), "Busy Here");
	assert_string_equal(cause_phrase(100), "Trying");
	assert_string_equal(cause_phrase(608), "Rejected");
	assert_string_equal(cause_phrase(407), "Proxy Authentication Required");
	(void)state;
}

static void an_unknown_code_is_treated_as_its_class(void **state)
{
	assert_string_equal(cause_phrase(499), cause_phrase(400));
	assert_string_equal(cause_phrase(299), "OK");
	assert_string_equal(cause_phrase(188), "Session Progress");
	assert_int_equal(cause_q850(599), cause_q850(500));
	(void)state;
}

static void failures_have_a_q850_cause(void **state)
{
	static const uint16_t rows[][2] = {
		{ 404, 1 },  { 486, 17 },  { 480, 18 }, { 403, 21 },
		{ 503, 41 }, { 408, 102 }, { 484, 28 }, { 488, 65 },
		{ 487, 0 },  { 200, 0 },   { 302, 0 },  { 600, 17 }
	};
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(*rows); ++i)
		assert_int_equal(cause_q850(rows[i][0]), rows[i][1]);
	(void)state;
}

static void the_caller_gets_the_best_answer(void **state)
{
	/* what was there, what comes, is it taken */
	static const struct {
		uint16_t a, b;
		bool better;
	} rows[] = {
		{ 0, 503, true },    { 503, 404, true },  { 404, 503, false },
		{ 486, 407, true },  { 407, 486, false }, { 404, 486, true },
		{ 486, 404, true },  { 603, 404, false }, { 404, 603, true },
		{ 302, 404, false }, { 404, 302, true },  { 603, 302, false },
		{ 603, 200, true },  { 484, 401, true },  { 408, 480, true },
	};
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(*rows); ++i) {
		if (cause_is_better(rows[i].a, rows[i].b) != rows[i].better)
			fail_msg("%u then %u", rows[i].a, rows[i].b);
	}
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_code_has_a_phrase),
		cmocka_unit_test(an_unknown_code_is_treated_as_its_class),
		cmocka_unit_test(failures_have_a_q850_cause),
		cmocka_unit_test(the_caller_gets_the_best_answer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
