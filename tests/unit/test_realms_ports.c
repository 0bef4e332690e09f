/*
 * Media ports: fresh ones first, then the longest free, quiet for 2 s
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include "config_fixture.h"
#include "realms/ports.h"

struct fixture {
	struct config *cfg;
	struct realms *realms;
	struct ports *ports;
};

static struct steering_pool *pool(struct config *cfg, const char *realm,
				  const char *address, const char *from,
				  const char *to)
{
	return config_add(cfg, &element_steering_pool, "ip-address", address,
			  "start-port", from, "end-port", to, "realm-id", realm,
			  NULL);
}

static int setup(void **state)
{
	static struct fixture f;

	memset(&f, 0, sizeof(f));
	f.cfg = config_new();
	realm_add(f.cfg, "a", "127.0.0.1");
	realm_add(f.cfg, "b", "127.0.0.2");
	assert_int_equal(ports_open(&f.ports), 0);
	*state = &f;

	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	ports_close(f->ports);
	mem_deref(f->realms);
	config_give(f->cfg);

	return 0;
}

/* The next row begins with a fixture of its own */
static void anew(void **state)
{
	teardown(state);
	setup(state);
}

static const struct realm *realm(struct fixture *f, const char *name)
{
	if (!f->realms) {
		assert_int_equal(realms_alloc(&f->realms, f->cfg), 0);
		assert_int_equal(ports_change(f->ports, f->cfg), 0);
	}

	return realm_named(f->realms, name);
}

/* The RTP port of a pair taken now; 0 if there is none */
static uint16_t take(struct fixture *f, const char *name, uint64_t now,
		     struct port_pair *pair)
{
	const struct realm *r = realm(f, name);
	int err = ports_take(f->ports, r, AF_INET, now, pair);

	if (err) {
		assert_int_equal(err, ENOSPC);
		return 0;
	}
	assert_int_equal(sa_port(&pair->rtp) % 2, 0);
	assert_int_equal(sa_port(&pair->rtcp), sa_port(&pair->rtp) + 1);
	assert_true(sa_cmp(&pair->rtp, &pair->rtcp, SA_ADDR));

	return sa_port(&pair->rtp);
}

static void assert_count(struct fixture *f, uint32_t used, uint32_t free)
{
	uint32_t u, v;

	ports_count(f->ports, realm(f, "a"), &u, &v);
	assert_int_equal(u, used);
	assert_int_equal(v, free);
}

static void odd_ends_of_a_range_are_left_out(void **state)
{
	/* clang-format off */
	static const struct { const char *from, *to; uint16_t first; uint32_t n; } rows[] = {
		{ "20000", "20003", 20000, 2 }, { "20001", "20005", 20002, 2 },
		{ "20001", "20004", 20002, 1 }, { "20001", "20002", 0, 0 },
		{ "65534", "65535", 65534, 1 }, { "20000", "20000", 0, 0 },
	};
	/* clang-format on */

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); ++i) {
		struct port_pair pair;
		struct fixture *f;

		anew(state);
		f = *state;
		pool(f->cfg, "a", "127.0.0.1", rows[i].from, rows[i].to);
		assert_int_equal(take(f, "a", 0, &pair), rows[i].first);
		assert_count(f, rows[i].n ? 1 : 0,
			     rows[i].n ? rows[i].n - 1 : 0);
	}
}

static void fresh_pairs_go_through_all_pools_in_order(void **state)
{
	static const uint16_t order[] = { 20000, 20002, 30000, 30002, 0 };
	struct fixture *f = *state;
	struct port_pair pair;

	pool(f->cfg, "a", "127.0.0.1", "20000", "20003");
	pool(f->cfg, "a", "127.0.0.1", "30000", "30003");
	/* Released ones wait, though their time is over */
	assert_int_equal(take(f, "a", 1, &pair), order[0]);
	ports_give(f->ports, &pair, 1);
	for (size_t i = 1; i < 4; ++i)
		assert_int_equal(take(f, "a", 100000, &pair), order[i]);
	assert_int_equal(take(f, "a", 100000, &pair), 20000);
	assert_int_equal(take(f, "a", 100000, &pair), 0);
}

