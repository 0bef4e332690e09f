/*
 * The kinds of value: read, write, compare, clear
 *
 * Each kind is a group of functions and, at the end, a row. Texts are of
 * malloc; the empty text is one constant, because most texts of a large
 * configuration are empty.
 */
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "store/base.h"
#include "store/log.h"
#include "store/number.h"
#include "store/value.h"

enum {
	NAME_MAX_BYTES = 128,
	TEXT_MAX_BYTES = 1024,
	HOST_MAX_BYTES = 253,
	LABEL_MAX_BYTES = 63,
	SEALED_MAX_BYTES = 1600,
	PATTERN_MAX_BYTES = 512,
};

const char secret_mask[] = "********";

static char empty_text[1]; /* never written */

__attribute__((format(printf, 2, 3))) static int refuse(
	struct value_fault *fault, const char *fmt, ...)
{
	va_list ap;

	if (fault) {
		va_start(ap, fmt);
		(void)vsnprintf(fault->why, sizeof(fault->why), fmt, ap);
		va_end(ap);
	}

	return EINVAL;
}

/* Texts */

static int text_new(char **to, const char *p, size_t n)
{
	char *text = empty_text;

	if (n) {
		text = malloc(n + 1);
		if (!text)
			return ENOMEM;
		memcpy(text, p, n);
		text[n] = '\0';
	}

	*to = text;
	return 0;
}

static void text_free(char *text)
{
	if (text != empty_text)
		free(text);
}

static int text_replace(char **slot, const char *p, size_t n)
{
	char *text;
	int err = text_new(&text, p, n);

	if (err)
		return err;

	text_free(*slot);
	*slot = text;
	return 0;
}

/* Length of the UTF-8 character at p (RFC 3629), or 0 */
static size_t utf8_length(const unsigned char *p, size_t n)
{
	size_t len;

	if (p[0] < 0x80)
		return 1;
	if (p[0] < 0xc2 || p[0] > 0xf4)
		return 0;

	len = p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
	if (n < len)
		return 0;
	for (size_t i = 1; i < len; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	}

	/* Too long a form, surrogates, beyond U+10FFFF */
	if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ||
	    (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))
		return 0;

	return len;
}

static int text_check(const struct pl *text, size_t max,
		      struct value_fault *fault)
{
	const unsigned char *p = (const unsigned char *)text->p;

	if (text->l > max)
		return refuse(fault, "is longer than %zu bytes", max);

	for (size_t i = 0; i < text->l;) {
		size_t len = utf8_length(p + i, text->l - i);

		if (!len)
			return refuse(fault, "is not UTF-8");
		/* C0, DEL, and C1 in its two bytes */
		if (p[i] < 0x20 || p[i] == 0x7f ||
		    (p[i] == 0xc2 && p[i + 1] < 0xa0))
			return refuse(fault, "holds a control character");
		i += len;
	}

	return 0;
}

bool text_is_clean(const struct pl *text)
{
	struct value_fault fault;

	return !text_check(text, SIZE_MAX, &fault);
}

/* A set of characters as "A-Za-z0-9_-" */
static bool class_has(const char *set, char c)
{
	for (; *set; set++) {
		if (set[1] == '-' && set[2]) {
			if (c >= set[0] && c <= set[2])
				return true;
			set += 2;
		} else if (c == *set) {
			return true;
		}
	}

	return false;
}

static int text_parse(void *slot, const struct pl *text, const struct field *f,
		      struct value_fault *fault)
{
	int err = text_check(text, f->max ? f->max : TEXT_MAX_BYTES, fault);

	if (err)
		return err;

	for (size_t i = 0; f->chars && i < text->l; i++) {
		if (!class_has(f->chars, text->p[i]))
			return refuse(fault, "may hold only %s", f->chars);
	}

	return text_replace(slot, text->p, text->l);
}

static int text_show(struct re_printf *pf, const void *slot,
		     const struct field *f)
{
	const char *text = *(char *const *)slot;

	(void)f;
	return re_hprintf(pf, "%s", text ? text : "");
}

static const char *text_of(const void *slot)
{
	const char *text = *(char *const *)slot;

	return text ? text : "";
}

static bool text_same(const void *a, const void *b)
{
	return !strcmp(text_of(a), text_of(b));
}

static bool text_same_nocase(const void *a, const void *b)
{
	return !strcasecmp(text_of(a), text_of(b));
}

static int text_copy(void *to, const void *from)
{
	const char *text = text_of(from);

	return text_replace(to, text, strlen(text));
}

static void text_clear(void *slot)
{
	char **text = slot;

	text_free(*text);
	*text = empty_text;
}

/* Names and hosts */

bool name_is_valid(const struct pl *text)
{
	if (!text->l || text->l > NAME_MAX_BYTES)
		return false;

	for (size_t i = 0; i < text->l; i++) {
		unsigned char c = (unsigned char)text->p[i];
		bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');

		if (letter || (c >= '0' && c <= '9') || c == '_')
			continue;
		if (!i || (c != '.' && c != '-'))
			return false;
	}

	return true;
}

static bool pl_is(const struct pl *text, const char *word)
{
	return text->l == strlen(word) && !memcmp(text->p, word, text->l);
}

static int name_parse(void *slot, const struct pl *text, const struct field *f,
		      struct value_fault *fault)
{
	if (text->l && !name_is_valid(text) &&
	    !((f->flags & ANY_TOO) && pl_is(text, "*")))
		return refuse(fault, "is not a name");

	return text_replace(slot, text->p, text->l);
}

/* RFC 1123 2.1: the last label is not all digits, or it would be an address */
static bool dns_name_is_valid(const struct pl *text)
{
	size_t label = 0;
	bool digits = true;

	if (!text->l || text->l > HOST_MAX_BYTES)
		return false;

	for (size_t i = 0; i < text->l; i++) {
		unsigned char c = (unsigned char)text->p[i];

		if (c == '.') {
			if (!label || text->p[i - 1] == '-')
				return false;
			label = 0;
			digits = true;
			continue;
		}
		if (c > 0x7f || (!isalnum(c) && c != '-' && c != '_') ||
		    (c == '-' && !label) || ++label > LABEL_MAX_BYTES)
			return false;
		digits = digits && isdigit(c);
	}

	return label && !digits && text->p[text->l - 1] != '-';
}

static uint32_t digit(char c)
{
	return (uint32_t)(uint8_t)c - '0';
}

/* The number at *pp, below 256 and without a leading zero. Without a loop: half of
 * what it would cost */
static bool octet_read(uint32_t *address, const char **pp, const char *e)
{
	const char *p = *pp;
	uint32_t n;

	if (p == e || digit(*p) > 9)
		return false;
	n = digit(*p++);
	if (n && p < e && digit(*p) < 10) {
		n = n * 10 + digit(*p++);
		if (p < e && digit(*p) < 10)
			n = n * 10 + digit(*p++);
	}
	*pp = p;
	*address = *address << 8 | n;

	return n < 256;
}

/* Four numbers, as inet_pton takes them; this is asked for every host of a
 * message */
static bool ipv4_read(uint32_t *address, const struct pl *text)
{
	const char *p = text->p, *e = p + text->l;

	*address = 0;
	for (int i = 0; i < 4; ++i) {
		if (i && (p == e || *p++ != '.'))
			return false;
		if (!octet_read(address, &p, e))
			return false;
	}

	return p == e;
}

