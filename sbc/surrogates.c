/*
 * All AoRs that register: table, expansion, changes, persistence
 *
 * A herd (sbc/herd) is an agent with its AoRs, an office (sbc/office) a
 * registrar with its queue. Here they are joined: the host of the machines, and
 * what the rest of the program asks.
 */
#include <errno.h>
#include <string.h>
#include "store/log.h"
#include "sbc/activity.h"
#include "sbc/clock.h"
#include "sbc/counters.h"
#include "sbc/crew.h"
#include "sbc/doors.h"
#include "sbc/identities.h"
#include "sbc/muster.h"
#include "sbc/recall.h"
#include "sbc/surrogates.h"
#include "sbc/worker.h"
#include "sbc/sources.h"

int surrogates_change(struct surrogates *s, const struct plan *now,
		      const struct plan *before)
{
	return muster(s, now, before);
}

int surrogates_change_later(struct surrogates *s, const struct plan *now,
			    const struct plan *before)
{
	return muster_begin(s, now, before);
}

bool surrogates_is_settled(const struct surrogates *s)
{
	return !s->muster;
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
	herd_tell_agent(r);
	herd_tell_waiting(r);
	gauge(COUNT_SURROGATE_REGS,
	      (int32_t)counts_as_registered((enum surrogate_state)r->state) -
		      (int32_t)counts_as_registered(from));
	if (h->retired && r->state == SUR_DISABLED)
		herd_bury(r);
	if (all->stopping)
		stop_look(all);
}

/** sip-port that REGISTERs leave by to the target of a binding */
static struct port *port_of(const struct registration *r)
{
	const struct endpoint *from =
		realm_endpoint(r->flock->registry->hop.realm, &r->target.dst,
			       r->target.transport);

	return from ? worker_port(r->flock->worker, from) : NULL;
}

static void host_bound(struct registration *r)
{
	struct surrogates *all = herd_of(r)->all;
	struct port *port = r->bound && r->target.conn ? port_of(r) : NULL;

	identities_take(&all->associated, r);
	if (port)
		carrier_use(&r->carrier, &all->carriers, port, &r->target);
	else
		r->carrier = carrier_give(r->carrier);
}

struct lost {
	const struct carrier *carrier;
	uint64_t conn;
};

static void sweep_lost(struct herd *h, void *arg)
{
	const struct lost *lost = arg;

	herd_sweep_carrier(h, lost->carrier, lost->conn);
}

/* Out of the table: while a plan is taken over the order is not whole */
static void take_back(const struct carrier *c, uint64_t conn, void *arg)
{
	struct lost lost = { c, conn };

	herd_walk(arg, sweep_lost, &lost);
}

static void host_agent_down(struct registration *r)
{
	surrogates_target_gone(herd_of(r)->all, r->flock->registry->hop.agent,
			       NULL);
}

static void back_heard(struct worker *w, const void *p)
{
	if (w->surrogates)
		offices_back(&w->surrogates->offices, p);
}

/* Its AoRs on other workers need not find out themselves */
static void registrar_back(struct offices *all, const char *name)
{
	crew_tell(all->worker, back_heard, name, strlen(name) + 1);
}

static const struct surrogate_host host = {
	.due = office_due,
	.not_due = office_not_due,
	.again = office_again,
	.answered = office_answered,
	.unreachable = office_unreachable,
	.agent_down = host_agent_down,
	.store = recall_store,
	.bound = host_bound,
	.moved = host_moved,
};

/* Life ------------------------------------------------------------------------ */

static void close_herd(struct herd *h, void *arg)
{
	struct surrogates *all = arg;

	for (uint32_t i = 0; i < h->n; i++) {
		gauge(COUNT_SURROGATE_REGS,
		      -(int32_t)counts_as_registered(
			      (enum surrogate_state)h->v[i]->state));
		herd_forget(h->v[i]);
	}
	table_remove(&all->herds, &h->e);
	mem_deref(h);
}

