/*
 * One subscription: pairs of dialogs that NOTIFYs cross
 */
#include <errno.h>
#include <string.h>
#include "store/number.h"
#include "policy/header.h"
#include "sbc/counters.h"
#include "sbc/queue.h"
#include "sbc/replaces.h"
#include "sbc/respond.h"
#include "sbc/subscription.h"

enum {
	JOINTS_MAX = 16, /* of one request: a fork wider than that is cut */
	DEFAULT = 3600,  /* where nobody says how long it lasts [s] */
	RETRY_AFTER = 30 /* so long does a restart take at most [s] */
};

struct joint {
	struct le le;
	struct subscription *s;
	struct leg *a, *b;
	struct list relays;
	struct queue queue[2]; /* by the side that asks */
	struct timer life;
	uint32_t granted;  /* [s] */
	uint32_t goodbyes; /* of ours, unanswered */
	uint8_t state;
};

struct subscription {
	struct subscription_setup setup;
	struct message *request; /* until no further dialog may come of it */
	char *event;             /* value of Event; NULL: there is none */
	enum method_id method;
	struct list joints;
	struct timer forks; /* N: RFC 6665 4.1.2.4 */
	bool walks;         /* through the joints: those that end stay */
};

/* --- One joint ---------------------------------------------------------- */

static void joint_destructor(void *data)
{
	struct joint *j = data;

	if (j->le.list && j->state != JOINT_OVER)
		gauge(COUNT_SUBSCRIPTIONS, -1);
	list_unlink(&j->le);
	timer_cancel(&j->life);
	queue_end(&j->queue[SIDE_A], 0);
	queue_end(&j->queue[SIDE_B], 0);
	list_flush(&j->relays);
	mem_deref(j->a);
	mem_deref(j->b);
}

static struct sides sides_of(const struct joint *j)
{
	return sides_hunted(j->s->setup.hunt, j->a, j->b);
}

static enum side side_of(const struct joint *j, const struct leg *leg)
{
	return leg == j->a ? SIDE_A : SIDE_B;
}

/* What a server has to say or do still, once its time is over: T1 and T2 are
 * those of the legs */
static uint64_t grace(const struct joint *j)
{
	return 64ULL * j->a->plan->sip->init_timer;
}

static void expired(void *arg);

static void joint_feed(struct joint *j, enum joint_event ev)
{
	(void)machine_feed(&joint_machine, &j->state, j, ev, NULL, NULL);
}

static int last_for(void *obj, const struct message *msg)
{
	struct joint *j = obj;
	(void)msg;

	timer_start(&j->life, j->granted * 1000ULL + grace(j), expired, j);
	return 0;
}

static int await_notify(void *obj, const struct message *msg)
{
	struct joint *j = obj;
	(void)msg;

	timer_start(&j->life, grace(j), expired, j);
	return 0;
}

/* Answers are owed still to whoever asked in this moment */
static void unanswered_end(struct joint *j)
{
	struct le *le = j->relays.head;

	while (le) {
		struct relay *r = le->data;

		le = le->next;
		relay_close(r, relay_is_open(r) ? 481 : 0);
	}
	queue_end(&j->queue[SIDE_A], 481);
	queue_end(&j->queue[SIDE_B], 481);
}

/* While there may be further dialogs it stays as a mark: who notified that it is
 * over is no new one */
static int end(void *obj, const struct message *msg)
{
	struct joint *j = obj;
	struct subscription *s = j->s;
	(void)msg;

	unanswered_end(j);
	timer_cancel(&j->life);
	gauge(COUNT_SUBSCRIPTIONS, -1);
	if (s->request || s->walks)
		return 0;
	mem_deref(j);
	if (!s->joints.head)
		s->setup.over(s->setup.arg);
	return 0;
}

static int say_goodbye(void *obj, const struct message *msg);

