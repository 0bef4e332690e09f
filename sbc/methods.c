/*
 * Requests and answers by method, as server and as client
 *
 * A transaction names its session-agent and its realm by number, so that its
 * events find their tables without a look-up, and so that nothing has to be said
 * to it when these go: the tables stay.
 *
 * What was never seen costs a pointer. Of status codes a method meets a handful,
 * so they are searched in the order in which they came up.
 */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include "store/hash.h"
#include "sbc/methods.h"

enum {
	PARTIES_FIRST = 16,
	LAST = 64,
	CODES_FIRST = 8,
	CODES_MAX = 600 /* 100-699: wire knows no other */
};

struct status {
	uint16_t code;
	struct tally tally;
};

struct side {
	struct tally events[METHOD_EVENTS];
	struct status *codes;
	uint32_t n, room;
};

struct row {
	struct side sides[METHOD_SIDES];
	struct method_latency latency;
};

struct methods {
	struct le le;
	struct entry entry;  /* of a party, in `names` */
	struct methods *all; /* the worker's; itself there */
	char *name;
	struct row *rows[METHODS];
	uint16_t number; /* of a party; 0: of the worker, of an interface */
	uint8_t what;    /* of a party: enum party_kind */
	/* of the worker's */
	struct list parts;        /* interfaces and parties */
	struct table names;       /* of the parties */
	struct methods **parties; /* by number, from 1 */
	struct methods **last;    /* party_number */
	uint32_t parties_n, parties_room;
};

static void methods_destructor(void *data)
{
	struct methods *m = data;

	list_flush(&m->parts);
	list_unlink(&m->le);
	table_finish(&m->names);
	mem_deref(m->parties);
	mem_deref(m->last);
	mem_deref(m->name);
	for (size_t i = 0; i < METHODS; i++) {
		for (int s = 0; m->rows[i] && s < METHOD_SIDES; s++)
			mem_deref(m->rows[i]->sides[s].codes);
		mem_deref(m->rows[i]);
	}
}

int methods_open(struct methods **mp)
{
	struct methods *m = mem_zalloc(sizeof(*m), methods_destructor);

	if (!m)
		return ENOMEM;
	m->last = mem_zalloc(LAST * sizeof(*m->last), NULL);
	if (!m->last) {
		mem_deref(m);
		return ENOMEM;
	}
	m->all = m;
	*mp = m;
	return 0;
}

void methods_close(struct methods *all)
{
	mem_deref(all);
}

const struct methods *methods_find(const struct methods *all, const char *name)
{
	for (struct le *le = list_head(&all->parts); le; le = le->next) {
		const struct methods *m = le->data;

		if (!m->number && !strcmp(m->name, name))
			return m;
	}
	return NULL;
}

struct methods *methods_of(struct methods *all, const char *name)
{
	struct methods *m =
		(struct methods *)(uintptr_t)methods_find(all, name);

	if (m)
		return m;
	m = mem_zalloc(sizeof(*m), methods_destructor);
	if (!m || str_dup(&m->name, name)) {
		mem_deref(m);
		return all;
	}
	m->all = all;
	list_append(&all->parts, &m->le, m);
	return m;
}

/* --- Session-agents and realms -------------------------------------------- */

struct party_key {
	enum party_kind what;
	const char *name;
};

static bool party_matches(const struct entry *e, const void *arg)
{
	const struct methods *m =
		(const struct methods *)((const char *)e -
					 offsetof(struct methods, entry));
	const struct party_key *key = arg;

	return m->what == key->what && !strcmp(m->name, key->name);
}

static struct methods *party_find(const struct methods *all,
				  const struct party_key *key, uint64_t hash)
{
	struct entry *e = table_find(&all->names, hash, party_matches, key);

	return e ? (struct methods *)((char *)e -
				      offsetof(struct methods, entry))
		 : NULL;
}

static uint64_t party_hash(const struct party_key *key)
{
	return hash_mix(hash_bytes(key->name, strlen(key->name)),
			(uint64_t)key->what);
}

/* Room for one more number; false: there is none */
static bool party_room(struct methods *all)
{
	uint32_t room =
		all->parties_room ? 2 * all->parties_room : PARTIES_FIRST;
	struct methods **parties;

	if (all->parties_n < all->parties_room)
		return true;
	if (all->parties_n == UINT16_MAX)
		return false;
	parties = mem_zalloc(room * sizeof(struct methods *), NULL);
	if (!parties)
		return false;
	if (all->parties_n)
		memcpy(parties, all->parties,
		       all->parties_n * sizeof(struct methods *));
	mem_deref(all->parties);
	all->parties = parties;
	all->parties_room = room;
	return true;
}

