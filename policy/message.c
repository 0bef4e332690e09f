/*
 * A SIP message as ranges of its bytes, and edits on top of them
 *
 * The scan reads each byte of the header section once, many at a time where
 * nothing happens. What ends it is kept as the first fault; it goes on from the
 * next line, because a request that can be copied far enough gets an answer.
 * A line at fault never becomes a header.
 *
 * Edits: a changed or added line is written out whole into memory that never
 * moves, so ranges and header pointers stay good as long as the message. The
 * `at` of such a header is its place in edits->lines. A clone keeps the edits
 * it was made from alive and adds its own.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif
#include "store/base.h"
#include "store/number.h"
#include "policy/header.h"
#include "policy/message.h"

enum {
	HEADERS_INLINE = 48, /* in the block of the message */
	HEADERS_MAX = 256,
	SECTION_MAX = 16384, /* start line to blank line [bytes] */
	NAME_LONGEST = 25,   /* of those with an id */
	NAME_ROOM = 32,
	CHUNK = 2048 /* of edited lines [bytes] */
};

_Static_assert(HDR_IDS <= 64, "a header_set has 64 bits");

/* Parts that are not there are empty, not NULL */
#define NONE                                                                   \
	{                                                                      \
		"", 0                                                          \
	}

/* What the scan decoded, kept for those who ask again */
struct decoded {
	struct via via;
	struct pl via_text;
	struct address from, to;
	struct uri uri;
	bool has_via, has_from, has_to, has_uri;
};

/* A message with its first headers; what is allocated */
struct block {
	struct message msg; /* first: a message is found in its block */
	struct decoded decoded;
	struct header headers[HEADERS_INLINE];
};

struct chunk {
	struct chunk *next;
	size_t used, size;
	char text[];
};

struct added {
	struct added *next;
	struct header h;
};

struct edits {
	struct edits *base; /* whose lines may be pointed to */
	struct chunk *chunks;
	const char **lines; /* texts, each a line with CRLF */
	uint32_t lines_n, lines_size;
	struct added *first, *last; /* in chunks */
};

/* Names -------------------------------------------------------------------- */

/* clang-format off */
static const char names[HDR_IDS][NAME_ROOM] = {
	[HDR_OTHER] = "",
	[HDR_VIA] = "Via",
	[HDR_FROM] = "From",
	[HDR_TO] = "To",
	[HDR_CALL_ID] = "Call-ID",
	[HDR_CSEQ] = "CSeq",
	[HDR_MAX_FORWARDS] = "Max-Forwards",
	[HDR_CONTACT] = "Contact",
	[HDR_ROUTE] = "Route",
	[HDR_RECORD_ROUTE] = "Record-Route",
	[HDR_CONTENT_LENGTH] = "Content-Length",
	[HDR_CONTENT_TYPE] = "Content-Type",
	[HDR_CONTENT_ENCODING] = "Content-Encoding",
	[HDR_CONTENT_DISPOSITION] = "Content-Disposition",
	[HDR_ACCEPT] = "Accept",
	[HDR_ALLOW] = "Allow",
	[HDR_ALLOW_EVENTS] = "Allow-Events",
	[HDR_SUPPORTED] = "Supported",
	[HDR_REQUIRE] = "Require",
	[HDR_PROXY_REQUIRE] = "Proxy-Require",
	[HDR_UNSUPPORTED] = "Unsupported",
	[HDR_AUTHORIZATION] = "Authorization",
	[HDR_PROXY_AUTHORIZATION] = "Proxy-Authorization",
	[HDR_WWW_AUTHENTICATE] = "WWW-Authenticate",
	[HDR_PROXY_AUTHENTICATE] = "Proxy-Authenticate",
	[HDR_AUTHENTICATION_INFO] = "Authentication-Info",
	[HDR_PROXY_AUTHENTICATION_INFO] = "Proxy-Authentication-Info",
	[HDR_EXPIRES] = "Expires",
	[HDR_MIN_EXPIRES] = "Min-Expires",
	[HDR_RETRY_AFTER] = "Retry-After",
	[HDR_REASON] = "Reason",
	[HDR_WARNING] = "Warning",
	[HDR_USER_AGENT] = "User-Agent",
	[HDR_SERVER] = "Server",
	[HDR_ORGANIZATION] = "Organization",
	[HDR_PATH] = "Path",
	[HDR_SERVICE_ROUTE] = "Service-Route",
	[HDR_P_ASSOCIATED_URI] = "P-Associated-URI",
	[HDR_P_ASSERTED_IDENTITY] = "P-Asserted-Identity",
	[HDR_P_PREFERRED_IDENTITY] = "P-Preferred-Identity",
	[HDR_P_CALLED_PARTY_ID] = "P-Called-Party-ID",
	[HDR_PRIVACY] = "Privacy",
	[HDR_DIVERSION] = "Diversion",
	[HDR_HISTORY_INFO] = "History-Info",
	[HDR_REFER_TO] = "Refer-To",
	[HDR_REFERRED_BY] = "Referred-By",
	[HDR_REPLACES] = "Replaces",
	[HDR_IN_REPLY_TO] = "In-Reply-To",
	[HDR_TARGET_DIALOG] = "Target-Dialog",
	[HDR_RSEQ] = "RSeq",
	[HDR_RACK] = "RAck",
	[HDR_SESSION_EXPIRES] = "Session-Expires",
	[HDR_MIN_SE] = "Min-SE",
	[HDR_EVENT] = "Event",
	[HDR_SUBSCRIPTION_STATE] = "Subscription-State",
	[HDR_SUBJECT] = "Subject",
	[HDR_DATE] = "Date",
	[HDR_TIMESTAMP] = "Timestamp",
	[HDR_MIME_VERSION] = "MIME-Version",
	[HDR_SECURITY_CLIENT] = "Security-Client",
	[HDR_SECURITY_VERIFY] = "Security-Verify",
	[HDR_SECURITY_SERVER] = "Security-Server",
};

