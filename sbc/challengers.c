/*
 * Who challenged us, with which auth-realm, and what answered
 */
#include <errno.h>
#include <string.h>
#include "store/hash.h"
#include "sbc/challengers.h"
#include "sbc/clock.h"

struct row {
	struct entry e;
	struct le le; /* of challengers.silent: the longest silent first */
	struct challenger_report r;
	char *realm, *auth_realm;
};

struct challengers {
	struct table table;
	struct list silent;
};

static void row_destructor(void *arg)
{
	struct row *row = arg;

	list_unlink(&row->le);
	mem_deref(row->realm);
	mem_deref(row->auth_realm);
}

static void destructor(void *arg)
{
	struct challengers *c = arg;

	list_flush(&c->silent);
	table_finish(&c->table);
}

int challengers_alloc(struct challengers **cp)
{
	struct challengers *c = mem_zalloc(sizeof(*c), destructor);

	if (!c)
		return ENOMEM;
	table_init(&c->table);
	list_init(&c->silent);
	*cp = c;

	return 0;
}

static uint64_t hash_of(const struct challenger *what)
{
	uint64_t h = hash_bytes(what->auth_realm.p, what->auth_realm.l);

	h = hash_mix(h, sa_hash(&what->target->dst, SA_ALL));

	return hash_mix(h, hash_bytes(what->realm, strlen(what->realm)));
}

static bool is_row(const struct entry *e, const void *arg)
{
	const struct row *row = (const struct row *)e;
	const struct challenger *what = arg;

	return row->r.transport == what->target->transport &&
	       sa_cmp(&row->r.addr, &what->target->dst, SA_ALL) &&
	       !pl_strcmp(&what->auth_realm, row->auth_realm) &&
	       !strcmp(row->realm, what->realm);
}

static void make_room(struct challengers *c)
{
	while (c->table.count >= CHALLENGERS_KEPT) {
		struct row *row = list_ledata(c->silent.head);

		table_remove(&c->table, &row->e);
		mem_deref(row);
	}
}

static struct row *row_new(struct challengers *c, const struct challenger *what,
			   uint64_t hash)
{
	struct row *row;

	make_room(c);
	row = mem_zalloc(sizeof(*row), row_destructor);
	if (!row)
		return NULL;
	if (str_dup(&row->realm, what->realm) ||
	    pl_strdup(&row->auth_realm, &what->auth_realm) ||
	    table_add(&c->table, &row->e, hash))
		return mem_deref(row);

	row->r.realm = row->realm;
	row->r.auth_realm = row->auth_realm;
	row->r.addr = what->target->dst;
	row->r.transport = what->target->transport;
	list_append(&c->silent, &row->le, row);

	return row;
}

static struct row *row_of(struct challengers *c, const struct challenger *what)
{
	uint64_t hash = hash_of(what);
	struct row *row =
		(struct row *)table_find(&c->table, hash, is_row, what);

	return row ? row : row_new(c, what, hash);
}

void challengers_note(struct challengers *c, const struct challenger *what)
{
	struct row *row = row_of(c, what);

	if (!row)
		return;

	row->r.algorithms |= what->algorithms;
	row->r.registers += what->registering;
	row->r.others += !what->registering;
	row->r.last = clock_coarse_ms();
	row->r.by = what->by;
	list_unlink(&row->le);
	list_append(&c->silent, &row->le, row);
}

static void row_join(const struct challenger_report *r, void *arg)
{
	const struct target target = { .dst = r->addr,
				       .transport = r->transport };
	struct challenger what = { .realm = r->realm, .target = &target };
	struct row *row;

	pl_set_str(&what.auth_realm, r->auth_realm);
	row = row_of(arg, &what);
	if (!row)
		return;
	row->r.algorithms |= r->algorithms;
	row->r.registers += r->registers;
	row->r.others += r->others;
	if (r->last < row->r.last)
		return;
	row->r.last = r->last;
	row->r.by = r->by;
}

void challengers_join(struct challengers *sum, const struct challengers *c)
{
	(void)challengers_walk(c, 0, SIZE_MAX, row_join, sum);
}

struct walk {
	challenger_h *h;
	void *arg;
};

static void report(struct entry *e, void *arg)
{
	const struct walk *walk = arg;

	walk->h(&((struct row *)e)->r, walk->arg);
}

size_t challengers_walk(const struct challengers *c, size_t from, size_t limit,
			challenger_h *h, void *arg)
{
	struct walk walk = { h, arg };

	return table_walk(&c->table, from, limit, report, &walk);
}
