/*
 * The table of behaviour.md 4.3 walked in virtual time: each event meets an AoR
 * in each state, also where nothing may happen
 *
 * An AoR is brought into its state by a registrar that plays along. Then the
 * registrar is silent, the event comes, and a second later state and REGISTERs
 * are compared; where one was under way, it is granted then, and both are
 * compared again.
 */
#include "tests/unit/surrogate_states.h"

enum {
	NOTHING,
	REGISTERS = 'R', /* a REGISTER left */
	LEAVES = 'L',    /* one with Expires 0 */
};

struct outcome {
	uint8_t to; /* state plus 1; 0: as before */
	char sent;
	bool later; /* only after the answer */
};

struct row {
	const char *name;
	uint8_t ev; /* where nothing is under way, and without text */
	const char *first, *text;
	uint32_t wait, jump; /* [ms] */
	bool for_good;       /* nothing is sent afterwards either */
	struct way way;
	struct outcome cells[SUR_STATES];
};

#define GO(state, sent)                                                        \
	{                                                                      \
		SUR_##state + 1, sent, false                                   \
	}
#define AFTER(state, sent)                                                     \
	{                                                                      \
		SUR_##state + 1, sent, true                                    \
	}

#define CHALLENGE(nonce)                                                       \
	"401 Unauthorized\r\nWWW-Authenticate: Digest "                        \
	"realm=\"trunk.example\", nonce=\"" nonce "\", qop=\"auth\"\r\n"

