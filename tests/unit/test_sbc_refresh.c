/*
 * Session timers: the rows of behaviour.md 3.7 (RFC 4028), in virtual time
 */
#include "sbc/clock.h"
#include "tests/unit/core_fixture.h"

#define UPDATES   "Allow: INVITE, ACK, BYE, CANCEL, UPDATE\r\n"
#define SUPPORTED "Supported: timer\r\n"

static struct session_timer_profile *profile(const char *realm)
{
	struct session_timer_profile *p = config_add(
		core.cfg, &element_session_timer_profile, "name", realm,
		"session-expires", "600", "min-se", "120", NULL);
	size_t n = config_count(core.cfg, &element_sip_interface);

	for (size_t i = 0; i < n; i++) {
		void *iface =
			(void *)config_at(core.cfg, &element_sip_interface, i);

		if (!strcmp(((struct sip_interface *)iface)->realm_id, realm))
			item_set(&element_sip_interface, iface,
				 "session-timer-profile", realm);
	}
	return p;
}

static bool value_is(const struct message *msg, enum header_id id,
		     const char *text)
{
	struct pl value = message_value(msg, id);

	if (pl_strcmp(&value, text))
		print_message("%s is \"%.*s\", not \"%s\"\n",
			      header_id_name(id), (int)value.l, value.p, text);
	return !pl_strcmp(&value, text);
}

static void both_hear_bye(void)
{
	peer_request(&pbx, "BYE");
	peer_request(&trunk, "BYE");
}

/* --- Without a profile ----------------------------------------------------- */

static void the_headers_and_422_pass_from_end_to_end(void **s)
{
	struct message *invite, *m;
	(void)s;

	core_start();
	peer_calls(&pbx, "sip:0301234@127.0.0.2",
		   SUPPORTED "Session-Expires: 100;refresher=uac\r\n"
			     "Min-SE: 95\r\n",
		   SDP_PBX);
	invite = peer_request(&trunk, "INVITE");
	assert_true(value_is(invite, HDR_SESSION_EXPIRES, "100;refresher=uac"));
	assert_true(value_is(invite, HDR_MIN_SE, "95"));
	assert_true(message_has_token(invite, HDR_SUPPORTED, "timer"));
	peer_answers(&trunk, invite, 422, "Min-SE: 900\r\n", NULL);
	m = peer_answer(&pbx, 422);
	assert_true(value_is(m, HDR_MIN_SE, "900"));
	assert_true(peer_hears_no(&trunk, "INVITE"));
}

static void an_agreed_interval_without_refresh_is_a_dead_call(void **s)
{
	(void)s;

	core_start();
	core_call_with(SUPPORTED "Session-Expires: 300\r\n",
		       "Session-Expires: 300;refresher=uac\r\n");
	core_run(267999);
	assert_true(peer_hears_nothing(&pbx));
	core_run(2);
	both_hear_bye();
}

static void without_an_agreed_interval_no_call_is_dead(void **s)
{
	(void)s;

	core_start();
	core_call_with(SUPPORTED "Session-Expires: 300\r\n", NULL);
	core_run(80000000);
	assert_true(peer_hears_nothing(&pbx));
	assert_true(peer_hears_nothing(&trunk));
}

static void a_refresh_of_either_side_keeps_the_call_alive(void **s)
{
	static const char *const methods[] = { "UPDATE", "INVITE" };
	(void)s;

	core_start();
	core_call_with(SUPPORTED "Session-Expires: 300\r\n",
		       "Session-Expires: 300;refresher=uac\r\n");
	for (size_t i = 0; i < 8; i++) {
		struct peer *from = i / 2 % 2 ? &trunk : &pbx;
		struct peer *to = i / 2 % 2 ? &pbx : &trunk;
		const char *sdp = i / 2 % 2 ? SDP_TRUNK : SDP_PBX;
		const char *answer = i / 2 % 2 ? SDP_PBX : SDP_TRUNK;
		bool invite = i % 2;
		struct message *m;

		core_run(200000);
		peer_says(from, methods[i % 2],
			  "Session-Expires: 300;refresher=uac\r\n" SUPPORTED,
			  invite ? sdp : NULL);
		m = peer_request(to, methods[i % 2]);
		assert_true(
			value_is(m, HDR_SESSION_EXPIRES, "300;refresher=uac"));
		peer_answers(to, m, 200,
			     "Session-Expires: 300;refresher=uac\r\n",
			     invite ? answer : NULL);
		peer_answer(from, 200);
		if (invite)
			peer_acks(from, NULL);
	}
	core_run(267000);
	assert_true(peer_hears_no(&pbx, "BYE"));
	core_run(2000);
	both_hear_bye();
}