static void then_the_pair_that_is_free_for_longest(void **state)
{
	struct fixture *f = *state;
	struct port_pair p[4], pair;

	pool(f->cfg, "a", "127.0.0.1", "20000", "20003");
	pool(f->cfg, "a", "127.0.0.1", "30000", "30003");
	for (int i = 0; i < 4; ++i)
		assert_int_not_equal(take(f, "a", 0, &p[i]), 0);
	ports_give(f->ports, &p[2], 10);
	ports_give(f->ports, &p[1], 20);
	ports_give(f->ports, &p[3], 30);
	ports_give(f->ports, &p[0], 40);
	assert_int_equal(take(f, "a", 9000, &pair), 30000);
	assert_int_equal(take(f, "a", 9000, &pair), 20002);
	assert_int_equal(take(f, "a", 9000, &pair), 30002);
	assert_int_equal(take(f, "a", 9000, &pair), 20000);
}

static void a_pair_is_quiet_for_two_seconds(void **state)
{
	struct fixture *f = *state;
	struct port_pair pair;

	pool(f->cfg, "a", "127.0.0.1", "20000", "20001");
	assert_int_equal(take(f, "a", 5000, &pair), 20000);
	assert_int_equal(take(f, "a", 5000, &pair), 0);
	ports_give(f->ports, &pair, 6000);
	assert_int_equal(take(f, "a", 7999, &pair), 0);
	assert_int_equal(take(f, "a", 8000, &pair), 20000);
}

static void realms_and_families_are_apart(void **state)
{
	struct fixture *f = *state;
	struct port_pair pair;

	pool(f->cfg, "a", "127.0.0.1", "20000", "20001");
	pool(f->cfg, "b", "127.0.0.1", "30000", "30001");
	assert_int_equal(take(f, "b", 0, &pair), 30000);
	assert_int_equal(take(f, "b", 0, &pair), 0);
	assert_int_equal(
		ports_take(f->ports, realm(f, "a"), AF_INET6, 0, &pair),
		ENOENT);
}

static void a_changed_end_keeps_what_is_in_use(void **state)
{
	struct fixture *f = *state;
	struct port_pair one, two, pair;
	struct steering_pool *config =
		pool(f->cfg, "a", "127.0.0.1", "20000", "20003");

	assert_int_equal(take(f, "a", 0, &one), 20000);
	assert_int_equal(take(f, "a", 0, &two), 20002);
	item_set(&element_steering_pool, config, "end-port", "20001");
	assert_int_equal(ports_change(f->ports, f->cfg), 0);
	ports_give(f->ports, &two, 1);
	assert_int_equal(take(f, "a", 9000, &pair), 0);
	item_set(&element_steering_pool, config, "end-port", "20007");
	assert_int_equal(ports_change(f->ports, f->cfg), 0);
	assert_int_equal(take(f, "a", 9000, &pair), 20004);
	assert_int_equal(take(f, "a", 9000, &pair), 20006);
	assert_int_equal(take(f, "a", 9000, &pair), 20002);
	assert_int_equal(take(f, "a", 9000, &pair), 0);
}

static void what_was_prepared_and_given_up_changes_no_pool(void **state)
{
	struct fixture *f = *state;
	struct config *next = config_new();
	struct port_pair pair, other;

	pool(f->cfg, "a", "127.0.0.1", "20000", "20003");
	pool(next, "a", "127.0.0.1", "20000", "20007");
	pool(next, "b", "127.0.0.2", "20000", "20007");
	assert_int_equal(take(f, "a", 0, &pair), 20000);
	assert_int_equal(ports_prepare(f->ports, next), 0);
	assert_count(f, 1, 1);
	/* calls go on meanwhile */
	assert_int_equal(take(f, "a", 0, &other), 20002);
	ports_give(f->ports, &other, 0);
	assert_int_equal(ports_change(f->ports, f->cfg), 0);
	assert_count(f, 1, 1);

	assert_int_equal(ports_prepare(f->ports, next), 0);
	assert_int_equal(ports_change(f->ports, next), 0);
	assert_count(f, 1, 3);
	ports_give(f->ports, &pair, 1);
	config_give(next);
}

