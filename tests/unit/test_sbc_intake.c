/*
 * Datagram sockets read together: who is called, and when the thread rests
 *
 * The clock is moved by hand, and a rest moves it; the sockets are real.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>
#include "sbc/clock.h"
#include "sbc/intake.h"
#include "tests/unit/fake_clock.h"

enum {
	SOCKETS = 3
};

static struct {
	int pair[SOCKETS][2];
	unsigned calls[SOCKETS];
	unsigned looks, wanted; /* looks so far; after which the loop ends */
	bool again, close_all;
} t;

static void readable(int flags, void *arg)
{
	size_t i = (size_t)(uintptr_t)arg, k;

	assert_true(flags & FD_READ);
	++t.calls[i];
	if (t.again)
		intake_again();
	if (t.close_all)
		for (k = 0; k < SOCKETS; k++)
			intake_close(t.pair[k][0]);
	if (t.close_all || (i == 0 && ++t.looks == t.wanted))
		re_cancel();
}

static int setup(void **state)
{
	size_t i;
	(void)state;

	memset(&t, 0, sizeof(t));
	for (i = 0; i < SOCKETS; i++) {
		if (socketpair(AF_UNIX, SOCK_DGRAM, 0, t.pair[i]) ||
		    intake_listen(t.pair[i][0], FD_READ, readable,
				  (void *)(uintptr_t)i))
			return -1;
	}

	return 0;
}

static int teardown(void **state)
{
	size_t i;
	(void)state;

	for (i = 0; i < SOCKETS; i++) {
		intake_close(t.pair[i][0]);
		close(t.pair[i][0]);
		close(t.pair[i][1]);
	}

	return 0;
}

/* Nothing is read, so each look finds the same */
static void looks(unsigned n)
{
	t.looks = 0;
	t.wanted = n;
	assert_int_equal(re_main(NULL), 0);
}

static void feed(size_t i)
{
	assert_int_equal(send(t.pair[i][1], "x", 1, 0), 1);
}

static void one_look_serves_all_sockets(void **state)
{
	(void)state;

	feed(0);
	feed(2);
	looks(4);

	assert_int_equal(t.calls[0], 4);
	assert_int_equal(t.calls[1], 0);
	assert_int_equal(t.calls[2], 4); /* the last look was served whole */
}

static void the_first_looks_after_a_pause_come_at_once(void **state)
{
	uint64_t before;
	(void)state;

	fake_clock_advance(1000);
	before = clock_ms();
	feed(0);
	looks(INTAKE_BURST);

	assert_int_equal(clock_ms() - before, 0);
}

static void under_load_there_is_one_look_per_turn(void **state)
{
	uint64_t before;
	(void)state;

	fake_clock_advance(1000);
	before = clock_ms();
	feed(0);
	looks(INTAKE_BURST + 100);

	assert_int_equal(clock_ms() - before, 100 * INTAKE_TURN / 1000);
}

static void who_did_not_read_all_is_called_again_without_a_rest(void **state)
{
	uint64_t before;
	(void)state;

	fake_clock_advance(1000);
	before = clock_ms();
	t.again = true;
	feed(0);
	looks(INTAKE_BURST + 100);

	assert_int_equal(clock_ms() - before, 0);
}

static void a_handler_may_end_every_watch(void **state)
{
	(void)state;

	t.close_all = true;
	feed(0);
	feed(1);
	feed(2);
	looks(1);

	assert_int_equal(t.calls[0] + t.calls[1] + t.calls[2], 1);
}

static void what_is_unknown_is_closed_without_effect(void **state)
{
	(void)state;

	intake_close(12345);
	assert_int_equal(intake_listen(-1, FD_READ, readable, NULL), EBADF);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(one_look_serves_all_sockets),
		T(the_first_looks_after_a_pause_come_at_once),
		T(under_load_there_is_one_look_per_turn),
		T(who_did_not_read_all_is_called_again_without_a_rest),
		T(a_handler_may_end_every_watch),
		T(what_is_unknown_is_closed_without_effect),
#undef T
	};
	int err;

	if (libre_init())
		return 1;
	err = cmocka_run_group_tests(tests, NULL, NULL);
	libre_close();

	return err;
}
