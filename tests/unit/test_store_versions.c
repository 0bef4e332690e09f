/*
 * Versions: what was saved is what is loaded, and unchanged rows live on
 */
#include "database_fixture.h"
#include "store/elements/elements.h"
#include "store/facts.h"
#include "store/versions.h"

static struct seal *seal;

static struct database *open_sealed(void)
{
	struct database *db = open_here();
	char key[160];

	snprintf(key, sizeof(key), "%s/sbc.key", folder);
	assert_int_equal(seal_open(&seal, key, true), 0);

	return db;
}

static void close_sealed(struct database *db)
{
	database_close(db);
	seal_close(seal);
}

static void set(const struct element *type, void *item, const char *name,
		const char *text)
{
	struct value_fault fault = { "" };
	struct pl pl = { name, strlen(name) }, value = { text, strlen(text) };
	const struct field *f = field_find(type, &pl);

	assert_non_null(f);
	if (field_parse(f, item, &value, &fault))
		fail_msg("%s: %s %s", name, text, fault.why);
}

static void *agent_of(const char *user, const char *retry, const char *password)
{
	const struct element *type = &element_surrogate_agent;
	void *item;

	assert_int_equal(item_alloc(&item, type), 0);
	set(type, item, "register-host", "example.net");
	set(type, item, "register-user", user);
	set(type, item, "realm-id", "pbx-a");
	set(type, item, "customer-next-hop", "127.0.10.10");
	set(type, item, "register-retry-time", retry);
	set(type, item, "auth-methods", "INVITE");
	set(type, item, "auth-methods", "BYE");
	if (*password)
		set(type, item, "password", password);

	return item;
}

static void add_agent(struct config *cfg, const char *user, const char *retry,
		      const char *password)
{
	assert_int_equal(config_append(cfg, &element_surrogate_agent,
				       agent_of(user, retry, password), 0, 0),
			 0);
}

static void add_realm(struct config *cfg, const char *name,
		      const char *const entries[][4])
{
	const struct element *type = &element_realm_config;
	struct realm_config *realm;
	void *item;

	assert_int_equal(item_alloc(&item, type), 0);
	realm = item;
	set(type, item, "identifier", name);
	set(type, item, "description", "with \"quotes\" and 'more'; ünïcode");
	for (size_t i = 0; entries && entries[i][0]; i++) {
		const struct element *sub = &element_realm_auth_attribute;
		void *entry;

		assert_int_equal(item_alloc(&entry, sub), 0);
		set(sub, entry, "auth-realm", entries[i][0]);
		set(sub, entry, "auth-user-lookup", entries[i][1]);
		set(sub, entry, "username", entries[i][2]);
		set(sub, entry, "password", entries[i][3]);
		assert_int_equal(items_append(&realm->auth_attributes, entry),
				 0);
	}
	assert_int_equal(config_append(cfg, type, item, 0, 0), 0);
}

static const char *const entries[][4] = {
	{ "example.net", "tenA", "a1", "s3cr3t-A" },
	{ "example.net", "tenB", "b1", "s3cr3t-B" },
	{ "a \"b\" (c", "tenA", "x", "1 2 3" },
	{ NULL },
};

static struct config *config_of(const char *const *users, const char *retry)
{
	struct config *cfg;

	assert_int_equal(config_alloc(&cfg), 0);
	add_realm(cfg, "trunk", entries);
	add_realm(cfg, "pbx-a", NULL);
	for (; *users; users++)
		add_agent(cfg, *users, retry, "s3cr3t-S");

	return cfg;
}

static uint32_t save(struct database *db, const struct config *cfg)
{
	uint32_t number = 0;

	assert_int_equal(versions_save(&number, db, cfg, seal, "anna@local"),
			 0);

	return number;
}

static struct config *load(struct database *db, uint32_t version)
{
	struct config *cfg = NULL;

	assert_int_equal(versions_load(&cfg, db, version), 0);
	assert_int_equal(cfg->version, version);

	return cfg;
}

