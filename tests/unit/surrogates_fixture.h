/*
 * Registrations in virtual time: a registrar that answers as a test says, over
 * the real transactions and a port without sockets
 *
 *	agent_add("a", "493010^", "10");
 *	f.registrar = challenges_once;
 *	start();
 *	run(5 * SECOND);
 */
#pragma once

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include "tests/unit/config_fixture.h"
#include "tests/unit/fake_clock.h"
#include "tests/unit/fake_credentials.h"
#include "tests/unit/fake_port.h"
#include "tests/unit/fake_registrations.h"
#include "tests/unit/fake_resolver.h"
#include <re_main.h>
#include "sbc/alarm.h"
#include "sbc/challengers.h"
#include "sbc/clock.h"
#include "sbc/nonces.h"
#include "sbc/shun.h"
#include "sbc/surrogates.h"
#include "sbc/turn.h"
#include "sbc/worker.h"

#define SECOND 1000ull

/* One REGISTER that came, and what is said to it */
struct seen {
	uint64_t at;
	uint32_t cseq;
	char from[64], callid[64], contact[128], expires[16], to[64];
	char target[32], auth[400], ruri[64], route[128], tag[32];
};

/* Says status line and headers, or NULL: silence */
typedef const char *(registrar_h)(const struct seen *r);

static struct fixture {
	struct config *cfg;
	const struct plan *plan;
	struct worker worker;
	struct surrogates *s;
	struct surrogate_agent *a;
	struct session_agent *trunk;
	struct sip_config *sip;
	registrar_h *registrar;
	struct seen *seen;
	size_t seen_n, seen_size;
	size_t served;
	struct port *ports[8];
	bool skips_pings; /* CRLFs that open a connection, counted */
	size_t pings;
} f;

/* The registrar ------------------------------------------------------------ */

static inline void copy_pl(char *buf, size_t size, struct pl pl)
{
	if (pl.l >= size)
		pl.l = size - 1;
	if (pl.l)
		memcpy(buf, pl.p, pl.l);
	buf[pl.l] = '\0';
}

#define COPY(dst, pl) copy_pl(dst, sizeof(dst), pl)

static inline void answer_text(const struct message *req,
			       const struct fake_sent *sent, const char *text)
{
	const char *headers = strstr(text, "\r\n");
	struct pl via = message_value(req, HDR_VIA),
		  from = message_value(req, HDR_FROM),
		  to = message_value(req, HDR_TO);
	struct mbuf *mb = mbuf_alloc(2048);
	struct scan_result result;
	struct message *msg;
	struct arrival arrival = { .port = (struct port *)sent->port,
				   .src = sent->to.dst };
	struct pl status = { text, headers ? (size_t)(headers - text)
					   : strlen(text) };

	(void)mbuf_printf(mb,
			  "SIP/2.0 %r\r\nVia: %r\r\nFrom: %r\r\n"
			  "To: %r;tag=t\r\nCall-ID: %r\r\n"
			  "CSeq: %u REGISTER\r\n%sContent-Length: 0\r\n\r\n",
			  &status, &via, &from, &to, &req->callid, req->cseq,
			  headers ? headers + 2 : "");
	mb->pos = 0;
	assert_int_equal(message_scan(&msg, mb, &result), 0);
	assert_int_equal(
		transactions_take(f.worker.transactions, &arrival, msg),
		MATCHED);
	mem_deref(msg);
	mem_deref(mb);
}

static inline void serve_one(const struct fake_sent *sent)
{
	struct mbuf *copy = mbuf_alloc(sent->mb->end);
	struct seen *r;
	struct scan_result result;
	struct message *req;
	const char *text;

	mbuf_write_mem(copy, sent->mb->buf, sent->mb->end);
	copy->pos = sent->mb->pos;
	assert_int_equal(message_scan(&req, copy, &result), 0);
	assert_int_equal(req->method_id, REGISTER);

	if (f.seen_n == f.seen_size) {
		f.seen_size = f.seen_size ? 2 * f.seen_size : 64;
		f.seen = realloc(f.seen, f.seen_size * sizeof(*f.seen));
		assert_non_null(f.seen);
	}
	r = &f.seen[f.seen_n++];
	memset(r, 0, sizeof(*r));
	r->at = clock_ms();
	r->cseq = req->cseq;
	COPY(r->from, message_value(req, HDR_FROM));
	COPY(r->to, message_value(req, HDR_TO));
	COPY(r->callid, req->callid);
	COPY(r->tag, req->from_tag);
	COPY(r->contact, message_value(req, HDR_CONTACT));
	COPY(r->expires, message_value(req, HDR_EXPIRES));
	COPY(r->route, message_value(req, HDR_ROUTE));
	COPY(r->ruri, req->ruri);
	COPY(r->auth, message_value(req, HDR_AUTHORIZATION));
	re_snprintf(r->target, sizeof(r->target), "%J", &sent->to.dst);

	text = f.registrar ? f.registrar(r) : NULL;
	if (text)
		answer_text(req, sent, text);
	mem_deref(req);
	mem_deref(copy);
}

