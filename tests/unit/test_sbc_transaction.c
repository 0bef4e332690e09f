/*
 * Unit tests: transactions in virtual time, over a port without sockets
 *
 * The file under test is included, so that its tables can be walked; the
 * linker then has no use for the one in the archive.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>
#include "sbc/large.h"
#include "sbc/transaction.c"
#include "tests/unit/fake_clock.h"
#include "tests/unit/fake_port.h"

enum {
	LOG_MAX = 256
};

static const struct transactions_setup times = { .t1 = 500,
						 .t2 = 4000,
						 .expire = 32000 };

/* The user of a transaction: what he was told, and what he does then */
struct user {
	enum transaction_event told[LOG_MAX];
	uint16_t codes[LOG_MAX];
	size_t n;
	struct transaction *t;
	bool forgets; /* at the first event */
	bool lets_go; /* with mem_deref */
	bool refuses; /* answers CANCELLED with 487 */
	bool had_message;
};

static struct transactions *all;
static struct port *udp, *tcp;
static struct user user;
static unsigned serial;

static struct mbuf *bytes(const char *text)
{
	struct mbuf *mb = mbuf_alloc(strlen(text));

	assert_non_null(mb);
	assert_int_equal(
		mbuf_write_mem(mb, (const uint8_t *)text, strlen(text)), 0);
	mb->pos = 0;

	return mb;
}

static struct message *scan(const char *text)
{
	struct mbuf *mb = bytes(text);
	struct scan_result result;
	struct message *msg = NULL;

	assert_int_equal(message_scan(&msg, mb, &result), 0);
	mem_deref(mb);

	return msg;
}

static void reply(struct transaction *t, uint16_t code, int expect)
{
	struct wire_response r = { .request = transaction_request(t),
				   .from = transaction_arrival(t),
				   .code = code,
				   .to_tag = code > 100 ? "ours" : NULL };
	struct mbuf *mb;

	if (!r.request) {
		mb = bytes("SIP/2.0 500 late\r\n\r\n");
	} else {
		assert_int_equal(wire_response(&mb, &r), 0);
	}
	assert_int_equal(transaction_reply(t, code, mb), expect);
	mem_deref(mb);
}

static void hears(struct transaction *t, enum transaction_event ev,
		  const struct message *msg, void *arg)
{
	struct user *u = arg;

	assert_true(u->n < LOG_MAX);
	u->told[u->n] = ev;
	u->codes[u->n++] = msg ? msg->code : 0;
	u->had_message = msg != NULL;

	if (u->refuses && ev == CANCELLED)
		reply(t, 487, 0);
	if (u->forgets)
		u->t = transaction_forget(u->t);
	else if (u->lets_go)
		u->t = mem_deref(u->t);
}

static void pass(uint64_t ms)
{
	const uint64_t end = clock_ms() + ms;

	while (wheel_next() <= end) {
		uint64_t next = wheel_next();

		fake_clock_advance(next > clock_ms() ? next - clock_ms() : 0);
		wheel_turn();
	}
	fake_clock_advance(end - clock_ms());
}

static void expect_none_left(void)
{
	uint32_t alive, remainders;

	transactions_count(all, &alive, &remainders);
	assert_int_equal(alive, 0);
	assert_int_equal(remainders, 0);
	assert_int_equal(wheel_count(), 0);
}

static int setup(void **s)
{
	(void)s;
	memset(&user, 0, sizeof(user));
	if (wheel_open() || transactions_open(&all, &times))
		return -1;
	udp = fake_port("192.0.2.1", 5060, TRANSPORT_UDP);
	tcp = fake_port("192.0.2.1", 5060, TRANSPORT_TCP);

	return 0;
}

static int teardown(void **s)
{
	(void)s;
	user.t = transaction_forget(user.t);
	transactions_close(all);
	fake_port_reset();
	port_close(udp);
	port_close(tcp);
	wheel_close();

	return 0;
}

/* ---- A client and what it is answered ---- */

static char branch[32];

static struct transaction *send_to(struct port *port, const char *method)
{
	struct request_setup rs = { .port = port,
				    .branch = branch,
				    .method = INVITE };
	struct transaction *t = NULL;
	char text[1024];
	struct pl name;

	snprintf(branch, sizeof(branch), "z9hG4bKc%u", ++serial);
	snprintf(text, sizeof(text),
		 "%s sip:bob@192.0.2.9 SIP/2.0\r\n"
		 "Via: SIP/2.0/%s 192.0.2.1:5060;branch=%s;rport\r\n"
		 "Max-Forwards: 70\r\n"
		 "Route: <sip:192.0.2.8;lr>\r\n"
		 "From: <sip:alice@192.0.2.1>;tag=a\r\n"
		 "To: <sip:bob@192.0.2.9>\r\n"
		 "Call-ID: c%u\r\n"
		 "CSeq: 7 %s\r\n"
		 "Content-Length: 0\r\n\r\n",
		 method, transport_name(port_transport(port)), branch, serial,
		 method);
	pl_set_str(&name, method);
	rs.method = method_find(&name);
	rs.to.transport = (uint8_t)port_transport(port);
	assert_int_equal(sa_set_str(&rs.to.dst, "192.0.2.9", 5060), 0);
	rs.mb = bytes(text);
	assert_int_equal(transaction_send(&t, all, &rs, hears, &user), 0);
	mem_deref(rs.mb);
	user.t = t;

	return t;
}

static void answer(uint16_t code, const char *method, const char *tag,
		   enum transactions_verdict expect)
{
	struct arrival from = { .port = udp };
	struct message *msg;
	char text[1024];

	snprintf(text, sizeof(text),
		 "SIP/2.0 %u Any\r\n"
		 "Via: SIP/2.0/UDP 192.0.2.1:5060;branch=%s;rport=5060\r\n"
		 "From: <sip:alice@192.0.2.1>;tag=a\r\n"
		 "To: <sip:bob@192.0.2.9>;tag=%s\r\n"
		 "Call-ID: c%u\r\n"
		 "CSeq: 7 %s\r\n"
		 "Content-Length: 0\r\n\r\n",
		 code, branch, tag, serial, method);
	msg = scan(text);
	assert_int_equal(transactions_take(all, &from, msg), expect);
	mem_deref(msg);
}

/* ---- A server and what it is asked ---- */

struct ask {
	const char *method, *branch, *to_tag, *cseq_method;
	unsigned cseq;
};

static void ask_text(char *text, size_t size, const struct ask *a,
		     const char *via_extra)
{
	snprintf(text, size,
		 "%s sip:bob@192.0.2.1 SIP/2.0\r\n"
		 "Via: SIP/2.0/UDP 192.0.2.7:5070;branch=%s%s\r\n"
		 "Max-Forwards: 70\r\n"
		 "From: <sip:alice@192.0.2.7>;tag=f\r\n"
		 "To: <sip:bob@192.0.2.1>%s%s\r\n"
		 "Call-ID: s%u\r\n"
		 "CSeq: %u %s\r\n"
		 "Content-Length: 0\r\n\r\n",
		 a->method, a->branch, via_extra, a->to_tag ? ";tag=" : "",
		 a->to_tag ? a->to_tag : "", serial, a->cseq ? a->cseq : 1,
		 a->cseq_method ? a->cseq_method : a->method);
}

static struct arrival came_on(struct port *port)
{
	struct arrival from = { .port = port };

	assert_int_equal(sa_set_str(&from.src, "192.0.2.7", 5070), 0);
	from.conn = port == tcp ? 42 : 0;

	return from;
}

static enum transactions_verdict take(struct port *port, const struct ask *a)
{
	const struct arrival from = came_on(port);
	enum transactions_verdict verdict;
	struct message *msg;
	char text[1024];

	ask_text(text, sizeof(text), a, "");
	msg = scan(text);
	verdict = transactions_take(all, &from, msg);
	mem_deref(msg);

	return verdict;
}

static bool glances(struct port *port, const char *text)
{
	const struct arrival from = came_on(port);
	struct mbuf *mb = bytes(text);
	bool matched = transactions_match(all, &from, mb);

	mem_deref(mb);

	return matched;
}

