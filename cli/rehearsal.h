/*
 * test-surrogate: the REGISTER that would leave
 */
#pragma once

#include "cli/session.h"

/** test-surrogate KEY [AOR]: the REGISTER that would leave, where to, and the
 *  credential that would answer a challenge (acli.md 2.5) */
void test_surrogate(struct session *s, const struct words *w, uint32_t at);
