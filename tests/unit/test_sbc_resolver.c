/*
 * Names are found as RFC 3263 says, once, also when the servers are silent
 *
 * A small DNS server runs under the loop of the test. Time is moved by hand; the
 * pump lets it go on while something is waited for, as real time does.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>
#include "store/base.h"
#include <re_main.h>
#include "store/elements/system_config.h"
#include "store/log.h"
#include "sbc/alarm.h"
#include "sbc/clock.h"
#include "sbc/counters.h"
#include "sbc/resolver.h"
#include "sbc/timer.h"
#include "tests/unit/fake_clock.h"

enum {
	A = 1,
	CNAME = 5,
	AAAA = 28,
	SRV = 33,
	NAPTR = 35
};
enum {
	TICK = 5,
	PATIENCE = 10000
}; /* [ms] */

/* --- The DNS server ------------------------------------------------------ */

struct rr {
	const char *name;
	int type;
	uint32_t ttl;
	const char *data; /* as in a zone file */
};

enum manner {
	ANSWERS,
	SILENT,
	SERVFAIL,
	CUT,
	GARBAGE,
	BY_TCP
};

static struct server {
	int fd, listener, stream;
	unsigned streams;
	struct sa sa;
	enum manner manner;
	unsigned asked[64]; /* by type */
	unsigned total;
	char last[256];
} servers[2];
static const struct rr *zone;

static uint8_t *put16(uint8_t *p, unsigned v)
{
	*p++ = (uint8_t)(v >> 8);
	*p++ = (uint8_t)v;
	return p;
}

static uint8_t *put_name(uint8_t *p, const char *name)
{
	while (*name && strcmp(name, ".")) {
		size_t n = strcspn(name, ".");

		*p++ = (uint8_t)n;
		memcpy(p, name, n);
		p += n;
		name += n + (name[n] == '.');
	}
	*p++ = 0;
	return p;
}

static uint8_t *put_string(uint8_t *p, const char *text)
{
	*p++ = (uint8_t)strlen(text);
	memcpy(p, text, strlen(text));
	return p + strlen(text);
}

static uint8_t *put_data(uint8_t *p, const struct rr *rr)
{
	char flags[8], service[16], name[200];
	unsigned a, b, c;
	struct sa sa;

	switch (rr->type) {
	case A:
		assert_int_equal(sa_set_str(&sa, rr->data, 0), 0);
		memcpy(p, &sa.u.in.sin_addr, 4);
		return p + 4;
	case AAAA:
		assert_int_equal(sa_set_str(&sa, rr->data, 0), 0);
		sa_in6(&sa, p);
		return p + 16;
	case SRV:
		assert_int_equal(
			sscanf(rr->data, "%u %u %u %199s", &a, &b, &c, name),
			4);
		p = put16(put16(put16(p, a), b), c);
		return put_name(p, name);
	case NAPTR:
		assert_int_equal(sscanf(rr->data, "%u %u %7s %15s %199s", &a,
					&b, flags, service, name),
				 5);
		p = put16(put16(p, a), b);
		p = put_string(put_string(put_string(p, flags), service), "");
		return put_name(p, name);
	default:
		return put_name(p, rr->data);
	}
}

static uint8_t *put_rr(uint8_t *p, const struct rr *rr)
{
	uint8_t *length;

	p = put16(put16(put_name(p, rr->name), (unsigned)rr->type), 1);
	p = put16(put16(p, rr->ttl >> 16), rr->ttl & 0xffff);
	length = p;
	p = put_data(p + 2, rr);
	put16(length, (unsigned)(p - length - 2));
	return p;
}

/* The name of the question; where its type stands */
static const uint8_t *get_name(char *name, const uint8_t *p)
{
	size_t at = 0;

	while (*p) {
		memcpy(name + at, p + 1, *p);
		at += *p;
		name[at++] = '.';
		p += *p + 1;
	}
	name[at ? at - 1 : 0] = '\0';
	return p + 1;
}

static size_t make_reply(struct server *s, uint8_t *reply, const uint8_t *query)
{
	char name[256];
	const uint8_t *end = get_name(name, query + 12);
	int type = end[0] << 8 | end[1];
	unsigned answers = 0;
	bool exists = false;
	uint8_t *p;

	s->total++;
	s->asked[type % 64]++;
	strcpy(s->last, name);

	memcpy(reply, query, (size_t)(end + 4 - query));
	p = reply + (end + 4 - query);
	for (unsigned hops = 0; hops < 4; hops++) {
		const char *alias = NULL;

		for (const struct rr *rr = zone; rr && rr->name; rr++) {
			if (strcasecmp(rr->name, name))
				continue;
			exists = true;
			if (rr->type == CNAME)
				alias = rr->data;
			if (rr->type != type && rr->type != CNAME)
				continue;
			p = put_rr(p, rr);
			answers++;
		}
		if (!alias)
			break;
		strcpy(name, alias);
	}

	put16(reply + 2, 0x8180u | (s->manner == SERVFAIL ? 2
				    : exists              ? 0
							  : 3));
	put16(reply + 6, answers);
	put16(reply + 8, 0);
	put16(reply + 10, 0);
	if (s->manner == CUT && answers)
		p -= 3; /* in the middle of the last record */
	if (s->manner == GARBAGE) {
		p = reply + (end + 4 - query);
		memset(p, 0xc0, 40); /* names that point at themselves */
		put16(reply + 6, 40);
		p += 40;
	}
	return (size_t)(p - reply);
}

static void server_read(int flags, void *arg)
{
	struct server *s = arg;
	uint8_t query[512] = { 0 }, reply[4096];
	struct sockaddr_in from;
	socklen_t from_n = sizeof(from);
	ssize_t n;
	(void)flags;

	while ((n = recvfrom(s->fd, query, sizeof(query) - 1, MSG_DONTWAIT,
			     (struct sockaddr *)&from, &from_n)) > 12) {
		size_t size = make_reply(s, reply, query);

		if (s->manner == BY_TCP)
			reply[2] |= 2; /* TC: this is not all */
		if (s->manner != SILENT)
			sendto(s->fd, reply, size, 0, (struct sockaddr *)&from,
			       from_n);
	}
}

