/*
 * sip-ports from plan to plan: opened, kept, drained, taken back
 */
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>
#include "config_fixture.h"
#include <re_main.h>
#include "sbc/doors.h"
#include "sbc/timer.h"
#include "tests/unit/fake_clock.h"

static struct {
	struct worker worker;
	const struct plan *plans[8];
	unsigned n;
} f;

static void arrival(const struct arrival *from, struct mbuf *mb, void *arg)
{
	(void)from;
	(void)mb;
	(void)arg;
}

static int setup(void **state)
{
	static const struct doors_handlers handlers = { .arrival = arrival };

	memset(&f, 0, sizeof(f));
	assert_int_equal(wheel_open(), 0);
	assert_int_equal(doors_open(&f.worker.doors, &f.worker, &handlers), 0);
	(void)state;
	return 0;
}

static int teardown(void **state)
{
	doors_close(f.worker.doors);
	while (f.n)
		plan_give(f.plans[--f.n]);
	assert_int_equal(wheel_count(), 0);
	wheel_close();
	(void)state;
	return 0;
}

/* A plan with one realm for each UDP port of 127.0.0.1, ended by 0 */
static const struct plan *plan_of(const unsigned *ports)
{
	struct config *cfg = config_new();
	const struct plan *plan = NULL;

	for (; *ports; ports++) {
		struct sip_interface *iface;
		char name[16], port[8];

		snprintf(name, sizeof(name), "r%u", *ports);
		snprintf(port, sizeof(port), "%u", *ports);
		config_add(cfg, &element_realm_config, "identifier", name,
			   NULL);
		iface = config_add(cfg, &element_sip_interface, "realm-id",
				   name, NULL);
		item_add(&iface->sip_ports, &element_sip_port, "address",
			 "127.0.0.1", "port", port, NULL);
	}
	assert_int_equal(plan_alloc(&plan, cfg), 0);
	config_give(cfg);
	f.plans[f.n++] = plan;
	return plan;
}

#define PLAN(...) plan_of((const unsigned[]){ __VA_ARGS__, 0 })

static int prepare(const struct plan *plan, char *why)
{
	struct doors_shared shared[8] = { 0 }; /* nobody joins */

	return doors_prepare(f.worker.doors, plan, shared, why);
}

static void run(const struct plan *plan)
{

	char why[DOORS_WHY] = "";

	assert_int_equal(prepare(plan, why), 0);
	f.worker.plan = plan;
	doors_commit(f.worker.doors);
}

/* The sip-port of the n-th endpoint of a plan */
static struct port *at(const struct plan *plan, unsigned n)
{
	return worker_port(&f.worker, &plan->realms->endpoints[n]);
}

static bool is_free(unsigned port)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	struct sa sa;
	bool free;

	assert_int_equal(sa_set_str(&sa, "127.0.0.1", (uint16_t)port), 0);
	free = !bind(fd, &sa.u.sa, sa.len);
	close(fd);
	return free;
}

static void seconds(unsigned n)
{
	while (n--) {
		fake_clock_advance(1000);
		wheel_turn();
	}
}

static void a_port_that_both_plans_have_is_the_same_under_a_new_number(void **s)
{
	const struct plan *one = PLAN(31501, 31502), *two = PLAN(31503, 31502);
	struct port *kept;

	run(one);
	kept = at(one, 1);
	assert_non_null(kept);
	assert_int_equal(port_number(kept), 1);
	run(two);
	assert_ptr_equal(at(two, 1), kept);
	assert_int_equal(port_number(kept), 1);
	run(PLAN(31502));
	assert_int_equal(port_number(kept), 0);
	assert_ptr_equal(at(one, 1), kept);
	assert_null(worker_port(&f.worker, NULL));
	(void)s;
}

static void a_removed_port_drains_until_nobody_holds_it(void **s)
{
	const struct plan *one = PLAN(31501, 31502), *two = PLAN(31502);
	struct port *held;

	run(one);
	held = mem_ref(at(one, 0));
	run(two);
	assert_int_equal(doors_drained(f.worker.doors), 1);
	assert_int_equal(port_number(held), UINT32_MAX);
	seconds(100);
	assert_false(is_free(31501));
	/* a call that began with the former plan finds it */
	assert_ptr_equal(at(one, 0), held);

	mem_deref(held);
	seconds(1);
	assert_int_equal(doors_drained(f.worker.doors), 0);
	assert_true(is_free(31501));
	assert_null(at(one, 0));
	/* that of the look at open sip-ports, which never ends */
	assert_int_equal(wheel_count(), 1);
	(void)s;
}

static void a_port_that_comes_back_is_not_drained_any_more(void **s)
{
	const struct plan *one = PLAN(31501), *two = PLAN(31502);
	struct port *held;

	run(one);
	held = mem_ref(at(one, 0));
	run(two);
	run(one);
	assert_ptr_equal(at(one, 0), held);
	assert_int_equal(port_number(held), 0);
	assert_int_equal(doors_drained(f.worker.doors), 1); /* that of two */
	mem_deref(held);
	seconds(2);
	assert_int_equal(doors_drained(f.worker.doors), 0);
	assert_ptr_equal(at(one, 0), held);
	(void)s;
}

