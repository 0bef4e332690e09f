/*
 * State of registrations: loaded at start, written behind
 *
 * Rows go into a log, one behind the other: AoRs come due in any order, and a
 * table in the order of AoRs would change a page for nearly each of them. Of the
 * rows of an AoR the last one counts; where the others end is log_trim. Which one
 * counts the writer knows from the first row on that it writes, and reads it
 * anew when a transaction was undone.
 *
 * A row is packed into one block when it is queued: the job, the row, and
 * behind them its texts. The key of a row is the keyed hash of agent and AoR.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "store/hash.h"
#include "store/newest.h"
#include "store/registrations.h"

enum {
	TEXTS = 9,
	TRIM = 2,   /* segments of the log in one go */
	SPARSE = 2, /* how many rows there may be for each that counts, */
	SPARE = 4,  /* and segments beyond that */
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
	bool gone; /* the AoR is: its rows count no more */
	char bytes[];
};

/* What the writer knows of the log; goes with its connection */
struct known {
	struct newest newest;
	uint64_t last;    /* number of the newest row */
	uint64_t undone;  /* of the connection, as of what is known */
	uint64_t *epochs; /* newest of each shard; NULL: all are 0 */
};

static const char **text_slot(struct registration_row *row, size_t n)
{
	return (const char **)(void *)((char *)row + texts[n]);
}

static const char *text_of(const struct registration_row *row, size_t n)
{
	const char *text;

	memcpy(&text, (const char *)row + texts[n], sizeof(text));

	return text;
}

static uint64_t key_of(const char *agent, const char *aor)
{
	uint64_t key = hash_mix(hash_bytes(agent, strlen(agent)),
				hash_bytes(aor, strlen(aor)));

	return key ? key : 1; /* 0 means: no key */
}

/* ---- what is known of the log ---- */

static void known_clear(struct known *k)
{
	newest_finish(&k->newest);
	free(k->epochs);
	memset(k, 0, sizeof(*k));
}

static void known_free(void *arg)
{
	known_clear(arg);
	free(arg);
}

static int epoch_take(struct known *k, uint16_t shard, uint64_t epoch)
{
	if (!epoch)
		return 0;
	if (!k->epochs)
		k->epochs = calloc(UINT16_MAX + 1, sizeof(*k->epochs));
	if (!k->epochs)
		return ENOMEM;
	if (k->epochs[shard] < epoch)
		k->epochs[shard] = epoch;

	return 0;
}

/* The first row of the log: all others stand behind it */
static int first_read(struct known *k, struct connection *c)
{
	struct statement *s;
	int err;

	err = statement_kept(&s, c, "SELECT min(n) FROM registration_log");
	if (err)
		return err;

	err = statement_step(s);
	if (!err)
		err = newest_room(&k->newest, statement_column_number(s, 0));
	statement_reset(s);

	return err;
}

/* Row n, from the end on: is it the first one of its key? */
static int row_meet(struct known *k, uint64_t n, uint64_t key, bool *counts)
{
	int err;

	*counts = !newest_get(&k->newest, key);
	if (!*counts)
		return 0;

	err = newest_room(&k->newest, n);
	if (err)
		return err;
	newest_set(&k->newest, key, n);
	if (n > k->last)
		k->last = n;

	return 0;
}

static int known_read(struct known *k, struct connection *c)
{
	struct statement *s;
	bool counts;
	int err;

	known_clear(k);
	k->undone = connection_undone(c);
	err = first_read(k, c);
	if (!err)
		err = statement_kept(&s, c,
				     "SELECT n, agent, aor, shard, epoch"
				     " FROM registration_log ORDER BY n DESC");
	if (err)
		return err;

	while (!err && !(err = statement_step(s))) {
		err = row_meet(k, statement_column_number(s, 0),
			       key_of(statement_column_text(s, 1),
				      statement_column_text(s, 2)),
			       &counts);
		if (!err)
			err = epoch_take(
				k, (uint16_t)statement_column_number(s, 3),
				statement_column_number(s, 4));
	}
	statement_reset(s);

	return err == ENOENT ? 0 : err;
}

