/*
 * May one more request pass: sessions and rates of all who limit it
 */
#include <errno.h>
#include "store/number.h"
#include "sbc/clock.h"
#include "sbc/counters.h"
#include "sbc/limits.h"
#include "sbc/outage.h"
#include "sbc/random.h"

enum {
	RETRY_LEAST = 5, /* without time-to-resume [s] */
	RETRY_MOST = 10
};

/* Methods that have rates; false: this one has none */
static bool method_of(enum rate_method *out, uint8_t method)
{
	/* clang-format off */
	static const struct { uint8_t id; enum rate_method rate; } rows[] = {
		{ INVITE,    RATE_METHOD_INVITE    }, { REGISTER, RATE_METHOD_REGISTER },
		{ OPTIONS,   RATE_METHOD_OPTIONS   }, { MESSAGE,  RATE_METHOD_MESSAGE  },
		{ PUBLISH,   RATE_METHOD_PUBLISH   }, { NOTIFY,   RATE_METHOD_NOTIFY   },
		{ SUBSCRIBE, RATE_METHOD_SUBSCRIBE },
	};
	/* clang-format on */

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (rows[i].id == method) {
			*out = rows[i].rate;
			return true;
		}
	}

	return false;
}

int limits_take(struct seat *seat, const struct limits_query *q,
		uint32_t *retry_after)
{
	const struct seat_setup setup = {
		.all = q->worker->capacities,
		.interface = q->interface,
		.realm = q->realm->config,
		.agent = q->agent,
		.d = q->d,
		.now = clock_ms(),
		.forced = q->forced,
	};
	enum rate_method method;
	uint32_t resume = 0;
	int err;

	if (!method_of(&method, q->method))
		return 0;

	err = method == RATE_METHOD_INVITE
		      ? seat_take(seat, &setup, &resume)
		      : seat_request(&setup, method, &resume);
	if (!err)
		return 0;

	count(COUNT_CAC_SESSION_DROP, 1);
	if (q->agent)
		(void)outage_look(q->agent);
	*retry_after =
		resume ? resume : random_between(RETRY_LEAST, RETRY_MOST);

	return err;
}

/* "dropResponse=503", "dropResponse=400-499:503"; without a value: 503 */
static bool drops(const struct names *options, uint16_t code)
{
	struct pl rest, part;

	if (option_get(options, "dropResponse", &rest))
		return false;
	if (!rest.l)
		return code == 503;

	while (rest.l) {
		size_t n = 0;
		uint64_t from, to;
		struct pl low, high;

		while (n < rest.l && rest.p[n] != ':' && rest.p[n] != ',' &&
		       rest.p[n] != ' ')
			n++;
		part.p = low.p = rest.p;
		part.l = low.l = n;
		pl_advance(&rest, (ssize_t)(n < rest.l ? n + 1 : n));
		high = part;
		for (size_t i = 0; i < part.l; i++) {
			if (part.p[i] != '-')
				continue;
			low.l = i;
			high.p = part.p + i + 1;
			high.l = part.l - i - 1;
		}
		if (!uint_parse(&from, &low, 699) &&
		    !uint_parse(&to, &high, 699) && from <= code && code <= to)
			return true;
	}

	return false;
}

bool limits_drop_response(const struct session_agent *agent,
			  const struct sip_interface *interface, uint16_t code)
{
	return (agent && drops(&agent->options, code)) ||
	       drops(&interface->options, code);
}
