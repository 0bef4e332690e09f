/*
 * Any bytes as each kind of header value
 *
 * All results must lie within the text, and a loop over a list must end.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include "policy/header.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void within(const struct pl *text, const struct pl *part)
{
	assert(!part->l ||
	       (part->p >= text->p && part->p + part->l <= text->p + text->l));
}

static void uris(const struct pl *text)
{
	struct uri uri, other;
	struct sa sa;

	if (uri_read(&uri, text))
		return;
	within(text, &uri.user);
	within(text, &uri.host);
	within(text, &uri.params);
	within(text, &uri.headers);
	(void)uri_is_numeric(&uri, &sa);
	other = uri;
	/* more parameters than are compared make no URI equal */
	(void)uri_equal(&uri, &other);
	assert(user_equal(&uri.user, &other.user));
	assert(host_equal(&uri.host, &other.host));
}

static void lists(const struct pl *text)
{
	struct pl rest = *text, value, name;
	struct address addr;
	struct pl tag = { "", 0 }, alone = { "", 0 }, top;
	struct via via;
	char buf[64];

	if (!address_read_tagged(&addr, &tag, text)) {
		assert(!address_read(&addr, text));
		within(text, &tag);
		assert(!address_tag(&alone, text));
		assert(!pl_cmp(&alone, &tag));
	} else if (!address_tag(&alone, text)) {
		within(text, &alone);
	}
	/* The short way and the long one read the same */
	if (!via_read_top(&via, &top, text)) {
		within(text, &top);
		assert(!list_next(&rest, &value));
		assert(!pl_cmp(&top, &value));
		rest = *text;
	}
	while (!list_next(&rest, &value)) {
		assert(value.l);
		within(text, &value);
		(void)address_read(&addr, &value);
		(void)via_read(&via, &value);
	}
	rest = *text;
	while (!param_next(&rest, &name, &value)) {
		assert(name.l);
		within(text, &value);
		(void)quoted_undo(buf, sizeof(buf), &value);
	}
	(void)param_get(text, "tag", &value);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *mem = malloc(size ? size : 1);
	const struct pl text = { mem, size };
	struct pl method;
	struct address addr;
	struct via via;
	uint32_t n;

	if (!mem)
		abort();
	if (size)
		memcpy(mem, data, size);

	uris(&text);
	lists(&text);
	if (!address_read(&addr, &text)) {
		within(&text, &addr.spec);
		within(&text, &addr.display);
		within(&text, &addr.params);
		uris(&addr.spec);
	}
	if (!via_read(&via, &text))
		within(&text, &via.host);
	if (!cseq_read(&n, &method, &text))
		assert(method.l && n < 0x80000000);
	(void)content_is(&text, "application", "sdp");
	free(mem);
	return 0;
}