static int open_server(struct port *port, const struct ask *a)
{
	const struct arrival from = came_on(port);
	struct message *msg;
	char text[1024];
	int err;

	ask_text(text, sizeof(text), a, "");
	msg = scan(text);
	assert_int_equal(transactions_take(all, &from, msg), NEW_REQUEST);
	err = transaction_open(&user.t, all, &from, msg, hears, &user);
	mem_deref(msg);

	return err;
}

static const struct ask INVITE_1 = { "INVITE", "z9hG4bKs1", NULL, NULL, 0 };
static const struct ask ACK_1 = { "ACK", "z9hG4bKs1", "ours", NULL, 0 };
static const struct ask CANCEL_1 = { "CANCEL", "z9hG4bKs1", NULL, NULL, 0 };
static const struct ask OPTIONS_1 = { "OPTIONS", "z9hG4bKs1", NULL, NULL, 0 };

/* ---- Tables ---- */

static const uint8_t first_state[KINDS] = { CALLING, TRYING, PROCEEDING,
					    TRYING };

static void each_pair_has_one_rule_and_each_state_an_end(void **s)
{
	size_t k;
	(void)s;

	for (k = 0; k < KINDS; ++k) {
		const struct rule *r, *q;
		bool reached[STATES] = { [0] = false }, ends[STATES] = { 0 };
		int round, st;

		reached[first_state[k]] = true;
		ends[DONE] = true;
		for (r = machines[k].rules; r->on; ++r) {
			for (q = r + 1; q->on; ++q)
				assert_false(q->in == r->in && q->on == r->on);
			assert_true(r->in != DONE);
			assert_non_null(machines[k].events[r->on]);
			assert_non_null(machines[k].states[r->in]);
			assert_non_null(machines[k].states[r->to]);
		}
		for (round = 0; round < STATES; ++round) {
			for (r = machines[k].rules; r->on; ++r) {
				reached[r->to] |= reached[r->in];
				ends[r->in] |= ends[r->to];
			}
		}
		assert_true(reached[DONE]);
		for (r = machines[k].rules; r->on; ++r)
			assert_true(reached[r->in]);
		for (st = 0; st < STATES; ++st)
			assert_true(!reached[st] || ends[st]);
		/* no state may be left by messages only: a timer must do */
		for (r = machines[k].rules; r->on; ++r) {
			for (q = machines[k].rules; q->on; ++q) {
				if (q->in == r->in && q->on == EXPIRE)
					break;
			}
			assert_true(q->on);
		}
	}
}

/* ---- INVITE client ---- */

static void invite_is_sent_seven_times_then_times_out(void **s)
{
	static const uint64_t at[] = { 500, 1500, 3500, 7500, 15500, 31500 };
	uint64_t passed = 0;
	size_t i;
	(void)s;

	send_to(udp, "INVITE");
	assert_int_equal(fake_sent_count(), 1);
	for (i = 0; i < 6; ++i) {
		pass(at[i] - passed - 1);
		assert_int_equal(fake_sent_count(), i + 1);
		pass(1);
		assert_int_equal(fake_sent_count(), i + 2);
		passed = at[i];
	}
	pass(499);
	assert_int_equal(user.n, 0);
	pass(1);
	assert_int_equal(user.n, 1);
	assert_int_equal(user.told[0], TIMEOUT);
	assert_int_equal(fake_sent_count(), 7);
	expect_none_left();
}

static void invite_on_tcp_is_sent_once_and_times_out(void **s)
{
	(void)s;

	send_to(tcp, "INVITE");
	pass(32000);
	assert_int_equal(fake_sent_count(), 1);
	assert_int_equal(user.told[0], TIMEOUT);
	expect_none_left();
}

static void provisional_ends_repetition_and_ringing_has_no_limit(void **s)
{
	(void)s;

	send_to(udp, "INVITE");
	answer(180, "INVITE", "x", MATCHED);
	answer(183, "INVITE", "y", MATCHED);
	pass(600000);
	assert_int_equal(fake_sent_count(), 1);
	assert_int_equal(user.n, 2);
	assert_int_equal(user.told[1], PROVISIONAL);
	assert_int_equal(user.codes[1], 183);
	answer(200, "INVITE", "x", MATCHED);
	assert_int_equal(user.told[2], FINAL);
	assert_int_equal(fake_sent_count(), 1); /* the ACK is the dialog's */
}

static void ringing_without_a_user_ends_by_itself(void **s)
{
	(void)s;

	send_to(udp, "INVITE");
	answer(180, "INVITE", "x", MATCHED);
	user.t = mem_deref(user.t);
	pass(32000);
	expect_none_left();
	assert_int_equal(user.n, 1);
}

static void each_2xx_of_a_fork_is_told_for_64_t1(void **s)
{
	(void)s;

	send_to(udp, "INVITE");
	answer(200, "INVITE", "x", MATCHED);
	answer(200, "INVITE", "y", MATCHED);
	pass(31999);
	answer(200, "INVITE", "x", MATCHED);
	assert_int_equal(user.n, 3);
	answer(486, "INVITE", "z", MATCHED); /* absorbed */
	assert_int_equal(user.n, 3);
	pass(1);
	answer(200, "INVITE", "x", STRAY);
	assert_int_equal(user.n, 3);
	expect_none_left();
}

static void failure_is_acked_each_time_and_told_once(void **s)
{
	size_t i;
	(void)s;

	send_to(udp, "INVITE");
	fake_sent_clear();
	answer(486, "INVITE", "busy", MATCHED);
	answer(486, "INVITE", "busy", MATCHED);
	assert_int_equal(fake_sent_count(), 2);
	for (i = 0; i < 2; ++i) {
		assert_true(fake_sent_begins(
			i, "ACK sip:bob@192.0.2.9 SIP/2.0\r\n"));
		assert_true(fake_sent_has(i, branch));
		assert_true(fake_sent_has(i, "To: <sip:bob@192.0.2.9>;"
					     "tag=busy\r\n"));
		assert_true(fake_sent_has(i, "CSeq: 7 ACK\r\n"));
		assert_true(fake_sent_has(i, "Route: <sip:192.0.2.8;lr>\r\n"));
	}
	assert_int_equal(user.n, 1);
	assert_int_equal(user.codes[0], 486);
	pass(32000);
	expect_none_left();
}

static void failure_on_tcp_leaves_nothing_behind(void **s)
{
	(void)s;

	send_to(tcp, "INVITE");
	answer(486, "INVITE", "busy", MATCHED);
	assert_int_equal(fake_sent_count(), 2);
	expect_none_left();
	/* the connection that was used is known for the next request */
	assert_int_equal(transaction_target(user.t)->conn, 77);
}

static void cancel_waits_for_a_provisional_answer(void **s)
{
	struct pl reason = PL("SIP;cause=200");
	(void)s;

	send_to(udp, "INVITE");
	assert_int_equal(transaction_cancel(user.t, &reason), 0);
	assert_int_equal(fake_sent_count(), 1);
	answer(100, "INVITE", "x", MATCHED);
	assert_int_equal(fake_sent_count(), 2);
	assert_true(fake_sent_begins(1, "CANCEL sip:bob@192.0.2.9 SIP/2.0"));
	assert_true(fake_sent_has(1, "Reason: SIP;cause=200\r\n"));
	assert_true(fake_sent_has(1, branch));
	assert_int_equal(transaction_cancel(user.t, NULL), 0); /* once */
	assert_int_equal(fake_sent_count(), 2);

	answer(200, "CANCEL", "x", MATCHED); /* absorbed */
	assert_int_equal(user.n, 1);
	answer(487, "INVITE", "x", MATCHED);
	assert_int_equal(user.n, 2);
	assert_int_equal(user.codes[1], 487);
	assert_true(fake_sent_begins(2, "ACK"));
	assert_int_equal(transaction_cancel(user.t, NULL), EALREADY);
	pass(32000);
	expect_none_left();
}

