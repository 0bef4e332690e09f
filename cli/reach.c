/*
 * dns lookup, ping: names and machines asked by hand
 *
 * Both begin as tasks. A name is asked for on the worker, so that the answer is the
 * one that its next call would get; the job thread waits for it. Echoes are sent
 * and heard on the front thread, which waits for nothing: Ctrl-C ends them.
 */
#include <errno.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <semaphore.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>
#include "store/base.h"
#include <re_main.h>
#include "store/number.h"
#include "sbc/clock.h"
#include "sbc/random.h"
#include "sbc/resolver.h"
#include "cli/control.h"
#include "cli/json.h"
#include "cli/reach.h"

enum {
	SLICE = 200,
	COUNT = 4, /* of pings */
	COUNT_MAX = 100,
	WAIT = 1000,     /* for a reply [ms] */
	INTERVAL = 250,  /* from one to the next [ms] */
	ECHO_BYTES = 56, /* behind the header */
	PACKET_BYTES = 1500
};

/* --- A name, on the worker ------------------------------------------------ */

struct ask {
	char host[256], realm[128];
	enum transport transport;
	uint16_t port;
	struct resolve *pending;
	struct resolved found;
	int err;
	bool no_realm; /* there is none of this name */
	sem_t done;
};

static void asked(int err, const struct resolved *found, void *arg)
{
	struct ask *a = arg;

	a->err = err;
	if (found)
		a->found = *found;
	sem_post(&a->done);
}

static void ask_on_worker(struct worker *w, void *arg)
{
	struct ask *a = arg;
	struct resolve_query q = {
		.realm = realm_named(w->plan->realms, a->realm),
		.host = range_of(a->host),
		.port = a->port,
		.transport = a->transport,
	};

	a->no_realm = *a->realm && !q.realm;
	if (a->no_realm)
		a->err = ENOENT;
	else
		a->err = resolve(&a->pending, w->resolver, &q, &a->found, asked,
				 a);
	if (a->err != EINPROGRESS)
		sem_post(&a->done);
}

/* Waits for no longer than dns-timeout. 0; ENOENT; errno of resolve() */
static int ask(struct ask *a, struct task *task)
{
	sbc_ask_at(task->control->setup.sbc, 0, ask_on_worker, a);
	while (sem_wait(&a->done) && errno == EINTR)
		;
	if (a->no_realm)
		reply_error(&task->reply, REPLY_ARGUMENT,
			    "There is no realm-config [%s]", a->realm);
	return a->no_realm ? ECANCELED : a->err;
}

static const char *why(int err)
{
	switch (err) {

	case ENOENT:
		return "does not exist";
	case ETIMEDOUT:
		return "has no answer, DNS is silent";
	case EAFNOSUPPORT:
		return "leads nowhere that a sip-port of the realm can reach";
	case EINVAL:
		return "cannot be asked for";
	default:
		return strerror(err);
	}
}

/* --- A name and words behind it -------------------------------------------- */

struct reach {
	struct task task; /* first */
	struct ask ask;
};

/* A word, and what stands behind it; NULL: nothing. False: said what is wrong */
struct option {
	const char *word, *value;
	bool (*take)(struct reach *r, struct reply *reply,
		     const struct option *o, const struct pl *value);
};

struct kind {
	const char *name; /* of what is asked for */
	size_t size;      /* of the task, which begins with a reach */
	mem_destroy_h *destructor;
	void (*init)(struct reach *r);
	const struct option *options; /* ended by a NULL word */
	const struct step *steps;
};

struct options {
	const struct option *v;
};

static int options_print(struct re_printf *pf, const struct options *options)
{
	int err = 0;

	for (const struct option *o = options->v; o->word; o++)
		err |= re_hprintf(pf, "%s%s%s%s", o == options->v ? "" : ", ",
				  o->word, o->value ? " " : "",
				  o->value ? o->value : "");
	return err;
}

