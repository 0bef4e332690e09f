/*
 * Call records: none is lost, none counted twice, whatever ends the program
 */
#include "database_fixture.h"
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include "records_fixture.h"

enum {
	HEAD = 12 /* of each record in the journal [bytes] */
};

static struct database *open_records(void)
{
	struct database *db = open_here();

	assert_int_equal(records_open(db), 0);

	return db;
}

static void put(struct database *db, const char *session)
{
	struct record record = { 0 };

	record.field[0] = (struct pl){ "stop", 4 };
	record.field[4] = (struct pl){ session, strlen(session) };
	record.field[64] = (struct pl){ "42", 2 };
	assert_int_equal(record_put(db, &record), 0);
}

static uint64_t count(struct database *db)
{
	return number_in(db, "SELECT count(*) FROM record");
}

/* Of the records in it; what is behind their end is of before */
static off_t journal_size(void)
{
	char name[160];
	uint32_t length = 0;
	off_t at = 0;
	int fd;

	snprintf(name, sizeof(name), "%s.records", path);
	fd = open(name, O_RDONLY);
	assert_true(fd >= 0);
	while (pread(fd, &length, sizeof(length), at) == sizeof(length) &&
	       length)
		at += HEAD + (length & ~(1u << 31));
	close(fd);

	return at;
}

static void the_names_are_65_and_each_once(void **s)
{
	for (size_t i = 0; i < RECORD_FIELDS; i++) {
		assert_non_null(record_names[i]);
		for (size_t k = 0; k < i; k++)
			assert_string_not_equal(record_names[i],
						record_names[k]);
	}
	/* places that acli.md 5.3 names by number */
	assert_string_equal(record_names[9], "setup-time");
	assert_string_equal(record_names[36], "auth-source");
	assert_string_equal(record_names[42], "status");
	assert_string_equal(record_names[46], "refused-step");
	assert_string_equal(record_names[64], "config-version");
	(void)s;
}

struct seen {
	unsigned n;
	char sessions[8][32], sequences[8][32];
	char type[8], node[256], version[8];
};

static void text_of(char *buf, size_t size, const struct pl *pl)
{
	snprintf(buf, size, "%.*s", (int)pl->l, pl->p);
}

static void seen_h(const struct record *record, void *arg)
{
	struct seen *seen = arg;

	assert_true(seen->n < 8);
	text_of(seen->type, 8, &record->field[0]);
	text_of(seen->sequences[seen->n], 32, &record->field[2]);
	text_of(seen->node, 256, &record->field[3]);
	text_of(seen->sessions[seen->n], 32, &record->field[4]);
	text_of(seen->version, 8, &record->field[64]);
	assert_int_equal(record->field[10].l, 0);
	seen->n++;
}

static void the_newest_are_read_first_and_numbered_over_restarts(void **s)
{
	struct database *db = open_records();
	struct seen seen = { 0 };
	char host[256] = "";

	put(db, "s1");
	put(db, "s2");
	database_close(db);
	db = open_records();
	put(db, "s3");
	assert_int_equal(database_flush(db, 0), 0);

	assert_int_equal(records_last(db, 2, seen_h, &seen), 0);
	assert_int_equal(seen.n, 2);
	assert_string_equal(seen.sessions[0], "s3");
	assert_string_equal(seen.sessions[1], "s2");
	assert_string_equal(seen.sequences[0], "3");
	assert_string_equal(seen.sequences[1], "2");
	assert_string_equal(seen.type, "stop");
	assert_string_equal(seen.version, "42");
	gethostname(host, sizeof(host) - 1);
	assert_string_equal(seen.node, host);
	database_close(db);
	(void)s;
}

static void the_sequence_goes_on_though_the_records_are_deleted(void **s)
{
	struct database *db = open_records();

	put(db, "s1");
	put(db, "s2");
	assert_int_equal(database_flush(db, 0), 0);
	assert_int_equal(database_call(db, run_sql, "DELETE FROM call_record"),
			 0);
	database_close(db);
	db = open_records();
	put(db, "s3");
	assert_int_equal(database_flush(db, 0), 0);
	assert_int_equal(number_in(db, "SELECT sequence FROM record"), 3);
	database_close(db);
	(void)s;
}

struct found {
	size_t n;
	char session[8][64];
	size_t length[8];
	bool sparse;
};

