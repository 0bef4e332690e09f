/*
 * Messages: what is scanned, why a scan ends, edits, and what is written
 */
#include <ctype.h>
#include <dlfcn.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>
#include "policy/message.h"

/* libre's allocator, which may fail from here: the n-th call returns NULL.
 * Objects of the library itself come through it too. */
static long allocations = -1; /* that still succeed; below 0: all */

static bool is_out_of_memory(void)
{
	return allocations >= 0 && !allocations--;
}

void *mem_alloc(size_t size, mem_destroy_h *dh);
void *mem_zalloc(size_t size, mem_destroy_h *dh);

void *mem_alloc(size_t size, mem_destroy_h *dh)
{
	static void *(*real)(size_t, mem_destroy_h *);

	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "mem_alloc");

	return is_out_of_memory() ? NULL : real(size, dh);
}

void *mem_zalloc(size_t size, mem_destroy_h *dh)
{
	static void *(*real)(size_t, mem_destroy_h *);

	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "mem_zalloc");

	return is_out_of_memory() ? NULL : real(size, dh);
}

#define VIA  "Via: SIP/2.0/UDP h;branch=z9hG4bK1\r\n"
#define FROM "From: <sip:a@h>;tag=f1\r\n"
#define TO   "To: <sip:b@h>\r\n"
#define ID   "Call-ID: c1@h\r\n"
#define CSEQ "CSeq: 7 INVITE\r\n"
#define LINE "INVITE sip:b@h SIP/2.0\r\n"
#define BASE LINE VIA FROM TO ID CSEQ

#define IS(range, text)                                                        \
	do {                                                                   \
		const struct pl is_ = (range);                                 \
		assert_int_equal(is_.l, strlen(text));                         \
		assert_memory_equal(is_.p, text, strlen(text));                \
	} while (0)

/* A buffer that ends where the text ends: AddressSanitizer sees a byte more */
static struct mbuf *bytes(const char *text, size_t len)
{
	struct mbuf *mb = mbuf_alloc(len ? len : 1);

	assert_non_null(mb);
	memcpy(mb->buf, text, len);
	mb->end = len;
	return mb;
}

static int scan_n(struct message **msgp, const char *text, size_t len,
		  struct scan_result *result)
{
	struct mbuf *mb = bytes(text, len);
	int err;

	*msgp = NULL;
	err = message_scan(msgp, mb, result);
	mem_deref(mb);
	return err;
}

static struct message *scan(const char *text)
{
	struct scan_result result;
	struct message *msg;
	int err = scan_n(&msg, text, strlen(text), &result);

	if (err)
		fail_msg("fault %d at %d: %s", result.fault, result.header,
			 text);
	assert_int_equal(result.fault, SCAN_OK);
	assert_true(result.answerable || msg->code || msg->method_id == ACK);
	return msg;
}

static struct pl pl(const char *s)
{
	struct pl p = { s, strlen(s) };

	return p;
}

static void assert_written(const struct message *msg, const char *expected)
{
	struct mbuf *mb = mbuf_alloc(1);

	assert_int_equal(message_write(mb, msg), 0);
	if (mb->end != strlen(expected) || memcmp(mb->buf, expected, mb->end))
		fail_msg("written: %.*s", (int)mb->end, (char *)mb->buf);
	mem_deref(mb);
}

static void a_request_is_cut_into_ranges(void **state)
{
	struct message *msg =
		scan("\r\n\r\nINVITE sip:b@h;x=y SIP/2.0\r\n"
		     "v: SIP/2.0/TCP h;branch=z9hG4bKtop, SIP/2.0/UDP "
		     "i;branch=low\r\n"
		     "VIA:SIP/2.0/UDP j\r\n" FROM
		     "t: \"B, \\\"b\\\"\" <sip:b@h>;tag=t1\r\n"
		     "i : c1 \t\r\n"
		     "cseq: 7 INVITE\r\nX-Y:  z  \r\nl: 2\r\n\r\nab");

	IS(msg->method, "INVITE");
	assert_int_equal(msg->method_id, INVITE);
	IS(msg->ruri, "sip:b@h;x=y");
	assert_int_equal(msg->code, 0);
	IS(msg->branch, "z9hG4bKtop");
	IS(msg->from_tag, "f1");
	IS(msg->to_tag, "t1");
	IS(msg->callid, "c1");
	assert_int_equal(msg->cseq, 7);
	IS(msg->body, "ab");
	assert_int_equal(msg->n, 8);
	IS(message_value(msg, HDR_VIA),
	   "SIP/2.0/TCP h;branch=z9hG4bKtop, SIP/2.0/UDP i;branch=low");
	IS(header_value(msg, message_next(msg, message_first(msg, HDR_VIA))),
	   "SIP/2.0/UDP j");
	IS(header_value(msg, message_named(msg, "x-y")), "z");
	IS(header_name(msg, message_named(msg, "x-Y")), "X-Y");
	assert_null(message_named(msg, "x-z"));
	mem_deref(msg);
	(void)state;
}

