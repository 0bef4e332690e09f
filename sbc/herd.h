/*
 * The AoRs of one agent, in an array by number
 *
 * So an owner is found by agent and number without a table of AoRs. What
 * concerns all AoRs of an agent is a sweep of slices.
 */
#pragma once

#include "sbc/carrier.h"
#include "sbc/office.h"

struct surrogates;

struct herd {
	struct flock f; /* first: flock and herd are one */
	struct entry e; /* of surrogates.herds */
	struct le le;   /* of surrogates.retired */
	struct surrogates *all;
	struct line line;
	struct registration **v;
	uint32_t n, alive;
	size_t first; /* rows before it in the order of configuration */
	struct timer quiet, sweep;
	struct list waiting; /* struct surrogate_wait */
	uint64_t last_active;
	uint32_t calls; /* in progress; 0 again when the agent comes back */
	uint32_t swept;
	uint8_t sweep_event;
	const struct carrier *sweep_only; /* of a sweep; only compared */
	uint64_t sweep_conn;
	struct sa
		sweep_addr; /* of a sweep, when set: only who is bound there */
	uint32_t seen;      /* in this muster */
	bool retired;
};

/** All AoRs */
struct surrogates {
	struct worker *worker;
	const struct surrogate_host *host;
	struct offices offices;
	struct carriers carriers;
	struct table herds, associated, loaded;
	struct list retired;
	struct herd **order; /* of configuration */
	uint32_t n;
	size_t rows;
	uint32_t counts[SUR_STATES];
	uint64_t written; /* of the database, wall [s] */
	struct timer stop;
	struct muster *muster; /* under way; NULL: none */
	uint32_t musters;      /* begun so far */
	void (*done)(void *arg);
	void *done_arg;
	bool triggered; /* an agent is, in the present plan */
	bool stopping;
};

enum {
	HERD_SLICE = 200 /* AoRs of one sweep before the loop goes on */
};

/** One for an agent, in no table yet, without AoRs. 0; ENOMEM */
int herd_alloc(struct herd **hp, struct surrogates *all,
	       const struct surrogate_agent *agent);

/** Room for so many AoRs, all NULL; free() ends it. Of a million it costs nothing
 *  until they come: the kernel clears its pages one by one. NULL: no memory */
struct registration **herd_room(uint32_t n);

/** Point to a plan and its agent; take a registrar, moved: another one. 0;
 *  ENOMEM */
int herd_use(struct herd *h, const struct plan *plan,
	     const struct surrogate_agent *agent, bool *moved);

/** Has no AoRs any more, or never had: let go of its registrar, free it */
void herd_dismiss(struct herd *h);

/** Put in the table. 0; ENOMEM */
int herd_enter(struct herd *h);
/** The one with the key of this agent, or NULL */
struct herd *herd_find(const struct surrogates *all,
		       const struct surrogate_agent *agent);
/** Told of one */
typedef void(herd_h)(struct herd *h, void *arg);
/** Each one in the table; h may take it out */
void herd_walk(struct surrogates *all, herd_h *h, void *arg);

/** That of a registration */
struct herd *herd_of(const struct registration *r);
/** Does it register only while its PBX is active? */
bool herd_is_triggered(const struct herd *h);

/** Set the state of one that was loaded */
void herd_set_state(struct registration *r, enum surrogate_state state);
/** Its state or registrar changed: the session-agent over which it registers
 *  counts it, and whether it is refused (behaviour.md 2.5, state R) */
void herd_tell_agent(struct registration *r);
/** ... and who waits for it */
void herd_tell_waiting(const struct registration *r);

/** Tell all AoRs of an agent, 200 in a turn. A sweep that is under way is ended
 *  first, unless the new one takes it back */
void herd_sweep(struct herd *h, enum surrogate_event ev);
/** Those that are bound over another connection of this carrier than conn are
 *  due */
void herd_sweep_carrier(struct herd *h, const struct carrier *c, uint64_t conn);
/** The registrar is gone, or its address that is named: who is bound there is due;
 *  addr NULL: all */
void herd_sweep_target(struct herd *h, const struct sa *addr);
/** End a sweep that is under way now */
void herd_sweep_end(struct herd *h);

/** What others keep of a registration goes: its identities, its connection */
void herd_forget(struct registration *r);

/** Free a registration that is disabled, and its herd with the last one */
void herd_bury(struct registration *r);
/** Leave for good, under no table: each AoR leaves by the table of 4.3 and is
 *  buried when it is disabled; a slice in each turn */
void herd_retire(struct herd *h);
/** Those that are left of it now */
void herds_retire_now(struct surrogates *all);
