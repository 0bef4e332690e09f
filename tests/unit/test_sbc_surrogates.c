/*
 * Registrations of agents in virtual time (behaviour.md 4, 7.2)
 */
#include "tests/unit/surrogates_fixture.h"

/* The REGISTER --------------------------------------------------------------- */

/* 7.2, 1 */
static void a_register_looks_as_it_should(void **s)
{
	const struct seen *r;

	one_agent();
	run(SECOND);
	assert_int_equal(f.seen_n, 1);
	r = last();
	assert_string_equal(r->ruri, "sip:a.trunk.example");
	assert_string_equal(r->to, "<sip:4930100@a.trunk.example>");
	assert_memory_equal(r->from, "<sip:4930100@a.trunk.example>;tag=", 34);
	assert_string_equal(r->contact,
			    "<sip:a-4930100@127.0.0.1>;expires=600");
	assert_string_equal(r->expires, "600");
	assert_string_equal(r->route, "<sip:trunk.example;lr>");
	assert_string_equal(r->target, "127.0.0.11:5060");
	assert_string_equal(r->auth, "");
	assert_true(fake_sent_has(0, "\r\nSupported: path\r\n"));
	assert_true(fake_sent_has(0, "\r\nMax-Forwards: 70\r\n"));
	assert_state(SUR_REGISTERED);
	assert_true(view(0).bound);
	assert_non_null(view(0).target);
	assert_string_equal(view(0).contact, "sip:a-4930100@127.0.0.1");
	(void)s;
}

/* 7.2, 2 */
static void a_challenge_is_answered_and_the_nonce_serves_the_others(void **s)
{
	size_t ahead = 0;

	agent_add("a", "493010^", "10");
	f.registrar = challenges_once;
	start();
	run(5 * SECOND);
	assert_int_equal(in_state(SUR_REGISTERED), 10);
	assert_int_equal(f.seen_n, 11);
	assert_string_equal(f.seen[0].callid, f.seen[1].callid);
	assert_string_equal(f.seen[0].tag, f.seen[1].tag);
	assert_int_equal(f.seen[1].cseq, f.seen[0].cseq + 1);
	for (size_t i = 1; i < f.seen_n; i++) {
		char nc[32];

		snprintf(nc, sizeof(nc), "nc=%08zx", i);
		assert_non_null(strstr(f.seen[i].auth, "username=\"reg-a\""));
		assert_non_null(strstr(f.seen[i].auth, nc));
		ahead++;
	}
	assert_int_equal(ahead, 10);
	(void)s;
}

/* 7.2, 3 */
static void refreshes_come_at_random_points_of_50_to_90_percent(void **s)
{
	uint64_t first[20], when[20] = { 0 };

	agent_add("a", "49301^^", "20");
	f.registrar = challenges_once;
	start();
	run(10 * SECOND);
	assert_int_equal(in_state(SUR_REGISTERED), 20);
	for (size_t i = 0; i < f.seen_n; i++)
		for (int k = 0; k < 20; k++) {
			char user[16];

			snprintf(user, sizeof(user), ":49301%02d@", k);
			if (strstr(f.seen[i].from, user))
				first[k] = f.seen[i].at;
		}
	f.seen_n = 0;
	run(590 * SECOND);
	for (size_t i = 0; i < f.seen_n; i++) {
		assert_true(*f.seen[i].auth);
		for (int k = 0; k < 20; k++) {
			char user[16];

			snprintf(user, sizeof(user), ":49301%02d@", k);
			if (strstr(f.seen[i].from, user) && !when[k])
				when[k] = f.seen[i].at;
		}
	}
	for (int k = 0; k < 20; k++) {
		assert_in_range(when[k] - first[k], 300 * SECOND, 541 * SECOND);
		for (int j = 0; j < k; j++)
			assert_true(when[j] != when[k]);
	}
	(void)s;
}

static const char *grants_ten(const struct seen *r)
{
	return grant(r, 10, "");
}

static void ten_seconds_are_refreshed_after_five(void **s)
{
	f.registrar = grants_ten;
	one_agent();
	run(100);
	assert_int_equal(f.seen_n, 1);
	assert_in_range(until_next(10 * SECOND), 4800, 5100);
	(void)s;
}

/* While a REGISTER is out its timer looks soon, but never after the end */
static void a_binding_ends_on_time_while_its_refresh_is_out(void **s)
{
	uint64_t bound;

	f.registrar = grants_ten;
	one_agent();
	for (bound = clock_ms(); !view(0).bound; bound = clock_ms())
		run(1);
	f.registrar = NULL;
	assert_in_range(until_next(10 * SECOND), 4700, 5100);
	assert_int_equal(in_state(SUR_REFRESHING), 1);
	while (in_state(SUR_REFRESHING))
		run(1);
	assert_in_range(clock_ms() - bound, 9990, 10010);
	assert_int_equal(in_state(SUR_REGISTERING), 1);
	(void)s;
}

/* Answers --------------------------------------------------------------------- */

static const char *too_brief(const struct seen *r)
{
	if (strtoul(r->expires, NULL, 10) < 1800)
		return "423 Interval Too Brief\r\nMin-Expires: 1800\r\n";

	return grant(r, 1800, "");
}

/* 7.2, 8 */
static void a_423_is_obeyed_at_once_and_for_good(void **s)
{
	f.registrar = too_brief;
	one_agent();
	run(SECOND);
	assert_int_equal(f.seen_n, 2);
	assert_string_equal(f.seen[1].expires, "1800");
	assert_true(until_next(1700 * SECOND) != UINT64_MAX);
	assert_string_equal(last()->expires, "1800");
	assert_int_equal(fake_row("4930100@a.trunk.example")->min_expires,
			 1800);

	/* 4.7: also over a restart */
	die();
	f.seen_n = 0;
	start();
	surrogates_notify(f.s, f.a, 0, false);
	run(SECOND);
	assert_int_equal(f.seen_n, 1);
	assert_string_equal(last()->expires, "1800");
	(void)s;
}

static const char *brief_forever(const struct seen *r)
{
	static char text[80];

	snprintf(text, sizeof(text), "423 Brief\r\nMin-Expires: %lu\r\n",
		 strtoul(r->expires, NULL, 10) + 1);

	return text;
}

static void a_second_423_is_a_failure(void **s)
{
	f.registrar = brief_forever;
	one_agent();
	run(SECOND);
	assert_int_equal(f.seen_n, 2);
	assert_state(SUR_BACKOFF);
	(void)s;
}

