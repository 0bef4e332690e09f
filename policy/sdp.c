/*
 * Rewrite addresses and ports in SDP, all else byte by byte
 *
 * A first pass reads the lines that matter into struct sdp, a second writes the
 * text anew: own lines in the place of theirs, the rest copied. A line may end
 * in a bare LF (RFC 8866 5); it is copied as it came.
 */
#include <errno.h>
#include <string.h>
#include <strings.h>
#include "store/base.h"
#include "store/hash.h"
#include "store/number.h"
#include "store/value.h"
#include "policy/header.h"
#include "policy/message.h"
#include "policy/sdp.h"

struct line {
	struct pl all;   /* with its end */
	struct pl value; /* behind "x=" */
	char type;
};

/* Cut the next line off. 0; ENOENT at the end; EBADMSG no "x=" */
static int line_next(struct pl *rest, struct line *line)
{
	const char *p = rest->p, *e = p + rest->l, *nl;
	size_t i;

	/* Blank lines at the end are somebody's idea of a body's end */
	for (i = 0; i < rest->l; ++i) {
		if (p[i] != '\r' && p[i] != '\n')
			break;
	}
	if (i == rest->l) {
		line->all = *rest;
		return ENOENT;
	}

	nl = memchr(p, '\n', rest->l);
	line->all.p = p;
	line->all.l = nl ? (size_t)(nl + 1 - p) : rest->l;
	if (line->all.l < 2 || p[0] < 'a' || p[0] > 'z' || p[1] != '=')
		return EBADMSG;

	line->type = p[0];
	line->value.p = p + 2;
	line->value.l = line->all.l - 2;
	if (nl)
		--line->value.l;
	if (nl && line->value.l && nl[-1] == '\r')
		--line->value.l;
	if (memchr(line->value.p, 0, line->value.l) ||
	    memchr(line->value.p, '\r', line->value.l))
		return EBADMSG;

	rest->p = p + line->all.l;
	rest->l = (size_t)(e - rest->p);
	return 0;
}

/* Cut a word off at a blank; empty at the end */
static struct pl word_next(struct pl *rest)
{
	struct pl word;
	const char *sp;

	while (rest->l && *rest->p == ' ')
		pl_advance(rest, 1);
	sp = rest->l ? memchr(rest->p, ' ', rest->l) : NULL;
	word.p = rest->p;
	word.l = sp ? (size_t)(sp - rest->p) : rest->l;
	pl_advance(rest, (ssize_t)word.l);

	return word;
}

/* Name and value of an attribute: "name" or "name:value" */
static void attribute(const struct pl *line, struct pl *name, struct pl *value)
{
	const char *colon = line->l ? memchr(line->p, ':', line->l) : NULL;

	*name = *line;
	value->p = line->p + line->l;
	value->l = 0;
	if (!colon)
		return;

	name->l = (size_t)(colon - line->p);
	value->p = colon + 1;
	value->l = line->l - name->l - 1;
}

/* Read --------------------------------------------------------------------- */

struct level {
	struct sa addr;    /* of c=; not set: a name, or another network */
	bool has_addr;     /* there was a c= */
	uint8_t direction; /* SDP_SENDRECV where nothing is said */
};

/* c=: "IN IP4 addr/ttl". A name is not resolved: the address stays unset and
 * the flow has to be latched. */
static int read_address(struct sa *sa, struct pl value)
{
	struct pl net = word_next(&value), type = word_next(&value);
	struct pl addr = word_next(&value);
	const char *slash;

	if (!net.l || !type.l || !addr.l || word_next(&value).l)
		return EBADMSG;

	sa_init(sa, AF_UNSPEC);
	slash = memchr(addr.p, '/', addr.l);
	if (slash)
		addr.l = (size_t)(slash - addr.p);
	if (!is_word(&net, "IN") || !addr.l || addr.l > 45 || *addr.p == '[')
		return 0;
	if (is_word(&type, "IP6") != (memchr(addr.p, ':', addr.l) != NULL))
		return 0;
	if (address_parse_text(sa, &addr))
		sa_init(sa, AF_UNSPEC);

	return 0;
}

