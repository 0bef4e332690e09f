/*
 * Messages between threads
 *
 * No lock: a letter is pushed on top of those that wait, the owner takes all of
 * them at once and turns the pile over. Only the letter that finds it empty rings
 * the eventfd, so a burst costs one system call on each side. Opening a letter may
 * be what closes the mailbox, while its sender is about to ring: so senders are
 * counted. The eventfd is read with the datagram sockets: under load letters, too,
 * wait for the next turn.
 */
#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "store/base.h"
#include "sbc/intake.h"
#include "sbc/turn.h"
#include "sbc/mailbox.h"

struct mailbox {
	struct letter *_Atomic last; /* posted; its next is the one before */
	atomic_uint posting;         /* senders that still need the mailbox */
	void *arg;
	int fd; /* eventfd; -1 while the owner has no loop */
	pthread_t owner;
};

/* mailbox_ask: lies on the asker's stack until it is answered */
struct question {
	struct letter letter;
	void (*fn)(void *arg, void *x);
	void *x;
	pthread_mutex_t lock;
	pthread_cond_t answered;
	bool done;
};

/* Open what was there at the beginning; what these cause to come waits */
static bool take(struct mailbox *m)
{
	struct letter *l, *next, *before = NULL;

	for (l = atomic_exchange(&m->last, NULL); l; l = next) {
		next = l->next;
		l->next = before;
		before = l;
	}
	l = before;
	if (!l)
		return false;

	turn_enter();
	for (; l; l = next) {
		next = l->next; /* opening it frees it */
		l->open(l, m->arg);
	}
	turn_leave();

	return true;
}

static void eventfd_handler(int flags, void *arg)
{
	struct mailbox *m = arg;
	uint64_t rings;
	(void)flags;

	/* before the queue is taken: who finds it empty after that rings anew.
	 * EAGAIN: the queue was taken by hand */
	(void)!read(m->fd, &rings, sizeof(rings));
	take(m);
}

static void mailbox_destructor(void *arg)
{
	struct mailbox *m = arg;

	while (atomic_load(&m->posting))
		sched_yield();
	if (m->fd >= 0) {
		intake_close(m->fd);
		close(m->fd);
	}
}

int mailbox_open(struct mailbox **mp, void *arg)
{
	struct mailbox *m;
	int err;

	m = mem_zalloc(sizeof(*m), mailbox_destructor);
	if (!m)
		return ENOMEM;

	m->fd = -1;
	m->arg = arg;
	m->owner = pthread_self();

	m->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (m->fd < 0) {
		err = errno;
		goto out;
	}

	err = intake_listen(m->fd, FD_READ, eventfd_handler, m);
	if (err == EINVAL) {
		/* no loop: the owner takes by hand, a bell would only fill up */
		close(m->fd);
		m->fd = -1;
		err = 0;
	}

out:
	if (err)
		mem_deref(m);
	else
		*mp = m;

	return err;
}

void mailbox_close(struct mailbox *m)
{
	if (!m)
		return;

	while (take(m))
		;
	mem_deref(m);
}

void mailbox_post(struct mailbox *m, struct letter *letter)
{
	static const uint64_t ring = 1;
	struct letter *last;

	atomic_fetch_add(&m->posting, 1);
	last = atomic_load(&m->last);
	do {
		letter->next = last;
	} while (!atomic_compare_exchange_weak(&m->last, &last, letter));
	if (!last && m->fd >= 0)
		(void)!write(m->fd, &ring, sizeof(ring)); /* cannot be full */
	atomic_fetch_sub(&m->posting, 1);
}

static void question_open(struct letter *letter, void *arg)
{
	struct question *q = (struct question *)letter;

	q->fn(arg, q->x);

	/* Under the lock: q is gone as soon as the asker sees that it is done */
	pthread_mutex_lock(&q->lock);
	q->done = true;
	pthread_cond_signal(&q->answered);
	pthread_mutex_unlock(&q->lock);
}

void mailbox_ask(struct mailbox *m, void (*fn)(void *arg, void *x), void *x)
{
	struct question q = {
		.letter.open = question_open,
		.fn = fn,
		.x = x,
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.answered = PTHREAD_COND_INITIALIZER,
	};

	assert(!pthread_equal(m->owner, pthread_self()));

	mailbox_post(m, &q.letter);

	pthread_mutex_lock(&q.lock);
	while (!q.done)
		pthread_cond_wait(&q.answered, &q.lock);
	pthread_mutex_unlock(&q.lock);

	pthread_cond_destroy(&q.answered);
	pthread_mutex_destroy(&q.lock);
}

void mailbox_take(struct mailbox *m)
{
	take(m);
}
