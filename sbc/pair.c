/*
 * Requests outside INVITE dialogs and subscriptions, joined in pairs
 */
#include <errno.h>
#include <string.h>
#include "store/log.h"
#include "policy/header.h"
#include "sbc/account.h"
#include "sbc/clock.h"
#include "sbc/counters.h"
#include "sbc/pair.h"
#include "sbc/random.h"
#include "sbc/redirect.h"
#include "sbc/respond.h"
#include "sbc/standin.h"

enum {
	PAIRS_MAX = 1 << 16 /* of a worker, subscriptions among them */
};

struct pairs {
	struct worker *worker;
	struct leg_tables tables;
	struct list all;
	uint32_t count;
	struct timer over; /* shutdown-timeout */
	void (*done)(void *arg);
	void *arg;
};

struct pair {
	struct le le;
	struct pairs *home;
	const struct plan *plan;    /* the one it began with, to the end */
	struct transaction *server; /* until the final answer */
	struct hunt hunt;
	struct subscription *subscription; /* SUBSCRIBE, REFER */
	struct cdr *cdr;                   /* NULL: none is wanted */
	char tag[TAG_SIZE]; /* of ours, where no dialog has one */
};

/* --- REGISTER for others ------------------------------------------------ */

/* behaviour.md 5.2: our sip-port, with the user of his Contact */
static int contact_write(struct mbuf *mb, const struct address *addr,
			 const struct port *port)
{
	enum transport transport = port_transport(port);
	int err;

	err = mbuf_write_str(mb, "Contact: <sip:");
	if (addr->uri.user.l) {
		err |= mbuf_write_pl(mb, &addr->uri.user);
		err |= mbuf_write_u8(mb, '@');
	}
	err |= mbuf_write_pl(mb, port_sent_by(port));
	if (transport != TRANSPORT_UDP) {
		err |= mbuf_write_str(mb, ";transport=");
		err |= mbuf_write_str(mb, transport_name(transport));
	}
	err |= mbuf_write_u8(mb, '>');
	err |= mbuf_write_pl(mb, &addr->params);
	err |= mbuf_write_str(mb, "\r\n");

	return err;
}

typedef int(contact_h)(const struct pl *value, void *arg);

/* All values of Contact, one by one. 0; errno of h; EBADMSG */
static int contacts_each(const struct message *msg, contact_h *h, void *arg)
{
	const struct header *hdr = message_first(msg, HDR_CONTACT);
	int err = 0;

	for (; hdr && !err; hdr = message_next(msg, hdr)) {
		struct pl rest = header_value(msg, hdr), value;

		while (!err && !(err = list_next(&rest, &value)))
			err = h(&value, arg);
		if (err == ENOENT)
			err = 0;
	}
	return err;
}

struct contacts {
	struct mbuf *mb;
	const struct port *port;
	const struct message *request;
	struct address bound; /* of the answer */
	struct pl expires;    /* of the first binding that is his */
	bool done;
};

static int contact_out(const struct pl *value, void *arg)
{
	struct contacts *c = arg;
	struct address addr;

	if (value->l == 1 && *value->p == '*')
		return mbuf_write_str(c->mb, "Contact: *\r\n");
	if (address_read(&addr, value) || !addr.uri.scheme.l)
		return EBADMSG;
	return contact_write(c->mb, &addr, c->port) ? ENOMEM : 0;
}

/* The Contacts that he registers lead to us */
static int contacts_out(struct mbuf *mb, const struct port *port, void *arg)
{
	const struct pair *p = arg;
	struct contacts c = { .mb = mb, .port = port };

	return contacts_each(p->hunt.invite, contact_out, &c);
}

/* Is it the one of his that we sent with our address? */
static int contact_back(const struct pl *value, void *arg)
{
	struct contacts *c = arg;
	struct address his;
	int err;

	if (c->done || address_read(&his, value) ||
	    pl_cmp(&his.uri.user, &c->bound.uri.user))
		return 0;

	c->done = true;
	if (!c->expires.l)
		(void)param_get(&c->bound.params, "expires", &c->expires);
	err = mbuf_write_str(c->mb, "Contact: <");
	err |= mbuf_write_pl(c->mb, &his.spec);
	err |= mbuf_write_u8(c->mb, '>');
	err |= mbuf_write_pl(c->mb, &c->bound.params);
	err |= mbuf_write_str(c->mb, "\r\n");
	return err ? ENOMEM : 0;
}

/* Bindings of others behind the same AoR are none of his business */
static int binding_back(const struct pl *value, void *arg)
{
	struct contacts *c = arg;
	struct sa host;

	if (address_read(&c->bound, value) ||
	    !uri_is_numeric(&c->bound.uri, &host) ||
	    !sa_cmp(&host, port_local(c->port), SA_ADDR))
		return 0;
	c->done = false;
	return contacts_each(c->request, contact_back, c);
}