static void found_h(const struct record *record, void *arg)
{
	struct found *f = arg;
	const struct pl *session = &record->field[4];

	assert_true(f->n < 8 && session->l < sizeof(f->session[0]));
	memcpy(f->session[f->n], session->p, session->l);
	f->length[f->n++] = session->l;
	f->sparse = !record->field[63].l && record->field[0].l == 4 &&
		    !pl_strcmp(&record->field[64], "42");
}

static void every_byte_of_a_field_comes_back(void **s)
{
	static const char *const texts[] = {
		"a\"b\\c/d",    "\x01\x1f\t\n\r\x7f", "\xc3\xa4\xe2\x82\xac",
		"\xff\xfe\x80", "[\"a\",null]",       "007",
	};
	const size_t n = sizeof(texts) / sizeof(*texts);
	struct database *db = open_records();
	struct found f = { 0 };
	(void)s;

	for (size_t i = 0; i < n; i++)
		put(db, texts[i]);
	assert_int_equal(database_flush(db, 0), 0);
	assert_int_equal(records_last(db, 8, found_h, &f), 0);

	assert_int_equal(f.n, n);
	assert_true(f.sparse);
	for (size_t i = 0; i < n; i++) {
		const char *text = texts[n - 1 - i]; /* the newest is first */

		assert_int_equal(f.length[i], strlen(text));
		assert_memory_equal(f.session[i], text, strlen(text));
	}
	database_close(db);
}

static void records_of_a_table_with_columns_are_kept(void **s)
{
	struct database *db = open_records();
	struct found f = { 0 };
	(void)s;

	put(db, "before");
	assert_int_equal(database_flush(db, 0), 0);
	assert_int_equal(
		database_call(db, run_sql,
			      "CREATE TABLE old AS SELECT * FROM record;"
			      "UPDATE old SET reason = NULL;"
			      "DROP VIEW record; DELETE FROM call_record;"
			      "ALTER TABLE old RENAME TO record"),
		0);
	database_close(db);

	db = open_records();
	put(db, "after");
	assert_int_equal(database_flush(db, 0), 0);
	assert_int_equal(records_last(db, 8, found_h, &f), 0);
	assert_int_equal(f.n, 2);
	assert_true(f.sparse);
	assert_string_equal(f.session[0], "after");
	assert_string_equal(f.session[1], "before");
	assert_int_equal(number_in(db, "SELECT max(sequence) FROM record"), 2);
	database_close(db);
}

static void the_journal_is_empty_once_they_are_in_the_database(void **s)
{
	struct database *db = open_records();

	assert_int_equal(database_start(db, NULL, NULL), 0);
	for (int i = 0; i < 5000; i++)
		put(db, "s");
	assert_int_equal(database_flush(db, 20000), 0);
	assert_int_equal(count(db), 5000);
	assert_int_equal(journal_size(), 0);
	database_close(db);
	(void)s;
}

static void nothing_is_taken_before_the_journal_is_open(void **s)
{
	struct database *db = open_here();
	struct record record = { 0 };
	char *longer = calloc(1, 70000);

	assert_int_equal(record_put(db, &record), EINVAL);
	assert_int_equal(records_last(db, 5, seen_h, NULL), 0);
	assert_int_equal(records_open(db), 0);
	assert_int_equal(records_open(db), EALREADY);
	record.field[17] = (struct pl){ longer, 70000 };
	assert_int_equal(record_put(db, &record), EMSGSIZE);
	free(longer);
	database_close(db);
	(void)s;
}

struct long_work {
	struct database *db;
	off_t before, after;
};

static int work_long(struct connection *c, void *arg)
{
	struct long_work *w = arg;
	int err;

	put(w->db, "meanwhile");
	w->before = journal_size();
	err = connection_run(c, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL"
				" SELECT i + 1 FROM n WHERE i < 100000)"
				" SELECT count(*) FROM n");
	w->after = journal_size();

	return err;
}

/* An import of a million rows takes seconds; no record waits for it */
static void long_work_of_the_writer_keeps_no_record_from_the_journal(void **s)
{
	struct database *db = open_records();
	struct long_work w = { .db = db };

	assert_int_equal(database_start(db, NULL, NULL), 0);
	assert_int_equal(database_call(db, work_long, &w), 0);
	assert_int_equal(w.before, 0);
	assert_true(w.after > 0);
	assert_int_equal(database_flush(db, 10000), 0);
	assert_int_equal(count(db), 1);
	database_close(db);
	(void)s;
}

