/*
 * One side of a call: dialog, INVITE, ACK, BYE
 */
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include "policy/body.h"
#include "policy/header.h"
#include "sbc/counters.h"
#include "sbc/doors.h"
#include "sbc/large.h"
#include "sbc/leg.h"
#include "sbc/respond.h"

/* architecture.md 12: with libre's 16 bytes and what malloc rounds up to */
_Static_assert(sizeof(struct leg) <= 448 - 16, "a leg takes 448 bytes");

/* So many branches that lost are known when they repeat their 2xx */
enum {
	LOSERS_MAX = 24
};

static void tag_leave(struct leg *leg)
{
	if (leg->by_tag.hash)
		table_remove(&leg->tables->tags, &leg->by_tag);
	leg->by_tag.hash = 0;
}

static void callid_leave(struct leg *leg)
{
	if (leg->by_callid.hash)
		table_remove(&leg->tables->callids, &leg->by_callid);
	leg->by_callid.hash = 0;
}

static void losers_forget(struct leg *leg)
{
	while (leg->losers) {
		struct leg *loser = leg->losers;

		leg->losers = loser->next;
		loser->next = NULL;
		mem_deref(loser);
	}
}

/** A remote target that is a name, while it is looked up */
struct leg_aim {
	struct resolve *resolve;
	leg_aimed_h *h; /* told when it is over; or NULL */
	void *arg;
};

static void aim_drop(struct leg *leg)
{
	if (leg->aim)
		resolve_cancel(leg->aim->resolve);
	leg->aim = mem_deref(leg->aim);
}

static void destructor(void *data)
{
	struct leg *leg = data;

	tag_leave(leg);
	callid_leave(leg);
	timer_cancel(&leg->settle);
	losers_forget(leg);
	aim_drop(leg);
	transaction_forget(leg->asked);
	transaction_forget(leg->invite);
	transaction_forget(leg->orphan);
	mem_deref(leg->port);
	mem_deref(leg->answer);
	mem_deref(leg->prack);
	mem_deref(leg->ack);
	texts_clear(&leg->texts);
	plan_give(leg->plan);
	mem_deref(leg->most);
}

/* --- Texts -------------------------------------------------------------- */

enum {
	TEXTS_A = 48, /* room for a Contact behind the texts of an INVITE */
	TEXTS_B = 432 /* of most INVITEs without credentials [bytes] */
};

static int text_put(struct leg *leg, enum leg_text which, const struct pl *pl)
{
	return texts_set(&leg->texts, &leg->text[which], pl);
}

static void text_drop(struct leg *leg, enum leg_text which)
{
	leg->text[which] = 0;
}

/* A header value and a tag behind it */
static int text_tagged(struct leg *leg, enum leg_text which,
		       const struct pl *value, const char *tag)
{
	const struct pl parts[] = { *value, { ";tag=", 5 }, range_of(tag) };

	return texts_join(&leg->texts, &leg->text[which], parts, 3);
}

/* The remote target is the Request-URI until the peer names another one */
static int target_put(struct leg *leg, const struct pl *uri)
{
	if (leg->text[LEG_TARGET] == leg->text[LEG_RURI])
		text_drop(leg, LEG_TARGET);

	return text_put(leg, LEG_TARGET, uri);
}

static int remote_put(struct leg *leg, const struct pl *value,
		      const struct pl *tag)
{
	int err = text_put(leg, LEG_REMOTE, value);

	if (err)
		return err;
	leg->tag_at = (uint16_t)(tag->l ? tag->p - value->p : 0);
	leg->tag_l = (uint16_t)tag->l;
	return 0;
}

void leg_pack(struct leg *leg)
{
	texts_pack(&leg->texts, leg->text, LEG_TEXTS);
}

bool leg_is_twin(const struct leg *leg, const struct leg *other)
{
	return leg == other || (leg->most && leg->most == other->most);
}

/* 0 says that a leg is in no table */
static uint64_t name_hash(const struct pl *name)
{
	uint64_t hash = hash_bytes(name->p, name->l);

	return hash ? hash : 1;
}

static int name_enter(struct table *table, struct entry *entry,
		      const struct pl *name)
{
	int err = table_add(table, entry, name_hash(name));

	if (err)
		entry->hash = 0;
	return err;
}

static int tag_enter(struct leg *leg)
{
	const struct pl tag = { leg->tag, TAG_SIZE - 1 };

	return name_enter(&leg->tables->tags, &leg->by_tag, &tag);
}

static int callid_enter(struct leg *leg)
{
	const struct pl callid = leg_range(leg, LEG_CALLID);

	return name_enter(&leg->tables->callids, &leg->by_callid, &callid);
}

static bool tag_is(const struct entry *e, const void *key)
{
	const struct leg *leg =
		(const void *)((const char *)e - offsetof(struct leg, by_tag));
	const struct pl *tag = key;

	return !memcmp(leg->tag, tag->p, TAG_SIZE - 1);
}

struct leg *leg_by_tag(const struct leg_tables *tables, const struct pl *tag)
{
	struct entry *e;

	if (tag->l != TAG_SIZE - 1)
		return NULL;
	e = table_find(&tables->tags, name_hash(tag), tag_is, tag);

	return e ? (void *)((char *)e - offsetof(struct leg, by_tag)) : NULL;
}

