/*
 * A plan taken over: what a change of agents does to AoRs in each state
 * (behaviour.md 4.3, 4.6, 4.8)
 */
#include "tests/unit/surrogate_states.h"

static const struct way plain, un_register = { .un_register = true };

static size_t count_of(const char *expires)
{
	size_t n = 0;

	for (size_t i = 0; i < f.seen_n; i++)
		n += strstr(f.seen[i].from, "@a.") &&
		     !strcmp(f.seen[i].expires, expires) &&
		     (!i || f.seen[i].cseq != f.seen[i - 1].cseq ||
		      strcmp(f.seen[i].callid, f.seen[i - 1].callid) != 0);

	return n;
}

/* Change, wait for the answer that is missing, and what follows */
static void let_go(void)
{
	f.registrar = goes_along;
	if (surrogate_is_out(aor()))
		say_granted();
	f.seen_n = 0;
	run(3 * SECOND);
}

struct effect {
	uint8_t in, to;
	size_t registers, leaves;
};

static void try_all(const struct way *way, void (*change)(void),
		    const struct effect *rows, size_t n)
{
	unsigned wrong = 0;

	for (size_t i = 0; i < n; i++) {
		setup(NULL);
		reach(way, (enum surrogate_state)rows[i].in);
		change();
		let_go();
		if (aor()->state != rows[i].to ||
		    count_of("600") != rows[i].registers ||
		    count_of("0") != rows[i].leaves) {
			wrong++;
			print_error("from %s to %s, %zu REGISTERs and %zu with "
				    "Expires 0\n",
				    surrogate_machine.states[rows[i].in],
				    surrogate_machine.states[aor()->state],
				    count_of("600"), count_of("0"));
		}
		teardown(NULL);
	}
	assert_int_equal(wrong, 0);
}

#define TRY_ALL(way, change, rows)                                             \
	try_all(way, change, rows, sizeof(rows) / sizeof(*(rows)))

static void other_password(void)
{
	change_agent("password", "better");
}

static void a_new_password_is_tried_at_once_where_there_is_no_binding(void **s)
{
	static const struct effect rows[] = {
		{ SUR_BACKOFF, SUR_REGISTERED, 1, 0 },
		{ SUR_REFUSED, SUR_REGISTERED, 1, 0 },
		{ SUR_GIVEN_UP, SUR_REGISTERED, 1, 0 },
		{ SUR_REGISTERING, SUR_REGISTERED, 1, 0 },
		{ SUR_REGISTERED, SUR_REGISTERED, 0, 0 },
		{ SUR_REFRESHING, SUR_REGISTERED, 0, 0 },
		{ SUR_IDLE, SUR_IDLE, 0, 0 },
		{ SUR_SILENT, SUR_SILENT, 0, 0 },
		{ SUR_LEAVING, SUR_DISABLED, 0, 0 },
	};

	TRY_ALL(&plain, other_password, rows);
	(void)s;
}

static void other_contact(void)
{
	change_agent("register-contact-user", "new^");
}

static void a_new_contact_comes_first_and_the_old_one_goes(void **s)
{
	static const struct effect with[] = {
		{ SUR_BACKOFF, SUR_REGISTERED, 1, 0 },
		{ SUR_REFUSED, SUR_REGISTERED, 1, 0 },
		{ SUR_REGISTERING, SUR_REGISTERED, 1, 1 },
		{ SUR_REGISTERED, SUR_REGISTERED, 1, 1 },
		{ SUR_REFRESHING, SUR_REGISTERED, 1, 1 },
		{ SUR_IDLE, SUR_IDLE, 0, 0 },
		{ SUR_SILENT, SUR_SILENT, 0, 0 },
	};
	static const struct effect without[] = {
		{ SUR_BACKOFF, SUR_REGISTERED, 1, 0 },
		{ SUR_REGISTERING, SUR_REGISTERED, 1, 0 },
		{ SUR_REGISTERED, SUR_REGISTERED, 1, 0 },
		{ SUR_REFRESHING, SUR_REGISTERED, 1, 0 },
	};

	TRY_ALL(&un_register, other_contact, with);
	TRY_ALL(&plain, other_contact, without);
	(void)s;
}

static void disable(void)
{
	change_agent("state", "disabled");
}

