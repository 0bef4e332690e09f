/*
 * One media thread: packets in, packets out
 *
 * A flow is one side of one stream: an RTP and an RTCP socket. What arrives on
 * it goes to its partner, the other side, and leaves by the partner's socket.
 *
 *   worker          owner[], free slots, and the head of the ring
 *   media thread    flow[], epoll, packets, and the tail of the ring
 *   both            ring (one writes, one reads); news[] (one flag each, `busy`:
 *                   the letter is on its way and belongs to the worker)
 *
 * A turn: packets in, packets out, orders, a slice of the guard timers, news.
 * Under load a turn takes TURN, so that one wake-up serves many sockets
 * (architecture.md 10.3). Events carry the number of the flow, and orders run
 * only between two waits: an event of a flow that is gone finds nobody.
 *
 * A socket whose latch is locked is connected, so the kernel drops strangers.
 * The source is compared all the same: what was in the socket's queue before it
 * was connected is read afterwards.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include "store/log.h"
#include "policy/sdp.h"
#include "sbc/clock.h"
#include "sbc/counters.h"
#include "sbc/reception.h"
#include "sbc/turn.h"
#include "sbc/forward.h"

enum {
	FLOWS_MAX = 1 << 20,
	ORDERS = 512,    /* in the ring; a power of two */
	EVENTS = 256,    /* of one wait */
	PACKETS = 256,   /* held between in and out */
	SEVERAL = 16,    /* datagrams of one system call */
	DATAGRAM = 4032, /* longest that is relayed [bytes] */
	TURN = 2000,     /* [us] */
	WINDOW = 16000,  /* over which load is measured [us] */
	BUSY = 64,       /* packets per window that make load */
	SWEEP = 1000,    /* each flow's guard timer is looked at [ms] */
	IDLE = 100,      /* longest wait while there are flows [ms] */
	NEWS_AGAIN = 2,  /* wait when a letter could not go out yet [ms] */
};

enum {
	RTP,
	RTCP
};

enum order_kind {
	ORDER_OPEN,
	ORDER_CHANGE,
	ORDER_EXPECT,
	ORDER_CLOSE,
	ORDER_REPORT,
	ORDER_STOP
};

struct order {
	uint32_t flow;
	uint8_t kind; /* enum order_kind */
	struct flow_setup setup;
};

/* Not a multiple of 4096, or all packets would share one set of the cache */
struct packet {
	uint16_t len;
	int16_t next; /* of the same channel, -1: last */
	uint8_t data[DATAGRAM];
};

struct channel {
	int fd;
	int16_t first, last; /* packets to be sent; -1: none */
	uint16_t queued;
	bool connected;
	bool several;  /* ask for more than one datagram */
	uint32_t turn; /* when it last had a packet */
	struct latch latch;
};

struct flow {
	uint32_t number; /* 0: free */
	uint32_t partner;
	struct channel channel[2];
	uint64_t packets, octets, strangers;
	struct reception reception;
	uint32_t clock_rate; /* [Hz] */
	bool raw, mute, rtcp_blocked, rtcp_counts;
	bool expecting; /* a new address: the kernel keeps nobody out */
	bool closing;

	/* guard timers */
	uint32_t alive, alive_then; /* packets that count; at the last look */
	uint32_t first_wait, later_wait;
	uint64_t since; /* last sign of life, or the beginning [ms] */
	uint8_t direction;
	bool guarded, seen, told;

	/* news that waits: a bit per kind, and the list of such flows */
	uint8_t todo;
	bool listed;
	uint32_t next;
};

/* Of the worker */
struct owner {
	uint32_t number; /* generation and index */
	uint32_t next;   /* free slot after this one */
	bool open, closing;
	flow_h *h, *ask_h;
	void *arg, *ask_arg;
};

/* Written by the media thread while busy is false, read by the worker then */
struct news {
	struct letter letter; /* first: it is all that the mailbox knows */
	struct forward *forward;
	struct flow_report report;
	uint8_t kind;
	atomic_bool busy;
};

struct forward {
	/* made at the start */
	uint32_t max, shift; /* bits of the index in a number */
	struct mailbox *mailbox;
	struct news *news;
	struct order *ring;
	int wake, epoll;
	struct deferred bell; /* of the worker: wake the thread up */
	pthread_t thread;

