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
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
