/*
 * The whole core on one thread, in virtual time, with peers that say what a
 * test tells them to
 */
#include <stdio.h>
#include "sbc/challengers.h"
#include "sbc/clock.h"
#include "sbc/doors.h"
#include "sbc/ingress.h"
#include "sbc/nonces.h"
#include "sbc/pair.h"
#include "sbc/shun.h"
#include "sbc/surrogates.h"
#include "sbc/timer.h"
#include "sbc/transaction.h"
#include "sbc/transfer.h"
#include "store/credentials.h"
#include "tests/unit/core_fixture.h"
#include "tests/unit/fake_clock.h"
#include "tests/unit/fake_credentials.h"
#include "tests/unit/fake_forward.h"
#include "tests/unit/fake_port.h"
#include "tests/unit/fake_registrations.h"
#include "tests/unit/fake_resolver.h"

struct core core;
struct peer pbx, trunk, pbx_b, third;
static struct peer *const peers[] = { &pbx, &trunk, &pbx_b, &third };

static void pool_add(const char *ip, const char *realm)
{
	config_add(core.cfg, &element_steering_pool, "ip-address", ip,
		   "start-port", "31000", "end-port", "31199", "realm-id",
		   realm, NULL);
}

static void policy_add(const char *from, const char *to, const char *hop)
{
	struct local_policy *p =
		config_add(core.cfg, &element_local_policy, "from-address", "*",
			   "to-address", "*", "source-realm", from, NULL);

	item_add(&p->policy_attributes, &element_policy_attribute, "next-hop",
		 hop, "realm", to, "auth-user-lookup", "tenA", NULL);
}

static void build(void)
{
	core.cfg = config_new();
	core.pbx = realm_add(core.cfg, "pbx-a", "127.0.0.2");
	core.pbx_b = realm_add(core.cfg, "pbx-b", "127.0.0.3");
	core.trunk = realm_add(core.cfg, "trunk", "127.0.0.1");
	core.agent_pbx = config_add(core.cfg, &element_session_agent,
				    "hostname", "pbx-a.example", "ip-address",
				    "127.0.0.12", "realm-id", "pbx-a", NULL);
	core.agent_pbx_b = config_add(core.cfg, &element_session_agent,
				      "hostname", "pbx-b.example", "ip-address",
				      "127.0.0.13", "realm-id", "pbx-b", NULL);
	core.agent_trunk = config_add(core.cfg, &element_session_agent,
				      "hostname", "trunk.example", "ip-address",
				      "127.0.0.11", "realm-id", "trunk", NULL);
	core.sip = (struct sip_config *)config_single(core.cfg,
						      &element_sip_config);
	pool_add("127.0.0.1", "trunk");
	pool_add("127.0.0.2", "pbx-a");
	pool_add("127.0.0.3", "pbx-b");
	policy_add("pbx-a", "trunk", "trunk.example");
	policy_add("pbx-b", "trunk", "trunk.example");
	policy_add("trunk", "pbx-a", "pbx-a.example");
}

static void sip_ports_open(void)
{
	static const struct doors_handlers handlers = {
		.arrival = ingress_arrival,
	};
	struct worker *w = &core.worker;
	struct doors_shared shared[64] = { 0 };
	char why[DOORS_WHY];

	assert_int_equal(doors_open(&w->doors, w, &handlers), 0);
	assert_int_equal(doors_prepare(w->doors, core.plan, shared, why), 0);
	doors_commit(w->doors);
}

static struct port *port_at(const char *ip)
{
	for (uint32_t i = 0; i < core.worker.ports_n; i++) {
		struct sa sa = sa_of(ip);

		if (sa_cmp(port_local(core.worker.ports[i]), &sa, SA_ADDR))
			return core.worker.ports[i];
	}
	return NULL;
}

void core_start(void)
{
	static const struct transactions_setup times = { .t1 = 500,
							 .t2 = 4000,
							 .expire = 32000 };
	struct worker *w = &core.worker;

	assert_int_equal(plan_alloc(&core.plan, core.cfg), 0);
	w->plan = core.plan;
	sip_ports_open();
	assert_int_equal(agents_open(&w->agents), 0);
	assert_int_equal(agents_change(w->agents, core.cfg), 0);
	assert_int_equal(capacities_alloc(&w->capacities), 0);
	assert_int_equal(capacities_change(w->capacities, core.cfg), 0);
	assert_int_equal(shun_alloc(&w->shun), 0);
	assert_int_equal(challengers_alloc(&w->challengers), 0);
	assert_int_equal(ports_open(&w->media_ports), 0);
	assert_int_equal(ports_change(w->media_ports, core.cfg), 0);
	assert_int_equal(transactions_open(&w->transactions, &times), 0);
	assert_int_equal(nonces_open(&w->nonces, 1000), 0);
	assert_int_equal(calls_open(&w->calls, w), 0);
	calls_home(w->calls)->transfer = &transfer_user;
	assert_int_equal(pairs_open(&w->pairs, w), 0);
	assert_int_equal(surrogates_open(&w->surrogates, w), 0);
	assert_int_equal(surrogates_change(w->surrogates, core.plan, NULL), 0);
	pbx.port = port_at("127.0.0.2");
	trunk.port = third.port = port_at("127.0.0.1");
	pbx_b.port = port_at("127.0.0.3");
}