/* A question comes in one piece on loopback: two bytes of length, then it */
static void stream_read(int flags, void *arg)
{
	struct server *s = arg;
	uint8_t query[514] = { 0 }, reply[4096];
	ssize_t n = recv(s->stream, query, sizeof(query) - 1, MSG_DONTWAIT);
	(void)flags;

	if (n < 14) {
		fd_close(s->stream);
		close(s->stream);
		s->stream = -1;
		return;
	}
	s->streams++;
	put16(reply, (unsigned)make_reply(s, reply + 2, query + 2));
	(void)!write(s->stream, reply, (size_t)(reply[0] << 8 | reply[1]) + 2);
}

static void server_accept(int flags, void *arg)
{
	struct server *s = arg;

	s->stream = accept(s->listener, NULL, NULL);
	if (s->stream >= 0)
		fd_listen(s->stream, FD_READ, stream_read, s);
	(void)flags;
}

/* One port for both; where the second is taken another is tried */
static void server_bind(struct server *s)
{
	struct sockaddr_in in;
	socklen_t n = sizeof(in);

	for (unsigned tries = 0; tries < 20; tries++) {
		memset(&in, 0, sizeof(in));
		in.sin_family = AF_INET;
		in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		s->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		s->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (!bind(s->fd, (struct sockaddr *)&in, n) &&
		    !getsockname(s->fd, (struct sockaddr *)&in, &n) &&
		    !bind(s->listener, (struct sockaddr *)&in, n)) {
			sa_set_in(&s->sa, INADDR_LOOPBACK, ntohs(in.sin_port));
			return;
		}
		close(s->fd);
		close(s->listener);
	}
	fail();
}

static void server_open(struct server *s)
{
	memset(s, 0, sizeof(*s));
	s->stream = -1;
	server_bind(s);
	assert_int_equal(listen(s->listener, 4), 0);
	assert_int_equal(fd_listen(s->fd, FD_READ, server_read, s), 0);
	assert_int_equal(fd_listen(s->listener, FD_READ, server_accept, s), 0);
}

static void server_close(struct server *s)
{
	if (s->fd < 0)
		return;
	fd_close(s->fd);
	close(s->fd);
	s->fd = -1;
	fd_close(s->listener);
	close(s->listener);
	if (s->stream >= 0) {
		fd_close(s->stream);
		close(s->stream);
	}
}

static void forget_questions(void)
{
	for (unsigned i = 0; i < 2; i++) {
		memset(servers[i].asked, 0, sizeof(servers[i].asked));
		servers[i].total = 0;
	}
}

/* --- The world of a test ------------------------------------------------- */

static struct endpoint endpoints[6];
static const struct endpoint *endpoint_list[6];
static struct realm_config realm_config;
static struct realm realm;
static struct sa server_list[2];
static struct system_config sys;
static struct resolver *resolver;

static void add_endpoint(const char *addr, enum transport t)
{
	struct endpoint *e = &endpoints[realm.endpoints_n];

	sa_set_str(&e->local, addr, 5060);
	e->transport = t;
	e->realm = &realm;
	endpoint_list[realm.endpoints_n++] = e;
}

static void configure(struct resolver_setup *setup)
{
	server_list[0] = servers[0].sa;
	server_list[1] = servers[1].sa;
	sys.dns_servers.v = server_list;
	sys.dns_servers.n = 1;
	sys.dns_domain = "";
	sys.dns_timeout = 1;
	sys.dns_max_ttl = 86400;
	setup->system = &sys;
	setup->realms = NULL;
}

static int world_open(void **s)
{
	struct resolver_setup setup;

	(void)s;
	server_open(&servers[0]);
	server_open(&servers[1]);
	zone = NULL;
	memset(&realm, 0, sizeof(realm));
	memset(&realm_config, 0, sizeof(realm_config));
	memset(endpoints, 0, sizeof(endpoints));
	realm_config.identifier = "trunk";
	realm_config.dns_realm = "";
	realm.config = &realm_config;
	realm.interface_realm = &realm;
	realm.endpoints = endpoint_list;
	add_endpoint("127.0.0.1", TRANSPORT_UDP);
	add_endpoint("127.0.0.1", TRANSPORT_TCP);
	configure(&setup);
	return resolver_open(&resolver, &setup);
}

static int world_close(void **s)
{
	struct counter_report gauge;

	resolver_close(resolver);
	resolver = NULL;
	server_close(&servers[0]);
	server_close(&servers[1]);
	assert_int_equal(wheel_count(), 0);
	counter_read(COUNT_DNS_TRANS, clock_ms(), &gauge);
	assert_int_equal(gauge.active, 0);
	(void)s;
	return 0;
}

struct asker {
	struct resolve *pending;
	struct resolved found;
	int err;
	unsigned calls;
	struct resolve **cancels; /* takes another's question back */
	bool closes;
};

static void heard(int err, const struct resolved *found, void *arg)
{
	struct asker *a = arg;

	a->calls++;
	a->err = err;
	a->pending = NULL;
	if (found)
		a->found = *found;
	if (a->cancels) {
		resolve_cancel(*a->cancels);
		*a->cancels = NULL;
	}
	if (a->closes) {
		resolver_close(resolver);
		resolver = NULL;
	}
}

static int start(struct asker *a, const char *host, uint16_t port,
		 enum transport t)
{
	struct resolve_query q = { &realm, { host, strlen(host) }, port, t };

	a->err = resolve(&a->pending, resolver, &q, &a->found, heard, a);
	return a->err;
}

static const unsigned *awaited;
static unsigned enough, waited;
static int pump_fd;

static void pump(int flags, void *arg)
{
	uint64_t n;

	(void)!read(pump_fd, &n, sizeof(n));
	fake_clock_advance(TICK);
	wheel_turn();
	waited += TICK;
	if (*awaited >= enough || waited >= PATIENCE)
		re_cancel();
	(void)flags;
	(void)arg;
}

/* Let the loop run until a number is reached */
static void wait_for(const unsigned *number, unsigned at_least)
{
	struct itimerspec its = { { 0, TICK * 1000000 }, { 0, 1000000 } };

	awaited = number;
	enough = at_least;
	waited = 0;
	pump_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
	assert_true(pump_fd >= 0);
	timerfd_settime(pump_fd, 0, &its, NULL);
	assert_int_equal(fd_listen(pump_fd, FD_READ, pump, NULL), 0);
	assert_int_equal(re_main(NULL), 0);
	fd_close(pump_fd);
	close(pump_fd);
	assert_true(*number >= at_least);
}