static void what_was_opened_for_a_plan_given_up_is_closed_again(void **s)
{
	const struct plan *one = PLAN(31501), *two = PLAN(31501, 31502);
	char why[DOORS_WHY];
	struct port *kept;

	run(one);
	kept = at(one, 0);
	assert_int_equal(prepare(two, why), 0);
	assert_false(is_free(31502));
	/* not in force: no realm is behind it yet */
	assert_int_equal(port_number(at(two, 1)), UINT32_MAX);
	assert_int_equal(port_number(kept), 0);
	doors_abandon(f.worker.doors);
	assert_true(is_free(31502));
	assert_ptr_equal(at(one, 0), kept);
	assert_int_equal(doors_drained(f.worker.doors), 0);
	(void)s;
}

static void one_port_in_use_opens_none_and_says_which(void **s)
{
	const struct plan *one = PLAN(31501), *two = PLAN(31502, 31503, 31504);
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	char why[DOORS_WHY] = "";
	struct sa sa;

	run(one);
	assert_int_equal(sa_set_str(&sa, "127.0.0.1", 31503), 0);
	assert_int_equal(bind(fd, &sa.u.sa, sa.len), 0);
	assert_int_equal(prepare(two, why), EADDRINUSE);
	assert_non_null(strstr(why, "127.0.0.1:31503/UDP"));
	assert_non_null(strstr(why, "[r31503]"));
	assert_true(is_free(31502));
	assert_int_equal(port_number(at(one, 0)), 0);
	close(fd);
	run(two);
	assert_int_equal(port_number(at(two, 2)), 2);
	(void)s;
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

/* One realm; port 31510 for UDP, 31511 and 31512 for TCP, with these options */
static const struct plan *plan_with_tcp(const char *of_sip,
					const char *of_interface, bool tcp)
{
	static const char *const tcp_ports[] = { "31511", "31512" };
	struct config *cfg = config_new();
	const struct plan *plan = NULL;
	struct sip_interface *iface;

	config_add(cfg, &element_sip_config, "options", of_sip, NULL);
	config_add(cfg, &element_realm_config, "identifier", "r", NULL);
	iface = config_add(cfg, &element_sip_interface, "realm-id", "r",
			   "options", of_interface, NULL);
	item_add(&iface->sip_ports, &element_sip_port, "address", "127.0.0.1",
		 "port", "31510", NULL);
	for (unsigned i = 0; tcp && i < 2; i++)
		item_add(&iface->sip_ports, &element_sip_port, "address",
			 "127.0.0.1", "port", tcp_ports[i],
			 "transport-protocol", "TCP", NULL);
	assert_int_equal(plan_alloc(&plan, cfg), 0);
	config_give(cfg);
	f.plans[f.n++] = plan;
	return plan;
}

static void max_udp_length_leads_to_the_first_sip_port_for_tcp(void **s)
{
	static const struct {
		const char *of_sip, *of_interface;
		size_t by_udp, by_tcp; /* longest, shortest; 0: none */
	} rows[] = {
		{ "", "", 1300, 1301 },
		{ "max-udp-length=900", "", 900, 901 },
		{ "max-udp-length=900", "max-udp-length=1400", 1400, 1401 },
		{ "max-udp-length=0", "", 65535, 0 },
		{ "max-udp-length=900", "max-udp-length=0", 65535, 0 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		const struct plan *plan = plan_with_tcp(
			rows[i].of_sip, rows[i].of_interface, true);

		run(plan);
		assert_null(port_beside(at(plan, 0), rows[i].by_udp));
		if (rows[i].by_tcp)
			assert_ptr_equal(
				port_beside(at(plan, 0), rows[i].by_tcp),
				at(plan, 1));
		assert_null(port_beside(at(plan, 1), 65535));
	}
	(void)s;
}

static void a_sip_port_for_tcp_that_is_taken_away_leads_nowhere(void **s)
{
	const struct plan *with = plan_with_tcp("", "", true);
	const struct plan *without = plan_with_tcp("", "", false);

	run(with);
	assert_non_null(port_beside(at(with, 0), 2000));
	run(without);
	assert_null(port_beside(at(without, 0), 2000));
	(void)s;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_port_that_both_plans_have_is_the_same_under_a_new_number),
		TEST(a_removed_port_drains_until_nobody_holds_it),
		TEST(a_port_that_comes_back_is_not_drained_any_more),
		TEST(what_was_opened_for_a_plan_given_up_is_closed_again),
		TEST(one_port_in_use_opens_none_and_says_which),
		TEST(max_udp_length_leads_to_the_first_sip_port_for_tcp),
		TEST(a_sip_port_for_tcp_that_is_taken_away_leads_nowhere),
	};
	int err = libre_init();

	if (err)
		return 1;
	err = cmocka_run_group_tests(tests, NULL, NULL);
	libre_close();
	return err;
}