static const struct surrogate_agent *agent_at(const struct config *cfg,
					      size_t n)
{
	return config_at(cfg, &element_surrogate_agent, n);
}

static void users_are(const struct config *cfg, const char *const *users)
{
	size_t n = 0;

	for (; users[n]; n++) {
		assert_true(n < config_count(cfg, &element_surrogate_agent));
		assert_string_equal(agent_at(cfg, n)->register_user, users[n]);
	}
	assert_int_equal(config_count(cfg, &element_surrogate_agent), n);
}

static const char *const abc[] = { "alice", "bob", "carol", NULL };

static void everything_saved_is_loaded(void **s)
{
	struct database *db = open_sealed();
	struct config *cfg = config_of(abc, "60"), *back;
	const struct realm_config *realm;
	const struct auth_attribute *entry;
	char buf[SECRET_MAX + 1];

	assert_int_equal(save(db, cfg), 1);
	close_sealed(db);
	db = open_sealed();
	back = load(db, 1);
	users_are(back, abc);

	for (const struct element *const *e = elements; *e; e++) {
		assert_int_equal(config_count(back, *e), config_count(cfg, *e));
		if (*e == &element_surrogate_agent ||
		    *e == &element_realm_config)
			continue; /* secrets are sealed: see below */
		for (size_t i = 0; i < config_count(cfg, *e); i++)
			assert_true(item_same(*e, config_at(cfg, *e, i),
					      config_at(back, *e, i)));
	}
	realm = config_at(back, &element_realm_config, 0);
	assert_string_equal(realm->description,
			    "with \"quotes\" and 'more'; ünïcode");
	assert_int_equal(realm->auth_attributes.n, 3);
	for (size_t i = 0; i < 3; i++) {
		entry = realm->auth_attributes.v[i];
		assert_string_equal(entry->auth_realm, entries[i][0]);
		assert_string_equal(entry->auth_user_lookup, entries[i][1]);
		assert_string_equal(entry->username, entries[i][2]);
		assert_true(entry->password.sealed);
		assert_int_equal(secret_open(buf, &entry->password, seal), 0);
		assert_string_equal(buf, entries[i][3]);
	}
	assert_int_equal(agent_at(back, 0)->register_retry_time, 60);
	assert_int_equal(agent_at(back, 0)->auth_methods.n, 2);
	assert_string_equal(agent_at(back, 0)->auth_methods.v[1], "BYE");
	config_give(back);
	config_give(cfg);
	close_sealed(db);
	(void)s;
}

static void no_clear_secret_reaches_a_file(void **s)
{
	struct database *db = open_sealed();
	struct config *cfg = config_of(abc, "60");
	char *text = malloc(8 << 20);
	FILE *f;
	size_t n;

	(void)save(db, cfg);
	close_sealed(db); /* the WAL is moved into the file */
	f = fopen(path, "r");
	n = fread(text, 1, 8 << 20, f);
	fclose(f);
	assert_true(n > 4096);
	assert_non_null(memmem(text, n, "$sbc1$", 6));
	assert_null(memmem(text, n, "s3cr3t", 6));
	free(text);
	config_give(cfg);
	(void)s;
}

static void the_same_again_is_no_new_version(void **s)
{
	struct database *db = open_sealed();
	struct config *cfg = config_of(abc, "60"), *back;

	assert_int_equal(save(db, cfg), 1);
	assert_int_equal(save(db, cfg), 1); /* clear secrets */
	back = load(db, 1);
	assert_int_equal(save(db, back), 1); /* sealed ones */
	config_give(back);
	config_give(cfg);
	close_sealed(db);
	(void)s;
}

static void a_changed_secret_is_a_change(void **s)
{
	struct database *db = open_sealed();
	struct config *cfg;

	for (int i = 0; i < 2; i++) {
		assert_int_equal(config_alloc(&cfg), 0);
		add_agent(cfg, "alice", "60", i ? "one" : "two");
		assert_int_equal(save(db, cfg), i + 1);
		config_give(cfg);
	}
	close_sealed(db);
	(void)s;
}

