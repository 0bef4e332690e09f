/*
 * How busy and how late a thread is, and which new requests it refuses therefore
 *
 * Waiting is measured by the least of a window: a thread that was held up for a
 * moment and catches up has messages among the late ones that hardly waited; one
 * that has more to do than it can has none.
 */
#include <errno.h>
#include <stdatomic.h>
#include "store/base.h"
#include "store/log.h"
#include "sbc/clock.h"
#include "sbc/counters.h"
#include "sbc/shed.h"

enum {
	ALL = 1000,      /* all of a kind are refused [per mille] */
	MOST = 2 * ALL,  /* pressure: strangers up to ALL, then others */
	RISE_FAST = 500, /* in a window, while strangers pay alone */
	RISE = 100,
	FALL_FAST = 250,
	FALL = 100,
	EASE = 10, /* so far below the limit the pressure falls [%] */
	WINDOWS_MAX = MOST / FALL
};

struct shed {
	uint32_t limit;
	uint64_t since;      /* the window began [ms] */
	uint64_t cpu;        /* used until then [us] */
	uint32_t least;      /* wait of this window [ms] */
	uint32_t waited;     /* messages of it */
	uint32_t load, wait; /* of the last one */
	uint32_t pressure;
	uint32_t owed[2]; /* refusals of strangers and others [per mille] */
};

static atomic_bool no_memory;

void shed_memory(bool is_critical)
{
	atomic_store_explicit(&no_memory, is_critical, memory_order_relaxed);
}

bool shed_memory_is_critical(void)
{
	return atomic_load_explicit(&no_memory, memory_order_relaxed);
}

static void window_begin(struct shed *s, uint64_t now)
{
	s->since = now;
	s->cpu = clock_cpu_us();
	s->least = SHED_UNKNOWN;
	s->waited = 0;
}

int shed_alloc(struct shed **sp, uint32_t load_limit)
{
	struct shed *s = mem_zalloc(sizeof(*s), NULL);

	if (!s)
		return ENOMEM;
	s->limit = load_limit;
	window_begin(s, clock_coarse_ms());
	*sp = s;
	return 0;
}

void shed_change(struct shed *s, uint32_t load_limit)
{
	s->limit = load_limit;
}

static bool is_over(const struct shed *s)
{
	return (s->limit && s->load >= s->limit) || s->wait > SHED_LATE;
}

static bool is_easy(const struct shed *s)
{
	return (!s->limit || s->load + EASE < s->limit) &&
	       s->wait <= SHED_LATE / 2;
}

static void rise(struct shed *s)
{
	s->pressure += s->pressure < ALL ? RISE_FAST : RISE;
	if (s->pressure > MOST)
		s->pressure = MOST;
}

static void fall(struct shed *s)
{
	uint32_t by = s->pressure > ALL ? FALL : FALL_FAST;

	s->pressure = s->pressure > by ? s->pressure - by : 0;
}

/* A window is over; of a long one, in which nothing new came, several */
static void window_end(struct shed *s, uint64_t now)
{
	uint64_t time = now - s->since, windows = time / SHED_WINDOW;
	uint64_t load = (clock_cpu_us() - s->cpu) / (time * 10);
	bool before = s->pressure > 0;

	s->load = (uint32_t)(load < 100 ? load : 100);
	/* a few that were late are no queue */
	s->wait = s->waited < SHED_LEAST ? 0 : s->least;
	if (is_over(s))
		rise(s);
	else if (is_easy(s))
		for (uint64_t i = 0; i < windows && i < WINDOWS_MAX; i++)
			fall(s);

	if (!before && s->pressure)
		log_warning(SIPD, "overload", "load=%u wait=%u", s->load,
			    s->wait);
	else if (before && !s->pressure)
		log_notice(SIPD, "overload-over", "load=%u", s->load);
	window_begin(s, now);
}

bool shed_look(struct shed *s, uint32_t wait)
{
	uint64_t now = clock_coarse_ms();

	if (now - s->since >= SHED_WINDOW)
		window_end(s, now);
	s->waited += wait != SHED_UNKNOWN;
	if (wait < s->least)
		s->least = wait;

	return s->pressure > 0;
}

static uint32_t share(const struct shed *s, bool is_stranger)
{
	if (is_stranger)
		return s->pressure < ALL ? s->pressure : ALL;

	return s->pressure > ALL ? s->pressure - ALL : 0;
}

/* Spread evenly, and not by chance: of a share of a third each third one */
bool shed_refuses(struct shed *s, bool is_stranger)
{
	uint32_t *owed = &s->owed[is_stranger];

	*owed += share(s, is_stranger);
	if (*owed < ALL)
		return false;
	*owed -= ALL;

	return true;
}

void shed_report(const struct shed *s, struct shed_report *out)
{
	out->load = s->load;
	out->wait = s->wait;
	out->strangers = share(s, true);
	out->others = share(s, false);
}
