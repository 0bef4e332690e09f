/*
 * Text of call records, quoted for CSV and for JSON
 */
#include <errno.h>
#include <string.h>
#include "store/number.h"
#include "store/quote.h"

enum {
	STEP = QUOTE_SLACK
};

/* Bytes side by side: what is asked of one is asked of all at once, and each
 * answers 255 or 0. Compilers have this for any processor */
typedef uint8_t bytes __attribute__((vector_size(STEP)));

static inline bytes special_csv(bytes c)
{
	return (bytes)((c == ',') | (c == '"') | (c == '\r') | (c == '\n'));
}

static inline bytes special_json(bytes c)
{
	return (bytes)((c < ' ') | (c == '"') | (c == '\\'));
}

/* A function that is given another one becomes a loop of its own for each */
static inline __attribute__((always_inline)) bool is_plain(
	const char *text, size_t n, bytes (*special)(bytes c))
{
	static const bytes place = { 0, 1, 2,  3,  4,  5,  6,  7,
				     8, 9, 10, 11, 12, 13, 14, 15 };
	bytes found = { 0 }, some;
	uint64_t any[2];
	size_t at = 0;

	for (; at + STEP <= n; at += STEP) {
		memcpy(&some, text + at, STEP);
		found |= special(some);
	}
	if (at < n) {
		memcpy(&some, text + at, STEP);
		found |= special(some) & (bytes)(place < (uint8_t)(n - at));
	}
	memcpy(any, &found, sizeof(any));

	return !(any[0] | any[1]);
}

/* Up to STEP bytes more on both sides: most texts take one step, and so does an
 * empty one, which spares the question */
static inline char *copy(char *p, const char *text, size_t n)
{
	memcpy(p, text, STEP);
	for (size_t at = STEP; at < n; at += STEP)
		memcpy(p + at, text + at, STEP);

	return p + n;
}

struct pl strip_get(const struct strip *s, size_t n)
{
	struct pl text = { s->text, s->length[n] };

	for (size_t i = 0; i < n; i++)
		text.p += s->length[i];

	return text;
}

/* --- CSV ------------------------------------------------------------------- */

static char *csv_escape(char *p, const char *text, size_t n)
{
	if (is_plain(text, n, special_csv))
		return copy(p, text, n);

	*p++ = '"';
	for (size_t i = 0; i < n; i++) {
		if (text[i] == '"')
			*p++ = '"';
		*p++ = text[i];
	}
	*p++ = '"';

	return p;
}

static char *csv_escape_all(char *p, const struct strip *s)
{
	const char *text = s->text;

	for (size_t i = 0; i < s->n; i++) {
		p = csv_escape(p, text, s->length[i]);
		*p++ = ',';
		text += s->length[i];
	}

	return p;
}

static char *csv_copy_all(char *p, const struct strip *s)
{
	const uint16_t *length = s->length, *end = length + s->n;
	const char *text = s->text;

	for (; length < end; length++) {
		p = copy(p, text, *length);
		*p++ = ',';
		text += *length;
	}

	return p;
}

char *quote_csv(char *p, const struct strip *s)
{
	bool plain = is_plain(s->text, s->bytes, special_csv);

	p = plain ? csv_copy_all(p, s) : csv_escape_all(p, s);
	p[-1] = '\n';

	return p;
}

/* --- JSON ------------------------------------------------------------------ */

static char *json_escape(char *p, const char *text, size_t n)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < n; i++) {
		const uint8_t c = (uint8_t)text[i];

		if (c < ' ') {
			memcpy(p, "\\u00", 4);
			p[4] = digits[c >> 4];
			p[5] = digits[c & 15];
			p += 6;
			continue;
		}
		if (c == '"' || c == '\\')
			*p++ = '\\';
		*p++ = (char)c;
	}

	return p;
}

/* The end of one string and the beginning of the next */
static inline char *between(char *p)
{
	static const char text[] = "\",\"";

	memcpy(p, text, sizeof(text));

	return p + sizeof(text) - 1;
}

static char *json_escape_all(char *p, const struct strip *s)
{
	const char *text = s->text;

	for (size_t i = 0; i < s->n; i++) {
		p = between(json_escape(p, text, s->length[i]));
		text += s->length[i];
	}

	return p;
}

static char *json_copy_all(char *p, const struct strip *s)
{
	const uint16_t *length = s->length, *end = length + s->n;
	const char *text = s->text;

	for (; length < end; length++) {
		p = between(copy(p, text, *length));
		text += *length;
	}

	return p;
}

char *quote_json(char *p, const struct strip *s)
{
	bool plain = is_plain(s->text, s->bytes, special_json);

	*p++ = '[';
	*p++ = '"';
	p = plain ? json_copy_all(p, s) : json_escape_all(p, s);
	p[-2] = ']';

	return p - 1;
}

int label_make(struct label *l, const char *name, bool number)
{
	size_t n = strlen(name);

	memset(l, 0, sizeof(*l));
	if (n + 4 > sizeof(l->text))
		return ENAMETOOLONG;
	l->text[0] = ',';
	l->text[1] = '"';
	memcpy(l->text + 2, name, n);
	l->text[n + 2] = '"';
	l->text[n + 3] = ':';
	l->length = (uint8_t)(n + 4);
	l->number = number;

	return 0;
}

/* One that any reader of JSON takes as the same number */
static bool is_number(const char *text, size_t n)
{
	const struct pl pl = { text, n };
	uint64_t number;

	return (n == 1 || *text != '0') && !uint_parse(&number, &pl, INT64_MAX);
}

char *quote_object(char *p, const struct strip *s, const struct label *labels)
{
	const char *text = s->text;
	bool plain = is_plain(s->text, s->bytes, special_json);
	char *begin = p;

	for (size_t i = 0; i < s->n; text += s->length[i++]) {
		const struct label *l = &labels[i];
		size_t n = s->length[i];

		if (!n)
			continue;
		memcpy(p, l->text, sizeof(l->text));
		p += l->length;
		if (l->number && is_number(text, n)) {
			p = copy(p, text, n);
			continue;
		}
		*p++ = '"';
		p = plain ? copy(p, text, n) : json_escape(p, text, n);
		*p++ = '"';
	}
	if (p == begin)
		p++;
	*begin = '{';
	*p++ = '}';
	*p++ = '\n';

	return p;
}