static void a_change_writes_the_rows_that_changed(void **s)
{
	struct database *db = open_sealed();
	struct config *cfg = config_of(abc, "60"), *next, *back;
	struct change change = { .type = &element_surrogate_agent };

	(void)save(db, cfg);
	change.item = agent_of("bob", "90", "s3cr3t-S");
	assert_int_equal(config_change(&next, cfg, &change, 1), 0);
	assert_int_equal(save(db, next), 2);

	assert_int_equal(number_in(db, "SELECT count(*) FROM "
				       "\"surrogate-agent\""),
			 4);
	assert_int_equal(number_in(db, "SELECT count(*) FROM "
				       "\"surrogate-agent\" WHERE born = 1 AND"
				       " died = 2"),
			 1);
	assert_int_equal(number_in(db, "SELECT count(*) FROM "
				       "\"realm-config/auth-attribute\""),
			 3);

	back = load(db, 1);
	assert_int_equal(agent_at(back, 1)->register_retry_time, 60);
	config_give(back);
	back = load(db, 2);
	users_are(back, abc);
	assert_int_equal(agent_at(back, 1)->register_retry_time, 90);
	config_give(back);
	config_give(next);
	config_give(cfg);
	close_sealed(db);
	(void)s;
}

static void every_order_is_kept_whatever_changes(void **s)
{
	static const char *const orders[][7] = {
		{ "a", "b", "c", "d" },
		{ "d", "c", "b", "a" },
		{ "a", "b", "c", "d" },
		{ "x", "a", "b", "c", "d" },
		{ "x", "a", "y", "b", "d" },
		{ "d", "x" },
		{ "d" },
		{ NULL },
		{ "a", "d", "b" },
		{ "a", "z", "d", "b", "q" },
	};
	struct database *db = open_sealed();
	const size_t n = sizeof(orders) / sizeof(orders[0]);

	for (size_t i = 0; i < n; i++) {
		struct config *cfg = config_of(orders[i], "60");

		assert_int_equal(save(db, cfg), i + 1);
		config_give(cfg);
		for (size_t k = 0; k <= i; k++) {
			cfg = load(db, (uint32_t)k + 1);
			users_are(cfg, orders[k]);
			config_give(cfg);
		}
	}
	close_sealed(db);
	(void)s;
}

/* Each object is put behind the first, so that the gap halves each time */
static void any_number_fits_between_two(void **s)
{
	struct database *db = open_sealed();
	const char *users[64] = { "first" };
	char names[64][8];

	for (size_t i = 1; i < 40; i++) {
		struct config *cfg;

		memmove(users + 2, users + 1, (i - 1) * sizeof(users[0]));
		snprintf(names[i], sizeof(names[i]), "u%zu", i);
		users[1] = names[i];
		cfg = config_of(users, "60");
		assert_int_equal(save(db, cfg), i);
		config_give(cfg);
		cfg = load(db, (uint32_t)i);
		users_are(cfg, users);
		config_give(cfg);
	}
	close_sealed(db);
	(void)s;
}

static void running_is_what_was_activated(void **s)
{
	struct database *db = open_sealed();
	struct config *cfg = config_of(abc, "60"), *back = NULL;
	uint32_t saved = 9, running = 9;

	assert_int_equal(versions_numbers(db, &saved, &running), 0);
	assert_int_equal(saved, 0);
	assert_int_equal(running, 0);
	assert_int_equal(versions_load(&back, db, 0), ENOENT);
	assert_int_equal(versions_activate(db, 1), ENOENT);

	(void)save(db, cfg);
	assert_int_equal(versions_load(&back, db, 0), ENOENT);
	assert_int_equal(versions_load(&back, db, 2), ENOENT);
	assert_null(back);
	assert_int_equal(versions_activate(db, 2), ENOENT);
	assert_int_equal(versions_activate(db, 1), 0);
	close_sealed(db);

	db = open_sealed();
	assert_int_equal(versions_load(&back, db, 0), 0);
	assert_int_equal(back->version, 1);
	config_give(back);
	assert_int_equal(versions_numbers(db, &saved, &running), 0);
	assert_int_equal(saved, 1);
	assert_int_equal(running, 1);
	config_give(cfg);
	close_sealed(db);
	(void)s;
}

