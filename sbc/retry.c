/*
 * When to register again, and the alarms of failing
 */
#include "sbc/alarm.h"
#include "sbc/clock.h"
#include "sbc/random.h"
#include "sbc/retry.h"

enum {
	PAUSE_MAX = 3600,  /* [s] */
	REFUSED_MIN = 300, /* [s] */
	RETRY_MIN = 5,     /* while a binding is valid [s] */
	FAILED_ALARM = 3,  /* failures in a row */
};

uint32_t retry_pause(uint32_t retry_time, uint32_t n)
{
	uint64_t pause = retry_time;

	for (uint32_t i = 1; i < n && pause < PAUSE_MAX; i++)
		pause *= 2;

	return pause > PAUSE_MAX ? PAUSE_MAX : (uint32_t)pause;
}

uint64_t retry_refresh(uint32_t granted)
{
	if (granted < 20)
		return granted * 500ull;

	/* 50 to 90 % in steps of a thousandth, and a random rest, so that AoRs
	 * that were registered together part */
	return granted * (uint64_t)random_between(500, 899) +
	       random_below(granted);
}

bool retry_is_exhausted(const struct registration *r)
{
	uint32_t max = r->flock->agent->max_register_attempts;

	return max && r->failures >= max;
}

/* Each failure from the third on is a case: it may be worse by now */
static void raise_failed(struct registration *r)
{
	char aor[AOR_SIZE];

	if (r->failures < FAILED_ALARM)
		return;

	r->alarms |= RAISED_FAILED;
	alarm_raise("surrogate-registration-failed",
		    r->flock->bound ? ALARM_MINOR : ALARM_MAJOR,
		    registration_name(aor, r), "code %u, %s", r->code,
		    r->reason ? r->reason : "");
}

void retry_remind(struct registration *r)
{
	static const char why[] = "since before the start";
	char aor[AOR_SIZE];

	if (r->state == SUR_REFUSED) {
		r->alarms |= RAISED_REFUSED;
		alarm_raise("surrogate-credentials-refused", ALARM_MAJOR,
			    registration_name(aor, r), "%s", why);
	}
	if (r->state == SUR_GIVEN_UP) {
		r->alarms |= RAISED_GAVE_UP;
		alarm_raise("surrogate-gave-up", ALARM_MAJOR,
			    registration_name(aor, r),
			    "%u failures in a row, %s", r->failures, why);
	}
}

void retry_clear(struct registration *r)
{
	char aor[AOR_SIZE];

	if (!r->alarms)
		return;
	(void)registration_name(aor, r);
	if (r->alarms & RAISED_FAILED)
		alarm_clear("surrogate-registration-failed", aor);
	if (r->alarms & RAISED_REFUSED)
		alarm_clear("surrogate-credentials-refused", aor);
	if (r->alarms & RAISED_GAVE_UP)
		alarm_clear("surrogate-gave-up", aor);
	r->alarms = 0;
}

/** 0.75 to 1.25 of the pause, at most 1 h [ms] */
static uint64_t jittered(uint32_t pause)
{
	uint64_t ms = (uint64_t)pause * random_between(750, 1250);

	return ms > PAUSE_MAX * 1000ull ? PAUSE_MAX * 1000ull : ms;
}

/** Plus 0 to 10 %: many were told the same [ms] */
static uint64_t not_before(uint32_t seconds)
{
	return (uint64_t)seconds * random_between(1000, 1100);
}

static void count_failure(struct registration *r)
{
	if (!r->failures)
		r->failing = (uint32_t)(clock_ms() / 1000);
	if (r->failures < UINT16_MAX)
		r->failures++;
}

void retry_failed(struct registration *r, uint32_t retry_after, bool told)
{
	uint64_t now = clock_ms(), wait, left;

	r->refusals = 0;
	if (told) {
		r->next = now + not_before(retry_after);
		return;
	}

	count_failure(r);
	wait = jittered(
		retry_pause(r->flock->agent->register_retry_time, r->failures));
	/* a valid binding is not left to run out behind a long pause */
	if (r->bound && r->expires > now) {
		left = (r->expires - now) / 2;
		if (wait > left)
			wait = left;
		if (wait < RETRY_MIN * 1000)
			wait = RETRY_MIN * 1000;
	}
	if (retry_after && wait < retry_after * 1000ull)
		wait = not_before(retry_after);
	r->next = now + wait;
	raise_failed(r);
}

void retry_refused(struct registration *r)
{
	uint32_t pause = r->flock->agent->register_retry_time;
	uint64_t wait;
	char aor[AOR_SIZE];

	count_failure(r);
	if (r->refusals < UINT8_MAX)
		r->refusals++;
	if (pause < REFUSED_MIN)
		pause = REFUSED_MIN;
	wait = not_before(retry_pause(pause, r->refusals));
	if (wait > PAUSE_MAX * 1000ull)
		wait = PAUSE_MAX * 1000ull;
	r->next = clock_ms() + wait;
	r->alarms |= RAISED_REFUSED;
	alarm_raise("surrogate-credentials-refused", ALARM_MAJOR,
		    registration_name(aor, r), "code %u, %s", r->code,
		    r->reason ? r->reason : "");
}

void retry_gave_up(struct registration *r)
{
	char aor[AOR_SIZE];

	r->alarms |= RAISED_GAVE_UP;
	alarm_raise("surrogate-gave-up", ALARM_MAJOR, registration_name(aor, r),
		    "%u failures in a row, the last with code %u", r->failures,
		    r->code);
}
