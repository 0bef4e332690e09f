/*
 * Which of several workers a message goes to, and that it gets there whole
 */
#include "sbc/counters.h"
#include "sbc/crew.h"
#include "sbc/home.h"
#include "sbc/mailbox.h"
#include "sbc/names.h"
#include "tests/unit/core_fixture.h"
#include "tests/unit/fake_clock.h"
#include "tests/unit/fake_port.h"

enum {
	WORKERS = 5,
	CHILDREN = 8 /* realms with surrogate-agents below pbx-a */
};

static struct worker others[WORKERS];
static struct crew crew = { others, WORKERS };
static unsigned came;            /* messages that came to another worker */
static struct arrival came_from; /* ... the last one */
static struct mbuf *came_bytes;

/* Its sip-port there: of the sender's, as no other is open */
static void arrives(const struct arrival *from, struct mbuf *mb, void *arg)
{
	(void)arg;
	came++;
	came_from = *from;
	mem_deref(came_bytes);
	came_bytes = mem_ref(mb);
}

static int setup(void **state)
{
	core_setup(state);
	config_add(core.cfg, &element_surrogate_agent, "register-host",
		   "a.trunk.example", "register-user", "493010^", "realm-id",
		   "pbx-a", "customer-next-hop", "127.0.0.12", "proxy-name",
		   "127.0.0.11", "register-contact-user", "a-493010^",
		   "aor-count", "10", NULL);
	for (unsigned i = 0; i < CHILDREN; i++) {
		char name[16], user[16];

		re_snprintf(name, sizeof(name), "branch-%u", i);
		re_snprintf(user, sizeof(user), "49303%u", i);
		config_add(core.cfg, &element_realm_config, "identifier", name,
			   "parent-realm", "pbx-a", NULL);
		config_add(core.cfg, &element_surrogate_agent, "register-host",
			   "a.trunk.example", "register-user", user, "realm-id",
			   name, "customer-next-hop", "127.0.0.12",
			   "proxy-name", "127.0.0.11", "register-contact-user",
			   user, NULL);
	}
	core_start();
	memset(others, 0, sizeof(others));
	for (uint32_t i = 0; i < WORKERS; i++) {
		others[i].number = (uint8_t)i;
		others[i].crew = &crew;
		others[i].ports = core.worker.ports;
		others[i].ports_n = core.worker.ports_n;
		assert_int_equal(mailbox_open(&others[i].mailbox, &others[i]),
				 0);
	}
	core.worker.crew = &crew;
	came = 0;
	came_bytes = mem_deref(came_bytes);
	return 0;
}

static int teardown(void **state)
{
	for (uint32_t i = 0; i < WORKERS; i++)
		mailbox_close(others[i].mailbox);
	came_bytes = mem_deref(came_bytes);
	core.worker.crew = NULL;
	core.worker.number = 0;
	return core_teardown(state);
}

static uint32_t home_of_pbx(void)
{
	return crew_of_realm(&core.worker, core.plan,
			     realm_named(core.plan->realms, "pbx-a"));
}

/* The worker that it goes to; WORKERS: it stays */
static uint32_t goes(struct port *port, const char *ip, uint8_t handed,
		     const char *text)
{
	struct arrival from = { .port = port, .handed = handed };
	struct mbuf *mb = mbuf_alloc(strlen(text));
	struct message *msg = NULL;
	struct scan_result result;
	uint32_t to = WORKERS;

	assert_int_equal(mbuf_write_str(mb, text), 0);
	mb->pos = 0;
	assert_int_equal(sa_set_str(&from.src, ip, 5060), 0);
	assert_int_equal(message_scan(&msg, mb, &result), 0);
	if (home_send(&core.worker, &from, mb, msg)) {
		for (uint32_t i = 0; i < WORKERS; i++)
			if (others[i].parcels)
				to = i;
		assert_int_not_equal(to, WORKERS);
		assert_int_equal(others[to].parcels, 1);
		fake_port_on_arrival(arrives);
		mailbox_take(others[to].mailbox);
		fake_port_on_arrival(NULL);
		assert_int_equal(others[to].parcels, 0);
		assert_int_equal(came_from.handed, handed + 1);
		assert_true(sa_cmp(&came_from.src, &from.src, SA_ALL));
		assert_int_equal(mbuf_get_left(came_bytes), strlen(text));
		assert_memory_equal(mbuf_buf(came_bytes), text, strlen(text));
	}
	mem_deref(msg);
	mem_deref(mb);
	return to;
}

