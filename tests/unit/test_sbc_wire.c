/*
 * Unit tests: whole messages, byte by byte
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "store/base.h"
#include "sbc/wire.h"
#include "tests/unit/fake_port.h"

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

static void expect_text(struct mbuf *mb, const char *text)
{
	char *is = NULL;

	assert_int_equal(mb->pos, 0);
	assert_int_equal(mbuf_strdup(mb, &is, mbuf_get_left(mb)), 0);
	assert_string_equal(is, text);
	mem_deref(is);
	mem_deref(mb);
}

/* Headers that cross, and all those that must not */
#define CROSSING                                                               \
	"INVITE sip:0301234@pbx.example SIP/2.0\r\n"                           \
	"Via: SIP/2.0/UDP 10.0.0.9:5060;branch=z9hG4bKabc\r\n"                 \
	"Record-Route: <sip:10.0.0.9;lr>\r\n"                                  \
	"Route: <sip:192.0.2.1;lr>\r\n"                                        \
	"Max-Forwards: 12\r\n"                                                 \
	"From: <sip:a@pbx.example>;tag=abc\r\n"                                \
	"To: <sip:0301234@pbx.example>\r\n"                                    \
	"Call-ID: theirs\r\n"                                                  \
	"CSeq: 5 INVITE\r\n"                                                   \
	"Contact: <sip:a@10.0.0.10>\r\n"                                       \
	"Subject: lunch\r\n"                                                   \
	"User-Agent: Phone\r\n"                                                \
	"X-Odd: 1\r\n"                                                         \
	"Content-Type: application/sdp\r\n"                                    \
	"Content-Disposition: session\r\n"                                     \
	"Content-Length: 4\r\n"                                                \
	"\r\n"                                                                 \
	"v=0\n"

#define FRAME_OF(transport, rport)                                             \
	"INVITE sip:bob@192.0.2.9 SIP/2.0\r\n"                                 \
	"Via: SIP/2.0/" transport " 192.0.2.1:5060;branch=z9hG4bKx" rport      \
	"\r\n"                                                                 \
	"Max-Forwards: 11\r\n"                                                 \
	"Route: <sip:192.0.2.8;lr>\r\n"                                        \
	"From: <sip:a@trunk.example>;tag=f\r\n"                                \
	"To: <sip:bob@trunk.example>\r\n"                                      \
	"Call-ID: ours\r\n"                                                    \
	"CSeq: 3 INVITE\r\n"                                                   \
	"Contact: <sip:u@192.0.2.1:5060>;expires=60\r\n"

static struct wire_request request_on(const struct port *port)
{
	const struct wire_request r = {
		.method = INVITE,
		.ruri = PL("sip:bob@192.0.2.9"),
		.port = port,
		.branch = "z9hG4bKx",
		.from = PL("<sip:a@trunk.example>;tag=f"),
		.to = PL("<sip:bob@trunk.example>"),
		.callid = PL("ours"),
		.cseq = 3,
		.max_forwards = 11,
		.contact = PL("sip:u@192.0.2.1:5060"),
		.contact_params = PL(";expires=60"),
		.routes = PL("<sip:192.0.2.8;lr>"),
	};

	return r;
}

static void a_request_has_our_frame_around_what_crosses(void **s)
{
	struct port *port = fake_port("192.0.2.1", 5060, TRANSPORT_UDP);
	struct wire_request r = request_on(port);
	struct message *src = scan(CROSSING);
	struct mbuf *mb;
	(void)s;

	r.src = src;
	r.without.bits = 1ULL << HDR_USER_AGENT;
	fake_port_user_agent(port, "SBC");
	r.keep_body = true;
	assert_int_equal(wire_request(&mb, &r), 0);
	expect_text(mb, FRAME_OF("UDP", ";rport") "User-Agent: SBC\r\n"
						  "Subject: lunch\r\n"
						  "X-Odd: 1\r\n"
						  "Content-Type: "
						  "application/sdp\r\n"
						  "Content-Disposition: "
						  "session\r\n"
						  "Content-Length: 4\r\n"
						  "\r\n"
						  "v=0\n");
	mem_deref(src);
	port_close(port);
}

