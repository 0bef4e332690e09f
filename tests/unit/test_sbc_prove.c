/*
 * Challenges answered, or not: behaviour.md 6.1, 6.3 and 6.4
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include "tests/unit/config_fixture.h"
#include "tests/unit/fake_clock.h"
#include "tests/unit/fake_credentials.h"
#include "sbc/alarm.h"
#include "sbc/challengers.h"
#include "sbc/clock.h"
#include "sbc/counters.h"
#include "sbc/prove.h"

#define MINUTE (60 * 1000ull)

static struct fixture {
	struct config *cfg;
	const struct plan *plan;
	struct worker worker;
	struct session_agent *egress, *ingress;
	struct surrogate_agent *agent;
	struct sip_config *sip;
	struct target target;
	struct proof_setup setup;
	struct tries tries;
	struct mbuf *out;
	struct proof_report report;
} f;

static int setup(void **state)
{
	memset(&f, 0, sizeof(f));
	(void)state;
	fake_credentials_reset();
	f.cfg = config_new();
	realm_add(f.cfg, "pbx-a", "127.0.0.2");
	realm_add(f.cfg, "trunk", "127.0.0.1");
	f.egress = config_add(f.cfg, &element_session_agent, "hostname",
			      "trunk.example", "realm-id", "trunk",
			      "ip-address", "127.0.0.11", NULL);
	f.ingress = config_add(f.cfg, &element_session_agent, "hostname",
			       "pbx-a.example", "realm-id", "pbx-a",
			       "ip-address", "127.0.0.12", NULL);
	f.agent = config_add(f.cfg, &element_surrogate_agent, "register-host",
			     "a.trunk.example", "register-user", "493010^",
			     "aor-count", "10", "count-start", "0", "realm-id",
			     "pbx-a", "customer-next-hop", "pbx-a.example",
			     "auth-user", "reg-a", "password", "secret-reg-a",
			     NULL);
	f.sip = (struct sip_config *)config_single(f.cfg, &element_sip_config);
	assert_int_equal(plan_alloc(&f.plan, f.cfg), 0);
	assert_int_equal(nonces_open(&f.worker.nonces, 100), 0);
	assert_int_equal(challengers_alloc(&f.worker.challengers), 0);
	f.worker.plan = f.plan;
	sa_set_str(&f.target.dst, "127.0.0.11", 5060);
	f.setup.worker = &f.worker;
	f.setup.target = &f.target;
	f.setup.method = pl_text("INVITE");
	f.setup.uri = pl_text("sip:0301234@a.trunk.example");
	f.setup.query.realm = "trunk";
	f.setup.query.lookup = "tenA";
	f.setup.query.egress_realm = "trunk";
	f.setup.query.egress = f.egress;
	f.setup.query.ingress = f.ingress;
	f.out = mbuf_alloc(1024);

	return 0;
}

static int teardown(void **state)
{
	(void)state;
	assert_true(fake_credentials_wiped());
	tries_reset(&f.tries);
	nonces_close(f.worker.nonces);
	mem_deref(f.worker.challengers);
	plan_give(f.plan);
	config_give(f.cfg);
	mem_deref(f.out);

	return 0;
}

static uint64_t total(enum counter c)
{
	struct counter_report r;

	counter_read(c, clock_ms(), &r);

	return r.total;
}

struct search {
	const char *name, *object;
	bool found;
};

static void look(const struct alarm_report *a, void *arg)
{
	struct search *s = arg;

	if (!strcmp(a->name, s->name) && !strcmp(a->object, s->object))
		s->found = true;
}

static bool is_up(const char *name, const char *object)
{
	struct search s = { name, object, false };

	alarms_walk(false, look, &s);

	return s.found;
}

static struct message *answer_of(const char *status, const char *headers)
{
	char text[4096];
	struct mbuf *mb = mbuf_alloc(4096);
	struct scan_result result;
	struct message *msg = NULL;

	snprintf(text, sizeof(text),
		 "SIP/2.0 %s\r\n"
		 "Via: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bKx\r\n"
		 "From: <sip:a@x>;tag=1\r\nTo: <sip:b@x>;tag=2\r\n"
		 "Call-ID: c\r\nCSeq: 1 INVITE\r\n%s"
		 "Content-Length: 0\r\n\r\n",
		 status, headers);
	mbuf_write_str(mb, text);
	mb->pos = 0;
	assert_int_equal(message_scan(&msg, mb, &result), 0);
	mem_deref(mb);

	return msg;
}

static enum proof challenge_with(const char *headers)
{
	struct message *msg = answer_of("407 Proxy", headers);
	enum proof p;

	f.out->pos = f.out->end = 0;
	f.setup.challenge = msg;
	p = prove_challenge(&f.setup, &f.tries, f.out, &f.report, NULL, NULL);
	mem_deref(msg);
	if (p != PROOF_READY)
		assert_int_equal(f.out->end, 0);

	return p;
}

static enum proof challenge(const char *realm, const char *nonce,
			    const char *more)
{
	char text[512];

	snprintf(text, sizeof(text),
		 "Proxy-Authenticate: Digest realm=\"%s\", nonce=\"%s\", "
		 "qop=\"auth\"%s\r\n",
		 realm, nonce, more);

	return challenge_with(text);
}

static void accepted(const char *status, const char *headers)
{
	struct message *msg = answer_of(status, headers);

	prove_accepted(&f.setup, &f.tries, msg);
	mem_deref(msg);
}

/* The next request of the same kind: what it carries ahead */
static void ahead(void)
{
	tries_reset(&f.tries);
	f.out->pos = f.out->end = 0;
	assert_int_equal(prove_ahead(&f.setup, &f.tries, f.out), 0);
}

static bool has(const char *text)
{
	return memmem(f.out->buf, f.out->end, text, strlen(text));
}

