/*
 * Unit tests: sip-ports over real sockets on loopback
 *
 * Nothing sleeps: the loop runs until what is expected was seen, and an alarm
 * ends a test that waits for ever. Time itself is moved by hand.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>
#include "store/base.h"
#include <re_main.h>
#include "sbc/port.h"
#include "sbc/timer.h"
#include "sbc/turn.h"
#include "tests/unit/fake_clock.h"

#define SIP(n)                                                                 \
	"OPTIONS sip:" n " SIP/2.0\r\nVia: SIP/2.0/UDP a;branch=" n "\r\n"

enum {
	SEEN_MAX = 512,
	LIMIT_S = 20
};

struct seen {
	char text[256];
	struct arrival from;
	size_t n;
};

static struct seen seen[SEEN_MAX];
static size_t seen_n, outcomes, lost, refused, wanted;
static int last_err;
static uint64_t last_conn, lost_conn;
static struct mbuf *kept;
static bool keeps, closes;
static const char *replies;

static void enough(void)
{
	if (seen_n + outcomes + lost + refused >= wanted)
		re_cancel();
}

static void outcome(int err, uint64_t conn, void *arg)
{
	(void)arg;
	last_err = err;
	last_conn = conn;
	++outcomes;
	enough();
}

static struct mbuf *bytes(const char *text)
{
	struct mbuf *mb = mbuf_alloc(strlen(text) + 1);

	if (!mb || mbuf_write_mem(mb, (const uint8_t *)text, strlen(text)))
		abort();
	mb->pos = 0;

	return mb;
}

static int send_text(struct port *port, const struct target *to,
		     const char *text)
{
	struct mbuf *mb = bytes(text);
	int err = port_send(port, to, mb, outcome, NULL);

	mem_deref(mb);

	return err;
}

static void arrived(const struct arrival *from, struct mbuf *mb, void *arg)
{
	struct port **portp = arg;
	struct seen *s = &seen[seen_n % SEEN_MAX];

	s->from = *from;
	s->n = mbuf_get_left(mb);
	snprintf(s->text, sizeof(s->text), "%.*s",
		 (int)(s->n < 255 ? s->n : 255), (const char *)mbuf_buf(mb));
	++seen_n;
	if (keeps && !kept)
		kept = mem_ref(mb);
	if (replies) {
		const struct target to = {
			.dst = from->src,
			.conn = from->conn,
			.only = from->conn != 0,
			.transport = (uint8_t)port_transport(from->port),
		};

		assert_int_equal(send_text(from->port, &to, replies), 0);
	}
	if (closes) {
		port_close(*portp);
		*portp = NULL;
	}
	enough();
}

static void lost_one(uint64_t conn, const struct sa *peer, void *arg)
{
	(void)peer;
	(void)arg;
	lost_conn = conn;
	++lost;
	enough();
}

static void refused_one(const struct sa *dst, const struct pl *p, int err,
			void *arg)
{
	(void)dst;
	(void)arg;
	assert_int_equal(err, ECONNREFUSED);
	assert_true(p->l > 8 && !memcmp(p->p, "OPTIONS ", 8));
	++refused;
	enough();
}

/* Run the loop until n things happened since the last reset */
static void run(size_t n)
{
	wanted = n;
	if (seen_n + outcomes + lost + refused >= n)
		return;
	alarm(LIMIT_S);
	assert_int_equal(re_main(NULL), 0);
	alarm(0);
}

static void reset(void)
{
	seen_n = outcomes = lost = refused = 0;
	last_err = 0;
	last_conn = lost_conn = 0;
	keeps = closes = false;
	replies = NULL;
	kept = mem_deref(kept);
}

static struct port *open_on(enum transport t, uint32_t max, void *arg)
{
	struct endpoint e = { .transport = t, .number = 3 };
	const struct port_setup setup = { .endpoint = &e,
					  .message_max = max,
					  .idle = 32,
					  .receive_buffer = 1 << 20,
					  .connections_max = 16 };
	struct port *port = NULL;

	assert_int_equal(sa_set_str(&e.local, "127.0.0.1", 0), 0);
	assert_int_equal(port_open(&port, &setup, arrived, arg), 0);
	port_lost_handler(port, lost_one, NULL);
	port_refused_handler(port, refused_one, NULL);

	return port;
}

static struct target to_port(const struct port *port)
{
	const struct target to = { .dst = *port_local(port),
				   .transport = (uint8_t)port_transport(port) };

