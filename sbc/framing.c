/*
 * Cut a byte stream into messages and pings
 *
 * Nothing is guessed about where a message ends: a bare CR or LF, a
 * Content-Length that is missing, doubled with another value or no number ends
 * the stream, because whatever follows could be read in two ways.
 */
#include <string.h>
#include <strings.h>
#include "store/base.h"
#include "store/number.h"
#include "sbc/framing.h"

/* behaviour.md 1.2: longest header section */
enum {
	HEADERS_MAX = 16384
};

static bool is_blank(uint8_t c)
{
	return c == ' ' || c == '\t';
}

/* RFC 3261 25.1: a token begins a request line, "SIP" a status line */
static bool is_beginning(uint8_t c)
{
	return c > 0x20 && c < 0x7f && !strchr("()<>@,;:\\\"/[]?={}", c);
}

/* "SIP/" stands in each first line, and in no other protocol's */
static bool is_sip(const uint8_t *p, size_t n)
{
	return memmem(p, n, "SIP/", 4) != NULL;
}

/* Is it the name of Content-Length, in either form, before its colon? */
static bool is_length_name(const uint8_t *p, size_t n)
{
	while (n && is_blank(p[n - 1]))
		--n;

	if (n == 1)
		return *p == 'l' || *p == 'L';

	return n == 14 && !strncasecmp((const char *)p, "Content-Length", 14);
}

/* Value of a header whose line may be folded: blanks and CRLF around it go */
static int length_read(size_t *lengthp, const uint8_t *p, size_t n)
{
	struct pl text;
	uint64_t value;
	int err;

	while (n && (is_blank(*p) || *p == '\r' || *p == '\n'))
		++p, --n;
	while (n &&
	       (is_blank(p[n - 1]) || p[n - 1] == '\r' || p[n - 1] == '\n'))
		--n;

	text.p = (const char *)p;
	text.l = n;
	err = uint_parse(&value, &text, UINT32_MAX);
	if (err)
		return err;

	*lengthp = (size_t)value;

	return 0;
}

/* End of the header that begins at p, with its folded lines */
static const uint8_t *header_end(const uint8_t *p, const uint8_t *end)
{
	do {
		p = (const uint8_t *)memchr(p, '\n', end - p) + 1;
	} while (p < end && is_blank(*p));

	return p;
}

/* Find the one Content-Length of a header section that ends with CRLFCRLF */
static int length_find(size_t *lengthp, const uint8_t *p, size_t n)
{
	const uint8_t *end = p + n - 2; /* the blank line */
	const uint8_t *next, *colon;
	bool found = false;
	size_t length;

	for (p = header_end(p, end); p < end; p = next) {
		next = header_end(p, end);
		colon = memchr(p, ':', next - p);
		if (!colon || !is_length_name(p, colon - p))
			continue;

		if (length_read(&length, colon + 1, next - colon - 1))
			return EBADMSG;
		if (found && length != *lengthp)
			return EBADMSG;

		*lengthp = length;
		found = true;
	}

	return found ? 0 : EBADMSG;
}

/* Between messages: CRLFs are pings and pongs (RFC 5626 4.4.1) */
static enum framing_what between(const uint8_t *p, size_t n, size_t *length)
{
	static const char ping[] = "\r\n\r\n";
	size_t same = 0;

	while (same < n && same < 4 && p[same] == ping[same])
		++same;

	if (same == 4) {
		*length = 4;
		return FRAMING_PING;
	}
	if (same == n) /* of a ping, or a pong that nobody waits for */
		return FRAMING_MORE;
	if (same >= 2) {
		*length = 2;
		return FRAMING_PONG;
	}

	return FRAMING_BROKEN;
}

/* Look for the end of the header section in the lines that are new */
static enum framing_what look(struct framing *f, const uint8_t *p, size_t n)
{
	size_t max = f->limit < HEADERS_MAX ? f->limit : HEADERS_MAX;

	while (f->looked < n) {
		const uint8_t *from = p + f->looked;
		const uint8_t *lf = memchr(from, '\n', n - f->looked);
		const uint8_t *stop = lf ? lf : p + n;
		const uint8_t *cr = memchr(from, '\r', stop - from);

		if (cr ? cr != stop - 1 : lf != NULL)
			return FRAMING_BROKEN; /* a bare one */
		if ((size_t)(stop - p) >= max) {
			f->too_long = f->limit <= HEADERS_MAX;
			f->cut = f->line > 0;
			return FRAMING_BROKEN;
		}
		if (!lf) {
			f->looked = (cr ? cr : stop) - p;
			return FRAMING_MORE;
		}

		if (!f->line && !is_sip(p, lf - p))
			return FRAMING_BROKEN;

		f->looked = lf + 1 - p;
		if (cr == p + f->line) {
			f->body = f->looked;
			return FRAMING_MESSAGE;
		}
		f->line = f->looked;
	}

	return FRAMING_MORE;
}

void framing_init(struct framing *f, size_t limit)
{
	memset(f, 0, sizeof(*f));
	f->limit = limit;
}

enum framing_what framing_next(struct framing *f, const uint8_t *p, size_t n,
			       size_t *length)
{
	enum framing_what what;

	*length = 0;
	if (!n)
		return FRAMING_MORE;

	if (!f->body) {
		if (*p == '\r')
			return between(p, n, length);
		if (!is_beginning(*p))
			return FRAMING_BROKEN;

		what = look(f, p, n);
		if (f->cut)
			*length = f->line;
		if (what != FRAMING_MESSAGE)
			return what;

		if (length_find(&f->length, p, f->body)) {
			*length = f->body;
			return FRAMING_BROKEN;
		}
		if (f->length > f->limit - f->body) {
			*length = f->body;
			f->too_long = true;
			return FRAMING_BROKEN;
		}
	}

	if (n - f->body < f->length)
		return FRAMING_MORE;

	*length = f->body + f->length;
	framing_init(f, f->limit);

	return FRAMING_MESSAGE;
}