static int contacts_in(struct mbuf *mb, const struct pair *p,
		       const struct message *answer)
{
	struct contacts c = { .mb = mb,
			      .port = p->hunt.now->leg->port,
			      .request = p->hunt.invite };
	int err = contacts_each(answer, binding_back, &c);

	/* add-reg-expires: for those who look at no parameter of Contact */
	if (!mb->end) /* none of his is bound */
		pl_set_str(&c.expires, "0");
	if (!err && c.expires.l && !message_first(answer, HDR_EXPIRES) &&
	    message_first(c.request, HDR_CONTACT) &&
	    standin_says_expires(p->plan->sip)) {
		err = mbuf_write_str(mb, "Expires: ");
		err |= mbuf_write_pl(mb, &c.expires);
		err |= mbuf_write_str(mb, "\r\n");
	}
	return err;
}

/* --- The record ---------------------------------------------------------- */

static void cdr_destructor(void *data)
{
	cdr_clear(data);
}

/* generate-event names the methods (configuration.md 2.17) */
static int record_begin(struct pair *p)
{
	const struct message *request = p->hunt.invite;
	const struct account_request account = {
		.msg = request,
		.plan = p->plan,
		.source = &p->hunt.source,
		.from = &p->hunt.from,
		.owner = &p->hunt.owner,
		.called = &p->hunt.called,
	};

	if (!account_has_event(p->plan, &request->method))
		return 0;
	p->cdr = mem_zalloc(sizeof(*p->cdr), cdr_destructor);
	if (!p->cdr)
		return ENOMEM;
	p->cdr->id = random_u64() >> 1;
	p->cdr->event = method_name((enum method_id)request->method_id);
	account_begin(p->cdr, &account);
	return 0;
}

static void record_placed(struct pair *p)
{
	if (p->cdr)
		account_placed(p->cdr, &p->hunt);
}

static void record_write(struct pair *p, uint16_t code, enum cdr_party by)
{
	struct cdr *cdr = p->cdr;

	if (!cdr)
		return;
	cdr->status = code;
	cdr_end(cdr, by,
		code < 300 ? CDR_NORMAL : cdr_reason_of(code, by == CDR_SBC),
		0);
	if (by == CDR_SBC)
		cdr->refused_step = "place-call";
	cdr->disconnect = clock_ms();
	cdr_write(cdr, NULL, p->home->worker->db);
	p->cdr = mem_deref(cdr);
}

/* --- Side A is answered ------------------------------------------------- */

static void stopped(struct pairs *home)
{
	void (*done)(void *arg) = home->done;

	if (!done || home->count)
		return;
	timer_cancel(&home->over);
	home->done = NULL;
	done(home->arg);
}

static void destructor(void *data)
{
	struct pair *p = data;

	list_unlink(&p->le);
	p->home->count--;
	transaction_forget(p->server);
	mem_deref(p->subscription);
	mem_deref(p->cdr);
	hunt_clear(&p->hunt);
	plan_give(p->plan);
	stopped(p->home);
}

static void reply(struct pair *p, struct wire_response *r)
{
	struct mbuf *mb;

	r->request = transaction_request(p->server);
	r->from = transaction_arrival(p->server);
	if (!r->to_tag)
		r->to_tag = p->tag;
	if (r->request && !respond_write(&mb, r)) {
		(void)transaction_reply(p->server, r->code, mb);
		mem_deref(mb);
	}
	p->server = transaction_forget(p->server);
}

/* The final answer of side B, as it may be seen on side A; leg has the dialog
 * that it makes, or is NULL */
static void pass(struct pair *p, const struct message *msg,
		 const struct leg *leg)
{
	struct sides s = sides_hunted(&p->hunt, NULL, p->hunt.now->leg);
	struct message *copy = NULL;
	struct leg_reply r = { .code = 0 };
	struct wire_response out = { .code = 0 };
	struct mbuf *extra = mbuf_alloc(128);
	char tag[256];

	sides_answer(&s, &r, &copy, msg, msg->code >= 300);
	if (extra && msg->method_id == REGISTER && msg->code < 300)
		(void)contacts_in(extra, p, msg);
	else if (extra && msg->code >= 300 && msg->code < 400)
		(void)redirect_pass(extra, msg, port_local(p->hunt.from.port));
	out.code = r.code;
	out.reason = r.reason;
	out.src = r.src;
	out.without = r.without;
	out.keep_body = copy != NULL;
	out.extra = bytes_of(extra);
	if (leg) {
		out.to_tag = leg_tag(leg);
		out.contact = leg_range(leg, LEG_CONTACT);
	} else if (p->hunt.now->leg && p->hunt.now->leg->text[LEG_KEPT] &&
		   msg->to_tag.l && msg->to_tag.l < sizeof(tag)) {
		(void)pl_strcpy(&msg->to_tag, tag, sizeof(tag));
		out.to_tag = tag;
	}
	reply(p, &out);
	mem_deref(extra);
	mem_deref(copy);
}

