/*
 * Alarms of memory, processor, sessions and disk by the share that is used
 *
 * Memory is what the process may have: that of the machine, of its cgroup, and
 * of RLIMIT_AS; the least room of the three counts.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <unistd.h>
#include "store/base.h"
#include "store/number.h"
#include "sbc/clock.h"
#include "sbc/counters.h"
#include "sbc/sbc.h"
#include "sbc/shed.h"
#include "sbc/thresholds.h"

enum {
	EVERY = 1000,   /* [ms] */
	FILE_MAX = 256, /* read of a file of the kernel [bytes] */
	LEVELS = 3
};

/* --- Levels --------------------------------------------------------------- */

static const enum alarm_level levels[LEVELS] = { ALARM_MINOR, ALARM_MAJOR,
						 ALARM_CRITICAL };

static uint32_t value_of(const struct system_config *config, uint8_t type,
			 uint8_t severity)
{
	static const uint32_t usual[] = { [ALARM_SEVERITY_MINOR] = 80,
					  [ALARM_SEVERITY_MAJOR] = 90,
					  [ALARM_SEVERITY_CRITICAL] = 95 };
	bool named = false;

	for (uint32_t i = 0; i < config->alarm_thresholds.n; i++) {
		const struct alarm_threshold *a = config->alarm_thresholds.v[i];

		if (a->type != type)
			continue;
		if (a->severity == severity)
			return a->value;
		named = true;
	}

	/* configuration.md 2.1: a type without an entry has all of them */
	return named ? UINT32_MAX : usual[severity];
}

bool threshold_judge(struct threshold *t, const struct system_config *config,
		     uint32_t share)
{
	int before = t->level;

	t->level = THRESHOLD_NONE;
	for (int i = 0; i < LEVELS; i++) {
		uint32_t value = value_of(config, t->type,
					  (uint8_t)(ALARM_SEVERITY_MINOR + i));
		bool was = before >= (int)levels[i];

		if (value == UINT32_MAX)
			continue;
		if (share >= value || (was && share * 10 >= value * 9))
			t->level = (int)levels[i];
	}

	return t->level != before;
}

/* --- Measures ------------------------------------------------------------- */

static uint32_t share(uint64_t used, uint64_t all)
{
	return all ? (uint32_t)(used * 100 / all) : 0;
}

/* The first numbers of a file; count of them */
static unsigned numbers(const char *path, uint64_t *n, unsigned max)
{
	char text[FILE_MAX];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t length = fd < 0 ? -1 : read(fd, text, sizeof(text));
	struct pl rest = { text, length > 0 ? (size_t)length : 0 };
	unsigned found = 0;

	if (fd >= 0)
		close(fd);
	while (found < max && rest.l) {
		struct pl word = rest;

		word.l = 0;
		while (word.l < rest.l && word.p[word.l] > ' ')
			word.l++;
		if (uint_parse(&n[found], &word, UINT64_MAX))
			break;
		found++;
		rest.p += word.l;
		rest.l -= word.l;
		while (rest.l && *rest.p <= ' ')
			++rest.p, --rest.l;
	}

	return found;
}

static uint32_t memory_share(void)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), n[2], max, used;
	uint32_t most = THRESHOLD_UNKNOWN;
	struct rlimit limit;

	/* pages in all, resident ones */
	if (numbers("/proc/self/statm", n, 2) < 2)
		return THRESHOLD_UNKNOWN;
	most = share(n[1], (uint64_t)sysconf(_SC_PHYS_PAGES));
	if (!getrlimit(RLIMIT_AS, &limit) && limit.rlim_cur != RLIM_INFINITY &&
	    share(n[0] * page, limit.rlim_cur) > most)
		most = share(n[0] * page, limit.rlim_cur);
	if (numbers("/sys/fs/cgroup/memory.max", &max, 1) &&
	    numbers("/sys/fs/cgroup/memory.current", &used, 1) &&
	    share(used, max) > most)
		most = share(used, max);

	return most;
}

