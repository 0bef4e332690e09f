/*
 * A REGISTER as it would leave, and whose credentials would answer for it
 *
 * For test-surrogate (acli.md 2.5). Nothing is sent and no number is used up;
 * only DNS may be asked.
 */
#pragma once

#include "sbc/prove.h"
#include "sbc/resolver.h"
#include "sbc/surrogates.h"

enum {
	REHEARSE_REALMS = 8
};

struct rehearsal {
	char aor[320];
	char registrar[256]; /* register-host */
	const char *realm;   /* egress realm; of the worker's plan */
	struct resolved targets;
	bool avoided[RESOLVE_TARGETS]; /* failed of late: put last */
	struct mbuf *bytes; /* the REGISTER, without credentials; owned */
	const char *why;    /* none can leave; NULL: it can */
	struct {
		char auth_realm[128];
		struct proof_explanation answer;
	} proofs[REHEARSE_REALMS];
	uint32_t proofs_n;
	bool guessed; /* nobody challenged yet: register-host taken for it */
	const struct plan
		*trial; /* whose entries count; NULL: those that run */
};

/**
 * Put the next REGISTER of an AoR together
 *
 * @param w    Worker, on its thread
 * @param who  AoR
 * @param out  Filled in; rehearsal_finish. Texts live until the worker's plan
 *             changes
 *
 * @return 0; EINPROGRESS DNS was asked and nothing is there yet: try again;
 *         ENOENT there is no such AoR; ENOMEM
 */
int rehearse(struct worker *w, const struct owner *who, struct rehearsal *out);

/** The same with a plan that does not run: as it would be after activate-config.
 *  who is of that plan, which stays until out was read */
int rehearse_with(struct worker *w, const struct plan *plan,
		  const struct owner *who, struct rehearsal *out);

/** Let go of its bytes */
void rehearsal_finish(struct rehearsal *r);