static void a_response_takes_its_method_from_cseq(void **state)
{
	struct message *msg =
		scan("SIP/2.0 180 Ringing now\r\n" VIA FROM TO ID CSEQ "\r\n");

	assert_int_equal(msg->code, 180);
	IS(msg->reason, "Ringing now");
	IS(msg->method, "INVITE");
	assert_int_equal(msg->method_id, INVITE);
	mem_deref(msg);

	msg = scan("SIP/2.0 100 \r\n" VIA FROM TO ID CSEQ "\r\n");
	assert_int_equal(msg->code, 100);
	assert_int_equal(msg->reason.l, 0);
	mem_deref(msg);
	(void)state;
}

static void of_from_and_to_of_a_response_only_the_tags_must_be_readable(
	void **state)
{
	struct message *msg =
		scan("SIP/2.0 200 OK\r\n" VIA "From: <sip:>;tag=ours\r\n"
		     "To: \"B\" <sip:b@h>;tag=theirs\r\n" ID CSEQ "\r\n");
	struct address addr;

	IS(msg->from_tag, "ours");
	IS(msg->to_tag, "theirs");
	assert_int_equal(message_address(&addr, msg, HDR_FROM), EINVAL);
	assert_int_equal(message_address(&addr, msg, HDR_TO), 0);
	IS(addr.uri.user, "b");
	mem_deref(msg);
	(void)state;
}

static void a_line_ends_early_wherever_a_control_character_stands(void **state)
{
	static const struct {
		char c;
		enum scan_fault fault;
	} rows[] = { { '\r', SCAN_BAD_HEADER }, { '\n', SCAN_BAD_HEADER },
		     { '\0', SCAN_BAD_HEADER }, { '\t', SCAN_OK },
		     { '\x01', SCAN_OK },       { '\x8d', SCAN_OK } };
	char text[] = LINE VIA FROM TO ID CSEQ
		"X: 0123456789012345678901234567890123456789\r\n\r\n";
	char *value = strstr(text, "0123456789");

	for (size_t at = 0; at < 40; ++at) {
		for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); ++i) {
			const char was = value[at];
			struct scan_result result;
			struct message *msg = NULL;
			struct mbuf *mb = mbuf_alloc(sizeof(text));

			value[at] = rows[i].c;
			(void)mbuf_write_mem(mb, (uint8_t *)text,
					     sizeof(text) - 1);
			mb->pos = 0;
			(void)message_scan(&msg, mb, &result);
			if (result.fault != rows[i].fault)
				fail_msg("%#x at %zu: %d", rows[i].c, at,
					 result.fault);
			value[at] = was;
			mem_deref(msg);
			mem_deref(mb);
		}
	}
	(void)state;
}

static void folding_becomes_blanks_in_place(void **state)
{
	struct message *msg = scan(
		LINE "Via: SIP/2.0\r\n /UDP\r\n\t h;branch=b\r\n" FROM TO ID
		     "CSeq: 0009\r\n  INVITE\r\nZ: a\r\n\tb\r\n\r\n");

	IS(msg->branch, "b");
	assert_int_equal(msg->cseq, 9);
	IS(header_value(msg, message_named(msg, "Z")), "a  \tb");
	assert_written(msg,
		       LINE "Via: SIP/2.0   /UDP  \t h;branch=b\r\n" FROM TO ID
			    "CSeq: 0009    INVITE\r\nZ: a  \tb\r\n"
			    "Content-Length: 0\r\n\r\n");
	mem_deref(msg);
	(void)state;
}

static enum scan_fault fault_of(const char *text, size_t len)
{
	struct scan_result result;
	struct message *msg = NULL;
	struct mbuf *mb = mbuf_alloc(len);

	(void)mbuf_write_mem(mb, (const uint8_t *)text, len);
	mb->pos = 0;
	(void)message_scan(&msg, mb, &result);
	mem_deref(msg);
	mem_deref(mb);

	return result.fault;
}

static void a_call_id_has_no_blank_and_no_control_wherever_it_stands(void **s)
{
	char text[] = LINE VIA FROM TO
		"Call-ID: 0123456789012345678901234567890123456789\r\n" CSEQ
		"\r\n";
	char *id = strstr(text, "0123456789");

	for (size_t at = 1; at < 39; at++) {
		const char was = id[at];

		for (int c = 1; c < 256; c++) {
			enum scan_fault expected = SCAN_OK;

			if (c <= ' ' || c == 0x7f)
				expected = SCAN_BAD_VALUE;
			if (c == '\r' || c == '\n')
				expected = SCAN_BAD_HEADER;
			id[at] = (char)c;
			if (fault_of(text, sizeof(text) - 1) != expected)
				fail_msg("%#x at %zu", (unsigned)c, at);
		}
		id[at] = was;
	}
	(void)s;
}

