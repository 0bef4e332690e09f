/*
 * Call records as files: whole lines, closed when full or old, none lost or twice
 */
#include "database_fixture.h"
#include <fcntl.h>
#include <limits.h>
#include <sys/resource.h>
#include <signal.h>
#include "records_fixture.h"

enum {
	N = 4
};

static const char *const names[N] = { "record-type", "record-version",
				      "sequence", "time" };
static const size_t time_field[] = { 3, N };
static char dir[80];
static struct ledger *l;

static bool types_are_numbers; /* here; not what the SBC writes */

static bool is_number(size_t n)
{
	return n == 1 || n == 2 || (!n && types_are_numbers);
}

static struct ledger_setup setup_of(bool csv, bool json)
{
	struct ledger_setup s = { dir, csv, json, 1000000, 5, 0 };

	return s;
}

static int begin(void **s)
{
	int err = folder_make(s);

	snprintf(dir, sizeof(dir), "%s/cdr", folder);
	return err ? err : ledger_alloc(&l, names, N, time_field, is_number);
}

static void remove_all(const char *at)
{
	DIR *d = opendir(at);
	struct dirent *e;

	while (d && (e = readdir(d)))
		(void)unlinkat(dirfd(d), e->d_name, 0);
	if (d)
		closedir(d);
	(void)rmdir(at);
}

static int finish(void **s)
{
	ledger_close(l);
	l = NULL;
	remove_all(dir);
	return folder_drop(s);
}

static int write_at(uint64_t sequence, const char *type, uint64_t now)
{
	const char time[] = "2026-11-21T17:46:09.123Z";
	char all[256];
	int n = snprintf(all, sizeof(all), "%s1%llu", type,
			 (unsigned long long)sequence);
	const uint16_t length[N] = { (uint16_t)strlen(type), 1,
				     (uint16_t)(n - 1 - (int)strlen(type)),
				     sizeof(time) - 1 };
	const struct strip fields = { length, all, N,
				      (size_t)n + sizeof(time) - 1 };

	strcpy(all + n, time);
	return ledger_write(l, &fields, sequence, now);
}

static void put(uint64_t sequence, const char *type)
{
	assert_int_equal(write_at(sequence, type, 1), 0);
	assert_int_equal(ledger_flush(l), 0);
}

/* Names in the folder, sorted, a blank between them */
static const char *files(void)
{
	static char all[4096];
	struct dirent **list;
	int n = scandir(dir, &list, NULL, alphasort);

	all[0] = '\0';
	for (int i = 0; i < n; i++) {
		if (list[i]->d_name[0] != '.') {
			if (*all)
				strcat(all, " ");
			strcat(all, list[i]->d_name);
		}
		free(list[i]);
	}
	free(list);
	return all;
}

static const char *text(const char *name)
{
	static char buf[65536];
	char file[200];
	ssize_t n;
	int fd;

	snprintf(file, sizeof(file), "%s/%s", dir, name);
	fd = open(file, O_RDONLY);
	assert_true(fd >= 0);
	n = read(fd, buf, sizeof(buf) - 1);
	close(fd);
	buf[n] = '\0';
	return buf;
}

#define FIRST "cdr-20261121-174609-0001"
#define HEAD  "record-type,record-version,sequence,time\n"
#define TIME  ",2026-11-21T17:46:09.123Z\n"

static void a_file_is_part_until_it_is_closed(void **s)
{
	struct ledger_setup setup = setup_of(true, true);

	assert_int_equal(ledger_follow(l, &setup, 0), 0);
	assert_string_equal(files(), "");
	put(1, "stop");
	assert_string_equal(files(), FIRST ".csv.part " FIRST ".jsonl.part");
	ledger_close(l);
	l = NULL;
	assert_string_equal(files(), FIRST ".csv " FIRST ".jsonl");
	assert_string_equal(text(FIRST ".csv"), HEAD "stop,1,1" TIME);
	assert_string_equal(text(FIRST ".jsonl"),
			    "{\"record-type\":\"stop\",\"record-version\":1,"
			    "\"sequence\":1,"
			    "\"time\":\"2026-11-21T17:46:09.123Z\"}\n");
	(void)s;
}

static void texts_are_quoted_as_each_form_wants_it(void **s)
{
	static const struct {
		const char *text, *csv, *json;
	} rows[] = {
		{ "plain", "plain", "\"plain\"" },
		{ "a,b", "\"a,b\"", "\"a,b\"" },
		{ "say \"no\"", "\"say \"\"no\"\"\"", "\"say \\\"no\\\"\"" },
		{ "two\nlines", "\"two\nlines\"", "\"two\\u000alines\"" },
		{ "back\\slash", "back\\slash", "\"back\\\\slash\"" },
		{ "\x01", "\x01", "\"\\u0001\"" },
		{ "\xc3\xa4", "\xc3\xa4", "\"\xc3\xa4\"" },
	};
	struct ledger_setup setup = setup_of(true, true);

	assert_int_equal(ledger_follow(l, &setup, 0), 0);
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		put(i + 1, rows[i].text);
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		assert_non_null(strstr(text(FIRST ".csv.part"), rows[i].csv));
		assert_non_null(
			strstr(text(FIRST ".jsonl.part"), rows[i].json));
	}
	(void)s;
}

