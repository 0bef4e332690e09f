/*
 * Peers that say anything at any moment, out of a seed
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include "sbc/calls.h"
#include "sbc/clock.h"
#include "sbc/timer.h"
#include "tests/unit/core_fixture.h"
#include "tests/unit/fake_clock.h"
#include "tests/unit/fake_credentials.h"
#include "tests/unit/fake_forward.h"
#include "tests/unit/fake_port.h"
#include "tests/unit/fake_random.h"
#include "tests/unit/fake_resolver.h"
#include "tests/unit/storm.h"
#include "tests/unit/witness.h"

enum {
	TEXT = 8192,
	MOST = 512,
	FORKS = 3,
	/* timer C, its CANCEL, and what follows, twice: the target of a transfer
	 * may be asked behind its answer */
	PATIENCE = 600000 /* [ms] */
};

/* A message being written */
struct text {
	char s[TEXT];
	size_t n;
};

/* One end of a dialog of a peer */
struct talk {
	int end;
	char callid[96], local[300], remote[256], target[200];
	uint32_t cseq, invite_cseq;
	bool subscription;
};

/* A request that a peer got */
struct duty {
	int end;
	struct message *msg;
	uint16_t final;
	int talk[FORKS]; /* by tag that it answers with; -1: none */
	uint32_t rseq;
};

/* One that it sent */
struct wish {
	int end, talk;
	enum method_id method;
	char branch[48], ruri[200], to[256];
	uint32_t cseq;
	uint16_t final;
	bool offers;
};

/* On its way to the core */
struct flight {
	int end;
	uint64_t due;
	char *text;
	bool wild;
};

static struct talk talks[MOST];
static struct duty duties[MOST];
static struct wish wishes[MOST];
static struct flight air[MOST], spoken[64];
static size_t talks_n, duties_n, wishes_n, air_n, spoken_n;
static uint32_t names_n;
static uint64_t dice;
static bool lossy, failing, calm, loud, louder;
static unsigned loss;       /* of 100 messages */
static const char *hanging; /* what waits for ever */

static struct peer *const ends[ENDS] = { &pbx, &pbx_b, &trunk, &third };
/* A name of each, which takes DNS */
static const char *const hosts[ENDS] = { "a.example", "b.example", "c.example",
					 "d.example" };

/* --- Chance -------------------------------------------------------------- */