static void a_disabled_agent_leaves_where_that_is_wanted(void **s)
{
	static const struct effect with[] = {
		{ SUR_WAITING, SUR_DISABLED, 0, 0 },
		{ SUR_BACKOFF, SUR_DISABLED, 0, 0 },
		{ SUR_REFUSED, SUR_DISABLED, 0, 0 },
		{ SUR_GIVEN_UP, SUR_DISABLED, 0, 0 },
		{ SUR_REGISTERING, SUR_DISABLED, 0, 1 },
		{ SUR_REGISTERED, SUR_DISABLED, 0, 1 },
		{ SUR_REFRESHING, SUR_DISABLED, 0, 1 },
		{ SUR_IDLE, SUR_DISABLED, 0, 0 },
		{ SUR_SILENT, SUR_DISABLED, 0, 0 },
		{ SUR_LEAVING, SUR_DISABLED, 0, 0 },
	};
	static const struct effect without[] = {
		{ SUR_REGISTERING, SUR_DISABLED, 0, 0 },
		{ SUR_REGISTERED, SUR_DISABLED, 0, 0 },
		{ SUR_REFRESHING, SUR_DISABLED, 0, 0 },
	};

	TRY_ALL(&un_register, disable, with);
	TRY_ALL(&plain, disable, without);
	(void)s;
}

static void describe(void)
{
	change_agent("description", "moved house");
}

static void what_does_not_concern_a_binding_does_not_touch_it(void **s)
{
	static const struct effect rows[] = {
		{ SUR_REGISTERED, SUR_REGISTERED, 0, 0 },
		{ SUR_REFRESHING, SUR_REGISTERED, 0, 0 },
		{ SUR_IDLE, SUR_IDLE, 0, 0 },
	};

	TRY_ALL(&un_register, describe, rows);
	(void)s;
}

static void a_deleted_agent_is_forgotten_in_each_state(void **s)
{
	unsigned wrong = 0;

	for (int state = 0; state < SUR_STATES; state++) {
		setup(NULL);
		reach(&un_register, (enum surrogate_state)state);
		f.registrar = goes_along;
		change_to(&element_surrogate_agent, NULL, f.a);
		run(100);
		if (f.seen_n &&
		    (state == SUR_REGISTERING || state == SUR_REFRESHING ||
		     state == SUR_LEAVING))
			say_granted();
		run(3 * SECOND);
		/* WAITING has another agent beside it */
		if (in_state((enum surrogate_state)state) ||
		    fake_row("4930100@a.trunk.example")) {
			wrong++;
			print_error("%s: not forgotten\n",
				    surrogate_machine.states[state]);
		}
		teardown(NULL);
	}
	assert_int_equal(wrong, 0);
	(void)s;
}

static void an_agent_that_comes_back_while_it_leaves_keeps_its_row(void **s)
{
	void *copy;

	reach(&un_register, SUR_REGISTERED);
	assert_int_equal(item_copy(&copy, &element_surrogate_agent, f.a), 0);
	change_to(&element_surrogate_agent, NULL, f.a);
	run(200);
	assert_int_equal(in_state(SUR_LEAVING), 1);
	/* the un-REGISTER of the former one is still out */
	change_to(&element_surrogate_agent, copy, copy);
	run(200);
	assert_int_equal(in_state(SUR_REGISTERING), 1);
	say_granted();
	run(100);
	assert_int_equal(in_state(SUR_REGISTERED), 1);
	assert_non_null(fake_row("4930100@a.trunk.example"));
	run(33 * SECOND);
	assert_int_equal(in_state(SUR_LEAVING), 0);
	assert_non_null(fake_row("4930100@a.trunk.example"));
	(void)s;
}

/* Another registrar --------------------------------------------------------------- */

static const char *moved_for_good(const struct seen *r)
{
	return strstr(r->target, "127.0.0.11:")
		       ? "301 Moved\r\nContact: <sip:127.0.0.14>\r\n"
		       : grants(r);
}

static void second_registrar(void)
{
	config_add(f.cfg, &element_session_agent, "hostname", "other.example",
		   "realm-id", "trunk", NULL);
	fake_name("other.example", "127.0.0.19:5060", NULL);
}

