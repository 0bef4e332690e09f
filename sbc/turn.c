/*
 * Work put off to the end of a turn of the loop
 *
 * The list of a thread is short: sip-ports that have something to send, and the
 * timer wheel.
 */
#include <assert.h>
#include <stddef.h>
#include "sbc/turn.h"

static _Thread_local unsigned depth;
static _Thread_local struct deferred *first, *last;

void turn_enter(void)
{
	++depth;
}

void turn_leave(void)
{
	struct deferred *d;

	assert(depth > 0);

	/* Still inside the turn: what these put off joins the list's end */
	while (depth == 1 && (d = first)) {
		first = d->next;
		if (!first)
			last = NULL;
		d->next = NULL;
		d->waits = false;
		d->run(d); /* may free d */
	}

	--depth;
}

void turn_defer(struct deferred *d)
{
	if (d->waits)
		return;

	turn_enter();

	d->waits = true;
	d->next = NULL;
	if (last)
		last->next = d;
	else
		first = d;
	last = d;

	turn_leave();
}

void turn_forget(struct deferred *d)
{
	struct deferred **p = &first, *before = NULL;

	if (!d->waits)
		return;

	while (*p && *p != d) {
		before = *p;
		p = &before->next;
	}

	assert(*p == d); /* or it waits on another thread */

	*p = d->next;
	if (last == d)
		last = before;
	d->next = NULL;
	d->waits = false;
}