static void headers_of_a_body_go_and_change_with_it(void **s)
{
	struct port *port = fake_port("192.0.2.1", 5060, TRANSPORT_TCP);
	struct wire_request r = request_on(port);
	struct message *src = scan(CROSSING);
	struct mbuf *mb;
	(void)s;

	r.src = src;
	r.without.bits = 1ULL << HDR_USER_AGENT | 1ULL << HDR_SUBJECT;
	assert_int_equal(wire_request(&mb, &r), 0);
	expect_text(mb, FRAME_OF("TCP", "") "X-Odd: 1\r\n"
					    "Content-Length: 0\r\n\r\n");

	r.body = (struct pl)PL("other");
	assert_int_equal(wire_request(&mb, &r), 0);
	expect_text(mb, FRAME_OF("TCP", "") "X-Odd: 1\r\n"
					    "Content-Type: application/sdp\r\n"
					    "Content-Disposition: session\r\n"
					    "Content-Length: 5\r\n\r\nother");

	r.ctype = (struct pl)PL("text/plain");
	assert_int_equal(wire_request(&mb, &r), 0);
	expect_text(mb, FRAME_OF("TCP", "") "X-Odd: 1\r\n"
					    "Content-Disposition: session\r\n"
					    "Content-Type: text/plain\r\n"
					    "Content-Length: 5\r\n\r\nother");
	mem_deref(src);
	port_close(port);
}

static void a_request_of_our_own_has_nothing_but_its_frame(void **s)
{
	struct port *port = fake_port("2001:db8::1", 5070, TRANSPORT_UDP);
	const struct wire_request r = { .method_name = PL("PING"),
					.ruri = PL("sip:[2001:db8::9]"),
					.port = port,
					.branch = "z9hG4bKy",
					.from = PL("<sip:f>;tag=1"),
					.to = PL("<sip:t>"),
					.callid = PL("i"),
					.cseq = 2147483647,
					.max_forwards = 70 };
	struct mbuf *mb;
	(void)s;

	assert_int_equal(wire_request(&mb, &r), 0);
	expect_text(mb, "PING sip:[2001:db8::9] SIP/2.0\r\n"
			"Via: SIP/2.0/UDP [2001:db8::1]:5070;branch=z9hG4bKy"
			";rport\r\n"
			"Max-Forwards: 70\r\n"
			"From: <sip:f>;tag=1\r\n"
			"To: <sip:t>\r\n"
			"Call-ID: i\r\n"
			"CSeq: 2147483647 PING\r\n"
			"Content-Length: 0\r\n\r\n");
	port_close(port);
}

