/*
 * Alarms rise once, count, get worse, end, and are remembered (acli.md 5.1)
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "store/log.h"
#include "sbc/alarm.h"
#include "sbc/clock.h"
#include "tests/unit/fake_clock.h"

enum {
	MOST = 12000
};

static struct {
	struct alarm_report *v;
	unsigned n;
} seen;

static void see(const struct alarm_report *a, void *arg)
{
	if (seen.n < MOST)
		seen.v[seen.n] = *a;
	seen.n++;
	(void)arg;
}

static unsigned up(void)
{
	seen.n = 0;
	alarms_walk(false, see, NULL);
	return seen.n;
}

static unsigned past(void)
{
	seen.n = 0;
	alarms_walk(true, see, NULL);
	return seen.n;
}

static const struct alarm_report *last(void)
{
	assert_true(seen.n > 0 && seen.n <= MOST);
	return &seen.v[seen.n - 1];
}

static int none_is_up(void **s)
{
	(void)s;
	while (up()) {
		alarm_clear_id(seen.v[0].id);
		alarm_clear(seen.v[0].name, seen.v[0].object);
	}
	return 0;
}

static void it_rises_once_and_counts(void **s)
{
	unsigned before = past();
	uint64_t first = clock_wall();

	alarm_raise("database-error", ALARM_CRITICAL, "", "disk %s", "full");
	fake_clock_advance(5000);
	alarm_raise("database-error", ALARM_CRITICAL, "", "disk %s", "broken");
	assert_int_equal(up(), 1);
	assert_string_equal(last()->name, "database-error");
	assert_string_equal(last()->object, "");
	assert_string_equal(last()->text, "disk broken");
	assert_int_equal(last()->count, 2);
	assert_int_equal(last()->first, first);
	assert_int_equal(last()->last, first + 5);
	assert_int_equal(last()->cleared, 0);
	assert_int_equal(past(), before + 1);
	assert_int_equal(last()->cleared, 0);
	(void)s;
}

static void it_ends_with_its_cause_and_is_remembered(void **s)
{
	unsigned before = past();

	alarm_raise("sip-port-down", ALARM_CRITICAL, "192.0.2.1", "bind");
	alarm_raise("sip-port-down", ALARM_CRITICAL, "192.0.2.2", "bind");
	fake_clock_advance(7000);
	alarm_clear("sip-port-down", "192.0.2.1");
	alarm_clear("sip-port-down", "192.0.2.3"); /* was never up */
	alarm_clear("no-such-alarm", "");
	assert_int_equal(up(), 1);
	assert_string_equal(last()->object, "192.0.2.2");
	assert_int_equal(past(), before + 2);
	assert_string_equal(seen.v[before].object, "192.0.2.1");
	assert_int_equal(seen.v[before].cleared, clock_wall());
	assert_int_equal(seen.v[before + 1].cleared, 0);

	/* back again: another alarm with another number */
	alarm_raise("sip-port-down", ALARM_CRITICAL, "192.0.2.1", "bind");
	assert_int_equal(past(), before + 3);
	assert_int_not_equal(last()->id, seen.v[before].id);
	(void)s;
}

static void the_higher_severity_stays_and_the_worst_comes_first(void **s)
{
	alarm_raise("loop-lag", ALARM_MINOR, "sip-0", "x");
	alarm_raise("clock-step", ALARM_WARNING, "", "x");
	alarm_raise("disk-space", ALARM_MINOR, "/var", "80 %%");
	alarm_raise("disk-space", ALARM_CRITICAL, "/var", "95 %%");
	alarm_raise("disk-space", ALARM_MAJOR, "/var", "91 %%");
	assert_int_equal(up(), 3);
	assert_string_equal(seen.v[0].name, "disk-space");
	assert_int_equal(seen.v[0].severity, ALARM_CRITICAL);
	assert_string_equal(seen.v[0].text, "91 %");
	assert_string_equal(seen.v[1].name, "loop-lag");
	assert_string_equal(seen.v[2].name, "clock-step");
	(void)s;
}

