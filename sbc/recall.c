/*
 * What the database remembers of AoRs: rows out, rows in
 */
#include <errno.h>
#include <string.h>
#include "store/log.h"
#include "store/registrations.h"
#include "sbc/clock.h"
#include "sbc/counters.h"
#include "sbc/crew.h"
#include "sbc/identities.h"
#include "sbc/pen.h"
#include "sbc/recall.h"
#include "sbc/retry.h"
#include "sbc/worker.h"

enum {
	PAUSE_MAX = 3600000 /* [ms] */
};

/** A row of the database that no agent has claimed yet */
struct loaded {
	struct entry e;
	char *agent, *aor, *callid, *tag, *contact, *registrar, *target;
	char *route, *associated;
	struct registration_row row;
};

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

void recall_store(struct registration *r)
{
	const struct registry *reg = r->flock->registry;
	struct herd *h = herd_of(r);
	char aor[AOR_SIZE], target[96] = "";
	struct registration_row row = {
		.aor = aor,
		.agent = h->f.key,
		.callid = r->callid,
		.from_tag = r->tag,
		.contact = r->contact ? r->contact : "",
		.registrar = reg ? reg->name : "",
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
	struct pen tt = { target, sizeof(target), 0, false };
	int err;

	if (registration_aor(aor, sizeof(aor), r) < 0)
		return;
	if (sa_isset(&r->target.dst, SA_ADDR)) {
		pen_put_address(&tt, &r->target.dst);
		pen_put(&tt, ":");
		pen_put_uint(&tt, sa_port(&r->target.dst));
		pen_put(&tt, ";transport=");
		pen_put(&tt, transport_name(r->target.transport));
	}

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

int recall_load(struct surrogates *all)
{
	all->written = registrations_written(all->worker->db);

	return registrations_load(all->worker->db, load_row, all);
}

/** Is the row nobody's, and does this worker see to it? */
static bool is_lost(const struct surrogates *all, const struct loaded *l)
{
	const struct worker *w = all->worker;
	const struct surrogate_agent *agent;
	struct pl key;

	if (!w)
		return false;
	if (!w->crew || w->crew->n == 1)
		return true;
	pl_set_str(&key, l->agent);
	agent = config_find(w->plan->config, &element_surrogate_agent, &key);

	return agent ? crew_has(w, w->plan, agent) : crew_is_first(w);
}

/** Rows of AoRs that are configured no more */
static void drop_loaded(struct entry *e, void *arg)
{
	struct surrogates *all = arg;
	struct loaded *l = (struct loaded *)e;

	if (is_lost(all, l))
		(void)registrations_drop(all->worker->db, l->agent, l->aor);
	table_remove(&all->loaded, e);
	mem_deref(l);
}

void recall_drop(struct surrogates *all)
{
	size_t at = 0;

	do {
		at = table_walk(&all->loaded, at, HERD_SLICE, drop_loaded, all);
	} while (at);
}

static void free_loaded(struct entry *e, void *arg)
{
	table_remove(arg, e);
	mem_deref(e);
}

void recall_free(struct surrogates *all)
{
	size_t at = 0;

	do {
		at = table_walk(&all->loaded, at, HERD_SLICE, free_loaded,
				&all->loaded);
	} while (at);
	table_finish(&all->loaded);
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

/** State and next try of a row whose binding is over, or never was */
static void resume_unbound(struct registration *r,
			   const struct registration_row *row)
{
	if (retry_is_exhausted(r)) {
		herd_set_state(r, SUR_GIVEN_UP);
		return;
	}

	switch (row->state) {
	case SUR_BACKOFF:
	case SUR_REFUSED:
		herd_set_state(r, (enum surrogate_state)row->state);
		r->next = clock_ms() +
			  rest_of(row->refresh, PAUSE_MAX / 1000) * 1000;
		break;
	case SUR_GIVEN_UP:
		herd_set_state(r, SUR_GIVEN_UP);
		break;
	default:
		herd_set_state(r, SUR_WAITING);
		r->next = clock_ms();
		break;
	}
}

static void resume(struct registration *r, struct loaded *l)
{
	const struct registration_row *row = &l->row;
	const struct registry *reg = r->flock->registry;
	uint64_t now = clock_ms(), left;
	bool same = reg && !strcmp(l->registrar, reg->name);
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
	r->failing = (uint32_t)(clock_ms() / 1000); /* at least since */
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

	if (*l->contact)
		registration_set_contact(r, l->contact);
	take_text(&r->route, &l->route);
	take_text(&r->associated, &l->associated);
	r->bound = r->contact != NULL;
	r->flock->bound += r->bound;
	r->expires = now + left * 1000;
	r->next = backwards ? now
			    : now + rest_of(row->refresh, row->granted) * 1000;
	herd_set_state(r, row->state == SUR_REFUSED ? SUR_REFUSED
						    : SUR_REGISTERED);
	gauge(COUNT_SURROGATE_REGS, r->state == SUR_REGISTERED);
	identities_take(&herd_of(r)->all->associated, r);
}

void recall_take(struct registration *r)
{
	struct surrogates *all = herd_of(r)->all;
	char aor[AOR_SIZE] = "";
	const struct loaded_key key = { herd_of(r)->f.key, aor };
	struct entry *e;

	if (!all->loaded.count || registration_aor(aor, sizeof(aor), r) < 0)
		return;

	e = table_find(&all->loaded, loaded_hash(key.agent, aor),
		       loaded_matches, &key);
	if (!e)
		return;

	table_remove(&all->loaded, e);
	resume(r, (struct loaded *)e);
	mem_deref(e);
}
