/*
 * A registrar: its pacer, and who waits for it
 */
#include <errno.h>
#include <string.h>
#include "store/log.h"
#include "sbc/alarm.h"
#include "sbc/attempt.h"
#include "sbc/clock.h"
#include "sbc/office.h"
#include "sbc/worker.h"

enum {
	TURN = 16,             /* AoRs fetched together */
	SLICE = 200,           /* AoRs woken before the loop goes on */
	BACKLOG_MINOR = 60000, /* waiting for a token so long [ms] */
	BACKLOG_MAJOR = 600000,
	LOOK_AGAIN = 1000,   /* at a pacer that waits for answers [ms] */
	PAUSE_MAX = 3600000, /* [ms] */
	LEAVE_RATE = 10,     /* times registration-rate at the end (4.7) */
	CLASS_SHIFT = 62,    /* of the rank: no moment in ms is as long */
};

/** Where a registration is linked by older and newer */
enum {
	NOWHERE,
	QUEUED,
	STRANDED
};

/* The order of the queue (4.5) ---------------------------------------------- */

/* Bindings by expiry, un-REGISTERs, AoRs without binding by due time (4.5) */
static uint64_t rank_of(const struct registration *r)
{
	uint64_t moment = r->class == DUE_BINDING ? r->expires : r->since;

	return (uint64_t)r->class << CLASS_SHIFT | moment;
}

static bool due_before(const void *a, const void *b)
{
	const struct registration *x = a, *y = b;

	return registration_number(x) < registration_number(y);
}

static void due_placed(void *x, uint32_t place)
{
	((struct registration *)x)->place = place;
}

static bool line_before(const void *a, const void *b)
{
	const struct line *x = a, *y = b;

	return due_before(x->due.v[0].x, y->due.v[0].x);
}

static void line_placed(void *x, uint32_t place)
{
	((struct line *)x)->place = place;
}

bool office_is_changed(const struct registry *r)
{
	return r && ((const struct office *)r)->changed;
}

void line_init(struct line *l)
{
	l->place = UINT32_MAX;
	l->due.before = due_before;
	l->due.placed = due_placed;
}

/* Lists of registrations --------------------------------------------------- */

static void fifo_add(struct fifo *f, struct registration *r)
{
	r->where = f->where;
	r->newer = NULL;
	r->older = f->newest;
	if (f->newest)
		f->newest->newer = r;
	else
		f->oldest = r;
	f->newest = r;
}

static void fifo_remove(struct fifo *f, struct registration *r)
{
	if (r->older)
		r->older->newer = r->newer;
	else
		f->oldest = r->newer;
	if (r->newer)
		r->newer->older = r->older;
	else
		f->newest = r->older;
	r->older = r->newer = NULL;
	r->where = NOWHERE;
}

/* The queue ----------------------------------------------------------------- */

static struct office *office_of(const struct registration *r)
{
	return (struct office *)r->flock->registry;
}

static void turn_office(void *arg);

/** Look again when the pacer may have a token */
static void kick(struct office *o)
{
	uint64_t now = clock_us(), next;

	if (o->turning)
		return;
	if (!o->lines.n && !(o->waking && o->stranded.oldest)) {
		timer_cancel(&o->timer);
		return;
	}
	next = pacer_next(&o->pacer, now);
	if (o->waking && o->stranded.oldest)
		next = now;
	timer_start(&o->timer,
		    next == UINT64_MAX ? LOOK_AGAIN : (next - now + 999) / 1000,
		    turn_office, o);
}

static void queue_remove(struct registration *r)
{
	struct line *l = r->flock->line;
	struct office *o = office_of(r);

	fifo_remove(&o->queued, r);
	heap_remove(&l->due, r->place);
	if (!l->due.n)
		heap_remove(&o->lines, l->place);
	else
		heap_moved(&o->lines, l->place, l->due.v[0].rank);
}

void office_not_due(struct registration *r)
{
	if (r->where == QUEUED)
		queue_remove(r);
	else if (r->where == STRANDED)
		fifo_remove(&office_of(r)->stranded, r);
}

