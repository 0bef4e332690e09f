/*
 * Address patterns, alone and in an index (behaviour.md 2.2)
 */
#include <stdlib.h>
#include "config_fixture.h"
#include "policy/pattern.h"

static struct pattern_key key_of(const char *text)
{
	struct pl pl = pl_text(text);
	struct pattern_key key;
	struct uri uri;

	assert_int_equal(uri_read(&uri, &pl), 0);
	pattern_key_read(&key, &uri);

	return key;
}

static void numbers_lose_separators_and_parameters(void **state)
{
	/* clang-format off */
	static const struct { const char *in, *out; } rows[] = {
		{ "4930123", "4930123" }, { "+4930", "+4930" },
		{ "+49-30.1(2)3", "+4930123" }, { "+", "+" }, { "++49", "++49" },
		{ "%2B4930", "+4930" }, { "4930;phone-context=x", "4930" },
		{ "*21#", "*21#" }, { "alice", "alice" },
		{ "a-493.0", "a-493.0" }, { "49+30", "49+30" },
		{ "49x;y", "49x;y" }, { "-", "-" }, { "", "" }, { "%4", "%4" },
		{ "%zz", "%zz" },
	};
	/* clang-format on */

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); ++i) {
		struct pl user = pl_text(rows[i].in);
		char buf[64];
		size_t n = digits_copy(buf, sizeof(buf), &user);

		assert_int_equal(n, strlen(rows[i].out));
		assert_memory_equal(buf, rows[i].out, n);
	}
	(void)state;
}

static void a_copy_never_passes_its_room(void **state)
{
	struct pl user = PL("49301234567890");
	char buf[5] = "....";

	assert_int_equal(digits_copy(buf, 4, &user), 4);
	assert_string_equal(buf, "4930");
	(void)state;
}

static struct patterns *list_of(const char *text)
{
	struct local_policy *policy = NULL;

	assert_int_equal(item_alloc((void **)&policy, &element_local_policy),
			 0);
	item_set(&element_local_policy, policy, "to-address", text);

	return &policy->to_address;
}

static void list_free(struct patterns *list)
{
	item_free(&element_local_policy,
		  (char *)list - offsetof(struct local_policy, to_address));
}

static void lengths_are_digits_labels_or_longest(void **state)
{
	/* clang-format off */
	static const struct {
		const char *pattern; uint16_t length; bool is_explicit;
	} rows[] = {
		{ "*", 0, false }, { "1", 1, true }, { "+4930", 4, true },
		{ "123*456", 6, false }, { "a.example", 2, true },
		{ ".a.example", 2, true }, { "127.0.0.1", UINT16_MAX, true },
		{ "1@a.example", UINT16_MAX, true },
	};
	/* clang-format on */

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); ++i) {
		struct patterns *list = list_of(rows[i].pattern);
		struct pattern_rank rank = pattern_rank(&list->v[0]);

		assert_int_equal(rank.length, rows[i].length);
		assert_int_equal(rank.is_explicit, rows[i].is_explicit);
		list_free(list);
	}
	(void)state;
}

static void a_user_longer_than_any_number_matches_by_its_beginning(void **s)
{
	struct patterns *list = list_of("12 1*2 *");
	char text[400] = "sip:12";
	struct pattern_key key;

	memset(text + 6, '2', 300);
	strcpy(text + 306, "@x");
	key = key_of(text);
	assert_true(key.user_cut);
	assert_true(pattern_matches(&list->v[0], &key));
	assert_false(pattern_matches(&list->v[1], &key));
	assert_int_equal(patterns_matches(list, &key), 0);
	list_free(list);
	(void)s;
}

static void nothing_matches_an_empty_list(void **state)
{
	struct patterns none = { 0 };
	struct pattern_key key = key_of("sip:1@x");

	assert_int_equal(patterns_matches(&none, &key), -1);
	(void)state;
}

/* --- the index finds what a loop over all finds --- */