static const char *refuses(const struct seen *r)
{
	static char text[160];
	static unsigned n;

	(void)r;
	snprintf(text, sizeof(text),
		 "401 Unauthorized\r\nWWW-Authenticate: Digest "
		 "realm=\"trunk.example\", nonce=\"f%u\"\r\n",
		 ++n);

	return text;
}

/* 7.2, 6 */
static void refused_credentials_wait_300_s_and_double(void **s)
{
	uint64_t pause;

	agent_add("a", "493010^", "1");
	f.registrar = refuses;
	start();
	run(SECOND);
	assert_int_equal(f.seen_n, 2);
	assert_state(SUR_REFUSED);
	assert_int_equal(alarms("surrogate-credentials-refused"), 1);
	assert_true(view(0).refused);

	pause = until_next(400 * SECOND);
	assert_in_range(pause, 299 * SECOND, 331 * SECOND);
	run(SECOND);
	assert_int_equal(f.seen_n, 4);
	assert_in_range(until_next(700 * SECOND), 598 * SECOND, 661 * SECOND);

	/* up to an hour, and not beyond */
	for (int i = 0; i < 20; i++) {
		run(SECOND);
		pause = until_next(4000 * SECOND);
		assert_true(pause <= 3601 * SECOND);
	}
	assert_true(pause >= 3598 * SECOND);

	f.registrar = challenges_once;
	run(3601 * SECOND);
	assert_state(SUR_REGISTERED);
	assert_int_equal(alarms("surrogate-credentials-refused"), 0);
	(void)s;
}

static const char *refuses_a(const struct seen *r)
{
	return strstr(r->from, "@a.") ? refuses(r) : grants(r);
}

/* 7.2, 6 and 7 */
static void one_tenant_refused_does_not_touch_the_other(void **s)
{
	size_t n;

	agent_add("a", "493010^", "10");
	agent_add("b", "493010^", "10");
	f.registrar = refuses_a;
	start();
	f.a = (void *)config_at(f.cfg, &element_surrogate_agent, 0);
	run(5 * SECOND);
	assert_int_equal(in_state(SUR_REGISTERED), 10);
	assert_int_equal(in_state(SUR_REFUSED), 10);
	assert_int_equal(f.seen_n, 30);

	/* a new password: A at once, B not at all */
	n = f.seen_n;
	f.registrar = challenges_once;
	change_agent("password", "better");
	run(5 * SECOND);
	assert_int_equal(in_state(SUR_REGISTERED), 20);
	for (; n < f.seen_n; n++)
		assert_non_null(strstr(f.seen[n].from, "@a."));
	(void)s;
}

static void a_register_without_password_is_refused(void **s)
{
	agent_add("a", "493010^", "1");
	item_set(&element_surrogate_agent, f.a, "password", "");
	f.registrar = challenges_once;
	start();
	run(SECOND);
	assert_int_equal(f.seen_n, 1);
	assert_state(SUR_REFUSED);
	assert_string_equal(report(0).reason, "no password");
	(void)s;
}

static const char *stale_once(const struct seen *r)
{
	if (!*r->auth)
		return challenges_once(r);
	if (strstr(r->auth, "\"n1\""))
		return "401 Unauthorized\r\nWWW-Authenticate: Digest "
		       "realm=\"trunk.example\", nonce=\"n2\", "
		       "stale=true\r\n";

	return grants(r);
}

/* 7.2, 12 */
static void stale_is_no_failure(void **s)
{
	f.registrar = stale_once;
	one_agent();
	run(SECOND);
	assert_int_equal(f.seen_n, 3);
	assert_state(SUR_REGISTERED);
	assert_int_equal(report(0).tries, 0);
	(void)s;
}

static const char *unknown_scheme(const struct seen *r)
{
	(void)r;

	return "401 Unauthorized\r\nWWW-Authenticate: Bearer x=\"y\"\r\n";
}

static void an_unknown_scheme_is_a_failure(void **s)
{
	f.registrar = unknown_scheme;
	one_agent();
	run(SECOND);
	assert_int_equal(f.seen_n, 1);
	assert_state(SUR_BACKOFF);
	assert_string_equal(report(0).reason, "unsupported scheme");
	(void)s;
}

static const char *busy(const struct seen *r)
{
	(void)r;

	return "503 Busy\r\nRetry-After: 20 (soon);duration=4\r\n";
}

/* 7.2, 9 */
static void a_503_with_retry_after_is_waited_for(void **s)
{
	f.registrar = busy;
	one_agent();
	run(100);
	assert_state(SUR_BACKOFF);
	assert_int_equal(report(0).tries, 0);
	assert_in_range(until_next(30 * SECOND), 19 * SECOND, 22100);
	run(100);
	assert_in_range(until_next(30 * SECOND), 19 * SECOND, 22100);
	(void)s;
}

static const char *second_works(const struct seen *r)
{
	return strstr(r->target, "127.0.0.11:") ? busy(r) : grants(r);
}

static void a_second_address_is_tried_at_once(void **s)
{
	fake_name("trunk.example", "127.0.0.11:5060", "127.0.0.14:5060", NULL);
	f.registrar = second_works;
	one_agent();
	run(100);
	assert_int_equal(f.seen_n, 2);
	assert_string_equal(f.seen[0].callid, f.seen[1].callid);
	assert_int_equal(f.seen[1].cseq, f.seen[0].cseq + 1);
	assert_state(SUR_REGISTERED);
	assert_string_equal(report(0).registrar, "127.0.0.14:5060");
	(void)s;
}

static const char *elsewhere(const struct seen *r)
{
	return strstr(r->target, "127.0.0.11:")
		       ? "302 Moved\r\nContact: <tel:+1>;q=1, "
			 "<sip:x@127.0.0.15>;q=0.2, <sip:127.0.0.14>;q=0.7\r\n"
		       : grants(r);
}

static const char *elsewhere_twice(const struct seen *r)
{
	(void)r;

	return "302 Moved\r\nContact: <sip:127.0.0.14>\r\n";
}

/* 7.2, 10 */
static void a_3xx_is_followed_once(void **s)
{
	f.registrar = elsewhere;
	one_agent();
	run(100);
	assert_int_equal(f.seen_n, 2);
	assert_string_equal(last()->target, "127.0.0.14:5060");
	assert_string_equal(last()->to, f.seen[0].to);
	assert_string_equal(last()->callid, f.seen[0].callid);
	assert_state(SUR_REGISTERED);

	/* not a 301: the registrar is asked again */
	f.seen_n = 0;
	surrogates_notify(f.s, f.a, 0, false);
	run(SECOND);
	assert_int_equal(f.seen_n, 2);
	assert_string_equal(f.seen[0].target, "127.0.0.11:5060");

	f.registrar = elsewhere_twice;
	f.seen_n = 0;
	assert_true(until_next(600 * SECOND) != UINT64_MAX);
	run(100);
	assert_int_equal(f.seen_n, 2);
	assert_int_equal(report(0).tries, 1);
	(void)s;
}

