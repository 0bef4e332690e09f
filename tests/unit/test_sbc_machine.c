/*
 * A table moves its object, and says so
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include "sbc/machine.h"

enum {
	IDLE,
	BUSY,
	DONE
};
enum {
	START = 1,
	STEP,
	FINISH,
	NOISE
};

struct toy {
	uint8_t state;
	unsigned steps, told;
	uint8_t moves[8][3];
	const struct message *msg;
};

static int start(void *obj, const struct message *msg)
{
	struct toy *t = obj;

	/* the state has moved before the action runs */
	assert_int_equal(t->state, BUSY);
	t->msg = msg;
	return STEP;
}

static int step(void *obj, const struct message *msg)
{
	struct toy *t = obj;

	assert_ptr_equal(t->msg, msg);
	return ++t->steps < 3 ? STEP : FINISH;
}

static int unknown_next(void *obj, const struct message *msg)
{
	(void)obj;
	(void)msg;
	return NOISE;
}

static int destroy(void *obj, const struct message *msg)
{
	free(obj);
	(void)msg;
	return 0;
}

static const struct rule rules[] = {
	/* clang-format off */
	{ IDLE, START,  start,        BUSY },
	{ BUSY, STEP,   step,         BUSY },
	{ BUSY, FINISH, NULL,         DONE },
	{ DONE, START,  unknown_next, IDLE },
	{ DONE, FINISH, destroy,      DONE },
	{ 0 },
	/* clang-format on */
};
static const char *const states[] = { "IDLE", "BUSY", "DONE" };
static const char *const events[] = { "", "START", "STEP", "FINISH", "NOISE" };
static const struct machine machine = { "toy", rules, states, events };

static void told(void *obj, uint8_t from, uint8_t on, uint8_t to)
{
	struct toy *t = obj;

	assert_int_equal(t->state, from);
	t->moves[t->told][0] = from;
	t->moves[t->told][1] = on;
	t->moves[t->told++][2] = to;
}

static void events_that_follow_are_fed_until_there_is_none(void **s)
{
	static const uint8_t moves[][3] = {
		{ IDLE, START, BUSY },  { BUSY, STEP, BUSY },
		{ BUSY, STEP, BUSY },   { BUSY, STEP, BUSY },
		{ BUSY, FINISH, DONE },
	};
	struct toy t = { 0 };
	const struct message *msg = (const struct message *)&t;

	assert_true(machine_feed(&machine, &t.state, &t, START, msg, told));
	assert_int_equal(t.state, DONE);
	assert_int_equal(t.told, 5);
	assert_memory_equal(t.moves, moves, sizeof(moves));
	(void)s;
}

static void an_event_without_a_rule_changes_nothing(void **s)
{
	struct toy t = { 0 };

	assert_false(machine_feed(&machine, &t.state, &t, FINISH, NULL, told));
	assert_false(machine_feed(&machine, &t.state, &t, 0, NULL, told));
	assert_int_equal(t.state, IDLE);
	assert_int_equal(t.told, 0);
	(void)s;
}

static void an_unknown_event_of_an_action_ends_the_walk(void **s)
{
	struct toy t = { .state = DONE };

	assert_true(machine_feed(&machine, &t.state, &t, START, NULL, NULL));
	assert_int_equal(t.state, IDLE);
	(void)s;
}

/* under AddressSanitizer a look at the state would show */
static void an_action_may_free_its_object(void **s)
{
	struct toy *t = calloc(1, sizeof(*t));

	assert_non_null(t);
	t->state = DONE;
	assert_true(machine_feed(&machine, &t->state, t, FINISH, NULL, told));
	(void)s;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			events_that_follow_are_fed_until_there_is_none),
		cmocka_unit_test(an_event_without_a_rule_changes_nothing),
		cmocka_unit_test(an_unknown_event_of_an_action_ends_the_walk),
		cmocka_unit_test(an_action_may_free_its_object),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
