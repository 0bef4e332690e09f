/*
 * sipmsg.log: form, masks, rotation, and what is remembered of a call
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "realms/realms.h"
#include "sbc/trace.h"

static char folder[64], path[128], text[65536];

static int setup(void **s)
{
	(void)s;
	strcpy(folder, "/tmp/trace-XXXXXX");
	if (!mkdtemp(folder))
		return -1;
	snprintf(path, sizeof(path), "%s/sipmsg.log", folder);
	trace_folder(folder);
	return 0;
}

static int teardown(void **s)
{
	char command[160];
	(void)s;

	trace_close();
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	return system(command);
}

static void copy(const char *bytes, bool out, uint8_t transport)
{
	struct sa local, peer;
	const struct trace_message m = {
		.realm = "trunk",
		.local = &local,
		.peer = &peer,
		.transport = transport,
		.out = out,
		.bytes = { .p = bytes, .l = strlen(bytes) },
	};

	assert_int_equal(sa_set_str(&local, "192.0.2.84", 5060), 0);
	assert_int_equal(sa_set_str(&peer, "198.51.100.60", 5062), 0);
	trace_message(&m);
}

/* What the file holds once all is written */
static const char *written(void)
{
	FILE *f;
	size_t n;

	assert_int_equal(trace_set(TRACE_OFF), 0);
	f = fopen(path, "r");
	assert_non_null(f);
	n = fread(text, 1, sizeof(text) - 1, f);
	text[n] = '\0';
	fclose(f);
	return text;
}

static void a_message_stands_under_its_line_as_on_the_wire(void **s)
{
	static const char options[] = "OPTIONS sip:a SIP/2.0\r\n"
				      "Call-ID: 1\r\n\r\n";
	char *line, when[64];
	(void)s;

	assert_false(trace_is_on());
	assert_int_equal(trace_set(TRACE_MASKED), 0);
	assert_true(trace_is_on());
	copy(options, true, TRANSPORT_UDP);
	copy("SIP/2.0 200 OK\r\nCall-ID: 1\r\n\r\nbody", false, TRANSPORT_TCP);
	(void)written();
	assert_false(trace_is_on());
	line = strchr(text, '\n') + 1;
	assert_memory_equal(text, "----------", 10);
	assert_int_equal(sscanf(line, "%*3s %*2d %20[0-9:.]", when), 1);
	assert_int_equal(strlen(when), 12);
	line = strchr(line, 'O');
	assert_memory_equal(line,
			    "On [trunk]192.0.2.84:5060 sent to "
			    "198.51.100.60:5062\n",
			    53);
	assert_memory_equal(strchr(line, '\n') + 1, options, strlen(options));
	assert_non_null(strstr(text, "On [trunk]192.0.2.84:5060/TCP received "
				     "from 198.51.100.60:5062\nSIP/2.0 200"));
	/* the next message begins a line of its own */
	assert_non_null(strstr(text, "\r\n\r\nbody\n"));
}

static void digest_responses_are_masked_in_every_form(void **s)
{
	/* clang-format off */
	static const struct {
		const char *line, *masked;
	} rows[] = {
		{ "Authorization: Digest username=\"a\", response=\"0123456789abcdef\"",
		  "Authorization: Digest username=\"a\", response=\"****************\"" },
		{ "Proxy-Authorization: Digest response=0123abcd,nc=1",
		  "Proxy-Authorization: Digest response=********,nc=1" },
		{ "AUTHORIZATION: Digest qop=auth,\r\n RESPONSE = \"0123\"",
		  "AUTHORIZATION: Digest qop=auth,\r\n RESPONSE = \"****\"" },
		{ "Authorization: Digest realm=\"x\",\r\n\tresponse=\"01\r\n 23\"",
		  "Authorization: Digest realm=\"x\",\r\n\tresponse=\"*******\"" },
		{ "Authentication-Info: qop=auth, rspauth=\"0123\"",
		  "Authentication-Info: qop=auth, rspauth=\"****\"" },
		{ "Authorization: Digest response=\"0123\", nonce=\"abc\"\r\n"
		  "Authorization: Digest response=\"4567\"",
		  "Authorization: Digest response=\"****\", nonce=\"abc\"\r\n"
		  "Authorization: Digest response=\"****\"" },
		{ "Authorization: Digest response=\"0123",
		  "Authorization: Digest response=\"****" },
		{ "Subject: no-response=1, responses=\"x\"",
		  "Subject: no-response=1, responses=\"x\"" },
	};
	/* clang-format on */
	(void)s;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char message[1024], expect[1024];
		bool open = !strcmp(rows[i].line + strlen(rows[i].line) - 4,
				    "0123");

		snprintf(message, sizeof(message),
			 "REGISTER sip:a SIP/2.0\r\n%s%s", rows[i].line,
			 open ? "" : "\r\n\r\nresponse=\"body\", response=1");
		snprintf(expect, sizeof(expect),
			 "REGISTER sip:a SIP/2.0\r\n%s%s", rows[i].masked,
			 open ? "" : "\r\n\r\nresponse=\"body\", response=1");
		assert_int_equal(trace_set(TRACE_MASKED), 0);
		copy(message, true, TRANSPORT_UDP);
		(void)written();
		if (!strstr(text, expect))
			fail_msg("row %zu: %s", i, text);
		assert_int_equal(unlink(path), 0);

		assert_int_equal(trace_set(TRACE_FULL), 0);
		copy(message, true, TRANSPORT_UDP);
		assert_non_null(strstr(written(), message));
		assert_int_equal(unlink(path), 0);
	}
}

