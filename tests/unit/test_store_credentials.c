/*
 * Credentials: the right row at once, no other ever, all or nothing on import
 */
#include "database_fixture.h"
#include <pthread.h>
#include <stdatomic.h>
#include "store/credentials.h"
#include "store/elements/elements.h"
#include "store/versions.h"

static struct database *db;
static struct seal *seal;
static struct credentials *table;

static int all_open(void **s)
{
	char key[160];

	if (folder_make(s) || database_open(&db, path, false, why))
		return -1;
	snprintf(key, sizeof(key), "%s/sbc.key", folder);

	return seal_open(&seal, key, true) ||
	       credentials_open(&table, db, seal, 100);
}

static int all_close(void **s)
{
	credentials_close(table);
	database_close(db);
	seal_close(seal);

	return folder_drop(s);
}

static struct pl text_pl(const char *text)
{
	return (struct pl){ text, strlen(text) };
}

static int get(const char *realm, const char *auth_realm, const char *lookup,
	       struct credential *out)
{
	struct credential_key key = { text_pl(realm), text_pl(auth_realm),
				      text_pl(lookup) };

	return credential_get(table, &key, out);
}

static void is(const char *realm, const char *auth_realm, const char *lookup,
	       const char *username, const char *password)
{
	struct credential_key key = { text_pl(realm), text_pl(auth_realm),
				      text_pl(lookup) };
	struct credential c;

	assert_int_equal(credential_get(table, &key, &c), 0);
	assert_string_equal(c.username, username);
	assert_string_equal(c.password, password);
	assert_true(credential_exists(table, &key));
	credential_wipe(&c);
}

static void is_not(const char *realm, const char *auth_realm,
		   const char *lookup)
{
	struct credential_key key = { text_pl(realm), text_pl(auth_realm),
				      text_pl(lookup) };
	struct credential c;

	assert_int_equal(credential_get(table, &key, &c), ENOENT);
	assert_false(credential_exists(table, &key));
}

/* Whose row counts beside a configuration that does not run; NULL: nobody's */
static void imported_is(const char *realm, const char *auth_realm,
			const char *lookup, const char *username)
{
	struct credential_key key = { text_pl(realm), text_pl(auth_realm),
				      text_pl(lookup) };
	struct credential c = { .password = "" };
	int err = credential_imported(table, &key, &c);

	assert_int_equal(err, username ? 0 : ENOENT);
	if (username)
		assert_string_equal(c.username, username);
	credential_wipe(&c);
}

struct lines {
	unsigned n;
	uint32_t line[16];
	char why[16][64];
};

static void bad_h(uint32_t line, const char *text, void *arg)
{
	struct lines *lines = arg;

	if (lines->n == 16)
		return;
	lines->line[lines->n] = line;
	snprintf(lines->why[lines->n++], 64, "%s", text);
}

static int import(const char *realm, const char *text, bool replace,
		  uint32_t *countp, struct lines *lines)
{
	struct import_watch watch = { .bad = bad_h, .arg = lines };
	struct pl csv = text_pl(text);

	return credentials_import(db, seal, realm, &csv, replace, countp,
				  lines ? &watch : NULL);
}

#define HEADER "auth-realm,auth-user-lookup,username,password\n"

static void set(const struct element *type, void *item, const char *name,
		const char *text)
{
	struct pl pl = text_pl(name), value = text_pl(text);
	struct value_fault fault;

	assert_int_equal(
		field_parse(field_find(type, &pl), item, &value, &fault), 0);
}

/* Saves and activates a version whose realm `trunk` has one entry, or none */
static void activate(const char *lookup, const char *password)
{
	struct config *cfg;
	struct realm_config *realm;
	uint32_t number;
	void *item, *entry;

	assert_int_equal(config_alloc(&cfg), 0);
	assert_int_equal(item_alloc(&item, &element_realm_config), 0);
	realm = item;
	set(&element_realm_config, realm, "identifier", "trunk");
	if (lookup) {
		const struct element *type = &element_realm_auth_attribute;

		assert_int_equal(item_alloc(&entry, type), 0);
		set(type, entry, "auth-realm", "example.net");
		set(type, entry, "auth-user-lookup", lookup);
		set(type, entry, "username", "entry");
		if (password)
			set(type, entry, "password", password);
		assert_int_equal(items_append(&realm->auth_attributes, entry),
				 0);
	}
	assert_int_equal(config_append(cfg, &element_realm_config, realm, 0, 0),
			 0);
	assert_int_equal(versions_save(&number, db, cfg, seal, "t@l"), 0);
	assert_int_equal(versions_activate(db, number), 0);
	config_give(cfg);
}

