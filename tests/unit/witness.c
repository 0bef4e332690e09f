/*
 * A witness of all that is said and heard, who knows what must never happen
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "sbc/clock.h"
#include "tests/unit/witness.h"

enum {
	NAME = 96,
	MOST = 4096,
	T1_64 = 32000, /* [ms] */
	T4 = 5000,     /* [ms] */
	EDGE = 1000    /* what comes so near to the end of a time is nobody's
			* fault [ms] */
};

const char *const witness_marks[ENDS] = { "zpbxaz", "zpbxbz", "ztrunkz",
					  "zthirdz" };

/* What must not be named to whom: addresses of peers and of ours on the other
 * side. A "." behind the text stands for its end */
static const char *const hidden[ENDS][12] = {
	[END_PBX] = { "ztrunkz", "zthirdz", "zpbxbz", "127.0.0.11",
		      "127.0.0.14", "127.0.0.13", "127.0.0.3", "127.0.0.1.",
		      NULL },
	[END_PBX_B] = { "ztrunkz", "zthirdz", "zpbxaz", "127.0.0.11",
			"127.0.0.14", "127.0.0.12", "127.0.0.2", "127.0.0.1.",
			NULL },
	[END_TRUNK] = { "zpbxaz", "zpbxbz", "127.0.0.12", "127.0.0.13",
			"127.0.0.2", "127.0.0.3", NULL },
	[END_THIRD] = { "zpbxaz", "zpbxbz", "127.0.0.12", "127.0.0.13",
			"127.0.0.2", "127.0.0.3", NULL },
};

struct label {
	char branch[NAME], callid[NAME], from[NAME], to[NAME];
	uint8_t method;
	uint32_t cseq;
	int end;
};

/* A request that the core got */
struct got {
	struct label n;
	struct mbuf *final;
	uint16_t code;
	bool wild;
	bool torn; /* sends failed while it was open: its answer, too, maybe */
	uint64_t ended;
};

/* One that it sent */
struct gave {
	struct label n;
	struct mbuf *mb;
	uint64_t at, final_at, cancelled, over;
	uint16_t code;
	bool rang, wild; /* ... an answer was wild */
	bool torn;       /* sends failed while it was open */
};

/* A dialog that one side has by a 2xx: it must be acknowledged, where the core
 * is the one who asked, and hung up in the end */
struct debt {
	char callid[NAME], ours[NAME], theirs[NAME];
	uint32_t cseq;
	bool asked, acked, ended;
};

/* A tag or Call-ID of ours, and the side that knows it */
struct known {
	char text[NAME];
	int side;
};

static struct got got[MOST];
static struct gave gave[MOST];
static struct debt debts[MOST];
static struct known known[MOST];
static size_t got_n, gave_n, debts_n, known_n;
static char fault[4096];

/* The first fault counts */
__attribute__((format(printf, 1, 2))) static void accuse(const char *fmt, ...)
{
	va_list args;

	if (fault[0])
		return;
	va_start(args, fmt);
	(void)vsnprintf(fault, sizeof(fault), fmt, args);
	va_end(args);
}

static bool names_cross;

void witness_names_cross(bool cross)
{
	names_cross = cross;
}

void witness_tears(void)
{
	for (size_t i = 0; i < gave_n; i++)
		gave[i].torn = gave[i].torn || !gave[i].final_at;
	for (size_t i = 0; i < got_n; i++)
		got[i].torn = got[i].torn || !got[i].final;
}

const char *witness_fault(void)
{
	return fault[0] ? fault : NULL;
}

void witness_reset(void)
{
	for (size_t i = 0; i < got_n; i++)
		mem_deref(got[i].final);
	for (size_t i = 0; i < gave_n; i++)
		mem_deref(gave[i].mb);
	got_n = gave_n = debts_n = known_n = 0;
	fault[0] = '\0';
}

static void put(char *to, const struct pl *pl)
{
	size_t n = pl->l < NAME - 1 ? pl->l : NAME - 1;

	if (n)
		memcpy(to, pl->p, n);
	to[n] = '\0';
}

