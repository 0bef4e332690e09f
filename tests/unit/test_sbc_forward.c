/*
 * A media thread between real sockets on 127.0.0.0/8
 *
 * Peers: A at 127.0.0.10, B at 127.0.0.11, a stranger at 127.0.0.66. The clock
 * is the fake one, so guard timers take no time. That a packet does not pass is
 * seen by a good one sent after it, which comes first: loopback keeps order.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>
#include <sys/socket.h>
#include "policy/sdp.h"
#include "sbc/forward.h"
#include "tests/unit/fake_clock.h"

enum {
	A,
	B,
	SIDES
};
enum {
	RTP,
	RTCP,
	BOTH
};
enum {
	LIMIT = 5000 /* for whatever must happen [ms] */
};

struct news {
	unsigned n[4]; /* by enum flow_news */
	struct flow_report last;
};

struct world {
	struct mailbox *mailbox;
	struct forward *forward;
	int peer[SIDES][BOTH], stranger;
	struct sa local[SIDES][BOTH], at[SIDES][BOTH];
	struct flow_setup setup[SIDES];
	uint32_t flow[SIDES];
	struct news news[SIDES], asked;
};

static int descriptors(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	assert_non_null(d);
	while (readdir(d))
		n++;
	closedir(d);

	return n;
}

/* A port below the system's own range that is free now */
static int bound(const char *addr, struct sa *sa)
{
	static uint16_t next;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int i;

	assert_true(fd >= 0);
	for (i = 0; i < 2767; i++) {
		uint16_t port =
			(uint16_t)(30000 +
				   ((unsigned)getpid() * 97u + next++) % 2767);

		assert_int_equal(sa_set_str(sa, addr, port), 0);
		if (!bind(fd, &sa->u.sa, sa->len))
			return fd;
	}

	fail_msg("no free port on %s", addr);
	return -1;
}

static void on_news(uint32_t flow, enum flow_news kind,
		    const struct flow_report *r, void *arg)
{
	struct news *n = arg;
	(void)flow;

	n->n[kind]++;
	n->last = *r;
}

static void open_flow(struct world *w, int side)
{
	static const char *const addr[] = { "127.0.0.2", "127.0.0.3" };
	struct flow_setup *s = &w->setup[side];
	int i;

	for (i = RTP; i < BOTH; i++) {
		s->fd[i] = bound(addr[side], &w->local[side][i]);
		s->remote[i] = w->at[side][i];
	}
	s->partner = w->flow[!side];
	assert_int_equal(flow_open(&w->flow[side], w->forward, s, on_news,
				   &w->news[side]),
			 0);
	assert_int_not_equal(w->flow[side], 0);
}

static void change(struct world *w, int side)
{
	flow_change(w->forward, w->flow[side], &w->setup[side]);
}

/* Everything ordered so far is done, and what it told is here */
static void settle(struct world *w, int side)
{
	unsigned before = w->asked.n[FLOW_COUNTERS];
	int i;

	flow_ask(w->forward, w->flow[side], on_news, &w->asked);
	for (i = 0; i < LIMIT && w->asked.n[FLOW_COUNTERS] == before; i++) {
		mailbox_take(w->mailbox);
		(void)poll(NULL, 0, 1);
	}
	assert_int_equal(w->asked.n[FLOW_COUNTERS], before + 1);
}

/* Two flows that are partners; what the tests vary is in setup before */
static void join(struct world *w)
{
	open_flow(w, A);
	open_flow(w, B);
	w->setup[A].partner = w->flow[B];
	change(w, A);
	settle(w, A); /* until then what A says goes nowhere */
	w->asked = (struct news){ 0 };
}

static void *begin(void)
{
	struct world *w = test_calloc(1, sizeof(*w));
	struct forward_setup setup = { .flows_max = 4 };
	struct sa at;
	int i;

	assert_int_equal(mailbox_open(&w->mailbox, NULL), 0);
	setup.news = w->mailbox;
	assert_int_equal(forward_open(&w->forward, &setup), 0);

	for (i = RTP; i < BOTH; i++) {
		w->peer[A][i] = bound("127.0.0.10", &w->at[A][i]);
		w->peer[B][i] = bound("127.0.0.11", &w->at[B][i]);
	}
	w->stranger = bound("127.0.0.66", &at);
	for (i = A; i < SIDES; i++) {
		w->setup[i].direction = SDP_SENDRECV;
		w->setup[i].mask = 32;
		sa_set_str(&w->setup[i].peer, "127.0.0.10", 0);
	}

	return w;
}