	/* of the worker */
	struct owner *owner;
	uint32_t free, fresh; /* given back; never used yet */
	uint32_t used;
	bool gone;          /* closed; the last letter frees */
	uint32_t in_flight; /* letters, when gone */

	/* of the ring */
	atomic_uint head; /* written by the worker */
	atomic_uint tail; /* written by the media thread */

	/* of the media thread */
	struct flow *flow;
	struct packet *packet;
	struct channel *out[PACKETS];
	uint32_t packets_n, out_n;
	struct epoll_event event[EVENTS];
	struct mmsghdr msg[SEVERAL];
	struct iovec iov[SEVERAL];
	struct sa src[SEVERAL];
	uint64_t now_us, now; /* of this turn [us], [ms] */
	uint64_t window;
	uint32_t window_packets, turn;
	uint32_t flows, top;  /* open; one above the highest slot in use */
	uint32_t swept;       /* slots looked at in this SWEEP */
	uint64_t sweep_begin; /* [ms] */
	uint32_t waiting;     /* first flow with news that waits; max: none */
	bool loaded, stop;
};

/* --- packets ------------------------------------------------------------- */

static bool is_rtp(const uint8_t *p, size_t n)
{
	size_t size = 12 + 4u * (p[0] & 0x0f);

	if (n < 12 || n < size)
		return false;
	if (!(p[0] & 0x10))
		return true;

	/* RFC 3550 5.3.1: the extension's length is in words */
	if (n < size + 4)
		return false;

	return n >= size + 4 + 4u * (p[size + 2] << 8 | p[size + 3]);
}

enum packet_kind packet_kind(const uint8_t *p, size_t n)
{
	if (n < 8 || p[0] >> 6 != 2)
		return PACKET_NONE;

	if (p[1] >= 200 && p[1] <= 207)
		return 4u * ((p[2] << 8 | p[3]) + 1u) <= n ? PACKET_RTCP
							   : PACKET_NONE;

	return is_rtp(p, n) ? PACKET_RTP : PACKET_NONE;
}

static struct flow *flow_find(struct forward *f, uint32_t number)
{
	uint32_t i = number & ((1u << f->shift) - 1);

	if (!number || i >= f->max || f->flow[i].number != number)
		return NULL;

	return &f->flow[i];
}

static void count_stranger(struct flow *flow)
{
	flow->strangers++;
	count(COUNT_MEDIA_STRANGERS, 1);
}

/* Connect to the one source that counts; or let go while none does, or another one
 * may come */
static void settle(struct channel *c, bool expecting)
{
	struct sockaddr nobody = { .sa_family = AF_UNSPEC };

	if (c->fd < 0)
		return;

	if (!expecting && latch_is_locked(&c->latch)) {
		/* no way there: the source is compared, sendto tells */
		c->connected =
			!connect(c->fd, &c->latch.from.u.sa, c->latch.from.len);
	} else if (c->connected) {
		(void)connect(c->fd, &nobody, sizeof(nobody));
		c->connected = false;
	}
}

static void news_want(struct forward *f, struct flow *flow, enum flow_news kind)
{
	flow->todo |= (uint8_t)(1u << kind);
	if (flow->listed)
		return;

	flow->listed = true;
	flow->next = f->waiting;
	f->waiting = (uint32_t)(flow - f->flow);
}

/* May it pass? Whatever locks the latch is told */
static bool admit(struct forward *f, struct flow *flow, int i,
		  enum packet_kind kind, const struct sa *src)
{
	struct channel *c = &flow->channel[i];
	bool valid = flow->raw || kind == (i == RTP ? PACKET_RTP : PACKET_RTCP);

	if (!flow->raw && kind == PACKET_NONE)
		return false;
	if (i == RTCP && !valid)
		return false;

	switch (latch_admit(&c->latch, src, valid, f->now)) {
	case LATCH_STRANGER:
		return false;
	case LATCH_FRIEND:
		return true;
	case LATCH_MOVED:
		settle(c, flow->expecting);
		if (i == RTP) {
			count(COUNT_MEDIA_LATCHED, 1);
			news_want(f, flow, FLOW_LATCHED);
		}
		return true;
	}

