/*
 * All AoRs that register: table, expansion, changes, persistence
 *
 * A herd is an agent with its AoRs in an array by number, so that an owner is
 * found by agent and number without a table of AoRs. An office is a registrar:
 * its pacer and its queue. The queue is two heaps deep: an office holds herds
 * that wait, a herd its AoRs that are due; so one agent with 100,000 AoRs takes
 * at most every second token while others wait (behaviour.md 4.5).
 *
 * Nothing walks all AoRs but a change of configuration, the load at start and
 * the stop. What concerns all AoRs of an agent is a sweep of slices.
 */
#include <errno.h>
#include <string.h>
#include "store/log.h"
#include "store/number.h"
#include "store/registrations.h"
#include "sbc/alarm.h"
#include "sbc/clock.h"
#include "sbc/counters.h"
#include "sbc/pacer.h"
#include "sbc/surrogates.h"

enum {
	SLICE = 200,           /* AoRs of one sweep before the loop goes on */
	BACKLOG_MINOR = 60000, /* waiting for a token so long [ms] */
	BACKLOG_MAJOR = 600000,
	QUIET_CALL = 1000,   /* look whether the calls are over [ms] */
	LOOK_AGAIN = 1000,   /* at a pacer that waits for answers [ms] */
	PAUSE_MAX = 3600000, /* [ms] */
	URIS_MAX = 16,       /* associated URIs of one AoR */
	LEAVE_RATE = 10,     /* times registration-rate at the end (4.7) */
	URI_SIZE = 768,
	AOR_SIZE = AOR_USER_MAX + 260
};

/** Where a registration is linked by older and newer */
enum {
	NOWHERE,
	QUEUED,
	STRANDED
};

struct heap {
	void **v;
	uint32_t n, size;
	bool (*before)(const void *a, const void *b);
	void (*placed)(void *x, uint32_t place);
};

/** Registrations in order of coming */
struct fifo {
	struct registration *oldest, *newest;
	uint8_t where;
};

struct office {
	struct registry r; /* first: registry and office are one */
	struct entry e;    /* of surrogates.by_name */
	struct le le;
	struct surrogates *all;
	const struct plan *plan; /* a reference: hop points into it */
	struct pacer pacer;
	struct heap herds;
	struct herd *last; /* took the last token */
	struct fifo queued, stranded;
	struct timer timer;
	uint32_t users;  /* herds */
	uint8_t backlog; /* 0, or 1 + enum alarm_level raised */
	bool waking, turning, seen;
};

struct herd {
	struct flock f; /* first: flock and herd are one */
	struct entry e; /* of surrogates.herds */
	struct le le;   /* of surrogates.retired */
	struct surrogates *all;
	struct heap due;
	uint32_t place; /* in office->herds; UINT32_MAX: does not wait */
	struct registration **v;
	uint32_t n, alive;
	size_t first; /* rows before it in the order of configuration */
	struct timer quiet, sweep;
	uint64_t last_active;
	uint32_t calls; /* in progress; 0 again when the agent comes back */
	uint32_t swept;
	uint8_t sweep_event;
	bool retired, seen;
};

/** An associated URI of an AoR, kept with its customer-host in mind */
struct associated {
	struct entry e;
	struct registration *r;
	struct associated *next;
	struct pl user, host; /* in text; host empty: tel */
	char text[];
};

/** A row of the database that no agent has claimed yet */
struct loaded {
	struct entry e;
	char *agent, *aor, *callid, *tag, *contact, *registrar, *target;
	char *route, *associated;
	struct registration_row row;
};

struct surrogates {
	struct worker *worker;
	struct table herds, associated, loaded, by_name;
	struct list offices, retired;
	struct herd **order;
	uint32_t n;
	size_t rows;
	uint32_t counts[SUR_STATES];
	uint64_t written; /* of the database, wall [s] */
	struct timer stop;
	void (*done)(void *arg);
	void *done_arg;
	bool triggered; /* an agent is, in the present plan */
	bool stopping;
};

struct herd_key {
	const char *host, *user, *realm;
};

static const struct surrogate_host host;

/* Heaps -------------------------------------------------------------------- */

static void heap_set(struct heap *h, uint32_t at, void *x)
{
	h->v[at] = x;
	h->placed(x, at);
}

static void heap_up(struct heap *h, uint32_t at)
{
	void *x = h->v[at];

	while (at && h->before(x, h->v[(at - 1) / 2])) {
		heap_set(h, at, h->v[(at - 1) / 2]);
		at = (at - 1) / 2;
	}
	heap_set(h, at, x);
}

static void heap_down(struct heap *h, uint32_t at)
{
	void *x = h->v[at];

	for (;;) {
		uint32_t child = 2 * at + 1;

		if (child >= h->n)
			break;
		if (child + 1 < h->n && h->before(h->v[child + 1], h->v[child]))
			child++;
		if (!h->before(h->v[child], x))
			break;
		heap_set(h, at, h->v[child]);
		at = child;
	}
	heap_set(h, at, x);
}

static void heap_moved(struct heap *h, uint32_t at)
{
	heap_up(h, at);
	heap_down(h, at);
}

static int heap_add(struct heap *h, void *x)
{
	if (h->n == h->size) {
		uint32_t size = h->size ? 2 * h->size : 16;
		void **v = mem_reallocarray(h->v, size, sizeof(*v), NULL);

		if (!v)
			return ENOMEM;
		h->v = v;
		h->size = size;
	}
	h->v[h->n] = x;
	heap_up(h, h->n++);

	return 0;
}

static void heap_remove(struct heap *h, uint32_t at)
{
	void *last = h->v[--h->n];

	h->placed(h->v[at], UINT32_MAX);
	if (at < h->n) {
		h->v[at] = last;
		heap_moved(h, at);
	}
	if (!h->n) {
		h->v = mem_deref(h->v);
		h->size = 0;
	}
}

/* Bindings by expiry, un-REGISTERs, AoRs without binding by due time (4.5) */
static bool due_before(const void *a, const void *b)
{
	const struct registration *x = a, *y = b;

	return x->class != y->class ? x->class < y->class : x->key < y->key;
}