/* Ask and wait */
static struct asker *ask(const char *host, uint16_t port, enum transport t)
{
	static struct asker a;

	memset(&a, 0, sizeof(a));
	if (start(&a, host, port, t) == EINPROGRESS)
		wait_for(&a.calls, 1);
	return &a;
}

/* "UDP 192.0.2.1:5060, TCP [2001:db8::1]:5070" */
static const char *targets(const struct asker *a)
{
	static char text[1024];
	size_t at = 0;

	text[0] = '\0';
	assert_int_equal(a->err, 0);
	for (uint32_t i = 0; i < a->found.n; i++)
		at += (size_t)re_snprintf(
			text + at, sizeof(text) - at, "%s%s %J", i ? ", " : "",
			transport_name((enum transport)a->found.transport[i]),
			&a->found.addr[i]);
	return text;
}

/* --- Memory that runs out ------------------------------------------------ */

/* AddressSanitizer has a malloc of its own */
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
static int allocations_left = -1; /* -1: no end */

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t size);

static bool is_out_of_memory(void)
{
	if (allocations_left < 0)
		return false;
	return !allocations_left--; /* one fails, the next does not */
}

void *malloc(size_t size)
{
	return is_out_of_memory() ? NULL : __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
	return is_out_of_memory() ? NULL : __libc_calloc(n, size);
}

void *realloc(void *p, size_t size)
{
	return is_out_of_memory() ? NULL : __libc_realloc(p, size);
}

static void a_failed_allocation_fails_questions_for_a_while_at_most(void **s)
{
	static const struct rr rrs[] = {
		{ "_sip._udp.o.example.net", SRV, 60,
		  "1 1 5070 a.example.net" },
		{ "a.example.net", A, 60, "192.0.2.1" },
		{ NULL },
	};
	unsigned failed = 0;
	bool reached = true;

	zone = rrs;
	for (int n = 0; reached && n < 300; n++) {
		struct resolver_setup setup;
		struct asker *a;

		resolver_close(resolver);
		resolver = NULL;
		configure(&setup);

		allocations_left = n;
		if (!resolver_open(&resolver, &setup))
			a = ask("o.example.net", 0, TRANSPORT_UDP);
		else
			a = NULL;
		reached = allocations_left < 0;
		allocations_left = -1;

		failed += !a || a->err;
		if (a && !a->err)
			assert_true(a->found.n > 0);
		else if (a)
			assert_true(a->err == ENOMEM || a->err == ETIMEDOUT ||
				    a->err == EINVAL);
		if (!resolver)
			assert_int_equal(resolver_open(&resolver, &setup), 0);
		/* what c-ares still waits for ends, then it is whole again */
		ask("o.example.net", 0, TRANSPORT_UDP);
		fake_clock_advance(120000);
		assert_string_equal(
			targets(ask("o.example.net", 0, TRANSPORT_UDP)),
			"UDP 192.0.2.1:5070");
	}
	assert_false(reached);
	assert_true(failed > 3);
	(void)s;
}
#endif

/* --- Addresses, ports, families ------------------------------------------ */

static void an_address_needs_no_dns(void **s)
{
	static const struct {
		const char *host;
		uint16_t port;
		enum transport t;
		const char *target;
	} rows[] = {
		{ "192.0.2.1", 0, TRANSPORT_NONE, "UDP 192.0.2.1:5060" },
		{ "192.0.2.1", 5070, TRANSPORT_NONE, "UDP 192.0.2.1:5070" },
		{ "192.0.2.1", 0, TRANSPORT_TCP, "TCP 192.0.2.1:5060" },
		{ "192.0.2.1", 0, TRANSPORT_TLS, "TLS 192.0.2.1:5061" },
		{ "[2001:db8::1]", 0, TRANSPORT_UDP, "UDP [2001:db8::1]:5060" },
		{ "2001:db8::1", 5080, TRANSPORT_UDP,
		  "UDP [2001:db8::1]:5080" },
	};

	add_endpoint("127.0.0.1", TRANSPORT_TLS);
	add_endpoint("::1", TRANSPORT_UDP);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct asker a = { 0 };

		assert_int_equal(
			start(&a, rows[i].host, rows[i].port, rows[i].t), 0);
		assert_null(a.pending);
		assert_string_equal(targets(&a), rows[i].target);
	}
	assert_int_equal(servers[0].total, 0);
	(void)s;
}

static void a_target_without_a_fitting_sip_port_is_none(void **s)
{
	static const struct rr rrs[] = {
		{ "six.example.net", AAAA, 60, "2001:db8::1" },
		{ NULL },
	};
	struct asker a = { 0 };

	zone = rrs;
	assert_int_equal(start(&a, "2001:db8::1", 0, TRANSPORT_UDP),
			 EAFNOSUPPORT);
	assert_int_equal(start(&a, "192.0.2.1", 0, TRANSPORT_TLS),
			 EAFNOSUPPORT);
	assert_int_equal(ask("six.example.net", 0, TRANSPORT_TLS)->err,
			 EAFNOSUPPORT);
	/* AAAA is not even asked, so nothing is known of it */
	assert_int_equal(ask("six.example.net", 5060, TRANSPORT_UDP)->err,
			 ENOENT);
	assert_int_equal(servers[0].asked[AAAA], 0);
	(void)s;
}

static void a_port_leaves_naptr_and_srv_out(void **s)
{
	static const struct rr rrs[] = {
		{ "sw.example.net", A, 60, "192.0.2.7" },
		{ "sw.example.net", AAAA, 60, "2001:db8::7" },
		{ "_sip._udp.sw.example.net", SRV, 60, "1 1 9 x.example.net" },
		{ NULL },
	};

	zone = rrs;
	add_endpoint("::1", TRANSPORT_UDP);
	assert_string_equal(
		targets(ask("SW.example.NET", 5099, TRANSPORT_NONE)),
		"UDP [2001:db8::7]:5099, UDP 192.0.2.7:5099");
	assert_int_equal(servers[0].asked[NAPTR] + servers[0].asked[SRV], 0);
	assert_int_equal(servers[0].total, 2);
	/* a dot at the end is the same name */
	assert_string_equal(
		targets(ask("sw.example.net.", 5099, TRANSPORT_NONE)),
		"UDP [2001:db8::7]:5099, UDP 192.0.2.7:5099");
	assert_int_equal(servers[0].total, 2);
	(void)s;
}