static bool words_take(struct reach *r, struct reply *reply,
		       const struct option *options, const struct words *w,
		       uint32_t at)
{
	struct options known = { options };

	for (; at < w->n; at++) {
		const struct option *o = options;
		struct pl value = { NULL, 0 };

		while (o->word && strcasecmp(o->word, w->v[at]) != 0)
			o++;
		if (!o->word) {
			reply_error(reply, REPLY_UNKNOWN,
				    "Unknown word [%s], possible here: %H",
				    w->v[at], options_print, &known);
			return false;
		}
		if (o->value && at + 1 == w->n) {
			reply_error(reply, REPLY_ARGUMENT, "Missing %s",
				    o->value);
			return false;
		}
		if (o->value)
			value = range_of(w->v[++at]);
		if (!o->take(r, reply, o, &value))
			return false;
	}
	return true;
}

static void reach_destructor(void *data)
{
	struct reach *r = data;

	sem_destroy(&r->ask.done);
}

static void begin(struct session *s, const struct kind *kind,
		  const struct words *w, uint32_t at)
{
	struct reach *r;

	if (at == w->n) {
		reply_error(&s->reply, REPLY_ARGUMENT, "Missing %s",
			    kind->name);
		return;
	}
	r = mem_zalloc(kind->size, kind->destructor);
	if (r) {
		sem_init(&r->ask.done, 0, 0);
		str_ncpy(r->ask.host, w->v[at], sizeof(r->ask.host));
		kind->init(r);
		if (!words_take(r, &s->reply, kind->options, w, at + 1)) {
			mem_deref(r);
			return;
		}
	}
	task_start(s, (struct task *)r, kind->steps, false);
}

/* --- dns lookup ------------------------------------------------------------ */

struct dns_ask {
	struct reach reach; /* first */
	const char *type;   /* NULL: all */
	size_t next;
	uint32_t rows;
};

static const struct column record_columns[] = {
	{ "Name", -40 },  { "Type", -5 }, { "TTL", 7 },
	{ "Answers", 0 }, { NULL, 0 },
};

static const struct column target_columns[] = {
	{ "Rank", 4 },  { "Target", -28 }, { "Transport", -9 },
	{ "State", 0 }, { NULL, 0 },
};

/* The name, its services, and where SRV and NAPTR led to */
static bool is_asked(const struct dns_ask *d, const struct resolver_row *row)
{
	const char *name = row->name;
	char address[64];

	if (d->type && strcasecmp(d->type, row->type))
		return false;
	while (*name == '_' && strchr(name, '.'))
		name = strchr(name, '.') + 1;
	if (!strcasecmp(name, d->reach.ask.host) ||
	    !strcasecmp(row->name, d->reach.ask.host))
		return true;
	for (uint32_t i = 0; i < d->reach.ask.found.n; i++) {
		(void)re_snprintf(address, sizeof(address), "%j",
				  &d->reach.ask.found.addr[i]);
		if (*row->type == 'A' && strstr(row->answers, address))
			return true;
	}
	return false;
}

static void record_row(const struct resolver_row *row, void *arg)
{
	struct dns_ask *d = arg;
	const struct cell cells[] = {
		TEXT_CELL(row->name),
		TEXT_CELL(row->type),
		NUMBER_CELL(row->ttl),
		TEXT_CELL(row->answers),
	};

	if (!is_asked(d, row) || !*row->answers)
		return;
	d->rows++;
	table_row(&d->reach.task.reply, record_columns, cells);
}

static void record_slice(struct worker *w, void *arg)
{
	struct dns_ask *d = arg;

	d->next = resolver_walk(w->resolver, d->next, SLICE, record_row, d);
}

static void target_rows(struct worker *w, void *arg)
{
	struct dns_ask *d = arg;

	for (uint32_t i = 0; i < d->reach.ask.found.n; i++) {
		const struct sa *addr = &d->reach.ask.found.addr[i];
		const uint8_t transport = d->reach.ask.found.transport[i];
		char text[64];
		const struct cell cells[] = {
			NUMBER_CELL(i + 1),
			TEXT_CELL(text),
			TEXT_CELL(transport_name((enum transport)transport)),
			TEXT_CELL(
				target_is_avoided(w->resolver, addr, transport)
					? "failed of late"
					: "in service"),
		};

		(void)re_snprintf(text, sizeof(text), "%J", addr);
		table_row(&d->reach.task.reply, target_columns, cells);
	}
}

