/*
 * All calls of a worker by tag and id
 */
#include <errno.h>
#include <string.h>
#include "sbc/call.h"
#include "sbc/calls.h"
#include "sbc/clock.h"
#include "sbc/own.h"
#include "sbc/within.h"

enum {
	SLICE = 200,  /* calls that are ended at a time ... */
	LOOKS = 1000, /* ... of so many that are looked at ... */
	PAUSE = 10    /* ... and how long after the others [ms] */
};

struct calls {
	struct call_home home;
	struct timer over; /* shutdown-timeout */
	struct timer off;  /* the next slice of calls_switch_off */
	size_t walked;     /* calls before home.next[WALK_LOOK]; 0: nobody */
	void (*done)(void *arg);
	void *arg;
};

static void gone(struct call_home *home)
{
	struct calls *c = (struct calls *)home;
	void (*done)(void *arg) = c->done;

	if (!done || home->calls.head)
		return;
	c->done = NULL;
	timer_cancel(&c->over);
	done(c->arg);
}

int calls_open(struct calls **cp, struct worker *w)
{
	struct calls *c = mem_zalloc(sizeof(*c), NULL);

	if (!c)
		return ENOMEM;
	c->home.worker = w;
	c->home.gone = gone;
	c->home.relay_user = &within_relay_user;
	c->home.refresh = own_refresh;
	c->home.serve[SIDE_A] = within_serve_a;
	c->home.serve[SIDE_B] = within_serve_b;
	table_init(&c->home.tables.tags);
	table_init(&c->home.tables.callids);
	table_init(&c->home.ids);
	*cp = c;
	return 0;
}

static void too_late(void *arg)
{
	struct calls *c = arg;
	void (*done)(void *arg) = c->done;

	c->done = NULL;
	if (done)
		done(c->arg);
}

void calls_stop(struct calls *c, uint32_t timeout_ms, void (*done)(void *arg),
		void *arg)
{
	struct le *le = c->home.calls.head;

	while (le) {
		struct call *call = le->data;

		le = le->next;
		call_end(call, CDR_SBC, CDR_SHUTDOWN);
	}
	c->done = done;
	c->arg = arg;
	timer_start(&c->over, timeout_ms, too_late, c);
	gone(&c->home);
}

static bool is_off(const struct sip_interface *si)
{
	return !si->state;
}

static bool is_any_off(const struct plan *plan)
{
	size_t n = config_count(plan->config, &element_sip_interface);

	for (size_t i = 0; i < n; i++)
		if (is_off(config_at(plan->config, &element_sip_interface, i)))
			return true;
	return !plan->sip->state;
}

/* Is the sip-interface of this leg switched off? One that is gone drains */
static bool leg_is_off(const struct leg *leg, const struct plan *plan)
{
	const struct sip_interface *si;
	struct pl realm;

	if (!leg || !leg->realm->interface)
		return false;
	realm = range_of(leg->realm->interface->realm_id);
	si = config_find(plan->config, &element_sip_interface, &realm);

	return si && is_off(si);
}

static bool is_switched_off(const struct call *call, const struct plan *plan)
{
	return call->state < CALL_CLOSING &&
	       (!plan->sip->state || leg_is_off(call->a, plan) ||
		leg_is_off(call->b, plan));
}

static void switch_off(void *arg)
{
	struct calls *c = arg;
	const struct plan *plan = c->home.worker->plan;
	struct le **next = &c->home.next[WALK_END];

	for (uint32_t ended = 0, n = 0; *next && ended < SLICE && n < LOOKS;
	     n++) {
		struct call *call = (*next)->data;

		*next = (*next)->next;
		if (!is_switched_off(call, plan))
			continue;
		call_end(call, CDR_OPERATOR, CDR_BY_OPERATOR);
		ended++;
	}
	if (*next)
		timer_start(&c->off, PAUSE, switch_off, c);
}

void calls_switch_off(struct calls *c)
{
	timer_cancel(&c->off);
	c->home.next[WALK_END] = NULL;
	if (!is_any_off(c->home.worker->plan))
		return;
	c->home.next[WALK_END] = list_head(&c->home.calls);
	switch_off(c);
}

void calls_close(struct calls *c)
{
	if (!c)
		return;
	c->done = NULL;
	timer_cancel(&c->over);
	timer_cancel(&c->off);
	list_flush(&c->home.calls);
	list_flush(&c->home.lingering);
	table_finish(&c->home.tables.tags);
	table_finish(&c->home.tables.callids);
	table_finish(&c->home.ids);
	mem_deref(c);
}

struct call_home *calls_home(struct calls *c)
{
	return &c->home;
}

struct leg *calls_by_tag(struct calls *c, const struct pl *tag)
{
	return leg_by_tag(&c->home.tables, tag);
}

struct leg *calls_find(struct calls *c, const struct arrival *from,
		       const struct message *msg)
{
	struct leg_names names = { from, NULL, &msg->callid, &msg->to_tag,
				   &msg->from_tag };
	struct leg *leg = calls_by_tag(c, &msg->to_tag);

	return leg ? leg : leg_kept(&c->home.tables, &names);
}

static void text(char *buf, size_t size, const char *s)
{
	(void)re_snprintf(buf, size, "%s", s ? s : "");
}