static struct methods *party_new(struct methods *all,
				 const struct party_key *key, uint64_t hash)
{
	struct methods *m;

	if (!party_room(all))
		return NULL;
	m = mem_zalloc(sizeof(*m), methods_destructor);
	if (!m || str_dup(&m->name, key->name) ||
	    table_add(&all->names, &m->entry, hash)) {
		mem_deref(m);
		return NULL;
	}
	m->all = all;
	m->what = (uint8_t)key->what;
	m->number = (uint16_t)(all->parties_n + 1);
	all->parties[all->parties_n++] = m;
	list_append(&all->parts, &m->le, m);
	return m;
}

/* The name of a configuration tells where it was found last: asked for by each
 * message, it need not be hashed again. What is there has the name, or not */
static uint16_t party_number(struct methods *all, enum party_kind what,
			     const char *name)
{
	const struct party_key key = { what, name };
	struct methods **last =
		&all->last[hash_mix((uintptr_t)name, what) % LAST];
	uint64_t hash;

	if (*last && party_matches(&(*last)->entry, &key))
		return (*last)->number;
	hash = party_hash(&key);
	*last = party_find(all, &key, hash);
	if (!*last)
		*last = party_new(all, &key, hash);

	return *last ? (*last)->number : 0;
}

struct parties methods_parties(struct methods *all,
			       const struct session_agent *agent,
			       const struct realm *realm)
{
	struct parties p = { 0 };

	if (all && agent)
		p.agent = party_number(all, PARTY_AGENT, agent->hostname);
	if (all && realm)
		p.realm = party_number(all, PARTY_REALM,
				       realm->config->identifier);
	return p;
}

const struct methods *methods_party(const struct methods *all,
				    enum party_kind what, const char *name)
{
	const struct party_key key = { what, name };

	return party_find(all, &key, party_hash(&key));
}

/* Table of a number; NULL: nobody's */
static struct methods *party_of(const struct methods *all, uint16_t number)
{
	return number ? all->parties[number - 1] : NULL;
}

/* --- Events ----------------------------------------------------------------- */

static struct row *row_of(struct methods *m, uint8_t method)
{
	if (!m->rows[method])
		m->rows[method] = mem_zalloc(sizeof(struct row), NULL);
	return m->rows[method];
}

/* NULL: no memory, or a code that nobody should send */
static struct tally *code_of(struct side *side, uint16_t code)
{
	struct status *codes;
	uint32_t room;

	for (uint32_t i = 0; i < side->n; i++)
		if (side->codes[i].code == code)
			return &side->codes[i].tally;
	if (side->n == side->room) {
		room = side->room ? 2 * side->room : CODES_FIRST;
		codes = room <= 2 * CODES_MAX
				? mem_zalloc(room * sizeof(*codes), NULL)
				: NULL;
		if (!codes)
			return NULL;
		if (side->n)
			memcpy(codes, side->codes, side->n * sizeof(*codes));
		mem_deref(side->codes);
		side->codes = codes;
		side->room = room;
	}
	side->codes[side->n].code = code;
	return &side->codes[side->n++].tally;
}

static void event_add(struct methods *m, uint8_t method, enum method_side side,
		      enum method_event ev)
{
	struct row *row = m ? row_of(m, method) : NULL;

	if (row)
		tally_add(&row->sides[side].events[ev], 1);
}

void methods_count_parties(struct methods *all, const struct parties *parties,
			   uint8_t method, enum method_side side,
			   enum method_event ev)
{
	event_add(party_of(all->all, parties->agent), method, side, ev);
	event_add(party_of(all->all, parties->realm), method, side, ev);
}

void methods_count(struct methods *m, const struct parties *parties,
		   uint8_t method, enum method_side side, enum method_event ev)
{
	event_add(m, method, side, ev);
	if (m->all != m)
		event_add(m->all, method, side, ev);
	if (parties)
		methods_count_parties(m->all, parties, method, side, ev);
}

static void status_add(struct methods *m, uint8_t method, enum method_side side,
		       uint16_t code)
{
	struct row *row = m ? row_of(m, method) : NULL;
	struct tally *tally = row ? code_of(&row->sides[side], code) : NULL;

	if (tally)
		tally_add(tally, 1);
}

void methods_status(struct methods *m, const struct parties *parties,
		    uint8_t method, enum method_side side, uint16_t code)
{
	status_add(m, method, side, code);
	if (m->all != m)
		status_add(m->all, method, side, code);
	if (!parties)
		return;
	status_add(party_of(m->all, parties->agent), method, side, code);
	status_add(party_of(m->all, parties->realm), method, side, code);
}

static void latency_add(struct methods *m, uint8_t method, uint32_t ms)
{
	struct row *row = m ? row_of(m, method) : NULL;

	if (!row)
		return;
	row->latency.n++;
	row->latency.sum += ms;
	if (ms > row->latency.max)
		row->latency.max = ms;
}

