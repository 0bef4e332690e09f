/*
 * Verify, save, compare, discard and activate configurations
 *
 * acli.md 1.7 and 3. Each is a list of steps, on the job thread but for what
 * touches the SBC.
 */
#pragma once

#include "cli/check.h"

/** The commands of acli.md 1.7 */
void save_config(struct session *s, const struct words *w, uint32_t at);
void activate_config(struct session *s, const struct words *w, uint32_t at);
void discard(struct session *s, const struct words *w, uint32_t at);
void show_configuration(struct session *s, const struct words *w, uint32_t at);
void display_current(struct session *s, const struct words *w, uint32_t at);
void display_running(struct session *s, const struct words *w, uint32_t at);
