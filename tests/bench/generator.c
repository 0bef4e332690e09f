/*
 * Bench: both sides of many calls, for more than SIPp can make
 *
 * One thread plays the PBX and the trunk. The PBX begins calls at a fixed rate,
 * whatever becomes of those before; the trunk rings, answers after a while and
 * challenges every call when told to, and checks the digest by itself. Both
 * repeat what is not answered as RFC 3261 17 says (T1 500 ms, T2 4 s), so an SBC
 * that is too slow gets the avalanche that a real network would make. Nothing of
 * the SBC's own code is used here.
 *
 * The trunk is a registrar, too, when it knows a password: it challenges each
 * REGISTER, checks the digest with the user that the answer names, and counts what
 * comes in each second.
 *
 * Usage: generator --pbx IP --trunk IP --sbc IP [--calls N] [--rate PER_S]
 *        [--hold MS] [--answer MS] [--challenge REALM:USER:PASSWORD]
 *        [--registrar REALM:PASSWORD:EXPIRES] [--seconds AT_LEAST]
 *        [--one-number] [--loss PERCENT] [--delay MS]
 *
 * The last line of its output is one JSON object. Exit: 0 each call was answered
 * and ended by a 200 to its BYE; 1 some were not; 2 it could not begin.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <openssl/evp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
	T1 = 500, /* [ms] */
	T2 = 4000,
	GIVE_UP = 64 * T1,
	BATCH = 64,
	SIZE = 2048,
	WHEEL = 1 << 16, /* [ms] farthest timer */
	BUFFERS = 16 << 20,
	CODES = 700,
	LATENCIES = 40000, /* [ms] */
	SECONDS = 4096
};

enum state {
	IDLE,
	INVITED,    /* PBX: no answer yet; trunk: rings */
	PROCEEDING, /* PBX: 1xx came */
	CHALLENGED, /* trunk: 407 is repeated until its ACK */
	WAITING,    /* trunk: for the INVITE with credentials */
	ANSWERED,   /* trunk: 200 is repeated until its ACK */
	TALKING,
	LEAVING, /* PBX: BYE is out */
	OVER
};

struct text {
	const char *p;
	size_t l;
};

/* One side of a call; `sent` is what is repeated until something comes back */
struct half {
	struct half *next, **link; /* of a slot of the wheel */
	uint64_t due, began;       /* [ms] */
	uint32_t wait;             /* until the next repetition */
	uint32_t number, nonce;
	uint8_t state;
	bool pbx;
	uint16_t sent_l;
	char *sent;
	char *ack; /* of a 2xx, for its repetitions */
	uint16_t ack_l;
	char *callid; /* trunk: the SBC's, key of the table */
	struct half *chain;
};

/* A datagram that is on its way for --delay */
struct late {
	struct late *next;
	uint64_t due;
	int side;
	uint16_t l;
	char bytes[];
};

struct out {
	struct mmsghdr m[BATCH];
	struct iovec v[BATCH];
	char bytes[BATCH][SIZE];
	unsigned n;
};

static struct {
	const char *pbx, *trunk, *sbc, *realm, *user, *password;
	const char *register_realm, *register_password, *expires;
	uint32_t calls, rate, hold, answer, delay, seconds;
	double loss;
	bool one_number;
} option = { .calls = 1000, .rate = 100, .hold = 100, .answer = 20 };

/* Where the SBC is seen from the PBX; from the trunk, as soon as it sends */
static struct sockaddr_in peers[2];
static int sockets[2]; /* of PBX, of trunk */
static struct out outs[2];
static struct half *wheel[WHEEL];
static struct half *calls, **table;
static uint32_t table_mask;
static struct late *late_first, **late_last = &late_first;
static uint64_t now, wheel_at;
static int pid; /* in names, so that no run takes up those of another */
static struct {
	uint32_t begun, answered, completed, failed, silent, repeated, dropped;
	uint32_t challenged, wrong_digests, odd, most, under_way;
	uint32_t registers, granted;
	uint32_t codes[CODES], latency[LATENCIES], registers_in[SECONDS];
} count;
static uint64_t start;

static uint64_t clock_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* --- Timers ------------------------------------------------------------- */

static void timer_stop(struct half *h)
{
	if (!h->link)
		return;
	*h->link = h->next;
	if (h->next)
		h->next->link = h->link;
	h->link = NULL;
}

