/*
 * A plan taken over: AoRs made, told of changes, renumbered, sent away
 *
 * While calls go on it is done a little in each turn of the loop. An agent that
 * its turn has not come to is the former one until then; who looks for a new one
 * finds none, as before it registers.
 */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include "store/log.h"
#include "sbc/activity.h"
#include "sbc/clock.h"
#include "sbc/crew.h"
#include "sbc/muster.h"
#include "sbc/recall.h"
#include "sbc/retry.h"

/* New agents ------------------------------------------------------------------ */

/** A new AoR, or one that the database remembers; not armed yet */
static void herd_welcome(struct herd *h, struct registration *r)
{
	h->alive++;
	h->all->counts[r->state]++;
	recall_take(r);
}

/** All AoRs exist. A triggered agent with bindings was active before the restart,
 *  and is taken as such until it is silent too long */
static void herd_begin(struct herd *h)
{
	bool any = false;

	for (uint32_t i = 0; i < h->n && !any; i++)
		any = h->v[i]->bound;
	h->f.active = any && herd_is_triggered(h);
	h->last_active = clock_ms();
	activity_watch(h);
}

/** One of them is taken up */
static void begin_one(struct herd *h, struct registration *r)
{
	if (herd_is_triggered(h) && !h->f.active && r->state != SUR_DISABLED)
		herd_set_state(r, SUR_DISABLED);
	retry_remind(r);
	if (r->state != SUR_DISABLED)
		surrogate_arm(r);
	else if (h->f.enabled)
		surrogate_feed(r, SUR_ENABLED, NULL);
}

/** One of an agent that has none yet */
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

	h->v = herd_room(agent->aor_count);
	err = h->v ? herd_enter(h) : ENOMEM;

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
					    registration_number(r), from) >= 0;
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

/* Other numbers ---------------------------------------------------------------- */

enum {
	NO_PLACE = UINT32_MAX,
	SHARES = 5,     /* are counted in the time of one step of a slice */
	RENUMBERED = 20 /* of those leave a registrar in the time of one's */
};

/** Which number of the agent has the user of r? */
static uint32_t number_at(const struct registration *r,
			  const struct surrogate_agent *agent)
{
	const struct owner who = { r->flock->agent, registration_number(r) };
	char user[AOR_USER_MAX + 1];
	int n = aor_register_user(user, sizeof(user), &who);
	struct pl pl = { user, n < 0 ? 0 : (size_t)n };
	uint32_t number;

	if (n < 0 || aor_number(&number, agent, &pl) ||
	    number >= agent->aor_count)
		return NO_PLACE;

	return number;
}

/** Another count or other numbers of an agent, prepared in slices while the former
 *  ones serve. An AoR has both, and the flock says which ones count */
struct renumbering {
	struct registration *
		*v; /* of the new numbers; NULL: none is under way */
	const struct surrogate_agent *agent;
	struct herd *rest; /* of the former agent: who leaves */
	uint32_t placed;   /* of the former ones */
	uint32_t filled;   /* of the new ones */
	uint32_t parted;   /* of the former ones: who leaves is of the rest */
	uint32_t fresh;    /* of the new ones: were not there before */
};

/** Its number once the new ones count */
static uint32_t *next_number(struct registration *r)
{
	return &r->number[!r->flock->side];
}

/** Which one will this AoR have, if the agent still has it? */
static void find_place(struct renumbering *x, struct registration *r)
{
	uint32_t number = number_at(r, x->agent);

	if (number != NO_PLACE && x->v[number])
		number = NO_PLACE;
	if (number != NO_PLACE)
		x->v[number] = r;
	*next_number(r) = number;
}

/** One that nobody has yet gets an AoR. 0; ENOMEM */
static int fill_place(struct renumbering *x, struct herd *h)
{
	const uint32_t i = x->filled++;
	int err;

	if (x->v[i])
		return 0;

	err = registration_alloc(&x->v[i], &h->f, i);
	if (err)
		return err;

	x->v[i]->number[h->f.side] = NO_PLACE;
	x->fresh++;

	return 0;
}

