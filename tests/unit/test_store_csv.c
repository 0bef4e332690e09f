/*
 * CSV is read row by row, strictly, and each row knows its line
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "store/csv.h"

static struct csv *csv_of(const char *text, size_t n)
{
	struct csv *csv = malloc(sizeof(*csv));
	struct pl pl = { text, n };

	assert_non_null(csv);
	csv_begin(csv, &pl);
	return csv;
}

/* "2:a|b 4:c": the rows with their lines; "!": the row is bad */
static void rows_write(char *buf, size_t size, const char *text, size_t n)
{
	struct csv *csv = csv_of(text, n);
	size_t at = 0;

	buf[0] = '\0';
	while (csv_row(csv)) {
		at += (size_t)snprintf(buf + at, size - at,
				       "%s%u:", at ? " " : "", csv->line);
		for (int i = 0; i < csv->n && !csv->why; i++)
			at += (size_t)snprintf(buf + at, size - at, "%s%s",
					       i ? "|" : "", csv->field[i]);
		if (csv->why)
			at += (size_t)snprintf(buf + at, size - at, "!%s",
					       csv->why);
	}
	assert_int_equal(csv_done(csv), csv_total(csv));
	free(csv);
}

static void rows_are_what_rfc_4180_says(void **s)
{
	static const struct {
		const char *text, *rows;
	} rows[] = {
		{ "", "" },
		{ "a,b\nc,d\n", "1:a|b 2:c|d" },
		{ "a,b\r\nc,d", "1:a|b 2:c|d" },
		{ "\n\na\n\n\nb\n", "3:a 6:b" },
		{ "a,,\n", "1:a||" },
		{ "\"a,b\",\"c\"\"d\"\n", "1:a,b|c\"d" },
		{ "\"\"\n", "1:" },
		{ "\xef\xbb\xbf"
		  "a\n",
		  "1:a" },
		{ "\"a\nb\"\nc\n", "1:!has a control character 3:c" },
		{ "\"a\n", "1:!has a quote that is not closed" },
		{ "\"a\"b\nc\n", "1:!has text behind a quote 2:c" },
		{ "a\"b\nc\n", "1:!has a quote inside a value 2:c" },
		{ "a\tb\n", "1:!has a control character" },
		{ "a\rb\n", "1:!has a control character" },
	};
	char buf[512];
	(void)s;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		rows_write(buf, sizeof(buf), rows[i].text,
			   strlen(rows[i].text));
		assert_string_equal(buf, rows[i].rows);
	}
}

static void what_is_too_much_makes_one_bad_row(void **s)
{
	size_t n = 3 * CSV_ROW;
	char *text = malloc(n), buf[128];
	(void)s;

	assert_non_null(text);
	memset(text, ',', 2 * CSV_COLUMNS);
	memcpy(text + 2 * CSV_COLUMNS, "\nz\n", 3);
	rows_write(buf, sizeof(buf), text, 2 * CSV_COLUMNS + 3);
	assert_string_equal(buf, "1:!has too many columns 2:z");

	memset(text, 'a', CSV_FIELD + 1);
	memcpy(text + CSV_FIELD + 1, "\nz\n", 3);
	rows_write(buf, sizeof(buf), text, CSV_FIELD + 4);
	assert_string_equal(buf, "1:!has a value that is too long 2:z");

	/* Each value fits, all of them do not */
	memset(text, 'a', n);
	for (size_t i = 4000; i < n; i += 4000)
		text[i] = ',';
	memcpy(text + n - 3, "\nz\n", 3);
	rows_write(buf, sizeof(buf), text, n);
	assert_string_equal(buf, "1:!has a value that is too long 2:z");
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rows_are_what_rfc_4180_says),
		cmocka_unit_test(what_is_too_much_makes_one_bad_row),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
