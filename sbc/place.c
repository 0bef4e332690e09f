/*
 * Step place-call: a call, a pair, or an answer of our own
 */
#include <errno.h>
#include <string.h>
#include "sbc/call.h"
#include "sbc/calls.h"
#include "sbc/choose.h"
#include "sbc/clock.h"
#include "sbc/pair.h"
#include "sbc/place.h"
#include "sbc/shun.h"
#include "sbc/standin.h"

/* Is the PBX there, as far as we know (4.9)? */
static bool is_reachable(struct ingress *in)
{
	const struct hop *hop = &in->route->hops[0];
	struct agent *agent;

	if (choose_pbx(in))
		return false;
	agent = hop->agent ? agents_find(in->worker->agents, hop->agent) : NULL;
	if (agent)
		return agent_usable(agent, clock_ms());
	return !sa_isset(&hop->addr, SA_ADDR) ||
	       !shun_has(in->worker->shun, hop->realm, &hop->addr,
			 hop->transport == TRANSPORT_NONE
				 ? TRANSPORT_UDP
				 : (uint8_t)hop->transport,
			 clock_ms());
}

/* OPTIONS for the SBC itself, or for the contact of an agent (3.9) */
static uint16_t answer_options(struct ingress *in)
{
	if (in->called.agent && !is_reachable(in))
		return 480;
	passage_reply(in, 200,
		      "Allow: " PASSAGE_ALLOWED "\r\n"
		      "Accept: application/sdp\r\n"
		      "Supported: 100rel, timer, replaces\r\n");
	in->transaction = transaction_forget(in->transaction);
	return 0;
}

static uint16_t answer_register(struct ingress *in)
{
	struct mbuf *mb = mbuf_alloc(256);
	int err = mb ? standin_answer(mb, in->worker, &in->called, in->msg)
		     : ENOMEM;

	if (!err)
		err = mbuf_write_u8(mb, '\0') ? ENOMEM : 0;
	if (!err) {
		passage_reply(in, 200, (const char *)mb->buf);
		in->transaction = transaction_forget(in->transaction);
		surrogates_active(in->worker->surrogates, in->called.agent);
	}
	mem_deref(mb);
	if (err)
		return err == EBADMSG ? 400 : 503;
	return 0;
}

static uint16_t place_pair(struct ingress *in)
{
	struct pair_setup setup = {
		.home = in->worker->pairs,
		.plan = in->plan,
		.transaction = in->transaction,
		.request = in->edited ? in->edited : in->msg,
		.from = in->from,
		.at = in->at,
		.source = in->source,
		.owner = in->owner,
		.called = in->called,
		.route = in->route,
		.names = { &calls_home(in->worker->calls)->tables, call_other },
	};
	uint16_t code;

	/* From here on the pair answers, and owns what was taken */
	in->transaction = NULL;
	in->route = NULL;
	code = pair_place(&setup);
	if (code) {
		in->transaction = setup.transaction;
		in->route = setup.route;
	}
	return code;
}

static uint16_t place_invite(struct ingress *in)
{
	struct call_setup setup = {
		.home = calls_home(in->worker->calls),
		.plan = in->plan,
		.transaction = in->transaction,
		.invite = in->edited ? in->edited : in->msg,
		.from = in->from,
		.at = in->at,
		.source = in->source,
		.owner = in->owner,
		.called = in->called,
		.route = in->route,
		.seat = in->seat,
	};
	uint32_t min_se;
	uint16_t code;

	min_se = refresh_refuses(refresh_profile(in->plan, in->source.realm),
				 in->msg);
	if (min_se) {
		(void)re_snprintf(in->extra, sizeof(in->extra),
				  "Min-SE: %u\r\n", min_se);
		return 422;
	}
	/* From here on the call answers, and owns what was taken */
	in->transaction = NULL;
	in->route = NULL;
	memset(&in->seat, 0, sizeof(in->seat));
	code = call_place(&setup);
	if (code) {
		in->transaction = setup.transaction;
		in->route = setup.route;
		in->seat = setup.seat;
	}
	return code;
}

uint16_t place_request(struct ingress *in)
{
	if (in->ours)
		return in->msg->method_id == REGISTER ? answer_register(in)
						      : answer_options(in);
	return in->msg->method_id == INVITE ? place_invite(in) : place_pair(in);
}
