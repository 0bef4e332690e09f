/*
 * Texts of one owner: set, set again, joined, packed, copied
 */
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <string.h>
#include <cmocka.h>
#include "sbc/texts.h"

enum {
	N = 4
};

static struct texts texts;
static uint16_t at[N];

static int teardown(void **s)
{
	(void)s;
	texts_clear(&texts);
	memset(at, 0, sizeof(at));
	return 0;
}

static int put(size_t i, const char *text)
{
	struct pl pl = range_of(text);

	return texts_set(&texts, &at[i], &pl);
}

static void has(size_t i, const char *text)
{
	const char *got = texts_get(&texts, at[i]);

	if (!text) {
		assert_null(got);
		return;
	}
	assert_non_null(got);
	assert_string_equal(got, text);
}

static void what_was_set_last_is_there_and_nothing_beside_it_changed(void **s)
{
	char text[200];
	(void)s;

	has(0, NULL);
	assert_int_equal(put(0, "sip:alice@a.example"), 0);
	assert_int_equal(put(1, "sip:bob@b.example"), 0);
	/* shorter: where it stood; longer: behind the others, and another block
	 * now and then */
	for (size_t n = sizeof(text) - 1; n; n--) {
		memset(text, 'x', n);
		text[n] = '\0';
		assert_int_equal(put(2, text), 0);
		has(2, text);
		has(0, "sip:alice@a.example");
		has(1, "sip:bob@b.example");
	}
	for (size_t n = 1; n < sizeof(text); n++) {
		memset(text, 'y', n);
		text[n] = '\0';
		assert_int_equal(put(0, text), 0);
		has(0, text);
		has(1, "sip:bob@b.example");
		has(2, "x");
	}
}

static void an_empty_text_is_none(void **s)
{
	(void)s;
	assert_int_equal(put(0, "a"), 0);
	assert_int_equal(put(0, ""), 0);
	has(0, NULL);
	assert_int_equal(texts_join(&texts, &at[1], NULL, 0), 0);
	has(1, NULL);
}

/* From and To get another tag: the value in front of it is of the same text */
static void a_text_may_be_made_of_pieces_of_itself(void **s)
{
	struct pl part[3];
	char want[400];
	(void)s;

	assert_int_equal(put(0, "<sip:a@x>;tag=old"), 0);
	strcpy(want, "<sip:a@x>");
	for (int i = 0; i < 40; i++) {
		part[0] = range_of(texts_get(&texts, at[0]));
		if (!i)
			part[0].l = strlen("<sip:a@x>");
		part[1] = range_of(";t=");
		part[2].p = part[0].p + 1;
		part[2].l = 3;
		assert_int_equal(texts_join(&texts, &at[0], part, 3), 0);
		strcat(want, ";t=sip");
		has(0, want);
	}
	part[0] = range_of(texts_get(&texts, at[0]));
	part[0].p += 5;
	part[0].l -= 5;
	assert_int_equal(texts_set(&texts, &at[0], part), 0);
	has(0, want + 5);
}

static void packed_they_take_what_they_need_and_are_the_same(void **s)
{
	char text[300];
	(void)s;

	memset(text, 'z', sizeof(text));
	text[299] = '\0';
	assert_int_equal(put(0, text), 0);
	assert_int_equal(put(1, "target"), 0);
	assert_int_equal(put(0, "short"), 0);
	at[2] = at[1];
	texts_pack(&texts, at, N);
	assert_int_equal(texts.used, 1 + 6 + 7 + 7);
	assert_int_equal(texts.size, texts.used);
	has(0, "short");
	has(1, "target");
	has(2, "target");
	has(3, NULL);
	/* each has a place of its own now */
	assert_int_equal(put(2, "other"), 0);
	has(1, "target");
	/* and they grow again */
	assert_int_equal(put(3, text), 0);
	has(3, text);
	has(0, "short");
	/* nothing to give back */
	at[0] = at[1] = at[2] = 0;
	texts_pack(&texts, at, N);
	has(3, text);
}

static void without_texts_there_is_nothing_to_pack_or_to_copy(void **s)
{
	struct texts copy = { 0 };
	(void)s;

	texts_pack(&texts, at, N);
	assert_null(texts.room);
	assert_int_equal(texts_copy(&copy, &texts), 0);
	assert_null(copy.room);
}

static void a_copy_goes_its_own_way(void **s)
{
	struct texts copy = { 0 };
	(void)s;

	assert_int_equal(put(0, "one"), 0);
	assert_int_equal(put(1, "two"), 0);
	assert_int_equal(texts_copy(&copy, &texts), 0);
	assert_int_equal(put(0, "1"), 0);
	assert_string_equal(texts_get(&copy, at[1]), "two");
	assert_string_equal(texts_get(&copy, 1), "one");
	texts_clear(&copy);
	has(1, "two");
}

static void more_than_64_kib_is_refused_and_nothing_changes(void **s)
{
	char *large = mem_alloc(70000, NULL);
	struct pl pl = { large, 69999 };
	(void)s;

	memset(large, 'l', 69999);
	assert_int_equal(put(0, "kept"), 0);
	assert_int_equal(texts_set(&texts, &at[0], &pl), EMSGSIZE);
	has(0, "kept");
	assert_int_equal(texts_reserve(&texts, 70000), EMSGSIZE);
	pl.l = 40000;
	assert_int_equal(texts_set(&texts, &at[1], &pl), 0);
	assert_int_equal(texts_set(&texts, &at[2], &pl), EMSGSIZE);
	has(0, "kept");
	assert_int_equal(strlen(texts_get(&texts, at[1])), 40000);
	mem_deref(large);
}

int main(void)
{
#define T(f) cmocka_unit_test_teardown(f, teardown)
	const struct CMUnitTest tests[] = {
		T(what_was_set_last_is_there_and_nothing_beside_it_changed),
		T(an_empty_text_is_none),
		T(a_text_may_be_made_of_pieces_of_itself),
		T(packed_they_take_what_they_need_and_are_the_same),
		T(without_texts_there_is_nothing_to_pack_or_to_copy),
		T(a_copy_goes_its_own_way),
		T(more_than_64_kib_is_refused_and_nothing_changes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
