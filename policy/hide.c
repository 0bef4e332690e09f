/*
 * What must not cross to the other side
 *
 * The header table of behaviour.md 3.1, and Privacy (RFC 3323, 3325). A value
 * that holds nothing to hide stays as it is, so that runs of lines stay runs.
 */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include "store/base.h"
#include "policy/header.h"
#include "policy/hide.h"

/* Options that the SBC does not relay, in Supported and Require */
static const char *const options[] = { "gruu", "outbound",  "path",
				       "gin",  "sec-agree", "join" };

/* Never copied, whoever asks. The first are what the legs write. The last is RFC 3329: good for one hop, and sec-agree
 * goes from Supported. */
static const uint8_t never[] = {
	HDR_VIA,
	HDR_FROM,
	HDR_TO,
	HDR_CALL_ID,
	HDR_CSEQ,
	HDR_MAX_FORWARDS,
	HDR_CONTACT,
	HDR_CONTENT_LENGTH,
	HDR_ROUTE,
	HDR_RECORD_ROUTE,
	HDR_PATH,
	HDR_SERVICE_ROUTE,
	HDR_PROXY_REQUIRE,
	HDR_AUTHENTICATION_INFO,
	HDR_PROXY_AUTHENTICATION_INFO,
	HDR_USER_AGENT,
	HDR_SERVER,
	HDR_ORGANIZATION,
	HDR_SECURITY_CLIENT,
	HDR_SECURITY_VERIFY,
	HDR_SECURITY_SERVER,
};

static void put(struct header_set *set, enum header_id id)
{
	set->bits |= (uint64_t)1 << id;
}

struct header_set hide_set(const struct message *msg,
			   const struct hide_setup *setup)
{
	struct header_set set = { 0 };
	size_t i;

	for (i = 0; i < sizeof(never); ++i)
		put(&set, never[i]);

	/* RFC 3325 5: identities stay among those who trust each other, with
	 * or without Privacy; and Privacy was obeyed by that */
	if (!setup->trusted) {
		put(&set, HDR_P_ASSERTED_IDENTITY);
		put(&set, HDR_PRIVACY);
	}
	if (!setup->challenge) {
		put(&set, HDR_WWW_AUTHENTICATE);
		put(&set, HDR_PROXY_AUTHENTICATE);
	}
	if (!setup->authorization) {
		put(&set, HDR_AUTHORIZATION);
		put(&set, HDR_PROXY_AUTHORIZATION);
	}

	/* They name dialogs in requests alone, and are mapped there */
	if (msg->code) {
		put(&set, HDR_IN_REPLY_TO);
		put(&set, HDR_TARGET_DIALOG);
		put(&set, HDR_REPLACES);
	}

	return set;
}

bool hide_is_never(enum header_id id)
{
	for (size_t i = 0; i < sizeof(never); ++i)
		if (never[i] == id)
			return true;

	return false;
}

static bool is_relayed_option(const struct pl *token)
{
	size_t i;

	for (i = 0; i < sizeof(options) / sizeof(*options); ++i) {
		if (is_word(token, options[i]))
			return false;
	}

	return true;
}

static bool is_relayed_method(const struct pl *token)
{
	return method_find(token) != METHOD_OTHER;
}

/* Append a value of a list */
static int join(struct mbuf *mb, const struct pl *value)
{
	int err = 0;

	if (mb->end)
		err = mbuf_write_mem(mb, (const uint8_t *)", ", 2);
	if (!err)
		err = mbuf_write_mem(mb, (const uint8_t *)value->p, value->l);

	return err;
}

/* Write a list that was built in mb, or leave the header out */
static int take(struct message *msg, enum header_id id, const struct mbuf *mb)
{
	const struct pl value = { (const char *)mb->buf, mb->end };

	return value.l ? message_set(msg, id, &value) : message_drop(msg, id);
}

/* Leave out what must not cross; a list that ends unreadable ends there */
static int filter(struct message *msg, enum header_id id,
		  bool (*keep)(const struct pl *token))
{
	const struct header *h;
	struct pl rest, value;
	struct mbuf *mb;
	bool changed = false;
	int err = 0, end;

	if (!message_first(msg, id))
		return 0;
	mb = mbuf_alloc(256);
	if (!mb)
		return ENOMEM;

	for (h = message_first(msg, id); h; h = message_next(msg, h)) {
		rest = header_value(msg, h);
		while (!(end = list_next(&rest, &value))) {
			if (!keep(&value)) {
				changed = true;
				continue;
			}
			err = join(mb, &value);
			if (err)
				goto out;
		}
		changed |= end != ENOENT;
	}
	if (changed)
		err = take(msg, id, mb);

out:
	mem_deref(mb);
	return err;
}

/* An address as a host: IPv6 in brackets */
static int host_write(char *buf, size_t size, const struct sa *sa)
{
	const bool brackets = sa_af(sa) == AF_INET6;
	size_t n;

	if (sa_ntop(sa, buf + brackets, (int)(size - 2)))
		return EINVAL;
	if (!brackets)
		return 0;
	n = strlen(buf + 1);
	buf[0] = '[';
	buf[n + 1] = ']';
	buf[n + 2] = '\0';

	return 0;
}

