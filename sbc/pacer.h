/*
 * How many registrations may leave for a registrar now
 *
 * One for each registrar: registration-rate tokens a second, evenly, slow
 * start and halving after trouble. Time is an argument. behaviour.md 4.5.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct pacer {
	uint32_t rate;       /* registration-rate [1/s], 0: no pacing */
	uint32_t now_rate;   /* slow start [1/1000 s] */
	uint64_t next;       /* moment of the next token [us] */
	uint64_t second;     /* begin of the second that is judged [us] */
	uint32_t unanswered; /* sent and not answered */
	bool trouble;        /* timeout, 503 or 500 in this second */
};

/** Begin with slow start */
void pacer_init(struct pacer *p, uint32_t rate, uint64_t now_us);
/** Another registration-rate */
void pacer_change(struct pacer *p, uint32_t rate);
/** Take a token. 0; EAGAIN, then pacer_next says when */
int pacer_take(struct pacer *p, uint64_t now_us);
/** A retry with credentials: it never waits, but takes a token */
void pacer_take_anyway(struct pacer *p, uint64_t now_us);
/** When to come again [us]: at the next token, or a few later where they are
 *  close; UINT64_MAX: not before an answer comes */
uint64_t pacer_next(const struct pacer *p, uint64_t now_us);
/** A final answer came, or none in time; trouble: timeout, 503 or 500 */
void pacer_answered(struct pacer *p, bool trouble, uint64_t now_us);
/** No slow start: the whole rate now (orderly end) */
void pacer_full(struct pacer *p);
/** The registrar came back after it was unreachable: slow start */
void pacer_slow_start(struct pacer *p, uint64_t now_us);
