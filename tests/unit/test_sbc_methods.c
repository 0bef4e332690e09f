/*
 * Rows that come up at run time count as acli.md 2.2 says: methods, refusals
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include "sbc/clock.h"
#include "sbc/methods.h"
#include "sbc/refusals.h"
#include "tests/unit/fake_clock.h"

/* The first count began the periods at 1,000,000 ms */
static void to_next_period(void)
{
	struct counter_report r;

	fake_clock_advance(100000 - clock_ms() % 100000);
	counter_read(COUNT_REJECTIONS, clock_ms(), &r); /* turns the page */
}

static int fresh(void **s)
{
	(void)s;
	to_next_period();
	return 0;
}

static void assert_tally(const struct tally *t, uint64_t recent, uint64_t total,
			 uint64_t permax)
{
	struct counter_report r;

	tally_read(t, &r);
	assert_int_equal(r.recent, recent);
	assert_int_equal(r.total, total);
	assert_int_equal(r.permax, permax);
}

static void a_tally_agrees_with_a_counter_in_every_period(void **s)
{
	/* Events in each period, among them gaps of one and of two */
	static const unsigned events[] = { 3, 0, 7, 1, 0, 0, 5, 5, 0, 9 };
	struct tally t = { 0 };
	struct counter_report r;
	(void)s;

	counters_reset(NULL, clock_ms());
	for (size_t i = 0; i < sizeof(events) / sizeof(*events); i++) {
		if (events[i]) {
			tally_add(&t, events[i]);
			count(COUNT_REJECTIONS, events[i]);
		}
		counter_read(COUNT_REJECTIONS, clock_ms(), &r);
		assert_tally(&t, r.recent, r.total, r.permax);
		to_next_period();
		counter_read(COUNT_REJECTIONS, clock_ms(), &r);
		assert_tally(&t, r.recent, r.total, r.permax);
	}
	assert_tally(&t, 9, 30, 9);
}

struct seen {
	char text[1024];
	size_t n;
};

static void row_write(const struct method_row *row, void *arg)
{
	struct seen *seen = arg;
	int n = row->event ? snprintf(seen->text + seen->n,
				      sizeof(seen->text) - seen->n, "%s",
				      row->event)
			   : snprintf(seen->text + seen->n,
				      sizeof(seen->text) - seen->n, "%u",
				      row->code);

	seen->n += (size_t)n;
	n = snprintf(seen->text + seen->n, sizeof(seen->text) - seen->n,
		     " %u/%u\n", (unsigned)row->of[AS_SERVER].total,
		     (unsigned)row->of[AS_CLIENT].total);
	seen->n += (size_t)n;
}

static void assert_rows(const struct methods *m, enum method_id method,
			const char *expect)
{
	struct seen seen = { .n = 0 };

	methods_walk(m, method, row_write, &seen);
	assert_string_equal(seen.text, expect);
}

static void codes_stand_in_their_order_and_each_side_by_itself(void **s)
{
	static const uint16_t codes[] = { 407, 200, 100, 200, 699, 180, 603,
					  404, 500, 503, 302, 481, 100 };
	struct methods *m;
	(void)s;

	assert_int_equal(methods_open(&m), 0);
	assert_rows(m, INVITE, "");
	methods_count(m, NULL, INVITE, AS_CLIENT, METHOD_REQUEST);
	for (size_t i = 0; i < sizeof(codes) / sizeof(*codes); i++)
		methods_status(m, NULL, INVITE, i & 1 ? AS_CLIENT : AS_SERVER,
			       codes[i]);
	assert_rows(m, INVITE,
		    "Requests 0/1\n"
		    "Retransmissions 0/0\n"
		    "100 2/0\n180 0/1\n200 0/2\n302 1/0\n404 0/1\n407 1/0\n"
		    "481 0/1\n500 1/0\n503 0/1\n603 1/0\n699 1/0\n"
		    "Response Retrans 0/0\n"
		    "Transaction Timeouts 0/0\n"
		    "Locally Throttled 0/0\n");
	assert_rows(m, BYE, "");
	methods_close(m);
}

