/*
 * Audit log: no secret of a line is written, however it was typed
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include "cli/audit.h"
#include "cli/words.h"

static void secrets_are_masked_however_they_were_typed(void **s)
{
	static const struct {
		const char *line;
		bool first; /* names a secret parameter at this place */
		const char *masked;
	} rows[] = {
		{ "", false, "" },
		{ "show version", false, "show version" },
		{ "password a", false, "password ********" },
		{ "  PassWord   a  ", false, "PassWord ********" },
		{ "password \"a b\"", false, "password ********" },
		{ "password \"a \\\" b\" c", false,
		  "password ******** ********" },
		{ "password \"open a b", false, "password ********" },
		{ "password", false, "password" },
		{ "passwort a", false, "passwort ********" },
		{ "pas a", false, "pas ********" },
		{ "pa a", true, "pa ********" },
		{ "p a", true, "p ********" },
		{ "p a", false, "p a" },
		{ "secret a", false, "secret ********" },
		{ "secrets a b", false, "secrets ******** ********" },
		{ "key-set a", false, "key-set ********" },
		{ "hep-password a", false, "hep-password ********" },
		{ "hep-pass a", false, "hep-pass ********" },
		{ "configure terminal system-config hep-p a", false,
		  "configure terminal system-config hep-p ********" },
		{ "configure terminal security", false,
		  "configure terminal security" },
		{ "surrogate-agent example.net alice pbx-a", false,
		  "surrogate-agent example.net alice pbx-a" },
		{ "description \"the password is\" x", false,
		  "description \"the password is\" x" },
		{ "| password a", false, "| password ********" },
	};
	char out[LINE_MAX_BYTES + 1];
	(void)s;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		audit_mask(out, sizeof(out), rows[i].line, rows[i].first);
		assert_string_equal(out, rows[i].masked);
	}
}

static void a_long_line_is_cut_and_not_overrun(void **s)
{
	char line[64], out[16];
	(void)s;

	for (size_t n = 1; n < sizeof(line); n++) {
		memset(line, 'x', n - 1);
		line[n - 1] = '\0';
		if (n > 8)
			line[n / 2] = ' ';
		memset(out, '!', sizeof(out));
		audit_mask(out, sizeof(out), line, n % 2);
		assert_true(strnlen(out, sizeof(out)) < sizeof(out));
	}
}

static char *slurp(const char *path)
{
	static char text[8192];
	FILE *f = fopen(path, "r");
	size_t n = f ? fread(text, 1, sizeof(text) - 1, f) : 0;

	if (f)
		fclose(f);
	text[n] = '\0';

	return text;
}

static void what_would_end_a_line_is_escaped(void **s)
{
	char folder[] = "/tmp/sbc_audit_XXXXXX", path[64];
	const struct audit_who who = { 7, 1000, "anna@local", "superuser",
				       "surrogate-agent" };
	struct config *cfg;
	struct audit *a;
	const char *text;
	(void)s;

	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/audit.log", folder);
	assert_int_equal(config_alloc(&cfg), 0);
	assert_int_equal(audit_open(&a), 0);
	audit_line(a, &who, "before it follows a configuration");
	assert_int_equal(access(path, F_OK), -1);
	audit_follow(a, cfg, folder);
	audit_line(a, &who, "x\" role=superuser\ncmd=\"y\\\x01");
	audit_result(a, &who, "done", true, "a \"b\"");
	audit_result(a, &who, "done", false, "");
	audit_event(a, &who, "logout", "");
	assert_true(audit_works(a));
	text = slurp(path);
	assert_non_null(strstr(
		text, "Z conn=7 uid=1000 user=anna@local role=superuser "
		      "path=surrogate-agent cmd=\"x\\\" role=superuser\\x0acmd="
		      "\\\"y\\\\\\x01\"\n"));
	assert_non_null(strstr(
		text, "cmd=\"done\" result=ok change=\"a \\\"b\\\"\"\n"));
	assert_non_null(strstr(text, "cmd=\"done\" result=failed\n"));
	assert_non_null(strstr(text, " event=logout\n"));
	audit_close(a);
	config_give(cfg);
	(void)unlink(path);
	assert_int_equal(rmdir(folder), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(secrets_are_masked_however_they_were_typed),
		cmocka_unit_test(a_long_line_is_cut_and_not_overrun),
		cmocka_unit_test(what_would_end_a_line_is_escaped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
