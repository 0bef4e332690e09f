/*
 * Unit tests: a byte stream is cut into messages and pings
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "store/base.h"
#include "sbc/framing.h"

#define START "OPTIONS sip:a SIP/2.0\r\n"

enum {
	LIMIT = 65535
};

struct row {
	const char *text;
	enum framing_what what;
	size_t length;
};

static const struct row rows[] = {
	{ START "Content-Length: 0\r\n\r\n", FRAMING_MESSAGE, 44 },
	{ START "Content-Length: 3\r\n\r\nabc", FRAMING_MESSAGE, 47 },
	{ START "Content-Length: 3\r\n\r\nabcd", FRAMING_MESSAGE, 47 },
	{ START "Content-Length: 3\r\n\r\nab", FRAMING_MORE, 0 },
	{ START "l: 3\r\n\r\nabc", FRAMING_MESSAGE, 34 },
	{ START "L:3\r\n\r\nabc", FRAMING_MESSAGE, 33 },
	{ START "content-LENGTH : 3 \r\n\r\nabc", FRAMING_MESSAGE, 49 },
	{ START "Content-Length:\r\n 3\r\n\r\nabc", FRAMING_MESSAGE, 49 },
	{ START "Content-Length: 3\r\n \r\n\r\nabc", FRAMING_MESSAGE, 50 },
	{ START "l: 1\r\nl: 1\r\n\r\na", FRAMING_MESSAGE, 38 },
	{ "SIP/2.0 200 OK\r\nl: 0\r\n\r\n", FRAMING_MESSAGE, 24 },
	/* a header that only looks like it */
	{ START "X-l: 5\r\nl: 0\r\n\r\n", FRAMING_MESSAGE, 39 },
	{ START "X: a\r\n l: 5\r\nl: 0\r\n\r\n", FRAMING_MESSAGE, 44 },

	{ "", FRAMING_MORE, 0 },
	{ "O", FRAMING_MORE, 0 },
	{ START, FRAMING_MORE, 0 },
	{ START "l: 0\r\n", FRAMING_MORE, 0 },
	{ START "l: 0\r\n\r", FRAMING_MORE, 0 },
	{ "\r", FRAMING_MORE, 0 },
	{ "\r\n", FRAMING_MORE, 0 },
	{ "\r\n\r", FRAMING_MORE, 0 },
	{ "\r\n\r\n", FRAMING_PING, 4 },
	{ "\r\n\r\n\r\n", FRAMING_PING, 4 },
	{ "\r\nO", FRAMING_PONG, 2 },
	{ "\r\n\rO", FRAMING_PONG, 2 },

	{ "\n", FRAMING_BROKEN, 0 },
	{ "\rO", FRAMING_BROKEN, 0 },
	{ " OPTIONS", FRAMING_BROKEN, 0 },
	{ "\x16\x03\x01", FRAMING_BROKEN, 0 }, /* TLS at the wrong port */
	{ "GET / HTTP/1.1\r\n", FRAMING_BROKEN, 0 },
	{ START "A: b\n\r\n", FRAMING_BROKEN, 0 },
	{ START "A: b\rc\r\n", FRAMING_BROKEN, 0 },
	{ START "A: b\r\r\n", FRAMING_BROKEN, 0 },
	/* the header section is there: the length says what can be answered */
	{ START "A: b\r\n\r\n", FRAMING_BROKEN, 31 },
	{ START "l: -1\r\n\r\n", FRAMING_BROKEN, 32 },
	{ START "l: +1\r\n\r\n", FRAMING_BROKEN, 32 },
	{ START "l: 1x\r\n\r\n", FRAMING_BROKEN, 32 },
	{ START "l: 0x1\r\n\r\n", FRAMING_BROKEN, 33 },
	{ START "l: 1 2\r\n\r\n", FRAMING_BROKEN, 33 },
	{ START "l: 1,2\r\n\r\n", FRAMING_BROKEN, 33 },
	{ START "l:\r\n\r\n", FRAMING_BROKEN, 29 },
	{ START "l: 1\r\nContent-Length: 2\r\n\r\nab", FRAMING_BROKEN, 50 },
	{ START "l: 99999999999999999999\r\n\r\n", FRAMING_BROKEN, 50 },
	{ START "l: 4294967296\r\n\r\n", FRAMING_BROKEN, 40 },
	{ START "l: 65536\r\n\r\n", FRAMING_BROKEN, 35 },
};