static int leg_make(struct leg **legp, const struct leg_setup *setup)
{
	struct leg *leg;
	int err;

	leg = mem_zalloc(sizeof(*leg), destructor);
	if (!leg)
		return ENOMEM;

	leg->worker = setup->worker;
	leg->tables = setup->tables;
	leg->plan = plan_take(setup->plan);
	leg->realm = setup->realm;
	leg->parties = setup->parties;
	leg->port = mem_ref(setup->port);
	leg->expire = setup->expire;
	leg->h = setup->h;
	leg->arg = setup->arg;

	names_tag(leg->tag, leg->worker->number);
	err = tag_enter(leg);
	if (err)
		mem_deref(leg);
	else
		*legp = leg;

	return err;
}

/* --- Where requests of the dialog go ------------------------------------ */

/* First URI of the route set, else the remote target (RFC 3261 12.2.1.1), which a
 * Contact has just set or is read again */
static int next_uri(const struct leg *leg, struct uri *uri,
		    const struct address *contact)
{
	struct pl rest = leg_range(leg, LEG_ROUTES), value;
	struct address addr;

	if (rest.l && !list_next(&rest, &value) &&
	    !address_read(&addr, &value)) {
		*uri = addr.uri;
		return 0;
	}

	if (contact && contact->uri.scheme.l) {
		*uri = contact->uri;
		return 0;
	}

	value = leg_range(leg, LEG_TARGET);
	return uri_read(uri, &value);
}

static void aim(struct leg *leg, const struct sa *dst, uint8_t transport)
{
	leg->to.dst = *dst;
	leg->to.transport = transport;
	/* The connection of the INVITE serves while it lives and leads there */
	leg->to.conn =
		sa_cmp(dst, &leg->first.dst, SA_ADDR) ? leg->first.conn : 0;
}

/* Who waits for the address of a leg goes on */
static void aim_end(struct leg *leg)
{
	const struct leg_aim waits =
		leg->aim ? *leg->aim : (struct leg_aim){ 0 };

	leg->aim = mem_deref(leg->aim);
	if (waits.h)
		waits.h(waits.arg);
}

static void target_resolved(int err, const struct resolved *found, void *arg)
{
	struct leg *leg = arg;

	/* A name that leads nowhere: the peer of the INVITE stays the target */
	if (!err && found->n)
		aim(leg, &found->addr[0], found->transport[0]);
	aim_end(leg);
}

bool leg_waits(struct leg *leg, leg_aimed_h *h, void *arg)
{
	if (!leg->aim)
		return false;
	leg->aim->h = h;
	leg->aim->arg = arg;

	return true;
}

/* Find the address behind route set or remote target. A name is resolved in
 * the background; until then requests go where the INVITE went. */
static void retarget(struct leg *leg, const struct address *contact)
{
	struct resolve_query q = { .realm = leg->realm };
	struct resolve *pending;
	struct resolved found;
	struct uri uri;
	struct pl name;
	int err;

	if (leg->aim) /* who waits for the last one waits for this one */
		leg->aim->resolve = (resolve_cancel(leg->aim->resolve), NULL);
	if (next_uri(leg, &uri, contact)) {
		aim_end(leg);
		return;
	}

	q.host = uri.host;
	q.port = uri.port;
	q.transport = (enum transport)leg->first.transport;
	if (!param_get(&uri.params, "transport", &name))
		q.transport = transport_parse(&name);

	err = resolve(&pending, leg->worker->resolver, &q, &found,
		      target_resolved, leg);
	if (err != EINPROGRESS) {
		target_resolved(err, &found, leg);
		return;
	}
	if (!leg->aim)
		leg->aim = mem_zalloc(sizeof(*leg->aim), NULL);
	if (leg->aim)
		leg->aim->resolve = pending;
	else /* without memory for it the peer of the INVITE stays it */
		resolve_cancel(pending);
}

enum {
	ROUTES_MAX = 70 /* values of a route set */
};

/* Route set out of Record-Route: the UAS takes it as it stands (12.1.1), for the
 * UAC it is turned round (12.1.2) */
static int routes_put(struct leg *leg, const struct message *msg, bool reversed)
{
	struct pl list[ROUTES_MAX], part[2 * ROUTES_MAX];
	const struct pl comma = { ", ", 2 };
	size_t n = 0, parts = 0;

	for (const struct header *h = message_first(msg, HDR_RECORD_ROUTE); h;
	     h = message_next(msg, h)) {
		struct pl rest = header_value(msg, h), value;

		while (n < ROUTES_MAX && !list_next(&rest, &value))
			list[n++] = value;
	}
	for (size_t i = 0; i < n; i++) {
		if (parts)
			part[parts++] = comma;
		part[parts++] = list[reversed ? n - 1 - i : i];
	}

	return texts_join(&leg->texts, &leg->text[LEG_ROUTES], part, parts);
}

/* EBADMSG: there is none that can be a target, and it names nobody */
static int contact_read(struct address *contact, const struct message *msg)
{
	struct pl value = message_value(msg, HDR_CONTACT);

	if (value.l && !address_read(contact, &value) && contact->uri.scheme.l)
		return 0;

	contact->uri.scheme.l = 0;
	return EBADMSG;
}

/* RFC 3261 19.1.1: a Request-URI has no headers */
static int contact_put(struct leg *leg, const struct address *contact)
{
	struct pl uri = contact->spec;

	uri.l -= contact->uri.headers.l;

	return target_put(leg, &uri);
}

