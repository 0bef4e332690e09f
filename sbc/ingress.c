/*
 * The steps of a new request, from top to bottom
 *
 * One function refuses, counts under the step's name and releases. See
 * behaviour.md 1.1.
 */
#include <errno.h>
#include <string.h>
#include "store/log.h"
#include "policy/cause.h"
#include "sbc/account.h"
#include "sbc/admit.h"
#include "sbc/call.h"
#include "sbc/calls.h"
#include "sbc/choose.h"
#include "sbc/counters.h"
#include "sbc/home.h"
#include "sbc/lobby.h"
#include "sbc/pair.h"
#include "sbc/place.h"
#include "sbc/random.h"
#include "sbc/refusals.h"
#include "sbc/respond.h"
#include "sbc/shed.h"
#include "sbc/sources.h"
#include "sbc/surrogates.h"
#include "sbc/within.h"
#include "sbc/ingress.h"

typedef uint16_t(step_h)(struct ingress *in);

struct step {
	step_h *act;
	enum refusal_step refused;
	bool recorded; /* a stranger has no call records */
};

/* --- The steps ---------------------------------------------------------- */

static const struct step steps[] = {
	{ admit_message, REFUSAL_CHECK_MESSAGE, false },
	{ admit_source, REFUSAL_NAME_SOURCE, false },
	{ admit_capacity, REFUSAL_TAKE_CAPACITY, true },
	{ choose_route, REFUSAL_CHOOSE_ROUTE, true },
	{ place_request, REFUSAL_PLACE_CALL, true },
};
enum {
	STEPS = sizeof(steps) / sizeof(steps[0])
};

static void record_refusal(struct ingress *in, const struct step *step,
			   uint16_t code)
{
	const struct account_request request = {
		.msg = in->msg,
		.plan = in->plan,
		.source = &in->source,
		.from = &in->from,
		.owner = &in->owner,
		.called = &in->called,
	};

	account_refused(&request, refusal_step_name(step->refused),
			code == PASSAGE_SILENCE ? 0 : code, in->worker->db);
}

static void refuse(struct ingress *in, const struct step *step, uint16_t code)
{
	const struct refusal refusal = {
		.step = step->refused,
		.code = code == PASSAGE_SILENCE ? 0 : code,
		.realm = in->source.realm ? in->source.realm->config->identifier
			 : in->at         ? in->at->interface->realm_id
					  : NULL,
		.src = &in->from.src,
		.msg = in->msg,
		.object = in->object,
		.reason = in->why ? in->why : cause_phrase(code),
	};

	/* a redirection is an answer of the route, and no refusal */
	if (code < 300 || code > 399) {
		refusals_note(in->worker->refusals, &refusal);
		count(COUNT_REJECTIONS, 1);
	}
	if (step->act == admit_capacity)
		transactions_throttled(in->worker->transactions, in->from.port,
				       &in->parties, in->msg->method_id,
				       AS_SERVER);
	if (log_admit("refused"))
		log_info(SIPD, "refused",
			 "step=%s code=%u call-id=%.*s method=%.*s realm=%s "
			 "object=\"%s\" text=\"%s\"",
			 refusal_step_name(step->refused), refusal.code,
			 (int)in->msg->callid.l, in->msg->callid.p,
			 (int)in->msg->method.l, in->msg->method.p,
			 refusal.realm ? refusal.realm : "", in->object,
			 refusal.reason);
	if (step->recorded)
		record_refusal(in, step, code);
	if (in->at &&
	    limits_drop_response(in->source.agent, in->at->interface, code))
		code = PASSAGE_SILENCE;
	if (code != PASSAGE_SILENCE)
		passage_reply(in, code, in->extra);
}

static void release(struct ingress *in)
{
	transaction_forget(in->transaction);
	mem_deref(in->route);
	mem_deref(in->edited);
	seat_give(&in->seat);
}

static void no_event(struct transaction *t, enum transaction_event ev,
		     const struct message *msg, void *arg)
{
	(void)t;
	(void)ev;
	(void)msg;
	(void)arg;
}

/* An answer to what cannot be served, without state (RFC 3261 8.2.7) */
static void reply_stateless(const struct arrival *from,
			    const struct message *msg, uint16_t code,
			    const char *phrase, const char *extra)
{
	struct wire_response r = {
		.request = msg,
		.from = from,
		.code = code,
	};
	char tag[STABLE_TAG];
	struct target to;
	struct mbuf *mb;

	if (msg->code || msg->method_id == ACK)
		return;
	transactions_tag(tag, msg);
	r.to_tag = tag;
	if (phrase)
		pl_set_str(&r.reason, phrase);
	if (extra)
		pl_set_str(&r.extra, extra);
	if (respond_write(&mb, &r))
		return;
	wire_reply_target(&to, from);
	(void)port_send(from->port, &to, mb, NULL, NULL);
	mem_deref(mb);
}

