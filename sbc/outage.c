/*
 * A session-agent goes out of service or comes back: said and alarmed
 */
#include "store/log.h"
#include "sbc/alarm.h"
#include "sbc/clock.h"
#include "sbc/outage.h"

#define ALARM "session-agent-down"

void outage_answered(struct agent *agent, const char *name, uint16_t code,
		     uint32_t latency)
{
	uint64_t now = clock_ms();

	if (!agent_answered(agent, code, latency, now))
		return;

	if (agent_usable(agent, now)) {
		log_info(SIPD, "agent-up", "agent=%s code=%u", name, code);
		alarm_clear(ALARM, name);
		return;
	}
	log_warning(SIPD, "agent-down", "agent=%s code=%u", name, code);
	alarm_raise(ALARM, ALARM_MINOR, name, "answered %u", code);
}

void outage_silent(struct agent *agent, const char *name)
{
	if (!agent_timed_out(agent, clock_ms()))
		return;
	log_warning(SIPD, "agent-down", "agent=%s text=\"does not answer\"",
		    name);
	alarm_raise(ALARM, ALARM_MINOR, name, "does not answer");
}