static int dns_act(struct task *task)
{
	struct dns_ask *d = (struct dns_ask *)task;
	struct sbc *sbc = task->control->setup.sbc;
	int err = ask(&d->reach.ask, task);

	if (err == ECANCELED)
		return err;
	table_begin(&task->reply, NULL, record_columns);
	do {
		sbc_ask_at(sbc, 0, record_slice, d);
	} while (d->next);
	table_end(&task->reply);
	if (!err && !d->type) {
		reply_line(&task->reply, "");
		table_begin(&task->reply, NULL, target_columns);
		sbc_ask_at(sbc, 0, target_rows, d);
		table_end(&task->reply);
	}
	if (!err && (d->rows || !d->type))
		return 0;
	reply_error(&task->reply, REPLY_FAILED, "[%s] %s%s", d->reach.ask.host,
		    err ? why(err) : "has no answer of type ",
		    err ? "" : d->type);
	return ECANCELED;
}

/* Which question leads to records of the type; a type alone asks no more than it
 * has to */
static const struct dns_type {
	const char *word, *type;
	enum transport transport;
	uint16_t port;
} dns_types[] = {
	{ "naptr", "NAPTR", TRANSPORT_NONE, 0 },
	{ "srv", "SRV", TRANSPORT_NONE, 0 },
	{ "aaaa", "AAAA", TRANSPORT_UDP, 5060 },
	{ "a", "A", TRANSPORT_UDP, 5060 },
};

static bool dns_type_take(struct reach *r, struct reply *reply,
			  const struct option *o, const struct pl *value)
{
	struct dns_ask *d = (struct dns_ask *)r;
	const struct dns_type *type = dns_types;

	(void)value;
	if (d->type) {
		reply_error(reply, REPLY_ARGUMENT, "Unexpected word [%s]",
			    o->word);
		return false;
	}
	while (strcmp(type->word, o->word) != 0)
		type++;
	d->type = type->type;
	r->ask.transport = type->transport;
	r->ask.port = type->port;
	return true;
}

static bool dns_realm_take(struct reach *r, struct reply *reply,
			   const struct option *o, const struct pl *value)
{
	(void)reply;
	(void)o;
	/* one that is too long is the name of none */
	if (pl_strcpy(value, r->ask.realm, sizeof(r->ask.realm)))
		str_ncpy(r->ask.realm, value->p, sizeof(r->ask.realm));
	return true;
}

static void dns_init(struct reach *r)
{
	r->ask.transport = TRANSPORT_NONE;
}

void dns_lookup(struct session *s, const struct words *w, uint32_t at)
{
	static const struct step steps[] = { { ON_JOB, dns_act }, { 0 } };
	static const struct option options[] = {
		{ "naptr", NULL, dns_type_take },
		{ "srv", NULL, dns_type_take },
		{ "a", NULL, dns_type_take },
		{ "aaaa", NULL, dns_type_take },
		{ "realm", "R", dns_realm_take },
		{ NULL, NULL, NULL },
	};
	static const struct kind kind = {
		.name = "NAME",
		.size = sizeof(struct dns_ask),
		.destructor = reach_destructor,
		.init = dns_init,
		.options = options,
		.steps = steps,
	};

	begin(s, &kind, w, at);
}

/* --- ping ------------------------------------------------------------------ */

struct ping {
	struct reach reach; /* first */
	struct session *s;  /* once echoes are sent */
	struct timer timer; /* until the reply is late, or to the next one */
	uint64_t began;     /* of the one that is waited for [us]; 0: none is */
	uint16_t number;    /* of the last one */
	bool listens;
	struct sa to, from; /* from AF_UNSPEC: any */
	uint32_t count;
	int fd;
	bool raw; /* the kernel neither numbers nor sums */
	uint16_t id;
	uint32_t sent, received;
	uint64_t sum, min, max; /* [us] */
};

static void ping_destructor(void *data)
{
	struct ping *p = data;

	timer_cancel(&p->timer);
	if (p->listens)
		fd_close(p->fd);
	if (p->s)
		p->s->follows = false;
	if (p->fd >= 0)
		(void)close(p->fd);
	reach_destructor(data);
}

static bool is_v6(const struct ping *p)
{
	return sa_af(&p->to) == AF_INET6;
}

