/*
 * Media of a call: real SDP, ports, sockets and media thread; fake clock
 *
 * Realm a has its pool on 127.0.0.32, realm b on 127.0.0.33. Peers: A at
 * 127.0.0.40, B at 127.0.0.41, B's second device at 127.0.0.42, a stranger at
 * 127.0.0.66.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/socket.h>
#include <re_main.h>
#include "store/log.h"
#include "sbc/alarm.h"
#include "sbc/forward.h"
#include "sbc/mailbox.h"
#include "sbc/media.h"
#include "sbc/timer.h"
#include "tests/unit/config_fixture.h"
#include "tests/unit/fake_clock.h"

enum {
	LIMIT = 5000 /* [ms] */
};
enum {
	PEER_A,
	PEER_B,
	PEER_B2,
	STRANGER,
	PEER_6, /* on side B of calls to realm b6 */
	PEERS
};

static const char *const addresses[PEERS] = { "127.0.0.40", "127.0.0.41",
					      "127.0.0.42", "127.0.0.66",
					      "::1" };

struct world {
	struct config *cfg;
	struct realm_config *realm[2];
	struct media_manager *manager;
	const struct plan *plan;
	struct worker worker;
	struct media *media;
	struct sdp seen[2];  /* what a side was told last */
	uint32_t version[2]; /* of its o= line */
	bool same;           /* the SDP came out as it went in */
	unsigned silent, reports;
	struct media_report report;
	int fd[PEERS];
	uint16_t port[PEERS];
	int descriptors;
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

static int bound(const char *addr, uint16_t *port)
{
	int fd = socket(strchr(addr, ':') ? AF_INET6 : AF_INET,
			SOCK_DGRAM | SOCK_CLOEXEC, 0);
	uint16_t p = (uint16_t)(30000 + getpid() * 31 % 2000);
	struct sa sa;

	assert_true(fd >= 0);
	for (; p < 32767; p++) {
		assert_int_equal(sa_set_str(&sa, addr, p), 0);
		if (bind(fd, &sa.u.sa, sa.len))
			continue;
		*port = p;
		return fd;
	}

	fail_msg("no free port on %s", addr);
	return -1;
}

static void on_silent(enum media_news news, void *arg)
{
	struct world *w = arg;

	assert_int_equal(news, MEDIA_SILENT);
	w->silent++;
}

static void on_report(const struct media_report *r, void *arg)
{
	struct world *w = arg;

	w->reports++;
	w->report = *r;
}

static void add_pool(struct world *w, const char *realm, const char *addr,
		     unsigned pairs)
{
	unsigned start = 30000 + (unsigned)getpid() * 18 % 2600 / 2 * 2;
	char from[8], to[8];

	snprintf(from, sizeof(from), "%u", start);
	snprintf(to, sizeof(to), "%u", start + 2 * pairs - 1);
	config_add(w->cfg, &element_steering_pool, "ip-address", addr,
		   "start-port", from, "end-port", to, "realm-id", realm, NULL);
}

/* Configured, but not running: a test may still change the configuration */
static struct world *configure(unsigned pairs)
{
	struct world *w = test_calloc(1, sizeof(*w));

	w->descriptors = descriptors();
	w->cfg = config_new();
	w->realm[SIDE_A] = realm_add(w->cfg, "a", "127.0.0.32");
	w->realm[SIDE_B] = realm_add(w->cfg, "b", "127.0.0.33");
	add_pool(w, "a", "127.0.0.32", pairs);
	add_pool(w, "b", "127.0.0.33", pairs);
	w->manager = (struct media_manager *)(uintptr_t)config_single(
		w->cfg, &element_media_manager);

	return w;
}

static struct media *call(struct world *w, const char *realm_b)
{
	struct media_setup setup = { .worker = &w->worker, .plan = w->plan };
	struct media *m = NULL;

	setup.realm[SIDE_A] = realm_named(w->plan->realms, "a");
	setup.realm[SIDE_B] = realm_named(w->plan->realms, realm_b);
	setup.peer[SIDE_A] = sa_of(addresses[PEER_A]);
	setup.peer[SIDE_B] =
		sa_of(addresses[strcmp(realm_b, "b6") ? PEER_B : PEER_6]);
	assert_int_equal(media_alloc(&m, &setup, on_silent, w), 0);

	return m;
}

static struct world *run(struct world *w)
{
	struct forward_setup setup = { .flows_max = 64 };
	int i;

	assert_int_equal(plan_alloc(&w->plan, w->cfg), 0);
	assert_int_equal(mailbox_open(&w->worker.mailbox, NULL), 0);
	setup.news = w->worker.mailbox;
	assert_int_equal(forward_open(&w->worker.forward[0], &setup), 0);
	w->worker.forwards_n = 1;
	assert_int_equal(ports_open(&w->worker.media_ports), 0);
	assert_int_equal(ports_change(w->worker.media_ports, w->cfg), 0);
	w->worker.plan = w->plan;
	for (i = 0; i < PEERS; i++)
		w->fd[i] = bound(addresses[i], &w->port[i]);
	w->media = call(w, "b");

