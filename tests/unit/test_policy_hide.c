/*
 * What crosses to the other side, and what does not (behaviour.md 3.1)
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "policy/hide.h"

#define HEAD                                                                   \
	"SIP/2.0 486 Busy\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\n"           \
	"From: <sip:a@h>;tag=f1\r\nTo: <sip:b@h>;tag=t\r\nCall-ID: c1@h\r\n"   \
	"CSeq: 7 INVITE\r\n"

/* What is left of these lines on the other side */
static char *cross(const char *lines, const struct hide_setup *setup)
{
	struct mbuf *mb = mbuf_alloc(4096), *out = mbuf_alloc(64);
	struct scan_result result;
	struct message *msg = NULL;
	char *text;

	assert_int_equal(mbuf_write_str(mb, HEAD), 0);
	assert_int_equal(mbuf_write_str(mb, lines), 0);
	assert_int_equal(mbuf_write_str(mb, "\r\n"), 0);
	mb->pos = 0;
	assert_int_equal(message_scan(&msg, mb, &result), 0);
	assert_int_equal(hide_edit(msg, setup), 0);
	assert_int_equal(message_write_headers(out, msg, hide_set(msg, setup)),
			 0);
	text = calloc(1, out->end + 1);
	memcpy(text, out->buf, out->end);
	mem_deref(out);
	mem_deref(msg);
	mem_deref(mb);
	return text;
}

static const struct {
	const char *in, *out;
	bool trusted, challenge, authorization;
} rows[] = {
	/* never */
	{ "", "" },
	{ "Route: <sip:x>\r\nRecord-Route: <sip:x>\r\nPath: <sip:x>\r\n"
	  "Service-Route: <sip:x>\r\nContact: <sip:x>\r\nm: <sip:y>\r\n"
	  "Proxy-Require: x\r\nAuthentication-Info: x\r\nMax-Forwards: 3\r\n"
	  "User-Agent: x\r\nServer: x\r\nOrganization: x\r\nl: 0\r\n"
	  "Proxy-Authentication-Info: x\r\n"
	  "Security-Client: x\r\nSecurity-Verify: x\r\n"
	  "Security-Server: x\r\nTarget-Dialog: x\r\nReplaces: x\r\n",
	  "", true, true, true },
	/* always */
	{ "Reason: x\r\nSubject: x\r\nDate: x\r\nPriority: x\r\n"
	  "Alert-Info: x\r\nCall-Info: x\r\nUser-to-User: x\r\n"
	  "Accept: x\r\nAccept-Language: x\r\nEvent: x\r\nExpires: 1\r\n"
	  "Session-Expires: 1\r\nRSeq: 1\r\nRAck: 1\r\nInfo-Package: x\r\n"
	  "X-Unknown:   kept as it is  \r\n",
	  "Reason: x\r\nSubject: x\r\nDate: x\r\nPriority: x\r\n"
	  "Alert-Info: x\r\nCall-Info: x\r\nUser-to-User: x\r\n"
	  "Accept: x\r\nAccept-Language: x\r\nEvent: x\r\nExpires: 1\r\n"
	  "Session-Expires: 1\r\nRSeq: 1\r\nRAck: 1\r\nInfo-Package: x\r\n"
	  "X-Unknown:   kept as it is  \r\n" },
	/* identities and Privacy stay among trusted peers */
	{ "P-Asserted-Identity: <sip:a@h>\r\nPrivacy: id\r\n", "" },
	{ "P-Asserted-Identity: <sip:a@h>\r\nPrivacy: id\r\n",
	  "P-Asserted-Identity: <sip:a@h>\r\nPrivacy: id\r\n", true },
	{ "P-Asserted-Identity: <sip:a@h>\r\n", "" },
	/* challenges and credentials */
	{ "WWW-Authenticate: x\r\nProxy-Authenticate: y\r\n", "" },
	{ "WWW-Authenticate: x\r\nProxy-Authenticate: y\r\n",
	  "WWW-Authenticate: x\r\nProxy-Authenticate: y\r\n", false, true },
	{ "Authorization: x\r\nProxy-Authorization: y\r\n", "" },
	{ "Authorization: x\r\nProxy-Authorization: y\r\n",
	  "Authorization: x\r\nProxy-Authorization: y\r\n", false, false,
	  true },
	/* options */
	{ "Supported: timer, 100rel\r\n", "Supported: timer, 100rel\r\n" },
	{ "k: timer,gruu , OUTBOUND\r\nSupported: 100rel\r\n",
	  "k: timer, 100rel\r\n" },
	{ "Supported: gruu\r\nk: path\r\n", "" },
	{ "Require: 100rel, join, gin, sec-agree\r\n", "Require: 100rel\r\n" },
	{ "Supported:\r\n", "Supported:\r\n" },
	{ "Supported: timer,,gruu\r\n", "Supported: timer\r\n" },
	/* methods */
	{ "Allow: INVITE,ACK\r\n", "Allow: INVITE,ACK\r\n" },
	{ "Allow: INVITE, FOO, BYE\r\nAllow: invite, UPDATE\r\n",
	  "Allow: INVITE, BYE, UPDATE\r\n" },
	/* warnings */
	{ "Warning: 307 isi.edu \"no 'x', and\", 301 10.0.0.1:5060 \"y\"\r\n",
	  "Warning: 307 192.0.2.1 \"no 'x', and\", 301 192.0.2.1 "
	  "\"y\"\r\n" },
	{ "Warning: 307 isi.edu\r\n", "" },
	{ "Warning: isi.edu \"x\"\r\n", "" },
};

