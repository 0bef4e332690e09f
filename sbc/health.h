/*
 * For show: targets with their health, and what else is known of an AoR
 *
 * Nothing is sent; of DNS only what it said before.
 */
#pragma once

#include "sbc/resolver.h"
#include "sbc/surrogates.h"
#include "sbc/worker.h"

enum health {
	HEALTH_GOOD,
	HEALTH_AVOIDED, /* failed of late: put last */
	HEALTH_OUT      /* gets no new calls */
};
/** "good", "avoided", "out" */
const char *health_name(enum health h);

struct health_target {
	struct sa addr;
	uint8_t transport;
	enum health health;
};

/** Print "192.0.2.10:5060 UDP" */
int health_target_print(struct re_printf *pf, const struct health_target *t);

/** Where a hop leads, in order of use */
struct health_targets {
	struct health_target of[RESOLVE_TARGETS];
	uint32_t n;
};

/** Targets of a hop of the worker's plan; none: its name is not known now */
void health_of_hop(struct worker *w, const struct hop *hop,
		   struct health_targets *out);

/** Targets of a session-agent of the worker's plan */
void health_of_agent(struct worker *w, const struct session_agent *agent,
		     struct health_targets *out);

/** What show surrogate-agents detail adds to a line */
struct health_of_aor {
	uint32_t asked;     /* expiry [s] */
	uint32_t nc;        /* of the last answer to a challenge; 0: none */
	const char *phrase; /* of the last response; NULL: none */
	struct health_targets registrar;
	struct target used;        /* of the binding; dst unset: none */
	const char *next_hop;      /* as configured */
	const struct agent *agent; /* it is; NULL: none */
	struct health_targets pbx;
	uint64_t active; /* PBX of triggered mode: last activity [ms,
			    monotonic]; 0: nobody looks */
};

/** 0; ENOENT there is no such AoR */
int health_of_aor(struct worker *w, const struct owner *who,
		  struct health_of_aor *out);
