/*
 * Run a table of rules: state, event, action, state
 *
 * Tables have a few dozen rules, so looking one up is a walk.
 */
#include "store/log.h"
#include "sbc/machine.h"

static const struct rule *rule_find(const struct rule *r, uint8_t in,
				    uint8_t on)
{
	for (; r->on; r++) {
		if (r->in == in && r->on == on)
			return r;
	}
	return NULL;
}

bool machine_feed(const struct machine *m, uint8_t *state, void *obj,
		  uint8_t event, const struct message *msg, machine_h *told)
{
	const struct rule *rule;
	bool found = false;

	while (event) {
		rule = rule_find(m->rules, *state, event);
		if (!rule) {
			/* of the first event the caller hears */
			if (found)
				log_debug(SIPD, "machine-ignored",
					  "machine=%s state=%s event=%s",
					  m->name, m->states[*state],
					  m->events[event]);
			return found;
		}

		found = true;
		if (told)
			told(obj, *state, event, rule->to);
		*state = rule->to;
		/* an action that frees the object, and the state with it,
		 * returns 0: nothing is touched after that */
		event = rule->act ? (uint8_t)rule->act(obj, msg) : 0;
	}

	return found;
}
