/*
 * Watch the program: loops that are held up, a log that is not written
 */
#include <stddef.h>
#include <string.h>
#include "store/facts.h"
#include "store/log.h"
#include "sbc/clock.h"
#include "sbc/alarm.h"
#include "cli/vitals.h"

enum {
	PERIOD = 200,     /* [ms] */
	SLOWLY = 50,      /* ticks: the log each 10 s */
	LATE = 100,       /* loop-lag, minor [ms] */
	VERY_LATE = 1000, /* major */
	QUIET = 60 * 1000 /* without, until it is over [ms] */
};

enum {
	SIGNALLING,
	FRONT
};

static const char *const loops[] = { "signalling", "front" };

/* --- The log ------------------------------------------------------------------- */

static void log_look(void)
{
	int err = log_failing();

	if (err)
		alarm_raise("log-write-failed", ALARM_MINOR, "sbc.log", "%s",
			    strerror(err));
	else
		alarm_clear("log-write-failed", "sbc.log");
}

/* --- Loops ------------------------------------------------------------------------ */

static void loop_judge(struct vitals *v, int loop, uint64_t lag)
{
	const enum alarm_level level =
		lag >= VERY_LATE ? ALARM_MAJOR : ALARM_MINOR;
	const uint64_t now = clock_ms();

	if (lag >= LATE) {
		v->held[loop] = now;
		if (v->severity[loop] > (uint8_t)level)
			return;
		v->severity[loop] = (uint8_t)(level + 1);
		alarm_raise("loop-lag", level, loops[loop],
			    "the loop was held up for %llu ms",
			    (unsigned long long)lag);
	} else if (v->severity[loop] && now - v->held[loop] >= QUIET) {
		v->severity[loop] = 0;
		alarm_clear("loop-lag", loops[loop]);
	}
}

/* On the signalling thread */
static void opened(struct letter *letter, void *arg)
{
	struct vitals *v = (struct vitals *)((char *)letter -
					     offsetof(struct vitals, letter));
	uint64_t lag = clock_us() / 1000 - atomic_load(&v->posted);
	(void)arg;

	if (lag > atomic_load(&v->lag))
		atomic_store(&v->lag, (unsigned)lag);
	atomic_store(&v->posted, 0);
}

/* A letter that is still on its way is late already */
static void loops_look(struct vitals *v)
{
	const uint64_t now = clock_us() / 1000;
	uint64_t posted = atomic_load(&v->posted);
	uint64_t lag = atomic_exchange(&v->lag, 0);

	if (posted && now - posted > lag)
		lag = now - posted;
	loop_judge(v, SIGNALLING, lag);
	loop_judge(v, FRONT, now > v->due ? now - v->due : 0);
	if (!posted) {
		atomic_store(&v->posted, now);
		sbc_post(v->sbc, &v->letter);
	}
}

static void tick(void *arg)
{
	struct vitals *v = arg;

	loops_look(v);
	if (v->ticks++ % SLOWLY == 0)
		log_look();
	v->due = clock_us() / 1000 + PERIOD;
	timer_start(&v->timer, PERIOD, tick, v);
}

/* --- Life ---------------------------------------------------------------------------- */

void vitals_begin(struct vitals *v, struct sbc *sbc)
{
	v->sbc = sbc;
	v->letter.open = opened;
	v->due = clock_us() / 1000;
	tick(v);
}

void vitals_end(struct vitals *v)
{
	timer_cancel(&v->timer);
}

int vitals_started(struct database *db)
{
	uint64_t running = 0;
	int err = fact_get(db, "running", &running);

	if (!err && running)
		alarm_raise("daemon-restarted", ALARM_WARNING, "daemon",
			    "the last end was not orderly");
	return err ? err : fact_set(db, "running", 1);
}

int vitals_ended(struct database *db)
{
	return fact_set(db, "running", 0);
}
