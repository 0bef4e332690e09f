/*
 * Editing, saved and running configuration by version number
 *
 * Each element has a table of its name; each sub-element one named
 * "parent/name", with the id of the row it belongs to. Columns are the fields,
 * as text that field_print writes and field_parse reads. The tables are made
 * from the schema when a version is saved, and a column that is missing is
 * added with its default; what the schema does not know any more stays and is
 * not read.
 *
 * A row of an element is never changed. `born` is the first version that has
 * it, `died` the first that has it not, NULL while it lives. `place` gives the
 * order; places are wide apart so that an object can be put between two others
 * without touching them. Sub-elements live and die with their row.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "store/log.h"
#include "store/versions.h"

enum {
	NAME_SIZE = 192,  /* name of a table */
	FIELDS_MAX = 128, /* of one element */
	CHILDREN_MAX = 8, /* kinds of sub-elements in one element */
	SQL_MAX = 16384,
};

#define GAP ((uint64_t)1 << 20) /* between the places of two objects */

/* ---- tables out of the schema ---- */

static void name_print(char *buf, const struct element *type,
		       const char *parent)
{
	(void)snprintf(buf, NAME_SIZE, "%s%s%s", parent ? parent : "",
		       parent ? "/" : "", type->name);
}

typedef int(table_h)(struct connection *c, const struct element *type,
		     const char *name, bool child, void *arg);

static int table_walk_of(struct connection *c, const struct element *type,
			 const char *parent, table_h *h, void *arg)
{
	char name[NAME_SIZE];
	int err;

	name_print(name, type, parent);
	err = h(c, type, name, parent != NULL, arg);

	for (const struct field *f = type->fields; f->name && !err; f++) {
		if (f->child)
			err = table_walk_of(c, f->child, name, h, arg);
	}

	return err;
}

static int tables_walk(struct connection *c, table_h *h, void *arg)
{
	int err = 0;

	for (const struct element *const *e = elements; *e && !err; e++)
		err = table_walk_of(c, *e, NULL, h, arg);

	return err;
}

/* ENOENT: there is no such column, or no such table */
static int column_exists(struct connection *c, const char *table,
			 const char *column)
{
	struct statement *s;
	int err;

	err = statement_kept(&s, c,
			     "SELECT 1 FROM pragma_table_info(?1)"
			     " WHERE name = ?2");
	if (err)
		return err;

	statement_text(s, 1, table);
	statement_text(s, 2, column);
	err = statement_step(s);
	statement_reset(s);

	return err;
}

static int column_add(struct connection *c, const char *table,
		      const struct field *f)
{
	const char *dflt = f->dflt ? f->dflt : "";
	char sql[1024], quoted[512];
	size_t n = 0;

	for (const char *p = dflt; *p && n + 3 < sizeof(quoted); p++) {
		if (*p == '\'')
			quoted[n++] = '\'';
		quoted[n++] = *p;
	}
	quoted[n] = '\0';

	if (snprintf(sql, sizeof(sql),
		     "ALTER TABLE \"%s\" ADD COLUMN \"%s\" %s DEFAULT '%s'",
		     table, f->name, f->type->column,
		     quoted) >= (int)sizeof(sql))
		return EOVERFLOW;

	return connection_run(c, sql);
}

/* For the edits of one object: its row by key, the last place, and whether
 * anything was edited at all */
static int indexes_make(struct connection *c, const struct element *type,
			const char *name)
{
	char sql[SQL_MAX];
	int n = snprintf(
		sql, sizeof(sql),
		"CREATE INDEX IF NOT EXISTS \"%s/born\" ON \"%s\"(born);"
		" CREATE INDEX IF NOT EXISTS \"%s/died\" ON \"%s\"(died)"
		" WHERE died IS NOT NULL;",
		name, name, name, name);

	if (type->flags & SINGLE)
		return connection_run(c, sql);

	n += snprintf(sql + n, sizeof(sql) - (size_t)n,
		      " CREATE INDEX IF NOT EXISTS \"%s/place\" ON"
		      " \"%s\"(place); CREATE INDEX IF NOT EXISTS \"%s/key\" ON"
		      " \"%s\"(",
		      name, name, name, name);
	for (const struct field *f = type->fields; f->name; f++) {
		if (f->flags & KEY)
			n += snprintf(sql + n, sizeof(sql) - (size_t)n,
				      "\"%s\", ", f->name);
	}
	(void)snprintf(sql + n - 2, sizeof(sql) - (size_t)n + 2, ")");

	return connection_run(c, sql);
}

static int table_make(struct connection *c, const struct element *type,
		      const char *name, bool child, void *arg)
{
	char sql[1024];
	int err;

	(void)arg;
	(void)snprintf(sql, sizeof(sql),
		       "CREATE TABLE IF NOT EXISTS \"%s\"(id INTEGER PRIMARY"
		       " KEY, place INTEGER NOT NULL, %s)",
		       name,
		       child ? "parent INTEGER NOT NULL"
			     : "born INTEGER NOT NULL, died INTEGER");
	err = connection_run(c, sql);
	if (!err && child) {
		(void)snprintf(sql, sizeof(sql),
			       "CREATE INDEX IF NOT EXISTS \"%s/parent\" ON"
			       " \"%s\"(parent, place)",
			       name, name);
		err = connection_run(c, sql);
	}

	for (const struct field *f = type->fields; f->name && !err; f++) {
		if (f->child)
			continue;
		err = column_exists(c, name, f->name);
		if (err == ENOENT)
			err = column_add(c, name, f);
	}
	if (!err && !child)
		err = indexes_make(c, type, name);

	return err;
}

/* ---- a table being read ---- */

struct shelf {
	const struct element *type;
	char name[NAME_SIZE];
	struct statement *rows; /* NULL: there is no such table yet */
	const struct field *fields[FIELDS_MAX]; /* columns 2 ... */
	int n;
	struct {
		const struct field *field;
		struct shelf *shelf;
	} child[CHILDREN_MAX];
	int children;
};