/* Nothing is shared, so that whoever kept a pointer into it reads what is freed */
struct config *core_twin(const struct config *cfg)
{
	struct config *twin = config_new();

	for (size_t e = 0; elements[e]; e++) {
		for (size_t i = 0; i < config_count(cfg, elements[e]); i++) {
			void *copy;

			assert_int_equal(
				item_copy(&copy, elements[e],
					  config_at(cfg, elements[e], i)),
				0);
			assert_int_equal(
				config_append(twin, elements[e], copy, 0, 0),
				0);
		}
	}
	return twin;
}

void core_change(void)
{
	const struct plan *before = core.plan;
	struct worker *w = &core.worker;
	struct doors_shared shared[64] = { 0 };
	char why[DOORS_WHY];

	config_give(core.cfg);
	core.cfg = core_twin(before->config);
	assert_int_equal(plan_alloc(&core.plan, core.cfg), 0);
	assert_int_equal(doors_prepare(w->doors, core.plan, shared, why), 0);
	w->plan = core.plan;
	assert_int_equal(agents_prepare(w->agents, core.cfg), 0);
	assert_int_equal(capacities_change(w->capacities, core.cfg), 0);
	doors_commit(w->doors);
	assert_int_equal(ports_change(w->media_ports, core.cfg), 0);
	assert_int_equal(surrogates_change(w->surrogates, core.plan, before),
			 0);
	assert_int_equal(agents_change(w->agents, core.cfg), 0);
	plan_give(before);
}

static void peer_init(struct peer *p, const char *ip)
{
	memset(p, 0, sizeof(*p));
	p->ip = ip;
	p->forwards = 70;
	snprintf(p->contact, sizeof(p->contact), "sip:x@%s:5060", ip);
}

static void peer_clear(struct peer *p)
{
	for (size_t i = 0; i < p->n; i++)
		mem_deref(p->in[i]);
}

int core_setup(void **state)
{
	(void)state;
	memset(&core, 0, sizeof(core));
	assert_int_equal(wheel_open(), 0);
	fake_resolver_reset();
	fake_credentials_reset();
	fake_registrations_reset();
	fake_port_reset();
	fake_forward_reset();
	peer_init(&pbx, "127.0.0.12");
	peer_init(&trunk, "127.0.0.11");
	peer_init(&pbx_b, "127.0.0.13");
	peer_init(&third, "127.0.0.14");
	build();

	return 0;
}

int core_teardown(void **state)
{
	struct worker *w = &core.worker;
	(void)state;

	fake_forward_settle();
	calls_close(w->calls);
	pairs_close(w->pairs);
	surrogates_close(w->surrogates);
	transactions_close(w->transactions);
	nonces_close(w->nonces);
	doors_close(w->doors);
	ports_close(w->media_ports);
	agents_close(w->agents);
	mem_deref(w->capacities);
	mem_deref(w->shun);
	mem_deref(w->challengers);
	plan_give(core.plan);
	config_give(core.cfg);
	for (size_t i = 0; i < sizeof(peers) / sizeof(*peers); i++)
		peer_clear(peers[i]);
	fake_port_reset();
	fake_registrations_reset();
	fake_resolver_reset();
	fake_forward_reset();
	assert_true(fake_credentials_wiped());
	assert_int_equal(wheel_count(), 0);
	wheel_close();

	return 0;
}

/* --- messages ------------------------------------------------------------ */

static struct message *scan(const struct mbuf *from)
{
	struct mbuf *copy = mbuf_alloc(from->end);
	struct scan_result result;
	struct message *msg = NULL;

	mbuf_write_mem(copy, from->buf, from->end);
	copy->pos = 0;
	assert_int_equal(message_scan(&msg, copy, &result), 0);
	mem_deref(copy);

	return msg;
}

void core_deliver(void)
{
	for (; core.read < fake_sent_count(); core.read++) {
		const struct fake_sent *sent = fake_sent(core.read);

		for (size_t i = 0; i < sizeof(peers) / sizeof(*peers); i++) {
			struct sa sa = sa_of(peers[i]->ip);

			if (!sa_cmp(&sent->to.dst, &sa, SA_ADDR))
				continue;
			assert_true(peers[i]->n < 256);
			peers[i]->in[peers[i]->n++] = scan(sent->mb);
		}
	}
}

