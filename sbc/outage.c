/*
 * A session-agent changes its state: said and alarmed
 */
#include "store/log.h"
#include "sbc/alarm.h"
#include "sbc/clock.h"
#include "sbc/outage.h"

#define DOWN        "session-agent-down"
#define CONSTRAINED "session-agent-constraint"
#define UTILISED    "cac-utilisation"

/* The event of the log, by the state that begins */
static const char *const events[] = {
	[AGENT_IN_SERVICE] = "agent-up",
	[AGENT_OUT_OF_SERVICE] = "agent-down",
	[AGENT_COMING_BACK] = "agent-coming-back",
	[AGENT_CONSTRAINED] = "agent-constrained",
	[AGENT_DISABLED] = "agent-disabled",
	[AGENT_REFUSED] = "agent-refused",
};

static bool is_down(enum agent_service s)
{
	return s == AGENT_OUT_OF_SERVICE || s == AGENT_COMING_BACK;
}

static void say(const struct agent *agent, enum agent_service was,
		enum agent_service is, const char *why)
{
	if (is == AGENT_IN_SERVICE || is == AGENT_DISABLED ||
	    is == AGENT_COMING_BACK)
		log_info(SIPD, events[is], "agent=%s from=%c to=%c text=\"%s\"",
			 agent_name(agent), agent_letter(was), agent_letter(is),
			 why);
	else
		log_warning(SIPD, events[is],
			    "agent=%s from=%c to=%c text=\"%s\"",
			    agent_name(agent), agent_letter(was),
			    agent_letter(is), why);
}

static void look_at_use(struct agent *agent)
{
	bool is;

	if (!capacity_use_changed(agent_capacity(agent), &is))
		return;
	if (is)
		alarm_raise(UTILISED, ALARM_WARNING, agent_name(agent),
			    "cac-alarm-threshold reached");
	else
		alarm_clear(UTILISED, agent_name(agent));
}

static bool look(struct agent *agent, const char *why)
{
	enum agent_service was, is;
	const char *name = agent_name(agent);

	look_at_use(agent);
	if (!agent_news(agent, clock_ms(), &was, &is))
		return false;

	say(agent, was, is, why);
	if (is == AGENT_OUT_OF_SERVICE)
		alarm_raise(DOWN, ALARM_MINOR, name, "%s", why);
	else if (is_down(was) && !is_down(is))
		alarm_clear(DOWN, name);
	if (is == AGENT_CONSTRAINED)
		alarm_raise(CONSTRAINED, ALARM_WARNING, name,
			    "a limit is exceeded");
	else if (was == AGENT_CONSTRAINED)
		alarm_clear(CONSTRAINED, name);

	return is == AGENT_OUT_OF_SERVICE;
}

bool outage_look(struct agent *agent)
{
	return look(agent, "");
}

bool outage_answered(struct agent *agent, uint16_t code, uint32_t latency)
{
	(void)agent_answered(agent, code, latency, clock_ms());

	return look(agent, "answered");
}

bool outage_silent(struct agent *agent)
{
	(void)agent_timed_out(agent, clock_ms());

	return look(agent, "does not answer");
}

bool outage_unreachable(struct agent *agent)
{
	(void)agent_failed(agent, clock_ms());

	return look(agent, "cannot be reached");
}

bool outage_pinged(struct agent *agent, bool good)
{
	(void)agent_ping_result(agent, good, clock_ms());

	return look(agent, good ? "ping answered" : "ping failed");
}
