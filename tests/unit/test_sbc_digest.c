/*
 * Answers to challenges, against the vectors of the RFCs and of Python's hashlib
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <openssl/evp.h>
#include "sbc/digest.h"

static struct pl pl_of(const char *s)
{
	struct pl pl;

	pl_set_str(&pl, s);

	return pl;
}

static struct digest_input mufasa(enum digest_algorithm a)
{
	return (struct digest_input){
		.algorithm = a,
		.qop = QOP_AUTH,
		.has_algorithm = true,
		.realm = pl_of("http-auth@example.org"),
		.nonce = pl_of("7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v"),
		.username = pl_of("Mufasa"),
		.password = "Circle of Life",
		.method = pl_of("GET"),
		.uri = pl_of("/dir/index.html"),
		.cnonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
		.nc = 1,
	};
}

static struct digest_input invite(void)
{
	return (struct digest_input){
		.algorithm = DIGEST_MD5,
		.qop = QOP_AUTH,
		.realm = pl_of("trunk.example"),
		.nonce = pl_of("n0nce"),
		.username = pl_of("a1"),
		.password = "secret-a1",
		.method = pl_of("INVITE"),
		.uri = pl_of("sip:0301234@a.trunk.example"),
		.body = pl_of("v=0\r\n"),
		.cnonce = "0123456789abcdef0123456789abcdef",
		.nc = 255,
	};
}

static void assert_response(const struct digest_input *in, const char *expected)
{
	char out[129];

	assert_int_equal(digest_response(out, in, false), 0);
	assert_string_equal(out, expected);
}

static void assert_line(const struct digest_input *in, const char *expected)
{
	struct mbuf *mb = mbuf_alloc(64);
	char *text;

	assert_int_equal(digest_write(mb, in), 0);
	mb->pos = 0;
	assert_int_equal(mbuf_strdup(mb, &text, mb->end), 0);
	assert_string_equal(text, expected);
	mem_deref(text);
	mem_deref(mb);
}

static void the_vectors_of_rfc_7616_and_2617_come_out(void **s)
{
	struct digest_input in = mufasa(DIGEST_MD5);

	assert_response(&in, "8ca523f5e9506fed4657c9700eebdbec");
	in.algorithm = DIGEST_SHA256;
	assert_response(&in,
			"753927fa0e85d155564e2e272a28d1802ca10daf4496794697"
			"cf8db5856cb6c1");

	in.algorithm = DIGEST_MD5;
	in.realm = pl_of("testrealm@host.com");
	in.password = "Circle Of Life";
	in.nonce = pl_of("dcd98b7102dd2f0e8b11d0f600bfb0c093");
	in.cnonce = "0a4f113b";
	assert_response(&in, "6629fae49393a05397450978507c4ef1");
	(void)s;
}

/* computed by Python's hashlib, for a body of "v=0\r\n" and nc 255 */
/* RFC 7616 3.4 in one piece */
static void hash_whole(char hex[33], const char *text)
{
	unsigned char raw[EVP_MAX_MD_SIZE];
	unsigned n = 0;

	assert_int_equal(
		EVP_Digest(text, strlen(text), raw, &n, EVP_md5(), NULL), 1);
	for (unsigned i = 0; i < n; i++)
		snprintf(hex + 2 * i, 3, "%02x", raw[i]);
}

static void texts_of_any_length_are_hashed_whole(void **s)
{
	static char user[2048], uri[2048], text[8192];
	char a1[33], a2[33], expected[33];
	struct digest_input in = invite();
	(void)s;

	for (size_t n = 1; n < 1600; n += n < 480 || n > 540 ? 97 : 1) {
		memset(user, 'u', n);
		memset(uri, 'x', sizeof(uri) - 1);
		uri[1599 - n] = user[n] = '\0';
		in.username = pl_of(user);
		in.uri = pl_of(uri);

		snprintf(text, sizeof(text), "%s:trunk.example:secret-a1",
			 user);
		hash_whole(a1, text);
		snprintf(text, sizeof(text), "INVITE:%s", uri);
		hash_whole(a2, text);
		snprintf(text, sizeof(text), "%s:n0nce:000000ff:%s:auth:%s", a1,
			 in.cnonce, a2);
		hash_whole(expected, text);
		assert_response(&in, expected);
	}
}

