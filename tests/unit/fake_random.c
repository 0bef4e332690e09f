/*
 * Random bytes that a seed repeats
 */
#include <string.h>
#include "tests/unit/fake_random.h"

static uint64_t state = 1;

void fake_random_seed(uint64_t seed)
{
	state = seed;
}

/* splitmix64 */
uint64_t random_u64(void)
{
	uint64_t z = (state += 0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

void random_fill(void *p, size_t n)
{
	uint8_t *to = p;

	while (n) {
		uint64_t v = random_u64();
		size_t take = n < sizeof(v) ? n : sizeof(v);

		memcpy(to, &v, take);
		to += take;
		n -= take;
	}
}

uint32_t random_below(uint32_t n)
{
	return (uint32_t)(random_u64() % n);
}

uint32_t random_between(uint32_t from, uint32_t to)
{
	return to <= from ? from
			  : from + (uint32_t)(random_u64() %
					      ((uint64_t)to - from + 1));
}