static void what_is_no_name_does_not_exist(void **s)
{
	static const char *const hosts[] = { "",
					     ".",
					     "a b.example.net",
					     "x/y.example.net",
					     "a\x01b.net",
					     "a..example.net" };
	char label[70], name[300];

	memset(label, 'a', 64);
	strcpy(label + 64, ".net");
	memset(name, 'a', 299);
	name[299] = '\0';
	for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++)
		assert_int_equal(ask(hosts[i], 5060, TRANSPORT_UDP)->err,
				 ENOENT);
	assert_int_equal(ask(label, 5060, TRANSPORT_UDP)->err, ENOENT);
	assert_int_equal(ask(name, 5060, TRANSPORT_UDP)->err, ENOENT);
	assert_int_equal(servers[0].total, 0);
	(void)s;
}

static void a_name_without_a_dot_gets_the_domain(void **s)
{
	static const struct rr rrs[] = {
		{ "sw.example.net", A, 60, "192.0.2.7" },
		{ NULL },
	};
	struct resolver_setup setup;

	zone = rrs;
	configure(&setup);
	sys.dns_domain = "Example.net";
	assert_int_equal(resolver_change(resolver, &setup), 0);
	assert_string_equal(targets(ask("sw", 5060, TRANSPORT_UDP)),
			    "UDP 192.0.2.7:5060");
	(void)s;
}

static void an_address_of_zeros_is_no_target(void **s)
{
	static const struct rr rrs[] = {
		{ "z.example.net", A, 60, "0.0.0.0" },
		{ "z.example.net", AAAA, 60, "::" },
		{ NULL },
	};

	zone = rrs;
	add_endpoint("::1", TRANSPORT_UDP);
	assert_int_equal(ask("z.example.net", 5060, TRANSPORT_UDP)->err,
			 ENOENT);
	(void)s;
}

/* --- RFC 3263 ------------------------------------------------------------ */

static const struct rr trunk[] = {
	/* clang-format off */
	{ "t.example.net", NAPTR, 60, "20 10 s SIP+D2U _sip._udp.t.example.net" },
	{ "t.example.net", NAPTR, 60, "10 20 S sips+d2t _sips._tcp.t.example.net" },
	{ "t.example.net", NAPTR, 60, "10 30 s SIP+D2T _sip._tcp.t.example.net" },
	{ "t.example.net", NAPTR, 60, "1 1 u E2U+sip x.example.net" },
	{ "_sip._tcp.t.example.net", SRV, 60, "20 0 5062 b.example.net" },
	{ "_sip._tcp.t.example.net", SRV, 60, "10 0 5061 a.example.net" },
	{ "_sips._tcp.t.example.net", SRV, 60, "1 0 5063 a.example.net" },
	{ "_sip._udp.t.example.net", SRV, 60, "1 0 5064 a.example.net" },
	{ "a.example.net", A, 60, "192.0.2.1" },
	{ "a.example.net", AAAA, 60, "2001:db8::1" },
	{ "b.example.net", A, 60, "192.0.2.2" },
	{ "b.example.net", A, 60, "192.0.2.3" },
	{ "a.t.example.net", NAPTR, 60, "1 1 a SIP+D2T b.example.net" },
	{ NULL },
	/* clang-format on */
};

static void naptr_srv_and_addresses_follow_each_other(void **s)
{
	zone = trunk;
	/* no TLS here: the next by order and preference is TCP */
	assert_string_equal(targets(ask("t.example.net", 0, TRANSPORT_NONE)),
			    "TCP 192.0.2.1:5061, TCP 192.0.2.2:5062, "
			    "TCP 192.0.2.3:5062");
	assert_string_equal(targets(ask("a.t.example.net", 0, TRANSPORT_NONE)),
			    "TCP 192.0.2.2:5060, TCP 192.0.2.3:5060");
	assert_int_equal(servers[0].asked[NAPTR], 2);
	assert_int_equal(servers[0].asked[SRV], 1);
	(void)s;
}

static void naptr_prefers_tls_where_there_is_a_port_for_it(void **s)
{
	zone = trunk;
	add_endpoint("127.0.0.1", TRANSPORT_TLS);
	add_endpoint("::1", TRANSPORT_TLS);
	assert_string_equal(targets(ask("t.example.net", 0, TRANSPORT_NONE)),
			    "TLS [2001:db8::1]:5063, TLS 192.0.2.1:5063");
	(void)s;
}

static void a_known_transport_needs_no_naptr(void **s)
{
	zone = trunk;
	assert_string_equal(targets(ask("t.example.net", 0, TRANSPORT_UDP)),
			    "UDP 192.0.2.1:5064");
	assert_int_equal(servers[0].asked[NAPTR], 0);
	(void)s;
}

static void without_naptr_srv_tells_the_transport(void **s)
{
	static const struct rr rrs[] = {
		{ "_sip._tcp.n.example.net", SRV, 60,
		  "1 1 5070 a.example.net" },
		{ "a.example.net", A, 60, "192.0.2.1" },
		{ NULL },
	};

	zone = rrs;
	assert_string_equal(targets(ask("n.example.net", 0, TRANSPORT_NONE)),
			    "TCP 192.0.2.1:5070");
	(void)s;
}

static void without_srv_the_name_itself_is_asked(void **s)
{
	static const struct rr rrs[] = {
		{ "h.example.net", A, 60, "192.0.2.1" },
		{ NULL },
	};

	zone = rrs;
	assert_string_equal(targets(ask("h.example.net", 0, TRANSPORT_NONE)),
			    "UDP 192.0.2.1:5060");
	assert_string_equal(targets(ask("h.example.net", 0, TRANSPORT_TCP)),
			    "TCP 192.0.2.1:5060");
	/* a realm that has TCP only speaks TCP */
	realm.endpoints_n = 0;
	add_endpoint("127.0.0.1", TRANSPORT_TCP);
	assert_string_equal(targets(ask("192.0.2.9", 0, TRANSPORT_NONE)),
			    "TCP 192.0.2.9:5060");
	assert_string_equal(targets(ask("h.example.net", 0, TRANSPORT_NONE)),
			    "TCP 192.0.2.1:5060");
	(void)s;
}

