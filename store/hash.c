/*
 * Keyed hash, and a table that grows a little with each insert
 *
 * SipHash after Aumasson and Bernstein, "SipHash: a fast short-input PRF": 2-4
 * where the value is a promise to others, 1-3 for our own tables, whose values
 * nobody sees.
 * Behind the slots there is a byte for each: one bit by the hash of each entry of
 * the chain. Who looks for what is not there, as most do who begin something,
 * touches that byte, which the cache has, instead of a slot and an old entry,
 * which it has not. A bit stays until its chain is empty: it costs a look.
 * A table that is full gets an array of four times the size; each insert from
 * then on empties a chain of the old one. The new array takes three times as
 * many inserts as there are old chains, so the old one is empty long before.
 */
#include <endian.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include "store/hash.h"

enum {
	SLOTS_FIRST = 16,
	GROWTH = 4, /* a chain that moves costs two cache misses */
	MOVES = 1,  /* chains moved with each insert */
};

static pthread_once_t key_once = PTHREAD_ONCE_INIT;
static uint64_t key[2];

static void key_draw(void)
{
	uint8_t *p = (uint8_t *)key;
	size_t have = 0;

	/* Without randomness a stranger could choose collisions: no start */
	while (have < sizeof(key)) {
		ssize_t n = getrandom(p + have, sizeof(key) - have, 0);

		if (n > 0)
			have += (size_t)n;
		else if (errno != EINTR)
			abort();
	}
}

static inline uint64_t rotate(uint64_t x, unsigned n)
{
	return (x << n) | (x >> (64 - n));
}

static inline void rounds(uint64_t v[4], unsigned n)
{
	while (n--) {
		v[0] += v[1];
		v[1] = rotate(v[1], 13) ^ v[0];
		v[0] = rotate(v[0], 32);
		v[2] += v[3];
		v[3] = rotate(v[3], 16) ^ v[2];
		v[0] += v[3];
		v[3] = rotate(v[3], 21) ^ v[0];
		v[2] += v[1];
		v[1] = rotate(v[1], 17) ^ v[2];
		v[2] = rotate(v[2], 32);
	}
}

static inline uint64_t word_read(const uint8_t *p, size_t n)
{
	uint64_t w = 0;

	while (n--)
		w = (w << 8) | p[n];

	return w;
}

/* Bit 5 of each byte that is an upper-case ASCII letter */
static inline uint64_t lower_all(uint64_t w)
{
	const uint64_t ones = 0x0101010101010101ull;
	uint64_t low = w & (0x7f * ones);
	uint64_t from_a = low + (0x80 - 'A') * ones;
	uint64_t past_z = low + (0x80 - 'Z' - 1) * ones;

	return w | ((((from_a & ~past_z) & ~w) & (0x80 * ones)) >> 2);
}