static void another_registrar_is_told_at_once_and_a_301_forgotten(void **s)
{
	second_registrar();
	agent_add("a", "493010^", "3");
	f.registrar = moved_for_good;
	start();
	run(3 * SECOND);
	assert_state(SUR_REGISTERED);
	assert_int_equal(f.seen_n, 6);

	/* it counts from then on */
	f.seen_n = 0;
	surrogates_notify(f.s, f.a, 0, false);
	run(SECOND);
	assert_int_equal(f.seen_n, 1);
	assert_string_equal(last()->target, "127.0.0.14:5060");

	f.seen_n = 0;
	change_agent("proxy-name", "other.example");
	run(3 * SECOND);
	assert_int_equal(f.seen_n, 3);
	for (size_t i = 0; i < 3; i++)
		assert_string_equal(f.seen[i].target, "127.0.0.19:5060");
	assert_state(SUR_REGISTERED);
	(void)s;
}

static void a_registrar_with_another_address_forgets_a_301(void **s)
{
	void *copy;

	f.registrar = moved_for_good;
	one_agent();
	run(SECOND);
	assert_state(SUR_REGISTERED);

	assert_int_equal(item_copy(&copy, &element_session_agent, f.trunk), 0);
	item_set(&element_session_agent, copy, "ip-address", "127.0.0.16");
	change_to(&element_session_agent, copy, copy);
	f.seen_n = 0;
	run(SECOND);
	assert_int_equal(f.seen_n, 0);
	surrogates_notify(f.s, f.a, 0, false);
	run(SECOND);
	assert_string_equal(last()->target, "127.0.0.16:5060");
	(void)s;
}

/* Modes ---------------------------------------------------------------------------- */

static void the_mode_may_change_both_ways(void **s)
{
	agent_add("a", "493010^", "3");
	start();
	run(3 * SECOND);
	f.seen_n = 0;
	change_agent("register-mode", "triggered");
	run(20 * SECOND);
	assert_int_equal(in_state(SUR_REGISTERED), 3);
	run(15 * SECOND);
	assert_int_equal(in_state(SUR_SILENT), 3);
	assert_int_equal(alarms("surrogate-silent"), 1);

	change_agent("register-mode", "automatic");
	run(3 * SECOND);
	assert_int_equal(in_state(SUR_REGISTERED), 3);
	assert_int_equal(alarms("surrogate-silent"), 0);
	(void)s;
}

static void use(struct config *cfg)
{
	const struct plan *plan;

	assert_int_equal(plan_alloc(&plan, cfg), 0);
	f.worker.plan = plan;
	assert_int_equal(surrogates_change(f.s, plan, f.plan), 0);
	plan_give(f.plan);
	config_give(f.cfg);
	f.plan = plan;
	f.cfg = cfg;
}

static void remove_item(const struct element *type, const void *item)
{
	struct change change = { .type = type, .key_of = item };
	struct config *cfg;

	assert_int_equal(config_change(&cfg, f.cfg, &change, 1), 0);
	use(cfg);
}

/* Another plan of an equal configuration */
static void change_nothing(void)
{
	struct config *cfg;

	assert_int_equal(config_change(&cfg, f.cfg, NULL, 0), 0);
	use(cfg);
}

static void a_registrar_that_is_looked_up_keeps_its_realm(void **s)
{
	agent_add("a", "493010^", "1");
	fake_resolver_fail(EINPROGRESS);
	start();
	run(SECOND);
	/* the REGISTER asks, and whoever takes calls of the registrar */
	assert_int_equal(fake_resolver_waiting(), 2);
	change_nothing();
	change_nothing();
	assert_int_equal(fake_resolver_waiting(), 2);
	fake_resolver_answer(0);
	run(SECOND);
	assert_int_equal(in_state(SUR_REGISTERED), 1);
	(void)s;
}

static const char *is_silent(const struct seen *r)
{
	(void)r;
	return NULL;
}

/* It leaves still while first its agent goes, then the realm of the registrar,
 * then the plan that knew it */
static void who_leaves_does_so_through_changes(void **s)
{
	agent_add("a", "493010^", "1");
	item_set(&element_surrogate_agent, f.a, "un-register", "enabled");
	fake_name("trunk.example", "127.0.0.11:5060", "127.0.0.14:5060", NULL);
	start();
	run(SECOND);
	assert_int_equal(in_state(SUR_REGISTERED), 1);
	f.registrar = is_silent;
	remove_item(&element_surrogate_agent, f.a);
	run(SECOND);
	assert_string_equal(last()->expires, "0");
	change_nothing();
	remove_item(&element_sip_interface,
		    config_find(f.cfg, &element_sip_interface,
				&(struct pl)PL("trunk")));
	remove_item(&element_realm_config,
		    config_find(f.cfg, &element_realm_config,
				&(struct pl)PL("trunk")));
	change_nothing();
	run(80 * SECOND); /* to the next target, and the end */
	assert_int_equal(in_state(SUR_LEAVING), 0);
	(void)s;
}