/* The letters of a name may be small or capital; nothing else may differ, not even
 * by the bit that tells these apart */
static void a_name_differs_in_the_case_of_its_letters_only(void **s)
{
	char text[] = LINE VIA FROM TO "CALL-id: c1@h\r\n" CSEQ "\r\n";
	char *name = strstr(text, "CALL-id");

	for (size_t at = 0; at < 7; at++) {
		const char was = name[at];

		for (int c = 1; c < 256; c++) {
			const bool same =
				c == was || (isalpha(was) && c == (was ^ 0x20));

			name[at] = (char)c;
			if ((fault_of(text, sizeof(text) - 1) == SCAN_OK) !=
			    same)
				fail_msg("%#x at %zu", (unsigned)c, at);
		}
		name[at] = was;
	}
	(void)s;
}

/* Text, fault, header, can it be answered */
struct bad {
	const char *text;
	size_t len; /* 0: of the string */
	enum scan_fault fault;
	enum header_id header;
	bool answerable;
};
#define ROW(t, f, h, a)                                                        \
	{                                                                      \
		t, sizeof(t) - 1, f, h, a                                      \
	}

static const struct bad rows[] = {
	/* no start line: silence */
	ROW("", SCAN_NOT_SIP, 0, false),
	ROW("\r\n\r\n", SCAN_NOT_SIP, 0, false),
	ROW("\r\n", SCAN_NOT_SIP, 0, false),
	ROW("hello", SCAN_NOT_SIP, 0, false),
	ROW("GET / HTTP/1.1\r\n\r\n", SCAN_NOT_SIP, 0, false),
	ROW("INVITE\r\n\r\n", SCAN_NOT_SIP, 0, false),
	ROW("INVITE sip:b@h\r\n\r\n", SCAN_NOT_SIP, 0, false),
	ROW("INV{TE sip:b@h SIP/2.0\r\n\r\n", SCAN_NOT_SIP, 0, false),
	ROW("INVITE sip:b@h SIP/2.0\n" VIA FROM TO ID CSEQ "\r\n", SCAN_NOT_SIP,
	    0, false),
	ROW("INVITE sip:b@h\0 SIP/2.0\r\n" VIA FROM TO ID CSEQ "\r\n",
	    SCAN_NOT_SIP, 0, false),
	/* start line */
	ROW("INVITE sip:b@h SIP/7.0\r\n" VIA FROM TO ID CSEQ "\r\n",
	    SCAN_VERSION, 0, true),
	ROW("INVITE sip:b@h SIP/2.00\r\n" VIA FROM TO ID CSEQ "\r\n",
	    SCAN_VERSION, 0, true),
	ROW("INVITE  sip:b@h SIP/2.0\r\n" VIA FROM TO ID CSEQ "\r\n",
	    SCAN_BAD_HEADER, 0, true),
	ROW("INVITE sip:b@h  SIP/2.0\r\n" VIA FROM TO ID CSEQ "\r\n",
	    SCAN_BAD_HEADER, 0, true),
	ROW("INVITE sip:b@h; lr SIP/2.0\r\n" VIA FROM TO ID CSEQ "\r\n",
	    SCAN_BAD_HEADER, 0, true),
	ROW("INVITE sip:b@h SIP/2.0  \r\n" VIA FROM TO ID CSEQ "\r\n",
	    SCAN_BAD_HEADER, 0, true),
	ROW("INVITE <sip:b@h> SIP/2.0\r\n" VIA FROM TO ID CSEQ "\r\n",
	    SCAN_BAD_HEADER, 0, true),
	ROW("INVITE sip:b@h?Route=x SIP/2.0\r\n" VIA FROM TO ID CSEQ "\r\n",
	    SCAN_BAD_HEADER, 0, true),
	ROW("INVITE http://h/ SIP/2.0\r\n" VIA FROM TO ID CSEQ "\r\n", SCAN_URI,
	    0, true),
	ROW("SIP/2.0 4294967301 x\r\n" VIA FROM TO ID CSEQ "\r\n",
	    SCAN_BAD_HEADER, 0, false),
	ROW("SIP/2.0 099 x\r\n" VIA FROM TO ID CSEQ "\r\n", SCAN_BAD_HEADER, 0,
	    false),
	ROW("SIP/2.0  200 OK\r\n" VIA FROM TO ID CSEQ "\r\n", SCAN_BAD_HEADER,
	    0, false),
	ROW("SIP/3.0 200 OK\r\n" VIA FROM TO ID CSEQ "\r\n", SCAN_VERSION, 0,
	    false),
	/* missing: silence */
	ROW(LINE FROM TO ID CSEQ "\r\n", SCAN_MISSING, HDR_VIA, false),
	ROW(LINE VIA TO ID CSEQ "\r\n", SCAN_MISSING, HDR_FROM, false),
	ROW(LINE VIA FROM ID CSEQ "\r\n", SCAN_MISSING, HDR_TO, false),
	ROW(LINE VIA FROM TO CSEQ "\r\n", SCAN_MISSING, HDR_CALL_ID, false),
	ROW(LINE VIA FROM TO ID "\r\n", SCAN_MISSING, HDR_CSEQ, false),
	ROW(LINE "\r\n", SCAN_MISSING, HDR_VIA, false),
	/* names are compared in full: libre takes these for Call-ID and To */
	ROW(LINE VIA FROM TO "DC-Info: x\r\n" CSEQ "\r\n", SCAN_MISSING,
	    HDR_CALL_ID, false),
	ROW(LINE VIA FROM "adnk: <sip:b@h>\r\n" ID CSEQ "\r\n", SCAN_MISSING,
	    HDR_TO, false),
	/* twice: the first is copied */
	ROW(BASE FROM "\r\n", SCAN_DUPLICATE, HDR_FROM, true),
	ROW(BASE "t: <sip:c@h>\r\n\r\n", SCAN_DUPLICATE, HDR_TO, true),
	ROW(BASE "i: other\r\n\r\n", SCAN_DUPLICATE, HDR_CALL_ID, true),
	ROW(BASE CSEQ "\r\n", SCAN_DUPLICATE, HDR_CSEQ, true),
	ROW(BASE "l: 0\r\nContent-Length: 1\r\n\r\nx", SCAN_DUPLICATE,
	    HDR_CONTENT_LENGTH, true),
	/* unreadable */
	ROW(LINE "Via: SIP/2.0/UDP h;;\r\n" FROM TO ID CSEQ "\r\n",
	    SCAN_BAD_VALUE, HDR_VIA, false),
	ROW(LINE VIA "From: x y\r\n" TO ID CSEQ "\r\n", SCAN_BAD_VALUE,
	    HDR_FROM, false),
	ROW(LINE VIA "From: <sip:a@h>;tag=1;tag=2\r\n" TO ID CSEQ "\r\n",
	    SCAN_BAD_VALUE, HDR_FROM, false),
	ROW(LINE VIA FROM "To: \"x <sip:b@h>\r\n" ID CSEQ "\r\n",
	    SCAN_BAD_VALUE, HDR_TO, false),
	ROW(LINE VIA FROM TO "Call-ID:\r\n" CSEQ "\r\n", SCAN_BAD_VALUE,
	    HDR_CALL_ID, false),
	ROW(LINE VIA FROM TO "Call-ID: a b\r\n" CSEQ "\r\n", SCAN_BAD_VALUE,
	    HDR_CALL_ID, false),
	ROW(LINE VIA FROM TO ID "CSeq: 4294967296 INVITE\r\n\r\n",
	    SCAN_BAD_VALUE, HDR_CSEQ, false),
	ROW(BASE "Content-Length: -1\r\n\r\n", SCAN_BAD_VALUE,
	    HDR_CONTENT_LENGTH, true),
	ROW(BASE "Content-Length: +0\r\n\r\n", SCAN_BAD_VALUE,
	    HDR_CONTENT_LENGTH, true),
	ROW(BASE "Content-Length: 0, 0\r\n\r\n", SCAN_BAD_VALUE,
	    HDR_CONTENT_LENGTH, true),
	ROW(BASE "Content-Length: 99999999999999999999\r\n\r\n", SCAN_BAD_VALUE,
	    HDR_CONTENT_LENGTH, true),
	ROW(BASE "Content-Length: 4294967297\r\n\r\nx", SCAN_BAD_VALUE,
	    HDR_CONTENT_LENGTH, true),
	/* lengths */
	ROW(BASE "Content-Length: 3\r\n\r\nab", SCAN_LENGTH, HDR_CONTENT_LENGTH,
	    true),
	ROW(LINE VIA FROM TO ID "CSeq: 7 BYE\r\n\r\n", SCAN_CSEQ_METHOD,
	    HDR_CSEQ, true),
	ROW(LINE VIA FROM TO ID "CSeq: 7 invite\r\n\r\n", SCAN_CSEQ_METHOD,
	    HDR_CSEQ, true),
	/* bytes that have no place in a header */
	ROW(BASE "Z: a\0b\r\n\r\n", SCAN_BAD_HEADER, 0, true),
	ROW(BASE "Z: a\rb\r\n\r\n", SCAN_BAD_HEADER, 0, true),
	ROW(BASE "Z: a\nContent-Length: 9\r\n\r\n", SCAN_BAD_HEADER, 0, true),
	ROW(BASE "Z: a\r\r\n\r\n", SCAN_BAD_HEADER, 0, true),
	ROW(BASE "Subject: a\n\r\n\r\n", SCAN_BAD_HEADER, HDR_SUBJECT, true),
	ROW(BASE "Z: a\r\n \r\n\r\n", SCAN_BAD_HEADER, 0, true),
	ROW(BASE "Z: a\r\n\t \r\nY: b\r\n\r\n", SCAN_BAD_HEADER, 0, true),
	ROW(LINE " folded: x\r\n" VIA FROM TO ID CSEQ "\r\n", SCAN_BAD_HEADER,
	    0, true),
	ROW(BASE "no colon\r\n\r\n", SCAN_BAD_HEADER, 0, true),
	ROW(BASE ": no name\r\n\r\n", SCAN_BAD_HEADER, 0, true),
	ROW(BASE "na(me: x\r\n\r\n", SCAN_BAD_HEADER, 0, true),
	ROW(LINE VIA FROM TO "Call-ID: a\0b\r\n" CSEQ "\r\n", SCAN_BAD_HEADER,
	    HDR_CALL_ID, false),
	/* the blank line */
	ROW(BASE, SCAN_BAD_HEADER, 0, true),
	ROW(BASE "Z: y", SCAN_BAD_HEADER, 0, true),
	ROW(BASE "Z: y\r", SCAN_BAD_HEADER, 0, true),
	ROW(BASE "Z: y\r\n\n", SCAN_BAD_HEADER, 0, true),
	/* ACK is never answered */
	ROW("ACK sip:b@h SIP/9.0\r\n" VIA FROM TO ID "CSeq: 7 ACK\r\n\r\n",
	    SCAN_VERSION, 0, false),
};