static void a_pool_that_is_gone_lives_until_its_last_pair(void **state)
{
	struct fixture *f = *state;
	struct config *empty = config_new();
	struct port_pair pair, none;

	pool(f->cfg, "a", "127.0.0.1", "20000", "20003");
	assert_int_equal(take(f, "a", 0, &pair), 20000);
	assert_int_equal(ports_change(f->ports, empty), 0);
	assert_int_equal(ports_take(f->ports, realm(f, "a"), AF_INET, 0, &none),
			 ENOENT);
	ports_give(f->ports, &pair, 1);
	assert_int_equal(ports_change(f->ports, f->cfg), 0);
	assert_count(f, 0, 2);
	config_give(empty);
}

static void an_alarm_ends_once_and_for_its_own_pools_only(void **state)
{
	struct fixture *f = *state;

	assert_false(ports_relieve(f->ports, "a"));
	assert_int_equal(ports_alert(f->ports, "a"), 0);
	assert_int_equal(ports_alert(f->ports, "a"), 0);
	assert_int_equal(ports_alert(f->ports, "b"), 0);
	assert_true(ports_relieve(f->ports, "a"));
	assert_false(ports_relieve(f->ports, "a"));
	assert_true(ports_relieve(f->ports, "b"));
	assert_int_equal(ports_alert(f->ports, "left at the end"), 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

/* --- Several threads ------------------------------------------------------ */

enum {
	TAKERS = 4,
	PAIRS = 3, /* fewer, so that the pool runs dry */
	TURNS = 20000,
	LATER = 10000 /* all are quiet no more [ms] */
};

struct takers {
	struct fixture *f;
	const struct realm *realm;
	atomic_uint holders[PAIRS]; /* of each pair */
	atomic_uint taken, wrong;
};

static void *taker_main(void *arg)
{
	struct takers *t = arg;
	struct port_pair pair;

	for (unsigned i = 0; i < TURNS; i++) {
		unsigned n;

		if (ports_take(t->f->ports, t->realm, AF_INET, LATER, &pair))
			continue;
		n = (sa_port(&pair.rtp) - 20000u) / 2;
		if (n >= PAIRS || atomic_fetch_add(&t->holders[n], 1))
			atomic_fetch_add(&t->wrong, 1);
		atomic_fetch_add(&t->taken, 1);
		if (n < PAIRS)
			atomic_fetch_sub(&t->holders[n], 1);
		ports_give(t->f->ports, &pair, 1);
	}

	return NULL;
}

static void no_pair_is_taken_twice_by_any_thread(void **state)
{
	struct fixture *f = *state;
	struct takers t = { .f = f };
	pthread_t threads[TAKERS];
	struct port_pair pair;
	unsigned seen = 0;

	pool(f->cfg, "a", "127.0.0.1", "20000", "20005");
	t.realm = realm(f, "a");
	for (unsigned i = 0; i < TAKERS; i++)
		assert_int_equal(
			pthread_create(&threads[i], NULL, taker_main, &t), 0);
	for (unsigned i = 0; i < TAKERS; i++)
		pthread_join(threads[i], NULL);

	assert_int_equal(t.wrong, 0);
	assert_true(t.taken > TURNS / 2);
	/* and none was lost */
	assert_count(f, 0, PAIRS);
	for (unsigned i = 0; i < PAIRS; i++)
		seen |= 1u << (take(f, "a", LATER, &pair) - 20000) / 2;
	assert_int_equal(seen, (1u << PAIRS) - 1);
	assert_int_equal(take(f, "a", LATER, &pair), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(odd_ends_of_a_range_are_left_out),
		T(fresh_pairs_go_through_all_pools_in_order),
		T(then_the_pair_that_is_free_for_longest),
		T(a_pair_is_quiet_for_two_seconds),
		T(realms_and_families_are_apart),
		T(a_changed_end_keeps_what_is_in_use),
		T(what_was_prepared_and_given_up_changes_no_pool),
		T(a_pool_that_is_gone_lives_until_its_last_pair),
		T(an_alarm_ends_once_and_for_its_own_pools_only),
		T(no_pair_is_taken_twice_by_any_thread),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
