/*
 * The tables are sound, and every value reads back as it was printed
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "store/base.h"
#include "store/elements/elements.h"

static struct pl pl_of(const char *text)
{
	struct pl pl = { text, strlen(text) };

	return pl;
}

struct shown {
	const struct field *f;
	const void *item;
	bool masked;
};

static int shown_print(struct re_printf *pf, const struct shown *s)
{
	return s->masked ? field_show(pf, s->f, s->item)
			 : field_print(pf, s->f, s->item);
}

static char *text_of(const struct field *f, const void *item, bool masked)
{
	struct shown s = { f, item, masked };
	char *text = NULL;

	assert_int_equal(re_sdprintf(&text, "%H", shown_print, &s), 0);
	return text;
}

typedef void(element_h)(const struct element *e, bool sub);

static void each_element(element_h *h)
{
	for (const struct element *const *e = elements; *e; e++) {
		h(*e, false);
		for (const struct field *f = (*e)->fields; f->name; f++) {
			if (f->child)
				h(f->child, true);
		}
	}
}

static void check_table(const struct element *e, bool sub)
{
	bool key = false;

	assert_non_null(e->folder);
	assert_true(strlen(e->help) > 10);
	for (const struct field *f = e->fields; f->name; f++) {
		struct pl name = pl_of(f->name);

		/* Found by its name: no other row has it */
		assert_ptr_equal(field_find(e, &name), f);
		assert_true(f->help && strlen(f->help) > 5);
		assert_true(f->source && *f->source);
		assert_true(f->offset < e->size);
		assert_true(f->child || f->type);
		assert_false((f->flags & REQUIRED) && f->dflt);
		if (f->type == &type_secret)
			assert_true(f->flags & SECRET);
		if (f->type == &type_word || f->type == &type_words)
			assert_non_null(f->words);
		if (f->type == &type_word && !f->dflt)
			assert_string_equal(f->words[0], "");
		if (f->type == &type_number && !f->dflt)
			assert_true((f->flags & REQUIRED) && f->min > 0);
		key = key || (f->flags & KEY);
	}
	assert_int_equal(key, !(e->flags & SINGLE));
}

static void every_row_is_complete(void **s)
{
	each_element(check_table);
	(void)s;
}

static void check_defaults(const struct element *e, bool sub)
{
	void *item, *copy;

	assert_int_equal(item_alloc(&item, e), 0);
	assert_int_equal(item_alloc(&copy, e), 0);
	for (const struct field *f = e->fields; f->name; f++) {
		struct value_fault fault = { "" };
		char *text, *again;
		struct pl pl;

		assert_true(field_is_default(e, f, item));
		if (f->child)
			continue;
		text = text_of(f, item, false);
		if (f->dflt && !f->type->list)
			assert_string_equal(text, f->dflt);
		pl = pl_of(text);
		if (!field_is_empty(f, item)) {
			assert_int_equal(field_read(f, copy, &pl, &fault), 0);
			again = text_of(f, copy, false);
			assert_string_equal(text, again);
			mem_deref(again);
		}
		mem_deref(text);
	}
	assert_true(item_same(e, item, copy));
	item_free(e, item);
	item_free(e, copy);
	(void)sub;
}

static void every_default_is_legal_and_reads_back(void **s)
{
	each_element(check_defaults);
	(void)s;
}

static void check_structs(const struct element *e, bool sub)
{
	/* Two rows never share a byte of the struct */
	for (const struct field *a = e->fields; a->name; a++) {
		size_t size = a->child ? sizeof(struct items) : a->type->size;

		assert_true(a->offset + size <= e->size);
		for (const struct field *b = a + 1; b->name; b++)
			assert_true(b->offset >= a->offset + size ||
				    b->offset < a->offset);
	}
	(void)sub;
}

static void no_two_rows_share_a_member(void **s)
{
	each_element(check_structs);
	(void)s;
}

static void an_element_is_found_by_name_and_alias(void **s)
{
	struct pl realm = pl_of("realm-config"), none = pl_of("realm");
	struct pl plural = pl_of("auth-attributes");
	struct pl singular = pl_of("auth-attribute");
	(void)s;

	assert_ptr_equal(element_find(&realm), &element_realm_config);
	assert_null(element_find(&none));
	assert_non_null(field_of_child(&element_realm_config, &plural));
	assert_ptr_equal(field_of_child(&element_realm_config, &plural),
			 field_of_child(&element_realm_config, &singular));
}

