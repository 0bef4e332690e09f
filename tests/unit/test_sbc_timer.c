/*
 * The timer wheel in virtual time, against a model that is only a list
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include "store/base.h"
#include <re_main.h>
#include "sbc/clock.h"
#include "sbc/timer.h"
#include "sbc/turn.h"
#include "tests/unit/fake_clock.h"

struct probe {
	struct timer timer;
	uint64_t ran_at;
	unsigned runs;
};

static void note(void *arg)
{
	struct probe *p = arg;

	p->runs++;
	p->ran_at = clock_ms();
}

/* Jump from timer to timer, as the timerfd would, up to a moment */
static void run_until(uint64_t end)
{
	uint64_t next;

	while ((next = wheel_next()) <= end) {
		if (next > clock_ms())
			fake_clock_advance(next - clock_ms());
		wheel_turn();
	}
	fake_clock_advance(end - clock_ms());
	wheel_turn();
}

static void a_timer_runs_at_its_moment_whatever_the_delay(void **s)
{
	static const uint64_t delays[] = {
		0,
		1,
		2,
		63,
		64,
		255,
		256,
		257,
		500,
		511,
		512,
		65535,
		65536,
		65537,
		3600000,
		16777215,
		16777216,
		16777217,
		17 * 3600000ull,
		4294967295,
		4294967296,
		4294967297,
		100 * 86400000ull,
		400 * 86400000ull,
	};

	for (size_t i = 0; i < sizeof(delays) / sizeof(delays[0]); i++) {
		struct probe p = { 0 };
		uint64_t due = clock_ms() + delays[i];

		timer_start(&p.timer, delays[i], note, &p);
		assert_true(timer_is_running(&p.timer));
		assert_int_equal(timer_left(&p.timer), delays[i]);
		assert_int_equal(wheel_next(), due);
		if (delays[i]) {
			fake_clock_advance(delays[i] - 1);
			wheel_turn();
			assert_int_equal(p.runs, 0);
			assert_int_equal(timer_left(&p.timer), 1);
			fake_clock_advance(1);
		}
		wheel_turn();
		assert_int_equal(p.runs, 1);
		assert_int_equal(p.ran_at, due);
		assert_false(timer_is_running(&p.timer));
		assert_int_equal(timer_left(&p.timer), 0);
		/* so that the next one begins elsewhere in the wheel */
		fake_clock_advance(12345);
	}
	assert_int_equal(wheel_count(), 0);
	(void)s;
}

static void a_started_timer_starts_anew(void **s)
{
	struct probe p = { 0 };

	timer_start(&p.timer, 10, note, &p);
	timer_start(&p.timer, 1000, note, &p);
	assert_int_equal(wheel_count(), 1);
	fake_clock_advance(999);
	wheel_turn();
	assert_int_equal(p.runs, 0);
	fake_clock_advance(1);
	wheel_turn();
	assert_int_equal(p.runs, 1);
	(void)s;
}

static void a_cancelled_timer_never_runs(void **s)
{
	struct probe p = { 0 };

	timer_cancel(&p.timer); /* not even started */
	timer_start(&p.timer, 10, note, &p);
	timer_cancel(&p.timer);
	timer_cancel(&p.timer);
	assert_int_equal(wheel_count(), 0);
	assert_int_equal(wheel_next(), UINT64_MAX);
	fake_clock_advance(100);
	wheel_turn();
	assert_int_equal(p.runs, 0);
	(void)s;
}

static struct probe pair[2];

static void cancel_the_other(void *arg)
{
	size_t i = (size_t)arg;

	pair[i].runs++;
	timer_cancel(&pair[!i].timer);
}

static void of_two_due_together_the_first_cancels_the_second(void **s)
{
	pair[0] = pair[1] = (struct probe){ 0 };
	timer_start(&pair[0].timer, 5, cancel_the_other, (void *)0);
	timer_start(&pair[1].timer, 5, cancel_the_other, (void *)1);
	fake_clock_advance(5);
	wheel_turn();
	assert_int_equal(pair[0].runs + pair[1].runs, 1);
	assert_int_equal(wheel_count(), 0);
	(void)s;
}

struct owner {
	struct timer timer, other;
};
static unsigned owners;

static void owner_destructor(void *arg)
{
	struct owner *o = arg;

	timer_cancel(&o->timer);
	timer_cancel(&o->other);
	owners--;
}

static void free_owner(void *arg)
{
	mem_deref(arg);
}