static void label_of(struct label *n, int end, const struct message *msg)
{
	put(n->branch, &msg->branch);
	put(n->callid, &msg->callid);
	put(n->from, &msg->from_tag);
	put(n->to, &msg->to_tag);
	n->method = msg->method_id;
	n->cseq = msg->cseq;
	n->end = end;
}

static int side_of(int end)
{
	return end == END_THIRD ? END_TRUNK : end;
}

/* --- Answers, by the transaction that they are for ----------------------- */

static struct got *got_find(int end, const struct message *answer)
{
	char branch[NAME];

	put(branch, &answer->branch);
	for (size_t i = got_n; i--;)
		if (got[i].n.end == end &&
		    got[i].n.method == answer->method_id &&
		    !strcmp(got[i].n.branch, branch))
			return &got[i];
	return NULL;
}

static struct gave *gave_find(const struct message *msg, uint8_t method)
{
	char branch[NAME];

	put(branch, &msg->branch);
	for (size_t i = gave_n; i--;)
		if (gave[i].n.method == method &&
		    !strcmp(gave[i].n.branch, branch))
			return &gave[i];
	return NULL;
}

/* --- Dialogs ------------------------------------------------------------- */

static struct debt *debt_find(const char *callid, const char *ours,
			      const char *theirs)
{
	for (size_t i = 0; i < debts_n; i++)
		if (!strcmp(debts[i].callid, callid) &&
		    !strcmp(debts[i].ours, ours) &&
		    !strcmp(debts[i].theirs, theirs))
			return &debts[i];
	return NULL;
}

/* Was the 2xx to this INVITE acknowledged before? Then this one is a repetition
 * that came behind a later INVITE */
static bool is_acked(const struct debt *d, uint32_t cseq)
{
	for (size_t i = 0; i < gave_n; i++)
		if (gave[i].n.method == ACK && gave[i].n.cseq == cseq &&
		    !strcmp(gave[i].n.callid, d->callid) &&
		    !strcmp(gave[i].n.from, d->ours) &&
		    !strcmp(gave[i].n.to, d->theirs))
			return true;
	return false;
}

/* By the core, or by its peer: a 2xx to a re-INVITE may come behind that */
static bool was_hung_up(const char *callid, const char *ours,
			const char *theirs)
{
	for (size_t i = 0; i < gave_n; i++)
		if (gave[i].n.method == BYE &&
		    !strcmp(gave[i].n.callid, callid) &&
		    !strcmp(gave[i].n.from, ours) &&
		    !strcmp(gave[i].n.to, theirs))
			return true;
	for (size_t i = 0; i < got_n; i++)
		if (got[i].n.method == BYE && got[i].code == 200 &&
		    !strcmp(got[i].n.callid, callid) &&
		    !strcmp(got[i].n.from, theirs) &&
		    !strcmp(got[i].n.to, ours))
			return true;
	return false;
}

static void owe(const char *callid, const char *ours, const char *theirs,
		uint32_t cseq, bool asked)
{
	struct debt *d = debt_find(callid, ours, theirs);

	if (!d) {
		if (debts_n == MOST)
			return;
		d = &debts[debts_n++];
		memset(d, 0, sizeof(*d));
		strcpy(d->callid, callid);
		strcpy(d->ours, ours);
		strcpy(d->theirs, theirs);
		d->asked = asked;
		d->ended = was_hung_up(callid, ours, theirs);
	}
	if (asked && d->cseq != cseq) {
		d->cseq = cseq;
		d->acked = is_acked(d, cseq);
		d->asked = true;
	}
}

/* --- What the core gets -------------------------------------------------- */

/* Does this 2xx come while it can be told from a stray one? */
static bool is_in_time(const struct gave *g)
{
	uint64_t now = clock_ms();

	if (g->code >= 300)
		return false; /* an answer that was not final cannot be */
	if (g->final_at)
		return now < g->final_at + T1_64 - EDGE;
	if (g->cancelled || g->over)
		return now < (g->over ? g->over : g->cancelled) + T1_64 - EDGE;
	return g->rang || now < g->at + T1_64 - EDGE;
}