static void cancel_is_repeated_and_times_out_without_a_word(void **s)
{
	(void)s;

	send_to(udp, "INVITE");
	answer(180, "INVITE", "x", MATCHED);
	fake_sent_clear();
	assert_int_equal(transaction_cancel(user.t, NULL), 0);
	pass(32000);
	/* E: 0, 0.5, 1.5, 3.5, then each 4 s */
	assert_int_equal(fake_sent_count(), 11);
	assert_int_equal(user.n, 2);
	assert_int_equal(user.told[1], TIMEOUT);

	/* RFC 3261 9.1: the 2xx that comes after all is not lost */
	pass(1000);
	answer(200, "INVITE", "x", MATCHED);
	assert_int_equal(user.told[2], FINAL);
	pass(32000);
	expect_none_left();
}

static void a_2xx_that_crosses_cancel_is_told(void **s)
{
	(void)s;

	send_to(udp, "INVITE");
	answer(180, "INVITE", "x", MATCHED);
	assert_int_equal(transaction_cancel(user.t, NULL), 0);
	answer(200, "INVITE", "x", MATCHED);
	answer(481, "CANCEL", "x", MATCHED);
	assert_int_equal(user.n, 2);
	assert_int_equal(user.codes[1], 200);
}

static void cancel_before_any_answer_leaves_timer_b(void **s)
{
	(void)s;

	send_to(udp, "INVITE");
	assert_int_equal(transaction_cancel(user.t, NULL), 0);
	pass(32000);
	assert_int_equal(fake_sent_count(), 7);
	assert_int_equal(user.n, 1);
	assert_int_equal(user.told[0], TIMEOUT);
	expect_none_left();
}

/* ---- Other clients ---- */

static void request_is_repeated_up_to_t2_then_times_out(void **s)
{
	(void)s;

	send_to(udp, "OPTIONS");
	pass(31999);
	/* 0, 0.5, 1.5, 3.5, 7.5 ... 31.5 s: RFC 3261 17.1.2.1 */
	assert_int_equal(fake_sent_count(), 11);
	assert_int_equal(user.n, 0);
	pass(1);
	assert_int_equal(user.told[0], TIMEOUT);
	expect_none_left();
}

static void request_with_provisional_is_repeated_each_t2(void **s)
{
	(void)s;

	send_to(udp, "OPTIONS");
	answer(100, "OPTIONS", "x", MATCHED);
	pass(3999);
	assert_int_equal(fake_sent_count(), 1);
	pass(1);
	assert_int_equal(fake_sent_count(), 2);
	pass(28000);
	assert_int_equal(user.n, 2);
	assert_int_equal(user.told[1], TIMEOUT);
	expect_none_left();
}

static void answer_is_told_once_and_absorbed_for_t4(void **s)
{
	(void)s;

	send_to(udp, "OPTIONS");
	answer(200, "OPTIONS", "x", MATCHED);
	answer(200, "OPTIONS", "x", MATCHED);
	answer(200, "INVITE", "x", STRAY); /* another method */
	assert_int_equal(user.n, 1);
	assert_int_equal(user.told[0], FINAL);
	pass(5000);
	answer(200, "OPTIONS", "x", STRAY);
	expect_none_left();
}

static void expire_of_a_request_is_its_own(void **s)
{
	struct request_setup rs = { .port = udp,
				    .branch = "z9hG4bKown",
				    .method = INVITE,
				    .expire = 3000 };
	(void)s;

	assert_int_equal(sa_set_str(&rs.to.dst, "192.0.2.9", 5060), 0);
	rs.mb = bytes("INVITE sip:x SIP/2.0\r\n\r\n");
	assert_int_equal(transaction_send(&user.t, all, &rs, hears, &user), 0);
	mem_deref(rs.mb);
	pass(2999);
	assert_int_equal(user.n, 0);
	pass(1);
	assert_int_equal(user.told[0], TIMEOUT);
	expect_none_left();
}

static void a_send_that_fails_at_once_gives_no_transaction(void **s)
{
	struct request_setup rs = { .port = udp,
				    .branch = "z9hG4bKf",
				    .method = OPTIONS };
	struct transaction *t = NULL;
	(void)s;

	fake_port_fail(ENETUNREACH);
	rs.mb = bytes("OPTIONS sip:x SIP/2.0\r\n\r\n");
	assert_int_equal(transaction_send(&t, all, &rs, hears, &user),
			 ENETUNREACH);
	assert_int_equal(mem_nrefs(rs.mb), 1);
	mem_deref(rs.mb);
	assert_null(t);
	assert_int_equal(user.n, 0);
	expect_none_left();
}

static void a_send_that_fails_later_is_broken(void **s)
{
	static const char *const methods[] = { "INVITE", "OPTIONS" };
	size_t i;
	(void)s;

	for (i = 0; i < 2; ++i) {
		memset(&user, 0, sizeof(user));
		fake_port_hold(true);
		send_to(tcp, methods[i]);
		fake_port_settle(ECONNREFUSED, 0);
		assert_int_equal(user.n, 1);
		assert_int_equal(user.told[0], BROKEN);
		expect_none_left();
		user.t = transaction_forget(user.t);
	}
}

static void an_outcome_may_come_after_the_end(void **s)
{
	(void)s;

	fake_port_hold(true);
	send_to(udp, "OPTIONS");
	user.t = mem_deref(user.t);
	answer(200, "OPTIONS", "x", MATCHED);
	pass(5000);
	expect_none_left();
	fake_port_settle(ECONNREFUSED, 0); /* frees it: ASan looks on */
	assert_int_equal(user.n, 0);
}

static void icmp_breaks_only_whose_branch_came_back(void **s)
{
	char quote[256];
	struct sa dst;
	(void)s;

	assert_int_equal(sa_set_str(&dst, "192.0.2.9", 5060), 0);
	port_refused_handler(udp, transactions_refused, all);
	send_to(udp, "INVITE");

	fake_port_refuse(udp, &dst,
			 "INVITE sip:bob@192.0.2.9 SIP/2.0\r\n"
			 "Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKguess\r\n"
			 "M",
			 ECONNREFUSED);
	snprintf(quote, sizeof(quote),
		 "INVITE sip:bob@192.0.2.9 SIP/2.0\r\n"
		 "Via: SIP/2.0/UDP 192.0.2.1:5060;branch=%s",
		 branch); /* cut off: the branch may go on */
	fake_port_refuse(udp, &dst, quote, ECONNREFUSED);
	assert_int_equal(user.n, 0);

	strcat(quote, ";rport\r\nMax");
	fake_port_refuse(udp, &dst, quote, ECONNREFUSED);
	assert_int_equal(user.n, 1);
	assert_int_equal(user.told[0], BROKEN);
	expect_none_left();
}

static void icmp_after_an_answer_is_about_something_else(void **s)
{
	char quote[256];
	struct sa dst;
	(void)s;

	sa_init(&dst, AF_INET);
	port_refused_handler(udp, transactions_refused, all);
	send_to(udp, "INVITE");
	answer(180, "INVITE", "x", MATCHED);
	snprintf(quote, sizeof(quote),
		 "INVITE sip:bob@192.0.2.9 SIP/2.0\r\n"
		 "Via: SIP/2.0/UDP 192.0.2.1:5060;branch=%s;rport\r\nM",
		 branch);
	fake_port_refuse(udp, &dst, quote, ECONNREFUSED);
	assert_int_equal(user.n, 1);
}

/* ---- Requests too long for a datagram, RFC 3261 18.1.1 ---- */

/* Whatever is sent now is too long for UDP */
static void everything_is_large(void)
{
	port_close(tcp);
	tcp = fake_port("192.0.2.1", 5062, TRANSPORT_TCP);
	port_beside_set(udp, tcp, 1);
}

