/*
 * Send again until stopped
 */
#include <errno.h>
#include "sbc/clock.h"
#include "sbc/repeat.h"

struct repeat {
	struct repeat_setup setup;
	struct timer timer;
	uint64_t end; /* [ms] */
	uint32_t interval;
	repeat_h *h;
	void *arg;
};

static void destructor(void *data)
{
	struct repeat *r = data;

	timer_cancel(&r->timer);
	mem_deref(r->setup.mb);
}

static void again(void *arg)
{
	struct repeat *r = arg;
	uint64_t now = clock_ms(), left;

	if (now >= r->end) {
		r->h(r->arg);
		return;
	}

	/* A transport that fails is noticed by the end of 64*T1 */
	(void)port_send(r->setup.port, &r->setup.to, r->setup.mb, NULL, NULL);
	r->interval *= 2;
	if (r->interval > r->setup.t2)
		r->interval = r->setup.t2;
	left = r->end - now;
	timer_start(&r->timer, r->interval < left ? r->interval : left, again,
		    r);
}

int repeat_start(struct repeat **rp, const struct repeat_setup *setup,
		 repeat_h *h, void *arg)
{
	struct repeat *r;

	r = mem_zalloc(sizeof(*r), destructor);
	if (!r)
		return ENOMEM;

	r->setup = *setup;
	r->setup.mb = mem_ref(setup->mb);
	r->end = clock_ms() + setup->limit;
	r->interval = setup->t1;
	r->h = h;
	r->arg = arg;
	timer_start(&r->timer, r->interval, again, r);

	*rp = r;
	return 0;
}

void repeat_now(struct repeat *r)
{
	(void)port_send(r->setup.port, &r->setup.to, r->setup.mb, NULL, NULL);
}
