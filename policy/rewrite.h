/*
 * Identities of a call on the other side: from a PBX to its trunk and back
 *
 * The tables of behaviour.md 5.2 and 5.3, for every request outside a dialog.
 * Decides and writes values; dialog headers (tags, Call-ID) are the leg's.
 */
#pragma once

#include "policy/plan.h"
#include "policy/route.h"

struct rewrite_setup {
	const struct plan *plan;
	const struct message *msg; /* as received, after edit-inbound */
	const struct realm *ingress, *egress;
	struct source source;         /* who sent it */
	struct sa src;                /* from where */
	const struct sa *local;       /* sip-port of ours towards the target */
	const struct sa *received_at; /* sip-port of ours that got it */
	const struct sa *target;
	const struct hop *hop;
	struct owner owner;  /* of a call from a PBX */
	struct owner called; /* AoR that a call to a PBX is for */
	bool to_trunk;       /* egress is the realm of the owner's registrar */
	bool to_registrar;   /* the default route, or its target */
	bool trusted;        /* the peer gets identities */
	struct pl contact;   /* registered contact URI, replace-contact */
	struct pl service_route;          /* of the AoR; empty: none */
	const struct identity_live *live; /* associated URIs; NULL: none */
};

/** What the leg writes: values without tags, owned by the caller's mbuf */
struct rewritten {
	struct pl ruri;
	struct pl from, to; /* header values, without tag parameter */
	struct pl contact;  /* URI for our Contact towards this side */
	struct pl routes;   /* value of one Route header; empty: none */
};

/**
 * Compute the identities of the outgoing request
 *
 * Towards a PBX (called.agent is set) the table of 5.3, else that of 5.2. A hop
 * without policy is the registered contact or the default route. P-Asserted-Identity, P-Preferred-Identity, Diversion, History-Info,
 * Referred-By and Refer-To are edited in `out_msg`, a clone of the request.
 *
 * @param out      Set; ranges of scratch
 * @param scratch  Buffer of the caller; text is appended
 * @param out_msg  Clone that is edited
 * @param setup    What is known
 *
 * @return 0; EINVAL a URI cannot be read; ENOMEM
 */
int rewrite_request(struct rewritten *out, struct mbuf *scratch,
		    struct message *out_msg, const struct rewrite_setup *setup);

/**
 * Edit what names somebody in a message inside a call: a request in its dialogs,
 * or an answer
 *
 * The rows P-Asserted-Identity, Diversion, History-Info, Referred-By, Refer-To;
 * P-Preferred-Identity is left out. Nothing is made up.
 *
 * @return 0; ENOMEM
 */
int rewrite_within(struct mbuf *scratch, struct message *out_msg,
		   const struct rewrite_setup *setup);

/** Is this host one of ours, of the PBX, or customer-host ("local host")? */
bool rewrite_is_local_host(const struct rewrite_setup *setup,
			   const struct pl *host);
