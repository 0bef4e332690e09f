/*
 * The record of a call
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <strings.h>
#include "store/log.h"
#include "store/number.h"
#include "store/records.h"
#include "store/value.h"
#include "policy/cause.h"
#include "policy/header.h"
#include "sbc/cdr.h"
#include "sbc/clock.h"

/* Places of the fields in a record, acli.md 5.3, from 0 */
enum {
	F_TYPE,
	F_VERSION,
	F_NODE = 3,
	F_SESSION = 4,
	F_CALLID,
	F_PROTOCOL = 7,
	F_METHOD,
	F_SETUP,
	F_RING,
	F_CONNECT,
	F_DISCONNECT,
	F_DURATION,
	F_SETUP_MS,
	F_CALLING,
	F_CALLED,
	F_CALLING_URI,
	F_CALLED_URI,
	F_OUT_CALLING_URI,
	F_OUT_CALLED_URI,
	F_ASSERTED,
	F_DIVERSION,
	F_SIDE, /* realm, agent, remote, local, transport; twice */
	F_POLICY = F_SIDE + 10,
	F_NEXT_HOP,
	F_ROUTES,
	F_AUTH_SOURCE,
	F_AUTH_REALM,
	F_AUTH_LOOKUP,
	F_AUTH_USER,
	F_CHALLENGES,
	F_AOR,
	F_STATUS,
	F_Q850,
	F_ENDED_BY,
	F_REASON,
	F_STEP,
	F_CODEC,
	F_SECURITY = F_CODEC + 2,
	F_MEDIA = F_SECURITY + 2,
	F_COUNTS = F_MEDIA + 4,
	F_LATCHED = F_COUNTS + 8,
	F_CONFIG
};

static const char *const reasons[] = {
	[CDR_NORMAL] = "normal",
	[CDR_BUSY] = "busy",
	[CDR_NO_ANSWER] = "no-answer",
	[CDR_CANCELLED] = "cancelled",
	[CDR_REFUSED] = "refused",
	[CDR_UNAUTHORIZED] = "unauthorized",
	[CDR_NO_ROUTE] = "no-route",
	[CDR_NO_CAPACITY] = "no-capacity",
	[CDR_MEDIA_TIMEOUT] = "media-timeout",
	[CDR_SESSION_EXPIRED] = "session-expired",
	[CDR_TRANSPORT] = "transport",
	[CDR_SHUTDOWN] = "shutdown",
	[CDR_BY_OPERATOR] = "operator",
};
static const char *const parties[] = {
	[CDR_NOBODY] = "", [CDR_INGRESS] = "ingress",   [CDR_EGRESS] = "egress",
	[CDR_SBC] = "sbc", [CDR_OPERATOR] = "operator",
};

enum {
	ROOM_FIRST = 480 /* most calls need no more [bytes] */
};

/* The record being written: texts that are made for it lie in `room` */
struct writer {
	struct record record;
	char room[2048];
	size_t at;
};

const char *cdr_reason_name(enum cdr_reason r)
{
	return reasons[r];
}

const char *cdr_party_name(enum cdr_party p)
{
	return parties[p];
}

enum cdr_reason cdr_reason_of(uint16_t code, bool ours)
{
	switch (code) {

	case 401:
	case 407:
		return CDR_UNAUTHORIZED;
	case 404:
		return ours ? CDR_NO_ROUTE : CDR_REFUSED;
	case 408:
	case 480:
		return CDR_NO_ANSWER;
	case 486:
	case 600:
		return CDR_BUSY;
	case 487:
		return CDR_CANCELLED;
	case 503:
		return ours ? CDR_NO_CAPACITY : CDR_REFUSED;
	default:
		return CDR_REFUSED;
	}
}

void cdr_end(struct cdr *cdr, enum cdr_party by, enum cdr_reason reason,
	     uint16_t q850)
{
	if (cdr->ended_by != CDR_NOBODY)
		return;
	cdr->ended_by = (uint8_t)by;
	cdr->reason = (uint8_t)reason;
	cdr->q850 = q850;
}

