/*
 * A 2xx is sent again from T1 up to T2 until it is stopped, or for 64*T1
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "store/base.h"
#include <re_main.h>
#include "sbc/clock.h"
#include "sbc/repeat.h"
#include "fake_clock.h"
#include "fake_port.h"

static unsigned lost;

static void is_lost(void *arg)
{
	(void)arg;
	lost++;
}

static struct repeat *begin(struct port **port, struct mbuf **mb)
{
	struct repeat_setup setup = { .t1 = 500, .t2 = 4000, .limit = 32000 };
	struct repeat *r;

	*port = fake_port("192.0.2.1", 5060, TRANSPORT_UDP);
	*mb = mbuf_alloc(16);
	assert_int_equal(mbuf_write_str(*mb, "SIP/2.0 200 OK"), 0);
	(*mb)->pos = 0;
	setup.port = *port;
	setup.mb = *mb;
	lost = 0;
	assert_int_equal(repeat_start(&r, &setup, is_lost, NULL), 0);
	return r;
}

static void end(struct repeat *r, struct port *port, struct mbuf *mb)
{
	mem_deref(r);
	mem_deref(mb);
	port_close(port);
	fake_port_reset();
}

/* Run what is due within so many milliseconds */
static void pass(uint64_t ms)
{
	uint64_t stop = clock_ms() + ms;

	while (wheel_next() <= stop) {
		uint64_t next = wheel_next();

		if (next > clock_ms())
			fake_clock_advance(next - clock_ms());
		wheel_turn();
	}
	fake_clock_advance(stop - clock_ms());
}

static void it_goes_out_at_doubling_intervals_up_to_t2(void **s)
{
	static const uint64_t at[] = { 500, 1500, 3500, 7500, 11500, 15500 };
	struct port *port;
	struct mbuf *mb;
	struct repeat *r = begin(&port, &mb);
	uint64_t now = 0;
	(void)s;

	for (size_t i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
		pass(at[i] - now - 1);
		assert_int_equal(fake_sent_count(), i);
		pass(1);
		assert_int_equal(fake_sent_count(), i + 1);
		now = at[i];
	}
	end(r, port, mb);
}

static void nobody_stops_it_for_64_t1_and_it_is_lost_once(void **s)
{
	struct port *port;
	struct mbuf *mb;
	struct repeat *r = begin(&port, &mb);
	(void)s;

	pass(31999);
	assert_int_equal(lost, 0);
	pass(1);
	assert_int_equal(lost, 1);
	pass(60000);
	assert_int_equal(lost, 1);
	end(r, port, mb);
}

static void letting_it_go_stops_it(void **s)
{
	struct port *port;
	struct mbuf *mb;
	struct repeat *r = begin(&port, &mb);
	(void)s;

	pass(600);
	assert_int_equal(fake_sent_count(), 1);
	r = mem_deref(r);
	pass(60000);
	assert_int_equal(fake_sent_count(), 1);
	assert_int_equal(wheel_count(), 0);
	end(r, port, mb);
}

static int wheel(void **s)
{
	(void)s;
	return libre_init() || wheel_open();
}

static int unwheel(void **s)
{
	(void)s;
	wheel_close();
	libre_close();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_goes_out_at_doubling_intervals_up_to_t2),
		cmocka_unit_test(nobody_stops_it_for_64_t1_and_it_is_lost_once),
		cmocka_unit_test(letting_it_go_stops_it),
	};

	return cmocka_run_group_tests(tests, wheel, unwheel);
}