void core_run(uint64_t ms)
{
	uint64_t end = clock_ms() + ms, next;

	while ((next = wheel_next()) <= end) {
		if (next > clock_ms())
			fake_clock_advance(next - clock_ms());
		wheel_turn();
	}
	fake_clock_advance(end - clock_ms());
	wheel_turn();
	fake_forward_settle();
	core_deliver();
}

static void give(struct peer *p, const char *text)
{
	fake_port_give(p->port, p->ip, 5060, 0, text);
	core_deliver();
}

static const char *content_type(const char *body)
{
	if (!body)
		return "";
	return strncmp(body, "v=0", 3) ? "Content-Type: text/plain\r\n"
				       : "Content-Type: application/sdp\r\n";
}

static void request(struct peer *p, const char *method, const char *uri,
		    uint32_t branch, const char *headers, const char *body)
{
	char *text = NULL;

	assert_int_equal(
		re_sdprintf(&text,
			    "%s %s SIP/2.0\r\n"
			    "Via: SIP/2.0/UDP %s:5060;branch=z9hG4bK%s%u\r\n"
			    "Max-Forwards: %u\r\nFrom: %s\r\nTo: %s\r\n"
			    "Call-ID: %s\r\nCSeq: %u %s\r\n"
			    "Contact: <%s>\r\n%s%s"
			    "Content-Length: %zu\r\n\r\n%s",
			    method, uri, p->ip, p->ip, branch, p->forwards,
			    p->local, p->remote, p->callid, p->cseq, method,
			    p->contact, headers ? headers : "",
			    content_type(body), body ? strlen(body) : (size_t)0,
			    body ? body : ""),
		0);
	give(p, text);
	mem_deref(text);
}

void peer_says_same(struct peer *p, const char *method, const char *headers,
		    const char *body)
{
	request(p, method, p->target, ++p->branch, headers, body);
}

void peer_says(struct peer *p, const char *method, const char *headers,
	       const char *body)
{
	p->cseq++;
	peer_says_same(p, method, headers, body);
}

void peer_calls(struct peer *p, const char *uri, const char *headers,
		const char *body)
{
	p->cseq++;
	p->branch++;
	snprintf(p->callid, sizeof(p->callid), "c%u@%s", p->branch, p->ip);
	snprintf(p->local, sizeof(p->local), "<sip:x@%s>;tag=l%u", p->ip,
		 p->branch);
	snprintf(p->remote, sizeof(p->remote), "<%s>", uri);
	snprintf(p->target, sizeof(p->target), "%s", uri);
	request(p, "INVITE", uri, p->branch, headers, body);
}

void peer_cancels(struct peer *p)
{
	request(p, "CANCEL", p->target, p->branch, NULL, NULL);
}

void peer_acks(struct peer *p, const char *body)
{
	request(p, "ACK", p->target, ++p->branch, NULL, body);
}

static void copy_text(char *buf, size_t size, struct pl pl)
{
	assert_true(pl.l < size);
	if (pl.l)
		memcpy(buf, pl.p, pl.l);
	buf[pl.l] = '\0';
}

static void contact_of(char *buf, size_t size, const struct message *msg)
{
	struct pl value = message_value(msg, HDR_CONTACT);
	struct address addr;

	if (value.l && !address_read(&addr, &value))
		copy_text(buf, size, addr.spec);
}

static const char *tag_of(const struct peer *p)
{
	return p->tag ? p->tag : "u";
}

/* Who answers an INVITE outside a dialog has one from then on */
static void dialog_begins(struct peer *p, const struct message *invite)
{
	char to[200];

	copy_text(p->callid, sizeof(p->callid), invite->callid);
	copy_text(p->remote, sizeof(p->remote),
		  message_value(invite, HDR_FROM));
	copy_text(to, sizeof(to), message_value(invite, HDR_TO));
	snprintf(p->local, sizeof(p->local), "%s%s%s", to,
		 invite->to_tag.l ? "" : ";tag=",
		 invite->to_tag.l ? "" : tag_of(p));
	contact_of(p->target, sizeof(p->target), invite);
}

