/*
 * What the SBC itself refused: by step and status, and the last of them
 */
#include <errno.h>
#include <string.h>
#include "sbc/clock.h"
#include "sbc/refusals.h"

enum {
	KEPT = 1000,
	CODES = 64 /* kinds of step and code; more are not shown */
};

struct kept {
	uint64_t wall;
	struct sa src;
	uint16_t code;
	uint8_t step;
	const char *reason;
	char realm[32], method[16], object[64];
	char from[80], to[80], callid[80];
};

struct counted {
	uint16_t code;
	uint8_t step;
	struct tally tally;
};

struct refusals {
	struct counted counts[CODES];
	uint32_t counts_n;
	uint64_t n;        /* noted so far */
	struct kept *last; /* KEPT of them; made with the first */
};

/* clang-format off */
static const struct {
	const char *name;
	enum counter counter;
} steps[REFUSAL_STEPS] = {
	[REFUSAL_CHECK_MESSAGE] = { "check-message", COUNT_REFUSED_CHECK_MESSAGE },
	[REFUSAL_ADMIT_SOURCE]  = { "admit-source",  COUNT_REFUSED_ADMIT_SOURCE },
	[REFUSAL_NAME_SOURCE]   = { "name-source",   COUNT_REFUSED_NAME_SOURCE },
	[REFUSAL_TAKE_CAPACITY] = { "take-capacity", COUNT_REFUSED_TAKE_CAPACITY },
	[REFUSAL_EDIT_INBOUND]  = { "edit-inbound",  COUNT_REFUSED_EDIT_INBOUND },
	[REFUSAL_CHOOSE_ROUTE]  = { "choose-route",  COUNT_REFUSED_CHOOSE_ROUTE },
	[REFUSAL_PLACE_CALL]    = { "place-call",    COUNT_REFUSED_PLACE_CALL },
	[REFUSAL_AUTHENTICATE]  = { "authenticate",  COUNT_REFUSED_AUTHENTICATE },
};
/* clang-format on */

const char *refusal_step_name(enum refusal_step step)
{
	return steps[step].name;
}

static void destructor(void *data)
{
	struct refusals *r = data;

	mem_deref(r->last);
}

int refusals_open(struct refusals **rp)
{
	*rp = mem_zalloc(sizeof(**rp), destructor);

	return *rp ? 0 : ENOMEM;
}

void refusals_close(struct refusals *r)
{
	mem_deref(r);
}

/* NULL: there are too many kinds */
static struct tally *tally_of(struct refusals *r, uint8_t step, uint16_t code)
{
	uint32_t i = 0;

	while (i < r->counts_n &&
	       (r->counts[i].step != step || r->counts[i].code != code))
		i++;
	if (i == CODES)
		return NULL;
	if (i == r->counts_n) {
		r->counts[i].step = step;
		r->counts[i].code = code;
		r->counts_n++;
	}
	return &r->counts[i].tally;
}

static void count_add(struct refusals *r, uint8_t step, uint16_t code)
{
	struct tally *tally = tally_of(r, step, code);

	if (tally)
		tally_add(tally, 1);
}

static void text_copy(char *to, size_t size, const char *p, size_t n)
{
	if (n >= size)
		n = size - 1;
	if (n)
		memcpy(to, p, n);
	to[n] = '\0';
}

#define COPY(to, text)  text_copy((to), sizeof(to), (text), strlen(text))
#define COPY_PL(to, pl) text_copy((to), sizeof(to), (pl).p, (pl).l)

/* The URI of From or To; "" where it cannot be read */
static struct pl uri_range(const struct message *msg, enum header_id id)
{
	struct address addr;
	struct pl none = { NULL, 0 };

	return message_address(&addr, msg, id) ? none : addr.spec;
}

