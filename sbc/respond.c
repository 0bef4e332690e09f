/*
 * Answers as they leave: those of our own, and codes that response maps change
 */
#include <errno.h>
#include "policy/cause.h"
#include "sbc/pen.h"
#include "sbc/respond.h"
#include "sbc/sources.h"

enum {
	REASON = 1200 /* line of a Reason header [bytes] */
};

static _Thread_local const struct worker *worker;

void respond_begin(const struct worker *w)
{
	worker = w;
}

/* Name of the map for an answer; empty: none */
static const char *map_name(const struct wire_response *r)
{
	const struct plan *plan = worker->plan;
	uint32_t n = port_number(r->from->port);
	const struct endpoint *at;
	struct source source;
	const char *name = "";

	if (n >= plan->realms->endpoints_n) /* of a plan before */
		return "";
	at = &plan->realms->endpoints[n];
	sources_match(worker->sources, plan, at, &r->from->src, &source);
	if (source.agent)
		name = r->src ? source.agent->response_map
			      : source.agent->local_response_map;
	if (!name[0])
		name = r->src ? at->interface->response_map
			      : at->interface->local_response_map;

	return name[0] || !r->src ? name : plan->sip->response_map;
}

static int class_of(uint32_t code)
{
	return code < 200 ? 1 : code < 300 ? 2 : 3;
}

/* The entry of this code and method; one that names the method comes first */
static const struct sip_response_entry *entry_of(const struct wire_response *r)
{
	const struct sip_response_entry *any = NULL;
	const struct sip_response_map *map;
	struct pl name;

	pl_set_str(&name, map_name(r));
	map = name.l ? config_find(worker->plan->config,
				   &element_sip_response_map, &name)
		     : NULL;
	for (uint32_t i = 0; map && i < map->entries.n; i++) {
		const struct sip_response_entry *e = map->entries.v[i];

		if (e->recv_code != r->code ||
		    class_of(e->recv_code) != class_of(e->xmit_code))
			continue;
		if (names_have(&e->method, &r->request->method))
			return e;
		if (!e->method.n && !any)
			any = e;
	}

	return any;
}

/* RFC 3326 2: a quoted string */
static void reason_write(struct pen *line, const struct sip_response_entry *e)
{
	pen_put(line, "Reason: Q.850;cause=");
	pen_put_uint(line, e->q850_cause);
	if (e->q850_reason[0]) {
		pen_put(line, ";text=\"");
		for (const char *p = e->q850_reason; *p; p++) {
			if (*p == '"' || *p == '\\')
				pen_put(line, "\\");
			pen_put_mem(line, p, 1);
		}
		pen_put(line, "\"");
	}
	pen_put(line, "\r\n");
}

static int write_mapped(struct mbuf **mbp, const struct wire_response *r,
			const struct sip_response_entry *e)
{
	struct wire_response mapped = *r;
	char text[REASON];
	struct pen line = { .p = text, .size = sizeof(text) };
	char *extra = NULL;
	int err = 0;

	mapped.code = (uint16_t)e->xmit_code;
	pl_set_str(&mapped.reason,
		   e->reason[0] ? e->reason : cause_phrase(mapped.code));
	if (e->q850_cause) {
		reason_write(&line, e);
		err = line.full ? ENOSPC
				: re_sdprintf(&extra, "%r%s", &r->extra, text);
		if (!err) {
			pl_set_str(&mapped.extra, extra);
			mapped.without.bits |= 1ULL << HDR_REASON;
		}
	}
	if (!err)
		err = wire_response(mbp, &mapped);
	mem_deref(extra);
	return err;
}

static const struct sip_response_entry *mapped(const struct wire_response *r)
{
	if (!worker || !worker->plan ||
	    !config_count(worker->plan->config, &element_sip_response_map))
		return NULL;

	return entry_of(r);
}

int respond_write(struct mbuf **mbp, const struct wire_response *r)
{
	const struct sip_response_entry *e = mapped(r);

	return e ? write_mapped(mbp, r, e) : wire_response(mbp, r);
}

void respond(struct transaction *t, uint16_t code, const char *extra)
{
	struct wire_response r = {
		.request = transaction_request(t),
		.from = transaction_arrival(t),
		.code = code,
		.extra = range_of(extra),
	};
	const struct sip_response_entry *e;
	struct mbuf *mb;

	if (!r.request)
		return;
	e = mapped(&r);
	if (e ? write_mapped(&mb, &r, e) : wire_response(&mb, &r))
		return;
	if (e || r.extra.l)
		(void)transaction_reply(t, code, mb);
	else
		(void)transaction_reply_plain(t, code, mb);
	mem_deref(mb);
}
