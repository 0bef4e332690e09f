/*
 * Unsigned numbers read strictly - no sign, no rest, no wrap - and written
 */
#pragma once

#include <stdint.h>
#include "store/base.h"

/**
 * Read an unsigned decimal number, the whole text and nothing else
 *
 * Leading zeros are digits like others.
 *
 * @param np    Set to the number; untouched on error
 * @param text  1 or more digits
 * @param max   Greatest value allowed
 *
 * @return 0; EINVAL if empty or not all digits; ERANGE if above max
 */
int uint_parse(uint64_t *np, const struct pl *text, uint64_t max);

/**
 * Write an unsigned number in decimal digits
 *
 * @param buf  At least 20 bytes; not ended by zero
 * @param n    The number
 *
 * @return Count of digits written
 */
size_t uint_write(char *buf, uint64_t n);

/**
 * Write bytes in hex, small letters
 *
 * @param out  2 * n characters; not ended by zero
 * @param raw  n bytes
 */
void hex_write(char *out, const uint8_t *raw, size_t n);