/* Known from the first row on that is written; anew when some were undone */
static int known_get(struct known **kp, struct connection *c)
{
	struct known *k = connection_kept(c);
	int err;

	if (!k) {
		k = calloc(1, sizeof(*k));
		if (!k)
			return ENOMEM;
		k->undone = UINT64_MAX;
		connection_keep(c, k, known_free);
	}
	if (k->undone != connection_undone(c)) {
		err = known_read(k, c);
		if (err) {
			k->undone = UINT64_MAX;
			return err;
		}
	}
	*kp = k;

	return 0;
}

/* ---- rows that count no more ---- */

/* A row that still counts goes to the end; that an AoR is gone need not be known
 * any more where no row of it is older */
static int row_carry(struct known *k, struct connection *c, uint64_t n,
		     uint64_t key, bool gone)
{
	struct statement *s;
	int err;

	if (newest_get(&k->newest, key) != n)
		return 0;
	if (gone) {
		newest_forget(&k->newest, key);
		return 0;
	}

	err = newest_room(&k->newest, k->last + 1);
	if (!err)
		err = statement_kept(&s, c,
				     "UPDATE registration_log SET n = ?2"
				     " WHERE n = ?1");
	if (err)
		return err;

	statement_number(s, 1, n);
	statement_number(s, 2, k->last + 1);
	err = statement_run(s);
	if (!err)
		newest_set(&k->newest, key, ++k->last);

	return err;
}

static int segment_carry(struct known *k, struct connection *c, uint64_t from,
			 uint64_t end)
{
	struct statement *s;
	int err;

	err = statement_kept(&s, c,
			     "SELECT n, agent, aor, gone FROM registration_log"
			     " WHERE n >= ?1 AND n < ?2 ORDER BY n");
	if (err)
		return err;

	statement_number(s, 1, from);
	statement_number(s, 2, end);
	while (!err && !(err = statement_step(s)))
		err = row_carry(k, c, statement_column_number(s, 0),
				key_of(statement_column_text(s, 1),
				       statement_column_text(s, 2)),
				statement_column_number(s, 3) != 0);
	statement_reset(s);

	return err == ENOENT ? 0 : err;
}

static int segment_drop(struct known *k, struct connection *c, uint64_t end)
{
	struct statement *s;
	int err;

	err = statement_kept(&s, c,
			     "DELETE FROM registration_log WHERE n < ?1");
	if (err)
		return err;

	statement_number(s, 1, end);
	err = statement_run(s);
	if (!err)
		newest_drop(&k->newest);

	return err;
}

/* The oldest segments go when nothing in them counts. Where some rows of them
 * still do these are carried to the end, as soon as the log is SPARSE times as
 * long as it had to be. Bindings of one length that are refreshed at 50-90 % of it
 * make the log 1.3 times as long, and nothing is carried. */
static int log_trim(struct known *k, struct connection *c)
{
	uint64_t from, end;
	uint32_t live;
	int err = 0;

	for (int i = 0; i < TRIM && !err; i++) {
		size_t n = newest_oldest(&k->newest, &from, &end, &live);

		if (n < 2 || (live && n * NEWEST_SEGMENT <
					      SPARSE * k->newest.count +
						      SPARE * NEWEST_SEGMENT))
			break;
		if (live)
			err = segment_carry(k, c, from, end);
		if (!err)
			err = segment_drop(k, c, end);
	}

	return err;
}

/* ---- rows in ---- */

static int row_append(struct known *k, struct connection *c,
		      const struct put *put)
{
	const struct registration_row *row = &put->row;
	struct statement *s;
	int err;

	err = newest_room(&k->newest, k->last + 1);
	if (!err)
		err = epoch_take(k, row->shard, row->epoch);
	if (!err)
		err = statement_kept(
			&s, c,
			"INSERT INTO registration_log(n, agent, aor, callid,"
			" from_tag, contact, registrar, target, service_route,"
			" associated, cseq_reserved, granted, min_expires,"
			" failures, expires, refresh, shard, epoch, state,"
			" gone, written) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7,"
			" ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18,"
			" ?19, ?20, unixepoch())");
	if (err)
		return err;

	statement_number(s, 1, k->last + 1);
	for (size_t i = 0; i < TEXTS; i++)
		statement_text(s, (int)i + 2, text_of(row, i));
	statement_number(s, 11, row->cseq_reserved);
	statement_number(s, 12, row->granted);
	statement_number(s, 13, row->min_expires);
	statement_number(s, 14, row->failures);
	statement_number(s, 15, row->expires);
	statement_number(s, 16, row->refresh);
	statement_number(s, 17, row->shard);
	statement_number(s, 18, row->epoch);
	statement_number(s, 19, row->state);
	statement_number(s, 20, put->gone);
	err = statement_run(s);
	if (!err)
		newest_set(&k->newest, put->job.key, ++k->last);
	if (!err && k->last % NEWEST_SEGMENT == 0)
		err = log_trim(k, c);

	return err;
}