	return false;
}

static void measure(struct forward *f, struct flow *flow, const uint8_t *p,
		    size_t n)
{
	uint64_t ticks;

	flow->packets++;
	flow->octets += n;

	if (!flow->raw) {
		ticks = f->now_us * flow->clock_rate / 1000000;
		reception_take(&flow->reception, p, (uint32_t)ticks);
	}
}

/* Into the partner's list; the packet stays where it is */
static void give(struct forward *f, const struct flow *flow, int i,
		 uint32_t len)
{
	struct flow *partner = flow_find(f, flow->partner);
	int16_t at = (int16_t)f->packets_n;
	struct channel *c;

	if (!partner || partner->closing || flow->mute)
		return;

	c = &partner->channel[i];
	if (c->fd < 0 || !c->latch.to.len)
		return;

	f->packet[at].len = (uint16_t)len;
	f->packet[at].next = -1;
	f->packets_n++;

	if (c->first < 0) {
		c->first = at;
		f->out[f->out_n++] = c;
	} else {
		f->packet[c->last].next = at;
	}
	c->last = at;
	c->queued++;
}

static void take_packet(struct forward *f, struct flow *flow, int i, uint8_t *p,
			size_t n, const struct sa *src)
{
	enum packet_kind kind = flow->raw ? PACKET_NONE : packet_kind(p, n);

	f->window_packets++;

	if (n > DATAGRAM || !admit(f, flow, i, kind, src)) {
		count_stranger(flow);
		return;
	}

	/* RFC 5761: rtcp-mux is offered to nobody, but some send like that */
	if (kind == PACKET_RTCP)
		i = RTCP;

	if (i == RTP) {
		measure(f, flow, p, n);
		flow->alive++;
	} else {
		flow->alive += flow->rtcp_counts;
		if (flow->rtcp_blocked)
			return;
	}

	give(f, flow, i, (uint32_t)n);
}

/* --- out ----------------------------------------------------------------- */

static bool is_pending(int err)
{
	/* an ICMP answer to an earlier packet; this one was not sent */
	return err == ECONNREFUSED || err == EHOSTUNREACH;
}

static void send_one(const struct channel *c, const struct packet *p)
{
	const struct sockaddr *to = c->connected ? NULL : &c->latch.to.u.sa;
	socklen_t len = c->connected ? 0 : c->latch.to.len;
	int flags = MSG_DONTWAIT | MSG_NOSIGNAL;

	if (sendto(c->fd, p->data, p->len, flags, to, len) < 0 &&
	    is_pending(errno))
		(void)sendto(c->fd, p->data, p->len, flags, to, len);
}

/* Up to SEVERAL packets of the chain; returns what comes after them */
static int16_t send_several(struct forward *f, struct channel *c, int16_t at)
{
	unsigned n, done = 0;
	int sent, tries = 2;

	for (n = 0; n < SEVERAL && at >= 0; n++, at = f->packet[at].next) {
		struct msghdr *h = &f->msg[n].msg_hdr;

		memset(h, 0, sizeof(*h));
		f->iov[n].iov_base = f->packet[at].data;
		f->iov[n].iov_len = f->packet[at].len;
		h->msg_iov = &f->iov[n];
		h->msg_iovlen = 1;
		if (!c->connected) {
			h->msg_name = &c->latch.to.u.sa;
			h->msg_namelen = c->latch.to.len;
		}
	}

	while (done < n && tries) {
		sent = sendmmsg(c->fd, f->msg + done, n - done,
				MSG_DONTWAIT | MSG_NOSIGNAL);
		if (sent > 0)
			done += (unsigned)sent;
		else if (sent < 0 && is_pending(errno))
			tries--;
		else
			break; /* the path is full or gone: RTP does not wait */
	}

	return at;
}

static void flush_packets(struct forward *f)
{
	struct channel *c;
	uint32_t i;

	for (i = 0; i < f->out_n; i++) {
		c = f->out[i];

		if (c->queued == 1)
			send_one(c, &f->packet[c->first]);
		else
			while (c->first >= 0)
				c->first = send_several(f, c, c->first);

		c->first = -1;
		c->queued = 0;
	}

	f->out_n = 0;
	f->packets_n = 0;
}

