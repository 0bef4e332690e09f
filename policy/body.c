/*
 * What of a body crosses: its SDP rewritten, fragments without names
 *
 * Parts are walked from delimiter to delimiter. What stands between two parts
 * that change is one copy.
 */
#include <errno.h>
#include <string.h>
#include "policy/header.h"
#include "policy/hide.h"
#include "policy/body.h"

enum {
	BOUNDARY_MAX = 70, /* RFC 2046 5.1.1 */
	DEPTH_MAX = 4      /* multipart within multipart */
};

enum kind {
	KIND_OTHER,
	KIND_SDP,
	KIND_FRAGMENT,
	KIND_PARTS
};

/* "--boundary" */
struct delimiter {
	char text[BOUNDARY_MAX + 2];
	size_t len;
};

struct part {
	const char *line;  /* its delimiter begins here */
	const char *begin; /* of its content */
	const char *end;
	struct pl ctype; /* empty: none */
	bool bare;       /* its blank line is the delimiter's: no content */
};

static enum kind kind_of(const struct pl *ctype)
{
	const struct pl sdp = range_of("application/sdp");

	/* nearly always, and asked for at every body */
	if (!pl_cmp(ctype, &sdp))
		return KIND_SDP;
	if (content_is(ctype, "application", "sdp"))
		return KIND_SDP;
	if (content_is(ctype, "message", "sip") ||
	    content_is(ctype, "message", "sipfrag"))
		return KIND_FRAGMENT;
	if (content_is(ctype, "multipart", "mixed") ||
	    content_is(ctype, "multipart", "alternative") ||
	    content_is(ctype, "multipart", "related"))
		return KIND_PARTS;

	return KIND_OTHER;
}

static int delimiter_read(struct delimiter *d, const struct pl *ctype)
{
	const char *semi = memchr(ctype->p, ';', ctype->l);
	struct pl params, value;
	int n;

	if (!semi)
		return EBADMSG;
	params.p = semi;
	params.l = (size_t)(ctype->p + ctype->l - semi);
	if (param_get(&params, "boundary", &value))
		return EBADMSG;
	n = quoted_undo(d->text + 2, BOUNDARY_MAX, &value);
	if (n <= 0)
		return EBADMSG;

	d->text[0] = d->text[1] = '-';
	d->len = (size_t)n + 2;
	return 0;
}

/* The next delimiter that begins a line. The CRLF before it belongs to it
 * (RFC 2046 5.1.1); `end` is what stands before. NULL: none */
static const char *delimiter_find(const char *p, const struct pl *body,
				  const struct delimiter *d, const char **end)
{
	const char *e = body->p + body->l;

	for (; (p = memmem(p, (size_t)(e - p), d->text, d->len)); ++p) {
		if (p != body->p && p[-1] != '\n')
			continue;
		*end = p;
		if (*end > body->p)
			--*end;
		if (*end > body->p && (*end)[-1] == '\r')
			--*end;
		return p;
	}

	return NULL;
}

static struct pl header_value_of(const struct pl *line, const char *colon)
{
	struct pl value = { colon + 1,
			    (size_t)(line->p + line->l - colon - 1) };

	while (value.l && (*value.p == ' ' || *value.p == '\t'))
		pl_advance(&value, 1);

	return value;
}

/* Headers of a part from p on: its type and where its content begins */
static int part_head(struct part *part, const char *p, const char *e)
{
	const char *nl, *colon;
	struct pl line, name;

	part->ctype = (struct pl){ "", 0 };
	for (; p < e; p = nl + 1) {
		nl = memchr(p, '\n', (size_t)(e - p));
		if (!nl)
			return EBADMSG;
		line.p = p;
		line.l = (size_t)(nl - p);
		if (line.l && nl[-1] == '\r')
			--line.l;
		if (!line.l) {
			part->begin = nl + 1;
			return 0;
		}
		colon = memchr(line.p, ':', line.l);
		if (!colon)
			continue;
		name.p = line.p;
		name.l = (size_t)(colon - line.p);
		while (name.l && (name.p[name.l - 1] == ' ' ||
				  name.p[name.l - 1] == '\t'))
			--name.l;
		if (is_word(&name, "Content-Type") || is_word(&name, "c"))
			part->ctype = header_value_of(&line, colon);
	}

	return EBADMSG;
}

/* The part whose delimiter is at *pp; *pp goes to the next one. 0; ENOENT it is
 * the last delimiter; EBADMSG */
static int part_next(const char **pp, struct part *part, const struct pl *body,
		     const struct delimiter *d)
{
	const char *e = body->p + body->l, *p = *pp + d->len, *nl, *next;
	int err;

	part->line = *pp;
	if (e - p >= 2 && p[0] == '-' && p[1] == '-')
		return ENOENT;
	nl = memchr(p, '\n', (size_t)(e - p));
	if (!nl)
		return EBADMSG;
	next = delimiter_find(nl + 1, body, d, &part->end);
	if (!next)
		return EBADMSG;
	err = part_head(part, nl + 1, next);
	if (err)
		return err;

	/* A part without content may end at its own blank line */
	part->bare = part->end < part->begin;
	if (part->bare)
		part->end = part->begin;
	*pp = next;
	return 0;
}

