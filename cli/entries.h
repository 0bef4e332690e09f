/*
 * show credentials: entries of realms, and how often they answered
 */
#pragma once

#include "cli/session.h"

/** show credentials [realm R] [lookup L] [limit N], or seen (acli.md 2.4): a task,
 *  since there may be a million */
void show_credentials(struct session *s, const struct words *w, uint32_t at);
