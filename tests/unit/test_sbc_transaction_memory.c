/*
 * Unit tests: transactions while the n-th allocation fails
 *
 * mem_alloc and mem_zalloc stand here before libre's. They fail only within the
 * calls under test, once in each history, for each n until none fails.
 */
#include <dlfcn.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "store/base.h"
#include "sbc/clock.h"
#include "sbc/timer.h"
#include "sbc/transaction.h"
#include "sbc/wire.h"
#include "tests/unit/fake_clock.h"
#include "tests/unit/fake_port.h"

typedef void *(alloc_h)(size_t size, mem_destroy_h *dh);

static bool armed;
static size_t countdown; /* allocations until one fails */
static bool failed;

static bool fails(void)
{
	if (!armed || failed || --countdown)
		return false;

	failed = true;

	return true;
}

static alloc_h *real(const char *name)
{
	alloc_h *h;

	*(void **)&h = dlsym(RTLD_NEXT, name);
	if (!h)
		abort();

	return h;
}

void *mem_alloc(size_t size, mem_destroy_h *dh)
{
	static alloc_h *next;

	if (!next)
		next = real("mem_alloc");

	return fails() ? NULL : next(size, dh);
}

void *mem_zalloc(size_t size, mem_destroy_h *dh)
{
	static alloc_h *next;

	if (!next)
		next = real("mem_zalloc");

	return fails() ? NULL : next(size, dh);
}

static const struct transactions_setup times = { .t1 = 500,
						 .t2 = 4000,
						 .expire = 32000 };
static struct transactions *all;
static struct port *udp;

#define CLIENT                                                                 \
	"INVITE sip:bob@192.0.2.9 SIP/2.0\r\n"                                 \
	"Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKc;rport\r\n"            \
	"From: <sip:a@b>;tag=f\r\nTo: <sip:b@c>\r\nCall-ID: c\r\n"             \
	"CSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n"
#define ANSWER(code)                                                           \
	"SIP/2.0 " code " Any\r\n"                                             \
	"Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKc\r\n"                  \
	"From: <sip:a@b>;tag=f\r\nTo: <sip:b@c>;tag=t\r\nCall-ID: c\r\n"       \
	"CSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n"
#define ASK(method)                                                            \
	method " sip:bob@192.0.2.1 SIP/2.0\r\n"                                \
	       "Via: SIP/2.0/UDP 192.0.2.7:5070;branch=z9hG4bKs\r\n"           \
	       "From: <sip:a@b>;tag=f\r\nTo: <sip:b@c>\r\nCall-ID: s\r\n"      \
	       "CSeq: 1 " method "\r\nContent-Length: 0\r\n\r\n"

static struct mbuf *bytes(const char *text)
{
	struct mbuf *mb = mbuf_alloc(strlen(text));

	if (!mb || mbuf_write_mem(mb, (const uint8_t *)text, strlen(text)))
		abort();
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

static void take(const char *text)
{
	struct message *msg = scan(text);
	struct arrival from = { .port = udp };

	assert_int_equal(sa_set_str(&from.src, "192.0.2.7", 5070), 0);
	armed = true;
	(void)transactions_take(all, &from, msg);
	armed = false;
	mem_deref(msg);
}

static void pass(uint64_t ms)
{
	const uint64_t end = clock_ms() + ms;

	armed = true;
	while (wheel_next() <= end) {
		uint64_t next = wheel_next();

		fake_clock_advance(next > clock_ms() ? next - clock_ms() : 0);
		wheel_turn();
	}
	armed = false;
	fake_clock_advance(end - clock_ms());
}

static size_t told[CANCELLED + 1];

static void hears(struct transaction *t, enum transaction_event ev,
		  const struct message *msg, void *arg)
{
	(void)t;
	(void)msg;
	(void)arg;
	++told[ev];
}

static void a_client_rings_is_cancelled_and_refused(void)
{
	struct request_setup setup = { .port = udp,
				       .branch = "z9hG4bKc",
				       .method = INVITE };
	struct pl reason = PL("SIP;cause=200");
	struct transaction *t = NULL;
	int err;

	assert_int_equal(sa_set_str(&setup.to.dst, "192.0.2.9", 5060), 0);
	setup.mb = bytes(CLIENT);
	armed = true;
	err = transaction_send(&t, all, &setup, hears, NULL);
	armed = false;
	mem_deref(setup.mb);
	if (err) {
		assert_int_equal(err, ENOMEM);
		assert_null(t);
		return;
	}

	armed = true;
	assert_int_equal(transaction_cancel(t, &reason), 0);
	armed = false;
	take(ANSWER("180"));
	take(ANSWER("487"));
	take(ANSWER("487"));
	assert_int_equal(told[FINAL], 1);
	transaction_forget(t);
}

static void a_server_is_asked_cancelled_and_acked(void)
{
	struct arrival from = { .port = udp };
	struct message *msg = scan(ASK("INVITE"));
	struct transaction *t = NULL;
	struct mbuf *mb = bytes("SIP/2.0 487 Over\r\n\r\n");
	int err;

	assert_int_equal(sa_set_str(&from.src, "192.0.2.7", 5070), 0);
	armed = true;
	err = transaction_open(&t, all, &from, msg, hears, NULL);
	armed = false;
	mem_deref(msg);
	if (err) {
		assert_int_equal(err, ENOMEM);
		assert_null(t);
	} else {
		pass(1000);
		take(ASK("CANCEL"));
		assert_int_equal(told[CANCELLED], 1);
		armed = true;
		assert_int_equal(transaction_reply(t, 487, mb), 0);
		armed = false;
		take(ASK("INVITE"));
		transaction_forget(t);
	}
	mem_deref(mb);
}

static void no_missing_memory_leaves_anything_behind(void **s)
{
	static void (*const histories[])(void) = {
		a_client_rings_is_cancelled_and_refused,
		a_server_is_asked_cancelled_and_acked,
	};
	size_t i, n;
	(void)s;

	for (i = 0; i < 2; ++i) {
		for (n = 1, failed = true; failed; ++n) {
			uint32_t alive, remainders;

			failed = false;
			countdown = n;
			memset(told, 0, sizeof(told));
			armed = true;
			if (transactions_open(&all, &times)) {
				armed = false;
				continue;
			}
			armed = false;

			histories[i]();
			pass(200000);
			transactions_count(all, &alive, &remainders);
			assert_int_equal(alive, 0);
			assert_int_equal(remainders, 0);
			assert_int_equal(wheel_count(), 0);
			transactions_close(all);
			fake_sent_clear();
			assert_int_equal(mem_nrefs(udp), 1);
		}
		assert_true(n > 5); /* it did fail, several times */
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_missing_memory_leaves_anything_behind),
	};
	int n;

	if (wheel_open())
		return 1;
	udp = fake_port("192.0.2.1", 5060, TRANSPORT_UDP);
	n = cmocka_run_group_tests(tests, NULL, NULL);
	fake_port_reset();
	port_close(udp);
	wheel_close();

	return n;
}
