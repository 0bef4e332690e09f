/*
 * The background thread: order, threads, and its end
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
#include "store/base.h"
#include "sbc/job.h"

enum {
	TASKS = 100
};

struct trace {
	pthread_t home;
	int worked[TASKS], done[TASKS];
	int worked_n, done_n;
};

struct entry {
	struct trace *trace;
	int number;
};

static void work(void *arg)
{
	struct entry *e = arg;

	assert_false(pthread_equal(pthread_self(), e->trace->home));
	e->trace->worked[e->trace->worked_n++] = e->number;
}

static void done(void *arg)
{
	struct entry *e = arg;

	assert_true(pthread_equal(pthread_self(), e->trace->home));
	e->trace->done[e->trace->done_n++] = e->number;
}

static void all_work_is_done_there_and_told_here_in_order(void **state)
{
	struct trace trace = { .home = pthread_self() };
	struct entry entries[TASKS];
	struct mailbox *home;
	struct job *job;

	assert_int_equal(mailbox_open(&home, NULL), 0);
	assert_int_equal(job_open(&job, home), 0);
	for (int i = 0; i < TASKS; i++) {
		entries[i] = (struct entry){ &trace, i };
		assert_int_equal(job_run(job, work, done, &entries[i]), 0);
	}
	job_close(job);
	assert_int_equal(trace.worked_n, TASKS);
	assert_int_equal(trace.done_n, 0);
	mailbox_take(home);
	assert_int_equal(trace.done_n, TASKS);
	for (int i = 0; i < TASKS; i++) {
		assert_int_equal(trace.worked[i], i);
		assert_int_equal(trace.done[i], i);
	}
	mailbox_close(home);
	(void)state;
}

static void an_idle_one_ends_at_once(void **state)
{
	struct mailbox *home;
	struct job *job;

	assert_int_equal(mailbox_open(&home, NULL), 0);
	for (int i = 0; i < 50; i++) {
		assert_int_equal(job_open(&job, home), 0);
		job_close(job);
	}
	job_close(NULL);
	mailbox_close(home);
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_work_is_done_there_and_told_here_in_order),
		cmocka_unit_test(an_idle_one_ends_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