static int setup(void **state)
{
	*state = begin();
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;
	int i;

	forward_close(w->forward);
	mailbox_close(w->mailbox);
	for (i = RTP; i < BOTH; i++) {
		close(w->peer[A][i]);
		close(w->peer[B][i]);
	}
	close(w->stranger);
	test_free(w);

	return 0;
}

static bool readable(int fd, int ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, ms) == 1 && p.revents & POLLIN;
}

static void send_bytes(int fd, const struct sa *to, const void *p, size_t n)
{
	assert_int_equal(sendto(fd, p, n, 0, &to->u.sa, to->len), n);
}

/* The sequence number tells packets apart */
static void send_rtp(int fd, const struct sa *to, uint16_t seq)
{
	uint8_t p[172] = { 0x80, 8, (uint8_t)(seq >> 8), (uint8_t)seq };

	p[11] = 1;
	send_bytes(fd, to, p, sizeof(p));
}

static void send_rtcp(int fd, const struct sa *to, uint8_t mark)
{
	uint8_t p[8] = { 0x80, 201, 0, 1, 0, 0, 0, mark };

	send_bytes(fd, to, p, sizeof(p));
}

/* Number of the packet that comes next */
static int next_rtp(int fd)
{
	uint8_t p[2048];
	ssize_t n;

	if (!readable(fd, LIMIT))
		return -1;
	n = recv(fd, p, sizeof(p), 0);
	assert_true(n >= 12);

	return p[2] << 8 | p[3];
}

static int next_rtcp(int fd)
{
	uint8_t p[2048];

	if (!readable(fd, LIMIT))
		return -1;
	assert_int_equal(recv(fd, p, sizeof(p), 0), 8);

	return p[7];
}

static bool wait_news(struct world *w, int side, enum flow_news kind)
{
	int i;

	for (i = 0; i < LIMIT && !w->news[side].n[kind]; i++) {
		mailbox_take(w->mailbox);
		(void)poll(NULL, 0, 1);
	}

	return w->news[side].n[kind] > 0;
}

/* Let time go by; the thread has looked at every flow when this returns */
static void pass(struct world *w, uint32_t ms)
{
	while (ms) {
		uint32_t step = ms < 1000 ? ms : 1000;

		fake_clock_advance(step);
		settle(w, A);
		settle(w, A);
		ms -= step;
	}
	fake_clock_advance(1000);
	settle(w, A);
	settle(w, A);
}

static void rtp_passes_both_ways(void **state)
{
	struct world *w = *state;

	join(w);
	send_rtp(w->peer[A][RTP], &w->local[A][RTP], 7);
	assert_int_equal(next_rtp(w->peer[B][RTP]), 7);
	send_rtp(w->peer[B][RTP], &w->local[B][RTP], 8);
	assert_int_equal(next_rtp(w->peer[A][RTP]), 8);

	/* once more, now that all sockets are connected */
	send_rtp(w->peer[A][RTP], &w->local[A][RTP], 9);
	assert_int_equal(next_rtp(w->peer[B][RTP]), 9);
	assert_false(readable(w->peer[A][RTP], 0));
}

static void it_leaves_from_the_port_that_the_sdp_names(void **state)
{
	struct world *w = *state;
	struct sa from = { .len = sizeof(from.u) };
	uint8_t p[256];

	join(w);
	send_rtp(w->peer[A][RTP], &w->local[A][RTP], 7);
	assert_true(readable(w->peer[B][RTP], LIMIT));
	assert_int_equal(recvfrom(w->peer[B][RTP], p, sizeof(p), 0, &from.u.sa,
				  &from.len),
			 172);
	assert_true(sa_cmp(&from, &w->local[B][RTP], SA_ALL));
}