static void answer_heard(const struct message *msg, bool wild)
{
	struct gave *g = gave_find(msg, msg->method_id);
	char tag[NAME];

	if (!g)
		return;
	/* timer B */
	if (!g->rang && !g->final_at && clock_ms() >= g->at + T1_64 - EDGE)
		wild = true;
	g->wild = g->wild || wild;
	if (msg->code < 200) {
		g->rang = true;
		return;
	}
	/* The first one came to nobody: so do its repetitions */
	if (!g->final_at && !is_in_time(g))
		g->wild = true;
	put(tag, &msg->to_tag);
	if (msg->method_id == INVITE && msg->code < 300 && tag[0] && !g->wild &&
	    is_in_time(g))
		owe(g->n.callid, g->n.from, tag, g->n.cseq, true);
	if (!g->final_at) {
		g->final_at = clock_ms();
		g->code = msg->code;
	}
}

/* Is a repetition of it no repetition any more (RFC 3261 17.2)? */
static bool is_forgotten(const struct got *g)
{
	uint64_t for_ms = g->n.method == INVITE && g->code >= 300 ? T4 : T1_64;

	return g->final && clock_ms() >= g->ended + for_ms - EDGE;
}

void witness_hears(int end, const struct message *msg, bool wild)
{
	struct got *g;

	if (msg->code) {
		answer_heard(msg, wild);
		return;
	}
	if (got_n == MOST)
		return;
	for (size_t i = got_n; i--;) {
		char branch[NAME];

		put(branch, &msg->branch);
		if (got[i].n.end != end || got[i].n.method != msg->method_id ||
		    strcmp(got[i].n.branch, branch))
			continue;
		got[i].wild = got[i].wild || wild;
		if (!is_forgotten(&got[i]))
			return;
		/* a new one, maybe, with the names of an old one */
		got[i].wild = wild = true;
		break;
	}
	g = &got[got_n++];
	memset(g, 0, sizeof(*g));
	label_of(&g->n, end, msg);
	g->wild = wild;
}

/* --- What it sends ------------------------------------------------------- */

static bool same_bytes(const struct mbuf *a, const struct mbuf *b)
{
	return a->end == b->end && !memcmp(a->buf, b->buf, a->end);
}

static void check_hidden(int end, const struct mbuf *mb)
{
	for (size_t i = 0; hidden[end][i]; i++) {
		const char *text = hidden[end][i];
		size_t n = strlen(text);
		bool whole = n > 7 && text[n - 1] == '.';
		const uint8_t *p = mb->buf, *end_of = mb->buf + mb->end;

		if (!whole && names_cross)
			continue;
		n -= whole;
		while ((p = memmem(p, (size_t)(end_of - p), text, n))) {
			if (!whole || p + n == end_of || p[n] < '0' ||
			    p[n] > '9') {
				accuse("%s is named to %s", text,
				       witness_marks[end]);
				return;
			}
			p += n;
		}
	}
}

/* A name of ours that one side knows, the other one must never hear */
static void check_known(int end, const struct pl *pl)
{
	char text[NAME];

	put(text, pl);
	if (!text[0] || names_cross)
		return;
	for (size_t i = 0; i < known_n; i++) {
		if (strcmp(known[i].text, text))
			continue;
		if (known[i].side != side_of(end))
			accuse("%s of one side is named to %s", text,
			       witness_marks[end]);
		return;
	}
	if (known_n < MOST) {
		strcpy(known[known_n].text, text);
		known[known_n++].side = side_of(end);
	}
}