static void a_handler_frees_what_owns_its_timer(void **s)
{
	for (int i = 0; i < 3; i++) {
		struct owner *o = mem_zalloc(sizeof(*o), owner_destructor);

		assert_non_null(o);
		owners++;
		/* both due in one millisecond: the second goes with the first */
		timer_start(&o->timer, 7, free_owner, o);
		timer_start(&o->other, 7, free_owner, o);
	}
	fake_clock_advance(7);
	wheel_turn();
	assert_int_equal(owners, 0);
	assert_int_equal(wheel_count(), 0);
	(void)s;
}

static void start_again_at_once(void *arg)
{
	struct probe *p = arg;

	p->runs++;
	timer_start(&p->timer, 0, start_again_at_once, p);
}

static void a_timer_that_starts_itself_with_0_runs_once_a_turn(void **s)
{
	struct probe p = { 0 };

	timer_start(&p.timer, 0, start_again_at_once, &p);
	wheel_turn();
	assert_int_equal(p.runs, 1);
	fake_clock_advance(1);
	wheel_turn();
	assert_int_equal(p.runs, 2);
	timer_cancel(&p.timer);
	(void)s;
}

static void each_500(void *arg)
{
	struct probe *p = arg;

	p->runs++;
	timer_start(&p->timer, 500, each_500, p);
}

static void a_turn_that_comes_late_runs_each_timer_once_and_keeps_the_rest(
	void **s)
{
	struct probe p = { 0 }, late = { 0 }, rest = { 0 };

	timer_start(&p.timer, 500, each_500, &p);
	timer_start(&late.timer, 3000, note, &late);
	timer_start(&rest.timer, 90000, note, &rest);
	fake_clock_advance(60000); /* the process was stopped */
	wheel_turn();
	assert_int_equal(p.runs, 1);
	assert_int_equal(late.runs, 1);
	assert_int_equal(rest.runs, 0);
	assert_int_equal(timer_left(&p.timer), 500);
	assert_int_equal(timer_left(&rest.timer), 30000);
	timer_cancel(&p.timer);
	run_until(clock_ms() + 30000);
	assert_int_equal(rest.runs, 1);
	(void)s;
}

static unsigned deferred_runs;
static void deferred_run(struct deferred *d)
{
	deferred_runs++;
	(void)d;
}
static struct deferred put_off = { .run = deferred_run };

static void defer_it(void *arg)
{
	turn_defer(&put_off);
	assert_int_equal(deferred_runs, 0);
	(void)arg;
}

static void what_timers_put_off_runs_once_at_the_end_of_the_turn(void **s)
{
	struct timer a = { 0 }, b = { 0 };

	timer_start(&a, 1, defer_it, NULL);
	timer_start(&b, 2, defer_it, NULL);
	fake_clock_advance(2);
	wheel_turn();
	assert_int_equal(deferred_runs, 1);
	(void)s;
}

static void a_closed_wheel_forgets_its_timers(void **s)
{
	struct probe p = { 0 }, far = { 0 };

	timer_start(&p.timer, 1, note, &p);
	timer_start(&far.timer, 1000000, note, &far);
	wheel_close();
	assert_false(timer_is_running(&p.timer));
	assert_false(timer_is_running(&far.timer));
	timer_cancel(&p.timer); /* a destructor after the end */
	assert_int_equal(wheel_open(), 0);
	assert_int_equal(wheel_open(), EALREADY);
	fake_clock_advance(10);
	wheel_turn();
	assert_int_equal(p.runs, 0);
	assert_int_equal(wheel_count(), 0);
	(void)s;
}

static bool no_memory;

/* Instead of libc's: for the wheel, which asks nothing else for memory */
void *aligned_alloc(size_t alignment, size_t size)
{
	void *p;

	return no_memory || posix_memalign(&p, alignment, size) ? NULL : p;
}

/* A new wheel has no memory put by */
static void without_memory_each_timer_still_runs_at_its_moment(void **s)
{
	static struct probe probes[200];
	const size_t n = sizeof(probes) / sizeof(probes[0]);
	uint64_t begin = clock_ms();

	wheel_close();
	assert_int_equal(wheel_open(), 0);
	for (size_t i = 0; i < n; i++) {
		no_memory = i % 100 < 70; /* from the first one on */
		timer_start(&probes[i].timer, 1 + i * i, note, &probes[i]);
		assert_true(timer_is_running(&probes[i].timer));
	}
	no_memory = true;
	for (size_t i = 3; i < n; i += 7)
		timer_cancel(&probes[i].timer);
	for (size_t i = 5; i < n; i += 14) /* some of them once more */
		timer_start(&probes[i].timer, 1 + i * i, note, &probes[i]);
	run_until(begin + 10000);
	no_memory = false;
	run_until(begin + 1 + n * n);

	for (size_t i = 0; i < n; i++) {
		bool cancelled = i % 7 == 3;

		assert_int_equal(probes[i].runs, !cancelled);
		if (!cancelled)
			assert_int_equal(probes[i].ran_at, begin + 1 + i * i);
	}
	assert_int_equal(wheel_count(), 0);
	(void)s;
}