static void a_stranger_never_gets_through(void **state)
{
	static const struct {
		uint8_t latch;
		bool locked; /* before the stranger comes */
	} rows[] = {
		{ LATCH_NONE, false },    { LATCH_NONE, true },
		{ LATCH_SDP, false },     { LATCH_SDP, true },
		{ LATCH_PEER_IP, false }, { LATCH_PEER_IP, true },
		{ LATCH_ANY, true },
	};
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct world *w = begin();
		void *p = w;

		w->setup[A].latch = rows[i].latch;
		join(w);
		if (rows[i].locked) {
			send_rtp(w->peer[A][RTP], &w->local[A][RTP], 1);
			assert_int_equal(next_rtp(w->peer[B][RTP]), 1);
		}
		send_rtp(w->stranger, &w->local[A][RTP], 666);
		send_rtp(w->peer[A][RTP], &w->local[A][RTP], 2);
		assert_int_equal(next_rtp(w->peer[B][RTP]), 2);
		send_rtp(w->stranger, &w->local[A][RTP], 667);
		send_rtp(w->peer[A][RTP], &w->local[A][RTP], 3);
		assert_int_equal(next_rtp(w->peer[B][RTP]), 3);

		/* nor does it get what B says */
		send_rtp(w->peer[B][RTP], &w->local[B][RTP], 4);
		assert_int_equal(next_rtp(w->peer[A][RTP]), 4);
		assert_false(readable(w->stranger, 0));
		teardown(&p);
	}
	(void)state;
}

static void strangers_in_the_queue_do_not_pass_after_the_latch(void **state)
{
	struct world *w = *state;
	int i;

	/* bound and not taken up yet: everything below waits in the socket */
	w->setup[A].latch = LATCH_PEER_IP;
	open_flow(w, B);
	w->setup[A].fd[RTP] = bound("127.0.0.2", &w->local[A][RTP]);
	w->setup[A].fd[RTCP] = bound("127.0.0.2", &w->local[A][RTCP]);
	w->setup[A].partner = w->flow[B];
	for (i = 0; i < 20; i++) {
		send_rtp(w->stranger, &w->local[A][RTP], 666);
		send_rtp(w->peer[A][RTP], &w->local[A][RTP], (uint16_t)i);
	}
	assert_int_equal(flow_open(&w->flow[A], w->forward, &w->setup[A],
				   on_news, &w->news[A]),
			 0);

	for (i = 0; i < 20; i++)
		assert_int_equal(next_rtp(w->peer[B][RTP]), i);
	settle(w, A);
	assert_int_equal(w->asked.last.packets, 20);
	assert_int_equal(w->asked.last.strangers, 20);
}

static void what_is_no_rtp_neither_passes_nor_latches(void **state)
{
	static const uint8_t version1[12] = { 0x40, 8 };
	static const uint8_t runt[11] = { 0x80, 8 };
	static const uint8_t csrcs[12] = { 0x8f, 8 };
	static const uint8_t extension[16] = { 0x90, 8, 0, 0, 0, 0, 0, 0,
					       0,    0, 0, 0, 0, 0, 0, 9 };
	static const struct {
		const uint8_t *p;
		size_t n;
	} rows[] = { { version1, 12 },
		     { runt, 11 },
		     { runt, 0 },
		     { csrcs, 12 },
		     { extension, 16 } };
	struct world *w = *state;
	size_t i;

	w->setup[A].latch = LATCH_ANY;
	join(w);
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		send_bytes(w->stranger, &w->local[A][RTP], rows[i].p,
			   rows[i].n);
	send_rtp(w->peer[A][RTP], &w->local[A][RTP], 5);
	assert_int_equal(next_rtp(w->peer[B][RTP]), 5);

	settle(w, A);
	assert_int_equal(w->asked.last.strangers, i);
	assert_true(sa_cmp(&w->asked.last.remote, &w->at[A][RTP], SA_ALL));
}

static void too_long_a_datagram_is_dropped_and_not_cut(void **state)
{
	static uint8_t big[8000] = { 0x80, 8 };
	struct world *w = *state;

	join(w);
	send_bytes(w->peer[A][RTP], &w->local[A][RTP], big, sizeof(big));
	send_bytes(w->peer[A][RTP], &w->local[A][RTP], big, sizeof(big));
	send_rtp(w->peer[A][RTP], &w->local[A][RTP], 5);
	assert_int_equal(next_rtp(w->peer[B][RTP]), 5);
}

