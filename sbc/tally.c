/*
 * One count of a thread in periods, for rows that come up at run time
 */
#include <string.h>
#include "sbc/tally.h"

/* Let the period be the present one */
static void turn(struct tally *t, uint32_t period)
{
	if (t->present > t->permax)
		t->permax = t->present;
	t->last = t->period + 1 == period ? t->present : 0;
	t->present = 0;
	t->period = period;
}

void tally_add(struct tally *t, uint32_t n)
{
	const uint32_t period = counters_period();

	if (t->period != period)
		turn(t, period);
	t->present += n;
	t->total += n;
}

void tally_join(struct tally *t, const struct tally *other)
{
	struct tally o = *other;
	const uint32_t period = counters_period();

	if (t->period != period)
		turn(t, period);
	if (o.period != period)
		turn(&o, period);
	t->total += o.total;
	t->present += o.present;
	t->last += o.last;
	t->permax += o.permax;
}

void tally_read(const struct tally *t, struct counter_report *out)
{
	struct tally now = *t;
	const uint32_t period = counters_period();

	if (now.period != period)
		turn(&now, period);
	memset(out, 0, sizeof(*out));
	out->total = now.total;
	out->recent = (uint64_t)now.last + now.present;
	out->permax = now.present > now.permax ? now.present : now.permax;
}
