/*
 * The database: it opens or says why not; what is queued gets written
 */
#include "database_fixture.h"
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/resource.h>

/* The children of these tests make threads of their own */
const char *__tsan_default_options(void);
const char *__tsan_default_options(void)
{
	return "die_after_fork=0";
}

/* A row of the table `fact`, as other files of store queue theirs */
struct fact_job {
	struct database_job job;
	char name[32];
	uint64_t value;
	atomic_int *freed;
};

static int fact_run(struct connection *c, struct database_job *job)
{
	struct fact_job *f = (void *)job;
	struct statement *st;
	int err;

	err = statement_kept(&st, c,
			     "INSERT INTO fact VALUES(?1, ?2) ON CONFLICT DO "
			     "UPDATE SET value = excluded.value");
	if (err)
		return err;
	statement_text(st, 1, f->name);
	statement_number(st, 2, f->value);

	return statement_run(st);
}

static void fact_free(struct database_job *job)
{
	struct fact_job *f = (void *)job;

	if (f->freed)
		atomic_fetch_add(f->freed, 1);
	free(f);
}

static int fact_queue(struct database *db, uint64_t key, const char *name,
		      uint64_t value, atomic_int *freed)
{
	struct fact_job *f = calloc(1, sizeof(*f));
	int err;

	assert_non_null(f);
	f->job.key = key;
	f->job.run = fact_run;
	f->job.free = fact_free;
	f->value = value;
	f->freed = freed;
	snprintf(f->name, sizeof(f->name), "%s", name);
	err = database_queue(db, &f->job);
	if (err)
		free(f);

	return err;
}

/* ---- opening ---- */

