/*
 * The promised hash is SipHash-2-4; the table never pays for its growth at once
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "store/hash.h"

enum {
	MANY = 20000
};

struct thing {
	struct entry entry;
	unsigned number;
	unsigned seen;
};

static bool thing_is(const struct entry *e, const void *number)
{
	return ((const struct thing *)e)->number == *(const unsigned *)number;
}

static void thing_see(struct entry *e, void *arg)
{
	((struct thing *)e)->seen++;
	(void)arg;
}

static void thing_drop(struct entry *e, void *table)
{
	table_remove(table, e);
}

static void the_hash_gives_the_authors_test_vectors(void **s)
{
	/* SipHash paper, appendix A: key 00..0f, input 00, 01, ... */
	static const uint64_t k[2] = { 0x0706050403020100ull,
				       0x0f0e0d0c0b0a0908ull };
	static const uint8_t in[15] = { 0, 1, 2,  3,  4,  5,  6, 7,
					8, 9, 10, 11, 12, 13, 14 };
	(void)s;

	assert_int_equal(hash_keyed(k, in, 15), 0xa129ca6149be45e5ull);
	assert_int_equal(hash_keyed(k, in, 0), 0x726fdb47dd0e0e31ull);
	assert_int_equal(hash_keyed(k, in, 1), 0x74f839c593dc67fdull);
}

static void only_ascii_letters_lose_their_case(void **s)
{
	(void)s;

	for (int c = 0; c < 256; c++) {
		char a[11], b[11];
		bool letter = c >= 'A' && c <= 'Z';

		memset(a, c, sizeof(a));
		memset(b, c | 0x20, sizeof(b));
		if (letter || a[0] == b[0])
			assert_int_equal(hash_nocase(a, 11),
					 hash_nocase(b, 11));
		else
			assert_int_not_equal(hash_nocase(a, 11),
					     hash_nocase(b, 11));
	}
	assert_int_not_equal(hash_bytes("A", 1), hash_bytes("a", 1));
	assert_int_not_equal(hash_mix(1, 2), hash_mix(2, 1));
}

static struct thing *many(struct table *t, unsigned n)
{
	struct thing *things = calloc(n, sizeof(*things));

	assert_non_null(things);
	table_init(t);
	for (unsigned i = 0; i < n; i++) {
		things[i].number = i;
		assert_int_equal(table_add(t, &things[i].entry,
					   hash_bytes(&i, sizeof(i))),
				 0);
	}

	return things;
}

static void every_entry_is_found_at_every_moment_of_growth(void **s)
{
	struct table t;
	struct thing *things = calloc(3000, sizeof(*things));

	table_init(&t);
	for (unsigned i = 0; i < 3000; i++) {
		unsigned first = 0, half = i / 2;

		things[i].number = i;
		table_add(&t, &things[i].entry, hash_bytes(&i, sizeof(i)));
		assert_ptr_equal(
			table_find(&t, hash_bytes(&i, sizeof(i)), thing_is, &i),
			&things[i].entry);
		assert_non_null(table_find(&t, hash_bytes(&half, sizeof(half)),
					   thing_is, &half));
		assert_non_null(table_find(&t,
					   hash_bytes(&first, sizeof(first)),
					   thing_is, &first));
	}
	assert_int_equal(t.count, 3000);
	table_finish(&t);
	free(things);
	(void)s;
}

static void an_insert_moves_two_chains_at_most(void **s)
{
	struct table t;
	struct thing *things = calloc(MANY, sizeof(*things));

	table_init(&t);
	for (unsigned i = 0; i < MANY; i++) {
		size_t before = t.old ? t.moved : 0;

		table_add(&t, &things[i].entry, hash_bytes(&i, sizeof(i)));
		if (t.old)
			assert_true(t.moved - before <= 2);
		assert_true(t.count <= t.size + 1);
	}
	table_finish(&t);
	free(things);
	(void)s;
}