static void timer_set(struct half *h, uint64_t ms)
{
	struct half **slot;

	timer_stop(h);
	if (ms < 1)
		ms = 1;
	h->due = now + ms;
	slot = &wheel[(ms < WHEEL ? h->due : now + WHEEL - 1) % WHEEL];
	h->next = *slot;
	if (h->next)
		h->next->link = &h->next;
	h->link = slot;
	*slot = h;
}

/* --- Sending ------------------------------------------------------------ */

static void flush(int side)
{
	struct out *o = &outs[side];
	unsigned done = 0;

	while (done < o->n) {
		int n = sendmmsg(sockets[side], o->m + done, o->n - done, 0);

		if (n > 0)
			done += (unsigned)n;
		else if (errno == EAGAIN)
			(void)poll(&(struct pollfd){ .fd = sockets[side],
						     .events = POLLOUT },
				   1, 10);
		else
			++done; /* ECONNREFUSED of one before it */
	}
	o->n = 0;
}

static void leave(int side, const char *p, size_t l)
{
	struct out *o = &outs[side];
	unsigned n = o->n++;

	memcpy(o->bytes[n], p, l);
	o->v[n] = (struct iovec){ o->bytes[n], l };
	o->m[n].msg_hdr = (struct msghdr){ .msg_name = &peers[side],
					   .msg_namelen = sizeof(peers[0]),
					   .msg_iov = &o->v[n],
					   .msg_iovlen = 1 };
	if (o->n == BATCH)
		flush(side);
}

static void send_bytes(int side, const char *p, size_t l)
{
	struct late *x;

	if (option.loss > 0 && drand48() * 100 < option.loss) {
		++count.dropped;
		return;
	}
	if (!option.delay) {
		leave(side, p, l);
		return;
	}
	x = malloc(sizeof(*x) + l);
	if (!x)
		return;
	*x = (struct late){ .due = now + option.delay,
			    .side = side,
			    .l = (uint16_t)l };
	memcpy(x->bytes, p, l);
	*late_last = x;
	late_last = &x->next;
}

static void late_turn(void)
{
	while (late_first && late_first->due <= now) {
		struct late *x = late_first;

		late_first = x->next;
		if (!late_first)
			late_last = &late_first;
		leave(x->side, x->bytes, x->l);
		free(x);
	}
}

static int side_of(const struct half *h)
{
	return h->pbx ? 0 : 1;
}

/* Send, and again until somebody says keep(h, NULL, 0) */
static void keep(struct half *h, const char *p, size_t l)
{
	free(h->sent);
	h->sent = NULL;
	h->sent_l = 0;
	timer_stop(h);
	if (!p)
		return;
	h->sent = malloc(l);
	if (!h->sent)
		abort();
	memcpy(h->sent, p, l);
	h->sent_l = (uint16_t)l;
	h->wait = T1;
	h->began = now;
	send_bytes(side_of(h), p, l);
	timer_set(h, T1);
}

/* --- Reading ------------------------------------------------------------ */

struct read {
	struct text start, vias, routes, from, to, callid, cseq, contact, proof,
		login;
	uint16_t code;
};

static bool name_is(const char *line, size_t l, const char *name)
{
	return !strncasecmp(line, name, l) && !name[l];
}

static void take(struct text *t, const char *p, const char *end)
{
	while (p < end && *p == ' ')
		++p;
	*t = (struct text){ p, (size_t)(end - p) };
}

/* Header lines of one name stand together in what the SBC writes */
static void gather(struct text *t, const char *line, const char *next)
{
	if (!t->p)
		t->p = line;
	t->l = (size_t)(next - t->p);
}

static void header(struct read *m, const char *line, const char *end)
{
	const char *colon = memchr(line, ':', (size_t)(end - line));
	size_t l = colon ? (size_t)(colon - line) : 0;

	if (name_is(line, l, "Via"))
		gather(&m->vias, line, end + 2);
	else if (name_is(line, l, "Record-Route"))
		gather(&m->routes, line, end + 2);
	else if (name_is(line, l, "From"))
		take(&m->from, colon + 1, end);
	else if (name_is(line, l, "To"))
		take(&m->to, colon + 1, end);
	else if (name_is(line, l, "Call-ID"))
		take(&m->callid, colon + 1, end);
	else if (name_is(line, l, "CSeq"))
		take(&m->cseq, colon + 1, end);
	else if (name_is(line, l, "Contact"))
		take(&m->contact, colon + 1, end);
	else if (name_is(line, l, "Proxy-Authorization"))
		take(&m->proof, colon + 1, end);
	else if (name_is(line, l, "Authorization"))
		take(&m->login, colon + 1, end);
}

