/*
 * One request of the SBC's own to one target, judged by its final answer
 */
#include <errno.h>
#include <string.h>
#include "sbc/doors.h"
#include "sbc/probe.h"
#include "sbc/wire.h"

enum {
	TEXT = 512 /* of an address at first [bytes] */
};

struct probe {
	struct probe_setup setup;
	struct port *port;
	struct transaction *transaction;
	struct target to;
	struct mbuf *ruri, *from;
	struct tries tries;
	char callid[CALLID_SIZE], tag[TAG_SIZE];
	uint32_t cseq;
	bool sending, broken; /* the news came before the sending returned */
	probe_h *h;
	void *arg;
};

static void destructor(void *data)
{
	struct probe *p = data;

	transaction_forget(p->transaction);
	tries_reset(&p->tries);
	mem_deref(p->port);
	mem_deref(p->ruri);
	mem_deref(p->from);
}

/* --- The answer ----------------------------------------------------------- */

bool probe_is_good(const struct session_agent *agent, uint16_t code)
{
	const struct codes *good = &agent->ping_in_service_response_codes;

	if (code < 200)
		return false;
	if (code < 300 || codes_have(good, code))
		return true;

	return !good->n && code != 408 && code != 503 &&
	       !codes_have(&agent->out_service_response_codes, code);
}

static const char *method_text(const struct probe *p)
{
	return p->setup.method ? p->setup.method
			       : p->setup.agent->ping_method.v[0];
}

static struct proof_setup proof_of(const struct probe *p,
				   const struct message *challenge)
{
	struct proof_setup s = {
		.worker = p->setup.worker,
		.target = &p->to,
		.challenge = challenge,
		.query = {
			.egress = p->setup.agent,
			.egress_realm = p->setup.realm->config->identifier,
		},
	};

	pl_set_str(&s.method, method_text(p));
	s.query.method = s.method;
	s.uri = bytes_of(p->ruri);
	pl_set_str(&s.callid, p->callid);

	return s;
}

static int transmit(struct probe *p, const struct mbuf *credentials);

/* Sent again? */
static bool is_proved(struct probe *p, const struct message *challenge)
{
	struct proof_setup setup = proof_of(p, challenge);
	struct mbuf *headers = mbuf_alloc(TEXT);
	bool sent = false;

	p->to = *transaction_target(p->transaction);
	p->to.tls_name = p->setup.agent->hostname;
	if (headers && prove_challenge(&setup, &p->tries, headers, NULL, NULL,
				       NULL) == PROOF_READY) {
		p->transaction = transaction_forget(p->transaction);
		sent = !transmit(p, headers);
	}
	mem_deref(headers);

	return sent;
}

static void answered(struct transaction *t, enum transaction_event ev,
		     const struct message *msg, void *arg)
{
	struct probe *p = arg;
	(void)t;

	if (ev != FINAL && ev != TIMEOUT && ev != BROKEN)
		return;
	if (p->sending) {
		p->broken = true;
		return;
	}
	if (ev == FINAL && (msg->code == 401 || msg->code == 407)) {
		if (is_proved(p, msg))
			return;
	} else if (ev == FINAL) {
		struct proof_setup setup = proof_of(p, NULL);

		prove_accepted(&setup, &p->tries, msg);
	}
	p->transaction = transaction_forget(p->transaction);
	p->h(p, ev == FINAL ? msg : NULL, p->arg);
}

/* --- The request ---------------------------------------------------------- */

static int write_host(struct mbuf *mb, const char *host)
{
	bool v6 = strchr(host, ':') && host[0] != '[';
	int err = v6 ? mbuf_write_u8(mb, '[') : 0;

	if (!err)
		err = mbuf_write_str(mb, host);
	if (!err && v6)
		err = mbuf_write_u8(mb, ']');

	return err;
}

/* sip:USER@HOST:PORT;transport=T, of which only HOST must be there */
static int ruri_write(struct mbuf *mb, const struct session_agent *agent,
		      uint8_t transport)
{
	int err = mbuf_write_str(mb, "sip:");

	if (!err && agent->ping_to_user_part[0]) {
		err = mbuf_write_str(mb, agent->ping_to_user_part);
		if (!err)
			err = mbuf_write_u8(mb, '@');
	}
	if (!err)
		err = write_host(mb, agent->hostname);
	if (!err && agent->port && agent->port != 5060)
		err = mbuf_printf(mb, ":%u", agent->port);
	if (!err && transport != TRANSPORT_UDP)
		err = mbuf_printf(mb, ";transport=%s",
				  transport_name((enum transport)transport));

	return err;
}

