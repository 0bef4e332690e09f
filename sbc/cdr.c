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
	ROOM_FIRST = 480, /* most calls need no more [bytes] */
	TIME_TEXT = 24    /* of RFC 3339 with milliseconds */
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
	const struct pl pl = range_of(text);

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

static void put_text(struct slip *s, size_t field, const struct cdr *cdr,
		     unsigned which)
{
	slip_put_str(s, field, texts_get(&cdr->texts, cdr->text[which]));
}

static void put_number(struct slip *s, size_t field, uint64_t n)
{
	char *room = slip_room(s, SLIP_NUMBER);
	size_t digits = 1;

	if (!room)
		return;
	if (n < 10) /* as most are */
		*room = (char)('0' + n);
	else
		digits = uint_write(room, n);
	slip_took(s, field, digits);
}

/* A wall clock that is stepped meanwhile leaves durations as they were */
static void put_time(struct slip *s, size_t field, const struct cdr *cdr,
		     uint64_t at)
{
	char *room = at ? slip_room(s, TIME_TEXT + 1) : NULL;

	if (!room)
		return;
	clock_rfc3339(room, cdr->wall + (at - cdr->setup));
	slip_took(s, field, TIME_TEXT);
}

static void put_address(struct slip *s, size_t field, const struct sa *sa)
{
	char *room = sa_isset(sa, SA_ALL) ? slip_room(s, ADDRESS_TEXT) : NULL;

	if (room)
		slip_took(s, field, address_write(room, sa, true));
}

static void put_side(struct slip *s, size_t first, const struct cdr *cdr,
		     enum side side)
{
	const struct cdr_side *at = &cdr->side[side];

	slip_put_str(s, first, at->realm);
	slip_put_str(s, first + 1, at->agent);
	put_text(s, first + 2, cdr, CDR_REMOTE + side);
	put_text(s, first + 3, cdr, CDR_LOCAL + side);
	if (at->realm)
		slip_put_str(s, first + 4,
			     transport_name((enum transport)at->transport));
}

static void put_media(struct slip *s, const struct media_report *m)
{
	static const char *const latched[] = { "none", "ingress", "egress",
					       "both" };

	slip_put_str(s, F_CODEC, m->codec[0]);
	slip_put_str(s, F_CODEC + 1, m->codec[1]);
	slip_put_str(s, F_SECURITY, "none");
	slip_put_str(s, F_SECURITY + 1, "none");
	put_address(s, F_MEDIA, &m->remote[0]);
	put_address(s, F_MEDIA + 1, &m->local[0]);
	put_address(s, F_MEDIA + 2, &m->local[1]);
	put_address(s, F_MEDIA + 3, &m->remote[1]);
	for (size_t i = 0; i < 2; i++) {
		put_number(s, F_COUNTS + 4 * i, m->packets[i]);
		put_number(s, F_COUNTS + 4 * i + 1, m->octets[i]);
		put_number(s, F_COUNTS + 4 * i + 2, m->lost[i]);
		put_number(s, F_COUNTS + 4 * i + 3, m->jitter[i] / 1000);
	}
	slip_put_str(s, F_LATCHED, latched[m->latched[0] + 2 * m->latched[1]]);
}

static void put_auth(struct slip *s, const struct cdr *cdr)
{
	slip_put_str(s, F_AUTH_SOURCE, cdr_auth_source(cdr));
	put_text(s, F_AUTH_REALM, cdr, CDR_AUTH_REALM);
	put_text(s, F_AUTH_LOOKUP, cdr, CDR_AUTH_LOOKUP);
	put_text(s, F_AUTH_USER, cdr, CDR_AUTH_USER);
	put_number(s, F_CHALLENGES, cdr->challenges);
}