void office_due(struct registration *r, enum surrogate_class c)
{
	struct line *l = r->flock->line;
	struct office *o = office_of(r);
	int err;

	if (r->where == STRANDED)
		office_not_due(r);
	if (!o) {
		/* nothing leads to a registrar before the next change */
		r->reason = "no egress realm";
		r->next = clock_ms() + PAUSE_MAX;
		surrogate_arm(r);
		return;
	}
	if (r->where == QUEUED) {
		if (r->class == c)
			return;
		queue_remove(r);
	} else {
		r->since = clock_ms();
	}

	r->class = c;
	err = heap_add(&l->due, r, rank_of(r));
	if (!err && l->place == UINT32_MAX) {
		err = heap_add(&o->lines, l, l->due.v[0].rank);
		if (err)
			heap_remove(&l->due, r->place);
	} else if (!err) {
		heap_moved(&o->lines, l->place, l->due.v[0].rank);
	}
	if (err) {
		/* out of memory: come back in a while */
		r->next = clock_ms() + LOOK_AGAIN;
		surrogate_arm(r);
		return;
	}
	fifo_add(&o->queued, r);
	kick(o);
}

bool office_has(const struct registration *r)
{
	return r->where == QUEUED;
}

/** The next herd: the first, but not twice in a row while another waits */
static struct line *next_line(const struct office *o)
{
	struct line *first = o->lines.v[0].x;
	uint32_t second = 1;

	if (first != o->last || o->lines.n < 2)
		return first;

	if (o->lines.n > 2 && heap_is_before(&o->lines, 2, 1))
		second = 2;

	return o->lines.v[second].x;
}

/** registration-backlog, by the one that has waited longest */
static void watch_backlog(struct office *o)
{
	uint64_t now = clock_ms();
	uint64_t waited = o->queued.oldest ? now - o->queued.oldest->since : 0;
	enum alarm_level severity =
		waited > BACKLOG_MAJOR ? ALARM_MAJOR : ALARM_MINOR;

	if (waited <= BACKLOG_MINOR) {
		if (o->backlog)
			alarm_clear("registration-backlog", o->r.name);
		o->backlog = 0;
		return;
	}
	if (o->backlog > (uint8_t)severity)
		return;
	o->backlog = (uint8_t)(severity + 1);
	alarm_raise("registration-backlog", severity, o->r.name,
		    "registrations wait for pacing since %llu s",
		    (unsigned long long)waited / 1000);
}

static void wake_slice(struct office *o)
{
	for (int i = 0; i < SLICE && o->stranded.oldest; i++) {
		struct registration *r = o->stranded.oldest;

		fifo_remove(&o->stranded, r);
		r->next = clock_ms();
		surrogate_arm(r);
	}
	if (!o->stranded.oldest)
		o->waking = false;
}

/** Since they came thousands of others were looked at: those of a turn are fetched
 *  together, so that their misses overlap */
static void fetch_some(const struct office *o)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < o->lines.n && n < TURN; i++) {
		const struct line *l = o->lines.v[i].x;

		for (uint32_t k = 0; k < l->due.n && n < TURN; k++, n++)
			registration_fetch(l->due.v[k].x);
	}
}

static void turn_office(void *arg)
{
	struct office *o = arg;

	o->turning = true;
	if (o->waking)
		wake_slice(o);
	fetch_some(o);
	while (o->lines.n && !pacer_take(&o->pacer, clock_us())) {
		struct line *l = next_line(o);
		struct registration *r = l->due.v[0].x;

		o->last = l;
		queue_remove(r);
		tally_add(&o->sent, 1);
		surrogate_feed(r, SUR_DUE, NULL);
	}
	o->turning = false;
	watch_backlog(o);
	kick(o);
}

void office_again(struct registration *r)
{
	struct office *o = office_of(r);

	if (!o)
		return;
	pacer_take_anyway(&o->pacer, clock_us());
	tally_add(&o->sent, 1);
}

/* Who waited for it wakes up */
static void came_back(struct office *o)
{
	o->r.unreachable = false;
	o->waking = true;
	pacer_slow_start(&o->pacer, clock_us());
	alarm_clear("surrogate-registrar-unreachable", o->r.name);
}

