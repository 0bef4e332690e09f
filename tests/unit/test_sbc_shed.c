/*
 * Unit tests: overload in virtual time, and the lobby in turns of a thread
 */
#include <ctype.h>
#include "config_fixture.h"
#include "sbc/clock.h"
#include "sbc/intake.h"
#include "sbc/lobby.h"
#include "sbc/shed.h"
#include "sbc/timer.h"
#include "sbc/turn.h"
#include "tests/unit/fake_clock.h"
#include "tests/unit/fake_port.h"

static struct shed *shed;

static int setup(void **state)
{
	assert_int_equal(shed_alloc(&shed, 90), 0);
	(void)state;
	return 0;
}

static int teardown(void **state)
{
	shed = mem_deref(shed);
	(void)state;
	return 0;
}

/* Windows of this load, in each of which a message comes that waited so long */
static void windows(unsigned n, unsigned load, uint32_t wait)
{
	while (n--) {
		for (unsigned i = 0; i < SHED_LEAST; i++)
			(void)shed_look(shed, wait);
		fake_clock_advance(SHED_WINDOW);
		fake_clock_idle(SHED_WINDOW * (100 - load) / 100);
		(void)shed_look(shed, SHED_UNKNOWN); /* that it is over */
	}
}

static struct shed_report now(void)
{
	struct shed_report r;

	shed_report(shed, &r);
	return r;
}

/* Refused of a hundred */
static unsigned refused(bool strangers)
{
	unsigned n = 0;

	for (unsigned i = 0; i < 100; i++)
		n += shed_refuses(shed, strangers);
	return n;
}

static void below_the_limit_nobody_is_refused(void **s)
{
	windows(20, 88, 0);
	assert_false(shed_look(shed, 0));
	assert_int_equal(refused(true), 0);
	assert_int_equal(refused(false), 0);
	(void)s;
}

static void strangers_pay_first_then_a_growing_share_of_the_others(void **s)
{
	static const struct {
		unsigned strangers, others;
	} rows[] = { { 50, 0 }, { 100, 0 }, { 100, 10 }, { 100, 20 } };

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		windows(1, 92, 0);
		assert_true(shed_look(shed, 0));
		assert_int_equal(refused(true), rows[i].strangers);
		assert_int_equal(refused(false), rows[i].others);
	}
	windows(20, 100, 0);
	assert_int_equal(refused(false), 100);
	(void)s;
}

static void the_share_falls_as_the_load_does_and_stays_in_between(void **s)
{
	windows(4, 95, 0);
	assert_int_equal(now().others, 200);
	windows(3, 85, 0); /* neither too much nor little */
	assert_int_equal(now().others, 200);
	windows(1, 50, 0);
	assert_int_equal(now().others, 100);
	assert_int_equal(now().strangers, 1000);
	windows(1, 50, 0);
	assert_int_equal(now().others, 0);
	windows(3, 50, 0);
	assert_int_equal(now().strangers, 250);
	windows(1, 50, 0);
	assert_false(shed_look(shed, 0));
	(void)s;
}

static void messages_that_all_wait_too_long_count_like_load(void **s)
{
	windows(3, 10, SHED_LATE);
	assert_false(shed_look(shed, SHED_UNKNOWN));
	windows(3, 10, SHED_LATE + 1);
	assert_true(shed_look(shed, SHED_LATE));
	assert_int_equal(now().strangers, 1000);
	assert_int_equal(now().others, 100);
	assert_int_equal(now().wait, SHED_LATE + 1);
	(void)s;
}

static void a_thread_that_was_held_up_and_catches_up_refuses_nobody(void **s)
{
	fake_clock_advance(3000);
	fake_clock_idle(3000);
	for (uint32_t wait = 3000; wait; wait -= 50)
		(void)shed_look(shed, wait);
	(void)shed_look(shed, 1);
	windows(1, 10, 1);
	assert_false(shed_look(shed, 1));
	(void)s;
}