/* --- in ------------------------------------------------------------------ */

static void take_one(struct forward *f, struct flow *flow, int i)
{
	uint8_t *p = f->packet[f->packets_n].data;
	struct sa src;
	ssize_t n;

	src.len = sizeof(src.u);
	/* MSG_TRUNC: the true length of a datagram that is too long */
	n = recvfrom(flow->channel[i].fd, p, DATAGRAM, MSG_DONTWAIT | MSG_TRUNC,
		     &src.u.sa, &src.len);
	if (n < 0)
		return; /* EAGAIN, or the error of an ICMP answer is read now */

	take_packet(f, flow, i, p, (size_t)n, &src);
}

/* Packets are admitted in place; a gap left by a dropped one is closed */
static void take_several(struct forward *f, struct flow *flow, int i)
{
	uint32_t base = f->packets_n;
	int n, k;

	for (k = 0; k < SEVERAL; k++) {
		struct msghdr *h = &f->msg[k].msg_hdr;

		memset(h, 0, sizeof(*h));
		f->iov[k].iov_base = f->packet[base + (uint32_t)k].data;
		f->iov[k].iov_len = DATAGRAM;
		h->msg_iov = &f->iov[k];
		h->msg_iovlen = 1;
		h->msg_name = &f->src[k].u.sa;
		h->msg_namelen = sizeof(f->src[k].u);
	}

	n = recvmmsg(flow->channel[i].fd, f->msg, SEVERAL,
		     MSG_DONTWAIT | MSG_TRUNC, NULL);
	if (n < SEVERAL / 4)
		flow->channel[i].several = false;

	for (k = 0; k < n; k++) {
		uint8_t *from = f->packet[base + (uint32_t)k].data;
		uint8_t *to = f->packet[f->packets_n].data;
		size_t len = f->msg[k].msg_len;

		f->src[k].len = f->msg[k].msg_hdr.msg_namelen;
		if (to != from && len <= DATAGRAM)
			memcpy(to, from, len);
		take_packet(f, flow, i, to, len, &f->src[k]);
	}
}

static void take(struct forward *f, uint64_t event)
{
	struct flow *flow = flow_find(f, (uint32_t)(event >> 1));
	int i = (int)(event & 1);
	struct channel *c;

	if (!flow || flow->channel[i].fd < 0)
		return;

	/* two turns in a row, at 50 packets a second and less: it has a queue */
	c = &flow->channel[i];
	if (c->turn + 1 == f->turn)
		c->several = true;
	c->turn = f->turn;

	if (f->packets_n + SEVERAL > PACKETS)
		flush_packets(f);

	if (c->several)
		take_several(f, flow, i);
	else
		take_one(f, flow, i);
}

/* --- orders -------------------------------------------------------------- */

static void channel_close(struct forward *f, struct channel *c)
{
	if (c->fd < 0)
		return;

	/* close ends the watch, too. While a child that has not called exec yet
	 * holds a copy, events of a flow that is gone may come: nobody's */
	(void)close(c->fd);
	c->fd = -1;
}

static void guard_begin(struct forward *f, struct flow *flow,
			const struct flow_setup *s)
{
	bool was = flow->direction & SDP_SENDONLY &&
		   (flow->first_wait || flow->later_wait);
	bool is =
		s->direction & SDP_SENDONLY && (s->first_wait || s->later_wait);

	flow->direction = s->direction;
	flow->first_wait = s->first_wait;
	flow->later_wait = s->later_wait;
	flow->told = false;

	if (!is || was)
		return;

	/* the first wait begins once; a stream that comes back from hold is
	 * given its time anew */
	if (!flow->guarded)
		flow->seen = false;
	flow->guarded = true;
	flow->since = f->now;
	flow->alive_then = flow->alive;
}

static void flow_apply(struct forward *f, struct flow *flow,
		       const struct flow_setup *s)
{
	bool expecting = flow->expecting;
	int i;

	flow->expecting = false;
	flow->partner = s->partner;
	flow->raw = s->raw;
	flow->mute = s->mute;
	flow->rtcp_blocked = s->rtcp_blocked;
	flow->rtcp_counts = s->rtcp_counts;
	flow->clock_rate = s->clock_rate ? s->clock_rate : 8000;
	guard_begin(f, flow, s);

	for (i = RTP; i <= RTCP; i++)
		if (latch_name(&flow->channel[i].latch, &s->remote[i],
			       f->now) ||
		    expecting)
			settle(&flow->channel[i], false);
}