	return w;
}

static void ports_used(const struct world *w, uint32_t used[2])
{
	uint32_t left;

	ports_count(w->worker.media_ports, realm_named(w->plan->realms, "a"),
		    &used[0], &left);
	ports_count(w->worker.media_ports, realm_named(w->plan->realms, "b"),
		    &used[1], &left);
}

static void assert_used(const struct world *w, uint32_t a, uint32_t b)
{
	uint32_t used[2];

	ports_used(w, used);
	assert_int_equal(used[0], a);
	assert_int_equal(used[1], b);
}

/* Ends the test and holds that nothing is left of it */
static void finish(struct world *w)
{
	int i;

	mem_deref(w->media);
	for (i = 0; i < LIMIT && forward_flows(w->worker.forward[0]); i++) {
		mailbox_take(w->worker.mailbox);
		(void)poll(NULL, 0, 1);
	}
	assert_int_equal(forward_flows(w->worker.forward[0]), 0);
	assert_used(w, 0, 0);
	assert_int_equal(wheel_count(), 0);

	forward_close(w->worker.forward[0]);
	mailbox_close(w->worker.mailbox);
	ports_close(w->worker.media_ports);
	plan_give(w->plan);
	config_give(w->cfg);
	for (i = 0; i < PEERS; i++)
		close(w->fd[i]);
	assert_int_equal(descriptors(), w->descriptors);
	test_free(w);
}

static struct world *begin(unsigned pairs)
{
	return run(configure(pairs));
}

/* --- SDP ----------------------------------------------------------------- */

static const char *sdp_of(const struct world *w, int peer, const char *more)
{
	const char *family = peer == PEER_6 ? "IP6" : "IP4";
	static char text[2048];

	snprintf(text, sizeof(text),
		 "v=0\r\no=- 1 1 IN %s %s\r\ns=-\r\nc=IN %s %s\r\n"
		 "t=0 0\r\nm=audio %u RTP/AVP 8 101\r\n"
		 "a=rtpmap:101 telephone-event/8000\r\n%s",
		 family, addresses[peer], family, addresses[peer],
		 w->port[peer], more);
	return text;
}

static uint32_t version_of(const struct pl *text)
{
	unsigned long long id;
	unsigned version = 0;
	char line[128];
	const char *o = memmem(text->p, text->l, "o=- ", 4);

	assert_non_null(o);
	snprintf(line, sizeof(line), "%.*s", (int)(text->p + text->l - o), o);
	assert_int_equal(sscanf(line, "o=- %llu %u", &id, &version), 2);

	return version;
}

/* What a side was told */
static void hear(struct world *w, enum side side, struct mbuf *mb,
		 const char *text)
{
	struct pl pl = { (const char *)mbuf_buf(mb), mbuf_get_left(mb) };

	w->same = pl.l == strlen(text) && !memcmp(pl.p, text, pl.l);
	assert_int_equal(sdp_read(&w->seen[side], &pl), 0);
	w->version[side] = version_of(&pl);
	mem_deref(mb);
}

static int offer(struct world *w, enum side from, const char *text)
{
	struct pl pl = pl_text(text);
	struct mbuf *mb = NULL;
	int err = media_offer(w->media, from, &pl, &mb);

	if (err)
		assert_null(mb);
	else
		hear(w, !from, mb, text);

	return err;
}

static int answer(struct world *w, enum side from, const char *text, bool final)
{
	struct pl pl = pl_text(text);
	struct mbuf *mb = NULL;
	int err = media_answer(w->media, from, &pl, final, &mb);

	if (err)
		assert_null(mb);
	else
		hear(w, !from, mb, text);

	return err;
}

static void establish(struct world *w)
{
	assert_int_equal(offer(w, SIDE_A, sdp_of(w, PEER_A, "")), 0);
	assert_int_equal(answer(w, SIDE_B, sdp_of(w, PEER_B, ""), true), 0);
}

/* --- packets ------------------------------------------------------------- */

/* To the port that this side was told */
static void say(struct world *w, int peer, enum side side, uint16_t number)
{
	uint8_t p[172] = { 0x80, 8, (uint8_t)(number >> 8), (uint8_t)number };
	const struct sa *to = &w->seen[side].streams[0].rtp;

	assert_int_equal(
		sendto(w->fd[peer], p, sizeof(p), 0, &to->u.sa, to->len),
		sizeof(p));
}

static int heard(struct world *w, int peer)
{
	struct pollfd p = { .fd = w->fd[peer], .events = POLLIN };
	uint8_t b[256];

	if (poll(&p, 1, LIMIT) != 1)
		return -1;
	assert_int_equal(recv(w->fd[peer], b, sizeof(b), 0), 172);

	return b[2] << 8 | b[3];
}

static bool is_quiet(struct world *w, int peer)
{
	struct pollfd p = { .fd = w->fd[peer], .events = POLLIN };

	return poll(&p, 1, 0) == 0;
}

static void on_counters(uint32_t flow, enum flow_news news,
			const struct flow_report *r, void *arg)
{
	(void)flow;
	(void)news;
	(void)r;
	*(bool *)arg = true;
}

/* All orders so far are obeyed, and the thread has looked at its flows */
static void settle(struct world *w)
{
	struct flow_setup none = { .fd = { -1, -1 } };
	bool there = false;
	uint32_t flow;
	int i;

	assert_int_equal(
		flow_open(&flow, w->worker.forward[0], &none, NULL, NULL), 0);
	flow_ask(w->worker.forward[0], flow, on_counters, &there);
	for (i = 0; i < LIMIT && !there; i++) {
		mailbox_take(w->worker.mailbox);
		(void)poll(NULL, 0, 1);
	}
	assert_true(there);
	flow_close(w->worker.forward[0], flow);
}

static void assert_passes(struct world *w, int a, int b)
{
	static uint16_t number;

	settle(w);
	say(w, a, SIDE_A, ++number);
	assert_int_equal(heard(w, b), number);
	say(w, b, SIDE_B, ++number);
	assert_int_equal(heard(w, a), number);
}

static void pass(struct world *w, unsigned seconds)
{
	settle(w);
	while (seconds--) {
		fake_clock_advance(1000);
		wheel_turn();
		settle(w);
		settle(w);
	}
}

/* --- offer and answer ---------------------------------------------------- */

static void an_offer_takes_a_pair_on_both_sides_and_opens_nothing(void **state)
{
	struct world *w = begin(4);
	const struct sdp_stream *s;
	struct sa pool = sa_of("127.0.0.33");
	(void)state;

	assert_int_equal(offer(w, SIDE_A, sdp_of(w, PEER_A, "")), 0);
	s = &w->seen[SIDE_B].streams[0];
	assert_true(sa_cmp(&s->rtp, &pool, SA_ADDR));
	assert_int_equal(sa_port(&s->rtp) % 2, 0);
	assert_int_equal(sa_port(&s->rtcp), sa_port(&s->rtp) + 1);
	assert_used(w, 1, 1);
	assert_int_equal(forward_flows(w->worker.forward[0]), 0);
	finish(w);
}

static void after_the_answer_rtp_passes_and_strangers_do_not(void **state)
{
	struct world *w = begin(4);
	(void)state;

	establish(w);
	settle(w);
	say(w, STRANGER, SIDE_A, 666);
	say(w, STRANGER, SIDE_B, 667);
	assert_passes(w, PEER_A, PEER_B);
	say(w, STRANGER, SIDE_A, 668);
	assert_passes(w, PEER_A, PEER_B);
	finish(w);
}

static void the_offer_may_come_in_the_answer(void **state)
{
	struct world *w = begin(4);
	(void)state;

	assert_int_equal(offer(w, SIDE_B, sdp_of(w, PEER_B, "")), 0);
	assert_int_equal(answer(w, SIDE_A, sdp_of(w, PEER_A, ""), true), 0);
	assert_passes(w, PEER_A, PEER_B);
	finish(w);
}

static void the_last_early_answer_counts(void **state)
{
	struct world *w = begin(4);
	enum side from = SIDE_B;
	(void)state;

	assert_int_equal(offer(w, SIDE_A, sdp_of(w, PEER_A, "")), 0);
	assert_int_equal(answer(w, SIDE_B, sdp_of(w, PEER_B, ""), false), 0);
	assert_passes(w, PEER_A, PEER_B);
	assert_int_equal(answer(w, SIDE_B, sdp_of(w, PEER_B2, ""), false), 0);
	assert_passes(w, PEER_A, PEER_B2);
	assert_true(media_offer_open(w->media, &from));
	assert_int_equal(from, SIDE_A);

	assert_int_equal(answer(w, SIDE_B, sdp_of(w, PEER_B, ""), true), 0);
	assert_passes(w, PEER_A, PEER_B);
	assert_false(media_offer_open(w->media, &from));
	assert_used(w, 1, 1);
	finish(w);
}

static void a_later_offer_changes_nothing_before_its_final_answer(void **state)
{
	struct world *w = begin(4);
	(void)state;

	establish(w);
	assert_int_equal(offer(w, SIDE_B, sdp_of(w, PEER_B2, "")), 0);
	assert_passes(w, PEER_A, PEER_B);
	assert_int_equal(answer(w, SIDE_A, sdp_of(w, PEER_A, ""), false), 0);
	assert_passes(w, PEER_A, PEER_B);
	assert_int_equal(answer(w, SIDE_A, sdp_of(w, PEER_A, ""), true), 0);
	assert_passes(w, PEER_A, PEER_B2);
	finish(w);
}

/* IPv4 with one side, IPv6 with the other, in one call (behaviour.md 3.10) */
static void each_side_has_the_family_of_its_own(void **state)
{
	struct world *w = configure(4);
	struct sa ours = sa_of("::1");
	const struct sdp_stream *s;
	uint32_t used, left;
	(void)state;

	(void)realm_add(w->cfg, "b6", "::1");
	add_pool(w, "b6", "::1", 4);
	run(w);
	mem_deref(w->media);
	w->media = call(w, "b6");
	assert_int_equal(offer(w, SIDE_A, sdp_of(w, PEER_A, "")), 0);
	s = &w->seen[SIDE_B].streams[0];
	assert_true(sa_cmp(&s->rtp, &ours, SA_ADDR));
	assert_int_equal(sa_port(&s->rtp) % 2, 0);
	assert_int_equal(sa_port(&s->rtcp), sa_port(&s->rtp) + 1);
	assert_int_equal(answer(w, SIDE_B, sdp_of(w, PEER_6, ""), true), 0);
	assert_int_equal(sa_af(&w->seen[SIDE_A].streams[0].rtp), AF_INET);
	assert_passes(w, PEER_A, PEER_6);

	/* the other way round: the IPv6 side moves */
	assert_int_equal(offer(w, SIDE_B, sdp_of(w, PEER_6, "a=sendrecv\r\n")),
			 0);
	assert_int_equal(answer(w, SIDE_A, sdp_of(w, PEER_B2, ""), true), 0);
	assert_passes(w, PEER_B2, PEER_6);

	w->media = mem_deref(w->media);
	settle(w);
	ports_count(w->worker.media_ports, realm_named(w->plan->realms, "b6"),
		    &used, &left);
	assert_int_equal(used, 0);
	finish(w);
}

/* RFC 3263 4.3 with AAAA before A: the next target speaks the other family */
static void the_next_target_has_ports_of_its_own_family(void **state)
{
	struct world *w = configure(4);
	static const int peers[] = { PEER_6, PEER_B, PEER_6 };
	const struct realm *b;
	(void)state;

	add_pool(w, "b", "::1", 4);
	run(w);
	b = realm_named(w->plan->realms, "b");
	for (size_t i = 0; i < sizeof(peers) / sizeof(peers[0]); i++) {
		struct sa peer = sa_of(addresses[peers[i]]);

		assert_int_equal(media_move(w->media, b, &peer), 0);
		assert_int_equal(offer(w, SIDE_A, sdp_of(w, PEER_A, "")), 0);
		assert_int_equal(sa_af(&w->seen[SIDE_B].streams[0].rtp),
				 sa_af(&peer));
		assert_used(w, 1, 1);
	}
	finish(w);
}

/* Hops of both families that are tried together (behaviour.md 2.4) */
static void each_family_of_a_realm_has_an_offer_of_its_own(void **state)
{
	struct world *w = configure(4);
	struct sa four = sa_of(addresses[PEER_B]),
		  six = sa_of(addresses[PEER_6]);
	struct sdp_stream seen[2];
	struct mbuf *mb = NULL;
	const struct realm *b;
	struct pl pl;
	(void)state;

	add_pool(w, "b", "::1", 4);
	run(w);
	b = realm_named(w->plan->realms, "b");
	pl = pl_text(sdp_of(w, PEER_A, ""));
	assert_int_equal(media_move(w->media, b, &four), 0);
	assert_int_equal(offer(w, SIDE_A, sdp_of(w, PEER_A, "")), 0);
	seen[0] = w->seen[SIDE_B].streams[0];
	assert_int_equal(media_beside(w->media, b, &six, &pl, &mb), 0);
	hear(w, SIDE_B, mb, "");
	assert_int_equal(sa_af(&w->seen[SIDE_B].streams[0].rtp), AF_INET6);
	assert_used(w, 1, 2);
	seen[1] = w->seen[SIDE_B].streams[0];
	/* the same ports for one more hop there */
	assert_int_equal(media_beside(w->media, b, &six, &pl, &mb), 0);
	mem_deref(mb);
	assert_used(w, 1, 2);

	media_face(w->media, b, &four);
	assert_int_equal(answer(w, SIDE_B, sdp_of(w, PEER_B, ""), false), 0);
	w->seen[SIDE_B].streams[0] = seen[0];
	assert_passes(w, PEER_A, PEER_B);
	media_leave(w->media, b, AF_INET);
	settle(w);
	assert_used(w, 1, 1);
	media_face(w->media, b, &six);
	assert_int_equal(answer(w, SIDE_B, sdp_of(w, PEER_6, ""), true), 0);
	media_started(w->media);
	w->seen[SIDE_B].streams[0] = seen[1];
	assert_passes(w, PEER_A, PEER_6);
	finish(w);
}

static void a_refused_offer_leaves_the_session_as_it_was(void **state)
{
	struct world *w = begin(4);
	enum side from;
	(void)state;

	establish(w);
	assert_int_equal(
		offer(w, SIDE_A,
		      sdp_of(w, PEER_A, "m=video 30900 RTP/AVP 96\r\n")),
		0);
	assert_used(w, 2, 2);
	media_offer_failed(w->media);
	assert_used(w, 1, 1);
	assert_false(media_offer_open(w->media, &from));
	assert_passes(w, PEER_A, PEER_B);
	finish(w);
}

static void streams_come_and_go_with_the_answer(void **state)
{
	const char *video = "m=video 30900 RTP/AVP 96\r\n";
	struct world *w = begin(4);
	(void)state;

	establish(w);
	assert_int_equal(offer(w, SIDE_A, sdp_of(w, PEER_A, video)), 0);
	assert_int_equal(answer(w, SIDE_B, sdp_of(w, PEER_B, video), true), 0);
	assert_int_equal(w->seen[SIDE_B].n, 2);
	assert_true(w->seen[SIDE_A].streams[1].relayed);
	assert_used(w, 2, 2);

	/* declined by the answer */
	assert_int_equal(offer(w, SIDE_B, sdp_of(w, PEER_B, video)), 0);
	assert_int_equal(answer(w, SIDE_A,
				sdp_of(w, PEER_A, "m=video 0 RTP/AVP 96\r\n"),
				true),
			 0);
	assert_false(w->seen[SIDE_B].streams[1].relayed);
	assert_used(w, 1, 1);
	assert_passes(w, PEER_A, PEER_B);
	finish(w);
}

static void a_stream_that_is_not_over_udp_gets_port_0(void **state)
{
	struct world *w = begin(4);
	(void)state;

	assert_int_equal(
		offer(w, SIDE_A,
		      sdp_of(w, PEER_A, "m=message 2855 TCP/MSRP *\r\n")),
		0);
	assert_int_equal(w->seen[SIDE_B].n, 2);
	assert_true(w->seen[SIDE_B].streams[0].relayed);
	assert_false(w->seen[SIDE_B].streams[1].relayed);
	assert_used(w, 1, 1);
	finish(w);
}

static void what_is_wrong_is_named(void **state)
{
	static const char msrp[] = "v=0\r\no=- 1 1 IN IP4 127.0.0.40\r\ns=-\r\n"
				   "c=IN IP4 127.0.0.40\r\nt=0 0\r\n"
				   "m=message 2855 TCP/MSRP *\r\n";
	struct world *w = begin(4);
	enum side from;
	(void)state;

	assert_int_equal(answer(w, SIDE_B, sdp_of(w, PEER_B, ""), true),
			 ENOENT);
	assert_int_equal(offer(w, SIDE_A, "hello"), EBADMSG);
	assert_int_equal(offer(w, SIDE_A, msrp), EPROTO);
	assert_false(media_offer_open(w->media, &from));
	assert_used(w, 0, 0);

	assert_int_equal(offer(w, SIDE_A, sdp_of(w, PEER_A, "")), 0);
	assert_int_equal(offer(w, SIDE_A, sdp_of(w, PEER_A, "")), EALREADY);
	assert_int_equal(offer(w, SIDE_B, sdp_of(w, PEER_B, "")), EALREADY);
	assert_int_equal(answer(w, SIDE_A, sdp_of(w, PEER_A, ""), true),
			 ENOENT);
	assert_int_equal(answer(w, SIDE_B, "hello", true), EBADMSG);
	assert_int_equal(answer(w, SIDE_B,
				sdp_of(w, PEER_B, "m=video 9 RTP/AVP 96\r\n"),
				true),
			 EBADMSG);
	assert_int_equal(answer(w, SIDE_B, sdp_of(w, PEER_B, ""), true), 0);
	assert_passes(w, PEER_A, PEER_B);
	finish(w);
}

static void the_version_rises_only_when_the_text_changes(void **state)
{
	struct world *w = begin(4);
	uint32_t first;
	(void)state;

	establish(w);
	first = w->version[SIDE_B];
	assert_int_equal(offer(w, SIDE_A, sdp_of(w, PEER_A, "")), 0);
	assert_int_equal(w->version[SIDE_B], first);
	media_offer_failed(w->media);
	assert_int_equal(offer(w, SIDE_A, sdp_of(w, PEER_A, "a=sendonly\r\n")),
			 0);
	assert_int_equal(w->version[SIDE_B], first + 1);
	media_offer_failed(w->media);
	assert_int_equal(offer(w, SIDE_A, sdp_of(w, PEER_A, "")), 0);
	assert_int_equal(w->version[SIDE_B], first + 2);
	finish(w);
}

/* An UPDATE while the INVITE has had a reliable 183 */
static void an_early_answer_is_agreed_when_the_next_offer_comes(void **state)
{
	struct world *w = begin(4);
	(void)state;

	assert_int_equal(offer(w, SIDE_A, sdp_of(w, PEER_A, "")), 0);
	assert_int_equal(answer(w, SIDE_B, sdp_of(w, PEER_B, ""), false), 0);
	assert_int_equal(offer(w, SIDE_B, sdp_of(w, PEER_B2, "")), 0);
	assert_passes(w, PEER_A, PEER_B);
	assert_int_equal(answer(w, SIDE_A, sdp_of(w, PEER_A, ""), false), 0);
	assert_passes(w, PEER_A, PEER_B);
	assert_int_equal(answer(w, SIDE_A, sdp_of(w, PEER_A, ""), true), 0);
	assert_passes(w, PEER_A, PEER_B2);
	finish(w);
}

/* --- ports --------------------------------------------------------------- */

static unsigned alarms;

static void see_alarm(const struct alarm_report *a, void *arg)
{
	if (!strcmp(a->name, arg) && !strcmp(a->object, "a"))
		alarms++;
}

static void without_a_pair_the_second_call_fails_and_the_first_goes_on(
	void **state)
{
	struct world *w = begin(1);
	struct media *first;
	char empty[] = "steering-pool-empty";
	(void)state;

	establish(w);
	first = w->media;
	w->media = call(w, "b");
	assert_int_equal(offer(w, SIDE_A, sdp_of(w, PEER_A, "")), ENOSPC);
	mem_deref(w->media);
	w->media = first;
	alarms = 0;
	alarms_walk(false, see_alarm, empty);
	assert_int_equal(alarms, 1);

	/* a second stream of the first does not fit either */
	assert_int_equal(
		offer(w, SIDE_A,
		      sdp_of(w, PEER_A, "m=video 30900 RTP/AVP 96\r\n")),
		ENOSPC);
	assert_used(w, 1, 1);
	assert_passes(w, PEER_A, PEER_B);
	finish(w);

	alarms = 0;
	alarms_walk(false, see_alarm, empty);
	assert_int_equal(alarms, 0);
}

/* Ports rest after use: a call may find none while few are used */
static void the_alarm_of_an_empty_pool_ends_below_80_percent_in_any_case(
	void **state)
{
	struct world *w = begin(2);
	char empty[] = "steering-pool-empty";
	struct media *first;
	(void)state;

	establish(w);
	w->media = mem_deref(w->media); /* its pairs rest now */
	w->media = call(w, "b");
	assert_int_equal(offer(w, SIDE_A, sdp_of(w, PEER_A, "")), 0);
	first = w->media;
	w->media = call(w, "b");
	assert_int_equal(offer(w, SIDE_A, sdp_of(w, PEER_A, "")), ENOSPC);
	alarms = 0;
	alarms_walk(false, see_alarm, empty);
	assert_int_equal(alarms, 1);

	mem_deref(w->media);
	mem_deref(first);
	w->media = NULL;
	alarms = 0;
	alarms_walk(false, see_alarm, empty);
	assert_int_equal(alarms, 0);
	finish(w);
}

static void a_pair_that_somebody_else_holds_is_passed_over(void **state)
{
	struct world *w = begin(4);
	struct port_pair pair;
	int fd;
	(void)state;

	/* the pool hands out its pairs in order: the first one is taken */
	assert_int_equal(ports_take(w->worker.media_ports,
				    realm_named(w->plan->realms, "b"), AF_INET,
				    1, &pair),
			 0);
	ports_give(w->worker.media_ports, &pair, 0);
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	sa_set_port(&pair.rtp, sa_port(&pair.rtp) + 2);
	assert_int_equal(bind(fd, &pair.rtp.u.sa, pair.rtp.len), 0);

	establish(w);
	assert_used(w, 1, 1);
	assert_int_not_equal(sa_port(&w->seen[SIDE_B].streams[0].rtp),
			     sa_port(&pair.rtp));
	assert_passes(w, PEER_A, PEER_B);
	close(fd);
	finish(w);
}

static void a_move_frees_side_b_and_forgets_the_offer(void **state)
{
	struct world *w = begin(4);
	const struct realm *b;
	struct sa peer = sa_of(addresses[PEER_B2]);
	uint16_t port;
	(void)state;

	b = realm_named(w->plan->realms, "b");
	assert_int_equal(offer(w, SIDE_A, sdp_of(w, PEER_A, "")), 0);
	port = sa_port(&w->seen[SIDE_B].streams[0].rtp);

	/* nothing came there yet: the ports serve the next hop */
	assert_int_equal(media_move(w->media, b, &peer), 0);
	assert_used(w, 1, 1);
	assert_int_equal(offer(w, SIDE_A, sdp_of(w, PEER_A, "")), 0);
	assert_int_equal(sa_port(&w->seen[SIDE_B].streams[0].rtp), port);

	/* early media came: whoever sent them must not reach the next hop */
	assert_int_equal(answer(w, SIDE_B, sdp_of(w, PEER_B, ""), false), 0);
	assert_passes(w, PEER_A, PEER_B);
	assert_int_equal(media_move(w->media, b, &peer), 0);
	assert_used(w, 1, 0);
	assert_int_equal(offer(w, SIDE_A, sdp_of(w, PEER_A, "")), 0);
	assert_int_not_equal(sa_port(&w->seen[SIDE_B].streams[0].rtp), port);
	assert_int_equal(answer(w, SIDE_B, sdp_of(w, PEER_B2, ""), true), 0);
	assert_passes(w, PEER_A, PEER_B2);
	assert_true(is_quiet(w, PEER_B));
	finish(w);
}

/* --- realms -------------------------------------------------------------- */

static void media_goes_directly_only_where_the_realms_say_so(void **state)
{
	static const struct {
		const char *name, *realm_b;
		bool state, in_realm, in_network, same_ip, latching, share;
		bool direct;
		enum {
			BOTH,
			A_ALONE,
			B_ALONE
		} of; /* mm-in-network, latching */
	} rows[] = {
		{ "A's network", "b", 1, 0, 0, 1, 0, 1, false, A_ALONE },
		{ "B's network", "b", 1, 0, 0, 1, 0, 1, false, B_ALONE },
		{ "A latches", "b", 1, 0, 0, 1, 1, 1, false, A_ALONE },
		{ "B latches", "b", 1, 0, 0, 1, 1, 1, false, B_ALONE },
		{ "two realms", "b", 1, 0, 1, 1, 0, 1, false },
		{ "two networks", "b", 1, 0, 0, 1, 0, 1, true },
		{ "no common address", "b", 1, 0, 0, 1, 0, 0, false },
		{ "latching", "b", 1, 0, 0, 1, 1, 1, false },
		{ "one realm", "a", 1, 0, 1, 1, 0, 0, true },
		{ "one realm latching", "a", 1, 0, 1, 1, 1, 0, false },
		{ "mm-in-realm", "a", 1, 1, 1, 1, 0, 0, false },
		{ "another address", "a", 1, 1, 1, 0, 0, 0, false },
		{ "state disabled", "b", 0, 1, 1, 1, 1, 0, true },
	};
	size_t i;
	(void)state;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct world *w = configure(4);
		int side;

		w->manager->state = rows[i].state;
		for (side = SIDE_A; side <= SIDE_B; side++) {
			struct realm_config *rc = w->realm[side];
			bool its = rows[i].of == BOTH ||
				   (rows[i].of == A_ALONE) == (side == SIDE_A);

			rc->mm_in_realm = rows[i].in_realm;
			/* where both let media pass by, one that latches not */
			rc->mm_in_network = its || rows[i].latching
						    ? rows[i].in_network
						    : true;
			rc->mm_same_ip = rows[i].same_ip;
			rc->symmetric_latching = its && rows[i].latching;
		}
		if (rows[i].share)
			config_add(w->cfg, &element_steering_pool, "ip-address",
				   "127.0.0.32", "start-port", "32760",
				   "end-port", "32761", "realm-id", "b", NULL);
		run(w);
		mem_deref(w->media);
		w->media = call(w, rows[i].realm_b);

		assert_int_equal(offer(w, SIDE_A, sdp_of(w, PEER_A, "")), 0);
		if (w->same != rows[i].direct)
			fail_msg("%s: %s", rows[i].name,
				 w->same ? "directly" : "relayed");
		assert_int_equal(answer(w, SIDE_B, sdp_of(w, PEER_B, ""), true),
				 0);
		assert_int_equal(w->same, rows[i].direct);
		if (rows[i].direct)
			assert_used(w, 0, 0);
		finish(w);
	}
}

