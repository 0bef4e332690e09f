/*
 * Alarms by name and object, with history
 *
 * Three tables under one lock: objects that are up, by name and object; a group
 * for each name; and the history, a ring. An alarm points at its row of the
 * history by number, so clearing it finds the row while it is still there.
 *
 * A name with more than 100 objects is shown, logged and remembered as one
 * alarm; below 90 it is taken apart again. The objects are kept all the same, or
 * nobody would know when the last one is clear. Beyond 65,536 objects the oldest
 * make no room: a new one is only counted in its group.
 *
 * What an operator clears is put aside: many causes are told when they begin and
 * when they end, and not in between. Whose end nobody told comes back.
 */
#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "store/hash.h"
#include "store/log.h"
#include "sbc/clock.h"
#include "sbc/alarm.h"

enum {
	HISTORY = 10000,
	OBJECTS = 65536,
	GROUPS = 128,   /* names are literals of ours */
	NAMES = 64,     /* bits of which each name has one */
	TOGETHER = 100, /* more than these are one alarm */
	APART = 90,
	SLICE = 200,
	ASIDE = 60 * 1000,       /* [ms] until the next look at the cause */
	EVENT_LIFE = 3600 * 1000 /* [ms] */
};

struct group {
	const char *name;
	enum log_component component;
	bool is_event;
	bool is_case; /* no cause lasts */
	bool together;
	uint32_t objects;
	struct up *first;        /* its objects, newest first */
	struct alarm_report sum; /* shown while together */
	uint64_t row;
};

struct up {
	struct entry entry;
	struct up *next, **prev; /* of the group, or of those aside */
	bool aside;              /* an operator cleared it */
	struct group *group;
	uint64_t row;  /* number of its row in the history */
	uint64_t seen; /* last case, or when it was put aside [ms, monotonic] */
	struct alarm_report report;
};

/* What is to be logged when the lock is released */
struct news {
	enum log_component component;
	bool raised, cleared;
	struct alarm_report report;
};

/* One for the process: any thread raises */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct table ups;
static struct group groups[GROUPS];
static unsigned groups_n;
static struct alarm_report *history; /* HISTORY rows */
static uint64_t rows;                /* written so far */
static uint32_t last_id;
static struct up *aside, **aside_end = &aside; /* the first one came first */
static uint32_t names[NAMES]; /* objects that are up, or aside, by the bit */
/* Bits that have any. Workers clear alarms that are not up with each call, and
 * must not wait for each other there: this is all they look at */
static _Atomic uint64_t names_up;

/* clang-format off */
static const struct { const char *prefix; enum log_component component; }
components[] = {
	{ "surrogate-",   SURROGATE  }, { "registration-", SURROGATE },
	{ "auth-plugin-", PLUGIN     }, { "auth-",         AUTH      },
	{ "session-",     POLICY     }, { "cac-",          REALMS    },
	{ "source-",      REALMS     }, { "deny-",         REALMS    },
	{ "steering-",    MEDIA      }, { "tls-",          TLS       },
	{ "dns-",         DNS        }, { "database-",     DB        },
	{ "diameter-",    DIAMETER   }, { "flow-",         FLOW      },
	{ "federation-",  FEDERATION }, { "login-",        CLI       },
	{ "config-",      CLI        },
};

/* acli.md 5.1: an hour without a case ends them */
static const char *const events[] = {
	"auth-lookup-missing", "auth-realm-unknown", "daemon-restarted",
	"clock-step", "diameter-ha1-refused", "diameter-scheme-refused",
};

/* They tell what happened once: cleared by hand, nothing of it is left */
static const char *const cases[] = {
	"config-rolled-back", "config-activation-failed", "login-lockout",
	"auth-credentials-refused",
};