static void a_short_interval_ends_a_third_before_its_end(void **s)
{
	(void)s;

	core_start();
	core_call_with(SUPPORTED "Session-Expires: 90\r\n",
		       "Session-Expires: 90;refresher=uas\r\n");
	core_run(59999);
	assert_true(peer_hears_nothing(&pbx));
	core_run(2);
	both_hear_bye();
}

/* --- With a profile: the called side ---------------------------------------- */

static void a_profile_asks_on_its_leg_and_the_other_sees_nothing_of_it(void **s)
{
	struct message *invite, *ok;
	(void)s;

	profile("trunk");
	core_start();
	peer_calls(&pbx, "sip:0301234@127.0.0.2",
		   SUPPORTED "Session-Expires: 1800;refresher=uac\r\n",
		   SDP_PBX);
	invite = peer_request(&trunk, "INVITE");
	assert_true(value_is(invite, HDR_SESSION_EXPIRES, "600;refresher=uac"));
	assert_true(value_is(invite, HDR_MIN_SE, "120"));
	assert_true(message_has_token(invite, HDR_SUPPORTED, "timer"));
	peer_answers(&trunk, invite, 200,
		     "Require: timer\r\nSession-Expires: 600;refresher=uac\r\n",
		     SDP_TRUNK);
	ok = peer_answer(&pbx, 200);
	assert_null(message_first(ok, HDR_SESSION_EXPIRES));
	assert_null(message_first(ok, HDR_REQUIRE));
	peer_acks(&pbx, NULL);
}

static void the_sbc_refreshes_with_update_at_half_time(void **s)
{
	struct message *update;
	(void)s;

	profile("trunk");
	core_start();
	core_call_with(NULL, UPDATES "Session-Expires: 600;refresher=uac\r\n");
	for (int i = 0; i < 5; i++) {
		core_run(299999);
		assert_true(peer_hears_nothing(&trunk));
		core_run(2);
		update = peer_request(&trunk, "UPDATE");
		assert_int_equal(update->body.l, 0);
		assert_true(value_is(update, HDR_SESSION_EXPIRES,
				     "600;refresher=uac"));
		peer_answers(&trunk, update, 200,
			     "Session-Expires: 600;refresher=uac\r\n", NULL);
		assert_true(peer_hears_nothing(&pbx));
	}
	assert_int_equal(core_calls(), 1);
}

static uint64_t version_of(const struct message *msg)
{
	const char *o = strstr(msg->body.p, "o=- ");
	struct pl pl;

	assert_non_null(o);
	o = strchr(o + 4, ' ');
	pl.p = o + 1;
	pl.l = strcspn(pl.p, " ");
	return pl_u64(&pl);
}

/* A peer without UPDATE, or force-reinvite */
static void reinvite_row(bool force, const char *allow)
{
	struct session_timer_profile *p = profile("trunk");
	struct message *invite;
	uint64_t version;
	char lines[256], audio[24];

	p->force_reinvite = force;
	core_start();
	snprintf(lines, sizeof(lines),
		 "%sSession-Expires: 600;refresher=uac\r\n", allow);
	peer_calls(&pbx, "sip:0301234@127.0.0.2", NULL, SDP_PBX);
	invite = peer_request(&trunk, "INVITE");
	version = version_of(invite);
	snprintf(audio, sizeof(audio), "%.15s",
		 strstr(invite->body.p, "m=audio "));
	peer_answers(&trunk, invite, 200, lines, SDP_TRUNK);
	peer_answer(&pbx, 200);
	peer_acks(&pbx, NULL);
	peer_forgets(&trunk);
	for (int i = 0; i < 3; i++) {
		core_run(300001);
		invite = peer_request(&trunk, "INVITE");
		assert_int_equal(version_of(invite), version);
		assert_true(body_has(invite, audio));
		peer_answers(&trunk, invite, 200, lines, SDP_TRUNK);
		peer_request(&trunk, "ACK");
	}
	assert_true(peer_hears_nothing(&pbx));
}

static void without_update_it_refreshes_with_the_sdp_of_before(void **s)
{
	(void)s;
	reinvite_row(false, "Allow: INVITE, ACK, BYE\r\n");
}