/* acli.md 2.2: numbers are numbers; what is none in a field for them is a text */
static void numbers_are_numbers_in_json(void **s)
{
	static const struct {
		const char *text, *json;
	} rows[] = {
		{ "0", ":0," },
		{ "17", ":17," },
		{ "9223372036854775807", ":9223372036854775807," },
		{ "9223372036854775808", ":\"9223372036854775808\"," },
		{ "007", ":\"007\"," },
		{ "-1", ":\"-1\"," },
		{ "1e5", ":\"1e5\"," },
		{ "x", ":\"x\"," },
	};
	struct ledger_setup setup = setup_of(false, true);

	types_are_numbers = true;
	ledger_close(l);
	assert_int_equal(ledger_alloc(&l, names, N, time_field, is_number), 0);
	types_are_numbers = false;
	assert_int_equal(ledger_follow(l, &setup, 0), 0);
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		put(i + 1, rows[i].text);
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		assert_non_null(
			strstr(text(FIRST ".jsonl.part"), rows[i].json));
	(void)s;
}

static void empty_fields_stand_in_csv_and_are_left_out_in_json(void **s)
{
	struct ledger_setup setup = setup_of(true, true);

	assert_int_equal(ledger_follow(l, &setup, 0), 0);
	put(1, "");
	assert_string_equal(text(FIRST ".csv.part"), HEAD ",1,1" TIME);
	assert_null(strstr(text(FIRST ".jsonl.part"), "record-type"));
	(void)s;
}

static void a_full_file_is_closed_and_the_oldest_go(void **s)
{
	struct ledger_setup setup = setup_of(true, false);

	setup.size_max = 100;
	setup.files_max = 2;
	assert_int_equal(ledger_follow(l, &setup, 0), 0);
	for (uint64_t i = 1; i <= 9; i++)
		put(i, "stop");
	/* two lines each; the first two are gone */
	assert_string_equal(files(), "cdr-20261121-174609-0003.csv "
				     "cdr-20261121-174609-0004.csv "
				     "cdr-20261121-174609-0005.csv.part");
	assert_string_equal(text("cdr-20261121-174609-0004.csv"),
			    HEAD "stop,1,7" TIME "stop,1,8" TIME);
	(void)s;
}

static void an_old_file_is_closed_without_another_record(void **s)
{
	struct ledger_setup setup = setup_of(true, false);

	setup.age_max = 60;
	assert_int_equal(ledger_follow(l, &setup, 0), 0);
	assert_int_equal(write_at(1, "stop", 100), 0);
	assert_int_equal(ledger_turn(l, 159, false), 0);
	assert_string_equal(files(), FIRST ".csv.part");
	assert_int_equal(ledger_turn(l, 160, false), 0);
	assert_string_equal(files(), FIRST ".csv");
	assert_string_equal(text(FIRST ".csv"), HEAD "stop,1,1" TIME);
	(void)s;
}

static void without_an_age_it_stays_open_and_may_be_closed_by_hand(void **s)
{
	struct ledger_setup setup = setup_of(true, false);

	assert_int_equal(ledger_follow(l, &setup, 0), 0);
	put(1, "stop");
	assert_int_equal(ledger_turn(l, UINT64_MAX, false), 0);
	assert_string_equal(files(), FIRST ".csv.part");
	assert_int_equal(ledger_turn(l, 1, true), 0);
	assert_string_equal(files(), FIRST ".csv");
	put(2, "stop");
	assert_string_equal(files(), FIRST ".csv "
					   "cdr-20261121-174609-0002.csv.part");
	(void)s;
}

static void a_form_that_begins_has_no_past(void **s)
{
	struct ledger_setup setup = setup_of(true, false);
	uint64_t last = 0;

	assert_false(ledger_last(l, &last));
	assert_int_equal(ledger_follow(l, &setup, 7), 0);
	assert_true(ledger_last(l, &last));
	assert_int_equal(last, 7);
	put(8, "stop");
	setup.json = true;
	assert_int_equal(ledger_follow(l, &setup, 8), 0);
	assert_true(ledger_last(l, &last));
	assert_int_equal(last, 8);
	/* one that it has is not written twice */
	put(8, "stop");
	assert_string_equal(files(), FIRST ".csv.part");
	setup.csv = false;
	assert_int_equal(ledger_follow(l, &setup, 8), 0);
	assert_string_equal(files(), FIRST ".csv");
	put(9, "stop");
	assert_string_equal(files(), FIRST ".csv " FIRST ".jsonl.part");
	(void)s;
}

