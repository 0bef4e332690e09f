/*
 * A folder with a database for one test, and what the tests of store need
 */
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <dirent.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include "store/database.h"

static char folder[64], path[128], why[DATABASE_WHY];

static inline int folder_make(void **s)
{
	(void)s;
	strcpy(folder, "/tmp/sbc_store_XXXXXX");
	if (!mkdtemp(folder))
		return -1;
	snprintf(path, sizeof(path), "%s/sbc.db", folder);

	return 0;
}

static inline int folder_drop(void **s)
{
	DIR *dir = opendir(folder);
	struct dirent *e;

	(void)s;
	if (!dir)
		return -1;
	while ((e = readdir(dir)))
		(void)unlinkat(dirfd(dir), e->d_name, 0);
	closedir(dir);

	return rmdir(folder);
}

static inline struct database *open_here(void)
{
	struct database *db = NULL;
	int err = database_open(&db, path, false, why);

	if (err)
		print_error("%s\n", why);
	assert_int_equal(err, 0);

	return db;
}

static inline int run_sql(struct connection *c, void *arg)
{
	return connection_run(c, arg);
}

/* A number out of the database, read by a connection of its own */
struct asked {
	const char *sql;
	uint64_t answer;
};

static inline int ask_sql(struct connection *c, void *arg)
{
	struct asked *asked = arg;
	struct statement *st;
	int err = statement_prepare(&st, c, asked->sql);

	if (err)
		return err;
	err = statement_step(st);
	if (!err)
		asked->answer = statement_column_number(st, 0);
	statement_free(st);

	return err;
}

static inline uint64_t number_in(struct database *db, const char *sql)
{
	struct asked asked = { .sql = sql };

	assert_int_equal(database_read(db, ask_sql, &asked), 0);

	return asked.answer;
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, folder_make, folder_drop)
