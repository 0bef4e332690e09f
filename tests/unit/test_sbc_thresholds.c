/*
 * Unit tests: which alarm is up for a share that is used
 */
#include "config_fixture.h"
#include "sbc/thresholds.h"

struct row {
	uint32_t share;
	int level;
};

static void walk(const struct system_config *config, uint8_t type,
		 const struct row *rows, size_t n)
{
	struct threshold t = { "memory", type, THRESHOLD_NONE };

	for (size_t i = 0; i < n; i++) {
		int before = t.level;
		bool news = threshold_judge(&t, config, rows[i].share);

		if (t.level != rows[i].level || news != (before != t.level))
			fail_msg("row %zu: %d", i, t.level);
	}
}

#define WALK(config, type, rows)                                               \
	walk(config, type, rows, sizeof(rows) / sizeof((rows)[0]))

static void levels_rise_at_their_value_and_fall_below_90_percent_of_it(void **s)
{
	static const struct row rows[] = {
		{ 0, THRESHOLD_NONE },   { 79, THRESHOLD_NONE },
		{ 80, ALARM_MINOR },     { 72, ALARM_MINOR },
		{ 71, THRESHOLD_NONE },  { 90, ALARM_MAJOR },
		{ 94, ALARM_MAJOR },     { 95, ALARM_CRITICAL },
		{ 86, ALARM_CRITICAL },  { 85, ALARM_MAJOR },
		{ 81, ALARM_MAJOR },     { 80, ALARM_MINOR },
		{ 72, ALARM_MINOR },     { 71, THRESHOLD_NONE },
		{ 100, ALARM_CRITICAL }, { 0, THRESHOLD_NONE },
	};
	struct config *cfg = config_new();
	(void)s;

	WALK(config_add(cfg, &element_system_config, NULL), ALARM_TYPE_MEMORY,
	     rows);
	config_give(cfg);
}

static void a_type_with_an_entry_has_its_own_only(void **s)
{
	static const struct row own[] = {
		{ 49, THRESHOLD_NONE },
		{ 50, ALARM_CRITICAL },
		{ 45, ALARM_CRITICAL },
		{ 44, THRESHOLD_NONE },
	};
	static const struct row usual[] = { { 80, ALARM_MINOR } };
	struct config *cfg = config_new();
	struct system_config *config =
		config_add(cfg, &element_system_config, NULL);
	(void)s;

	item_add(&config->alarm_thresholds, &element_alarm_threshold, "type",
		 "memory", "severity", "critical", "value", "50", NULL);
	WALK(config, ALARM_TYPE_MEMORY, own);
	WALK(config, ALARM_TYPE_SESSIONS, usual);
	config_give(cfg);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			levels_rise_at_their_value_and_fall_below_90_percent_of_it),
		cmocka_unit_test(a_type_with_an_entry_has_its_own_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
