/*
 * Bindings: by user, realm, address, registrar; and who waits to register
 *
 * The SBC keeps bindings of its own AoRs only (surrogate-agent): each has one
 * contact, which the registrar knows, and none towards us.
 */
#include <errno.h>
#include <string.h>
#include "store/number.h"
#include "sbc/counters.h"
#include "sbc/clock.h"
#include "sbc/office.h"
#include "sbc/surrogates.h"
#include "cli/json.h"
#include "cli/registered.h"
#include "cli/statistics.h"

enum {
	SLICE = 200,
};

/* --- show sipd registration-queue --------------------------------------------- */

static const struct column queue_columns[] = {
	{ "Registrar", -32 }, { "Due", 8 },     { "Sent/s", 9 },
	{ "Limit/s", 9 },     { "Backlog", 8 }, { "Oldest Due", 10 },
	{ NULL, 0 },
};

/* A registrar, whose AoRs may be of several workers */
struct queue_entry {
	struct le le;
	struct office_report sum;
	char name[];
};

static struct queue_entry *entry_of(struct list *all, const char *name)
{
	struct queue_entry *e;

	for (struct le *le = all->head; le; le = le->next) {
		e = le->data;
		if (!strcmp(e->name, name))
			return e;
	}
	e = mem_zalloc(sizeof(*e) + strlen(name) + 1, NULL);
	if (!e)
		return NULL;
	strcpy(e->name, name);
	list_append(all, &e->le, e);
	return e;
}

static void queue_add(const struct office_report *o, void *arg)
{
	struct queue_entry *e = entry_of(arg, o->name);

	if (!e)
		return;
	e->sum.due += o->due;
	e->sum.recent += o->recent;
	e->sum.limit += o->limit;
	e->sum.backlog += o->backlog;
	if (o->oldest > e->sum.oldest)
		e->sum.oldest = o->oldest;
}

static void queue_take(struct worker *w, void *arg)
{
	surrogates_registrars(w->surrogates, queue_add, arg);
}

static void queue_row(struct reply *r, const struct queue_entry *e,
		      uint64_t window)
{
	const struct office_report *o = &e->sum;
	const struct cell cells[] = {
		TEXT_CELL(e->name),
		NUMBER_CELL(o->due),
		THOUSANDTHS_CELL(o->recent * 1000 / (window ? window : 1)),
		{ o->limit ? CELL_THOUSANDTHS : CELL_NONE, NULL, o->limit },
		NUMBER_CELL(o->backlog),
		{ o->due ? CELL_SECONDS : CELL_NONE, NULL, (int64_t)o->oldest },
	};

	table_row(r, queue_columns, cells);
}

void registered_queue(struct session *s, struct cut *cut)
{
	const uint64_t window = counters_window_of("registration", clock_ms());
	struct list all = LIST_INIT;

	sbc_ask(s->sbc, queue_take, &all);
	if (s->reply.json)
		json_begin(&s->reply, s->command, (uint32_t)window);
	table_begin(&s->reply, NULL, queue_columns);
	for (struct le *le = all.head; le; le = le->next)
		if (cut_row(cut))
			queue_row(&s->reply, le->data, window);
	table_end(&s->reply);
	(void)cut_end(cut, &s->reply);
	if (s->reply.json)
		json_end(&s->reply);
	list_flush(&all);
}

/* --- Bindings ----------------------------------------------------------------- */

enum by {
	BY_USER,
	BY_REALM,
	BY_IP,
	BY_REGISTRAR,
	BY_ROUTE,
	BY_USER_OR_IP
};

struct bindings {
	struct session *s;
	enum by by;
	const char *value;
	bool prefix;   /* else the whole counts */
	size_t length; /* of the prefix */
	bool detailed;
	size_t next;
	struct cut cut;
};

static const struct column binding_columns[] = {
	{ "AoR", -32 },       { "Realm", -12 }, { "Contact", -40 },
	{ "Registrar", -22 }, { "Expires", 7 }, { "Flags", 0 },
	{ NULL, 0 },
};

static bool is_text(const struct bindings *b, const char *text)
{
	return b->prefix ? !strncasecmp(text, b->value, b->length)
			 : !strcasecmp(text, b->value);
}