static void an_interface_counts_for_all_and_others_do_not(void **s)
{
	struct methods *all, *a;
	struct method_latency l;
	(void)s;

	assert_int_equal(methods_open(&all), 0);
	assert_null(methods_find(all, "a"));
	a = methods_of(all, "a");
	assert_ptr_not_equal(a, all);
	assert_ptr_equal(methods_of(all, "a"), a);
	assert_ptr_not_equal(methods_of(all, "b"), a);
	methods_count(a, NULL, BYE, AS_SERVER, METHOD_REQUEST);
	methods_status(a, NULL, BYE, AS_SERVER, 200);
	methods_count(all, NULL, BYE, AS_SERVER, METHOD_REQUEST);
	methods_latency(a, NULL, BYE, 30);
	methods_latency(all, NULL, BYE, 10);
	assert_rows(all, BYE,
		    "Requests 2/0\nRetransmissions 0/0\n200 1/0\n"
		    "Response Retrans 0/0\nTransaction Timeouts 0/0\n"
		    "Locally Throttled 0/0\n");
	assert_rows(methods_find(all, "a"), BYE,
		    "Requests 1/0\nRetransmissions 0/0\n200 1/0\n"
		    "Response Retrans 0/0\nTransaction Timeouts 0/0\n"
		    "Locally Throttled 0/0\n");
	assert_rows(methods_find(all, "b"), BYE, "");
	methods_latency_read(all, BYE, &l);
	assert_int_equal(l.n, 2);
	assert_int_equal(l.sum, 40);
	assert_int_equal(l.max, 30);

	methods_reset(all);
	assert_rows(all, BYE,
		    "Requests 0/0\nRetransmissions 0/0\n200 0/0\n"
		    "Response Retrans 0/0\nTransaction Timeouts 0/0\n"
		    "Locally Throttled 0/0\n");
	methods_latency_read(all, BYE, &l);
	assert_int_equal(l.n, 0);
	methods_close(all);
}

static void parties_count_what_is_theirs_from_when_they_are_known(void **s)
{
	struct realm_config config = { .identifier = "x" };
	const struct session_agent agent = { .hostname = "x" };
	const struct realm realm = { .config = &config };
	struct methods *all, *a;
	struct parties p, realm_only;
	struct method_latency l;
	(void)s;

	assert_int_equal(methods_open(&all), 0);
	a = methods_of(all, "x");
	p = methods_parties(all, &agent, &realm);
	realm_only = methods_parties(all, NULL, &realm);
	assert_int_not_equal(p.agent, 0);
	assert_int_not_equal(p.agent, p.realm);
	assert_int_equal(realm_only.realm, p.realm);
	assert_int_equal(realm_only.agent, 0);
	/* an interface, a session-agent and a realm of one name are three */
	assert_ptr_equal(methods_find(all, "x"), a);
	assert_ptr_not_equal(methods_party(all, PARTY_AGENT, "x"),
			     methods_party(all, PARTY_REALM, "x"));

	methods_count(a, NULL, BYE, AS_SERVER, METHOD_REQUEST);
	methods_count_parties(a, &p, BYE, AS_SERVER, METHOD_REQUEST);
	methods_status(a, &p, BYE, AS_SERVER, 200);
	methods_count(a, &realm_only, BYE, AS_CLIENT, METHOD_TIMEOUT);
	methods_latency(a, &realm_only, BYE, 7);
	assert_rows(methods_party(all, PARTY_AGENT, "x"), BYE,
		    "Requests 1/0\nRetransmissions 0/0\n200 1/0\n"
		    "Response Retrans 0/0\nTransaction Timeouts 0/0\n"
		    "Locally Throttled 0/0\n");
	assert_rows(methods_party(all, PARTY_REALM, "x"), BYE,
		    "Requests 1/0\nRetransmissions 0/0\n200 1/0\n"
		    "Response Retrans 0/0\nTransaction Timeouts 0/1\n"
		    "Locally Throttled 0/0\n");
	assert_rows(all, BYE,
		    "Requests 1/0\nRetransmissions 0/0\n200 1/0\n"
		    "Response Retrans 0/0\nTransaction Timeouts 0/1\n"
		    "Locally Throttled 0/0\n");
	methods_latency_read(methods_party(all, PARTY_AGENT, "x"), BYE, &l);
	assert_int_equal(l.n, 0);
	methods_latency_read(methods_party(all, PARTY_REALM, "x"), BYE, &l);
	assert_int_equal(l.sum, 7);
	methods_reset(all);
	methods_latency_read(methods_party(all, PARTY_REALM, "x"), BYE, &l);
	assert_int_equal(l.n, 0);
	methods_close(all);
}