static void each_trick_ends_the_scan_with_its_reason(void **state)
{
	struct scan_result result;
	struct message *msg;
	size_t i;
	int err;

	for (i = 0; i < sizeof(rows) / sizeof(*rows); ++i) {
		err = scan_n(&msg, rows[i].text, rows[i].len, &result);
		if (err != EBADMSG || result.fault != rows[i].fault ||
		    result.header != rows[i].header ||
		    result.answerable != rows[i].answerable ||
		    (msg != NULL) != rows[i].answerable)
			fail_msg("row %zu: err %d fault %d header %d answer %d"
				 ":\n%s",
				 i, err, result.fault, result.header,
				 result.answerable, rows[i].text);
		mem_deref(msg);
	}
	(void)state;
}

static void a_line_at_fault_never_becomes_a_header(void **state)
{
	static const char text[] = BASE "Route: <sip:x>\n\r\n"
					"Z: y\nRoute: <sip:z>\r\n\r\n";
	struct scan_result result;
	struct message *msg;

	assert_int_equal(scan_n(&msg, text, sizeof(text) - 1, &result),
			 EBADMSG);
	assert_non_null(msg);
	assert_null(message_first(msg, HDR_ROUTE));
	assert_null(message_named(msg, "Z"));
	mem_deref(msg);
	(void)state;
}