	return to;
}

/* A peer of which every byte is under control */
static int peer_open(const struct port *port)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	const struct sa *sa = port_local(port);

	assert_true(fd >= 0);
	assert_int_equal(connect(fd, &sa->u.sa, sa->len), 0);

	return fd;
}

static void peer_send(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL),
			 strlen(text));
}

static int setup(void **s)
{
	(void)s;
	reset();

	return 0;
}

static void a_batch_of_datagrams_arrives_whole_and_in_order(void **s)
{
	struct port *a = open_on(TRANSPORT_UDP, 65535, NULL);
	struct port *b = open_on(TRANSPORT_UDP, 65535, NULL);
	const struct target to = to_port(b);
	char text[64];
	size_t i;
	(void)s;

	turn_enter();
	for (i = 0; i < 200; ++i) {
		snprintf(text, sizeof(text), "OPTIONS sip:%zu SIP/2.0\r\n", i);
		assert_int_equal(send_text(a, &to, text), 0);
	}
	assert_int_equal(outcomes, 0); /* at the end of the turn */
	turn_leave();
	assert_int_equal(outcomes, 200);
	assert_int_equal(last_err, 0);

	run(400);
	assert_int_equal(seen_n, 200);
	for (i = 0; i < 200; ++i) {
		snprintf(text, sizeof(text), "OPTIONS sip:%zu SIP/2.0\r\n", i);
		assert_string_equal(seen[i].text, text);
		assert_true(sa_cmp(&seen[i].from.src, port_local(a), SA_ALL));
		assert_ptr_equal(seen[i].from.port, b);
		assert_int_equal(seen[i].from.conn, 0);
		assert_true(seen[i].from.age < 10000);
	}
	port_close(a);
	port_close(b);
}

static void a_message_that_is_kept_is_not_written_again(void **s)
{
	struct port *a = open_on(TRANSPORT_UDP, 65535, NULL);
	struct port *b = open_on(TRANSPORT_UDP, 65535, NULL);
	const struct target to = to_port(b);
	(void)s;

	keeps = true;
	assert_int_equal(send_text(a, &to, SIP("first")), 0);
	run(2);
	assert_int_equal(send_text(a, &to, SIP("other")), 0);
	run(4);
	port_close(b);
	assert_int_equal(mem_nrefs(kept), 1);
	assert_memory_equal(mbuf_buf(kept), SIP("first"), strlen(SIP("first")));
	/* not more memory than the message needs */
	assert_int_equal(kept->size, strlen(SIP("first")));
	port_close(a);
}

static void keepalives_are_silent_and_long_messages_are_refused(void **s)
{
	struct port *a = open_on(TRANSPORT_UDP, 65535, NULL);
	struct port *b = open_on(TRANSPORT_UDP, 2048, NULL);
	const struct target to = to_port(b);
	char text[4096];
	(void)s;

	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	assert_int_equal(send_text(a, &to, "\r\n\r\n"), 0);
	assert_int_equal(send_text(a, &to, "\r\n"), 0);
	assert_int_equal(send_text(a, &to, ""), 0);
	assert_int_equal(send_text(a, &to, text), 0); /* no header section */
	memcpy(text, SIP("long") "\r\n", strlen(SIP("long")) + 2);
	assert_int_equal(send_text(a, &to, text), 0);
	run(6);
	assert_int_equal(seen_n, 1);
	assert_int_equal(seen[0].from.refuse, 513);
	assert_string_equal(seen[0].text, SIP("long") "\r\n");
	port_close(a);
	port_close(b);
}

static void icmp_tells_what_was_refused_and_spoils_no_other_send(void **s)
{
	struct port *a = open_on(TRANSPORT_UDP, 65535, NULL);
	struct port *b = open_on(TRANSPORT_UDP, 65535, NULL);
	struct port *gone = open_on(TRANSPORT_UDP, 65535, NULL);
	const struct target dead = to_port(gone), to = to_port(b);
	size_t i;
	(void)s;

	port_close(gone);
	turn_enter();
	for (i = 0; i < 10; ++i) {
		assert_int_equal(send_text(a, &dead, SIP("dead")), 0);
		assert_int_equal(send_text(a, &to, SIP("alive")), 0);
	}
	turn_leave();
	assert_int_equal(outcomes, 20);
	/* the kernel limits how often it answers with ICMP: some are enough */
	run(31);
	assert_true(refused >= 1);
	while (seen_n < 10)
		run(seen_n + outcomes + refused + 1);
	assert_int_equal(seen_n, 10);
	port_close(a);
	port_close(b);
}