static void a_missing_column_is_added_with_its_default(void **s)
{
	struct database *db = open_sealed();
	struct config *cfg = config_of(abc, "60"), *back;
	uint32_t number;

	(void)save(db, cfg);
	assert_int_equal(database_call(db, run_sql,
				       "ALTER TABLE \"surrogate-agent\" DROP "
				       "COLUMN \"register-retry-time\""),
			 0);
	/* read by a program that cannot write it either */
	back = load(db, 1);
	assert_int_equal(agent_at(back, 2)->register_retry_time, 300);
	config_give(back);

	number = save(db, cfg);
	assert_int_equal(number, 2);
	back = load(db, 1);
	assert_int_equal(agent_at(back, 2)->register_retry_time, 300);
	config_give(back);
	back = load(db, 2);
	assert_int_equal(agent_at(back, 2)->register_retry_time, 60);
	config_give(back);
	config_give(cfg);
	close_sealed(db);
	(void)s;
}

static void a_value_of_no_use_becomes_the_default(void **s)
{
	struct database *db = open_sealed();
	struct config *cfg = config_of(abc, "60"), *back;

	(void)save(db, cfg);
	assert_int_equal(database_call(db, run_sql,
				       "UPDATE \"surrogate-agent\" SET "
				       "\"register-retry-time\" = 'soon'"),
			 0);
	back = load(db, 1);
	assert_int_equal(agent_at(back, 0)->register_retry_time, 300);
	config_give(back);
	config_give(cfg);
	close_sealed(db);
	(void)s;
}

static void a_save_that_fails_changes_nothing(void **s)
{
	struct database *db = open_sealed();
	struct config *cfg = config_of(abc, "60"), *next;
	static const char *const others[] = { "dave", NULL };
	uint32_t number = 77;

	(void)save(db, cfg);
	assert_int_equal(database_call(db, run_sql,
				       "CREATE TRIGGER t BEFORE INSERT ON "
				       "version BEGIN SELECT RAISE(ABORT, "
				       "'no'); END"),
			 0);
	next = config_of(others, "60");
	assert_int_not_equal(versions_save(&number, db, next, seal, "x"), 0);
	assert_int_equal(number, 77);
	config_give(next);
	next = load(db, 1);
	users_are(next, abc);
	assert_int_equal(number_in(db, "SELECT count(*) FROM "
				       "\"surrogate-agent\""),
			 3);
	config_give(next);
	config_give(cfg);
	close_sealed(db);
	(void)s;
}

static void listed_h(const struct version_info *info, void *arg)
{
	char *text = arg;

	assert_int_equal(strlen(info->saved), 20);
	assert_string_equal(info->by, "anna@local");
	sprintf(text + strlen(text), "%u ", info->number);
}

static void note_elements(const struct version_info *info, void *arg)
{
	((uint32_t *)arg)[info->number] = info->elements;
}

static void a_version_says_how_many_objects_it_has(void **state)
{
	struct database *db = open_sealed();
	uint32_t v, elements_of[4] = { 0 }, all = 0;
	struct config *cfg;
	(void)state;

	assert_int_equal(config_alloc(&cfg), 0);
	add_agent(cfg, "alice", "60", "");
	for (const struct element *const *e = elements; *e; e++)
		all += (uint32_t)config_count(cfg, *e);
	assert_int_equal(versions_save(&v, db, cfg, seal, "anna@local"), 0);
	add_agent(cfg, "bob", "60", "");
	assert_int_equal(versions_edit(db, cfg, seal), 0);
	assert_int_equal(versions_save_edits(&v, db, "anna@local"), 0);
	assert_int_equal(v, 2);
	config_give(cfg);
	assert_int_equal(config_alloc(&cfg), 0);
	assert_int_equal(versions_save(&v, db, cfg, seal, "anna@local"), 0);
	assert_int_equal(versions_list(db, note_elements, elements_of), 0);
	assert_int_equal(elements_of[1], all);
	assert_int_equal(elements_of[2], all + 1);
	assert_int_equal(elements_of[3], all - 1);
	config_give(cfg);
	close_sealed(db);
}