static bool bare_address(struct sa *sa, const struct pl *text, bool brackets)
{
	char buf[64];
	struct in6_addr in6;
	struct pl t = *text;
	uint32_t in;

	if (brackets && t.l > 2 && t.p[0] == '[' && t.p[t.l - 1] == ']') {
		t.p++;
		t.l -= 2;
	} else {
		brackets = false;
	}
	if (!brackets && ipv4_read(&in, &t)) {
		sa_set_in(sa, in, 0);
		return true;
	}
	if (t.l >= sizeof(buf) || !t.l || !memchr(t.p, ':', t.l) ||
	    memchr(t.p, '\0', t.l))
		return false;
	memcpy(buf, t.p, t.l);
	buf[t.l] = '\0';
	if (inet_pton(AF_INET6, buf, &in6) == 1) {
		sa_set_in6(sa, in6.s6_addr, 0);
		return true;
	}

	return false;
}

static int port_read(uint16_t *port, const struct pl *text)
{
	uint64_t n;
	int err = uint_parse(&n, text, UINT16_MAX);

	if (err || !n)
		return EINVAL;

	*port = (uint16_t)n;
	return 0;
}

int address_parse_text(struct sa *sa, const struct pl *text)
{
	struct sa found;
	const char *colon;
	uint16_t port;
	struct pl host, rest;

	if (bare_address(&found, text, true)) {
		*sa = found;
		return 0;
	}

	colon = memrchr(text->p, ':', text->l);
	if (!colon)
		return EINVAL;

	host.p = text->p;
	host.l = (size_t)(colon - text->p);
	rest.p = colon + 1;
	rest.l = text->l - host.l - 1;
	if (!bare_address(&found, &host, true) || port_read(&port, &rest))
		return EINVAL;
	if (sa_af(&found) == AF_INET6 && host.p[0] != '[')
		return EINVAL; /* "1::2:70000" is no address with a port */

	sa_set_port(&found, port);
	*sa = found;
	return 0;
}

bool host_is_valid(const struct pl *text)
{
	struct sa sa;

	return bare_address(&sa, text, true) || dns_name_is_valid(text);
}

/* Most of what an address costs: three digits at the most, so no loop */
static char *octet_write(char *p, unsigned n)
{
	if (n >= 100)
		*p++ = (char)('0' + n / 100);
	if (n >= 10)
		*p++ = (char)('0' + n / 10 % 10);
	*p++ = (char)('0' + n % 10);

	return p;
}

size_t address_write(char *buf, const struct sa *sa, bool port)
{
	char *p = buf;

	if (sa_af(sa) == AF_INET) {
		const uint8_t *b = (const uint8_t *)&sa->u.in.sin_addr;

		for (int i = 0; i < 4; ++i) {
			if (i)
				*p++ = '.';
			p = octet_write(p, b[i]);
		}
	} else if (sa_af(sa) == AF_INET6) {
		if (port)
			*p++ = '[';
		if (!inet_ntop(AF_INET6, &sa->u.in6.sin6_addr, p,
			       INET6_ADDRSTRLEN))
			p = buf; /* no room: cannot be */
		p += strlen(p);
		if (port)
			*p++ = ']';
	}
	if (port && p > buf) {
		*p++ = ':';
		p += uint_write(p, sa_port(sa));
	}
	*p = '\0';

	return (size_t)(p - buf);
}

static int sa_text(char *buf, size_t size, const struct sa *sa)
{
	const void *addr = sa_af(sa) == AF_INET6
				   ? (const void *)&sa->u.in6.sin6_addr
				   : (const void *)&sa->u.in.sin_addr;

	return inet_ntop(sa_af(sa), addr, buf, (socklen_t)size) ? 0 : EINVAL;
}

/* An address is stored in its canonical form (RFC 5952) */
static int host_store(char **slot, const struct pl *text)
{
	char buf[INET6_ADDRSTRLEN];
	struct sa sa;

	if (bare_address(&sa, text, true) && !sa_text(buf, sizeof(buf), &sa))
		return text_replace(slot, buf, strlen(buf));

	return text_replace(slot, text->p, text->l);
}

/* A host, also with a port: IPv6 in square brackets then */
static bool host_port_is_valid(struct pl host)
{
	const char *colon;
	struct pl port;
	struct sa sa;
	uint16_t n;

	if (!address_parse_text(&sa, &host) || dns_name_is_valid(&host))
		return true;

	colon = memchr(host.p, ':', host.l);
	if (!colon)
		return false;
	port.p = colon + 1;
	port.l = host.l - (size_t)(colon - host.p) - 1;
	host.l = (size_t)(colon - host.p);

	return dns_name_is_valid(&host) && !port_read(&n, &port);
}

static int host_parse(void *slot, const struct pl *text, const struct field *f,
		      struct value_fault *fault)
{
	if (text->l && !host_is_valid(text) &&
	    !((f->flags & PORT_TOO) && host_port_is_valid(*text)) &&
	    !((f->flags & ANY_TOO) && pl_is(text, "*")))
		return refuse(fault, "is neither a host name nor an address");

	return host_store(slot, text);
}

/* Dates: of one year, or of all */

uint32_t date_read(const struct pl *text)
{
	static const unsigned last[] = { 31, 29, 31, 30, 31, 30,
					 31, 31, 30, 31, 30, 31 };
	const char *form = text->l == 5 ? "##-##" : "####-##-##";
	unsigned month, day;
	uint32_t n = 0;

	if (text->l != strlen(form))
		return 0;
	for (size_t i = 0; i < text->l; i++) {
		bool digit = text->p[i] >= '0' && text->p[i] <= '9';

		if (form[i] == '#' ? !digit : text->p[i] != '-')
			return 0;
		if (digit)
			n = 10 * n + (uint32_t)(text->p[i] - '0');
	}
	month = n / 100 % 100;
	day = n % 100;
	if (!month || month > 12 || !day || day > last[month - 1])
		return 0;

	return n;
}

static int date_parse(void *slot, const struct pl *text, const struct field *f,
		      struct value_fault *fault)
{
	(void)f;
	if (!date_read(text))
		return refuse(fault, "is no date YYYY-MM-DD or MM-DD");

	return text_replace(slot, text->p, text->l);
}

/* Targets: configuration.md 3.1 */

static bool starts(const struct pl *text, const char *head, struct pl *rest)
{
	size_t n = strlen(head);

	if (text->l < n || strncasecmp(text->p, head, n))
		return false;

	rest->p = text->p + n;
	rest->l = text->l - n;
	return true;
}

static bool target_tail_is_valid(const struct pl *tail, bool table)
{
	static const char *const transports[] = {
		"transport=udp", "transport=tcp", "transport=tls",
		"transport=ws",  "transport=wss", NULL,
	};
	static const char *const keys[] = {
		"key=$TO",
		"key=$FROM",
		"key=$PAI",
		NULL,
	};

	for (const char *const *w = table ? keys : transports; *w; w++) {
		if (tail->l == strlen(*w) && !strncasecmp(tail->p, *w, tail->l))
			return true;
	}

	return false;
}

static int target_parse(void *slot, const struct pl *text,
			const struct field *f, struct value_fault *fault)
{
	const char *semicolon = memchr(text->p, ';', text->l);
	struct pl head = *text, tail = { "", 0 }, name;
	bool table;

	(void)f;
	if (!text->l)
		return text_replace(slot, "", 0);

	if (semicolon) {
		head.l = (size_t)(semicolon - text->p);
		tail.p = semicolon + 1;
		tail.l = text->l - head.l - 1;
	}
	table = starts(&head, "enum:", &name) || starts(&head, "lrt:", &name);

	if (starts(&head, "SAG:", &name)) {
		if (!name_is_valid(&name) || semicolon)
			return refuse(fault, "needs a name after SAG:");
	} else if (table) {
		if (!name_is_valid(&name))
			return refuse(fault, "needs a name after the colon");
	} else if (!host_port_is_valid(head)) {
		return refuse(fault, "is no target");
	}
	if (semicolon && !target_tail_is_valid(&tail, table))
		return refuse(fault, "has an unknown parameter after ;");

	/* The name of an IPv6 agent is compared in canonical form */
	return semicolon || table ? text_replace(slot, text->p, text->l)
				  : host_store((char **)slot, text);
}