static void shelf_close(struct shelf *shelf)
{
	if (!shelf)
		return;

	for (int i = 0; i < shelf->children; i++)
		shelf_close(shelf->child[i].shelf);
	statement_free(shelf->rows);
	free(shelf);
}

static const char of_parent[] = "parent = ?1 ORDER BY place";
static const char of_version[] = "born <= ?1 AND (died IS NULL OR died > ?1)"
				 " ORDER BY place, id";
static const char of_id[] = "id = ?1";

static int shelf_open(struct shelf **shelfp, struct connection *c,
		      const struct element *type, const char *parent,
		      const char *which);

static int shelf_child(struct shelf *shelf, struct connection *c,
		       const struct field *f)
{
	if (shelf->children == CHILDREN_MAX)
		return EOVERFLOW;

	shelf->child[shelf->children].field = f;

	return shelf_open(&shelf->child[shelf->children++].shelf, c, f->child,
			  shelf->name, of_parent);
}

static int shelf_open(struct shelf **shelfp, struct connection *c,
		      const struct element *type, const char *parent,
		      const char *which)
{
	struct shelf *shelf = calloc(1, sizeof(*shelf));
	char sql[SQL_MAX];
	int n, err;

	if (!shelf)
		return ENOMEM;

	*shelfp = shelf; /* half built, its owner closes it */
	shelf->type = type;
	name_print(shelf->name, type, parent);

	err = column_exists(c, shelf->name, "id");
	if (err)
		return err == ENOENT ? 0 : err;

	n = snprintf(sql, sizeof(sql), "SELECT id, place");
	for (const struct field *f = type->fields; f->name; f++) {
		if (f->child) {
			err = shelf_child(shelf, c, f);
			if (err)
				return err;
			continue;
		}
		err = column_exists(c, shelf->name, f->name);
		if (err == ENOENT)
			continue; /* the default stands */
		if (err)
			return err;
		if (shelf->n == FIELDS_MAX)
			return EOVERFLOW;
		shelf->fields[shelf->n++] = f;
		n += snprintf(sql + n, sizeof(sql) - (size_t)n, ", \"%s\"",
			      f->name);
	}
	(void)snprintf(sql + n, sizeof(sql) - (size_t)n,
		       " FROM \"%s\" WHERE %s", shelf->name, which);

	return statement_prepare(&shelf->rows, c, sql);
}

static int list_read(const struct field *f, void *item, struct pl *text,
		     struct value_fault *fault)
{
	char *value;
	int err;

	while (!(err = value_next(text, &value))) {
		struct pl pl;

		pl_set_str(&pl, value);
		err = field_parse(f, item, &pl, fault);
		mem_deref(value);
		if (err)
			return err;
	}

	return err == ENOENT ? 0 : err;
}

static int column_read(const struct shelf *shelf, const struct field *f,
		       void *item, struct pl text)
{
	struct value_fault fault = { "is not a list" };
	int err = 0;

	field_clear(f, item);
	if (f->type->list)
		err = list_read(f, item, &text, &fault);
	else if (text.l)
		err = field_parse(f, item, &text, &fault);
	if (err != EINVAL)
		return err;

	log_warning(DB, "value-refused",
		    "table=%s parameter=%s text=\"%s; the default is taken\"",
		    shelf->name, f->name, fault.why);

	return field_default(f, item);
}

static int row_read(void **itemp, struct shelf *shelf);

static int children_read(struct shelf *shelf, const struct field *f, void *item,
			 uint64_t id)
{
	struct items *items = field_slot(f, item);
	int err;

	if (!shelf->rows)
		return 0;

	statement_number(shelf->rows, 1, id);
	while (!(err = statement_step(shelf->rows))) {
		void *child;

		if (shelf->type->flags & SINGLE)
			field_clear(f, item); /* its default was there */

		err = row_read(&child, shelf);
		if (err)
			break;
		err = items_append(items, child);
		if (err) {
			item_free(shelf->type, child);
			break;
		}
	}
	statement_reset(shelf->rows);

	return err == ENOENT ? 0 : err;
}

/* The object of the row that `rows` stands on */
static int row_read(void **itemp, struct shelf *shelf)
{
	uint64_t id = statement_column_number(shelf->rows, 0);
	void *item;
	int err;

	err = item_alloc(&item, shelf->type);
	if (err)
		return err;

	for (int i = 0; i < shelf->n && !err; i++)
		err = column_read(shelf, shelf->fields[i], item,
				  statement_column(shelf->rows, i + 2));
	for (int i = 0; i < shelf->children && !err; i++)
		err = children_read(shelf->child[i].shelf,
				    shelf->child[i].field, item, id);

	if (err)
		item_free(shelf->type, item);
	else
		*itemp = item;

	return err;
}

/* The object is the handler's on success */
typedef int(row_h)(const struct shelf *shelf, uint64_t id, uint64_t place,
		   void *item, void *arg);

static int element_read(struct connection *c, const struct element *type,
			uint32_t version, row_h *h, void *arg)
{
	struct shelf *shelf = NULL;
	int err;

	err = shelf_open(&shelf, c, type, NULL, of_version);
	if (err || !shelf->rows)
		goto out;

	statement_number(shelf->rows, 1, version);
	while (!(err = statement_step(shelf->rows))) {
		uint64_t id = statement_column_number(shelf->rows, 0);
		uint64_t place = statement_column_number(shelf->rows, 1);
		void *item;

		err = row_read(&item, shelf);
		if (err)
			break;
		err = h(shelf, id, place, item, arg);
		if (err) {
			item_free(type, item);
			break;
		}
	}
	if (err == ENOENT)
		err = 0;

out:
	shelf_close(shelf);

	return err;
}

/* ---- load ---- */

struct load {
	uint32_t version;
	struct config *cfg;
};

static int row_append(const struct shelf *shelf, uint64_t id, uint64_t place,
		      void *item, void *arg)
{
	struct load *load = arg;

	(void)id;
	(void)place;
	return config_append(load->cfg, shelf->type, item, 0, 0);
}