static void what_is_beyond_content_length_is_cut_off(void **state)
{
	struct mbuf *mb = bytes(BASE "l: 2\r\nL: 02\r\n\r\nabcdef",
				sizeof(BASE "l: 2\r\nL: 02\r\n\r\nabcdef") - 1);
	struct scan_result result;
	struct message *msg;
	const size_t end = mb->end;

	assert_int_equal(message_scan(&msg, mb, &result), 0);
	IS(msg->body, "ab");
	assert_int_equal(mb->end, end - 4);
	mem_deref(msg);
	mem_deref(mb);
	(void)state;
}

static char *many(size_t n, const char *line, size_t *len)
{
	const size_t l = strlen(line);
	char *text = malloc(sizeof(BASE) + n * l + 3);
	char *p = text;
	size_t i;

	memcpy(p, BASE, sizeof(BASE) - 1);
	p += sizeof(BASE) - 1;
	for (i = 0; i < n; ++i) {
		memcpy(p, line, l);
		p += l;
	}
	memcpy(p, "\r\n", 2);
	*len = (size_t)(p + 2 - text);
	return text;
}

static void headers_have_bounds_in_number_and_bytes(void **state)
{
	/* 5 headers are in BASE */
	static const struct {
		size_t n;
		const char *line;
		bool good;
	} counts[] = {
		{ 43, "A: b\r\n", true },    { 44, "A: b\r\n", true },
		{ 251, "A: b\r\n", true },   { 252, "A: b\r\n", false },
		{ 5000, "A: b\r\n", false }, { 16200, " a\r\n", false },
	};
	struct scan_result result;
	struct message *msg;
	size_t i, len;
	char *text;
	int err;

	for (i = 0; i < sizeof(counts) / sizeof(*counts); ++i) {
		text = many(counts[i].n, counts[i].line, &len);
		err = scan_n(&msg, text, len, &result);
		free(text);
		if (counts[i].good) {
			assert_int_equal(err, 0);
			assert_int_equal(msg->n, counts[i].n + 5);
		} else {
			assert_int_equal(err, EBADMSG);
		}
		mem_deref(msg);
	}
	(void)state;
}

