/*
 * Work put off to the end of a turn of the loop
 *
 * Whoever is called by the loop (descriptor, timer wheel, mailbox) enters and
 * leaves a turn; what was deferred runs when the outermost turn ends. So what
 * one batch of messages caused leaves by one system call.
 */
#pragma once

#include <stdbool.h>

struct deferred { /* zeroed but for run */
	struct deferred *next;
	void (*run)(struct deferred *d);
	bool waits;
};

/** Begin and end a turn of this thread; may be nested */
void turn_enter(void);
void turn_leave(void);

/** Run at the end of the turn, once however often it is asked for, in the order
 *  in which it was first asked for; at once outside of any turn. What is put
 *  off while others run still belongs to this turn */
void turn_defer(struct deferred *d);

/** Take it back, before its memory goes */
void turn_forget(struct deferred *d);