static bool message_read(struct read *m, const char *p, size_t l)
{
	const char *end = p + l, *line = p;

	memset(m, 0, sizeof(*m));
	while (line < end) {
		const char *cr = memchr(line, '\r', (size_t)(end - line));

		if (!cr || cr + 1 >= end)
			return false;
		if (cr == line)
			break;
		if (line == p)
			m->start = (struct text){ p, (size_t)(cr - p) };
		else
			header(m, line, cr);
		line = cr + 2;
	}
	if (m->start.l > 12 && !memcmp(p, "SIP/2.0 ", 8))
		m->code = (uint16_t)atoi(p + 8);

	return m->callid.p && m->cseq.p && m->from.p && m->to.p && m->vias.p;
}

static bool method_is(const struct text *cseq, const char *method)
{
	size_t l = strlen(method);

	return cseq->l > l && !memcmp(cseq->p + cseq->l - l, method, l);
}

/* --- The PBX ------------------------------------------------------------ */

static const char sdp[] = "v=0\r\no=- 1 1 IN IP4 %s\r\ns=-\r\nc=IN IP4 %s\r\n"
			  "t=0 0\r\nm=audio %d RTP/AVP 8 101\r\n"
			  "a=rtpmap:8 PCMA/8000\r\n"
			  "a=rtpmap:101 telephone-event/8000\r\n";

