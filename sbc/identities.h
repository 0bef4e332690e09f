/*
 * Associated URIs, and the AoR that each belongs to
 */
#pragma once

#include "policy/identity.h"
#include "sbc/registration.h"

/** Keep the URIs of P-Associated-URI of r as its identities (behaviour.md 4.9);
 *  none when its binding is gone */
void identities_take(struct table *all, struct registration *r);

/** r has none any more */
void identities_drop(struct table *all, struct registration *r);

/** To whom does this URI belong in the realm of a request? 0; ENOENT */
int identities_find(struct owner *who, const struct table *all,
		    const struct realm *realm, const struct uri *uri);
