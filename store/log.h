/*
 * One event, one line, into a ring; a thread of its own writes the ring out
 *
 * Form of a line and levels: acli.md 5.2. Nothing is formatted for a level
 * that is off. Before log_open lines go straight to stderr.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum log_level {
	LEVEL_ZERO,
	LEVEL_EMERGENCY,
	LEVEL_CRITICAL,
	LEVEL_MAJOR,
	LEVEL_MINOR, /* errors */
	LEVEL_WARNING,
	LEVEL_NOTICE,
	LEVEL_INFO, /* changes of state */
	LEVEL_TRACE,
	LEVEL_DEBUG,
	LEVEL_DETAIL /* messages */
};

enum log_component {
	SIPD,
	SURROGATE,
	AUTH,
	POLICY,
	REALMS,
	MEDIA,
	TLS,
	DNS,
	DB,
	CLI,
	PLUGIN,
	DIAMETER,
	FEDERATION,
	FLOW,
	LOG_COMPONENTS
};

struct log_setup {
	const char *target; /* "stderr", "file", "syslog", "journal" */
	const char *format; /* "text", "json" */
	const char *path;   /* folder of sbc.log; NULL with stderr */
};

/**
 * Start the writer thread
 *
 * @return 0; errno of the file or the thread
 */
int log_open(const struct log_setup *setup);

/** Write out what is left and end the thread */
void log_close(void);

/** Errno with which lines cannot be written at present; 0. Any thread */
int log_failing(void);

/** Open files anew (SIGHUP) */
void log_reopen(void);

/** Set the level of one component, or of all with LOG_COMPONENTS */
void log_level_set(enum log_component c, enum log_level level);
enum log_level log_level_get(enum log_component c);

/** Level from its word or number ("NOTICE", "6"); -1 if it is neither */
int log_level_parse(const char *word);

/** Name of a level; of a component */
const char *log_level_name(enum log_level level);
const char *log_component_name(enum log_component c);

/** Is this level on? */
bool log_on(enum log_component c, enum log_level level);

/** Write one line; use the four calls below */
void log_line(enum log_component c, enum log_level level, const char *event,
	      const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/** May this event be written? At most 10 a second each, then one line says
 *  how many were left out. For lines that a stranger can cause. */
bool log_admit(const char *event);

#define LOG_AT(c, l, ...)                                                      \
	do {                                                                   \
		if (log_on(c, l))                                              \
			log_line(c, l, __VA_ARGS__);                           \
	} while (0)
#define log_error(c, ...)   LOG_AT(c, LEVEL_MINOR, __VA_ARGS__)
#define log_warning(c, ...) LOG_AT(c, LEVEL_WARNING, __VA_ARGS__)
#define log_notice(c, ...)  LOG_AT(c, LEVEL_NOTICE, __VA_ARGS__)
#define log_info(c, ...)    LOG_AT(c, LEVEL_INFO, __VA_ARGS__)
#define log_debug(c, ...)   LOG_AT(c, LEVEL_DEBUG, __VA_ARGS__)