static size_t print(char *to, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static size_t print(char *to, const char *format, ...)
{
	va_list ap;
	int n;

	va_start(ap, format);
	n = vsnprintf(to, SIZE, format, ap);
	va_end(ap);

	return n < 0 || n >= SIZE ? 0 : (size_t)n;
}

static uint32_t called(const struct half *h)
{
	return option.one_number ? 1 : h->number;
}

static void invite(struct half *h)
{
	char body[512], out[SIZE];
	size_t n = print(body, sdp, option.pbx, option.pbx, 30000);

	n = print(out,
		  "INVITE sip:030%u@%s:5060 SIP/2.0\r\n"
		  "Via: SIP/2.0/UDP %s:5060;branch=z9hG4bKi%d-%u\r\n"
		  "Max-Forwards: 70\r\n"
		  "From: <sip:4930100@pbx-a.local>;tag=f%u\r\n"
		  "To: <sip:030%u@%s>\r\n"
		  "Call-ID: %u-%d@%s\r\n"
		  "CSeq: 1 INVITE\r\n"
		  "Contact: <sip:4930100@%s:5060>\r\n"
		  "Content-Type: application/sdp\r\n"
		  "Content-Length: %zu\r\n\r\n%s",
		  called(h), option.sbc, option.pbx, pid, h->number, h->number,
		  called(h), option.sbc, h->number, pid, option.pbx, option.pbx,
		  n, body);
	h->state = INVITED;
	keep(h, out, n);
	++count.begun;
	if (++count.under_way > count.most)
		count.most = count.under_way;
}

static void call_over(struct half *h, uint32_t *what)
{
	keep(h, NULL, 0);
	h->state = OVER;
	--count.under_way;
	++*what;
}

/* Contact without brackets and header parameters */
static struct text uri_of(struct text contact)
{
	const char *a = memchr(contact.p, '<', contact.l), *z;

	if (!a)
		return contact;
	z = memchr(a, '>', contact.l - (size_t)(a - contact.p));
	return z ? (struct text){ a + 1, (size_t)(z - a - 1) } : contact;
}

/* Record-Route lines as Route lines in reverse (RFC 3261 12.1.2): the SBC adds
 * none, a proxy in its place does. No comma in a line */
static void routes_write(char *out, struct text routes)
{
	const char *first = routes.p, *end = routes.p + routes.l;

	*out = '\0';
	while (first && end > first) {
		const char *line = end - 2;

		while (line > first && line[-1] != '\n')
			--line;
		out += print(out, "%.*s", (int)(end - line - 7), line + 7);
		end = line;
	}
}

/* ACK of a 2xx, or BYE, inside the dialog that this 2xx made */
static size_t within(const struct half *h, char *out, const char *method,
		     int cseq, const struct read *m)
{
	struct text target = uri_of(m->contact), to = m->to;
	char routes[SIZE];

	routes_write(routes, m->routes);
	return print(out,
		     "%s %.*s SIP/2.0\r\n"
		     "Via: SIP/2.0/UDP %s:5060;branch=z9hG4bK%c%d-%u\r\n%s"
		     "Max-Forwards: 70\r\n"
		     "From: <sip:4930100@pbx-a.local>;tag=f%u\r\n"
		     "To: %.*s\r\n"
		     "Call-ID: %u-%d@%s\r\n"
		     "CSeq: %d %s\r\n"
		     "Content-Length: 0\r\n\r\n",
		     method, (int)target.l, target.p, option.pbx, *method, pid,
		     h->number, routes, h->number, (int)to.l, to.p, h->number,
		     pid, option.pbx, cseq, method);
}

static void answered(struct half *h, const struct read *m)
{
	char out[SIZE];
	size_t n;

	if (h->ack) {
		++count.repeated;
		send_bytes(0, h->ack, h->ack_l);
		return;
	}
	if (h->state == OVER)
		return;
	n = now - h->began;
	++count.latency[n < LATENCIES ? n : LATENCIES - 1];
	++count.answered;
	keep(h, NULL, 0);
	n = within(h, out, "ACK", 1, m);
	h->ack = malloc(n);
	if (!h->ack)
		abort();
	memcpy(h->ack, out, n);
	h->ack_l = (uint16_t)n;
	send_bytes(0, out, n);
	h->state = TALKING;
	/* The BYE is kept written: `sent` is not repeated while talking */
	n = within(h, out, "BYE", 2, m);
	h->sent = malloc(n);
	if (!h->sent)
		abort();
	memcpy(h->sent, out, n);
	h->sent_l = (uint16_t)n;
	timer_set(h, option.hold);
}

static void refused(struct half *h, const struct read *m)
{
	char out[SIZE];
	size_t n = print(out,
			 "ACK sip:030%u@%s:5060 SIP/2.0\r\n"
			 "Via: SIP/2.0/UDP %s:5060;branch=z9hG4bKi%d-%u\r\n"
			 "Max-Forwards: 70\r\n"
			 "From: <sip:4930100@pbx-a.local>;tag=f%u\r\n"
			 "To: %.*s\r\n"
			 "Call-ID: %u-%d@%s\r\n"
			 "CSeq: 1 ACK\r\n"
			 "Content-Length: 0\r\n\r\n",
			 called(h), option.sbc, option.pbx, pid, h->number,
			 h->number, (int)m->to.l, m->to.p, h->number, pid,
			 option.pbx);

	send_bytes(0, out, n);
	if (h->state != INVITED && h->state != PROCEEDING)
		return;
	++count.codes[m->code < CODES ? m->code : 0];
	call_over(h, &count.failed);
}

static void pbx_response(const struct read *m)
{
	unsigned long number = strtoul(m->callid.p, NULL, 10);
	struct half *h;

	if (!m->code || number < 1 || number > option.calls) {
		++count.odd;
		return;
	}
	h = &calls[number - 1];
	if (method_is(&m->cseq, "BYE")) {
		if (h->state == LEAVING && m->code >= 200)
			call_over(h, m->code < 300 ? &count.completed
						   : &count.failed);
	} else if (m->code < 200) {
		if (h->state == INVITED) {
			h->state = PROCEEDING;
			timer_set(h, GIVE_UP); /* no Timer C of a phone */
		}
	} else if (m->code < 300) {
		answered(h, m);
	} else {
		refused(h, m);
	}
}

/* --- The trunk ---------------------------------------------------------- */

static uint32_t hash(const char *p, size_t l)
{
	uint64_t x = 14695981039346656037u;

	for (size_t i = 0; i < l; ++i)
		x = (x ^ (uint8_t)p[i]) * 1099511628211u;
	return (uint32_t)(x ^ x >> 32);
}

static struct half *trunk_find(struct text callid, bool make)
{
	struct half **slot = &table[hash(callid.p, callid.l) & table_mask], *h;
	static uint32_t number;

	for (h = *slot; h; h = h->chain)
		if (!strncmp(h->callid, callid.p, callid.l) &&
		    !h->callid[callid.l])
			return h;
	if (!make)
		return NULL;
	h = calloc(1, sizeof(*h));
	if (!h)
		abort();
	h->callid = strndup(callid.p, callid.l);
	h->number = ++number;
	h->chain = *slot;
	*slot = h;

	return h;
}

static size_t reply(char *out, const struct half *h, const struct read *m,
		    const char *status, const char *rest)
{
	bool tagged = memmem(m->to.p, m->to.l, ";tag=", 5);
	char tag[32] = "";

	if (!tagged)
		snprintf(tag, sizeof(tag), ";tag=%c%u",
			 *status == '4' ? 'c' : 't', h ? h->number : 0);
	return print(out,
		     "SIP/2.0 %s\r\n%.*s%.*sFrom: %.*s\r\nTo: %.*s%s\r\n"
		     "Call-ID: %.*s\r\nCSeq: %.*s\r\n%s",
		     status, (int)m->vias.l, m->vias.p, (int)m->routes.l,
		     m->routes.p ? m->routes.p : "", (int)m->from.l, m->from.p,
		     (int)m->to.l, m->to.p, tag, (int)m->callid.l, m->callid.p,
		     (int)m->cseq.l, m->cseq.p, rest);
}

static void md5(char hex[33], const char *a, size_t l)
{
	unsigned char digest[16];

	EVP_Digest(a, l, digest, NULL, EVP_md5(), NULL);
	for (int i = 0; i < 16; ++i)
		snprintf(hex + 2 * i, 3, "%02x", digest[i]);
}

/* Value of a parameter of the digest, without quotes */
static struct text param(struct text all, const char *name)
{
	size_t l = strlen(name);
	const char *end = all.p + all.l;

	for (const char *p = all.p; p + l + 1 < end; ++p) {
		const char *v = p + l + 1, *z;

		if ((p[-1] != ' ' && p[-1] != ',') || memcmp(p, name, l) ||
		    p[l] != '=')
			continue;
		if (*v == '"') {
			++v;
			z = memchr(v, '"', (size_t)(end - v));
		} else {
			for (z = v; z < end && *z != ',' && *z != ' '; ++z)
				;
		}
		return (struct text){ v, z ? (size_t)(z - v) : 0 };
	}
	return (struct text){ "", 0 };
}

/* RFC 2617 3.2.2 with qop=auth */
static bool digest_is_right(struct text proof, const char *method,
			    struct text user, const char *realm,
			    const char *password)
{
	struct text uri = param(proof, "uri"), nc = param(proof, "nc");
	struct text cnonce = param(proof, "cnonce");
	struct text nonce = param(proof, "nonce");
	struct text response = param(proof, "response");
	char text[SIZE], ha1[33], ha2[33], wanted[33];
	size_t n;

	n = print(text, "%.*s:%s:%s", (int)user.l, user.p, realm, password);
	md5(ha1, text, n);
	n = print(text, "%s:%.*s", method, (int)uri.l, uri.p);
	md5(ha2, text, n);
	n = print(text, "%s:%.*s:%.*s:%.*s:auth:%s", ha1, (int)nonce.l, nonce.p,
		  (int)nc.l, nc.p, (int)cnonce.l, cnonce.p, ha2);
	md5(wanted, text, n);

	return response.l == 32 && !memcmp(response.p, wanted, 32);
}

static bool proof_is_right(const struct half *h, struct text proof)
{
	struct text user = { option.user, strlen(option.user) };
	struct text nonce = param(proof, "nonce");
	char ours[16];
	size_t n = print(ours, "n%ux", h->nonce);

	return nonce.l >= n && !memcmp(nonce.p, ours, n) &&
	       digest_is_right(proof, "INVITE", user, option.realm,
			       option.password);
}

static void challenge(struct half *h, const struct read *m)
{
	char out[SIZE], rest[256];
	size_t n;

	h->nonce = h->number;
	print(rest,
	      "Proxy-Authenticate: Digest realm=\"%s\", nonce=\"n%ux%d\", "
	      "qop=\"auth\", algorithm=MD5\r\nContent-Length: 0\r\n\r\n",
	      option.realm, h->nonce, pid);
	n = reply(out, h, m, "407 Proxy Authentication Required", rest);
	h->state = CHALLENGED;
	++count.challenged;
	keep(h, out, n);
}

/* 180 at once; the 200 is written now and leaves after --answer */
static void ring(struct half *h, const struct read *m)
{
	char out[SIZE], rest[1024], body[512];
	size_t n;

	print(rest,
	      "Contact: <sip:carrier@%s:5060>\r\nContent-Length: 0\r\n\r\n",
	      option.trunk);
	n = reply(out, h, m, "180 Ringing", rest);
	send_bytes(1, out, n);

	n = print(body, sdp, option.trunk, option.trunk, 30100);
	print(rest,
	      "Contact: <sip:carrier@%s:5060>\r\n"
	      "Content-Type: application/sdp\r\n"
	      "Content-Length: %zu\r\n\r\n%s",
	      option.trunk, n, body);
	n = reply(out, h, m, "200 OK", rest);
	keep(h, NULL, 0);
	h->sent = malloc(n);
	if (!h->sent)
		abort();
	memcpy(h->sent, out, n);
	h->sent_l = (uint16_t)n;
	h->state = INVITED;
	timer_set(h, option.answer);
}

static void trunk_invite(const struct read *m)
{
	struct half *h = trunk_find(m->callid, true);

	switch (h->state) {
	case IDLE:
		if (!option.realm) {
			ring(h, m);
			return;
		}
		/* fallthrough */
	case CHALLENGED:
	case WAITING:
		if (!m->proof.p) {
			if (h->state == CHALLENGED)
				send_bytes(1, h->sent, h->sent_l);
			else if (h->state == IDLE)
				challenge(h, m);
			return;
		}
		if (h->state == IDLE || !proof_is_right(h, m->proof))
			++count.wrong_digests;
		ring(h, m);
		return;
	default:
		++count.repeated; /* 200 is repeated by itself */
	}
}

/* A registrar without memory: each answer to a challenge of its own is as good
 * as another, and nothing is repeated */
static void registrar(const struct read *m)
{
	uint64_t second = (now - start) / 1000;
	struct text contact = uri_of(m->contact);
	char out[SIZE], rest[SIZE];

	++count.registers;
	if (second < SECONDS)
		++count.registers_in[second];
	if (!m->login.p) {
		print(rest,
		      "WWW-Authenticate: Digest realm=\"%s\", "
		      "nonce=\"r%u\", qop=\"auth\", algorithm=MD5\r\n"
		      "Content-Length: 0\r\n\r\n",
		      option.register_realm, count.registers);
		send_bytes(1, out,
			   reply(out, NULL, m, "401 Unauthorized", rest));
		return;
	}
	if (!digest_is_right(m->login, "REGISTER", param(m->login, "username"),
			     option.register_realm, option.register_password)) {
		++count.wrong_digests;
		send_bytes(1, out,
			   reply(out, NULL, m, "403 Forbidden",
				 "Content-Length: 0\r\n\r\n"));
		return;
	}
	++count.granted;
	print(rest, "Contact: <%.*s>;expires=%s\r\nContent-Length: 0\r\n\r\n",
	      (int)contact.l, contact.p, option.expires);
	send_bytes(1, out, reply(out, NULL, m, "200 OK", rest));
}

static void trunk_request(const struct read *m)
{
	char out[SIZE];
	struct half *h;

	if (m->code) {
		++count.odd;
	} else if (option.expires && method_is(&m->cseq, " REGISTER")) {
		registrar(m);
	} else if (method_is(&m->cseq, " INVITE")) {
		trunk_invite(m);
	} else if (method_is(&m->cseq, " ACK")) {
		h = trunk_find(m->callid, false);
		if (!h || (h->state != CHALLENGED && h->state != ANSWERED))
			return;
		h->state = h->state == CHALLENGED ? WAITING : TALKING;
		keep(h, NULL, 0);
	} else {
		h = trunk_find(m->callid, false);
		if (h && method_is(&m->cseq, " BYE")) {
			keep(h, NULL, 0);
			h->state = OVER;
		}
		send_bytes(1, out,
			   reply(out, h, m, "200 OK",
				 "Content-Length: 0\r\n\r\n"));
		/* CANCEL of a call that rings: the caller had given up */
		if (!h || !method_is(&m->cseq, " CANCEL") ||
		    h->state != INVITED)
			return;
		h->state = OVER;
		keep(h, NULL, 0);
	}
}

/* --- The loop ----------------------------------------------------------- */

static void half_due(struct half *h)
{
	if (!h->pbx && h->state == INVITED) {
		h->state = ANSWERED;
		h->began = now;
		h->wait = T1;
	} else if (h->pbx && h->state == TALKING) {
		h->state = LEAVING;
		h->began = now;
		h->wait = T1;
	} else if (now - h->began >= GIVE_UP) {
		if (h->pbx) {
			call_over(h, &count.silent);
		} else {
			keep(h, NULL, 0);
			h->state = OVER;
		}
		return;
	} else {
		++count.repeated;
		h->wait *= 2;
		/* INVITE goes on doubling (17.1.1.2), all else stays at T2 */
		if (h->wait > T2 && !(h->pbx && h->state == INVITED))
			h->wait = T2;
	}
	send_bytes(side_of(h), h->sent, h->sent_l);
	timer_set(h, h->wait);
}

static void wheel_turn(void)
{
	for (; wheel_at <= now; ++wheel_at) {
		struct half *h = wheel[wheel_at % WHEEL], *next;

		for (; h; h = next) {
			next = h->next;
			if (h->due <= now) {
				timer_stop(h);
				half_due(h);
			} else {
				timer_set(h, h->due - now);
			}
		}
	}
}

static void receive(int side)
{
	static char bytes[BATCH][SIZE];
	static struct iovec v[BATCH];
	static struct mmsghdr m[BATCH];
	static struct sockaddr_in from[BATCH];
	struct read r;
	int n;

	do {
		for (int i = 0; i < BATCH; ++i) {
			v[i] = (struct iovec){ bytes[i], SIZE - 1 };
			m[i].msg_hdr =
				(struct msghdr){ .msg_name = &from[i],
						 .msg_namelen = sizeof(from[i]),
						 .msg_iov = &v[i],
						 .msg_iovlen = 1 };
		}
		n = recvmmsg(sockets[side], m, BATCH, MSG_DONTWAIT, NULL);
		for (int i = 0; i < n; ++i) {
			bytes[i][m[i].msg_len] = '\0';
			peers[side] = from[i];
			if (!message_read(&r, bytes[i], m[i].msg_len))
				++count.odd;
			else if (side)
				trunk_request(&r);
			else
				pbx_response(&r);
		}
	} while (n == BATCH);
}

static bool is_busy(void)
{
	return count.begun < option.calls || count.under_way || late_first ||
	       now < start + option.seconds * 1000ull;
}

static void run(void)
{
	struct pollfd fds[] = { { .fd = sockets[0], .events = POLLIN },
				{ .fd = sockets[1], .events = POLLIN } };
	now = wheel_at = start = clock_now();
	while (is_busy()) {
		uint64_t due;

		(void)poll(fds, 2, 1);
		now = clock_now();
		due = (now - start) * option.rate / 1000 + 1;
		if (due > option.calls)
			due = option.calls;
		while (count.begun < due)
			invite(&calls[count.begun]);
		receive(1);
		receive(0);
		wheel_turn();
		late_turn();
		flush(0);
		flush(1);
	}
	now = clock_now() - start;
}

/* --- Start and report --------------------------------------------------- */

static int socket_open(const char *ip)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
				  .sin_port = htons(5060) };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	int size = BUFFERS;

	if (fd < 0 || inet_pton(AF_INET, ip, &at.sin_addr) != 1 ||
	    bind(fd, (struct sockaddr *)&at, sizeof(at))) {
		fprintf(stderr, "generator: %s: %s\n", ip, strerror(errno));
		exit(2);
	}
	/* Root may go beyond net.core.rmem_max */
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)))
		(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size,
				 sizeof(size));

	return fd;
}