/* Ids by length of the name: a name meets at most seven candidates */
static const uint8_t by_length[NAME_LONGEST + 1][8] = {
	[2] = { HDR_TO },
	[3] = { HDR_VIA },
	[4] = { HDR_FROM, HDR_CSEQ, HDR_PATH, HDR_RSEQ, HDR_RACK, HDR_DATE },
	[5] = { HDR_ALLOW, HDR_ROUTE, HDR_EVENT },
	[6] = { HDR_ACCEPT, HDR_SERVER, HDR_REASON, HDR_MIN_SE },
	[7] = { HDR_CALL_ID, HDR_CONTACT, HDR_REQUIRE, HDR_EXPIRES,
		HDR_WARNING, HDR_PRIVACY, HDR_SUBJECT },
	[8] = { HDR_REFER_TO, HDR_REPLACES },
	[9] = { HDR_SUPPORTED, HDR_DIVERSION, HDR_TIMESTAMP },
	[10] = { HDR_USER_AGENT },
	[11] = { HDR_RETRY_AFTER, HDR_MIN_EXPIRES, HDR_REFERRED_BY,
		 HDR_IN_REPLY_TO, HDR_UNSUPPORTED },
	[12] = { HDR_MAX_FORWARDS, HDR_CONTENT_TYPE, HDR_RECORD_ROUTE,
		 HDR_ALLOW_EVENTS, HDR_ORGANIZATION, HDR_HISTORY_INFO,
		 HDR_MIME_VERSION },
	[13] = { HDR_AUTHORIZATION, HDR_PROXY_REQUIRE, HDR_SERVICE_ROUTE,
		 HDR_TARGET_DIALOG },
	[14] = { HDR_CONTENT_LENGTH },
	[15] = { HDR_SESSION_EXPIRES, HDR_SECURITY_CLIENT,
		 HDR_SECURITY_VERIFY, HDR_SECURITY_SERVER },
	[16] = { HDR_CONTENT_ENCODING, HDR_WWW_AUTHENTICATE,
		 HDR_P_ASSOCIATED_URI },
	[17] = { HDR_P_CALLED_PARTY_ID },
	[18] = { HDR_PROXY_AUTHENTICATE, HDR_SUBSCRIPTION_STATE },
	[19] = { HDR_PROXY_AUTHORIZATION, HDR_P_ASSERTED_IDENTITY,
		 HDR_CONTENT_DISPOSITION, HDR_AUTHENTICATION_INFO },
	[20] = { HDR_P_PREFERRED_IDENTITY },
	[25] = { HDR_PROXY_AUTHENTICATION_INFO },
};

/* RFC 3261 7.3.3 and the registry of compact forms */
static const uint8_t compact[26] = {
	['b' - 'a'] = HDR_REFERRED_BY,
	['c' - 'a'] = HDR_CONTENT_TYPE,
	['e' - 'a'] = HDR_CONTENT_ENCODING,
	['f' - 'a'] = HDR_FROM,
	['i' - 'a'] = HDR_CALL_ID,
	['k' - 'a'] = HDR_SUPPORTED,
	['l' - 'a'] = HDR_CONTENT_LENGTH,
	['m' - 'a'] = HDR_CONTACT,
	['o' - 'a'] = HDR_EVENT,
	['r' - 'a'] = HDR_REFER_TO,
	['s' - 'a'] = HDR_SUBJECT,
	['t' - 'a'] = HDR_TO,
	['u' - 'a'] = HDR_ALLOW_EVENTS,
	['v' - 'a'] = HDR_VIA,
	['x' - 'a'] = HDR_SESSION_EXPIRES,
};

static const char *const methods[METHODS] = {
	[METHOD_OTHER] = "",
	[INVITE] = "INVITE",
	[ACK] = "ACK",
	[CANCEL] = "CANCEL",
	[BYE] = "BYE",
	[OPTIONS] = "OPTIONS",
	[REGISTER] = "REGISTER",
	[INFO] = "INFO",
	[PRACK] = "PRACK",
	[UPDATE] = "UPDATE",
	[REFER] = "REFER",
	[SUBSCRIBE] = "SUBSCRIBE",
	[NOTIFY] = "NOTIFY",
	[MESSAGE] = "MESSAGE",
	[PUBLISH] = "PUBLISH",
};

/* token of RFC 3261 25.1 */
static const bool token_char[256] = {
	['!'] = 1, ['%'] = 1, ['\''] = 1, ['*'] = 1, ['+'] = 1, ['-'] = 1,
	['.'] = 1, ['0' ... '9'] = 1, ['A' ... 'Z'] = 1, ['_'] = 1,
	['`'] = 1, ['a' ... 'z'] = 1, ['~'] = 1,
};
/* clang-format on */

/* Does a text differ from the name of a header in the case of letters at most? Both
 * have NAME_ROOM bytes, zeros behind. Of what stands in names only letters are
 * above 0x40, so the bit that tells small from capital ones is left out there */
static bool same_padded(const char *text, const char *name)
{
	/* side by side: compilers have this for any processor */
	typedef uint64_t words __attribute__((vector_size(NAME_ROOM)));
	words x, y, differ;
	uint64_t any = 0;

	memcpy(&x, text, sizeof(x));
	memcpy(&y, name, sizeof(y));
	differ = (x ^ y) & ~((y & 0x4040404040404040) >> 1);

	for (size_t i = 0; i < NAME_ROOM / sizeof(any); ++i)
		any |= differ[i];

	return !any;
}

static bool same_nocase(const char *a, const char *b, size_t n)
{
	size_t i;

	for (i = 0; i < n; ++i) {
		if (lower(a[i]) != lower(b[i]))
			return false;
	}

	return true;
}

static enum header_id find_id(const char *name, size_t len)
{
	char padded[NAME_ROOM] = { 0 };
	const uint8_t *id;
	char c;