/* 0 when there is none */
static int number_read(struct connection *c, const char *sql, uint64_t of,
		       uint64_t *numberp)
{
	struct statement *s;
	int err;

	*numberp = 0;
	err = statement_prepare(&s, c, sql);
	if (err)
		return err;

	statement_number(s, 1, of);
	err = statement_step(s);
	if (!err)
		*numberp = statement_column_number(s, 0);
	statement_free(s);

	return err == ENOENT ? 0 : err;
}

static const char running_sql[] =
	"SELECT value FROM fact WHERE name = 'running-version' AND ?1 = 0";
static const char saved_sql[] = "SELECT max(number) FROM version WHERE ?1 = 0";
static const char exists_sql[] = "SELECT number FROM version WHERE number = ?1";

static int saved_find(struct connection *c, uint64_t *numberp)
{
	int err = 0;

	if (!*numberp)
		err = number_read(c, running_sql, 0, numberp);
	if (!err)
		err = number_read(c, exists_sql, *numberp, numberp);
	if (!err && !*numberp)
		err = ENOENT;

	return err;
}

static int version_load(struct connection *c, void *arg)
{
	struct load *load = arg;
	uint64_t number = load->version;
	int err;

	if (load->version == VERSION_EDITING)
		err = number_read(c, saved_sql, 0, &number);
	else
		err = saved_find(c, &number);
	if (load->version == VERSION_EDITING) {
		number++;
		load->version = 0;
	} else {
		load->version = (uint32_t)number;
	}
	for (const struct element *const *e = elements; *e && !err; e++)
		err = element_read(c, *e, (uint32_t)number, row_append, load);

	return err;
}

int versions_load(struct config **cfgp, struct database *db, uint32_t version)
{
	struct load load = { .version = version };
	int err;

	if (!cfgp || !db)
		return EINVAL;

	err = config_alloc(&load.cfg);
	if (err)
		return err;

	err = database_read(db, version_load, &load);
	if (err == EEXIST)
		err = EBADMSG; /* two rows with one key */
	if (err) {
		config_give(load.cfg);
		return err;
	}
	load.cfg->version = load.version;
	*cfgp = load.cfg;

	return 0;
}

/* ---- save ---- */

/* An object as the newest saved version has it */
struct old {
	struct entry entry;
	uint64_t id, place;
	void *item;
	char *key;
	bool taken; /* an object of the new version has its key */
};

struct save {
	struct connection *c;
	const struct config *cfg;
	const struct seal *seal;
	const char *by;
	uint32_t newest; /* saved before */
	uint32_t number; /* being saved */
	uint64_t changes;

	/* of the element at hand */
	const struct element *type;
	struct old **old;
	size_t n, room;
	struct table keys;
	struct statement *end; /* of a row; prepared when the first one ends */
};

static void olds_free(struct save *save)
{
	for (size_t i = 0; i < save->n; i++) {
		item_free(save->type, save->old[i]->item);
		mem_deref(save->old[i]->key);
		free(save->old[i]);
	}
	free(save->old);
	save->old = NULL;
	save->n = save->room = 0;
	statement_free(save->end);
	save->end = NULL;
	table_finish(&save->keys);
}

static int key_of(char **keyp, const struct element *type, const void *item)
{
	struct item_ref ref = { type, item };

	if (type->flags & SINGLE)
		return re_sdprintf(keyp, "%s", "") ? ENOMEM : 0;

	return re_sdprintf(keyp, "%H", item_key_spell, &ref) ? ENOMEM : 0;
}

static bool old_match(const struct entry *e, const void *key)
{
	return !strcmp(((const struct old *)e)->key, key);
}

static int row_remember(const struct shelf *shelf, uint64_t id, uint64_t place,
			void *item, void *arg)
{
	struct save *save = arg;
	struct old *old;
	int err;

	if (save->n == save->room) {
		size_t room = save->room ? 2 * save->room : 64;
		struct old **v = realloc(save->old, room * sizeof(*v));

		if (!v)
			return ENOMEM;
		save->old = v;
		save->room = room;
	}

	old = calloc(1, sizeof(*old));
	if (!old)
		return ENOMEM;
	old->id = id;
	old->place = place;
	err = key_of(&old->key, shelf->type, item);
	if (!err)
		err = table_add(&save->keys, &old->entry,
				hash_bytes(old->key, strlen(old->key)));
	if (err) {
		mem_deref(old->key);
		free(old);
		return err;
	}
	old->item = item;
	save->old[save->n++] = old;

	return 0;
}

/* Equal for the database: who changed it last and when does not count, and
 * secrets are compared as they open */
static bool stored_same(const struct save *save, const struct element *type,
			const void *a, const void *b)
{
	for (const struct field *f = type->fields; f->name; f++) {
		const void *x = field_slot_const(f, a);
		const void *y = field_slot_const(f, b);

		if (f->flags & READONLY)
			continue;
		if (!f->child) {
			if (f->type == &type_secret
				    ? !secret_opens_same(x, y, save->seal)
				    : !f->type->same(x, y))
				return false;
			continue;
		}

		const struct items *p = x, *q = y;

		if (p->n != q->n)
			return false;
		for (uint32_t i = 0; i < p->n; i++) {
			if (!stored_same(save, f->child, p->v[i], q->v[i]))
				return false;
		}
	}

	return true;
}

struct field_ref {
	const struct field *f;
	const void *item;
};

static int field_ref_print(struct re_printf *pf, const struct field_ref *ref)
{
	return field_print(pf, ref->f, ref->item);
}

/* The text of a field as it is stored: no clear secret ever; mem_deref */
static int field_text(char **textp, const struct field *f, const void *item,
		      const struct save *save)
{
	const struct field_ref ref = { f, item };
	const struct secret *secret = field_slot_const(f, item);
	char *sealed = NULL;
	int err;

	if (f->type != &type_secret || !secret_is_set(secret) || secret->sealed)
		return re_sdprintf(textp, "%H", field_ref_print, &ref) ? ENOMEM
								       : 0;

	err = seal_text(&sealed, save->seal, secret->text);
	if (err)
		return err;
	err = re_sdprintf(textp, "%s", sealed) ? ENOMEM : 0;
	secret_wipe(sealed);

	return err;
}