/* Stopped, changed, started: as if it had been changed while running */
static void a_password_changed_while_it_was_down_is_tried_at_once(void **s)
{
	static const char *const passwords[] = { "secret-reg-a", "better" };

	for (int i = 0; i < 2; i++) {
		struct change change = { .type = &element_surrogate_agent };
		const struct plan *before;
		struct config *cfg;
		void *copy;

		setup(NULL);
		reach(&plain, SUR_REFUSED);
		die();
		assert_int_equal(plan_alloc(&before, f.cfg), 0);
		assert_int_equal(
			item_copy(&copy, &element_surrogate_agent, f.a), 0);
		item_set(&element_surrogate_agent, copy, "password",
			 passwords[i]);
		change.item = copy;
		change.key_of = copy;
		assert_int_equal(config_change(&cfg, f.cfg, &change, 1), 0);
		config_give(f.cfg);
		f.cfg = cfg;
		f.a = (void *)config_at(cfg, &element_surrogate_agent, 0);
		f.registrar = goes_along;
		start_after(before);
		plan_give(before);
		run(SECOND);
		assert_at(i ? SUR_REGISTERED : SUR_REFUSED);
		teardown(NULL);
	}
	(void)s;
}

/* --- In slices, while calls go on --------------------------------------------- */

enum {
	MANY = 1000 /* agents: some slices */
};

static void use_later(struct config *cfg)
{
	const struct plan *plan;

	assert_int_equal(plan_alloc(&plan, cfg), 0);
	f.worker.plan = plan;
	assert_int_equal(surrogates_change_later(f.s, plan, f.plan), 0);
	plan_give(f.plan);
	config_give(f.cfg);
	f.plan = plan;
	f.cfg = cfg;
}

/* More agents like the one there is, with one AoR each; or these gone again */
static void change_many(bool more)
{
	static struct change changes[MANY];
	struct config *cfg;
	char user[32];

	for (unsigned i = 0; i < MANY; i++) {
		void *item = NULL;

		assert_int_equal(
			item_copy(&item, &element_surrogate_agent, f.a), 0);
		snprintf(user, sizeof(user), "u%u", i);
		item_set(&element_surrogate_agent, item, "register-user", user);
		item_set(&element_surrogate_agent, item,
			 "register-contact-user", user);
		changes[i] = (struct change){ .type = &element_surrogate_agent,
					      .item = more ? item : NULL,
					      .key_of = more ? NULL : item };
	}
	assert_int_equal(config_change(&cfg, f.cfg, changes, MANY), 0);
	for (unsigned i = 0; i < MANY && !more; i++)
		item_free(&element_surrogate_agent, (void *)changes[i].key_of);
	use_later(cfg);
}

static uint32_t all_of_them(void)
{
	uint32_t counts[SUR_STATES], n = 0;

	surrogates_count(f.s, counts);
	for (int i = 0; i < SUR_STATES; i++)
		n += counts[i];

	return n;
}

static void one_registered(void)
{
	agent_add("a", "493010^", "1");
	f.sip->registration_rate = 0; /* no pacing */
	f.registrar = goes_along;
	start();
	run(2 * SECOND);
	assert_int_equal(in_state(SUR_REGISTERED), 1);
}

static void many_agents_come_and_go_a_slice_in_a_turn(void **s)
{
	one_registered();
	change_many(true);
	/* the first slice, and no more before the loop has turned */
	assert_in_range(all_of_them(), 50, 250);
	run(2);
	assert_in_range(all_of_them(), 100, 700);
	run(60 * SECOND);
	assert_int_equal(in_state(SUR_REGISTERED), MANY + 1);
	assert_int_equal(f.seen_n, MANY + 1); /* each once */

	change_many(false);
	assert_true(all_of_them() > MANY / 2);
	run(SECOND);
	assert_int_equal(all_of_them(), 1);
	assert_int_equal(in_state(SUR_REGISTERED), 1);
	assert_int_equal(f.seen_n, MANY + 1);
	(void)s;
}

