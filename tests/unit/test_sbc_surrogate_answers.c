/*
 * Answers to a REGISTER, row by row (behaviour.md 4.4)
 */
#include "tests/unit/surrogate_states.h"

static const struct way plain, two = { .two_targets = true };

static const char *script; /* what each REGISTER hears */

static const char *as_scripted(const struct seen *r)
{
	(void)r;

	return script;
}

/* REGISTERs until nothing more comes for a while, repetitions left out */
static size_t sent(void)
{
	size_t n = 0;

	for (size_t i = 0; i < f.seen_n; i++)
		n += !i || f.seen[i].cseq != f.seen[i - 1].cseq;

	return n;
}

struct answer {
	const char *text;
	uint8_t to;
	uint8_t sent; /* REGISTERs of one try, with two targets */
	const char *reason;
};

/* clang-format off */
static const struct answer answers[] = {
	{ "200 OK\r\n", SUR_REGISTERED, 1, "" },
	{ "200 OK\r\nContact: <sip:x@192.0.2.9>;expires=60\r\n", SUR_BACKOFF, 1, "own contact missing" },
	{ "200 OK\r\nContact: <sip:a-4930100@127.0.0.1>;expires=0\r\n", SUR_BACKOFF, 1, "granted 0 s" },
	{ "403 Forbidden\r\n", SUR_REFUSED, 1, "forbidden" },
	{ "404 Not Found\r\n", SUR_BACKOFF, 1, "answered with a failure" },
	{ "405 Not Allowed\r\n", SUR_BACKOFF, 1, "answered with a failure" },
	{ "410 Gone\r\n", SUR_BACKOFF, 1, "answered with a failure" },
	{ "416 Scheme\r\n", SUR_BACKOFF, 1, "answered with a failure" },
	{ "484 Incomplete\r\n", SUR_BACKOFF, 1, "answered with a failure" },
	{ "604 Nowhere\r\n", SUR_BACKOFF, 1, "answered with a failure" },
	{ "600 Busy\r\n", SUR_BACKOFF, 1, "answered with a failure" },
	{ "603 Decline\r\n", SUR_BACKOFF, 1, "answered with a failure" },
	{ "699 Odd\r\n", SUR_BACKOFF, 1, "answered with a failure" },
	{ "420 Bad\r\nUnsupported: other\r\n", SUR_BACKOFF, 1, "extension refused" },
	{ "420 Bad\r\n", SUR_BACKOFF, 1, "extension refused" },
	{ "420 Bad\r\nUnsupported: path\r\n", SUR_BACKOFF, 2, "extension refused" },
	{ "423 Brief\r\n", SUR_BACKOFF, 1, "interval too brief" },
	{ "423 Brief\r\nMin-Expires: 600\r\n", SUR_BACKOFF, 1, "interval too brief" },
	{ "423 Brief\r\nMin-Expires: soon\r\n", SUR_BACKOFF, 1, "interval too brief" },
	{ "423 Brief\r\nMin-Expires: 1800\r\n", SUR_BACKOFF, 2, "interval too brief" },
	{ "302 Moved\r\n", SUR_BACKOFF, 1, "sent nowhere" },
	{ "302 Moved\r\nContact: <tel:+4930>\r\n", SUR_BACKOFF, 1, "sent nowhere" },
	{ "302 Moved\r\nContact: <sip:127.0.0.14>\r\n", SUR_BACKOFF, 2, "sent elsewhere twice" },
	{ "480 Later\r\n", SUR_BACKOFF, 2, "registrar not available" },
	{ "408 Timeout\r\n", SUR_BACKOFF, 2, "registrar not available" },
	{ "500 Oops\r\n", SUR_BACKOFF, 2, "registrar not available" },
	{ "503 Busy\r\n", SUR_BACKOFF, 2, "registrar not available" },
	{ "504 Slow\r\n", SUR_BACKOFF, 2, "registrar not available" },
	{ "401 Who\r\nWWW-Authenticate: Bearer x=\"y\"\r\n", SUR_BACKOFF, 1, "unsupported scheme" },
	{ "401 Who\r\nWWW-Authenticate: Digest realm=\"r\", nonce=\"n\", algorithm=ROT13\r\n", SUR_BACKOFF, 1, "unsupported scheme" },
	{ "401 Who\r\n", SUR_BACKOFF, 1, "unsupported scheme" },
	{ NULL, SUR_BACKOFF, 2, "no answer" },
};
/* clang-format on */

