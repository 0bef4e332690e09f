/*
 * A registrar: its pacer, and who waits for it
 *
 * The queue is two heaps deep: an office holds lines, one for each agent, and a
 * line its AoRs that are due; so one agent with 100,000 AoRs takes at most every
 * second token while others wait (behaviour.md 4.5).
 */
#pragma once

#include "sbc/heap.h"
#include "sbc/pacer.h"
#include "sbc/surrogate.h"
#include "sbc/tally.h"

/** Those of one agent that wait for a token */
struct line {
	struct heap due;
	uint32_t place; /* in office->lines; UINT32_MAX: nobody waits */
};

/** Registrations in order of coming */
struct fifo {
	struct registration *oldest, *newest;
	uint8_t where;
};

struct offices;

struct office {
	struct registry r; /* first: registry and office are one */
	struct offices *all;
	struct entry e; /* of offices.by_name */
	struct le le;
	struct pacer pacer;
	struct tally sent; /* REGISTERs */
	struct heap lines;
	struct line *last; /* took the last token */
	struct fifo queued, stranded;
	struct timer timer;
	uint32_t users; /* agents */
	struct resolve *looking;
	uint8_t backlog; /* 0, or 1 + enum alarm_level raised */
	bool waking, turning, seen;
	bool changed; /* its session-agent, by the present plan */
};

/** All registrars */
struct offices {
	struct worker *worker;
	struct table by_name;
	struct list list;
	uint64_t mine, all; /* AoRs of this worker, of all; 0: not told */
	/** A registrar is back (name): others may know it, too. NULL: nobody */
	void (*back)(struct offices *all, const char *name);
};

/** Begin with none */
void offices_init(struct offices *all, struct worker *w);
/** Free all; nobody may use one any more */
void offices_finish(struct offices *all);

/** A new plan comes: until office_get, none is seen in it */
void offices_unsee(struct offices *all);
/** Another worker has heard from this registrar again */
void offices_back(struct offices *all, const char *name);
/** Of how many AoRs are some those of this worker? It has that share of each
 *  registration-rate. Before offices_settle */
void offices_share(struct offices *all, uint64_t mine, uint64_t of);
/** The plan is taken over: those without users go; those with users in no plan
 *  any more speak from the realm of the same name */
void offices_settle(struct offices *all, const struct plan *plan);
/** Orderly end: un-REGISTERs leave at once, ten times as fast (4.7) */
void offices_hurry(struct offices *all);

/** The registrar of an agent, made when it is the first. 0; ENOENT; ENOMEM */
int office_get(struct office **op, struct offices *all, const struct plan *plan,
	       const struct surrogate_agent *agent);

/** Begin with nobody */
void line_init(struct line *l);
/** Has the configuration of the registrar changed by the present plan? r may be
 *  NULL */
bool office_is_changed(const struct registry *r);

/** Nobody of this line is due any more. o may be NULL */
void office_line_clear(struct office *o, struct line *l);

/** A line leaves for good. o may be NULL */
void office_forget(struct office *o, const struct line *l);

/* The part of surrogate_host that concerns the registrar */

/** It is due: it waits for a token */
void office_due(struct registration *r, enum surrogate_class c);
/** It waits for nothing any more */
void office_not_due(struct registration *r);
/** One more REGISTER leaves without waiting for a token */
void office_again(struct registration *r);
/** Of a REGISTER: the answer; code 0: none came */
void office_answered(struct registration *r, uint16_t code);
/** No target answered: it waits for the registrar to come back */
void office_unreachable(struct registration *r);

/** A row of show sipd registration-queue */
struct office_report {
	const char *name; /* "host|egress-realm" */
	uint32_t due;     /* wait for a token */
	uint32_t backlog; /* of these, for more than 60 s */
	uint64_t oldest;  /* the longest wait [s] */
	uint64_t recent;  /* REGISTERs sent in Recent */
	uint32_t limit;   /* [1/1000 s] now, 0: none */
	bool unreachable;
};
typedef void(office_h)(const struct office_report *r, void *arg);
/** Walk all registrars */
void offices_walk(const struct offices *all, office_h *h, void *arg);

/** Does it wait for a token? */
bool office_has(const struct registration *r);
