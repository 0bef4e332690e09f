/*
 * Read unsigned numbers strictly: no sign, no rest, no wrap
 */
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include "store/number.h"

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

		/* The rest is still read: a letter there is EINVAL */
		if (above || digit > max || n > (max - digit) / 10)
			above = true;
		else
			n = n * 10 + digit;
	}

	if (above)
		return ERANGE;

	*np = n;
	return 0;
}

size_t uint_write(char *buf, uint64_t n)
{
	char digits[20];
	size_t i = sizeof(digits);

	do {
		digits[--i] = (char)('0' + n % 10);
		n /= 10;
	} while (n);

	memcpy(buf, digits + i, sizeof(digits) - i);
	return sizeof(digits) - i;
}