static bool is_relayed_proto(const struct pl *proto)
{
	return is_word(proto, "RTP/AVP") || is_word(proto, "RTP/SAVP") ||
	       is_word(proto, "RTP/AVPF") || is_word(proto, "RTP/SAVPF") ||
	       is_word(proto, "UDPTL");
}

static bool is_udptl(const struct sdp_stream *s)
{
	return is_word(&s->proto, "UDPTL");
}

static void set_codec(struct sdp_stream *s, const struct pl *name)
{
	const size_t l =
		name->l < sizeof(s->codec) - 1 ? name->l : sizeof(s->codec) - 1;

	memcpy(s->codec, name->p, l);
	s->codec[l] = 0;
}

/* RFC 3551 6: formats that need no rtpmap; empty: not one of them */
static struct pl static_codec(const struct pl *format)
{
	static const char *const names[] = {
		[0] = "PCMU",  [3] = "GSM",   [4] = "G723",  [8] = "PCMA",
		[9] = "G722",  [13] = "CN",   [15] = "G728", [18] = "G729",
		[26] = "JPEG", [31] = "H261", [34] = "H263",
	};
	uint64_t n;

	if (uint_parse(&n, format, sizeof(names) / sizeof(*names) - 1))
		return range_of(NULL);

	return range_of(names[n]);
}

static void set_static_codec(struct sdp_stream *s, const struct pl *format)
{
	struct pl name = is_udptl(s) ? *format : static_codec(format);

	set_codec(s, &name);
}

/* m=: "audio 4000/2 RTP/AVP 0 8" */
static int read_media(struct sdp_stream *s, uint16_t *port, struct pl value)
{
	struct pl ports, format;
	const char *slash;
	uint64_t n;

	memset(s, 0, sizeof(*s));
	s->media = word_next(&value);
	ports = word_next(&value);
	s->proto = word_next(&value);
	slash = ports.l ? memchr(ports.p, '/', ports.l) : NULL;
	if (slash)
		ports.l = (size_t)(slash - ports.p);
	if (!s->proto.l || uint_parse(&n, &ports, UINT16_MAX))
		return EBADMSG;

	*port = (uint16_t)n;
	format = word_next(&value);
	if (!format.l)
		return EBADMSG;
	s->formats.p = format.p;
	s->formats.l = (size_t)(value.p + value.l - format.p);
	while (s->formats.l && s->formats.p[s->formats.l - 1] == ' ')
		--s->formats.l;

	s->relayed = n != 0 && is_relayed_proto(&s->proto);
	set_static_codec(s, &format);
	return 0;
}

static int direction_of(const struct pl *name)
{
	if (is_word(name, "sendrecv"))
		return SDP_SENDRECV;
	if (is_word(name, "sendonly"))
		return SDP_SENDONLY;
	if (is_word(name, "recvonly"))
		return SDP_RECVONLY;
	if (is_word(name, "inactive"))
		return SDP_INACTIVE;

	return -1;
}

/* a=rtcp:port [IN IP4 addr] (RFC 3605) */
static int read_rtcp(struct sa *rtcp, uint16_t *port, struct pl value)
{
	struct pl digits = word_next(&value);
	uint64_t n;

	if (uint_parse(&n, &digits, UINT16_MAX) || !n)
		return EBADMSG;

	*port = (uint16_t)n;
	sa_init(rtcp, AF_UNSPEC);
	return value.l ? read_address(rtcp, value) : 0;
}

/* a=rtpmap:96 name/8000 of the first format names the stream's codec */
static void read_rtpmap(struct sdp_stream *s, struct pl value)
{
	struct pl formats = s->formats;
	struct pl first = word_next(&formats);
	struct pl format = word_next(&value);
	struct pl name = word_next(&value);
	const char *slash;

	if (pl_cmp(&format, &first) || !name.l)
		return;
	slash = memchr(name.p, '/', name.l);
	if (slash)
		name.l = (size_t)(slash - name.p);
	set_codec(s, &name);
}