/* --- The ACK of a 2xx --------------------------------------------------- */

/* What an ACK says besides the dialog */
struct ack {
	const char *branch;
	uint32_t cseq;
	const struct pl *body, *ctype; /* or NULL */
};

static int ack_write(struct mbuf **mbp, const struct leg *leg,
		     const struct ack *ack)
{
	struct wire_request r = {
		.method = ACK,
		.ruri = leg_range(leg, LEG_TARGET),
		.port = leg->port,
		.branch = ack->branch,
		.from = leg_range(leg, LEG_LOCAL),
		.to = leg_range(leg, LEG_REMOTE),
		.callid = leg_range(leg, LEG_CALLID),
		.cseq = ack->cseq,
		.max_forwards = 70,
		.contact = leg_range(leg, LEG_CONTACT),
		.routes = leg_range(leg, LEG_ROUTES),
	};

	if (ack->cseq == leg->invite_cseq)
		r.extra = leg_range(leg, LEG_CREDENTIALS);
	if (ack->body) {
		r.body = *ack->body;
		r.ctype = *ack->ctype;
	}
	return wire_request(mbp, &r);
}

/* What it says is about to change: from now on its bytes are kept */
static void ack_freeze(struct leg *leg)
{
	const struct ack ack = {
		.branch = leg_text(leg, LEG_BRANCH),
		.cseq = leg->ack_cseq,
	};

	if (leg->acked && !leg->ack && ack_write(&leg->ack, leg, &ack))
		leg->acked = false;
}

/* --- Target refresh ----------------------------------------------------- */

void leg_refresh_target(struct leg *leg, const struct message *msg)
{
	struct address contact;

	ack_freeze(leg);
	if (contact_read(&contact, msg) || contact_put(leg, &contact))
		return;
	retarget(leg, &contact);
}

/* --- The caller's leg --------------------------------------------------- */

int leg_accept(struct leg **legp, const struct leg_setup *setup,
	       const struct arrival *from, const struct message *invite)
{
	struct pl to = message_value(invite, HDR_TO);
	struct pl from_value = message_value(invite, HDR_FROM);
	struct address contact;
	struct leg *leg = NULL;
	int err;

	err = contact_read(&contact, invite);
	if (err)
		return err;
	err = leg_make(&leg, setup);
	if (err)
		return err;

	wire_reply_target(&leg->first, from);
	leg->to = leg->first;
	leg->remote_cseq = leg->invite_cseq = invite->cseq;
	leg->heard = true;
	err = texts_reserve(&leg->texts, invite->callid.l + to.l + TAG_SIZE +
						 from_value.l + contact.spec.l +
						 TEXTS_A);
	if (!err)
		err = text_put(leg, LEG_CALLID, &invite->callid);
	if (!err)
		err = text_tagged(leg, LEG_LOCAL, &to, leg->tag);
	if (!err)
		err = remote_put(leg, &from_value, &invite->from_tag);
	if (!err)
		err = contact_put(leg, &contact);
	if (!err)
		err = routes_put(leg, invite, false);
	if (!err)
		err = callid_enter(leg);
	if (err) {
		mem_deref(leg);
		return err;
	}

	retarget(leg, &contact);

	*legp = leg;
	return 0;
}

void leg_transaction(struct transaction *t, enum transaction_event ev,
		     const struct message *msg, void *arg)
{
	struct leg *leg = arg;

	switch (ev) {

	case CANCELLED:
		leg->h(leg, LEG_CANCEL, msg, leg->arg);
		break;

	case ACKED:
	case TIMEOUT:
	case BROKEN:
		/* The failure answer is the transaction's own matter; a lost
		 * 2xx is noticed by its repetition */
		break;

	case PROVISIONAL:
	case FINAL:
		break;
	}
	(void)t;
}

static void answer_lost(void *arg)
{
	struct leg *leg = arg;

	leg->answer = mem_deref(leg->answer);
	count(COUNT_NON_ACK_2XX_DROPS, 1);
	leg->h(leg, LEG_LOST, NULL, leg->arg);
}

/* RFC 3261 13.3.1.4: the 2xx is repeated over any transport */
static int answer_repeat(struct leg *leg, struct mbuf *mb)
{
	struct repeat_setup setup = {
		.port = leg->port,
		.mb = mb,
		.t1 = leg->plan->sip->init_timer,
		.t2 = leg->plan->sip->max_timer,
		.limit = 64 * leg->plan->sip->init_timer,
	};

	wire_reply_target(&setup.to, transaction_arrival(leg->asked));
	leg->answer = mem_deref(leg->answer);
	return repeat_start(&leg->answer, &setup, answer_lost, leg);
}

void leg_reply_body(struct leg_reply *reply, struct message *copy,
		    const struct pl *sdp)
{
	reply->body = *sdp;
	reply->ctype = (struct pl){ 0 };
	if (copy && copy->body.l && !body_is_sdp(copy)) {
		/* What cannot be read could name the other side */
		if (body_cross(copy, sdp))
			reply->body = (struct pl){ 0 };
		else
			reply->body = copy->body;
		return;
	}
	if (sdp->l)
		pl_set_str(&reply->ctype, "application/sdp");
}