static void wrong_targets_are_refused_at_once(void **s)
{
	struct port *a = open_on(TRANSPORT_UDP, 65535, NULL);
	struct target to = to_port(a);
	struct endpoint e = { .transport = TRANSPORT_TLS };
	const struct port_setup tls = { .endpoint = &e, .message_max = 2048 };
	struct endpoint same = { .transport = TRANSPORT_UDP,
				 .local = *port_local(a) };
	const struct port_setup again = { .endpoint = &same,
					  .message_max = 2048 };
	struct port *b = NULL;
	(void)s;

	to.transport = TRANSPORT_TCP;
	assert_int_equal(send_text(a, &to, "x"), EPROTONOSUPPORT);
	to.transport = TRANSPORT_UDP;
	assert_int_equal(sa_set_str(&to.dst, "::1", 5060), 0);
	assert_int_equal(send_text(a, &to, "x"), EAFNOSUPPORT);
	assert_int_equal(outcomes, 0);
	assert_int_equal(port_open(&b, &tls, arrived, NULL), EPROTONOSUPPORT);
	assert_int_equal(port_open(&b, &again, arrived, NULL), EADDRINUSE);
	assert_null(b);
	assert_int_equal(port_number(a), 3);
	assert_true(!strncmp(port_sent_by(a)->p, "127.0.0.1:", 10));
	port_close(a);
}

static void a_handler_may_close_its_port(void **s)
{
	static const enum transport kinds[] = { TRANSPORT_UDP, TRANSPORT_TCP };
	size_t i, n;
	(void)s;

	for (i = 0; i < 2; ++i) {
		struct port *b = NULL;
		struct port *a = open_on(kinds[i], 65535, NULL);
		struct target to;

		reset();
		b = open_on(kinds[i], 65535, &b);
		to = to_port(b);
		closes = true;
		turn_enter();
		for (n = 0; n < 5; ++n)
			assert_int_equal(
				send_text(a, &to, SIP("x") "l: 0\r\n\r\n"), 0);
		turn_leave();
		while (!seen_n)
			run(seen_n + outcomes + lost + 1);
		assert_int_equal(seen_n, 1);
		assert_null(b);
		port_close(a);
		assert_int_equal(outcomes, 5);
	}
}

static void one_connection_carries_both_ways(void **s)
{
	struct port *a = open_on(TRANSPORT_TCP, 65535, NULL);
	struct port *b = open_on(TRANSPORT_TCP, 65535, NULL);
	struct target to = to_port(b);
	uint64_t conn;
	(void)s;

	assert_int_equal(send_text(a, &to, SIP("1") "l: 0\r\n\r\n"), 0);
	assert_int_equal(send_text(a, &to, SIP("2") "l: 3\r\n\r\nabc"), 0);
	run(4);
	assert_int_equal(last_err, 0);
	conn = last_conn;
	assert_true(conn != 0);
	assert_int_equal(port_connections(a), 1);
	assert_int_equal(port_connections(b), 1);
	assert_string_equal(seen[1].text, SIP("2") "l: 3\r\n\r\nabc");
	assert_int_equal(seen[0].from.conn, seen[1].from.conn);

	/* back on the connection it came from, and only there */
	to.dst = seen[0].from.src;
	to.conn = seen[0].from.conn;
	to.only = true;
	assert_int_equal(send_text(b, &to, SIP("3") "l: 0\r\n\r\n"), 0);
	run(6);
	assert_int_equal(seen[2].from.conn, conn);
	to.conn ^= 1;
	assert_int_equal(send_text(b, &to, SIP("4") "l: 0\r\n\r\n"), ENOTCONN);
	assert_int_equal(port_connections(b), 1);

	/* what is lost is told, and its id names nothing any more */
	to.conn ^= 1;
	port_close(a);
	run(7);
	assert_int_equal(lost, 1);
	assert_int_equal(lost_conn, to.conn);
	assert_int_equal(send_text(b, &to, SIP("5") "l: 0\r\n\r\n"), ENOTCONN);
	port_close(b);
}

