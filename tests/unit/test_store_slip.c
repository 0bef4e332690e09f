/*
 * Slips: what is put comes back, whatever its length; too much is no record
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
#include "store/slip.h"

static char *letters; /* as many as a slip takes, and more */

static int begin(void **s)
{
	(void)s;
	letters = malloc(SLIP_MOST + 1);
	if (!letters)
		return -1;
	for (size_t i = 0; i <= SLIP_MOST; i++)
		letters[i] = (char)('a' + i % 23);

	return 0;
}

static int finish(void **s)
{
	(void)s;
	free(letters);

	return 0;
}

static void texts_of_any_length_come_back(void **state)
{
	static const size_t lengths[] = { 0, 1, 2000,  31, 32,   33,
					  1, 0, 60000, 5,  65535 };
	char room[SLIP_ROOM];
	struct slip s;
	struct strip strip;
	size_t bytes = 0;
	(void)state;

	slip_init(&s, room);
	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
		slip_put(&s, 2 * i, letters + i, lengths[i]);
		bytes += lengths[i];
	}
	slip_put_str(&s, 40, NULL);
	slip_put_str(&s, 41, "");
	slip_put_str(&s, 64, "end");
	assert_int_equal(s.err, 0);

	strip = slip_strip(&s);
	assert_int_equal(strip.n, SLIP_FIELDS);
	assert_int_equal(strip.bytes, bytes + 3);
	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
		struct pl text = strip_get(&strip, 2 * i);

		assert_int_equal(text.l, lengths[i]);
		assert_memory_equal(text.p, letters + i, lengths[i]);
		assert_int_equal(strip_get(&strip, 2 * i + 1).l, 0);
	}
	assert_int_equal(strip_get(&strip, 40).l + strip_get(&strip, 41).l, 0);
	assert_memory_equal(strip_get(&strip, 64).p, "end", 3);
	slip_finish(&s);
}

static void a_text_or_a_record_that_is_too_long_is_none(void **state)
{
	static const struct {
		size_t length[5];
		int err;
	} rows[] = {
		{ { 65535 }, 0 },
		{ { 65536 }, EMSGSIZE },
		{ { 65535, 65536 }, EMSGSIZE }, /* though it has room by now */
		{ { 65535, 65535, 65535, SLIP_MOST - 3 * 65535 }, 0 },
		{ { 65535, 65535, 65535, SLIP_MOST - 3 * 65535, 1 }, EMSGSIZE },
	};
	char room[SLIP_ROOM];
	(void)state;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct slip s;

		slip_init(&s, room);
		for (size_t k = 0; k < 5; k++)
			slip_put(&s, k, letters, rows[i].length[k]);
		assert_int_equal(s.err, rows[i].err);
		slip_put(&s, 6, "x", 1); /* what went wrong stays wrong */
		assert_int_equal(s.err, i == 3 ? EMSGSIZE : rows[i].err);

		slip_clear(&s);
		slip_put(&s, 0, "x", 1);
		assert_int_equal(s.err, 0);
		assert_int_equal(slip_strip(&s).bytes, 1);
		slip_finish(&s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(texts_of_any_length_come_back),
		cmocka_unit_test(a_text_or_a_record_that_is_too_long_is_none),
	};

	return cmocka_run_group_tests(tests, begin, finish);
}