	if (len == 1) {
		c = lower(*name);
		return c >= 'a' && c <= 'z' ? compact[c - 'a'] : HDR_OTHER;
	}
	if (!len || len > NAME_LONGEST)
		return HDR_OTHER;

	memcpy(padded, name, len);
	for (id = by_length[len]; *id; ++id) {
		if (same_padded(padded, names[*id]))
			return *id;
	}

	return HDR_OTHER;
}

const char *header_id_name(enum header_id id)
{
	return id < HDR_IDS ? names[id] : "";
}

enum header_id header_id_find(const struct pl *name)
{
	return find_id(name->p, name->l);
}

const char *method_name(enum method_id id)
{
	return id < METHODS ? methods[id] : "";
}

enum method_id method_find(const struct pl *name)
{
	unsigned i;

	for (i = METHOD_OTHER + 1; i < METHODS; ++i) {
		if (name->l && *name->p == *methods[i] &&
		    strlen(methods[i]) == name->l &&
		    !memcmp(name->p, methods[i], name->l))
			return i;
	}

	return METHOD_OTHER;
}

/* Scan --------------------------------------------------------------------- */

struct scan {
	struct message *msg;
	struct decoded *decoded;
	struct mbuf *mb;
	char *p, *end; /* what is left */
	char *start;
	struct scan_result *result;
	uint64_t seen;   /* ids of headers */
	uint64_t broken; /* ids of headers whose value cannot be read */
	uint64_t length; /* Content-Length */
	bool bad_line;
};

static void edits_destructor(void *arg);

static void message_destructor(void *arg)
{
	struct block *block = arg;

	if (block->msg.headers != block->headers)
		mem_deref(block->msg.headers);
	mem_deref(block->msg.edits);
	mem_deref(block->msg.mb);
}

static struct message *message_alloc(struct mbuf *mb)
{
	static const struct message empty = {
		.method = NONE,
		.ruri = NONE,
		.reason = NONE,
		.callid = NONE,
		.branch = NONE,
		.from_tag = NONE,
		.to_tag = NONE,
		.body = NONE,
	};
	/* The headers are written before they are read: not zeroed */
	struct block *block = mem_alloc(sizeof(*block), message_destructor);

	if (!block)
		return NULL;

	block->msg = empty;
	block->msg.headers = block->headers;
	block->msg.mb = mem_ref(mb);
	block->decoded.has_via = block->decoded.has_uri = false;
	block->decoded.has_from = block->decoded.has_to = false;

	return &block->msg;
}

static struct decoded *decoded_of(const struct message *msg)
{
	return &((struct block *)(uintptr_t)msg)->decoded;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static uint64_t bit(enum header_id id)
{
	return (uint64_t)1 << id;
}

/* The first fault is the one that is told */
static void fault(struct scan *s, enum scan_fault f, enum header_id id)
{
	if (s->result->fault != SCAN_OK)
		return;

	s->result->fault = f;
	s->result->header = id;
}

#ifdef __SSE2__
/* First CR, LF or NUL in what can be looked at sixteen bytes at a time; NULL: none,
 * and *pp is behind that */
static char *stop_wide(char **pp, const char *end)
{
	const __m128i cr = _mm_set1_epi8('\r'), lf = _mm_set1_epi8('\n');
	char *p = *pp;

	for (; end - p >= 16; p += 16) {
		__m128i w = _mm_loadu_si128((const __m128i *)(void *)p);
		__m128i hit = _mm_or_si128(_mm_cmpeq_epi8(w, cr),
					   _mm_cmpeq_epi8(w, lf));
		int hits;

		hit = _mm_or_si128(hit, _mm_cmpeq_epi8(w, _mm_setzero_si128()));
		hits = _mm_movemask_epi8(hit);
		if (hits)
			return p + __builtin_ctz((unsigned)hits);
	}
	*pp = p;

	return NULL;
}
#else
static char *stop_wide(char **pp, const char *end)
{
	(void)pp;
	(void)end;

	return NULL;
}
#endif

/* First CR, LF or NUL, or the end. Where there is nothing wider, eight bytes are
 * skipped at once when none of them is below 14; a TAB costs a look at each. */
static char *stop(char *p, const char *end)
{
	const uint64_t ones = 0x0101010101010101;
	char *found = stop_wide(&p, end);
	uint64_t w;

	if (found)
		return found;
	for (;;) {
		while (end - p >= 8) {
			memcpy(&w, p, 8);
			if ((w - ones * 14) & ~w & ones * 0x80)
				break;
			p += 8;
		}
		if (p == end)
			return p;
		if (*p == '\r' || *p == '\n' || !*p)
			return p;
		++p;
	}
}

/* Behind the next CRLF; the end if there is none. Whatever stands before it was
 * refused already. */
static char *next_line(char *p, char *end)
{
	while (p < end) {
		p = memchr(p, '\n', (size_t)(end - p));
		if (!p)
			return end;
		++p;
		if (p[-2] == '\r')
			return p;
	}

	return end;
}

static bool is_crlf(const char *p, const char *end)
{
	return end - p >= 2 && p[0] == '\r' && p[1] == '\n';
}

static int headers_grow(struct message *msg)
{
	struct header *headers;

	headers = mem_alloc(HEADERS_MAX * sizeof(*headers), NULL);
	if (!headers)
		return ENOMEM;

	memcpy(headers, msg->headers, msg->n * sizeof(*headers));
	msg->headers = headers;
	return 0;
}

static struct pl pl_of(const char *p, const char *e)
{
	struct pl pl = { p, (size_t)(e - p) };

