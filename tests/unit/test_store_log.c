/*
 * One event is one line, whatever its values hold
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "store/log.h"

static char folder[] = "/tmp/test_store_log.XXXXXX";
static char path[64];

static int begin(void **s)
{
	(void)s;
	assert_non_null(mkdtemp(folder));
	(void)snprintf(path, sizeof(path), "%s/sbc.log", folder);
	return 0;
}

static int end(void **s)
{
	(void)s;
	(void)unlink(path);
	(void)rmdir(folder);
	return 0;
}

static char *everything(void)
{
	static char text[4 * 1024 * 1024];
	FILE *f = fopen(path, "r");
	size_t n;

	assert_non_null(f);
	n = fread(text, 1, sizeof(text) - 1, f);
	text[n] = '\0';
	(void)fclose(f);
	(void)unlink(path);
	return text;
}

static void open_log(const char *format)
{
	struct log_setup setup = { "file", format, folder };

	assert_int_equal(log_open(&setup), 0);
}

static void a_line_has_time_level_component_event_and_fields(void **s)
{
	char *text;
	(void)s;

	open_log("text");
	log_warning(SURROGATE, "reg-refused",
		    "aor=%s code=%u text=\"next try in %u s\"", "a@x.test",
		    403u, 300u);
	log_close();

	text = everything();
	assert_int_equal(text[10], 'T');
	assert_string_equal(
		text + 24,
		" WARNING surrogate reg-refused aor=a@x.test code=403 "
		"text=\"next try in 300 s\"\n");
}

static void a_value_forges_neither_field_nor_line(void **s)
{
	static const struct {
		const char *value, *line;
	} rows[] = {
		{ "x\n2026 fake", " aor=\"x\\x0a2026 fake\" code=1\n" },
		{ "x code=200", " aor=\"x code=200\" code=1\n" },
		{ "a\"b\\", " aor=\"a\\\"b\\\\\" code=1\n" },
		{ "", " aor=\"\" code=1\n" },
		{ "%n%s", " aor=%n%s code=1\n" },
		{ "x\x1e"
		  "level=1",
		  " text=\"\\x1eaor=x\\x1elevel=1\\x1e"
		  "code=1\"\n" },
	};
	(void)s;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char *text;

		open_log("text");
		log_warning(SIPD, "e", "aor=%s code=%d", rows[i].value, 1);
		log_close();
		text = everything();
		assert_string_equal(text + 24 + strlen(" WARNING sipd e"),
				    rows[i].line);
	}
}

static void json_lines_stay_json(void **s)
{
	char *text;
	(void)s;

	open_log("json");
	log_warning(DB, "e", "why=%s", "a \"b\" \x01\xff");
	log_close();
	text = everything();
	assert_non_null(strstr(text, "\"level\":\"WARNING\",\"component\":"
				     "\"db\",\"event\":\"e\",\"why\":\"a "
				     "\\\"b\\\" \\u0001\\u00ff\"}\n"));
}

static void a_line_that_is_too_long_is_cut_and_ended(void **s)
{
	char *text, *big = malloc(20000);
	(void)s;

	memset(big, 'x', 19999);
	big[19999] = '\0';
	open_log("text");
	log_warning(SIPD, "e", "a=%s b=%d", big, 1);
	log_warning(SIPD, "f", "a=%d", 1);
	log_close();
	text = everything();
	assert_non_null(strchr(text, '\n'));
	assert_true(strchr(text, '\n') - text < 4096);
	assert_non_null(strstr(text, " f a=1\n"));
	free(big);
}

static void levels_are_words_or_numbers(void **s)
{
	(void)s;

	assert_int_equal(log_level_parse("NOTICE"), LEVEL_NOTICE);
	assert_int_equal(log_level_parse("debug"), LEVEL_DEBUG);
	assert_int_equal(log_level_parse("NONE"), 0);
	assert_int_equal(log_level_parse("10"), LEVEL_DETAIL);
	assert_int_equal(log_level_parse("11"), -1);
	assert_int_equal(log_level_parse(""), -1);
	assert_int_equal(log_level_parse("-1"), -1);

	assert_true(log_on(SIPD, LEVEL_NOTICE));
	assert_false(log_on(SIPD, LEVEL_INFO));
	log_level_set(SIPD, LEVEL_DEBUG);
	assert_true(log_on(SIPD, LEVEL_DEBUG));
	assert_false(log_on(AUTH, LEVEL_DEBUG));
	log_level_set(LOG_COMPONENTS, LEVEL_ZERO);
	assert_false(log_on(SIPD, LEVEL_EMERGENCY));
	log_level_set(LOG_COMPONENTS, LEVEL_NOTICE);
}

static void nothing_is_formatted_for_a_level_that_is_off(void **s)
{
	int evaluated = 0;
	(void)s;

	log_debug(SIPD, "e", "a=%d", ++evaluated);
	assert_int_equal(evaluated, 0);
}

static void an_event_of_strangers_is_limited(void **s)
{
	unsigned yes = 0;
	(void)s;

	for (int i = 0; i < 1000; i++)
		yes += log_admit("flood");
	/* Two seconds may have been touched */
	assert_in_range(yes, 10, 20);
	assert_true(log_admit("another"));
}