uint16_t cdr_cause(const struct message *msg)
{
	const struct header *h = msg ? message_first(msg, HDR_REASON) : NULL;

	for (; h; h = message_next(msg, h)) {
		struct pl rest = header_value(msg, h), value, params, cause;
		uint64_t n;

		while (!list_next(&rest, &value)) {
			const char *end = memchr(value.p, ';', value.l);

			if (!end || end - value.p != 5 ||
			    strncasecmp(value.p, "Q.850", 5) != 0)
				continue;
			params.p = end;
			params.l = value.l - 5;
			if (!param_get(&params, "cause", &cause) &&
			    !uint_parse(&n, &cause, 127))
				return (uint16_t)n;
		}
	}

	return 0;
}

void cdr_set(struct cdr *cdr, unsigned which, const struct pl *text)
{
	if (!cdr->texts.room)
		(void)texts_reserve(&cdr->texts, ROOM_FIRST);
	if (texts_set(&cdr->texts, &cdr->text[which], text))
		cdr->text[which] = 0;
}

void cdr_set_str(struct cdr *cdr, unsigned which, const char *text)
{
	struct pl pl;

	pl_set_str(&pl, text ? text : "");
	cdr_set(cdr, which, &pl);
}

void cdr_set_address(struct cdr *cdr, unsigned which, const struct sa *sa)
{
	char buf[ADDRESS_TEXT];
	struct pl text = { buf, 0 };

	if (sa_isset(sa, SA_ALL))
		text.l = address_write(buf, sa, true);
	cdr_set(cdr, which, &text);
}

const char *cdr_get(const struct cdr *cdr, unsigned which)
{
	const char *text = texts_get(&cdr->texts, cdr->text[which]);

	return text ? text : "";
}

void cdr_settle(struct cdr *cdr)
{
	texts_pack(&cdr->texts, cdr->text, CDR_TEXTS);
}

void cdr_clear(struct cdr *cdr)
{
	texts_clear(&cdr->texts);
	memset(cdr, 0, sizeof(*cdr));
}

static void credential_note(struct cdr *cdr, const struct proof_report *report)
{
	cdr_set_str(cdr, CDR_AUTH_REALM, report->auth_realm);
	cdr_set_str(cdr, CDR_AUTH_LOOKUP, report->lookup);
	cdr_set_str(cdr, CDR_AUTH_USER, report->user);
}

void cdr_challenged(struct cdr *cdr, enum proof result,
		    const struct proof_report *report, bool in_dialog)
{
	cdr->challenges++;
	if (in_dialog && cdr->authenticated)
		return;

	switch (result) {

	case PROOF_READY:
	case PROOF_WAIT:
		break; /* the answer to the retry tells */

	case PROOF_NOBODY:
		cdr->authenticated = false;
		break;

	case PROOF_MISSING:
	case PROOF_SPENT:
		cdr->authenticated = false;
		cdr->auth_failed = true;
		credential_note(cdr, report);
		break;
	}
}

void cdr_proved(struct cdr *cdr, const struct proof_report *report,
		uint16_t code)
{
	if (cdr->authenticated)
		return;

	cdr->authenticated = code != 403;
	cdr->auth_failed = code == 403;
	cdr->by = (uint8_t)report->by;
	credential_note(cdr, report);
}

const char *cdr_auth_source(const struct cdr *cdr)
{
	if (cdr->authenticated)
		return credential_by_name(cdr->by);
	if (cdr->auth_failed)
		return "failed";

	return cdr->challenges ? "passed" : "none";
}

static void put_str(struct writer *w, size_t field, const char *s)
{
	if (s)
		pl_set_str(&w->record.field[field], s);
}

static void put_bytes(struct writer *w, size_t field, const char *s, size_t n)
{
	if (w->at + n > sizeof(w->room))
		return;
	memcpy(w->room + w->at, s, n);
	w->record.field[field].p = w->room + w->at;
	w->record.field[field].l = n;
	w->at += n;
}

static void put_number(struct writer *w, size_t field, uint64_t n)
{
	char buf[20];

	put_bytes(w, field, buf, uint_write(buf, n));
}

/* A wall clock that is stepped meanwhile leaves durations as they were */
static void put_time(struct writer *w, size_t field, const struct cdr *cdr,
		     uint64_t at)
{
	char buf[25];

	if (!at)
		return;
	clock_rfc3339(buf, cdr->wall + (at - cdr->setup));
	put_bytes(w, field, buf, strlen(buf));
}

static void put_address(struct writer *w, size_t field, const struct sa *sa)
{
	char buf[ADDRESS_TEXT];

	if (sa_isset(sa, SA_ALL))
		put_bytes(w, field, buf, address_write(buf, sa, true));
}

