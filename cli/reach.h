/*
 * dns lookup, ping: names and machines asked by hand
 */
#pragma once

#include "cli/session.h"

/** dns lookup NAME [naptr | srv | a | aaaa] [realm R]: what DNS says, and the
 *  targets in the order in which the SBC would try them */
void dns_lookup(struct session *s, const struct words *w, uint32_t at);
/** ping HOST [count N] [source IP]: ICMP echo */
void ping_host(struct session *s, const struct words *w, uint32_t at);