static void due_placed(void *x, uint32_t place)
{
	((struct registration *)x)->place = place;
}

static bool herd_before(const void *a, const void *b)
{
	const struct herd *x = a, *y = b;

	return due_before(x->due.v[0], y->due.v[0]);
}

static void herd_placed(void *x, uint32_t place)
{
	((struct herd *)x)->place = place;
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

/* The queue of a registrar ------------------------------------------------- */

static struct herd *herd_of(const struct registration *r)
{
	return (struct herd *)r->flock;
}

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
	if (!o->herds.n && !(o->waking && o->stranded.oldest)) {
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
	struct herd *h = herd_of(r);
	struct office *o = office_of(r);

	fifo_remove(&o->queued, r);
	heap_remove(&h->due, r->place);
	if (!h->due.n)
		heap_remove(&o->herds, h->place);
	else
		heap_moved(&o->herds, h->place);
}

static void host_not_due(struct registration *r)
{
	if (r->where == QUEUED)
		queue_remove(r);
	else if (r->where == STRANDED)
		fifo_remove(&office_of(r)->stranded, r);
}

static void host_due(struct registration *r, enum surrogate_class c)
{
	struct herd *h = herd_of(r);
	struct office *o = office_of(r);
	int err;

	if (r->where == STRANDED)
		host_not_due(r);
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
	r->key = c == DUE_BINDING ? r->expires : r->since;
	err = heap_add(&h->due, r);
	if (!err && h->place == UINT32_MAX) {
		err = heap_add(&o->herds, h);
		if (err)
			heap_remove(&h->due, r->place);
	} else if (!err) {
		heap_moved(&o->herds, h->place);
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

/** The next herd: the first, but not twice in a row while another waits */
static struct herd *next_herd(const struct office *o)
{
	struct herd *first = o->herds.v[0], *second;

	if (first != o->last || o->herds.n < 2)
		return first;

	second = o->herds.v[1];
	if (o->herds.n > 2 && herd_before(o->herds.v[2], second))
		second = o->herds.v[2];

	return second;
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

static void turn_office(void *arg)
{
	struct office *o = arg;

	o->turning = true;
	if (o->waking)
		wake_slice(o);
	while (o->herds.n && !pacer_take(&o->pacer, clock_us())) {
		struct herd *h = next_herd(o);
		struct registration *r = h->due.v[0];

		o->last = h;
		queue_remove(r);
		surrogate_feed(r, SUR_DUE, NULL);
	}
	o->turning = false;
	watch_backlog(o);
	kick(o);
}

static void host_again(struct registration *r)
{
	if (office_of(r))
		pacer_take_anyway(&office_of(r)->pacer, clock_us());
}

static void host_answered(struct registration *r, uint16_t code)
{
	struct office *o = office_of(r);
	bool trouble = !code || code == 503 || code == 500;

	if (!o)
		return;

	pacer_answered(&o->pacer, trouble, clock_us());
	if (code && o->r.unreachable) {
		o->r.unreachable = false;
		o->waking = true;
		pacer_slow_start(&o->pacer, clock_us());
		alarm_clear("surrogate-registrar-unreachable", o->r.name);
		log_info(SURROGATE, "registrar-back", "registrar=%s code=%u",
			 o->r.name, code);
	}
	kick(o);
}

static void host_unreachable(struct registration *r)
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

/* Associated URIs (4.9) ----------------------------------------------------- */

/** Visual separators do not count (RFC 3966 5.1.1) */
static uint64_t user_hash(const struct pl *user)
{
	char buf[AOR_USER_MAX];
	size_t n = 0;

	for (size_t i = 0; i < user->l && n < sizeof(buf); i++)
		if (!strchr("-.()", user->p[i]))
			buf[n++] = user->p[i];

	return hash_bytes(buf, n);
}

struct associated_key {
	const struct realm *realm;
	const struct uri *uri;
};

static bool realm_has(const struct realm *realm, const char *name)
{
	for (; realm; realm = realm->parent)
		if (!strcmp(realm->config->identifier, name))
			return true;

	return false;
}

static bool is_tel(const struct uri *uri)
{
	return !pl_strcasecmp(&uri->scheme, "tel");
}

static bool associated_matches(const struct entry *e, const void *arg)
{
	const struct associated *a = (const struct associated *)e;
	const struct surrogate_agent *agent = a->r->flock->agent;
	const struct associated_key *key = arg;
	struct pl customer;

	if (!a->r->flock->enabled || !realm_has(key->realm, agent->realm_id) ||
	    !user_equal(&a->user, &key->uri->user))
		return false;
	if (!a->host.l || is_tel(key->uri))
		return true;

	pl_set_str(&customer, agent->customer_host);
	if (customer.l && host_equal(&customer, &key->uri->host))
		return true;

	return !customer.l && host_equal(&a->host, &key->uri->host);
}

static void associated_drop(struct registration *r)
{
	struct surrogates *all = herd_of(r)->all;

	while (r->uris) {
		struct associated *a = r->uris;

		r->uris = a->next;
		table_remove(&all->associated, &a->e);
		mem_deref(a);
	}
}

/** Does another AoR of the same tenant have it? The older one keeps it */
static bool is_taken(const struct registration *r, const struct uri *uri)
{
	const struct surrogates *all = herd_of(r)->all;
	const struct realm *realm =
		realm_named(r->flock->plan->realms, r->flock->agent->realm_id);
	const struct associated_key key = { realm, uri };
	const struct associated *a = (const struct associated *)table_find(
		&all->associated, user_hash(&uri->user), associated_matches,
		&key);

	return a && a->r != r;
}

static void associated_add(struct registration *r, const struct uri *uri)
{
	struct surrogates *all = herd_of(r)->all;
	struct associated *a;
	size_t host_l = is_tel(uri) ? 0 : uri->host.l;
	char aor[AOR_SIZE] = "";

	if (is_taken(r, uri)) {
		(void)surrogate_aor(aor, sizeof(aor), r);
		if (log_admit("reg-uri-taken"))
			log_warning(SURROGATE, "reg-uri-taken",
				    "aor=%s text=\"an associated URI belongs "
				    "to another AoR already\"",
				    aor);
		return;
	}

	a = mem_zalloc(sizeof(*a) + uri->user.l + host_l, NULL);
	if (!a)
		return;
	memcpy(a->text, uri->user.p, uri->user.l);
	if (host_l)
		memcpy(a->text + uri->user.l, uri->host.p, host_l);
	a->user = (struct pl){ a->text, uri->user.l };
	a->host = (struct pl){ a->text + uri->user.l, host_l };
	a->r = r;
	if (table_add(&all->associated, &a->e, user_hash(&a->user))) {
		mem_deref(a);
		return;
	}
	a->next = r->uris;
	r->uris = a;
}

static void host_associate(struct registration *r, const struct message *msg)
{
	struct pl rest, value;

	(void)msg;
	associated_drop(r);
	if (!r->bound || !r->associated)
		return;

	pl_set_str(&rest, r->associated);
	for (int i = 0; i < URIS_MAX && !list_next(&rest, &value); i++) {
		struct address addr;

		if (!address_read(&addr, &value) && addr.uri.scheme.l &&
		    addr.uri.user.l)
			associated_add(r, &addr.uri);
	}
}

/* Persistence (4.7) ---------------------------------------------------------- */

/** Monotonic moment to wall clock [s]; 0 stays 0 */
static uint64_t to_wall(uint64_t at)
{
	uint64_t now = clock_ms(), wall = clock_wall();

	if (!at)
		return 0;
	if (at >= now)
		return wall + (at - now + 999) / 1000;

	return wall > (now - at) / 1000 ? wall - (now - at) / 1000 : 1;
}

static void host_store(struct registration *r)
{
	const struct office *o = office_of(r);
	struct herd *h = herd_of(r);
	char aor[AOR_SIZE], target[96] = "";
	struct registration_row row = {
		.aor = aor,
		.agent = h->f.key,
		.callid = r->callid,
		.from_tag = r->tag,
		.contact = r->contact ? r->contact : "",
		.registrar = o ? o->r.name : "",
		.target = target,
		.service_route = r->route ? r->route : "",
		.associated = r->associated ? r->associated : "",
		.cseq_reserved = r->reserved,
		.granted = r->granted,
		.min_expires = r->min_expires,
		.failures = r->failures,
		.expires = r->bound ? to_wall(r->expires) : 0,
		.refresh = to_wall(r->next),
		.state = r->state,
	};
	int err;

	if (surrogate_aor(aor, sizeof(aor), r) < 0)
		return;
	if (sa_isset(&r->target.dst, SA_ADDR))
		(void)re_snprintf(target, sizeof(target), "%J;transport=%s",
				  &r->target.dst,
				  transport_name(r->target.transport));

	err = registrations_put(h->all->worker->db, &row);
	if (err && log_admit("reg-store"))
		log_error(SURROGATE, "reg-store", "aor=%s text=\"%s\"", aor,
			  strerror(err));
}

static int target_parse(struct target *t, const char *text)
{
	const char *semi = strstr(text, ";transport=");
	struct pl addr, transport;
	int err;

	if (!semi)
		return EINVAL;
	addr = (struct pl){ text, (size_t)(semi - text) };
	pl_set_str(&transport, semi + strlen(";transport="));
	memset(t, 0, sizeof(*t));
	err = address_parse_text(&t->dst, &addr);
	t->transport = (uint8_t)transport_parse(&transport);

	return t->transport == TRANSPORT_NONE ? EINVAL : err;
}

static void loaded_destructor(void *arg)
{
	struct loaded *l = arg;

	mem_deref(l->agent);
	mem_deref(l->aor);
	mem_deref(l->callid);
	mem_deref(l->tag);
	mem_deref(l->contact);
	mem_deref(l->registrar);
	mem_deref(l->target);
	mem_deref(l->route);
	mem_deref(l->associated);
}

static uint64_t loaded_hash(const char *agent, const char *aor)
{
	return hash_mix(hash_bytes(agent, strlen(agent)),
			hash_bytes(aor, strlen(aor)));
}

struct loaded_key {
	const char *agent, *aor;
};

static bool loaded_matches(const struct entry *e, const void *arg)
{
	const struct loaded *l = (const struct loaded *)e;
	const struct loaded_key *key = arg;

	return !strcmp(l->agent, key->agent) && !strcmp(l->aor, key->aor);
}

static int keep(char **dst, const char *src)
{
	return str_dup(dst, src ? src : "");
}

static void load_row(const struct registration_row *row, void *arg)
{
	struct surrogates *all = arg;
	struct loaded *l = mem_zalloc(sizeof(*l), loaded_destructor);
	int err;

	if (!l)
		return;
	l->row = *row;
	err = keep(&l->agent, row->agent);
	err |= keep(&l->aor, row->aor);
	err |= keep(&l->callid, row->callid);
	err |= keep(&l->tag, row->from_tag);
	err |= keep(&l->contact, row->contact);
	err |= keep(&l->registrar, row->registrar);
	err |= keep(&l->target, row->target);
	err |= keep(&l->route, row->service_route);
	err |= keep(&l->associated, row->associated);
	if (err ||
	    table_add(&all->loaded, &l->e, loaded_hash(l->agent, l->aor)))
		mem_deref(l);
}

/** Rows of AoRs that are configured no more */
static void drop_loaded(struct entry *e, void *arg)
{
	struct surrogates *all = arg;
	struct loaded *l = (struct loaded *)e;

	if (all->worker)
		(void)registrations_drop(all->worker->db, l->agent, l->aor);
	table_remove(&all->loaded, e);
	mem_deref(l);
}

static void empty_loaded(struct surrogates *all)
{
	size_t at = 0;

	do {
		at = table_walk(&all->loaded, at, SLICE, drop_loaded, all);
	} while (at);
}

static void take_text(char **dst, char **src)
{
	if (!**src)
		return;
	mem_deref(*dst);
	*dst = *src;
	*src = NULL;
}

/** Seconds from now to a stored moment, within 0 and max */
static uint64_t rest_of(uint64_t wall, uint64_t max)
{
	uint64_t now = clock_wall();
	uint64_t left = wall > now ? wall - now : 0;

	return left < max ? left : max;
}

static void set_state(struct registration *r, enum surrogate_state state)
{
	struct surrogates *all = herd_of(r)->all;

	all->counts[r->state]--;
	r->state = (uint8_t)state;
	all->counts[state]++;
}

/** State and next try of a row whose binding is over, or never was */
static void resume_unbound(struct registration *r,
			   const struct registration_row *row)
{
	switch (row->state) {
	case SUR_BACKOFF:
	case SUR_REFUSED:
		set_state(r, (enum surrogate_state)row->state);
		r->next = clock_ms() +
			  rest_of(row->refresh, PAUSE_MAX / 1000) * 1000;
		break;
	case SUR_GIVEN_UP:
		set_state(r, SUR_GIVEN_UP);
		break;
	default:
		set_state(r, SUR_WAITING);
		r->next = clock_ms();
		break;
	}
}

static void resume(struct registration *r, struct loaded *l)
{
	const struct registration_row *row = &l->row;
	const struct office *o = office_of(r);
	uint64_t now = clock_ms(), left;
	bool same = o && !strcmp(l->registrar, o->r.name);
	bool backwards = clock_wall() < herd_of(r)->all->written;

	if (strlen(l->callid) < sizeof(r->callid) && *l->callid &&
	    strlen(l->tag) < sizeof(r->tag) && *l->tag) {
		strcpy(r->callid, l->callid);
		strcpy(r->tag, l->tag);
		/* the end of the block is above any that was sent */
		r->cseq = r->reserved = row->cseq_reserved;
	}
	r->granted = row->granted;
	r->min_expires = row->min_expires;
	r->failures = row->failures > UINT16_MAX ? UINT16_MAX
						 : (uint16_t)row->failures;
	if (!r->flock->enabled)
		return;

	left = backwards && row->expires ? row->granted
					 : rest_of(row->expires, row->granted);
	if (!same || !left || target_parse(&r->target, l->target)) {
		if (!same)
			r->failures = 0;
		resume_unbound(r, row);
		if (!same || backwards)
			r->next = r->state == SUR_GIVEN_UP ? 0 : now;
		return;
	}

	take_text(&r->contact, &l->contact);
	take_text(&r->route, &l->route);
	take_text(&r->associated, &l->associated);
	r->bound = r->contact != NULL;
	r->flock->bound += r->bound;
	r->expires = now + left * 1000;
	r->next = backwards ? now
			    : now + rest_of(row->refresh, row->granted) * 1000;
	set_state(r, row->state == SUR_REFUSED ? SUR_REFUSED : SUR_REGISTERED);
	gauge(COUNT_SURROGATE_REGS, r->state == SUR_REGISTERED);
	host_associate(r, NULL);
}

/* Offices -------------------------------------------------------------------- */

static void office_destructor(void *arg)
{
	struct office *o = arg;

	list_unlink(&o->le);
	timer_cancel(&o->timer);
	mem_deref(o->herds.v);
	mem_deref(o->r.name);
	if (o->plan)
		plan_give(o->plan);
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

static struct office *office_find(const struct surrogates *all,
				  const char *name)
{
	struct entry *e = table_find(&all->by_name, name_hash(name),
				     office_matches, name);

	return e ? (struct office *)((char *)e - offsetof(struct office, e))
		 : NULL;
}

static void office_use(struct office *o, const struct plan *plan,
		       const struct hop *hop)
{
	const struct plan *before = o->plan;

	o->plan = plan_take(plan);
	o->r.hop = *hop;
	o->seen = true;
	if (before)
		plan_give(before);
}

/** The registrar of an agent, made when it is the first. 0; ENOENT; ENOMEM */
static int office_get(struct office **op, struct surrogates *all,
		      const struct plan *plan,
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
	o->all = all;
	o->r.name = name;
	o->r.worker = all->worker;
	o->herds.before = herd_before;
	o->herds.placed = herd_placed;
	o->queued.where = QUEUED;
	o->stranded.where = STRANDED;
	pacer_init(&o->pacer, plan->sip->registration_rate, clock_us());
	err = table_add(&all->by_name, &o->e, name_hash(name));
	if (err) {
		mem_deref(o);
		return err;
	}
	list_append(&all->offices, &o->le, o);
	office_use(o, plan, &hop);
	*op = o;

	return 0;
}

/** Those without users go; those with users in no plan any more speak from the
 *  realm of the same name */
static void offices_settle(struct surrogates *all, const struct plan *plan)
{
	struct le *le = all->offices.head;

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
		pacer_change(&o->pacer, plan->sip->registration_rate);
		if (o->seen)
			continue;
		realm = realm_named(plan->realms,
				    o->r.hop.realm->config->identifier);
		if (realm)
			o->r.hop.realm = realm;
	}
}

/* Herds ---------------------------------------------------------------------- */

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

static struct herd *herd_find(const struct surrogates *all,
			      const struct surrogate_agent *agent)
{
	const struct herd_key key = { agent->register_host,
				      agent->register_user, agent->realm_id };
	struct entry *e =
		table_find(&all->herds, herd_hash(&key), herd_matches, &key);

	return e ? (struct herd *)((char *)e - offsetof(struct herd, e)) : NULL;
}

static void herd_destructor(void *arg)
{
	struct herd *h = arg;

	list_unlink(&h->le);
	timer_cancel(&h->quiet);
	timer_cancel(&h->sweep);
	for (uint32_t i = 0; i < h->n; i++)
		mem_deref(h->v[i]);
	mem_deref(h->v);
	mem_deref(h->due.v);
	mem_deref(h->f.key);
	for (uint32_t i = 0; i < h->f.realms_n; i++)
		mem_deref(h->f.realms[i]);
	if (h->f.plan)
		plan_give(h->f.plan);
}

static bool is_triggered(const struct herd *h)
{
	return h->f.agent->register_mode == REGISTER_MODE_TRIGGERED;
}

/** Point to a plan and its agent; take a registrar */
static int herd_use(struct herd *h, const struct plan *plan,
		    const struct surrogate_agent *agent, bool *moved)
{
	const struct plan *before = h->f.plan;
	struct office *o = NULL, *was = (struct office *)h->f.registry;
	int err = office_get(&o, h->all, plan, agent);

	if (err == ENOMEM)
		return err;

	*moved = o != was;
	if (*moved) {
		/* what waits for the former registrar does not any more */
		for (uint32_t i = 0; was && i < h->n; i++)
			if (h->v[i])
				host_not_due(h->v[i]);
		if (was && was->last == h)
			was->last = NULL;
		if (was)
			was->users--;
		if (o)
			o->users++;
		h->f.registry = o ? &o->r : NULL;
	}
	h->f.plan = plan_take(plan);
	h->f.agent = agent;
	h->f.enabled = agent->state;
	if (before)
		plan_give(before);

	return 0;
}

static int herd_alloc(struct herd **hp, struct surrogates *all,
		      const struct surrogate_agent *agent)
{
	struct item_ref ref = { &element_surrogate_agent, agent };
	struct herd *h = mem_zalloc(sizeof(*h), herd_destructor);
	int err;

	if (!h)
		return ENOMEM;

	h->all = all;
	h->f.host = &host;
	h->f.worker = all->worker;
	h->place = UINT32_MAX;
	h->due.before = due_before;
	h->due.placed = due_placed;
	err = re_sdprintf(&h->f.key, "%H", item_key_print, &ref);
	if (err)
		mem_deref(h);
	else
		*hp = h;

	return err;
}

/** A new AoR, or one that the database remembers; not armed yet */
static int herd_fill_one(struct herd *h, uint32_t i)
{
	struct surrogates *all = h->all;
	char aor[AOR_SIZE] = "";
	const struct loaded_key key = { h->f.key, aor };
	struct registration *r;
	struct entry *e;
	int err = surrogate_alloc(&r, &h->f, i);

	if (err)
		return err;

	h->v[i] = r;
	h->alive++;
	all->counts[r->state]++;
	if (!all->loaded.count || surrogate_aor(aor, sizeof(aor), r) < 0)
		return 0;

	e = table_find(&all->loaded, loaded_hash(h->f.key, aor), loaded_matches,
		       &key);
	if (e) {
		table_remove(&all->loaded, e);
		resume(r, (struct loaded *)e);
		mem_deref(e);
	}

	return 0;
}

static void quiet(void *arg);

static void watch_quiet(struct herd *h, uint64_t wait)
{
	if (is_triggered(h) && h->f.enabled && h->f.active)
		timer_start(&h->quiet, wait, quiet, h);
	else
		timer_cancel(&h->quiet);
}

/** All AoRs exist: take them up. A triggered agent with bindings was active
 *  before the restart, and is taken as such until it is silent too long */
static void herd_begin(struct herd *h)
{
	bool any = false;

	for (uint32_t i = 0; i < h->n && !any; i++)
		any = h->v[i]->bound;
	h->f.active = any && is_triggered(h);
	h->last_active = clock_ms();
	watch_quiet(h, h->f.agent->triggered_inactivity_interval * 1000ull);

	for (uint32_t i = 0; i < h->n; i++) {
		struct registration *r = h->v[i];

		if (is_triggered(h) && !h->f.active && r->state != SUR_DISABLED)
			set_state(r, SUR_DISABLED);
		surrogate_remind(r);
		if (r->state != SUR_DISABLED)
			surrogate_arm(r);
		else if (h->f.enabled)
			surrogate_feed(r, SUR_ENABLED, NULL);
	}
}

static int herd_new(struct surrogates *all, const struct plan *plan,
		    const struct surrogate_agent *agent, struct herd **hp)
{
	const struct herd_key key = { agent->register_host,
				      agent->register_user, agent->realm_id };
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
		err = table_add(&all->herds, &h->e, herd_hash(&key));

out:
	if (err) {
		struct office *o = (struct office *)h->f.registry;

		for (uint32_t i = 0; h->v && i < h->n; i++)
			if (h->v[i])
				all->counts[h->v[i]->state]--;
		if (o)
			o->users--;
		mem_deref(h);
	} else {
		*hp = h;
	}

	return err;
}

/* Leaving for good ----------------------------------------------------------- */

/** Free a registration that is disabled, and its herd with the last one */
static void bury(struct registration *r)
{
	struct herd *h = herd_of(r);
	struct surrogates *all = h->all;
	struct office *o = (struct office *)h->f.registry;
	char aor[AOR_SIZE];

	if (surrogate_aor(aor, sizeof(aor), r) >= 0)
		(void)registrations_drop(all->worker->db, h->f.key, aor);
	host_not_due(r);
	associated_drop(r);
	all->counts[r->state]--;
	h->v[r->slot] = NULL;
	mem_deref(r);
	if (--h->alive)
		return;

	if (o) {
		if (o->last == h)
			o->last = NULL;
		o->users--;
	}
	mem_deref(h);
}

/** Orphans under a herd of their own, which is in no table: each leaves by the
 *  table and is buried when it is disabled */
static void retire(struct herd *h)
{
	struct surrogates *all = h->all;
	uint32_t n = h->n;

	h->retired = true;
	h->f.enabled = false;
	timer_cancel(&h->quiet);
	timer_cancel(&h->sweep);
	list_append(&all->retired, &h->le, h);

	for (uint32_t i = 0; i < n; i++)
		if (h->v[i])
			h->v[i]->slot = i;

	mem_ref(h); /* the last one buried takes the herd with it */
	for (uint32_t i = 0; i < n; i++) {
		struct registration *r = h->v[i];

		if (!r)
			continue;
		if (r->state == SUR_DISABLED)
			bury(r);
		else
			surrogate_feed(r, SUR_GONE, NULL);
	}
	mem_deref(h);
}

/* Sweeps ----------------------------------------------------------------------- */

static void sweep_slice(struct herd *h, uint32_t limit)
{
	for (; limit && h->swept < h->n; limit--) {
		struct registration *r = h->v[h->swept++];

		surrogate_feed(r, (enum surrogate_event)h->sweep_event, NULL);
	}
	if (h->swept >= h->n)
		h->sweep_event = 0;
}

static void take_sweep(void *arg)
{
	struct herd *h = arg;

	sweep_slice(h, SLICE);
	if (h->sweep_event)
		timer_start(&h->sweep, 1, take_sweep, h);
}

/** Tell all AoRs of an agent, 200 in a turn. One that is under way is ended
 *  first, unless the new one takes it back */
static void sweep(struct herd *h, enum surrogate_event ev)
{
	bool back = ev == SUR_ACTIVE || ev == SUR_QUIET;

	if (h->sweep_event && !(back && (h->sweep_event == SUR_ACTIVE ||
					 h->sweep_event == SUR_QUIET)))
		sweep_slice(h, UINT32_MAX);
	h->sweep_event = (uint8_t)ev;
	h->swept = 0;
	take_sweep(h);
}

static void quiet(void *arg)
{
	struct herd *h = arg;
	uint64_t limit = h->f.agent->triggered_inactivity_interval * 1000ull;
	uint64_t silent = clock_ms() - h->last_active;

	if (silent < limit || h->calls) {
		watch_quiet(h, silent < limit ? limit - silent : QUIET_CALL);
		return;
	}

	h->f.active = false;
	alarm_raise("surrogate-silent", ALARM_WARNING, h->f.key,
		    "nothing from the PBX for %u s",
		    h->f.agent->triggered_inactivity_interval);
	sweep(h, SUR_QUIET);
}

/* Changes ----------------------------------------------------------------------- */

/** Contact as it would be sent now; false: there is no sip-port for it */
static bool contact_now(char buf[URI_SIZE], const struct registration *r)
{
	const struct endpoint *from =
		r->flock->registry
			? realm_endpoint(r->flock->registry->hop.realm,
					 &r->target.dst, r->target.transport)
			: NULL;

	return from && surrogate_contact(buf, URI_SIZE, r->flock->agent,
					 r->number, from) >= 0;
}

/** Bindings with another Contact than ours is now. True: there are none */
static bool check_contact(struct registration *r)
{
	char contact[URI_SIZE];

	if (!r->bound || !r->contact || !contact_now(contact, r) ||
	    !strcmp(contact, r->contact))
		return true;

	if (!r->old_contact)
		r->old_contact = mem_ref(r->contact);
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

/** Those behind a gap leave with the orphans */
static void herd_cut(struct herd *h, struct herd *rest, uint32_t from,
		     uint32_t *orphans)
{
	for (uint32_t i = from; i < h->n; i++) {
		struct registration *r = h->v[i];

		if (!r)
			continue;
		host_not_due(r);
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
		if (rest && rest->f.registry)
			((struct office *)rest->f.registry)->users--;
		mem_deref(v);
		mem_deref(rest);
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
		host_not_due(r);
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
	if (!orphans) {
		if (rest->f.registry)
			((struct office *)rest->f.registry)->users--;
		mem_deref(rest);
	} else {
		retire(rest);
	}

	return err;
}

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
		host_due(r, DUE_LEAVE);
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

	if (h->sweep_event)
		sweep_slice(h, UINT32_MAX);

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
	if (mode != agent->register_mode && is_triggered(h)) {
		/* whoever is registered counts as active, until it is silent */
		h->f.active = h->f.bound > 0;
		h->last_active = clock_ms();
	}
	watch_quiet(h, agent->triggered_inactivity_interval * 1000ull);

	for (uint32_t i = 0; i < h->n && (!same || moved); i++) {
		struct registration *r = h->v[i];

		if (moved)
			leave_again(r);
		if (was && !h->f.enabled)
			surrogate_feed(r, SUR_GONE, NULL);
		else if (h->f.enabled &&
			 (!was || r->state == SUR_DISABLED ||
			  (r->state == SUR_IDLE && !is_triggered(h))))
			surrogate_feed(r,
				       r->state == SUR_IDLE ? SUR_ORDER_IN
							    : SUR_ENABLED,
				       NULL);
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

static void mark_unseen(struct entry *e, void *arg)
{
	struct herd *h = (struct herd *)((char *)e - offsetof(struct herd, e));

	(void)arg;
	h->seen = false;
}

static void retire_unseen(struct entry *e, void *arg)
{
	struct herd *h = (struct herd *)((char *)e - offsetof(struct herd, e));
	struct surrogates *all = arg;

	if (h->seen)
		return;
	table_remove(&all->herds, e);
	retire(h);
}

static void walk_herds(struct surrogates *all, entry_h *h)
{
	size_t at = 0;

	do {
		at = table_walk(&all->herds, at, SLICE, h, all);
	} while (at);
}

int surrogates_change(struct surrogates *s, const struct plan *now,
		      const struct plan *before)
{
	size_t n = config_count(now->config, &element_surrogate_agent);
	int err = 0;

	for (struct le *le = s->offices.head; le; le = le->next)
		((struct office *)le->data)->seen = false;
	walk_herds(s, mark_unseen);
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
		s->triggered |= is_triggered(h) && h->f.enabled;
		h->first = s->rows;
		s->rows += h->n;
		s->order[s->n++] = h;
		if (!e && fresh) {
			herd_begin(h);
			check_contacts(h, true);
			changed_meanwhile(h, before);
		}
	}
	walk_herds(s, retire_unseen);
	offices_settle(s, now);
	empty_loaded(s);

	return err;
}

/* The host of the machines -------------------------------------------------- */

static void stop_look(struct surrogates *all);

static bool counts_as_registered(enum surrogate_state s)
{
	return s == SUR_REGISTERED || s == SUR_REFRESHING;
}

static void host_moved(struct registration *r, enum surrogate_state from)
{
	struct herd *h = herd_of(r);
	struct surrogates *all = h->all;

	all->counts[from]--;
	all->counts[r->state]++;
	gauge(COUNT_SURROGATE_REGS,
	      (int32_t)counts_as_registered((enum surrogate_state)r->state) -
		      (int32_t)counts_as_registered(from));
	if (h->retired && r->state == SUR_DISABLED)
		bury(r);
	if (all->stopping)
		stop_look(all);
}

static void host_agent_down(struct registration *r)
{
	surrogates_target_gone(herd_of(r)->all, r->flock->registry->hop.agent);
}

static const struct surrogate_host host = {
	.due = host_due,
	.not_due = host_not_due,
	.again = host_again,
	.answered = host_answered,
	.unreachable = host_unreachable,
	.agent_down = host_agent_down,
	.store = host_store,
	.associate = host_associate,
	.moved = host_moved,
};

/* Life ------------------------------------------------------------------------ */

static void close_herd(struct entry *e, void *arg)
{
	struct herd *h = (struct herd *)((char *)e - offsetof(struct herd, e));
	struct surrogates *all = arg;

	for (uint32_t i = 0; i < h->n; i++) {
		gauge(COUNT_SURROGATE_REGS,
		      -(int32_t)counts_as_registered(
			      (enum surrogate_state)h->v[i]->state));
		associated_drop(h->v[i]);
	}
	table_remove(&all->herds, e);
	mem_deref(h);
}

static void free_loaded(struct entry *e, void *arg)
{
	table_remove(arg, e);
	mem_deref(e);
}

static void surrogates_destructor(void *arg)
{
	struct surrogates *all = arg;
	size_t at = 0;

	timer_cancel(&all->stop);
	walk_herds(all, close_herd);
	while (all->retired.head) {
		struct herd *h = all->retired.head->data;

		for (uint32_t i = 0; i < h->n; i++)
			if (h->v[i])
				associated_drop(h->v[i]);
		mem_deref(h);
	}
	list_flush(&all->offices);
	do {
		at = table_walk(&all->loaded, at, SLICE, free_loaded,
				&all->loaded);
	} while (at);
	table_finish(&all->herds);
	table_finish(&all->associated);
	table_finish(&all->loaded);
	table_finish(&all->by_name);
	mem_deref(all->order);
}

int surrogates_open(struct surrogates **sp, struct worker *w)
{
	struct surrogates *all =
		mem_zalloc(sizeof(*all), surrogates_destructor);
	int err;

	if (!all)
		return ENOMEM;

	all->worker = w;
	table_init(&all->herds);
	table_init(&all->associated);
	table_init(&all->loaded);
	table_init(&all->by_name);
	list_init(&all->offices);
	list_init(&all->retired);
	all->written = registrations_written(w->db);
	err = registrations_load(w->db, load_row, all);
	if (err)
		mem_deref(all);
	else
		*sp = all;

	return err;
}

void surrogates_close(struct surrogates *s)
{
	mem_deref(s);
}

static void stop_end(void *arg)
{
	struct surrogates *all = arg;
	uint32_t left = all->counts[SUR_LEAVING];

	all->stopping = false;
	timer_cancel(&all->stop);
	if (left)
		log_warning(SURROGATE, "reg-stop",
			    "left=%u text=\"not un-registered in time\"", left);
	all->done(all->done_arg);
}

static bool is_quiet(const struct surrogates *all)
{
	return !all->counts[SUR_LEAVING] && !all->counts[SUR_REGISTERING] &&
	       !all->counts[SUR_REFRESHING];
}

/** The end is told by the timer: who stops may free everything then */
static void stop_look(struct surrogates *all)
{
	if (is_quiet(all))
		timer_start(&all->stop, 0, stop_end, all);
}

void surrogates_stop(struct surrogates *s, uint32_t timeout_ms,
		     void (*done)(void *arg), void *arg)
{
	s->done = done;
	s->done_arg = arg;
	timer_start(&s->stop, timeout_ms, stop_end, s);
	for (struct le *le = s->offices.head; le; le = le->next) {
		struct office *o = le->data;

		o->waking = false;
		pacer_change(&o->pacer, o->pacer.rate * LEAVE_RATE);
		pacer_full(&o->pacer);
	}
	for (uint32_t i = 0; i < s->n; i++)
		for (uint32_t k = 0; k < s->order[i]->n; k++)
			surrogate_feed(s->order[i]->v[k], SUR_SHUTDOWN, NULL);
	s->stopping = true;
	stop_look(s);
}

/* Questions -------------------------------------------------------------------- */

static struct registration *by_owner(const struct surrogates *s,
				     const struct owner *who)
{
	const struct herd *h = who->agent ? herd_find(s, who->agent) : NULL;

	return h && who->number < h->n ? h->v[who->number] : NULL;
}

int surrogates_by_owner(const struct surrogates *s, const struct owner *who,
			struct registration_view *out)
{
	struct registration *r = by_owner(s, who);
	const struct registry *reg = r ? r->flock->registry : NULL;
	uint64_t grace, now = clock_ms();

	if (!r)
		return ENOENT;

	grace = r->flock->plan->sip->register_grace_timer * 1000ull;
	r->target.tls_name =
		reg && reg->hop.agent ? reg->hop.agent->hostname : NULL;
	*out = (struct registration_view){
		.owner = { r->flock->agent, r->number },
		.state = r->state == SUR_REFRESHING
				 ? SUR_REGISTERED
				 : (enum surrogate_state)r->state,
		.bound = r->bound || (r->expires && now < r->expires + grace),
		.refused = r->state == SUR_REFUSED,
		.contact = r->contact ? r->contact : "",
		.service_route = r->bound && r->route ? r->route : "",
		.egress = reg ? reg->hop.realm : NULL,
	};
	if (out->bound && sa_isset(&r->target.dst, SA_ADDR))
		out->target = &r->target;

	return 0;
}

static bool is_registered(const struct owner *who, void *arg)
{
	const struct registration *r = by_owner(arg, who);

	return r && r->bound;
}

static int find_associated(struct owner *who, const struct realm *realm,
			   const struct uri *uri, void *arg)
{
	const struct surrogates *s = arg;
	const struct associated_key key = { realm, uri };
	const struct associated *a = (const struct associated *)table_find(
		&s->associated, user_hash(&uri->user), associated_matches,
		&key);

	if (!a)
		return ENOENT;
	who->agent = a->r->flock->agent;
	who->number = a->r->number;

	return 0;
}

void surrogates_identity(struct surrogates *s, struct identity_live *out)
{
	out->registered = is_registered;
	out->associated = find_associated;
	out->arg = s;
}

bool surrogates_knows_realm(const struct surrogates *s,
			    const struct surrogate_agent *agent,
			    const struct pl *auth_realm)
{
	const struct herd *h = herd_find(s, agent);

	for (uint32_t i = 0; h && i < h->f.realms_n; i++)
		if (!pl_strcmp(auth_realm, h->f.realms[i]))
			return true;

	return false;
}

bool surrogates_is_registrar(const struct surrogates *s,
			     const struct surrogate_agent *agent,
			     const struct realm *egress,
			     const struct sa *target)
{
	const struct herd *h = herd_find(s, agent);
	const struct registry *reg = h ? h->f.registry : NULL;

	if (!reg || strcmp(reg->hop.realm->config->identifier,
			   egress->config->identifier) != 0)
		return false;

	for (uint32_t i = 0; i < reg->known.n; i++)
		if (sa_cmp(&reg->known.addr[i], target, SA_ADDR))
			return true;
	if (reg->known.n)
		return false;

	/* nothing was sent since the start: what the database remembers */
	for (uint32_t i = 0; i < h->n; i++)
		if (h->v[i]->bound)
			return sa_cmp(&h->v[i]->target.dst, target, SA_ADDR);

	return false;
}

void surrogates_active(struct surrogates *s,
		       const struct surrogate_agent *agent)
{
	struct herd *h = herd_find(s, agent);

	if (!h || !is_triggered(h) || !h->f.enabled)
		return;

	h->last_active = clock_ms();
	if (h->f.active)
		return;

	h->f.active = true;
	alarm_clear("surrogate-silent", h->f.key);
	watch_quiet(h, h->f.agent->triggered_inactivity_interval * 1000ull);
	sweep(h, SUR_ACTIVE);
}

bool surrogates_any_triggered(const struct surrogates *s)
{
	return s->triggered;
}

void surrogates_call(struct surrogates *s, const struct surrogate_agent *agent,
		     int change)
{
	struct herd *h = s ? herd_find(s, agent) : NULL;

	if (!h || (change < 0 && !h->calls))
		return;

	h->calls += (uint32_t)change;
	if (change < 0)
		h->last_active = clock_ms();
}

uint16_t surrogates_silent(const struct surrogates *s,
			   const struct surrogate_agent *agent)
{
	const struct herd *h = herd_find(s, agent);
	struct pl pl;
	uint64_t code;

	if (!h || !is_triggered(h) || h->f.active)
		return 0;

	pl_set_str(&pl, h->f.agent->triggered_oos_response);
	if (!pl_strcasecmp(&pl, "dropresponse"))
		return UINT16_MAX;

	return uint_parse(&code, &pl, 699) ? 503 : (uint16_t)code;
}

int surrogates_notify(struct surrogates *s, const struct surrogate_agent *agent,
		      uint32_t number, bool leave)
{
	enum surrogate_event ev = leave ? SUR_ORDER_OUT : SUR_ORDER_IN;
	struct herd *h = herd_find(s, agent);

	if (!h || (number != UINT32_MAX && number >= h->n))
		return ENOENT;

	if (number == UINT32_MAX)
		sweep(h, ev);
	else
		surrogate_feed(h->v[number], ev, NULL);

	return 0;
}

void surrogates_target_gone(struct surrogates *s,
			    const struct session_agent *agent)
{
	if (!agent->invalidate_registrations)
		return;

	for (uint32_t i = 0; i < s->n; i++) {
		const struct registry *reg = s->order[i]->f.registry;

		if (reg && reg->hop.agent &&
		    !strcmp(reg->hop.agent->hostname, agent->hostname))
			sweep(s->order[i], SUR_TARGET_GONE);
	}
}

static uint32_t seconds_until(uint64_t at, uint64_t now)
{
	return at > now ? (uint32_t)((at - now + 999) / 1000) : 0;
}

static void report(const struct registration *r, registration_h *h, void *arg)
{
	const struct registry *reg = r->flock->registry;
	uint64_t now = clock_ms();
	struct registration_report out = {
		.owner = { r->flock->agent, r->number },
		.realm = r->flock->agent->realm_id,
		.state = (enum surrogate_state)r->state,
		.expires = r->bound ? seconds_until(r->expires, now) : 0,
		.last = r->code,
		.next = r->where == QUEUED ? 0
			: r->next          ? seconds_until(r->next, now)
					   : UINT32_MAX,
		.tries = r->failures,
		.contact = r->contact ? r->contact : "",
		.callid = r->callid,
		.reason = r->reason ? r->reason : "",
		.cseq = r->cseq,
		.granted = r->granted,
	};

	(void)surrogate_aor(out.aor, sizeof(out.aor), r);
	if (sa_isset(&r->target.dst, SA_ADDR))
		(void)re_snprintf(out.registrar, sizeof(out.registrar), "%J",
				  &r->target.dst);
	else if (reg && reg->known.n)
		(void)re_snprintf(out.registrar, sizeof(out.registrar), "%J",
				  &reg->known.addr[0]);
	h(&out, arg);
}

/** The herd that holds a row: the last that begins at or before it */
static uint32_t herd_at(const struct surrogates *s, size_t row)
{
	uint32_t low = 0, high = s->n;

	while (low + 1 < high) {
		uint32_t mid = low + (high - low) / 2;

		if (s->order[mid]->first <= row)
			low = mid;
		else
			high = mid;
	}

	return low;
}

size_t surrogates_walk(const struct surrogates *s, size_t from, size_t limit,
		       registration_h *h, void *arg)
{
	uint32_t k;

	if (from >= s->rows)
		return 0;

	k = herd_at(s, from);
	for (; limit && from < s->rows; limit--, from++) {
		while (from - s->order[k]->first >= s->order[k]->n)
			k++;
		report(s->order[k]->v[from - s->order[k]->first], h, arg);
	}

	return from < s->rows ? from : 0;
}

void surrogates_count(const struct surrogates *s, uint32_t counts[SUR_STATES])
{
	memcpy(counts, s->counts, sizeof(s->counts));
}