static void each_answer_is_judged_as_its_row_says(void **s)
{
	unsigned wrong = 0;

	for (size_t i = 0; i < sizeof(answers) / sizeof(*answers); i++) {
		const struct answer *a = &answers[i];

		setup(NULL);
		prepare(&two, SUR_REGISTERING);
		f.seen_n = 0;
		script = a->text;
		f.registrar = as_scripted;
		if (a->text)
			say(a->text);
		run(a->text ? SECOND : 65 * SECOND);
		/* the first was sent before the script */
		if (aor()->state != a->to ||
		    sent() + (a->text != NULL) != a->sent ||
		    strcmp(aor()->reason, a->reason) != 0) {
			wrong++;
			print_error("[%s]: %s, %zu REGISTERs, [%s]\n",
				    a->text ? a->text : "silence",
				    surrogate_machine.states[aor()->state],
				    sent() + (a->text != NULL), aor()->reason);
		}
		teardown(NULL);
	}
	assert_int_equal(wrong, 0);
	(void)s;
}

static void retry_after_is_heeded_where_it_has_a_meaning(void **s)
{
	static const struct {
		const char *code;
		bool heeded, doubles;
	} rows[] = {
		{ "404", true, true },  { "413", true, true },
		{ "480", true, true },  { "486", true, true },
		{ "500", true, true },  { "600", true, true },
		{ "603", true, true },  { "503", true, false },
		{ "405", false, true }, { "604", false, true },
		{ "408", false, true }, { "504", false, true },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		char text[80];
		uint64_t pause;

		setup(NULL);
		reach(&plain, SUR_REGISTERING);
		snprintf(text, sizeof(text), "%s X\r\nRetry-After: 900\r\n",
			 rows[i].code);
		say(text);
		assert_at(SUR_BACKOFF);
		assert_int_equal(aor()->failures, rows[i].doubles);
		pause = aor()->next - clock_ms();
		if (rows[i].heeded)
			assert_in_range(pause, 900 * SECOND, 990 * SECOND);
		else
			assert_in_range(pause, 22 * SECOND, 38 * SECOND);
		teardown(NULL);
	}
	(void)s;
}

static const char *busy_then_silent(const struct seen *r)
{
	return strstr(r->target, "127.0.0.11:")
		       ? "503 Busy\r\nRetry-After: 900\r\n"
		       : NULL;
}

/* It was the last target that failed, and it said nothing of a time */
static void a_retry_after_is_that_of_the_last_target(void **s)
{
	prepare(&two, SUR_REGISTERING);
	f.registrar = busy_then_silent;
	say("503 Busy\r\nRetry-After: 900\r\n");
	run(40 * SECOND);
	assert_at(SUR_BACKOFF);
	assert_true(aor()->next - clock_ms() <= 38 * SECOND);
	assert_int_equal(aor()->failures, 1);
	(void)s;
}

static const char *proven_and_busy(const struct seen *r)
{
	bool first = strstr(r->target, "127.0.0.11:");

	if (!strstr(r->auth, first ? "\"n1\"" : "\"n2\""))
		return first ? "401 Who\r\nWWW-Authenticate: Digest "
			       "realm=\"trunk.example\", nonce=\"n1\"\r\n"
			     : "401 Who\r\nWWW-Authenticate: Digest "
			       "realm=\"trunk.example\", nonce=\"n2\"\r\n";

	return first ? "503 Busy\r\n" : grants(r);
}

/* A fresh nonce of another target is its first challenge, and no refusal */
static void each_target_may_challenge_once(void **s)
{
	fake_name("trunk.example", "127.0.0.11:5060", "127.0.0.15:5060", NULL);
	f.registrar = proven_and_busy;
	one_agent();
	run(SECOND);
	assert_state(SUR_REGISTERED);
	assert_int_equal(f.seen_n, 4);
	(void)s;
}

static void without_any_time_what_was_asked_for_is_granted(void **s)
{
	reach(&plain, SUR_REGISTERING);
	say("200 OK\r\n");
	assert_at(SUR_REGISTERED);
	assert_int_equal(aor()->granted, 600);
	(void)s;
}