static void a_realm_that_latches_follows_the_first_packet(void **state)
{
	struct world *w = configure(4);
	(void)state;

	w->realm[SIDE_A]->symmetric_latching = true;
	run(w);
	/* A's SDP names B2's place: A is behind NAT */
	assert_int_equal(offer(w, SIDE_A, sdp_of(w, PEER_B2, "")), 0);
	assert_int_equal(answer(w, SIDE_B, sdp_of(w, PEER_B, ""), true), 0);
	settle(w);
	say(w, PEER_B, SIDE_B, 1);
	assert_int_equal(heard(w, PEER_B2), 1);
	assert_passes(w, PEER_A, PEER_B);
	say(w, STRANGER, SIDE_A, 66);
	assert_passes(w, PEER_A, PEER_B);
	finish(w);
}

/* media-manager: "master switch for symmetric-latching" */
static void without_latching_the_sdp_counts_whatever_the_realm_says(
	void **state)
{
	struct world *w = configure(4);
	(void)state;

	w->realm[SIDE_A]->symmetric_latching = true;
	w->manager->latching = false;
	run(w);
	assert_int_equal(offer(w, SIDE_A, sdp_of(w, PEER_B2, "")), 0);
	assert_int_equal(answer(w, SIDE_B, sdp_of(w, PEER_B, ""), true), 0);
	settle(w);
	say(w, PEER_A, SIDE_A, 1);
	assert_passes(w, PEER_B2, PEER_B);
	finish(w);
}