static const struct { const char *name; enum log_level level; }
severities[] = {
	[ALARM_WARNING]   = { "WARNING",   LEVEL_WARNING   },
	[ALARM_MINOR]     = { "MINOR",     LEVEL_MINOR     },
	[ALARM_MAJOR]     = { "MAJOR",     LEVEL_MAJOR     },
	[ALARM_CRITICAL]  = { "CRITICAL",  LEVEL_CRITICAL  },
	[ALARM_EMERGENCY] = { "EMERGENCY", LEVEL_EMERGENCY },
};
/* clang-format on */

#define LENGTH(a) (sizeof(a) / sizeof((a)[0]))

struct key {
	const struct group *group;
	const char *object;
};

static bool up_matches(const struct entry *e, const void *arg)
{
	const struct up *up = (const struct up *)e;
	const struct key *key = arg;

	return up->group == key->group &&
	       !strcmp(up->report.object, key->object);
}

/* Two names may share one: then it is looked at in vain */
static unsigned name_bit(const char *name)
{
	unsigned bit = 0;

	while (*name)
		bit = bit * 31 + (unsigned char)*name++;

	return bit % NAMES;
}

static bool may_be_up(const char *name)
{
	return atomic_load(&names_up) >> name_bit(name) & 1;
}

static void name_count(const char *name, bool up)
{
	const unsigned bit = name_bit(name);

	names[bit] += up ? 1 : -1u;
	if (up)
		atomic_fetch_or(&names_up, 1ull << bit);
	else if (!names[bit])
		atomic_fetch_and(&names_up, ~(1ull << bit));
}

static uint64_t key_hash(const struct key *key)
{
	return hash_mix(hash_bytes(key->group->name, strlen(key->group->name)),
			hash_bytes(key->object, strlen(key->object)));
}

static struct up *up_find(const struct key *key)
{
	return (struct up *)table_find(&ups, key_hash(key), up_matches, key);
}

static struct group *group_find(const char *name)
{
	for (unsigned i = 0; i < groups_n; i++) {
		if (!strcmp(groups[i].name, name))
			return &groups[i];
	}
	return NULL;
}

static struct group *group_make(const char *name)
{
	struct group *g = group_find(name);

	if (g)
		return g;
	assert(groups_n < GROUPS);
	if (groups_n == GROUPS)
		return NULL;

	g = &groups[groups_n++];
	g->name = name;
	g->component = SIPD;
	for (unsigned i = 0; i < LENGTH(components); i++) {
		if (!strncmp(name, components[i].prefix,
			     strlen(components[i].prefix))) {
			g->component = components[i].component;
			break;
		}
	}
	for (unsigned i = 0; i < LENGTH(events); i++)
		g->is_event |= !strcmp(name, events[i]);
	g->is_case = g->is_event;
	for (unsigned i = 0; i < LENGTH(cases); i++)
		g->is_case |= !strcmp(name, cases[i]);

	return g;
}

/* A text that may be longer, cut between characters of UTF-8 */
static void copy(char *to, size_t size, const char *from)
{
	size_t n = strnlen(from, size);

	if (n == size) {
		--n;
		while (n && ((unsigned char)from[n] & 0xc0) == 0x80)
			--n;
	}
	memcpy(to, from, n);
	to[n] = '\0';
}

static uint64_t history_add(const struct alarm_report *a)
{
	if (!history)
		history = calloc(HISTORY, sizeof(*history));
	if (!history)
		return UINT64_MAX; /* there is no history without memory */

	history[rows % HISTORY] = *a;
	return rows++;
}

/* Write the end of an alarm to its row, or to a new one if that is gone */
static void history_end(uint64_t row, const struct alarm_report *a)
{
	if (row < rows && rows - row <= HISTORY && history)
		history[row % HISTORY] = *a;
	else
		(void)history_add(a);
}

static void news_of(struct news *news, const struct group *g,
		    const struct alarm_report *a, bool raised)
{
	news->component = g->component;
	news->raised = raised;
	news->cleared = !raised;
	news->report = *a;
}

