/*
 * The credential table: look up with a bounded cache, import, count
 *
 * Entries of the running configuration (origin 0) and imported rows (origin 1)
 * stand in one table without rowid, keyed (realm, auth-realm, lookup, origin),
 * so that one descent finds the row that counts: the first of its key. What is
 * running is put there when a version is activated (versions).
 *
 * The cache holds the last rows that were asked for, and keys that have none,
 * with passwords masked. Whoever changes what it was read from announces it in
 * the database, and each look-up compares that number first; a look-up after the
 * announcement never sees what was before it. Each read is a transaction of its
 * own: a reader that kept one open would keep the WAL from ever being emptied.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include "store/credentials.h"
#include "store/csv.h"
#include "store/hash.h"

enum {
	TEXT_MAX = 255,      /* auth-realm, lookup, username [bytes] */
	NAME_LONGEST = 1024, /* realm, key of an agent [bytes] */
	SEALED_LONGEST = 2048,
	PARTS = 3,
	TELL_ROWS = 4096, /* between two words about how far an import is */
};

enum kind {
	OF_REALM,
	OF_AOR,
	OF_AGENT, /* has any AoR of it credentials of its own? */
	IMPORTED, /* OF_REALM, without the entries that run */
	KINDS
};

struct credentials {
	struct database *db;
	struct opener *opener;
	struct connection *c;
	struct statement *find[KINDS];
	uint64_t announced; /* as of what is in the cache */
	struct table rows;
	struct list used; /* in the order in which they leave */
	uint32_t count, max;
	uint64_t mask[2], salts; /* of passwords in the cache */
};

struct question {
	enum kind kind;
	const struct pl *part[PARTS]; /* OF_AOR: the third is empty */
};

/* One row, or that there is none; one block with its texts */
struct cached {
	struct entry entry; /* first */
	struct le le;
	enum kind kind;
	uint32_t part[PARTS]; /* lengths */
	bool there;
	bool asked;      /* since it came, or had its second chance */
	bool damaged;    /* the password was not sealed, or not by us */
	uint16_t length; /* of the password */
	uint64_t salt;
	const char *username; /* in `bytes`, as the password */
	uint8_t *password;    /* masked */
	char bytes[];
};

static uint64_t question_hash(const struct question *q)
{
	uint64_t hash = q->kind;

	for (int i = 0; i < PARTS; i++)
		hash = hash_mix(hash, hash_bytes(q->part[i]->p, q->part[i]->l));

	return hash;
}

static bool cached_match(const struct entry *e, const void *arg)
{
	const struct cached *row = (const void *)e;
	const struct question *q = arg;
	const char *p = row->bytes;

	if (row->kind != q->kind)
		return false;
	for (int i = 0; i < PARTS; i++) {
		if (row->part[i] != q->part[i]->l)
			return false;
		if (row->part[i] && memcmp(p, q->part[i]->p, row->part[i]))
			return false;
		p += row->part[i];
	}

	return true;
}

static void cached_drop(struct credentials *table, struct cached *row)
{
	table_remove(&table->rows, &row->entry);
	list_unlink(&row->le);
	table->count--;
	free(row); /* the password in it is masked */
}

void credentials_changed(struct credentials *table)
{
	struct le *le;

	if (!table)
		return;

	while ((le = list_head(&table->used)))
		cached_drop(table, le->data);
}

static const char find_entry[] =
	"SELECT username, password FROM credential WHERE realm = ?1"
	" AND auth_realm = ?2 AND lookup = ?3 ORDER BY origin LIMIT 1";
static const char find_aor[] =
	"SELECT username, password FROM aor_credential WHERE agent = ?1"
	" AND user = ?2 AND ?3 = ''";
static const char find_agent[] =
	"SELECT '', '' FROM aor_credential WHERE agent = ?1"
	" AND ?2 = '' AND ?3 = '' LIMIT 1";
static const char find_imported[] =
	"SELECT username, password FROM credential WHERE realm = ?1"
	" AND auth_realm = ?2 AND lookup = ?3 AND origin = 1";

