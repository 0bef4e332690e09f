/*
 * A worker's thread begins, is asked, runs timers, and ends in order
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include "store/base.h"
#include <re_main.h>
#include "sbc/mailbox.h"
#include "sbc/timer.h"
#include "sbc/worker.h"

struct story {
	struct worker w;
	char text[64]; /* written on the thread, read before and after it */
	sigset_t mask;
	bool wrong; /* something was not as it should be on the thread */
	struct timer timer;
	atomic_bool ticked;
};

static void note(struct story *s, const char *what)
{
	strcat(s->text, what);
}

static void begin(struct worker *w, void *arg)
{
	struct story *s = arg;

	s->wrong |= w != &s->w || !w->mailbox;
	pthread_sigmask(SIG_SETMASK, NULL, &s->mask);
	note(s, "begin ");
}

static void end(struct worker *w, void *arg)
{
	struct story *s = arg;

	s->wrong |= w != &s->w || !w->mailbox;
	note(s, "end");
}

static void asked(void *arg, void *x)
{
	struct worker *w = arg;
	struct story *s = x;

	s->wrong |= w != &s->w || !pthread_equal(pthread_self(), w->thread);
	note(s, "asked ");
}

static void tick(void *arg)
{
	struct story *s = arg;

	atomic_store(&s->ticked, true);
}

static void start_timer(void *arg, void *x)
{
	struct story *s = x;

	timer_start(&s->timer, 1, tick, s);
	(void)arg;
}

static void nothing(void *arg, void *x)
{
	(void)arg;
	(void)x;
}

static void it_begins_answers_and_ends(void **state)
{
	struct story s = { .w.number = 3 };

	assert_int_equal(worker_start(&s.w, begin, end, &s), 0);
	assert_non_null(s.w.mailbox);
	assert_string_equal(s.text, "begin ");
	mailbox_ask(s.w.mailbox, asked, &s);
	assert_string_equal(s.text, "begin asked ");
	worker_join(&s.w);
	assert_string_equal(s.text, "begin asked end");
	assert_null(s.w.mailbox);
	assert_false(s.wrong);
	(void)state;
}

static void its_thread_takes_no_signal(void **state)
{
	struct story s = { 0 };
	sigset_t mask;

	assert_int_equal(worker_start(&s.w, begin, NULL, &s), 0);
	worker_join(&s.w);
	assert_int_equal(sigismember(&s.mask, SIGTERM), 1);
	assert_int_equal(sigismember(&s.mask, SIGHUP), 1);
	/* and who started it does as before */
	pthread_sigmask(SIG_SETMASK, NULL, &mask);
	assert_int_equal(sigismember(&mask, SIGTERM), 0);
	(void)state;
}

static void its_wheel_turns_under_its_loop(void **state)
{
	struct story s = { 0 };

	assert_int_equal(worker_start(&s.w, NULL, NULL, NULL), 0);
	mailbox_ask(s.w.mailbox, start_timer, &s);
	/* each question is a turn of the loop, so this ends or the test hangs
	 * into its time limit */
	while (!atomic_load(&s.ticked))
		mailbox_ask(s.w.mailbox, nothing, NULL);
	worker_join(&s.w);
	(void)state;
}

struct post {
	struct letter letter;
	atomic_uint *opened;
};

static void post_open(struct letter *letter, void *arg)
{
	struct post *p = (struct post *)letter;

	atomic_fetch_add(p->opened, 1);
	free(p);
	(void)arg;
}

static void letters_before_the_join_are_all_opened(void **state)
{
	struct worker w = { 0 };
	atomic_uint opened = 0;

	assert_int_equal(worker_start(&w, NULL, NULL, NULL), 0);
	for (int i = 0; i < 1000; i++) {
		struct post *p = calloc(1, sizeof(*p));

		assert_non_null(p);
		p->letter.open = post_open;
		p->opened = &opened;
		mailbox_post(w.mailbox, &p->letter);
	}
	worker_join(&w);
	assert_int_equal(opened, 1000);
	(void)state;
}

static void workers_start_and_end_again_and_again(void **state)
{
	for (int round = 0; round < 20; round++) {
		struct worker w[4] = { 0 };

		for (int i = 0; i < 4; i++)
			assert_int_equal(worker_start(&w[i], NULL, NULL, NULL),
					 0);
		for (int i = 0; i < 4; i++)
			worker_join(&w[i]);
	}
	(void)state;
}

static int group_open(void **s)
{
	(void)s;
	return libre_init();
}

static int group_close(void **s)
{
	libre_close();
	(void)s;
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_begins_answers_and_ends),
		cmocka_unit_test(its_thread_takes_no_signal),
		cmocka_unit_test(its_wheel_turns_under_its_loop),
		cmocka_unit_test(letters_before_the_join_are_all_opened),
		cmocka_unit_test(workers_start_and_end_again_and_again),
	};

	return cmocka_run_group_tests(tests, group_open, group_close);
}