static void a_few_that_were_late_are_no_queue(void **s)
{
	for (unsigned i = 0; i < 20; i++) {
		for (unsigned k = 1; k < SHED_LEAST; k++)
			(void)shed_look(shed, 1000);
		fake_clock_advance(SHED_WINDOW);
		fake_clock_idle(SHED_WINDOW);
	}
	assert_false(shed_look(shed, SHED_UNKNOWN));
	(void)s;
}

static void what_waited_on_a_connection_is_unknown(void **s)
{
	windows(3, 10, SHED_UNKNOWN);
	assert_int_equal(now().wait, 0);
	assert_false(shed_look(shed, SHED_UNKNOWN));
	(void)s;
}

static void after_a_silence_all_is_forgiven(void **s)
{
	windows(10, 100, 500);
	assert_int_equal(now().others, 800);
	fake_clock_advance(20 * SHED_WINDOW);
	fake_clock_idle(20 * SHED_WINDOW);
	assert_false(shed_look(shed, 0));
	(void)s;
}

static void load_limit_0_leaves_the_wait(void **s)
{
	shed_change(shed, 0);
	windows(10, 100, 0);
	assert_false(shed_look(shed, SHED_UNKNOWN));
	windows(1, 100, SHED_LATE + 1);
	assert_true(shed_look(shed, 0));
	(void)s;
}

static void a_lower_limit_counts_at_once(void **s)
{
	windows(2, 60, 0);
	assert_false(shed_look(shed, 0));
	shed_change(shed, 50);
	windows(1, 60, 0);
	assert_true(shed_look(shed, 0));
	(void)s;
}

/* --- The lobby ------------------------------------------------------------ */

static struct {
	struct lobby *lobby;
	struct port *port;
	struct message *msg[8];
	char served[64];
	uint32_t takes; /* time that one costs [ms] */
	bool more;      /* the kernel has */
} f;

/* In the place of sbc/intake, which wants a loop */
bool intake_has_more(void)
{
	return f.more;
}

static void serve(const struct arrival *from, const struct message *msg,
		  bool is_late, void *arg)
{
	size_t n = strlen(f.served);

	assert_ptr_equal(from->port, f.port);
	assert_null(arg);
	f.served[n] = msg->callid.p[0];
	if (is_late)
		f.served[n] = (char)toupper(f.served[n]);
	f.served[n + 1] = '\0';
	fake_clock_advance(f.takes);
}

static struct message *request_of(const char *method, unsigned callid)
{
	struct scan_result result;
	struct message *msg = NULL;
	struct mbuf *mb = mbuf_alloc(256);

	assert_int_equal(
		mbuf_printf(mb,
			    "%s sip:x SIP/2.0\r\nVia: SIP/2.0/UDP h;branch="
			    "z9hG4bK1\r\nFrom: <sip:a>;tag=1\r\nTo: <sip:x>\r\n"
			    "Call-ID: %c%u\r\nCSeq: 1 %s\r\n\r\n",
			    method, callid & 0x7f, callid >> 7, method),
		0);
	mb->pos = 0;
	assert_int_equal(message_scan(&msg, mb, &result), 0);
	mem_deref(mb);
	return msg;
}

static struct message *request(char callid)
{
	return request_of("OPTIONS", (unsigned)callid);
}

static int lobby_setup(void **state)
{
	memset(&f, 0, sizeof(f));
	assert_int_equal(wheel_open(), 0);
	f.port = fake_port("192.0.2.1", 5060, TRANSPORT_UDP);
	assert_int_equal(lobby_alloc(&f.lobby, serve, NULL), 0);
	(void)state;
	return 0;
}

static int lobby_teardown(void **state)
{
	mem_deref(f.lobby);
	assert_int_equal(mem_nrefs(f.port), 1);
	port_close(f.port);
	fake_port_reset();
	assert_int_equal(wheel_count(), 0);
	wheel_close();
	(void)state;
	return 0;
}