static void nobody_listening_is_told_to_who_sent(void **s)
{
	struct port *a = open_on(TRANSPORT_TCP, 65535, NULL);
	struct port *gone = open_on(TRANSPORT_TCP, 65535, NULL);
	const struct target to = to_port(gone);
	(void)s;

	port_close(gone);
	assert_int_equal(send_text(a, &to, SIP("1") "l: 0\r\n\r\n"), 0);
	assert_int_equal(send_text(a, &to, SIP("2") "l: 0\r\n\r\n"), 0);
	run(3);
	assert_int_equal(outcomes, 2);
	assert_int_equal(last_err, ECONNREFUSED);
	assert_int_equal(lost, 1);
	assert_int_equal(port_connections(a), 0);
	port_close(a);
}

static void closing_a_port_tells_who_waits(void **s)
{
	struct port *a = open_on(TRANSPORT_TCP, 65535, NULL);
	struct port *b = open_on(TRANSPORT_TCP, 65535, NULL);
	const struct target to = to_port(b);
	struct port *still = mem_ref(a);
	(void)s;

	assert_int_equal(send_text(a, &to, SIP("1") "l: 0\r\n\r\n"), 0);
	port_close(a);
	assert_int_equal(outcomes, 1);
	assert_int_equal(last_err, ENOTCONN);
	assert_int_equal(send_text(still, &to, "x"), ENOTCONN);
	mem_deref(still);
	port_close(b);
}

static void a_stream_in_pieces_pings_and_several_in_one(void **s)
{
	struct port *b = open_on(TRANSPORT_TCP, 65535, NULL);
	int fd = peer_open(b);
	char got[8];
	(void)s;

	peer_send(fd, SIP("1") "l: 5\r\n\r\nab");
	peer_send(fd, "cde" SIP("2") "l: 0\r\n\r\n\r\n\r\n" SIP("3"));
	run(2);
	assert_string_equal(seen[0].text, SIP("1") "l: 5\r\n\r\nabcde");
	assert_string_equal(seen[1].text, SIP("2") "l: 0\r\n\r\n");
	assert_int_equal(recv(fd, got, sizeof(got), 0), 2); /* the pong */
	assert_memory_equal(got, "\r\n", 2);
	peer_send(fd, "l: 0\r\n\r\n");
	run(3);
	assert_string_equal(seen[2].text, SIP("3") "l: 0\r\n\r\n");
	close(fd);
	run(4);
	assert_int_equal(lost, 1);
	port_close(b);
}

static void a_broken_stream_is_answered_once_and_closed(void **s)
{
	static const struct {
		const char *text;
		uint16_t code;
	} rows[] = {
		{ SIP("1") "\r\n" SIP("2") "l: 0\r\n\r\n", 400 },
		{ SIP("1") "l: 2\r\nl: 3\r\n\r\nab", 400 },
		{ SIP("1") "l: 5000\r\n\r\nab", 513 },
	};
	struct port *b = open_on(TRANSPORT_TCP, 2048, NULL);
	size_t i;
	(void)s;

	for (i = 0; i < sizeof(rows) / sizeof(*rows); ++i) {
		int fd = peer_open(b);
		char got[64];

		reset();
		replies = "SIP/2.0 400 Bad\r\nl: 0\r\n\r\n";
		peer_send(fd, rows[i].text);
		run(2);
		assert_int_equal(seen_n, 1);
		assert_int_equal(seen[0].from.refuse, rows[i].code);
		assert_int_equal(recv(fd, got, sizeof(got), 0),
				 strlen(replies));
		assert_int_equal(recv(fd, got, sizeof(got), 0), 0);
		close(fd);
		run(3);
		assert_int_equal(port_connections(b), 0);
	}
	port_close(b);
}

static void what_is_no_sip_is_closed_without_a_word(void **s)
{
	struct port *b = open_on(TRANSPORT_TCP, 2048, NULL);
	int fd = peer_open(b);
	char got[8];
	(void)s;

	peer_send(fd, "GET / HTTP/1.1\r\n");
	run(1);
	assert_int_equal(lost, 1);
	assert_int_equal(seen_n, 0);
	assert_true(recv(fd, got, sizeof(got), 0) <= 0);
	close(fd);
	port_close(b);
}