struct reading {
	struct sdp *sdp;
	struct level session, media;
	struct sdp_stream *s; /* NULL: session level */
	struct sa rtcp;       /* of a=rtcp */
	uint16_t port, rtcp_port;
	unsigned origins;
	struct pl origin; /* line o= */
};

static int read_attribute(struct reading *r, const struct pl *line)
{
	struct pl name, value;
	int dir;

	attribute(line, &name, &value);
	dir = direction_of(&name);
	if (dir >= 0) {
		(r->s ? &r->media : &r->session)->direction = (uint8_t)dir;
		return 0;
	}
	if (!r->s)
		return 0;

	if (is_word(&name, "rtcp"))
		return read_rtcp(&r->rtcp, &r->rtcp_port, value);
	if (is_word(&name, "rtcp-mux"))
		r->s->rtcp_mux = true;
	else if (is_word(&name, "rtpmap"))
		read_rtpmap(r->s, value);

	return 0;
}

/* 0.0.0.0 and :: say: send nothing here (RFC 3264 8.4) */
static bool is_zero(const struct sa *sa)
{
	return sa_isset(sa, SA_ADDR) ? sa_is_any(sa)
				     : sa_af(sa) == AF_INET && !sa_in(sa);
}

/* libre complains about a port without an address */
static void set_port(struct sa *sa, uint16_t port)
{
	if (sa_af(sa) != AF_UNSPEC)
		sa_set_port(sa, port);
}

/* All lines of a stream were read */
static int stream_end(struct reading *r)
{
	struct sdp_stream *s = r->s;
	const struct level *at;

	if (!s)
		return 0;
	at = r->media.has_addr ? &r->media : &r->session;
	s->direction = r->media.direction;
	if (!s->relayed)
		return 0;
	/* RFC 8866 5.7: at one of the levels there must be one */
	if (!at->has_addr)
		return EBADMSG;

	s->rtp = at->addr;
	set_port(&s->rtp, r->port);
	s->hold_zero = is_zero(&at->addr);
	/* It receives nothing; whether it sends is what it says */
	if (s->hold_zero)
		s->direction &= SDP_SENDONLY;
	if (is_udptl(s))
		return 0;

	s->rtcp = s->rtp;
	if (r->rtcp_port) {
		if (sa_af(&r->rtcp) != AF_UNSPEC)
			s->rtcp = r->rtcp;
		set_port(&s->rtcp, r->rtcp_port);
	} else {
		set_port(&s->rtcp,
			 r->port < UINT16_MAX ? (uint16_t)(r->port + 1) : 0);
	}

	return 0;
}

static int stream_begin(struct reading *r, const struct pl *value)
{
	int err;

	err = stream_end(r);
	if (err)
		return err;
	if (r->sdp->n == SDP_STREAMS)
		return E2BIG;

	r->s = &r->sdp->streams[r->sdp->n++];
	memset(&r->media, 0, sizeof(r->media));
	r->media.direction = r->session.direction;
	r->rtcp_port = 0;
	return read_media(r->s, &r->port, *value);
}

/* o=: six words */
static int read_origin(struct reading *r, struct pl value)
{
	unsigned n = 0;

	while (word_next(&value).l)
		++n;

	return n == 6 && !r->s && !r->origins++ ? 0 : EBADMSG;
}

/* b=AS:64, b=TIAS:64000; the larger of both. What cannot be read says nothing,
 * as any unknown type (RFC 8866 5.8) */
static void read_bandwidth(uint32_t *kbit, struct pl value)
{
	struct pl type, number;
	uint64_t n;

	attribute(&value, &type, &number);
	if (uint_parse(&n, &number, UINT32_MAX))
		return;
	if (is_word(&type, "TIAS"))
		n = (n + 999) / 1000;
	else if (!is_word(&type, "AS"))
		return;
	if (n > *kbit)
		*kbit = (uint32_t)n;
}

