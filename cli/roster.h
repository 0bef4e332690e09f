/*
 * import-surrogate-agents: rows of a CSV file into the editing configuration
 */
#pragma once

#include "cli/control.h"

/** import-surrogate-agents FILE [merge|replace]: asks the client for the file. The
 *  header names parameters of surrogate-agent; an agent that is there keeps
 *  those that have no column. replace: other agents go */
void import_surrogate_agents(struct session *s, const struct words *w,
			     uint32_t at);