static void restricted_latching_admits_the_signalling_peer_only(void **state)
{
	struct world *w = configure(4);
	(void)state;

	w->realm[SIDE_A]->symmetric_latching = true;
	w->realm[SIDE_A]->restricted_latching = RESTRICTED_LATCHING_PEER_IP;
	run(w);
	assert_int_equal(offer(w, SIDE_A, sdp_of(w, PEER_B2, "")), 0);
	assert_int_equal(answer(w, SIDE_B, sdp_of(w, PEER_B, ""), true), 0);
	settle(w);
	say(w, STRANGER, SIDE_A, 66);
	say(w, PEER_B2, SIDE_A, 67); /* of the SDP, but not the peer */
	assert_passes(w, PEER_A, PEER_B);
	finish(w);
}

static void early_media_pass_as_far_as_the_realm_allows(void **state)
{
	static const struct {
		uint8_t realm, agent;
		bool a_passes, b_passes;
	} rows[] = {
		{ EARLY_MEDIA_ALLOW_BOTH, 0, true, true },
		{ EARLY_MEDIA_ALLOW_REVERSE, 0, false, true },
		{ EARLY_MEDIA_ALLOW_NONE, 0, false, false },
		{ EARLY_MEDIA_ALLOW_NONE, AGENT_EARLY_MEDIA_ALLOW_BOTH, true,
		  true },
		{ EARLY_MEDIA_ALLOW_BOTH, AGENT_EARLY_MEDIA_ALLOW_NONE, false,
		  false },
	};
	size_t i;
	(void)state;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct world *w = configure(4);
		struct media_setup setup;

		w->realm[SIDE_A]->early_media_allow = rows[i].realm;
		run(w);
		mem_deref(w->media);
		setup = (struct media_setup){
			.worker = &w->worker,
			.plan = w->plan,
			.realm = { realm_named(w->plan->realms, "a"),
				   realm_named(w->plan->realms, "b") },
			.peer = { sa_of(addresses[PEER_A]),
				  sa_of(addresses[PEER_B]) },
			.early_media_allow = rows[i].agent
		};
		assert_int_equal(media_alloc(&w->media, &setup, on_silent, w),
				 0);

		assert_int_equal(offer(w, SIDE_A, sdp_of(w, PEER_A, "")), 0);
		assert_int_equal(
			answer(w, SIDE_B, sdp_of(w, PEER_B, ""), false), 0);
		settle(w);
		say(w, PEER_A, SIDE_A, 1);
		say(w, PEER_B, SIDE_B, 2);
		if (rows[i].a_passes)
			assert_int_equal(heard(w, PEER_B), 1);
		if (rows[i].b_passes)
			assert_int_equal(heard(w, PEER_A), 2);
		settle(w);
		settle(w);
		assert_true(is_quiet(w, PEER_A));
		assert_true(is_quiet(w, PEER_B));

		media_started(w->media);
		settle(w);
		assert_passes(w, PEER_A, PEER_B);
		finish(w);
	}
}

