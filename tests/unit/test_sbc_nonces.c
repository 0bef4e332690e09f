/*
 * Nonces to use again: nc never falls, the oldest go, refusing targets rest
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>
#include "sbc/nonces.h"

#define HOUR (3600 * 1000ull)

static struct target targets[64];

static struct nonce_key key(uint32_t target, const char *realm,
			    const char *user)
{
	struct nonce_key k = { .target = &targets[target], .proxy = true };

	sa_set_in(&targets[target].dst, 0x7f000001 + target, 5060);
	pl_set_str(&k.realm, realm);
	pl_set_str(&k.user, user);

	return k;
}

static int put_text(struct nonces *n, struct nonce_key k, const char *text,
		    uint32_t nc, uint64_t now)
{
	struct challenge c;
	struct pl pl;

	pl_set_str(&pl, text);
	assert_int_equal(challenge_read(&c, &pl), 0);

	return nonce_put(n, &k, &c, "0123456789abcdef0123456789abcdef", nc,
			 now);
}

static int put(struct nonces *n, struct nonce_key k, const char *nonce,
	       uint32_t nc)
{
	char text[128] = "Digest realm=\"r\", qop=\"auth\", nonce=\"";

	strcat(text, nonce);
	strcat(text, "\"");

	return put_text(n, k, text, nc, 1000);
}

static uint32_t take(struct nonces *n, struct nonce_key k, uint64_t now)
{
	struct nonce_entry e;

	return nonce_take(n, &k, now, &e) ? 0 : e.nc;
}

static int open8(void **state)
{
	struct nonces *n;

	assert_int_equal(nonces_open(&n, 8), 0);
	*state = n;

	return 0;
}

static int shut(void **state)
{
	nonces_close(*state);

	return 0;
}

static void all_of_a_challenge_comes_back(void **state)
{
	struct nonce_key k = key(0, "r", "u");
	struct nonce_entry e;

	assert_int_equal(put_text(*state, k,
				  "Digest realm=\"r\", nonce=\"no\", "
				  "opaque=\"op\", algorithm=SHA-256, "
				  "qop=\"auth-int\", userhash=true",
				  7, 1000),
			 0);
	assert_int_equal(nonce_take(*state, &k, 2000, &e), 0);
	assert_int_equal(pl_strcmp(&e.nonce, "no"), 0);
	assert_int_equal(pl_strcmp(&e.opaque, "op"), 0);
	assert_int_equal(e.algorithm, DIGEST_SHA256);
	assert_int_equal(e.qop, QOP_AUTH_INT);
	assert_true(e.userhash && e.has_algorithm && e.has_opaque);
	assert_string_equal(e.cnonce, "0123456789abcdef0123456789abcdef");
	assert_int_equal(e.nc, 8);
}

static void nc_rises_with_each_use_and_never_falls(void **state)
{
	struct nonce_key k = key(0, "r", "u");

	assert_int_equal(put(*state, k, "n1", 1), 0);
	assert_int_equal(take(*state, k, 1000), 2);
	assert_int_equal(take(*state, k, 1000), 3);
	assert_int_equal(put(*state, k, "n1", 1), 0);
	assert_int_equal(take(*state, k, 1000), 4);
	assert_int_equal(put(*state, k, "n2", 1), 0);
	assert_int_equal(take(*state, k, 1000), 2);
	assert_int_equal(put(*state, k, "n2", UINT32_MAX), 0);
	assert_int_equal(take(*state, k, 1000), 0);
}

static void target_realm_and_user_are_all_of_the_key(void **state)
{
	assert_int_equal(put(*state, key(0, "r", "u"), "n1", 1), 0);
	assert_int_equal(take(*state, key(1, "r", "u"), 1000), 0);
	assert_int_equal(take(*state, key(0, "R", "u"), 1000), 0);
	assert_int_equal(take(*state, key(0, "r", "v"), 1000), 0);
	targets[0].transport = TRANSPORT_TCP;
	assert_int_equal(take(*state, key(0, "r", "u"), 1000), 0);
	targets[0].transport = TRANSPORT_UDP;
	assert_int_equal(take(*state, key(0, "r", "u"), 1000), 2);
}

static void the_least_recently_used_goes_first(void **state)
{
	for (uint32_t i = 0; i < 8; i++)
		assert_int_equal(put(*state, key(i, "r", "u"), "n", 1), 0);
	assert_int_equal(take(*state, key(0, "r", "u"), 1000), 2);
	assert_int_equal(put(*state, key(9, "r", "u"), "n", 1), 0);

	assert_int_equal(take(*state, key(0, "r", "u"), 1000), 3);
	assert_int_equal(take(*state, key(1, "r", "u"), 1000), 0);
	assert_int_equal(take(*state, key(9, "r", "u"), 1000), 2);
}

static void unused_for_an_hour_it_is_gone(void **state)
{
	assert_int_equal(put(*state, key(0, "r", "u"), "n", 1), 0);
	assert_int_equal(take(*state, key(0, "r", "u"), 1000 + HOUR - 1), 2);
	assert_int_equal(take(*state, key(0, "r", "u"), 1000 + 2 * HOUR - 2),
			 3);
	assert_int_equal(take(*state, key(0, "r", "u"), 1000 + 3 * HOUR - 2),
			 0);
}

static void three_refusals_in_a_row_let_a_target_rest_for_an_hour(void **state)
{
	struct nonce_key k = key(0, "r", "u"), other = key(1, "r", "u");
	struct nonce_entry e;
	struct pl n;

	put(*state, other, "n", 1);
	for (int i = 0; i < 2; i++) {
		put(*state, k, "n", 1);
		nonce_refused(*state, &k, 1000);
		assert_int_equal(take(*state, k, 1000), 0);
	}
	put(*state, k, "n", 1);
	nonce_worked(*state, &k);
	for (int i = 0; i < 3; i++) {
		put(*state, k, "n", 1);
		assert_false(nonces_rest(*state, k.target, 1000));
		nonce_refused(*state, &k, 1000);
	}
	assert_true(nonces_rest(*state, k.target, 1000 + HOUR - 1));
	put(*state, k, "n", 1);
	assert_int_equal(take(*state, k, 1000), 0);
	assert_int_equal(take(*state, other, 1000), 2);

	/* the same nonce in a fresh challenge still goes on with its nc */
	pl_set_str(&n, "n");
	assert_int_equal(nonce_take_same(*state, &k, &n, 1000, &e), 0);
	assert_int_equal(e.nc, 2);
	assert_false(nonces_rest(*state, k.target, 1000 + HOUR));
}