/* RFC 3264 5.1: whoever answers may send before its answer is here, and the
 * kernel would drop that for a connected socket */
static void flow_open_up(struct flow *flow)
{
	flow->expecting = true;
	settle(&flow->channel[RTP], true);
	settle(&flow->channel[RTCP], true);
}

static void flow_begin(struct forward *f, const struct order *o)
{
	uint32_t at = o->flow & ((1u << f->shift) - 1);
	struct flow *flow = &f->flow[at];
	int i;

	memset(flow, 0, sizeof(*flow));
	flow->number = o->flow;
	f->flows++;
	if (at >= f->top)
		f->top = at + 1;
	gauge(COUNT_MEDIA_FLOWS, 1);

	for (i = RTP; i <= RTCP; i++) {
		struct channel *c = &flow->channel[i];
		struct epoll_event ev = { .events = EPOLLIN,
					  .data.u64 = (uint64_t)o->flow << 1 |
						      (unsigned)i };

		c->fd = o->setup.fd[i];
		c->first = -1;
		c->turn = f->turn - 2;
		latch_init(&c->latch, o->setup.latch, o->setup.mask,
			   &o->setup.peer);
		if (c->fd >= 0 &&
		    epoll_ctl(f->epoll, EPOLL_CTL_ADD, c->fd, &ev))
			log_error(MEDIA, "flow-watch", "text=\"%s\"",
				  strerror(errno));
	}

	flow_apply(f, flow, &o->setup);
}

static void flow_end(struct forward *f, struct flow *flow)
{
	if (flow->closing)
		return;

	flow->closing = true;
	channel_close(f, &flow->channel[RTP]);
	channel_close(f, &flow->channel[RTCP]);
	news_want(f, flow, FLOW_CLOSED);
	gauge(COUNT_MEDIA_FLOWS, -1);
}

static void obey(struct forward *f, const struct order *o)
{
	struct flow *flow = flow_find(f, o->flow);

	switch ((enum order_kind)o->kind) {
	case ORDER_OPEN:
		flow_begin(f, o);
		break;
	case ORDER_CHANGE:
		if (flow && !flow->closing)
			flow_apply(f, flow, &o->setup);
		break;
	case ORDER_EXPECT:
		if (flow && !flow->closing)
			flow_open_up(flow);
		break;
	case ORDER_CLOSE:
		if (flow)
			flow_end(f, flow);
		break;
	case ORDER_REPORT:
		if (flow)
			news_want(f, flow, FLOW_COUNTERS);
		break;
	case ORDER_STOP:
		f->stop = true;
		break;
	}
}

static void obey_all(struct forward *f)
{
	uint32_t tail = atomic_load_explicit(&f->tail, memory_order_relaxed);
	uint32_t head = atomic_load_explicit(&f->head, memory_order_acquire);

	for (; tail != head; tail++) {
		obey(f, &f->ring[tail % ORDERS]);
		atomic_store_explicit(&f->tail, tail + 1, memory_order_release);
	}
}

/* --- guard timers and news ----------------------------------------------- */

static void guard(struct forward *f, struct flow *flow)
{
	uint32_t wait;

	if (flow->alive != flow->alive_then) {
		flow->alive_then = flow->alive;
		flow->seen = true;
		flow->since = f->now;
		return;
	}

	/* RFC 3264 8.4: from a held stream nothing is expected */
	if (flow->told || flow->closing || !(flow->direction & SDP_SENDONLY))
		return;

	wait = flow->seen ? flow->later_wait : flow->first_wait;
	if (!wait || f->now - flow->since < wait)
		return;

	flow->told = true;
	news_want(f, flow, FLOW_SILENT);
}

