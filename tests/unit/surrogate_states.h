/*
 * An AoR is brought into a state by a registrar that plays along, and is silent
 * from then on
 */
#pragma once

#include "tests/unit/surrogates_fixture.h"
#include "sbc/herd.h"

/* How the agent is configured */
struct way {
	bool un_register, triggered, two_targets;
	const char *attempts; /* max-register-attempts */
	uint32_t granted;     /* [s]; 0: 600 */
};

static uint32_t granted;

static inline const char *goes_along(const struct seen *r)
{
	return strtoul(r->expires, NULL, 10) ? grant(r, granted, "")
					     : "200 OK\r\n";
}

static inline const char *knows_nobody(const struct seen *r)
{
	(void)r;

	return "404 Not Found\r\n";
}

static inline const char *forbids(const struct seen *r)
{
	(void)r;

	return "403 Forbidden\r\n";
}

static inline struct registration *aor(void)
{
	return herd_find(f.s, f.a)->v[0];
}

static inline void set(const char *name, const char *value)
{
	item_set(&element_surrogate_agent, f.a, name, value);
}

/* Another agent has taken all that may be unanswered */
static inline void block(void)
{
	f.sip->registration_rate = 1;
	agent_add("b", "493010^", "2");
	f.a = (void *)config_at(f.cfg, &element_surrogate_agent, 0);
	set("state", "disabled");
	start();
	f.a = (void *)config_at(f.cfg, &element_surrogate_agent, 0);
	f.registrar = NULL;
	run(3 * SECOND);
	change_agent("state", "enabled");
}

static inline void prepare(const struct way *way, enum surrogate_state state)
{
	bool triggered =
		way->triggered || state == SUR_IDLE || state == SUR_SILENT;

	granted = way->granted ? way->granted : 600;
	if (way->two_targets)
		fake_name("trunk.example", "127.0.0.11:5060", "127.0.0.15:5060",
			  NULL);
	agent_add("a", "493010^", "1");
	set("un-register", way->un_register ? "enabled" : "disabled");
	set("register-mode", triggered ? "triggered" : "automatic");
	if (state == SUR_GIVEN_UP || way->attempts)
		set("max-register-attempts", "1");
	f.registrar = state == SUR_BACKOFF || state == SUR_GIVEN_UP
			      ? knows_nobody
		      : state == SUR_REFUSED     ? forbids
		      : state == SUR_REGISTERING ? NULL
						 : goes_along;
	if (way->attempts && state == SUR_BACKOFF)
		set("max-register-attempts", "2");
	if (way->attempts && state == SUR_REFUSED)
		set("max-register-attempts", "2");
	if (state == SUR_WAITING)
		block();
	else
		start();
	if (triggered && state != SUR_IDLE)
		surrogates_active(f.s, f.a);
	run(200);
}

static inline void reach(const struct way *way, enum surrogate_state state)
{
	prepare(way, state);
	switch (state) {
	case SUR_REFRESHING:
		f.registrar = NULL;
		surrogate_feed(aor(), SUR_ORDER_IN, NULL);
		run(200);
		break;
	case SUR_SILENT:
		run(31 * SECOND);
		break;
	case SUR_LEAVING:
		f.registrar = NULL;
		surrogate_feed(aor(), SUR_ORDER_OUT, NULL);
		run(200);
		break;
	case SUR_DISABLED:
		surrogate_feed(aor(), SUR_ORDER_OUT, NULL);
		run(200);
		break;
	default:
		break;
	}
	f.registrar = NULL;
	if (aor()->state != state)
		fail_msg("not reached: %s, but %s",
			 surrogate_machine.states[state],
			 surrogate_machine.states[aor()->state]);
}

/* Grant the REGISTER that waits for its answer */
static inline void say_granted(void)
{
	say(goes_along(last()));
}

static inline void assert_at(enum surrogate_state state)
{
	if (aor()->state != state)
		fail_msg("%s, not %s", surrogate_machine.states[aor()->state],
			 surrogate_machine.states[state]);
}