static uint32_t percentile(uint32_t percent)
{
	uint64_t wanted = (uint64_t)count.answered * percent / 100, seen = 0;

	for (uint32_t i = 0; i < LATENCIES; ++i) {
		seen += count.latency[i];
		if (seen > wanted)
			return i;
	}
	return 0;
}

static uint32_t most_registers(void)
{
	uint32_t most = 0;

	for (uint32_t i = 0; i < SECONDS; ++i)
		if (count.registers_in[i] > most)
			most = count.registers_in[i];
	return most;
}

static void report(void)
{
	const char *comma = "";
	struct rusage use;

	getrusage(RUSAGE_SELF, &use);
	printf("{\"calls\": %u, \"completed\": %u, \"answered\": %u, "
	       "\"refused\": %u, \"silent\": %u, \"repeated\": %u, "
	       "\"dropped\": %u, \"challenged\": %u, \"wrong_digests\": %u, "
	       "\"odd\": %u, \"most\": %u, \"seconds\": %.3f, \"cpu\": %.2f, "
	       "\"p50\": %u, \"p99\": %u, "
	       "\"registers\": %u, \"granted\": %u, "
	       "\"most_registers\": %u, \"codes\": {",
	       count.begun, count.completed, count.answered, count.failed,
	       count.silent, count.repeated, count.dropped, count.challenged,
	       count.wrong_digests, count.odd, count.most, (double)now / 1000,
	       (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) +
		       (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec) /
			       1e6,
	       percentile(50), percentile(99), count.registers, count.granted,
	       most_registers());
	for (uint32_t i = 0; i < CODES; ++i)
		if (count.codes[i]) {
			printf("%s\"%u\": %u", comma, i, count.codes[i]);
			comma = ", ";
		}
	printf("}}\n");
}

