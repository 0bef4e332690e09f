/*
 * The messages of a call, both sides, in order of time
 *
 * Two lanes with the SBC between them:
 *
 *     12:01:13.123  INVITE ------------------------> |
 *     12:01:13.124                                   |  INVITE --------------->
 *     12:01:13.130                                   |  <-------- 180 Ringing
 */
#include <string.h>
#include "store/number.h"
#include "store/records.h"
#include "realms/realms.h"
#include "sbc/calls.h"
#include "sbc/clock.h"
#include "sbc/trace.h"
#include "cli/json.h"
#include "cli/ladder.h"

enum {
	LANE = 34,      /* width of an arrow with its text */
	RECORDS = 1000, /* the newest, searched for calls that ended */
	INGRESS = 0,
	EGRESS
};

struct ladder {
	struct session *s;
	uint64_t id;
	char callid[2][256];
	bool found;
	const char *ids[3];
	char peers[2]
		  [64]; /* the first one of each side, as the heading has it */
	uint32_t n;
};

/* --- Which call -------------------------------------------------------------- */

static void call_take(const struct call_report *r, void *arg)
{
	struct ladder *l = arg;

	l->found = true;
	for (int side = INGRESS; side <= EGRESS; side++)
		str_ncpy(l->callid[side], r->callid[side],
			 sizeof(l->callid[side]));
}

static void call_find(struct worker *w, void *arg)
{
	struct ladder *l = arg;

	(void)calls_report(w->calls, l->id, call_take, l);
}

static const struct pl *field_of(const struct record *record, const char *name)
{
	for (size_t i = 0; i < RECORD_FIELDS; i++)
		if (!strcmp(record_names[i], name))
			return &record->field[i];
	return NULL;
}

static void record_take(const struct record *record, void *arg)
{
	static const char *const names[] = { "ingress-call-id",
					     "egress-call-id" };
	struct ladder *l = arg;
	const struct pl *id = field_of(record, "session-id");
	uint64_t n;

	if (l->found || !id || uint_parse(&n, id, UINT64_MAX) || n != l->id)
		return;
	l->found = true;
	for (int side = INGRESS; side <= EGRESS; side++) {
		const struct pl *pl = field_of(record, names[side]);

		if (!pl ||
		    pl_strcpy(pl, l->callid[side], sizeof(l->callid[side])))
			l->callid[side][0] = '\0';
	}
}

/* --- What it is made of --------------------------------------------------------- */

static int side_of(const struct ladder *l, const char *callid)
{
	return !strcmp(callid, l->callid[INGRESS]) ? INGRESS : EGRESS;
}

static void peer_print(char *buf, size_t size, const struct trace_step *step)
{
	(void)re_snprintf(
		buf, size, "%s %J%s%s", step->realm, &step->peer,
		step->transport == TRANSPORT_UDP ? "" : "/",
		step->transport == TRANSPORT_UDP
			? ""
			: transport_name((enum transport)step->transport));
}

static void step_json(struct ladder *l, const struct trace_step *step,
		      const char *callid)
{
	struct reply *r = &l->s->reply;
	char time[25], peer[64];

	clock_rfc3339(time, step->wall);
	(void)re_snprintf(peer, sizeof(peer), "%J", &step->peer);
	json_open(r, NULL, '{');
	json_text(r, "time", time);
	json_text(r, "side",
		  side_of(l, callid) == INGRESS ? "ingress" : "egress");
	json_text(r, "direction", step->out ? "sent" : "received");
	json_text(r, "realm", step->realm);
	json_text(r, "peer", peer);
	json_text(r, "transport",
		  transport_name((enum transport)step->transport));
	json_text(r, "message", step->what);
	json_text(r, "method", step->method);
	json_number(r, "cseq", step->cseq);
	json_text(r, "call-id", callid);
	json_close(r, '}');
}

/* "INVITE ------->" or "<------ 200 OK": towards the right or the left */
static void arrow_write(char lane[LANE + 64], const char *text, bool right)
{
	static const char dashes[] = "----------------------------------";
	size_t n = strlen(text);
	int rest = n + 4 < LANE ? (int)(LANE - n - 2) : 2;

	if (right)
		(void)re_snprintf(lane, LANE + 64, "%s %b>", text, dashes,
				  (size_t)rest);
	else
		(void)re_snprintf(lane, LANE + 64, "<%b %s", dashes,
				  (size_t)rest, text);
}

static void step_text(struct ladder *l, const struct trace_step *step,
		      const char *callid)
{
	int side = side_of(l, callid);
	char lane[LANE + 64], when[32], peer[64];
	bool right = side == INGRESS ? !step->out : step->out;

	clock_stamp(when, step->wall);
	peer_print(peer, sizeof(peer), step);
	arrow_write(lane, step->what, right);
	/* A target that is not the one in the heading stands behind its arrow */
	if (side == INGRESS)
		reply_line(&l->s->reply, "%s  %-34s |%s%s", when + 7, lane,
			   strcmp(peer, l->peers[side]) ? "  " : "",
			   strcmp(peer, l->peers[side]) ? peer : "");
	else
		reply_line(&l->s->reply, "%s  %-34s | %-34s%s%s", when + 7, "",
			   lane, strcmp(peer, l->peers[side]) ? "  " : "",
			   strcmp(peer, l->peers[side]) ? peer : "");
}

static void step_say(const struct trace_step *step, const char *callid,
		     void *arg)
{
	struct ladder *l = arg;

	if (l->s->reply.json)
		step_json(l, step, callid);
	else
		step_text(l, step, callid);
}

static void step_look(const struct trace_step *step, const char *callid,
		      void *arg)
{
	struct ladder *l = arg;
	char *peer = l->peers[side_of(l, callid)];

	l->n++;
	if (!*peer)
		peer_print(peer, sizeof(l->peers[0]), step);
}

void show_ladder(struct session *s, uint64_t id)
{
	struct ladder l = { .s = s, .id = id };
	struct reply *r = &s->reply;

	sbc_ask(s->sbc, call_find, &l);
	if (!l.found)
		(void)records_last(s->db, RECORDS, record_take, &l);
	if (!l.found) {
		reply_error(r, REPLY_FAILED, "There is no session [%llu]", id);
		return;
	}
	l.ids[INGRESS] = l.callid[INGRESS];
	l.ids[EGRESS] = l.callid[EGRESS];
	trace_walk(l.ids, step_look, &l);
	if (!l.n) {
		reply_error(r, REPLY_FAILED,
			    "No message of session [%llu] was copied; notify "
			    "sipd siplog begins to",
			    id);
		return;
	}
	if (r->json) {
		json_begin(r, s->command, JSON_NO_WINDOW);
		json_open(r, NULL, '[');
	} else {
		reply_line(r, "%-12s  %-33s SBC %s", "Time", l.peers[INGRESS],
			   l.peers[EGRESS]);
	}
	trace_walk(l.ids, step_say, &l);
	if (r->json) {
		json_close(r, ']');
		json_end(r);
	}
}