static void a_change_in_the_middle_of_one_counts_alone(void **s)
{
	one_registered();
	change_many(true);
	run(1);
	change_many(false);
	run(60 * SECOND);
	assert_int_equal(all_of_them(), 1);
	change_many(true);
	change_many(false);
	change_many(true);
	run(60 * SECOND);
	assert_int_equal(in_state(SUR_REGISTERED), MANY + 1);
	(void)s;
}

static const char *large_count = "1000", *large_start = "0";

/* One agent with many AoRs comes, changes, and goes */
static void change_large(bool more, const char *retry)
{
	struct change change = { .type = &element_surrogate_agent };
	struct config *cfg;
	void *item = NULL;

	assert_int_equal(item_copy(&item, &element_surrogate_agent, f.a), 0);
	item_set(&element_surrogate_agent, item, "register-user", "7^^^^");
	item_set(&element_surrogate_agent, item, "register-contact-user",
		 "c7^^^^");
	item_set(&element_surrogate_agent, item, "aor-count", large_count);
	item_set(&element_surrogate_agent, item, "count-start", large_start);
	item_set(&element_surrogate_agent, item, "register-retry-time", retry);
	if (more)
		change.item = item;
	else
		change.key_of = item;
	assert_int_equal(config_change(&cfg, f.cfg, &change, 1), 0);
	if (!more)
		item_free(&element_surrogate_agent, item);
	use_later(cfg);
}

static void a_large_agent_comes_and_goes_a_slice_in_a_turn(void **s)
{
	one_registered();
	change_large(true, "30");
	assert_in_range(all_of_them(), 50, 250);
	run(60 * SECOND);
	assert_int_equal(in_state(SUR_REGISTERED), MANY + 1);
	assert_int_equal(f.seen_n, MANY + 1);
	assert_string_equal(report(MANY).aor, "70999@a.trunk.example");

	change_large(true, "40");
	run(5 * SECOND);
	assert_int_equal(in_state(SUR_REGISTERED), MANY + 1);
	assert_int_equal(f.seen_n, MANY + 1);

	change_large(false, "40");
	assert_true(all_of_them() > MANY / 2);
	/* and back, while it leaves still */
	change_large(true, "40");
	run(60 * SECOND);
	assert_int_equal(in_state(SUR_REGISTERED), MANY + 1);
	change_large(false, "40");
	run(5 * SECOND);
	assert_int_equal(all_of_them(), 1);
	assert_int_equal(in_state(SUR_REGISTERED), 1);
	(void)s;
}

static void renumber_large(const char *count, const char *start)
{
	large_count = count;
	large_start = start;
	change_large(true, "30");
	large_count = "1000";
	large_start = "0";
}

static void other_numbers_of_a_large_agent_are_taken_a_slice_in_a_turn(void **s)
{
	one_registered();
	change_large(true, "30");
	run(60 * SECOND);
	assert_int_equal(in_state(SUR_REGISTERED), MANY + 1);
	f.seen_n = 0;

	/* 500 stay, 500 leave, 700 come */
	renumber_large("1200", "500");
	assert_int_equal(all_of_them(), MANY + 1);
	run(2);
	assert_int_equal(all_of_them(), MANY + 1);
	run(60 * SECOND);
	assert_int_equal(all_of_them(), 1201);
	assert_int_equal(in_state(SUR_REGISTERED), 1201);
	assert_int_equal(f.seen_n, 700); /* those that come, once */
	assert_string_equal(report(1200).aor, "71699@a.trunk.example");

	/* back, and another one while that is under way; then an end */
	renumber_large("1000", "0");
	run(1);
	renumber_large("1100", "0");
	run(60 * SECOND);
	assert_int_equal(all_of_them(), 1101);
	assert_int_equal(in_state(SUR_REGISTERED), 1101);
	renumber_large("10", "0");
	run(1);
	(void)s;
}

/* AoRs of the large agent as they were, to see which ones a turn touches */
static struct watched {
	struct registration *r; /* a reference */
	struct registration was;
} watched[MANY];

static void watch_begin(void)
{
	struct owner who = { .agent = report(1).owner.agent };

	for (uint32_t i = 0; i < MANY; i++) {
		who.number = i;
		watched[i].r = mem_ref(surrogates_find(f.s, &who));
		assert_non_null(watched[i].r);
		watched[i].was = *watched[i].r;
	}
}

