/*
 * The table of a call: complete, without contradiction, and it always ends
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>
#include "sbc/call.h"

/* Rules of the table; the last one has no event */
static size_t rules_count(void)
{
	size_t n = 0;

	while (call_machine.rules[n].on)
		n++;
	return n;
}

static void no_state_has_two_rules_for_one_event(void **s)
{
	const struct rule *r = call_machine.rules;
	size_t n = rules_count();
	(void)s;

	for (size_t i = 0; i < n; i++)
		for (size_t j = i + 1; j < n; j++)
			assert_false(r[i].in == r[j].in && r[i].on == r[j].on);
}

static void every_event_and_state_has_its_name(void **s)
{
	(void)s;

	for (int e = CALL_BEGIN; e < CALL_EVENTS; e++)
		assert_non_null(call_machine.events[e]);
	assert_null(call_machine.events[CALL_EVENTS]);
	for (int state = 0; state < CALL_STATES; state++)
		assert_non_null(call_machine.states[state]);
	assert_null(call_machine.states[CALL_STATES]);
}

static void every_event_is_served_somewhere(void **s)
{
	size_t n = rules_count();
	(void)s;

	for (int e = CALL_BEGIN; e < CALL_EVENTS; e++) {
		bool served = false;

		for (size_t i = 0; i < n && !served; i++)
			served = call_machine.rules[i].on == e;
		if (!served)
			fail_msg("nothing happens on %s",
				 call_machine.events[e]);
	}
}

/* States that can be reached from one, by any events */
static void reach(uint8_t from, bool reached[CALL_STATES])
{
	size_t n = rules_count();

	if (reached[from])
		return;
	reached[from] = true;
	for (size_t i = 0; i < n; i++)
		if (call_machine.rules[i].in == from)
			reach(call_machine.rules[i].to, reached);
}

static void every_state_is_reached_and_leads_to_the_end(void **s)
{
	bool from_start[CALL_STATES] = { false };
	(void)s;

	reach(CALL_TRYING, from_start);
	for (int state = 0; state < CALL_STATES; state++) {
		bool reached[CALL_STATES] = { false };

		assert_true(from_start[state]);
		reach((uint8_t)state, reached);
		assert_true(reached[CALL_CLOSED]);
	}
}

/* An operator, a shutdown and the caller can end a call in each state that is
 * not its end already */
static void a_call_can_be_ended_in_every_state(void **s)
{
	size_t n = rules_count();
	(void)s;

	for (int state = 0; state < CALL_CANCELLING; state++) {
		bool ends = false;

		for (size_t i = 0; i < n; i++)
			ends |= call_machine.rules[i].in == state &&
				call_machine.rules[i].on == OPERATOR;
		assert_true(ends);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_state_has_two_rules_for_one_event),
		cmocka_unit_test(every_event_and_state_has_its_name),
		cmocka_unit_test(every_event_is_served_somewhere),
		cmocka_unit_test(every_state_is_reached_and_leads_to_the_end),
		cmocka_unit_test(a_call_can_be_ended_in_every_state),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