static void a_large_request_goes_by_tcp_with_a_via_of_its_own(void **s)
{
	char via[160];
	size_t i;
	(void)s;

	send_to(udp, "OPTIONS");
	answer(200, "OPTIONS", "x", MATCHED);
	user.t = transaction_forget(user.t);
	everything_is_large();
	send_to(udp, "OPTIONS");
	assert_int_equal(fake_sent_count(), 2);
	assert_ptr_equal(fake_sent_last()->port, tcp);
	assert_int_equal(fake_sent_last()->to.transport, TRANSPORT_TCP);
	snprintf(via, sizeof(via),
		 "OPTIONS sip:bob@192.0.2.9 SIP/2.0\r\n"
		 "Via: SIP/2.0/TCP 192.0.2.1:5062;branch=%s\r\n"
		 "Max-Forwards: 70\r\n",
		 branch);
	assert_true(fake_sent_begins(1, via));
	assert_true(fake_sent_has(1, "\r\nContent-Length: 0\r\n\r\n"));
	/* Who asks for its target is told that of UDP: a retry begins there */
	assert_int_equal(transaction_target(user.t)->transport, TRANSPORT_UDP);
	for (i = 0; i < 8; ++i)
		pass(500);
	assert_int_equal(fake_sent_count(), 2); /* no timer E */
	answer(200, "OPTIONS", "x", MATCHED);
	assert_int_equal(user.told[user.n - 1], FINAL);
	user.t = transaction_forget(user.t);
	fake_sent_clear();
}

static void length_is_counted_from_above_the_limit_on(void **s)
{
	size_t length;
	(void)s;

	send_to(udp, "OPTIONS");
	length = mbuf_get_left(fake_sent_last()->mb);
	user.t = transaction_forget(user.t);
	port_beside_set(udp, tcp, (uint32_t)length);
	send_to(udp, "OPTIONS");
	assert_ptr_equal(fake_sent_last()->port, udp);
	user.t = transaction_forget(user.t);
	port_beside_set(udp, tcp, (uint32_t)length - 1);
	send_to(udp, "OPTIONS");
	assert_ptr_equal(fake_sent_last()->port, tcp);
	user.t = transaction_forget(user.t);
	port_beside_set(udp, tcp, 0); /* never */
	send_to(udp, "OPTIONS");
	assert_ptr_equal(fake_sent_last()->port, udp);
}

static void what_tcp_refuses_leaves_by_udp_within_the_same_transaction(void **s)
{
	static const char *const methods[] = { "INVITE", "OPTIONS" };
	size_t i;
	(void)s;

	everything_is_large();
	for (i = 0; i < 2; ++i) {
		memset(&user, 0, sizeof(user));
		fake_sent_clear();
		fake_port_hold(true);
		send_to(udp, methods[i]);
		fake_port_hold(false);
		pass(100);
		fake_port_settle(ECONNREFUSED, 0);
		assert_int_equal(user.n, 0);
		assert_int_equal(fake_sent_count(), 2);
		assert_ptr_equal(fake_sent(1)->port, udp);
		assert_true(fake_sent_has(1, "\r\nVia: SIP/2.0/UDP 192.0.2.1"));
		pass(500);
		assert_int_equal(fake_sent_count(), 3); /* A, E run again */
		/* and the time is that of the first send */
		pass(31399);
		assert_int_equal(user.n, 0);
		pass(1);
		assert_int_equal(user.told[0], TIMEOUT);
		user.t = transaction_forget(user.t);
		expect_none_left();
	}
}

static void a_large_invite_is_cancelled_and_acked_by_tcp(void **s)
{
	(void)s;

	everything_is_large();
	send_to(udp, "INVITE");
	answer(180, "INVITE", "x", MATCHED);
	assert_int_equal(transaction_cancel(user.t, NULL), 0);
	assert_ptr_equal(fake_sent_last()->port, tcp);
	assert_true(fake_sent_begins(1, "CANCEL "));
	assert_true(fake_sent_has(1, "\r\nVia: SIP/2.0/TCP 192.0.2.1:5062;"));
	assert_int_equal(fake_sent_last()->to.conn, 77);
	answer(487, "INVITE", "x", MATCHED);
	assert_ptr_equal(fake_sent_last()->port, tcp);
	assert_true(fake_sent_begins(2, "ACK "));
	assert_int_equal(fake_sent_last()->to.conn, 77);
}

static void what_was_written_to_tcp_never_comes_again_by_udp(void **s)
{
	struct sa dst;
	(void)s;

	everything_is_large();
	send_to(udp, "INVITE");
	port_refused_handler(tcp, transactions_refused, all);
	assert_int_equal(sa_set_str(&dst, "192.0.2.9", 5060), 0);
	pass(32000);
	assert_int_equal(fake_sent_count(), 1);
	assert_int_equal(user.told[0], TIMEOUT);
	expect_none_left();
}

static void an_ack_without_transaction_takes_the_same_ways(void **s)
{
	struct target to = { .transport = TRANSPORT_UDP };
	struct mbuf *mb =
		bytes("ACK sip:bob@192.0.2.9 SIP/2.0\r\n"
		      "Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKa"
		      ";rport\r\nContent-Length: 0\r\n\r\n");
	(void)s;

	assert_int_equal(sa_set_str(&to.dst, "192.0.2.9", 5060), 0);
	assert_int_equal(large_send(udp, &to, mb), 0);
	assert_ptr_equal(fake_sent_last()->port, udp);

	everything_is_large();
	assert_int_equal(large_send(udp, &to, mb), 0);
	assert_ptr_equal(fake_sent_last()->port, tcp);

	fake_port_hold(true);
	assert_int_equal(large_send(udp, &to, mb), 0);
	fake_port_hold(false);
	fake_port_settle(ECONNREFUSED, 0);
	assert_int_equal(fake_sent_count(), 4);
	assert_ptr_equal(fake_sent_last()->port, udp);
	mem_deref(mb);
}

/* ---- INVITE server ---- */

static void invite_gets_100_after_200_ms_and_not_before(void **s)
{
	(void)s;

	assert_int_equal(open_server(udp, &INVITE_1), 0);
	assert_int_equal(take(udp, &INVITE_1), MATCHED);
	pass(199);
	assert_int_equal(fake_sent_count(), 0);
	pass(1);
	assert_int_equal(fake_sent_count(), 1);
	assert_true(fake_sent_begins(0, "SIP/2.0 100 "));
	assert_true(sa_cmp(&fake_sent(0)->to.dst,
			   &transaction_arrival(user.t)->src, SA_ALL));
	assert_int_equal(take(udp, &INVITE_1), MATCHED);
	assert_int_equal(fake_sent_count(), 2);
	assert_true(fake_sent_begins(1, "SIP/2.0 100 "));
}

static void a_user_who_answers_in_time_sends_his_own_100(void **s)
{
	(void)s;

	assert_int_equal(open_server(udp, &INVITE_1), 0);
	reply(user.t, 100, 0);
	reply(user.t, 180, 0);
	pass(100000);
	assert_int_equal(fake_sent_count(), 2);
	assert_int_equal(take(udp, &INVITE_1), MATCHED);
	assert_true(fake_sent_begins(2, "SIP/2.0 180 "));
}

static void invite_whose_user_left_gets_silence(void **s)
{
	(void)s;

	assert_int_equal(open_server(udp, &INVITE_1), 0);
	user.t = mem_deref(user.t);
	pass(200);
	assert_int_equal(fake_sent_count(), 0);
	expect_none_left();
}

static void a_2xx_absorbs_the_invite_and_leaves_the_ack_to_the_dialog(void **s)
{
	(void)s;

	assert_int_equal(open_server(udp, &INVITE_1), 0);
	reply(user.t, 200, 0);
	assert_null(transaction_request(user.t));
	assert_int_equal(take(udp, &INVITE_1), MATCHED);
	assert_int_equal(take(udp, &ACK_1), NEW_ACK);
	pass(31999);
	assert_int_equal(take(udp, &INVITE_1), MATCHED);
	assert_int_equal(fake_sent_count(), 1); /* repeated by sbc/repeat */
	reply(user.t, 500, EALREADY);
	assert_int_equal(user.n, 0);
	pass(1);
	expect_none_left();
}

