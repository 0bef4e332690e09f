/*
 * Numbers are read whole or not at all
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "store/number.h"

static void digits_and_nothing_else_are_a_number(void **s)
{
	static const struct {
		const char *text;
		uint64_t max;
		int err;
		uint64_t n;
	} rows[] = {
		{ "0", 9, 0, 0 },
		{ "0042", 42, 0, 42 },
		{ "9", 9, 0, 9 },
		{ "10", 9, ERANGE, 0 },
		{ "5", 0, ERANGE, 0 },
		{ "0", 0, 0, 0 },
		{ "", 9, EINVAL, 0 },
		{ "12x", 99, EINVAL, 0 },
		{ "99999999999999999999999x", 9, EINVAL, 0 },
		{ "+1", 9, EINVAL, 0 },
		{ "-1", 9, EINVAL, 0 },
		{ " 1", 9, EINVAL, 0 },
		{ "0x10", 99, EINVAL, 0 },
		{ "99999999999", UINT32_MAX, ERANGE, 0 },
		{ "4294967295", UINT32_MAX, 0, UINT32_MAX },
		{ "4294967296", UINT32_MAX, ERANGE, 0 },
		{ "18446744073709551615", UINT64_MAX, 0, UINT64_MAX },
		{ "18446744073709551616", UINT64_MAX, ERANGE, 0 },
		{ "184467440737095516150", UINT64_MAX, ERANGE, 0 },
		{ "9999999999999999999", UINT64_MAX, 0, 9999999999999999999u },
		{ "99999999999999999999", UINT64_MAX, ERANGE, 0 },
		{ "000000000000000000000000012", 12, 0, 12 },
	};
	(void)s;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct pl text = { rows[i].text, strlen(rows[i].text) };
		uint64_t n = 4711;

		assert_int_equal(uint_parse(&n, &text, rows[i].max),
				 rows[i].err);
		assert_int_equal(n, rows[i].err ? 4711 : rows[i].n);
	}
}

static void what_is_written_is_read_again(void **s)
{
	static const struct {
		uint64_t n;
		const char *text;
	} rows[] = {
		{ 0, "0" },
		{ 9, "9" },
		{ 10, "10" },
		{ 99, "99" },
		{ 100, "100" },
		{ 255, "255" },
		{ 1000, "1000" },
		{ 5060, "5060" },
		{ 65535, "65535" },
		{ 99999, "99999" },
		{ 100000, "100000" },
		{ 4294967295, "4294967295" },
		{ 10000000000, "10000000000" },
		{ UINT64_MAX, "18446744073709551615" },
	};
	(void)s;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char buf[20];
		struct pl text = { buf, uint_write(buf, rows[i].n) };
		uint64_t n;

		assert_int_equal(pl_strcmp(&text, rows[i].text), 0);
		assert_int_equal(uint_parse(&n, &text, UINT64_MAX), 0);
		assert_int_equal(n, rows[i].n);
	}
}

static void any_count_of_bytes_is_written_in_hex(void **s)
{
	uint8_t raw[256];
	char out[2 * sizeof(raw) + 1], expected[2 * sizeof(raw) + 1] = "";
	(void)s;

	for (size_t i = 0; i < sizeof(raw); i++)
		raw[i] = (uint8_t)(i * 7);
	for (size_t n = 0; n <= sizeof(raw); n++) {
		memset(out, 'x', sizeof(out));
		hex_write(out, raw, n);
		assert_memory_equal(out, expected, 2 * n);
		assert_int_equal(out[2 * n], 'x');
		if (n < sizeof(raw))
			(void)sprintf(expected + 2 * n, "%02x", raw[n]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(digits_and_nothing_else_are_a_number),
		cmocka_unit_test(what_is_written_is_read_again),
		cmocka_unit_test(any_count_of_bytes_is_written_in_hex),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
