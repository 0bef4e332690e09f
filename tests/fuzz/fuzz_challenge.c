/*
 * Any bytes as a challenge or credentials
 *
 * What is accepted as Digest has realm and nonce within the text, without a
 * bare quote: they go back between quotes byte by byte.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "policy/header.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void quotable(const struct pl *part)
{
	size_t i;

	for (i = 0; i < part->l; ++i) {
		assert(part->p[i] != '"');
		if (part->p[i] == '\\') {
			++i;
			assert(i < part->l);
		}
	}
}

/* A copy of the text says the same, and nothing of it is of the first one */
static void moved(const struct challenge *c, const struct pl *text)
{
	char *copy = malloc(text->l ? text->l : 1);
	struct challenge m = *c;

	if (!copy)
		abort();
	if (text->l)
		memcpy(copy, text->p, text->l);
	challenge_move(&m, text, copy);
	for (int i = 0; i < 4; ++i) {
		const struct pl *a[] = { &c->realm, &c->nonce, &c->opaque,
					 &c->qop };
		const struct pl *b[] = { &m.realm, &m.nonce, &m.opaque,
					 &m.qop };

		assert(a[i]->l == b[i]->l);
		if (!b[i]->l)
			continue;
		assert(!memcmp(a[i]->p, b[i]->p, a[i]->l));
		assert(b[i]->p >= copy && b[i]->p + b[i]->l <= copy + text->l);
	}
	free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *mem = malloc(size ? size : 1);
	struct pl text = { mem, size }, name, value;
	struct challenge c;

	if (!mem)
		abort();
	if (size)
		memcpy(mem, data, size);

	if (!challenge_read(&c, &text)) {
		assert(c.scheme.l);
		quotable(&c.realm);
		quotable(&c.nonce);
		quotable(&c.opaque);
		quotable(&c.domain);
		assert(!c.realm.l || c.nonce.l);
		moved(&c, &text);
	}
	while (!digest_param_next(&text, &name, &value))
		assert(name.l && value.l);
	free(mem);
	return 0;
}
