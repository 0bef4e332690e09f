/*
 * Requests inside the dialogs of a call
 */
#pragma once

#include "sbc/call.h"

/**
 * Serve a request inside a dialog, other than ACK and CANCEL
 *
 * It is answered here or by the other side; a BYE ends the call.
 *
 * @param leg   Leg whose tag of ours it names
 * @param from  Where it came from
 * @param msg   The request
 *
 * Source: RFC 3261 12.2, 14, 15
 */
void within_request(struct leg *leg, const struct arrival *from,
		    const struct message *msg);

/** The turn of a request came; arg is the call; struct call_home points to them */
void within_serve_a(struct transaction *t, void *arg);
void within_serve_b(struct transaction *t, void *arg);

/** What calls do for their relays; struct call_home points to it */
extern const struct relay_user within_relay_user;