static void a_new_database_is_its_owners_and_opens_again(void **s)
{
	struct database *db = open_here();
	struct stat st;

	assert_int_equal(
		database_call(db, run_sql, "INSERT INTO fact VALUES('x', 5)"),
		0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	database_close(db);

	db = open_here();
	assert_int_equal(number_in(db, "SELECT value FROM fact"), 5);
	database_close(db);
	(void)s;
}

static void a_second_process_is_told_that_it_is_in_use(void **s)
{
	struct database *db = open_here(), *other = NULL;

	assert_int_equal(database_open(&other, path, false, why), EBUSY);
	assert_non_null(strstr(why, "in use"));
	assert_null(other);

	/* but it may read */
	assert_int_equal(database_open(&other, path, true, why), 0);
	assert_int_equal(number_in(other, "SELECT count(*) FROM fact"), 0);
	assert_int_equal(database_call(other, run_sql, "DELETE FROM fact"),
			 EROFS);
	assert_int_equal(fact_queue(other, 1, "x", 1, NULL), EROFS);
	assert_int_equal(database_start(other, NULL, NULL), EROFS);
	database_close(other);
	database_close(db);

	db = open_here(); /* the lock went with its owner */
	database_close(db);
	(void)s;
}

static void a_newer_form_is_refused_and_not_touched(void **s)
{
	struct database *db = open_here();
	struct database *other = NULL;

	assert_int_equal(database_call(db, run_sql, "PRAGMA user_version=99"),
			 0);
	database_close(db);

	for (int readonly = 0; readonly < 2; readonly++) {
		assert_int_equal(database_open(&other, path, readonly, why),
				 EPROTO);
		assert_non_null(strstr(why, "newer version"));
		assert_non_null(strstr(why, "99"));
		assert_null(strchr(why, '\n'));
		assert_null(other);
	}
	(void)s;
}

static void an_empty_file_becomes_the_newest_form(void **s)
{
	struct database *db;

	close(open(path, O_CREAT | O_WRONLY, 0600));
	assert_int_equal(database_open(&db, path, true, why), ENOENT);
	assert_non_null(strstr(why, "empty"));
	db = open_here();
	assert_true(number_in(db, "PRAGMA user_version") >= 1);
	database_close(db);
	(void)s;
}

static void garbage_is_called_damaged_and_kept(void **s)
{
	struct database *db = NULL;
	FILE *f = fopen(path, "w");

	for (int i = 0; i < 3000; i++)
		fputs("garbage ", f);
	fclose(f);
	for (int readonly = 0; readonly < 2; readonly++) {
		assert_int_equal(database_open(&db, path, readonly, why),
				 EBADMSG);
		assert_non_null(strstr(why, "damaged"));
		assert_null(strchr(why, '\n'));
	}
	(void)s;
}

static void a_page_that_is_overwritten_is_found(void **s)
{
	struct database *db = open_here();
	struct database *again = NULL;
	struct stat st;
	char page[4096];
	int fd;

	for (int i = 0; i < 2000; i++) {
		char name[32];

		snprintf(name, sizeof(name), "%d", i);
		assert_int_equal(fact_queue(db, 0, name, 1, NULL), 0);
	}
	database_close(db);

	assert_int_equal(stat(path, &st), 0);
	memset(page, 0xa5, sizeof(page));
	fd = open(path, O_WRONLY);
	assert_int_equal(pwrite(fd, page, sizeof(page), st.st_size - 4096),
			 4096);
	close(fd);
	assert_int_equal(database_open(&again, path, false, why), EBADMSG);

	/* and a file that lost its end */
	assert_int_equal(truncate(path, st.st_size - 8192), 0);
	assert_int_equal(database_open(&again, path, false, why), EBADMSG);
	assert_null(again);
	(void)s;
}

static void a_database_of_another_program_is_refused(void **s)
{
	struct database *db = open_here();
	struct database *again = NULL;

	assert_int_equal(database_call(db, run_sql, "PRAGMA application_id=7"),
			 0);
	database_close(db);
	assert_int_equal(database_open(&again, path, false, why), EBADMSG);
	assert_non_null(strstr(why, "another program"));
	(void)s;
}

static void a_path_that_cannot_be_is_one_line(void **s)
{
	static const struct {
		const char *path;
		bool readonly;
		int err;
	} rows[] = {
		{ "/nowhere/at/all/sbc.db", false, ENOENT },
		{ "/nowhere/at/all/sbc.db", true, ENOENT },
		{ "/proc/sbc.db", false, ENOENT },
	};
	struct database *db = NULL;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(
			database_open(&db, rows[i].path, rows[i].readonly, why),
			rows[i].err);
		assert_non_null(strstr(why, rows[i].path));
		assert_null(strchr(why, '\n'));
		assert_null(db);
	}

	/* a folder is no database */
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_not_equal(database_open(&db, path, false, why), 0);
	assert_non_null(strstr(why, path));
	assert_int_equal(rmdir(path), 0);
	(void)s;
}