/* A table being written */
struct desk {
	const struct element *type;
	struct statement *insert;
	struct {
		const struct field *field;
		struct desk *desk;
	} child[CHILDREN_MAX];
	int children;
};

static void desk_close(struct desk *desk)
{
	if (!desk)
		return;

	for (int i = 0; i < desk->children; i++)
		desk_close(desk->child[i].desk);
	statement_free(desk->insert);
	free(desk);
}

static int desk_open(struct desk **deskp, struct connection *c,
		     const struct element *type, const char *parent)
{
	struct desk *desk = calloc(1, sizeof(*desk));
	char sql[SQL_MAX], name[NAME_SIZE];
	int n, fields = 0, err = 0;

	if (!desk)
		return ENOMEM;

	*deskp = desk; /* half built, its owner closes it */
	desk->type = type;
	name_print(name, type, parent);
	n = snprintf(sql, sizeof(sql), "INSERT INTO \"%s\"(place, %s", name,
		     parent ? "parent" : "born");
	for (const struct field *f = type->fields; f->name && !err; f++) {
		if (!f->child) {
			n += snprintf(sql + n, sizeof(sql) - (size_t)n,
				      ", \"%s\"", f->name);
			fields++;
			continue;
		}
		if (desk->children == CHILDREN_MAX)
			return EOVERFLOW;
		desk->child[desk->children].field = f;
		err = desk_open(&desk->child[desk->children++].desk, c,
				f->child, name);
	}
	if (err)
		return err;

	n += snprintf(sql + n, sizeof(sql) - (size_t)n, ") VALUES(?1, ?2");
	for (int i = 0; i < fields; i++)
		n += snprintf(sql + n, sizeof(sql) - (size_t)n, ", ?%d", i + 3);
	(void)snprintf(sql + n, sizeof(sql) - (size_t)n, ")");

	return statement_prepare(&desk->insert, c, sql);
}

/* `owner` is the version in which an object is born, or the parent's id */
static int row_insert(struct desk *desk, const struct save *save,
		      const void *item, uint64_t place, uint64_t owner)
{
	char *texts[FIELDS_MAX] = { NULL };
	uint64_t id;
	int n = 0, err = 0;

	for (const struct field *f = desk->type->fields; f->name && !err; f++) {
		if (f->child)
			continue;
		if (n == FIELDS_MAX)
			err = EOVERFLOW;
		else
			err = field_text(&texts[n], f, item, save);
		if (!err) {
			statement_text(desk->insert, n + 3, texts[n]);
			n++;
		}
	}
	if (!err) {
		statement_number(desk->insert, 1, place);
		statement_number(desk->insert, 2, owner);
		err = statement_run(desk->insert);
	}
	while (n > 0)
		mem_deref(texts[--n]);
	if (err)
		return err;

	id = connection_last(save->c);
	for (int i = 0; i < desk->children; i++) {
		const struct items *items =
			field_slot_const(desk->child[i].field, item);

		for (uint32_t k = 0; k < items->n && !err; k++)
			err = row_insert(desk->child[i].desk, save, items->v[k],
					 k, id);
	}

	return err;
}

static int row_end(struct save *save, const struct old *old)
{
	char sql[NAME_SIZE + 64];
	int err;

	(void)snprintf(sql, sizeof(sql),
		       "UPDATE \"%s\" SET died = ?1 WHERE id = ?2",
		       save->type->name);
	if (!save->end) {
		err = statement_prepare(&save->end, save->c, sql);
		if (err)
			return err;
	}

	statement_number(save->end, 1, save->number);
	statement_number(save->end, 2, old->id);
	err = statement_run(save->end);
	save->changes++;

	return err;
}

static int old_find(struct old **oldp, const struct save *save,
		    const void *item)
{
	struct entry *e;
	char *key = NULL;
	int err;

	err = key_of(&key, save->type, item);
	if (err)
		return err;

	e = table_find(&save->keys, hash_bytes(key, strlen(key)), old_match,
		       key);
	*oldp = (struct old *)e;
	mem_deref(key);

	return 0;
}

/* Which rows live on: equal ones whose places still rise. kept[i] is the row
 * of the i-th new object, NULL where a new row is needed. */
static int rows_keep(struct save *save, struct old **kept, size_t n)
{
	uint64_t last = 0;

	for (size_t i = 0; i < n; i++) {
		const void *item = config_at(save->cfg, save->type, i);
		struct old *old = NULL;
		int err;

		err = old_find(&old, save, item);
		if (err)
			return err;
		if (!old || (last && old->place <= last) ||
		    !stored_same(save, save->type, old->item, item))
			continue;
		kept[i] = old;
		old->taken = true;
		last = old->place;
	}

	return 0;
}

/* Places for the new rows between those that are kept; false: no room */
static bool places_find(uint64_t *places, struct old *const *kept, size_t n)
{
	uint64_t low = 0;
	size_t from = 0;

	for (size_t i = 0; i <= n; i++) {
		uint64_t count = i - from, high, step;

		if (i < n && !kept[i])
			continue;

		high = i < n ? kept[i]->place : low + GAP * (count + 1);
		step = (high - low) / (count + 1);
		if (count && !step)
			return false;
		for (size_t k = 0; k < count; k++)
			places[from + k] = low + step * (k + 1);
		if (i < n)
			places[i] = low = kept[i]->place;
		from = i + 1;
	}

	return true;
}

static int rows_insert(struct save *save, struct old *const *kept,
		       const uint64_t *places, size_t n)
{
	struct desk *desk = NULL;
	int err;

	err = desk_open(&desk, save->c, save->type, NULL);
	for (size_t i = 0; i < n && !err; i++) {
		if (kept[i])
			continue;
		err = row_insert(desk, save,
				 config_at(save->cfg, save->type, i), places[i],
				 save->number);
		save->changes++;
	}
	desk_close(desk);

	return err;
}