static void each_stream_is_cut_where_it_must(void **s)
{
	size_t i, length;
	(void)s;

	for (i = 0; i < sizeof(rows) / sizeof(*rows); ++i) {
		const struct row *r = &rows[i];
		struct framing f;
		enum framing_what what;

		framing_init(&f, LIMIT);
		what = framing_next(&f, (const uint8_t *)r->text,
				    strlen(r->text), &length);
		if (what != r->what || length != r->length)
			fail_msg("row %zu: %d %zu", i, what, length);
	}
}

static void bytes_one_by_one_give_the_same(void **s)
{
	size_t i, n, length = 0;
	(void)s;

	for (i = 0; i < sizeof(rows) / sizeof(*rows); ++i) {
		const struct row *r = &rows[i];
		enum framing_what what = FRAMING_MORE;
		struct framing f;

		framing_init(&f, LIMIT);
		for (n = 1; n <= strlen(r->text) && what == FRAMING_MORE; ++n)
			what = framing_next(&f, (const uint8_t *)r->text, n,
					    &length);
		/* what one has to look ahead for is decided as early */
		if (what != r->what ||
		    (what != FRAMING_MORE && length != r->length))
			fail_msg("row %zu: %d %zu", i, what, length);
	}
}

static void a_stream_of_several_is_cut_into_each(void **s)
{
	static const char text[] = "\r\n\r\n" START "l: 2\r\n\r\nab"
				   "\r\n" START "l: 0\r\n\r\n" START;
	static const enum framing_what expect[] = {
		FRAMING_PING, FRAMING_MESSAGE, FRAMING_PONG, FRAMING_MESSAGE,
		FRAMING_MORE
	};
	const uint8_t *p = (const uint8_t *)text;
	size_t i, length, n = strlen(text);
	struct framing f;
	(void)s;

	framing_init(&f, LIMIT);
	for (i = 0; i < 5; ++i) {
		assert_int_equal(framing_next(&f, p, n, &length), expect[i]);
		p += length;
		n -= length;
	}
	assert_int_equal(n, strlen(START));
}

static void too_long_is_told_apart_from_broken(void **s)
{
	static const char text[] = START "l: 2000\r\n\r\n";
	struct framing f;
	size_t length;
	(void)s;

	framing_init(&f, 2000);
	assert_int_equal(
		framing_next(&f, (const uint8_t *)text, strlen(text), &length),
		FRAMING_BROKEN);
	assert_true(f.too_long);
	assert_int_equal(length, strlen(text));

	framing_init(&f, 2000 + strlen(text));
	assert_int_equal(
		framing_next(&f, (const uint8_t *)text, strlen(text), &length),
		FRAMING_MORE);
	assert_false(f.too_long);
}

static void headers_without_end_are_given_up_in_time(void **s)
{
	static char text[20000];
	struct framing f;
	size_t length, n;
	(void)s;

	memset(text, 'a', sizeof(text));
	memcpy(text, START "X: ", strlen(START) + 3);
	framing_init(&f, LIMIT);
	for (n = 1; n < sizeof(text); ++n) {
		if (framing_next(&f, (const uint8_t *)text, n, &length) !=
		    FRAMING_MORE)
			break;
	}
	assert_int_equal(n, 16384);
	/* what can be read of it are its whole lines: a 400 */
	assert_int_equal(length, strlen(START));
	assert_true(f.cut);
	assert_false(f.too_long);

	framing_init(&f, 2048); /* longer than any message may be: 513 */
	assert_int_equal(
		framing_next(&f, (const uint8_t *)text, sizeof(text), &length),
		FRAMING_BROKEN);
	assert_int_equal(length, strlen(START));
	assert_true(f.too_long);
}

static void a_first_line_without_end_tells_nothing(void **s)
{
	static char text[20000];
	struct framing f;
	size_t length;
	(void)s;

	memset(text, 'a', sizeof(text));
	framing_init(&f, LIMIT);
	assert_int_equal(
		framing_next(&f, (const uint8_t *)text, sizeof(text), &length),
		FRAMING_BROKEN);
	assert_int_equal(length, 0);
	assert_false(f.cut);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_stream_is_cut_where_it_must),
		cmocka_unit_test(bytes_one_by_one_give_the_same),
		cmocka_unit_test(a_stream_of_several_is_cut_into_each),
		cmocka_unit_test(too_long_is_told_apart_from_broken),
		cmocka_unit_test(headers_without_end_are_given_up_in_time),
		cmocka_unit_test(a_first_line_without_end_tells_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