static void a_wheel_closed_without_memory_forgets_its_timers(void **s)
{
	struct probe p = { 0 }, other = { 0 };

	wheel_close();
	assert_int_equal(wheel_open(), 0);
	no_memory = true;
	timer_start(&p.timer, 1, note, &p);
	timer_start(&other.timer, 1, note, &other);
	wheel_close();
	no_memory = false;
	assert_false(timer_is_running(&p.timer));
	assert_false(timer_is_running(&other.timer));
	assert_int_equal(wheel_open(), 0);
	(void)s;
}

/* The model: a list of moments, looked through from end to end */
enum {
	MODEL = 400,
	STEPS = 60000
};

static struct modelled {
	struct timer timer;
	uint64_t due; /* 0: does not run */
	uint64_t restart;
	struct modelled *victim;
} items[MODEL];
static unsigned early, late_runs, ran;

static uint64_t any_delay(void)
{
	/* all magnitudes alike: 0 ms to 49 days and more */
	unsigned bits = (unsigned)rand() % 34;
	uint64_t r = ((uint64_t)rand() << 31) ^ (uint64_t)rand();

	return r & ((1ull << bits) - 1);
}

static void item_start(struct modelled *item, uint64_t delay);

static void item_run(void *arg)
{
	struct modelled *item = arg;

	ran++;
	if (clock_ms() < item->due || !item->due)
		early++;
	/* run_until stops at each moment, so nothing may be late either; what
	 * was started with 0 inside the turn runs one millisecond later */
	if (clock_ms() > item->due + 1)
		late_runs++;
	item->due = 0;
	if (item->victim) {
		timer_cancel(&item->victim->timer);
		item->victim->due = 0;
	}
	if (item->restart)
		item_start(item, item->restart);
}

static void item_start(struct modelled *item, uint64_t delay)
{
	item->restart = rand() % 3 ? 0 : any_delay();
	item->victim = rand() % 4 ? NULL : &items[rand() % MODEL];
	if (item->victim == item)
		item->victim = NULL;
	item->due = clock_ms() + delay;
	timer_start(&item->timer, delay, item_run, item);
}

static void the_wheel_agrees_with_a_plain_list(void **s)
{
	srand(20261120);
	for (unsigned step = 0; step < STEPS; step++) {
		struct modelled *item = &items[rand() % MODEL];
		uint64_t next = UINT64_MAX;
		size_t running = 0;

		switch (rand() % 4) {
		case 0:
			timer_cancel(&item->timer);
			item->due = 0;
			break;
		case 1:
			/* sometimes a whole day, sometimes nothing */
			run_until(clock_ms() + any_delay() % 86400000);
			break;
		default:
			item_start(item, any_delay());
			break;
		}

		for (unsigned i = 0; i < MODEL; i++) {
			if (!items[i].due)
				continue;
			running++;
			assert_true(timer_is_running(&items[i].timer));
			if (items[i].timer.due < next)
				next = items[i].timer.due;
		}
		assert_int_equal(wheel_count(), running);
		assert_int_equal(wheel_next(), next);
	}
	assert_int_equal(early, 0);
	assert_int_equal(late_runs, 0);
	assert_true(ran > STEPS / 10);
	for (unsigned i = 0; i < MODEL; i++)
		timer_cancel(&items[i].timer);
	(void)s;
}

static int group_open(void **s)
{
	(void)s;
	return libre_init() || wheel_open();
}

static int group_close(void **s)
{
	wheel_close();
	libre_close();
	(void)s;
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_timer_runs_at_its_moment_whatever_the_delay),
		cmocka_unit_test(a_started_timer_starts_anew),
		cmocka_unit_test(a_cancelled_timer_never_runs),
		cmocka_unit_test(
			of_two_due_together_the_first_cancels_the_second),
		cmocka_unit_test(a_handler_frees_what_owns_its_timer),
		cmocka_unit_test(
			a_timer_that_starts_itself_with_0_runs_once_a_turn),
		cmocka_unit_test(
			a_turn_that_comes_late_runs_each_timer_once_and_keeps_the_rest),
		cmocka_unit_test(
			what_timers_put_off_runs_once_at_the_end_of_the_turn),
		cmocka_unit_test(a_closed_wheel_forgets_its_timers),
		cmocka_unit_test(
			without_memory_each_timer_still_runs_at_its_moment),
		cmocka_unit_test(
			a_wheel_closed_without_memory_forgets_its_timers),
		cmocka_unit_test(the_wheel_agrees_with_a_plain_list),
	};

	return cmocka_run_group_tests(tests, group_open, group_close);
}
