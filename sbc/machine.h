/*
 * Run a table of rules: state, event, action, state
 *
 * An action returns the event that follows, or 0; the engine loops. Event 0 is
 * no event, so enums of events begin with 1.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "policy/message.h"

typedef int(action_h)(void *obj, const struct message *msg);

struct rule {
	uint8_t in, on;
	action_h *act; /* NULL: only the state changes */
	uint8_t to;
};

struct machine {
	const char *name;         /* "call", for the log */
	const struct rule *rules; /* ended by one with on = 0 */
	const char *const *states,
		*const *events; /* names, for log and tests */
};

/** Told of each move, before the action: logs it */
typedef void(machine_h)(void *obj, uint8_t from, uint8_t on, uint8_t to);

/**
 * Feed an event, and those that the actions return
 *
 * The state is moved before the action runs; an action that frees the object
 * returns 0. A later event for which there is no rule is ignored, with a line
 * in the log.
 *
 * @param m      Table and names
 * @param state  State; moved
 * @param obj    First argument of actions and of told
 * @param event  Event
 * @param msg    Message for the actions, or NULL
 * @param told   Called before each action, or NULL
 *
 * @return True if a rule was found for the event
 */
bool machine_feed(const struct machine *m, uint8_t *state, void *obj,
		  uint8_t event, const struct message *msg, machine_h *told);