/* A user of net.ipv4.ping_group_range needs no right for the first kind */
static int ping_socket(struct ping *p)
{
	const int protocol = is_v6(p) ? IPPROTO_ICMPV6 : IPPROTO_ICMP;

	p->fd = socket(sa_af(&p->to), SOCK_DGRAM | SOCK_CLOEXEC, protocol);
	p->raw = p->fd < 0;
	if (p->raw)
		p->fd = socket(sa_af(&p->to), SOCK_RAW | SOCK_CLOEXEC,
			       protocol);
	if (p->fd < 0)
		return errno;
	if (sa_isset(&p->from, SA_ADDR) &&
	    bind(p->fd, &p->from.u.sa, p->from.len))
		return errno;
	sa_set_port(&p->to, 0);
	return connect(p->fd, &p->to.u.sa, p->to.len) ? errno : 0;
}

/* RFC 1071 */
static uint16_t checksum(const uint8_t *b, size_t n)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < n; i += 2)
		sum += (uint32_t)b[i] << 8 | b[i + 1];
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return htons((uint16_t)~sum);
}

static int echo_send(struct ping *p, uint16_t number)
{
	uint8_t bytes[sizeof(struct icmphdr) + ECHO_BYTES] = { 0 };
	struct icmphdr head = {
		.type = is_v6(p) ? ICMP6_ECHO_REQUEST : ICMP_ECHO,
		.un.echo = { .id = htons(p->id), .sequence = htons(number) },
	};

	memcpy(bytes, &head, sizeof(head));
	if (p->raw && !is_v6(p)) {
		head.checksum = checksum(bytes, sizeof(bytes));
		memcpy(bytes, &head, sizeof(head));
	}
	if (send(p->fd, bytes, sizeof(bytes), 0) < 0)
		return errno;
	p->sent++;
	return 0;
}

/* Is it the reply to this one? */
static bool is_reply(const struct ping *p, const uint8_t *b, size_t n,
		     uint16_t number)
{
	struct icmphdr head;
	size_t skip = 0;

	if (p->raw && !is_v6(p) && n)
		skip = (size_t)(b[0] & 15) * 4;
	if (n < skip + sizeof(head))
		return false;
	memcpy(&head, b + skip, sizeof(head));
	return head.type == (is_v6(p) ? ICMP6_ECHO_REPLY : ICMP_ECHOREPLY) &&
	       head.un.echo.sequence == htons(number) &&
	       (!p->raw || head.un.echo.id == htons(p->id));
}

/* took: time of the reply [us]; 0: none came */
static void echo_count(struct ping *p, uint64_t took)
{
	struct reply *r = &p->s->reply;

	p->began = 0;
	if (!took) {
		reply_line(r, "no reply from %j, seq %u", &p->to, p->number);
		return;
	}
	p->received++;
	p->sum += took;
	if (!p->min || took < p->min)
		p->min = took;
	if (took > p->max)
		p->max = took;
	reply_line(r, "reply from %j, seq %u, time %llu.%03llu ms", &p->to,
		   p->number, took / 1000, took % 1000);
}

static int ping_fails(struct reply *r, const struct ping *p, int err)
{
	reply_error(r, REPLY_FAILED, "%s cannot be asked: %m",
		    p->reach.ask.host, err);
	return ECANCELED;
}

static void ping_sum(struct ping *p)
{
	struct reply *r = &p->s->reply;
	uint64_t avg;

	if (!p->received) {
		reply_error(r, REPLY_FAILED, "sent %u, received 0, lost %u",
			    p->sent, p->sent);
		return;
	}
	avg = p->sum / p->received;
	reply_line(r,
		   "sent %u, received %u, lost %u, min %llu.%03llu, "
		   "avg %llu.%03llu, max %llu.%03llu ms",
		   p->sent, p->received, p->sent - p->received, p->min / 1000,
		   p->min % 1000, avg / 1000, avg % 1000, p->max / 1000,
		   p->max % 1000);
}

/* The last of it: the session may be gone behind it */
static void ping_end(struct ping *p)
{
	struct session *s = p->s;

	s->asks = NULL;
	s->arg = mem_deref(s->arg);
	s->resumes(s);
}

static void ping_next(void *arg);
static void echo_late(void *arg);

static void echo_over(struct ping *p, uint64_t took)
{
	struct session *s = p->s;
	uint64_t ms = took / 1000;

	echo_count(p, took);
	if (p->number == p->count) {
		ping_sum(p);
		ping_end(p);
		return;
	}
	timer_start(&p->timer, ms < INTERVAL ? INTERVAL - ms : 0, ping_next, p);
	s->resumes(s); /* the last: it may be gone behind it */
}

