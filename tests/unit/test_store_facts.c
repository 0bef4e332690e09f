/*
 * Small facts: what was set is there at the next start
 */
#include "database_fixture.h"
#include "store/facts.h"

static void a_fact_that_was_never_set_is_zero(void **s)
{
	struct database *db = open_here();
	uint64_t value = 5;

	assert_int_equal(fact_get(db, "nothing", &value), 0);
	assert_int_equal(value, 0);
	database_close(db);
	(void)s;
}

static void a_fact_survives_with_all_its_bits(void **s)
{
	static const uint64_t values[] = {
		0, 1, UINT32_MAX, INT64_MAX, (uint64_t)INT64_MAX + 1, UINT64_MAX
	};

	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		struct database *db = open_here();
		uint64_t value = 7;

		assert_int_equal(fact_set(db, "it", 3), 0);
		assert_int_equal(database_start(db, NULL, NULL), 0);
		assert_int_equal(fact_set(db, "it", values[i]), 0);
		assert_int_equal(fact_set(db, "other", 9), 0);
		database_close(db);

		db = open_here();
		assert_int_equal(fact_get(db, "it", &value), 0);
		assert_int_equal(value, values[i]);
		database_close(db);
	}
	(void)s;
}

static void no_two_starts_share_an_epoch(void **s)
{
	uint64_t last = 0;

	for (int i = 0; i < 5; i++) {
		struct database *db = open_here();
		uint64_t epoch = 0;

		assert_int_equal(fact_epoch(db, &epoch), 0);
		assert_int_equal(epoch, last + 1);
		last = epoch;
		database_close(db);
	}
	(void)s;
}

static void a_database_that_is_only_read_takes_no_fact(void **s)
{
	struct database *db = open_here();
	uint64_t value;

	assert_int_equal(fact_set(db, "it", 3), 0);
	database_close(db);
	assert_int_equal(database_open(&db, path, true, why), 0);
	assert_int_equal(fact_set(db, "it", 4), EROFS);
	assert_int_equal(fact_epoch(db, &value), EROFS);
	assert_int_equal(fact_get(db, "it", &value), 0);
	assert_int_equal(value, 3);
	database_close(db);
	(void)s;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_fact_that_was_never_set_is_zero),
		TEST(a_fact_survives_with_all_its_bits),
		TEST(no_two_starts_share_an_epoch),
		TEST(a_database_that_is_only_read_takes_no_fact),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