	return pl;
}

static int read_via(struct scan *s, const struct pl *value)
{
	struct decoded *d = s->decoded;

	if (via_read_top(&d->via, &d->via_text, value))
		return EINVAL;

	d->has_via = true;
	s->msg->branch = d->via.branch;
	return 0;
}

static int read_call_id(struct pl *callid, const struct pl *value)
{
	const uint64_t ones = 0x0101010101010101;
	size_t i = 0;
	uint64_t w;

	/* eight at once: none is a blank or below, none is DEL */
	for (; i + 8 <= value->l; i += 8) {
		memcpy(&w, value->p + i, 8);
		w = ((w - ones * 0x21) & ~w) |
		    (((w ^ ones * 0x7f) - ones) & ~(w ^ ones * 0x7f));
		if (w & ones * 0x80)
			return EINVAL;
	}
	for (; i < value->l; ++i) {
		if ((uint8_t)value->p[i] <= ' ' || value->p[i] == 0x7f)
			return EINVAL;
	}

	*callid = *value;
	return value->l ? 0 : EINVAL;
}

static int read_cseq(struct scan *s, const struct pl *value)
{
	struct message *msg = s->msg;
	struct pl method;

	if (cseq_read(&msg->cseq, &method, value))
		return EINVAL;

	if (msg->code)
		msg->method = method;
	else if (method.l != msg->method.l ||
		 memcmp(method.p, msg->method.p, method.l))
		fault(s, SCAN_CSEQ_METHOD, HDR_CSEQ);

	return 0;
}

/* From and To of an answer are ours, and what they say we knew: its tags are all
 * that counts, and the rest is read for who asks */
static int read_party(struct scan *s, struct address *addr, bool *has,
		      struct pl *tag, const struct pl *value)
{
	int err;

	if (s->msg->code)
		return address_tag(tag, value);

	err = address_read_tagged(addr, tag, value);
	*has = !err;

