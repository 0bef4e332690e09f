/*
 * enable, and the superuser's password
 *
 * acli.md 4. Hashing runs on the job thread, one at a time.
 */
#pragma once

#include "cli/control.h"

/** enable: superuser mode; asks for the password where there is one */
void enable(struct session *s, const struct words *w, uint32_t at);

/** set-password superuser, delete-password superuser */
void set_password(struct session *s, const struct words *w, uint32_t at);
void delete_password(struct session *s, const struct words *w, uint32_t at);