struct found {
	uint32_t n;
	uint64_t sum; /* of the numbers of the patterns */
	const struct patterns *list;
};

static void note(void *value, struct pattern_rank rank, void *arg)
{
	struct found *f = arg;
	uint32_t i = *(uint32_t *)value;
	struct pattern_rank own = pattern_rank(&f->list->v[i]);

	assert_int_equal(rank.length, own.length);
	assert_int_equal(rank.is_explicit, own.is_explicit);
	++f->n;
	f->sum += i;
}

static void digits(char *to, int max)
{
	int n = 1 + (int)(random() % max);

	while (n--)
		*to++ = (char)('1' + random() % 3);
	*to = '\0';
}

static void random_pattern(char *to)
{
	char a[16], b[16];

	digits(a, 5);
	digits(b, 3);
	switch (random() % 6) {
	case 0:
		sprintf(to, "%s*%s", a, b);
		break;
	case 1:
		sprintf(to, "+%s", a);
		break;
	case 2:
		sprintf(to, "%s@h%s.example", a, b);
		break;
	case 3:
		sprintf(to, "%sh%s.example", random() % 2 ? "." : "", b);
		break;
	case 4:
		sprintf(to, "10.0.0.%s", b);
		break;
	default:
		strcpy(to, a);
	}
}

static void random_uri(char *to)
{
	char a[16], b[16];

	digits(a, 8);
	digits(b, 3);
	switch (random() % 4) {
	case 0:
		sprintf(to, "sip:+%s@h%s.example", a, b);
		break;
	case 1:
		sprintf(to, "sip:%s@10.0.0.%s", a, b);
		break;
	case 2:
		sprintf(to, "sip:%s@x.h%s.example", a, b);
		break;
	default:
		sprintf(to, "sip:%s@h%s.example", a, b);
	}
}

static void an_index_finds_what_a_loop_finds(void **state)
{
	enum {
		N = 600,
		ASK = 3000
	};
	struct pattern_index *x = NULL;
	struct patterns *list = list_of("*");
	const struct field *field;
	struct pl name = PL("to-address");
	void *item = (char *)list - offsetof(struct local_policy, to_address);
	struct value_fault fault;
	char text[64];

	srandom(2);
	field = field_find(&element_local_policy, &name);
	while (list->n < N) {
		struct pl pl = { text, 0 };

		random_pattern(text);
		pl.l = strlen(text);
		(void)field_parse(field, item, &pl,
				  &fault); /* twice: refused */
	}

	assert_int_equal(pattern_index_alloc(&x), 0);
	for (uint32_t i = 0; i < list->n; ++i) {
		void **slot = NULL;

		assert_int_equal(pattern_index_slot(&slot, x, &list->v[i]), 0);
		assert_null(*slot);
		*slot = mem_zalloc(sizeof(i), NULL);
		*(uint32_t *)*slot = i;
		void **again = NULL;
		assert_int_equal(pattern_index_slot(&again, x, &list->v[i]), 0);
		assert_ptr_equal(slot, again);
	}

	for (int i = 0; i < ASK; ++i) {
		struct found found = { .list = list };
		struct pattern_key key;
		uint64_t sum = 0;
		uint32_t n = 0;

		random_uri(text);
		key = key_of(text);
		for (uint32_t p = 0; p < list->n; ++p) {
			if (!pattern_matches(&list->v[p], &key))
				continue;
			++n;
			sum += p;
		}
		pattern_index_walk(x, &key, note, &found);
		assert_int_equal(found.n, n);
		assert_int_equal(found.sum, sum);
	}
	mem_deref(x);
	list_free(list);
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_lose_separators_and_parameters),
		cmocka_unit_test(a_copy_never_passes_its_room),
		cmocka_unit_test(lengths_are_digits_labels_or_longest),
		cmocka_unit_test(
			a_user_longer_than_any_number_matches_by_its_beginning),
		cmocka_unit_test(nothing_matches_an_empty_list),
		cmocka_unit_test(an_index_finds_what_a_loop_finds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