static void force_reinvite_refreshes_so_always(void **s)
{
	(void)s;
	reinvite_row(true, UPDATES);
}

static void a_peer_that_refuses_update_gets_reinvite(void **s)
{
	(void)s;

	profile("trunk");
	core_start();
	core_call_with(NULL, UPDATES "Session-Expires: 600;refresher=uac\r\n");
	core_run(300001);
	peer_answers(&trunk, peer_request(&trunk, "UPDATE"), 501, NULL, NULL);
	core_run(1);
	peer_request(&trunk, "INVITE");
}

static void a_peer_that_knows_no_timers_is_refreshed_all_the_same(void **s)
{
	(void)s;

	profile("trunk");
	core_start();
	core_call_with(NULL, UPDATES);
	core_run(300001);
	peer_request(&trunk, "UPDATE");
}

static void the_peer_that_is_named_refreshes_or_the_call_ends(void **s)
{
	struct message *ok;
	(void)s;

	profile("trunk");
	core_start();
	core_call_with(NULL, UPDATES "Session-Expires: 600;refresher=uas\r\n");
	core_run(400000);
	assert_true(peer_hears_nothing(&trunk));
	peer_says(&trunk, "UPDATE",
		  SUPPORTED "Session-Expires: 600;refresher=uac\r\n", NULL);
	peer_answers(&pbx, peer_request(&pbx, "UPDATE"), 200, NULL, NULL);
	ok = peer_answer(&trunk, 200);
	assert_true(value_is(ok, HDR_SESSION_EXPIRES, "600;refresher=uac"));
	assert_true(message_has_token(ok, HDR_REQUIRE, "timer"));
	core_run(567999);
	assert_true(peer_hears_no(&trunk, "BYE"));
	core_run(2);
	both_hear_bye();
}

static void a_422_is_answered_once_with_the_min_se_it_names(void **s)
{
	struct message *first, *second;
	(void)s;

	profile("trunk");
	core_start();
	peer_calls(&pbx, "sip:0301234@127.0.0.2", NULL, SDP_PBX);
	first = peer_request(&trunk, "INVITE");
	peer_answers(&trunk, first, 422, "Min-SE: 900\r\n", NULL);
	second = peer_request(&trunk, "INVITE");
	assert_true(value_is(second, HDR_SESSION_EXPIRES, "900;refresher=uac"));
	assert_true(value_is(second, HDR_MIN_SE, "900"));
	assert_int_equal(second->cseq, first->cseq + 1);
	assert_true(peer_hears_no_answer(&pbx, 422));
	peer_answers(&trunk, second, 422, "Min-SE: 1800\r\n", NULL);
	peer_answer(&pbx, 422);
	assert_true(peer_hears_no(&trunk, "INVITE"));
}

static void a_422_to_a_refresh_is_answered_once_too(void **s)
{
	struct message *update;
	(void)s;

	profile("trunk");
	core_start();
	core_call_with(NULL, UPDATES "Session-Expires: 600;refresher=uac\r\n");
	core_run(300001);
	peer_answers(&trunk, peer_request(&trunk, "UPDATE"), 422,
		     "Min-SE: 900\r\n", NULL);
	core_run(1);
	update = peer_request(&trunk, "UPDATE");
	assert_true(value_is(update, HDR_SESSION_EXPIRES, "900;refresher=uac"));
	peer_answers(&trunk, update, 422, "Min-SE: 1800\r\n", NULL);
	core_run(1000);
	assert_true(peer_hears_no(&trunk, "UPDATE"));
}

static void a_422_to_a_relayed_reinvite_stays_on_its_leg(void **s)
{
	struct message *invite;
	(void)s;

	profile("trunk");
	core_start();
	core_call_with(NULL, "Session-Expires: 600;refresher=uac\r\n");
	peer_says(&pbx, "INVITE", NULL, SDP_PBX);
	invite = peer_request(&trunk, "INVITE");
	assert_true(value_is(invite, HDR_SESSION_EXPIRES, "600;refresher=uac"));
	peer_answers(&trunk, invite, 422, "Min-SE: 900\r\n", NULL);
	invite = peer_request(&trunk, "INVITE");
	assert_true(value_is(invite, HDR_SESSION_EXPIRES, "900;refresher=uac"));
	peer_answers(&trunk, invite, 200,
		     "Session-Expires: 900;refresher=uac\r\n", SDP_TRUNK);
	peer_answer(&pbx, 200);
	assert_true(peer_hears_no_answer(&pbx, 422));
}