static bool is_fresh(const struct herd *h, const struct registration *r)
{
	return r->number[h->f.side] == NO_PLACE;
}

static void free_fresh(struct registration **v, uint32_t n,
		       const struct herd *h)
{
	for (uint32_t i = 0; i < n; i++)
		if (v[i] && is_fresh(h, v[i]))
			mem_deref(v[i]);
	free(v);
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
		rest->v = herd_room(h->n);
		err = rest->v ? 0 : ENOMEM;
	}
	if (err) {
		herd_dismiss(rest);
		return err;
	}
	rest->n = h->n;
	rest->f.side = h->f.side;
	rest->f.no_path = h->f.no_path;
	*restp = rest;

	return 0;
}

/** It has its number in the other herd, too: both are of the former agent */
static void join(struct herd *to, struct herd *from, struct registration *r)
{
	office_not_due(r);
	from->f.bound -= r->bound;
	to->f.bound += r->bound;
	r->flock = &to->f;
}

/** Who has no number any more leaves with the rest; until that goes, it is found
 *  where it was */
static void part_one(struct renumbering *x, struct herd *h)
{
	struct registration *r = h->v[x->parted++];

	if (*next_number(r) != NO_PLACE)
		return;
	join(x->rest, h, r);
	x->rest->v[registration_number(r)] = r;
	x->rest->alive++;
}

/** A slice: places, new ones in between, who leaves. How much that was; *err: there
 *  is no memory */
static uint32_t renumber_some(struct renumbering *x, struct herd *h,
			      uint32_t limit, int *err)
{
	uint32_t done = 0;

	for (; done < limit && x->placed < h->n; done++)
		find_place(x, h->v[x->placed++]);
	for (; !*err && done < limit && x->filled < x->agent->aor_count; done++)
		*err = fill_place(x, h);
	if (!*err && done < limit && !x->rest)
		*err = rest_alloc(&x->rest, h);
	for (; !*err && done < limit && x->parted < h->n; done++)
		part_one(x, h);

	return done;
}

static bool is_prepared(const struct renumbering *x, const struct herd *h)
{
	return x->rest && x->parted == h->n;
}

static void rest_go(struct herd *rest)
{
	if (rest->alive) {
		herd_retire(rest);
		return;
	}
	rest->n = 0;
	herd_dismiss(rest);
}

/** Nothing came of it */
static void renumbering_end(struct renumbering *x, struct herd *h)
{
	for (uint32_t i = 0; x->rest && i < x->rest->n; i++)
		if (x->rest->v[i])
			join(h, x->rest, x->rest->v[i]);
	if (x->rest) {
		x->rest->alive = 0;
		rest_go(x->rest);
	}
	if (x->v)
		free_fresh(x->v, x->agent->aor_count, h);
	x->rest = NULL;
	x->v = NULL;
}

static void exchange(struct herd *h, struct registration ***v, uint32_t *n)
{
	struct registration **was = h->v;
	const uint32_t count = h->n;

	h->v = *v;
	h->n = *n;
	h->f.side = !h->f.side;
	*v = was;
	*n = count;
}

/** The new numbers count: AoRs keep their registration where their user is still
 *  one of the agent's, and no AoR is touched. 0; ENOMEM: all as before */
static int renumber(struct herd *h, const struct plan *plan,
		    struct renumbering *x, bool *moved)
{
	uint32_t n = x->agent->aor_count;
	int err;

	exchange(h, &x->v, &n);
	err = herd_use(h, plan, x->agent, moved);
	if (err) {
		exchange(h, &x->v, &n);
		return err;
	}