/* RFC 2782: a target of "." says that there is no such service */
static void a_service_declined_is_not_looked_for_elsewhere(void **s)
{
	static const struct rr rrs[] = {
		{ "_sip._udp.d.example.net", SRV, 60, "0 0 0 ." },
		{ "d.example.net", A, 60, "192.0.2.1" },
		{ NULL },
	};

	zone = rrs;
	assert_int_equal(ask("d.example.net", 0, TRANSPORT_UDP)->err, ENOENT);
	assert_int_equal(servers[0].asked[A], 0);
	(void)s;
}

static void an_alias_is_followed_and_its_ttl_counts(void **s)
{
	static const struct rr rrs[] = {
		{ "alias.example.net", CNAME, 20, "real.example.net" },
		{ "real.example.net", A, 600, "192.0.2.1" },
		{ NULL },
	};

	zone = rrs;
	assert_string_equal(
		targets(ask("alias.example.net", 5060, TRANSPORT_UDP)),
		"UDP 192.0.2.1:5060");
	fake_clock_advance(21000);
	ask("alias.example.net", 5060, TRANSPORT_UDP);
	assert_int_equal(servers[0].total, 2);
	(void)s;
}

static void srv_goes_by_priority_and_then_by_weight(void **s)
{
	static const struct rr rrs[] = {
		/* clang-format off */
		{ "_sip._udp.w.example.net", SRV, 9999, "5 30 1003 a.example.net" },
		{ "_sip._udp.w.example.net", SRV, 9999, "9 99 1009 a.example.net" },
		{ "_sip._udp.w.example.net", SRV, 9999, "5 10 1001 a.example.net" },
		{ "_sip._udp.w.example.net", SRV, 9999, "5 0 1000 a.example.net" },
		{ "a.example.net", A, 9999, "192.0.2.1" },
		{ NULL },
		/* clang-format on */
	};
	unsigned first[4] = { 0 };

	zone = rrs;
	for (unsigned i = 0; i < 8000; i++) {
		const struct asker *a = ask("w.example.net", 0, TRANSPORT_UDP);
		uint16_t port = sa_port(&a->found.addr[0]);

		assert_int_equal(a->found.n, 4);
		assert_int_equal(sa_port(&a->found.addr[3]), 1009);
		assert_in_range(port, 1000, 1003);
		first[port - 1000]++;
	}
	/* of 41 points weight 0 has 1, 10 has 10, 30 has 30; six standard
	 * deviations each */
	assert_in_range(first[0], 195 - 84, 195 + 84);
	assert_in_range(first[1], 1951 - 231, 1951 + 231);
	assert_in_range(first[3], 5854 - 239, 5854 + 239);
	(void)s;
}

/* --- Cache --------------------------------------------------------------- */

static const struct rr host[] = {
	{ "h.example.net", A, 60, "192.0.2.1" },
	{ "long.example.net", A, 1000000, "192.0.2.2" },
	{ "zero.example.net", A, 0, "192.0.2.3" },
	{ NULL },
};

static void an_answer_holds_for_its_ttl(void **s)
{
	struct asker a = { 0 };

	zone = host;
	ask("h.example.net", 5060, TRANSPORT_UDP);
	fake_clock_advance(59000);
	assert_int_equal(start(&a, "h.example.net", 5060, TRANSPORT_UDP), 0);
	assert_int_equal(servers[0].total, 1);
	fake_clock_advance(1001);
	assert_string_equal(targets(ask("h.example.net", 5060, TRANSPORT_UDP)),
			    "UDP 192.0.2.1:5060");
	assert_int_equal(servers[0].total, 2);
	(void)s;
}

static void dns_max_ttl_bounds_it(void **s)
{
	zone = host;
	ask("long.example.net", 5060, TRANSPORT_UDP);
	fake_clock_advance(86399000);
	ask("long.example.net", 5060, TRANSPORT_UDP);
	assert_int_equal(servers[0].total, 1);
	fake_clock_advance(1001);
	ask("long.example.net", 5060, TRANSPORT_UDP);
	assert_int_equal(servers[0].total, 2);
	(void)s;
}

static void an_answer_with_ttl_0_serves_who_asked_and_nobody_else(void **s)
{
	zone = host;
	assert_string_equal(
		targets(ask("zero.example.net", 5060, TRANSPORT_UDP)),
		"UDP 192.0.2.3:5060");
	fake_clock_advance(1);
	assert_string_equal(
		targets(ask("zero.example.net", 5060, TRANSPORT_UDP)),
		"UDP 192.0.2.3:5060");
	assert_int_equal(servers[0].total, 2);
	(void)s;
}

static void what_does_not_exist_is_remembered_for_30_s(void **s)
{
	zone = host;
	assert_int_equal(ask("no.example.net", 5060, TRANSPORT_UDP)->err,
			 ENOENT);
	fake_clock_advance(29000);
	assert_int_equal(ask("no.example.net", 5060, TRANSPORT_UDP)->err,
			 ENOENT);
	assert_int_equal(servers[0].total, 1);
	fake_clock_advance(1001);
	assert_int_equal(ask("no.example.net", 5060, TRANSPORT_UDP)->err,
			 ENOENT);
	assert_int_equal(servers[0].total, 2);
	(void)s;
}

static void what_vanished_is_not_used_on(void **s)
{
	zone = host;
	ask("h.example.net", 5060, TRANSPORT_UDP);
	zone = NULL;
	fake_clock_advance(60001);
	assert_int_equal(ask("h.example.net", 5060, TRANSPORT_UDP)->err,
			 ENOENT);
	(void)s;
}

static void many_callers_share_one_question(void **s)
{
	struct asker a[50] = { 0 };

	zone = host;
	for (unsigned i = 0; i < 50; i++)
		assert_int_equal(
			start(&a[i], "h.example.net", 5060, TRANSPORT_UDP),
			EINPROGRESS);
	wait_for(&a[49].calls, 1);
	for (unsigned i = 0; i < 50; i++) {
		assert_int_equal(a[i].calls, 1);
		assert_string_equal(targets(&a[i]), "UDP 192.0.2.1:5060");
	}
	assert_int_equal(servers[0].total, 1);
	(void)s;
}

