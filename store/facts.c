/*
 * Small durable facts by name
 */
#include <errno.h>
#include "store/facts.h"

struct fact {
	const char *name;
	uint64_t value;
};

static int fact_read(struct connection *c, void *arg)
{
	struct fact *fact = arg;
	struct statement *s;
	int err;

	err = statement_kept(&s, c, "SELECT value FROM fact WHERE name = ?1");
	if (err)
		return err;

	statement_text(s, 1, fact->name);
	err = statement_step(s);
	if (!err)
		fact->value = statement_column_number(s, 0);
	statement_reset(s);

	return err == ENOENT ? 0 : err;
}

static int fact_write(struct connection *c, void *arg)
{
	const struct fact *fact = arg;
	struct statement *s;
	int err;

	err = statement_kept(&s, c,
			     "INSERT INTO fact VALUES(?1, ?2) ON CONFLICT DO "
			     "UPDATE SET value = excluded.value");
	if (err)
		return err;

	statement_text(s, 1, fact->name);
	statement_number(s, 2, fact->value);

	return statement_run(s);
}

/* Read and written in one transaction: no two starts share an epoch */
static int fact_raise(struct connection *c, void *arg)
{
	struct fact *fact = arg;
	int err = fact_read(c, fact);

	if (err)
		return err;
	fact->value++;

	return fact_write(c, fact);
}

int fact_get(struct database *db, const char *name, uint64_t *valuep)
{
	struct fact fact = { .name = name };
	int err;

	if (!db || !name || !valuep)
		return EINVAL;

	err = database_read(db, fact_read, &fact);
	if (!err)
		*valuep = fact.value;

	return err;
}

int fact_set(struct database *db, const char *name, uint64_t value)
{
	struct fact fact = { .name = name, .value = value };

	if (!db || !name)
		return EINVAL;

	return database_call(db, fact_write, &fact);
}

/* Texts live in the same table: SQLite keeps what is no number as it is */
struct text_fact {
	const char *name, *text;
	char *buf;
	size_t size;
};

static int text_read(struct connection *c, void *arg)
{
	struct text_fact *fact = arg;
	struct statement *s;
	int err;

	fact->buf[0] = '\0';
	err = statement_kept(&s, c, "SELECT value FROM fact WHERE name = ?1");
	if (err)
		return err;

	statement_text(s, 1, fact->name);
	err = statement_step(s);
	if (!err) {
		struct pl text = statement_column(s, 0);

		if (pl_strcpy(&text, fact->buf, fact->size))
			err = EOVERFLOW;
	}
	statement_reset(s);

	return err == ENOENT ? 0 : err;
}

static int text_write(struct connection *c, void *arg)
{
	const struct text_fact *fact = arg;
	struct statement *s;
	int err;

	err = statement_kept(&s, c, "DELETE FROM fact WHERE name = ?1");
	if (err)
		return err;
	statement_text(s, 1, fact->name);
	err = statement_run(s);
	if (err || !*fact->text)
		return err;

	err = statement_kept(&s, c, "INSERT INTO fact VALUES(?1, ?2)");
	if (err)
		return err;
	statement_text(s, 1, fact->name);
	statement_text(s, 2, fact->text);

	return statement_run(s);
}

int fact_text(struct database *db, const char *name, char *buf, size_t size)
{
	struct text_fact fact = { .name = name, .buf = buf, .size = size };

	if (!db || !name || !buf || !size)
		return EINVAL;

	return database_read(db, text_read, &fact);
}

int fact_text_set(struct database *db, const char *name, const char *text)
{
	struct text_fact fact = { .name = name, .text = text };

	if (!db || !name || !text)
		return EINVAL;

	return database_call(db, text_write, &fact);
}

int fact_epoch(struct database *db, uint64_t *epochp)
{
	struct fact fact = { .name = "epoch" };
	int err;

	if (!db || !epochp)
		return EINVAL;

	err = database_call(db, fact_raise, &fact);
	if (!err)
		*epochp = fact.value;

	return err;
}