static void a_raw_flow_carries_whatever_the_peer_sends(void **state)
{
	struct world *w = *state;
	char p[16];

	w->setup[A].raw = w->setup[B].raw = true;
	join(w);
	send_bytes(w->stranger, &w->local[A][RTP], "evil", 4);
	send_bytes(w->peer[A][RTP], &w->local[A][RTP], "udptl", 5);
	assert_true(readable(w->peer[B][RTP], LIMIT));
	assert_int_equal(recv(w->peer[B][RTP], p, sizeof(p), 0), 5);
	assert_memory_equal(p, "udptl", 5);
}

static void rtcp_passes_and_latches_for_itself(void **state)
{
	struct world *w = *state;

	w->setup[A].latch = LATCH_ANY;
	join(w);

	/* RTP locks to the peer; that says nothing about RTCP */
	send_rtp(w->peer[A][RTP], &w->local[A][RTP], 1);
	assert_int_equal(next_rtp(w->peer[B][RTP]), 1);
	send_rtp(w->stranger, &w->local[A][RTCP], 9); /* no RTCP */
	send_rtcp(w->peer[A][RTCP], &w->local[A][RTCP], 2);
	assert_int_equal(next_rtcp(w->peer[B][RTCP]), 2);

	send_rtcp(w->stranger, &w->local[A][RTCP], 66);
	send_rtp(w->peer[A][RTCP], &w->local[A][RTCP], 9); /* nor from him */
	send_rtcp(w->peer[A][RTCP], &w->local[A][RTCP], 3);
	assert_int_equal(next_rtcp(w->peer[B][RTCP]), 3);
	send_rtcp(w->peer[B][RTCP], &w->local[B][RTCP], 4);
	assert_int_equal(next_rtcp(w->peer[A][RTCP]), 4);
}

static void rtcp_on_the_rtp_port_goes_on_by_the_rtcp_port(void **state)
{
	struct world *w = *state;

	join(w);
	send_rtcp(w->peer[A][RTP], &w->local[A][RTP], 5);
	assert_int_equal(next_rtcp(w->peer[B][RTCP]), 5);
	assert_false(readable(w->peer[B][RTP], 0));
}

static void blocked_rtcp_stays_here(void **state)
{
	struct world *w = *state;

	w->setup[A].rtcp_blocked = true;
	join(w);
	send_rtcp(w->peer[A][RTCP], &w->local[A][RTCP], 5);
	send_rtp(w->peer[A][RTP], &w->local[A][RTP], 6);
	assert_int_equal(next_rtp(w->peer[B][RTP]), 6);
	settle(w, A);
	assert_false(readable(w->peer[B][RTCP], 0));
}

static void a_mute_flow_counts_and_is_silent(void **state)
{
	struct world *w = *state;

	w->setup[A].mute = true;
	join(w);
	send_rtp(w->peer[A][RTP], &w->local[A][RTP], 1);
	send_rtp(w->peer[B][RTP], &w->local[B][RTP], 2);
	assert_int_equal(next_rtp(w->peer[A][RTP]), 2);
	settle(w, A);
	assert_int_equal(w->asked.last.packets, 1);
	assert_false(readable(w->peer[B][RTP], 0));

	w->setup[A].mute = false;
	change(w, A);
	settle(w, A);
	send_rtp(w->peer[A][RTP], &w->local[A][RTP], 3);
	assert_int_equal(next_rtp(w->peer[B][RTP]), 3);
}

static void the_latch_is_told_with_the_source(void **state)
{
	struct world *w = *state;

	struct sa seen = w->at[A][RTP];

	w->setup[A].latch = LATCH_ANY;
	w->at[A][RTP] = w->at[B][RTCP]; /* the SDP is wrong: NAT */
	join(w);
	send_rtp(w->peer[A][RTP], &w->local[A][RTP], 1);
	assert_true(wait_news(w, A, FLOW_LATCHED));
	assert_true(w->news[A].last.latched);
	assert_true(sa_cmp(&w->news[A].last.remote, &seen, SA_ALL));

	send_rtp(w->peer[B][RTP], &w->local[B][RTP], 2);
	assert_int_equal(next_rtp(w->peer[A][RTP]), 2);
	settle(w, B);
	assert_int_equal(w->news[B].n[FLOW_LATCHED], 0);
}

