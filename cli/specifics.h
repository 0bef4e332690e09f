/*
 * realm-specifics: every object that names a realm
 */
#pragma once

#include "cli/control.h"

/** realm-specifics REALM: prints them in full (acli.md 1.8) */
void realm_specifics(struct session *s, const struct words *w, uint32_t at);

/** delete realm-specifics REALM: lists them by key, asks, deletes them */
void delete_specifics(struct session *s, const struct words *w, uint32_t at);
