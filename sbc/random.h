/*
 * Unpredictable bytes, drawn in batches
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/** Fill a buffer from the thread's pool, which RAND_bytes fills 4 KiB at a
 *  time. Aborts when OpenSSL has no randomness: nothing is safe then */
void random_fill(void *p, size_t n);
/** 64 random bits */
uint64_t random_u64(void);
/** Evenly from 0 to below n; n > 0 */
uint32_t random_below(uint32_t n);
/** Evenly from `from` to `to`, both included; `from` if `to` is not above */
uint32_t random_between(uint32_t from, uint32_t to);
