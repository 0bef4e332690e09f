/*
 * State of registrations: what was written last is what is loaded
 */
#include "database_fixture.h"
#include "store/registrations.h"

static struct registration_row row_of(const char *agent, const char *aor)
{
	return (struct registration_row){
		.agent = agent,
		.aor = aor,
		.callid = "call@here",
		.from_tag = "tag",
		.contact = "<sip:a@127.0.0.1>",
		.registrar = "example.net|trunk",
		.target = "127.0.0.11:5060;transport=UDP",
		.service_route = "<sip:r1;lr>, <sip:r2;lr>",
		.associated = "",
		.cseq_reserved = UINT32_MAX,
		.granted = 3600,
		.min_expires = 60,
		.failures = 2,
		.expires = 4102444800,
		.refresh = 4102444000,
		.shard = UINT16_MAX,
		.epoch = 1,
		.state = 255,
	};
}

struct found {
	unsigned n;
	struct registration_row row;
	char contact[64], associated[64];
};

static void found_h(const struct registration_row *row, void *arg)
{
	struct found *f = arg;

	f->n++;
	f->row = *row;
	snprintf(f->contact, sizeof(f->contact), "%s", row->contact);
	snprintf(f->associated, sizeof(f->associated), "%s", row->associated);
}

static void every_member_comes_back(void **s)
{
	struct registration_row row =
		row_of("example.net alice pbx-a", "alice@example.net");
	struct database *db = open_here();
	struct found f = { 0 };

	row.associated = NULL; /* is the same as none */
	assert_int_equal(registrations_put(db, &row), 0);
	database_close(db);

	db = open_here();
	assert_int_equal(registrations_load(db, found_h, &f), 0);
	assert_int_equal(f.n, 1);
	assert_string_equal(f.contact, row.contact);
	assert_string_equal(f.associated, "");
	assert_int_equal(f.row.cseq_reserved, row.cseq_reserved);
	assert_int_equal(f.row.granted, row.granted);
	assert_int_equal(f.row.min_expires, row.min_expires);
	assert_int_equal(f.row.failures, row.failures);
	assert_int_equal(f.row.expires, row.expires);
	assert_int_equal(f.row.refresh, row.refresh);
	assert_int_equal(f.row.shard, row.shard);
	assert_int_equal(f.row.epoch, row.epoch);
	assert_int_equal(f.row.state, row.state);
	database_close(db);
	(void)s;
}

static void the_texts_stand_in_their_columns(void **s)
{
	struct registration_row row = row_of("agent", "aor");
	struct database *db = open_here();

	assert_int_equal(registrations_put(db, &row), 0);
	assert_int_equal(database_flush(db, 0), 0);
	assert_int_equal(
		number_in(db,
			  "SELECT count(*) FROM registration WHERE agent = "
			  "'agent' AND aor = 'aor' AND callid = 'call@here' "
			  "AND from_tag = 'tag' AND contact = "
			  "'<sip:a@127.0.0.1>' AND registrar = "
			  "'example.net|trunk' AND target = "
			  "'127.0.0.11:5060;transport=UDP' AND service_route ="
			  " '<sip:r1;lr>, <sip:r2;lr>' AND associated = ''"),
		1);
	database_close(db);
	(void)s;
}

static void a_row_is_copied_when_it_is_queued(void **s)
{
	struct database *db = open_here();
	char contact[32] = "<sip:before@x>";
	struct registration_row row = row_of("a", "b");
	struct found f = { 0 };

	row.contact = contact;
	assert_int_equal(registrations_put(db, &row), 0);
	strcpy(contact, "<sip:later@x>");
	assert_int_equal(database_flush(db, 0), 0);
	assert_int_equal(registrations_load(db, found_h, &f), 0);
	assert_string_equal(f.contact, "<sip:before@x>");
	database_close(db);
	(void)s;
}