static void comes(char callid, bool is_stranger)
{
	const struct arrival from = { .port = f.port };
	struct message *msg = request(callid);

	assert_int_equal(lobby_put(f.lobby, &from, msg, is_stranger), 0);
	mem_deref(msg);
}

static void passes(unsigned ms)
{
	while (ms--) {
		fake_clock_advance(1);
		wheel_turn();
	}
}

static void the_turn_ends_before_anybody_is_served_and_strangers_come_last(
	void **s)
{
	turn_enter();
	comes('s', true);
	comes('a', false);
	comes('t', true);
	comes('b', false);
	assert_string_equal(f.served, "");
	turn_leave();
	assert_string_equal(f.served, "abst");
	(void)s;
}

static void more_than_a_turn_has_time_for_is_served_in_later_ones(void **s)
{
	f.takes = LOBBY_TIME / 2;
	turn_enter();
	for (char c = 'a'; c < 'f'; c++)
		comes(c, false);
	turn_leave();
	assert_string_equal(f.served, "ab");
	passes(1);
	assert_string_equal(f.served, "abcd");
	passes(1);
	assert_string_equal(f.served, "abcde");
	(void)s;
}

static void a_stranger_waits_for_others_only_so_long(void **s)
{
	f.takes = LOBBY_TIME;
	turn_enter();
	comes('s', true);
	for (char c = 'a'; c < 'j'; c++)
		comes(c, false);
	turn_leave();
	for (unsigned i = 0; i < 4; i++)
		passes(1);
	assert_non_null(strchr(f.served, 's'));
	assert_null(strchr(f.served, 'h'));
	for (unsigned i = 0; i < 8; i++)
		passes(1);
	assert_int_equal(strlen(f.served), 10);
	(void)s;
}

static void a_cancel_has_the_one_served_that_it_is_about(void **s)
{
	const struct arrival from = { .port = f.port };
	struct message *cancel = request_of("CANCEL", 'a');

	turn_enter();
	comes('s', true);
	comes('a', false);
	comes('b', false);
	lobby_serve(f.lobby, &from, cancel);
	assert_string_equal(f.served, "a");
	lobby_serve(f.lobby, &from, cancel);
	turn_leave();
	assert_string_equal(f.served, "abs");
	lobby_serve(f.lobby, &from, cancel);
	assert_string_equal(f.served, "abs");
	mem_deref(cancel);
	(void)s;
}

static void the_repetition_of_one_that_waits_is_known(void **s)
{
	const struct arrival from = { .port = f.port };
	struct message *a = request('a'), *b = request('b');

	assert_false(lobby_has(f.lobby, &from, a));
	turn_enter();
	comes('a', false);
	assert_true(lobby_has(f.lobby, &from, a));
	assert_false(lobby_has(f.lobby, &from, b));
	turn_leave();
	assert_false(lobby_has(f.lobby, &from, a));
	mem_deref(a);
	mem_deref(b);
	(void)s;
}

static void who_was_turned_away_is_remembered_as_long_as_he_may_repeat(void **s)
{
	const struct arrival from = { .port = f.port };
	struct message *a = request('a'), *b = request('b');

	assert_false(lobby_remembers(f.lobby, &from, a));
	lobby_turned_away(f.lobby, &from, a);
	assert_true(lobby_remembers(f.lobby, &from, a));
	assert_false(lobby_remembers(f.lobby, &from, b));
	fake_clock_advance(31999);
	assert_true(lobby_remembers(f.lobby, &from, a));
	fake_clock_advance(1);
	assert_false(lobby_remembers(f.lobby, &from, a));
	mem_deref(a);
	mem_deref(b);
	(void)s;
}

