/*
 * Alarms by name and object, with history
 *
 * Names, severities, rules: acli.md 5.1. Any thread raises and clears; the
 * table has a lock of its own that is held for a moment only, and is not taken to
 * clear what is not up.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum alarm_level {
	ALARM_WARNING,
	ALARM_MINOR,
	ALARM_MAJOR,
	ALARM_CRITICAL,
	ALARM_EMERGENCY
};
/** "WARNING", "MINOR", "MAJOR", "CRITICAL", "EMERGENCY" */
const char *alarm_level_name(enum alarm_level s);

/** One alarm. With more than 100 objects of one name there is one for them all:
 *  its object is their number, "117 objects", and its text the latest */
struct alarm_report {
	uint32_t id, count;
	char name[48], object[128], text[160];
	enum alarm_level severity;
	uint64_t first, last; /* wall [s] */
	uint64_t cleared;     /* in the history: 0 while it lasts */
};

/**
 * Raise, or count up; the higher severity stays. Logs the first time, and when
 * the severity rises
 *
 * @param name      Name from acli.md 5.1; a literal, of which there are few
 * @param severity  Severity
 * @param object    What it is about; cut at 127 bytes; "" for the whole SBC
 * @param fmt       Text for a person, printf
 */
void alarm_raise(const char *name, enum alarm_level severity,
		 const char *object, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/** Its cause has ended: logs; nothing happens when it is not up */
void alarm_clear(const char *name, const char *object);

/** Is it up? An operator may have cleared it while its cause lasts */
bool alarm_is_up(const char *name, const char *object);

/** Clear by number: 0; ENOENT. While its cause lasts it comes back, raised again by
 *  it or by alarms_sweep a minute later */
int alarm_clear_id(uint32_t id);

/** End those that end an hour after their last case ("event" in acli.md 5.1), and
 *  take back those that were cleared by hand and whose cause lasts; to be called
 *  now and then */
void alarms_sweep(void);

/** Walk copies: those that are up, highest severity first; or the history of the
 *  last 10,000, oldest first. The handler may raise and clear */
typedef void(alarm_h)(const struct alarm_report *a, void *arg);
void alarms_walk(bool history, alarm_h *h, void *arg);
