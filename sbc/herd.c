/*
 * The AoRs of one agent, in an array by number
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "store/registrations.h"
#include "sbc/herd.h"
#include "sbc/outage.h"
#include "sbc/identities.h"
#include "sbc/worker.h"

struct herd_key {
	const char *host, *user, *realm;
};

static uint64_t herd_hash(const struct herd_key *k)
{
	uint64_t h = hash_bytes(k->host, strlen(k->host));

	h = hash_mix(h, hash_bytes(k->user, strlen(k->user)));

	return hash_mix(h, hash_bytes(k->realm, strlen(k->realm)));
}

static bool herd_matches(const struct entry *e, const void *arg)
{
	const struct herd *h = (const struct herd *)((const char *)e -
						     offsetof(struct herd, e));
	const struct surrogate_agent *a = h->f.agent;
	const struct herd_key *k = arg;

	return !strcmp(a->register_host, k->host) &&
	       !strcmp(a->register_user, k->user) &&
	       !strcmp(a->realm_id, k->realm);
}

struct herd *herd_find(const struct surrogates *all,
		       const struct surrogate_agent *agent)
{
	const struct herd_key key = { agent->register_host,
				      agent->register_user, agent->realm_id };
	struct entry *e =
		table_find(&all->herds, herd_hash(&key), herd_matches, &key);

	return e ? (struct herd *)((char *)e - offsetof(struct herd, e)) : NULL;
}

int herd_enter(struct herd *h)
{
	const struct surrogate_agent *a = h->f.agent;
	const struct herd_key key = { a->register_host, a->register_user,
				      a->realm_id };

	return table_add(&h->all->herds, &h->e, herd_hash(&key));
}

struct walk {
	herd_h *h;
	void *arg;
};

static void walk_one(struct entry *e, void *arg)
{
	const struct walk *w = arg;

	w->h((struct herd *)((char *)e - offsetof(struct herd, e)), w->arg);
}

void herd_walk(struct surrogates *all, herd_h *h, void *arg)
{
	struct walk w = { h, arg };
	size_t at = 0;

	do {
		at = table_walk(&all->herds, at, HERD_SLICE, walk_one, &w);
	} while (at);
}

struct herd *herd_of(const struct registration *r)
{
	return (struct herd *)r->flock;
}

bool herd_is_triggered(const struct herd *h)
{
	return h->f.agent->register_mode == REGISTER_MODE_TRIGGERED;
}

static void realms_forget(struct flock *f)
{
	while (f->realms_n)
		mem_deref(f->realms[--f->realms_n]);
}

static void herd_destructor(void *arg)
{
	struct herd *h = arg;

	list_unlink(&h->le);
	timer_cancel(&h->quiet);
	timer_cancel(&h->sweep);
	list_clear(&h->waiting);
	for (uint32_t i = 0; i < h->n; i++)
		mem_deref(h->v[i]);
	free(h->v);
	mem_deref(h->line.due.v);
	mem_deref(h->f.key);
	realms_forget(&h->f);
	if (h->f.plan)
		plan_give(h->f.plan);
}

struct registration **herd_room(uint32_t n)
{
	return calloc(n ? n : 1, sizeof(struct registration *));
}

int herd_alloc(struct herd **hp, struct surrogates *all,
	       const struct surrogate_agent *agent)
{
	struct item_ref ref = { &element_surrogate_agent, agent };
	struct herd *h = mem_zalloc(sizeof(*h), herd_destructor);
	int err;

	if (!h)
		return ENOMEM;

	h->all = all;
	h->f.host = all->host;
	h->f.worker = all->worker;
	h->f.line = &h->line;
	line_init(&h->line);
	err = re_sdprintf(&h->f.key, "%H", item_key_spell, &ref);
	if (err)
		mem_deref(h);
	else
		*hp = h;

	return err;
}

/* Count it over a session-agent, or over none; true: this changed */
static bool move_over(struct registration *r, struct agent *over)
{
	bool refused = over && r->state == SUR_REFUSED;
	struct agent *was = r->over;

	if (over == was && refused == r->over_refused)
		return false;

	if (was && was != over) {
		(void)agent_registrations(was, -1, -(int32_t)r->over_refused);
		r->over_refused = false;
	}
	if (over)
		(void)agent_registrations(over, was != over,
					  (int32_t)refused - r->over_refused);
	r->over = over;
	r->over_refused = refused;

	return true;
}