static void failure_is_repeated_until_its_ack(void **s)
{
	(void)s;

	assert_int_equal(open_server(udp, &INVITE_1), 0);
	reply(user.t, 486, 0);
	pass(500);
	assert_int_equal(fake_sent_count(), 2); /* G */
	assert_int_equal(take(udp, &INVITE_1), MATCHED);
	assert_int_equal(fake_sent_count(), 3);
	assert_true(fake_sent_begins(2, "SIP/2.0 486 "));
	assert_int_equal(take(udp, &ACK_1), MATCHED);
	assert_int_equal(user.n, 1);
	assert_int_equal(user.told[0], ACKED);
	assert_true(user.had_message);
	pass(4999);
	assert_int_equal(take(udp, &ACK_1), MATCHED);
	assert_int_equal(take(udp, &INVITE_1), MATCHED);
	assert_int_equal(fake_sent_count(), 3);
	assert_int_equal(user.n, 1);
	pass(1);
	expect_none_left(); /* I */
	assert_int_equal(take(udp, &ACK_1), NEW_ACK);
}

static void failure_without_ack_times_out(void **s)
{
	(void)s;

	assert_int_equal(open_server(udp, &INVITE_1), 0);
	reply(user.t, 486, 0);
	pass(32000);
	/* G: 0, 0.5, 1.5, 3.5, 7.5 ... 31.5 */
	assert_int_equal(fake_sent_count(), 11);
	assert_int_equal(user.n, 1);
	assert_int_equal(user.told[0], TIMEOUT);
	expect_none_left();
}

static void failure_on_tcp_waits_for_its_ack_in_silence(void **s)
{
	(void)s;

	assert_int_equal(open_server(tcp, &INVITE_1), 0);
	reply(user.t, 486, 0);
	pass(10000);
	assert_int_equal(fake_sent_count(), 1);
	assert_int_equal(fake_sent(0)->to.conn, 42);
	assert_true(fake_sent(0)->to.only);
	assert_int_equal(take(tcp, &ACK_1), MATCHED);
	assert_int_equal(user.told[0], ACKED);
	expect_none_left();
}

static void cancel_is_answered_and_told_once_for_each(void **s)
{
	(void)s;

	user.refuses = true;
	assert_int_equal(open_server(udp, &INVITE_1), 0);
	reply(user.t, 180, 0);
	fake_sent_clear();
	assert_int_equal(take(udp, &CANCEL_1), MATCHED);
	assert_int_equal(fake_sent_count(), 2);
	assert_true(fake_sent_begins(0, "SIP/2.0 200 "));
	assert_true(fake_sent_has(0, "CSeq: 1 CANCEL\r\n"));
	assert_true(fake_sent_has(0, ";tag=ours\r\n")); /* 9.2 */
	assert_true(fake_sent_begins(1, "SIP/2.0 487 "));
	assert_int_equal(user.n, 1);
	assert_int_equal(user.told[0], CANCELLED);

	assert_int_equal(take(udp, &CANCEL_1), MATCHED);
	assert_int_equal(fake_sent_count(), 3);
	assert_int_equal(user.n, 1);
	assert_int_equal(take(udp, &ACK_1), MATCHED);
	assert_int_equal(user.told[1], ACKED);
}

static void cancel_after_a_2xx_is_answered_and_has_no_effect(void **s)
{
	(void)s;

	assert_int_equal(open_server(udp, &INVITE_1), 0);
	reply(user.t, 200, 0);
	assert_int_equal(take(udp, &CANCEL_1), MATCHED);
	assert_true(fake_sent_begins(1, "SIP/2.0 200 "));
	assert_true(fake_sent_has(1, "CANCEL"));
	assert_int_equal(user.n, 0);
}

static void cancel_of_nothing_gets_481_with_the_same_tag_each_time(void **s)
{
	const struct fake_sent *a, *b;
	(void)s;

	assert_int_equal(take(udp, &CANCEL_1), NEW_CANCEL);
	assert_int_equal(take(udp, &CANCEL_1), NEW_CANCEL);
	a = fake_sent(0);
	b = fake_sent(1);
	assert_true(fake_sent_begins(0, "SIP/2.0 481 "));
	assert_int_equal(mbuf_get_left(a->mb), mbuf_get_left(b->mb));
	assert_memory_equal(mbuf_buf(a->mb), mbuf_buf(b->mb),
			    mbuf_get_left(a->mb));
	/* of an OPTIONS it is a CANCEL of nothing, too */
	assert_int_equal(open_server(udp, &OPTIONS_1), 0);
	assert_int_equal(take(udp, &CANCEL_1), NEW_CANCEL);
	assert_int_equal(user.n, 0);
}

/* ---- Other servers ---- */

static void request_is_absorbed_until_answered_then_answered_again(void **s)
{
	(void)s;

	assert_int_equal(open_server(udp, &OPTIONS_1), 0);
	assert_int_equal(take(udp, &OPTIONS_1), MATCHED);
	pass(1000);
	assert_int_equal(fake_sent_count(), 0); /* no 100: RFC 4320 */
	reply(user.t, 200, 0);
	assert_null(transaction_request(user.t));
	assert_int_equal(take(udp, &OPTIONS_1), MATCHED);
	assert_int_equal(fake_sent_count(), 2);
	assert_ptr_equal(fake_sent(0)->mb, fake_sent(1)->mb);
	reply(user.t, 200, EALREADY);
	pass(32000);
	expect_none_left();
	assert_int_equal(user.n, 0);
}

/* With a To tag as a BYE has it, or without one */
static void reply_plain(const struct ask *a, uint16_t code)
{
	struct wire_response r = { .code = code };
	struct mbuf *mb;

	assert_int_equal(open_server(udp, a), 0);
	r.request = transaction_request(user.t);
	r.from = transaction_arrival(user.t);
	assert_int_equal(wire_response(&mb, &r), 0);
	assert_int_equal(transaction_reply_plain(user.t, code, mb), 0);
	mem_deref(mb);
}

static void an_answer_that_its_request_makes_is_made_again_by_each(void **s)
{
	const struct ask bye = { "BYE", "z9hG4bKs1", "ours", NULL, 0 };
	const uint16_t codes[] = { 200, 481 };
	char text[1024];
	(void)s;

	for (size_t i = 0; i < 2; i++) {
		reply_plain(&bye, codes[i]);
		assert_true(transaction_is_silent(user.t)); /* not kept */
		ask_text(text, sizeof(text), &bye, "");
		assert_false(glances(udp, text)); /* it takes a scan */
		for (size_t n = 1; n < 4; n++) {
			const struct mbuf *first = fake_sent(0)->mb, *again;

			assert_int_equal(take(udp, &bye), MATCHED);
			assert_int_equal(fake_sent_count(), n + 1);
			again = fake_sent(n)->mb;
			assert_int_equal(again->end, first->end);
			assert_memory_equal(again->buf, first->buf, first->end);
			assert_true(sa_cmp(&fake_sent(n)->to.dst,
					   &fake_sent(0)->to.dst, SA_ALL));
			assert_true(transaction_is_silent(user.t));
		}
		reply(user.t, 200, EALREADY);
		user.t = transaction_forget(user.t);
		pass(32000);
		expect_none_left();
		fake_sent_clear();
	}
}

static void an_answer_with_a_tag_of_its_own_is_kept(void **s)
{
	(void)s;

	reply_plain(&OPTIONS_1, 405);
	assert_false(transaction_is_silent(user.t));
	assert_int_equal(take(udp, &OPTIONS_1), MATCHED);
	assert_ptr_equal(fake_sent(0)->mb, fake_sent(1)->mb);
}

static void request_on_tcp_leaves_nothing_behind(void **s)
{
	(void)s;

	assert_int_equal(open_server(tcp, &OPTIONS_1), 0);
	reply(user.t, 200, 0);
	expect_none_left();
}

static void request_is_kept_while_its_user_thinks(void **s)
{
	(void)s;

	assert_int_equal(open_server(udp, &OPTIONS_1), 0);
	pass(100000);
	assert_int_equal(take(udp, &OPTIONS_1), MATCHED);
	assert_non_null(transaction_request(user.t));
	user.t = transaction_forget(user.t);
	pass(32000);
	expect_none_left();
}