static void each_algorithm_and_qop_is_computed(void **s)
{
	/* clang-format off */
	static const struct {
		enum digest_algorithm a;
		enum digest_qop qop;
		const char *expected;
	} rows[] = {
		{ DIGEST_MD5, QOP_NONE, "8ecb1f8eddcc8b06897c42a50b723955" },
		{ DIGEST_MD5, QOP_AUTH, "8bd5d1f8e3276738fc30706c2f5f9f6b" },
		{ DIGEST_MD5, QOP_AUTH_INT, "540e57897ebff5c4140fb53906f621dd" },
		{ DIGEST_MD5_SESS, QOP_NONE, "524ad0ae927e55e95036fda3ec534369" },
		{ DIGEST_MD5_SESS, QOP_AUTH, "7fc7bd8becd696e33fcd223d20f90b40" },
		{ DIGEST_MD5_SESS, QOP_AUTH_INT, "9dbf26cd3a6ff8081fcb1ad5eba53c1b" },
		{ DIGEST_SHA256, QOP_NONE, "1029fdff32cd26d9ae42154df64e16b286d00d19082eb18835a9d4d4b54cb295" },
		{ DIGEST_SHA256, QOP_AUTH, "0560f37b23c747893d12d250bbb90bce8a2b84096605ab80f6a83dd4e50b6592" },
		{ DIGEST_SHA256, QOP_AUTH_INT, "9c4a88f9079ba10e420e0d9d7b3bb0a36fe4de14f686e28944383fa3d55ece12" },
		{ DIGEST_SHA256_SESS, QOP_NONE, "86be1cbe3421dbf52744a2f81ce6439abe06b3583cecc83ee0e3c6fa74bcdb97" },
		{ DIGEST_SHA256_SESS, QOP_AUTH, "24d3a7fb3ccda7eaff9f9f7443454f047f7e0292c3dcb7414f5daebf498971dc" },
		{ DIGEST_SHA256_SESS, QOP_AUTH_INT, "a4ece4c5a8e4fce79e21d7e8a3cb1e7a94f0b94c1ae404442ad7d5074029a4cb" },
		{ DIGEST_SHA512_256, QOP_NONE, "efec421fe272e020180148c453326c4feb652ae1da20f32d960bb29fb8fd3e53" },
		{ DIGEST_SHA512_256, QOP_AUTH, "adb75848733015e54a0b7514cfca5ea2254cd4e62153a0979aff82d34d7345cd" },
		{ DIGEST_SHA512_256, QOP_AUTH_INT, "19c7fc2bbc5b079be688c10b18892b9c926d6841c751d792882eff53fa7c2abf" },
		{ DIGEST_SHA512_256_SESS, QOP_NONE, "93c7ad7a3f3885b203ac59031815c0e333da3bb02f50f08af164d1b2afa267be" },
		{ DIGEST_SHA512_256_SESS, QOP_AUTH, "4c7440ad455573b1081043485deed6a8dae6d97fc5e151d16c5974f96db530a3" },
		{ DIGEST_SHA512_256_SESS, QOP_AUTH_INT, "c67cad747c03d2bef78cb488702769cec86ababab0417f3ce85eebfc4df42fd8" },
	};
	/* clang-format on */
	struct digest_input in = invite();

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		in.algorithm = rows[i].a;
		in.qop = rows[i].qop;
		assert_response(&in, rows[i].expected);
	}
	(void)s;
}

static void escapes_are_hashed_undone_and_given_back_as_they_came(void **s)
{
	struct digest_input in = invite();

	in.username = pl_of("a\"b\\c");
	in.realm = pl_of("x\\\"y");
	in.password = "p";
	in.method = pl_of("REGISTER");
	in.uri = pl_of("sip:h");
	in.nonce = pl_of("n");
	in.cnonce = "c";
	in.nc = 1;
	in.opaque = pl_of("o");
	in.has_opaque = in.has_algorithm = true;
	assert_line(&in, "Authorization: Digest username=\"a\\\"b\\\\c\", "
			 "realm=\"x\\\"y\", nonce=\"n\", uri=\"sip:h\", "
			 "response=\"5cf479bf76b4d2c479d1a3c7c185a105\", "
			 "algorithm=MD5, cnonce=\"c\", qop=auth, nc=00000001, "
			 "opaque=\"o\"\r\n");
	(void)s;
}

static void a_line_has_room_for_texts_of_any_length(void **s)
{
	static char expected[16384], nonce[3001], user[501], percent[1501];
	struct digest_input in = invite();
	char response[129];
	struct mbuf *mb = mbuf_alloc(1);
	(void)s;

	memset(nonce, 'n', 3000);
	memset(user, 0xe9, 500);
	for (size_t i = 0; i < 500; i++)
		memcpy(percent + 3 * i, "%E9", 3);
	in.username = pl_of(user);
	in.nonce = in.opaque = in.uri = in.realm = pl_of(nonce);
	in.algorithm = DIGEST_SHA512_256_SESS;
	in.has_algorithm = in.has_opaque = in.proxy = true;
	assert_int_equal(digest_response(response, &in, false), 0);
	snprintf(expected, sizeof(expected),
		 "Proxy-Authorization: Digest username*=UTF-8''%s, "
		 "realm=\"%s\", nonce=\"%s\", uri=\"%s\", response=\"%s\", "
		 "algorithm=SHA-512-256-sess, cnonce=\"%s\", qop=auth, "
		 "nc=000000ff, opaque=\"%s\"\r\n",
		 percent, nonce, nonce, nonce, response, in.cnonce, nonce);
	for (int i = 0; i < 2; i++) {
		mb->pos = i ? mb->end : 0;
		assert_int_equal(digest_write(mb, &in), 0);
		assert_int_equal(mb->end, (size_t)(i + 1) * strlen(expected));
		assert_memory_equal(mb->buf + (size_t)i * strlen(expected),
				    expected, strlen(expected));
	}
	mem_deref(mb);
}