static void echo_late(void *arg)
{
	echo_over(arg, 0);
}

static void echo_heard(int flags, void *arg)
{
	struct ping *p = arg;
	uint8_t bytes[PACKET_BYTES];
	ssize_t n = recv(p->fd, bytes, sizeof(bytes), MSG_DONTWAIT);
	uint64_t took;

	(void)flags;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (!p->began)
		return; /* a late one */
	took = clock_us() - p->began;
	if (n < 0)
		echo_over(p, 0); /* unreachable: an errno once */
	else if (is_reply(p, bytes, (size_t)n, p->number))
		echo_over(p, took ? took : 1);
}

static void ping_next(void *arg)
{
	struct ping *p = arg;
	int err = echo_send(p, ++p->number);

	if (err && err != EHOSTUNREACH && err != ENETUNREACH &&
	    err != ECONNREFUSED) {
		(void)ping_fails(&p->s->reply, p, err);
		ping_end(p);
		return;
	}
	p->sent += err != 0;
	p->began = clock_us();
	timer_start(&p->timer, err ? 0 : WAIT, echo_late, p);
}

/* Any line ends it; Ctrl-C is the one that comes */
static void pinged(struct session *s, const struct pl *line)
{
	(void)line;
	s->arg = mem_deref(s->arg);
}

static void ping_begin(struct session *s, struct task *task)
{
	struct ping *p = (struct ping *)task;
	int err = fd_listen(p->fd, FD_READ, echo_heard, p);

	if (err) {
		(void)ping_fails(&s->reply, p, err);
		return;
	}
	p->listens = true;
	p->s = s;
	s->arg = mem_ref(p);
	s->asks = pinged;
	s->follows = true;
	reply_note(&s->reply, REPLY_FOLLOW, "");
	timer_start(&p->timer, 0, ping_next, p);
}

static int ping_act(struct task *task)
{
	struct ping *p = (struct ping *)task;
	int err = ask(&p->reach.ask, task);

	if (err == ECANCELED)
		return err;
	if (err) {
		reply_error(&task->reply, REPLY_FAILED, "[%s] %s",
			    p->reach.ask.host, why(err));
		return ECANCELED;
	}
	p->to = p->reach.ask.found.addr[0];
	err = ping_socket(p);
	return err ? ping_fails(&task->reply, p, err) : 0;
}

static bool ping_count_take(struct reach *r, struct reply *reply,
			    const struct option *o, const struct pl *value)
{
	struct ping *p = (struct ping *)r;
	uint64_t n;

	(void)o;
	if (uint_parse(&n, value, COUNT_MAX) || !n) {
		reply_error(reply, REPLY_ARGUMENT,
			    "count [%r] is out of range 1-%u", value,
			    COUNT_MAX);
		return false;
	}
	p->count = (uint32_t)n;
	return true;
}

static bool ping_source_take(struct reach *r, struct reply *reply,
			     const struct option *o, const struct pl *value)
{
	struct ping *p = (struct ping *)r;

	(void)o;
	if (!value->l || sa_set(&p->from, value, 0)) {
		reply_error(reply, REPLY_ARGUMENT,
			    "source [%r] is not an address", value);
		return false;
	}
	return true;
}

static void ping_init(struct reach *r)
{
	struct ping *p = (struct ping *)r;

	p->fd = -1;
	p->count = COUNT;
	p->id = (uint16_t)random_between(1, UINT16_MAX);
	r->task.then = ping_begin;
	r->ask.transport = TRANSPORT_UDP;
	r->ask.port = 5060;
}

void ping_host(struct session *s, const struct words *w, uint32_t at)
{
	static const struct step steps[] = { { ON_JOB, ping_act }, { 0 } };
	static const struct option options[] = {
		{ "count", "N", ping_count_take },
		{ "source", "IP", ping_source_take },
		{ NULL, NULL, NULL },
	};
	static const struct kind kind = {
		.name = "HOST",
		.size = sizeof(struct ping),
		.destructor = ping_destructor,
		.init = ping_init,
		.options = options,
		.steps = steps,
	};

	begin(s, &kind, w, at);
}
