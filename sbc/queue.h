/*
 * Requests of one leg, one after the other
 *
 * What one side sends inside its dialog reaches the other in the order of its
 * CSeq (behaviour.md 3.6). A request that is on its way but may have to leave
 * once more - it was not answered yet, so it may be challenged - or that waits
 * for DNS holds up those behind it. BYE and CANCEL never stand here.
 */
#pragma once

#include "sbc/timer.h"
#include "sbc/transaction.h"

/** The turn of a request came; the transaction is handed over */
typedef void(queue_h)(struct transaction *t, void *arg);

struct queue_line; /* in queue.c */

struct queue {
	const void *ahead;       /* who holds the others up; NULL: nobody */
	struct queue_line *line; /* NULL: nobody has ever been held up */
	uint32_t patience;       /* [ms] */
	queue_h *h;
	void *arg;
};

/**
 * Begin, empty
 *
 * @param q         Queue
 * @param patience  Nobody holds the others up for longer [ms]: a peer that does
 *                  not answer INFO must not hold up a re-INVITE for 32 s
 * @param h         Told whose turn it is
 * @param arg       Its argument
 */
void queue_init(struct queue *q, uint32_t patience, queue_h *h, void *arg);

/**
 * Stand in line: h is called at once when nobody is ahead
 *
 * A CANCEL takes the request out again, with 487.
 *
 * @return 0; ENOMEM: the transaction is the caller's still
 */
int queue_put(struct queue *q, struct transaction *t);

/** From now on `who` holds the others up. NULL, or without memory: nobody */
void queue_hold(struct queue *q, const void *who);
/** Is anybody ahead, or waiting? */
bool queue_is_busy(const struct queue *q);
/** Is `who` the one who holds the others up? Then no more: the next one comes in
 *  the next turn of the wheel */
void queue_pass(struct queue *q, const void *who);

/** Answer those who wait with this method so, and take them out */
void queue_refuse(struct queue *q, enum method_id method, uint16_t code);

/** Is a request with this method among those who wait? */
bool queue_has(const struct queue *q, enum method_id method);
/** Its turn came too early: it is the first again, and who holds it up. 0;
 *  ENOMEM: the transaction is the caller's still */
int queue_return(struct queue *q, struct transaction *t, const void *who);
/** The end: answer all who wait with this code, 0: without a word */
void queue_end(struct queue *q, uint16_t code);
