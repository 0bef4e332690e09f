/*
 * A plan taken over: AoRs made, told of changes, renumbered, sent away
 *
 * Nothing else walks all AoRs but the load at start and the stop.
 */
#include <errno.h>
#include <string.h>
#include "sbc/activity.h"
#include "sbc/clock.h"
#include "sbc/muster.h"
#include "sbc/recall.h"
#include "sbc/retry.h"

/* New agents ------------------------------------------------------------------ */

/** A new AoR, or one that the database remembers; not armed yet */
static int herd_fill_one(struct herd *h, uint32_t i)
{
	struct registration *r;
	int err = registration_alloc(&r, &h->f, i);

	if (err)
		return err;

	h->v[i] = r;
	h->alive++;
	h->all->counts[r->state]++;
	recall_take(r);

	return 0;
}

/** All AoRs exist: take them up. A triggered agent with bindings was active
 *  before the restart, and is taken as such until it is silent too long */
static void herd_begin(struct herd *h)
{
	bool any = false;

	for (uint32_t i = 0; i < h->n && !any; i++)
		any = h->v[i]->bound;
	h->f.active = any && herd_is_triggered(h);
	h->last_active = clock_ms();
	activity_watch(h);

	for (uint32_t i = 0; i < h->n; i++) {
		struct registration *r = h->v[i];

		if (herd_is_triggered(h) && !h->f.active &&
		    r->state != SUR_DISABLED)
			herd_set_state(r, SUR_DISABLED);
		retry_remind(r);
		if (r->state != SUR_DISABLED)
			surrogate_arm(r);
		else if (h->f.enabled)
			surrogate_feed(r, SUR_ENABLED, NULL);
	}
}

static int herd_new(struct surrogates *all, const struct plan *plan,
		    const struct surrogate_agent *agent, struct herd **hp)
{
	struct herd *h;
	bool moved;
	int err = herd_alloc(&h, all, agent);

	if (err)
		return err;

	err = herd_use(h, plan, agent, &moved);
	if (err)
		goto out;

	h->v = mem_zalloc(agent->aor_count * sizeof(*h->v), NULL);
	if (!h->v) {
		err = ENOMEM;
		goto out;
	}
	h->n = agent->aor_count;
	for (uint32_t i = 0; !err && i < h->n; i++)
		err = herd_fill_one(h, i);
	if (!err)
		err = herd_enter(h);

out:
	if (err) {
		for (uint32_t i = 0; h->v && i < h->n; i++)
			if (h->v[i])
				all->counts[h->v[i]->state]--;
		herd_dismiss(h);
	} else {
		*hp = h;
	}

	return err;
}

/* Contacts -------------------------------------------------------------------- */

/** Contact as it would be sent now; false: there is no sip-port for it */
static bool contact_now(char buf[CONTACT_SIZE], const struct registration *r)
{
	const struct endpoint *from =
		r->flock->registry
			? realm_endpoint(r->flock->registry->hop.realm,
					 &r->target.dst, r->target.transport)
			: NULL;

	return from && registration_contact(buf, CONTACT_SIZE, r->flock->agent,
					    r->number, from) >= 0;
}

/** Bindings with another Contact than ours is now. True: there are none */
static bool check_contact(struct registration *r)
{
	char contact[CONTACT_SIZE];

	if (!r->bound || !r->contact || !contact_now(contact, r) ||
	    !strcmp(contact, r->contact))
		return true;

	surrogate_feed(r, SUR_CONTACT, NULL);

	return false;
}

static void check_contacts(struct herd *h, bool changed)
{
	for (uint32_t i = 0; i < h->n; i++) {
		bool fits = !h->v[i]->bound || check_contact(h->v[i]);

		/* a sip-port moves all of them, or none */
		if (!changed && h->v[i]->bound && fits)
			return;
	}
}

/* Other numbers ---------------------------------------------------------------- */

