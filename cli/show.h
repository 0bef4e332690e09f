/*
 * The show commands: each calls a printer and lays out what it gives
 */
#pragma once

#include "cli/session.h"

/** show sessions [ID] [realm R] [agent A] [user U] [state S] [limit N] */
void show_sessions(struct session *s, const struct words *w, uint32_t at);
/** clear-alarm ID */
void clear_alarm(struct session *s, const struct words *w, uint32_t at);
/** show alarms [history]; display-alarms */
void show_alarms(struct session *s, const struct words *w, uint32_t at);
/** show records [N]: the newest call records, one line each */
void show_records(struct session *s, const struct words *w, uint32_t at);
void show_accounting(struct session *s, const struct words *w, uint32_t at);