static int read_line(struct reading *r, const struct line *line)
{
	struct level *at = r->s ? &r->media : &r->session;

	switch (line->type) {
	case 'm':
		return stream_begin(r, &line->value);
	case 'o':
		return read_origin(r, line->value);
	case 'c':
		if (at->has_addr)
			return 0;
		at->has_addr = true;
		return read_address(&at->addr, line->value);
	case 'a':
		return read_attribute(r, &line->value);
	case 'b':
		read_bandwidth(r->s ? &r->s->bandwidth : &r->sdp->bandwidth,
			       line->value);
		return 0;
	default:
		return 0;
	}
}

/* Of all lines but one; blank ones at the end do not count */
static uint64_t hash_without(const struct pl *text, const struct pl *line,
			     const char *end)
{
	const char *behind = line->p + line->l;

	return hash_mix(hash_bytes(text->p, (size_t)(line->p - text->p)),
			hash_bytes(behind, (size_t)(end - behind)));
}

int sdp_read(struct sdp *sdp, const struct pl *text)
{
	struct reading r = { .sdp = sdp };
	struct pl rest = *text;
	struct line line;
	int err;

	memset(sdp, 0, sizeof(*sdp));
	r.session.direction = SDP_SENDRECV;

	err = line_next(&rest, &line);
	if (err || line.type != 'v' || pl_strcmp(&line.value, "0"))
		return EBADMSG;

	while (!(err = line_next(&rest, &line))) {
		if (line.type == 'o')
			r.origin = line.all;
		err = read_line(&r, &line);
		if (err)
			return err;
	}
	if (err != ENOENT)
		return err;
	err = stream_end(&r);
	if (err)
		return err;
	if (!r.origins)
		return EBADMSG;

	sdp->hash = hash_without(text, &r.origin, rest.p);
	return 0;
}

/* With 40 bytes of IPv4, UDP and RTP in each 20 ms */
static uint32_t codec_bandwidth(const char *codec)
{
	static const struct {
		const char *name;
		uint32_t kbit;
	} rows[] = {
		{ "PCMU", 80 },   { "PCMA", 80 }, { "G722", 80 },
		{ "G729", 24 },   { "G723", 22 }, { "G728", 32 },
		{ "GSM", 30 },    { "iLBC", 32 }, { "AMR", 29 },
		{ "AMR-WB", 40 }, { "opus", 64 }, { "t38", 64 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); ++i) {
		if (!strcasecmp(codec, rows[i].name))
			return rows[i].kbit;
	}

	return 0;
}

uint32_t sdp_bandwidth(const struct sdp *sdp)
{
	uint64_t said = 0, guessed = 0, sum;

	for (uint32_t i = 0; i < sdp->n; ++i) {
		const struct sdp_stream *s = &sdp->streams[i];

		if (!s->relayed)
			continue;
		said += s->bandwidth;
		guessed +=
			s->bandwidth ? s->bandwidth : codec_bandwidth(s->codec);
	}
	sum = !said && sdp->bandwidth ? sdp->bandwidth : guessed;

	return sum < UINT32_MAX ? (uint32_t)sum : UINT32_MAX;
}

static uint32_t codec_note(struct pl *names, uint32_t max, uint32_t n,
			   const struct pl *name)
{
	if (!name->l || n == max)
		return n;
	for (uint32_t i = 0; i < n; ++i) {
		if (!pl_casecmp(&names[i], name))
			return n;
	}
	names[n] = *name;

	return n + 1;
}

/* "audio 40000 RTP/AVP 8 101": formats that need no rtpmap */
static uint32_t codecs_of_media(struct pl *names, uint32_t max, uint32_t n,
				struct pl value)
{
	struct pl format;

	for (int i = 0; i < 3; ++i)
		(void)word_next(&value);
	while (format = word_next(&value), format.l) {
		struct pl name = static_codec(&format);

		n = codec_note(names, max, n, &name);
	}