static void it_is_cleared_by_its_number(void **s)
{
	uint32_t id;

	alarm_raise("loop-lag", ALARM_MINOR, "sip-1", "x");
	up();
	id = last()->id;
	assert_int_equal(alarm_clear_id(id), 0);
	assert_int_equal(up(), 0);
	assert_int_equal(alarm_clear_id(id), ENOENT);
	assert_int_equal(alarm_clear_id(0), ENOENT);
	alarm_clear("loop-lag", "sip-1");
	(void)s;
}

static void what_is_cleared_by_hand_comes_back_while_its_cause_lasts(void **s)
{
	uint32_t id;

	alarm_raise("session-agent-down", ALARM_MINOR, "a.example", "silent");
	alarm_raise("sip-port-down", ALARM_CRITICAL, "192.0.2.1", "gone");
	alarm_raise("config-rolled-back", ALARM_WARNING, "configuration", "x");
	up();
	id = last()->id;
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(alarm_clear_id(seen.v[i].id), 0);
	assert_int_equal(up(), 0);
	assert_false(alarm_is_up("sip-port-down", "192.0.2.1"));
	assert_int_equal(alarm_clear_id(id), ENOENT);

	/* the cause of one ends: it stays away */
	alarm_clear("sip-port-down", "192.0.2.1");
	fake_clock_advance(59999);
	assert_int_equal(up(), 0);
	fake_clock_advance(1);
	assert_int_equal(up(), 1);
	assert_string_equal(seen.v[0].name, "session-agent-down");
	assert_string_equal(seen.v[0].text, "silent");
	assert_int_equal(seen.v[0].count, 1);
	assert_true(seen.v[0].id > id);

	/* again, and its cause tells it first: once */
	assert_int_equal(alarm_clear_id(seen.v[0].id), 0);
	alarm_raise("session-agent-down", ALARM_MAJOR, "a.example", "still");
	fake_clock_advance(120000);
	assert_int_equal(up(), 1);
	assert_string_equal(seen.v[0].text, "still");
	alarm_clear("session-agent-down", "a.example");
	fake_clock_advance(120000);
	assert_int_equal(up(), 0);
	(void)s;
}

static void an_event_ends_an_hour_after_its_last_case(void **s)
{
	alarm_raise("auth-realm-unknown", ALARM_WARNING, "example.net", "x");
	alarm_raise("loop-lag", ALARM_MINOR, "sip-0", "x");
	fake_clock_advance(3000000);
	alarm_raise("auth-realm-unknown", ALARM_WARNING, "example.net", "x");
	fake_clock_advance(3599999);
	assert_int_equal(up(), 2);
	fake_clock_advance(1);
	assert_int_equal(up(), 1);
	assert_string_equal(last()->name, "loop-lag");
	(void)s;
}

static void raise_many(unsigned from, unsigned to, enum alarm_level severity)
{
	char object[32];

	for (unsigned i = from; i < to; i++) {
		snprintf(object, sizeof(object), "aor-%u", i);
		alarm_raise("surrogate-gave-up", severity, object, "no %u", i);
	}
}

static void clear_many(unsigned from, unsigned to)
{
	char object[32];

	for (unsigned i = from; i < to; i++) {
		snprintf(object, sizeof(object), "aor-%u", i);
		alarm_clear("surrogate-gave-up", object);
	}
}

static void many_that_are_cleared_by_hand_come_back_as_one(void **s)
{
	raise_many(0, 500, ALARM_MINOR);
	assert_int_equal(up(), 1);
	assert_int_equal(alarm_clear_id(last()->id), 0);
	clear_many(100, 300);
	fake_clock_advance(60000);
	assert_int_equal(up(), 1); /* 200 of them */
	assert_int_equal(up(), 1);
	assert_string_equal(last()->object, "300 objects");
	clear_many(0, 500);
	assert_int_equal(up(), 0);
	(void)s;
}

static void more_than_100_objects_are_one_alarm_with_their_number(void **s)
{
	raise_many(0, 100, ALARM_MINOR);
	assert_int_equal(up(), 100);
	raise_many(100, 101, ALARM_MAJOR);
	assert_int_equal(up(), 1);
	assert_string_equal(last()->object, "101 objects");
	assert_int_equal(last()->severity, ALARM_MAJOR);
	raise_many(0, 5000, ALARM_MINOR); /* the first 101 are up already */
	assert_int_equal(up(), 1);
	assert_string_equal(last()->object, "5000 objects");
	assert_string_equal(last()->text, "no 4999");
	clear_many(90, 5000);
	assert_int_equal(up(), 1);
	assert_string_equal(last()->object, "90 objects");
	clear_many(89, 90);
	assert_int_equal(up(), 89);
	clear_many(0, 89);
	assert_int_equal(up(), 0);
	(void)s;
}

