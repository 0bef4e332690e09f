/*
 * Unsigned numbers read strictly - no sign, no rest, no wrap - and written
 */
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include "store/number.h"

enum {
	SURE = 19 /* digits that fit into 64 bits, whichever they are */
};

int uint_parse(uint64_t *np, const struct pl *text, uint64_t max)
{
	uint64_t n = 0;
	bool above = false;

	if (!text->l)
		return EINVAL;

	for (size_t i = 0; i < text->l; i++) {
		unsigned digit = (unsigned char)text->p[i] - (unsigned)'0';

		if (digit > 9)
			return EINVAL;

		/* What is too large is still read: a letter there is EINVAL */
		if (i < SURE) {
			n = n * 10 + digit;
		} else {
			above |= __builtin_mul_overflow(n, 10, &n);
			above |= __builtin_add_overflow(n, digit, &n);
		}
	}

	if (above || n > max)
		return ERANGE;

	*np = n;
	return 0;
}

/* "00" to "99" */
static const char pairs[] = "0001020304050607080910111213141516171819"
			    "2021222324252627282930313233343536373839"
			    "4041424344454647484950515253545556575859"
			    "6061626364656667686970717273747576777879"
			    "8081828384858687888990919293949596979899";

/* What most numbers are: octets of addresses, ports, lengths, CSeq */
static size_t small_write(char *buf, uint32_t n)
{
	size_t len = n < 10      ? 1
		     : n < 100   ? 2
		     : n < 1000  ? 3
		     : n < 10000 ? 4
				 : 5;
	size_t i = len;

	for (; n >= 100; n /= 100) {
		i -= 2;
		memcpy(buf + i, pairs + n % 100 * 2, 2);
	}
	if (i == 2)
		memcpy(buf, pairs + n * 2, 2);
	else
		buf[0] = (char)('0' + n);

	return len;
}

size_t uint_write(char *buf, uint64_t n)
{
	char digits[20];
	size_t i = sizeof(digits);

	if (n < 100000)
		return small_write(buf, (uint32_t)n);

	for (; n >= 100; n /= 100) {
		i -= 2;
		memcpy(digits + i, pairs + n % 100 * 2, 2);
	}
	if (n >= 10) {
		i -= 2;
		memcpy(digits + i, pairs + n * 2, 2);
	} else {
		digits[--i] = (char)('0' + n);
	}

	memcpy(buf, digits + i, sizeof(digits) - i);
	return sizeof(digits) - i;
}

void hex_write(char *out, const uint8_t *raw, size_t n)
{
	/* sixteen at once: compilers have this for any processor */
	typedef uint8_t bytes __attribute__((vector_size(16)));
	static const char digits[] = "0123456789abcdef";
	bytes b, high, low;

	for (; n >= sizeof(b); n -= sizeof(b), raw += sizeof(b)) {
		memcpy(&b, raw, sizeof(b));
		high = b >> 4;
		low = b & 15;
		high += '0' + ((bytes)(high > 9) & ('a' - '0' - 10));
		low += '0' + ((bytes)(low > 9) & ('a' - '0' - 10));
		b = __builtin_shufflevector(high, low, 0, 16, 1, 17, 2, 18, 3,
					    19, 4, 20, 5, 21, 6, 22, 7, 23);
		memcpy(out, &b, sizeof(b));
		b = __builtin_shufflevector(high, low, 8, 24, 9, 25, 10, 26, 11,
					    27, 12, 28, 13, 29, 14, 30, 15, 31);
		memcpy(out + sizeof(b), &b, sizeof(b));
		out += 2 * sizeof(b);
	}
	for (; n; n--, raw++) {
		*out++ = digits[*raw >> 4];
		*out++ = digits[*raw & 15];
	}
}