/** Those behind a gap leave with the orphans */
static void herd_cut(struct herd *h, struct herd *rest, uint32_t from,
		     uint32_t *orphans)
{
	for (uint32_t i = from; i < h->n; i++) {
		struct registration *r = h->v[i];

		if (!r)
			continue;
		office_not_due(r);
		h->alive--;
		h->f.bound -= r->bound;
		rest->f.bound += r->bound;
		r->flock = &rest->f;
		rest->v[(*orphans)++] = r;
		h->v[i] = NULL;
	}
	h->n = from;
}

/** AoRs keep their registration where their user is still one of the agent's;
 *  the rest leaves under a herd of the former agent */
static int renumber(struct herd *h, const struct plan *plan,
		    const struct surrogate_agent *agent)
{
	struct surrogates *all = h->all;
	const struct surrogate_agent *old = h->f.agent;
	struct registration **v;
	struct herd *rest = NULL;
	uint32_t orphans = 0;
	bool moved;
	int err;

	v = mem_zalloc(agent->aor_count * sizeof(*v), NULL);
	err = v ? herd_alloc(&rest, all, old) : ENOMEM;
	if (!err)
		err = herd_use(rest, h->f.plan, old, &moved);
	if (!err) {
		rest->v = mem_zalloc((h->n ? h->n : 1) * sizeof(*v), NULL);
		err = rest->v ? 0 : ENOMEM;
	}
	if (err) {
		mem_deref(v);
		if (rest)
			herd_dismiss(rest);
		return err;
	}
	rest->f.no_path = h->f.no_path;

	for (uint32_t i = 0; i < h->n; i++) {
		struct registration *r = h->v[i];
		const struct owner who = { old, r->number };
		char user[AOR_USER_MAX + 1];
		struct pl pl = { user, 0 };
		int n = aor_register_user(user, sizeof(user), &who);
		uint32_t number;

		pl.l = n < 0 ? 0 : (size_t)n;
		if (n >= 0 && !aor_number(&number, agent, &pl) &&
		    number < agent->aor_count && !v[number]) {
			v[number] = r;
			r->number = number;
			continue;
		}
		office_not_due(r);
		h->f.bound -= r->bound;
		rest->f.bound += r->bound;
		r->flock = &rest->f;
		rest->v[orphans++] = r;
	}
	mem_deref(h->v);
	h->v = v;
	h->n = agent->aor_count;
	h->alive = 0;
	for (uint32_t i = 0; i < h->n; i++)
		h->alive += v[i] != NULL;

	err = herd_use(h, plan, agent, &moved);
	for (uint32_t i = 0; i < h->n; i++)
		if (!v[i] && herd_fill_one(h, i)) {
			/* out of memory: the agent has fewer for now */
			err = ENOMEM;
			herd_cut(h, rest, i, &orphans);
		}

	rest->n = rest->alive = orphans;
	if (orphans)
		herd_retire(rest);
	else
		herd_dismiss(rest);

	return err;
}

/* Changes ----------------------------------------------------------------------- */

static bool numbers_differ(const struct surrogate_agent *a,
			   const struct surrogate_agent *b)
{
	return a->aor_count != b->aor_count || a->count_start != b->count_start;
}

/** An un-REGISTER that waited for the former registrar */
static void leave_again(struct registration *r)
{
	if (r->state != SUR_LEAVING || surrogate_is_out(r))
		return;
	if (r->flock->registry)
		office_due(r, DUE_LEAVE);
	else
		surrogate_feed(r, SUR_NO_TARGET, NULL);
}