void methods_latency(struct methods *m, const struct parties *parties,
		     uint8_t method, uint32_t ms)
{
	latency_add(m, method, ms);
	if (m->all != m)
		latency_add(m->all, method, ms);
	if (!parties)
		return;
	latency_add(party_of(m->all, parties->agent), method, ms);
	latency_add(party_of(m->all, parties->realm), method, ms);
}

static void side_reset(struct side *side)
{
	memset(side->events, 0, sizeof(side->events));
	for (uint32_t i = 0; i < side->n; i++)
		memset(&side->codes[i].tally, 0, sizeof(side->codes[i].tally));
}

static void reset(struct methods *m)
{
	for (size_t i = 0; i < METHODS; i++) {
		if (!m->rows[i])
			continue;
		for (int s = 0; s < METHOD_SIDES; s++)
			side_reset(&m->rows[i]->sides[s]);
		memset(&m->rows[i]->latency, 0, sizeof(m->rows[i]->latency));
	}
}

void methods_reset(struct methods *all)
{
	reset(all);
	for (struct le *le = list_head(&all->parts); le; le = le->next)
		reset(le->data);
}

static int side_join(struct side *sum, const struct side *side)
{
	for (int ev = 0; ev < METHOD_EVENTS; ev++)
		tally_join(&sum->events[ev], &side->events[ev]);
	for (uint32_t i = 0; i < side->n; i++) {
		struct tally *tally = code_of(sum, side->codes[i].code);

		if (!tally)
			return ENOMEM;
		tally_join(tally, &side->codes[i].tally);
	}
	return 0;
}

int methods_join(struct methods *sum, const struct methods *m)
{
	int err = 0;

	for (uint8_t i = 0; i < METHODS && !err; i++) {
		struct row *row = m->rows[i] ? row_of(sum, i) : NULL;

		if (!m->rows[i])
			continue;
		if (!row)
			return ENOMEM;
		for (int s = 0; s < METHOD_SIDES && !err; s++)
			err = side_join(&row->sides[s], &m->rows[i]->sides[s]);
		row->latency.n += m->rows[i]->latency.n;
		row->latency.sum += m->rows[i]->latency.sum;
		if (m->rows[i]->latency.max > row->latency.max)
			row->latency.max = m->rows[i]->latency.max;
	}
	return err;
}

static void event_say(const struct row *row, enum method_event ev,
		      const char *name, method_row_h *h, void *arg)
{
	struct method_row out = { .event = name };

	for (int s = 0; s < METHOD_SIDES; s++)
		tally_read(&row->sides[s].events[ev], &out.of[s]);
	h(&out, arg);
}

/* The lowest code of a side above `above`; 0: none */
static uint16_t code_next(const struct side *side, uint16_t above)
{
	uint16_t next = 0;

	for (uint32_t i = 0; i < side->n; i++) {
		const uint16_t code = side->codes[i].code;

		if (code > above && (!next || code < next))
			next = code;
	}
	return next;
}

static void code_say(const struct row *row, uint16_t code, method_row_h *h,
		     void *arg)
{
	struct method_row out = { .code = code };

	for (int s = 0; s < METHOD_SIDES; s++) {
		const struct side *side = &row->sides[s];

		for (uint32_t i = 0; i < side->n; i++)
			if (side->codes[i].code == code)
				tally_read(&side->codes[i].tally, &out.of[s]);
	}
	h(&out, arg);
}

static void codes_say(const struct row *row, method_row_h *h, void *arg)
{
	uint16_t code = 0;

	for (;;) {
		const uint16_t a = code_next(&row->sides[AS_SERVER], code);
		const uint16_t b = code_next(&row->sides[AS_CLIENT], code);

		code = !a || (b && b < a) ? b : a;
		if (!code)
			return;
		code_say(row, code, h, arg);
	}
}

void methods_walk(const struct methods *m, enum method_id method,
		  method_row_h *h, void *arg)
{
	const struct row *row = m->rows[method];

	if (!row)
		return;
	event_say(row, METHOD_REQUEST, "Requests", h, arg);
	event_say(row, METHOD_RETRANS, "Retransmissions", h, arg);
	codes_say(row, h, arg);
	event_say(row, METHOD_RESPONSE_RETRANS, "Response Retrans", h, arg);
	event_say(row, METHOD_TIMEOUT, "Transaction Timeouts", h, arg);
	event_say(row, METHOD_THROTTLED, "Locally Throttled", h, arg);
}

void methods_latency_read(const struct methods *m, enum method_id method,
			  struct method_latency *out)
{
	memset(out, 0, sizeof(*out));
	if (m->rows[method])
		*out = m->rows[method]->latency;
}
