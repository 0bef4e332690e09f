/*
 * show credentials seen: who challenged us, and what answered
 */
#pragma once

#include "cli/session.h"

/** show credentials seen [realm R] (acli.md 2.3) */
void show_credentials_seen(struct session *s, const struct words *w,
			   uint32_t at);