static void report(const struct call *c, call_h *h, void *arg)
{
	const struct cdr *cdr = &c->cdr;
	struct media_report media;
	struct call_report r;

	memset(&r, 0, sizeof(r));
	r.id = c->id;
	r.state = call_machine.states[c->state];
	r.ingress = cdr->side[SIDE_A].realm;
	r.egress = cdr->side[SIDE_B].realm ? cdr->side[SIDE_B].realm : "";
	r.ingress_agent = cdr->side[SIDE_A].agent;
	r.egress_agent = cdr->side[SIDE_B].agent ? cdr->side[SIDE_B].agent : "";
	text(r.from, sizeof(r.from), cdr_get(cdr, CDR_CALLING + SIDE_A));
	text(r.to, sizeof(r.to), cdr_get(cdr, CDR_CALLED + SIDE_A));
	text(r.out_from, sizeof(r.out_from),
	     cdr_get(cdr, CDR_CALLING + SIDE_B));
	text(r.out_to, sizeof(r.out_to), cdr_get(cdr, CDR_CALLED + SIDE_B));
	text(r.callid[0], sizeof(r.callid[0]),
	     cdr_get(cdr, CDR_CALLID + SIDE_A));
	text(r.callid[1], sizeof(r.callid[1]),
	     cdr_get(cdr, CDR_CALLID + SIDE_B));
	if (c->answered)
		r.duration = (uint32_t)((clock_ms() - c->answered) / 1000);
	r.auth = cdr_auth_source(cdr);
	text(r.auth_realm, sizeof(r.auth_realm), cdr_get(cdr, CDR_AUTH_REALM));
	text(r.auth_lookup, sizeof(r.auth_lookup),
	     cdr_get(cdr, CDR_AUTH_LOOKUP));
	text(r.auth_user, sizeof(r.auth_user), cdr_get(cdr, CDR_AUTH_USER));
	r.challenges = cdr->challenges;
	text(r.aor, sizeof(r.aor), cdr_get(cdr, CDR_AOR));
	media_report(c->media, &media);
	text(r.codec, sizeof(r.codec), media.codec[0]);
	text(r.policy, sizeof(r.policy), cdr->policy);
	text(r.next_hop, sizeof(r.next_hop), cdr->next_hop);
	r.routes_tried = cdr->routes_tried;
	h(&r, arg);
}

/* The call at which a walk goes on: the next one of the walk before, as a rule;
 * where two go on side by side, it is counted */
static struct le *walk_from(struct calls *c, size_t from)
{
	struct le *le = list_head(&c->home.calls);

	if (from && from == c->walked)
		return c->home.next[WALK_LOOK];
	for (size_t i = 0; le && i < from; i++)
		le = le->next;

	return le;
}

static size_t walk_to(struct calls *c, struct le *le, size_t i)
{
	c->home.next[WALK_LOOK] = le;
	c->walked = le ? i : 0;

	return c->walked;
}

size_t calls_walk(struct calls *c, size_t from, size_t limit, call_h *h,
		  void *arg)
{
	struct le *le = walk_from(c, from);
	size_t i;

	for (i = from; le && limit; limit--, i++) {
		report(le->data, h, arg);
		le = le->next;
	}
	return walk_to(c, le, i);
}

static bool leg_is_on(const struct leg *leg, const char *interface)
{
	return leg && leg->realm->interface &&
	       !strcmp(leg->realm->interface->realm_id, interface);
}

size_t calls_on(struct calls *c, const char *interface, size_t from,
		size_t limit, uint32_t *n)
{
	struct le *le = walk_from(c, from);
	size_t i;

	for (i = from; le && limit; limit--, i++) {
		const struct call *call = le->data;

		le = le->next;
		if (call->state < CALL_CLOSING &&
		    (!interface || leg_is_on(call->a, interface) ||
		     leg_is_on(call->b, interface)))
			++*n;
	}
	return walk_to(c, le, i);
}

static bool id_is(const struct entry *e, const void *key)
{
	const struct call *c =
		(const void *)((const char *)e - offsetof(struct call, by_id));

	return c->id == *(const uint64_t *)key;
}

static struct call *call_by_id(struct calls *c, uint64_t id)
{
	struct entry *e = table_find(&c->home.ids, hash_bytes(&id, sizeof(id)),
				     id_is, &id);

	return e ? (void *)((char *)e - offsetof(struct call, by_id)) : NULL;
}

int calls_report(struct calls *c, uint64_t id, call_h *h, void *arg)
{
	const struct call *call = call_by_id(c, id);

	if (!call)
		return ENOENT;
	report(call, h, arg);
	return 0;
}

static void media_of(const struct call *c, call_media_h *h, void *arg)
{
	const struct cdr *cdr = &c->cdr;
	struct call_media m = { .id = c->id };

	for (int side = SIDE_A; side <= SIDE_B; side++)
		m.realm[side] =
			cdr->side[side].realm ? cdr->side[side].realm : "";
	media_report(c->media, &m.media);
	media_refresh(c->media);
	h(&m, arg);
}

size_t calls_media(struct calls *c, size_t from, size_t limit, call_media_h *h,
		   void *arg)
{
	struct le *le = walk_from(c, from);
	size_t i;

	for (i = from; le && limit; limit--, i++) {
		media_of(le->data, h, arg);
		le = le->next;
	}
	return walk_to(c, le, i);
}

int calls_kill(struct calls *c, uint64_t id)
{
	struct call *call = call_by_id(c, id);

	if (!call)
		return ENOENT;
	call_end(call, CDR_OPERATOR, CDR_BY_OPERATOR);
	return 0;
}

uint32_t calls_count(const struct calls *c)
{
	return (uint32_t)c->home.ids.count; /* each one is there */
}