static void nobody_is_served_while_reading_is_behind(void **s)
{
	const struct arrival late = { .port = f.port, .age = LOBBY_WAIT + 1 };
	const struct arrival fresh = { .port = f.port, .age = LOBBY_WAIT };
	struct message *a = request('a'), *b = request('b');

	f.more = true;
	turn_enter();
	assert_int_equal(lobby_put(f.lobby, &late, a, false), 0);
	turn_leave();
	passes(LOBBY_WAIT - 1);
	turn_enter();
	assert_int_equal(lobby_put(f.lobby, &late, b, false), 0);
	turn_leave();
	passes(LOBBY_WAIT - 1);
	assert_string_equal(f.served, "");
	/* nothing new came for a while: nobody knows of a queue any more */
	passes(1);
	assert_string_equal(f.served, "ab");

	turn_enter();
	assert_int_equal(lobby_put(f.lobby, &late, a, false), 0);
	f.more = false;
	turn_leave();
	assert_string_equal(f.served, "aba");

	f.more = true;
	turn_enter();
	assert_int_equal(lobby_put(f.lobby, &fresh, b, false), 0);
	turn_leave();
	assert_string_equal(f.served, "aba");
	passes(LOBBY_WAIT);
	assert_string_equal(f.served, "abab");
	mem_deref(a);
	mem_deref(b);
	(void)s;
}

static void who_comes_to_be_served_when_he_repeats_already_is_late(void **s)
{
	f.takes = LOBBY_LATE / 2;
	turn_enter();
	for (char c = 'a'; c < 'e'; c++)
		comes(c, false);
	turn_leave();
	for (unsigned i = 0; i < 4; i++)
		passes(1);
	assert_string_equal(f.served, "abCD");
	(void)s;
}

static void a_full_lobby_says_so(void **s)
{
	const struct arrival from = { .port = f.port };
	struct message *msg[LOBBY_MAX + 1];

	turn_enter();
	for (unsigned i = 0; i <= LOBBY_MAX; i++) {
		msg[i] = request_of("OPTIONS", 'x' | i << 7);
		assert_int_equal(lobby_put(f.lobby, &from, msg[i], i & 1),
				 i < LOBBY_MAX ? 0 : ENOBUFS);
	}
	f.lobby = mem_deref(f.lobby); /* who waits is forgotten */
	turn_leave();
	for (unsigned i = 0; i <= LOBBY_MAX; i++) {
		assert_int_equal(mem_nrefs(msg[i]), 1);
		mem_deref(msg[i]);
	}
	assert_string_equal(f.served, "");
	(void)s;
}

#define SHED(t)  cmocka_unit_test_setup_teardown(t, setup, teardown)
#define LOBBY(t) cmocka_unit_test_setup_teardown(t, lobby_setup, lobby_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SHED(below_the_limit_nobody_is_refused),
		SHED(strangers_pay_first_then_a_growing_share_of_the_others),
		SHED(the_share_falls_as_the_load_does_and_stays_in_between),
		SHED(messages_that_all_wait_too_long_count_like_load),
		SHED(a_thread_that_was_held_up_and_catches_up_refuses_nobody),
		SHED(a_few_that_were_late_are_no_queue),
		SHED(what_waited_on_a_connection_is_unknown),
		SHED(after_a_silence_all_is_forgiven),
		SHED(load_limit_0_leaves_the_wait),
		SHED(a_lower_limit_counts_at_once),
		LOBBY(the_turn_ends_before_anybody_is_served_and_strangers_come_last),
		LOBBY(more_than_a_turn_has_time_for_is_served_in_later_ones),
		LOBBY(a_stranger_waits_for_others_only_so_long),
		LOBBY(a_cancel_has_the_one_served_that_it_is_about),
		LOBBY(the_repetition_of_one_that_waits_is_known),
		LOBBY(who_was_turned_away_is_remembered_as_long_as_he_may_repeat),
		LOBBY(nobody_is_served_while_reading_is_behind),
		LOBBY(who_comes_to_be_served_when_he_repeats_already_is_late),
		LOBBY(a_full_lobby_says_so),
	};
	int err = libre_init();

	if (err)
		return 1;
	err = cmocka_run_group_tests(tests, NULL, NULL);
	libre_close();
	return err;
}
