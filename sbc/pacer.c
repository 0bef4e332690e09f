/*
 * How many registrations may leave for a registrar now
 *
 * One for each registrar: tokens lie on an even grid. At high rates several are
 * gathered for a turn, because a wake-up costs more than a REGISTER. A turn that
 * comes late may catch up SLACK; the grid is wider by that much, so that no
 * second ever holds more than the rate.
 */
#include <errno.h>
#include "sbc/pacer.h"

enum {
	SECOND = 1000000,  /* [us] */
	GATHER = 5000,     /* tokens of so long make a turn [us] */
	SLACK = 7000,      /* [us] */
	SLOWEST = 1000,    /* one a second [1/1000 s] */
	IDLE_SECONDS = 64, /* longer than any doubling takes */
};

static uint32_t full_rate(const struct pacer *p)
{
	return p->rate > UINT32_MAX / 1000 ? UINT32_MAX : p->rate * 1000;
}

static uint32_t slow_rate(const struct pacer *p)
{
	uint32_t slow = full_rate(p) / 10;

	return slow > SLOWEST ? slow : SLOWEST;
}

static uint64_t interval(const struct pacer *p)
{
	uint64_t second = SECOND + SLACK;

	return (second * 1000 + p->now_rate - 1) / p->now_rate;
}

static void end_second(struct pacer *p)
{
	uint32_t full = full_rate(p);

	if (p->trouble)
		p->now_rate =
			p->now_rate / 2 > SLOWEST ? p->now_rate / 2 : SLOWEST;
	else
		p->now_rate = p->now_rate < full / 2 ? p->now_rate * 2 : full;

	p->trouble = false;
	p->second += SECOND;
}

/** Judge the seconds that are over */
static void judge(struct pacer *p, uint64_t now)
{
	for (int i = 0; i < IDLE_SECONDS; i++) {
		if (now < p->second + SECOND)
			return;
		end_second(p);
	}
	p->second = now;
}

static void spend(struct pacer *p, uint64_t now)
{
	uint64_t from = p->next;

	if (now > SLACK && from < now - SLACK)
		from = now - SLACK;

	p->next = from + interval(p);
	p->unanswered++;
}

/** So many may be unanswered at one time */
static bool is_full(const struct pacer *p)
{
	return p->unanswered / 2 >= p->rate;
}

void pacer_init(struct pacer *p, uint32_t rate, uint64_t now_us)
{
	*p = (struct pacer){ .rate = rate };
	pacer_slow_start(p, now_us);
}

void pacer_change(struct pacer *p, uint32_t rate)
{
	p->rate = rate;
	if (p->now_rate > full_rate(p))
		p->now_rate = full_rate(p);
	if (p->now_rate < SLOWEST)
		p->now_rate = SLOWEST;
}

int pacer_take(struct pacer *p, uint64_t now_us)
{
	if (!p->rate) {
		p->unanswered++;
		return 0;
	}

	judge(p, now_us);
	if (is_full(p) || now_us < p->next)
		return EAGAIN;

	spend(p, now_us);

	return 0;
}

void pacer_take_anyway(struct pacer *p, uint64_t now_us)
{
	if (!p->rate) {
		p->unanswered++;
		return;
	}

	judge(p, now_us);
	spend(p, now_us);
}

uint64_t pacer_next(const struct pacer *p, uint64_t now_us)
{
	uint64_t between;

	if (!p->rate)
		return now_us;
	if (is_full(p))
		return UINT64_MAX;

	if (p->next <= now_us)
		return now_us;
	between = interval(p);

	return between < GATHER ? p->next + GATHER - between : p->next;
}

void pacer_answered(struct pacer *p, bool trouble, uint64_t now_us)
{
	if (p->unanswered)
		p->unanswered--;
	if (!p->rate)
		return;

	judge(p, now_us);
	p->trouble |= trouble;
}

void pacer_full(struct pacer *p)
{
	p->now_rate = full_rate(p);
	p->next = 0;
}

void pacer_slow_start(struct pacer *p, uint64_t now_us)
{
	p->now_rate = slow_rate(p);
	p->second = now_us;
	p->trouble = false;
}