static void clearing_the_one_clears_its_objects(void **s)
{
	raise_many(0, 200, ALARM_MINOR);
	assert_int_equal(up(), 1);
	assert_int_equal(alarm_clear_id(last()->id), 0);
	assert_int_equal(up(), 0);
	raise_many(0, 1, ALARM_MINOR);
	assert_int_equal(up(), 1);
	assert_string_equal(last()->object, "aor-0");
	clear_many(0, 200);
	(void)s;
}

static void long_names_are_cut_alike_when_raised_and_cleared(void **s)
{
	char object[400];

	memset(object, 'x', sizeof(object));
	object[sizeof(object) - 1] = '\0';
	/* the 127th byte is inside of a character: it goes whole */
	memcpy(object + 126, "\xc3\xa4", 2);
	alarm_raise("session-agent-down", ALARM_MINOR, object, "%s", object);
	assert_int_equal(up(), 1);
	assert_int_equal(strlen(last()->object), 126);
	assert_int_equal(strlen(last()->text), 159);
	alarm_clear("session-agent-down", object);
	assert_int_equal(up(), 0);
	(void)s;
}

static void the_history_keeps_the_last_10000(void **s)
{
	for (unsigned i = 0; i < 10050; i++) {
		alarm_raise("dns-server-down", ALARM_MINOR, "", "%u", i);
		alarm_clear("dns-server-down", "");
	}
	assert_int_equal(past(), 10000);
	assert_string_equal(seen.v[0].text, "50");
	assert_string_equal(last()->text, "10049");
	assert_int_not_equal(last()->cleared, 0);
	(void)s;
}

static void *raise_and_clear(void *arg)
{
	const char *object = arg;

	for (unsigned i = 0; i < 3000; i++) {
		alarm_raise("loop-lag", ALARM_MINOR, object, "%u", i);
		alarm_raise("loop-lag", ALARM_MINOR, "shared", "%u", i);
		alarm_clear("loop-lag", object);
		alarm_clear("loop-lag", "shared");
	}
	return NULL;
}

static void any_thread_raises_and_clears(void **s)
{
	pthread_t t[2];

	pthread_create(&t[0], NULL, raise_and_clear, "sip-0");
	pthread_create(&t[1], NULL, raise_and_clear, "sip-1");
	for (unsigned i = 0; i < 20; i++)
		assert_in_range(up(), 0, 3);
	pthread_join(t[0], NULL);
	pthread_join(t[1], NULL);
	assert_int_equal(up(), 0);
	(void)s;
}

static int group_open(void **s)
{
	(void)s;
	log_level_set(LOG_COMPONENTS, LEVEL_ZERO);
	seen.v = calloc(MOST, sizeof(*seen.v));
	return !seen.v;
}

static int group_close(void **s)
{
	free(seen.v);
	(void)s;
	return 0;
}

#define TEST(t) cmocka_unit_test_teardown(t, none_is_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(it_rises_once_and_counts),
		TEST(it_ends_with_its_cause_and_is_remembered),
		TEST(the_higher_severity_stays_and_the_worst_comes_first),
		TEST(it_is_cleared_by_its_number),
		TEST(what_is_cleared_by_hand_comes_back_while_its_cause_lasts),
		TEST(many_that_are_cleared_by_hand_come_back_as_one),
		TEST(an_event_ends_an_hour_after_its_last_case),
		TEST(more_than_100_objects_are_one_alarm_with_their_number),
		TEST(clearing_the_one_clears_its_objects),
		TEST(long_names_are_cut_alike_when_raised_and_cleared),
		TEST(the_history_keeps_the_last_10000),
		TEST(any_thread_raises_and_clears),
	};

	return cmocka_run_group_tests(tests, group_open, group_close);
}