static const char *three_contacts(const struct seen *r)
{
	(void)r;

	return "200 OK\r\nContact: <sip:other@127.0.0.1>;expires=20, "
	       "\"x, y\" <sip:a-4930100@127.0.0.1:5060>;expires=900\r\n"
	       "Contact: <sip:third@192.0.2.9>;expires=30\r\nExpires: 40\r\n";
}

static const char *foreign_contacts(const struct seen *r)
{
	(void)r;

	return "200 OK\r\nContact: <sip:other@127.0.0.1>;expires=20\r\n";
}

static const char *no_contact(const struct seen *r)
{
	(void)r;

	return "200 OK\r\nExpires: 77\r\n";
}

static const char *zero(const struct seen *r)
{
	return grant(r, 0, "");
}

/* 7.2, 11 */
static void only_the_own_contact_counts(void **s)
{
	f.registrar = three_contacts;
	one_agent();
	run(100);
	assert_int_equal(report(0).granted, 900);
	(void)s;
}

static void a_200_without_the_own_contact_or_with_0_s_is_a_failure(void **s)
{
	static registrar_h *const rows[] = { foreign_contacts, zero };

	one_agent();
	for (int i = 0; i < 2; i++) {
		f.registrar = rows[i];
		assert_true(until_next(200 * SECOND) != UINT64_MAX);
		run(100);
		assert_state(SUR_BACKOFF);
	}
	f.registrar = no_contact;
	assert_true(until_next(200 * SECOND) != UINT64_MAX);
	run(100);
	assert_state(SUR_REGISTERED);
	assert_int_equal(report(0).granted, 77);
	(void)s;
}

static const char *no_path_please(const struct seen *r)
{
	return fake_sent_has(fake_sent_count() - 1, "Supported: path")
		       ? "420 Bad Extension\r\nUnsupported: path\r\n"
		       : grants(r);
}

static void a_420_leaves_path_out_from_then_on(void **s)
{
	agent_add("a", "493010^", "3");
	f.registrar = no_path_please;
	start();
	run(SECOND);
	assert_int_equal(in_state(SUR_REGISTERED), 3);
	assert_int_equal(f.seen_n, 4);
	(void)s;
}

static const char *not_found(const struct seen *r)
{
	(void)r;

	return "404 Not Found\r\n";
}

static void failures_back_off_and_the_third_raises(void **s)
{
	one_agent();
	f.registrar = not_found;
	run(100);
	for (uint32_t n = 1; n < 6; n++) {
		uint64_t pause;

		assert_int_equal(report(0).tries, n);
		assert_int_equal(alarms("surrogate-registration-failed"),
				 n >= 3);
		pause = until_next(3600 * SECOND);
		assert_in_range(pause, (30 << (n - 1)) * 740ull,
				(30 << (n - 1)) * 1260ull);
		run(100);
	}
	f.registrar = grants;
	assert_true(until_next(3600 * SECOND) != UINT64_MAX);
	run(100);
	assert_int_equal(alarms("surrogate-registration-failed"), 0);
	assert_int_equal(report(0).tries, 0);
	(void)s;
}

static void failed_is(const struct alarm_report *a, void *arg)
{
	if (!strcmp(a->name, "surrogate-registration-failed"))
		*(struct alarm_report *)arg = *a;
}

/* acli.md 5.1: minor; major when the agent has no AoR registered. It counts up */
static void a_failure_gets_worse_with_the_last_binding(void **s)
{
	struct alarm_report a = { 0 };
	uint32_t count;

	one_agent();
	run(SECOND);
	assert_int_equal(in_state(SUR_REGISTERED), 1);
	f.registrar = not_found;
	while (!a.count) {
		assert_true(until_next(600 * SECOND) != UINT64_MAX);
		run(100);
		alarms_walk(false, failed_is, &a);
	}
	assert_true(view(0).bound);
	assert_int_equal(a.severity, ALARM_MINOR);
	count = a.count;

	run(3600 * SECOND);
	assert_false(view(0).bound);
	alarms_walk(false, failed_is, &a);
	assert_int_equal(a.severity, ALARM_MAJOR);
	assert_true(a.count > count);
	(void)s;
}

static void it_gives_up_when_told_so_and_an_order_ends_that(void **s)
{
	agent_add("a", "493010^", "1");
	item_set(&element_surrogate_agent, f.a, "max-register-attempts", "2");
	f.registrar = not_found;
	start();
	run(200 * SECOND);
	assert_int_equal(f.seen_n, 2);
	assert_state(SUR_GIVEN_UP);
	assert_int_equal(alarms("surrogate-gave-up"), 1);
	run(20000 * SECOND);
	assert_int_equal(f.seen_n, 2);

	f.registrar = grants;
	assert_int_equal(surrogates_notify(f.s, f.a, 0, false), 0);
	run(SECOND);
	assert_state(SUR_REGISTERED);
	assert_int_equal(alarms("surrogate-gave-up"), 0);
	(void)s;
}

/* Outages --------------------------------------------------------------------- */

/* 7.2, 5 */
static void a_binding_outlives_a_registrar_that_is_down(void **s)
{
	size_t tries;

	one_agent();
	run(SECOND);
	f.registrar = NULL;
	f.seen_n = 0;
	run(590 * SECOND);
	assert_true(view(0).bound);
	assert_int_equal(report(0).state == SUR_REGISTERED ||
				 report(0).state == SUR_REFRESHING,
			 1);
	assert_true(f.seen_n > 2);
	run(30 * SECOND);
	assert_false(in_state(SUR_REGISTERED) + in_state(SUR_REFRESHING));
	assert_int_equal(alarms("surrogate-registrar-unreachable"), 1);
	run(1200 * SECOND);
	assert_int_equal(alarms("surrogate-registration-failed"), 1);
	assert_int_equal(in_state(SUR_GIVEN_UP), 0);

	tries = f.seen_n;
	f.registrar = grants;
	run(3700 * SECOND);
	assert_true(f.seen_n > tries);
	assert_int_equal(in_state(SUR_REGISTERED), 1);
	assert_int_equal(alarms("surrogate-registrar-unreachable"), 0);
	assert_int_equal(alarms("surrogate-registration-failed"), 0);
	(void)s;
}

