/*
 * show users, memory, processes, support-info; clear-cache: what is inside
 */
#pragma once

#include "cli/session.h"

/** show users: who is connected */
void show_users(struct session *s, const struct words *w, uint32_t at);
/** show memory [usage] */
void show_memory(struct session *s, const struct words *w, uint32_t at);
/** show processes cpu: threads; takes half a second */
void show_processes(struct session *s, const struct words *w, uint32_t at);
/** show support-info: everything that helps somebody far away */
void show_support_info(struct session *s, const struct words *w, uint32_t at);
/** clear-cache dns | nonce | credentials */
void clear_cache(struct session *s, const struct words *w, uint32_t at);