static int put_run(struct connection *c, struct database_job *job)
{
	const struct put *put = (const void *)job;
	const struct registration_row *row = &put->row;
	struct known *k;
	int err;

	err = known_get(&k, c);
	if (err)
		return err;
	/* Nothing is known of it, so nothing has to be forgotten */
	if (put->gone && !newest_get(&k->newest, job->key))
		return 0;
	/* Another node has taken the shard over (architecture.md 11) */
	if (!put->gone && k->epochs && row->epoch < k->epochs[row->shard])
		return 0;

	return row_append(k, c, put);
}

static void put_free(struct database_job *job)
{
	free(job);
}

/* Copies the row with its texts; a text that is NULL is "" from here on */
static int put_queue(struct database *db, const struct registration_row *row,
		     bool gone)
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
	put->gone = gone;
	p = put->bytes;
	for (size_t i = 0; i < TEXTS; i++) {
		const char **slot = text_slot(&put->row, i);
		size_t n = strlen(*slot) + 1;

		memcpy(p, *slot, n);
		*slot = p;
		p += n;
	}

	put->job.run = put_run;
	put->job.free = put_free;
	put->job.key = key_of(from.agent, from.aor);

	err = database_queue(db, &put->job);
	if (err)
		free(put);

	return err;
}

int registrations_put(struct database *db, const struct registration_row *row)
{
	if (!db || !row || !row->agent || !row->aor)
		return EINVAL;

	return put_queue(db, row, false);
}

int registrations_drop(struct database *db, const char *agent, const char *aor)
{
	struct registration_row row = { .agent = agent, .aor = aor };

	if (!db || !agent || !aor)
		return EINVAL;

	return put_queue(db, &row, true);
}

/* ---- rows out ---- */

struct load {
	registration_row_h *h;
	void *arg;
};

static void row_read(struct registration_row *row, struct statement *s)
{
	for (size_t i = 0; i < TEXTS; i++)
		*text_slot(row, i) = statement_column_text(s, (int)i + 1);
	row->cseq_reserved = (uint32_t)statement_column_number(s, 10);
	row->granted = (uint32_t)statement_column_number(s, 11);
	row->min_expires = (uint32_t)statement_column_number(s, 12);
	row->failures = (uint32_t)statement_column_number(s, 13);
	row->expires = statement_column_number(s, 14);
	row->refresh = statement_column_number(s, 15);
	row->shard = (uint16_t)statement_column_number(s, 16);
	row->epoch = statement_column_number(s, 17);
	row->state = (uint8_t)statement_column_number(s, 18);
}

static int rows_read(struct known *k, struct connection *c,
		     const struct load *load)
{
	struct registration_row row;
	struct statement *s;
	bool counts;
	int err;

	err = first_read(k, c);
	if (!err)
		err = statement_kept(
			&s, c,
			"SELECT n, agent, aor, callid, from_tag, contact,"
			" registrar, target, service_route, associated,"
			" cseq_reserved, granted, min_expires, failures,"
			" expires, refresh, shard, epoch, state, gone"
			" FROM registration_log ORDER BY n DESC");
	if (err)
		return err;

	while (!err && !(err = statement_step(s))) {
		err = row_meet(k, statement_column_number(s, 0),
			       key_of(statement_column_text(s, 1),
				      statement_column_text(s, 2)),
			       &counts);
		if (err || !counts || statement_column_number(s, 19))
			continue;
		row_read(&row, s);
		load->h(&row, load->arg);
	}
	statement_reset(s);

	return err == ENOENT ? 0 : err;
}

static int load_rows(struct connection *c, void *arg)
{
	struct known known = { .last = 0 };
	int err = rows_read(&known, c, arg);

	known_clear(&known);

	return err;
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
			     "SELECT written FROM registration_log"
			     " ORDER BY n DESC LIMIT 1");
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