static void sixteen_kilobytes_of_headers_are_the_most(void **state)
{
	struct scan_result result;
	struct message *msg;
	size_t len, extra;
	char *text;
	int err, k;

	for (k = 0; k < 2; ++k) {
		extra = 16384 - (sizeof(BASE) - 1) - 2 - 5 + (size_t)k;
		text = malloc(16384 + 64);
		memcpy(text, BASE, sizeof(BASE) - 1);
		len = sizeof(BASE) - 1;
		memcpy(text + len, "X: ", 3);
		len += 3;
		memset(text + len, 'x', extra);
		len += extra;
		memcpy(text + len, "\r\n\r\n", 4);
		len += 4;
		assert_int_equal(len, 16384 + k);
		err = scan_n(&msg, text, len, &result);
		free(text);
		assert_int_equal(err, k ? EBADMSG : 0);
		if (k) {
			assert_int_equal(result.fault, SCAN_TOO_MANY);
			assert_true(result.answerable);
		}
		mem_deref(msg);
	}
	(void)state;
}

static void each_name_is_found_in_both_forms(void **state)
{
	static const char compacts[] = "bcefiklmorstuvx";
	char upper[64];
	struct pl name;
	unsigned id;
	size_t i, n = 0;

	for (id = 1; id < HDR_IDS; ++id) {
		name = pl(header_id_name(id));
		assert_true(name.l > 1);
		assert_int_equal(header_id_find(&name), id);
		for (i = 0; i <= name.l; ++i)
			upper[i] = (char)(name.p[i] >= 'a' && name.p[i] <= 'z'
						  ? name.p[i] - 32
						  : name.p[i]);
		name.p = upper;
		assert_int_equal(header_id_find(&name), id);
		/* a byte more, a byte less, a byte else is another header */
		upper[name.l] = 'X';
		++name.l;
		assert_int_equal(header_id_find(&name), HDR_OTHER);
		name.l -= 1;
		upper[0] = '$';
		assert_int_equal(header_id_find(&name), HDR_OTHER);
	}
	name.l = 1;
	for (i = 0; i < 256; ++i) {
		upper[0] = (char)i;
		name.p = upper;
		n += header_id_find(&name) != HDR_OTHER;
	}
	assert_int_equal(n, 2 * (sizeof(compacts) - 1));
	name.l = 0;
	assert_int_equal(header_id_find(&name), HDR_OTHER);
	(void)state;
}

static void each_method_is_found_with_its_case_only(void **state)
{
	struct pl name;
	unsigned id;

	for (id = 1; id < METHODS; ++id) {
		name = pl(method_name(id));
		assert_int_equal(method_find(&name), id);
		--name.l;
		assert_int_equal(method_find(&name), METHOD_OTHER);
	}
	name = pl("invite");
	assert_int_equal(method_find(&name), METHOD_OTHER);
	name = pl("");
	assert_int_equal(method_find(&name), METHOD_OTHER);
	(void)state;
}

static void tokens_are_found_in_all_headers_of_an_id(void **state)
{
	struct message *msg = scan(BASE "k: timer, 100REL\r\n"
					"Supported: gruu\r\n\r\n");

	assert_true(message_has_token(msg, HDR_SUPPORTED, "100rel"));
	assert_true(message_has_token(msg, HDR_SUPPORTED, "gruu"));
	assert_false(message_has_token(msg, HDR_SUPPORTED, "100"));
	assert_false(message_has_token(msg, HDR_REQUIRE, "timer"));
	mem_deref(msg);
	(void)state;
}

static void edits_lie_on_top_of_the_bytes(void **state)
{
	struct message *msg = scan(BASE "Route: <sip:1>\r\nSubject: s\r\n"
					"Route: <sip:2>\r\nZ: y\r\nl: 1\r\n"
					"\r\nb");
	struct pl v = pl("<sip:3>"), w = pl("w"), u = pl("sip:z@z");
	struct pl body = pl("body");

	assert_int_equal(message_set(msg, HDR_ROUTE, &v), 0);
	assert_int_equal(message_drop(msg, HDR_SUBJECT), 0);
	assert_int_equal(message_add(msg, HDR_REASON, &w), 0);
	assert_int_equal(message_add_named(msg, "X-New", &w), 0);
	assert_int_equal(message_change(msg, message_named(msg, "Z"), &v), 0);
	assert_int_equal(message_set_ruri(msg, &u), 0);
	assert_int_equal(message_set_body(msg, &body, "text/plain"), 0);

	IS(message_value(msg, HDR_ROUTE), "<sip:3>");
	assert_null(message_next(msg, message_first(msg, HDR_ROUTE)));
	assert_null(message_first(msg, HDR_SUBJECT));
	IS(header_value(msg, message_named(msg, "x-new")), "w");
	IS(msg->ruri, "sip:z@z");
	assert_written(msg, "INVITE sip:z@z SIP/2.0\r\n" VIA FROM TO ID CSEQ
			    "Route: <sip:3>\r\nZ: <sip:3>\r\nReason: w\r\n"
			    "X-New: w\r\nContent-Type: text/plain\r\n"
			    "Content-Length: 4\r\n\r\nbody");

	/* an added header is changed and dropped like another */
	assert_int_equal(message_set(msg, HDR_REASON, &v), 0);
	IS(message_value(msg, HDR_REASON), "<sip:3>");
	assert_int_equal(message_drop(msg, HDR_REASON), 0);
	assert_null(message_first(msg, HDR_REASON));
	mem_deref(msg);
	(void)state;
}