/* SQLite is full, the journal is not: the records wait in the file, through
 * SIGKILL, and are there afterwards, each once */
static void records_survive_a_full_database_and_sigkill(void **s)
{
	int fds[2], status;
	struct database *db;
	pid_t child;
	char c;

	db = open_records();
	database_close(db);
	assert_int_equal(pipe(fds), 0);
	child = fork();
	if (!child) {
		db = open_records();
		if (database_start(db, NULL, NULL))
			_exit(1);
		put(db, "first");
		if (database_flush(db, 10000))
			_exit(2);
		if (database_call(db, run_sql, "PRAGMA max_page_count=1"))
			_exit(3);
		for (int i = 0; i < 200; i++)
			put(db, "a longer name of a session than before");
		if (database_flush(db, 300) != ETIMEDOUT)
			_exit(4);
		if (database_backlog(db))
			_exit(5); /* all are in the file */
		if (write(fds[1], "x", 1) != 1)
			_exit(6);
		for (;;)
			pause();
	}
	close(fds[1]);
	assert_int_equal(read(fds[0], &c, 1), 1);
	close(fds[0]);
	assert_int_equal(kill(child, SIGKILL), 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(journal_size() > 0);

	db = open_records();
	assert_int_equal(count(db), 201);
	assert_int_equal(number_in(db, "SELECT max(sequence) FROM record"),
			 201);
	assert_int_equal(journal_size(), 0);
	database_close(db);
	(void)s;
}

static void journal_copy(const char *from, const char *to, off_t n)
{
	char buf[4096];
	int in = open(from, O_RDONLY), out;

	out = open(to, O_CREAT | O_TRUNC | O_WRONLY, 0600);
	assert_true(in >= 0 && out >= 0);
	while (n > 0) {
		ssize_t r = read(in, buf, n < 4096 ? (size_t)n : sizeof(buf));

		assert_true(r > 0);
		assert_int_equal(write(out, buf, (size_t)r), r);
		n -= r;
	}
	close(in);
	close(out);
}

/* Makes a journal of three records and stops SQLite from taking them */
static off_t journal_of_three(char *kept)
{
	struct database *db = open_records();
	char name[160];
	off_t size;

	assert_int_equal(
		database_call(db, run_sql,
			      "CREATE TRIGGER t BEFORE INSERT ON "
			      "call_record BEGIN SELECT RAISE(ABORT, 'no');"
			      " END"),
		0);
	for (int i = 0; i < 3; i++)
		put(db, "session");
	assert_int_not_equal(database_flush(db, 0), 0);
	size = journal_size();
	snprintf(name, sizeof(name), "%s.records", path);
	snprintf(kept, 160, "%s.kept", path);
	journal_copy(name, kept, size + HEAD);
	/* The writer has them still and would write them at the end */
	database_close(db);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(unlink(name), 0);

	return size;
}

static void a_journal_cut_anywhere_gives_its_whole_records(void **s)
{
	char kept[160], name[160];
	off_t size = journal_of_three(kept), one = size / 3;

	snprintf(name, sizeof(name), "%s.records", path);
	assert_int_equal(size % 3, 0);
	for (off_t n = 0; n <= size + HEAD; n += n % one < 20 ? 1 : 17) {
		struct database *db;

		journal_copy(kept, name, n);
		db = open_records();
		assert_int_equal(count(db), n < size ? n / one : 3);
		assert_int_equal(journal_size(), 0);
		assert_int_equal(
			database_call(db, run_sql, "DELETE FROM call_record"),
			0);
		database_close(db);
	}
	(void)s;
}

static void a_journal_read_twice_counts_once(void **s)
{
	char kept[160], name[160];
	off_t size = journal_of_three(kept);
	struct database *db;

	snprintf(name, sizeof(name), "%s.records", path);
	for (int i = 0; i < 2; i++) {
		journal_copy(kept, name, size);
		db = open_records();
		assert_int_equal(count(db), 3);
		database_close(db);
	}
	(void)s;
}

static void a_letter_changed_in_the_journal_ends_it_there(void **s)
{
	char kept[160], name[160];
	off_t size = journal_of_three(kept), one = size / 3;

	snprintf(name, sizeof(name), "%s.records", path);
	for (off_t at = one; at < 2 * one; at += 11) {
		struct database *db;
		int fd;

		journal_copy(kept, name, size);
		fd = open(name, O_WRONLY);
		assert_int_equal(pwrite(fd, "\xee", 1, at), 1);
		close(fd);
		db = open_records();
		assert_int_equal(count(db), 1);
		put(db, "after");
		assert_int_equal(database_flush(db, 0), 0);
		assert_int_equal(count(db), 2);
		assert_int_equal(
			database_call(db, run_sql, "DELETE FROM call_record"),
			0);
		database_close(db);
	}
	(void)s;
}

/* Length and checksum, then each field behind its length: what a version before
 * left, with 64 bits of FNV-1a over words */
static size_t old_record(uint8_t *p, const char *session, const char *sequence)
{
	const char *text[RECORD_FIELDS] = {
		[0] = "stop", [2] = sequence, [4] = session, [64] = "42"
	};
	uint64_t sum = 0xcbf29ce484222325, word;
	uint8_t *at = p + HEAD, *q = at;
	uint32_t length;

	for (size_t i = 0; i < RECORD_FIELDS; i++) {
		uint16_t n = (uint16_t)(text[i] ? strlen(text[i]) : 0);

		memcpy(at, &n, sizeof(n));
		memcpy(at + sizeof(n), text[i] ? text[i] : "", n);
		at += sizeof(n) + n;
	}
	length = (uint32_t)(at - p - HEAD);
	for (; at - q >= 8; q += 8) {
		memcpy(&word, q, 8);
		sum = (sum ^ word) * 0x100000001b3;
		sum ^= sum >> 32;
	}
	while (q < at)
		sum = (sum ^ *q++) * 0x100000001b3;
	memcpy(p, &length, 4);
	memcpy(p + 4, &sum, 8);

	return HEAD + length;
}

static void a_journal_of_the_form_before_is_taken_over(void **s)
{
	struct database *db = open_records();
	uint8_t bytes[1024];
	struct found f = { 0 };
	char name[160];
	size_t n;
	int fd;
	(void)s;

	database_close(db);
	n = old_record(bytes, "old", "7");
	n += old_record(bytes + n, "older", "8");
	snprintf(name, sizeof(name), "%s.records", path);
	fd = open(name, O_WRONLY);
	assert_int_equal(write(fd, bytes, n), n);
	close(fd);

	db = open_records();
	put(db, "new");
	assert_int_equal(database_flush(db, 0), 0);
	assert_int_equal(records_last(db, 8, found_h, &f), 0);
	assert_int_equal(f.n, 3);
	assert_true(f.sparse);
	assert_string_equal(f.session[0], "new");
	assert_string_equal(f.session[1], "older");
	assert_string_equal(f.session[2], "old");
	assert_int_equal(number_in(db, "SELECT max(sequence) FROM record"), 9);
	database_close(db);
}

/* The file goes on from its start: what is behind the end are records of before,
 * whole ones, and those are not read again */
static void a_journal_begun_anew_hides_what_it_held(void **s)
{
	struct database *db;
	struct stat st;
	char name[160];
	int status;
	pid_t child = fork();
	(void)s;

	if (!child) {
		db = open_records();
		for (int i = 0; i < 50; i++)
			put(db, "moved");
		if (database_flush(db, 0) ||
		    database_call(db, run_sql, "DELETE FROM call_record") ||
		    database_call(db, run_sql,
				  "CREATE TRIGGER t BEFORE INSERT ON "
				  "call_record BEGIN SELECT RAISE(ABORT, 'no');"
				  " END"))
			_exit(1);
		put(db, "moved");
		put(db, "moved");
		(void)database_flush(db, 0);
		(void)database_call(db, run_sql, "DROP TRIGGER t");
		raise(SIGKILL);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status));
	snprintf(name, sizeof(name), "%s.records", path);
	assert_int_equal(stat(name, &st), 0);
	assert_true(st.st_size > 20 * journal_size());

	db = open_records();
	assert_int_equal(count(db), 2);
	assert_int_equal(number_in(db, "SELECT min(sequence) FROM record"), 51);
	database_close(db);
	assert_int_equal(stat(name, &st), 0);
	assert_int_equal(st.st_size, 0);
}