/* Flags, words, numbers */

static bool word_find(const char *const *words, const struct pl *text,
		      uint8_t *index)
{
	for (uint8_t i = 0; words[i]; i++) {
		if (strlen(words[i]) == text->l &&
		    !strncasecmp(words[i], text->p, text->l)) {
			*index = i;
			return true;
		}
	}

	return false;
}

static int flag_parse(void *slot, const struct pl *text, const struct field *f,
		      struct value_fault *fault)
{
	static const char *const words[] = { "disabled", "enabled", NULL };
	uint8_t index;

	(void)f;
	if (!word_find(words, text, &index))
		return refuse(fault, "is neither enabled nor disabled");

	*(bool *)slot = index;
	return 0;
}

static int flag_show(struct re_printf *pf, const void *slot,
		     const struct field *f)
{
	(void)f;
	return re_hprintf(pf, "%s",
			  *(const bool *)slot ? "enabled" : "disabled");
}

static bool flag_same(const void *a, const void *b)
{
	return *(const bool *)a == *(const bool *)b;
}

static int flag_copy(void *to, const void *from)
{
	*(bool *)to = *(const bool *)from;
	return 0;
}

static void flag_clear(void *slot)
{
	*(bool *)slot = false;
}

static int word_parse(void *slot, const struct pl *text, const struct field *f,
		      struct value_fault *fault)
{
	if (!word_find(f->words, text, slot))
		return refuse(fault, "is not one of the words");

	return 0;
}

static int word_show(struct re_printf *pf, const void *slot,
		     const struct field *f)
{
	return re_hprintf(pf, "%s", f->words[*(const uint8_t *)slot]);
}

static bool level_read(uint8_t *level, const struct pl *text)
{
	char word[16];
	int n;

	if (pl_strcpy(text, word, sizeof(word)))
		return false;
	n = log_level_parse(word);
	if (n < 0)
		return false;

	*level = (uint8_t)n;
	return true;
}

static int level_parse(void *slot, const struct pl *text, const struct field *f,
		       struct value_fault *fault)
{
	(void)f;
	if (!text->l || !level_read(slot, text))
		return refuse(fault, "is not a level");

	return 0;
}

static int level_show(struct re_printf *pf, const void *slot,
		      const struct field *f)
{
	(void)f;
	return re_hprintf(pf, "%s", log_level_name(*(const uint8_t *)slot));
}

static bool byte_same(const void *a, const void *b)
{
	return *(const uint8_t *)a == *(const uint8_t *)b;
}

static int byte_copy(void *to, const void *from)
{
	*(uint8_t *)to = *(const uint8_t *)from;
	return 0;
}

static void byte_clear(void *slot)
{
	*(uint8_t *)slot = 0;
}

static int number_parse(void *slot, const struct pl *text,
			const struct field *f, struct value_fault *fault)
{
	uint64_t max = f->max ? f->max : UINT32_MAX;
	uint64_t n = 0;
	int err = uint_parse(&n, text, max);

	if (err == EINVAL)
		return refuse(fault, "is not a number");
	/* Two ranges: 0 (off), and min to max, are .min = 0 and a rule */
	if (err || n < f->min)
		return refuse(fault, "is out of range %llu-%llu",
			      (unsigned long long)f->min,
			      (unsigned long long)max);

	*(uint32_t *)slot = (uint32_t)n;
	return 0;
}

static int number_show(struct re_printf *pf, const void *slot,
		       const struct field *f)
{
	uint32_t n = *(const uint32_t *)slot;

	if (!f->dflt && !n && f->min) /* required, not yet set */
		return 0;

	return re_hprintf(pf, "%u", n);
}

static bool number_same(const void *a, const void *b)
{
	return *(const uint32_t *)a == *(const uint32_t *)b;
}

static int number_copy(void *to, const void *from)
{
	*(uint32_t *)to = *(const uint32_t *)from;
	return 0;
}

static void number_clear(void *slot)
{
	*(uint32_t *)slot = 0;
}

/* Addresses and prefixes */

static bool sa_same(const struct sa *a, const struct sa *b)
{
	if (sa_af(a) != sa_af(b))
		return false;

	return sa_af(a) == AF_UNSPEC || sa_cmp(a, b, SA_ALL);
}

static int sa_show(struct re_printf *pf, const struct sa *sa)
{
	char buf[INET6_ADDRSTRLEN];
	bool brackets = sa_af(sa) == AF_INET6;

	if (sa_af(sa) == AF_UNSPEC || sa_text(buf, sizeof(buf), sa))
		return 0;
	if (!sa_port(sa))
		return re_hprintf(pf, "%s", buf);

	return re_hprintf(pf, "%s%s%s:%u", brackets ? "[" : "", buf,
			  brackets ? "]" : "", sa_port(sa));
}

static int address_check(struct sa *sa, const struct pl *text,
			 const struct field *f, struct value_fault *fault)
{
	if (address_parse_text(sa, text))
		return refuse(fault, "is not an address");
	if (sa_port(sa) && !(f->flags & PORT_TOO))
		return refuse(fault, "has a port, which does not belong here");

	return 0;
}

static int address_parse(void *slot, const struct pl *text,
			 const struct field *f, struct value_fault *fault)
{
	struct sa sa;
	int err;

	if (!text->l) {
		memset(slot, 0, sizeof(struct sa));
		return 0;
	}

	err = address_check(&sa, text, f, fault);
	if (!err)
		*(struct sa *)slot = sa;

	return err;
}

static int address_show(struct re_printf *pf, const void *slot,
			const struct field *f)
{
	(void)f;
	return sa_show(pf, slot);
}

static bool address_same(const void *a, const void *b)
{
	return sa_same(a, b);
}

static int address_copy(void *to, const void *from)
{
	memcpy(to, from, sizeof(struct sa));
	return 0;
}

static void address_clear(void *slot)
{
	memset(slot, 0, sizeof(struct sa));
}

static int prefix_read(struct prefix *p, const struct pl *text,
		       struct value_fault *fault)
{
	const char *slash = memchr(text->p, '/', text->l);
	struct prefix got = { .any = false };
	struct pl addr = *text, bits;
	uint64_t n, max;

	if (slash)
		addr.l = (size_t)(slash - text->p);
	if (!bare_address(&got.addr, &addr, false))
		return refuse(fault, "is not an address or prefix");

	max = sa_af(&got.addr) == AF_INET6 ? 128 : 32;
	n = max;
	if (slash) {
		bits.p = slash + 1;
		bits.l = text->l - addr.l - 1;
		if (uint_parse(&n, &bits, max))
			return refuse(fault, "needs 0-%u bits after /",
				      (unsigned)max);
	}
	got.bits = (uint8_t)n;
	got.any = sa_af(&got.addr) == AF_INET &&
		  got.addr.u.in.sin_addr.s_addr == 0 && (!slash || !n);
	if (got.any)
		got.bits = 0;

	*p = got;
	return 0;
}

static int prefix_parse(void *slot, const struct pl *text,
			const struct field *f, struct value_fault *fault)
{
	(void)f;
	if (!text->l) {
		memset(slot, 0, sizeof(struct prefix));
		return 0;
	}

	return prefix_read(slot, text, fault);
}