/* As many slots as the time since the last slice is worth: all in a SWEEP */
static void sweep(struct forward *f)
{
	uint64_t gone = f->now - f->sweep_begin;
	uint32_t to =
		gone >= SWEEP ? f->top : (uint32_t)(f->top * gone / SWEEP);

	for (; f->swept < to; f->swept++)
		if (f->flow[f->swept].number)
			guard(f, &f->flow[f->swept]);

	if (gone >= SWEEP) {
		f->sweep_begin = f->now;
		f->swept = 0;
	}
}

static void report(const struct flow *flow, struct flow_report *r)
{
	r->flow = flow->number;
	r->packets = flow->packets;
	r->octets = flow->octets;
	r->strangers = flow->strangers;
	r->lost = reception_lost(&flow->reception);
	r->jitter = reception_jitter(&flow->reception, flow->clock_rate);
	r->remote = flow->channel[RTP].latch.to;
	r->latched = latch_is_latched(&flow->channel[RTP].latch);
}

/* One letter per flow is on its way at most; false: it still is */
static bool news_send(struct forward *f, struct flow *flow)
{
	struct news *n = &f->news[flow - f->flow];
	int kind = __builtin_ctz(flow->todo);

	if (atomic_load_explicit(&n->busy, memory_order_acquire))
		return false;

	report(flow, &n->report);
	n->kind = (uint8_t)kind;
	flow->todo &= (uint8_t)(flow->todo - 1);

	/* from the letter on the slot may be given to another flow */
	if (kind == FLOW_CLOSED) {
		flow->number = 0;
		f->flows--;
		while (f->top && !f->flow[f->top - 1].number)
			f->top--;
	}

	atomic_store_explicit(&n->busy, true, memory_order_relaxed);
	mailbox_post(f->mailbox, &n->letter);
	return true;
}

static void news_send_all(struct forward *f)
{
	uint32_t at = f->waiting;
	struct flow *flow;

	f->waiting = f->max;
	for (; at != f->max;) {
		flow = &f->flow[at];
		at = flow->next;

		flow->listed = false;
		if (!news_send(f, flow) || flow->todo) {
			flow->listed = true;
			flow->next = f->waiting;
			f->waiting = (uint32_t)(flow - f->flow);
		}
	}
}

/* --- the thread ---------------------------------------------------------- */

static void clock_read(struct forward *f)
{
	f->now_us = clock_us();
	f->now = f->now_us / 1000;
}

static int wait_limit(const struct forward *f)
{
	if (f->waiting != f->max)
		return NEWS_AGAIN;

	return f->flows ? IDLE : -1;
}

static void load_measure(struct forward *f)
{
	if (f->now_us - f->window < WINDOW)
		return;

	f->loaded =
		f->window_packets >= BUSY * ((f->now_us - f->window) / WINDOW);
	f->window = f->now_us;
	f->window_packets = 0;
}

/* The rest of the turn: packets gather in the sockets meanwhile */
static void pause_turn(const struct forward *f)
{
	uint64_t gone = clock_us() - f->now_us;
	struct timespec rest = { 0 };

	if (gone >= TURN)
		return;

	rest.tv_nsec = (long)(TURN - gone) * 1000;
	(void)ppoll(NULL, 0, &rest, NULL);
}

static void wake_read(const struct forward *f)
{
	eventfd_t n;

	(void)eventfd_read(f->wake, &n);
}

static void *run(void *arg)
{
	struct forward *f = arg;
	int i, n;

	clock_read(f);
	f->sweep_begin = f->now;

	while (!f->stop) {
		n = epoll_wait(f->epoll, f->event, EVENTS, wait_limit(f));
		clock_read(f);
		f->turn++;

		/* Orders first: a packet that follows the answer finds its way. And
		 * after wake_read, or one could wait for the next wake-up */
		for (i = 0; i < n; i++)
			if (!f->event[i].data.u64)
				wake_read(f);
		obey_all(f);
		for (i = 0; i < n; i++)
			if (f->event[i].data.u64)
				take(f, f->event[i].data.u64);
		flush_packets(f);
		sweep(f);
		news_send_all(f);
		load_measure(f);
		if (f->loaded)
			pause_turn(f);
	}

	return NULL;
}

/* --- of the worker ------------------------------------------------------- */

static uint32_t index_of(const struct forward *f, uint32_t number)
{
	return number & ((1u << f->shift) - 1);
}

