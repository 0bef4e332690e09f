/*
 * show surrogate-agents: a line for each AoR, or for each agent
 *
 * Written in slices on the worker (acli.md 1.1).
 */
#include <string.h>
#include "store/number.h"
#include "sbc/clock.h"
#include "sbc/health.h"
#include "sbc/surrogates.h"
#include "cli/aors.h"
#include "cli/arguments.h"
#include "cli/cut.h"
#include "cli/json.h"

enum {
	SLICE = 200,
	DETAILS = 20 /* AoRs whose targets are looked up in one turn */
};

struct registrations {
	struct session *s;
	struct worker *worker; /* in a slice */
	size_t next;
	uint32_t aors, counts[SUR_STATES];
	struct cut cut;
	const char *state, *realm, *registrar; /* filters */
	const char *key; /* of an agent, or its beginning */
	bool detail, summary;
	/* summary: the agent at hand */
	const struct surrogate_agent *agent;
	struct {
		uint32_t aors, registered, waiting, failing, refused;
		uint64_t oldest; /* failure: since, wall [s]; 0: none */
	} of;
};

static const struct column registration_columns[] = {
	{ "AoR", -26 },   { "Realm", -7 },  { "Registrar", -17 },
	{ "State", -12 }, { "Expires", 7 }, { "Last", 5 },
	{ "Next", 6 },    { "Tries", 6 },   { NULL, 0 },
};

static const struct column summary_columns[] = {
	{ "Agent", -36 },        { "AoRs", 8 },    { "Registered", 10 },
	{ "Waiting", 8 },        { "Failing", 8 }, { "Refused", 8 },
	{ "Oldest Failure", 0 }, { NULL, 0 },
};

static bool is_wanted(const struct registrations *list,
		      const struct registration_report *r)
{
	struct item_ref ref = { &element_surrogate_agent, r->owner.agent };
	char key[1024];

	if ((list->state &&
	     strcmp(list->state, surrogate_state_name(r->state))) ||
	    (list->realm && strcmp(list->realm, r->realm)) ||
	    (list->registrar &&
	     strncmp(list->registrar, r->registrar, strlen(list->registrar)) &&
	     strcasecmp(list->registrar, r->owner.agent->register_host)))
		return false;
	if (!list->key)
		return true;
	if (re_snprintf(key, sizeof(key), "%H", item_key_spell, &ref) < 0)
		return false;
	return !strncmp(key, list->key, strlen(list->key)) &&
	       (!key[strlen(list->key)] || key[strlen(list->key)] == ' ');
}

static bool is_used(const struct health_of_aor *d, uint32_t i)
{
	return d->used.transport == d->registrar.of[i].transport &&
	       sa_cmp(&d->used.dst, &d->registrar.of[i].addr, SA_ALL);
}

static uint64_t active_at(const struct health_of_aor *d)
{
	return d->active ? clock_wall() - (clock_ms() - d->active) / 1000 : 0;
}

static char agent_state(const struct health_of_aor *d)
{
	return d->agent ? agent_letter(agent_service(d->agent, clock_ms()))
			: '-';
}

static void targets_json(struct reply *r, const char *name,
			 const struct health_targets *t,
			 const struct health_of_aor *used)
{
	json_open(r, name, '[');
	for (uint32_t i = 0; i < t->n; i++) {
		json_open(r, NULL, '{');
		json_print(r, "target", (re_printf_h *)health_target_print,
			   &t->of[i]);
		json_text(r, "health", health_name(t->of[i].health));
		if (used)
			json_flag(r, "in-use", is_used(used, i));
		json_close(r, '}');
	}
	json_close(r, ']');
}

/* acli.md 2.3, `detail` */
static void health_json(struct registrations *list,
			const struct registration_report *row)
{
	struct reply *r = &list->s->reply;
	struct health_of_aor d;
	char letter[2] = "";

	(void)health_of_aor(list->worker, &row->owner, &d);
	json_number(r, "asked", d.asked);
	json_number(r, "nonce-count", d.nc);
	json_text(r, "response", d.phrase);
	targets_json(r, "targets", &d.registrar, &d);
	letter[0] = agent_state(&d);
	json_open(r, "next-hop", '{');
	json_text(r, "name", d.next_hop);
	json_text(r, "state", d.agent ? letter : NULL);
	targets_json(r, "targets", &d.pbx, NULL);
	json_close(r, '}');
	json_time(r, "last-activity", active_at(&d));
}