static void only_an_sdp_with_another_address_opens_the_latch(void **state)
{
	struct world *w = *state;

	w->setup[A].latch = LATCH_ANY;
	join(w);
	send_rtp(w->peer[A][RTP], &w->local[A][RTP], 1);
	assert_int_equal(next_rtp(w->peer[B][RTP]), 1);

	change(w, A); /* the same once more */
	settle(w, A);
	send_rtp(w->peer[A][RTCP], &w->local[A][RTP], 2);
	send_rtp(w->peer[A][RTP], &w->local[A][RTP], 3);
	assert_int_equal(next_rtp(w->peer[B][RTP]), 3);

	/* it names the other socket of the peer */
	w->setup[A].remote[RTP] = w->at[A][RTCP];
	change(w, A);
	settle(w, A);
	send_rtp(w->peer[B][RTP], &w->local[B][RTP], 4);
	assert_int_equal(next_rtp(w->peer[A][RTCP]), 4);
	send_rtp(w->stranger, &w->local[A][RTP], 66);
	send_rtp(w->peer[A][RTCP], &w->local[A][RTP], 5);
	assert_int_equal(next_rtp(w->peer[B][RTP]), 5);

	/* and it is locked to that */
	send_rtp(w->peer[A][RTP], &w->local[A][RTP], 6);
	send_rtp(w->peer[A][RTCP], &w->local[A][RTP], 7);
	assert_int_equal(next_rtp(w->peer[B][RTP]), 7);
}

/* A peer that has an offer may send from another address before its answer is here
 * (RFC 3264 5.1): the kernel must not keep that out */
static void while_an_offer_is_open_packets_wait_to_be_judged(void **state)
{
	struct world *w = *state;

	w->setup[A].latch = LATCH_NONE;
	join(w);
	send_rtp(w->peer[A][RTP], &w->local[A][RTP], 1);
	assert_int_equal(next_rtp(w->peer[B][RTP]), 1);
	send_rtp(w->peer[A][RTCP], &w->local[A][RTP], 2);
	settle(w, A);
	assert_int_equal(w->asked.last.strangers, 0); /* not even seen */

	flow_expect(w->forward, w->flow[A]);
	settle(w, A);
	send_rtp(w->peer[A][RTCP], &w->local[A][RTP], 3);
	send_rtp(w->peer[A][RTP], &w->local[A][RTP], 4);
	assert_int_equal(next_rtp(w->peer[B][RTP]), 4);
	settle(w, A);
	assert_int_equal(w->asked.last.strangers, 1);

	/* answered: from there it comes now, and only from there */
	w->setup[A].remote[RTP] = w->at[A][RTCP];
	change(w, A);
	settle(w, A);
	send_rtp(w->peer[A][RTP], &w->local[A][RTP], 5);
	send_rtp(w->peer[A][RTCP], &w->local[A][RTP], 6);
	assert_int_equal(next_rtp(w->peer[B][RTP]), 6);
	settle(w, A);
	assert_int_equal(w->asked.last.strangers, 1);

	/* refused: as before, and the kernel sees to it again */
	flow_expect(w->forward, w->flow[A]);
	change(w, A);
	settle(w, A);
	send_rtp(w->peer[A][RTP], &w->local[A][RTP], 7);
	send_rtp(w->peer[A][RTCP], &w->local[A][RTP], 8);
	assert_int_equal(next_rtp(w->peer[B][RTP]), 8);
	settle(w, A);
	assert_int_equal(w->asked.last.strangers, 1);
}

static void a_burst_passes_whole_and_in_order(void **state)
{
	struct world *w = *state;
	int i, round;

	join(w);
	for (round = 0; round < 20; round++) {
		for (i = 0; i < 100; i++) {
			send_rtp(w->peer[A][RTP], &w->local[A][RTP],
				 (uint16_t)(round * 100 + i));
			if (i % 3 == 0) /* gaps, which are closed */
				send_bytes(w->peer[A][RTP], &w->local[A][RTP],
					   "x", 1);
		}
		for (i = 0; i < 100; i++)
			assert_int_equal(next_rtp(w->peer[B][RTP]),
					 round * 100 + i);
	}
	settle(w, A);
	assert_int_equal(w->asked.last.packets, 2000);
	assert_int_equal(w->asked.last.octets, 2000 * 172);
	assert_int_equal(w->asked.last.lost, 0);
}