static void when_it_is_back_all_others_follow_at_once(void **s)
{
	uint64_t begun;

	agent_add("a", "4930^^^", "500");
	f.registrar = NULL;
	start();
	run(1200 * SECOND);
	assert_int_equal(in_state(SUR_REGISTERED), 0);
	assert_true(in_state(SUR_BACKOFF) > 400);

	f.registrar = grants;
	f.seen_n = 0;
	while (!f.seen_n)
		run(100);
	begun = clock_ms();
	run(900);
	assert_in_range(f.seen_n, 2, 30);
	while (in_state(SUR_REGISTERED) < 500 && clock_ms() - begun < 60000)
		run(100);
	assert_int_equal(in_state(SUR_REGISTERED), 500);
	/* slow start: 10, 20, 40, 80, then 100 a second */
	assert_in_range(clock_ms() - begun, 5 * SECOND, 15 * SECOND);
	(void)s;
}

/* Tries were rare for hours, and no second of late had trouble: it begins with
 * a tenth of the rate all the same (4.5) */
static void a_registrar_that_is_back_is_not_overrun(void **s)
{
	agent_add("a", "49301^^", "60");
	f.registrar = NULL;
	start();
	run(4 * 3600 * SECOND);
	assert_int_equal(in_state(SUR_REGISTERED), 0);
	f.seen_n = 0;
	while (!f.seen_n)
		run(10);
	run(100 * SECOND); /* that one is over, too */
	f.registrar = grants;
	f.seen_n = 0;
	while (!in_state(SUR_REGISTERED))
		run(10);
	run(900);
	assert_in_range(f.seen_n, 2, 25);
	run(10 * SECOND);
	assert_int_equal(in_state(SUR_REGISTERED), 60);
	(void)s;
}

static void a_transport_that_refuses_is_a_failure_and_not_the_end(void **s)
{
	fake_port_fail(ENETUNREACH);
	one_agent();
	run(SECOND);
	assert_state(SUR_BACKOFF);
	fake_port_fail(0);
	run(60 * SECOND);
	assert_state(SUR_REGISTERED);
	(void)s;
}

static void dns_may_answer_late_or_never(void **s)
{
	fake_resolver_fail(EINPROGRESS);
	one_agent();
	run(SECOND);
	assert_state(SUR_REGISTERING);
	assert_int_equal(f.seen_n, 0);
	fake_resolver_answer(0);
	run(SECOND);
	assert_state(SUR_REGISTERED);

	assert_int_equal(surrogates_notify(f.s, f.a, 0, false), 0);
	run(SECOND);
	fake_resolver_answer(ETIMEDOUT);
	run(SECOND);
	assert_state(SUR_REGISTERED);
	assert_int_equal(report(0).tries, 1);
	assert_string_equal(report(0).reason, "DNS does not answer");

	/* and it may be gone before DNS answers */
	assert_int_equal(surrogates_notify(f.s, f.a, 0, false), 0);
	run(SECOND);
	assert_int_equal(fake_resolver_waiting(), 1);
	(void)s;
}

/* Pacing ------------------------------------------------------------------------ */

static uint32_t most_in_a_second(void)
{
	uint32_t most = 0;

	for (size_t i = 0, k = 0; i < f.seen_n; i++) {
		while (f.seen[i].at - f.seen[k].at >= SECOND)
			k++;
		if (i - k + 1 > most)
			most = (uint32_t)(i - k + 1);
	}

	return most;
}

static void no_second_holds_more_registers_than_the_rate(void **s)
{
	agent_add("a", "4930^^^", "1000");
	f.registrar = challenges_once;
	start();
	run(14 * SECOND);
	assert_int_equal(in_state(SUR_REGISTERED), 1000);
	assert_in_range(most_in_a_second(), 90, 101);
	(void)s;
}

static void no_agent_takes_more_than_every_second_token(void **s)
{
	size_t i, mine = 0;

	agent_add("a", "493^^^^", "1000");
	agent_add("b", "49^", "10");
	start();
	run(3 * SECOND);
	for (i = 0; i < 20; i++)
		mine += strstr(f.seen[i].from, "@b.") != NULL;
	assert_int_equal(mine, 10);
	(void)s;
}

/* Nor does one whose AoRs were due before those of another */
static void who_comes_later_has_every_second_token(void **s)
{
	size_t mine = 0, n;

	agent_add("a", "49^", "10");
	item_set(&element_surrogate_agent, f.a, "state", "disabled");
	agent_add("b", "493^^^^", "1000");
	start();
	f.a = (void *)config_at(f.cfg, &element_surrogate_agent, 0);
	run(3 * SECOND);
	n = f.seen_n;
	change_agent("state", "enabled");
	run(SECOND);
	for (size_t i = n; i < n + 21; i++)
		mine += strstr(f.seen[i].from, "@a.") != NULL;
	assert_int_equal(mine, 10);
	(void)s;
}

static const char *trouble;

static const char *has_trouble(const struct seen *r)
{
	(void)r;

	return trouble;
}

/* 4.5: "each second with a timeout, 503 or 500 halves it, down to 1/s" */
static void a_registrar_in_trouble_is_asked_slowly(void **s)
{
	static const struct {
		const char *text;
		bool slow;
	} rows[] = {
		{ "503 Busy\r\n", true },
		{ "500 Oops\r\n", true },
		{ "404 Not Found\r\n", false },
	};

	for (size_t i = 0; i < 3; i++) {
		setup(NULL);
		agent_add("a", "4930^^^", "1000");
		trouble = rows[i].text;
		f.registrar = has_trouble;
		start();
		run(15 * SECOND);
		if (rows[i].slow != (f.seen_n < 60))
			fail_msg("%s: %zu", trouble, f.seen_n);
		teardown(NULL);
	}
	(void)s;
}

static void a_backlog_of_ten_minutes_is_major(void **s)
{
	struct search found = { .name = "registration-backlog" };

	f.sip->registration_rate = 1;
	agent_add("a", "4930^^^", "1000");
	start();
	run(500 * SECOND);
	alarms_walk(false, look, &found);
	assert_int_equal(found.severity, ALARM_MINOR);
	run(150 * SECOND);
	alarms_walk(false, look, &found);
	assert_int_equal(found.severity, ALARM_MAJOR);
	(void)s;
}

static void a_backlog_is_told(void **s)
{
	f.sip->registration_rate = 1;
	agent_add("a", "4930^^^", "200");
	start();
	run(30 * SECOND);
	assert_int_equal(alarms("registration-backlog"), 0);
	run(60 * SECOND);
	assert_int_equal(alarms("registration-backlog"), 1);
	run(200 * SECOND);
	assert_int_equal(alarms("registration-backlog"), 0);
	(void)s;
}

