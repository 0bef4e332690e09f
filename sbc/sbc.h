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

/** Run fn on the worker's thread and wait: what show commands use. Walk in
 *  slices of 200 rows, one sbc_ask each, so the loop is never held up */
void sbc_ask(struct sbc *sbc, void (*fn)(struct worker *w, void *arg),
	     void *arg);

/** Has the last change been taken over by all it concerns? That goes on behind
 *  sbc_commit, a slice in each turn of the loop. A change that comes before is done
 *  all the same, but then holds the loop up for what is left */
bool sbc_is_settled(struct sbc *sbc);

/** Post a letter to the worker, and wait for nothing */
void sbc_post(struct sbc *sbc, struct letter *letter);

/** CPU time that the signalling thread has used [us] */
uint64_t sbc_cpu_us(const struct sbc *sbc);

/** The running plan; give it back with plan_give. Front thread */
const struct plan *sbc_plan(struct sbc *sbc);