static void each_part_of_the_key_counts_byte_by_byte(void **s)
{
	uint32_t n = 0;

	assert_int_equal(import("trunk",
				HEADER "example.net,tenA,a1,pw-a\n"
				       "example.net,tenB,b1,pw-b\n"
				       "*,tenA,c1,pw-c\n",
				false, &n, NULL),
			 0);
	assert_int_equal(n, 3);
	is("trunk", "example.net", "tenA", "a1", "pw-a");
	is("trunk", "example.net", "tenB", "b1", "pw-b");
	is("trunk", "*", "tenA", "c1", "pw-c");
	is_not("trunk", "example.net", "tena");
	is_not("trunk", "Example.net", "tenA");
	is_not("trunk", "example.net", "tenAx");
	is_not("trunk", "example.net", "ten");
	is_not("trunk", "example.net", "");
	is_not("trunk", "", "tenA");
	is_not("other", "example.net", "tenA");
	is_not("", "example.net", "tenA");
	is_not("trunkexample", ".net", "tenA");
	is_not("trunk", "example.net' OR '1'='1", "tenA");
	(void)s;
}

static void a_key_that_is_too_long_is_nobodys(void **s)
{
	char longer[5000];

	memset(longer, 'x', sizeof(longer));
	longer[sizeof(longer) - 1] = '\0';
	is_not("trunk", longer, "tenA");
	is_not("trunk", "example.net", longer);
	is_not(longer, "example.net", "tenA");
	(void)s;
}

static void an_import_reaches_the_next_look_up(void **s)
{
	is_not("trunk", "r", "l"); /* and this is remembered */
	is_not("trunk", "r", "l");
	assert_int_equal(
		import("trunk", HEADER "r,l,u,one\n", false, NULL, NULL), 0);
	is("trunk", "r", "l", "u", "one");
	is("trunk", "r", "l", "u", "one");
	assert_int_equal(
		import("trunk", HEADER "r,l,u,two\n", false, NULL, NULL), 0);
	is("trunk", "r", "l", "u", "two");
	(void)s;
}

static void replace_drops_the_realms_rows_and_merge_does_not(void **s)
{
	uint64_t n;

	assert_int_equal(
		import("a", HEADER "r,1,u,p\nr,2,u,p\n", false, NULL, NULL), 0);
	assert_int_equal(import("b", HEADER "r,1,u,p\n", false, NULL, NULL), 0);
	assert_int_equal(
		import("a", HEADER "r,2,u,new\nr,3,u,p\n", false, NULL, NULL),
		0);
	is("a", "r", "1", "u", "p");
	is("a", "r", "2", "u", "new");
	is("a", "r", "3", "u", "p");
	assert_int_equal(credentials_count(db, "a", &n), 0);
	assert_int_equal(n, 3);

	assert_int_equal(import("a", HEADER "r,3,u,only\n", true, NULL, NULL),
			 0);
	is_not("a", "r", "1");
	is_not("a", "r", "2");
	is("a", "r", "3", "u", "only");
	is("b", "r", "1", "u", "p");
	assert_int_equal(credentials_count(db, NULL, &n), 0);
	assert_int_equal(n, 2);
	(void)s;
}

static void an_entry_of_the_running_version_wins(void **s)
{
	assert_int_equal(import("trunk",
				HEADER "example.net,tenA,imported,pw\n", false,
				NULL, NULL),
			 0);
	is("trunk", "example.net", "tenA", "imported", "pw");
	activate("tenA", "s3cr3t");
	is("trunk", "example.net", "tenA", "entry", "s3cr3t");
	imported_is("trunk", "example.net", "tenA", "imported");

	/* an import does not change that, not even one that replaces */
	assert_int_equal(import("trunk",
				HEADER "example.net,tenA,imported,pw2\n", true,
				NULL, NULL),
			 0);
	is("trunk", "example.net", "tenA", "entry", "s3cr3t");

	activate("tenB", "other");
	is("trunk", "example.net", "tenA", "imported", "pw2");
	is("trunk", "example.net", "tenB", "entry", "other");
	imported_is("trunk", "example.net", "tenB", NULL);
	activate("tenB", NULL); /* for a plug-in: no password */
	is("trunk", "example.net", "tenB", "entry", "");
	activate(NULL, NULL);
	is_not("trunk", "example.net", "tenB");
	assert_int_equal(versions_activate(db, 1), 0);
	is("trunk", "example.net", "tenA", "entry", "s3cr3t");
	(void)s;
}

