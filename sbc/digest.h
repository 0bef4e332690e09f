/*
 * Answers to challenges computed
 *
 * RFC 7616, RFC 8760; RFC 2069 form without qop. Rules: behaviour.md 6.3.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include "store/base.h"
#include "policy/header.h"

enum digest_algorithm {
	DIGEST_MD5,
	DIGEST_MD5_SESS,
	DIGEST_SHA256,
	DIGEST_SHA256_SESS,
	DIGEST_SHA512_256,
	DIGEST_SHA512_256_SESS,
	DIGEST_UNKNOWN
};

/** Algorithm of a challenge; absent: MD5 */
enum digest_algorithm digest_algorithm(const struct challenge *c);
/** As a challenge names it; DIGEST_UNKNOWN: "?" */
const char *digest_algorithm_name(enum digest_algorithm a);
/** How strong: 0 unknown, 1 MD5, 2 SHA-256, 3 SHA-512-256 */
int digest_strength(enum digest_algorithm a);

enum digest_qop {
	QOP_NONE,
	QOP_AUTH,
	QOP_AUTH_INT,
	QOP_UNKNOWN
};
/** qop that we choose of those offered */
enum digest_qop digest_qop(const struct challenge *c);

struct digest_input {
	enum digest_algorithm algorithm;
	enum digest_qop qop;
	bool userhash, has_algorithm, has_opaque;
	struct pl realm, nonce, opaque; /* as between the quotes */
	struct pl username;             /* as configured */
	const char *password;
	struct pl method, uri, body;
	const char *cnonce; /* 32 hex digits of ours */
	uint32_t nc;
	bool proxy; /* Proxy-Authorization */
};

/**
 * Append a whole header line "Authorization: Digest ...\r\n"
 *
 * Fetches hash algorithms once per thread; wipes what it made of the password.
 *
 * @return 0; ENOTSUP algorithm or qop unknown; EINVAL a range would end its
 *         quotes or its line; ENOMEM; EIO OpenSSL refused. On error nothing is
 *         appended
 */
int digest_write(struct mbuf *mb, const struct digest_input *in);

/** Compute the response value alone (tests, rspauth): hex, ended by zero */
int digest_response(char out[129], const struct digest_input *in, bool rspauth);