/* --- timers -------------------------------------------------------------- */

static void silence_after_the_answer_is_told_once(void **state)
{
	struct world *w = configure(4);
	(void)state;

	w->manager->initial_guard_timer = 5;
	run(w);
	assert_int_equal(offer(w, SIDE_A, sdp_of(w, PEER_A, "")), 0);
	assert_int_equal(answer(w, SIDE_B, sdp_of(w, PEER_B, ""), false), 0);
	pass(w, 20); /* ringing: nobody waits for media */
	assert_int_equal(w->silent, 0);

	media_started(w->media);
	pass(w, 4);
	assert_int_equal(w->silent, 0);
	pass(w, 4);
	assert_int_equal(w->silent, 1);
	pass(w, 10);
	assert_int_equal(w->silent, 1);
	finish(w);
}

static void a_held_call_is_not_ended(void **state)
{
	static const char *const holds[] = { "a=sendonly\r\n", "a=inactive\r\n",
					     "c=IN IP4 0.0.0.0\r\n" };
	static const char *const answers[] = { "a=recvonly\r\n",
					       "a=inactive\r\n", "" };
	size_t i;
	(void)state;

	for (i = 0; i < 3; i++) {
		struct world *w = configure(4);

		w->manager->subsq_guard_timer = 3;
		run(w);
		establish(w);
		assert_passes(w, PEER_A, PEER_B);
		assert_int_equal(offer(w, SIDE_A, sdp_of(w, PEER_A, holds[i])),
				 0);
		assert_int_equal(
			answer(w, SIDE_B, sdp_of(w, PEER_B, answers[i]), true),
			0);
		pass(w, 20);
		assert_int_equal(w->silent, 0);

		/* and back: now they count again */
		establish(w);
		pass(w, 2);
		assert_int_equal(w->silent, 0);
		pass(w, 4);
		assert_int_equal(w->silent, 1);
		finish(w);
	}
}

