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

static int fill_gaps(struct registration **v, uint32_t n, struct herd *h)
{
	int err = 0;

	for (uint32_t i = 0; !err && i < n; i++)
		if (!v[i])
			err = registration_alloc(&v[i], &h->f, i);

	return err;
}

/** A new AoR, or one that the database remembers; not armed yet */
static void herd_welcome(struct herd *h, struct registration *r)
{
	h->alive++;
	h->all->counts[r->state]++;
	recall_take(r);
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
	err = fill_gaps(h->v, h->n, h);
	if (!err)
		err = herd_enter(h);
	for (uint32_t i = 0; !err && i < h->n; i++)
		herd_welcome(h, h->v[i]);

out:
	if (err)
		herd_dismiss(h);
	else
		*hp = h;

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

enum {
	NO_PLACE = UINT32_MAX
};

/** Which number of the agent has the user of r? */
static uint32_t number_at(const struct registration *r,
			  const struct surrogate_agent *agent)
{
	const struct owner who = { r->flock->agent, r->number };
	char user[AOR_USER_MAX + 1];
	int n = aor_register_user(user, sizeof(user), &who);
	struct pl pl = { user, n < 0 ? 0 : (size_t)n };
	uint32_t number;

	if (n < 0 || aor_number(&number, agent, &pl) ||
	    number >= agent->aor_count)
		return NO_PLACE;

	return number;
}

/** Where does each AoR go that the agent still has? Only noted, in slot */
static void find_places(struct registration **v, struct herd *h,
			const struct surrogate_agent *agent)
{
	for (uint32_t i = 0; i < h->n; i++) {
		struct registration *r = h->v[i];

		r->slot = number_at(r, agent);
		if (r->slot != NO_PLACE && v[r->slot])
			r->slot = NO_PLACE;
		if (r->slot != NO_PLACE)
			v[r->slot] = r;
	}
}

static bool is_fresh(const struct herd *h, const struct registration *r)
{
	return r->number >= h->n || h->v[r->number] != r;
}

static void free_fresh(struct registration **v, uint32_t n,
		       const struct herd *h)
{
	for (uint32_t i = 0; i < n; i++)
		if (v[i] && is_fresh(h, v[i]))
			mem_deref(v[i]);
	mem_deref(v);
}

/** A herd of the former agent for those that leave. 0; ENOMEM */
static int rest_alloc(struct herd **restp, const struct herd *h)
{
	struct herd *rest;
	bool moved;
	int err = herd_alloc(&rest, h->all, h->f.agent);

	if (err)
		return err;

	err = herd_use(rest, h->f.plan, h->f.agent, &moved);
	if (!err) {
		rest->v = mem_zalloc(h->n * sizeof(*rest->v), NULL);
		err = rest->v ? 0 : ENOMEM;
	}
	if (err) {
		herd_dismiss(rest);
		return err;
	}
	rest->f.no_path = h->f.no_path;
	*restp = rest;

	return 0;
}

static void send_away(struct herd *rest, struct registration *r)
{
	office_not_due(r);
	r->flock->bound -= r->bound;
	rest->f.bound += r->bound;
	r->flock = &rest->f;
	rest->v[rest->n++] = r;
	rest->alive++;
}

/** Everybody to his place: cannot fail */
static void take_places(struct herd *h, struct registration **v, uint32_t n,
			struct herd *rest)
{
	for (uint32_t i = 0; i < n; i++)
		if (is_fresh(h, v[i]))
			herd_welcome(h, v[i]);
	for (uint32_t i = 0; i < h->n; i++) {
		struct registration *r = h->v[i];

		if (r->slot == NO_PLACE)
			send_away(rest, r);
		else
			r->number = r->slot;
	}
	mem_deref(h->v);
	h->v = v;
	h->n = h->alive = n;
}

/** AoRs keep their registration where their user is still one of the agent's;
 *  the rest leaves under a herd of the former agent. 0; ENOMEM: all as before */
static int renumber(struct herd *h, const struct plan *plan,
		    const struct surrogate_agent *agent, bool *moved)
{
	uint32_t n = agent->aor_count;
	struct registration **v = mem_zalloc(n * sizeof(*v), NULL);
	struct herd *rest;
	int err;

	if (!v)
		return ENOMEM;

	find_places(v, h, agent);
	err = fill_gaps(v, n, h);
	if (!err)
		err = rest_alloc(&rest, h);
	if (err) {
		free_fresh(v, n, h);
		return err;
	}

	err = herd_use(h, plan, agent, moved);
	if (err) {
		free_fresh(v, n, h);
		herd_dismiss(rest);
		return err;
	}

	take_places(h, v, n, rest);
	if (rest->n)
		herd_retire(rest);
	else
		herd_dismiss(rest);

	return 0;
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

	err = numbers_differ(old, agent) ? renumber(h, plan, agent, &moved)
					 : herd_use(h, plan, agent, &moved);
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