/* Restart ------------------------------------------------------------------------ */

/* 7.2, 4 */
static void after_a_crash_nothing_is_sent_that_is_not_due(void **s)
{
	char callid[64];
	uint32_t cseq = 0;
	uint64_t refresh;

	agent_add("a", "493010^", "10");
	start();
	run(100 * SECOND);
	assert_int_equal(in_state(SUR_REGISTERED), 10);
	strcpy(callid, f.seen[0].callid);
	for (size_t i = 0; i < f.seen_n; i++)
		if (!strcmp(f.seen[i].callid, callid))
			cseq = f.seen[i].cseq;
	refresh = fake_row("4930100@a.trunk.example")->refresh;
	die();
	fake_clock_advance(60 * SECOND);

	f.seen_n = 0;
	start();
	assert_int_equal(in_state(SUR_REGISTERED), 10);
	assert_true(view(5).bound);
	assert_string_equal(view(5).contact, "sip:a-4930105@127.0.0.1");
	assert_non_null(view(5).target);
	run(130 * SECOND);
	assert_int_equal(f.seen_n, 0);
	run(300 * SECOND);
	assert_int_equal(f.seen_n, 10);
	for (size_t i = 0; i < f.seen_n; i++) {
		if (strcmp(f.seen[i].callid, callid) != 0)
			continue;
		assert_true(f.seen[i].cseq > cseq);
		assert_true(clock_wall() - (clock_ms() - f.seen[i].at) / 1000 +
				    2 >
			    refresh);
		callid[0] = '\0';
	}
	assert_string_equal(callid, "");
	(void)s;
}

static void cseq_never_falls_however_often_it_crashes(void **s)
{
	uint32_t cseq = 0;

	agent_add("a", "493010^", "1");
	for (int i = 0; i < 5; i++) {
		start();
		for (int k = 0; k < 40 * i; k++) {
			surrogates_notify(f.s, f.a, 0, false);
			run(SECOND);
			assert_true(last()->cseq > cseq);
			cseq = last()->cseq;
		}
		run(SECOND);
		die();
	}
	(void)s;
}

/* 4.7: written at most 1 s late, so each number was reserved in a row that is
 * older than the REGISTER before */
static void each_cseq_was_reserved_two_registers_before(void **s)
{
	uint32_t then = 0, now;

	one_agent();
	run(SECOND);
	now = fake_row("4930100@a.trunk.example")->cseq_reserved;
	for (int k = 0; k < 200; k++) {
		if (then)
			assert_true(last()->cseq < then);
		then = now;
		now = fake_row("4930100@a.trunk.example")->cseq_reserved;
		surrogates_notify(f.s, f.a, 0, false);
		run(SECOND);
	}
	(void)s;
}

/* 4.7: "bindings with the same AoR, registrar and contact are valid at once" */
static void a_binding_at_another_registrar_is_none_after_a_restart(void **s)
{
	config_add(f.cfg, &element_session_agent, "hostname", "other.example",
		   "realm-id", "trunk", NULL);
	fake_name("other.example", "127.0.0.19:5060", NULL);
	one_agent();
	run(SECOND);
	assert_state(SUR_REGISTERED);
	die();
	item_set(&element_surrogate_agent, f.a, "proxy-name", "other.example");
	f.seen_n = 0;
	start();
	assert_false(view(0).bound);
	run(SECOND);
	assert_int_equal(f.seen_n, 1);
	assert_string_equal(last()->target, "127.0.0.19:5060");
	(void)s;
}

static const char *not_found(const struct seen *r);

/* 4.4: "times a random factor 0.75-1.25" */
static void pauses_differ(void **s)
{
	uint32_t low = UINT32_MAX, high = 0;

	agent_add("a", "49301^^", "40");
	f.registrar = not_found;
	start();
	run(5 * SECOND);
	for (size_t i = 0; i < f.seen_n; i++) {
		const struct registration *r = surrogates_find(
			f.s, &(struct owner){ f.a, (uint32_t)i });
		uint32_t pause = (uint32_t)(r->next - f.seen[i].at);

		low = pause < low ? pause : low;
		high = pause > high ? pause : high;
	}
	assert_in_range(low, 22500, 27000);
	assert_in_range(high, 33000, 37500);
	(void)s;
}

static void what_ran_out_meanwhile_is_due_and_a_step_back_makes_all_due(
	void **s)
{
	one_agent();
	run(SECOND);
	die();
	fake_clock_advance(1000 * SECOND);
	f.seen_n = 0;
	start();
	assert_state(SUR_WAITING);
	assert_false(view(0).bound);
	run(SECOND);
	assert_state(SUR_REGISTERED);
	die();

	fake_registrations_written(clock_wall());
	fake_clock_step(-7200);
	f.seen_n = 0;
	start();
	assert_true(view(0).bound);
	run(SECOND);
	assert_int_equal(f.seen_n, 1);
	fake_clock_step(7200);
	(void)s;
}

static void a_refused_aor_stays_refused_over_a_restart(void **s)
{
	f.registrar = refuses;
	one_agent();
	run(SECOND);
	die();
	f.seen_n = 0;
	start();
	assert_state(SUR_REFUSED);
	run(290 * SECOND);
	assert_int_equal(f.seen_n, 0);
	run(50 * SECOND);
	assert_int_equal(f.seen_n, 2);
	(void)s;
}

static void rows_of_agents_that_are_gone_are_dropped(void **s)
{
	agent_add("a", "493010^", "3");
	start();
	run(SECOND);
	assert_int_equal(fake_rows(), 3);
	die();
	config_give(f.cfg);
	build();
	agent_add("b", "493010^", "1");
	start();
	run(SECOND);
	assert_int_equal(fake_rows(), 1);
	(void)s;
}

/* Leaving ------------------------------------------------------------------------- */

static const char *leaves(const struct seen *r)
{
	return strtoul(r->expires, NULL, 10) ? challenges_once(r)
	       : *r->auth                    ? "200 OK\r\n"
					     : challenges_once(r);
}