static void agent_and_aor_together_are_the_key(void **s)
{
	static const char *const keys[][2] = {
		{ "a", "bc" },
		{ "ab", "c" },
		{ "a", "b" },
		{ "b", "a" },
	};
	struct database *db = open_here();
	struct found f = { 0 };

	for (size_t i = 0; i < 4; i++) {
		struct registration_row row = row_of(keys[i][0], keys[i][1]);

		assert_int_equal(registrations_put(db, &row), 0);
		assert_int_equal(registrations_put(db, &row), 0);
	}
	assert_int_equal(database_backlog(db), 4);
	assert_int_equal(database_flush(db, 0), 0);
	assert_int_equal(registrations_drop(db, "ab", "c"), 0);
	assert_int_equal(registrations_drop(db, "no", "body"), 0);
	assert_int_equal(database_flush(db, 0), 0);
	assert_int_equal(registrations_load(db, found_h, &f), 0);
	assert_int_equal(f.n, 3);
	database_close(db);
	(void)s;
}

static void the_last_word_counts_between_put_and_drop(void **s)
{
	struct database *db = open_here();
	struct registration_row row = row_of("a", "b");
	struct found f = { 0 };

	assert_int_equal(registrations_put(db, &row), 0);
	assert_int_equal(registrations_drop(db, "a", "b"), 0);
	assert_int_equal(database_flush(db, 0), 0);
	assert_int_equal(registrations_load(db, found_h, &f), 0);
	assert_int_equal(f.n, 0);
	assert_int_equal(registrations_drop(db, "a", "b"), 0);
	assert_int_equal(registrations_put(db, &row), 0);
	assert_int_equal(database_flush(db, 0), 0);
	assert_int_equal(registrations_load(db, found_h, &f), 0);
	assert_int_equal(f.n, 1);
	database_close(db);
	(void)s;
}

static void a_row_of_an_older_epoch_is_refused(void **s)
{
	static const struct {
		uint64_t epoch, granted, expected;
	} rows[] = {
		{ 5, 100, 100 }, { 4, 200, 100 }, { 5, 300, 300 },
		{ 6, 400, 400 }, { 1, 500, 400 },
	};
	struct database *db = open_here();

	for (size_t i = 0; i < 5; i++) {
		struct registration_row row = row_of("a", "b");

		row.epoch = rows[i].epoch;
		row.granted = (uint32_t)rows[i].granted;
		assert_int_equal(registrations_put(db, &row), 0);
		assert_int_equal(database_flush(db, 0), 0);
		assert_int_equal(number_in(db, "SELECT granted FROM "
					       "registration"),
				 rows[i].expected);
	}
	database_close(db);
	(void)s;
}

static void the_moment_of_the_last_write_is_kept(void **s)
{
	struct database *db = open_here();
	struct registration_row row = row_of("a", "b");
	uint64_t before, written;

	assert_int_equal(registrations_written(db), 0);
	before = number_in(db, "SELECT unixepoch()");
	assert_int_equal(registrations_put(db, &row), 0);
	database_close(db);

	db = open_here();
	written = registrations_written(db);
	assert_in_range(written, before, number_in(db, "SELECT unixepoch()"));
	database_close(db);
	(void)s;
}

/* ---- the log ---- */

enum {
	MANY = 3000, /* rows that are written again and again */
	STILL = 700, /* ... and some that are written once */
};

static void put_numbered(struct database *db, unsigned i, uint32_t granted)
{
	char aor[32];
	struct registration_row row = row_of("agent", aor);

	snprintf(aor, sizeof(aor), "user%u@here", i);
	row.granted = granted;
	assert_int_equal(registrations_put(db, &row), 0);
}

struct sums {
	unsigned n;
	uint64_t granted;
};

static void sum_h(const struct registration_row *row, void *arg)
{
	struct sums *sums = arg;

	sums->n++;
	sums->granted += row->granted;
}