static void surrogates_destructor(void *arg)
{
	struct surrogates *all = arg;

	timer_cancel(&all->stop);
	mem_deref(all->muster);
	herd_walk(all, close_herd, all);
	while (all->retired.head) {
		struct herd *h = all->retired.head->data;

		for (uint32_t i = 0; i < h->n; i++)
			if (h->v[i])
				herd_forget(h->v[i]);
		mem_deref(h);
	}
	carriers_finish(&all->carriers);
	offices_finish(&all->offices);
	recall_free(all);
	table_finish(&all->herds);
	table_finish(&all->associated);
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
	all->host = &host;
	table_init(&all->herds);
	table_init(&all->associated);
	table_init(&all->loaded);
	offices_init(&all->offices, w);
	all->offices.back = registrar_back;
	carriers_init(&all->carriers, take_back, all);
	list_init(&all->retired);
	err = recall_load(all);
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
	muster_end(s);
	herds_retire_now(s);
	s->done = done;
	s->done_arg = arg;
	timer_start(&s->stop, timeout_ms, stop_end, s);
	offices_hurry(&s->offices);
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

struct registration *surrogates_find(const struct surrogates *s,
				     const struct owner *who)
{
	return by_owner(s, who);
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
		.owner = { r->flock->agent, registration_number(r) },
		.state = r->state == SUR_REFRESHING
				 ? SUR_REGISTERED
				 : (enum surrogate_state)r->state,
		.bound = r->bound || (r->expires && now < r->expires + grace),
		.refused = r->state == SUR_REFUSED,
		.left = r->bound && now < r->expires
				? (uint32_t)((r->expires - now) / 1000)
				: 0,
		.contact = r->contact ? r->contact : "",
		.service_route = r->bound && r->route ? r->route : "",
		.egress = reg ? reg->hop.realm : NULL,
	};
	if (out->bound && sa_isset(&r->target.dst, SA_ADDR))
		out->target = &r->target;

	return 0;
}

int surrogates_wait(const struct surrogates *s, const struct owner *who,
		    struct surrogate_wait *wait)
{
	struct registration *r = by_owner(s, who);

	if (!r)
		return ENOENT;
	wait->number = registration_number(r);
	list_append(&herd_of(r)->waiting, &wait->le, wait);

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

	return identities_find(who, &s->associated, realm, uri);
}

static bool is_next_hop(const struct surrogate_agent *agent,
			const struct sa *src, void *arg)
{
	const struct surrogates *s = arg;

	return sources_has(s->worker->sources, agent, src);
}

static const struct surrogate_agent *find_named(const struct realm *realm,
						const struct sa *src,
						uint32_t n, void *arg)
{
	const struct surrogates *s = arg;

	return sources_pbx(s->worker->sources, realm, src, n);
}

/* A PBX that registers itself has a few AoRs: no call waits for a walk through
 * a hundred thousand that are all refused */
static int find_first(struct owner *who, void *arg)
{
	const struct herd *h = herd_find(arg, who->agent);

	for (uint32_t i = 0; h && i < h->n && i < HERD_SLICE; i++) {
		if (!h->v[i] || !h->v[i]->bound)
			continue;
		who->number = registration_number(h->v[i]);
		return 0;
	}

	return ENOENT;
}

void surrogates_identity(struct surrogates *s, struct identity_live *out)
{
	out->registered = is_registered;
	out->associated = find_associated;
	out->next_hop = is_next_hop;
	out->named = find_named;
	out->first = find_first;
	out->arg = s;
}

bool surrogates_knows_realm(const struct surrogates *s,
			    const struct surrogate_agent *agent,
			    const char *egress, const struct pl *auth_realm)
{
	const struct herd *h = herd_find(s, agent);
	const struct registry *reg = h ? h->f.registry : NULL;

	if (!reg || strcmp(reg->hop.realm->config->identifier, egress) != 0)
		return false;

	for (uint32_t i = 0; i < h->f.realms_n; i++)
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
	if (reg->known.n || !h->f.bound)
		return false;

	/* nothing was sent since the start: what the database remembers */
	for (uint32_t i = 0; i < h->n; i++)
		if (h->v[i]->bound)
			return sa_cmp(&h->v[i]->target.dst, target, SA_ADDR);

	return false;
}