int leg_reply(struct leg *leg, const struct leg_reply *reply)
{
	struct wire_response r = {
		.code = reply->code,
		.reason = reply->reason,
		.to_tag = reply->tag ? reply->tag : leg_tag(leg),
		.contact = leg_range(leg, LEG_CONTACT),
		.src = reply->src,
		.without = reply->without,
		.extra = reply->extra,
		.body = reply->body,
		.ctype = reply->ctype,
	};
	struct mbuf *mb = NULL;
	int err;

	if (!leg->asked)
		return EALREADY;
	r.request = transaction_request(leg->asked);
	r.from = transaction_arrival(leg->asked);
	if (!r.request)
		return EALREADY;
	/* RFC 3261 8.2.6.2: no tag in 100 */
	if (reply->code == 100)
		r.to_tag = NULL;
	if (reply->code == 100 || reply->code >= 300)
		r.contact = (struct pl){ 0 };

	err = respond_write(&mb, &r);
	if (err)
		return err;

	if (reply->code >= 200 && reply->code < 300) {
		leg->confirmed = true;
		leg->answer_cseq = r.request->cseq;
		err = answer_repeat(leg, mb);
		if (err)
			goto out;
	}
	if (reply->keep)
		*reply->keep = mem_ref(mb);
	err = transaction_reply(leg->asked, reply->code, mb);
	if (reply->code >= 200)
		leg->asked = transaction_forget(leg->asked);

out:
	mem_deref(mb);
	return err;
}

/* --- The called side's leg ---------------------------------------------- */

int leg_open(struct leg **legp, const struct leg_setup *setup)
{
	char callid[CALLID_SIZE];
	struct leg *leg;
	struct pl pl;
	int err;

	err = leg_make(&leg, setup);
	if (err)
		return err;

	leg->uac = true;
	leg->cseq = setup->cseq;
	names_callid(callid, setup->worker->number);
	pl = setup->callid.l ? setup->callid : range_of(callid);
	err = texts_reserve(&leg->texts, TEXTS_B - 1);
	if (!err)
		err = text_put(leg, LEG_CALLID, &pl);
	if (!err && setup->tag.l)
		err = text_put(leg, LEG_KEPT, &setup->tag);
	if (!err)
		err = callid_enter(leg);
	if (err)
		mem_deref(leg);
	else
		*legp = leg;

	return err;
}

static bool tags_equal(const struct pl *a, const struct pl *b)
{
	return a->l == b->l && !memcmp(a->p, b->p, a->l);
}

static bool leg_is_remote(const struct leg *leg, const struct message *msg)
{
	struct pl tag = leg_remote_tag(leg);

	return tags_equal(&tag, &msg->to_tag);
}

/* Remote tag, route set and remote target of a 1xx or 2xx (12.1.2). A 2xx sets
 * the route set anew (13.2.2.4) */
static int dialog_take(struct leg *leg, const struct message *msg,
		       struct address *contact)
{
	struct pl to = message_value(msg, HDR_TO);
	int err;

	err = remote_put(leg, &to, &msg->to_tag);
	if (err)
		return err;

	err = routes_put(leg, msg, true);
	if (!err && !contact_read(contact, msg))
		err = contact_put(leg, contact);
	return err;
}

/* The INVITE goes out again: what the last one made is dead */
static void dialog_drop(struct leg *leg)
{
	aim_drop(leg);
	leg->tag_l = 0;
	text_drop(leg, LEG_ROUTES);
	leg->remote_cseq = 0;
	leg->heard = false;
}

int leg_learn(struct leg *leg, const struct message *msg)
{
	struct address contact;
	int err = dialog_take(leg, msg, &contact);

	if (!err)
		retarget(leg, &contact);
	return err;
}

static int confirm(struct leg *leg, const struct message *msg,
		   const struct target *went)
{
	struct address contact;
	int err = dialog_take(leg, msg, &contact);

	if (err)
		return err;
	leg->confirmed = true;
	text_drop(leg, LEG_RURI);
	leg->first = leg->to = *went;
	retarget(leg, &contact);
	return 0;
}

int leg_choose(struct leg *leg, const struct message *msg)
{
	return confirm(leg, msg, transaction_target(leg->invite));
}

bool leg_has_dialog(const struct leg *leg)
{
	return leg->tag_l > 0 || leg->confirmed;
}

/* --- Names kept across (dialog-transparency) ----------------------------- */

/* Our From or To without its tag */
static struct pl untagged(const struct leg *leg)
{
	struct pl local = leg_range(leg, LEG_LOCAL);

	local.l -= sizeof(";tag=") - 1 + strlen(leg_tag(leg));
	return local;
}

int leg_keep(struct leg *leg, const struct pl *tag)
{
	const struct pl old = leg_range(leg, LEG_KEPT);
	uint16_t kept = 0;
	struct pl local;
	int err;

	if (old.l && tags_equal(&old, tag))
		return 0;
	err = texts_set(&leg->texts, &kept, tag);
	if (err)
		return err;
	local = untagged(leg);
	err = text_tagged(leg, LEG_LOCAL, &local, texts_get(&leg->texts, kept));
	if (!err)
		leg->text[LEG_KEPT] = kept;

	return err;
}

/* Early dialogs of the caller's leg have tags of their own: sbc/early tells them
 * apart */
