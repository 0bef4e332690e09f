/*
 * The first steps of a new request: is it sound, who sends it, is there room
 */
#include <string.h>
#include "store/number.h"
#include "sbc/call.h"
#include "sbc/calls.h"
#include "sbc/clock.h"
#include "sbc/counters.h"
#include "sbc/choose.h"
#include "sbc/admit.h"
#include "sbc/pair.h"
#include "sbc/random.h"
#include "sbc/shed.h"
#include "sbc/sources.h"

/* --- check-message ------------------------------------------------------ */

/* A request of ours that came back with the Request-URI that was sent is a loop;
 * with another one a spiral, and served (RFC 3261 16.3, behaviour.md 3.1) */
bool admit_is_loop(const struct worker *w, const struct message *msg)
{
	struct leg_names names = { NULL, NULL, &msg->callid, &msg->from_tag,
				   &msg->to_tag };
	struct call_home *home = calls_home(w->calls);
	const struct leg *leg = calls_by_tag(w->calls, &msg->from_tag);
	struct pl callid, sent;

	if (!leg && w->plan->sip->dialog_transparency)
		leg = leg_kept(&home->tables, &names);
	if (!leg)
		leg = pairs_by_tag(w->pairs, &msg->from_tag);
	if (!leg || !leg->uac || leg->confirmed)
		return false;
	callid = leg_range(leg, LEG_CALLID);
	sent = leg_range(leg, LEG_RURI);

	return !pl_cmp(&callid, &msg->callid) && !pl_cmp(&sent, &msg->ruri);
}

/* Options of these are the called side's to judge (behaviour.md 1.2) */
static bool is_judged_there(uint8_t method)
{
	return method == INVITE || method == SUBSCRIBE || method == MESSAGE ||
	       method == REFER;
}

static bool is_known_option(const struct pl *token)
{
	static const char *const known[] = {
		"100rel", "timer", "replaces", "path", "outbound", "from-change"
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
		if (!pl_strcasecmp(token, known[i]))
			return true;
	return false;
}

/* RFC 3261 8.2.2.3: all that is not known is named */
static uint16_t check_options(struct ingress *in)
{
	const struct message *msg = in->msg;
	const struct header *h;
	size_t at = 0;

	if (is_judged_there(msg->method_id))
		return 0;
	for (h = message_first(msg, HDR_REQUIRE); h; h = message_next(msg, h)) {
		struct pl rest = header_value(msg, h), token;

		while (!list_next(&rest, &token)) {
			int n;

			if (is_known_option(&token))
				continue;
			n = re_snprintf(in->extra + at, sizeof(in->extra) - at,
					"Unsupported: %r\r\n", &token);
			if (n < 0) /* no room for more of them */
				break;
			at += (size_t)n;
		}
	}
	in->extra[at] = '\0';
	return at ? 420 : 0;
}

uint16_t admit_message(struct ingress *in)
{
	const struct message *msg = in->msg;
	struct pl mf = message_value(msg, HDR_MAX_FORWARDS);

	if (!message_uri(msg))
		return 400; /* the scan has answered 416 */
	in->ruri = *message_uri(msg);
	in->forwards = 70;
	if (mf.l && uint_parse(&in->forwards, &mf, 255))
		return 400;

	switch ((enum method_id)msg->method_id) {

	case METHOD_OTHER:
		return 501;

	case BYE:
	case PRACK:
	case UPDATE:
		return 481;

	case INVITE:
	case OPTIONS:
	case REGISTER:
	case INFO:
	case REFER:
	case SUBSCRIBE:
	case NOTIFY:
	case MESSAGE:
	case PUBLISH:
		break;

	case ACK:
	case CANCEL:
	case METHODS:
		(void)re_snprintf(in->extra, sizeof(in->extra),
				  "Allow: " PASSAGE_ALLOWED "\r\n");
		return 405;
	}
	/* RFC 3261 16.3: OPTIONS with 0 is answered by whoever holds it */
	if (!in->forwards && msg->method_id != OPTIONS)
		return passage_refuse(in, 483, "Max-Forwards is used up", NULL,
				      NULL);
	if (admit_is_loop(in->worker, in->msg))
		return passage_refuse(in, 482, "our own request came back",
				      NULL, NULL);

	return check_options(in);
}

/* --- name-source -------------------------------------------------------- */

/* A call of a stranger that its policy lets in where registered users only may
 * call (behaviour.md 1.3) */
static bool is_urgent(struct ingress *in)
{
	uint8_t least = in->at->interface->anonymous_priority;

	return in->msg->method_id == INVITE && least != PRIORITY_NONE &&
	       (in->at->config->allow_anonymous == ALLOW_ANONYMOUS_REGISTERED ||
		in->at->config->allow_anonymous ==
			ALLOW_ANONYMOUS_REGISTER_PREFIX) &&
	       choose_priority(in) >= least;
}

uint16_t admit_source(struct ingress *in)
{
	in->at = passage_endpoint(in->worker, in->from.port);
	if (!in->at)
		return 503; /* the sip-port is being closed */

	sources_match(in->worker->sources, in->plan, in->at, &in->from.src,
		      &in->source);
	in->parties = methods_parties(in->worker->methods, in->source.agent,
				      in->source.realm);
	transaction_parties(in->transaction, &in->parties);
	if (!match_allows(in->at, &in->source, in->msg->method_id == REGISTER,
			  false) &&
	    !is_urgent(in))
		return passage_refuse(
			in, 403, "allow-anonymous does not admit the source",
			"sip-interface", in->at->interface->realm_id);

	if (in->source.agent) {
		struct agent *agent =
			agents_find(in->worker->agents, in->source.agent);

		if (agent)
			agent_heard(agent, clock_ms());
	}
	return 0;
}

/* --- take-capacity ------------------------------------------------------ */

static uint16_t overloaded(struct ingress *in, uint32_t s)
{
	(void)re_snprintf(in->extra, sizeof(in->extra), "Retry-After: %u\r\n",
			  s);
	return 503;
}

uint16_t admit_capacity(struct ingress *in)
{
	uint32_t max = in->plan->sip->max_sessions, retry_after = 0;
	struct limits_query q = {
		.worker = in->worker,
		.interface = in->at->interface,
		.realm = in->source.realm,
		.agent = agents_find(in->worker->agents, in->source.agent),
		.d = INBOUND,
		.method = in->msg->method_id,
	};

	if (in->worker->stopping) {
		in->why = "the SBC ends";
		return overloaded(in, 30);
	}
	if (shed_memory_is_critical()) {
		in->why = "memory is critical";
		return overloaded(in, random_between(5, 10));
	}
	if (in->msg->method_id == INVITE && max &&
	    calls_count(in->worker->calls) >= max) {
		count(COUNT_CAC_SESSION_DROP, 1);
		in->why = "max-sessions is reached";
		str_ncpy(in->object, "sip-config", sizeof(in->object));
		return overloaded(in, random_between(5, 10));
	}
	if (!limits_take(&in->seat, &q, &retry_after))
		return 0;

	/* behaviour.md 1.5: no limit stops an emergency call */
	q.forced = choose_priority(in) == PRIORITY_EMERGENCY;
	if (q.forced && !limits_take(&in->seat, &q, &retry_after))
		return 0;

	(void)passage_refuse(in, 503, "a session or rate limit is reached",
			     q.agent ? "session-agent" : "realm-config",
			     q.agent ? agent_name(q.agent)
				     : in->source.realm->config->identifier);
	return overloaded(in, retry_after);
}
