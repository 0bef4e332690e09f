/*
 * Sockets of a thread, read together in a coarse turn under load
 *
 * They have an epoll of their own, which is one descriptor in the loop of the
 * thread. It is made with the first socket and goes with the last.
 *
 * Turns are paid for from a bucket: each costs INTAKE_TURN of it, time fills it.
 * `paid` is the moment up to which the turns are paid for; who is ahead of the
 * clock rests for the difference (the algorithm of ATM policers, GCRA).
 */
#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>
#include "sbc/clock.h"
#include "sbc/turn.h"
#include "sbc/intake.h"

enum {
	EVENTS = 64 /* sockets in one look; others come in the next */
};

struct watched {
	struct watched *next;
	int fd;
	fd_h *h;
	void *arg;
};

struct intake {
	int fd;
	struct watched *watched;
	uint64_t paid; /* [us] */
	struct epoll_event events[EVENTS];
	int pending; /* events of the present look, from its first on */
	bool more;   /* something is left to be read */
};

static _Thread_local struct intake *intake;

static uint32_t events_of(int flags)
{
	return (flags & FD_READ ? EPOLLIN : 0) |
	       (flags & FD_WRITE ? EPOLLOUT : 0);
}

static int flags_of(uint32_t events)
{
	return (events & EPOLLIN ? FD_READ : 0) |
	       (events & EPOLLOUT ? FD_WRITE : 0) |
	       (events & (EPOLLERR | EPOLLHUP) ? FD_EXCEPT : 0);
}

/* Pay for this turn; without a turn in hand, wait until the next is paid for.
 * The wait stands behind the turn: the thread wakes up once for what came
 * meanwhile, not for the first of it and then again */
static void rest(struct intake *in)
{
	const uint64_t hand = (uint64_t)INTAKE_BURST * INTAKE_TURN;
	uint64_t now = clock_us();

	if (in->paid + hand < now)
		in->paid = now - hand;
	in->paid += INTAKE_TURN;
	if (in->paid > now)
		clock_rest(in->paid - now);
}

static void look(int flags, void *arg)
{
	struct intake *in = mem_ref(arg);
	int i;

	(void)flags;

	in->more = false;
	turn_enter();
	in->pending = epoll_wait(in->fd, in->events, EVENTS, 0);
	for (i = 0; i < in->pending; ++i) {
		const struct watched *s = in->events[i].data.ptr;

		if (s)
			s->h(flags_of(in->events[i].events), s->arg);
	}
	in->pending = 0;
	turn_leave();
	if (!in->more)
		rest(in);

	mem_deref(in);
}

static void intake_destructor(void *data)
{
	struct intake *in = data;

	if (in->fd < 0)
		return;
	fd_close(in->fd);
	(void)close(in->fd);
}

static int intake_open(void)
{
	struct intake *in;
	int err;

	in = mem_zalloc(sizeof(*in), intake_destructor);
	if (!in)
		return ENOMEM;

	in->fd = epoll_create1(EPOLL_CLOEXEC);
	if (in->fd < 0) {
		err = errno;
		goto out;
	}

	err = fd_listen(in->fd, FD_READ, look, in);

out:
	if (err)
		mem_deref(in);
	else
		intake = in;

	return err;
}

static struct watched *watched_find(int fd)
{
	struct watched *s = intake ? intake->watched : NULL;

	while (s && s->fd != fd)
		s = s->next;

	return s;
}

static int watched_add(int fd, int flags, fd_h *h, void *arg)
{
	struct epoll_event event = { .events = events_of(flags) };
	struct watched *s;

	s = mem_zalloc(sizeof(*s), NULL);
	if (!s)
		return ENOMEM;

	s->fd = fd;
	s->h = h;
	s->arg = arg;
	event.data.ptr = s;
	if (epoll_ctl(intake->fd, EPOLL_CTL_ADD, fd, &event)) {
		mem_deref(s);
		return errno;
	}

	s->next = intake->watched;
	intake->watched = s;

	return 0;
}

int intake_listen(int fd, int flags, fd_h *h, void *arg)
{
	struct watched *s = watched_find(fd);
	struct epoll_event event = { .events = events_of(flags),
				     .data.ptr = s };
	int err;

	if (s) {
		s->h = h;
		s->arg = arg;
		return epoll_ctl(intake->fd, EPOLL_CTL_MOD, fd, &event) ? errno
									: 0;
	}

	err = intake ? 0 : intake_open();
	if (!err)
		err = watched_add(fd, flags, h, arg);
	if (err && intake && !intake->watched)
		intake = mem_deref(intake);

	return err;
}

void intake_again(void)
{
	if (intake)
		intake->more = true;
}

bool intake_has_more(void)
{
	return intake && intake->more;
}

/* An event of this look that was not handled yet comes to nothing */
static void events_forget(const struct watched *s)
{
	int i;

	for (i = 0; i < intake->pending; ++i) {
		if (intake->events[i].data.ptr == s)
			intake->events[i].data.ptr = NULL;
	}
}

void intake_close(int fd)
{
	struct watched **sp = intake ? &intake->watched : NULL, *s;

	while (sp && *sp && (*sp)->fd != fd)
		sp = &(*sp)->next;
	if (!sp || !*sp)
		return;

	s = *sp;
	*sp = s->next;
	(void)epoll_ctl(intake->fd, EPOLL_CTL_DEL, fd, NULL);
	events_forget(s);
	mem_deref(s);
	if (!intake->watched)
		intake = mem_deref(intake);
}
