/*
 * Rate limit in one atomic word; the time is an argument
 *
 * The word holds the moment at which the bucket would be full again. Taking a
 * token moves it one interval ahead; it may run ahead of now by the burst.
 * Any thread may take: the word changes by compare and exchange only.
 */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

struct bucket {
	_Atomic uint64_t full; /* [us] */
	uint64_t interval;     /* between tokens [us] */
	uint64_t burst;        /* how far ahead it may run [us] */
};

/**
 * Set a rate and begin with a full bucket
 *
 * @param b      Bucket
 * @param rate   Tokens a second; 0 and more than 1,000,000: no limit
 * @param burst  How many may come at once; 0 counts as 1
 */
void bucket_init(struct bucket *b, uint32_t rate, uint32_t burst);

/**
 * Take a token
 *
 * @param b    Bucket
 * @param now  [us, monotonic]
 *
 * @return 0; EBUSY none left, and nothing was taken
 */
int bucket_take(struct bucket *b, uint64_t now);

/** Moment [us] at which the next token is there; at most now when there is one */
uint64_t bucket_next(const struct bucket *b, uint64_t now);
