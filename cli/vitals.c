/*
 * Watch the program: loops that are held up, files that fail, a slow database
 */
#include <errno.h>
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
	KEYS = 10,        /* ... the key file each 2 s */
	FLUSH_MAX = 1000, /* database-slow [ms] */
	FLUSHES_QUICK = 3,
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

/* --- The key file ------------------------------------------------------------------ */

static const char *key_fault(int err)
{
	switch (err) {

	case ENOENT:
		return "is missing";
	case EACCES:
		return "is readable by others";
	case EEXIST:
		return "holds another key";
	case EBADMSG:
		return "is no key file";
	default:
		return strerror(err);
	}
}

/* Secrets are opened with the key that was read: calls go on. The next start would
 * find none of them */
static void key_look(const struct vitals *v)
{
	int err = *v->key ? seal_check(v->seal, v->key) : 0;

	if (err)
		alarm_raise("key-file", ALARM_CRITICAL, v->key, "%s",
			    key_fault(err));
	else
		alarm_clear("key-file", v->key);
}

/* --- The database ------------------------------------------------------------------ */

void vitals_flush(bool begins, int err, void *arg)
{
	struct vitals *v = arg;
	uint64_t took;

	if (begins) {
		v->flush_began = clock_us();
		return;
	}
	took = (clock_us() - v->flush_began) / 1000;
	if (took > FLUSH_MAX) {
		v->quick = FLUSHES_QUICK;
		alarm_raise("database-slow", ALARM_MINOR, "database",
			    "a flush took %llu ms", (unsigned long long)took);
	} else if (!err && v->quick && !--v->quick) {
		alarm_clear("database-slow", "database");
	}
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
	if (v->ticks % SLOWLY == 0)
		log_look();
	if (v->ticks % KEYS == 0)
		key_look(v);
	v->ticks++;
	v->due = clock_us() / 1000 + PERIOD;
	timer_start(&v->timer, PERIOD, tick, v);
}

/* --- Life ---------------------------------------------------------------------------- */

void vitals_begin(struct vitals *v, struct sbc *sbc, const struct database *db,
		  const struct seal *seal)
{
	v->sbc = sbc;
	v->seal = seal;
	if (database_beside(db, "sbc.key", v->key, sizeof(v->key)))
		v->key[0] = '\0';
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