static uint32_t touched(void)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < MANY; i++) {
		n += memcmp(&watched[i].was, watched[i].r,
			    sizeof(watched[i].was)) != 0;
		watched[i].was = *watched[i].r;
	}

	return n;
}

static void watch_end(void)
{
	for (uint32_t i = 0; i < MANY; i++)
		mem_deref(watched[i].r);
}

static void no_turn_touches_all_aors_whose_numbers_change(void **s)
{
	uint32_t most = 0, all = 0;

	one_registered();
	change_large(true, "30");
	run(60 * SECOND);
	watch_begin();

	/* 500 get another number, 500 leave, 700 come */
	renumber_large("1200", "500");
	for (int turn = 0; turn < 100; turn++) {
		uint32_t n = touched();

		most = n > most ? n : most;
		all += n;
		run(1);
	}
	assert_true(all >= MANY);
	/* a slice of theirs, one of those that leave, and neighbours of both in
	 * lists of timers */
	assert_in_range(most, 1, MANY / 2 - 1);
	watch_end();
	assert_int_equal(all_of_them(), 1201);
	assert_string_equal(report(1).aor, "70500@a.trunk.example");
	assert_string_equal(report(1200).aor, "71699@a.trunk.example");

	/* an end while some are told apart: they are still where they were */
	renumber_large("1000", "0");
	run(14);
	assert_int_equal(all_of_them(), 1201);
	(void)s;
}

/* What concerns all AoRs concerns those, too, whose turn has not come */
static void a_registrar_that_is_lost_in_the_middle_is_lost_for_all(void **s)
{
	struct config *cfg;

	one_registered();
	change_many(true);
	run(60 * SECOND);
	f.seen_n = 0;
	assert_int_equal(config_change(&cfg, f.cfg, NULL, 0), 0);
	use_later(cfg);
	f.trunk->invalidate_registrations = true;
	surrogates_target_gone(f.s, f.trunk, NULL);
	run(60 * SECOND);
	assert_int_equal(f.seen_n, MANY + 1);
	assert_int_equal(in_state(SUR_REGISTERED), MANY + 1);
	(void)s;
}

static void note_end(void *arg)
{
	*(bool *)arg = true;
}

static void an_end_in_the_middle_of_a_change_leaves_nobody_behind(void **s)
{
	bool ended = false;

	one_registered();
	change_many(true);
	surrogates_stop(f.s, 5000, note_end, &ended);
	run(5 * SECOND);
	assert_true(ended);
	assert_int_equal(in_state(SUR_REGISTERING), 0);
	/* and one that is closed at once only frees */
	teardown(NULL);
	setup(NULL);
	one_registered();
	change_many(true);
	(void)s;
}

int main(void)
{
#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			a_new_password_is_tried_at_once_where_there_is_no_binding),
		cmocka_unit_test(
			a_new_contact_comes_first_and_the_old_one_goes),
		cmocka_unit_test(a_disabled_agent_leaves_where_that_is_wanted),
		cmocka_unit_test(
			what_does_not_concern_a_binding_does_not_touch_it),
		cmocka_unit_test(a_deleted_agent_is_forgotten_in_each_state),
		TEST(an_agent_that_comes_back_while_it_leaves_keeps_its_row),
		TEST(another_registrar_is_told_at_once_and_a_301_forgotten),
		TEST(a_registrar_with_another_address_forgets_a_301),
		TEST(the_mode_may_change_both_ways),
		cmocka_unit_test(
			a_password_changed_while_it_was_down_is_tried_at_once),
		TEST(a_registrar_that_is_looked_up_keeps_its_realm),
		TEST(who_leaves_does_so_through_changes),
		TEST(many_agents_come_and_go_a_slice_in_a_turn),
		TEST(a_change_in_the_middle_of_one_counts_alone),
		TEST(a_large_agent_comes_and_goes_a_slice_in_a_turn),
		TEST(other_numbers_of_a_large_agent_are_taken_a_slice_in_a_turn),
		TEST(no_turn_touches_all_aors_whose_numbers_change),
		TEST(a_registrar_that_is_lost_in_the_middle_is_lost_for_all),
		TEST(an_end_in_the_middle_of_a_change_leaves_nobody_behind),
	};
	int err = libre_init();

	if (err)
		return 1;
	err = cmocka_run_group_tests(tests, NULL, NULL);
	libre_close();

	return err;
}
