/*
 * Requests outside INVITE dialogs and subscriptions, joined in pairs
 *
 * MESSAGE, INFO, PUBLISH, OPTIONS and REGISTER for others: a server transaction
 * on side A, a client transaction on side B, which hunt finds a place for and
 * which is proved like an INVITE. A SUBSCRIBE or REFER becomes a subscription
 * with its 2xx, and lives as long as that (behaviour.md 3.8).
 */
#pragma once

#include "sbc/subscription.h"

struct pairs;

/** 0; ENOMEM */
int pairs_open(struct pairs **pp, struct worker *w);
/** End all subscriptions; done when nothing is left or the time is over */
void pairs_stop(struct pairs *pairs, uint32_t timeout_ms,
		void (*done)(void *arg), void *arg);
/** Forget all of them, without a word; NULL is fine */
void pairs_close(struct pairs *pairs);

/** Leg whose tag of ours this is; NULL if there is none */
struct leg *pairs_by_tag(const struct pairs *pairs, const struct pl *tag);
/** A request to that leg: it is answered here or by the other side */
void pair_request(struct leg *leg, const struct arrival *from,
		  const struct message *msg);

/** Pairs that are there, subscriptions among them */
uint32_t pairs_count(const struct pairs *pairs);

struct pair_setup {
	struct pairs *home;
	const struct plan *plan;
	struct transaction *transaction; /* server, handed over */
	const struct message *request;
	struct arrival from;
	const struct endpoint *at;
	struct source source;
	struct owner owner, called;
	struct route *route;         /* taken over */
	struct replaces_names names; /* dialogs of calls */
};

/**
 * Carry a request across: from now on the pair answers
 *
 * @return 0; 400 a SUBSCRIBE or REFER without usable Contact; 503 no memory, or
 *         too many. On an error nothing was answered and nothing was taken over
 */
uint16_t pair_place(const struct pair_setup *setup);