/* clang-format off */
static const struct row rows[] = {
	{ "agent enabled, loaded", SUR_ENABLED, .cells = {
		[SUR_LEAVING] = AFTER(REGISTERING, REGISTERS),
		[SUR_DISABLED] = GO(REGISTERING, REGISTERS),
		[SUR_GIVEN_UP] = GO(REGISTERING, REGISTERS) } },
	{ "due", SUR_DUE, .cells = {
		[SUR_WAITING] = GO(REGISTERING, REGISTERS),
		[SUR_BACKOFF] = GO(REGISTERING, REGISTERS),
		[SUR_REFUSED] = GO(REGISTERING, REGISTERS),
		[SUR_REGISTERED] = GO(REFRESHING, REGISTERS) } },
	{ "200 with own Contact", SUR_OK, .text = "", .cells = {
		[SUR_REGISTERING] = GO(REGISTERED, NOTHING),
		[SUR_REFRESHING] = GO(REGISTERED, NOTHING),
		[SUR_LEAVING] = GO(DISABLED, NOTHING) } },
	{ "401, first", SUR_CHALLENGED, .text = CHALLENGE("n1"), .cells = {
		[SUR_REGISTERING] = GO(REGISTERING, REGISTERS),
		[SUR_REFRESHING] = GO(REFRESHING, REGISTERS),
		[SUR_LEAVING] = GO(LEAVING, LEAVES) } },
	{ "401, stale", SUR_CHALLENGED, .first = CHALLENGE("n1"),
	  .text = "401 Unauthorized\r\nWWW-Authenticate: Digest realm=\"trunk.example\", nonce=\"n2\", stale=true\r\n", .cells = {
		[SUR_REGISTERING] = GO(REGISTERING, REGISTERS),
		[SUR_REFRESHING] = GO(REFRESHING, REGISTERS),
		[SUR_LEAVING] = GO(LEAVING, LEAVES) } },
	{ "407, realm new", SUR_CHALLENGED, .first = CHALLENGE("n1"),
	  .text = "407 Proxy\r\nProxy-Authenticate: Digest realm=\"other.example\", nonce=\"p1\"\r\n", .cells = {
		[SUR_REGISTERING] = GO(REGISTERING, REGISTERS),
		[SUR_REFRESHING] = GO(REFRESHING, REGISTERS),
		[SUR_LEAVING] = GO(LEAVING, LEAVES) } },
	{ "403", SUR_REFUSE, .text = "403 Forbidden\r\n", .cells = {
		[SUR_REGISTERING] = GO(REFUSED, NOTHING),
		[SUR_REFRESHING] = GO(REFUSED, NOTHING),
		[SUR_LEAVING] = GO(DISABLED, NOTHING) } },
	{ "second 401 with fresh nonce", SUR_REFUSE, .first = CHALLENGE("n1"), .text = CHALLENGE("n2"), .cells = {
		[SUR_REGISTERING] = GO(REFUSED, REGISTERS),
		[SUR_REFRESHING] = GO(REFUSED, REGISTERS),
		[SUR_LEAVING] = GO(DISABLED, LEAVES) } },
	{ "423", SUR_BRIEF, .text = "423 Interval Too Brief\r\nMin-Expires: 1800\r\n", .cells = {
		[SUR_REGISTERING] = GO(REGISTERING, REGISTERS),
		[SUR_REFRESHING] = GO(REFRESHING, REGISTERS),
		[SUR_LEAVING] = GO(DISABLED, NOTHING) } },
	{ "420", SUR_OPTION, .text = "420 Bad Extension\r\nUnsupported: path\r\n", .cells = {
		[SUR_REGISTERING] = GO(REGISTERING, REGISTERS),
		[SUR_REFRESHING] = GO(REFRESHING, REGISTERS),
		[SUR_LEAVING] = GO(DISABLED, NOTHING) } },
	{ "3xx, first", SUR_ELSEWHERE, .text = "302 Moved\r\nContact: <sip:127.0.0.14>\r\n", .cells = {
		[SUR_REGISTERING] = GO(REGISTERING, REGISTERS),
		[SUR_REFRESHING] = GO(REFRESHING, REGISTERS),
		[SUR_LEAVING] = GO(LEAVING, LEAVES) } },
	{ "503, and there is another target", SUR_LOST, .text = "503 Busy\r\n", .way.two_targets = true, .cells = {
		[SUR_REGISTERING] = GO(REGISTERING, REGISTERS),
		[SUR_REFRESHING] = GO(REFRESHING, REGISTERS),
		[SUR_LEAVING] = GO(LEAVING, LEAVES) } },
	{ "timeout, and there is another target", SUR_LOST, .wait = 32500, .way.two_targets = true, .cells = {
		[SUR_REGISTERING] = GO(REGISTERING, REGISTERS),
		[SUR_REFRESHING] = GO(REFRESHING, REGISTERS),
		[SUR_LEAVING] = GO(LEAVING, LEAVES) } },
	{ "503, and no other target", SUR_NO_TARGET, .text = "503 Busy\r\n", .cells = {
		[SUR_REGISTERING] = GO(BACKOFF, NOTHING),
		[SUR_REFRESHING] = GO(REGISTERED, NOTHING),
		[SUR_LEAVING] = GO(DISABLED, NOTHING) } },
	{ "timeout, and no other target", SUR_NO_TARGET, .wait = 32500, .cells = {
		[SUR_REGISTERING] = GO(BACKOFF, NOTHING),
		[SUR_REFRESHING] = GO(REGISTERED, NOTHING),
		[SUR_LEAVING] = GO(DISABLED, NOTHING) } },
	{ "other final answer", SUR_FAIL, .text = "404 Not Found\r\n", .cells = {
		[SUR_REGISTERING] = GO(BACKOFF, NOTHING),
		[SUR_REFRESHING] = GO(REGISTERED, NOTHING),
		[SUR_LEAVING] = GO(DISABLED, NOTHING) } },
	{ "200 without own Contact", SUR_FAIL, .text = "200 OK\r\nContact: <sip:x@192.0.2.9>;expires=60\r\n", .cells = {
		[SUR_REGISTERING] = GO(BACKOFF, NOTHING),
		[SUR_REFRESHING] = GO(REGISTERED, NOTHING),
		[SUR_LEAVING] = GO(DISABLED, NOTHING) } },
	{ "binding expires", SUR_EXPIRED, .jump = 11000, .way.granted = 10, .cells = {
		[SUR_REGISTERED] = GO(REGISTERING, REGISTERS),
		[SUR_REFRESHING] = GO(REGISTERING, NOTHING) } },
	{ "max-register-attempts failures", SUR_FAIL, .text = "404 Not Found\r\n", .way.attempts = "1", .cells = {
		[SUR_REGISTERING] = GO(GIVEN_UP, NOTHING),
		[SUR_REFRESHING] = GO(REGISTERED, NOTHING),
		[SUR_LEAVING] = GO(DISABLED, NOTHING) } },
	{ "max-register-attempts refusals", SUR_REFUSE, .text = "403 Forbidden\r\n", .way.attempts = "1", .cells = {
		[SUR_REGISTERING] = GO(GIVEN_UP, NOTHING),
		[SUR_REFRESHING] = GO(REFUSED, NOTHING),
		[SUR_LEAVING] = GO(DISABLED, NOTHING) } },
	{ "credentials changed", SUR_CHANGED, .cells = {
		[SUR_BACKOFF] = GO(REGISTERING, REGISTERS),
		[SUR_REFUSED] = GO(REGISTERING, REGISTERS),
		[SUR_REGISTERING] = AFTER(REFRESHING, REGISTERS),
		[SUR_GIVEN_UP] = GO(REGISTERING, REGISTERS) } },
	{ "registrar changed", SUR_ANEW, .cells = {
		[SUR_BACKOFF] = GO(REGISTERING, REGISTERS),
		[SUR_REFUSED] = GO(REGISTERING, REGISTERS),
		[SUR_REGISTERING] = AFTER(REFRESHING, REGISTERS),
		[SUR_REGISTERED] = GO(REFRESHING, REGISTERS),
		[SUR_REFRESHING] = AFTER(REFRESHING, REGISTERS),
		[SUR_GIVEN_UP] = GO(REGISTERING, REGISTERS) } },
	{ "contact changed", SUR_CONTACT, .cells = {
		[SUR_BACKOFF] = GO(REGISTERING, REGISTERS),
		[SUR_REFUSED] = GO(REGISTERING, REGISTERS),
		[SUR_REGISTERING] = AFTER(REFRESHING, REGISTERS),
		[SUR_REGISTERED] = GO(REFRESHING, REGISTERS),
		[SUR_REFRESHING] = AFTER(REFRESHING, REGISTERS) } },
	{ "PBX active", SUR_ACTIVE, .way.triggered = true, .cells = {
		[SUR_IDLE] = GO(REGISTERING, REGISTERS),
		[SUR_SILENT] = GO(REGISTERING, REGISTERS),
		[SUR_LEAVING] = AFTER(REGISTERING, REGISTERS) } },
	{ "PBX silent too long", SUR_QUIET, .way.triggered = true, .cells = {
		[SUR_WAITING] = GO(SILENT, NOTHING),
		[SUR_BACKOFF] = GO(SILENT, NOTHING),
		[SUR_REFUSED] = GO(SILENT, NOTHING),
		[SUR_REGISTERING] = AFTER(SILENT, NOTHING),
		[SUR_REGISTERED] = GO(SILENT, NOTHING),
		[SUR_REFRESHING] = AFTER(SILENT, NOTHING) } },
	{ "PBX silent too long, un-register", SUR_QUIET, .way.triggered = true, .way.un_register = true, .cells = {
		[SUR_WAITING] = GO(SILENT, NOTHING),
		[SUR_BACKOFF] = GO(SILENT, NOTHING),
		[SUR_REFUSED] = GO(SILENT, NOTHING),
		[SUR_REGISTERING] = AFTER(LEAVING, LEAVES),
		[SUR_REGISTERED] = GO(LEAVING, LEAVES),
		[SUR_REFRESHING] = AFTER(LEAVING, LEAVES) } },
	/* a given-up AoR of an agent that is gone has no alarm any more */
	{ "agent disabled or deleted", SUR_GONE, .cells = {
		[SUR_WAITING] = GO(DISABLED, NOTHING),
		[SUR_BACKOFF] = GO(DISABLED, NOTHING),
		[SUR_REFUSED] = GO(DISABLED, NOTHING),
		[SUR_REGISTERING] = AFTER(DISABLED, NOTHING),
		[SUR_REGISTERED] = GO(DISABLED, NOTHING),
		[SUR_REFRESHING] = AFTER(DISABLED, NOTHING),
		[SUR_IDLE] = GO(DISABLED, NOTHING),
		[SUR_SILENT] = GO(DISABLED, NOTHING),
		[SUR_GIVEN_UP] = GO(DISABLED, NOTHING) } },
	{ "agent disabled or deleted, un-register", SUR_GONE, .way.un_register = true, .cells = {
		[SUR_WAITING] = GO(DISABLED, NOTHING),
		[SUR_BACKOFF] = GO(DISABLED, NOTHING),
		[SUR_REFUSED] = GO(DISABLED, NOTHING),
		[SUR_REGISTERING] = AFTER(LEAVING, LEAVES),
		[SUR_REGISTERED] = GO(LEAVING, LEAVES),
		[SUR_REFRESHING] = AFTER(LEAVING, LEAVES),
		[SUR_IDLE] = GO(DISABLED, NOTHING),
		[SUR_SILENT] = GO(DISABLED, NOTHING),
		[SUR_GIVEN_UP] = GO(DISABLED, NOTHING) } },
	/* stored as it is: 4.7 */
	{ "shutdown", SUR_SHUTDOWN, .for_good = true, .cells = { { 0 } } },
	{ "shutdown, un-register", SUR_SHUTDOWN, .for_good = true, .way.un_register = true, .cells = {
		[SUR_REGISTERING] = AFTER(LEAVING, LEAVES),
		[SUR_REGISTERED] = GO(LEAVING, LEAVES),
		[SUR_REFRESHING] = AFTER(LEAVING, LEAVES) } },
	{ "notify sipd register", SUR_ORDER_IN, .cells = {
		[SUR_BACKOFF] = GO(REGISTERING, REGISTERS),
		[SUR_REFUSED] = GO(REGISTERING, REGISTERS),
		[SUR_REGISTERED] = GO(REFRESHING, REGISTERS),
		[SUR_IDLE] = GO(REGISTERING, REGISTERS),
		[SUR_SILENT] = GO(REGISTERING, REGISTERS),
		[SUR_LEAVING] = AFTER(REGISTERING, REGISTERS),
		[SUR_DISABLED] = GO(REGISTERING, REGISTERS),
		[SUR_GIVEN_UP] = GO(REGISTERING, REGISTERS) } },
	{ "notify sipd unregister", SUR_ORDER_OUT, .cells = {
		[SUR_WAITING] = GO(DISABLED, NOTHING),
		[SUR_BACKOFF] = GO(DISABLED, NOTHING),
		[SUR_REFUSED] = GO(DISABLED, NOTHING),
		[SUR_REGISTERING] = AFTER(LEAVING, LEAVES),
		[SUR_REGISTERED] = GO(LEAVING, LEAVES),
		[SUR_REFRESHING] = AFTER(LEAVING, LEAVES),
		[SUR_IDLE] = GO(DISABLED, NOTHING),
		[SUR_SILENT] = GO(DISABLED, NOTHING) } },
	{ "registrar target gone", SUR_TARGET_GONE, .cells = {
		[SUR_REGISTERED] = GO(REFRESHING, REGISTERS) } },
};
/* clang-format on */

