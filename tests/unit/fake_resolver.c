/*
 * Names that lead where a test says
 */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include "sbc/clock.h"
#include "tests/unit/fake_resolver.h"

enum {
	NAMES = 16,
	AVOIDED = 32
};

struct resolve {
	struct resolve *next;
	const struct realm *realm; /* or NULL */
	char host[256];
	resolve_h *h;
	void *arg;
};

static struct name {
	const char *host;
	struct resolved found;
} names[NAMES];
static unsigned names_n;
static struct {
	struct sa addr;
	uint64_t until;
} avoided[AVOIDED];
static unsigned avoided_n;
static int fails;
static struct resolve *waiting;

void fake_name(const char *host, ...)
{
	struct name *n = &names[names_n++];
	const char *text;
	va_list args;

	for (unsigned i = 0; i + 1 < names_n; i++)
		if (!strcmp(names[i].host, host)) {
			n = &names[i];
			names_n--;
		}
	memset(n, 0, sizeof(*n));
	n->host = host;
	va_start(args, host);
	while ((text = va_arg(args, const char *))) {
		struct pl pl;

		pl_set_str(&pl, text);
		if (sa_decode(&n->found.addr[n->found.n++], pl.p, pl.l))
			abort();
	}
	va_end(args);
}

void fake_resolver_fail(int err)
{
	fails = err;
}

static int look_up(const char *host, size_t l, struct resolved *found)
{
	struct sa sa;

	for (unsigned i = 0; i < names_n; i++)
		if (strlen(names[i].host) == l &&
		    !memcmp(names[i].host, host, l)) {
			*found = names[i].found;
			return 0;
		}

	if (!sa_set(&sa, &(struct pl){ host, l }, 5060)) {
		memset(found, 0, sizeof(*found));
		found->addr[0] = sa;
		found->n = 1;
		return 0;
	}

	return ENOENT;
}

void fake_resolver_answer(int err)
{
	while (waiting) {
		struct resolve *w = waiting;
		struct resolved found;
		int e = err ? err : look_up(w->host, strlen(w->host), &found);

		waiting = w->next;
		if (w->realm && !w->realm->endpoints_n)
			e = EAFNOSUPPORT;
		w->h(e, e ? NULL : &found, w->arg);
		free(w);
	}
}

size_t fake_resolver_waiting(void)
{
	size_t n = 0;

	for (struct resolve *w = waiting; w; w = w->next)
		n++;

	return n;
}

void fake_resolver_reset(void)
{
	while (waiting)
		resolve_cancel(waiting);
	names_n = avoided_n = 0;
	fails = 0;
}

int resolver_open(struct resolver **rp, const struct resolver_setup *setup)
{
	*rp = NULL;
	(void)setup;

	return 0;
}

void resolver_close(struct resolver *r)
{
	(void)r;
}

int resolver_change(struct resolver *r, const struct resolver_setup *setup)
{
	(void)r;
	(void)setup;

	return 0;
}

int resolve_look(struct resolver *r, const struct resolve_query *q,
		 struct resolved *found)
{
	int err;

	(void)r;
	if (q->realm && !q->realm->endpoints_n)
		return EAFNOSUPPORT;
	if (fails)
		return fails == EINPROGRESS ? ETIMEDOUT : fails;
	err = look_up(q->host.p, q->host.l, found);
	for (uint32_t i = 0; !err && q->port && i < found->n; i++)
		sa_set_port(&found->addr[i], q->port);

	return err;
}

int resolve(struct resolve **pendingp, struct resolver *r,
	    const struct resolve_query *q, struct resolved *found, resolve_h *h,
	    void *arg)
{
	struct resolve *w;
	int err;

	(void)r;
	*pendingp = NULL;
	/* The real one looks which sip-ports the realm has */
	if (q->realm && !q->realm->endpoints_n)
		return EAFNOSUPPORT;
	if (fails == EINPROGRESS) {
		w = calloc(1, sizeof(*w));
		if (!w || q->host.l >= sizeof(w->host))
			abort();
		memcpy(w->host, q->host.p, q->host.l);
		w->realm = q->realm;
		w->h = h;
		w->arg = arg;
		w->next = waiting;
		waiting = w;
		*pendingp = w;
		return EINPROGRESS;
	}
	if (fails)
		return fails;

	err = look_up(q->host.p, q->host.l, found);
	for (uint32_t i = 0; !err && q->port && i < found->n; i++)
		sa_set_port(&found->addr[i], q->port);

	return err;
}

void resolve_cancel(struct resolve *pending)
{
	for (struct resolve **w = &waiting; *w; w = &(*w)->next)
		if (*w == pending) {
			*w = pending->next;
			free(pending);
			return;
		}
}

void target_failed(struct resolver *r, const struct sa *addr, uint8_t transport,
		   uint32_t seconds)
{
	(void)r;
	(void)transport;
	target_worked(r, addr, transport);
	if (avoided_n == AVOIDED)
		abort();
	avoided[avoided_n].addr = *addr;
	avoided[avoided_n++].until =
		clock_ms() + (seconds ? seconds : 30) * 1000ull;
}

void target_worked(struct resolver *r, const struct sa *addr, uint8_t transport)
{
	(void)r;
	(void)transport;
	for (unsigned i = 0; i < avoided_n; i++)
		if (sa_cmp(&avoided[i].addr, addr, SA_ALL))
			avoided[i--] = avoided[--avoided_n];
}

bool target_is_avoided(const struct resolver *r, const struct sa *addr,
		       uint8_t transport)
{
	(void)r;
	(void)transport;
	for (unsigned i = 0; i < avoided_n; i++)
		if (sa_cmp(&avoided[i].addr, addr, SA_ALL) &&
		    avoided[i].until > clock_ms())
			return true;

	return false;
}