static void more_names_than_the_cache_holds_drop_the_oldest(void **s)
{
	char name[64];

	zone = host;
	ask("h.example.net", 5060, TRANSPORT_UDP);
	/* a name that cannot be costs no packet: the cache has it as any other */
	for (unsigned i = 0; i < 10000; i++) {
		snprintf(name, sizeof(name), "a..%u.example.net", i);
		assert_int_equal(ask(name, 5060, TRANSPORT_UDP)->err, ENOENT);
	}
	assert_int_equal(servers[0].total, 1);
	ask("h.example.net", 5060, TRANSPORT_UDP);
	assert_int_equal(servers[0].total, 2);
	(void)s;
}

static char shown[2048];

static void show(const struct resolver_row *row, void *arg)
{
	size_t at = strlen(shown);

	snprintf(shown + at, sizeof(shown) - at, "%s %s %u [%s]\n", row->name,
		 row->type, row->ttl, row->answers);
	(void)arg;
}

static void the_cache_shows_itself(void **s)
{
	struct rr many[31] = { 0 };

	for (unsigned i = 0; i < 30; i++)
		many[i] =
			(struct rr){ "m.example.net", A, 9, "192.168.100.100" };
	zone = many;
	ask("m.example.net", 5060, TRANSPORT_UDP);
	zone = trunk;
	ask("a.t.example.net", 0, TRANSPORT_NONE);
	ask("t.example.net", 0, TRANSPORT_UDP);
	ask("no.example.net", 5060, TRANSPORT_UDP);
	shown[0] = '\0';
	assert_int_equal(resolver_walk(resolver, 0, 1000, show, NULL), 0);
	assert_non_null(strstr(shown, "b.example.net A "));
	assert_non_null(strstr(shown, " [192.0.2.2, 192.0.2.3]\n"));
	assert_non_null(strstr(shown, " [1 1 TCP b.example.net]\n"));
	assert_non_null(strstr(shown, " [1 0 5064 a.example.net]\n"));
	assert_non_null(strstr(shown, "no.example.net A "));
	assert_non_null(strstr(shown, " []\n"));
	/* a long list ends where the row does */
	assert_non_null(strstr(shown, "192.168.100.100, 192.168.100.100"));
	(void)s;
}

static struct asker *look(const char *name, enum transport t)
{
	static struct asker a;
	struct resolve_query q = { &realm, { name, strlen(name) }, 0, t };

	memset(&a, 0, sizeof(a));
	a.err = resolve_look(resolver, &q, &a.found);
	return &a;
}

static size_t rows_n;

static void row_count(const struct resolver_row *row, void *arg)
{
	(void)row;
	(void)arg;
	rows_n++;
}

static size_t cached(void)
{
	rows_n = 0;
	(void)resolver_walk(resolver, 0, 1000, row_count, NULL);
	return rows_n;
}

static void who_only_looks_asks_nothing(void **s)
{
	zone = trunk;
	assert_int_equal(look("t.example.net", TRANSPORT_UDP)->err, ETIMEDOUT);
	assert_int_equal(look("192.0.2.7", TRANSPORT_UDP)->err, 0);
	assert_int_equal(look("no name", TRANSPORT_UDP)->err, ENOENT);
	assert_int_equal(servers[0].total, 0);
	assert_int_equal(cached(), 0);

	ask("t.example.net", 0, TRANSPORT_UDP);
	unsigned total = servers[0].total;
	size_t n = cached();

	/* out of date is better than nothing */
	for (int i = 0; i < 2; i++) {
		struct asker *a = look("t.example.net", TRANSPORT_UDP);

		assert_int_equal(a->err, 0);
		assert_true(a->found.n > 0);
		fake_clock_advance(100000000);
	}
	assert_int_equal(servers[0].total, total);
	assert_int_equal(cached(), n);
	(void)s;
}

/* --- Cancel, close, change ----------------------------------------------- */

static void a_cancelled_question_is_not_answered(void **s)
{
	struct asker a = { 0 }, b = { 0 };

	zone = host;
	start(&a, "h.example.net", 5060, TRANSPORT_UDP);
	start(&b, "h.example.net", 5060, TRANSPORT_UDP);
	resolve_cancel(a.pending);
	wait_for(&b.calls, 1);
	assert_int_equal(a.calls, 0);
	assert_string_equal(targets(&b), "UDP 192.0.2.1:5060");
	resolve_cancel(NULL);
	(void)s;
}

static void one_handler_cancels_the_other(void **s)
{
	struct asker a = { 0 }, b = { 0 }, c = { 0 };

	zone = host;
	a.cancels = &b.pending;
	b.cancels = &a.pending;
	start(&a, "h.example.net", 5060, TRANSPORT_UDP);
	start(&b, "h.example.net", 5060, TRANSPORT_UDP);
	start(&c, "h.example.net", 5060, TRANSPORT_UDP);
	wait_for(&c.calls, 1);
	assert_int_equal(a.calls + b.calls, 1);
	(void)s;
}

static void a_handler_may_close_the_resolver(void **s)
{
	struct asker a = { .closes = true }, b = { 0 };

	zone = host;
	start(&a, "h.example.net", 5060, TRANSPORT_UDP);
	start(&b, "long.example.net", 5060, TRANSPORT_UDP);
	wait_for(&a.calls, 1);
	assert_null(resolver);
	assert_true(b.calls <= 1);
	(void)s;
}

static void closing_drops_what_is_under_way(void **s)
{
	struct asker a = { 0 };

	servers[0].manner = SILENT;
	start(&a, "t.example.net", 0, TRANSPORT_NONE);
	wait_for(&servers[0].total, 1);
	resolver_close(resolver);
	resolver = NULL;
	assert_int_equal(a.calls, 0);
	(void)s;
}

static void a_change_keeps_cache_and_questions_under_way(void **s)
{
	struct resolver_setup setup;
	struct asker a = { 0 };

	zone = host;
	ask("long.example.net", 5060, TRANSPORT_UDP);
	start(&a, "h.example.net", 5060, TRANSPORT_UDP);
	configure(&setup);
	assert_int_equal(resolver_change(resolver, &setup), 0);
	wait_for(&a.calls, 1);
	assert_string_equal(targets(&a), "UDP 192.0.2.1:5060");
	assert_int_equal(start(&a, "long.example.net", 5060, TRANSPORT_UDP), 0);
	assert_int_equal(servers[0].total, 2);

	/* other servers: other answers */
	sys.dns_servers.v = &server_list[1];
	assert_int_equal(resolver_change(resolver, &setup), 0);
	ask("long.example.net", 5060, TRANSPORT_UDP);
	assert_int_equal(servers[1].total, 1);
	(void)s;
}

