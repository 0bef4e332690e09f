/*
 * Text of call records, quoted for CSV and for JSON
 */
#include <string.h>
#include "store/quote.h"

static bool is_plain_csv(const struct pl *text)
{
	unsigned special = 0;

	for (size_t i = 0; i < text->l; i++) {
		const char c = text->p[i];

		special |= (unsigned)(c == ',') | (unsigned)(c == '"') |
			   (unsigned)(c == '\r') | (unsigned)(c == '\n');
	}

	return !special;
}

static bool is_plain_json(const struct pl *text)
{
	unsigned special = 0;

	for (size_t i = 0; i < text->l; i++) {
		const unsigned char c = (unsigned char)text->p[i];

		special |= (unsigned)(c < ' ') | (unsigned)(c == '"') |
			   (unsigned)(c == '\\');
	}

	return !special;
}

static char *copy(char *p, const struct pl *text)
{
	if (text->l)
		memcpy(p, text->p, text->l);

	return p + text->l;
}

char *quote_csv(char *p, const struct pl *text)
{
	if (is_plain_csv(text))
		return copy(p, text);

	*p++ = '"';
	for (size_t i = 0; i < text->l; i++) {
		if (text->p[i] == '"')
			*p++ = '"';
		*p++ = text->p[i];
	}
	*p++ = '"';

	return p;
}

static char *escape(char *p, const struct pl *text)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < text->l; i++) {
		const unsigned char c = (unsigned char)text->p[i];

		if (c < ' ') {
			p = copy(p, &(struct pl){ "\\u00", 4 });
			*p++ = digits[c >> 4];
			*p++ = digits[c & 15];
			continue;
		}
		if (c == '"' || c == '\\')
			*p++ = '\\';
		*p++ = (char)c;
	}

	return p;
}

char *quote_json(char *p, const struct pl *text)
{
	*p++ = '"';
	p = is_plain_json(text) ? copy(p, text) : escape(p, text);
	*p++ = '"';

	return p;
}