/* clang-format off */
static const struct rule rules[] = {
	{ JOINT_ACTIVE,  JOINT_GRANTED,    last_for,     JOINT_ACTIVE  },
	{ JOINT_ACTIVE,  JOINT_REVOKED,    await_notify, JOINT_LEAVING },  /* RFC 6665 4.1.2.3 */
	{ JOINT_ACTIVE,  JOINT_NOTIFIED,   last_for,     JOINT_ACTIVE  },
	{ JOINT_ACTIVE,  JOINT_TERMINATED, end,          JOINT_OVER    },
	{ JOINT_ACTIVE,  JOINT_LOST,       end,          JOINT_OVER    },  /* 4.1.2.2, 4.2.2 */
	{ JOINT_ACTIVE,  JOINT_EXPIRED,    end,          JOINT_OVER    },
	{ JOINT_LEAVING, JOINT_GRANTED,    last_for,     JOINT_ACTIVE  },  /* thought better of it */
	{ JOINT_LEAVING, JOINT_REVOKED,    await_notify, JOINT_LEAVING },
	{ JOINT_LEAVING, JOINT_NOTIFIED,   NULL,         JOINT_LEAVING },  /* sent before it */
	{ JOINT_LEAVING, JOINT_TERMINATED, end,          JOINT_OVER    },
	{ JOINT_LEAVING, JOINT_LOST,       end,          JOINT_OVER    },
	{ JOINT_LEAVING, JOINT_EXPIRED,    end,          JOINT_OVER    },
	{ JOINT_ACTIVE,  JOINT_STOPPED,    say_goodbye,  JOINT_STOPPING },
	{ JOINT_LEAVING, JOINT_STOPPED,    say_goodbye,  JOINT_STOPPING },
	{ JOINT_STOPPING, JOINT_GRANTED,   NULL,         JOINT_STOPPING },
	{ JOINT_STOPPING, JOINT_REVOKED,   NULL,         JOINT_STOPPING },
	{ JOINT_STOPPING, JOINT_NOTIFIED,  NULL,         JOINT_STOPPING },
	{ JOINT_STOPPING, JOINT_STOPPED,   NULL,         JOINT_STOPPING },
	{ JOINT_STOPPING, JOINT_TERMINATED, end,         JOINT_OVER    },
	{ JOINT_STOPPING, JOINT_LOST,      end,          JOINT_OVER    },  /* both have answered */
	{ JOINT_STOPPING, JOINT_EXPIRED,   end,          JOINT_OVER    },
	{ 0 }
};

static const char *const states[] = {
	"ACTIVE", "LEAVING", "STOPPING", "OVER", NULL
};
static const char *const events[] = {
	"", "GRANTED", "REVOKED", "NOTIFIED", "TERMINATED", "LOST", "EXPIRED",
	"STOPPED", NULL
};
/* clang-format on */

const struct machine joint_machine = { "joint", rules, states, events };

static void expired(void *arg)
{
	joint_feed(arg, JOINT_EXPIRED);
}

/* --- How long it lasts -------------------------------------------------- */

static void answer_granted(struct joint *j, const struct message *answer)
{
	struct pl value = message_value(answer, HDR_EXPIRES);
	uint64_t s = j->granted;

	/* A REFER's answer does not say (RFC 3515 2.4.4) */
	if (value.l && uint_parse(&s, &value, UINT32_MAX))
		s = j->granted;
	j->granted = (uint32_t)s;
	joint_feed(j, s ? JOINT_GRANTED : JOINT_REVOKED);
}

static bool token_is(const struct pl *value, const char *token)
{
	size_t n = strlen(token);

	return value->l >= n && !strncasecmp(value->p, token, n) &&
	       (value->l == n || value->p[n] == ';' || value->p[n] == ' ');
}

/* RFC 6665 4.1.3: the notifier says how it stands */
static void notify_granted(struct joint *j, const struct message *notify)
{
	struct pl value = message_value(notify, HDR_SUBSCRIPTION_STATE), left;
	const char *params = memchr(value.p, ';', value.l);
	uint64_t s = j->granted;

	if (token_is(&value, "terminated")) {
		joint_feed(j, JOINT_TERMINATED);
		return;
	}
	if (params) {
		struct pl rest = { params, 0 };

		rest.l = value.l - (size_t)(params - value.p);
		if (!param_get(&rest, "expires", &left) &&
		    uint_parse(&s, &left, UINT32_MAX))
			s = j->granted;
	}
	j->granted = (uint32_t)s;
	joint_feed(j, JOINT_NOTIFIED);
}