static void a_realm_has_servers_of_its_own(void **s)
{
	struct realm_config child_config = { .identifier = "child",
					     .dns_realm = "" };
	struct realm child = realm;

	zone = host;
	child.config = &child_config;
	child.parent = &realm;
	realm_config.dns_servers.v = &server_list[1];
	realm_config.dns_servers.n = 1;
	ask("h.example.net", 5060, TRANSPORT_UDP);
	assert_int_equal(servers[0].total, 0);
	assert_int_equal(servers[1].total, 1);

	/* the parent's, from the same cache */
	{
		struct resolve_query q = {
			&child, { "h.example.net", 13 }, 5060, TRANSPORT_UDP
		};
		struct asker a = { 0 };

		assert_int_equal(
			resolve(&a.pending, resolver, &q, &a.found, heard, &a),
			0);
	}
	/* and without them those of the system */
	realm_config.dns_servers.n = 0;
	ask("h.example.net", 5060, TRANSPORT_UDP);
	assert_int_equal(servers[0].total, 1);
	(void)s;
}

/* --- Servers that fail --------------------------------------------------- */

static void the_second_server_answers_when_the_first_is_silent(void **s)
{
	struct resolver_setup setup;

	zone = host;
	configure(&setup);
	sys.dns_servers.n = 2;
	assert_int_equal(resolver_change(resolver, &setup), 0);
	servers[0].manner = SILENT;
	assert_string_equal(targets(ask("h.example.net", 5060, TRANSPORT_UDP)),
			    "UDP 192.0.2.1:5060");
	assert_true(servers[0].total > 0);
	(void)s;
}

static void an_answer_too_long_for_a_datagram_comes_by_tcp(void **s)
{
	zone = host;
	servers[0].manner = BY_TCP;
	assert_string_equal(targets(ask("h.example.net", 5060, TRANSPORT_UDP)),
			    "UDP 192.0.2.1:5060");
	assert_int_equal(servers[0].streams, 1);
	(void)s;
}

static void no_caller_waits_longer_than_dns_timeout(void **s)
{
	uint64_t before = clock_ms();

	zone = host;
	servers[0].manner = SILENT;
	/* NAPTR, SRV and A are silent, each for as long as it takes */
	assert_int_equal(ask("h.example.net", 0, TRANSPORT_NONE)->err,
			 ETIMEDOUT);
	assert_in_range(clock_ms() - before, 500, 1000 + 2 * TICK);
	(void)s;
}

static void silent_servers_leave_the_last_good_answer_in_use(void **s)
{
	struct asker a = { 0 };

	zone = trunk;
	ask("t.example.net", 0, TRANSPORT_NONE);
	servers[0].manner = SILENT;
	fake_clock_advance(3600000);
	assert_string_equal(targets(ask("t.example.net", 0, TRANSPORT_NONE)),
			    "TCP 192.0.2.1:5061, TCP 192.0.2.2:5062, "
			    "TCP 192.0.2.3:5062");
	/* once it is known nobody waits */
	assert_int_equal(start(&a, "t.example.net", 0, TRANSPORT_NONE), 0);
	assert_int_equal(a.found.n, 3);

	/* and when they are back the new answer comes */
	servers[0].manner = ANSWERS;
	forget_questions();
	fake_clock_advance(120000);
	ask("t.example.net", 0, TRANSPORT_NONE);
	assert_true(servers[0].total > 0);
	(void)s;
}

static void a_server_failure_is_silence(void **s)
{
	zone = host;
	ask("h.example.net", 5060, TRANSPORT_UDP);
	servers[0].manner = SERVFAIL;
	fake_clock_advance(60001);
	assert_string_equal(targets(ask("h.example.net", 5060, TRANSPORT_UDP)),
			    "UDP 192.0.2.1:5060");
	assert_int_equal(ask("long.example.net", 5060, TRANSPORT_UDP)->err,
			 ETIMEDOUT);
	(void)s;
}

static void a_closed_port_is_silence_at_once(void **s)
{
	uint64_t before = clock_ms();

	server_close(&servers[0]);
	assert_int_equal(ask("h.example.net", 5060, TRANSPORT_UDP)->err,
			 ETIMEDOUT);
	assert_true(clock_ms() - before <= 1000 + 2 * TICK);
	(void)s;
}

static void a_damaged_answer_does_no_harm(void **s)
{
	zone = trunk;
	servers[0].manner = CUT;
	assert_int_equal(ask("a.example.net", 5060, TRANSPORT_UDP)->err,
			 ENOENT);
	/* of two records the first is whole */
	assert_string_equal(targets(ask("b.example.net", 5060, TRANSPORT_UDP)),
			    "UDP 192.0.2.2:5060");
	servers[0].manner = GARBAGE;
	assert_int_equal(ask("h.example.net", 5060, TRANSPORT_UDP)->err,
			 ENOENT);
	assert_int_equal(ask("t.example.net", 0, TRANSPORT_NONE)->err, ENOENT);
	(void)s;
}

static unsigned down;

static void count_down(const struct alarm_report *a, void *arg)
{
	down += !strcmp(a->name, "dns-server-down");
	(void)arg;
}

static unsigned alarms_up(void)
{
	down = 0;
	alarms_walk(false, count_down, NULL);
	return down;
}

static void three_silent_questions_raise_an_alarm_until_one_answers(void **s)
{
	zone = host;
	servers[0].manner = SERVFAIL;
	ask("a.example.net", 5060, TRANSPORT_UDP);
	ask("b.example.net", 5060, TRANSPORT_UDP);
	assert_int_equal(alarms_up(), 0);
	ask("c.example.net", 5060, TRANSPORT_UDP);
	assert_int_equal(alarms_up(), 1);
	servers[0].manner = ANSWERS;
	ask("d.example.net", 5060, TRANSPORT_UDP);
	assert_int_equal(alarms_up(), 0);
	(void)s;
}

/* --- Targets that failed ------------------------------------------------- */

