/*
 * REGISTER of a PBX, answered for the agent that registers instead of it
 */
#include <errno.h>
#include "store/number.h"
#include "policy/identity.h"
#include "sbc/standin.h"
#include "sbc/surrogates.h"

/* What the PBX is told of the rest of the binding (behaviour.md 3.8) [s] */
enum {
	SHORTEST = 60,
	LONGEST = 3600
};

static bool host_is(const struct pl *host, const char *name)
{
	struct pl pl = range_of(name);

	return pl.l && host_equal(host, &pl);
}

static bool is_at(const struct worker *w, const struct surrogate_agent *agent,
		  const struct uri *uri)
{
	struct sa host;

	return host_is(&uri->host, agent->register_host) ||
	       host_is(&uri->host, agent->customer_host) ||
	       (uri_is_numeric(uri, &host) &&
		realms_is_local(w->plan->realms, &host));
}

/* Whose AoR is To? */
struct asked {
	const struct worker *w;
	const struct uri *to;
	struct owner *out;
};

static bool holds(const struct surrogate_agent *agent, void *arg)
{
	struct asked *asked = arg;

	return !aor_number(&asked->out->number, agent, &asked->to->user) &&
	       is_at(asked->w, agent, asked->to);
}

bool standin_holds(const struct worker *w, const struct source *source,
		   const struct sa *src, const struct message *msg,
		   struct owner *out)
{
	struct pl to = message_value(msg, HDR_TO);
	const struct surrogate_agent *agent;
	struct identity_live live = { 0 };
	struct address addr;
	struct asked asked = { w, &addr.uri, out };

	if (address_read(&addr, &to))
		return false;
	surrogates_identity(w->surrogates, &live);
	agent = identity_agents_walk(w->plan->identities, source->realm, src,
				     &live, holds, &asked);
	if (agent)
		out->agent = agent;
	return agent != NULL;
}

/* Rest of the agent's binding. One that is not there yet is soon asked again */
static uint64_t rest_of(const struct worker *w, const struct owner *who)
{
	struct registration_view view;

	if (surrogates_by_owner(w->surrogates, who, &view) || !view.bound ||
	    view.left < SHORTEST)
		return SHORTEST;
	return view.left < LONGEST ? view.left : LONGEST;
}

static int contact_write(struct mbuf *mb, const struct address *addr,
			 uint64_t expires)
{
	struct pl rest = addr->params, name, value;
	char digits[20];
	int err;

	err = mbuf_write_str(mb, "Contact: <");
	err |= mbuf_write_pl(mb, &addr->spec);
	err |= mbuf_write_u8(mb, '>');
	while (!err && !param_next(&rest, &name, &value)) {
		if (is_word(&name, "expires"))
			continue;
		err = mbuf_write_u8(mb, ';');
		err |= mbuf_write_pl(mb, &name);
		if (value.l) {
			err |= mbuf_write_u8(mb, '=');
			err |= mbuf_write_pl(mb, &value);
		}
	}
	err |= mbuf_write_str(mb, ";expires=");
	err |= mbuf_write_mem(mb, (const uint8_t *)digits,
			      uint_write(digits, expires));
	err |= mbuf_write_str(mb, "\r\n");

	return err ? ENOMEM : 0;
}

bool standin_says_expires(const struct sip_config *sip)
{
	return !option_get(&sip->options, "add-reg-expires", NULL);
}

static int expires_write(struct mbuf *mb, uint64_t expires)
{
	char digits[20];
	int err = mbuf_write_str(mb, "Expires: ");

	err |= mbuf_write_mem(mb, (const uint8_t *)digits,
			      uint_write(digits, expires));
	err |= mbuf_write_str(mb, "\r\n");

	return err ? ENOMEM : 0;
}

static int expires_read(uint64_t *s, const struct pl *text)
{
	return text->l && uint_parse(s, text, UINT32_MAX) ? EBADMSG : 0;
}

/* One Contact: the shorter of what it asks for and what there is; RFC 3261 10.3
 * step 7. 0 takes it away, and then it is not in the answer */
static int contact_answer(struct mbuf *mb, const struct pl *text,
			  uint64_t asked, uint64_t rest, uint64_t *granted)
{
	struct address addr;
	struct pl value;

	*granted = 0;

	if (text->l == 1 && *text->p == '*')
		return asked ? EBADMSG : 0;
	if (address_read(&addr, text))
		return EBADMSG;
	if (!param_get(&addr.params, "expires", &value) &&
	    expires_read(&asked, &value))
		return EBADMSG;
	if (!asked)
		return 0;
	*granted = asked < rest ? asked : rest;
	return contact_write(mb, &addr, *granted);
}

int standin_answer(struct mbuf *mb, const struct worker *w,
		   const struct owner *who, const struct message *msg)
{
	struct pl value = message_value(msg, HDR_EXPIRES);
	const struct header *h;
	uint64_t asked = UINT32_MAX, rest = rest_of(w, who);
	uint64_t granted = rest, one;
	bool first = true;
	int err = expires_read(&asked, &value);

	for (h = message_first(msg, HDR_CONTACT); h && !err;
	     h = message_next(msg, h)) {
		struct pl list = header_value(msg, h), text;

		while (!err && !(err = list_next(&list, &text))) {
			err = contact_answer(mb, &text, asked, rest, &one);
			granted = first ? one : granted;
			first = false;
		}
		if (err == ENOENT)
			err = 0;
	}
	if (!err && standin_says_expires(w->plan->sip))
		err = expires_write(mb, granted);
	return err;
}