/* RFC 3261 12.2.1.1; a target that is tried instead gets the same number */
static void check_cseq(const struct label *n)
{
	for (size_t i = 0; i < gave_n; i++) {
		const struct label *o = &gave[i].n;

		if (strcmp(o->callid, n->callid) || strcmp(o->from, n->from) ||
		    strcmp(o->to, n->to) || o->method == ACK ||
		    o->method == CANCEL)
			continue;
		/* hops that are tried together have the caller's names, and
		 * so does what he says against the rules */
		if (names_cross && !n->to[0])
			continue;
		if (o->cseq > n->cseq || (o->cseq == n->cseq &&
					  (n->to[0] || o->method != n->method)))
			accuse("CSeq %u %s behind %u %s to %s", n->cseq,
			       method_name(n->method), o->cseq,
			       method_name(o->method), witness_marks[n->end]);
	}
}

/* RFC 3261 14.1 */
static void check_invites(const struct label *n)
{
	for (size_t i = 0; n->to[0] && i < gave_n; i++) {
		const struct gave *g = &gave[i];

		if (g->n.method == INVITE && !strcmp(g->n.callid, n->callid) &&
		    !strcmp(g->n.from, n->from) && !strcmp(g->n.to, n->to) &&
		    !g->final_at && !g->cancelled && !g->wild && !g->torn &&
		    (g->rang || clock_ms() < g->at + T1_64))
			accuse("INVITE %u while %u is open to %s", n->cseq,
			       g->n.cseq, witness_marks[n->end]);
	}
	for (size_t i = 0; n->to[0] && i < got_n; i++) {
		const struct got *g = &got[i];

		if (g->n.method == INVITE && !g->wild && !g->torn &&
		    !g->final && g->n.end == n->end &&
		    !strcmp(g->n.callid, n->callid) &&
		    !strcmp(g->n.from, n->to) && !strcmp(g->n.to, n->from))
			accuse("INVITE %u while that of %s is open", n->cseq,
			       witness_marks[n->end]);
	}
}

static void check_ack(const struct label *n)
{
	struct debt *d = debt_find(n->callid, n->from, n->to);

	if (d && d->cseq == n->cseq)
		d->acked = true;
	for (size_t i = 0; i < gave_n; i++)
		if (gave[i].n.method == INVITE &&
		    !strcmp(gave[i].n.callid, n->callid) &&
		    (gave[i].n.cseq == n->cseq || gave[i].wild))
			return;
	accuse("ACK %u for no INVITE to %s", n->cseq, witness_marks[n->end]);
}

static void bye_seen(const char *callid, const char *ours, const char *theirs)
{
	for (size_t i = 0; i < gave_n; i++)
		if (!strcmp(gave[i].n.callid, callid) &&
		    !strcmp(gave[i].n.from, ours) &&
		    !strcmp(gave[i].n.to, theirs))
			gave[i].over = clock_ms();
	struct debt *d = debt_find(callid, ours, theirs);

	if (d)
		d->ended = true;
}

static void request_seen(int end, struct mbuf *mb, const struct message *msg)
{
	struct gave *g = gave_find(msg, msg->method_id);
	struct label n;

	if (g) {
		if (!same_bytes(g->mb, mb))
			accuse("%s %u to %s differs when it is repeated",
			       method_name(msg->method_id), msg->cseq,
			       witness_marks[end]);
		if (msg->method_id == ACK)
			check_ack(&g->n);
		return;
	}
	label_of(&n, end, msg);
	switch ((enum method_id)msg->method_id) {

	case ACK:
		check_ack(&n);
		break;

	case CANCEL:
		g = gave_find(msg, INVITE);
		if (!g)
			accuse("CANCEL of no INVITE to %s", witness_marks[end]);
		else if (g->final_at && !g->wild)
			accuse("CANCEL behind %u of %s", g->code,
			       witness_marks[end]);
		else if (!g->rang && !g->wild)
			accuse("CANCEL before any answer of %s",
			       witness_marks[end]);
		else
			g->cancelled = clock_ms();
		break;

	case BYE:
		check_cseq(&n);
		bye_seen(n.callid, n.from, n.to);
		break;

	case INVITE:
		check_invites(&n);
		check_cseq(&n);
		break;

	default:
		check_cseq(&n);
		break;
	}
	check_known(end, &msg->callid);
	check_known(end, &msg->from_tag);
	if (gave_n == MOST)
		return;
	g = &gave[gave_n++];
	memset(g, 0, sizeof(*g));
	g->n = n;
	g->mb = mem_ref(mb);
	g->at = clock_ms();
}