/* warning-value (RFC 3261 20.43): code, agent, text; the agent becomes ours */
static int rename_agent(struct mbuf *mb, const struct pl *value,
			const struct pl *host)
{
	const char *p = value->p, *e = p + value->l;
	const char *agent, *text;
	int err;

	while (p < e && *p >= '0' && *p <= '9')
		++p;
	if (p - value->p != 3 || p == e || *p != ' ')
		return EINVAL;
	agent = ++p;
	while (p < e && *p != ' ')
		++p;
	text = p;
	if (p == agent || e - p < 3 || p[1] != '"')
		return EINVAL;

	if (mb->end) {
		err = mbuf_write_mem(mb, (const uint8_t *)", ", 2);
		if (err)
			return err;
	}
	err = mbuf_write_mem(mb, (const uint8_t *)value->p,
			     (size_t)(agent - value->p));
	err |= mbuf_write_mem(mb, (const uint8_t *)host->p, host->l);
	err |= mbuf_write_mem(mb, (const uint8_t *)text, (size_t)(e - text));
	return err ? ENOMEM : 0;
}

/* A warning that cannot be read could hold a name of the other side */
static int hide_warning(struct message *msg, const struct hide_setup *setup)
{
	const struct header *h;
	struct pl rest, value, host;
	char text[INET6_ADDRSTRLEN + 2];
	struct mbuf *mb;
	int err = 0;

	if (!message_first(msg, HDR_WARNING))
		return 0;
	if (!setup->local || host_write(text, sizeof(text), setup->local))
		return message_drop(msg, HDR_WARNING);
	pl_set_str(&host, text);
	mb = mbuf_alloc(256);
	if (!mb)
		return ENOMEM;

	for (h = message_first(msg, HDR_WARNING); h; h = message_next(msg, h)) {
		rest = header_value(msg, h);
		while (!list_next(&rest, &value)) {
			err = rename_agent(mb, &value, &host);
			if (err == ENOMEM)
				goto out;
		}
	}
	err = take(msg, HDR_WARNING, mb);

out:
	mem_deref(mb);
	return err;
}

static bool is_hidden_line(const char *p, const char *e)
{
	const char *colon = memchr(p, ':', (size_t)(e - p));
	struct pl name;

	if (!colon)
		return false;
	name.p = p;
	name.l = (size_t)(colon - p);
	while (name.l && (p[name.l - 1] == ' ' || p[name.l - 1] == '\t'))
		--name.l;

	switch (header_id_find(&name)) {
	case HDR_VIA:
	case HDR_CONTACT:
	case HDR_RECORD_ROUTE:
	/* and what else says how the sender's side is reached or called there */
	case HDR_ROUTE:
	case HDR_PATH:
	case HDR_SERVICE_ROUTE:
	case HDR_CALL_ID:
	case HDR_REPLACES:
	case HDR_TARGET_DIALOG:
	case HDR_IN_REPLY_TO:
	case HDR_AUTHORIZATION:
	case HDR_PROXY_AUTHORIZATION:
		return true;
	default:
		return false;
	}
}

int hide_fragment(struct mbuf *mb, const struct pl *body)
{
	const char *p = body->p, *e = p + body->l, *next;
	bool hidden = false, head = true;
	int err;

	if (!body->l)
		return 0;

	for (; p < e; p = next) {
		next = memchr(p, '\n', (size_t)(e - p));
		next = next ? next + 1 : e;
		/* A body inside begins behind the blank line */
		if (*p == '\n' || (*p == '\r' && e - p > 1 && p[1] == '\n'))
			head = false;
		/* What is folded belongs to the line above (RFC 3261 7.3.1) */
		if (*p != ' ' && *p != '\t')
			hidden = head && is_hidden_line(p, next);
		if (hidden)
			continue;
		err = mbuf_write_mem(mb, (const uint8_t *)p,
				     (size_t)(next - p));
		if (err)
			return err;
	}

	return 0;
}

/* RFC 3261 27.5, RFC 3420 */
static bool is_fragment(const struct message *msg)
{
	static const char *const types[] = { "message/sip", "message/sipfrag" };
	struct pl value = message_value(msg, HDR_CONTENT_TYPE), type;
	const char *end = memchr(value.p, ';', value.l);

	type.p = value.p;
	type.l = end ? (size_t)(end - value.p) : value.l;
	while (type.l &&
	       (type.p[type.l - 1] == ' ' || type.p[type.l - 1] == '\t'))
		type.l--;

	return is_word(&type, types[0]) || is_word(&type, types[1]);
}

static int hide_body(struct message *msg)
{
	struct mbuf *mb = mbuf_alloc(msg->body.l + 1);
	struct pl body;
	int err;

	if (!mb)
		return ENOMEM;
	err = hide_fragment(mb, &msg->body);
	if (!err && mb->end != msg->body.l) {
		body = bytes_of(mb);
		err = message_set_body(msg, &body, NULL);
	}
	mem_deref(mb);
	return err;
}

int hide_edit(struct message *msg, const struct hide_setup *setup)
{
	int err;

	err = filter(msg, HDR_SUPPORTED, is_relayed_option);
	if (err)
		return err;
	err = filter(msg, HDR_REQUIRE, is_relayed_option);
	if (err)
		return err;
	err = filter(msg, HDR_ALLOW, is_relayed_method);
	if (err)
		return err;

	err = hide_warning(msg, setup);
	if (err || !msg->body.l || !is_fragment(msg))
		return err;

	return hide_body(msg);
}
