/*
 * The longest prefix wins, and a tree gives what a loop over all would give
 */
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <setjmp.h>
#include <cmocka.h>
#include "store/base.h"
#include "realms/radix.h"

static struct prefix prefix(const char *text, uint8_t bits)
{
	struct prefix p = { .bits = bits };

	assert_int_equal(sa_set_str(&p.addr, text, 0), 0);

	return p;
}

static void *find(const struct radix *r, const char *text)
{
	struct sa sa;

	assert_int_equal(sa_set_str(&sa, text, 0), 0);

	return radix_find(r, &sa);
}

static void the_longest_prefix_wins(void **s)
{
	/* clang-format off */
	static const struct { const char *at; uint8_t bits; } in[] = {
		{ "10.0.0.0", 8 }, { "10.1.0.0", 16 }, { "10.1.2.0", 24 },
		{ "10.1.2.3", 32 }, { "0.0.0.0", 0 }, { "2001:db8::", 32 },
		{ "2001:db8::1", 128 }, { "10.1.2.128", 25 },
	};
	static const struct { const char *sa; int n; } rows[] = {
		{ "10.9.9.9", 0 }, { "10.1.9.9", 1 }, { "10.1.2.9", 2 },
		{ "10.1.2.3", 3 }, { "11.0.0.1", 4 }, { "2001:db8::2", 5 },
		{ "2001:db8::1", 6 }, { "2001:db9::1", -1 },
		{ "10.1.2.129", 7 }, { "10.1.2.127", 2 },
	};
	/* clang-format on */
	struct radix *r = NULL;

	assert_int_equal(radix_alloc(&r), 0);
	for (size_t i = 0; i < sizeof(in) / sizeof(in[0]); ++i) {
		struct prefix p = prefix(in[i].at, in[i].bits);

		assert_int_equal(radix_put(r, &p, (void *)&in[i]), 0);
	}
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); ++i) {
		const void *want = rows[i].n < 0 ? NULL : &in[rows[i].n];

		assert_ptr_equal(find(r, rows[i].sa), want);
	}
	for (size_t i = 0; i < sizeof(in) / sizeof(in[0]); ++i) {
		struct prefix p = prefix(in[i].at, in[i].bits);

		assert_ptr_equal(radix_at(r, &p), &in[i]);
	}
	mem_deref(r);
	(void)s;
}

static void any_holds_both_families_and_the_first_value_stays(void **s)
{
	struct prefix any = { .any = true }, v6 = prefix("::", 0);
	struct prefix bad = { 0 }, wide = prefix("10.0.0.0", 33);
	int a, b;
	struct radix *r = NULL;

	assert_int_equal(radix_alloc(&r), 0);
	assert_null(find(r, "10.0.0.1"));
	assert_int_equal(radix_put(r, &any, &a), 0);
	assert_int_equal(radix_put(r, &any, &b), EEXIST);
	assert_int_equal(radix_put(r, &v6, &b), EEXIST);
	assert_int_equal(radix_put(r, &bad, &b), EINVAL);
	assert_int_equal(radix_put(r, &wide, &b), EINVAL);
	assert_ptr_equal(find(r, "10.0.0.1"), &a);
	assert_ptr_equal(find(r, "2001:db8::1"), &a);
	mem_deref(r);
	(void)s;
}

static bool count_bits(void *value, void *arg)
{
	uint8_t **last = arg;

	assert_true(*last == NULL || **last > *(uint8_t *)value);
	*last = value;

	return false;
}

static void a_search_goes_from_long_to_short(void **s)
{
	static uint8_t bits[] = { 0, 9, 17, 25, 31, 32 };
	uint8_t *last = NULL;
	struct radix *r = NULL;
	struct sa sa;

	assert_int_equal(radix_alloc(&r), 0);
	for (size_t i = 0; i < sizeof(bits); ++i) {
		struct prefix p = prefix("10.1.2.3", bits[i]);

		assert_int_equal(radix_put(r, &p, &bits[i]), 0);
	}
	assert_int_equal(sa_set_str(&sa, "10.1.2.3", 0), 0);
	assert_null(radix_search(r, &sa, count_bits, &last));
	assert_ptr_equal(last, &bits[0]);
	mem_deref(r);
	(void)s;
}