/* What happens ------------------------------------------------------------------ */

/* REGISTERs of the AoR from the n-th on, repetitions left out */
static char sent_since(size_t n)
{
	char what = NOTHING;

	for (; n < f.seen_n; n++) {
		if (!strstr(f.seen[n].from, "@a.") ||
		    (n && f.seen[n].cseq == f.seen[n - 1].cseq &&
		     !strcmp(f.seen[n].callid, f.seen[n - 1].callid)))
			continue;
		what = strtoul(f.seen[n].expires, NULL, 10) ? REGISTERS
							    : LEAVES;
	}

	return what;
}

static unsigned wrong; /* cells; all are told, not the first only */

static void happen(const struct row *row)
{
	struct registration *r = aor();

	if (row->jump && r->bound &&
	    (r->state == SUR_REGISTERED || r->state == SUR_REFRESHING)) {
		fake_clock_advance(row->jump);
		wheel_turn();
		serve();
	} else if (!surrogate_is_out(r) || (!row->text && !row->wait)) {
		surrogate_feed(r, row->ev, NULL);
	} else if (row->wait) {
		run(row->wait);
	} else {
		if (row->first) {
			say(row->first);
			serve();
		}
		if (*row->text)
			say(row->text);
		else
			say_granted();
	}
}

static void compare(const struct row *row, enum surrogate_state in,
		    const char *when, enum surrogate_state to, char sent,
		    size_t mark)
{
	char was = sent_since(mark);

	if (aor()->state == to && was == sent)
		return;
	wrong++;
	print_error("[%s] in %s%s: %s and sends %c; expected %s and %c\n",
		    row->name, surrogate_machine.states[in], when,
		    surrogate_machine.states[aor()->state], was ? was : '-',
		    surrogate_machine.states[to], sent ? sent : '-');
}