	return err;
}

/* The headers that a message stands on are read while they are in the cache;
 * true if it was the first of its kind */
static void header_check(struct scan *s, enum header_id id,
			 const struct pl *value)
{
	struct message *msg = s->msg;
	const bool again = (s->seen & bit(id)) != 0;
	uint64_t length = 0;
	int err = 0;

	s->seen |= bit(id);
	if (again && (id == HDR_FROM || id == HDR_TO || id == HDR_CALL_ID ||
		      id == HDR_CSEQ)) {
		fault(s, SCAN_DUPLICATE, id);
		return;
	}

	switch (id) {
	case HDR_VIA:
		/* Only the top one is ours to read */
		if (!again)
			err = read_via(s, value);
		break;
	case HDR_FROM:
		err = read_party(s, &s->decoded->from, &s->decoded->has_from,
				 &msg->from_tag, value);
		break;
	case HDR_TO:
		err = read_party(s, &s->decoded->to, &s->decoded->has_to,
				 &msg->to_tag, value);
		break;
	case HDR_CALL_ID:
		err = read_call_id(&msg->callid, value);
		break;
	case HDR_CSEQ:
		err = read_cseq(s, value);
		break;
	case HDR_CONTENT_LENGTH:
		err = uint_parse(&length, value, UINT32_MAX);
		if (!err && again && length != s->length)
			fault(s, SCAN_DUPLICATE, id);
		s->length = length;
		break;
	default:
		return;
	}

	if (err) {
		s->broken |= bit(id);
		fault(s, SCAN_BAD_VALUE, id);
	}
}

/* Blanks take the place of the CRLF before a folded line. A line of blanks only
 * is no continuation: peers disagree whether it ends the headers. */
static char *unfold(struct scan *s, char *p)
{
	for (;;) {
		p = stop(p, s->end);
		if (!is_crlf(p, s->end))
			return NULL;
		if (p + 2 == s->end || !is_blank(p[2]))
			return p;

		p[0] = p[1] = ' ';
		p += 2;
		while (p < s->end && is_blank(*p))
			++p;
		if (p == s->end || *p == '\r' || *p == '\n')
			return NULL;
	}
}

/* Length of the token at the beginning of a line, and which header has that name.
 * A name that is known is a token: then no character is looked at by itself */
static size_t name_read(enum header_id *id, const char *line, const char *end)
{
	const size_t most = (size_t)(end - line);
	const char *p = memchr(line, ':',
			       most > NAME_LONGEST ? NAME_LONGEST + 1 : most);

	if (p) {
		*id = find_id(line, (size_t)(p - line));
		if (*id != HDR_OTHER)
			return (size_t)(p - line);
	}
	for (p = line; p < end && token_char[(uint8_t)*p];)
		++p;
	*id = find_id(line, (size_t)(p - line));

	return (size_t)(p - line);
}

/* One header, from s->p to behind its CRLF */
static int scan_header(struct scan *s)
{
	struct message *msg = s->msg;
	char *line = s->p, *p, *value, *e;
	struct header *h;
	enum header_id id;
	size_t name_len = name_read(&id, line, s->end);
	struct pl pl;
	int err;

	p = line + name_len;
	while (p < s->end && is_blank(*p))
		++p;
	if (!name_len || p == s->end || *p != ':')
		goto bad;

	value = p + 1;
	e = unfold(s, value);
	if (!e)
		goto bad;
	s->p = e + 2;
	/* Offsets below have 16 bits */
	if (s->p - s->start > SECTION_MAX || msg->n == HEADERS_MAX) {
		fault(s, SCAN_TOO_MANY, HDR_OTHER);
		s->p = s->end;
		return 0;
	}
	while (value < e && is_blank(*value))
		++value;
	while (e > value && is_blank(e[-1]))
		--e;

	if (msg->n == HEADERS_INLINE) {
		err = headers_grow(msg);
		if (err)
			return err;
	}
	h = &msg->headers[msg->n++];
	h->at = (uint32_t)(line - (char *)s->mb->buf);
	h->len = (uint16_t)(s->p - line);
	h->name_len = (uint16_t)name_len;
	h->val = (uint16_t)(value - line);
	h->val_len = (uint16_t)(e - value);
	h->id = (uint8_t)id;
	h->edit = HEADER_KEPT;

	pl = pl_of(value, e);
	header_check(s, id, &pl);
	return 0;

bad:
	fault(s, SCAN_BAD_HEADER, id);
	s->p = next_line(p, s->end);
	return 0;
}

/* From start line to blank line */
static int scan_headers(struct scan *s)
{
	int err;

	while (s->p < s->end) {
		if (is_crlf(s->p, s->end)) {
			s->p += 2;
			if (s->p - s->start > SECTION_MAX)
				fault(s, SCAN_TOO_MANY, HDR_OTHER);
			return 0;
		}
		err = scan_header(s);
		if (err)
			return err;
	}

	/* Without the blank line nobody knows what is missing */
	fault(s, SCAN_BAD_HEADER, HDR_OTHER);
	return 0;
}

/* Status-Line (RFC 3261 7.2). An empty phrase may come without its blank. */
static void scan_status(struct scan *s, char *p, char *e)
{
	struct message *msg = s->msg;

	/* p is behind the version */
	if (e - p < 4 || *p != ' ' || p[1] < '1' || p[1] > '6' || p[2] < '0' ||
	    p[2] > '9' || p[3] < '0' || p[3] > '9' ||
	    (e - p > 4 && p[4] != ' ')) {
		/* Something other than 0, which says request */
		msg->code = 1;
		fault(s, SCAN_BAD_HEADER, HDR_OTHER);
		return;
	}

	msg->code =
		(uint16_t)((p[1] - '0') * 100 + (p[2] - '0') * 10 + p[3] - '0');
	msg->reason = e - p > 5 ? pl_of(p + 5, e) : pl_of(e, e);
}

static bool is_version(const char *p, const char *e)
{
	return e - p >= 5 && same_nocase(p, "SIP/", 4) && p[4] >= '0' &&
	       p[4] <= '9';
}

static bool is_2_0(const char *p, const char *e)
{
	return e - p == 7 && !memcmp(p + 4, "2.0", 3);
}

/* Request-Line (RFC 3261 7.1): method, one blank, URI, one blank, version */
static int scan_request(struct scan *s, char *line, char *e)
{
	struct message *msg = s->msg;
	char *p = line, *v = e;
	struct uri *uri = &s->decoded->uri;
	int err;

	while (p < e && token_char[(uint8_t)*p])
		++p;
	if (p == line || p == e || *p != ' ')
		return EBADMSG;
	msg->method = pl_of(line, p++);
	msg->method_id = (uint8_t)method_find(&msg->method);

	/* Blanks at the end are not allowed, but it is SIP */
	while (v > p && is_blank(v[-1]))
		--v;
	if (v < e)
		fault(s, SCAN_BAD_HEADER, HDR_OTHER);
	e = v;
	while (v > p && !is_blank(v[-1]))
		--v;
	if (v == p || !is_version(v, e))
		return EBADMSG;
	if (!is_2_0(v, e))
		fault(s, SCAN_VERSION, HDR_OTHER);

	msg->ruri = pl_of(p, v - 1);
	err = uri_read(uri, &msg->ruri);
	s->decoded->has_uri = !err;
	/* RFC 3261 19.1.1: a Request-URI carries no headers */
	if (!err && uri->headers.l)
		err = EINVAL;
	if (err)
		fault(s, err == EPROTONOSUPPORT ? SCAN_URI : SCAN_BAD_HEADER,
		      HDR_OTHER);

	return 0;
}

static int scan_start(struct scan *s)
{
	char *line, *e, *v;

	/* RFC 3261 7.5: CRLF before the start line is not a message */
	while (is_crlf(s->p, s->end))
		s->p += 2;

	line = s->start = s->p;
	e = stop(line, s->end);
	if (!is_crlf(e, s->end) || e - line > SECTION_MAX)
		return EBADMSG;
	s->p = e + 2;

	if (!is_version(line, e))
		return scan_request(s, line, e);

	v = line;
	while (v < e && *v != ' ')
		++v;
	if (!is_2_0(line, v))
		fault(s, SCAN_VERSION, HDR_OTHER);
	scan_status(s, v, e);
	return 0;
}

/* Body and Content-Length (RFC 3261 18.3) */
static void scan_body(struct scan *s)
{
	const size_t came = (size_t)(s->end - s->p);
	const uint64_t id = bit(HDR_CONTENT_LENGTH);
	size_t len = came;

	if (s->seen & id && !(s->broken & id)) {
		if (s->length > came) {
			fault(s, SCAN_LENGTH, HDR_CONTENT_LENGTH);
		} else {
			len = (size_t)s->length;
			s->mb->end -= came - len;
		}
	}

	s->msg->body = pl_of(s->p, s->p + len);
}

/* What an answer copies (RFC 3261 8.2.6.2) */
static uint64_t answer_set(void)
{
	return bit(HDR_VIA) | bit(HDR_FROM) | bit(HDR_TO) | bit(HDR_CALL_ID) |
	       bit(HDR_CSEQ);
}

static void scan_end(struct scan *s)
{
	static const uint8_t needed[] = { HDR_VIA, HDR_FROM, HDR_TO,
					  HDR_CALL_ID, HDR_CSEQ };
	struct message *msg = s->msg;
	size_t i;

	for (i = 0; i < sizeof(needed); ++i) {
		if (!(s->seen & bit(needed[i])))
			fault(s, SCAN_MISSING, needed[i]);
	}
	if (msg->code)
		msg->method_id = (uint8_t)method_find(&msg->method);

	s->result->answerable =
		!msg->code && msg->method_id != ACK &&
		(s->seen & answer_set() & ~s->broken) == answer_set();
}

int message_scan(struct message **msgp, struct mbuf *mb,
		 struct scan_result *result)
{
	struct scan s = { .mb = mb, .result = result };
	int err;

	memset(result, 0, sizeof(*result));