static int prefix_write(struct re_printf *pf, const struct prefix *p)
{
	unsigned full = sa_af(&p->addr) == AF_INET6 ? 128 : 32;
	int err;

	if (p->any)
		return re_hprintf(pf, "0.0.0.0");
	if (sa_af(&p->addr) == AF_UNSPEC)
		return 0;

	err = sa_show(pf, &p->addr);
	if (p->bits != full)
		err |= re_hprintf(pf, "/%u", (unsigned)p->bits);

	return err;
}

static int prefix_show(struct re_printf *pf, const void *slot,
		       const struct field *f)
{
	(void)f;
	return prefix_write(pf, slot);
}

static bool prefix_same(const void *a, const void *b)
{
	const struct prefix *x = a, *y = b;

	return x->any == y->any && x->bits == y->bits &&
	       sa_same(&x->addr, &y->addr);
}

static int prefix_copy(void *to, const void *from)
{
	memcpy(to, from, sizeof(struct prefix));
	return 0;
}

static void prefix_clear(void *slot)
{
	memset(slot, 0, sizeof(struct prefix));
}

static bool bits_equal(const void *a, const void *b, unsigned bits)
{
	unsigned bytes = bits / 8, rest = bits % 8;
	uint8_t mask = (uint8_t)(0xff00 >> rest);

	if (memcmp(a, b, bytes))
		return false;

	return !rest ||
	       ((((const uint8_t *)a)[bytes] ^ ((const uint8_t *)b)[bytes]) &
		mask) == 0;
}

bool prefix_holds(const struct prefix *p, const struct sa *sa)
{
	if (p->any)
		return sa_af(sa) == AF_INET || sa_af(sa) == AF_INET6;
	if (sa_af(&p->addr) != sa_af(sa))
		return false;

	switch (sa_af(sa)) {
	case AF_INET:
		return bits_equal(&p->addr.u.in.sin_addr, &sa->u.in.sin_addr,
				  p->bits);
	case AF_INET6:
		return bits_equal(&p->addr.u.in6.sin6_addr,
				  &sa->u.in6.sin6_addr, p->bits);
	}

	return false;
}

bool prefixes_hold(const struct prefixes *list, const struct sa *sa)
{
	for (uint32_t i = 0; i < list->n; i++) {
		if (prefix_holds(&list->v[i], sa))
			return true;
	}

	return false;
}

/* Times */

static bool digits_read(unsigned *n, const char *p, size_t len)
{
	struct pl text = { p, len };
	uint64_t got;

	if (uint_parse(&got, &text, 9999))
		return false;

	*n = (unsigned)got;
	return true;
}

static unsigned days_of(unsigned year, unsigned month)
{
	static const uint8_t days[] = { 31, 28, 31, 30, 31, 30,
					31, 31, 30, 31, 30, 31 };
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

	return month == 2 && leap ? 29 : days[month - 1];
}

static int stamp_parse(void *slot, const struct pl *text, const struct field *f,
		       struct value_fault *fault)
{
	unsigned y, mo, d, h, mi, s;
	const char *p = text->p;

	(void)f;
	if (!text->l) {
		*(stamp *)slot = 0;
		return 0;
	}

	if (text->l != 19 || p[4] != '-' || p[7] != '-' ||
	    (p[10] != ' ' && p[10] != '-') || p[13] != ':' || p[16] != ':' ||
	    !digits_read(&y, p, 4) || !digits_read(&mo, p + 5, 2) ||
	    !digits_read(&d, p + 8, 2) || !digits_read(&h, p + 11, 2) ||
	    !digits_read(&mi, p + 14, 2) || !digits_read(&s, p + 17, 2))
		return refuse(fault, "is not yyyy-mm-dd hh:mm:ss");
	if (y < 1970 || mo < 1 || mo > 12 || d < 1 || d > days_of(y, mo) ||
	    h > 23 || mi > 59 || s > 59)
		return refuse(fault, "is no day or time of the calendar");

	*(stamp *)slot =
		((((y * 100ull + mo) * 100 + d) * 100 + h) * 100 + mi) * 100 +
		s;
	return 0;
}

static int stamp_show(struct re_printf *pf, const void *slot,
		      const struct field *f)
{
	uint64_t t = *(const stamp *)slot;
	char buf[64];

	(void)f;
	if (!t)
		return 0;

	(void)snprintf(buf, sizeof(buf), "%04u-%02u-%02u %02u:%02u:%02u",
		       (unsigned)(t / 10000000000ull) % 10000,
		       (unsigned)(t / 100000000 % 100),
		       (unsigned)(t / 1000000 % 100),
		       (unsigned)(t / 10000 % 100), (unsigned)(t / 100 % 100),
		       (unsigned)(t % 100));
	return re_hprintf(pf, "%s", buf);
}

static bool stamp_same(const void *a, const void *b)
{
	return *(const stamp *)a == *(const stamp *)b;
}

static int stamp_copy(void *to, const void *from)
{
	*(stamp *)to = *(const stamp *)from;
	return 0;
}

static void stamp_clear(void *slot)
{
	*(stamp *)slot = 0;
}

static int hhmm_parse(void *slot, const struct pl *text, const struct field *f,
		      struct value_fault *fault)
{
	unsigned n;

	(void)f;
	if (text->l != 4 || !digits_read(&n, text->p, 4) || n > 2400 ||
	    n % 100 > 59)
		return refuse(fault, "is not a time 0000-2400");

	*(hhmm *)slot = (hhmm)n;
	return 0;
}

static int hhmm_show(struct re_printf *pf, const void *slot,
		     const struct field *f)
{
	unsigned n = *(const hhmm *)slot;
	char buf[8];

	(void)f;
	(void)snprintf(buf, sizeof(buf), "%04u", n % 10000);
	return re_hprintf(pf, "%s", buf);
}

static bool hhmm_same(const void *a, const void *b)
{
	return *(const hhmm *)a == *(const hhmm *)b;
}

static int hhmm_copy(void *to, const void *from)
{
	*(hhmm *)to = *(const hhmm *)from;
	return 0;
}

static void hhmm_clear(void *slot)
{
	*(hhmm *)slot = 0;
}

static const char day_letters[] = "UMTWRFSH";
enum {
	DAY_SATURDAY = 6,
	DAY_HOLIDAY = 7
};

static int day_of(char c)
{
	const char *p =
		c ? strchr(day_letters, toupper((unsigned char)c)) : NULL;

	return p ? (int)(p - day_letters) : -1;
}

static int weekdays_parse(void *slot, const struct pl *text,
			  const struct field *f, struct value_fault *fault)
{
	unsigned days = 0;
	size_t i = 0;

	(void)f;
	do {
		int from = i < text->l ? day_of(text->p[i++]) : -1;
		int to = from;

		if (i < text->l && text->p[i] == '-') {
			to = ++i < text->l ? day_of(text->p[i++]) : -1;
			if (to > DAY_SATURDAY || from > to)
				return refuse(fault, "has no such range");
		}
		if (from < 0 || to < 0)
			return refuse(fault, "is not a list of days");
		for (; from <= to; from++)
			days |= 1u << from;
	} while (i < text->l && text->p[i++] == ',');

	if (i < text->l || text->p[text->l - 1] == ',')
		return refuse(fault, "is not a list of days");

	*(weekdays *)slot = (weekdays)days;
	return 0;
}