static int element_save(struct save *save, const struct element *type)
{
	size_t n = config_count(save->cfg, type);
	struct old **kept = calloc(n + 1, sizeof(struct old *));
	uint64_t *places = calloc(n + 1, sizeof(*places));
	int err = kept && places ? 0 : ENOMEM;

	save->type = type;
	table_init(&save->keys);
	if (!err && save->newest)
		err = element_read(save->c, type, save->newest, row_remember,
				   save);
	if (!err)
		err = rows_keep(save, kept, n);
	if (!err && !places_find(places, kept, n)) {
		/* Too many were put between two: all move apart again */
		memset(kept, 0, n * sizeof(struct old *));
		for (size_t i = 0; i < save->n; i++)
			save->old[i]->taken = false;
		(void)places_find(places, kept, n);
	}

	for (size_t i = 0; i < save->n && !err; i++) {
		if (!save->old[i]->taken)
			err = row_end(save, save->old[i]);
	}
	if (!err)
		err = rows_insert(save, kept, places, n);

	olds_free(save);
	free(places);
	free(kept);

	return err;
}

/* How many objects a version has: single ones always, those of a table that is
 * not made yet none */
static int elements_count(struct connection *c, uint64_t version, uint64_t *np)
{
	char sql[NAME_SIZE + 128];

	*np = 0;
	for (const struct element *const *e = elements; *e; e++) {
		uint64_t n = 1;
		int err = 0;

		(void)snprintf(sql, sizeof(sql),
			       "SELECT count(*) FROM \"%s\" WHERE born <= ?1"
			       " AND (died IS NULL OR died > ?1)",
			       (*e)->name);
		if (!((*e)->flags & SINGLE))
			err = number_read(c, sql, version, &n);
		if (err && err != ENOENT)
			return err;
		*np += n;
	}

	return 0;
}

static int version_insert(struct save *save)
{
	struct statement *s;
	uint64_t n;
	int err = elements_count(save->c, save->number, &n);

	if (!err)
		err = statement_kept(
			&s, save->c,
			"INSERT INTO version(number, saved, by, elements)"
			" VALUES(?1, strftime('%Y-%m-%dT%H:%M:%SZ', 'now'),"
			" ?2, ?3)");
	if (err)
		return err;

	statement_number(s, 1, save->number);
	statement_text(s, 2, save->by);
	statement_number(s, 3, n);

	return statement_run(s);
}

/* ---- edits ---- */

struct edits_look {
	uint64_t number; /* of editing */
	bool found;
};

static int table_look(struct connection *c, const struct element *type,
		      const char *name, bool child, void *arg)
{
	struct edits_look *look = arg;
	char sql[2 * NAME_SIZE + 128];
	uint64_t found = 0;
	int err;

	(void)type;
	if (child || look->found)
		return 0;
	(void)snprintf(sql, sizeof(sql),
		       "SELECT 1 FROM \"%s\" WHERE born = ?1 UNION ALL"
		       " SELECT 1 FROM \"%s\" WHERE died = ?1 LIMIT 1",
		       name, name);
	err = number_read(c, sql, look->number, &found);
	look->found = found > 0;

	return err == ENOENT ? 0 : err; /* there is no such table yet */
}

static int edits_find(struct connection *c, struct edits_look *look)
{
	int err = number_read(c, saved_sql, 0, &look->number);

	look->number++;
	look->found = false;

	return err ? err : tables_walk(c, table_look, look);
}

/* Parents come before their sub-elements in the walk */
static int table_discard(struct connection *c, const struct element *type,
			 const char *name, bool child, void *arg)
{
	const struct edits_look *look = arg;
	const char *slash = strrchr(name, '/');
	char sql[2 * NAME_SIZE + 256];
	int err;

	(void)type;
	err = column_exists(c, name, "id");
	if (err)
		return err == ENOENT ? 0 : err;

	if (child) {
		(void)snprintf(sql, sizeof(sql),
			       "DELETE FROM \"%s\" WHERE parent NOT IN"
			       " (SELECT id FROM \"%.*s\")",
			       name, (int)(slash - name), name);
		return connection_run(c, sql);
	}
	(void)snprintf(sql, sizeof(sql),
		       "DELETE FROM \"%s\" WHERE born = %llu;"
		       " UPDATE \"%s\" SET died = NULL WHERE died = %llu",
		       name, (unsigned long long)look->number, name,
		       (unsigned long long)look->number);

	return connection_run(c, sql);
}

static int edits_discard(struct connection *c, void *arg)
{
	struct edits_look look;
	int err = edits_find(c, &look);

	(void)arg;
	if (err || !look.found)
		return err;

	return tables_walk(c, table_discard, &look);
}

/* The rows in which the configuration differs from the newest saved version
 * become those of the next one */
static int edits_write(struct connection *c, void *arg)
{
	struct save *save = arg;
	uint64_t newest = 0;
	int err;

	save->c = c;
	err = tables_walk(c, table_make, NULL);
	if (!err)
		err = edits_discard(c, NULL);
	if (!err)
		err = number_read(c, saved_sql, 0, &newest);
	if (err)
		return err;

	save->newest = (uint32_t)newest;
	save->number = save->newest + 1;
	for (const struct element *const *e = elements; *e && !err; e++)
		err = element_save(save, *e);

	return err;
}

static int version_save(struct connection *c, void *arg)
{
	struct save *save = arg;
	int err = edits_write(c, save);

	if (err)
		return err;

	if (!save->changes && save->newest) {
		save->number = save->newest;
		return 0;
	}

	return version_insert(save);
}

int versions_edit(struct database *db, const struct config *cfg,
		  const struct seal *seal)
{
	struct save save = { .cfg = cfg, .seal = seal };

	if (!db || !cfg || !seal)
		return EINVAL;

	return database_call(db, edits_write, &save);
}

/* ---- edits of single objects ---- */

struct edit {
	struct save save;
	const struct config *before;
};

/* A row of the element at hand */
struct row {
	uint64_t id, born, place;
};