static void an_answer_that_cannot_be_sent_is_an_error(void **s)
{
	struct mbuf *mb = bytes("SIP/2.0 486 Busy\r\n\r\n");
	(void)s;

	assert_int_equal(open_server(tcp, &INVITE_1), 0);
	fake_port_fail(ENOTCONN);
	assert_int_equal(transaction_reply(user.t, 486, mb), ENOTCONN);
	mem_deref(mb);
	assert_int_equal(user.n, 0);
	pass(32000);
	expect_none_left();
}

/* ---- Keys ---- */

static void merged_requests_are_recognised_without_to_tag_only(void **s)
{
	static const struct {
		struct ask ask;
		int err;
	} rows[] = {
		{ { "INVITE", "z9hG4bKs2", NULL, NULL, 0 }, EEXIST },
		{ { "INVITE", "z9hG4bKs2", NULL, NULL, 2 }, 0 },
		{ { "OPTIONS", "z9hG4bKs3", NULL, NULL, 0 }, 0 },
		{ { "INVITE", "z9hG4bKs4", "tag", NULL, 0 }, 0 },
	};
	const struct ask again = { "INVITE", "z9hG4bKs5", NULL, NULL, 0 };
	size_t i;
	(void)s;

	assert_int_equal(open_server(udp, &INVITE_1), 0);
	for (i = 0; i < sizeof(rows) / sizeof(*rows); ++i) {
		struct transaction *first = user.t;

		user.t = NULL;
		assert_int_equal(open_server(udp, &rows[i].ask), rows[i].err);
		user.t = transaction_forget(user.t);
		user.t = first;
	}
	/* also while only the remainder is there, and not beyond */
	reply(user.t, 486, 0);
	user.t = transaction_forget(user.t);
	assert_int_equal(open_server(udp, &again), EEXIST);
	/* it is answered as any other, and each time alike */
	reply(user.t, 482, 0);
	user.t = transaction_forget(user.t);
	pass(64000);
	assert_int_equal(open_server(udp, &rows[0].ask), 0);
}

static void a_branch_used_twice_is_told_apart_by_cseq(void **s)
{
	const struct ask second = { "INVITE", "z9hG4bKs1", NULL, NULL, 2 };
	(void)s;

	assert_int_equal(open_server(udp, &INVITE_1), 0);
	reply(user.t, 407, 0);
	user.t = transaction_forget(user.t);
	assert_int_equal(open_server(udp, &second), 0);
}

static void clients_of_rfc_2543_are_known_by_all_that_names_them(void **s)
{
	const struct ask invite = { "INVITE", "old", NULL, NULL, 0 };
	const struct ask ack = { "ACK", "old", "ours", NULL, 0 };
	const struct ask other = { "INVITE", "old2", NULL, NULL, 0 };
	const struct ask cancel = { "CANCEL", "old", NULL, NULL, 0 };
	char text[1024];
	(void)s;

	assert_int_equal(open_server(udp, &invite), 0);
	assert_int_equal(take(udp, &invite), MATCHED);
	assert_int_equal(take(udp, &other), NEW_REQUEST);
	assert_int_equal(take(udp, &cancel), MATCHED);
	assert_int_equal(user.told[0], CANCELLED);
	ask_text(text, sizeof(text), &invite, "");
	assert_false(glances(udp, text)); /* left to the scan */
	reply(user.t, 487, 0);
	assert_int_equal(take(udp, &ack), MATCHED);
	assert_int_equal(user.told[1], ACKED);
}

/* ---- The glance ---- */

static void a_glance_takes_repetitions_and_nothing_else(void **s)
{
	const struct ask bye = { "BYE", "z9hG4bKs1", NULL, NULL, 0 };
	const struct ask other = { "INVITE", "z9hG4bKs9", NULL, NULL, 0 };
	const struct ask later = { "INVITE", "z9hG4bKs1", NULL, NULL, 2 };
	const struct ask wrong = { "INVITE", "z9hG4bKs1", NULL, "BYE", 0 };
	char text[1024];
	(void)s;

	assert_int_equal(open_server(udp, &INVITE_1), 0);
	ask_text(text, sizeof(text), &INVITE_1, "");
	assert_true(glances(udp, text));
	assert_int_equal(fake_sent_count(), 0);
	reply(user.t, 180, 0);
	assert_true(glances(udp, text));
	assert_int_equal(fake_sent_count(), 2);

	ask_text(text, sizeof(text), &INVITE_1, ";received=1.2.3.4;rport");
	assert_true(glances(udp, text));
	ask_text(text, sizeof(text), &INVITE_1, ",SIP/2.0/UDP b;branch=c");
	assert_true(glances(udp, text));

	ask_text(text, sizeof(text), &bye, "");
	assert_false(glances(udp, text));
	ask_text(text, sizeof(text), &other, "");
	assert_false(glances(udp, text));
	ask_text(text, sizeof(text), &later, "");
	assert_false(glances(udp, text));
	ask_text(text, sizeof(text), &wrong, "");
	assert_false(glances(udp, text));
	ask_text(text, sizeof(text), &CANCEL_1, "");
	assert_false(glances(udp, text));
}

static void a_glance_is_due_for_32_s_behind_each_request_that_came_again(
	void **s)
{
	char text[1024];
	(void)s;

	assert_false(transactions_repeat(all));
	assert_int_equal(open_server(udp, &INVITE_1), 0);
	assert_false(transactions_repeat(all));
	assert_int_equal(take(udp, &INVITE_1), MATCHED);
	assert_true(transactions_repeat(all));
	pass(31999);
	assert_true(transactions_repeat(all));
	ask_text(text, sizeof(text), &INVITE_1, "");
	assert_true(glances(udp, text));
	pass(31999);
	assert_true(transactions_repeat(all));
	pass(1);
	assert_false(transactions_repeat(all));
}

static void a_glance_leaves_odd_forms_to_the_scan(void **s)
{
	static const char *const odd[] = {
		"",
		"\r\n",
		"INVITE",
		"INVITE sip:bob@192.0.2.1 SIP/2.0\r\n",
		/* folded Via */
		"INVITE sip:b SIP/2.0\r\n"
		"Via: SIP/2.0/UDP 192.0.2.7:5070\r\n ;branch=z9hG4bKs1\r\n"
		"CSeq: 1 INVITE\r\n\r\n",
		/* another header first */
		"INVITE sip:b SIP/2.0\r\nMax-Forwards: 70\r\n"
		"Via: SIP/2.0/UDP 192.0.2.7:5070;branch=z9hG4bKs1\r\n"
		"CSeq: 1 INVITE\r\n\r\n",
		/* no CSeq; CSeq behind the headers */
		"INVITE sip:b SIP/2.0\r\n"
		"Via: SIP/2.0/UDP 192.0.2.7:5070;branch=z9hG4bKs1\r\n"
		"\r\nCSeq: 1 INVITE\r\n\r\n",
		/* folded CSeq */
		"INVITE sip:b SIP/2.0\r\n"
		"Via: SIP/2.0/UDP 192.0.2.7:5070;branch=z9hG4bKs1\r\n"
		"CSeq: 1\r\n INVITE\r\n\r\n",
		/* bare LF */
		"INVITE sip:b SIP/2.0\n"
		"Via: SIP/2.0/UDP 192.0.2.7:5070;branch=z9hG4bKs1\r\n"
		"CSeq: 1 INVITE\r\n\r\n",
		/* a response, another version */
		"SIP/2.0 200 OK\r\n"
		"Via: SIP/2.0/UDP 192.0.2.7:5070;branch=z9hG4bKs1\r\n"
		"CSeq: 1 INVITE\r\n\r\n",
		"INVITE sip:b SIP/3.0\r\n"
		"Via: SIP/2.0/UDP 192.0.2.7:5070;branch=z9hG4bKs1\r\n"
		"CSeq: 1 INVITE\r\n\r\n",
	};
	size_t i;
	(void)s;

	assert_int_equal(open_server(udp, &INVITE_1), 0);
	for (i = 0; i < sizeof(odd) / sizeof(*odd); ++i)
		assert_false(glances(udp, odd[i]));
}