static void a_peer_that_does_not_read_costs_a_bounded_queue(void **s)
{
	struct port *b = open_on(TRANSPORT_TCP, 65535, NULL);
	int fd = peer_open(b), err = 0;
	static char text[60000];
	struct target to;
	size_t i;
	(void)s;

	peer_send(fd, SIP("1") "l: 0\r\n\r\n");
	run(1);
	to = to_port(b);
	to.dst = seen[0].from.src;
	to.conn = seen[0].from.conn;
	memset(text, 'x', sizeof(text) - 1);
	for (i = 0; i < 5000 && !err; ++i)
		err = send_text(b, &to, text);
	assert_int_equal(err, ENOBUFS);
	port_close(b);
	assert_int_equal(outcomes, i - 1);
	close(fd);
}

static void more_connections_than_allowed_are_not_taken(void **s)
{
	struct port *b = open_on(TRANSPORT_TCP, 65535, NULL);
	int fd[20];
	char c;
	size_t i;
	(void)s;

	for (i = 0; i < 20; ++i)
		fd[i] = peer_open(b);
	peer_send(fd[15], SIP("1") "l: 0\r\n\r\n");
	run(1);
	assert_int_equal(port_connections(b), 16);
	assert_true(recv(fd[19], &c, 1, 0) <= 0);
	for (i = 0; i < 20; ++i)
		close(fd[i]);
	run(17);
	assert_int_equal(port_connections(b), 0);
	port_close(b);
}

/* The configuration knows 127.0.0.2 */
static void knows_one(const struct port *port, const struct sa *peer,
		      struct connection_terms *out, void *arg)
{
	struct sa known;
	(void)port;
	(void)arg;

	sa_set_str(&known, "127.0.0.2", 0);
	out->stranger = !sa_cmp(peer, &known, SA_ADDR);
}

static int known_open(const struct port *port)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	const struct sa *to = port_local(port);
	struct sa sa;

	sa_set_str(&sa, "127.0.0.2", 0);
	assert_int_equal(bind(fd, &sa.u.sa, sa.len), 0);
	assert_int_equal(connect(fd, &to->u.sa, to->len), 0);

	return fd;
}

static void strangers_leave_half_of_the_places_to_those_who_are_known(void **s)
{
	struct port *b = open_on(TRANSPORT_TCP, 65535, NULL);
	struct port *peer = open_on(TRANSPORT_TCP, 65535, NULL);
	struct target to = to_port(peer);
	int fd[30];
	size_t i;
	(void)s;

	port_terms_handler(b, knows_one, NULL);
	for (i = 0; i < 12; ++i)
		fd[i] = peer_open(b);
	peer_send(fd[7], SIP("1") "l: 0\r\n\r\n");
	run(1);
	assert_int_equal(port_connections(b), 8);
	/* they keep out neither who is known nor what we open */
	for (; i < 22; ++i)
		fd[i] = known_open(b);
	peer_send(fd[19], SIP("2") "l: 0\r\n\r\n");
	run(2);
	assert_int_equal(port_connections(b), 16);
	assert_int_equal(send_text(b, &to, SIP("3") "l: 0\r\n\r\n"), 0);
	run(4); /* it arrives, and was sent */
	assert_int_equal(port_connections(b), 17);
	/* a place that a stranger leaves is a stranger's again */
	close(fd[0]);
	run(5);
	fd[0] = peer_open(b);
	peer_send(fd[0], SIP("4") "l: 0\r\n\r\n");
	run(6);
	assert_int_equal(port_connections(b), 17);
	for (i = 0; i < 22; ++i)
		close(fd[i]);
	port_close(b);
	port_close(peer);
}

static void strangers_leave_memory_to_those_who_are_known(void **s)
{
	struct port *b = open_on(TRANSPORT_TCP, 65535, NULL);
	static char part[20001];
	int fd[4], known;
	size_t i;
	(void)s;

	memset(part, 'x', sizeof(part) - 1);
	memcpy(part, SIP("1") "l: 60000\r\n\r\n",
	       sizeof(SIP("1") "l: 60000\r\n\r\n") - 1);
	port_terms_handler(b, knows_one, NULL);
	known = known_open(b);
	for (i = 0; i < 4; ++i) {
		fd[i] = peer_open(b);
		peer_send(fd[i], part);
	}
	peer_send(known, part);
	peer_send(known, part + 10000);
	/* 1,600 bytes for each of 16 places: the first stranger's only */
	run(3);
	assert_int_equal(lost, 3);
	assert_int_equal(port_connections(b), 2);
	for (i = 0; i < 4; ++i)
		close(fd[i]);
	close(known);
	run(5);
	/* they are forgotten with their senders */
	fd[0] = peer_open(b);
	peer_send(fd[0], part);
	known = known_open(b);
	peer_send(known, SIP("1") "l: 0\r\n\r\n");
	run(6);
	assert_int_equal(port_connections(b), 2);
	close(fd[0]);
	close(known);
	port_close(b);
}