static bool kept_is(const struct entry *e, const void *key)
{
	const struct leg *leg = (const void *)((const char *)e -
					       offsetof(struct leg, by_callid));
	const struct leg_names *n = key;
	struct pl callid = leg_range(leg, LEG_CALLID);
	struct pl tag = leg_range(leg, LEG_KEPT);

	if (!tag.l || leg->closed || !tags_equal(&callid, n->callid) ||
	    (n->from && !leg_is_at(leg, n->from)) ||
	    (n->realm && !realm_same(leg->realm, n->realm)))
		return false;
	if (leg->uac || leg->confirmed)
		return tags_equal(&tag, n->ours);

	tag = leg_remote_tag(leg);
	return tags_equal(&tag, n->peers);
}

struct leg *leg_kept(const struct leg_tables *tables,
		     const struct leg_names *names)
{
	struct entry *e = table_find(&tables->callids, name_hash(names->callid),
				     kept_is, names);

	return e ? (void *)((char *)e - offsetof(struct leg, by_callid)) : NULL;
}

/* --- Twins: several dialogs of one INVITE -------------------------------- */

int leg_twin(struct leg **twinp, struct leg *leg)
{
	struct leg *twin;
	struct pl local;
	int err = 0;

	if (!leg->most) {
		leg->most = mem_alloc(sizeof(*leg->most), NULL);
		if (!leg->most)
			return ENOMEM;
		*leg->most = leg->cseq;
	}
	twin = mem_zalloc(sizeof(*twin), destructor);
	if (!twin)
		return ENOMEM;

	twin->worker = leg->worker;
	twin->tables = leg->tables;
	twin->plan = plan_take(leg->plan);
	twin->realm = leg->realm;
	twin->parties = leg->parties;
	twin->port = mem_ref(leg->port);
	twin->expire = leg->expire;
	twin->arg = leg->arg;
	twin->uac = leg->uac;
	twin->standin = leg->standin;
	twin->method = leg->method;
	twin->first = leg->first;
	twin->to = leg->first;
	twin->cseq = twin->invite_cseq = leg->invite_cseq;
	twin->most = mem_ref(leg->most);
	err = texts_copy(&twin->texts, &leg->texts);
	if (err)
		goto out;
	memcpy(twin->text, leg->text, sizeof(twin->text));
	if (leg->uac) {
		memcpy(twin->tag, leg->tag, TAG_SIZE);
		text_drop(twin, LEG_REMOTE);
		text_drop(twin, LEG_ROUTES);
		goto out;
	}

	/* One more tag for the same INVITE, whose number is where requests
	 * begin to count */
	twin->tag_at = leg->tag_at;
	twin->tag_l = leg->tag_l;
	twin->remote_cseq = leg->invite_cseq;
	twin->heard = true;
	local = untagged(leg);
	text_drop(twin, LEG_KEPT);
	names_tag(twin->tag, twin->worker->number);
	err = text_tagged(twin, LEG_LOCAL, &local, twin->tag);
	if (!err)
		err = tag_enter(twin);
out:
	if (err)
		mem_deref(twin);
	else
		*twinp = twin;

	return err;
}

int leg_confirm(struct leg *leg, const struct message *answer,
		const struct target *went)
{
	struct address contact;
	int err = contact_read(&contact, answer);

	return err ? err : confirm(leg, answer, went);
}

int leg_confirm_by(struct leg *leg, const struct arrival *from,
		   const struct message *request)
{
	struct pl value = message_value(request, HDR_FROM);
	struct address contact;
	int err;

	err = contact_read(&contact, request);
	if (!err)
		err = remote_put(leg, &value, &request->from_tag);
	if (!err)
		err = routes_put(leg, request, false);
	if (!err)
		err = contact_put(leg, &contact);
	if (err)
		return err;

	leg->confirmed = true;
	wire_reply_target(&leg->first, from);
	leg->first.only = false;
	leg->to = leg->first;
	retarget(leg, &contact);
	return 0;
}

int leg_fork(struct leg **legp, struct leg *leg)
{
	int err = leg_twin(legp, leg);

	if (err)
		return err;
	(*legp)->h = leg->h;
	(*legp)->cseq = leg->cseq;
	return 0;
}

#define SWAP(a, b)                                                             \
	do {                                                                   \
		__typeof__(a) swap = (a);                                      \
		(a) = (b);                                                     \
		(b) = swap;                                                    \
	} while (0)

/* Without memory for it in the table a dialog is not found any more */
static void tags_swap(struct leg *leg, struct leg *twin)
{
	char text[TAG_SIZE];

	tag_leave(leg);
	tag_leave(twin);
	memcpy(text, leg->tag, TAG_SIZE);
	memcpy(leg->tag, twin->tag, TAG_SIZE);
	memcpy(twin->tag, text, TAG_SIZE);
	(void)tag_enter(leg);
	(void)tag_enter(twin);
}

void leg_swap(struct leg *leg, struct leg *twin)
{
	SWAP(leg->texts, twin->texts);
	for (size_t i = 0; i < LEG_TEXTS; i++)
		SWAP(leg->text[i], twin->text[i]);
	SWAP(leg->tag_at, twin->tag_at);
	SWAP(leg->tag_l, twin->tag_l);
	SWAP(leg->to, twin->to);
	SWAP(leg->cseq, twin->cseq);
	SWAP(leg->remote_cseq, twin->remote_cseq);
	SWAP(leg->heard, twin->heard);
	SWAP(leg->prack, twin->prack);
	if (!leg->uac)
		tags_swap(leg, twin);

	/* A question about a name has its leg as the argument: ask again */
	if (leg->aim || twin->aim) {
		retarget(leg, NULL);
		retarget(twin, NULL);
	}
}