static void an_announcement_counts_in_its_one_direction(void **state)
{
	struct world *w = configure(4);
	unsigned i;
	(void)state;

	w->manager->initial_guard_timer = 3;
	w->manager->subsq_guard_timer = 3;
	run(w);
	assert_int_equal(offer(w, SIDE_A, sdp_of(w, PEER_A, "a=recvonly\r\n")),
			 0);
	assert_int_equal(
		answer(w, SIDE_B, sdp_of(w, PEER_B, "a=sendonly\r\n"), true),
		0);
	settle(w);
	for (i = 0; i < 6; i++) {
		say(w, PEER_B, SIDE_B, (uint16_t)i);
		assert_int_equal(heard(w, PEER_A), i);
		pass(w, 1);
	}
	assert_int_equal(w->silent, 0);
	pass(w, 5);
	assert_int_equal(w->silent, 1);
	finish(w);
}

static void the_longest_life_of_a_flow_ends_the_call(void **state)
{
	struct world *w = configure(4);
	(void)state;

	w->manager->flow_time_limit = 7;
	run(w);
	establish(w);
	pass(w, 6);
	assert_int_equal(w->silent, 0);
	pass(w, 2);
	assert_int_equal(w->silent, 1);
	finish(w);
}

/* --- end ----------------------------------------------------------------- */