	h->alive = h->n;
	h->all->counts[SUR_DISABLED] += x->fresh;
	free(x->v);
	x->v = NULL;
	rest_go(x->rest);
	x->rest = NULL;

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

/* Telling ------------------------------------------------------------------------ */

/** What the AoRs of an agent are told, one after the other */
struct tell {
	struct herd *h; /* NULL: nobody is told anything */
	uint32_t next;
	bool fresh;    /* it was not there before */
	bool makes;    /* its AoRs are made still */
	bool same;     /* the agent is as it was */
	bool was;      /* it was enabled */
	bool moved;    /* to another registrar */
	bool contacts; /* who is bound compares his Contact still */
	bool other;    /* than the one that the database remembers */
	bool mode;     /* register-mode before */
	struct renumbering numbers; /* before anything else */
};

struct muster {
	struct surrogates *all;
	const struct plan *now, *before; /* references */
	size_t shared;                   /* agents whose AoRs are counted */
	struct {
		uint64_t mine, all;
	} share;
	size_t next; /* agent of the configuration */
	size_t at;   /* chain of the table, while those leave that are gone */
	bool leaving, triggered;
	struct tell tell;
	struct timer timer;
	int err;
};

/** In the order of the configuration, once all its AoRs are there */
static void order_put(struct herd *h)
{
	struct surrogates *s = h->all;

	h->first = s->rows;
	s->rows += h->n;
	s->order[s->n++] = h;
}

/** An agent that was there before uses another plan: all but what each AoR does */
static void herd_changed(struct herd *h, struct tell *t)
{
	h->f.no_path = h->f.no_path && t->same;
	if (t->mode != h->f.agent->register_mode && herd_is_triggered(h)) {
		/* whoever is registered counts as active, until it is silent */
		h->f.active = h->f.bound > 0;
		h->last_active = clock_ms();
	}
	activity_watch(h);
	t->h = h;
	t->contacts = h->f.enabled;
}

static int herd_change(struct herd *h, const struct plan *plan,
		       const struct surrogate_agent *agent, struct tell *t)
{
	const struct surrogate_agent *old = h->f.agent;
	int err;

	t->same =
		old == agent || item_same(&element_surrogate_agent, old, agent);
	t->was = h->f.enabled;
	t->mode = old->register_mode;
	herd_sweep_end(h);
	if (numbers_differ(old, agent)) {
		t->numbers.agent = agent;
		t->numbers.v = herd_room(agent->aor_count);
		t->h = t->numbers.v ? h : NULL;
		return t->h ? 0 : ENOMEM;
	}
	err = herd_use(h, plan, agent, &t->moved);
	if (!err)
		herd_changed(h, t);

	return err;
}

static void change_one(struct tell *t, struct registration *r)
{
	struct herd *h = t->h;

	if (office_is_changed(h->f.registry))
		r->moved = mem_deref(r->moved);
	if (t->same && !t->moved)
		return;

	if (t->moved)
		leave_again(r);
	if (t->was && !h->f.enabled)
		surrogate_feed(r, SUR_GONE, NULL);
	else if (h->f.enabled && (!t->was || r->state == SUR_DISABLED))
		surrogate_feed(r, SUR_ENABLED, NULL);
	else if (h->f.enabled && !herd_is_triggered(h) &&
		 (r->state == SUR_IDLE || r->state == SUR_SILENT))
		surrogate_feed(r, SUR_ORDER_IN, NULL);
	else if (h->f.enabled)
		surrogate_feed(r, t->moved ? SUR_ANEW : SUR_CHANGED, NULL);
}

/** A sip-port moves all Contacts of an agent, or none: where nothing else has
 *  changed, the first that fits says so */
static void compare_one(struct tell *t, struct registration *r)
{
	bool fits = !r->bound || check_contact(r);

	if (t->same && !t->moved && r->bound && fits)
		t->contacts = false;
}

static void tell_one(struct tell *t, struct registration *r)
{
	if (t->fresh)
		begin_one(t->h, r);
	else
		change_one(t, r);
	if (t->contacts)
		compare_one(t, r);
	if (t->other)
		surrogate_feed(r, SUR_CHANGED, NULL);
}

/** AoRs of a new agent, at most so many; how many that were. Without memory it has
 *  fewer */
static uint32_t make_some(struct muster *m, uint32_t limit)
{
	struct tell *t = &m->tell;
	struct herd *h = t->h;
	uint32_t from = h->n;
	int err = 0;

	while (!err && h->n < h->f.agent->aor_count && h->n - from < limit) {
		err = registration_alloc(&h->v[h->n], &h->f, h->n);
		if (!err)
			herd_welcome(h, h->v[h->n++]);
	}
	limit = h->n - from + (err != 0);
	m->err = err ? err : m->err;
	if (err || h->n == h->f.agent->aor_count) {
		t->makes = false;
		herd_begin(h);
		order_put(h);
	}

	return limit;
}

/** Other numbers of an agent that was there before, a slice; how much that was */
static uint32_t renumber_next(struct muster *m, uint32_t limit)
{
	struct tell *t = &m->tell;
	struct renumbering *x = &t->numbers;
	struct herd *h = t->h;
	int err = 0;

	limit = renumber_some(x, h, limit, &err);
	if (!err && !is_prepared(x, h))
		return limit;

	herd_sweep_end(h); /* one that began meanwhile */
	if (!err)
		err = renumber(h, m->now, x, &t->moved);
	renumbering_end(x, h);
	m->err = err ? err : m->err;
	if (err)
		t->h = NULL;
	else
		herd_changed(h, t);
	order_put(h);

	/* another registrar lets go of each of them */
	return limit + (t->moved ? h->n / RENUMBERED : 0) + 1;
}

/** At most so many of them; how many that were */
static uint32_t tell_some(struct tell *t, uint32_t limit)
{
	uint32_t from = t->next;

	while (t->next < t->h->n && t->next - from < limit)
		tell_one(t, t->h->v[t->next++]);
	limit = t->next - from;
	if (t->next == t->h->n)
		t->h = NULL;

	return limit;
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

static void forget_order(struct surrogates *all)
{
	all->order = mem_deref(all->order);
	all->n = 0;
	all->rows = 0;
}

/* The whole ------------------------------------------------------------------------ */

static void muster_destructor(void *arg)
{
	struct muster *m = arg;

	timer_cancel(&m->timer);
	if (m->tell.numbers.v)
		renumbering_end(&m->tell.numbers, m->tell.h);
	plan_give(m->now);
	plan_give(m->before);
}

static void retire_unseen(struct entry *e, void *arg)
{
	struct herd *h = (struct herd *)((char *)e - offsetof(struct herd, e));
	struct surrogates *all = arg;

	if (h->seen == all->musters)
		return;
	table_remove(&all->herds, &h->e);
	activity_end(h);
	herd_retire(h);
}

/** The next agent of the configuration; how much that was */
static uint32_t agent_next(struct muster *m)
{
	struct surrogates *s = m->all;
	const struct surrogate_agent *agent =
		config_at(m->now->config, &element_surrogate_agent, m->next++);
	struct tell *t = &m->tell;
	struct herd *h;
	bool fresh;
	int err;

	/* keep-alives of its PBX may come in here, wherever it registers */
	m->triggered |=
		agent->state && agent->register_mode == REGISTER_MODE_TRIGGERED;
	s->triggered |= m->triggered;
	if (!crew_has(s->worker, m->now, agent))
		return 1;

	h = herd_find(s, agent);
	fresh = !h;
	*t = (struct tell){ .fresh = fresh, .moved = true, .contacts = true };
	err = fresh ? herd_new(s, m->now, agent, &h)
		    : herd_change(h, m->now, agent, t);
	/* one agent without memory does not stop the others */
	m->err = err ? err : m->err;
	if (!h)
		return 1;

	h->seen = s->musters;
	if (t->numbers.v)
		return 1;
	if (!fresh) {
		order_put(h);
	} else if (!err) {
		t->h = h;
		t->makes = true;
		t->other = h->f.enabled && is_other(h, m->before);
	}

	return 1;
}

/** Of how many AoRs some are this worker's: before any of them is due */
static uint32_t share_some(struct muster *m, size_t n)
{
	const struct worker *w = m->all->worker;
	uint32_t done = 0;

	if (crew_is_alone(w)) {
		m->shared = n;
		offices_share(&m->all->offices, 1, 1);
		return 0;
	}
	for (; m->shared < n && done < HERD_SLICE * SHARES; done++) {
		const struct surrogate_agent *agent = config_at(
			m->now->config, &element_surrogate_agent, m->shared++);

		m->share.all += agent->aor_count;
		if (crew_has(w, m->now, agent))
			m->share.mine += agent->aor_count;
	}
	if (m->shared == n)
		offices_share(&m->all->offices, m->share.mine, m->share.all);

	return done / SHARES + 1;
}

/** A slice; false: that was the last one */
static bool muster_some(struct muster *m)
{
	const size_t n = config_count(m->now->config, &element_surrogate_agent);
	struct surrogates *s = m->all;
	uint32_t done = 0;

	while (!m->leaving && done < HERD_SLICE) {
		if (m->shared < n)
			done += share_some(m, n);
		else if (m->tell.numbers.v)
			done += renumber_next(m, HERD_SLICE - done);
		else if (m->tell.makes)
			done += make_some(m, HERD_SLICE - done);
		else if (m->tell.h)
			done += tell_some(&m->tell, HERD_SLICE - done);
		else if (m->next < n)
			done += agent_next(m);
		else
			m->leaving = true;
	}
	if (!m->leaving || done >= HERD_SLICE)
		return true;

	m->at = table_walk(&s->herds, m->at, HERD_SLICE, retire_unseen, s);
	if (m->at)
		return true;
	s->triggered = m->triggered;
	offices_settle(&s->offices, m->now);
	recall_drop(s);

	return false;
}

static void go_on(void *arg)
{
	struct muster *m = arg;
	struct surrogates *s = m->all;

	if (muster_some(m)) {
		timer_start(&m->timer, 1, go_on, m);
		return;
	}
	if (m->err)
		log_error(SURROGATE, "change", "text=\"%s\"", strerror(m->err));
	s->muster = mem_deref(m);
}

void muster_end(struct surrogates *s)
{
	struct muster *m = s->muster;

	while (m && muster_some(m))
		;
	s->muster = mem_deref(m);
}

static struct muster *muster_alloc(struct surrogates *s, const struct plan *now,
				   const struct plan *before)
{
	size_t n = config_count(now->config, &element_surrogate_agent);
	struct muster *m;

	forget_order(s);
	s->order = mem_zalloc((n ? n : 1) * sizeof(*s->order), NULL);
	m = s->order ? mem_zalloc(sizeof(*m), muster_destructor) : NULL;
	if (!m)
		return NULL;
	m->all = s;
	m->now = plan_take(now);
	m->before = before ? plan_take(before) : NULL;
	s->musters++;
	offices_unsee(&s->offices);
	if (!n)
		offices_share(&s->offices, 0, 0);

	return m;
}

int muster(struct surrogates *s, const struct plan *now,
	   const struct plan *before)
{
	struct muster *m;
	int err;

	muster_end(s);
	m = muster_alloc(s, now, before);
	if (!m)
		return ENOMEM;
	s->triggered = false;
	while (muster_some(m))
		;
	err = m->err;
	mem_deref(m);

	return err;
}

int muster_begin(struct surrogates *s, const struct plan *now,
		 const struct plan *before)
{
	muster_end(s);
	s->muster = muster_alloc(s, now, before);
	if (!s->muster)
		return ENOMEM;
	go_on(s->muster);

	return 0;
}
