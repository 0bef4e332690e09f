/*
 * Letters arrive, each once, in the order of each sender
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include "store/base.h"
#include <re_main.h>
#include "sbc/mailbox.h"
#include "sbc/turn.h"

enum {
	SENDERS = 4,
	LETTERS = 20000
};

struct numbered {
	struct letter letter;
	unsigned sender, number;
};

struct reader {
	struct mailbox *mailbox;
	unsigned next[SENDERS];
	unsigned disorder, opened;
	bool stops;
};

static void numbered_open(struct letter *letter, void *arg)
{
	struct numbered *n = (struct numbered *)letter;
	struct reader *r = arg;

	if (n->number != r->next[n->sender])
		r->disorder++;
	r->next[n->sender] = n->number + 1;
	free(n);
	if (++r->opened == SENDERS * LETTERS && r->stops)
		re_cancel();
}

static void post_numbered(struct mailbox *m, unsigned sender, unsigned number)
{
	struct numbered *n = calloc(1, sizeof(*n));

	if (!n)
		abort();
	n->letter.open = numbered_open;
	n->sender = sender;
	n->number = number;
	mailbox_post(m, &n->letter);
}

struct sender {
	pthread_t thread;
	struct mailbox *mailbox;
	unsigned number;
};

static void *sender_main(void *arg)
{
	struct sender *s = arg;

	for (unsigned i = 0; i < LETTERS; i++)
		post_numbered(s->mailbox, s->number, i);
	return NULL;
}

static void letters_of_many_threads_arrive_once_and_in_order(void **s)
{
	struct reader r = { .stops = true };
	struct sender senders[SENDERS];

	assert_int_equal(mailbox_open(&r.mailbox, &r), 0);
	for (unsigned i = 0; i < SENDERS; i++) {
		senders[i].mailbox = r.mailbox;
		senders[i].number = i;
		assert_int_equal(pthread_create(&senders[i].thread, NULL,
						sender_main, &senders[i]),
				 0);
	}
	assert_int_equal(re_main(NULL), 0);
	for (unsigned i = 0; i < SENDERS; i++)
		pthread_join(senders[i].thread, NULL);
	assert_int_equal(r.disorder, 0);
	assert_int_equal(r.opened, SENDERS * LETTERS);
	mailbox_close(r.mailbox);
	(void)s;
}

static void without_a_loop_the_owner_takes_by_hand(void **s)
{
	struct reader r = { 0 };

	assert_int_equal(mailbox_open(&r.mailbox, &r), 0);
	post_numbered(r.mailbox, 0, 0);
	post_numbered(r.mailbox, 0, 1);
	assert_int_equal(r.opened, 0);
	mailbox_take(r.mailbox);
	assert_int_equal(r.opened, 2);
	mailbox_take(r.mailbox);
	assert_int_equal(r.opened, 2);
	mailbox_close(r.mailbox);
	(void)s;
}

struct chain {
	struct letter letter;
	struct mailbox *mailbox;
	unsigned left;
	unsigned *opened;
};

static void chain_open(struct letter *letter, void *arg)
{
	struct chain *c = (struct chain *)letter;

	(*c->opened)++;
	if (c->left--)
		mailbox_post(c->mailbox, &c->letter);
	(void)arg;
}

static void what_a_letter_posts_waits_for_the_next_take(void **s)
{
	struct mailbox *m;
	unsigned opened = 0;
	struct chain c = { { .open = chain_open }, .left = 2 };

	assert_int_equal(mailbox_open(&m, NULL), 0);
	c.mailbox = m;
	c.opened = &opened;
	mailbox_post(m, &c.letter);
	mailbox_take(m);
	assert_int_equal(opened, 1);
	mailbox_close(m); /* and closing opens all of it */
	assert_int_equal(opened, 3);
	(void)s;
}

static unsigned runs;

static void deferred_run(struct deferred *d)
{
	runs++;
	(void)d;
}

static struct deferred put_off = { .run = deferred_run };

static void defer_open(struct letter *letter, void *arg)
{
	turn_defer(&put_off);
	assert_int_equal(runs, 0);
	(void)letter;
	(void)arg;
}

static void a_batch_of_letters_is_one_turn(void **s)
{
	struct mailbox *m;
	struct letter a = { .open = defer_open }, b = { .open = defer_open };

	assert_int_equal(mailbox_open(&m, NULL), 0);
	mailbox_post(m, &a);
	mailbox_post(m, &b);
	mailbox_take(m);
	assert_int_equal(runs, 1);
	mailbox_close(m);
	(void)s;
}

static void add(void *arg, void *x)
{
	unsigned *sum = arg;

	*sum += *(unsigned *)x;
	*(unsigned *)x = *sum;
}

static void cancel(void *arg, void *x)
{
	re_cancel();
	(void)arg;
	(void)x;
}

static void *asker_main(void *arg)
{
	struct mailbox *m = arg;
	unsigned last = 0;

	for (unsigned i = 1; i <= 1000; i++) {
		unsigned x = 1;

		mailbox_ask(m, add, &x);
		if (x <= last)
			return arg; /* it did not wait for the answer */
		last = x;
	}
	return NULL;
}

static void *all_askers_main(void *arg)
{
	pthread_t t[SENDERS];
	void *wrong = NULL, *ret;

	for (unsigned i = 0; i < SENDERS; i++)
		pthread_create(&t[i], NULL, asker_main, arg);
	for (unsigned i = 0; i < SENDERS; i++) {
		pthread_join(t[i], &ret);
		if (ret)
			wrong = ret;
	}
	mailbox_ask(arg, cancel, NULL);
	return wrong;
}

static void who_asks_waits_for_the_answer(void **s)
{
	struct mailbox *m;
	unsigned sum = 0;
	pthread_t t;
	void *wrong;

	assert_int_equal(mailbox_open(&m, &sum), 0);
	assert_int_equal(pthread_create(&t, NULL, all_askers_main, m), 0);
	assert_int_equal(re_main(NULL), 0);
	pthread_join(t, &wrong);
	assert_null(wrong);
	assert_int_equal(sum, SENDERS * 1000);
	mailbox_close(m);
	mailbox_close(NULL);
	(void)s;
}

static int loop_open(void **s)
{
	(void)s;
	return libre_init();
}

static int loop_close(void **s)
{
	libre_close();
	(void)s;
	return 0;
}

int main(void)
{
	const struct CMUnitTest by_hand[] = {
		cmocka_unit_test(without_a_loop_the_owner_takes_by_hand),
		cmocka_unit_test(what_a_letter_posts_waits_for_the_next_take),
		cmocka_unit_test(a_batch_of_letters_is_one_turn),
	};
	const struct CMUnitTest looped[] = {
		cmocka_unit_test(
			letters_of_many_threads_arrive_once_and_in_order),
		cmocka_unit_test(who_asks_waits_for_the_answer),
	};

	return cmocka_run_group_tests(by_hand, NULL, NULL) +
	       cmocka_run_group_tests(looped, loop_open, loop_close);
}