/* 7.2, 14 */
static void disabling_an_agent_unregisters_where_that_is_wanted(void **s)
{
	agent_add("a", "493010^", "10");
	item_set(&element_surrogate_agent, f.a, "un-register", "enabled");
	f.registrar = leaves;
	start();
	run(SECOND * 5);
	f.seen_n = 0;
	change_agent("state", "disabled");
	assert_int_equal(in_state(SUR_LEAVING), 10);
	run(5 * SECOND);
	assert_state(SUR_DISABLED);
	assert_int_equal(f.seen_n, 10);
	for (size_t i = 0; i < f.seen_n; i++) {
		assert_string_equal(f.seen[i].expires, "0");
		assert_non_null(strstr(f.seen[i].contact, "@127.0.0.1>"));
		assert_null(strchr(f.seen[i].contact, '*'));
	}

	change_agent("state", "enabled");
	run(5 * SECOND);
	assert_int_equal(in_state(SUR_REGISTERED), 10);
	change_agent("un-register", "disabled");
	f.seen_n = 0;
	change_agent("state", "disabled");
	run(1000 * SECOND);
	assert_int_equal(f.seen_n, 0);
	assert_state(SUR_DISABLED);
	(void)s;
}

static void a_deleted_agent_leaves_and_is_forgotten(void **s)
{
	agent_add("a", "493010^", "10");
	item_set(&element_surrogate_agent, f.a, "un-register", "enabled");
	f.registrar = leaves;
	start();
	run(5 * SECOND);
	f.seen_n = 0;
	change_to(&element_surrogate_agent, NULL, f.a);
	run(5 * SECOND);
	assert_int_equal(f.seen_n, 10);
	assert_int_equal(fake_rows(), 0);
	for (int i = 0; i < SUR_STATES; i++)
		assert_int_equal(in_state((enum surrogate_state)i), 0);
	(void)s;
}

static void fewer_or_other_numbers_keep_what_is_left(void **s)
{
	agent_add("a", "493010^", "10");
	item_set(&element_surrogate_agent, f.a, "un-register", "enabled");
	f.registrar = leaves;
	start();
	run(5 * SECOND);
	f.seen_n = 0;
	change_agent("aor-count", "7");
	run(5 * SECOND);
	assert_int_equal(f.seen_n, 3);
	assert_int_equal(in_state(SUR_REGISTERED), 7);

	f.seen_n = 0;
	change_agent("count-start", "2");
	run(5 * SECOND);
	assert_int_equal(in_state(SUR_REGISTERED), 7);
	/* 0 and 1 leave, 7 and 8 come */
	assert_int_equal(f.seen_n, 4);
	assert_string_equal(view(0).contact, "sip:a-4930102@127.0.0.1");
	assert_string_equal(view(6).contact, "sip:a-4930108@127.0.0.1");
	assert_int_equal(fake_rows(), 7);
	(void)s;
}

static void a_new_contact_comes_before_the_old_one_goes(void **s)
{
	agent_add("a", "493010^", "1");
	item_set(&element_surrogate_agent, f.a, "un-register", "enabled");
	f.registrar = leaves;
	start();
	run(5 * SECOND);
	f.seen_n = 0;
	change_agent("register-contact-user", "new^");
	run(5 * SECOND);
	assert_int_equal(f.seen_n, 2);
	assert_string_equal(f.seen[0].contact,
			    "<sip:new0@127.0.0.1>;expires=600");
	assert_string_equal(f.seen[1].contact,
			    "<sip:a-4930100@127.0.0.1>;expires=0");
	assert_state(SUR_REGISTERED);
	assert_string_equal(view(0).contact, "sip:new0@127.0.0.1");
	run(600 * SECOND);
	assert_string_equal(last()->contact,
			    "<sip:new0@127.0.0.1>;expires=600");
	(void)s;
}

/* A short one stands in the registration itself, a long one beside it */
static void a_contact_of_any_length_gives_way_to_another(void **s)
{
	static const size_t lengths[] = { 1, 40, 2, 31, 32, 33, 34, 3, 100 };

	agent_add("a", "493010^", "1");
	item_set(&element_surrogate_agent, f.a, "un-register", "enabled");
	f.registrar = leaves;
	start();
	run(5 * SECOND);
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		char user[128], before[192], now[192];
		int n = (int)lengths[i];

		memset(user, 'b' + (int)i, sizeof(user));
		user[n] = '^';
		user[n + 1] = '\0';
		assert_true(re_snprintf(before, sizeof(before),
					"<%s>;expires=0", view(0).contact) > 0);
		f.seen_n = 0;
		change_agent("register-contact-user", user);
		run(5 * SECOND);

		user[n] = '\0';
		assert_true(re_snprintf(now, sizeof(now), "sip:%s0@127.0.0.1",
					user) > 0);
		assert_string_equal(view(0).contact, now);
		assert_string_equal(last()->contact, before);
	}
	(void)s;
}

static bool stopped;
static void note_stop(void *arg)
{
	(void)arg;
	stopped = true;
}

static void an_orderly_end_leaves_at_ten_times_the_rate_or_sends_nothing(
	void **s)
{
	f.sip->registration_rate = 10;
	agent_add("a", "49301^^", "100");
	f.registrar = leaves;
	start();
	run(30 * SECOND);
	assert_int_equal(in_state(SUR_REGISTERED), 100);
	f.seen_n = 0;
	stopped = false;
	surrogates_stop(f.s, 5000, note_stop, NULL);
	run(10);
	assert_true(stopped);
	assert_int_equal(f.seen_n, 0);
	die();

	item_set(&element_surrogate_agent, f.a, "un-register", "enabled");
	start();
	f.seen_n = 0;
	stopped = false;
	surrogates_stop(f.s, 5000, note_stop, NULL);
	run(2 * SECOND);
	assert_true(stopped);
	assert_in_range(f.seen_n, 100, 102);
	(void)s;
}

static void an_end_that_takes_too_long_is_cut(void **s)
{
	agent_add("a", "493010^", "5");
	item_set(&element_surrogate_agent, f.a, "un-register", "enabled");
	start();
	run(5 * SECOND);
	f.registrar = NULL;
	stopped = false;
	surrogates_stop(f.s, 3000, note_stop, NULL);
	run(2900);
	assert_false(stopped);
	run(200);
	assert_true(stopped);
	(void)s;
}

static void an_operator_sends_an_aor_away_and_calls_it_back(void **s)
{
	agent_add("a", "493010^", "3");
	f.registrar = leaves;
	start();
	run(5 * SECOND);
	f.seen_n = 0;
	assert_int_equal(surrogates_notify(f.s, f.a, 1, true), 0);
	run(SECOND);
	assert_int_equal(f.seen_n, 1);
	assert_int_equal(in_state(SUR_DISABLED), 1);
	assert_int_equal(surrogates_notify(f.s, f.a, UINT32_MAX, false), 0);
	run(SECOND);
	assert_int_equal(in_state(SUR_REGISTERED), 3);
	assert_int_equal(surrogates_notify(f.s, f.a, 3, false), ENOENT);
	(void)s;
}

