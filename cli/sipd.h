/*
 * show sipd, sip interface, realm: the signalling side
 */
#pragma once

#include "cli/session.h"

/** show sipd [status | sessions | transactions | errors | policy |
 *  authentication | METHOD | agents | realms | interface [NAME [METHOD]] | rate |
 *  registration-queue | endpoint-ip USER|IP] */
void show_sipd(struct session *s, const struct words *w, uint32_t at);
/** show sip interface: sip-ports with their connections */
void show_sip_interface(struct session *s, const struct words *w, uint32_t at);
/** show realm [NAME] */
void show_realm(struct session *s, const struct words *w, uint32_t at);
