/*
 * Named objects that come and never go: found by any thread without a lock
 */
#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>
#include "store/base.h"
#include "store/hash.h"
#include "realms/roster.h"

enum {
	FIRST_LEVEL = 64
};

struct level {
	struct level *smaller; /* filled before; read-only now */
	size_t size, used;     /* a power of two; at most three quarters */
	struct roster_entry *_Atomic slots[];
};

struct roster {
	struct level *_Atomic levels; /* the largest first */
};

static void destructor(void *arg)
{
	struct roster *r = arg;
	struct level *level = atomic_load(&r->levels);

	while (level) {
		struct level *smaller = level->smaller;

		mem_deref(level);
		level = smaller;
	}
}

static struct roster_entry *level_find(const struct level *level,
				       const char *name, uint64_t hash)
{
	for (size_t i = hash & (level->size - 1);;
	     i = (i + 1) & (level->size - 1)) {
		struct roster_entry *entry = atomic_load_explicit(
			&level->slots[i], memory_order_acquire);

		if (!entry)
			return NULL;
		if (entry->hash == hash && !strcasecmp(entry->name, name))
			return entry;
	}
}

/* The level that still has room, made when there is none */
static int level_open(struct level **levelp, struct roster *r)
{
	struct level *level = atomic_load(&r->levels);
	size_t size = level ? 4 * level->size : FIRST_LEVEL;
	struct level *larger;

	if (level && level->used < level->size / 4 * 3) {
		*levelp = level;
		return 0;
	}

	larger = mem_zalloc(sizeof(*larger) + size * sizeof(larger->slots[0]),
			    NULL);
	if (!larger)
		return ENOMEM;
	larger->size = size;
	larger->smaller = level;
	atomic_store_explicit(&r->levels, larger, memory_order_release);
	*levelp = larger;

	return 0;
}

int roster_alloc(struct roster **rp)
{
	struct roster *r = mem_zalloc(sizeof(*r), destructor);

	if (!r)
		return ENOMEM;
	*rp = r;

	return 0;
}

uint64_t roster_hash(const char *name)
{
	return hash_nocase(name, strlen(name));
}

struct roster_entry *roster_find(const struct roster *r, const char *name)
{
	uint64_t hash = roster_hash(name);
	const struct level *level =
		atomic_load_explicit(&r->levels, memory_order_acquire);

	for (; level; level = level->smaller) {
		struct roster_entry *entry = level_find(level, name, hash);

		if (entry)
			return entry;
	}

	return NULL;
}

int roster_add(struct roster *r, struct roster_entry *entry)
{
	struct level *level;
	size_t i;
	int err = level_open(&level, r);

	if (err)
		return err;

	i = entry->hash & (level->size - 1);
	while (atomic_load(&level->slots[i]))
		i = (i + 1) & (level->size - 1);
	atomic_store_explicit(&level->slots[i], entry, memory_order_release);
	++level->used;

	return 0;
}