/* Of the signalling thread, since the last look */
static uint32_t cpu_share(struct thresholds *t)
{
	uint64_t now = clock_us(), cpu = sbc_cpu_us(t->sbc);
	uint64_t time = now - t->since, used = cpu - t->cpu;
	bool first = !t->since;

	t->since = now;
	t->cpu = cpu;

	return first || !time ? THRESHOLD_UNKNOWN
			      : share(used < time ? used : time, time);
}

static uint32_t sessions_share(const struct plan *plan)
{
	struct counter_report report;

	if (!plan->sip->max_sessions)
		return THRESHOLD_UNKNOWN;
	counter_read(COUNT_SESSIONS, clock_ms(), &report);

	return report.active > 0
		       ? share((uint64_t)report.active, plan->sip->max_sessions)
		       : 0;
}

uint32_t threshold_disk(const char *path)
{
	struct statvfs fs;
	uint64_t used;

	if (statvfs(path, &fs) || !fs.f_blocks)
		return THRESHOLD_UNKNOWN;

	/* what is kept for the superuser is not for us */
	used = fs.f_blocks - fs.f_bfree;
	return share(used, used + fs.f_bavail);
}

static uint32_t measure(struct thresholds *t, const struct plan *plan,
			uint8_t type)
{
	switch ((enum alarm_type)type) {

	case ALARM_TYPE_CPU:
		return cpu_share(t);
	case ALARM_TYPE_MEMORY:
		return memory_share();
	case ALARM_TYPE_SESSIONS:
		return sessions_share(plan);
	case ALARM_TYPE_SPACE:
		return threshold_disk(t->disk);
	case ALARM_TYPE_UNSET:
	case ALARM_TYPE_DENY_ALLOCATION:
		break;
	}

	return THRESHOLD_UNKNOWN;
}

/* --- The alarms ----------------------------------------------------------- */

/* A lower level is another alarm: raised again it would keep the higher one */
static void say(const struct threshold *t, uint32_t used)
{
	alarm_clear(t->alarm, "sbc");
	if (t->level != THRESHOLD_NONE)
		alarm_raise(t->alarm, (enum alarm_level)t->level, "sbc",
			    "%u %% used", used);
}

static void look(void *arg)
{
	struct thresholds *t = arg;
	const struct plan *plan = sbc_plan(t->sbc);

	for (size_t i = 0; i < sizeof(t->all) / sizeof(t->all[0]); i++) {
		struct threshold *one = &t->all[i];
		uint32_t used = measure(t, plan, one->type);

		if (threshold_judge(one, plan->system,
				    used == THRESHOLD_UNKNOWN ? 0 : used) ||
		    (one->level != THRESHOLD_NONE &&
		     !alarm_is_up(one->alarm, "sbc"))) /* cleared by hand */
			say(one, used);
		if (one->type == ALARM_TYPE_MEMORY)
			shed_memory(one->level == ALARM_CRITICAL);
	}
	plan_give(plan);
	timer_start(&t->timer, EVERY, look, t);
}

void thresholds_begin(struct thresholds *t, struct sbc *sbc, const char *disk)
{
	static const struct threshold all[] = {
		{ "cpu", ALARM_TYPE_CPU, THRESHOLD_NONE },
		{ "memory", ALARM_TYPE_MEMORY, THRESHOLD_NONE },
		{ "sessions", ALARM_TYPE_SESSIONS, THRESHOLD_NONE },
		{ "disk-space", ALARM_TYPE_SPACE, THRESHOLD_NONE },
	};

	memset(t, 0, sizeof(*t));
	t->sbc = sbc;
	t->disk = disk;
	memcpy(t->all, all, sizeof(all));
	timer_start(&t->timer, EVERY, look, t);
}

void thresholds_end(struct thresholds *t)
{
	timer_cancel(&t->timer);
}