static void a_version_on_trial_is_accepted_or_another_activation_ends_it(
	void **state)
{
	struct database *db = open_sealed();
	struct version_trial trial = { 0 };
	struct config *cfg;
	uint32_t v, running;
	(void)state;

	assert_int_equal(config_alloc(&cfg), 0);
	add_agent(cfg, "alice", "60", "");
	assert_int_equal(versions_save(&v, db, cfg, seal, "anna@local"), 0);
	assert_int_equal(versions_try(db, v, 1000), ENOENT); /* none before */
	assert_int_equal(versions_activate(db, v), 0);
	add_agent(cfg, "bob", "60", "");
	assert_int_equal(versions_save(&v, db, cfg, seal, "anna@local"), 0);
	assert_int_equal(versions_trial(db, &trial), 0);
	assert_int_equal(trial.until, 0);
	assert_int_equal(versions_try(db, 77, 1000), ENOENT);
	assert_int_equal(versions_try(db, v, 0), EINVAL);

	for (int way = 0; way < 2; way++) {
		assert_int_equal(versions_try(db, 2, 1000), 0);
		assert_int_equal(versions_trial(db, &trial), 0);
		assert_int_equal(trial.until, 1000);
		assert_int_equal(trial.former, 1);
		assert_int_equal(versions_numbers(db, NULL, &running), 0);
		assert_int_equal(running, 2);
		/* the version that returns is not swept away */
		assert_int_equal(versions_sweep(db, 1), 0);
		assert_int_equal(way ? versions_accept(db)
				     : versions_activate(db, 1),
				 0);
		assert_int_equal(versions_trial(db, &trial), 0);
		assert_int_equal(trial.until, 0);
		assert_int_equal(versions_numbers(db, NULL, &running), 0);
		assert_int_equal(running, way ? 2 : 1);
	}
	config_give(cfg);
	close_sealed(db);
}

static void old_versions_are_swept_and_the_running_one_stays(void **s)
{
	static const char *const retries[] = { "30", "40", "50",
					       "60", "70", "80" };
	struct database *db = open_sealed();
	struct config *cfg;
	char text[64] = "";

	for (size_t i = 0; i < 6; i++) {
		cfg = config_of(abc, retries[i]);
		(void)save(db, cfg);
		config_give(cfg);
	}
	assert_int_equal(versions_activate(db, 2), 0);
	assert_int_equal(versions_sweep(db, 0), EINVAL);
	assert_int_equal(versions_sweep(db, 2), 0);
	assert_int_equal(versions_list(db, listed_h, text), 0);
	assert_string_equal(text, "6 5 2 ");
	assert_int_equal(number_in(db, "SELECT count(*) FROM "
				       "\"surrogate-agent\""),
			 9);
	cfg = load(db, 2);
	assert_int_equal(agent_at(cfg, 0)->register_retry_time, 40);
	config_give(cfg);
	cfg = load(db, 6);
	assert_int_equal(agent_at(cfg, 0)->register_retry_time, 80);
	config_give(cfg);
	assert_int_equal(number_in(db, "SELECT count(*) FROM "
				       "\"realm-config/auth-attribute\""),
			 3);
	close_sealed(db);
	(void)s;
}

/* --- editing --- */

static const char *const ad[] = { "alice", "dora", NULL };

static void edit(struct database *db, const char *const *users,
		 const char *retry)
{
	struct config *cfg = config_of(users, retry);

	assert_int_equal(versions_edit(db, cfg, seal), 0);
	config_give(cfg);
}

static void editing_is(struct database *db, const char *const *users)
{
	struct config *cfg = NULL;

	assert_int_equal(versions_load(&cfg, db, VERSION_EDITING), 0);
	assert_int_equal(cfg->version, 0);
	users_are(cfg, users);
	config_give(cfg);
}

