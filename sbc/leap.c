/*
 * Watch the wall clock for steps
 */
#include <inttypes.h>
#include "store/log.h"
#include "sbc/alarm.h"
#include "sbc/clock.h"
#include "sbc/leap.h"

enum {
	EVERY = 1000, /* [ms] */
	STEP = 5000   /* more than that is one [ms] */
};

static int64_t offset_now(void)
{
	return (int64_t)clock_wall_ms() - (int64_t)clock_ms();
}

static void look(void *arg)
{
	struct leap *leap = arg;
	int64_t now = offset_now(), step = now - leap->offset;

	leap->offset = now;
	if (step > STEP || step < -STEP) {
		log_warning(SIPD, "clock-step", "ms=%" PRId64, step);
		alarm_raise("clock-step", ALARM_WARNING, "clock",
			    "the clock was moved by %" PRId64 " s",
			    step / 1000);
	}
	alarms_sweep();
	timer_start(&leap->timer, EVERY, look, leap);
}

void leap_begin(struct leap *leap)
{
	leap->offset = offset_now();
	timer_start(&leap->timer, EVERY, look, leap);
}

void leap_end(struct leap *leap)
{
	timer_cancel(&leap->timer);
}