static void put_side(struct writer *w, size_t first, const struct cdr *cdr,
		     enum side side)
{
	const struct cdr_side *s = &cdr->side[side];

	put_str(w, first, s->realm);
	put_str(w, first + 1, s->agent);
	put_str(w, first + 2, cdr_get(cdr, CDR_REMOTE + side));
	put_str(w, first + 3, cdr_get(cdr, CDR_LOCAL + side));
	if (s->realm)
		put_str(w, first + 4,
			transport_name((enum transport)s->transport));
}

static void put_media(struct writer *w, const struct media_report *m)
{
	static const char *const latched[] = { "none", "ingress", "egress",
					       "both" };

	put_str(w, F_CODEC, m->codec[0]);
	put_str(w, F_CODEC + 1, m->codec[1]);
	put_str(w, F_SECURITY, "none");
	put_str(w, F_SECURITY + 1, "none");
	put_address(w, F_MEDIA, &m->remote[0]);
	put_address(w, F_MEDIA + 1, &m->local[0]);
	put_address(w, F_MEDIA + 2, &m->local[1]);
	put_address(w, F_MEDIA + 3, &m->remote[1]);
	for (size_t i = 0; i < 2; i++) {
		put_number(w, F_COUNTS + 4 * i, m->packets[i]);
		put_number(w, F_COUNTS + 4 * i + 1, m->octets[i]);
		put_number(w, F_COUNTS + 4 * i + 2, m->lost[i]);
		put_number(w, F_COUNTS + 4 * i + 3, m->jitter[i] / 1000);
	}
	put_str(w, F_LATCHED, latched[m->latched[0] + 2 * m->latched[1]]);
}

static void put_auth(struct writer *w, const struct cdr *cdr)
{
	put_str(w, F_AUTH_SOURCE, cdr_auth_source(cdr));
	put_str(w, F_AUTH_REALM, cdr_get(cdr, CDR_AUTH_REALM));
	put_str(w, F_AUTH_LOOKUP, cdr_get(cdr, CDR_AUTH_LOOKUP));
	put_str(w, F_AUTH_USER, cdr_get(cdr, CDR_AUTH_USER));
	put_number(w, F_CHALLENGES, cdr->challenges);
}

/* What is not over yet lasts until now */
static void put_times(struct writer *w, const struct cdr *cdr)
{
	uint64_t end = cdr->disconnect ? cdr->disconnect : clock_ms();
	uint64_t first = cdr->ring      ? cdr->ring
			 : cdr->connect ? cdr->connect
					: cdr->disconnect;

	put_time(w, F_SETUP, cdr, cdr->setup);
	put_time(w, F_RING, cdr, cdr->ring);
	put_time(w, F_CONNECT, cdr, cdr->connect);
	put_time(w, F_DISCONNECT, cdr, cdr->disconnect);
	if (cdr->connect && end >= cdr->connect)
		put_number(w, F_DURATION, end - cdr->connect);
	if (first >= cdr->setup && first)
		put_number(w, F_SETUP_MS, first - cdr->setup);
}

static const char *type_of(const struct cdr *cdr, enum cdr_type type)
{
	switch (type) {

	case CDR_START:
		return "start";
	case CDR_INTERIM:
		return "interim";
	case CDR_LAST:
		break;
	}
	return cdr->event ? "event" : cdr->connect ? "stop" : "attempt";
}

static void put_end(struct writer *w, const struct cdr *cdr)
{
	uint16_t q850 = cdr->q850;

	if (!q850 && !cdr->event)
		q850 = cdr->connect ? 16 /* normal clearing */
				    : cause_q850(cdr->status);
	if (q850)
		put_number(w, F_Q850, q850);
	put_str(w, F_ENDED_BY, parties[cdr->ended_by]);
	put_str(w, F_REASON, reasons[cdr->reason]);
	put_str(w, F_STEP, cdr->refused_step);
}

