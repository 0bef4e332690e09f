/*
 * State of registrations: loaded at start, written behind
 *
 * A row is packed into one block when it is queued: the job, the row, and
 * behind them its texts. The key of a row is the keyed hash of agent and AoR.
 * A row of an older epoch than the stored one is refused by the statement
 * itself: another node has taken the shard over (architecture.md 11).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "store/hash.h"
#include "store/registrations.h"

enum {
	TEXTS = 9
};

/* Where the texts of a row stand: the order of the columns */
static const size_t texts[TEXTS] = {
	offsetof(struct registration_row, agent),
	offsetof(struct registration_row, aor),
	offsetof(struct registration_row, callid),
	offsetof(struct registration_row, from_tag),
	offsetof(struct registration_row, contact),
	offsetof(struct registration_row, registrar),
	offsetof(struct registration_row, target),
	offsetof(struct registration_row, service_route),
	offsetof(struct registration_row, associated),
};

struct put {
	struct database_job job; /* first */
	struct registration_row row;
	char bytes[];
};

/* The moment of the last write: touched once a second, not with each row */
static int written_now(struct connection *c)
{
	struct statement *s;
	int err;

	err = statement_kept(
		&s, c,
		"INSERT INTO fact VALUES('registrations-written', unixepoch())"
		" ON CONFLICT DO UPDATE SET value = excluded.value"
		" WHERE value <> excluded.value");

	return err ? err : statement_run(s);
}

static const char **text_slot(struct registration_row *row, size_t n)
{
	return (const char **)(void *)((char *)row + texts[n]);
}

static int put_run(struct connection *c, struct database_job *job)
{
	struct put *put = (void *)job;
	struct registration_row *row = &put->row;
	struct statement *s;
	int err;

	err = statement_kept(
		&s, c,
		"INSERT INTO registration(agent, aor, callid, from_tag,"
		" contact, registrar, target, service_route, associated,"
		" cseq_reserved, granted, min_expires, failures, expires,"
		" refresh, shard, epoch, state) VALUES(?1, ?2, ?3, ?4, ?5, ?6,"
		" ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18)"
		" ON CONFLICT DO UPDATE SET callid = excluded.callid,"
		" from_tag = excluded.from_tag, contact = excluded.contact,"
		" registrar = excluded.registrar, target = excluded.target,"
		" service_route = excluded.service_route,"
		" associated = excluded.associated,"
		" cseq_reserved = excluded.cseq_reserved,"
		" granted = excluded.granted,"
		" min_expires = excluded.min_expires,"
		" failures = excluded.failures, expires = excluded.expires,"
		" refresh = excluded.refresh, shard = excluded.shard,"
		" epoch = excluded.epoch, state = excluded.state"
		" WHERE excluded.epoch >= epoch");
	if (err)
		return err;

	for (size_t i = 0; i < TEXTS; i++)
		statement_text(s, (int)i + 1, *text_slot(row, i));
	statement_number(s, 10, row->cseq_reserved);
	statement_number(s, 11, row->granted);
	statement_number(s, 12, row->min_expires);
	statement_number(s, 13, row->failures);
	statement_number(s, 14, row->expires);
	statement_number(s, 15, row->refresh);
	statement_number(s, 16, row->shard);
	statement_number(s, 17, row->epoch);
	statement_number(s, 18, row->state);
	err = statement_run(s);

	return err ? err : written_now(c);
}

static int drop_run(struct connection *c, struct database_job *job)
{
	struct put *put = (void *)job;
	struct statement *s;
	int err;

	err = statement_kept(&s, c,
			     "DELETE FROM registration WHERE agent = ?1 AND"
			     " aor = ?2");
	if (err)
		return err;

	statement_text(s, 1, put->row.agent);
	statement_text(s, 2, put->row.aor);
	err = statement_run(s);

	return err ? err : written_now(c);
}

static void put_free(struct database_job *job)
{
	free(job);
}

