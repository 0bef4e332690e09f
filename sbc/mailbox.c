/*
 * Messages between threads
 *
 * The lock is held to append one letter or to take the whole queue, never while
 * a letter is opened. Only the letter that finds the queue empty rings the
 * eventfd, so a burst costs one system call on each side; it rings under the
 * lock, since opening it may be what closes the mailbox. The eventfd is read
 * with the datagram sockets: under load letters, too, wait for the next turn.
 */
#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "store/base.h"
#include "sbc/intake.h"
#include "sbc/turn.h"
#include "sbc/mailbox.h"

struct mailbox {
	pthread_mutex_t lock;
	struct letter *first, **end; /* under the lock */
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
	struct letter *l, *next;

	pthread_mutex_lock(&m->lock);
	l = m->first;
	m->first = NULL;
	m->end = &m->first;
	pthread_mutex_unlock(&m->lock);

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

	if (m->fd >= 0) {
		intake_close(m->fd);
		close(m->fd);
	}
	pthread_mutex_destroy(&m->lock);
}

int mailbox_open(struct mailbox **mp, void *arg)
{
	struct mailbox *m;
	int err;

	m = mem_zalloc(sizeof(*m), mailbox_destructor);
	if (!m)
		return ENOMEM;

	m->fd = -1;
	pthread_mutex_init(&m->lock, NULL); /* cannot fail without attributes */
	m->end = &m->first;
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
	bool was_empty;

	letter->next = NULL;

	pthread_mutex_lock(&m->lock);
	was_empty = !m->first;
	*m->end = letter;
	m->end = &letter->next;
	if (was_empty && m->fd >= 0)
		(void)!write(m->fd, &ring, sizeof(ring)); /* cannot be full */
	pthread_mutex_unlock(&m->lock);
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