static void the_table_holds_row_by_row(void **state)
{
	struct hide_setup setup = { 0 };
	struct sa local;
	char *text;
	size_t i;

	assert_int_equal(sa_set_str(&local, "192.0.2.1", 5060), 0);
	setup.local = &local;

	for (i = 0; i < sizeof(rows) / sizeof(*rows); ++i) {
		setup.trusted = rows[i].trusted;
		setup.challenge = rows[i].challenge;
		setup.authorization = rows[i].authorization;
		text = cross(rows[i].in, &setup);
		if (strcmp(text, rows[i].out))
			fail_msg("%s became %s", rows[i].in, text);
		free(text);
	}
	(void)state;
}

static void the_host_of_a_warning_is_ours(void **state)
{
	struct hide_setup setup = { 0 };
	struct sa local;
	char *text;

	assert_int_equal(sa_set_str(&local, "2001:db8::1", 5060), 0);
	setup.local = &local;
	text = cross("Warning: 399 10.0.0.1 \"why\"\r\n", &setup);
	assert_string_equal(text, "Warning: 399 [2001:db8::1] \"why\"\r\n");
	free(text);
	setup.local = NULL;
	text = cross("Warning: 399 10.0.0.1 \"why\"\r\n", &setup);
	assert_string_equal(text, "");
	free(text);
	(void)state;
}

static void a_fragment_loses_what_names_the_other_side(void **state)
{
	static const char *const bodies[][2] = {
		{ "SIP/2.0 200 OK\r\n", "SIP/2.0 200 OK\r\n" },
		{ "SIP/2.0 200 OK", "SIP/2.0 200 OK" },
		{ "INVITE sip:a@b SIP/2.0\r\nVIA : x\r\n y\r\nTo: z\r\n"
		  "m: <sip:c>\r\nRecord-Route: <sip:d>",
		  "INVITE sip:a@b SIP/2.0\r\nTo: z\r\n" },
		{ "To: z\r\ni: x\r\nRoute: x\r\nPath: x\r\n"
		  "Target-Dialog: x\r\nAuthorization: x\r\nX: y\r\n",
		  "To: z\r\nX: y\r\n" },
		{ "To: z\r\n\r\nVia: body\r\n", "To: z\r\n\r\nVia: body\r\n" },
		{ "", "" },
	};
	struct mbuf *mb;
	struct pl body;
	size_t i;

	for (i = 0; i < sizeof(bodies) / sizeof(*bodies); ++i) {
		mb = mbuf_alloc(8);
		pl_set_str(&body, bodies[i][0]);
		assert_int_equal(hide_fragment(mb, &body), 0);
		assert_int_equal(mb->end, strlen(bodies[i][1]));
		assert_memory_equal(mb->buf, bodies[i][1], mb->end);
		mem_deref(mb);
	}
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_table_holds_row_by_row),
		cmocka_unit_test(the_host_of_a_warning_is_ours),
		cmocka_unit_test(a_fragment_loses_what_names_the_other_side),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