bool surrogates_is_edge(const struct surrogates *s, const struct owner *who,
			const struct realm *egress, const struct sa *src)
{
	const struct registration *r = by_owner(s, who);
	const struct registry *reg = r ? r->flock->registry : NULL;
	struct pl rest, value;
	struct address addr;
	struct sa edge;

	if (!reg || !r->bound || !r->route ||
	    strcmp(reg->hop.realm->config->identifier,
		   egress->config->identifier) != 0)
		return false;

	pl_set_str(&rest, r->route);

	return !list_next(&rest, &value) && !address_read(&addr, &value) &&
	       uri_is_numeric(&addr.uri, &edge) && sa_cmp(&edge, src, SA_ADDR);
}

void surrogates_active(struct surrogates *s,
		       const struct surrogate_agent *agent)
{
	struct herd *h = herd_find(s, agent);

	if (h)
		activity_seen(h);
}

bool surrogates_any_triggered(const struct surrogates *s)
{
	return s->triggered;
}

void surrogates_call(struct surrogates *s, const struct surrogate_agent *agent,
		     int change)
{
	struct herd *h = s ? herd_find(s, agent) : NULL;

	if (h)
		activity_call(h, change);
}

uint16_t surrogates_silent(const struct surrogates *s,
			   const struct surrogate_agent *agent)
{
	const struct herd *h = herd_find(s, agent);

	return h ? activity_silent(h) : 0;
}

int surrogates_notify(struct surrogates *s, const struct surrogate_agent *agent,
		      uint32_t number, bool leave)
{
	enum surrogate_event ev = leave ? SUR_ORDER_OUT : SUR_ORDER_IN;
	struct herd *h = herd_find(s, agent);

	if (!h || (number != UINT32_MAX && number >= h->n))
		return ENOENT;

	if (number == UINT32_MAX)
		herd_sweep(h, ev);
	else
		surrogate_feed(h->v[number], ev, NULL);

	return 0;
}

int surrogates_credentials(struct surrogates *s,
			   const struct surrogate_agent *agent)
{
	struct herd *h = herd_find(s, agent);

	if (!h)
		return ENOENT;
	herd_sweep(h, SUR_CHANGED);

	return 0;
}

struct gone {
	const struct session_agent *agent;
	const struct sa *addr;
};

static void sweep_gone(struct herd *h, void *arg)
{
	const struct gone *gone = arg;
	const struct registry *reg = h->f.registry;

	if (reg && reg->hop.agent &&
	    !strcmp(reg->hop.agent->hostname, gone->agent->hostname))
		herd_sweep_target(h, gone->addr);
}

void surrogates_target_gone(struct surrogates *s,
			    const struct session_agent *agent,
			    const struct sa *addr)
{
	struct gone gone = { agent, addr };

	if (s && agent && agent->invalidate_registrations)
		herd_walk(s, sweep_gone, &gone);
}

void surrogates_lost(struct surrogates *s, uint64_t conn)
{
	carriers_lost(&s->carriers, conn);
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
		.owner = { r->flock->agent, registration_number(r) },
		.realm = r->flock->agent->realm_id,
		.state = (enum surrogate_state)r->state,
		.expires = r->bound ? seconds_until(r->expires, now) : 0,
		.last = r->code,
		.next = office_has(r) ? 0
			: r->next     ? seconds_until(r->next, now)
				      : UINT32_MAX,
		.tries = r->failures,
		.failing = r->failures ? (uint32_t)(now / 1000) - r->failing
				       : UINT32_MAX,
		.contact = r->contact ? r->contact : "",
		.callid = r->callid,
		.reason = r->reason ? r->reason : "",
		.cseq = r->cseq,
		.granted = r->granted,
		.transport = r->target.transport,
		.route = r->route ? r->route : "",
		.egress = reg ? reg->hop.realm->config->identifier : "",
	};

	(void)registration_aor(out.aor, sizeof(out.aor), r);
	if (sa_isset(&r->target.dst, SA_ADDR))
		(void)sa_ntop(&r->target.dst, out.remote, sizeof(out.remote));
	if (sa_isset(&r->target.dst, SA_ADDR))
		(void)re_snprintf(out.registrar, sizeof(out.registrar), "%J",
				  &r->target.dst);
	else if (reg && reg->known.n)
		(void)re_snprintf(out.registrar, sizeof(out.registrar), "%J",
				  &reg->known.addr[0]);
	h(&out, arg);
}

void surrogates_registrars(const struct surrogates *s,
			   void (*h)(const struct office_report *r, void *arg),
			   void *arg)
{
	offices_walk(&s->offices, h, arg);
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