static unsigned times(const char *text)
{
	unsigned n = 0;
	const char *p = (const char *)f.out->buf, *end = p + f.out->end;

	while ((p = memmem(p, (size_t)(end - p), text, strlen(text)))) {
		p += strlen(text);
		n++;
	}

	return n;
}

static void tenants(void)
{
	fake_credential("trunk", "trunk.example", "tenA", "a1", "secret-a1");
	fake_credential("trunk", "trunk.example", "tenB", "b1", "secret-b1");
	fake_credential("trunk", "other.example", "tenA", "o1", "secret-o1");
	fake_credential("trunk", "*", "any", "star", "secret-star");
	fake_credential("trunk", "trunk.example", "any", "exact", "s");
}

/* 7.2, 16 */
static void the_lookup_of_the_route_answers(void **s)
{
	uint64_t before = total(COUNT_ANSWERED_POLICY);

	tenants();
	assert_int_equal(challenge("trunk.example", "n1", ""), PROOF_READY);
	assert_true(has("Proxy-Authorization: Digest username=\"a1\", "
			"realm=\"trunk.example\", nonce=\"n1\", "
			"uri=\"sip:0301234@a.trunk.example\""));
	assert_true(has("nc=00000001"));
	assert_int_equal(total(COUNT_ANSWERED_POLICY), before + 1);
	assert_int_equal(f.report.by, BY_POLICY);
	assert_string_equal(f.report.user, "a1");
	assert_string_equal(f.report.lookup, "tenA");
	(void)s;
}

/* RFC 7616 3.4.1 by hand, for a cnonce that was drawn */
static void the_response_is_that_of_the_digest(void **s)
{
	struct digest_input in = {
		.algorithm = DIGEST_SHA256,
		.qop = QOP_AUTH_INT,
		.realm = pl_text("trunk.example"),
		.nonce = pl_text("n1"),
		.username = pl_text("a1"),
		.password = "secret-a1",
		.method = pl_text("INVITE"),
		.uri = pl_text("sip:0301234@a.trunk.example"),
		.body = pl_text("v=0\r\n"),
		.nc = 1,
	};
	char expected[129];

	tenants();
	f.setup.body = pl_text("v=0\r\n");
	assert_int_equal(challenge_with("WWW-Authenticate: Digest "
					"realm=\"trunk.example\", "
					"nonce=\"n1\", algorithm=SHA-256, "
					"qop=\"auth-int\"\r\n"),
			 PROOF_READY);
	in.cnonce = f.tries.of[0].cnonce;
	assert_int_equal(strlen(in.cnonce), 32);
	assert_int_equal(digest_response(expected, &in, false), 0);
	assert_true(has(expected));
	assert_true(has("Authorization: Digest "));
	assert_false(has("Proxy-Authorization"));
	(void)s;
}

static void an_exact_auth_realm_comes_before_the_star(void **s)
{
	tenants();
	f.setup.query.lookup = "any";
	assert_int_equal(challenge("trunk.example", "n", ""), PROOF_READY);
	assert_true(has("\"exact\""));
	tries_reset(&f.tries);
	assert_int_equal(challenge("unheard", "n", ""), PROOF_READY);
	assert_true(has("\"star\""));
	tries_reset(&f.tries);
	f.setup.query.lookup = "tenA";
	assert_int_equal(challenge("Trunk.Example", "n", ""), PROOF_MISSING);
	(void)s;
}

/* 7.2, 25 */
static void a_lookup_without_entry_fails_and_is_told(void **s)
{
	uint64_t before = total(COUNT_FAILED_NO_ENTRY);

	f.setup.query.lookup = "tenX";
	f.setup.query.owner.agent = f.agent;
	f.setup.query.to_registrar = true;
	assert_int_equal(challenge("trunk.example", "n", ""), PROOF_MISSING);
	assert_int_equal(total(COUNT_FAILED_NO_ENTRY), before + 1);
	assert_true(is_up("auth-lookup-missing", "trunk tenX"));

	/* the entry appears: the next challenge finds it and clears */
	fake_credential("trunk", "trunk.example", "tenX", "x1", "s");
	assert_int_equal(challenge("trunk.example", "n", ""), PROOF_READY);
	assert_false(is_up("auth-lookup-missing", "trunk tenX"));
	(void)s;
}

static void with_fallback_the_search_goes_on(void **s)
{
	f.sip->auth_lookup_miss = AUTH_LOOKUP_MISS_FALLBACK;
	f.setup.query.lookup = "tenX";
	f.setup.query.owner.agent = f.agent;
	f.setup.query.to_registrar = true;
	assert_int_equal(challenge("trunk.example", "n", ""), PROOF_READY);
	assert_true(has("\"reg-a\""));
	(void)s;
}

/* 7.2, 26, 29 and row 3d */
static void the_owner_answers_its_registrar_only(void **s)
{
	f.setup.query.lookup = "";
	f.setup.query.owner.agent = f.agent;
	item_add(&f.ingress->auth_attributes, &element_agent_auth_attribute,
		 "auth-realm", "trunk.example", "username", "p1", "password",
		 "s", NULL);
	f.setup.query.to_registrar = true;
	assert_int_equal(challenge("trunk.example", "n", ""), PROOF_READY);
	assert_true(has("\"reg-a\""));

	tries_reset(&f.tries);
	f.setup.query.to_registrar = false;
	assert_int_equal(challenge("trunk.example", "n", ""), PROOF_NOBODY);
	(void)s;
}

static void an_aor_with_credentials_of_its_own_uses_them(void **s)
{
	fake_credential_of_aor("a.trunk.example 493010^ pbx-a", "4930103",
			       "own3", "secret");
	f.setup.query.lookup = "";
	f.setup.query.to_registrar = true;
	f.setup.query.owner = (struct owner){ f.agent, 3 };
	assert_int_equal(challenge("trunk.example", "n", ""), PROOF_READY);
	assert_true(has("\"own3\""));
	tries_reset(&f.tries);
	f.setup.query.owner.number = 4;
	assert_int_equal(challenge("trunk.example", "n", ""), PROOF_READY);
	assert_true(has("\"reg-a\""));
	(void)s;
}