/* Cut at every byte: what is whole stays, and what lacks is named */
static void a_file_left_open_is_mended_wherever_it_was_cut(void **s)
{
	char whole[4096], file[200];
	struct ledger_setup setup = setup_of(true, false);
	size_t n, begins[4], lines = 0;
	uint64_t last;

	assert_int_equal(ledger_follow(l, &setup, 0), 0);
	for (uint64_t i = 1; i <= 3; i++)
		put(i, i == 2 ? "a,\"b\"" : "stop");
	strcpy(whole, text(FIRST ".csv.part"));
	n = strlen(whole);
	for (size_t i = 0; i < n; i++)
		if (whole[i] == '\n')
			begins[lines++] = i + 1;
	assert_int_equal(lines, 4);

	for (size_t cut = 0; cut <= n; cut++) {
		uint64_t kept = 0;
		int fd;

		ledger_close(l);
		remove_all(dir);
		assert_int_equal(mkdir(dir, 0700), 0);
		snprintf(file, sizeof(file), "%s/" FIRST ".csv.part", dir);
		fd = open(file, O_WRONLY | O_CREAT, 0600);
		assert_int_equal(write(fd, whole, cut), (ssize_t)cut);
		close(fd);
		for (size_t i = 1; i < 4; i++)
			kept += cut >= begins[i];

		assert_int_equal(
			ledger_alloc(&l, names, N, time_field, is_number), 0);
		assert_int_equal(ledger_follow(l, &setup, 3), 0);
		assert_true(ledger_last(l, &last));
		assert_int_equal(last, kept ? kept : 3);
		if (kept)
			assert_int_equal(strlen(text(FIRST ".csv")),
					 begins[kept]);
		else
			assert_string_equal(files(), "");
	}
	(void)s;
}

static void what_a_full_disk_refused_is_asked_for_again(void **s)
{
	struct rlimit limit, small = { 150, RLIM_INFINITY };
	struct ledger_setup setup = setup_of(true, true);
	uint64_t last;

	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &limit);
	assert_int_equal(ledger_follow(l, &setup, 0), 0);
	put(1, "stop");
	small.rlim_max = limit.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	for (uint64_t i = 2; i <= 4; i++)
		assert_int_equal(write_at(i, "stop", 1), 0);
	assert_int_equal(ledger_flush(l), EFBIG);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	assert_true(ledger_last(l, &last));
	assert_int_equal(last, 1);
	assert_string_equal(text(FIRST ".csv.part"), HEAD "stop,1,1" TIME);
	for (uint64_t i = 2; i <= 4; i++)
		put(i, "stop");
	assert_string_equal(text(FIRST ".csv.part"),
			    HEAD "stop,1,1" TIME "stop,1,2" TIME "stop,1,3" TIME
				 "stop,1,4" TIME);
	(void)s;
}

static void a_folder_that_cannot_be_made_is_said(void **s)
{
	struct ledger_setup setup = {
		"/proc/none/here", true, false, 100, 5, 0
	};
	uint64_t last;

	assert_int_equal(ledger_follow(l, &setup, 0), ENOENT);
	assert_false(ledger_last(l, &last));
	assert_int_equal(write_at(1, "stop", 1), 0);
	(void)s;
}

/* --- through the database -------------------------------------------------- */

static void record(struct database *db, const char *session)
{
	struct record r = { 0 };

	pl_set_str(&r.field[0], "stop");
	pl_set_str(&r.field[4], session);
	pl_set_str(&r.field[12], "2026-11-21T17:46:09.123Z");
	assert_int_equal(record_put(db, &r), 0);
}

static unsigned lines_of(const char *name)
{
	const char *p = text(name);
	unsigned n = 0;

	while ((p = strchr(p, '\n'))) {
		p++;
		n++;
	}
	return n;
}

static struct database *open_records(void)
{
	struct database *db = open_here();

	assert_int_equal(records_open(db), 0);
	return db;
}