static void a_peer_whose_port_is_closed_gets_the_packets_after_it_is_back(
	void **state)
{
	struct world *w = *state;
	int i;

	join(w);
	close(w->peer[B][RTP]);
	for (i = 0; i < 10; i++) {
		send_rtp(w->peer[A][RTP], &w->local[A][RTP], (uint16_t)i);
		settle(w, A);
	}
	w->peer[B][RTP] = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_int_equal(
		bind(w->peer[B][RTP], &w->at[B][RTP].u.sa, w->at[B][RTP].len),
		0);
	send_rtp(w->peer[A][RTP], &w->local[A][RTP], 11);
	assert_int_equal(next_rtp(w->peer[B][RTP]), 11);
}

/* Guard timers: what comes in between, and is the silence told? */
static void guard_timers_tell_silence(void **state)
{
	enum {
		NOTHING,
		MEDIA,
		CONTROL
	};
	static const struct {
		const char *name;
		uint32_t first, later;
		uint8_t direction;
		bool rtcp_counts;
		int comes;      /* after 2 s */
		uint32_t after; /* then this [ms] */
		unsigned told;
	} rows[] = {
		{ "no timer", 0, 0, SDP_SENDRECV, false, NOTHING, 90000, 0 },
		{ "first", 5000, 0, SDP_SENDRECV, false, NOTHING, 3000, 1 },
		{ "not yet", 9000, 0, SDP_SENDRECV, false, NOTHING, 3000, 0 },
		{ "no later", 5000, 0, SDP_SENDRECV, false, MEDIA, 90000, 0 },
		{ "later", 9000, 5000, SDP_SENDRECV, false, MEDIA, 6000, 1 },
		{ "later not yet", 4000, 9000, SDP_SENDRECV, false, MEDIA, 6000,
		  0 },
		{ "held", 5000, 5000, SDP_INACTIVE, false, NOTHING, 9000, 0 },
		{ "does not send", 5000, 5000, SDP_RECVONLY, false, NOTHING,
		  9000, 0 },
		{ "sends only", 5000, 5000, SDP_SENDONLY, false, NOTHING, 9000,
		  1 },
		{ "rtcp is no media", 5000, 0, SDP_SENDRECV, false, CONTROL,
		  3000, 1 },
		{ "hnt-rtcp", 5000, 9000, SDP_SENDRECV, true, CONTROL, 3000,
		  0 },
	};
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct world *w = begin();
		void *p = w;

		w->setup[A].first_wait = rows[i].first;
		w->setup[A].later_wait = rows[i].later;
		w->setup[A].direction = rows[i].direction;
		w->setup[A].rtcp_counts = rows[i].rtcp_counts;
		join(w);
		settle(w, A);
		pass(w, 1000);
		if (rows[i].comes == MEDIA) {
			send_rtp(w->peer[A][RTP], &w->local[A][RTP], 1);
			assert_int_equal(next_rtp(w->peer[B][RTP]), 1);
		} else if (rows[i].comes == CONTROL) {
			send_rtcp(w->peer[A][RTCP], &w->local[A][RTCP], 1);
			assert_int_equal(next_rtcp(w->peer[B][RTCP]), 1);
		}
		pass(w, rows[i].after);
		if (w->news[A].n[FLOW_SILENT] != rows[i].told)
			fail_msg("%s: told %u times", rows[i].name,
				 w->news[A].n[FLOW_SILENT]);
		assert_int_equal(w->news[B].n[FLOW_SILENT], 0);
		teardown(&p);
	}
	(void)state;
}

