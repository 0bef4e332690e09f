/*
 * Bodies on their way to the other side: the row "body" of behaviour.md 3.1
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>
#include "store/base.h"
#include "policy/body.h"

static struct pl pl(const char *text)
{
	struct pl pl;

	pl_set_str(&pl, text);
	return pl;
}

static void sdp_is_found_in_a_body_and_in_parts(void **state)
{
	static const struct {
		const char *type, *body, *sdp;
		int err;
	} bodies[] = {
		{ "application/sdp", "v=0\r\n", "v=0\r\n", 0 },
		{ "Application/SDP;charset=x", "v=0\r\n", "v=0\r\n", 0 },
		{ "text/plain", "v=0\r\n", NULL, ENOENT },
		{ "application/sdp", "", NULL, ENOENT },
		{ "", "v=0", NULL, ENOENT },
		{ "multipart/mixed;boundary=b",
		  "preamble\r\n--b\r\nContent-Type: text/plain\r\n\r\nx\r\n"
		  "--b \r\ncontent-type : application/sdp\r\nX: y\r\n\r\n"
		  "v=0\r\ns=--b\r\n\r\n--b--\r\nepilogue",
		  "v=0\r\ns=--b\r\n", 0 },
		{ "multipart/mixed; boundary=\"b b\"",
		  "--b b\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n"
		  "--b b--",
		  "v=0", 0 },
		{ "multipart/mixed;boundary=b",
		  "--b\r\nContent-Type: text/plain\r\n\r\nx\r\n--b--\r\n", NULL,
		  ENOENT },
		{ "multipart/mixed;boundary=b",
		  "--b\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n", NULL,
		  EBADMSG },
		{ "multipart/mixed;boundary=b", "--b", NULL, EBADMSG },
		{ "multipart/mixed;boundary=b", "--b\r\n--b--", NULL, EBADMSG },
		{ "multipart/mixed;boundary=c", "--b\r\n--b--", NULL, EBADMSG },
		{ "multipart/mixed", "--b\r\n--b--", NULL, EBADMSG },
		{ "multipart/mixed;boundary=\"\"", "--\r\n", NULL, EBADMSG },
		{ "multipart/mixed;boundary="
		  "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
		  "aaaaaaaaaaaaaaaa",
		  "x", NULL, EBADMSG },
	};
	struct pl type, body, sdp;
	size_t i;
	int err;

	for (i = 0; i < sizeof(bodies) / sizeof(*bodies); ++i) {
		type = pl(bodies[i].type);
		body = pl(bodies[i].body);
		err = body_find_sdp(&type, &body, &sdp);
		if (err != bodies[i].err)
			fail_msg("row %zu: %d", i, err);
		if (!err) {
			assert_int_equal(sdp.l, strlen(bodies[i].sdp));
			assert_memory_equal(sdp.p, bodies[i].sdp, sdp.l);
		}
	}
	(void)state;
}

static struct message *message_with(const char *type, const char *body)
{
	struct mbuf *mb = mbuf_alloc(1024);
	struct scan_result result;
	struct message *msg = NULL, *clone = NULL;

	mbuf_printf(mb,
		    "INVITE sip:b@x SIP/2.0\r\n"
		    "Via: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bKx\r\n"
		    "From: <sip:a@x>;tag=1\r\nTo: <sip:b@x>\r\n"
		    "Call-ID: c\r\nCSeq: 1 INVITE\r\nContent-Type: %s\r\n"
		    "Content-Length: %zu\r\n\r\n%s",
		    type, strlen(body), body);
	mb->pos = 0;
	assert_int_equal(message_scan(&msg, mb, &result), 0);
	assert_int_equal(message_clone(&clone, msg), 0);
	mem_deref(msg);
	mem_deref(mb);

	return clone;
}

#define SDP_PART "--b\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n\r\n"
#define OWN_PART "--b\r\nContent-Type: application/x-own\r\n\r\n\x01 bytes\r\n"
#define SIP_PART "--b\r\nc: message/sipfrag\r\n\r\nSIP/2.0 200 OK\r\n"
#define MIXED    "multipart/mixed;boundary=b"

static void each_kind_of_body_crosses_as_the_row_says(void **state)
{
	static const struct {
		const char *type, *body, *sdp, *out;
		int err;
	} rows[] = {
		{ "application/sdp", "v=0\r\n", "v=1\r\n", "v=0\r\n", 0 },
		{ "text/plain", "10.0.0.1 as it is", "", "10.0.0.1 as it is",
		  0 },
		{ "application/x-own", "--b\r\n\r\n", "", "--b\r\n\r\n", 0 },
		{ "message/sipfrag;version=2.0",
		  "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 10.0.0.1\r\n"
		  "To: <sip:a@b>\r\nm: <sip:10.0.0.1>\r\n"
		  "Record-Route: <sip:10.0.0.1>,\r\n <sip:10.0.0.2>\r\n",
		  "", "SIP/2.0 200 OK\r\nTo: <sip:a@b>\r\n", 0 },
		{ "message/sip", "OPTIONS sip:x SIP/2.0\r\nv: 10.0.0.1\r\n\r\n",
		  "", "OPTIONS sip:x SIP/2.0\r\n\r\n", 0 },
		{ MIXED, OWN_PART SDP_PART "--b--\r\n", "v=1\r\n",
		  OWN_PART "--b\r\nContent-Type: application/sdp\r\n\r\n"
			   "v=1\r\n\r\n--b--\r\n",
		  0 },
		/* no SDP may cross: its part goes, the others stay */
		{ MIXED, OWN_PART SDP_PART "--b--\r\n", "",
		  OWN_PART "--b--\r\n", 0 },
		{ MIXED, SDP_PART OWN_PART "--b--\r\n", "",
		  OWN_PART "--b--\r\n", 0 },
		/* a second SDP is one that nobody has rewritten */
		{ MIXED, SDP_PART SDP_PART OWN_PART "--b--\r\n", "v=1",
		  "--b\r\nContent-Type: application/sdp\r\n\r\nv=1\r\n" OWN_PART
		  "--b--\r\n",
		  0 },
		{ MIXED,
		  "to be ignored\r\n" SIP_PART
		  "Contact: <sip:10.0.0.1>\r\n--b--\r\nalso",
		  "", "to be ignored\r\n" SIP_PART "\r\n--b--\r\nalso", 0 },
		{ MIXED,
		  "--b\r\nContent-Type: multipart/related;boundary=c\r\n\r\n"
		  "--c\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n"
		  "--c--\r\n--b--\r\n",
		  "",
		  "--b\r\nContent-Type: multipart/related;boundary=c\r\n\r\n"
		  "--c--\r\n--b--\r\n",
		  0 },
		/* an empty part: its blank line is not that of the SDP's end */
		{ MIXED,
		  "--b\r\nContent-Type: application/sdp\r\n\r\n--b--\r\n",
		  "v=1\r\n",
		  "--b\r\nContent-Type: application/sdp\r\n\r\n"
		  "v=1\r\n\r\n--b--\r\n",
		  0 },
		{ MIXED, "--b\r\nno end", "", NULL, EBADMSG },
		{ MIXED, "no part", "", NULL, EBADMSG },
		{ "multipart/mixed", OWN_PART "--b--\r\n", "", NULL, EBADMSG },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); ++i) {
		struct message *msg = message_with(rows[i].type, rows[i].body);
		struct pl sdp = pl(rows[i].sdp);
		int err = body_cross(msg, &sdp);

		if (err != rows[i].err)
			fail_msg("row %zu: %d", i, err);
		if (!err && pl_strcmp(&msg->body, rows[i].out))
			fail_msg("row %zu: %.*s", i, (int)msg->body.l,
				 msg->body.p);
		mem_deref(msg);
	}
	(void)state;
}

