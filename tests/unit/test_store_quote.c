/*
 * Text of call records, quoted for CSV and for JSON
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>
#include "store/quote.h"

struct row {
	const char *text;
	size_t n;
	const char *csv, *json;
};

/* clang-format off */
static const struct row rows[] = {
	{ "",           0, "",                "\"\"" },
	{ "a",          1, "a",               "\"a\"" },
	{ "sip:a@b;c=d", 11, "sip:a@b;c=d",   "\"sip:a@b;c=d\"" },
	{ "a,b",        3, "\"a,b\"",         "\"a,b\"" },
	{ "a\"b",       3, "\"a\"\"b\"",      "\"a\\\"b\"" },
	{ "\"",         1, "\"\"\"\"",        "\"\\\"\"" },
	{ "a\\b",       3, "a\\b",            "\"a\\\\b\"" },
	{ "a\r\nb",     4, "\"a\r\nb\"",      "\"a\\u000d\\u000ab\"" },
	{ "\t",         1, "\t",              "\"\\u0009\"" },
	{ "a\0b",       3, "a\0b",            "\"a\\u0000b\"" },
	{ "\x1f\x7f",   2, "\x1f\x7f",        "\"\\u001f\x7f\"" },
	{ "\xc3\xa4\xff", 3, "\xc3\xa4\xff",  "\"\xc3\xa4\xff\"" },
	{ "0123456789012345678901234567890123456789\"", 41,
	  "\"0123456789012345678901234567890123456789\"\"\"",
	  "\"0123456789012345678901234567890123456789\\\"\"" },
};
/* clang-format on */

static void each_reader_gets_the_text_back(void **state)
{
	(void)state;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct row *row = &rows[i];
		const struct pl text = { row->text, row->n };
		char buf[QUOTE_JSON_MOST(64)];
		size_t n = (size_t)(quote_csv(buf, &text) - buf);

		/* A text with a zero byte is as long in CSV as it was */
		assert_int_equal(n, memchr(row->text, 0, row->n)
					    ? row->n
					    : strlen(row->csv));
		assert_memory_equal(buf, row->csv, n);
		n = (size_t)(quote_json(buf, &text) - buf);
		assert_int_equal(n, strlen(row->json));
		assert_memory_equal(buf, row->json, n);
	}
}

static void no_text_takes_more_room_than_is_said(void **state)
{
	(void)state;

	for (unsigned c = 0; c < 256; c++) {
		char bytes[9], buf[QUOTE_JSON_MOST(9) + 1];
		const struct pl text = { bytes, sizeof(bytes) };

		memset(bytes, (int)c, sizeof(bytes));
		assert_true(quote_csv(buf, &text) <=
			    buf + QUOTE_CSV_MOST(sizeof(bytes)));
		assert_true(quote_json(buf, &text) <=
			    buf + QUOTE_JSON_MOST(sizeof(bytes)));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_reader_gets_the_text_back),
		cmocka_unit_test(no_text_takes_more_room_than_is_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
