/*
 * Decode one header value: address, URI, Via, CSeq, parameters, challenge
 *
 * All results are ranges of the text that was given; nothing is copied. Each
 * function walks its text once or a fixed number of times. What RFC 3261 25.1
 * does not allow is EINVAL, with two exceptions that are seen every day: an
 * underscore in a host name, and bytes above 127 in a display name.
 */
#include <errno.h>
#include <string.h>
#include "store/number.h"
#include "store/value.h"
#include "policy/header.h"

enum {
	TOKEN = 1,  /* token */
	USER = 2,   /* user, without escapes */
	PASS = 4,   /* password */
	LABEL = 8,  /* hostname and IPv4address, less the dots */
	PARAM = 16, /* paramchar */
	HVAL = 32,  /* hnv-unreserved, and what joins headers */
	TEL = 64,   /* phonedigit-hex and visual separators (RFC 3966 3) */
	VALUE = 128 /* value of a header parameter that is not quoted */
};
enum {
	ALNUM = TOKEN | USER | PASS | LABEL | PARAM | HVAL | VALUE,
	HEX = ALNUM | TEL,
	URIC = USER | PASS | PARAM | HVAL, /* where escapes may stand */
	PARAMS_MAX = 64 /* of a URI that is compared: quadratic beyond */
};

static const uint8_t classes[256] = {
	/* clang-format off */
	['!'] = TOKEN | USER | PASS | PARAM | HVAL | VALUE,
	['#'] = TEL | VALUE,
	['$'] = USER | PASS | PARAM | HVAL | VALUE,
	['%'] = TOKEN | VALUE,
	['&'] = USER | PASS | PARAM | HVAL | VALUE,
	['\''] = TOKEN | USER | PASS | PARAM | HVAL | VALUE,
	['('] = USER | PASS | PARAM | HVAL | TEL | VALUE,
	[')'] = USER | PASS | PARAM | HVAL | TEL | VALUE,
	['*'] = TOKEN | USER | PASS | PARAM | HVAL | TEL | VALUE,
	['+'] = TOKEN | USER | PASS | PARAM | HVAL | TEL | VALUE,
	[','] = USER | PASS,
	['-'] = TOKEN | USER | PASS | LABEL | PARAM | HVAL | TEL | VALUE,
	['.'] = TOKEN | USER | PASS | PARAM | HVAL | TEL | VALUE,
	['/'] = USER | PARAM | HVAL | VALUE,
	['0' ... '9'] = HEX,
	[':'] = PARAM | HVAL | VALUE,
	[';'] = USER,
	['='] = USER | PASS | HVAL | VALUE,
	['?'] = USER | HVAL | VALUE,
	['@'] = VALUE,
	['A' ... 'F'] = HEX,
	['G' ... 'Z'] = ALNUM,
	['['] = PARAM | HVAL | VALUE,
	['\\'] = VALUE,
	[']'] = PARAM | HVAL | VALUE,
	['^'] = VALUE,
	['_'] = TOKEN | USER | PASS | LABEL | PARAM | HVAL | VALUE,
	['`'] = TOKEN | VALUE,
	['a' ... 'f'] = HEX,
	['g' ... 'z'] = ALNUM,
	['{'] = VALUE,
	['|'] = VALUE,
	['}'] = VALUE,
	['~'] = TOKEN | USER | PASS | PARAM | HVAL | VALUE,
	[0x80 ... 0xff] = VALUE,
	/* clang-format on */
};

/* Parts that are not there are empty, not NULL: whoever copies or adds to them
 * needs no question */
#define NONE                                                                   \
	{                                                                      \
		"", 0                                                          \
	}
static const struct uri no_uri = {
	.scheme = NONE,
	.user = NONE,
	.password = NONE,
	.host = NONE,
	.params = NONE,
	.headers = NONE,
};
static const struct via no_via = {
	.transport = NONE,
	.host = NONE,
	.branch = NONE,
	.params = NONE,
};
static const struct challenge no_challenge = {
	.scheme = NONE,
	.realm = NONE,
	.nonce = NONE,
	.opaque = NONE,
	.algorithm = NONE,
	.qop = NONE,
	.domain = NONE,
};

