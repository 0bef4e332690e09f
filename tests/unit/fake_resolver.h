/*
 * Names that lead where a test says
 */
#pragma once

#include "sbc/resolver.h"

/** All questions about a host are answered with these "address:port" texts,
 *  over UDP; NULL ends */
void fake_name(const char *host, ...);
/** All questions fail so; EINPROGRESS: they wait for fake_resolver_answer */
void fake_resolver_fail(int err);
/** Answer all that wait: 0 as named; or this error */
void fake_resolver_answer(int err);
size_t fake_resolver_waiting(void);
void fake_resolver_reset(void);