/* Apart from the random numbers of the core, so that both follow the seed */
static uint32_t roll(uint32_t n)
{
	uint64_t z = (dice += 0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return (uint32_t)((z ^ (z >> 31)) % n);
}

static bool chance(unsigned percent)
{
	return roll(100) < percent;
}

#define PICK(list) (list)[roll(sizeof(list) / sizeof(*(list)))]

/* --- Text ---------------------------------------------------------------- */

__attribute__((format(printf, 2, 3))) static void put(struct text *t,
						      const char *fmt, ...)
{
	va_list args;
	int n;

	va_start(args, fmt);
	n = vsnprintf(t->s + t->n, TEXT - t->n, fmt, args);
	va_end(args);
	assert_true(n >= 0 && t->n + (size_t)n < TEXT);
	t->n += (size_t)n;
}

static void put_pl(struct text *t, struct pl pl)
{
	if (pl.l)
		put(t, "%.*s", (int)pl.l, pl.p);
}

static void copy(char *to, size_t size, struct pl pl)
{
	size_t n = pl.l < size - 1 ? pl.l : size - 1;

	if (n)
		memcpy(to, pl.p, n);
	to[n] = '\0';
}

static void name(char *buf, size_t size, int end)
{
	snprintf(buf, size, "%s%u", witness_marks[end], ++names_n);
}

static void put_sdp(struct text *t, int end)
{
	static const char *const modes[] = { "sendrecv", "sendrecv", "sendonly",
					     "inactive" };

	put(t,
	    "v=0\r\no=- 1 %u IN IP4 %s\r\ns=-\r\nc=IN IP4 %s\r\nt=0 0\r\n"
	    "m=audio %u RTP/AVP 8\r\na=%s\r\n",
	    roll(9), ends[end]->ip, ends[end]->ip, 40000 + 2 * roll(50),
	    PICK(modes));
	if (chance(10))
		put(t, "m=video %u RTP/AVP 96\r\n", 42000 + 2 * roll(50));
}

/* SDP beside something else (RFC 5621) */
static void put_parts(struct text *t, int end)
{
	put(t, "--b\r\nContent-Type: application/sdp\r\n\r\n");
	put_sdp(t, end);
	put(t, "\r\n--b\r\nContent-Type: text/plain\r\n\r\nhello\r\n--b--"
	       "\r\n");
}

/* Content-Type, Content-Length and body; kind: 0 none, 1 SDP, 2 text, 3 spoilt */
static void put_body(struct text *t, int end, int kind)
{
	struct text body = { .n = 0 };

	if (kind == 1 && chance(4))
		kind = 4;

	body.s[0] = '\0';
	switch (kind) {
	case 1:
		put_sdp(&body, end);
		put(t, "Content-Type: application/sdp\r\n");
		break;
	case 2:
		put(&body, "hello\r\n");
		put(t, "Content-Type: text/plain\r\n");
		break;
	case 3:
		put(&body, "v=0\r\no=- 1 1 IN IP4\r\nm=\r\n");
		put(t, "Content-Type: application/sdp\r\n");
		break;
	case 4:
		put_parts(&body, end);
		put(t, "Content-Type: multipart/mixed;boundary=b\r\n");
		break;
	}
	put(t, "Content-Length: %zu\r\n\r\n%s", body.n, body.s);
}

/* --- The way to the core -------------------------------------------------- */

static struct message *scan_of(const char *bytes, size_t n)
{
	struct mbuf *mb = mbuf_alloc(n + 1);
	struct scan_result result;
	struct message *msg = NULL;
	int err;

	mbuf_write_mem(mb, (const uint8_t *)bytes, n);
	mb->pos = 0;
	err = message_scan(&msg, mb, &result);
	mem_deref(mb);
	if (err)
		msg = mem_deref(msg);
	return msg;
}

static void told(const char *who, const char *arrow, const char *text, size_t n)
{
	int line = (int)strcspn(text, "\r\n");

	if (loud)
		printf("%8lu %s %s %.*s\n%.*s",
		       (unsigned long)(clock_ms() - 1000000), who, arrow, line,
		       text, louder ? (int)n : 0, text);
}

static void listen_to(void);

static void arrive(int end, const char *text, bool wild)
{
	struct message *msg = scan_of(text, strlen(text));

	told(ends[end]->ip, "->", text, strlen(text));
	/* The answer may be one of those that cannot leave */
	if (msg)
		witness_hears(end, msg, wild || failing);
	mem_deref(msg);
	fake_port_give(ends[end]->port, ends[end]->ip, 5060, 0, text);
	listen_to();
}

static void fly(int end, const char *text, bool wild, uint64_t delay)
{
	if (air_n == MOST)
		return;
	air[air_n++] =
		(struct flight){ end, clock_ms() + delay, strdup(text), wild };
}

static void land(void)
{
	for (size_t i = 0; i < air_n; i++) {
		struct flight f = air[i];

		if (f.due > clock_ms())
			continue;
		air[i] = air[--air_n];
		if (!calm)
			arrive(f.end, f.text, f.wild);
		free(f.text);
		i = (size_t)-1;
	}
}

/* Once more, later */
static void remember(int end, const char *text, bool wild)
{
	struct flight *f = &spoken[spoken_n++ % 64];

	free(f->text);
	*f = (struct flight){ end, 0, strdup(text), wild };
}

static void say(int end, const char *text, bool wild)
{
	remember(end, text, wild);
	if (chance(loss))
		return;
	if (chance(2))
		fly(end, text, wild, roll(600));
	fly(end, text, wild, chance(8) ? roll(1500) : 0);
}

/* Everything that the core has sent goes to the witness, and to the peers */

static void hear(int end, struct message *msg);

static int end_at(const struct sa *sa)
{
	/* ... and what it calls itself when it speaks wildly */
	static const char *const wild[ENDS] = { "192.0.2.92", "192.0.2.93",
						"192.0.2.91", "192.0.2.94" };

	for (int i = 0; i < 2 * ENDS; i++) {
		struct sa ip = sa_of(i < ENDS ? ends[i]->ip : wild[i - ENDS]);

		if (sa_cmp(sa, &ip, SA_ADDR))
			return i % ENDS;
	}
	return -1;
}

static void listen_to(void)
{
	for (; core.read < fake_sent_count(); core.read++) {
		const struct fake_sent *sent = fake_sent(core.read);
		int end = end_at(&sent->to.dst);
		struct message *msg;

		if (end < 0)
			continue;
		msg = scan_of((const char *)sent->mb->buf, sent->mb->end);
		told(ends[end]->ip, "<-", (const char *)sent->mb->buf,
		     sent->mb->end);
		witness_sees(end, sent->mb, msg);
		if (msg && !calm && !chance(loss))
			hear(end, msg);
		else
			mem_deref(msg);
	}
}

static void pass(uint64_t ms)
{
	uint64_t end = clock_ms() + ms;

	while (!witness_fault()) {
		uint64_t next = wheel_next();

		for (size_t i = 0; i < air_n; i++)
			if (air[i].due < next)
				next = air[i].due;
		if (next > end)
			break;
		if (next > clock_ms())
			fake_clock_advance(next - clock_ms());
		land();
		wheel_turn();
		listen_to();
	}
	if (end > clock_ms())
		fake_clock_advance(end - clock_ms());
	wheel_turn();
	fake_forward_settle();
	listen_to();
	land();
}

/* --- Requests of peers ----------------------------------------------------- */

static int talk_new(int end)
{
	if (talks_n == MOST)
		return -1;
	memset(&talks[talks_n], 0, sizeof(talks[0]));
	talks[talks_n].end = end;
	return (int)talks_n++;
}

/* Begin: start line to Contact */
static void request_begin(struct text *t, struct wish *w,
			  const struct talk *talk, const char *method)
{
	t->n = 0;
	name(w->branch, sizeof(w->branch), w->end);
	snprintf(w->ruri, sizeof(w->ruri), "%s", talk->target);
	snprintf(w->to, sizeof(w->to), "%s", talk->remote);
	put(t,
	    "%s %s SIP/2.0\r\nVia: SIP/2.0/UDP %s:5060;branch=z9hG4bK%s\r\n"
	    "Max-Forwards: %u\r\nFrom: %s\r\nTo: %s\r\nCall-ID: %s\r\n"
	    "CSeq: %u %s\r\n",
	    method, talk->target, ends[w->end]->ip, w->branch,
	    chance(1) ? 0 : 70, talk->local, talk->remote, talk->callid,
	    w->cseq, method);
	put(t, "Contact: <sip:x@%s:5060>\r\n",
	    chance(3) ? hosts[w->end] : ends[w->end]->ip);
}

static struct wish *wish_new(int end, int talk, enum method_id method)
{
	struct wish *w = &wishes[wishes_n % MOST];

	wishes_n++;
	memset(w, 0, sizeof(*w));
	w->end = end;
	w->talk = talk;
	w->method = method;
	return w;
}

static const struct talk *own_talk(int end)
{
	for (int i = 0; i < 8 && talks_n; i++) {
		const struct talk *t = &talks[roll((uint32_t)talks_n)];

		if (t->end == end && strstr(t->remote, ";tag="))
			return t;
	}
	return NULL;
}

static const char *tag_in(const char *value)
{
	const char *tag = strstr(value, ";tag=");

	return tag ? tag + 5 : "none";
}

static void put_replaces(struct text *t, int end)
{
	const struct talk *other = own_talk(end);

	if (other)
		put(t, "Replaces: %s;to-tag=%s;from-tag=%s%s\r\n",
		    other->callid, tag_in(other->remote), tag_in(other->local),
		    chance(20) ? ";early-only" : "");
}

/* Dialogs of this side, named where they must not cross as they are */
static void put_names(struct text *t, int end)
{
	const struct talk *other = own_talk(end);

	if (!other)
		return;
	switch (roll(3)) {
	case 0:
		put(t, "In-Reply-To: %s, %s\r\n", other->callid, other->callid);
		break;
	case 1:
		put(t, "Target-Dialog: %s;local-tag=%s;remote-tag=%s\r\n",
		    other->callid, tag_in(other->local), tag_in(other->remote));
		break;
	case 2:
		put_replaces(t, end);
		break;
	}
}

/* What else must not cross (behaviour.md 3.1) */
static void put_own(struct text *t, int end)
{
	static const char *const lines[] = {
		"Warning: 399 %s \"hm\"\r\n", "Organization: %s\r\n",
		"User-Agent: %s\r\n",         "Server: %s\r\n",
		"Path: <sip:%s;lr>\r\n",      "Service-Route: <sip:%s;lr>\r\n",
	};

	put(t, PICK(lines), ends[end]->ip);
}

static void put_options(struct text *t)
{
	if (chance(5))
		put(t, "Min-SE: %u\r\n", 90 + roll(40));
	if (chance(50))
		put(t, "Supported: %s\r\n",
		    chance(50) ? "100rel, timer" : "100rel");
	else if (chance(10))
		put(t, "Require: 100rel\r\n");
	if (chance(8))
		put(t, "Session-Expires: %u%s\r\n", 90 + roll(60),
		    chance(50) ? ";refresher=uac" : "");
	if (chance(50))
		put(t, "Allow: INVITE, ACK, BYE, CANCEL, UPDATE, PRACK, "
		       "REFER, NOTIFY\r\n");
}

static const char *const numbers[] = { "0301234", "0301234", "0305678",
				       "0309999" };

static void outside_talk(struct talk *talk, const char *user)
{
	const char *at = talk->end == END_PBX     ? "127.0.0.2"
			 : talk->end == END_PBX_B ? "127.0.0.3"
						  : "127.0.0.1";
	char tag[48];

	name(talk->callid, sizeof(talk->callid), talk->end);
	name(tag, sizeof(tag), talk->end);
	snprintf(talk->local, sizeof(talk->local), "<sip:x@%s>;tag=%s",
		 ends[talk->end]->ip, tag);
	snprintf(talk->target, sizeof(talk->target), "sip:%s@%s", user, at);
	snprintf(talk->remote, sizeof(talk->remote), "<%s>", talk->target);
	talk->cseq = 1 + roll(1000);
}

static void calls(void)
{
	static const int who[] = { END_PBX,   END_PBX,   END_PBX,
				   END_PBX_B, END_TRUNK, END_TRUNK };
	int end = PICK(who), i = talk_new(end);
	struct text t;
	struct wish *w;

	if (i < 0)
		return;
	outside_talk(&talks[i], PICK(numbers));
	w = wish_new(end, i, INVITE);
	w->cseq = talks[i].invite_cseq = talks[i].cseq;
	w->offers = !chance(20);
	request_begin(&t, w, &talks[i], "INVITE");
	put_options(&t);
	if (chance(6))
		put_replaces(&t, end);
	else if (chance(4))
		put_names(&t, end);
	if (chance(4))
		put_own(&t, end);
	if (chance(5))
		put(&t, "Privacy: id\r\nP-Asserted-Identity: "
			"<sip:4930100@pbx-a.example>\r\n");
	if (chance(4))
		put(&t, "Expires: %u\r\n", 1 + roll(30));
	put_body(&t, end, w->offers ? (chance(1) ? 3 : 1) : 0);
	say(end, t.s, false);
}

static void asks_outside(void)
{
	static const enum method_id methods[] = {
		MESSAGE, SUBSCRIBE, SUBSCRIBE, PUBLISH, OPTIONS,
		REFER,   NOTIFY,    INFO,      REGISTER
	};
	enum method_id method = PICK(methods);
	int end = (int)roll(3), i = talk_new(end);
	struct text t;
	struct wish *w;

	if (i < 0)
		return;
	outside_talk(&talks[i], PICK(numbers));
	talks[i].subscription = method == SUBSCRIBE || method == REFER;
	w = wish_new(end, i, method);
	w->cseq = talks[i].cseq;
	request_begin(&t, w, &talks[i], method_name(method));
	if (method == SUBSCRIBE || method == PUBLISH || method == NOTIFY)
		put(&t, "Event: presence\r\n");
	if (method == SUBSCRIBE || method == PUBLISH)
		put(&t, "Expires: %u\r\n", chance(10) ? 0 : 10 + roll(120));
	if (method == NOTIFY)
		put(&t, "Subscription-State: active\r\n");
	if (method == REFER)
		put(&t, "Refer-To: <sip:0305678@127.0.0.2>\r\n");
	if (chance(4))
		put_names(&t, end);
	put_body(&t, end, method == MESSAGE ? 2 : 0);
	say(end, t.s, false);
}

static void put_refer_to(struct text *t, int end)
{
	const struct talk *other = own_talk(end);

	if (chance(10))
		put(t, "Refer-Sub: false\r\n");
	if (other && chance(50)) {
		put(t,
		    "Refer-To: <sip:0305678@127.0.0.2?Replaces=%s%%3Bto-tag"
		    "%%3D%s%%3Bfrom-tag%%3D%s>\r\n",
		    other->callid, tag_in(other->remote), tag_in(other->local));
		return;
	}
	if (chance(10))
		put(t, "Refer-To: <tel:nowhere\r\n");
	else
		put(t, "Refer-To: <sip:0305678@127.0.0.2>\r\n");
}

static void put_for(struct text *t, enum method_id method, int end)
{
	switch (method) {
	case INVITE:
	case UPDATE:
		put_options(t);
		break;
	case REFER:
		put_refer_to(t, end);
		break;
	case NOTIFY:
		put(t, "Event: %s\r\nSubscription-State: %s\r\n",
		    chance(50) ? "refer" : "presence",
		    chance(30) ? "terminated;reason=noresource"
			       : "active;expires=60");
		break;
	case SUBSCRIBE:
		put(t, "Event: presence\r\nExpires: %u\r\n",
		    chance(40) ? 0 : 60);
		break;
	case PRACK:
		put(t, "RAck: %u %u INVITE\r\n", roll(5), roll(5));
		break;
	default:
		break;
	}
}

static uint32_t next_cseq(struct talk *talk)
{
	if (chance(94))
		return ++talk->cseq;
	if (chance(50))
		return talk->cseq;
	return chance(50) ? talk->cseq - roll(3) : (talk->cseq += roll(100000));
}

/* In a dialog: what is asked, and who asks where it is not the peer */
static void asks_in(int i, enum method_id method)
{
	struct talk talk = talks[i];
	int end = talk.end, kind = 0;
	bool wild = false;
	struct text t;
	struct wish *w;

	if (chance(2) && strstr(talk.remote, ";tag=")) {
		end = (int)roll(ENDS);
		wild = true;
	}
	if (chance(2)) {
		talk.remote[strlen(talk.remote) - 1] ^= 1;
		wild = true;
	}
	w = wish_new(end, i, method);
	w->cseq = next_cseq(&talks[i]);
	if (method == INVITE)
		talks[i].invite_cseq = w->cseq;
	request_begin(&t, w, &talk,
		      method == METHOD_OTHER ? "FOO" : method_name(method));
	put_for(&t, method, end);
	if (chance(3))
		put_names(&t, end);
	if (chance(3))
		put_own(&t, end);
	if (method == INVITE || method == UPDATE)
		w->offers = chance(method == INVITE ? 80 : 60);
	if (w->offers)
		kind = chance(2) ? 3 : 1;
	else if (method == INFO || method == MESSAGE)
		kind = 2;
	put_body(&t, end, kind);
	say(end, t.s, wild);
}

static void asks_inside(void)
{
	static const enum method_id methods[] = {
		INVITE, INVITE, INVITE, INVITE,    UPDATE,      UPDATE,
		UPDATE, INFO,   INFO,   REFER,     REFER,       NOTIFY,
		NOTIFY, BYE,    BYE,    MESSAGE,   OPTIONS,     PRACK,
		BYE,    BYE,    INFO,   SUBSCRIBE, METHOD_OTHER
	};
	enum method_id method = PICK(methods);
	int i;

	if (!talks_n)
		return;
	i = (int)roll((uint32_t)talks_n);
	if (talks_n > 6 && chance(80))
		i = (int)talks_n - 1 - (int)roll(6);
	asks_in(i, method);
	/* both sides at once */
	if (chance(10) && talks_n > 1)
		asks_in((int)talks_n - 1 - (int)roll(2), method);
}

static void says_ack(const struct wish *w, const struct talk *talk, bool sdp)
{
	struct wish ack = { .end = w->end, .cseq = w->cseq };
	struct text t;

	request_begin(&t, &ack, talk, "ACK");
	put_body(&t, w->end, sdp ? 1 : 0);
	say(w->end, t.s, false);
}

static void cancels(void)
{
	const struct wish *w;
	const struct talk *talk;
	struct text t = { .n = 0 };
	size_t back = wishes_n < 12 ? wishes_n : 12;

	if (!back)
		return;
	w = &wishes[(wishes_n - 1 - roll((uint32_t)back)) % MOST];
	if (w->method != INVITE || w->talk < 0 || w->final)
		return;
	talk = &talks[w->talk];
	if (talk->end != w->end)
		return;
	put(&t,
	    "CANCEL %s SIP/2.0\r\nVia: SIP/2.0/UDP %s:5060;branch=z9hG4bK%s\r\n"
	    "Max-Forwards: 70\r\nFrom: %s\r\nTo: %s\r\nCall-ID: %s\r\n"
	    "CSeq: %u CANCEL\r\nContent-Length: 0\r\n\r\n",
	    w->ruri, ends[w->end]->ip, w->branch, talk->local, w->to,
	    talk->callid, w->cseq);
	say(w->end, t.s, false);
}

/* --- Answers of peers ------------------------------------------------------ */

static void contact_of(char *buf, size_t size, const struct message *msg)
{
	struct pl value = message_value(msg, HDR_CONTACT);
	struct address addr;

	if (value.l && !address_read(&addr, &value))
		copy(buf, size, addr.spec);
}

/* The dialog that an answer with this fork's tag makes */
static int talk_of_answer(struct duty *d, unsigned fork, const char *tag)
{
	struct talk *talk;
	char to[200];
	int i = d->talk[fork];

	if (i >= 0 || d->msg->to_tag.l)
		return i;
	i = talk_new(d->end);
	if (i < 0)
		return i;
	talk = &talks[i];
	copy(talk->callid, sizeof(talk->callid), d->msg->callid);
	copy(talk->remote, sizeof(talk->remote),
	     message_value(d->msg, HDR_FROM));
	copy(to, sizeof(to), message_value(d->msg, HDR_TO));
	snprintf(talk->local, sizeof(talk->local), "%s;tag=%.60s", to, tag);
	contact_of(talk->target, sizeof(talk->target), d->msg);
	talk->cseq = roll(1000);
	talk->subscription =
		d->msg->method_id == SUBSCRIBE || d->msg->method_id == REFER;
	d->talk[fork] = i;
	return i;
}

static void put_challenge(struct text *t, uint16_t code)
{
	static const char *const realms[] = { "trunk.example", "trunk.example",
					      "trunk.example",
					      "other.example" };

	put(t, "%s: Digest realm=\"%s\", nonce=\"n%u\", qop=\"auth\"%s\r\n",
	    code == 401 ? "WWW-Authenticate" : "Proxy-Authenticate",
	    PICK(realms), roll(4), chance(30) ? ", stale=true" : "");
}

static bool makes_dialogs(const struct message *msg)
{
	return msg->method_id == INVITE || msg->method_id == SUBSCRIBE ||
	       msg->method_id == REFER;
}

static void answers(struct duty *d, uint16_t code)
{
	const struct message *msg = d->msg;
	unsigned fork = chance(70) ? 0 : roll(FORKS);
	bool invite = msg->method_id == INVITE, sdp;
	char tag[100] = "";
	struct text t = { .n = 0 };

	/* Whoever has answered answers the same */
	if (d->final && code >= 200)
		code = chance(80) ? d->final : code;
	if (!msg->to_tag.l && code > 100)
		snprintf(tag, sizeof(tag), "%s%.40s%u", witness_marks[d->end],
			 "f", fork + FORKS * (unsigned)(d - duties));
	put(&t, "SIP/2.0 %u X\r\nVia: ", code);
	put_pl(&t, message_value(msg, HDR_VIA));
	put(&t, "\r\nFrom: ");
	put_pl(&t, message_value(msg, HDR_FROM));
	put(&t, "\r\nTo: ");
	put_pl(&t, message_value(msg, HDR_TO));
	put(&t, "%s%s\r\nCall-ID: ", tag[0] ? ";tag=" : "", tag);
	put_pl(&t, msg->callid);
	put(&t, "\r\nCSeq: %u ", msg->cseq);
	put_pl(&t, msg->method);
	put(&t, "\r\n");
	if (code >= 300 && code < 400)
		put(&t, "Contact: <sip:0301234@%s>\r\n",
		    d->end <= END_PBX_B ? ends[d->end]->ip
		    : chance(60)        ? "127.0.0.14"
					: "moved.example");
	else
		put(&t, "Contact: <sip:x@%s:5060>\r\n",
		    chance(3) ? hosts[d->end] : ends[d->end]->ip);
	if (chance(5) && code > 100 && code < 300)
		put(&t, "Record-Route: <sip:%s;lr>\r\n", ends[d->end]->ip);
	if (chance(3))
		put_own(&t, d->end);
	if (code == 401 || code == 407)
		put_challenge(&t, code);
	if (code == 422)
		put(&t, "Min-SE: %u\r\n", 100 + roll(200));
	if (code == 503 && chance(50))
		put(&t, "Retry-After: %u\r\n", roll(5));
	if (code == 423)
		put(&t, "Min-Expires: 60\r\n");
	if (code < 300 && msg->method_id == SUBSCRIBE)
		put(&t, "Expires: %u\r\n", chance(10) ? 0 : 60);
	if (invite && code >= 200 && code < 300 && chance(10))
		put(&t,
		    "Supported: timer\r\nRequire: timer\r\n"
		    "Session-Expires: 90;refresher=%s\r\n",
		    chance(50) ? "uac" : "uas");
	if (invite && code > 100 && code < 200 && chance(40))
		put(&t, "Require: 100rel\r\nRSeq: %u\r\n",
		    chance(80) ? ++d->rseq : d->rseq + roll(3));
	sdp = (invite && code > 100 && code < 300 &&
	       chance(code < 200 ? 40 : 92)) ||
	      (code >= 200 && code < 300 && msg->body.l &&
	       (msg->method_id == UPDATE || msg->method_id == PRACK) &&
	       chance(90));
	put_body(&t, d->end, sdp ? (chance(2) ? 3 : 1) : 0);
	if (makes_dialogs(msg) && code > 100 && code < 300)
		(void)talk_of_answer(d, fork, tag);
	if (code >= 200)
		d->final = code;
	say(d->end, t.s, false);
}

static uint16_t code_for(const struct duty *d)
{
	static const uint16_t failures[] = { 400, 403, 404, 408, 420, 480, 481,
					     486, 488, 491, 500, 503, 503, 600,
					     603, 422, 423, 302, 301, 305 };
	bool invite = d->msg->method_id == INVITE;
	unsigned r = roll(100);

	if (invite && r < 8)
		return 100;
	if (invite && r < 48)
		return r < 30 ? 180 : 183;
	if (r < 80)
		return d->msg->method_id == REFER ? 202 : 200;
	if (r < 88)
		return chance(70) ? 407 : 401;
	return PICK(failures);
}

static void somebody_answers(void)
{
	size_t back = duties_n < 10 ? duties_n : 10;

	for (int i = 0; i < 6 && back; i++) {
		struct duty *d = &duties[duties_n - 1 - roll((uint32_t)back)];

		if (d->msg->method_id == ACK || (d->final && chance(85)))
			continue;
		answers(d, code_for(d));
		return;
	}
}

/* --- What peers hear ------------------------------------------------------- */

static void hear_request(int end, struct message *msg)
{
	struct duty *d;

	for (size_t i = duties_n; i--;) {
		d = &duties[i];
		if (d->end != end || d->msg->method_id != msg->method_id ||
		    pl_cmp(&d->msg->branch, &msg->branch))
			continue;
		mem_deref(msg); /* repeated */
		if (d->final && d->final >= 200)
			answers(d, d->final);
		return;
	}
	if (duties_n == MOST) {
		mem_deref(msg);
		return;
	}
	d = &duties[duties_n++];
	*d = (struct duty){ .end = end, .msg = msg, .talk = { -1, -1, -1 } };
	if (msg->method_id == CANCEL) {
		answers(d, 200);
		for (size_t i = duties_n - 1; i--;) {
			struct duty *of = &duties[i];

			if (of->msg->method_id == INVITE && !of->final &&
			    !pl_cmp(&of->msg->branch, &msg->branch))
				answers(of, chance(85) ? 487 : 200);
		}
		return;
	}
	if (msg->method_id != INVITE && msg->method_id != ACK && chance(60))
		answers(d, chance(92) ? 200 : code_for(d));
}

static void prack(struct wish *w, const struct message *msg)
{
	struct pl rseq = message_value(msg, HDR_RSEQ);
	struct talk *talk = &talks[w->talk];
	uint32_t cseq = w->cseq;
	int end = w->end, i = w->talk;
	struct text t;

	if (!rseq.l || chance(20))
		return;
	w = wish_new(end, i, PRACK);
	w->cseq = ++talk->cseq;
	request_begin(&t, w, talk, "PRACK");
	put(&t, "RAck: %u %u INVITE\r\n", pl_u32(&rseq), cseq);
	w->offers = chance(15);
	put_body(&t, end, w->offers ? 1 : 0);
	say(end, t.s, false);
}

static struct wish *wish_of(int end, const struct message *answer)
{
	struct pl branch = answer->branch;

	for (size_t i = 0; i < MOST && i < wishes_n; i++) {
		struct wish *w = &wishes[i];
		size_t n = strlen(w->branch);

		if (w->end == end && w->method == answer->method_id &&
		    branch.l > n &&
		    !memcmp(branch.p + branch.l - n, w->branch, n))
			return w;
	}
	return NULL;
}

static void hear_answer(int end, const struct message *msg)
{
	struct wish *w = wish_of(end, msg);
	struct talk *talk;

	if (!w || w->talk < 0 || talks[w->talk].end != end)
		return;
	talk = &talks[w->talk];
	if (msg->to_tag.l && msg->code > 100 && msg->code < 300 &&
	    makes_dialogs(msg)) {
		copy(talk->remote, sizeof(talk->remote),
		     message_value(msg, HDR_TO));
		contact_of(talk->target, sizeof(talk->target), msg);
	}
	if (msg->code >= 200)
		w->final = msg->code;
	if (msg->method_id != INVITE)
		return;
	if (msg->code > 100 && msg->code < 200)
		prack(w, msg);
	else if (msg->code >= 200 && msg->code < 300 && chance(92))
		says_ack(w, talk, !w->offers && chance(92));
	else if (msg->code >= 300) {
		struct talk failed = *talk;

		copy(failed.remote, sizeof(failed.remote),
		     message_value(msg, HDR_TO));
		snprintf(failed.target, sizeof(failed.target), "%s", w->ruri);
		if (chance(92)) {
			struct text t = { .n = 0 };

			put(&t,
			    "ACK %s SIP/2.0\r\nVia: SIP/2.0/UDP %s:5060;"
			    "branch=z9hG4bK%s\r\nMax-Forwards: 70\r\nFrom: "
			    "%s\r\nTo: %s\r\nCall-ID: %s\r\nCSeq: %u ACK\r\n"
			    "Content-Length: 0\r\n\r\n",
			    w->ruri, ends[end]->ip, w->branch, failed.local,
			    failed.remote, failed.callid, w->cseq);
			say(end, t.s, false);
		}
	}
}

static void hear(int end, struct message *msg)
{
	if (!msg->code) {
		hear_request(end, msg);
		return;
	}
	hear_answer(end, msg);
	mem_deref(msg);
}

/* --- What else happens ----------------------------------------------------- */

static void repeats(void)
{
	const struct flight *f;
	size_t n = spoken_n < 64 ? spoken_n : 64;
	char *text;

	if (!n)
		return;
	f = &spoken[roll((uint32_t)n)];
	text = strdup(f->text);
	fly(f->end, text, f->wild, 0);
	free(text);
}

/* From and To: a URI that is none any more crosses as it stands */
static bool is_identity(const char *text, const char *p)
{
	while (p > text && p[-1] != '\n')
		p--;
	return !strncmp(p, "From:", 5) || !strncmp(p, "To:", 3);
}

/* An address that is spoilt may become that of another peer */
static bool is_address(const char *text, const char *p)
{
	while ((text = strstr(text, "192.0.2.9"))) {
		if (p >= text && p < text + 11)
			return true;
		text++;
	}
	return false;
}

static void spoils(void)
{
	const struct flight *f;
	size_t n = spoken_n < 64 ? spoken_n : 64, l;
	char *text;

	if (!n)
		return;
	f = &spoken[roll((uint32_t)n)];
	/* Names that are no names any more cross: they are others then */
	if (strstr(f->text, "eplaces") || strstr(f->text, "Refer-To"))
		return;
	text = strdup(f->text);
	l = strlen(text);
	for (char *p = text; (p = strstr(p, "127.0.0.1"));)
		memcpy(p, "192.0.2.9", 9);
	for (char *p = text; (p = strstr(p, "@127.0.0."));)
		memcpy(p, "@192.0.2.", 9);
	for (char *p = text; (p = strstr(p, witness_marks[f->end]));)
		*p = 'y';
	for (unsigned i = 1 + roll(4); i--;) {
		char *p = text + roll((uint32_t)l);

		if (!is_identity(text, p) && !is_address(text, p))
			*p = (char)(33 + roll(90));
	}
	if (chance(20))
		text[roll((uint32_t)l)] = '\0';
	fly(f->end, text, true, 0);
	free(text);
}

static void wait_a_while(void)
{
	static const uint32_t whiles[] = { 0,   1,    10,   100,  100,  500,
					   500, 1000, 2000, 4000, 4000, 9000 };
	uint32_t ms = PICK(whiles);

	if (chance(4))
		ms = chance(30) ? 50000 : 33000;
	if (chance(1))
		ms = 185000;
	pass(ms);
}

static void kills(void)
{
	struct call_home *home = calls_home(core.worker.calls);
	struct le *le = home->calls.head;

	for (unsigned n = roll(3); le && n; n--)
		le = le->next;
	if (le)
		call_end(le->data, CDR_OPERATOR, CDR_BY_OPERATOR);
}

static void kill_all(void)
{
	struct le *le = calls_home(core.worker.calls)->calls.head;

	while (le) {
		struct call *call = le->data;

		le = le->next;
		call_end(call, CDR_SBC, CDR_SHUTDOWN);
	}
}

/* Nobody has said anything for longer than any wait: calls are over, or talk */
static const char *what_waits(void)
{
	struct le *le = calls_home(core.worker.calls)->calls.head;

	for (; le; le = le->next) {
		const struct call *call = le->data;

		if (call->state != CALL_TALKING)
			return call_machine.states[call->state];
		if (call->reinvite)
			return "a re-INVITE";
		if (call->transfer)
			return "a transfer";
		if (!list_isempty(&call->relays))
			return "a relay";
		if (queue_is_busy(&call->queue[SIDE_A]) ||
		    queue_is_busy(&call->queue[SIDE_B]))
			return "a queue";
	}
	return NULL;
}

static void names_wait(void)
{
	if (chance(50))
		fake_resolver_fail(chance(50) ? EINPROGRESS : 0);
	else
		fake_resolver_answer(chance(70) ? 0 : ENOENT);
}

static void step(void);

/* ... for a while */
static void sends_fail(void)
{
	bool later = chance(50);

	/* at once, or when the connection is lost that they wait for */
	if (later)
		fake_port_hold(true);
	else
		fake_port_fail(ENOTCONN);
	lossy = failing = true;
	for (unsigned n = 1 + roll(4); n--;)
		step();
	failing = false;
	fake_port_fail(0);
	witness_tears();
	if (!later)
		return;
	fake_port_hold(false);
	fake_port_settle(chance(80) ? ECONNRESET : 0, 0);
}

static void step(void)
{
	unsigned r = roll(100);

	if (r < 8)
		calls();
	else if (r < 45)
		somebody_answers();
	else if (r < 63)
		asks_inside();
	else if (r < 67)
		cancels();
	else if (r < 72)
		asks_outside();
	else if (r < 76)
		repeats();
	else if (r < 78)
		spoils();
	else if (r < 96)
		wait_a_while();
	else if (r < 97)
		kills();
	else if (r < 98)
		names_wait();
	else if (r < 99)
		fake_forward_silent(roll(8));
	else if (chance(60))
		core_change();
	else if (chance(10))
		sends_fail();
	pass(0);
}

/* --- From outside ---------------------------------------------------------- */

static void second_hop(bool together)
{
	struct local_policy *p = (struct local_policy *)config_at(
		core.cfg, &element_local_policy, 0);

	item_set(&element_local_policy, p, "parallel-forking",
		 together ? "enabled" : "disabled");
	if (chance(30))
		item_add(&p->policy_attributes, &element_policy_attribute,
			 "next-hop", "pbx-b.example", "realm", "pbx-b", NULL);
	if (chance(80))
		item_add(&p->policy_attributes, &element_policy_attribute,
			 "next-hop", "127.0.0.14", "realm", "trunk",
			 "auth-user-lookup", "tenA", NULL);
}

/* Calls of the trunk that reach the other tenant */
static void other_tenant(void)
{
	struct local_policy *p = config_add(
		core.cfg, &element_local_policy, "from-address", "*",
		"to-address", "0305678", "source-realm", "trunk", NULL);

	item_add(&p->policy_attributes, &element_policy_attribute, "next-hop",
		 "pbx-b.example", "realm", "pbx-b", NULL);
}

/* The SBC takes part in session timers itself (behaviour.md 3.7) */
static void timers_of_ours(const char *realm)
{
	struct sip_interface *si;
	struct pl key;

	pl_set_str(&key, realm);
	si = (struct sip_interface *)config_find(core.cfg,
						 &element_sip_interface, &key);
	item_set(&element_sip_interface, si, "session-timer-profile", "timers");
}

static void timers_some(void)
{
	config_add(core.cfg, &element_session_timer_profile, "name", "timers",
		   "session-expires", "90", "force-reinvite",
		   chance(50) ? "enabled" : "disabled", "request-refresher",
		   chance(50) ? "uac" : "uas", "response-refresher",
		   chance(50) ? "uac" : "uas", NULL);
	if (chance(60))
		timers_of_ours("trunk");
	if (chance(60))
		timers_of_ours("pbx-a");
}

static const char *any_media(void)
{
	static const char *const words[] = { "both", "both", "reverse",
					     "none" };

	return PICK(words);
}

/* Who is told of early media, and what a 3xx leads to */
static void peers_differ(void)
{
	static const char *const actions[] = { "proxy", "recurse",
					       "recurse-305-only" };

	item_set(&element_realm_config, core.pbx, "early-media-allow",
		 any_media());
	item_set(&element_realm_config, core.trunk, "early-media-allow",
		 any_media());
	item_set(&element_session_agent, core.agent_trunk, "redirect-action",
		 PICK(actions));
	core.agent_pbx->trust_me = chance(50);
	core.agent_trunk->trust_me = chance(50);
}

/* So little room that something is refused now and then */
static void room_little(void)
{
	struct steering_pool *pool = (struct steering_pool *)config_at(
		core.cfg, &element_steering_pool, roll(3));

	switch (roll(4)) {
	case 0:
		pool->end_port = pool->start_port + 3 + 2 * roll(3);
		break;
	case 1:
		core.sip->max_sessions = 1 + roll(3);
		break;
	case 2:
		core.agent_trunk->max_sessions = 1 + roll(3);
		break;
	case 3:
		core.trunk->max_bandwidth = 100 + roll(300);
		break;
	}
}

static void records_many(void)
{
	struct account_config *a = (struct account_config *)config_single(
		core.cfg, &element_account_config);

	item_set(&element_account_config, a, "generate-start", "Invite");
	item_set(&element_account_config, a, "generate-interim",
		 "Reinvite-Response OK 1xx Unsuccessful-Attempt");
	item_set(&element_account_config, a, "intermediate-period", "7");
	a->trans_at_close = chance(50);
}

void storm_configure(uint64_t seed)
{
	dice = seed * 0x2545f4914f6cdd1d + 1;
	fake_random_seed(seed);
	louder = getenv("LOUDER") != NULL;
	loud = louder || getenv("LOUD");
	loss = chance(50) ? 0 : roll(12);
	core.pbx->refer_call_transfer = chance(50);
	core.trunk->refer_call_transfer = chance(30);
	other_tenant();
	if (chance(50))
		second_hop(chance(60));
	if (chance(20))
		core.sip->session_max_life_limit = 30;
	core.sip->dialog_transparency = chance(15);
	if (chance(25))
		timers_some();
	if (chance(25))
		records_many();
	if (chance(15))
		core.sip->add_reason_header = true;
	if (chance(30))
		peers_differ();
	if (chance(15))
		room_little();
	core.agent_pbx->constraints = core.agent_trunk->constraints =
		core.agent_pbx_b->constraints = true;
	item_set(&element_session_agent, core.agent_trunk, "options",
		 "trans-timeouts=0");
	item_set(&element_session_agent, core.agent_pbx, "options",
		 "trans-timeouts=0");
}

void storm_begin(void)
{
	calm = lossy = failing = false;
	hanging = NULL;
	talks_n = duties_n = wishes_n = air_n = spoken_n = names_n = 0;
	memset(spoken, 0, sizeof(spoken));
	witness_reset();
	witness_names_cross(core.sip->dialog_transparency);
	fake_name(hosts[END_PBX], "127.0.0.12:5060", NULL);
	fake_name(hosts[END_PBX_B], "127.0.0.13:5060", NULL);
	fake_name(hosts[END_TRUNK], "127.0.0.11:5060", NULL);
	fake_name(hosts[END_THIRD], "127.0.0.14:5060", NULL);
	fake_name("moved.example", "127.0.0.14:5060", NULL);
	fake_credential("trunk", "trunk.example", "tenA", "a1", "secret");
}

void storm_rage(unsigned steps)
{
	while (steps-- && !witness_fault())
		step();
}

void storm_calm(uint64_t ms)
{
	if (!calm) {
		calm = true;
		fake_port_fail(0);
		fake_resolver_fail(0);
		fake_resolver_answer(ENOENT);
		/* by themselves, or because somebody ends them early */
		if (chance(70)) {
			pass(PATIENCE);
			hanging = what_waits();
		} else {
			pass(40000);
		}
		kill_all();
	}
	pass(ms);
}

const char *storm_hangs(void)
{
	return hanging;
}

bool storm_is_lossy(void)
{
	return lossy;
}

void storm_end(void)
{
	for (size_t i = 0; i < duties_n; i++)
		mem_deref(duties[i].msg);
	while (air_n)
		free(air[--air_n].text);
	for (size_t i = 0; i < 64; i++)
		free(spoken[i].text);
	memset(spoken, 0, sizeof(spoken));
	duties_n = 0;
	witness_reset();
}