/* "Due now" is not sent yet: the pacer lets it go */
static bool waits_first(const struct row *row, enum surrogate_state in)
{
	const struct outcome *cell = &row->cells[in];

	return cell->to == SUR_REGISTERING + 1 && !cell->later &&
	       in != SUR_REGISTERING && in != SUR_REFRESHING &&
	       row->ev != SUR_DUE;
}

static void try_cell(const struct row *row, enum surrogate_state in)
{
	const struct outcome *cell = &row->cells[in];
	enum surrogate_state to = cell->to && !cell->later
					  ? (enum surrogate_state)(cell->to - 1)
					  : in;
	bool stays = !cell->to || cell->later;
	size_t mark;

	reach(&row->way, in);
	mark = f.seen_n;
	happen(row);
	if (waits_first(row, in))
		compare(row, in, " at once", SUR_WAITING, NOTHING, mark);
	run(SECOND);
	compare(row, in, "", to, stays ? NOTHING : cell->sent, mark);
	if (stays && surrogate_is_out(aor())) {
		mark = f.seen_n;
		say_granted();
		run(SECOND);
		to = cell->to            ? (enum surrogate_state)(cell->to - 1)
		     : in == SUR_LEAVING ? SUR_DISABLED
					 : SUR_REGISTERED;
		compare(row, in, ", after the answer", to, cell->sent, mark);
	}
	if (!row->for_good)
		return;

	if (surrogate_is_out(aor()))
		say_granted();
	to = to == SUR_LEAVING ? SUR_DISABLED : to;
	mark = f.seen_n;
	run(2 * 3600 * SECOND);
	compare(row, in, ", two hours later", to, NOTHING, mark);
}