static void the_end_tells_the_final_counters_once(void **state)
{
	struct world *w = begin(4);
	int i;
	(void)state;

	establish(w);
	for (i = 0; i < 5; i++)
		assert_passes(w, PEER_A, PEER_B);
	say(w, PEER_A, SIDE_A, 99);
	assert_int_equal(heard(w, PEER_B), 99);

	media_close(w->media, on_report, w);
	assert_int_equal(w->reports, 0);
	for (i = 0; i < LIMIT && !w->reports; i++) {
		mailbox_take(w->worker.mailbox);
		(void)poll(NULL, 0, 1);
	}
	assert_int_equal(w->reports, 1);
	assert_int_equal(w->report.packets[SIDE_A], 6);
	assert_int_equal(w->report.packets[SIDE_B], 5);
	assert_int_equal(w->report.octets[SIDE_A], 6 * 172);
	assert_string_equal(w->report.codec[SIDE_A], "PCMA");
	assert_int_equal(sa_port(&w->report.local[SIDE_A]),
			 sa_port(&w->seen[SIDE_A].streams[0].rtp));
	assert_int_equal(sa_port(&w->report.remote[SIDE_B]), w->port[PEER_B]);
	finish(w);
}

static void without_flows_the_end_is_told_at_once(void **state)
{
	struct world *w = begin(4);
	(void)state;

	assert_int_equal(offer(w, SIDE_A, sdp_of(w, PEER_A, "")), 0);
	media_close(w->media, on_report, w);
	assert_int_equal(w->reports, 1);
	finish(w);
}