static void a_stream_back_from_hold_is_given_its_time_anew(void **state)
{
	struct world *w = *state;

	w->setup[A].later_wait = 5000;
	join(w);
	settle(w, A);
	send_rtp(w->peer[A][RTP], &w->local[A][RTP], 1);
	assert_int_equal(next_rtp(w->peer[B][RTP]), 1);
	pass(w, 1000);

	w->setup[A].direction = SDP_INACTIVE;
	change(w, A);
	pass(w, 60000);
	w->setup[A].direction = SDP_SENDRECV;
	change(w, A);
	settle(w, A);
	pass(w, 2000);
	assert_int_equal(w->news[A].n[FLOW_SILENT], 0);
	pass(w, 5000);
	assert_int_equal(w->news[A].n[FLOW_SILENT], 1);
}

static void the_last_news_has_the_final_counters(void **state)
{
	struct world *w = *state;
	int i;

	join(w);
	for (i = 0; i < 10; i++)
		if (i != 4)
			send_rtp(w->peer[A][RTP], &w->local[A][RTP],
				 (uint16_t)i);
	for (i = 0; i < 9; i++)
		assert_true(next_rtp(w->peer[B][RTP]) >= 0);
	flow_ask(w->forward, w->flow[A], on_news, &w->asked);
	flow_close(w->forward, w->flow[A]);
	flow_close(w->forward, w->flow[A]);
	assert_true(wait_news(w, A, FLOW_CLOSED));

	assert_int_equal(w->asked.n[FLOW_COUNTERS], 1);
	assert_int_equal(w->news[A].n[FLOW_CLOSED], 1);
	assert_int_equal(w->news[A].last.packets, 9);
	assert_int_equal(w->news[A].last.octets, 9 * 172);
	assert_int_equal(w->news[A].last.lost, 1);
	assert_int_equal(forward_flows(w->forward), 1);
}

static void a_closed_flow_has_freed_its_ports_and_obeys_no_more(void **state)
{
	struct world *w = *state;
	uint32_t gone;
	int fd;

	join(w);
	gone = w->flow[A];
	flow_close(w->forward, gone);
	assert_true(wait_news(w, A, FLOW_CLOSED));

	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fd, &w->local[A][RTP].u.sa, w->local[A][RTP].len),
			 0);
	close(fd);

	/* the slot is used again, under another number */
	w->news[A] = (struct news){ 0 };
	open_flow(w, A);
	assert_int_not_equal(w->flow[A], gone);
	flow_close(w->forward, gone);
	flow_change(w->forward, gone, &w->setup[B]);
	flow_ask(w->forward, gone, on_news, &w->asked);
	settle(w, A);
	assert_int_equal(w->news[A].n[FLOW_CLOSED], 0);
	assert_int_equal(w->asked.n[FLOW_COUNTERS], 1);

	/* B still names the old one as its partner */
	send_rtp(w->peer[B][RTP], &w->local[B][RTP], 1);
	settle(w, B);
	assert_int_equal(w->asked.last.packets, 1);
	assert_false(readable(w->peer[A][RTP], 0));
}

static void who_was_forgotten_hears_nothing(void **state)
{
	struct world *w = *state;
	int i;

	join(w);
	flow_ask(w->forward, w->flow[A], on_news, &w->asked);
	flow_forget(w->forward, w->flow[A]);
	flow_close(w->forward, w->flow[A]);
	flow_close(w->forward, w->flow[B]);
	assert_true(wait_news(w, B, FLOW_CLOSED));
	for (i = 0; i < LIMIT && forward_flows(w->forward); i++) {
		mailbox_take(w->mailbox);
		(void)poll(NULL, 0, 1);
	}
	assert_int_equal(forward_flows(w->forward), 0);
	assert_int_equal(w->news[A].n[FLOW_CLOSED], 0);
	assert_int_equal(w->asked.n[FLOW_COUNTERS], 0);
}

static void without_a_slot_the_descriptors_are_closed(void **state)
{
	struct world *w = *state;
	struct flow_setup s = { 0 };
	struct sa sa;
	uint32_t flow;
	int before, i;

	for (i = 0; i < 4; i++) {
		s.fd[RTP] = bound("127.0.0.2", &sa);
		s.fd[RTCP] = -1;
		assert_int_equal(flow_open(&flow, w->forward, &s, NULL, NULL),
				 0);
	}
	before = descriptors();
	s.fd[RTP] = bound("127.0.0.2", &sa);
	s.fd[RTCP] = bound("127.0.0.2", &sa);
	assert_int_equal(flow_open(&flow, w->forward, &s, NULL, NULL), ENOSPC);
	assert_int_equal(descriptors(), before);
}