static void random_prefixes_are_found_as_a_loop_finds_them(void **s)
{
	enum {
		N = 400,
		ASK = 4000
	};
	static struct prefix p[N];
	struct radix *r = NULL;
	size_t n = 0;

	srandom(1);
	assert_int_equal(radix_alloc(&r), 0);
	while (n < N) {
		struct prefix *q = &p[n];
		uint32_t bits = random() % 33;
		uint32_t mask = bits ? ~0u << (32 - bits) : 0;

		memset(q, 0, sizeof(*q));
		sa_set_in(&q->addr, (random() & 0xff0f0303u) & mask, 0);
		q->bits = bits;
		if (radix_put(r, q, q) == 0)
			++n;
	}
	for (int i = 0; i < ASK; ++i) {
		const struct prefix *best = NULL;
		struct sa sa;

		sa_set_in(&sa, random() & 0xff0f0303u, 0);
		for (n = 0; n < N; ++n) {
			uint32_t mask = p[n].bits ? ~0u << (32 - p[n].bits) : 0;

			if ((sa_in(&sa) & mask) == sa_in(&p[n].addr) &&
			    (!best || best->bits < p[n].bits))
				best = &p[n];
		}
		assert_ptr_equal(radix_find(r, &sa), best);
	}
	mem_deref(r);
	(void)s;
}

static struct pl text(const char *p)
{
	struct pl pl = { p, strlen(p) };

	return pl;
}

static char *put(struct trie *t, const char *p)
{
	struct pl pl = text(p);
	void **slot = NULL;

	assert_int_equal(trie_slot(&slot, t, &pl), 0);
	if (!*slot) {
		*slot = mem_zalloc(64, NULL);
		assert_non_null(*slot);
		strcpy(*slot, p);
	}

	return *slot;
}

struct walked {
	const char *in;
	unsigned n;
	size_t last;
};

static bool walked(void *value, size_t length, void *arg)
{
	struct walked *w = arg;

	assert_int_equal(strlen(value), length);
	assert_memory_equal(value, w->in, length);
	assert_true(w->n == 0 || length > w->last);
	w->last = length;
	++w->n;

	return false;
}

static unsigned walk(const struct trie *t, const char *in)
{
	struct walked w = { .in = in };
	struct pl pl = text(in);

	trie_walk(t, &pl, walked, &w);

	return w.n;
}

static void a_walk_meets_each_prefix_once_shortest_first(void **s)
{
	static const char *const in[] = {
		"",     "1",    "12",
		"123",  "4930", "493012345678901234567890",
		"4931", "+49",  "493012345678901234567",
		"9",    "49",
	};
	/* clang-format off */
	static const struct { const char *text; unsigned n; } rows[] = {
		{ "", 1 }, { "1234567", 4 }, { "13", 2 }, { "21234", 1 },
		{ "493012345678901234567890", 5 }, { "4930123", 3 },
		{ "493", 2 }, { "+4930", 2 }, { "+", 1 },
	};
	/* clang-format on */
	struct trie *t = NULL;

	assert_int_equal(trie_alloc(&t), 0);
	for (size_t i = 0; i < sizeof(in) / sizeof(in[0]); ++i) {
		char *was = put(t, in[i]);

		assert_ptr_equal(put(t, in[i]), was);
	}
	for (size_t i = 0; i < sizeof(in) / sizeof(in[0]); ++i) {
		struct pl pl = text(in[i]);

		assert_string_equal(trie_at(t, &pl), in[i]);
	}
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); ++i)
		assert_int_equal(walk(t, rows[i].text), rows[i].n);
	assert_null(trie_at(t, &(struct pl)PL("493")));
	mem_deref(t);
	(void)s;
}

static void a_slot_stays_where_it_is_while_others_come(void **s)
{
	struct pl pl = text("4930123456");
	void **early = NULL, **late = NULL;
	struct trie *t = NULL;
	char buf[16];

	assert_int_equal(trie_alloc(&t), 0);
	assert_int_equal(trie_slot(&early, t, &pl), 0);
	for (int i = 0; i < 5000; ++i) {
		snprintf(buf, sizeof(buf), "493%d", i);
		put(t, buf);
	}
	assert_int_equal(trie_slot(&late, t, &pl), 0);
	assert_ptr_equal(early, late);
	assert_null(*late);
	mem_deref(t);
	(void)s;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_longest_prefix_wins),
		cmocka_unit_test(
			any_holds_both_families_and_the_first_value_stays),
		cmocka_unit_test(a_search_goes_from_long_to_short),
		cmocka_unit_test(
			random_prefixes_are_found_as_a_loop_finds_them),
		cmocka_unit_test(a_walk_meets_each_prefix_once_shortest_first),
		cmocka_unit_test(a_slot_stays_where_it_is_while_others_come),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