static void sums_are(struct database *db, unsigned n, uint64_t granted)
{
	struct sums sums = { 0 };

	assert_int_equal(registrations_load(db, sum_h, &sums), 0);
	assert_int_equal(sums.n, n);
	assert_int_equal(sums.granted, granted);
	assert_int_equal(number_in(db, "SELECT count(*) FROM registration"), n);
	assert_int_equal(number_in(db, "SELECT coalesce(sum(granted), 0) FROM"
				       " registration"),
			 granted);
}

/* All but the still ones, a round after the other, each in an order of its own */
static void put_rounds(struct database *db, uint32_t from, uint32_t to)
{
	for (uint32_t round = from; round <= to; round++) {
		for (unsigned i = 0; i < MANY; i++)
			put_numbered(db, (i * 1009 + round) % MANY, round);
		assert_int_equal(database_flush(db, 0), 0);
	}
}

static void a_log_stays_short_and_keeps_who_is_not_written_again(void **s)
{
	struct database *db = open_here();

	for (unsigned i = 0; i < STILL; i++)
		put_numbered(db, MANY + i, 7);
	put_rounds(db, 1, 30);
	sums_are(db, MANY + STILL, MANY * 30 + STILL * 7);
	/* twice what counts and some segments (store/registrations.c) */
	assert_in_range(number_in(db, "SELECT count(*) FROM registration_log"),
			MANY + STILL, 2 * (MANY + STILL) + 6 * 1024);
	assert_true(number_in(db, "SELECT min(n) FROM registration_log") >
		    80000);
	database_close(db);

	/* and again from what the file tells */
	db = open_here();
	put_rounds(db, 31, 40);
	sums_are(db, MANY + STILL, MANY * 40 + STILL * 7);
	database_close(db);
	(void)s;
}

static void who_is_gone_leaves_nothing_behind_in_the_log(void **s)
{
	struct database *db = open_here();
	char aor[32];

	for (unsigned i = 0; i < MANY; i++)
		put_numbered(db, i, 1);
	assert_int_equal(database_flush(db, 0), 0);
	for (unsigned i = 0; i < MANY; i++) {
		snprintf(aor, sizeof(aor), "user%u@here", i);
		assert_int_equal(registrations_drop(db, "agent", aor), 0);
	}
	assert_int_equal(database_flush(db, 0), 0);
	sums_are(db, 0, 0);
	database_close(db);

	db = open_here();
	for (uint32_t i = 0; i < 20000; i++) {
		put_numbered(db, MANY, i);
		assert_int_equal(database_flush(db, 0), 0);
	}
	sums_are(db, 1, 19999);
	assert_in_range(number_in(db, "SELECT count(*) FROM registration_log"),
			1, 6 * 1024);
	assert_int_equal(number_in(db, "SELECT count(*) FROM registration_log"
				       " WHERE gone"),
			 0);
	database_close(db);
	(void)s;
}

/* A row of somebody else in the same transaction, for which the disk fails once
 * in a while */
struct failing {
	struct database_job job; /* first */
	bool failed;
};

static int fail_once(struct connection *c, struct database_job *job)
{
	struct failing *f = (void *)job;

	(void)c;
	if (f->failed)
		return 0;
	f->failed = true;

	return EIO;
}

static void fail_free(struct database_job *job)
{
	free(job);
}

/* What was carried and dropped by a transaction that is undone was not: rows that
 * count must be found where they were */
static void a_transaction_that_is_undone_loses_no_row(void **s)
{
	struct database *db = open_here();
	unsigned undone = 0;

	for (unsigned i = 0; i < STILL; i++)
		put_numbered(db, MANY + i, 7);
	for (uint32_t round = 1; round <= 30; round++) {
		struct failing *f = calloc(1, sizeof(*f));

		for (unsigned i = 0; i < MANY; i++)
			put_numbered(db, (i * 1009 + round) % MANY, round);
		f->job.run = fail_once;
		f->job.free = fail_free;
		assert_int_equal(database_queue(db, &f->job), 0);
		undone += database_flush(db, 0) == EIO;
		sums_are(db, round == 1 ? 0 : MANY + STILL,
			 round == 1 ? 0 : MANY * (round - 1) + STILL * 7);
		assert_int_equal(database_flush(db, 0), 0);
		sums_are(db, MANY + STILL, MANY * round + STILL * 7);
	}
	assert_int_equal(undone, 30);
	assert_true(number_in(db, "SELECT min(n) FROM registration_log") >
		    1024);
	database_close(db);
	(void)s;
}