static void each_cell_is_that_of_the_specification(void **s)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		for (int state = 0; state < SUR_STATES; state++) {
			setup(NULL);
			try_cell(&rows[i], (enum surrogate_state)state);
			teardown(NULL);
		}
	assert_int_equal(wrong, 0);
	(void)s;
}

/* Beside the cells -------------------------------------------------------------- */

static const struct way plain, un_register = { .un_register = true },
			       once = { .attempts = "1" },
			       of_pbx = { .triggered = true };

static void refused_while_bound_calls_pass_until_it_expires(void **s)
{
	reach(&plain, SUR_REFRESHING);
	say("403 Forbidden\r\n");
	assert_at(SUR_REFUSED);
	assert_true(view(0).bound);
	assert_true(view(0).refused);
	assert_non_null(view(0).target);
	fake_clock_advance(590 * SECOND);
	assert_true(view(0).bound);
	fake_clock_advance(10 * SECOND + 32 * SECOND);
	wheel_turn();
	assert_false(view(0).bound);
	(void)s;
}

static void a_binding_that_expires_behind_a_retry_backs_off(void **s)
{
	uint64_t begun = clock_ms();

	reach(&plain, SUR_REFRESHING);
	say("503 Busy\r\nRetry-After: 1200\r\n");
	assert_at(SUR_REGISTERED);
	run(610 * SECOND);
	assert_at(SUR_BACKOFF);
	f.registrar = goes_along;
	while (aor()->state == SUR_BACKOFF && clock_ms() < begun + 9e6)
		run(SECOND);
	assert_in_range(clock_ms() - begun, 1199 * SECOND, 1330 * SECOND);
	(void)s;
}

static void who_failed_too_often_gives_up_when_the_binding_is_over(void **s)
{
	size_t n;

	reach(&once, SUR_REFRESHING);
	say("404 Not Found\r\n");
	f.registrar = knows_nobody;
	assert_at(SUR_REGISTERED);
	run(590 * SECOND);
	assert_true(view(0).bound);
	assert_int_equal(alarms("surrogate-gave-up"), 0);
	while (aor()->bound)
		run(100);
	n = f.seen_n;
	assert_at(SUR_GIVEN_UP);
	run(7200 * SECOND);
	assert_at(SUR_GIVEN_UP);
	assert_int_equal(f.seen_n, n);
	assert_int_equal(alarms("surrogate-gave-up"), 1);
	(void)s;
}

static void who_was_refused_too_often_does_so_too(void **s)
{
	size_t n;

	reach(&once, SUR_REFRESHING);
	say("403 Forbidden\r\n");
	assert_at(SUR_REFUSED);
	run(290 * SECOND);
	n = f.seen_n;
	f.registrar = forbids;
	while (aor()->bound)
		run(100);
	assert_true(f.seen_n > n); /* tried again while it lasts */
	n = f.seen_n;
	assert_at(SUR_GIVEN_UP);
	run(7200 * SECOND);
	assert_int_equal(f.seen_n, n);
	assert_int_equal(alarms("surrogate-gave-up"), 1);
	(void)s;
}