static void a_glance_absorbs_the_ack_nobody_waits_for(void **s)
{
	char text[1024];
	(void)s;

	assert_int_equal(open_server(udp, &INVITE_1), 0);
	reply(user.t, 486, 0);
	ask_text(text, sizeof(text), &ACK_1, "");
	assert_false(glances(udp, text)); /* the user is told, by the scan */
	user.t = transaction_forget(user.t);
	assert_true(glances(udp, text));
	assert_true(glances(udp, text));
	pass(5000);
	expect_none_left();
}

static void a_message_without_its_body_is_refused_and_not_served(void **s)
{
	static const struct {
		const char *method;
		enum transactions_verdict verdict;
		size_t sent;
	} rows[] = {
		{ "INVITE", MATCHED, 1 },
		{ "CANCEL", MATCHED, 1 },
		{ "ACK", MATCHED, 0 },
	};
	struct arrival from = came_on(tcp);
	struct message *msg;
	char text[1024];
	size_t i;
	(void)s;

	from.refuse = 513;
	for (i = 0; i < sizeof(rows) / sizeof(*rows); ++i) {
		const struct ask a = { .method = rows[i].method,
				       .branch = "z9hG4bKs1" };

		fake_sent_clear();
		ask_text(text, sizeof(text), &a, "");
		msg = scan(text);
		assert_int_equal(transactions_take(all, &from, msg),
				 rows[i].verdict);
		mem_deref(msg);
		assert_int_equal(fake_sent_count(), rows[i].sent);
		assert_int_equal(fake_sent_begins(0, "SIP/2.0 513 "),
				 rows[i].sent == 1);
	}

	send_to(udp, "INVITE");
	snprintf(text, sizeof(text),
		 "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP a;branch=%s\r\n"
		 "From: <sip:a@b>;tag=a\r\nTo: <sip:b@c>;tag=x\r\n"
		 "Call-ID: c\r\nCSeq: 7 INVITE\r\n\r\n",
		 branch);
	msg = scan(text);
	assert_int_equal(transactions_take(all, &from, msg), STRAY);
	mem_deref(msg);
	assert_int_equal(user.n, 0);
}

/* ---- References ---- */

static void a_user_may_let_go_within_each_event(void **s)
{
	static const uint16_t codes[] = { 180, 200, 486 };
	size_t way, i;
	(void)s;

	for (way = 0; way < 2; ++way) {
		for (i = 0; i < 3; ++i) {
			memset(&user, 0, sizeof(user));
			user.forgets = way == 0;
			user.lets_go = way == 1;
			send_to(i % 2 ? tcp : udp, "INVITE");
			answer(codes[i], "INVITE", "x", MATCHED);
			assert_null(user.t);
			answer(200, "INVITE", "y",
			       codes[i] == 486 && i % 2 ? STRAY : MATCHED);
			pass(64000);
			assert_int_equal(user.n, 1);
			expect_none_left();
		}
		memset(&user, 0, sizeof(user));
		user.forgets = way == 0;
		user.lets_go = way == 1;
		user.refuses = true;
		assert_int_equal(open_server(udp, &INVITE_1), 0);
		assert_int_equal(take(udp, &CANCEL_1), MATCHED);
		assert_null(user.t);
		assert_int_equal(take(udp, &ACK_1), MATCHED);
		pass(64000);
		assert_int_equal(user.n, 1);
		expect_none_left();
	}
}

static void closing_all_leaves_the_users_what_they_hold(void **s)
{
	struct transaction *t;
	(void)s;

	send_to(udp, "INVITE");
	t = user.t;
	assert_int_equal(open_server(udp, &INVITE_1), 0);
	transactions_close(all);
	assert_int_equal(wheel_count(), 0);
	assert_int_equal(transaction_cancel(t, NULL), EALREADY);
	reply(user.t, 200, EALREADY);
	transaction_forget(t);
	assert_int_equal(transactions_open(&all, &times), 0);
}

static void the_request_is_let_go_with_the_final_answer(void **s)
{
	struct mbuf *mb;
	(void)s;

	send_to(udp, "INVITE");
	mb = mem_ref(fake_sent(0)->mb);
	answer(200, "INVITE", "x", MATCHED);
	fake_sent_clear();
	assert_int_equal(mem_nrefs(mb), 1);
	mem_deref(mb);
}

/* ---- At random ---- */

static uint32_t dice_state;

static uint32_t dice(uint32_t n)
{
	dice_state = dice_state * 1664525u + 1013904223u;

	return (dice_state >> 8) % n;
}

static struct user users[16];

static void one_random_act(void)
{
	static const char *const methods[] = { "INVITE", "OPTIONS", "BYE" };
	static const uint16_t codes[] = { 100, 180, 200, 302, 407, 487, 603 };
	static const char *const asks[] = { "INVITE", "ACK", "CANCEL",
					    "OPTIONS" };
	struct user *u = &users[dice(16)];
	struct port *port = dice(2) ? udp : tcp;
	const struct arrival from = came_on(port);
	char text[1024], b[32];
	struct ask a = { .branch = b };
	struct message *msg;

	switch (dice(8)) {
	case 0:
		if (u->t)
			break;
		u->forgets = dice(4) == 0;
		u->lets_go = dice(4) == 0;
		send_to(port, methods[dice(3)]);
		transaction_handler(user.t, hears, u);
		u->t = user.t;
		user.t = NULL;
		break;

	case 1: {
		unsigned now = serial;
		char old[32];

		if (!serial)
			break;
		memcpy(old, branch, sizeof(old));
		snprintf(branch, sizeof(branch), "z9hG4bKc%u",
			 serial - dice(serial < 16 ? serial : 16));
		snprintf(text, sizeof(text),
			 "SIP/2.0 %u Any\r\n"
			 "Via: SIP/2.0/UDP 192.0.2.1:5060;branch=%s\r\n"
			 "From: <sip:a@b>;tag=a\r\nTo: <sip:b@c>;tag=x%u\r\n"
			 "Call-ID: c\r\nCSeq: 7 %s\r\n"
			 "Content-Length: 0\r\n\r\n",
			 codes[dice(7)], branch, dice(2), methods[dice(3)]);
		msg = scan(text);
		transactions_take(all, &from, msg);
		mem_deref(msg);
		memcpy(branch, old, sizeof(old));
		serial = now;
		break;
	}

	case 2:
		if (u->t && is_client(u->t))
			(void)transaction_cancel(u->t, NULL);
		break;

	case 3:
	case 4:
		a.method = asks[dice(4)];
		snprintf(b, sizeof(b), "z9hG4bKr%u", dice(32));
		a.cseq = 1 + dice(1000);
		ask_text(text, sizeof(text), &a, "");
		if (glances(port, text))
			break;
		msg = scan(text);
		if (transactions_take(all, &from, msg) == NEW_REQUEST &&
		    !u->t) {
			u->refuses = true;
			(void)transaction_open(&u->t, all, &from, msg, hears,
					       u);
		}
		mem_deref(msg);
		break;

	case 5:
		if (u->t && !is_client(u->t) && transaction_request(u->t))
			reply(u->t, codes[dice(7)], 0);
		break;

	case 6:
		u->t = dice(2) ? transaction_forget(u->t) : mem_deref(u->t);
		break;

	case 7:
		fake_port_hold(dice(2));
		fake_port_settle(dice(3) ? 0 : ECONNRESET, 9);
		pass(dice(2) ? dice(500) : dice(20000));
		break;
	}
	u->n = 0;
}

static void nothing_is_left_over_whatever_happened(void **s)
{
	size_t round, i;
	(void)s;

	for (round = 1; round <= 40; ++round) {
		dice_state = (uint32_t)round;
		for (i = 0; i < 1500; ++i) {
			one_random_act();
			if (fake_sent_count() > 60000)
				fake_sent_clear();
		}
		for (i = 0; i < 16; ++i) {
			users[i].n = 0;
			users[i].t = transaction_forget(users[i].t);
		}
		fake_port_hold(false);
		fake_port_settle(0, 9);
		pass(200000);
		expect_none_left();
		fake_sent_clear();
	}
	/* the ports are not held by anybody any more */
	assert_int_equal(mem_nrefs(udp), 1);
	assert_int_equal(mem_nrefs(tcp), 1);
}

