/*
 * Match users, hosts and digits as local policies write them
 *
 * The pattern was compiled by store/value; here it is only matched.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include "store/value.h"
#include "policy/header.h"

/** Does the pattern match the URI? length set to behaviour.md 2.2 */
bool pattern_match(const struct pattern *p, const struct uri *uri,
		   uint16_t *length);

/** Longest matching value of a list; -1 if none matches */
int patterns_match(const struct patterns *list, const struct uri *uri);

/** Copy a user part without visual separators ("-", ".", "(", ")") when it is
 *  a number; length, at most size */
size_t digits_copy(char *buf, size_t size, const struct pl *user);