	s.p = (char *)mb->buf + mb->pos;
	s.end = (char *)mb->buf + mb->end;
	if (s.p == s.end) {
		result->fault = SCAN_NOT_SIP;
		return EBADMSG;
	}

	s.msg = message_alloc(mb);
	if (!s.msg)
		return ENOMEM;
	s.decoded = decoded_of(s.msg);

	err = scan_start(&s);
	if (err) {
		memset(result, 0, sizeof(*result));
		result->fault = SCAN_NOT_SIP;
		goto out;
	}
	err = scan_headers(&s);
	if (err)
		goto out;
	scan_body(&s);
	scan_end(&s);
	s.msg->ids = s.seen;
	if (result->fault != SCAN_OK)
		err = EBADMSG;

out:
	if (!err || (err == EBADMSG && result->answerable))
		*msgp = s.msg;
	else
		mem_deref(s.msg);

	return err;
}

/* Look --------------------------------------------------------------------- */

static const char *line_of(const struct message *msg, const struct header *h)
{
	return h->edit == HEADER_CHANGED ? msg->edits->lines[h->at]
					 : (const char *)msg->mb->buf + h->at;
}

struct pl header_value(const struct message *msg, const struct header *h)
{
	struct pl pl = { line_of(msg, h) + h->val, h->val_len };

	return pl;
}

struct pl header_name(const struct message *msg, const struct header *h)
{
	struct pl pl = { line_of(msg, h), h->name_len };

	return pl;
}

static bool is_own(const struct message *msg, const struct header *h)
{
	return h >= msg->headers && h < msg->headers + msg->n;
}

static const struct added *added_of(const struct header *h)
{
	return (const void *)((const char *)h - offsetof(struct added, h));
}

/* The header after h, whatever it is; NULL begins; dropped ones are passed */
static const struct header *step(const struct message *msg,
				 const struct header *h)
{
	const struct added *a = NULL;
	bool own = true;

	if (!h) {
		h = msg->headers;
	} else if (is_own(msg, h)) {
		++h;
	} else {
		own = false;
		a = added_of(h)->next;
	}

	if (own) {
		for (; h < msg->headers + msg->n; ++h) {
			if (h->edit != HEADER_DROPPED)
				return h;
		}
		a = msg->edits ? msg->edits->first : NULL;
	}
	while (a && a->h.edit == HEADER_DROPPED)
		a = a->next;

	return a ? &a->h : NULL;
}

static const struct header *added_with(const struct added *a, uint8_t id)
{
	while (a && (a->h.id != id || a->h.edit == HEADER_DROPPED))
		a = a->next;

	return a ? &a->h : NULL;
}

/* The header with this name from h, one of those that came, on */
static const struct header *own_of(const struct message *msg,
				   const struct header *h, uint8_t id)
{
	const struct header *end = msg->headers + msg->n;

	for (; h < end; ++h) {
		if (h->id == id && h->edit != HEADER_DROPPED)
			return h;
	}

	return added_with(msg->edits ? msg->edits->first : NULL, id);
}

const struct header *message_first(const struct message *msg, enum header_id id)
{
	if (!(msg->ids & bit(id)))
		return NULL; /* most questions are for what is not there */

	return own_of(msg, msg->headers, id);
}

const struct header *message_next(const struct message *msg,
				  const struct header *h)
{
	return is_own(msg, h) ? own_of(msg, h + 1, h->id)
			      : added_with(added_of(h)->next, h->id);
}

struct pl message_value(const struct message *msg, enum header_id id)
{
	static const struct pl none = { "", 0 };
	const struct header *h = message_first(msg, id);

	return h ? header_value(msg, h) : none;
}

const struct via *message_via(const struct message *msg, struct pl *text)
{
	const struct decoded *d = decoded_of(msg);

	if (text && d->has_via)
		*text = d->via_text;

	return d->has_via ? &d->via : NULL;
}

/* What the scan decoded, if the header is still the one that was scanned */
static const struct address *scanned(const struct message *msg,
				     const struct header *h)
{
	const struct decoded *d = decoded_of(msg);

	if (h->edit != HEADER_KEPT)
		return NULL;
	if (h->id == HDR_FROM && d->has_from)
		return &d->from;
	if (h->id == HDR_TO && d->has_to)
		return &d->to;

	return NULL;
}

int message_address(struct address *addr, const struct message *msg,
		    enum header_id id)
{
	const struct header *h = message_first(msg, id);
	const struct address *known = h ? scanned(msg, h) : NULL;
	struct pl value;

	if (!h)
		return ENOENT;
	if (known) {
		*addr = *known;
		return 0;
	}