static void more_orders_than_the_ring_holds_are_all_obeyed(void **state)
{
	struct world *w = *state;
	int i;

	join(w);
	for (i = 0; i < 5000; i++) {
		w->setup[A].mute = i % 2 == 0;
		change(w, A);
	}
	settle(w, A);
	send_rtp(w->peer[A][RTP], &w->local[A][RTP], 3);
	assert_int_equal(next_rtp(w->peer[B][RTP]), 3);
}

static void slots_come_back_a_thousand_times(void **state)
{
	struct world *w = *state;
	int i, before = descriptors();

	for (i = 0; i < 1000; i++) {
		w->flow[A] = w->flow[B] = 0;
		w->news[A] = w->news[B] = (struct news){ 0 };
		join(w);
		flow_close(w->forward, w->flow[A]);
		flow_close(w->forward, w->flow[B]);
		assert_true(wait_news(w, A, FLOW_CLOSED));
		assert_true(wait_news(w, B, FLOW_CLOSED));
	}
	assert_int_equal(forward_flows(w->forward), 0);
	assert_int_equal(descriptors(), before);
}

static void closing_the_thread_leaves_no_descriptor(void **state)
{
	struct mailbox *mailbox;
	struct forward *f;
	struct forward_setup s = { .flows_max = 8 };
	int before = descriptors();
	uint32_t flow;
	int i;
	(void)state;

	assert_int_equal(mailbox_open(&mailbox, NULL), 0);
	s.news = mailbox;
	assert_int_equal(forward_open(&f, &s), 0);
	for (i = 0; i < 8; i++) {
		struct flow_setup fs = { 0 };
		struct sa sa;

		fs.fd[RTP] = bound("127.0.0.2", &sa);
		fs.fd[RTCP] = bound("127.0.0.2", &sa);
		assert_int_equal(flow_open(&flow, f, &fs, on_news, NULL), 0);
		if (i % 2)
			flow_close(f, flow); /* its letter comes too late */
	}
	forward_close(f);
	mailbox_close(mailbox);
	assert_int_equal(descriptors(), before);
}

static void sizes_out_of_range_are_refused(void **state)
{
	struct forward *f = NULL;
	struct forward_setup none = { .flows_max = 0 };
	struct forward_setup many = { .flows_max = 1 << 21 };
	(void)state;

	assert_int_equal(forward_open(&f, &none), EINVAL);
	assert_int_equal(forward_open(&f, &many), EINVAL);
	forward_close(NULL);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(rtp_passes_both_ways),
		T(it_leaves_from_the_port_that_the_sdp_names),
		cmocka_unit_test(a_stranger_never_gets_through),
		T(strangers_in_the_queue_do_not_pass_after_the_latch),
		T(what_is_no_rtp_neither_passes_nor_latches),
		T(too_long_a_datagram_is_dropped_and_not_cut),
		T(a_raw_flow_carries_whatever_the_peer_sends),
		T(rtcp_passes_and_latches_for_itself),
		T(rtcp_on_the_rtp_port_goes_on_by_the_rtcp_port),
		T(blocked_rtcp_stays_here),
		T(a_mute_flow_counts_and_is_silent),
		T(the_latch_is_told_with_the_source),
		T(only_an_sdp_with_another_address_opens_the_latch),
		T(while_an_offer_is_open_packets_wait_to_be_judged),
		T(a_burst_passes_whole_and_in_order),
		T(a_peer_whose_port_is_closed_gets_the_packets_after_it_is_back),
		cmocka_unit_test(guard_timers_tell_silence),
		T(a_stream_back_from_hold_is_given_its_time_anew),
		T(the_last_news_has_the_final_counters),
		T(a_closed_flow_has_freed_its_ports_and_obeys_no_more),
		T(who_was_forgotten_hears_nothing),
		T(without_a_slot_the_descriptors_are_closed),
		T(more_orders_than_the_ring_holds_are_all_obeyed),
		T(slots_come_back_a_thousand_times),
		cmocka_unit_test(closing_the_thread_leaves_no_descriptor),
		cmocka_unit_test(sizes_out_of_range_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