static bool is_a(char c, uint8_t mask)
{
	return (classes[(uint8_t)c] & mask) != 0;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = lower(c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool is_escape(const char *p, const char *e)
{
	return e - p >= 3 && *p == '%' && hex_digit(p[1]) >= 0 &&
	       hex_digit(p[2]) >= 0;
}

static struct pl range(const char *p, const char *e)
{
	struct pl pl = { p, (size_t)(e - p) };

	return pl;
}

/* The text less blanks at both ends; a text of NULL is empty */
static struct pl trimmed(const struct pl *text)
{
	const char *p = text->l ? text->p : "";
	const char *e = p + text->l;

	while (p < e && is_blank(*p))
		++p;
	while (e > p && is_blank(e[-1]))
		--e;

	return range(p, e);
}

static struct pl blanks_off(const char *p, const char *e)
{
	const struct pl text = range(p, e);

	return trimmed(&text);
}

static const char *skip_blanks(const char *p, const char *e)
{
	while (p < e && is_blank(*p))
		++p;

	return p;
}

static const char *skip(const char *p, const char *e, uint8_t mask)
{
	while (p < e && is_a(*p, mask))
		++p;

	return p;
}

/* End of the characters of a class and of escapes */
static const char *skip_escaped(const char *p, const char *e, uint8_t mask)
{
	for (;;) {
		p = skip(p, e, mask);
		if (!is_escape(p, e))
			return p;
		p += 3;
	}
}

/* From an opening quote to behind the closing one; NULL if there is none */
static const char *skip_quoted(const char *p, const char *e)
{
	for (++p; p < e; ++p) {
		if (*p == '"')
			return p + 1;
		if (*p == '\\' && ++p == e)
			break;
	}

	return NULL;
}

static bool same_nocase(const struct pl *a, const struct pl *b)
{
	size_t i;

	if (a->l != b->l)
		return false;

	for (i = 0; i < a->l; ++i) {
		if (lower(a->p[i]) != lower(b->p[i]))
			return false;
	}

	return true;
}

/* URI ---------------------------------------------------------------------- */

static int read_ipv6(struct pl *host, const char **pp, const char *e)
{
	const char *p = *pp + 1;
	const char *close = memchr(p, ']', (size_t)(e - p));
	struct sa sa;

	if (!close)
		return EINVAL;
	*host = range(p, close);
	/* The longest has 45 characters, and a zone has no place here */
	if (host->l > 45 || !memchr(p, ':', host->l) ||
	    memchr(p, '%', host->l) || address_parse_text(&sa, host))
		return EINVAL;

	*pp = close + 1;
	return 0;
}

/* host: what comes after it is the caller's */
static int read_host(struct pl *host, const char **pp, const char *e)
{
	const char *p = *pp;
	const char *s = p;

	if (p < e && *p == '[')
		return read_ipv6(host, pp, e);

	for (p = skip(p, e, LABEL); p < e && *p == '.'; p = skip(p, e, LABEL)) {
		if (p == s || p[-1] == '.')
			return EINVAL;
		++p;
	}
	if (p == s || p - s > 255)
		return EINVAL;

	*host = range(s, p);
	*pp = p;
	return 0;
}

static int read_port(uint16_t *port, const char **pp, const char *e)
{
	const char *p = *pp;
	struct pl text;
	uint64_t n;

	while (p < e && *p >= '0' && *p <= '9')
		++p;
	text = range(*pp, p);
	if (uint_parse(&n, &text, UINT16_MAX) || !n)
		return EINVAL;

	*port = (uint16_t)n;
	*pp = p;
	return 0;
}

/* uri-parameters: names and values are never empty where they stand */
static int read_uri_params(struct pl *params, const char **pp, const char *e)
{
	const char *p = *pp;
	const char *s;

	while (p < e && *p == ';') {
		s = ++p;
		p = skip_escaped(p, e, PARAM);
		if (p == s)
			return EINVAL;
		if (p == e || *p != '=')
			continue;
		s = ++p;
		p = skip_escaped(p, e, PARAM);
		if (p == s)
			return EINVAL;
	}

	*params = range(*pp, p);
	*pp = p;
	return 0;
}

static int read_userinfo(struct uri *uri, const char *p, const char *at)
{
	const char *s = p;

	p = skip_escaped(p, at, USER);
	if (p == s)
		return EINVAL;
	uri->user = range(s, p);
	uri->has_user = true;

	if (p < at && *p == ':') {
		s = ++p;
		p = skip_escaped(p, at, PASS);
		uri->password = range(s, p);
	}

	return p == at ? 0 : EINVAL;
}

static int read_sip(struct uri *uri, const char *p, const char *e)
{
	/* An @ stands nowhere else without an escape */
	const char *at = memchr(p, '@', (size_t)(e - p));
	const char *s;

	if (at) {
		if (read_userinfo(uri, p, at))
			return EINVAL;
		p = at + 1;
	}

	if (read_host(&uri->host, &p, e))
		return EINVAL;
	if (p < e && *p == ':') {
		++p;
		if (read_port(&uri->port, &p, e))
			return EINVAL;
	}
	if (read_uri_params(&uri->params, &p, e))
		return EINVAL;
	if (p < e && *p == '?') {
		s = p++;
		p = skip_escaped(p, e, HVAL);
		if (p == s + 1)
			return EINVAL;
		uri->headers = range(s, p);
	}

	return p == e ? 0 : EINVAL;
}

static int read_tel(struct uri *uri, const char *p, const char *e)
{
	const char *s = p;
	bool digit = false;

	for (; p < e && is_a(*p, TEL); ++p) {
		if (*p == '+' && p != s)
			return EINVAL;
		digit |= hex_digit(*p) >= 0 || *p == '*' || *p == '#';
	}
	if (!digit)
		return EINVAL;
	uri->user = range(s, p);
	uri->has_user = true;

	if (read_uri_params(&uri->params, &p, e))
		return EINVAL;

	return p == e ? 0 : EINVAL;
}

int uri_read(struct uri *uri, const struct pl *text)
{
	const char *p = text->l ? text->p : "";
	const char *e = p + text->l;
	const char *s = p;

	*uri = no_uri;
	if (text->l > 4 && !memcmp(p, "sip:", 4)) {
		uri->scheme = range(p, p + 3);
		return read_sip(uri, p + 4, e);
	}

	while (p < e && (is_a(*p, LABEL) || *p == '+' || *p == '.') &&
	       *p != '_')
		++p;
	if (p == e || *p != ':' || p == s || lower(*s) < 'a' || lower(*s) > 'z')
		return EINVAL;
	uri->scheme = range(s, p++);

	if (is_word(&uri->scheme, "sip") || is_word(&uri->scheme, "sips"))
		return read_sip(uri, p, e);
	if (is_word(&uri->scheme, "tel"))
		return read_tel(uri, p, e);

	return EPROTONOSUPPORT;
}

static bool host_is_numeric(const struct pl *host, struct sa *sa)
{
	/* No name ends in a digit of an address but an address, and asking
	 * the digits first keeps names away from the parser */
	if (!host->l || host->l > 45)
		return false;
	if (!memchr(host->p, ':', host->l) &&
	    (host->p[host->l - 1] < '0' || host->p[host->l - 1] > '9'))
		return false;

	return address_parse_text(sa, host) == 0;
}

bool uri_is_numeric(const struct uri *uri, struct sa *sa)
{
	if (!host_is_numeric(&uri->host, sa))
		return false;

	sa_set_port(sa, uri->port);
	return true;
}

bool host_equal(const struct pl *a, const struct pl *b)
{
	struct pl x = *a;
	struct pl y = *b;
	struct sa sx, sy;

	if (x.l > 1 && x.p[x.l - 1] == '.')
		--x.l;
	if (y.l > 1 && y.p[y.l - 1] == '.')
		--y.l;
	if (same_nocase(&x, &y))
		return true;
	if (!x.l || !y.l || !memchr(x.p, ':', x.l) || !memchr(y.p, ':', y.l))
		return false;

	return host_is_numeric(&x, &sx) && host_is_numeric(&y, &sy) &&
	       sa_cmp(&sx, &sy, SA_ADDR);
}

static bool is_number(const struct pl *user)
{
	size_t i;

	for (i = 0; i < user->l; ++i) {
		if (!is_a(user->p[i], TEL) || lower(user->p[i]) >= 'a')
			return false;
	}

	return user->l > 0;
}

static bool is_separator(char c)
{
	return c == '-' || c == '.' || c == '(' || c == ')';
}

static bool same_number(const struct pl *a, const struct pl *b)
{
	size_t i = 0, k = 0;

	for (;;) {
		while (i < a->l && is_separator(a->p[i]))
			++i;
		while (k < b->l && is_separator(b->p[k]))
			++k;
		if (i == a->l || k == b->l)
			return i == a->l && k == b->l;
		if (lower(a->p[i++]) != lower(b->p[k++]))
			return false;
	}
}

/* Next character with its escape undone; a character that must be escaped
 * (RFC 3261 19.1.4) is not the same as its escape, so it keeps a mark */
static int next_char(const struct pl *text, size_t *i)
{
	const char *p = text->p + *i;
	int c;

	if (!is_escape(p, text->p + text->l)) {
		++*i;
		return (uint8_t)*p;
	}

	*i += 3;
	c = hex_digit(p[1]) << 4 | hex_digit(p[2]);
	if ((classes[c] & URIC) == URIC && !strchr("&+$", c))
		return c;

	return c | 0x100;
}

static bool same_escaped(const struct pl *a, const struct pl *b, bool nocase)
{
	size_t i = 0, k = 0;
	int x, y;

	while (i < a->l && k < b->l) {
		x = next_char(a, &i);
		y = next_char(b, &k);
		if (nocase && x < 0x80 && y < 0x80) {
			x = lower((char)x);
			y = lower((char)y);
		}
		if (x != y)
			return false;
	}

	return i == a->l && k == b->l;
}

bool user_equal(const struct pl *a, const struct pl *b)
{
	if (is_number(a) && is_number(b))
		return same_number(a, b);

	return same_escaped(a, b, false);
}

/* Cut "name=value" off a text parted by `sep`; URI parts were validated */
static bool next_part(struct pl *rest, const char *seps, struct pl *name,
		      struct pl *value)
{
	const char *p = rest->l ? rest->p : "";
	const char *e = p + rest->l;
	const char *s, *eq = NULL;

	if (p == e)
		return false;
	s = strchr(seps, *p) ? ++p : p;
	while (p < e && !strchr(seps, *p)) {
		if (*p == '=' && !eq)
			eq = p;
		++p;
	}

	*name = range(s, eq ? eq : p);
	*value = eq ? range(eq + 1, p) : range(p, p);
	*rest = range(p, e);
	return true;
}

/* RFC 3261 19.1.4: these never match their absence */
static bool must_be_in_both(const struct pl *name)
{
	return is_word(name, "user") || is_word(name, "ttl") ||
	       is_word(name, "method") || is_word(name, "maddr") ||
	       is_word(name, "transport");
}

/* Is each part of a in b? One that is missing there may be missing when it is
 * a parameter without a say */
static bool parts_within(const struct pl *a, const struct pl *b,
			 const char *seps, bool all)
{
	struct pl rest = *a, name, value, other, n, v;
	unsigned count = 0;
	bool found;

	while (next_part(&rest, seps, &name, &value)) {
		if (++count > PARAMS_MAX)
			return false;
		found = false;
		other = *b;
		while (!found && next_part(&other, seps, &n, &v))
			found = same_escaped(&name, &n, true);
		if (found ? !same_escaped(&value, &v, true)
			  : all || must_be_in_both(&name))
			return false;
	}

	return true;
}

bool uri_equal(const struct uri *a, const struct uri *b)
{
	const bool tel = is_word(&a->scheme, "tel");

	if (!same_nocase(&a->scheme, &b->scheme) ||
	    a->has_user != b->has_user || a->port != b->port)
		return false;
	/* A number of a tel URI may have letters (RFC 3966 5) */
	if (tel ? !same_number(&a->user, &b->user)
		: !same_escaped(&a->user, &b->user, false))
		return false;
	if (!same_escaped(&a->password, &b->password, false) ||
	    !host_equal(&a->host, &b->host))
		return false;

	return parts_within(&a->params, &b->params, ";", tel) &&
	       parts_within(&b->params, &a->params, ";", tel) &&
	       parts_within(&a->headers, &b->headers, "?&", true) &&
	       parts_within(&b->headers, &a->headers, "?&", true);
}

/* Parameters, lists, addresses --------------------------------------------- */

int param_next(struct pl *rest, struct pl *name, struct pl *value)
{
	const char *p = rest->l ? rest->p : "";
	const char *e = p + rest->l;
	const char *s;

	p = skip_blanks(p, e);
	if (p == e) {
		*rest = range(p, p);
		return ENOENT;
	}
	if (*p != ';')
		return EINVAL;

	s = p = skip_blanks(p + 1, e);
	p = skip(p, e, TOKEN);
	if (p == s)
		return EINVAL;
	*name = range(s, p);
	*value = range(p, p);

	p = skip_blanks(p, e);
	if (p < e && *p == '=') {
		s = p = skip_blanks(p + 1, e);
		if (p < e && *p == '"')
			p = skip_quoted(p, e);
		else
			p = skip(p, e, VALUE);
		if (!p || p == s)
			return EINVAL;
		*value = range(s, p);
		p = skip_blanks(p, e);
	}
	if (p < e && *p != ';')
		return EINVAL;

	*rest = range(p, e);
	return 0;
}

int param_get(const struct pl *params, const char *name, struct pl *value)
{
	struct pl rest = *params, n, v;

	while (!param_next(&rest, &n, &v)) {
		if (is_word(&n, name)) {
			*value = v;
			return 0;
		}
	}

	return ENOENT;
}

static int params_check(const struct pl *params)
{
	struct pl rest = *params, name, value;
	int err;

	do {
		err = param_next(&rest, &name, &value);
	} while (!err);

	return err == ENOENT ? 0 : err;
}

/* Behind a comment, which may hold comments; NULL if it does not end */
static const char *skip_comment(const char *p, const char *e)
{
	size_t depth = 0;

	for (; p < e; ++p) {
		if (*p == '(')
			++depth;
		else if (*p == ')' && !--depth)
			return p + 1;
		else if (*p == '\\' && ++p == e)
			break;
	}

	return NULL;
}

/* Up to what has a meaning in a list */
static const char *skip_plain(const char *p, const char *e)
{
	static const bool meaning[256] = {
		['"'] = true, [','] = true, ['<'] = true, ['('] = true
	};

	while (p < e && !meaning[(uint8_t)*p])
		++p;

	return p;
}

int list_next(struct pl *rest, struct pl *value)
{
	const char *p = rest->l ? rest->p : "";
	const char *e = p + rest->l;
	const char *s;

	s = p = skip_blanks(p, e);
	if (p == e) {
		*rest = range(p, p);
		return ENOENT;
	}

	while (p && p < e && *p != ',') {
		if (*p == '"')
			p = skip_quoted(p, e);
		else if (*p == '<')
			p = memchr(p, '>', (size_t)(e - p));
		else if (*p == '(' && (p == s || is_blank(p[-1])))
			p = skip_comment(p, e);
		else
			p = skip_plain(p + 1, e);
	}
	if (!p)
		return EINVAL;

	*value = blanks_off(s, p);
	if (!value->l)
		return EINVAL;
	/* A comma with nothing behind it stays, and is refused next time */
	if (p < e && skip_blanks(p + 1, e) < e)
		++p;
	*rest = range(p, e);
	return 0;
}

/* Where the display name ends: at the '<', or NULL for a bare addr-spec */
static const char *skip_display(const char *p, const char *e)
{
	if (*p == '"') {
		p = skip_quoted(p, e);
		if (!p)
			return NULL;
		p = skip_blanks(p, e);
		return p < e && *p == '<' ? p : NULL;
	}

	while (p < e && (is_a(*p, TOKEN) || is_blank(*p) || *p & 0x80))
		++p;

	return p < e && *p == '<' ? p : NULL;
}

/* RFC 3261 20: without <> there is no comma, semicolon or question mark in the
 * URI, so what follows a semicolon belongs to the header */
static const char *bare_end(const char *p, const char *e)
{
	while (p < e && *p != ';' && !is_blank(*p)) {
		if (*p == '?' || *p == ',')
			return NULL;
		++p;
	}

	return p;
}

static bool is_printable(const struct pl *text)
{
	size_t i;

	for (i = 0; i < text->l; ++i) {
		if ((uint8_t)text->p[i] <= ' ' ||
		    strchr("<>\"\x7f", text->p[i]))
			return false;
	}

	return true;
}

/* Its parts, which are only found */
static int cut_name_addr(struct address *addr, const struct pl *text)
{
	struct pl t = trimmed(text);
	const char *p = t.p;
	const char *e = p + t.l;
	const char *open, *close;

	addr->display = addr->spec = addr->params = range(e, e);
	if (p == e)
		return EINVAL;

	open = skip_display(p, e);
	if (open) {
		addr->display = blanks_off(p, open);
		close = memchr(open, '>', (size_t)(e - open));
		if (!close)
			return EINVAL;
		addr->spec = range(open + 1, close);
		p = close + 1;
	} else {
		close = bare_end(p, e);
		if (!close)
			return EINVAL;
		addr->spec = range(p, close);
		p = close;
	}

	addr->params = blanks_off(p, e);
	return 0;
}

/* All but its parameters, which are only found */
static int read_name_addr(struct address *addr, const struct pl *text)
{
	int err = cut_name_addr(addr, text);

	addr->uri = no_uri;
	if (err)
		return err;

	err = uri_read(&addr->uri, &addr->spec);
	if (err != EPROTONOSUPPORT)
		return err;
	addr->uri = no_uri;

	return is_printable(&addr->spec) ? 0 : EINVAL;
}

int address_read(struct address *addr, const struct pl *text)
{
	int err = read_name_addr(addr, text);

	return err ? err : params_check(&addr->params);
}

/* The one tag among the parameters; the others are checked */
static int read_tag(struct pl *tag, const struct pl *params)
{
	struct pl rest = *params, name, value;
	int err;

	while (!(err = param_next(&rest, &name, &value))) {
		if (!is_word(&name, "tag"))
			continue;
		if (!value.l || tag->l)
			return EINVAL;
		*tag = value;
	}

	return err == ENOENT ? 0 : err;
}

int address_read_tagged(struct address *addr, struct pl *tag,
			const struct pl *text)
{
	int err = read_name_addr(addr, text);

	return err ? err : read_tag(tag, &addr->params);
}

int address_tag(struct pl *tag, const struct pl *text)
{
	struct address addr;
	int err = cut_name_addr(&addr, text);

	return err ? err : read_tag(tag, &addr.params);
}

int quoted_undo(char *buf, size_t size, const struct pl *text)
{
	const char *p = text->l ? text->p : "";
	const char *e = p + text->l;
	size_t n = 0;
	const bool quoted = text->l >= 2 && *p == '"' && e[-1] == '"';

	if (quoted) {
		++p;
		--e;
	}
	for (; p < e; ++p) {
		if (quoted && *p == '\\' && p + 1 < e)
			++p;
		if (n == size)
			return -1;
		buf[n++] = *p;
	}

	return n > INT32_MAX ? -1 : (int)n;
}

/* Via, CSeq ---------------------------------------------------------------- */

/* A token and the blanks behind it */
static struct pl take_token(const char **pp, const char *e)
{
	const char *p = skip(*pp, e, TOKEN);
	struct pl token = range(*pp, p);

	*pp = skip_blanks(p, e);
	return token;
}

static bool take_char(const char **pp, const char *e, char c)
{
	if (*pp == e || **pp != c)
		return false;

	*pp = skip_blanks(*pp + 1, e);
	return true;
}

static int read_via_params(struct via *via)
{
	struct pl rest = via->params, name, value;
	int err;

	for (;;) {
		err = param_next(&rest, &name, &value);
		if (err)
			return err == ENOENT ? 0 : err;
		if (is_word(&name, "rport")) {
			via->has_rport = true;
		} else if (is_word(&name, "branch")) {
			/* Two of them would be two transactions */
			if (!value.l || via->branch.l)
				return EINVAL;
			via->branch = value;
		}
	}
}

int via_read(struct via *via, const struct pl *text)
{
	struct pl t = trimmed(text);
	const char *p = t.p;
	const char *e = p + t.l;
	struct pl name, version;
	const char *s;

	*via = no_via;

	/* RFC 3261 25.1: SLASH may have blanks on both sides */
	name = take_token(&p, e);
	if (!is_word(&name, "sip") || !take_char(&p, e, '/'))
		return EINVAL;
	version = take_token(&p, e);
	if (!is_word(&version, "2.0") || !take_char(&p, e, '/'))
		return EINVAL;
	s = p;
	via->transport = take_token(&p, e);
	if (!via->transport.l || p == s + via->transport.l)
		return EINVAL;

	if (read_host(&via->host, &p, e))
		return EINVAL;
	p = skip_blanks(p, e);
	if (take_char(&p, e, ':')) {
		if (read_port(&via->port, &p, e))
			return EINVAL;
		p = skip_blanks(p, e);
	}

	via->params = range(p, e);
	return read_via_params(via);
}

int via_read_top(struct via *via, struct pl *text, const struct pl *list)
{
	struct pl rest = *list;

	/* Nearly always there is one alone, without a comment */
	if (!rest.l ||
	    !(memchr(rest.p, ',', rest.l) || memchr(rest.p, '(', rest.l)))
		*text = trimmed(list);
	else if (list_next(&rest, text))
		return EINVAL;

	return via_read(via, text);
}

int cseq_read(uint32_t *number, struct pl *method, const struct pl *text)
{
	struct pl t = trimmed(text);
	const char *p = t.p;
	const char *e = p + t.l;
	struct pl digits;
	uint64_t n;

	while (p < e && *p >= '0' && *p <= '9')
		++p;
	digits = range(t.p, p);
	/* RFC 3261 8.1.1.5: less than 2**31 */
	if (uint_parse(&n, &digits, INT32_MAX))
		return EINVAL;
	if (p == e || !is_blank(*p))
		return EINVAL;

	p = skip_blanks(p, e);
	*method = range(p, e);
	if (p == e || skip(p, e, TOKEN) != e)
		return EINVAL;

	*number = (uint32_t)n;
	return 0;
}

/* Challenges --------------------------------------------------------------- */

int digest_param_next(struct pl *rest, struct pl *name, struct pl *value)
{
	const char *p = rest->l ? rest->p : "";
	const char *e = p + rest->l;
	const char *s;

	p = skip_blanks(p, e);
	if (p == e) {
		*rest = range(p, p);
		return ENOENT;
	}

	*name = take_token(&p, e);
	if (!name->l || !take_char(&p, e, '='))
		return EINVAL;
	s = p;
	if (p < e && *p == '"')
		p = skip_quoted(p, e);
	else
		p = skip(p, e, VALUE);
	if (!p || p == s)
		return EINVAL;
	*value = range(s, p);

	p = skip_blanks(p, e);
	if (p < e && *p != ',')
		return EINVAL;
	/* A comma with nothing behind it stays, and is refused next time */
	if (p < e && skip_blanks(p + 1, e) < e)
		++p;
	*rest = range(p, e);
	return 0;
}

static bool is_quoted(const struct pl *value)
{
	return value->l >= 2 && value->p[0] == '"';
}

static struct pl unquoted(const struct pl *value)
{
	return is_quoted(value) ? range(value->p + 1, value->p + value->l - 1)
				: *value;
}

/* stale and userhash: a word, which some write in quotes; nothing but "true"
 * is true (RFC 7616 3.3) */
static bool is_true(const struct pl *value)
{
	const struct pl word = unquoted(value);

	return is_word(&word, "true");
}

/* Bits of the parameters that were seen: none may come twice */
enum {
	SAW_REALM = 1,
	SAW_NONCE = 2,
	SAW_OPAQUE = 4,
	SAW_ALGORITHM = 8,
	SAW_QOP = 16,
	SAW_DOMAIN = 32,
	SAW_STALE = 64,
	SAW_USERHASH = 128
};

struct challenge_param {
	const char *name;
	uint8_t bit;
	bool quoted; /* nothing else will do (RFC 7616 3.3) */
};

static const struct challenge_param challenge_params[] = {
	{ "realm", SAW_REALM, true },   { "nonce", SAW_NONCE, true },
	{ "opaque", SAW_OPAQUE, true }, { "algorithm", SAW_ALGORITHM, false },
	{ "qop", SAW_QOP, false },      { "domain", SAW_DOMAIN, true },
	{ "stale", SAW_STALE, false },  { "userhash", SAW_USERHASH, false },
};

static const struct challenge_param *challenge_param(const struct pl *name)
{
	size_t i;

	for (i = 0; i < sizeof(challenge_params) / sizeof(*challenge_params);
	     ++i) {
		if (is_word(name, challenge_params[i].name))
			return &challenge_params[i];
	}

	return NULL;
}

static void challenge_take(struct challenge *c, uint8_t bit,
			   const struct pl *value)
{
	const struct pl text = unquoted(value);

	switch (bit) {
	case SAW_REALM:
		c->realm = text;
		break;
	case SAW_NONCE:
		c->nonce = text;
		break;
	case SAW_OPAQUE:
		c->opaque = text;
		c->has_opaque = true;
		break;
	case SAW_ALGORITHM:
		c->algorithm = text;
		c->has_algorithm = true;
		break;
	case SAW_QOP:
		c->qop = text;
		c->has_qop = true;
		break;
	case SAW_DOMAIN:
		c->domain = text;
		break;
	case SAW_STALE:
		c->stale = is_true(value);
		break;
	case SAW_USERHASH:
		c->userhash = is_true(value);
		break;
	}
}

int challenge_read(struct challenge *c, const struct pl *text)
{
	const struct pl t = trimmed(text);
	const char *p = t.p;
	const char *e = p + t.l;
	const struct challenge_param *param;
	struct pl rest, name, value;
	unsigned seen = 0;
	int err;

	*c = no_challenge;

	c->scheme = take_token(&p, e);
	if (!c->scheme.l)
		return EINVAL;
	if (!is_word(&c->scheme, "digest"))
		return 0;
	if (p == c->scheme.p + c->scheme.l)
		return EINVAL;

	rest = range(p, e);
	for (;;) {
		err = digest_param_next(&rest, &name, &value);
		if (err)
			break;
		param = challenge_param(&name);
		if (!param)
			continue;
		if (seen & param->bit || (param->quoted && !is_quoted(&value)))
			return EINVAL;
		seen |= param->bit;
		challenge_take(c, param->bit, &value);
	}
	if (err != ENOENT)
		return err;

	/* Without both there is nothing to answer */
	return seen & SAW_REALM && seen & SAW_NONCE && c->nonce.l ? 0 : EINVAL;
}

void challenge_move(struct challenge *c, const struct pl *text,
		    const char *copy)
{
	struct pl *const parts[] = { &c->scheme, &c->realm,     &c->nonce,
				     &c->opaque, &c->algorithm, &c->qop,
				     &c->domain };

	for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); ++i) {
		parts[i]->p = parts[i]->l ? copy + (parts[i]->p - text->p) : "";
	}
}

bool content_is(const struct pl *value, const char *type, const char *subtype)
{
	const struct pl t = trimmed(value);
	const char *p = t.p;
	const char *e = p + t.l;
	struct pl a, b;

	a = take_token(&p, e);
	if (!is_word(&a, type) || !take_char(&p, e, '/'))
		return false;
	b = take_token(&p, e);

	return is_word(&b, subtype) && (p == e || *p == ';');
}