/* --- Requests inside ---------------------------------------------------- */

static int relay_edit(struct relay *r, struct message *out,
		      const struct message *msg, void *arg)
{
	const struct joint *j = arg;
	struct sides s = sides_of(j);
	bool to_b = relay_to(r) == j->b;
	int err = msg->code ? 0 : replaces_drop(out);

	if (err)
		return err;
	return sides_edit(&s, msg->code ? !to_b : to_b, out, msg);
}

static void relay_proof(struct relay *r, struct proof_setup *setup, void *arg)
{
	const struct joint *j = arg;
	struct sides s = sides_of(j);

	sides_proof(&s, relay_to(r) == j->b, setup);
}

static void relay_challenged(struct relay *r, enum proof result,
			     const struct proof_report *report, void *arg)
{
	(void)r;
	(void)result;
	(void)report;
	(void)arg;
}

static void relay_proved(struct relay *r, const struct proof_report *report,
			 uint16_t code, void *arg)
{
	(void)r;
	(void)report;
	(void)code;
	(void)arg;
}

static void relay_answer(struct relay *r, const struct message *msg,
			 struct leg_reply *reply, struct mbuf **body, void *arg)
{
	(void)reply;
	(void)body;
	(void)arg;
	if (msg->code < 300)
		leg_contact(relay_from(r), msg);
}

static void relay_settled(struct relay *r, void *arg)
{
	struct joint *j = arg;

	queue_pass(&j->queue[side_of(j, relay_from(r))], r);
}

/* RFC 6665 4.1.2.2 and 4.2.2: answers after which there is no subscription */
static bool is_fatal(uint16_t code)
{
	static const uint16_t codes[] = { 404, 405, 408, 410, 416, 480, 481,
					  482, 483, 484, 485, 489, 501, 604 };

	for (size_t i = 0; i < sizeof(codes) / sizeof(*codes); i++)
		if (codes[i] == code)
			return true;
	return false;
}

static void relay_done(struct relay *r, uint16_t code,
		       const struct message *msg, void *arg)
{
	struct joint *j = arg;
	enum method_id method = relay_method(r);
	bool to_b = relay_to(r) == j->b;

	if (!(to_b ? method == SUBSCRIBE : method == NOTIFY))
		return;
	if (code == 503 && !msg)
		code = 408; /* a transport error is silence */
	if (is_fatal(code))
		joint_feed(j, JOINT_LOST);
	else if (!to_b)
		notify_granted(j, relay_request(r));
	else if (code < 300)
		answer_granted(j, msg);
}

static const struct relay_user relay_user = {
	.edit = relay_edit,
	.proof = relay_proof,
	.challenged = relay_challenged,
	.proved = relay_proved,
	.answer = relay_answer,
	.settled = relay_settled,
	.done = relay_done,
};

/* --- Shutdown ------------------------------------------------------------ */

static void goodbye_done(struct relay *r, uint16_t code,
			 const struct message *msg, void *arg)
{
	struct joint *j = arg;
	(void)r;
	(void)code;
	(void)msg;

	if (!--j->goodbyes)
		joint_feed(j, JOINT_LOST);
}

static const struct relay_user goodbye_user = {
	.proof = relay_proof,
	.challenged = relay_challenged,
	.proved = relay_proved,
	.done = goodbye_done,
};

static void goodbye(struct joint *j, struct leg *to, enum method_id method,
		    const char *line)
{
	struct relay_setup setup = {
		.plan = j->s->setup.hunt->plan,
		.list = &j->relays,
		.to = to,
		.method = method,
		.user = &goodbye_user,
		.arg = j,
	};
	struct mbuf *extra = mbuf_alloc(128);
	int err = extra ? 0 : ENOMEM;

	if (!err && j->s->event) {
		err = mbuf_write_str(extra, "Event: ");
		err |= mbuf_write_str(extra, j->s->event);
		err |= mbuf_write_str(extra, "\r\n");
	}
	if (!err)
		err = mbuf_write_str(extra, line);
	setup.extra = bytes_of(extra);
	if (!err && !relay_start(NULL, &setup))
		j->goodbyes++;
	mem_deref(extra);
}