	return n;
}

uint32_t sdp_codecs(const struct pl *text, struct pl *names, uint32_t max)
{
	struct pl rest = *text, name, value, codec;
	struct line line;
	uint32_t n = 0;

	while (!line_next(&rest, &line)) {
		if (line.type == 'm')
			n = codecs_of_media(names, max, n, line.value);
		if (line.type != 'a')
			continue;
		attribute(&line.value, &name, &value);
		if (!is_word(&name, "rtpmap"))
			continue;
		(void)word_next(&value);
		codec = word_next(&value);
		if (codec.l && memchr(codec.p, '/', codec.l))
			codec.l = (size_t)((const char *)memchr(codec.p, '/',
								codec.l) -
					   codec.p);
		n = codec_note(names, max, n, &codec);
	}

	return n;
}

/* Write -------------------------------------------------------------------- */

static int put(struct mbuf *mb, const char *p, size_t n)
{
	return n ? mbuf_write_mem(mb, (const uint8_t *)p, n) : 0;
}

static int put_text(struct mbuf *mb, const char *text)
{
	return put(mb, text, strlen(text));
}

static int put_number(struct mbuf *mb, uint64_t n)
{
	char digits[20];

	return put(mb, digits, uint_write(digits, n));
}

struct writing {
	struct mbuf *mb;
	char address[ADDRESS_TEXT + 8]; /* ours, "IN IP4 192.0.2.1" */
	const struct sdp_rewrite *rw;
	const struct sdp *sdp;
	const struct sdp_stream *s;       /* NULL: session level */
	uint32_t number;                  /* of s */
	bool connection, rtcp, direction; /* written at this level */
	bool bare;                        /* the last line has no end yet */
};

static int set_address(struct writing *w)
{
	const struct sa *sa = &w->rw->addr;
	const size_t head = strlen("IN IP4 ");

	memcpy(w->address, sa_af(sa) == AF_INET6 ? "IN IP6 " : "IN IP4 ", head);

	return address_write(w->address + head, sa, false) ? 0 : EINVAL;
}

static int put_address(struct writing *w)
{
	int err;

	err = put_text(w->mb, w->address);
	err |= put(w->mb, "\r\n", 2);
	return err ? ENOMEM : 0;
}

static int write_origin(struct writing *w)
{
	int err;

	err = put_text(w->mb, "o=- ");
	err |= put_number(w->mb, w->rw->session_id);
	err |= put(w->mb, " ", 1);
	err |= put_number(w->mb, w->rw->version);
	err |= put(w->mb, " ", 1);
	return err ? ENOMEM : put_address(w);
}

static int write_connection(struct writing *w)
{
	int err;

	if (w->connection)
		return 0;
	w->connection = true;
	err = put_text(w->mb, "c=");
	return err ? err : put_address(w);
}

static uint16_t own_port(const struct writing *w)
{
	return w->s->relayed ? w->rw->rtp[w->number] : 0;
}

static int write_media(struct writing *w)
{
	int err;

	err = put_text(w->mb, "m=");
	err |= put(w->mb, w->s->media.p, w->s->media.l);
	err |= put(w->mb, " ", 1);
	err |= put_number(w->mb, own_port(w));
	err |= put(w->mb, " ", 1);
	err |= put(w->mb, w->s->proto.p, w->s->proto.l);
	err |= put(w->mb, " ", 1);
	err |= put(w->mb, w->s->formats.p, w->s->formats.l);
	err |= put(w->mb, "\r\n", 2);
	return err;
}

static int write_rtcp(struct writing *w)
{
	int err;

	if (w->rtcp)
		return 0;
	w->rtcp = true;
	err = put_text(w->mb, "a=rtcp:");
	err |= put_number(w->mb, w->rw->rtcp[w->number]);
	err |= put(w->mb, "\r\n", 2);
	return err;
}