	value = header_value(msg, h);
	return address_read(addr, &value);
}

const struct uri *message_uri(const struct message *msg)
{
	const struct decoded *d = decoded_of(msg);

	return d->has_uri ? &d->uri : NULL;
}

const struct header *message_named(const struct message *msg, const char *name)
{
	const size_t len = strlen(name);
	const enum header_id id = find_id(name, len);
	const struct header *h;
	struct pl pl;

	if (id != HDR_OTHER)
		return message_first(msg, id);

	for (h = step(msg, NULL); h; h = step(msg, h)) {
		pl = header_name(msg, h);
		if (pl.l == len && same_nocase(pl.p, name, len))
			return h;
	}

	return NULL;
}

bool message_has_token(const struct message *msg, enum header_id id,
		       const char *token)
{
	const size_t len = strlen(token);
	const struct header *h;
	struct pl rest, value;

	for (h = message_first(msg, id); h; h = message_next(msg, h)) {
		rest = header_value(msg, h);
		while (!list_next(&rest, &value)) {
			if (value.l == len && same_nocase(value.p, token, len))
				return true;
		}
	}

	return false;
}

/* Edit --------------------------------------------------------------------- */

static void edits_destructor(void *arg)
{
	struct edits *edits = arg;
	struct chunk *c, *next;

	for (c = edits->chunks; c; c = next) {
		next = c->next;
		mem_deref(c);
	}
	mem_deref(edits->lines);
	mem_deref(edits->base);
}

static int edits_begin(struct message *msg)
{
	if (!msg->edits)
		msg->edits = mem_zalloc(sizeof(*msg->edits), edits_destructor);

	return msg->edits ? 0 : ENOMEM;
}

/* Memory that lives as long as the edits and never moves */
static void *take(struct edits *edits, size_t size)
{
	const size_t need = (size + 7) & ~(size_t)7;
	struct chunk *c = edits->chunks;
	size_t room;

	if (!c || c->size - c->used < need) {
		room = need > CHUNK ? need : CHUNK;
		c = mem_alloc(sizeof(*c) + room, NULL);
		if (!c)
			return NULL;
		c->used = 0;
		c->size = room;
		c->next = edits->chunks;
		edits->chunks = c;
	}

	c->used += need;
	return c->text + c->used - need;
}

static int line_add(struct edits *edits, uint32_t *at, const char *line)
{
	const char **lines;
	uint32_t size;

	if (edits->lines_n == edits->lines_size) {
		size = edits->lines_size ? edits->lines_size * 2 : 16;
		lines = mem_alloc(size * sizeof(*lines), NULL);
		if (!lines)
			return ENOMEM;
		if (edits->lines_n)
			memcpy(lines, edits->lines,
			       edits->lines_n * sizeof(*lines));
		mem_deref(edits->lines);
		edits->lines = lines;
		edits->lines_size = size;
	}

	*at = edits->lines_n;
	edits->lines[edits->lines_n++] = line;
	return 0;
}

/* A value of ours may carry text from outside: nothing in it may end the line
 * (RFC 3261 25.1) */
static bool is_one_line(const struct pl *text)
{
	return !text->l || (!memchr(text->p, '\r', text->l) &&
			    !memchr(text->p, '\n', text->l) &&
			    !memchr(text->p, 0, text->l));
}

/* Write "Name: value" out and let h lead there */
static int line_write(struct message *msg, struct header *h,
		      const struct pl *name, const struct pl *value)
{
	const size_t len = name->l + 2 + value->l + 2;
	uint32_t at;
	char *line;
	int err;

	if (!is_one_line(value))
		return EINVAL;
	if (len > SECTION_MAX)
		return EMSGSIZE;
	err = edits_begin(msg);
	if (err)
		return err;

	line = take(msg->edits, len);
	if (!line)
		return ENOMEM;
	err = line_add(msg->edits, &at, line);
	if (err)
		return err;

	memcpy(line, name->p, name->l);
	memcpy(line + name->l, ": ", 2);
	if (value->l)
		memcpy(line + name->l + 2, value->p, value->l);
	memcpy(line + len - 2, "\r\n", 2);

	h->at = at;
	h->len = (uint16_t)len;
	h->name_len = (uint16_t)name->l;
	h->val = (uint16_t)(name->l + 2);
	h->val_len = (uint16_t)value->l;
	h->edit = HEADER_CHANGED;
	return 0;
}

static int add(struct message *msg, enum header_id id, const struct pl *name,
	       const struct pl *value)
{
	struct header h = { .id = (uint8_t)id };
	struct added *a;
	int err;

	err = line_write(msg, &h, name, value);
	if (err)
		return err;
	a = take(msg->edits, sizeof(*a));
	if (!a)
		return ENOMEM;

	a->next = NULL;
	a->h = h;
	msg->ids |= bit(id);
	if (msg->edits->last)
		msg->edits->last->next = a;
	else
		msg->edits->first = a;
	msg->edits->last = a;
	return 0;
}

static struct pl name_of(enum header_id id)
{
	struct pl pl = { names[id], strlen(names[id]) };