static void parts_within_parts_end_at_a_depth(void **state)
{
	char body[1024] = "";
	struct pl none = { "", 0 };
	struct message *msg;

	for (int i = 0; i < 8; ++i)
		strcat(body, "--b\r\nContent-Type: " MIXED "\r\n\r\n");
	strcat(body, "--b--\r\n");
	msg = message_with(MIXED, body);
	assert_int_equal(body_cross(msg, &none), EBADMSG);
	mem_deref(msg);
	(void)state;
}

static void only_sdp_by_itself_is_nothing_but_sdp(void **state)
{
	static const struct {
		const char *type, *body;
		bool is, has;
	} rows[] = {
		{ "application/sdp", "v=0\r\n", true, true },
		{ "Application/SDP;x=y", "v=0\r\n", true, true },
		{ "application/sdp", "", false, false },
		{ MIXED, SDP_PART "--b--\r\n", false, true },
		{ "text/plain", "v=0\r\n", false, false },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); ++i) {
		struct message *msg = message_with(rows[i].type, rows[i].body);
		struct pl sdp;

		assert_int_equal(body_is_sdp(msg), rows[i].is);
		assert_int_equal(body_sdp(msg, &sdp), rows[i].has);
		mem_deref(msg);
	}
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sdp_is_found_in_a_body_and_in_parts),
		cmocka_unit_test(each_kind_of_body_crosses_as_the_row_says),
		cmocka_unit_test(parts_within_parts_end_at_a_depth),
		cmocka_unit_test(only_sdp_by_itself_is_nothing_but_sdp),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