/** An agent that was there before */
static int herd_change(struct herd *h, const struct plan *plan,
		       const struct surrogate_agent *agent)
{
	const struct surrogate_agent *old = h->f.agent;
	bool same =
		old == agent || item_same(&element_surrogate_agent, old, agent);
	bool was = h->f.enabled, mode = old->register_mode, moved = false;
	int err;

	herd_sweep_end(h);

	if (numbers_differ(old, agent)) {
		struct registry *before = h->f.registry;

		err = renumber(h, plan, agent);
		moved = before != h->f.registry;
	} else {
		err = herd_use(h, plan, agent, &moved);
	}
	if (err)
		return err;

	h->f.no_path = h->f.no_path && same;
	if (mode != agent->register_mode && herd_is_triggered(h)) {
		/* whoever is registered counts as active, until it is silent */
		h->f.active = h->f.bound > 0;
		h->last_active = clock_ms();
	}
	activity_watch(h);

	for (uint32_t i = 0; i < h->n && office_is_changed(h->f.registry); i++)
		h->v[i]->moved = mem_deref(h->v[i]->moved);
	for (uint32_t i = 0; i < h->n && (!same || moved); i++) {
		struct registration *r = h->v[i];

		if (moved)
			leave_again(r);
		if (was && !h->f.enabled)
			surrogate_feed(r, SUR_GONE, NULL);
		else if (h->f.enabled && (!was || r->state == SUR_DISABLED))
			surrogate_feed(r, SUR_ENABLED, NULL);
		else if (h->f.enabled && !herd_is_triggered(h) &&
			 (r->state == SUR_IDLE || r->state == SUR_SILENT))
			surrogate_feed(r, SUR_ORDER_IN, NULL);
		else if (h->f.enabled)
			surrogate_feed(r, moved ? SUR_ANEW : SUR_CHANGED, NULL);
	}
	if (h->f.enabled)
		check_contacts(h, !same || moved);

	return 0;
}

/** Another agent than the one that the database remembers? What was refused or
 *  given up is tried again then, as if it had been changed while running */
static bool is_other(const struct herd *h, const struct plan *before)
{
	const struct surrogate_agent *old;
	struct pl key;

	if (!before)
		return false;

	pl_set_str(&key, h->f.key);
	old = config_find(before->config, &element_surrogate_agent, &key);

	return !old || !item_same(&element_surrogate_agent, old, h->f.agent);
}

static void changed_meanwhile(struct herd *h, const struct plan *before)
{
	bool other = h->f.enabled && is_other(h, before);

	for (uint32_t i = 0; other && i < h->n; i++)
		surrogate_feed(h->v[i], SUR_CHANGED, NULL);
}

static void forget_order(struct surrogates *all)
{
	all->order = mem_deref(all->order);
	all->n = 0;
	all->rows = 0;
}

static void mark_unseen(struct herd *h, void *arg)
{
	h->seen = false;
	(void)arg;
}

static void retire_unseen(struct herd *h, void *arg)
{
	struct surrogates *all = arg;

	if (h->seen)
		return;
	table_remove(&all->herds, &h->e);
	activity_end(h);
	herd_retire(h);
}

int muster(struct surrogates *s, const struct plan *now,
	   const struct plan *before)
{
	size_t n = config_count(now->config, &element_surrogate_agent);
	int err = 0;

	offices_unsee(&s->offices);
	herd_walk(s, mark_unseen, s);
	forget_order(s);
	s->triggered = false;
	s->order = mem_zalloc((n ? n : 1) * sizeof(*s->order), NULL);
	if (!s->order)
		return ENOMEM;

	for (size_t i = 0; i < n; i++) {
		const struct surrogate_agent *agent =
			config_at(now->config, &element_surrogate_agent, i);
		struct herd *h = herd_find(s, agent);
		bool fresh = !h;
		int e = fresh ? herd_new(s, now, agent, &h)
			      : herd_change(h, now, agent);

		/* one agent without memory does not stop the others */
		err = e ? e : err;
		if (!h)
			continue;
		h->seen = true;
		s->triggered |= herd_is_triggered(h) && h->f.enabled;
		h->first = s->rows;
		s->rows += h->n;
		s->order[s->n++] = h;
		if (!e && fresh) {
			herd_begin(h);
			check_contacts(h, true);
			changed_meanwhile(h, before);
		}
	}
	herd_walk(s, retire_unseen, s);
	offices_settle(&s->offices, now);
	recall_drop(s);

	return err;
}
