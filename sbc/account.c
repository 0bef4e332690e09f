/*
 * What a record says of a request, and of where it went
 */
#include <string.h>
#include "sbc/account.h"
#include "sbc/clock.h"

/* AoR that the call belongs to, as "user@host" */
static void account_owner(struct cdr *cdr, const struct owner *who)
{
	char aor[AOR_USER_MAX + 256];
	struct pl text = { .p = aor };
	size_t host;
	int n;

	if (!who->agent)
		return;
	n = aor_register_user(aor, AOR_USER_MAX, who);
	host = strlen(who->agent->register_host);
	if (n < 0 || (size_t)n + 1 + host > sizeof(aor))
		return;

	aor[n] = '@';
	memcpy(aor + n + 1, who->agent->register_host, host);
	text.l = (size_t)n + 1 + host;
	cdr_set(cdr, CDR_AOR, &text);
}

void account_begin(struct cdr *cdr, const struct hunt *hunt)
{
	const struct message *msg = hunt->invite;
	const struct uri *ruri = message_uri(msg);
	struct pl diversion = message_value(msg, HDR_DIVERSION);
	struct cdr_side *a = &cdr->side[SIDE_A];
	struct address addr;

	cdr->setup = clock_ms();
	cdr->wall = clock_wall_ms();
	cdr->config_version = hunt->plan->config->version;
	cdr_set(cdr, CDR_CALLID + SIDE_A, &msg->callid);
	cdr_set(cdr, CDR_CALLED + SIDE_A, &msg->ruri);
	if (!message_address(&addr, msg, HDR_FROM)) {
		cdr_set(cdr, CDR_CALLING + SIDE_A, &addr.spec);
		cdr_set(cdr, CDR_CALLING_NUMBER, &addr.uri.user);
	}
	if (ruri)
		cdr_set(cdr, CDR_CALLED_NUMBER, &ruri->user);
	cdr_set(cdr, CDR_DIVERSION, &diversion);
	a->realm = hunt->source.realm->config->identifier;
	a->agent = hunt->source.agent ? hunt->source.agent->hostname : "";
	a->remote = hunt->from.src;
	a->local = *port_local(hunt->from.port);
	a->transport = (uint8_t)port_transport(hunt->from.port);
	a->unrecorded = !hunt->source.realm->config->accounting_enable;
	account_owner(cdr, hunt->owner.agent ? &hunt->owner : &hunt->called);
}

void account_placed(struct cdr *cdr, const struct hunt *hunt)
{
	const struct branch *now = hunt->now;
	struct cdr_side *b = &cdr->side[SIDE_B];
	struct item_ref policy = { &element_local_policy, now->hop.policy };
	struct address addr;
	char *key = NULL;

	cdr_set_str(cdr, CDR_CALLID + SIDE_B, now->leg->callid);
	cdr_set(cdr, CDR_CALLED + SIDE_B, &now->rw.ruri);
	if (!address_read(&addr, &now->rw.from))
		cdr_set(cdr, CDR_CALLING + SIDE_B, &addr.spec);
	b->realm = now->hop.realm->config->identifier;
	b->agent = now->hop.agent ? now->hop.agent->hostname : "";
	b->remote = now->leg->to.dst;
	b->local = *port_local(now->leg->port);
	b->transport = now->leg->to.transport;
	b->unrecorded = !now->hop.realm->config->accounting_enable;
	cdr->next_hop = now->hop.next_hop;
	cdr->routes_tried = hunt->tried;
	if (now->hop.policy &&
	    re_sdprintf(&key, "%H", item_key_print, &policy) == 0)
		cdr_set_str(cdr, CDR_POLICY, key);
	mem_deref(key);
}
