/*
 * A version on trial returns when its minutes are over (acli.md 1.7), in virtual
 * time
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>
#include "store/base.h"
#include <re_main.h>
#include "sbc/alarm.h"
#include "sbc/clock.h"
#include "cli/acceptance.h"
#include "tests/unit/fake_activate.h"
#include "tests/unit/fake_clock.h"

static struct control control;
static struct session session;
static char told[256];

static void notice(const char *text, void *arg)
{
	(void)arg;
	str_ncpy(told, text, sizeof(told));
}

static int setup(void **s)
{
	(void)s;
	memset(&control, 0, sizeof(control));
	memset(&session, 0, sizeof(session));
	memset(&fake_activate, 0, sizeof(fake_activate));
	*told = '\0';
	control.setup.notice = notice;
	control.job = (struct job *)&control; /* there is one */
	session.control = &control;
	return reply_init(&session.reply);
}

static int teardown(void **s)
{
	(void)s;
	timer_cancel(&control.probation.timer);
	reply_finish(&session.reply);
	assert_int_equal(wheel_count(), 0);
	return 0;
}

static void pass(uint64_t ms)
{
	for (; ms; ms -= 100) {
		fake_clock_advance(100);
		wheel_turn();
	}
}

static void says(const char *a, const char *b)
{
	const struct words w = { .n = b ? 3 : 2,
				 .v = { "activate-config", (char *)(uintptr_t)a,
					(char *)(uintptr_t)b } };

	activate_config(&session, &w, 1);
}

/* Version 42 runs, in place of 41 */
static void confirmed(const char *minutes)
{
	struct activation a;

	says("confirm", minutes);
	assert_int_equal(fake_activate.n, 1);
	a = fake_activate.last;
	a.version = 42;
	a.said = &session.reply;
	a.ran(&a, 41);
}

static void alarm_is(const struct alarm_report *a, void *arg)
{
	if (!strcmp(a->name, "config-rolled-back"))
		*(bool *)arg = true;
}

static void after_its_minutes_the_former_version_returns(void **s)
{
	bool alarmed = false;
	(void)s;

	confirmed("3");
	pass(179900);
	assert_int_equal(fake_activate.n, 1);
	pass(200);
	assert_int_equal(fake_activate.n, 2);
	assert_int_equal(fake_activate.last.version, 41);
	assert_true(fake_activate.last.returns);
	assert_int_equal(fake_activate.last.until, 0);
	assert_null(fake_activate.last.session);

	fake_activate.last.ran(&fake_activate.last, 42);
	assert_string_equal(told, "Version 42 was not accepted in time. "
				  "Running is version 41.");
	alarms_walk(false, alarm_is, &alarmed);
	assert_true(alarmed);
	alarm_clear("config-rolled-back", "configuration");
	pass(600000);
	assert_int_equal(fake_activate.n, 2);
}

static void it_is_tried_until_it_succeeds(void **s)
{
	(void)s;

	confirmed("1");
	fake_activate.err = EBUSY; /* another change is under way */
	pass(60100);
	assert_int_equal(fake_activate.n, 2);
	pass(3000);
	assert_int_equal(fake_activate.n, 5);
	fake_activate.err = 0;
	pass(1000);
	assert_int_equal(fake_activate.n, 6);

	/* it began and failed */
	pass(60000);
	assert_int_equal(fake_activate.n, 6);
	fake_activate.last.failed(&fake_activate.last);
	pass(10100);
	assert_int_equal(fake_activate.n, 7);
	assert_int_equal(fake_activate.last.version, 41);
}

static void the_deadline_is_no_matter_of_the_wall_clock(void **s)
{
	(void)s;

	confirmed("2");
	fake_clock_step(3600);
	pass(100000);
	assert_int_equal(fake_activate.n, 1);
	fake_clock_step(-7200);
	pass(20100);
	assert_int_equal(fake_activate.n, 2);
}

static void taken_back_by_hand_nothing_happens_at_the_deadline(void **s)
{
	(void)s;

	confirmed("2");
	says("rollback", NULL);
	assert_int_equal(fake_activate.n, 2);
	assert_int_equal(fake_activate.last.version, 41);
	fake_activate.last.ran(&fake_activate.last, 42);
	alarm_clear("config-rolled-back", "configuration");
	pass(600000);
	assert_int_equal(fake_activate.n, 2);
}

int main(void)
{
#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(after_its_minutes_the_former_version_returns),
		TEST(it_is_tried_until_it_succeeds),
		TEST(the_deadline_is_no_matter_of_the_wall_clock),
		TEST(taken_back_by_hand_nothing_happens_at_the_deadline),
	};
	int err = libre_init();

	if (!err)
		err = wheel_open();
	if (err)
		return 1;
	err = cmocka_run_group_tests(tests, NULL, NULL);
	wheel_close();
	libre_close();

	return err;
}