void office_answered(struct registration *r, uint16_t code)
{
	struct office *o = office_of(r);
	bool trouble = !code || code == 503 || code == 500;

	if (!o)
		return;

	pacer_answered(&o->pacer, trouble, clock_us());
	if (code && o->r.unreachable) {
		came_back(o);
		log_info(SURROGATE, "registrar-back", "registrar=%s code=%u",
			 o->r.name, code);
		if (o->all->back)
			o->all->back(o->all, o->r.name);
	}
	kick(o);
}

void office_unreachable(struct registration *r)
{
	struct office *o = office_of(r);

	if (!o)
		return;
	if (!o->r.unreachable) {
		o->r.unreachable = true;
		o->waking = false;
		alarm_raise("surrogate-registrar-unreachable", ALARM_MAJOR,
			    o->r.name, "no target answers: %s",
			    r->reason ? r->reason : "");
	}
	if (r->where == NOWHERE)
		fifo_add(&o->stranded, r);
}

void offices_walk(const struct offices *all, office_h *h, void *arg)
{
	const uint64_t now = clock_ms();

	for (struct le *le = list_head(&all->list); le; le = le->next) {
		const struct office *o = le->data;
		const struct registration *r = o->queued.oldest;
		struct office_report out = {
			.name = o->r.name,
			.oldest = r ? (now - r->since) / 1000 : 0,
			.limit = o->pacer.rate ? o->pacer.now_rate : 0,
			.unreachable = o->r.unreachable,
		};
		struct counter_report sent;

		/* oldest first: what follows a younger one is younger still */
		for (; r && now - r->since > BACKLOG_MINOR; r = r->newer)
			out.backlog++;
		for (uint32_t i = 0; i < o->lines.n; i++)
			out.due += ((struct line *)o->lines.v[i].x)->due.n;
		tally_read(&o->sent, &sent);
		out.recent = sent.recent;
		h(&out, arg);
	}
}

/* Life ---------------------------------------------------------------------- */

static void office_destructor(void *arg)
{
	struct office *o = arg;

	resolve_cancel(o->looking);
	list_unlink(&o->le);
	timer_cancel(&o->timer);
	mem_deref(o->lines.v);
	mem_deref(o->r.name);
	plan_give(o->r.realm_plan);
	plan_give(o->r.plan);
}

static int office_name(char **namep, const struct hop *hop)
{
	const char *realm = hop->realm->config->identifier;

	if (hop->agent)
		return re_sdprintf(namep, "%s|%s", hop->agent->hostname, realm);
	if (hop->port)
		return re_sdprintf(namep, "%r:%u|%s", &hop->host, hop->port,
				   realm);

	return re_sdprintf(namep, "%r|%s", &hop->host, realm);
}

static bool office_matches(const struct entry *e, const void *name)
{
	const struct office *o =
		(const struct office *)((const char *)e -
					offsetof(struct office, e));

	return !strcmp(o->r.name, name);
}

static uint64_t name_hash(const char *name)
{
	return hash_bytes(name, strlen(name));
}

static struct office *office_find(const struct offices *all, const char *name)
{
	struct entry *e = table_find(&all->by_name, name_hash(name),
				     office_matches, name);

	return e ? (struct office *)((char *)e - offsetof(struct office, e))
		 : NULL;
}

static bool same_agent(const struct session_agent *a,
		       const struct session_agent *b)
{
	return a == b || (a && b && item_same(&element_session_agent, a, b));
}

static void looked(int err, const struct resolved *found, void *arg)
{
	struct office *o = arg;

	o->looking = NULL;
	if (!err)
		attempt_learn(&o->r, found);
}

/** Calls come from, and go to, its targets also before the first REGISTER leaves
 *  after a restart (4.6) */
static void look(struct office *o)
{
	struct resolved found = { .n = 0 };
	int err;

	/* what is under way names the realm of the former plan */
	resolve_cancel(o->looking);
	o->looking = NULL;
	if (o->r.known.n)
		return;

	err = attempt_resolve(&o->looking, &o->r, &found, looked, o);
	if (!err)
		attempt_learn(&o->r, &found);
}

static void office_use(struct office *o, const struct plan *plan,
		       const struct hop *hop)
{
	const struct plan *before = o->r.plan, *realm_before = o->r.realm_plan;

	if (before && before != plan)
		o->changed = !same_agent(o->r.hop.agent, hop->agent);
	o->r.plan = plan_take(plan);
	o->r.realm_plan = plan_take(plan);
	o->r.hop = *hop;
	o->seen = true;
	look(o);
	plan_give(before);
	plan_give(realm_before);
}