/* Copies the row with its texts; a text that is NULL is "" from here on */
static int put_queue(struct database *db, const struct registration_row *row,
		     int (*run)(struct connection *c, struct database_job *job))
{
	struct registration_row from = *row;
	struct put *put;
	size_t size = 0;
	char *p;
	int err;

	for (size_t i = 0; i < TEXTS; i++) {
		const char **slot = text_slot(&from, i);

		if (!*slot)
			*slot = "";
		size += strlen(*slot) + 1;
	}

	put = calloc(1, sizeof(*put) + size);
	if (!put)
		return ENOMEM;

	put->row = from;
	p = put->bytes;
	for (size_t i = 0; i < TEXTS; i++) {
		const char **slot = text_slot(&put->row, i);
		size_t n = strlen(*slot) + 1;

		memcpy(p, *slot, n);
		*slot = p;
		p += n;
	}

	put->job.run = run;
	put->job.free = put_free;
	put->job.key = hash_mix(hash_bytes(from.agent, strlen(from.agent)),
				hash_bytes(from.aor, strlen(from.aor)));
	if (!put->job.key)
		put->job.key = 1; /* 0 means: no key */

	err = database_queue(db, &put->job);
	if (err)
		free(put);

	return err;
}

int registrations_put(struct database *db, const struct registration_row *row)
{
	if (!db || !row || !row->agent || !row->aor)
		return EINVAL;

	return put_queue(db, row, put_run);
}

int registrations_drop(struct database *db, const char *agent, const char *aor)
{
	struct registration_row row = { .agent = agent, .aor = aor };

	if (!db || !agent || !aor)
		return EINVAL;

	return put_queue(db, &row, drop_run);
}

struct load {
	registration_row_h *h;
	void *arg;
};

static int load_rows(struct connection *c, void *arg)
{
	const struct load *load = arg;
	struct registration_row row;
	struct statement *s;
	int err;

	err = statement_kept(
		&s, c,
		"SELECT agent, aor, callid, from_tag, contact, registrar,"
		" target, service_route, associated, cseq_reserved, granted,"
		" min_expires, failures, expires, refresh, shard, epoch, state"
		" FROM registration");
	if (err)
		return err;

	while (!(err = statement_step(s))) {
		for (size_t i = 0; i < TEXTS; i++)
			*text_slot(&row, i) = statement_column_text(s, (int)i);
		row.cseq_reserved = (uint32_t)statement_column_number(s, 9);
		row.granted = (uint32_t)statement_column_number(s, 10);
		row.min_expires = (uint32_t)statement_column_number(s, 11);
		row.failures = (uint32_t)statement_column_number(s, 12);
		row.expires = statement_column_number(s, 13);
		row.refresh = statement_column_number(s, 14);
		row.shard = (uint16_t)statement_column_number(s, 15);
		row.epoch = statement_column_number(s, 16);
		row.state = (uint8_t)statement_column_number(s, 17);
		load->h(&row, load->arg);
	}
	statement_reset(s);

	return err == ENOENT ? 0 : err;
}

int registrations_load(struct database *db, registration_row_h *h, void *arg)
{
	struct load load = { .h = h, .arg = arg };

	if (!db || !h)
		return EINVAL;

	return database_read(db, load_rows, &load);
}

static int read_written(struct connection *c, void *arg)
{
	struct statement *s;
	int err;

	err = statement_kept(&s, c,
			     "SELECT value FROM fact"
			     " WHERE name = 'registrations-written'");
	if (err)
		return err;

	err = statement_step(s);
	if (!err)
		*(uint64_t *)arg = statement_column_number(s, 0);
	statement_reset(s);

	return err;
}

uint64_t registrations_written(struct database *db)
{
	uint64_t written = 0;

	/* Unreadable is as good as never: all bindings are due then */
	if (!db || database_read(db, read_written, &written))
		return 0;

	return written;
}