static void who_goes_before_the_last_news_hears_nothing(void **state)
{
	struct world *w = begin(4);
	(void)state;

	establish(w);
	media_close(w->media, on_report, w);
	w->media = mem_deref(w->media);
	settle(w);
	settle(w);
	assert_int_equal(w->reports, 0);
	finish(w);
}

/* Whatever order things come in: nothing crashes, and finish() finds nothing
 * left. The numbers are those of a fixed sequence, so a failure can be seen
 * again. */
static void any_sequence_of_offers_and_answers_leaves_nothing(void **state)
{
	static const char *const more[] = {
		"",
		"a=inactive\r\n",
		"m=video 30900 RTP/AVP 96\r\n",
		"m=video 0 RTP/AVP 96\r\n",
		"m=image 30902 udptl t38\r\n",
		"m=video 30904 RTP/AVP 96\r\nm=audio 30906 RTP/AVP 0\r\n"
	};
	struct world *w = configure(6);
	unsigned seed = 20261121, i;
	(void)state;

	w->realm[SIDE_A]->symmetric_latching = true;
	run(w);
	for (i = 0; i < 3000; i++) {
		unsigned r = (unsigned)rand_r(&seed);
		enum side side = r >> 8 & 1;
		int peer = side == SIDE_A ? PEER_A
					  : (r >> 9 & 1 ? PEER_B : PEER_B2);
		const char *text = sdp_of(w, peer, more[(r >> 12) % 6]);
		struct sa sa = sa_of(addresses[peer]);
		uint32_t used[2];

		switch (r % 16) {
		case 0:
			mem_deref(w->media);
			w->media = call(w, "b");
			fake_clock_advance(2100);
			break;
		case 1:
			media_close(w->media, on_report, w);
			mem_deref(w->media);
			w->media = call(w, "b");
			fake_clock_advance(2100);
			break;
		case 2:
			(void)media_move(w->media,
					 realm_named(w->plan->realms,
						     r >> 10 & 1 ? "a" : "b"),
					 &sa);
			break;
		case 3:
			media_offer_failed(w->media);
			break;
		case 4:
			media_started(w->media);
			media_refresh(w->media);
			break;
		case 5:
			settle(w);
			break;
		case 6:
		case 7:
		case 8:
		case 9:
			(void)offer(w, side, text);
			break;
		default:
			(void)answer(w, side, text, r >> 10 & 1);
			break;
		}
		ports_used(w, used);
		assert_in_range(used[0] + used[1], 0, 12);
	}
	finish(w);
}

static int group_open(void **state)
{
	(void)state;
	log_level_set(LOG_COMPONENTS, LEVEL_EMERGENCY);
	return libre_init() || wheel_open();
}

static int group_close(void **state)
{
	(void)state;
	wheel_close();
	libre_close();
	return 0;
}

int main(void)
{
#define T(name) cmocka_unit_test(name)
	const struct CMUnitTest tests[] = {
		T(an_offer_takes_a_pair_on_both_sides_and_opens_nothing),
		T(after_the_answer_rtp_passes_and_strangers_do_not),
		T(the_offer_may_come_in_the_answer),
		T(the_last_early_answer_counts),
		T(a_later_offer_changes_nothing_before_its_final_answer),
		T(each_side_has_the_family_of_its_own),
		T(the_next_target_has_ports_of_its_own_family),
		T(each_family_of_a_realm_has_an_offer_of_its_own),
		T(a_refused_offer_leaves_the_session_as_it_was),
		T(streams_come_and_go_with_the_answer),
		T(a_stream_that_is_not_over_udp_gets_port_0),
		T(what_is_wrong_is_named),
		T(the_version_rises_only_when_the_text_changes),
		T(an_early_answer_is_agreed_when_the_next_offer_comes),
		T(without_a_pair_the_second_call_fails_and_the_first_goes_on),
		T(the_alarm_of_an_empty_pool_ends_below_80_percent_in_any_case),
		T(a_pair_that_somebody_else_holds_is_passed_over),
		T(a_move_frees_side_b_and_forgets_the_offer),
		T(media_goes_directly_only_where_the_realms_say_so),
		T(a_realm_that_latches_follows_the_first_packet),
		T(without_latching_the_sdp_counts_whatever_the_realm_says),
		T(restricted_latching_admits_the_signalling_peer_only),
		T(early_media_pass_as_far_as_the_realm_allows),
		T(silence_after_the_answer_is_told_once),
		T(a_held_call_is_not_ended),
		T(an_announcement_counts_in_its_one_direction),
		T(the_longest_life_of_a_flow_ends_the_call),
		T(the_end_tells_the_final_counters_once),
		T(without_flows_the_end_is_told_at_once),
		T(who_goes_before_the_last_news_hears_nothing),
		T(any_sequence_of_offers_and_answers_leaves_nothing),
	};

	return cmocka_run_group_tests(tests, group_open, group_close);
}