static void pass(uint64_t ms)
{
	fake_clock_advance(ms);
	wheel_turn();
}

static void a_slow_sender_has_32_s_for_a_message(void **s)
{
	struct port *b = open_on(TRANSPORT_TCP, 65535, NULL);
	int fd = peer_open(b);
	size_t i;
	(void)s;

	peer_send(fd, SIP("1") "l: 0\r\n\r\n");
	run(1);
	peer_send(fd, SIP("2"));
	/* the next one on another connection shows that this one was read */
	for (i = 0; i < 4; ++i) {
		int other = peer_open(b);

		peer_send(other, SIP("x") "l: 0\r\n\r\n");
		run(2 * i + 2);
		close(other);
		run(2 * i + 3);
		assert_int_equal(port_connections(b), 1);
		pass(7999);
		peer_send(fd, "A: b\r\n"); /* buys no time */
	}
	assert_int_equal(lost, 4);
	pass(3);
	pass(1);
	assert_int_equal(lost, 5);
	assert_int_equal(port_connections(b), 0);
	close(fd);
	port_close(b);
}

static void a_stranger_who_says_nothing_is_closed_a_speaker_stays(void **s)
{
	struct port *b = open_on(TRANSPORT_TCP, 65535, NULL);
	int silent = peer_open(b), speaker = peer_open(b);
	(void)s;

	peer_send(speaker, SIP("1") "l: 0\r\n\r\n");
	run(1);
	assert_int_equal(port_connections(b), 2);
	pass(31999);
	assert_int_equal(port_connections(b), 2);
	pass(1);
	assert_int_equal(port_connections(b), 1);
	pass(10000000);
	assert_int_equal(port_connections(b), 1);
	close(silent);
	close(speaker);
	run(3);
	port_close(b);
}

static void our_idle_connection_closes_unless_it_is_kept(void **s)
{
	struct port *a = open_on(TRANSPORT_TCP, 65535, NULL);
	struct port *b = open_on(TRANSPORT_TCP, 65535, NULL);
	const struct target to = to_port(b);
	(void)s;

	assert_int_equal(send_text(a, &to, SIP("1") "l: 0\r\n\r\n"), 0);
	run(2);
	pass(20000);
	assert_int_equal(send_text(a, &to, SIP("2") "l: 0\r\n\r\n"), 0);
	run(4);
	pass(31999);
	assert_int_equal(port_connections(a), 1);
	port_keep(a, last_conn, true);
	pass(100000);
	assert_int_equal(port_connections(a), 1);
	port_keep(a, last_conn, false);
	pass(31999);
	assert_int_equal(port_connections(a), 1);
	pass(1);
	assert_int_equal(port_connections(a), 0);
	run(6); /* the other side notices */
	assert_int_equal(lost, 2);
	port_close(a);
	port_close(b);
}

#define T(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_batch_of_datagrams_arrives_whole_and_in_order),
		T(a_message_that_is_kept_is_not_written_again),
		T(keepalives_are_silent_and_long_messages_are_refused),
		T(icmp_tells_what_was_refused_and_spoils_no_other_send),
		T(wrong_targets_are_refused_at_once),
		T(a_handler_may_close_its_port),
		T(one_connection_carries_both_ways),
		T(nobody_listening_is_told_to_who_sent),
		T(closing_a_port_tells_who_waits),
		T(a_stream_in_pieces_pings_and_several_in_one),
		T(a_broken_stream_is_answered_once_and_closed),
		T(what_is_no_sip_is_closed_without_a_word),
		T(a_peer_that_does_not_read_costs_a_bounded_queue),
		T(more_connections_than_allowed_are_not_taken),
		T(strangers_leave_half_of_the_places_to_those_who_are_known),
		T(strangers_leave_memory_to_those_who_are_known),
		T(a_slow_sender_has_32_s_for_a_message),
		T(a_stranger_who_says_nothing_is_closed_a_speaker_stays),
		T(our_idle_connection_closes_unless_it_is_kept),
	};
	int failed;

	if (libre_init() || fd_setsize(1024) || wheel_open())
		return 1;
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	reset();
	wheel_close();
	libre_close();

	return failed;
}