static void beyond_the_last_number_nobody_is_counted(void **s)
{
	struct session_agent agent = { .hostname = NULL };
	struct methods *all;
	struct parties p = { 0 };
	char name[16];
	(void)s;

	assert_int_equal(methods_open(&all), 0);
	agent.hostname = name;
	for (unsigned i = 1; i <= UINT16_MAX; i++) {
		(void)snprintf(name, sizeof(name), "a%u", i);
		p = methods_parties(all, &agent, NULL);
		assert_int_equal(p.agent, i);
	}
	(void)snprintf(name, sizeof(name), "one too many");
	p = methods_parties(all, &agent, NULL);
	assert_int_equal(p.agent, 0);
	methods_count(all, &p, BYE, AS_SERVER, METHOD_REQUEST);
	(void)snprintf(name, sizeof(name), "a65535");
	assert_int_equal(methods_parties(all, &agent, NULL).agent, UINT16_MAX);
	assert_rows(methods_party(all, PARTY_AGENT, "a65535"), BYE, "");
	methods_close(all);
}

static void row_count(const struct method_row *row, void *arg)
{
	(void)row;
	++*(uint32_t *)arg;
}

static void many_codes_are_all_kept(void **s)
{
	struct methods *m;
	uint32_t rows = 0;
	(void)s;

	assert_int_equal(methods_open(&m), 0);
	for (uint16_t code = 100; code < 700; code++)
		methods_status(m, NULL, METHOD_OTHER, AS_SERVER, code);
	methods_status(m, NULL, METHOD_OTHER, AS_SERVER, 100);
	methods_walk(m, METHOD_OTHER, row_count, &rows);
	assert_int_equal(rows, 600 + METHOD_EVENTS);
	methods_close(m);
}

/* --- Refusals ------------------------------------------------------------- */

struct listed {
	struct refusal_report of[1100];
	char callids[1100][16];
	uint32_t n;
};

static void refusal_list(const struct refusal_report *x, void *arg)
{
	struct listed *l = arg;

	strcpy(l->callids[l->n], x->callid);
	l->of[l->n++] = *x;
}

static struct message *request(unsigned number)
{
	struct mbuf *mb = mbuf_alloc(512);
	struct scan_result result;
	struct message *msg;

	assert_non_null(mb);
	assert_int_equal(
		mbuf_printf(mb,
			    "INVITE sip:1@sbc SIP/2.0\r\n"
			    "Via: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK1\r\n"
			    "From: \"A <B>\" <sip:a@x>;tag=1\r\n"
			    "To: sip:1@sbc;x=y\r\n"
			    "Call-ID: c%u\r\nCSeq: 1 INVITE\r\n"
			    "Content-Length: 0\r\n\r\n",
			    number),
		0);
	mb->pos = 0;
	assert_int_equal(message_scan(&msg, mb, &result), 0);
	mem_deref(mb);
	return msg;
}

static void note(struct refusals *r, enum refusal_step step, uint16_t code,
		 unsigned number)
{
	struct message *msg = request(number);
	struct sa src;
	const struct refusal x = {
		.step = step,
		.code = code,
		.realm = "a-realm-with-a-name-that-is-longer-than-the-room",
		.src = &src,
		.msg = msg,
		.object = "sip-config",
		.reason = "because",
	};

	assert_int_equal(sa_set_str(&src, "192.0.2.9", 5060), 0);
	refusals_note(r, &x);
	mem_deref(msg);
}

