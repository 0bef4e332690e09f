/*
 * The superuser's password: scrypt, compare, keep
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include "store/facts.h"
#include "store/password.h"

enum {
	SALT = 16,
	HASH = 32,
	ENCODED = 64, /* room for base64 of either */
	/* RFC 7914 2; memory is 128 * N * r bytes */
	COST_N = 32768,
	COST_R = 8,
	COST_P = 1,
	ROUNDS = 600000, /* RFC 8018 5.2 */
	/* What a stored text may ask for: it came from a file */
	N_MOST = 1 << 20,
	ROUNDS_MOST = 100000000,
};

static const char fact[] = "superuser-password";

struct recipe {
	bool scrypt;
	unsigned n, r, p; /* of scrypt */
	unsigned rounds;  /* of PBKDF2 */
	uint8_t salt[SALT], hash[HASH];
};

static int scrypt(uint8_t out[HASH], const struct recipe *recipe,
		  const char *clear)
{
	EVP_KDF *kdf = EVP_KDF_fetch(NULL, "SCRYPT", NULL);
	EVP_KDF_CTX *ctx = kdf ? EVP_KDF_CTX_new(kdf) : NULL;
	uint64_t n = recipe->n, memory = 256ULL * recipe->n * recipe->r;
	uint32_t r = recipe->r, p = recipe->p;
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_PASSWORD,
						  (void *)clear, strlen(clear)),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT,
						  (void *)recipe->salt, SALT),
		OSSL_PARAM_construct_uint64(OSSL_KDF_PARAM_SCRYPT_N, &n),
		OSSL_PARAM_construct_uint32(OSSL_KDF_PARAM_SCRYPT_R, &r),
		OSSL_PARAM_construct_uint32(OSSL_KDF_PARAM_SCRYPT_P, &p),
		OSSL_PARAM_construct_uint64(OSSL_KDF_PARAM_SCRYPT_MAXMEM,
					    &memory),
		OSSL_PARAM_construct_end(),
	};
	int err = ENOSYS;

	if (ctx)
		err = EVP_KDF_derive(ctx, out, HASH, params) == 1 ? 0 : EIO;
	EVP_KDF_CTX_free(ctx);
	EVP_KDF_free(kdf);

	return err;
}

static int derive(uint8_t out[HASH], const struct recipe *recipe,
		  const char *clear)
{
	if (recipe->scrypt)
		return scrypt(out, recipe, clear);

	return PKCS5_PBKDF2_HMAC(clear, (int)strlen(clear), recipe->salt, SALT,
				 (int)recipe->rounds, EVP_sha256(), HASH,
				 out) == 1
		       ? 0
		       : EIO;
}

static void recipe_write(char text[PASSWORD_TEXT], const struct recipe *r)
{
	char salt[ENCODED], hash[ENCODED], costs[64];

	(void)EVP_EncodeBlock((uint8_t *)salt, r->salt, SALT);
	(void)EVP_EncodeBlock((uint8_t *)hash, r->hash, HASH);
	if (r->scrypt)
		(void)snprintf(costs, sizeof(costs), "scrypt$n=%u,r=%u,p=%u",
			       r->n, r->r, r->p);
	else
		(void)snprintf(costs, sizeof(costs), "pbkdf2-sha256$i=%u",
			       r->rounds);
	(void)snprintf(text, PASSWORD_TEXT, "$%s$%s$%s", costs, salt, hash);
}

static int bytes_read(uint8_t *out, int size, const char *text)
{
	uint8_t buf[ENCODED];
	int n = (int)strlen(text), got;

	if (n != (size + 2) / 3 * 4)
		return EBADMSG;
	got = EVP_DecodeBlock(buf, (const uint8_t *)text, n);
	if (got < size)
		return EBADMSG;
	memcpy(out, buf, (size_t)size);

	return 0;
}

static int recipe_read(struct recipe *r, const char *text)
{
	char salt[ENCODED] = "", hash[ENCODED] = "";
	int end = 0, err;

	memset(r, 0, sizeof(*r));
	r->scrypt = sscanf(text, "$scrypt$n=%7u,r=%3u,p=%3u$%24[^$]$%44[^$]%n",
			   &r->n, &r->r, &r->p, salt, hash, &end) == 5;
	if (!r->scrypt && sscanf(text, "$pbkdf2-sha256$i=%9u$%24[^$]$%44[^$]%n",
				 &r->rounds, salt, hash, &end) != 3)
		return EBADMSG;
	if (text[end])
		return EBADMSG;
	if (r->scrypt ? r->n < 2 || r->n > N_MOST || !r->r || r->r > 32 ||
				!r->p || r->p > 16
		      : !r->rounds || r->rounds > ROUNDS_MOST)
		return EBADMSG;
	err = bytes_read(r->salt, SALT, salt);

	return err ? err : bytes_read(r->hash, HASH, hash);
}

int password_hash(char text[PASSWORD_TEXT], const char *clear)
{
	struct recipe r = { .scrypt = true,
			    .n = COST_N,
			    .r = COST_R,
			    .p = COST_P,
			    .rounds = ROUNDS };
	int err;

	if (RAND_bytes(r.salt, SALT) != 1)
		return EIO;
	err = derive(r.hash, &r, clear);
	if (err == ENOSYS) { /* a provider without scrypt */
		r.scrypt = false;
		err = derive(r.hash, &r, clear);
	}
	if (!err)
		recipe_write(text, &r);
	OPENSSL_cleanse(&r, sizeof(r));

	return err;
}

int password_check(const char *text, const char *clear, bool *weakp)
{
	struct recipe r;
	uint8_t hash[HASH];
	int err = recipe_read(&r, text);

	*weakp = false;
	if (!err)
		err = derive(hash, &r, clear);
	if (!err && CRYPTO_memcmp(hash, r.hash, HASH))
		err = EACCES;
	if (!err)
		*weakp = r.scrypt ? (uint64_t)r.n * r.r * r.p <
					    (uint64_t)COST_N * COST_R * COST_P
				  : r.rounds < ROUNDS;
	OPENSSL_cleanse(hash, sizeof(hash));
	OPENSSL_cleanse(&r, sizeof(r));

	return err == ENOSYS ? EIO : err;
}

int password_load(char text[PASSWORD_TEXT], struct database *db)
{
	return fact_text(db, fact, text, PASSWORD_TEXT);
}

int password_store(struct database *db, const char *text)
{
	return fact_text_set(db, fact, text);
}
