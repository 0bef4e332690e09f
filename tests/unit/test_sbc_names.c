/*
 * Names of ours are recognised and lead to their worker; others are not ours
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <ctype.h>
#include <string.h>
#include "sbc/names.h"

static struct pl text(const char *p)
{
	struct pl pl = { p, strlen(p) };

	return pl;
}

static void each_worker_finds_its_names(void **s)
{
	for (unsigned w = 0; w < 256; w++) {
		char tag[TAG_SIZE], callid[CALLID_SIZE], branch[BRANCH_SIZE];
		struct pl pl;
		uint8_t got;

		names_tag(tag, (uint8_t)w);
		names_callid(callid, (uint8_t)w);
		names_branch(branch, (uint8_t)w);
		assert_int_equal(strlen(tag), TAG_SIZE - 1);
		assert_int_equal(strlen(callid), CALLID_SIZE - 1);
		assert_int_equal(strlen(branch), BRANCH_SIZE - 1);
		assert_memory_equal(branch, "z9hG4bK", 7);

		pl = text(tag);
		got = (uint8_t)~w;
		assert_true(names_is_tag(&pl, &got));
		assert_int_equal(got, w);
		assert_false(names_is_callid(&pl, &got));
		assert_false(names_is_branch(&pl, &got));

		pl = text(callid);
		got = (uint8_t)~w;
		assert_true(names_is_callid(&pl, &got));
		assert_int_equal(got, w);
		assert_false(names_is_tag(&pl, &got));

		pl = text(branch);
		got = (uint8_t)~w;
		assert_true(names_is_branch(&pl, &got));
		assert_int_equal(got, w);
	}
	(void)s;
}

/* RFC 3261 7.3.1: a peer may change the case of a tag or branch */
static void names_survive_a_change_of_case(void **s)
{
	char tag[TAG_SIZE], branch[BRANCH_SIZE];
	struct pl pl;
	uint8_t got = 0;

	names_tag(tag, 200);
	names_branch(branch, 200);
	for (char *p = tag; *p; p++)
		*p = (char)toupper(*p);
	for (char *p = branch; *p; p++)
		*p = (char)toupper(*p);
	pl = text(tag);
	assert_true(names_is_tag(&pl, &got));
	assert_int_equal(got, 200);
	pl = text(branch);
	got = 0;
	assert_true(names_is_branch(&pl, &got));
	assert_int_equal(got, 200);
	(void)s;
}

static void names_of_others_are_not_ours(void **s)
{
	static const char *const tags[] = {
		"",
		"0",
		"000123456789abc",   /* short */
		"000123456789abcde", /* long */
		"000123456789abcw",  /* a letter we do not use */
		"000123456789ab-c",
		"000123456789ab c",
		"800123456789abcd", /* no worker has the number 256 */
		"v00123456789abcd",
		"\xff\xff"
		"0123456789abcd",
	};
	static const char *const branches[] = {
		"z9hG4bK",
		"z9hG4bK00123456789abcdefghi",
		"z9hG4bK00123456789abcdefghi01",
		"z9hG4bX00123456789abcdefghi0",
		"z9hG4bK80123456789abcdefghi0",
		"z9hG4bK0012345678.abcdefghi0",
	};
	uint8_t got;

	for (size_t i = 0; i < sizeof(tags) / sizeof(tags[0]); i++) {
		struct pl pl = text(tags[i]);

		assert_false(names_is_tag(&pl, &got));
		assert_false(names_is_callid(&pl, &got));
	}
	for (size_t i = 0; i < sizeof(branches) / sizeof(branches[0]); i++) {
		struct pl pl = text(branches[i]);

		assert_false(names_is_branch(&pl, &got));
	}
	(void)s;
}

static void a_name_is_not_read_beyond_its_end(void **s)
{
	char tag[TAG_SIZE];
	struct pl pl = { tag, TAG_SIZE - 2 };
	uint8_t got;

	names_tag(tag, 0);
	assert_false(names_is_tag(&pl, &got));
	pl.l = 0;
	pl.p = NULL;
	assert_false(names_is_tag(&pl, &got));
	assert_false(names_is_branch(&pl, &got));
	(void)s;
}

static void no_two_tags_are_equal(void **s)
{
	char a[TAG_SIZE], b[TAG_SIZE];

	for (int i = 0; i < 1000; i++) {
		names_tag(a, 1);
		names_tag(b, 1);
		assert_string_not_equal(a, b);
	}
	(void)s;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_worker_finds_its_names),
		cmocka_unit_test(names_survive_a_change_of_case),
		cmocka_unit_test(names_of_others_are_not_ours),
		cmocka_unit_test(a_name_is_not_read_beyond_its_end),
		cmocka_unit_test(no_two_tags_are_equal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