static void a_next_nonce_begins_at_one(void **state)
{
	struct nonce_key k = key(0, "r", "u");
	struct nonce_entry e;
	struct pl next;

	pl_set_str(&next, "fresh");
	assert_int_equal(nonce_next(*state, &k, &next), ENOENT);
	put(*state, k, "n", 9);
	assert_int_equal(nonce_next(*state, &k, &next), 0);
	assert_int_equal(nonce_take(*state, &k, 1000, &e), 0);
	assert_int_equal(pl_strcmp(&e.nonce, "fresh"), 0);
	assert_int_equal(e.nc, 1);

	/* said again, it is not new */
	assert_int_equal(nonce_next(*state, &k, &next), 0);
	assert_int_equal(take(*state, k, 1000), 2);

	/* a session key is bound to the first nonce: a challenge it is */
	put_text(*state, k,
		 "Digest realm=\"r\", nonce=\"m\", algorithm=MD5-sess", 1,
		 1000);
	assert_int_equal(nonce_next(*state, &k, &next), ENOENT);
	assert_int_equal(take(*state, k, 1000), 0);
}

static void the_realms_of_a_target_are_known(void **state)
{
	struct target *t = &targets[0];
	struct pl realm;
	char name[3] = "r0";

	assert_int_equal(nonces_realm(*state, t, 0, &realm), ENOENT);
	put(*state, key(0, "r0", "u"), "n", 1);
	put(*state, key(0, "r0", "v"), "n", 1);
	put(*state, key(0, "r1", "u"), "n", 1);
	assert_int_equal(nonces_realm(*state, t, 0, &realm), 0);
	assert_int_equal(pl_strcmp(&realm, "r0"), 0);
	assert_int_equal(nonces_realm(*state, t, 1, &realm), 0);
	assert_int_equal(nonces_realm(*state, t, 2, &realm), ENOENT);

	/* their number is bounded whatever a target says */
	for (int i = 0; i < 64; i++) {
		name[1] = (char)('0' + i);
		put(*state, key(0, name, "u"), "n", 1);
	}
	assert_int_equal(nonces_realm(*state, t, 15, &realm), 0);
	assert_int_equal(nonces_realm(*state, t, 16, &realm), ENOENT);
}

