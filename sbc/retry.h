/*
 * When to register again, and the alarms of failing
 *
 * Sets `next` of a registration and counts; who calls arms the timer.
 */
#pragma once

#include "sbc/registration.h"

/** Pause after the n-th failure in a row, before the jitter [s] */
uint32_t retry_pause(uint32_t retry_time, uint32_t n);

/** From a 200 to the refresh, random [ms] (behaviour.md 4.6) */
uint64_t retry_refresh(uint32_t granted);

/**
 * A try failed: plan the next
 *
 * @param r            Failures are counted, the third in a row raises an alarm
 * @param retry_after  Of the answer [s]; 0: none
 * @param told         A 503 told it: that is no doubling
 */
void retry_failed(struct registration *r, uint32_t retry_after, bool told);

/** The credentials were refused: plan the next, raise the alarm */
void retry_refused(struct registration *r);

/** max-register-attempts failed in a row */
bool retry_is_exhausted(const struct registration *r);

/** Given up: raise the alarm */
void retry_gave_up(struct registration *r);

/** Taken up from the database: the alarms of its state rise again */
void retry_remind(struct registration *r);

/** All is well, or nothing is wanted: clear its alarms */
void retry_clear(struct registration *r);