int body_find_sdp(const struct pl *ctype, const struct pl *body, struct pl *sdp)
{
	struct delimiter d;
	struct part part;
	const char *p;
	int err;

	if (!body->l || !ctype->l)
		return ENOENT;

	switch (kind_of(ctype)) {

	case KIND_SDP:
		*sdp = *body;
		return 0;

	case KIND_PARTS:
		break;

	case KIND_FRAGMENT:
	case KIND_OTHER:
		return ENOENT;
	}

	err = delimiter_read(&d, ctype);
	if (err)
		return err;
	p = delimiter_find(body->p, body, &d, &part.end);
	if (!p)
		return EBADMSG;
	while (!(err = part_next(&p, &part, body, &d))) {
		if (kind_of(&part.ctype) != KIND_SDP)
			continue;
		sdp->p = part.begin;
		sdp->l = (size_t)(part.end - part.begin);
		return 0;
	}

	return err;
}

bool body_sdp(const struct message *msg, struct pl *sdp)
{
	struct pl ctype = message_value(msg, HDR_CONTENT_TYPE);

	return msg->body.l && !body_find_sdp(&ctype, &msg->body, sdp);
}

bool body_is_sdp(const struct message *msg)
{
	struct pl ctype = message_value(msg, HDR_CONTENT_TYPE);

	return msg->body.l && kind_of(&ctype) == KIND_SDP;
}

/* Parts on their way across */
struct crossing {
	struct mbuf *mb;
	const struct pl *sdp; /* NULL: it was written, or none shall be */
	unsigned depth;
};

static int put(struct mbuf *mb, const char *p, const char *end)
{
	return end > p ? mbuf_write_mem(mb, (const uint8_t *)p,
					(size_t)(end - p))
		       : 0;
}

static int parts_cross(struct crossing *c, const struct pl *ctype,
		       const struct pl *body);

/* Content where there was none needs a line end of its own before the delimiter */
static int sdp_cross(struct crossing *c, const struct part *part,
		     const struct pl *sdp)
{
	static const char end[] = "\r\n";
	int err = put(c->mb, sdp->p, sdp->p + sdp->l);

	return err || !part->bare ? err : put(c->mb, end, end + 2);
}

/* The content of a part. 0; ENOENT the part is left out; errno */
static int part_cross(struct crossing *c, const struct part *part)
{
	const struct pl body = { part->begin,
				 (size_t)(part->end - part->begin) };
	const struct pl *sdp = c->sdp;

	switch (kind_of(&part->ctype)) {

	case KIND_SDP:
		c->sdp = NULL;
		return sdp ? sdp_cross(c, part, sdp) : ENOENT;

	case KIND_FRAGMENT:
		return hide_fragment(c->mb, &body);

	case KIND_PARTS:
		return parts_cross(c, &part->ctype, &body);

	case KIND_OTHER:
		break;
	}

	return put(c->mb, part->begin, part->end);
}

static int parts_cross(struct crossing *c, const struct pl *ctype,
		       const struct pl *body)
{
	const char *p, *copied = body->p;
	struct delimiter d;
	struct part part;
	int err;

	err = ++c->depth > DEPTH_MAX ? EBADMSG : delimiter_read(&d, ctype);
	if (err)
		return err;
	p = delimiter_find(body->p, body, &d, &part.end);
	if (!p)
		return EBADMSG;

	while (!(err = part_next(&p, &part, body, &d))) {
		const size_t begin = c->mb->end;

		err = put(c->mb, copied, part.begin);
		if (!err)
			err = part_cross(c, &part);
		if (err == ENOENT) {
			/* Up to the delimiter of the next one */
			c->mb->pos = c->mb->end = begin;
			err = put(c->mb, copied, part.line);
			part.end = p;
		}
		if (err)
			return err;
		copied = part.end;
	}
	--c->depth;

	return err == ENOENT ? put(c->mb, copied, body->p + body->l) : err;
}

int body_cross(struct message *msg, const struct pl *sdp)
{
	struct pl ctype = message_value(msg, HDR_CONTENT_TYPE), body;
	const enum kind kind = kind_of(&ctype);
	struct crossing c = { .sdp = sdp->l ? sdp : NULL };
	int err;

	if (!msg->body.l || kind == KIND_OTHER || kind == KIND_SDP)
		return 0;

	c.mb = mbuf_alloc(msg->body.l + sdp->l + 64);
	if (!c.mb)
		return ENOMEM;
	err = kind == KIND_FRAGMENT ? hide_fragment(c.mb, &msg->body)
				    : parts_cross(&c, &ctype, &msg->body);
	if (!err) {
		body.p = (const char *)c.mb->buf;
		body.l = c.mb->end;
		err = message_set_body(msg, &body, NULL);
	}
	mem_deref(c.mb);

	return err;
}