static void a_full_file_makes_room_and_ten_are_kept(void **s)
{
	char old[160];
	FILE *f;
	(void)s;

	for (int i = 0; i < 12; i++) {
		f = fopen(path, "w");
		assert_non_null(f);
		fclose(f);
		assert_int_equal(truncate(path, 100 * 1000 * 1000), 0);
		assert_int_equal(trace_set(TRACE_MASKED), 0);
		copy("BYE sip:a SIP/2.0\r\nCall-ID: 1\r\n\r\n", true,
		     TRANSPORT_UDP);
		assert_string_equal(written(), "");
	}
	for (int i = 1; i <= 10; i++) {
		snprintf(old, sizeof(old), "%s.%d", path, i);
		assert_int_equal(access(old, F_OK), i < 10 ? 0 : -1);
	}
}

static void without_a_folder_it_is_refused(void **s)
{
	char nowhere[160];
	(void)s;

	snprintf(nowhere, sizeof(nowhere), "%s/a/b", folder);
	trace_folder(nowhere);
	assert_int_equal(trace_set(TRACE_MASKED), ENOENT);
	assert_false(trace_is_on());
	assert_int_equal(trace_mode(), TRACE_OFF);
	trace_folder("");
	assert_int_equal(trace_set(TRACE_FULL), ENOENT);
}

struct steps {
	char text[2048];
	size_t n;
};

static void step_write(const struct trace_step *step, const char *callid,
		       void *arg)
{
	struct steps *out = arg;

	out->n += (size_t)snprintf(
		out->text + out->n, sizeof(out->text) - out->n,
		"%s %s %s %u %s\n", callid, step->out ? ">" : "<", step->what,
		step->cseq, step->method);
}

static void steps_of_a_call_are_found_by_its_call_ids(void **s)
{
	static const char *const ids[] = { "one", "two", NULL };
	static const char *const none[] = { "", "four", NULL };
	struct steps out = { .n = 0 };
	(void)s;

	assert_int_equal(trace_set(TRACE_MASKED), 0);
	copy("INVITE sip:secret@x SIP/2.0\r\nCall-ID: one\r\n"
	     "CSeq: 7 INVITE\r\n\r\n",
	     false, TRANSPORT_UDP);
	copy("INVITE sip:a SIP/2.0\r\ni: two\r\nCSEQ :  8   INVITE\r\n\r\n",
	     true, TRANSPORT_UDP);
	copy("SIP/2.0 407 Proxy Authentication Required\r\n"
	     "CALL-ID:two\r\nCSeq: 8 INVITE\r\n\r\n",
	     false, TRANSPORT_UDP);
	copy("BYE sip:a SIP/2.0\r\nCall-ID: three\r\nCSeq: 1 BYE\r\n\r\n",
	     false, TRANSPORT_UDP);
	copy("INVITE sip:a SIP/2.0\r\nCSeq: 8 INVITE\r\n\r\nCall-ID: one\r\n",
	     false, TRANSPORT_UDP);
	copy("no message at all", false, TRANSPORT_UDP);
	(void)written();
	trace_walk(ids, step_write, &out);
	assert_string_equal(
		out.text, "one < INVITE 7 INVITE\n"
			  "two > INVITE 8 INVITE\n"
			  "two < 407 Proxy Authentication Required 8 INVITE\n");
	out.n = 0;
	out.text[0] = '\0';
	trace_walk(none, step_write, &out);
	assert_string_equal(out.text, "");
}

static void only_the_last_16384_steps_are_kept(void **s)
{
	static const char *const first[] = { "c0", NULL };
	static const char *const last[] = { "c17000", NULL };
	struct steps out = { .n = 0 };
	char message[128];
	(void)s;

	assert_int_equal(trace_set(TRACE_MASKED), 0);
	for (int i = 0; i <= 17000; i++) {
		snprintf(message, sizeof(message),
			 "BYE sip:a SIP/2.0\r\nCall-ID: c%d\r\n"
			 "CSeq: 1 BYE\r\n\r\n",
			 i);
		copy(message, true, TRANSPORT_UDP);
	}
	assert_int_equal(trace_set(TRACE_OFF), 0);
	trace_walk(first, step_write, &out);
	assert_int_equal(out.n, 0);
	trace_walk(last, step_write, &out);
	assert_string_equal(out.text, "c17000 > BYE 1 BYE\n");
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_message_stands_under_its_line_as_on_the_wire),
		T(digest_responses_are_masked_in_every_form),
		T(a_full_file_makes_room_and_ten_are_kept),
		T(without_a_folder_it_is_refused),
		T(steps_of_a_call_are_found_by_its_call_ids),
		T(only_the_last_16384_steps_are_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
