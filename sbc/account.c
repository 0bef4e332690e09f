/*
 * What a record says of a request, and when there is one more
 */
#include <string.h>
#include "store/elements/account_config.h"
#include "sbc/account.h"
#include "sbc/clock.h"
#include "sbc/random.h"

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

/* The first that a header names */
static void account_uri(struct cdr *cdr, unsigned which,
			const struct message *msg, enum header_id id)
{
	struct pl rest = message_value(msg, id), value;
	struct address addr;

	if (rest.l && !list_next(&rest, &value) && !address_read(&addr, &value))
		cdr_set(cdr, which, &addr.spec);
}

static const struct account_config *config_of(const struct plan *plan)
{
	return config_single(plan->config, &element_account_config);
}

void account_begin(struct cdr *cdr, const struct account_request *request)
{
	const struct message *msg = request->msg;
	const struct uri *ruri = message_uri(msg);
	const struct realm *realm = request->source->realm;
	const struct session_agent *agent = request->source->agent;
	struct cdr_side *a = &cdr->side[SIDE_A];
	struct address addr;

	cdr->setup = clock_ms();
	cdr->wall = clock_wall_ms();
	cdr->config_version = request->plan->config->version;
	cdr->node = request->plan->system->hostname;
	cdr_set(cdr, CDR_CALLID + SIDE_A, &msg->callid);
	cdr_set(cdr, CDR_CALLED + SIDE_A, &msg->ruri);
	if (!message_address(&addr, msg, HDR_FROM)) {
		cdr_set(cdr, CDR_CALLING + SIDE_A, &addr.spec);
		cdr_set(cdr, CDR_CALLING_NUMBER, &addr.uri.user);
	}
	if (ruri)
		cdr_set(cdr, CDR_CALLED_NUMBER, &ruri->user);
	account_uri(cdr, CDR_DIVERSION, msg, HDR_DIVERSION);
	if (!*cdr_get(cdr, CDR_DIVERSION))
		account_uri(cdr, CDR_DIVERSION, msg, HDR_HISTORY_INFO);
	a->realm = realm->config->identifier;
	a->agent = agent ? agent->hostname : "";
	cdr_set_address(cdr, CDR_REMOTE + SIDE_A, &request->from->src);
	cdr_set_address(cdr, CDR_LOCAL + SIDE_A,
			port_local(request->from->port));
	a->transport = (uint8_t)port_transport(request->from->port);
	a->unrecorded = !realm->config->accounting_enable;
	account_owner(cdr,
		      request->owner->agent ? request->owner : request->called);
}

bool account_has_event(const struct plan *plan, const struct pl *method)
{
	return names_have(&config_of(plan)->generate_event, method);
}

void account_refused(const struct account_request *request, const char *step,
		     uint16_t code, struct database *db)
{
	const struct message *msg = request->msg;
	struct cdr cdr = { .id = random_u64() >> 1 };

	if (msg->method_id != INVITE) {
		if (!account_has_event(request->plan, &msg->method))
			return;
		cdr.event = method_name((enum method_id)msg->method_id);
	}
	account_begin(&cdr, request);
	cdr.status = code;
	cdr.disconnect = cdr.setup;
	if (code >= 300 && code < 400) { /* a redirection is an answer */
		cdr_end(&cdr, CDR_SBC, CDR_NORMAL, 0);
	} else {
		cdr.refused_step = step;
		cdr_end(&cdr, CDR_SBC, cdr_reason_of(code, true), 0);
	}
	cdr_write(&cdr, NULL, db);
	cdr_clear(&cdr);
}

void account_placed(struct cdr *cdr, const struct hunt *hunt)
{
	const struct branch *now = hunt->now;
	struct cdr_side *b = &cdr->side[SIDE_B];
	struct address addr;

	cdr_set_str(cdr, CDR_CALLID + SIDE_B, leg_text(now->leg, LEG_CALLID));
	cdr_set(cdr, CDR_CALLED + SIDE_B, &now->rw.ruri);
	if (!address_read(&addr, &now->rw.from))
		cdr_set(cdr, CDR_CALLING + SIDE_B, &addr.spec);
	if (now->out)
		account_uri(cdr, CDR_ASSERTED, now->out,
			    HDR_P_ASSERTED_IDENTITY);
	b->realm = now->hop.realm->config->identifier;
	b->agent = now->hop.agent ? now->hop.agent->hostname : "";
	cdr_set_address(cdr, CDR_REMOTE + SIDE_B, &now->leg->to.dst);
	cdr_set_address(cdr, CDR_LOCAL + SIDE_B, port_local(now->leg->port));
	b->transport = now->leg->to.transport;
	b->unrecorded = !now->hop.realm->config->accounting_enable;
	cdr->next_hop = now->hop.next_hop;
	cdr->routes_tried = hunt->tried;
	cdr->policy = hop_policy_key(&now->hop);
}

/* --- Before the last ------------------------------------------------------- */

enum {
	FRESH = 50 /* until counters of the media threads are here [ms] */
};

void accounting_open(struct accounting *a, struct cdr *cdr,
		     struct media **media, const struct plan *plan,
		     struct database *db)
{
	static const struct {
		const char *name;
		enum account_moment moment;
	} words[] = {
		{ "Reinvite-Response", ACCOUNT_REINVITED },
		{ "OK", ACCOUNT_OK },
		{ "1xx", ACCOUNT_RANG },
		{ "Unsuccessful-Attempt", ACCOUNT_FAILED },
	};
	const struct account_config *config = config_of(plan);

	a->cdr = cdr;
	a->media = media;
	a->db = db;
	a->period = config->intermediate_period;
	a->at_close = config->trans_at_close;
	if (config->generate_start == ACCOUNT_START_INVITE)
		a->moments |= ACCOUNT_SENT;
	else if (config->generate_start == ACCOUNT_START_OK)
		a->moments |= ACCOUNT_ANSWERED;
	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
		struct pl name = range_of(words[i].name);

		if (names_have(&config->generate_interim, &name))
			a->moments |= (uint8_t)words[i].moment;
	}
}

static void put(struct accounting *a, enum cdr_type type, uint16_t status)
{
	struct media_report media;
	const struct cdr_early early = { type, status, &media };

	media_report(*a->media, &media);
	cdr_write_early(a->cdr, &early, a->at_close ? &a->later : NULL, a->db);
}

/* First the counters are asked for, then they are written */
static void interim(void *arg)
{
	struct accounting *a = arg;

	if (!a->due) {
		a->due = true;
		media_refresh(*a->media);
		timer_start(&a->timer, FRESH, interim, a);
		return;
	}

	a->due = false;
	put(a, CDR_INTERIM, a->cdr->status);
	if (a->period)
		timer_start(&a->timer, a->period * 1000ULL, interim, a);
}

void accounting_tell(struct accounting *a, enum account_moment moment,
		     uint16_t status)
{
	switch (moment) {

	case ACCOUNT_SENT:
	case ACCOUNT_ANSWERED:
		if (!a->started)
			put(a, CDR_START, status);
		a->started = true;
		break;

	case ACCOUNT_RANG:
	case ACCOUNT_FAILED:
	case ACCOUNT_OK:
		put(a, CDR_INTERIM, status);
		break;

	case ACCOUNT_REINVITED:
		a->due = false;
		interim(a);
		break;
	}
}

void accounting_answered(struct accounting *a)
{
	if (a->period)
		timer_start(&a->timer, a->period * 1000ULL, interim, a);
}

void accounting_close(struct accounting *a)
{
	timer_cancel(&a->timer);
	a->moments = 0;
	cdr_release(&a->later, a->db);
}