int leg_renew(struct leg *leg)
{
	struct pl local = untagged(leg);
	char text[TAG_SIZE];
	int err;

	names_tag(text, leg->worker->number);
	err = text_tagged(leg, LEG_LOCAL, &local, text);
	if (err)
		return err;

	text_drop(leg, LEG_KEPT);
	leg->remote_cseq = leg->invite_cseq;
	tag_leave(leg);
	memcpy(leg->tag, text, TAG_SIZE);
	return tag_enter(leg);
}

static void loser_keep(struct leg *leg, struct leg *loser)
{
	struct leg **end = &leg->losers;
	uint32_t n = 0;

	for (; *end && n < LOSERS_MAX; n++)
		end = &(*end)->next;
	if (n < LOSERS_MAX)
		*end = mem_ref(loser);
}

int leg_loser(struct leg **legp, struct leg *leg, const struct message *answer)
{
	struct leg *loser;
	int err = leg_twin(&loser, leg);

	if (err)
		return err;
	loser->invite_cseq = answer->cseq;
	err = confirm(loser, answer, transaction_target(leg->invite));
	if (err) {
		mem_deref(loser);
		return err;
	}
	loser_keep(leg, loser);
	*legp = loser;

	return 0;
}

static struct leg *loser_find(const struct leg *leg, const struct message *msg)
{
	struct leg *loser = leg->losers;

	while (loser && !leg_is_remote(loser, msg))
		loser = loser->next;
	return loser;
}

static void answered(struct leg *leg, const struct message *msg)
{
	struct leg *loser = loser_find(leg, msg);

	if (loser) {
		leg_ack_again(loser, msg);
		return;
	}
	if (!leg->confirmed) {
		leg->h(leg, LEG_ANSWER, msg, leg->arg);
		return;
	}

	if (!leg_is_remote(leg, msg)) {
		leg->h(leg, LEG_OTHER, msg, leg->arg);
		return;
	}
	leg_ack_again(leg, msg);
}

static void client(struct transaction *t, enum transaction_event ev,
		   const struct message *msg, void *arg)
{
	struct leg *leg = arg;

	switch (ev) {

	case PROVISIONAL:
		if (leg->method == INVITE)
			leg->h(leg, msg->code > 100 ? LEG_PROGRESS : LEG_TRYING,
			       msg, leg->arg);
		break;

	case FINAL:
		if (msg->code < 300 && leg->method == INVITE) {
			answered(leg, msg);
			break;
		}
		if (msg->code < 300) {
			leg->h(leg, LEG_ANSWER, msg, leg->arg);
			break;
		}
		leg->code = msg->code;
		leg->h(leg, LEG_REFUSE, msg, leg->arg);
		break;

	case TIMEOUT:
	case BROKEN:
		leg->code = ev == TIMEOUT ? 408 : 503;
		if (!leg->confirmed)
			leg->h(leg, LEG_REFUSE, NULL, leg->arg);
		break;

	case ACKED:
	case CANCELLED:
		break;
	}
	(void)t;
}

static int invite_texts(struct leg *leg, const struct leg_invite *invite)
{
	int err = 0;

	if (!leg->text[LEG_LOCAL])
		err = text_tagged(leg, LEG_LOCAL, &invite->from, leg_tag(leg));
	if (!err)
		err = text_put(leg, LEG_CONTACT, &invite->contact);
	if (!err)
		err = text_put(leg, LEG_REMOTE, &invite->to_value);
	if (!err)
		err = text_put(leg, LEG_RURI, &invite->ruri);
	if (err)
		return err;

	leg->text[LEG_TARGET] = leg->text[LEG_RURI];
	return text_put(leg, LEG_CREDENTIALS, &invite->credentials);
}

static int lines_join(char **linesp, const struct pl *a, const struct pl *b)
{
	char *s = mem_alloc(a->l + b->l + 1, NULL);

	if (!s)
		return ENOMEM;
	if (a->l)
		memcpy(s, a->p, a->l);
	if (b->l)
		memcpy(s + a->l, b->p, b->l);
	s[a->l + b->l] = '\0';
	*linesp = s;

	return 0;
}

/* Dialogs of one INVITE count together: what one of them has sent is known to the
 * leg that hangs it up */
static uint32_t cseq_next(struct leg *leg)
{
	if (leg->most && *leg->most > leg->cseq)
		leg->cseq = *leg->most;
	leg->cseq++;
	if (leg->most)
		*leg->most = leg->cseq;

	return leg->cseq;
}