/* The row with the key of an object, among those that `which` tells. ENOENT */
static int row_find(struct row *row, const struct save *save, const void *item,
		    const char *which)
{
	char *texts[FIELDS_MAX] = { NULL };
	char sql[SQL_MAX];
	struct statement *s = NULL;
	int n = snprintf(sql, sizeof(sql),
			 "SELECT id, born, place FROM \"%s\" WHERE %s",
			 save->type->name, which);
	int keys = 0, err = 0;

	for (const struct field *f = save->type->fields; f->name && !err; f++) {
		if (!(f->flags & KEY) || (save->type->flags & SINGLE))
			continue;
		n += snprintf(sql + n, sizeof(sql) - (size_t)n,
			      " AND \"%s\" = ?%d", f->name, keys + 2);
		err = field_text(&texts[keys], f, item, save);
		keys += !err;
	}
	if (!err)
		err = statement_prepare(&s, save->c, sql);
	if (!err) {
		statement_number(s, 1, save->number);
		for (int i = 0; i < keys; i++)
			statement_text(s, i + 2, texts[i]);
		err = statement_step(s);
	}
	if (!err) {
		row->id = statement_column_number(s, 0);
		row->born = statement_column_number(s, 1);
		row->place = statement_column_number(s, 2);
	}
	statement_free(s);
	while (keys > 0)
		mem_deref(texts[--keys]);

	return err;
}

/* The sub-elements of what `where` tells go, the innermost first */
static int children_delete(struct connection *c, const struct element *type,
			   const char *name, const char *where)
{
	char sql[SQL_MAX], inner[SQL_MAX / 2], child[NAME_SIZE];
	int err = 0;

	for (const struct field *f = type->fields; f->name && !err; f++) {
		if (!f->child)
			continue;
		name_print(child, f->child, name);
		if (snprintf(inner, sizeof(inner),
			     "parent IN (SELECT id FROM \"%s\" WHERE %s)", name,
			     where) >= (int)sizeof(inner))
			return EOVERFLOW;
		err = children_delete(c, f->child, child, inner);
		(void)snprintf(sql, sizeof(sql), "DELETE FROM \"%s\" WHERE %s",
			       child, inner);
		if (!err)
			err = connection_run(c, sql);
	}

	return err;
}

/* A row that was only edited vanishes; a saved one has no place in editing */
static int row_leave(struct save *save, const struct row *row)
{
	const struct old old = { .id = row->id };
	char sql[NAME_SIZE + 64], where[32];
	int err;

	if (row->born < save->number)
		return row_end(save, &old);

	(void)snprintf(where, sizeof(where), "id = %llu",
		       (unsigned long long)row->id);
	err = children_delete(save->c, save->type, save->type->name, where);
	(void)snprintf(sql, sizeof(sql), "DELETE FROM \"%s\" WHERE %s",
		       save->type->name, where);

	return err ? err : connection_run(save->c, sql);
}

/* Where an object that is added comes: behind all others */
static int place_last(struct save *save, uint64_t *placep, bool living)
{
	char sql[NAME_SIZE + 128];
	int err;

	(void)snprintf(sql, sizeof(sql),
		       "SELECT place FROM \"%s\" WHERE %s ORDER BY place DESC"
		       " LIMIT 1",
		       save->type->name,
		       living ? "born <= ?1 AND (died IS NULL OR died > ?1)"
			      : "?1 > 0");
	err = number_read(save->c, sql, save->number, placep);

	return err;
}

/* Does the row hold the object, but for who changed it last? */
static int row_same(bool *samep, struct save *save, uint64_t id,
		    const void *item)
{
	struct shelf *shelf = NULL;
	void *stored = NULL;
	int err = shelf_open(&shelf, save->c, save->type, NULL, of_id);

	if (!err) {
		statement_number(shelf->rows, 1, id);
		err = statement_step(shelf->rows);
	}
	if (!err)
		err = row_read(&stored, shelf);
	if (!err)
		*samep = stored_same(save, save->type, stored, item);
	item_free(save->type, stored);
	shelf_close(shelf);

	return err;
}

/* An object that is as it was saved takes its row again: it is no edit. place 0:
 * it is added, behind all others. *donep: it did */
static int row_revive(bool *donep, struct save *save, const void *item,
		      uint64_t place)
{
	char sql[NAME_SIZE + 64];
	struct row row;
	uint64_t last = 0;
	int err = row_find(&row, save, item, "died = ?1");

	*donep = false;
	if (err)
		return err == ENOENT ? 0 : err;
	if (!place)
		err = place_last(save, &last, true);
	if (err || (place && row.place != place) || row.place <= last)
		return err;
	err = row_same(donep, save, row.id, item);
	if (err || !*donep)
		return err;

	(void)snprintf(sql, sizeof(sql),
		       "UPDATE \"%s\" SET died = NULL WHERE id = %llu",
		       save->type->name, (unsigned long long)row.id);

	return connection_run(save->c, sql);
}

static int row_add(struct save *save, const void *item, uint64_t place)
{
	struct desk *desk = NULL;
	bool revived;
	int err = row_revive(&revived, save, item, place);

	if (err || revived)
		return err;
	if (!place) {
		err = place_last(save, &place, false);
		place += GAP;
	}
	if (!err)
		err = desk_open(&desk, save->c, save->type, NULL);
	if (!err)
		err = row_insert(desk, save, item, place, save->number);
	desk_close(desk);

	return err;
}

/* was NULL: added; now NULL: removed */
static int object_edit(struct save *save, const void *was, const void *now)
{
	struct row row = { .place = 0 };
	int err = 0;

	if (was && now && stored_same(save, save->type, was, now))
		return 0;
	if (was)
		err = row_find(&row, save, was,
			       "born <= ?1 AND (died IS NULL OR died > ?1)");
	if (!err && was)
		err = row_leave(save, &row);
	if (!err && now)
		err = row_add(save, now, row.place);

	return err;
}

