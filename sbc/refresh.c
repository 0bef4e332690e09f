/*
 * Session timer of one leg (RFC 4028)
 */
#include <errno.h>
#include <string.h>
#include "store/number.h"
#include "policy/header.h"
#include "sbc/clock.h"
#include "sbc/refresh.h"

enum {
	MIN_SE = 90,     /* [s], RFC 4028 5 */
	LEAST_REST = 32, /* [s], RFC 4028 10 */
	MARGIN = 64      /* room for a header value */
};

/* --- Header values ------------------------------------------------------ */

static bool seconds_read(uint32_t *s, struct pl *params,
			 const struct message *msg, enum header_id id)
{
	struct pl value = message_value(msg, id), digits;
	const char *end;
	uint64_t n;

	if (!value.l)
		return false;
	end = memchr(value.p, ';', value.l);
	digits.p = value.p;
	digits.l = end ? (size_t)(end - value.p) : value.l;
	while (digits.l && digits.p[digits.l - 1] == ' ')
		digits.l--;
	if (uint_parse(&n, &digits, UINT32_MAX))
		return false;
	*s = (uint32_t)n;
	if (params) {
		params->p = digits.p + digits.l;
		params->l = value.l - digits.l;
	}
	return true;
}

/* Value of Session-Expires; refresher: "uac", "uas" or NULL */
static size_t value_write(char buf[MARGIN], uint32_t s, const char *refresher)
{
	static const char param[] = ";refresher=";
	size_t n = uint_write(buf, s);

	if (!refresher)
		return n;
	memcpy(buf + n, param, sizeof(param) - 1);
	n += sizeof(param) - 1;
	memcpy(buf + n, refresher, 3);
	return n + 3;
}

static int number_set(struct message *msg, enum header_id id, uint32_t s,
		      const char *refresher)
{
	char buf[MARGIN];
	struct pl value = { buf, value_write(buf, s, refresher) };

	return message_set(msg, id, &value);
}

static int token_add(struct message *msg, enum header_id id)
{
	struct pl value;

	if (message_has_token(msg, id, "timer"))
		return 0;
	pl_set_str(&value, "timer");
	return message_add(msg, id, &value);
}

static int token_drop(struct message *msg, enum header_id id)
{
	const struct header *h = message_first(msg, id);
	struct mbuf *mb;
	int err = 0;

	if (!message_has_token(msg, id, "timer"))
		return 0;
	mb = mbuf_alloc(128);
	if (!mb)
		return ENOMEM;
	for (; h && !err; h = message_next(msg, h)) {
		struct pl rest = header_value(msg, h), token;

		while (!err && !list_next(&rest, &token)) {
			if (is_word(&token, "timer"))
				continue;
			if (mb->end)
				err = mbuf_write_str(mb, ", ");
			err |= mbuf_write_pl(mb, &token);
		}
	}
	if (!err) {
		struct pl value = { (const char *)mb->buf, mb->end };

		err = value.l ? message_set(msg, id, &value)
			      : message_drop(msg, id);
	}
	mem_deref(mb);
	return err;
}

/* The other side's timer is its own matter: nothing of it reaches this leg */
static int all_drop(struct message *out)
{
	int err = message_drop(out, HDR_SESSION_EXPIRES);

	err |= message_drop(out, HDR_MIN_SE);
	err |= token_drop(out, HDR_REQUIRE);
	return err ? ENOMEM : 0;
}

/* --- The timer ---------------------------------------------------------- */

static void fired(void *arg)
{
	struct refresh *r = arg;
	uint64_t now = clock_ms();

	if (now >= r->end) {
		r->h(r, REFRESH_LOST, r->arg);
		return;
	}
	timer_start(&r->timer, r->end - now, fired, r);
	r->h(r, REFRESH_DUE, r->arg);
}

/* RFC 4028 10: who does not refresh gives up a little before the end, and who
 * does refreshes at half time */
static void agree(struct refresh *r, uint32_t interval, bool ours)
{
	uint64_t rest = interval / 3 < LEAST_REST ? interval / 3 : LEAST_REST;

	r->interval = interval;
	r->ours = ours;
	r->raised = false;
	timer_cancel(&r->timer);
	if (!interval)
		return;
	r->end = clock_ms() + (interval - rest) * 1000;
	timer_start(&r->timer, ours ? interval * 500ULL : r->end - clock_ms(),
		    fired, r);
}

void refresh_init(struct refresh *r, refresh_h *h, void *arg)
{
	r->h = h;
	r->arg = arg;
}

const struct session_timer_profile *refresh_profile(const struct plan *plan,
						    const struct realm *realm)
{
	struct pl name;

	if (!realm->interface || !realm->interface->session_timer_profile[0])
		return NULL;
	pl_set_str(&name, realm->interface->session_timer_profile);
	return config_find(plan->config, &element_session_timer_profile, &name);
}

void refresh_use(struct refresh *r, const struct session_timer_profile *profile)
{
	if (profile && profile == r->profile)
		return;
	r->profile = profile;
	if (!profile)
		return;
	r->min = profile->min_se < MIN_SE ? MIN_SE : profile->min_se;
	/* An interval below its own minimum would be refused by everybody */
	r->wanted = profile->session_expires < r->min
			    ? r->min
			    : profile->session_expires;
}

void refresh_stop(struct refresh *r)
{
	timer_cancel(&r->timer);
	r->interval = 0;
}

