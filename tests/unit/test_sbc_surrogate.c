/*
 * One registering AoR: its table, its Contact, its pauses
 */
#include <errno.h>
#include <stdio.h>
#include "tests/unit/config_fixture.h"
#include "sbc/register.h"
#include "sbc/retry.h"
#include "sbc/surrogate.h"

static const struct rule *rules(void)
{
	return surrogate_machine.rules;
}

static void no_state_hears_an_event_twice(void **s)
{
	for (const struct rule *a = rules(); a->on; a++)
		for (const struct rule *b = a + 1; b->on; b++)
			if (a->in == b->in && a->on == b->on)
				fail_msg("%s in %s twice",
					 surrogate_machine.events[a->on],
					 surrogate_machine.states[a->in]);
	(void)s;
}

static void every_state_and_event_has_a_name(void **s)
{
	for (int i = 0; i < SUR_STATES; i++)
		assert_non_null(surrogate_machine.states[i]);
	for (int i = 1; i < SUR_EVENTS; i++)
		assert_non_null(surrogate_machine.events[i]);
	for (const struct rule *r = rules(); r->on; r++) {
		assert_in_range(r->in, 0, SUR_STATES - 1);
		assert_in_range(r->to, 0, SUR_STATES - 1);
		assert_in_range(r->on, 1, SUR_EVENTS - 1);
	}
	assert_string_equal(surrogate_state_name(SUR_REFRESHING), "registered");
	assert_string_equal(surrogate_state_name(SUR_GIVEN_UP), "given-up");
	(void)s;
}

static void reach(bool seen[SUR_STATES], uint8_t from)
{
	if (seen[from])
		return;
	seen[from] = true;
	for (const struct rule *r = rules(); r->on; r++)
		if (r->in == from)
			reach(seen, r->to);
}

static void every_state_is_reached_and_leads_back_to_disabled(void **s)
{
	bool seen[SUR_STATES] = { false };

	reach(seen, SUR_DISABLED);
	for (int i = 0; i < SUR_STATES; i++) {
		bool back[SUR_STATES] = { false };

		assert_true(seen[i]);
		reach(back, (uint8_t)i);
		assert_true(back[SUR_DISABLED]);
	}
	(void)s;
}

static bool hears(uint8_t in, uint8_t on, uint8_t to)
{
	for (const struct rule *r = rules(); r->on; r++)
		if (r->in == in && r->on == on)
			return r->to == to;

	return false;
}