/* The session-agent may be in another state by that */
static void stand_over(struct registration *r, struct agent *over)
{
	struct agent *was = r->over;

	if (!move_over(r, over))
		return;
	if (was && was != over)
		(void)outage_look(was);
	if (over)
		(void)outage_look(over);
}

static struct agent *agent_over(const struct flock *f)
{
	const struct agents *agents = f->worker->agents;

	return f->registry && agents
		       ? agents_find(agents, f->registry->hop.agent)
		       : NULL;
}

void herd_tell_agent(struct registration *r)
{
	stand_over(r, r->state == SUR_DISABLED ? NULL : agent_over(r->flock));
}

/* The same for all: who was looked at and who is looked up once */
static void tell_agents(struct herd *h)
{
	struct agent *over = agent_over(&h->f), *was = NULL;

	for (uint32_t i = 0; i < h->n; i++) {
		struct registration *r = h->v[i];

		if (!r)
			continue;
		if (r->over != was && r->over != over) {
			if (was)
				(void)outage_look(was);
			was = r->over;
		}
		(void)move_over(r, r->state == SUR_DISABLED ? NULL : over);
	}
	if (was)
		(void)outage_look(was);
	if (over)
		(void)outage_look(over);
}

int herd_use(struct herd *h, const struct plan *plan,
	     const struct surrogate_agent *agent, bool *moved)
{
	const struct plan *before = h->f.plan;
	struct office *o = NULL, *was = (struct office *)h->f.registry;
	int err = office_get(&o, &h->all->offices, plan, agent);

	if (err == ENOMEM)
		return err;

	*moved = o != was;
	if (*moved) {
		/* what waits for the former registrar does not any more */
		office_line_clear(was, &h->line);
		for (uint32_t i = 0; was && i < h->n; i++)
			if (h->v[i])
				office_not_due(h->v[i]); /* stranded */
		office_forget(was, &h->line);
		if (o)
			o->users++;
		h->f.registry = o ? &o->r : NULL;
		/* what the former one named is no realm of this one (6.1) */
		realms_forget(&h->f);
		tell_agents(h);
	}
	h->f.plan = plan_take(plan);
	h->f.agent = agent;
	h->f.enabled = agent->state;
	if (before)
		plan_give(before);

	return 0;
}

void herd_dismiss(struct herd *h)
{
	office_forget((struct office *)h->f.registry, &h->line);
	mem_deref(h);
}

void herd_tell_waiting(const struct registration *r)
{
	const struct herd *h = herd_of(r);

	for (struct le *le = h->waiting.head; le; le = le->next) {
		const struct surrogate_wait *w = le->data;

		if (w->number == registration_number(r))
			w->h(w->arg);
	}
}

void herd_set_state(struct registration *r, enum surrogate_state state)
{
	struct surrogates *all = herd_of(r)->all;

	all->counts[r->state]--;
	r->state = (uint8_t)state;
	all->counts[state]++;
	herd_tell_agent(r);
	herd_tell_waiting(r);
}

/* Leaving for good ---------------------------------------------------------- */

void herd_forget(struct registration *r)
{
	stand_over(r, NULL);
	identities_drop(&herd_of(r)->all->associated, r);
	r->carrier = carrier_give(r->carrier);
}

/** Is its AoR one of an agent that came after it? */
static bool is_taken_over(const struct registration *r)
{
	const struct owner who = { r->flock->agent, registration_number(r) };
	const struct herd *now = herd_find(herd_of(r)->all, r->flock->agent);
	char user[AOR_USER_MAX + 1];
	struct pl pl = { user, 0 };
	uint32_t number;
	int n;

	if (!now || now == herd_of(r))
		return false;

	n = aor_register_user(user, sizeof(user), &who);
	pl.l = n < 0 ? 0 : (size_t)n;

	return n >= 0 && !aor_number(&number, now->f.agent, &pl) &&
	       number < now->n;
}