/* row 1b */
static void a_register_without_password_is_not_answered(void **s)
{
	uint64_t before = total(COUNT_FAILED_NO_ENTRY);

	item_set(&element_surrogate_agent, f.agent, "password", "");
	f.setup.query.lookup = NULL;
	f.setup.query.registering = f.agent;
	f.setup.query.owner.agent = f.agent;
	f.setup.method = pl_text("REGISTER");
	assert_int_equal(challenge("trunk.example", "n", ""), PROOF_MISSING);
	/* that is row 2c's */
	assert_int_equal(total(COUNT_FAILED_NO_ENTRY), before);
	(void)s;
}

static void nobody_knows_the_realm_and_the_challenge_goes_on(void **s)
{
	uint64_t before = total(COUNT_PASSED_THROUGH);

	f.setup.query.lookup = "";
	assert_int_equal(challenge("other.example", "n", ""), PROOF_NOBODY);
	assert_int_equal(total(COUNT_PASSED_THROUGH), before + 1);
	assert_int_equal(f.tries.n, 0);
	(void)s;
}

/* 7.2, 32 */
static void a_second_fresh_challenge_is_final_and_raises(void **s)
{
	uint64_t before = total(COUNT_REFUSED_TWICE);

	tenants();
	assert_int_equal(challenge("trunk.example", "n1", ""), PROOF_READY);
	assert_int_equal(challenge("trunk.example", "n2", ""), PROOF_SPENT);
	assert_int_equal(total(COUNT_REFUSED_TWICE), before + 1);
	assert_true(is_up("auth-credentials-refused", "trunk.example a1"));

	/* accepted the next time: it ends */
	tries_reset(&f.tries);
	assert_int_equal(challenge("trunk.example", "n3", ""), PROOF_READY);
	accepted("200 OK", "");
	assert_false(is_up("auth-credentials-refused", "trunk.example a1"));
	(void)s;
}

static void the_same_nonce_again_is_final_without_alarm(void **s)
{
	tenants();
	f.setup.query.lookup = "tenB";
	assert_int_equal(challenge("trunk.example", "n1", ""), PROOF_READY);
	assert_int_equal(challenge("trunk.example", "n1", ""), PROOF_SPENT);
	assert_false(is_up("auth-credentials-refused", "trunk.example b1"));
	(void)s;
}

static void stale_is_free_once(void **s)
{
	uint64_t before = total(COUNT_STALE_RETRIES);

	tenants();
	assert_int_equal(challenge("trunk.example", "n1", ""), PROOF_READY);
	assert_int_equal(challenge("trunk.example", "n2", ", stale=true"),
			 PROOF_READY);
	assert_true(has("nonce=\"n2\"") && has("nc=00000001"));
	assert_int_equal(challenge("trunk.example", "n3", ", stale=true"),
			 PROOF_SPENT);
	assert_int_equal(total(COUNT_STALE_RETRIES), before + 1);
	(void)s;
}

/* 7.2, 18 and 19 */
static void an_accepted_nonce_goes_ahead_and_its_refusal_is_free(void **s)
{
	static const char *const stale[] = { "", ", stale=true" };

	tenants();
	for (int i = 0; i < 2; i++) {
		assert_int_equal(challenge("trunk.example", "n1", ""),
				 PROOF_READY);
		accepted("200 OK", "");
		ahead();
		assert_true(has("nonce=\"n1\"") && has("nc=00000002"));
		assert_int_equal(times("Proxy-Authorization"), 1);

		assert_int_equal(challenge("trunk.example", "n2", stale[i]),
				 PROOF_READY);
		assert_true(has("nonce=\"n2\"") && has("nc=00000001"));
		if (stale[i][0])
			assert_int_equal(challenge("trunk.example", "n4",
						   ", stale=true"),
					 PROOF_READY);
		assert_int_equal(challenge("trunk.example", "n3", ""),
				 PROOF_SPENT);
		ahead();
		assert_int_equal(f.out->end, 0);
	}
	(void)s;
}

static void a_target_that_wants_each_nonce_once_gets_none_ahead(void **s)
{
	tenants();
	assert_int_equal(challenge("trunk.example", "n0", ""), PROOF_READY);
	accepted("200 OK", "");
	for (int i = 0; i < 3; i++) {
		char nonce[3] = { 'm', (char)('0' + i), 0 };

		ahead();
		assert_true(f.out->end > 0);
		assert_int_equal(challenge("trunk.example", nonce, ""),
				 PROOF_READY);
		accepted("200 OK", "");
	}
	ahead();
	assert_int_equal(f.out->end, 0);
	fake_clock_advance(61 * MINUTE);
	assert_int_equal(challenge("trunk.example", "z", ""), PROOF_READY);
	accepted("200 OK", "");
	ahead();
	assert_true(f.out->end > 0);
	(void)s;
}

/* "In a row": one that it takes in between counts */
static void a_target_that_takes_some_cached_nonces_gets_them_on(void **s)
{
	tenants();
	assert_int_equal(challenge("trunk.example", "n0", ""), PROOF_READY);
	accepted("200 OK", "");
	for (int i = 0; i < 6; i++) {
		char nonce[3] = { 'm', (char)('0' + i), 0 };

		ahead();
		assert_true(f.out->end > 0);
		if (i % 3 != 2)
			assert_int_equal(challenge("trunk.example", nonce, ""),
					 PROOF_READY);
		accepted("200 OK", "");
	}
	ahead();
	assert_true(f.out->end > 0);
	(void)s;
}

static enum proof asked(const char *status, const char *nonce)
{
	char text[512];

	snprintf(text, sizeof(text),
		 "%s: Digest realm=\"trunk.example\", nonce=\"%s\", "
		 "qop=\"auth\"\r\n",
		 *status == 'W' ? "WWW-Authenticate" : "Proxy-Authenticate",
		 nonce);