static void health_text(struct registrations *list,
			const struct registration_report *row)
{
	struct reply *r = &list->s->reply;
	struct health_of_aor d;

	(void)health_of_aor(list->worker, &row->owner, &d);
	reply_line(r,
		   "    contact %s, Call-ID %s, CSeq %u, asked %u s, granted "
		   "%u s, nonce count %u",
		   *row->contact ? row->contact : "-", row->callid, row->cseq,
		   d.asked, row->granted, d.nc);
	if (row->last)
		reply_line(r, "    response %u %s%s%s", row->last, d.phrase,
			   *row->reason ? ", " : "", row->reason);
	else if (*row->reason)
		reply_line(r, "    no response: %s", row->reason);
	for (uint32_t i = 0; i < d.registrar.n; i++)
		reply_line(r, "    target %H %s%s", health_target_print,
			   &d.registrar.of[i],
			   health_name(d.registrar.of[i].health),
			   is_used(&d, i) ? ", in use" : "");
	reply_line(r, "    next hop %s, state %c",
		   d.next_hop && *d.next_hop ? d.next_hop : "-",
		   agent_state(&d));
	for (uint32_t i = 0; i < d.pbx.n; i++)
		reply_line(r, "    next hop target %H %s", health_target_print,
			   &d.pbx.of[i], health_name(d.pbx.of[i].health));
	if (d.active)
		reply_line(
			r, "    last activity %H ago", duration_print,
			&(struct duration){ (clock_ms() - d.active) / 1000 });
	else
		reply_line(r, "    last activity -");
}

static void aor_json(struct registrations *list,
		     const struct registration_report *r, const char *state)
{
	struct reply *reply = &list->s->reply;

	json_open(reply, NULL, '{');
	json_text(reply, "aor", r->aor);
	json_text(reply, "realm", r->realm);
	json_text(reply, "registrar", r->registrar[0] ? r->registrar : NULL);
	json_text(reply, "state", state);
	if (r->expires)
		json_number(reply, "expires", r->expires);
	else
		json_text(reply, "expires", NULL);
	if (r->last)
		json_number(reply, "last", r->last);
	else
		json_text(reply, "last", NULL);
	if (r->next != UINT32_MAX)
		json_number(reply, "next", r->next);
	else
		json_text(reply, "next", NULL);
	json_number(reply, "tries", r->tries);
	if (list->detail) {
		json_text(reply, "contact", r->contact);
		json_text(reply, "call-id", r->callid);
		json_number(reply, "cseq", r->cseq);
		json_number(reply, "granted", r->granted);
		json_text(reply, "reason", r->reason);
		health_json(list, r);
	}
	json_close(reply, '}');
}

static void aor_text(struct registrations *list,
		     const struct registration_report *r, const char *state)
{
	struct cell cells[] = {
		TEXT_CELL(r->aor),
		TEXT_CELL(r->realm),
		TEXT_CELL(r->registrar),
		TEXT_CELL(state),
		NO_CELL,
		NO_CELL,
		NO_CELL,
		NUMBER_CELL(r->tries),
	};

	if (r->expires)
		cells[4] = (struct cell)NUMBER_CELL(r->expires);
	if (r->last)
		cells[5] = (struct cell)NUMBER_CELL(r->last);
	if (r->next != UINT32_MAX)
		cells[6] = (struct cell)SECONDS_CELL(r->next);
	table_row(&list->s->reply, registration_columns, cells);
	if (!list->detail)
		return;
	health_text(list, r);
}

/* AoRs of one agent stand together */
static void summary_end(struct registrations *list)
{
	struct item_ref ref = { &element_surrogate_agent, list->agent };
	char key[1024];
	struct cell cells[] = {
		TEXT_CELL(key),
		NUMBER_CELL(list->of.aors),
		NUMBER_CELL(list->of.registered),
		NUMBER_CELL(list->of.waiting),
		NUMBER_CELL(list->of.failing),
		NUMBER_CELL(list->of.refused),
		NO_CELL,
	};

	if (list->of.oldest)
		cells[6] = (struct cell)TIME_CELL(list->of.oldest);
	if (!list->agent || !cut_row(&list->cut) ||
	    re_snprintf(key, sizeof(key), "%H", item_key_print, &ref) < 0)
		return;
	table_row(&list->s->reply, summary_columns, cells);
}

static void summary_take(struct registrations *list,
			 const struct registration_report *r)
{
	if (list->agent != r->owner.agent) {
		summary_end(list);
		memset(&list->of, 0, sizeof(list->of));
		list->agent = r->owner.agent;
	}
	list->of.aors++;
	list->of.registered += r->expires > 0;
	list->of.waiting += r->state == SUR_WAITING;
	list->of.failing += r->state == SUR_BACKOFF;
	list->of.refused += r->state == SUR_REFUSED;
	if (r->failing != UINT32_MAX &&
	    (!list->of.oldest || clock_wall() - r->failing < list->of.oldest))
		list->of.oldest = clock_wall() - r->failing;
}

