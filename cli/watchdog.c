/*
 * Tell somebody again and again that the loops turn, and not when one hangs
 */
#include <stddef.h>
#include "cli/watchdog.h"

/* On the signalling thread */
static void opened(struct letter *letter, void *arg)
{
	struct watchdog *d =
		(struct watchdog *)((char *)letter -
				    offsetof(struct watchdog, letter));
	(void)arg;

	atomic_fetch_add(&d->turns, 1);
}

static void tick(void *arg)
{
	struct watchdog *d = arg;

	if (atomic_load(&d->turns) == d->asked) {
		d->h(d->arg);
		d->asked++;
		sbc_post(d->sbc, &d->letter);
	}
	timer_start(&d->timer, d->period, tick, d);
}

void watchdog_begin(struct watchdog *d, struct sbc *sbc, uint64_t silence,
		    watchdog_h *h, void *arg)
{
	d->sbc = sbc;
	d->period = silence / 3000;
	d->h = h;
	d->arg = arg;
	d->letter.open = opened;
	if (!d->period)
		d->period = 1;
	tick(d);
}

void watchdog_end(struct watchdog *d)
{
	timer_cancel(&d->timer);
}