static void what_ended_too_often_while_it_was_down_has_given_up(void **s)
{
	reach(&once, SUR_REFRESHING);
	say("404 Not Found\r\n");
	assert_at(SUR_REGISTERED);
	die();
	fake_clock_advance(700 * SECOND);
	f.seen_n = 0;
	start();
	run(3600 * SECOND);
	assert_int_equal(f.seen_n, 0);
	assert_at(SUR_GIVEN_UP);
	assert_int_equal(alarms("surrogate-gave-up"), 1);
	(void)s;
}

static void an_order_does_not_register_a_disabled_agent(void **s)
{
	reach(&plain, SUR_REGISTERED);
	f.registrar = goes_along;
	change_agent("state", "disabled");
	assert_at(SUR_DISABLED);
	f.seen_n = 0;
	assert_int_equal(surrogates_notify(f.s, f.a, 0, false), 0);
	run(100 * SECOND);
	assert_at(SUR_DISABLED);
	assert_int_equal(f.seen_n, 0);
	(void)s;
}

static void the_last_word_before_an_answer_counts(void **s)
{
	size_t n;

	/* disabled and enabled again: it registers once more and stays */
	reach(&un_register, SUR_REGISTERING);
	change_agent("state", "disabled");
	change_agent("state", "enabled");
	f.registrar = goes_along;
	say_granted();
	run(SECOND);
	assert_at(SUR_REGISTERED);

	/* the same while it is refreshed */
	f.registrar = NULL;
	surrogates_notify(f.s, f.a, 0, false);
	run(SECOND);
	assert_at(SUR_REFRESHING);
	change_agent("state", "disabled");
	change_agent("state", "enabled");
	f.registrar = goes_along;
	n = f.seen_n;
	say_granted();
	run(SECOND);
	assert_at(SUR_REGISTERED);
	assert_int_equal(sent_since(n), REGISTERS);

	/* sent away and called back by the operator */
	f.registrar = NULL;
	surrogates_notify(f.s, f.a, 0, false);
	run(SECOND);
	assert_at(SUR_REFRESHING);
	surrogates_notify(f.s, f.a, 0, true);
	surrogates_notify(f.s, f.a, 0, false);
	f.registrar = goes_along;
	say_granted();
	run(SECOND);
	assert_at(SUR_REGISTERED);
	(void)s;
}

static void an_operator_may_change_his_mind_at_the_first_one_too(void **s)
{
	size_t n;

	reach(&un_register, SUR_REGISTERING);
	surrogates_notify(f.s, f.a, 0, true);
	surrogates_notify(f.s, f.a, 0, false);
	f.registrar = goes_along;
	n = f.seen_n;
	say_granted();
	run(SECOND);
	assert_at(SUR_REGISTERED);
	assert_int_equal(f.seen_n, n);
	(void)s;
}

static void a_pbx_that_speaks_again_before_the_answer_was_not_silent(void **s)
{
	static const enum surrogate_state states[] = { SUR_REGISTERING,
						       SUR_REFRESHING };

	for (size_t i = 0; i < 2; i++) {
		setup(NULL);
		reach(&of_pbx, states[i]);
		surrogate_feed(aor(), SUR_QUIET, NULL);
		surrogate_feed(aor(), SUR_ACTIVE, NULL);
		say_granted();
		run(SECOND);
		assert_at(SUR_REGISTERED);
		teardown(NULL);
	}
	(void)s;
}

/* Silence is a matter of triggered agents */
static void who_leaves_for_silence_comes_back_when_its_agent_is_automatic(
	void **s)
{
	static const struct way way = { .un_register = true,
					.triggered = true };

	reach(&way, SUR_REGISTERED);
	surrogate_feed(aor(), SUR_QUIET, NULL);
	run(200);
	assert_at(SUR_LEAVING);
	change_agent("register-mode", "automatic");
	f.registrar = goes_along;
	say("200 OK\r\n");
	run(SECOND);
	assert_at(SUR_REGISTERED);
	(void)s;
}

/* A change, and a way back from an end, begin the count anew; the operator's
 * order to one that only waits does not */