static void aor_line(const struct registration_report *r, void *arg)
{
	struct registrations *list = arg;
	const char *state = surrogate_state_name(r->state);

	if (!is_wanted(list, r))
		return;
	list->counts[r->state]++;
	list->aors++;
	if (list->summary) {
		summary_take(list, r);
		return;
	}
	if (!cut_row(&list->cut))
		return;
	if (list->s->reply.json)
		aor_json(list, r, state);
	else
		aor_text(list, r, state);
}

static void registrations_slice(struct worker *w, void *arg)
{
	struct registrations *list = arg;
	bool details = list->detail && !cut_is_full(&list->cut);

	list->worker = w;
	list->next = surrogates_walk(w->surrogates, list->next,
				     details ? DETAILS : SLICE, aor_line, list);
}

/* A refresh under way is shown as registered */
static void states_merge(struct registrations *list)
{
	list->counts[SUR_REGISTERED] += list->counts[SUR_REFRESHING];
	list->counts[SUR_REFRESHING] = 0;
}

static void registrations_total(struct registrations *list)
{
	char text[256] = "";
	size_t at = 0;

	states_merge(list);
	for (int state = 0; state < SUR_STATES; state++) {
		int n;

		if (!list->counts[state])
			continue;
		n = re_snprintf(
			text + at, sizeof(text) - at, "%s%u %s", at ? ", " : "",
			list->counts[state],
			surrogate_state_name((enum surrogate_state)state));
		if (n > 0)
			at += (size_t)n;
	}
	(void)cut_end(&list->cut, &list->s->reply);
	reply_line(&list->s->reply, "%u AoRs%s%s", list->aors, at ? ": " : "",
		   text);
}

static void registrations_total_json(struct registrations *list)
{
	struct reply *r = &list->s->reply;

	states_merge(list);
	json_number(r, "total", list->aors);
	json_open(r, "states", '{');
	for (int state = 0; state < SUR_STATES; state++)
		if (list->counts[state])
			json_number(r,
				    surrogate_state_name(
					    (enum surrogate_state)state),
				    list->counts[state]);
	json_close(r, '}');
	json_close(r, '}');
	(void)cut_end(&list->cut, r);
	json_end(r);
}

/* false: said what is wrong */
static bool registrations_words(struct registrations *list,
				const struct words *w, uint32_t at, char *key,
				size_t size)
{
	struct {
		const char *word, **value;
	} known[] = {
		{ "state", &list->state },
		{ "realm", &list->realm },
		{ "registrar", &list->registrar },
	};
	struct words rest;

	if (!cut_words(&list->cut, &list->s->reply, w, at, &rest))
		return false;
	w = &rest;

	for (; at < w->n; at++) {
		size_t i = 0;

		while (i < ARRAY_SIZE(known) && strcmp(w->v[at], known[i].word))
			i++;
		if (!strcmp(w->v[at], "detail"))
			list->detail = true;
		else if (!strcmp(w->v[at], "summary"))
			list->summary = true;
		else if (i < ARRAY_SIZE(known) && at + 1 < w->n)
			*known[i].value = w->v[++at];
		else if (i == ARRAY_SIZE(known)) {
			/* words that are none are those of a key */
			(void)re_snprintf(key + strlen(key), size - strlen(key),
					  "%s%s", *key ? " " : "", w->v[at]);
			list->key = key;
		} else {
			reply_error(&list->s->reply, REPLY_ARGUMENT,
				    "Missing the value of %s", w->v[at]);
			return false;
		}
	}
	if (list->state) {
		list->state =
			state_pick(&list->s->reply, list->state, aor_states);
		if (!list->state)
			return false;
	}
	return true;
}

void show_surrogate_agents(struct session *s, const struct words *w,
			   uint32_t at)
{
	struct registrations list = { .s = s };
	const struct column *columns;
	char key[1024] = "";

	if (!registrations_words(&list, w, at, key, sizeof(key)))
		return;
	columns = list.summary ? summary_columns : registration_columns;
	if (s->reply.json) {
		json_begin(&s->reply, s->command, JSON_NO_WINDOW);
		json_open(&s->reply, NULL, '{');
	}
	table_begin(&s->reply, list.summary ? "agents" : "aors", columns);
	session_walk(s, registrations_slice, &list, &list.next);
	if (list.summary)
		summary_end(&list);
	table_end(&s->reply);
	if (s->reply.json)
		registrations_total_json(&list);
	else if (!list.aors && list.key)
		reply_error(&s->reply, REPLY_ARGUMENT,
			    "There is no AoR of surrogate-agent [%s]", key);
	else
		registrations_total(&list);
}