static const struct field *field_named(const struct element *e, const char *n)
{
	struct pl name = pl_of(n);

	return field_find(e, &name);
}

static void a_secret_is_shown_as_stars_and_printed_as_it_is(void **s)
{
	const struct element *e = &element_surrogate_agent;
	const struct field *f = field_named(e, "password");
	struct pl pl = pl_of("s3cr3t");
	void *item;
	char *text;
	(void)s;

	assert_int_equal(item_alloc(&item, e), 0);
	text = text_of(f, item, true);
	assert_string_equal(text, "");
	mem_deref(text);
	assert_int_equal(field_read(f, item, &pl, NULL), 0);
	text = text_of(f, item, true);
	assert_string_equal(text, "********");
	mem_deref(text);
	text = text_of(f, item, false);
	assert_string_equal(text, "s3cr3t");
	mem_deref(text);
	item_free(e, item);
}

static void a_copy_is_deep_and_equal(void **s)
{
	const struct element *e = &element_local_policy;
	struct pl realms = pl_of("(pbx-a pbx-b)"), hop = pl_of("sw.test");
	struct pl to = pl_of("(+49-30 *)"), codes = pl_of("x");
	struct local_policy *policy, *copy;
	struct policy_attribute *route;
	(void)s;

	assert_int_equal(item_alloc((void **)&policy, e), 0);
	assert_int_equal(item_alloc((void **)&route, &element_policy_attribute),
			 0);
	field_read(field_named(e, "source-realm"), policy, &realms, NULL);
	field_read(field_named(e, "to-address"), policy, &to, NULL);
	field_read(field_named(&element_policy_attribute, "next-hop"), route,
		   &hop, NULL);
	assert_int_equal(items_append(&policy->policy_attributes, route), 0);

	assert_int_equal(item_copy((void **)&copy, e, policy), 0);
	assert_true(item_same(e, policy, copy));
	field_read(field_named(&element_policy_attribute, "auth-user-lookup"),
		   copy->policy_attributes.v[0], &codes, NULL);
	assert_false(item_same(e, policy, copy));
	assert_string_equal(route->auth_user_lookup, "");
	item_free(e, policy);
	assert_int_equal(copy->to_address.n, 2);
	assert_int_equal(copy->to_address.v[0].head.l, 5);
	item_free(e, copy);
}

static void keys_are_printed_part_by_part(void **s)
{
	const struct element *e = &element_local_policy;
	struct pl realms = pl_of("(pbx-a pbx-b)");
	struct item_ref ref = { e, NULL };
	void *item;
	char *text;
	(void)s;

	assert_int_equal(item_alloc(&item, e), 0);
	field_read(field_named(e, "source-realm"), item, &realms, NULL);
	ref.item = item;
	assert_int_equal(re_sdprintf(&text, "%H", item_key_print, &ref), 0);
	assert_string_equal(text, "* * pbx-a+1");
	mem_deref(text);
	assert_int_equal(re_sdprintf(&text, "%H", item_key_spell, &ref), 0);
	assert_string_equal(text, "* * (pbx-a pbx-b)");
	mem_deref(text);
	item_free(e, item);
}

static void ranges_are_told_for_people(void **s)
{
	static const struct {
		const struct element *e;
		const char *name, *range;
	} rows[] = {
		{ &element_surrogate_agent, "register-retry-time",
		  "30-3600 s" },
		{ &element_surrogate_agent, "state", "enabled, disabled" },
		{ &element_session_agent, "proxy-mode",
		  "proxy, redirect or empty" },
		{ &element_session_agent, "realm-id",
		  "the name of a realm-config, or *" },
	};
	(void)s;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char *text = NULL;

		assert_int_equal(
			re_sdprintf(&text, "%H", field_range_print,
				    field_named(rows[i].e, rows[i].name)),
			0);
		assert_string_equal(text, rows[i].range);
		mem_deref(text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_row_is_complete),
		cmocka_unit_test(every_default_is_legal_and_reads_back),
		cmocka_unit_test(no_two_rows_share_a_member),
		cmocka_unit_test(an_element_is_found_by_name_and_alias),
		cmocka_unit_test(
			a_secret_is_shown_as_stars_and_printed_as_it_is),
		cmocka_unit_test(a_copy_is_deep_and_equal),
		cmocka_unit_test(keys_are_printed_part_by_part),
		cmocka_unit_test(ranges_are_told_for_people),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