/* ---- Rows of the methods ---- */

static struct methods *counted;

struct row_ask {
	const char *event;
	uint16_t code;
	unsigned of[METHOD_SIDES];
};

static void row_find(const struct method_row *row, void *arg)
{
	struct row_ask *ask = arg;

	if (ask->code ? row->code != ask->code
		      : !row->event || strcmp(row->event, ask->event) != 0)
		return;
	for (int s = 0; s < METHOD_SIDES; s++)
		ask->of[s] = (unsigned)row->of[s].total;
}

static void row_is(enum method_id method, const char *event, uint16_t code,
		   unsigned as_server, unsigned as_client)
{
	struct row_ask ask = { .event = event, .code = code };

	methods_walk(counted, method, row_find, &ask);
	assert_int_equal(ask.of[AS_SERVER], as_server);
	assert_int_equal(ask.of[AS_CLIENT], as_client);
}

static void counting(void)
{
	struct transactions_setup with = times;

	assert_int_equal(methods_open(&counted), 0);
	with.methods = counted;
	transactions_change(all, &with);
}

static void requests_of_ours_are_counted_with_their_answers(void **s)
{
	struct method_latency l;
	(void)s;

	counting();
	send_to(udp, "INVITE");
	pass(500); /* timer A */
	answer(100, "INVITE", "x", MATCHED);
	pass(20);
	answer(180, "INVITE", "x", MATCHED);
	answer(486, "INVITE", "x", MATCHED);
	answer(486, "INVITE", "x", MATCHED);
	row_is(INVITE, "Requests", 0, 0, 1);
	row_is(INVITE, "Retransmissions", 0, 0, 1);
	row_is(INVITE, NULL, 100, 0, 1);
	row_is(INVITE, NULL, 180, 0, 1);
	row_is(INVITE, NULL, 486, 0, 1);
	row_is(INVITE, "Response Retrans", 0, 0, 1);
	methods_latency_read(counted, INVITE, &l);
	assert_int_equal(l.n, 1);
	assert_int_equal(l.max, 520); /* to the 180, not to the 100 */
	user.t = transaction_forget(user.t);
	send_to(udp, "OPTIONS");
	pass(64 * 500);
	row_is(OPTIONS, "Requests", 0, 0, 1);
	row_is(OPTIONS, "Transaction Timeouts", 0, 0, 1);
	row_is(OPTIONS, "Retransmissions", 0, 0, 10);
	user.t = transaction_forget(user.t);
	transactions_change(all, &times);
	methods_close(counted);
}

static void requests_of_peers_are_counted_with_our_answers(void **s)
{
	const struct ask invite = { .method = "INVITE", .branch = "z9hG4bKm1" };
	const struct ask cancel = { .method = "CANCEL", .branch = "z9hG4bKm1" };
	const struct ask stray = { .method = "CANCEL", .branch = "z9hG4bKm2" };
	struct arrival from = came_on(udp);
	struct message *msg;
	char text[1024];
	(void)s;

	counting();
	ask_text(text, sizeof(text), &invite, "");
	msg = scan(text);
	assert_int_equal(
		transaction_open(&user.t, all, &from, msg, hears, &user), 0);
	mem_deref(msg);
	pass(200); /* 100 by itself */
	assert_int_equal(take(udp, &invite), MATCHED);
	assert_true(glances(udp, text));
	user.refuses = true;
	assert_int_equal(take(udp, &cancel), MATCHED);
	pass(500); /* timer G */
	assert_int_equal(take(udp, &stray), NEW_CANCEL);
	row_is(INVITE, "Requests", 0, 1, 0);
	row_is(INVITE, "Retransmissions", 0, 2, 0);
	row_is(INVITE, NULL, 100, 1, 0);
	row_is(INVITE, NULL, 487, 1, 0);
	row_is(INVITE, "Response Retrans", 0, 3, 0);
	row_is(CANCEL, "Requests", 0, 2, 0);
	row_is(CANCEL, NULL, 200, 1, 0);
	row_is(CANCEL, NULL, 481, 1, 0);
	user.t = transaction_forget(user.t);
	transactions_change(all, &times);
	methods_close(counted);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_pair_has_one_rule_and_each_state_an_end),
		T(invite_is_sent_seven_times_then_times_out),
		T(invite_on_tcp_is_sent_once_and_times_out),
		T(provisional_ends_repetition_and_ringing_has_no_limit),
		T(ringing_without_a_user_ends_by_itself),
		T(each_2xx_of_a_fork_is_told_for_64_t1),
		T(failure_is_acked_each_time_and_told_once),
		T(failure_on_tcp_leaves_nothing_behind),
		T(cancel_waits_for_a_provisional_answer),
		T(cancel_is_repeated_and_times_out_without_a_word),
		T(a_2xx_that_crosses_cancel_is_told),
		T(cancel_before_any_answer_leaves_timer_b),
		T(request_is_repeated_up_to_t2_then_times_out),
		T(request_with_provisional_is_repeated_each_t2),
		T(answer_is_told_once_and_absorbed_for_t4),
		T(expire_of_a_request_is_its_own),
		T(a_send_that_fails_at_once_gives_no_transaction),
		T(a_send_that_fails_later_is_broken),
		T(an_outcome_may_come_after_the_end),
		T(icmp_breaks_only_whose_branch_came_back),
		T(icmp_after_an_answer_is_about_something_else),
		T(a_large_request_goes_by_tcp_with_a_via_of_its_own),
		T(length_is_counted_from_above_the_limit_on),
		T(what_tcp_refuses_leaves_by_udp_within_the_same_transaction),
		T(a_large_invite_is_cancelled_and_acked_by_tcp),
		T(what_was_written_to_tcp_never_comes_again_by_udp),
		T(an_ack_without_transaction_takes_the_same_ways),
		T(invite_gets_100_after_200_ms_and_not_before),
		T(a_user_who_answers_in_time_sends_his_own_100),
		T(invite_whose_user_left_gets_silence),
		T(a_2xx_absorbs_the_invite_and_leaves_the_ack_to_the_dialog),
		T(failure_is_repeated_until_its_ack),
		T(failure_without_ack_times_out),
		T(failure_on_tcp_waits_for_its_ack_in_silence),
		T(cancel_is_answered_and_told_once_for_each),
		T(cancel_after_a_2xx_is_answered_and_has_no_effect),
		T(cancel_of_nothing_gets_481_with_the_same_tag_each_time),
		T(request_is_absorbed_until_answered_then_answered_again),
		T(an_answer_that_its_request_makes_is_made_again_by_each),
		T(an_answer_with_a_tag_of_its_own_is_kept),
		T(request_on_tcp_leaves_nothing_behind),
		T(request_is_kept_while_its_user_thinks),
		T(an_answer_that_cannot_be_sent_is_an_error),
		T(merged_requests_are_recognised_without_to_tag_only),
		T(a_branch_used_twice_is_told_apart_by_cseq),
		T(clients_of_rfc_2543_are_known_by_all_that_names_them),
		T(a_glance_takes_repetitions_and_nothing_else),
		T(a_glance_is_due_for_32_s_behind_each_request_that_came_again),
		T(a_glance_leaves_odd_forms_to_the_scan),
		T(a_glance_absorbs_the_ack_nobody_waits_for),
		T(a_message_without_its_body_is_refused_and_not_served),
		T(a_user_may_let_go_within_each_event),
		T(closing_all_leaves_the_users_what_they_hold),
		T(the_request_is_let_go_with_the_final_answer),
		T(requests_of_ours_are_counted_with_their_answers),
		T(requests_of_peers_are_counted_with_our_answers),
		T(nothing_is_left_over_whatever_happened),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
