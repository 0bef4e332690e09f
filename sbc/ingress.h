/*
 * The steps of a new request, from top to bottom
 */
#pragma once

#include "sbc/passage.h"

/** A message came in by a sip-port: arrival_h with the worker as arg */
void ingress_arrival(const struct arrival *from, struct mbuf *mb, void *arg);

/** A request that waited in the lobby is served: lobby_h with the worker as arg */
void ingress_waited(const struct arrival *from, const struct message *msg,
		    bool is_late, void *arg);

/** A keep-alive came in by a sip-port: port_keepalive_h with the worker as arg */
void ingress_keepalive(const struct arrival *from, void *arg);

/** What the steps would decide for a request, without anything being sent: the
 *  owner and the hops. For test-policy and test-credentials */
struct ingress_trial {
	struct source source;
	struct owner owner, called;
	struct route route;
	bool ours;     /* the SBC itself answers: OPTIONS */
	uint16_t code; /* with which it would be refused; 0: it goes on */
	const char *step;
};

/** Put a request through the steps. wishes may be NULL; without a realm in source
 *  only the routes are looked up, those of all realms. 0; EINVAL the Request-URI
 *  cannot be read; ENOTCONN the realm has no sip-port; ENOMEM */
int ingress_try(struct worker *w, const struct source *source,
		const struct sa *src, const struct message *msg,
		const struct ingress_wishes *wishes, struct ingress_trial *out);