/* behaviour.md 4.3, cell by cell, where the cell names a state */
static void the_table_is_that_of_the_specification(void **s)
{
	/* clang-format off */
	static const uint8_t cells[][3] = {
		{ SUR_DISABLED, SUR_ENABLED, SUR_WAITING },
		{ SUR_WAITING, SUR_DUE, SUR_REGISTERING },
		{ SUR_BACKOFF, SUR_DUE, SUR_REGISTERING },
		{ SUR_REFUSED, SUR_DUE, SUR_REGISTERING },
		{ SUR_REGISTERED, SUR_DUE, SUR_REFRESHING },
		{ SUR_REGISTERING, SUR_OK, SUR_REGISTERED },
		{ SUR_REFRESHING, SUR_OK, SUR_REGISTERED },
		{ SUR_REGISTERING, SUR_CHALLENGED, SUR_REGISTERING },
		{ SUR_REFRESHING, SUR_CHALLENGED, SUR_REFRESHING },
		{ SUR_LEAVING, SUR_CHALLENGED, SUR_LEAVING },
		{ SUR_REGISTERING, SUR_REFUSE, SUR_REFUSED },
		{ SUR_REFRESHING, SUR_REFUSE, SUR_REFUSED },
		{ SUR_LEAVING, SUR_REFUSE, SUR_DISABLED },
		{ SUR_REGISTERING, SUR_BRIEF, SUR_REGISTERING },
		{ SUR_REFRESHING, SUR_BRIEF, SUR_REFRESHING },
		{ SUR_LEAVING, SUR_BRIEF, SUR_DISABLED },
		{ SUR_REGISTERING, SUR_ELSEWHERE, SUR_REGISTERING },
		{ SUR_REFRESHING, SUR_ELSEWHERE, SUR_REFRESHING },
		{ SUR_LEAVING, SUR_ELSEWHERE, SUR_LEAVING },
		{ SUR_REGISTERING, SUR_LOST, SUR_REGISTERING },
		{ SUR_REGISTERING, SUR_NO_TARGET, SUR_BACKOFF },
		{ SUR_REFRESHING, SUR_NO_TARGET, SUR_REGISTERED },
		{ SUR_LEAVING, SUR_NO_TARGET, SUR_DISABLED },
		{ SUR_REGISTERING, SUR_FAIL, SUR_BACKOFF },
		{ SUR_REFRESHING, SUR_FAIL, SUR_REGISTERED },
		{ SUR_LEAVING, SUR_FAIL, SUR_DISABLED },
		{ SUR_REGISTERED, SUR_EXPIRED, SUR_WAITING },
		{ SUR_REFRESHING, SUR_EXPIRED, SUR_REGISTERING },
		{ SUR_BACKOFF, SUR_EXHAUSTED, SUR_GIVEN_UP },
		{ SUR_WAITING, SUR_CHANGED, SUR_WAITING },
		{ SUR_BACKOFF, SUR_CHANGED, SUR_WAITING },
		{ SUR_REFUSED, SUR_CHANGED, SUR_WAITING },
		{ SUR_GIVEN_UP, SUR_CHANGED, SUR_WAITING },
		{ SUR_REGISTERED, SUR_ANEW, SUR_REGISTERED },
		{ SUR_IDLE, SUR_ACTIVE, SUR_WAITING },
		{ SUR_SILENT, SUR_ACTIVE, SUR_WAITING },
		{ SUR_WAITING, SUR_QUIET, SUR_SILENT },
		{ SUR_WAITING, SUR_GONE, SUR_DISABLED },
		{ SUR_IDLE, SUR_GONE, SUR_DISABLED },
		{ SUR_SILENT, SUR_GONE, SUR_DISABLED },
		{ SUR_REGISTERED, SUR_LEAVE, SUR_LEAVING },
		{ SUR_IDLE, SUR_ORDER_IN, SUR_WAITING },
		{ SUR_DISABLED, SUR_ORDER_IN, SUR_WAITING },
		{ SUR_GIVEN_UP, SUR_ORDER_IN, SUR_WAITING },
		{ SUR_WAITING, SUR_ORDER_OUT, SUR_DISABLED },
		{ SUR_SILENT, SUR_ORDER_OUT, SUR_DISABLED },
		{ SUR_REGISTERED, SUR_TARGET_GONE, SUR_REGISTERED },
	};
	/* clang-format on */

	for (size_t i = 0; i < sizeof(cells) / sizeof(*cells); i++)
		if (!hears(cells[i][0], cells[i][1], cells[i][2]))
			fail_msg("%s in %s",
				 surrogate_machine.events[cells[i][1]],
				 surrogate_machine.states[cells[i][0]]);
	/* an empty cell: changed credentials leave a binding alone */
	assert_false(hears(SUR_REGISTERED, SUR_CHANGED, SUR_REGISTERED));
	(void)s;
}

