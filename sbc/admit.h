/*
 * The first steps of a new request: is it sound, who sends it, is there room
 *
 * Behaviour.md 1.2, 1.3 and 1.5.
 */
#pragma once

#include "sbc/passage.h"

/** check-message: 400, 405, 420, 481, 482, 483, 501; 0 go on */
uint16_t admit_message(struct ingress *in);

/** name-source: sip-port, realm and session-agent; 403; 503 the port is being
 *  closed; 0 go on */
uint16_t admit_source(struct ingress *in);

/** take-capacity: a session of each limit's holder, kept in in->seat; 503 with
 *  Retry-After; 0 go on */
uint16_t admit_capacity(struct ingress *in);

/** Is it a request of this worker's that came back as it was sent (RFC 3261 16.3)?
 *  With another Request-URI it is a spiral */
bool admit_is_loop(const struct worker *w, const struct message *msg);
