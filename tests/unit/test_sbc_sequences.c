/*
 * Random sequences: whatever peers say, nothing is left over and no rule broken
 *
 *	SEED=n    that run alone
 *	RUNS=n    so many runs, from SEED on where that is set
 *	LOUD=1    each message in one line, LOUDER=1 whole
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <malloc.h>
#include "sbc/calls.h"
#include "sbc/counters.h"
#include "sbc/clock.h"
#include "sbc/pair.h"
#include "sbc/timer.h"
#include "sbc/transaction.h"
#include "tests/unit/core_fixture.h"
#include "tests/unit/fake_forward.h"
#include "tests/unit/storm.h"
#include "tests/unit/witness.h"

enum {
	STEPS = 120,
	T1_64 = 32000,
	/* a call that is given up, its CANCEL, and the record behind it (3.3) */
	CALM = 3 * T1_64 + 5000, /* [ms] */
	SUBSCRIPTION = 4000000   /* longest, and its end [ms] */
};

/* Known to the sanitizers, where they are built in */
__attribute__((weak)) void __sanitizer_set_death_callback(void (*h)(void));
__attribute__((weak)) int __lsan_do_recoverable_leak_check(void);

static uint64_t seed_now;

static void say_seed(void)
{
	char line[64];
	int n = snprintf(line, sizeof(line), "SEED=%llu\n",
			 (unsigned long long)seed_now);

	if (write(STDERR_FILENO, line, (size_t)n) < 0)
		return;
}

static void crashed(int signal_number)
{
	say_seed();
	signal(signal_number, SIG_DFL);
	raise(signal_number);
}

static uint64_t number(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text ? strtoull(text, NULL, 10) : otherwise;
}

static int64_t gauge_value(enum counter c)
{
	struct counter_report r;

	counter_read(c, clock_ms(), &r);
	return (int64_t)r.active;
}

static size_t agent_sessions(const char *name)
{
	struct agent_report r;
	struct pl pl;

	pl_set_str(&pl, name);
	agent_report(
		agents_find(core.worker.agents,
			    config_find(core.cfg, &element_session_agent, &pl)),
		clock_ms(), &r);
	return r.sessions[INBOUND] + r.sessions[OUTBOUND];
}

static size_t ports_used(const char *realm)
{
	uint32_t used, free_ports;

	ports_count(core.worker.media_ports,
		    realm_named(core.plan->realms, realm), &used, &free_ports);
	return used;
}

struct left {
	const char *what;
	size_t n;
};

/* What must be gone when everybody is silent and each call has ended */
static const struct left *left_over(size_t timers)
{
	static struct left all[20];
	const struct call_home *home = calls_home(core.worker.calls);
	uint32_t alive, remainders;
	size_t n = 0;

	transactions_count(core.worker.transactions, &alive, &remainders);
	all[n++] = (struct left){ "calls", list_count(&home->calls) };
	all[n++] =
		(struct left){ "lingering legs", list_count(&home->lingering) };
	all[n++] = (struct left){ "tags", home->tables.tags.count };
	all[n++] = (struct left){ "Call-IDs", home->tables.callids.count };
	all[n++] = (struct left){ "call ids", home->ids.count };
	all[n++] = (struct left){ "pairs", pairs_count(core.worker.pairs) };
	all[n++] = (struct left){ "transactions", alive };
	all[n++] = (struct left){ "remainders", remainders };
	all[n++] = (struct left){ "flows", fake_flows() };
	all[n++] = (struct left){ "ports of trunk", ports_used("trunk") };
	all[n++] = (struct left){ "ports of pbx-a", ports_used("pbx-a") };
	all[n++] = (struct left){ "ports of pbx-b", ports_used("pbx-b") };
	all[n++] = (struct left){ "sessions of trunk",
				  agent_sessions("trunk.example") };
	all[n++] = (struct left){ "sessions of pbx-a",
				  agent_sessions("pbx-a.example") };
	all[n++] = (struct left){ "sessions of pbx-b",
				  agent_sessions("pbx-b.example") };
	all[n++] = (struct left){ "gauge of sessions",
				  (size_t)gauge_value(COUNT_SESSIONS) };
	all[n++] = (struct left){ "gauge of established",
				  (size_t)gauge_value(
					  COUNT_SESSIONS_ESTABLISHED) };
	all[n++] = (struct left){ "timers", wheel_count() - timers };
	for (size_t i = 0; i < n; i++)
		if (all[i].n)
			return &all[i];
	return NULL;
}

static void judge(const char *what, size_t n)
{
	if (!what)
		return;
	say_seed();
	if (n)
		fail_msg("SEED=%llu: %zd %s left", (unsigned long long)seed_now,
			 (ssize_t)n, what);
	else
		fail_msg("SEED=%llu: %s", (unsigned long long)seed_now, what);
}

static void run(uint64_t seed)
{
	const struct left *left;
	void *state = NULL;
	size_t timers;

	seed_now = seed;
	core_setup(&state);
	storm_configure(seed);
	core_start();
	storm_begin();
	timers = wheel_count();
	storm_rage(STEPS);
	judge(witness_fault(), 0);
	storm_calm(CALM);
	judge(witness_fault(), 0);
	if (storm_hangs())
		judge(storm_hangs(), 1);
	if (pairs_count(core.worker.pairs))
		storm_calm(SUBSCRIPTION);
	judge(witness_fault(), 0);
	witness_ends(storm_is_lossy());
	judge(witness_fault(), 0);
	left = left_over(timers);
	if (left)
		judge(left->what, left->n);
	storm_end();
	core_teardown(&state);
	if (__lsan_do_recoverable_leak_check &&
	    __lsan_do_recoverable_leak_check())
		judge("memory is leaked", 0);
}

/* Without a sanitizer: what is allocated grows by no run */
static size_t allocated(void)
{
	return __lsan_do_recoverable_leak_check ? 0 : mallinfo2().uordblks;
}

static void nothing_is_left_of_any_sequence_and_no_rule_is_broken(void **s)
{
	uint64_t first = number("SEED", 1);
	uint64_t runs = number("RUNS", getenv("SEED") ? 1 : 1500);
	size_t before;
	(void)s;

	__sanitizer_set_death_callback
		? __sanitizer_set_death_callback(say_seed)
		: (void)signal(SIGSEGV, crashed);
	signal(SIGABRT, crashed);
	/* what is made once per process, is */
	run(first);
	for (uint64_t i = 1; i < runs; i++) {
		before = allocated();
		run(first + i);
		if (allocated() > before)
			print_message("SEED=%llu grows by %zu\n",
				      (unsigned long long)seed_now,
				      allocated() - before);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			nothing_is_left_of_any_sequence_and_no_rule_is_broken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