/* The best failure of the search, or what the SBC itself says */
static void refuse(struct pair *p)
{
	const struct hunt *hunt = &p->hunt;
	struct wire_response out = { .code = hunt->code,
				     .reason = hunt->phrase };
	bool silent = hunt_is_silent(hunt) || hunt->code == 408;
	char line[32];

	if (hunt->best || !silent)
		hunt_refused(hunt, hunt->code);
	if (out.code == HUNT_SILENCE)
		out.code = 480;
	record_write(p, out.code, hunt->best ? CDR_EGRESS : CDR_SBC);
	if (hunt->best) {
		pass(p, hunt->best, NULL);
	} else if (silent) {
		/* RFC 4320 4.2: no 408, silence says the same, and in time */
		p->server = transaction_forget(p->server);
	} else {
		count(COUNT_REJECTIONS, 1);
		if (hunt->retry_after &&
		    re_snprintf(line, sizeof(line), "Retry-After: %u\r\n",
				hunt->retry_after) > 0)
			out.extra = range_of(line);
		reply(p, &out);
	}
	mem_deref(p);
}

/* --- Side B answers ----------------------------------------------------- */

static void hunted(enum hunt_verdict v, void *arg)
{
	switch (v) {

	case HUNT_SENT:
		record_placed(arg);
		break;
	case HUNT_EMPTY:
		refuse(arg);
		break;
	case HUNT_WAITS:
		break;
	}
}

static void accepted(struct pair *p, const struct message *msg)
{
	struct proof_report report;
	struct proof_setup setup;

	hunt_proof(&p->hunt, &setup, NULL);
	if (p->cdr && prove_report(&setup, &p->hunt.now->tries, &report))
		cdr_proved(p->cdr, &report, msg->code);
	prove_accepted(&setup, &p->hunt.now->tries, msg);
}

/* It has its 2xx; a subscription lives on */
static void answered(struct pair *p, const struct message *msg)
{
	const struct leg *leg = NULL;

	hunt_agent_answered(&p->hunt, msg->code);
	accepted(p, msg);
	if (p->subscription &&
	    subscription_answered(p->subscription, msg, &leg))
		p->subscription = mem_deref(p->subscription);
	pass(p, msg, leg);
	record_write(p, msg->code, CDR_EGRESS);
	if (p->subscription)
		hunt_finish(&p->hunt);
	else
		mem_deref(p);
}

/* RFC 3261 22.2: sent again with credentials. false: it is final */
static bool prove_again(struct pair *p, const struct message *msg)
{
	struct mbuf *headers = mbuf_alloc(512);
	struct proof_report report;
	struct proof_setup setup;
	enum proof result;

	if (!headers)
		return false;
	memset(&report, 0, sizeof(report));
	hunt_proof(&p->hunt, &setup, msg);
	result = prove_challenge(&setup, &p->hunt.now->tries, headers, &report,
				 NULL, NULL);
	if (result == PROOF_SPENT)
		(void)prove_report(&setup, &p->hunt.now->tries, &report);
	if (p->cdr)
		cdr_challenged(p->cdr, result, &report, false);
	if (result == PROOF_READY && hunt_again(&p->hunt, headers)) {
		/* A transport error: the next target may be there */
		hunted(hunt_failed(&p->hunt, 503, NULL), p);
		mem_deref(headers);
		return true;
	}
	mem_deref(headers);
	return result == PROOF_READY;
}

static void refused(struct pair *p, const struct message *msg)
{
	uint16_t code = msg ? msg->code : p->hunt.now->leg->code;

	if (msg)
		hunt_agent_answered(&p->hunt, code);
	else
		hunt_agent_silent(&p->hunt);
	if (code == 401 || code == 407) {
		if (prove_again(p, msg))
			return;
		hunt_end(&p->hunt, code, msg);
		refuse(p);
		return;
	}
	if (msg)
		accepted(p, msg);
	/* Dialogs that the failed one made by NOTIFY are dead with it */
	if (p->subscription)
		subscription_clear(p->subscription);
	hunted(hunt_failed(&p->hunt, code, msg), p);
}