static void a_failed_target_comes_last_until_it_works(void **s)
{
	static const struct rr rrs[] = {
		{ "two.example.net", A, 99999, "192.0.2.1" },
		{ "two.example.net", A, 99999, "192.0.2.2" },
		{ NULL },
	};
	const char *usual = "UDP 192.0.2.1:5060, UDP 192.0.2.2:5060";
	const char *turned = "UDP 192.0.2.2:5060, UDP 192.0.2.1:5060";
	struct sa first;

	zone = rrs;
	sa_set_str(&first, "192.0.2.1", 5060);
	assert_string_equal(
		targets(ask("two.example.net", 5060, TRANSPORT_UDP)), usual);
	target_failed(resolver, &first, TRANSPORT_UDP, 0);
	assert_string_equal(
		targets(ask("two.example.net", 5060, TRANSPORT_UDP)), turned);
	/* another transport or port is another target */
	assert_string_equal(
		targets(ask("two.example.net", 5061, TRANSPORT_UDP)),
		"UDP 192.0.2.1:5061, UDP 192.0.2.2:5061");
	assert_false(target_is_avoided(resolver, &first, TRANSPORT_TCP));
	fake_clock_advance(30000);
	assert_string_equal(
		targets(ask("two.example.net", 5060, TRANSPORT_UDP)), usual);
	target_failed(resolver, &first, TRANSPORT_UDP, 0);
	target_worked(resolver, &first, TRANSPORT_UDP);
	assert_string_equal(
		targets(ask("two.example.net", 5060, TRANSPORT_UDP)), usual);
	(void)s;
}

static uint64_t avoided_for(const struct sa *sa)
{
	uint64_t from = clock_ms();

	while (target_is_avoided(resolver, sa, TRANSPORT_UDP))
		fake_clock_advance(1000);
	return (clock_ms() - from) / 1000;
}

static void the_time_doubles_up_to_5_min_and_ends_in_the_end(void **s)
{
	static const unsigned times[] = { 30, 60, 120, 240, 300, 300 };
	struct sa sa;

	sa_set_str(&sa, "192.0.2.1", 5060);
	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
		target_failed(resolver, &sa, TRANSPORT_UDP, 0);
		/* others that were under way fail with it */
		target_failed(resolver, &sa, TRANSPORT_UDP, 0);
		target_failed(resolver, &sa, TRANSPORT_UDP, 0);
		assert_int_equal(avoided_for(&sa), times[i]);
	}
	fake_clock_advance(300000);
	target_failed(resolver, &sa, TRANSPORT_UDP, 0);
	assert_int_equal(avoided_for(&sa), 30);
	/* Retry-After */
	target_worked(resolver, &sa, TRANSPORT_UDP);
	target_failed(resolver, &sa, TRANSPORT_UDP, 7);
	assert_int_equal(avoided_for(&sa), 7);
	(void)s;
}

static void more_failed_targets_than_there_is_room_forget_the_oldest(void **s)
{
	struct sa sa;

	for (uint32_t i = 0; i < 10001; i++) {
		sa_set_in(&sa, 0x0a000000 + i, 5060);
		target_failed(resolver, &sa, TRANSPORT_UDP, 0);
	}
	assert_true(target_is_avoided(resolver, &sa, TRANSPORT_UDP));
	sa_set_in(&sa, 0x0a000000, 5060);
	assert_false(target_is_avoided(resolver, &sa, TRANSPORT_UDP));
	sa_set_in(&sa, 0x0a000001, 5060);
	assert_true(target_is_avoided(resolver, &sa, TRANSPORT_UDP));
	(void)s;
}

static int group_open(void **s)
{
	(void)s;
	log_level_set(LOG_COMPONENTS, LEVEL_ZERO);
	return libre_init() || wheel_open();
}

static int group_close(void **s)
{
	wheel_close();
	libre_close();
	(void)s;
	return 0;
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, world_open, world_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
		TEST(a_failed_allocation_fails_questions_for_a_while_at_most),
#endif
		TEST(an_address_needs_no_dns),
		TEST(a_target_without_a_fitting_sip_port_is_none),
		TEST(a_port_leaves_naptr_and_srv_out),
		TEST(what_is_no_name_does_not_exist),
		TEST(a_name_without_a_dot_gets_the_domain),
		TEST(an_address_of_zeros_is_no_target),
		TEST(naptr_srv_and_addresses_follow_each_other),
		TEST(naptr_prefers_tls_where_there_is_a_port_for_it),
		TEST(a_known_transport_needs_no_naptr),
		TEST(without_naptr_srv_tells_the_transport),
		TEST(without_srv_the_name_itself_is_asked),
		TEST(a_service_declined_is_not_looked_for_elsewhere),
		TEST(an_alias_is_followed_and_its_ttl_counts),
		TEST(srv_goes_by_priority_and_then_by_weight),
		TEST(an_answer_holds_for_its_ttl),
		TEST(dns_max_ttl_bounds_it),
		TEST(an_answer_with_ttl_0_serves_who_asked_and_nobody_else),
		TEST(what_does_not_exist_is_remembered_for_30_s),
		TEST(what_vanished_is_not_used_on),
		TEST(many_callers_share_one_question),
		TEST(more_names_than_the_cache_holds_drop_the_oldest),
		TEST(a_cancelled_question_is_not_answered),
		TEST(one_handler_cancels_the_other),
		TEST(a_handler_may_close_the_resolver),
		TEST(closing_drops_what_is_under_way),
		TEST(a_change_keeps_cache_and_questions_under_way),
		TEST(a_realm_has_servers_of_its_own),
		TEST(the_second_server_answers_when_the_first_is_silent),
		TEST(an_answer_too_long_for_a_datagram_comes_by_tcp),
		TEST(no_caller_waits_longer_than_dns_timeout),
		TEST(the_cache_shows_itself),
		TEST(who_only_looks_asks_nothing),
		TEST(silent_servers_leave_the_last_good_answer_in_use),
		TEST(a_server_failure_is_silence),
		TEST(a_closed_port_is_silence_at_once),
		TEST(a_damaged_answer_does_no_harm),
		TEST(three_silent_questions_raise_an_alarm_until_one_answers),
		TEST(a_failed_target_comes_last_until_it_works),
		TEST(the_time_doubles_up_to_5_min_and_ends_in_the_end),
		TEST(more_failed_targets_than_there_is_room_forget_the_oldest),
	};

	return cmocka_run_group_tests(tests, group_open, group_close);
}
