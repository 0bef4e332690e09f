/*
 * How often an entry answered, and when it was refused last
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "sbc/usage.h"

static struct credential_key key_of(const char *realm, const char *auth_realm,
				    const char *lookup)
{
	struct credential_key key;

	pl_set_str(&key.realm, realm);
	pl_set_str(&key.auth_realm, auth_realm);
	pl_set_str(&key.lookup, lookup);
	return key;
}

static struct usage_report report_of(const struct usage *u,
				     const struct credential_key *key)
{
	struct usage_report r = { 0 };

	usage_look(u, key, &r);
	return r;
}

static void each_entry_is_counted_by_itself(void **state)
{
	const struct credential_key a = key_of("trunk", "example.net", "tenA");
	const struct credential_key b = key_of("trunk", "example.net", "tenB");
	const struct credential_key any = key_of("trunk", "*", "tenA");
	const struct credential_key glued =
		key_of("trunke", "xample.net", "tenA");
	struct usage_report r;
	struct usage *u;

	(void)state;
	assert_int_equal(usage_alloc(&u), 0);
	usage_answered(u, &a, 1000);
	usage_answered(u, &a, 1005);
	usage_answered(u, &b, 1002);
	usage_refused(u, &a, 1003);
	usage_refused(u, &any, 1001);

	r = report_of(u, &a);
	assert_int_equal(r.count, 2);
	assert_int_equal(r.used, 1005);
	assert_int_equal(r.refused, 1003);
	r = report_of(u, &b);
	assert_int_equal(r.count, 1);
	assert_int_equal(r.refused, 0);
	r = report_of(u, &any);
	assert_int_equal(r.count, 0);
	assert_int_equal(r.used, 0);
	assert_int_equal(r.refused, 1001);
	r = report_of(u, &glued);
	assert_int_equal(r.count + r.used + r.refused, 0);
	mem_deref(u);
}

static void many_are_counted_without_a_limit_that_one_meets(void **state)
{
	struct usage_report r;
	struct usage *u;
	char name[32];

	(void)state;
	assert_int_equal(usage_alloc(&u), 0);
	for (unsigned i = 0; i < 20000; i++) {
		struct credential_key key;

		(void)re_snprintf(name, sizeof(name), "ten%u", i % 10000);
		key = key_of("trunk", "example.net", name);
		usage_answered(u, &key, i);
	}
	for (unsigned i = 0; i < 10000; i++) {
		struct credential_key key;

		(void)re_snprintf(name, sizeof(name), "ten%u", i);
		key = key_of("trunk", "example.net", name);
		r = report_of(u, &key);
		assert_int_equal(r.count, 2);
		assert_int_equal(r.used, 10000 + i);
	}
	mem_deref(u);
}

static void what_several_workers_know_is_one_report(void **state)
{
	const struct credential_key key =
		key_of("trunk", "example.net", "tenA");
	struct usage_report r = { .count = 7, .used = 1002, .refused = 999 };
	struct usage *u;

	(void)state;
	assert_int_equal(usage_alloc(&u), 0);
	usage_answered(u, &key, 1001);
	usage_refused(u, &key, 1000);
	usage_look(u, &key, &r);
	assert_int_equal(r.count, 8);
	assert_int_equal(r.used, 1002);
	assert_int_equal(r.refused, 1000);
	mem_deref(u);
}

static void without_a_table_nothing_is_counted(void **state)
{
	const struct credential_key a = key_of("trunk", "example.net", "tenA");
	struct usage_report r;

	(void)state;
	usage_answered(NULL, &a, 1);
	usage_refused(NULL, &a, 1);
	r = report_of(NULL, &a);
	assert_int_equal(r.count + r.used + r.refused, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_entry_is_counted_by_itself),
		cmocka_unit_test(
			many_are_counted_without_a_limit_that_one_meets),
		cmocka_unit_test(what_several_workers_know_is_one_report),
		cmocka_unit_test(without_a_table_nothing_is_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