static void report_begin(struct alarm_report *a, const struct group *g,
			 enum alarm_level severity, const char *object)
{
	a->id = ++last_id;
	copy(a->name, sizeof(a->name), g->name);
	copy(a->object, sizeof(a->object), object);
	a->severity = severity;
	a->first = a->last = clock_wall();
}

static void sum_name(struct group *g)
{
	snprintf(g->sum.object, sizeof(g->sum.object), "%u objects",
		 (unsigned)g->objects);
}

/* More than 100: one alarm from here on, with the highest severity of all */
static void group_join(struct group *g, struct news *news)
{
	struct up *up;

	g->together = true;
	memset(&g->sum, 0, sizeof(g->sum));
	report_begin(&g->sum, g, ALARM_WARNING, "");
	for (up = g->first; up; up = up->next) {
		if (up->report.severity > g->sum.severity)
			g->sum.severity = up->report.severity;
		g->sum.count += up->report.count;
	}
	copy(g->sum.text, sizeof(g->sum.text), g->first->report.text);
	sum_name(g);
	g->row = history_add(&g->sum);
	news_of(news, g, &g->sum, true);
}

static void group_part(struct group *g, struct news *news)
{
	g->together = false;
	g->sum.cleared = clock_wall();
	history_end(g->row, &g->sum);
	news_of(news, g, &g->sum, false);
}

static struct up *up_make(struct group *g, const struct key *key,
			  enum alarm_level severity)
{
	struct up *up;

	if (ups.count >= OBJECTS)
		return NULL;
	up = calloc(1, sizeof(*up));
	if (!up)
		return NULL;
	if (table_add(&ups, &up->entry, key_hash(key))) {
		free(up);
		return NULL;
	}

	name_count(g->name, true);
	up->group = g;
	up->prev = &g->first;
	up->next = g->first;
	if (up->next)
		up->next->prev = &up->next;
	g->first = up;
	g->objects++;
	report_begin(&up->report, g, severity, key->object);
	up->row = UINT64_MAX;

	return up;
}

static void up_unlink(struct up *up)
{
	*up->prev = up->next;
	if (up->next)
		up->next->prev = up->prev;
	else if (aside_end == &up->next)
		aside_end = up->prev;
}

static void up_drop(struct up *up)
{
	up_unlink(up);
	name_count(up->group->name, false);
	table_remove(&ups, &up->entry);
	free(up);
}

static void put_aside(struct up *up)
{
	up_unlink(up);
	up->aside = true;
	up->seen = clock_ms();
	up->next = NULL;
	up->prev = aside_end;
	*aside_end = up;
	aside_end = &up->next;
}

/* by_hand: its cause may last */
static void up_end(struct up *up, bool by_hand, struct news *news)
{
	struct group *g = up->group;

	g->objects--;
	up->report.cleared = clock_wall();
	if (up->row != UINT64_MAX) {
		history_end(up->row, &up->report);
		news_of(news, g, &up->report, false);
	}
	if (by_hand && !g->is_case)
		put_aside(up);
	else
		up_drop(up);

	if (!g->together)
		return;
	sum_name(g);
	if (g->objects < APART)
		group_part(g, news);
}

/* Count a case of an alarm; true when it became worse */
static bool report_again(struct alarm_report *a, enum alarm_level severity,
			 const char *text)
{
	bool worse = severity > a->severity;

	if (worse)
		a->severity = severity;
	a->count++;
	a->last = clock_wall();
	copy(a->text, sizeof(a->text), text);
	return worse;
}

static void raise_locked(const char *name, enum alarm_level severity,
			 const char *object, const char *text,
			 struct news *news)
{
	struct group *g = group_make(name);
	struct key key = { g, object };
	struct up *up;
	bool is_new, worse;

	if (!g)
		return;