static const char *request(const char *method, const char *uri,
			   const char *to_tag, const char *callid)
{
	static char text[1024];

	re_snprintf(text, sizeof(text),
		    "%s %s SIP/2.0\r\n"
		    "Via: SIP/2.0/UDP 127.0.0.99:5060;branch=z9hG4bKx\r\n"
		    "From: <sip:4930100@pbx-a.local>;tag=f\r\n"
		    "To: <%s>%s%s\r\nCall-ID: %s\r\nCSeq: 1 %s\r\n"
		    "Max-Forwards: 70\r\nContent-Length: 0\r\n\r\n",
		    method, uri, uri, *to_tag ? ";tag=" : "", to_tag, callid,
		    method);
	return text;
}

static void an_answer_goes_to_the_worker_that_its_branch_names(void **s)
{
	char branch[BRANCH_SIZE], text[512];
	(void)s;

	for (uint8_t n = 0; n < WORKERS + 2; n++) {
		names_branch(branch, n);
		re_snprintf(text, sizeof(text),
			    "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP "
			    "127.0.0.1:5060;branch=%s\r\n"
			    "From: <sip:a@b>;tag=f\r\nTo: <sip:c@d>;tag=t\r\n"
			    "Call-ID: x\r\nCSeq: 1 INVITE\r\n"
			    "Content-Length: 0\r\n\r\n",
			    branch);
		/* what names nobody is a stranger's, and is judged here */
		assert_int_equal(goes(trunk.port, trunk.ip, 0, text),
				 n && n < WORKERS ? n : WORKERS);
	}
}

static void a_request_inside_a_dialog_goes_where_its_tag_says(void **s)
{
	char tag[TAG_SIZE];
	(void)s;

	for (uint8_t n = 1; n < WORKERS; n++) {
		names_tag(tag, n);
		assert_int_equal(
			goes(pbx.port, pbx.ip, 0,
			     request("BYE", "sip:x@127.0.0.2", tag, "c")),
			n);
		core.worker.number = n;
		assert_int_equal(
			goes(pbx.port, pbx.ip, 0,
			     request("BYE", "sip:x@127.0.0.2", tag, "c")),
			WORKERS);
		core.worker.number = 0;
	}
}

/* From the PBX, to its Contact, and to a number that is routed there */
static void all_that_is_a_tenants_goes_to_one_worker(void **s)
{
	static const struct {
		bool from_pbx;
		const char *method, *uri;
	} rows[] = {
		{ true, "INVITE", "sip:0301234@127.0.0.2" },
		{ true, "REGISTER", "sip:127.0.0.2" },
		{ true, "CANCEL", "sip:0301234@127.0.0.2" },
		{ false, "INVITE", "sip:a-4930105@127.0.0.1" },
		{ false, "CANCEL", "sip:a-4930105@127.0.0.1" },
		{ false, "INVITE", "sip:4930200@127.0.0.1" },
		{ false, "CANCEL", "sip:4930200@127.0.0.1" },
		{ false, "MESSAGE", "sip:4930200@127.0.0.1" },
	};
	uint32_t home = home_of_pbx();
	char callid[16];
	(void)s;

	assert_in_range(home, 0, WORKERS - 1);
	core.worker.number = home ? 0 : 1;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct peer *from = rows[i].from_pbx ? &pbx : &trunk;

		for (int k = 0; k < 4; k++) {
			re_snprintf(callid, sizeof(callid), "call-%d", k);
			assert_int_equal(goes(from->port, from->ip, 0,
					      request(rows[i].method,
						      rows[i].uri, "", callid)),
					 home);
		}
	}
	core.worker.number = (uint8_t)home;
	assert_int_equal(
		goes(pbx.port, pbx.ip, 0,
		     request("INVITE", "sip:0301234@127.0.0.2", "", "c")),
		WORKERS);
}

static void between_realms_of_no_tenant_the_call_id_decides(void **s)
{
	unsigned of[WORKERS + 1] = { 0 };
	char callid[32];
	(void)s;

	for (int i = 0; i < 200; i++) {
		uint32_t first;

		re_snprintf(callid, sizeof(callid), "call-%d", i);
		first = goes(
			pbx_b.port, pbx_b.ip, 0,
			request("INVITE", "sip:0301234@127.0.0.3", "", callid));
		assert_int_equal(goes(pbx_b.port, pbx_b.ip, 0,
				      request("CANCEL", "sip:0301234@127.0.0.3",
					      "", callid)),
				 first);
		of[first]++;
	}
	/* 0 stays; each has about 40 */
	assert_int_equal(of[0], 0);
	for (int i = 1; i <= WORKERS; i++)
		assert_in_range(of[i], 15, 80);
}

