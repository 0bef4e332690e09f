/*
 * Replaces: a dialog of one side named for the other
 */
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include "policy/header.h"
#include "sbc/replaces.h"

/* Call-ID and tags of one value */
struct names3 {
	struct pl callid, to_tag, from_tag, params;
};

static bool callid_read(struct names3 *n, const struct pl *value)
{
	const char *end = memchr(value->p, ';', value->l);

	if (!end)
		return false;
	n->callid.p = value->p;
	n->callid.l = (size_t)(end - value->p);
	while (n->callid.l && n->callid.p[n->callid.l - 1] == ' ')
		n->callid.l--;
	n->params.p = end;
	n->params.l = value->l - (size_t)(end - value->p);

	return n->callid.l > 0;
}

static bool names_read(struct names3 *n, const struct pl *value)
{
	return callid_read(n, value) &&
	       !param_get(&n->params, "to-tag", &n->to_tag) &&
	       !param_get(&n->params, "from-tag", &n->from_tag);
}

static bool equal(const struct pl *a, const struct pl *b)
{
	return a->l == b->l && !memcmp(a->p, b->p, a->l);
}

static struct leg *by_tags(const struct leg_tables *tables,
			   const struct realm *realm, const struct pl *callid,
			   const struct pl *ours, const struct pl *peers)
{
	struct leg_names names = { NULL, realm, callid, ours, peers };
	struct leg *leg = leg_by_tag(tables, ours);
	struct pl id, tag;

	if (!leg)
		leg = leg_kept(tables, &names);
	if (!leg)
		return NULL;

	id = leg_range(leg, LEG_CALLID);
	tag = leg_remote_tag(leg);
	return leg->confirmed && !leg->closed &&
			       realm_same(leg->realm, realm) &&
			       equal(&id, callid) && equal(&tag, peers)
		       ? leg
		       : NULL;
}

struct leg *replaces_find(const struct leg_tables *tables,
			  const struct realm *realm, const struct pl *value)
{
	struct names3 n;
	struct leg *leg;

	if (!names_read(&n, value))
		return NULL;
	leg = by_tags(tables, realm, &n.callid, &n.to_tag, &n.from_tag);

	return leg ? leg
		   : by_tags(tables, realm, &n.callid, &n.from_tag, &n.to_tag);
}

int replaces_write(struct mbuf *mb, const struct leg *leg,
		   const struct pl *value)
{
	struct pl name, text, ours, peers = leg_remote_tag(leg);
	struct names3 n;
	int err;

	if (!names_read(&n, value))
		return EINVAL;
	pl_set_str(&ours, leg_tag(leg));

	/* Whoever gets it is the peer of that leg: to-tag is his */
	err = mbuf_write_str(mb, leg_text(leg, LEG_CALLID));
	err |= mbuf_write_str(mb, ";to-tag=");
	err |= mbuf_write_pl(mb, &peers);
	err |= mbuf_write_str(mb, ";from-tag=");
	err |= mbuf_write_pl(mb, &ours);
	while (!err && !param_next(&n.params, &name, &text)) {
		if (is_word(&name, "to-tag") || is_word(&name, "from-tag"))
			continue;
		err = mbuf_write_str(mb, ";");
		err |= mbuf_write_pl(mb, &name);
		if (text.l) {
			err |= mbuf_write_str(mb, "=");
			err |= mbuf_write_pl(mb, &text);
		}
	}

	return err ? ENOMEM : 0;
}

/* --- Target-Dialog ------------------------------------------------------ */

/* Which tag is whose: as the sender wrote it, so his order stays */
static int target_write(struct mbuf *mb, const struct leg *leg, bool local_ours,
			const struct pl *params)
{
	struct pl rest = *params, name, text;
	struct pl ours, peers = leg_remote_tag(leg);
	int err;

	pl_set_str(&ours, leg_tag(leg));
	err = mbuf_write_str(mb, leg_text(leg, LEG_CALLID));
	err |= mbuf_write_str(mb, ";local-tag=");
	err |= mbuf_write_pl(mb, local_ours ? &ours : &peers);
	err |= mbuf_write_str(mb, ";remote-tag=");
	err |= mbuf_write_pl(mb, local_ours ? &peers : &ours);
	while (!err && !param_next(&rest, &name, &text)) {
		if (is_word(&name, "local-tag") || is_word(&name, "remote-tag"))
			continue;
		err = mbuf_write_str(mb, ";");
		err |= mbuf_write_pl(mb, &name);
		if (text.l) {
			err |= mbuf_write_str(mb, "=");
			err |= mbuf_write_pl(mb, &text);
		}
	}

	return err ? ENOMEM : 0;
}