static void a_value_cannot_end_its_line(void **state)
{
	static const char *const bad[] = { "a\r\nX: y", "a\n", "\ra" };
	struct message *msg = scan(BASE "\r\n");
	const struct pl nul = { "a\0b", 3 };
	struct pl v;
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(*bad); ++i) {
		v = pl(bad[i]);
		assert_int_equal(message_add(msg, HDR_REASON, &v), EINVAL);
		assert_int_equal(message_set(msg, HDR_TO, &v), EINVAL);
		assert_int_equal(message_set_ruri(msg, &v), EINVAL);
	}
	assert_int_equal(message_add(msg, HDR_REASON, &nul), EINVAL);
	v = pl("x");
	assert_int_equal(message_add_named(msg, "a b", &v), EINVAL);
	assert_int_equal(message_add_named(msg, "a\r\n", &v), EINVAL);
	assert_written(msg, BASE "Content-Length: 0\r\n\r\n");
	mem_deref(msg);
	(void)state;
}

static void ranges_stay_good_while_edits_grow(void **state)
{
	struct message *msg = scan(BASE "Z: y\r\n\r\n");
	const struct header *h;
	struct pl first, v;
	char text[64];
	int i;

	v = pl("first value");
	assert_int_equal(message_set(msg, HDR_TO, &v), 0);
	first = message_value(msg, HDR_TO);
	h = message_first(msg, HDR_TO);
	for (i = 0; i < 500; ++i) {
		snprintf(text, sizeof(text), "value %d", i);
		v = pl(text);
		assert_int_equal(message_add(msg, HDR_WARNING, &v), 0);
	}
	IS(first, "first value");
	IS(header_value(msg, h), "first value");
	for (i = 0, h = message_first(msg, HDR_WARNING); h;
	     h = message_next(msg, h), ++i) {
		snprintf(text, sizeof(text), "value %d", i);
		IS(header_value(msg, h), text);
	}
	assert_int_equal(i, 500);
	mem_deref(msg);
	(void)state;
}

static void a_clone_has_edits_of_its_own(void **state)
{
	struct message *msg = scan(BASE "Z: y\r\n\r\n"), *copy, *third;
	struct pl v = pl("one"), w = pl("two");

	assert_int_equal(message_set(msg, HDR_TO, &v), 0);
	assert_int_equal(message_add(msg, HDR_REASON, &v), 0);
	assert_int_equal(message_clone(&copy, msg), 0);
	assert_int_equal(message_set(copy, HDR_TO, &w), 0);
	assert_int_equal(message_set(copy, HDR_REASON, &w), 0);
	IS(message_value(msg, HDR_TO), "one");
	IS(message_value(msg, HDR_REASON), "one");
	assert_int_equal(message_clone(&third, copy), 0);
	mem_deref(msg);
	mem_deref(copy);
	IS(message_value(third, HDR_TO), "two");
	IS(message_value(third, HDR_REASON), "two");
	IS(message_value(third, HDR_CALL_ID), "c1@h");
	mem_deref(third);
	(void)state;
}

static void headers_in_the_set_are_left_out(void **state)
{
	struct message *msg =
		scan(BASE "Route: <sip:1>\r\nZ: y\r\nl: 0\r\n\r\n");
	struct header_set set = { 1ull << HDR_VIA | 1ull << HDR_ROUTE };
	struct mbuf *mb = mbuf_alloc(1);
	static const char expected[] = FROM TO ID CSEQ "Z: y\r\n";

	assert_int_equal(message_write_headers(mb, msg, set), 0);
	assert_int_equal(mb->end, sizeof(expected) - 1);
	assert_memory_equal(mb->buf, expected, mb->end);
	mem_deref(mb);
	mem_deref(msg);
	(void)state;
}

/* Scan, edit and clone; the first error ends it and frees all */
static int work(struct mbuf *mb)
{
	const struct pl v = { "value", 5 }, uri = { "sip:a@b.c", 9 };
	struct message *msg = NULL, *copy = NULL;
	struct scan_result result;
	int err, i;

	err = message_scan(&msg, mb, &result);
	if (err)
		return err;
	err = message_set(msg, HDR_TO, &v);
	for (i = 0; i < 40 && !err; ++i)
		err = message_add(msg, HDR_REASON, &v);
	if (!err)
		err = message_set_ruri(msg, &uri);
	if (!err)
		err = message_clone(&copy, msg);
	if (!err)
		err = message_set_body(copy, &v, "text/plain");
	mem_deref(copy);
	mem_deref(msg);
	return err;
}