	return challenge_with(text);
}

/* 6.4: one user at one target, 401 to REGISTER and 407 to calls */
static void register_and_calls_keep_their_own_headers(void **s)
{
	static const char *const methods[] = { "REGISTER", "INVITE" };
	static const char *const kinds[] = { "W", "P" };
	static const char *const nonces[] = { "nonce=\"w1\"", "nonce=\"p1\"" };
	uint64_t resting = total(COUNT_NONCE_ONCE_TARGETS);

	tenants();
	f.setup.method = pl_text("REGISTER");
	assert_int_equal(asked("W", "w1"), PROOF_READY);
	accepted("200 OK", "");

	/* not known yet: what there is, they share */
	f.setup.method = pl_text("INVITE");
	ahead();
	assert_int_equal(times("Proxy-Authorization"), 0);
	assert_true(has("Authorization: ") && has("nonce=\"w1\"") &&
		    has("nc=00000002"));
	/* it wants the other header: that alone is sent */
	assert_int_equal(asked("P", "p1"), PROOF_READY);
	assert_int_equal(times("Authorization: "), 1);
	assert_true(has("Proxy-Authorization: ") && has("nonce=\"p1\""));
	accepted("200 OK", "");

	/* from now on neither displaces the other */
	for (int i = 0; i < 8; i++) {
		f.setup.method = pl_text(methods[i % 2]);
		ahead();
		assert_int_equal(times("Authorization: "), 1);
		assert_int_equal(times("Proxy-Authorization: "), i % 2);
		assert_true(has(nonces[i % 2]));
		accepted("200 OK", "");
	}
	/* a fresh nonce of one kind leaves the other kind as it is */
	for (int i = 0; i < 2; i++) {
		f.setup.method = pl_text(methods[i]);
		ahead();
		assert_int_equal(asked(kinds[i], "fresh"), PROOF_READY);
		assert_int_equal(times("Authorization: "), 1);
		accepted("200 OK", "");
	}
	f.setup.method = pl_text("INVITE");
	ahead();
	assert_true(has("nonce=\"fresh\""));
	assert_int_equal(total(COUNT_NONCE_ONCE_TARGETS), resting);
	(void)s;
}

/* A proxy and the server behind it with one realm: both headers, both kept */
static void both_headers_go_where_both_are_wanted(void **s)
{
	tenants();
	assert_int_equal(asked("P", "p1"), PROOF_READY);
	assert_int_equal(asked("W", "w1"), PROOF_READY);
	assert_int_equal(times("Authorization: "), 2);
	accepted("200 OK", "");
	ahead();
	assert_int_equal(times("Authorization: "), 2);
	assert_true(has("nonce=\"p1\"") && has("nonce=\"w1\""));
	(void)s;
}

/* 3.1: copied, unless ours for the same realm go along */
static void credentials_of_the_sender_give_way_to_ours(void **s)
{
	static const char own[] =
		"Proxy-Authorization: Digest username=\"x\", "
		"realm=\"trunk.example\", nonce=\"n\", response=\"\"\r\n"
		"Authorization: Digest username=\"y\", "
		"realm=\"trunk.example\", nonce=\"n\", response=\"\"\r\n"
		"Proxy-Authorization: Digest username=\"z\", "
		"realm=\"third.example\", nonce=\"n\", response=\"\"\r\n"
		"Proxy-Authorization: Bearer x\r\n";
	struct message *msg = answer_of("200 OK", own);
	struct header_set none = { 0 };

	prove_replace(&f.tries, msg);
	assert_non_null(message_first(msg, HDR_AUTHORIZATION));
	tenants();
	assert_int_equal(challenge("trunk.example", "n1", ""), PROOF_READY);
	prove_replace(&f.tries, msg);
	f.out->pos = f.out->end = 0;
	assert_int_equal(message_write_headers(f.out, msg, none), 0);
	assert_false(has("\"x\""));
	assert_true(has("\"y\"") && has("\"z\"") && has("Bearer x"));
	mem_deref(msg);
	(void)s;
}

/* 6.4, all realms that the target has used */
static void every_realm_of_the_target_gets_credentials_ahead(void **s)
{
	tenants();
	assert_int_equal(
		challenge_with("Proxy-Authenticate: Digest "
			       "realm=\"trunk.example\", nonce=\"n1\"\r\n"
			       "WWW-Authenticate: Digest "
			       "realm=\"other.example\", nonce=\"n2\"\r\n"),
		PROOF_READY);
	accepted("200 OK", "");
	ahead();
	assert_int_equal(f.tries.n, 2);
	assert_true(has("username=\"a1\", realm=\"trunk.example\", "
			"nonce=\"n1\"") &&
		    has("username=\"o1\", realm=\"other.example\", "
			"nonce=\"n2\""));
	/* qop absent: the nonce is used again without nc */
	assert_int_equal(times("nc="), 0);
	/* another target has used none */
	sa_set_str(&f.target.dst, "127.0.0.11", 5061);
	ahead();
	assert_int_equal(f.out->end, 0);
	(void)s;
}

/* The table of 6.4, row by row: what the request carried, what came, what
 * follows. '-' no credentials, 'c' of the cache, 'f' fresh */