static void challenge_option(char *text)
{
	option.realm = strsep(&text, ":");
	option.user = strsep(&text, ":");
	option.password = text;
}

static void registrar_option(char *text)
{
	option.register_realm = strsep(&text, ":");
	option.register_password = strsep(&text, ":");
	option.expires = text;
}

static void options_read(int argc, char *argv[])
{
	static const struct option known[] = {
		{ "pbx", 1, NULL, 'p' },        { "trunk", 1, NULL, 't' },
		{ "sbc", 1, NULL, 's' },        { "calls", 1, NULL, 'n' },
		{ "rate", 1, NULL, 'r' },       { "hold", 1, NULL, 'h' },
		{ "answer", 1, NULL, 'a' },     { "challenge", 1, NULL, 'c' },
		{ "loss", 1, NULL, 'l' },       { "registrar", 1, NULL, 'R' },
		{ "seconds", 1, NULL, 'S' },    { "delay", 1, NULL, 'd' },
		{ "one-number", 0, NULL, 'o' }, { NULL, 0, NULL, 0 }
	};
	int c;

	while ((c = getopt_long(argc, argv, "", known, NULL)) != -1) {
		uint32_t n = optarg ? (uint32_t)strtoul(optarg, NULL, 10) : 0;

		switch (c) {
		case 'p':
			option.pbx = optarg;
			break;
		case 't':
			option.trunk = optarg;
			break;
		case 's':
			option.sbc = optarg;
			break;
		case 'n':
			option.calls = n;
			break;
		case 'r':
			option.rate = n;
			break;
		case 'h':
			option.hold = n;
			break;
		case 'a':
			option.answer = n;
			break;
		case 'c':
			challenge_option(optarg);
			break;
		case 'R':
			registrar_option(optarg);
			break;
		case 'S':
			option.seconds = n;
			break;
		case 'l':
			option.loss = strtod(optarg, NULL);
			break;
		case 'd':
			option.delay = n;
			break;
		case 'o':
			option.one_number = true;
			break;
		default:
			exit(2);
		}
	}
	if (!option.pbx || !option.trunk || !option.sbc || !option.rate ||
	    (option.realm && !option.password) ||
	    (option.register_realm && !option.expires)) {
		fputs("generator: --pbx, --trunk and --sbc are needed\n",
		      stderr);
		exit(2);
	}
}

int main(int argc, char *argv[])
{
	options_read(argc, argv);
	pid = (int)getpid();
	peers[0].sin_family = AF_INET;
	peers[0].sin_port = htons(5060);
	if (inet_pton(AF_INET, option.sbc, &peers[0].sin_addr) != 1)
		return 2;
	calls = calloc(option.calls + 1, sizeof(*calls));
	for (table_mask = 1; table_mask < option.calls; table_mask *= 2)
		;
	table = calloc(table_mask, sizeof(struct half *));
	if (!calls || !table)
		return 2;
	--table_mask;
	for (uint32_t i = 0; i < option.calls; ++i) {
		calls[i].number = i + 1;
		calls[i].pbx = true;
	}
	sockets[0] = socket_open(option.pbx);
	sockets[1] = socket_open(option.trunk);
	run();
	report();

	return count.completed == option.calls && !count.wrong_digests ? 0 : 1;
}