/* A request that begins something */
static void begin(struct worker *w, const struct arrival *from,
		  const struct message *msg)
{
	struct ingress in = {
		.worker = w,
		.plan = w->plan,
		.from = *from,
		.msg = msg,
	};
	uint16_t code = 0;
	int err;

	err = transaction_open(&in.transaction, w->transactions, from, msg,
			       no_event, NULL);
	if (err == EEXIST) {
		passage_reply(&in, 482, "");
		transaction_forget(in.transaction);
	}
	if (err)
		return;

	for (size_t i = 0; i < STEPS && !code; i++) {
		code = steps[i].act(&in);
		if (code)
			refuse(&in, &steps[i], code);
	}
	release(&in);
}

/* --- Messages ----------------------------------------------------------- */

static uint16_t fault_code(enum scan_fault fault)
{
	switch (fault) {

	case SCAN_VERSION:
		return 505;
	case SCAN_URI:
		return 416;
	case SCAN_OK:
	case SCAN_NOT_SIP:
	case SCAN_BAD_HEADER:
	case SCAN_MISSING:
	case SCAN_DUPLICATE:
	case SCAN_BAD_VALUE:
	case SCAN_LENGTH:
	case SCAN_TOO_MANY:
	case SCAN_CSEQ_METHOD:
	case SCAN_FAULTS:
		break;
	}
	return 400;
}

/* Of what is refused before the steps */
static void note(struct worker *w, const struct arrival *from,
		 const struct message *msg, uint16_t code, const char *why)
{
	const struct endpoint *at = passage_endpoint(w, from->port);
	const struct refusal refusal = {
		.step = REFUSAL_CHECK_MESSAGE,
		.code = code,
		.realm = at ? at->interface->realm_id : NULL,
		.src = &from->src,
		.msg = msg,
		.reason = why,
	};

	refusals_note(w->refusals, &refusal);
}

static void malformed(struct worker *w, const struct arrival *from,
		      const struct message *msg,
		      const struct scan_result *result)
{
	/* Of a message that is too long only the header section came here: that
	 * its length is more than that is no fault of its own */
	bool cut = from->refuse && result->fault == SCAN_LENGTH;
	uint16_t code = cut ? from->refuse : fault_code(result->fault);
	char phrase[64];

	count(COUNT_INVALID_MESSAGES, 1);
	if (!msg || !result->answerable)
		return;
	(void)re_snprintf(phrase, sizeof(phrase), "Bad %s Header",
			  header_id_name(result->header));
	note(w, from, msg, code,
	     result->header != HDR_OTHER ? "a header cannot be read"
					 : "the message cannot be read");
	reply_stateless(from, msg, code,
			code == 400 && result->header != HDR_OTHER ? phrase
								   : NULL,
			NULL);
}

static void in_dialog(struct worker *w, const struct arrival *from,
		      const struct message *msg)
{
	struct leg *leg = calls_find(w->calls, from, msg);

	if (leg) {
		within_request(leg, from, msg);
		return;
	}
	leg = pairs_by_tag(w->pairs, &msg->to_tag);
	if (leg) {
		pair_request(leg, from, msg);
		return;
	}
	if (home_pass_on(w, from, msg))
		return;
	/* Nothing of ours, or over: the same word for both */
	note(w, from, msg, 481, "no such dialog");
	reply_stateless(from, msg, 481, NULL, NULL);
}

static bool is_active(const struct surrogate_agent *agent, void *arg)
{
	if (agent->register_mode == REGISTER_MODE_TRIGGERED)
		surrogates_active(arg, agent);

	return false;
}

/* A PBX that speaks is active: behaviour.md 4.8 counts any well-formed message
 * and each keep-alive. Costs nothing while no agent is triggered */
void ingress_keepalive(const struct arrival *from, void *arg)
{
	struct worker *w = arg;
	struct identity_live live = { 0 };
	const struct endpoint *at;
	struct source source;

	if (!surrogates_any_triggered(w->surrogates) ||
	    home_send_keepalive(w, from))
		return;

	at = passage_endpoint(w, from->port);
	if (!at)
		return;
	sources_match(w->sources, w->plan, at, &from->src, &source);
	surrogates_identity(w->surrogates, &live);
	(void)identity_agents_walk(w->plan->identities, source.realm,
				   &from->src, &live, is_active, w->surrogates);
}

/* --- Overload (behaviour.md 1.5) ----------------------------------------- */

/* 503 before anything is made for the request */
static void turn_away(struct worker *w, const struct arrival *from,
		      const struct message *msg, const struct endpoint *at,
		      const struct source *source)
{
	const struct parties parties =
		methods_parties(w->methods, source->agent, source->realm);
	char extra[32];

	lobby_turned_away(w->lobby, from, msg);
	refusals_count(w->refusals, REFUSAL_TAKE_CAPACITY, 503);
	transactions_answered(w->transactions, from->port, &parties,
			      msg->method_id, 503);
	transactions_throttled(w->transactions, from->port, &parties,
			       msg->method_id, AS_SERVER);
	count(COUNT_OVERLOAD_REJECTS, 1);
	if (limits_drop_response(source->agent, at->interface, 503))
		return;
	(void)re_snprintf(extra, sizeof(extra), "Retry-After: %u\r\n",
			  random_between(5, 10));
	reply_stateless(from, msg, 503, NULL, extra);
}