static void failures_are_forgotten_where_it_begins_anew(void **s)
{
	static const struct {
		enum surrogate_state in;
		enum surrogate_event ev;
		bool forgotten;
	} cases[] = {
		{ SUR_DISABLED, SUR_ENABLED, true },
		{ SUR_DISABLED, SUR_ORDER_IN, true },
		{ SUR_GIVEN_UP, SUR_ENABLED, true },
		{ SUR_GIVEN_UP, SUR_CHANGED, true },
		{ SUR_GIVEN_UP, SUR_ANEW, true },
		{ SUR_GIVEN_UP, SUR_ORDER_IN, true },
		{ SUR_WAITING, SUR_CHANGED, true },
		{ SUR_WAITING, SUR_ANEW, true },
		{ SUR_WAITING, SUR_CONTACT, false },
		{ SUR_WAITING, SUR_ORDER_IN, false },
		{ SUR_BACKOFF, SUR_CHANGED, true },
		{ SUR_BACKOFF, SUR_ANEW, true },
		{ SUR_BACKOFF, SUR_CONTACT, false },
		{ SUR_BACKOFF, SUR_ORDER_IN, false },
		{ SUR_REFUSED, SUR_CHANGED, true },
		{ SUR_REFUSED, SUR_ANEW, true },
		{ SUR_REFUSED, SUR_CONTACT, false },
		{ SUR_REFUSED, SUR_ORDER_IN, false },
		{ SUR_IDLE, SUR_ACTIVE, true },
		{ SUR_IDLE, SUR_ORDER_IN, true },
		{ SUR_SILENT, SUR_ACTIVE, true },
		{ SUR_SILENT, SUR_ORDER_IN, true },
	};
	unsigned odd = 0;

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		setup(NULL);
		reach(&plain, cases[i].in);
		aor()->failures = 7;
		aor()->refusals = 6;
		surrogate_feed(aor(), cases[i].ev, NULL);
		if (aor()->failures != (cases[i].forgotten ? 0 : 7) ||
		    aor()->refusals != (cases[i].forgotten ? 0 : 6)) {
			odd++;
			print_error("%s in %s: %u failures left\n",
				    surrogate_machine.events[cases[i].ev],
				    surrogate_machine.states[cases[i].in],
				    aor()->failures);
		}
		teardown(NULL);
	}
	assert_int_equal(odd, 0);
	(void)s;
}

/* acli.md 5.1: they end by registered, disabled, deleted; a silent PBX has
 * nothing refused that a binding still holds */
static void alarms_end_with_a_disabled_aor_even_while_a_binding_holds(void **s)
{
	static const struct {
		enum surrogate_event ev;
		unsigned left;
	} cases[] = { { SUR_GONE, 0 }, { SUR_ORDER_OUT, 0 }, { SUR_QUIET, 1 } };

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		setup(NULL);
		reach(&plain, SUR_REFRESHING);
		say("403 Forbidden\r\n");
		assert_at(SUR_REFUSED);
		assert_true(aor()->bound);
		assert_int_equal(alarms("surrogate-credentials-refused"), 1);
		surrogate_feed(aor(), cases[i].ev, NULL);
		assert_int_equal(alarms("surrogate-credentials-refused"),
				 cases[i].left);
		surrogate_feed(aor(), SUR_GONE, NULL);
		assert_int_equal(alarms("surrogate-credentials-refused"), 0);
		teardown(NULL);
	}
	(void)s;
}

static void a_301_is_forgotten_with_the_registrar_also_while_it_answers(
	void **s)
{
	static const enum surrogate_state states[] = { SUR_REGISTERING,
						       SUR_REFRESHING };

	for (size_t i = 0; i < 2; i++) {
		setup(NULL);
		reach(&plain, states[i]);
		say("301 Moved\r\nContact: <sip:127.0.0.14>\r\n");
		serve();
		assert_non_null(aor()->moved);
		surrogate_feed(aor(), SUR_ANEW, NULL);
		f.registrar = goes_along;
		say_granted();
		run(SECOND);
		assert_at(SUR_REGISTERED);
		assert_string_equal(last()->target, "127.0.0.11:5060");
		teardown(NULL);
	}
	(void)s;
}