/* The subscriber may come again after the restart; the notifier has nobody to
 * tell. Who was referred has no subscription that could be ended (RFC 3515 2.4.4) */
static int say_goodbye(void *obj, const struct message *msg)
{
	struct joint *j = obj;
	char line[96];
	(void)msg;

	unanswered_end(j);
	timer_start(&j->life, grace(j), expired, j);
	(void)re_snprintf(line, sizeof(line),
			  "Subscription-State: terminated;reason=probation;"
			  "retry-after=%u\r\n",
			  RETRY_AFTER);
	goodbye(j, j->a, NOTIFY, line);
	if (j->s->method == SUBSCRIBE)
		goodbye(j, j->b, SUBSCRIBE, "Expires: 0\r\n");

	return j->goodbyes ? 0 : JOINT_LOST;
}

static void refuse(struct transaction *t, uint16_t code)
{
	respond(t, code, NULL);
	transaction_forget(t);
}

static void no_event(struct transaction *t, enum transaction_event ev,
		     const struct message *msg, void *arg)
{
	(void)t;
	(void)ev;
	(void)msg;
	(void)arg;
}

static void aimed(void *arg)
{
	queue_pass(arg, arg);
}

/* A request names dialogs of the side that it goes to */
static int names_edit(struct message **copyp, const struct joint *j,
		      const struct relay_setup *setup)
{
	const struct replaces_names *names = &j->s->setup.names;
	int err;

	if (!replaces_any(setup->request))
		return 0;
	err = message_clone(copyp, setup->request);
	if (!err)
		err = replaces_edit(*copyp, names->tables, setup->from->realm,
				    setup->to->realm, names->other);
	return err;
}

/* The turn of a request came */
static void serve(struct joint *j, enum side side, struct transaction *t)
{
	const struct message *msg = transaction_request(t);
	struct queue *q = &j->queue[side];
	struct leg *to = side == SIDE_A ? j->b : j->a;
	struct message *edited = NULL;
	struct relay *relay = NULL;
	struct relay_setup setup = {
		.plan = j->s->setup.hunt->plan,
		.list = &j->relays,
		.from = side == SIDE_A ? j->a : j->b,
		.to = to,
		.server = t,
		.request = msg,
		.method = (enum method_id)msg->method_id,
		.trusted = true,
		.user = &relay_user,
		.arg = j,
	};
	int err;

	if (leg_waits(to, aimed, q)) {
		if (queue_return(q, t, q))
			refuse(t, 503);
		return;
	}
	transaction_handler(t, no_event, NULL);
	err = names_edit(&edited, j, &setup);
	if (edited)
		setup.request = edited;
	if (!err)
		err = relay_start(&relay, &setup);
	mem_deref(edited);
	if (err)
		refuse(t, err == EBADMSG ? 400 : 503);
	else
		queue_hold(q, relay);
}

static void serve_a(struct transaction *t, void *arg)
{
	serve(arg, SIDE_A, t);
}

static void serve_b(struct transaction *t, void *arg)
{
	serve(arg, SIDE_B, t);
}

/* --- Joints come and go ------------------------------------------------- */

static void leg_silent(struct leg *leg, enum leg_event ev,
		       const struct message *msg, void *arg)
{
	(void)leg;
	(void)ev;
	(void)msg;
	(void)arg;
}

static int leg_a_make(struct joint *j)
{
	const struct subscription *s = j->s;
	const struct hunt *hunt = s->setup.hunt;
	const struct sip_config *sip = hunt->plan->sip;
	struct leg_setup leg = {
		.worker = hunt->worker,
		.tables = s->setup.tables,
		.plan = hunt->plan,
		.realm = hunt->source.realm,
		.parties =
			methods_parties(hunt->worker->methods,
					hunt->source.agent, hunt->source.realm),
		.port = hunt->from.port,
		.expire = sip->trans_expire * 1000,
		.h = leg_silent,
		.arg = s->setup.arg,
	};
	int err = leg_accept(&j->a, &leg, &hunt->from, s->request);

	if (!err)
		j->a->confirmed = true;
	return err;
}