static void the_top_via_tells_the_source_and_the_others_stay(void **s)
{
	static const struct {
		const char *vias, *expect;
	} rows[] = {
		/* nothing to tell */
		{ "Via: SIP/2.0/UDP 192.0.2.7:5070;branch=z9hG4bKa\r\n",
		  "Via: SIP/2.0/UDP 192.0.2.7:5070;branch=z9hG4bKa\r\n" },
		/* RFC 3581 */
		{ "Via: SIP/2.0/UDP 192.0.2.7:5070;rport;branch=z9hG4bKa\r\n",
		  "Via: SIP/2.0/UDP 192.0.2.7:5070;branch=z9hG4bKa"
		  ";received=192.0.2.7;rport=5070\r\n" },
		/* behind NAT; what it claims of itself goes */
		{ "v: SIP/2.0/UDP 10.0.0.1;received=1.2.3.4;rport=1"
		  ";branch=z9hG4bKa;x=\"a;b\"\r\n",
		  "Via: SIP/2.0/UDP 10.0.0.1;branch=z9hG4bKa;x=\"a;b\""
		  ";received=192.0.2.7;rport=5070\r\n" },
		/* RFC 3261 18.2.1: a name */
		{ "Via: SIP/2.0/TCP a.example;branch=z9hG4bKa\r\n",
		  "Via: SIP/2.0/TCP a.example;branch=z9hG4bKa"
		  ";received=192.0.2.7\r\n" },
		/* several, in one line and in two */
		{ "Via: SIP/2.0/UDP a:1;branch=z9hG4bKa, "
		  "SIP/2.0/UDP b;branch=2\r\n"
		  "Via: SIP/2.0/UDP c;branch=3;rport\r\n",
		  "Via: SIP/2.0/UDP a:1;branch=z9hG4bKa;received=192.0.2.7\r\n"
		  "Via: SIP/2.0/UDP b;branch=2\r\n"
		  "Via: SIP/2.0/UDP c;branch=3;rport\r\n" },
	};
	struct port *port = fake_port("192.0.2.1", 5060, TRANSPORT_UDP);
	struct arrival from = { .port = port };
	size_t i;
	(void)s;

	assert_int_equal(sa_set_str(&from.src, "192.0.2.7", 5070), 0);
	for (i = 0; i < sizeof(rows) / sizeof(*rows); ++i) {
		struct wire_response r = { .from = &from,
					   .code = 480,
					   .reason = PL("No"),
					   .to_tag = "o" };
		char text[1024], expect[1024];
		struct message *msg;
		struct mbuf *mb;

		snprintf(text, sizeof(text),
			 "OPTIONS sip:x SIP/2.0\r\n%sf: <sip:f>;tag=1\r\n"
			 "t: <sip:t>\r\ni: id\r\nCSeq: 1 OPTIONS\r\n\r\n",
			 rows[i].vias);
		msg = scan(text);
		r.request = msg;
		assert_int_equal(wire_response(&mb, &r), 0);
		snprintf(expect, sizeof(expect),
			 "SIP/2.0 480 No\r\n%sFrom: <sip:f>;tag=1\r\n"
			 "To: <sip:t>;tag=o\r\nCall-ID: id\r\n"
			 "CSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n",
			 rows[i].expect);
		expect_text(mb, expect);
		mem_deref(msg);
	}
	port_close(port);
}

#define ROUTED                                                                 \
	"INVITE sip:x SIP/2.0\r\n"                                             \
	"Via: SIP/2.0/UDP 192.0.2.7:5070;branch=z9hG4bKa\r\n"                  \
	"Record-Route: <sip:p2;lr>\r\n"                                        \
	"Record-Route: <sip:p1;lr>\r\n"                                        \
	"From: <sip:f>;tag=1\r\n"                                              \
	"To: <sip:t>%s\r\n"                                                    \
	"Call-ID: id\r\n"                                                      \
	"CSeq: 1 INVITE\r\n"                                                   \
	"Timestamp: 54\r\n\r\n"

static bool has(const struct mbuf *mb, const char *text)
{
	return memmem(mb->buf, mb->end, text, strlen(text)) != NULL;
}