static void a_removed_entry_is_gone_and_a_stranger_ignored(void **s)
{
	struct table t, empty;
	struct thing *things = many(&t, 1000);
	struct thing stranger = { .number = 5 };
	unsigned n = 5;

	stranger.entry.hash = things[5].entry.hash;
	table_remove(&t, &stranger.entry);
	assert_int_equal(t.count, 1000);

	table_remove(&t, &things[5].entry);
	assert_null(table_find(&t, hash_bytes(&n, sizeof(n)), thing_is, &n));
	table_remove(&t, &things[5].entry);
	assert_int_equal(t.count, 999);

	table_init(&empty);
	table_remove(&empty, &stranger.entry);
	assert_null(table_find(&empty, 0, thing_is, &n));
	assert_int_equal(table_walk(&empty, 0, 1, thing_see, NULL), 0);

	table_finish(&t);
	free(things);
	(void)s;
}

/* 1000 entries come and go while the table grows: what is in it is found, in
 * chains that were empty before, too, and nothing else */
static void who_comes_and_goes_is_found_while_he_is_there(void **s)
{
	enum {
		THINGS = 1000,
		STEPS = 20000
	};
	struct table t;
	struct thing *things = calloc(THINGS, sizeof(*things));
	bool *in = calloc(THINGS, sizeof(*in));
	uint64_t chance = 1;

	table_init(&t);
	for (unsigned step = 0; step < STEPS; step++) {
		/* a few of them at first, all of them later */
		unsigned few =
			10 + step / 18 < THINGS ? 10 + step / 18 : THINGS;
		unsigned i = (unsigned)(chance >> 33) % few;
		uint64_t hash = hash_bytes(&i, sizeof(i));

		chance = chance * 6364136223846793005ull + 1442695040888963407u;
		things[i].number = i;
		if (in[i])
			table_remove(&t, &things[i].entry);
		else
			assert_int_equal(table_add(&t, &things[i].entry, hash),
					 0);
		in[i] = !in[i];
		assert_ptr_equal(table_find(&t, hash, thing_is, &i),
				 in[i] ? &things[i].entry : NULL);
	}
	for (unsigned i = 0; i < THINGS; i++)
		assert_ptr_equal(
			table_find(&t, hash_bytes(&i, sizeof(i)), thing_is, &i),
			in[i] ? &things[i].entry : NULL);
	table_finish(&t);
	free(things);
	free(in);
	(void)s;
}

static void slices_see_each_entry_once(void **s)
{
	struct table t;
	struct thing *things = many(&t, 1030); /* in the middle of growth */
	size_t at = 0, slices = 0;

	assert_non_null(t.old);
	do {
		at = table_walk(&t, at, 10, thing_see, NULL);
		slices++;
	} while (at);
	assert_true(slices > 10);
	for (unsigned i = 0; i < 1030; i++)
		assert_int_equal(things[i].seen, 1);

	table_finish(&t);
	free(things);
	(void)s;
}

static void a_walk_may_remove_what_it_is_given(void **s)
{
	struct table t;
	struct thing *things = many(&t, 1030);

	assert_int_equal(table_walk(&t, 0, SIZE_MAX, thing_drop, &t), 0);
	assert_int_equal(t.count, 0);
	table_finish(&t);
	free(things);
	(void)s;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_hash_gives_the_authors_test_vectors),
		cmocka_unit_test(only_ascii_letters_lose_their_case),
		cmocka_unit_test(
			every_entry_is_found_at_every_moment_of_growth),
		cmocka_unit_test(an_insert_moves_two_chains_at_most),
		cmocka_unit_test(
			a_removed_entry_is_gone_and_a_stranger_ignored),
		cmocka_unit_test(who_comes_and_goes_is_found_while_he_is_there),
		cmocka_unit_test(slices_see_each_entry_once),
		cmocka_unit_test(a_walk_may_remove_what_it_is_given),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