/* One more dialog of the request that this leg sent */
static int joint_alloc(struct joint **jp, struct subscription *s,
		       struct leg *placed)
{
	queue_h *const serves[] = { [SIDE_A] = serve_a, [SIDE_B] = serve_b };
	struct joint *j;
	int err;

	if (!s->request || list_count(&s->joints) >= JOINTS_MAX)
		return EMFILE;
	j = mem_zalloc(sizeof(*j), joint_destructor);
	if (!j)
		return ENOMEM;

	j->s = s;
	j->granted = DEFAULT;
	for (int side = SIDE_A; side <= SIDE_B; side++)
		queue_init(&j->queue[side], s->setup.hunt->plan->sip->max_timer,
			   serves[side], j);
	err = leg_a_make(j);
	if (!err)
		err = leg_fork(&j->b, placed);
	if (err)
		mem_deref(j);
	else
		*jp = j;

	return err;
}

static void joint_enter(struct joint *j, const struct message *msg)
{
	leg_contact(j->a, msg);
	list_append(&j->s->joints, &j->le, j);
	gauge(COUNT_SUBSCRIPTIONS, 1);
	(void)last_for(j, NULL);
}

static bool tag_is(const struct leg *leg, const struct pl *tag)
{
	const struct pl own = leg_remote_tag(leg);

	return own.l == tag->l && !memcmp(own.p, tag->p, tag->l);
}

static struct joint *joint_of(const struct subscription *s,
			      const struct leg *leg, const struct pl *remote)
{
	struct le *le;

	for (le = s->joints.head; le; le = le->next) {
		struct joint *j = le->data;

		if (leg->uac ? tag_is(j->b, remote) : j->a == leg)
			return j;
	}
	return NULL;
}

/* A NOTIFY that comes before the 2xx, or from another branch of the fork */
static struct joint *joint_notified(struct subscription *s, struct leg *placed,
				    const struct arrival *from,
				    const struct message *msg)
{
	struct pl callid = leg_range(placed, LEG_CALLID);
	struct joint *j = NULL;

	if (!placed->uac || msg->method_id != NOTIFY ||
	    !leg_is_at(placed, from) || pl_cmp(&callid, &msg->callid) ||
	    joint_alloc(&j, s, placed))
		return NULL;
	if (leg_confirm_by(j->b, from, msg)) {
		mem_deref(j);
		return NULL;
	}
	joint_enter(j, msg);
	return j;
}

/* Requests of a call have no business in a subscription (RFC 5057 5.3) */
static bool is_of_a_call(uint8_t method)
{
	return method == INVITE || method == BYE || method == UPDATE ||
	       method == PRACK;
}

static uint16_t admit(struct leg *leg, const struct arrival *from,
		      const struct message *msg)
{
	struct pl value = message_value(msg, HDR_MAX_FORWARDS);
	uint64_t forwards = 70;
	uint16_t code;

	if (is_of_a_call(msg->method_id))
		return 481;
	code = leg_admit(leg, from, msg);
	if (code)
		return code;
	if (value.l && uint_parse(&forwards, &value, 255))
		return 400;
	return forwards ? 0 : 483;
}

void subscription_request(struct subscription *s, struct leg *leg,
			  const struct arrival *from, const struct message *msg)
{
	struct joint *j = joint_of(s, leg, &msg->from_tag);
	struct transaction *t = NULL;
	uint16_t code = 481;
	struct sides sides;
	enum side side;

	if (transaction_open(&t, leg->worker->transactions, from, msg, no_event,
			     NULL))
		return;
	transaction_parties(t, &leg->parties);
	if (!j)
		j = joint_notified(s, leg, from, msg);
	if (j && j->state == JOINT_STOPPING)
		/* the last NOTIFY: nobody waits for it */
		code = msg->method_id == NOTIFY ? 200 : 481;
	else if (j && j->state != JOINT_OVER)
		code = admit(leg->uac ? j->b : j->a, from, msg);
	if (code) {
		refuse(t, code);
		return;
	}

	side = leg->uac ? SIDE_B : SIDE_A;
	sides = sides_of(j);
	sides_heard(&sides, side == SIDE_B);
	if (queue_put(&j->queue[side], t))
		refuse(t, 503);
}