enum {
	THREADS = 4,
	LINES = 500
};

static void *many_lines(void *arg)
{
	for (int i = 0; i < LINES; i++)
		log_warning(MEDIA, "many", "n=%d", i);

	return arg;
}

static void lines_of_many_threads_are_whole(void **s)
{
	pthread_t threads[THREADS];
	unsigned whole = 0;
	char *text, *line;
	(void)s;

	open_log("text");
	for (int i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, many_lines, NULL);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	log_close();

	text = everything();
	for (line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
		if (strstr(line, "log-limited")) /* of the test above */
			continue;
		assert_memory_equal(line + 24, " WARNING media many n=", 22);
		whole++;
	}
	assert_int_equal(whole, THREADS * LINES);
}

static void a_wrong_target_or_folder_is_refused(void **s)
{
	struct log_setup what = { "printer", "text", NULL };
	struct log_setup nowhere = { "file", "text", NULL };
	struct log_setup missing = { "file", "text", "/nonexistent/a/b" };
	(void)s;

	assert_int_equal(log_open(&what), EINVAL);
	assert_int_equal(log_open(&nowhere), EINVAL);
	assert_int_equal(log_open(&missing), ENOENT);
	log_close(); /* nothing is open: fine */
}

static void reopening_follows_a_renamed_file(void **s)
{
	char old[80];
	char *text;
	(void)s;

	open_log("text");
	log_warning(SIPD, "before", "a=%d", 1);
	log_close();
	(void)snprintf(old, sizeof(old), "%s.old", path);
	open_log("text");
	assert_int_equal(rename(path, old), 0);
	log_reopen();
	while (access(path, F_OK))
		(void)sched_yield();
	log_warning(SIPD, "after", "a=%d", 1);
	log_close();
	text = everything();
	assert_non_null(strstr(text, "after"));
	assert_null(strstr(text, "before"));
	(void)unlink(old);
}

static void a_log_that_cannot_be_written_says_so_until_it_can(void **s)
{
	(void)s;

	assert_int_equal(symlink("/dev/full", path), 0);
	open_log("text");
	log_warning(SIPD, "lost", "n=1");
	log_close();
	assert_int_equal(log_failing(), ENOSPC);
	assert_int_equal(unlink(path), 0);
	open_log("text");
	log_warning(SIPD, "kept", "n=2");
	log_close();
	assert_int_equal(log_failing(), 0);
	assert_non_null(strstr(everything(), "sipd kept n=2"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			a_log_that_cannot_be_written_says_so_until_it_can),
		cmocka_unit_test(
			a_line_has_time_level_component_event_and_fields),
		cmocka_unit_test(a_value_forges_neither_field_nor_line),
		cmocka_unit_test(json_lines_stay_json),
		cmocka_unit_test(a_line_that_is_too_long_is_cut_and_ended),
		cmocka_unit_test(levels_are_words_or_numbers),
		cmocka_unit_test(nothing_is_formatted_for_a_level_that_is_off),
		cmocka_unit_test(an_event_of_strangers_is_limited),
		cmocka_unit_test(lines_of_many_threads_are_whole),
		cmocka_unit_test(a_wrong_target_or_folder_is_refused),
		cmocka_unit_test(reopening_follows_a_renamed_file),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