static void the_contact_names_the_sending_port(void **s)
{
	/* clang-format off */
	static const struct {
		const char *host, *user, *local;
		enum transport transport;
		const char *expected;
	} rows[] = {
		{ "",              "c^^", "192.0.2.1:5060", TRANSPORT_UDP, "sip:c07@192.0.2.1" },
		{ "",              "",    "192.0.2.1:5062", TRANSPORT_UDP, "sip:4930107@192.0.2.1:5062" },
		{ "sbc.example",   "c^^", "192.0.2.1:5062", TRANSPORT_UDP, "sip:c07@sbc.example:5062" },
		{ "sbc.example:5070", "c^^", "192.0.2.1:5062", TRANSPORT_UDP, "sip:c07@sbc.example:5070" },
		{ "",              "c^^", "192.0.2.1:5060", TRANSPORT_TCP, "sip:c07@192.0.2.1;transport=tcp" },
		{ "",              "c^^", "192.0.2.1:5061", TRANSPORT_TLS, "sip:c07@192.0.2.1;transport=tls" },
		{ "",              "c^^", "192.0.2.1:5060", TRANSPORT_TLS, "sip:c07@192.0.2.1:5060;transport=tls" },
		{ "",              "c^^", "[2001:db8::1]:5060", TRANSPORT_UDP, "sip:c07@[2001:db8::1]" },
		{ "2001:db8::2",   "c^^", "[2001:db8::1]:5062", TRANSPORT_UDP, "sip:c07@[2001:db8::2]:5062" },
		{ "[2001:db8::2]:99", "c^^", "[2001:db8::1]:5062", TRANSPORT_UDP, "sip:c07@[2001:db8::2]:99" },
	};
	/* clang-format on */

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct surrogate_agent agent = {
			.register_user = (char *)"49301^^",
			.register_contact_user = (char *)rows[i].user,
			.register_contact_host = (char *)rows[i].host,
			.register_host = (char *)"a.example",
			.aor_count = 10,
		};
		struct endpoint from = { .local = sa_of(rows[i].local),
					 .transport = rows[i].transport };
		char buf[256];

		assert_true(registration_contact(buf, sizeof(buf), &agent, 7,
						 &from) > 0);
		assert_string_equal(buf, rows[i].expected);
		assert_int_equal(
			registration_contact(buf, 12, &agent, 7, &from), -1);
	}
	(void)s;
}

static void own_is_same_user_host_and_port(void **s)
{
	/* clang-format off */
	static const struct { const char *a, *b; bool own; } rows[] = {
		{ "sip:a-1@127.0.0.1",      "sip:a-1@127.0.0.1",        true },
		{ "sip:a-1@127.0.0.1;ob",   "sip:a-1@127.0.0.1",        true },
		{ "sip:a-1@127.0.0.1:5060", "sip:a-1@127.0.0.1",        true },
		{ "sip:%61-1@127.0.0.1",    "sip:a-1@127.0.0.1",        true },
		{ "sip:a-1@SBC.Example",    "sip:a-1@sbc.example",      true },
		{ "sip:A-1@127.0.0.1",      "sip:a-1@127.0.0.1",        false },
		{ "sip:a-1@127.0.0.1:5062", "sip:a-1@127.0.0.1",        false },
		{ "sip:a-1@127.0.0.2",      "sip:a-1@127.0.0.1",        false },
		{ "sip:a-10@127.0.0.1",     "sip:a-1@127.0.0.1",        false },
		{ "sip:%6@127.0.0.1",       "sip:a-1@127.0.0.1",        false },
		{ "sip:127.0.0.1",          "sip:a-1@127.0.0.1",        false },
		{ "sip:a@h;transport=tls",  "sip:a@h:5061;transport=tls", true },
	};
	/* clang-format on */

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct pl ta = pl_text(rows[i].a), tb = pl_text(rows[i].b);
		struct uri a, b;

		if (uri_read(&a, &ta) || uri_read(&b, &tb))
			assert_false(rows[i].own);
		else if (register_is_own(&a, &b) != rows[i].own)
			fail_msg("%s, %s", rows[i].a, rows[i].b);
	}
	(void)s;
}

static void a_pause_doubles_up_to_an_hour(void **s)
{
	assert_int_equal(retry_pause(30, 1), 30);
	assert_int_equal(retry_pause(30, 2), 60);
	assert_int_equal(retry_pause(30, 7), 1920);
	assert_int_equal(retry_pause(30, 8), 3600);
	assert_int_equal(retry_pause(3600, UINT32_MAX), 3600);
	(void)s;
}

/* quality.md: 1 KiB with its text, and that is about 250 bytes */
static void a_registration_is_small(void **s)
{
	assert_true(sizeof(struct registration) <= 512);
	(void)s;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_state_hears_an_event_twice),
		cmocka_unit_test(every_state_and_event_has_a_name),
		cmocka_unit_test(
			every_state_is_reached_and_leads_back_to_disabled),
		cmocka_unit_test(the_table_is_that_of_the_specification),
		cmocka_unit_test(the_contact_names_the_sending_port),
		cmocka_unit_test(own_is_same_user_host_and_port),
		cmocka_unit_test(a_pause_doubles_up_to_an_hour),
		cmocka_unit_test(a_registration_is_small),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