static inline void serve(void)
{
	while (f.served < fake_sent_count()) {
		size_t i = f.served++;

		if (f.skips_pings && fake_sent_begins(i, "\r\n"))
			f.pings++;
		else
			serve_one(fake_sent(i));
	}
}

static inline void run(uint64_t ms)
{
	uint64_t end = clock_ms() + ms, next;

	serve();
	while ((next = wheel_next()) <= end) {
		if (next > clock_ms())
			fake_clock_advance(next - clock_ms());
		wheel_turn();
		serve();
	}
	fake_clock_advance(end - clock_ms());
	wheel_turn();
	serve();
}

static char said[1024];

/* 200 with the Contact that came */
static inline const char *grant(const struct seen *r, uint32_t expires,
				const char *more)
{
	char uri[128];

	COPY(uri, pl_text(r->contact));
	if (strchr(uri, '>'))
		strchr(uri, '>')[1] = '\0';
	snprintf(said, sizeof(said), "200 OK\r\nContact: %s;expires=%u\r\n%s",
		 uri, expires, more);

	return said;
}

static inline const char *grants(const struct seen *r)
{
	return grant(r, 600, "");
}

static inline const char *challenges_once(const struct seen *r)
{
	if (!*r->auth)
		return "401 Unauthorized\r\nWWW-Authenticate: Digest "
		       "realm=\"trunk.example\", nonce=\"n1\", "
		       "qop=\"auth\"\r\n";

	return grants(r);
}

/* The fixture --------------------------------------------------------------- */

static inline void agent_add(const char *tenant, const char *user,
			     const char *count)
{
	char host[64], contact[64], next[64];

	snprintf(host, sizeof(host), "%s.trunk.example", tenant);
	snprintf(contact, sizeof(contact), "%s-%s", tenant, user);
	snprintf(next, sizeof(next), "pbx-%s", tenant);
	f.a = config_add(f.cfg, &element_surrogate_agent, "register-host", host,
			 "register-user", user, "aor-count", count,
			 "count-start", "0", "realm-id", next,
			 "customer-next-hop", "127.0.0.12", "proxy-name",
			 "trunk.example", "auth-user", "reg-a", "password",
			 "secret-reg-a", "register-expires", "600",
			 "register-retry-time", "30", "register-contact-user",
			 contact, NULL);
}

static inline void build(void)
{
	f.cfg = config_new();
	realm_add(f.cfg, "pbx-a", "127.0.0.2");
	realm_add(f.cfg, "pbx-b", "127.0.0.3");
	realm_add(f.cfg, "trunk", "127.0.0.1");
	f.trunk = config_add(f.cfg, &element_session_agent, "hostname",
			     "trunk.example", "realm-id", "trunk", NULL);
	f.sip = (struct sip_config *)config_single(f.cfg, &element_sip_config);
	f.sip->registration_rate = 100;
	fake_name("trunk.example", "127.0.0.11:5060", NULL);
}

static inline void sip_ports_open(void)
{
	f.worker.ports = f.ports;
	f.worker.ports_n = f.plan->realms->endpoints_n;
	for (uint32_t i = 0; i < f.worker.ports_n; i++) {
		const struct endpoint *e = &f.plan->realms->endpoints[i];
		char ip[48];

		re_snprintf(ip, sizeof(ip), "%j", &e->local);
		f.ports[i] = fake_port(ip, sa_port(&e->local), e->transport);
	}
}

/* before: the plan that the database remembers, or NULL */
static inline void start_after(const struct plan *before)
{
	static const struct transactions_setup times = { .t1 = 500,
							 .t2 = 4000,
							 .expire = 32000 };

	assert_int_equal(plan_alloc(&f.plan, f.cfg), 0);
	f.worker.plan = f.plan;
	sip_ports_open();
	assert_int_equal(transactions_open(&f.worker.transactions, &times), 0);
	assert_int_equal(nonces_open(&f.worker.nonces, 1000), 0);
	assert_int_equal(shun_alloc(&f.worker.shun), 0);
	assert_int_equal(challengers_alloc(&f.worker.challengers), 0);
	assert_int_equal(surrogates_open(&f.s, &f.worker), 0);
	assert_int_equal(surrogates_change(f.s, f.plan, before), 0);
}

static inline void start(void)
{
	start_after(NULL);
}

/* The process dies: what is in the database is left */
static inline void die(void)
{
	surrogates_close(f.s);
	f.s = NULL;
	transactions_close(f.worker.transactions);
	nonces_close(f.worker.nonces);
	mem_deref(f.worker.shun);
	mem_deref(f.worker.challengers);
	for (uint32_t i = 0; i < f.worker.ports_n; i++)
		port_close(f.ports[i]);
	plan_give(f.plan);
	f.plan = NULL;
	f.served = fake_sent_count();
	memset(&f.worker, 0, sizeof(f.worker));
}

