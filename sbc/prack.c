/*
 * Reliable 1xx: RSeq and RAck of two legs, repeated until PRACK
 */
#include <errno.h>
#include "store/number.h"
#include "policy/header.h"
#include "sbc/prack.h"
#include "sbc/random.h"

enum {
	RACK_SIZE = 40 /* two numbers of 10 digits, "INVITE" */
};

struct prack {
	uint32_t theirs;         /* RSeq of the last 1xx taken; 0: none */
	uint32_t their_cseq;     /* of the INVITE that it answers */
	uint32_t ours, our_cseq; /* the same on the leg that answers */
	bool open;               /* the last one of ours has no PRACK */
	bool sdp;                /* and bears SDP */
	struct repeat *repeat;   /* of it, until the final answer */
	struct prack_user user;
};

static void destructor(void *data)
{
	struct prack *p = data;

	mem_deref(p->repeat);
}

static bool is_reliable(const struct message *msg, uint32_t *rseq)
{
	struct pl value = message_value(msg, HDR_RSEQ);
	uint64_t n;

	if (!value.l || !message_has_token(msg, HDR_REQUIRE, "100rel") ||
	    uint_parse(&n, &value, UINT32_MAX) || !n)
		return false;
	*rseq = (uint32_t)n;
	return true;
}

enum prack_verdict prack_take(struct leg *asked, const struct message *msg)
{
	struct prack *p = asked->prack;
	uint32_t rseq;

	if (!is_reliable(msg, &rseq))
		return PRACK_PLAIN;

	if (!p) {
		p = asked->prack = mem_zalloc(sizeof(*p), destructor);
		if (!p)
			return PRACK_ABSORBED;
		/* RFC 3262 3: from 1 to 2^31 - 1, so that it can rise */
		p->ours = random_between(0, INT32_MAX - 1);
	}
	if (p->open || (p->theirs && rseq != p->theirs + 1))
		return PRACK_ABSORBED;

	p->theirs = rseq;
	p->their_cseq = msg->cseq;
	return PRACK_NEW;
}

static void lost(void *arg)
{
	struct prack *p = arg;
	struct prack_user user = p->user;

	p->repeat = mem_deref(p->repeat);
	user.h(user.arg);
}

/* RFC 3262 3: from T1, doubled each time without a bound, for 64*T1 */
static int repeat_begin(struct prack *p, const struct leg *leg, struct mbuf *mb)
{
	const uint32_t t1 = leg->plan->sip->init_timer;
	struct repeat_setup setup = {
		.port = leg->port,
		.mb = mb,
		.t1 = t1,
		.t2 = 64 * t1,
		.limit = 64 * t1,
	};

	wire_reply_target(&setup.to, transaction_arrival(leg->asked));
	p->repeat = mem_deref(p->repeat);
	return repeat_start(&p->repeat, &setup, lost, p);
}

int prack_reply(struct leg *leg, struct leg *asked, struct leg_reply *reply,
		struct message *copy, const struct prack_user *user)
{
	struct prack *p = asked->prack;
	const struct message *invite;
	struct mbuf *mb = NULL;
	char digits[20];
	struct pl rseq;
	int err;

	invite = leg->asked ? transaction_request(leg->asked) : NULL;
	if (!invite)
		return EALREADY;

	p->our_cseq = invite->cseq;
	p->user = *user;
	rseq.p = digits;
	rseq.l = uint_write(digits, ++p->ours);
	err = message_set(copy, HDR_RSEQ, &rseq);
	if (err)
		return err;

	p->open = true;
	p->sdp = reply->body.l > 0;
	reply->keep = &mb;
	err = leg_reply(leg, reply);
	reply->keep = NULL;
	/* What the port refused now is repeated all the same */
	if (mb)
		err = repeat_begin(p, leg, mb);
	mem_deref(mb);
	if (err) {
		/* As if it had been lost on its way here: it comes again */
		p->open = false;
		p->theirs--;
	}
	return err;
}

/* Cut a number off the front of "776656 1 INVITE" */
static int number_next(uint32_t *np, struct pl *rest)
{
	struct pl word = { rest->p, 0 };
	uint64_t n;
	int err;

	while (word.l < rest->l && rest->p[word.l] != ' ' &&
	       rest->p[word.l] != '\t')
		word.l++;
	err = uint_parse(&n, &word, UINT32_MAX);
	if (err)
		return err;

	rest->p += word.l;
	rest->l -= word.l;
	while (rest->l && (*rest->p == ' ' || *rest->p == '\t')) {
		rest->p++;
		rest->l--;
	}
	*np = (uint32_t)n;
	return 0;
}

uint16_t prack_match(const struct leg *asked, const struct message *msg)
{
	struct pl rest = message_value(msg, HDR_RACK);
	const struct prack *p = asked->prack;
	uint32_t rseq, cseq;

	if (!rest.l || number_next(&rseq, &rest) || number_next(&cseq, &rest))
		return 400;
	if (!p || !p->open || rseq != p->ours || cseq != p->our_cseq ||
	    method_find(&rest) != INVITE)
		return 481;

	return 0;
}

void prack_done(struct leg *asked)
{
	struct prack *p = asked->prack;

	if (!p)
		return;
	p->open = false;
	p->repeat = mem_deref(p->repeat);
}

/* "776656 1 INVITE" as the other side counts */
static struct pl rack_text(char text[RACK_SIZE], const struct prack *p)
{
	struct pl pl = { text, 0 };

	pl.l = uint_write(text, p->theirs);
	text[pl.l++] = ' ';
	pl.l += uint_write(text + pl.l, p->their_cseq);
	for (const char *s = " INVITE"; *s; s++)
		text[pl.l++] = *s;
	return pl;
}

int prack_edit(const struct leg *asked, struct message *out)
{
	char text[RACK_SIZE];
	struct pl value;

	if (!asked->prack)
		return ENOENT;
	value = rack_text(text, asked->prack);
	return message_set(out, HDR_RACK, &value);
}

int prack_write(const struct leg *asked, struct mbuf *mb)
{
	char text[RACK_SIZE];
	struct pl value;
	int err;

	if (!asked->prack)
		return ENOENT;
	value = rack_text(text, asked->prack);
	err = mbuf_write_str(mb, "RAck: ");
	err |= mbuf_write_pl(mb, &value);
	err |= mbuf_write_str(mb, "\r\n");
	return err ? ENOMEM : 0;
}

bool prack_blocks(const struct leg *asked)
{
	return asked->prack && asked->prack->open && asked->prack->sdp;
}

void prack_stop(struct leg *asked)
{
	if (asked->prack)
		asked->prack->repeat = mem_deref(asked->prack->repeat);
}

void prack_reset(struct leg *asked)
{
	struct prack *p = asked->prack;

	if (!p)
		return;
	p->repeat = mem_deref(p->repeat);
	p->open = p->sdp = false;
	p->theirs = 0;
}