static int weekdays_show(struct re_printf *pf, const void *slot,
			 const struct field *f)
{
	unsigned days = *(const weekdays *)slot;
	const char *comma = "";
	int err = 0;

	(void)f;
	for (int i = 0; i <= DAY_HOLIDAY; i++) {
		int last = i;

		if (!(days & (1u << i)))
			continue;
		while (last < DAY_SATURDAY && (days & (1u << (last + 1))))
			last++;

		if (last > i + 1 && i < DAY_SATURDAY) {
			err |= re_hprintf(pf, "%s%c-%c", comma, day_letters[i],
					  day_letters[last]);
			i = last;
		} else {
			err |= re_hprintf(pf, "%s%c", comma, day_letters[i]);
		}
		comma = ",";
	}

	return err;
}

/* Secrets */

static struct pl pl_of(const char *text)
{
	struct pl pl = { text, strlen(text) };

	return pl;
}

static bool is_base64(const struct pl *text)
{
	for (size_t i = 0; i < text->l; i++) {
		unsigned char c = (unsigned char)text->p[i];

		if (c > 0x7f ||
		    (!isalnum(c) && c != '+' && c != '/' && c != '='))
			return false;
	}

	return text->l > 0;
}

static int secret_parse(void *slot, const struct pl *text,
			const struct field *f, struct value_fault *fault)
{
	struct secret *secret = slot;
	struct pl cipher;
	bool sealed = starts(text, "$sbc1$", &cipher);
	char *copy = NULL;
	int err;

	(void)f;
	err = text_check(text, sealed ? SEALED_MAX_BYTES : SECRET_MAX, fault);
	if (err)
		return err;
	if (sealed && !is_base64(&cipher))
		return refuse(fault, "begins with $sbc1$ but is not sealed");

	if (text->l) {
		copy = strndup(text->p, text->l);
		if (!copy)
			return ENOMEM;
	}
	secret_wipe(secret->text);
	secret->text = copy;
	secret->sealed = sealed;
	return 0;
}

static int secret_show(struct re_printf *pf, const void *slot,
		       const struct field *f)
{
	const struct secret *secret = slot;

	(void)f;
	return re_hprintf(pf, "%s", secret->text ? secret->text : "");
}

static bool secret_same(const void *a, const void *b)
{
	const struct secret *x = a, *y = b;

	if (!x->text || !y->text)
		return x->text == y->text;

	return x->sealed == y->sealed && !strcmp(x->text, y->text);
}

static int secret_copy(void *to, const void *from)
{
	const struct secret *x = from;
	struct secret *y = to;
	char *copy = NULL;

	if (x->text) {
		copy = strdup(x->text);
		if (!copy)
			return ENOMEM;
	}
	secret_wipe(y->text);
	y->text = copy;
	y->sealed = x->sealed;
	return 0;
}

static void secret_clear(void *slot)
{
	struct secret *secret = slot;

	secret_wipe(secret->text);
	secret->text = NULL;
	secret->sealed = false;
}

bool secret_is_mask(const struct secret *secret)
{
	return secret->text && !secret->sealed &&
	       !strcmp(secret->text, secret_mask);
}

/* Lists: what they have in common */

/* Make room for one more; the arrays grow at powers of two */
static int list_grow(void **v, uint32_t n, size_t size)
{
	void *more;

	if (n & (n - 1))
		return 0;
	if (n > UINT32_MAX / 4)
		return ENOMEM;

	more = realloc(*v, (n ? n * 2 : 1) * size);
	if (!more)
		return ENOMEM;

	*v = more;
	return 0;
}

static int list_full(uint32_t n, const struct field *f,
		     struct value_fault *fault)
{
	if (f->max && n >= f->max)
		return refuse(fault, "has more than %llu values",
			      (unsigned long long)f->max);

	return 0;
}

static bool needs_quotes(const struct pl *text)
{
	for (size_t i = 0; i < text->l; i++) {
		if (strchr(" \t()#?|\"\\", text->p[i]))
			return true;
	}

	return !text->l;
}

int value_quote(struct re_printf *pf, const struct pl *text)
{
	int err;

	if (!needs_quotes(text))
		return re_hprintf(pf, "%r", text);

	err = re_hprintf(pf, "\"");
	for (size_t i = 0; i < text->l; i++) {
		if (text->p[i] == '"' || text->p[i] == '\\')
			err |= re_hprintf(pf, "\\");
		err |= re_hprintf(pf, "%c", text->p[i]);
	}

	return err | re_hprintf(pf, "\"");
}

struct one {
	const struct type *type;
	const void *slot;
	uint32_t i;
};

static int one_print(struct re_printf *pf, const struct one *one)
{
	return one->type->print_at(pf, one->slot, one->i);
}

