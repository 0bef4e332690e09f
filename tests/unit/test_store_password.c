/*
 * Password: what was hashed is found again, and nothing else
 */
#include "database_fixture.h"
#include "store/password.h"

static void only_the_same_password_is_right(void **s)
{
	static const char *const wrong[] = { "", "correct horse",
					     "Correct horse battery",
					     "correct horse battery ",
					     "correct horse batterx" };
	char text[PASSWORD_TEXT], again[PASSWORD_TEXT];
	bool weak = true;
	(void)s;

	assert_int_equal(password_hash(text, "correct horse battery"), 0);
	assert_null(strstr(text, "horse"));
	assert_int_equal(strncmp(text, "$scrypt$n=32768,r=8,p=1$",
				 strlen("$scrypt$n=32768,r=8,p=1$")),
			 0);
	assert_int_equal(password_check(text, "correct horse battery", &weak),
			 0);
	assert_false(weak);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_int_equal(password_check(text, wrong[i], &weak), EACCES);

	/* The salt is another each time */
	assert_int_equal(password_hash(again, "correct horse battery"), 0);
	assert_string_not_equal(text, again);
}

/* RFC 7914 section 12 has "pleaseletmein" with the salt "SodiumChloride", which
 * is not of our length: these were computed by Python's hashlib */
static void hashes_of_others_are_read_and_low_costs_are_told(void **s)
{
	static const struct {
		const char *text;
		bool weak;
	} rows[] = {
		{ "$scrypt$n=32768,r=8,p=1$"
		  "MDEyMzQ1Njc4OWFiY2RlZg==$"
		  "wgz8Rjl3FIdXqMbpup1grVeMbCJ1jxgUklvEb2NRR/Q=",
		  false },
		{ "$scrypt$n=1024,r=8,p=1$MDEyMzQ1Njc4OWFiY2RlZg==$"
		  "o3zBilPc86r0aNumivxDqGJbs1CVkVYyLfGzVSIFS0U=",
		  true },
		{ "$pbkdf2-sha256$i=600000$MDEyMzQ1Njc4OWFiY2RlZg==$"
		  "6Vz0zFTsmSPKvZP6iw1Cu8+ak6G6dVdZ9NdIRdEHsA0=",
		  false },
		{ "$pbkdf2-sha256$i=1000$MDEyMzQ1Njc4OWFiY2RlZg==$"
		  "TayN5XsOxzLhRoFC8mXn4jTEJDMp88BUPzSQXOnzBQY=",
		  true },
	};
	(void)s;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		bool weak = !rows[i].weak;

		assert_int_equal(
			password_check(rows[i].text, "pleaseletmein", &weak),
			0);
		assert_int_equal(weak, rows[i].weak);
		assert_int_equal(
			password_check(rows[i].text, "pleaseletmeim", &weak),
			EACCES);
		assert_false(weak);
	}
}

static void what_is_no_hash_is_refused_and_asks_for_no_memory(void **s)
{
	static const char *const rows[] = {
		"",
		"secret",
		"$scrypt$",
		"$scrypt$n=0,r=8,p=1$MDEyMzQ1Njc4OWFiY2RlZg==$"
		"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
		"$scrypt$n=9999999,r=8,p=1$MDEyMzQ1Njc4OWFiY2RlZg==$"
		"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
		"$scrypt$n=1024,r=999,p=1$MDEyMzQ1Njc4OWFiY2RlZg==$"
		"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
		"$scrypt$n=1024,r=8,p=1$MDEyMzQ1Njc4OWFiY2RlZg==$"
		"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=x",
		"$scrypt$n=1024,r=8,p=1$MDEyMzQ1Njc4OWFiY2RlZg==$AAAA",
		"$scrypt$n=1024,r=8,p=1$short$"
		"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
		"$scrypt$n=1024,r=8,p=1$....................====$"
		"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
		"$pbkdf2-sha256$i=0$MDEyMzQ1Njc4OWFiY2RlZg==$"
		"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
		"$pbkdf2-sha256$i=999999999$MDEyMzQ1Njc4OWFiY2RlZg==$"
		"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
	};
	bool weak;
	(void)s;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(password_check(rows[i], "x", &weak), EBADMSG);
}

static void it_is_kept_until_it_is_removed(void **s)
{
	struct database *db = open_here();
	char text[PASSWORD_TEXT] = "?", kept[PASSWORD_TEXT];
	(void)s;

	assert_int_equal(password_load(text, db), 0);
	assert_string_equal(text, "");
	assert_int_equal(password_store(db, "$pbkdf2-sha256$i=1$a$b"), 0);
	assert_int_equal(password_hash(text, "second"), 0);
	assert_int_equal(password_store(db, text), 0);
	database_close(db);
	db = open_here();
	assert_int_equal(password_load(kept, db), 0);
	assert_string_equal(kept, text);
	assert_int_equal(password_store(db, ""), 0);
	assert_int_equal(password_load(kept, db), 0);
	assert_string_equal(kept, "");
	database_close(db);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_the_same_password_is_right),
		cmocka_unit_test(
			hashes_of_others_are_read_and_low_costs_are_told),
		cmocka_unit_test(
			what_is_no_hash_is_refused_and_asks_for_no_memory),
		TEST(it_is_kept_until_it_is_removed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
