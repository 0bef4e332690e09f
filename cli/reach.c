/*
 * dns lookup, ping: names and machines asked by hand
 *
 * Both are tasks. A name is asked for on the worker, so that the answer is the one
 * that its next call would get; the job thread waits for it.
 */
#include <errno.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <poll.h>
#include <semaphore.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>
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
	sbc_ask(task->control->setup.sbc, ask_on_worker, a);
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

/* --- dns lookup ------------------------------------------------------------ */

struct dns_ask {
	struct task task; /* first */
	struct ask ask;
	const char *type; /* NULL: all */
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

static void dns_destructor(void *data)
{
	struct dns_ask *d = data;

	sem_destroy(&d->ask.done);
}

/* The name, its services, and where SRV and NAPTR led to */
static bool is_asked(const struct dns_ask *d, const struct resolver_row *row)
{
	const char *name = row->name;
	char address[64];

	if (d->type && strcasecmp(d->type, row->type))
		return false;
	while (*name == '_' && strchr(name, '.'))
		name = strchr(name, '.') + 1;
	if (!strcasecmp(name, d->ask.host) ||
	    !strcasecmp(row->name, d->ask.host))
		return true;
	for (uint32_t i = 0; i < d->ask.found.n; i++) {
		(void)re_snprintf(address, sizeof(address), "%j",
				  &d->ask.found.addr[i]);
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
	table_row(&d->task.reply, record_columns, cells);
}

static void record_slice(struct worker *w, void *arg)
{
	struct dns_ask *d = arg;

	d->next = resolver_walk(w->resolver, d->next, SLICE, record_row, d);
}

static void target_rows(struct worker *w, void *arg)
{
	struct dns_ask *d = arg;

	for (uint32_t i = 0; i < d->ask.found.n; i++) {
		const struct sa *addr = &d->ask.found.addr[i];
		const uint8_t transport = d->ask.found.transport[i];
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
		table_row(&d->task.reply, target_columns, cells);
	}
}

static int dns_act(struct task *task)
{
	struct dns_ask *d = (struct dns_ask *)task;
	struct sbc *sbc = task->control->setup.sbc;
	int err = ask(&d->ask, task);

	if (err == ECANCELED)
		return err;
	table_begin(&task->reply, NULL, record_columns);
	do {
		sbc_ask(sbc, record_slice, d);
	} while (d->next);
	table_end(&task->reply);
	if (!err && !d->type) {
		reply_line(&task->reply, "");
		table_begin(&task->reply, NULL, target_columns);
		sbc_ask(sbc, target_rows, d);
		table_end(&task->reply);
	}
	if (!err && (d->rows || !d->type))
		return 0;
	reply_error(&task->reply, REPLY_FAILED, "[%s] %s%s", d->ask.host,
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

/* [TYPE] [realm R]; false: said so */
static bool dns_words(struct dns_ask *d, struct session *s,
		      const struct words *w, uint32_t at)
{
	for (; at < w->n; at++) {
		size_t i = 0;

		while (i < ARRAY_SIZE(dns_types) &&
		       strcasecmp(dns_types[i].word, w->v[at]) != 0)
			i++;
		if (i < ARRAY_SIZE(dns_types) && !d->type) {
			d->type = dns_types[i].type;
			d->ask.transport = dns_types[i].transport;
			d->ask.port = dns_types[i].port;
		} else if (!strcmp(w->v[at], "realm") && at + 1 < w->n) {
			str_ncpy(d->ask.realm, w->v[++at],
				 sizeof(d->ask.realm));
		} else {
			reply_error(&s->reply, REPLY_UNKNOWN,
				    "Unknown word [%s], possible here: naptr, "
				    "srv, a, aaaa, realm R",
				    w->v[at]);
			return false;
		}
	}
	return true;
}

void dns_lookup(struct session *s, const struct words *w, uint32_t at)
{
	static const struct step steps[] = { { ON_JOB, dns_act }, { 0 } };
	struct dns_ask *d;

	if (at == w->n) {
		reply_error(&s->reply, REPLY_ARGUMENT, "Missing NAME");
		return;
	}
	d = mem_zalloc(sizeof(*d), dns_destructor);
	if (d) {
		sem_init(&d->ask.done, 0, 0);
		d->ask.transport = TRANSPORT_NONE;
		str_ncpy(d->ask.host, w->v[at], sizeof(d->ask.host));
		if (!dns_words(d, s, w, at + 1)) {
			mem_deref(d);
			return;
		}
	}
	task_start(s, (struct task *)d, steps, false);
}

/* --- ping ------------------------------------------------------------------ */

struct ping {
	struct task task; /* first */
	struct ask ask;
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

	if (p->fd >= 0)
		(void)close(p->fd);
	sem_destroy(&p->ask.done);
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

/* Time of the reply [us]; 0: none came */
static uint64_t echo_wait(struct ping *p, uint16_t number)
{
	const uint64_t began = clock_us();
	struct pollfd fds = { .fd = p->fd, .events = POLLIN };
	uint8_t bytes[PACKET_BYTES];
	uint64_t took = 0;

	while (took < WAIT * 1000) {
		if (poll(&fds, 1, (int)(WAIT - took / 1000)) > 0) {
			ssize_t n = recv(p->fd, bytes, sizeof(bytes), 0);

			took = clock_us() - began;
			if (n > 0 && is_reply(p, bytes, (size_t)n, number))
				return took ? took : 1;
			if (n < 0)
				return 0; /* unreachable: an errno once */
		}
		took = clock_us() - began;
	}
	return 0;
}

static void echo_count(struct ping *p, uint16_t number, uint64_t took)
{
	struct reply *r = &p->task.reply;

	if (!took) {
		reply_line(r, "no reply from %j, seq %u", &p->to, number);
		return;
	}
	p->received++;
	p->sum += took;
	if (!p->min || took < p->min)
		p->min = took;
	if (took > p->max)
		p->max = took;
	reply_line(r, "reply from %j, seq %u, time %llu.%03llu ms", &p->to,
		   number, took / 1000, took % 1000);
}

static int ping_fails(struct ping *p, int err)
{
	reply_error(&p->task.reply, REPLY_FAILED, "%s cannot be asked: %m",
		    p->ask.host, err);
	return ECANCELED;
}

static int ping_run(struct ping *p)
{
	uint64_t avg;

	for (uint32_t i = 1; i <= p->count; i++) {
		int err = echo_send(p, (uint16_t)i);
		uint64_t took = err ? 0 : echo_wait(p, (uint16_t)i);

		if (err && err != EHOSTUNREACH && err != ENETUNREACH &&
		    err != ECONNREFUSED)
			return ping_fails(p, err);
		p->sent += err != 0;
		echo_count(p, (uint16_t)i, took);
		if (i < p->count && took / 1000 < INTERVAL)
			clock_rest((uint32_t)(INTERVAL * 1000 - took));
	}
	avg = p->received ? p->sum / p->received : 0;
	if (p->received)
		reply_line(&p->task.reply,
			   "sent %u, received %u, lost %u, min %llu.%03llu, "
			   "avg %llu.%03llu, max %llu.%03llu ms",
			   p->sent, p->received, p->sent - p->received,
			   p->min / 1000, p->min % 1000, avg / 1000, avg % 1000,
			   p->max / 1000, p->max % 1000);
	else
		reply_error(&p->task.reply, REPLY_FAILED,
			    "sent %u, received 0, lost %u", p->sent, p->sent);
	return p->received ? 0 : ECANCELED;
}

static int ping_act(struct task *task)
{
	struct ping *p = (struct ping *)task;
	int err = ask(&p->ask, task);

	if (err == ECANCELED)
		return err;
	if (err) {
		reply_error(&task->reply, REPLY_FAILED, "[%s] %s", p->ask.host,
			    why(err));
		return ECANCELED;
	}
	p->to = p->ask.found.addr[0];
	err = ping_socket(p);
	return err ? ping_fails(p, err) : ping_run(p);
}

/* [count N] [source IP]; false: said so */
static bool ping_words(struct ping *p, struct session *s, const struct words *w,
		       uint32_t at)
{
	for (; at < w->n; at += 2) {
		struct pl value = at + 1 < w->n ? range_of(w->v[at + 1])
						: (struct pl){ NULL, 0 };
		uint64_t n;

		if (!strcmp(w->v[at], "count")) {
			if (uint_parse(&n, &value, COUNT_MAX) || !n) {
				reply_error(&s->reply, REPLY_ARGUMENT,
					    "count [%r] is out of range 1-%u",
					    &value, COUNT_MAX);
				return false;
			}
			p->count = (uint32_t)n;
		} else if (!strcmp(w->v[at], "source")) {
			if (!value.l || sa_set(&p->from, &value, 0)) {
				reply_error(&s->reply, REPLY_ARGUMENT,
					    "source [%r] is not an address",
					    &value);
				return false;
			}
		} else {
			reply_error(&s->reply, REPLY_UNKNOWN,
				    "Unknown word [%s], possible here: "
				    "count N, source IP",
				    w->v[at]);
			return false;
		}
	}
	return true;
}

void ping_host(struct session *s, const struct words *w, uint32_t at)
{
	static const struct step steps[] = { { ON_JOB, ping_act }, { 0 } };
	struct ping *p;

	if (at == w->n) {
		reply_error(&s->reply, REPLY_ARGUMENT, "Missing HOST");
		return;
	}
	p = mem_zalloc(sizeof(*p), ping_destructor);
	if (p) {
		sem_init(&p->ask.done, 0, 0);
		p->fd = -1;
		p->count = COUNT;
		p->id = (uint16_t)random_between(1, UINT16_MAX);
		p->ask.transport = TRANSPORT_UDP;
		p->ask.port = 5060;
		str_ncpy(p->ask.host, w->v[at], sizeof(p->ask.host));
		if (!ping_words(p, s, w, at + 1)) {
			mem_deref(p);
			return;
		}
	}
	task_start(s, (struct task *)p, steps, false);
}