static void without_qop_there_is_neither_cnonce_nor_nc(void **s)
{
	struct digest_input in = invite();

	in.qop = QOP_NONE;
	in.proxy = true;
	assert_line(&in, "Proxy-Authorization: Digest username=\"a1\", "
			 "realm=\"trunk.example\", nonce=\"n0nce\", "
			 "uri=\"sip:0301234@a.trunk.example\", "
			 "response=\"8ecb1f8eddcc8b06897c42a50b723955\"\r\n");
	(void)s;
}

/* RFC 7616 3.9.2 with its errata */
static void a_user_is_hashed_when_asked_for_else_percent_encoded(void **s)
{
	struct digest_input in = invite();
	struct mbuf *mb = mbuf_alloc(64);
	static const char hashed[] =
		"username=\"793263caabb707a56211940d90411ea4a575adeccb7e360aeb6"
		"24ed06ece9b0b\"";

	in.algorithm = DIGEST_SHA512_256;
	in.realm = pl_of("api@example.org");
	in.username = pl_of("J\xc3\xa4s\xc3\xb8n Doe");
	in.userhash = true;
	assert_int_equal(digest_write(mb, &in), 0);
	assert_non_null(memmem(mb->buf, mb->end, hashed, strlen(hashed)));
	assert_non_null(memmem(mb->buf, mb->end, ", userhash=true", 15));

	mb->pos = mb->end = 0;
	in.userhash = false;
	assert_int_equal(digest_write(mb, &in), 0);
	assert_non_null(memmem(mb->buf, mb->end,
			       "username*=UTF-8''J%C3%A4s%C3%B8n%20Doe,", 39));

	mb->pos = mb->end = 0;
	in.username = pl_of("a\r\nEvil: 1");
	assert_int_equal(digest_write(mb, &in), 0);
	assert_null(memmem(mb->buf, mb->end, "\r\nEvil", 6));
	mem_deref(mb);
	(void)s;
}

static void an_escape_is_undone_wherever_it_stands(void **s)
{
	static const char plain[] = "0123456789012345678901234567890123456789";
	char text[256], a1[33], a2[33], expected[33];
	struct digest_input in = invite();
	(void)s;

	in.uri = pl_of("sip:h");
	hash_whole(a2, "INVITE:sip:h");
	for (int at = 0; at <= 40; at++) {
		char nonce[128], value[128];

		snprintf(nonce, sizeof(nonce), "%.*s\\\"%s", at, plain,
			 plain + at);
		snprintf(value, sizeof(value), "%.*s\"%s", at, plain,
			 plain + at);
		in.nonce = pl_of(nonce);
		hash_whole(a1, "a1:trunk.example:secret-a1");
		snprintf(text, sizeof(text), "%s:%s:000000ff:%s:auth:%s", a1,
			 value, in.cnonce, a2);
		hash_whole(expected, text);
		assert_response(&in, expected);
	}
}

static void what_must_not_stand_in_quotes_is_found_wherever_it_stands(void **s)
{
	static const char bad[] = { '"', '\r', '\n', '\0' };
	struct mbuf *mb = mbuf_alloc(64);
	char nonce[40];

	for (size_t at = 0; at < sizeof(nonce); at++) {
		for (size_t i = 0; i < sizeof(bad); i++) {
			struct digest_input in = invite();

			memset(nonce, 'n', sizeof(nonce));
			nonce[at] = bad[i];
			in.nonce.p = nonce;
			in.nonce.l = sizeof(nonce);
			assert_int_equal(digest_write(mb, &in), EINVAL);
		}
	}
	assert_int_equal(mb->end, 0);
	mem_deref(mb);
	(void)s;
}

static void what_would_end_its_quotes_or_its_line_is_refused(void **s)
{
	static const char *const bad[] = { "a\"b", "a\\", "a\r\nb", "a\nb" };
	struct mbuf *mb = mbuf_alloc(64);

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct digest_input in = invite();

		in.nonce = pl_of(bad[i]);
		assert_int_equal(digest_write(mb, &in), EINVAL);
		in = invite();
		in.realm = pl_of(bad[i]);
		assert_int_equal(digest_write(mb, &in), EINVAL);
		in = invite();
		in.uri = pl_of(bad[i]);
		assert_int_equal(digest_write(mb, &in), EINVAL);
	}
	assert_int_equal(mb->end, 0);
	mem_deref(mb);
	(void)s;
}