void herd_bury(struct registration *r)
{
	struct herd *h = herd_of(r);
	struct surrogates *all = h->all;
	char aor[AOR_SIZE];

	if (!is_taken_over(r) && registration_aor(aor, sizeof(aor), r) >= 0)
		(void)registrations_drop(all->worker->db, h->f.key, aor);
	office_not_due(r);
	herd_forget(r);
	all->counts[r->state]--;
	h->v[registration_number(r)] = NULL;
	mem_deref(r);
	if (--h->alive)
		return;

	herd_dismiss(h);
}

static void take_retire(void *arg);

/** The last one buried takes the herd with it */
static void retire_some(struct herd *h, uint32_t limit)
{
	mem_ref(h);
	for (; limit && h->swept < h->n; limit--) {
		struct registration *r = h->v[h->swept++];

		if (!r)
			continue;
		if (r->state == SUR_DISABLED)
			herd_bury(r);
		else
			surrogate_feed(r, SUR_GONE, NULL);
	}
	if (h->swept < h->n && mem_nrefs(h) > 1)
		timer_start(&h->sweep, 1, take_retire, h);
	mem_deref(h);
}

static void take_retire(void *arg)
{
	retire_some(arg, HERD_SLICE);
}

void herd_retire(struct herd *h)
{
	struct surrogates *all = h->all;

	h->retired = true;
	h->f.enabled = false;
	timer_cancel(&h->quiet);
	timer_cancel(&h->sweep);
	h->sweep_event = 0;
	list_append(&all->retired, &h->le, h);
	h->swept = 0;
	retire_some(h, HERD_SLICE);
}

void herds_retire_now(struct surrogates *all)
{
	struct le *le = all->retired.head;

	while (le) {
		struct herd *h = le->data;

		le = le->next;
		timer_cancel(&h->sweep);
		retire_some(h, UINT32_MAX);
	}
}

/* Sweeps --------------------------------------------------------------------- */

static void sweep_slice(struct herd *h, uint32_t limit)
{
	for (; limit && h->swept < h->n; limit--) {
		struct registration *r = h->v[h->swept++];

		if (h->sweep_only && (r->carrier != h->sweep_only ||
				      r->target.conn == h->sweep_conn))
			continue;
		if (sa_isset(&h->sweep_addr, SA_ADDR) &&
		    !sa_cmp(&h->sweep_addr, &r->target.dst, SA_ALL))
			continue;
		surrogate_feed(r, (enum surrogate_event)h->sweep_event, NULL);
	}
	if (h->swept >= h->n)
		h->sweep_event = 0;
}

static void take_sweep(void *arg)
{
	struct herd *h = arg;

	sweep_slice(h, HERD_SLICE);
	if (h->sweep_event)
		timer_start(&h->sweep, 1, take_sweep, h);
}

static void begin_sweep(struct herd *h, enum surrogate_event ev,
			const struct carrier *only, uint64_t conn,
			const struct sa *addr)
{
	bool back = ev == SUR_ACTIVE || ev == SUR_QUIET;

	if (h->sweep_event && !(back && (h->sweep_event == SUR_ACTIVE ||
					 h->sweep_event == SUR_QUIET)))
		sweep_slice(h, UINT32_MAX);
	h->sweep_only = only;
	h->sweep_conn = conn;
	h->sweep_event = (uint8_t)ev;
	h->swept = 0;
	if (addr)
		h->sweep_addr = *addr;
	else
		sa_init(&h->sweep_addr, AF_UNSPEC);
	take_sweep(h);
}

void herd_sweep(struct herd *h, enum surrogate_event ev)
{
	begin_sweep(h, ev, NULL, 0, NULL);
}

void herd_sweep_carrier(struct herd *h, const struct carrier *c, uint64_t conn)
{
	begin_sweep(h, SUR_TARGET_GONE, c, conn, NULL);
}

void herd_sweep_target(struct herd *h, const struct sa *addr)
{
	begin_sweep(h, SUR_TARGET_GONE, NULL, 0, addr);
}

void herd_sweep_end(struct herd *h)
{
	if (h->sweep_event)
		sweep_slice(h, UINT32_MAX);
}