int leg_invite(struct leg *leg, const struct leg_invite *invite)
{
	char branch[BRANCH_SIZE];
	enum method_id method = invite->method ? invite->method : INVITE;
	struct wire_request r = {
		.method = method,
		.ruri = invite->ruri,
		.port = leg->port,
		.branch = branch,
		.origin = invite->origin,
		.to = invite->to_value,
		.max_forwards = invite->max_forwards,
		.contact = invite->contact,
		.routes = invite->routes,
		.src = invite->src,
		.without = invite->without,
		.extra = invite->credentials,
		.body = invite->body,
		.ctype = invite->ctype,
	};
	struct request_setup setup = {
		.port = leg->port,
		.to = invite->to,
		.branch = branch,
		.method = method,
		.expire = invite->expire,
		.parties = leg->parties,
	};
	char *joined = NULL;
	int err;

	dialog_drop(leg);
	err = invite_texts(leg, invite);
	if (err)
		return err;

	leg->method = (uint8_t)method;
	names_branch(branch, leg->worker->number);
	r.from = leg_range(leg, LEG_LOCAL);
	r.callid = leg_range(leg, LEG_CALLID);
	if (!invite->same_cseq)
		(void)cseq_next(leg);
	r.cseq = leg->invite_cseq = leg->cseq;
	if (invite->extra.l) {
		err = lines_join(&joined, &invite->extra, &invite->credentials);
		if (err)
			return err;
		r.extra = range_of(joined);
	}
	err = wire_request(&setup.mb, &r);
	mem_deref(joined);
	if (err)
		return err;

	leg->first = leg->to = invite->to;
	leg->invite = transaction_forget(leg->invite);
	err = transaction_send(&leg->invite, leg->worker->transactions, &setup,
			       client, leg);
	mem_deref(setup.mb);
	return err;
}

/* RFC 3261 13.2.2.4: for 64*T1 a repeated 2xx gets the same ACK. After that the
 * leg keeps no message */
static void settled(void *arg)
{
	struct leg *leg = arg;

	leg->ack = mem_deref(leg->ack);
	leg->acked = false;
	losers_forget(leg);
	text_drop(leg, LEG_BRANCH);
	if (leg->confirmed)
		leg->invite = transaction_forget(leg->invite);
	/* a re-INVITE that is unanswered has others */
	if (leg->ack_cseq == leg->invite_cseq)
		text_drop(leg, LEG_CREDENTIALS);
	leg_pack(leg);
}

/* One without a body is written again when the 2xx comes again: of it the branch
 * is kept */
static int ack_keep(struct leg *leg, const struct ack *ack, struct mbuf *mb)
{
	const struct pl branch = range_of(ack->branch);

	leg->ack = mem_deref(leg->ack);
	if (!ack->body)
		return text_put(leg, LEG_BRANCH, &branch);
	leg->ack = mem_ref(mb);

	return 0;
}

int leg_ack(struct leg *leg, const struct pl *body, const struct pl *ctype)
{
	char branch[BRANCH_SIZE];
	const struct ack ack = { branch, leg->invite_cseq, body, ctype };
	struct mbuf *mb;
	int err;

	names_branch(branch, leg->worker->number);
	err = ack_write(&mb, leg, &ack);
	if (err)
		return err;

	/* without memory for it a repeated 2xx is not answered */
	leg->acked = !ack_keep(leg, &ack, mb);
	leg->ack_cseq = leg->invite_cseq;
	timer_start(&leg->settle, leg->expire, settled, leg);
	leg->ack_waits = false;
	err = large_send(leg->port, &leg->to, mb);
	mem_deref(mb);

	return err;
}

void leg_ack_again(struct leg *leg, const struct message *msg)
{
	char branch[BRANCH_SIZE];
	struct ack ack = { .branch = branch, .cseq = msg->cseq };
	struct mbuf *mb = NULL;

	count(COUNT_MULTIPLE_OK_DROPS, 1);
	if (leg->acked && msg->cseq == leg->ack_cseq) {
		mb = mem_ref(leg->ack);
		ack.branch = leg_text(leg, LEG_BRANCH);
	} else if (msg->cseq != leg->invite_cseq) {
		/* a re-INVITE has been sent since */
		names_branch(branch, leg->worker->number);
	} else {
		return; /* its ACK may wait for a body */
	}
	if (!mb && ack_write(&mb, leg, &ack))
		return;
	(void)large_send(leg->port, &leg->to, mb);
	mem_deref(mb);
}

void leg_cancel(struct leg *leg, const struct pl *reason)
{
	if (leg->uac && leg->invite && !leg->confirmed)
		(void)transaction_cancel(leg->invite, reason);
}

/* --- Inside the dialog -------------------------------------------------- */

/* RFC 3261 13.2.2.4: the ACK has those of the INVITE that it is for */
static int credentials_keep(struct leg *leg, const struct pl *credentials)
{
	return text_put(leg, LEG_CREDENTIALS, credentials);
}

int leg_request(struct transaction **tp, struct leg *leg,
		const struct leg_request *request, transaction_h *h, void *arg)
{
	char branch[BRANCH_SIZE];
	struct wire_request r = {
		.method = request->method,
		.method_name = request->method_name,
		.port = leg->port,
		.branch = branch,
		.origin = request->origin,
		.cseq = cseq_next(leg),
		.max_forwards = request->max_forwards,
		.src = request->src,
		.without = request->without,
		.body = request->body,
		.ctype = request->ctype,
		.keep_body = request->keep_body,
	};
	struct request_setup setup = {
		.port = leg->port,
		.to = leg->to,
		.branch = branch,
		.parties = leg->parties,
		.method = request->method,
	};
	struct transaction *t = NULL;
	char *extra = NULL;
	int err;

	if (request->method == INVITE) {
		/* ... and of the one before, which nobody answers any more */
		if (leg->ack_waits)
			(void)leg_ack(leg, NULL, NULL);
		ack_freeze(leg);
		leg->invite_cseq = leg->cseq;
		err = credentials_keep(leg, &request->credentials);
		if (err)
			return err;
	}
	r.ruri = leg_range(leg, LEG_TARGET);
	r.from = leg_range(leg, LEG_LOCAL);
	r.to = leg_range(leg, LEG_REMOTE);
	r.callid = leg_range(leg, LEG_CALLID);
	r.routes = leg_range(leg, LEG_ROUTES);
	if (request->method != BYE)
		r.contact = leg_range(leg, LEG_CONTACT);
	names_branch(branch, leg->worker->number);
	err = lines_join(&extra, &request->extra, &request->credentials);
	if (err)
		return err;
	r.extra = range_of(extra);
	err = wire_request(&setup.mb, &r);
	mem_deref(extra);
	if (err)
		return err;

	err = transaction_send(&t, leg->worker->transactions, &setup, h, arg);
	mem_deref(setup.mb);
	if (err)
		return err;

	if (tp)
		*tp = t;
	else
		transaction_forget(t);
	return 0;
}

