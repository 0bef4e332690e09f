/*
 * Session-agents by hand: one ping, one fresh start
 */
#pragma once

#include "cli/session.h"

/** ping sip AGENT: status line, target, time */
void ping_sip(struct session *s, const struct words *w, uint32_t at);

/** reset session-agent NAME */
void reset_agent(struct session *s, const struct words *w, uint32_t at);