/* RFC 4538: a dialog of ours becomes its other leg's, any other is unnamed */
static int target_edit(struct message *msg, const struct leg_tables *tables,
		       const struct realm *from, const struct realm *to,
		       replaces_other_h *other)
{
	struct pl value = message_value(msg, HDR_TARGET_DIALOG), text;
	struct leg *leg = NULL, *far;
	struct pl local, remote;
	struct names3 n;
	struct mbuf *mb;
	bool sender = true; /* local-tag is the tag of who sent it */
	int err;

	if (!message_first(msg, HDR_TARGET_DIALOG))
		return 0;
	if (callid_read(&n, &value) &&
	    !param_get(&n.params, "local-tag", &local) &&
	    !param_get(&n.params, "remote-tag", &remote)) {
		leg = by_tags(tables, from, &n.callid, &remote, &local);
		sender = leg != NULL;
		if (!leg)
			leg = by_tags(tables, from, &n.callid, &local, &remote);
	}
	far = leg ? other(leg) : NULL;
	if (!far || !realm_same(far->realm, to) || !far->confirmed)
		return message_drop(msg, HDR_TARGET_DIALOG);

	mb = mbuf_alloc(256);
	err = mb ? target_write(mb, far, sender, &n.params) : ENOMEM;
	if (!err) {
		text.p = (const char *)mb->buf;
		text.l = mb->end;
		err = message_set(msg, HDR_TARGET_DIALOG, &text);
	}
	mem_deref(mb);
	return err;
}

/* --- Within the URI of Refer-To (RFC 3261 19.1.1: escaped) --------------- */

static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int unescape(struct mbuf *mb, const struct pl *text)
{
	int err = 0;

	for (size_t i = 0; i < text->l && !err; i++) {
		int hi = -1, lo = -1;

		if (text->p[i] == '%' && i + 2 < text->l) {
			hi = digit(text->p[i + 1]);
			lo = digit(text->p[i + 2]);
		}
		if (hi >= 0 && lo >= 0) {
			err = mbuf_write_u8(mb, (uint8_t)(hi << 4 | lo));
			i += 2;
		} else {
			err = mbuf_write_u8(mb, (uint8_t)text->p[i]);
		}
	}
	return err;
}

static bool is_plain(uint8_t c)
{
	return (c >= '0' && c <= '9') ||
	       ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || c == '-' ||
	       c == '_' || c == '.' || c == '~';
}

static int escape(struct mbuf *mb, const struct mbuf *text)
{
	static const char hex[] = "0123456789ABCDEF";
	int err = 0;

	for (size_t i = 0; i < text->end && !err; i++) {
		uint8_t c = text->buf[i];

		if (is_plain(c)) {
			err = mbuf_write_u8(mb, c);
			continue;
		}
		err = mbuf_write_u8(mb, '%');
		err |= mbuf_write_u8(mb, (uint8_t)hex[c >> 4]);
		err |= mbuf_write_u8(mb, (uint8_t)hex[c & 15]);
	}
	return err;
}

/* Cut the first "name=value" of "?a=b&c=d" off */
static bool field_next(struct pl *rest, struct pl *field)
{
	const char *end;

	if (!rest->l)
		return false;
	pl_advance(rest, 1); /* the mark */
	end = memchr(rest->p, '&', rest->l);
	field->p = rest->p;
	field->l = end ? (size_t)(end - rest->p) : rest->l;
	pl_advance(rest, (ssize_t)field->l);

	return true;
}

static bool is_replaces(const struct pl *field)
{
	static const char name[] = "replaces=";

	return field->l >= sizeof(name) - 1 &&
	       !strncasecmp(field->p, name, sizeof(name) - 1);
}

static int field_write(struct mbuf *out, const struct pl *field,
		       const struct leg_tables *tables,
		       const struct realm *from, const struct realm *to,
		       replaces_other_h *other)
{
	struct mbuf *plain = mbuf_alloc(256), *mapped = mbuf_alloc(256);
	struct pl text = *field, value;
	struct leg *leg, *far = NULL;
	int err = ENOMEM;

	if (!plain || !mapped)
		goto out;
	pl_advance(&text, sizeof("replaces=") - 1);
	err = unescape(plain, &text);
	if (err)
		goto out;

	value.p = (const char *)plain->buf;
	value.l = plain->end;
	leg = replaces_find(tables, from, &value);
	if (leg)
		far = other(leg);
	if (!far || !realm_same(far->realm, to) || !far->confirmed)
		goto out; /* unnamed */

	err = replaces_write(mapped, far, &value);
	err |= mbuf_write_str(out, "Replaces=");
	err |= escape(out, mapped);
out:
	mem_deref(plain);
	mem_deref(mapped);
	return err;
}