/* Triggered ------------------------------------------------------------------------ */

/* 7.2, 13 */
static void triggered_agents_wait_for_their_pbx(void **s)
{
	agent_add("a", "493010^", "10");
	item_set(&element_surrogate_agent, f.a, "register-mode", "triggered");
	start();
	run(100 * SECOND);
	assert_state(SUR_IDLE);
	assert_int_equal(f.seen_n, 0);
	assert_int_equal(surrogates_silent(f.s, f.a), 503);

	surrogates_active(f.s, f.a);
	run(SECOND);
	assert_state(SUR_REGISTERED);
	assert_int_equal(surrogates_silent(f.s, f.a), 0);

	for (int i = 0; i < 10; i++) {
		run(20 * SECOND);
		surrogates_active(f.s, f.a);
	}
	assert_state(SUR_REGISTERED);
	f.seen_n = 0;
	run(31 * SECOND);
	assert_state(SUR_SILENT);
	assert_int_equal(alarms("surrogate-silent"), 1);
	assert_int_equal(surrogates_silent(f.s, f.a), 503);
	assert_int_equal(f.seen_n, 0);

	surrogates_active(f.s, f.a);
	run(SECOND);
	assert_state(SUR_REGISTERED);
	assert_int_equal(alarms("surrogate-silent"), 0);
	item_set(&element_surrogate_agent, f.a, "triggered-oos-response",
		 "dropresponse");
	run(40 * SECOND);
	assert_int_equal(surrogates_silent(f.s, f.a), UINT16_MAX);
	(void)s;
}

/* 4.8: "calls in progress count as activity" */
static void a_call_keeps_its_pbx_awake(void **s)
{
	agent_add("a", "493010^", "1");
	item_set(&element_surrogate_agent, f.a, "register-mode", "triggered");
	start();
	surrogates_active(f.s, f.a);
	run(SECOND);
	assert_state(SUR_REGISTERED);
	surrogates_call(f.s, f.a, 1);
	surrogates_call(f.s, f.a, 1);
	run(100 * SECOND);
	surrogates_call(f.s, f.a, -1);
	run(100 * SECOND);
	assert_state(SUR_REGISTERED);
	assert_int_equal(surrogates_silent(f.s, f.a), 0);
	surrogates_call(f.s, f.a, -1);
	run(29 * SECOND);
	assert_state(SUR_REGISTERED);
	run(3 * SECOND);
	assert_state(SUR_SILENT);
	assert_int_equal(surrogates_silent(f.s, f.a), 503);
	(void)s;
}

static void a_silent_pbx_is_unregistered_and_comes_back(void **s)
{
	agent_add("a", "49301^^", "100");
	item_set(&element_surrogate_agent, f.a, "register-mode", "triggered");
	item_set(&element_surrogate_agent, f.a, "un-register", "enabled");
	f.registrar = leaves;
	start();
	surrogates_active(f.s, f.a);
	run(20 * SECOND);
	assert_state(SUR_REGISTERED);
	f.seen_n = 0;
	run(15 * SECOND);
	assert_state(SUR_SILENT);
	assert_int_equal(f.seen_n, 100);

	/* activity while they leave */
	surrogates_active(f.s, f.a);
	run(20 * SECOND);
	assert_state(SUR_REGISTERED);
	run(10500);
	assert_true(in_state(SUR_LEAVING) > 0);
	surrogates_active(f.s, f.a);
	run(15 * SECOND);
	assert_state(SUR_REGISTERED);
	(void)s;
}

static void the_first_aor_that_is_registered_owns_what_comes(void **s)
{
	struct identity_live live = { 0 };
	struct owner who = { 0 };

	agent_add("a", "493010^", "10");
	f.registrar = challenges_once;
	start();
	surrogates_identity(f.s, &live);
	who.agent = f.a;
	assert_int_equal(live.first(&who, live.arg), ENOENT);
	run(10 * SECOND);
	assert_int_equal(live.first(&who, live.arg), 0);
	assert_int_equal(who.number, 0);
	(void)s;
}

/* Service-Route, P-Associated-URI ---------------------------------------------------- */

static const char *services(const struct seen *r)
{
	return grant(r, 600,
		     "Service-Route: <sip:edge.trunk.example;lr>\r\n"
		     "Service-Route: <sip:two.trunk.example;lr>\r\n"
		     "P-Associated-URI: <sip:+49-30-77@a.trunk.example>, "
		     "<tel:+493088>, <sip:x@other.example>\r\n");
}

static bool owns(const char *realm, const char *text)
{
	struct identity_live live;
	struct owner who = { NULL, 0 };
	struct pl pl = pl_text(text);
	struct uri uri;

	surrogates_identity(f.s, &live);
	assert_int_equal(uri_read(&uri, &pl), 0);

	return !live.associated(&who, realm_named(f.plan->realms, realm), &uri,
				live.arg) &&
	       who.agent == f.a;
}

/* 7.2, 24 */
static void service_routes_and_associated_uris_are_kept(void **s)
{
	f.registrar = services;
	one_agent();
	run(SECOND);
	assert_string_equal(view(0).service_route,
			    "<sip:edge.trunk.example;lr>, "
			    "<sip:two.trunk.example;lr>");
	assert_true(owns("pbx-a", "sip:+493077@a.trunk.example"));
	assert_true(owns("pbx-a", "tel:+49(30)88"));
	/* a number counts at the hosts of the agent only (5.1) */
	assert_true(owns("pbx-a", "sip:+493088@a.trunk.example"));
	assert_false(owns("pbx-a", "sip:+493088@anything.example"));
	assert_false(owns("pbx-a", "sip:+493077@b.trunk.example"));
	assert_false(owns("pbx-a", "sip:y@other.example"));
	/* another tenant asks */
	assert_false(owns("pbx-b", "sip:+493077@a.trunk.example"));

	/* 4.7: they outlive a restart */
	die();
	start();
	assert_string_equal(view(0).service_route,
			    "<sip:edge.trunk.example;lr>, "
			    "<sip:two.trunk.example;lr>");
	assert_true(owns("pbx-a", "sip:+493077@a.trunk.example"));

	f.registrar = grants;
	assert_true(until_next(600 * SECOND) != UINT64_MAX);
	run(100);
	assert_string_equal(view(0).service_route, "");
	assert_false(owns("pbx-a", "sip:+493077@a.trunk.example"));
	(void)s;
}