static void a_saved_version_that_does_not_run_is_not_found(void **s)
{
	activate("tenA", "one");
	activate("tenB", "two");
	assert_int_equal(versions_activate(db, 1), 0);
	is("trunk", "example.net", "tenA", "entry", "one");
	is_not("trunk", "example.net", "tenB");
	(void)s;
}

static void quotes_and_line_ends_are_those_of_rfc_4180(void **s)
{
	uint32_t n;

	assert_int_equal(import("t",
				"\xef\xbb\xbf"
				"auth-realm,auth-user-lookup,username,password"
				"\r\n"
				"\"a, \"\"b\"\" c\",1,u,\"p,w\"\r\n"
				"\r\n\n"
				"r,\"2\",\"\"\"\",ü\xc3\xa9",
				false, &n, NULL),
			 0);
	assert_int_equal(n, 2);
	is("t", "a, \"b\" c", "1", "u", "p,w");
	is("t", "r", "2", "\"", "ü\xc3\xa9");
	(void)s;
}

static void bad_rows_are_named_by_line_and_nothing_is_taken(void **s)
{
	static const struct {
		const char *csv;
		unsigned n;
		uint32_t line[4];
		const char *word;
	} rows[] = {
		{ "", 1, { 1 }, "header" },
		{ "auth-realm,username,password\n", 1, { 1 }, "header" },
		{ "r,l,u,p\n", 1, { 1 }, "header" },
		{ HEADER "good,l,u,p\nr,l,u\n", 1, { 3 }, "few" },
		{ HEADER "good,l,u,p\nr,l,u,p,x\n", 1, { 3 }, "many" },
		{ HEADER "good,l,u,p\n,l,u,p\n", 1, { 3 }, "empty" },
		{ HEADER "good,l,u,p\nr,,u,p\n", 1, { 3 }, "empty" },
		{ HEADER "good,l,u,p\nr,l,,p\n", 1, { 3 }, "empty" },
		{ HEADER "good,l,u,p\nr,l,u,\n", 1, { 3 }, "password" },
		{ HEADER "good,l,u,p\nr,l,u,$sbc1$AAAA\n", 1, { 3 }, "$sbc1$" },
		{ HEADER "good,l,u,p\n\"r\nx\",l,u,p\nr,l\n",
		  2,
		  { 3, 5 },
		  "control" },
		{ HEADER "good,l,u,p\nr,l,u,\"p\n", 1, { 3 }, "closed" },
		{ HEADER "good,l,u,p\nr,l,u,\"p\"x\n", 1, { 3 }, "behind" },
		{ HEADER "good,l,u,p\nr,l,u\"x,p\n", 1, { 3 }, "inside" },
		{ HEADER "good,l,u,p\nr,l,u,p\nr,l,v,q\n", 1, { 4 }, "before" },
		{ HEADER "good,l,u,p\nr,l\nr,l,u,p\nx,y\n",
		  2,
		  { 3, 5 },
		  "few" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct lines lines = { 0 };
		uint32_t count = 77;

		assert_int_equal(import("t", rows[i].csv, true, &count, &lines),
				 EINVAL);
		assert_int_equal(count, 77);
		assert_int_equal(lines.n, rows[i].n);
		for (unsigned k = 0; k < lines.n; k++)
			assert_int_equal(lines.line[k], rows[i].line[k]);
		assert_non_null(strstr(lines.why[0], rows[i].word));
		assert_int_equal(
			number_in(db, "SELECT count(*) FROM credential"), 0);
	}
	(void)s;
}

static void values_up_to_the_bound_are_taken_and_no_longer(void **s)
{
	char csv[4096], value[2048];
	struct lines lines = { 0 };
	struct credential c;

	memset(value, 'v', sizeof(value));
	snprintf(csv, sizeof(csv), HEADER "r,l,%.255s,%.1024s\n", value, value);
	assert_int_equal(import("t", csv, false, NULL, NULL), 0);
	assert_int_equal(get("t", "r", "l", &c), 0);
	assert_int_equal(strlen(c.username), 255);
	assert_int_equal(strlen(c.password), 1024);

	snprintf(csv, sizeof(csv), HEADER "r,l,%.256s,p\nr,m,u,%.1025s\n",
		 value, value);
	assert_int_equal(import("t", csv, false, NULL, &lines), EINVAL);
	assert_int_equal(lines.n, 2);
	(void)s;
}

static void a_password_of_any_length_is_the_same_each_time(void **s)
{
	char csv[2048], lookup[16], password[SECRET_MAX + 1];
	(void)s;

	for (size_t n = 1; n <= SECRET_MAX; n += n < 34 ? 1 : 330) {
		for (size_t i = 0; i < n; i++)
			password[i] = (char)('!' + (i * 7 + n) % 90);
		for (size_t i = 0; i < n; i++)
			if (password[i] == '"' || password[i] == ',')
				password[i] = 'x';
		password[n] = '\0';
		snprintf(lookup, sizeof(lookup), "n%zu", n);
		snprintf(csv, sizeof(csv),
			 "auth-realm,auth-user-lookup,username,password\n"
			 "q,%s,u,%s\n",
			 lookup, password);
		assert_int_equal(import("any", csv, false, NULL, NULL), 0);
		for (int times = 0; times < 3; times++)
			is("any", "q", lookup, "u", password);
	}
}

static void an_aor_may_have_credentials_of_its_own(void **s)
{
	struct pl csv = text_pl("aor-user,auth-user,password\n"
				"bob001,login1,pw1\n"
				"bob002,,pw2\n");
	struct pl agent = text_pl("example.net bob^^^ pbx-a");
	struct pl other = text_pl("example.net bob^^^ pbx-b");
	struct pl user = text_pl("bob001"), user2 = text_pl("bob002");
	struct credential c;
	uint32_t n;

	assert_int_equal(credential_of_aor(table, &agent, &user, &c), ENOENT);
	assert_int_equal(credentials_import_aors(db, seal, agent.p, &csv, true,
						 &n, NULL),
			 0);
	assert_int_equal(n, 2);
	assert_int_equal(credential_of_aor(table, &agent, &user, &c), 0);
	assert_string_equal(c.username, "login1");
	assert_string_equal(c.password, "pw1");
	assert_int_equal(credential_of_aor(table, &agent, &user2, &c), 0);
	assert_string_equal(c.username, "bob002");
	assert_int_equal(credential_of_aor(table, &other, &user, &c), ENOENT);

	/* the two tables do not know each other's keys */
	assert_int_equal(get(agent.p, "bob001", "", &c), ENOENT);
	(void)s;
}

/* More keys than the cache holds, in every order: what comes out is right,
 * and stays right when the cache has one place only */
static void a_small_cache_never_answers_with_another_row(void **s)
{
	char *csv = malloc(400 * 40), *p = csv;
	static const uint32_t sizes[] = { 0, 1, 2, 7, 500 };

	p += sprintf(p, HEADER);
	for (int i = 0; i < 300; i++)
		p += sprintf(p, "r,l%d,u%d,p%d\n", i, i, i);
	assert_int_equal(import("t", csv, true, NULL, NULL), 0);
	free(csv);

	for (size_t k = 0; k < sizeof(sizes) / sizeof(sizes[0]); k++) {
		credentials_close(table);
		assert_int_equal(credentials_open(&table, db, seal, sizes[k]),
				 0);
		for (int i = 0; i < 1500; i++) {
			int n = i * 7 % 400;
			char l[16], u[16], pw[16];

			sprintf(l, "l%d", n);
			sprintf(u, "u%d", n);
			sprintf(pw, "p%d", n);
			if (n < 300)
				is("t", "r", l, u, pw);
			else
				is_not("t", "r", l);
			if (i % 3 == 0)
				is("t", "r", "l5", "u5", "p5");
		}
	}
	(void)s;
}

static void a_key_file_that_does_not_fit_is_told_apart(void **s)
{
	struct seal *wrong;
	struct credential c;
	char key[160];

	assert_int_equal(import("t", HEADER "r,l,u,p\n", false, NULL, NULL), 0);
	snprintf(key, sizeof(key), "%s/wrong.key", folder);
	assert_int_equal(seal_open(&wrong, key, true), 0);
	credentials_close(table);
	assert_int_equal(credentials_open(&table, db, wrong, 10), 0);
	assert_int_equal(get("t", "r", "l", &c), EBADMSG);
	assert_int_equal(get("t", "r", "none", &c), ENOENT);
	credentials_close(table);
	table = NULL;
	seal_close(wrong);

	/* nor is a password taken that nobody sealed */
	assert_int_equal(database_call(db, run_sql,
				       "UPDATE credential SET password = 'p'"),
			 0);
	assert_int_equal(credentials_open(&table, db, seal, 10), 0);
	assert_int_equal(get("t", "r", "l", &c), EBADMSG);
	(void)s;
}

static void no_password_is_readable_in_the_file(void **s)
{
	char *bytes = malloc(8 << 20);
	FILE *f;
	size_t n;

	assert_int_equal(
		import("t", HEADER "r,l,u,s3cr3t-word\n", false, NULL, NULL),
		0);
	assert_int_equal(database_call(db, run_sql, "SELECT 1"), 0);
	credentials_close(table);
	table = NULL;
	database_close(db);
	db = NULL;
	f = fopen(path, "r");
	n = fread(bytes, 1, 8 << 20, f);
	fclose(f);
	assert_null(memmem(bytes, n, "s3cr3t-word", 11));
	assert_non_null(memmem(bytes, n, "$sbc1$", 6));
	free(bytes);
	(void)s;
}

static atomic_int published;
static atomic_bool done;

/* What was published before the question is the least that may be answered */
static void *ask_on(void *arg)
{
	struct credentials *own = NULL;
	struct credential_key key = { text_pl("t"), text_pl("r"),
				      text_pl("l") };
	struct credential c;

	if (credentials_open(&own, db, seal, 4))
		return "open";
	while (!atomic_load(&done)) {
		int least = atomic_load(&published);

		if (credential_get(own, &key, &c)) {
			credentials_close(own);
			return "get";
		}
		if (atoi(c.password) < least) {
			credentials_close(own);
			return "an old password";
		}
	}
	credentials_close(own);
	(void)arg;

	return NULL;
}

static void no_thread_sees_a_password_that_was_replaced(void **s)
{
	pthread_t threads[3];
	char csv[128];

	atomic_store(&published, 0);
	atomic_store(&done, false);
	assert_int_equal(import("t", HEADER "r,l,u,0\n", true, NULL, NULL), 0);
	assert_int_equal(database_start(db, NULL, NULL), 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(
			pthread_create(&threads[i], NULL, ask_on, NULL), 0);
	for (int i = 1; i <= 60; i++) {
		snprintf(csv, sizeof(csv), HEADER "r,l,u,%d\n", i);
		assert_int_equal(import("t", csv, i % 2, NULL, NULL), 0);
		atomic_store(&published, i);
	}
	atomic_store(&done, true);
	for (int i = 0; i < 3; i++) {
		void *fault;

		pthread_join(threads[i], &fault);
		if (fault)
			fail_msg("%s", (char *)fault);
	}
	(void)s;
}

#define CASE(t) cmocka_unit_test_setup_teardown(t, all_open, all_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(each_part_of_the_key_counts_byte_by_byte),
		CASE(a_key_that_is_too_long_is_nobodys),
		CASE(an_import_reaches_the_next_look_up),
		CASE(replace_drops_the_realms_rows_and_merge_does_not),
		CASE(an_entry_of_the_running_version_wins),
		CASE(a_saved_version_that_does_not_run_is_not_found),
		CASE(quotes_and_line_ends_are_those_of_rfc_4180),
		CASE(bad_rows_are_named_by_line_and_nothing_is_taken),
		CASE(values_up_to_the_bound_are_taken_and_no_longer),
		CASE(a_password_of_any_length_is_the_same_each_time),
		CASE(an_aor_may_have_credentials_of_its_own),
		CASE(a_small_cache_never_answers_with_another_row),
		CASE(a_key_file_that_does_not_fit_is_told_apart),
		CASE(no_thread_sees_a_password_that_was_replaced),
		CASE(no_password_is_readable_in_the_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
