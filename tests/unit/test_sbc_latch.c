/*
 * The latch as a sequence of SDPs and packets
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include "sbc/latch.h"

/* clang-format off */
enum what { END, SDP, RTP, NOISE };
/* clang-format on */

struct step {
	enum what what; /* NOISE: not valid RTP */
	const char *addr;
	uint16_t port;
	uint64_t at; /* [ms] */
	int verdict; /* of RTP and NOISE */
};

struct row {
	const char *name;
	enum flow_latch mode;
	uint8_t mask;
	const char *peer;
	struct step steps[10];
	const char *to; /* where packets go at the end */
	uint16_t to_port;
};

#define NO   LATCH_STRANGER
#define YES  LATCH_FRIEND
#define LOCK LATCH_MOVED

/* clang-format off */
static const struct row rows[] = {
	{ "without latching only address and port of the SDP count",
	  LATCH_NONE, 32, "10.0.0.9", {
		{ RTP, "10.0.0.1", 4000, 0, NO },
		{ SDP, "10.0.0.1", 4000, 0, 0 },
		{ RTP, "10.0.0.1", 4001, 0, NO },
		{ RTP, "10.0.0.9", 4000, 0, NO },
		{ RTP, "10.0.0.1", 4000, 0, YES } },
	  "10.0.0.1", 4000 },
	{ "without latching a new SDP moves at once, and back is no way",
	  LATCH_NONE, 32, "10.0.0.9", {
		{ SDP, "10.0.0.1", 4000, 0, 0 },
		{ SDP, "10.0.0.2", 5000, 0, 0 },
		{ RTP, "10.0.0.1", 4000, 0, NO },
		{ RTP, "10.0.0.2", 5000, 0, YES } },
	  "10.0.0.2", 5000 },
	{ "the first packet locks, no later one takes it",
	  LATCH_ANY, 32, "10.0.0.9", {
		{ SDP, "10.0.0.1", 4000, 0, 0 },
		{ NOISE, "192.0.2.1", 9, 0, NO },
		{ RTP, "192.0.2.7", 6000, 0, LOCK },
		{ RTP, "10.0.0.1", 4000, 0, NO },
		{ RTP, "192.0.2.7", 6001, 0, NO },
		{ RTP, "192.0.2.7", 6000, 0, YES } },
	  "192.0.2.7", 6000 },
	{ "until the first packet it goes where the SDP says",
	  LATCH_ANY, 32, "10.0.0.9", {
		{ SDP, "10.0.0.1", 4000, 0, 0 } },
	  "10.0.0.1", 4000 },
	{ "restricted to the SDP: its address, any port",
	  LATCH_SDP, 32, "10.0.0.9", {
		{ RTP, "10.0.0.1", 4000, 0, NO },
		{ SDP, "10.0.0.1", 4000, 0, 0 },
		{ RTP, "10.0.0.2", 4000, 0, NO },
		{ RTP, "10.0.0.1", 4444, 0, LOCK } },
	  "10.0.0.1", 4444 },
	{ "the mask leaves bits open",
	  LATCH_SDP, 24, "10.0.0.9", {
		{ SDP, "10.0.0.1", 4000, 0, 0 },
		{ RTP, "10.0.1.1", 4000, 0, NO },
		{ RTP, "10.0.0.77", 4000, 0, LOCK } },
	  "10.0.0.77", 4000 },
	{ "a mask that is not whole bytes",
	  LATCH_SDP, 30, "10.0.0.9", {
		{ SDP, "10.0.0.1", 4000, 0, 0 },
		{ RTP, "10.0.0.4", 4000, 0, NO },
		{ RTP, "10.0.0.3", 4000, 0, LOCK } },
	  "10.0.0.3", 4000 },
	{ "restricted to the signalling peer",
	  LATCH_PEER_IP, 32, "10.0.0.9", {
		{ SDP, "10.0.0.1", 4000, 0, 0 },
		{ RTP, "10.0.0.1", 4000, 0, NO },
		{ RTP, "10.0.0.9", 1234, 0, LOCK } },
	  "10.0.0.9", 1234 },
	{ "32 on IPv6 is the whole address",
	  LATCH_PEER_IP, 32, "2001:db8::9", {
		{ RTP, "2001:db8::8", 4000, 0, NO },
		{ RTP, "10.0.0.9", 4000, 0, NO },
		{ RTP, "2001:db8::9", 4000, 0, LOCK } },
	  "2001:db8::9", 4000 },
	{ "an SDP that repeats the old one does not open",
	  LATCH_ANY, 32, "10.0.0.9", {
		{ SDP, "10.0.0.1", 4000, 0, 0 },
		{ RTP, "192.0.2.7", 6000, 0, LOCK },
		{ SDP, "10.0.0.1", 4000, 0, 0 },
		{ RTP, "10.0.0.1", 4000, 0, NO },
		{ RTP, "192.0.2.7", 6000, 0, YES } },
	  "192.0.2.7", 6000 },
	{ "an SDP without address (hold) does not open",
	  LATCH_ANY, 32, "10.0.0.9", {
		{ SDP, "10.0.0.1", 4000, 0, 0 },
		{ RTP, "192.0.2.7", 6000, 0, LOCK },
		{ SDP, "0.0.0.0", 4000, 0, 0 },
		{ SDP, "10.0.0.1", 4000, 0, 0 },
		{ RTP, "192.0.2.8", 6000, 0, NO } },
	  "192.0.2.7", 6000 },
	{ "opened by an SDP, it admits the address named, once",
	  LATCH_ANY, 32, "10.0.0.9", {
		{ SDP, "10.0.0.1", 4000, 0, 0 },
		{ RTP, "192.0.2.7", 6000, 0, LOCK },
		{ SDP, "10.0.0.2", 5000, 100, 0 },
		{ RTP, "192.0.2.99", 6000, 100, NO },
		{ RTP, "10.0.0.2", 5555, 100, LOCK },
		{ RTP, "192.0.2.7", 6000, 100, NO },
		{ RTP, "10.0.0.2", 5000, 100, NO } },
	  "10.0.0.2", 5555 },
	{ "opened, it admits another port of the latched address",
	  LATCH_ANY, 32, "10.0.0.9", {
		{ SDP, "10.0.0.1", 4000, 0, 0 },
		{ RTP, "192.0.2.7", 6000, 0, LOCK },
		{ SDP, "10.0.0.1", 4002, 100, 0 },
		{ RTP, "192.0.2.7", 6002, 150, LOCK },
		{ RTP, "192.0.2.7", 6000, 160, NO } },
	  "192.0.2.7", 6002 },
	{ "what is late from the old port passes, but does not lock it again",
	  LATCH_ANY, 32, "10.0.0.9", {
		{ SDP, "10.0.0.1", 4000, 0, 0 },
		{ RTP, "10.0.0.1", 4000, 0, LOCK },
		{ SDP, "10.0.0.1", 4002, 100, 0 },
		{ RTP, "10.0.0.1", 4000, 110, YES },
		{ RTP, "10.0.0.1", 4002, 150, LOCK },
		{ RTP, "10.0.0.1", 4000, 160, NO } },
	  "10.0.0.1", 4002 },
	{ "late packets alone do not turn the destination back",
	  LATCH_ANY, 32, "10.0.0.9", {
		{ SDP, "10.0.0.1", 4000, 0, 0 },
		{ RTP, "10.0.0.1", 4000, 0, LOCK },
		{ SDP, "10.0.0.3", 4002, 100, 0 },
		{ RTP, "10.0.0.1", 4000, 110, YES } },
	  "10.0.0.3", 4002 },
	{ "a peer behind NAT that goes on from its old port is found again",
	  LATCH_ANY, 32, "10.0.0.9", {
		{ SDP, "10.0.0.1", 4000, 0, 0 },
		{ RTP, "192.0.2.7", 6000, 0, LOCK },
		{ SDP, "10.0.0.1", 4002, 100, 0 },
		{ RTP, "192.0.2.7", 6000, 2100, YES },
		{ RTP, "192.0.2.8", 6000, 2200, NO } },
	  "192.0.2.7", 6000 },
	{ "an SDP that names the latched source locks it again",
	  LATCH_ANY, 32, "10.0.0.9", {
		{ SDP, "10.0.0.1", 4000, 0, 0 },
		{ RTP, "192.0.2.7", 6000, 0, LOCK },
		{ SDP, "192.0.2.7", 6000, 100, 0 },
		{ RTP, "192.0.2.7", 6000, 110, LOCK },
		{ RTP, "192.0.2.7", 6001, 120, NO } },
	  "192.0.2.7", 6000 },
	{ "the restriction holds also when it is opened again",
	  LATCH_PEER_IP, 32, "10.0.0.9", {
		{ SDP, "10.0.0.1", 4000, 0, 0 },
		{ RTP, "10.0.0.9", 6000, 0, LOCK },
		{ SDP, "10.0.0.2", 5000, 100, 0 },
		{ RTP, "10.0.0.2", 5000, 110, NO },
		{ RTP, "10.0.0.9", 6002, 120, LOCK } },
	  "10.0.0.9", 6002 },
};
/* clang-format on */