/* --- With a profile: the caller's side --------------------------------------- */

static void a_smaller_session_expires_gets_422(void **s)
{
	(void)s;

	profile("pbx-a");
	core_start();
	peer_calls(&pbx, "sip:0301234@127.0.0.2",
		   SUPPORTED "Session-Expires: 100\r\n", SDP_PBX);
	assert_true(value_is(peer_answer(&pbx, 422), HDR_MIN_SE, "120"));
	assert_true(peer_hears_nothing(&trunk));
	/* also inside the dialog */
	core_call_with(SUPPORTED "Session-Expires: 200\r\n", NULL);
	peer_says(&pbx, "UPDATE", SUPPORTED "Session-Expires: 100\r\n", NULL);
	assert_true(value_is(peer_answer(&pbx, 422), HDR_MIN_SE, "120"));
	peer_says(&pbx, "INVITE", SUPPORTED "Session-Expires: 100\r\n",
		  SDP_PBX);
	assert_true(value_is(peer_answer(&pbx, 422), HDR_MIN_SE, "120"));
	assert_true(peer_hears_nothing(&trunk));
}

struct grant {
	const char *asks, *gets;
	bool requires;
	int response_refresher;
};

static void the_caller_gets_what_both_can_bear(void **s)
{
	static const struct grant rows[] = {
		{ "", "600;refresher=uas", false, 1 },
		{ "", "600;refresher=uas", false, 0 },
		{ SUPPORTED, "600;refresher=uas", false, 1 },
		{ SUPPORTED, "600;refresher=uac", true, 0 },
		{ SUPPORTED "Session-Expires: 300\r\n", "300;refresher=uas",
		  false, 1 },
		{ SUPPORTED "Session-Expires: 1800;refresher=uac\r\n",
		  "600;refresher=uac", true, 1 },
		{ SUPPORTED "Session-Expires: 1800;refresher=uas\r\n",
		  "600;refresher=uas", false, 0 },
		{ SUPPORTED "Session-Expires: 1800\r\nMin-SE: 900\r\n",
		  "900;refresher=uas", false, 1 },
		{ "Session-Expires: 100\r\n", "120;refresher=uas", false, 1 },
	};

	core_teardown(s);
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct message *invite, *ok;

		core_setup(s);
		profile("pbx-a")->response_refresher =
			(uint8_t)rows[i].response_refresher;
		core_start();
		peer_calls(&pbx, "sip:0301234@127.0.0.2", rows[i].asks,
			   SDP_PBX);
		invite = peer_request(&trunk, "INVITE");
		assert_null(message_first(invite, HDR_SESSION_EXPIRES));
		assert_null(message_first(invite, HDR_MIN_SE));
		assert_false(message_has_token(invite, HDR_SUPPORTED, "timer"));
		peer_answers(&trunk, invite, 200, NULL, SDP_TRUNK);
		ok = peer_answer(&pbx, 200);
		assert_true(value_is(ok, HDR_SESSION_EXPIRES, rows[i].gets));
		assert_int_equal(message_has_token(ok, HDR_REQUIRE, "timer"),
				 rows[i].requires);
		peer_acks(&pbx, NULL);
		core_teardown(s);
	}
	core_setup(s);
	core_start();
}

static void a_refresh_on_both_legs_needs_nothing_of_the_other(void **s)
{
	(void)s;

	profile("pbx-a");
	profile("trunk");
	core_start();
	core_call_with(SUPPORTED UPDATES
		       "Session-Expires: 400;refresher=uas\r\n",
		       UPDATES "Session-Expires: 600;refresher=uac\r\n");
	core_run(200001);
	peer_answers(&pbx, peer_request(&pbx, "UPDATE"), 200,
		     "Session-Expires: 400;refresher=uac\r\n", NULL);
	assert_true(peer_hears_nothing(&trunk));
	core_run(100001);
	peer_answers(&trunk, peer_request(&trunk, "UPDATE"), 200,
		     "Session-Expires: 600;refresher=uac\r\n", NULL);
	assert_true(peer_hears_nothing(&pbx));
}

/* --- Refreshes that fail ------------------------------------------------------ */