	up = up_find(&key);
	if (up && up->aside) {
		up_drop(up);
		up = NULL;
	}
	is_new = !up;
	if (!up)
		up = up_make(g, &key, severity);

	if (up) {
		worse = report_again(&up->report, severity, text);
		up->seen = clock_ms();
	}

	if (g->together) {
		worse = report_again(&g->sum, severity, text);
		sum_name(g);
		if (worse)
			news_of(news, g, &g->sum, true);
	} else if (!up) {
		return; /* no memory: the next case may find some */
	} else if (is_new && g->objects > TOGETHER) {
		group_join(g, news);
	} else if (is_new || worse) {
		if (up->row == UINT64_MAX)
			up->row = history_add(&up->report);
		news_of(news, g, &up->report, true);
	}
}

/* The log has a lock of its own: ours is released */
static void news_log(const struct news *news)
{
	const struct alarm_report *a = &news->report;

	if (news->raised)
		LOG_AT(news->component, severities[a->severity].level,
		       "alarm-raised",
		       "alarm=%s object=\"%s\" severity=%s count=%u "
		       "text=\"%s\"",
		       a->name, a->object, severities[a->severity].name,
		       (unsigned)a->count, a->text);
	else if (news->cleared)
		LOG_AT(news->component, LEVEL_NOTICE, "alarm-cleared",
		       "alarm=%s object=\"%s\" severity=%s count=%u", a->name,
		       a->object, severities[a->severity].name,
		       (unsigned)a->count);
}

const char *alarm_level_name(enum alarm_level s)
{
	return severities[s].name;
}

void alarm_raise(const char *name, enum alarm_level severity,
		 const char *object, const char *fmt, ...)
{
	struct news news = { 0 };
	char text[sizeof(news.report.text)];
	char cut[sizeof(news.report.object)];
	va_list ap;

	va_start(ap, fmt);
	if (vsnprintf(text, sizeof(text), fmt, ap) < 0)
		text[0] = '\0';
	va_end(ap);
	copy(cut, sizeof(cut), object);

	pthread_mutex_lock(&lock);
	raise_locked(name, severity, cut, text, &news);
	pthread_mutex_unlock(&lock);

	news_log(&news);
}

void alarm_clear(const char *name, const char *object)
{
	struct news news = { 0 };
	char cut[sizeof(news.report.object)];
	struct key key = { NULL, cut };
	struct up *up;

	if (!may_be_up(name))
		return;
	copy(cut, sizeof(cut), object);

	pthread_mutex_lock(&lock);
	key.group = group_find(name);
	up = key.group ? up_find(&key) : NULL;
	if (up && up->aside)
		up_drop(up);
	else if (up)
		up_end(up, false, &news);
	pthread_mutex_unlock(&lock);

	news_log(&news);
}

bool alarm_is_up(const char *name, const char *object)
{
	char cut[sizeof(((struct alarm_report *)0)->object)];
	struct key key = { NULL, cut };
	const struct up *up;
	bool is;

	if (!may_be_up(name))
		return false;
	copy(cut, sizeof(cut), object);

	pthread_mutex_lock(&lock);
	key.group = group_find(name);
	up = key.group ? up_find(&key) : NULL;
	is = up && !up->aside;
	pthread_mutex_unlock(&lock);

	return is;
}

static struct up *up_numbered(uint32_t id)
{
	for (unsigned i = 0; i < groups_n; i++) {
		for (struct up *up = groups[i].first; up; up = up->next) {
			if (up->report.id == id)
				return up;
		}
	}
	return NULL;
}

static struct group *group_numbered(uint32_t id)
{
	for (unsigned i = 0; i < groups_n; i++) {
		if (groups[i].together && groups[i].sum.id == id)
			return &groups[i];
	}
	return NULL;
}