/* --- The whole ---------------------------------------------------------- */

static void destructor(void *data)
{
	struct subscription *s = data;

	timer_cancel(&s->forks);
	list_flush(&s->joints);
	mem_deref(s->request);
	mem_deref(s->event);
}

/* A REFER's is its own (RFC 3515 2.4.4) */
static int event_keep(struct subscription *s)
{
	struct pl value = message_value(s->request, HDR_EVENT);

	s->method = (enum method_id)s->request->method_id;
	if (s->method == REFER)
		pl_set_str(&value, "refer");
	return value.l ? pl_strdup(&s->event, &value) : 0;
}

int subscription_alloc(struct subscription **sp,
		       const struct subscription_setup *setup)
{
	struct message *request = setup->hunt->invite;
	struct pl contact = message_value(request, HDR_CONTACT);
	struct subscription *s;
	struct address addr;

	if (!contact.l || address_read(&addr, &contact) || !addr.uri.scheme.l)
		return EBADMSG;
	s = mem_zalloc(sizeof(*s), destructor);
	if (!s)
		return ENOMEM;

	s->setup = *setup;
	s->request = mem_ref(request);
	if (event_keep(s)) {
		mem_deref(s);
		return ENOMEM;
	}
	*sp = s;
	return 0;
}

static void marks_clear(struct subscription *s)
{
	struct le *le = s->joints.head;

	while (le) {
		struct joint *j = le->data;

		le = le->next;
		if (j->state == JOINT_OVER)
			mem_deref(j);
	}
}

/* Timer N: from now on its dialogs are those that it has */
static void forks_over(void *arg)
{
	struct subscription *s = arg;

	s->request = mem_deref(s->request);
	marks_clear(s);
	if (!s->joints.head)
		s->setup.over(s->setup.arg);
}

void subscription_stop(struct subscription *s)
{
	struct le *le = s->joints.head;

	timer_cancel(&s->forks);
	s->walks = true;
	while (le) {
		struct joint *j = le->data;

		le = le->next;
		joint_feed(j, JOINT_STOPPED);
	}
	s->walks = false;
	forks_over(s);
}

/* RFC 4488 4, RFC 7614 4: a REFER without a subscription */
static bool is_lone(const struct subscription *s, const struct message *answer)
{
	const struct message *request = s->request;
	const struct header *h = message_named(answer, "Refer-Sub");
	struct pl value;

	if (request->method_id != REFER)
		return false;
	if (message_has_token(request, HDR_REQUIRE, "nosub") ||
	    message_has_token(request, HDR_REQUIRE, "explicitsub"))
		return true;
	if (!h)
		return false;
	value = header_value(answer, h);
	return token_is(&value, "false");
}

int subscription_answered(struct subscription *s, const struct message *msg,
			  const struct leg **leg)
{
	struct leg *placed = s->setup.hunt->now->leg;
	struct joint *j;
	int err;

	if (is_lone(s, msg))
		return ENOENT;
	if (!msg->to_tag.l)
		return EBADMSG;
	j = joint_of(s, placed, &msg->to_tag);
	if (!j) {
		err = joint_alloc(&j, s, placed);
		if (err)
			return err;
		err = leg_confirm(j->b, msg,
				  transaction_target(placed->invite));
		if (err) {
			mem_deref(j);
			return err;
		}
		joint_enter(j, msg);
	}

	timer_start(&s->forks, grace(j), forks_over, s);
	*leg = j->a;
	answer_granted(j, msg);
	return 0;
}

void subscription_clear(struct subscription *s)
{
	struct le *le = s->joints.head;

	timer_cancel(&s->forks);
	while (le) {
		struct joint *j = le->data;

		le = le->next;
		unanswered_end(j);
		mem_deref(j);
	}
}

uint32_t subscription_count(const struct subscription *s)
{
	const struct le *le;
	uint32_t n = 0;

	for (le = s->joints.head; le; le = le->next)
		n += ((const struct joint *)le->data)->state != JOINT_OVER;
	return n;
}
