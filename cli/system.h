/*
 * The program itself: versions, uptime, health, DNS cache
 */
#pragma once

#include "cli/session.h"

/** show version */
void show_version(struct session *s, const struct words *w, uint32_t at);
/** show uptime */
void show_uptime(struct session *s, const struct words *w, uint32_t at);
/** What show health prints; false: a check fails */
bool health_say(struct session *s);
/** show health: fails when a check does */
void show_health(struct session *s, const struct words *w, uint32_t at);
/** show dns [NAME]: the cache of the resolver */
void show_dns(struct session *s, const struct words *w, uint32_t at);
