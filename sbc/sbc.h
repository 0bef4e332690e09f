/*
 * The whole: build from a plan, change to another, stop
 */
#pragma once

#include "sbc/worker.h"

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

/** Take another plan: prepare, then commit (architecture.md 4). On error the
 *  old one goes on. 0; errno with why */
int sbc_change(struct sbc *sbc, const struct plan *plan, char *why);

/** Run fn on the worker's thread and wait: what show commands use. Walk in
 *  slices of 200 rows, one sbc_ask each, so the loop is never held up */
void sbc_ask(struct sbc *sbc, void (*fn)(struct worker *w, void *arg),
	     void *arg);

/** The running plan; give it back with plan_give. Any thread */
const struct plan *sbc_plan(struct sbc *sbc);
