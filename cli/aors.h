/*
 * show surrogate-agents: a line for each AoR, or for each agent
 */
#pragma once

#include "cli/session.h"

/** show surrogate-agents [KEY] [summary|detail] [state S] [realm R] [registrar H]
 *  [limit N] (acli.md 2.3); words from `at` */
void show_surrogate_agents(struct session *s, const struct words *w,
			   uint32_t at);
