/*
 * The program itself: versions, uptime, health, DNS cache, log levels
 */
#pragma once

#include "cli/session.h"

/** show version */
void show_version(struct session *s, const struct words *w, uint32_t at);
/** show uptime */
void show_uptime(struct session *s, const struct words *w, uint32_t at);
/** show health: fails when a check does */
void show_health(struct session *s, const struct words *w, uint32_t at);
/** show dns [NAME]: the cache of the resolver */
void show_dns(struct session *s, const struct words *w, uint32_t at);
/** show log-level */
void show_log_level(struct session *s, const struct words *w, uint32_t at);
/** show credentials [realm R] [lookup L]: never a password */
void show_credentials(struct session *s, const struct words *w, uint32_t at);
/** log-level all | COMPONENT LEVEL */
void log_level(struct session *s, const struct words *w, uint32_t at);
/** notify all rotate-logs */
void rotate_logs(struct session *s, const struct words *w, uint32_t at);