/* registration-rate, or this worker's share of it; at least 1, as 0 is no limit */
static uint32_t rate_of(const struct offices *all, const struct plan *plan)
{
	uint64_t rate = plan->sip->registration_rate;

	if (!rate || !all->all || all->mine == all->all)
		return (uint32_t)rate;
	rate = rate * all->mine / all->all;

	return rate ? (uint32_t)rate : 1;
}

int office_get(struct office **op, struct offices *all, const struct plan *plan,
	       const struct surrogate_agent *agent)
{
	struct office *o;
	struct hop hop;
	char *name;
	int err;

	memset(&hop, 0, sizeof(hop));
	err = plan_registrar(plan, agent, &hop);
	if (err || !hop.realm)
		return err ? err : ENOENT;

	err = office_name(&name, &hop);
	if (err)
		return err;

	o = office_find(all, name);
	if (o) {
		mem_deref(name);
		office_use(o, plan, &hop);
		*op = o;
		return 0;
	}

	o = mem_zalloc(sizeof(*o), office_destructor);
	if (!o) {
		mem_deref(name);
		return ENOMEM;
	}
	o->r.name = name;
	o->r.worker = all->worker;
	o->all = all;
	o->lines.before = line_before;
	o->lines.placed = line_placed;
	o->queued.where = QUEUED;
	o->stranded.where = STRANDED;
	pacer_init(&o->pacer, rate_of(all, plan), clock_us());
	err = table_add(&all->by_name, &o->e, name_hash(name));
	if (err) {
		mem_deref(o);
		return err;
	}
	list_append(&all->list, &o->le, o);
	office_use(o, plan, &hop);
	*op = o;

	return 0;
}

void office_line_clear(struct office *o, struct line *l)
{
	if (!o || !l->due.n)
		return;
	for (uint32_t i = 0; i < l->due.n; i++)
		fifo_remove(&o->queued, l->due.v[i].x);
	heap_clear(&l->due);
	heap_remove(&o->lines, l->place);
}

void office_forget(struct office *o, const struct line *l)
{
	if (!o)
		return;
	if (o->last == l)
		o->last = NULL;
	o->users--;
}

void offices_init(struct offices *all, struct worker *w)
{
	all->worker = w;
	table_init(&all->by_name);
	list_init(&all->list);
}

void offices_finish(struct offices *all)
{
	list_flush(&all->list);
	table_finish(&all->by_name);
}

void offices_unsee(struct offices *all)
{
	for (struct le *le = all->list.head; le; le = le->next) {
		struct office *o = le->data;

		o->seen = o->changed = false;
	}
}

void offices_back(struct offices *all, const char *name)
{
	struct office *o = office_find(all, name);

	if (!o || !o->r.unreachable)
		return;
	came_back(o);
	kick(o);
}

void offices_share(struct offices *all, uint64_t mine, uint64_t of)
{
	all->mine = mine;
	all->all = of;
}

void offices_settle(struct offices *all, const struct plan *plan)
{
	struct le *le = all->list.head;

	while (le) {
		struct office *o = le->data;
		const struct realm *realm;

		le = le->next;
		if (!o->users) {
			if (o->r.unreachable)
				alarm_clear("surrogate-registrar-unreachable",
					    o->r.name);
			if (o->backlog)
				alarm_clear("registration-backlog", o->r.name);
			table_remove(&all->by_name, &o->e);
			mem_deref(o);
			continue;
		}
		pacer_change(&o->pacer, rate_of(all, plan));
		if (o->seen)
			continue;
		realm = realm_named(plan->realms,
				    o->r.hop.realm->config->identifier);
		if (!realm)
			continue;
		resolve_cancel(o->looking);
		o->looking = NULL;
		o->r.hop.realm = realm;
		plan_give(o->r.realm_plan);
		o->r.realm_plan = plan_take(plan);
	}
}

void offices_hurry(struct offices *all)
{
	for (struct le *le = all->list.head; le; le = le->next) {
		struct office *o = le->data;

		o->waking = false;
		pacer_change(&o->pacer, o->pacer.rate * LEAVE_RATE);
		pacer_full(&o->pacer);
	}
}