/* The sip-port may be another one of the same realm */
static bool is_at_port(const struct leg *leg, const struct arrival *from)
{
	const struct realm *at = leg->realm->interface_realm;
	uint32_t i;

	if (from->port == leg->port)
		return true;
	for (i = 0; at && i < leg->realm->endpoints_n; i++)
		if (worker_port(leg->worker, leg->realm->endpoints[i]) ==
		    from->port)
			return true;
	return false;
}

/* Did it come in by the realm of the dialog (behaviour.md 1.3)? Where several
 * share the sip-interface the source says which. The peer itself is of it,
 * whatever the prefixes say */
bool leg_is_at(const struct leg *leg, const struct arrival *from)
{
	const struct realm *top = leg->realm->interface_realm;

	if (!is_at_port(leg, from))
		return false;

	return !top ||
	       match_realm(leg->plan->match, top, &from->src) == leg->realm ||
	       sa_cmp(&from->src, &leg->first.dst, SA_ADDR) ||
	       sa_cmp(&from->src, &leg->to.dst, SA_ADDR);
}

uint16_t leg_admit(struct leg *leg, const struct arrival *from,
		   const struct message *request)
{
	struct pl callid = leg_range(leg, LEG_CALLID);
	struct pl tag = leg_remote_tag(leg);

	if (!tags_equal(&callid, &request->callid))
		return 481;
	if (tag.l && !tags_equal(&tag, &request->from_tag))
		return 481;
	if (!leg_is_at(leg, from))
		return 481;

	/* RFC 3261 12.2.2; ACK has the number of its INVITE */
	if (request->method_id == ACK)
		return 0;
	if (leg->heard && request->cseq <= leg->remote_cseq)
		return 500;
	leg->remote_cseq = request->cseq;
	leg->heard = true;

	return 0;
}

void leg_contact(struct leg *leg, const struct message *msg)
{
	struct address addr = { .uri = { .has_user = false } };
	const enum transport transport = port_transport(leg->port);
	struct pl part[6];
	size_t n = 0;

	if (leg->text[LEG_CONTACT])
		return;
	(void)message_address(&addr, msg, HDR_CONTACT);

	part[n++] = range_of("sip:");
	if (addr.uri.user.l) {
		part[n++] = addr.uri.user;
		part[n++] = range_of("@");
	}
	part[n++] = *port_sent_by(leg->port);
	if (transport != TRANSPORT_UDP) {
		part[n++] = range_of(";transport=");
		part[n++] = range_of(transport_name(transport));
	}
	/* without memory it is tried with the next answer */
	(void)texts_join(&leg->texts, &leg->text[LEG_CONTACT], part, n);
}

static void orphan_answered(struct transaction *t, enum transaction_event ev,
			    const struct message *msg, void *arg)
{
	struct leg *leg = arg;
	(void)t;

	if (ev == FINAL || ev == TIMEOUT || ev == BROKEN)
		leg->orphan_open = false;
	if (ev != FINAL || msg->code >= 300)
		return;
	if (msg->cseq == leg->invite_cseq && msg->cseq != leg->ack_cseq)
		(void)leg_ack(leg, NULL, NULL);
	else
		leg_ack_again(leg, msg);
}

void leg_adopt(struct leg *leg, struct transaction *t, bool open)
{
	leg->orphan = transaction_forget(leg->orphan);
	leg->orphan = t;
	leg->orphan_open = open;
	transaction_handler(t, orphan_answered, leg);
	(void)transaction_cancel(t, NULL);
}

void leg_close(struct leg *leg)
{
	if (!leg)
		return;
	leg->closed = true;
	leg->answer = mem_deref(leg->answer);
	leg->asked = transaction_forget(leg->asked);
	leg->prack = mem_deref(leg->prack);
	/* A confirmed dialog hears no more of its INVITE than repeated 2xx and
	 * those of other branches, and they are the leg's own matter */
	if (!leg->uac || !leg->confirmed || leg->method != INVITE)
		leg->invite = transaction_forget(leg->invite);
}

uint64_t leg_linger(struct leg *leg, leg_h *h, void *arg)
{
	/* The INVITE that is given up just now has 64*T1 to end by itself */
	uint64_t wait = leg->confirmed ? leg->expire : 2ULL * leg->expire;

	if (leg->confirmed && !leg->orphan && timer_is_running(&leg->settle))
		wait = timer_left(&leg->settle);
	leg->closed = true;
	leg->h = h;
	leg->arg = arg;
	(void)leg_waits(leg, NULL, NULL);
	leg->early = NULL;
	tag_leave(leg);
	callid_leave(leg);

	return wait;
}
