/*
 * Verify, save, compare, discard and activate configurations
 *
 * acli.md 1.7 and 3. Each is a list of steps, on the job thread but for what
 * touches the SBC.
 */
#pragma once

#include "cli/control.h"

/** Rules over a configuration, the findings into the reply; on the job thread.
 *  file: its source, or NULL: the database. only_total: findings are left out.
 *  0; ENOMEM */
int verify_say(struct task *task, const struct config *cfg, const char *file,
	       bool only_total, bool detail, uint32_t *errorsp);

/** The commands of acli.md 1.7 */
void verify_config(struct session *s, const struct words *w, uint32_t at);
void save_config(struct session *s, const struct words *w, uint32_t at);
void activate_config(struct session *s, const struct words *w, uint32_t at);
void discard(struct session *s, const struct words *w, uint32_t at);
void show_configuration(struct session *s, const struct words *w, uint32_t at);
void display_current(struct session *s, const struct words *w, uint32_t at);
void display_running(struct session *s, const struct words *w, uint32_t at);
