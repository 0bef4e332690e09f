/*
 * Fuzz target: whatever a glance takes for a repetition, the scan does, too
 *
 * A server transaction stands in the table. Bytes that transactions_match takes
 * are scanned; if they can be scanned, they must find the same transaction.
 */
#include <stdlib.h>
#include <string.h>
#include "store/base.h"
#include "sbc/timer.h"
#include "sbc/transaction.h"
#include "tests/unit/fake_port.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char invite[] =
	"INVITE sip:b@c SIP/2.0\r\n"
	"Via: SIP/2.0/UDP 192.0.2.7:5070;branch=z9hG4bKs;rport\r\n"
	"From: <sip:a@b>;tag=f\r\nTo: <sip:b@c>\r\nCall-ID: s\r\n"
	"CSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n";

static struct transactions *all;
static struct arrival from;

static struct mbuf *copy(const void *p, size_t n)
{
	struct mbuf *mb = mbuf_alloc(n ? n : 1);

	if (!mb)
		abort();
	memcpy(mb->buf, p, n);
	mb->end = n;

	return mb;
}

static void nothing(struct transaction *t, enum transaction_event ev,
		    const struct message *msg, void *arg)
{
	(void)t;
	(void)ev;
	(void)msg;
	(void)arg;
}

static void begin(void)
{
	static const struct transactions_setup times = { .t1 = 500,
							 .t2 = 4000,
							 .expire = 32000 };
	struct mbuf *mb = copy(invite, strlen(invite));
	struct transaction *t;
	struct scan_result result;
	struct message *msg;

	from.port = fake_port("192.0.2.1", 5060, TRANSPORT_UDP);
	if (wheel_open() || transactions_open(&all, &times) ||
	    sa_set_str(&from.src, "192.0.2.7", 5070) ||
	    message_scan(&msg, mb, &result) ||
	    transaction_open(&t, all, &from, msg, nothing, NULL))
		abort();
	mem_deref(msg);
	mem_deref(mb);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct scan_result result;
	struct message *msg = NULL;
	struct mbuf *mb;

	if (!all)
		begin();

	mb = copy(data, size);
	if (transactions_match(all, &from, mb)) {
		if (!message_scan(&msg, mb, &result) &&
		    transactions_take(all, &from, msg) != MATCHED)
			abort();
	}
	mem_deref(msg);
	mem_deref(mb);
	fake_sent_clear();

	return 0;
}