int credentials_open(struct credentials **tablep, struct database *db,
		     const struct seal *seal, uint32_t cached)
{
	struct credentials *table;
	int err;

	if (!tablep || !db || !seal)
		return EINVAL;

	table = calloc(1, sizeof(*table));
	if (!table)
		return ENOMEM;

	table->db = db;
	table->max = cached ? cached : 1; /* the row being answered with */
	table_init(&table->rows);
	table->announced = database_announced(db);

	err = getrandom(table->mask, sizeof(table->mask), 0) ==
			      (ssize_t)sizeof(table->mask)
		      ? 0
		      : EIO;
	if (!err)
		err = opener_open(&table->opener, seal);
	if (!err)
		err = database_reader(&table->c, db);
	if (!err)
		err = statement_kept(&table->find[OF_REALM], table->c,
				     find_entry);
	if (!err)
		err = statement_kept(&table->find[OF_AOR], table->c, find_aor);
	if (!err)
		err = statement_kept(&table->find[OF_AGENT], table->c,
				     find_agent);
	if (!err)
		err = statement_kept(&table->find[IMPORTED], table->c,
				     find_imported);
	if (err)
		credentials_close(table);
	else
		*tablep = table;

	return err;
}

void credentials_close(struct credentials *table)
{
	if (!table)
		return;

	credentials_changed(table);
	table_finish(&table->rows);
	connection_close(table->c);
	opener_close(table->opener);
	secret_wipe_bytes(table->mask, sizeof(table->mask));
	free(table);
}

/* Opening a seal costs as much as a digest, and a call asks several times: in the
 * cache a password is masked instead, with what SipHash makes of a key of the
 * table and of a number that no other row had. From masked to clear and back */
static void mask(uint8_t *to, const uint8_t *from, size_t n,
		 const struct credentials *table, uint64_t salt)
{
	uint64_t word[2] = { salt, 0 }, pad = 0;

	for (size_t i = 0; i < n; i++) {
		if (i % sizeof(pad) == 0) {
			word[1] = i;
			pad = hash_keyed(table->mask, word, sizeof(word));
		}
		to[i] = from[i] ^ (uint8_t)(pad >> 8 * (i % sizeof(pad)));
	}
}

static int cached_make(struct cached **rowp, struct credentials *table,
		       const struct question *q, const struct pl *username,
		       const char *password)
{
	const size_t length = strlen(password);
	size_t size = username->l + length + 1;
	struct cached *row;
	char *p;

	for (int i = 0; i < PARTS; i++)
		size += q->part[i]->l;
	row = calloc(1, sizeof(*row) + size);
	if (!row)
		return ENOMEM;

	row->kind = q->kind;
	p = row->bytes;
	for (int i = 0; i < PARTS; i++) {
		row->part[i] = (uint32_t)q->part[i]->l;
		if (q->part[i]->l)
			memcpy(p, q->part[i]->p, q->part[i]->l);
		p += q->part[i]->l;
	}

	row->username = p;
	memcpy(p, username->p, username->l);
	row->password = (uint8_t *)p + username->l + 1;
	row->length = (uint16_t)length;
	row->salt = table->salts++;
	mask(row->password, (const uint8_t *)password, length, table,
	     row->salt);
	*rowp = row;

	return 0;
}

/* Out of a row. What is not sealed was written by somebody else: refused */
static int password_open(const struct credentials *table, char *password,
			 struct statement *s, bool *damaged)
{
	struct pl column = statement_column(s, 1);
	char text[SEALED_LONGEST + 1];
	struct secret secret = { text, true };
	int err;

	if (column.l > SEALED_LONGEST)
		return EBADMSG;
	memcpy(text, column.p, column.l);
	text[column.l] = '\0';

	err = opener_use(table->opener, password, &secret);
	if (err == ENOMEM)
		return err;
	*damaged = err != 0;

	return 0;
}

static int row_fetch(struct cached **rowp, struct credentials *table,
		     const struct question *q)
{
	struct pl username = { "", 0 };
	struct statement *s = table->find[q->kind];
	char password[SECRET_MAX + 1] = "";
	bool damaged = false;
	int err, found;

	for (int i = 0; i < PARTS; i++)
		statement_pl(s, i + 1, q->part[i]);

	found = err = statement_step(s);
	if (!err) {
		username = statement_column(s, 0);
		err = username.l > TEXT_MAX
			      ? EBADMSG
			      : password_open(table, password, s, &damaged);
	}
	if (!err || err == ENOENT)
		err = cached_make(rowp, table, q, &username, password);
	statement_reset(s);
	secret_wipe_bytes(password, strlen(password));
	if (!err) {
		(*rowp)->there = found == 0;
		(*rowp)->damaged = damaged;
	}

	return err == EBADMSG || err == EBUSY ? EIO : err;
}