static int from_write(struct mbuf *mb, const struct probe *p)
{
	const char *user = p->setup.agent->ping_from_user_part;
	int err = mbuf_write_str(mb, "<sip:");

	if (!err && user[0]) {
		err = mbuf_write_str(mb, user);
		if (!err)
			err = mbuf_write_u8(mb, '@');
	}
	if (!err)
		err = mbuf_write_pl(mb, port_sent_by(p->port));
	if (!err)
		err = mbuf_write_str(mb, ">;tag=");

	return err ? err : mbuf_write_str(mb, p->tag);
}

/* "<URI>" */
static int bracket(struct mbuf *mb, const struct pl *uri)
{
	int err = mbuf_write_u8(mb, '<');

	if (!err)
		err = mbuf_write_pl(mb, uri);

	return err ? err : mbuf_write_u8(mb, '>');
}

static enum method_id method_of(const struct probe *p)
{
	struct pl name;

	pl_set_str(&name, method_text(p));

	return method_find(&name);
}

static int request_write(struct mbuf **mbp, const struct probe *p,
			 const char *branch, const struct mbuf *credentials)
{
	struct mbuf *to = mbuf_alloc(TEXT), *contact = mbuf_alloc(64);
	struct wire_request r = {
		.method = method_of(p),
		.ruri = bytes_of(p->ruri),
		.port = p->port,
		.branch = branch,
		.from = bytes_of(p->from),
		.cseq = p->cseq,
		.max_forwards = 70,
		.extra = bytes_of(credentials),
	};
	int err = to && contact ? bracket(to, &r.ruri) : ENOMEM;

	if (!err)
		err = mbuf_write_str(contact, "sip:");
	if (!err)
		err = mbuf_write_pl(contact, port_sent_by(p->port));
	if (!err) {
		pl_set_str(&r.method_name, method_text(p));
		pl_set_str(&r.callid, p->callid);
		r.to = bytes_of(to);
		r.contact = bytes_of(contact);
		err = wire_request(mbp, &r);
	}
	mem_deref(to);
	mem_deref(contact);

	return err;
}

static int transmit(struct probe *p, const struct mbuf *credentials)
{
	struct worker *w = p->setup.worker;
	char branch[BRANCH_SIZE];
	struct mbuf *mb;
	struct request_setup setup = {
		.port = p->port,
		.to = p->to,
		.branch = branch,
		.method = method_of(p),
		.expire = p->setup.wait,
		.parties = methods_parties(w->methods, p->setup.agent,
					   p->setup.realm),
	};
	int err;

	++p->cseq;
	names_branch(branch, w->number);
	err = request_write(&mb, p, branch, credentials);
	if (err)
		return err;

	setup.mb = mb;
	p->sending = true;
	p->broken = false;
	err = transaction_send(&p->transaction, w->transactions, &setup,
			       answered, p);
	p->sending = false;
	mem_deref(mb);
	if (!err && p->broken) {
		p->transaction = transaction_forget(p->transaction);
		err = EPIPE;
	}

	return err;
}

static int port_find(struct probe *p)
{
	const struct endpoint *e =
		realm_endpoint(p->setup.realm, &p->setup.addr,
			       (enum transport)p->setup.transport);

	if (!e)
		return EAFNOSUPPORT;
	p->port = mem_ref(worker_port(p->setup.worker, e));

	return p->port ? 0 : ENOTCONN;
}

static int begin(struct probe *p)
{
	uint8_t worker = p->setup.worker->number;
	int err;

	names_callid(p->callid, worker);
	names_tag(p->tag, worker);
	p->to.dst = p->setup.addr;
	p->to.transport = p->setup.transport;
	p->to.tls_name = p->setup.agent->hostname;
	p->ruri = mbuf_alloc(TEXT);
	p->from = mbuf_alloc(TEXT);
	err = p->ruri && p->from ? port_find(p) : ENOMEM;
	if (!err)
		err = ruri_write(p->ruri, p->setup.agent, p->setup.transport);

	return err ? err : from_write(p->from, p);
}

/* With credentials at once where the target's nonce is known (6.4) */
static int first_send(struct probe *p)
{
	struct proof_setup setup = proof_of(p, NULL);
	struct mbuf *ahead = mbuf_alloc(TEXT);
	int err = ahead ? prove_ahead(&setup, &p->tries, ahead) : ENOMEM;

	if (!err)
		err = transmit(p, ahead->end ? ahead : NULL);
	mem_deref(ahead);

	return err;
}

int probe_send(struct probe **pp, const struct probe_setup *setup, probe_h *h,
	       void *arg)
{
	struct probe *p = mem_zalloc(sizeof(*p), destructor);
	int err;

	if (!p)
		return ENOMEM;

	p->setup = *setup;
	p->h = h;
	p->arg = arg;
	err = begin(p);
	if (!err)
		err = first_send(p);
	if (err)
		mem_deref(p);
	else
		*pp = p;

	return err;
}