static void keep(struct refusals *r, const struct refusal *x)
{
	struct kept *k;

	if (!r->last)
		r->last = mem_zalloc(KEPT * sizeof(*r->last), NULL);
	if (!r->last)
		return;

	k = &r->last[r->n++ % KEPT];
	k->wall = clock_wall_ms();
	k->step = (uint8_t)x->step;
	k->code = x->code;
	k->reason = x->reason ? x->reason : "";
	k->src = *x->src;
	COPY(k->realm, x->realm ? x->realm : "");
	COPY(k->object, x->object ? x->object : "");
	k->method[0] = k->from[0] = k->to[0] = k->callid[0] = '\0';
	if (x->msg) {
		COPY_PL(k->method, x->msg->method);
		COPY_PL(k->callid, x->msg->callid);
		COPY_PL(k->from, uri_range(x->msg, HDR_FROM));
		COPY_PL(k->to, uri_range(x->msg, HDR_TO));
	}
}

void refusals_count(struct refusals *r, enum refusal_step step, uint16_t code)
{
	count(steps[step].counter, 1);
	if (r)
		count_add(r, (uint8_t)step, code);
}

void refusals_note(struct refusals *r, const struct refusal *x)
{
	refusals_count(r, x->step, x->code);
	if (r)
		keep(r, x);
}

void refusals_reset(struct refusals *r)
{
	for (uint32_t i = 0; i < r->counts_n; i++)
		memset(&r->counts[i].tally, 0, sizeof(r->counts[i].tally));
}

static uint64_t oldest(const struct refusals *r)
{
	return r->n > KEPT ? r->n - KEPT : 0;
}

/* Both are in order of time */
static int kept_join(struct refusals *sum, const struct refusals *r)
{
	struct kept *v = mem_zalloc(KEPT * sizeof(*v), NULL);
	uint64_t a = sum->n, b = r->n, n = 0;

	if (!v)
		return ENOMEM;
	/* from the newest on, which come last */
	while (n < KEPT && (a > oldest(sum) || b > oldest(r))) {
		const struct kept *x =
			a > oldest(sum) ? &sum->last[(a - 1) % KEPT] : NULL;
		const struct kept *y =
			b > oldest(r) ? &r->last[(b - 1) % KEPT] : NULL;
		bool first = x && (!y || x->wall >= y->wall);

		v[KEPT - ++n] = first ? *x : *y;
		a -= first;
		b -= !first;
	}
	memmove(v, v + KEPT - n, n * sizeof(*v));
	mem_deref(sum->last);
	sum->last = v;
	sum->n = n;
	return 0;
}

int refusals_join(struct refusals *sum, const struct refusals *r)
{
	for (uint32_t i = 0; i < r->counts_n; i++) {
		const struct counted *c = &r->counts[i];
		struct tally *tally = tally_of(sum, c->step, c->code);

		if (tally)
			tally_join(tally, &c->tally);
	}
	return r->n ? kept_join(sum, r) : 0;
}

void refusals_counts(const struct refusals *r, refusal_count_h *h, void *arg)
{
	for (int step = 0; step < REFUSAL_STEPS; step++) {
		uint16_t above = 0;

		for (;;) {
			const struct counted *next = NULL;
			struct counter_report count;

			for (uint32_t i = 0; i < r->counts_n; i++) {
				const struct counted *c = &r->counts[i];

				if (c->step == step && c->code > above &&
				    (!next || c->code < next->code))
					next = c;
			}
			if (!next)
				break;
			above = next->code;
			tally_read(&next->tally, &count);
			h((enum refusal_step)step, above, &count, arg);
		}
	}
}

void refusals_last(const struct refusals *r, uint32_t n, enum refusal_step step,
		   refusal_h *h, void *arg)
{
	const uint64_t end = r->n > KEPT ? r->n - KEPT : 0;

	for (uint64_t i = r->n; i > end && n; i--) {
		const struct kept *k = &r->last[(i - 1) % KEPT];
		const struct refusal_report x = {
			.wall = k->wall,
			.step = (enum refusal_step)k->step,
			.code = k->code,
			.realm = k->realm,
			.method = k->method,
			.from = k->from,
			.to = k->to,
			.callid = k->callid,
			.object = k->object,
			.reason = k->reason,
			.src = &k->src,
		};

		if (step != REFUSAL_STEPS && k->step != step)
			continue;
		h(&x, arg);
		n--;
	}
}