/* A key of a length that cannot be in the table has no row, and no place in
 * the cache */
static bool question_fits(const struct question *q)
{
	size_t first = q->part[0]->l, rest = TEXT_MAX;

	if (q->kind == OF_AOR || q->kind == OF_AGENT)
		rest = NAME_LONGEST;

	return first && first <= NAME_LONGEST && q->part[1]->l <= rest &&
	       q->part[2]->l <= rest;
}

/* Second chance: a hit only leaves a mark, because moving a row to the end of
 * a list at each hit costs three cache misses, as much as the look-up itself.
 * A marked row goes once more to the end. */
static void oldest_drop(struct credentials *table)
{
	for (;;) {
		struct cached *row = list_head(&table->used)->data;

		if (!row->asked) {
			cached_drop(table, row);
			return;
		}
		row->asked = false;
		list_unlink(&row->le);
		list_append(&table->used, &row->le, row);
	}
}

static int row_find(struct cached **rowp, struct credentials *table,
		    const struct question *q)
{
	uint64_t announced = database_announced(table->db);
	uint64_t hash = question_hash(q);
	struct cached *row;
	int err;

	if (announced != table->announced) {
		credentials_changed(table);
		table->announced = announced;
	}

	row = (struct cached *)table_find(&table->rows, hash, cached_match, q);
	if (row) {
		row->asked = true;
		*rowp = row;
		return 0;
	}

	err = row_fetch(&row, table, q);
	if (err)
		return err;
	err = table_add(&table->rows, &row->entry, hash);
	if (err) {
		free(row);
		return err;
	}
	if (++table->count > table->max)
		oldest_drop(table);
	list_append(&table->used, &row->le, row);
	*rowp = row;

	return 0;
}

static int answer(struct credentials *table, const struct question *q,
		  struct credential *out)
{
	struct cached *row;
	int err;

	if (!question_fits(q))
		return ENOENT;

	err = row_find(&row, table, q);
	if (err)
		return err;
	if (!row->there)
		return ENOENT;
	if (!out)
		return 0;

	if (row->damaged)
		return EBADMSG;
	mask((uint8_t *)out->password, row->password, row->length, table,
	     row->salt);
	out->password[row->length] = '\0';
	memcpy(out->username, row->username, strlen(row->username) + 1);

	return 0;
}

int credential_get(struct credentials *table, const struct credential_key *key,
		   struct credential *out)
{
	if (!table || !key || !out)
		return EINVAL;

	return answer(table,
		      &(struct question){
			      OF_REALM,
			      { &key->realm, &key->auth_realm, &key->lookup } },
		      out);
}

int credential_imported(struct credentials *table,
			const struct credential_key *key,
			struct credential *out)
{
	if (!table || !key || !out)
		return EINVAL;

	return answer(table,
		      &(struct question){
			      IMPORTED,
			      { &key->realm, &key->auth_realm, &key->lookup } },
		      out);
}

bool credential_exists(struct credentials *table,
		       const struct credential_key *key)
{
	return table && key &&
	       !answer(table,
		       &(struct question){ OF_REALM,
					   { &key->realm, &key->auth_realm,
					     &key->lookup } },
		       NULL);
}

int credential_of_aor(struct credentials *table, const struct pl *agent,
		      const struct pl *user, struct credential *out)
{
	static const struct pl none = { "", 0 };

	int err;

	if (!table || !agent || !user || !out)
		return EINVAL;

	/* The AoRs of most agents have none: one row of the cache says it for
	 * all of them */
	err = answer(table,
		     &(struct question){ OF_AGENT, { agent, &none, &none } },
		     NULL);
	if (err)
		return err;

	return answer(table,
		      &(struct question){ OF_AOR, { agent, user, &none } },
		      out);
}

void credential_wipe(struct credential *c)
{
	secret_wipe_bytes(c->password, strnlen(c->password, SECRET_MAX));
}

