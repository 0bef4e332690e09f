/*
 * Any bytes as a message: scan, edit, clone, write, and scan what was written
 *
 * What was accepted and written out must be accepted again and mean the same;
 * else two hops would read one message in two ways.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include "policy/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct mbuf *bytes(const void *data, size_t size)
{
	struct mbuf *mb = mbuf_alloc(size ? size : 1);

	if (!mb)
		abort();
	if (size)
		memcpy(mb->buf, data, size);
	mb->end = size;
	return mb;
}

static void same(const struct pl *a, const struct pl *b)
{
	assert(a->l == b->l);
	assert(!a->l || !memcmp(a->p, b->p, a->l));
}

static void again(const struct message *msg)
{
	struct scan_result result;
	struct message *copy = NULL;
	struct mbuf *out = mbuf_alloc(64);
	struct pl a, b;
	int err;

	err = message_write(out, msg);
	assert(!err);
	out->pos = 0;
	err = message_scan(&copy, out, &result);
	/* Content-Length may be the header too many */
	if (err) {
		assert(result.fault == SCAN_TOO_MANY);
	} else {
		same(&msg->callid, &copy->callid);
		same(&msg->branch, &copy->branch);
		same(&msg->from_tag, &copy->from_tag);
		same(&msg->to_tag, &copy->to_tag);
		same(&msg->body, &copy->body);
		same(&msg->ruri, &copy->ruri);
		assert(msg->cseq == copy->cseq && msg->code == copy->code);
		a = message_value(msg, HDR_ROUTE);
		b = message_value(copy, HDR_ROUTE);
		same(&a, &b);
	}
	mem_deref(copy);
	mem_deref(out);
}

static void edit(const struct message *msg)
{
	const struct pl value = { "<sip:edge.example;lr>", 21 };
	const struct header *h;
	struct message *copy = NULL;
	struct mbuf *out = mbuf_alloc(64);
	unsigned id;

	if (message_clone(&copy, msg))
		abort();
	for (id = 1; id < HDR_IDS; ++id) {
		h = message_first(copy, id);
		if (h && id % 3 == 0)
			(void)message_change(copy, h, &value);
		if (id % 5 == 0)
			(void)message_drop(copy, id);
		(void)message_has_token(copy, id, "100rel");
	}
	(void)message_set(copy, HDR_ROUTE, &value);
	(void)message_add(copy, HDR_ROUTE, &value);
	(void)message_set_body(copy, &value, "text/plain");
	(void)message_write(out, copy);
	mem_deref(out);
	mem_deref(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct scan_result result;
	struct message *msg = NULL;
	struct mbuf *mb = bytes(data, size);
	int err;

	err = message_scan(&msg, mb, &result);
	assert((err == 0) == (result.fault == SCAN_OK));
	assert(msg || !result.answerable);
	if (!err) {
		again(msg);
		edit(msg);
	}
	mem_deref(msg);
	mem_deref(mb);
	return 0;
}