static bool is_user(const struct bindings *b, const char *aor)
{
	size_t n = strcspn(aor, "@");

	if (is_text(b, aor))
		return true;
	return b->prefix ? n >= b->length && is_text(b, aor)
			 : strlen(b->value) == n && !strncmp(aor, b->value, n);
}

static bool is_wanted(const struct bindings *b,
		      const struct registration_report *r)
{
	switch (b->by) {

	case BY_USER:
		return is_user(b, r->aor);
	case BY_REALM:
		return is_text(b, r->realm) || is_text(b, r->egress);
	case BY_IP:
		return is_text(b, r->remote);
	case BY_REGISTRAR:
		return is_text(b, r->owner.agent->register_host) ||
		       is_text(b, r->registrar) || is_text(b, r->remote);
	case BY_ROUTE:
		return strstr(r->route, b->value) != NULL;
	case BY_USER_OR_IP:
		return is_user(b, r->aor) || is_text(b, r->remote);
	}
	return false;
}

static void flags_of(char flags[8], const struct registration_report *r)
{
	size_t n = 0;

	flags[n++] = 'S';
	if (r->transport == TRANSPORT_TLS)
		flags[n++] = 'T';
	flags[n] = '\0';
}

static void binding_json(struct reply *reply,
			 const struct registration_report *r, const char *flags)
{
	json_open(reply, NULL, '{');
	json_text(reply, "aor", r->aor);
	json_text(reply, "realm", r->realm);
	json_text(reply, "state", surrogate_state_name(r->state));
	json_text(reply, "registrar", r->owner.agent->register_host);
	json_text(reply, "contact-registrar", r->contact);
	json_text(reply, "contact", NULL);
	if (r->expires)
		json_number(reply, "expires", r->expires);
	else
		json_text(reply, "expires", NULL);
	json_text(reply, "remote", *r->registrar ? r->registrar : NULL);
	json_text(reply, "transport",
		  transport_name((enum transport)r->transport));
	json_text(reply, "call-id", r->callid);
	json_number(reply, "cseq", r->cseq);
	json_text(reply, "route", *r->route ? r->route : NULL);
	json_text(reply, "flow", NULL);
	json_text(reply, "flags", flags);
	json_close(reply, '}');
}

static void binding_detail(struct reply *reply,
			   const struct registration_report *r,
			   const char *flags)
{
	reply_line(reply,
		   "AoR                  %s\n"
		   "  Realm              %s\n"
		   "  State              %s\n"
		   "  Registrar          %s\n"
		   "  Expires            %u s\n"
		   "  Contact            -\n"
		   "  Registrar Contact  %s\n"
		   "  Remote             %s %s, realm %s\n"
		   "  Call-ID            %s, CSeq %u\n"
		   "  Route              %s\n"
		   "  Flow               -\n"
		   "  Flags              %s",
		   r->aor, r->realm, surrogate_state_name(r->state),
		   r->owner.agent->register_host, r->expires,
		   *r->contact ? r->contact : "-",
		   *r->registrar ? r->registrar : "-",
		   transport_name((enum transport)r->transport), r->egress,
		   r->callid, r->cseq, *r->route ? r->route : "-", flags);
}

static void binding_say(const struct registration_report *r, void *arg)
{
	struct bindings *b = arg;
	char flags[8];
	const struct cell cells[] = {
		TEXT_CELL(r->aor),
		TEXT_CELL(r->realm),
		TEXT_CELL(r->contact),
		TEXT_CELL(r->registrar),
		{ r->expires ? CELL_NUMBER : CELL_NONE, NULL, r->expires },
		TEXT_CELL(flags),
	};

	if (!is_wanted(b, r) || !cut_row(&b->cut))
		return;
	flags_of(flags, r);
	if (b->detailed && b->s->reply.json)
		binding_json(&b->s->reply, r, flags);
	else if (b->detailed)
		binding_detail(&b->s->reply, r, flags);
	else
		table_row(&b->s->reply, binding_columns, cells);
}

static void bindings_slice(struct worker *w, void *arg)
{
	struct bindings *b = arg;

	b->next =
		surrogates_walk(w->surrogates, b->next, SLICE, binding_say, b);
}