struct counting {
	const char *realm;
	uint64_t n;
};

static int count_rows(struct connection *c, void *arg)
{
	struct counting *counting = arg;
	struct statement *s;
	int err;

	err = statement_kept(&s, c,
			     "SELECT count(*) FROM credential WHERE"
			     " ?1 = '' OR realm = ?1");
	if (err)
		return err;

	statement_text(s, 1, counting->realm);
	err = statement_step(s);
	if (!err)
		counting->n = statement_column_number(s, 0);
	statement_reset(s);

	return err;
}

int credentials_count(struct database *db, const char *realm, uint64_t *np)
{
	struct counting counting = { .realm = realm ? realm : "" };
	int err;

	if (!db || !np)
		return EINVAL;

	err = database_read(db, count_rows, &counting);
	if (!err)
		*np = counting.n;

	return err;
}

/* ---- walk ---- */

struct walking {
	credential_row_h *row;
	credential_aor_h *aor;
	void *arg;
};

static int rows_walk(struct connection *c, void *arg)
{
	const struct walking *w = arg;
	struct statement *s;
	int err;

	err = statement_prepare(
		&s, c,
		w->row ? "SELECT realm, auth_realm, lookup FROM credential"
			 " WHERE origin = 1 ORDER BY realm, auth_realm, lookup"
		       : "SELECT agent, user FROM aor_credential"
			 " ORDER BY agent, user");
	if (err)
		return err;

	while (!err && !(err = statement_step(s))) {
		const char *a = statement_column_text(s, 0);
		const char *b = statement_column_text(s, 1);

		err = w->row ? w->row(a, b, statement_column_text(s, 2), w->arg)
			     : w->aor(a, b, w->arg);
	}
	statement_free(s);

	return err == ENOENT ? 0 : err;
}

struct listing {
	credential_info_h *h;
	void *arg;
};

static int rows_list(struct connection *c, void *arg)
{
	const struct listing *l = arg;
	struct statement *s;
	int err = statement_prepare(
		&s, c,
		"SELECT realm, auth_realm, lookup, username, password <> ''"
		" FROM credential WHERE origin = 1"
		" ORDER BY realm, auth_realm, lookup");

	if (err)
		return err;
	while (!(err = statement_step(s))) {
		const struct credential_info info = {
			.realm = statement_column_text(s, 0),
			.auth_realm = statement_column_text(s, 1),
			.lookup = statement_column_text(s, 2),
			.username = statement_column_text(s, 3),
			.has_password = statement_column_number(s, 4) != 0,
		};

		l->h(&info, l->arg);
	}
	statement_free(s);

	return err == ENOENT ? 0 : err;
}

int credentials_list(struct database *db, credential_info_h *h, void *arg)
{
	struct listing l = { h, arg };

	return database_read(db, rows_list, &l);
}

int credentials_walk(struct database *db, credential_row_h *h, void *arg)
{
	struct walking w = { .row = h, .arg = arg };

	return database_read(db, rows_walk, &w);
}

int credentials_walk_aors(struct database *db, credential_aor_h *h, void *arg)
{
	struct walking w = { .aor = h, .arg = arg };

	return database_read(db, rows_walk, &w);
}

/* ---- import ---- */

struct form {
	int columns;
	const char *header[4];
	int username, password; /* columns */
	const char *clear; /* `replace`: what was there before, ?1 the owner */
	const char *merge; /* a row into its table; ?3 is empty of an AoR */
};

static const struct form of_realm = {
	.columns = 4,
	.header = { "auth-realm", "auth-user-lookup", "username", "password" },
	.username = 2,
	.password = 3,
	.clear = "DELETE FROM credential WHERE realm = ?1 AND origin = 1",
	.merge = "INSERT OR REPLACE INTO credential(realm, auth_realm, lookup,"
		 " origin, username, password) VALUES(?1, ?2, ?3, 1, ?4, ?5)",
};

static const struct form of_aor = {
	.columns = 3,
	.header = { "aor-user", "auth-user", "password" },
	.username = 1,
	.password = 2,
	.clear = "DELETE FROM aor_credential WHERE agent = ?1",
	.merge = "INSERT OR REPLACE INTO aor_credential(agent, user, username,"
		 " password) SELECT ?1, ?2, ?4, ?5 WHERE ?3 = ''",
};

