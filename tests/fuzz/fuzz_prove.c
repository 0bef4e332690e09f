/*
 * Any bytes as the challenges of a 407: what is answered is one header line
 *
 * Input: header values, one a line. A line that begins with `w` is
 * WWW-Authenticate, any other Proxy-Authenticate; an empty line ends a response,
 * so that the answer to the next one is judged as well.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "sbc/digest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Exactly one line, which ends it, and no quote is left open in it */
static void one_line(const struct mbuf *mb)
{
	bool quoted = false;

	assert(mb->end > 2);
	assert(!memcmp(mb->buf + mb->end - 2, "\r\n", 2));
	for (size_t i = 0; i + 2 < mb->end; i++) {
		assert(mb->buf[i] != '\r' && mb->buf[i] != '\n' &&
		       mb->buf[i] != '\0');
		if (quoted && mb->buf[i] == '\\')
			i++;
		else if (mb->buf[i] == '"')
			quoted = !quoted;
	}
	assert(!quoted);
}

static void answer(const struct pl *text, bool proxy)
{
	struct digest_input in = { .password = "secret", .nc = 1 };
	struct mbuf *mb = mbuf_alloc(64);
	struct challenge c;
	int err;

	if (!mb)
		abort();
	if (challenge_read(&c, text) || pl_strcasecmp(&c.scheme, "Digest")) {
		mem_deref(mb);
		return;
	}

	in.algorithm = digest_algorithm(&c);
	in.qop = digest_qop(&c);
	in.userhash = c.userhash;
	in.has_algorithm = c.has_algorithm;
	in.has_opaque = c.has_opaque;
	in.realm = c.realm;
	in.nonce = c.nonce;
	in.opaque = c.opaque;
	in.proxy = proxy;
	in.cnonce = "0123456789abcdef0123456789abcdef";
	pl_set_str(&in.username, "a1");
	pl_set_str(&in.method, "INVITE");
	pl_set_str(&in.uri, "sip:1@trunk.example");

	err = digest_write(mb, &in);
	if (!err)
		one_line(mb);
	else
		assert(!mb->end && (err == ENOTSUP || err == EINVAL));
	assert(err != ENOTSUP || !digest_strength(in.algorithm) ||
	       in.qop == QOP_UNKNOWN);
	mem_deref(mb);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *copy = malloc(size ? size : 1), *p = copy;
	size_t left = size;

	if (!copy)
		abort();
	if (size)
		memcpy(copy, data, size);

	while (left) {
		char *end = memchr(p, '\n', left);
		struct pl line = { p, end ? (size_t)(end - p) : left };
		bool www = line.l && line.p[0] == 'w';

		if (www)
			pl_advance(&line, 1);
		answer(&line, !www);
		left -= line.l + www + (end != NULL);
		p += line.l + www + (end != NULL);
	}
	free(copy);

	return 0;
}
