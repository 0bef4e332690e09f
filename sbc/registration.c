/*
 * What is known of one AoR that registers, and of its agent and registrar
 */
#include <errno.h>
#include <string.h>
#include "sbc/pen.h"
#include "sbc/registration.h"
#include "sbc/worker.h"

static void contact_drop(struct registration *r)
{
	if (r->contact != r->room)
		mem_deref(r->contact);
	r->contact = NULL;
}

static void registration_destructor(void *arg)
{
	struct registration *r = arg;

	timer_cancel(&r->timer);
	mem_deref(r->attempt);
	contact_drop(r);
	mem_deref(r->old_contact);
	mem_deref(r->route);
	mem_deref(r->associated);
	mem_deref(r->moved);
}

int registration_alloc(struct registration **rp, struct flock *flock,
		       uint32_t number)
{
	struct registration *r =
		mem_zalloc(sizeof(*r), registration_destructor);

	if (!r)
		return ENOMEM;

	r->flock = flock;
	r->number[0] = r->number[1] = number;
	r->reason = "";
	names_callid(r->callid, flock->worker->number);
	names_tag(r->tag, flock->worker->number);
	*rp = r;

	return 0;
}

void registration_text(char **dst, const char *src)
{
	char *s = NULL;

	/* without memory the former text stays: it was right once */
	if (src && str_dup(&s, src))
		return;
	mem_deref(*dst);
	*dst = s;
}

void registration_set_contact(struct registration *r, const char *uri)
{
	size_t size = strlen(uri) + 1;
	char *s = r->room;

	if (size > sizeof(r->room) && str_dup(&s, uri))
		return;
	contact_drop(r);
	if (s == r->room)
		memcpy(s, uri, size);
	r->contact = s;
}

void registration_bind(struct registration *r, bool bound)
{
	if (bound == r->bound)
		return;
	r->bound = bound;
	r->flock->bound += bound ? 1 : (uint32_t)-1;
}

uint16_t registration_port(uint8_t transport)
{
	return transport == TRANSPORT_TLS || transport == TRANSPORT_WSS ? 5061
									: 5060;
}

static bool names_port(const char *host)
{
	const char *end = host[0] == '[' ? strchr(host, ']') : host;
	const char *c = end ? strchr(end, ':') : NULL;

	return c && !strchr(c + 1, ':');
}

int registration_contact(char *buf, size_t size,
			 const struct surrogate_agent *agent, uint32_t number,
			 const struct endpoint *from)
{
	const struct owner who = { agent, number };
	struct pen t = { buf, size, 0, false };
	const char *host = agent->register_contact_host;
	char user[AOR_USER_MAX + 1];
	uint16_t port = sa_port(&from->local);
	int n = aor_contact_user(user, sizeof(user), &who);

	if (n < 0)
		return -1;

	pen_put(&t, "sip:");
	pen_put_mem(&t, user, (size_t)n);
	pen_put(&t, "@");
	if (*host)
		pen_put_host(&t, host);
	else
		pen_put_address(&t, &from->local);
	if (port != registration_port(from->transport) &&
	    !(*host && names_port(host))) {
		pen_put(&t, ":");
		pen_put_uint(&t, port);
	}
	pen_put_transport(&t, from->transport);

	return t.full ? -1 : (int)t.l;
}

int registration_aor(char *buf, size_t size, const struct registration *r)
{
	const struct owner who = { r->flock->agent, registration_number(r) };
	struct pen t = { buf, size, 0, false };
	char user[AOR_USER_MAX + 1];
	int n = aor_register_user(user, sizeof(user), &who);

	if (n < 0)
		return -1;
	pen_put_mem(&t, user, (size_t)n);
	pen_put(&t, "@");
	pen_put_host(&t, who.agent->register_host);

	return t.full ? -1 : (int)t.l;
}

const char *registration_name(char buf[AOR_SIZE], const struct registration *r)
{
	return registration_aor(buf, AOR_SIZE, r) < 0 ? "?" : buf;
}
