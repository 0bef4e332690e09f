/*
 * show media: flows and ports, by realm, by session
 */
#include <string.h>
#include "store/number.h"
#include "realms/capacity.h"
#include "realms/ports.h"
#include "sbc/calls.h"
#include "cli/cut.h"
#include "cli/json.h"
#include "cli/statistics.h"
#include "cli/streams.h"

enum {
	SLICE = 200
};

/* --- show media sessions ---------------------------------------------------- */

static const struct column session_columns[] = {
	{ "Id", -20 },     { "Side", -7 },    { "Local", -22 },
	{ "Remote", -22 }, { "Latched", -7 }, { "Codec", -12 },
	{ "Packets", 10 }, { "Octets", 12 },  { "Lost", 8 },
	{ "Jitter", 8 },   { "Idle", 6 },     { NULL, 0 },
};

struct streams {
	struct session *s;
	size_t next;
	uint64_t only;
	struct cut cut;
};

static void side_row(struct reply *r, const struct call_media *m, int side)
{
	static const char *const names[] = { "ingress", "egress" };
	const struct media_report *x = &m->media;
	char id[24], local[64], remote[64];
	const struct cell cells[] = {
		TEXT_CELL(id),
		TEXT_CELL(names[side]),
		TEXT_CELL(local),
		TEXT_CELL(remote),
		FLAG_CELL(x->latched[side]),
		TEXT_CELL(*x->codec[side] ? x->codec[side] : NULL),
		NUMBER_CELL(x->packets[side]),
		NUMBER_CELL(x->octets[side]),
		NUMBER_CELL(x->lost[side]),
		THOUSANDTHS_CELL(x->jitter[side]), /* [ms] of [us] */
		NO_CELL,
	};

	/* 64 bits do not fit into the numbers of every JSON reader */
	(void)re_snprintf(id, sizeof(id), "%llu", m->id);
	(void)re_snprintf(local, sizeof(local), "%J", &x->local[side]);
	if (sa_isset(&x->remote[side], SA_ADDR))
		(void)re_snprintf(remote, sizeof(remote), "%J",
				  &x->remote[side]);
	else
		remote[0] = '\0';
	table_row(r, session_columns, cells);
}

static void stream_row(const struct call_media *m, void *arg)
{
	struct streams *list = arg;

	if (list->only && m->id != list->only)
		return;
	if (!sa_isset(&m->media.local[SIDE_A], SA_PORT) &&
	    !sa_isset(&m->media.local[SIDE_B], SA_PORT))
		return; /* it goes directly, or there is none yet */
	if (!cut_row(&list->cut))
		return;
	for (int side = SIDE_A; side <= SIDE_B; side++)
		side_row(&list->s->reply, m, side);
}

static void streams_slice(struct worker *w, void *arg)
{
	struct streams *list = arg;

	list->next = calls_media(w->calls, list->next, SLICE, stream_row, list);
}

static void show_sessions_of(struct session *s, const char *id,
			     const struct cut *cut)
{
	struct streams list = { .s = s, .cut = *cut };
	struct reply *r = &s->reply;
	struct pl pl = { NULL, 0 };

	if (id)
		pl = range_of(id);
	if (id && (uint_parse(&list.only, &pl, UINT64_MAX) || !list.only)) {
		reply_error(r, REPLY_ARGUMENT, "[%s] is no session id", id);
		return;
	}
	if (r->json)
		json_begin(r, s->command, JSON_NO_WINDOW);
	table_begin(r, NULL, session_columns);
	session_walk(s, streams_slice, &list, &list.next);
	table_end(r);
	if (list.only && !list.cut.rows) {
		r->doc = mem_deref(r->doc);
		reply_error(r, REPLY_FAILED,
			    "There is no session [%llu] with media", list.only);
		return;
	}
	(void)cut_end(&list.cut, r);
	if (r->json)
		json_end(r);
}

/* --- show media realms --------------------------------------------------------- */

/* What no realm counts by itself is null: refused ports are those of show media
 * errors, and the two directions are not told apart by max-bandwidth */
static const struct column realm_columns[] = {
	{ "Realm", -16 },  { "Used", 7 },    { "Free", 7 },
	{ "No Ports", 8 }, { "Flows", 7 },   { "Ingress K", 9 },
	{ "Egress K", 9 }, { "Total K", 9 }, { "Insuf BW", 8 },
	{ NULL, 0 },
};

