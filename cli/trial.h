/*
 * test-policy and test-credentials
 *
 * They ask the functions that route and choose with a made-up request; nothing
 * leaves the SBC (acli.md 2.5).
 */
#pragma once

#include "cli/session.h"

/** Which routes a request would take, and why; words behind the command */
void test_policy(struct session *s, const struct words *w, uint32_t at);

/** Which credentials would answer a challenge of the first route */
void test_credentials(struct session *s, const struct words *w, uint32_t at);