static void answers_show_what_their_code_calls_for(void **s)
{
	static const struct {
		uint16_t code;
		const char *to;
		bool routes, timestamp;
	} rows[] = {
		{ 100, "", false, true },  { 183, "", true, false },
		{ 200, "", true, false },  { 200, ";tag=theirs", true, false },
		{ 302, "", false, false }, { 486, "", false, false },
	};
	struct port *port = fake_port("192.0.2.1", 5060, TRANSPORT_UDP);
	struct arrival from = { .port = port };
	size_t i;
	(void)s;

	fake_port_user_agent(port, "SBC");
	assert_int_equal(sa_set_str(&from.src, "192.0.2.7", 5070), 0);
	for (i = 0; i < sizeof(rows) / sizeof(*rows); ++i) {
		struct wire_response r = { .from = &from,
					   .code = rows[i].code,
					   .reason = PL("Any"),
					   .to_tag = "ours",
					   .contact = PL("sip:u@192.0.2.1") };
		struct message *msg;
		struct mbuf *mb;
		char text[1024];

		snprintf(text, sizeof(text), ROUTED, rows[i].to);
		msg = scan(text);
		r.request = msg;
		assert_int_equal(wire_response(&mb, &r), 0);
		assert_int_equal(has(mb, "Record-Route: <sip:p2;lr>\r\n"
					 "Record-Route: <sip:p1;lr>\r\n"),
				 rows[i].routes);
		assert_int_equal(has(mb, "Timestamp: 54\r\n"),
				 rows[i].timestamp);
		assert_true(has(mb, *rows[i].to ? "To: <sip:t>;tag=theirs\r\n"
						: "To: <sip:t>;tag=ours\r\n"));
		assert_true(has(mb, "Contact: <sip:u@192.0.2.1>\r\n"));
		assert_true(has(mb, "Server: SBC\r\n"));
		mem_deref(mb);
		mem_deref(msg);
	}
	port_close(port);
}

static void an_answer_carries_the_headers_and_body_of_another(void **s)
{
	struct port *port = fake_port("192.0.2.1", 5060, TRANSPORT_UDP);
	struct arrival from = { .port = port };
	struct wire_response r = { .from = &from, .code = 200 };
	struct message *msg, *src;
	struct mbuf *mb;
	char text[1024];
	(void)s;

	assert_int_equal(sa_set_str(&from.src, "192.0.2.7", 5070), 0);
	snprintf(text, sizeof(text), ROUTED, ";tag=t");
	r.request = msg = scan(text);
	r.src = src = scan(CROSSING);
	r.keep_body = true;
	assert_int_equal(wire_response(&mb, &r), 0);
	assert_true(has(mb, "Subject: lunch\r\n"));
	assert_true(has(mb, "Content-Length: 4\r\n\r\nv=0\n"));
	assert_false(has(mb, "theirs"));
	assert_false(has(mb, "10.0.0.9"));
	assert_false(has(mb, "10.0.0.10"));
	mem_deref(mb);
	mem_deref(msg);
	mem_deref(src);
	port_close(port);
}

#define OURS                                                                   \
	"INVITE sip:bob@192.0.2.9;x=y SIP/2.0\r\n"                             \
	"Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKx;rport\r\n"            \
	"Max-Forwards: 11\r\n"                                                 \
	"Route: <sip:192.0.2.8;lr>\r\n"                                        \
	"Route: <sip:192.0.2.7;lr>\r\n"                                        \
	"From: <sip:a@trunk.example>;tag=f\r\n"                                \
	"To: <sip:bob@trunk.example>\r\n"                                      \
	"Call-ID: ours\r\n"                                                    \
	"CSeq: 3 INVITE\r\n"                                                   \
	"Via: SIP/2.0/UDP second\r\n"                                          \
	"Proxy-Authorization: Digest secret\r\n"                               \
	"Contact: <sip:u@192.0.2.1:5060>\r\n"                                  \
	"Content-Length: 12\r\n"                                               \
	"\r\n"                                                                 \
	"Route: body\n"

#define TWIN(method, to, reason)                                               \
	method " sip:bob@192.0.2.9;x=y SIP/2.0\r\n"                            \
	       "Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKx;rport\r\n"     \
	       "Max-Forwards: 70\r\n"                                          \
	       "Route: <sip:192.0.2.8;lr>\r\n"                                 \
	       "Route: <sip:192.0.2.7;lr>\r\n"                                 \
	       "From: <sip:a@trunk.example>;tag=f\r\n"                         \
	       "To: " to "\r\n"                                                \
	       "Call-ID: ours\r\n"                                             \
	       "CSeq: 3 " method "\r\n" reason "Content-Length: 0\r\n\r\n"