static bool key_same(const struct element *type, const void *a, const void *b)
{
	for (const struct field *f = type->fields; f->name; f++) {
		if ((f->flags & KEY) && !(type->flags & SINGLE) &&
		    !f->type->same(field_slot_const(f, a),
				   field_slot_const(f, b)))
			return false;
	}

	return true;
}

/* Objects are replaced where they are and added behind all others. Whatever else
 * happened to the order comes out right too, with more rows */
static int section_edit(struct edit *edit, const struct element *type)
{
	struct save *save = &edit->save;
	size_t n = config_count(edit->before, type);
	size_t m = config_count(save->cfg, type), k = 0;
	int err = 0;

	save->type = type;
	for (size_t i = 0; i < n && !err; i++) {
		const void *was = config_at(edit->before, type, i);
		const void *now = k < m ? config_at(save->cfg, type, k) : NULL;

		if (was == now) {
			k++;
		} else if (now && key_same(type, was, now)) {
			err = object_edit(save, was, now);
			k++;
		} else {
			err = object_edit(save, was, NULL);
		}
	}
	for (; k < m && !err; k++)
		err = object_edit(save, NULL, config_at(save->cfg, type, k));
	statement_free(save->end);
	save->end = NULL;

	return err;
}

static int edit_write(struct connection *c, void *arg)
{
	struct edit *edit = arg;
	uint64_t newest;
	int err = number_read(c, saved_sql, 0, &newest);

	edit->save.c = c;
	edit->save.number = (uint32_t)newest + 1;
	for (size_t i = 0; elements[i] && !err; i++) {
		if (edit->before->sections[i] != edit->save.cfg->sections[i])
			err = section_edit(edit, elements[i]);
	}

	return err;
}

int versions_edit_objects(struct database *db, const struct config *before,
			  const struct config *cfg, const struct seal *seal)
{
	struct edit edit = { .save = { .cfg = cfg, .seal = seal },
			     .before = before };
	int err;

	if (!db || !before || !cfg || !seal)
		return EINVAL;

	err = database_call(db, edit_write, &edit);

	/* A table or a column of this program is not there yet, or no row has
	 * such a key: the whole is written, which makes it right */
	return err == ENOENT ? versions_edit(db, cfg, seal) : err;
}

static int edits_save(struct connection *c, void *arg)
{
	struct save *save = arg;
	struct edits_look look;
	int err = edits_find(c, &look);

	if (err)
		return err;
	save->c = c;
	save->number = (uint32_t)look.number;
	if (!look.found && save->number > 1) {
		save->number--;
		return EALREADY;
	}

	return version_insert(save);
}

int versions_save_edits(uint32_t *numberp, struct database *db, const char *by)
{
	struct save save = { .by = by };
	int err;

	if (!numberp || !db || !by)
		return EINVAL;

	err = database_call(db, edits_save, &save);
	if (!err || err == EALREADY)
		*numberp = save.number;

	return err;
}

int versions_discard(struct database *db)
{
	return db ? database_call(db, edits_discard, NULL) : EINVAL;
}

static int edited_read(struct connection *c, void *arg)
{
	return edits_find(c, arg);
}

int versions_edited(bool *editedp, struct database *db)
{
	struct edits_look look;
	int err;

	if (!editedp || !db)
		return EINVAL;

	err = database_read(db, edited_read, &look);
	if (!err)
		*editedp = look.found;

	return err;
}

int versions_save(uint32_t *numberp, struct database *db,
		  const struct config *cfg, const struct seal *seal,
		  const char *by)
{
	struct save save = { .cfg = cfg, .seal = seal, .by = by };
	int err;

	if (!numberp || !db || !cfg || !seal || !by)
		return EINVAL;

	err = database_call(db, version_save, &save);
	if (!err)
		*numberp = save.number;

	return err;
}

/* ---- activate, list, sweep ---- */

/* The entries of a version become those that a look-up finds. Names of tables
 * and columns are those of the schema (elements/realm_config). */
static int entries_replace(struct connection *c, uint64_t version)
{
	struct statement *s;
	int err;

	err = connection_run(c, "DELETE FROM credential WHERE origin = 0");
	if (!err)
		err = statement_prepare(
			&s, c,
			"INSERT OR REPLACE INTO credential(realm, auth_realm,"
			" lookup, origin, username, password)"
			" SELECT r.\"identifier\", a.\"auth-realm\","
			" a.\"auth-user-lookup\", 0, a.\"username\","
			" a.\"password\" FROM \"realm-config\" r"
			" JOIN \"realm-config/auth-attribute\" a"
			" ON a.parent = r.id WHERE r.born <= ?1"
			" AND (r.died IS NULL OR r.died > ?1)"
			" ORDER BY 1, 2, 3");
	if (err)
		return err == ENOENT ? EIO : err;

	statement_number(s, 1, version);
	err = statement_run(s);
	statement_free(s);

	return err;
}

static int fact_put(struct connection *c, const char *name, uint64_t value)
{
	struct statement *s;
	int err;

	err = statement_kept(&s, c,
			     "INSERT INTO fact VALUES(?1, ?2) ON CONFLICT DO"
			     " UPDATE SET value = excluded.value");
	if (err)
		return err;

	statement_text(s, 1, name);
	statement_number(s, 2, value);

	return statement_run(s);
}

static int trial_end(struct connection *c, void *arg)
{
	(void)arg;

	return connection_run(c, "DELETE FROM fact WHERE name IN"
				 " ('former-version', 'accept-until')");
}

struct activation {
	uint32_t version;
	uint64_t until; /* wall [s]; 0: for good */
};

static int version_activate(struct connection *c, void *arg)
{
	const struct activation *a = arg;
	uint64_t number, running = 0;
	int err;

	err = number_read(c, exists_sql, a->version, &number);
	if (!err && !number)
		err = ENOENT;
	if (!err)
		err = trial_end(c, NULL);
	if (!err && a->until)
		err = number_read(c, running_sql, 0, &running);
	if (!err && a->until && !running)
		err = ENOENT;
	if (!err && a->until)
		err = fact_put(c, "former-version", running);
	if (!err && a->until)
		err = fact_put(c, "accept-until", a->until);
	if (!err)
		err = entries_replace(c, a->version);
	if (!err)
		err = fact_put(c, "running-version", a->version);

	return err;
}