/* More than is kept beside the file is read out of it */
static void records_are_moved_whether_or_not_they_are_kept(void **s)
{
	const size_t large = 60000;
	struct record record = { 0 };
	char *text = malloc(large);
	struct database *db = open_records();
	(void)s;

	assert_non_null(text);
	memset(text, 'x', large);
	record.field[0] = (struct pl){ "stop", 4 };
	record.field[17] = record.field[18] = record.field[19] =
		(struct pl){ text, large };
	for (int lap = 1; lap <= 2; lap++) {
		for (int i = 0; i < 100; i++) {
			put(db, "small");
			assert_int_equal(record_put(db, &record), 0);
		}
		assert_int_equal(database_flush(db, 0), 0);
		assert_int_equal(count(db), 200 * lap);
		assert_int_equal(journal_size(), 0);
	}
	assert_int_equal(number_in(db,
				   "SELECT count(*) FROM record WHERE"
				   " length(\"called-uri\") = 60000 AND"
				   " \"egress-calling-uri\" = \"calling-uri\""),
			 200);
	assert_int_equal(number_in(db, "SELECT max(sequence) FROM record"),
			 400);
	database_close(db);
	free(text);
}

static void *put_many(void *arg)
{
	for (int i = 0; i < 5000; i++)
		put(arg, "s");

	return NULL;
}