/* What is not over yet lasts until now */
static void put_times(struct slip *s, const struct cdr *cdr)
{
	uint64_t end = cdr->disconnect ? cdr->disconnect : clock_ms();
	uint64_t first = cdr->ring      ? cdr->ring
			 : cdr->connect ? cdr->connect
					: cdr->disconnect;

	put_time(s, F_SETUP, cdr, cdr->setup);
	put_time(s, F_RING, cdr, cdr->ring);
	put_time(s, F_CONNECT, cdr, cdr->connect);
	put_time(s, F_DISCONNECT, cdr, cdr->disconnect);
	if (cdr->connect && end >= cdr->connect)
		put_number(s, F_DURATION, end - cdr->connect);
	if (first >= cdr->setup && first)
		put_number(s, F_SETUP_MS, first - cdr->setup);
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

static void put_end(struct slip *s, const struct cdr *cdr)
{
	uint16_t q850 = cdr->q850;

	if (!q850 && !cdr->event)
		q850 = cdr->connect ? 16 /* normal clearing */
				    : cause_q850(cdr->status);
	if (q850)
		put_number(s, F_Q850, q850);
	slip_put_str(s, F_ENDED_BY, parties[cdr->ended_by]);
	slip_put_str(s, F_REASON, reasons[cdr->reason]);
	slip_put_str(s, F_STEP, cdr->refused_step);
}

static void record_make(struct slip *s, const struct cdr *cdr,
			const struct cdr_early *e)
{
	static const struct media_report none;

	slip_put_str(s, F_TYPE, type_of(cdr, e->type));
	slip_put_str(s, F_VERSION, "1");
	slip_put_str(s, F_NODE, cdr->node);
	put_number(s, F_SESSION, cdr->id);
	put_text(s, F_CALLID, cdr, CDR_CALLID + SIDE_A);
	put_text(s, F_CALLID + 1, cdr, CDR_CALLID + SIDE_B);
	slip_put_str(s, F_PROTOCOL, "SIP");
	slip_put_str(s, F_METHOD, cdr->event ? cdr->event : "INVITE");
	put_times(s, cdr);
	put_text(s, F_CALLING, cdr, CDR_CALLING_NUMBER);
	put_text(s, F_CALLED, cdr, CDR_CALLED_NUMBER);
	put_text(s, F_CALLING_URI, cdr, CDR_CALLING + SIDE_A);
	put_text(s, F_CALLED_URI, cdr, CDR_CALLED + SIDE_A);
	put_text(s, F_OUT_CALLING_URI, cdr, CDR_CALLING + SIDE_B);
	put_text(s, F_OUT_CALLED_URI, cdr, CDR_CALLED + SIDE_B);
	put_text(s, F_ASSERTED, cdr, CDR_ASSERTED);
	put_text(s, F_DIVERSION, cdr, CDR_DIVERSION);
	put_side(s, F_SIDE, cdr, SIDE_A);
	put_side(s, F_SIDE + 5, cdr, SIDE_B);
	slip_put_str(s, F_POLICY, cdr->policy);
	slip_put_str(s, F_NEXT_HOP, cdr->next_hop);
	put_number(s, F_ROUTES, cdr->routes_tried);
	put_auth(s, cdr);
	put_text(s, F_AOR, cdr, CDR_AOR);
	if (e->status)
		put_number(s, F_STATUS, e->status);
	if (e->type == CDR_LAST)
		put_end(s, cdr);
	put_media(s, e->media ? e->media : &none);
	put_number(s, F_CONFIG, cdr->config_version);
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

/* --- Kept until the end (trans-at-close) ----------------------------------- */

struct later {
	struct le le;
	uint64_t id;
	struct slip slip; /* of the text behind */
	char text[];
};

static void later_destructor(void *data)
{
	struct later *later = data;

	list_unlink(&later->le);
}

static int keep(struct list *list, uint64_t id, const struct slip *slip)
{
	struct later *later =
		mem_alloc(sizeof(*later) + slip->used, later_destructor);

	if (!later)
		return ENOMEM;

	memset(later, 0, sizeof(*later));
	later->id = id;
	later->slip = *slip;
	later->slip.text = later->text;
	later->slip.more = NULL;
	memcpy(later->text, slip->text, slip->used);
	list_append(list, &later->le, later);

	return 0;
}

void cdr_write_early(const struct cdr *cdr, const struct cdr_early *early,
		     struct list *later, struct database *db)
{
	char room[SLIP_ROOM];
	struct slip slip;
	int err;

	if (is_unrecorded(cdr))
		return;

	slip_init(&slip, room);
	record_make(&slip, cdr, early);
	err = slip.err;
	if (!err)
		err = later ? keep(later, cdr->id, &slip)
			    : records_put(db, &slip);
	if (err)
		lost(cdr->id, err);
	slip_finish(&slip);
}

void cdr_write(const struct cdr *cdr, const struct media_report *media,
	       struct database *db)
{
	const struct cdr_early last = { CDR_LAST, cdr->status, media };

	cdr_write_early(cdr, &last, NULL, db);
}

void cdr_release(struct list *later, struct database *db)
{
	while (later->head) {
		struct later *one = later->head->data;
		int err = records_put(db, &one->slip);

		if (err)
			lost(one->id, err);
		mem_deref(one);
	}
}