static int list_print(struct re_printf *pf, const void *slot,
		      const struct type *type)
{
	uint32_t n = *(const uint32_t *)slot;
	int err = 0;

	for (uint32_t i = 0; i < n; i++) {
		struct one one = { type, slot, i };
		char *text = NULL;
		struct pl pl;
		bool bare;

		if (re_sdprintf(&text, "%H", one_print, &one))
			return ENOMEM;
		pl = pl_of(text);
		bare = n == 1 && !needs_quotes(&pl);
		err |= re_hprintf(pf, "%s", bare ? "" : i ? " " : "(");
		err |= value_quote(pf, &pl);
		if (!bare && i + 1 == n)
			err |= re_hprintf(pf, ")");
		mem_deref(text);
	}

	return err;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* One word or quoted text at the front of rest */
static int word_take(struct pl *rest, struct mbuf *mb)
{
	bool quoted = rest->l && *rest->p == '"';
	int err = 0;

	if (quoted)
		pl_advance(rest, 1);

	while (rest->l && !err) {
		char c = *rest->p;

		if (quoted ? c == '"' : is_blank(c) || c == ')')
			break;
		if (!quoted && (c == '(' || c == '"'))
			return EINVAL;
		if (quoted && c == '\\') {
			pl_advance(rest, 1);
			if (!rest->l || (*rest->p != '"' && *rest->p != '\\'))
				return EINVAL;
			c = *rest->p;
		}
		err = mbuf_write_u8(mb, (uint8_t)c);
		pl_advance(rest, 1);
	}
	if (!quoted || err)
		return err;
	if (!rest->l)
		return EINVAL; /* the quote never ends */
	pl_advance(rest, 1);

	return rest->l && !is_blank(*rest->p) && *rest->p != ')' ? EINVAL : 0;
}

int value_next(struct pl *rest, char **buf)
{
	struct mbuf *mb;
	int err;

	/* Only a list in parentheses begins with one, and loses it here: the
	 * end is then the parenthesis, and nothing may follow it */
	while (rest->l && (is_blank(*rest->p) || *rest->p == '('))
		pl_advance(rest, 1);
	if (!rest->l)
		return ENOENT;
	if (*rest->p == ')') {
		pl_advance(rest, 1);
		while (rest->l && is_blank(*rest->p))
			pl_advance(rest, 1);
		return rest->l ? EINVAL : ENOENT;
	}

	mb = mbuf_alloc(64);
	if (!mb)
		return ENOMEM;

	err = word_take(rest, mb);
	if (err)
		goto out;

	mb->pos = 0;
	err = mbuf_strdup(mb, buf, mb->end);

out:
	mem_deref(mb);
	return err;
}

/* Lists of texts */

typedef int(text_check_h)(char **out, const struct pl *text,
			  const struct field *f, struct value_fault *fault);

bool names_have(const struct names *list, const struct pl *text)
{
	for (uint32_t i = 0; i < list->n; i++) {
		if (pl_is(text, list->v[i]))
			return true;
	}

	return false;
}

bool names_have_nocase(const struct names *list, const struct pl *text)
{
	for (uint32_t i = 0; i < list->n; i++) {
		if (strlen(list->v[i]) == text->l &&
		    !strncasecmp(list->v[i], text->p, text->l))
			return true;
	}

	return false;
}

static int names_append(struct names *list, char *text)
{
	int err = list_grow((void **)&list->v, list->n, sizeof(*list->v));

	if (err)
		text_free(text);
	else
		list->v[list->n++] = text;

	return err;
}

static int names_add(struct names *list, char *text, const struct field *f,
		     struct value_fault *fault)
{
	struct pl pl = pl_of(text);
	int err = list_full(list->n, f, fault);

	if (!err && names_have(list, &pl))
		err = refuse(fault, "stands in the list already");
	if (err) {
		text_free(text);
		return err;
	}

	return names_append(list, text);
}

static int names_parse(void *slot, const struct pl *text, const struct field *f,
		       struct value_fault *fault)
{
	struct field one = { .flags = f->flags };
	char *copy = NULL;
	int err;

	if (!text->l)
		return refuse(fault, "is empty");

	if (!f->to)
		err = text_parse(&copy, text, &one, fault);
	else if (!strcmp(f->to, "session-agent"))
		err = host_parse(&copy, text, &one, fault);
	else
		err = name_parse(&copy, text, &one, fault);
	if (err)
		return err;

	return names_add(slot, copy, f, fault);
}

/* RFC 3261 25.1 */
static bool is_token(const struct pl *text)
{
	for (size_t i = 0; i < text->l; i++) {
		unsigned char c = (unsigned char)text->p[i];

		if (c <= ' ' || c > 0x7e ||
		    (!isalnum(c) && !strchr("-.!%*_+`'~", c)))
			return false;
	}

	return text->l > 0;
}

static int methods_parse(void *slot, const struct pl *text,
			 const struct field *f, struct value_fault *fault)
{
	bool any = pl_is(text, "*");
	char *copy = NULL;
	int err;

	if (!is_token(text) || text->l > 32 || (any && !(f->flags & ANY_TOO)))
		return refuse(fault, "is not a method");

	err = text_new(&copy, text->p, text->l);
	if (err)
		return err;
	for (char *p = copy; *p; p++)
		*p = (char)toupper((unsigned char)*p);

	return names_add(slot, copy, f, fault);
}

int option_get(const struct names *options, const char *name, struct pl *value)
{
	size_t n = strlen(name);

	for (uint32_t i = 0; i < options->n; i++) {
		const char *option = options->v[i];

		if (strncmp(option, name, n) || (option[n] && option[n] != '='))
			continue;
		if (value)
			*value = pl_of(option[n] ? option + n + 1 : option + n);
		return 0;
	}

	return ENOENT;
}

static int options_parse(void *slot, const struct pl *text,
			 const struct field *f, struct value_fault *fault)
{
	const char *equal = memchr(text->p, '=', text->l);
	struct pl name = *text;
	char *copy = NULL, *key;
	int err;

	if (equal)
		name.l = (size_t)(equal - text->p);
	if (!is_token(&name))
		return refuse(fault, "is not name or name=value");
	err = text_check(text, TEXT_MAX_BYTES, fault);
	if (err)
		return err;

	err = text_new(&key, name.p, name.l);
	if (err)
		return err;
	if (!option_get(slot, key, NULL))
		err = refuse(fault, "sets an option a second time");
	text_free(key);
	if (err)
		return err;

	err = text_new(&copy, text->p, text->l);
	return err ? err : names_add(slot, copy, f, fault);
}

static int words_parse(void *slot, const struct pl *text, const struct field *f,
		       struct value_fault *fault)
{
	char *copy = NULL;
	uint8_t index;
	int err;

	if (!word_find(f->words, text, &index))
		return refuse(fault, "is not one of the words");

	err = text_new(&copy, f->words[index], strlen(f->words[index]));
	return err ? err : names_add(slot, copy, f, fault);
}

static const char *component_find(const struct pl *text)
{
	for (int c = 0; c < LOG_COMPONENTS; c++) {
		const char *name = log_component_name((enum log_component)c);

		if (strlen(name) == text->l &&
		    !strncasecmp(name, text->p, text->l))
			return name;
	}

	return NULL;
}

static int levels_parse(void *slot, const struct pl *text,
			const struct field *f, struct value_fault *fault)
{
	const char *equal = memchr(text->p, '=', text->l);
	struct pl component = *text, level;
	const char *name;
	char buf[64];
	char *copy = NULL;
	uint8_t n;
	int err;

	if (!equal)
		return refuse(fault, "is not COMPONENT=LEVEL");
	component.l = (size_t)(equal - text->p);
	level.p = equal + 1;
	level.l = text->l - component.l - 1;
	name = component_find(&component);
	if (!name)
		return refuse(fault, "names no component");
	if (!level.l || !level_read(&n, &level))
		return refuse(fault, "has no level");
	if (!option_get(slot, name, NULL))
		return refuse(fault, "sets a component a second time");

	(void)snprintf(buf, sizeof(buf), "%s=%s", name,
		       log_level_name((enum log_level)n));
	err = text_new(&copy, buf, strlen(buf));
	return err ? err : names_add(slot, copy, f, fault);
}

static int names_print_at(struct re_printf *pf, const void *slot, uint32_t i)
{
	return re_hprintf(pf, "%s", ((const struct names *)slot)->v[i]);
}

static int names_show(struct re_printf *pf, const void *slot,
		      const struct field *f)
{
	(void)f;
	return list_print(pf, slot, &type_names);
}

static bool names_same(const void *a, const void *b)
{
	const struct names *x = a, *y = b;

	for (uint32_t i = 0; x->n == y->n && i < x->n; i++) {
		if (strcmp(x->v[i], y->v[i]))
			return false;
	}

	return x->n == y->n;
}

static void names_clear(void *slot)
{
	struct names *list = slot;

	for (uint32_t i = 0; i < list->n; i++)
		text_free(list->v[i]);
	free(list->v);
	list->v = NULL;
	list->n = 0;
}

static int names_copy(void *to, const void *from)
{
	const struct names *x = from;
	int err = 0;

	names_clear(to);
	for (uint32_t i = 0; !err && i < x->n; i++) {
		char *text;

		err = text_new(&text, x->v[i], strlen(x->v[i]));
		if (!err)
			err = names_append(to, text);
	}

	return err;
}

/* Lists of prefixes, addresses, codes */

static int prefixes_parse(void *slot, const struct pl *text,
			  const struct field *f, struct value_fault *fault)
{
	struct prefixes *list = slot;
	struct prefix p;
	int err = prefix_read(&p, text, fault);

	(void)f;
	if (err)
		return err;
	for (uint32_t i = 0; i < list->n; i++) {
		if (prefix_same(&list->v[i], &p))
			return refuse(fault, "stands in the list already");
	}

	err = list_grow((void **)&list->v, list->n, sizeof(p));
	if (!err)
		list->v[list->n++] = p;

	return err;
}

static int prefixes_print_at(struct re_printf *pf, const void *slot, uint32_t i)
{
	return prefix_write(pf, &((const struct prefixes *)slot)->v[i]);
}

static int prefixes_show(struct re_printf *pf, const void *slot,
			 const struct field *f)
{
	(void)f;
	return list_print(pf, slot, &type_prefixes);
}

static bool prefixes_same(const void *a, const void *b)
{
	const struct prefixes *x = a, *y = b;

	for (uint32_t i = 0; x->n == y->n && i < x->n; i++) {
		if (!prefix_same(&x->v[i], &y->v[i]))
			return false;
	}

	return x->n == y->n;
}

static int addresses_parse(void *slot, const struct pl *text,
			   const struct field *f, struct value_fault *fault)
{
	struct addresses *list = slot;
	struct sa sa;
	int err = address_check(&sa, text, f, fault);

	if (err)
		return err;
	for (uint32_t i = 0; i < list->n; i++) {
		if (sa_same(&list->v[i], &sa))
			return refuse(fault, "stands in the list already");
	}

	err = list_grow((void **)&list->v, list->n, sizeof(sa));
	if (!err)
		list->v[list->n++] = sa;

	return err;
}

static int addresses_print_at(struct re_printf *pf, const void *slot,
			      uint32_t i)
{
	return sa_show(pf, &((const struct addresses *)slot)->v[i]);
}

static int addresses_show(struct re_printf *pf, const void *slot,
			  const struct field *f)
{
	(void)f;
	return list_print(pf, slot, &type_addresses);
}

static bool addresses_same(const void *a, const void *b)
{
	const struct addresses *x = a, *y = b;

	for (uint32_t i = 0; x->n == y->n && i < x->n; i++) {
		if (!sa_same(&x->v[i], &y->v[i]))
			return false;
	}

	return x->n == y->n;
}

bool codes_have(const struct codes *list, uint16_t code)
{
	for (uint32_t i = 0; i < list->n; i++) {
		if (code >= list->v[i].from && code <= list->v[i].to)
			return true;
	}

	return false;
}

static bool code_read(uint16_t *code, const char *p, size_t n)
{
	unsigned got;

	if (n != 3 || !digits_read(&got, p, 3) || got < 100 || got > 699)
		return false;

	*code = (uint16_t)got;
	return true;
}

static int codes_parse(void *slot, const struct pl *text, const struct field *f,
		       struct value_fault *fault)
{
	struct codes *list = slot;
	struct code_range r;
	int err;

	(void)f;
	if (text->l == 3 && code_read(&r.from, text->p, 3)) {
		r.to = r.from;
	} else if (text->l != 7 || text->p[3] != '-' ||
		   !code_read(&r.from, text->p, 3) ||
		   !code_read(&r.to, text->p + 4, 3) || r.from > r.to) {
		return refuse(fault, "is not a status code or range");
	}
	for (uint32_t i = 0; i < list->n; i++) {
		if (list->v[i].from == r.from && list->v[i].to == r.to)
			return refuse(fault, "stands in the list already");
	}

	err = list_grow((void **)&list->v, list->n, sizeof(r));
	if (!err)
		list->v[list->n++] = r;

	return err;
}

static int codes_print_at(struct re_printf *pf, const void *slot, uint32_t i)
{
	const struct code_range *r = &((const struct codes *)slot)->v[i];
	int err = re_hprintf(pf, "%u", (unsigned)r->from);

	if (r->to != r->from)
		err |= re_hprintf(pf, "-%u", (unsigned)r->to);

	return err;
}

static int codes_show(struct re_printf *pf, const void *slot,
		      const struct field *f)
{
	(void)f;
	return list_print(pf, slot, &type_codes);
}

static bool codes_same(const void *a, const void *b)
{
	const struct codes *x = a, *y = b;

	return x->n == y->n &&
	       (!x->n || !memcmp(x->v, y->v, x->n * sizeof(*x->v)));
}

/* The three lists above are a count and an array without pointers in it */
struct plain {
	uint32_t n;
	void *v;
};

static void plain_clear(void *slot)
{
	struct plain *list = slot;

	free(list->v);
	list->v = NULL;
	list->n = 0;
}

static int plain_copy(void *to, const void *from, size_t size)
{
	const struct plain *x = from;
	struct plain *y = to;
	uint32_t room = 1;
	void *v = NULL;

	while (room < x->n)
		room *= 2; /* as list_grow would have left it */
	if (x->n) {
		v = malloc(room * size);
		if (!v)
			return ENOMEM;
		memcpy(v, x->v, x->n * size);
	}
	plain_clear(to);
	y->n = x->n;
	y->v = v;
	return 0;
}

static int prefixes_copy(void *to, const void *from)
{
	return plain_copy(to, from, sizeof(struct prefix));
}

static int addresses_copy(void *to, const void *from)
{
	return plain_copy(to, from, sizeof(struct sa));
}

static int codes_copy(void *to, const void *from)
{
	return plain_copy(to, from, sizeof(struct code_range));
}

/* Address patterns of local policies: behaviour.md 2.2 */

static void pattern_finish(struct pattern *p)
{
	text_free(p->text);
	free(p->parts);
	memset(p, 0, sizeof(*p));
}

/* Copy digits without visual separators (RFC 3966 5.1.1) behind `to` */
static bool digits_strip(struct pl *out, char *to, const struct pl *text,
			 bool plus)
{
	size_t n = 0;

	for (size_t i = 0; i < text->l; i++) {
		char c = text->p[i];

		if (strchr("-.()", c) && c)
			continue;
		if (!isdigit((unsigned char)c) && !(plus && !n && c == '+'))
			return false;
		to[n++] = c;
	}

	out->p = to;
	out->l = n;
	return n > (size_t)(n && to[0] == '+');
}

static uint16_t digits_count(const struct pl *digits)
{
	return (uint16_t)(digits->l -
			  (digits->l && digits->p[0] == '+' ? 1 : 0));
}

static uint16_t labels_count(const struct pl *host)
{
	uint16_t n = 1;

	for (size_t i = 0; i < host->l; i++)
		n = (uint16_t)(n + (host->p[i] == '.'));

	return n;
}

static bool pattern_digits(struct pattern *p, const struct pl *text)
{
	const char *star = memchr(text->p, '*', text->l);
	struct pl head = *text, tail;

	if (!star) {
		p->kind = PATTERN_DIGITS;
		if (!digits_strip(&p->head, p->parts, text, true))
			return false;
		p->length = digits_count(&p->head);
		return true;
	}

	p->kind = PATTERN_AROUND;
	head.l = (size_t)(star - text->p);
	tail.p = star + 1;
	tail.l = text->l - head.l - 1;
	if (!digits_strip(&p->head, p->parts, &head, true) ||
	    !digits_strip(&p->tail, p->parts + head.l, &tail, false))
		return false;
	p->length = (uint16_t)(digits_count(&p->head) + p->tail.l);
	return true;
}

/* Hosts are compared without case: kept in lower case */
static void pattern_host(struct pattern *p, const struct pl *host)
{
	char *to = p->parts + (host->p - p->text);

	for (size_t i = 0; i < host->l; i++)
		to[i] = (char)tolower((unsigned char)host->p[i]);
	p->host.p = to;
	p->host.l = host->l;
}

static bool pattern_read(struct pattern *p, const struct pl *text)
{
	const char *at = memchr(text->p, '@', text->l);
	struct pl rest = *text;

	if (pl_is(text, "*")) {
		p->kind = PATTERN_ANY;
		return true;
	}
	if (at) {
		struct pl host = { at + 1,
				   text->l - (size_t)(at - text->p) - 1 };

		p->kind = PATTERN_USER_HOST;
		p->length = UINT16_MAX;
		p->head.p = p->parts;
		p->head.l = (size_t)(at - text->p);
		memcpy(p->parts, text->p, p->head.l);
		pattern_host(p, &host);
		(void)bare_address(&p->addr, &host, true); /* or a name */
		return p->head.l && !memchr(text->p, ' ', text->l) &&
		       !memchr(host.p, '@', host.l) && host_is_valid(&host);
	}
	if (bare_address(&p->addr, text, true)) {
		p->kind = PATTERN_ADDRESS;
		p->length = UINT16_MAX;
		pattern_host(p, text);
		return true;
	}
	if (pattern_digits(p, text))
		return true;

	p->tail.p = NULL;
	p->tail.l = 0;
	p->head = p->tail;
	p->kind = PATTERN_HOST;
	if (*text->p == '.') {
		p->kind = PATTERN_BELOW;
		pl_advance(&rest, 1);
	}
	if (!dns_name_is_valid(&rest))
		return false;
	pattern_host(p, &rest);
	p->length = labels_count(&p->host);
	return true;
}

static int pattern_compile(struct pattern *p, const struct pl *text,
			   struct value_fault *fault)
{
	struct pl own;
	int err;

	memset(p, 0, sizeof(*p));
	if (!text->l || text->l > PATTERN_MAX_BYTES)
		return refuse(fault, "is empty or longer than %u bytes",
			      (unsigned)PATTERN_MAX_BYTES);
	err = text_check(text, PATTERN_MAX_BYTES, fault);
	if (err)
		return err;

	err = text_new(&p->text, text->p, text->l);
	if (err)
		return err;
	p->parts = calloc(1, text->l + 1);
	if (!p->parts) {
		err = ENOMEM;
		goto out;
	}

	own = pl_of(p->text);
	if (!pattern_read(p, &own))
		err = refuse(fault, "is not an address pattern");

out:
	if (err)
		pattern_finish(p);

	return err;
}

static int patterns_append(struct patterns *list, const struct pl *text,
			   struct value_fault *fault)
{
	struct pattern p;
	int err = pattern_compile(&p, text, fault);

	if (err)
		return err;

	err = list_grow((void **)&list->v, list->n, sizeof(p));
	if (err)
		pattern_finish(&p);
	else
		list->v[list->n++] = p;

	return err;
}

static int patterns_parse(void *slot, const struct pl *text,
			  const struct field *f, struct value_fault *fault)
{
	const struct patterns *list = slot;

	(void)f;
	for (uint32_t i = 0; i < list->n; i++) {
		if (pl_is(text, list->v[i].text))
			return refuse(fault, "stands in the list already");
	}

	return patterns_append(slot, text, fault);
}

static int patterns_print_at(struct re_printf *pf, const void *slot, uint32_t i)
{
	return re_hprintf(pf, "%s", ((const struct patterns *)slot)->v[i].text);
}

static int patterns_show(struct re_printf *pf, const void *slot,
			 const struct field *f)
{
	(void)f;
	return list_print(pf, slot, &type_patterns);
}

static bool patterns_same(const void *a, const void *b)
{
	const struct patterns *x = a, *y = b;

	for (uint32_t i = 0; x->n == y->n && i < x->n; i++) {
		if (strcmp(x->v[i].text, y->v[i].text))
			return false;
	}

	return x->n == y->n;
}

static void patterns_clear(void *slot)
{
	struct patterns *list = slot;

	for (uint32_t i = 0; i < list->n; i++)
		pattern_finish(&list->v[i]);
	free(list->v);
	list->v = NULL;
	list->n = 0;
}

static int patterns_copy(void *to, const void *from)
{
	const struct patterns *x = from;
	int err = 0;

	patterns_clear(to);
	for (uint32_t i = 0; !err && i < x->n; i++) {
		struct pl text = pl_of(x->v[i].text);

		err = patterns_append(to, &text, NULL);
	}

	return err;
}

/* clang-format off */
#define SCALAR(k, c, T, group, eq, cp, cl, say) \
	const struct type type_##k = { .name = #k, .column = c, .size = sizeof(T), \
		.parse = k##_parse, .print = group##_show, .same = eq, .copy = cp, .clear = cl, .allowed = say }
#define LIST(k, label, T, group, cp, cl, say) \
	const struct type type_##k = { .name = label, .column = "TEXT", .size = sizeof(T), \
		.parse = k##_parse, .print = group##_show, .same = group##_same, .copy = cp, .clear = cl, \
		.print_at = group##_print_at, .list = true, .allowed = say }

SCALAR(flag,   "TEXT",    bool,     flag,   flag_same,   flag_copy,   flag_clear,   "enabled, disabled");
SCALAR(word,   "TEXT",    uint8_t,  word,   byte_same,   byte_copy,   byte_clear,   NULL);
SCALAR(level,  "TEXT",    uint8_t,  level,  byte_same,   byte_copy,   byte_clear,
       "0-10 or ZERO, EMERGENCY, CRITICAL, MAJOR, MINOR, WARNING, NOTICE, INFO, TRACE, DEBUG, DETAIL");
SCALAR(number, "INTEGER", uint32_t, number, number_same, number_copy, number_clear, NULL);
SCALAR(text,   "TEXT",    char *,   text,   text_same,   text_copy,   text_clear,   NULL);
SCALAR(name,   "TEXT",    char *,   text,   text_same,   text_copy,   text_clear,
       "a letter, digit or _, then these, . and -, at most 128");
SCALAR(host,   "TEXT",    char *,   text,   text_same_nocase, text_copy, text_clear, "a host name or an address");
SCALAR(target, "TEXT",    char *,   text,   text_same_nocase, text_copy, text_clear,
       "an address or host name, also with :PORT and ;transport=, SAG:NAME, enum:NAME or lrt:NAME");
SCALAR(address, "TEXT",   struct sa, address, address_same, address_copy, address_clear, NULL);
SCALAR(prefix, "TEXT",    struct prefix, prefix, prefix_same, prefix_copy, prefix_clear,
       "an address, or address/bits");
SCALAR(stamp,  "TEXT",    stamp,    stamp,  stamp_same,  stamp_copy,  stamp_clear,  "yyyy-mm-dd hh:mm:ss");
SCALAR(date,   "TEXT",    char *,   text,   text_same,   text_copy,   text_clear,   "YYYY-MM-DD, or MM-DD for every year");
SCALAR(hhmm,   "TEXT",    hhmm,     hhmm,   hhmm_same,   hhmm_copy,   hhmm_clear,   "0000-2400");
SCALAR(weekdays, "TEXT",  weekdays, weekdays, byte_same, byte_copy,   byte_clear,
       "U M T W R F S H, ranges with -, parted by commas: M-F,H");
SCALAR(secret, "TEXT",    struct secret, secret, secret_same, secret_copy, secret_clear,
       "clear text up to 1024 bytes, ********, or $sbc1$...");
LIST(names,    "list",    struct names,  names, names_copy, names_clear, "a list");
LIST(methods,  "methods", struct names,  names, names_copy, names_clear, "a list of SIP methods");
LIST(options,  "options", struct names,  names, names_copy, names_clear, "a list of name or name=value");
LIST(words,    "list",    struct names,  names, names_copy, names_clear, NULL);
LIST(levels,   "list",    struct names,  names, names_copy, names_clear, "a list of COMPONENT=LEVEL");
LIST(prefixes, "list of prefix", struct prefixes, prefixes, prefixes_copy, plain_clear,
     "a list of addresses, or address/bits");
LIST(addresses, "list of address", struct addresses, addresses, addresses_copy, plain_clear, "a list of addresses");
LIST(codes,    "codes",   struct codes,  codes, codes_copy, plain_clear, "a list of status codes or ranges, 401 500-599");
LIST(patterns, "list of address pattern", struct patterns, patterns, patterns_copy, patterns_clear,
     "a list of *, digits, digits with one inner *, user@host, host names, .domain or addresses");
/* clang-format on */
