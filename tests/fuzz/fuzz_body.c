/*
 * Any bytes as a body on its way to the other side
 *
 * The first line is the Content-Type. What crosses is another body of the same
 * type whose SDP is ours or none, at any depth of parts; done twice it is the
 * same.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include "policy/body.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct message *scan(const struct pl *type, const struct pl *body)
{
	struct mbuf *mb = mbuf_alloc(512 + type->l + body->l);
	struct scan_result result;
	struct message *msg = NULL;

	(void)mbuf_printf(mb,
			  "INVITE sip:b@x SIP/2.0\r\n"
			  "Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKx\r\n"
			  "From: <sip:a@x>;tag=1\r\nTo: <sip:b@x>\r\n"
			  "Call-ID: c\r\nCSeq: 1 INVITE\r\nContent-Type: %r\r\n"
			  "Content-Length: %zu\r\n\r\n",
			  type, body->l);
	(void)mbuf_write_mem(mb, (const uint8_t *)body->p, body->l);
	mb->pos = 0;
	if (message_scan(&msg, mb, &result))
		msg = mem_deref(msg);
	mem_deref(mb);

	return msg;
}

static void cross(struct message *msg, const char *text)
{
	struct pl sdp, ours, again;
	struct message *copy;

	pl_set_str(&ours, text);
	if (message_clone(&copy, msg))
		abort();
	if (!body_cross(copy, &ours) && !body_is_sdp(copy)) {
		if (body_sdp(copy, &sdp))
			assert(ours.l && sdp.l >= ours.l &&
			       !memcmp(sdp.p, ours.p, ours.l));
		again = copy->body;
		if (!body_cross(copy, &ours))
			assert(!pl_cmp(&again, &copy->body));
	}
	mem_deref(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *nl = memchr(data, '\n', size);
	struct pl type, body;
	struct message *msg;

	if (!nl)
		return 0;
	type.p = (const char *)data;
	type.l = (size_t)(nl - data);
	body.p = (const char *)nl + 1;
	body.l = size - type.l - 1;
	msg = scan(&type, &body);
	if (!msg)
		return 0;

	cross(msg, "");
	cross(msg, "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\n");
	mem_deref(msg);

	return 0;
}
