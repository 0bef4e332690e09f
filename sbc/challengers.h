/*
 * Who challenged us, with which auth-realm, and what answered
 *
 * For one worker: a row for each realm, target and auth-realm. Beyond
 * CHALLENGERS_KEPT the one that has been silent for longest gives way, so a
 * trunk that makes up an auth-realm for each request fills no memory.
 */
#pragma once

#include "policy/credential.h"
#include "sbc/digest.h"
#include "sbc/port.h"

enum {
	CHALLENGERS_KEPT = 1024
};

struct challengers;

/** One challenge that came */
struct challenger {
	const char *realm; /* realm-config of the target */
	const struct target *target;
	struct pl auth_realm;
	unsigned algorithms;   /* a bit for each enum digest_algorithm */
	bool registering;      /* a REGISTER of ours was challenged */
	enum credential_by by; /* what answered; BY_NOBODY: nothing did */
};

/** What is known of it */
struct challenger_report {
	const char *realm, *auth_realm;
	struct sa addr;
	uint8_t transport;
	unsigned algorithms;
	uint64_t registers, others; /* challenges of REGISTERs, of the rest */
	uint64_t last;              /* [ms, monotonic] */
	enum credential_by by;      /* of the last one */
};

typedef void(challenger_h)(const struct challenger_report *r, void *arg);

/** Make it; mem_deref frees. 0; ENOMEM */
int challengers_alloc(struct challengers **cp);

/** Take note of a challenge; without memory it is not noted */
void challengers_note(struct challengers *c, const struct challenger *what);

/** Add what another worker noted to what challengers_alloc made */
void challengers_join(struct challengers *sum, const struct challengers *c);

/** Walk a slice, in no order; from 0, returns where to go on, 0 at the end */
size_t challengers_walk(const struct challengers *c, size_t from, size_t limit,
			challenger_h *h, void *arg);