static void who_is_sent_away_while_he_leaves_does_not_come_back(void **s)
{
	static const enum surrogate_event events[] = { SUR_GONE, SUR_SHUTDOWN,
						       SUR_ORDER_OUT };
	static const struct way silent = { .un_register = true,
					   .triggered = true };

	for (size_t i = 0; i < sizeof(events) / sizeof(*events); i++) {
		/* he would have been called back */
		setup(NULL);
		reach(&un_register, SUR_LEAVING);
		surrogate_feed(aor(), SUR_ORDER_IN, NULL);
		surrogate_feed(aor(), events[i], NULL);
		say("200 OK\r\n");
		run(SECOND);
		assert_at(SUR_DISABLED);
		teardown(NULL);

		/* he would have been silent, to be woken by his PBX */
		setup(NULL);
		reach(&silent, SUR_REGISTERED);
		surrogate_feed(aor(), SUR_QUIET, NULL);
		run(200);
		assert_at(SUR_LEAVING);
		surrogate_feed(aor(), events[i], NULL);
		say("200 OK\r\n");
		run(SECOND);
		assert_at(SUR_DISABLED);
		teardown(NULL);
	}
	(void)s;
}

static void who_waits_for_later_is_due_at_once(void **s)
{
	static const enum surrogate_event events[] = { SUR_CHANGED, SUR_ANEW,
						       SUR_CONTACT,
						       SUR_ORDER_IN };

	for (size_t i = 0; i < sizeof(events) / sizeof(*events); i++) {
		struct registration *r;

		setup(NULL);
		reach(&plain, SUR_WAITING);
		r = aor();
		r->flock->host->not_due(r);
		r->next = clock_ms() + 3600 * SECOND;
		surrogate_arm(r);
		run(100 * SECOND);
		assert_at(SUR_WAITING);
		r->failures = 5;
		surrogate_feed(r, events[i], NULL);
		run(100 * SECOND);
		if (r->state == SUR_WAITING)
			fail_msg("%s", surrogate_machine.events[events[i]]);
		/* what was refused counts no more when it was changed */
		assert_true(i > 1 || r->failures < 5);
		teardown(NULL);
	}
	(void)s;
}

static void a_binding_that_ends_while_its_old_contact_goes_is_made_anew(
	void **s)
{
	static const struct way brief = { .un_register = true, .granted = 20 };

	reach(&brief, SUR_REGISTERED);
	change_agent("register-contact-user", "new^");
	run(SECOND);
	assert_at(SUR_REFRESHING);
	say_granted();
	run(SECOND);
	assert_at(SUR_REFRESHING);
	assert_string_equal(last()->expires, "0");
	run(21 * SECOND);
	assert_false(aor()->bound);
	assert_at(SUR_REGISTERING);
	f.registrar = goes_along;
	say("200 OK\r\n");
	assert_at(SUR_WAITING);
	run(SECOND);
	assert_at(SUR_REGISTERED);
	assert_non_null(strstr(last()->contact, "new0"));
	(void)s;
}

static void a_pbx_that_falls_silent_again_while_it_leaves_stays_out(void **s)
{
	reach(&of_pbx, SUR_LEAVING);
	surrogate_feed(aor(), SUR_ACTIVE, NULL);
	surrogate_feed(aor(), SUR_QUIET, NULL);
	say("200 OK\r\n");
	run(SECOND);
	assert_at(SUR_DISABLED);
	(void)s;
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_cell_is_that_of_the_specification),
		TEST(refused_while_bound_calls_pass_until_it_expires),
		TEST(a_binding_that_expires_behind_a_retry_backs_off),
		TEST(who_failed_too_often_gives_up_when_the_binding_is_over),
		TEST(who_was_refused_too_often_does_so_too),
		TEST(what_ended_too_often_while_it_was_down_has_given_up),
		TEST(an_order_does_not_register_a_disabled_agent),
		TEST(the_last_word_before_an_answer_counts),
		TEST(an_operator_may_change_his_mind_at_the_first_one_too),
		cmocka_unit_test(
			a_pbx_that_speaks_again_before_the_answer_was_not_silent),
		TEST(who_leaves_for_silence_comes_back_when_its_agent_is_automatic),
		cmocka_unit_test(failures_are_forgotten_where_it_begins_anew),
		cmocka_unit_test(
			alarms_end_with_a_disabled_aor_even_while_a_binding_holds),
		cmocka_unit_test(
			a_301_is_forgotten_with_the_registrar_also_while_it_answers),
		cmocka_unit_test(
			who_is_sent_away_while_he_leaves_does_not_come_back),
		cmocka_unit_test(who_waits_for_later_is_due_at_once),
		TEST(a_binding_that_ends_while_its_old_contact_goes_is_made_anew),
		TEST(a_pbx_that_falls_silent_again_while_it_leaves_stays_out),
	};
	int err = libre_init();

	if (err)
		return 1;
	err = cmocka_run_group_tests(tests, NULL, NULL);
	libre_close();

	return err;
}
