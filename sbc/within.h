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

/** Answer a request inside the dialog here. extra: header lines or NULL. t is
 *  let go */
void within_refuse(struct transaction *t, uint16_t code, const char *extra);

/** Parts of it for requests of our own */
void within_proof(struct relay *r, struct proof_setup *setup, void *arg);
void within_challenged(struct relay *r, enum proof result,
		       const struct proof_report *report, void *arg);
void within_proved(struct relay *r, const struct proof_report *report,
		   uint16_t code, void *arg);
/** A leg that is dead takes the call with it (RFC 3261 12.2.1.2), but not because
 *  of a request that says nothing about the dialog (3.6) */
bool within_is_deadly(enum method_id method, uint16_t code);

/** What calls do for their relays; struct call_home points to it */
extern const struct relay_user within_relay_user;