/* Has the thread too much to do? Then the request is turned away, or waits until
 * all that belongs to calls is served. False: it is served now */
static bool is_crowded(struct worker *w, const struct arrival *from,
		       const struct message *msg)
{
	const struct endpoint *at;
	struct source source;
	bool stranger, again, over;

	if (!w->shed)
		return false;
	over = shed_look(w->shed, from->conn ? SHED_UNKNOWN : from->age);
	again = lobby_remembers(w->lobby, from, msg);
	if (!over && !again)
		return false;
	at = passage_endpoint(w, from->port);
	if (!at)
		return false;

	sources_match(w->sources, w->plan, at, &from->src, &source);
	stranger = sources_is_stranger(&source);
	if (lobby_has(w->lobby, from, msg))
		return true;
	if (again || shed_refuses(w->shed, stranger) ||
	    lobby_put(w->lobby, from, msg, stranger))
		turn_away(w, from, msg, at, &source);

	return true;
}

void ingress_waited(const struct arrival *from, const struct message *msg,
		    bool is_late, void *arg)
{
	struct worker *w = arg;
	const struct endpoint *at = passage_endpoint(w, from->port);
	struct source source;

	if (!is_late || !at) {
		/* It may have come once more when nobody had to wait */
		if (transactions_take(w->transactions, from, msg) ==
		    NEW_REQUEST)
			begin(w, from, msg);
		return;
	}
	sources_match(w->sources, w->plan, at, &from->src, &source);
	turn_away(w, from, msg, at, &source);
}

void ingress_arrival(const struct arrival *from, struct mbuf *mb, void *arg)
{
	struct worker *w = arg;
	struct message *msg = NULL;
	struct scan_result result;

	if (transactions_repeat(w->transactions) &&
	    transactions_match(w->transactions, from, mb))
		return;

	if (message_scan(&msg, mb, &result)) {
		malformed(w, from, msg, &result);
		mem_deref(msg);
		return;
	}

	if (home_send(w, from, mb, msg)) {
		mem_deref(msg);
		return;
	}
	ingress_keepalive(from, w);
	/* It may be about a request that waits */
	if (msg->method_id == CANCEL && !msg->code && w->lobby)
		lobby_serve(w->lobby, from, msg);
	switch (transactions_take(w->transactions, from, msg)) {

	case MATCHED:
	case NEW_CANCEL:
		break;

	case STRAY:
		count(COUNT_INVALID_RESPONSES, 1);
		break;

	case NEW_ACK: {
		struct leg *leg = calls_find(w->calls, from, msg);

		if (leg && !leg_admit(leg, from, msg))
			call_ack(leg, msg);
		break;
	}

	case NEW_REQUEST:
		if (msg->to_tag.l)
			in_dialog(w, from, msg);
		else if (!is_crowded(w, from, msg))
			begin(w, from, msg);
		break;
	}
	mem_deref(msg);
}

/* The steps that a trial can be put through */
static uint16_t try_steps(struct ingress *in, const char **step)
{
	uint16_t code;

	*step = "name-source";
	if (in->source.realm && sa_isset(&in->from.src, SA_ADDR) &&
	    !match_allows(in->at, &in->source, in->msg->method_id == REGISTER,
			  false))
		return 403;

	*step = "choose-route";
	code = in->source.realm ? choose_find(in) : choose_anywhere(in);
	if (!code)
		*step = NULL;

	return code;
}

int ingress_try(struct worker *w, const struct source *source,
		const struct sa *src, const struct message *msg,
		const struct ingress_wishes *wishes, struct ingress_trial *out)
{
	struct ingress in = {
		.worker = w,
		.wishes = wishes,
		.plan = wishes && wishes->plan ? wishes->plan : w->plan,
		.msg = msg,
		.source = *source,
		.forwards = 70,
	};

	memset(out, 0, sizeof(*out));
	out->source = *source;
	if (source->realm && !source->realm->endpoints_n)
		return ENOTCONN;
	if (!message_uri(msg))
		return EINVAL;
	in.ruri = *message_uri(msg);
	in.at = source->realm ? source->realm->endpoints[0] : NULL;
	in.from.src = *src;
	in.route = mem_zalloc(sizeof(*in.route), NULL);
	if (!in.route)
		return ENOMEM;

	out->code = try_steps(&in, &out->step);
	out->owner = in.owner;
	out->called = in.called;
	out->ours = in.ours;
	out->route = *in.route;
	mem_deref(in.route);
	return 0;
}
