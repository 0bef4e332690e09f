/*
 * Text of call records, quoted for CSV and for JSON
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
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

/* Room for the texts of one strip, no more than it may have */
struct texts {
	uint16_t length[8];
	char *text; /* on the heap: a look beyond the end is found there */
	struct strip strip;
};

static const struct strip *strip_of(struct texts *t, const struct pl *text,
				    size_t n)
{
	size_t bytes = 0;

	assert_true(n <= ARRAY_SIZE(t->length));
	for (size_t i = 0; i < n; i++)
		bytes += text[i].l;
	t->text = malloc(bytes + QUOTE_SLACK);
	assert_non_null(t->text);
	memset(t->text, '"', bytes + QUOTE_SLACK); /* the slack is no text */
	t->strip = (struct strip){ t->length, t->text, n, 0 };
	for (size_t i = 0; i < n; i++) {
		memcpy(t->text + t->strip.bytes, text[i].p, text[i].l);
		t->length[i] = (uint16_t)text[i].l;
		t->strip.bytes += text[i].l;
	}

	return &t->strip;
}

static void same(const char *buf, const char *end, const char *wanted, size_t n)
{
	assert_int_equal(end - buf, n);
	assert_memory_equal(buf, wanted, n);
}

static void each_reader_gets_the_text_back(void **state)
{
	(void)state;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct row *row = &rows[i];
		const struct pl text = { row->text, row->n };
		/* A text with a zero byte is as long in CSV as it was */
		size_t n = memchr(row->text, 0, row->n) ? row->n
							: strlen(row->csv);
		char wanted[128], buf[QUOTE_JSON_MOST(1, 64)];
		struct texts t;
		const struct strip *s = strip_of(&t, &text, 1);

		memcpy(wanted, row->csv, n);
		wanted[n] = '\n';
		same(buf, quote_csv(buf, s), wanted, n + 1);
		n = (size_t)snprintf(wanted, sizeof(wanted), "[%s]", row->json);
		same(buf, quote_json(buf, s), wanted, n);
		free(t.text);
	}
}

/* One that needs an escape changes nothing of its neighbours, wherever it is */
static void an_escape_is_that_of_its_text_alone(void **state)
{
	const struct pl one = PL("0123456789abcdefghij"), none = PL(""),
			comma = PL("a,b"), slash = PL("a\\b");
	struct texts t;
	(void)state;

	for (size_t at = 0; at < 5; at++) {
		struct pl text[5] = { one, none, one, none, one };
		char buf[QUOTE_JSON_MOST(5, 128)], wanted[256] = "";
		const struct strip *s;

		text[at] = comma;
		s = strip_of(&t, text, 5);
		for (size_t i = 0; i < 5; i++)
			(void)snprintf(wanted + strlen(wanted), 64, "%s%s",
				       i ? "," : "",
				       i == at ? "\"a,b\""
				       : i & 1 ? ""
					       : one.p);
		strcat(wanted, "\n");
		same(buf, quote_csv(buf, s), wanted, strlen(wanted));
		free(t.text);

		text[at] = slash;
		s = strip_of(&t, text, 5);
		strcpy(wanted, "[");
		for (size_t i = 0; i < 5; i++)
			(void)snprintf(wanted + strlen(wanted), 64, "%s\"%s\"",
				       i ? "," : "",
				       i == at ? "a\\\\b"
				       : i & 1 ? ""
					       : one.p);
		strcat(wanted, "]");
		same(buf, quote_json(buf, s), wanted, strlen(wanted));
		free(t.text);
	}
}

/* A special byte is found at each place of texts of each length, and only there */
static void no_place_of_a_special_byte_is_overlooked(void **state)
{
	char text[70], buf[QUOTE_JSON_MOST(3, 70)];
	(void)state;

	for (size_t n = 1; n < sizeof(text); n++) {
		for (size_t at = 0; at <= n; at++) {
			struct pl part[3] = { { text, n / 3 },
					      { text + n / 3, 0 },
					      { text + n / 3, n - n / 3 } };
			size_t more = at < n;
			const struct strip *s;
			struct texts t;
			char *end;

			memset(text, 'x', n);
			if (more)
				text[at] = '"';
			s = strip_of(&t, part, 3);
			end = quote_csv(buf, s);
			assert_int_equal(end - buf, n + 3 + 3 * more);
			end = quote_json(buf, s);
			assert_int_equal(end - buf, n + 10 + more);
			free(t.text);
		}
	}
}

static void an_object_names_what_is_not_empty(void **state)
{
	static const struct {
		const char *text[3], *wanted;
	} cases[] = {
		{ { "", "", "" }, "{}\n" },
		{ { "", "17", "" }, "{\"b\":17}\n" },
		{ { "1", "07", "" }, "{\"a\":\"1\",\"b\":\"07\"}\n" },
		{ { "", "0", "x\ty" }, "{\"b\":0,\"c\":\"x\\u0009y\"}\n" },
		{ { "", "9223372036854775807", "z" },
		  "{\"b\":9223372036854775807,\"c\":\"z\"}\n" },
		{ { "", "9223372036854775808", "z" },
		  "{\"b\":\"9223372036854775808\",\"c\":\"z\"}\n" },
		{ { "", "-1", "" }, "{\"b\":\"-1\"}\n" },
	};
	struct label labels[3];
	(void)state;

	for (size_t i = 0; i < 3; i++)
		assert_int_equal(
			label_make(&labels[i],
				   (const char[]){ (char)('a' + i), 0 },
				   i == 1),
			0);
	assert_int_equal(
		label_make(&labels[0], "a-name-that-has-28-characters", false),
		ENAMETOOLONG);
	assert_int_equal(label_make(&labels[0], "a", false), 0);

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char buf[QUOTE_OBJECT_MOST(3, 64)];
		struct pl text[3];
		struct texts t;

		for (size_t k = 0; k < 3; k++)
			text[k] = range_of(cases[i].text[k]);
		same(buf, quote_object(buf, strip_of(&t, text, 3), labels),
		     cases[i].wanted, strlen(cases[i].wanted));
		free(t.text);
	}
}

/* On the heap, so that a byte beyond is found there */
static void no_text_takes_more_room_than_is_said(void **state)
{
	struct label label;
	(void)state;

	assert_int_equal(
		label_make(&label, "a-name-that-has-28-character", true), 0);
	for (unsigned c = 0; c < 256; c++) {
		for (size_t n = 0; n < 40; n++) {
			char bytes[40];
			const struct pl text = { bytes, n };
			char *csv = malloc(QUOTE_CSV_MOST(1, n)),
			     *json = malloc(QUOTE_JSON_MOST(1, n)),
			     *object = malloc(QUOTE_OBJECT_MOST(1, n));
			struct texts t;
			const struct strip *s;

			memset(bytes, (int)c, sizeof(bytes));
			s = strip_of(&t, &text, 1);
			assert_true(quote_csv(csv, s) <=
				    csv + QUOTE_CSV_MOST(1, n));
			assert_true(quote_json(json, s) <=
				    json + QUOTE_JSON_MOST(1, n));
			assert_true(quote_object(object, s, &label) <=
				    object + QUOTE_OBJECT_MOST(1, n));
			free(t.text);
			free(csv);
			free(json);
			free(object);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_reader_gets_the_text_back),
		cmocka_unit_test(an_escape_is_that_of_its_text_alone),
		cmocka_unit_test(no_place_of_a_special_byte_is_overlooked),
		cmocka_unit_test(an_object_names_what_is_not_empty),
		cmocka_unit_test(no_text_takes_more_room_than_is_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
