/*
 * One signalling thread: its loop, mailbox, plan, and handles to its tables
 *
 * Order of a thread's life: loop, wheel, mailbox, begin; the loop; letters left,
 * end, mailbox, wheel, loop. So `begin` and `end` find all of it at work.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include "store/base.h"
#include <re_main.h>
#include "sbc/mailbox.h"
#include "sbc/timer.h"
#include "sbc/worker.h"

enum {
	DESCRIPTORS = 65536
}; /* libre's table is by number of descriptor */

/* Lies on the stack of worker_start until the thread has begun */
struct start {
	struct worker *w;
	worker_main_h *begin, *end;
	void *arg;
	pthread_mutex_t lock;
	pthread_cond_t begun;
	bool done;
	int err;
};

static void start_tell(struct start *s, int err)
{
	pthread_mutex_lock(&s->lock);
	s->err = err;
	s->done = true;
	pthread_cond_signal(&s->begun);
	pthread_mutex_unlock(&s->lock);
}

static int ground_open(struct worker *w)
{
	int err;

	err = re_thread_init();
	if (err)
		return err;

	err = fd_setsize(DESCRIPTORS);
	if (err)
		goto loop;

	err = wheel_open();
	if (err)
		goto loop;

	err = mailbox_open(&w->mailbox, w);
	if (!err)
		return 0;

	wheel_close();
loop:
	re_thread_close();
	return err;
}

static void ground_close(struct worker *w)
{
	mailbox_close(w->mailbox);
	w->mailbox = NULL;
	wheel_close();
	re_thread_close();
}

static void *worker_main(void *arg)
{
	struct start *start = arg;
	struct worker *w = start->w;
	worker_main_h *end = start->end;
	void *end_arg = start->arg;
	int err;

	err = ground_open(w);
	if (err) {
		start_tell(start, err);
		return NULL;
	}

	if (start->begin)
		start->begin(w, start->arg);
	start_tell(start, 0); /* start is gone after this */

	(void)re_main(NULL); /* ends by re_cancel; EINTR cannot come */

	mailbox_take(w->mailbox);
	if (end)
		end(w, end_arg);
	ground_close(w);

	return NULL;
}

/* A thread inherits the mask, so no signal finds it without one */
static int thread_start(struct start *start)
{
	sigset_t all, before;
	int err;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	err = pthread_create(&start->w->thread, NULL, worker_main, start);
	pthread_sigmask(SIG_SETMASK, &before, NULL);

	return err;
}

int worker_start(struct worker *w, worker_main_h *begin, worker_main_h *end,
		 void *arg)
{
	struct start start = {
		.w = w,
		.begin = begin,
		.end = end,
		.arg = arg,
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.begun = PTHREAD_COND_INITIALIZER,
	};
	char name[16]; /* as much as the kernel takes */
	int err;

	err = thread_start(&start);
	if (err)
		goto out;

	pthread_mutex_lock(&start.lock);
	while (!start.done)
		pthread_cond_wait(&start.begun, &start.lock);
	pthread_mutex_unlock(&start.lock);

	err = start.err;
	if (err) {
		pthread_join(w->thread, NULL);
		goto out;
	}

	snprintf(name, sizeof(name), "sip-%u", (unsigned)w->number);
	(void)pthread_setname_np(w->thread, name); /* for top only */

out:
	pthread_cond_destroy(&start.begun);
	pthread_mutex_destroy(&start.lock);
	return err;
}

static void stop_open(struct letter *letter, void *arg)
{
	(void)letter; /* on the stack of worker_join */
	(void)arg;
	re_cancel();
}

void worker_join(struct worker *w)
{
	struct letter stop = { .open = stop_open };

	mailbox_post(w->mailbox, &stop);
	pthread_join(w->thread, NULL);
}
