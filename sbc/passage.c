/*
 * A request on its way through the steps: what is known of it, and its answer
 */
#include "sbc/passage.h"
#include "sbc/respond.h"

const struct endpoint *passage_endpoint(const struct worker *w,
					const struct port *port)
{
	uint32_t n = port_number(port);

	return n < w->plan->realms->endpoints_n ? &w->plan->realms->endpoints[n]
						: NULL;
}

/* Why a request ends here, and which object of the configuration says so */
uint16_t passage_refuse(struct ingress *in, uint16_t code, const char *why,
			const char *element, const char *key)
{
	in->why = why;
	if (element)
		(void)re_snprintf(in->object, sizeof(in->object), "%s [%s]",
				  element, key);
	in->object[sizeof(in->object) - 1] = '\0';
	return code;
}

void passage_reply(struct ingress *in, uint16_t code, const char *extra)
{
	struct wire_response r = {
		.request = in->msg,
		.from = &in->from,
		.code = code,
	};
	char tag[TAG_SIZE];
	struct mbuf *mb;

	names_tag(tag, in->worker->number);
	r.to_tag = tag;
	pl_set_str(&r.extra, extra);
	if (respond_write(&mb, &r))
		return;
	(void)transaction_reply(in->transaction, code, mb);
	mem_deref(mb);
}