static void the_last_1000_refusals_are_kept_newest_first(void **s)
{
	static struct listed l;
	struct refusals *r;
	(void)s;

	assert_int_equal(refusals_open(&r), 0);
	refusals_last(r, 10, REFUSAL_STEPS, refusal_list, &l);
	assert_int_equal(l.n, 0);
	for (unsigned i = 0; i < 1003; i++)
		note(r, i % 2 ? REFUSAL_CHOOSE_ROUTE : REFUSAL_NAME_SOURCE,
		     i % 2 ? 404 : 403, i);
	refusals_last(r, UINT32_MAX, REFUSAL_STEPS, refusal_list, &l);
	assert_int_equal(l.n, 1000);
	assert_string_equal(l.callids[0], "c1002");
	assert_string_equal(l.callids[999], "c3");
	l.n = 0;
	refusals_last(r, 2, REFUSAL_CHOOSE_ROUTE, refusal_list, &l);
	assert_int_equal(l.n, 2);
	assert_string_equal(l.callids[0], "c1001");
	assert_string_equal(l.callids[1], "c999");
	assert_int_equal(l.of[0].code, 404);
	assert_string_equal(l.of[0].realm, "a-realm-with-a-name-that-is-lon");
	assert_string_equal(l.of[0].reason, "because");
	refusals_close(r);
}

static void the_uri_of_a_header_is_kept_without_name_and_parameters(void **s)
{
	struct refusals *r;
	static struct listed l;
	(void)s;

	memset(&l, 0, sizeof(l));
	assert_int_equal(refusals_open(&r), 0);
	note(r, REFUSAL_PLACE_CALL, 503, 1);
	refusals_last(r, 1, REFUSAL_STEPS, refusal_list, &l);
	assert_string_equal(l.of[0].from, "sip:a@x");
	assert_string_equal(l.of[0].to, "sip:1@sbc");
	assert_string_equal(l.of[0].method, "INVITE");
	refusals_close(r);
}

struct counted {
	char text[512];
	size_t n;
};

static void counted_write(enum refusal_step step, uint16_t code,
			  const struct counter_report *c, void *arg)
{
	struct counted *out = arg;

	out->n += (size_t)snprintf(
		out->text + out->n, sizeof(out->text) - out->n, "%s %u: %u\n",
		refusal_step_name(step), code, (unsigned)c->total);
}

static void each_step_and_status_has_a_count_in_the_order_of_the_steps(void **s)
{
	struct counter_report before, after;
	struct counted out = { .n = 0 };
	struct refusals *r;
	(void)s;

	counter_read(COUNT_REFUSED_CHOOSE_ROUTE, clock_ms(), &before);
	assert_int_equal(refusals_open(&r), 0);
	note(r, REFUSAL_AUTHENTICATE, 407, 1);
	note(r, REFUSAL_CHOOSE_ROUTE, 503, 2);
	note(r, REFUSAL_CHOOSE_ROUTE, 404, 3);
	note(r, REFUSAL_CHECK_MESSAGE, 400, 4);
	note(r, REFUSAL_CHOOSE_ROUTE, 404, 5);
	refusals_counts(r, counted_write, &out);
	assert_string_equal(out.text,
			    "check-message 400: 1\nchoose-route 404: 2\n"
			    "choose-route 503: 1\nauthenticate 407: 1\n");
	counter_read(COUNT_REFUSED_CHOOSE_ROUTE, clock_ms(), &after);
	assert_int_equal(after.total - before.total, 3);
	refusals_reset(r);
	out.n = 0;
	refusals_counts(r, counted_write, &out);
	assert_string_equal(out.text,
			    "check-message 400: 0\nchoose-route 404: 0\n"
			    "choose-route 503: 0\nauthenticate 407: 0\n");
	refusals_close(r);
}

/* --- What several workers counted ------------------------------------------ */

static void tallies_join_period_by_period(void **s)
{
	struct tally a = { 0 }, b = { 0 }, sum = { 0 };
	(void)s;

	tally_add(&a, 5);
	tally_add(&b, 2);
	to_next_period();
	tally_add(&a, 1);
	tally_join(&sum, &a);
	tally_join(&sum, &b);
	assert_tally(&sum, 8, 8, 7);
	to_next_period();
	assert_tally(&sum, 1, 8, 7);
	to_next_period();
	assert_tally(&sum, 0, 8, 7);
}