static void the_registrar_and_its_realm_are_known(void **s)
{
	const struct realm *trunk, *pbx;
	struct sa sa = sa_of("127.0.0.11:5060"),
		  other = sa_of("127.0.0.12:5060");
	struct pl realm = pl_text("trunk.example"), no = pl_text("x");

	f.registrar = challenges_once;
	one_agent();
	trunk = realm_named(f.plan->realms, "trunk");
	pbx = realm_named(f.plan->realms, "pbx-a");
	assert_false(surrogates_knows_realm(f.s, f.a, "trunk", &realm));
	run(SECOND);
	assert_true(surrogates_knows_realm(f.s, f.a, "trunk", &realm));
	assert_false(surrogates_knows_realm(f.s, f.a, "trunk", &no));
	assert_false(surrogates_knows_realm(f.s, f.a, "pbx-a", &realm));
	assert_true(surrogates_is_registrar(f.s, f.a, trunk, &sa));
	assert_false(surrogates_is_registrar(f.s, f.a, trunk, &other));
	assert_false(surrogates_is_registrar(f.s, f.a, pbx, &sa));
	(void)s;
}

/* 6.1, row 3a: only realms of the registrar that the agent has */
static void the_realms_of_a_former_registrar_are_forgotten(void **s)
{
	struct pl realm = pl_text("trunk.example");

	config_add(f.cfg, &element_session_agent, "hostname", "other.example",
		   "realm-id", "trunk", NULL);
	fake_name("other.example", "127.0.0.19:5060", NULL);
	f.registrar = challenges_once;
	one_agent();
	run(SECOND);
	change_agent("description", "the same one");
	assert_true(surrogates_knows_realm(f.s, f.a, "trunk", &realm));

	f.registrar = grants;
	change_agent("proxy-name", "other.example");
	run(SECOND);
	assert_state(SUR_REGISTERED);
	assert_string_equal(last()->target, "127.0.0.19:5060");
	assert_false(surrogates_knows_realm(f.s, f.a, "trunk", &realm));
	(void)s;
}

static void count_row(const struct registration_report *r, void *arg)
{
	uint32_t *n = arg;

	assert_int_equal(r->owner.number, *n % 10);
	(*n)++;
}

static void all_are_walked_in_slices_in_their_order(void **s)
{
	size_t at = 0;
	uint32_t n = 0;

	agent_add("a", "493010^", "10");
	agent_add("b", "493010^", "10");
	start();
	do {
		at = surrogates_walk(f.s, at, 3, count_row, &n);
	} while (at);
	assert_int_equal(n, 20);
	(void)s;
}

static void an_agent_without_egress_realm_waits_and_is_mended(void **s)
{
	agent_add("a", "493010^", "2");
	item_set(&element_surrogate_agent, f.a, "proxy-name", "");
	start();
	run(SECOND);
	assert_state(SUR_WAITING);
	assert_int_equal(f.seen_n, 0);
	change_agent("proxy-name", "trunk.example");
	run(SECOND);
	assert_state(SUR_REGISTERED);
	(void)s;
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_register_looks_as_it_should),
		TEST(a_challenge_is_answered_and_the_nonce_serves_the_others),
		TEST(refreshes_come_at_random_points_of_50_to_90_percent),
		TEST(ten_seconds_are_refreshed_after_five),
		TEST(a_binding_ends_on_time_while_its_refresh_is_out),
		TEST(a_423_is_obeyed_at_once_and_for_good),
		TEST(a_second_423_is_a_failure),
		TEST(refused_credentials_wait_300_s_and_double),
		TEST(one_tenant_refused_does_not_touch_the_other),
		TEST(a_register_without_password_is_refused),
		TEST(stale_is_no_failure),
		TEST(an_unknown_scheme_is_a_failure),
		TEST(a_503_with_retry_after_is_waited_for),
		TEST(a_second_address_is_tried_at_once),
		TEST(a_3xx_is_followed_once),
		TEST(only_the_own_contact_counts),
		TEST(a_200_without_the_own_contact_or_with_0_s_is_a_failure),
		TEST(a_420_leaves_path_out_from_then_on),
		TEST(failures_back_off_and_the_third_raises),
		TEST(a_failure_gets_worse_with_the_last_binding),
		TEST(it_gives_up_when_told_so_and_an_order_ends_that),
		TEST(a_binding_outlives_a_registrar_that_is_down),
		TEST(when_it_is_back_all_others_follow_at_once),
		TEST(a_registrar_that_is_back_is_not_overrun),
		TEST(a_transport_that_refuses_is_a_failure_and_not_the_end),
		TEST(dns_may_answer_late_or_never),
		TEST(no_second_holds_more_registers_than_the_rate),
		TEST(no_agent_takes_more_than_every_second_token),
		TEST(who_comes_later_has_every_second_token),
		cmocka_unit_test(a_registrar_in_trouble_is_asked_slowly),
		TEST(a_backlog_of_ten_minutes_is_major),
		TEST(a_backlog_is_told),
		TEST(after_a_crash_nothing_is_sent_that_is_not_due),
		TEST(cseq_never_falls_however_often_it_crashes),
		TEST(each_cseq_was_reserved_two_registers_before),
		TEST(a_binding_at_another_registrar_is_none_after_a_restart),
		TEST(pauses_differ),
		TEST(what_ran_out_meanwhile_is_due_and_a_step_back_makes_all_due),
		TEST(a_refused_aor_stays_refused_over_a_restart),
		TEST(rows_of_agents_that_are_gone_are_dropped),
		TEST(disabling_an_agent_unregisters_where_that_is_wanted),
		TEST(a_deleted_agent_leaves_and_is_forgotten),
		TEST(fewer_or_other_numbers_keep_what_is_left),
		TEST(a_new_contact_comes_before_the_old_one_goes),
		TEST(a_contact_of_any_length_gives_way_to_another),
		TEST(an_orderly_end_leaves_at_ten_times_the_rate_or_sends_nothing),
		TEST(an_end_that_takes_too_long_is_cut),
		TEST(an_operator_sends_an_aor_away_and_calls_it_back),
		TEST(triggered_agents_wait_for_their_pbx),
		TEST(a_call_keeps_its_pbx_awake),
		TEST(a_silent_pbx_is_unregistered_and_comes_back),
		TEST(the_first_aor_that_is_registered_owns_what_comes),
		TEST(service_routes_and_associated_uris_are_kept),
		TEST(the_registrar_and_its_realm_are_known),
		TEST(the_realms_of_a_former_registrar_are_forgotten),
		TEST(all_are_walked_in_slices_in_their_order),
		TEST(an_agent_without_egress_realm_waits_and_is_mended),
	};
	int err = libre_init();

	if (err)
		return 1;
	err = cmocka_run_group_tests(tests, NULL, NULL);
	libre_close();

	return err;
}