static void threads_that_put_at_the_same_time_lose_no_record(void **s)
{
	struct database *db = open_records();
	pthread_t threads[3];
	(void)s;

	assert_int_equal(database_start(db, NULL, NULL), 0);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		assert_int_equal(
			pthread_create(&threads[i], NULL, put_many, db), 0);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_int_equal(database_flush(db, 20000), 0);
	assert_int_equal(count(db), 15000);
	assert_int_equal(number_in(db, "SELECT max(sequence) FROM record"),
			 15000);
	database_close(db);
}

/* A limit on the size of files fails as a full disk does */
static void what_the_disk_has_no_room_for_waits_and_is_written_once(void **s)
{
	struct database *db = open_records();
	struct rlimit limit, small;
	(void)s;

	signal(SIGXFSZ, SIG_IGN);
	put(db, "before");
	assert_int_equal(database_flush(db, 0), 0);
	getrlimit(RLIMIT_FSIZE, &limit);
	small = (struct rlimit){ 700, limit.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	for (int i = 0; i < 10; i++)
		put(db, "waits");
	assert_int_equal(database_flush(db, 0), EFBIG);
	assert_int_equal(journal_size(), 0);
	put(db, "waits");
	assert_int_equal(database_flush(db, 0), EFBIG);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	assert_int_equal(database_flush(db, 0), 0);
	assert_int_equal(count(db), 12);
	assert_int_equal(number_in(db, "SELECT max(sequence) FROM record"), 12);
	database_close(db);
}

/* In a child, whose end spares us to write them all */
static void only_so_many_wait(void **s)
{
	pid_t child = fork();
	int status;
	(void)s;

	if (!child) {
		struct record record = { 0 };
		struct database *db = open_records();
		uint32_t n = 0;
		int err;

		while (!(err = record_put(db, &record)))
			n++;
		_exit(err != ENOBUFS || n != DATABASE_QUEUE);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_names_are_65_and_each_once),
		TEST(the_newest_are_read_first_and_numbered_over_restarts),
		TEST(every_byte_of_a_field_comes_back),
		TEST(records_of_a_table_with_columns_are_kept),
		TEST(the_sequence_goes_on_though_the_records_are_deleted),
		TEST(the_journal_is_empty_once_they_are_in_the_database),
		TEST(nothing_is_taken_before_the_journal_is_open),
		TEST(long_work_of_the_writer_keeps_no_record_from_the_journal),
		TEST(records_survive_a_full_database_and_sigkill),
		TEST(a_journal_cut_anywhere_gives_its_whole_records),
		TEST(a_journal_read_twice_counts_once),
		TEST(a_letter_changed_in_the_journal_ends_it_there),
		TEST(a_journal_of_the_form_before_is_taken_over),
		TEST(a_journal_begun_anew_hides_what_it_held),
		TEST(records_are_moved_whether_or_not_they_are_kept),
		TEST(threads_that_put_at_the_same_time_lose_no_record),
		TEST(what_the_disk_has_no_room_for_waits_and_is_written_once),
		TEST(only_so_many_wait),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