static void bindings_say(struct bindings *b)
{
	struct reply *r = &b->s->reply;

	/* What ends in `*` is a beginning */
	b->length = strlen(b->value);
	b->prefix = b->length && b->value[b->length - 1] == '*';
	if (b->prefix)
		b->length--;
	if (r->json)
		json_begin(r, b->s->command, JSON_NO_WINDOW);
	if (!b->detailed)
		table_begin(r, NULL, binding_columns);
	else if (r->json)
		json_open(r, NULL, '[');
	session_walk(b->s, bindings_slice, b, &b->next);
	if (r->json)
		json_close(r, ']');
	if (!cut_end(&b->cut, r) && !r->json)
		reply_line(r, "%u AoR%s", b->cut.rows,
			   b->cut.rows == 1 ? "" : "s");
	if (r->json)
		json_end(r);
}

/* --- clear-cache registration sip by-ip ---------------------------------------- */

/* A slice is looked at first, since who registers may move */
struct renewal {
	const char *ip;
	size_t next;
	struct owner found[SLICE];
	uint32_t n, told;
};

static void renewal_find(const struct registration_report *r, void *arg)
{
	struct renewal *x = arg;

	if (!strcasecmp(r->remote, x->ip) && x->n < SLICE)
		x->found[x->n++] = r->owner;
}

static void renewal_slice(struct worker *w, void *arg)
{
	struct renewal *x = arg;

	x->n = 0;
	x->next =
		surrogates_walk(w->surrogates, x->next, SLICE, renewal_find, x);
	for (uint32_t i = 0; i < x->n; i++)
		if (!surrogates_notify(w->surrogates, x->found[i].agent,
				       x->found[i].number, false))
			x->told++;
}

void registered_renew(struct session *s, const char *ip)
{
	struct renewal x = { .ip = ip };

	session_walk(s, renewal_slice, &x, &x.next);
	if (x.told)
		reply_line(&s->reply, "Registering: %u AoR%s.", x.told,
			   x.told == 1 ? "" : "s");
	else
		reply_error(&s->reply, REPLY_ARGUMENT,
			    "There is no AoR at [%s]", ip);
}

/* ------------------------------------------------------------------------------- */

void registered_endpoint(struct session *s, const char *user_or_ip,
			 const struct cut *cut)
{
	struct bindings b = {
		.s = s,
		.by = BY_USER_OR_IP,
		.value = user_or_ip,
		.detailed = true,
		.cut = *cut,
	};

	bindings_say(&b);
}

static void show_by(struct session *s, const struct words *w, uint32_t at)
{
	static const struct {
		const char *word;
		enum by by;
	} ways[] = {
		{ "by-user", BY_USER },   { "by-realm", BY_REALM },
		{ "by-ip", BY_IP },       { "by-registrar", BY_REGISTRAR },
		{ "by-route", BY_ROUTE },
	};
	struct bindings b = { .s = s };
	struct words rest;
	size_t i = 0;

	if (!cut_words(&b.cut, &s->reply, w, at + 2, &rest))
		return;
	w = &rest;
	while (at < w->n && i < ARRAY_SIZE(ways) &&
	       strcmp(w->v[at], ways[i].word) != 0)
		i++;
	if (at + 1 >= w->n || i == ARRAY_SIZE(ways)) {
		reply_error(&s->reply, REPLY_ARGUMENT,
			    "Missing by-user U, by-realm R, by-ip IP, "
			    "by-registrar H or by-route URI");
		return;
	}
	b.by = ways[i].by;
	b.value = w->v[at + 1];
	for (at += 2; at < w->n; at++) {
		if (!strcmp(w->v[at], "detailed")) {
			b.detailed = true;
		} else if (strcmp(w->v[at], "brief") != 0) {
			reply_error(&s->reply, REPLY_ARGUMENT,
				    "Unexpected word [%s]", w->v[at]);
			return;
		}
	}
	bindings_say(&b);
}

void show_registration(struct session *s, const struct words *w, uint32_t at)
{
	if (at == w->n)
		statistics_registration(s);
	else if (!strcmp(w->v[at], "sipd"))
		show_by(s, w, at + 1);
	else
		reply_error(&s->reply, REPLY_UNKNOWN,
			    "Unknown word [%s], possible here: sipd", w->v[at]);
}