static int write_direction(struct writing *w)
{
	if (w->direction)
		return 0;
	w->direction = true;

	return put_text(w->mb, w->s->direction == SDP_SENDONLY
				       ? "a=sendonly\r\n"
				       : "a=inactive\r\n");
}

/* Does the RTCP of our stream have to be said? The odd port after ours is what
 * everybody assumes. */
static bool needs_rtcp(const struct writing *w)
{
	const uint16_t rtcp = w->rw->rtcp[w->number];

	return own_port(w) && !is_udptl(w->s) && rtcp &&
	       rtcp != own_port(w) + 1;
}

/* What must stand in a stream and had no line to take the place of */
static int level_end(struct writing *w)
{
	int err = 0;

	if (!w->s)
		return 0;
	if (w->s->hold_zero && !w->direction)
		err = write_direction(w);
	if (!err && needs_rtcp(w))
		err = write_rtcp(w);

	return err;
}

/* ICE (RFC 8839) and BUNDLE (RFC 9143): the SBC is the peer and does neither */
static bool is_removed(const struct pl *name, const struct pl *value)
{
	struct pl rest = *value, semantics;

	if (name->l >= 4 && !strncasecmp(name->p, "ice-", 4))
		return true;
	if (is_word(name, "group")) {
		semantics = word_next(&rest);
		return is_word(&semantics, "BUNDLE");
	}

	return is_word(name, "candidate") ||
	       is_word(name, "remote-candidates") ||
	       is_word(name, "end-of-candidates") ||
	       is_word(name, "bundle-only");
}

static int copy_line(struct writing *w, const struct line *line)
{
	const char last = line->all.p[line->all.l - 1];
	int err;

	err = put(w->mb, line->all.p, line->all.l);
	if (!err && last != '\n')
		err = put(w->mb, "\r\n", 2);

	return err;
}

static int write_attribute(struct writing *w, const struct line *line)
{
	struct pl name, value;

	attribute(&line->value, &name, &value);
	if (is_removed(&name, &value))
		return 0;
	if (is_word(&name, "rtcp"))
		return w->s && own_port(w) && !is_udptl(w->s) &&
				       w->rw->rtcp[w->number]
			       ? write_rtcp(w)
			       : 0;
	if (w->s && w->s->hold_zero && direction_of(&name) >= 0)
		return write_direction(w);
	if (w->s && w->rw->strip_mux[w->number] &&
	    (is_word(&name, "rtcp-mux") || is_word(&name, "rtcp-mux-only")))
		return 0;

	return copy_line(w, line);
}

static int write_stream(struct writing *w)
{
	int err;

	err = level_end(w);
	if (err)
		return err;

	w->number = w->s ? w->number + 1 : 0;
	w->s = &w->sdp->streams[w->number];
	w->connection = w->rtcp = w->direction = false;
	return write_media(w);
}

/* A stream that does not run over UDP is off on the other side. Of it goes its
 * m= line only: its attributes name addresses (a=path and others). */
static bool is_bare_stream(const struct writing *w)
{
	return w->s && !is_relayed_proto(&w->s->proto);
}

static int write_line(struct writing *w, const struct line *line)
{
	if (line->type == 'm')
		return write_stream(w);
	if (is_bare_stream(w))
		return 0;

	switch (line->type) {
	case 'o':
		return write_origin(w);
	case 's':
		return w->rw->anonymous ? mbuf_write_str(w->mb, "s=-\r\n")
					: copy_line(w, line);
	case 'c':
		return write_connection(w);
	case 'a':
		return write_attribute(w, line);
	default:
		return copy_line(w, line);
	}
}

int sdp_write(struct mbuf *mb, const struct pl *text, const struct sdp *sdp,
	      const struct sdp_rewrite *rw)
{
	struct writing w = { .mb = mb, .rw = rw, .sdp = sdp };
	struct pl rest = *text;
	struct line line;
	int err;

	err = set_address(&w);
	if (err)
		return err;

	while (!line_next(&rest, &line)) {
		err = write_line(&w, &line);
		if (err)
			return err;
	}

	return level_end(&w);
}