static bool is_edited(struct database *db)
{
	bool edited = false;

	assert_int_equal(versions_edited(&edited, db), 0);

	return edited;
}

static void saved_is(struct database *db, uint32_t number)
{
	uint32_t saved = 0;

	assert_int_equal(versions_numbers(db, &saved, NULL), 0);
	assert_int_equal(saved, number);
}

static void editing_touches_no_saved_version_and_survives(void **s)
{
	struct database *db = open_sealed();
	struct config *cfg = config_of(abc, "60");
	uint32_t number = 0;

	editing_is(db, (const char *const[]){ NULL });
	assert_int_equal(save(db, cfg), 1);
	editing_is(db, abc);
	assert_false(is_edited(db));

	edit(db, ad, "60");
	assert_true(is_edited(db));
	close_sealed(db);
	db = open_sealed();
	editing_is(db, ad);
	config_give(cfg);
	cfg = load(db, 1);
	users_are(cfg, abc);
	saved_is(db, 1);

	assert_int_equal(versions_save_edits(&number, db, "anna@local"), 0);
	assert_int_equal(number, 2);
	saved_is(db, 2);
	assert_false(is_edited(db));
	editing_is(db, ad);
	assert_int_equal(versions_save_edits(&number, db, "anna@local"),
			 EALREADY);
	assert_int_equal(number, 2);
	config_give(cfg);
	cfg = load(db, 1);
	users_are(cfg, abc);
	config_give(cfg);
	cfg = load(db, 2);
	users_are(cfg, ad);
	config_give(cfg);
	close_sealed(db);
	(void)s;
}

static void discard_brings_every_row_back(void **s)
{
	static const char rows_sql[] = "SELECT count(*) FROM "
				       "\"realm-config/auth-attribute\"";
	struct database *db = open_sealed();
	struct config *cfg = config_of(abc, "60"), *none;
	uint64_t rows;

	(void)save(db, cfg);
	rows = number_in(db, rows_sql);
	assert_int_equal(config_alloc(&none), 0);
	assert_int_equal(versions_edit(db, none, seal), 0);
	editing_is(db, (const char *const[]){ NULL });
	edit(db, ad, "99");
	assert_int_equal(versions_discard(db), 0);
	assert_false(is_edited(db));
	editing_is(db, abc);
	assert_int_equal(number_in(db, rows_sql), rows);
	assert_int_equal(save(db, cfg), 1);
	assert_int_equal(versions_discard(db), 0);
	config_give(none);
	config_give(cfg);
	close_sealed(db);
	(void)s;
}

static void what_is_edited_back_is_no_change(void **s)
{
	struct database *db = open_sealed();
	struct config *cfg = config_of(abc, "60");

	(void)save(db, cfg);
	edit(db, ad, "60");
	edit(db, abc, "60");
	assert_false(is_edited(db));
	config_give(cfg);
	close_sealed(db);
	(void)s;
}

static void a_save_from_outside_ends_the_edits(void **s)
{
	struct database *db = open_sealed();
	struct config *cfg = config_of(abc, "60"), *next;

	(void)save(db, cfg);
	edit(db, ad, "60");
	next = config_of(abc, "90");
	assert_int_equal(save(db, next), 2);
	assert_false(is_edited(db));
	editing_is(db, abc);
	config_give(next);
	next = load(db, 2);
	assert_int_equal(agent_at(next, 0)->register_retry_time, 90);
	config_give(next);
	config_give(cfg);
	close_sealed(db);
	(void)s;
}

/* --- edits of single objects --- */

static uint32_t dice(uint32_t n)
{
	static uint32_t x = 4711;

	x = x * 1664525 + 1013904223;

	return (x >> 8) % n;
}

static struct config *changed(struct config *cfg, struct change *changes,
			      size_t n)
{
	struct config *more = NULL;

	assert_int_equal(config_change(&more, cfg, changes, n), 0);
	config_give(cfg);

	return more;
}

