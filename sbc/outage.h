/*
 * A session-agent goes out of service or comes back: said and alarmed
 */
#pragma once
#include "realms/agents.h"

/**
 * Note an answer of a session-agent
 *
 * A change of its state is a line of the log, and raises or clears the alarm
 * session-agent-down (behaviour.md 2.5). Of the worker's thread.
 *
 * @param agent    State of it
 * @param name     Its hostname
 * @param code     Status code that it answered
 * @param latency  From the request to this answer [ms]
 */
void outage_answered(struct agent *agent, const char *name, uint16_t code,
		     uint32_t latency);

/**
 * Note that a session-agent let a request time out
 *
 * @param agent  State of it
 * @param name   Its hostname
 */
void outage_silent(struct agent *agent, const char *name);