static void a_folder_that_cannot_be_written_can_be_read(void **s)
{
	struct database *db = open_here();
	pid_t child;
	int status;

	assert_int_equal(fact_queue(db, 0, "x", 7, NULL), 0);
	database_close(db);
	assert_int_equal(chmod(folder, 0555), 0);
	assert_int_equal(chmod(path, 0444), 0);

	child = fork();
	if (!child) {
		struct asked asked = { .sql = "SELECT value FROM fact" };
		int err = 0;

		if (!geteuid() && setuid(65534)) /* root may do anything */
			_exit(1);
		if (database_open(&db, path, false, why) != EACCES)
			_exit(2);
		if (database_open(&db, path, true, why))
			_exit(3);
		err = database_read(db, ask_sql, &asked);
		database_close(db);
		_exit(err || asked.answer != 7 ? 4 : 0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(chmod(folder, 0755), 0);
	assert_int_equal(status, 0);
	(void)s;
}

static void files_beside_it_have_its_folder(void **s)
{
	struct database *db = open_here();
	char buf[128], expected[128];

	snprintf(expected, sizeof(expected), "%s/sbc.key", folder);
	assert_int_equal(database_beside(db, "sbc.key", buf, sizeof(buf)), 0);
	assert_string_equal(buf, expected);
	assert_int_equal(database_beside(db, "sbc.key", buf, strlen(expected)),
			 ENAMETOOLONG);
	database_close(db);
	(void)s;
}

/* ---- the queue ---- */

static void the_newest_row_of_a_key_replaces_one_that_waits(void **s)
{
	struct database *db = open_here();
	atomic_int freed = 0;

	for (uint64_t i = 1; i <= 1000; i++)
		assert_int_equal(fact_queue(db, 77, "same", i, &freed), 0);
	assert_int_equal(database_backlog(db), 1);
	assert_int_equal(atomic_load(&freed), 999);
	assert_int_equal(database_flush(db, 0), 0);
	assert_int_equal(database_backlog(db), 0);
	assert_int_equal(atomic_load(&freed), 1000);
	assert_int_equal(number_in(db, "SELECT value FROM fact"), 1000);
	database_close(db);
	(void)s;
}

static void a_full_queue_refuses_new_keys_and_takes_known_ones(void **s)
{
	struct database *db = open_here();
	uint64_t i;

	for (i = 1; i <= DATABASE_QUEUE; i++)
		assert_int_equal(fact_queue(db, i, "many", i, NULL), 0);
	assert_int_equal(fact_queue(db, i, "more", i, NULL), ENOBUFS);
	assert_int_equal(fact_queue(db, 0, "more", i, NULL), ENOBUFS);
	assert_int_equal(fact_queue(db, 5, "known", 5, NULL), 0);
	assert_int_equal(database_backlog(db), DATABASE_QUEUE);
	database_close(db);

	db = open_here(); /* the close has written them */
	assert_int_equal(number_in(db, "SELECT value FROM fact WHERE name = "
				       "'known'"),
			 5);
	database_close(db);
	(void)s;
}

static void a_bad_row_does_not_hold_up_the_others(void **s)
{
	struct database *db = open_here();

	assert_int_equal(database_call(db, run_sql,
				       "CREATE TRIGGER t BEFORE INSERT ON fact"
				       " WHEN new.name = 'bad' BEGIN SELECT "
				       "RAISE(ABORT, 'bad'); END"),
			 0);
	assert_int_equal(database_start(db, NULL, NULL), 0);
	assert_int_equal(fact_queue(db, 1, "a", 1, NULL), 0);
	assert_int_equal(fact_queue(db, 2, "bad", 1, NULL), 0);
	assert_int_equal(fact_queue(db, 3, "b", 1, NULL), 0);
	assert_int_equal(database_flush(db, 10000), 0);
	assert_false(database_failing(db));
	assert_int_equal(number_in(db, "SELECT count(*) FROM fact"), 2);
	database_close(db);
	(void)s;
}

static void work_that_fails_leaves_nothing(void **s)
{
	struct database *db = open_here();

	for (int threads = 0; threads < 2; threads++) {
		if (threads)
			assert_int_equal(database_start(db, NULL, NULL), 0);
		assert_int_not_equal(
			database_call(db, run_sql,
				      "INSERT INTO fact VALUES('x', 1);"
				      "INSERT INTO nothing VALUES(1)"),
			0);
		assert_int_equal(number_in(db, "SELECT count(*) FROM fact"), 0);
	}
	assert_int_equal(database_start(db, NULL, NULL), EALREADY);
	database_close(db);
	(void)s;
}

/* ---- failure and recovery ---- */

struct news {
	pthread_mutex_t mutex;
	pthread_cond_t cond;
	int failed, worked;
	char why[DATABASE_WHY];
};

static void news_h(bool works, const char *text, void *arg)
{
	struct news *news = arg;

	pthread_mutex_lock(&news->mutex);
	if (works)
		news->worked++;
	else
		news->failed++;
	if (!works)
		snprintf(news->why, sizeof(news->why), "%s", text);
	pthread_cond_signal(&news->cond);
	pthread_mutex_unlock(&news->mutex);
}

static void news_wait(struct news *news, int failed, int worked)
{
	pthread_mutex_lock(&news->mutex);
	while (news->failed < failed || news->worked < worked)
		pthread_cond_wait(&news->cond, &news->mutex);
	assert_int_equal(news->failed, failed);
	assert_int_equal(news->worked, worked);
	pthread_mutex_unlock(&news->mutex);
}

/* SQLite's own limit of pages fails exactly as a full disk does */
static void while_the_disk_is_full_the_newest_rows_wait(void **s)
{
	struct database *db = open_here();
	struct news news = { .mutex = PTHREAD_MUTEX_INITIALIZER,
			     .cond = PTHREAD_COND_INITIALIZER };
	char name[32];

	assert_int_equal(database_start(db, news_h, &news), 0);
	assert_int_equal(database_call(db, run_sql, "PRAGMA max_page_count=1"),
			 0);
	for (uint64_t k = 1; k <= 2000; k++) {
		snprintf(name, sizeof(name), "a long name %u", (unsigned)k);
		assert_int_equal(fact_queue(db, k, name, 1, NULL), 0);
	}
	news_wait(&news, 1, 0);
	assert_non_null(strstr(news.why, "No space left"));
	assert_non_null(strstr(news.why, path));
	assert_true(database_failing(db));
	/* the first may have fitted into the last page */
	assert_in_range(database_backlog(db), 1, 2000);

	/* newer values of rows that failed take their places */
	for (uint64_t k = 1; k <= 2000; k++) {
		snprintf(name, sizeof(name), "a long name %u", (unsigned)k);
		assert_int_equal(fact_queue(db, k, name, 2, NULL), 0);
	}
	assert_int_equal(database_flush(db, 1), ETIMEDOUT);
	assert_int_equal(database_backlog(db), 2000);

	assert_int_equal(
		database_call(db, run_sql, "PRAGMA max_page_count=1000000"), 0);
	assert_int_equal(database_flush(db, 10000), 0);
	news_wait(&news, 1, 1);
	assert_false(database_failing(db));
	assert_int_equal(
		number_in(db, "SELECT count(*) FROM fact WHERE value = 2"),
		2000);
	database_close(db);
	(void)s;
}

/* A real write that fails, in a child because the limit cannot be lifted for
 * this process alone: half a WAL frame is on the disk, and it goes on */
static void a_file_that_cannot_grow_is_survived(void **s)
{
	pid_t child = fork();
	int status;

	if (!child) {
		struct news news = { .mutex = PTHREAD_MUTEX_INITIALIZER,
				     .cond = PTHREAD_COND_INITIALIZER };
		struct rlimit limit = { .rlim_cur = 100000,
					.rlim_max = RLIM_INFINITY };
		struct database *db = open_here();
		char name[32];

		signal(SIGXFSZ, SIG_IGN);
		if (database_start(db, news_h, &news))
			_exit(1);
		if (setrlimit(RLIMIT_FSIZE, &limit))
			_exit(2);
		for (uint64_t k = 1; k <= 20000; k++) {
			snprintf(name, sizeof(name), "a long name %u",
				 (unsigned)k);
			if (fact_queue(db, k, name, k, NULL))
				_exit(3);
		}
		news_wait(&news, 1, 0);
		limit.rlim_cur = RLIM_INFINITY;
		if (setrlimit(RLIMIT_FSIZE, &limit))
			_exit(4);
		if (database_flush(db, 20000))
			_exit(5);
		news_wait(&news, 1, 1);
		if (number_in(db, "SELECT count(*) FROM fact") != 20000)
			_exit(6);
		database_close(db);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);

	database_close(open_here());
	(void)s;
}

/* The child tells each number it was promised; whatever it told must be there
 * after SIGKILL, and the rows of one transaction all or none */
static void killed_child(int fd, uint64_t from)
{
	struct database *db = open_here();

	if (database_start(db, NULL, NULL))
		_exit(1);
	for (uint64_t i = from; i < from + 100000; i++) {
		char sql[128], name[32];

		snprintf(name, sizeof(name), "row%u", (unsigned)(i % 300));
		if (fact_queue(db, 1000 + i % 300, name, i, NULL))
			_exit(2);
		snprintf(sql, sizeof(sql),
			 "INSERT INTO fact VALUES('a%u', 1);"
			 "INSERT INTO fact VALUES('b%u', 1)",
			 (unsigned)i, (unsigned)i);
		if (database_call(db, run_sql, sql))
			_exit(3);
		if (write(fd, &i, sizeof(i)) != sizeof(i))
			_exit(4);
	}
	_exit(5);
}

static void what_was_promised_survives_sigkill(void **s)
{
	uint64_t last = 0;

	for (int round = 0; round < 5; round++) {
		struct database *db;
		int fds[2], status;
		uint64_t n, a, b, from = last + 1;
		pid_t child;

		assert_int_equal(pipe(fds), 0);
		child = fork();
		if (!child)
			killed_child(fds[1], from);
		close(fds[1]);
		for (int i = 0; i < 40 + 17 * round; i++) {
			assert_int_equal(read(fds[0], &n, sizeof(n)),
					 sizeof(n));
			last = n;
		}
		assert_int_equal(kill(child, SIGKILL), 0);
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_true(WIFSIGNALED(status));
		while (read(fds[0], &n, sizeof(n)) == sizeof(n))
			last = n;
		close(fds[0]);

		db = open_here();
		a = number_in(db, "SELECT count(*) FROM fact "
				  "WHERE name LIKE 'a%'");
		b = number_in(db, "SELECT count(*) FROM fact "
				  "WHERE name LIKE 'b%'");
		assert_int_equal(a, b);
		/* the one being written when it died may be there, too */
		assert_in_range(a, last, last + 1);
		last = a;
		database_close(db);
	}
	(void)s;
}

/* ---- threads ---- */

enum {
	WRITERS = 4,
	ROUNDS = 3000
};

struct worker {
	struct database *db;
	unsigned number;
};

static void *work(void *arg)
{
	struct worker *w = arg;
	char name[32];

	for (unsigned i = 0; i < ROUNDS; i++) {
		snprintf(name, sizeof(name), "w%u-%u", w->number, i % 100);
		if (fact_queue(w->db, w->number * 1000 + i % 100 + 1, name, i,
			       NULL))
			return w;
		if (i % 500 == 0 && database_flush(w->db, 10000))
			return w;
		if (i % 700 == 0 && database_call(w->db, run_sql, "SELECT 1"))
			return w;
		(void)database_backlog(w->db);
		(void)database_failing(w->db);
	}

	return NULL;
}

static void many_threads_queue_and_nothing_is_lost(void **s)
{
	struct database *db = open_here();
	struct worker workers[WRITERS];
	pthread_t threads[WRITERS];
	char sql[96];

	assert_int_equal(database_start(db, NULL, NULL), 0);
	for (unsigned i = 0; i < WRITERS; i++) {
		workers[i] = (struct worker){ .db = db, .number = i };
		assert_int_equal(
			pthread_create(&threads[i], NULL, work, &workers[i]),
			0);
	}
	for (unsigned i = 0; i < WRITERS; i++) {
		void *result;

		pthread_join(threads[i], &result);
		assert_null(result);
	}
	database_close(db);

	db = open_here();
	snprintf(sql, sizeof(sql),
		 "SELECT count(*) FROM fact WHERE value >= %d", ROUNDS - 100);
	assert_int_equal(number_in(db, sql), WRITERS * 100);
	database_close(db);
	(void)s;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_new_database_is_its_owners_and_opens_again),
		TEST(a_second_process_is_told_that_it_is_in_use),
		TEST(a_newer_form_is_refused_and_not_touched),
		TEST(an_empty_file_becomes_the_newest_form),
		TEST(garbage_is_called_damaged_and_kept),
		TEST(a_page_that_is_overwritten_is_found),
		TEST(a_database_of_another_program_is_refused),
		TEST(a_path_that_cannot_be_is_one_line),
		TEST(a_folder_that_cannot_be_written_can_be_read),
		TEST(files_beside_it_have_its_folder),
		TEST(the_newest_row_of_a_key_replaces_one_that_waits),
		TEST(a_full_queue_refuses_new_keys_and_takes_known_ones),
		TEST(a_bad_row_does_not_hold_up_the_others),
		TEST(work_that_fails_leaves_nothing),
		TEST(while_the_disk_is_full_the_newest_rows_wait),
		TEST(a_file_that_cannot_grow_is_survived),
		TEST(what_was_promised_survives_sigkill),
		TEST(many_threads_queue_and_nothing_is_lost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
