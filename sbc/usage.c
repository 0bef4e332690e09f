/*
 * How often an entry of a realm answered, and when it was refused last
 */
#include <errno.h>
#include <stdlib.h>
#include "store/hash.h"
#include "sbc/usage.h"

/* Two keys of one hash would be counted together: of a million that happens once
 * in thirty million lives of the program */
struct used {
	struct entry e; /* first */
	uint32_t used, refused;
	uint64_t count;
};

struct usage {
	struct table table;
};

static void drop(struct entry *e, void *arg)
{
	table_remove(arg, e);
	free(e);
}

static void destructor(void *arg)
{
	struct usage *u = arg;
	size_t at = 0;

	do {
		at = table_walk(&u->table, at, SIZE_MAX, drop, &u->table);
	} while (at);
	table_finish(&u->table);
}

int usage_alloc(struct usage **up)
{
	struct usage *u = mem_zalloc(sizeof(*u), destructor);

	if (!u)
		return ENOMEM;
	table_init(&u->table);
	*up = u;

	return 0;
}

static bool is_it(const struct entry *e, const void *key)
{
	(void)e;
	(void)key;

	return true;
}

static uint64_t hash_of(const struct credential_key *key)
{
	uint64_t hash = hash_bytes(key->realm.p, key->realm.l);

	hash = hash_mix(hash, hash_bytes(key->auth_realm.p, key->auth_realm.l));

	return hash_mix(hash, hash_bytes(key->lookup.p, key->lookup.l));
}

/* NULL: it has no place */
static struct used *used_of(struct usage *u, const struct credential_key *key)
{
	uint64_t hash = hash_of(key);
	struct used *used;

	used = (struct used *)table_find(&u->table, hash, is_it, NULL);
	if (used || u->table.count == USAGE_MOST)
		return used;
	used = calloc(1, sizeof(*used));
	if (used && table_add(&u->table, &used->e, hash)) {
		free(used);
		used = NULL;
	}

	return used;
}

void usage_answered(struct usage *u, const struct credential_key *key,
		    uint64_t wall)
{
	struct used *used = u ? used_of(u, key) : NULL;

	if (!used)
		return;
	used->count++;
	used->used = (uint32_t)wall;
}

void usage_refused(struct usage *u, const struct credential_key *key,
		   uint64_t wall)
{
	struct used *used = u ? used_of(u, key) : NULL;

	if (used)
		used->refused = (uint32_t)wall;
}

void usage_look(const struct usage *u, const struct credential_key *key,
		struct usage_report *out)
{
	const struct used *used = NULL;

	if (u)
		used = (const struct used *)table_find(&u->table, hash_of(key),
						       is_it, NULL);
	if (!used)
		return;
	out->count += used->count;
	if (used->used > out->used)
		out->used = used->used;
	if (used->refused > out->refused)
		out->refused = used->refused;
}
