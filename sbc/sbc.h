/*
 * The whole: build from a plan, change to another, stop
 */
#pragma once

#include "sbc/worker.h"

struct letter;
struct sbc;

struct sbc_setup {
	struct database *db;
	const struct seal *seal;
	const struct plan *plan;   /* a reference is taken */
	const struct plan *before; /* what ran last; NULL: the same, or
				      unknown. Only read by sbc_open */
};

/**
 * Open sip-ports, start threads, take up registrations
 *
 * @param sbcp  Set to the SBC
 * @param why   Set to one clear line on error, 256 bytes
 *
 * @return 0 when every sip-port is bound; errno of what failed
 */
int sbc_open(struct sbc **sbcp, const struct sbc_setup *setup, char *why);

/** Orderly end: no new calls, calls in progress get BYE at the end of
 *  shutdown-timeout, registrations as behaviour.md 4.7 says; blocks */
void sbc_close(struct sbc *sbc);

/**
 * First half of a change (architecture.md 4): everything that may fail
 *
 * New sip-ports are opened and room is made; what runs does not notice. On
 * success sbc_commit or sbc_abandon must follow; sbc_close abandons, too. All
 * three are of the front thread and wait for the worker.
 *
 * @param sbc   SBC
 * @param plan  Plan to come; a reference is taken
 * @param why   Set to one clear line on error, 256 bytes
 *
 * @return 0; errno of what failed, and then nothing is changed
 */
int sbc_prepare(struct sbc *sbc, const struct plan *plan, char *why);

/** Second half: the plan that was prepared is in force, and what differs follows
 *  it. Calls in progress keep theirs. Cannot fail */
void sbc_commit(struct sbc *sbc);

/** Take sbc_prepare back */
void sbc_abandon(struct sbc *sbc);

typedef void(sbc_question_h)(struct worker *w, void *arg);

/** Run fn on the thread of each worker, one after the other, and wait: fn adds to
 *  what the one before found. What show commands use */
void sbc_ask(struct sbc *sbc, sbc_question_h *fn, void *arg);
/** ... on that of one worker. The first (0) does what is done once: pings, DNS
 *  look-ups by hand; it sees what all share */
void sbc_ask_at(struct sbc *sbc, uint32_t number, sbc_question_h *fn,
		void *arg);
/** ... in slices of some 200 rows, so that no loop is held up: on each worker from
 *  *next 0 until fn has set it to 0 again */
void sbc_walk(struct sbc *sbc, sbc_question_h *fn, void *arg, size_t *next);
/** How many there are */
uint32_t sbc_workers(const struct sbc *sbc);

/** Has the last change been taken over by all it concerns? That goes on behind
 *  sbc_commit, a slice in each turn of the loop. A change that comes before is done
 *  all the same, but then holds the loop up for what is left */
bool sbc_is_settled(struct sbc *sbc);

/** Post a letter to the first worker, and wait for nothing */
void sbc_post(struct sbc *sbc, struct letter *letter);

/** CPU time that the signalling threads have used [us] */
uint64_t sbc_cpu_us(const struct sbc *sbc);

/** The running plan; give it back with plan_give. Front thread */
const struct plan *sbc_plan(struct sbc *sbc);