void peer_answers(struct peer *p, const struct message *msg, uint16_t code,
		  const char *headers, const char *body)
{
	struct pl via = message_value(msg, HDR_VIA),
		  from = message_value(msg, HDR_FROM),
		  to = message_value(msg, HDR_TO);
	char *text = NULL;

	if (msg->method_id == INVITE && code < 300)
		dialog_begins(p, msg);
	assert_int_equal(
		re_sdprintf(&text,
			    "SIP/2.0 %u X\r\nVia: %r\r\nFrom: %r\r\n"
			    "To: %r%s%s\r\nCall-ID: %r\r\nCSeq: %u %r\r\n"
			    "Contact: <%s>\r\n%s%s"
			    "Content-Length: %zu\r\n\r\n%s",
			    code, &via, &from, &to,
			    msg->to_tag.l ? "" : ";tag=",
			    msg->to_tag.l ? "" : tag_of(p), &msg->callid,
			    msg->cseq, &msg->method, p->contact,
			    headers ? headers : "", content_type(body),
			    body ? strlen(body) : (size_t)0, body ? body : ""),
		0);
	give(p, text);
	mem_deref(text);
}

/* --- what was heard ------------------------------------------------------ */

struct message *peer_next(struct peer *p)
{
	return p->taken < p->n ? p->in[p->taken++] : NULL;
}

static bool is_request(const struct message *m, const char *method)
{
	return !m->code && !pl_strcmp(&m->method, method);
}

static void list_heard(const struct peer *p)
{
	for (size_t i = 0; i < p->n; i++)
		print_message("%s%s heard %.*s%u cseq %u\n",
			      i < p->taken ? "  " : "* ", p->ip,
			      (int)p->in[i]->method.l, p->in[i]->method.p,
			      p->in[i]->code, p->in[i]->cseq);
}

struct message *peer_request(struct peer *p, const char *method)
{
	struct message *m;

	while ((m = peer_next(p)))
		if (is_request(m, method))
			return m;
	list_heard(p);
	fail_msg("%s never heard %s", p->ip, method);
	return NULL;
}

struct message *peer_answer(struct peer *p, uint16_t code)
{
	struct message *m;

	while ((m = peer_next(p)))
		if (m->code == code)
			break;
	if (!m) {
		list_heard(p);
		fail_msg("%s never heard %u", p->ip, code);
		return NULL;
	}
	if (m->code >= 200 && m->code < 300 && m->to_tag.l) {
		copy_text(p->remote, sizeof(p->remote),
			  message_value(m, HDR_TO));
		contact_of(p->target, sizeof(p->target), m);
	}
	return m;
}

bool peer_hears_no(struct peer *p, const char *method)
{
	for (size_t i = p->taken; i < p->n; i++)
		if (is_request(p->in[i], method))
			return false;
	return true;
}

bool peer_hears_no_answer(struct peer *p, uint16_t code)
{
	for (size_t i = p->taken; i < p->n; i++)
		if (p->in[i]->code == code)
			return false;
	return true;
}

bool peer_hears_nothing(const struct peer *p)
{
	if (p->taken < p->n)
		list_heard(p);
	return p->taken == p->n;
}

void peer_forgets(struct peer *p)
{
	p->taken = p->n;
}

/* --- a call -------------------------------------------------------------- */

void core_call_with(const char *asks, const char *answers)
{
	struct message *invite;

	peer_calls(&pbx, "sip:0301234@127.0.0.2", asks, SDP_PBX);
	invite = peer_request(&trunk, "INVITE");
	peer_answers(&trunk, invite, 200, answers, SDP_TRUNK);
	peer_answer(&pbx, 200);
	peer_acks(&pbx, NULL);
	peer_request(&trunk, "ACK");
	peer_forgets(&pbx);
	peer_forgets(&trunk);
	trunk.cseq = 100;
}

void core_call(void)
{
	core_call_with(NULL, NULL);
}

void core_call_to_a_name(void)
{
	struct message *invite;

	fake_name("sw.example", "127.0.0.11:5060", NULL);
	peer_calls(&pbx, "sip:0301234@127.0.0.2", NULL, SDP_PBX);
	invite = peer_request(&trunk, "INVITE");
	snprintf(trunk.contact, sizeof(trunk.contact), "sip:x@sw.example");
	fake_resolver_fail(EINPROGRESS);
	peer_answers(&trunk, invite, 200, NULL, SDP_TRUNK);
	peer_answer(&pbx, 200);
	peer_acks(&pbx, NULL);
}

size_t core_calls(void)
{
	return calls_count(core.worker.calls);
}

struct call *core_the_call(void)
{
	struct call_home *home = calls_home(core.worker.calls);

	assert_int_equal(core_calls(), 1);
	return home->calls.head->data;
}

bool header_has(const struct message *msg, enum header_id id, const char *text)
{
	for (const struct header *h = message_first(msg, id); h;
	     h = message_next(msg, h)) {
		struct pl value = header_value(msg, h);

		if (memmem(value.p, value.l, text, strlen(text)))
			return true;
	}
	return false;
}

bool body_has(const struct message *msg, const char *text)
{
	return memmem(msg->body.p, msg->body.l, text, strlen(text)) != NULL;
}