static struct writer *record_make(const struct cdr *cdr,
				  const struct cdr_early *e)
{
	static const struct media_report none;
	struct writer *w = mem_alloc(sizeof(*w), NULL);

	if (!w)
		return NULL;
	memset(&w->record, 0, sizeof(w->record));
	w->at = 0;

	put_str(w, F_TYPE, type_of(cdr, e->type));
	put_str(w, F_VERSION, "1");
	put_str(w, F_NODE, cdr->node);
	put_number(w, F_SESSION, cdr->id);
	put_str(w, F_CALLID, cdr_get(cdr, CDR_CALLID + SIDE_A));
	put_str(w, F_CALLID + 1, cdr_get(cdr, CDR_CALLID + SIDE_B));
	put_str(w, F_PROTOCOL, "SIP");
	put_str(w, F_METHOD, cdr->event ? cdr->event : "INVITE");
	put_times(w, cdr);
	put_str(w, F_CALLING, cdr_get(cdr, CDR_CALLING_NUMBER));
	put_str(w, F_CALLED, cdr_get(cdr, CDR_CALLED_NUMBER));
	put_str(w, F_CALLING_URI, cdr_get(cdr, CDR_CALLING + SIDE_A));
	put_str(w, F_CALLED_URI, cdr_get(cdr, CDR_CALLED + SIDE_A));
	put_str(w, F_OUT_CALLING_URI, cdr_get(cdr, CDR_CALLING + SIDE_B));
	put_str(w, F_OUT_CALLED_URI, cdr_get(cdr, CDR_CALLED + SIDE_B));
	put_str(w, F_ASSERTED, cdr_get(cdr, CDR_ASSERTED));
	put_str(w, F_DIVERSION, cdr_get(cdr, CDR_DIVERSION));
	put_side(w, F_SIDE, cdr, SIDE_A);
	put_side(w, F_SIDE + 5, cdr, SIDE_B);
	put_str(w, F_POLICY, cdr->policy);
	put_str(w, F_NEXT_HOP, cdr->next_hop);
	put_number(w, F_ROUTES, cdr->routes_tried);
	put_auth(w, cdr);
	put_str(w, F_AOR, cdr_get(cdr, CDR_AOR));
	if (e->status)
		put_number(w, F_STATUS, e->status);
	if (e->type == CDR_LAST)
		put_end(w, cdr);
	put_media(w, e->media ? e->media : &none);
	put_number(w, F_CONFIG, cdr->config_version);

	return w;
}

static bool is_unrecorded(const struct cdr *cdr)
{
	return cdr->side[SIDE_A].unrecorded || cdr->side[SIDE_B].unrecorded;
}

static void lost(uint64_t id, int err)
{
	log_error(DB, "record-lost", "call=%" PRIu64 " text=\"%s\"", id,
		  strerror(err));
}

void cdr_write(const struct cdr *cdr, const struct media_report *media,
	       struct database *db)
{
	const struct cdr_early last = { CDR_LAST, cdr->status, media };
	struct writer *w;
	int err;

	if (is_unrecorded(cdr))
		return;

	w = record_make(cdr, &last);
	err = w ? records_put(db, &w->record) : ENOMEM;
	if (err)
		lost(cdr->id, err);
	mem_deref(w);
}

/* --- Kept until the end (trans-at-close) ----------------------------------- */

struct later {
	struct le le;
	uint64_t id;
	struct record record;
	char text[];
};

static void later_destructor(void *data)
{
	struct later *later = data;

	list_unlink(&later->le);
}

static int keep(struct list *list, uint64_t id, const struct record *record)
{
	struct later *later;
	size_t size = 0;
	char *p;

	for (size_t i = 0; i < RECORD_FIELDS; i++)
		size += record->field[i].l;
	later = mem_alloc(sizeof(*later) + size, later_destructor);
	if (!later)
		return ENOMEM;

	memset(later, 0, sizeof(*later));
	later->id = id;
	p = later->text;
	for (size_t i = 0; i < RECORD_FIELDS; i++) {
		const struct pl *field = &record->field[i];

		later->record.field[i] = (struct pl){ p, field->l };
		if (field->l)
			memcpy(p, field->p, field->l);
		p += field->l;
	}
	list_append(list, &later->le, later);

	return 0;
}

void cdr_write_early(const struct cdr *cdr, const struct cdr_early *early,
		     struct list *later, struct database *db)
{
	struct writer *w;
	int err = ENOMEM;

	if (is_unrecorded(cdr))
		return;

	w = record_make(cdr, early);
	if (w)
		err = later ? keep(later, cdr->id, &w->record)
			    : records_put(db, &w->record);
	if (err)
		lost(cdr->id, err);
	mem_deref(w);
}

void cdr_release(struct list *later, struct database *db)
{
	while (later->head) {
		struct later *one = later->head->data;
		int err = records_put(db, &one->record);

		if (err)
			lost(one->id, err);
		mem_deref(one);
	}
}