static void a_dead_peer_ends_the_call_at_its_refresh(void **s)
{
	static const uint16_t codes[] = { 408, 481, 0 };

	core_teardown(s);
	for (size_t i = 0; i < 3; i++) {
		struct message *update;

		core_setup(s);
		profile("trunk");
		core_start();
		core_call_with(NULL, UPDATES
			       "Session-Expires: 600;refresher=uac\r\n");
		core_run(300001);
		update = peer_request(&trunk, "UPDATE");
		if (codes[i])
			peer_answers(&trunk, update, codes[i], NULL, NULL);
		else
			core_run(32001);
		peer_request(&pbx, "BYE");
		core_teardown(s);
	}
	core_setup(s);
	core_start();
}

static void another_failure_is_tried_again_until_the_end(void **s)
{
	int n = 0;
	(void)s;

	profile("trunk");
	core_start();
	core_call_with(NULL, UPDATES "Session-Expires: 600;refresher=uac\r\n");
	core_run(300001);
	while (!peer_hears_no(&trunk, "UPDATE")) {
		peer_answers(&trunk, peer_request(&trunk, "UPDATE"), 500, NULL,
			     NULL);
		n++;
		core_run(5001);
	}
	assert_true(n > 40);
	core_run(10000);
	both_hear_bye();
}

/* RFC 3261 14.1: leg B has our Call-ID, leg A the caller's */
static void glare_row(struct peer *peer, const char *realm, uint64_t least,
		      uint64_t most)
{
	uint64_t begin;
	char asks[128] = "";

	profile(realm)->force_reinvite = true;
	core_start();
	if (peer == &pbx)
		strcpy(asks,
		       SUPPORTED "Session-Expires: 600;refresher=uas\r\n");
	core_call_with(asks, peer == &trunk
				     ? "Session-Expires: 600;refresher=uac\r\n"
				     : NULL);
	core_run(300001);
	peer_answers(peer, peer_request(peer, "INVITE"), 491, NULL, NULL);
	peer_forgets(peer);
	begin = clock_ms();
	while (peer_hears_no(peer, "INVITE") && clock_ms() < begin + 10000)
		core_run(1);
	assert_in_range(clock_ms() - begin, least, most + 1);
}

static void after_491_the_sbc_repeats_its_own_and_waits_longer_on_leg_b(
	void **s)
{
	core_teardown(s);
	for (int i = 0; i < 10; i++) {
		core_setup(s);
		glare_row(&trunk, "trunk", 2100, 4000);
		core_teardown(s);
		core_setup(s);
		glare_row(&pbx, "pbx-a", 0, 2000);
		core_teardown(s);
	}
	core_setup(s);
	core_start();
}

static void a_reinvite_that_meets_one_of_the_sbc_gets_491(void **s)
{
	(void)s;

	profile("trunk")->force_reinvite = true;
	core_start();
	core_call_with(NULL, "Session-Expires: 600;refresher=uac\r\n");
	core_run(300001);
	peer_request(&trunk, "INVITE");
	peer_says(&trunk, "INVITE", NULL, SDP_TRUNK);
	peer_answer(&trunk, 491);
	peer_says(&pbx, "INVITE", NULL, SDP_PBX);
	peer_answer(&pbx, 491);
}

#define T(f) cmocka_unit_test_setup_teardown(f, core_setup, core_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(the_headers_and_422_pass_from_end_to_end),
		T(an_agreed_interval_without_refresh_is_a_dead_call),
		T(without_an_agreed_interval_no_call_is_dead),
		T(a_refresh_of_either_side_keeps_the_call_alive),
		T(a_short_interval_ends_a_third_before_its_end),
		T(a_profile_asks_on_its_leg_and_the_other_sees_nothing_of_it),
		T(the_sbc_refreshes_with_update_at_half_time),
		T(without_update_it_refreshes_with_the_sdp_of_before),
		T(force_reinvite_refreshes_so_always),
		T(a_peer_that_refuses_update_gets_reinvite),
		T(a_peer_that_knows_no_timers_is_refreshed_all_the_same),
		T(the_peer_that_is_named_refreshes_or_the_call_ends),
		T(a_422_is_answered_once_with_the_min_se_it_names),
		T(a_422_to_a_refresh_is_answered_once_too),
		T(a_422_to_a_relayed_reinvite_stays_on_its_leg),
		T(a_smaller_session_expires_gets_422),
		T(the_caller_gets_what_both_can_bear),
		T(a_refresh_on_both_legs_needs_nothing_of_the_other),
		T(a_dead_peer_ends_the_call_at_its_refresh),
		T(another_failure_is_tried_again_until_the_end),
		T(after_491_the_sbc_repeats_its_own_and_waits_longer_on_leg_b),
		T(a_reinvite_that_meets_one_of_the_sbc_gets_491),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