static void records_go_to_the_file_once_over_restarts(void **s)
{
	struct ledger_setup setup = setup_of(false, true);
	struct database *db = open_records();
	struct records_state state;

	record(db, "before");
	assert_int_equal(database_flush(db, 0), 0);
	assert_int_equal(records_follow(db, &setup, 1), 0);
	record(db, "one");
	record(db, "two");
	assert_int_equal(database_flush(db, 0), 0);
	assert_int_equal(records_state(db, &state), 0);
	assert_int_equal(state.records, 3);
	assert_int_equal(state.pending, 0);
	assert_int_equal(state.errors, 0);
	assert_non_null(strstr(state.file, FIRST ".jsonl.part"));
	database_close(db);

	assert_string_equal(files(), FIRST ".jsonl");
	assert_null(strstr(text(FIRST ".jsonl"), "before"));
	assert_int_equal(lines_of(FIRST ".jsonl"), 2);

	db = open_records();
	assert_int_equal(records_follow(db, &setup, 1), 0);
	record(db, "three");
	assert_int_equal(database_flush(db, 0), 0);
	database_close(db);
	assert_int_equal(lines_of("cdr-20261121-174609-0002.jsonl"), 1);
	(void)s;
}

/* Though both wait for the same turn of the writer */
static void a_file_begins_with_the_record_put_after_it_was_asked_for(void **s)
{
	struct ledger_setup setup = setup_of(false, true);
	struct database *db = open_records();

	record(db, "before");
	assert_int_equal(records_follow(db, &setup, 1), 0);
	record(db, "after");
	assert_int_equal(database_flush(db, 0), 0);
	database_close(db);
	assert_null(strstr(text(FIRST ".jsonl"), "before"));
	assert_non_null(strstr(text(FIRST ".jsonl"), "after"));
	(void)s;
}

static void what_sigkill_kept_from_the_file_follows(void **s)
{
	struct ledger_setup setup = setup_of(true, false);
	struct database *db = open_records();
	pid_t child;
	int status;

	database_close(db);
	child = fork();
	if (!child) {
		db = open_records();
		(void)records_follow(db, &setup, 1);
		record(db, "one");
		(void)database_flush(db, 0);
		/* in the journal alone */
		record(db, "two");
		record(db, "three");
		raise(SIGKILL);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status));
	assert_string_equal(files(), FIRST ".csv.part");

	db = open_records();
	record(db, "four");
	assert_int_equal(records_follow(db, &setup, 1), 0);
	assert_int_equal(database_flush(db, 0), 0);
	database_close(db);
	assert_string_equal(files(), FIRST ".csv "
					   "cdr-20261121-174609-0002.csv");
	assert_int_equal(lines_of(FIRST ".csv"), 2);
	assert_non_null(strstr(text("cdr-20261121-174609-0002.csv"), "four"));
	(void)s;
}

static void works(bool well, const char *why_not, void *arg)
{
	int *news = arg;

	news[well]++;
	(void)why_not;
}

static void a_folder_that_is_gone_stops_no_record_and_is_told_once(void **s)
{
	struct ledger_setup setup = setup_of(true, false);
	struct ledger_setup bad = { "/proc/none/here", true, false, 100, 5, 0 };
	struct database *db = open_records();
	struct records_state state;
	int news[2] = { 0, 0 };

	records_news(db, works, news);
	assert_int_equal(records_follow(db, &bad, 1), 0);
	record(db, "one");
	assert_int_equal(database_flush(db, 0), 0);
	assert_int_equal(number_in(db, "SELECT count(*) FROM record"), 1);
	assert_int_equal(news[0], 1);
	assert_int_equal(records_follow(db, &setup, 1), 0);
	record(db, "two");
	assert_int_equal(database_flush(db, 0), 0);
	assert_int_equal(news[0], 1);
	assert_int_equal(news[1], 1);
	assert_int_equal(records_state(db, &state), 0);
	assert_int_equal(state.errors, 1);
	database_close(db);
	assert_int_equal(lines_of(FIRST ".csv"), 2);
	(void)s;
}

int main(void)
{
#define HERE(f) cmocka_unit_test_setup_teardown(f, begin, finish)
	const struct CMUnitTest tests[] = {
		HERE(a_file_is_part_until_it_is_closed),
		HERE(texts_are_quoted_as_each_form_wants_it),
		HERE(numbers_are_numbers_in_json),
		HERE(empty_fields_stand_in_csv_and_are_left_out_in_json),
		HERE(a_full_file_is_closed_and_the_oldest_go),
		HERE(an_old_file_is_closed_without_another_record),
		HERE(without_an_age_it_stays_open_and_may_be_closed_by_hand),
		HERE(a_form_that_begins_has_no_past),
		HERE(a_file_left_open_is_mended_wherever_it_was_cut),
		HERE(what_a_full_disk_refused_is_asked_for_again),
		HERE(a_folder_that_cannot_be_made_is_said),
		HERE(records_go_to_the_file_once_over_restarts),
		HERE(a_file_begins_with_the_record_put_after_it_was_asked_for),
		HERE(what_sigkill_kept_from_the_file_follows),
		HERE(a_folder_that_is_gone_stops_no_record_and_is_told_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