static int activate_until(struct database *db, uint32_t version, uint64_t until)
{
	struct activation a = { version, until };
	int err;

	if (!db)
		return EINVAL;

	err = database_call(db, version_activate, &a);
	if (!err)
		database_announce(db);

	return err;
}

int versions_activate(struct database *db, uint32_t version)
{
	return activate_until(db, version, 0);
}

int versions_try(struct database *db, uint32_t version, uint64_t until)
{
	return until ? activate_until(db, version, until) : EINVAL;
}

static int trial_read(struct connection *c, void *arg)
{
	struct version_trial *trial = arg;
	uint64_t former = 0;
	int err;

	err = number_read(c,
			  "SELECT value FROM fact WHERE name = 'accept-until'"
			  " AND ?1 = 0",
			  0, &trial->until);
	if (!err)
		err = number_read(c,
				  "SELECT value FROM fact WHERE name ="
				  " 'former-version' AND ?1 = 0",
				  0, &former);
	trial->former = (uint32_t)former;

	return err;
}

int versions_trial(struct database *db, struct version_trial *trial)
{
	return db && trial ? database_read(db, trial_read, trial) : EINVAL;
}

int versions_accept(struct database *db)
{
	return db ? database_call(db, trial_end, NULL) : EINVAL;
}

struct numbers {
	uint64_t saved, running;
};

static int numbers_read(struct connection *c, void *arg)
{
	struct numbers *numbers = arg;
	int err;

	err = number_read(c, saved_sql, 0, &numbers->saved);
	if (!err)
		err = number_read(c, running_sql, 0, &numbers->running);

	return err;
}

int versions_numbers(struct database *db, uint32_t *saved, uint32_t *running)
{
	struct numbers numbers = { 0 };
	int err;

	if (!db)
		return EINVAL;

	err = database_read(db, numbers_read, &numbers);
	if (err)
		return err;
	if (saved)
		*saved = (uint32_t)numbers.saved;
	if (running)
		*running = (uint32_t)numbers.running;

	return 0;
}

struct listing {
	version_h *h;
	void *arg;
};

static int list_rows(struct connection *c, void *arg)
{
	const struct listing *listing = arg;
	struct version_info info;
	struct statement *s;
	int err;

	err = statement_kept(&s, c,
			     "SELECT number, saved, by, elements,"
			     " coalesce(errors, ?1), coalesce(warnings, ?1)"
			     " FROM version ORDER BY number DESC");
	if (err)
		return err;

	statement_number(s, 1, VERSION_UNCOUNTED);
	while (!(err = statement_step(s))) {
		info.number = (uint32_t)statement_column_number(s, 0);
		(void)snprintf(info.saved, sizeof(info.saved), "%s",
			       statement_column_text(s, 1));
		(void)snprintf(info.by, sizeof(info.by), "%s",
			       statement_column_text(s, 2));
		info.elements = (uint32_t)statement_column_number(s, 3);
		info.errors = (uint32_t)statement_column_number(s, 4);
		info.warnings = (uint32_t)statement_column_number(s, 5);
		listing->h(&info, listing->arg);
	}
	statement_reset(s);

	return err == ENOENT ? 0 : err;
}

int versions_list(struct database *db, version_h *h, void *arg)
{
	struct listing listing = { h, arg };

	if (!db || !h)
		return EINVAL;

	return database_read(db, list_rows, &listing);
}

struct judgement {
	uint32_t version, errors, warnings;
};

static int judge(struct connection *c, void *arg)
{
	const struct judgement *j = arg;
	struct statement *s;
	int err = statement_kept(&s, c,
				 "UPDATE version SET errors = ?2, warnings ="
				 " ?3 WHERE number = ?1");

	if (err)
		return err;
	statement_number(s, 1, j->version);
	statement_number(s, 2, j->errors);
	statement_number(s, 3, j->warnings);

	return statement_run(s);
}

int versions_judge(struct database *db, uint32_t version, uint32_t errors,
		   uint32_t warnings)
{
	struct judgement j = { version, errors, warnings };

	return db ? database_call(db, judge, &j) : EINVAL;
}

/* Parents come before their sub-elements in the walk */
static int table_sweep(struct connection *c, const struct element *type,
		       const char *name, bool child, void *arg)
{
	char sql[2 * NAME_SIZE + 256];
	const char *slash = strrchr(name, '/');
	int err;

	(void)type;
	(void)arg;
	err = column_exists(c, name, "id");
	if (err)
		return err == ENOENT ? 0 : err;

	if (child)
		(void)snprintf(sql, sizeof(sql),
			       "DELETE FROM \"%s\" WHERE parent NOT IN"
			       " (SELECT id FROM \"%.*s\")",
			       name, (int)(slash - name), name);
	else
		(void)snprintf(sql, sizeof(sql),
			       "DELETE FROM \"%s\" WHERE died IS NOT NULL AND"
			       " NOT EXISTS(SELECT 1 FROM version WHERE"
			       " number >= born AND number < died)",
			       name);

	return connection_run(c, sql);
}

static int sweep(struct connection *c, void *arg)
{
	struct statement *s;
	uint64_t before;
	int err;

	err = statement_kept(
		&s, c,
		"DELETE FROM version WHERE number NOT IN (SELECT number FROM"
		" version ORDER BY number DESC LIMIT ?1) AND number NOT IN"
		" (SELECT value FROM fact WHERE name IN ('running-version',"
		" 'former-version'))");
	if (err)
		return err;

	statement_number(s, 1, *(const uint32_t *)arg);
	before = connection_changed(c);
	err = statement_run(s);
	if (err || connection_changed(c) == before)
		return err;

	return tables_walk(c, table_sweep, NULL);
}

int versions_sweep(struct database *db, uint32_t kept)
{
	if (!db || !kept)
		return EINVAL;

	return database_call(db, sweep, &kept);
}
