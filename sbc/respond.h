/*
 * Answers as they leave: those of our own, and codes that response maps change
 *
 * Configuration.md 2.7-2.9, behaviour.md 2.9. The map is of the side that the
 * answer goes to: of its session-agent, else of its sip-interface, else, for
 * answers that are passed on, of sip-config. Provisional stays provisional, a 2xx
 * a 2xx and a failure a failure, because transactions and calls went on with what
 * came. For the thread that asked for it.
 */
#pragma once

#include "sbc/transaction.h"
#include "sbc/wire.h"
#include "sbc/worker.h"

/** This thread's answers are those of a worker; NULL: of nobody any more */
void respond_begin(const struct worker *w);

/** wire_response, mapped. One without src is an answer that the SBC makes */
int respond_write(struct mbuf **mbp, const struct wire_response *r);

/**
 * Answer a request by ourselves. Without memory for it nothing leaves, and the
 * request comes again
 *
 * @param t      Of a server, unanswered
 * @param extra  Lines of ours, each with its CRLF; NULL: none
 */
void respond(struct transaction *t, uint16_t code, const char *extra);