static struct owner *owner_find(const struct forward *f, uint32_t number)
{
	uint32_t i;

	if (!f || !number)
		return NULL;

	i = index_of(f, number);
	if (i >= f->max || !f->owner[i].open || f->owner[i].number != number)
		return NULL;

	return &f->owner[i];
}

static void wake_up(struct forward *f)
{
	(void)eventfd_write(f->wake, 1); /* full: it is awake */
}

/* Once a turn of the worker, however many orders it gave */
static void bell_run(struct deferred *d)
{
	wake_up((struct forward *)((char *)d - offsetof(struct forward, bell)));
}

/*
 * The ring is full only when hundreds of orders came within one turn. An order
 * must not be lost, so the worker gives way until the thread has read some.
 */
static void order_give(struct forward *f, enum order_kind kind, uint32_t flow,
		       const struct flow_setup *setup)
{
	uint32_t head = atomic_load_explicit(&f->head, memory_order_relaxed);
	struct order *o = &f->ring[head % ORDERS];

	while (head - atomic_load_explicit(&f->tail, memory_order_acquire) >=
	       ORDERS) {
		wake_up(f);
		(void)sched_yield();
	}

	o->flow = flow;
	o->kind = (uint8_t)kind;
	if (setup)
		o->setup = *setup;

	atomic_store_explicit(&f->head, head + 1, memory_order_release);
	turn_defer(&f->bell);
}

static void slot_give(struct forward *f, uint32_t at)
{
	f->owner[at].open = false;
	f->owner[at].next = f->free;
	f->free = at;
	f->used--;
}

static void number_next(struct forward *f, uint32_t at)
{
	uint32_t generation = (f->owner[at].number >> f->shift) + 1;

	if (generation > UINT32_MAX >> f->shift)
		generation = 1;
	f->owner[at].number = generation << f->shift | at;
}

static void news_open(struct letter *letter, void *arg)
{
	struct news *n = (struct news *)letter;
	struct forward *f = n->forward;
	struct flow_report r = n->report;
	enum flow_news kind = (enum flow_news)n->kind;
	struct owner *o;
	flow_h *h;
	void *h_arg;
	(void)arg;

	if (f->gone) {
		if (!--f->in_flight)
			mem_deref(f);
		return;
	}

	o = owner_find(f, r.flow);
	atomic_store_explicit(&n->busy, false, memory_order_release);
	if (!o)
		return;

	h = kind == FLOW_COUNTERS ? o->ask_h : o->h;
	h_arg = kind == FLOW_COUNTERS ? o->ask_arg : o->arg;
	if (kind == FLOW_COUNTERS)
		o->ask_h = NULL;
	if (kind == FLOW_CLOSED)
		slot_give(f, index_of(f, r.flow));

	if (h)
		h(r.flow, kind, &r, h_arg);
}

/* The one given back last: its memory is warm, and the array stays short */
static bool slot_take(struct forward *f, uint32_t *at)
{
	if (f->free != f->max) {
		*at = f->free;
		f->free = f->owner[*at].next;
	} else if (f->fresh < f->max) {
		*at = f->fresh++;
		f->news[*at].letter.open = news_open;
		f->news[*at].forward = f;
	} else {
		return false;
	}

	f->used++;
	return true;
}

static void fds_close(const int fd[2])
{
	if (fd[0] >= 0)
		(void)close(fd[0]);
	if (fd[1] >= 0)
		(void)close(fd[1]);
}

int flow_open(uint32_t *flowp, struct forward *f,
	      const struct flow_setup *setup, flow_h *h, void *arg)
{
	struct owner *o;
	uint32_t at;

	if (!slot_take(f, &at)) {
		fds_close(setup->fd);
		return ENOSPC;
	}

	number_next(f, at);
	o = &f->owner[at];
	o->open = true;
	o->closing = false;
	o->h = h;
	o->arg = arg;
	o->ask_h = NULL;

	order_give(f, ORDER_OPEN, o->number, setup);
	*flowp = o->number;

	return 0;
}

void flow_change(struct forward *f, uint32_t flow,
		 const struct flow_setup *setup)
{
	const struct owner *o = owner_find(f, flow);

	if (o && !o->closing)
		order_give(f, ORDER_CHANGE, flow, setup);
}