/* The table of form 2, in the order of AoRs, becomes the log */
static void rows_of_the_form_before_are_taken_over(void **s)
{
	static char form_2[] =
		"DROP VIEW registration; DROP TABLE registration_log;"
		"DROP TABLE call_record;"
		"CREATE TABLE registration(agent TEXT NOT NULL,"
		" aor TEXT NOT NULL, callid TEXT, from_tag TEXT, contact TEXT,"
		" registrar TEXT, target TEXT, service_route TEXT,"
		" associated TEXT, cseq_reserved INTEGER, granted INTEGER,"
		" min_expires INTEGER, failures INTEGER, expires INTEGER,"
		" refresh INTEGER, shard INTEGER, epoch INTEGER, state INTEGER,"
		" PRIMARY KEY(agent, aor)) WITHOUT ROWID;"
		"INSERT INTO registration VALUES('agent', 'b', 'call', 'tag',"
		" '<sip:b@x>', 'r|t', '127.0.0.1:5060;transport=UDP', "
		"'<sip:r>',"
		" '<sip:u>', 64, 3600, 60, 2, 4102444800, 4102444000, 3, 0, 5);"
		"INSERT INTO registration SELECT agent, 'c', callid, from_tag,"
		" contact, registrar, target, service_route, associated, 1, 2,"
		" 3, 4, 5, 6, 7, 0, 9 FROM registration;"
		"INSERT INTO fact VALUES('registrations-written', 4711);"
		"PRAGMA user_version=2";
	struct database *db = open_here();
	struct registration_row row = row_of("agent", "c");
	struct found f = { 0 };

	assert_int_equal(database_call(db, run_sql, form_2), 0);
	database_close(db);

	db = open_here();
	assert_int_equal(registrations_written(db), 4711);
	assert_int_equal(registrations_load(db, found_h, &f), 0);
	assert_int_equal(f.n, 2);
	assert_int_equal(
		number_in(db,
			  "SELECT count(*) FROM registration WHERE"
			  " agent = 'agent' AND aor = 'b' AND callid = 'call'"
			  " AND from_tag = 'tag' AND contact = '<sip:b@x>'"
			  " AND registrar = 'r|t' AND associated = '<sip:u>'"
			  " AND service_route = '<sip:r>' AND target ="
			  " '127.0.0.1:5060;transport=UDP'"
			  " AND cseq_reserved = 64 AND granted = 3600"
			  " AND min_expires = 60 AND failures = 2"
			  " AND expires = 4102444800 AND refresh = 4102444000"
			  " AND shard = 3 AND epoch = 0 AND state = 5"),
		1);
	assert_int_equal(registrations_put(db, &row), 0);
	assert_int_equal(database_flush(db, 0), 0);
	sums_are(db, 2, 3600 + 3600);
	assert_int_equal(number_in(db, "SELECT count(*) FROM fact WHERE"
				       " name = 'registrations-written'"),
			 0);
	database_close(db);
	(void)s;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_member_comes_back),
		TEST(the_texts_stand_in_their_columns),
		TEST(a_row_is_copied_when_it_is_queued),
		TEST(agent_and_aor_together_are_the_key),
		TEST(the_last_word_counts_between_put_and_drop),
		TEST(a_row_of_an_older_epoch_is_refused),
		TEST(the_moment_of_the_last_write_is_kept),
		TEST(a_log_stays_short_and_keeps_who_is_not_written_again),
		TEST(who_is_gone_leaves_nothing_behind_in_the_log),
		TEST(a_transaction_that_is_undone_loses_no_row),
		TEST(rows_of_the_form_before_are_taken_over),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