static int refer_edit(struct message *msg, const struct leg_tables *tables,
		      const struct realm *from, const struct realm *to,
		      replaces_other_h *other)
{
	struct pl value = message_value(msg, HDR_REFER_TO), rest, field, whole;
	struct address addr;
	struct mbuf *out;
	bool first = true, found = false;
	int err;

	if (!value.l)
		return 0;
	if (address_read(&addr, &value))
		return EBADMSG;
	for (rest = addr.uri.headers; field_next(&rest, &field);)
		found |= is_replaces(&field);
	if (!found)
		return 0;

	out = mbuf_alloc(value.l + 128);
	if (!out)
		return ENOMEM;
	err = mbuf_write_mem(out, (const uint8_t *)value.p,
			     (size_t)(addr.uri.headers.p - value.p));
	for (rest = addr.uri.headers; !err && field_next(&rest, &field);) {
		size_t mark = out->pos, begun;

		err = mbuf_write_u8(out, first ? '?' : '&');
		begun = out->pos;
		if (!err)
			err = is_replaces(&field)
				      ? field_write(out, &field, tables, from,
						    to, other)
				      : mbuf_write_pl(out, &field);
		if (!err && out->pos == begun)
			out->pos = out->end = mark;
		else
			first = false;
	}
	if (!err)
		err = mbuf_write_mem(out, (const uint8_t *)rest.p,
				     (size_t)(value.p + value.l - rest.p));
	if (!err) {
		whole.p = (const char *)out->buf;
		whole.l = out->end;
		err = message_set(msg, HDR_REFER_TO, &whole);
	}
	mem_deref(out);
	return err;
}

/* --- In-Reply-To -------------------------------------------------------- */

struct replied {
	struct pl callid;
	const struct realm *from, *to;
	replaces_other_h *other;
	const struct leg *found; /* the other leg */
};

static bool is_replied(const struct entry *e, const void *key)
{
	const struct leg *leg = (const void *)((const char *)e -
					       offsetof(struct leg, by_callid));
	struct replied *r = (struct replied *)(uintptr_t)key;
	struct pl id = leg_range(leg, LEG_CALLID);
	const struct leg *other;

	if (leg->closed || !realm_same(leg->realm, r->from) ||
	    !equal(&id, &r->callid))
		return false;
	other = r->other(leg);
	if (!other || other->closed || !realm_same(other->realm, r->to))
		return false;
	r->found = other;
	return true;
}

static int replied_write(struct mbuf *mb, const struct leg_tables *tables,
			 struct replied *r)
{
	int err = 0;

	if (!table_find(&tables->callids, hash_bytes(r->callid.p, r->callid.l),
			is_replied, r))
		return 0; /* unnamed */
	if (mb->pos)
		err = mbuf_write_str(mb, ", ");
	return err ? err : mbuf_write_str(mb, leg_text(r->found, LEG_CALLID));
}

/* RFC 3261 20.21: Call-IDs of calls that this one answers. One that is over, or
 * another tenant's, is unnamed */
static int reply_edit(struct message *msg, const struct leg_tables *tables,
		      const struct realm *from, const struct realm *to,
		      replaces_other_h *other)
{
	const struct header *h = message_first(msg, HDR_IN_REPLY_TO);
	struct replied r = { .from = from, .to = to, .other = other };
	struct pl rest, text;
	struct mbuf *mb;
	int err = 0;

	if (!h)
		return 0;
	mb = mbuf_alloc(128);
	if (!mb)
		return ENOMEM;

	for (; h && !err; h = message_next(msg, h)) {
		rest = header_value(msg, h);
		while (!err && !list_next(&rest, &r.callid))
			err = replied_write(mb, tables, &r);
	}
	text.p = (const char *)mb->buf;
	text.l = mb->end;
	if (!err)
		err = text.l ? message_set(msg, HDR_IN_REPLY_TO, &text)
			     : message_drop(msg, HDR_IN_REPLY_TO);
	mem_deref(mb);
	return err;
}

int replaces_of_refer(struct mbuf *mb, const struct message *msg)
{
	struct pl value = message_value(msg, HDR_REFER_TO), rest, field;
	struct address addr;

	if (address_read(&addr, &value))
		return EBADMSG;
	for (rest = addr.uri.headers; field_next(&rest, &field);) {
		if (!is_replaces(&field))
			continue;
		pl_advance(&field, sizeof("replaces=") - 1);
		return unescape(mb, &field);
	}
	return ENOENT;
}

int replaces_drop(struct message *msg)
{
	int err = message_drop(msg, HDR_TARGET_DIALOG);

	if (!err)
		err = message_drop(msg, HDR_REPLACES);
	return err ? err : message_drop(msg, HDR_IN_REPLY_TO);
}

bool replaces_any(const struct message *msg)
{
	return message_first(msg, HDR_REFER_TO) ||
	       message_first(msg, HDR_REPLACES) ||
	       message_first(msg, HDR_TARGET_DIALOG) ||
	       message_first(msg, HDR_IN_REPLY_TO);
}

int replaces_edit(struct message *msg, const struct leg_tables *tables,
		  const struct realm *from, const struct realm *to,
		  replaces_other_h *other)
{
	int err = refer_edit(msg, tables, from, to, other);

	/* RFC 3891 3: it means nothing but in an INVITE that begins a dialog,
	 * where choose-route maps it */
	if (!err && (msg->method_id != INVITE || msg->to_tag.l))
		err = message_drop(msg, HDR_REPLACES);
	if (!err)
		err = target_edit(msg, tables, from, to, other);
	return err ? err : reply_edit(msg, tables, from, to, other);
}