int alarm_clear_id(uint32_t id)
{
	struct news news = { 0 };
	struct group *g;
	struct up *up;
	int err = 0;

	pthread_mutex_lock(&lock);
	g = group_numbered(id);
	up = g ? NULL : up_numbered(id);
	if (g) {
		/* first itself, so that its objects go without a word */
		group_part(g, &news);
		while (g->first) {
			struct news quiet = { 0 };

			up_end(g->first, true, &quiet);
		}
	} else if (up)
		up_end(up, true, &news);
	else
		err = ENOENT;
	pthread_mutex_unlock(&lock);

	news_log(&news);
	return err;
}

/* One that is over; the lock is held */
static struct up *up_over(uint64_t now)
{
	for (unsigned i = 0; i < groups_n; i++) {
		if (!groups[i].is_event)
			continue;
		for (struct up *up = groups[i].first; up; up = up->next) {
			if (now - up->seen >= EVENT_LIFE)
				return up;
		}
	}
	return NULL;
}

/* The first of those aside, if it is time; false: it is not */
static bool come_back(void)
{
	struct news news = { 0 };
	struct alarm_report was;
	const char *name = NULL;

	pthread_mutex_lock(&lock);
	if (aside && clock_ms() - aside->seen >= ASIDE) {
		was = aside->report;
		name = aside->group->name;
		raise_locked(name, was.severity, was.object, was.text, &news);
	}
	pthread_mutex_unlock(&lock);

	news_log(&news);
	return name;
}

void alarms_sweep(void)
{
	struct news news;
	struct up *up;

	do {
		memset(&news, 0, sizeof(news));
		pthread_mutex_lock(&lock);
		up = up_over(clock_ms());
		if (up)
			up_end(up, false, &news);
		pthread_mutex_unlock(&lock);
		news_log(&news);
	} while (up);
	for (unsigned n = 0; n < SLICE && come_back(); n++)
		;
}

static void history_walk(alarm_h *h, void *arg)
{
	struct alarm_report *slice = calloc(SLICE, sizeof(*slice));
	uint64_t next = 0;
	unsigned n;

	if (!slice)
		return;

	do {
		pthread_mutex_lock(&lock);
		if (rows > HISTORY && next < rows - HISTORY)
			next = rows - HISTORY;
		for (n = 0; n < SLICE && next < rows; n++)
			slice[n] = history[next++ % HISTORY];
		pthread_mutex_unlock(&lock);

		for (unsigned i = 0; i < n; i++)
			h(&slice[i], arg);
	} while (n == SLICE);

	free(slice);
}

static int worst_first(const void *x, const void *y)
{
	const struct alarm_report *a = x, *b = y;

	if (a->severity != b->severity)
		return a->severity > b->severity ? -1 : 1;
	return a->id < b->id ? -1 : a->id > b->id;
}

/* What is shown of a group: the sum, or each; the lock is held */
static size_t group_copy(const struct group *g, struct alarm_report *out)
{
	size_t n = 0;

	if (g->together) {
		out[n++] = g->sum;
		return n;
	}
	for (const struct up *up = g->first; up; up = up->next)
		out[n++] = up->report;
	return n;
}

static void ups_walk(alarm_h *h, void *arg)
{
	struct alarm_report *all;
	size_t n = 0, room = 0;

	pthread_mutex_lock(&lock);
	for (unsigned i = 0; i < groups_n; i++)
		room += groups[i].together ? 1 : groups[i].objects;
	all = calloc(room ? room : 1, sizeof(*all));
	for (unsigned i = 0; all && i < groups_n; i++)
		n += group_copy(&groups[i], all + n);
	pthread_mutex_unlock(&lock);

	if (!all)
		return;
	qsort(all, n, sizeof(*all), worst_first);
	for (size_t i = 0; i < n; i++)
		h(&all[i], arg);
	free(all);
}

void alarms_walk(bool past, alarm_h *h, void *arg)
{
	alarms_sweep();

	if (past)
		history_walk(h, arg);
	else
		ups_walk(h, arg);
}