struct realm_flows {
	struct session *s;
	const char *only;
	const struct realms *realms; /* of the plan of the first slice */
	uint32_t *flows;             /* by number of the realm */
	uint32_t n;
	struct cut cut;
	size_t next;
};

static void flow_count(const struct call_media *m, void *arg)
{
	struct realm_flows *f = arg;

	for (int side = SIDE_A; side <= SIDE_B; side++) {
		const struct realm *realm =
			realm_named(f->realms, m->realm[side]);

		if (realm && realm->number < f->n &&
		    sa_isset(&m->media.local[side], SA_PORT))
			f->flows[realm->number]++;
	}
}

static void flows_slice(struct worker *w, void *arg)
{
	struct realm_flows *f = arg;

	f->next = calls_media(w->calls, f->next, SLICE, flow_count, f);
}

static void realm_row(struct worker *w, struct realm_flows *f,
		      const struct realm *realm)
{
	struct capacity *c = capacity_of_realm(w->capacities, realm->config);
	struct capacity_report seen = { 0 };
	uint32_t used = 0, unused = 0;

	ports_count(w->media_ports, realm, &used, &unused);
	if (c)
		capacity_report(c, &seen);
	{
		const struct cell cells[] = {
			TEXT_CELL(realm->config->identifier),
			NUMBER_CELL(used),
			NUMBER_CELL(unused),
			NO_CELL,
			NUMBER_CELL(f->flows[realm->number]),
			NO_CELL,
			NO_CELL,
			{ c ? CELL_NUMBER : CELL_NONE, NULL,
			  (int64_t)seen.media },
			NO_CELL,
		};

		table_row(&f->s->reply, realm_columns, cells);
	}
}

static void realm_rows(struct worker *w, void *arg)
{
	struct realm_flows *f = arg;

	/* Another plan came while flows were counted: its realms are not these */
	for (uint32_t i = 0; w->plan->realms == f->realms && i < f->n; i++) {
		const struct realm *realm = &f->realms->all[i];

		if (f->only && strcmp(f->only, realm->config->identifier) != 0)
			continue;
		if (cut_row(&f->cut))
			realm_row(w, f, realm);
	}
}

static void show_realms_of(struct session *s, const char *only,
			   const struct cut *cut)
{
	const struct plan *plan = sbc_plan(s->sbc);
	struct realm_flows f = { .s = s, .only = only, .cut = *cut };
	struct reply *r = &s->reply;

	if (only && !realm_named(plan->realms, only)) {
		reply_error(r, REPLY_ARGUMENT, "There is no realm-config [%s]",
			    only);
		plan_give(plan);
		return;
	}
	f.realms = plan->realms;
	f.n = plan->realms->n;
	f.flows = mem_zalloc((f.n + 1) * sizeof(*f.flows), NULL);
	if (!f.flows) {
		plan_give(plan);
		reply_error(r, REPLY_FAILED, "no memory");
		return;
	}
	session_walk(s, flows_slice, &f, &f.next);
	if (r->json)
		json_begin(r, s->command, JSON_NO_WINDOW);
	table_begin(r, NULL, realm_columns);
	sbc_ask_at(s->sbc, 0, realm_rows, &f);
	table_end(r);
	(void)cut_end(&f.cut, r);
	if (r->json)
		json_end(r);
	mem_deref(f.flows);
	plan_give(plan);
}

void show_media(struct session *s, const struct words *w, uint32_t at)
{
	const char *word = at < w->n ? w->v[at] : "";
	const char *name = NULL;
	bool list = !strcmp(word, "realms") || !strcmp(word, "sessions");
	struct words rest = *w;
	struct cut cut;

	if (list && !cut_words(&cut, &s->reply, w, at + 1, &rest))
		return;
	if (at + 1 < rest.n)
		name = rest.v[at + 1];
	if (rest.n > at + 1 + list) {
		reply_error(&s->reply, REPLY_ARGUMENT, "Unexpected word [%s]",
			    rest.v[at + 1 + list]);
		return;
	}
	if (!*word)
		statistics_media(s, false);
	else if (!strcmp(word, "errors"))
		statistics_media(s, true);
	else if (!strcmp(word, "realms"))
		show_realms_of(s, name, &cut);
	else if (!strcmp(word, "sessions"))
		show_sessions_of(s, name, &cut);
	else
		reply_error(&s->reply, REPLY_UNKNOWN,
			    "Unknown word [%s], possible here: errors, realms, "
			    "sessions",
			    word);
}
