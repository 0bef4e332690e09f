/*
 * A session-agent changes its state: said and alarmed
 *
 * Each change is a line of the log, raises or clears its alarm, and so stands in
 * the history (behaviour.md 2.5). Of the worker's thread.
 */
#pragma once
#include "realms/agents.h"

/**
 * Say what changed since this was last asked, whoever caused it
 *
 * @return true when it went out of service by now
 */
bool outage_look(struct agent *agent);

/**
 * Note an answer of a session-agent
 *
 * @param agent    State of it
 * @param code     Status code that it answered
 * @param latency  From the request to this answer [ms]
 *
 * @return true when it went out of service by that
 */
bool outage_answered(struct agent *agent, uint16_t code, uint32_t latency);

/** Note that a session-agent let a request time out. true: it is out by that */
bool outage_silent(struct agent *agent);

/** Note that no connection to it can be opened. true: it is out by that */
bool outage_unreachable(struct agent *agent);

/** Note what a ping found. true: it is out by that */
bool outage_pinged(struct agent *agent, bool good);