	return pl;
}

int message_add(struct message *msg, enum header_id id, const struct pl *value)
{
	const struct pl name = name_of(id);

	if (id == HDR_OTHER)
		return EINVAL;

	return add(msg, id, &name, value);
}

int message_add_named(struct message *msg, const char *name,
		      const struct pl *value)
{
	const struct pl pl = { name, strlen(name) };
	size_t i;

	for (i = 0; i < pl.l; ++i) {
		if (!token_char[(uint8_t)name[i]])
			return EINVAL;
	}
	if (!pl.l)
		return EINVAL;

	return add(msg, find_id(name, pl.l), &pl, value);
}

/* Headers are const for those who look; the message that is edited is not */
static struct header *writable(const struct header *h)
{
	return (struct header *)(uintptr_t)h;
}

int message_change(struct message *msg, const struct header *h,
		   const struct pl *value)
{
	const struct pl name = header_name(msg, h);

	return line_write(msg, writable(h), &name, value);
}

static void drop_from(struct message *msg, const struct header *h)
{
	const struct header *next;

	for (; h; h = next) {
		next = message_next(msg, h);
		writable(h)->edit = HEADER_DROPPED;
	}
}

int message_drop(struct message *msg, enum header_id id)
{
	if (id == HDR_OTHER)
		return EINVAL;

	drop_from(msg, message_first(msg, id));
	return 0;
}

void message_remove(struct message *msg, const struct header *h)
{
	(void)msg;
	writable(h)->edit = HEADER_DROPPED;
}

int message_set(struct message *msg, enum header_id id, const struct pl *value)
{
	const struct header *h = message_first(msg, id);
	const struct header *next;
	int err;

	if (!h)
		return message_add(msg, id, value);
	if (id == HDR_OTHER)
		return EINVAL;

	next = message_next(msg, h);
	err = message_change(msg, h, value);
	if (err)
		return err;

	drop_from(msg, next);
	return 0;
}

static int copy_text(struct message *msg, struct pl *out, const struct pl *text)
{
	char *p;
	int err;

	err = edits_begin(msg);
	if (err)
		return err;
	p = take(msg->edits, text->l);
	if (!p)
		return ENOMEM;

	if (text->l)
		memcpy(p, text->p, text->l);
	out->p = p;
	out->l = text->l;
	return 0;
}

int message_set_ruri(struct message *msg, const struct pl *ruri)
{
	struct decoded *d = decoded_of(msg);
	struct pl copy;
	struct uri uri;
	int err;

	if (msg->code || ruri->l > SECTION_MAX)
		return EINVAL;
	err = copy_text(msg, &copy, ruri);
	if (!err)
		err = uri_read(&uri, &copy);
	if (err)
		return err;

	msg->ruri = copy;
	d->uri = uri;
	d->has_uri = true;
	return 0;
}

int message_set_body(struct message *msg, const struct pl *body,
		     const char *type)
{
	struct pl copy, pl;
	int err;

	err = copy_text(msg, &copy, body);
	if (err)
		return err;

	if (type) {
		pl.p = type;
		pl.l = strlen(type);
		err = pl.l ? message_set(msg, HDR_CONTENT_TYPE, &pl)
			   : message_drop(msg, HDR_CONTENT_TYPE);
		if (err)
			return err;
	}

	msg->body = copy;
	return 0;
}

static int edits_clone(struct message *msg, const struct message *from)
{
	const struct added *a;
	struct added *copy;
	uint32_t at;
	uint32_t i;
	int err;

	err = edits_begin(msg);
	if (err)
		return err;
	msg->edits->base = mem_ref(from->edits);

	for (i = 0; i < from->edits->lines_n; ++i) {
		err = line_add(msg->edits, &at, from->edits->lines[i]);
		if (err)
			return err;
	}
	for (a = from->edits->first; a; a = a->next) {
		copy = take(msg->edits, sizeof(*copy));
		if (!copy)
			return ENOMEM;
		copy->h = a->h;
		copy->next = NULL;
		if (msg->edits->last)
			msg->edits->last->next = copy;
		else
			msg->edits->first = copy;
		msg->edits->last = copy;
	}

	return 0;
}

int message_clone(struct message **msgp, const struct message *from)
{
	struct message *msg;
	struct header *headers;
	int err = 0;

	msg = message_alloc(from->mb);
	if (!msg)
		return ENOMEM;

	headers = msg->headers;
	*msg = *from;
	*decoded_of(msg) = *decoded_of(from);
	msg->headers = headers;
	msg->edits = NULL;
	msg->n = 0;
	if (from->n > HEADERS_INLINE)
		err = headers_grow(msg);
	if (err)
		goto out;
	msg->n = from->n;
	memcpy(msg->headers, from->headers, from->n * sizeof(*headers));
	if (from->edits)
		err = edits_clone(msg, from);

out:
	if (err)
		mem_deref(msg);
	else
		*msgp = msg;

	return err;
}

/* Write -------------------------------------------------------------------- */

static int put(struct mbuf *mb, const void *p, size_t n)
{
	return n ? mbuf_write_mem(mb, p, n) : 0;
}

static bool is_wanted(const struct header *h, uint64_t without)
{
	return h->edit != HEADER_DROPPED && !(without & bit(h->id));
}

/* Room at once: growing step by step would copy what is there each time */
static int reserve(struct mbuf *mb, size_t n)
{
	if (mb->size - mb->pos >= n)
		return 0;

	return mbuf_resize(mb, mb->pos + n);
}

int message_write_headers(struct mbuf *mb, const struct message *msg,
			  struct header_set without)
{
	const uint64_t skip = without.bits | bit(HDR_CONTENT_LENGTH);
	const char *bytes = (const char *)msg->mb->buf;
	const struct header *h = msg->headers;
	const struct header *end = h + msg->n;
	const struct added *a;
	uint32_t from;
	int err = 0;

	while (h < end && !err) {
		if (!is_wanted(h, skip)) {
			++h;
			continue;
		}
		if (h->edit == HEADER_CHANGED) {
			err = put(mb, line_of(msg, h), h->len);
			++h;
			continue;
		}
		from = h->at;
		do {
			++h;
		} while (h < end && h->edit == HEADER_KEPT &&
			 is_wanted(h, skip) && h->at == h[-1].at + h[-1].len);
		err = put(mb, bytes + from, h[-1].at + h[-1].len - from);
	}

	a = msg->edits ? msg->edits->first : NULL;
	for (; a && !err; a = a->next) {
		if (is_wanted(&a->h, skip))
			err = put(mb, line_of(msg, &a->h), a->h.len);
	}

	return err;
}

static int write_start(struct mbuf *mb, const struct message *msg)
{
	char code[4];
	int err;

	if (!msg->code) {
		err = put(mb, msg->method.p, msg->method.l);
		err |= put(mb, " ", 1);
		err |= put(mb, msg->ruri.p, msg->ruri.l);
		err |= put(mb, " SIP/2.0\r\n", 10);
		return err;
	}

	code[0] = (char)('0' + msg->code / 100);
	code[1] = (char)('0' + msg->code / 10 % 10);
	code[2] = (char)('0' + msg->code % 10);
	code[3] = ' ';
	err = put(mb, "SIP/2.0 ", 8);
	err |= put(mb, code, 4);
	err |= put(mb, msg->reason.p, msg->reason.l);
	err |= put(mb, "\r\n", 2);
	return err;
}

int message_write(struct mbuf *mb, const struct message *msg)
{
	const struct header_set none = { 0 };
	char digits[20];
	int err;

	err = reserve(mb, msg->mb->end - msg->mb->pos + 64);
	if (err)
		return err;
	err = write_start(mb, msg);
	if (err)
		return err;
	err = message_write_headers(mb, msg, none);
	if (err)
		return err;

	err = put(mb, "Content-Length: ", 16);
	err |= put(mb, digits, uint_write(digits, msg->body.l));
	err |= put(mb, "\r\n\r\n", 4);
	err |= put(mb, msg->body.p, msg->body.l);
	return err ? ENOMEM : 0;
}