static void ack_and_cancel_come_from_the_request_without_credentials(void **s)
{
	struct mbuf *request = bytes(OURS), *mb;
	struct message *answer;
	struct pl reason = PL("Q.850;cause=16");
	(void)s;

	answer = scan("SIP/2.0 407 No\r\n"
		      "Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKx\r\n"
		      "From: <sip:a@trunk.example>;tag=f\r\n"
		      "To: <sip:bob@trunk.example>;tag=t\r\n"
		      "Call-ID: ours\r\nCSeq: 3 INVITE\r\n\r\n");
	assert_int_equal(wire_ack_failure(&mb, request, answer), 0);
	expect_text(mb, TWIN("ACK", "<sip:bob@trunk.example>;tag=t", ""));
	assert_int_equal(wire_cancel(&mb, request, &reason), 0);
	expect_text(mb, TWIN("CANCEL", "<sip:bob@trunk.example>",
			     "Reason: Q.850;cause=16\r\n"));
	assert_int_equal(wire_cancel(&mb, request, NULL), 0);
	expect_text(mb, TWIN("CANCEL", "<sip:bob@trunk.example>", ""));
	mem_deref(answer);
	mem_deref(request);
}

static void bytes_that_are_no_request_make_no_cancel(void **s)
{
	static const char *const texts[] = {
		"",
		"INVITE",
		"INVITE\r\n\r\n",
		"INVITE sip:x\r\n\r\n",
		"INVITE sip:x SIP/2.0\r\n\r\n",
		"INVITE sip:x SIP/2.0\r\nVia: a\r\nFrom: b\r\nTo: c\r\n"
		"Call-ID: d\r\n\r\n",
		"INVITE sip:x SIP/2.0\r\nVia: a\r\nFrom: b\r\nTo: c\r\n"
		"Call-ID: d\r\nCSeq: 1\r\n\r\n",
		"INVITE sip:x SIP/2.0\r\nVia: a\r\nFrom: b\r\nTo: c\r\n"
		"Call-ID: d\r\nCSeq: 1 INVITE", /* cut off */
	};
	size_t i;
	(void)s;

	for (i = 0; i < sizeof(texts) / sizeof(*texts); ++i) {
		struct mbuf *request = bytes(texts[i]), *mb = NULL;

		assert_int_equal(wire_cancel(&mb, request, NULL), EBADMSG);
		assert_null(mb);
		mem_deref(request);
	}
}

static void an_answer_goes_to_the_source_on_its_connection(void **s)
{
	struct port *port = fake_port("192.0.2.1", 5060, TRANSPORT_TCP);
	struct arrival from = { .port = port, .conn = 99 };
	struct target to;
	(void)s;

	assert_int_equal(sa_set_str(&from.src, "192.0.2.7", 40000), 0);
	wire_reply_target(&to, &from);
	assert_true(sa_cmp(&to.dst, &from.src, SA_ALL));
	assert_int_equal(to.conn, 99);
	assert_true(to.only);
	assert_int_equal(to.transport, TRANSPORT_TCP);
	port_close(port);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_request_has_our_frame_around_what_crosses),
		cmocka_unit_test(headers_of_a_body_go_and_change_with_it),
		cmocka_unit_test(
			a_request_of_our_own_has_nothing_but_its_frame),
		cmocka_unit_test(
			the_top_via_tells_the_source_and_the_others_stay),
		cmocka_unit_test(answers_show_what_their_code_calls_for),
		cmocka_unit_test(
			an_answer_carries_the_headers_and_body_of_another),
		cmocka_unit_test(
			ack_and_cancel_come_from_the_request_without_credentials),
		cmocka_unit_test(bytes_that_are_no_request_make_no_cancel),
		cmocka_unit_test(
			an_answer_goes_to_the_source_on_its_connection),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
