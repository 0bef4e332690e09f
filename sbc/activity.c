/*
 * Triggered mode: is the PBX active, or silent too long
 */
#include "store/number.h"
#include "sbc/activity.h"
#include "sbc/alarm.h"
#include "sbc/clock.h"

enum {
	QUIET_CALL = 1000 /* look whether the calls are over [ms] */
};

static void quiet(void *arg);

static void watch_quiet(struct herd *h, uint64_t wait)
{
	if (herd_is_triggered(h) && h->f.enabled && h->f.active)
		timer_start(&h->quiet, wait, quiet, h);
	else
		timer_cancel(&h->quiet);
}

static void quiet(void *arg)
{
	struct herd *h = arg;
	uint64_t limit = h->f.agent->triggered_inactivity_interval * 1000ull;
	uint64_t silent = clock_ms() - h->last_active;

	if (silent < limit || h->calls) {
		watch_quiet(h, silent < limit ? limit - silent : QUIET_CALL);
		return;
	}

	h->f.active = false;
	alarm_raise("surrogate-silent", ALARM_WARNING, h->f.key,
		    "nothing from the PBX for %u s",
		    h->f.agent->triggered_inactivity_interval);
	herd_sweep(h, SUR_QUIET);
}

void activity_end(struct herd *h)
{
	timer_cancel(&h->quiet);
	alarm_clear("surrogate-silent", h->f.key);
}

void activity_watch(struct herd *h)
{
	if (!herd_is_triggered(h) || !h->f.enabled)
		alarm_clear("surrogate-silent", h->f.key);
	watch_quiet(h, h->f.agent->triggered_inactivity_interval * 1000ull);
}

void activity_seen(struct herd *h)
{
	if (!herd_is_triggered(h) || !h->f.enabled)
		return;

	h->last_active = clock_ms();
	if (h->f.active)
		return;

	h->f.active = true;
	alarm_clear("surrogate-silent", h->f.key);
	activity_watch(h);
	herd_sweep(h, SUR_ACTIVE);
}

void activity_call(struct herd *h, int change)
{
	if (change < 0 && !h->calls)
		return;

	h->calls += (uint32_t)change;
	if (change < 0)
		h->last_active = clock_ms();
}

uint16_t activity_silent(const struct herd *h)
{
	struct pl pl;
	uint64_t code;

	if (!herd_is_triggered(h) || h->f.active)
		return 0;

	pl_set_str(&pl, h->f.agent->triggered_oos_response);
	if (is_word(&pl, "dropresponse"))
		return UINT16_MAX;

	return uint_parse(&code, &pl, 699) ? 503 : (uint16_t)code;
}