void flow_expect(struct forward *f, uint32_t flow)
{
	const struct owner *o = owner_find(f, flow);

	if (o && !o->closing)
		order_give(f, ORDER_EXPECT, flow, NULL);
}

void flow_close(struct forward *f, uint32_t flow)
{
	struct owner *o = owner_find(f, flow);

	if (!o || o->closing)
		return;

	o->closing = true;
	order_give(f, ORDER_CLOSE, flow, NULL);
}

void flow_forget(struct forward *f, uint32_t flow)
{
	struct owner *o = owner_find(f, flow);

	if (!o)
		return;

	o->h = NULL;
	o->ask_h = NULL;
}

void flow_ask(struct forward *f, uint32_t flow, flow_h *h, void *arg)
{
	struct owner *o = owner_find(f, flow);

	if (!o || o->closing)
		return;

	o->ask_h = h;
	o->ask_arg = arg;
	order_give(f, ORDER_REPORT, flow, NULL);
}

uint32_t forward_flows(const struct forward *f)
{
	return f->used;
}

/* --- life ---------------------------------------------------------------- */

static void forward_destructor(void *arg)
{
	struct forward *f = arg;

	if (f->wake >= 0)
		(void)close(f->wake);
	if (f->epoll >= 0)
		(void)close(f->epoll);
	free(f->owner);
	free(f->flow);
	free(f->news);
	free(f->ring);
	free(f->packet);
}

/* calloc: a slot that is never used costs no memory */
static int slots_alloc(struct forward *f)
{
	f->owner = calloc(f->max, sizeof(*f->owner));
	f->flow = calloc(f->max, sizeof(*f->flow));
	f->news = calloc(f->max, sizeof(*f->news));
	f->ring = calloc(ORDERS, sizeof(*f->ring));
	f->packet = calloc(PACKETS, sizeof(*f->packet));
	if (!f->owner || !f->flow || !f->news || !f->ring || !f->packet)
		return ENOMEM;

	return 0;
}

static int wake_open(struct forward *f)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.u64 = 0 };

	f->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	f->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (f->wake < 0 || f->epoll < 0 ||
	    epoll_ctl(f->epoll, EPOLL_CTL_ADD, f->wake, &ev))
		return errno;

	return 0;
}

/* Signals are read in front, never here */
static int thread_start(struct forward *f)
{
	sigset_t all, before;
	int err;

	sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	err = pthread_create(&f->thread, NULL, run, f);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (!err)
		(void)pthread_setname_np(f->thread, "media");

	return err;
}

int forward_open(struct forward **fp, const struct forward_setup *setup)
{
	struct forward *f;
	int err;

	if (!setup->flows_max || setup->flows_max > FLOWS_MAX)
		return EINVAL;

	f = mem_zalloc(sizeof(*f), forward_destructor);
	if (!f)
		return ENOMEM;

	f->wake = f->epoll = -1;
	f->max = setup->flows_max;
	f->waiting = f->max;
	f->free = f->max;
	f->mailbox = setup->news;
	f->bell.run = bell_run;
	while (1u << f->shift < f->max)
		f->shift++;

	err = slots_alloc(f);
	if (err)
		goto out;
	err = wake_open(f);
	if (err)
		goto out;
	err = thread_start(f);

out:
	if (err)
		mem_deref(f);
	else
		*fp = f;

	return err;
}

void forward_close(struct forward *f)
{
	uint32_t i;

	if (!f)
		return;

	order_give(f, ORDER_STOP, 0, NULL);
	turn_forget(&f->bell);
	wake_up(f);
	(void)pthread_join(f->thread, NULL);

	for (i = 0; i < f->fresh; i++) {
		struct flow *flow = &f->flow[i];

		if (flow->number && !flow->closing) {
			channel_close(f, &flow->channel[RTP]);
			channel_close(f, &flow->channel[RTCP]);
			gauge(COUNT_MEDIA_FLOWS, -1);
		}
		f->in_flight += atomic_load(&f->news[i].busy);
	}

	/* the mailbox still holds letters that lie within f */
	f->gone = true;
	if (!f->in_flight)
		mem_deref(f);
}