/* Whoever spoke wildly called himself otherwise */
static bool is_tame(int end, const struct message *msg)
{
	const char *mark = witness_marks[end];

	return msg->branch.l &&
	       memmem(msg->branch.p, msg->branch.l, mark, strlen(mark));
}

static void answer_seen(int end, struct mbuf *mb, const struct message *msg)
{
	struct got *g = got_find(end, msg);

	if (!g) {
		if (got_n < MOST && is_tame(end, msg) && msg->callid.l &&
		    msg->callid.p[0] != 'y')
			accuse("%u to no request of %s", msg->code,
			       witness_marks[end]);
		return;
	}
	if (!g->wild && msg->cseq != g->n.cseq)
		accuse("%u to %s with CSeq %u for %u", msg->code,
		       witness_marks[end], msg->cseq, g->n.cseq);
	if (!g->n.to[0])
		check_known(end, &msg->to_tag);
	if (msg->code < 200) {
		if (g->final && !g->wild)
			accuse("%u to %s behind %u", msg->code,
			       witness_marks[end], g->code);
		return;
	}
	if (g->final) {
		/* Of a CANCEL it is no matter: 9.2 has no state of its own */
		if (!g->wild && msg->method_id != CANCEL &&
		    !same_bytes(g->final, mb))
			accuse("%s of %s gets %u and then %u",
			       method_name(msg->method_id), witness_marks[end],
			       g->code, msg->code);
		return;
	}
	g->final = mem_ref(mb);
	g->code = msg->code;
	g->ended = clock_ms();
	if (msg->code >= 300)
		return;
	if (msg->method_id == BYE)
		bye_seen(g->n.callid, g->n.to, g->n.from);
	/* what is not written by the rules may name a Contact that is nobody's: its
	 * BYE is not seen */
	if (msg->method_id == INVITE && !g->n.to[0] && !g->wild) {
		char tag[NAME];

		put(tag, &msg->to_tag);
		owe(g->n.callid, tag, g->n.from, g->n.cseq, false);
	}
}

void witness_sees(int end, struct mbuf *mb, const struct message *msg)
{
	const struct got *g;

	if (!msg) {
		accuse("a message to %s cannot be scanned: %.*s",
		       witness_marks[end], mb->end < 300 ? (int)mb->end : 300,
		       (const char *)mb->buf);
		return;
	}
	if (fault[0])
		return;
	g = msg->code ? got_find(end, msg) : NULL;
	if (g ? !g->wild : !msg->code || is_tame(end, msg))
		check_hidden(end, mb);
	if (msg->code)
		answer_seen(end, mb, msg);
	else
		request_seen(end, mb, msg);
	if (fault[0]) {
		size_t n = strlen(fault);

		(void)snprintf(fault + n, sizeof(fault) - n, "\n%.*s",
			       (int)mb->end, (const char *)mb->buf);
	}
}

void witness_ends(bool lossy)
{
	for (size_t i = 0; i < got_n && !lossy && got_n < MOST; i++)
		if (got[i].n.method == INVITE && !got[i].wild && !got[i].final)
			accuse("INVITE %u of %s (%s) was never answered",
			       got[i].n.cseq, witness_marks[got[i].n.end],
			       got[i].n.branch);
	for (size_t i = 0; i < debts_n && !lossy && gave_n < MOST; i++) {
		const struct debt *d = &debts[i];

		if (d->asked && !d->acked)
			accuse("the 2xx of %s to INVITE %u was never "
			       "acknowledged",
			       d->theirs, d->cseq);
		if (!d->ended)
			accuse("the dialog %s, %s, %s (%s) was never hung up",
			       d->callid, d->ours, d->theirs,
			       d->asked ? "called" : "calling");
	}
}
