/*
 * Unpredictable bytes, drawn in batches
 *
 * What was handed out is wiped from the pool, so a later look into memory does
 * not tell tags and nonces of the past.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include "store/log.h"
#include "sbc/random.h"

enum {
	POOL = 4096
};

static void draw(void *p, size_t n)
{
	/* RAND_bytes takes an int; nobody asks for as much */
	assert(n <= INT32_MAX);

	if (RAND_bytes(p, (int)n) == 1)
		return;

	log_line(SIPD, LEVEL_EMERGENCY, "no-randomness",
		 "text=\"OpenSSL has no random bytes: nothing would be safe\"");
	abort();
}

void random_fill(void *p, size_t n)
{
	static _Thread_local uint8_t pool[POOL];
	static _Thread_local size_t left; /* the last `left` bytes are fresh */
	uint8_t *from;

	if (n > POOL / 4) {
		draw(p, n);
		return;
	}

	if (n > left) {
		draw(pool, POOL);
		left = POOL;
	}

	from = pool + POOL - left;
	memcpy(p, from, n);
	OPENSSL_cleanse(from, n);
	left -= n;
}

uint64_t random_u64(void)
{
	uint64_t v;

	random_fill(&v, sizeof(v));
	return v;
}

uint32_t random_below(uint32_t n)
{
	uint64_t product;
	uint32_t floor;

	assert(n > 0);

	/* The upper half of a product of 32 x 32 bits is even but for 2^32 mod n
	 * values of the lower half, which are drawn anew */
	floor = (uint32_t)-n % n;
	do {
		product = (random_u64() >> 32) * n;
	} while ((uint32_t)product < floor);

	return (uint32_t)(product >> 32);
}

uint32_t random_between(uint32_t from, uint32_t to)
{
	if (to <= from)
		return from;
	if (from == 0 && to == UINT32_MAX)
		return (uint32_t)random_u64();

	return from + random_below(to - from + 1);
}
