/*
 * Bindings: by user, realm, address, registrar; and who waits to register
 */
#pragma once

#include "cli/cut.h"
#include "cli/session.h"

/** show sipd registration-queue [limit N] */
void registered_queue(struct session *s, struct cut *cut);
/** show sipd endpoint-ip USER|IP [limit N] */
void registered_endpoint(struct session *s, const char *user_or_ip,
			 const struct cut *cut);
/** show registration [sipd by-user U [brief | detailed] | by-realm R | by-ip IP |
 *  by-registrar H | by-route URI [limit N]] */
void show_registration(struct session *s, const struct words *w, uint32_t at);
/** clear-cache registration sip by-ip IP: AoRs at a registrar of this address
 *  register anew, paced */
void registered_renew(struct session *s, const char *ip);