void refresh_again(struct refresh *r, uint64_t pause)
{
	uint64_t now = clock_ms();

	if (r->interval && now + pause < r->end)
		timer_start(&r->timer, pause, fired, r);
}

/* --- The peer asks ------------------------------------------------------ */

uint32_t refresh_refuses(const struct session_timer_profile *profile,
			 const struct message *msg)
{
	uint32_t s;

	if (!profile || !seconds_read(&s, NULL, msg, HDR_SESSION_EXPIRES) ||
	    s >= profile->min_se ||
	    !message_has_token(msg, HDR_SUPPORTED, "timer"))
		return 0;
	return profile->min_se;
}

static void allowed(struct refresh *r, const struct message *msg)
{
	if (message_first(msg, HDR_ALLOW))
		r->update = message_has_token(msg, HDR_ALLOW, "UPDATE");
}

void refresh_asked(struct refresh *r, const struct message *msg)
{
	struct pl params = { 0 }, who = { 0 };

	if (!r->profile)
		return;
	r->asked = r->asked_min = 0;
	r->named = r->peers = false;
	r->supported = message_has_token(msg, HDR_SUPPORTED, "timer");
	if (seconds_read(&r->asked, &params, msg, HDR_SESSION_EXPIRES) &&
	    !param_get(&params, "refresher", &who)) {
		r->named = true;
		r->peers = is_word(&who, "uac");
	}
	(void)seconds_read(&r->asked_min, NULL, msg, HDR_MIN_SE);
	allowed(r, msg);
}

/* RFC 4028 9: not more than was asked for, not less than both minima */
static uint32_t granted(const struct refresh *r)
{
	uint32_t s = r->wanted;

	if (r->asked && s > r->asked)
		s = r->asked;
	if (s < r->asked_min)
		s = r->asked_min;
	if (s < r->profile->min_se)
		s = r->profile->min_se;
	return s;
}

int refresh_answer(struct refresh *r, bool passes, struct message *out)
{
	uint32_t s = 0;
	bool peers;
	int err;

	if (passes) {
		(void)seconds_read(&s, NULL, out, HDR_SESSION_EXPIRES);
		agree(r, s, false);
		return 0;
	}
	err = all_drop(out);
	if (err || !r->profile)
		return err;

	/* A peer that does not know session timers cannot refresh */
	peers = r->supported && (r->named ? r->peers
					  : r->profile->response_refresher ==
						    TIMER_REFRESHER_UAC);
	s = granted(r);
	err = number_set(out, HDR_SESSION_EXPIRES, s, peers ? "uac" : "uas");
	if (!err && r->supported && peers)
		err = token_add(out, HDR_REQUIRE);
	if (!err)
		agree(r, s, !peers);
	return err;
}

/* --- We ask ------------------------------------------------------------- */

/* RFC 4028 7.4: a refresh names who refreshes at present */
static const char *refresher(const struct refresh *r)
{
	if (r->interval)
		return r->ours ? "uac" : "uas";
	return r->profile->request_refresher == TIMER_REFRESHER_UAC ? "uac"
								    : "uas";
}

int refresh_ask(const struct refresh *r, bool passes, struct message *out)
{
	int err;

	if (passes)
		return 0;
	err = all_drop(out);
	if (err)
		return err;
	if (!r->profile)
		return token_drop(out, HDR_SUPPORTED);

	err = number_set(out, HDR_SESSION_EXPIRES, r->wanted, refresher(r));
	if (!err)
		err = number_set(out, HDR_MIN_SE, r->min, NULL);
	return err ? err : token_add(out, HDR_SUPPORTED);
}

int refresh_lines(const struct refresh *r, struct mbuf *mb)
{
	char buf[MARGIN];
	size_t n = value_write(buf, r->wanted, refresher(r));
	int err;

	err = mbuf_write_str(mb, "Supported: timer\r\nSession-Expires: ");
	err |= mbuf_write_mem(mb, (const uint8_t *)buf, n);
	err |= mbuf_write_str(mb, "\r\nMin-SE: ");
	n = value_write(buf, r->min, NULL);
	err |= mbuf_write_mem(mb, (const uint8_t *)buf, n);
	err |= mbuf_write_str(mb, "\r\n");
	return err ? ENOMEM : 0;
}

void refresh_answered(struct refresh *r, bool passes, const struct message *msg)
{
	struct pl params = { 0 }, who = { 0 };
	uint32_t s = 0;
	bool said = seconds_read(&s, &params, msg, HDR_SESSION_EXPIRES);

	if (passes) {
		agree(r, s, false);
		return;
	}
	if (!r->profile)
		return;
	allowed(r, msg);
	/* RFC 4028 7.2: without the header the peer knows no session timers,
	 * and it is to us alone to find out whether it is alive */
	if (!said || !s) {
		agree(r, r->wanted, true);
		return;
	}
	(void)param_get(&params, "refresher", &who);
	agree(r, s, !is_word(&who, "uas"));
}

bool refresh_raise(struct refresh *r, const struct message *msg)
{
	uint32_t s;

	if (!r->profile || r->raised ||
	    !seconds_read(&s, NULL, msg, HDR_MIN_SE) || s <= r->min)
		return false;
	r->raised = true;
	r->min = s;
	if (r->wanted < s)
		r->wanted = s;
	return true;
}
