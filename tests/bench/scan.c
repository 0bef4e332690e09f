/*
 * What one scan, one write and one rewriting of an SDP cost
 *
 *	scan [count]
 *
 * An INVITE of about 700 bytes, as a PBX sends it. The best of five rounds
 * counts, because others use the machine too. Target: architecture.md 12.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "policy/header.h"
#include "policy/message.h"
#include "policy/sdp.h"

#define SDP                                                                    \
	"v=0\r\no=- 3948571 1 IN IP4 192.0.2.12\r\ns=-\r\n"                    \
	"c=IN IP4 192.0.2.12\r\nt=0 0\r\nm=audio 20000 RTP/AVP 8 0 101\r\n"    \
	"a=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\n"        \
	"a=fmtp:101 0-15\r\na=sendrecv\r\n"

static const char text[] =
	"INVITE sip:0301234@192.0.2.2:5060 SIP/2.0\r\n"
	"Via: SIP/2.0/UDP 192.0.2.12:5060;branch=z9hG4bK-524287-1-8f2;rport\r\n"
	"Max-Forwards: 70\r\n"
	"Contact: <sip:4930100@192.0.2.12:5060>\r\n"
	"To: <sip:0301234@192.0.2.2>\r\n"
	"From: \"Alice\" <sip:4930100@pbx-a.local>;tag=8d3e5f17\r\n"
	"Call-ID: ZTk3YjY0ZGZjNWI4N2QyNzY\r\n"
	"CSeq: 1 INVITE\r\n"
	"Allow: INVITE, ACK, CANCEL, BYE, REFER, NOTIFY, UPDATE\r\n"
	"Supported: timer, 100rel, replaces\r\n"
	"Content-Type: application/sdp\r\n"
	"User-Agent: PBX 1.2.3\r\n"
	"Accept: application/sdp\r\n"
	"P-Early-Media: supported\r\n"
	"Content-Length: 188\r\n"
	"\r\n" SDP;

typedef void(work_h)(void *arg);

struct bench {
	struct mbuf *in, *out;
	struct message *msg;
	struct sdp_rewrite rw;
	struct header_set without;
};

static void check(int err, const char *what)
{
	if (!err)
		return;
	(void)fprintf(stderr, "%s: %s\n", what, strerror(err));
	exit(1);
}

static void scan(void *arg)
{
	struct bench *b = arg;
	struct scan_result result;
	struct message *msg;

	check(message_scan(&msg, b->in, &result), "scan");
	mem_deref(msg);
}

static void write_all(void *arg)
{
	struct bench *b = arg;

	b->out->pos = b->out->end = 0;
	check(message_write(b->out, b->msg), "write");
}

static void write_headers(void *arg)
{
	struct bench *b = arg;

	b->out->pos = b->out->end = 0;
	check(message_write_headers(b->out, b->msg, b->without), "headers");
}

static void clone_and_edit(void *arg)
{
	const struct pl value = { "<sip:4930100@a.trunk.example>", 29 };
	struct bench *b = arg;
	struct message *msg;

	check(message_clone(&msg, b->msg), "clone");
	check(message_set(msg, HDR_P_ASSERTED_IDENTITY, &value), "set");
	mem_deref(msg);
}

static void sdp(void *arg)
{
	const struct pl body = { SDP, sizeof(SDP) - 1 };
	struct bench *b = arg;
	struct sdp read;

	b->out->pos = b->out->end = 0;
	check(sdp_read(&read, &body), "sdp");
	check(sdp_write(b->out, &body, &read, &b->rw), "sdp");
}

static double seconds(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

static void run(const char *name, work_h *work, struct bench *b, long count)
{
	double best = 1e9, t;
	long i, k;

	for (k = 0; k < 5; ++k) {
		t = seconds();
		for (i = 0; i < count; ++i)
			work(b);
		t = seconds() - t;
		if (t < best)
			best = t;
	}

	(void)printf("%-28s %8.0f ns\n", name, best * 1e9 / (double)count);
}

int main(int argc, char **argv)
{
	const long count = argc > 1 ? strtol(argv[1], NULL, 10) : 200000;
	struct scan_result result;
	struct bench b = { .in = mbuf_alloc(2048), .out = mbuf_alloc(2048) };

	if (!b.in || !b.out || count < 1)
		return 1;
	memcpy(b.in->buf, text, sizeof(text) - 1);
	b.in->end = sizeof(text) - 1;
	check(message_scan(&b.msg, b.in, &result), "scan");
	b.without.bits = 1ull << HDR_VIA | 1ull << HDR_FROM | 1ull << HDR_TO |
			 1ull << HDR_CALL_ID | 1ull << HDR_CSEQ |
			 1ull << HDR_CONTACT | 1ull << HDR_MAX_FORWARDS;
	check(sa_set_str(&b.rw.addr, "192.0.2.1", 0), "address");
	b.rw.rtp[0] = 22000;
	b.rw.rtcp[0] = 22001;

	(void)printf("INVITE of %zu bytes, %u headers\n", sizeof(text) - 1,
		     b.msg->n);
	run("scan and release", scan, &b, count);
	run("write", write_all, &b, count);
	run("write headers of a B2BUA", write_headers, &b, count);
	run("clone and one edit", clone_and_edit, &b, count);
	run("rewrite SDP", sdp, &b, count);
	mem_deref(b.msg);
	mem_deref(b.in);
	mem_deref(b.out);
	return 0;
}
