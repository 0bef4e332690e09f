/*
 * Step choose-route: whose request it is, and the hops it may take
 *
 * Behaviour.md 2.1 and 5.1.
 */
#pragma once

#include "sbc/passage.h"

/** The whole step: owner, called AoR, hops, redirection by proxy-mode. 302, 404,
 *  480, 481, 483, 503; 0 go on */
uint16_t choose_route(struct ingress *in);

/** Owner, called AoR and hops alone; in->route is there already */
uint16_t choose_find(struct ingress *in);

/** The same for a trial from no realm in particular (test-policy, source-realm
 *  `*`): the policies of all realms, and no owner but the one that is wished */
uint16_t choose_anywhere(struct ingress *in);

/** To the customer next hop of in->called (5.3): 0 or a code */
uint16_t choose_pbx(struct ingress *in);

/** policy-priority of the policy that a call would take */
uint8_t choose_priority(struct ingress *in);