/* c rounds for each word, d at the end; inlined, so that all three are constant */
static inline __attribute__((always_inline)) uint64_t siphash(
	const uint64_t k[2], const uint8_t *p, size_t n, bool nocase,
	unsigned c, unsigned d)
{
	uint64_t v[4] = {
		k[0] ^ 0x736f6d6570736575ull,
		k[1] ^ 0x646f72616e646f6dull,
		k[0] ^ 0x6c7967656e657261ull,
		k[1] ^ 0x7465646279746573ull,
	};
	uint64_t last = (uint64_t)n << 56;

	for (; n >= 8; n -= 8, p += 8) {
		uint64_t w;

		memcpy(&w, p, sizeof(w));
		w = le64toh(w);
		if (nocase)
			w = lower_all(w);
		v[3] ^= w;
		rounds(v, c);
		v[0] ^= w;
	}

	last |= nocase ? lower_all(word_read(p, n)) : word_read(p, n);
	v[3] ^= last;
	rounds(v, c);
	v[0] ^= last;
	v[2] ^= 0xff;
	rounds(v, d);

	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

uint64_t hash_keyed(const uint64_t k[2], const void *p, size_t n)
{
	return siphash(k, p, n, false, 2, 4);
}

uint64_t hash_bytes(const void *p, size_t n)
{
	(void)pthread_once(&key_once, key_draw); /* fails on bad arguments */

	return siphash(key, p, n, false, 1, 3);
}

uint64_t hash_nocase(const void *p, size_t n)
{
	(void)pthread_once(&key_once, key_draw); /* fails on bad arguments */

	return siphash(key, p, n, true, 1, 3);
}

uint64_t hash_mix(uint64_t a, uint64_t b)
{
	/* What is joined is keyed already, so a stranger chooses neither; this
	 * only has to spread: the finalizer of 64-bit MurmurHash3 */
	uint64_t x = a ^ (b * 0x9e3779b97f4a7c15ull + (a << 6) + (a >> 2));

	x = (x ^ x >> 33) * 0xff51afd7ed558ccdull;
	x = (x ^ x >> 33) * 0xc4ceb9fe1a85ec53ull;
	return x ^ x >> 33;
}

static struct entry **slot_of(struct entry **slots, size_t size, uint64_t hash)
{
	return &slots[hash & (size - 1)];
}

static uint8_t *marks_of(struct entry **slots, size_t size, uint64_t hash)
{
	return (uint8_t *)(slots + size) + (hash & (size - 1));
}

/* By other bits of the hash than the slot */
static uint8_t mark_of(uint64_t hash)
{
	return (uint8_t)(1u << (hash >> 61));
}

static void put(struct table *t, struct entry *e)
{
	struct entry **slot = slot_of(t->slots, t->size, e->hash);

	e->next = *slot;
	*slot = e;
	*marks_of(t->slots, t->size, e->hash) |= mark_of(e->hash);
}

static void move_chains(struct table *t, size_t n)
{
	for (; t->old && n--; t->moved++) {
		struct entry *e, *next;

		if (t->moved == t->old_size) {
			free(t->old);
			t->old = NULL;
			t->old_size = t->moved = 0;
			return;
		}

		for (e = t->old[t->moved]; e; e = next) {
			next = e->next;
			put(t, e);
		}
		t->old[t->moved] = NULL;
		*marks_of(t->old, t->old_size, t->moved) = 0;
	}
}

static int grow(struct table *t)
{
	size_t size = t->size ? t->size * GROWTH : SLOTS_FIRST;
	struct entry **slots =
		calloc(size, sizeof(struct entry *) + sizeof(uint8_t));

	if (!slots)
		return t->size ? 0 : ENOMEM; /* longer chains still work */

	t->old = t->slots;
	t->old_size = t->size;
	t->moved = 0;
	t->slots = slots;
	t->size = size;
	return 0;
}

void table_init(struct table *t)
{
	memset(t, 0, sizeof(*t));
}

void table_finish(struct table *t)
{
	free(t->slots);
	free(t->old);
	table_init(t);
}

int table_add(struct table *t, struct entry *e, uint64_t hash)
{
	int err;

	if (t->count >= t->size && !t->old) {
		err = grow(t);
		if (err)
			return err;
	}
	move_chains(t, MOVES);

	e->hash = hash;
	put(t, e);
	t->count++;
	return 0;
}

static bool take(struct entry **slots, size_t size, const struct entry *e)
{
	struct entry **slot, **at;

	if (!slots)
		return false;

	slot = at = slot_of(slots, size, e->hash);
	while (*at && *at != e)
		at = &(*at)->next;
	if (!*at)
		return false;

	*at = e->next;
	if (!*slot)
		*marks_of(slots, size, e->hash) = 0;

	return true;
}

void table_remove(struct table *t, struct entry *e)
{
	if (take(t->slots, t->size, e) || take(t->old, t->old_size, e)) {
		e->next = NULL;
		t->count--;
	}
}

void table_expect(const struct table *t, uint64_t hash)
{
	if (t->slots)
		__builtin_prefetch(slot_of(t->slots, t->size, hash));
}

static struct entry *find(struct entry **slots, size_t size, uint64_t hash,
			  entry_match_h *match, const void *wanted)
{
	struct entry *e;

	if (!slots || !(*marks_of(slots, size, hash) & mark_of(hash)))
		return NULL;

	for (e = *slot_of(slots, size, hash); e; e = e->next) {
		if (e->hash == hash && match(e, wanted))
			return e;
	}

	return NULL;
}

struct entry *table_find(const struct table *t, uint64_t hash,
			 entry_match_h *match, const void *wanted)
{
	struct entry *e = find(t->slots, t->size, hash, match, wanted);

	return e ? e : find(t->old, t->old_size, hash, match, wanted);
}

size_t table_walk(const struct table *t, size_t from, size_t limit, entry_h *h,
		  void *arg)
{
	size_t chains = t->old_size + t->size; /* the old ones first */
	size_t seen = 0;

	for (; from < chains; from++) {
		struct entry *e, *next;

		if (seen >= limit)
			return from;

		e = from < t->old_size ? t->old[from]
				       : t->slots[from - t->old_size];
		for (; e; e = next) {
			next = e->next;
			seen++;
			h(e, arg);
		}
	}

	return 0;
}