static void what_was_handed_over_stays(void **s)
{
	(void)s;

	core.worker.number = home_of_pbx() ? 0 : 1;
	assert_int_equal(
		goes(pbx.port, pbx.ip, 1,
		     request("INVITE", "sip:0301234@127.0.0.2", "", "c")),
		WORKERS);
}

/* Its request has come back: a loop can be told there alone, and a spiral goes on */
static void a_request_that_comes_back_sees_its_sender_first(void **s)
{
	char text[1024], tag[TAG_SIZE];
	uint32_t home = home_of_pbx();
	uint8_t sender = (uint8_t)((home + 1) % WORKERS);
	(void)s;

	names_tag(tag, sender);
	re_snprintf(text, sizeof(text),
		    "INVITE sip:4930200@127.0.0.1 SIP/2.0\r\n"
		    "Via: SIP/2.0/UDP 127.0.0.11:5060;branch=z9hG4bKx\r\n"
		    "From: <sip:4930100@pbx-a.local>;tag=%s\r\n"
		    "To: <sip:4930200@127.0.0.1>\r\nCall-ID: c\r\n"
		    "CSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n",
		    tag);
	core.worker.number = (uint8_t)((home + 2) % WORKERS);
	assert_int_equal(goes(trunk.port, trunk.ip, 0, text), sender);
	core.worker.number = sender;
	assert_int_equal(goes(trunk.port, trunk.ip, 1, text), home);
	core.worker.number = (uint8_t)home;
	assert_int_equal(goes(trunk.port, trunk.ip, 2, text), WORKERS);
}

static void a_worker_that_reads_nothing_has_a_full_queue(void **s)
{
	const char *text = request("INVITE", "sip:0301234@127.0.0.2", "", "c");
	uint32_t home = home_of_pbx();
	struct arrival from = { .port = pbx.port };
	struct mbuf *mb = mbuf_alloc(strlen(text));
	struct message *msg;
	struct scan_result result;
	(void)s;

	core.worker.number = home ? 0 : 1;
	assert_int_equal(mbuf_write_str(mb, text), 0);
	mb->pos = 0;
	assert_int_equal(sa_set_str(&from.src, pbx.ip, 5060), 0);
	assert_int_equal(message_scan(&msg, mb, &result), 0);
	for (int i = 0; i < 20000; i++)
		assert_true(home_send(&core.worker, &from, mb, msg));
	assert_int_equal(others[home].parcels, 16384);
	mem_deref(msg);
	mem_deref(mb);
}

static void each_agent_has_one_worker(void **s)
{
	const struct surrogate_agent *agent =
		config_at(core.plan->config, &element_surrogate_agent, 0);
	unsigned n = 0;
	(void)s;

	for (uint32_t i = 0; i < WORKERS; i++)
		n += crew_has(&others[i], core.plan, agent);
	assert_int_equal(n, 1);
	assert_true(crew_has(&others[home_of_pbx()], core.plan, agent));
	assert_int_equal(crew_of_realm(&others[0], core.plan,
				       realm_named(core.plan->realms, "trunk")),
			 CREW_ANY);
}

/* Who is not found in a realm is looked for in its parents */
static void a_realm_with_agents_goes_with_its_parents(void **s)
{
	char name[16];
	(void)s;

	for (unsigned i = 0; i < CHILDREN; i++) {
		re_snprintf(name, sizeof(name), "branch-%u", i);
		assert_int_equal(
			crew_of_realm(&core.worker, core.plan,
				      realm_named(core.plan->realms, name)),
			home_of_pbx());
	}
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(an_answer_goes_to_the_worker_that_its_branch_names),
		T(a_request_inside_a_dialog_goes_where_its_tag_says),
		T(all_that_is_a_tenants_goes_to_one_worker),
		T(between_realms_of_no_tenant_the_call_id_decides),
		T(what_was_handed_over_stays),
		T(a_request_that_comes_back_sees_its_sender_first),
		T(a_worker_that_reads_nothing_has_a_full_queue),
		T(each_agent_has_one_worker),
		T(a_realm_with_agents_goes_with_its_parents),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
