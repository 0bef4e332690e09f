/*
 * What one call takes of sip-interface, realm and session-agent together
 */
#include <errno.h>
#include <stddef.h>
#include "realms/seat.h"

/* In the order in which they are asked; those without limits are left out */
static uint8_t holders(struct capacity *of[SEAT_HOLDERS],
		       const struct seat_setup *setup)
{
	struct capacity *all[SEAT_HOLDERS] = {
		capacity_of_interface(setup->all, setup->interface),
		capacity_of_realm(setup->all, setup->realm),
		setup->agent ? agent_capacity(setup->agent) : NULL,
	};
	uint8_t n = 0;

	for (int i = 0; i < SEAT_HOLDERS; ++i) {
		if (all[i])
			of[n++] = all[i];
	}

	return n;
}

int seat_take(struct seat *seat, const struct seat_setup *setup,
	      uint32_t *resume)
{
	struct capacity *of[SEAT_HOLDERS];
	uint8_t n = holders(of, setup);

	for (uint8_t i = 0; i < n; ++i) {
		if (!capacity_take(of[i], setup->d, setup->now,
				   setup->forced)) {
			seat->of[i] = of[i];
			continue;
		}
		*resume = capacity_resume(of[i], setup->d, setup->now);
		while (i--)
			capacity_undo(of[i], setup->d);
		return EBUSY;
	}
	seat->n = n;
	seat->d = (uint8_t)setup->d;

	return 0;
}

void seat_give(struct seat *seat)
{
	for (uint8_t i = 0; i < seat->n; ++i)
		capacity_give(seat->of[i], (enum direction)seat->d);
	seat->n = 0;
}

void seat_called(const struct seat *seat, bool answered)
{
	for (uint8_t i = 0; i < seat->n; ++i)
		capacity_called(seat->of[i], answered);
}

/* One that refuses leaves those before it one request too high, for a window */
int seat_request(const struct seat_setup *setup, enum rate_method method,
		 uint32_t *resume)
{
	struct capacity *of[SEAT_HOLDERS];
	uint8_t n = holders(of, setup);

	for (uint8_t i = 0; i < n; ++i) {
		if (!capacity_request(of[i], method, setup->d, setup->now,
				      setup->forced))
			continue;
		*resume = capacity_resume(of[i], setup->d, setup->now);
		return EBUSY;
	}

	return 0;
}
