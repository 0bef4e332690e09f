/*
 * All calls of a worker, gone through a slice at a time
 */
#include "store/hash.h"
#include "tests/unit/core_fixture.h"

enum {
	CALLS = 6
};

static uint64_t seen[2 * CALLS];
static size_t seen_n;

static void note(const struct call_report *r, void *arg)
{
	(void)arg;
	assert_true(seen_n < sizeof(seen) / sizeof(*seen));
	seen[seen_n++] = r->id;
}

static uint64_t id_at(size_t n)
{
	struct le *le = list_head(&calls_home(core.worker.calls)->calls);

	while (n--)
		le = le->next;
	return ((const struct call *)le->data)->id;
}

static void many_calls(uint64_t ids[CALLS])
{
	core_start();
	for (int i = 0; i < CALLS; i++)
		core_call();
	assert_int_equal(calls_count(core.worker.calls), CALLS);
	for (size_t i = 0; i < CALLS; i++)
		ids[i] = id_at(i);
	seen_n = 0;
}

/* Its BYEs have no answer: it is gone when these are given up */
static void end(uint64_t id)
{
	const uint32_t n = calls_count(core.worker.calls);

	assert_int_equal(calls_kill(core.worker.calls, id), 0);
	core_run(70000);
	assert_int_equal(calls_count(core.worker.calls), n - 1);
}

static void calls_that_end_between_two_slices_hide_no_others(void **s)
{
	uint64_t ids[CALLS];
	size_t next;
	(void)s;

	many_calls(ids);
	next = calls_walk(core.worker.calls, 0, 2, note, NULL);
	assert_int_not_equal(next, 0);
	end(ids[0]);
	end(ids[2]); /* the next one */
	next = calls_walk(core.worker.calls, next, 2, note, NULL);
	assert_int_not_equal(next, 0);
	end(ids[5]); /* the last one, which would have been next */
	assert_int_equal(calls_walk(core.worker.calls, next, 2, note, NULL), 0);
	assert_int_equal(seen_n, 4);
	assert_true(seen[0] == ids[0] && seen[1] == ids[1]);
	assert_true(seen[2] == ids[3] && seen[3] == ids[4]);
}

static void two_walks_side_by_side_see_all(void **s)
{
	uint64_t ids[CALLS];
	size_t one, two;
	uint32_t n = 0;
	(void)s;

	many_calls(ids);
	one = calls_walk(core.worker.calls, 0, 4, note, NULL);
	two = calls_on(core.worker.calls, NULL, 0, 1, &n);
	while (one)
		one = calls_walk(core.worker.calls, one, 1, note, NULL);
	while (two)
		two = calls_on(core.worker.calls, NULL, two, 1, &n);
	assert_int_equal(n, CALLS);
	assert_int_equal(seen_n, CALLS);
	assert_memory_equal(seen, ids, sizeof(ids));
}

static void calls_of_an_interface_that_is_switched_off_end(void **s)
{
	uint64_t ids[CALLS];
	(void)s;

	many_calls(ids);
	calls_switch_off(core.worker.calls);
	core_run(1000);
	assert_true(peer_hears_no(&trunk, "BYE"));
	((struct sip_config *)(uintptr_t)core.plan->sip)->state = false;
	calls_switch_off(core.worker.calls);
	core_run(70000);
	assert_int_equal(calls_count(core.worker.calls), 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, core_setup, core_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(calls_that_end_between_two_slices_hide_no_others),
		T(two_walks_side_by_side_see_all),
		T(calls_of_an_interface_that_is_switched_off_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