/* A random agent is added or changed, deleted, or renamed; or a realm changes */
static struct config *changed_by_dice(struct config *cfg)
{
	const struct element *agents = &element_surrogate_agent;
	struct change v[2] = { { .type = agents }, { .type = agents } };
	size_t count = config_count(cfg, agents), n = 1;
	char user[16], retry[16];

	sprintf(user, "user%u", dice(8));
	sprintf(retry, "%u", 60 + dice(2));
	switch (dice(4)) {
	case 0:
	case 1:
		v[0].item = agent_of(user, retry, dice(2) ? "s3cr3t-S" : "");
		break;
	case 2:
		if (!count)
			return cfg;
		v[0].key_of = config_at(cfg, agents, dice((uint32_t)count));
		if (dice(2)) {
			v[1].item = agent_of(user, retry, "s3cr3t-S");
			n = 2;
		}
		break;
	default:
		v[0].type = &element_realm_config;
		assert_int_equal(item_copy(&v[0].item, v[0].type,
					   config_at(cfg, v[0].type, 0)),
				 0);
		((struct realm_config *)v[0].item)->max_bandwidth = dice(2);
		break;
	}

	return changed(cfg, v, n);
}

/* Every object in the same order, but for who changed it; secrets as they open */
static void same_in_database(struct database *db, const struct config *cfg)
{
	struct config *stored = NULL;

	assert_int_equal(versions_load(&stored, db, VERSION_EDITING), 0);
	for (const struct element *const *e = elements; *e; e++) {
		assert_int_equal(config_count(stored, *e),
				 config_count(cfg, *e));
		for (size_t i = 0; i < config_count(cfg, *e); i++) {
			struct item_ref a = { *e, config_at(cfg, *e, i) };
			struct item_ref b = { *e, config_at(stored, *e, i) };
			char *x, *y;

			assert_int_equal(
				re_sdprintf(&x, "%H", item_key_print, &a), 0);
			assert_int_equal(
				re_sdprintf(&y, "%H", item_key_print, &b), 0);
			assert_string_equal(x, y);
			mem_deref(x);
			mem_deref(y);
		}
	}
	for (size_t i = 0; i < config_count(cfg, &element_surrogate_agent);
	     i++) {
		const struct surrogate_agent *a = agent_at(cfg, i);
		const struct surrogate_agent *b = agent_at(stored, i);

		assert_int_equal(a->register_retry_time,
				 b->register_retry_time);
		assert_true(
			secret_opens_same(&a->password, &b->password, seal));
	}
	assert_int_equal(((const struct realm_config *)config_at(
				  stored, &element_realm_config, 0))
				 ->max_bandwidth,
			 ((const struct realm_config *)config_at(
				  cfg, &element_realm_config, 0))
				 ->max_bandwidth);
	config_give(stored);
}

static void objects_that_are_edited_one_by_one_are_stored_as_if_written_whole(
	void **s)
{
	struct database *db = open_sealed();
	struct config *cfg = config_of(abc, "60"), *before;
	uint32_t number;

	(void)save(db, cfg);
	for (int i = 0; i < 30; i++) {
		before = (struct config *)config_take(cfg);
		cfg = changed_by_dice(cfg);
		assert_int_equal(versions_edit_objects(db, before, cfg, seal),
				 0);
		config_give(before);
		same_in_database(db, cfg);
		if (!dice(8))
			(void)versions_save_edits(&number, db, "anna@local");
		if (!dice(8)) {
			/* written whole it is the same: nothing is left over */
			assert_int_equal(versions_edit(db, cfg, seal), 0);
			same_in_database(db, cfg);
		}
	}
	/* Sub-elements of rows that are gone are gone too */
	assert_int_equal(number_in(db, "SELECT count(*) FROM"
				       " \"realm-config/auth-attribute\" WHERE"
				       " parent NOT IN (SELECT id FROM"
				       " \"realm-config\")"),
			 0);
	config_give(cfg);
	close_sealed(db);
	(void)s;
}