static void unknown_algorithms_and_qops_are_not_supported(void **s)
{
	struct digest_input in = invite();
	char out[129];

	in.algorithm = DIGEST_UNKNOWN;
	assert_int_equal(digest_response(out, &in, false), ENOTSUP);
	in.algorithm = DIGEST_MD5;
	in.qop = QOP_UNKNOWN;
	assert_int_equal(digest_response(out, &in, false), ENOTSUP);
	(void)s;
}

static void the_best_of_what_is_offered_is_chosen(void **s)
{
	/* clang-format off */
	static const struct {
		const char *text;
		enum digest_algorithm a;
		int strength;
		enum digest_qop qop;
	} rows[] = {
		{ "",                                        DIGEST_MD5,         1, QOP_NONE },
		{ ", algorithm=md5, qop=\"auth\"",           DIGEST_MD5,         1, QOP_AUTH },
		{ ", algorithm=MD5-Sess, qop=\"auth-int\"",  DIGEST_MD5_SESS,    1, QOP_AUTH_INT },
		{ ", algorithm=SHA-256, qop=\"auth-int,auth\"", DIGEST_SHA256,   2, QOP_AUTH },
		{ ", algorithm=SHA-512-256, qop=\"token, auth-int\"", DIGEST_SHA512_256, 3, QOP_AUTH_INT },
		{ ", algorithm=SHA-3, qop=\"token\"",        DIGEST_UNKNOWN,     0, QOP_UNKNOWN },
		{ ", algorithm=SHA-256x, qop=\"authx\"",     DIGEST_UNKNOWN,     0, QOP_UNKNOWN },
		{ ", qop=\"\"",                              DIGEST_MD5,         1, QOP_NONE },
	};
	/* clang-format on */

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		char text[128] = "Digest realm=\"r\", nonce=\"n\"";
		struct challenge c;
		struct pl pl;

		strcat(text, rows[i].text);
		pl = pl_of(text);
		assert_int_equal(challenge_read(&c, &pl), 0);
		assert_int_equal(digest_algorithm(&c), rows[i].a);
		assert_int_equal(digest_strength(rows[i].a), rows[i].strength);
		assert_int_equal(digest_qop(&c), rows[i].qop);
	}
	(void)s;
}

static void *hash_there(void *arg)
{
	struct digest_input in = invite();

	return (void *)(intptr_t)digest_response(arg, &in, false);
}

static void each_thread_hashes_with_algorithms_of_its_own(void **s)
{
	char out[4][129];
	pthread_t t[4];

	for (int i = 0; i < 4; i++)
		assert_int_equal(
			pthread_create(&t[i], NULL, hash_there, out[i]), 0);
	for (int i = 0; i < 4; i++) {
		void *err;

		pthread_join(t[i], &err);
		assert_null(err);
		assert_string_equal(out[i], "8bd5d1f8e3276738fc30706c2f5f9f6b");
	}
	(void)s;
}

/* RFC 7616 3.5: as the response, without the method */
static void rspauth_leaves_the_method_out(void **s)
{
	struct digest_input in = invite();
	char with[129], without[129];

	assert_int_equal(digest_response(with, &in, true), 0);
	in.method = pl_of("");
	assert_int_equal(digest_response(without, &in, false), 0);
	assert_string_equal(with, without);
	(void)s;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_vectors_of_rfc_7616_and_2617_come_out),
		cmocka_unit_test(texts_of_any_length_are_hashed_whole),
		cmocka_unit_test(each_algorithm_and_qop_is_computed),
		cmocka_unit_test(
			escapes_are_hashed_undone_and_given_back_as_they_came),
		cmocka_unit_test(a_line_has_room_for_texts_of_any_length),
		cmocka_unit_test(without_qop_there_is_neither_cnonce_nor_nc),
		cmocka_unit_test(
			a_user_is_hashed_when_asked_for_else_percent_encoded),
		cmocka_unit_test(
			what_would_end_its_quotes_or_its_line_is_refused),
		cmocka_unit_test(an_escape_is_undone_wherever_it_stands),
		cmocka_unit_test(
			what_must_not_stand_in_quotes_is_found_wherever_it_stands),
		cmocka_unit_test(unknown_algorithms_and_qops_are_not_supported),
		cmocka_unit_test(the_best_of_what_is_offered_is_chosen),
		cmocka_unit_test(each_thread_hashes_with_algorithms_of_its_own),
		cmocka_unit_test(rspauth_leaves_the_method_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