static struct sa sa_of(const char *addr, uint16_t port)
{
	struct sa sa;

	assert_int_equal(sa_set_str(&sa, addr, port), 0);
	return sa;
}

static void play(const struct row *row)
{
	struct sa peer = sa_of(row->peer, 0), to = sa_of(row->to, row->to_port);
	const struct step *s;
	struct latch l;

	latch_init(&l, row->mode, row->mask, &peer);

	for (s = row->steps; s->what != END; s++) {
		struct sa sa = sa_of(s->addr, s->port);

		if (s->what == SDP)
			(void)latch_name(&l, &sa, s->at);
		else if ((int)latch_admit(&l, &sa, s->what == RTP, s->at) !=
			 s->verdict)
			fail_msg("%s: step %d", row->name,
				 (int)(s - row->steps));
	}

	if (!sa_cmp(&l.to, &to, SA_ALL))
		fail_msg("%s: goes elsewhere", row->name);
}

static void a_latch_admits_and_locks_as_its_mode_says(void **state)
{
	size_t i;
	(void)state;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		play(&rows[i]);
}

static void without_latching_it_is_locked_but_never_latched(void **state)
{
	struct sa sa = sa_of("10.0.0.1", 4000);
	struct latch l;
	(void)state;

	latch_init(&l, LATCH_NONE, 32, &sa);
	assert_false(latch_is_locked(&l));
	assert_true(latch_name(&l, &sa, 0));
	assert_true(latch_is_locked(&l));
	assert_false(latch_is_latched(&l));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_latch_admits_and_locks_as_its_mode_says),
		cmocka_unit_test(
			without_latching_it_is_locked_but_never_latched),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