static void each_allocation_may_fail(void **state)
{
	size_t len;
	char *text = many(100, "A: b\r\n", &len);
	struct mbuf *mb = bytes(text, len);
	long n;
	int err;

	for (n = 0;; ++n) {
		allocations = n;
		err = work(mb);
		if (allocations >= 0)
			break;
		assert_int_equal(err, ENOMEM);
	}
	allocations = -1;
	assert_int_equal(err, 0);
	/* message and headers of scan and clone, edits, lines, chunks: else
	 * nothing was stepped through */
	assert_true(n >= 8);
	mem_deref(mb);
	free(text);
	(void)state;
}

static uint64_t cost(const char *text, size_t len)
{
	struct scan_result result;
	struct timespec a, b;
	struct message *msg;
	struct mbuf *mb;
	uint64_t best = UINT64_MAX, t;
	int i;

	for (i = 0; i < 15; ++i) {
		mb = bytes(text, len);
		msg = NULL;
		clock_gettime(CLOCK_MONOTONIC, &a);
		(void)message_scan(&msg, mb, &result);
		clock_gettime(CLOCK_MONOTONIC, &b);
		t = (uint64_t)(b.tv_sec - a.tv_sec) * 1000000000 +
		    (uint64_t)b.tv_nsec - (uint64_t)a.tv_nsec;
		if (t < best)
			best = t;
		mem_deref(msg);
		mem_deref(mb);
	}

	return best;
}

/* Lines of which a careless scan looks at each again and again */
static void time_grows_linearly_with_length(void **state)
{
	static const char *const lines[] = {
		"\r\n ", "a\n", "\r", "a,", ";a", "\"\\",   "<",
		"X\r\n", " ",   "\t", "(",  "a=", "\n\r\n", "a: \"b\r\n",
	};
	static const char *const heads[] = {
		"", "From: ", "Via: SIP/2.0/U h", "CSeq: ", "l: ", "Via: "
	};
	char *text[2];
	uint64_t small, large;
	size_t len, i, k, j, n;

	for (i = 0; i < sizeof(lines) / sizeof(*lines); ++i) {
		for (k = 0; k < sizeof(heads) / sizeof(*heads); ++k) {
			for (j = 0; j < 2; ++j) {
				n = (j ? 65536 : 4096);
				text[j] = malloc(n + 128);
				memcpy(text[j], LINE, sizeof(LINE));
				strcat(text[j], heads[k]);
				len = strlen(text[j]);
				while (len < n) {
					memcpy(text[j] + len, lines[i],
					       strlen(lines[i]));
					len += strlen(lines[i]);
				}
				text[j][len] = 0;
			}
			/* lengths differ by a line at most; NUL ends neither */
			small = cost(text[0], 4096);
			large = cost(text[1], 65536);
			/* 16 times the length: 256 times the time if squared */
			if (large > 64 * (small + 500))
				fail_msg("'%s' after '%s': %lu and %lu ns",
					 lines[i], heads[k],
					 (unsigned long)small,
					 (unsigned long)large);
			free(text[0]);
			free(text[1]);
		}
	}
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_request_is_cut_into_ranges),
		cmocka_unit_test(a_response_takes_its_method_from_cseq),
		cmocka_unit_test(
			of_from_and_to_of_a_response_only_the_tags_must_be_readable),
		cmocka_unit_test(
			a_line_ends_early_wherever_a_control_character_stands),
		cmocka_unit_test(
			a_call_id_has_no_blank_and_no_control_wherever_it_stands),
		cmocka_unit_test(
			a_name_differs_in_the_case_of_its_letters_only),
		cmocka_unit_test(folding_becomes_blanks_in_place),
		cmocka_unit_test(each_trick_ends_the_scan_with_its_reason),
		cmocka_unit_test(a_line_at_fault_never_becomes_a_header),
		cmocka_unit_test(what_is_beyond_content_length_is_cut_off),
		cmocka_unit_test(headers_have_bounds_in_number_and_bytes),
		cmocka_unit_test(sixteen_kilobytes_of_headers_are_the_most),
		cmocka_unit_test(each_name_is_found_in_both_forms),
		cmocka_unit_test(each_method_is_found_with_its_case_only),
		cmocka_unit_test(tokens_are_found_in_all_headers_of_an_id),
		cmocka_unit_test(edits_lie_on_top_of_the_bytes),
		cmocka_unit_test(a_value_cannot_end_its_line),
		cmocka_unit_test(ranges_stay_good_while_edits_grow),
		cmocka_unit_test(a_clone_has_edits_of_its_own),
		cmocka_unit_test(headers_in_the_set_are_left_out),
		cmocka_unit_test(each_allocation_may_fail),
		cmocka_unit_test(time_grows_linearly_with_length),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