/* 401 to REGISTER and 407 to calls: each header has its nonce and its methods */
static void each_header_has_its_nonce_and_its_methods(void **state)
{
	struct nonce_key www = key(0, "r", "u"), proxy = key(0, "r", "u");
	struct nonce_key other = key(0, "r", "v");
	struct nonce_entry e;

	www.proxy = false;
	assert_int_equal(nonce_wants(*state, &www, REGISTER), 0);
	nonce_wanted(*state, &www, REGISTER, true); /* no such target yet */
	assert_int_equal(nonce_wants(*state, &www, REGISTER), 0);

	put(*state, www, "nw", 1);
	put(*state, proxy, "np", 5);
	assert_int_equal(nonce_take(*state, &www, 1000, &e), 0);
	assert_int_equal(pl_strcmp(&e.nonce, "nw"), 0);
	assert_int_equal(nonce_take(*state, &proxy, 1000, &e), 0);
	assert_int_equal(pl_strcmp(&e.nonce, "np"), 0);
	assert_int_equal(e.nc, 6);

	nonce_wanted(*state, &www, REGISTER, true);
	nonce_wanted(*state, &proxy, INVITE, true);
	assert_int_equal(nonce_wants(*state, &proxy, REGISTER), NONCE_WWW);
	assert_int_equal(nonce_wants(*state, &www, INVITE), NONCE_PROXY);
	assert_int_equal(nonce_wants(*state, &www, BYE), 0);
	/* it is the target's habit, whoever the user is and whatever is kept */
	nonce_drop(*state, &www);
	assert_int_equal(nonce_wants(*state, &other, REGISTER), NONCE_WWW);
	nonce_wanted(*state, &www, INVITE, true);
	assert_int_equal(nonce_wants(*state, &www, INVITE),
			 NONCE_WWW | NONCE_PROXY);
	nonce_wanted(*state, &proxy, INVITE, false);
	assert_int_equal(nonce_wants(*state, &www, INVITE), NONCE_WWW);
}

static void to_look_at_a_nonce_is_no_use_of_it(void **state)
{
	struct nonce_key k = key(0, "r", "u");
	struct nonce_entry e;
	struct pl n;

	put(*state, k, "n1", 3);
	pl_set_str(&n, "n1");
	assert_int_equal(nonce_look(*state, &k, &n, &e), 0);
	assert_int_equal(e.nc, 3);
	assert_int_equal(take(*state, k, 1000), 4);
	pl_set_str(&n, "n2");
	assert_int_equal(nonce_look(*state, &k, &n, &e), ENOENT);
}

static void targets_without_entries_do_not_pile_up(void **state)
{
	struct nonce_key k;

	for (uint32_t round = 0; round < 3; round++)
		for (uint32_t i = 0; i < 64; i++) {
			k = key(i, "r", "u");
			assert_int_equal(put(*state, k, "n", 1), 0);
			nonce_refused(*state, &k, 1000);
		}
	/* the eldest was forgotten with its refusals, so it does not rest */
	assert_false(nonces_rest(*state, &targets[0], 1000));
}

static void a_smaller_cache_forgets_and_an_empty_one_keeps_nothing(void **state)
{
	for (uint32_t i = 0; i < 8; i++)
		put(*state, key(i, "r", "u"), "n", 1);
	nonces_resize(*state, 1);
	assert_int_equal(take(*state, key(6, "r", "u"), 1000), 0);
	assert_int_equal(take(*state, key(7, "r", "u"), 1000), 2);
	nonces_resize(*state, 0);
	assert_int_equal(put(*state, key(7, "r", "u"), "n", 1), 0);
	assert_int_equal(take(*state, key(7, "r", "u"), 1000), 0);
}

static void what_is_too_long_is_not_kept(void **state)
{
	static char nonce[5000];
	static char text[6000] = "Digest realm=\"r\", nonce=\"";

	memset(nonce, 'n', sizeof(nonce) - 1);
	strcat(text, nonce);
	strcat(text, "\"");
	assert_int_equal(put_text(*state, key(0, "r", "u"), text, 1, 0),
			 EOVERFLOW);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, open8, shut)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(all_of_a_challenge_comes_back),
		TEST(nc_rises_with_each_use_and_never_falls),
		TEST(target_realm_and_user_are_all_of_the_key),
		TEST(the_least_recently_used_goes_first),
		TEST(unused_for_an_hour_it_is_gone),
		TEST(three_refusals_in_a_row_let_a_target_rest_for_an_hour),
		TEST(a_next_nonce_begins_at_one),
		TEST(the_realms_of_a_target_are_known),
		TEST(each_header_has_its_nonce_and_its_methods),
		TEST(to_look_at_a_nonce_is_no_use_of_it),
		TEST(targets_without_entries_do_not_pile_up),
		TEST(a_smaller_cache_forgets_and_an_empty_one_keeps_nothing),
		TEST(what_is_too_long_is_not_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