struct import {
	const struct form *form;
	const struct seal *seal;
	const char *owner;
	const struct pl *text;
	bool replace;
	const struct import_watch *watch;
	struct csv *csv;
	struct database *db;
	struct statement *sorted; /* what was gathered, by key */
	uint32_t count;
	bool any_bad;
};

static void import_bad(struct import *in, uint32_t line, const char *why)
{
	in->any_bad = true;
	if (in->watch && in->watch->bad)
		in->watch->bad(line, why, in->watch->arg);
}

static void import_tell(const struct import *in, const char *what, size_t done,
			size_t total)
{
	if (in->watch && in->watch->progress)
		in->watch->progress(what, done, total, in->watch->arg);
}

static void header_check(struct import *in)
{
	struct csv *csv = in->csv;
	bool right = csv_row(csv) && !csv->why && csv->n == in->form->columns;

	for (int i = 0; i < in->form->columns && right; i++)
		right = !strcmp(csv->field[i], in->form->header[i]);
	if (!right)
		import_bad(in, csv->line, "is not the header that is expected");
}

/* What is shown has to be text; a password may be any bytes */
static bool field_is_clean(const struct csv *csv, int i)
{
	const struct pl text = { csv->field[i], csv->length[i] };

	return text_is_clean(&text);
}

static void row_check(struct import *in)
{
	const struct form *form = in->form;
	struct csv *csv = in->csv;

	if (!csv->why && csv->n != form->columns)
		csv->why = csv->n < form->columns ? "has too few columns"
						  : "has too many columns";
	for (int i = 0; i < form->columns && !csv->why; i++) {
		if (i == form->password)
			continue;
		if (csv->length[i] > TEXT_MAX)
			csv->why = "has a value of more than 255 bytes";
		else if (!field_is_clean(csv, i))
			csv->why = "has a value that is not UTF-8";
		/* an AoR without auth-user uses its own name */
		else if (!csv->length[i] &&
			 (form == &of_realm || i != form->username))
			csv->why = "has an empty value that is required";
	}
	if (!csv->why && !csv->length[form->password])
		csv->why = "has no password";
	if (!csv->why && csv->length[form->password] > SECRET_MAX)
		csv->why = "has a password of more than 1024 bytes";
	if (!csv->why && !strncmp(csv->field[form->password], "$sbc1$", 6))
		csv->why = "has a password that begins with $sbc1$";
	if (!csv->why && !strcmp(csv->field[form->password], secret_mask))
		csv->why = "has a masked password";
	if (csv->why)
		import_bad(in, csv->line, csv->why);
}

static int row_gather(struct import *in, struct statement *s)
{
	const struct form *form = in->form;
	struct csv *csv = in->csv;
	const char *username = csv->field[form->username];
	char *sealed = NULL;
	int err;

	err = seal_text(&sealed, in->seal, csv->field[form->password]);
	if (err)
		return err;

	if (!*username)
		username = csv->field[0];
	statement_number(s, 1, csv->line);
	statement_text(s, 2, csv->field[0]);
	statement_text(s, 3, form->username == 2 ? csv->field[1] : "");
	statement_text(s, 4, username);
	statement_text(s, 5, sealed);
	err = statement_run(s);
	secret_wipe(sealed);

	return err;
}

/* All rows into a table of this connection, in the order of the file: pages
 * are filled one after the other, and memory is that of SQLite's cache */
static int rows_gather(struct import *in, struct connection *c)
{
	struct statement *s;
	int err;

	err = statement_prepare(&s, c,
				"INSERT INTO temp.import(line, a, b, username,"
				" password) VALUES(?1, ?2, ?3, ?4, ?5)");
	if (err)
		return err;

	csv_begin(in->csv, in->text);
	header_check(in);
	while (!err && csv_row(in->csv)) {
		row_check(in);
		if (in->csv->line % TELL_ROWS == 0)
			import_tell(in, "reading", csv_done(in->csv),
				    csv_total(in->csv));
		if (in->any_bad)
			continue; /* go on for the sake of the reports */
		err = row_gather(in, s);
		in->count++;
	}
	statement_free(s);

	return err;
}