/* Another configuration: what is not touched shares its objects */
static inline void change_to(const struct element *type, void *item,
			     const void *key_of)
{
	struct change change = { type, item, key_of };
	struct config *cfg;
	const struct plan *plan;

	assert_int_equal(config_change(&cfg, f.cfg, &change, 1), 0);
	assert_int_equal(plan_alloc(&plan, cfg), 0);
	f.worker.plan = plan;
	assert_int_equal(surrogates_change(f.s, plan, f.plan), 0);
	plan_give(f.plan);
	config_give(f.cfg);
	f.plan = plan;
	f.cfg = cfg;
	f.a = (void *)config_at(cfg, &element_surrogate_agent, 0);
}

static inline void change_agent(const char *name, const char *text)
{
	void *copy;

	assert_int_equal(item_copy(&copy, &element_surrogate_agent, f.a), 0);
	item_set(&element_surrogate_agent, copy, name, text);
	change_to(&element_surrogate_agent, copy, copy);
}

static inline int setup(void **state)
{
	(void)state;
	memset(&f, 0, sizeof(f));
	assert_int_equal(wheel_open(), 0);
	fake_resolver_reset();
	fake_credentials_reset();
	fake_registrations_reset();
	fake_port_reset();
	build();
	f.registrar = grants;

	return 0;
}

static inline void clear_alarm(const struct alarm_report *a, void *arg)
{
	(void)arg;
	(void)alarm_clear_id(a->id);
	alarm_clear(a->name, a->object); /* not only put aside */
}

static inline int teardown(void **state)
{
	(void)state;
	if (f.s)
		die();
	alarms_walk(false, clear_alarm, NULL);
	config_give(f.cfg);
	free(f.seen);
	fake_port_reset();
	fake_registrations_reset();
	fake_resolver_reset();
	assert_true(fake_credentials_wiped());
	assert_int_equal(wheel_count(), 0);
	wheel_close();

	return 0;
}

/* Questions ------------------------------------------------------------------ */

static inline void one_agent(void)
{
	agent_add("a", "493010^", "1");
	start();
}

static inline uint32_t in_state(enum surrogate_state s)
{
	uint32_t counts[SUR_STATES];

	surrogates_count(f.s, counts);

	return counts[s];
}

static inline void assert_state(enum surrogate_state s)
{
	uint32_t counts[SUR_STATES];

	surrogates_count(f.s, counts);
	for (int i = 0; i < SUR_STATES; i++)
		if (counts[i] && i != (int)s)
			fail_msg("%s, not %s", surrogate_machine.states[i],
				 surrogate_machine.states[s]);
	assert_true(counts[s] > 0);
}

static inline void take_report(const struct registration_report *r, void *arg)
{
	*(struct registration_report *)arg = *r;
}

static inline struct registration_report report(size_t row)
{
	struct registration_report r = { 0 };

	(void)surrogates_walk(f.s, row, 1, take_report, &r);

	return r;
}

static inline struct registration_view view(uint32_t number)
{
	const struct owner who = { f.a, number };
	struct registration_view v;

	assert_int_equal(surrogates_by_owner(f.s, &who, &v), 0);

	return v;
}

static inline const struct seen *last(void)
{
	assert_true(f.seen_n > 0);

	return &f.seen[f.seen_n - 1];
}

/* Run until one more REGISTER came; how long did that take? */
static inline uint64_t until_next(uint64_t limit)
{
	size_t n = f.seen_n;
	uint64_t begun = clock_ms();

	while (f.seen_n == n) {
		if (clock_ms() - begun > limit)
			return UINT64_MAX;
		run(100);
	}

	return f.seen[n].at - begun;
}

struct search {
	const char *name;
	unsigned n;
	enum alarm_level severity;
};

static inline void look(const struct alarm_report *a, void *arg)
{
	struct search *s = arg;

	if (strcmp(a->name, s->name) != 0)
		return;
	s->n++;
	s->severity = a->severity;
}

static inline unsigned alarms(const char *name)
{
	struct search s = { name, 0, 0 };

	alarms_walk(false, look, &s);

	return s.n;
}

/* Say something to the last REGISTER that was sent */
static inline void say(const char *text)
{
	const struct fake_sent *sent = fake_sent_last();
	struct mbuf *copy = mbuf_alloc(sent->mb->end);
	struct scan_result result;
	struct message *req;

	mbuf_write_mem(copy, sent->mb->buf, sent->mb->end);
	copy->pos = sent->mb->pos;
	assert_int_equal(message_scan(&req, copy, &result), 0);
	answer_text(req, sent, text);
	mem_deref(req);
	mem_deref(copy);
}