static void rows_of_workers_are_one_table(void **s)
{
	struct methods *a, *b, *sum;
	struct method_latency latency;
	(void)s;

	assert_int_equal(methods_open(&a), 0);
	assert_int_equal(methods_open(&b), 0);
	assert_int_equal(methods_open(&sum), 0);
	methods_count(a, NULL, INVITE, AS_SERVER, METHOD_REQUEST);
	methods_status(a, NULL, INVITE, AS_SERVER, 404);
	methods_latency(a, NULL, INVITE, 10);
	methods_count(b, NULL, INVITE, AS_SERVER, METHOD_REQUEST);
	methods_count(b, NULL, INVITE, AS_CLIENT, METHOD_REQUEST);
	methods_status(b, NULL, INVITE, AS_SERVER, 200);
	methods_status(b, NULL, INVITE, AS_CLIENT, 404);
	methods_latency(b, NULL, INVITE, 30);
	methods_count(b, NULL, BYE, AS_CLIENT, METHOD_REQUEST);
	assert_int_equal(methods_join(sum, a), 0);
	assert_int_equal(methods_join(sum, b), 0);
	assert_rows(sum, INVITE,
		    "Requests 2/1\nRetransmissions 0/0\n200 1/0\n404 1/1\n"
		    "Response Retrans 0/0\nTransaction Timeouts 0/0\n"
		    "Locally Throttled 0/0\n");
	assert_rows(sum, BYE,
		    "Requests 0/1\nRetransmissions 0/0\n"
		    "Response Retrans 0/0\nTransaction Timeouts 0/0\n"
		    "Locally Throttled 0/0\n");
	assert_rows(sum, INFO, "");
	methods_latency_read(sum, INVITE, &latency);
	assert_int_equal(latency.n, 2);
	assert_int_equal(latency.sum, 40);
	assert_int_equal(latency.max, 30);
	methods_close(a);
	methods_close(b);
	methods_close(sum);
}

static void refusals_of_workers_stand_by_their_time(void **s)
{
	static struct listed l;
	struct counted out = { .n = 0 };
	struct refusals *a, *b, *sum;
	(void)s;

	assert_int_equal(refusals_open(&a), 0);
	assert_int_equal(refusals_open(&b), 0);
	assert_int_equal(refusals_open(&sum), 0);
	for (unsigned i = 0; i < 1500; i++) {
		note(i % 3 ? a : b, REFUSAL_CHOOSE_ROUTE, i % 3 ? 404 : 503, i);
		fake_clock_advance(1);
	}
	assert_int_equal(refusals_join(sum, a), 0);
	assert_int_equal(refusals_join(sum, b), 0);
	refusals_last(sum, UINT32_MAX, REFUSAL_STEPS, refusal_list, &l);
	assert_int_equal(l.n, 1000);
	for (unsigned i = 0; i < 1000; i++) {
		char want[16];

		(void)snprintf(want, sizeof(want), "c%u", 1499 - i);
		assert_string_equal(l.callids[i], want);
	}
	refusals_counts(sum, counted_write, &out);
	assert_string_equal(out.text,
			    "choose-route 404: 1000\nchoose-route 503: 500\n");
	refusals_close(a);
	refusals_close(b);
	refusals_close(sum);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(
			a_tally_agrees_with_a_counter_in_every_period, fresh),
		cmocka_unit_test(
			codes_stand_in_their_order_and_each_side_by_itself),
		cmocka_unit_test(an_interface_counts_for_all_and_others_do_not),
		cmocka_unit_test(
			parties_count_what_is_theirs_from_when_they_are_known),
		cmocka_unit_test(beyond_the_last_number_nobody_is_counted),
		cmocka_unit_test(many_codes_are_all_kept),
		cmocka_unit_test(the_last_1000_refusals_are_kept_newest_first),
		cmocka_unit_test(
			the_uri_of_a_header_is_kept_without_name_and_parameters),
		cmocka_unit_test(
			each_step_and_status_has_a_count_in_the_order_of_the_steps),
		cmocka_unit_test_setup(tallies_join_period_by_period, fresh),
		cmocka_unit_test(rows_of_workers_are_one_table),
		cmocka_unit_test(refusals_of_workers_stand_by_their_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