static int twice_find(struct import *in, struct connection *c)
{
	struct statement *s;
	int err;

	err = statement_prepare(&s, c,
				"SELECT line FROM (SELECT line, row_number()"
				" OVER (PARTITION BY a, b ORDER BY line) AS n"
				" FROM temp.import) WHERE n > 1 ORDER BY line");
	if (err)
		return err;

	while (!(err = statement_step(s)))
		import_bad(in, (uint32_t)statement_column_number(s, 0),
			   "has the key of a line before");
	statement_free(s);

	return err == ENOENT ? 0 : err;
}

/* ---- the part that writes ---- */

static int owner_run(struct import *in, struct connection *c, const char *sql)
{
	struct statement *s;
	int err;

	err = statement_prepare(&s, c, sql);
	if (err)
		return err;

	statement_text(s, 1, in->owner);
	err = statement_run(s);
	statement_free(s);

	return err;
}

/* In the order of the key, so that the tree grows at its end */
static int rows_merge(struct import *in, struct connection *c)
{
	struct statement *to, *from = in->sorted;
	uint32_t n = 0;
	int err;

	err = statement_prepare(&to, c, in->form->merge);
	if (err)
		return err;

	statement_text(to, 1, in->owner);
	while (!err && !(err = statement_step(from))) {
		for (int i = 0; i < 4; i++)
			statement_text(to, i + 2,
				       statement_column_text(from, i));
		err = statement_run(to);
		if (++n % TELL_ROWS == 0)
			import_tell(in, "storing", n, in->count);
	}
	statement_free(to);

	return err == ENOENT ? 0 : err;
}

static int rows_store(struct connection *c, void *arg)
{
	struct import *in = arg;
	int err = in->replace ? owner_run(in, c, in->form->clear) : 0;

	return err ? err : rows_merge(in, c);
}

/* Reading, sealing and sorting are done before the writer is asked, which has
 * registrations and call records to write meanwhile */
static int import_run(struct import *in, struct connection *c)
{
	int err;

	err = connection_run(c, "CREATE TEMP TABLE import(line INTEGER PRIMARY"
				" KEY, a TEXT, b TEXT, username TEXT,"
				" password TEXT)");
	if (!err)
		err = connection_run(c, "BEGIN");
	if (!err)
		err = rows_gather(in, c);
	if (!err)
		err = twice_find(in, c);
	if (!err && in->any_bad)
		err = EINVAL;
	if (!err)
		err = connection_run(c, "COMMIT");
	if (!err)
		err = statement_prepare(&in->sorted, c,
					"SELECT a, b, username, password FROM"
					" temp.import ORDER BY a, b");
	if (!err)
		err = database_call(in->db, rows_store, in);
	statement_free(in->sorted);

	return err;
}

static int import(struct import *in, uint32_t *countp)
{
	struct connection *c;
	int err;

	if (!in->db || !in->seal || !in->owner || !in->owner[0] || !in->text)
		return EINVAL;

	err = database_reader(&c, in->db);
	if (err)
		return err;

	in->csv = malloc(sizeof(*in->csv));
	err = in->csv ? import_run(in, c) : ENOMEM;
	connection_close(c); /* and the temporary table with it */
	if (in->csv)
		secret_wipe_bytes(in->csv, sizeof(*in->csv));
	free(in->csv);
	if (err)
		return err;

	database_announce(in->db);
	if (countp)
		*countp = in->count;

	return 0;
}

int credentials_import(struct database *db, const struct seal *seal,
		       const char *realm, const struct pl *csv, bool replace,
		       uint32_t *countp, const struct import_watch *watch)
{
	struct import in = {
		.form = &of_realm,
		.seal = seal,
		.owner = realm,
		.text = csv,
		.replace = replace,
		.watch = watch,
		.db = db,
	};

	return import(&in, countp);
}

int credentials_import_aors(struct database *db, const struct seal *seal,
			    const char *agent, const struct pl *csv,
			    bool replace, uint32_t *countp,
			    const struct import_watch *watch)
{
	struct import in = {
		.form = &of_aor,
		.seal = seal,
		.owner = agent,
		.text = csv,
		.replace = replace,
		.watch = watch,
		.db = db,
	};

	return import(&in, countp);
}