/* Not below what the back-off says, and within 1 s and 1 h */
static void retry_after_has_its_bounds(void **s)
{
	static const struct {
		const char *text;
		uint64_t least, most;
	} rows[] = {
		{ "503 X\r\nRetry-After: 0\r\n", 1000, 1100 },
		{ "503 X\r\nRetry-After: 99999999999\r\n", 3600000, 3960000 },
		{ "503 X\r\nRetry-After: later\r\n", 22000, 38000 },
		{ "404 X\r\nRetry-After: 1\r\n", 22000, 38000 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		setup(NULL);
		reach(&plain, SUR_REGISTERING);
		say(rows[i].text);
		assert_in_range(aor()->next - clock_ms(), rows[i].least,
				rows[i].most);
		teardown(NULL);
	}
	(void)s;
}

/* "first after at most half of the time that is left, not more often than 5 s" */
static void a_failed_refresh_is_repeated_before_the_binding_is_over(void **s)
{
	static const struct way brief = { .granted = 60 };
	uint64_t before = 0;
	size_t n = 0;

	reach(&brief, SUR_REFRESHING);
	f.registrar = knows_nobody;
	f.seen_n = 0;
	say("404 Not Found\r\n");
	assert_in_range(aor()->next - clock_ms(), 5000, 30000);
	run(59 * SECOND);
	assert_true(view(0).bound);
	for (; n < f.seen_n; n++) {
		assert_true(!before || f.seen[n].at - before >= 5000);
		before = f.seen[n].at;
	}
	assert_in_range(n, 2, 12);
	(void)s;
}

static const char *other_realm_407(const struct seen *r)
{
	if (!fake_sent_has(fake_sent_count() - 1, "Proxy-Authorization: "))
		return "407 Proxy\r\nProxy-Authenticate: Digest "
		       "realm=\"p.example\", nonce=\"p1\"\r\n";

	return grants(r);
}

static void a_407_is_answered_in_proxy_authorization(void **s)
{
	f.registrar = other_realm_407;
	one_agent();
	run(SECOND);
	assert_int_equal(f.seen_n, 2);
	assert_string_equal(last()->auth, "");
	assert_true(fake_sent_has(1, "Proxy-Authorization: Digest "
				     "username=\"reg-a\""));
	assert_state(SUR_REGISTERED);
	(void)s;
}

static void single_aors_have_their_own_credentials(void **s)
{
	agent_add("a", "493010^", "3");
	fake_credential_of_aor("a.trunk.example 493010^ pbx-a", "4930101",
			       "own-1", "secret-1");
	f.registrar = challenges_once;
	start();
	run(3 * SECOND);
	assert_state(SUR_REGISTERED);
	for (size_t i = 0; i < f.seen_n; i++) {
		bool own = strstr(f.seen[i].from, ":4930101@") != NULL;

		if (!*f.seen[i].auth)
			continue;
		assert_true(!strstr(f.seen[i].auth, "\"own-1\"") == !own);
		assert_true(!strstr(f.seen[i].auth, "\"reg-a\"") == own);
	}
	(void)s;
}

static const char *wants_own(const struct seen *r)
{
	return !*r->auth                   ? challenges_once(r)
	       : strstr(r->auth, "\"own-") ? grants(r)
					   : "403 Forbidden\r\n";
}

static void imported_credentials_are_tried_at_once(void **s)
{
	agent_add("a", "493010^", "2");
	fake_credential_of_aor("a.trunk.example 493010^ pbx-a", "4930101",
			       "own-1", "secret-1");
	f.registrar = wants_own;
	start();
	run(3 * SECOND);
	assert_int_equal(in_state(SUR_REGISTERED), 1);
	assert_int_equal(in_state(SUR_REFUSED), 1);

	fake_credential_of_aor("a.trunk.example 493010^ pbx-a", "4930100",
			       "own-0", "secret-0");
	f.seen_n = 0;
	assert_int_equal(surrogates_credentials(f.s, f.a), 0);
	run(3 * SECOND);
	assert_state(SUR_REGISTERED);
	for (size_t i = 0; i < f.seen_n; i++)
		assert_non_null(strstr(f.seen[i].from, ":4930100@"));
	(void)s;
}

static void an_empty_auth_user_is_the_user_of_the_aor(void **s)
{
	agent_add("a", "493010^", "2");
	item_set(&element_surrogate_agent, f.a, "auth-user", "");
	f.registrar = challenges_once;
	start();
	run(3 * SECOND);
	assert_state(SUR_REGISTERED);
	for (size_t i = 0; i < f.seen_n; i++)
		if (*f.seen[i].auth)
			assert_non_null(
				strstr(f.seen[i].auth,
				       strstr(f.seen[i].from, ":4930101@")
					       ? "username=\"4930101\""
					       : "username=\"4930100\""));
	(void)s;
}

static const char *refuses_at_first(const struct seen *r)
{
	return strstr(r->target, "127.0.0.11:") ? forbids(r) : grants(r);
}

static void after_a_refusal_other_targets_are_not_tried(void **s)
{
	fake_name("trunk.example", "127.0.0.11:5060", "127.0.0.14:5060", NULL);
	f.registrar = refuses_at_first;
	one_agent();
	run(299 * SECOND);
	assert_int_equal(f.seen_n, 1);
	assert_state(SUR_REFUSED);
	assert_true(view(0).refused);
	(void)s;
}

static const char *no_path_at_all(const struct seen *r)
{
	(void)r;

	return "420 Bad\r\nUnsupported: path\r\n";
}

static void a_420_against_nothing_is_a_failure(void **s)
{
	f.registrar = no_path_at_all;
	one_agent();
	run(100);
	assert_int_equal(f.seen_n, 2);
	assert_state(SUR_BACKOFF);
	(void)s;
}

/* P-Associated-URI (4.9) ----------------------------------------------------------- */

static const char *same_for_all(const struct seen *r)
{
	char more[200], user[32] = "";

	(void)sscanf(r->from, "<sip:%31[0-9]", user);
	snprintf(more, sizeof(more),
		 "P-Associated-URI: <sip:+4930%s@a.trunk.example>, "
		 "<sip:+493099@a.trunk.example>\r\n",
		 user);

	return grant(r, 600, more);
}

static uint32_t owner_of(const char *text)
{
	struct identity_live live;
	struct owner who = { NULL, 0 };
	struct pl pl = pl_text(text);
	struct uri uri;

	surrogates_identity(f.s, &live);
	assert_int_equal(uri_read(&uri, &pl), 0);
	if (live.associated(&who, realm_named(f.plan->realms, "pbx-a"), &uri,
			    live.arg))
		return UINT32_MAX;

	return who.number;
}

static void of_two_aors_with_one_uri_the_older_keeps_it(void **s)
{
	agent_add("a", "493010^", "3");
	f.registrar = same_for_all;
	start();
	run(3 * SECOND);
	assert_int_equal(owner_of("sip:+493099@a.trunk.example"), 0);
	for (uint32_t i = 0; i < 3; i++) {
		char uri[64];

		snprintf(uri, sizeof(uri), "sip:+49304930%u@a.trunk.example",
			 100 + i);
		assert_int_equal(owner_of(uri), i);
	}

	/* a refresh of a younger one changes nothing */
	surrogates_notify(f.s, f.a, 2, false);
	run(SECOND);
	assert_int_equal(owner_of("sip:+493099@a.trunk.example"), 0);

	/* the older one goes: the next that says so has it */
	surrogates_notify(f.s, f.a, 0, true);
	run(SECOND);
	surrogates_notify(f.s, f.a, 2, false);
	run(SECOND);
	assert_int_equal(owner_of("sip:+493099@a.trunk.example"), 2);
	(void)s;
}

/* 4.9: "with its host replaced by customer-host when that is set" */
static void with_a_customer_host_the_older_keeps_it_too(void **s)
{
	agent_add("a", "493010^", "3");
	item_set(&element_surrogate_agent, f.a, "customer-host", "pbx-a.local");
	f.registrar = same_for_all;
	start();
	run(3 * SECOND);
	assert_int_equal(owner_of("sip:+493099@pbx-a.local"), 0);
	assert_int_equal(owner_of("sip:+493099@a.trunk.example"), 0);
	assert_int_equal(owner_of("sip:+493099@other.example"), UINT32_MAX);
	assert_int_equal(owner_of("sip:+49304930101@pbx-a.local"), 1);
	assert_int_equal(owner_of("sip:+49304930101@a.trunk.example"), 1);
	assert_int_equal(owner_of("tel:+49304930101"), 1);

	surrogates_notify(f.s, f.a, 2, false);
	run(SECOND);
	assert_int_equal(owner_of("sip:+493099@pbx-a.local"), 0);
	(void)s;
}

int main(void)
{
#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_answer_is_judged_as_its_row_says),
		cmocka_unit_test(retry_after_is_heeded_where_it_has_a_meaning),
		TEST(a_retry_after_is_that_of_the_last_target),
		TEST(each_target_may_challenge_once),
		TEST(without_any_time_what_was_asked_for_is_granted),
		cmocka_unit_test(retry_after_has_its_bounds),
		TEST(a_failed_refresh_is_repeated_before_the_binding_is_over),
		TEST(a_407_is_answered_in_proxy_authorization),
		TEST(single_aors_have_their_own_credentials),
		TEST(imported_credentials_are_tried_at_once),
		TEST(an_empty_auth_user_is_the_user_of_the_aor),
		TEST(after_a_refusal_other_targets_are_not_tried),
		TEST(a_420_against_nothing_is_a_failure),
		TEST(of_two_aors_with_one_uri_the_older_keeps_it),
		TEST(with_a_customer_host_the_older_keeps_it_too),
	};
	int err = libre_init();

	if (err)
		return 1;
	err = cmocka_run_group_tests(tests, NULL, NULL);
	libre_close();

	return err;
}
