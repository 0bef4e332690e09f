/*
 * Levels of the log, sipmsg.log, log files
 *
 * acli.md 2.6, 5.2. What an operator sets holds until it ends by itself, until the
 * next activation, or until the next start.
 */
#pragma once

#include "policy/plan.h"
#include "cli/control.h"

/** Folder of the files that are always files: log-path, or `log` beside the
 *  database; "" when its path is too long */
void logging_folder(char *buf, size_t size, const struct system_config *system,
		    const struct database *db);

/** A plan is in force: levels and call-trace follow it. level: of the command
 *  line, which wins; NULL: none. c NULL: at the start, nobody has ordered
 *  anything yet */
void logging_follow(struct control *c, const struct plan *plan,
		    const char *level);
/** End all that ends by itself */
void logging_close(struct control *c);

/** log-level all|COMPONENT LEVEL [for MINUTES] [persist] */
void log_level(struct session *s, const struct words *w, uint32_t at);
/** show log-level: levels of the components now, until when, and as configured */
void show_log_level(struct session *s, const struct words *w, uint32_t at);
/** notify all trace ADDR|all FILE; notify all notrace */
void notify_trace(struct session *s, const struct words *w, uint32_t at);
void notify_notrace(struct session *s, const struct words *w, uint32_t at);
/** notify sipd siplog [full]; nosiplog */
void notify_siplog(struct session *s, const struct words *w, uint32_t at);
void notify_nosiplog(struct session *s, const struct words *w, uint32_t at);
/** notify sipd debug [MINUTES]; nodebug */
void notify_debug(struct session *s, const struct words *w, uint32_t at);
void notify_nodebug(struct session *s, const struct words *w, uint32_t at);
/** notify all rotate-logs */
void rotate_logs(struct session *s, const struct words *w, uint32_t at);
