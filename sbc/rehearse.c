/*
 * A REGISTER as it would leave, and whose credentials would answer for it
 */
#include <errno.h>
#include <string.h>
#include "sbc/attempt.h"
#include "sbc/doors.h"
#include "sbc/rehearse.h"

/* Whoever asked looks into the cache again */
static void ignore(int err, const struct resolved *found, void *arg)
{
	(void)err;
	(void)found;
	(void)arg;
}

static const char *reason_of(int err)
{
	switch (err) {

	case ENOENT:
		return "the name does not exist";
	case ENOTCONN:
		return "its sip-port is open after activate-config only";
	case EAFNOSUPPORT:
		return "no sip-port of the realm fits";
	case EADDRNOTAVAIL:
		return "no sip-port of the realm can reach the target";
	case EOVERFLOW:
		return "the Contact is too long";
	default:
		return "DNS does not answer";
	}
}

static int targets_find(struct registration *r, struct rehearsal *out)
{
	struct registry *reg = r->flock->registry;
	struct resolve *pending;
	int err = attempt_resolve(&pending, reg, &out->targets, ignore, NULL);

	/* The answer stands in the cache when somebody looks again; the realm
	 * may be gone until then */
	resolve_cancel(pending);
	for (uint32_t i = 0; !err && i < out->targets.n; i++)
		out->avoided[i] = target_is_avoided(reg->worker->resolver,
						    &out->targets.addr[i],
						    out->targets.transport[i]);

	return err;
}

/* As attempt.c writes it, with the next CSeq, which stays unused */
static int request_write(struct registration *r, struct rehearsal *out)
{
	const struct surrogate_agent *agent = r->flock->agent;
	struct worker *w = r->flock->worker;
	const struct endpoint *from = realm_endpoint(
		r->flock->registry->hop.realm, &out->targets.addr[0],
		(enum transport)out->targets.transport[0]);
	struct register_setup what = { 0 };
	char branch[BRANCH_SIZE], contact[CONTACT_SIZE], ruri[CONTACT_SIZE];
	struct mbuf *none; /* credentials are looked at apart */
	int err;

	what.port = from ? worker_port(w, from) : NULL;
	if (!what.port)
		return from && r->flock->plan != w->plan ? ENOTCONN
							 : EADDRNOTAVAIL;
	if (registration_contact(contact, sizeof(contact), agent,
				 registration_number(r), from) < 0 ||
	    re_snprintf(ruri, sizeof(ruri),
			strchr(agent->register_host, ':') ? "sip:[%s]"
							  : "sip:%s",
			agent->register_host) < 0)
		return EOVERFLOW;

	what.auth = none = mbuf_alloc(1);
	if (!none)
		return ENOMEM;
	names_branch(branch, w->number);
	what.branch = branch;
	what.ruri = ruri;
	what.contact = contact;
	what.expires = agent->register_expires > r->min_expires
			       ? agent->register_expires
			       : r->min_expires;
	what.cseq = r->cseq + 1;
	what.transport = out->targets.transport[0];

	err = register_write(&out->bytes, r, &what);
	mem_deref(none);

	return err;
}

static void proof_add(struct registration *r, struct rehearsal *out,
		      const char *auth_realm)
{
	const struct hop *hop = &r->flock->registry->hop;
	struct proof_setup setup = {
		.worker = r->flock->worker,
		.plan = r->flock->plan,
		.trial = out->trial,
		.query = {
			.registering = r->flock->agent,
			.owner = { r->flock->agent, registration_number(r) },
			.to_registrar = true,
			.egress = hop->agent,
			.egress_realm = hop->realm->config->identifier,
		},
	};
	struct pl pl;

	if (out->proofs_n == REHEARSE_REALMS)
		return;
	pl_set_str(&setup.method, "REGISTER");
	setup.query.method = setup.method;
	str_ncpy(out->proofs[out->proofs_n].auth_realm, auth_realm,
		 sizeof(out->proofs[0].auth_realm));
	pl_set_str(&pl, auth_realm);
	prove_explain(&setup, &pl, &out->proofs[out->proofs_n++].answer);
}

static void proofs_find(struct registration *r, struct rehearsal *out)
{
	const struct flock *f = r->flock;

	for (uint32_t i = 0; i < f->realms_n; i++)
		proof_add(r, out, f->realms[i]);
	if (f->realms_n)
		return;
	out->guessed = true;
	proof_add(r, out, f->agent->register_host);
}

static int rehearse_one(struct registration *r, struct rehearsal *out)
{
	int err;

	str_ncpy(out->registrar, r->flock->agent->register_host,
		 sizeof(out->registrar));
	if (registration_aor(out->aor, sizeof(out->aor), r) < 0)
		str_ncpy(out->aor, "?", sizeof(out->aor));
	if (!r->flock->registry) {
		out->why = "it has no egress realm";
		return 0;
	}

	out->realm = r->flock->registry->hop.realm->config->identifier;
	proofs_find(r, out);
	err = targets_find(r, out);
	if (!err && out->targets.n)
		err = request_write(r, out);
	else if (!err)
		err = ENOENT;
	if (err == EINPROGRESS || err == ENOMEM)
		return err;
	if (err)
		out->why = reason_of(err);

	return 0;
}

int rehearse(struct worker *w, const struct owner *who, struct rehearsal *out)
{
	struct registration *r = surrogates_find(w->surrogates, who);

	memset(out, 0, sizeof(*out));

	return r ? rehearse_one(r, out) : ENOENT;
}

/* An AoR that runs keeps its names and goes on counting (behaviour.md 4.2), and
 * what challenged it once will do so again */
static void follow(struct registration *r, const struct registration *before)
{
	struct flock *f = r->flock;

	memcpy(r->callid, before->callid, sizeof(r->callid));
	memcpy(r->tag, before->tag, sizeof(r->tag));
	r->cseq = before->cseq;
	r->min_expires = before->min_expires;
	for (f->realms_n = 0; f->realms_n < before->flock->realms_n;
	     f->realms_n++)
		f->realms[f->realms_n] = before->flock->realms[f->realms_n];
}

int rehearse_with(struct worker *w, const struct plan *plan,
		  const struct owner *who, struct rehearsal *out)
{
	struct registration *r, *before = surrogates_find(w->surrogates, who);
	struct registry registry = { .worker = w, .plan = plan };
	struct flock flock = {
		.worker = w,
		.agent = who->agent,
		.plan = plan,
	};
	int err;

	memset(out, 0, sizeof(*out));
	out->trial = plan;
	if (!plan_registrar(plan, who->agent, &registry.hop))
		flock.registry = &registry;
	err = registration_alloc(&r, &flock, who->number);
	if (err)
		return err;
	if (before)
		follow(r, before);
	err = rehearse_one(r, out);
	mem_deref(r);

	return err;
}

void rehearsal_finish(struct rehearsal *r)
{
	r->bytes = mem_deref(r->bytes);
}