static void leg_b(struct leg *leg, enum leg_event ev, const struct message *msg,
		  void *arg)
{
	(void)leg;

	switch (ev) {

	case LEG_ANSWER:
		answered(arg, msg);
		break;

	case LEG_REFUSE:
		refused(arg, msg);
		break;

	case LEG_TRYING:
	case LEG_PROGRESS:
	case LEG_OTHER:
	case LEG_CANCEL:
	case LEG_ACK:
	case LEG_LOST:
		break;
	}
}

/* --- Inside a subscription ---------------------------------------------- */

struct leg *pairs_by_tag(const struct pairs *pairs, const struct pl *tag)
{
	return leg_by_tag(&pairs->tables, tag);
}

static void no_event(struct transaction *t, enum transaction_event ev,
		     const struct message *msg, void *arg)
{
	(void)t;
	(void)ev;
	(void)msg;
	(void)arg;
}

/* MESSAGE and the like make no dialog */
static void no_dialog(struct worker *w, const struct arrival *from,
		      const struct message *msg)
{
	struct transaction *t;

	if (transaction_open(&t, w->transactions, from, msg, no_event, NULL))
		return;
	respond(t, 481, NULL);
	transaction_forget(t);
}

void pair_request(struct leg *leg, const struct arrival *from,
		  const struct message *msg)
{
	struct pair *p = leg->arg;

	if (p->subscription)
		subscription_request(p->subscription, leg, from, msg);
	else
		no_dialog(leg->worker, from, msg);
}

static void over(void *arg)
{
	mem_deref(arg);
}

/* --- All of them -------------------------------------------------------- */

int pairs_open(struct pairs **pp, struct worker *w)
{
	struct pairs *pairs = mem_zalloc(sizeof(*pairs), NULL);

	if (!pairs)
		return ENOMEM;
	pairs->worker = w;
	table_init(&pairs->tables.tags);
	table_init(&pairs->tables.callids);
	*pp = pairs;
	return 0;
}

static void too_late(void *arg)
{
	struct pairs *pairs = arg;
	void (*done)(void *arg) = pairs->done;

	pairs->done = NULL;
	if (done)
		done(pairs->arg);
}

void pairs_stop(struct pairs *pairs, uint32_t timeout_ms,
		void (*done)(void *arg), void *arg)
{
	struct le *le = pairs->all.head;

	while (le) {
		struct pair *p = le->data;

		le = le->next;
		if (p->subscription && !p->server)
			subscription_stop(p->subscription);
	}
	pairs->done = done;
	pairs->arg = arg;
	timer_start(&pairs->over, timeout_ms, too_late, pairs);
	stopped(pairs);
}

void pairs_close(struct pairs *pairs)
{
	if (!pairs)
		return;
	pairs->done = NULL;
	timer_cancel(&pairs->over);
	list_flush(&pairs->all);
	table_finish(&pairs->tables.tags);
	table_finish(&pairs->tables.callids);
	mem_deref(pairs);
}

uint32_t pairs_count(const struct pairs *pairs)
{
	return pairs->count;
}

static void hunt_make(struct pair *p, const struct pair_setup *setup)
{
	struct hunt *hunt = &p->hunt;

	hunt->worker = p->home->worker;
	hunt->plan = p->plan;
	hunt->tables = &p->home->tables;
	hunt->invite = mem_ref((void *)setup->request);
	hunt->from = setup->from;
	hunt->source = setup->source;
	hunt->at = setup->at;
	hunt->owner = setup->owner;
	hunt->called = setup->called;
	hunt->leg_h = leg_b;
	hunt->h = hunted;
	hunt->lines =
		setup->request->method_id == REGISTER ? contacts_out : NULL;
	hunt->arg = p;
}

static bool subscribes(const struct message *request)
{
	return request->method_id == SUBSCRIBE || request->method_id == REFER;
}

uint16_t pair_place(const struct pair_setup *setup)
{
	struct subscription_setup subscription = { .over = over };
	struct pairs *home = setup->home;
	struct pair *p;
	int err = 0;

	if (home->count >= PAIRS_MAX)
		return 503;
	p = mem_zalloc(sizeof(*p), destructor);
	if (!p)
		return 503;

	p->home = home;
	home->count++;
	p->plan = plan_take(setup->plan);
	names_tag(p->tag, home->worker->number);
	hunt_make(p, setup);
	subscription.hunt = &p->hunt;
	subscription.tables = &home->tables;
	subscription.names = setup->names;
	subscription.arg = p;
	err = record_begin(p);
	if (!err && subscribes(setup->request))
		err = subscription_alloc(&p->subscription, &subscription);
	if (err) {
		mem_deref(p);
		return err == EBADMSG ? 400 : 503;
	}

	p->hunt.route = setup->route;
	p->server = setup->transaction;
	transaction_handler(p->server, no_event, NULL);
	list_append(&home->all, &p->le, p);
	hunted(hunt_start(&p->hunt), p);
	return 0;
}