static void an_object_that_is_edited_back_is_no_change(void **s)
{
	struct database *db = open_sealed();
	struct config *cfg = config_of(abc, "60"), *before;
	const char *const retries[] = { "61", "62", "60" };

	(void)save(db, cfg);
	for (size_t i = 0; i < 3; i++) {
		struct change change = { .type = &element_surrogate_agent };

		change.item = agent_of("bob", retries[i], "s3cr3t-S");
		before = (struct config *)config_take(cfg);
		cfg = changed(cfg, &change, 1);
		assert_int_equal(versions_edit_objects(db, before, cfg, seal),
				 0);
		config_give(before);
		assert_int_equal(is_edited(db), i < 2);
		same_in_database(db, cfg);
	}
	config_give(cfg);
	close_sealed(db);
	(void)s;
}

static void one_of_many_objects_is_edited_in_a_few_rows(void **s)
{
	struct database *db = open_sealed();
	struct config *cfg = config_of((const char *const[]){ NULL }, "60");
	struct config *before;
	struct change change = { .type = &element_surrogate_agent };
	uint64_t rows;

	for (int i = 0; i < 500; i++) {
		char user[16];

		sprintf(user, "user%d", i);
		add_agent(cfg, user, "60", "s3cr3t-S");
	}
	(void)save(db, cfg);
	rows = number_in(db, "SELECT max(id) FROM \"surrogate-agent\"");
	change.item = agent_of("user250", "61", "s3cr3t-S");
	before = (struct config *)config_take(cfg);
	cfg = changed(cfg, &change, 1);
	assert_int_equal(versions_edit_objects(db, before, cfg, seal), 0);
	config_give(before);
	same_in_database(db, cfg);
	assert_int_equal(number_in(db, "SELECT max(id) FROM"
				       " \"surrogate-agent\""),
			 rows + 1);
	assert_int_equal(number_in(db, "SELECT count(*) FROM"
				       " \"surrogate-agent\" WHERE born = 2 OR"
				       " died = 2"),
			 2);
	config_give(cfg);
	close_sealed(db);
	(void)s;
}

static void a_database_without_the_row_is_written_whole(void **s)
{
	struct database *db = open_sealed();
	struct config *cfg = config_of(abc, "60"), *before;
	struct change change = { .type = &element_surrogate_agent };

	(void)save(db, cfg);
	/* somebody else has been there */
	assert_int_equal(
		database_call(db, run_sql, "DELETE FROM \"surrogate-agent\""),
		0);
	change.item = agent_of("bob", "61", "s3cr3t-S");
	before = (struct config *)config_take(cfg);
	cfg = changed(cfg, &change, 1);
	assert_int_equal(versions_edit_objects(db, before, cfg, seal), 0);
	same_in_database(db, cfg);
	config_give(before);
	config_give(cfg);
	close_sealed(db);
	(void)s;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(everything_saved_is_loaded),
		TEST(no_clear_secret_reaches_a_file),
		TEST(the_same_again_is_no_new_version),
		TEST(a_changed_secret_is_a_change),
		TEST(a_change_writes_the_rows_that_changed),
		TEST(every_order_is_kept_whatever_changes),
		TEST(any_number_fits_between_two),
		TEST(running_is_what_was_activated),
		TEST(a_missing_column_is_added_with_its_default),
		TEST(a_value_of_no_use_becomes_the_default),
		TEST(a_save_that_fails_changes_nothing),
		TEST(editing_touches_no_saved_version_and_survives),
		TEST(discard_brings_every_row_back),
		TEST(what_is_edited_back_is_no_change),
		TEST(a_save_from_outside_ends_the_edits),
		TEST(objects_that_are_edited_one_by_one_are_stored_as_if_written_whole),
		TEST(an_object_that_is_edited_back_is_no_change),
		TEST(one_of_many_objects_is_edited_in_a_few_rows),
		TEST(a_database_without_the_row_is_written_whole),
		TEST(a_version_says_how_many_objects_it_has),
		TEST(a_version_on_trial_is_accepted_or_another_activation_ends_it),
		TEST(old_versions_are_swept_and_the_running_one_stays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
