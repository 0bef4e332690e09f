/*
 * Targets that get no new calls until a moment
 */
#include <errno.h>
#include <string.h>
#include "store/hash.h"
#include "sbc/shun.h"

struct shunned {
	struct entry entry;
	struct sa addr;
	uint8_t transport;
	uint64_t until; /* [ms] */
	char realm[];   /* its name: it outlives a plan */
};

struct shun {
	struct table table;
};

struct key {
	const char *realm;
	const struct sa *addr;
	uint8_t transport;
};

static void drop_all(struct entry *e, void *arg)
{
	table_remove(arg, e);
	mem_deref(e);
}

static void destructor(void *arg)
{
	struct shun *s = arg;

	(void)table_walk(&s->table, 0, SIZE_MAX, drop_all, &s->table);
	table_finish(&s->table);
}

int shun_alloc(struct shun **sp)
{
	struct shun *s = mem_zalloc(sizeof(*s), destructor);

	if (!s)
		return ENOMEM;
	table_init(&s->table);
	*sp = s;

	return 0;
}

static uint64_t hash_of(const struct key *key)
{
	uint64_t h = hash_bytes(key->realm, strlen(key->realm));

	return hash_mix(h, sa_hash(key->addr, SA_ALL));
}

static bool is_key(const struct entry *e, const void *arg)
{
	const struct shunned *x = (const struct shunned *)e;
	const struct key *key = arg;

	return x->transport == key->transport &&
	       sa_cmp(&x->addr, key->addr, SA_ALL) &&
	       !strcmp(x->realm, key->realm);
}

static struct key key_of(const struct realm *realm, const struct sa *addr,
			 uint8_t transport)
{
	struct key key = { realm->config->identifier, addr, transport };

	return key;
}

static struct shunned *find(const struct shun *s, const struct key *key)
{
	return (struct shunned *)table_find(&s->table, hash_of(key), is_key,
					    key);
}

void shun_target(struct shun *s, const struct realm *realm,
		 const struct sa *addr, uint8_t transport, uint64_t until)
{
	struct key key = key_of(realm, addr, transport);
	struct shunned *x = find(s, &key);

	if (!x && s->table.count < TARGETS_SHUNNED) {
		size_t size = strlen(key.realm) + 1;

		x = mem_zalloc(sizeof(*x) + size, NULL);
		if (!x)
			return;
		sa_cpy(&x->addr, addr);
		x->transport = transport;
		memcpy(x->realm, key.realm, size);
		if (table_add(&s->table, &x->entry, hash_of(&key)))
			x = mem_deref(x);
	}
	if (x)
		x->until = until;
}

static void drop(struct shun *s, struct shunned *x)
{
	table_remove(&s->table, &x->entry);
	mem_deref(x);
}

void shun_pardon(struct shun *s, const struct realm *realm,
		 const struct sa *addr, uint8_t transport)
{
	struct key key = key_of(realm, addr, transport);
	struct shunned *x = find(s, &key);

	if (x)
		drop(s, x);
}

bool shun_has(struct shun *s, const struct realm *realm, const struct sa *addr,
	      uint8_t transport, uint64_t now)
{
	struct key key = key_of(realm, addr, transport);
	struct shunned *x;

	if (!s->table.count)
		return false;

	x = find(s, &key);
	if (x && x->until <= now) {
		drop(s, x);
		return false;
	}

	return x != NULL;
}

size_t shun_count(const struct shun *s)
{
	return s->table.count;
}