static void each_row_of_the_table_of_answers(void **s)
{
	static const struct {
		const char *carried, *answer, *stale;
		enum proof next;
		bool kept, alarm;  /* the nonce afterwards; the alarm */
		const char *twice; /* the same answer once more */
		enum proof then;
	} rows[] = {
		/* challenge: answer, once */
		{ "-", "407", "", PROOF_READY, true, false, "n3", PROOF_SPENT },
		/* free: with a cached nonce, stale or not */
		{ "c", "407", "", PROOF_READY, false, false, "n3",
		  PROOF_SPENT },
		{ "c", "407", ", stale=true", PROOF_READY, false, false, "n3",
		  PROOF_SPENT },
		/* stale after a fresh answer: free, a second one is final */
		{ "f", "407", ", stale=true", PROOF_READY, false, false, NULL,
		  PROOF_SPENT },
		/* refused: the same nonce, a fresh one */
		{ "f", "same", "", PROOF_SPENT, false, false, NULL, 0 },
		{ "f", "407", "", PROOF_SPENT, false, true, NULL, 0 },
		/* 403 after an answer: the nonce is dropped */
		{ "c", "403", "", PROOF_READY, false, false, NULL, 0 },
		{ "f", "403", "", PROOF_READY, false, false, NULL, 0 },
		/* another realm: answered too, the others kept */
		{ "f", "other", "", PROOF_READY, true, false, NULL, 0 },
		{ "c", "other", "", PROOF_READY, true, false, NULL, 0 },
		/* any other final answer: accepted */
		{ "c", "200", "", PROOF_READY, true, false, NULL, 0 },
		{ "f", "486", "", PROOF_READY, true, false, NULL, 0 },
		{ "f", "503", "", PROOF_READY, true, false, NULL, 0 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		const bool final = atoi(rows[i].answer) &&
				   strcmp(rows[i].answer, "407") != 0;
		enum proof p = PROOF_READY;

		nonces_close(f.worker.nonces);
		assert_int_equal(nonces_open(&f.worker.nonces, 100), 0);
		tries_reset(&f.tries);
		fake_credentials_reset();
		tenants();
		if (rows[i].carried[0] != '-')
			assert_int_equal(challenge("trunk.example", "n1", ""),
					 PROOF_READY);
		if (rows[i].carried[0] == 'c') {
			accepted("200 OK", "");
			ahead();
			assert_true(has("nonce=\"n1\""));
		}
		alarm_clear("auth-credentials-refused", "trunk.example a1");

		if (!strcmp(rows[i].answer, "same"))
			p = challenge("trunk.example", "n1", "");
		else if (!strcmp(rows[i].answer, "other"))
			p = challenge("other.example", "o", "");
		else if (!final)
			p = challenge("trunk.example", "n2", rows[i].stale);
		else
			accepted(rows[i].answer, "");
		if (!final && p != rows[i].next)
			fail_msg("row %zu: %d", i, p);
		if (!strcmp(rows[i].answer, "other"))
			assert_int_equal(times("Proxy-Authorization"), 2);

		if (rows[i].then) {
			p = challenge("trunk.example",
				      rows[i].twice ? rows[i].twice : "n4",
				      rows[i].twice ? "" : rows[i].stale);
			if (p != rows[i].then)
				fail_msg("row %zu, then: %d", i, p);
			continue;
		}
		assert_int_equal(
			is_up("auth-credentials-refused", "trunk.example a1"),
			rows[i].alarm);
		if (!strcmp(rows[i].answer, "other"))
			accepted("200 OK", "");
		ahead();
		if (has("realm=\"trunk.example\"") != rows[i].kept)
			fail_msg("row %zu: kept %d", i, rows[i].kept);
	}
	alarm_clear("auth-credentials-refused", "trunk.example a1");
	(void)s;
}

/* 6.2, and statement 37 of 7.2: by their keys, in the configuration of today */
static void the_password_of_today_answers_in_a_call_of_yesterday(void **s)
{
	struct config *cfg = config_new();
	const struct plan *today;
	struct session_agent *egress;

	item_add(&f.egress->auth_attributes, &element_agent_auth_attribute,
		 "auth-realm", "*", "username", "t1", "password", "old", NULL);
	realm_add(cfg, "pbx-a", "127.0.0.2");
	realm_add(cfg, "trunk", "127.0.0.1");
	egress = config_add(cfg, &element_session_agent, "hostname",
			    "trunk.example", "realm-id", "trunk", "ip-address",
			    "127.0.0.11", NULL);
	item_add(&egress->auth_attributes, &element_agent_auth_attribute,
		 "auth-realm", "*", "username", "t2", "password", "new", NULL);
	config_add(cfg, &element_surrogate_agent, "register-host",
		   "a.trunk.example", "register-user", "493010^", "aor-count",
		   "10", "count-start", "0", "realm-id", "pbx-a",
		   "customer-next-hop", "pbx-a.example", "auth-user", "reg-n",
		   "password", "secret-new", NULL);
	assert_int_equal(plan_alloc(&today, cfg), 0);

	f.setup.plan = f.plan;
	f.worker.plan = today;
	f.setup.query.lookup = "";
	assert_int_equal(challenge("trunk.example", "n", ""), PROOF_READY);
	assert_true(has("\"t2\""));

	tries_reset(&f.tries);
	f.setup.query.owner.agent = f.agent;
	f.setup.query.to_registrar = true;
	assert_int_equal(challenge("trunk.example", "n", ""), PROOF_READY);
	assert_true(has("\"reg-n\""));
	plan_give(today);
	config_give(cfg);

	/* gone: as row 2c, and nothing further is searched */
	cfg = config_new();
	realm_add(cfg, "trunk", "127.0.0.1");
	assert_int_equal(plan_alloc(&today, cfg), 0);
	f.worker.plan = today;
	tries_reset(&f.tries);
	assert_int_equal(challenge("trunk.example", "n", ""), PROOF_MISSING);
	f.setup.query.owner.agent = NULL;
	assert_int_equal(challenge("trunk.example", "n", ""), PROOF_NOBODY);
	f.worker.plan = f.plan;
	plan_give(today);
	config_give(cfg);
	(void)s;
}

static void users_never_share_a_nonce(void **s)
{
	tenants();
	assert_int_equal(challenge("trunk.example", "nA", ""), PROOF_READY);
	accepted("200 OK", "");
	f.setup.query.lookup = "tenB";
	ahead();
	assert_int_equal(f.out->end, 0);
	(void)s;
}

static void the_same_nonce_for_two_requests_never_repeats_nc(void **s)
{
	tenants();
	assert_int_equal(challenge("trunk.example", "n1", ""), PROOF_READY);
	accepted("200 OK", "");
	tries_reset(&f.tries);
	assert_int_equal(challenge("trunk.example", "n1", ""), PROOF_READY);
	assert_true(has("nc=00000002"));
	(void)s;
}

/* 6.3: "nc rising with each use of the nonce, never repeated"; cnonce is one
 * for each nonce */
static void a_cached_nonce_that_is_asked_for_again_goes_on_with_its_nc(void **s)
{
	uint64_t hits = total(COUNT_CACHE_HITS),
		 misses = total(COUNT_CACHE_MISSES);
	char cnonce[64];
	const char *p;

	tenants();
	ahead();
	assert_int_equal(total(COUNT_CACHE_MISSES), misses);
	assert_int_equal(challenge("trunk.example", "n1", ""), PROOF_READY);
	accepted("200 OK", "");
	ahead();
	assert_int_equal(total(COUNT_CACHE_HITS), hits + 1);
	assert_true(has("nc=00000002"));
	p = memmem(f.out->buf, f.out->end, "cnonce=\"", 8);
	assert_non_null(p);
	memcpy(cnonce, p, 8 + 32);
	cnonce[40] = '\0';

	f.out->pos = f.out->end = 0;
	assert_int_equal(challenge("trunk.example", "n1", ""), PROOF_READY);
	assert_true(has("nc=00000003"));
	assert_true(has(cnonce));
	f.setup.method = pl_text("OPTIONS");
	f.setup.query.lookup = "tenB";
	ahead();
	assert_int_equal(total(COUNT_CACHE_MISSES), misses + 1);
	(void)s;
}

static void a_403_drops_the_nonce(void **s)
{
	tenants();
	assert_int_equal(challenge("trunk.example", "n1", ""), PROOF_READY);
	accepted("200 OK", "");
	ahead();
	accepted("403 Forbidden", "");
	ahead();
	assert_int_equal(f.out->end, 0);
	(void)s;
}

/* 7.2, 21 */
static void the_strongest_algorithm_answers_and_unknown_ones_do_not(void **s)
{
	tenants();
	assert_int_equal(
		challenge_with(
			"WWW-Authenticate: Digest realm=\"trunk.example\", "
			"nonce=\"n1\", algorithm=MD5\r\n"
			"WWW-Authenticate: Digest realm=\"trunk.example\", "
			"nonce=\"n2\", algorithm=SHA-512-256\r\n"
			"WWW-Authenticate: Digest realm=\"trunk.example\", "
			"nonce=\"n3\", algorithm=SHA-256\r\n"),
		PROOF_READY);
	assert_int_equal(times("Authorization"), 1);
	assert_true(has("nonce=\"n2\"") && has("algorithm=SHA-512-256"));

	tries_reset(&f.tries);
	assert_int_equal(
		challenge_with(
			"WWW-Authenticate: Digest realm=\"trunk.example\", "
			"nonce=\"n1\", algorithm=SHA3\r\n"
			"WWW-Authenticate: Bearer realm=\"trunk.example\"\r\n"
			"WWW-Authenticate: Digest realm=\"trunk.example\"\r\n"
			"WWW-Authenticate: Digest realm=\"trunk.example\", "
			"nonce=\"n4\", qop=\"token\"\r\n"
			"WWW-Authenticate: Digest realm=\"trunk.example\", "
			"nonce=\"n2\", algorithm=MD5\r\n"),
		PROOF_READY);
	assert_true(has("nonce=\"n2\""));

	tries_reset(&f.tries);
	assert_int_equal(challenge_with("WWW-Authenticate: Bearer x=\"y\"\r\n"),
			 PROOF_NOBODY);
	(void)s;
}

static void a_weaker_algorithm_after_a_refusal_is_not_answered(void **s)
{
	tenants();
	assert_int_equal(
		challenge("trunk.example", "n1", ", algorithm=SHA-256"),
		PROOF_READY);
	assert_int_equal(
		challenge("trunk.example", "n2", ", algorithm=MD5, stale=true"),
		PROOF_SPENT);
	(void)s;
}

/* 7.2, 22 */
static void all_realms_with_credentials_are_answered_in_one_retry(void **s)
{
	static const char both[] =
		"Proxy-Authenticate: Digest realm=\"trunk.example\", "
		"nonce=\"n1\"\r\n"
		"WWW-Authenticate: Digest realm=\"other.example\", "
		"nonce=\"n2\"\r\n";

	fake_credential("trunk", "trunk.example", "tenA", "a1", "s");
	f.sip->auth_lookup_miss = AUTH_LOOKUP_MISS_FALLBACK;
	assert_int_equal(challenge_with(both), PROOF_READY);
	assert_int_equal(times("uthorization"), 1);
	assert_true(has("\"a1\""));
	assert_true(is_up("auth-realm-unknown", "other.example"));

	tries_reset(&f.tries);
	fake_credential("trunk", "other.example", "tenA", "o1", "s");
	assert_int_equal(challenge_with(both), PROOF_READY);
	assert_true(has("Proxy-Authorization: Digest username=\"a1\""));
	assert_true(has("\r\nAuthorization: Digest username=\"o1\"") ||
		    !memcmp(f.out->buf, "Authorization: Digest username=\"o1\"",
			    35));
	(void)s;
}

/* RFC 3261 22.3 */
static void answers_of_other_realms_stay_with_a_higher_nc(void **s)
{
	tenants();
	assert_int_equal(challenge("trunk.example", "n1", ""), PROOF_READY);
	assert_int_equal(challenge("other.example", "n2", ""), PROOF_READY);
	assert_int_equal(times("Proxy-Authorization"), 2);
	assert_true(has("nonce=\"n1\"") && has("nc=00000002"));
	assert_true(has("nonce=\"n2\"") && has("nc=00000001"));
	accepted("200 OK", "");
	ahead();
	assert_int_equal(times("Proxy-Authorization"), 2);
	assert_true(has("nc=00000003") && has("nc=00000002"));
	(void)s;
}

static void four_realms_and_six_sends_are_the_most(void **s)
{
	static const char *const names[] = {
		"r0", "r1", "r2", "r3", "r4", "r5"
	};
	char realm[3] = "r0", nonce[3] = "n0";

	for (int i = 0; i < 6; i++) {
		realm[1] = (char)('0' + i);
		fake_credential("trunk", names[i], "tenA", "u", "s");
	}
	for (int i = 0; i < 4; i++) {
		realm[1] = (char)('0' + i);
		assert_int_equal(challenge(realm, "n", ""), PROOF_READY);
	}
	assert_int_equal(times("Proxy-Authorization"), 4);
	assert_int_equal(challenge("r4", "n", ""), PROOF_SPENT);
	assert_int_equal(f.tries.n, 4);

	/* the fifth send was the last answer; one more stale, then enough */
	assert_int_equal(challenge("r0", "m", ", stale=true"), PROOF_READY);
	assert_int_equal(f.tries.sends, 6);
	nonce[1] = '9';
	assert_int_equal(challenge("r1", nonce, ", stale=true"), PROOF_SPENT);
	(void)s;
}

static void nextnonce_is_used_next(void **s)
{
	tenants();
	assert_int_equal(challenge("trunk.example", "n1", ""), PROOF_READY);
	accepted("200 OK", "Proxy-Authentication-Info: nextnonce=\"n9\"\r\n");
	ahead();
	assert_true(has("nonce=\"n9\"") && has("nc=00000001"));

	/* of the other kind of header: nothing here is meant */
	accepted("200 OK", "Authentication-Info: nextnonce=\"n8\"\r\n");
	ahead();
	assert_true(has("nonce=\"n9\"") && has("nc=00000002"));
	(void)s;
}

static void a_wrong_rspauth_drops_the_nonce_and_a_right_one_does_not(void **s)
{
	struct digest_input in = {
		.qop = QOP_AUTH,
		.realm = pl_text("trunk.example"),
		.nonce = pl_text("n1"),
		.username = pl_text("a1"),
		.password = "secret-a1",
		.uri = pl_text("sip:0301234@a.trunk.example"),
		.nc = 1,
	};
	char right[129], header[256];
	uint64_t wrong = total(COUNT_RSPAUTH_WRONG);

	tenants();
	assert_int_equal(challenge("trunk.example", "n1", ""), PROOF_READY);
	in.cnonce = f.tries.of[0].cnonce;
	assert_int_equal(digest_response(right, &in, true), 0);
	snprintf(header, sizeof(header),
		 "Proxy-Authentication-Info: rspauth=\"%s\", qop=auth, "
		 "nc=00000001, cnonce=\"%s\"\r\n",
		 right, in.cnonce);
	accepted("200 OK", header);
	ahead();
	assert_true(has("nc=00000002"));
	accepted("200 OK", "Proxy-Authentication-Info: rspauth=\"00\"\r\n");
	assert_int_equal(total(COUNT_RSPAUTH_WRONG), wrong + 1);
	ahead();
	assert_int_equal(f.out->end, 0);
	(void)s;
}

static void escapes_in_a_realm_are_compared_undone(void **s)
{
	fake_credential("trunk", "a\"b", "tenA", "q", "s");
	assert_int_equal(challenge("a\\\"b", "n", ""), PROOF_READY);
	assert_true(has("realm=\"a\\\"b\""));
	accepted("200 OK", "");
	ahead();
	assert_true(has("realm=\"a\\\"b\"") && has("nc=00000002"));
	(void)s;
}

static void a_broken_database_fails_without_the_alarm(void **s)
{
	uint64_t before = total(COUNT_FAILED_NO_ENTRY);

	fake_credentials_fail(EIO);
	f.setup.query.lookup = "tenZ";
	assert_int_equal(challenge("trunk.example", "n", ""), PROOF_MISSING);
	assert_int_equal(total(COUNT_FAILED_NO_ENTRY), before);
	assert_false(is_up("auth-lookup-missing", "trunk tenZ"));
	(void)s;
}

/* 7.2, 35, for an entry of a session-agent */
static void in_dialog_methods_hold_back_what_is_unasked_only(void **s)
{
	f.setup.query.lookup = "";
	item_add(&f.egress->auth_attributes, &element_agent_auth_attribute,
		 "auth-realm", "*", "username", "t1", "password", "s",
		 "in-dialog-methods", "INVITE", NULL);
	assert_int_equal(challenge("trunk.example", "n", ""), PROOF_READY);
	accepted("200 OK", "");
	f.setup.method = pl_text("MESSAGE");
	ahead();
	assert_true(has("\"t1\"")); /* not within a dialog */
	f.setup.method = pl_text("INVITE");
	f.setup.in_dialog = true;
	ahead();
	assert_true(has("\"t1\""));
	f.setup.method = pl_text("BYE");
	ahead();
	assert_int_equal(f.out->end, 0);
	assert_int_equal(challenge("trunk.example", "n2", ""), PROOF_READY);
	(void)s;
}

static void explain(const char *lookup, struct proof_explanation *out)
{
	struct pl realm = pl_text("trunk.example");

	f.setup.query.lookup = lookup;
	prove_explain(&f.setup, &realm, out);
}

static void an_explanation_names_the_row_and_the_user(void **s)
{
	struct proof_explanation e;

	tenants();
	explain("tenA", &e);
	assert_true(e.found);
	assert_string_equal(e.choice.row, "2a");
	assert_string_equal(e.user, "a1");
	explain("tenX", &e);
	assert_false(e.found);
	assert_true(e.choice.required);
	assert_string_equal(e.choice.row, "2c");
	explain("", &e);
	assert_int_equal(e.choice.by, BY_NOBODY);
	assert_string_equal(e.choice.row, "5");
	(void)s;
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

/* What show credentials seen and VC-0510 ask */
struct met {
	const char *auth_realm;
	struct challenger_report r;
	unsigned n, all;
};

static void meet(const struct challenger_report *r, void *arg)
{
	struct met *met = arg;

	met->all++;
	if (!strcmp(met->auth_realm, r->auth_realm)) {
		met->r = *r;
		met->n++;
	}
}

static struct met met(const char *auth_realm)
{
	struct met met = { .auth_realm = auth_realm };

	(void)challengers_walk(f.worker.challengers, 0, SIZE_MAX, meet, &met);

	return met;
}

static void who_challenged_and_what_answered_is_kept(void **s)
{
	struct met m;

	tenants();
	assert_int_equal(
		challenge_with(
			"Proxy-Authenticate: Digest realm=\"trunk.example\", "
			"nonce=\"n1\", algorithm=MD5\r\n"
			"Proxy-Authenticate: Digest realm=\"trunk.example\", "
			"nonce=\"n1\", algorithm=SHA-256\r\n"
			"Proxy-Authenticate: Digest realm=\"far.example\", "
			"nonce=\"n2\"\r\n"),
		PROOF_READY);
	m = met("trunk.example");
	assert_int_equal(m.n, 1);
	assert_int_equal(m.all, 2);
	assert_string_equal(m.r.realm, "trunk");
	assert_true(sa_cmp(&m.r.addr, &f.target.dst, SA_ALL));
	assert_int_equal(m.r.algorithms,
			 1u << DIGEST_MD5 | 1u << DIGEST_SHA256);
	assert_int_equal(m.r.others, 1);
	assert_int_equal(m.r.registers, 0);
	assert_int_equal(m.r.by, BY_POLICY);
	assert_int_equal(met("far.example").r.by, BY_NOBODY);

	/* the same once more is the same row, and a refusal no answer */
	assert_int_equal(
		challenge("trunk.example", "n9", ", algorithm=SHA-256"),
		PROOF_SPENT);
	m = met("trunk.example");
	assert_int_equal(m.n, 1);
	assert_int_equal(m.r.others, 2);
	assert_int_equal(m.r.by, BY_NOBODY);

	/* REGISTERs are counted by themselves */
	tries_reset(&f.tries);
	f.setup.query.registering = f.agent;
	f.setup.query.owner.agent = f.agent;
	(void)challenge("reg.example", "n3", "");
	m = met("reg.example");
	assert_int_equal(m.r.registers, 1);
	assert_int_equal(m.r.others, 0);
	(void)s;
}

static void of_made_up_auth_realms_the_longest_silent_give_way(void **s)
{
	char realm[32];

	for (unsigned i = 0; i < CHALLENGERS_KEPT + 100; i++) {
		snprintf(realm, sizeof(realm), "r%u", i);
		tries_reset(&f.tries);
		(void)challenge(realm, "n", "");
		tries_reset(&f.tries);
		(void)challenge("r0", "n", "");
	}
	assert_int_equal(met("r0").all, CHALLENGERS_KEPT);
	assert_int_equal(met("r0").r.others, CHALLENGERS_KEPT + 101);
	assert_int_equal(met("r1").n, 0);
	assert_int_equal(met(realm).n, 1);
	(void)s;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_lookup_of_the_route_answers),
		TEST(the_response_is_that_of_the_digest),
		TEST(an_exact_auth_realm_comes_before_the_star),
		TEST(a_lookup_without_entry_fails_and_is_told),
		TEST(with_fallback_the_search_goes_on),
		TEST(the_owner_answers_its_registrar_only),
		TEST(an_aor_with_credentials_of_its_own_uses_them),
		TEST(a_register_without_password_is_not_answered),
		TEST(nobody_knows_the_realm_and_the_challenge_goes_on),
		TEST(a_second_fresh_challenge_is_final_and_raises),
		TEST(the_same_nonce_again_is_final_without_alarm),
		TEST(stale_is_free_once),
		TEST(an_accepted_nonce_goes_ahead_and_its_refusal_is_free),
		TEST(a_target_that_wants_each_nonce_once_gets_none_ahead),
		TEST(a_target_that_takes_some_cached_nonces_gets_them_on),
		TEST(register_and_calls_keep_their_own_headers),
		TEST(both_headers_go_where_both_are_wanted),
		TEST(credentials_of_the_sender_give_way_to_ours),
		TEST(every_realm_of_the_target_gets_credentials_ahead),
		TEST(each_row_of_the_table_of_answers),
		TEST(the_password_of_today_answers_in_a_call_of_yesterday),
		TEST(users_never_share_a_nonce),
		TEST(the_same_nonce_for_two_requests_never_repeats_nc),
		TEST(a_cached_nonce_that_is_asked_for_again_goes_on_with_its_nc),
		TEST(a_403_drops_the_nonce),
		TEST(the_strongest_algorithm_answers_and_unknown_ones_do_not),
		TEST(a_weaker_algorithm_after_a_refusal_is_not_answered),
		TEST(all_realms_with_credentials_are_answered_in_one_retry),
		TEST(answers_of_other_realms_stay_with_a_higher_nc),
		TEST(four_realms_and_six_sends_are_the_most),
		TEST(nextnonce_is_used_next),
		TEST(a_wrong_rspauth_drops_the_nonce_and_a_right_one_does_not),
		TEST(escapes_in_a_realm_are_compared_undone),
		TEST(a_broken_database_fails_without_the_alarm),
		TEST(in_dialog_methods_hold_back_what_is_unasked_only),
		TEST(an_explanation_names_the_row_and_the_user),
		TEST(who_challenged_and_what_answered_is_kept),
		TEST(of_made_up_auth_realms_the_longest_silent_give_way),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
